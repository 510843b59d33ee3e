package stacks

import (
	"fmt"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsapplicationautoscaling"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecs"
	"github.com/aws/jsii-runtime-go"
)

// scale lets autoscaling decide how many tasks the service runs, independently of other
// services. [migration.Tasks] has the phases of scaling, and the reason why the service
// has no count in the template then. The capacity provider lets the instances follow.
//
// The registration of a scalable target brings the count between its bounds
// (https://docs.aws.amazon.com/autoscaling/application/APIReference/API_RegisterScalableTarget.html).
// CloudFormation does not wait for that. This matters for a new service that has traffic already,
// in a new environment: it starts with one task, and the other tasks follow within a minute.
//
// A count below the minimum can come later: the 0 of a phase, until CloudFormation has deleted the
// scalable target. That count stays unless an alarm asks for more tasks, which takes load
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-auto-scaling.html). The
// deletion of a scalable target deletes its policies and their alarms. The count stays
// (https://docs.aws.amazon.com/autoscaling/application/APIReference/API_DeregisterScalableTarget.html).
//
// The role is Application Auto Scaling's role for ECS, which every account has
// (https://docs.aws.amazon.com/autoscaling/application/userguide/application-auto-scaling-service-linked-roles.html).
func scale(stack awscdk.Stack, p *pair, service awsecs.BaseService) {
	label := ""
	if p.Service.RequestsPerTask > 0 {
		// There is only one load balancer here: a service has one, and a monolith with
		// several may not have this setting. The construct's own method would cut the load
		// balancer's name out of its listener's ARN, as in the alarms.
		at := p.Routings[0]
		label = fmt.Sprintf("%s/%s", *at.fullName, *at.fullNameOf(p.Name))
		// In every phase, so that the load balancer's stack has the same outputs in all of them.
		output(stack, p.id+"RequestsLabel", "What autoscaling counts the requests of", jsii.String(label))
	}
	tasks := p.tasks()
	if tasks.Max == 0 {
		return
	}
	target := p.newScalableTarget(stack, service)
	type metric = awsapplicationautoscaling.CfnScalingPolicy_PredefinedMetricSpecificationProperty
	track := func(id string, value int, of *metric) {
		awsapplicationautoscaling.NewCfnScalingPolicy(stack, p.construct(id), &awsapplicationautoscaling.CfnScalingPolicyProps{
			PolicyName:      jsii.String(id), // other services may have the same
			PolicyType:      jsii.String("TargetTrackingScaling"),
			ScalingTargetId: target.Ref(),
			TargetTrackingScalingPolicyConfiguration: &awsapplicationautoscaling.CfnScalingPolicy_TargetTrackingScalingPolicyConfigurationProperty{
				PredefinedMetricSpecification: of,
				TargetValue:                   jsii.Number(value),
			},
		})
	}
	track("ScaleByCPU", p.Service.TargetCPUPercent, &metric{PredefinedMetricType: jsii.String("ECSServiceAverageCPUUtilization")})
	if label != "" {
		track("ScaleByRequests", p.Service.RequestsPerTask,
			&metric{PredefinedMetricType: jsii.String("ALBRequestCountPerTarget"), ResourceLabel: jsii.String(label)})
	}
}

// newScalableTarget lets autoscaling set how many tasks the service runs.
func (p *pair) newScalableTarget(stack awscdk.Stack, service awsecs.BaseService) awsapplicationautoscaling.CfnScalableTarget {
	return awsapplicationautoscaling.NewCfnScalableTarget(stack, p.construct("Scaling"), &awsapplicationautoscaling.CfnScalableTargetProps{
		ServiceNamespace:  jsii.String("ecs"),
		ScalableDimension: jsii.String("ecs:service:DesiredCount"),
		ResourceId: awscdk.Fn_Join(jsii.String("/"), &[]*string{
			jsii.String("service"), p.Alike.cluster.ClusterName(), service.ServiceName(),
		}),
		MinCapacity: jsii.Number(p.tasks().Count),
		MaxCapacity: jsii.Number(p.tasks().Max),
	})
}
