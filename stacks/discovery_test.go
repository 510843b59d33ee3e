package stacks_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cutover/config"
	"cutover/internal/analysis/cost"
	"cutover/internal/assembly"
	"cutover/internal/golden"
	"cutover/internal/model"
	"cutover/internal/nightly"
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
	for _, part := range []string{"Network", "Discovery", "Zone", "Cluster", "Api", "Users", "Threads", "Posts", "Watch"} {
		stack := a.Stack("dev-" + part)
		golden.Compare(t, filepath.Join(goldenDir, "discovery", stack.Name+".json"), goldenTemplate(t, stack))
	}
}

// addresses are the variables of a service's container with addresses of other services, in a stack.
func addresses(t *testing.T, a *assembly.Assembly, stack string, number int) map[string]any {
	t.Helper()
	found := map[string]any{}
	definition := ofType(a.Stack(stack), "AWS::ECS::TaskDefinition")[number]
	for _, one := range listOf(listOf(definition.Properties["ContainerDefinitions"])[0]["Environment"]) {
		if name := fmt.Sprint(one["Name"]); strings.HasSuffix(name, "_URL") {
			found[name] = one["Value"]
		}
	}
	return found
}

// ofType lists the resources of a type in a stack, by logical id.
func ofType(stack *assembly.Stack, kind string) (found []*assembly.Resource) {
	for _, r := range stack.Resources {
		if r.Type == kind {
			found = append(found, r)
		}
	}
	slices.SortFunc(found, func(a, b *assembly.Resource) int { return strings.Compare(a.LogicalID, b.LogicalID) })
	return found
}

// TestDiscoveryMeetsControls: names bring no finding of a security control. CDK's validation and cdk-nag
// have looked at each template by then.
func TestDiscoveryMeetsControls(t *testing.T) { meetsControls(t, synthDiscovered(t)) }

// TestServiceConnect pins what AWS gets of Service Connect: a service that is found has an endpoint, one
// that only calls has none, and both have a proxy with its logs.
func TestServiceConnect(t *testing.T) {
	a := synthDiscovered(t)
	proxy := func(endpoints any) any {
		of := object{
			"Enabled": true, "Namespace": "dev",
			"AccessLogConfiguration": object{"Format": "JSON", "IncludeQueryParameters": "DISABLED"},
			"LogConfiguration": object{"LogDriver": "awslogs", "Options": object{
				"awslogs-group": object{"Ref": "LogGroupF5B46931"}, "awslogs-stream-prefix": "service-connect", "awslogs-region": object{"Ref": "AWS::Region"}, "mode": "non-blocking",
			}},
		}
		if endpoints != nil {
			of["Services"] = endpoints
		}
		return of
	}
	for stack, want := range map[string]any{
		"dev-Users": proxy([]any{object{
			"PortName": "http", "DiscoveryName": "users-fargate", "ClientAliases": []any{object{"DnsName": "users-fargate", "Port": 3000.0}},
			"Timeout": object{"PerRequestTimeoutSeconds": 15.0, "IdleTimeoutSeconds": 300.0},
		}}),
		"dev-Threads": proxy(nil),
		"dev-Posts":   nil,
		"dev-Api":     nil,
	} {
		equal(t, stack, want, resource(t, a, stack, "AWS::ECS::Service").Properties["ServiceConnectConfiguration"])
	}
	namespace := resource(t, a, "dev-Discovery", "AWS::ServiceDiscovery::HttpNamespace")
	equal(t, "namespace", any("dev"), namespace.Properties["Name"])

	users, threads := resource(t, a, "dev-Users", "AWS::ECS::TaskDefinition"), resource(t, a, "dev-Threads", "AWS::ECS::TaskDefinition")
	equal(t, "named port", any([]any{object{"ContainerPort": 3000.0, "Protocol": "tcp", "Name": "http", "AppProtocol": "http"}}), listOf(users.Properties["ContainerDefinitions"])[0]["PortMappings"])
	equal(t, "port of a caller", any([]any{object{"ContainerPort": 3000.0, "Protocol": "tcp"}}), listOf(threads.Properties["ContainerDefinitions"])[0]["PortMappings"])
	// 256 units and 512 MiB of the container, 256 and 64 of the proxy.
	equal(t, "size of a caller on EC2", []any{"512", "576"}, []any{threads.Properties["Cpu"], threads.Properties["Memory"]})
	equal(t, "size on Fargate", []any{"512", "1024"}, []any{users.Properties["Cpu"], users.Properties["Memory"]})
	equal(t, "size without a proxy", []any{nil, nil}, []any{resource(t, a, "dev-Posts", "AWS::ECS::TaskDefinition").Properties["Cpu"], resource(t, a, "dev-Posts", "AWS::ECS::TaskDefinition").Properties["Memory"]})
}

