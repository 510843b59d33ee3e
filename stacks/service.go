package stacks

import (
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecrassets"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"cutover/config"
	"cutover/migration"
)

// ServiceProps are the inputs of a service's stack.
type ServiceProps struct {
	Service config.Service
	// Compared is the target group with which alarms compare the service: the monolith's, or that of
	// the old pair for a new one. Empty for the monolith itself, and once the monolith is removed.
	Compared map[string]string
	// Tasks has the number of tasks in this phase, by pair.
	Tasks map[string]migration.Tasks
	// Context is the directory of the image's Docker build context, if the image is a Go package.
	Context string
	// Alike is the part that all services have in common.
	Alike *Alike
	// Routings are the service's load balancers. Each has a target group for the
	// service, which a listener must use already.
	Routings []*Routing
	// Files has the deployment's file system; nil if there is none.
	Files *Files
	// Data has the records of the services; nil if none keeps them in a database.
	Data *Data
	// Broker is the message broker; nil if no service uses one.
	Broker *Broker
	// Discovery has the namespaces in which services have names.
	Discovery *Discovery
	// Deployment is all of the deployment: whom the service calls, and who calls it.
	Deployment config.Deployment

	// What both pairs have: the log group, and the images of the containers by name.
	logs   awslogs.LogGroup
	images map[string]awsecrassets.DockerImageAsset
}

// pair is one pair of a service in its stack: a task definition and an ECS service, whose target group is
// in the stack of the load balancer.
type pair struct {
	*ServiceProps
	config.Pair
	// id begins the ids of its constructs. It is empty on EC2, whose constructs were there first.
	id string
	// worker says that nobody sends requests to its tasks.
	worker bool
}

func (p *pair) onFargate() bool { return config.Kind(p.Compute) == migration.Fargate }

// construct is the id of a construct of the pair.
func (p *pair) construct(id string) *string { return jsii.String(p.id + id) }

// tasks has the number of tasks in this phase.
func (p *pair) tasks() migration.Tasks { return p.Tasks[p.Name] }

// Alike is the part that all services have in common. It is made once and not for every
// service, for each object is a round trip to CDK's process.
type Alike struct {
	platform        awsecrassets.Platform
	buildArgs       *map[string]*string
	linuxParameters awsecs.LinuxParameters
	healthCheck     *awsecs.HealthCheck
	network         *Network
	cluster         awsecs.ICluster
	capacity        *[]*awsecs.CapacityProviderStrategy
	placement       *[]awsecs.PlacementStrategy
	// groups has the security groups of the tasks that have one of their own, by pair.
	groups map[string]awsec2.SecurityGroup
	// balancers has the names that AWS gives the load balancers, by load balancer.
	balancers map[string]*string
	durations
}

// durations are made once for each number of seconds, for each is a round trip to CDK's process.
type durations map[int]awscdk.Duration

func (d durations) seconds(n int) awscdk.Duration {
	if d[n] == nil {
		d[n] = awscdk.Duration_Seconds(jsii.Number(n))
	}
	return d[n]
}

func newAlike(scope constructs.Construct, s config.Settings, network *Network, cluster *Cluster) *Alike {
	a := &Alike{
		platform:        platform(s),
		buildArgs:       &buildTime,
		linuxParameters: newLinuxParameters(scope, "LinuxParameters"),
		cluster:         cluster.Cluster,
		network:         network,
		// First spread, so that a zone may fail. Then packed, so that instances fill up.
		placement: &[]awsecs.PlacementStrategy{
			awsecs.PlacementStrategy_SpreadAcross(awsecs.BuiltInAttributes_AVAILABILITY_ZONE()),
			awsecs.PlacementStrategy_PackedByMemory(),
		},
		groups:    map[string]awsec2.SecurityGroup{},
		balancers: map[string]*string{},
		durations: durations{},
	}
	if cluster.CapacityProvider != nil {
		a.capacity = &[]*awsecs.CapacityProviderStrategy{{
			CapacityProvider: cluster.CapacityProvider,
			Weight:           jsii.Number(1),
		}}
	}
	// A deployment waits for the first check, an interval after the start. But each
	// check starts a process, which is most of an idle task's load.
	a.healthCheck = &awsecs.HealthCheck{
		Interval: a.seconds(10),
		Timeout:  a.seconds(5),
		Retries:  jsii.Number(3),
	}
	return a
}

