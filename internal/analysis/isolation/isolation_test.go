package isolation

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// read reads an assembly with one stack that has these resources.
func read(t *testing.T, resources string) (*Isolation, error) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"manifest.json": `{"artifacts": {"dev-S": {"type": "aws:cloudformation:stack", "environment": "aws://unknown-account/unknown-region", "properties": {"templateFile": "s.json"}}}}`,
		"s.json":        `{"Resources": {` + resources + `}}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return Read(dir)
}

func mustRead(t *testing.T, resources string) *Isolation {
	t.Helper()
	i, err := read(t, resources)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// role is one that ECS tasks assume, with %s more properties.
const trust = `"AssumeRolePolicyDocument": {"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Condition": {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}}]}`

const shop = `
	"Task": {"Type": "AWS::IAM::Role", "Properties": {` + trust + `}},
	"Execution": {"Type": "AWS::IAM::Role", "Properties": {` + trust + `, "Policies": [{"PolicyName": "p", "PolicyDocument": {"Statement":
		{"Effect": "Allow", "Action": ["ecr:GetAuthorizationToken", "ecr:BatchGetImage"], "Resource": "*"}}}]}},
	"Policy": {"Type": "AWS::IAM::Policy", "Properties": {"PolicyName": "q", "Roles": [{"Ref": "Execution"}], "PolicyDocument": {"Statement": [
		{"Effect": "Allow", "Action": "logs:PutLogEvents", "Resource": {"Fn::GetAtt": ["Logs", "Arn"]}, "Condition": {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}}]}}},
	"Logs": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": "/ecs/shop"}},
	"Images": {"Type": "AWS::ECR::Repository", "Properties": {"RepositoryName": "shop", "RepositoryPolicyText": {"Statement": [
		{"Effect": "Deny", "Action": "ecr:PutImage", "Principal": "*"}]}}},
	"Other": {"Type": "AWS::SQS::Queue"},
	"Definition": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"Family": "shop", "TaskRoleArn": {"Fn::GetAtt": ["Task", "Arn"]}, "ExecutionRoleArn": {"Fn::GetAtt": ["Execution", "Arn"]}}}`

func TestGrants(t *testing.T) {
	i := mustRead(t, shop)
	want := []Grant{
		{Identity: "anybody", Effect: "Deny", Actions: []string{"ecr:PutImage"}, Resources: []string{"arn:aws:ecr:us-east-1:123456789012:repository/shop"}},
		{Identity: "shop: execution", Effect: "Allow", Actions: []string{"ecr:GetAuthorizationToken", "ecr:BatchGetImage"}, Resources: []string{"*"}},
		{Identity: "shop: execution", Effect: "Allow", Actions: []string{"logs:PutLogEvents"}, Resources: []string{"arn:aws:logs:us-east-1:123456789012:log-group:/ecs/shop:*"},
			Condition: "aws:SourceAccount StringEquals 123456789012"},
	}
	if diff := cmp.Diff(want, i.Grants); diff != "" {
		t.Errorf("grants (-want +got):\n%s", diff)
	}
	ours := "aws:SourceAccount StringEquals 123456789012"
	trusts := []Trust{{"shop: execution", "Service", []string{"ecs-tasks.amazonaws.com"}, ours}, {"shop: task", "Service", []string{"ecs-tasks.amazonaws.com"}, ours}}
	if diff := cmp.Diff(trusts, i.Trusts); diff != "" {
		t.Errorf("trusts (-want +got):\n%s", diff)
	}
}

func TestMay(t *testing.T) {
	i := mustRead(t, shop)
	for _, test := range []struct{ identity, arn, want string }{
		{"shop: execution", "arn:aws:logs:us-east-1:123456789012:log-group:/ecs/shop:*", "logs:PutLogEvents"},
		{"shop: execution", "arn:aws:logs:us-east-1:123456789012:log-group:/ecs/other:*", ""},
		{"shop: execution", "arn:aws:ecr:us-east-1:123456789012:repository/other", "ecr:BatchGetImage"}, // by the wildcard; a login is no resource's
		{"shop: execution", "arn:aws:sqs:us-east-1:123456789012:queue", ""},
		{"shop: task", "arn:aws:logs:us-east-1:123456789012:log-group:/ecs/shop:*", ""},
		{"anybody", "arn:aws:ecr:us-east-1:123456789012:repository/shop", ""}, // denied
	} {
		if got := strings.Join(i.May(test.identity, test.arn), " "); got != test.want {
			t.Errorf("%s may do %q on %s, want %q", test.identity, got, test.arn, test.want)
		}
	}
}

func TestTooWideAndForeign(t *testing.T) {
	i := mustRead(t, shop+`,
	"More": {"Type": "AWS::IAM::Policy", "Properties": {"PolicyName": "r", "Roles": [{"Ref": "Task"}], "PolicyDocument": {"Statement": [
		{"Effect": "Allow", "Action": "sqs:*", "Resource": {"Fn::GetAtt": ["Other", "Arn"]}},
		{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::bucket/*"},
		{"Effect": "Allow", "Action": "logs:CreateLogStream", "Resource": "arn:aws:logs:us-east-1:123456789012:log-group:/ecs/shop:*"}]}}}`)
	queue := "arn:aws:sqs:us-east-1:123456789012:${dev-S/Other}"
	wide := []string{
		"shop: execution may do ecr:BatchGetImage on everything",
		"shop: task may do s3:GetObject on arn:aws:s3:::bucket/*",
		"shop: task may do sqs:*: name the actions",
	}
	if diff := cmp.Diff(wide, i.TooWide()); diff != "" {
		t.Errorf("too wide (-want +got):\n%s", diff)
	}
	foreign := []string{
		"shop: execution may do ecr:BatchGetImage on *",
		"shop: task may do s3:GetObject on arn:aws:s3:::bucket/*",
		"shop: task may do sqs:* on " + queue,
	}
	if diff := cmp.Diff(foreign, i.Foreign([]string{"shop"})); diff != "" {
		t.Errorf("foreign (-want +got):\n%s", diff)
	}
	if got := i.Foreign([]string{"other"}); got != nil {
		t.Errorf("no service, and foreign to it are %v", got)
	}
}

func TestUnknown(t *testing.T) {
	policy := func(statement string) string {
		return `"R": {"Type": "AWS::IAM::Role", "Properties": {` + trust + `, "Policies": [{"PolicyName": "p", "PolicyDocument": {"Statement": [` + statement + `]}}]}}`
	}
	for _, test := range []struct{ resources, want string }{
		{policy(`{"Effect": "Allow", "NotAction": "s3:*", "Action": "s3:GetObject", "Resource": "*"}`), "a statement with NotAction"},
		{policy(`{"Effect": "Allow", "NotAction": "s3:*", "Resource": "*"}`), "a statement without actions"},
		{`"R": {"Type": "AWS::IAM::Role", "Properties": {` + trust + `, "ManagedPolicyArns": ["arn:aws:iam::aws:policy/AdministratorAccess"]}}`, "has the policy AdministratorAccess"},
		{`"U": {"Type": "AWS::IAM::User"}`, "what AWS::IAM::User grants is not known here"},
		{`"P": {"Type": "AWS::Lambda::Permission"}`, "what AWS::Lambda::Permission grants is not known here"},
		{`"G": {"Type": "AWS::EC2::SecurityGroup", "Properties": {"SecurityGroupIngress": [{"CidrIp": "10.0.0.0/8", "IpProtocol": "-1"}]}}`, "who 10.0.0.0/8 is, is not known here"},
	} {
		if _, err := read(t, test.resources); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: the error is %v, want %q", test.resources, err, test.want)
		}
	}
}

func TestReaches(t *testing.T) {
	group := func(name, rules string) string {
		return `"` + name + `": {"Type": "AWS::EC2::SecurityGroup", "Metadata": {"aws:cdk:path": "dev-S/` + name + `/Resource"}, "Properties": {` + rules + `}}`
	}
	const nowhere = `"SecurityGroupEgress": [{"CidrIp": "255.255.255.255/32", "IpProtocol": "icmp", "FromPort": 252, "ToPort": 86}]`
	i := mustRead(t, group("Front", `"SecurityGroupIngress": [{"CidrIp": "0.0.0.0/0", "IpProtocol": "tcp", "FromPort": 80, "ToPort": 80}], `+nowhere)+","+
		group("Back", `"SecurityGroupEgress": [{"CidrIp": "0.0.0.0/0", "IpProtocol": "-1"}]`)+","+
		group("Alone", nowhere)+`,
		"Out": {"Type": "AWS::EC2::SecurityGroupEgress", "Properties": {"GroupId": {"Fn::GetAtt": ["Front", "GroupId"]}, "DestinationSecurityGroupId": {"Fn::GetAtt": ["Back", "GroupId"]}, "IpProtocol": "tcp", "FromPort": 3000, "ToPort": 3000}},
		"In": {"Type": "AWS::EC2::SecurityGroupIngress", "Properties": {"GroupId": {"Fn::GetAtt": ["Back", "GroupId"]}, "SourceSecurityGroupId": {"Fn::GetAtt": ["Front", "GroupId"]}, "IpProtocol": "tcp", "FromPort": 3000, "ToPort": 3000}},
		"NotLetOut": {"Type": "AWS::EC2::SecurityGroupIngress", "Properties": {"GroupId": {"Fn::GetAtt": ["Back", "GroupId"]}, "SourceSecurityGroupId": {"Fn::GetAtt": ["Alone", "GroupId"]}, "IpProtocol": "tcp", "FromPort": 3000, "ToPort": 3000}}`)
	var got []string
	for _, reach := range i.Reaches {
		got = append(got, reach.String())
	}
	want := []string{
		"Back → Front: tcp 80–80", // through the internet
		"Back → the internet: any",
		"Front → Back: tcp 3000–3000",
		"the internet → Front: tcp 80–80",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A task on Fargate has a security group of its own. Its service has what both of its task definitions
// may do. Only the load balancer reaches the tasks, also where a task may connect to anywhere.
func TestFargate(t *testing.T) {
	const own = `"Lb": {"Type": "AWS::EC2::SecurityGroup", "Properties": {"SecurityGroupIngress": [{"CidrIp": "0.0.0.0/0", "IpProtocol": "tcp", "FromPort": 443, "ToPort": 443}]}},
		"Own": {"Type": "AWS::EC2::SecurityGroup", "Properties": {"Tags": [{"Key": "service", "Value": "shop"}], "SecurityGroupEgress": [{"CidrIp": "0.0.0.0/0", "IpProtocol": "-1"}]}},
		"Other": {"Type": "AWS::EC2::SecurityGroup", "Properties": {"SecurityGroupEgress": [{"CidrIp": "0.0.0.0/0", "IpProtocol": "-1"}]}},
		"Out": {"Type": "AWS::EC2::SecurityGroupEgress", "Properties": {"GroupId": {"Fn::GetAtt": ["Lb", "GroupId"]}, "DestinationSecurityGroupId": {"Fn::GetAtt": ["Own", "GroupId"]}, "IpProtocol": "tcp", "FromPort": 3000, "ToPort": 3000}},
		"In": {"Type": "AWS::EC2::SecurityGroupIngress", "Properties": {"GroupId": {"Fn::GetAtt": ["Own", "GroupId"]}, "SourceSecurityGroupId": {"Fn::GetAtt": ["Lb", "GroupId"]}, "IpProtocol": "tcp", "FromPort": 3000, "ToPort": 3000}},
		"Policy": {"Type": "AWS::IAM::Policy", "Properties": {"PolicyName": "q", "Roles": [{"Ref": "Role"}], "PolicyDocument": {"Statement": [
			{"Effect": "Allow", "Action": "logs:PutLogEvents", "Resource": "arn:aws:logs:us-east-1:123456789012:log-group:/ecs/shop:*"}]}}},
		"Role": {"Type": "AWS::IAM::Role", "Properties": {` + trust + `}},
		"Logs": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": "/ecs/shop"}},
		"Definition": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"Family": "shop-fargate", "NetworkMode": "awsvpc", "TaskRoleArn": {"Fn::GetAtt": ["Role", "Arn"]}, "Tags": [{"Key": "service", "Value": "shop"}]}},
		"Service": {"Type": "AWS::ECS::Service", "Properties": {"ServiceName": "shop-fargate", "TaskDefinition": {"Ref": "Definition"}, "CapacityProviderStrategy": [{"CapacityProvider": "FARGATE", "Weight": 1}],
			"NetworkConfiguration": {"AwsvpcConfiguration": {"SecurityGroups": [{"Fn::GetAtt": ["Own", "GroupId"]}]}}}}`
	const machine, fargate = "The instances' user data keeps containers apart", "A task on Fargate (shop-fargate) needs no packet filter."
	for _, test := range []struct {
		more, whose string
		both        bool
	}{
		{"", "Each service has a security group for its tasks.", false},
		{`, "Old": {"Type": "AWS::ECS::Service", "Properties": {"LaunchType": "EC2"}}`, "A container on EC2 has the security group of its instance.\nEach service on Fargate has one for its tasks.", true},
	} {
		i := mustRead(t, own+test.more)
		var got []string
		for _, reach := range i.Reaches {
			got = append(got, reach.String())
		}
		want := []string{
			"Lb → tasks of shop-fargate: tcp 3000–3000",
			"Other → Lb: tcp 443–443",
			"Other → the internet: any",
			"tasks of shop-fargate → Lb: tcp 443–443",
			"tasks of shop-fargate → the internet: any",
			"the internet → Lb: tcp 443–443",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		text := Document(i, i, []string{"shop"})
		for _, want := range []string{test.whose + "\n", fargate, "| `arn:aws:logs:us-east-1:123456789012:log-group:/ecs/shop:*` | `logs:PutLogEvents` |"} {
			if !strings.Contains(text, want) {
				t.Errorf("the document lacks %q:\n%s", want, text)
			}
		}
		if strings.Contains(text, machine) != test.both {
			t.Errorf("the document tells of instances:\n%s", text)
		}
		if got := i.Foreign([]string{"shop"}); got != nil {
			t.Errorf("foreign to the service are %v", got)
		}
	}
}

// Containers in bridge mode have the security group of their instances, and others one for themselves. Who
// reaches a service past the load balancer is told by service, and what else a rule opens.
func TestDirectly(t *testing.T) {
	const all = `"SecurityGroupEgress": [{"CidrIp": "0.0.0.0/0", "IpProtocol": "-1"}]`
	admit := func(id, from, to, first, last string) string {
		return `, "` + id + `": {"Type": "AWS::EC2::SecurityGroupIngress", "Properties": {"GroupId": {"Fn::GetAtt": ["` + to + `", "GroupId"]}, "SourceSecurityGroupId": {"Fn::GetAtt": ["` + from + `", "GroupId"]}, "IpProtocol": "tcp", "FromPort": ` + first + `, "ToPort": ` + last + `}}`
	}
	service := func(name, mode, more string) string {
		return `, "T` + name + `": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"Family": "` + name + `", "NetworkMode": "` + mode + `"}},
			"S` + name + `": {"Type": "AWS::ECS::Service", "Properties": {"ServiceName": "` + name + `", "TaskDefinition": {"Ref": "T` + name + `"}` + more + `}}`
	}
	own := func(group string) string {
		return `, "NetworkConfiguration": {"AwsvpcConfiguration": {"SecurityGroups": [{"Fn::GetAtt": ["` + group + `", "GroupId"]}]}}`
	}
	base := `"Machines": {"Type": "AWS::EC2::SecurityGroup", "Properties": {` + all + `}},
		"Own": {"Type": "AWS::EC2::SecurityGroup", "Properties": {` + all + `}},
		"Far": {"Type": "AWS::EC2::SecurityGroup", "Properties": {` + all + `}},
		"Launch": {"Type": "AWS::EC2::LaunchTemplate", "Properties": {"LaunchTemplateData": {"SecurityGroupIds": [{"Fn::GetAtt": ["Machines", "GroupId"]}]}}},
		"Group": {"Type": "AWS::AutoScaling::AutoScalingGroup", "Properties": {"MinSize": "1", "MaxSize": "2", "LaunchTemplate": {"LaunchTemplateId": {"Ref": "Launch"}, "Version": "1"}}}` +
		service("posts", "bridge", "") + service("api", "bridge", "") + service("threads", "awsvpc", own("Own")) + service("users", "awsvpc", `, "LaunchType": "FARGATE"`+own("Far"))
	const packets, openOnes, reachAll = "The instances' user data keeps containers apart", "bridge mode (api, posts) is open to whoever calls one of them.", "What one container in bridge mode (api, posts) may reach, all of them reach"
	for _, test := range []struct {
		name, rules string
		rows        []string
		says, not   []string
	}{
		{"nobody", "", []string{"| api | nobody |  |", "| posts | nobody |  |", "| threads | nobody |  |", "| users | nobody |  |"}, []string{packets}, []string{openOnes, reachAll}},
		{"a task", admit("A", "Own", "Far", "3000", "3000"), []string{"| threads | nobody |  |", "| users | threads | tcp 3000–3000 |"}, []string{packets}, []string{openOnes, reachAll}},
		{"from instances", admit("A", "Machines", "Own", "3000", "3000"), []string{"| threads | api, posts | tcp 3000–3000 |", "| users | nobody |  |"}, []string{packets, reachAll}, []string{openOnes}},
		{"to instances", admit("A", "Far", "Machines", "32768", "65535"), []string{"| api | users | tcp 32768–65535 |", "| posts | users | tcp 32768–65535 |"}, []string{packets, openOnes}, []string{reachAll}},
		{"between instances", admit("A", "Machines", "Machines", "32768", "65535") + admit("B", "Machines", "Machines", "8000", "8000"),
			[]string{"| api | posts | tcp 32768–65535, tcp 8000–8000 |", "| posts | api | tcp 32768–65535, tcp 8000–8000 |", "| threads | nobody |  |"},
			[]string{openOnes, reachAll, "The instances' user data lets containers reach each\nother's published ports"}, []string{packets}},
	} {
		i := mustRead(t, base+test.rules)
		text := Document(i, i, []string{"api"})
		for _, want := range append(append(test.rows, test.says...), "instance. Each service on Fargate, or with `NetworkMode` awsvpc, has one for its tasks.",
			"A task with a network interface of its own (threads) shares the kernel", "A task on Fargate (users) needs no packet filter.") {
			if !strings.Contains(text, want) {
				t.Errorf("%s: the document lacks %q:\n%s", test.name, want, text)
			}
		}
		for _, not := range test.not {
			if strings.Contains(text, not) {
				t.Errorf("%s: the document has %q", test.name, not)
			}
		}
	}
}
