package main

import (
	"strings"
	"testing"

	"cutover/internal/analysis/criticalpath"
)

func TestReportPaths(t *testing.T) {
	var out strings.Builder
	reportPaths(&out, []deployment{
		{"one", &criticalpath.Path{
			Stacks:  []criticalpath.Stack{{Created: 6}, {Updated: 1, Replaced: 2, Deleted: 3}},
			Longest: criticalpath.Length{Stacks: 2, Steps: 7, Seconds: 12}, Serial: criticalpath.Length{Stacks: 5, Steps: 14, Seconds: 36},
		}},
		{"nothing to wait for", &criticalpath.Path{Longest: criticalpath.Length{Stacks: 1, Steps: 1}, Serial: criticalpath.Length{Stacks: 1, Steps: 1}}},
	})
	want := []string{
		"resources chain serial chain serial ratio chain serial ratio",
		"one 12 2 5 7 14 0.50 12 36 0.33",
		"nothing to wait for 0 1 1 1 1 1.00 0 0 -",
	}
	for i, line := range strings.Split(strings.TrimSpace(out.String()), "\n")[1:] {
		if got := strings.Join(strings.Fields(line), " "); got != want[i] {
			t.Errorf("line %d is %q, want %q", i, got, want[i])
		}
	}
}
