package existing

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cutover/config"
	"cutover/internal/assembly"
	"cutover/internal/golden"
	"cutover/internal/model"
	"cutover/internal/rules"
)

// edit replaces a text in a saved file. Without a text, it removes the file.
type edit struct{ file, old, new string }

// saved returns a directory with the saved account of the shop, edited.
func saved(t *testing.T, edits ...edit) Dir {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/shop")); err != nil {
		t.Fatal(err)
	}
	for _, e := range edits {
		file := filepath.Join(dir, e.file+".json")
		if e.old == "" {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), e.old) {
			t.Fatalf("%s does not have %q", e.file, e.old)
		}
		if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(text), e.old, e.new)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return Dir(dir)
}

// services are a list with these paths, by the names of the services.
func services(paths ...string) *Needs {
	d := config.Deployment{KeepRest: true, Monolith: config.Service{Name: "shop"}}
	for i, path := range paths {
		d.Services = append(d.Services, config.Service{Name: fmt.Sprintf("s%d", i+1), Paths: []string{path}, Order: 10 * (i + 1), Tasks: 1})
	}
	return NeedsOf(d, "")
}

func lookAt(t *testing.T, source Source, choice Choice, needs *Needs) Report {
	t.Helper()
	if choice.LoadBalancer == "" {
		choice.LoadBalancer = "shop"
	}
	account, err := Read(t.Context(), source, choice)
	if err != nil {
		t.Fatal(err)
	}
	return Look(account, choice, needs)
}

func lines(r Report) string {
	var b strings.Builder
	for _, c := range r.Checks {
		fmt.Fprintf(&b, "%s | %s | %s | %s\n", c.State, c.Subject, c.Found, c.Do)
	}
	return b.String()
}

// TestFits: an account that fits, with all that is found there.
func TestFits(t *testing.T) {
	report := lookAt(t, saved(t), Choice{}, services("/api/users*"))
	if !report.Fits() {
		t.Errorf("it does not fit:\n%s", lines(report))
	}
	var b strings.Builder
	b.WriteString(lines(report) + "\n")
	for _, s := range report.Settings {
		fmt.Fprintf(&b, "%s=%s\n", s.Key, s.Value)
	}
	golden.Compare(t, "testdata/fits.txt", []byte(b.String()))
	golden.Compare(t, "testdata/fits.template.json", report.Template.Text())
}

