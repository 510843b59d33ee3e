package stacks_test

import (
	"slices"
	"strings"
	"testing"

	"cutover/internal/assembly"
	"cutover/internal/model"
)

// TestAlarmsOfEvents: what waits, what is late and what is given up sets off an alarm, and a worker without a task does. Without
// the setting alarms there are none.
func TestAlarmsOfEvents(t *testing.T) {
	of := func(a *assembly.Assembly, stack string) (names []string) {
		for _, r := range a.Resources(model.CloudWatchAlarm) {
			if r.Stack.Name == stack {
				names = append(names, strings.TrimPrefix(r.Properties["AlarmName"].(string), "dev-"))
			}
		}
		slices.Sort(names)
		return names
	}
	a := synth(t, settings{"store": "postgres", "events": "on", "alarms": "on", "dashboard": "on", "databaseCapacity": "0.5-2"})
	equal(t, "alarms of events", of(a, "dev-Events"), []string{
		"age-of-events-of-feed", "age-of-jobs-of-deletions", "dead-letters-of-deletions", "dead-letters-of-feed",
		"depth-of-events-of-feed", "depth-of-jobs-of-deletions", "lag-of-projection-of-feed",
		"lag-of-relay-of-posts", "lag-of-relay-of-threads", "lag-of-relay-of-users", "parked-events-of-feed",
	})
	if names := of(a, "dev-Users"); !slices.Contains(names, "no-task-of-users-relay") {
		t.Errorf("alarms of users are %q", names)
	}
}
