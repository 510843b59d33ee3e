package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"cutover/config"
	"cutover/test/e2e/moving"
)

// A stop is where api and users are on their way between EC2, Fargate and Lambda, as somebody sets it, and what is deployed then.
type stop struct {
	name     string
	way      string // of api and of users, as moving.Of takes it
	place    string // of both in the setting compute; empty if they are not named there
	targets  string // of the listener's rules and its default action, with % in the place of the service
	services string // ECS services of users with their tasks; those of api have the same
	groups   string // target groups of users
	told     string // state of users
}

// The stops of the way, with those that CloudFormation refuses next.
var (
	ec2Alone      = stop{"EC2 alone", "ec2", "", "%", "% 1 ec2", "%", "ec2"}
	toFargate     = stop{"EC2 to Fargate, stopped", "ec2>fargate", "", "% 1, %-fargate 0", "% 1 ec2", "%, %-fargate", "fargate-stopped"}
	fargateRuns   = stop{"EC2 to Fargate, parallel", "ec2>fargate", "parallel", "% 1, %-fargate 0", "% 1 ec2, %-fargate 1 fargate", "%, %-fargate", "ec2-first"}
	fargateShares = stop{"EC2 to Fargate, 10%", "ec2>fargate", "10%", "% 9, %-fargate 1", "% 1 ec2, %-fargate 1 fargate", "%, %-fargate", "shift"}
	fargateLeads  = stop{"EC2 to Fargate, switched", "ec2>fargate", "switched", "% 0, %-fargate 1", "% 1 ec2, %-fargate 1 fargate", "%, %-fargate", "fargate-first"}
	ec2Stops      = stop{"EC2 to Fargate, retired", "ec2>fargate", "retired", "% 0, %-fargate 1", "%-fargate 1 fargate", "%, %-fargate", "ec2-stopped"}
	fargateAlone  = stop{"Fargate alone", "fargate", "", "%-fargate", "%-fargate 1 fargate", "%-fargate", "fargate"}
	toLambda      = stop{"Fargate to Lambda, stopped", "fargate>lambda", "", "%-fargate 1, %-lambda 0", "%-fargate 1 fargate", "%-fargate, %-lambda", "fargate-lambda-lambda-stopped"}
	lambdaRuns    = stop{"Fargate to Lambda, parallel", "fargate>lambda", "parallel", "%-fargate 1, %-lambda 0", "%-fargate 1 fargate", "%-fargate, %-lambda", "fargate-lambda-fargate-first"}
	lambdaLeads   = stop{"Fargate to Lambda, switched", "fargate>lambda", "switched", "%-fargate 0, %-lambda 1", "%-fargate 1 fargate", "%-fargate, %-lambda", "fargate-lambda-lambda-first"}
	fargateStops  = stop{"Fargate to Lambda, retired", "fargate>lambda", "retired", "%-fargate 0, %-lambda 1", "", "%-fargate, %-lambda", "fargate-lambda-fargate-stopped"}
	lambdaAlone   = stop{"Lambda alone", "lambda", "", "%-lambda", "", "%-lambda", "lambda"}
	toEC2         = stop{"Lambda to EC2, stopped", "lambda>ec2", "", "%-lambda 1, % 0", "", "%, %-lambda", "ec2-lambda-ec2-stopped"}
	ec2Runs       = stop{"Lambda to EC2, parallel", "lambda>ec2", "parallel", "%-lambda 1, % 0", "% 1 ec2", "%, %-lambda", "ec2-lambda-lambda-first"}
	ec2Leads      = stop{"Lambda to EC2, switched", "lambda>ec2", "switched", "%-lambda 0, % 1", "% 1 ec2", "%, %-lambda", "ec2-lambda-ec2-first"}
	lambdaStops   = stop{"Lambda to EC2, retired", "lambda>ec2", "retired", "%-lambda 0, % 1", "% 1 ec2", "%, %-lambda", "ec2-lambda-lambda-stopped"}
)

