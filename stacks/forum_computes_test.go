package stacks_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cutover/config"
	shop "cutover/examples/shop/deployment"
	"cutover/internal/assembly"
	"cutover/internal/nightly"
)

// stop is where services are on their way between kinds of compute.
type stop struct {
	compute, next config.Compute
	place         string // in the setting compute; empty if the service is not named there
}

func (s stop) String() string {
	text := config.Kind(s.compute)
	if s.compute == nil {
		text = "none"
	}
	if s.next != nil {
		text += " to " + config.Kind(s.next)
	}
	return strings.TrimSpace(text + " " + s.place)
}

var onEC2, onFargate = config.EC2{}, config.Fargate{}

// way has the stops of a service that moves, both ends included.
func way(from, to config.Compute) []stop {
	return []stop{{from, nil, ""}, {from, to, ""}, {from, to, "parallel"}, {from, to, "10%"}, {from, to, "switched"}, {from, to, "retired"}, {to, nil, ""}}
}

// atStop is the forum in switched, with a service at a stop.
func atStop(t *testing.T, at stop) *assembly.Assembly {
	t.Helper()
	context := settings{"phase": "switched"}
	if at.place != "" {
		context["compute"] = "users=" + at.place
	}
	return synthDeployment(t, changed(first, func(s *config.Service) { s.Compute, s.Next = at.compute, at.next }), context)
}

// stepsOf compares what a step changes, beside the interlock, with what it may change; and the step back.
func stepsOf(t *testing.T, name string, from, to *assembly.Assembly, want []string) {
	t.Helper()
	var back []string
	for _, line := range want {
		back = append(back, reverse(line))
	}
	changes := func(from, to *assembly.Assembly) (lines []string) {
		for _, line := range assembly.Changes(from, to) {
			if stack := strings.Fields(line)[1]; stack != "dev-GateCompute" && stack != "dev-PhaseCompute" {
				lines = append(lines, line)
			}
		}
		return lines
	}
	if diff := cmp.Diff(want, changes(from, to)); diff != "" {
		t.Errorf("%s (-allowed +changed):\n%s", name, diff)
	}
	if diff := cmp.Diff(back, changes(to, from)); diff != "" {
		t.Errorf("%s, back (-allowed +changed):\n%s", name, diff)
	}
}

const (
	toFargateGroup = "~ dev-Routing Outputs.PublishOutputRefUsersFargateA116CD250E824AC5 <nil> -> map[Value:map[Ref:UsersFargateA116CD25]]"
	toEC2Group     = "~ dev-Routing Outputs.PublishOutputRefUsers0A0EEA89025915DB <nil> -> map[Value:map[Ref:Users0A0EEA89]]"
	weights        = "~ dev-Routing UsersServiceRuleF8E4FD22 Properties.Actions[0].ForwardConfig.TargetGroups"
	ec2Service     = "dev-Users ServiceD69D759B AWS::ECS::Service"
	fargateService = "dev-Users FargateServiceAC2B3B85 AWS::ECS::Service"
)

