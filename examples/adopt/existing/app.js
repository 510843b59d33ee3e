// The shop of another team, as they deploy it: a monolith on ECS and Fargate behind a load balancer with rules of their own.
// Nothing in it knows of Cutover.
const path = require('node:path');
const { App, CfnOutput, Duration, RemovalPolicy, Stack } = require('aws-cdk-lib');
const { Peer, Port, SecurityGroup, SubnetType, Vpc } = require('aws-cdk-lib/aws-ec2');
const ecs = require('aws-cdk-lib/aws-ecs');
const elb = require('aws-cdk-lib/aws-elasticloadbalancingv2');
const { LogGroup, RetentionDays } = require('aws-cdk-lib/aws-logs');

const stack = new Stack(new App(), 'Shop');
const vpc = new Vpc(stack, 'Vpc', { maxAzs: 2, natGateways: 1 });
const cluster = new ecs.Cluster(stack, 'Cluster', { vpc, clusterName: 'shop' });

// Clients reach the load balancer, and it reaches the tasks alone.
const balancerGroup = new SecurityGroup(stack, 'BalancerGroup', { vpc, description: 'Load balancer of the shop', allowAllOutbound: false });
balancerGroup.addIngressRule(Peer.anyIpv4(), Port.tcp(80));
const taskGroup = new SecurityGroup(stack, 'TaskGroup', { vpc, description: 'Tasks of the shop' });
taskGroup.addIngressRule(balancerGroup, Port.tcp(8080));
balancerGroup.addEgressRule(taskGroup, Port.tcp(8080));

const definition = new ecs.FargateTaskDefinition(stack, 'Task', { cpu: 256, memoryLimitMiB: 512 });
definition.addContainer('shop', {
  image: ecs.ContainerImage.fromAsset(path.join(__dirname, '../app')),
  environment: { PORT: '8080' },
  portMappings: [{ containerPort: 8080 }],
  logging: ecs.LogDrivers.awsLogs({
    streamPrefix: 'shop',
    logGroup: new LogGroup(stack, 'Logs', { logGroupName: '/shop', retention: RetentionDays.ONE_MONTH, removalPolicy: RemovalPolicy.DESTROY }),
  }),
});
const service = new ecs.FargateService(stack, 'Service', {
  cluster, serviceName: 'shop', taskDefinition: definition, desiredCount: 2, minHealthyPercent: 100, circuitBreaker: { rollback: true },
  securityGroups: [taskGroup], vpcSubnets: { subnetType: SubnetType.PRIVATE_WITH_EGRESS },
});

const group = new elb.ApplicationTargetGroup(stack, 'Group', {
  vpc, targetGroupName: 'shop', port: 8080, protocol: elb.ApplicationProtocol.HTTP, targetType: elb.TargetType.IP,
  healthCheck: { path: '/healthz', interval: Duration.seconds(10), timeout: Duration.seconds(5) }, deregistrationDelay: Duration.seconds(30),
});
service.attachToApplicationTargetGroup(group);

const balancer = new elb.ApplicationLoadBalancer(stack, 'Balancer', { vpc, loadBalancerName: 'shop', internetFacing: true, securityGroup: balancerGroup });
const listener = balancer.addListener('Http', { port: 80, open: false, defaultAction: elb.ListenerAction.forward([group]) });
listener.addAction('Teapot', {
  priority: 10,
  conditions: [elb.ListenerCondition.pathPatterns(['/teapot'])],
  action: elb.ListenerAction.fixedResponse(418, { contentType: 'text/plain', messageBody: 'I am a teapot' }),
});
listener.addAction('Customers', {
  priority: 5000,
  conditions: [elb.ListenerCondition.pathPatterns(['/api/customers*'])],
  action: elb.ListenerAction.forward([group]),
});

new CfnOutput(stack, 'Url', { value: `http://${balancer.loadBalancerDnsName}` });
