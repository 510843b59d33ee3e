package stacks_test

import (
	"path/filepath"
	"testing"

	"cutover/deployment"
	"cutover/internal/golden"
)

// TestGoldensOfEvents compares the stacks that have topics, queues and workers: by streams of tables, and by tasks.
func TestGoldensOfEvents(t *testing.T) {
	for _, test := range []struct {
		store  string
		stacks []string
	}{
		{"dynamodb", []string{"Events", "Relays", "Data", "Feed", "Deletions", "Api"}},
		{"postgres", []string{"Events", "Users"}},
	} {
		a := synthDeployment(t, deployment.Forum, settings{"store": test.store, "events": "on", "maxInstances": "8"})
		for _, part := range test.stacks {
			stack := a.Stack("dev-" + part)
			golden.Compare(t, filepath.Join(goldenDir, "events", test.store, stack.Name+".json"), goldenTemplate(t, stack))
		}
	}
}
