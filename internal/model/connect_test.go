package model

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// task is a task definition with a named port for each protocol.
func namedTask(mode string) string {
	return `"Task": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"NetworkMode": "` + mode + `", "ContainerDefinitions": [{"Name": "side", "Image": "i", "Memory": 64},
		{"Name": "web", "Image": "i", "Memory": 64, "PortMappings": [{"ContainerPort": 3000, "Name": "http", "AppProtocol": "http"}, {"ContainerPort": 4000, "Name": "calls", "AppProtocol": "grpc"}, {"ContainerPort": 5000, "Name": "raw"}, {"ContainerPort": 53, "Protocol": "udp"}]}]}}`
}

func service(properties string) string {
	return `"Service": {"Type": "AWS::ECS::Service", "Properties": {"TaskDefinition": {"Ref": "Task"}, ` + properties + `}}`
}

const namespaces = `"Http": {"Type": "AWS::ServiceDiscovery::HttpNamespace", "Properties": {"Name": "dev"}},
	"Zone": {"Type": "AWS::ServiceDiscovery::PrivateDnsNamespace", "Properties": {"Name": "Dev.internal", "Vpc": {"Ref": "Vpc"}}}, "Vpc": {"Type": "AWS::EC2::VPC"}`

func TestServiceConnect(t *testing.T) {
	for _, test := range []struct{ mode, configuration, want string }{
		{"awsvpc", `"Enabled": false, "Namespace": "dev", "Services": [{"PortName": "nothing", "ClientAliases": [{"Port": 1}, {"Port": 2}]}]`, "off"},
		{"awsvpc", ``, "off"},
		{"awsvpc", `"Enabled": true, "Namespace": "dev"`, "S/Http"},
		{"bridge", `"Enabled": true, "Namespace": {"Fn::GetAtt": ["Zone", "Arn"]}, "Services": [{"PortName": "http"}]`, "S/Zone http http.dev.internal:3000 web:3000 http 0 15s 5m0s"},
		{"awsvpc", `"Enabled": true, "Namespace": "elsewhere", "Services": [{"PortName": "calls", "DiscoveryName": "users", "ClientAliases": [{"Port": 80}]}]`, "elsewhere users users.elsewhere:80 web:4000 grpc 4000 15s 5m0s"},
		{"awsvpc", `"Enabled": true, "Namespace": {"Fn::GetAtt": ["Http", "Arn"]}, "Services": [
			{"PortName": "raw", "ClientAliases": [{"DnsName": "Users", "Port": 81}], "IngressPortOverride": 99, "Timeout": {"IdleTimeoutSeconds": 0}},
			{"PortName": "http", "DiscoveryName": "second", "ClientAliases": [{"DnsName": "users", "Port": 82}], "Timeout": {"IdleTimeoutSeconds": 7, "PerRequestTimeoutSeconds": 0}}]`,
			"S/Http raw users:81 web:5000 tcp 99 0s 0s, second users:82 web:3000 http 3000 0s 7s"},
		{"awsvpc", `"Enabled": true, "Namespace": "dev", "Services": [{"PortName": "raw"}]`, "S/Http raw raw.dev:5000 web:5000 tcp 5000 0s 1h0m0s"},

		{"awsvpc", `"Enabled": true`, "AWS refuses Service Connect without a namespace"},
		{"host", `"Enabled": true, "Namespace": "dev"`, "AWS refuses Service Connect in network mode host: only bridge and awsvpc have it"},
		{"awsvpc", `"Enabled": true, "Namespace": "dev", "Services": [{"PortName": "web"}]`, `Services[0].PortName: S/Task has no port mapping of the name "web"`},
		{"awsvpc", `"Enabled": true, "Namespace": "dev", "Services": [{}]`, `Services[0].PortName: expected the name of a port, found nothing`},
		{"awsvpc", `"Enabled": true, "Namespace": "dev", "Services": [{"PortName": "http", "ClientAliases": [{"Port": 1}, {"Port": 2}]}]`, `AWS refuses 2 client aliases`},
		{"awsvpc", `"Enabled": true, "Namespace": "dev", "Services": [{"PortName": "http", "ClientAliases": [{"DnsName": "a"}]}]`, `ClientAliases[0].Port: expected a port, found nothing`},
		{"awsvpc", `"Enabled": true, "Namespace": "dev", "Services": [{"PortName": "raw", "Timeout": {"PerRequestTimeoutSeconds": 1}}]`, `AWS refuses a time-out of requests for TCP`},
	} {
		s := read(t, namespaces+`, "Cluster": {"Type": "AWS::ECS::Cluster"}, `+namedTask(test.mode)+`, `+service(`"Cluster": {"Ref": "Cluster"}, "ServiceConnectConfiguration": {`+test.configuration+`}`)).Services[0]
		got := "off"
		if err := s.Problem("ServiceConnectConfiguration"); err != nil {
			got = err.Error()
		} else if c := s.Connect; c != nil {
			got = c.NamespaceKey
			if (c.Namespace != nil) != strings.Contains(got, "/") {
				t.Errorf("the namespace of %s is %v", got, c.Namespace)
			}
			var all []string
			for _, e := range c.Endpoints {
				all = append(all, fmt.Sprintf("%s %s:%d %s:%d %s %d %v %v", e.DiscoveryName, e.Host, e.Port, e.Container, e.ContainerPort, e.Protocol, e.IngressPort, e.RequestTimeout, e.IdleTimeout))
			}
			got = strings.TrimSpace(got + " " + strings.Join(all, ", "))
		}
		if got != test.want && (!strings.Contains(test.want, "AWS refuses") && !strings.Contains(test.want, "S/Task") && !strings.Contains(test.want, "expected") || !strings.Contains(got, test.want)) {
			t.Errorf("%s, %s:\n%s\nwant\n%s", test.mode, test.configuration, got, test.want)
		}
		if setting := s.Unsupported(map[string]string{"LogConfiguration": ""}, nil, "ServiceConnectConfiguration"); s.Problem("ServiceConnectConfiguration") == nil && setting != nil {
			t.Errorf("%s: %v", test.configuration, setting)
		}
	}
}

