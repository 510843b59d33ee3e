package stacks

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsautoscaling"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"cutover/assets"
	"cutover/config"
	"cutover/migration"
)

// Cluster is where tasks run: an ECS cluster and the EC2 instances behind it.
type Cluster struct {
	// Stack is nil if the cluster exists already.
	Stack   awscdk.Stack
	Cluster awsecs.ICluster
	// CapacityProvider is the name of that of the instances; nil if no service is on EC2.
	CapacityProvider *string
}

// NewCluster adds the cluster's stack, or imports a cluster that exists.
func NewCluster(scope constructs.Construct, d config.Deployment, s config.Settings, network *Network) *Cluster {
	if s.ClusterName != "" {
		c := &Cluster{Cluster: awsecs.Cluster_FromClusterAttributes(network.Stack, jsii.String("existing-cluster"), &awsecs.ClusterAttributes{
			ClusterName: jsii.String(s.ClusterName), Vpc: network.VPC, HasEc2Capacity: jsii.Bool(s.CapacityProvider != ""),
		})}
		if s.CapacityProvider != "" {
			c.CapacityProvider = jsii.String(s.CapacityProvider)
		}
		return c
	}
	c := &Cluster{Stack: newStack(scope, s, clusterStack, "ECS cluster on EC2 instances", nil)}
	cluster := awsecs.NewCluster(c.Stack, jsii.String("Cluster"), &awsecs.ClusterProps{
		ClusterName:         jsii.String(s.Env),
		Vpc:                 network.VPC,
		ContainerInsightsV2: awsecs.ContainerInsights_ENABLED,
	})
	if d.On(migration.Fargate) {
		cluster.EnableFargateCapacityProviders()
	}
	c.Cluster = cluster
	output(c.Stack, "ClusterName", "The ECS cluster", cluster.ClusterName())
	if !d.On(migration.EC2) {
		return c
	}
	provider := awsecs.NewAsgCapacityProvider(c.Stack, jsii.String("CapacityProvider"), &awsecs.AsgCapacityProviderProps{
		AutoScalingGroup:                   newInstances(c, d, s, network),
		EnableManagedScaling:               jsii.Bool(true),
		EnableManagedTerminationProtection: jsii.Bool(true),
		EnableManagedDraining:              jsii.Bool(true),
		TargetCapacityPercent:              jsii.Number(100),
	})
	cluster.AddAsgCapacityProvider(provider, nil)
	c.CapacityProvider = provider.CapacityProviderName()
	return c
}

// newInstances makes the Auto Scaling group. The capacity provider sets its size
// between the bounds, so the template does not.
func newInstances(c *Cluster, d config.Deployment, s config.Settings, network *Network) awsautoscaling.AutoScalingGroup {
	stack := c.Stack
	hardware := awsecs.AmiHardwareType_STANDARD
	if s.Arch == "arm64" {
		hardware = awsecs.AmiHardwareType_ARM
	}
	userData := awsec2.UserData_ForLinux(nil)
	userData.AddCommands(jsii.String(assets.UserData(instancesOf(d))))
	template := awsec2.NewLaunchTemplate(stack, jsii.String("LaunchTemplate"), &awsec2.LaunchTemplateProps{
		InstanceType: awsec2.NewInstanceType(jsii.String(s.InstanceTypes[0])),
		MachineImage: awsecs.EcsOptimizedImage_AmazonLinux2023(hardware, nil),
		UserData:     userData,
		// The capacity provider would add permissions for tasks without an execution
		// role: any log group, any repository.
		Role:                     newInstanceRole(c, d, s).WithoutPolicyUpdates(nil),
		SecurityGroup:            network.InstanceSecurityGroup,
		AssociatePublicIpAddress: jsii.Bool(false),
		// A hop limit of 1 ends at the instance. A container in bridge mode is one hop further away.
		HttpTokens:              awsec2.LaunchTemplateHttpTokens_REQUIRED,
		HttpPutResponseHopLimit: jsii.Number(1),
		BlockDevices: &[]*awsec2.BlockDevice{{
			DeviceName: jsii.String("/dev/xvda"),
			Volume: awsec2.BlockDeviceVolume_Ebs(jsii.Number(30), &awsec2.EbsDeviceOptions{
				VolumeType: awsec2.EbsDeviceVolumeType_GP3,
				Encrypted:  jsii.Bool(true),
			}),
		}},
	})
	types := make([]*awsautoscaling.LaunchTemplateOverrides, len(s.InstanceTypes))
	for i, name := range s.InstanceTypes {
		types[i] = &awsautoscaling.LaunchTemplateOverrides{InstanceType: awsec2.NewInstanceType(jsii.String(name))}
	}
	group := awsautoscaling.NewAutoScalingGroup(stack, jsii.String("Instances"), &awsautoscaling.AutoScalingGroupProps{
		Vpc:        network.VPC,
		VpcSubnets: &awsec2.SubnetSelection{SubnetType: awsec2.SubnetType_PRIVATE_WITH_EGRESS},
		MixedInstancesPolicy: &awsautoscaling.MixedInstancesPolicy{
			LaunchTemplate:          template,
			LaunchTemplateOverrides: &types,
			// By their order, not by the lowest price: the first type is the preferred one.
			InstancesDistribution: &awsautoscaling.InstancesDistribution{
				OnDemandAllocationStrategy: awsautoscaling.OnDemandAllocationStrategy_PRIORITIZED,
			},
		},
		MinCapacity: jsii.Number(s.MinInstances),
		MaxCapacity: jsii.Number(s.MaxInstances),
	})
	suppress(group,
		suppression{rule: "AwsSolutions-AS3", reason: "Instances come and go with the tasks, which is no news. Whether the services have tasks is, and the setting alarms watches that"},
		suppression{"CdkNagValidationFailure", "The rule looks for the launch template beside the mixed instances policy and not in it; its volume is encrypted", []string{"AwsSolutions-EC26"}})
	return group
}

