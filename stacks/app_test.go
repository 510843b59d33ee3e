package stacks_test

import (
	"strings"
	"testing"

	"cutover/internal/assembly"
	"cutover/migration"
)

// TestPhaseChangesOfApp: whatever is deployed, a change of phase changes the listener's rules and
// default action, numbers of tasks and what scales them, and the records of the phase. Nothing is replaced.
func TestPhaseChangesOfApp(t *testing.T) {
	phases := migration.Phases()
	phases = phases[:len(phases)-1] // removed takes the monolith along
	for i, phase := range phases[1:] {
		before, after := synthApp(t, settings{"phase": phases[i].String()}), synthApp(t, settings{"phase": phase.String()})
		for _, line := range assembly.Changes(before, after) {
			words := strings.Fields(line)
			what := strings.Join(words[3:], " ")
			allowed := words[1] == "dev-Gate" || words[1] == "dev-Phase" ||
				strings.HasPrefix(what, "AWS::ElasticLoadBalancingV2::ListenerRule") || strings.HasPrefix(what, "AWS::ApplicationAutoScaling::") ||
				strings.HasPrefix(what, "Properties.DefaultActions") || strings.HasPrefix(what, "Properties.DesiredCount")
			if !allowed {
				t.Errorf("to %s: %s", phase, line)
			}
		}
	}
}
