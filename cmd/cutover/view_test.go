package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cutover/internal/ecs"
	"cutover/internal/local"
)

// With several load balancers a listener is named with its stack, what is tried
// next is a whole URL, and a task has a line for each of its target groups.
func TestViewOfSeveralLoadBalancers(t *testing.T) {
	rules := []local.RuleStatus{{Priority: 10, Conditions: []string{"path-pattern /api/posts*"}, Action: "posts-press"}, {Action: "api-press"}}
	status := local.Status{
		Listeners: []local.ListenerStatus{
			{Key: "dev-Routing/Http", Port: 80, Protocol: "HTTP", URL: "http://localhost:8080", Rules: rules[1:]},
			{Key: "dev-RoutingPress/Http", Port: 80, Protocol: "HTTP", URL: "http://localhost:8081", Rules: rules},
			{Key: "dev-Routing/Staff", Port: 9090, Protocol: "HTTP", URL: "http://localhost:9090", Rules: rules[1:]},
		},
		Services: []ecs.ServiceStatus{{
			Name: "api", RunningCount: 1, DesiredCount: 1,
			Tasks: []ecs.TaskStatus{{ID: "0123456789", LastStatus: ecs.Running, Health: ecs.Healthy, Targets: map[string]ecs.TargetHealth{"a": ecs.TargetHealthy, "b": ecs.TargetInitial}}},
		}},
		Groups: []local.GroupStatus{{Key: "a", Name: "api"}, {Key: "b", Name: "api-press"}},
	}
	var out bytes.Buffer
	v := &view{out: &out, program: "cutover"}
	want := `HTTP:80 of dev-Routing at http://localhost:8080
  default    api-press

HTTP:80 of dev-RoutingPress at http://localhost:8081
  10       path-pattern /api/posts*  posts-press
  default                            api-press

HTTP:9090 at http://localhost:9090
  default    api-press

SERVICE  TASKS  TASK      STATUS   HEALTH   TARGET GROUP  TARGET
api      1/1    01234567  RUNNING  HEALTHY  api           healthy
                                            api-press     initial
`
	if diff := cmp.Diff(want, v.status(status)); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	v.summary(status, true)
	for _, line := range []string{
		"HTTP:80 of dev-Routing answers at http://localhost:8080/",
		"HTTP:80 of dev-RoutingPress answers at http://localhost:8081/api/posts",
		"HTTP:9090 answers at http://localhost:9090/",
		"  curl http://localhost:8080/",
		"  cutover routes http://localhost:8080/",
	} {
		if !strings.Contains(out.String(), line+"\n") {
			t.Errorf("the summary has no line %q:\n%s", line, &out)
		}
	}
}