var stops = []struct {
	stop
	refused []stop
}{
	{ec2Alone, []stop{fargateShares, fargateAlone, lambdaAlone}}, // a move begins in stopped
	{toFargate, []stop{fargateLeads}},
	{fargateRuns, []stop{ec2Alone}}, // a move ends in stopped or retired
	{fargateShares, nil},
	{fargateLeads, []stop{toFargate}},
	{ec2Stops, []stop{fargateRuns}},
	{fargateLeads, nil}, // back from retired
	{ec2Stops, nil},
	{fargateAlone, []stop{ec2Alone, lambdaLeads}},
	{toLambda, nil},
	{lambdaRuns, []stop{fargateRuns}}, // from one move into another
	{lambdaLeads, nil},
	{fargateStops, nil},
	{lambdaAlone, []stop{ec2Leads}},
	{toEC2, nil},
	{ec2Runs, nil},
	{ec2Leads, nil},
	{lambdaStops, nil},
	{ec2Alone, nil},
}

// moves is the text for moving.Of.
func (s stop) moves() string { return "api=" + s.way + ",users=" + s.way }

// settings are the stop's, as the CLI takes them. The monolith has all of the traffic.
func (s stop) settings() map[string]any {
	all := map[string]any{"phase": "parallel"}
	if s.place != "" {
		all["compute"] = "api=" + s.place + ",users=" + s.place
	}
	return all
}

// deployed compares what is deployed with the stop.
func (s stop) deployed(t *testing.T, a *account) {
	t.Helper()
	of := func(text, service string) string { return strings.ReplaceAll(text, "%", service) }
	got, rest := a.state(t), of(s.targets, "api")
	if !strings.Contains(rest, ",") {
		rest += " 1" // the default action has weights in any case
	}
	want := []string{"10000 /api* → " + of(s.targets, "api"), "20010 /api/users* → " + of(s.targets, "users"), threads, posts, "default → " + rest + ", drop-traffic 0"}
	if !slices.Equal(got.Rules, want) {
		t.Errorf("rules:\n  %s\nwant\n  %s", strings.Join(got.Rules, "\n  "), strings.Join(want, "\n  "))
	}
	equal(t, "computes", got.Moves, "api="+s.told+",users="+s.told)

	var services, targetGroups []string
	for _, service := range a.services(t) {
		kind := "ec2"
		for _, of := range service.CapacityProviderStrategy {
			if strings.HasPrefix(*of.CapacityProvider, "FARGATE") {
				kind = "fargate"
			}
		}
		services = append(services, fmt.Sprintf("%s %d %s", *service.ServiceName, service.DesiredCount, kind))
		onOneCompute(t, service, kind)
	}
	for _, group := range a.targetGroups(t) {
		targetGroups = append(targetGroups, *group.TargetGroupName)
		kind := elbtypes.TargetTypeEnumInstance
		switch {
		case strings.HasSuffix(*group.TargetGroupName, "-fargate"):
			kind = elbtypes.TargetTypeEnumIp
		case strings.HasSuffix(*group.TargetGroupName, "-lambda"):
			kind = elbtypes.TargetTypeEnumLambda
		}
		equal(t, "type of "+*group.TargetGroupName, group.TargetType, kind)
	}
	list := func(what string, got []string, template string, others ...string) {
		t.Helper()
		for _, service := range []string{"api", "users"} {
			if template == "" { // functions alone
				continue
			}
			others = append(others, strings.Split(of(template, service), ", ")...)
		}
		slices.Sort(got)
		slices.Sort(others)
		equal(t, what, strings.Join(got, ", "), strings.Join(others, ", "))
	}
	list("ECS services", services, s.services, "posts 1 ec2", "threads 1 ec2")
	list("target groups", targetGroups, s.groups, "drop-traffic", "posts", "threads")
}

