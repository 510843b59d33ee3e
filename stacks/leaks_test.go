package stacks_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

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

// templateOf returns the properties of the resources of a stack whose ids begin with a text, as JSON in
// which keys are in order.
func templateOf(t *testing.T, a *assembly.Assembly, stack, id string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(a.Dir, stack+".template.json"))
	if err != nil {
		t.Fatal(err)
	}
	var template struct {
		Resources map[string]struct{ Properties any }
	}
	if err := json.Unmarshal(raw, &template); err != nil {
		t.Fatal(err)
	}
	maps.DeleteFunc(template.Resources, func(name string, _ struct{ Properties any }) bool { return !strings.HasPrefix(name, id) })
	text, err := json.Marshal(template.Resources)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
