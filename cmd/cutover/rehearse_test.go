package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"cutover/deployment"
	"cutover/internal/assembly"
	"cutover/internal/listing"
	"cutover/internal/local"
	"cutover/internal/model"
	"cutover/internal/rehearsal"
)

// The command ends with the exit code of the verdict.
func TestConclude(t *testing.T) {
	gaps := []string{"a rule"}
	for _, test := range []struct {
		verdict rehearsal.Verdict
		strict  bool
		code    int
		says    string
	}{
		{rehearsal.Verdict{Outcome: rehearsal.Passed, Passed: true, Gaps: gaps}, false, 0, ""},
		{rehearsal.Verdict{Outcome: rehearsal.Passed, Passed: true}, true, 0, ""},
		{rehearsal.Verdict{Outcome: rehearsal.Failed}, false, 1, "the rehearsal failed: its report says why"},
		{rehearsal.Verdict{Outcome: rehearsal.Contained, Passed: true, Gaps: gaps}, true, 3, "requests were lost to the faults and nowhere else"},
		{rehearsal.Verdict{Outcome: rehearsal.Passed, Passed: true, Gaps: gaps}, true, 4, "the rehearsal passed with gaps, and --strict does not take them"},
		{rehearsal.Verdict{Outcome: rehearsal.Inconclusive}, false, 5, "the rehearsal is inconclusive: its report says why"},
	} {
		err := conclude(test.verdict, test.strict)
		var judged judgement
		switch {
		case test.code == 0:
			if err != nil {
				t.Errorf("%+v: %v", test.verdict, err)
			}
		case !errors.As(err, &judged) || judged.code != test.code || err.Error() != test.says:
			t.Errorf("%+v: %v", test.verdict, err)
		}
	}
}

// What a deployment changed is told apart: where requests go, how many tasks run, and the rest.
func TestChangesOfAStage(t *testing.T) {
	phase := func(name string) *assembly.Assembly {
		a, err := assembly.Read(filepath.Join(golden, name))
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	changes := sortChanges(phase("monolith"), phase("retired"))
	if len(changes.Traffic) == 0 || len(changes.Tasks) == 0 || len(changes.Others) == 0 {
		t.Fatalf("changes %+v", changes)
	}
	kinds := map[string]string{}
	for _, change := range assembly.Differences(phase("monolith"), phase("retired")) {
		kinds[change.Line] = change.Type
	}
	for _, lines := range [][]string{changes.Traffic, changes.Tasks, changes.Others} {
		for _, line := range lines {
			kind := kinds[line]
			traffic := slices.Contains([]string{model.ELBListener, model.ELBListenerRule}, kind)
			tasks := kind == model.ECSService
			if traffic != slices.Contains(changes.Traffic, line) || tasks != slices.Contains(changes.Tasks, line) || kind == "" && !slices.Contains(changes.Others, line) {
				t.Errorf("%s is about %q", line, kind)
			}
		}
	}
}

// The warnings of all phases are gaps, each once.
func TestGapsOfAStage(t *testing.T) {
	s := &stage{}
	s.warn([]string{"the web ACL is not evaluated"})
	s.warn([]string{"a certificate is made here", "the web ACL is not evaluated"})
	if want := []string{"the web ACL is not evaluated", "a certificate is made here"}; !slices.Equal(s.gaps(), want) {
		t.Errorf("gaps %q, want %q", s.gaps(), want)
	}
}

// A fault that the walk cannot do is refused before the walk.
func TestCheckReach(t *testing.T) {
	for text, test := range map[string]struct {
		walk, routes []string
		want         string
	}{
		"kill:users":          {[]string{"monolith", "parallel", "switched"}, nil, ""},
		"kill:users@parallel": {[]string{"monolith", "parallel"}, nil, ""}, // tasks without requests
		"kill:api":            {[]string{"retired", "parallel"}, nil, ""},
		"kill:users@monolith": {[]string{"monolith", "parallel"}, nil, "--fault kill:users@monolith: users has no task in monolith"},
		"hang:users":          {[]string{"monolith", "parallel"}, nil, "--fault hang:users: users answers no route in the walk monolith → parallel: add a phase to --walk, or a route with --route or --routes"},
		"hang:posts":          {[]string{"switched"}, []string{"/api/users"}, "--fault hang:posts: posts answers no route in the walk switched: add a phase to --walk, or a route with --route or --routes"},
		// A target group of weight 0 gets no requests.
		"hang:api": {[]string{"switched"}, []string{"/"}, "--fault hang:api: api answers no route in the walk switched: add a phase to --walk, or a route with --route or --routes"},
		// Those of the forum without events.
		"kill:users-relay": {[]string{"switched"}, nil, `--fault kill:users-relay: there is no service "users-relay" in the walk switched: its workers are none`},
		"kill:posts":       {[]string{"switched"}, []string{"/api/posts?a=b"}, ""},
		"drain:api":        {[]string{"switched", "retired"}, nil, "--fault drain:api: api answers no route in the walk switched → retired: add a phase to --walk, or a route with --route or --routes"},
	} {
		fault, err := rehearsal.ParseFault(text)
		if err != nil {
			t.Fatal(err)
		}
		if test.routes == nil {
			test.routes = deployment.Forum.Requests
		}
		r, err := rehearsal.New(rehearsal.Options{Walk: test.walk, Workload: rehearsal.Paths(test.routes...), Faults: []rehearsal.Fault{fault}})
		if err != nil {
			t.Fatal(err)
		}
		assemblies := map[string]string{}
		for _, phase := range test.walk {
			assemblies[phase] = filepath.Join(golden, phase)
		}
		phases, err := readRules(assemblies)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if err := checkReach(r, phases); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%s: %q, want %q", text, got, test.want)
		}
	}
}

