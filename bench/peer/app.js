'use strict';
// The core of a deployment as a CDK user would write it in plain JavaScript: the
// network, the cluster, the load balancers and the services of bench/many, with the
// same constructs, ids and settings as stacks/. `go run ./bench` measures the Go app
// of the same core against it, and fails if the templates differ. So a change to
// these stacks belongs here too. Further stacks do not.
//
// CUTOVER_BENCH_SERVICES is the number of services, as in bench/many. CUTOVER_BENCH
// names the program that brings the images' build contexts up to date. The phase
// is monolith, and all settings have their defaults.

const { execFileSync } = require('child_process');
const fs = require('fs');
const path = require('path');
const { App, CfnOutput, CfnResource, DefaultStackSynthesizer, Duration, Fn, RemovalPolicy, Stack, Tags } = require('aws-cdk-lib');
const autoscaling = require('aws-cdk-lib/aws-autoscaling');
const ec2 = require('aws-cdk-lib/aws-ec2');
const ecrAssets = require('aws-cdk-lib/aws-ecr-assets');
const ecs = require('aws-cdk-lib/aws-ecs');
const elb = require('aws-cdk-lib/aws-elasticloadbalancingv2');
const iam = require('aws-cdk-lib/aws-iam');
const logs = require('aws-cdk-lib/aws-logs');

const root = path.join(__dirname, '..', '..');
const env = 'dev';
const containerPort = 3000;
const deregistrationSeconds = 15;
const dropGroup = 'drop-traffic';

const monolith = { name: 'api', paths: ['/api*'] };
const services = Array.from({ length: Number(process.env.CUTOVER_BENCH_SERVICES) - 1 }, (_, i) => {
  const name = `service-${String(i + 1).padStart(3, '0')}`;
  return { name, paths: [`/api/${name}*`], order: i + 1, balancer: i < 98 ? '' : 'further' };
});
const all = [monolith, ...services];
const reservation = 64;

const pascal = (name) => name.split('-').map((part) => part[0].toUpperCase() + part.slice(1)).join('');

function makePlan() {
  const names = [...new Set(services.map((service) => service.balancer))].sort();
  return names.map((name) => {
    const behind = services.filter((service) => service.balancer === name);
    const rules = behind.map((service) => ({ id: 'Service', service: service.name, priority: 20000 + service.order, paths: service.paths }));
    return {
      name,
      rules: [{ id: 'Monolith', service: monolith.name, priority: 10000, paths: monolith.paths }, ...rules],
      groups: [monolith.name, ...behind.map((service) => service.name), dropGroup],
      fallback: [[monolith.name, 1], [dropGroup, 0]],
    };
  });
}

function newStack(scope, part, description, synthesizer) {
  return new Stack(scope, `${env}-${part}`, { stackName: `${env}-${part}`, description, synthesizer });
}

function newLogGroup(scope, id, logGroupName) {
  return new logs.LogGroup(scope, id, { logGroupName, retention: 30, removalPolicy: RemovalPolicy.DESTROY });
}

function suppress(resource, id, reason, ...findings) {
  const cfn = CfnResource.isCfnResource(resource) ? resource : resource.node.defaultChild;
  const suppression = findings.length > 0 ? { id, reason, applies_to: findings } : { id, reason };
  const rules = cfn.getMetadata('cdk_nag')?.rules_to_suppress ?? [];
  cfn.addMetadata('cdk_nag', { rules_to_suppress: [...rules, suppression] });
}

function output(stack, id, description, value) {
  new CfnOutput(stack, id, { value, description });
}

function onlyForThisAccount(...roles) {
  for (const role of roles) {
    role.node.defaultChild.addPropertyOverride('AssumeRolePolicyDocument.Statement.0.Condition', { StringEquals: { 'aws:SourceAccount': { Ref: 'AWS::AccountId' } } });
  }
}

