package config_test

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"cutover/config"
	"cutover/migration"
)

const (
	existingListener = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/app/shop/0123456789abcdef/fedcba9876543210"
	existingGroup    = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/shop/0123456789abcdef"
)

// existing are settings of all that exists already.
func existing() context {
	return context{
		"listenerArn": existingListener, "monolithTargetGroupArn": existingGroup, "rulePriorities": "100-199",
		"vpcId": "vpc-12345678", "subnetIds": "subnet-12345678, subnet-12345679", "loadBalancerSecurityGroupIds": "sg-12345678",
		"taskSecurityGroupIds": []any{"sg-12345679"}, "clusterName": "shop",
	}
}

// beside are services beside a monolith that exists.
func beside() config.Deployment {
	image := config.Registry{Name: "example.org/orders:1"}
	return config.Deployment{
		Monolith: config.Service{Name: "shop"},
		Services: []config.Service{
			{Name: "orders", Paths: []string{"/api/orders*"}, Order: 10, Compute: config.Fargate{}, Image: image},
			{Name: "catalog", Paths: []string{"/api/catalog*"}, Order: 20, Compute: config.Fargate{}, Image: image},
		},
	}
}

func TestExisting(t *testing.T) {
	d, s, err := config.Load(beside(), existing(), os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	if d.Existing != existingGroup || !d.KeepRest || d.Priorities != (migration.Window{First: 100, Last: 199}) || len(d.All()) != 2 {
		t.Errorf("the deployment is %+v", d)
	}
	if s.ListenerARN != existingListener || s.LooksUp() || !slices.Equal(s.SubnetIDs, []string{"subnet-12345678", "subnet-12345679"}) || s.ClusterName != "shop" {
		t.Errorf("the settings are %+v", s)
	}
	production := existing()
	production["env"] = "prod"
	if _, s, err := config.Load(beside(), production, os.Getenv); err != nil || s.AccessLogs {
		t.Errorf("in prod: access logs %v, %v", s.AccessLogs, err)
	}
}

func TestExistingMistakes(t *testing.T) {
	certificate := func(region, account string) string {
		return "arn:aws:acm:" + region + ":" + account + ":certificate/00000000-0000-0000-0000-000000000000"
	}
	for _, test := range []struct {
		name   string
		set    context // nil removes a setting
		change func(d *config.Deployment)
		env    map[string]string
		want   string
	}{
		{name: "a listener that is none", set: context{"listenerArn": "shop"},
			want: `listenerArn: "shop" is not a listener: it looks like "arn:aws:elasticloadbalancing:REGION:ACCOUNT:listener/app/NAME/ID/ID"`},
		{name: "a listener of a Network Load Balancer", set: context{"listenerArn": strings.Replace(existingListener, "/app/", "/net/", 1)},
			want: `listenerArn: "` + strings.Replace(existingListener, "/app/", "/net/", 1) + `" is of a Network Load Balancer, which has no rules: name a listener of an Application Load Balancer`},
		{name: "no monolith", set: context{"monolithTargetGroupArn": nil},
			want: "monolithTargetGroupArn: it is missing: name the target group of the monolith behind the listener"},
		{name: "a monolith that is none", set: context{"monolithTargetGroupArn": existingListener},
			want: `monolithTargetGroupArn: "` + existingListener + `" is not a target group: it looks like "arn:aws:elasticloadbalancing:REGION:ACCOUNT:targetgroup/NAME/ID"`},
		{name: "a monolith of another region", set: context{"monolithTargetGroupArn": strings.Replace(existingGroup, "eu-west-1", "eu-west-2", 1)},
			want: "monolithTargetGroupArn: the target group is in region eu-west-2, and the listener in eu-west-1: both have to be in one"},
		{name: "a monolith of another account", set: context{"monolithTargetGroupArn": strings.Replace(existingGroup, "123456789012", "210987654321", 1)},
			want: "monolithTargetGroupArn: the target group is in account 210987654321, and the listener in 123456789012: both have to be in one"},
		{name: "a certificate of another region", set: context{"certificateArn": certificate("us-east-1", "123456789012")},
			want: "certificateArn: the certificate is in region us-east-1, and the listener in eu-west-1: it cannot be the listener's"},
		{name: "a deployment to another region", env: map[string]string{"CDK_DEFAULT_REGION": "us-east-1"},
			want: "listenerArn: the listener is in region eu-west-1 but the deployment goes to us-east-1"},
		{name: "a deployment to another account", env: map[string]string{"CDK_DEFAULT_ACCOUNT": "210987654321"},
			want: "listenerArn: the listener is in account 123456789012 but the deployment goes to 210987654321"},
		{name: "no window", set: context{"rulePriorities": nil},
			want: `rulePriorities: it is missing: name the priorities of the listener that are free, as in "100-199"`},
		{name: "a window that is none", set: context{"rulePriorities": "100"},
			want: `rulePriorities: "100" is not a window of priorities: it looks like "100-199", from 1 to 50000`},
		{name: "a window upside down", set: context{"rulePriorities": "199-100"},
			want: `rulePriorities: "199-100" is not a window of priorities: it looks like "100-199", from 1 to 50000`},
		{name: "a window beyond the last priority", set: context{"rulePriorities": "49999-50001"},
			want: `rulePriorities: "49999-50001" is not a window of priorities: it looks like "100-199", from 1 to 50000`},
		{name: "a window too small", set: context{"rulePriorities": "100-129"},
			want: `service "catalog": Order 20: rulePriorities 100-129 has room for orders up to 15, two priorities for each: make the window wider, or the order lower`},
		{name: "no VPC", set: context{"vpcId": nil, "subnetIds": nil, "clusterName": nil},
			want: "vpcId: it is missing: name the VPC of the listener's load balancer"},
		{name: "no security group", set: context{"loadBalancerSecurityGroupIds": nil},
			want: "loadBalancerSecurityGroupIds: they are missing: name the security groups of the listener's load balancer, which tasks admit"},
		{name: "a security group that is none", set: context{"loadBalancerSecurityGroupIds": "sg-12345678,web"},
			want: `loadBalancerSecurityGroupIds: web is not a security group: it looks like "sg-0123456789abcdef0"`},
		{name: "security groups of another kind", set: context{"loadBalancerSecurityGroupIds": 7.0},
			want: "loadBalancerSecurityGroupIds: 7 is neither a text, as in \"sg-0123456789abcdef0\", nor a list of texts\nloadBalancerSecurityGroupIds: they are missing: name the security groups of the listener's load balancer, which tasks admit"},
		{name: "too many security groups of tasks", set: context{"taskSecurityGroupIds": "sg-12345671,sg-12345672,sg-12345673,sg-12345674,sg-12345675"},
			want: "taskSecurityGroupIds: there are 5: a task has one of its own, and at most 5 in all"},
		{name: "one subnet", set: context{"subnetIds": "subnet-12345678"},
			want: "subnetIds: subnet-12345678 is in one zone: name two subnets or more, in different zones"},
		{name: "a subnet twice", set: context{"subnetIds": "subnet-12345678,subnet-12345679,subnet-12345678"},
			want: "subnetIds: subnet-12345678 is named twice"},
		{name: "subnets that are looked up without an account", set: context{"subnetIds": nil},
			want: "vpcId: vpc-12345678 cannot be looked up without an account and region: run this through the cdk command with AWS credentials, or set subnetIds"},
		{name: "settings of a load balancer of one's own", set: context{"scheme": "internal", "accessLogs": "on"},
			want: "scheme: has no effect on a load balancer that exists: remove scheme or listenerArn\naccessLogs: has no effect on a load balancer that exists: remove accessLogs or listenerArn"},
		{name: "settings of a listener without one", set: context{"listenerArn": nil, "monolithTargetGroupArn": nil, "scheme": "internal"}, change: func(d *config.Deployment) {
			d.Monolith.Paths = []string{"/api*"}
			d.Monolith.Compute = config.Fargate{}
		},
			want: "rulePriorities: 100-199 is about a listener that exists: set listenerArn\nloadBalancerSecurityGroupIds: sg-12345678 is about a listener that exists: set listenerArn"},
		{name: "public subnets are missing", set: context{"listenerArn": nil, "monolithTargetGroupArn": nil, "rulePriorities": nil, "loadBalancerSecurityGroupIds": nil}, change: func(d *config.Deployment) {
			d.Monolith.Paths = []string{"/api*"}
			d.Monolith.Compute = config.Fargate{}
		},
			want: "subnetIds: they are private, and a new load balancer needs public ones: remove subnetIds, and the VPC is looked up; or set scheme to internal, or listenerArn"},
		{name: "a cluster that is none", set: context{"clusterName": "my shop"},
			want: `clusterName: "my shop" is not the name of a cluster: it looks like "shop"`},
		{name: "a cluster without capacity for EC2", change: func(d *config.Deployment) { d.Services[0].Compute = config.EC2{NetworkMode: "awsvpc"} },
			want: "capacityProvider: it is missing: services on EC2 need the one of cluster shop; or put them on Fargate"},
		{name: "a capacity provider for nobody", set: context{"capacityProvider": "instances"},
			want: "capacityProvider: no service is on EC2: remove it"},
		{name: "a capacity provider of no cluster", set: context{"capacityProvider": "instances", "clusterName": nil},
			want: "capacityProvider: instances is of a cluster that exists: set clusterName"},
		{name: "ports on foreign instances", set: context{"capacityProvider": "instances"}, change: func(d *config.Deployment) { d.Services[0].Compute = config.EC2{} },
			want: `service "orders": in bridge mode its port is on the instances of cluster shop, whose security groups are not changed: set NetworkMode to awsvpc, or put it on Fargate`},
		{name: "instances of a foreign cluster", set: context{"maxInstances": 3.0},
			want: "maxInstances: has no effect on the existing cluster shop: remove maxInstances or clusterName"},
		{name: "a monolith with fields", change: func(d *config.Deployment) { d.Monolith.Paths = []string{"/api*"}; d.Monolith.Port = 80 },
			want: `service "shop": Paths, Port: the monolith exists already (monolithTargetGroupArn), and nothing of it is deployed: give it a Name alone`},
		{name: "a service that is called like the monolith", change: func(d *config.Deployment) { d.Services[0].Name = "shop" },
			want: `service "shop": the monolith that exists has this name: rename one`},
		{name: "a further load balancer", change: func(d *config.Deployment) { d.Services[1].LoadBalancer = "press" },
			want: `service "catalog": LoadBalancer "press": all services are behind the listener that exists: remove it`},
		{name: "a call of the monolith", change: func(d *config.Deployment) { d.Services[0].Calls = []string{"shop"} },
			want: `service "orders": Calls "shop": the monolith exists already, and its address is not known here: give it in a variable of Environment`},
		{name: "a call through a load balancer without a name", change: func(d *config.Deployment) { d.Services[0].Calls = []string{"catalog"} },
			want: `service "orders": Calls "catalog": the first load balancer exists already, and its name is not known here: set domain to a name that leads to it, or let Discovery of "catalog" begin with another way`},
		{name: "the monolith retires", set: context{"phase": "retired"},
			want: "phase: the monolith shop exists already and is not deployed from here: it cannot be retired; stop it where it is deployed"},
		{name: "the rest is dropped", set: context{"rest": "drop"},
			want: "rest: the monolith that exists keeps what no service claims: remove rest"},
		{name: "a hosted zone", set: context{"hostedZoneId": "Z123", "domain": "shop.example.com"},
			want: "hostedZoneId: has no effect on a load balancer that exists: remove hostedZoneId or listenerArn"},
	} {
		t.Run(test.name, func(t *testing.T) {
			settings, d := existing(), beside()
			maps.Copy(settings, test.set)
			maps.DeleteFunc(settings, func(_ string, v any) bool { return v == nil })
			if test.change != nil {
				test.change(&d)
			}
			_, _, err := config.Load(d, settings, func(name string) string { return test.env[name] })
			if err == nil || err.Error() != test.want {
				t.Errorf("the mistakes are\n%v\nwant\n%s", err, test.want)
			}
		})
	}
}

// A load balancer of one's own may be in a zone, and log into a bucket, that exist.
func TestExistingZoneAndBucket(t *testing.T) {
	good := context{"hostedZoneId": "Z0123456789", "domain": "api.example.com", "accessLogs": "on", "accessLogsBucket": "team-logs"}
	for _, test := range []struct {
		set  context
		want string
	}{
		{nil, ""},
		{context{"domain": ""}, "hostedZoneId: Z0123456789 gets no record without a name: set domain"},
		{context{"hostedZoneId": "zone"}, `hostedZoneId: "zone" is not a hosted zone: it looks like "Z0123456789ABCDEFGHIJ"`},
		{context{"accessLogs": "off"}, "accessLogsBucket: there are no access logs for team-logs: set accessLogs to on"},
		{context{"accessLogsBucket": "Team"}, `accessLogsBucket: "Team" is not the name of a bucket: it looks like "my-company-logs"`},
	} {
		settings := maps.Clone(good)
		maps.Copy(settings, test.set)
		_, _, err := config.Load(forum(), settings, os.Getenv)
		if got := errorText(err); got != test.want {
			t.Errorf("%v: %s, want %s", test.set, got, test.want)
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
