package strangler

import (
	"fmt"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecs"
	elb "github.com/aws/aws-cdk-go/awscdk/v2/awselasticloadbalancingv2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"cutover/migration"
)

// ServiceProps are the properties of a [Service].
type ServiceProps struct {
	// Cluster that runs the service, in a VPC with the load balancer.
	Cluster awsecs.ICluster `field:"required" json:"cluster" yaml:"cluster"`
	// Image of the service's container.
	Image awsecs.ContainerImage `field:"required" json:"image" yaml:"image"`
	// ContainerPort is where the container answers requests and health checks over HTTP.
	ContainerPort *float64 `field:"required" json:"containerPort" yaml:"containerPort"`
	// HealthCheckPath that the load balancer asks every 6 seconds, for a 200.
	//
	// Default: "/".
	//
	HealthCheckPath *string `field:"optional" json:"healthCheckPath" yaml:"healthCheckPath"`
	// Place of the service, as in [MigrationService]. In "monolith", no task runs.
	//
	// Default: the tasks run.
	//
	Place *string `field:"optional" json:"place" yaml:"place"`
	// DesiredCount is the number of tasks, in all places but "monolith".
	//
	// Default: 2.
	//
	DesiredCount *float64 `field:"optional" json:"desiredCount" yaml:"desiredCount"`
	// Cpu of a task, in units of which a vCPU has 1024.
	// See: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-tasks-services.html#fargate-tasks-size
	//
	// Default: 256.
	//
	Cpu *float64 `field:"optional" json:"cpu" yaml:"cpu"`
	// MemoryLimitMiB of a task, in MiB.
	//
	// Default: 512.
	//
	MemoryLimitMiB *float64 `field:"optional" json:"memoryLimitMiB" yaml:"memoryLimitMiB"`
	// RuntimePlatform that the image is for.
	//
	// Default: Linux on X86_64.
	//
	RuntimePlatform *awsecs.RuntimePlatform `field:"optional" json:"runtimePlatform" yaml:"runtimePlatform"`
	// Command of the container.
	//
	// Default: the image's.
	//
	Command *[]*string `field:"optional" json:"command" yaml:"command"`
	// Environment variables of the container.
	//
	// Default: none.
	//
	Environment *map[string]*string `field:"optional" json:"environment" yaml:"environment"`
	// Secrets that the container gets as environment variables.
	//
	// Default: none.
	//
	Secrets *map[string]awsecs.Secret `field:"optional" json:"secrets" yaml:"secrets"`
	// User of the container's processes, and the group after a colon. Not root.
	//
	// Default: "65532:65532", which own nothing.
	//
	User *string `field:"optional" json:"user" yaml:"user"`
	// WritablePaths are directories that the container may write to, on the task's own storage. If the
	// image has the directory, it belongs to the same user there.
	// See: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/bind-mounts.html
	//
	// Default: none; the file system is read-only.
	//
	WritablePaths *[]*string `field:"optional" json:"writablePaths" yaml:"writablePaths"`
	// SecurityGroups of the tasks.
	//
	// Default: one of their own, which the load balancer reaches and which reaches anything.
	//
	SecurityGroups *[]awsec2.ISecurityGroup `field:"optional" json:"securityGroups" yaml:"securityGroups"`
	// VpcSubnets of the tasks.
	//
	// Default: the private subnets.
	//
	VpcSubnets *awsec2.SubnetSelection `field:"optional" json:"vpcSubnets" yaml:"vpcSubnets"`
	// LogRetention of the service's logs.
	//
	// Default: a month.
	//
	LogRetention awslogs.RetentionDays `field:"optional" json:"logRetention" yaml:"logRetention"`
}

// Service is an ECS service on Fargate, with the target group that a [Migration] sends requests to.
//
//   - A deployment starts the new tasks before it stops the old ones, and comes back if they do not get
//     healthy. A task that stops answers the requests that it has, for 15 seconds, and is killed 5
//     seconds later. The program has to go on for that time after SIGTERM.
//   - The container has no capabilities, and its processes are not root's. Its file system is read-only.
//   - Task and ECS agent have a role each, for this account alone. Grant the task what it may do by
//     FargateService().TaskDefinition().TaskRole().
//   - The logs outlive the tasks. They go with the stack.
//
// See: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/AWS_Fargate.html
type Service interface {
	constructs.Construct
	// FargateService is the ECS service.
	FargateService() awsecs.FargateService
	// TargetGroup of the service.
	TargetGroup() elb.ApplicationTargetGroup
}

type serviceConstruct struct {
	constructs.Construct
	service awsecs.FargateService
	group   elb.ApplicationTargetGroup
}

func (s *serviceConstruct) FargateService() awsecs.FargateService { return s.service }

func (s *serviceConstruct) TargetGroup() elb.ApplicationTargetGroup { return s.group }

// How long the requests of a task that goes away may take, and when ECS kills it.
const drainSeconds, stopSeconds = 15, 20

