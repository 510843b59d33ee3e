package main

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"cutover/config"
	"cutover/internal/local/alb"
	"cutover/internal/local/lambda"
	"cutover/internal/model"
	"cutover/internal/rehearsal"
)

// A service that asks another one passes on the trace of its client. The load balancer's record of that is not one of the
// client's request.
func TestRecordOfACall(t *testing.T) {
	const root = "Root=1-67891234-abcdef012345678912345678"
	for sent, want := range map[string]string{root: "Self=2;" + root, "Self=1;" + root: "", "": "Self=2;" + root} {
		e := alb.Exchange{TraceID: "Self=2;" + root, Header: http.Header{}, Status: 200, TargetStatus: 200}
		e.Header.Set(rehearsal.TraceHeader, sent)
		if got := traceOf(e); got != want {
			t.Errorf("sent %q: the record has the trace %q, want %q", sent, got, want)
		}
	}
	e := alb.Exchange{Header: http.Header{rehearsal.TraceHeader: {root}}}
	if got := traceOf(e); got != root {
		t.Errorf("without a target: %q", got)
	}
}

// What comes near the limits of functions is told of services that are a function in some phase, once each, with the
// largest of it.
func TestLargest(t *testing.T) {
	l := &largest{}
	l.note("users", alb.Exchange{Method: "GET", URI: "/api/users?page=1", Sent: near - 1})
	if lines := l.told(); lines != nil {
		t.Errorf("less than what is near: %q", lines)
	}
	l.note("users", alb.Exchange{Method: "GET", URI: "/api/users?page=2", Sent: near})
	l.note("users", alb.Exchange{Method: "GET", URI: "/api/users/1", Sent: near + 5})
	l.note("users", alb.Exchange{Method: "GET", URI: "/api/users/2", Sent: near + 4})
	l.note("posts", alb.Exchange{Method: "POST", URI: "/api/posts", Received: 2 * near, Sent: 100})
	const limit = " bytes, and a load balancer sends a function at most 1 MB, and takes at most 1 MB of JSON from it: keep requests and answers small, or the service on tasks"
	want := []string{"posts: POST /api/posts was asked with 1400000" + limit, "users: GET /api/users/1 was answered with 700005" + limit}
	if got := l.told(); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if s := (&stage{large: largest{text: map[string]string{"users": "near"}}, warnings: []string{"other"}}); !slices.Equal(s.gaps(), []string{"other", "near"}) {
		t.Errorf("gaps %q", s.gaps())
	}
	m := config.Deployment{Monolith: config.Service{Name: "api"}, Services: []config.Service{
		{Name: "users", Compute: config.EC2{}, Next: config.Lambda{}}, {Name: "posts", Compute: config.Lambda{}}, {Name: "tags"},
	}}.Migration()
	all := map[string]string{"users": "users", "users-lambda": "users", "posts-lambda": "posts"}
	if got := limitedPairs(m, nil); !maps.Equal(got, all) {
		t.Errorf("limited are %v, want %v", got, all)
	}
}

// A function of which more than one in a hundred invocations waits for a cold start gets a price.
func TestColdStarts(t *testing.T) {
	price := provisioned(map[string]*phaseRules{"switched": {Model: &model.Model{Functions: []*model.Function{{Name: "users", MemoryMiB: 512}, {Name: "posts", MemoryMiB: 512}, {Name: "tags", MemoryMiB: 512}}}}})
	s := &stage{provisioned: price, functions: map[string]lambda.FunctionStatus{
		"users": {Invocations: 200, ColdStarts: 2, Most: 3, Cold: lambda.Took{P50: 41 * time.Millisecond}},
		"posts": {Invocations: 201, ColdStarts: 2, Most: 3, Cold: lambda.Took{P50: 41 * time.Millisecond}},
		"tags":  {},
	}}
	want := []string{"users: 2 of 200 invocations waited for a cold start, half of them 41 ms or longer here, so the p99 is that of a cold start, and AWS takes another time for it: " +
		"if clients may not wait, give the alias provisioned concurrency of 3, as many as were invoked at once, for US$ 16.43 a month; or keep the service on tasks"}
	if got := s.gaps(); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	s = &stage{functions: map[string]lambda.FunctionStatus{"users": {Invocations: 200, ColdStarts: 2, Cold: lambda.Took{P50: 41 * time.Millisecond, P99: 50 * time.Millisecond}, Warm: lambda.Took{P50: 2 * time.Millisecond, P99: 9 * time.Millisecond}}}}
	facts := []rehearsal.Fact{{Name: "Function users", Value: "200 invocations, 2 cold starts, 0 errors, 0 throttled requests; warm p50 2 ms, p99 9 ms; cold p50 41 ms, p99 50 ms"}}
	if got := s.facts(); !slices.Equal(got, facts) {
		t.Errorf("%q, want %q", got, facts)
	}
}

// Of the faults of tasks only the end of what runs can be done to a function; stores are harmed for functions, too.
func TestFaultsOfFunctions(t *testing.T) {
	for text, want := range map[string]string{
		"kill:users-lambda":     "",
		"throttle:users-lambda": "",
		"hang:users":            "",
		"hang:users-lambda":     "--fault hang:users-lambda: users-lambda is a function, and has no tasks to harm so: choose kill, which ends its execution environments, or a fault of its store",
		"drain:users-lambda":    "--fault drain:users-lambda: users-lambda is a function, ",
		"kill:posts":            `--fault kill:posts: there is no service "posts": `,
	} {
		fault, err := rehearsal.ParseFault(text)
		if err != nil {
			t.Fatal(err)
		}
		fault.OfStore = fault.Kind == "throttle"
		err = checkFaults([]rehearsal.Fault{fault}, []string{"users", "users-lambda"}, []string{"users-lambda"})
		if got := fmt.Sprint(err); err == nil && want != "" || err != nil && (want == "" || !strings.HasPrefix(got, want)) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