function newNetwork(scope) {
  const stack = newStack(scope, 'Network', 'VPC, and who may talk to whom in it');
  const vpc = new ec2.Vpc(stack, 'Vpc', {
    availabilityZones: [Fn.select(0, Fn.getAzs()), Fn.select(1, Fn.getAzs())],
    natGateways: 1,
    subnetConfiguration: [
      { name: 'Public', subnetType: ec2.SubnetType.PUBLIC, cidrMask: 24, mapPublicIpOnLaunch: false },
      { name: 'Private', subnetType: ec2.SubnetType.PRIVATE_WITH_EGRESS, cidrMask: 20 },
    ],
    restrictDefaultSecurityGroup: true,
    gatewayEndpoints: { S3: { service: ec2.GatewayVpcEndpointAwsService.S3 } },
  });
  stack.node.findChild('Custom::VpcRestrictDefaultSGCustomResourceProvider').node.findChild('Handler').addDeletionOverride('DependsOn');
  const attachment = stack.getLogicalId(vpc.node.findChild('VPCGW'));
  for (const subnet of vpc.publicSubnets) {
    subnet.node.tryFindChild('NATGateway')?.addOverride('DependsOn', [attachment]);
  }
  const flowLog = vpc.addFlowLog('FlowLog', {
    destination: ec2.FlowLogDestination.toCloudWatchLogs(newLogGroup(stack, 'FlowLogs')),
    trafficType: ec2.FlowLogTrafficType.REJECT,
  });
  onlyForThisAccount(flowLog.iamRole);

  const loadBalancerSecurityGroup = new ec2.SecurityGroup(stack, 'LoadBalancerSecurityGroup', {
    vpc, description: 'Load balancer: HTTP from anywhere, to the containers only', allowAllOutbound: false,
  });
  const instanceSecurityGroup = new ec2.SecurityGroup(stack, 'InstanceSecurityGroup', {
    vpc, description: 'Instances: containers from the load balancer, to anywhere', allowAllOutbound: true,
  });
  suppress(loadBalancerSecurityGroup, 'AwsSolutions-EC23', "The API is public: anyone may reach the ports of the load balancer's listeners, and nothing else");
  loadBalancerSecurityGroup.addIngressRule(ec2.Peer.anyIpv4(), ec2.Port.tcp(80), 'Clients');
  const containers = ec2.Port.tcpRange(32768, 65535);
  loadBalancerSecurityGroup.addEgressRule(instanceSecurityGroup, containers, 'Containers');
  instanceSecurityGroup.addIngressRule(loadBalancerSecurityGroup, containers, 'Load balancer');
  return { vpc, loadBalancerSecurityGroup, instanceSecurityGroup };
}

function newCluster(scope, network) {
  const stack = newStack(scope, 'Cluster', 'ECS cluster on EC2 instances');
  const cluster = new ecs.Cluster(stack, 'Cluster', {
    clusterName: env, vpc: network.vpc, containerInsightsV2: ecs.ContainerInsights.ENABLED,
  });
  const capacityProvider = new ecs.AsgCapacityProvider(stack, 'CapacityProvider', {
    autoScalingGroup: newInstances(stack, network),
    enableManagedScaling: true,
    enableManagedTerminationProtection: true,
    enableManagedDraining: true,
    targetCapacityPercent: 100,
  });
  cluster.addAsgCapacityProvider(capacityProvider);
  output(stack, 'ClusterName', 'The ECS cluster', cluster.clusterName);
  return { cluster, capacityProvider };
}

function newInstances(stack, network) {
  const userData = ec2.UserData.forLinux();
  // The file is a Go template. Here, nothing that tasks may need is set up.
  const template = fs.readFileSync(path.join(root, 'assets', 'user-data.sh'), 'utf8');
  userData.addCommands(template
    .replace(/\{\{if \.\w+ -\}\}[^]*?\{\{end -\}\}\s*/g, '')
    .replace(/\{\{if not \.Linked\}\}([^]*?)\{\{end\}\}/g, '$1')
    .replace(/\{\{-? ?if \.\w+\}\}[^]*?\{\{-? ?end\}\}/g, '')
    .trim());
  const launchTemplate = new ec2.LaunchTemplate(stack, 'LaunchTemplate', {
    instanceType: new ec2.InstanceType('t3.small'),
    machineImage: ecs.EcsOptimizedImage.amazonLinux2023(ecs.AmiHardwareType.STANDARD),
    userData,
    role: newInstanceRole(stack).withoutPolicyUpdates(),
    securityGroup: network.instanceSecurityGroup,
    associatePublicIpAddress: false,
    httpTokens: ec2.LaunchTemplateHttpTokens.REQUIRED,
    httpPutResponseHopLimit: 1,
    blockDevices: [{
      deviceName: '/dev/xvda',
      volume: ec2.BlockDeviceVolume.ebs(30, { volumeType: ec2.EbsDeviceVolumeType.GP3, encrypted: true }),
    }],
  });
  const group = new autoscaling.AutoScalingGroup(stack, 'Instances', {
    vpc: network.vpc,
    vpcSubnets: { subnetType: ec2.SubnetType.PRIVATE_WITH_EGRESS },
    mixedInstancesPolicy: {
      launchTemplate,
      launchTemplateOverrides: ['t3.small', 't3.medium'].map((name) => ({ instanceType: new ec2.InstanceType(name) })),
      instancesDistribution: { onDemandAllocationStrategy: autoscaling.OnDemandAllocationStrategy.PRIORITIZED },
    },
    minCapacity: 2,
    maxCapacity: 4,
  });
  suppress(group, 'AwsSolutions-AS3', 'Instances come and go with the tasks, which is no news. Whether the services have tasks is, and the setting alarms watches that');
  suppress(group, 'CdkNagValidationFailure', 'The rule looks for the launch template beside the mixed instances policy and not in it; its volume is encrypted', 'AwsSolutions-EC26');
  return group;
}

