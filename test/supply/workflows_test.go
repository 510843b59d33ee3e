package supply

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

type workflow struct {
	On          yaml.Node
	Permissions map[string]string
	Jobs        map[string]struct {
		Permissions map[string]string
		Steps       []struct {
			Uses, Run string
			With      map[string]string
			Env       map[string]string
		}
	}
}

// granted is all that the workflows may do: what a workflow is given, and each of
// its jobs beyond that.
var granted = map[string]map[string]string{
	"ci":            {"contents": "read"},
	"deploy":        {},
	"deploy/deploy": {"contents": "read", "id-token": "write"},
}

// A commit of an action, with the version that a reader and a robot know it by.
var pinned = regexp.MustCompile(`uses: [\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$`)

// TestWorkflows: actions of others are pinned by their commit, nothing has more
// permissions than it needs, and AWS is reached by what GitHub vouches for and
// not by a key.
func TestWorkflows(t *testing.T) {
	files, err := filepath.Glob(root + "/.github/workflows/*.y*ml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no workflows: %v", err)
	}
	got := map[string]map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var w workflow
		if err := yaml.Unmarshal(text, &w); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		name := strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
		if w.Permissions == nil {
			t.Errorf("%s does not say its permissions, and so has the repository's default", name)
		}
		got[name] = w.Permissions
		if on, err := yaml.Marshal(&w.On); err != nil || strings.Contains(string(on), "pull_request_target") || strings.Contains(string(on), "workflow_run") {
			t.Errorf("%s runs with the repository's rights on what others send (%v)", name, err)
		}
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSpace(line); strings.Contains(line, "uses:") && !pinned.MatchString(line) && !strings.Contains(line, "uses: ./") {
				t.Errorf("%s: %q is not pinned by its commit with its version beside it", name, line)
			}
		}
		if strings.Contains(string(text), "secrets.") || strings.Contains(string(text), "secrets: inherit") {
			t.Errorf("%s uses a secret; nothing here needs one", name)
		}
		for job, j := range w.Jobs {
			if j.Permissions != nil {
				got[name+"/"+job] = j.Permissions
			}
			for _, step := range j.Steps {
				action, _, _ := strings.Cut(step.Uses, "@")
				switch action {
				case "actions/checkout":
					if step.With["persist-credentials"] != "false" {
						t.Errorf("%s/%s: the checkout leaves the token behind for the steps after it", name, job)
					}
				case "aws-actions/configure-aws-credentials":
					if keys := slices.Sorted(maps.Keys(step.With)); !slices.Equal(keys, []string{"aws-region", "role-to-assume"}) {
						t.Errorf("%s/%s: AWS is reached with %q, want a region and a role to assume alone", name, job, keys)
					}
				}
				// What an event says would become part of a script.
				if strings.Contains(step.Run, "${{") {
					t.Errorf("%s/%s: an expression in a script: %s", name, job, step.Run)
				}
				for variable := range step.Env {
					if strings.HasPrefix(variable, "AWS_") {
						t.Errorf("%s/%s: %s is given to a step", name, job, variable)
					}
				}
			}
		}
	}
	if diff := cmp.Diff(granted, got); diff != "" {
		t.Errorf("permissions of the workflows (-want +got):\n%s", diff)
	}
}
