package stacks_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cutover/config"
	"cutover/deployment"
	"cutover/internal/assembly"
	"cutover/internal/golden"
	"cutover/internal/nightly"
	"cutover/migration"
)

// synthStore returns the forum with the records of all services in a store.
func synthStore(t *testing.T, store string, change settings) *assembly.Assembly {
	t.Helper()
	context := settings{"phase": "parallel", "store": store}
	for key, value := range change {
		context[key] = value
	}
	return synthQuickly(t, deployment.Forum, context)
}

// taskStatements are the statements of a service's task role, one a line: the actions, and the ends of the
// resources.
func taskStatements(stack *assembly.Stack) (lines []string) {
	for _, policy := range ofType(stack, "AWS::IAM::Policy") {
		if !strings.Contains(policy.LogicalID, "TaskRole") {
			continue
		}
		for _, statement := range listOf(policy.Properties["PolicyDocument"].(object)["Statement"]) {
			resources, many := statement["Resource"].([]any)
			if !many {
				resources = []any{statement["Resource"]}
			}
			var ends []string
			for _, resource := range resources {
				text := strings.TrimRight(fmt.Sprint(resource), "]")
				ends = append(ends, text[strings.LastIndexAny(text, "/ ")+1:])
			}
			lines = append(lines, fmt.Sprint(statement["Action"], " ", strings.Join(ends, " ")))
		}
	}
	return lines
}

const onTable, onDatabase = "[dynamodb:BatchGetItem dynamodb:ConditionCheckItem dynamodb:DeleteItem dynamodb:GetItem dynamodb:PutItem dynamodb:Query dynamodb:UpdateItem] ", "rds-db:connect "

// Each task role has the stores of its service and no other. The monolith has those of all services until
// it is retired. The tables let the same roles in.
func TestWhoUsesStores(t *testing.T) {
	for _, test := range []struct {
		store, variable, grant string
		phase                  migration.Phase
		monolith               []string // its grants
		admitted               []any    // beside the owner of a table
	}{
		{"dynamodb", "_TABLE", onTable + "dev-", migration.Parallel, []string{onTable + "dev-posts dev-threads dev-users"}, []any{"api"}},
		{"dynamodb", "_TABLE", onTable + "dev-", migration.Retired, nil, []any{}},
		{"postgres", "_DATABASE_URL", onDatabase, migration.Switched, []string{onDatabase + "posts threads users"}, nil},
		{"postgres", "_DATABASE_URL", onDatabase, migration.Removed, nil, nil},
	} {
		if !nightly.Runs() && test.phase != migration.Parallel {
			continue
		}
		a := synthStore(t, test.store, settings{"phase": test.phase.String()})
		wantGrants := map[string][]string{"api": test.monolith}
		wantVariables := map[string][]string{}
		if test.monolith != nil {
			wantVariables["api"] = []string{"AWS_REGION", "POSTS" + test.variable, "THREADS" + test.variable, "USERS" + test.variable}
		}
		for _, owner := range names(deployment.Forum.Services) {
			wantGrants[owner] = []string{test.grant + owner}
			wantVariables[owner] = []string{"AWS_REGION", strings.ToUpper(owner) + test.variable}
		}
		grants, variables := map[string][]string{}, map[string][]string{}
		for _, service := range names(deployment.Forum.All()) {
			stack := a.Stack("dev-" + config.Pascal(service))
			grants[service] = taskStatements(stack)
			for _, definition := range ofType(stack, "AWS::ECS::TaskDefinition") {
				for _, one := range listOf(listOf(definition.Properties["ContainerDefinitions"])[0]["Environment"]) {
					if name := fmt.Sprint(one["Name"]); strings.HasSuffix(name, test.variable) || name == "AWS_REGION" {
						variables[service] = append(variables[service], name)
					}
				}
			}
			for _, ecs := range ofType(stack, "AWS::ECS::Service") {
				waits := slices.ContainsFunc(ecs.DependsOn, func(id string) bool { return strings.HasPrefix(id, "TaskDefinitionTaskRoleDefaultPolicy") })
				equal(t, fmt.Sprint(ecs, " waits for its grants in ", test.phase), grants[service] != nil, waits)
			}
			equal(t, fmt.Sprint(service, " waits for its store in ", test.phase), grants[service] != nil, slices.Contains(stack.DependsOn, a.Stack("dev-Data")))
		}
		equal(t, fmt.Sprint(test.store, " grants in ", test.phase), wantGrants, grants)
		equal(t, fmt.Sprint(test.store, ": who reaches what is not its own in ", test.phase), []string(nil),
			isolated(t, a).Trespasses(func(service, _ string) bool { return service == "api" && test.monolith != nil }))
		equal(t, fmt.Sprint(test.store, " variables in ", test.phase), wantVariables, variables)
		for _, table := range a.Resources("AWS::DynamoDB::GlobalTable") {
			owner := strings.TrimPrefix(table.Properties["TableName"].(string), "dev-")
			equal(t, fmt.Sprint(table, " in ", test.phase), map[string]any{
				"OnlyServices":        object{"StringNotEquals": object{"aws:PrincipalTag/service": append(slices.Clone(test.admitted), owner)}},
				"OnlyThisEnvironment": object{"StringNotEquals": object{"aws:PrincipalTag/environment": []any{"dev"}}},
				"OnlyEncrypted":       object{"Bool": object{"aws:SecureTransport": []any{"false"}}},
			}, denied(t, table))
		}
	}
}

