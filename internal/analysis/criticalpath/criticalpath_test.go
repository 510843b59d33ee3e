package criticalpath

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cutover/internal/assembly"
)

// stacks are the resources of each stack, as JSON. A name may be followed by those
// of the stacks that it depends on: "Service: Network Cluster".
type stacks map[string]string

// read writes an assembly and reads it.
func read(t *testing.T, all stacks) *assembly.Assembly {
	t.Helper()
	dir := t.TempDir()
	artifacts := map[string]any{}
	for head, resources := range all {
		name, needs, _ := strings.Cut(head, ":")
		template := fmt.Sprintf(`{"Resources": {%s}, "Conditions": {"Never": {"Fn::Equals": ["a", "b"]}}, "Outputs": {"Out": {"Value": "x", "Export": {"Name": "export-of-%s"}}}}`, resources, name)
		if err := os.WriteFile(filepath.Join(dir, name+".json"), []byte(template), 0o644); err != nil {
			t.Fatal(err)
		}
		artifacts[name] = map[string]any{
			"type": "aws:cloudformation:stack", "environment": "aws://unknown-account/unknown-region",
			"properties": map[string]any{"templateFile": name + ".json"}, "dependencies": strings.Fields(needs),
		}
	}
	manifest, err := json.Marshal(map[string]any{"artifacts": artifacts})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "manifest.json"), manifest, 0o644); err != nil {
		t.Fatal(err)
	}
	a, err := assembly.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// path reads both and works out the path; before may be nil.