// NewService adds a [Service] to a stack.
func NewService(scope constructs.Construct, id *string, props *ServiceProps) Service {
	s := &serviceConstruct{}
	constructs.NewConstruct_Override(s, scope, id)
	if props == nil {
		props = &ServiceProps{}
	}
	count := s.check(props)
	definition := s.define(props)
	s.service = awsecs.NewFargateService(s, jsii.String("Service"), &awsecs.FargateServiceProps{
		Cluster:                props.Cluster,
		TaskDefinition:         definition,
		DesiredCount:           count,
		VpcSubnets:             props.VpcSubnets,
		SecurityGroups:         props.SecurityGroups,
		AssignPublicIp:         jsii.Bool(false),
		MinHealthyPercent:      jsii.Number(100),
		MaxHealthyPercent:      jsii.Number(200),
		CircuitBreaker:         &awsecs.DeploymentCircuitBreaker{Enable: jsii.Bool(true), Rollback: jsii.Bool(true)},
		HealthCheckGracePeriod: seconds(15),
		EnableECSManagedTags:   jsii.Bool(true),
		PropagateTags:          awsecs.PropagatedTagSource_SERVICE,
	})
	// Without the role's policy, the first tasks could neither pull their image nor log.
	s.service.Node().AddDependency(definition.ExecutionRole())
	s.group = elb.NewApplicationTargetGroup(s, jsii.String("TargetGroup"), &elb.ApplicationTargetGroupProps{
		Vpc:                 props.Cluster.Vpc(),
		TargetType:          elb.TargetType_IP,
		Protocol:            elb.ApplicationProtocol_HTTP,
		Port:                props.ContainerPort,
		DeregistrationDelay: seconds(drainSeconds),
		HealthCheck: &elb.HealthCheck{
			Path:                    or(props.HealthCheckPath, "/"),
			HealthyThresholdCount:   jsii.Number(2),
			UnhealthyThresholdCount: jsii.Number(2),
			Timeout:                 seconds(5),
			Interval:                seconds(6),
		},
	})
	s.service.AttachToApplicationTargetGroup(s.group)
	return s
}

// define returns the task definition, with one container.
func (s *serviceConstruct) define(props *ServiceProps) awsecs.FargateTaskDefinition {
	definition := awsecs.NewFargateTaskDefinition(s, jsii.String("TaskDefinition"), &awsecs.FargateTaskDefinitionProps{
		Cpu:             or(props.Cpu, 256),
		MemoryLimitMiB:  or(props.MemoryLimitMiB, 512),
		RuntimePlatform: props.RuntimePlatform,
		TaskRole:        s.role("TaskRole"),
		ExecutionRole:   s.role("ExecutionRole"),
	})
	retention := props.LogRetention
	if retention == "" {
		retention = awslogs.RetentionDays_ONE_MONTH
	}
	hardened := awsecs.NewLinuxParameters(s, jsii.String("LinuxParameters"), nil)
	hardened.DropCapabilities(awsecs.Capability_ALL)
	container := definition.AddContainer(s.Node().Id(), &awsecs.ContainerDefinitionOptions{
		Image:        props.Image,
		Command:      props.Command,
		Environment:  props.Environment,
		Secrets:      props.Secrets,
		PortMappings: &[]*awsecs.PortMapping{{ContainerPort: props.ContainerPort}},
		Logging: awsecs.LogDriver_AwsLogs(&awsecs.AwsLogDriverProps{
			LogGroup: awslogs.NewLogGroup(s, jsii.String("LogGroup"), &awslogs.LogGroupProps{
				Retention: retention, RemovalPolicy: awscdk.RemovalPolicy_DESTROY,
			}),
			StreamPrefix: s.Node().Id(),
			// A full buffer drops log lines instead of stopping the service.
			Mode: awsecs.AwsLogDriverMode_NON_BLOCKING,
		}),
		StopTimeout:            seconds(stopSeconds),
		User:                   or(props.User, "65532:65532"),
		ReadonlyRootFilesystem: jsii.Bool(true),
		LinuxParameters:        hardened,
	})
	if props.WritablePaths != nil {
		for i, path := range *props.WritablePaths {
			name := jsii.String(fmt.Sprintf("writable-%d", i+1))
			definition.AddVolume(&awsecs.Volume{Name: name})
			container.AddMountPoints(&awsecs.MountPoint{SourceVolume: name, ContainerPath: path, ReadOnly: jsii.Bool(false)})
		}
	}
	return definition
}

// role adds a role that ECS may take for tasks of this account.
func (s *serviceConstruct) role(id string) awsiam.Role {
	return awsiam.NewRole(s, jsii.String(id), &awsiam.RoleProps{
		AssumedBy: awsiam.NewServicePrincipal(jsii.String("ecs-tasks.amazonaws.com"), &awsiam.ServicePrincipalOpts{
			Conditions: &map[string]any{"StringEquals": map[string]any{"aws:SourceAccount": awscdk.Aws_ACCOUNT_ID()}},
		}),
	})
}

// check refuses properties that are wrong, and returns the number of tasks.
func (s *serviceConstruct) check(props *ServiceProps) *float64 {
	w := wrong{construct: s}
	w.required("Cluster", props.Cluster)
	w.required("Image", props.Image)
	w.required("ContainerPort", props.ContainerPort)
	user := *or(props.User, "")
	if name, _, _ := strings.Cut(user, ":"); name == "root" || name == "0" {
		w.add("User is %q: choose a user that is not root", user)
	}
	count := or(props.DesiredCount, 2)
	if props.Place != nil && w.place("Place", props.Place) == (migration.Place{}) {
		count = jsii.Number(0)
	}
	w.panicIfAny()
	return count
}

// or is a property, or its default.
func or[T any](value *T, otherwise T) *T {
	if value == nil {
		return &otherwise
	}
	return value
}

func seconds(n int) awscdk.Duration { return awscdk.Duration_Seconds(jsii.Number(n)) }
