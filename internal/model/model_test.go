package model

import (
	"os"
	"path/filepath"
	"testing"

	"cutover/internal/assembly"
)

// read reads the model of one stack, S, with these resources and the condition Never.
func read(t *testing.T, resources string) *Model {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"manifest.json": `{"artifacts": {"S": {"type": "aws:cloudformation:stack", "environment": "aws://unknown-account/unknown-region", "properties": {"templateFile": "S.json"}}}}`,
		"S.json":        `{"Conditions": {"Never": {"Fn::Equals": ["a", "b"]}}, "Resources": {` + resources + `}}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	a, err := assembly.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	return Read(a)
}
