package strangler_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecs"
	elb "github.com/aws/aws-cdk-go/awscdk/v2/awselasticloadbalancingv2"
	"github.com/aws/jsii-runtime-go"
	"github.com/google/go-cmp/cmp"

	"cutover/internal/cdk"
	"cutover/strangler"
)

// The tests and the examples share one process of CDK.
func TestMain(m *testing.M) {
	if err := os.Chdir(".."); err != nil {
		panic(err)
	}
	cdk.Prepare()
	jsii.Close() // so that jsii starts as Prepare says
	code := m.Run()
	jsii.Close()
	os.Exit(code)
}

// app is a stack of ours, with what exists as imports.
type app struct {
	awscdk.App
	stack    awscdk.Stack
	vpc      awsec2.IVpc
	cluster  awsecs.ICluster
	listener elb.IApplicationListener
	monolith elb.IApplicationTargetGroup
}

const (
	listenerARN = "arn:aws:elasticloadbalancing:eu-central-1:111111111111:listener/app/shared/1111111111111111/2222222222222222"
	monolithARN = "arn:aws:elasticloadbalancing:eu-central-1:111111111111:targetgroup/monolith/3333333333333333"
)

func newApp(outdir string) *app {
	a := &app{App: awscdk.NewApp(&awscdk.AppProps{Outdir: jsii.String(outdir), AnalyticsReporting: jsii.Bool(false)})}
	a.add("Services")
	return a
}

// add adds a stack, which is that of the app from now on.
func (a *app) add(id string) {
	a.stack = awscdk.NewStack(a.App, jsii.String(id), nil)
	a.vpc = awsec2.Vpc_FromVpcAttributes(a.stack, jsii.String("Vpc"), &awsec2.VpcAttributes{
		VpcId: jsii.String("vpc-0123456789abcdef0"), AvailabilityZones: jsii.Strings("eu-central-1a", "eu-central-1b"), PrivateSubnetIds: jsii.Strings("subnet-0123456789abcdef1", "subnet-0123456789abcdef2"),
	})
	a.cluster = awsecs.Cluster_FromClusterAttributes(a.stack, jsii.String("Cluster"), &awsecs.ClusterAttributes{ClusterName: jsii.String("shared"), Vpc: a.vpc})
	a.listener = elb.ApplicationListener_FromApplicationListenerAttributes(a.stack, jsii.String("Listener"), &elb.ApplicationListenerAttributes{
		ListenerArn:   jsii.String(listenerARN),
		SecurityGroup: awsec2.SecurityGroup_FromSecurityGroupId(a.stack, jsii.String("LoadBalancer"), jsii.String("sg-0123456789abcdef1"), nil),
	})
	a.monolith = elb.ApplicationTargetGroup_FromTargetGroupAttributes(a.stack, jsii.String("Monolith"), &elb.TargetGroupAttributes{TargetGroupArn: jsii.String(monolithARN)})
}

// group is a target group of a service.
func (a *app) group(id string) elb.ApplicationTargetGroup {
	return elb.NewApplicationTargetGroup(a.stack, jsii.String(id), &elb.ApplicationTargetGroupProps{
		Vpc: a.vpc, TargetType: elb.TargetType_IP, Port: jsii.Number(8080), Protocol: elb.ApplicationProtocol_HTTP,
	})
}

func paths(patterns ...string) *[]elb.ListenerCondition {
	return &[]elb.ListenerCondition{elb.ListenerCondition_PathPatterns(jsii.Strings(patterns...))}
}

// moving is a service with a target group of its own.
func (a *app) moving(name string, priority int, place string, patterns ...string) *strangler.MigrationService {
	return movingTo(a.group(name+"-group"), name, priority, place, patterns...)
}

func movingTo(group elb.IApplicationTargetGroup, name string, priority int, place string, patterns ...string) *strangler.MigrationService {
	return &strangler.MigrationService{
		Name: jsii.String(name), Priority: jsii.Number(priority), Conditions: paths(patterns...), TargetGroup: group, Place: jsii.String(place),
	}
}

// migrate adds the migration of services.
func (a *app) migrate(services ...*strangler.MigrationService) strangler.Migration {
	return strangler.NewMigration(a.stack, jsii.String("Migration"), &strangler.MigrationProps{Listener: a.listener, Monolith: a.monolith, Services: &services})
}

// A resource of a template.
type resource struct {
	Type       string
	Properties map[string]any
	DependsOn  []string
}

// resources returns what a stack of the app has.
func resources(t *testing.T, a *app, stack string) map[string]resource {
	t.Helper()
	dir := *a.Synth(nil).Directory()
	text, err := os.ReadFile(filepath.Join(dir, stack+".template.json"))
	if err != nil {
		t.Fatal(err)
	}
	var template struct{ Resources map[string]resource }
	if err := json.Unmarshal(text, &template); err != nil {
		t.Fatal(err)
	}
	return template.Resources
}

