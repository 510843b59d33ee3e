package stacks_test

import (
	"strings"
	"testing"

	"cutover/config"
	"cutover/deployment"
	"cutover/internal/nightly"
)

// TestRetiredMonolithHasNoStore: with the monolith's last request, its grants go. The services keep theirs,
// on a table and on databases.
func TestRetiredMonolithHasNoStore(t *testing.T) {
	nightly.Test(t, "it synthesizes two deployments")
	d := changed(first, func(s *config.Service) { s.Store = config.DynamoDB{} })
	i := isolated(t, synthQuickly(t, d, settings{"phase": "retired", "store": "postgres"}))
	if len(i.Stores) != len(deployment.Forum.Services) || !strings.HasPrefix(i.Stores[len(i.Stores)-1].Name, "table ") {
		t.Errorf("the stores are %+v", i.Stores)
	}
	if trespasses := i.Trespasses(func(_, _ string) bool { return false }); trespasses != nil {
		t.Error(strings.Join(trespasses, "\n"))
	}
}
