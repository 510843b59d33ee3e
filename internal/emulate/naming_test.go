package emulate

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	cfntypes "github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/google/go-cmp/cmp"

	"cutover/internal/nightly"
)

// The namespaces of an environment, as a stack has them.
const namespaces = `{
	"Resources": {
		"Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.7.0.0/16"}},
		"Connect": {"Type": "AWS::ServiceDiscovery::HttpNamespace", "Properties": {"Name": "named", "Description": "Names"}},
		"Zone": {"Type": "AWS::ServiceDiscovery::PrivateDnsNamespace", "Properties": {"Name": "named.internal", "Vpc": {"Ref": "Vpc"}}}
	},
	"Outputs": {"Zone": {"Value": {"Fn::GetAtt": ["Zone", "Id"]}}, "Arn": {"Value": {"Fn::GetAtt": ["Zone", "Arn"]}}, "Vpc": {"Value": {"Ref": "Vpc"}}}
}`

// A service with a name in each namespace. CAPITALS are replaced.
const withNames = `{
	"Resources": {
		"Cluster": {"Type": "AWS::ECS::Cluster", "Properties": {"ClusterName": "named"}},
		"Subnet": {"Type": "AWS::EC2::Subnet", "Properties": {"VpcId": "VPC", "CidrBlock": "10.7.0.0/24"}},
		"Group": {"Type": "AWS::EC2::SecurityGroup", "Properties": {"VpcId": "VPC", "GroupDescription": "Tasks"}},
		NAME
		"Task": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"Family": "users", "NetworkMode": "awsvpc",
			"ContainerDefinitions": [{"Name": "users", "Image": "users:1", "Memory": 64, "PortMappings": [{"ContainerPort": 3000, "Name": "http", "AppProtocol": "http"}]}]}},
		"Service": {"Type": "AWS::ECS::Service", "Properties": {"ServiceName": "users", "Cluster": {"Ref": "Cluster"}, "TaskDefinition": {"Ref": "Task"}, "DesiredCount": 1,
			"NetworkConfiguration": {"AwsvpcConfiguration": {"Subnets": [{"Ref": "Subnet"}], "SecurityGroups": [{"Ref": "Group"}]}}OPTIONS}}
	}
}`

const dnsName = `"Name": {"Type": "AWS::ServiceDiscovery::Service", "Properties": {"Name": "users", "NamespaceId": "ZONE",
	"DnsConfig": {"NamespaceId": "ZONE", "RoutingPolicy": "MULTIVALUE", "DnsRecords": [{"Type": "A", "TTL": SECONDS}]}, "HealthCheckCustomConfig": {"FailureThreshold": 1}}},`

const (
	registered = `, "ServiceRegistries": [{"RegistryArn": {"Fn::GetAtt": ["Name", "Arn"]}}]`
	connected  = `, "ServiceConnectConfiguration": {"Enabled": true, "Namespace": "named", "Services": [{"PortName": "http", "DiscoveryName": "users",
		"ClientAliases": [{"DnsName": "users", "Port": 3000}], "Timeout": {"PerRequestTimeoutSeconds": 15}}]}`
)

