package stacks_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cutover/config"
	"cutover/internal/assembly"
	"cutover/internal/model"
	"cutover/internal/nightly"
	"cutover/internal/rules"
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

// An environment passes over to places in a deployment that moves nothing: only the first and the
// last stack change. A step of one service leaves the others alone, and finishing a share changes
// the targets of its rule.
func TestPlacesChange(t *testing.T) {
	nightly.Test(t, "it synthesizes three more positions")
	tests := []struct {
		from, to string
		want     []string // beside the two stacks
	}{
		{"monolith", "users=monolith", nil},
		{"users=switched,posts=10%", "users=switched,posts=switched", []string{
			"~ dev-Routing PostsShiftRule80D5567A Properties.Actions[0].ForwardConfig map[TargetGroups:[map[TargetGroupArn:map[Ref:Posts868B3EAD] Weight:10] map[TargetGroupArn:map[Ref:ApiF70053CD] Weight:90]]] -> <nil>",
			"~ dev-Routing PostsShiftRule80D5567A Properties.Actions[0].TargetGroupArn <nil> -> map[Ref:Posts868B3EAD]",
		}},
	}
	for _, test := range tests {
		var got []string
		for _, line := range assembly.Changes(synth(t, settings{"phase": test.from}), synth(t, settings{"phase": test.to})) {
			if stack := strings.Fields(line)[1]; stack != "dev-Gate" && stack != "dev-Phase" {
				got = append(got, line)
			}
		}
		equal(t, test.from+" to "+test.to, test.want, got)
	}
}

// The root service costs a rule in every phase, with the root paths alone and behind all other
// rules. Until the switch the rule leads to the monolith.
func TestRootService(t *testing.T) {
	nightly.Test(t, "it synthesizes three positions")
	id := config.Pascal(first.Name) + "RootRule"
	for _, phase := range []migration.Phase{migration.Monolith, migration.Switched, migration.Removed} {
		root, rest := first.Name, "drop-traffic"
		if phase < migration.Switched {
			root, rest = monolith.Name, monolith.Name
		}
		a := synth(t, rooted(phase))
		changes := assembly.Changes(inPhase(t, phase), a)
		if len(changes) != 1 || !strings.HasPrefix(changes[0], "+ dev-Routing "+id) || !strings.HasSuffix(changes[0], " AWS::ElasticLoadBalancingV2::ListenerRule") {
			t.Fatalf("%v: it changes %q", phase, changes)
		}
		rule := a.Stack("dev-Routing").Resource(strings.Fields(changes[0])[2])
		equal(t, "priority", any(30000.0+float64(first.Order)), property(t, a, rule, "Priority"))
		equal(t, "conditions", any([]any{object{"Field": "path-pattern", "PathPatternConfig": object{"Values": []any{"/", "/api", "/api/"}}}}), property(t, a, rule, "Conditions"))
		equal(t, "actions", any([]any{object{"Type": "forward", "TargetGroupArn": targetGroup(t, a, root).String()}}), property(t, a, rule, "Actions"))
		table, err := rules.Build(model.Read(a))
		if err != nil {
			t.Fatal(err)
		}
		for path, want := range map[string]string{
			"/": root, "/api": root, "/api/": root, "/api/?x=1": root,
			"/x": rest, "/apix": rest, "/api/x": rest, "/API": rest,
		} {
			if got := decide(t, table, "dev-Routing", path); got != want {
				t.Errorf("%v: %s goes to %s, want %s", phase, path, got, want)
			}
		}
	}
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
	parts := 4 // "~", stack, resource, property, and the value
	if strings.Contains(strings.Fields(head)[2], ".") {
		parts = 3 // of no resource
	}
	words := strings.SplitN(head, " ", parts+1)
	return strings.Join(words[:parts], " ") + " " + to + " -> " + words[parts]
}
