package emulate

import (
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	cfntypes "github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

// A load balancer with all that belongs to it, in a network of another stack. It stays when its stack goes.
const (
	networkTemplate = `{"Resources": {
		"Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}},
		"A": {"Type": "AWS::EC2::Subnet", "Properties": {"VpcId": {"Ref": "Vpc"}, "CidrBlock": "10.0.0.0/24", "AvailabilityZone": "us-east-1a"}},
		"B": {"Type": "AWS::EC2::Subnet", "Properties": {"VpcId": {"Ref": "Vpc"}, "CidrBlock": "10.0.1.0/24", "AvailabilityZone": "us-east-1b"}}},
		"Outputs": {"Vpc": {"Value": {"Ref": "Vpc"}, "Export": {"Name": "Vpc"}}, "A": {"Value": {"Ref": "A"}, "Export": {"Name": "A"}}, "B": {"Value": {"Ref": "B"}, "Export": {"Name": "B"}}}}`
	keptTemplate = `{"Resources": {
		"Balancer": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer", "DeletionPolicy": "Retain", "Properties": {"Name": "kept", "Scheme": "internal", "Subnets": [{"Fn::ImportValue": "A"}, {"Fn::ImportValue": "B"}]}},
		"Group": {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "DeletionPolicy": "Retain", "Properties": {"Name": "kept", "Port": 80, "Protocol": "HTTP", "VpcId": {"Fn::ImportValue": "Vpc"}, "TargetType": "ip"}},
		"Listener": {"Type": "AWS::ElasticLoadBalancingV2::Listener", "DeletionPolicy": "Retain", "Properties": {"LoadBalancerArn": {"Ref": "Balancer"}, "Port": 80, "Protocol": "HTTP",
			"DefaultActions": [{"Type": "forward", "TargetGroupArn": {"Ref": "Group"}}]}},
		"Rule": {"Type": "AWS::ElasticLoadBalancingV2::ListenerRule", "DeletionPolicy": "Retain", "Properties": {"ListenerArn": {"Ref": "Listener"}, "Priority": PRIORITY,
			"Conditions": [{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/api*"]}}], "Actions": [{"Type": "forward", "TargetGroupArn": {"Ref": "Group"}}]}}}}`
)

// TestImportedBalancer hands a load balancer over from one stack to another.
func TestImportedBalancer(t *testing.T) {
	endpoint := services(t).Endpoint()
	config := aws.Config{Region: Region, BaseEndpoint: &endpoint, Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")}
	cfn, balancers := cloudformation.NewFromConfig(config), elb.NewFromConfig(config)
	ctx := t.Context()
	ends := func(stack string, kind cfntypes.ChangeSetType, body, want string) {
		t.Helper()
		if status, reason := deploying(t, cfn, stack)(kind, body); status != want {
			t.Fatal(stack, status, reason)
		}
	}
	gone := func(stack string) {
		t.Helper()
		if _, err := cfn.DeleteStack(ctx, &cloudformation.DeleteStackInput{StackName: &stack}); err != nil {
			t.Fatal(err)
		}
	}
	kept := strings.ReplaceAll(keptTemplate, "PRIORITY", "10")
	ends("network", cfntypes.ChangeSetTypeCreate, networkTemplate, "CREATE_COMPLETE")
	ends("before", cfntypes.ChangeSetTypeCreate, kept, "CREATE_COMPLETE")
	resources := func(stack string) map[string]string {
		t.Helper()
		out, err := cfn.DescribeStackResources(ctx, &cloudformation.DescribeStackResourcesInput{StackName: &stack})
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]string{}
		for _, r := range out.StackResources {
			found[*r.LogicalResourceId] = *r.PhysicalResourceId
		}
		return found
	}
	before := resources("before")
	gone("before")

	var taken []cfntypes.ResourceToImport
	for _, one := range []struct{ logical, kind, identifier string }{
		{"Balancer", "LoadBalancer", "LoadBalancerArn"}, {"Group", "TargetGroup", "TargetGroupArn"}, {"Listener", "Listener", "ListenerArn"}, {"Rule", "ListenerRule", "RuleArn"},
	} {
		taken = append(taken, cfntypes.ResourceToImport{LogicalResourceId: &one.logical, ResourceType: aws.String("AWS::ElasticLoadBalancingV2::" + one.kind),
			ResourceIdentifier: map[string]string{one.identifier: before[one.logical]}})
	}
	set, err := cfn.CreateChangeSet(ctx, &cloudformation.CreateChangeSetInput{StackName: aws.String("after"), ChangeSetName: aws.String("i"),
		ChangeSetType: cfntypes.ChangeSetTypeImport, TemplateBody: &kept, ResourcesToImport: taken})
	if err != nil {
		t.Fatal(err)
	}
	described, err := cfn.DescribeChangeSet(ctx, &cloudformation.DescribeChangeSetInput{ChangeSetName: set.Id})
	if err != nil || described.Status != cfntypes.ChangeSetStatusCreateComplete {
		t.Fatal(err, aws.ToString(described.StatusReason))
	}
	for _, c := range described.Changes {
		if c.ResourceChange.Action != cfntypes.ChangeActionImport || *c.ResourceChange.PhysicalResourceId != before[*c.ResourceChange.LogicalResourceId] {
			t.Errorf("%s: %s of %s", *c.ResourceChange.LogicalResourceId, c.ResourceChange.Action, *c.ResourceChange.PhysicalResourceId)
		}
	}
	if _, err := cfn.ExecuteChangeSet(ctx, &cloudformation.ExecuteChangeSetInput{ChangeSetName: set.Id}); err != nil {
		t.Fatal(err)
	}
	after := resources("after")
	for logical, id := range before {
		if after[logical] != id {
			t.Errorf("%s is %s, and was %s", logical, after[logical], id)
		}
	}

	// The stack knows their attributes, and changes them in place.
	changed := strings.ReplaceAll(keptTemplate, "PRIORITY", "20")
	changed = strings.TrimSuffix(changed, "}") + `, "Outputs": {"Name": {"Value": {"Fn::GetAtt": ["Balancer", "DNSName"]}}, "Group": {"Value": {"Fn::GetAtt": ["Group", "TargetGroupName"]}}}}`
	ends("after", cfntypes.ChangeSetTypeUpdate, changed, "UPDATE_COMPLETE")
	stacks, err := cfn.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: aws.String("after")})
	if err != nil {
		t.Fatal(err)
	}
	balancer, err := balancers.DescribeLoadBalancers(ctx, &elb.DescribeLoadBalancersInput{Names: []string{"kept"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range stacks.Stacks[0].Outputs {
		if want := map[string]string{"Name": *balancer.LoadBalancers[0].DNSName, "Group": "kept"}[*o.OutputKey]; *o.OutputValue != want {
			t.Errorf("%s is %s, want %s", *o.OutputKey, *o.OutputValue, want)
		}
	}
	rules, err := balancers.DescribeRules(ctx, &elb.DescribeRulesInput{RuleArns: []string{before["Rule"]}})
	if err != nil || len(rules.Rules) != 1 || *rules.Rules[0].Priority != "20" {
		t.Errorf("the rule is %+v, %v", rules, err)
	}

	ends("after", cfntypes.ChangeSetTypeUpdate, strings.ReplaceAll(kept, `"DeletionPolicy": "Retain", `, ""), "UPDATE_COMPLETE")
	gone("after")
	gone("network")
	if left, err := balancers.DescribeLoadBalancers(ctx, &elb.DescribeLoadBalancersInput{}); err != nil || slices.ContainsFunc(left.LoadBalancers, func(l elbtypes.LoadBalancer) bool { return *l.LoadBalancerName == "kept" }) {
		t.Errorf("the load balancer is left: %v", err)
	}
}