// What comes with the name of a next compute, on Fargate and on EC2. There is no ECS service yet.
var (
	fargatePair = []string{
		"~ dev-Cluster Cluster3DA9CCBA Properties.CapacityProviders [map[Ref:CapacityProviderF92AC12E]] -> [FARGATE FARGATE_SPOT map[Ref:CapacityProviderF92AC12E]]",
		"+ dev-Routing UsersFargateA116CD25 AWS::ElasticLoadBalancingV2::TargetGroup",
		"~ dev-Routing UsersServiceRuleF8E4FD22 Properties.Actions[0].ForwardConfig <nil> -> map[TargetGroups:[map[TargetGroupArn:map[Ref:Users0A0EEA89] Weight:1] map[TargetGroupArn:map[Ref:UsersFargateA116CD25] Weight:0]]]",
		"~ dev-Routing UsersServiceRuleF8E4FD22 Properties.Actions[0].TargetGroupArn map[Ref:Users0A0EEA89] -> <nil>",
		"+ dev-Users FargateFromLoadBalancer AWS::EC2::SecurityGroupEgress",
		"+ dev-Users FargateSecurityGroup4A64555C AWS::EC2::SecurityGroup",
		"+ dev-Users FargateSecurityGroupfromdevNetworkLoadBalancerSecurityGroupE6ACFDB13000C425912C AWS::EC2::SecurityGroupIngress",
		"+ dev-Users FargateTaskDefinition8E3B365E AWS::ECS::TaskDefinition",
		"+ dev-Users FargateTaskDefinitionExecutionRoleDefaultPolicy1632DA52 AWS::IAM::Policy",
		"+ dev-Users FargateTaskDefinitionExecutionRoleE69A8E33 AWS::IAM::Role",
		"+ dev-Users FargateTaskDefinitionTaskRoleE3C2BCAA AWS::IAM::Role",
	}
	ec2Pair = []string{
		"+ dev-Routing Users0A0EEA89 AWS::ElasticLoadBalancingV2::TargetGroup",
		"~ dev-Routing UsersServiceRuleF8E4FD22 Properties.Actions[0].ForwardConfig <nil> -> map[TargetGroups:[map[TargetGroupArn:map[Ref:UsersFargateA116CD25] Weight:1] map[TargetGroupArn:map[Ref:Users0A0EEA89] Weight:0]]]",
		"~ dev-Routing UsersServiceRuleF8E4FD22 Properties.Actions[0].TargetGroupArn map[Ref:UsersFargateA116CD25] -> <nil>",
		"+ dev-Users TaskDefinitionB36D86D9 AWS::ECS::TaskDefinition",
		"+ dev-Users TaskDefinitionExecutionRole8D61C2FB AWS::IAM::Role",
		"+ dev-Users TaskDefinitionExecutionRoleDefaultPolicy1F3406F5 AWS::IAM::Policy",
		"+ dev-Users TaskDefinitionTaskRoleFD40A61D AWS::IAM::Role",
	}
)

// TestNextStandsBeside: a name for the compute changes the interlock alone. A next compute changes nothing
// of the old pair but the action of its rule.
func TestNextStandsBeside(t *testing.T) {
	nightly.Test(t, "it synthesizes two moves")
	named := atStop(t, stop{onEC2, nil, ""})
	stepsOf(t, "a name", atStop(t, stop{}), named, nil)
	// A compute out of turn must not take the instances from tasks that run.
	if gate := named.Stack("dev-GateCompute"); !slices.Contains(named.Stack("dev-Cluster").DependsOn, gate) {
		t.Error("the cluster changes although its gate may refuse the deployment")
	}
	stepsOf(t, "next", named, atStop(t, stop{onEC2, onFargate, ""}), fargatePair)
}

// TestComputeChanges states what each step between two kinds of compute may change, as TestPhaseChanges
// does for phases. An ECS service comes a deployment after its target group, and goes a deployment
// before it: so what the last step takes away, and the first one adds, has no ECS service.
func TestComputeChanges(t *testing.T) {
	nightly.Test(t, "it synthesizes a move between computes step by step, there and back")
	without := func(lines []string, target string) (rest []string) { // the last step undoes the first one of the way back
		for _, line := range lines {
			if !strings.Contains(line, target) {
				rest = append(rest, reverse(line))
			}
		}
		return rest
	}
	action := func(from, to string) []string {
		return []string{
			"~ dev-Routing UsersServiceRuleF8E4FD22 Properties.Actions[0].ForwardConfig map[TargetGroups:[map[TargetGroupArn:map[Ref:" + from + "] Weight:0] map[TargetGroupArn:map[Ref:" + to + "] Weight:1]]] -> <nil>",
			"~ dev-Routing UsersServiceRuleF8E4FD22 Properties.Actions[0].TargetGroupArn <nil> -> map[Ref:" + to + "]",
		}
	}
	for _, one := range []struct {
		way  []stop
		want [][]string
	}{
		{way(onEC2, onFargate), [][]string{
			fargatePair,
			{toFargateGroup, "+ " + fargateService},
			{weights + "[0].Weight 1 -> 9", weights + "[1].Weight 0 -> 1"},
			{weights + "[0].Weight 9 -> 0"},
			{reverse(toEC2Group), "- " + ec2Service},
			slices.Concat([]string{"- dev-Routing Users0A0EEA89 AWS::ElasticLoadBalancingV2::TargetGroup"}, action("Users0A0EEA89", "UsersFargateA116CD25"), without(ec2Pair, "dev-Routing")),
		}},
		{way(onFargate, onEC2), [][]string{
			ec2Pair,
			{toEC2Group, "+ " + ec2Service},
			{weights + "[0].Weight 1 -> 9", weights + "[1].Weight 0 -> 1"},
			{weights + "[0].Weight 9 -> 0"},
			{reverse(toFargateGroup), "- " + fargateService},
			slices.Concat([]string{reverse(fargatePair[0]), "- dev-Routing UsersFargateA116CD25 AWS::ElasticLoadBalancingV2::TargetGroup"},
				action("UsersFargateA116CD25", "Users0A0EEA89"), without(fargatePair[1:], "dev-Routing")),
		}},
	} {
		for i, want := range one.want {
			stepsOf(t, fmt.Sprintf("%v → %v", one.way[i], one.way[i+1]), atStop(t, one.way[i]), atStop(t, one.way[i+1]), want)
		}
	}
}

