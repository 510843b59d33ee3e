// The library is a CDK app of its own, in a Go module of its own. A team moves two services, books and loans, out of a
// monolith behind a load balancer that another team has.
//
// Run it in this directory, with the cdk command.
package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecs"
	elb "github.com/aws/aws-cdk-go/awscdk/v2/awselasticloadbalancingv2"
	"github.com/aws/jsii-runtime-go"

	"cutover/strangler"
)

func main() {
	defer jsii.Close()
	app := awscdk.NewApp(nil)
	existing := newExisting(app)
	stack := awscdk.NewStack(app, jsii.String("Library"), nil)
	listener := elb.ApplicationListener_FromApplicationListenerAttributes(stack, jsii.String("Listener"), &elb.ApplicationListenerAttributes{
		ListenerArn:   existing.listener.ListenerArn(),
		SecurityGroup: awsec2.SecurityGroup_FromSecurityGroupId(stack, jsii.String("LoadBalancer"), existing.balancerGroup.SecurityGroupId(), nil),
	})

	var services []*strangler.MigrationService
	for i, name := range []string{"books", "loans"} {
		place, _ := app.Node().TryGetContext(jsii.String(name)).(string) // as in -c books=10%
		if place == "" {
			place = "monolith"
		}
		service := strangler.NewService(stack, jsii.String(name), &strangler.ServiceProps{
			Cluster:         existing.cluster,
			Image:           awsecs.ContainerImage_FromAsset(jsii.String("app"), nil),
			ContainerPort:   jsii.Number(8080),
			HealthCheckPath: jsii.String("/healthz"),
			Place:           jsii.String(place),
			DesiredCount:    jsii.Number(1),
			Environment:     &map[string]*string{"PART": jsii.String(name)},
		})
		services = append(services, &strangler.MigrationService{
			Name:        jsii.String(name),
			Priority:    jsii.Number(100 + i),
			Conditions:  &[]elb.ListenerCondition{elb.ListenerCondition_PathPatterns(jsii.Strings("/api/" + name + "*"))},
			TargetGroup: service.TargetGroup(),
			Place:       jsii.String(place),
		})
	}
	migration := strangler.NewMigration(stack, jsii.String("Migration"), &strangler.MigrationProps{
		Listener: listener,
		Monolith: existing.monolith,
		Services: &services,
	})
	strangler.NewGate(stack, jsii.String("Gate"), &strangler.GateProps{Migration: migration})
	// With a share, a rule names the monolith's group. As an output it is there in all places, and Existing need never be deployed again.
	awscdk.NewCfnOutput(stack, jsii.String("Monolith"), &awscdk.CfnOutputProps{Value: existing.monolith.TargetGroupArn()})
	app.Synth(nil)
}
