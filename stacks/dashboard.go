package stacks

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/interfaces/interfacesawscloudwatch"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"cutover/config"
)

// Limits of what shows an environment. A widget has at most so many alarms, and a
// query so many log groups
// (https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html,
// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_StartQuery.html).
const maxWidgetAlarms, maxQueryGroups = 100, 50

// chosenBalancer stands for the load balancer that the dashboard shows the services
// of, where there are several.
const chosenBalancer = "chosen-load-balancer"

// logQuery is a question to the log lines of all services, as
// services/internal/server writes them.
type logQuery struct {
	id, name, text string
	parameters     []awslogs.CfnQueryDefinition_QueryParameterProperty
}

var logQueries = []logQuery{
	{id: "WhatFails", name: "what fails", text: `filter msg = "request" and status >= 500
| stats count(*) as failures by bin(5m) as time, service, path, status
| sort time desc, failures desc`},
	{id: "WhatIsSlow", name: "what is slow", text: `filter msg = "request"
| stats count(*) as requests, pct(durationMs, 50) as p50, pct(durationMs, 99) as p99, max(durationMs) as slowest by service, path
| sort p99 desc`},
	// A load balancer adds a part of its own to the trace id that a client sends, so
	// the id of one request is a part of what is logged.
	{id: "WhatHappened", name: "what happened to a request", text: `fields @timestamp, service, level, method, path, status, durationMs, error, @message
| filter traceId like "{{traceId}}"
| sort @timestamp asc
| limit 10000`, parameters: []awslogs.CfnQueryDefinition_QueryParameterProperty{{
		Name:         jsii.String("traceId"),
		Description:  jsii.String("What follows Root= in the header X-Amzn-Trace-Id of the request"),
		DefaultValue: jsii.String("1-67891233-abcdef012345678912345678"),
	}}},
}

// NewWatch adds the stack that shows people how the environment does: a dashboard,
// and saved queries of its logs. Its resources are the same in every phase.
func NewWatch(scope constructs.Construct, d config.Deployment, s config.Settings, routings []*Routing) awscdk.Stack {
	stack := newStack(scope, s, watchStack, "How the environment does: a dashboard, and saved queries of its logs", nil)
	newDashboard(stack, s, routings)
	newQueries(stack, d, s)
	return stack
}

// newDashboard makes the environment's dashboard. It searches for the metrics of a load
// balancer's services by the load balancer's name. So it needs one value of each routing
// stack, and not one for each target group. A dashboard shows at most 2500 metrics, and a
// widget 500 of them
// (https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_limits.html).
// With several load balancers, the reader chooses one, and the dashboard shows its
// services, at most 99. The use of the cluster is that of all services.
func newDashboard(stack awscdk.Stack, s config.Settings, routings []*Routing) {
	var variables []awscloudwatch.IVariable
	show := widgets{env: s.Env, balancer: *routings[0].Balancer.LoadBalancerFullName(), minute: awscdk.Duration_Minutes(jsii.Number(1))}
	if len(routings) > 1 {
		variables = append(variables, balancerVariable(routings))
		show.balancer = chosenBalancer
	}
	rows := []*[]awscloudwatch.IWidget{{awscloudwatch.NewTextWidget(&awscloudwatch.TextWidgetProps{
		Markdown: jsii.String(dashboardText(s)), Width: jsii.Number(24), Height: jsii.Number(4),
	})}}
	if s.Alarms {
		rows = append(rows, alarmRows(stack, *routings[0].Alarms.names)...)
	}
	rows = append(rows,
		&[]awscloudwatch.IWidget{
			show.services(8, "Requests a minute", "RequestCount", "Sum"),
			show.services(8, "5xx of the services, a minute", "HTTPCode_Target_5XX_Count", "Sum"),
			show.graph(8, "5xx of the load balancer itself, a minute", show.ownErrors(routings), nil),
		},
		&[]awscloudwatch.IWidget{
			show.services(12, "Latency in seconds, p50", "TargetResponseTime", "p50"),
			show.services(12, "Latency in seconds, p99", "TargetResponseTime", "p99"),
		},
		&[]awscloudwatch.IWidget{
			show.services(12, "Healthy tasks", "HealthyHostCount", "Minimum"),
			show.services(12, "Unhealthy tasks", "UnHealthyHostCount", "Maximum"),
		},
		&[]awscloudwatch.IWidget{
			show.tasks("CPU, % of what the tasks reserve", "CPUUtilization"),
			show.tasks("Memory, % of what the tasks reserve", "MemoryUtilization"),
		},
		&[]awscloudwatch.IWidget{
			show.graph(24, "Cluster: % of it that is reserved, and its instances (right)",
				[]awscloudwatch.IMetric{show.cluster("AWS/ECS", "CPUReservation", "CPU"), show.cluster("AWS/ECS", "MemoryReservation", "memory")},
				[]awscloudwatch.IMetric{show.cluster("ECS/ContainerInsights", "ContainerInstanceCount", "instances")}),
		})
	awscloudwatch.NewDashboard(stack, jsii.String("Dashboard"), &awscloudwatch.DashboardProps{
		DashboardName:   jsii.String(s.Env),
		DefaultInterval: awscdk.Duration_Hours(jsii.Number(3)),
		Variables:       &variables,
		Widgets:         &rows,
	})
}

