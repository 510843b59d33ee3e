package emulate

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	cfntypes "github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/google/go-cmp/cmp"

	"cutover/internal/nightly"
)

// goldenTemplate is a reviewed template, without the parts that ask whether the account is bootstrapped.
func goldenTemplate(t *testing.T, file string, changes ...string) *string {
	t.Helper()
	text, err := os.ReadFile("../../stacks/golden/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var template map[string]any
	if err := json.Unmarshal([]byte(strings.NewReplacer(changes...).Replace(string(text))), &template); err != nil {
		t.Fatal(err)
	}
	delete(template, "Parameters")
	delete(template, "Rules")
	out, err := json.Marshal(template)
	if err != nil {
		t.Fatal(err)
	}
	return aws.String(string(out))
}

// TestData: the tables and the database of the reviewed templates arrive at DynamoDB and RDS with what protects
// them. Protected, they outlive their stack; otherwise a snapshot of the database remains.
func TestData(t *testing.T) {
	nightly.Test(t, "it deploys and updates tables and databases on an emulated AWS")
	a := services(t)
	endpoint, ctx := a.Endpoint(), t.Context()
	config := aws.Config{Region: Region, BaseEndpoint: &endpoint, Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")}
	cfn, tables := cloudformation.NewFromConfig(config), dynamodb.NewFromConfig(config)
	deploy := func(kind cfntypes.ChangeSetType, name string, template *string) {
		t.Helper()
		if _, reason := deploying(t, cfn, name)(kind, *template); reason != "" {
			t.Fatal(reason)
		}
	}
	remove := func(name string) {
		t.Helper()
		if _, err := cfn.DeleteStack(ctx, &cloudformation.DeleteStackInput{StackName: &name}); err != nil {
			t.Fatal(err)
		}
	}
	unprotected := []string{`"DeletionProtection": true`, `"DeletionProtection": false`, `"DeletionProtectionEnabled": true`, `"DeletionProtectionEnabled": false`}

	deploy(cfntypes.ChangeSetTypeCreate, "dev-Data", goldenTemplate(t, "dynamodb/dev-Data.json"))
	described, err := tables.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: aws.String("dev-users")})
	if err != nil {
		t.Fatal(err)
	}
	table := described.Table
	ttl, err := tables.DescribeTimeToLive(ctx, &dynamodb.DescribeTimeToLiveInput{TableName: table.TableName})
	if err != nil {
		t.Fatal(err)
	}
	backups, err := tables.DescribeContinuousBackups(ctx, &dynamodb.DescribeContinuousBackupsInput{TableName: table.TableName})
	if err != nil {
		t.Fatal(err)
	}
	policy, err := tables.GetResourcePolicy(ctx, &dynamodb.GetResourcePolicyInput{ResourceArn: table.TableArn})
	if err != nil {
		t.Fatal(err)
	}
	got := []any{
		aws.ToBool(table.DeletionProtectionEnabled), string(table.BillingModeSummary.BillingMode), len(table.KeySchema), aws.ToString(ttl.TimeToLiveDescription.AttributeName),
		string(backups.ContinuousBackupsDescription.PointInTimeRecoveryDescription.PointInTimeRecoveryStatus), strings.Contains(*policy.Policy, "aws:PrincipalTag/service"),
	}
	if diff := cmp.Diff([]any{true, "PAY_PER_REQUEST", 2, "ttl", "ENABLED", true}, got); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
	left := func() int {
		t.Helper()
		list, err := tables.ListTables(ctx, &dynamodb.ListTablesInput{})
		if err != nil {
			t.Fatal(err)
		}
		return len(list.TableNames)
	}
	deploy(cfntypes.ChangeSetTypeUpdate, "dev-Data", goldenTemplate(t, "dynamodb/dev-Data.json", append([]string{`"Retain"`, `"Delete"`}, unprotected...)...))
	remove("dev-Data")
	if n := left(); n != 0 {
		t.Errorf("%d tables are left", n)
	}

	// The network has a function of CDK's, whose code the command line would upload.
	const bucket = "/cdk-hnb659fds-assets-" + Account + "-" + Region
	for _, one := range []struct {
		path    string
		content []byte
	}{{bucket, nil}, {bucket + "/HASH.zip", zipped(t, "CDK's")}} {
		request, err := http.NewRequestWithContext(ctx, http.MethodPut, endpoint+one.path, bytes.NewReader(one.content))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=test/20200101/"+Region+"/s3/aws4_request, SignedHeaders=host, Signature=0")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		if _ = response.Body.Close(); response.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s", one.path, response.Status)
		}
	}
	deploy(cfntypes.ChangeSetTypeCreate, "dev-Network", goldenTemplate(t, "postgres/dev-Network.json"))
	deploy(cfntypes.ChangeSetTypeCreate, "dev-Data", goldenTemplate(t, "postgres/dev-Data.json"))
	rds := func(action string, parameters ...string) string {
		t.Helper()
		form := url.Values{"Action": {action}, "Version": {"2014-10-31"}}
		for i := 0; i < len(parameters); i += 2 {
			form.Set(parameters[i], parameters[i+1])
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=test/20200101/"+Region+"/rds/aws4_request, SignedHeaders=host, Signature=0")
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s: %v\n%s", action, answer.Status, err, text)
		}
		return string(text)
	}
	has := func(answer string, want ...string) {
		t.Helper()
		for _, element := range want {
			if !strings.Contains(answer, element) {
				t.Errorf("no %s in %s", element, answer)
			}
		}
	}
	has(rds("DescribeDBClusters"), "<DBClusterIdentifier>dev<", "<DeletionProtection>true<", "<StorageEncrypted>true<", "<Port>5433<", "<BackupRetentionPeriod>35<", "<IAMDatabaseAuthenticationEnabled>true<",
		"<MasterUsername>cutover<", "<SecretArn>arn:", "<IsClusterWriter>true<", "<MinCapacity>0", "<CopyTagsToSnapshot>true<")
	outputs, err := cfn.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: aws.String("dev-Data")})
	if err != nil {
		t.Fatal(err)
	}
	for _, output := range outputs.Stacks[0].Outputs {
		value := *output.OutputValue
		switch key := *output.OutputKey; {
		case key == "DatabaseArn" && value == "arn:aws:rds:us-east-1:123456789012:cluster:dev",
			strings.Contains(key, "DBClusterResourceId") && regexp.MustCompile(`^cluster-[A-Z0-9]+$`).MatchString(value),
			key == "DatabaseSecretArn" && strings.HasPrefix(value, "arn:aws:secretsmanager:"), key == "Databases" && value == "users,threads,posts",
			strings.Contains(key, "EndpointPort") && value == "5433",
			strings.Contains(key, "EndpointAddress") && strings.HasPrefix(value, "dev.cluster-"):
		default:
			t.Errorf("output %s is %q", key, value)
		}
	}

	remove("dev-Data") // as if nothing but the policies protected it
	has(rds("DescribeDBClusters"), "<DBClusterIdentifier>dev<")
	rds("ModifyDBCluster", "DBClusterIdentifier", "dev", "DeletionProtection", "false")
	for _, id := range regexp.MustCompile(`<DBInstanceIdentifier>([^<]+)`).FindAllStringSubmatch(rds("DescribeDBInstances"), -1) {
		rds("DeleteDBInstance", "DBInstanceIdentifier", id[1], "SkipFinalSnapshot", "true")
	}
	rds("DeleteDBCluster", "DBClusterIdentifier", "dev", "SkipFinalSnapshot", "true")

	deploy(cfntypes.ChangeSetTypeCreate, "dev-Other", goldenTemplate(t, "postgres/dev-Data.json", append([]string{
		`"DeletionPolicy": "Retain"`, `"DeletionPolicy": "Snapshot"`, `"DBClusterIdentifier": "dev"`, `"DBClusterIdentifier": "other"`,
	}, unprotected...)...))
	remove("dev-Other")
	has(rds("DescribeDBClusterSnapshots", "DBClusterIdentifier", "other"), "<DBClusterIdentifier>other<", "<SnapshotType>manual<")
	if answer := rds("DescribeDBClusters"); strings.Contains(answer, "<DBClusterIdentifier>") {
		t.Errorf("the cluster is left: %s", answer)
	}
	remove("dev-Network")
}
