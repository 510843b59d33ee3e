package stacks_test

import (
	"slices"
	"strings"
	"testing"

	"cutover/config"
	"cutover/deployment"
	"cutover/internal/assembly"
	"cutover/internal/listing"
	"cutover/internal/model"
	"cutover/internal/rules"
	"cutover/migration"
)

// In production, which has alarms, a step says beside this which services may
// have no task.
func TestPhaseChangesInProduction(t *testing.T) {
	step := func(of func(migration.Phase) settings) []string {
		return assembly.Changes(synth(t, of(migration.Monolith)), synth(t, of(migration.Parallel)))
	}
	var want []string
	for _, line := range step(func(p migration.Phase) settings { return settings{"phase": p.String()} }) {
		want = append(want, strings.Replace(line, " dev-", " prod-", 1))
	}
	for _, service := range names(deployment.Forum.Services) {
		want = append(want, "~ prod-"+config.Pascal(service)+" NoTaskAlarmCA15201B Properties.TreatMissingData notBreaching -> breaching")
	}
	got := step(production)
	slices.Sort(want)
	slices.Sort(got)
	equal(t, "monolith to parallel", want, got)
}

// A shift of all requests to a path is a rule of its own, beside one of some.
func TestShiftOfEverything(t *testing.T) {
	table, err := rules.Build(model.Read(synth(t, settings{"phase": "parallel", "shift": first.Name + "=10," + last.Name + "=100"})))
	if err != nil {
		t.Fatal(err)
	}
	for service, want := range map[*config.Service]string{&first: first.Name + " 10%, " + monolith.Name + " 90%", &last: last.Name} {
		for _, path := range service.Paths {
			if got := decide(t, table, "dev-Routing", strings.TrimSuffix(path, "*")); got != want {
				t.Errorf("%s goes to %s, want %s", path, got, want)
			}
		}
	}
}

// rooted is a phase in which the first service answers the root paths, from the switch on.
func rooted(phase migration.Phase) settings {
	return settings{"phase": phase.String(), "rootService": first.Name}
}

// TestListIsReadable compares the list of services with what commands read that do
// without CDK. A list that is made by a loop is as good as a literal.
func TestListIsReadable(t *testing.T) {
	d := deployment.Forum
	d.Services = nil
	for _, service := range deployment.Forum.Services {
		service.Tasks = len(d.Services) + 1
		d.Services = append(d.Services, service)
	}
	got, err := listing.Read(synthDeployment(t, d, nil).Dir)
	if err != nil {
		t.Fatal(err)
	}
	want := config.Deployment{}
	for _, s := range d.All() { // what a migration is about
		want.Services = append(want.Services, config.Service{Name: s.Name, LoadBalancer: s.LoadBalancer, Paths: s.Paths, Order: s.Order, Tasks: max(s.Tasks, 1), MaxTasks: s.MaxTasks})
	}
	want.Monolith, want.Services = want.Services[0], want.Services[1:]
	equal(t, "list of services", want, got.Deployment)
	for _, source := range []string{"main.go", "deployment/forum.go", "config/services.go", "migration/tasks.go"} {
		if got.Sources[source] == "" {
			t.Errorf("%s is none of the sources", source)
		}
	}
	if changed, err := got.Changed("."); changed != "" || err != nil {
		t.Errorf("%s has changed since (%v)", changed, err)
	}
}