// A worker answers no route, and a fault reaches it all the same. The timeline has its tasks.
func TestWorkers(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "manifest.json"), json.RawMessage(`{"artifacts": {"S": {"type": "aws:cloudformation:stack", "environment": "aws://unknown-account/unknown-region", "properties": {"templateFile": "s.json"}}}}`))
	write(t, filepath.Join(dir, "s.json"), json.RawMessage(`{"Resources": {
		"Relay": {"Type": "AWS::ECS::Service", "Properties": {"ServiceName": "users-relay", "DesiredCount": 1}},
		"Idle": {"Type": "AWS::ECS::Service", "Properties": {"ServiceName": "posts-relay", "DesiredCount": 0}},
		"Jobs": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "jobs"}},
		"Taker": {"Type": "AWS::Lambda::Function", "Properties": {"FunctionName": "taker-worker"}},
		"Poll": {"Type": "AWS::Lambda::EventSourceMapping", "Properties": {"FunctionName": {"Ref": "Taker"}, "EventSourceArn": {"Fn::GetAtt": ["Jobs", "Arn"]}}}}}`))
	phases, err := readRules(map[string]string{"now": dir})
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"kill:users-relay": "", "kill:users-relay@now": "", "kill:taker-worker": "",
		"kill:posts-relay": `--fault kill:posts-relay: there is no service "posts-relay" in the walk now: its workers are taker-worker, users-relay`,
	} {
		fault, err := rehearsal.ParseFault(text)
		if err != nil {
			t.Fatal(err)
		}
		r, err := rehearsal.New(rehearsal.Options{Walk: []string{"now"}, Workload: rehearsal.Paths("/"), Faults: []rehearsal.Fault{fault}})
		if err != nil {
			t.Fatal(err)
		}
		if err := checkReach(r, phases); fmt.Sprint(err) != cmp.Or(want, "<nil>") {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	of := func(kind, subject, state string) string {
		e := event(local.Event{Kind: kind, Subject: subject, State: state, Task: "1"}, []string{"users-relay"})
		return e.Target + " " + e.State
	}
	for got, want := range map[string]string{
		of("task", "users-relay", "PROVISIONING"): "1 initial", of("task", "users-relay", "RUNNING"): "1 healthy", of("health", "users-relay", "UNHEALTHY"): "1 unhealthy",
		of("task", "users-relay", "STOPPING"): "1 draining", of("task", "users-relay", "STOPPED"): "1 unused", of("task", "users", "RUNNING"): " ", of("target", "users", "healthy"): "1 healthy",
	} {
		if got != want {
			t.Errorf("the timeline has %q, want %q", got, want)
		}
	}
}

// settled is a rehearsal in a directory with a list of the forum's services and a context.
func settled(t *testing.T, context string, o rehearse) (*rehearse, error) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{"go.mod": "module forum\n", "main.go": "package main\n", cdkFile: `{"context": {` + context + `}}`} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Mkdir("cdk.out", 0o700), listing.Write(".", "cdk.out", deployment.Forum)); err != nil {
		t.Fatal(err)
	}
	cmd := &cobra.Command{}
	cmd.SetErr(io.Discard)
	return &o, o.settle(cmd)
}

