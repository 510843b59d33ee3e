package cost

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestStores(t *testing.T) {
	const demand, recovery = `"BillingMode": "PAY_PER_REQUEST"`, `"PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": true}`
	table := func(properties string) string {
		return `"T": {"Type": "AWS::DynamoDB::Table", "Properties": {` + properties + `}}`
	}
	cluster := func(properties string) string {
		return `"C": {"Type": "AWS::RDS::DBCluster", "Properties": {"Engine": "aurora-postgresql"` + properties + `}}`
	}
	instance := func(id, class, more string) string {
		return fmt.Sprintf(`, "%s": {"Type": "AWS::RDS::DBInstance", "Properties": {"DBClusterIdentifier": {"Ref": "C"}, "DBInstanceClass": "%s"%s}}`, id, class, more)
	}
	capacity := func(least string) string {
		return `, "ServerlessV2ScalingConfiguration": {"MinCapacity": ` + least + `, "MaxCapacity": 4}`
	}
	const (
		none           = "= 0.00\nshared: 0 tasks, 1.0000, 0.00\n"
		reads          = "0.125 per million read request units of a table\n"
		writes         = "0.625 per million write request units of a table\n"
		tableStorage   = "0.25 per GB in tables and month, above the first 25 GB of a region\n"
		tableBackups   = "0.20 per GB in tables with point-in-time recovery and month\n"
		units          = "0.12 per Aurora capacity unit (ACU) and hour above the least\n"
		storage        = "0.10 per GB in a database cluster and month\n"
		requests       = "0.20 per million reads and writes of a database cluster's storage\n"
		clusterBackups = "0.021 per GB of a database cluster's backups and month, above the size of the cluster\n"
	)
	for _, test := range []struct {
		name, resources string
		own             Prices
		want            string
	}{
		{"a table", table(demand), nil, none + reads + tableStorage + writes},
		{"with backups", table(demand + ", " + recovery), nil, none + tableBackups + reads + tableStorage + writes},
		{"provisioned", table(recovery), nil, none + "not 1 table with provisioned capacity\n" + tableBackups + tableStorage},
		{"a global table of one region", `"T": {"Type": "AWS::DynamoDB::GlobalTable", "Properties": {` + demand + `, "Replicas": [{"Region": "us-east-1", ` + recovery + `}]}}`, nil, none + tableBackups + reads + tableStorage + writes},
		{"of two", `"T": {"Type": "AWS::DynamoDB::GlobalTable", "Properties": {` + demand + `, "Replicas": [{"Region": "us-east-1"}, {"Region": "eu-west-1"}]}}`, nil, none + "not 1 table in several regions\n" + reads + tableStorage},
		{"a cluster that pauses", cluster(capacity("0")) + instance("I", "db.serverless", ""), nil,
			"1 database instance of 0 ACU at least: 0.00 an hour: 0.00\n" + none + clusterBackups + units + storage + requests},
		{"a cluster with two instances, a secret and a service", cluster(capacity("0.5")+`, "ManageMasterUserPassword": true`) + instance("I", "db.serverless", "") + instance("J", "db.serverless", `, "Tags": [{"Key": "service", "Value": "users"}]`), nil,
			"2 database instances of 0.5 ACU at least: 2 × 0.06 an hour: 87.60\n1 secret: 0.40: 0.40\n= 88.00\nusers: 0 tasks, 0.0000, 43.80\nshared: 0 tasks, 1.0000, 44.20\n" + clusterBackups + units + storage + requests},
		{"another price", cluster(capacity("1")) + instance("I", "db.serverless", ""), Prices{"database instance of 1 ACU at least": 0.1},
			"1 database instance of 1 ACU at least: 0.10 an hour: 73.00\n= 73.00\nshared: 0 tasks, 1.0000, 73.00\n" + clusterBackups + units + storage + requests},
		{"an instance of another class", cluster("") + instance("I", "db.r8g.large", ""), nil, none + "not 1 database instance db.r8g.large\n" + clusterBackups + storage + requests},
		{"an instance of no class", `"I": {"Type": "AWS::RDS::DBInstance"}`, nil, none + "not 1 database instance\n"},
		{"storage with requests", cluster(capacity("1")+`, "StorageType": "aurora-iopt1"`) + instance("I", "db.serverless", ""), nil,
			none + "not 1 database cluster with storage aurora-iopt1\nnot 1 database instance db.serverless\n" + clusterBackups},
		{"not Aurora", `"C": {"Type": "AWS::RDS::DBCluster", "Properties": {"Engine": "postgres"}}`, nil, none + "not 1 database cluster that is not Aurora\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			estimates, err := ReadAt(readModel(t, map[string]string{"Stack": `{"Resources": {` + test.resources + `}}`}), test.own)
			if err != nil {
				t.Fatal(err)
			}
			got := show(estimates[0])
			for _, traffic := range estimates[0].Traffic {
				if !strings.Contains(got, traffic) {
					got += traffic + "\n"
				}
			}
			lines := func(text string) []string { return strings.Split(text, "\n") }
			if diff := cmp.Diff(sorted(lines(test.want)), sorted(lines(got))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Without a gateway endpoint, requests to a table pass a NAT gateway. The VPC of somebody else may have one.
func TestWayToTables(t *testing.T) {
	const service = `"T": {"Type": "AWS::DynamoDB::Table", "Properties": {"TableName": "dev-users"}},
		"D": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"ContainerDefinitions": [{"Name": "c", "Image": "i", "Environment": [{"Name": "T", "Value": "TABLE"}]}]}},
		"S": {"Type": "AWS::ECS::Service", "Properties": {"ServiceName": "users", "TaskDefinition": {"Ref": "D"}, "LaunchType": "FARGATE", "NetworkConfiguration": {"AwsvpcConfiguration": {"AssignPublicIp": "PUBLIC"}}}}`
	const vpc, note = `, "V": {"Type": "AWS::EC2::VPC"}`, "users: requests to its table pass a NAT gateway, at US$ 0.045 for a GB; a gateway endpoint for DynamoDB in the VPC is free"
	endpoint := func(of string) string {
		return `, "E": {"Type": "AWS::EC2::VPCEndpoint", "Properties": {"ServiceName": "com.amazonaws.us-east-1.` + of + `"}}`
	}
	for _, test := range []struct{ table, public, more, want string }{
		{"dev-users", "DISABLED", vpc, note},
		{"dev-users", "DISABLED", vpc + endpoint("s3"), note},
		{"dev-users", "DISABLED", vpc + endpoint("dynamodb"), ""},
		{"dev-users", "ENABLED", vpc, ""},
		{"dev-users", "DISABLED", "", ""},
		{"another", "DISABLED", vpc, ""},
	} {
		text := strings.NewReplacer("TABLE", test.table, "PUBLIC", test.public).Replace(service)
		estimates, err := Read(readModel(t, map[string]string{"Stack": `{"Resources": {` + text + test.more + `}}`}))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(estimates[0].Calls, "\n"); got != test.want {
			t.Errorf("%+v: %q", test, got)
		}
	}
}

// A write takes a unit for each KB, and twice as many in a transaction. A read takes one for each 4 KB.
func TestTableUnits(t *testing.T) {
	for _, test := range []struct {
		request                Request
		reads, writes, storage int
	}{
		{Request{}, 0, 0, 0},
		{Request{Writes: []int{0}}, 0, 1, 3},
		{Request{Writes: []int{1024}}, 0, 1, 3},
		{Request{Writes: []int{1025}}, 0, 2, 3},
		{Request{Writes: []int{1, 1}}, 0, 4, 5},
		{Request{Writes: []int{1025, 1}}, 0, 6, 5},
		{Request{Writes: []int{4096}}, 0, 4, 3},
		{Request{Writes: []int{4097}}, 0, 5, 4},
		{Request{Reads: []int{4096}}, 1, 0, 0},
		{Request{Reads: []int{4097, 1}}, 3, 0, 0},
	} {
		reads, writes := test.request.TableUnits()
		if storage := test.request.StorageRequests(); reads != test.reads || writes != test.writes || storage != test.storage {
			t.Errorf("%+v: %d units to read, %d to write, %d writes of storage, want %d, %d, %d", test.request, reads, writes, storage, test.reads, test.writes, test.storage)
		}
	}
}

func TestStoreTable(t *testing.T) {
	want := `| a million of | DynamoDB: units to read, to write | US$ | Aurora: writes of storage, at most | US$ |
|---|---|---|---|---|
| POST of a user | 0, 4 | 2.50 | 5 | 1.00 |
| POST of a post | 0, 8 | 5.00 | 9 | 1.80 |
| PUT | 1, 1 | 0.75 | 3 | 0.60 |
| DELETE of a post | 1, 6 | 3.88 | 7 | 1.40 |
| GET of one | 1, 0 | 0.13 | 0 | 0.00 |
| GET of a list of 20 | 21, 0 | 2.63 | 0 | 0.00 |
`
	if diff := cmp.Diff(want, StoreTable(900)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if large := StoreTable(300 << 10); !strings.Contains(large, "| POST of a post | 0, 608 | 380.00 |") {
		t.Errorf("a post of 300 KB:\n%s", large)
	}
}

// The document says the prices that an estimate has.
func TestDocumentOfStores(t *testing.T) {
	text, err := os.ReadFile("../../../docs/cost.md")
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(strings.Fields(string(text)), " ")
	price := func(key string) string { return decimal(prices.Traffic[key].Price) }
	for _, want := range []string{
		price("tableWrites") + " per million write request units and " + price("tableReads") + " per million read request units",
		"A GB costs " + price("tableStorage") + " a month above the first 25 GB, and " + price("tableBackups") + " more for point-in-time recovery",
		price("databaseCapacity") + " per capacity unit and hour: " + amount(prices.Hours, 0.5*prices.Traffic["databaseCapacity"].Price).String() + " a month for an instance that keeps 0.5",
		"A GB costs " + price("databaseStorage") + " a month, and a million reads and writes of the storage cost " + price("databaseRequests"),
	} {
		if !strings.Contains(all, want) {
			t.Errorf("it does not say %q", want)
		}
	}
}

func sorted(lines []string) []string {
	slices.Sort(lines)
	return lines
}