// polls says whether the instances may get the configuration of proxies.
func polls(t *testing.T, a *assembly.Assembly) bool {
	t.Helper()
	role := fmt.Sprint(resource(t, a, "dev-Cluster", "AWS::AutoScaling::AutoScalingGroup"), a.Stack("dev-Cluster").Template["Resources"])
	return strings.Contains(role, ":task-set/dev/*")
}

// TestProxiesOnInstancesStart: proxies on instances, and no others, need a permission of the instances' role.
func TestProxiesOnInstancesStart(t *testing.T) {
	nightly.Test(t, "it synthesizes one more deployment")
	equal(t, "with a caller on EC2", true, polls(t, synthDiscovered(t)))
	d := discovered()
	d.Services[1].Compute = config.Fargate{} // the proxy of the caller, too
	equal(t, "with proxies on Fargate", false, polls(t, synthDeployment(t, d, settings{"phase": "switched"})))
}

// TestInstancesOfCalls: instances have set up what calls need, and nothing else.
func TestInstancesOfCalls(t *testing.T) {
	nightly.Test(t, "it synthesizes three deployments")
	const published, attribute, interfaces = "-A CONTAINER-FORWARD -m conntrack --ctstate DNAT -j ACCEPT\n", "published-ports", "ECS_AWSVPC_BLOCK_IMDS=true"
	for _, test := range []struct {
		name                  string
		change                func(*config.Deployment)
		published, interfaces bool
	}{
		{"calls between instances, and interfaces", func(*config.Deployment) {}, true, true},
		{"no interface on EC2", func(d *config.Deployment) { d.Services[1].Compute = config.Fargate{} }, true, false},
		{"no call between instances", func(d *config.Deployment) { d.Monolith.Calls = d.Monolith.Calls[:1] }, false, true},
	} {
		d := discovered()
		test.change(&d)
		a := synthDeployment(t, d, settings{"phase": "switched"})
		script := fmt.Sprint(resource(t, a, "dev-Cluster", "AWS::EC2::LaunchTemplate").Properties)
		equal(t, test.name+": published ports", []bool{test.published, test.published}, []bool{strings.Contains(script, published), strings.Contains(script, attribute)})
		equal(t, test.name+": interfaces", []bool{test.interfaces, test.interfaces}, []bool{strings.Contains(script, interfaces), strings.Contains(script, "task-interfaces")})
		var want any
		if test.published {
			want = []any{object{"Type": "memberOf", "Expression": "attribute:published-ports == true"}}
		}
		equal(t, test.name+": where posts run", want, resource(t, a, "dev-Posts", "AWS::ECS::Service").Properties["PlacementConstraints"])
		equal(t, test.name+": where its caller runs", any(nil), resource(t, a, "dev-Api", "AWS::ECS::Service").Properties["PlacementConstraints"])
		if test.interfaces {
			want = []any{object{"Type": "memberOf", "Expression": "attribute:task-interfaces == true"}}
			equal(t, test.name+": where threads run", want, resource(t, a, "dev-Threads", "AWS::ECS::Service").Properties["PlacementConstraints"])
		}
		equal(t, test.name+": to all instances", test.published, slices.ContainsFunc(ofType(a.Stack("dev-Network"), "AWS::EC2::SecurityGroupIngress"), func(r *assembly.Resource) bool {
			return property(t, a, r, "Description") == "Containers in bridge mode that call each other"
		}))
	}
	script := fmt.Sprint(resource(t, synth(t, nil), "dev-Cluster", "AWS::EC2::LaunchTemplate").Properties)
	for _, one := range []string{published, attribute, interfaces} {
		if strings.Contains(script, one) {
			t.Errorf("instances have %s, and no service calls another", one)
		}
	}
}

