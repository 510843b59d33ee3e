package strangler_test

import (
	"fmt"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/assertions"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecs"
	elb "github.com/aws/aws-cdk-go/awscdk/v2/awselasticloadbalancingv2"
	"github.com/aws/jsii-runtime-go"

	"cutover/strangler"
)

// One service of a monolith answers every tenth of its requests.
func ExampleMigration() {
	stack := awscdk.NewStack(awscdk.NewApp(nil), jsii.String("Shop"), nil)
	vpc := awsec2.NewVpc(stack, jsii.String("Vpc"), nil)
	listener := elb.ApplicationListener_FromApplicationListenerAttributes(stack, jsii.String("Listener"), &elb.ApplicationListenerAttributes{
		ListenerArn:   jsii.String("arn:aws:elasticloadbalancing:eu-central-1:111111111111:listener/app/shop/1111111111111111/2222222222222222"),
		SecurityGroup: awsec2.SecurityGroup_FromSecurityGroupId(stack, jsii.String("LoadBalancer"), jsii.String("sg-0123456789abcdef1"), nil),
	})
	monolith := elb.ApplicationTargetGroup_FromTargetGroupAttributes(stack, jsii.String("Monolith"), &elb.TargetGroupAttributes{
		TargetGroupArn: jsii.String("arn:aws:elasticloadbalancing:eu-central-1:111111111111:targetgroup/shop/3333333333333333"),
	})
	orders := elb.NewApplicationTargetGroup(stack, jsii.String("OrdersTargets"), &elb.ApplicationTargetGroupProps{
		Vpc: vpc, TargetType: elb.TargetType_IP, Port: jsii.Number(8080),
	})

	migration := strangler.NewMigration(stack, jsii.String("Migration"), &strangler.MigrationProps{
		Listener: listener,
		Monolith: monolith,
		Services: &[]*strangler.MigrationService{{
			Name:        jsii.String("orders"),
			Priority:    jsii.Number(110),
			Conditions:  &[]elb.ListenerCondition{elb.ListenerCondition_PathPatterns(jsii.Strings("/api/orders*"))},
			TargetGroup: orders,
			Place:       jsii.String("10%"),
		}},
	})

	fmt.Println(*(*migration.Places())["orders"])
	for _, rule := range *assertions.Template_FromStack(stack, nil).FindResources(jsii.String("AWS::ElasticLoadBalancingV2::ListenerRule"), nil) {
		properties := (*rule)["Properties"].(map[string]any)
		forward := properties["Actions"].([]any)[0].(map[string]any)["ForwardConfig"].(map[string]any)
		for _, group := range forward["TargetGroups"].([]any) {
			fmt.Println(group.(map[string]any)["Weight"])
		}
	}
	// Output:
	// 10%
	// 10
	// 90
}

// A deployment of this stack fails if orders was in "monolith" before, and changes nothing then.
func ExampleGate() {
	stack := awscdk.NewStack(awscdk.NewApp(nil), jsii.String("Shop"), nil)
	var migration strangler.Migration = exampleMigration(stack, "switched")

	strangler.NewGate(stack, jsii.String("Gate"), &strangler.GateProps{Migration: migration})

	for _, parameter := range sorted(stack, "AWS::SSM::Parameter", "Name") {
		fmt.Println(parameter)
	}
	// Output:
	// /Shop/gate/orders/monolith
	// /Shop/gate/orders/switched
}

// A service runs on a cluster beside the monolith.
func ExampleService() {
	stack := awscdk.NewStack(awscdk.NewApp(nil), jsii.String("Shop"), nil)
	vpc := awsec2.NewVpc(stack, jsii.String("Vpc"), nil)
	listener := elb.NewApplicationLoadBalancer(stack, jsii.String("LoadBalancer"), &elb.ApplicationLoadBalancerProps{Vpc: vpc}).
		AddListener(jsii.String("Listener"), &elb.BaseApplicationListenerProps{Port: jsii.Number(80), Open: jsii.Bool(false)})
	monolith := listener.AddTargets(jsii.String("Monolith"), &elb.AddApplicationTargetsProps{Port: jsii.Number(80)})
	place := jsii.String("parallel")

	orders := strangler.NewService(stack, jsii.String("orders"), &strangler.ServiceProps{
		Cluster:         awsecs.NewCluster(stack, jsii.String("Cluster"), &awsecs.ClusterProps{Vpc: vpc}),
		Image:           awsecs.ContainerImage_FromRegistry(jsii.String("example.com/orders:1"), nil),
		ContainerPort:   jsii.Number(8080),
		HealthCheckPath: jsii.String("/healthz"),
		Place:           place,
	})

	strangler.NewMigration(stack, jsii.String("Migration"), &strangler.MigrationProps{
		Listener: listener,
		Monolith: monolith,
		Services: &[]*strangler.MigrationService{{
			Name:        jsii.String("orders"),
			Priority:    jsii.Number(110),
			Conditions:  &[]elb.ListenerCondition{elb.ListenerCondition_PathPatterns(jsii.Strings("/api/orders*"))},
			TargetGroup: orders.TargetGroup(),
			Place:       place,
		}},
	})
	fmt.Println(sorted(stack, "AWS::ECS::Service", "DesiredCount"))
	// Output: [2]
}