// onOneCompute compares what an ECS service has on its kind of compute alone.
func onOneCompute(t *testing.T, service ecstypes.Service, kind string) {
	t.Helper()
	if arn := *service.LoadBalancers[0].TargetGroupArn; !strings.Contains(arn, ":targetgroup/"+*service.ServiceName+"/") {
		t.Errorf("%s has the target group %s", *service.ServiceName, arn)
	}
	equal(t, "launch type of "+*service.ServiceName, service.LaunchType, "") // which takes the place of a capacity provider strategy
	network := service.NetworkConfiguration
	if kind == "ec2" {
		if network != nil && network.AwsvpcConfiguration != nil {
			t.Errorf("%s has network interfaces of its own", *service.ServiceName)
		}
		return
	}
	if network == nil || network.AwsvpcConfiguration == nil {
		t.Fatalf("%s has no network interfaces", *service.ServiceName)
	}
	equal(t, "public address of "+*service.ServiceName, network.AwsvpcConfiguration.AssignPublicIp, ecstypes.AssignPublicIpDisabled)
	equal(t, "subnets and security groups of "+*service.ServiceName, fmt.Sprint(len(network.AwsvpcConfiguration.Subnets), len(network.AwsvpcConfiguration.SecurityGroups)), "2 1")
}

// TestComputes moves the monolith and a service from EC2 to Fargate, to Lambda and back to EC2 in the same deployments.
// The stacks of the functions stay until somebody deletes them.
func TestComputes(t *testing.T) {
	cli, a := bootstrapped(t)
	out := t.TempDir()
	assembly := func(s stop) string { return filepath.Join(out, strings.ReplaceAll(s.name, "%", "")) }
	t.Run("synthesize", func(t *testing.T) {
		done := map[string]bool{}
		for _, s := range stops {
			if done[s.name] {
				continue
			}
			done[s.name] = true
			t.Run(s.name, func(t *testing.T) {
				t.Parallel()
				with := *cli
				with.env = append(slices.Clone(cli.env), moving.Variable+"="+s.moves())
				args := []string{"synth", "-q", "--app", forum, "-o", assembly(s.stop)}
				for key, value := range s.settings() {
					args = append(args, "-c", fmt.Sprintf("%s=%v", key, value))
				}
				with.must(t, args...)
			})
		}
	})
	var first map[string]string
	for _, s := range stops {
		began := time.Now()
		if out, err := cli.deploy(assembly(s.stop)); err != nil {
			t.Fatalf("%s: %v\n%s", s.name, err, tail(out, 60))
		}
		s.deployed(t, a)
		s.toldAs(t, a)
		if s.name == lambdaAlone.name {
			functionDeployed(t, a)
		}
		for _, to := range s.refused {
			t.Logf("%s to %s is refused", s.name, to.name)
			refusesBy(t, cli, a, "dev-GateCompute", assembly(to), func(t *testing.T) { t.Helper(); s.deployed(t, a); s.toldAs(t, a) })
		}
		t.Logf("%-30s %6.1f s", s.name, time.Since(began).Seconds())
		if t.Failed() {
			t.FailNow() // the next step builds on this one
		}
		if first == nil {
			first = a.resources(t)
		}
	}
	// Nothing is left over, and what did not move is what it was.
	for _, change := range changed(first, a.resources(t)) {
		f := strings.Fields(change)
		if f[1] == "dev-ApiFunction" || f[1] == "dev-UsersFunction" {
			continue
		}
		if f[0] != "!" || f[1] != "dev-Api" && f[1] != "dev-Users" && f[1] != "dev-Routing" && f[1] != "dev-GateCompute" && f[1] != "dev-PhaseCompute" {
			t.Error(change)
		}
	}
}

// toldAs compares what "cutover phase" is told with the stop.
func (s stop) toldAs(t *testing.T, a *account) {
	t.Helper()
	d, settings, err := config.Load(moving.Of(s.moves()), s.settings(), os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	state := d.Migration().State(settings.Position)
	a.toldOf(t, d.Migration(), state, state)
}
