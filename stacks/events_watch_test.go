package stacks_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"cutover/internal/assembly"
	"cutover/internal/model"
	"cutover/internal/nightly"
)

// eventAlarms are what alarms of events watch, and when they go off, by name without the environment.
func eventAlarms(a *assembly.Assembly, stack string) map[string]string {
	alarms := map[string]string{}
	for _, r := range a.Resources(model.CloudWatchAlarm) {
		if r.Stack.Name != stack {
			continue
		}
		p := r.Properties
		metrics := listOf(p["Metrics"])
		if len(metrics) != 1 { // a comparison
			continue
		}
		stat := metrics[0]["MetricStat"].(map[string]any)
		metric := stat["Metric"].(map[string]any)
		var dimensions []string
		for _, d := range listOf(metric["Dimensions"]) {
			dimensions = append(dimensions, fmt.Sprint(d["Value"]))
		}
		alarms[strings.TrimPrefix(p["AlarmName"].(string), "dev-")] = fmt.Sprint(stat["Stat"], " ", metric["MetricName"], " of ", strings.Join(dimensions, " "), " ", p["ComparisonOperator"], " ", p["Threshold"], ", ", p["EvaluationPeriods"], " × ", stat["Period"], " s, without data ", p["TreatMissingData"])
	}
	return alarms
}

// TestAlarmsOfEvents: what waits, what is late and what is given up sets off an alarm, and a worker without a task does. The runbook says
// what to do about each of them.
func TestAlarmsOfEvents(t *testing.T) {
	nightly.Test(t, "it synthesizes events with alarms, with both stores")
	from := func(what string, threshold, periods int) string {
		return fmt.Sprintf("%s GreaterThanOrEqualToThreshold %d, %d × 300 s, without data notBreaching", what, threshold, periods)
	}
	both := map[string]string{
		"age-of-events-of-feed":      from("Maximum ApproximateAgeOfOldestMessage of dev-feed.fifo", 300, 2),
		"depth-of-events-of-feed":    from("Maximum ApproximateNumberOfMessagesVisible of dev-feed.fifo", 1000, 3),
		"dead-letters-of-feed":       from("Maximum ApproximateNumberOfMessagesVisible of dev-feed-dead.fifo", 1, 1),
		"age-of-jobs-of-deletions":   from("Maximum ApproximateAgeOfOldestMessage of dev-deletions-work", 300, 2),
		"depth-of-jobs-of-deletions": from("Maximum ApproximateNumberOfMessagesVisible of dev-deletions-work", 1000, 3),
		"dead-letters-of-deletions":  from("Maximum ApproximateNumberOfMessagesVisible of dev-deletions-work-dead", 1, 1),
		"parked-events-of-feed":      from("Maximum ParkedAge of dev feed", 300, 2),
		"lag-of-projection-of-feed":  from("Minimum ProjectionLag of dev feed", 300, 2),
	}
	noTask := func(worker string) string {
		return "Maximum RunningTaskCount of dev " + worker + " LessThanThreshold 1, 5 × 60 s, without data breaching"
	}
	runbook, err := os.ReadFile("docs/runbook.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, store := range []string{"postgres", "dynamodb"} {
		context := settings{"store": store, "events": "on", "alarms": "on"}
		if store == "postgres" {
			context["databaseCapacity"] = "0.5-2" // alarms need a database that does not pause
		}
		a := synth(t, context)
		want, got := map[string]string{}, eventAlarms(a, "dev-Events")
		for name, when := range both {
			want[name] = when
		}
		for _, publisher := range []string{"users", "threads", "posts"} {
			if store == "postgres" {
				want["lag-of-relay-of-"+publisher] = from("Maximum OutboxAge of dev "+publisher, 300, 2)
				continue
			}
			want["lag-of-relay-of-"+publisher] = from("Maximum IteratorAge of dev-"+publisher+"-relay", 300_000, 2)
			want["errors-of-relay-of-"+publisher] = from("Sum Errors of dev-"+publisher+"-relay", 10, 1)
			want["dead-letters-of-"+publisher] = from("Maximum ApproximateNumberOfMessagesVisible of dev-"+publisher+"-relay-dead", 1, 1)
		}
		equal(t, "alarms of events with "+store, want, got)
		for stack, worker := range map[string]string{"dev-Feed": "feed-consumer", "dev-Deletions": "deletions-worker", "dev-Users": "users-relay"} {
			if when := eventAlarms(a, stack)["no-task-of-"+worker]; worker != "users-relay" || store == "postgres" {
				equal(t, "alarm of "+worker, noTask(worker), when)
				got["no-task-of-"+worker] = when
			}
		}
		for name := range got {
			kind := name[:strings.LastIndex(name, "-of-")+len("-of-")]
			if !slices.ContainsFunc([]string{"`dev-" + name + "`", "`dev-" + kind}, func(text string) bool { return strings.Contains(string(runbook), text) }) {
				t.Errorf("docs/runbook.md says nothing about the alarm dev-%s", name)
			}
		}
	}
}
