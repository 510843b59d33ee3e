package emulate

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	cfntypes "github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"

	"cutover/internal/nightly"
)

// started is the emulated AWS of all tests here. moto takes seconds to start.
var started *AWS

func TestMain(m *testing.M) {
	code := m.Run()
	if started != nil {
		started.Close()
		os.RemoveAll(started.dir)
	}
	os.Exit(code)
}

// services starts everything but Docker, once, and skips the test where moto is missing, which in CI is a failure.
func services(t *testing.T) *AWS {
	if testing.Short() {
		t.Skip("slow: it starts an emulated AWS")
	}
	t.Helper()
	if missing := motoMissing(); len(missing) > 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("this machine lacks ", missing)
		}
		t.Skip("this machine lacks ", missing)
	}
	if started != nil {
		return started
	}
	dir, err := os.MkdirTemp("", "cutover-emulate-")
	if err != nil {
		t.Fatal(err)
	}
	started = &AWS{dir: dir, log: log.New(io.Discard, "", 0)}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := started.startServices(ctx); err != nil {
		t.Fatal(err)
	}
	return started
}

// The load balancer, two target groups and a service, as a phase of the migration has them. CAPITALS are replaced.
const template = `{
	"Resources": {
		"Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16", "EnableDnsSupport": true}},
		"A": {"Type": "AWS::EC2::Subnet", "Properties": {"VpcId": {"Ref": "Vpc"}, "CidrBlock": "10.0.0.0/24", "AvailabilityZone": {"Fn::Select": [0, {"Fn::GetAZs": ""}]}}},
		"B": {"Type": "AWS::EC2::Subnet", "Properties": {"VpcId": {"Ref": "Vpc"}, "CidrBlock": "10.0.1.0/24", "AvailabilityZone": {"Fn::Select": [1, {"Fn::GetAZs": ""}]}}},
		"Balancer": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer", "Properties": {"Scheme": "internal", "Subnets": [{"Ref": "A"}, {"Ref": "B"}]}},
		"Api": {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Properties": {"Name": "api", "Port": 80, "Protocol": "HTTP", "VpcId": {"Ref": "Vpc"}, "TargetType": "instance"}},
		"Users": {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Properties": {"Name": "users", "Port": 80, "Protocol": "HTTP", "VpcId": {"Ref": "Vpc"}, "TargetType": "instance"}},
		"Listener": {"Type": "AWS::ElasticLoadBalancingV2::Listener", "Properties": {"LoadBalancerArn": {"Ref": "Balancer"}, "Port": 80, "Protocol": "HTTP",
			"DefaultActions": [{"Type": "forward", "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": {"Ref": "Api"}, "Weight": WEIGHT}]}}]}},
		"Rule": {"Type": "AWS::ElasticLoadBalancingV2::ListenerRule", "Properties": {"ListenerArn": {"Ref": "Listener"}, "Priority": PRIORITY,
			"Conditions": [{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/RULE*"]}}],
			"Actions": [{"Type": "forward", "TargetGroupArn": {"Ref": "TARGET"}}]}},
		EXTRA
		"Cluster": {"Type": "AWS::ECS::Cluster", "Properties": {"ClusterName": "dev"}},
		"Task": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"Family": "api", "RequiresCompatibilities": ["EC2"],
			"ContainerDefinitions": [{"Name": "api", "Image": "IMAGE", "MemoryReservation": 256, "LogConfiguration": {"LogDriver": "awslogs", "Options": {"awslogs-group": "G"}}}]}},
		"Service": {"Type": "AWS::ECS::Service", "DependsOn": ["Rule", "Listener"], "Properties": {"ServiceName": "api", "Cluster": {"Ref": "Cluster"}, "TaskDefinition": {"Ref": "Task"},
			COUNT "LoadBalancers": [{"ContainerName": "api", "ContainerPort": 3000, "TargetGroupArn": {"Ref": "SERVED"}}]}}
	}
}`

