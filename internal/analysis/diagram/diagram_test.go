package diagram

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cutover/internal/assembly"
)

// read reads an assembly of one stack, or of stacks by name.
func read(t *testing.T, resources string) *assembly.Assembly {
	t.Helper()
	return readStacks(t, `"s": {"type": "aws:cloudformation:stack", "environment": "aws://unknown-account/unknown-region", "properties": {"templateFile": "s.json"}}`, map[string]string{"s.json": `{"Resources": {` + resources + `}}`})
}

func readStacks(t *testing.T, artifacts string, files map[string]string) *assembly.Assembly {
	t.Helper()
	dir := t.TempDir()
	files["manifest.json"] = `{"artifacts": {` + artifacts + `}}`
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	a, err := assembly.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// shop is a load balancer whose rule sends a part of the requests for a path to a
// new service.
func shop(newWeight, oldWeight, count string) string {
	return `
	"Listener": {"Type": "AWS::ElasticLoadBalancingV2::Listener", "Properties": {"Port": 80, "Protocol": "HTTP", "LoadBalancerArn": {"Ref": "LB"},
		"DefaultActions": [{"Type": "forward", "TargetGroupArn": {"Ref": "Old"}}]}},
	"LB": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer"},
	"Rule": {"Type": "AWS::ElasticLoadBalancingV2::ListenerRule", "Properties": {"ListenerArn": {"Ref": "Listener"}, "Priority": 7,
		"Conditions": [{"Field": "path-pattern", "Values": ["/new/*"]}, {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "X", "Values": ["a\"b<c>"]}}, {"Field": "host-header", "Values": ["shop.example"]}],
		"Actions": [{"Type": "forward", "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": {"Ref": "New"}, "Weight": ` + newWeight + `}, {"TargetGroupArn": {"Ref": "Old"}, "Weight": ` + oldWeight + `}]}}]}},
	"Closed": {"Type": "AWS::ElasticLoadBalancingV2::ListenerRule", "Properties": {"ListenerArn": {"Ref": "Listener"}, "Priority": 8,
		"Conditions": [{"Field": "path-pattern", "Values": ["/closed"]}], "Actions": [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "410"}}]}},
	"Old": {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Properties": {"Name": "old"}},
	"New": {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Properties": {"Name": "new"}},
	"Images": {"Type": "AWS::ECR::Repository", "Properties": {"RepositoryName": "new"}},
	"Unused": {"Type": "AWS::ECR::Repository", "Properties": {"RepositoryName": "ew"}},
	"Cluster": {"Type": "AWS::ECS::Cluster"},
	"Machines": {"Type": "AWS::AutoScaling::AutoScalingGroup", "Properties": {"MinSize": "1", "MaxSize": "3"}},
	"Tasks": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"ContainerDefinitions": [{"Name": "c", "Image": {"Fn::Sub": "${AWS::AccountId}.dkr.ecr.us-east-1.amazonaws.com/new:v1"}}]}},
	"Service": {"Type": "AWS::ECS::Service", "Properties": {"ServiceName": "new", "Cluster": {"Ref": "Cluster"}, "TaskDefinition": {"Ref": "Tasks"}, "DesiredCount": ` + count + `,
		"LoadBalancers": [{"TargetGroupArn": {"Ref": "New"}, "ContainerName": "c", "ContainerPort": 80}]}}`
}

func TestRequests(t *testing.T) {
	one, err := Requests(Layer{"", read(t, shop("25", "75", "2"))})
	if err != nil {
		t.Fatal(err)
	}
	want := `flowchart LR
    client_1(["client"])
    subgraph s_1 ["s"]
        loadbalancerHTTP80_1["load balancer, HTTP:80"]
        410_1(["410"])
        new_1{{"new"}}
        old_1{{"old<br>no targets: 503"}}
        new_3[("new")]
    end
    subgraph s1to3EC2instances_1 ["s, 1 to 3 EC2 instances"]
        new_2[["new<br>2 tasks"]]
    end
    client_1 --> loadbalancerHTTP80_1
    loadbalancerHTTP80_1 -->|"7 /new/* and http-header X a#quot;b#lt;c#gt; and host-header shop.example<br>25 %"| new_1
    loadbalancerHTTP80_1 -->|"7 /new/* and http-header X a#quot;b#lt;c#gt; and host-header shop.example<br>75 %"| old_1
    loadbalancerHTTP80_1 -->|"8 /closed"| 410_1
    loadbalancerHTTP80_1 -->|"else"| old_1
    new_1 --> new_2
    new_2 -.->|"image"| new_3
`
	if one != want {
		t.Errorf("the picture is\n%s\nwant\n%s", one, want)
	}

	// What differs between layers is said of each.
	several, err := Requests(
		Layer{"before", read(t, shop("0", "1", "0"))}, Layer{"begun", read(t, shop("1", "1", "1"))}, Layer{"after", read(t, shop("1", "0", "1"))})
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		`        new_2[["new<br>1 task<br>0 tasks in before"]]`,
		`shop.example<br>in after<br>50 % in begun"| new_1`,
		`shop.example<br>in before<br>50 % in begun"| old_1`,
		`    loadbalancerHTTP80_1 -->|"else"| old_1`,
		`        old_1{{"old<br>no targets: 503"}}`,
	} {
		if !strings.Contains(several, line+"\n") {
			t.Errorf("the picture of several has no line %q:\n%s", line, several)
		}
	}
	// In one layer a target group without a share is attached all the same.
	if zero, err := Requests(Layer{"", read(t, shop("0", "1", "0"))}); err != nil || !strings.Contains(zero, `-.->|"7 /new/* and http-header X a#quot;b#lt;c#gt; and host-header shop.example<br>0 %"| new_1`) {
		t.Errorf("the picture without a share is %v\n%s", err, zero)
	}

	for name, resources := range map[string]string{
		"requests\ns/Nlb: a Network Load Balancer forwards connections, and looks at no requests": `"Nlb": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer", "Properties": {"Type": "network"}}`,
		"no Application Load Balancer listens":                                                    `"LB": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer"}`,
		"s/Service/Properties.DesiredCount":                                                       shop("1", "1", `"some"`),
		"s/Rule/Properties.Priority":                                                              strings.Replace(shop("1", "1", "1"), `"Priority": 7`, `"Priority": 0`, 1),
	} {
		if got, err := Requests(Layer{"", read(t, resources)}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("the error is %v, want it to name %q; the picture is\n%s", err, name, got)
		}
	}
}

