package model

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A value has a name where a client would dial it, and nowhere else.
func TestServiceNameIn(t *testing.T) {
	short, dotted := ServiceName{Host: "users", Port: 3000, Connect: true}, ServiceName{Host: "users.dev.internal"}
	web := ServiceName{Host: "users", Port: 80, Connect: true}
	for _, test := range []struct {
		value               string
		short, dotted, port bool // users:3000, users.dev.internal, users:80
	}{
		{"http://users:3000", true, false, false},
		{"http://USERS:3000/api", true, false, false},
		{"users:3000", true, false, false},
		{"a:1,users:3000", true, false, false},
		{"tcp://me@users:3000?x", true, false, false},
		{"http://super-users:3000", false, false, false},
		{"http://superusers:1,http://users:3000", true, false, false},
		{"http://users:30000", false, false, false},
		{"http://users:300", false, false, false},
		{"http://users", false, false, true},
		{"http://users:80", false, false, true},
		{"http://users/", false, false, true},
		{"https://users", false, false, false},
		{"users", false, false, false},
		{"http://users.example", false, false, false},
		{"http://users.dev.internal:3000", false, true, false},
		{"http+srv://users.dev.internal", false, true, false},
		{"Users.dev.internal", false, true, false},
		{"my.users.dev.internal", false, false, false},
		{"users.dev.internals", false, false, false},
		{"", false, false, false},
	} {
		for name, want := range map[ServiceName]bool{short: test.short, dotted: test.dotted, web: test.port} {
			if got := name.In(test.value); got != want {
				t.Errorf("%q has %v: %v, want %v", test.value, name, got, want)
			}
		}
	}
}

// Calls go to the service that has the name, within a namespace, or to a load balancer.
func TestCalls(t *testing.T) {
	task := func(name, environment string) string {
		return `"T` + name + `": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"NetworkMode": "awsvpc", "ContainerDefinitions": [{"Name": "c", "PortMappings": [{"Name": "http", "ContainerPort": 3000, "AppProtocol": "http"}], "Environment": [` + environment + `]}]}},`
	}
	service := func(name, properties string) string {
		return `"` + name + `": {"Type": "AWS::ECS::Service", "Properties": {"ServiceName": "` + name + `", "TaskDefinition": {"Ref": "T` + name + `"}` + properties + `}},`
	}
	connect := func(space, services string) string {
		return `, "ServiceConnectConfiguration": {"Enabled": true, "Namespace": "` + space + `", "Services": [` + services + `]}`
	}
	alias := func(name string) string {
		return `{"PortName": "http", "DiscoveryName": "` + name + `", "ClientAliases": [{"DnsName": "` + name + `", "Port": 3000}]}`
	}
	registry := func(id string) string {
		return `, "ServiceRegistries": [{"RegistryArn": {"Fn::GetAtt": ["` + id + `", "Arn"]}, "ContainerName": "c", "ContainerPort": 3000}]`
	}
	named := func(id, name, record string) string {
		return `"` + id + `": {"Type": "AWS::ServiceDiscovery::Service", "Properties": {"Name": "` + name + `", "DnsConfig": {"NamespaceId": {"Ref": "Zone"}, "DnsRecords": [` + record + `]}}},`
	}
	const urls = `{"Name": "USERS_URL", "Value": "http://users:3000"}, {"Name": "TAGS_URL", "Value": "http+srv://tags.dev.internal"}, {"Name": "POSTS_URL", "Value": "http://posts.dev.internal:3000"},
		{"Name": "FRONT", "Value": {"Fn::Join": ["", ["https://", {"Fn::GetAtt": ["Lb", "DNSName"]}]]}}, {"Name": "SELF", "Value": "http://api:3000"}, {"Name": "TABLE", "Value": "users"},
		{"Name": "OTHER", "Value": {"Fn::Sub": "http://users:3000/${Lb.LoadBalancerFullName}"}}, {"Name": "API_ONLY", "Value": "http://api-only.dev.internal"}`
	m := read(t, task("users", "")+task("posts", "")+task("tags", "")+task("api", urls)+task("far", urls)+task("only", "")+
		named("A", "posts", `{"Type": "A", "TTL": 10}`)+named("S", "tags", `{"Type": "SRV", "TTL": 10}`)+named("N", "api-only", "")+
		service("users", connect("dev", alias("users")))+service("posts", registry("A"))+service("tags", registry("S"))+service("only", registry("N"))+
		service("api", connect("dev", alias("api")))+service("far", connect("other", ""))+
		`"Zone": {"Type": "AWS::ServiceDiscovery::PrivateDnsNamespace", "Properties": {"Name": "dev.internal", "Vpc": "vpc-1"}},
		"Lb": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer"}`)
	var got []string
	for _, c := range m.Calls() {
		to, name := "", ""
		if c.To != nil {
			to, name = c.To.Name, c.Name.String()
		}
		got = append(got, fmt.Sprintf("%s %s → %s %s %s", c.From.Name, c.Variable, to, name, c.Way()))
	}
	both := func(from string) []string {
		return []string{
			from + " TAGS_URL → tags http+srv://tags.dev.internal by AWS Cloud Map",
			from + " POSTS_URL → posts http://posts.dev.internal by AWS Cloud Map",
			from + " FRONT →   through the load balancer",
		}
	}
	want := append([]string{"api USERS_URL → users http://users:3000 by Service Connect"}, both("api")...)
	// far is in another namespace, so it knows neither users nor api.
	want = append(append(want, "api OTHER → users http://users:3000 by Service Connect"), both("far")...)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