func render(changes ...string) string {
	defaults := []string{"WEIGHT", "1", "PRIORITY", "10", "RULE", "api", "TARGET", "Api", "EXTRA", "", "IMAGE", "api:1", "COUNT", count(1), "SERVED", "Api"}
	return strings.NewReplacer(slices.Concat(changes, defaults)...).Replace(template) // the first pair of a name wins
}

// count is the service's count in the template.
func count(n int) string { return fmt.Sprintf(`"DesiredCount": %d,`, n) }

// scaling has the service run 2 tasks or more, and a policy for it.
const scaling = `"Scaling": {"Type": "AWS::ApplicationAutoScaling::ScalableTarget", "Properties": {"ServiceNamespace": "ecs", "ScalableDimension": "ecs:service:DesiredCount",
	"ResourceId": {"Fn::Join": ["/", ["service", {"Ref": "Cluster"}, {"Fn::GetAtt": ["Service", "Name"]}]]}, "MinCapacity": 2, "MaxCapacity": MOST}},
	"ScaleByCPU": {"Type": "AWS::ApplicationAutoScaling::ScalingPolicy", "Properties": {"PolicyName": "ScaleByCPU", "PolicyType": "TargetTrackingScaling", "ScalingTargetId": {"Ref": "Scaling"},
	"TargetTrackingScalingPolicyConfiguration": {"PredefinedMetricSpecification": {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"}, "TargetValue": 60}}},`

const secondRule = `"Second": {"Type": "AWS::ElasticLoadBalancingV2::ListenerRule", "Properties": {"ListenerArn": {"Ref": "Listener"}, "Priority": 10,
	"Conditions": [{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/other"]}}], "Actions": [{"Type": "forward", "TargetGroupArn": {"Ref": "Users"}}]}},`

