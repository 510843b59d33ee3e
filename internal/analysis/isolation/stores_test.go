package isolation

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const actions = `["dynamodb:Query", "dynamodb:PutItem"]`

// tagged are the tags of what belongs to a service.
func tagged(service string) string {
	return `"Tags": [{"Key": "service", "Value": "` + service + `"}, {"Key": "environment", "Value": "dev"}]`
}

// shops are services with a role each, and with a policy for each role.
func shops(policies map[string]string) string {
	var b strings.Builder
	for _, name := range []string{"api", "order-items", "users"} {
		id := strings.ReplaceAll(name, "-", "")
		fmt.Fprintf(&b, `"Role%[1]s": {"Type": "AWS::IAM::Role", "Properties": {%[2]s, "RoleName": "%[3]s", %[4]s}},
			"Definition%[1]s": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"Family": "%[3]s", "NetworkMode": "awsvpc", "TaskRoleArn": {"Fn::GetAtt": ["Role%[1]s", "Arn"]}, %[4]s}},
			"Group%[1]s": {"Type": "AWS::EC2::SecurityGroup"},
			"Service%[1]s": {"Type": "AWS::ECS::Service", "Properties": {"ServiceName": "%[3]s", "TaskDefinition": {"Ref": "Definition%[1]s"}, "LaunchType": "FARGATE", "NetworkConfiguration": {"AwsvpcConfiguration": {"SecurityGroups": [{"Fn::GetAtt": ["Group%[1]s", "GroupId"]}]}}}},
			"Policy%[1]s": {"Type": "AWS::IAM::Policy", "Properties": {"PolicyName": "p", "Roles": [{"Ref": "Role%[1]s"}], "PolicyDocument": {"Statement": [%[5]s]}}},`,
			id, trust, name, tagged(name), policies[name])
	}
	return strings.TrimSuffix(b.String(), ",")
}

func allow(actions, resource string) string {
	return `{"Effect": "Allow", "Action": ` + actions + `, "Resource": ` + resource + `}`
}

func table(service, policy string) string {
	if policy != "" {
		policy = `, "ResourcePolicy": {"PolicyDocument": {"Statement": [` + policy + `]}}`
	}
	return `, "` + strings.ReplaceAll(service, "-", "") + `": {"Type": "AWS::DynamoDB::GlobalTable", "Properties": {"TableName": "dev-` + service + `", "Replicas": [{"Region": "us-east-1", ` + tagged(service) + policy + `}]}}`
}

const usersTable, ordersTable = `"arn:aws:dynamodb:us-east-1:123456789012:table/dev-users"`, `"arn:aws:dynamodb:us-east-1:123456789012:table/dev-order-items"`

// only is a statement that denies all to whoever fulfils a condition.
func only(condition string) string {
	return `{"Effect": "Deny", "Action": "dynamodb:*", "Principal": "*", "Resource": "*", "Condition": {` + condition + `}}`
}

func accesses(i *Isolation) (lines []string) {
	for _, s := range i.Stores {
		for _, a := range s.Accesses {
			line := fmt.Sprintf("%s (%s): %s %s", s.Name, s.Service, a.Identity, strings.Join(a.Actions, " "))
			if !a.Connects {
				line += ", not connected"
			}
			lines = append(lines, line)
		}
	}
	return lines
}

