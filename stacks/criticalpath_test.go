package stacks_test

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"cutover/internal/analysis/criticalpath"
	"cutover/internal/assembly"
)

// TestPaths states how long the longest chain of each deployment is: the stacks
// and steps that wait for one another, and the seconds that the templates choose.
// It should only ever get shorter.
func TestPaths(t *testing.T) {
	tests := []struct {
		from, to settings // from may be nil
		want     criticalpath.Length
	}{
		{nil, settings{"phase": "monolith"}, criticalpath.Length{Stacks: 4, Steps: 14, Seconds: 10}},
		{nil, settings{"env": "prod"}, criticalpath.Length{Stacks: 4, Steps: 15, Seconds: 10}}, // and an alarm
		{settings{"phase": "monolith"}, settings{"phase": "parallel"}, criticalpath.Length{Stacks: 3, Steps: 5, Seconds: 10}},
		{settings{"phase": "parallel"}, settings{"phase": "switched"}, criticalpath.Length{Stacks: 3, Steps: 6}},
		{settings{"phase": "switched"}, settings{"phase": "retired"}, criticalpath.Length{Stacks: 3, Steps: 4, Seconds: 35}},
		{settings{"phase": "retired"}, settings{"phase": "switched"}, criticalpath.Length{Stacks: 3, Steps: 5, Seconds: 10}},
		{settings{"phase": "switched"}, settings{"phase": "parallel"}, criticalpath.Length{Stacks: 3, Steps: 6}},
		{settings{"phase": "parallel"}, settings{"phase": "monolith"}, criticalpath.Length{Stacks: 3, Steps: 4, Seconds: 35}},
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
		p := path(t, settings{"phase": step[0]}, settings{"phase": step[1]})
		for _, s := range p.Stacks {
			switch {
			case s.Name == "dev-Gate" || s.Name == "dev-Phase":
			case s.Name == "dev-Routing":
				if s.Touched() > 2 || s.Replaced > 0 || s.All.Seconds > 0 {
					t.Errorf("%v: %+v, want two resources at most, none of them replaced", step, s)
				}
			case s.Touched() > 0:
				t.Errorf("%v touches %s", step, s.Name)
			}
		}
	}
}

// A stack waits for another one because it reads a value of it, or for a reason
// that is given here.
func TestStacksWaitForAReason(t *testing.T) {
	reasons := map[string]string{
		"Routing Gate":     "the phase has to follow the deployed one, or nothing that carries traffic is touched",
		"Api Registry":     "its image is pushed to its repository",
		"Posts Registry":   "its image is pushed to its repository",
		"Threads Registry": "its image is pushed to its repository",
		"Users Registry":   "its image is pushed to its repository",
		"Phase Api":        "the phase is reached when every service is",
		"Phase Posts":      "the phase is reached when every service is",
		"Phase Threads":    "the phase is reached when every service is",
		"Phase Users":      "the phase is reached when every service is",
		"Watch Api":        "a saved query needs the log groups that it asks",
		"Watch Posts":      "a saved query needs the log groups that it asks",
		"Watch Threads":    "a saved query needs the log groups that it asks",
		"Watch Users":      "a saved query needs the log groups that it asks",
	}
	for _, s := range path(t, nil, settings{"phase": "monolith"}).Stacks {
		for _, need := range s.Needs {
			pair := strings.ReplaceAll(s.Name+" "+need.Stack, "dev-", "")
			if _, ok := reasons[pair]; ok != (need.Values == 0) {
				t.Errorf("%s waits for %s, of which it reads %d values: reason given: %t", s.Name, need.Stack, need.Values, ok)
			}
		}
	}
}

// TestStacksDeploySideBySide: the commands that deploy everything let as many
// stacks deploy at a time as do not wait for each other.
func TestStacksDeploySideBySide(t *testing.T) {
	most := path(t, nil, settings{"phase": "monolith"}).SideBySide()
	found := 0
	for _, file := range []string{"Makefile", "README.md", "cmd/cutover/phase.go"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range regexp.MustCompile(`(?m)^.*\bcdk deploy .*--all.*$`).FindAllString(string(text), -1) {
			found++
			match := regexp.MustCompile(`--concurrency (\d+)`).FindStringSubmatch(line)
			if match == nil {
				t.Errorf("%s: %q deploys one stack after the other", file, line)
			} else if n, err := strconv.Atoi(match[1]); err != nil || n < most {
				t.Errorf("%s: %q deploys %s stacks at a time: %d need not wait for each other", file, line, match[1], most)
			}
		}
	}
	if found < 8 {
		t.Errorf("only %d commands were found", found)
	}
}

// path is what it takes to deploy settings, from others if there are any.
func path(t *testing.T, from, to settings) *criticalpath.Path {
	t.Helper()
	var before *assembly.Assembly
	if from != nil {
		before = synth(t, from)
	}
	p, err := criticalpath.Read(before, synth(t, to))
	if err != nil {
		t.Fatal(err)
	}
	return p
}