// TestDNSNames pins what AWS gets of AWS Cloud Map.
func TestDNSNames(t *testing.T) {
	a := synthDiscovered(t)
	zone := resource(t, a, "dev-Zone", "AWS::ServiceDiscovery::PrivateDnsNamespace")
	equal(t, "zone", any("dev.internal"), zone.Properties["Name"])
	for stack, want := range map[string]struct {
		record   object
		registry object
	}{
		"dev-Threads": {object{"Type": "A", "TTL": 10.0}, object{}},
		"dev-Posts":   {object{"Type": "SRV", "TTL": 5.0}, object{"ContainerName": "posts", "ContainerPort": 3000.0}},
	} {
		name := resource(t, a, stack, "AWS::ServiceDiscovery::Service")
		equal(t, stack, any(strings.ToLower(strings.TrimPrefix(stack, "dev-"))), name.Properties["Name"])
		config := name.Properties["DnsConfig"].(object)
		equal(t, stack+": records", any([]any{want.record}), config["DnsRecords"])
		equal(t, stack+": as many answers as there are tasks", any("MULTIVALUE"), config["RoutingPolicy"])
		equal(t, stack+": health, which ECS tells", any(object{"FailureThreshold": 1.0}), name.Properties["HealthCheckCustomConfig"])
		want.registry["RegistryArn"] = object{"Fn::GetAtt": []any{name.LogicalID, "Arn"}}
		equal(t, stack+": registry", any([]any{want.registry}), resource(t, a, stack, "AWS::ECS::Service").Properties["ServiceRegistries"])
		equal(t, stack+": waits for", 0, len(listOf(name.Properties["DependsOn"])))
	}
}

// TestContractsOfDiscovery pins the names that others hold on to, as [TestContracts] does. A namespace that
// is replaced takes the names of all services with it.
func TestContractsOfDiscovery(t *testing.T) {
	nightly.Test(t, "it synthesizes one more deployment")
	d := discovered()
	d.Services[1].Next = config.Fargate{}
	var got []string
	for _, stack := range at(t, d, "switched", "parallel").Stacks {
		for _, r := range stack.Resources {
			if strings.HasPrefix(r.Type, "AWS::ServiceDiscovery::") || strings.HasPrefix(r.Type, "AWS::EC2::SecurityGroup") && stack.Name != "dev-Network" {
				got = append(got, strings.TrimSuffix(fmt.Sprintf("%s %s %s %v", stack.Name, strings.TrimPrefix(r.Type, "AWS::"), r.LogicalID, r.Properties["Name"]), " <nil>"))
			}
		}
	}
	slices.Sort(got)
	equal(t, "names and ways", []string{
		"dev-Discovery ServiceDiscovery::HttpNamespace ServiceConnect14212F8B dev",
		"dev-Posts ServiceDiscovery::Service DnsName73680891 posts",
		"dev-Threads EC2::SecurityGroup FargateSecurityGroup4A64555C",
		"dev-Threads EC2::SecurityGroup SecurityGroupDD263621",
		"dev-Threads EC2::SecurityGroupEgress FargateFromLoadBalancer",
		"dev-Threads EC2::SecurityGroupEgress FromLoadBalancer",
		"dev-Threads EC2::SecurityGroupIngress FargateInstancesIngress",
		"dev-Threads EC2::SecurityGroupIngress FargateSecurityGroupfromdevNetworkInstanceSecurityGroupF07161A83000862352FC",
		"dev-Threads EC2::SecurityGroupIngress FargateSecurityGroupfromdevNetworkLoadBalancerSecurityGroupE6ACFDB13000C425912C",
		"dev-Threads EC2::SecurityGroupIngress FargateToUsersFargate",
		"dev-Threads EC2::SecurityGroupIngress InstancesIngress",
		"dev-Threads EC2::SecurityGroupIngress SecurityGroupfromdevNetworkInstanceSecurityGroupF07161A83000579E717D",
		"dev-Threads EC2::SecurityGroupIngress SecurityGroupfromdevNetworkLoadBalancerSecurityGroupE6ACFDB13000B6CD60B4",
		"dev-Threads EC2::SecurityGroupIngress ToUsersFargate",
		"dev-Threads ServiceDiscovery::Service DnsName73680891 threads",
		"dev-Threads ServiceDiscovery::Service FargateDnsName1B612446 threads-fargate",
		"dev-Users EC2::SecurityGroup FargateSecurityGroup4A64555C",
		"dev-Users EC2::SecurityGroupEgress FargateFromLoadBalancer",
		"dev-Users EC2::SecurityGroupIngress FargateSecurityGroupfromdevNetworkLoadBalancerSecurityGroupE6ACFDB13000C425912C",
		"dev-Zone ServiceDiscovery::PrivateDnsNamespace ZoneA5DE4B68 dev.internal",
	}, got)
}

