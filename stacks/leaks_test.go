package stacks_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cutover/config"
	"cutover/internal/assembly"
)

// The forum came first, and its values are the defaults. A service that says everything itself has
// none of them.
func TestNoDefaultLeaks(t *testing.T) {
	service := func(name string) config.Service {
		return config.Service{
			Name: name, Image: config.GoPackage{Dir: "services/users"}, Port: 8080,
			HealthCheck: config.HealthCheck{Path: "/ready", Codes: "204", Command: []string{"CMD", "/" + name, "check"}, GracePeriodSeconds: 77},
			Command:     []string{"--serve"}, User: "1000:1001", CPU: 300, MemoryReservationMiB: 301, MemoryLimitMiB: 700,
			WritablePaths:              []config.WritablePath{{Path: "/tmp", SizeMiB: 33}},
			DeregistrationDelaySeconds: 71, StopTimeoutSeconds: 97,
			Alarms: config.Alarms{LatencyMilliseconds: 2300, Errors: 29},
			Tasks:  2, MaxTasks: 5, TargetCPUPercent: 47,
			Sidecars: []config.Sidecar{{
				Name: "proxy", Image: config.Registry{Name: "public.ecr.aws/nginx/nginx:1.29"}, User: "101:102", CPU: 31, MemoryReservationMiB: 37, MemoryLimitMiB: 99,
				WritablePaths: []config.WritablePath{{Path: "/run", SizeMiB: 11}}, Ports: []int{9000}, HealthCheck: []string{"CMD-SHELL", "true"},
			}},
			DependsOn: []config.Dependency{{Container: "proxy", Condition: "HEALTHY"}},
		}
	}
	d := config.Deployment{Monolith: service("shop"), Services: []config.Service{service("orders")}}
	d.Monolith.Paths = []string{"/shop*"}
	d.Services[0].Paths, d.Services[0].Order = []string{"/shop/orders*"}, 10
	a := synthDeployment(t, d, settings{"phase": "parallel", "alarms": "on", "maxInstances": "9"})

	for _, name := range []string{"shop", "orders"} {
		text := templateOf(t, a, "dev-"+config.Pascal(name), "")
		for _, value := range []struct{ own, forum string }{
			{`"ContainerPort":8080`, `"ContainerPort":3000`},
			{`"Name":"PORT","Value":"8080"`, `"3000"`},
			{`"Name":"STOP_TIMEOUT","Value":"71s"`, `"15s"`},
			{`"Command":["CMD","/` + name + `","check"]`, `healthcheck`},
			{`"Command":["--serve"]`, `"Command":["CMD","/users`},
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
			{name + " answers with 5xx: 29 times", ": 10 times"},
			{`"Threshold":2.3`, `"Threshold":1000`},
			{"takes 2.3 s or more", "takes 1 s"},
			{`"TargetValue":47`, `"TargetValue":60`},
			{`"MaxCapacity":5,"MinCapacity":2`, `"MinCapacity":1`},
		} {
			if !strings.Contains(text, value.own) || strings.Contains(text, value.forum) {
				t.Errorf("%s: it should have %s, and not %s", name, value.own, value.forum)
			}
		}
		group := templateOf(t, a, "dev-Routing", config.Pascal(name))
		for _, value := range []struct{ own, forum string }{
			{`"HealthCheckPath":"/ready"`, `"HealthCheckPath":"/"`},
			{`"HttpCode":"204"`, `"HttpCode":"200"`},
			{`"Key":"deregistration_delay.timeout_seconds","Value":"71"`, `"Value":"15"`},
		} {
			if !strings.Contains(group, value.own) || strings.Contains(group, value.forum) {
				t.Errorf("target group of %s: it should have %s, and not %s", name, value.own, value.forum)
			}
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
