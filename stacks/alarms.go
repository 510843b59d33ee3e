package stacks

import (
	"fmt"
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

// compare adds the alarms of a microservice that is worse than the monolith at the
// same load balancer: see the canary package. They are the same in every phase, so
// what they compare has to be right whoever of the two gets requests. Of what is not
// there CloudWatch has no data point, a count of errors that is 0 included, and no
// data is no alarm. In arithmetic a missing point is 0, a condition without one gives
// none, and so do a division by 0 and a metric without requests
// (https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html):
//
//   - What is about requests begins with those of the service, which are not filled:
//     without any there is no data. The last minute, which CloudWatch may not have yet,
//     is not taken for a quiet one. Unhealthy tasks are unhealthy without requests, too.
//   - A monolith without enough requests gives 0, or no point, which is filled with 0.
//     If only its last minute is late, it is taken for faultless once, which is one
//     period fewer than an alarm takes.
//
// An answer that a load balancer gives by itself, as when a task breaks off, belongs
// to no target group: the load balancer's own alarm tells of it.
func (a *Alarms) compare(stack awscdk.Stack, s config.Settings, props *ServiceProps, at *Routing) []awscloudwatch.Alarm {
	name, than := props.Service.Name, props.Monolith
	requests := at.metric(name, "RequestCount", "Sum", canary.Period)
	monolithRequests := at.metric(than, "RequestCount", "Sum", canary.Period)
	add := func(kind canary.Kind, what string, threshold float64, math, metric, statistic string) awscloudwatch.Alarm {
		what = fmt.Sprintf("%s, for %d minutes", what, canary.Periods)
		using := map[string]awscloudwatch.IMetric{
			string(kind): at.metric(name, metric, statistic, canary.Period), "monolith" + config.Pascal(string(kind)): at.metric(than, metric, statistic, canary.Period),
			"monolithRequests": monolithRequests,
		}
		if kind != canary.Unhealthy {
			what += fmt.Sprintf(" with %d requests or more", canary.MinRequests)
			using["requests"] = requests
		}
		return a.add(stack, "Canary"+config.Pascal(string(kind)), &awscloudwatch.AlarmProps{
			AlarmName:        jsii.String(canary.AlarmName(s.Env, name, kind)),
			AlarmDescription: jsii.String(what),
			Metric: awscloudwatch.NewMathExpression(&awscloudwatch.MathExpressionProps{
				Expression:   jsii.String(math),
				UsingMetrics: &using,
				Label:        jsii.String(string(kind)),
				Period:       awscdk.Duration_Seconds(jsii.Number(canary.Period.Seconds())),
			}),
			Threshold:          jsii.Number(threshold),
			EvaluationPeriods:  jsii.Number(canary.Periods),
			ComparisonOperator: awscloudwatch.ComparisonOperator_GREATER_THAN_THRESHOLD,
		})
	}
	enough := fmt.Sprintf("requests >= %d", canary.MinRequests)
	compared := fmt.Sprintf("monolithRequests >= %d", canary.MinRequests)
	return []awscloudwatch.Alarm{
		add(canary.Errors, fmt.Sprintf("%s answers with 5xx more often than %s: by more than %g percentage points", name, than, canary.MaxErrorPoints), canary.MaxErrorPoints,
			fmt.Sprintf("IF(%s, 100 * errors / requests - FILL(IF(%s, 100 * monolithErrors / monolithRequests, 0), 0), 0)", enough, compared),
			"HTTPCode_Target_5XX_Count", "Sum"),
		add(canary.Latency, fmt.Sprintf("%s is slower than %s: its p99 is above %v and more than %g times as long", name, than, canary.MinLatency, canary.MaxLatencyRatio), canary.MaxLatencyRatio,
			fmt.Sprintf("IF(%s AND %s AND latency > %g, latency / monolithLatency, 0)", enough, compared, canary.MinLatency.Seconds()),
			"TargetResponseTime", "p99"),
		// The fewest of a minute: a task that is being started is unhealthy for some
		// seconds.
		add(canary.Unhealthy, fmt.Sprintf("%s has more unhealthy tasks than %s", name, than), 0,
			fmt.Sprintf("unhealthy - FILL(IF(%s, monolithUnhealthy, 0), 0)", compared),
			"UnHealthyHostCount", "Minimum"),
	}
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