// The settings in cdk.json and those of the command line decide about the walk and the gate.
func TestSettle(t *testing.T) {
	for _, test := range []struct {
		name, context  string
		walk, flags    []string
		want, settings string
	}{
		{"one phase for all", `"phase": "monolith"`, nil, nil, "monolith | parallel | switched | retired | switched | parallel | monolith", ""},
		{"no phase", ``, nil, nil, "monolith | parallel | switched | retired | switched | parallel | monolith", ""},
		{"a shift", `"phase": "parallel", "shift": "users=10"`, nil, nil, "monolith | parallel | switched | retired | switched | parallel | monolith", "shift="},
		{"a walk that is legal", ``, []string{"parallel", "switched"}, nil, "parallel | switched", ""},
		{"a walk with a gap", ``, []string{"retired", "parallel"}, nil, "retired | parallel", "phaseGate=off"},
		{"the rest", `"rest": "monolith"`, nil, nil, "monolith | parallel | switched | parallel | monolith", ""},
		{"the rest by a flag", ``, nil, []string{"rest=monolith"}, "monolith | parallel | switched | parallel | monolith", "rest=monolith"},
		{"a monolith that exists", `"rulePriorities": "1000-2999", "listenerArn": "arn:aws:elasticloadbalancing:a-b-1:123456789012:listener/app/a/0123456789abcdef/0123456789abcdef", "monolithTargetGroupArn": "arn:aws:elasticloadbalancing:a-b-1:123456789012:targetgroup/api/0123456789abcdef"`,
			nil, nil, "monolith | parallel | switched | parallel | monolith", ""},
		{"a flag before cdk.json", `"rest": "monolith"`, nil, []string{"rest=drop"}, "monolith | parallel | switched | retired | switched | parallel | monolith", "rest=drop"},
		{"places", `"phase": {"users": "switched", "threads": "switched", "posts": "switched"}`, []string{"users=10%"}, nil, "users=10%", ""},
		{"places and a phase", `"phase": "users=10%"`, []string{"monolith", "parallel"}, nil, "monolith | parallel", ""},
		{"a walk of places with a gap and a flag", `"shift": {"users": 5}, "phase": "parallel"`, []string{"users=10%", "users=monolith"}, []string{"zones=3"},
			"users=10% | users=monolith", "zones=3 shift= phaseGate=off"},
	} {
		o, err := settled(t, test.context, rehearse{walk: test.walk, context: test.flags})
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if settings := strings.Join(o.settings(), " "); walkText(o.stops) != test.want || settings != test.settings {
			t.Errorf("%s: %s with %q\nwant %s with %q", test.name, walkText(o.stops), settings, test.want, test.settings)
		}
	}
	o, err := settled(t, `"phase": "users=switched", "rest": "monolith"`, rehearse{})
	if err != nil || o.stops[0].name != "users=switched" || len(o.stops) != 16 || len(o.settings()) != 0 {
		t.Errorf("the default walk of places: %v, %s with %q", err, walkText(o.stops), o.settings())
	}
	// What is refused is not settled.
	for context, want := range map[string]string{
		`"phase": "paralel"`:                    "the context of cdk.json: phase: \"paralel\" is not a phase",
		`"phase": "users=switched", "zones": 9`: "the context of cdk.json:\nzones: 9 is out of range",
	} {
		if _, err := settled(t, context, rehearse{}); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v", context, err)
		}
	}
}

