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

// The most alarms of a widget, and the most log groups of a query
// (https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html,
// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_StartQuery.html).
const maxWidgetAlarms, maxQueryGroups = 100, 50

// chosenBalancer stands for the load balancer whose services the dashboard shows, if
// there are several.
const chosenBalancer = "chosen-load-balancer"

// logQuery is a query of the log lines that services/internal/server writes.
type logQuery struct {
	id, name, text string
	parameters     []awslogs.CfnQueryDefinition_QueryParameterProperty
}

// callQuery is a query of the access logs of Service Connect's proxies, a JSON object a line
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-connect-envoy-access-logs.html).
// The fields are Envoy's. A field that a line does not have stays empty, and the message has all.
var callQuery = logQuery{id: "WhatServicesCall", name: "what services call", text: `filter @logStream like "` + proxyStreams + `/"
| fields @timestamp, @log, method, authority, path, response_code, response_flags, duration, @message
| sort @timestamp desc
| limit 10000`}

// coldStarts is a query of the lines that Lambda writes after each invocation
// (https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_AnalyzeLogData-discoverable-fields.html).
var coldStarts = logQuery{id: "WhatStartsCold", name: "what starts cold", text: `filter @type = "REPORT"
| stats count(*) as invocations, count(@initDuration) as coldStarts, pct(@initDuration, 99) as p99OfStart, max(@maxMemoryUsed / 1000000) as peakMB by bin(5m) as time, @log
| sort time desc`}

var logQueries = []logQuery{
	{id: "WhatFails", name: "what fails", text: `filter msg = "request" and status >= 500
| stats count(*) as failures by bin(5m) as time, service, path, status
| sort time desc, failures desc`},
	{id: "WhatIsSlow", name: "what is slow", text: `filter msg = "request"
| stats count(*) as requests, pct(durationMs, 50) as p50, pct(durationMs, 99) as p99, max(durationMs) as slowest by service, path
| sort p99 desc`},
	// A load balancer adds a part of its own to a client's trace id, so a logged id
	// contains the id of the request.
	{id: "WhatHappened", name: "what happened to a request", text: `fields @timestamp, service, level, method, path, status, durationMs, error, @message
| filter traceId like "{{traceId}}"
| sort @timestamp asc
| limit 10000`, parameters: []awslogs.CfnQueryDefinition_QueryParameterProperty{{
		Name:         jsii.String("traceId"),
		Description:  jsii.String("What follows Root= in the header X-Amzn-Trace-Id of the request"),
		DefaultValue: jsii.String("1-67891233-abcdef012345678912345678"),
	}}},
}

// NewWatch adds the stack of the dashboard and the saved log queries. Its resources
// are the same in every phase.
func NewWatch(scope constructs.Construct, d config.Deployment, s config.Settings, routings []*Routing, ui *UI) awscdk.Stack {
	stack := newStack(scope, s, watchStack, "How the environment does: a dashboard, and saved queries of its logs", nil)
	newDashboard(stack, d, s, routings, ui)
	newQueries(stack, d, s)
	return stack
}