// platform is what images are built for.
func platform(s config.Settings) awsecrassets.Platform {
	if s.Arch == "arm64" {
		return awsecrassets.Platform_LINUX_ARM64()
	}
	return awsecrassets.Platform_LINUX_AMD64()
}

// ownRepository pushes images to the repository of a service.
func ownRepository(s config.Settings, service string) awscdk.IStackSynthesizer {
	return awscdk.NewDefaultStackSynthesizer(&awscdk.DefaultStackSynthesizerProps{
		ImageAssetsRepositoryName: jsii.String(s.Name(service)),
		DockerTagPrefix:           jsii.String("v1-"),
	})
}

// NewService adds the stack of one service: its image, its task definition with
// roles of its own, and the ECS service.
func NewService(scope constructs.Construct, s config.Settings, props *ServiceProps) awscdk.Stack {
	name := props.Service.Name
	stack := newStack(scope, s, config.Pascal(name), "Service "+name, ownRepository(s, name))
	tagService(stack, name)
	props.images = map[string]awsecrassets.DockerImageAsset{}
	if !props.Service.Tasked() {
		newServiceLogGroup(stack, s, name) // the logs outlive the tasks
	}
	for _, one := range props.Service.Pairs() {
		p := &pair{ServiceProps: props, Pair: one}
		if one.IsFunction() {
			p.id = "Lambda"
			if alarms := props.Routings[0].Alarms; alarms != nil {
				alarms.watchFunction(stack, s, p)
			}
			continue
		}
		if p.onFargate() {
			p.id = "Fargate"
		}
		definition, role := newTaskDefinition(stack, s, p)
		if p.AwsVPC() {
			p.newTaskSecurityGroup(stack, s)
		}
		ways := p.reachCallees(stack)
		if _, stands := props.Tasks[p.Name]; !stands {
			continue // what the ECS service needs is there
		}
		service := newECSService(stack, s, p, definition, role)
		service.Node().AddDependency(ways...)
		scale(stack, p, service)
		var alarms []awscloudwatch.Alarm
		for _, routing := range props.Routings {
			if routing.Alarms != nil {
				alarms = append(alarms, routing.Alarms.watch(stack, s, p, routing, service)...)
			}
		}
		if _, connected := p.Service.ServiceConnect(); connected && p.Routings[0].Alarms != nil {
			p.Routings[0].Alarms.watchCalls(stack, s, p)
		}
		rollBack(service, alarms)
	}
	addWorkers(stack, s, props)
	if _, table := props.Service.Store.(config.DynamoDB); table && props.Routings[0].Alarms != nil {
		props.Routings[0].Alarms.watchTable(stack, s, props.Service)
	}
	return stack
}

// newRemoved adds the stack of a monolith that is removed. It has the log group alone: the logs
// outlive the service, and the saved queries ask them.
//
// The service has to go before its target groups, or an ECS service would name groups that are
// gone. So the load balancers wait for this stack, and not the other way round as in all other
// phases. On the way back, the groups are created first again.
func newRemoved(scope constructs.Construct, s config.Settings, monolith string, on needs) awscdk.Stack {
	stack := newStack(scope, s, config.Pascal(monolith), "Logs of "+monolith+", which is removed", nil)
	tagService(stack, monolith)
	newServiceLogGroup(stack, s, monolith)
	on.afterGates(stack)
	for _, routing := range on.routings {
		depend(routing.Stack, stack, "the monolith's service goes before its target groups")
	}
	return stack
}

func newServiceLogGroup(stack awscdk.Stack, s config.Settings, service string) awslogs.LogGroup {
	return newLogGroup(stack, "LogGroup", s, jsii.String(logGroup(s, service)))
}

