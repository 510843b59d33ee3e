package stacks_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/aymanbagabas/go-udiff"

	"cutover/internal/assembly"
	"cutover/migration"
)

const goldenDir = "stacks/golden"

// TestGoldens compares every stack's template in every phase, and of production in
// one, with the one that was reviewed.
func TestGoldens(t *testing.T) {
	contexts := map[string]settings{"prod": production(migration.Parallel)}
	for _, phase := range migration.Phases() {
		contexts[phase.String()] = settings{"phase": phase.String()}
	}
	for name, context := range contexts {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(goldenDir, name)
			a := synth(t, context)
			if *update {
				writeGoldens(t, dir, a)
			}
			var want []string
			for _, stack := range a.Stacks {
				want = append(want, stack.Name+".json")
				compareGolden(t, filepath.Join(dir, stack.Name+".json"), golden(t, stack))
			}
			entries, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, entry := range entries {
				if !slices.Contains(want, entry.Name()) {
					t.Errorf("%s is the golden of no stack; `make golden` removes it", filepath.Join(dir, entry.Name()))
				}
			}
		})
	}
}

func writeGoldens(t *testing.T, dir string, a *assembly.Assembly) {
	t.Helper()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, stack := range a.Stacks {
		if err := os.WriteFile(filepath.Join(dir, stack.Name+".json"), golden(t, stack), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func compareGolden(t *testing.T, file string, got []byte) {
	t.Helper()
	want, err := os.ReadFile(file)
	if err != nil {
		t.Errorf("%v: write it with `make golden`, then review it", err)
		return
	}
	if !bytes.Equal(want, got) {
		t.Errorf("%s differs from what is synthesized. If that is meant, accept it with `make golden` and commit it for review:\n%s",
			file, udiff.Unified("reviewed", "synthesized", string(want), string(got)))
	}
}

// hash is an asset's: the name of a file in the bootstrap bucket, or what
// follows "v1-" in an image's tag. Nothing else has 64 hexadecimal digits.
var hash = regexp.MustCompile(`\b[0-9a-f]{64}\b`)

// golden is the stack's template as it is kept: keys sorted, an indent of two,
// and the hashes of assets masked, for they change with every edit of a service.
func golden(t *testing.T, stack *assembly.Stack) []byte {
	t.Helper()
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(stack.Template); err != nil {
		t.Fatal(err)
	}
	return hash.ReplaceAll(text.Bytes(), []byte("HASH"))
}
