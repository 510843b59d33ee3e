package stacks_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"cutover/migration"
)

// TestContracts pins what others hold on to. A resource whose logical id or name
// changes is replaced, and with these that loses images, an address, a record of
// what is deployed, or requests; an output or stack that changes its name breaks
// a script. Unlike a golden, this list is not rewritten by a command.
func TestContracts(t *testing.T) {
	all := []string{
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
	slices.Sort(all)
	// The monolith's logs and images outlive it.
	gone := []string{
		"AWS::ECS::Service dev-Api ServiceD69D759B api",
		"AWS::ElasticLoadBalancingV2::TargetGroup dev-Routing ApiF70053CD api",
	}
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
		want := all
		if phase == migration.Removed {
			want = slices.DeleteFunc(slices.Clone(all), func(line string) bool { return slices.Contains(gone, line) })
			equal(t, "what a removed monolith takes along", len(gone), len(all)-len(want))
		}
		equal(t, phase.String(), want, got)
	}
}

// TestContractsOfAFurtherLoadBalancer pins the names of one in the same way.
func TestContractsOfAFurtherLoadBalancer(t *testing.T) {
	a := synthPress(t)
	stack := a.Stack("prod-RoutingPress")
	var got []string
	for _, r := range stack.Resources {
		if kind, ok := strings.CutPrefix(r.Type, "AWS::ElasticLoadBalancingV2::"); ok {
			line := kind + " " + r.LogicalID
			if kind == "TargetGroup" {
				line += " " + property(t, a, r, "Name").(string)
			}
			got = append(got, line)
		}
	}
	equal(t, "resources", []string{
		"TargetGroup ApiF70053CD api-press",
		"ListenerRule ApiMonolithRule3E1F67E5",
		"TargetGroup DropTraffic515AB75F drop-traffic-press",
		"LoadBalancer LoadBalancerBE9EEC3A",
		"Listener LoadBalancerHttpF4A6AC3E",
		"Listener LoadBalancerHttps0C5C99D2",
		"TargetGroup Posts868B3EAD posts-press",
		"ListenerRule PostsServiceRule589355CE",
	}, got)
}