// ofType returns the resources of a type by their logical ids without CDK's hash.
func ofType(all map[string]resource, kind string) map[string]resource {
	found := map[string]resource{}
	for id, r := range all {
		if r.Type == "AWS::"+kind {
			found[id[:len(id)-8]] = r
		}
	}
	return found
}

const listenerRule = "ElasticLoadBalancingV2::ListenerRule"

// shown is what a rule does, on one line.
func shown(r resource) string {
	var parts []string
	for _, condition := range r.Properties["Conditions"].([]any) {
		for field, config := range condition.(map[string]any) {
			if config, ok := config.(map[string]any); ok {
				parts = append(parts, fmt.Sprint(strings.TrimSuffix(field, "Config"), config["Values"]))
			}
		}
	}
	group := func(arn any) string {
		if ref, ok := arn.(map[string]any); ok {
			return strings.Split(ref["Ref"].(string), "group")[0]
		}
		return strings.Split(arn.(string), "/")[1]
	}
	for _, action := range r.Properties["Actions"].([]any) {
		action := action.(map[string]any)
		if arn, ok := action["TargetGroupArn"]; ok {
			parts = append(parts, group(arn))
			continue
		}
		for _, tuple := range action["ForwardConfig"].(map[string]any)["TargetGroups"].([]any) {
			tuple := tuple.(map[string]any)
			parts = append(parts, fmt.Sprint(group(tuple["TargetGroupArn"]), "=", tuple["Weight"]))
		}
	}
	return fmt.Sprint(r.Properties["Priority"], " ", strings.Join(parts, " "))
}

// TestPlaces: what differs between two places of a service is its rule, which keeps its logical id and its priority.
func TestPlaces(t *testing.T) {
	var first map[string]resource
	for _, test := range []struct{ place, orders string }{
		{"monolith", "20 HostHeader[orders.parked.invalid] orders"},
		{"parallel", "20 HostHeader[orders.parked.invalid] orders"},
		{"0%", "20 PathPattern[/api/orders*] orders=0 monolith=100"},
		{"10%", "20 PathPattern[/api/orders*] orders=10 monolith=90"},
		{"100%", "20 PathPattern[/api/orders*] orders=100 monolith=0"},
		{"switched", "20 PathPattern[/api/orders*] orders"},
	} {
		a := newApp(t.TempDir())
		m := a.migrate(a.moving("users", 30, "switched", "/api/users*", "/users"), a.moving("orders", 20, test.place, "/api/orders*"))
		if place := *(*m.Places())["orders"]; place != test.place {
			t.Errorf("Places says %s, want %s", place, test.place)
		}
		all := resources(t, a, "Services")
		rules := ofType(all, listenerRule)
		if got := shown(rules["Migrationorders"]); got != test.orders {
			t.Errorf("%s: %s, want %s", test.place, got, test.orders)
		}
		if got, want := shown(rules["Migrationusers"]), "30 PathPattern[/api/users* /users] users"; got != want {
			t.Errorf("%s: %s, want %s", test.place, got, want)
		}
		if len(rules) != 2 || len(all) != 4 {
			t.Errorf("%s: there are %d rules and %d resources, want 2 and 4", test.place, len(rules), len(all))
		}
		for id, r := range all {
			if strings.HasPrefix(id, "Migrationorders") {
				if arn := r.Properties["ListenerArn"]; arn != listenerARN {
					t.Errorf("%s: the rule is of %v", test.place, arn)
				}
				r.Properties["Conditions"], r.Properties["Actions"] = nil, nil
			}
		}
		if first == nil {
			first = all
		}
		if diff := cmp.Diff(first, all); diff != "" {
			t.Errorf("monolith and %s differ in more than what the rule does:\n%s", test.place, diff)
		}
	}
}

// TestOverlap: the requests of a service that has not moved stay with the monolith, though another service's paths have
// them, too.
func TestOverlap(t *testing.T) {
	for _, test := range []struct{ admin, orders, want string }{
		{"monolith", "monolith", "10 PathPattern[/api/orders/admin*] admin=0 monolith=100; 20 HostHeader[orders.parked.invalid] orders"},
		{"monolith", "switched", "10 PathPattern[/api/orders/admin*] admin=0 monolith=100; 20 PathPattern[/api/orders*] orders"},
		{"switched", "monolith", "10 PathPattern[/api/orders/admin*] admin; 20 HostHeader[orders.parked.invalid] orders"},
	} {
		a := newApp(t.TempDir())
		a.migrate(a.moving("orders", 20, test.orders, "/api/orders*"), a.moving("admin", 10, test.admin, "/api/orders/admin*"))
		all := resources(t, a, "Services")
		rules := ofType(all, listenerRule)
		if got := shown(rules["Migrationadmin"]) + "; " + shown(rules["Migrationorders"]); got != test.want {
			t.Errorf("admin %s, orders %s: %s, want %s", test.admin, test.orders, got, test.want)
		}
		if on := rules["Migrationorders"].DependsOn; len(on) != 1 || !strings.HasPrefix(on[0], "Migrationadmin") {
			t.Errorf("the rule of orders comes after %v, want that of admin", on)
		}
	}
}

