package stacks

import (
	"strconv"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecrassets"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"cutover/config"
	"cutover/internal/build"
	"cutover/migration"
)

const (
	// containerPort is where every service listens.
	containerPort = 3000
	// containerUser is a numeric user and group that own nothing.
	containerUser = "65532:65532"
	// stopGraceSeconds is how long a service has to answer what has begun when it is
	// told to stop: a request's whole time, even if it was not taken from its target
	// group before. stopSeconds is how long its container has between SIGTERM and
	// SIGKILL, a little longer.
	stopGraceSeconds = deregistrationSeconds
	stopSeconds      = stopGraceSeconds + 5
)

// ServiceProps is what a service's stack is made of.
type ServiceProps struct {
	Service config.Service
	// Monolith is the name of the one that the service is compared with; empty for the
	// monolith itself.
	Monolith string
	// Tasks says how many tasks run in this phase.
	Tasks migration.Tasks
	// Context is the directory of the image's Docker build context.
	Context string
	// Alike is what it has in common with the other services.
	Alike *Alike
	// Routings are the load balancers that the service is behind. Each has a target
	// group for it, which a listener must use already.
	Routings []*Routing
}

// Alike is what all services have alike. CDK is a process of its own and each of
// its objects costs a round trip to it, so these are made once and not for every
// service.
type Alike struct {
	platform        awsecrassets.Platform
	buildArgs       *map[string]*string
	linuxParameters awsecs.LinuxParameters
	healthCheck     *awsecs.HealthCheck
	stopTimeout     awscdk.Duration
	cluster         awsecs.ICluster
	capacity        *[]*awsecs.CapacityProviderStrategy
	placement       *[]awsecs.PlacementStrategy
	gracePeriod     awscdk.Duration
}

func newAlike(scope constructs.Construct, s config.Settings, cluster *Cluster) *Alike {
	a := &Alike{
		platform:        awsecrassets.Platform_LINUX_AMD64(),
		buildArgs:       &map[string]*string{build.TimeArgument: jsii.String(strconv.FormatInt(build.Time.Unix(), 10))},
		linuxParameters: awsecs.NewLinuxParameters(scope, jsii.String("LinuxParameters"), nil),
		stopTimeout:     awscdk.Duration_Seconds(jsii.Number(stopSeconds)),
		cluster:         cluster.Cluster,
		capacity: &[]*awsecs.CapacityProviderStrategy{{
			CapacityProvider: cluster.CapacityProvider.CapacityProviderName(),
			Weight:           jsii.Number(1),
		}},
		// First apart, so that a zone may fail, then close, so that instances fill up.
		placement: &[]awsecs.PlacementStrategy{
			awsecs.PlacementStrategy_SpreadAcross(awsecs.BuiltInAttributes_AVAILABILITY_ZONE()),
			awsecs.PlacementStrategy_PackedByMemory(),
		},
		// A service answers milliseconds after its start. This is how long a task that
		// does not is borne, and with it how long a bad deployment lasts.
		gracePeriod: awscdk.Duration_Seconds(jsii.Number(15)),
	}
	if s.Arch == "arm64" {
		a.platform = awsecrassets.Platform_LINUX_ARM64()
	}
	a.linuxParameters.DropCapabilities(awsecs.Capability_ALL)
	// The first check is an interval after the start, and a deployment waits for it.
	// But each is a process to be started, which is most of what an idle task takes.
	a.healthCheck = &awsecs.HealthCheck{
		Interval: awscdk.Duration_Seconds(jsii.Number(10)),
		Timeout:  awscdk.Duration_Seconds(jsii.Number(5)),
		Retries:  jsii.Number(3),
	}
	return a
}

// NewService adds the stack of one service: its image, its task definition with
// roles of its own, and the ECS service.
func NewService(scope constructs.Construct, s config.Settings, props *ServiceProps) awscdk.Stack {
	name := props.Service.Name
	stack := newStack(scope, s, config.Pascal(name), "Service "+name, awscdk.NewDefaultStackSynthesizer(&awscdk.DefaultStackSynthesizerProps{
		ImageAssetsRepositoryName: jsii.String(s.Name(name)),
		DockerTagPrefix:           jsii.String("v1-"),
	}))
	tagService(stack, name)
	definition, role := newTaskDefinition(stack, s, props)
	service := newECSService(stack, s, props, definition, role)
	scale(stack, props, service)
	var alarms []awscloudwatch.Alarm
	for _, routing := range props.Routings {
		if routing.Alarms != nil {
			alarms = append(alarms, routing.Alarms.watch(stack, s, props, routing, service)...)
		}
	}
	rollBack(service, alarms)
	return stack
}

