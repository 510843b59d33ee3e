package cost

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cutover/internal/capacity"
	"cutover/internal/model"
)

// What a task with a Service Connect proxy has beside its containers is for the proxy. Calls by the public
// addresses of a load balancer have prices by traffic.
func TestCalls(t *testing.T) {
	task := func(size, container string) string {
		return `"Task": {"Type": "AWS::ECS::TaskDefinition", "Properties": {` + size + `"NetworkMode": "awsvpc", "ContainerDefinitions": [{"Name": "web", "Cpu": 256, "Memory": 512, "PortMappings": [{"Name": "http", "ContainerPort": 80}]` + container + `}, {"Name": "agent", "Memory": 100}]}}`
	}
	service := func(count int, properties string) string {
		return fmt.Sprintf(`, "A": {"Type": "AWS::ECS::Service", "Properties": {"ServiceName": "a", "DesiredCount": %d, "TaskDefinition": {"Ref": "Task"}, %s}}`, count, properties)
	}
	balancer := func(scheme string) string {
		return `, "Lb": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer", "Properties": {"Subnets": ["subnet-1"], "Scheme": "` + scheme + `"}}`
	}
	const large, connect = `"Cpu": "512", "Memory": "1024", `, `"ServiceConnectConfiguration": {"Enabled": true, "Namespace": "dev", "Services": [{"PortName": "http"}]}`
	const fargate, tasks = `"LaunchType": "FARGATE", `, ", 256 CPU units and 412 MiB of each task"
	address := func(value string) string { return `, "Environment": [{"Name": "URL", "Value": ` + value + `}]` }
	const name = `{"Fn::Join": ["", ["http://", {"Fn::GetAtt": ["Lb", "DNSName"]}]]}`
	const outside = "a (URL): calls through the load balancer pass a NAT gateway and public addresses, at US$ 0.045 for a GB of requests and answers and 0.01 more in each direction"
	ofInstances := fmt.Sprintf(instances, ofTemplate) + ", "
	for _, test := range []struct {
		name, resources string
		want            []string
	}{
		{"none", task(large, "") + service(1, fargate+`"Tags": []`), nil},
		// 730 × (0.25 × 0.04048 + 412 / 1024 × 0.004445) = 8.693
		{"on Fargate", task(large, "") + service(1, fargate+connect), []string{"a: US$ 8.69 of its cost are for the Service Connect proxies" + tasks}},
		{"two tasks", task(large, "") + service(2, fargate+connect), []string{"a: US$ 17.39 of its cost are for the Service Connect proxies" + tasks}},
		{"one of two on Spot", task(large, "") + service(2, `"CapacityProviderStrategy": [{"CapacityProvider": "FARGATE", "Weight": 1}, {"CapacityProvider": "FARGATE_SPOT", "Weight": 1}], `+connect), []string{"a: US$ 11.30 of its cost are for the Service Connect proxies" + tasks}},
		{"on ARM", task(large+`"RuntimePlatform": {"CpuArchitecture": "ARM64"}, `, "") + service(1, fargate+connect), []string{"a: US$ 6.95 of its cost are for the Service Connect proxies" + tasks}},
		{"that only calls", task(large, "") + service(1, fargate+`"ServiceConnectConfiguration": {"Enabled": true, "Namespace": "dev"}`), []string{"a: US$ 8.69 of its cost are for the Service Connect proxies" + tasks}},
		{"off", task(large, "") + service(1, fargate+strings.Replace(connect, "true", "false", 1)), nil},
		{"no task", task(large, "") + service(0, fargate+connect), nil},
		{"Windows, which has no price", task(large+`"RuntimePlatform": {"OperatingSystemFamily": "WINDOWS_SERVER_2022_CORE"}, `, "") + service(1, fargate+connect), nil},
		// 412 of 2 × 2,048 MiB are more than 256 of 2 × 2,048 units: 10.06 % of 35.17.
		{"on instances", ofInstances + task(large, "") + service(1, connect), []string{"a: US$ 3.54 of its cost are for the Service Connect proxies" + tasks}},
		{"nothing beside the containers", task(`"Cpu": "256", "Memory": "600", `, "") + service(1, connect), nil},

		{"a load balancer with public addresses", task("", address(name)) + balancer("internet-facing") + service(1, `"Tags": []`), []string{outside}},
		{"the name alone", task("", address(`{"Fn::GetAtt": ["Lb", "DNSName"]}`)) + balancer("internet-facing") + service(1, `"Tags": []`), []string{outside}},
		{"an internal load balancer", task("", address(name)) + balancer("internal") + service(1, `"Tags": []`), nil},
		{"another attribute", task("", address(`{"Fn::GetAtt": ["Lb", "LoadBalancerFullName"]}`)) + balancer("internet-facing") + service(1, `"Tags": []`), nil},
		{"tasks with public addresses", task("", address(name)) + balancer("internet-facing") + service(1, `"NetworkConfiguration": {"AwsvpcConfiguration": {"AssignPublicIp": "ENABLED"}}`), nil},
		{"a domain, which may lead elsewhere", task("", address(`"https://shop.example"`)) + balancer("internet-facing") + service(1, `"Tags": []`), nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			estimates, err := Read(readModel(t, map[string]string{"Stack": `{"Resources": {` + test.resources + `}}`}))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, estimates[0].Calls); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			public := strings.Contains(strings.Join(estimates[0].Traffic, "\n"), "0.01 per GB in each direction over public addresses within the region")
			if public != (len(test.want) > 0 && test.want[0] == outside) {
				t.Errorf("by traffic: %q", estimates[0].Traffic)
			}
		})
	}
}

