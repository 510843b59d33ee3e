package main

import (
	"os"
	"path/filepath"
	"testing"

	"cutover/internal/rehearsal/workload"
)

// Each workload can be read, and its checks pass what the server answers.
func TestChecks(t *testing.T) {
	for _, w := range workloads {
		build := workload.New(workload.Options{Writes: true})
		file := filepath.Join(t.TempDir(), "routes.yaml")
		if err := os.WriteFile(file, []byte(w.routes), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := build.File(file); err != nil {
			t.Fatal(err)
		}
		made, err := build.Build(w.name)
		if err != nil || len(made.Sources) != 1 {
			t.Fatal(made, err)
		}
		b := &bench{ctx: t.Context()}
		if bytes, err := b.hold(made.Sources[0], 3000); err != nil || bytes < sampleBytes*anHour {
			t.Errorf("%s: %.0f bytes, %v", w.name, bytes, err)
		}
	}
}
