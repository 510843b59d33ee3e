package emulate

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	cfntypes "github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"

	"cutover/internal/nightly"
)

// A function with a version and an alias, and the target group that names the alias. CAPITALS are replaced.
const functionTemplate = `{
	"Resources": {
		"Role": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": []}}},
		"Function": {"Type": "AWS::Lambda::Function", "Properties": {"FunctionName": "NAME", "Runtime": "provided.al2023", "Handler": "bootstrap",
			"Role": {"Fn::GetAtt": ["Role", "Arn"]}, "Code": {"S3Bucket": "code", "S3Key": "KEY"}, "MemorySize": MEMORY, "Timeout": TIMEOUT, RESERVED
			"Environment": {"Variables": {"NAME": "value"}}, "Tags": [{"Key": "service", "Value": "users"}]}},
		"VERSION": {"Type": "AWS::Lambda::Version", "Properties": {"FunctionName": {"Ref": "Function"}}},
		"Alias": {"Type": "AWS::Lambda::Alias", "Properties": {"Name": "live", "FunctionName": {"Ref": "Function"}, "FunctionVersion": NUMBER}},
		"Permission": {"Type": "AWS::Lambda::Permission", "Properties": {"Action": "lambda:InvokeFunction", "FunctionName": PERMITTED,
			"Principal": "elasticloadbalancing.amazonaws.com", "SourceArn": "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/SOURCE/*"}},
		"Group": {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "DependsOn": "Permission", "Properties": {"Name": "functions", "TargetType": "lambda", "HealthCheckEnabled": false,
			"Targets": [{"Id": TARGET}], "TargetGroupAttributes": [{"Key": "lambda.multi_value_headers.enabled", "Value": "true"}]}}
	},
	"Outputs": {"Alias": {"Value": {"Ref": "Alias"}}, "Group": {"Value": {"Ref": "Group"}}}
}`

func functionStack(changes ...string) string {
	defaults := []string{"NAME\": \"value", "NAME\": \"value", "FunctionName\": \"NAME", "FunctionName\": \"users-lambda", "KEY", "a.zip", "MEMORY", "256", "TIMEOUT", "10",
		"RESERVED", `"ReservedConcurrentExecutions": 50,`, "NUMBER", `{"Fn::GetAtt": ["VERSION", "Version"]}`, "PERMITTED", `{"Ref": "Alias"}`, "SOURCE", "functions",
		"TARGET", `{"Ref": "Alias"}`}
	body := strings.NewReplacer(append(changes, defaults...)...).Replace(functionTemplate)
	return strings.ReplaceAll(body, "VERSION", "Version1")
}