// The variables of a service have the addresses of its own stores. No address has a password.
func TestAddressesOfStores(t *testing.T) {
	of := func(dir, name string) (value any) {
		for _, one := range listOf(listOf(resource(t, golden.Read(t, ".", dir), "dev-Users", "AWS::ECS::TaskDefinition").Properties["ContainerDefinitions"])[0]["Environment"]) {
			if one["Name"] == name {
				value = one["Value"]
			}
		}
		return value
	}
	equal(t, "region", any(object{"Ref": "AWS::Region"}), of(golden.DynamoDB, "AWS_REGION"))
	equal(t, "table", any("dev-users"), of(golden.DynamoDB, "USERS_TABLE"))
	endpoint := func(attribute string) object {
		return object{"Fn::GetStackOutput": object{"StackName": "dev-Data", "Region": object{"Ref": "AWS::Region"}, "OutputName": "PublishOutputFnGetAttDatabaseB269D8BBEndpoint" + attribute}}
	}
	equal(t, "database", any(object{"Fn::Join": []any{"", []any{"postgresql://users@", endpoint("Address1C2B674E"), ":", endpoint("Port4B511391"), "/users?sslmode=verify-full"}}}), of(golden.PostgreSQL, "USERS_DATABASE_URL"))
}

// denied are the conditions of a table's policy by the ids of the statements, which all deny the same.
func denied(t *testing.T, table *assembly.Resource) map[string]any {
	t.Helper()
	conditions := map[string]any{}
	for _, statement := range listOf(listOf(table.Properties["Replicas"])[0]["ResourcePolicy"].(object)["PolicyDocument"].(object)["Statement"]) {
		conditions[fmt.Sprint(statement["Sid"])] = statement["Condition"]
		equal(t, table.String()+" denies", object{
			"Effect": "Deny", "Principal": object{"AWS": "*"}, "Resource": "*", "Sid": statement["Sid"], "Condition": statement["Condition"],
			"Action": []any{"dynamodb:BatchGetItem", "dynamodb:BatchWriteItem", "dynamodb:ConditionCheckItem", "dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PartiQLDelete",
				"dynamodb:PartiQLInsert", "dynamodb:PartiQLSelect", "dynamodb:PartiQLUpdate", "dynamodb:PutItem", "dynamodb:Query", "dynamodb:Scan", "dynamodb:UpdateItem"},
		}, statement)
	}
	return conditions
}

// A role has the tags by which a table knows it.
func TestRolesHaveTheTagsOfTables(t *testing.T) {
	a := golden.Read(t, ".", golden.DynamoDB)
	for _, service := range names(deployment.Forum.All()) {
		for _, role := range ofType(a.Stack("dev-"+config.Pascal(service)), "AWS::IAM::Role") {
			equal(t, role.String(), any([]any{object{"Key": "environment", "Value": "dev"}, object{"Key": "service", "Value": service}}), role.Properties["Tags"])
		}
	}
}