// TestChecks: what does not fit, or is to be minded, is found, said, and said what to do about.
func TestChecks(t *testing.T) {
	const shop, web = "loadbalancer/app/shop/", "targetgroup/shop-web/73e2d6bc24d8a067"
	public := "subnet-0aaaaaaaaaaaaaa01,subnet-0bbbbbbbbbbbbbb01"
	for _, test := range []struct {
		name   string
		edits  []edit
		choice Choice
		needs  *Needs
		state  State
		want   string // "subject | found | do", where each may be the beginning
	}{
		{name: "no such load balancer", choice: Choice{LoadBalancer: "shp"}, state: Wrong,
			want: `load balancer | shp | there is no load balancer "shp" in this account and region: choose from shop, tcp`},
		{name: "load balancer by its ARN", choice: Choice{LoadBalancer: "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/shop/50dc6c495c0c9188"}, state: OK,
			want: "load balancer shop | internet-facing, active"},
		{name: "network load balancer", choice: Choice{LoadBalancer: "tcp"}, state: Wrong,
			want: "load balancer tcp | type network | only an Application Load Balancer has rules"},
		{name: "load balancer that is not there yet", edits: []edit{{"describe-load-balancers", `"Code": "active"`, `"Code": "provisioning"`}}, state: Wrong,
			want: "load balancer shop | internet-facing, provisioning | wait until"},
		{name: "load balancer that AWS cannot scale", edits: []edit{{"describe-load-balancers", `"Code": "active"`, `"Code": "active_impaired"`}}, state: Note,
			want: "load balancer shop | internet-facing, active_impaired | it routes"},
		{name: "long idle timeout", edits: []edit{{"describe-load-balancer-attributes", `"Value": "60"`, `"Value": "400"`}}, state: Note,
			want: "idle timeout | 400 s | let services keep idle connections longer than 400 s"},
		{name: "idle timeout not saved", edits: []edit{{file: "describe-load-balancer-attributes"}}, state: Note, want: "idle timeout | not known"},

		{name: "no listener", edits: []edit{{"describe-listeners", shop, "loadbalancer/app/other/"}}, state: Wrong,
			want: "listener | 0 listeners | load balancer shop has no listener"},
		{name: "no such listener", choice: Choice{Listener: "8443"}, state: Wrong,
			want: "listener | 8443 | load balancer shop has no such listener: choose from HTTP:80, HTTPS:443"},
		{name: "which listener", edits: []edit{{"describe-listeners", `"Port": 443`, `"Port": 8443`}}, state: Wrong,
			want: "listener | 2 listeners | there are several: choose one of HTTP:80, HTTPS:8443"},
		{name: "listener that logs in", edits: []edit{{"describe-listeners", `"Type": "forward",`, `"Type": "authenticate-oidc",`}}, choice: Choice{Monolith: "shop-web"}, state: Wrong,
			want: "listener HTTPS:443 | everything else → authenticate-oidc | rules of Cutover forward without this login"},
		{name: "listener that redirects", choice: Choice{Listener: "80", Monolith: "shop-web"}, state: Note,
			want: "listener HTTP:80 | everything else → 301 https://#{host}:443/#{path}?#{query} | what no rule takes is redirected"},
		{name: "mutual TLS", edits: []edit{{"describe-listeners", `"Mode": "off"`, `"Mode": "verify"`}}, state: Note,
			want: "mutual TLS | verify | services get the client's certificate in headers"},
		{name: "certificate of another region", edits: []edit{{"describe-listeners", "acm:eu-central-1", "acm:us-east-1"}}, state: Wrong,
			want: "certificate | in us-east-1 | the listener is in eu-central-1"},
		{name: "certificate of another account", edits: []edit{{"describe-listeners", "acm:eu-central-1:123456789012", "acm:eu-central-1:210987654321"}}, state: Wrong,
			want: "certificate | in account 210987654321 | the listener is in account 123456789012"},
		{name: "certificate of IAM", edits: []edit{{"describe-listeners", "acm:eu-central-1:123456789012:certificate/", "iam::123456789012:server-certificate/"}}, state: Wrong,
			want: "certificate | arn:aws:iam::123456789012:server-certificate/12345678-1234-1234-1234-123456789012 | it is not one of ACM"},
		{name: "no certificate", edits: []edit{{"describe-listeners", `"Certificates"`, `"Other"`}}, state: Wrong, want: "certificate | none | HTTPS:443 needs a certificate"},

		{name: "no monolith", choice: Choice{Listener: "80"}, state: Wrong,
			want: "monolith | default action: 301 https://#{host}:443/#{path}?#{query} | the default action of HTTP:80 forwards to no target group: name the monolith's with --monolith NAME: choose from admin, legacy, shop-web"},
		{name: "which monolith", edits: []edit{{"describe-listeners", `"Weight": 1`, `"Weight": 1}, {"TargetGroupArn": "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/admin/6d0ecf831eec9f09", "Weight": 1`}}, state: Wrong,
			want: "monolith | default action: shop-web 1 and admin 1 | the default action of HTTPS:443 has several target groups: choose one of admin, shop-web"},
		{name: "no such monolith", choice: Choice{Monolith: "web"}, state: Wrong,
			want: `monolith | web | there is no target group "web" in this account and region: choose from admin, elsewhere, legacy, shop-web`},
		{name: "target group of a function", choice: Choice{Monolith: "legacy"}, state: Wrong, want: "target group legacy | no protocol, type lambda, in no VPC | the monolith has to be of type instance or ip"},
		{name: "target group of a load balancer", edits: []edit{{"describe-target-groups", `"TargetType": "ip"`, `"TargetType": "alb"`}}, state: Wrong,
			want: "target group shop-web | HTTP, type alb, in vpc-0a1b2c3d4e5f60718 | the monolith has to be"},
		{name: "target group of gRPC", edits: []edit{{"describe-target-groups", `"ProtocolVersion": "HTTP1"`, `"ProtocolVersion": "GRPC"`}}, state: Wrong,
			want: "target group shop-web | GRPC, type ip, in vpc-0a1b2c3d4e5f60718 | services speak HTTP/1.1"},
		{name: "target group of another VPC", choice: Choice{Monolith: "elsewhere"}, state: Wrong,
			want: "target group elsewhere | HTTP, type ip, in vpc-0fffffffffffffff0 | the load balancer is in vpc-0a1b2c3d4e5f60718"},
		{name: "target group that is not attached", edits: []edit{{"describe-target-groups", shop, "loadbalancer/app/other/"}}, state: Wrong,
			want: "target group shop-web | HTTP, type ip, in vpc-0a1b2c3d4e5f60718, not attached to shop | no listener of shop forwards to it"},
		{name: "monolith that is down", edits: []edit{{"describe-target-health", `"State": "healthy"`, `"State": "unhealthy"`}}, state: Note,
			want: "monolith | service shop-web of ECS, 0 of 2 targets healthy | nothing answers for the monolith"},
		{name: "targets not saved", edits: []edit{{file: "describe-target-health"}}, state: Note, want: "monolith | targets not known | save `aws elbv2 describe-target-health"},
		{name: "monolith outside of ECS", edits: []edit{{"describe-services", web, "targetgroup/other/1"}}, state: OK, want: "monolith | 2 of 2 targets healthy"},

		{name: "malformed window", choice: Choice{Priorities: "200"}, state: Wrong, want: "priorities | 200 | it is no window of priorities from 1 to 50000"},
		{name: "window the wrong way round", choice: Choice{Priorities: "299-200"}, state: Wrong, want: "priorities | 299-200 | it is no window"},
		{name: "window behind the last priority", choice: Choice{Priorities: "49990-50001"}, state: Wrong, want: "priorities | 49990-50001 | it is no window"},
		{name: "window that is taken", choice: Choice{Priorities: "250-349"}, state: Wrong,
			want: "priorities | 250-349 has rules of others: 300 (/api/* → shop-web 9 and legacy 1) | choose a window without rules of others"},
		{name: "window that is too small", choice: Choice{Priorities: "100-101"}, needs: services("/a*", "/b*", "/c*"), state: Wrong,
			want: "priorities | 100-101 has room for orders up to 1, two priorities for each | the services have orders up to 30"},
		{name: "window behind the monolith's rule", choice: Choice{Priorities: "400-499"}, needs: services("/api/users*"), state: Wrong,
			want: "rules of others | rule 300: /api/* → shop-web 9 and legacy 1 | it comes before the window 400-499, so the monolith keeps requests of s1 (/api/users*)"},
		{name: "rule that takes all of a path", needs: services("/teapot"), state: Wrong,
			want: "rules of others | rule 20: /teapot → 418 | it takes all requests of s1 (/teapot)"},
		{name: "rule that goes on taking a part", needs: services("/*"), state: OK,
			want: "rules of others | those with priority 10, 20, 50 go on taking a part"},
		{name: "rule that would lose a part", choice: Choice{Priorities: "11-15"}, needs: services("/tea*"), state: Wrong,
			want: "rules of others | rule 20: /teapot → 418 | it comes behind the window 11-15, so s1 would take its requests"},
		{name: "rule that logs in", edits: []edit{{"describe-rules-443", `"Order": 1,
                    "ForwardConfig": {
                        "TargetGroups": [
                            {
                                "TargetGroupArn": "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/shop-web/73e2d6bc24d8a067",
                                "Weight": 9`, `"Order": 2, "ForwardConfig": {"TargetGroups": [{
                                "TargetGroupArn": "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/shop-web/73e2d6bc24d8a067", "Weight": 9`},
			{"describe-rules-443", `"Actions": [
                {
                    "Type": "forward",
                    "Order": 2`, `"Actions": [{"Type": "authenticate-cognito", "Order": 1, "AuthenticateCognitoConfig": {"UserPoolArn": "x"}}, {"Type": "forward", "Order": 2`}},
			needs: services("/api/users*"), state: Wrong,
			want: "rules of others | rule 300: /api/* → authenticate-cognito, shop-web 9 and legacy 1 | rules of Cutover forward without this login"},
		{name: "no window before the monolith's rule", edits: []edit{{"describe-rules-443", `"Priority": "300"`, `"Priority": "60"`}}, needs: services("/api/users*"), state: Wrong,
			want: "priorities | no 100 that are free behind rule 10 (host admin.example.com → admin) before rule 60 (/api/* → shop-web 9 and legacy 1) | the rules of the services have to stand there: give these rules other priorities, or a smaller window with --priorities, as in --priorities 11-59"},

		{name: "quota of rules", needs: many(97), state: Wrong, want: "rules | 4 of 100 are used, and services need 97 | a load balancer can have 100"},
		{name: "quota of target groups", needs: many(98), state: Wrong, want: "target groups | 3 of 100 are used, and services need 98 | a load balancer can have 100"},
		{name: "name that is taken", edits: []edit{{"describe-target-groups", `"TargetGroupName": "elsewhere"`, `"TargetGroupName": "s1"`}}, needs: services("/a"), state: Wrong,
			want: "names | target groups s1 are there already | services have target groups of these names: set namePrefix"},
		{name: "no list of services", state: Note, want: "services | not known: there is no list of them yet | run `npx cdk synth --quiet`"},

		{name: "subnet of another VPC", choice: Choice{Subnets: []string{"subnet-0dddddddddddddd01", "subnet-0aaaaaaaaaaaaaa02"}}, state: Wrong,
			want: "subnets | subnet-0dddddddddddddd01 not in vpc-0a1b2c3d4e5f60718 | tasks have to be in the VPC"},
		{name: "public subnets", choice: Choice{Subnets: strings.Split(public, ",")}, state: Wrong,
			want: "routes | subnet-0aaaaaaaaaaaaaa01, subnet-0bbbbbbbbbbbbbb01 public | tasks get no public address"},
		{name: "one zone", choice: Choice{Subnets: []string{"subnet-0aaaaaaaaaaaaaa02"}}, state: Wrong, want: "zones | eu-central-1a | services would go with this zone"},
		{name: "zone without the load balancer", choice: Choice{Subnets: []string{"subnet-0aaaaaaaaaaaaaa02", "subnet-0cccccccccccccc02"}}, state: Wrong,
			want: "zones | eu-central-1a, eu-central-1c | the load balancer sends nothing to eu-central-1c"},
		{name: "subnets without a way out", choice: Choice{Subnets: []string{"subnet-0aaaaaaaaaaaaaa03", "subnet-0bbbbbbbbbbbbbb03"}}, state: Note,
			want: "routes | subnet-0aaaaaaaaaaaaaa03, subnet-0bbbbbbbbbbbbbb03 without a route to 0.0.0.0/0 | tasks need endpoints"},
		{name: "NAT gateway that is gone", edits: []edit{{"describe-route-tables", `"NatGatewayId": "nat-0123456789abcdef0",
                    "Origin": "CreateRoute",
                    "State": "active"`, `"NatGatewayId": "nat-0123456789abcdef0", "State": "blackhole"`}}, state: Wrong,
			want: "routes | subnet-0aaaaaaaaaaaaaa02, subnet-0bbbbbbbbbbbbbb02 to a gateway that is gone | tasks would reach neither"},
		{name: "monolith in public subnets", edits: []edit{{"describe-services", "aa02", "aa01"}, {"describe-services", "bb02", "bb01"}}, state: OK,
			want: "subnets | subnet-0aaaaaaaaaaaaaa02, subnet-0bbbbbbbbbbbbbb02, private ones of vpc-0a1b2c3d4e5f60718"},
		{name: "no private subnet", edits: []edit{{"describe-route-tables", `"NatGatewayId": "nat-0123456789abcdef0"`, `"GatewayId": "igw-0123456789abcdef0"`}, {"describe-subnets", "03", "02"}}, state: Wrong,
			want: "subnets | no private subnet in a zone of the load balancer | tasks have no public addresses"},

		{name: "egress that is closed", edits: []edit{{"describe-security-groups", `"IpProtocol": "-1",
                    "UserIdGroupPairs": [],
                    "IpRanges": [
                        {
                            "CidrIp": "0.0.0.0/0"`, `"IpProtocol": "-1", "IpRanges": [{"CidrIp": "10.0.11.0/24"`}}, state: Wrong,
			want: "security groups | sg-0a11111111111111b let the load balancer reach no task in 10.0.12.0/24 | add a rule for egress to one of them: TCP, all ports, to 10.0.12.0/24"},
		{name: "egress to some ports", edits: []edit{{"describe-security-groups", `"IpProtocol": "-1"`, `"IpProtocol": "tcp", "FromPort": 8080, "ToPort": 8089`}}, state: Note,
			want: "security groups | sg-0a11111111111111b let the load balancer reach tasks on port 8080-8089 | let services listen there"},
		{name: "egress of another protocol", edits: []edit{{"describe-security-groups", `"IpProtocol": "-1"`, `"IpProtocol": "udp", "FromPort": 1, "ToPort": 65535`}}, state: Wrong,
			want: "security groups | sg-0a11111111111111b let the load balancer reach no task in 10.0.11.0/24, 10.0.12.0/24"},
		{name: "egress to a group", edits: []edit{{"describe-security-groups", `"IpProtocol": "-1",
                    "UserIdGroupPairs": [],
                    "IpRanges": [
                        {
                            "CidrIp": "0.0.0.0/0"
                        }
                    ],`, `"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": "sg-0c33333333333333d", "UserId": "123456789012"}], "IpRanges": [],`}}, state: OK,
			want: "security groups | sg-0a11111111111111b let the load balancer reach sg-0c33333333333333d, which tasks get as a further group"},
		{name: "security group that is not saved", edits: []edit{{"describe-security-groups", `"GroupId": "sg-0a1`, `"GroupId": "sg-0a2`}}, state: Wrong, want: "security groups | sg-0a11111111111111b | `aws ec2 describe-security-groups` does not have all"},

		{name: "no such cluster", choice: Choice{Cluster: "maim"}, state: Wrong, want: "cluster | maim | there is no such cluster in this account and region: choose from main, old, small"},
		{name: "cluster that is gone", choice: Choice{Cluster: "old"}, state: Wrong, want: "cluster | old is INACTIVE | nothing starts there"},
		{name: "cluster without instances", choice: Choice{Cluster: "small"}, needs: services("/api/users*"), state: Wrong,
			want: "cluster | small: Fargate only: no instances and no capacity provider with instances | services on EC2 do not start there"},
		{name: "cluster without instances, perhaps for Fargate", choice: Choice{Cluster: "small"}, state: Note, want: "cluster | small: Fargate only"},
		{name: "cluster by its ARN", choice: Choice{Cluster: "arn:aws:ecs:eu-central-1:123456789012:cluster/main"}, state: OK, want: "cluster | main: Fargate, and EC2 by capacity provider main-ec2"},
		{name: "cluster with instances alone", edits: []edit{{"describe-clusters", `"main-ec2"
            ],`, `"FARGATE"
            ],`}}, state: OK, want: "cluster | main: Fargate, and EC2 on 2 instances without a capacity provider"},
		{name: "no such capacity provider", choice: Choice{CapacityProvider: "other"}, state: Wrong, want: "cluster | main has no capacity provider other with instances | correct capacityProvider in cdk.json: choose from main-ec2"},
		{name: "which capacity provider", edits: []edit{{"describe-clusters", `"main-ec2"
            ],`, `"one", "two"
            ],`}}, needs: services("/api/users*"), state: Wrong, want: "cluster | main: Fargate, and EC2 by one of one, two | say which by capacityProvider"},
		{name: "clusters not saved", edits: []edit{{file: "describe-clusters"}}, state: Note, want: "cluster | not known | services get a cluster of their own"},
		{name: "cluster of nobody's", edits: []edit{{"describe-services", web, "targetgroup/other/1"}}, state: Note, want: "cluster | the monolith is no service of ECS | services get a cluster of their own. To put them into an existing one, name it with --cluster: choose from main, old, small"},

		{name: "cluster of another account", choice: Choice{Cluster: "small"}, edits: []edit{{"describe-clusters", "123456789012:cluster/small", "210987654321:cluster/small"}}, state: Wrong,
			want: "account | cluster in account 210987654321, region eu-central-1 | the load balancer is in account 123456789012, region eu-central-1: all parts have to be in one"},
		{name: "target group of another region", edits: []edit{{"describe-target-groups", "eu-central-1:123456789012:" + web, "eu-west-1:123456789012:" + web}, {"describe-listeners", "eu-central-1:123456789012:" + web, "eu-west-1:123456789012:" + web}}, state: Wrong,
			want: "account | target group in account 123456789012, region eu-west-1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			report := lookAt(t, saved(t, test.edits...), test.choice, test.needs)
			parts := strings.Split(test.want+" |  | ", " | ")
			if !slices.ContainsFunc(report.Checks, func(c Check) bool {
				return c.State == test.state && c.Subject == parts[0] && strings.HasPrefix(c.Found, parts[1]) && strings.HasPrefix(c.Do, parts[2])
			}) {
				t.Errorf("no check is %s | %s:\n%s", test.state, test.want, lines(report))
			}
			if test.state == Wrong && report.Fits() {
				t.Error("it fits nevertheless")
			}
			for _, c := range report.Checks {
				if (c.State == OK) != (c.Do == "") {
					t.Errorf("%s | %s: %q says what to do", c.State, c.Subject, c.Do)
				}
			}
		})
	}
}

