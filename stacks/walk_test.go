package stacks_test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"cutover/config"
	"cutover/internal/assembly"
	"cutover/internal/golden"
	"cutover/internal/nightly"
	"cutover/migration"
)

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
// and come back, go together, and pass over from one phase for all and back.
func longWalk() []string {
	const customers, orders, monolith = "customers-and-their-address-book", "purchase-orders-of-america", "monolith-of-the-whole-shop"
	at := func(customersPlace, writesPlace, ordersPlace string) string {
		return fmt.Sprintf("%s=%s,%s/writes-of-administrators=%s,%s=%s", customers, customersPlace, customers, writesPlace, orders, ordersPlace)
	}
	start, middle, end := at("monolith", "monolith", "monolith"), at("parallel", "parallel", "parallel"), at("switched", "switched", "switched")
	return []string{
		"monolith", start, // passes over
		at("parallel", "monolith", "monolith"), at("10%", "monolith", "monolith"), at("switched", "monolith", "monolith"),
		at("switched", "parallel", "monolith"), at("switched", "50%", "monolith"),
		middle, "parallel", middle, // passes over and back
		at("parallel", "parallel", "10%"), at("parallel", "parallel", "switched"),
		end, "switched", end,
		end + "," + monolith + "=retired", end + "," + monolith + "=removed",
	}
}

// physical are the properties with the physical name of a resource.
var physical = []string{"Name", "RepositoryName", "LogGroupName", "Family", "ServiceName", "ClusterName", "DashboardName", "AlarmName"}

// halt is a place on a walk, with what is deployed there.
type halt struct {
	name    string
	list    config.Deployment
	context settings
}

// TestGoldensOfAWalk lists what there is at each position of a walk, by stack, logical id and physical
// name, and what each step changes. What exists in two positions has the same id and name in both.
// So a step, and the end of a move, replace nothing.
func TestGoldensOfAWalk(t *testing.T) {
	if !*golden.Update {
		nightly.Test(t, "it synthesizes a deployment in fifteen positions")
	}
	var walk []halt
	for _, position := range longWalk() {
		walk = append(walk, halt{position, long(), settings{"phase": position}})
	}
	goldenOfWalk(t, "walk.txt", walk)
}

// TestGoldensOfAWalkToLambda does the same for a service that moves from EC2 to Lambda and back. Its target group
// there has the longest name. The function uses a table, and calls a service behind a further load balancer.
func TestGoldensOfAWalkToLambda(t *testing.T) {
	if !*golden.Update {
		nightly.Test(t, "it synthesizes a deployment in twelve positions")
	}
	const orders = "purchase-orders-in-europe"
	var walk []halt
	for _, at := range append(way(onEC2, onLambda), way(onLambda, onEC2)[1:]...) {
		h := halt{at.String(), config.Deployment{
			Monolith: config.Service{Name: "shop", Paths: []string{"/api*"}},
			Services: []config.Service{
				{Name: "customers", LoadBalancer: "press", Order: 10, Paths: []string{"/api/customers*"}},
				{Name: orders, Order: 10, Paths: []string{"/api/orders*"}, Store: config.DynamoDB{}, Calls: []string{"customers"}, Compute: at.compute, Next: at.next},
			},
		}, settings{"phase": "switched"}}
		if at.place != "" {
			h.context["compute"] = orders + "=" + at.place
		}
		walk = append(walk, h)
	}
	goldenOfWalk(t, "walk-to-lambda.txt", walk)
}

// goldenOfWalk synthesizes each halt of a walk once, and checks that the interlock allows each step.
func goldenOfWalk(t *testing.T, file string, walk []halt) {
	t.Helper()
	var distinct []string
	synthesized := map[string]*assembly.Assembly{}
	var before []migration.Lock
	var steps strings.Builder
	for i, at := range walk {
		d, s, err := config.Load(at.list, at.context, os.Getenv)
		if err != nil {
			t.Fatal(err)
		}
		m := d.Migration()
		locks := m.Locks(m.State(s.Position))
		if synthesized[at.name] == nil {
			distinct = append(distinct, at.name)
			context := maps.Clone(at.context)
			context["alarms"] = "on"
			synthesized[at.name] = synthQuickly(t, at.list, context)
		}
		if i > 0 {
			from := walk[i-1].name
			if !migration.Follow(before, locks) {
				t.Errorf("%s does not follow %s", at.name, from)
			}
			letter := func(name string) int { return 'a' + slices.Index(distinct, name) }
			fmt.Fprintf(&steps, "\n%c to %c\n", letter(from), letter(at.name))
			for _, line := range assembly.Changes(synthesized[from], synthesized[at.name]) {
				if !ofInterlock(strings.Fields(line)[1]) && !strings.Contains(line, "DashboardBody") {
					steps.WriteString(hash.ReplaceAllString(line, "VERSION") + "\n")
				}
			}
		}
		before = locks
	}
	golden.Compare(t, "stacks/golden/"+file, []byte(inEach(t, distinct, synthesized)+steps.String()))
}

// ofInterlock reports whether a stack is one of those that refuse a step out of turn.
func ofInterlock(stack string) bool {
	return strings.HasPrefix(stack, "dev-Gate") || strings.HasPrefix(stack, "dev-Phase")
}

// inEach lists the resources of assemblies, with a letter for each position that has the resource.
func inEach(t *testing.T, positions []string, synthesized map[string]*assembly.Assembly) string {
	t.Helper()
	exists := map[string][]byte{} // by line
	names := map[string]string{}  // physical name by stack and logical id
	ids := map[string]string{}    // the other way round
	longest := 0
	for i, position := range positions {
		for _, stack := range synthesized[position].Stacks {
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
				id := stack.Name + " " + hash.ReplaceAllString(r.LogicalID, "VERSION")
				line := strings.TrimSpace(id + " " + name)
				if exists[line] == nil {
					exists[line] = bytes.Repeat([]byte{'-'}, len(positions))
				}
				exists[line][i] = byte('a' + i)
				if was, ok := names[id]; ok && was != name {
					t.Errorf("%s is called %q in %s, and was %q", id, name, position, was)
				}
				names[id] = name
				// The interlock claims a name in one position and blocks it in another one.
				if ofInterlock(stack.Name) || name == "" {
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
	for i, position := range positions {
		fmt.Fprintf(&b, "%c %s\n", 'a'+i, position)
	}
	b.WriteString("\n")
	for _, line := range slices.Sorted(maps.Keys(exists)) {
		if word := relative.FindString(absolute.Replace(line)); word != "" {
			t.Errorf("%s has the word %q, which another position makes wrong", line, word)
		}
		fmt.Fprintf(&b, "%s %s\n", exists[line], line)
	}
	return b.String()
}

// relative are words that say where a move is. No name has them, but for what is absolute.
var (
	relative = regexp.MustCompile(`(?i)current|next|old|new`)
	absolute = strings.NewReplacer("NextTo", "", "StartsCold", "", "starts cold", "")
)