func TestRoutingAndServices(t *testing.T) {
	nightly.Test(t, "it deploys and updates a load balancer with a service a dozen times on an emulated AWS")
	a := services(t)
	endpoint := a.Endpoint()
	config := aws.Config{Region: Region, BaseEndpoint: &endpoint, Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")}
	cfn, balancers, tasks := cloudformation.NewFromConfig(config), elb.NewFromConfig(config), ecs.NewFromConfig(config)
	ctx := t.Context()

	deploy := deploying(t, cfn, "dev")
	// read describes what is there: the rules with their ARNs, and the service.
	type picture struct {
		rule, path, target, priority string
		weight, desired              int32
		definition                   string
	}
	read := func() (p picture) {
		t.Helper()
		lbs, err := balancers.DescribeLoadBalancers(ctx, &elb.DescribeLoadBalancersInput{})
		if err != nil || len(lbs.LoadBalancers) != 1 {
			t.Fatalf("load balancers: %v %v", lbs, err)
		}
		listeners, err := balancers.DescribeListeners(ctx, &elb.DescribeListenersInput{LoadBalancerArn: lbs.LoadBalancers[0].LoadBalancerArn})
		if err != nil {
			t.Fatal(err)
		}
		rules, err := balancers.DescribeRules(ctx, &elb.DescribeRulesInput{ListenerArn: listeners.Listeners[0].ListenerArn})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rules.Rules {
			if aws.ToBool(r.IsDefault) {
				p.weight = *r.Actions[0].ForwardConfig.TargetGroups[0].Weight
				continue
			}
			p.rule, p.priority, p.path = *r.RuleArn, *r.Priority, r.Conditions[0].PathPatternConfig.Values[0]
			p.target, _, _ = strings.Cut(strings.SplitN(*r.Actions[0].TargetGroupArn, "targetgroup/", 2)[1], "/")
		}
		s, err := tasks.DescribeServices(ctx, &ecs.DescribeServicesInput{Cluster: aws.String("dev"), Services: []string{"api"}})
		if err != nil || len(s.Services) != 1 {
			t.Fatalf("services: %v %v", s, err)
		}
		p.desired = s.Services[0].DesiredCount
		_, p.definition, _ = strings.Cut(*s.Services[0].TaskDefinition, "/")
		return p
	}

	if status, reason := deploy(cfntypes.ChangeSetTypeCreate, render("SERVED", "Users")); status != "ROLLBACK_COMPLETE" || !strings.Contains(reason, "does not have an associated load balancer") {
		t.Fatalf("a service whose target group no listener knows: %s %s, want a rollback", status, reason)
	}
	if _, err := cfn.DeleteStack(ctx, &cloudformation.DeleteStackInput{StackName: aws.String("dev")}); err != nil {
		t.Fatal(err)
	}
	if status, reason := deploy(cfntypes.ChangeSetTypeCreate, render()); status != "CREATE_COMPLETE" {
		t.Fatal(status, reason)
	}
	first := read() // its task definition is the second revision: the stack that failed had the first
	if want := (picture{first.rule, "/api*", "api", "10", 1, 1, "api:2"}); first != want {
		t.Fatalf("deployed %+v, want %+v", first, want)
	}

	if status, reason := deploy(cfntypes.ChangeSetTypeUpdate, render("EXTRA", secondRule, "COUNT", count(5))); status != "UPDATE_ROLLBACK_COMPLETE" || !strings.Contains(reason, "PriorityInUse") {
		t.Errorf("a priority in use: %s %s, want a rollback", status, reason)
	}
	if got := read(); got != first {
		t.Errorf("after the rollback %+v, want %+v", got, first)
	}

	if status, reason := deploy(cfntypes.ChangeSetTypeUpdate, render("WEIGHT", "0", "PRIORITY", "20", "RULE", "users", "TARGET", "Users", "COUNT", count(0), "IMAGE", "api:2")); status != "UPDATE_COMPLETE" {
		t.Fatal(status, reason)
	}
	if got, want := read(), (picture{first.rule, "/users*", "users", "20", 0, 0, "api:3"}); got != want {
		t.Errorf("updated in place to %+v, want %+v", got, want)
	}

	// A service that scales has no count in the template: the scalable target brings the
	// one that there is between its bounds, an update keeps it, and so does the end of
	// scaling, until there is a count again.
	for _, step := range []struct {
		name    string
		changes []string
		want    int32
	}{
		{"a scalable target", []string{"EXTRA", strings.ReplaceAll(scaling, "MOST", "6"), "COUNT", ""}, 2},
		{"another image", []string{"EXTRA", strings.ReplaceAll(scaling, "MOST", "6"), "COUNT", "", "IMAGE", "api:3"}, 2},
		{"another most", []string{"EXTRA", strings.ReplaceAll(scaling, "MOST", "4"), "COUNT", "", "IMAGE", "api:3"}, 2},
		{"no scaling", []string{"COUNT", "", "IMAGE", "api:3"}, 2},
		{"a count", []string{"COUNT", count(1), "IMAGE", "api:3"}, 1},
		{"scaling again", []string{"EXTRA", strings.ReplaceAll(scaling, "MOST", "4"), "COUNT", "", "IMAGE", "api:3"}, 2},
	} {
		changes := append([]string{"WEIGHT", "0", "PRIORITY", "20", "RULE", "users", "TARGET", "Users"}, step.changes...)
		if status, reason := deploy(cfntypes.ChangeSetTypeUpdate, render(changes...)); status != "UPDATE_COMPLETE" {
			t.Fatal(step.name, status, reason)
		}
		if got := read().desired; got != step.want {
			t.Errorf("%s: there are to be %d tasks, want %d", step.name, got, step.want)
		}
	}

	// A service has a launch type or a capacity provider strategy.
	for _, step := range []struct {
		strategy string
		want     ecstypes.LaunchType
	}{{"", ecstypes.LaunchTypeEc2}, {`"CapacityProviderStrategy": [{"CapacityProvider": "FARGATE", "Weight": 1}],`, ""}} {
		if status, reason := deploy(cfntypes.ChangeSetTypeUpdate, render("COUNT", count(1)+step.strategy)); status != "UPDATE_COMPLETE" {
			t.Fatal(status, reason)
		}
		s, err := tasks.DescribeServices(ctx, &ecs.DescribeServicesInput{Cluster: aws.String("dev"), Services: []string{"api"}})
		if err != nil || s.Services[0].LaunchType != step.want {
			t.Errorf("with %q, %v: launch type %q, want %q", step.strategy, err, s.Services[0].LaunchType, step.want)
		}
	}

	if _, err := cfn.DeleteStack(ctx, &cloudformation.DeleteStackInput{StackName: aws.String("dev")}); err != nil {
		t.Fatal(err)
	}
	groups, err := balancers.DescribeTargetGroups(ctx, &elb.DescribeTargetGroupsInput{})
	if err != nil || len(groups.TargetGroups) > 0 {
		t.Errorf("target groups left after the deletion: %v %v", groups, err)
	}
	if _, err := cfn.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: aws.String("dev")}); err == nil {
		t.Error("the stack is left after the deletion")
	}
}

