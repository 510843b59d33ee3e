// Package assemblytest has what tests of several packages need of an assembly.
package assemblytest

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"cutover/internal/assembly"
)

// Unknown is the environment of a stack that leaves account and region to the deployment.
const Unknown = "unknown-account/unknown-region"

// Read reads an assembly of one stack, S, with a template, in an environment as in 111111111111/eu-west-1.
func Read(t testing.TB, environment, template string) *assembly.Assembly {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"manifest.json": fmt.Sprintf(`{"artifacts": {"S": {"type": "aws:cloudformation:stack", "environment": "aws://%s", "properties": {"templateFile": "S.json"}}}}`, environment),
		"S.json":        template,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a, err := assembly.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	return a
}