// newInstanceRole makes the role of the instances, for the ECS agent and Session
// Manager. It names the cluster without a reference, so that it need not wait for the
// cluster: the stack's longest chain begins with the role, and the instances wait.
// Every action has the narrowest resource that AWS allows
// (https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerservice.html,
// …/list_awssystemsmanager.html, …/list_amazonsessionmanagermessagegatewayservice.html).
func newInstanceRole(c *Cluster, d config.Deployment, s config.Settings) awsiam.Role {
	allow := func(resource string, actions ...string) *awsiam.PolicyStatementProps {
		return &awsiam.PolicyStatementProps{Actions: jsii.Strings(actions...), Resources: jsii.Strings(resource)}
	}
	instances := func(service, kind string) string {
		return *c.Stack.FormatArn(&awscdk.ArnComponents{
			Service: jsii.String(service), Resource: jsii.String(kind), ResourceName: jsii.String("*"),
		})
	}
	cluster := *c.Stack.FormatArn(&awscdk.ArnComponents{
		Service: jsii.String("ecs"), Resource: jsii.String("cluster"), ResourceName: jsii.String(s.Env),
	})
	polling := allow(instances("ecs", "container-instance"), "ecs:Poll", "ecs:StartTelemetrySession")
	polling.Conditions = &map[string]any{"ArnEquals": map[string]any{"ecs:cluster": cluster}}
	agent := []*awsiam.PolicyStatementProps{
		allow(cluster,
			"ecs:DeregisterContainerInstance",
			"ecs:RegisterContainerInstance",
			"ecs:SubmitAttachmentStateChanges",
			"ecs:SubmitContainerStateChange",
			"ecs:SubmitTaskStateChange",
		),
		polling,
		allow("*", "ecs:DiscoverPollEndpoint"),
	}
	if d.ProxiesOnInstances() {
		// The proxies of Service Connect get their configuration through the agent. AWS does not document
		// the resource; without it no proxy becomes healthy: https://github.com/aws/aws-cdk/issues/28594,
		// https://github.com/aws/amazon-ecs-service-connect-agent/issues/142.
		agent = append(agent, allow(*c.Stack.FormatArn(&awscdk.ArnComponents{
			Service: jsii.String("ecs"), Resource: jsii.String("task-set"), ResourceName: jsii.String(s.Env + "/*"),
		}), "ecs:Poll"))
	}
	document := func(statements ...*awsiam.PolicyStatementProps) awsiam.PolicyDocument {
		d := awsiam.NewPolicyDocument(nil)
		for _, s := range statements {
			d.AddStatements(awsiam.NewPolicyStatement(s))
		}
		return d
	}
	role := awsiam.NewRole(c.Stack, jsii.String("InstanceRole"), &awsiam.RoleProps{
		AssumedBy:   awsiam.NewServicePrincipal(jsii.String("ec2.amazonaws.com"), nil),
		Description: jsii.String("ECS agent and SSM Session Manager; no container can use it"),
		InlinePolicies: &map[string]awsiam.PolicyDocument{
			"EcsAgent": document(agent...),
			"SessionManager": document(
				allow(instances("ec2", "instance"), "ssm:UpdateInstanceInformation"),
				allow("*",
					"ssmmessages:CreateControlChannel",
					"ssmmessages:CreateDataChannel",
					"ssmmessages:OpenControlChannel",
					"ssmmessages:OpenDataChannel",
				),
			),
		},
	})
	suppress(role, suppression{rule: "AwsSolutions-IAM5", reason: "ECS and EC2 make the ids of instances, and the other actions know no resources: docs/isolation.md names each wildcard"})
	return role
}