// allAt is the forum with each service in a place of its own and every second one at one of two stops, the
// monolith at the first one. Further settings come after the stops.
func allAt(t *testing.T, these, others stop, more ...settings) *assembly.Assembly {
	t.Helper()
	context := settings{"phase": "users=switched,threads=parallel,posts=10%"}
	d := changed(first, func(*config.Service) {})
	var places []string
	for i, s := range []*config.Service{&d.Monolith, &d.Services[0], &d.Services[1], &d.Services[2]} {
		at := []stop{these, others}[i%2]
		s.Compute, s.Next = at.compute, at.next
		if at.place != "" {
			places = append(places, s.Name+"="+at.place)
		}
	}
	context["compute"] = strings.Join(places, ",")
	for _, one := range more {
		maps.Copy(context, one)
	}
	return synthDeployment(t, d, context)
}

// TestComputesOfAllAtOnce moves the monolith and all services in the same deployments, some to Fargate and
// some to EC2. No step replaces anything, no rule or listener comes or goes, and no target group changes in
// the deployment in which its ECS service does.
func TestComputesOfAllAtOnce(t *testing.T) {
	nightly.Test(t, "it synthesizes a move of all services step by step")
	there, back := way(onEC2, onFargate), way(onFargate, onEC2)
	for i := range 6 {
		name := fmt.Sprintf("%v → %v", there[i], there[i+1])
		for _, line := range assembly.Changes(allAt(t, there[i], back[i]), allAt(t, there[i+1], back[i+1])) {
			words := strings.Fields(line)
			of := words[len(words)-1]
			switch what := strings.Join(words[2:], " "); {
			case words[1] == "dev-GateCompute", words[1] == "dev-PhaseCompute", strings.HasPrefix(words[2], "Outputs."):
			case words[0] == "~" && words[1] == "dev-Routing" && strings.Contains(what, "Actions["): // of a rule or a listener
			case words[0] == "~" && strings.HasPrefix(what, "Cluster3DA9CCBA Properties.CapacityProviders "):
			case words[0] == "~", of == "AWS::ElasticLoadBalancingV2::ListenerRule":
				t.Errorf("%s: %s", name, line)
			case of == "AWS::ECS::Service" && i != 1 && i != 4, of == "AWS::ElasticLoadBalancingV2::TargetGroup" && i != 0 && i != 5:
				t.Errorf("%s: %s: target groups and ECS services come and go a deployment apart", name, line)
			}
		}
	}
	// When the last service leaves EC2, no ECS service names the capacity provider of the instances any more.
	retired, gone := allAt(t, there[5], there[5]), allAt(t, there[6], there[6])
	for _, service := range retired.Resources("AWS::ECS::Service") {
		if strings.Contains(fmt.Sprint(service.Properties), "CapacityProviderF92AC12E") {
			t.Errorf("%v names the capacity provider of the instances", service)
		}
	}
	left := 0
	for _, line := range assembly.Changes(retired, gone) {
		if strings.HasSuffix(line, " AWS::ECS::CapacityProvider") && line[0] == '-' {
			left++
		}
		if strings.HasSuffix(line, " AWS::ECS::Service") {
			t.Error(line)
		}
	}
	equal(t, "capacity providers that go", 1, left)
	equal(t, "tasks of all", 4, len(retired.Resources("AWS::ECS::Service")))
}

