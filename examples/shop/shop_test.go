package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"cutover/internal/nightly"
)

const root = "../.."

// The program has tests of its own, which run with the pinned Node.js.
func TestProgram(t *testing.T) {
	nightly.Test(t, "it starts the shop's programs many times")
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