// deploying returns what deploys a template as a stack, and says how the stack ended and why.
func deploying(t *testing.T, cfn *cloudformation.Client, stack string) func(kind cfntypes.ChangeSetType, body string) (status, reason string) {
	name, ctx := aws.String(stack), t.Context()
	return func(kind cfntypes.ChangeSetType, body string) (status, reason string) {
		t.Helper()
		set, err := cfn.CreateChangeSet(ctx, &cloudformation.CreateChangeSetInput{StackName: name, ChangeSetName: aws.String("c"), ChangeSetType: kind, TemplateBody: &body})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := cfn.ExecuteChangeSet(ctx, &cloudformation.ExecuteChangeSetInput{ChangeSetName: set.Id}); err != nil {
			t.Fatal(err)
		}
		events, err := cfn.DescribeStackEvents(ctx, &cloudformation.DescribeStackEventsInput{StackName: set.StackId})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events.StackEvents {
			if strings.HasSuffix(string(e.ResourceStatus), "_FAILED") {
				reason = *e.LogicalResourceId + ": " + aws.ToString(e.ResourceStatusReason)
				break
			}
		}
		return string(events.StackEvents[0].ResourceStatus), reason
	}
}

// A load balancer whose rules ask for a secret, as it is closed and opened again. CAPITALS are replaced.
const asking = `{
	"Resources": {
		"Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16", "EnableDnsSupport": true}},
		"A": {"Type": "AWS::EC2::Subnet", "Properties": {"VpcId": {"Ref": "Vpc"}, "CidrBlock": "10.0.0.0/24", "AvailabilityZone": {"Fn::Select": [0, {"Fn::GetAZs": ""}]}}},
		"B": {"Type": "AWS::EC2::Subnet", "Properties": {"VpcId": {"Ref": "Vpc"}, "CidrBlock": "10.0.1.0/24", "AvailabilityZone": {"Fn::Select": [1, {"Fn::GetAZs": ""}]}}},
		"Balancer": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer", "Properties": {"Name": "asking", "Scheme": "internal", "Subnets": [{"Ref": "A"}, {"Ref": "B"}]}},
		"Group": {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Properties": {"Name": "asking", "Port": 80, "Protocol": "HTTP", "VpcId": {"Ref": "Vpc"}, "TargetType": "instance"}},
		"Secret": {"Type": "AWS::SecretsManager::Secret", "Properties": {"GenerateSecretString": {"ExcludePunctuation": true, "PasswordLength": 32}}},
		"Listener": {"Type": "AWS::ElasticLoadBalancingV2::Listener", "Properties": {"LoadBalancerArn": {"Ref": "Balancer"}, "Port": 80, "Protocol": "HTTP", "DefaultActions": [DEFAULT]}},
		"Rule": {"Type": "AWS::ElasticLoadBalancingV2::ListenerRule", "Properties": {"ListenerArn": {"Ref": "Listener"}, "Priority": 10,
			"Conditions": [{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/api*"]}}MORE], "Actions": [{"Type": "forward", "TargetGroupArn": {"Ref": "Group"}}]}}
		LAST
	}
}`

