package stacks_test

import (
	"slices"
	"strings"
	"testing"

	"cutover/internal/analysis/cost"
	"cutover/internal/analysis/diagram"
	"cutover/internal/analysis/isolation"
	"cutover/internal/assembly"
	"cutover/internal/model"
	"cutover/internal/nightly"
)

// TestWatchOfCalls: a service that is found by Service Connect has alarms of the calls, and the dashboard
// and a saved query show them. Other services have none.
func TestWatchOfCalls(t *testing.T) {
	nightly.Test(t, "it synthesizes one more deployment")
	a := synthDiscovered(t)
	var alarms []string
	for _, alarm := range a.Resources("AWS::CloudWatch::Alarm") {
		if name := alarm.Properties["AlarmName"].(string); strings.Contains(name, "-of-calls-") {
			metric := listOf(property(t, a, alarm, "Metrics"))[0]
			alarms = append(alarms, strings.Join([]string{name, metric["Expression"].(string)}, ": "))
			equal(t, name+" tells", 1, len(alarm.Properties["AlarmActions"].([]any)))
		}
	}
	of := func(what string) string {
		return "SELECT " + what + ` FROM SCHEMA("AWS/ECS", ClusterName, ServiceName, TargetDiscoveryName) WHERE ClusterName = 'dev' AND TargetDiscoveryName = 'users-fargate'`
	}
	equal(t, "alarms", []string{
		"dev-errors-of-calls-to-users-fargate: " + of("SUM(HTTPCode_Target_5XX_Count)"),
		"dev-latency-of-calls-to-users-fargate: " + of("AVG(TargetResponseTime)"),
	}, alarms)

	board := readDashboard(t, a, "dev-Watch")
	calls := func(title, dimension, metric, statistic string) string {
		return title + ": ${PROP('Dim." + dimension + "')}: SEARCH('{AWS/ECS,ClusterName," + dimension + `,ServiceName} MetricName="` + metric + `" ClusterName="dev"', '` + statistic + "', 60)"
	}
	shown := board.show()
	equal(t, "dashboard", []string{
		calls("Calls by Service Connect, a minute", "DiscoveryName", "RequestCount", "Sum"),
		calls("5xx of the services that are called, a minute", "TargetDiscoveryName", "HTTPCode_Target_5XX_Count", "Sum"),
		calls("Latency of calls in milliseconds, average", "TargetDiscoveryName", "TargetResponseTime", "Average"),
	}, shown[len(shown)-3:])

	// threads calls users, so its tasks have proxies as well. api does not.
	equal(t, "whose logs the query asks", []string{"/ecs/users", "/ecs/threads"}, queries(t, a)["dev/what services call"])
	for _, name := range []string{"users", "threads"} {
		stack := a.Stack("dev-" + strings.ToUpper(name[:1]) + name[1:])
		service := stack.Resources[slices.IndexFunc(stack.Resources, func(r *assembly.Resource) bool { return r.Type == "AWS::ECS::Service" })]
		options := service.Properties["ServiceConnectConfiguration"].(object)["LogConfiguration"].(object)["Options"].(object)
		equal(t, "streams of "+name, any("service-connect"), options["awslogs-stream-prefix"])
	}
	text := property(t, a, a.Stack("dev-Watch").Resource("WhatServicesCall"), "QueryString").(string)
	if !strings.HasPrefix(text, `filter @logStream like "service-connect/"`+"\n") {
		t.Errorf("the query asks for other lines, too: %s", text)
	}
}

// TestAnalysesOfDiscovery: services that find each other in all ways have a price, meet the controls, are
// drawn with their calls, and reach each other only where a call needs it, or where bridge mode opens more.
func TestAnalysesOfDiscovery(t *testing.T) {
	a := synthDiscovered(t)
	meetsControls(t, a)
	estimates, err := cost.Read(model.Read(a))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "without a price", []string(nil), estimates[0].Unpriced)
	equal(t, "what calls cost", []string{
		"users-fargate: US$ 9.01 of its cost are for the Service Connect proxies, 256 CPU units and 512 MiB of each task",
		"threads: US$ 2.20 of its cost are for the Service Connect proxies, 256 CPU units and 64 MiB of each task",
	}, estimates[0].Calls)
	zone := slices.IndexFunc(estimates[0].Lines, func(l cost.Line) bool { return l.Name == "hosted zone" })
	equal(t, "hosted zone", cost.Cents(50), estimates[0].Lines[zone].Amount)

	i := isolated(t, a)
	equal(t, "too wide", []string(nil), i.TooWide())
	equal(t, "foreign", []string(nil), i.Foreign([]string{"api", "users", "threads", "posts"}))
	// api and threads call posts, which is in bridge mode as api is; api calls threads, which calls users.
	equal(t, "who reaches whom past the load balancer", []isolation.Direct{
		{Service: "api", From: []string{"posts", "threads"}, Ports: []string{"tcp 32768–65535"}},
		{Service: "posts", From: []string{"api", "threads"}, Ports: []string{"tcp 32768–65535"}},
		{Service: "threads", From: []string{"api", "posts"}, Ports: []string{"tcp 3000–3000"}},
		{Service: "users-fargate", From: []string{"threads"}, Ports: []string{"tcp 3000–3000"}},
	}, i.Directly)

	text, err := diagram.Requests(diagram.Layer{Assembly: a})
	if err != nil {
		t.Fatal(err)
	}
	for _, arrow := range []string{
		`threads_2 -->|"calls by Service Connect"| usersfargate_2`, `threads_2 -->|"calls by AWS Cloud Map"| posts_2`,
		`api_2 -->|"calls by AWS Cloud Map"| threads_2`, `api_2 -->|"calls by AWS Cloud Map"| posts_2`,
	} {
		if !strings.Contains(text, arrow) {
			t.Errorf("no arrow %s:\n%s", arrow, text)
		}
	}
	equal(t, "arrows of calls", 4, strings.Count(text, "calls by"))
}
