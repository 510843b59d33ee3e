package stacks

import (
	"fmt"
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecs"
	"github.com/aws/jsii-runtime-go"

	"cutover/config"
)

// newFargateTaskDefinition returns a task definition in network mode awsvpc, with a size for the whole
// task.
func newFargateTaskDefinition(stack awscdk.Stack, s config.Settings, p *pair, compute config.Fargate) awsecs.TaskDefinition {
	architecture := awsecs.CpuArchitecture_X86_64()
	if s.Arch == "arm64" {
		architecture = awsecs.CpuArchitecture_ARM64()
	}
	props := &awsecs.FargateTaskDefinitionProps{
		Family:         jsii.String(s.Name(p.Name)),
		Cpu:            jsii.Number(compute.CPU),
		MemoryLimitMiB: jsii.Number(compute.MemoryMiB),
		RuntimePlatform: &awsecs.RuntimePlatform{
			CpuArchitecture: architecture, OperatingSystemFamily: awsecs.OperatingSystemFamily_LINUX(),
		},
	}
	if compute.EphemeralStorageGiB > config.FreeStorageGiB {
		props.EphemeralStorageGiB = jsii.Number(compute.EphemeralStorageGiB)
	}
	return awsecs.NewFargateTaskDefinition(stack, p.construct("TaskDefinition"), props)
}

// newFargateService returns an ECS service on Fargate, in the private subnets. Only the load balancer
// reaches its tasks.
func newFargateService(stack awscdk.Stack, s config.Settings, p *pair, compute config.Fargate, definition awsecs.TaskDefinition, count *float64) awsecs.BaseService {
	props := &awsecs.FargateServiceProps{
		ServiceConnectConfiguration: p.serviceConnect(s),
		ServiceName:                 jsii.String(p.Name),
		Cluster:                     p.Alike.cluster,
		TaskDefinition:              definition,
		DesiredCount:                count,
		CapacityProviderStrategies:  spot(compute.SpotPercent),
		VpcSubnets:                  &awsec2.SubnetSelection{SubnetType: awsec2.SubnetType_PRIVATE_WITH_EGRESS},
		SecurityGroups:              p.securityGroups(),
		AssignPublicIp:              jsii.Bool(false),
		MinHealthyPercent:           jsii.Number(100),
		MaxHealthyPercent:           jsii.Number(200),
		CircuitBreaker:              &awsecs.DeploymentCircuitBreaker{Enable: jsii.Bool(true), Rollback: jsii.Bool(true)},
		HealthCheckGracePeriod:      p.Alike.seconds(p.Service.HealthCheck.GracePeriodSeconds),
		EnableECSManagedTags:        jsii.Bool(true),
		PropagateTags:               awsecs.PropagatedTagSource_SERVICE,
	}
	if p.worker {
		props.HealthCheckGracePeriod = nil // of load balancers
	}
	return awsecs.NewFargateService(stack, p.construct("Service"), props)
}

// spot divides tasks between Fargate and Fargate Spot
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-capacity-providers.html).
func spot(percent int) *[]*awsecs.CapacityProviderStrategy {
	var strategies []*awsecs.CapacityProviderStrategy
	for _, one := range []struct {
		provider string
		weight   int
	}{{"FARGATE", 100 - percent}, {"FARGATE_SPOT", percent}} {
		if one.weight > 0 {
			strategies = append(strategies, &awsecs.CapacityProviderStrategy{CapacityProvider: jsii.String(one.provider), Weight: jsii.Number(one.weight)})
		}
	}
	return &strategies
}

// newTaskSecurityGroup makes the security group of the tasks. The load balancer and the callers reach the
// tasks, and the tasks reach the deployment's file system. The rules are in the service's stack, so that a
// new service does not change the network. Those of callers are in the stacks of the callers.
func (p *pair) newTaskSecurityGroup(stack awscdk.Stack, s config.Settings) {
	from := "from the load balancer, "
	if p.worker {
		from = ""
	}
	group := awsec2.NewSecurityGroup(stack, p.construct("SecurityGroup"), &awsec2.SecurityGroupProps{
		Vpc:              p.Alike.network.VPC,
		Description:      jsii.String("Tasks of " + p.Service.Name + ": " + from + "to anywhere"),
		AllowAllOutbound: jsii.Bool(true),
	})
	if !p.worker {
		p.admitRequests(stack, group)
	}
	if slices.ContainsFunc(p.Service.AllVolumes(), func(v config.Volume) bool { return v.FileSystem == "" }) {
		p.Files.admit(stack, p.construct("ToFiles"), group)
	}
	p.admitToDatabase(stack, s, group)
	if p.Service.Broker != "" {
		p.admit(stack, "ToBroker", p.Broker.group, brokerPort, group)
	}
	p.Alike.groups[p.Name] = group
}

// securityGroups are those of the pair's tasks: their own, and those of all tasks.
func (p *pair) securityGroups() *[]awsec2.ISecurityGroup {
	all := append([]awsec2.ISecurityGroup{p.Alike.groups[p.Name]}, p.Alike.network.TaskSecurityGroups...)
	return &all
}

// admitRequests lets the load balancer, and callers in bridge mode, reach the tasks.
func (p *pair) admitRequests(stack awscdk.Stack, group awsec2.SecurityGroup) {
	port := awsec2.Port_Tcp(jsii.Number(p.Service.Port))
	for _, balancer := range p.Alike.network.Balancers {
		group.AddIngressRule(balancer, port, jsii.String("Load balancer"), nil)
	}
	// The group of a load balancer that exists stays as it is.
	if balancer := p.Alike.network.LoadBalancerSecurityGroup; balancer != nil {
		awsec2.NewCfnSecurityGroupEgress(stack, p.construct("FromLoadBalancer"), &awsec2.CfnSecurityGroupEgressProps{
			GroupId:                    balancer.SecurityGroupId(),
			IpProtocol:                 jsii.String("tcp"),
			FromPort:                   jsii.Number(p.Service.Port),
			ToPort:                     jsii.Number(p.Service.Port),
			DestinationSecurityGroupId: group.SecurityGroupId(),
			Description:                jsii.String("Tasks of " + p.Service.Name),
		})
	}
	if p.Deployment.CalledFromInstances(p.Service) {
		group.AddIngressRule(p.Alike.network.InstanceSecurityGroup, port, jsii.String("Callers in bridge mode"), nil)
	}
}

// mountEphemeral gives a container its writable paths on the task's own storage, for Fargate has no
// directories in memory here. An empty volume belongs to root, unless the image has the directory
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/bind-mounts.html).
func mountEphemeral(definition awsecs.TaskDefinition, container awsecs.ContainerDefinition, c config.Container) {
	for i, path := range c.WritablePaths {
		name := jsii.String(fmt.Sprintf("%s-writable-%d", c.Name, i+1))
		definition.AddVolume(&awsecs.Volume{Name: name})
		container.AddMountPoints(&awsecs.MountPoint{SourceVolume: name, ContainerPath: jsii.String(path.Path), ReadOnly: jsii.Bool(false)})
	}
}