// many are so many services.
func many(n int) *Needs {
	var paths []string
	for i := range n {
		paths = append(paths, fmt.Sprintf("/service-%d/*", i))
	}
	return services(paths...)
}

// TestWindow: which priorities are chosen.
func TestWindow(t *testing.T) {
	for _, test := range []struct {
		name  string
		edits []edit
		needs *Needs
		want  string
	}{
		{"before all", nil, services("/api/users*"), "100-199"},
		{"without services", nil, nil, "100-199"},
		{"behind a rule of others", []edit{{"describe-rules-443", `"Priority": "20"`, `"Priority": "110"`}}, services("/tea*"), "200-299"},
		{"a rule that takes nothing of services is passed", []edit{{"describe-rules-443", `"Priority": "20"`, `"Priority": "110"`}}, services("/api/users*"), "200-299"},
		{"as wide as the rules", []edit{{"describe-rules-443", `"Priority": "300"`, `"Priority": "30000"`}}, many(150), "100-3099"},
		{"behind all if the default action is the monolith's", []edit{{"describe-rules-443", `"Priority": "10"`, `"Priority": "900"`}}, services("/shop*"), "1000-1099"},
	} {
		t.Run(test.name, func(t *testing.T) {
			report := lookAt(t, saved(t, test.edits...), Choice{}, test.needs)
			i := slices.IndexFunc(report.Settings, func(s Setting) bool { return s.Key == "rulePriorities" })
			if i < 0 || report.Settings[i].Value != test.want {
				t.Errorf("%v, want %s:\n%s", report.Settings, test.want, lines(report))
			}
		})
	}
}

