package cost

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cutover/internal/assembly"
	"cutover/internal/capacity"
	"cutover/internal/golden"
	"cutover/internal/model"
)

// readModel makes an assembly of templates, by the names of their stacks, and reads it.
func readModel(t *testing.T, templates map[string]string) *model.Model {
	t.Helper()
	dir := t.TempDir()
	artifacts := map[string]any{}
	for name, text := range templates {
		if err := os.WriteFile(filepath.Join(dir, name+".json"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		artifacts[name] = map[string]any{
			"type": "aws:cloudformation:stack", "environment": "aws://unknown-account/unknown-region",
			"properties": map[string]any{"templateFile": name + ".json"},
		}
	}
	manifest, err := json.Marshal(map[string]any{"version": "54.0.0", "artifacts": artifacts})
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
	return model.Read(a)
}

// show writes an estimate the way a person would note it down.
func show(e Estimate) string {
	var b strings.Builder
	for _, line := range e.Lines {
		fmt.Fprintf(&b, "%s: %s: %v\n", line.Item, line.Price, line.Amount)
	}
	fmt.Fprintf(&b, "= %v\n", e.Total)
	for _, s := range e.Services {
		fmt.Fprintf(&b, "%s: %d tasks, %.4f, %v\n", s.Name, s.Tasks, s.Share, s.Amount)
	}
	for _, text := range e.Unpriced {
		fmt.Fprintf(&b, "not %s\n", text)
	}
	for _, text := range e.Unknown {
		fmt.Fprintf(&b, "? %s\n", text)
	}
	return b.String()
}

// instances is a group of t3.small with volumes of 30 GB; %s is what else it says.
const instances = `"Template": {"Type": "AWS::EC2::LaunchTemplate", "Properties": {"LaunchTemplateData": {"InstanceType": "t3.small",
		"BlockDeviceMappings": [{"Ebs": {"VolumeSize": 30, "VolumeType": "gp3"}}, {"DeviceName": "/dev/sdb", "VirtualName": "ephemeral0"}]}}},
	"Group": {"Type": "AWS::AutoScaling::AutoScalingGroup", "Properties": {"MinSize": "2", "MaxSize": "4", %s}}`

const ofTemplate = `"LaunchTemplate": {"LaunchTemplateId": {"Ref": "Template"}}`

// service is one that has %d tasks with %d CPU units and %d MiB.
func service(name string, count, cpu, memoryMiB int) string {
	return fmt.Sprintf(`"%[1]sTask": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"ContainerDefinitions": [{"Cpu": %[3]d, "Memory": 9999, "MemoryReservation": %[4]d}]}},
		"%[1]s": {"Type": "AWS::ECS::Service", "Properties": {"DesiredCount": %[2]d, "TaskDefinition": {"Ref": "%[1]sTask"}, "Tags": [{"Key": "service", "Value": "%[1]s"}]}}`, name, count, cpu, memoryMiB)
}

func TestEstimates(t *testing.T) {
	tests := []struct {
		name      string
		resources []string
		want      string
	}{
		{"nothing", nil, `
= 0.00
shared: 0 tasks, 1.0000, 0.00
`},
		{"instances", []string{fmt.Sprintf(instances, ofTemplate)}, `
2 instances t3.small: 2 × 0.0208 an hour: 30.37
2 volumes of 30 GB gp3: 60 × 0.08: 4.80
= 35.17
shared: 0 tasks, 1.0000, 35.17
`},
		{"instances of several types, the first preferred", []string{fmt.Sprintf(instances, `"MixedInstancesPolicy": {"LaunchTemplate": {
			"LaunchTemplateSpecification": {"LaunchTemplateId": {"Ref": "Template"}}, "Overrides": [{"InstanceType": "t4g.medium"}, {"InstanceType": "unknown"}]}}`)}, `
2 instances t4g.medium: 2 × 0.0336 an hour: 49.06
2 volumes of 30 GB gp3: 60 × 0.08: 4.80
= 53.86
shared: 0 tasks, 1.0000, 53.86
`},
		{"instances of a launch configuration", []string{`"Configuration": {"Type": "AWS::AutoScaling::LaunchConfiguration", "Properties": {"InstanceType": "t3.medium"}},
			"Group": {"Type": "AWS::AutoScaling::AutoScalingGroup", "Properties": {"MinSize": "0", "MaxSize": "4", "DesiredCapacity": "1", "LaunchConfigurationName": {"Ref": "Configuration"}}}`}, `
1 instance t3.medium: 0.0416 an hour: 30.37
= 30.37
shared: 0 tasks, 1.0000, 30.37
not 1 group of instances with the volume that their image brings
`},
		// 2 × 512 of 4096 units are an eighth, 2 × 256 of 4096 MiB less; 1024 MiB a quarter.
		{"services by the larger of their reservations", []string{fmt.Sprintf(instances, ofTemplate), service("cpu", 2, 256, 256), service("memory", 1, 128, 1024), service("stopped", 0, 256, 256)}, `
2 instances t3.small: 2 × 0.0208 an hour: 30.37
2 volumes of 30 GB gp3: 60 × 0.08: 4.80
= 35.17
cpu: 2 tasks, 0.1250, 4.40
memory: 1 tasks, 0.2500, 8.79
stopped: 0 tasks, 0.0000, 0.00
shared: 0 tasks, 0.6250, 21.98
`},
		// 10 × 512 MiB are 2.5 instances of 2 GiB.
		{"more instances for more tasks", []string{fmt.Sprintf(instances, ofTemplate), service("many", 10, 2, 512)}, `
3 instances t3.small: 3 × 0.0208 an hour: 45.55
3 volumes of 30 GB gp3: 90 × 0.08: 7.20
= 52.75
many: 10 tasks, 0.8333, 43.96
shared: 0 tasks, 0.1667, 8.79
`},
		// 16 × 256 MiB are what two have installed, of which the tasks do not get all.
		{"more instances for more memory than they register", []string{fmt.Sprintf(instances, ofTemplate), service("many", 16, 2, 256)}, `
3 instances t3.small: 3 × 0.0208 an hour: 45.55
3 volumes of 30 GB gp3: 90 × 0.08: 7.20
= 52.75
many: 16 tasks, 0.6667, 35.17
shared: 0 tasks, 0.3333, 17.58
`},
		{"never more than the most", []string{fmt.Sprintf(instances, ofTemplate), service("many", 100, 2, 512)}, `
4 instances t3.small: 4 × 0.0208 an hour: 60.74
4 volumes of 30 GB gp3: 120 × 0.08: 9.60
= 70.34
many: 100 tasks, 1.0000, 70.34
shared: 0 tasks, 0.0000, 0.00
`},
		{"network", []string{
			`"Nat": {"Type": "AWS::EC2::NatGateway"}`, `"Ip": {"Type": "AWS::EC2::EIP"}`,
			`"S3": {"Type": "AWS::EC2::VPCEndpoint", "Properties": {"VpcEndpointType": "Gateway"}}`, `"Old": {"Type": "AWS::EC2::VPCEndpoint"}`,
			`"Ecr": {"Type": "AWS::EC2::VPCEndpoint", "Properties": {"VpcEndpointType": "Interface", "SubnetIds": ["subnet-1", "subnet-2"]}}`,
			`"Outer": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer", "Properties": {"Scheme": "internet-facing", "Subnets": ["a", "b", "c"]}}`,
			`"Inner": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer", "Properties": {"Scheme": "internal", "Subnets": ["a", "b"]}}`,
		}, `
1 NAT gateway: 0.045 an hour: 32.85
2 load balancers: 2 × 0.0225 an hour: 32.85
4 public IPv4 addresses (load balancer 3, elastic 1): 4 × 0.005 an hour: 14.60
2 endpoints in a zone: 2 × 0.01 an hour: 14.60
= 94.90
shared: 0 tasks, 1.0000, 94.90
`},
		{"what has a service's tag", []string{
			`"One": {"Type": "AWS::CloudWatch::Alarm", "Properties": {"Tags": [{"Key": "service", "Value": "users"}], "MetricName": "x"}}`,
			`"Two": {"Type": "AWS::CloudWatch::Alarm", "Properties": {"Metrics": [{"Expression": "a+b"}, {"MetricStat": {}, "Id": "a"}, {"MetricStat": {}, "Id": "b"}]}}`,
			`"Key": {"Type": "AWS::KMS::Key"}`,
		}, `
3 alarms on a metric: 3 × 0.10: 0.30
1 encryption key: 1.00: 1.00
= 1.30
users: 0 tasks, 0.0000, 0.10
shared: 0 tasks, 1.0000, 1.20
`},
		{"dashboards of which some are free", []string{
			`"A": {"Type": "AWS::CloudWatch::Dashboard"}`, `"B": {"Type": "AWS::CloudWatch::Dashboard"}`, `"C": {"Type": "AWS::CloudWatch::Dashboard"}`,
			`"D": {"Type": "AWS::CloudWatch::Dashboard"}`, `"E": {"Type": "AWS::CloudWatch::Dashboard"}`, `"Q": {"Type": "AWS::Logs::QueryDefinition"}`,
		}, `
5 dashboards: 2 × 3.00, and nothing for the first 3 of an account: 6.00
= 6.00
shared: 0 tasks, 1.0000, 6.00
`},
		// One that scales has its least without traffic, and two alarms for each policy.
		{"a service that scales", []string{fmt.Sprintf(instances, ofTemplate), strings.Replace(service("users", 0, 512, 256), `"DesiredCount": 0, `, "", 1),
			`"Scaling": {"Type": "AWS::ApplicationAutoScaling::ScalableTarget", "Properties": {"ServiceNamespace": "ecs", "MinCapacity": 2, "MaxCapacity": 9,
				"ResourceId": {"Fn::Join": ["/", ["service", "default", {"Fn::GetAtt": ["users", "Name"]}]]}}}`,
			`"ByCPU": {"Type": "AWS::ApplicationAutoScaling::ScalingPolicy", "Properties": {"PolicyType": "TargetTrackingScaling", "ScalingTargetId": {"Ref": "Scaling"}}}`,
			`"ByRequests": {"Type": "AWS::ApplicationAutoScaling::ScalingPolicy", "Properties": {"PolicyType": "TargetTrackingScaling", "ScalingTargetId": {"Ref": "Scaling"}}}`,
			`"InSteps": {"Type": "AWS::ApplicationAutoScaling::ScalingPolicy", "Properties": {"PolicyType": "StepScaling", "ScalingTargetId": {"Ref": "Scaling"}}}`,
		}, `
2 instances t3.small: 2 × 0.0208 an hour: 30.37
2 volumes of 30 GB gp3: 60 × 0.08: 4.80
4 alarms on a metric: 4 × 0.10: 0.40
= 35.57
users: 2 tasks, 0.2500, 9.19
shared: 0 tasks, 0.7500, 26.38
`},
		{"what is not known", []string{`"A": {"Type": "AWS::RDS::DBProxy"}`, `"B": {"Type": "AWS::RDS::DBProxy"}`, `"C": {"Type": "AWS::IAM::Role"}`,
			`"D": {"Type": "AWS::EC2::NatGateway", "Condition": "Never"}`}, `
= 0.00
shared: 0 tasks, 1.0000, 0.00
not 2 AWS::RDS::DBProxy
`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			template := fmt.Sprintf(`{"Conditions": {"Never": {"Fn::Equals": ["a", "b"]}}, "Resources": {"Any": {"Type": "AWS::IAM::Role"}, %s}}`, strings.Join(append(test.resources, `"Other": {"Type": "AWS::IAM::Role"}`), ",\n"))
			estimates, err := Read(readModel(t, map[string]string{"Stack": template}))
			if err != nil {
				t.Fatal(err)
			}
			if len(estimates) != 1 {
				t.Fatalf("%d environments, want 1", len(estimates))
			}
			if diff := cmp.Diff(test.want, "\n"+show(estimates[0])); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// What has no price is listed beside the rest, and may have a price of one's own.
func TestUnpriced(t *testing.T) {
	launch := func(kind, disk string) string {
		return fmt.Sprintf(`"Template": {"Type": "AWS::EC2::LaunchTemplate", "Properties": {"LaunchTemplateData": {"InstanceType": "%s", "BlockDeviceMappings": [{"Ebs": %s}]}}},
			"Group": {"Type": "AWS::AutoScaling::AutoScalingGroup", "Properties": {"MinSize": "2", "MaxSize": "4", %s}}`, kind, disk, ofTemplate)
	}
	const gp3 = `{"VolumeSize": 1, "VolumeType": "gp3"}`
	const tasks = `"Task": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"ContainerDefinitions": [{"Cpu": 1024, "Memory": 64}]}}, "Service": {"Type": "AWS::ECS::Service", "Properties": {"DesiredCount": 3, "TaskDefinition": {"Ref": "Task"}%s}}`
	for _, test := range []struct {
		name, resources string
		own             Prices
		want            string
	}{
		{"instance type", launch("x9.huge", gp3) + ", " + fmt.Sprintf(tasks, ""), nil, `
2 volumes of 1 GB gp3: 2 × 0.08: 0.16
= 0.16
Service: 3 tasks, 0.0000, 0.00
shared: 0 tasks, 1.0000, 0.16
not 2 instance x9.huge
`},
		{"instance type with a price", launch("x9.huge", gp3), Prices{"x9.huge": 0.5, "gp3": 0.1}, `
2 instances x9.huge: 2 × 0.50 an hour: 730.00
2 volumes of 1 GB gp3: 2 × 0.10: 0.20
= 730.20
shared: 0 tasks, 1.0000, 730.20
`},
		{"another price", launch("t3.small", gp3), Prices{"t3.small": 0.01}, `
2 instances t3.small: 2 × 0.01 an hour: 14.60
2 volumes of 1 GB gp3: 2 × 0.08: 0.16
= 14.76
shared: 0 tasks, 1.0000, 14.76
`},
		{"two groups, one of a known size", launch("x9.huge", gp3) + `, "Small": {"Type": "AWS::EC2::LaunchTemplate", "Properties": {"LaunchTemplateData": {"InstanceType": "t3.small", "BlockDeviceMappings": [{"Ebs": ` + gp3 + `}]}}},
			"Other": {"Type": "AWS::AutoScaling::AutoScalingGroup", "Properties": {"MinSize": "1", "MaxSize": "4", "LaunchTemplate": {"LaunchTemplateId": {"Ref": "Small"}}}}, ` + fmt.Sprintf(tasks, ""), nil, `
1 instance t3.small: 0.0208 an hour: 15.18
3 volumes of 1 GB gp3: 3 × 0.08: 0.24
= 15.42
Service: 3 tasks, 0.0000, 0.00
shared: 0 tasks, 1.0000, 15.42
not 2 instance x9.huge
`},
		{"volume type", launch("t3.small", `{"VolumeSize": 8, "VolumeType": "io2", "Iops": 9000}`), nil, `
2 instances t3.small: 2 × 0.0208 an hour: 30.37
= 30.37
shared: 0 tasks, 1.0000, 30.37
not 2 volume of 8 GB io2
not 1 volume that is faster (Iops)
`},
		{"volume type with a price", launch("t3.small", `{"VolumeSize": 8, "VolumeType": "io2"}`), Prices{"io2": 0.125}, `
2 instances t3.small: 2 × 0.0208 an hour: 30.37
2 volumes of 8 GB io2: 16 × 0.125: 2.00
= 32.37
shared: 0 tasks, 1.0000, 32.37
`},
		{"launch template of somebody else", `"Group": {"Type": "AWS::AutoScaling::AutoScalingGroup", "Properties": {"MinSize": "2", "MaxSize": "2"}}, "Nat": {"Type": "AWS::EC2::NatGateway"}`, nil, `
1 NAT gateway: 0.045 an hour: 32.85
= 32.85
shared: 0 tasks, 1.0000, 32.85
not 1 group of instances without a launch template in the assembly
`},
		{"load balancers", `"N": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer", "Properties": {"Type": "network", "Subnets": ["a", "b"]}}, "G": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer", "Properties": {"Type": "gateway", "Subnets": ["a"]}}`, nil, `
1 Network Load Balancer: 0.0225 an hour: 16.43
2 public IPv4 addresses (load balancer 2): 2 × 0.005 an hour: 7.30
= 23.73
shared: 0 tasks, 1.0000, 23.73
not 1 Gateway Load Balancer
`},
		{"tasks outside", fmt.Sprintf(tasks, `, "LaunchType": "FARGATE"`) + ", " + fmt.Sprintf(instances, ofTemplate), nil, `
2 instances t3.small: 2 × 0.0208 an hour: 30.37
2 volumes of 30 GB gp3: 60 × 0.08: 4.80
= 35.17
Service: 3 tasks, 0.0000, 0.00
shared: 0 tasks, 1.0000, 35.17
not 3 Fargate task of an unknown size
`},
		{"tasks outside, by a provider", fmt.Sprintf(tasks, `, "CapacityProviderStrategy": [{"CapacityProvider": "FARGATE_SPOT"}]`), Prices{"Fargate task of an unknown size": 9}, `
3 Fargate task of an unknown size: 3 × 9.00: 27.00
= 27.00
Service: 3 tasks, 0.0000, 0.00
shared: 0 tasks, 1.0000, 27.00
`},
		{"a database with a price", `"A": {"Type": "AWS::RDS::DBProxy"}, "B": {"Type": "AWS::RDS::DBProxy"}, "C": {"Type": "AWS::DAX::Cluster"}`, Prices{"AWS::RDS::DBProxy": 60.5}, `
2 AWS::RDS::DBProxy: 2 × 60.50: 121.00
= 121.00
shared: 0 tasks, 1.0000, 121.00
not 1 AWS::DAX::Cluster
`},
		{"values that a deployment tells", `"Service": {"Type": "AWS::ECS::Service", "Condition": "Later", "Properties": {"DesiredCount": {"Ref": "Count"}}}`, nil, `
= 0.00
shared: 0 tasks, 1.0000, 0.00
? Stack/Service/Condition: the template has no condition "Later"
? Stack/Service/Properties.DesiredCount.Ref: "Count" is neither a resource nor a parameter of the template
`},
	} {
		estimates, err := ReadAt(readModel(t, map[string]string{"Stack": `{"Resources": {` + test.resources + `}}`}), test.own)
		if err != nil || len(estimates) != 1 {
			t.Fatalf("%s: %v, %v", test.name, estimates, err)
		}
		if diff := cmp.Diff(test.want, "\n"+show(estimates[0])); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
	_, err := ReadAt(readModel(t, map[string]string{"Stack": `{"Resources": {` + launch("t3.small", gp3) + `}}`}), Prices{"t3.small": 1, "t3.smal": 1})
	if err == nil || !strings.Contains(err.Error(), `a price is given for "t3.smal", and nothing in the assembly has that price`) {
		t.Errorf("a price of nothing: %v", err)
	}
}

// An environment is what its tag says. What takes no tags belongs to the only one.
func TestEnvironments(t *testing.T) {
	nat := func(environment string) string {
		return fmt.Sprintf(`{"Resources": {"Nat": {"Type": "AWS::EC2::NatGateway", "Properties": {"Tags": [{"Key": "environment", "Value": "%s"}]}}}}`, environment)
	}
	untagged := `{"Resources": {"Key": {"Type": "AWS::KMS::Key"}}}`
	names := func(templates map[string]string) []string {
		estimates, err := Read(readModel(t, templates))
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range estimates {
			names = append(names, fmt.Sprintf("%s %v", e.Environment, e.Total))
		}
		return names
	}
	if got, want := names(map[string]string{"A": nat("dev"), "B": untagged}), []string{"dev 33.85"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := names(map[string]string{"A": nat("dev"), "B": untagged, "C": nat("prod")}), []string{" 1.00", "dev 32.85", "prod 32.85"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// All golden templates have an estimate: of one environment, with lines and with
// services that both add up to the total, and nothing that is not known.
func TestGoldens(t *testing.T) {
	for _, dir := range golden.Names() {
		estimates, err := Read(model.Read(golden.Read(t, "../../..", dir)))
		if err != nil {
			t.Fatal(err)
		}
		if len(estimates) != 1 || estimates[0].Environment == "" {
			t.Fatalf("%s has the environments %v, want one with a name", dir, estimates)
		}
		e, lines, services := estimates[0], Cents(0), Cents(0)
		for _, line := range e.Lines {
			lines += line.Amount
		}
		for _, s := range e.Services {
			services += s.Amount
		}
		if e.Total == 0 || lines != e.Total || services != e.Total {
			t.Errorf("%s: lines add up to %v and services to %v, the total is %v", dir, lines, services, e.Total)
		}
		if e.Unpriced != nil || e.Unknown != nil {
			t.Errorf("%s: nothing is known of %q: add prices to %s, or the types to those that are free", dir, e.Unpriced, pricesPath)
		}
	}
}

func TestCompare(t *testing.T) {
	line := func(name string, amount Cents) Line { return Line{Name: name, Amount: amount} }
	dev := func(lines ...Line) []Estimate {
		e := Estimate{Environment: "dev", Lines: lines}
		for _, l := range lines {
			e.Total += l.Amount
		}
		return []Estimate{e}
	}
	named := func(name string, estimates []Estimate) []Estimate {
		estimates[0].Environment = name
		return estimates
	}
	tests := []struct {
		name          string
		before, after []Estimate
		want          []Change
	}{
		{"the same", dev(line("a", 1)), dev(line("a", 1)), nil},
		{"a line more, one less, one changed", dev(line("a", 1), line("b", 2)), dev(line("c", 4), line("b", 3)), []Change{
			{"dev", "line", "a", 1, 0}, {"dev", "line", "b", 2, 3}, {"dev", "line", "c", 0, 4}, {"dev", "total", "", 3, 7},
		}},
		{"one environment with another", dev(line("a", 1)), named("prod", dev(line("a", 2))), []Change{{"prod", "line", "a", 1, 2}, {"prod", "total", "", 1, 2}}},
		{"what has no price", []Estimate{{Environment: "dev", Unpriced: []string{"1 a", "1 b"}}}, []Estimate{{Environment: "dev", Unpriced: []string{"1 b", "2 a"}}}, []Change{
			{"dev", "unpriced", "1 a, before", 0, 0}, {"dev", "unpriced", "2 a, after", 0, 0},
		}},
		{"an environment more", dev(line("a", 1)), append(dev(line("a", 1)), named("prod", dev(line("a", 2)))...), []Change{
			{"prod", "line", "a", 0, 2}, {"prod", "total", "", 0, 2},
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, Compare(test.before, test.after)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Every price has a source, and is one.
func TestPrices(t *testing.T) {
	source := func(name, url string, amounts ...float64) {
		if !strings.HasPrefix(url, "https://aws.amazon.com/") || slices.Max(amounts) <= 0 || slices.Min(amounts) < 0 {
			t.Errorf("%s costs %v according to %q", name, amounts, url)
		}
	}
	for name, hour := range prices.Instances.Prices {
		source(name, prices.Instances.Source, hour)
	}
	for name, price := range prices.Volumes.Prices {
		source(name, prices.Volumes.Source, price)
	}
	for name, price := range prices.Fixed {
		source(name, price.Source, price.Hour, price.Month)
	}
	for name, price := range prices.Traffic {
		source(name, price.Source, price.Price)
	}
}

// Each instance type of which the size is known has a price, and no other.
func TestInstanceTypes(t *testing.T) {
	if diff := cmp.Diff(capacity.InstanceTypes(), slices.Sorted(maps.Keys(prices.Instances.Prices))); diff != "" {
		t.Errorf("(-sizes +prices):\n%s", diff)
	}
}

// What the model says that types cost is in the price list, and the price list has no
// more.
func TestKeys(t *testing.T) {
	want := map[string]bool{}
	for key := range prices.Fixed {
		want[key] = true
		if !slices.ContainsFunc(things, func(thing struct{ price, one, more string }) bool { return thing.price == key }) {
			t.Errorf("%s has no name", key)
		}
	}
	for key := range prices.Traffic {
		want[key] = true
	}
	// Of a type that costs something else by default, and of calls.
	got := map[string]bool{"networkLoadBalancer": true, "publicTransfer": true}
	for _, resourceType := range model.Types() {
		keys, _ := model.Costs(resourceType)
		for _, key := range keys {
			got[key] = true
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-prices +model):\n%s", diff)
	}
}

// An item may have a name of somebody else's template.
func TestMarkdownOfNames(t *testing.T) {
	e := Estimate{Lines: []Line{{Item: "1 <b> | @org", Price: "a|b"}}}
	if got, want := e.Markdown(), "| 1 \\<b\\> \\| @\u200borg | a\\|b | 0.00 |\n"; !strings.Contains(got, want) {
		t.Errorf("%q lacks %q", got, want)
	}
}