// Conditions that cannot meet need no order, and what a match does not know may meet everything.
func TestConditions(t *testing.T) {
	condition := func(c ...elb.ListenerCondition) *[]elb.ListenerCondition { return &c }
	api := elb.ListenerCondition_PathPatterns(jsii.Strings("/api*"))
	for name, test := range map[string]struct {
		first, second *[]elb.ListenerCondition
		meet          bool
	}{
		"methods": {condition(api, elb.ListenerCondition_HttpRequestMethods(jsii.Strings("POST"))), condition(api, elb.ListenerCondition_HttpRequestMethods(jsii.Strings("GET"))), false},
		"hosts":   {condition(elb.ListenerCondition_HostHeaders(jsii.Strings("a.example.com"))), condition(api, elb.ListenerCondition_HostHeaders(jsii.Strings("*.EXAMPLE.com"))), true},
		"headers": {condition(elb.ListenerCondition_HttpHeader(jsii.String("X-Tenant"), jsii.Strings("a*"))), condition(elb.ListenerCondition_HttpHeader(jsii.String("x-tenant"), jsii.Strings("b*"))), false},
		"address": {condition(elb.ListenerCondition_SourceIps(jsii.Strings("10.0.0.0/8"))), condition(api), true},
		"query":   {condition(elb.ListenerCondition_QueryStrings(&[]*elb.QueryStringCondition{{Key: jsii.String("v"), Value: jsii.String("2")}})), condition(api), true},
	} {
		a := newApp(t.TempDir())
		first, second := a.moving("first", 1, "monolith", "/"), a.moving("second", 2, "switched", "/")
		first.Conditions, second.Conditions = test.first, test.second
		a.migrate(second, first)
		on := ofType(resources(t, a, "Services"), listenerRule)["Migrationsecond"].DependsOn
		if meet := len(on) > 0; meet != test.meet {
			t.Errorf("%s: %v, want %v", name, meet, test.meet)
		}
	}
}

// TestMonolith: a monolith of the same app is not changed either, whatever the place.
func TestMonolith(t *testing.T) {
	var first map[string]resource
	for _, place := range []string{"", "monolith", "10%", "switched"} {
		a := newApp(t.TempDir())
		theirs := awscdk.NewStack(a.App, jsii.String("Theirs"), nil)
		vpc := awsec2.NewVpc(theirs, jsii.String("Vpc"), nil)
		balancer := elb.NewApplicationLoadBalancer(theirs, jsii.String("Balancer"), &elb.ApplicationLoadBalancerProps{Vpc: vpc})
		listener := balancer.AddListener(jsii.String("Listener"), &elb.BaseApplicationListenerProps{Port: jsii.Number(80)})
		machine := awsec2.NewSecurityGroup(theirs, jsii.String("Machine"), &awsec2.SecurityGroupProps{Vpc: vpc})
		group := listener.AddTargets(jsii.String("Monolith"), &elb.AddApplicationTargetsProps{Port: jsii.Number(80)})
		group.RegisterConnectable(machine, nil)
		if place != "" {
			services := []*strangler.MigrationService{a.moving("orders", 20, place, "/api/orders*")}
			strangler.NewMigration(a.stack, jsii.String("Migration"), &strangler.MigrationProps{Listener: listener, Monolith: group, Services: &services})
		}
		all := resources(t, a, "Theirs")
		if first == nil {
			first = all
		}
		if diff := cmp.Diff(first, all); diff != "" {
			t.Errorf("%s: the other stack has changed:\n%s", place, diff)
		}
	}
}

// message returns what a function panics with.
func message(f func()) (text string) {
	defer func() { text = fmt.Sprint(recover()) }()
	f()
	return "nothing"
}

