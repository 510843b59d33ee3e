'use strict';
// The deployment of this repository as a CDK user would write it in plain
// JavaScript: the same stacks, constructs, ids and settings as main.go and
// stacks/, so that both make the same templates. It is what `go run ./bench`
// measures the Go app against, and that program fails when the templates
// differ, so a change to stacks/ belongs here too.
//
// With CUTOVER_BENCH_SERVICES it has as many services as bench/many, and a further
// load balancer where that has one. It knows the context keys phase and shift and
// has the other settings at their defaults. As the Go app, it first has the images'
// build contexts brought up to date; the program that does so is named by
// CUTOVER_BENCH.

const { execFileSync } = require('child_process');
const fs = require('fs');
const path = require('path');
const { App, CfnOutput, CfnResource, DefaultStackSynthesizer, Duration, Fn, RemovalPolicy, Stack, Tags } = require('aws-cdk-lib');
const autoscaling = require('aws-cdk-lib/aws-autoscaling');
const cloudwatch = require('aws-cdk-lib/aws-cloudwatch');
const ec2 = require('aws-cdk-lib/aws-ec2');
const ecr = require('aws-cdk-lib/aws-ecr');
const ecrAssets = require('aws-cdk-lib/aws-ecr-assets');
const ecs = require('aws-cdk-lib/aws-ecs');
const elb = require('aws-cdk-lib/aws-elasticloadbalancingv2');
const iam = require('aws-cdk-lib/aws-iam');
const logs = require('aws-cdk-lib/aws-logs');
const ssm = require('aws-cdk-lib/aws-ssm');

const root = path.join(__dirname, '..', '..');
const env = 'dev';
const containerPort = 3000;
const deregistrationSeconds = 15;
const dropGroup = 'drop-traffic';
const phases = ['monolith', 'parallel', 'switched', 'retired'];

const monolith = { name: 'api', paths: ['/api*'] };
const many = Number(process.env.CUTOVER_BENCH_SERVICES ?? 0);
const services = many === 0 ? [
  { name: 'users', paths: ['/api/users*'], order: 10, balancer: '' },
  { name: 'threads', paths: ['/api/threads*'], order: 20, balancer: '' },
  { name: 'posts', paths: ['/api/posts*'], order: 30, balancer: '' },
] : Array.from({ length: many - 1 }, (_, i) => {
  const name = `service-${String(i + 1).padStart(3, '0')}`;
  return { name, paths: [`/api/${name}*`], order: i + 1, balancer: i < 98 ? '' : 'further' };
});
const all = [monolith, ...services];
const reservation = many === 0 ? 256 : 64;

const pascal = (name) => name.split('-').map((part) => part[0].toUpperCase() + part.slice(1)).join('');

function makePlan(phase, shift) {
  const tasks = { [monolith.name]: phase === 'retired' ? 0 : 1 };
  for (const { name } of services) {
    tasks[name] = phase === 'monolith' ? 0 : 1;
  }
  const names = [...new Set(services.map((service) => service.balancer))].sort();
  return { tasks, balancers: names.map((name) => makeBalancer(name, phase, shift)) };
}