// TestOrderOfCalls: a service comes after those that it calls, and after the namespaces that its tasks
// need. Deletion goes the other way.
func TestOrderOfCalls(t *testing.T) {
	nightly.Test(t, "it synthesizes one more deployment")
	a := synthDiscovered(t)
	needs := map[string][]string{}
	for _, stack := range a.Stacks {
		for _, other := range stack.DependsOn {
			if strings.Contains("dev-Api dev-Users dev-Threads dev-Posts dev-Discovery dev-Zone", stack.Name) && !strings.HasPrefix(other.Name, "dev-Gate") {
				needs[stack.Name] = append(needs[stack.Name], strings.TrimPrefix(other.Name, "dev-"))
			}
		}
		slices.Sort(needs[stack.Name])
	}
	maps := map[string][]string{}
	for stack, others := range needs {
		if len(others) > 0 {
			maps[stack] = others
		}
	}
	if diff := cmp.Diff(map[string][]string{
		"dev-Zone":    {"Network"},
		"dev-Users":   {"Cluster", "Discovery", "Network", "Registry", "Routing"},
		"dev-Posts":   {"Cluster", "Registry", "Routing", "Zone"},
		"dev-Threads": {"Cluster", "Discovery", "Network", "Posts", "Registry", "Routing", "Users", "Zone"},
		"dev-Api":     {"Cluster", "Posts", "Registry", "Routing", "Threads"},
	}, maps); diff != "" {
		t.Errorf("dependencies (-want +got):\n%s", diff)
	}
	// Services in a circle are found through the load balancer, in the order of the list.
	circle := changed(first, func(s *config.Service) { s.Calls = []string{last.Name} })
	circle.Services[2].Calls = []string{first.Name}
	for _, stack := range synthDeployment(t, circle, nil).Stacks {
		for _, other := range stack.DependsOn {
			if stack.Name == "dev-Users" && other.Name == "dev-Posts" || stack.Name == "dev-Posts" && other.Name == "dev-Users" {
				t.Errorf("%s waits for %s", stack.Name, other.Name)
			}
		}
	}
}

