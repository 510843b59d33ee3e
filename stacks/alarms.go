package stacks

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatchactions"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsrds"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/jsii-runtime-go"

	"cutover/config"
	"cutover/internal/canary"
	"cutover/migration"
)

// Alarms are what people must hear of at once.
type Alarms struct {
	// Topic gets every alarm of all load balancers. To receive alarms, subscribe to it.
	Topic awssns.Topic

	names *[]string // of all alarms of the environment
}

// newAlarms adds the alarm of the load balancer itself. For the first load balancer it
// adds the topic, too.
func newAlarms(at *Routing, s config.Settings, d config.Deployment, first *Alarms) *Alarms {
	a := &Alarms{}
	if first == nil {
		a.Topic, a.names = newAlarmTopic(at.Stack, s, d), &[]string{}
	} else {
		a.Topic, a.names = first.Topic, first.names
	}
	// The load balancer's 503 are left out. After the switch they answer paths that no
	// service has. Before the switch the services' own alarms tell of them.
	a.add(at.Stack, "LoadBalancerErrors", &awscloudwatch.AlarmProps{
		AlarmName:        jsii.String(alarmName(s, "load-balancer-errors", at.Name)),
		AlarmDescription: jsii.String("The load balancer answers with 5xx other than 503 by itself: 10 times or more in 5 minutes"),
		Metric: awscloudwatch.NewMathExpression(&awscloudwatch.MathExpressionProps{
			Expression: jsii.String("FILL(all, 0) - FILL(unavailable, 0)"),
			UsingMetrics: &map[string]awscloudwatch.IMetric{
				"all":         at.ownAnswers("5XX"),
				"unavailable": at.ownAnswers("503"),
			},
			Label:  jsii.String("5xx other than 503"),
			Period: awscdk.Duration_Minutes(jsii.Number(5)),
		}),
		Threshold:         jsii.Number(10),
		EvaluationPeriods: jsii.Number(1),
	})
	return a
}

func newAlarmTopic(stack awscdk.Stack, s config.Settings, d config.Deployment) awssns.Topic {
	// CloudWatch cannot use AWS's own key for SNS
	// (https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html).
	key := awskms.NewKey(stack, jsii.String("AlarmKey"), &awskms.KeyProps{
		Description:       jsii.String("What alarms say"),
		EnableKeyRotation: jsii.Bool(true),
		// The key protects messages on their way, and nothing that is stored.
		RemovalPolicy: awscdk.RemovalPolicy_DESTROY,
	})
	topic := awssns.NewTopic(stack, jsii.String("AlarmTopic"), &awssns.TopicProps{
		MasterKey:  key,
		EnforceSSL: jsii.Bool(true),
	})
	// The topic's policy replaces the default policy, which lets the account's alarms publish.
	tellers := []awsiam.IPrincipal{awsiam.NewServicePrincipal(jsii.String("cloudwatch.amazonaws.com"), nil)}
	if len(config.StoresIn[config.AuroraPostgreSQL](d)) > 0 {
		tellers = append(tellers, awsiam.NewServicePrincipal(jsii.String("events.rds.amazonaws.com"), nil))
	}
	ours := &map[string]any{"StringEquals": map[string]any{"aws:SourceAccount": stack.Account()}}
	topic.AddToResourcePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Sid:        jsii.String("Alarms"),
		Principals: &tellers,
		Actions:    jsii.Strings("sns:Publish"),
		Resources:  &[]*string{topic.TopicArn()},
		Conditions: ours,
	}))
	key.AddToResourcePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Sid:        jsii.String("Alarms"),
		Principals: &tellers,
		Actions:    jsii.Strings("kms:Decrypt", "kms:GenerateDataKey*"),
		Resources:  jsii.Strings("*"),
		Conditions: ours,
	}), nil)
	if s.AlarmEmail != "" {
		awssns.NewCfnSubscription(stack, jsii.String("AlarmEmail"), &awssns.CfnSubscriptionProps{
			TopicArn: topic.TopicArn(), Protocol: jsii.String("email"), Endpoint: jsii.String(s.AlarmEmail),
		})
	}
	output(stack, "AlarmTopicArn", "Subscribe to it to hear of alarms", topic.TopicArn())
	return topic
}