// balancerVariable lets the reader choose a load balancer.
func balancerVariable(routings []*Routing) awscloudwatch.IVariable {
	var values []*awscloudwatch.VariableValue
	for _, routing := range routings {
		values = append(values, &awscloudwatch.VariableValue{Label: jsii.String(routing.title()), Value: routing.Balancer.LoadBalancerFullName()})
	}
	return awscloudwatch.NewDashboardVariable(&awscloudwatch.DashboardVariableOptions{
		Id:           jsii.String("balancer"),
		Label:        jsii.String("Services of load balancer"),
		Type:         awscloudwatch.VariableType_PATTERN,
		Value:        jsii.String(chosenBalancer),
		InputType:    awscloudwatch.VariableInputType_SELECT,
		Values:       awscloudwatch.Values_FromValues(values...),
		DefaultValue: awscloudwatch.DefaultValue_Value(*routings[0].Balancer.LoadBalancerFullName()),
		Visible:      jsii.Bool(true),
	})
}

// alarmRows has the state of all alarms, as many in a row as a widget can have.
func alarmRows(stack awscdk.Stack, names []string) (rows []*[]awscloudwatch.IWidget) {
	for names := range slices.Chunk(names, maxWidgetAlarms) {
		var alarms []interfacesawscloudwatch.IAlarmRef
		for _, name := range names {
			alarms = append(alarms, awscloudwatch.Alarm_FromAlarmName(stack, jsii.String(name), jsii.String(name)))
		}
		rows = append(rows, &[]awscloudwatch.IWidget{awscloudwatch.NewAlarmStatusWidget(&awscloudwatch.AlarmStatusWidgetProps{
			Title: jsii.String("Alarms"), Alarms: &alarms, Width: jsii.Number(24), Height: jsii.Number(5),
			SortBy: awscloudwatch.AlarmStatusWidgetSortBy_STATE_UPDATED_TIMESTAMP,
		})})
	}
	return rows
}

// widgets makes the widgets for an environment and a load balancer, by its full name.
type widgets struct {
	env, balancer string
	minute        awscdk.Duration // made once: it is a round trip to CDK's process
}

// ownErrors has the 5xx answers that load balancers give themselves, by code.
func (w widgets) ownErrors(routings []*Routing) (metrics []awscloudwatch.IMetric) {
	for _, routing := range routings {
		for _, code := range []string{"5XX", "502", "503", "504"} {
			label := code
			if len(routings) > 1 {
				label = routing.title() + " " + code
			}
			metrics = append(metrics, w.metric("AWS/ApplicationELB", "HTTPCode_ELB_"+code+"_Count", "Sum", label, "LoadBalancer", routing.Balancer.LoadBalancerFullName()))
		}
	}
	return metrics
}

func (w widgets) metric(namespace, name, statistic, label, dimension string, of *string) awscloudwatch.IMetric {
	return awscloudwatch.NewMetric(&awscloudwatch.MetricProps{
		Namespace: jsii.String(namespace), MetricName: jsii.String(name), Statistic: jsii.String(statistic), Label: jsii.String(label),
		Period: w.minute, DimensionsMap: &map[string]*string{dimension: of},
	})
}