// TestCallsChange states what a step changes, and the end of a call or of a way, when services call each
// other. The stacks of the interlock are left out.
func TestCallsChange(t *testing.T) {
	nightly.Test(t, "it synthesizes seven steps of services that call each other")
	moving, uncalled := discovered(), discovered()
	moving.Services[1].Next = config.Fargate{}
	uncalled.Services[1].Calls = uncalled.Services[1].Calls[1:]
	tests := []struct {
		name     string
		from, to *assembly.Assembly
		want     []string
	}{
		{
			// Both pairs may call and be called before either has moved.
			"a callee that will move", at(t, discovered(), "switched", ""), at(t, moving, "switched", ""),
			[]string{
				"+ dev-Routing ThreadsFargate583CAF80 AWS::ElasticLoadBalancingV2::TargetGroup",
				"~ dev-Routing ThreadsServiceRuleF440FCC6 Properties.Actions[0].ForwardConfig",
				"~ dev-Routing ThreadsServiceRuleF440FCC6 Properties.Actions[0].TargetGroupArn",
				"+ dev-Threads FargateFromLoadBalancer AWS::EC2::SecurityGroupEgress",
				"+ dev-Threads FargateInstancesIngress AWS::EC2::SecurityGroupIngress",
				"+ dev-Threads FargateSecurityGroup4A64555C AWS::EC2::SecurityGroup",
				"+ dev-Threads FargateSecurityGroupfromdevNetworkInstanceSecurityGroupF07161A83000862352FC AWS::EC2::SecurityGroupIngress",
				"+ dev-Threads FargateSecurityGroupfromdevNetworkLoadBalancerSecurityGroupE6ACFDB13000C425912C AWS::EC2::SecurityGroupIngress",
				"+ dev-Threads FargateTaskDefinition8E3B365E AWS::ECS::TaskDefinition",
				"+ dev-Threads FargateTaskDefinitionExecutionRoleDefaultPolicy1632DA52 AWS::IAM::Policy",
				"+ dev-Threads FargateTaskDefinitionExecutionRoleE69A8E33 AWS::IAM::Role",
				"+ dev-Threads FargateTaskDefinitionTaskRoleE3C2BCAA AWS::IAM::Role",
				"+ dev-Threads FargateToUsersFargate AWS::EC2::SecurityGroupIngress",
			},
		},
		{"the new pair of a callee runs", at(t, moving, "switched", ""), at(t, moving, "switched", "parallel"), []string{
			"+ dev-Threads FargateDnsName1B612446 AWS::ServiceDiscovery::Service",
			"+ dev-Threads FargateServiceAC2B3B85 AWS::ECS::Service",
		}},
		{"a share of a callee", at(t, moving, "switched", "parallel"), at(t, moving, "switched", "10%"), []string{
			"~ dev-Routing ThreadsServiceRuleF440FCC6 Properties.Actions[0].ForwardConfig.TargetGroups[0].Weight",
			"~ dev-Routing ThreadsServiceRuleF440FCC6 Properties.Actions[0].ForwardConfig.TargetGroups[1].Weight",
		}},
		{"the switch of a callee", at(t, moving, "switched", "10%"), at(t, moving, "switched", "switched"), []string{
			"~ dev-Api TaskDefinitionB36D86D9 Properties.ContainerDefinitions[0].Environment[3].Value http://threads.dev.internal:3000 -> http://threads-fargate.dev.internal:3000",
			"~ dev-Routing ThreadsServiceRuleF440FCC6 Properties.Actions[0].ForwardConfig.TargetGroups[0].Weight",
		}},
		{
			// Its callers were deployed with the name of the new pair before.
			"the old pair of a callee retires", at(t, moving, "switched", "switched"), at(t, moving, "switched", "retired"),
			[]string{
				"- dev-Threads DnsName73680891 AWS::ServiceDiscovery::Service",
				"- dev-Threads ServiceD69D759B AWS::ECS::Service",
			},
		},
		{"the monolith retires", at(t, discovered(), "switched", ""), at(t, discovered(), "retired", ""), []string{
			"~ dev-Api ServiceD69D759B Properties.DesiredCount 1 -> 0",
		}},
		{
			// The ways of the monolith go with it: nobody calls from bridge mode any more.
			"the monolith is removed", at(t, discovered(), "retired", ""), at(t, discovered(), "removed", ""),
			[]string{
				"~ dev-Api Description Service api -> Logs of api, which is removed",
				"- dev-Api ServiceD69D759B AWS::ECS::Service",
				"- dev-Api TaskDefinitionB36D86D9 AWS::ECS::TaskDefinition",
				"- dev-Api TaskDefinitionExecutionRole8D61C2FB AWS::IAM::Role",
				"- dev-Api TaskDefinitionExecutionRoleDefaultPolicy1F3406F5 AWS::IAM::Policy",
				"- dev-Api TaskDefinitionTaskRoleFD40A61D AWS::IAM::Role",
				"~ dev-Cluster LaunchTemplate04EC5460 Properties.LaunchTemplateData.UserData.Fn::Base64.Fn::Join[1][0]",
				"- dev-Network InstanceSecurityGroupfromdevNetworkInstanceSecurityGroupF07161A832768655354B48007A AWS::EC2::SecurityGroupIngress",
				"~ dev-Posts ServiceD69D759B Properties.PlacementConstraints",
				"- dev-Routing ApiF70053CD AWS::ElasticLoadBalancingV2::TargetGroup",
				"~ dev-Routing LoadBalancerHttpF4A6AC3E Properties.DefaultActions[0].ForwardConfig.TargetGroups",
				"- dev-Threads SecurityGroupfromdevNetworkInstanceSecurityGroupF07161A83000579E717D AWS::EC2::SecurityGroupIngress",
			},
		},
		{
			// The stack of the caller takes its way away, after its tasks. The callee stays as it is.
			"a call ends", at(t, discovered(), "switched", ""), at(t, uncalled, "switched", ""),
			[]string{
				"~ dev-Cluster InstanceRole3CCE2F1D Properties.Policies[0].PolicyDocument.Statement",
				"~ dev-Threads ServiceD69D759B DependsOn",
				"~ dev-Threads ServiceD69D759B Properties.ServiceConnectConfiguration",
				"~ dev-Threads TaskDefinitionB36D86D9 Properties.ContainerDefinitions[0].Environment",
				"~ dev-Threads TaskDefinitionB36D86D9 Properties.Cpu 512 -> <nil>",
				"~ dev-Threads TaskDefinitionB36D86D9 Properties.Memory 576 -> <nil>",
				"- dev-Threads ToUsersFargate AWS::EC2::SecurityGroupIngress",
				"~ dev-Watch WhatServicesCall Properties.LogGroupNames [/ecs/users /ecs/threads] -> [/ecs/users]",
			},
		},
	}
	for _, test := range tests {
		var got []string
		for _, line := range assembly.Changes(test.from, test.to) {
			fields := strings.Fields(line)
			if strings.HasPrefix(fields[1], "dev-Gate") || strings.HasPrefix(fields[1], "dev-Phase") || strings.HasPrefix(fields[2], "Outputs") {
				continue
			}
			if len(line) > 180 || strings.Contains(line, "Weight") || strings.Contains(line, "map[") {
				line = strings.Join(fields[:4], " ") // values are long
			}
			got = append(got, line)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-allowed +changed):\n%s", test.name, diff)
		}
	}
}