// watch adds the alarms of a service: clients get wrong answers, late answers, or none. A
// microservice has alarms, too, for being worse than the monolith. Behind several load
// balancers a service has alarms for each. The result is the alarms at which a deployment
// of the service is rolled back.
func (a *Alarms) watch(stack awscdk.Stack, s config.Settings, p *pair, at *Routing, service awsecs.BaseService) []awscloudwatch.Alarm {
	name, id, balancer := p.behind(at)
	errors := a.watchAnswers(stack, s, p, at)
	// The alarm counts healthy tasks. Without any task there are no unhealthy ones, either.
	// Without a task there is no number, which is alarming unless the phase wants no task.
	missing := awscloudwatch.TreatMissingData_BREACHING
	if p.tasks().Count == 0 {
		missing = awscloudwatch.TreatMissingData_NOT_BREACHING
	}
	alarm := a.add(stack, p.id+"NoTask"+id, &awscloudwatch.AlarmProps{
		AlarmName:          jsii.String(alarmName(s, "no-task-of-"+p.Name, balancer)),
		AlarmDescription:   jsii.String(name + " has no healthy task, for 3 minutes"),
		Metric:             at.metric(p.Name, "HealthyHostCount", "Maximum", time.Minute),
		Threshold:          jsii.Number(1),
		EvaluationPeriods:  jsii.Number(3),
		ComparisonOperator: awscloudwatch.ComparisonOperator_LESS_THAN_THRESHOLD,
		TreatMissingData:   missing,
	})
	// The alarm waits for the service, so that starting the service sets off no alarm.
	alarm.Node().AddDependency(service)
	if p.Compared[p.Name] == "" {
		return []awscloudwatch.Alarm{errors}
	}
	return a.compare(stack, s, p, at, balancer)
}

// behind returns the name of a pair for people, and what its ids and names end with: the load balancer, if the
// service is behind several.
func (p *pair) behind(at *Routing) (name, id, balancer string) {
	if len(p.Routings) > 1 && at.Name != "" {
		return p.Name + " at " + at.Name, config.Pascal(at.Name), at.Name
	}
	return p.Name, "", ""
}

// watchAnswers adds the alarms about the answers of a pair at a load balancer, and returns the one of errors.
func (a *Alarms) watchAnswers(stack awscdk.Stack, s config.Settings, p *pair, at *Routing) awscloudwatch.Alarm {
	name, id, balancer := p.behind(at)
	latency := float64(p.Service.Alarms.LatencyMilliseconds) / 1000
	errors := a.add(stack, p.id+"Errors"+id, &awscloudwatch.AlarmProps{
		AlarmName:         jsii.String(alarmName(s, "errors-of-"+p.Name, balancer)),
		AlarmDescription:  jsii.String(fmt.Sprintf("%s answers with 5xx: %s or more in 5 minutes", name, times(p.Service.Alarms.Errors))),
		Metric:            at.metric(p.Name, "HTTPCode_Target_5XX_Count", "Sum", 5*time.Minute),
		Threshold:         jsii.Number(p.Service.Alarms.Errors),
		EvaluationPeriods: jsii.Number(1),
	})
	a.add(stack, p.id+"Latency"+id, &awscloudwatch.AlarmProps{
		AlarmName:         jsii.String(alarmName(s, "latency-of-"+p.Name, balancer)),
		AlarmDescription:  jsii.String(fmt.Sprintf("%s is slow: one request in a hundred takes %s or more, for 15 minutes", name, seconds(latency))),
		Metric:            at.metric(p.Name, "TargetResponseTime", "p99", 5*time.Minute),
		Threshold:         jsii.Number(latency),
		EvaluationPeriods: jsii.Number(3),
		// Of few requests the slowest one says nothing.
		EvaluateLowSampleCountPercentile: jsii.String("ignore"),
	})
	return errors
}

