package review_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cutover/config"
	"cutover/internal/analysis/review"
	"cutover/internal/assembly"
	"cutover/internal/assembly/assemblytest"
	"cutover/internal/listing"
)

// besideShop is an assembly at a position of [assemblytest.Beside], with its list: with further resources in its template, and with
// texts of all files replaced.
func besideShop(t *testing.T, position, resources string, replace ...string) (*assembly.Assembly, config.Deployment) {
	t.Helper()
	dir := t.TempDir()
	assemblytest.Beside(t, dir, position)
	at := filepath.Join(dir, position)
	names, err := filepath.Glob(filepath.Join(at, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		in := string(text)
		if resources != "" && filepath.Base(name) == "dev-Orders.template.json" {
			in = strings.Replace(in, `"Resources": {`, `"Resources": {`+resources+`,`, 1)
		}
		if err := os.WriteFile(name, []byte(strings.NewReplacer(replace...).Replace(in)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a, err := assembly.Read(at)
	if err != nil {
		t.Fatal(err)
	}
	list, err := listing.Read(at)
	if err != nil {
		t.Fatal(err)
	}
	return a, list.Deployment
}

func TestExisting(t *testing.T) {
	type first struct {
		assembly *assembly.Assembly
		list     config.Deployment
	}
	firsts, whole := map[string]first{}, t // most changes begin with the same assembly
	const (
		elb      = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:"
		balancer = elb + "loadbalancer/app/entrance/0123456789abcdef"
		listener = elb + "listener/app/entrance/0123456789abcdef/1111111111111111"
		shop     = elb + "targetgroup/shop/2222222222222222"
		remove   = " Nothing but its owner may: remove it from the template"
		other    = elb + "listener/app/entrance/0123456789abcdef/9999999999999999"
		group    = elb + "targetgroup/shop-two/9999999999999999"
	)
	resource := func(kind, properties string) string {
		return `"More": {"Type": "AWS::` + kind + `", "Properties": {` + properties + `}}`
	}
	rule := func(priority string) string {
		return resource("ElasticLoadBalancingV2::ListenerRule", `"ListenerArn": {"Ref": "Listener"}, "Priority": `+priority+`, "Conditions": [{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/more"]}}], "Actions": [{"Type": "forward", "TargetGroupArn": {"Ref": "Group"}}]`)
	}
	for _, test := range []struct {
		name    string
		at      string // before → after; parallel → parallel if it is empty
		more    string // resources after
		was, is []string
		want    []string
	}{
		{"nothing", "", "", nil, nil, nil},
		{"to parallel", "monolith parallel", "", nil, nil, nil},
		{"to a share", "parallel share", "", nil, nil, nil},
		{"to switched", "share switched", "", nil, nil, nil},
		{"and back", "switched monolith", "", nil, nil, nil},
		{"a service that uses all of it", "", resource("ECS::Service", `"Cluster": "dev", "CapacityProviderStrategy": [{"CapacityProvider": "instances"}],
			"NetworkConfiguration": {"AwsvpcConfiguration": {"Subnets": ["subnet-0a", "subnet-0b"], "SecurityGroups": ["sg-0b"]}}`), nil, nil, nil},
		{"a group that admits another", "", resource("EC2::SecurityGroup", `"VpcId": "vpc-0a", "SecurityGroupIngress": [{"SourceSecurityGroupId": "sg-0a", "IpProtocol": "tcp"}]`), nil, nil, nil},
		{"a rule of its own group", "", resource("EC2::SecurityGroupIngress", `"GroupId": {"Ref": "Group"}, "SourceSecurityGroupId": "sg-0a", "IpProtocol": "tcp"`), nil, nil, nil},
		{"a variable", "", resource("ECS::TaskDefinition", `"ContainerDefinitions": [{"Name": "a", "Environment": [{"Name": "LISTENER", "Value": "`+listener+`"}]}]`), nil, nil, nil},
		{"a database in its subnets", "", resource("RDS::DBSubnetGroup", `"SubnetIds": ["subnet-0a", "subnet-0b"]`), nil, nil, nil},

		{"into its group", "", resource("EC2::SecurityGroupIngress", `"GroupId": "sg-0a", "SourceSecurityGroupId": {"Ref": "Group"}, "IpProtocol": "tcp"`), nil, nil,
			[]string{"TOUCHES S/More adds a rule to the security group sg-0a, which exists already. Admit it in a group of the deployment, or let its owner add the rule"}},
		{"out of its group", "", resource("EC2::SecurityGroupEgress", `"GroupId": {"Fn::Join": ["-", ["sg", "0a"]]}, "DestinationSecurityGroupId": {"Ref": "Group"}, "IpProtocol": "tcp"`), nil, nil,
			[]string{"TOUCHES S/More adds a rule to the security group sg-0a, which exists already. Admit it in a group of the deployment, or let its owner add the rule"}},
		{"a certificate", "", resource("ElasticLoadBalancingV2::ListenerCertificate", `"ListenerArn": {"Ref": "Listener"}, "Certificates": []`), nil, nil,
			[]string{"TOUCHES S/More changes the listener " + listener + ", which exists already, by ListenerArn of a resource of type AWS::ElasticLoadBalancingV2::ListenerCertificate." + remove}},
		{"a listener", "", resource("ElasticLoadBalancingV2::Listener", `"LoadBalancerArn": "`+balancer+`", "Port": 81, "Protocol": "HTTP", "DefaultActions": [{"Type": "forward", "TargetGroupArn": {"Ref": "Group"}}]`), nil, nil,
			[]string{"TOUCHES S/More adds a listener to the load balancer " + balancer + ", which exists already. Put rules on a listener that it has, with listenerArn"}},
		{"a route", "", resource("EC2::Route", `"RouteTableId": "rtb-0a", "DestinationCidrBlock": "0.0.0.0/0"`), nil, nil,
			[]string{"TOUCHES S/More changes the route table rtb-0a, which exists already, by RouteTableId of a resource of type AWS::EC2::Route." + remove}},
		{"another table", "", resource("EC2::SubnetRouteTableAssociation", `"RouteTableId": {"Ref": "Group"}, "SubnetId": "subnet-0b"`), nil, nil,
			[]string{"TOUCHES S/More changes the subnet subnet-0b, which exists already, by SubnetId of a resource of type AWS::EC2::SubnetRouteTableAssociation." + remove}},
		{"capacity providers", "", resource("ECS::ClusterCapacityProviderAssociations", `"Cluster": "dev", "CapacityProviders": []`), nil, nil,
			[]string{"TOUCHES S/More replaces the capacity providers of the cluster dev, which exists already: services of others may find no capacity. Remove it from the template"}},
		{"the cluster", "", resource("ECS::Cluster", `"ClusterName": "dev"`), nil, nil,
			[]string{"TOUCHES S/More is called dev, as the cluster that exists already: the deployment fails, or an import takes the cluster over. Remove it from the template"}},
		{"another cluster", "", resource("ECS::Cluster", `"ClusterName": "own"`), nil, nil, nil},
		{"the load balancer", "", resource("ElasticLoadBalancingV2::LoadBalancer", `"Name": "entrance"`), nil, nil,
			[]string{"TOUCHES S/More is called entrance, as one that exists already: the deployment fails, or an import takes it over. Give it another name"}},
		{"a target group", "", "", nil, []string{`"Name": "orders", "Protocol"`, `"Name": "reports", "Protocol"`},
			[]string{"TOUCHES S/Group is called reports, as one that exists already: the deployment fails, or an import takes it over. Give it another name"}},
		{"a right", "", resource("IAM::Policy", `"PolicyDocument": {"Statement": [{"Action": "elasticloadbalancing:RegisterTargets", "Resource": "`+shop+`"}]}`), nil, nil,
			[]string{"TOUCHES S/More changes the target group " + shop + ", which exists already, by PolicyDocument.Statement.Resource of a resource of type AWS::IAM::Policy." + remove}},
		{"the priority of another", "", "", nil, []string{`"Priority": 1500`, `"Priority": 20`}, []string{
			"TOUCHES S/Rule has priority 20, which the rule RuleHttp80Priority20 has that exists already: AWS refuses it. Take an Order, or rulePriorities, that no rule of others has",
			"TOUCHES S/Rule has priority 20, outside of rulePriorities 1000-1999: others may have rules there, or make them. Keep rules within"}},
		{"below the window", "", rule("999"), nil, nil, []string{"TOUCHES S/More has priority 999, outside of rulePriorities 1000-1999: others may have rules there, or make them. Keep rules within"}},
		{"the first of the window", "", rule("1000"), nil, nil, nil},
		{"the last of the window", "", rule("1999"), nil, nil, nil},
		{"above the window", "", rule("2000"), nil, nil, []string{"TOUCHES S/More has priority 2000, outside of rulePriorities 1000-1999: others may have rules there, or make them. Keep rules within"}},

		{"another listener", "", "", nil, []string{`"Default": "` + listener, `"Default": "` + other}, []string{
			"TOUCHES listenerArn is " + other + " instead of " + listener + ": the rules are made there and deleted here. Clients of the old listener meet the monolith again, also for switched services. First take each service back to parallel"}},
		{"no listener", "", "", nil, []string{`{"Ref": "Listener"}`, `{"Ref": "Group"}`}, []string{
			"TOUCHES listenerArn goes: the rules on " + listener + " are deleted, and its own rules give the requests of all services to the monolith, also those of switched services. First take each service back to monolith"}},
		{"another monolith", "", "", nil, []string{`"existing": "` + shop, `"existing": "` + group}, []string{
			"TOUCHES monolithTargetGroupArn is " + group + " instead of " + shop + ": what rules of the deployment give to the monolith, such as the rest of a share, goes there at once. Rules of others stay as they are, so two monoliths may answer. First take each service to parallel or switched, and let the owner of the listener change its rules"}},
		{"a wider window", "", "", nil, []string{`"Last": 1999`, `"Last": 2999`}, []string{
			"TOUCHES rulePriorities is 1000-2999 instead of 1000-1999: each rule gets its new priority in place, one after the other, and goes on taking its requests. No rule of others is passed on the way. Keep the window while services have traffic"}},
		{"a window behind others", "", "", nil, []string{`"First": 1000, "Last": 1999`, `"First": 4000, "Last": 4999`, `"Priority": 1500`, `"Priority": 4500`}, []string{
			"TOUCHES rulePriorities is 4000-4999 instead of 1000-1999: each rule gets its new priority in place, one after the other, and goes on taking its requests. On the way they pass rules of others, with priority 3000: requests that both take are answered by another one from then on. Keep the window while services have traffic"}},

		{"others have changed a rule", "", "", nil, []string{`"/admin*"`, `"/admin*", "/staff*"`}, []string{
			"existing.template.json is adopted anew: rule 10 of HTTP:80: it was /admin* → 403, and is /admin* or /staff* → 403"}},
		{"others have a health check", "", "", nil, []string{`"HealthCheckPath": "/ping",
				"HealthCheckIntervalSeconds": 5, "HealthCheckTimeoutSeconds": 4, "Matcher": {"HttpCode": "200-299"}}},`, `"HealthCheckPath": "/alive"}},`}, []string{
			"existing.template.json is adopted anew: target group shop: health check interval seconds was 5, and is no more",
			"existing.template.json is adopted anew: target group shop: health check path was /ping, is /alive",
			"existing.template.json is adopted anew: target group shop: health check timeout seconds was 4, and is no more",
			"existing.template.json is adopted anew: target group shop: matcher was 200-299, and is no more"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			from, to, given := strings.Cut(test.at, " ")
			if !given {
				from, to = "parallel", "parallel"
			}
			key := from + strings.Join(test.was, "\x00")
			if _, read := firsts[key]; !read {
				a, d := besideShop(whole, from, "", test.was...)
				firsts[key] = first{a, d}
			}
			was, before := firsts[key].assembly, firsts[key].list
			is, after := besideShop(t, to, test.more, test.is...)
			if diff := cmp.Diff(test.want, existingLines(t, was, is, before, after)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// existingLines are the changes of two pairs alike.
func existingLines(t *testing.T, was, is *assembly.Assembly, before, after config.Deployment) (lines []string) {
	t.Helper()
	for _, c := range review.Existing([]review.Pair{{Name: "parallel", Before: was, After: is}, {Name: "switched", Before: was, After: is}}, before, after) {
		mark := ""
		if c.Touches {
			mark = "TOUCHES "
		}
		if strings.Join(c.In, " ") != "parallel switched" {
			t.Errorf("%s: in %q", c.Does, c.In)
		}
		lines = append(lines, mark+strings.Replace(c.Of, "dev-Orders/", "S/", 1)+" "+c.Does)
	}
	return lines
}

// What touches something and stays is no change. What goes has left its mark.
func TestExistingThatWasTouched(t *testing.T) {
	const ingress = `"More": {"Type": "AWS::EC2::SecurityGroupIngress", "Properties": {"GroupId": "sg-0a", "IpProtocol": "tcp", "FromPort": 80}}`
	was, before := besideShop(t, "parallel", ingress)
	again, _ := besideShop(t, "switched", ingress)
	changed, _ := besideShop(t, "parallel", ingress, `"FromPort": 80`, `"FromPort": 81`)
	without, _ := besideShop(t, "parallel", "")
	const does = "TOUCHES S/More adds a rule to the security group sg-0a, which exists already. Admit it in a group of the deployment, or let its owner add the rule"
	for name, test := range map[string]struct {
		is   *assembly.Assembly
		want []string
	}{
		"stays": {again, nil}, "changes": {changed, []string{does}}, "goes": {without, []string{does + ". It goes with this change, and what it has changed does not come back by itself"}},
	} {
		if diff := cmp.Diff(test.want, existingLines(t, was, test.is, before, before)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// The description comes and goes with a file. Without parts that exist already there is nothing to say, whatever a template has.
func TestExistingIsDescribed(t *testing.T) {
	with, list := besideShop(t, "parallel", "")
	if err := os.Remove(filepath.Join(with.Dir, assembly.ExistingFile)); err != nil {
		t.Fatal(err)
	}
	without, err := assembly.Read(with.Dir)
	if err != nil {
		t.Fatal(err)
	}
	alone := stores(t, false, `"G": {"Type": "AWS::EC2::SecurityGroupIngress", "Properties": {"GroupId": "sg-0a"}}`)
	for _, test := range []struct {
		name    string
		was, is *assembly.Assembly
		want    []string
	}{
		{"comes", without, with, []string{"existing.template.json describes what exists already for the first time"}},
		{"goes", with, without, []string{"existing.template.json is not there any more: the local target and reviews know nothing of rules of others. Write it anew with cutover adopt"}},
		{"never was", without, without, nil},
		{"nothing exists", stores(t, false, ""), alone, nil},
	} {
		if diff := cmp.Diff(test.want, existingLines(t, test.was, test.is, list, list)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

// What touches something that exists already stands above the rest, and is a finding. What was adopted anew is none.
func TestReportOfExisting(t *testing.T) {
	r := &review.Report{Phases: []string{"parallel"}, Deployment: "parallel", Existing: []review.ExistingChange{
		{In: []string{"parallel"}, Of: "dev-Routing/Ingress", Does: "adds a rule", Touches: true},
		{In: []string{"parallel"}, Of: assembly.ExistingFile, Does: "is adopted anew: rule 10* is new"},
	}}
	text := r.Markdown()
	for _, part := range []string{
		"### This touches what exists already\n\n- `dev-Routing/Ingress` **adds a rule** (in all phases)\n",
		"- **Something is touched that exists already, and is not the deployment's.**\n",
		"### What exists already\n\n- `existing.template.json` is adopted anew: rule 10\\* is new (in all phases)\n",
	} {
		if !strings.Contains(text, part) {
			t.Errorf("it does not say %q:\n%s", part, text)
		}
	}
	if strings.Index(text, "This touches") > strings.Index(text, "Nothing changes") || r.Found("existing") != 1 {
		t.Errorf("something stands above it, or %d are found:\n%s", r.Found("existing"), text)
	}
	if r.Existing = nil; strings.Contains(r.Markdown(), "exist") || r.Found("existing") != 0 {
		t.Error("nothing changes, and it says so")
	}
}