// A service without a namespace has that of its cluster.
func TestDefaultNamespace(t *testing.T) {
	for defaults, want := range map[string]string{
		`"ServiceConnectDefaults": {"Namespace": "dev"}`:                           "S/Http",
		`"ServiceConnectDefaults": {"Namespace": {"Fn::GetAtt": ["Zone", "Arn"]}}`: "S/Zone",
		`"ServiceConnectDefaults": {"Namespace": "new"}`:                           "new",
	} {
		m := read(t, namespaces+`, "Cluster": {"Type": "AWS::ECS::Cluster", "Properties": {`+defaults+`}}, `+namedTask("awsvpc")+`, `+service(`"Cluster": {"Ref": "Cluster"}, "ServiceConnectConfiguration": {"Enabled": true}`))
		if got := m.Services[0].Connect.NamespaceKey; got != want || m.Services[0].Problem() != nil {
			t.Errorf("%s: %s, %v, want %s", defaults, got, m.Services[0].Problem(), want)
		}
	}
	m := read(t, namedTask("awsvpc")+`, `+service(`"Cluster": "arn:other", "ServiceConnectConfiguration": {"Enabled": true}`))
	if got := m.Services[0].Connect.NamespaceKey; got != "the default of arn:other" || m.Services[0].Problem() != nil {
		t.Errorf("of a cluster elsewhere it is %s, %v", got, m.Services[0].Problem())
	}
}

// Of two namespaces with one name, the name means none.
func TestNamespacesOfOneName(t *testing.T) {
	const two = `"A": {"Type": "AWS::ServiceDiscovery::HttpNamespace", "Properties": {"Name": "dev"}}, "B": {"Type": "AWS::ServiceDiscovery::PrivateDnsNamespace", "Properties": {"Name": "dev"}}, `
	s := read(t, two+namedTask("awsvpc")+`, `+service(`"ServiceConnectConfiguration": {"Enabled": true, "Namespace": "dev"}`)).Services[0]
	if err := s.Problem(); err == nil || err.Error() != `S/Service/Properties.ServiceConnectConfiguration.Namespace: 2 namespaces of the assembly are called "dev": name the namespace by its ARN` {
		t.Errorf("by name: %v", err)
	}
	s = read(t, two+namedTask("awsvpc")+`, `+service(`"ServiceConnectConfiguration": {"Enabled": true, "Namespace": {"Fn::GetAtt": ["B", "Arn"]}}`)).Services[0]
	if s.Problem() != nil || s.Connect.NamespaceKey != "S/B" {
		t.Errorf("by ARN: %v, %s", s.Problem(), s.Connect.NamespaceKey)
	}
}