// Targets that are no tasks are drawn, and only a group without any answers 503.
func TestTargets(t *testing.T) {
	group := func(properties string) string {
		return `"G": {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Properties": {` + properties + `}},
			"L": {"Type": "AWS::ElasticLoadBalancingV2::Listener", "Properties": {"Port": 80, "Protocol": "HTTP", "LoadBalancerArn": "arn:x", "DefaultActions": [{"Type": "forward", "TargetGroupArn": {"Ref": "G"}}]}}`
	}
	none := group("")
	for _, test := range []struct{ resources, want string }{
		{none, ""},
		{group(`"TargetType": "lambda", "Targets": [{"Id": {"Fn::GetAtt": ["F", "Arn"]}}]`) + `, "F": {"Type": "AWS::Lambda::Function"}`, "Lambda function F"},
		{group(`"TargetType": "lambda", "Targets": [{"Id": "arn:aws:lambda:eu-west-1:1:function:f"}]`), "Lambda function f"},
		{group(`"TargetType": "ip", "Targets": [{"Id": "2001:db8::1"}, {"Id": "10.0.0.1", "Port": 81}]`), "address 2001:db8::1, address 10.0.0.1:81"},
		{group(`"Targets": [{"Id": {"Ref": "I"}, "Port": 80}]`) + `, "I": {"Type": "AWS::EC2::Instance"}`, "instance I:80"},
		{none + `, "A": {"Type": "AWS::AutoScaling::AutoScalingGroup", "Properties": {"MinSize": 1, "MaxSize": 1, "TargetGroupARNs": [{"Ref": "G"}]}}`, "instances of A"},
		{none + `, "A": {"Type": "AWS::AutoScaling::AutoScalingGroup", "Properties": {"MinSize": 1, "MaxSize": 1}}`, ""},
		{none + `, "D": {"Type": "AWS::CodeDeploy::DeploymentGroup", "Properties": {"LoadBalancerInfo": {"Fn::GetAtt": ["G", "TargetGroupName"]}}}`, "AWS::CodeDeploy::DeploymentGroup D"},
		{none + `, "D": {"Type": "AWS::CloudWatch::Dashboard", "Properties": {"DashboardBody": {"Fn::Sub": "${G.TargetGroupFullName}"}}}`, ""},
		{none + `, "P": {"Type": "AWS::SSM::Parameter", "Properties": {"Name": "/a", "Value": {"Ref": "G"}}}`, ""},
	} {
		got, err := Requests(Layer{"", read(t, test.resources)})
		if err != nil {
			t.Error(err)
			continue
		}
		if strings.Contains(got, "no targets: 503") != (test.want == "") {
			t.Errorf("%s\nis drawn as\n%s", test.resources, got)
		}
		for want := range strings.SplitSeq(test.want, ", ") {
			if want != "" && (!strings.Contains(got, `["`+want+`"]`) || strings.Count(got, "    G_1 --> ") != strings.Count(test.want, ",")+1) {
				t.Errorf("%s\nis drawn as\n%s, want the target %s", test.resources, got, want)
			}
		}
	}

	// A load balancer of another kind is left out, and so are its groups.
	beside := none + `, "Nlb": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer", "Properties": {"Type": "network"}},
		"T": {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Properties": {"Protocol": "TCP"}},
		"M": {"Type": "AWS::ElasticLoadBalancingV2::Listener", "Properties": {"Port": 80, "Protocol": "TCP", "LoadBalancerArn": {"Ref": "Nlb"}, "DefaultActions": [{"Type": "forward", "TargetGroupArn": {"Ref": "T"}}]}},
		"S": {"Type": "AWS::ECS::Service", "Properties": {"LoadBalancers": [{"ContainerName": "c", "ContainerPort": 80, "TargetGroupArn": {"Ref": "T"}}, {"ContainerName": "c", "ContainerPort": 80, "TargetGroupArn": {"Ref": "G"}}]}}`
	got, err := Requests(Layer{"", read(t, beside)})
	if err != nil || strings.Contains(got, "T_1") || strings.Contains(got, "TCP") || !strings.Contains(got, "G_1 --> S_1") {
		t.Errorf("a load balancer beside another kind is drawn as\n%s, %v", got, err)
	}
}

