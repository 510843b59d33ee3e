package stacks_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cutover/config"
	"cutover/deployment"
	"cutover/internal/assembly"
	"cutover/migration"
)

// TestContracts pins what others hold on to. A resource whose logical id or name
// changes is replaced, and with these that loses images, an address, a record of
// what is deployed, or requests; an output or stack that changes its name breaks
// a script. Unlike a golden, this list is not rewritten by a command.
func TestContracts(t *testing.T) {
	want := []string{
		"stack dev-Api",
		"stack dev-Cluster",
		"stack dev-Gate",
		"stack dev-Network",
		"stack dev-Phase",
		"stack dev-Posts",
		"stack dev-Registry",
		"stack dev-Routing",
		"stack dev-Threads",
		"stack dev-Users",
		"stack dev-Watch",

		"output dev-Cluster ClusterName",
		"output dev-Phase Phase",
		"output dev-Registry ApiRepositoryUri",
		"output dev-Registry PostsRepositoryUri",
		"output dev-Registry ThreadsRepositoryUri",
		"output dev-Registry UsersRepositoryUri",
		"output dev-Routing Url",

		"AWS::CloudWatch::Dashboard dev-Watch Dashboard9E4231ED dev",
		"AWS::EC2::VPC dev-Network Vpc8378EB38",
		"AWS::ECR::Repository dev-Registry ApiF70053CD api",
		"AWS::ECR::Repository dev-Registry Posts868B3EAD posts",
		"AWS::ECR::Repository dev-Registry ThreadsE6A0B71E threads",
		"AWS::ECR::Repository dev-Registry Users0A0EEA89 users",
		"AWS::ECS::CapacityProvider dev-Cluster CapacityProviderF92AC12E",
		"AWS::ECS::Cluster dev-Cluster ClusterEB0386A7 dev",
		"AWS::ECS::Service dev-Api ServiceD69D759B api",
		"AWS::ECS::Service dev-Posts ServiceD69D759B posts",
		"AWS::ECS::Service dev-Threads ServiceD69D759B threads",
		"AWS::ECS::Service dev-Users ServiceD69D759B users",
		"AWS::ElasticLoadBalancingV2::Listener dev-Routing LoadBalancerHttpF4A6AC3E",
		"AWS::ElasticLoadBalancingV2::LoadBalancer dev-Routing LoadBalancerBE9EEC3A",
		"AWS::ElasticLoadBalancingV2::TargetGroup dev-Routing ApiF70053CD api",
		"AWS::ElasticLoadBalancingV2::TargetGroup dev-Routing DropTraffic515AB75F drop-traffic",
		"AWS::ElasticLoadBalancingV2::TargetGroup dev-Routing Posts868B3EAD posts",
		"AWS::ElasticLoadBalancingV2::TargetGroup dev-Routing ThreadsE6A0B71E threads",
		"AWS::ElasticLoadBalancingV2::TargetGroup dev-Routing Users0A0EEA89 users",
		"AWS::Logs::LogGroup dev-Api LogGroupF5B46931 /ecs/api",
		"AWS::Logs::LogGroup dev-Network FlowLogs16C1943A",
		"AWS::Logs::LogGroup dev-Posts LogGroupF5B46931 /ecs/posts",
		"AWS::Logs::LogGroup dev-Threads LogGroupF5B46931 /ecs/threads",
		"AWS::Logs::LogGroup dev-Users LogGroupF5B46931 /ecs/users",
		"AWS::Logs::QueryDefinition dev-Watch WhatFails dev/what fails",
		"AWS::Logs::QueryDefinition dev-Watch WhatHappened dev/what happened to a request",
		"AWS::Logs::QueryDefinition dev-Watch WhatIsSlow dev/what is slow",
	}
	pinned := map[string]string{ // type to the property with the physical name
		"AWS::CloudWatch::Dashboard": "DashboardName", "AWS::Logs::QueryDefinition": "Name",
		"AWS::EC2::VPC": "", "AWS::ECR::Repository": "RepositoryName", "AWS::ECS::CapacityProvider": "Name",
		"AWS::ECS::Cluster": "ClusterName", "AWS::ECS::Service": "ServiceName", "AWS::Logs::LogGroup": "LogGroupName",
		"AWS::ElasticLoadBalancingV2::Listener": "", "AWS::ElasticLoadBalancingV2::LoadBalancer": "Name", "AWS::ElasticLoadBalancingV2::TargetGroup": "Name",
	}
	slices.Sort(want)
	for _, phase := range migration.Phases() {
		var got []string
		for _, stack := range inPhase(t, phase).Stacks {
			got = append(got, "stack "+stack.Name)
			for id, output := range stack.Outputs {
				// The others carry references between stacks, and CDK names them.
				if output.Description != "" {
					got = append(got, fmt.Sprintf("output %s %s", stack.Name, id))
				}
			}
			for _, r := range stack.Resources {
				if name, ok := pinned[r.Type]; ok {
					physical, _ := r.Properties[name].(string)
					got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", r.Type, stack.Name, r.LogicalID, physical)))
				}
			}
		}
		slices.Sort(got)
		equal(t, phase.String(), want, got)
	}
}

