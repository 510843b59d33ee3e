package local

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"cutover/internal/assembly"
	"cutover/internal/model"
	"cutover/internal/nightly"
)

func ref(id string) any               { return map[string]any{"Ref": id} }
func getAtt(id, attribute string) any { return map[string]any{"Fn::GetAtt": []any{id, attribute}} }
func joined(parts ...any) any         { return map[string]any{"Fn::Join": []any{" ", parts}} }

// section gives the books another section, and the platform a parameter.
func section(value any, parameter any) func(templates) {
	return func(a templates) {
		a["ShopPlatform"]["Resources"].(map[string]any)["Word"] = map[string]any{
			"Type": "AWS::SSM::Parameter", "Properties": map[string]any{"Name": "/shop/word", "Type": "String", "Value": parameter},
		}
		a.output("ShopPlatform", "Word", getAtt("Word", "Value"))
		a.output("ShopPlatform", "Name", ref("Word"))
		a.output("ShopPlatform", "Cluster", ref("MachinesE2FBD357"))
		a.output("ShopPlatform", "Net", ref("NetDBED6B57"))
		a.output("ShopPlatform", "Range", getAtt("NetDBED6B57", "CidrBlock"))
		a.output("ShopEntrance", "Dns", getAtt("Door509367B8", "DNSName"))
		a.containers(func(name string, definition map[string]any) {
			if name == "catalogue" {
				definition["Environment"] = []any{map[string]any{"Name": "SECTION", "Value": value}}
			}
		})
	}
}

func (a templates) output(stack, name string, value any) {
	a[stack]["Outputs"].(map[string]any)[name] = map[string]any{"Value": value}
}

func of(stack, name string) any {
	return map[string]any{"Fn::GetStackOutput": map[string]any{"StackName": stack, "OutputName": name}}
}

// A container's environment has what other resources turned out to be. If that changes,
// the service is replaced, and nothing else.
func TestAttributes(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("slow: it waits for health checks")
	}
	d := &deployment{t: t}
	options := d.options(stateDir(t), shopCommands(t))
	options.Values = map[string]string{"ShopPlatform/NetDBED6B57": "vpc-1", "ShopPlatform/NetDBED6B57.CidrBlock": "10.0.0.0/8"}
	d.begin(options)
	value := joined(of("ShopPlatform", "Word"), of("ShopPlatform", "Name"), of("ShopEntrance", "Dns"), ref("Books8C439C90"), of("ShopPlatform", "Cluster"),
		of("ShopPlatform", "Net"), of("ShopPlatform", "Range"), ref("AWS::Region"), ref("AWS::AccountId"), ref("AWS::Partition"))
	answers := func(want string) {
		t.Helper()
		if got := shopAnswer(t, d.url(80), "GET shop.example /"); got != want {
			t.Errorf("the answer is %q, want %q", got, want)
		}
	}
	d.deploy(shop(t, section(value, "tales")))
	dns := strings.Replace(strings.TrimPrefix(d.url(80), "http://"), "127.0.0.1", "localhost", 1)
	group := ""
	for _, g := range d.Status().Groups {
		if g.Key == "ShopCatalogue/Books8C439C90" {
			group = g.Name
		}
	}
	rest := " /shop/word " + dns + " arn:aws:elasticloadbalancing:local:000000000000:targetgroup/" + group + "/"
	got := shopAnswer(t, d.url(80), "GET shop.example /")
	if !strings.HasPrefix(got, "200 tales"+rest) || !strings.HasSuffix(got, " Machines vpc-1 10.0.0.0/8 local 000000000000 aws GET / wanted") {
		t.Errorf("the answer is %q, want the section to be tales%s…", got, rest)
	}

	before := d.tasks()
	d.deploy(shop(t, section(value, "tales")))
	if after := d.tasks(); !maps.EqualFunc(after, before, slices.Equal) {
		t.Errorf("tasks are %v and were %v, with the same attributes", after, before)
	}
	d.deploy(shop(t, section(value, "poems")))
	answers(strings.Replace(got, "tales", "poems", 1))
	for name, tasks := range d.tasks() {
		if replaced := !slices.Equal(tasks, before[name]); replaced != strings.HasPrefix(name, "CatalogueService") {
			t.Errorf("another value of the parameter replaced tasks of %s: %v", name, replaced)
		}
	}
}

