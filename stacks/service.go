package stacks

import (
	"strconv"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecrassets"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"cutover/internal/config"
	"cutover/internal/images"
)

const (
	// containerPort is where every service listens.
	containerPort = 3000
	// containerUser is a numeric user and group that own nothing.
	containerUser = "65532:65532"
	// stopSeconds is how long a container has between SIGTERM and SIGKILL. The
	// service is told to be done a little earlier.
	stopSeconds      = deregistrationSeconds
	stopGraceSeconds = stopSeconds - 5
)

// ServiceProps is what a service's stack is made of.
type ServiceProps struct {
	Service config.Service
	// Tasks is the desired count.
	Tasks int
	// Context is the directory of the image's Docker build context.
	Context string
	Cluster *Cluster
	// Routings are the load balancers that the service is behind. Each has a target
	// group for it, which a listener must use already.
	Routings []*Routing
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
	service := newECSService(stack, s, props, newTaskDefinition(stack, s, props))
	for _, routing := range props.Routings {
		if routing.Alarms != nil {
			routing.Alarms.watch(stack, props, routing, service)
		}
	}
	return stack
}

func newTaskDefinition(stack awscdk.Stack, s config.Settings, props *ServiceProps) awsecs.TaskDefinition {
	name := props.Service.Name
	definition := awsecs.NewEc2TaskDefinition(stack, jsii.String("TaskDefinition"), &awsecs.Ec2TaskDefinitionProps{
		Family:      jsii.String(s.Name(name)),
		NetworkMode: awsecs.NetworkMode_BRIDGE,
	})

	platform := awsecrassets.Platform_LINUX_AMD64()
	if s.Arch == "arm64" {
		platform = awsecrassets.Platform_LINUX_ARM64()
	}
	environment := map[string]*string{
		"PORT":         jsii.String(strconv.Itoa(containerPort)),
		"STOP_TIMEOUT": jsii.String(strconv.Itoa(stopGraceSeconds) + "s"),
	}
	for key, value := range props.Service.Environment {
		environment[key] = jsii.String(value)
	}
	linux := awsecs.NewLinuxParameters(stack, jsii.String("LinuxParameters"), nil)
	linux.DropCapabilities(awsecs.Capability_ALL)

	definition.AddContainer(jsii.String(name), &awsecs.ContainerDefinitionOptions{
		Image: awsecs.ContainerImage_FromDockerImageAsset(awsecrassets.NewDockerImageAsset(stack, jsii.String("Image"), &awsecrassets.DockerImageAssetProps{
			Directory: jsii.String(props.Context),
			AssetName: jsii.String(name),
			Platform:  platform,
			BuildArgs: &map[string]*string{images.TimeArgument: jsii.String(strconv.FormatInt(images.Time.Unix(), 10))},
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
		HealthCheck: &awsecs.HealthCheck{
			Command:  jsii.Strings("CMD", "/"+name, "healthcheck"),
			Interval: awscdk.Duration_Seconds(jsii.Number(10)),
			Timeout:  awscdk.Duration_Seconds(jsii.Number(5)),
			Retries:  jsii.Number(3),
		},
		StopTimeout:            awscdk.Duration_Seconds(jsii.Number(stopSeconds)),
		User:                   jsii.String(containerUser),
		ReadonlyRootFilesystem: jsii.Bool(true),
		DockerSecurityOptions:  jsii.Strings("no-new-privileges"),
		LinuxParameters:        linux,
	})
	suppress(definition, "AwsSolutions-ECS2", "What differs between environments is configured by variables. None is secret; a secret would come from Secrets Manager")
	suppress(definition.ExecutionRole().Node().FindChild(jsii.String("DefaultPolicy")), "AwsSolutions-IAM5",
		"ecr:GetAuthorizationToken knows no resources", "Resource::*")
	return definition
}

func newECSService(stack awscdk.Stack, s config.Settings, props *ServiceProps, definition awsecs.TaskDefinition) awsecs.Ec2Service {
	name := props.Service.Name
	service := awsecs.NewEc2Service(stack, jsii.String("Service"), &awsecs.Ec2ServiceProps{
		ServiceName:    jsii.String(name),
		Cluster:        props.Cluster.Cluster,
		TaskDefinition: definition,
		DesiredCount:   jsii.Number(props.Tasks),
		CapacityProviderStrategies: &[]*awsecs.CapacityProviderStrategy{{
			CapacityProvider: props.Cluster.CapacityProvider.CapacityProviderName(),
			Weight:           jsii.Number(1),
		}},
		// First apart, so that a zone may fail, then close, so that instances fill up.
		PlacementStrategies: &[]awsecs.PlacementStrategy{
			awsecs.PlacementStrategy_SpreadAcross(awsecs.BuiltInAttributes_AVAILABILITY_ZONE()),
			awsecs.PlacementStrategy_PackedByMemory(),
		},
		MinHealthyPercent:      jsii.Number(100),
		MaxHealthyPercent:      jsii.Number(200),
		CircuitBreaker:         &awsecs.DeploymentCircuitBreaker{Enable: jsii.Bool(true), Rollback: jsii.Bool(true)},
		HealthCheckGracePeriod: awscdk.Duration_Seconds(jsii.Number(30)),
		EnableECSManagedTags:   jsii.Bool(true),
		PropagateTags:          awsecs.PropagatedTagSource_SERVICE,
	})
	// Without its policy the first tasks could neither pull their image nor log.
	service.Node().AddDependency(definition.ExecutionRole())
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
	service.Node().DefaultChild().(awsecs.CfnService).SetLoadBalancers(&balancers)
	return service
}