// watchFunction adds the alarms of a function: those of a service at each load balancer that need no tasks, and
// those of its alias, which all load balancers call. What fails in a function before it answers is a 502 of the load
// balancer, and no error of its target group.
func (a *Alarms) watchFunction(stack awscdk.Stack, s config.Settings, p *pair) {
	for _, at := range p.Routings {
		a.watchAnswers(stack, s, p, at)
		if p.Compared[p.Name] != "" {
			_, _, balancer := p.behind(at)
			a.compare(stack, s, p, at, balancer)
		}
	}
	compute := p.Compute.(config.Lambda)
	slow := compute.TimeoutSeconds * 1000 * nearLimitPercent / 100
	many := math.Ceil(float64(compute.Concurrency*nearLimitPercent) / 100)
	for _, one := range []struct {
		id, about, says, metric, statistic string
		threshold                          float64
		periods                            int
		few                                *string
	}{
		{"Failures", "failures-of-", fmt.Sprintf("%s crashes or takes too long: %s or more in 5 minutes", p.Name, times(p.Service.Alarms.Errors)),
			"Errors", "Sum", float64(p.Service.Alarms.Errors), 1, nil},
		{"Throttles", "throttles-of-", fmt.Sprintf("Lambda refuses requests of %s, once or more in 5 minutes: its %d execution environments are in use, or the account has no more", p.Name, compute.Concurrency),
			"Throttles", "Sum", 1, 1, nil},
		{"Duration", "duration-of-", fmt.Sprintf("%s is close to its time-out: one request in a hundred takes %s or more, for 15 minutes", p.Name, seconds(float64(slow)/1000)),
			"Duration", "p99", float64(slow), 3, jsii.String("ignore")},
		{"Concurrency", "concurrency-of-", fmt.Sprintf("%s is close to its concurrency: %.0f of %d execution environments or more are in use, for 15 minutes", p.Name, many, compute.Concurrency),
			"ConcurrentExecutions", "Maximum", many, 3, nil},
	} {
		a.add(stack, p.id+one.id, &awscloudwatch.AlarmProps{
			AlarmName:                        jsii.String(alarmName(s, one.about+p.Name, "")),
			AlarmDescription:                 jsii.String(one.says),
			Metric:                           functionMetric(s, p.Pair, one.metric, one.statistic, 5*time.Minute),
			Threshold:                        jsii.Number(one.threshold),
			EvaluationPeriods:                jsii.Number(one.periods),
			EvaluateLowSampleCountPercentile: one.few,
		})
	}
}

// nearLimitPercent is what part of a function's limit is close to it.
const nearLimitPercent = 80

// functionMetric is a metric of a function's alias. Lambda has each of them by alias, ConcurrentExecutions as well
// (https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-view.html,
// https://docs.aws.amazon.com/lambda/latest/dg/monitoring-concurrency.html).
func functionMetric(s config.Settings, p config.Pair, name, statistic string, period time.Duration) awscloudwatch.Metric {
	return awscloudwatch.NewMetric(&awscloudwatch.MetricProps{
		Namespace: jsii.String("AWS/Lambda"), MetricName: jsii.String(name), Statistic: jsii.String(statistic),
		Period: awscdk.Duration_Minutes(jsii.Number(period.Minutes())),
		DimensionsMap: &map[string]*string{
			"FunctionName": jsii.String(s.Name(p.Name)), "Resource": jsii.String(s.Name(p.Name) + ":" + AliasName),
		},
	})
}

