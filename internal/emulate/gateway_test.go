package emulate

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	cfntypes "github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/google/go-cmp/cmp"

	"cutover/internal/nightly"
)

// A private load balancer, and a REST API before it. CAPITALS are replaced.
const gatewayTemplate = `{
	"Resources": {
		"Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}},
		"A": {"Type": "AWS::EC2::Subnet", "Properties": {"VpcId": {"Ref": "Vpc"}, "CidrBlock": "10.0.0.0/24", "AvailabilityZone": "us-east-1a"}},
		"B": {"Type": "AWS::EC2::Subnet", "Properties": {"VpcId": {"Ref": "Vpc"}, "CidrBlock": "10.0.1.0/24", "AvailabilityZone": "us-east-1b"}},
		"Group": {"Type": "AWS::EC2::SecurityGroup", "Properties": {"GroupDescription": "of the link", "VpcId": {"Ref": "Vpc"}}},
		"Balancer": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer", "Properties": {"Scheme": "internal", "Subnets": [{"Ref": "A"}, {"Ref": "B"}]}},
		"Role": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "TRUSTED"}}]}}},
		ACCOUNT
		"Link": {"Type": "AWS::ApiGatewayV2::VpcLink", "Properties": {"Name": "link", "SecurityGroupIds": [{"Ref": "Group"}], "SubnetIds": [{"Ref": "A"}, {"Ref": "B"}]}},
		"Api": {"Type": "AWS::ApiGateway::RestApi", "Properties": {"Name": "api", "BinaryMediaTypes": ["*/*"], "EndpointConfiguration": {"Types": ["REGIONAL"]}}},
		"Users": {"Type": "AWS::ApiGateway::Resource", "Properties": {"RestApiId": {"Ref": "Api"}, "ParentId": {"Fn::GetAtt": ["Api", "RootResourceId"]}, "PathPart": "users"}},
		"Proxy": {"Type": "AWS::ApiGateway::Resource", "Properties": {"RestApiId": {"Ref": "Api"}, "ParentId": {"Ref": "Users"}, "PathPart": "PART"}},
		"Any": {"Type": "AWS::ApiGateway::Method", "Properties": {"RestApiId": {"Ref": "Api"}, "ResourceId": {"Ref": "Proxy"}, "HttpMethod": "ANY", "AuthorizationType": "ANYONE",
			"RequestParameters": {"method.request.path.proxy": true},
			"Integration": {"Type": "HTTP_PROXY", "IntegrationHttpMethod": "ANY", "ConnectionType": "VPC_LINK", "ConnectionId": LINKED, "IntegrationTarget": TARGET,
				"Uri": {"Fn::Sub": "http://${Balancer.DNSName}/users/{proxy}"}, "RequestParameters": {"integration.request.path.proxy": "method.request.path.proxy"},
				"CacheKeyParameters": ["method.request.path.proxy"], "CacheNamespace": "users", "TimeoutInMillis": 29000}}},
		WRITE
		"DEPLOYMENT": {"Type": "AWS::ApiGateway::Deployment", "DependsOn": [DEPENDS], "Properties": {"RestApiId": {"Ref": "Api"}}},
		"Log": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": "access"}},
		"Stage": {"Type": "AWS::ApiGateway::Stage", STAGEDEPENDS "Properties": {"RestApiId": {"Ref": "Api"}, "DeploymentId": DEPLOYED, "StageName": "live", "TracingEnabled": true,
			"CacheClusterEnabled": true, "CacheClusterSize": "0.5", "AccessLogSetting": {"DestinationArn": {"Fn::GetAtt": ["Log", "Arn"]}, "Format": "$context.requestId"},
			"MethodSettings": [{"ResourcePath": "/*", "HttpMethod": "*", "LoggingLevel": "INFO", "MetricsEnabled": true, "ThrottlingRateLimit": RATE}CACHED]}},
		"Acl": {"Type": "AWS::WAFv2::WebACL", "Properties": {"Name": "acl", "Scope": "REGIONAL", "DefaultAction": {"Allow": {}}, "VisibilityConfig": {"SampledRequestsEnabled": true, "CloudWatchMetricsEnabled": true, "MetricName": "acl"},
			"Rules": [{"Name": "common", "Priority": 0, "OverrideAction": {"None": {}}, "Statement": {"ManagedRuleGroupStatement": {"VendorName": "AWS", "Name": "AWSManagedRulesCommonRuleSet"}},
				"VisibilityConfig": {"SampledRequestsEnabled": true, "CloudWatchMetricsEnabled": true, "MetricName": "common"}}]}},
		"Association": {"Type": "AWS::WAFv2::WebACLAssociation", "DependsOn": "Stage", "Properties": {"WebACLArn": {"Fn::GetAtt": ["Acl", "Arn"]},
			"ResourceArn": {"Fn::Sub": "arn:${AWS::Partition}:apigateway:${AWS::Region}::/restapis/${Api}/stages/live"}}}
	},
	"Outputs": {"Api": {"Value": {"Ref": "Api"}}, "Link": {"Value": {"Fn::GetAtt": ["Link", "VpcLinkId"]}}, "Balancer": {"Value": {"Ref": "Balancer"}}, "Group": {"Value": {"Ref": "Group"}},
		"Deployment": {"Value": {"Fn::GetAtt": ["DEPLOYMENT", "DeploymentId"]}}, "Stage": {"Value": {"Ref": "Stage"}}, "Acl": {"Value": {"Fn::GetAtt": ["Acl", "Arn"]}}}
}`

