package stacks_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cutover/config"
	"cutover/internal/assembly"
	"cutover/internal/golden"
	"cutover/internal/nightly"
)

// computes is the forum with a service on Fargate, one that moves there, and one on EC2.
func computes() config.Deployment {
	d := changed(first, func(s *config.Service) {
		s.Compute, s.Next = config.EC2{}, config.Fargate{SpotPercent: 50, EphemeralStorageGiB: 30}
		s.WritablePaths = []config.WritablePath{{Path: "/tmp"}}
	})
	d.Services[1].Compute = config.Fargate{CPU: 512, MemoryMiB: 1024}
	return d
}

func synthComputes(t *testing.T) *assembly.Assembly {
	t.Helper()
	return synthDeployment(t, computes(), settings{"phase": "switched", "alarms": "on", "compute": first.Name + "=10%"})
}

// TestGoldensOfComputes compares the stacks that know what a service runs on.
func TestGoldensOfComputes(t *testing.T) {
	a := synthComputes(t)
	parts := []string{"GateCompute", "PhaseCompute", "Cluster", "Routing", "Users", "Threads"}
	for _, part := range parts {
		stack := a.Stack("dev-" + part)
		golden.Compare(t, filepath.Join(goldenDir, "computes", stack.Name+".json"), goldenTemplate(t, stack))
	}
}

// With no service on EC2 there are no instances, and nothing that a task on Fargate cannot have.
func TestFargateAlone(t *testing.T) {
	nightly.Test(t, "it synthesizes one more deployment")
	d := changed(first, func(s *config.Service) {})
	d.Monolith.Compute = config.Fargate{}
	for i := range d.Services {
		d.Services[i].Compute = config.Fargate{}
	}
	a := synthDeployment(t, d, settings{"phase": "parallel"})
	var types []string
	for _, r := range a.Stack("dev-Cluster").Resources {
		types = append(types, r.Type)
	}
	slices.Sort(types)
	if want := []string{"AWS::ECS::Cluster", "AWS::ECS::ClusterCapacityProviderAssociations"}; !slices.Equal(types, want) {
		t.Errorf("the cluster has %v, want %v", types, want)
	}
	for _, r := range a.Resources("AWS::ECS::TaskDefinition") {
		text := fmt.Sprint(r.Properties)
		for _, only := range []string{"DockerSecurityOptions", "HostPort", "Tmpfs", "Links"} {
			if strings.Contains(text, only) {
				t.Errorf("%v has %s, which is for EC2", r, only)
			}
		}
	}
	for _, r := range a.Resources("AWS::ElasticLoadBalancingV2::TargetGroup") {
		if kind := r.Properties["TargetType"]; kind != "ip" && !strings.Contains(r.LogicalID, "DropTraffic") {
			t.Errorf("%v has targets of type %v, want ip", r, kind)
		}
	}
}