// TestRehearsalOfMoves moves the monolith and all services from EC2 to Fargate and back in the same
// deployments, under load, with the list of services changed at the ends: no request is lost.
func TestRehearsalOfMoves(t *testing.T) {
	nightly.Test(t, "it deploys 13 times under load")
	rehearseMoves(t, "100", append(way(onEC2, onFargate), way(onFargate, onEC2)[1:]...))
}

// TestRehearsalOfMovesWithWrites moves all of them from EC2 to Fargate, to Lambda and back to EC2, while a third of the
// requests write to DynamoDB: no request is lost, and no answer differs. It needs the machine for itself: DynamoDB Local breaks down where it has to do
// more than it can.
func TestRehearsalOfMovesWithWrites(t *testing.T) {
	if os.Getenv("CUTOVER_RELIABILITY") != "moves" {
		t.Skip("slow: set CUTOVER_RELIABILITY=moves")
	}
	rehearseMoves(t, "40", slices.Concat(way(onEC2, onFargate), way(onFargate, onLambda)[1:], way(onLambda, onEC2)[1:]), settings{"store": "dynamodb"})
}

// rehearseMoves walks through stops of all services under a load of so many requests a second.
func rehearseMoves(t *testing.T, rate string, stops []stop, more ...settings) {
	t.Helper()
	phases := map[string]*assembly.Assembly{}
	var walk []string
	for _, at := range stops {
		name := strings.NewReplacer(" ", "-", "%", "").Replace(at.String())
		phases[name] = allAt(t, at, at, more...)
		walk = append(walk, name)
	}
	wait := rehearse(t, phases, "--walk", strings.Join(walk, ","), "--rate", rate)
	t.Parallel()
	report, code := wait()
	unharmed(t, report, code, 1500)
}

// TestRehearsalOfAnImage moves a service in Node.js from Fargate to Lambda and back, under load. Its image brings its
// own client of the Runtime API.
func TestRehearsalOfAnImage(t *testing.T) {
	nightly.Test(t, "it deploys 7 times under load")
	d := shop.Shop
	d.Services = slices.Clone(d.Services)
	d.Services[0].Discovery, d.Services[0].Next = nil, config.Lambda{RuntimeClient: true, Concurrency: 200}
	phases := map[string]*assembly.Assembly{}
	walk := []string{"stopped", "parallel", "50%", "switched", "retired"}
	for _, at := range walk {
		of := settings{"phase": "switched"}
		if at != "stopped" {
			of["compute"] = "products=" + at
		}
		phases["lambda-"+strings.TrimSuffix(at, "%")] = synthDeployment(t, d, of)
	}
	server, err := filepath.Abs("examples/shop/app/server.js")
	if err != nil {
		t.Fatal(err)
	}
	node, err := filepath.Abs("node_modules/node/bin/node")
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"--walk", "lambda-stopped,lambda-parallel,lambda-50,lambda-switched,lambda-retired,lambda-switched,lambda-parallel,lambda-stopped", "--rate", "5", "--secret", "SESSION_SECRET=of the test", "--route", "/api/products,/api/products/5"}
	for _, part := range []string{"", "products", "carts", "orders"} {
		name := part
		if part == "" {
			name = "shop"
		}
		args = append(args, "--run", strings.TrimSpace(fmt.Sprintf("%s=exec '%s' '%s' %s", name, node, server, part)))
	}
	wait := rehearse(t, phases, args...)
	t.Parallel()
	report, code := wait()
	unharmed(t, report, code, 1)
}
