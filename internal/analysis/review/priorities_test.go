package review_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

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
	before := []string{"Users Http 10", "Posts Http 20", "Staff Other 10"}
	for name, test := range map[string]struct{ after, want []string }{
		"the same":                     {before, nil},
		"free priorities":              {[]string{"Users Http 11", "Posts Http 21", "Staff Other 20"}, nil},
		"a new rule":                   {append([]string{"New Http 30"}, before...), nil},
		"deleted":                      {before[:1], nil},
		"swapped":                      {[]string{"Users Http 20", "Posts Http 10", "Staff Other 10"}, []string{"Posts 10 Users", "Users 20 Posts"}},
		"moved up in a chain":          {[]string{"Users Http 20", "Posts Http 30"}, []string{"Users 20 Posts"}},
		"under another id":             {[]string{"Users2 Http 10", "Posts Http 20"}, []string{"Users2 10 Users"}},
		"new, in place of a moved one": {[]string{"New Http 10", "Users Http 15"}, []string{"New 10 Users"}},
		"at the other listener":        {[]string{"Users Http 10", "Posts Http 20", "Staff Other 20"}, nil},
	} {
		pairs := []review.Pair{
			{Name: "monolith", Before: listening(t, map[string][]string{"S": before}), After: listening(t, map[string][]string{"S": test.after})},
			{Name: "parallel", Before: listening(t, map[string][]string{"S": before}), After: listening(t, map[string][]string{"S": test.after})},
		}
		var got []string
		for _, c := range review.Clashes(pairs) {
			got = append(got, fmt.Sprint(c.Rule, " ", c.Priority, " ", c.Holder))
			if where := strings.Join(c.In, " "); c.Stack != "S" || where != "monolith parallel" {
				t.Errorf("%s: in %s of %s", name, where, c.Stack)
			}
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	r := review.Report{Clashes: make([]review.Clash, 2)}
	if text := r.Markdown(); r.Found("priority") != 2 || !strings.Contains(text, "- **The deployment will fail: 2 listener rules take a priority that another rule has.**\n") {
		t.Error(text)
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
