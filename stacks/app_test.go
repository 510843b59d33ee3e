package stacks_test

import (
	"strings"
	"testing"

	"cutover/config"
	"cutover/deployment"
	shop "cutover/examples/shop/deployment"
	"cutover/internal/assembly"
	"cutover/internal/nightly"
	"cutover/migration"
)

// TestPhaseChangesOfApp: whatever is deployed, a change of phase changes the listener's rules and
// default action, numbers of tasks and what scales them, and the records of the phase. Nothing is replaced.
func TestPhaseChangesOfApp(t *testing.T) { checkPhaseChanges(t, deployment.App) }

// TestPhaseChangesOfOthers says the same of the shop, and of a deployment with every option.
func TestPhaseChangesOfOthers(t *testing.T) {
	nightly.Test(t, "it synthesizes two deployments in four phases")
	checkPhaseChanges(t, shop.Shop)
	checkPhaseChanges(t, own())
}

func checkPhaseChanges(t *testing.T, d config.Deployment) {
	t.Helper()
	phases := migration.Phases()
	phases = phases[:len(phases)-1] // removed takes the monolith along
	for i, phase := range phases[1:] {
		before, after := synthDeployment(t, d, settings{"phase": phases[i].String()}), synthDeployment(t, d, settings{"phase": phase.String()})
		for _, line := range assembly.Changes(before, after) {
			words := strings.Fields(line)
			what := strings.Join(words[3:], " ")
			allowed := words[1] == "dev-Gate" || words[1] == "dev-Phase" ||
				strings.HasPrefix(what, "AWS::ElasticLoadBalancingV2::ListenerRule") || strings.HasPrefix(what, "AWS::ApplicationAutoScaling::") ||
				strings.HasPrefix(what, "Properties.DefaultActions") || strings.HasPrefix(what, "Properties.DesiredCount")
			if !allowed {
				t.Errorf("%s to %s: %s", d.Monolith.Name, phase, line)
			}
		}
	}
}