// newDashboard makes the environment's dashboard. It finds the metrics of a load
// balancer's services by a search for the load balancer's name. So it needs one value
// of each Routing stack, and not one for each target group.
//
// A dashboard shows at most 2500 metrics, and a widget 500
// (https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_limits.html).
// If there are several load balancers, the user chooses one, and the dashboard shows
// its services, which are at most 99. It shows the use of the cluster for all services.
func newDashboard(stack awscdk.Stack, d config.Deployment, s config.Settings, routings []*Routing, ui *UI) {
	g := graphs{minute: awscdk.Duration_Minutes(jsii.Number(1)), cluster: clusterOf(s), balancer: chosenBalancer}
	var variables []awscloudwatch.IVariable
	if len(routings) == 1 {
		g.balancer = *routings[0].fullName
	} else {
		variables = append(variables, balancerVariable(routings))
	}
	widgets := []*[]awscloudwatch.IWidget{{awscloudwatch.NewTextWidget(&awscloudwatch.TextWidgetProps{
		Markdown: jsii.String(dashboardText(s)), Width: jsii.Number(24), Height: jsii.Number(4),
	})}}
	errors := g.balancerErrors(routings)
	if s.Alarms {
		for names := range slices.Chunk(*routings[0].Alarms.names, maxWidgetAlarms) {
			var alarms []interfacesawscloudwatch.IAlarmRef
			for _, name := range names {
				alarms = append(alarms, awscloudwatch.Alarm_FromAlarmName(stack, jsii.String(name), jsii.String(name)))
			}
			widgets = append(widgets, &[]awscloudwatch.IWidget{awscloudwatch.NewAlarmStatusWidget(&awscloudwatch.AlarmStatusWidgetProps{
				Title: jsii.String("Alarms"), Alarms: &alarms, Width: jsii.Number(24), Height: jsii.Number(5),
				SortBy: awscloudwatch.AlarmStatusWidgetSortBy_STATE_UPDATED_TIMESTAMP,
			})})
		}
	}
	widgets = append(widgets,
		&[]awscloudwatch.IWidget{
			g.byService(8, "Requests a minute", "RequestCount", "Sum"),
			g.byService(8, "5xx of the services, a minute", "HTTPCode_Target_5XX_Count", "Sum"),
			graph(8, "5xx of the load balancer itself, a minute", errors, nil),
		},
		&[]awscloudwatch.IWidget{
			g.byService(12, "Latency in seconds, p50", "TargetResponseTime", "p50"),
			g.byService(12, "Latency in seconds, p99", "TargetResponseTime", "p99"),
		},
		&[]awscloudwatch.IWidget{
			g.byService(12, "Healthy tasks", "HealthyHostCount", "Minimum"),
			g.byService(12, "Unhealthy tasks", "UnHealthyHostCount", "Maximum"),
		},
		&[]awscloudwatch.IWidget{
			g.byTasks("CPU, % of what the tasks reserve", "CPUUtilization"),
			g.byTasks("Memory, % of what the tasks reserve", "MemoryUtilization"),
		},
		&[]awscloudwatch.IWidget{
			graph(24, "Cluster: % of it that is reserved, and its instances (right)",
				[]awscloudwatch.IMetric{g.ofCluster("AWS/ECS", "CPUReservation", "CPU"), g.ofCluster("AWS/ECS", "MemoryReservation", "memory")},
				[]awscloudwatch.IMetric{g.ofCluster("ECS/ContainerInsights", "ContainerInstanceCount", "instances")}),
		})
	if config.Discovered[config.ServiceConnect](d) {
		widgets = append(widgets, &[]awscloudwatch.IWidget{
			g.byCall("Calls by Service Connect, a minute", "DiscoveryName", "RequestCount", "Sum"),
			g.byCall("5xx of the services that are called, a minute", "TargetDiscoveryName", "HTTPCode_Target_5XX_Count", "Sum"),
			g.byCall("Latency of calls in milliseconds, average", "TargetDiscoveryName", "TargetResponseTime", "Average"),
		})
	}
	widgets = append(widgets, g.fronts(s, ui)...)
	widgets = append(widgets, g.functions(d, s)...)
	widgets = append(widgets, g.stores(d, s)...)
	widgets = append(widgets, g.events(d, s)...)
	awscloudwatch.NewDashboard(stack, jsii.String("Dashboard"), &awscloudwatch.DashboardProps{
		DashboardName:   jsii.String(s.Env),
		DefaultInterval: awscdk.Duration_Hours(jsii.Number(3)),
		Variables:       &variables,
		Widgets:         &widgets,
	})
}

// balancerVariable lets the user choose a load balancer; the first one at the start.
func balancerVariable(routings []*Routing) awscloudwatch.IVariable {
	var values []*awscloudwatch.VariableValue
	for _, routing := range routings {
		values = append(values, &awscloudwatch.VariableValue{Label: jsii.String(routing.title()), Value: routing.fullName})
	}
	return awscloudwatch.NewDashboardVariable(&awscloudwatch.DashboardVariableOptions{
		Id:           jsii.String("balancer"),
		Label:        jsii.String("Services of load balancer"),
		Type:         awscloudwatch.VariableType_PATTERN,
		Value:        jsii.String(chosenBalancer),
		InputType:    awscloudwatch.VariableInputType_SELECT,
		Values:       awscloudwatch.Values_FromValues(values...),
		DefaultValue: awscloudwatch.DefaultValue_Value(*routings[0].fullName),
		Visible:      jsii.Bool(true),
	})
}