function makeBalancer(balancer, phase, shift) {
  const after = phase === 'switched' || phase === 'retired';
  const behind = services.filter((service) => service.balancer === balancer);
  const rules = [];
  for (const { name, paths, order } of behind) {
    rules.push({ id: 'Service', service: name, priority: 20000 + order, paths, targets: [[name, 1]] });
    if (name in shift && phase === 'parallel') {
      rules.push({ id: 'Shift', service: name, priority: 1000 + order, paths, targets: [[name, shift[name]], [monolith.name, 100 - shift[name]]] });
    }
  }
  if (!after) {
    rules.push({ id: 'Monolith', service: monolith.name, priority: 10000, paths: monolith.paths, targets: [[monolith.name, 1]] });
  }
  return {
    name: balancer,
    rules: rules.sort((a, b) => a.priority - b.priority),
    groups: [monolith.name, ...behind.map((service) => service.name), dropGroup],
    fallback: [[monolith.name, after ? 0 : 1], [dropGroup, after ? 1 : 0]],
  };
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

function newState(stack, id, after, state, description) {
  new ssm.CfnParameter(stack, id, { name: `/${env}/phase-gate/${after}/${state}`, type: 'String', value: state, description });
}

function newBlocks(stack, after, phase, shift) {
  const blocks = phases.filter((_, i) => Math.abs(i - phases.indexOf(phase)) > 1);
  if (Object.keys(shift).length > 0) {
    blocks.push('monolith');
  }
  if (phase === 'monolith' || phase === 'retired') {
    blocks.push('shift');
  }
  for (const state of blocks.sort()) {
    newState(stack, `NotNextTo${pascal(state)}`, after, state, 'Must not follow this phase');
  }
}

function newGate(scope, phase, shift) {
  const stack = newStack(scope, 'Gate', 'Refuses a phase that does not follow the deployed one');
  const claims = Object.keys(shift).length > 0 ? [phase, 'shift'] : [phase];
  for (const state of claims) {
    newState(stack, `${pascal(state)}FollowsTheDeployedPhase`, 'reached', state, 'Claimed by the deployment');
    newState(stack, `${pascal(state)}FollowsTheBegunPhase`, 'begun', state, 'Claimed by the deployment');
  }
  newBlocks(stack, 'begun', phase, shift);
  return stack;
}

function newPhase(scope, phase, shift) {
  const stack = newStack(scope, 'Phase', 'The phase that is deployed, and what must not follow it');
  new ssm.CfnParameter(stack, 'Parameter', {
    name: `/${env}/phase`, type: 'String', value: phase, description: 'The phase of the migration that is deployed',
  });
  output(stack, 'Phase', 'The phase of the migration that is deployed', phase);
  newBlocks(stack, 'reached', phase, shift);
  return stack;
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
  vpc.addFlowLog('FlowLog', {
    destination: ec2.FlowLogDestination.toCloudWatchLogs(newLogGroup(stack, 'FlowLogs')),
    trafficType: ec2.FlowLogTrafficType.REJECT,
  });

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

function newRegistry(scope) {
  const stack = newStack(scope, 'Registry', 'Image repositories, one per service');
  const qualifier = stack.node.tryGetContext('@aws-cdk/core:bootstrapQualifier') ?? 'hnb659fds';
  const publisher = new iam.ArnPrincipal(Fn.sub(
    `arn:\${AWS::Partition}:iam::\${AWS::AccountId}:role/cdk-${qualifier}-image-publishing-role-\${AWS::AccountId}-\${AWS::Region}`));
  for (const { name, balancer } of all) {
    const repository = new ecr.Repository(stack, pascal(name), {
      repositoryName: name,
      imageTagMutability: ecr.TagMutability.IMMUTABLE,
      imageScanOnPush: true,
      removalPolicy: RemovalPolicy.DESTROY,
      emptyOnDelete: true,
      lifecycleRules: [{ description: 'Images that no tag names', tagStatus: ecr.TagStatus.UNTAGGED, maxImageAge: Duration.days(14) }],
    });
    Tags.of(repository).add('service', name);
    repository.node.defaultChild.encryptionConfiguration = { encryptionType: 'AES256' };
    repository.addToResourcePolicy(new iam.PolicyStatement({
      sid: 'PublishImages',
      principals: [publisher],
      actions: [
        'ecr:BatchCheckLayerAvailability', 'ecr:BatchGetImage', 'ecr:CompleteLayerUpload', 'ecr:DescribeImages',
        'ecr:DescribeRepositories', 'ecr:GetDownloadUrlForLayer', 'ecr:InitiateLayerUpload', 'ecr:PutImage', 'ecr:UploadLayerPart',
      ],
    }));
    if (!balancer) {
      output(stack, `${pascal(name)}RepositoryUri`, `Where the images of ${name} are pushed`, repository.repositoryUri);
    }
  }
  return stack;
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
  userData.addCommands(fs.readFileSync(path.join(root, 'assets', 'user-data.sh'), 'utf8').trim());
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
  for (const { id, service, priority, paths, targets } of plan.rules) {
    new elb.ApplicationListenerRule(stack, `${pascal(service)}${id}Rule`, {
      listener,
      priority,
      conditions: [elb.ListenerCondition.pathPatterns(paths)],
      action: targets.length > 1 ? weighted(targets) : elb.ListenerAction.forward([targetGroups[targets[0][0]]]),
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

const queries = [
  {
    id: 'WhatFails', name: 'what fails', queryString: `filter msg = "request" and status >= 500
| stats count(*) as failures by bin(5m) as time, service, path, status
| sort time desc, failures desc`,
  },
  {
    id: 'WhatIsSlow', name: 'what is slow', queryString: `filter msg = "request"
| stats count(*) as requests, pct(durationMs, 50) as p50, pct(durationMs, 99) as p99, max(durationMs) as slowest by service, path
| sort p99 desc`,
  },
  {
    id: 'WhatHappened', name: 'what happened to a request', queryString: `fields @timestamp, service, level, method, path, status, durationMs, error, @message
| filter traceId like "{{traceId}}"
| sort @timestamp asc
| limit 10000`,
    parameters: [{
      name: 'traceId',
      description: 'What follows Root= in the header X-Amzn-Trace-Id of the request',
      defaultValue: '1-67891233-abcdef012345678912345678',
    }],
  },
];

function newWatch(scope, routings) {
  const stack = newStack(scope, 'Watch', 'How the environment does: a dashboard, and saved queries of its logs');
  newDashboard(stack, routings);
  const groups = all.map(({ name }) => `/ecs/${name}`);
  const chunks = Array.from({ length: Math.ceil(groups.length / 50) }, (_, i) => groups.slice(50 * i, 50 * (i + 1)));
  for (const { id, name, queryString, parameters } of queries) {
    chunks.forEach((logGroupNames, i) => new logs.CfnQueryDefinition(stack, i === 0 ? id : `${id}${i + 1}`, {
      name: chunks.length === 1 ? `${env}/${name}` : `${env}/${name}, ${i + 1} of ${chunks.length}`, queryString, logGroupNames, parameters,
    }));
  }
  return stack;
}

function newDashboard(stack, routings) {
  const title = ({ name }) => name || 'first';
  const several = routings.length > 1;
  const first = routings[0].balancer.loadBalancerFullName;
  const chosen = 'chosen-load-balancer';
  const variables = several ? [new cloudwatch.DashboardVariable({
    id: 'balancer',
    label: 'Services of load balancer',
    type: cloudwatch.VariableType.PATTERN,
    value: chosen,
    inputType: cloudwatch.VariableInputType.SELECT,
    values: cloudwatch.Values.fromValues(...routings.map((routing) => ({ label: title(routing), value: routing.balancer.loadBalancerFullName }))),
    defaultValue: cloudwatch.DefaultValue.value(first),
    visible: true,
  })] : [];

  const period = Duration.minutes(1);
  const graph = (width, title, left, right = []) => new cloudwatch.GraphWidget({
    title, width, height: 7, left, right, leftYAxis: { min: 0 }, rightYAxis: { min: 0 },
  });
  const search = (width, title, schema, metric, of, statistic, label) => graph(width, title, [new cloudwatch.SearchExpression({
    expression: `SEARCH('{${schema}} MetricName="${metric}" ${of}', '${statistic}', 60)`, label: `\${PROP('Dim.${label}')}`, period,
  })]);
  const byService = (width, title, metric, statistic) => search(
    width, title, 'AWS/ApplicationELB,LoadBalancer,TargetGroup', metric, `LoadBalancer="${several ? chosen : first}"`, statistic, 'TargetGroup');
  const byTasks = (title, metric) => search(12, title, 'AWS/ECS,ClusterName,ServiceName', metric, `ClusterName="${env}"`, 'Average', 'ServiceName');
  const ofCluster = (namespace, metricName, label) => new cloudwatch.Metric({
    namespace, metricName, statistic: 'Average', label, period, dimensionsMap: { ClusterName: env },
  });
  const own = routings.flatMap((routing) => ['5XX', '502', '503', '504'].map((code) => new cloudwatch.Metric({
    namespace: 'AWS/ApplicationELB',
    metricName: `HTTPCode_ELB_${code}_Count`,
    statistic: 'Sum',
    label: several ? `${title(routing)} ${code}` : code,
    period,
    dimensionsMap: { LoadBalancer: routing.balancer.loadBalancerFullName },
  })));
  const names = queries.map(({ name }) => `*${env}/${name}*`).join(', ');
  const markdown = `# ${env}
**Logs:** [Logs Insights](https://console.aws.amazon.com/cloudwatch/home#logsV2:logs-insights) has the saved queries ${names}.

**Costs:** the tag \`environment\` says whose resources they are, and the tag \`service\` which service causes them, its tasks included. Activated as [cost allocation tags](https://console.aws.amazon.com/billing/home#/tags), they are what [Cost Explorer](https://console.aws.amazon.com/costmanagement/home#/cost-explorer) can group costs by.`;
  new cloudwatch.Dashboard(stack, 'Dashboard', {
    dashboardName: env,
    defaultInterval: Duration.hours(3),
    variables,
    widgets: [
      [new cloudwatch.TextWidget({ markdown, width: 24, height: 4 })],
      [
        byService(8, 'Requests a minute', 'RequestCount', 'Sum'),
        byService(8, '5xx of the services, a minute', 'HTTPCode_Target_5XX_Count', 'Sum'),
        graph(8, '5xx of the load balancer itself, a minute', own),
      ],
      [
        byService(12, 'Latency in seconds, p50', 'TargetResponseTime', 'p50'),
        byService(12, 'Latency in seconds, p99', 'TargetResponseTime', 'p99'),
      ],
      [
        byService(12, 'Healthy tasks', 'HealthyHostCount', 'Minimum'),
        byService(12, 'Unhealthy tasks', 'UnHealthyHostCount', 'Maximum'),
      ],
      [
        byTasks('CPU, % of what the tasks reserve', 'CPUUtilization'),
        byTasks('Memory, % of what the tasks reserve', 'MemoryUtilization'),
      ],
      [graph(
        24,
        'Cluster: % of it that is reserved, and its instances (right)',
        [ofCluster('AWS/ECS', 'CPUReservation', 'CPU'), ofCluster('AWS/ECS', 'MemoryReservation', 'memory')],
        [ofCluster('ECS/ContainerInsights', 'ContainerInstanceCount', 'instances')],
      )],
    ],
  });
}

const contexts = JSON.parse(execFileSync(process.env.CUTOVER_BENCH, ['-images'], { cwd: root, encoding: 'utf8' }));
const app = new App({ analyticsReporting: false, context: { 'aws:cdk:disable-creation-stack-traces': true } });
Tags.of(app).add('environment', env, {
  excludeResourceTypes: ['AWS::CloudWatch::Dashboard', 'AWS::ElasticLoadBalancingV2::Listener', 'AWS::ElasticLoadBalancingV2::ListenerRule'],
});
const phase = app.node.tryGetContext('phase') ?? 'monolith';
const shift = app.node.tryGetContext('shift') ?? {};
const plan = makePlan(phase, shift);

const gate = newGate(app, phase, shift);
const network = newNetwork(app);
const registry = newRegistry(app);
const cluster = newCluster(app, network);
const routings = plan.balancers.map((balancer) => {
  const routing = newRouting(app, balancer, network);
  routing.stack.addStackDependency(gate, 'the phase has to follow the deployed one');
  return routing;
});

const last = newPhase(app, phase, shift);
const linuxParameters = new ecs.LinuxParameters(app, 'LinuxParameters');
linuxParameters.dropCapabilities(ecs.Capability.ALL);
const stacks = [];
for (const service of all) {
  const behind = routings.filter((routing) => service === monolith || service.balancer === routing.name);
  const groups = behind.map((routing) => routing.targetGroups[service.name]);
  const stack = newService(app, service, plan.tasks[service.name], contexts[service.name], cluster, linuxParameters, groups);
  stack.addStackDependency(registry, 'its image is pushed to its repository');
  for (const routing of behind) {
    stack.addStackDependency(routing.stack, 'a service needs a target group that a listener uses');
  }
  last.addStackDependency(stack, 'the phase is reached when every service is');
  stacks.push(stack);
}
const watch = newWatch(app, routings);
for (const stack of stacks) {
  watch.addStackDependency(stack, 'a saved query needs the log groups that it asks');
}

// Images wait for the stack of their repositories, in any order of work.
const manifestFile = path.join(app.synth().directory, 'manifest.json');
const manifest = JSON.parse(fs.readFileSync(manifestFile, 'utf8'));
for (const { name } of all) {
  const assets = manifest.artifacts[`${env}-${pascal(name)}.assets`];
  assets.dependencies = [...(assets.dependencies ?? []), `${env}-Registry`];
}
fs.writeFileSync(manifestFile, JSON.stringify(manifest, null, 2));
