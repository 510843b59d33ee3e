package stacks_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cutover/config"
	"cutover/deployment"
	"cutover/internal/assembly"
	"cutover/internal/listing"
	"cutover/internal/model"
	"cutover/internal/nightly"
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
	want := config.Deployment{Requests: d.Requests}
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

// A removed monolith leaves its stack with the log group, and its images. Nothing is built for it,
// no alarm is about it or compares with it, and services are rolled back by their own errors. The
// saved queries still ask its logs.
func TestRemovedMonolith(t *testing.T) {
	nightly.Test(t, "it synthesizes production without the monolith")
	a, before := synth(t, production(migration.Removed)), synth(t, production(migration.Retired))
	own := "prod-" + config.Pascal(monolith.Name)
	var left []string
	for _, r := range a.Stack(own).Resources {
		left = append(left, r.Type)
	}
	equal(t, "left in its stack", []string{"AWS::Logs::LogGroup"}, left)
	equal(t, "repositories", len(before.Resources("AWS::ECR::Repository")), len(a.Resources("AWS::ECR::Repository")))
	for _, group := range a.Resources("AWS::ElasticLoadBalancingV2::TargetGroup") {
		if property(t, a, group, "Name") == monolith.Name {
			t.Errorf("there still is %s", group)
		}
	}
	text, err := os.ReadFile(filepath.Join(a.Dir, own+".assets.json"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), `"dockerImages": {}`) {
		t.Errorf("an image is built for the monolith:\n%s", text)
	}
	for _, alarm := range a.Resources("AWS::CloudWatch::Alarm") {
		name := property(t, a, alarm, "AlarmName").(string)
		if strings.Contains(name, "canary") || strings.Contains(name, "of-"+monolith.Name) {
			t.Errorf("there still is the alarm %s", name)
		}
	}
	body := fmt.Sprint(resource(t, a, "prod-Watch", "AWS::CloudWatch::Dashboard").Properties["DashboardBody"])
	if strings.Contains(body, "canary") || strings.Contains(body, "errors-of-"+monolith.Name) || !strings.Contains(body, "errors-of-"+first.Name) {
		t.Errorf("the dashboard shows other alarms than there are: %s", body)
	}
	for _, service := range names(deployment.Forum.Services) {
		stack := "prod-" + config.Pascal(service)
		configuration := property(t, a, resource(t, a, stack, "AWS::ECS::Service"), "DeploymentConfiguration").(object)
		equal(t, service+" is rolled back by", any(object{"AlarmNames": []any{stack + "/ErrorsAlarm39B3548B"}, "Enable": true, "Rollback": true}), configuration["Alarms"])
	}
	equal(t, "log groups of the saved queries", queries(t, before), queries(t, a))
}