// What is left to a role is what a policy of the role or of the table allows, without what a policy surely
// denies.
func TestTableAccess(t *testing.T) {
	const users, api = "table dev-users (users): users: task ", "table dev-users (users): api: task "
	const own = "dynamodb:PutItem dynamodb:Query"
	mine, all := map[string]string{"users": allow(actions, usersTable)}, map[string]string{"users": allow(actions, usersTable), "api": allow(actions, usersTable)}
	for _, test := range []struct {
		name     string
		policies map[string]string
		own      string
		want     []string
	}{
		{"nobody", nil, "", nil},
		{"the owner", mine, "", []string{users + own}},
		{"another table", map[string]string{"users": allow(actions, ordersTable)}, "", nil},
		{"two", all, "", []string{api + own, users + own}},
		{"by a wildcard in the name", map[string]string{"api": allow(`"dynamodb:GetItem"`, `"arn:aws:dynamodb:*:*:table/*"`)}, "", []string{api + "dynamodb:GetItem"}},
		{"everything", map[string]string{"api": allow(`"*"`, `"*"`)}, "", []string{api + "*"}},
		{"a wildcard in the service", map[string]string{"api": allow(`"dyn*:GetItem"`, `"*"`)}, "", []string{api + "dyn*:GetItem"}},
		{"another service", map[string]string{"api": allow(`["sqs:*", "rds-db:connect"]`, `"*"`)}, "", nil},
		{"what tells no data", map[string]string{"api": allow(`["dynamodb:DescribeTable", "dynamodb:ListTables"]`, `"*"`)}, "", nil},
		{"a stream of the table", map[string]string{"api": allow(`"dynamodb:GetRecords"`, `"arn:aws:dynamodb:us-east-1:123456789012:table/dev-users/stream/*"`)}, "", []string{api + "dynamodb:GetRecords"}},
		{"a table whose name begins so", map[string]string{"api": allow(actions, `"arn:aws:dynamodb:us-east-1:123456789012:table/dev-users2"`)}, "", nil},
		{"the role's own policy denies", map[string]string{"users": allow(actions, usersTable) + `, {"Effect": "Deny", "Action": "dynamodb:Put*", "Resource": "*"}`}, "", []string{users + "dynamodb:Query"}},
		{"it denies sometimes", map[string]string{"users": allow(actions, usersTable) + `, {"Effect": "Deny", "Action": "dynamodb:*", "Resource": "*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}`}, "", []string{users + own}},
		{"it denies less than is allowed", map[string]string{"users": allow(`"dynamodb:*"`, usersTable) + `, {"Effect": "Deny", "Action": "dynamodb:Put*", "Resource": "*"}`}, "", []string{users + "dynamodb:*"}},
		{"the table denies other services", all, only(`"StringNotEquals": {"aws:PrincipalTag/service": ["users"]}`), []string{users + own}},
		{"it denies whoever has no such tag", all, only(`"StringNotEquals": {"aws:PrincipalTag/team": "a"}`), nil},
		{"it denies a service", all, only(`"StringEquals": {"aws:PrincipalTag/service": ["users"]}`), []string{api + own}},
		{"a tag that is not there equals nothing", all, only(`"StringEquals": {"aws:PrincipalTag/team": "a"}`), []string{api + own, users + own}},
		{"unless it need not be there", all, only(`"StringEqualsIfExists": {"aws:PrincipalTag/team": "a"}`), nil},
		{"both conditions have to hold", all, only(`"StringNotEquals": {"aws:PrincipalTag/service": "users", "aws:PrincipalTag/environment": "dev"}`), []string{api + own, users + own}},
		{"nobody knows", all, only(`"StringNotEquals": {"aws:PrincipalTag/service": "users"}, "IpAddress": {"aws:SourceIp": "10.0.0.0/8"}`), []string{api + own, users + own}},
		{"an operator that is not known", all, only(`"StringEqualsIgnoreCase": {"aws:PrincipalTag/service": "API"}`), []string{api + own, users + own}},
		{"by ARN", all, only(`"ArnNotLike": {"aws:PrincipalArn": "arn:aws:iam::123456789012:role/use*"}`), []string{users + own}},
		{"StringEquals knows no wildcard", all, only(`"StringNotEquals": {"aws:PrincipalArn": "arn:aws:iam::123456789012:role/use*"}`), nil},
		{"StringLike does", all, only(`"StringLike": {"aws:PrincipalTag/service": "us*"}`), []string{api + own}},
		{"it denies a role", all, `{"Effect": "Deny", "Action": "dynamodb:*", "Principal": {"AWS": {"Fn::GetAtt": ["Roleapi", "Arn"]}}, "Resource": "*"}`, []string{users + own}},
		{"it allows a role", nil, `{"Effect": "Allow", "Action": "dynamodb:GetItem", "Principal": {"AWS": {"Fn::GetAtt": ["Roleapi", "Arn"]}}, "Resource": "*"}`, []string{api + "dynamodb:GetItem"}},
		{"it allows those with a tag", nil, `{"Effect": "Allow", "Action": "dynamodb:GetItem", "Principal": "*", "Resource": "*", "Condition": {"StringEquals": {"aws:PrincipalTag/service": "api"}, "IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}`, []string{api + "dynamodb:GetItem"}},
		{"it allows everybody, and denies all", nil, `{"Effect": "Allow", "Action": "dynamodb:GetItem", "Principal": "*", "Resource": "*"}, {"Effect": "Deny", "Action": "dynamodb:*", "Principal": {"AWS": "*"}, "Resource": "*"}`, nil},
	} {
		if diff := cmp.Diff(test.want, accesses(mustRead(t, shops(test.policies)+table("users", test.own)))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

// cluster lets in a security group, at a port.
func cluster(from, port string) string {
	return `, "Cluster": {"Type": "AWS::RDS::DBCluster", "Properties": {"Engine": "aurora-postgresql", "Port": 5433, "VpcSecurityGroupIds": [{"Fn::GetAtt": ["Database", "GroupId"]}]}},
		"Database": {"Type": "AWS::EC2::SecurityGroup"},
		"In": {"Type": "AWS::EC2::SecurityGroupIngress", "Properties": {"GroupId": {"Fn::GetAtt": ["Database", "GroupId"]}, "SourceSecurityGroupId": {"Fn::GetAtt": ["` + from + `", "GroupId"]}, "IpProtocol": "tcp", "FromPort": ` + port + `, "ToPort": ` + port + `}}`
}

func connect(user string) string {
	return allow(`"rds-db:connect"`, `{"Fn::Join": ["", ["arn:aws:rds-db:us-east-1:123456789012:dbuser:", {"Fn::GetAtt": ["Cluster", "DBClusterResourceId"]}, "/`+user+`"]]}`)
}

// A database needs a policy and a security group.
func TestDatabaseAccess(t *testing.T) {
	const orders, users = "database order_items of dev-S/Cluster (order-items): ", "database users of dev-S/Cluster (users): "
	both := map[string]string{"order-items": connect("order_items"), "users": connect("users")}
	for _, test := range []struct {
		name     string
		policies map[string]string
		network  string
		want     []string
	}{
		{"each its own", both, cluster("Groupusers", "5433"), []string{orders + "order-items: task rds-db:connect, not connected", users + "users: task rds-db:connect"}},
		{"another port", map[string]string{"users": connect("users")}, cluster("Groupusers", "5432"), []string{users + "users: task rds-db:connect, not connected"}},
		{"both databases", map[string]string{"users": connect("users") + ", " + connect("order_items")}, cluster("Groupusers", "5433"), []string{orders + "users: task rds-db:connect", users + "users: task rds-db:connect"}},
		{"any user", map[string]string{"users": connect("users"), "api": connect("*")}, cluster("Groupapi", "5433"), []string{users + "api: task rds-db:connect", users + "users: task rds-db:connect, not connected"}},
		{"the master user's secret", map[string]string{"users": connect("users"), "api": allow(`"secretsmanager:GetSecretValue"`, `{"Fn::GetAtt": ["Cluster", "MasterUserSecret.SecretArn"]}`)}, cluster("Groupusers", "5433"),
			[]string{users + "api: task secretsmanager:GetSecretValue, not connected", users + "users: task rds-db:connect"}},
		{"the cluster", map[string]string{"users": connect("users"), "api": allow(`["rds-data:ExecuteStatement", "rds:DescribeDBClusters"]`, `"arn:aws:rds:us-east-1:123456789012:cluster:*"`)}, cluster("Groupusers", "5433"),
			[]string{users + "api: task rds-data:ExecuteStatement, not connected", users + "users: task rds-db:connect"}},
	} {
		if diff := cmp.Diff(test.want, accesses(mustRead(t, shops(test.policies)+test.network))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
	// A variable names a database, too.
	i := mustRead(t, shops(nil)+cluster("Groupusers", "5433")+`, "More": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"ContainerDefinitions": [{"Name": "c", "Image": "i", "Environment": [
		{"Name": "USERS_DATABASE_URL", "Value": {"Fn::Join": ["", ["postgresql://users@", {"Fn::GetAtt": ["Cluster", "Endpoint.Address"]}, ":5433/users?sslmode=verify-full"]]}},
		{"Name": "HOST", "Value": {"Fn::GetAtt": ["Cluster", "Endpoint.Address"]}}]}]}}`)
	if len(i.Stores) != 1 || i.Stores[0].Name != "database users of dev-S/Cluster" {
		t.Errorf("the stores are %+v", i.Stores)
	}
}

// Only the owner reaches a store, and whoever may.
func TestTrespasses(t *testing.T) {
	i := mustRead(t, shops(map[string]string{"users": allow(actions, usersTable), "api": allow(actions, usersTable) + ", " + connect("users")})+
		table("users", "")+table("order-items", "")+cluster("Groupapi", "5433")+`, "Loose": {"Type": "AWS::DynamoDB::Table", "Properties": {"TableName": "loose"}},
		"Role": {"Type": "AWS::IAM::Role", "Metadata": {"aws:cdk:path": "dev-S/Role/Resource"}, "Properties": {`+trust+`, "Policies": [{"PolicyName": "p", "PolicyDocument": {"Statement": [`+allow(`"dynamodb:Scan"`, `"*"`)+`]}}]}}`)
	monolith := func(service, owner string) bool { return service == "api" && owner != "api" }
	want := []string{
		"users does not reach database users of dev-S/Cluster",
		"dev-S/Role may do dynamodb:Scan on table dev-order-items",
		"order-items does not reach table dev-order-items",
		"dev-S/Role may do dynamodb:Scan on table dev-users",
		"dev-S/Role may do dynamodb:Scan on table loose",
	}
	if diff := cmp.Diff(want, i.Trespasses(monolith)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	retired := strings.Join(i.Trespasses(func(string, string) bool { return false }), "\n")
	for _, more := range []string{"api: task may do dynamodb:PutItem, dynamodb:Query on table dev-users", "api: task may do rds-db:connect on database users of dev-S/Cluster"} {
		if !strings.Contains(retired, more) {
			t.Errorf("after the monolith is retired it lacks %q:\n%s", more, retired)
		}
	}
	// A policy without a security group, and a grant to the wrong role, reach nothing.
	apart := mustRead(t, shops(map[string]string{"users": connect("users")})+cluster("Groupapi", "5433"))
	if got := apart.Trespasses(monolith); !slices.Equal(got, []string{"users does not reach database users of dev-S/Cluster"}) {
		t.Errorf("without a security group: %q", got)
	}
	agent := strings.Replace(shops(map[string]string{"users": allow(actions, usersTable)}), `"TaskRoleArn": {"Fn::GetAtt": ["Roleusers", "Arn"]}`, `"ExecutionRoleArn": {"Fn::GetAtt": ["Roleusers", "Arn"]}`, 1)
	if got := mustRead(t, agent+table("users", "")).Trespasses(monolith); !slices.Equal(got, []string{"users: execution may do dynamodb:PutItem, dynamodb:Query on table dev-users", "users does not reach table dev-users"}) {
		t.Errorf("with the role of the agent: %q", got)
	}
	// A store is no other resource that is foreign to a service.
	if foreign := strings.Join(i.Foreign([]string{"users", "api"}), "\n"); foreign != "" {
		t.Errorf("foreign are\n%s", foreign)
	}
}

func TestStoreTable(t *testing.T) {
	i := mustRead(t, shops(map[string]string{"users": allow(actions, usersTable) + ", " + connect("users"), "api": allow(actions, usersTable)})+table("users", "")+cluster("Groupapi", "5433"))
	want := "| store | api | users |\n|---|---|---|\n" +
		"| database users of dev-S/Cluster | – | `rds-db:connect`<br>no security group lets its tasks connect |\n" +
		"| table dev-users | `dynamodb:PutItem`<br>`dynamodb:Query` | `dynamodb:PutItem`<br>`dynamodb:Query` |\n"
	if diff := cmp.Diff(want, i.StoreTable([]string{"api", "users"})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if text := Document(i, i, []string{"api", "users"}); !strings.Contains(text, "\n## Who reaches which store\n\n"+want) {
		t.Errorf("the document lacks the stores:\n%s", text)
	}
	if text := Document(mustRead(t, shop), mustRead(t, shop), []string{"shop"}); strings.Contains(text, "which store") {
		t.Error("a document without stores tells of them")
	}
}
