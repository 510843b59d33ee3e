package main

import (
	"errors"
	"path/filepath"
	"slices"
	"testing"

	"cutover/internal/assembly"
	"cutover/internal/local"
	"cutover/internal/local/alb"
	"cutover/internal/model"
	"cutover/internal/rehearsal"
	"cutover/internal/rules"
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

// Warnings, and rules that decided about no request, are gaps, whatever phase they are in.
func TestGapsOfAStage(t *testing.T) {
	rule := func(priority int) *rules.Rule { return &rules.Rule{Rule: &model.Rule{Priority: priority}} }
	s := &stage{listeners: map[string]string{}}
	status := local.Status{Warnings: []string{"the web ACL is not evaluated"}, Listeners: []alb.ListenerStatus{
		{Key: "a", Protocol: "HTTP", Port: 80, Rules: []alb.RuleStatus{{Priority: 10}, {Priority: 20, Conditions: nil}, {}}},
		{Key: "b", Protocol: "HTTPS", Port: 443, Rules: []alb.RuleStatus{{Priority: 10, Conditions: []string{"path-pattern /x", "host-header y"}}, {}}},
	}}
	s.meet(status)
	s.meet(status) // in the next phase
	s.asked.Store(rule(10), "a")
	s.asked.Store(rule(10), "a") // of another phase
	s.asked.Store(rule(0), "b")
	want := []string{
		"the web ACL is not evaluated",
		"rule 20 of HTTP:80 (a): no request came to this rule",
		"the default rule of HTTP:80 (a): no request came to this rule",
		"rule 10 of HTTPS:443 (b), path-pattern /x, host-header y: no request came to this rule",
	}
	if got := s.Gaps(); !slices.Equal(got, want) {
		t.Errorf("gaps\n%q\nwant\n%q", got, want)
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
		"hang:users":          {[]string{"monolith", "parallel"}, nil, "--fault hang:users: users answers no route in the walk monolith, parallel: add a phase to --walk, or a route with --route"},
		"hang:posts":          {[]string{"switched"}, []string{"/api/users"}, "--fault hang:posts: posts answers no route in the walk switched: add a phase to --walk, or a route with --route"},
		// A target group of weight 0 gets no requests.
		"hang:api":   {[]string{"switched"}, []string{"/"}, "--fault hang:api: api answers no route in the walk switched: add a phase to --walk, or a route with --route"},
		"kill:posts": {[]string{"switched"}, []string{"/api/posts?a=b"}, ""},
		"drain:api":  {[]string{"switched", "retired"}, nil, "--fault drain:api: api answers no route in the walk switched, retired: add a phase to --walk, or a route with --route"},
	} {
		fault, err := rehearsal.ParseFault(text)
		if err != nil {
			t.Fatal(err)
		}
		r, err := rehearsal.New(rehearsal.Options{Walk: test.walk, Routes: test.routes, Faults: []rehearsal.Fault{fault}})
		if err != nil {
			t.Fatal(err)
		}
		assemblies := map[string]string{}
		for _, phase := range test.walk {
			assemblies[phase] = filepath.Join(golden, phase)
		}
		got := ""
		if err := checkReach(r, assemblies); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%s: %q, want %q", text, got, test.want)
		}
	}
}