// TestOurs: rules of Cutover are not in the template, and those of others are, whatever they look like.
func TestOurs(t *testing.T) {
	rule := func(priority, condition, group string) string {
		return fmt.Sprintf(`{"RuleArn": "arn:aws:elasticloadbalancing:eu-central-1:123456789012:listener-rule/app/shop/50dc6c495c0c9188/9683b2d02a6cabee/%s", "Priority": %q,
			"Conditions": [%s], "Actions": [{"Type": "forward", "TargetGroupArn": "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/%s/1"}], "IsDefault": false}`, priority, priority, condition, group)
	}
	const users = `{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/api/users*"]}}`
	parked := `{"Field": "host-header", "HostHeaderConfig": {"Values": ["s1.parked.invalid"]}}`
	held := strings.Replace(rule("130", users, "shop-web"), "/1\"}", `/73e2d6bc24d8a067"}`, 1)
	for _, test := range []struct {
		name, rule string
		adopted    bool
		needs      *Needs
		ours       bool
	}{
		{"parked", rule("110", parked, "s1"), true, nil, true},
		{"for our group", rule("120", users, "s1"), true, services("/api/users*"), true},
		{"for our group, whose name is not known", rule("120", users, "s1"), true, nil, false},
		{"held back for the monolith", held, true, services("/api/users*"), true},
		{"other paths for the monolith", held, true, services("/api/posts*"), false},
		{"more paths for the monolith", strings.Replace(held, "/api/users*", "/api/*", 1), true, services("/api/users*"), false},
		{"outside of the window", rule("210", parked, "s1"), true, services("/api/users*"), false},
		{"before anything was deployed", rule("110", parked, "s1"), false, services("/api/users*"), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := saved(t, edit{"describe-rules-443", `"Rules": [`, `"Rules": [` + test.rule + ","})
			report := lookAt(t, dir, Choice{Priorities: "100-199", Adopted: test.adopted}, test.needs)
			rules := 0
			for _, r := range report.Template.Resources {
				if r.Type == model.ELBListenerRule {
					rules++
				}
			}
			if ours := rules == 4; ours != test.ours {
				t.Errorf("%d rules are in the template, want ours %v", rules, test.ours)
			}
		})
	}
}

