// Rules of the shop's listener that somebody made by hand. `cdk import` takes them into this stack.
const { App, RemovalPolicy, Stack } = require('aws-cdk-lib');
const { CfnListenerRule } = require('aws-cdk-lib/aws-elasticloadbalancingv2');

const app = new App();
const rule = new CfnListenerRule(new Stack(app, 'ShopRules'), 'OldOrders', {
  listenerArn: app.node.tryGetContext('listenerArn'),
  priority: 20,
  conditions: [{ field: 'path-pattern', pathPatternConfig: { values: ['/orders*'] } }],
  actions: [{ type: 'redirect', redirectConfig: { path: '/api/orders', statusCode: 'HTTP_301' } }],
});
rule.applyRemovalPolicy(RemovalPolicy.RETAIN);