// watchCalls adds the alarms of a service that others call by Service Connect: it answers them with 5xx, or
// late. Their requests pass no load balancer. The answers of the proxies themselves, as after a time-out,
// are not counted: the callers' own alarms tell of them.
//
// Whose service the dimension ServiceName names is not documented, so the query adds up all of a name. It
// has no percentiles
// (https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-metrics-insights-querylanguage.html).
func (a *Alarms) watchCalls(stack awscdk.Stack, s config.Settings, p *pair) {
	of := func(function, metric string) awscloudwatch.IMetric {
		return awscloudwatch.NewMathExpression(&awscloudwatch.MathExpressionProps{
			Expression: jsii.String(fmt.Sprintf(`SELECT %s(%s) FROM SCHEMA("AWS/ECS", ClusterName, ServiceName, TargetDiscoveryName) WHERE ClusterName = '%s' AND TargetDiscoveryName = '%s'`,
				function, metric, s.Env, p.Name)),
			Label:  jsii.String(metric),
			Period: awscdk.Duration_Minutes(jsii.Number(5)),
		})
	}
	a.add(stack, p.id+"CallErrors", &awscloudwatch.AlarmProps{
		AlarmName:         jsii.String(alarmName(s, "errors-of-calls-to-"+p.Name, "")),
		AlarmDescription:  jsii.String(fmt.Sprintf("%s answers calls by Service Connect with 5xx: %s or more in 5 minutes", p.Name, times(p.Service.Alarms.Errors))),
		Metric:            of("SUM", "HTTPCode_Target_5XX_Count"),
		Threshold:         jsii.Number(p.Service.Alarms.Errors),
		EvaluationPeriods: jsii.Number(1),
	})
	latency := p.Service.Alarms.LatencyMilliseconds
	a.add(stack, p.id+"CallLatency", &awscloudwatch.AlarmProps{
		AlarmName:         jsii.String(alarmName(s, "latency-of-calls-to-"+p.Name, "")),
		AlarmDescription:  jsii.String(fmt.Sprintf("%s is slow in calls by Service Connect: they take %s or more on average, for 15 minutes", p.Name, seconds(float64(latency)/1000))),
		Metric:            of("AVG", "TargetResponseTime"), // in milliseconds
		Threshold:         jsii.Number(latency),
		EvaluationPeriods: jsii.Number(3),
	})
}

// watchTable adds the alarm of a service's table: DynamoDB refuses requests, most often for one hot key.
func (a *Alarms) watchTable(stack awscdk.Stack, s config.Settings, owner config.Service) {
	throttled := func(kind string) awscloudwatch.IMetric {
		return awscloudwatch.NewMetric(&awscloudwatch.MetricProps{
			Namespace: jsii.String("AWS/DynamoDB"), MetricName: jsii.String(kind + "ThrottleEvents"), Statistic: jsii.String("Sum"),
			DimensionsMap: &map[string]*string{"TableName": jsii.String(owner.Table(s))},
		})
	}
	a.add(stack, "Throttles", &awscloudwatch.AlarmProps{
		AlarmName:        jsii.String(alarmName(s, "throttles-of-"+owner.Name, "")),
		AlarmDescription: jsii.String("DynamoDB throttles the table of " + owner.Name + ": 10 times or more in 5 minutes"),
		Metric: awscloudwatch.NewMathExpression(&awscloudwatch.MathExpressionProps{
			Expression:   jsii.String("FILL(reads, 0) + FILL(writes, 0)"),
			UsingMetrics: &map[string]awscloudwatch.IMetric{"reads": throttled("Read"), "writes": throttled("Write")},
			Label:        jsii.String("throttled reads and writes"),
			Period:       awscdk.Duration_Minutes(jsii.Number(5)),
		}),
		Threshold:         jsii.Number(10),
		EvaluationPeriods: jsii.Number(1),
	})
}

// watchCluster adds the alarm of the database, and lets RDS tell of failures and maintenance. A paused
// database has a use of 0 %, which is no alarm.
func (a *Alarms) watchCluster(data *Data, s config.Settings) {
	a.add(data.Stack, "DatabaseCapacity", &awscloudwatch.AlarmProps{
		AlarmName:        jsii.String(alarmName(s, "capacity-of-database", "")),
		AlarmDescription: jsii.String("The database has 90 % or more of its most capacity, for 15 minutes: raise databaseCapacity"),
		Metric: awscloudwatch.NewMetric(&awscloudwatch.MetricProps{
			Namespace: jsii.String("AWS/RDS"), MetricName: jsii.String("ACUUtilization"), Statistic: jsii.String("Average"),
			DimensionsMap: &map[string]*string{"DBClusterIdentifier": jsii.String(clusterName(s))},
		}),
		Threshold:         jsii.Number(90),
		EvaluationPeriods: jsii.Number(3),
	})
	// https://docs.aws.amazon.com/securityhub/latest/userguide/rds-controls.html has the categories.
	for _, source := range []struct {
		id, kind   string
		categories []string
	}{
		{"ClusterEvents", "db-cluster", []string{"maintenance", "failure"}},
		{"InstanceEvents", "db-instance", []string{"maintenance", "configuration change", "failure"}},
		{"ParameterEvents", "db-parameter-group", []string{"configuration change"}},
	} {
		awsrds.NewCfnEventSubscription(data.Stack, jsii.String(source.id), &awsrds.CfnEventSubscriptionProps{
			SnsTopicArn: a.Topic.TopicArn(), SourceType: jsii.String(source.kind), EventCategories: jsii.Strings(source.categories...),
		})
	}
}