// TestAskingRules: a rule gets a condition with the value of a secret, and the listener another default action, in place. The way back works.
func TestAskingRules(t *testing.T) {
	nightly.Test(t, "it changes rules of a load balancer on an emulated AWS")
	endpoint := services(t).Endpoint()
	config := aws.Config{Region: Region, BaseEndpoint: &endpoint, Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")}
	cfn, balancers := cloudformation.NewFromConfig(config), elb.NewFromConfig(config)
	ctx := t.Context()
	deploy := deploying(t, cfn, "asking")
	const header = `{"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "X-Origin-Secret", "Values": [{"Fn::Join": ["", ["{{resolve:secretsmanager:", {"Ref": "Secret"}, ":SecretString:::}}"]]}]}}`
	const forward = `{"Type": "forward", "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": {"Ref": "Group"}, "Weight": 1}]}}`
	open := strings.NewReplacer("DEFAULT", forward, "MORE", "", "LAST", "").Replace(asking)
	closed := strings.NewReplacer("DEFAULT", `{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "403", "ContentType": "text/plain", "MessageBody": "no"}}`, "MORE", ","+header,
		"LAST", `, "Last": {"Type": "AWS::ElasticLoadBalancingV2::ListenerRule", "Properties": {"ListenerArn": {"Ref": "Listener"}, "Priority": 50000, "Conditions": [`+header+`], "Actions": [`+forward+`]}}`).Replace(asking)
	// read has a line for each rule: its priority, its conditions and its action, with the secret's length.
	read := func() (lines []string) {
		t.Helper()
		lbs, err := balancers.DescribeLoadBalancers(ctx, &elb.DescribeLoadBalancersInput{Names: []string{"asking"}})
		if err != nil {
			t.Fatal(err)
		}
		listeners, err := balancers.DescribeListeners(ctx, &elb.DescribeListenersInput{LoadBalancerArn: lbs.LoadBalancers[0].LoadBalancerArn})
		if err != nil {
			t.Fatal(err)
		}
		rules, err := balancers.DescribeRules(ctx, &elb.DescribeRulesInput{ListenerArn: listeners.Listeners[0].ListenerArn})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rules.Rules {
			line := *r.Priority
			for _, c := range r.Conditions {
				if c.HttpHeaderConfig != nil {
					line += fmt.Sprint(" ", *c.HttpHeaderConfig.HttpHeaderName, " ", len(c.HttpHeaderConfig.Values[0]))
				} else {
					line += " " + c.PathPatternConfig.Values[0]
				}
			}
			lines = append(lines, line+" "+string(r.Actions[0].Type))
		}
		slices.Sort(lines)
		return lines
	}
	kind := cfntypes.ChangeSetTypeCreate
	for _, step := range []struct {
		template string
		want     []string
	}{
		{open, []string{"10 /api* forward", "default forward"}},
		{closed, []string{"10 /api* X-Origin-Secret 32 forward", "50000 X-Origin-Secret 32 forward", "default fixed-response"}},
		{open, []string{"10 /api* forward", "default forward"}},
	} {
		if status, reason := deploy(kind, step.template); !strings.HasSuffix(status, string(kind)+"_COMPLETE") || strings.Contains(status, "ROLLBACK") {
			t.Fatal(status, reason)
		}
		if got := read(); !slices.Equal(got, step.want) {
			t.Errorf("the rules are %q, want %q", got, step.want)
		}
		kind = cfntypes.ChangeSetTypeUpdate
	}
	if _, err := cfn.DeleteStack(ctx, &cloudformation.DeleteStackInput{StackName: aws.String("asking")}); err != nil {
		t.Fatal(err)
	}
}
