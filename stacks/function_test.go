package stacks_test

import (
	"path/filepath"
	"strings"
	"testing"

	"cutover/config"
	"cutover/internal/golden"
	"cutover/internal/model"
)

var onLambda = config.Lambda{}

// TestFunctionBeforeLoadBalancer pins the order of the stacks: the target group names the function's alias, and
// the function's permission names the target group by what is known before.
func TestFunctionBeforeLoadBalancer(t *testing.T) {
	a := atStop(t, stop{onEC2, onLambda, ""})
	var order []string
	for _, stack := range a.Stacks {
		order = append(order, stack.Name)
	}
	text := strings.Join(order, " ")
	if function, routing := strings.Index(text, "dev-UsersFunction"), strings.Index(text, "dev-Routing"); function < 0 || function > routing {
		t.Errorf("the stacks are %s, want dev-UsersFunction before dev-Routing", text)
	}
	group := a.Stack("dev-Routing").Resource("UsersLambda3F4CC07E")
	if group == nil || group.Type != model.ELBTargetGroup || group.Properties["TargetType"] != "lambda" {
		t.Fatalf("the target group is %+v", group)
	}
}

// usersOnLambda is the forum with users on Lambda alone, its records in a table.
func usersOnLambda() config.Deployment {
	return changed(first, func(s *config.Service) { s.Compute = onLambda })
}

// TestGoldensOfFunction compares the stacks that know of the function.
func TestGoldensOfFunction(t *testing.T) {
	a := synthDeployment(t, usersOnLambda(), settings{"phase": "switched", "store": "dynamodb", "alarms": "on"})
	for _, part := range []string{"UsersFunction", "Users", "Routing"} {
		stack := a.Stack("dev-" + part)
		golden.Compare(t, filepath.Join(goldenDir, "function", stack.Name+".json"), goldenTemplate(t, stack))
	}
}