// graphs makes the dashboard's graphs, with a value a minute.
type graphs struct {
	minute   awscdk.Duration
	cluster  string // name of the ECS cluster
	balancer string // full name of the load balancer whose services are shown
}

// graph has its metrics on two axes, both from zero. Of 24 units the width is one part.
func graph(width float64, title string, left, right []awscloudwatch.IMetric) awscloudwatch.IWidget {
	return awscloudwatch.NewGraphWidget(&awscloudwatch.GraphWidgetProps{
		Title: jsii.String(title), Width: jsii.Number(width), Height: jsii.Number(7), Left: &left, Right: &right,
		LeftYAxis: &awscloudwatch.YAxisProps{Min: jsii.Number(0)}, RightYAxis: &awscloudwatch.YAxisProps{Min: jsii.Number(0)},
	})
}

// search shows every metric that a search finds, with a dimension as its label.
func (g graphs) search(width float64, title, schema, metric, of, statistic, label string) awscloudwatch.IWidget {
	return graph(width, title, []awscloudwatch.IMetric{awscloudwatch.NewSearchExpression(&awscloudwatch.SearchExpressionProps{
		Expression: jsii.String(fmt.Sprintf(`SEARCH('{%s} MetricName="%s" %s', '%s', %v)`, schema, metric, of, statistic, time.Minute.Seconds())),
		Label:      jsii.String(fmt.Sprintf("${PROP('Dim.%s')}", label)),
		Period:     g.minute,
	})}, nil)
}

// byService shows a metric of the load balancer's services.
func (g graphs) byService(width float64, title, metric, statistic string) awscloudwatch.IWidget {
	return g.search(width, title, "AWS/ApplicationELB,LoadBalancer,TargetGroup", metric, fmt.Sprintf(`LoadBalancer="%s"`, g.balancer), statistic, "TargetGroup")
}

// byTasks shows a metric of the tasks of all services.
func (g graphs) byTasks(title, metric string) awscloudwatch.IWidget {
	return g.search(12, title, "AWS/ECS,ClusterName,ServiceName", metric, fmt.Sprintf(`ClusterName="%s"`, g.cluster), "Average", "ServiceName")
}

// byCall shows a metric of Service Connect's proxies. AWS lists the dimensions of each: the name of the
// service that is called, and an ECS service and its cluster
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/available-metrics.html).
func (g graphs) byCall(title, dimension, metric, statistic string) awscloudwatch.IWidget {
	return g.search(8, title, "AWS/ECS,ClusterName,"+dimension+",ServiceName", metric, fmt.Sprintf(`ClusterName="%s"`, g.cluster), statistic, dimension)
}

// functions shows what the functions do. How many of the requests were cold starts is no metric of Lambda: the saved
// query [coldStarts] counts them in the logs.
func (g graphs) functions(d config.Deployment, s config.Settings) []*[]awscloudwatch.IWidget {
	var pairs []config.Pair
	for _, service := range deployed(d, s) {
		if pair, is := service.Function(); is {
			pairs = append(pairs, pair)
		}
	}
	if len(pairs) == 0 {
		return nil
	}
	byFunction := func(width float64, title, name, statistic string) awscloudwatch.IWidget {
		var lines []awscloudwatch.IMetric
		for _, pair := range pairs {
			lines = append(lines, functionMetric(s, pair, name, statistic, time.Minute).With(&awscloudwatch.MetricOptions{Label: jsii.String(pair.Name)}))
		}
		return graph(width, title, lines, nil)
	}
	return []*[]awscloudwatch.IWidget{
		{
			byFunction(6, "Functions: invocations a minute", "Invocations", "Sum"),
			byFunction(6, "Functions: crashes and time-outs a minute", "Errors", "Sum"),
			byFunction(6, "Functions: requests that Lambda refused, a minute", "Throttles", "Sum"),
			byFunction(6, "Functions: execution environments in use", "ConcurrentExecutions", "Maximum"),
		},
		{
			byFunction(12, "Functions: duration in milliseconds, p50", "Duration", "p50"),
			byFunction(12, "Functions: duration in milliseconds, p99", "Duration", "p99"),
		},
	}
}