// TestTemplateIsRead: the template is one that the reader of assemblies reads, without a problem, and it routes requests
// as the load balancer does.
func TestTemplateIsRead(t *testing.T) {
	report := lookAt(t, saved(t), Choice{}, nil)
	file := filepath.Join(t.TempDir(), assembly.ExistingFile)
	if err := os.WriteFile(file, report.Template.Text(), 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := assembly.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	m := model.Read(a)
	for _, g := range m.TargetGroups {
		if err := g.Unsupported(nil, nil, "HealthCheckPath", "TargetType", "Name"); err != nil {
			t.Error(err)
		}
		if len(g.Problems) > 0 {
			t.Errorf("%s: %v", g.Name, g.Problems)
		}
	}
	table, err := rules.Build(m)
	if err != nil {
		t.Fatal(err)
	}
	for request, want := range map[string]string{
		"https://shop.example.com/":          "shop-web",
		"https://admin.example.com/x":        "admin",
		"https://shop.example.com/teapot":    "418",
		"https://shop.example.com/api/users": "shop-web 90%, legacy 10%",
		"http://shop.example.com/":           "301 https://#{host}:443/#{path}?#{query}",
	} {
		r, err := rules.ParseRequest(request)
		if err != nil {
			t.Fatal(err)
		}
		decision, err := table.Route(r)
		if err != nil || decision.String() != want {
			t.Errorf("%s goes to %v, want %s (%v)", request, decision, want, err)
		}
	}
	if lb := m.LoadBalancers[0]; lb.IdleTimeout.Seconds() != 60 || !lb.DeletionProtection {
		t.Errorf("load balancer: %+v", lb)
	}
}

// TestUnreadable: what nobody can read is an error with the file and what to do.
func TestUnreadable(t *testing.T) {
	for _, test := range []struct {
		name string
		edit edit
		want string
	}{
		{"no JSON", edit{"describe-rules-443", "{", "LISTENER\t"}, "describe-rules-443.json is not what the AWS CLI prints as JSON"},
		{"no JSON in a file alone", edit{"describe-listeners", "{", "LISTENER\t"}, "describe-listeners.json is not what the AWS CLI prints as JSON (invalid character 'L' looking for beginning of value): save it again with `aws elbv2 describe-listeners --load-balancer-arn arn:"},
		{"another query", edit{"describe-target-groups", `"TargetGroups"`, `"Groups"`}, `describe-target-groups.json has no "TargetGroups": save it again with`},
		{"a list that is none", edit{"describe-subnets", `"Subnets": [`, `"Subnets": "none", "Other": [`}, "describe-subnets.json: Subnets is not what the AWS CLI prints"},
		{"a number that is none", edit{"describe-listeners", `"Port": 443`, `"Port": "https"`}, "Port is a string"},
		{"rules not saved", edit{file: "describe-rules-443"}, "describe-rules.json has no rule of HTTPS:443, not even the default one: save it again with"},
		{"target groups not saved", edit{file: "describe-target-groups"}, "describe-target-groups.json: save what `aws elbv2 describe-target-groups --output json` prints in this file"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Read(t.Context(), saved(t, test.edit), Choice{LoadBalancer: "shop"})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %s", err, test.want)
			}
		})
	}
	if _, err := Read(t.Context(), Dir(t.TempDir()), Choice{LoadBalancer: "shop"}); err == nil || !strings.Contains(err.Error(), "describe-load-balancers.json") {
		t.Errorf("a directory without files: %v", err)
	}
	if _, err := ReadDir(t.TempDir()); !os.IsNotExist(err) {
		t.Errorf("no template: %v, want %v", err, fs.ErrNotExist)
	}
}

