package stacks_test

import (
	"path/filepath"
	"testing"

	"cutover/config"
	"cutover/internal/assembly"
	"cutover/internal/golden"
)

// discovered is the forum with services that find each other in all ways: users by Service Connect,
// threads by A records, posts by SRV records.
func discovered() config.Deployment {
	d := changed(first, func(s *config.Service) {
		s.Compute, s.Discovery = config.Fargate{}, []config.Discovery{config.ServiceConnect{}}
	})
	users, threads, posts := &d.Services[0], &d.Services[1], &d.Services[2]
	threads.Compute, threads.Discovery = config.EC2{NetworkMode: "awsvpc"}, []config.Discovery{config.CloudMap{}}
	threads.Calls = []string{users.Name, posts.Name}
	posts.Discovery = []config.Discovery{config.CloudMap{TTLSeconds: 5}}
	d.Monolith.Calls = []string{threads.Name, posts.Name}
	return d
}

func synthDiscovered(t *testing.T) *assembly.Assembly {
	t.Helper()
	return synthDeployment(t, discovered(), settings{"phase": "switched", "alarms": "on"})
}

// TestGoldensOfDiscovery compares the stacks that know how services find each other.
func TestGoldensOfDiscovery(t *testing.T) {
	a := synthDiscovered(t)
	for _, part := range []string{"Network", "Discovery", "Cluster", "Api", "Users", "Threads", "Posts", "Watch"} {
		stack := a.Stack("dev-" + part)
		golden.Compare(t, filepath.Join(goldenDir, "discovery", stack.Name+".json"), goldenTemplate(t, stack))
	}
}