// A table has what the services' layout needs, backups, and nothing that nobody reads.
func TestTables(t *testing.T) {
	a := synthStore(t, "dynamodb", settings{"namePrefix": "eu-"})
	found := map[string]bool{}
	for _, table := range a.Resources("AWS::DynamoDB::GlobalTable") {
		equal(t, table.String()+" stack", "dev-Data", table.Stack.Name)
		delete(listOf(table.Properties["Replicas"])[0], "ResourcePolicy")
		service, _ := strings.CutPrefix(table.Properties["TableName"].(string), "eu-dev-")
		found[service] = true
		equal(t, service, object{
			"TableName": "eu-dev-" + service, "BillingMode": "PAY_PER_REQUEST",
			"AttributeDefinitions": []any{object{"AttributeName": "pk", "AttributeType": "S"}, object{"AttributeName": "sk", "AttributeType": "S"}},
			"KeySchema":            []any{object{"AttributeName": "pk", "KeyType": "HASH"}, object{"AttributeName": "sk", "KeyType": "RANGE"}},
			"SSESpecification":     object{"SSEEnabled": true, "SSEType": "KMS"}, "TimeToLiveSpecification": object{"AttributeName": "ttl", "Enabled": true},
			"Replicas": []any{object{
				"Region": object{"Ref": "AWS::Region"}, "DeletionProtectionEnabled": true,
				"PointInTimeRecoverySpecification": object{"PointInTimeRecoveryEnabled": true, "RecoveryPeriodInDays": 35.0},
				"Tags":                             []any{object{"Key": "environment", "Value": "dev"}, object{"Key": "service", "Value": service}},
			}},
		}, table.Properties)
	}
	equal(t, "tables", map[string]bool{"users": true, "threads": true, "posts": true}, found)
	for _, dir := range []string{golden.DynamoDB, golden.PostgreSQL} {
		var endpoints []string
		for _, r := range golden.Read(t, ".", dir).Resources("AWS::EC2::VPCEndpoint") {
			endpoints = append(endpoints, r.LogicalID)
		}
		equal(t, "endpoints with "+dir, dir == golden.DynamoDB, slices.Contains(endpoints, "VpcDynamoDB6FB9CBF5"))
	}
}

// Tables and databases stay, in every environment, unless a setting lets them go. Then a snapshot of the
// database remains.
func TestDataProtection(t *testing.T) {
	tests := []struct {
		store, protection, env string
		want                   []string // type, deletion policy, protection
		stack                  bool
	}{
		{"dynamodb", "on", "dev", []string{"AWS::DynamoDB::GlobalTable Retain true"}, true},
		{"dynamodb", "off", "dev", []string{"AWS::DynamoDB::GlobalTable Delete false"}, false},
		{"dynamodb", "off", "prod", []string{"AWS::DynamoDB::GlobalTable Delete false"}, true}, // as all stacks of prod
		{"postgres", "on", "dev", []string{
			"AWS::EC2::SecurityGroup Retain <nil>", "AWS::RDS::DBCluster Retain true", "AWS::RDS::DBClusterParameterGroup Retain <nil>",
			"AWS::RDS::DBInstance Retain <nil>", "AWS::RDS::DBSubnetGroup Retain <nil>",
		}, true},
		{"postgres", "off", "dev", []string{"AWS::RDS::DBCluster Snapshot false", "AWS::RDS::DBInstance Delete <nil>"}, false},
	}
	for _, test := range tests {
		a := golden.Read(t, ".", test.store) // with protection, by default
		if test.protection == "off" {
			if !nightly.Runs() && test.env+test.store != "devpostgres" {
				continue
			}
			a = synthStore(t, test.store, settings{"dataProtection": "off", "env": test.env})
		}
		stack := a.Stack(test.env + "-Data")
		equal(t, "termination protection", test.stack, stack.TerminationProtection)
		found := map[string]bool{}
		for _, r := range stack.Resources {
			if r.DeletionPolicy == "" || r.Type == "AWS::Logs::LogGroup" || r.Type == "AWS::IAM::Role" {
				continue
			}
			protected := r.Properties["DeletionProtection"]
			if replicas := listOf(r.Properties["Replicas"]); len(replicas) > 0 {
				protected = replicas[0]["DeletionProtectionEnabled"]
			}
			found[fmt.Sprint(r.Type, " ", r.DeletionPolicy, " ", protected)] = true
			equal(t, r.String()+" update policy", r.DeletionPolicy, r.UpdateReplacePolicy)
		}
		got := []string{}
		for line := range found {
			got = append(got, line)
		}
		slices.Sort(got)
		equal(t, fmt.Sprint(test.store, " ", test.protection), test.want, got)
	}
}

