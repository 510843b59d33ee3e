package model

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cutover/internal/assembly"
	"cutover/internal/assembly/assemblytest"
)

// read reads the model of one stack, S, with these resources and the condition Never.
func read(t *testing.T, resources string) *Model {
	t.Helper()
	a := assemblytest.Read(t, assemblytest.Unknown, `{"Conditions": {"Never": {"Fn::Equals": ["a", "b"]}}, "Resources": {`+resources+`}}`)
	return Read(a)
}

// What is passed over is so in a setting and in a value that cannot be read.
func TestUnsupported(t *testing.T) {
	m := read(t, `"Lb": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer", "Properties": {
		"Subnets": ["subnet-1"], "SecurityGroups": ["sg-1"], "Type": "strange", "Strange": {"A": 1}, "LoadBalancerAttributes": [
			{"Key": "access_logs.s3.enabled", "Value": "yes"}, {"Key": "deletion_protection.enabled", "Value": "no"}, {"Key": "waf.fail_open.enabled", "Value": "true"}]}}`)
	lb := m.LoadBalancers[0]
	err := lb.Unsupported(map[string]string{"Subnets": "", "SecurityGroups": "", "access_logs.s3.enabled": "", "waf.fail_open.enabled": "false"}, map[string]string{"Strange": "it is strange"})
	if want := `S/Lb/Properties.Type: "strange" is none of application, network, gateway
S/Lb/Properties.LoadBalancerAttributes (deletion_protection.enabled): expected true or false, found "no"
S/Lb/Properties.Strange: not honoured: it is strange
S/Lb/Properties.LoadBalancerAttributes (waf.fail_open.enabled): true is not honoured: only false is known here`; err == nil || err.Error() != want {
		t.Errorf("refused: %v\nwant %s", err, want)
	}
	if err := lb.Unsupported(nil, map[string]string{"LoadBalancerAttributes": "why"}, "LoadBalancerAttributes"); err == nil || !strings.Contains(err.Error(), "(waf.fail_open.enabled): not honoured: what it does") {
		t.Errorf("refused: %v", err)
	}
	inside := read(t, `"S": {"Type": "AWS::ECS::Service", "Properties": {"NetworkConfiguration": {"AwsvpcConfiguration": {"Subnets": ["subnet-1"], "Odd": [{"New": 1}]}}}}`).Services[0]
	if err := inside.Unsupported(nil, map[string]string{"NetworkConfiguration": "why", "Odd": "odd"}, "NetworkConfiguration"); err == nil ||
		err.Error() != "S/S/Properties.NetworkConfiguration.AwsvpcConfiguration.Odd: not honoured: odd\nS/S/Properties.NetworkConfiguration.AwsvpcConfiguration.Subnets: not honoured: why" {
		t.Errorf("refused: %v", err)
	}
	if err := lb.Problem("Name", "Subnets[1]", "Sub"); err != nil {
		t.Error(err)
	}
	if err := lb.Problem("Subnets"); err == nil {
		t.Error("a subnet of elsewhere is no problem of Subnets")
	}
}

// A service without a name of its own is called by its logical id without CDK's hash, and by its
// stack if two services would have one name.
func TestNames(t *testing.T) {
	dir := t.TempDir()
	service := func(id, name string) string {
		return `"` + id + `": {"Type": "AWS::ECS::Service", "Properties": {` + name + `}}`
	}
	stacks := map[string][]string{
		"A": {service("WebService07F2F4C2", ""), service("Worker1234ABCD", ""), service("Plain", ""), service("DEADBEEF", ""), service("Lower0123abcd", "")},
		"B": {service("WebServiceFFFFFFFF", ""), service("Jobs00000000", `"ServiceName": "Plain"`), service("Named11111111", `"ServiceName": "own"`)},
		"C": {service("Twin00000001", ""), service("Twin00000002", "")},
	}
	manifest := ""
	for stack, resources := range stacks {
		manifest += `,"` + stack + `": {"type": "aws:cloudformation:stack", "environment": "aws://1/eu-west-1", "properties": {"templateFile": "` + stack + `.json"}}`
		if err := os.WriteFile(filepath.Join(dir, stack+".json"), []byte(`{"Resources": {`+strings.Join(resources, ",")+`}}`), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "manifest.json"), []byte(`{"artifacts": {`+manifest[1:]+`}}`), 0o644); err != nil {
		t.Fatal(err)
	}
	a, err := assembly.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, s := range Read(a).Services {
		got[s.Key()] = s.Name
	}
	want := map[string]string{
		"A/WebService07F2F4C2": "A/WebService", "A/Worker1234ABCD": "Worker", "A/Plain": "A/Plain", "A/DEADBEEF": "DEADBEEF", "A/Lower0123abcd": "Lower0123abcd",
		"B/WebServiceFFFFFFFF": "B/WebService", "B/Jobs00000000": "Plain", "B/Named11111111": "own",
		"C/Twin00000001": "C/Twin00000001", "C/Twin00000002": "C/Twin00000002",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A made-up name is as long as AWS takes names, and stays apart from others.
func TestMadeUp(t *testing.T) {
	of := func(stack, id string) *assembly.Resource {
		return &assembly.Resource{Stack: &assembly.Stack{Name: stack}, LogicalID: id}
	}
	long := strings.Repeat("Queue", 20)
	for _, test := range []struct {
		stack, id, ending, want string
	}{
		{"dev-Feed", "Queue", "", "dev-Feed-Queue"},
		{"dev-Feed", "Queue", ".fifo", "dev-Feed-Queue.fifo"},
		{"dev-Feed", long[:71], "", "dev-Feed-" + long[:71]},
	} {
		if got := MadeUp(of(test.stack, test.id), test.ending, 80); got != test.want {
			t.Errorf("%+v: %s", test, got)
		}
	}
	cut := map[string]bool{}
	for _, id := range []string{long, long + "1", long[:72]} {
		for _, ending := range []string{"", ".fifo"} {
			name := MadeUp(of("dev-Feed", id), ending, 80)
			if len(name) != 80 || !strings.HasPrefix(name, "dev-Feed-QueueQueue") || !strings.HasSuffix(name, ending) || cut[name] {
				t.Errorf("%s%s: %s, of %d", id, ending, name, len(name))
			}
			cut[name] = true
		}
	}
}