// The parameters of the interlock are found by their names alone.
func TestInterlockParameters(t *testing.T) {
	names := func(stack *assembly.Stack) []string {
		var names []string
		for _, r := range stack.Resources {
			names = append(names, fmt.Sprint(r.Properties["Name"], " ", r.Properties["Value"]))
		}
		slices.Sort(names)
		return names
	}
	a := synth(t, settings{"phase": "parallel", "shift": "users=10"})
	equal(t, "gate", []string{
		"/dev/phase-gate/begun/monolith monolith", // blocked, as is
		"/dev/phase-gate/begun/parallel parallel",
		"/dev/phase-gate/begun/retired retired", // this
		"/dev/phase-gate/begun/shift shift",
		"/dev/phase-gate/reached/parallel parallel",
		"/dev/phase-gate/reached/shift shift",
	}, names(a.Stack("dev-Gate")))
	equal(t, "blocks", []string{
		"/dev/phase parallel",
		"/dev/phase-gate/reached/monolith monolith",
		"/dev/phase-gate/reached/retired retired",
	}, names(a.Stack("dev-Phase")))
	off := synth(t, settings{"phase": "parallel", "phaseGate": "off"})
	equal(t, "gate when off", []string{"/dev/phase-gate/begun/off off"}, names(off.Stack("dev-Gate")))
}

// A deployment is a chain: what decides whether it may happen comes first, what
// says that it happened comes last.
func TestStackOrder(t *testing.T) {
	var got []string
	for _, stack := range inPhase(t, migration.Monolith).Stacks {
		var needs []string
		for _, other := range stack.DependsOn {
			needs = append(needs, other.Name)
		}
		slices.Sort(needs)
		got = append(got, strings.TrimSpace(stack.Name+": "+strings.Join(needs, " ")))
	}
	slices.Sort(got)
	equal(t, "dependencies", []string{
		"dev-Api: dev-Cluster dev-Registry dev-Routing",
		"dev-Cluster: dev-Network",
		"dev-Gate:",
		"dev-Network:",
		"dev-Phase: dev-Api dev-Posts dev-Threads dev-Users",
		"dev-Posts: dev-Cluster dev-Registry dev-Routing",
		"dev-Registry:",
		"dev-Routing: dev-Gate dev-Network",
		"dev-Threads: dev-Cluster dev-Registry dev-Routing",
		"dev-Users: dev-Cluster dev-Registry dev-Routing",
		"dev-Watch: dev-Api dev-Posts dev-Routing dev-Threads dev-Users",
	}, got)
}

// A plain "cdk deploy --all" works in a new environment: the images wait for the
// stack of their repositories.
func TestImagesWaitForTheirRepositories(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(inPhase(t, migration.Monolith).Dir, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	var manifest struct {
		Artifacts map[string]struct{ Dependencies []string }
	}
	if err := json.Unmarshal(text, &manifest); err != nil {
		t.Fatal(err)
	}
	for _, service := range []string{"Api", "Users", "Threads", "Posts"} {
		equal(t, service, []string{"dev-Registry"}, manifest.Artifacts["dev-"+service+".assets"].Dependencies)
	}
}

// TestServiceMayComeAndGo adds a service and removes another. Neither may touch
// the rest, nor run into an export that is in use: there are no exports.
func TestServiceMayComeAndGo(t *testing.T) {
	other := deployment.Forum
	other.Services = append(slices.DeleteFunc(slices.Clone(deployment.Forum.Services), func(s config.Service) bool { return s.Name == "threads" }),
		config.Service{Name: "tags", Paths: []string{"/api/tags*"}, Order: 15, Dir: "services/users"})
	before, after := inPhase(t, migration.Parallel), synthDeployment(t, other, settings{"phase": "parallel"})

	for _, line := range assembly.Changes(before, after) {
		fields := strings.Fields(line)
		if fields[1] == "dev-Watch" && strings.HasPrefix(fields[3], "Properties.LogGroupNames[") {
			continue // its queries ask the logs of all services
		}
		place := strings.ToLower(strings.Join(fields[1:3], " "))
		if !strings.Contains(place, "tags") && !strings.Contains(place, "threads") {
			t.Errorf("changes what it should not: %s", line)
		}
	}
	for _, a := range []*assembly.Assembly{before, after} {
		for _, stack := range a.Stacks {
			for id, output := range stack.Outputs {
				if output.ExportName != nil {
					t.Errorf("%s exports %s", stack.Name, id)
				}
			}
		}
	}
}

// What runs on machines without CDK, or next to the traffic, does not link it;
// the app does not link what looks at it; and what is pure imports nothing of ours.
func TestImports(t *testing.T) {
	deps := func(pattern string) []string {
		out, err := exec.Command("go", "list", "-deps", pattern).Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.Fields(string(out))
	}
	for _, pattern := range []string{"./services/...", "./internal/...", "./cmd/..."} {
		for _, dep := range deps(pattern) {
			if strings.Contains(dep, "aws-cdk-go") || strings.Contains(dep, "jsii") {
				t.Errorf("%s depends on %s", pattern, dep)
			}
		}
	}
	for _, dep := range deps(".") {
		if strings.Contains(dep, "cdk-nag") {
			t.Errorf("the app depends on %s, which only its tests need", dep)
		}
	}
	ours := deps("./migration")
	module := strings.TrimSuffix(ours[len(ours)-1], "migration") // itself comes last
	for _, dep := range ours[:len(ours)-1] {
		if strings.HasPrefix(dep, module) {
			t.Errorf("migration depends on %s", dep)
		}
	}
}