// Sidecars stand below their service, and images of registries and file systems beside it.
func TestContainers(t *testing.T) {
	of := func(properties, service string) string {
		t.Helper()
		got, err := Requests(Layer{"", read(t, strings.Replace(shop("1", "1", "1"), `"Tasks": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"ContainerDefinitions": [{"Name": "c", "Image": {"Fn::Sub": "${AWS::AccountId}.dkr.ecr.us-east-1.amazonaws.com/new:v1"}}]}}`,
			`"Files": {"Type": "AWS::EFS::FileSystem"}, "Tasks": {"Type": "AWS::ECS::TaskDefinition", "Properties": {`+properties+`}}`+service, 1))})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	got := of(`"ContainerDefinitions": [{"Name": "first", "Image": "redis:7"}, {"Name": "c", "Image": "node:24"}, {"Name": "last", "Image": "redis:7"}],
		"Volumes": [{"Name": "data", "EFSVolumeConfiguration": {"FilesystemId": {"Ref": "Files"}}}, {"Name": "theirs", "EFSVolumeConfiguration": {"FilesystemId": "fs-1"}}, {"Name": "host", "Host": {"SourcePath": "/var"}}]`, "")
	for _, line := range []string{
		`    redis7_1[("redis:7")]`,
		`    filesystemfs1_1[("file system fs-1")]`,
		`        filesystem_1[("file system")]`, // in its stack
		`        new_2[["new<br>with first, last<br>1 task"]]`,
		`    new_2 -.->|"image"| redis7_1`,
		`    new_2 -.->|"image"| node24_1`,
		`    new_2 -.->|"volume data"| filesystem_1`,
		`    new_2 -.->|"volume theirs"| filesystemfs1_1`,
	} {
		if strings.Count(got, line+"\n") != 1 {
			t.Errorf("it has no line %q, or several:\n%s", line, got)
		}
	}
	if strings.Contains(got, "volume host") {
		t.Errorf("a directory of the instance is drawn:\n%s", got)
	}
	// Of a worker, the first container is the service's own.
	got = of(`"ContainerDefinitions": [{"Name": "c", "Image": "node:24"}]`, `, "Work": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"ContainerDefinitions": [{"Name": "w", "Image": "a:1"}, {"Name": "x", "Image": "b:1"}]}},
		"Worker": {"Type": "AWS::ECS::Service", "Properties": {"ServiceName": "worker", "DesiredCount": 1, "TaskDefinition": {"Ref": "Work"}}}`)
	if !strings.Contains(got, `[["worker<br>with x<br>1 task"]]`) || !strings.Contains(got, `[["new<br>1 task"]]`) {
		t.Errorf("a worker is drawn as\n%s", got)
	}
}

// Tasks on Fargate are on no instance: they have a box of their own, also beside the old pair of a
// service that moves.
func TestFargate(t *testing.T) {
	two := func(old, new string) string {
		return strings.Replace(shop(new, old, "2"), `"Cluster": {"Type"`, `"Old2": {"Type": "AWS::ECS::Service", "Properties": {"ServiceName": "new-fargate", "Cluster": {"Ref": "Cluster"}, "TaskDefinition": {"Ref": "Tasks"}, "DesiredCount": 1,
		"CapacityProviderStrategy": [{"CapacityProvider": "FARGATE", "Weight": 1}, {"CapacityProvider": "FARGATE_SPOT", "Weight": 1}],
		"LoadBalancers": [{"TargetGroupArn": {"Ref": "Old"}, "ContainerName": "c", "ContainerPort": 80}]}},
		"Alone": {"Type": "AWS::ECS::Service", "Properties": {"ServiceName": "alone", "LaunchType": "FARGATE", "DesiredCount": 0}},
		"Cluster": {"Type"`, 1)
	}
	got, err := Requests(Layer{"", read(t, two("25", "75"))})
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{
		"    subgraph s1to3EC2instances_1 [\"s, 1 to 3 EC2 instances\"]\n        new_3[[\"new<br>2 tasks\"]]\n    end\n",
		"    subgraph sFargate_1 [\"s, Fargate\"]\n        alone_1[[\"alone<br>0 tasks\"]]\n        newfargate_1[[\"new-fargate<br>on Fargate Spot, too<br>1 task\"]]\n    end\n",
		"    new_1 --> new_3\n", "    old_1 --> newfargate_1\n",
	} {
		if strings.Count(got, part) != 1 {
			t.Errorf("it has no part %q:\n%s", part, got)
		}
	}
}

func TestStacks(t *testing.T) {
	stack := func(name, dependencies string) string {
		return `"` + name + `": {"type": "aws:cloudformation:stack", "environment": "aws://unknown-account/unknown-region", "properties": {"templateFile": "t.json"}, "dependencies": [` + dependencies + `]}`
	}
	a := readStacks(t, strings.Join([]string{
		stack("App", `"Net", "Data-1"`), stack("Data-1", `"Net"`), stack("Net", ``), stack("Data1", `"Net"`),
	}, ", "), map[string]string{"t.json": `{"Resources": {}}`})
	want := `flowchart LR
    Net_1["Net"]
    Data1_1["Data-1"]
    App_1["App"]
    Data1_2["Data1"]
    Net_1 --> Data1_1
    Data1_1 --> App_1
    Net_1 --> Data1_2
`
	if got := Stacks(a); got != want {
		t.Errorf("the picture is\n%s\nwant\n%s", got, want)
	}
}

// A name stays text in a drawing: it begins no directive and no formula, and ends no label.
func TestLabel(t *testing.T) {
	for text, want := range map[string]string{
		"%%{init: {}}%% 10 %":                `"#37;#37;{init: {}}#37;#37; 10 %"`,
		"a\"] --> b[\"c":                     `"a#quot;] --&gt; b[#quot;c"`,
		"a\nclick a \"javascript:alert(1)\"": `"a click a #quot;javascript:alert(1)#quot;"`,
		"`**b**` $$x$$ a\\nb":                `"#96;**b**#96; #36;#36;x#36;#36; a#92;nb"`,
		"&lt;b&gt; #lt;i#gt;":                `"#38;lt;b#38;gt; #35;lt;i#35;gt;"`,
		"\x1b[31m":                           `"#92;x1b[31m"`,
	} {
		if got := label(text); got != strings.ReplaceAll(want, "&gt;", "#gt;") {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

// Calls are arrows: to the service that has the name, or to the listener of the load balancer. Of layers
// they say where they differ.
func TestCalls(t *testing.T) {
	of := func(environment string) *assembly.Assembly {
		return read(t, `"LB": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer"},
			"Http": {"Type": "AWS::ElasticLoadBalancingV2::Listener", "Properties": {"Port": 80, "Protocol": "HTTP", "LoadBalancerArn": {"Ref": "LB"}, "DefaultActions": [{"Type": "forward", "TargetGroupArn": {"Ref": "Group"}}]}},
			"Https": {"Type": "AWS::ElasticLoadBalancingV2::Listener", "Properties": {"Port": 443, "Protocol": "HTTPS", "LoadBalancerArn": {"Ref": "LB"}, "DefaultActions": [{"Type": "forward", "TargetGroupArn": {"Ref": "Group"}}]}},
			"Group": {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Properties": {"Name": "group"}},
			"Silent": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer"},
			"Other": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"NetworkMode": "awsvpc", "ContainerDefinitions": [{"Name": "c", "PortMappings": [{"Name": "http", "ContainerPort": 3000}]}]}},
			"Users": {"Type": "AWS::ECS::Service", "Properties": {"ServiceName": "users", "TaskDefinition": {"Ref": "Other"},
				"ServiceConnectConfiguration": {"Enabled": true, "Namespace": "dev", "Services": [{"PortName": "http", "ClientAliases": [{"DnsName": "users", "Port": 3000}]}]}}},
			"Task": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"NetworkMode": "awsvpc", "ContainerDefinitions": [{"Name": "c", "Environment": [`+environment+`]}]}},
			"Api": {"Type": "AWS::ECS::Service", "Properties": {"ServiceName": "api", "TaskDefinition": {"Ref": "Task"}, "ServiceConnectConfiguration": {"Enabled": true, "Namespace": "dev"}}}`)
	}
	address := func(balancer, scheme string) string {
		return `{"Name": "` + balancer + scheme + `", "Value": {"Fn::Sub": "` + scheme + `://${` + balancer + `.DNSName}"}}`
	}
	const users = `{"Name": "USERS_URL", "Value": "http://users:3000"}, {"Name": "USERS_TOO", "Value": "http://users:3000"}`
	const arrow, plain, secure = "    api_1 -->|\"calls by Service Connect\"| users_1\n", "    api_1 -->|\"calls\"| loadbalancerHTTP80_1\n", "    api_1 -->|\"calls\"| loadbalancerHTTPS443_1\n"
	for _, test := range []struct {
		name   string
		layers []Layer
		want   []string
		not    string
	}{
		{"a name, twice", []Layer{{"", of(users)}}, []string{arrow}, "HTTP80_1\n    api"},
		{"a load balancer", []Layer{{"", of(address("LB", "http"))}}, []string{plain}, secure},
		{"a load balancer with HTTPS", []Layer{{"", of(address("LB", "https"))}}, []string{secure}, plain},
		{"one that nothing listens at", []Layer{{"", of(address("Silent", "http"))}}, nil, "calls"},
		{"in one of two layers", []Layer{{"before", of(address("LB", "http"))}, {"after", of(users)}},
			[]string{"    api_1 -->|\"calls by Service Connect<br>in after\"| users_1\n", "    api_1 -->|\"calls<br>in before\"| loadbalancerHTTP80_1\n"}, secure},
		{"in both layers", []Layer{{"before", of(users)}, {"after", of(users)}}, []string{arrow}, "in after"},
	} {
		text, err := Requests(test.layers...)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range test.want {
			if strings.Count(text, want) != 1 {
				t.Errorf("%s: it lacks %q, or has it twice:\n%s", test.name, want, text)
			}
		}
		if strings.Contains(text, test.not) {
			t.Errorf("%s: it has %q:\n%s", test.name, test.not, text)
		}
	}
}

// Services have arrows to their tables and databases. Two that share one lead to the same box, and an arrow
// that not all layers have says where it is.
func TestStores(t *testing.T) {
	variables := func(table string) string {
		return `"Environment": [{"Name": "T", "Value": "` + table + `"}, {"Name": "U", "Value": {"Fn::Join": ["", ["postgresql://", {"Fn::GetAtt": ["DB", "Endpoint.Address"]}, "/users"]]}}], "Name": "c"`
	}
	of := func(table string) *assembly.Assembly {
		text := strings.Replace(shop("25", "75", "2"), `"Name": "c"`, variables(table), 1)
		return read(t, text+`, "DB": {"Type": "AWS::RDS::DBCluster"}, "Table": {"Type": "AWS::DynamoDB::Table", "Properties": {"TableName": "dev-users"}},
			"Second": {"Type": "AWS::ECS::Service", "Properties": {"ServiceName": "second", "Cluster": {"Ref": "Cluster"}, "TaskDefinition": {"Ref": "Tasks"}}}`)
	}
	text, err := Requests(Layer{"one", of("dev-users")}, Layer{"two", of("")})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`databaseusers_1[("database users")]`, `tabledevusers_1[("table dev-users")]`,
		`new_3 -->|"records"| databaseusers_1`, `second_1 -->|"records"| databaseusers_1`,
		`new_3 -->|"records<br>in one"| tabledevusers_1`, `second_1 -->|"records<br>in one"| tabledevusers_1`,
	} {
		if strings.Count(text, want) != 1 {
			t.Errorf("%d times %s in\n%s", strings.Count(text, want), want, text)
		}
	}
}