// stores shows what the tables and the database do. A graph of tables has a line for each.
func (g graphs) stores(d config.Deployment, s config.Settings) (rows []*[]awscloudwatch.IWidget) {
	if tables := config.StoresIn[config.DynamoDB](d); len(tables) > 0 {
		byTable := func(title string, names ...string) awscloudwatch.IWidget {
			var lines []awscloudwatch.IMetric
			for _, owner := range tables {
				for _, name := range names {
					lines = append(lines, g.metric("AWS/DynamoDB", name, "Sum", owner.Name, "TableName", jsii.String(owner.Table(s))))
				}
			}
			return graph(6, title, lines, nil)
		}
		rows = append(rows, &[]awscloudwatch.IWidget{
			byTable("Tables: read units a minute", "ConsumedReadCapacityUnits"),
			byTable("Tables: write units a minute", "ConsumedWriteCapacityUnits"),
			byTable("Tables: throttled reads and writes a minute", "ReadThrottleEvents", "WriteThrottleEvents"),
			byTable("Tables: conflicts of transactions a minute", "TransactionConflict"),
		})
	}
	if len(config.StoresIn[config.AuroraPostgreSQL](d)) > 0 {
		ofDatabase := func(name, label string) []awscloudwatch.IMetric {
			return []awscloudwatch.IMetric{g.metric("AWS/RDS", name, "Average", label, "DBClusterIdentifier", jsii.String(clusterName(s)))}
		}
		rows = append(rows, &[]awscloudwatch.IWidget{
			graph(8, "Database: capacity units, and % of the most (right)", ofDatabase("ServerlessDatabaseCapacity", "units"), ofDatabase("ACUUtilization", "%")),
			graph(8, "Database: connections", ofDatabase("DatabaseConnections", "connections"), nil),
			graph(8, "Database: latency of commits in milliseconds", ofDatabase("CommitLatency", "commits"), nil),
		})
	}
	return rows
}

func (g graphs) metric(namespace, name, statistic, label, dimension string, of *string) awscloudwatch.IMetric {
	return awscloudwatch.NewMetric(&awscloudwatch.MetricProps{
		Namespace: jsii.String(namespace), MetricName: jsii.String(name), Statistic: jsii.String(statistic), Label: jsii.String(label), Period: g.minute,
		DimensionsMap: &map[string]*string{dimension: of},
	})
}

func (g graphs) ofCluster(namespace, name, label string) awscloudwatch.IMetric {
	return g.metric(namespace, name, "Average", label, "ClusterName", jsii.String(g.cluster))
}

// balancerErrors are the load balancers' own answers with a code of 5xx.
func (g graphs) balancerErrors(routings []*Routing) []awscloudwatch.IMetric {
	var found []awscloudwatch.IMetric
	for _, routing := range routings {
		for _, code := range []string{"5XX", "502", "503", "504"} {
			label := code
			if len(routings) > 1 {
				label = routing.title() + " " + code
			}
			found = append(found, g.metric("AWS/ApplicationELB", "HTTPCode_ELB_"+code+"_Count", "Sum", label, "LoadBalancer", routing.fullName))
		}
	}
	return found
}

// dashboardText is the text of the dashboard.
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

// newQueries saves the queries over the logs of all services, that of calls over the logs of those with a proxy, and
// that of cold starts over the logs of functions.
func newQueries(stack awscdk.Stack, d config.Deployment, s config.Settings) {
	var groups, proxied, functions []any
	for _, service := range d.All() {
		groups = append(groups, logGroup(s, service.Name))
		if _, has := d.Proxy(service); has {
			proxied = append(proxied, logGroup(s, service.Name))
		}
	}
	for _, service := range deployed(d, s) {
		if pair, is := service.Function(); is {
			functions = append(functions, functionLogGroup(s, pair.Name))
		}
	}
	groups = append(groups, functions...)
	for _, q := range logQueries {
		saveQuery(stack, s, q, groups)
	}
	saveQuery(stack, s, callQuery, proxied)
	saveQuery(stack, s, coldStarts, functions)
}

// saveQuery saves a query. If there are more log groups than a query takes, it becomes several.
func saveQuery(stack awscdk.Stack, s config.Settings, q logQuery, groups []any) {
	chunks := slices.Collect(slices.Chunk(groups, maxQueryGroups))
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