func TestMigrationRefuses(t *testing.T) {
	a := newApp(t.TempDir())
	cases := 0
	for want, change := range map[string]func(a *app, props *strangler.MigrationProps, s *strangler.MigrationService){
		"Listener is required":                               func(_ *app, p *strangler.MigrationProps, _ *strangler.MigrationService) { p.Listener = nil },
		"Monolith is required":                               func(_ *app, p *strangler.MigrationProps, _ *strangler.MigrationService) { p.Monolith = nil },
		"Services is required, and has one service at least": func(_ *app, p *strangler.MigrationProps, _ *strangler.MigrationService) { p.Services = nil },
		"Services[1] is nil": func(_ *app, p *strangler.MigrationProps, _ *strangler.MigrationService) {
			*p.Services = append(*p.Services, nil)
		},
		"Services[0].Name is required": func(_ *app, _ *strangler.MigrationProps, s *strangler.MigrationService) { s.Name = nil },
		`Services[0].Name is "Orders": use lower-case letters, digits and hyphens, as in "orders"`: func(_ *app, _ *strangler.MigrationProps, s *strangler.MigrationService) {
			s.Name = jsii.String("Orders")
		},
		"the service orders is there twice": func(_ *app, p *strangler.MigrationProps, s *strangler.MigrationService) {
			twin := *s
			twin.Priority = jsii.Number(21)
			*p.Services = append(*p.Services, &twin)
		},
		"users.Priority is 20, which orders has: each rule needs one of its own": func(a *app, p *strangler.MigrationProps, _ *strangler.MigrationService) {
			*p.Services = append(*p.Services, a.moving("users", 20, "monolith", "/users"))
		},
		"orders.Priority is required":                              func(_ *app, _ *strangler.MigrationProps, s *strangler.MigrationService) { s.Priority = nil },
		"orders.Priority is 0: use a whole number from 1 to 50000": func(_ *app, _ *strangler.MigrationProps, s *strangler.MigrationService) { s.Priority = jsii.Number(0) },
		"orders.Priority is 50001: use a whole number from 1 to 50000": func(_ *app, _ *strangler.MigrationProps, s *strangler.MigrationService) {
			s.Priority = jsii.Number(50001)
		},
		"orders.Priority is 1.5: use a whole number from 1 to 50000": func(_ *app, _ *strangler.MigrationProps, s *strangler.MigrationService) {
			s.Priority = jsii.Number(1.5)
		},
		"orders.Conditions is required: the service would take all requests": func(_ *app, _ *strangler.MigrationProps, s *strangler.MigrationService) { s.Conditions = nil },
		"orders.Conditions has 6 values: a rule has 5 at most": func(_ *app, _ *strangler.MigrationProps, s *strangler.MigrationService) {
			s.Conditions = &[]elb.ListenerCondition{elb.ListenerCondition_PathPatterns(jsii.Strings("/1", "/2", "/3")), elb.ListenerCondition_HostHeaders(jsii.Strings("a", "b", "c"))}
		},
		"orders.TargetGroup is required": func(_ *app, _ *strangler.MigrationProps, s *strangler.MigrationService) { s.TargetGroup = nil },
		"orders.TargetGroup is that of the monolith: the service needs one of its own": func(a *app, _ *strangler.MigrationProps, s *strangler.MigrationService) {
			s.TargetGroup = a.monolith
		},
		`orders.Place: "retired" is not a place: choose one of monolith, parallel, a share as in 10%, or switched`: func(_ *app, _ *strangler.MigrationProps, s *strangler.MigrationService) {
			s.Place = jsii.String("retired")
		},
		`orders.Place: "110%" is not a share: use a whole number from 0% to 100%`: func(_ *app, _ *strangler.MigrationProps, s *strangler.MigrationService) {
			s.Place = jsii.String("110%")
		},
		"orders.Priority is required; orders.TargetGroup is required": func(_ *app, _ *strangler.MigrationProps, s *strangler.MigrationService) {
			s.Priority, s.TargetGroup = nil, nil
		},
	} {
		cases++
		stack := fmt.Sprint("Case", cases)
		a.add(stack)
		s := a.moving("orders", 20, "monolith", "/api/orders*")
		props := &strangler.MigrationProps{Listener: a.listener, Monolith: a.monolith, Services: &[]*strangler.MigrationService{s}}
		change(a, props, s)
		if got := message(func() { strangler.NewMigration(a.stack, jsii.String("Migration"), props) }); got != stack+"/Migration: "+want {
			t.Errorf("it says %q, want %q", got, want)
		}
	}
	a.add("Nothing")
	got := message(func() { strangler.NewMigration(a.stack, jsii.String("Migration"), nil) })
	if want := "Nothing/Migration: Listener is required; Monolith is required; Services is required, and has one service at least"; got != want {
		t.Errorf("without properties it says %q, want %q", got, want)
	}
}

// The default place changes nothing for anybody.
func TestDefaultPlace(t *testing.T) {
	a := newApp(t.TempDir())
	s := a.moving("orders", 20, "", "/api/orders*")
	s.Place = nil
	m := a.migrate(s)
	if place := *(*m.Places())["orders"]; place != "monolith" {
		t.Errorf("the place is %s", place)
	}
	if n := len(*m.Node().Children()); n != 2 {
		t.Errorf("the migration has %d children, want the monolith's import and the rule", n)
	}
}
