package model

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cutover/internal/assembly"
)

func TestTables(t *testing.T) {
	m := read(t, `
		"Global": {"Type": "AWS::DynamoDB::GlobalTable", "Properties": {"TableName": "dev-users", "BillingMode": "PAY_PER_REQUEST",
			"AttributeDefinitions": [{"AttributeName": "sk", "AttributeType": "N"}, {"AttributeName": "pk", "AttributeType": "S"}],
			"KeySchema": [{"AttributeName": "sk", "KeyType": "RANGE"}, {"AttributeName": "pk", "KeyType": "HASH"}],
			"SSESpecification": {"SSEEnabled": true, "SSEType": "KMS"}, "StreamSpecification": {"StreamViewType": "NEW_IMAGE"},
			"TimeToLiveSpecification": {"AttributeName": "ttl", "Enabled": true},
			"Replicas": [
				{"Region": {"Ref": "AWS::Region"}, "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": true}, "DeletionProtectionEnabled": true,
				 "ResourcePolicy": {"PolicyDocument": {"Statement": [{"Effect": "Deny", "Action": "dynamodb:*", "Principal": "*", "Resource": "*"}]}}},
				{"Region": "eu-west-1", "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": true}}]}},
		"Half": {"Type": "AWS::DynamoDB::GlobalTable", "Properties": {"Replicas": [{"Region": "a"}, {"Region": "b", "DeletionProtectionEnabled": true, "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": true}}]}},
		"Plain": {"Type": "AWS::DynamoDB::Table", "Properties": {"KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}], "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "B"}],
			"PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": true}, "DeletionProtectionEnabled": true, "TimeToLiveSpecification": {"AttributeName": "ttl", "Enabled": false},
			"GlobalSecondaryIndexes": [{"IndexName": "g"}], "LocalSecondaryIndexes": [{"IndexName": "l"}],
			"ResourcePolicy": {"PolicyDocument": {"Statement": [{"Effect": "Allow", "Action": "dynamodb:GetItem", "Principal": {"AWS": "*"}, "Resource": "*"}]}}}},
		"Least": {"Type": "AWS::DynamoDB::Table", "Properties": {"KeySchema": [{"AttributeName": "id", "KeyType": "SORT"}]}}`)
	var got []string
	for _, table := range m.Tables {
		got = append(got, fmt.Sprintf("%s %s keys %v demand %t ttl %q stream %q in %q pitr %t protected %t policy %v", table.Key(), table.Name, table.Keys,
			table.OnDemand, table.TimeToLive, table.Stream, table.Replicas, table.PointInTimeRecovery, table.DeletionProtection, table.Policy))
	}
	if diff := cmp.Diff([]string{
		`S/Least Least keys [{id }] demand false ttl "" stream "" in [] pitr false protected false policy []`,
		`S/Plain Plain keys [{id B}] demand false ttl "" stream "" in [] pitr true protected true policy [{Allow [dynamodb:GetItem] [*] map[AWS:[*]] map[]}]`,
		`S/Global dev-users keys [{pk S} {sk N}] demand true ttl "ttl" stream "NEW_IMAGE" in ["" "eu-west-1"] pitr true protected false policy [{Deny [dynamodb:*] [*] map[AWS:[*]] map[]}]`,
		`S/Half Half keys [] demand false ttl "" stream "" in ["a" "b"] pitr false protected false policy []`,
	}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := m.Tables[0].Problem(); err == nil || !strings.Contains(err.Error(), `S/Least/Properties.KeySchema[0].KeyType: "SORT"`) {
		t.Errorf("a key that nobody knows: %v", err)
	}
	// The model has the policy of a table as any other resource's.
	if diff := cmp.Diff([]string{"S/Global", "S/Plain"}, func() (keys []string) {
		for _, p := range m.ResourcePolicies {
			keys = append(keys, p.Key())
		}
		return keys
	}()); diff != "" {
		t.Errorf("policies (-want +got):\n%s", diff)
	}
	if len(m.ResourcePolicies[0].Statements) != 1 || len(m.ResourcePolicies[1].Statements) != 1 {
		t.Error("the policies have no statements")
	}
}

func TestDatabases(t *testing.T) {
	m := read(t, `
		"Subnet": {"Type": "AWS::EC2::Subnet"}, "Group": {"Type": "AWS::EC2::SecurityGroup"},
		"Subnets": {"Type": "AWS::RDS::DBSubnetGroup", "Properties": {"SubnetIds": [{"Ref": "Subnet"}, "subnet-1"]}},
		"Parameters": {"Type": "AWS::RDS::DBClusterParameterGroup", "Properties": {"Family": "aurora-postgresql17", "Parameters": {"rds.force_ssl": 1}}},
		"Cluster": {"Type": "AWS::RDS::DBCluster", "Properties": {"DBClusterIdentifier": "dev", "Engine": "aurora-postgresql", "EngineVersion": "17.7", "MasterUsername": "cutover", "ManageMasterUserPassword": true,
			"DatabaseName": "first", "Port": 5433, "EnableIAMDatabaseAuthentication": true, "StorageEncrypted": true, "DeletionProtection": true, "CopyTagsToSnapshot": true, "AutoMinorVersionUpgrade": false, "EnableHttpEndpoint": true,
			"EnableCloudwatchLogsExports": ["postgresql"], "BackupRetentionPeriod": 7, "MonitoringInterval": 60, "ServerlessV2ScalingConfiguration": {"MinCapacity": 0.5, "MaxCapacity": 2, "SecondsUntilAutoPause": 600},
			"DBSubnetGroupName": {"Ref": "Subnets"}, "DBClusterParameterGroupName": {"Ref": "Parameters"}, "VpcSecurityGroupIds": [{"Fn::GetAtt": ["Group", "GroupId"]}, "sg-1"]}},
		"Default": {"Type": "AWS::RDS::DBCluster", "Properties": {"Engine": "aurora-postgresql", "ServerlessV2ScalingConfiguration": {"MinCapacity": 0.3, "MaxCapacity": 257}}},
		"Mysql": {"Type": "AWS::RDS::DBCluster", "Properties": {"Engine": "aurora-mysql"}},
		"Writer": {"Type": "AWS::RDS::DBInstance", "Properties": {"DBClusterIdentifier": {"Ref": "Cluster"}, "DBInstanceClass": "db.serverless", "PubliclyAccessible": false, "MonitoringInterval": 30}},
		"Alone": {"Type": "AWS::RDS::DBInstance", "Properties": {"DBInstanceClass": "db.t4g.micro", "AutoMinorVersionUpgrade": false, "DeletionProtection": true}}`)
	c := m.DatabaseClusters[0]
	got := fmt.Sprint(c.Name, c.Engine, c.MasterUser, c.Port, c.Logs, c.BackupDays, c.MinCapacity, c.MaxCapacity, c.Monitoring, c.Parameters, c.SecurityGroups, len(c.Subnets), c.Subnets[0].Key(), c.Subnets[1] == nil, len(c.Instances), "|",
		c.ManagedPassword, c.IAMAuthentication, c.Encrypted, c.DeletionProtection, c.CopyTags, c.MinorUpgrades)
	want := fmt.Sprint("dev", "aurora-postgresql", "cutover", 5433, []string{"postgresql"}, 7, 0.5, 2.0, time.Minute, map[string]string{"rds.force_ssl": "1"}, []string{"S/Group"}, 2, "S/Subnet", true, 1, "|", true, true, true, true, true, false)
	if got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
	if err := c.Problem(); err != nil {
		t.Error(err)
	}
	d := m.DatabaseClusters[1]
	got = fmt.Sprint(d.Name, d.Port, d.BackupDays, d.MinCapacity, d.MaxCapacity, d.Monitoring, d.ManagedPassword, d.IAMAuthentication, d.Encrypted, d.DeletionProtection, d.CopyTags, d.MinorUpgrades)
	if want := fmt.Sprint("Default", 5432, 1, 0.0, 0.0, time.Duration(0), false, false, false, false, false, true); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
	if err := d.Problem(); err == nil || strings.Count(err.Error(), "0 to 256 in steps of 0.5") != 2 {
		t.Errorf("capacity units: %v", err)
	}
	if port := m.DatabaseClusters[2].Port; port != 3306 {
		t.Errorf("MySQL is at %d", port)
	}
	alone, writer := m.DatabaseInstances[0], m.DatabaseInstances[1]
	got = fmt.Sprint(alone.Alone, alone.Cluster == nil, alone.Public == nil, alone.MinorUpgrades, alone.DeletionProtection, alone.Monitoring, "|", writer.Alone, writer.Cluster == c, *writer.Public, writer.MinorUpgrades, writer.DeletionProtection, writer.Monitoring, writer.Class)
	if want := fmt.Sprint(true, true, true, false, true, time.Duration(0), "|", false, true, false, true, false, 30*time.Second, "db.serverless"); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

// What has data of its own, and what CloudFormation does if it leaves its template.
func TestKeeps(t *testing.T) {
	member := map[string]any{"DBClusterIdentifier": "c"}
	for _, test := range []struct {
		resource assembly.Resource
		keeps    bool
		kept     string
	}{
		{assembly.Resource{Type: DynamoDBTable}, true, "Delete"},
		{assembly.Resource{Type: DynamoDBGlobalTable, DeletionPolicy: "Retain"}, true, "Retain"},
		{assembly.Resource{Type: RDSCluster}, true, "Snapshot"},
		{assembly.Resource{Type: RDSCluster, DeletionPolicy: "Delete"}, true, "Delete"},
		{assembly.Resource{Type: RDSInstance}, true, "Snapshot"},
		{assembly.Resource{Type: RDSInstance, Properties: member}, false, "Delete"},
		{assembly.Resource{Type: EFSFileSystem}, true, "Delete"},
		{assembly.Resource{Type: SSMParameter}, false, "Delete"},
	} {
		if keeps, kept := Keeps(&test.resource), Kept(&test.resource); keeps != test.keeps || kept != test.kept {
			t.Errorf("%s %v: %t, %s, want %t, %s", test.resource.Type, test.resource.Properties, keeps, kept, test.keeps, test.kept)
		}
	}
}

// A container uses a table whose name it has, and a database whose URL it has.
func TestUses(t *testing.T) {
	m := read(t, `
		"Users": {"Type": "AWS::DynamoDB::Table", "Properties": {"TableName": "dev-users"}}, "Made": {"Type": "AWS::DynamoDB::GlobalTable"},
		"Cluster": {"Type": "AWS::RDS::DBCluster"}, "Other": {"Type": "AWS::SSM::Parameter"},
		"D": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"ContainerDefinitions": [{"Name": "c", "Image": "i", "Environment": [
			{"Name": "USERS_TABLE", "Value": "dev-users"}, {"Name": "AGAIN", "Value": "dev-users"}, {"Name": "NEARLY", "Value": "dev-users2"}, {"Name": "OTHER", "Value": {"Ref": "Other"}},
			{"Name": "MADE", "Value": {"Ref": "Made"}}, {"Name": "HOST", "Value": {"Fn::GetAtt": ["Cluster", "Endpoint.Address"]}},
			{"Name": "URL", "Value": {"Fn::Join": ["", ["postgresql://a@", {"Fn::GetAtt": ["Cluster", "Endpoint.Address"]}, ":", {"Fn::GetAtt": ["Cluster", "Endpoint.Port"]}, "/order_items?sslmode=verify-full"]]}},
			{"Name": "FOREIGN", "Value": {"Fn::Join": ["", ["postgresql://a@", {"Ref": "Other"}, "/order_items"]]}}]},
			{"Name": "side", "Image": "i", "Environment": [{"Name": "PLAIN", "Value": {"Fn::Join": ["", ["postgresql://", {"Fn::GetAtt": ["Cluster", "Endpoint.Address"]}, "/b"]]}}]}]}}`)
	var got []string
	for _, use := range m.Uses(m.TaskDefinitions[0]) {
		got = append(got, fmt.Sprintf("%s: %s, %s", use.Variable, use, use.Key()))
	}
	if diff := cmp.Diff([]string{
		"PLAIN: database b, S/Cluster b", "URL: database order_items, S/Cluster order_items", "MADE: table Made, S/Made", "USERS_TABLE: table dev-users, S/Users",
	}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
