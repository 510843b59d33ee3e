package stacks_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"cutover/config"
	"cutover/internal/analysis/controls"
	"cutover/internal/analysis/cost"
	"cutover/internal/analysis/criticalpath"
	"cutover/internal/analysis/review"
	"cutover/internal/assembly"
	"cutover/internal/local/alb"
	"cutover/internal/model"
	"cutover/internal/nightly"
	"cutover/internal/step"
)

// TestAnalysesOfExisting: what is deployed beside a load balancer that exists meets each control that is about it, has a price, and
// only the load balancer reaches its tasks. cdk-nag looks at each synthesis, and fails it.
func TestAnalysesOfExisting(t *testing.T) {
	a := synthDeployment(t, besideShop(), existingSettings(settings{"phase": "orders=switched,catalog=10%"}))
	m := model.Read(a)
	equal(t, "types that the table says nothing about", []string(nil), controls.Unlisted(m))
	for _, control := range controls.All {
		for _, finding := range control.Check(m) {
			// Of what exists already there is nothing in the templates.
			if finding.Resource != "" && control.Setting == "" {
				t.Errorf("%s: %s", control.ID, finding)
			}
		}
	}
	estimates, err := cost.Read(m)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "without a price", []string(nil), estimates[0].Unpriced)
	var items []string
	for _, line := range estimates[0].Lines {
		items = append(items, line.Item)
	}
	equal(t, "what is paid for", []string{"1 Fargate task of 0.25 vCPU, 0.5 GB", "1 dashboard"}, items) // and nothing of the cluster and the load balancer

	i := isolated(t, a)
	equal(t, "too wide", []string(nil), i.TooWide())
	var to []string
	for _, reach := range i.Reaches {
		if !strings.HasSuffix(reach.To, "the internet") {
			to = append(to, reach.String())
		}
	}
	equal(t, "who reaches whom", []string{
		"the security group sg-0a1b2c3d → tasks of catalog: tcp 3000–3000",
		"the security group sg-0a1b2c3d → tasks of orders-fargate: tcp 3000–3000",
	}, to)

	joined := func(service string) string {
		return "Tasks of " + service + " also have the security group sg-1a1b2c3d, which exists already. Whom it admits, and who admits it, is not known here."
	}
	equal(t, "groups that exist already", []string{joined("catalog"), joined("orders-fargate")}, i.Joined)

	// A step of one service waits for nothing of the other one.
	before := synthDeployment(t, besideShop(), existingSettings(settings{"phase": "orders=switched,catalog=parallel"}))
	for name, from := range map[string]*assembly.Assembly{"first": nil, "step": before} {
		p, err := criticalpath.Read(from, a)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, name+" deployment, not known", 0, len(p.Unknown))
		if p.Longest.Stacks == 0 {
			t.Errorf("%s deployment: %+v", name, p.Longest)
		}
	}
}

