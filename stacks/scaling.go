package stacks

import (
	"fmt"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsapplicationautoscaling"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecs"
	"github.com/aws/jsii-runtime-go"
)

// scale has autoscaling decide how many tasks the service runs, by itself and
// whatever the others do. [migration.Tasks] says in which phases, and why the service
// then has no count in the template. The instances follow, by the capacity provider.
//
// A scalable target that is registered brings the count between its bounds
// (https://docs.aws.amazon.com/autoscaling/application/APIReference/API_RegisterScalableTarget.html),
// which CloudFormation does not wait for. It matters where a service is new and has
// traffic already, in an environment that begins with it: such a service starts with
// one task, and those up to the least follow within a minute. A count below the least
// that comes later, as the 0 of a phase until CloudFormation has deleted the scalable
// target, stays unless an alarm wants more tasks, for which it takes load
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-auto-scaling.html).
// With the scalable target its policies go and their alarms; the count stays what it is
// (https://docs.aws.amazon.com/autoscaling/application/APIReference/API_DeregisterScalableTarget.html).
//
// The role is the one that Application Auto Scaling has in every account for ECS
// (https://docs.aws.amazon.com/autoscaling/application/userguide/application-auto-scaling-service-linked-roles.html).
func scale(stack awscdk.Stack, props *ServiceProps, service awsecs.Ec2Service) {
	label := ""
	if props.Service.RequestsPerTask > 0 {
		// One load balancer: a service is behind one, and the monolith behind several
		// may not have this. The construct's own method would take the load balancer's
		// name out of its listener's ARN, as in the alarms.
		at := props.Routings[0]
		label = fmt.Sprintf("%s/%s", *at.Balancer.LoadBalancerFullName(), *at.TargetGroups[props.Service.Name].TargetGroupFullName())
		// In every phase, or the load balancer's stack would have the outputs that this
		// reads in some phases and not in others.
		output(stack, "RequestsLabel", "What autoscaling counts the requests of", jsii.String(label))
	}
	tasks := props.Tasks
	if tasks.Max == 0 {
		return
	}
	target := awsapplicationautoscaling.NewCfnScalableTarget(stack, jsii.String("Scaling"), &awsapplicationautoscaling.CfnScalableTargetProps{
		ServiceNamespace:  jsii.String("ecs"),
		ScalableDimension: jsii.String("ecs:service:DesiredCount"),
		ResourceId: awscdk.Fn_Join(jsii.String("/"), &[]*string{
			jsii.String("service"), props.Alike.cluster.ClusterName(), service.ServiceName(),
		}),
		MinCapacity: jsii.Number(tasks.Count),
		MaxCapacity: jsii.Number(tasks.Max),
	})
	type metric = awsapplicationautoscaling.CfnScalingPolicy_PredefinedMetricSpecificationProperty
	track := func(id string, value int, of *metric) {
		awsapplicationautoscaling.NewCfnScalingPolicy(stack, jsii.String(id), &awsapplicationautoscaling.CfnScalingPolicyProps{
			PolicyName:      jsii.String(id), // which other services may have too
			PolicyType:      jsii.String("TargetTrackingScaling"),
			ScalingTargetId: target.Ref(),
			TargetTrackingScalingPolicyConfiguration: &awsapplicationautoscaling.CfnScalingPolicy_TargetTrackingScalingPolicyConfigurationProperty{
				PredefinedMetricSpecification: of,
				TargetValue:                   jsii.Number(value),
			},
		})
	}
	track("ScaleByCPU", props.Service.TargetCPUPercent, &metric{PredefinedMetricType: jsii.String("ECSServiceAverageCPUUtilization")})
	if label != "" {
		track("ScaleByRequests", props.Service.RequestsPerTask,
			&metric{PredefinedMetricType: jsii.String("ALBRequestCountPerTarget"), ResourceLabel: jsii.String(label)})
	}
}
