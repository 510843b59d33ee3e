// A shop on ECS and Fargate. The monolith answers everything but the share of /orders
// that the setting "orders" gives to a service of its own: 0 to 100 percent.
import { App, Duration, Stack } from 'aws-cdk-lib';
import { Vpc } from 'aws-cdk-lib/aws-ec2';
import * as ecs from 'aws-cdk-lib/aws-ecs';
import { ApplicationLoadBalancer, ApplicationProtocol, ApplicationTargetGroup, ListenerAction, ListenerCondition, TargetType } from 'aws-cdk-lib/aws-elasticloadbalancingv2';

const app = new App();
const stack = new Stack(app, 'shop');
const vpc = new Vpc(stack, 'Vpc', { maxAzs: 2, natGateways: 1 });
const cluster = new ecs.Cluster(stack, 'Cluster', { vpc });
const image = ecs.ContainerImage.fromAsset('service');

function service(name: string, command: string[]): ApplicationTargetGroup {
  const taskDefinition = new ecs.FargateTaskDefinition(stack, `${name}Task`, { cpu: 256, memoryLimitMiB: 512 });
  taskDefinition.addContainer(name, { image, command, environment: { PORT: '8080' }, portMappings: [{ containerPort: 8080 }] });
  const target = new ApplicationTargetGroup(stack, `${name}Group`, {
    vpc, port: 8080, protocol: ApplicationProtocol.HTTP, targetType: TargetType.IP, healthCheck: { path: '/health', interval: Duration.seconds(5), timeout: Duration.seconds(4) },
  });
  new ecs.FargateService(stack, name, { cluster, taskDefinition, serviceName: name, desiredCount: 1, minHealthyPercent: 100, circuitBreaker: { rollback: true } })
    .attachToApplicationTargetGroup(target);
  return target;
}

const monolith = service('monolith', ['node', 'server.mjs']);
const orders = service('orders', ['node', 'server.mjs', 'orders']);

const balancer = new ApplicationLoadBalancer(stack, 'LoadBalancer', { vpc, internetFacing: true });
const listener = balancer.addListener('Http', { port: 80, defaultAction: ListenerAction.forward([monolith]) });
const share = Number(app.node.tryGetContext('orders'));
listener.addAction('Orders', {
  priority: 10,
  conditions: [ListenerCondition.pathPatterns(['/orders*'])],
  action: ListenerAction.weightedForward([{ targetGroup: orders, weight: share }, { targetGroup: monolith, weight: 100 - share }]),
});