// newTaskDefinition returns the task definition and its execution role.
func newTaskDefinition(stack awscdk.Stack, s config.Settings, props *ServiceProps) (awsecs.TaskDefinition, awsiam.IRole) {
	name := props.Service.Name
	definition := awsecs.NewEc2TaskDefinition(stack, jsii.String("TaskDefinition"), &awsecs.Ec2TaskDefinitionProps{
		Family:      jsii.String(s.Name(name)),
		NetworkMode: awsecs.NetworkMode_BRIDGE,
	})

	environment := map[string]*string{
		"PORT":         jsii.String(strconv.Itoa(containerPort)),
		"STOP_TIMEOUT": jsii.String(strconv.Itoa(stopGraceSeconds) + "s"),
	}
	for key, value := range props.Service.Environment {
		environment[key] = jsii.String(value)
	}
	healthCheck := *props.Alike.healthCheck
	healthCheck.Command = jsii.Strings("CMD", "/"+name, "healthcheck")

	definition.AddContainer(jsii.String(name), &awsecs.ContainerDefinitionOptions{
		Image: awsecs.ContainerImage_FromDockerImageAsset(awsecrassets.NewDockerImageAsset(stack, jsii.String("Image"), &awsecrassets.DockerImageAssetProps{
			Directory: jsii.String(props.Context),
			AssetName: jsii.String(name),
			Platform:  props.Alike.platform,
			BuildArgs: props.Alike.buildArgs,
		})),
		Essential:            jsii.Bool(true),
		Cpu:                  jsii.Number(props.Service.CPU),
		MemoryReservationMiB: jsii.Number(props.Service.MemoryReservationMiB),
		// Host port 0 stands for one that the instance picks, so that several tasks
		// of a service fit on one instance.
		PortMappings: &[]*awsecs.PortMapping{{
			ContainerPort: jsii.Number(containerPort),
			HostPort:      jsii.Number(0),
			Protocol:      awsecs.Protocol_TCP,
		}},
		Environment: &environment,
		Logging: awsecs.LogDriver_AwsLogs(&awsecs.AwsLogDriverProps{
			LogGroup:     newLogGroup(stack, "LogGroup", s, jsii.String(logGroup(s, name))),
			StreamPrefix: jsii.String(name),
			// A full buffer drops log lines instead of stopping the service.
			Mode: awsecs.AwsLogDriverMode_NON_BLOCKING,
		}),
		HealthCheck:            &healthCheck,
		StopTimeout:            props.Alike.stopTimeout,
		User:                   jsii.String(containerUser),
		ReadonlyRootFilesystem: jsii.Bool(true),
		DockerSecurityOptions:  jsii.Strings("no-new-privileges"),
		LinuxParameters:        props.Alike.linuxParameters,
	})
	suppress(definition, suppression{rule: "AwsSolutions-ECS2",
		reason: "What differs between environments is configured by variables. None is secret; a secret would come from Secrets Manager"})
	role := definition.ExecutionRole()
	suppress(role.Node().FindChild(jsii.String("DefaultPolicy")),
		suppression{"AwsSolutions-IAM5", "ecr:GetAuthorizationToken knows no resources", []string{"Resource::*"}})
	return definition, role
}

func newECSService(stack awscdk.Stack, s config.Settings, props *ServiceProps, definition awsecs.TaskDefinition, role awsiam.IRole) awsecs.Ec2Service {
	name := props.Service.Name
	var count *float64 // left out, an update keeps the number that autoscaling has set
	if !props.Tasks.Kept {
		count = jsii.Number(props.Tasks.Count)
	}
	service := awsecs.NewEc2Service(stack, jsii.String("Service"), &awsecs.Ec2ServiceProps{
		ServiceName:                jsii.String(name),
		Cluster:                    props.Alike.cluster,
		TaskDefinition:             definition,
		DesiredCount:               count,
		CapacityProviderStrategies: props.Alike.capacity,
		PlacementStrategies:        props.Alike.placement,
		MinHealthyPercent:          jsii.Number(100),
		MaxHealthyPercent:          jsii.Number(200),
		CircuitBreaker:             &awsecs.DeploymentCircuitBreaker{Enable: jsii.Bool(true), Rollback: jsii.Bool(true)},
		HealthCheckGracePeriod:     props.Alike.gracePeriod,
		EnableECSManagedTags:       jsii.Bool(true),
		PropagateTags:              awsecs.PropagatedTagSource_SERVICE,
	})
	node := service.Node()
	// Without its policy the first tasks could neither pull their image nor log: they
	// would fail, and the deployment with them.
	node.AddDependency(role)
	// Attached here and not with AttachToApplicationTargetGroup, which would have
	// the service's stack change the instances' security group: the one rule that
	// lets the load balancer in is the network's.
	var balancers []any
	for _, routing := range props.Routings {
		balancers = append(balancers, &awsecs.CfnService_LoadBalancerProperty{
			ContainerName:  jsii.String(name),
			ContainerPort:  jsii.Number(containerPort),
			TargetGroupArn: routing.TargetGroups[name].TargetGroupArn(),
		})
	}
	node.DefaultChild().(awsecs.CfnService).SetLoadBalancers(&balancers)
	return service
}