func TestDiscoveryService(t *testing.T) {
	m := read(t, namespaces+`,
		"Records": {"Type": "AWS::ServiceDiscovery::Service", "Properties": {"Name": "Users", "NamespaceId": {"Fn::GetAtt": ["Zone", "Id"]}, "HealthCheckCustomConfig": {"FailureThreshold": 1},
			"DnsConfig": {"NamespaceId": {"Ref": "Zone"}, "RoutingPolicy": "WEIGHTED", "DnsRecords": [{"Type": "A", "TTL": "60"}, {"Type": "SRV", "TTL": 5}]}}},
		"Api": {"Type": "AWS::ServiceDiscovery::Service", "Properties": {"NamespaceId": {"Ref": "Http"}, "Type": "HTTP"}},
		"Alone": {"Type": "AWS::ServiceDiscovery::Service", "Properties": {"Name": "x", "NamespaceId": "ns-1", "DnsConfig": {"DnsRecords": [{"Type": "A"}]}}}`)
	if types := strings.Join([]string{m.Namespaces[0].Type, m.Namespaces[0].Name, m.Namespaces[1].Type, m.Namespaces[1].VPC}, " "); types != "HTTP dev DNS_PRIVATE S/Vpc" {
		t.Errorf("the namespaces are %s", types)
	}
	alone, api, records := m.DiscoveryServices[0], m.DiscoveryServices[1], m.DiscoveryServices[2]
	if records.Host() != "users.dev.internal" || !records.Weighted || !records.CustomHealth || records.Namespace != m.Namespaces[1] || records.Problem() != nil || len(records.Settings) > 0 {
		t.Errorf("the service is %+v, %v", records, records.Problem())
	}
	if a, srv := records.Record("A"), records.Record("SRV"); a.TTL != time.Minute || srv.TTL != 5*time.Second || records.Record("AAAA") != nil {
		t.Errorf("its records are %+v", records.Records)
	}
	if api.Name != "Api" || api.Host() != "api.dev" || api.Weighted || api.CustomHealth || len(api.Settings) != 1 {
		t.Errorf("the other is %+v", api)
	}
	if alone.Host() != "x" || alone.Namespace != nil || alone.Problem() == nil || !strings.Contains(alone.Problem().Error(), "DnsRecords[0].TTL: expected a number of seconds") {
		t.Errorf("one elsewhere is %+v, %v", alone, alone.Problem())
	}
}

