package strangler_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The example is in a module of its own. It has the versions and the feature flags of this one.
func TestLibrary(t *testing.T) {
	versions := func(dir string) (found map[string]string, toolchain string) {
		cmd := exec.CommandContext(t.Context(), "go", "mod", "edit", "-json")
		cmd.Dir = dir
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		var module struct {
			Toolchain string
			Require   []struct{ Path, Version string }
		}
		if err := json.Unmarshal(out, &module); err != nil {
			t.Fatal(err)
		}
		found = map[string]string{}
		for _, r := range module.Require {
			found[r.Path] = r.Version
		}
		return found, module.Toolchain
	}
	ours, toolchain := versions(".")
	theirs, their := versions("examples/library")
	if their != toolchain {
		t.Errorf("the example has the toolchain %s, want %s", their, toolchain)
	}
	for path, version := range theirs {
		if want, shared := ours[path]; shared && version != want {
			t.Errorf("the example has %s %s, want %s: run `go mod tidy` there", path, version, want)
		}
	}

	flags := func(file string) any {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var app struct{ Context map[string]any }
		if err := json.Unmarshal(text, &app); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for key := range app.Context {
			if key[0] != '@' {
				delete(app.Context, key)
			}
		}
		return app.Context
	}
	if diff := cmp.Diff(flags("cdk.json"), flags("examples/library/cdk.json")); diff != "" {
		t.Errorf("feature flags (-of the repository +of the example):\n%s", diff)
	}
}