// writing is a method for writes beside the one for all methods.
const writing = `"Post": {"Type": "AWS::ApiGateway::Method", "Properties": {"RestApiId": {"Ref": "Api"}, "ResourceId": {"Ref": "Proxy"}, "HttpMethod": "POST", "AuthorizationType": "AWS_IAM",
	"Integration": {"Type": "HTTP_PROXY", "IntegrationHttpMethod": "POST", "ConnectionType": "VPC_LINK", "ConnectionId": {"Ref": "Link"}, "IntegrationTarget": {"Ref": "Balancer"},
		"Uri": {"Fn::Sub": "http://${Balancer.DNSName}/users/{proxy}"}}}},`

func gatewayStack(changes ...string) string {
	return strings.NewReplacer(append(changes, "TRUSTED", "apigateway.amazonaws.com", "PART", "{proxy+}", "ANYONE", "NONE", "LINKED", `{"Ref": "Link"}`, "TARGET", `{"Ref": "Balancer"}`, "WRITE", "",
		"DEPLOYED", `{"Ref": "DEPLOYMENT"}`, "DEPENDS", `"Any"`, "RATE", "100", "CACHED", "",
		"ACCOUNT", `"Account": {"Type": "AWS::ApiGateway::Account", "Properties": {"CloudWatchRoleArn": {"Fn::GetAtt": ["Role", "Arn"]}}},`,
		"STAGEDEPENDS", `"DependsOn": "Account",`)...).Replace(gatewayTemplate)
}

// ask sends a request to an API with paths, and returns its answer.
func ask(t *testing.T, a *AWS, method, service, path string, body string, header ...string) (string, *http.Response) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, a.Endpoint()+path, bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=test/20200101/"+Region+"/"+service+"/aws4_request, SignedHeaders=host, Signature=0")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b), resp
}

// read reads a JSON document of an API.
func read(t *testing.T, a *AWS, service, path string, into any) {
	t.Helper()
	body, resp := ask(t, a, http.MethodGet, service, path, "")
	if resp.StatusCode/100 != 2 {
		t.Fatalf("%s: %s: %s", path, resp.Status, body)
	}
	if err := json.Unmarshal([]byte(body), into); err != nil {
		t.Fatalf("%s: %v: %s", path, err, body)
	}
}

// outputs are the outputs of a stack.
func outputs(t *testing.T, cfn *cloudformation.Client, stack string) map[string]string {
	t.Helper()
	described, err := cfn.DescribeStacks(t.Context(), &cloudformation.DescribeStacksInput{StackName: &stack})
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, o := range described.Stacks[0].Outputs {
		found[*o.OutputKey] = *o.OutputValue
	}
	return found
}

