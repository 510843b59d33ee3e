package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const root = "../.."

// The program has tests of its own, which run with the pinned Node.js.
func TestProgram(t *testing.T) {
	if testing.Short() {
		t.Skip("slow: it starts many processes")
	}
	node, err := filepath.Abs(root + "/node_modules/node/bin/node")
	if err == nil {
		_, err = os.Stat(node)
	}
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip("Node.js is missing: run `npm ci`")
	}
	// Go runs a test anew if a file changes that the test itself has read.
	files, err := filepath.Glob("app/*")
	if err != nil || len(files) == 0 {
		t.Fatal("there is no program", err)
	}
	for _, file := range files {
		if _, err := os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), node, "--test")
	cmd.Dir = "app"
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("node --test: %v\n%s", err, out)
	}
}

// Templates are the same in all apps of this repository if the feature flags are.
func TestFeatureFlags(t *testing.T) {
	read := func(file string) map[string]any {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var app map[string]any
		if err := json.Unmarshal(text, &app); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		delete(app, "watch")
		return app
	}
	if diff := cmp.Diff(read(root+"/cdk.json"), read("cdk.json")); diff != "" {
		t.Errorf("cdk.json (-of the repository +of the shop):\n%s", diff)
	}
}
