package review_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cutover/internal/analysis/review"
	"cutover/internal/assembly"
)

const root = "../../.."

// node is Node.js, where the library of cdk diff is installed too.
func node(t *testing.T) string {
	if testing.Short() {
		t.Skip("slow: it starts Node.js")
	}
	t.Helper()
	_, err := os.Stat(filepath.Join(root, "node_modules", "@aws-cdk", "cloudformation-diff"))
	program, missing := exec.LookPath(filepath.Join(root, "node_modules", ".bin", "node"))
	if missing != nil {
		program, missing = exec.LookPath("node")
	}
	if err != nil || missing != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("the library of cdk diff is not installed: run `npm ci`")
		}
		t.Skip("NOT COMPARED: the library of cdk diff is not installed: run `npm ci`")
	}
	if program, err = filepath.Abs(program); err != nil {
		t.Fatal(err)
	}
	return program
}

// app is an assembly of templates, by stack. A template is JSON.
func app(t *testing.T, templates map[string]string) *assembly.Assembly {
	t.Helper()
	a := &assembly.Assembly{Dir: t.TempDir()}
	for _, name := range []string{"dev-Network", "dev-Users", "dev-Old", "dev-Gate"} {
		text, ok := templates[name]
		if !ok {
			continue
		}
		stack := &assembly.Stack{Name: name}
		if err := json.Unmarshal([]byte(text), &stack.Template); err != nil {
			t.Fatal(err)
		}
		a.Stacks = append(a.Stacks, stack)
	}
	return a
}

const network = `{"Resources": {
	"Group": {"Type": "AWS::EC2::SecurityGroup", "Metadata": {"aws:cdk:path": "dev-Network/Group/Resource"}, "Properties": {
		"GroupDescription": "Instances", "SecurityGroupIngress": [OPEN]}},
	"Zone": {"Type": "AWS::EC2::Subnet", "Metadata": {"aws:cdk:path": "dev-Network/Zone/Subnet"}, "Properties": {"CidrBlock": "10.0.0.0/24", "VpcId": "vpc-1"}}
}, "Rules": {"CheckBootstrapVersion": {"Assertions": [{"AssertDescription": "VERSION"}]}}}`

const users = `{"Resources": {
	"Role": {"Type": "AWS::IAM::Role", "Metadata": {"aws:cdk:path": "dev-Users/Role/Resource"}, "Properties": {"AssumeRolePolicyDocument": {"Statement": [
		{"Action": "sts:AssumeRole", "Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}}]}}},
	"Policy": {"Type": "AWS::IAM::Policy", "Metadata": {"aws:cdk:path": "dev-Users/Role/DefaultPolicy/Resource"}, "Properties": {
		"PolicyName": "p", "Roles": [{"Ref": "Role"}], "PolicyDocument": {"Statement": [{"Action": "ACTION", "Effect": "Allow", "Resource": "*"}]}}},
	"Group": {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Metadata": {"aws:cdk:path": "dev-Users/Group/Resource"}, "Properties": {"Port": PORT, "HealthCheckIntervalSeconds": 6}},
	"Task": {"Type": "AWS::ECS::TaskDefinition", "Metadata": {"aws:cdk:path": "dev-Users/Task/Resource"}, "Properties": {"Family": "users", "ContainerDefinitions": [{"Name": "users", "Image": "IMAGE"}]}},
	"NotNextToSwitched": {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Name": "/dev/x", "Value": "x"}},
	"Machine": {"Type": "AWS::EC2::Instance", "Properties": {"InstanceType": "SIZE"}},
	"Kept": {"Type": "AWS::Logs::LogGroup", "DeletionPolicy": "Retain", "Properties": {}}
}}`

// gate has parameters of the order of phases, and others.
const gate = `{"Resources": {
	"NotNextToSwitched": {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Name": "/dev/1", "Value": "x"}},
	"ShiftFollowsTheBegunPhase": {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Name": "/dev/2", "Value": "x"}},
	"NotNextToEverything": {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Name": "/dev/3", "Value": "x"}},
	"Settings": {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Name": "/dev/4", "Value": "x"}}
}}`

const old = `{"Resources": {"Bucket": {"Type": "AWS::S3::Bucket", "Properties": {}}}}`

func with(text string, pairs ...string) string { return strings.NewReplacer(pairs...).Replace(text) }