// loaded is a deployment as synthesis lists it, and its position.
func loaded(t *testing.T, d config.Deployment, change settings) (config.Deployment, review.Side) {
	t.Helper()
	full, s, err := config.Load(d, cdkContext(t, change), func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	return full, review.Side{Migration: full.Migration(), At: s.Position}
}

// TestReviewOfExisting: a step tells where the traffic goes, and touches nothing that exists already. The other listener does.
func TestReviewOfExisting(t *testing.T) {
	nightly.Test(t, "it synthesizes four positions")
	const start = "orders=parallel,catalog=monolith"
	places := func(phase string) settings { return existingSettings(settings{"phase": phase}) }
	moved := places("orders=10%,catalog=monolith")
	moved["rulePriorities"] = "300-399"
	for _, test := range []struct {
		from, to settings
		want     string
		existing []string
	}{
		{places(start), places("orders=10%,catalog=monolith"), "- orders: from none to 10 % of its traffic; the way back is one step", nil},
		{places("orders=10%,catalog=monolith"), places("orders=switched,catalog=monolith"), "- orders: from 10 % to all of its traffic; the way back is one step", nil},
		{places("orders=switched,catalog=monolith"), places(start), "- orders: ", nil},
		{places("orders=10%,catalog=monolith"), moved, "Each service stays in its place", []string{
			"rulePriorities is 300-399 instead of 100-199: each rule gets its new priority in place, one after the other, and goes on taking its requests. No rule of others is passed on the way. Keep the window while services have traffic",
		}},
	} {
		name := fmt.Sprint(test.from["phase"], " → ", test.to["phase"])
		before, one := loaded(t, besideShop(), test.from)
		after, other := loaded(t, besideShop(), test.to)
		pair := review.Pair{Name: name, Before: synthDeployment(t, besideShop(), test.from), After: synthDeployment(t, besideShop(), test.to)}
		pairs := []review.Pair{pair}
		r := &review.Report{
			Deployment: name, Phases: []string{}, Move: review.NewMove(one, other, pair, false, step.Changes(other.Migration, one.At, other.At)),
			Existing: review.Existing(pairs, before, after), Refused: review.Refused(pairs), Data: review.Losses(pairs), Messages: review.Messages(pairs),
			Clashes: review.Clashes(pairs, one.Migration, other.Migration), Answers: review.Answers(one, other, nil), Settings: review.Settings(one.Migration, other.Migration),
		}
		var err error
		if r.Costs, err = review.Costs(pairs); err != nil {
			t.Fatal(err)
		}
		if r.Tasks, err = review.Tasks(pair); err != nil {
			t.Fatal(err)
		}
		text := r.Markdown()
		if !strings.Contains(text, test.want) {
			t.Errorf("%s: it does not say %q:\n%s", name, test.want, text)
		}
		var got []string
		for _, c := range r.Existing {
			got = append(got, c.Of+" "+c.Does)
		}
		equal(t, name+": what exists already", test.existing, got)
		equal(t, name+": findings", len(test.existing), r.Found("existing"))
		if n := r.Found("turn") + r.Found("refused") + r.Found("data") + len(r.Answers); n > 0 {
			t.Errorf("%s: %d other findings:\n%s", name, n, text)
		}
	}
}

// inExisting shortens what exists already, and metricsOf what shows metrics of it.
var (
	inExisting = strings.NewReplacer(existingListener, "LISTENER", existingGroup, "GROUP", "arn:aws:elasticloadbalancing:eu-central-1:123456789012:", "")
	metricsOf  = regexp.MustCompile(`Dashboard9E4231ED Properties.*`)
)

// TestEachSettingOfExisting states what each setting changes in the templates, and so that it changes nothing else.
func TestEachSettingOfExisting(t *testing.T) {
	nightly.Test(t, "it synthesizes each setting twice")
	own := config.Deployment{Monolith: besideShop().Services[0], Services: besideShop().Services[1:]}
	own.Monolith.Order = 0
	base := existingSettings(settings{"phase": "orders=switched,catalog=10%"})
	alone := settings{"phase": "catalog=10%", "accessLogs": "on"}
	const other = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:listener/app/other/0123456789abcdef/fedcba9876543210"
	const otherGroup = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/other/00112233445566ff"
	for _, test := range []struct {
		name     string
		d        config.Deployment
		from, to settings
		want     []string
	}{
		{"listenerArn", besideShop(), base, settings{"listenerArn": other}, []string{
			"~ dev-Routing CatalogServiceRuleA80BAE46 Properties.ListenerArn LISTENER -> listener/app/other/0123456789abcdef/fedcba9876543210",
			"~ dev-Routing OrdersServiceRule38C845FC Properties.ListenerArn LISTENER -> listener/app/other/0123456789abcdef/fedcba9876543210",
			"~ dev-Watch dashboard",
		}},
		{"monolithTargetGroupArn", besideShop(), base, settings{"monolithTargetGroupArn": otherGroup}, []string{
			"~ dev-Routing CatalogServiceRuleA80BAE46 Properties.Actions[0].ForwardConfig.TargetGroups[1].TargetGroupArn GROUP -> targetgroup/other/00112233445566ff",
		}},
		{"rulePriorities", besideShop(), base, settings{"rulePriorities": "300-399"}, []string{
			"~ dev-Routing CatalogServiceRuleA80BAE46 Properties.Priority 169 -> 369",
			"~ dev-Routing OrdersServiceRule38C845FC Properties.Priority 159 -> 359",
		}},
		{"vpcId", besideShop(), base, settings{"vpcId": "vpc-1a1b2c3d"}, []string{
			"~ dev-Catalog SecurityGroupDD263621 Properties.VpcId vpc-0a1b2c3d -> vpc-1a1b2c3d",
			"~ dev-Orders FargateSecurityGroup4A64555C Properties.VpcId vpc-0a1b2c3d -> vpc-1a1b2c3d",
			"~ dev-Routing Catalog742F25FD Properties.VpcId vpc-0a1b2c3d -> vpc-1a1b2c3d",
			"~ dev-Routing OrdersFargate64363176 Properties.VpcId vpc-0a1b2c3d -> vpc-1a1b2c3d",
		}},
		{"subnetIds", besideShop(), base, settings{"subnetIds": "subnet-0a1b2c3d,subnet-2a1b2c3d"}, []string{
			"~ dev-Catalog service NetworkConfiguration.AwsvpcConfiguration.Subnets[1] subnet-1a1b2c3d -> subnet-2a1b2c3d",
			"~ dev-Orders FargateServiceAC2B3B85 Properties.NetworkConfiguration.AwsvpcConfiguration.Subnets[1] subnet-1a1b2c3d -> subnet-2a1b2c3d",
		}},
		{"loadBalancerSecurityGroupIds", besideShop(), base, settings{"loadBalancerSecurityGroupIds": "sg-0a1b2c3d,sg-2a1b2c3d"}, []string{
			"~ dev-Catalog SecurityGroupDD263621 Properties.SecurityGroupIngress [map[Description:Load balancer FromPort:3000 IpProtocol:tcp SourceSecurityGroupId:sg-0a1b2c3d ToPort:3000]] -> [map[Description:Load balancer FromPort:3000 IpProtocol:tcp SourceSecurityGroupId:sg-0a1b2c3d ToPort:3000] map[Description:Load balancer FromPort:3000 IpProtocol:tcp SourceSecurityGroupId:sg-2a1b2c3d ToPort:3000]]",
			"~ dev-Orders FargateSecurityGroup4A64555C Properties.SecurityGroupIngress [map[Description:Load balancer FromPort:3000 IpProtocol:tcp SourceSecurityGroupId:sg-0a1b2c3d ToPort:3000]] -> [map[Description:Load balancer FromPort:3000 IpProtocol:tcp SourceSecurityGroupId:sg-0a1b2c3d ToPort:3000] map[Description:Load balancer FromPort:3000 IpProtocol:tcp SourceSecurityGroupId:sg-2a1b2c3d ToPort:3000]]",
		}},
		{"taskSecurityGroupIds", besideShop(), base, settings{"taskSecurityGroupIds": "sg-2a1b2c3d"}, []string{
			"~ dev-Catalog service NetworkConfiguration.AwsvpcConfiguration.SecurityGroups[1] sg-1a1b2c3d -> sg-2a1b2c3d",
			"~ dev-Orders FargateServiceAC2B3B85 Properties.NetworkConfiguration.AwsvpcConfiguration.SecurityGroups[1] sg-1a1b2c3d -> sg-2a1b2c3d",
		}},
		{"clusterName", besideShop(), base, settings{"clusterName": "other"}, []string{
			"~ dev-Catalog service Cluster shop -> other",
			"~ dev-Orders FargateServiceAC2B3B85 Properties.Cluster shop -> other",
			"~ dev-Watch dashboard",
		}},
		{"capacityProvider", besideShop(), base, settings{"capacityProvider": "other"}, []string{
			"~ dev-Catalog service CapacityProviderStrategy[0].CapacityProvider shop-instances -> other",
		}},
		{"hostedZoneId", own, alone, settings{"hostedZoneId": "Z0123456789", "domain": "api.example.com"}, []string{
			"+ dev-Routing DnsRecord AWS::Route53::RecordSet",
			"~ dev-Routing LoadBalancerBE9EEC3A Metadata.cutover:domain <nil> -> api.example.com",
		}},
		{"accessLogsBucket", own, alone, settings{"accessLogsBucket": "team-logs"}, []string{
			"- dev-Routing AccessLogs8B620ECA AWS::S3::Bucket",
			"- dev-Routing AccessLogsPolicyABDC4D2D AWS::S3::BucketPolicy",
			"~ dev-Routing LoadBalancerBE9EEC3A DependsOn [AccessLogsPolicyABDC4D2D] -> <nil>",
			"~ dev-Routing LoadBalancerBE9EEC3A Properties.LoadBalancerAttributes[5].Value map[Ref:AccessLogs8B620ECA] -> team-logs",
			"~ dev-Routing LoadBalancerHttpF4A6AC3E DependsOn [AccessLogsPolicyABDC4D2D] -> <nil>",
		}},
	} {
		var got []string
		changed := synthQuickly(t, test.d, with(test.from, test.to))
		if _, err := alb.Read(model.Read(changed)); err != nil && test.from["listenerArn"] == nil { // what exists is not described here
			t.Errorf("%s does not run on this machine: %v", test.name, err)
		}
		for _, line := range assembly.Changes(synthQuickly(t, test.d, test.from), changed) {
			if fields := strings.Fields(line); !slices.Contains([]string{"Description", "Parameters"}, fields[2]) {
				line = inExisting.Replace(metricsOf.ReplaceAllString(inShort.Replace(line), "dashboard"))
				if !slices.Contains(got, line) {
					got = append(got, line)
				}
			}
		}
		equal(t, test.name, test.want, got)
	}
}
