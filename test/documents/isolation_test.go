package documents_test

import (
	"path/filepath"
	"testing"

	"cutover/deployment"
	"cutover/internal/analysis/isolation"
	"cutover/internal/golden"
	"cutover/migration"
)

// TestIsolationDocument compares docs/isolation.md with what the templates say.
func TestIsolationDocument(t *testing.T) {
	read := func(name string) *isolation.Isolation {
		i, err := isolation.Read(filepath.Join(root, "stacks", "golden", golden.Deployed(name)))
		if err != nil {
			t.Fatal(err)
		}
		return i
	}
	var services []string
	for _, service := range deployment.App.All() {
		services = append(services, service.Name)
	}
	golden.Compare(t, root+"/docs/isolation.md", []byte(isolation.Document(read(migration.Retired.String()), read(golden.Production), services)))
}