func (w widgets) graph(width float64, title string, left, right []awscloudwatch.IMetric) awscloudwatch.IWidget {
	return awscloudwatch.NewGraphWidget(&awscloudwatch.GraphWidgetProps{
		Title: jsii.String(title), Width: jsii.Number(width), Height: jsii.Number(7), Left: &left, Right: &right,
		LeftYAxis: &awscloudwatch.YAxisProps{Min: jsii.Number(0)}, RightYAxis: &awscloudwatch.YAxisProps{Min: jsii.Number(0)},
	})
}

func (w widgets) search(width float64, title, schema, metric, of, statistic, label string) awscloudwatch.IWidget {
	return w.graph(width, title, []awscloudwatch.IMetric{awscloudwatch.NewSearchExpression(&awscloudwatch.SearchExpressionProps{
		Expression: jsii.String(fmt.Sprintf(`SEARCH('{%s} MetricName="%s" %s', '%s', %v)`, schema, metric, of, statistic, time.Minute.Seconds())),
		Label:      jsii.String(fmt.Sprintf("${PROP('Dim.%s')}", label)),
		Period:     w.minute,
	})}, nil)
}

// services shows a metric of the load balancer's services, each by itself.
func (w widgets) services(width float64, title, metric, statistic string) awscloudwatch.IWidget {
	return w.search(width, title, "AWS/ApplicationELB,LoadBalancer,TargetGroup", metric, fmt.Sprintf(`LoadBalancer="%s"`, w.balancer), statistic, "TargetGroup")
}

// tasks shows the average of a metric over a service's tasks, for all services.
func (w widgets) tasks(title, metric string) awscloudwatch.IWidget {
	return w.search(12, title, "AWS/ECS,ClusterName,ServiceName", metric, fmt.Sprintf(`ClusterName="%s"`, w.env), "Average", "ServiceName")
}

// cluster is the average of a metric of the cluster.
func (w widgets) cluster(namespace, name, label string) awscloudwatch.IMetric {
	return w.metric(namespace, name, "Average", label, "ClusterName", jsii.String(w.env))
}

// dashboardText is what the dashboard says in words.
func dashboardText(s config.Settings) string {
	var names []string
	for _, q := range logQueries {
		names = append(names, "*"+queryName(s, q)+"*")
	}
	return fmt.Sprintf(`# %s
**Logs:** [Logs Insights](https://console.aws.amazon.com/cloudwatch/home#logsV2:logs-insights) has the saved queries %s.

**Costs:** the tag `+"`environment`"+` says whose resources they are, and the tag `+"`service`"+` which service causes them, its tasks included. Activated as [cost allocation tags](https://console.aws.amazon.com/billing/home#/tags), they are what [Cost Explorer](https://console.aws.amazon.com/costmanagement/home#/cost-explorer) can group costs by.`,
		s.Env, strings.Join(names, ", "))
}

func queryName(s config.Settings, q logQuery) string { return s.Env + "/" + q.name }

// newQueries saves the queries, each over the logs of all services: where they are
// more than a query takes, as several, of which each has as many as it can have.
func newQueries(stack awscdk.Stack, d config.Deployment, s config.Settings) {
	var groups []any
	for _, service := range d.All() {
		groups = append(groups, logGroup(s, service.Name))
	}
	chunks := slices.Collect(slices.Chunk(groups, maxQueryGroups))
	for _, q := range logQueries {
		for i, groups := range chunks {
			id, name := q.id, queryName(s, q)
			if i > 0 {
				id = fmt.Sprint(id, i+1)
			}
			if len(chunks) > 1 {
				name = fmt.Sprintf("%s, %d of %d", name, i+1, len(chunks))
			}
			props := &awslogs.CfnQueryDefinitionProps{Name: jsii.String(name), QueryString: jsii.String(q.text), LogGroupNames: &groups}
			if len(q.parameters) > 0 {
				props.Parameters = q.parameters
			}
			awslogs.NewCfnQueryDefinition(stack, jsii.String(id), props)
		}
	}
}
