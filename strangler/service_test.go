package strangler_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssecretsmanager"
	"github.com/aws/jsii-runtime-go"
	"github.com/google/go-cmp/cmp"

	"cutover/strangler"
)

// service returns the properties of a service with what it needs.
func (a *app) service() *strangler.ServiceProps {
	return &strangler.ServiceProps{
		Cluster: a.cluster, Image: awsecs.ContainerImage_FromRegistry(jsii.String("example.com/orders:1"), nil), ContainerPort: jsii.Number(8080),
	}
}

// only returns the one resource of a type.
func only(t *testing.T, all map[string]resource, kind string) resource {
	t.Helper()
	found := ofType(all, kind)
	if len(found) != 1 {
		t.Fatalf("there are %d resources of %s, want 1", len(found), kind)
	}
	for _, r := range found {
		return r
	}
	return resource{}
}

// TestService: the defaults, and the order in which CloudFormation makes gate, rule and ECS service.
func TestService(t *testing.T) {
	a := newApp(t.TempDir())
	s := strangler.NewService(a.stack, jsii.String("orders"), a.service())
	m := a.migrate(movingTo(s.TargetGroup(), "orders", 20, "switched", "/api/orders*"))
	strangler.NewGate(a.stack, jsii.String("Gate"), &strangler.GateProps{Migration: m})
	all := resources(t, a, "Services")

	service := only(t, all, "ECS::Service")
	p := service.Properties
	if p["DesiredCount"] != 2.0 || p["LaunchType"] != "FARGATE" || p["HealthCheckGracePeriodSeconds"] != 15.0 {
		t.Errorf("the ECS service is %v", p)
	}
	if d := fmt.Sprint(p["DeploymentConfiguration"]); !strings.Contains(d, "DeploymentCircuitBreaker:map[Enable:true Rollback:true] MaximumPercent:200 MinimumHealthyPercent:100") {
		t.Errorf("the deployment of the ECS service is %s", d)
	}
	if on := strings.Join(service.DependsOn, " "); !strings.Contains(on, "Migrationorders") || !strings.Contains(on, "ordersExecutionRoleDefaultPolicy") {
		t.Errorf("the ECS service waits for %s, want its rule, and what its agent may do", on)
	}
	if on := strings.Join(ofType(all, listenerRule)["Migrationorders"].DependsOn, " "); !strings.Contains(on, "GateOrdersSwitchedFollowsTheDeployedPlace") {
		t.Errorf("the rule waits for %s, want the gate", on)
	}

	group := only(t, all, "ElasticLoadBalancingV2::TargetGroup").Properties
	if group["TargetType"] != "ip" || group["HealthCheckPath"] != "/" || group["Port"] != 8080.0 || !strings.Contains(fmt.Sprint(group["TargetGroupAttributes"]), "deregistration_delay.timeout_seconds Value:15") {
		t.Errorf("the target group is %v", group)
	}
	container := only(t, all, "ECS::TaskDefinition").Properties["ContainerDefinitions"].([]any)[0].(map[string]any)
	want := map[string]any{
		"Name": "orders", "ReadonlyRootFilesystem": true, "User": "65532:65532", "StopTimeout": 20.0,
		"LinuxParameters": map[string]any{"Capabilities": map[string]any{"Drop": []any{"ALL"}}},
	}
	for name, value := range want {
		if diff := cmp.Diff(value, container[name]); diff != "" {
			t.Errorf("%s of the container:\n%s", name, diff)
		}
	}
	if roles := ofType(all, "IAM::Role"); len(roles) != 2 || !strings.Contains(fmt.Sprint(roles), "aws:SourceAccount:map[Ref:AWS::AccountId]") {
		t.Errorf("the roles are %v", roles)
	}
	if days := only(t, all, "Logs::LogGroup").Properties["RetentionInDays"]; days != 30.0 {
		t.Errorf("the logs are kept for %v days", days)
	}
	// The load balancer reaches the tasks. Its own group allows all outbound traffic, as far as CDK knows.
	ingress := only(t, all, "EC2::SecurityGroupIngress").Properties
	if ingress["SourceSecurityGroupId"] != "sg-0123456789abcdef1" || ingress["FromPort"] != 8080.0 {
		t.Errorf("the tasks admit %v", ingress)
	}
}