// A parameter's value may refer to other resources. A stack that is rolled back has
// the attributes that it had.
func TestAttributesRollBack(t *testing.T) {
	nightly.Test(t, "it deploys a service that crashes")
	t.Parallel()
	d := start(t, stateDir(t), shopCommands(t))
	breaker := func(a templates) {
		a.resources("AWS::ECS::Service", func(_, _ string, properties map[string]any) {
			properties["DeploymentConfiguration"].(map[string]any)["DeploymentCircuitBreaker"] = map[string]any{"Enable": true, "Rollback": true}
		})
	}
	word := of("ShopPlatform", "Word")
	d.deploy(shop(t, breaker, section(word, joined("of", ref("MachinesE2FBD357")))))
	before := d.tasks()
	d.refuse(shop(t, breaker, section(word, "broken")), "ShopCatalogue", "rolled back")
	if got := shopAnswer(t, d.url(80), "GET shop.example /"); got != "200 of Machines GET / wanted" {
		t.Errorf("the answer is %q, want it to be of the service as it was", got)
	}
	if after := d.tasks(); !maps.EqualFunc(after, before, slices.Equal) {
		t.Errorf("tasks are %v and were %v", after, before)
	}
}

// ownFunction adds a function that no target group names, as CDK does for its custom resources.
func ownFunction(a templates) {
	a["ShopPlatform"]["Resources"].(map[string]any)["Own"] = map[string]any{
		"Type": "AWS::Lambda::Function", "Properties": map[string]any{"Runtime": "nodejs24.x", "Code": map[string]any{"ZipFile": "exports.handler = async () => {}"}},
	}
	a.output("ShopPlatform", "Own", getAtt("Own", "Arn"))
}

// Functions that no target group names are deployed on AWS only: one, and one that the shop has of CDK.
func TestOwnFunctionsDoNotRun(t *testing.T) {
	t.Parallel()
	d := start(t, stateDir(t), shopCommands(t))
	a, err := assembly.Read(shop(t, ownFunction))
	if err != nil {
		t.Fatal(err)
	}
	next := d.Runner.plan(model.Read(a))
	if counts := d.notRun(a, next); counts["AWS::Lambda::Function"] != 2 || counts["AWS::ECS::Service"] != 0 {
		t.Errorf("%v are said not to run here, want two functions", counts)
	}
	for i, plan := range next {
		if err := plan.Check(); err != nil {
			t.Errorf("%T: %v", d.providers[i], err)
		}
	}
}

// What nothing on this machine gives is refused before anything changes, by name and
// place.
func TestAttributesNotGiven(t *testing.T) {
	t.Parallel()
	d := start(t, stateDir(t), shopCommands(t))
	const place = "ShopCatalogue/CatalogueTask7317FF23/Properties.ContainerDefinitions"
	for _, c := range []struct {
		value, parameter any
		want             string
	}{
		{of("ShopPlatform", "Net"), "x", "nothing on this machine stands for ShopPlatform/NetDBED6B57, which is an AWS::EC2::VPC: give a value with --value ShopPlatform/NetDBED6B57=VALUE"},
		{joined("in", of("ShopPlatform", "Net")), "x", "ShopPlatform/NetDBED6B57"},
		{getAtt("Books8C439C90", "LoadBalancerArns"), "x", "ShopCatalogue/Books8C439C90 has no attribute LoadBalancerArns on this machine: give a value with --value ShopCatalogue/Books8C439C90.LoadBalancerArns=VALUE"},
		{of("ShopPlatform", "Word"), ref("NetDBED6B57"), "ShopPlatform/NetDBED6B57"},
		{of("ShopPlatform", "Word"), joined("round", getAtt("Word", "Value")), "refers to itself"},
	} {
		d.refuse(shop(t, section(c.value, c.parameter)), "cannot be run here", place, "SECTION", c.want)
	}
	d.refuse(shop(t, ownFunction, section(of("ShopPlatform", "Own"), "x")), "cannot be run here", place, "SECTION",
		"nothing on this machine stands for ShopPlatform/Own, which is an AWS::Lambda::Function: give a value with --value ShopPlatform/Own.Arn=VALUE")
	d.Runner.options.Values = map[string]string{"ShopPlatform/Net.Arn": "x", "Shop/NetDBED6B57": "y"}
	d.refuse(shop(t), "a value is given for Shop/NetDBED6B57, and the assembly has no resource Shop/NetDBED6B57", "a value is given for ShopPlatform/Net.Arn, and")
	if events := d.told(); len(events) > 0 || len(d.Status().Services) > 0 {
		t.Errorf("something was begun: %v", events)
	}
}