// stacks is a client of CloudFormation with a function that deletes a stack and returns its status, which is empty if
// nothing is left.
func stacks(t *testing.T, a *AWS) (*cloudformation.Client, func(name string) string) {
	endpoint := a.Endpoint()
	cfn := cloudformation.New(cloudformation.Options{Region: Region, BaseEndpoint: &endpoint, Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")})
	return cfn, func(name string) string {
		t.Helper()
		if _, err := cfn.DeleteStack(t.Context(), &cloudformation.DeleteStackInput{StackName: &name}); err != nil {
			t.Fatal(err)
		}
		left, err := cfn.DescribeStacks(t.Context(), &cloudformation.DescribeStacksInput{StackName: &name})
		if err != nil {
			return ""
		}
		return string(left.Stacks[0].StackStatus) + " " + aws.ToString(left.Stacks[0].StackStatusReason)
	}
}

// refusing returns what expects that the creation of a stack is rolled back for a reason, and that nothing is left of the stack.
func refusing(t *testing.T, stack string, deploy func(cfntypes.ChangeSetType, string) (status, reason string), destroy func(string) string) func(what, body, reason string) {
	return func(what, body, want string) {
		t.Helper()
		status, reason := deploy(cfntypes.ChangeSetTypeCreate, body)
		if status != "ROLLBACK_COMPLETE" || !strings.Contains(reason, want) {
			t.Errorf("%s: %s (%s), want a rollback because of %q", what, status, reason, want)
		}
		if left := destroy(stack); left != "" {
			t.Fatalf("%s: the stack is left: %s", what, left)
		}
	}
}

func TestAPIGateway(t *testing.T) {
	nightly.Test(t, "it deploys and updates an API Gateway on an emulated AWS")
	a := services(t)
	cfn, destroy := stacks(t, a)
	deploy := deploying(t, cfn, "gateway")
	refuses := refusing(t, "gateway", deploy, destroy)

	for _, refused := range []struct {
		name, reason string
		changes      []string
	}{
		{"logs without a role of the account", "CloudWatch Logs role ARN must be set", []string{"ACCOUNT", "", "STAGEDEPENDS", ""}},
		{"a deployment before its methods", "doesn't contain any methods", []string{"DEPENDS", `"Link"`, `"Any": {`, `"Any": {"DependsOn": "D1", `}},
		{"a link that is not there", "Invalid VPC link id", []string{"LINKED", `"none"`}},
		{"a target that is no load balancer", "Invalid integration target", []string{"TARGET", `"arn:none"`}},
		{"a role that does not trust API Gateway", "Account: ", []string{"TRUSTED", "ec2.amazonaws.com"}},
		{"a deployment that is not there", "Deployment id does not exist", []string{"DEPLOYED", `"none"`}},
		{"a method twice", "Method already exists", []string{"WRITE", strings.Replace(writing, `"HttpMethod": "POST"`, `"HttpMethod": "ANY"`, 1), "DEPENDS", `"Any", "Post"`}},
		{"a stage twice", "Stage already exists", []string{`"Log": {`, `"Again": {"Type": "AWS::ApiGateway::Stage", "DependsOn": "Stage", "Properties": {"RestApiId": {"Ref": "Api"}, "DeploymentId": {"Ref": "D1"}, "StageName": "live"}}, "Log": {`}},
		{"a setting that is not kept", "does not keep the property ClientCertificateId", []string{`"TracingEnabled": true,`, `"ClientCertificateId": "x",`}},
	} {
		body := strings.ReplaceAll(gatewayStack(refused.changes...), "DEPLOYMENT", "D1")
		refuses(refused.name, body, refused.reason)
	}
	var apis struct{ Item []struct{ ID string } }
	read(t, a, "apigateway", "/restapis", &apis)
	if len(apis.Item) != 0 {
		t.Errorf("after the rollbacks %d APIs are left", len(apis.Item))
	}

	update := func(body string) map[string]string {
		t.Helper()
		kind := cfntypes.ChangeSetTypeUpdate
		if _, err := cfn.DescribeStacks(t.Context(), &cloudformation.DescribeStacksInput{StackName: aws.String("gateway")}); err != nil {
			kind = cfntypes.ChangeSetTypeCreate
		}
		if status, reason := deploy(kind, body); status != string(kind)+"_COMPLETE" {
			t.Fatal(status, reason)
		}
		return outputs(t, cfn, "gateway")
	}
	first := strings.ReplaceAll(gatewayStack(), "DEPLOYMENT", "D1")
	created := update(first)
	api := "/restapis/" + created["Api"]

	type integration struct {
		Type, URI, HTTPMethod, ConnectionType, ConnectionID, IntegrationTarget, CacheNamespace string
		CacheKeyParameters                                                                     []string
		RequestParameters                                                                      map[string]string
		TimeoutInMillis                                                                        int
	}
	type methods map[string]struct {
		AuthorizationType string
		RequestParameters map[string]bool
		MethodIntegration integration
	}
	var described struct {
		BinaryMediaTypes      []string
		EndpointConfiguration struct{ Types []string }
	}
	read(t, a, "apigateway", api, &described)
	if diff := cmp.Diff([]string{"*/*", "REGIONAL"}, append(described.BinaryMediaTypes, described.EndpointConfiguration.Types...)); diff != "" {
		t.Errorf("the API (-want +got):\n%s", diff)
	}
	paths := func() map[string]methods {
		t.Helper()
		var resources struct {
			Item []struct {
				Path            string
				ResourceMethods methods
			}
		}
		read(t, a, "apigateway", api+"/resources?embed=methods", &resources)
		found := map[string]methods{}
		for _, r := range resources.Item {
			found[r.Path] = r.ResourceMethods
		}
		return found
	}
	found := paths()
	any := found["/users/{proxy+}"]["ANY"]
	dns := strings.TrimSuffix(strings.TrimPrefix(any.MethodIntegration.URI, "http://"), "/users/{proxy}")
	if len(found) != 3 || any.AuthorizationType != "NONE" || !any.RequestParameters["method.request.path.proxy"] || !strings.HasSuffix(dns, ".elb.amazonaws.com") {
		t.Errorf("resources %+v", found)
	}
	want := integration{"HTTP_PROXY", any.MethodIntegration.URI, "ANY", "VPC_LINK", created["Link"], created["Balancer"], "users", []string{"method.request.path.proxy"},
		map[string]string{"integration.request.path.proxy": "method.request.path.proxy"}, 29000}
	if diff := cmp.Diff(want, any.MethodIntegration); diff != "" {
		t.Errorf("integration (-want +got):\n%s", diff)
	}
	type setting struct {
		LoggingLevel                                       string
		MetricsEnabled, CachingEnabled, CacheDataEncrypted bool
		ThrottlingRateLimit                                float64
		CacheTTLInSeconds                                  int
	}
	type stage struct {
		DeploymentID, CacheClusterSize, WebACLArn string
		TracingEnabled, CacheClusterEnabled       bool
		AccessLogSettings                         struct{ DestinationArn, Format string }
		MethodSettings                            map[string]setting
	}
	staged := func() (s stage) {
		t.Helper()
		read(t, a, "apigateway", api+"/stages/live", &s)
		return s
	}
	all := setting{"INFO", true, false, true, 100, 300}
	log := struct{ DestinationArn, Format string }{"arn:aws:logs:us-east-1:123456789012:log-group:access:*", "$context.requestId"}
	if diff := cmp.Diff(stage{created["Deployment"], "0.5", created["Acl"], true, true, log, map[string]setting{"*/*": all}}, staged()); diff != "" {
		t.Errorf("stage (-want +got):\n%s", diff)
	}
	definition := func() string {
		t.Helper()
		body, resp := ask(t, a, http.MethodGet, "apigateway", api+"/stages/live/exports/swagger?extensions=integrations", "")
		if resp.StatusCode != http.StatusOK {
			t.Fatal(resp.Status, body)
		}
		return body
	}
	before := definition()
	if strings.Contains(before, "sigv4") || !strings.Contains(before, `"x-amazon-apigateway-any-method"`) || !strings.Contains(before, created["Balancer"]) {
		t.Errorf("definition %s", before)
	}

	// A method reaches the stage with a deployment of its own. The one before goes.
	second := strings.ReplaceAll(gatewayStack("WRITE", writing, "DEPENDS", `"Any", "Post"`, "RATE", "50",
		"CACHED", `, {"ResourcePath": "/~1users~1{proxy+}", "HttpMethod": "GET", "CachingEnabled": true, "CacheTtlInSeconds": 5}`), "DEPLOYMENT", "D2")
	changed := update(second)
	if changed["Deployment"] == created["Deployment"] || changed["Api"] != created["Api"] || !strings.Contains(definition(), "sigv4") {
		t.Errorf("after the change of methods: %v, %s", changed, definition())
	}
	all.ThrottlingRateLimit = 50
	if diff := cmp.Diff(map[string]setting{"*/*": all, "~1users~1{proxy+}/GET": {"", false, true, true, 1000, 5}}, staged().MethodSettings); diff != "" {
		t.Errorf("settings of methods (-want +got):\n%s", diff)
	}
	deployments := func() string {
		var list struct{ Item []struct{ ID string } }
		read(t, a, "apigateway", api+"/deployments", &list)
		var ids []string
		for _, one := range list.Item {
			ids = append(ids, one.ID)
		}
		return strings.Join(ids, " ")
	}
	if got := deployments(); got != changed["Deployment"] {
		t.Errorf("deployments %s, want %s alone", got, changed["Deployment"])
	}
	if body, resp := ask(t, a, http.MethodDelete, "apigateway", api+"/deployments/"+changed["Deployment"], ""); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("deleting a deployment with a stage: %s %s", resp.Status, body)
	}

	// A change of methods alone does not reach the stage, as on AWS. A failure takes everything back.
	unchanged := strings.Replace(second, `"AuthorizationType": "NONE"`, `"AuthorizationType": "AWS_IAM"`, 1)
	update(unchanged)
	if got := definition(); strings.Count(got, "sigv4") != 1 || paths()["/users/{proxy+}"]["ANY"].AuthorizationType != "AWS_IAM" {
		t.Errorf("without a new deployment, the stage has %s", got)
	}
	update(second)
	failing := strings.Replace(first, `"Log": {`, `"Bad": {"Type": "AWS::ApiGateway::Resource", "DependsOn": "Stage", "Properties": {"RestApiId": {"Ref": "Api"}, "ParentId": "none", "PathPart": "x"}}, "Log": {`, 1)
	was := definition()
	if status, reason := deploy(cfntypes.ChangeSetTypeUpdate, failing); status != "UPDATE_ROLLBACK_COMPLETE" || !strings.Contains(reason, "Bad") {
		t.Errorf("%s: %s, want a rollback because of Bad", status, reason)
	}
	if got := definition(); got != was || deployments() != changed["Deployment"] || staged().DeploymentID != changed["Deployment"] {
		t.Errorf("after the rollback the stage has deployment %s of %s, want %s; its definition is\n%s\nwant\n%s", staged().DeploymentID, deployments(), changed["Deployment"], got, was)
	}

	// CloudFormation creates the next deployment before it deletes a method that left the template. So the stage keeps the
	// method: https://github.com/aws/aws-cdk/issues/14660.
	update(first)
	if len(paths()["/users/{proxy+}"]) != 1 || !strings.Contains(definition(), "sigv4") {
		t.Errorf("without the method, the API has %+v, and the stage %s", paths(), definition())
	}
	update(strings.ReplaceAll(gatewayStack(), "DEPLOYMENT", "D3"))
	if got := definition(); got != before {
		t.Errorf("with the deployment after that, the definition is\n%s\nwant\n%s", got, before)
	}

	// Other subnets replace the link, whatever its name. With a deployment that has the new one, the old one goes.
	replaced := update(strings.ReplaceAll(gatewayStack(`"SubnetIds": [{"Ref": "A"}, {"Ref": "B"}]`, `"SubnetIds": [{"Ref": "A"}]`), "DEPLOYMENT", "D4"))
	if found := paths(); found["/users/{proxy+}"]["ANY"].MethodIntegration.ConnectionID != replaced["Link"] || replaced["Link"] == created["Link"] {
		t.Errorf("after the replacement of the link: %+v, %v", found, replaced)
	}
	if _, resp := ask(t, a, http.MethodGet, "apigateway", "/v2/vpclinks/"+created["Link"], ""); resp.StatusCode != http.StatusNotFound {
		t.Errorf("the link before answers %s", resp.Status)
	}

	// Another path replaces the resource and its method.
	update(strings.ReplaceAll(gatewayStack(`"SubnetIds": [{"Ref": "A"}, {"Ref": "B"}]`, `"SubnetIds": [{"Ref": "A"}]`, "PART", "{more+}", "method.request.path.proxy", "method.request.path.more", "integration.request.path.proxy", "integration.request.path.more", "{proxy}", "{more}"), "DEPLOYMENT", "D5"))
	if found := paths(); len(found) != 3 || found["/users/{more+}"]["ANY"].AuthorizationType != "NONE" {
		t.Errorf("after the replacement: %+v", found)
	}

	if body, resp := ask(t, a, http.MethodDelete, "apigateway", "/v2/vpclinks/"+replaced["Link"], ""); resp.StatusCode/100 != 4 || !strings.Contains(body, "referenced in") {
		t.Errorf("deleting a link that methods use: %s %s", resp.Status, body)
	}
	form := "Action=DeleteSecurityGroup&Version=2016-11-15&GroupId=" + created["Group"]
	if body, resp := ask(t, a, http.MethodPost, "ec2", "/", form, "Content-Type", "application/x-www-form-urlencoded"); resp.StatusCode/100 != 4 || !strings.Contains(body, "DependencyViolation") {
		t.Errorf("deleting the security group of a link: %s %s", resp.Status, body)
	}
	if left := destroy("gateway"); left != "" {
		t.Error("the stack is left: ", left)
	}
	var account struct{ CloudwatchRoleArn string }
	read(t, a, "apigateway", "/account", &account)
	if account.CloudwatchRoleArn == "" {
		t.Error("the account has no role any more; AWS keeps it")
	}
}

// TestFunctionBehindAPIGateway: a method calls the alias of a function, whose policy lets the API do so.
func TestFunctionBehindAPIGateway(t *testing.T) {
	nightly.Test(t, "it deploys a function behind API Gateway on an emulated AWS")
	a := services(t)
	cfn, destroy := stacks(t, a)
	const template = `{"Resources": {
		"Role": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": []}}},
		"Function": {"Type": "AWS::Lambda::Function", "Properties": {"FunctionName": "direct", "Runtime": "python3.13", "Handler": "index.handler", "Role": {"Fn::GetAtt": ["Role", "Arn"]}, "Code": {"ZipFile": "x"}}},
		"Version": {"Type": "AWS::Lambda::Version", "Properties": {"FunctionName": {"Ref": "Function"}}},
		"Alias": {"Type": "AWS::Lambda::Alias", "Properties": {"Name": "live", "FunctionName": {"Ref": "Function"}, "FunctionVersion": {"Fn::GetAtt": ["Version", "Version"]}}},
		"Api": {"Type": "AWS::ApiGateway::RestApi", "Properties": {"Name": "direct", "EndpointConfiguration": {"Types": ["REGIONAL"]}}},
		"Permission": {"Type": "AWS::Lambda::Permission", "Properties": {"Action": "lambda:InvokeFunction", "FunctionName": {"Ref": "Alias"}, "Principal": "apigateway.amazonaws.com",
			"SourceArn": {"Fn::Sub": "arn:aws:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/live/*/*"}}},
		"Method": {"Type": "AWS::ApiGateway::Method", "Properties": {"RestApiId": {"Ref": "Api"}, "ResourceId": {"Fn::GetAtt": ["Api", "RootResourceId"]}, "HttpMethod": "ANY", "AuthorizationType": "NONE",
			"Integration": {"Type": "AWS_PROXY", "IntegrationHttpMethod": "POST", "TimeoutInMillis": 29000,
				"Uri": {"Fn::Sub": "arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${Alias}/invocations"}}}},
		"Deployment": {"Type": "AWS::ApiGateway::Deployment", "DependsOn": "Method", "Properties": {"RestApiId": {"Ref": "Api"}}},
		"Stage": {"Type": "AWS::ApiGateway::Stage", "Properties": {"RestApiId": {"Ref": "Api"}, "DeploymentId": {"Ref": "Deployment"}, "StageName": "live"}}},
		"Outputs": {"Api": {"Value": {"Ref": "Api"}}, "Alias": {"Value": {"Ref": "Alias"}}}}`
	if status, reason := deploying(t, cfn, "direct")(cfntypes.ChangeSetTypeCreate, template); status != "CREATE_COMPLETE" {
		t.Fatal(status, reason)
	}
	made := outputs(t, cfn, "direct")
	definition, _ := ask(t, a, http.MethodGet, "apigateway", "/restapis/"+made["Api"]+"/stages/live/exports/swagger", "")
	if !strings.Contains(definition, `"type": "AWS_PROXY"`) || !strings.Contains(definition, "functions/"+made["Alias"]+"/invocations") {
		t.Errorf("definition %s", definition)
	}
	policy, _ := ask(t, a, http.MethodGet, "lambda", "/2015-03-31/functions/direct/policy?Qualifier=live", "")
	if !strings.Contains(policy, "apigateway.amazonaws.com") || !strings.Contains(policy, made["Api"]+"/live/*/*") {
		t.Errorf("policy %s", policy)
	}
	if left := destroy("direct"); left != "" {
		t.Error(left)
	}
}
