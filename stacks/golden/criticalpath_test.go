package golden_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"cutover/config"
	"cutover/deployment"
	"cutover/internal/analysis/criticalpath"
	"cutover/internal/assembly"
	"cutover/internal/golden"
)

// TestCriticalPaths states how long the longest chain of each deployment is: the stacks
// and steps that wait for one another, and the seconds that the templates choose.
// It should only ever get shorter.
func TestCriticalPaths(t *testing.T) {
	tests := []struct {
		from, to string // golden assemblies; without the first one, nothing is deployed
		want     criticalpath.Length
	}{
		{"", "monolith", criticalpath.Length{Stacks: 4, Steps: 14, Seconds: 10}},
		{"", golden.Production, criticalpath.Length{Stacks: 4, Steps: 15, Seconds: 10}}, // and an alarm
		{"monolith", "parallel", criticalpath.Length{Stacks: 3, Steps: 5, Seconds: 10}},
		{"parallel", "switched", criticalpath.Length{Stacks: 3, Steps: 6}},
		{"switched", "retired", criticalpath.Length{Stacks: 3, Steps: 4, Seconds: 35}},
		{"retired", "removed", criticalpath.Length{Stacks: 4, Steps: 7}},
		{"removed", "retired", criticalpath.Length{Stacks: 4, Steps: 8}},
		{"retired", "switched", criticalpath.Length{Stacks: 3, Steps: 5, Seconds: 10}},
		{"switched", "parallel", criticalpath.Length{Stacks: 3, Steps: 6}},
		{"parallel", "monolith", criticalpath.Length{Stacks: 3, Steps: 4, Seconds: 35}},
	}
	for _, test := range tests {
		got := path(t, test.from, test.to)
		equal(t, fmt.Sprintf("from %v to %v", test.from, test.to), test.want, got.Longest)
		if len(got.Unknown) > 0 {
			t.Errorf("from %v to %v: not known: %v", test.from, test.to, got.Unknown)
		}
	}
}

// TestCutOverIsOneStack: beside the records of the phase, a cut-over and the way
// back touch the routing alone, in two resources, and wait for nothing of ours.
func TestCutOverIsOneStack(t *testing.T) {
	for _, step := range [][2]string{{"parallel", "switched"}, {"switched", "parallel"}} {
		p := path(t, step[0], step[1])
		for _, s := range p.Stacks {
			switch {
			case s.Name == "dev-Gate" || s.Name == "dev-Phase":
			case s.Name == "dev-Routing":
				if s.All.Steps > 2 || s.Replaced > 0 || s.All.Seconds > 0 {
					t.Errorf("%v: %+v, want two resources at most, none of them replaced", step, s)
				}
			case s.All.Steps > 0:
				t.Errorf("%v touches %s", step, s.Name)
			}
		}
	}
}

// TestRemovedMonolith: its service goes before its target groups, and comes back after them. No
// ECS service ever names a target group that is not there.
func TestRemovedMonolith(t *testing.T) {
	for _, step := range []struct{ from, to, first, then string }{
		{"retired", "removed", "dev-Api", "dev-Routing"},
		{"removed", "retired", "dev-Routing", "dev-Api"},
	} {
		a := golden.Read(t, root, step.to)
		if !slices.Contains(a.Stack(step.first).DependsOn, a.Stack("dev-Gate")) {
			t.Errorf("in %s, %s does not wait for the gate", step.to, step.first)
		}
		if !slices.Contains(a.Stack(step.then).DependsOn, a.Stack(step.first)) {
			t.Errorf("in %s, %s does not wait for %s", step.to, step.then, step.first)
		}
	}
}

// A stack waits for another one because it reads a value of it, or for a reason
// that is given here.
func TestStacksWaitForAReason(t *testing.T) {
	reasons := map[string]string{"Routing Gate": "the phase has to follow the deployed one, or nothing that carries traffic is touched"}
	for _, service := range deployment.Forum.All() {
		stack := config.Pascal(service.Name)
		reasons[stack+" Registry"] = "its image is pushed to its repository"
		reasons["Phase "+stack] = "the phase is reached when every service is"
		reasons["Watch "+stack] = "a saved query needs the log groups that it asks"
	}
	for _, s := range path(t, "", "monolith").Stacks {
		for _, need := range s.Needs {
			pair := strings.ReplaceAll(s.Name+" "+need.Stack, "dev-", "")
			if _, ok := reasons[pair]; ok != (need.Values == 0) {
				t.Errorf("%s waits for %s, of which it reads %d values: reason given: %t", s.Name, need.Stack, need.Values, ok)
			}
		}
	}
}

// path is what it takes to deploy a golden assembly, from another one if there is one.
func path(t *testing.T, from, to string) *criticalpath.Path {
	t.Helper()
	var before *assembly.Assembly
	if from != "" {
		before = golden.Read(t, root, from)
	}
	p, err := criticalpath.Read(before, golden.Read(t, root, to))
	if err != nil {
		t.Fatal(err)
	}
	return p
}
