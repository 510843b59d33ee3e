package stacks

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatchactions"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecs"
	elb "github.com/aws/aws-cdk-go/awscdk/v2/awselasticloadbalancingv2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/jsii-runtime-go"

	"cutover/internal/config"
)

// Alarms tells people what they would want to hear of at once.
type Alarms struct {
	// Topic is what every alarm tells, one for all load balancers. Who wants to know
	// subscribes to it.
	Topic awssns.Topic
	// Balancer is the load balancer whose metrics are watched.
	Balancer elb.ApplicationLoadBalancer
}

// newAlarms adds the alarm of the load balancer itself, and the topic if it is
// the first one.
func newAlarms(stack awscdk.Stack, balancer elb.ApplicationLoadBalancer, first *Alarms) *Alarms {
	a := &Alarms{Balancer: balancer}
	if first == nil {
		a.Topic = newAlarmTopic(stack)
	} else {
		a.Topic = first.Topic
	}
	// Its 503 are left out: after the switch they answer what no service has, and
	// before it the services' own alarms tell of them.
	metrics := balancer.Metrics()
	a.add(stack, "LoadBalancerErrors", &awscloudwatch.AlarmProps{
		AlarmDescription: jsii.String("The load balancer answers with 5xx other than 503 by itself: 10 times or more in 5 minutes"),
		Metric: awscloudwatch.NewMathExpression(&awscloudwatch.MathExpressionProps{
			Expression: jsii.String("FILL(all, 0) - FILL(unavailable, 0)"),
			UsingMetrics: &map[string]awscloudwatch.IMetric{
				"all":         metrics.HttpCodeElb(elb.HttpCodeElb_ELB_5XX_COUNT, nil),
				"unavailable": metrics.HttpCodeElb(elb.HttpCodeElb_ELB_503_COUNT, nil),
			},
			Label:  jsii.String("5xx other than 503"),
			Period: awscdk.Duration_Minutes(jsii.Number(5)),
		}),
		Threshold:         jsii.Number(10),
		EvaluationPeriods: jsii.Number(1),
	})
	return a
}

func newAlarmTopic(stack awscdk.Stack) awssns.Topic {
	// CloudWatch cannot use the key that AWS keeps for SNS
	// (https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html).
	key := awskms.NewKey(stack, jsii.String("AlarmKey"), &awskms.KeyProps{
		Description:       jsii.String("What alarms say"),
		EnableKeyRotation: jsii.Bool(true),
		// Nothing is stored with it.
		RemovalPolicy: awscdk.RemovalPolicy_DESTROY,
	})
	topic := awssns.NewTopic(stack, jsii.String("AlarmTopic"), &awssns.TopicProps{
		MasterKey:  key,
		EnforceSSL: jsii.Bool(true),
	})
	// A policy of its own replaces the one by which the account's alarms may publish.
	cloudWatch := &[]awsiam.IPrincipal{awsiam.NewServicePrincipal(jsii.String("cloudwatch.amazonaws.com"), nil)}
	ours := &map[string]any{"StringEquals": map[string]any{"aws:SourceAccount": stack.Account()}}
	topic.AddToResourcePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Sid:        jsii.String("Alarms"),
		Principals: cloudWatch,
		Actions:    jsii.Strings("sns:Publish"),
		Resources:  &[]*string{topic.TopicArn()},
		Conditions: ours,
	}))
	key.AddToResourcePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Sid:        jsii.String("Alarms"),
		Principals: cloudWatch,
		Actions:    jsii.Strings("kms:Decrypt", "kms:GenerateDataKey*"),
		Resources:  jsii.Strings("*"),
		Conditions: ours,
	}), nil)
	output(stack, "AlarmTopicArn", "Subscribe to it to hear of alarms", topic.TopicArn())
	return topic
}

// watch adds the alarms of a service: its clients get a wrong answer, a late one
// or none. Behind several load balancers it has them for each.
func (a *Alarms) watch(stack awscdk.Stack, props *ServiceProps, at *Routing, service awsecs.Ec2Service) {
	name, id := props.Service.Name, ""
	if at.Name != "" && len(props.Routings) > 1 {
		name, id = name+" at "+at.Name, config.Pascal(at.Name)
	}
	// The construct's own metrics would take the load balancer's name out of the
	// listener's ARN, in a way that is not defined for a value of another stack.
	metric := func(name, statistic string, minutes float64) awscloudwatch.Metric {
		return awscloudwatch.NewMetric(&awscloudwatch.MetricProps{
			Namespace:  jsii.String("AWS/ApplicationELB"),
			MetricName: jsii.String(name),
			DimensionsMap: &map[string]*string{
				"LoadBalancer": a.Balancer.LoadBalancerFullName(),
				"TargetGroup":  at.TargetGroups[props.Service.Name].TargetGroupFullName(),
			},
			Statistic: jsii.String(statistic),
			Period:    awscdk.Duration_Minutes(jsii.Number(minutes)),
		})
	}
	a.add(stack, "Errors"+id, &awscloudwatch.AlarmProps{
		AlarmDescription:  jsii.String(name + " answers with 5xx: 10 times or more in 5 minutes"),
		Metric:            metric("HTTPCode_Target_5XX_Count", "Sum", 5),
		Threshold:         jsii.Number(10),
		EvaluationPeriods: jsii.Number(1),
	})
	a.add(stack, "Latency"+id, &awscloudwatch.AlarmProps{
		AlarmDescription:  jsii.String(name + " is slow: one request in a hundred takes a second or more, for 15 minutes"),
		Metric:            metric("TargetResponseTime", "p99", 5),
		Threshold:         jsii.Number(1),
		EvaluationPeriods: jsii.Number(3),
		// Of a few requests the slowest one says nothing.
		EvaluateLowSampleCountPercentile: jsii.String("ignore"),
	})
	// Healthy tasks, not unhealthy ones, of which there are none either when there
	// is no task at all. Without a task there is no number, which is alarming unless
	// the phase wants none.
	missing := awscloudwatch.TreatMissingData_BREACHING
	if props.Tasks.Count == 0 {
		missing = awscloudwatch.TreatMissingData_NOT_BREACHING
	}
	alarm := a.add(stack, "NoTask"+id, &awscloudwatch.AlarmProps{
		AlarmDescription:   jsii.String(name + " has no healthy task, for 3 minutes"),
		Metric:             metric("HealthyHostCount", "Maximum", 1),
		Threshold:          jsii.Number(1),
		EvaluationPeriods:  jsii.Number(3),
		ComparisonOperator: awscloudwatch.ComparisonOperator_LESS_THAN_THRESHOLD,
		TreatMissingData:   missing,
	})
	// A service that is being started is no alarm.
	alarm.Node().AddDependency(service)
}

// add makes an alarm that tells the topic. What is left out of its properties: it
// compares "or more", and no data is no alarm.
func (a *Alarms) add(stack awscdk.Stack, id string, props *awscloudwatch.AlarmProps) awscloudwatch.Alarm {
	if props.ComparisonOperator == "" {
		props.ComparisonOperator = awscloudwatch.ComparisonOperator_GREATER_THAN_OR_EQUAL_TO_THRESHOLD
	}
	if props.TreatMissingData == "" {
		props.TreatMissingData = awscloudwatch.TreatMissingData_NOT_BREACHING
	}
	alarm := awscloudwatch.NewAlarm(stack, jsii.String(id+"Alarm"), props)
	alarm.AddAlarmAction(awscloudwatchactions.NewSnsAction(a.Topic))
	return alarm
}
