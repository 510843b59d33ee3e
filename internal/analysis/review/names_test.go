package review_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cutover/internal/analysis/review"
	"cutover/internal/assembly"
)

// found is users, which is found in some ways, and threads, which calls it by the variable USERS_URL.
type found struct {
	connect  string // the port of Service Connect; empty: none
	timeout  string // of a request, in seconds
	cloudMap string // the TTL; empty: no record
	url      string // of threads, as JSON; empty: no variable
	scheme   string // of the load balancer
	gone     bool   // users
	moved    bool   // the names of users belong to another service
	idle     bool   // threads has no task
	mode     string // network mode of users
}

func (s found) read(t *testing.T) *assembly.Assembly {
	t.Helper()
	ways, resources := "", []string{`"Zone": {"Type": "AWS::ServiceDiscovery::PrivateDnsNamespace", "Properties": {"Name": "dev.internal", "Vpc": "vpc-1"}}`,
		`"Lb": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer", "Properties": {"Scheme": "` + s.scheme + `"}}`, `"Group": {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup"}`}
	if s.connect != "" {
		ways += `, "ServiceConnectConfiguration": {"Enabled": true, "Namespace": "dev", "Services": [{"PortName": "http", "DiscoveryName": "users", "ClientAliases": [{"DnsName": "users", "Port": ` + s.connect + `}], "Timeout": {"PerRequestTimeoutSeconds": ` + s.timeout + `}}]}`
	}
	if s.cloudMap != "" {
		ways += `, "ServiceRegistries": [{"RegistryArn": {"Fn::GetAtt": ["Name", "Arn"]}}]`
		resources = append(resources, `"Name": {"Type": "AWS::ServiceDiscovery::Service", "Properties": {"Name": "users", "DnsConfig": {"NamespaceId": {"Ref": "Zone"}, "DnsRecords": [{"Type": "A", "TTL": `+s.cloudMap+`}]}}}`)
	}
	service := func(id, properties, mode, environment string) {
		resources = append(resources, `"T`+id+`": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"Family": "`+id+`", "NetworkMode": "`+mode+`", "Memory": "512", "ContainerDefinitions": [{"Name": "c", "Image": "node", "PortMappings": [{"Name": "http", "ContainerPort": 3000, "AppProtocol": "http"}], "Environment": [`+environment+`]}]}}`,
			`"`+id+`": {"Type": "AWS::ECS::Service", "Properties": {"ServiceName": "`+id+`", "TaskDefinition": {"Ref": "T`+id+`"}, "LoadBalancers": [{"ContainerName": "c", "ContainerPort": 3000, "TargetGroupArn": {"Ref": "Group"}}]`+properties+`}}`)
	}
	switch {
	case s.moved:
		service("users", "", "awsvpc", "")
		service("members", ways, "awsvpc", "")
	case !s.gone:
		mode := "awsvpc"
		if s.mode != "" {
			mode = s.mode
		}
		service("users", ways, mode, "")
	}
	environment, count := "", `, "DesiredCount": 1`
	if s.url != "" {
		environment = `{"Name": "USERS_URL", "Value": ` + s.url + `}`
	}
	if s.idle {
		count = `, "DesiredCount": 0`
	}
	service("threads", count+`, "ServiceConnectConfiguration": {"Enabled": true, "Namespace": "dev"}`, "awsvpc", environment)
	dir := t.TempDir()
	for name, content := range map[string]string{
		"manifest.json": `{"artifacts": {"S": {"type": "aws:cloudformation:stack", "environment": "aws://unknown-account/unknown-region", "properties": {"templateFile": "s.json"}}}}`,
		"s.json":        `{"Resources": {` + strings.Join(resources, ",") + `}}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	a, err := assembly.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestNamesOfServices: a name that goes while callers have it is a danger, for callees are deployed first. What else
// changes about names and calls is said in words.
func TestNamesOfServices(t *testing.T) {
	const byConnect, byCloudMap, byLoadBalancer = `"http://users:3000"`, `"http://users.dev.internal:3000"`, `{"Fn::Join": ["", ["http://", {"Fn::GetAtt": ["Lb", "DNSName"]}]]}`
	const exchanged, missed = "new tasks take the place of the running ones: the setting ", ". Until they are deployed, these still call it there: threads. Leave this way in Discovery, beside the new one, until a later deployment"
	connected := found{connect: "3000", timeout: "15", url: byConnect, scheme: "internet-facing"}
	mapped := found{cloudMap: "10", url: byCloudMap, scheme: "internet-facing"}
	both := found{connect: "3000", timeout: "15", cloudMap: "10", url: byConnect, scheme: "internet-facing"}
	balanced := found{url: byLoadBalancer, scheme: "internet-facing"}
	with := func(s found, change func(*found)) found { change(&s); return s }
	for _, test := range []struct {
		name       string
		was, is    found
		warns, not []string
		does       []string
	}{
		{name: "nothing", was: both, is: both},
		{name: "another way at once", was: connected, is: mapped,
			warns: []string{"users: it is no longer found as http://users:3000" + missed},
			does: []string{"users: it is found as http://users.dev.internal", "users: " + exchanged + "ServiceConnectConfiguration of the service changes", "users: " + exchanged + "ServiceRegistries of the service changes",
				"threads: the variable USERS_URL leads to users by AWS Cloud Map, as http://users.dev.internal. Until new tasks run, it leads to users by Service Connect, as http://users:3000"}},
		{name: "a further way", was: connected, is: both, does: []string{"users: it is found as http://users.dev.internal"}, not: []string{"no longer", "USERS_URL"}},
		{name: "the way of before goes when nobody calls it", was: with(both, func(s *found) { s.url = byCloudMap }), is: mapped,
			does: []string{"users: it is no longer found as http://users:3000. No task calls it there"}, not: []string{"still call"}},
		{name: "callers without tasks", was: with(connected, func(s *found) { s.idle = true }), is: with(mapped, func(s *found) { s.idle = true }),
			does: []string{"users: it is no longer found as http://users:3000. No task calls it there"}, not: []string{"still call"}},
		{name: "another port", was: connected, is: with(connected, func(s *found) { s.connect, s.url = "80", `"http://users:80"` }),
			warns: []string{"users: it is no longer found as http://users:3000" + missed}, does: []string{"users: it is found as http://users:80"}},
		{name: "the service goes", was: connected, is: found{gone: true, scheme: "internet-facing"},
			warns: []string{"users: it is no longer found as http://users:3000" + missed},
			does:  []string{"threads: the variable USERS_URL leads to no service any more. It led to users by Service Connect, as http://users:3000"}},
		{name: "another service takes the name", was: connected, is: with(connected, func(s *found) { s.moved = true }), not: []string{"still call"},
			does: []string{"threads: the variable USERS_URL leads to members by Service Connect, as http://users:3000. Until new tasks run, it leads to users by Service Connect, as http://users:3000"}},
		{name: "a first call", was: with(connected, func(s *found) { s.url = "" }), is: connected,
			does: []string{"threads: the variable USERS_URL leads to users by Service Connect, as http://users:3000"}},
		{name: "to the load balancer", was: connected, is: with(connected, func(s *found) { s.url = byLoadBalancer }),
			does: []string{"threads: the variable USERS_URL leads through the load balancer S. Until new tasks run, it leads to users by Service Connect, as http://users:3000",
				"threads: its calls leave by a NAT gateway and come back by the public addresses of the load balancer, and cost by the GB. A name in Discovery is a shorter way"}},
		{name: "to an internal load balancer", was: with(connected, func(s *found) { s.scheme = "internal" }), is: with(connected, func(s *found) { s.scheme, s.url = "internal", byLoadBalancer }), not: []string{"NAT gateway"}},
		{name: "away from the load balancer", was: balanced, is: connected, does: []string{"threads: the variable USERS_URL leads to users by Service Connect, as http://users:3000. Until new tasks run, it leads through the load balancer S"}, not: []string{"NAT gateway"}},
		{name: "time-outs", was: connected, is: with(connected, func(s *found) { s.timeout = "20" }), does: []string{"users: a call of it may take 20 s instead of 15 s"}, not: []string{"silent", "found"}},
		{name: "a TTL", was: mapped, is: with(mapped, func(s *found) { s.cloudMap = "60" }), does: []string{"users: callers may keep an address of it for 60 s instead of 10 s"}, not: []string{"found"}},
		{name: "network mode", was: with(balanced, func(s *found) { s.mode = "bridge" }), is: balanced,
			warns: []string{"users: tasks are in network mode awsvpc instead of bridge, in which the load balancer finds them otherwise: the target group is another one. Move the service to another compute and back, and shift the requests"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			changes, err := review.Tasks(review.Pair{Name: "dev", Before: test.was.read(t), After: test.is.read(t)})
			if err != nil {
				t.Fatal(err)
			}
			var warns, does []string
			for _, c := range changes {
				for _, line := range c.Warnings {
					warns = append(warns, c.Service+": "+line)
				}
				for _, line := range c.Does {
					does = append(does, c.Service+": "+line)
				}
			}
			if diff := cmp.Diff(test.warns, warns); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
			all := strings.Join(does, "\n") + "\n"
			for _, want := range test.does {
				if !strings.Contains("\n"+all, "\n"+want+"\n") {
					t.Errorf("it does not say %q:\n%s", want, all)
				}
			}
			for _, not := range test.not {
				if strings.Contains(all+strings.Join(warns, "\n"), not) {
					t.Errorf("it says %q:\n%s", not, all)
				}
			}
			if len(test.does)+len(test.warns)+len(test.not) == 0 && len(changes) > 0 {
				t.Errorf("it tells of %v", changes)
			}
		})
	}
}