func TestServiceOptions(t *testing.T) {
	a := newApp(t.TempDir())
	p := a.service()
	p.HealthCheckPath, p.DesiredCount, p.Place = jsii.String("/healthz"), jsii.Number(3), jsii.String("10%")
	p.Cpu, p.MemoryLimitMiB = jsii.Number(512), jsii.Number(2048)
	p.RuntimePlatform = &awsecs.RuntimePlatform{CpuArchitecture: awsecs.CpuArchitecture_ARM64(), OperatingSystemFamily: awsecs.OperatingSystemFamily_LINUX()}
	p.Command, p.Environment = jsii.Strings("serve"), &map[string]*string{"A": jsii.String("1")}
	p.Secrets = &map[string]awsecs.Secret{"KEY": awsecs.Secret_FromSecretsManager(awssecretsmanager.Secret_FromSecretNameV2(a.stack, jsii.String("Key"), jsii.String("shop/key")), nil)}
	p.User, p.WritablePaths = jsii.String("1000:1000"), jsii.Strings("/tmp")
	p.SecurityGroups = &[]awsec2.ISecurityGroup{awsec2.SecurityGroup_FromSecurityGroupId(a.stack, jsii.String("Tasks"), jsii.String("sg-0123456789abcdef2"), nil)}
	p.VpcSubnets = &awsec2.SubnetSelection{Subnets: &[]awsec2.ISubnet{awsec2.Subnet_FromSubnetId(a.stack, jsii.String("Subnet"), jsii.String("subnet-0123456789abcdef9"))}}
	p.LogRetention = awslogs.RetentionDays_ONE_WEEK
	s := strangler.NewService(a.stack, jsii.String("orders"), p)
	a.migrate(movingTo(s.TargetGroup(), "orders", 20, "10%", "/api/orders*"))
	if s.FargateService() == nil {
		t.Error("there is no ECS service")
	}
	all := resources(t, a, "Services")
	text := fmt.Sprint(only(t, all, "ECS::Service"), only(t, all, "ECS::TaskDefinition"), only(t, all, "Logs::LogGroup"), only(t, all, "ElasticLoadBalancingV2::TargetGroup"))
	for _, want := range []string{
		"HealthCheckPath:/healthz", "DesiredCount:3", "Cpu:512", "Memory:2048", "CpuArchitecture:ARM64", "Command:[serve]", "Environment:[map[Name:A Value:1]]",
		"Secrets:[map[Name:KEY", "User:1000:1000", "ContainerPath:/tmp ReadOnly:false", "SecurityGroups:[sg-0123456789abcdef2]", "Subnets:[subnet-0123456789abcdef9]", "RetentionInDays:7",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is missing in %s", want, text)
		}
	}
}

// In the place monolith no task runs, and a count of its own changes nothing of that.
func TestServiceInPlaces(t *testing.T) {
	for place, want := range map[string]float64{"monolith": 0, "parallel": 3, "0%": 3, "switched": 3} {
		a := newApp(t.TempDir())
		p := a.service()
		p.Place, p.DesiredCount = jsii.String(place), jsii.Number(3)
		s := strangler.NewService(a.stack, jsii.String("orders"), p)
		a.migrate(movingTo(s.TargetGroup(), "orders", 20, place, "/api/orders*"))
		if got := only(t, resources(t, a, "Services"), "ECS::Service").Properties["DesiredCount"]; got != want {
			t.Errorf("%s: %v tasks, want %v", place, got, want)
		}
	}
}

func TestServiceRefuses(t *testing.T) {
	a := newApp(t.TempDir())
	for i, test := range []struct {
		want   string
		change func(p *strangler.ServiceProps)
	}{
		{"Cluster is required; Image is required; ContainerPort is required", func(p *strangler.ServiceProps) { *p = strangler.ServiceProps{} }},
		{`User is "root": choose a user that is not root`, func(p *strangler.ServiceProps) { p.User = jsii.String("root") }},
		{`User is "0:0": choose a user that is not root`, func(p *strangler.ServiceProps) { p.User = jsii.String("0:0") }},
		{`Place: "gone" is not a place: choose one of monolith, parallel, a share as in 10%, or switched`, func(p *strangler.ServiceProps) { p.Place = jsii.String("gone") }},
	} {
		id, p := fmt.Sprint("service", i), a.service()
		test.change(p)
		if got, want := message(func() { strangler.NewService(a.stack, jsii.String(id), p) }), "Services/"+id+": "+test.want; got != want {
			t.Errorf("it says %q, want %q", got, want)
		}
	}
	want := "Services/nothing: Cluster is required; Image is required; ContainerPort is required"
	if got := message(func() { strangler.NewService(a.stack, jsii.String("nothing"), nil) }); got != want {
		t.Errorf("it says %q, want %q", got, want)
	}
}
