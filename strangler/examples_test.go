package strangler_test

import (
	"fmt"
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/assertions"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	elb "github.com/aws/aws-cdk-go/awscdk/v2/awselasticloadbalancingv2"
	"github.com/aws/jsii-runtime-go"

	"cutover/strangler"
)

// exampleMigration is the migration of one service, for the example of a gate.
func exampleMigration(stack awscdk.Stack, place string) strangler.Migration {
	group := func(id string) elb.IApplicationTargetGroup {
		return elb.NewApplicationTargetGroup(stack, jsii.String(id), &elb.ApplicationTargetGroupProps{TargetType: elb.TargetType_LAMBDA})
	}
	return strangler.NewMigration(stack, jsii.String("Migration"), &strangler.MigrationProps{
		Listener: elb.ApplicationListener_FromApplicationListenerAttributes(stack, jsii.String("Listener"), &elb.ApplicationListenerAttributes{
			ListenerArn:   jsii.String(listenerARN),
			SecurityGroup: awsec2.SecurityGroup_FromSecurityGroupId(stack, jsii.String("LoadBalancer"), jsii.String("sg-0123456789abcdef1"), nil),
		}),
		Monolith: group("Monolith"),
		Services: &[]*strangler.MigrationService{{
			Name: jsii.String("orders"), Priority: jsii.Number(110), Conditions: paths("/api/orders*"), TargetGroup: group("Orders"), Place: jsii.String(place),
		}},
	})
}

// sorted returns a property of all resources of a type.
func sorted(stack awscdk.Stack, kind, property string) (values []string) {
	for _, r := range *assertions.Template_FromStack(stack, nil).FindResources(jsii.String(kind), nil) {
		values = append(values, fmt.Sprint((*r)["Properties"].(map[string]any)[property]))
	}
	slices.Sort(values)
	return values
}