func TestFunctions(t *testing.T) {
	nightly.Test(t, "it deploys and updates functions on an emulated AWS")
	a := services(t)
	endpoint := a.Endpoint()
	config := aws.Config{Region: Region, BaseEndpoint: &endpoint, Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")}
	cfn, balancers := cloudformation.NewFromConfig(config), elb.NewFromConfig(config)
	ctx := t.Context()
	ask := func(method, service, path string, body []byte) (string, int) {
		t.Helper()
		req, err := http.NewRequestWithContext(ctx, method, endpoint+path, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=test/20200101/"+Region+"/"+service+"/aws4_request, SignedHeaders=host, Signature=0")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(b), resp.StatusCode
	}
	read := func(path string, into any) int {
		t.Helper()
		body, status := ask(http.MethodGet, "lambda", "/2015-03-31/functions"+path, nil)
		if status == http.StatusCreated { // so moto answers for an alias
			status = http.StatusOK
		}
		if status == http.StatusOK && into != nil {
			if err := json.Unmarshal([]byte(body), into); err != nil {
				t.Fatalf("%s: %v: %s", path, err, body)
			}
		}
		return status
	}
	if body, status := ask(http.MethodPut, "s3", "/code", nil); status != http.StatusOK {
		t.Fatal(status, body)
	}
	for _, name := range []string{"a", "b", "c"} {
		if body, status := ask(http.MethodPut, "s3", "/code/"+name+".zip", zipped(t, name)); status != http.StatusOK {
			t.Fatal(status, body)
		}
	}
	deploy := deploying(t, cfn, "functions")
	destroy := func() {
		t.Helper()
		if _, err := cfn.DeleteStack(ctx, &cloudformation.DeleteStackInput{StackName: aws.String("functions")}); err != nil {
			t.Fatal(err)
		}
		if _, err := cfn.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: aws.String("functions")}); err == nil {
			t.Fatal("the stack is left after the deletion")
		}
	}

	for _, refused := range []struct{ name, reason, old, new string }{
		{"little memory", "Function: ", "MEMORY", "64"},
		{"much memory", "at 'MemorySize'", "MEMORY", "10241"},
		{"no time", "at 'Timeout'", "TIMEOUT", "0"},
		{"a name with a dot", "at 'functionName'", `FunctionName": "NAME`, `FunctionName": "users.lambda`},
		{"no code", "NoSuchKey", "KEY", "missing.zip"},
		{"all of the account's concurrency", "UnreservedConcurrentExecution", "RESERVED", `"ReservedConcurrentExecutions": 1000,`},
		{"an alias of a missing version", "Alias: ", "NUMBER", `"7"`},
		{"a permission on a missing qualifier", "Permission: ", "PERMITTED", `{"Fn::Sub": "${Function.Arn}:none"}`},
		{"a permission for another target group", "elasticloadbalancing principal does not have permission to invoke", "SOURCE", "other"},
		{"a permission on the function, not on the alias", "elasticloadbalancing principal does not have permission to invoke", "PERMITTED", `{"Ref": "Function"}`},
	} {
		status, reason := deploy(cfntypes.ChangeSetTypeCreate, functionStack(refused.old, refused.new))
		if status != "ROLLBACK_COMPLETE" || !strings.Contains(reason, refused.reason) {
			t.Errorf("%s: %s (%s), want a rollback because of %q", refused.name, status, reason, refused.reason)
		}
		if got := read("/users-lambda", nil); got != http.StatusNotFound {
			t.Errorf("%s: after the rollback the function answers %d", refused.name, got)
		}
		destroy()
	}

	type function struct {
		CodeSha256, Version string
		MemorySize          int
		Timeout             int
		Environment         struct{ Variables map[string]string }
	}
	type alias struct{ FunctionVersion, AliasArn string }
	want := func(what string, memory int, version string) function {
		t.Helper()
		var f function
		var live alias
		if read("/users-lambda/configuration?Qualifier="+version, &f) != http.StatusOK || read("/users-lambda/aliases/live", &live) != http.StatusOK {
			t.Fatalf("%s: version %s is %+v, the alias %+v", what, version, f, live)
		}
		if f.MemorySize != memory || f.Timeout != 10 || live.FunctionVersion != version || f.Environment.Variables["NAME"] != "value" {
			t.Errorf("%s: %+v, alias %+v; want %d MiB, version %s", what, f, live, memory, version)
		}
		return f
	}
	if status, reason := deploy(cfntypes.ChangeSetTypeCreate, functionStack()); status != "CREATE_COMPLETE" {
		t.Fatal(status, reason)
	}
	first := want("created", 256, "1")
	groups, err := balancers.DescribeTargetGroups(ctx, &elb.DescribeTargetGroupsInput{Names: []string{"functions"}})
	if err != nil {
		t.Fatal(err)
	}
	health, err := balancers.DescribeTargetHealth(ctx, &elb.DescribeTargetHealthInput{TargetGroupArn: groups.TargetGroups[0].TargetGroupArn})
	if err != nil || len(health.TargetHealthDescriptions) != 1 || !strings.HasSuffix(*health.TargetHealthDescriptions[0].Target.Id, ":function:users-lambda:live") {
		t.Errorf("targets %+v %v, want the alias", health, err)
	}

	if status, reason := deploy(cfntypes.ChangeSetTypeUpdate, strings.ReplaceAll(functionStack(), "Version1", "Version2")); status != "UPDATE_ROLLBACK_COMPLETE" || !strings.Contains(reason, "A version for this Lambda function exists ( 1 )") {
		t.Errorf("a version without a change: %s (%s), want a rollback", status, reason)
	}
	want("after the rollback", 256, "1")

	// Each change makes a version. The one before goes, and its number does not come back.
	for i, change := range []struct{ key, memory string }{{"b.zip", "256"}, {"c.zip", "512"}, {"a.zip", "512"}} {
		id := []string{"Version2", "Version3", "Version4"}[i]
		body := strings.ReplaceAll(functionStack("KEY", change.key, "MEMORY", change.memory), "Version1", id)
		if status, reason := deploy(cfntypes.ChangeSetTypeUpdate, body); status != "UPDATE_COMPLETE" {
			t.Fatal(status, reason)
		}
		number := strings.TrimPrefix(id, "Version")
		f := want(change.key, map[string]int{"256": 256, "512": 512}[change.memory], number)
		if same := f.CodeSha256 == first.CodeSha256; same != (change.key == "a.zip") {
			t.Errorf("%s: the code has the digest %s, the first %s", change.key, f.CodeSha256, first.CodeSha256)
		}
	}
	var reserved struct{ ReservedConcurrentExecutions int }
	if body, _ := ask(http.MethodGet, "lambda", "/2019-09-30/functions/users-lambda/concurrency", nil); json.Unmarshal([]byte(body), &reserved) != nil || reserved.ReservedConcurrentExecutions != 50 {
		t.Errorf("reserved concurrency: %s, want 50", body)
	}
	destroy()
	if got := read("/users-lambda", nil); got != http.StatusNotFound {
		t.Errorf("after the deletion the function answers %d", got)
	}
}

// zipped is a zip file with a program.
func zipped(t *testing.T, program string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, err := w.Create("bootstrap")
	if err == nil {
		_, err = f.Write([]byte(program))
	}
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
