package stacks_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cutover/config"
	"cutover/deployment"
	"cutover/internal/assembly"
	"cutover/internal/golden"
	"cutover/migration"
)

// The parameters of the interlock are found by their names alone.
func TestInterlockParameters(t *testing.T) {
	names := func(stack *assembly.Stack) []string {
		var names []string
		for _, r := range stack.Resources {
			names = append(names, fmt.Sprint(r.Properties["Name"], " ", r.Properties["Value"]))
		}
		slices.Sort(names)
		return names
	}
	a := synth(t, goldenContext(deployment.Forum, golden.Canary))
	equal(t, "gate", []string{
		"/dev/phase-gate/begun/monolith monolith", // blocked, as is
		"/dev/phase-gate/begun/parallel parallel",
		"/dev/phase-gate/begun/retired retired", // this
		"/dev/phase-gate/begun/shift shift",
		"/dev/phase-gate/reached/parallel parallel",
		"/dev/phase-gate/reached/shift shift",
	}, names(a.Stack("dev-Gate")))
	equal(t, "blocks", []string{
		"/dev/phase parallel",
		"/dev/phase-gate/reached/monolith monolith",
		"/dev/phase-gate/reached/retired retired",
	}, names(a.Stack("dev-Phase")))
	off := synth(t, settings{"phase": "parallel", "phaseGate": "off"})
	equal(t, "gate when off", []string{"/dev/phase-gate/begun/off off"}, names(off.Stack("dev-Gate")))
}

// A deployment is a chain: what decides whether it may happen comes first, what
// says that it happened comes last.
func TestStackOrder(t *testing.T) {
	var got []string
	for _, stack := range inPhase(t, migration.Monolith).Stacks {
		var needs []string
		for _, other := range stack.DependsOn {
			needs = append(needs, other.Name)
		}
		slices.Sort(needs)
		got = append(got, strings.TrimSpace(stack.Name+": "+strings.Join(needs, " ")))
	}
	slices.Sort(got)
	want := []string{"dev-Cluster: dev-Network", "dev-Gate:", "dev-Network:", "dev-Registry:", "dev-Routing: dev-Gate dev-Network"}
	var services []string
	for _, service := range names(deployment.Forum.All()) {
		stack := "dev-" + config.Pascal(service)
		services = append(services, stack)
		want = append(want, stack+": dev-Cluster dev-Registry dev-Routing")
	}
	slices.Sort(services)
	needs := slices.Sorted(slices.Values(append([]string{"dev-Routing"}, services...)))
	want = append(want, "dev-Phase: "+strings.Join(services, " "), "dev-Watch: "+strings.Join(needs, " "))
	slices.Sort(want)
	equal(t, "dependencies", want, got)
}

// A plain "cdk deploy --all" works in a new environment: the images wait for the
// stack of their repositories.
func TestImagesWaitForTheirRepositories(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(inPhase(t, migration.Monolith).Dir, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	var manifest struct {
		Artifacts map[string]struct{ Dependencies []string }
	}
	if err := json.Unmarshal(text, &manifest); err != nil {
		t.Fatal(err)
	}
	for _, service := range names(deployment.Forum.All()) {
		equal(t, service, []string{"dev-Registry"}, manifest.Artifacts["dev-"+config.Pascal(service)+".assets"].Dependencies)
	}
}

// TestServiceMayComeAndGo adds a service and removes another. Neither may touch the
// rest. Neither runs into an export that is in use, because there are no exports.
func TestServiceMayComeAndGo(t *testing.T) {
	// The newcomer's order is between those of others.
	newcomer := config.Service{Name: "newcomer", Paths: []string{"/newcomer*"}, Order: first.Order + 1, Image: config.GoPackage{Dir: "services/" + first.Name}}
	for slices.ContainsFunc(deployment.Forum.Services, func(s config.Service) bool { return s.Order == newcomer.Order }) {
		newcomer.Order++
	}
	other := deployment.Forum
	other.Services = append(slices.DeleteFunc(slices.Clone(other.Services), func(s config.Service) bool { return s.Name == last.Name }), newcomer)
	for i := range other.Services { // nobody calls the service that goes
		other.Services[i].StoreCalls = slices.DeleteFunc(slices.Clone(other.Services[i].StoreCalls), func(name string) bool { return name == last.Name })
	}
	before, after := inPhase(t, migration.Parallel), synthDeployment(t, other, settings{"phase": "parallel"})

	for _, line := range assembly.Changes(before, after) {
		fields := strings.Fields(line)
		if fields[1] == "dev-Watch" && strings.HasPrefix(fields[3], "Properties.LogGroupNames[") {
			continue // its queries ask the logs of all services
		}
		place := strings.ToLower(strings.Join(fields[1:3], " "))
		if !strings.Contains(place, newcomer.Name) && !strings.Contains(place, strings.ToLower(config.Pascal(last.Name))) {
			t.Errorf("changes what it should not: %s", line)
		}
	}
	for _, a := range []*assembly.Assembly{before, after} {
		for _, stack := range a.Stacks {
			for id, output := range stack.Outputs {
				if output.ExportName != nil {
					t.Errorf("%s exports %s", stack.Name, id)
				}
			}
		}
	}
}
