package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cutover/internal/assembly/assemblytest"
	"cutover/internal/rehearsal"
)

// besideRules are the rules of a service beside a monolith that exists already, by position.
func besideRules(t *testing.T) map[string]*phaseRules {
	t.Helper()
	dir := t.TempDir()
	assemblytest.Beside(t, dir)
	dirs := map[string]string{}
	for _, position := range []string{"monolith", "parallel", "share", "switched"} {
		dirs[position] = filepath.Join(dir, position)
	}
	all, err := readRules(dirs)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Nobody has to ask for what exists already, nor for a rule that is parked. The rules of a service lead to the monolith's group in
// a share.
func TestPartsBeside(t *testing.T) {
	all := parts(besideRules(t), false)
	for position, want := range map[string]map[string]string{
		"parallel": {"rule 10": foreign, "rule 20": foreign, "rule 3000": foreign, "rule 1500": parked, "the default rule": foreign,
			"orders": unreached, "shop": foreign, "reports": foreign, "unused": foreign},
		"share": {"rule 10": foreign, "rule 20": foreign, "rule 3000": foreign, "rule 1500": "", "the default rule": foreign,
			"orders": "", "shop": "", "reports": foreign, "unused": foreign},
	} {
		got := map[string]string{}
		for _, part := range all[position] {
			if part.Kind != rehearsal.PatternPart {
				name, _, _ := strings.Cut(part.Name, " of HTTP:80")
				got[name] = part.Idle
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", position, diff)
		}
	}
}

// The monolith that exists already has its name in the list of services, not that of its target group.
func TestAnswerersBeside(t *testing.T) {
	all := besideRules(t)
	for _, c := range []struct{ position, path, want string }{
		{"parallel", "/api/orders", "[storefront]"}, {"share", "/api/orders", "[orders storefront]"}, {"switched", "/api/orders", "[orders]"},
		{"switched", "/", "[storefront]"}, {"switched", "/reports/1", "[reports]"}, {"switched", "/admin", "[nobody]"}, {"monolith", "/api/orders", "[storefront]"},
	} {
		if got := fmt.Sprint(all[c.position].answerers(&rehearsal.Request{Path: c.path})); got != c.want {
			t.Errorf("%s in %s: %s, want %s", c.path, c.position, got, c.want)
		}
	}
	if got := fmt.Sprint(monoliths(all)); got != "map[shop:storefront]" {
		t.Errorf("monoliths are %s", got)
	}
	route := []*rehearsal.Request{{Path: "/api/orders"}}
	if !all["parallel"].answers("storefront", route) || all["switched"].answers("storefront", route) || all["parallel"].answers("shop", route) {
		t.Error("the monolith answers in other positions, or by another name")
	}
}