// TestCompare has the library itself look at templates: a security group that is
// opened, a permission that is added, a target group and a task definition that
// are replaced, a stack that goes; alike in one phase, other in the next.
func TestCompare(t *testing.T) {
	closed := with(network, "OPEN", "", "VERSION", "1")
	before := app(t, map[string]string{
		"dev-Network": closed,
		"dev-Users":   with(users, "ACTION", "s3:GetObject", "PORT", "80", "IMAGE", "users:1", "SIZE", "t3.small"),
		"dev-Old":     old,
		"dev-Gate":    gate,
	})
	opened := with(network, "OPEN", `{"CidrIp": "0.0.0.0/0", "FromPort": 22, "ToPort": 22, "IpProtocol": "tcp"}`, "VERSION", "2")
	changed := with(users, "ACTION", "s3:*", "PORT", "81", "IMAGE", "users:2", "SIZE", "t3.large")
	gone := strings.NewReplacer(`"NotNextToSwitched"`, `"ParallelFollowsTheBegunPhase"`, `"Kept"`, `"Other"`).Replace(changed)
	pairs := []review.Pair{
		{Name: "monolith", Before: before, After: app(t, map[string]string{"dev-Network": opened, "dev-Users": changed, "dev-Gate": gate})},
		{Name: "parallel", Before: before, After: app(t, map[string]string{"dev-Network": opened, "dev-Users": gone, "dev-Gate": `{"Resources": {}}`})},
		// All but what cdk diff leaves out is the same.
		{Name: "switched", Before: before, After: app(t, map[string]string{"dev-Network": with(network, "OPEN", "", "VERSION", "2"), "dev-Users": with(users, "ACTION", "s3:GetObject", "PORT", "80", "IMAGE", "users:1", "SIZE", "t3.small"), "dev-Old": old, "dev-Gate": gate})},
	}
	stacks, err := review.Compare(t.Context(), node(t), root, pairs)
	if err != nil {
		t.Fatal(err)
	}
	type seen struct {
		Name, In    string
		IAM, Groups bool
	}
	var got []seen
	for _, s := range stacks {
		got = append(got, seen{s.Name, strings.Join(s.In, " "), s.Broadened.IAM, s.Broadened.SecurityGroups})
	}
	want := []seen{
		{"dev-Network", "monolith parallel", false, true},
		{"dev-Users", "monolith", true, false}, {"dev-Users", "parallel", true, false},
		{"dev-Old", "monolith parallel", false, false},
		{"dev-Gate", "parallel", false, false},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("stacks (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([][]string{{"+", "${Group.GroupId}", "In", "TCP 22", "Everyone (IPv4)"}}, stacks[0].SecurityGroups); diff != "" {
		t.Errorf("security groups (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([][]string{{"+", "*", "Allow", "s3:*", "AWS:${Role}", ""}, {"-", "*", "Allow", "s3:GetObject", "AWS:${Role}", ""}}, stacks[1].Statements); diff != "" {
		t.Errorf("statements (-want +got):\n%s", diff)
	}
	for _, line := range []string{
		"[~] AWS::ElasticLoadBalancingV2::TargetGroup Group Group replace\n └─ [~] Port (requires replacement)\n     ├─ [-] 80\n     └─ [+] 81\n",
		"IAM Statement Changes\n",
	} {
		if !strings.Contains(stacks[1].Text, line) {
			t.Errorf("what cdk diff prints lacks %q:\n%s", line, stacks[1].Text)
		}
	}
	if strings.Contains(stacks[0].Text, "CheckBootstrapVersion") || strings.Contains(stacks[0].Text, "\x1b") {
		t.Errorf("%q", stacks[0].Text)
	}

	var replaced []string
	for _, r := range review.Replacements(stacks) {
		replaced = append(replaced, strings.Join(append([]string{r.Impact, r.Stack, r.ID}, slices.Concat(r.Properties, r.In)...), " "))
	}
	if diff := cmp.Diff([]string{
		"WILL_REPLACE dev-Users Group Port monolith parallel",
		"WILL_DESTROY dev-Users NotNextToSwitched parallel", // of somebody else
		"WILL_DESTROY dev-Gate NotNextToEverything parallel",
		"WILL_DESTROY dev-Gate Settings parallel",
		"MAY_REPLACE dev-Users Machine InstanceType monolith parallel",
		"WILL_ORPHAN dev-Users Kept parallel",
		"STAYS dev-Old Bucket monolith parallel", // `cdk deploy` deletes no stack
		"WILL_REPLACE dev-Users Task ContainerDefinitions monolith parallel",
		"WILL_DESTROY dev-Gate NotNextToSwitched parallel",
		"WILL_DESTROY dev-Gate ShiftFollowsTheBegunPhase parallel",
	}, replaced); diff != "" {
		t.Errorf("replacements (-want +got):\n%s", diff)
	}

	report := review.Report{Phases: []string{"monolith", "parallel", "switched"}, Stacks: stacks, Replacements: review.Replacements(stacks)}
	counts := map[string]int{}
	for _, finding := range review.Findings() {
		counts[finding] = report.Found(finding)
	}
	if diff := cmp.Diff(map[string]int{"replacement": 2, "deletion": 4, "priority": 0, "refused": 0, "broadening": 3, "authorization": 0, "data": 0, "messages": 0, "existing": 0, "turn": 0, "rehearsal": 0}, counts); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

// Where the library is missing, the error says what to do.
func TestCompareWithoutLibrary(t *testing.T) {
	pair := review.Pair{Name: "monolith", Before: app(t, nil), After: app(t, map[string]string{"dev-Old": old})}
	if _, err := review.Compare(t.Context(), node(t), t.TempDir(), []review.Pair{pair}); err == nil || !strings.Contains(err.Error(), "run `npm ci`") {
		t.Errorf("error %v", err)
	}
	// Nothing to compare asks for nothing.
	if stacks, err := review.Compare(t.Context(), "no-such-node", ".", []review.Pair{{Name: "monolith", Before: pair.After, After: pair.After}}); len(stacks) > 0 || err != nil {
		t.Errorf("%v, %v", stacks, err)
	}
}

func TestImages(t *testing.T) {
	of := func(tags ...string) *assembly.Assembly {
		a := &assembly.Assembly{}
		for _, tag := range tags {
			repository, _, _ := strings.Cut(tag, ":")
			image := assembly.ImageAsset{Destinations: []assembly.ImageDestination{{Repository: repository, Tag: tag}}}
			a.Stacks = append(a.Stacks, &assembly.Stack{Name: repository, Images: []assembly.ImageAsset{image}})
		}
		return a
	}
	pairs := []review.Pair{
		{Name: "monolith", Before: of("api:1", "users:1", "posts:1"), After: of("api:1", "users:2", "tags:1")},
		{Name: "parallel", Before: of("api:1"), After: of("api:1")},
	}
	if diff := cmp.Diff([]string{"tags", "users"}, review.Images(pairs)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