// at synthesizes a deployment in a phase, and with threads in a place on its way to another compute.
func at(t *testing.T, d config.Deployment, phase, compute string) *assembly.Assembly {
	t.Helper()
	s := settings{"phase": phase}
	if compute != "" {
		s["compute"] = "threads=" + compute
	}
	return synthDeployment(t, d, s)
}

// TestNamespacesStay: a namespace that no service needs is in no template any more, so no deployment
// deletes it. The one that is needed stays as it is.
func TestNamespacesStay(t *testing.T) {
	nightly.Test(t, "it synthesizes two deployments")
	d := discovered()
	d.Services[0].Discovery = nil
	a := synthDeployment(t, d, settings{"phase": "switched"})
	equal(t, "stack of Service Connect", (*assembly.Stack)(nil), a.Stack("dev-Discovery"))
	equal(t, "changes of the zone", []string(nil), changesOf(a, synthDeployment(t, discovered(), settings{"phase": "switched"}), "dev-Zone"))
	d = discovered()
	d.Services[1].Discovery, d.Services[2].Discovery = nil, nil
	a = synthDeployment(t, d, settings{"phase": "switched"})
	equal(t, "stack of the zone", (*assembly.Stack)(nil), a.Stack("dev-Zone"))
	equal(t, "changes of the namespace", []string(nil), changesOf(a, synthDeployment(t, discovered(), settings{"phase": "switched"}), "dev-Discovery"))
	equal(t, "stacks without names", []*assembly.Stack{nil, nil}, []*assembly.Stack{synth(t, nil).Stack("dev-Discovery"), synth(t, nil).Stack("dev-Zone")})
}

func changesOf(from, to *assembly.Assembly, stack string) (lines []string) {
	for _, line := range assembly.Changes(from, to) {
		if strings.Fields(line)[1] == stack {
			lines = append(lines, line)
		}
	}
	return lines
}