// The database pauses in dev, and stands in two zones in prod. Nobody reaches it from outside.
func TestDatabase(t *testing.T) {
	for _, test := range []struct {
		dir, env, capacity string
		instances          int
		monitoring         any
	}{
		{golden.PostgreSQL, "dev", "map[MaxCapacity:2 MinCapacity:0 SecondsUntilAutoPause:300]", 1, nil},
		{golden.ProductionPostgreSQL, "prod", "map[MaxCapacity:8 MinCapacity:0.5]", 2, 60.0},
	} {
		a := golden.Read(t, ".", test.dir)
		cluster := resource(t, a, test.env+"-Data", "AWS::RDS::DBCluster")
		equal(t, "capacity", test.capacity, fmt.Sprint(cluster.Properties["ServerlessV2ScalingConfiguration"]))
		got := cluster.Properties
		for _, key := range []string{"ServerlessV2ScalingConfiguration", "DBClusterParameterGroupName", "DBSubnetGroupName", "VpcSecurityGroupIds", "Tags"} {
			delete(got, key)
		}
		equal(t, test.dir, object{
			"Engine": "aurora-postgresql", "EngineVersion": "17.9", "DBClusterIdentifier": test.env, "Port": 5433.0,
			"MasterUsername": "cutover", "ManageMasterUserPassword": true, "EnableIAMDatabaseAuthentication": true, "EnableHttpEndpoint": true,
			"StorageEncrypted": true, "DeletionProtection": true, "BackupRetentionPeriod": 35.0, "CopyTagsToSnapshot": true,
			"EnableCloudwatchLogsExports": []any{"postgresql"},
		}, got)
		instances := ofType(a.Stack(test.env+"-Data"), "AWS::RDS::DBInstance")
		equal(t, "instances", test.instances, len(instances))
		for _, instance := range instances {
			equal(t, instance.String()+" is public", any(false), instance.Properties["PubliclyAccessible"])
			equal(t, instance.String()+" monitoring", test.monitoring, instance.Properties["MonitoringInterval"])
			equal(t, instance.String()+" minor upgrades", any(true), instance.Properties["AutoMinorVersionUpgrade"])
			equal(t, instance.String()+" class", any("db.serverless"), instance.Properties["DBInstanceClass"])
		}
		parameters := resource(t, a, test.env+"-Data", "AWS::RDS::DBClusterParameterGroup")
		equal(t, "parameters", any(object{"rds.force_ssl": "1"}), parameters.Properties["Parameters"])
		equal(t, "family", any("aurora-postgresql17"), parameters.Properties["Family"])
		logs := resource(t, a, test.env+"-Data", "AWS::Logs::LogGroup")
		equal(t, "log group", any("/aws/rds/cluster/"+test.env+"/postgresql"), logs.Properties["LogGroupName"])
		equal(t, "the logs are there before", true, slices.Contains(cluster.DependsOn, logs.LogicalID))
		subnets := fmt.Sprint(resource(t, a, test.env+"-Data", "AWS::RDS::DBSubnetGroup").Properties["SubnetIds"])
		if strings.Contains(subnets, "Public") && !strings.Contains(subnets, "PublishOutputRefVpcPrivateSubnet1") || strings.Contains(subnets, "VpcPublic") {
			t.Errorf("the database is in %s", subnets)
		}
	}
}