// TestDrift: what has changed is said, once each.
func TestDrift(t *testing.T) {
	was := lookAt(t, saved(t), Choice{}, nil).Template
	file := filepath.Join(t.TempDir(), assembly.ExistingFile)
	if err := os.WriteFile(file, was.Text(), 0o600); err != nil {
		t.Fatal(err)
	}
	read, err := ReadDir(filepath.Dir(file))
	if err != nil {
		t.Fatal(err)
	}
	if drift := Compare(read, was); len(drift) > 0 {
		t.Errorf("a template that is read again differs: %q", drift)
	}
	for _, test := range []struct {
		name  string
		edits []edit
		want  []string
	}{
		{"a rule", []edit{{"describe-rules-443", "/teapot", "/coffee"}}, []string{"rule 20 of HTTPS:443: it was /teapot → 418, and is /coffee → 418"}},
		{"the text of an answer", []edit{{"describe-rules-443", "short and stout", "tall"}},
			[]string{`rule 20 of HTTPS:443: actions in full was [{"FixedResponseConfig":{"ContentType":"text/plain","MessageBody":"short and stout","StatusCode":"418"},"Type":"fixed-response"}], is [{"FixedResponseConfig":{"ContentType":"text/plain","MessageBody":"tall","StatusCode":"418"},"Type":"fixed-response"}]`}},
		{"a priority", []edit{{"describe-rules-443", `"Priority": "20"`, `"Priority": "30"`}}, []string{"rule 30 of HTTPS:443: priority was 20, is 30"}},
		{"another rule in its place", []edit{{"describe-rules-443", "/0000000000000020", "/0000000000000021"}, {"describe-rules-443", "/teapot", "/tea"}},
			[]string{"rule 20 of HTTPS:443 is gone: /teapot → 418", "rule 20 of HTTPS:443 is new: /tea → 418"}},
		{"a weight", []edit{{"describe-rules-443", `"Weight": 9`, `"Weight": 8`}}, []string{"rule 300 of HTTPS:443: it was /api/* → shop-web 9 and legacy 1, and is /api/* → shop-web 8 and legacy 1"}},
		{"a health check", []edit{{"describe-target-groups", "/healthz", "/alive"}}, []string{"target group shop-web: health check path was /healthz, is /alive"}},
		{"an attribute", []edit{{"describe-load-balancer-attributes", `"Value": "60"`, `"Value": "120"`}}, []string{"load balancer shop: idle_timeout.timeout_seconds was 60, is 120"}},
		{"a default action", []edit{{"describe-listeners", "targetgroup/shop-web/73e2d6bc24d8a067", "targetgroup/admin/6d0ecf831eec9f09"}},
			[]string{"listener HTTPS:443: default actions was shop-web, is admin"}},
		{"a certificate", []edit{{"describe-listeners", "certificate/12345678", "certificate/87654321"}},
			[]string{"listener HTTPS:443: certificates was arn:aws:acm:eu-central-1:123456789012:certificate/12345678-1234-1234-1234-123456789012, is arn:aws:acm:eu-central-1:123456789012:certificate/87654321-1234-1234-1234-123456789012"}},
		{"a listener", []edit{{"describe-listeners", `"Port": 80,`, `"Port": 8080,`}}, []string{"listener HTTP:8080: port was 80, is 8080"}},
		{"a subnet of the load balancer", []edit{{"describe-load-balancers", "bb01", "bb03"}},
			[]string{"load balancer shop: subnets was subnet-0aaaaaaaaaaaaaa01, subnet-0bbbbbbbbbbbbbb01, is subnet-0aaaaaaaaaaaaaa01, subnet-0bbbbbbbbbbbbbb03"}},
		{"mutual TLS", []edit{{"describe-listeners", `"Mode": "off"`, `"Mode": "verify"`}}, []string{"listener HTTPS:443: mutual authentication is verify now"}},
		{"what nobody reads", []edit{{"describe-load-balancers", "Z215JYRZR1TBD5", "Z0"}}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			choice := Choice{Monolith: "shop-web"}
			if drift := Compare(read, lookAt(t, saved(t, test.edits...), choice, nil).Template); !slices.Equal(drift, test.want) {
				t.Errorf("%q, want %q", drift, test.want)
			}
		})
	}
	given := map[string]any{"vpcId": "vpc-1", "subnetIds": "b, a", "rulePriorities": "100-199"}
	now := []Setting{{"listenerArn", "l"}, {"vpcId", "vpc-2"}, {"subnetIds", "a,b"}, {"clusterName", "main"}, {"rulePriorities", "100-199"}}
	want := []string{"setting listenerArn: cdk.json has none, and it is l", "setting vpcId: cdk.json has vpc-1, and it is vpc-2"}
	if drift := CompareSettings(given, now); !slices.Equal(drift, want) {
		t.Errorf("%q, want %q", drift, want)
	}
	given["subnetIds"] = []any{"b", "a"} // as a list of texts
	if drift := CompareSettings(given, now); !slices.Equal(drift, want) {
		t.Errorf("with a list: %q, want %q", drift, want)
	}
}
