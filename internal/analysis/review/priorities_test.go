package review_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cutover/config"
	"cutover/internal/analysis/review"
	"cutover/internal/assembly"
	"cutover/migration"
)

// listening is an assembly whose stacks have rules, as "ID LISTENER PRIORITY".
func listening(t *testing.T, stacks map[string][]string) *assembly.Assembly {
	t.Helper()
	dir := t.TempDir()
	write := func(name string, value any) {
		text, err := json.Marshal(value)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), text, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	artifacts := map[string]any{}
	for stack, rules := range stacks {
		resources := map[string]any{}
		for _, rule := range rules {
			var id, listener string
			var priority int
			if _, err := fmt.Sscan(rule, &id, &listener, &priority); err != nil {
				t.Fatal(err)
			}
			resources[listener] = map[string]any{"Type": "AWS::ElasticLoadBalancingV2::Listener", "Properties": map[string]any{}}
			resources[id] = map[string]any{"Type": "AWS::ElasticLoadBalancingV2::ListenerRule", "Properties": map[string]any{
				"ListenerArn": map[string]any{"Ref": listener}, "Priority": priority}}
		}
		write(stack+".json", map[string]any{"Resources": resources})
		artifacts[stack] = map[string]any{"type": "aws:cloudformation:stack", "environment": "aws://1/eu-west-1", "properties": map[string]any{"templateFile": stack + ".json"}}
	}
	write("manifest.json", map[string]any{"artifacts": artifacts})
	a, err := assembly.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestClashes(t *testing.T) {
	first := []string{"Users Http 10", "Posts Http 20", "Staff Other 10"}
	for name, test := range map[string]struct{ after, want []string }{
		"the same":                     {first, nil},
		"free priorities":              {[]string{"Users Http 11", "Posts Http 21", "Staff Other 20"}, []string{"Posts 20-21", "Staff 10-20", "Users 10-11"}},
		"a new rule":                   {append([]string{"New Http 30"}, first...), nil},
		"deleted":                      {first[:1], nil},
		"swapped":                      {[]string{"Users Http 20", "Posts Http 10", "Staff Other 10"}, []string{"Posts 20-10 of Users, swapped", "Users 10-20 of Posts, swapped"}},
		"moved up in a chain":          {[]string{"Users Http 20", "Posts Http 30"}, []string{"Posts 20-30", "Users 10-20 of Posts"}},
		"three in a ring":              {[]string{"Users Http 20", "Posts Http 30", "Tags Http 10"}, []string{"Posts 20-30 of Tags", "Tags 30-10 of Users", "Users 10-20 of Posts"}},
		"under another id":             {[]string{"Users2 Http 10", "Posts Http 20"}, []string{"Users2 0-10 of Users"}},
		"new, in place of a moved one": {[]string{"New Http 10", "Users Http 15"}, []string{"New 0-10 of Users", "Users 10-15"}},
		"at the other listener":        {[]string{"Users Http 10", "Posts Http 20", "Staff Http 30"}, nil},
	} {
		before := first
		if name == "three in a ring" {
			before = []string{"Users Http 10", "Posts Http 20", "Tags Http 30"}
		}
		pairs := []review.Pair{
			{Name: "monolith", Before: listening(t, map[string][]string{"S": before}), After: listening(t, map[string][]string{"S": test.after})},
			{Name: "parallel", Before: listening(t, map[string][]string{"S": before}), After: listening(t, map[string][]string{"S": test.after})},
		}
		var got []string
		for _, c := range review.Clashes(pairs) {
			text := fmt.Sprintf("%s %d-%d", c.Rule, c.Was, c.Priority)
			if c.Holder != "" {
				text += " of " + c.Holder
			}
			if c.Swaps {
				text += ", swapped"
			}
			got = append(got, text)
			if where := strings.Join(c.In, " "); c.Stack != "S" || where != "monolith parallel" {
				t.Errorf("%s: in %s of %s", name, where, c.Stack)
			}
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	r := review.Report{Clashes: []review.Clash{{Holder: "a"}, {Holder: "b"}, {Was: 1}, {Was: 2}}}
	if text := r.Markdown(); r.Found("priority") != 4 || !strings.Contains(text, "- **The deployment will fail: 2 listener rules take a priority that another rule has.**\n") ||
		!strings.Contains(text, "- **A deployed priority never changes, and those of 2 listener rules do.**\n") {
		t.Error(text)
	}
	r.Clashes = r.Clashes[3:]
	if text := r.Markdown(); strings.Contains(text, "so the deployment fails") {
		t.Errorf("a free priority does not fail:\n%s", text)
	}
}

// deployedRules is an assembly with the rules of services at each load balancer, as synthesis names
// them.
func deployedRules(t *testing.T, d config.Deployment, phase string) *assembly.Assembly {
	side, stacks := where(t, d, phase), map[string][]string{}
	for _, b := range side.Migration.Plan(side.At).Balancers {
		name := "dev-Routing" + config.Pascal(b.Name)
		for _, r := range b.Rules {
			stacks[name] = append(stacks[name], fmt.Sprintf("%s%s%sRule Http %d", config.Pascal(r.Service), config.Pascal(r.Route), r.ID, r.Priority))
		}
	}
	return listening(t, stacks)
}

// A change of a deployed order, name or load balancer is said of the service or route.
func TestDeployedRules(t *testing.T) {
	rename := func(d *config.Deployment, old, new string) {
		for i := range d.Services[1].Routes {
			if d.Services[1].Routes[i].Name == old {
				d.Services[1].Routes[i].Name = new
			}
		}
	}
	const never = " has a deployed priority, which never changes: keep its `Order`."
	tests := []struct {
		name   string
		phase  string
		change func(d *config.Deployment)
		want   []string
	}{
		{"nothing", "switched", func(d *config.Deployment) {}, nil},
		{"a path", "switched", func(d *config.Deployment) { d.Services[0].Paths = []string{"/api/people*"} }, nil},
		{"a new route", "parallel", func(d *config.Deployment) {
			d.Services[1].Routes = append(d.Services[1].Routes, config.Route{Name: "rest", Order: 22, Paths: []string{"/api/posts*"}})
		}, nil},
		{"an order", "switched", func(d *config.Deployment) { d.Services[0].Order = 11 }, []string{"users" + never}},
		{"the order of a route", "users=10%,posts=10%", func(d *config.Deployment) { d.Services[1].Routes[0].Order = 19 }, []string{"posts/reads" + never}},
		{"the order of a service with a share and testers", "users=10%", func(d *config.Deployment) { d.Services[0].Order = 9 }, []string{"users" + never}},
		{"an order at the other load balancer", "switched", func(d *config.Deployment) { d.Services[2].Order = 11 }, []string{"news" + never}},
		{"two orders that swap", "monolith", func(d *config.Deployment) { d.Services[1].Routes[0].Order, d.Services[1].Routes[1].Order = 21, 20 },
			[]string{"posts/reads and posts/writes swap their priorities: keep the `Order` of each. If they have to swap, give one of them a free `Order` and deploy. Then change both, and deploy again."}},
		{"a chain of orders", "monolith", func(d *config.Deployment) { d.Services[0].Order, d.Services[1].Routes[0].Order = 20, 30 },
			[]string{"users has a deployed priority, which never changes: keep its `Order`.", "posts/reads" + never}},
		{"a new service in place of another one", "monolith", func(d *config.Deployment) { d.Services[0].Name = "people" },
			[]string{"people takes the priority of users: give people a free `Order`. If it is users under another name, keep the name."}},
		{"a route renamed", "parallel", func(d *config.Deployment) { rename(d, "reads", "gets") },
			[]string{"posts/gets was posts/reads: its rules are created under another name, and the deployed ones are deleted. Its place in the migration begins anew. Keep the name of a deployed route."}},
		{"a route renamed, with another order", "parallel", func(d *config.Deployment) { rename(d, "reads", "gets"); d.Services[1].Routes[0].Order = 77 },
			[]string{"posts/gets was posts/reads: its rules are created under another name, and the deployed ones are deleted. Its place in the migration begins anew. Keep the name of a deployed route."}},
		{"a service gets routes", "parallel", func(d *config.Deployment) {
			d.Services[0].Routes = []config.Route{{Name: "all", Order: 10, Paths: d.Services[0].Paths}}
		}, []string{"users/all was users: its rules are created under another name, and the deployed ones are deleted. Its place in the migration begins anew. Keep the name of a deployed route."}},
		{"another load balancer", "users=switched", func(d *config.Deployment) { d.Services[0].LoadBalancer, d.Services[0].Order = "press", 11 },
			[]string{"users moves from the first load balancer to the load balancer press: its rules and its target group are created there, and deleted where they are. Clients reach it by the other host name only. The gate does not compare its place with the one before. Move a service in monolith or parallel, while it has no requests."}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			one, other := shop(), shop()
			test.change(&other)
			pairs := []review.Pair{{Name: "x", Before: deployedRules(t, one, test.phase), After: deployedRules(t, other, strings.ReplaceAll(test.phase, "users", other.Services[0].Name))}}
			r := review.Report{Clashes: review.Clashes(pairs, one.Migration(), other.Migration()), Renewals: review.Renewals(one.Migration(), other.Migration())}
			var got []string
			for line := range strings.Lines(r.Markdown()) {
				if _, section, ok := strings.Cut(line, "- "); ok && (strings.Contains(line, "keep") || strings.Contains(line, "Keep") || strings.Contains(line, "moves from")) {
					got = append(got, strings.TrimSuffix(section, "\n"))
				}
			}
			slices.Sort(got)
			slices.Sort(test.want)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s\n%s", diff, r.Markdown())
			}
		})
	}
}

// What AWS refuses is named once, whatever the pair.
func TestRefused(t *testing.T) {
	good, bad := listening(t, nil), listening(t, map[string][]string{"S": {"Users Http 10"}})
	listener := bad.Stack("S").Resource("Http").Properties
	listener["Protocol"], listener["Port"] = "HTTPS", 443.0
	if lines := review.Refused([]review.Pair{{Before: bad, After: good}}); len(lines) > 0 {
		t.Errorf("what was refused before is named: %q", lines)
	}
	r := review.Report{Refused: review.Refused([]review.Pair{{Before: good, After: bad}, {Before: bad, After: bad}})}
	want := "S/Http/Properties.Certificates: AWS refuses an HTTPS listener with 0 default certificates: it needs exactly one"
	if diff := cmp.Diff([]string{want}, r.Refused); diff != "" {
		t.Errorf("refused (-want +got):\n%s", diff)
	}
	if text := r.Markdown(); r.Found("refused") != 1 || !strings.Contains(text, "- **The deployment will fail: AWS refuses what the templates have, for 1 reason.**\n") ||
		!strings.Contains(text, "### What AWS refuses to create\n\n- "+want+"\n") {
		t.Errorf("%d findings:\n%s", r.Found("refused"), text)
	}
}

// No step of the migration takes a priority of another rule, and what a step deletes of the gate is
// nothing to look at.
func TestStepsClashNowhere(t *testing.T) {
	golden := func(phase string) *assembly.Assembly {
		a, err := assembly.Read(filepath.Join(root, "stacks", "golden", phase))
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	names := migration.PhaseNames()
	for i := range names[1:] {
		one, other := golden(names[i]), golden(names[i+1])
		if clashes := review.Clashes([]review.Pair{{Name: "forward", Before: one, After: other}, {Name: "back", Before: other, After: one}}); len(clashes) > 0 {
			t.Errorf("%s and %s: %v", names[i], names[i+1], clashes)
		}
		for _, pair := range [][2]*assembly.Assembly{{one, other}, {other, one}} {
			for _, stack := range pair[0].Stacks {
				for _, resource := range stack.Resources {
					if resource.Type != "AWS::SSM::Parameter" || pair[1].Stack(stack.Name).Resource(resource.LogicalID) != nil {
						continue
					}
					gone := review.Replacement{Stack: stack.Name, Resource: review.Resource{ID: resource.LogicalID, Type: resource.Type, Impact: "WILL_DESTROY"}}
					if !gone.Usual() {
						t.Errorf("%v goes with its phase, and is a finding", resource)
					}
				}
			}
		}
	}
}

// What the interlock deletes is nothing to look at, in the stacks of the interlock.
func TestInterlock(t *testing.T) {
	d := shop()
	all := "users=switched,posts=switched,news=switched"
	phases := append(migration.PhaseNames(), "users=monolith", "users=10%,posts=parallel", "users=parallel,posts=parallel,news=parallel", all, all+",api=retired", all+",api=removed")
	seen := 0
	var sides []review.Side
	for _, keep := range []bool{false, true} {
		for _, phase := range phases {
			side := where(t, d, phase)
			side.Migration.KeepRest = keep
			sides = append(sides, side)
		}
	}
	for _, place := range []string{"", "parallel", "10%", "switched", "retired"} {
		compute := ""
		if place != "" {
			compute = "users=" + place + ",news=" + place
		}
		sides = append(sides, between(t, "users:ec2>fargate,news:fargate>ec2 | switched | "+compute))
	}
	for _, place := range []string{"", "users=parallel", "users=10%", "users=switched", "users=retired"} {
		sides = append(sides, between(t, "users:ec2>lambda | switched | "+place), between(t, "users:lambda>fargate | switched | "+place))
	}
	sides = append(sides, between(t, "users:fargate | switched"), between(t, "users:lambda | switched"))
	for _, side := range sides {
		for _, lock := range side.Migration.Locks(side.Migration.State(side.At)) {
			for stack, parameters := range map[string][]migration.Parameter{"dev-Gate": lock.Gate, "dev-Phase": lock.Last} {
				for _, p := range parameters {
					gone := review.Replacement{Stack: stack + config.Pascal(lock.Balancer), Resource: review.Resource{ID: p.ID, Type: "AWS::SSM::Parameter", Impact: "WILL_DESTROY"}}
					if seen++; !gone.Interlock() {
						t.Errorf("%s in %s is a finding", p.ID, gone.Stack)
					}
					for _, other := range []string{"dev-Users", "dev-Gateway", "dev-Phaser", "Gate", "dev-GatePress-Old"} {
						gone.Stack = other
						if gone.Interlock() {
							t.Errorf("%s in %s is no finding", p.ID, other)
						}
					}
				}
			}
		}
	}
	if seen < 100 {
		t.Errorf("only %d parameters were looked at", seen)
	}
	for _, id := range []string{"NotNextTo", "NotNextToUsers", "NotNextToParallelOf", "NotNextToParallelof", "RunningFollowsTheOldPhase", "OfUsers", "PlacesOfUsers", "GateIsOff", "NoPhaseForAllNextToUsers"} {
		gone := review.Replacement{Stack: "dev-Gate", Resource: review.Resource{ID: id, Type: "AWS::SSM::Parameter", Impact: "WILL_DESTROY"}}
		if gone.Interlock() {
			t.Errorf("%s is no finding", id)
		}
	}
}