// A namespace with DNS is a hosted zone. ECS registers tasks for nothing. Network interfaces make a group
// larger, as CPU and memory do.
func TestNames(t *testing.T) {
	ofService := func(health string) string {
		return `"Service": {"Type": "AWS::ServiceDiscovery::Service", "Properties": {"Name": "users", ` + health + `}}`
	}
	const task = `, "Task": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"NetworkMode": "awsvpc", "ContainerDefinitions": [{"Name": "web", "Cpu": 16, "Memory": 16}]}}, "A": {"Type": "AWS::ECS::Service", "Properties": {"ServiceName": "a", "DesiredCount": %d, "TaskDefinition": {"Ref": "Task"}}}`
	const none = "= 0.00\nshared: 0 tasks, 1.0000, 0.00\n"
	for _, test := range []struct {
		name, resources, want string
		queries               bool
	}{
		{"an HTTP namespace", `"Space": {"Type": "AWS::ServiceDiscovery::HttpNamespace", "Properties": {"Name": "dev"}}, ` + ofService(`"HealthCheckCustomConfig": {}`), none, false},
		{"a private zone", `"Space": {"Type": "AWS::ServiceDiscovery::PrivateDnsNamespace", "Properties": {"Name": "dev.internal", "Vpc": "vpc-1"}}`, "1 hosted zone: 0.50: 0.50\n= 0.50\nshared: 0 tasks, 1.0000, 0.50\n", true},
		{"a public zone and a health check", `"Space": {"Type": "AWS::ServiceDiscovery::PublicDnsNamespace", "Properties": {"Name": "shop.example"}}, ` + ofService(`"HealthCheckConfig": {"Type": "HTTP"}`),
			"1 hosted zone: 0.50: 0.50\n= 0.50\nshared: 0 tasks, 1.0000, 0.50\nnot 1 health check of Route 53\n", true},
		{"four interfaces of two instances", fmt.Sprintf(instances, ofTemplate) + fmt.Sprintf(task, 4), "2 instances t3.small: 2 × 0.0208 an hour: 30.37\n2 volumes of 30 GB gp3: 60 × 0.08: 4.80\n= 35.17\na: 4 tasks, 0.0156, 0.55\nshared: 0 tasks, 0.9844, 34.62\n", false},
		{"five", fmt.Sprintf(instances, ofTemplate) + fmt.Sprintf(task, 5), "3 instances t3.small: 3 × 0.0208 an hour: 45.55\n3 volumes of 30 GB gp3: 90 × 0.08: 7.20\n= 52.75\na: 5 tasks, 0.0130, 0.69\nshared: 0 tasks, 0.9870, 52.06\n", false},
	} {
		estimates, err := Read(readModel(t, map[string]string{"Stack": `{"Resources": {` + test.resources + `}}`}))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, show(estimates[0])); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
		if queries := strings.Contains(strings.Join(estimates[0].Traffic, "\n"), "0.40 per million DNS queries to a hosted zone, at most"); queries != test.queries {
			t.Errorf("%s: by traffic %q", test.name, estimates[0].Traffic)
		}
	}
}

