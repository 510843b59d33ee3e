package stacks_test

import (
	"encoding/json"
	"strings"
	"testing"

	"cutover/config"
	"cutover/internal/assembly"
)

// The forum came first, and its values are the defaults. A service that says everything itself has
// none of them.
func TestNoDefaultLeaks(t *testing.T) {
	a := synthOwn(t)
	text := templateOf(t, a, "dev-Users", "") + templateOf(t, a, "dev-Routing", "Users") // the target group
	for _, value := range []struct{ own, forum string }{
		{`"ContainerPort":8080`, `"ContainerPort":3000`},
		{`"Name":"PORT","Value":"8080"`, `"3000"`},
		{`"Name":"STOP_TIMEOUT","Value":"71s"`, `"15s"`},
		{`"Command":["CMD","/users","check"]`, `healthcheck`},
		{`"Command":["--serve"]`, `"Command":["/users`},
		{`"HealthCheckGracePeriodSeconds":77`, `"HealthCheckGracePeriodSeconds":15`},
		{`"StopTimeout":97`, `"StopTimeout":20`},
		{`"User":"1000:1001"`, `65532`},
		{`"User":"101:102"`, `"User":"0`},
		{`"Cpu":300`, `"Cpu":256`},
		{`"Cpu":31`, `"Cpu":64`},
		{`"Memory":700,"MemoryReservation":301`, `"MemoryReservation":256`},
		{`"Memory":99,"MemoryReservation":37`, `"MemoryReservation":64`},
		{`"Size":33`, `"Size":64`},
		{`"Size":11`, `"Size":0`},
		{`"Threshold":29`, `"Threshold":10`},
		{"users answers with 5xx: 29 times", ": 10 times"},
		{`"Threshold":2.3`, `"Threshold":1000`},
		{"takes 2.3 s or more", "takes 1 s"},
		{`"TargetValue":47`, `"TargetValue":60`},
		{`"MaxCapacity":5,"MinCapacity":2`, `"MinCapacity":1`},
		{`"HealthCheckPath":"/ready"`, `"HealthCheckPath":"/"`},
		{`"HttpCode":"204"`, `"HttpCode":"200"`},
		{`"Key":"deregistration_delay.timeout_seconds","Value":"71"`, `"Value":"15"`},
	} {
		if !strings.Contains(text, value.own) || strings.Contains(text, value.forum) {
			t.Errorf("users: it should have %s, and not %s", value.own, value.forum)
		}
	}
}

// A function has none of the defaults either, and nothing of a task.
func TestNoDefaultLeaksIntoFunctions(t *testing.T) {
	d := functions()
	for i := range d.Services {
		if s := &d.Services[i]; s.Name == first.Name {
			s.Port, s.CPU, s.MemoryReservationMiB, s.MemoryLimitMiB, s.User = 8080, 300, 301, 700, "1000:1001"
			s.HealthCheck, s.Alarms = config.HealthCheck{Path: "/ready", Codes: "204", GracePeriodSeconds: 77}, config.Alarms{LatencyMilliseconds: 2300, Errors: 29}
			s.DeregistrationDelaySeconds, s.StopTimeoutSeconds, s.Tasks, s.MaxTasks = 71, 97, 2, 5
		}
	}
	a := synthQuickly(t, d, settings{"phase": "parallel", "alarms": "on", "logRetentionDays": "7"})
	text := templateOf(t, a, "dev-UsersFunction", "") + templateOf(t, a, "dev-Users", "") + templateOf(t, a, "dev-Routing", "Users")
	for _, value := range []struct{ own, other string }{
		{`"MemorySize":1769`, `"MemorySize":256`},
		{`"Timeout":60`, `"Timeout":10`},
		{`"ReservedConcurrentExecutions":100`, `"ReservedConcurrentExecutions":50`},
		{`"Threshold":48000`, `"Threshold":8000`},
		{"takes 48 s or more", "takes 8 s"},
		{"80 of 100 execution environments", "of 50 execution environments"},
		{"its 100 execution environments", "its 50 execution environments"},
		{`"Threshold":29`, `"Threshold":10`},
		{"users-lambda answers with 5xx: 29 times", ": 10 times"},
		{`"Threshold":2.3`, `"Threshold":1000`},
		{"takes 2.3 s or more", "takes 1 s"},
		{`"RetentionInDays":7`, `"RetentionInDays":30`},
		{`"LEVEL":`, `"PORT"`},
		{`"CUTOVER_SECRETS":`, `"STOP_TIMEOUT"`},
		{`"HealthCheckEnabled":false`, `"HealthCheckPath"`},
		{`"lambda.multi_value_headers.enabled","Value":"true"`, "deregistration_delay"},
		{`"TargetType":"lambda"`, `"Port":`},
		{`"AWS::AccountId"`, "8080"},
	} {
		if !strings.Contains(text, value.own) || strings.Contains(text, value.other) {
			t.Errorf("users-lambda: it should have %s, and not %s", value.own, value.other)
		}
	}
}

// templateOf returns the properties of the resources of a stack whose ids begin with a text, as JSON in
// which keys are in order.
func templateOf(t *testing.T, a *assembly.Assembly, stack, id string) string {
	t.Helper()
	properties := map[string]any{}
	for _, r := range a.Stack(stack).Resources {
		if strings.HasPrefix(r.LogicalID, id) {
			properties[r.LogicalID] = r.Properties
		}
	}
	text, err := json.Marshal(properties)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
