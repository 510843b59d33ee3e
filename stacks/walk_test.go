package stacks_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"

	"cutover/config"
	"cutover/internal/assembly"
	"cutover/internal/golden"
	"cutover/internal/nightly"
	"cutover/migration"
	"cutover/stacks"
)

// synthQuickly synthesizes all of a deployment with an empty image. In a stage, because CDK
// validates apps only. The other tests have the same constructs validated.
func synthQuickly(t *testing.T, d config.Deployment, change settings) *assembly.Assembly {
	t.Helper()
	context := cdkContext(t, change)
	context["aws:cdk:disable-creation-stack-traces"] = true // as Synth has it
	d, s, err := config.Load(d, context, os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	app := awscdk.NewApp(&awscdk.AppProps{AnalyticsReporting: jsii.Bool(false), Context: &context, Outdir: jsii.String(t.TempDir())})
	stage := awscdk.NewStage(app, jsii.String("Quick"), nil)
	image := t.TempDir()
	if err := os.WriteFile(filepath.Join(image, "Dockerfile"), []byte("FROM scratch\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := stacks.Add(stage, d, s, func() (map[string]string, error) {
		contexts := map[string]string{}
		for _, service := range d.All() {
			contexts[service.Name] = image
		}
		return contexts, nil
	}); err != nil {
		t.Fatal(err)
	}
	a, err := assembly.Read(*stage.Synth(nil).Directory())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// long is a deployment whose target groups have names of 32 characters, the most that there can be.
// A service has two routes, another one is behind a further load balancer.
func long() config.Deployment {
	return config.Deployment{
		Monolith: config.Service{Name: "monolith-of-the-whole-shop", Paths: []string{"/api*"}},
		Services: []config.Service{
			{Name: "customers-and-their-address-book", Routes: []config.Route{
				{Order: 10, Paths: []string{"/api/customers*"}},
				{Name: "writes-of-administrators", Order: 5, Paths: []string{"/api/customers*"}, Methods: []string{"POST"}, Testers: map[string][]string{"Cookie": {"*tester=1*"}}},
			}},
			{Name: "purchase-orders-of-america", LoadBalancer: "press", Order: 10, Paths: []string{"/api/orders*"}},
		},
	}
}

// longWalk is a walk through all places, in steps that the gate allows: services go by themselves
// and come back, and go together.
func longWalk() []string {
	const customers, writes, orders = "customers-and-their-address-book", "customers-and-their-address-book/writes-of-administrators", "purchase-orders-of-america"
	at := func(customersPlace, writesPlace, ordersPlace string) string {
		return customers + "=" + customersPlace + "," + writes + "=" + writesPlace + "," + orders + "=" + ordersPlace
	}
	all := at("switched", "switched", "switched")
	return []string{
		at("monolith", "monolith", "monolith"), at("parallel", "monolith", "monolith"), at("10%", "monolith", "monolith"),
		at("switched", "monolith", "monolith"), at("switched", "parallel", "monolith"), at("switched", "50%", "monolith"),
		at("parallel", "parallel", "parallel"), at("parallel", "parallel", "10%"), at("parallel", "parallel", "switched"),
		all, all + ",monolith-of-the-whole-shop=retired", all + ",monolith-of-the-whole-shop=removed",
	}
}

// physical are the properties with the physical name of a resource.
var physical = []string{"Name", "RepositoryName", "LogGroupName", "Family", "ServiceName", "ClusterName", "DashboardName", "AlarmName"}

// TestGoldensOfAWalk lists what there is at each position of a walk: stack, logical id, and physical
// name. What exists in two positions has the same id and name in both. So a step, and the end of a
// move, replace nothing.
func TestGoldensOfAWalk(t *testing.T) {
	if !*golden.Update {
		nightly.Test(t, "it synthesizes a deployment in twelve positions")
	}
	walk := longWalk()
	exists := map[string][]bool{} // by line
	names := map[string]string{}  // physical name by stack and logical id
	ids := map[string]string{}    // the other way round
	longest := 0
	var before migration.State
	for i, position := range walk {
		d, s, err := config.Load(long(), settings{"phase": position}, os.Getenv)
		if err != nil {
			t.Fatal(err)
		}
		state := d.Migration().State(s.Position)
		if i > 0 && !d.Migration().Follows(before, state) {
			t.Errorf("%s does not follow %s", position, walk[i-1])
		}
		before = state
		a := synthQuickly(t, long(), settings{"phase": position, "alarms": "on"})
		for _, stack := range a.Stacks {
			for _, r := range stack.Resources {
				name := ""
				for _, key := range physical {
					if value, ok := r.Properties[key].(string); ok {
						name = value
					}
				}
				if r.Type == "AWS::ElasticLoadBalancingV2::TargetGroup" {
					longest = max(longest, len(name))
				}
				line := strings.TrimSpace(stack.Name + " " + r.LogicalID + " " + name)
				if exists[line] == nil {
					exists[line] = make([]bool, len(walk))
				}
				exists[line][i] = true
				id := stack.Name + " " + r.LogicalID
				if was, ok := names[id]; ok && was != name {
					t.Errorf("%s is called %q in %s, and was %q", id, name, position, was)
				}
				names[id] = name
				// The interlock claims a name in one position and blocks it in another one.
				if strings.HasPrefix(stack.Name, "dev-Gate") || strings.HasPrefix(stack.Name, "dev-Phase") || name == "" || strings.HasPrefix(name, "Scale") {
					continue
				}
				if was, ok := ids[r.Type+name]; ok && was != id {
					t.Errorf("%s %s is %s in %s, and was %s", r.Type, name, id, position, was)
				}
				ids[r.Type+name] = id
			}
		}
	}
	if longest != 32 {
		t.Errorf("the longest name of a target group has %d characters, want 32", longest)
	}
	var b strings.Builder
	for i, position := range walk {
		fmt.Fprintf(&b, "%c %s\n", 'a'+i, position)
	}
	b.WriteString("\n")
	for _, line := range slices.Sorted(maps.Keys(exists)) {
		if word := regexp.MustCompile(`(?i)current|next`).FindString(strings.ReplaceAll(line, "NextTo", "")); word != "" {
			t.Errorf("%s has the word %q, which another position makes wrong", line, word)
		}
		for i, there := range exists[line] {
			if there {
				b.WriteByte(byte('a' + i))
			} else {
				b.WriteString("-")
			}
		}
		b.WriteString(" " + line + "\n")
	}
	golden.Compare(t, "stacks/golden/walk.txt", []byte(b.String()))
}
