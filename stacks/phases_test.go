package stacks_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cutover/config"
	"cutover/deployment"
	"cutover/internal/assembly"
	"cutover/internal/listing"
	"cutover/migration"
)

// TestPhaseChanges states what a change of phase, or of the shift, may change:
// resource by resource and property by property. A line begins with "+" for what
// is created, "-" for what is deleted and "~" for what is updated in place; going
// back is the same, the other way round.
func TestPhaseChanges(t *testing.T) {
	tests := []struct {
		from, to settings
		want     []string
	}{
		{
			from: settings{"phase": "monolith"}, to: settings{"phase": "parallel"},
			want: []string{
				"- dev-Gate MonolithFollowsTheBegunPhase AWS::SSM::Parameter",
				"- dev-Gate MonolithFollowsTheDeployedPhase AWS::SSM::Parameter",
				"- dev-Gate NotNextToShift AWS::SSM::Parameter",
				"- dev-Gate NotNextToSwitched AWS::SSM::Parameter",
				"+ dev-Gate ParallelFollowsTheBegunPhase AWS::SSM::Parameter",
				"+ dev-Gate ParallelFollowsTheDeployedPhase AWS::SSM::Parameter",
				"~ dev-Phase Outputs.Phase.Value monolith -> parallel",
				"- dev-Phase NotNextToShift AWS::SSM::Parameter",
				"- dev-Phase NotNextToSwitched AWS::SSM::Parameter",
				"~ dev-Phase Parameter Properties.Value monolith -> parallel",
				"~ dev-Posts ServiceD69D759B Properties.DesiredCount 0 -> 1",
				"~ dev-Threads ServiceD69D759B Properties.DesiredCount 0 -> 1",
				"~ dev-Users ServiceD69D759B Properties.DesiredCount 0 -> 1",
			},
		},
		{
			from: settings{"phase": "parallel"}, to: settings{"phase": "switched"},
			want: []string{
				"+ dev-Gate NotNextToMonolith AWS::SSM::Parameter",
				"- dev-Gate NotNextToRetired AWS::SSM::Parameter",
				"- dev-Gate ParallelFollowsTheBegunPhase AWS::SSM::Parameter",
				"- dev-Gate ParallelFollowsTheDeployedPhase AWS::SSM::Parameter",
				"+ dev-Gate SwitchedFollowsTheBegunPhase AWS::SSM::Parameter",
				"+ dev-Gate SwitchedFollowsTheDeployedPhase AWS::SSM::Parameter",
				"~ dev-Phase Outputs.Phase.Value parallel -> switched",
				"+ dev-Phase NotNextToMonolith AWS::SSM::Parameter",
				"- dev-Phase NotNextToRetired AWS::SSM::Parameter",
				"~ dev-Phase Parameter Properties.Value parallel -> switched",
				"- dev-Routing ApiMonolithRule3E1F67E5 AWS::ElasticLoadBalancingV2::ListenerRule",
				"~ dev-Routing LoadBalancerHttpF4A6AC3E Properties.DefaultActions[0].ForwardConfig.TargetGroups[0].Weight 1 -> 0",
				"~ dev-Routing LoadBalancerHttpF4A6AC3E Properties.DefaultActions[0].ForwardConfig.TargetGroups[1].Weight 0 -> 1",
			},
		},
		{
			from: settings{"phase": "switched"}, to: settings{"phase": "retired"},
			want: []string{
				"~ dev-Api ServiceD69D759B Properties.DesiredCount 1 -> 0",
				"+ dev-Gate NotNextToParallel AWS::SSM::Parameter",
				"+ dev-Gate NotNextToShift AWS::SSM::Parameter",
				"+ dev-Gate RetiredFollowsTheBegunPhase AWS::SSM::Parameter",
				"+ dev-Gate RetiredFollowsTheDeployedPhase AWS::SSM::Parameter",
				"- dev-Gate SwitchedFollowsTheBegunPhase AWS::SSM::Parameter",
				"- dev-Gate SwitchedFollowsTheDeployedPhase AWS::SSM::Parameter",
				"~ dev-Phase Outputs.Phase.Value switched -> retired",
				"+ dev-Phase NotNextToParallel AWS::SSM::Parameter",
				"+ dev-Phase NotNextToShift AWS::SSM::Parameter",
				"~ dev-Phase Parameter Properties.Value switched -> retired",
			},
		},
		{
			from: settings{"phase": "parallel"}, to: settings{"phase": "parallel", "shift": "users=10"},
			want: []string{
				"+ dev-Gate NotNextToMonolith AWS::SSM::Parameter",
				"+ dev-Gate ShiftFollowsTheBegunPhase AWS::SSM::Parameter",
				"+ dev-Gate ShiftFollowsTheDeployedPhase AWS::SSM::Parameter",
				"+ dev-Phase NotNextToMonolith AWS::SSM::Parameter",
				"+ dev-Routing UsersShiftRule61416B9A AWS::ElasticLoadBalancingV2::ListenerRule",
			},
		},
		{
			from: settings{"phase": "parallel", "shift": "users=10"}, to: settings{"phase": "parallel", "shift": "users=50"},
			want: []string{
				"~ dev-Routing UsersShiftRule61416B9A Properties.Actions[0].ForwardConfig.TargetGroups[0].Weight 10 -> 50",
				"~ dev-Routing UsersShiftRule61416B9A Properties.Actions[0].ForwardConfig.TargetGroups[1].Weight 90 -> 50",
			},
		},
		{
			from: settings{"phase": "parallel", "shift": "users=10"}, to: settings{"phase": "switched"},
			want: []string{
				"- dev-Gate NotNextToRetired AWS::SSM::Parameter",
				"- dev-Gate ParallelFollowsTheBegunPhase AWS::SSM::Parameter",
				"- dev-Gate ParallelFollowsTheDeployedPhase AWS::SSM::Parameter",
				"- dev-Gate ShiftFollowsTheBegunPhase AWS::SSM::Parameter",
				"- dev-Gate ShiftFollowsTheDeployedPhase AWS::SSM::Parameter",
				"+ dev-Gate SwitchedFollowsTheBegunPhase AWS::SSM::Parameter",
				"+ dev-Gate SwitchedFollowsTheDeployedPhase AWS::SSM::Parameter",
				"~ dev-Phase Outputs.Phase.Value parallel -> switched",
				"- dev-Phase NotNextToRetired AWS::SSM::Parameter",
				"~ dev-Phase Parameter Properties.Value parallel -> switched",
				"- dev-Routing ApiMonolithRule3E1F67E5 AWS::ElasticLoadBalancingV2::ListenerRule",
				"~ dev-Routing LoadBalancerHttpF4A6AC3E Properties.DefaultActions[0].ForwardConfig.TargetGroups[0].Weight 1 -> 0",
				"~ dev-Routing LoadBalancerHttpF4A6AC3E Properties.DefaultActions[0].ForwardConfig.TargetGroups[1].Weight 0 -> 1",
				"- dev-Routing UsersShiftRule61416B9A AWS::ElasticLoadBalancingV2::ListenerRule",
			},
		},
	}
	for _, test := range tests {
		t.Run(fmt.Sprintf("%v to %v", test.from, test.to), func(t *testing.T) {
			from, to := synth(t, test.from), synth(t, test.to)
			if diff := cmp.Diff(test.want, assembly.Changes(from, to)); diff != "" {
				t.Errorf("forward (-allowed +changed):\n%s", diff)
			}
			var back []string
			for _, line := range test.want {
				back = append(back, reverse(line))
			}
			if diff := cmp.Diff(back, assembly.Changes(to, from)); diff != "" {
				t.Errorf("back (-allowed +changed):\n%s", diff)
			}
		})
	}
}

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
	want = append(want,
		"~ prod-Posts NoTaskAlarmCA15201B Properties.TreatMissingData notBreaching -> breaching",
		"~ prod-Threads NoTaskAlarmCA15201B Properties.TreatMissingData notBreaching -> breaching",
		"~ prod-Users NoTaskAlarmCA15201B Properties.TreatMissingData notBreaching -> breaching")
	got := step(production)
	slices.Sort(want)
	slices.Sort(got)
	equal(t, "monolith to parallel", want, got)
}

// reverse turns what one direction does into what the other one does.
func reverse(line string) string {
	switch line[0] {
	case '+':
		return "-" + line[1:]
	case '-':
		return "+" + line[1:]
	}
	head, to, _ := strings.Cut(line, " -> ")
	cut := strings.LastIndex(head, " ") + 1
	return head[:cut] + to + " -> " + head[cut:]
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
