package stacks

import (
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatchactions"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecs"
	elb "github.com/aws/aws-cdk-go/awscdk/v2/awselasticloadbalancingv2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/jsii-runtime-go"

	"cutover/config"
	"cutover/internal/canary"
)

// Alarms tells people what they would want to hear of at once.
type Alarms struct {
	// Topic is what every alarm tells, one for all load balancers. Who wants to know
	// subscribes to it.
	Topic awssns.Topic

	names *[]string // of all alarms of the environment
}

// newAlarms adds the alarm of the load balancer itself, and the topic if it is
// the first one.
func newAlarms(at *Routing, s config.Settings, first *Alarms) *Alarms {
	a := &Alarms{}
	if first == nil {
		a.Topic, a.names = newAlarmTopic(at.Stack), &[]string{}
	} else {
		a.Topic, a.names = first.Topic, first.names
	}
	// Its 503 are left out: after the switch they answer what no service has, and
	// before it the services' own alarms tell of them.
	metrics := at.Balancer.Metrics()
	a.add(at.Stack, "LoadBalancerErrors", &awscloudwatch.AlarmProps{
		AlarmName:        jsii.String(alarmName(s, "load-balancer-errors", at.Name)),
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
// or none, or, of a microservice, worse ones than the monolith gives. Behind several
// load balancers it has them for each. It returns those at which a deployment of the
// service is taken back.
func (a *Alarms) watch(stack awscdk.Stack, s config.Settings, props *ServiceProps, at *Routing, service awsecs.Ec2Service) []awscloudwatch.Alarm {
	name, id, balancer := props.Service.Name, "", ""
	if len(props.Routings) > 1 {
		balancer = at.Name
	}
	if balancer != "" {
		name, id = name+" at "+balancer, config.Pascal(balancer)
	}
	errors := a.add(stack, "Errors"+id, &awscloudwatch.AlarmProps{
		AlarmName:         jsii.String(alarmName(s, "errors-of-"+props.Service.Name, balancer)),
		AlarmDescription:  jsii.String(name + " answers with 5xx: 10 times or more in 5 minutes"),
		Metric:            at.metric(props.Service.Name, "HTTPCode_Target_5XX_Count", "Sum", 5*time.Minute),
		Threshold:         jsii.Number(10),
		EvaluationPeriods: jsii.Number(1),
	})
	a.add(stack, "Latency"+id, &awscloudwatch.AlarmProps{
		AlarmName:         jsii.String(alarmName(s, "latency-of-"+props.Service.Name, balancer)),
		AlarmDescription:  jsii.String(name + " is slow: one request in a hundred takes a second or more, for 15 minutes"),
		Metric:            at.metric(props.Service.Name, "TargetResponseTime", "p99", 5*time.Minute),
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
		AlarmName:          jsii.String(alarmName(s, "no-task-of-"+props.Service.Name, balancer)),
		AlarmDescription:   jsii.String(name + " has no healthy task, for 3 minutes"),
		Metric:             at.metric(props.Service.Name, "HealthyHostCount", "Maximum", time.Minute),
		Threshold:          jsii.Number(1),
		EvaluationPeriods:  jsii.Number(3),
		ComparisonOperator: awscloudwatch.ComparisonOperator_LESS_THAN_THRESHOLD,
		TreatMissingData:   missing,
	})
	// A service that is being started is no alarm.
	alarm.Node().AddDependency(service)
	if props.Monolith == "" {
		return []awscloudwatch.Alarm{errors}
	}
	return a.compare(stack, s, props, at)
}

// compare adds the alarms of a microservice that is worse than the monolith at the same
// load balancer.
func (a *Alarms) compare(stack awscdk.Stack, s config.Settings, props *ServiceProps, at *Routing) []awscloudwatch.Alarm {
	var alarms []awscloudwatch.Alarm
	for _, alarm := range canary.Alarms(props.Service.Name, props.Monolith) {
		using := map[string]awscloudwatch.IMetric{}
		for _, m := range alarm.Metrics {
			using[m.ID] = at.metric(m.Service, m.Name, m.Statistic, canary.Period)
		}
		alarms = append(alarms, a.add(stack, "Canary"+config.Pascal(string(alarm.Kind)), &awscloudwatch.AlarmProps{
			AlarmName:        jsii.String(canary.AlarmName(s.Env, props.Service.Name, alarm.Kind)),
			AlarmDescription: jsii.String(alarm.Description),
			Metric: awscloudwatch.NewMathExpression(&awscloudwatch.MathExpressionProps{
				Expression:   jsii.String(alarm.Expression),
				UsingMetrics: &using,
				Label:        jsii.String(string(alarm.Kind)),
				Period:       awscdk.Duration_Seconds(jsii.Number(canary.Period.Seconds())),
			}),
			Threshold:          jsii.Number(alarm.Threshold),
			EvaluationPeriods:  jsii.Number(canary.Periods),
			ComparisonOperator: awscloudwatch.ComparisonOperator_GREATER_THAN_THRESHOLD,
		}))
	}
	return alarms
}

// metric is one of a service's target group. The construct's own metrics would take the load
// balancer's name out of the listener's ARN, in a way that is not defined for a value
// of another stack.
func (r *Routing) metric(service, name, statistic string, period time.Duration) awscloudwatch.Metric {
	return awscloudwatch.NewMetric(&awscloudwatch.MetricProps{
		Namespace:  jsii.String("AWS/ApplicationELB"),
		MetricName: jsii.String(name),
		DimensionsMap: &map[string]*string{
			"LoadBalancer": r.Balancer.LoadBalancerFullName(),
			"TargetGroup":  r.TargetGroups[service].TargetGroupFullName(),
		},
		Statistic: jsii.String(statistic),
		Period:    awscdk.Duration_Minutes(jsii.Number(period.Minutes())),
	})
}

// rollBack has ECS take a deployment of the service back when one of the alarms goes
// off before it is complete, which takes some minutes longer for that.
//
// Only an alarm that goes off counts. One without data yet does not, and while one is
// on already when a deployment begins, ECS watches none of them during it, so that
// what mends the service can be deployed. There is nothing to go back to before the
// first deployment is complete
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-alarm-failure.html,
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-failure-detection.html).
func rollBack(service awsecs.Ec2Service, alarms []awscloudwatch.Alarm) {
	if len(alarms) == 0 {
		return
	}
	names := make([]*string, len(alarms)) // references, so that the alarms are there first
	for i, alarm := range alarms {
		names[i] = alarm.AlarmName()
	}
	// The construct's own method warns of a circle whenever it is given references.
	service.Node().DefaultChild().(awsecs.CfnService).AddPropertyOverride(jsii.String("DeploymentConfiguration.Alarms"),
		map[string]any{"AlarmNames": names, "Enable": true, "Rollback": true})
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
	*a.names = append(*a.names, *props.AlarmName)
	return alarm
}