func TestRegistries(t *testing.T) {
	const arn = `"RegistryArn": {"Fn::GetAtt": ["Names", "Arn"]}`
	for _, test := range []struct{ mode, records, registry, want string }{
		{"awsvpc", "A", arn, "S/Names  0"},
		{"awsvpc", "A", arn + `, "ContainerName": "web", "ContainerPort": 3000`, "S/Names web 3000"},
		{"awsvpc", "SRV", arn + `, "Port": 3000`, "S/Names  3000"},
		{"awsvpc", "SRV", arn + `, "ContainerName": "web", "ContainerPort": 3000`, "S/Names web 3000"},
		{"bridge", "SRV", arn + `, "ContainerName": "web", "ContainerPort": 3000`, "S/Names web 3000"},
		{"host", "SRV", arn + `, "ContainerName": "web", "ContainerPort": 3000`, "S/Names web 3000"},
		{"bridge", "A", `"RegistryArn": "arn:x", "ContainerName": "web", "ContainerPort": 3000`, "arn:x web 3000"},

		{"awsvpc", "A", ``, "RegistryArn: expected the ARN of a service of AWS Cloud Map, found nothing"},
		{"awsvpc", "SRV", arn, "AWS refuses SRV records without a port"},
		{"awsvpc", "SRV", arn + `, "ContainerName": "web", "ContainerPort": 3000, "Port": 3000`, "AWS refuses a Port beside a ContainerName"},
		{"bridge", "SRV", arn, "AWS refuses a registry without ContainerName and ContainerPort in network mode bridge"},
		{"host", "SRV", arn + `, "Port": 3000`, "without ContainerName and ContainerPort in network mode host"},
		{"bridge", "A", arn + `, "ContainerName": "web", "ContainerPort": 3000`, "AWS refuses A records of tasks in network mode bridge"},
		{"bridge", "AAAA", arn + `, "ContainerName": "web", "ContainerPort": 3000`, "AWS refuses A records"},
		{"none", "A", arn, "AWS registers no tasks without a network"},
		{"awsvpc", "A", arn + `, "ContainerName": "side", "ContainerPort": 3000`, `S/Task has no container "side" that maps port 3000`},
	} {
		s := read(t, namespaces+`, "Names": {"Type": "AWS::ServiceDiscovery::Service", "Properties": {"Name": "users", "DnsConfig": {"NamespaceId": {"Ref": "Zone"}, "DnsRecords": [{"TTL": 1, "Type": "`+test.records+`"}]}}}, `+
			namedTask(test.mode)+`, `+service(`"ServiceRegistries": [{`+test.registry+`}]`)).Services[0]
		r := s.Registries[0]
		got := fmt.Sprintf("%s %s %d", r.ServiceID, r.Container, r.Port)
		if err := s.Problem("ServiceRegistries"); err != nil {
			got = err.Error()
		} else if (r.Service != nil) != strings.HasPrefix(got, "S/") {
			t.Errorf("%s: the service is %v", test.registry, r.Service)
		}
		if !strings.Contains(got, test.want) || s.Problem("ServiceRegistries") == nil && got != test.want {
			t.Errorf("%s, %s, %s: %s, want %s", test.mode, test.records, test.registry, got, test.want)
		}
	}
	s := read(t, namedTask("awsvpc")+`, `+service(`"ServiceRegistries": [{"RegistryArn": "a"}, {"RegistryArn": "b"}]`)).Services[0]
	if err := s.Problem(); err == nil || !strings.Contains(err.Error(), "AWS refuses 2 registries") {
		t.Errorf("two: %v", err)
	}
	if s := read(t, namedTask("awsvpc")+`, `+service(`"ServiceRegistries": []`)).Services[0]; s.Registries != nil || s.Problem() != nil {
		t.Errorf("none: %v", s.Registries)
	}
}