func path(t *testing.T, before, after stacks) *Path {
	t.Helper()
	var from *assembly.Assembly
	if before != nil {
		from = read(t, before)
	}
	p, err := Read(from, read(t, after))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// show writes a chain as a person would note it down.
func show(steps []Step) string {
	var parts []string
	for _, step := range steps {
		text := fmt.Sprintf("%s %s/%s", step.Action, step.Stack, step.Name)
		if step.Seconds > 0 {
			text += fmt.Sprintf(" %d s", step.Seconds)
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, ", ")
}

func equal(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// A resource waits for those that it names, in whatever way, and a stack for the
// whole of those that it depends on.
func TestFirstDeployment(t *testing.T) {
	p := path(t, nil, stacks{
		"Net": `
			"Vpc": {"Type": "A::B::Vpc"},
			"Gone": {"Type": "A::B::C", "Condition": "Never", "DependsOn": "Vpc"},
			"Subnet": {"Type": "A::B::Subnet", "Properties": {"VpcId": {"Ref": "Vpc"}}},
			"Route": {"Type": "A::B::Route", "Properties": {"List": [{"Of": {"Fn::GetAtt": ["Subnet", "Id"]}}]}, "DependsOn": "Gone"},
			"Flow": {"Type": "A::B::Flow", "Properties": {"Name": {"Fn::Sub": "${AWS::Region}-${Route.Id}-${!Literal}"}}},
			"Alone": {"Type": "A::B::Alone", "Properties": {"Text": {"Fn::Sub": ["${Flow}", {"Flow": "mine"}]}}}`,
		"Other": `"One": {"Type": "A::B::C"}`,
		"App: Net Other": `
			"Last": {"Type": "A::B::C", "DependsOn": ["First"], "Metadata": {"aws:cdk:path": "App/Way/To/Last/Resource"}},
			"First": {"Type": "A::B::C", "Properties": {
				"A": {"Fn::GetStackOutput": {"StackName": "Net", "OutputName": "Out"}}, "B": {"Fn::ImportValue": "export-of-Net"}}}`,
		"Empty: App": ``,
		"End: Empty": `"Last": {"Type": "A::B::C"}`,
	})
	equal(t, "first", true, p.First)
	equal(t, "chain", "create Net/Vpc, create Net/Subnet, create Net/Route, create Net/Flow, create App/First, create App/Way/To/Last, create End/Last", show(p.Chain))
	equal(t, "longest", Length{Stacks: 3, Steps: 7}, p.Longest)
	equal(t, "serial", Length{Stacks: 4, Steps: 9}, p.Serial)
	touched := 0
	for _, s := range p.Stacks {
		touched += s.Created + s.Updated + s.Replaced + s.Deleted
	}
	equal(t, "touched", 9, touched)
	equal(t, "side by side", 2, p.SideBySide())
	equal(t, "stacks", []Stack{
		{Name: "Net", Turn: 1, Needs: []Need{}, Created: 5, Alone: Length{1, 4, 0}, All: Length{1, 5, 0}},
		{Name: "Other", Turn: 1, Needs: []Need{}, Created: 1, Alone: Length{1, 1, 0}, All: Length{1, 1, 0}},
		{Name: "App", Turn: 2, Needs: []Need{{"Net", 2}, {"Other", 0}}, Created: 2, Alone: Length{1, 2, 0}, All: Length{1, 2, 0}},
		{Name: "End", Turn: 3, Needs: []Need{{"Empty", 0}}, Created: 1, Alone: Length{1, 1, 0}, All: Length{1, 1, 0}},
		{Name: "Empty", Needs: []Need{{"App", 0}}},
	}, p.Stacks)
	equal(t, "unknown", 0, len(p.Unknown)) // nothing is updated
}

func TestUpdate(t *testing.T) {
	const definition = `"Definition": {"Type": "AWS::ECS::TaskDefinition", %s "Properties": {"Family": "f", "Cpu": "%d"}}`
	tests := []struct {
		name          string
		before, after string // resources of the only stack
		chain         string
		want          Stack // without its name, turn and lengths
		unknown       []string
	}{
		{name: "nothing", before: `"A": {"Type": "X::Y::Z", "Properties": {"P": 1}, "Metadata": {"M": 1}}`,
			after: `"A": {"Type": "X::Y::Z", "Properties": {"P": 1}, "Metadata": {"M": 2}}`},
		{name: "created", after: `"A": {"Type": "X::Y::Z"}`, chain: "create S/A", want: Stack{Created: 1}},
		{name: "updated", before: `"A": {"Type": "AWS::SSM::Parameter", "Properties": {"Name": "n", "Value": "1"}}`,
			after: `"A": {"Type": "AWS::SSM::Parameter", "Properties": {"Name": "n", "Value": "2"}}`,
			chain: "update S/A", want: Stack{Updated: 1}},
		{name: "replaced", before: `"A": {"Type": "AWS::SSM::Parameter", "Properties": {"Name": "n", "Value": "1"}}`,
			after: `"A": {"Type": "AWS::SSM::Parameter", "Properties": {"Name": "m", "Value": "1"}}`,
			chain: "replace S/A, delete S/A", want: Stack{Replaced: 1}},
		{name: "a property taken away", before: `"A": {"Type": "AWS::SSM::Parameter", "Properties": {"Name": "n"}}`,
			after: `"A": {"Type": "AWS::SSM::Parameter"}`,
			chain: "replace S/A, delete S/A", want: Stack{Replaced: 1}},
		{name: "one of few that can be updated", before: `"A": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"Family": "f", "Tags": [1]}}`,
			after: `"A": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"Family": "f", "Tags": [2]}}`,
			chain: "update S/A", want: Stack{Updated: 1}},
		{name: "another type", before: `"A": {"Type": "X::Y::Z"}`, after: `"A": {"Type": "X::Y::W"}`,
			chain: "replace S/A, delete S/A", want: Stack{Replaced: 1}},
		{name: "an unknown type", before: `"A": {"Type": "X::Y::Z", "Properties": {"P": 1}}`, after: `"A": {"Type": "X::Y::Z", "Properties": {"P": 2}}`,
			chain: "update S/A", want: Stack{Updated: 1}, unknown: []string{"whether an update replaces X::Y::Z"}},
		{name: "deleted, those that name it first", before: `"A": {"Type": "X::Y::Z"}, "B": {"Type": "X::Y::Z", "DependsOn": "A"}`,
			chain: "delete S/B, delete S/A", want: Stack{Deleted: 2}},
		{name: "retained", before: `"A": {"Type": "X::Y::Z", "DeletionPolicy": "Retain"}, "B": {"Type": "X::Y::Z", "DeletionPolicy": "RetainExceptOnCreate"}`},
		{name: "the old one is retained", before: fmt.Sprintf(definition, "", 1), after: fmt.Sprintf(definition, `"UpdateReplacePolicy": "Retain",`, 2),
			chain: "replace S/Definition, delete S/Definition", want: Stack{Replaced: 1}}, // the policy of the one that is deployed holds
		{name: "the old one was to be retained", before: fmt.Sprintf(definition, `"UpdateReplacePolicy": "Retain",`, 1), after: fmt.Sprintf(definition, "", 2),
			chain: "replace S/Definition", want: Stack{Replaced: 1}},
		{name: "deletions come after all the rest",
			before: `"A": {"Type": "AWS::SSM::Parameter", "Properties": {"Value": 1}}, "Z": {"Type": "X::Y::Z"}`,
			after:  `"A": {"Type": "AWS::SSM::Parameter", "Properties": {"Value": 2}}, "B": {"Type": "X::Y::Z", "DependsOn": "A"}`,
			chain:  "update S/A, create S/B, delete S/Z", want: Stack{Created: 1, Updated: 1, Deleted: 1}},
		{name: "what names a replaced resource is updated, and replaced where that cannot be",
			before: `"Group": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": "a"}},
				"Role": {"Type": "AWS::IAM::Role", "Properties": {"Policies": {"Fn::Sub": "${Group.Arn}"}}},
				"Flow": {"Type": "AWS::EC2::FlowLog", "Properties": {"LogGroupName": {"Ref": "Group"}, "DeliverLogsPermissionArn": {"Fn::GetAtt": "Role.Arn"}}}`,
			after: `"Group": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": "b"}},
				"Role": {"Type": "AWS::IAM::Role", "Properties": {"Policies": {"Fn::Sub": "${Group.Arn}"}}},
				"Flow": {"Type": "AWS::EC2::FlowLog", "Properties": {"LogGroupName": {"Ref": "Group"}, "DeliverLogsPermissionArn": {"Fn::GetAtt": "Role.Arn"}}}`,
			chain: "replace S/Group, update S/Role, replace S/Flow, delete S/Flow, delete S/Group", want: Stack{Updated: 1, Replaced: 2}},
		{name: "an attribute that moves with an update",
			before: `"T": {"Type": "AWS::EC2::LaunchTemplate", "Properties": {"LaunchTemplateData": 1}},
				"G": {"Type": "AWS::AutoScaling::AutoScalingGroup", "Properties": {"V": {"Fn::GetAtt": ["T", "LatestVersionNumber"]}}},
				"Still": {"Type": "AWS::AutoScaling::AutoScalingGroup", "Properties": {"V": {"Ref": "T"}}}`,
			after: `"T": {"Type": "AWS::EC2::LaunchTemplate", "Properties": {"LaunchTemplateData": 2}},
				"G": {"Type": "AWS::AutoScaling::AutoScalingGroup", "Properties": {"V": {"Fn::GetAtt": ["T", "LatestVersionNumber"]}}},
				"Still": {"Type": "AWS::AutoScaling::AutoScalingGroup", "Properties": {"V": {"Ref": "T"}}}`,
			chain: "update S/T, update S/G", want: Stack{Updated: 2}},
		{name: "an order that goes through what is left alone",
			before: `"A": {"Type": "AWS::SSM::Parameter", "Properties": {"Value": 1}}, "B": {"Type": "X::Y::Z", "DependsOn": "A"}`,
			after: `"A": {"Type": "AWS::SSM::Parameter", "Properties": {"Value": 2}}, "B": {"Type": "X::Y::Z", "DependsOn": "A"},
				"C": {"Type": "X::Y::Z", "DependsOn": "B"}`,
			chain: "update S/A, create S/C", want: Stack{Created: 1, Updated: 1}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := path(t, stacks{"S": test.before}, stacks{"S": test.after})
			equal(t, "chain", test.chain, show(p.Chain))
			got := p.Stacks[0]
			equal(t, "steps of the stack", got.All.Steps, p.Serial.Steps)
			got.Name, got.Turn, got.Needs, got.Alone, got.All = "", 0, nil, Length{}, Length{}
			equal(t, "stack", test.want, got)
			equal(t, "unknown", test.unknown, p.Unknown)
			if test.chain == "" && p.Stacks[0].Turn != 0 {
				t.Error("the stack is deployed for nothing")
			}
		})
	}
}

// A stack that is left out holds up nobody, and passes on what it waits for; one
// that is no more is left alone.
func TestStacksThatAreLeftOut(t *testing.T) {
	value := func(n int) string {
		return fmt.Sprintf(`"P": {"Type": "AWS::SSM::Parameter", "Properties": {"Value": %d}}`, n)
	}
	p := path(t,
		stacks{"A": value(1), "B: A": value(1), "C: B": value(1), "Gone": value(1)},
		stacks{"A": value(2), "B: A": value(1), "C: B": value(2), "D": value(1)})
	equal(t, "chain", "update A/P, update C/P", show(p.Chain))
	equal(t, "longest", Length{Stacks: 2, Steps: 2}, p.Longest)
	equal(t, "serial", Length{Stacks: 3, Steps: 3}, p.Serial)
	var turns []string
	for _, s := range p.Stacks {
		turns = append(turns, fmt.Sprint(s.Name, " ", s.Turn))
	}
	equal(t, "turns", []string{"A 1", "D 1", "C 2", "B 0"}, turns)
	equal(t, "first", false, p.First)
}

// service is a service with its target group and task definition, as the spec says
// but for what is given: properties of the service, of the container, and of the
// target group, each with a comma at its end.
func service(service, container, group string) string {
	return `"Group": {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Properties": {` + group + `
			"HealthyThresholdCount": 2, "UnhealthyThresholdCount": 2, "HealthCheckIntervalSeconds": 6,
			"TargetGroupAttributes": [{"Key": "stickiness.enabled", "Value": "false"}, {"Key": "deregistration_delay.timeout_seconds", "Value": "15"}]}},
		"Definition": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"ContainerDefinitions": [{` + container + `
			"Name": "a", "StopTimeout": 20, "HealthCheck": {"Command": ["CMD", "x"], "Interval": 5, "Retries": 3}}, {"Name": "aside", "Essential": false, "StopTimeout": 3, "HealthCheck": {"Interval": 300}}]}},
		"Service": {"Type": "AWS::ECS::Service", "Properties": {` + service + `
			"TaskDefinition": {"Ref": "Definition"}, "LoadBalancers": [{"TargetGroupArn": {"Ref": "Group"}}],
			"HealthCheckGracePeriodSeconds": 15}}`
}

func TestWaits(t *testing.T) {
	const (
		image   = `"Image": "new",`
		breaker = `"DeploymentConfiguration": {"DeploymentCircuitBreaker": {"Enable": true}}, `
		bare    = `"Definition": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"ContainerDefinitions": [{"Name": "a"}]}},
			"Service": {"Type": "AWS::ECS::Service", "Properties": {"TaskDefinition": {"Ref": "Definition"}%s}}`
	)
	count := func(n int) string { return fmt.Sprintf(`"DesiredCount": %d,`, n) }
	bounds := func(n, min, max int) string {
		return count(n) + fmt.Sprintf(`"DeploymentConfiguration": {"MinimumHealthyPercent": %d, "MaximumPercent": %d},`, min, max)
	}
	// withSidecars is a task whose containers wait for each other.
	withSidecars := func(count int, conditions ...string) string {
		return fmt.Sprintf(`"Definition": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"ContainerDefinitions": [
			{"Name": "a", "StopTimeout": 20, "HealthCheck": {"Command": ["CMD", "x"], "Interval": 5}, "DependsOn": [{"ContainerName": "b", "Condition": "%s"}, {"ContainerName": "gone", "Condition": "START"}]},
			{"Name": "b", "Essential": false, "StopTimeout": 3, "HealthCheck": {"Command": ["CMD", "x"], "Interval": 7}, "DependsOn": [{"ContainerName": "c", "Condition": "%s"}]},
			{"Name": "c", "Essential": false, "StopTimeout": 4, "HealthCheck": {"Command": ["CMD", "x"], "Interval": 11}}]}},
			"Service": {"Type": "AWS::ECS::Service", "Properties": {"DesiredCount": %d, "TaskDefinition": {"Ref": "Definition"}}}`, conditions[0], conditions[1], count)
	}
	const check = "start: the container's health check after 5 s"
	tests := []struct {
		name          string
		before, after string
		action        Action
		seconds       int
		why           string
		givesUp       int
		unknown       string
	}{
		{name: "created", after: service(count(1), "", ""), action: Create, seconds: 6, why: "start: a health check of the target group within 6 s"},
		{name: "created on Fargate", after: service(count(1)+`"LaunchType": "FARGATE",`, "", ""), action: Create, seconds: 6, why: "start on Fargate: a health check of the target group within 6 s"},
		{name: "another platform version", before: service(count(1)+`"LaunchType": "FARGATE",`, "", ""), after: service(count(1)+`"LaunchType": "FARGATE", "PlatformVersion": "1.4.0",`, "", ""), action: Update, seconds: 41,
			why: "start on Fargate: a health check of the target group within 6 s; stop: deregistration delay 15 s, stop timeout 20 s"},
		{name: "more on Spot", before: service(count(1)+`"CapacityProviderStrategy": [{"CapacityProvider": "FARGATE", "Weight": 1}],`, "", ""),
			after: service(count(1)+`"CapacityProviderStrategy": [{"CapacityProvider": "FARGATE_SPOT", "Weight": 1}],`, "", ""), action: Update},
		{name: "created without a count", after: service("", "", ""), action: Create, seconds: 6, why: "start: a health check of the target group within 6 s"},
		{name: "created with no tasks", after: service(count(0), "", ""), action: Create},
		{name: "a slow target group", after: strings.Replace(service("", "", ""), `"HealthCheckIntervalSeconds": 6`, `"HealthCheckIntervalSeconds": 10`, 1),
			action: Create, seconds: 10, why: "start: a health check of the target group within 10 s"},
		{name: "a container slower than the target group", after: strings.Replace(service("", "", ""), `"Interval": 5`, `"Interval": 13`, 1),
			action: Create, seconds: 13, why: "start: the container's health check after 13 s"},
		{name: "defaults of the target group", after: strings.Replace(service("", "", ""), `"HealthyThresholdCount": 2, "UnhealthyThresholdCount": 2, "HealthCheckIntervalSeconds": 6,`, "", 1),
			action: Create, seconds: 30, why: "start: a health check of the target group within 30 s"},
		{name: "no health check at all", after: fmt.Sprintf(bare, ""), action: Create, seconds: 40, why: "start: 40 s for want of a health check"},
		{name: "more tasks", before: service(count(0), "", ""), after: service(count(1), "", ""), action: Update, seconds: 6, why: "start: a health check of the target group within 6 s"},
		{name: "fewer tasks", before: service(count(2), "", ""), after: service(count(1), "", ""), action: Update, seconds: 35, why: "stop: deregistration delay 15 s, stop timeout 20 s"},
		{name: "as many tasks", before: service(count(1), "", ""), after: service(count(1)+`"CapacityProviderStrategy": [{"CapacityProvider": "other"}],`, "", ""), action: Update},
		{name: "a forced deployment", before: service(count(1), "", ""), after: service(count(1)+`"ForceNewDeployment": {"EnableForceNewDeployment": true},`, "", ""), action: Update, seconds: 41,
			why: "start: a health check of the target group within 6 s; stop: deregistration delay 15 s, stop timeout 20 s"},
		{name: "another image", before: service(count(1), "", ""), after: service(count(1), image, ""), action: Update, seconds: 41,
			why: "start: a health check of the target group within 6 s; stop: deregistration delay 15 s, stop timeout 20 s"},
		{name: "another image without a task", before: service(count(0), "", ""), after: service(count(0), image, ""), action: Update},
		{name: "another image for the first task", before: service(count(0), "", ""), after: service(count(1), image, ""), action: Update, seconds: 6,
			why: "start: a health check of the target group within 6 s"},
		{name: "another image and no task any more", before: service(count(1), "", ""), after: service(count(0), image, ""), action: Update, seconds: 35,
			why: "stop: deregistration delay 15 s, stop timeout 20 s"},
		{name: "a count that is left out", before: service(count(3), "", ""), after: service("", "", ""), action: Update},
		{name: "another image, and as many as there are", before: service(count(4), "", ""), after: service("", image, ""), action: Update, seconds: 41,
			why: "start: a health check of the target group within 6 s; stop: deregistration delay 15 s, stop timeout 20 s"},
		{name: "in rounds", before: service(bounds(4, 100, 125), "", ""), after: service(bounds(4, 100, 125), image, ""), action: Update, seconds: 4 * 41,
			why: "start: a health check of the target group within 6 s; stop: deregistration delay 15 s, stop timeout 20 s; all that in 4 rounds"},
		{name: "in one round, downwards", before: service(bounds(4, 0, 100), "", ""), after: service(bounds(4, 0, 100), image, ""), action: Update, seconds: 41,
			why: "start: a health check of the target group within 6 s; stop: deregistration delay 15 s, stop timeout 20 s"},
		{name: "defaults of the container", before: fmt.Sprintf(bare, ""), after: fmt.Sprintf(bare, `, "DesiredCount": 0`), action: Update, seconds: 30,
			why: "stop: deregistration delay 0 s, stop timeout 30 s"},
		{name: "default of the deregistration delay", before: strings.Replace(service("", "", ""), "deregistration_delay", "x", 1), after: strings.Replace(service(count(0), "", ""), "deregistration_delay", "x", 1),
			action: Update, seconds: 320, why: "stop: deregistration delay 300 s, stop timeout 20 s"},
		{name: "replaced", before: service(count(1), "", ""), after: service(count(1)+`"ServiceName": "b",`, "", ""), action: Replace, seconds: 6,
			why: "start: a health check of the target group within 6 s"},
		{name: "deleted", before: service(count(1), "", ""), action: Delete, seconds: 35, why: "stop: deregistration delay 15 s, stop timeout 20 s"},
		{name: "a circuit breaker", after: service(breaker, "", ""), action: Create, seconds: 6, why: "start: a health check of the target group within 6 s", givesUp: 45},
		{name: "a circuit breaker and checks longer than the grace period", after: strings.Replace(service(breaker+count(8), "", ""), `"Retries": 3`, `"Retries": 3, "StartPeriod": 10`, 1),
			action: Create, seconds: 6, why: "start: a health check of the target group within 6 s", givesUp: 4 * 25},
		{name: "a circuit breaker with a threshold of its own", after: service(strings.Replace(breaker, "true", `true, "ThresholdConfiguration": {"Type": "COUNT", "Value": 1}`, 1), "", ""),
			action: Create, seconds: 6, why: "start: a health check of the target group within 6 s"},
		{name: "sidecars first", after: withSidecars(1, "HEALTHY", "HEALTHY"), action: Create, seconds: 5 + 7 + 11,
			why: "start: the containers that come first within 18 s; the container's health check after 5 s"},
		{name: "a sidecar that has to be healthy, and one that has started", after: withSidecars(1, "HEALTHY", "START"), action: Create, seconds: 5 + 7,
			why: "start: the containers that come first within 7 s; the container's health check after 5 s"},
		{name: "sidecars that end", after: withSidecars(1, "SUCCESS", "COMPLETE"), action: Create, seconds: 5, why: check},
		{name: "sidecars that stop after the container", before: withSidecars(1, "START", "HEALTHY"), action: Delete, seconds: 20 + 3 + 4, why: "stop: deregistration delay 0 s, stop timeout 27 s"},
		{name: "sidecars that have ended", before: withSidecars(1, "SUCCESS", "COMPLETE"), action: Delete, seconds: 20, why: "stop: deregistration delay 0 s, stop timeout 20 s"},
		{name: "containers that wait for each other", after: strings.Replace(withSidecars(1, "HEALTHY", "HEALTHY"), `"Interval": 11}`, `"Interval": 11}, "DependsOn": [{"ContainerName": "b", "Condition": "HEALTHY"}]`, 1),
			action: Create, seconds: 5 + 7 + 11, why: "start: the containers that come first within 18 s; the container's health check after 5 s"},
		{name: "blue and green", before: service(`"DeploymentController": {"Type": "CODE_DEPLOY"},`, "", ""), after: service(`"DeploymentController": {"Type": "CODE_DEPLOY"},`, image, ""), action: Update},
		{name: "a target group of elsewhere", after: strings.Replace(service("", "", ""), `{"Ref": "Group"}`, `"arn:group"`, 1), action: Create, seconds: 5,
			why: "start: the container's health check after 5 s", unknown: "a target group of S/Service"},
		{name: "a target group of elsewhere and no check of the container's own", after: fmt.Sprintf(bare, `, "LoadBalancers": [{"TargetGroupArn": "arn:group"}]`),
			action: Create, why: "start: not known here", unknown: "a target group of S/Service"},
		{name: "a task definition of elsewhere", after: strings.Replace(service("", "", ""), `{"Ref": "Definition"}`, `"family:1"`, 1), action: Create, seconds: 6,
			why: "start: a health check of the target group within 6 s", unknown: "the task definition of S/Service"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := path(t, stacks{"S": test.before}, stacks{"S": test.after})
			i := slices.IndexFunc(p.Chain, func(s Step) bool { return s.LogicalID == "Service" })
			if i < 0 {
				t.Fatalf("the service is not in the chain: %s", show(p.Chain))
			}
			step := p.Chain[i]
			equal(t, "action", test.action, step.Action)
			equal(t, "seconds", test.seconds, step.Seconds)
			equal(t, "why", test.why, step.Why)
			equal(t, "gives up", test.givesUp, step.GivesUp)
			equal(t, "unknown", test.unknown, strings.Join(p.Unknown, ", "))
		})
	}
}

// The most seconds may be those of a chain that is not the longest.
func TestSeconds(t *testing.T) {
	p := path(t, nil, stacks{
		"Long":   `"A": {"Type": "X::Y::Z"}, "B": {"Type": "X::Y::Z", "DependsOn": "A"}, "C": {"Type": "X::Y::Z", "DependsOn": "B"}`,
		"Slow":   service("", "", ""),
		"Slower": strings.Replace(service("", "", ""), `"HealthCheckIntervalSeconds": 6`, `"HealthCheckIntervalSeconds": 60`, 1),
		"End: Long Slow Slower": `"E": {"Type": "AWS::ECS::Service", "Properties": {
			"TaskDefinition": {"Ref": "D"}}}, "D": {"Type": "AWS::ECS::TaskDefinition"}`,
	})
	equal(t, "chain", "create Long/A, create Long/B, create Long/C, create End/D, create End/E 40 s", show(p.Chain))
	equal(t, "longest", Length{Stacks: 2, Steps: 5, Seconds: 100}, p.Longest)
	equal(t, "serial", Length{Stacks: 4, Steps: 11, Seconds: 6 + 60 + 40}, p.Serial)
	equal(t, "side by side", 3, p.SideBySide())

	// Of two that are as long, the one with more seconds.
	p = path(t, nil, stacks{"A": `"X": {"Type": "X::Y::Z"}, "Y": {"Type": "X::Y::Z", "DependsOn": "X"}`, "B": service("", "", "")})
	equal(t, "the slower one", "create B/Definition, create B/Service 6 s", show(p.Chain))
}

func TestErrors(t *testing.T) {
	for name, test := range map[string]struct{ resources, want string }{
		"a circle": {`"A": {"Type": "X::Y::Z", "DependsOn": "B"}, "B": {"Type": "X::Y::Z", "Properties": {"P": {"Ref": "A"}}}`,
			"S: resources wait for each other in a circle: A, B, A"},
		"a count that is none": {service(`"DesiredCount": "many",`, "", ""),
			"S/Service/Properties.DesiredCount: expected a whole number"},
		"a condition that is not there": {`"A": {"Type": "X::Y::Z", "Condition": "Nowhere"}`, "Nowhere"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := Read(nil, read(t, stacks{"S": test.resources}))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %+v, %v, want an error with %q", p, err, test.want)
			}
		})
	}
}