function newInstanceRole(stack) {
  const allow = (resource, ...actions) => ({ actions, resources: [resource] });
  const instances = (service, resource) => stack.formatArn({ service, resource, resourceName: '*' });
  const clusterArn = stack.formatArn({ service: 'ecs', resource: 'cluster', resourceName: env });
  const document = (...statements) => new iam.PolicyDocument({
    statements: statements.map((statement) => new iam.PolicyStatement(statement)),
  });
  const role = new iam.Role(stack, 'InstanceRole', {
    assumedBy: new iam.ServicePrincipal('ec2.amazonaws.com'),
    description: 'ECS agent and SSM Session Manager; no container can use it',
    inlinePolicies: {
      EcsAgent: document(
        allow(
          clusterArn,
          'ecs:DeregisterContainerInstance',
          'ecs:RegisterContainerInstance',
          'ecs:SubmitAttachmentStateChanges',
          'ecs:SubmitContainerStateChange',
          'ecs:SubmitTaskStateChange',
        ),
        {
          ...allow(instances('ecs', 'container-instance'), 'ecs:Poll', 'ecs:StartTelemetrySession'),
          conditions: { ArnEquals: { 'ecs:cluster': clusterArn } },
        },
        allow('*', 'ecs:DiscoverPollEndpoint'),
      ),
      SessionManager: document(
        allow(instances('ec2', 'instance'), 'ssm:UpdateInstanceInformation'),
        allow(
          '*',
          'ssmmessages:CreateControlChannel',
          'ssmmessages:CreateDataChannel',
          'ssmmessages:OpenControlChannel',
          'ssmmessages:OpenDataChannel',
        ),
      ),
    },
  });
  suppress(role, 'AwsSolutions-IAM5', 'ECS and EC2 make the ids of instances, and the other actions know no resources: docs/isolation.md names each wildcard');
  return role;
}

function newRouting(scope, plan, network) {
  const of = plan.name === '' ? '' : ` ${plan.name}`;
  const stack = newStack(scope, plan.name === '' ? 'Routing' : `Routing${pascal(plan.name)}`, `Where a request goes: load balancer${of}, listeners, rules, target groups`);
  const targetGroups = {};
  for (const name of plan.groups) {
    targetGroups[name] = new elb.ApplicationTargetGroup(stack, pascal(name), {
      targetGroupName: plan.name === '' ? name : `${name}-${plan.name}`,
      vpc: network.vpc,
      targetType: elb.TargetType.INSTANCE,
      protocol: elb.ApplicationProtocol.HTTP,
      port: 80,
      deregistrationDelay: Duration.seconds(deregistrationSeconds),
      healthCheck: {
        path: '/',
        healthyHttpCodes: '200',
        healthyThresholdCount: 2,
        unhealthyThresholdCount: 2,
        timeout: Duration.seconds(5),
        interval: Duration.seconds(6),
      },
    });
    if (name !== dropGroup) {
      Tags.of(targetGroups[name]).add('service', name);
    }
  }
  const weighted = (targets) => elb.ListenerAction.weightedForward(
    targets.map(([name, weight]) => ({ targetGroup: targetGroups[name], weight })));

  const balancer = new elb.ApplicationLoadBalancer(stack, 'LoadBalancer', {
    vpc: network.vpc,
    internetFacing: true,
    securityGroup: network.loadBalancerSecurityGroup,
    vpcSubnets: { subnetType: ec2.SubnetType.PUBLIC },
    deletionProtection: false,
    dropInvalidHeaderFields: true,
    desyncMitigationMode: elb.DesyncMitigationMode.DEFENSIVE,
    idleTimeout: Duration.seconds(60),
  });
  suppress(balancer, 'AwsSolutions-ELB2', "The services log every request. The setting accessLogs adds the load balancer's own lines, for what it costs to keep them");
  const listener = balancer.addListener('Http', {
    protocol: elb.ApplicationProtocol.HTTP, port: 80, open: false, defaultAction: weighted(plan.fallback),
  });
  for (const { id, service, priority, paths } of plan.rules) {
    new elb.ApplicationListenerRule(stack, `${pascal(service)}${id}Rule`, {
      listener,
      priority,
      conditions: [elb.ListenerCondition.pathPatterns(paths)],
      action: elb.ListenerAction.forward([targetGroups[service]]),
    });
  }
  output(stack, 'Url', 'Where the API answers', Fn.join('', ['http://', balancer.loadBalancerDnsName]));
  return { stack, name: plan.name, balancer, targetGroups };
}

