package stacks_test

import (
	"slices"
	"strings"
	"testing"

	"cutover/internal/assembly"
)

// TestWatchOfCalls: a service that is found by Service Connect has alarms of the calls, and the dashboard
// and a saved query show them. Other services have none.
func TestWatchOfCalls(t *testing.T) {
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