// TestNames: namespaces and names arrive at AWS Cloud Map, and a service's configuration at ECS. AWS deletes
// neither a namespace that a service is in, nor a name under which tasks are registered.
func TestNames(t *testing.T) {
	nightly.Test(t, "it deploys names of services on an emulated AWS")
	a := services(t)
	endpoint, ctx := a.Endpoint(), t.Context()
	config := aws.Config{Region: Region, BaseEndpoint: &endpoint, Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")}
	cfn, tasks := cloudformation.NewFromConfig(config), ecs.NewFromConfig(config)
	deploy := func(kind cfntypes.ChangeSetType, name, body string) (out map[string]string, status, reason string) {
		t.Helper()
		set, err := cfn.CreateChangeSet(ctx, &cloudformation.CreateChangeSetInput{StackName: &name, ChangeSetName: aws.String("c"), ChangeSetType: kind, TemplateBody: &body})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := cfn.ExecuteChangeSet(ctx, &cloudformation.ExecuteChangeSetInput{ChangeSetName: set.Id}); err != nil {
			t.Fatal(err)
		}
		stacks, err := cfn.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: set.StackId})
		if err != nil {
			t.Fatal(err)
		}
		out = map[string]string{}
		for _, output := range stacks.Stacks[0].Outputs {
			out[*output.OutputKey] = *output.OutputValue
		}
		return out, string(stacks.Stacks[0].StackStatus), failure(t, cfn, name)
	}
	must := func(kind cfntypes.ChangeSetType, name, body string) map[string]string {
		t.Helper()
		out, status, reason := deploy(kind, name, body)
		if !strings.HasSuffix(status, "E_COMPLETE") || strings.Contains(status, "ROLLBACK") {
			t.Fatalf("%s: %s: %s", name, status, reason)
		}
		return out
	}
	list := func(action, key string) (all []map[string]any) {
		t.Helper()
		var answer map[string][]map[string]any
		cloudMap(t, endpoint, action, &answer)
		return answer[key]
	}
	const create, update = cfntypes.ChangeSetTypeCreate, cfntypes.ChangeSetTypeUpdate

	spaces := must(create, "namespaces", namespaces)
	got := map[string]any{}
	for _, one := range list("ListNamespaces", "Namespaces") {
		got[one["Name"].(string)] = one["Type"]
		if one["Name"] == "named.internal" && (one["Id"] != spaces["Zone"] || one["Arn"] != spaces["Arn"]) {
			t.Errorf("the zone is %v, and the template refers to %v", one, spaces)
		}
	}
	if diff := cmp.Diff(map[string]any{"named": "HTTP", "named.internal": "DNS_PRIVATE"}, got); diff != "" {
		t.Errorf("namespaces (-want +got):\n%s", diff)
	}
	if _, status, reason := deploy(create, "again", `{"Resources": {"Connect": {"Type": "AWS::ServiceDiscovery::HttpNamespace", "Properties": {"Name": "named"}}}}`); status != "ROLLBACK_COMPLETE" || !strings.Contains(reason, "AlreadyExists") {
		t.Errorf("a namespace with a name that exists: %s %s", status, reason)
	}

	body := func(name, options, ttl string) string {
		text := strings.NewReplacer("NAME", name, "OPTIONS", options, "VPC", spaces["Vpc"]).Replace(withNames)
		return strings.NewReplacer("ZONE", spaces["Zone"], "SECONDS", ttl).Replace(text)
	}
	described := func() (registries []string, connect bool, alias string) {
		t.Helper()
		found, err := tasks.DescribeServices(ctx, &ecs.DescribeServicesInput{Cluster: aws.String("named"), Services: []string{"users"}})
		if err != nil || len(found.Services) != 1 {
			t.Fatalf("%v, %v", found, err)
		}
		for _, r := range found.Services[0].ServiceRegistries {
			registries = append(registries, *r.RegistryArn)
		}
		if of := found.Services[0].Deployments[0].ServiceConnectConfiguration; of != nil && of.Enabled {
			connect = true
			if len(of.Services) > 0 {
				alias = *of.Services[0].ClientAliases[0].DnsName
			}
		}
		return registries, connect, alias
	}
	must(create, "users", body(dnsName, registered+connected, "10"))
	names := list("ListServices", "Services")
	if len(names) != 1 || names[0]["Name"] != "users" {
		t.Fatalf("names: %v", names)
	}
	ttl := func() any {
		return list("ListServices", "Services")[0]["DnsConfig"].(map[string]any)["DnsRecords"].([]any)[0].(map[string]any)["TTL"]
	}
	if registries, connect, alias := described(); len(registries) != 1 || registries[0] != names[0]["Arn"] || !connect || alias != "users" || ttl() != 10.0 {
		t.Errorf("registered at %v, connected %v as %q, for %v s", registries, connect, alias, ttl())
	}

	// A name is there once. What is in use stays.
	if _, err := cfn.DeleteStack(ctx, &cloudformation.DeleteStackInput{StackName: aws.String("again")}); err != nil {
		t.Fatal(err)
	}
	if _, status, reason := deploy(create, "again", `{"Resources": {`+strings.TrimSuffix(strings.NewReplacer("ZONE", spaces["Zone"], "SECONDS", "1").Replace(dnsName), ",")+`}}`); status != "ROLLBACK_COMPLETE" || !strings.Contains(reason, "AlreadyExists") {
		t.Errorf("a name that exists: %s %s", status, reason)
	}
	must(update, "namespaces", `{"Resources": {"Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.7.0.0/16"}}}}`)
	if reason := failure(t, cfn, "namespaces"); !strings.Contains(reason, "ResourceInUse") || len(list("ListNamespaces", "Namespaces")) != 2 {
		t.Errorf("namespaces that are used are deleted: %s", reason)
	}
	must(update, "users", body(dnsName, registered+connected, "20"))
	if ttl() != 20.0 {
		t.Errorf("records live for %v s, want 20", ttl())
	}

	// The service leaves its names, and then they go.
	must(update, "users", body("", "", ""))
	if registries, connect, _ := described(); len(registries) > 0 || connect {
		t.Errorf("still registered at %v, connected %v", registries, connect)
	}
	if names := list("ListServices", "Services"); len(names) > 0 {
		t.Errorf("names are left: %v", names)
	}
	must(update, "users", body(dnsName, registered, "10"))
	for _, name := range []string{"users", "again", "namespaces"} {
		if _, err := cfn.DeleteStack(ctx, &cloudformation.DeleteStackInput{StackName: &name}); err != nil {
			t.Fatal(err)
		}
	}
	if names := list("ListServices", "Services"); len(names) > 0 {
		t.Errorf("names are left after the deletion: %v", names)
	}
	for _, space := range list("ListNamespaces", "Namespaces") { // which no stack has
		cloudMapCall(t, endpoint, "DeleteNamespace", map[string]any{"Id": space["Id"]}, nil)
	}
}

// failure is the last failure of a stack; empty if there is none.
func failure(t *testing.T, cfn *cloudformation.Client, stack string) string {
	t.Helper()
	events, err := cfn.DescribeStackEvents(t.Context(), &cloudformation.DescribeStackEventsInput{StackName: &stack})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events.StackEvents {
		if strings.HasSuffix(string(e.ResourceStatus), "_FAILED") {
			return *e.LogicalResourceId + ": " + aws.ToString(e.ResourceStatusReason)
		}
	}
	return ""
}

func cloudMap(t *testing.T, endpoint, action string, answer any) {
	t.Helper()
	cloudMapCall(t, endpoint, action, map[string]any{}, answer)
}

// cloudMapCall runs an operation of AWS Cloud Map.
func cloudMapCall(t *testing.T, endpoint, action string, params map[string]any, answer any) {
	t.Helper()
	body, err := json.Marshal(params)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, endpoint, strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=test/20200101/"+Region+"/servicediscovery/aws4_request, SignedHeaders=host, Signature=0")
	request.Header.Set("Content-Type", "application/x-amz-json-1.1")
	request.Header.Set("X-Amz-Target", "Route53AutoNaming_v20170314."+action)
	got, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	if got.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", action, got.Status)
	}
	if answer != nil {
		if err := json.NewDecoder(got.Body).Decode(answer); err != nil {
			t.Fatal(err)
		}
	}
}