// The database lets in the tasks of services that use it, by the security group that they have. A service
// that moves has two.
func TestWhoReachesTheDatabase(t *testing.T) {
	nightly.Test(t, "it synthesizes three deployments")
	rules := func(d config.Deployment, change settings) (found []string) {
		t.Helper()
		a := synthQuickly(t, d, change)
		group := resource(t, a, "dev-Data", "AWS::EC2::SecurityGroup")
		for _, r := range a.Resources("AWS::EC2::SecurityGroupIngress") {
			if property(t, a, r, "GroupId") != group.String()+".GroupId" {
				continue
			}
			equal(t, r.String(), []any{5433.0, 5433.0, "tcp"}, []any{r.Properties["FromPort"], r.Properties["ToPort"], r.Properties["IpProtocol"]})
			found = append(found, fmt.Sprint(r.Stack.Name, ": ", property(t, a, r, "SourceSecurityGroupId")))
		}
		slices.Sort(found)
		return found
	}
	instances := "dev-Data: dev-Network/InstanceSecurityGroup896E10BF.GroupId"
	equal(t, "in bridge mode", []string{instances}, rules(deployment.Forum, settings{"store": "postgres"}))

	// Of the services users alone has a database, and moves. The monolith is on EC2.
	d := changed(first, func(s *config.Service) {
		s.Store, s.StoreCalls = config.AuroraPostgreSQL{}, nil
		s.Compute, s.Next = config.EC2{NetworkMode: "awsvpc"}, config.Fargate{}
	})
	own := []string{"dev-Users: dev-Users/FargateSecurityGroup4A64555C.GroupId", "dev-Users: dev-Users/SecurityGroupDD263621.GroupId"}
	got := rules(d, settings{"phase": "parallel", "compute": "users=10%"})
	equal(t, "while a service moves", append([]string{instances}, own...), got)
	got = rules(d, settings{"phase": "retired", "compute": "users=10%"})
	equal(t, "without the monolith", own, got)
}

// The stores are the only change of a deployment that gets them, and what calls need.
func TestStoresChangeNothingElse(t *testing.T) {
	before := golden.Read(t, ".", migration.Parallel.String())
	for _, store := range []string{golden.DynamoDB, golden.PostgreSQL} {
		for _, line := range assembly.Changes(before, golden.Read(t, ".", store)) {
			fields := strings.Fields(line)
			switch {
			case fields[1] == "dev-Data", fields[1] == "dev-Watch" && fields[2] == "Dashboard9E4231ED":
			case strings.HasPrefix(line, "+ dev-Network VpcDynamoDB"), strings.HasPrefix(fields[2], "TaskDefinitionTaskRoleDefaultPolicy") && fields[0] == "+":
			case fields[2] == "ServiceD69D759B" && fields[3] == "DependsOn": // of the grants
			case strings.HasPrefix(fields[3], "Properties.ContainerDefinitions[0].Environment"):
			case fields[1] == "dev-Routing" && strings.HasPrefix(fields[2], "Outputs.PublishOutput") && strings.Contains(line, "DNSName"): // for calls
			default:
				t.Errorf("%s changes %s", store, line)
			}
		}
	}
}