function newService(scope, { name }, tasks, directory, { cluster, capacityProvider }, linuxParameters, targetGroups) {
  const stack = newStack(scope, pascal(name), `Service ${name}`, new DefaultStackSynthesizer({
    imageAssetsRepositoryName: name, dockerTagPrefix: 'v1-',
  }));
  Tags.of(stack).add('service', name);

  const definition = new ecs.Ec2TaskDefinition(stack, 'TaskDefinition', { family: name, networkMode: ecs.NetworkMode.BRIDGE });
  definition.addContainer(name, {
    image: ecs.ContainerImage.fromDockerImageAsset(new ecrAssets.DockerImageAsset(stack, 'Image', {
      directory,
      assetName: name,
      platform: ecrAssets.Platform.LINUX_AMD64,
      buildArgs: { SOURCE_DATE_EPOCH: '0' },
    })),
    essential: true,
    cpu: reservation,
    memoryReservationMiB: reservation,
    memoryLimitMiB: 512,
    portMappings: [{ containerPort, hostPort: 0, protocol: ecs.Protocol.TCP }],
    environment: { PORT: String(containerPort), STOP_TIMEOUT: `${deregistrationSeconds}s` },
    logging: ecs.LogDriver.awsLogs({
      logGroup: newLogGroup(stack, 'LogGroup', `/ecs/${name}`),
      streamPrefix: name,
      mode: ecs.AwsLogDriverMode.NON_BLOCKING,
    }),
    healthCheck: { command: ['CMD', `/${name}`, 'healthcheck'], interval: Duration.seconds(10), timeout: Duration.seconds(5), retries: 3 },
    stopTimeout: Duration.seconds(deregistrationSeconds + 5),
    user: '65532:65532',
    readonlyRootFilesystem: true,
    dockerSecurityOptions: ['no-new-privileges'],
    linuxParameters,
  });
  suppress(definition, 'AwsSolutions-ECS2', 'What differs between environments is configured by variables. None is secret; a secret would come from Secrets Manager');
  onlyForThisAccount(definition.taskRole, definition.executionRole);
  suppress(definition.executionRole.node.findChild('DefaultPolicy'), 'AwsSolutions-IAM5', 'ecr:GetAuthorizationToken knows no resources', 'Resource::*');

  const service = new ecs.Ec2Service(stack, 'Service', {
    serviceName: name,
    cluster,
    taskDefinition: definition,
    desiredCount: tasks,
    capacityProviderStrategies: [{ capacityProvider: capacityProvider.capacityProviderName, weight: 1 }],
    placementStrategies: [
      ecs.PlacementStrategy.spreadAcross(ecs.BuiltInAttributes.AVAILABILITY_ZONE),
      ecs.PlacementStrategy.packedByMemory(),
    ],
    minHealthyPercent: 100,
    maxHealthyPercent: 200,
    circuitBreaker: { enable: true, rollback: true },
    healthCheckGracePeriod: Duration.seconds(15),
    enableECSManagedTags: true,
    propagateTags: ecs.PropagatedTagSource.SERVICE,
  });
  service.node.addDependency(definition.executionRole);
  service.node.defaultChild.loadBalancers = targetGroups.map((group) => ({
    containerName: name, containerPort, targetGroupArn: group.targetGroupArn,
  }));
  return stack;
}

const contexts = JSON.parse(execFileSync(process.env.CUTOVER_BENCH, ['-images'], { cwd: root, encoding: 'utf8' }));
const app = new App({ analyticsReporting: false, context: { 'aws:cdk:disable-creation-stack-traces': true } });
Tags.of(app).add('environment', env, {
  excludeResourceTypes: ['AWS::CloudWatch::Dashboard', 'AWS::ElasticLoadBalancingV2::Listener', 'AWS::ElasticLoadBalancingV2::ListenerRule'],
});
const network = newNetwork(app);
const cluster = newCluster(app, network);
const routings = makePlan().map((balancer) => newRouting(app, balancer, network));
const linuxParameters = new ecs.LinuxParameters(app, 'LinuxParameters');
linuxParameters.dropCapabilities(ecs.Capability.ALL);
for (const service of all) {
  const behind = routings.filter((routing) => service === monolith || service.balancer === routing.name);
  const groups = behind.map((routing) => routing.targetGroups[service.name]);
  const stack = newService(app, service, service === monolith ? 1 : 0, contexts[service.name], cluster, linuxParameters, groups);
  for (const routing of behind) {
    stack.addStackDependency(routing.stack, 'a service needs a target group that a listener uses');
  }
}
app.synth();