// What security groups let pass, from tasks with interfaces of their own and from those on an instance.
func TestRefusal(t *testing.T) {
	group := func(name, egress string, ingress ...string) string {
		if egress != "" {
			egress = `"SecurityGroupEgress": [` + egress + `], `
		}
		return fmt.Sprintf(`%q: {"Type": "AWS::EC2::SecurityGroup", "Properties": {%s"SecurityGroupIngress": [%s]}}`, name, egress, strings.Join(ingress, ", "))
	}
	rule := func(protocol, from, to, peer string) string {
		return fmt.Sprintf(`{"IpProtocol": %q, "FromPort": %s, "ToPort": %s, %s}`, protocol, from, to, peer)
	}
	from := func(name string) string {
		return `"SourceSecurityGroupId": {"Fn::GetAtt": ["` + name + `", "GroupId"]}`
	}
	to := func(name string) string { return `"DestinationSecurityGroupId": {"Ref": "` + name + `"}` }
	cidr := func(text string) string { return `"CidrIp": ` + text }
	anywhere := `{"IpProtocol": "-1", "CidrIp": "0.0.0.0/0"}`
	for name, test := range map[string]struct {
		a, b string // the groups of caller and callee
		port int
		want string
	}{
		"by group":                     {group("A", ""), group("B", "", rule("tcp", "3000", "3000", from("A"))), 3000, ""},
		"by another group":             {group("A", ""), group("B", "", rule("tcp", "3000", "3000", from("B"))), 3000, "does not admit it"},
		"by nobody":                    {group("A", ""), group("B", ""), 3000, "does not admit it"},
		"first port":                   {group("A", ""), group("B", "", rule("tcp", "3000", "3001", from("A"))), 3000, ""},
		"last port":                    {group("A", ""), group("B", "", rule("tcp", "2999", "3000", from("A"))), 3000, ""},
		"port before":                  {group("A", ""), group("B", "", rule("tcp", "3001", "3002", from("A"))), 3000, "does not admit it"},
		"port behind":                  {group("A", ""), group("B", "", rule("tcp", "2000", "2999", from("A"))), 3000, "does not admit it"},
		"UDP":                          {group("A", ""), group("B", "", rule("udp", "3000", "3000", from("A"))), 3000, "does not admit it"},
		"by number":                    {group("A", ""), group("B", "", rule("6", "3000", "3000", from("A"))), 3000, ""},
		"any protocol":                 {group("A", ""), group("B", "", rule("-1", "1", "1", from("A"))), 3000, ""},
		"from anywhere":                {group("A", ""), group("B", "", rule("tcp", "3000", "3000", cidr(`"0.0.0.0/0"`))), 3000, ""},
		"from the VPC":                 {group("A", ""), group("B", "", rule("tcp", "3000", "3000", cidr(`{"Fn::GetAtt": ["Vpc", "CidrBlock"]}`))), 3000, ""},
		"from its subnet":              {group("A", ""), group("B", "", rule("tcp", "3000", "3000", cidr(`"10.0.0.0/24"`))), 3000, ""},
		"from another range":           {group("A", ""), group("B", "", rule("tcp", "3000", "3000", cidr(`"10.0.9.0/24"`))), 3000, "does not admit it"},
		"from one address":             {group("A", ""), group("B", "", rule("tcp", "3000", "3000", cidr(`"10.9.0.1/32"`))), 3000, "does not admit it"},
		"by IPv6":                      {group("A", ""), group("B", "", rule("tcp", "3000", "3000", `"CidrIpv6": "::/0"`)), 3000, "does not admit it"},
		"by a list of prefixes":        {group("A", ""), group("B", "", rule("tcp", "3000", "3000", `"SourcePrefixListId": "pl-1"`)), 3000, ""},
		"out to anywhere":              {group("A", anywhere), group("B", "", anywhere), 3000, ""},
		"out to nobody":                {group("A", `{"IpProtocol": "icmp", "CidrIp": "255.255.255.255/32"}`), group("B", "", anywhere), 3000, "does not let it out"},
		"out to the group":             {group("A", rule("tcp", "3000", "3000", to("B"))), group("B", "", anywhere), 3000, ""},
		"out to another port":          {group("A", rule("tcp", "443", "443", to("B"))), group("B", "", anywhere), 3000, "does not let it out"},
		"ingress is no egress":         {group("A", rule("tcp", "1", "1", to("B")), rule("tcp", "3000", "3000", from("B"))), group("B", "", anywhere), 3000, "does not let it out"},
		"egress is no ingress":         {group("A", ""), group("B", rule("tcp", "3000", "3000", to("A"))), 3000, "does not admit it"},
		"to ports that the host picks": {group("A", ""), group("B", "", rule("tcp", "32768", "60999", from("A"))), 0, ""},
		"to few of them":               {group("A", ""), group("B", "", rule("tcp", "32769", "65535", from("A"))), 0, "does not admit it"},
		"to all but the last":          {group("A", ""), group("B", "", rule("tcp", "32768", "60998", from("A"))), 0, "does not admit it"},
	} {
		service := func(name, groups string) string {
			return fmt.Sprintf(`"Of%[1]s": {"Type": "AWS::ECS::Service", "Properties": {"TaskDefinition": {"Ref": "Task"}, "NetworkConfiguration": {"AwsvpcConfiguration": {"SecurityGroups": [%[2]s], "Subnets": [{"Ref": "In%[1]s"}]}}}}`, name, groups)
		}
		const subnets = `"Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}},
			"InA": {"Type": "AWS::EC2::Subnet", "Properties": {"CidrBlock": "10.0.0.0/24", "VpcId": {"Ref": "Vpc"}}}, "InB": {"Type": "AWS::EC2::Subnet", "Properties": {"CidrBlock": "10.0.1.0/24", "VpcId": {"Ref": "Vpc"}}}, `
		m := read(t, subnets+test.a+", "+test.b+", "+namedTask("awsvpc")+", "+service("A", `{"Ref": "A"}`)+", "+service("B", `{"Fn::GetAtt": ["B", "GroupId"]}`))
		a, b := m.Network(m.Services[0]), m.Network(m.Services[1])
		if a.VPC != "S/Vpc" || len(a.Ranges) != 1 || len(a.Groups) != 1 {
			t.Fatalf("the caller is in %+v", a)
		}
		if got := m.Refusal(a, b, test.port); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
		// The service still lists what it does not know.
		if len(m.Services[0].Settings) == 0 {
			t.Error("the groups of a service are no settings any more")
		}
		// What is not known refuses nothing.
		m = read(t, subnets+test.a+", "+test.b+", "+namedTask("awsvpc")+", "+service("A", `{"Ref": "A"}, "sg-1"`)+", "+service("B", `"sg-2"`))
		if got := m.Refusal(m.Network(m.Services[0]), m.Network(m.Services[1]), test.port); got != "" {
			t.Errorf("%s, with groups that are not known: %q", name, got)
		}
	}
}