// TestContractsOfStores pins the names that hold records: see TestContracts.
func TestContractsOfStores(t *testing.T) {
	want := map[string][]string{
		golden.DynamoDB: {
			"AWS::DynamoDB::GlobalTable PostsTableC82B36F0 dev-posts", "AWS::DynamoDB::GlobalTable ThreadsTable1D5C607C dev-threads", "AWS::DynamoDB::GlobalTable UsersTable9725E9C8 dev-users",
		},
		golden.PostgreSQL: {
			"AWS::RDS::DBCluster DatabaseB269D8BB dev", "AWS::RDS::DBClusterParameterGroup DatabaseParameterGroup2A921026 <nil>",
			"AWS::RDS::DBInstance DatabaseWriter7794273E <nil>", "AWS::RDS::DBSubnetGroup DatabaseSubnets56F17B9A <nil>", "output DatabaseArn", "output DatabaseSecretArn", "output Databases",
		},
	}
	for dir, want := range want {
		stack := golden.Read(t, ".", dir).Stack("dev-Data")
		var got []string
		for _, r := range stack.Resources {
			name := r.Properties["TableName"]
			if name == nil {
				name = r.Properties["DBClusterIdentifier"]
			}
			if r.Type == "AWS::RDS::DBInstance" {
				name = nil // refers to the cluster
			}
			if strings.HasPrefix(r.Type, "AWS::RDS") || strings.HasPrefix(r.Type, "AWS::DynamoDB") {
				got = append(got, fmt.Sprint(r.Type, " ", r.LogicalID, " ", name))
			}
		}
		for name := range stack.Outputs {
			if !strings.HasPrefix(name, "PublishOutput") {
				got = append(got, "output "+name)
			}
		}
		slices.Sort(got)
		equal(t, dir, want, got)
	}
}

// What watches the stores tells the environment's topic.
func TestAlarmsOfStores(t *testing.T) {
	describe := func(a *assembly.Assembly, like string) (found []string) {
		for _, alarm := range a.Resources("AWS::CloudWatch::Alarm") {
			name := fmt.Sprint(alarm.Properties["AlarmName"])
			if strings.Contains(name, like) {
				p := alarm.Properties
				found = append(found, fmt.Sprint(alarm.Stack.Name, " ", name, ": ", p["ComparisonOperator"], " ", p["Threshold"], " ", p["EvaluationPeriods"], " times, missing ", p["TreatMissingData"],
					", ", len(p["AlarmActions"].([]any)), " action"))
			}
		}
		slices.Sort(found)
		return found
	}
	equal(t, "of tables", []string{
		"dev-Posts dev-throttles-of-posts: GreaterThanOrEqualToThreshold 10 1 times, missing notBreaching, 1 action",
		"dev-Threads dev-throttles-of-threads: GreaterThanOrEqualToThreshold 10 1 times, missing notBreaching, 1 action",
		"dev-Users dev-throttles-of-users: GreaterThanOrEqualToThreshold 10 1 times, missing notBreaching, 1 action",
	}, describe(synthStore(t, "dynamodb", settings{"alarms": "on"}), "throttles"))
	a := golden.Read(t, ".", golden.ProductionPostgreSQL)
	equal(t, "of the database", []string{"prod-Data prod-capacity-of-database: GreaterThanOrEqualToThreshold 90 3 times, missing notBreaching, 1 action"}, describe(a, "database"))
	topic := resource(t, a, "prod-Routing", "AWS::SNS::Topic").String()
	var events []string
	for _, r := range a.Resources("AWS::RDS::EventSubscription") {
		equal(t, r.String(), any(topic), property(t, a, r, "SnsTopicArn"))
		events = append(events, fmt.Sprint(r.Properties["SourceType"], " ", r.Properties["EventCategories"]))
	}
	slices.Sort(events)
	equal(t, "events", []string{"db-cluster [maintenance failure]", "db-instance [maintenance configuration change failure]", "db-parameter-group [configuration change]"}, events)
}

// TestNagOfStores reads what cdk-nag says of tables and databases: what is suppressed is needed.
func TestNagOfStores(t *testing.T) {
	nightly.Test(t, "cdk-nag writes reports")
	d := changed(first, func(s *config.Service) { s.Store, s.StoreCalls = config.DynamoDB{}, nil })
	for name, context := range map[string]settings{
		"kept":   {"env": "prod", "certificateArn": certificate, "domain": "api.example.com", "phase": "parallel", "store": "postgres"},
		"passed": {"phase": "parallel", "store": "postgres", "dataProtection": "off"},
	} {
		dir := filepath.Join(scratch, "nag-of-stores-"+name)
		if err := synthTo(d, cdkContext(t, context), dir, true); err != nil {
			t.Fatal(err)
		}
		a, err := assembly.Read(dir)
		if err != nil {
			t.Fatal(err)
		}
		checkNag(t, name, a)
		if name == "kept" {
			meetsControls(t, a)
		}
	}
}