// newTaskDefinition returns the task definition and its execution role.
func newTaskDefinition(stack awscdk.Stack, s config.Settings, p *pair) (awsecs.TaskDefinition, awsiam.IRole) {
	var definition awsecs.TaskDefinition
	switch compute := p.Compute.(type) {
	case config.Fargate:
		definition = newFargateTaskDefinition(stack, s, p, compute)
	default:
		mode := awsecs.NetworkMode_BRIDGE
		if p.AwsVPC() {
			mode = awsecs.NetworkMode_AWS_VPC
		}
		definition = awsecs.NewEc2TaskDefinition(stack, p.construct("TaskDefinition"), &awsecs.Ec2TaskDefinitionProps{
			Family:      jsii.String(s.Name(p.Name)),
			NetworkMode: mode,
		})
		p.sizeForProxy(definition)
	}
	addVolumes(stack, p, definition)
	addContainers(stack, s, p, definition)
	permit(definition.TaskRole(), p.Service.Permissions)
	p.grantStores(stack, s, definition.TaskRole())
	suppress(definition, suppression{rule: "AwsSolutions-ECS2", reason: reasonForVariables(p.Service)})
	role := definition.ExecutionRole()
	onlyForThisAccount(definition.TaskRole(), role)
	if p.Service.Repository() || slices.ContainsFunc(p.Service.Containers(), fromECR) {
		suppress(role.Node().FindChild(jsii.String("DefaultPolicy")),
			suppression{"AwsSolutions-IAM5", "ecr:GetAuthorizationToken knows no resources", []string{"Resource::*"}})
	}
	return definition, role
}

// reasonForVariables says why a task definition may have variables.
func reasonForVariables(s config.Service) string {
	if slices.ContainsFunc(s.Containers(), func(c config.Container) bool { return len(c.Secrets) > 0 }) {
		return "What differs between environments is configured by variables. What is secret comes from Secrets Manager or Parameter Store"
	}
	return "What differs between environments is configured by variables. None is secret; a secret would come from Secrets Manager"
}

func newECSService(stack awscdk.Stack, s config.Settings, p *pair, definition awsecs.TaskDefinition, role awsiam.IRole) awsecs.BaseService {
	var count *float64 // without a count, an update keeps the number of autoscaling
	if !p.tasks().Kept {
		count = jsii.Number(p.tasks().Count)
	}
	var service awsecs.BaseService
	switch compute := p.Compute.(type) {
	case config.Fargate:
		service = newFargateService(stack, s, p, compute, definition, count)
	default:
		service = newEC2Service(stack, s, p, definition, count)
	}
	p.register(stack, service)
	node := service.Node()
	// Without the role's policy, the first tasks could neither pull their image nor log.
	// They and the deployment would fail.
	node.AddDependency(role)
	// AttachToApplicationTargetGroup would let the service's stack change the instances'
	// security group. The rule that admits the load balancer belongs to the network.
	var balancers []any
	for _, routing := range p.Routings {
		balancers = append(balancers, &awsecs.CfnService_LoadBalancerProperty{
			ContainerName:  jsii.String(p.Service.Name),
			ContainerPort:  jsii.Number(p.Service.Port),
			TargetGroupArn: routing.TargetGroups[p.Name].TargetGroupArn(),
		})
	}
	if p.worker {
		return service
	}
	node.DefaultChild().(awsecs.CfnService).SetLoadBalancers(&balancers)
	return service
}

func newEC2Service(stack awscdk.Stack, s config.Settings, p *pair, definition awsecs.TaskDefinition, count *float64) awsecs.BaseService {
	props := &awsecs.Ec2ServiceProps{
		ServiceName:                jsii.String(p.Name),
		Cluster:                    p.Alike.cluster,
		TaskDefinition:             definition,
		DesiredCount:               count,
		CapacityProviderStrategies: p.Alike.capacity,
		PlacementStrategies:        p.Alike.placement,
		MinHealthyPercent:          jsii.Number(100),
		MaxHealthyPercent:          jsii.Number(200),
		CircuitBreaker:             &awsecs.DeploymentCircuitBreaker{Enable: jsii.Bool(true), Rollback: jsii.Bool(true)},
		HealthCheckGracePeriod:     p.Alike.seconds(p.Service.HealthCheck.GracePeriodSeconds),
		EnableECSManagedTags:       jsii.Bool(true),
		PropagateTags:              awsecs.PropagatedTagSource_SERVICE,
	}
	if p.worker {
		props.HealthCheckGracePeriod = nil // of load balancers
	}
	if p.AwsVPC() {
		props.VpcSubnets = &awsec2.SubnetSelection{SubnetType: awsec2.SubnetType_PRIVATE_WITH_EGRESS}
		props.SecurityGroups = p.securityGroups()
		props.ServiceConnectConfiguration = p.serviceConnect(s)
	}
	service := awsecs.NewEc2Service(stack, p.construct("Service"), props)
	for _, attribute := range p.instances().Attributes() {
		service.AddPlacementConstraints(awsecs.PlacementConstraint_MemberOf(jsii.String("attribute:" + attribute + " == true")))
	}
	return service
}
