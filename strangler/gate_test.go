package strangler_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"

	"cutover/strangler"
)

// TestGate: the parameters of two places clash exactly if one must not follow the other. Nothing of a service changes
// before them.
func TestGate(t *testing.T) {
	held := map[string]map[string]string{} // logical id by name, by place
	places := []string{"monolith", "parallel", "10%", "switched"}
	for _, place := range places {
		a := newApp(t.TempDir())
		m := a.migrate(a.moving("orders", 20, place, "/api/orders*"), a.moving("users", 30, "switched", "/api/users*"))
		strangler.NewGate(a.stack, jsii.String("Gate"), &strangler.GateProps{Migration: m, ParameterPrefix: jsii.String("/prod/shop")})
		all := resources(t, a, "Services")
		held[place] = map[string]string{}
		for id, r := range all {
			if r.Type == "AWS::SSM::Parameter" {
				held[place][r.Properties["Name"].(string)] = id
			}
		}
		for id, rule := range all {
			if rule.Type == "AWS::"+listenerRule && !contains(rule.DependsOn, slices.Collect(maps.Values(held[place]))...) {
				t.Errorf("%s: %s waits for %v, want all of %v", place, id, rule.DependsOn, held[place])
			}
		}
	}
	if names := slices.Sorted(maps.Keys(held["monolith"])); !slices.Equal(names, []string{
		"/prod/shop/gate/orders/monolith", "/prod/shop/gate/orders/shift", "/prod/shop/gate/orders/switched",
		"/prod/shop/gate/users/monolith", "/prod/shop/gate/users/switched",
	}) {
		t.Errorf("the names are %q", names)
	}
	var refused []string
	for _, from := range places {
		for _, to := range places {
			for name, id := range held[to] {
				if other, taken := held[from][name]; taken && other != id && strings.Contains(id, "Follows") {
					refused = append(refused, fmt.Sprint(from, " to ", to, ": ", id[:len(id)-8]))
				}
			}
		}
	}
	if want := []string{
		"monolith to 10%: GateOrdersShiftFollowsTheDeployedPlace",
		"monolith to switched: GateOrdersSwitchedFollowsTheDeployedPlace",
		"10% to monolith: GateOrdersMonolithFollowsTheDeployedPlace",
		"switched to monolith: GateOrdersMonolithFollowsTheDeployedPlace",
	}; !slices.Equal(refused, want) {
		t.Errorf("refused are\n%s", strings.Join(refused, "\n"))
	}
}

// contains reports whether a list has all values.
func contains(list []string, values ...string) bool {
	return !slices.ContainsFunc(values, func(value string) bool { return !slices.Contains(list, value) })
}

func TestGateRefuses(t *testing.T) {
	a := newApp(t.TempDir())
	m := a.migrate(a.moving("orders", 20, "monolith", "/api/orders*"))
	if got, want := message(func() { strangler.NewGate(a.stack, jsii.String("Gate"), nil) }), "Services/Gate: Migration is required"; got != want {
		t.Errorf("it says %q, want %q", got, want)
	}
	other := awscdk.NewStack(a.App, jsii.String("Other"), nil)
	got := message(func() { strangler.NewGate(other, jsii.String("Gate"), &strangler.GateProps{Migration: m}) })
	if want := "Other/Gate: the migration is in the stack Services: the gate has to be there, too"; got != want {
		t.Errorf("it says %q, want %q", got, want)
	}
}