// Assemblies of --app have the names of their positions. The list beside them says which services
// there are; another app has none, and stops of any name.
func TestSettleAssemblies(t *testing.T) {
	own, other := t.TempDir(), t.TempDir()
	for dir, list := range map[string]bool{own: true, other: false} {
		at := filepath.Join(dir, "parallel")
		if err := os.Mkdir(at, 0o700); err != nil {
			t.Fatal(err)
		}
		d := deployment.Forum
		d.KeepRest = true
		if list {
			if err := listing.Write(t.TempDir(), at, d); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, test := range []struct {
		app  string
		walk []string
		want string
		dirs string
	}{
		{own, nil, "monolith | parallel | switched | parallel | monolith", "monolith parallel switched parallel monolith"},
		{own, []string{"open", "parallel"}, "open | parallel", "open parallel"},
		{own, []string{"users=10%", "posts=parallel"}, "users=10% | posts=parallel,users=10%", "users=10% posts=parallel,users=10%"},
		{other, nil, "monolith | parallel | switched | retired | switched | parallel | monolith", "monolith parallel switched retired switched parallel monolith"},
		{other, []string{"open", "a=b", "c=d"}, "open | a=b | c=d", "open a=b c=d"},
	} {
		o := rehearse{app: test.app, walk: test.walk}
		err := o.settle(&cobra.Command{})
		var dirs []string
		for _, stop := range o.stops {
			dirs = append(dirs, stop.dir())
		}
		if got := strings.Join(dirs, " "); err != nil || walkText(o.stops) != test.want || got != test.dirs {
			t.Errorf("%q: %s in %s, %v", test.walk, walkText(o.stops), got, err)
		}
		if (o.walker != nil) != (test.app == own) {
			t.Errorf("%q: walker %v", test.walk, o.walker)
		}
	}
	o := rehearse{app: own, walk: []string{"user=10%"}}
	if err := o.settle(&cobra.Command{}); err == nil || !strings.Contains(err.Error(), `no microservice or route "user"`) {
		t.Errorf("%v", err)
	}
}

// Who has to answer is known of each position that is. A directory called parallel may have a shift.
func TestAnswerersOfAWalk(t *testing.T) {
	for _, test := range []struct{ app, walk, phase, want string }{
		{"", "monolith,parallel", "parallel", "api"},
		{"", "users=10%", "users=10%", "users api"},
		{"phases", "monolith,parallel", "monolith", "api"},
		{"phases", "monolith,parallel", "parallel", ""},
		{"phases", "users=parallel", "users=parallel", "api"},
		{"phases", "open,switched", "open", ""},
		{"phases", "open,switched", "switched", "users"},
	} {
		o := rehearse{app: test.app, walker: walkerFor(t, deployment.Forum, map[string]any{}), stops: stopsOf(strings.Split(test.walk, ","))}
		if strings.Contains(test.walk, "=") {
			var err error
			if o.stops, err = o.walker.stops(strings.Split(test.walk, ",")); err != nil {
				t.Fatal(err)
			}
		}
		if got := strings.Join(o.answerers()(test.phase, &rehearsal.Request{Path: "/api/users/1"}), " "); got != test.want {
			t.Errorf("%+v: %q", test, got)
		}
	}
	if (&rehearse{}).answerers() != nil {
		t.Error("without a list somebody has to answer")
	}
}

// A review checks the flags first, and names the phases later.
func TestCheckAgain(t *testing.T) {
	o := rehearse{rate: 1, dwell: 1, out: t.TempDir(), walk: []string{"monolith", "parallel"}}
	for range 2 {
		if _, err := o.check(nil); err != nil || walkText(o.stops) != strings.Join(o.walk, " | ") {
			t.Errorf("%s, %v", walkText(o.stops), err)
		}
		o.walk = []string{"switched"}
	}
	for want, o := range map[string]rehearse{"--rate 0 ": {dwell: 1}, "--dwell 0s ": {rate: 1}} {
		if _, err := o.check(nil); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