// Tasks in bridge mode have the groups of the instances, if it is known which instances those are.
func TestNetworkOfInstances(t *testing.T) {
	const group = `"G": {"Type": "AWS::EC2::SecurityGroup"}, "In": {"Type": "AWS::EC2::Subnet", "Properties": {"VpcId": {"Ref": "Vpc"}}}, "Vpc": {"Type": "AWS::EC2::VPC"}`
	instances := func(name, launch string) string {
		return fmt.Sprintf(`%q: {"Type": "AWS::AutoScaling::AutoScalingGroup", "Properties": {"MinSize": "1", "MaxSize": "1", "VPCZoneIdentifier": [{"Ref": "In"}], %s}}`, name, launch)
	}
	template := func(data string) string {
		return instances("Machines", `"LaunchTemplate": {"LaunchTemplateId": {"Ref": "Launch"}}`) + `, "Launch": {"Type": "AWS::EC2::LaunchTemplate", "Properties": {"LaunchTemplateData": {` + data + `}}}`
	}
	configuration := `"LaunchConfigurationName": {"Ref": "Launch"}`
	for resources, want := range map[string]string{
		template(`"SecurityGroupIds": [{"Fn::GetAtt": ["G", "GroupId"]}]`):                "[S/G] S/Vpc",
		template(`"NetworkInterfaces": [{"Groups": [{"Fn::GetAtt": ["G", "GroupId"]}]}]`): "[S/G] S/Vpc",
		template(`"SecurityGroupIds": ["sg-1"]`):                                          "[] S/Vpc",
		template(``):                                                                      "[] S/Vpc",
		instances("Machines", configuration) + `, "Launch": {"Type": "AWS::AutoScaling::LaunchConfiguration", "Properties": {"SecurityGroups": [{"Ref": "G"}]}}`: "[S/G] S/Vpc",
		template(`"SecurityGroupIds": [{"Ref": "G"}]`) + ", " + instances("Others", configuration):                                                               "[] ",
		instances("Machines", `"LaunchTemplate": {"LaunchTemplateId": "lt-1"}`):                                                                                  "[] ",
	} {
		m := read(t, group+", "+resources+", "+namedTask("bridge")+", "+service(`"DesiredCount": 1`))
		n := m.Network(m.Services[0])
		if diff := cmp.Diff(want, fmt.Sprint(n.Groups, " ", n.VPC)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", resources, diff)
		}
	}
	if n := (&Model{}).Network(&Service{}); n.Groups != nil || n.VPC != "" {
		t.Errorf("a task of its own is in %+v", n)
	}
}