// times is how often something happens, in words.
func times(n int) string {
	if n == 1 {
		return "once"
	}
	return strconv.Itoa(n) + " times"
}

// seconds are a number of seconds in words.
func seconds(n float64) string {
	if n == 1 {
		return "a second"
	}
	return strconv.FormatFloat(n, 'f', -1, 64) + " s"
}

// group is the target group of a pair, as it is compared.
func (p *pair) group(name string) canary.Group {
	_, compute := p.Deployment.Pair(name)
	return canary.Group{Name: name, Function: config.Pair{Compute: compute}.IsFunction()}
}

// compare adds the alarms of a pair that is worse than another one at the same load balancer. The name of
// the balancer is empty, unless the service is behind several.
func (a *Alarms) compare(stack awscdk.Stack, s config.Settings, p *pair, at *Routing, balancer string) []awscloudwatch.Alarm {
	named := migration.Balancer{Name: balancer}.GroupName(p.Name)
	var alarms []awscloudwatch.Alarm
	for _, alarm := range canary.Alarms(p.group(p.Name), p.group(p.Compared[p.Name])) {
		using := map[string]awscloudwatch.IMetric{}
		for _, m := range alarm.Metrics {
			using[m.ID] = at.metric(m.Service, m.Name, m.Statistic, canary.Period)
		}
		alarms = append(alarms, a.add(stack, p.id+"Canary"+config.Pascal(string(alarm.Kind))+config.Pascal(balancer), &awscloudwatch.AlarmProps{
			AlarmName:        jsii.String(canary.AlarmName(s.Env, named, alarm.Kind)),
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

// ownAnswers counts the answers of the load balancer itself, with a code.
func (r *Routing) ownAnswers(code string) awscloudwatch.Metric {
	return awscloudwatch.NewMetric(&awscloudwatch.MetricProps{
		Namespace: jsii.String("AWS/ApplicationELB"), MetricName: jsii.String("HTTPCode_ELB_" + code + "_Count"),
		DimensionsMap: &map[string]*string{"LoadBalancer": r.fullName}, Statistic: jsii.String("Sum"),
	})
}

// metric is a metric of a service's target group. The construct's own metrics would take the load
// balancer's name out of the listener's ARN, which fails for a value of another stack.
func (r *Routing) metric(service, name, statistic string, period time.Duration) awscloudwatch.Metric {
	return awscloudwatch.NewMetric(&awscloudwatch.MetricProps{
		Namespace:  jsii.String("AWS/ApplicationELB"),
		MetricName: jsii.String(name),
		DimensionsMap: &map[string]*string{
			"LoadBalancer": r.fullName,
			"TargetGroup":  r.fullNameOf(service),
		},
		Statistic: jsii.String(statistic),
		Period:    awscdk.Duration_Minutes(jsii.Number(period.Minutes())),
	})
}

// rollBack lets ECS roll back a deployment of the service if an alarm goes off before the
// deployment is complete. A deployment takes some minutes longer because of this.
//
// Only an alarm that goes off counts, and an alarm without data does not. If an alarm is on
// when a deployment begins, ECS watches no alarm during the deployment. So a repair of the
// service can be deployed. The first deployment has nothing to go back to
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-alarm-failure.html,
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-failure-detection.html).
func rollBack(service awsecs.BaseService, alarms []awscloudwatch.Alarm) {
	if len(alarms) == 0 {
		return
	}
	names := make([]*string, len(alarms)) // references, so that the alarms are created first
	for i, alarm := range alarms {
		names[i] = alarm.AlarmName()
	}
	// The construct's own method warns of a circle if it gets references.
	service.Node().DefaultChild().(awsecs.CfnService).AddPropertyOverride(jsii.String("DeploymentConfiguration.Alarms"),
		map[string]any{"AlarmNames": names, "Enable": true, "Rollback": true})
}

// add makes an alarm that tells the topic. By default the alarm goes off at the threshold or
// above, and missing data is no alarm.
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