// The documents say the prices that an estimate has.
func TestDocumentsOfDiscovery(t *testing.T) {
	text, err := os.ReadFile("../../../docs/cost.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		fmt.Sprintf("%.2f a month for the hosted zone", prices.Fixed["hostedZone"].Month),
		fmt.Sprintf("%.2f per million DNS queries at most", prices.Traffic["dnsQueries"].Price),
		fmt.Sprintf("%s per GB at the NAT gateway, and %s in each direction", decimal(prices.Traffic["gatewayTraffic"].Price), decimal(prices.Traffic["publicTransfer"].Price)),
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("docs/cost.md does not say %q", want)
		}
	}
}

// The worked example of docs/discovery.md: two tasks call two others on Fargate, 100 GB and 10 million calls
// a month. The prices of VPC Lattice and API Gateway are in the document alone, with their sources.
func TestExampleOfDiscovery(t *testing.T) {
	text, err := os.ReadFile("../../../docs/discovery.md")
	if err != nil {
		t.Fatal(err)
	}
	const gigabytes, between, callers, ttl = 100, 50, 2, 10
	size := func(cpu, memory int) Cents {
		return amount(4*prices.Hours, rate(&model.Fargate{}, capacity.Resources{CPU: cpu, MemoryMiB: memory}))
	}
	gateway, public := amount(gigabytes, prices.Traffic["gatewayTraffic"].Price), amount(2*gigabytes, prices.Traffic["publicTransfer"].Price)
	balancer := amount(gigabytes, prices.Traffic["loadBalancerCapacity"].Price) // a unit takes a GB an hour
	proxies, zones := size(512, 1024)-size(256, 512), amount(2*between, prices.Traffic["publicTransfer"].Price)
	zone, queries := amount(1, prices.Fixed["hostedZone"].Month), amount(callers*prices.Hours*3600/ttl, prices.Traffic["dnsQueries"].Price/1e6)
	for _, want := range []string{
		fmt.Sprintf("| `LoadBalancer` | %v | 100 GB at the NAT gateway (%v), over public addresses in both directions (%v), and as capacity of the load balancer (%v) |", gateway+public+balancer, gateway, public, balancer),
		fmt.Sprintf("| `ServiceConnect` | %v | a task of 0.5 vCPU and 1 GB instead of the smaller one, four times (%v), and 50 GB between zones (%v) |", proxies+zones, proxies, zones),
		fmt.Sprintf("| `CloudMap` | %v | a hosted zone (%v), 0.5 million DNS queries at most (%v), and 50 GB between zones (%v) |", zone+queries+zones, zone, queries, zones),
		fmt.Sprintf("(10.00), and 100 GB at the NAT gateway (%v) |", gateway), fmt.Sprintf("(35.00 and %v)", gateway),
		fmt.Sprintf("Between zones** a GB costs %v in each direction", prices.Traffic["publicTransfer"].Price),
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("docs/discovery.md does not say %q", want)
		}
	}
}
