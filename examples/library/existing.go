package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecs"
	elb "github.com/aws/aws-cdk-go/awscdk/v2/awselasticloadbalancingv2"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// existing is what another team has deployed long ago. It stands in this app so that the example needs nothing else.
type existing struct {
	cluster       awsecs.ICluster
	listener      elb.IApplicationListener
	balancerGroup awsec2.ISecurityGroup
	monolith      elb.IApplicationTargetGroup
}

// newExisting adds the stack of the other team: a monolith as an ECS service, and a load balancer with a rule of their own.
func newExisting(app constructs.Construct) existing {
	stack := awscdk.NewStack(app, jsii.String("Existing"), nil)
	vpc := awsec2.NewVpc(stack, jsii.String("Vpc"), &awsec2.VpcProps{NatGateways: jsii.Number(1)})
	cluster := awsecs.NewCluster(stack, jsii.String("Cluster"), &awsecs.ClusterProps{Vpc: vpc})
	group := awsec2.NewSecurityGroup(stack, jsii.String("BalancerGroup"), &awsec2.SecurityGroupProps{Vpc: vpc})
	balancer := elb.NewApplicationLoadBalancer(stack, jsii.String("Balancer"), &elb.ApplicationLoadBalancerProps{
		Vpc: vpc, InternetFacing: jsii.Bool(true), SecurityGroup: group,
	})
	definition := awsecs.NewFargateTaskDefinition(stack, jsii.String("Task"), nil)
	definition.AddContainer(jsii.String("monolith"), &awsecs.ContainerDefinitionOptions{
		Image:        awsecs.ContainerImage_FromAsset(jsii.String("app"), nil),
		PortMappings: &[]*awsecs.PortMapping{{ContainerPort: jsii.Number(8080)}},
	})
	monolith := awsecs.NewFargateService(stack, jsii.String("Monolith"), &awsecs.FargateServiceProps{
		Cluster: cluster, TaskDefinition: definition, MinHealthyPercent: jsii.Number(100),
	})
	listener := balancer.AddListener(jsii.String("Listener"), &elb.BaseApplicationListenerProps{Port: jsii.Number(80)})
	targets := listener.AddTargets(jsii.String("Monolith"), &elb.AddApplicationTargetsProps{
		Port: jsii.Number(8080), Protocol: elb.ApplicationProtocol_HTTP, Targets: &[]elb.IApplicationLoadBalancerTarget{monolith},
		HealthCheck: &elb.HealthCheck{Path: jsii.String("/healthz")},
	})
	listener.AddAction(jsii.String("Teapot"), &elb.AddApplicationActionProps{
		Priority:   jsii.Number(10),
		Conditions: &[]elb.ListenerCondition{elb.ListenerCondition_PathPatterns(jsii.Strings("/teapot"))},
		Action:     elb.ListenerAction_FixedResponse(jsii.Number(418), nil),
	})
	awscdk.NewCfnOutput(stack, jsii.String("Address"), &awscdk.CfnOutputProps{Value: balancer.LoadBalancerDnsName()})
	awscdk.NewCfnOutput(stack, jsii.String("ListenerArn"), &awscdk.CfnOutputProps{Value: listener.ListenerArn()})
	return existing{cluster, listener, group, targets}
}
