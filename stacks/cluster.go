package stacks

import (
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsautoscaling"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"cutover/assets"
	"cutover/internal/config"
)

// Cluster is where tasks run: an ECS cluster and the EC2 instances behind it.
type Cluster struct {
	Stack            awscdk.Stack
	Cluster          awsecs.Cluster
	CapacityProvider awsecs.AsgCapacityProvider
}

// NewCluster adds the cluster's stack.
func NewCluster(scope constructs.Construct, s config.Settings, network *Network) *Cluster {
	c := &Cluster{Stack: newStack(scope, s, clusterStack, "ECS cluster on EC2 instances", nil)}
	c.Cluster = awsecs.NewCluster(c.Stack, jsii.String("Cluster"), &awsecs.ClusterProps{
		ClusterName:         jsii.String(s.Env),
		Vpc:                 network.VPC,
		ContainerInsightsV2: awsecs.ContainerInsights_ENABLED,
	})
	c.CapacityProvider = awsecs.NewAsgCapacityProvider(c.Stack, jsii.String("CapacityProvider"), &awsecs.AsgCapacityProviderProps{
		AutoScalingGroup:                   newInstances(c.Stack, s, network),
		EnableManagedScaling:               jsii.Bool(true),
		EnableManagedTerminationProtection: jsii.Bool(true),
		EnableManagedDraining:              jsii.Bool(true),
		TargetCapacityPercent:              jsii.Number(100),
	})
	c.Cluster.AddAsgCapacityProvider(c.CapacityProvider, nil)
	// What the ECS agent needs, as CDK grants it.
	policy := c.CapacityProvider.AutoScalingGroup().(awsautoscaling.AutoScalingGroup).Role().Node().FindChild(jsii.String("DefaultPolicy"))
	suppress(policy, "AwsSolutions-IAM5", "The agent reports states of tasks and instances, to its own cluster only", "Action::ecs:Submit*")
	suppress(policy, "AwsSolutions-IAM5", "ecs:Poll and ecs:StartTelemetrySession are bound to the cluster by a condition; "+
		"ecs:DiscoverPollEndpoint and ecr:GetAuthorizationToken know no resources; CDK names none for writing logs, and no container reaches this role", "Resource::*")
	output(c.Stack, "ClusterName", "The ECS cluster", c.Cluster.ClusterName())
	return c
}

// newInstances makes the Auto Scaling group. Its size between the bounds is the
// capacity provider's business, so the template sets none.
func newInstances(stack awscdk.Stack, s config.Settings, network *Network) awsautoscaling.AutoScalingGroup {
	hardware := awsecs.AmiHardwareType_STANDARD
	if s.Arch == "arm64" {
		hardware = awsecs.AmiHardwareType_ARM
	}
	userData := awsec2.UserData_ForLinux(nil)
	userData.AddCommands(jsii.String(strings.TrimSpace(assets.UserData)))
	role := awsiam.NewRole(stack, jsii.String("InstanceRole"), &awsiam.RoleProps{
		AssumedBy:   awsiam.NewServicePrincipal(jsii.String("ec2.amazonaws.com"), nil),
		Description: jsii.String("ECS agent and SSM Session Manager; no container can use it"),
		ManagedPolicies: &[]awsiam.IManagedPolicy{
			awsiam.ManagedPolicy_FromAwsManagedPolicyName(jsii.String("AmazonSSMManagedInstanceCore")),
		},
	})
	suppress(role, "AwsSolutions-IAM4", "Session Manager stands in for SSH; AWS keeps the policy to what its agent needs",
		"Policy::arn:<AWS::Partition>:iam::aws:policy/AmazonSSMManagedInstanceCore")
	template := awsec2.NewLaunchTemplate(stack, jsii.String("LaunchTemplate"), &awsec2.LaunchTemplateProps{
		InstanceType:             awsec2.NewInstanceType(jsii.String(s.InstanceTypes[0])),
		MachineImage:             awsecs.EcsOptimizedImage_AmazonLinux2023(hardware, nil),
		UserData:                 userData,
		Role:                     role,
		SecurityGroup:            network.InstanceSecurityGroup,
		AssociatePublicIpAddress: jsii.Bool(false),
		// A hop limit of 1 ends at the instance: a container in bridge mode is one
		// hop further away.
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
			// In their order, not by the lowest price: the first one is what was asked for.
			InstancesDistribution: &awsautoscaling.InstancesDistribution{
				OnDemandAllocationStrategy: awsautoscaling.OnDemandAllocationStrategy_PRIORITIZED,
			},
		},
		MinCapacity: jsii.Number(s.MinInstances),
		MaxCapacity: jsii.Number(s.MaxInstances),
	})
	suppress(group, "AwsSolutions-AS3", "Instances come and go with the tasks, which is no news. Whether the services have tasks is, and the setting alarms watches that")
	suppress(group, "CdkNagValidationFailure", "The rule looks for the launch template beside the mixed instances policy and not in it; its volume is encrypted", "AwsSolutions-EC26")
	return group
}