// TestAddressesOfLoadBalancers: callers ask the load balancer of the callee, the first one by the domain, and
// with HTTPS if there is a certificate for it. Both pairs of a caller have the same addresses.
func TestAddressesOfLoadBalancers(t *testing.T) {
	nightly.Test(t, "it synthesizes three deployments")
	d := split("press") // posts is behind it
	d.Services[0].Calls, d.Services[0].Compute, d.Services[0].Next = []string{"api", "posts"}, config.EC2{}, config.Fargate{}
	dnsName := func(stack string) any {
		return object{"Fn::Join": []any{"", []any{"http://", object{"Fn::GetStackOutput": object{
			"OutputName": "PublishOutputFnGetAttLoadBalancerBE9EEC3ADNSName86F38DE9", "Region": object{"Ref": "AWS::Region"}, "StackName": stack,
		}}}}}
	}
	a := synthDeployment(t, d, settings{"arch": "arm64"})
	for pair := range 2 {
		equal(t, "users", map[string]any{"API_URL": dnsName("dev-Routing"), "POSTS_URL": dnsName("dev-RoutingPress")}, addresses(t, a, "dev-Users", pair))
	}
	equal(t, "posts", map[string]any{}, addresses(t, a, "dev-Posts", 0))
	// A call through a load balancer opens nothing.
	var ways []string
	for _, r := range a.Resources("AWS::EC2::SecurityGroupIngress") {
		ways = append(ways, fmt.Sprint(r, " ", property(t, a, r, "Description")))
	}
	slices.Sort(ways)
	equal(t, "ways", []string{
		"dev-Network/InstanceSecurityGroupfromdevNetworkLoadBalancerSecurityGroupE6ACFDB132768655357647685D Load balancer",
		"dev-Users/FargateSecurityGroupfromdevNetworkLoadBalancerSecurityGroupE6ACFDB13000C425912C Load balancer",
	}, ways)
	estimates, err := cost.Read(model.Read(a))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "what it costs", []string{
		"users (API_URL, POSTS_URL): calls through the load balancer pass a NAT gateway and public addresses, at US$ 0.045 for a GB of requests and answers and 0.01 more in each direction",
	}, estimates[0].Calls)
	a = synthDeployment(t, d, settings{"domain": "api.example.com"})
	equal(t, "by the domain", map[string]any{"API_URL": "http://api.example.com", "POSTS_URL": dnsName("dev-RoutingPress")}, addresses(t, a, "dev-Users", 0))
	domains := map[string][]string{}
	for _, lb := range model.Read(a).LoadBalancers {
		domains[lb.Key()] = lb.Domains
	}
	equal(t, "the domain, for a local run", map[string][]string{"dev-Routing/LoadBalancerBE9EEC3A": {"api.example.com"}, "dev-RoutingPress/LoadBalancerBE9EEC3A": nil}, domains)
	d.Services[0].Calls, d.Services[1].Calls = nil, []string{"api"} // from behind the other load balancer
	a = synthDeployment(t, d, settings{"domain": "api.example.com", "certificateArn": certificate})
	equal(t, "with a certificate", map[string]any{"API_URL": "https://api.example.com"}, addresses(t, a, "dev-Posts", 0))
}

// TestNagOfDiscovery reads what cdk-nag says of names, on arm64 and while a callee moves.
func TestNagOfDiscovery(t *testing.T) {
	nightly.Test(t, "cdk-nag writes reports")
	d := discovered()
	d.Services[0].Next, d.Services[1].Next = config.EC2{NetworkMode: "awsvpc"}, config.Fargate{}
	dir := filepath.Join(scratch, "nag-of-discovery")
	context := settings{"env": "prod", "certificateArn": certificate, "phase": "switched", "compute": "users=switched,threads=10%", "arch": "arm64"}
	if err := synthTo(d, cdkContext(t, context), dir, true); err != nil {
		t.Fatal(err)
	}
	a, err := assembly.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	checkNag(t, "discovery", a)
	meetsControls(t, a)
}
