package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cutover/config"
	"cutover/migration"
)

func forum() config.Deployment {
	return config.Deployment{
		Monolith: config.Service{Name: "api", Paths: []string{"/api*"}},
		Services: []config.Service{
			{Name: "users", Paths: []string{"/api/users*"}, Order: 10},
			{Name: "threads", Paths: []string{"/api/threads*"}, Order: 20},
		},
	}
}

// with returns the forum with more services.
func with(s ...config.Service) func(*config.Deployment) {
	return func(d *config.Deployment) { d.Services = append(d.Services, s...) }
}

// services returns the forum with other services: so many at the first load
// balancer, at lb1, lb2 and so on. The orders begin anew at each.
func services(counts ...int) func(*config.Deployment) {
	return func(d *config.Deployment) {
		d.Services = nil
		for balancer, n := range counts {
			for order := range n {
				i := len(d.Services)
				s := config.Service{Name: fmt.Sprintf("service%d", i), Paths: []string{fmt.Sprintf("/service%d/*", i)}, Order: order + 1}
				if balancer > 0 {
					s.LoadBalancer = fmt.Sprintf("lb%d", balancer)
				}
				d.Services = append(d.Services, s)
			}
		}
	}
}

// requests are so many paths.
func requests(n int) []string {
	var paths []string
	for i := range n {
		paths = append(paths, fmt.Sprintf("/api/users/%d?full=%%20", i))
	}
	return paths
}

type context = map[string]any

// mistake is a deployment that must be refused.
type mistake struct {
	name    string
	context context
	change  func(*config.Deployment)
	env     map[string]string
	want    string // the whole error
}

func TestMistakesAreReported(t *testing.T) {
	tests := []mistake{
		// Settings.
		{name: "unknown phase", context: context{"phase": "paralel"},
			want: `phase: "paralel" is not a phase: choose one of monolith, parallel, switched, retired, removed`},
		{name: "phase in another case", context: context{"phase": "Monolith"},
			want: `phase: "Monolith" is not a phase: choose one of monolith, parallel, switched, retired, removed`},
		{name: "phase without a value", context: context{"phase": ""},
			want: `phase: "" is not a phase: choose one of monolith, parallel, switched, retired, removed`},
		{name: "phase that is null", context: context{"phase": nil},
			want: `phase: "" is not a phase: choose one of monolith, parallel, switched, retired, removed`},
		{name: "environment without a value", context: context{"env": ""},
			want: `env: "" is not an environment name: use up to 32 lower-case letters, digits and single hyphens, beginning with a letter`},
		{name: "phase that is no text", context: context{"phase": 2.0},
			want: `phase: 2 is not a string`},
		{name: "unknown key", context: context{"fase": "monolith"},
			want: `fase: no such context key: did you mean "phase"? The keys are phase, shift, compute, rest, rootService, store, databaseCapacity, dataProtection, env, namePrefix, arch, instanceType, minInstances, maxInstances, zones, natGateways, vpcId, subnetIds, listenerArn, monolithTargetGroupArn, rulePriorities, loadBalancerSecurityGroupIds, taskSecurityGroupIds, clusterName, capacityProvider, certificateArn, domain, hostedZoneId, front, scheme, directAccess, cloudFrontPrefixListId, ui, uiDomain, uiHostedZoneId, uiCertificateArn, waf, accessLogs, accessLogsBucket, deletionProtection, alarms, alarmEmail, events, dashboard, logRetentionDays, removalPolicy, phaseGate`},
		{name: "key in another case", context: context{"vpcid": "vpc-12345678"},
			want: `vpcid: no such context key: did you mean "vpcId"? The keys are phase, shift, compute, rest, rootService, store, databaseCapacity, dataProtection, env, namePrefix, arch, instanceType, minInstances, maxInstances, zones, natGateways, vpcId, subnetIds, listenerArn, monolithTargetGroupArn, rulePriorities, loadBalancerSecurityGroupIds, taskSecurityGroupIds, clusterName, capacityProvider, certificateArn, domain, hostedZoneId, front, scheme, directAccess, cloudFrontPrefixListId, ui, uiDomain, uiHostedZoneId, uiCertificateArn, waf, accessLogs, accessLogsBucket, deletionProtection, alarms, alarmEmail, events, dashboard, logRetentionDays, removalPolicy, phaseGate`},
		{name: "unknown root service", context: context{"rootService": "user"},
			want: `rootService: there is no microservice "user": choose from users, threads`},
		{name: "the monolith as root service", context: context{"phase": "retired", "rootService": "api"},
			want: `rootService: there is no microservice "api": choose from users, threads`},
		{name: "root service that is no text", context: context{"rootService": 1.0},
			want: `rootService: 1 is not a string`},
		{name: "root service without services", context: context{"rootService": "users"}, change: func(d *config.Deployment) { d.Services = nil },
			want: `services: there are no microservices: list at least one`},
		{name: "too many root paths", context: context{"rootService": "users"}, change: func(d *config.Deployment) { d.Monolith.Paths = []string{"/a*", "/b*", "/c*"} },
			want: `rootService: the paths of "api" have the 7 root paths /, /a, /a/, /b, /b/, /c, /c/, and a rule has at most 5 values: remove rootService`},
		{name: "root paths that are taken", context: context{"rootService": "users"}, change: with(config.Service{Name: "web", Paths: []string{"/*"}, Order: 50}),
			want: `rootService: "users" gets no request for /, /api, /api/: paths of services come first and take them: remove rootService`},
		{name: "shift outside parallel", context: context{"phase": "switched", "shift": "users=10"},
			want: `shift: users=10 has no place in phase switched: set the phase to parallel, or remove the shift`},
		{name: "shift for an unknown service", context: context{"phase": "parallel", "shift": "user=10"},
			want: `shift: there is no microservice "user": choose from users, threads`},
		{name: "shift without services", context: context{"phase": "parallel", "shift": "users=10"}, change: func(d *config.Deployment) { d.Services = nil },
			want: "shift: there is no microservice \"users\": there is none\nservices: there are no microservices: list at least one"},
		{name: "shift for the monolith", context: context{"phase": "parallel", "shift": context{"api": 10.0}},
			want: `shift: there is no microservice "api": choose from users, threads`},
		{name: "shift above 100", context: context{"phase": "parallel", "shift": context{"users": 101.0}},
			want: `shift: users=101 is not a percentage: use a whole number from 0 to 100`},
		{name: "shift below 0", context: context{"phase": "parallel", "shift": "users=-1"},
			want: `shift: users=-1 is not a percentage: use a whole number from 0 to 100`},
		{name: "shift with a fraction", context: context{"phase": "parallel", "shift": context{"users": 0.5}},
			want: `shift: users=0.5 is not a percentage: use a whole number from 0 to 100`},
		{name: "shift without a number", context: context{"phase": "parallel", "shift": "users"},
			want: `shift: "users" is not SERVICE=PERCENT, as in "users=10"`},
		{name: "shift named twice", context: context{"phase": "parallel", "shift": "users=10,users=20"},
			want: `shift: "users" is named twice in "users=10,users=20"`},
		{name: "shift of another kind", context: context{"phase": "parallel", "shift": 10.0},
			want: `shift: 10 is neither an object, as in {"users": 10}, nor a text, as in "users=10"`},
		{name: "environment name", context: context{"env": "My_Env"},
			want: `env: "My_Env" is not an environment name: use up to 32 lower-case letters, digits and single hyphens, beginning with a letter`},
		{name: "environment name that SSM keeps for itself", context: context{"env": "aws-dev"},
			want: `env: "aws-dev" is refused by AWS: no SSM parameter may begin with "aws" or "ssm"`},
		{name: "name prefix", context: context{"namePrefix": "staging"},
			want: `namePrefix: "staging" is not a prefix: use lower-case letters, digits and single hyphens, beginning with a letter and ending with a hyphen, as in "staging-"`},
		{name: "architecture", context: context{"arch": "x86"},
			want: `arch: "x86" is unknown: choose one of amd64, arm64`},
		{name: "instance type", context: context{"instanceType": "small"},
			want: `instanceType: "small" is not an instance type: it looks like "t3.small"`},
		{name: "instance type of the other architecture", context: context{"instanceType": "m7g.large"},
			want: `instanceType: "m7g.large" is an arm64 machine but arch is "amd64": change one of them`},
		{name: "architecture of the other instance type", context: context{"arch": "arm64", "instanceType": "g4dn.xlarge"},
			want: `instanceType: "g4dn.xlarge" is an amd64 machine but arch is "arm64": change one of them`},
		{name: "one instance type of several", context: context{"instanceType": "t3.small, t4g.small"},
			want: `instanceType: "t4g.small" is an arm64 machine but arch is "amd64": change one of them`},
		{name: "one instance type twice", context: context{"instanceType": "t3.small,t3.small"},
			want: `instanceType: "t3.small" is named twice`},
		{name: "no instance type", context: context{"instanceType": "t3.small,"},
			want: `instanceType: "" is not an instance type: it looks like "t3.small"`},
		{name: "no instance", context: context{"minInstances": "0"},
			want: `minInstances: 0 is out of range: it must be from 1 to 100`},
		{name: "fewer at most than at least", context: context{"minInstances": 3.0, "maxInstances": 2.0},
			want: `maxInstances: 2 is below minInstances, which is 3`},
		{name: "zones", context: context{"zones": 4.0},
			want: `zones: 4 is out of range: it must be from 2 to 3`},
		{name: "zones that are no number", context: context{"zones": "two"},
			want: `zones: two is not a whole number`},
		{name: "more NAT gateways than zones", context: context{"natGateways": 3.0},
			want: `natGateways: 3 is out of range: it must be from 1 to 2`},
		{name: "VPC id", context: context{"vpcId": "my-vpc"}, env: map[string]string{"CDK_DEFAULT_ACCOUNT": "1", "CDK_DEFAULT_REGION": "r"},
			want: `vpcId: "my-vpc" is not a VPC id: it looks like "vpc-0123456789abcdef0"`},
		{name: "VPC without an account", context: context{"vpcId": "vpc-12345678"},
			want: `vpcId: vpc-12345678 cannot be looked up without an account and region: run this through the cdk command with AWS credentials, or set subnetIds`},
		{name: "zones of an existing VPC", context: context{"vpcId": "vpc-12345678", "zones": 2.0}, env: map[string]string{"CDK_DEFAULT_ACCOUNT": "1", "CDK_DEFAULT_REGION": "r"},
			want: `zones: has no effect on the existing VPC vpc-12345678: remove zones or vpcId`},
		{name: "certificate", context: context{"certificateArn": "arn:aws:iam::123456789012:server-certificate/x"},
			want: `certificateArn: "arn:aws:iam::123456789012:server-certificate/x" is not an ACM certificate: it looks like "arn:aws:acm:REGION:ACCOUNT:certificate/ID"`},
		{name: "certificate of another region",
			context: context{"certificateArn": "arn:aws:acm:eu-west-1:123456789012:certificate/00000000-0000-0000-0000-000000000000"},
			env:     map[string]string{"CDK_DEFAULT_REGION": "us-east-1"},
			want:    `certificateArn: the certificate is in eu-west-1 but the deployment goes to us-east-1: a load balancer takes certificates of its own region only`},
		{name: "retention", context: context{"logRetentionDays": 31.0},
			want: `logRetentionDays: CloudWatch Logs does not know 31: choose one of 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653`},
		{name: "access logs", context: context{"accessLogs": "yes"},
			want: `accessLogs: "yes" is unknown: choose one of on, off`},
		{name: "deletion protection", context: context{"deletionProtection": true},
			want: `deletionProtection: true is not a string`},
		{name: "alarms", context: context{"alarms": "all"},
			want: `alarms: "all" is unknown: choose one of on, off`},
		{name: "dashboard", context: context{"dashboard": true},
			want: `dashboard: true is not a string`},
		{name: "removal policy", context: context{"removalPolicy": "keep"},
			want: `removalPolicy: "keep" is unknown: choose one of retain, destroy`},
		{name: "phase gate", context: context{"phaseGate": false},
			want: `phaseGate: false is not a string`},

		// Services.
		{name: "no services", change: services(0),
			want: `services: there are no microservices: list at least one`},
		{name: "name that AWS refuses", change: with(config.Service{Name: "In_App", Paths: []string{"/x"}, Order: 5}),
			want: `service "In_App": the name is refused by AWS: use two or more lower-case letters, digits and single hyphens, beginning with a letter`},
		{name: "name with two hyphens", change: with(config.Service{Name: "in--app", Paths: []string{"/x"}, Order: 5}),
			want: `service "in--app": the name is refused by AWS: use two or more lower-case letters, digits and single hyphens, beginning with a letter`},
		{name: "no name", change: with(config.Service{Paths: []string{"/x"}, Order: 5}),
			want: `service "": the name is refused by AWS: use two or more lower-case letters, digits and single hyphens, beginning with a letter`},
		{name: "long name", change: with(config.Service{Name: "abcdefghijklmnopqrstuvwxyz0123456", Paths: []string{"/x"}, Order: 5}),
			want: `service "abcdefghijklmnopqrstuvwxyz0123456": the target group's name "abcdefghijklmnopqrstuvwxyz0123456" has 33 characters: at most 32 are allowed`},
		{name: "name of another stack", change: with(config.Service{Name: "routing", Paths: []string{"/x"}, Order: 5}),
			want: `service "routing": another stack of the deployment has this name: choose none of gate, network, registry, cluster, routing, phase, watch`},
		{name: "name of the group for dropped traffic", change: with(config.Service{Name: "drop-traffic", Paths: []string{"/x"}, Order: 5}),
			want: `service "drop-traffic": the target group for dropped traffic has this name: choose another`},
		{name: "one name twice", change: with(config.Service{Name: "users", Paths: []string{"/x"}, Order: 5}),
			want: `service "users": listed twice: give each service its own name`},
		{name: "one path twice", change: with(config.Service{Name: "people", Paths: []string{"/api/users*"}, Order: 50}),
			want: `service "people": path "/api/users*" belongs to "users" already`},
		{name: "shadowed path", change: with(config.Service{Name: "profiles", Paths: []string{"/api/users/*/profile"}, Order: 50}),
			want: `service "profiles": path "/api/users/*/profile" never gets a request: "/api/users*" of "users" comes first and takes it: give "profiles" a lower Order`},
		{name: "shadowed path with another wildcard", change: with(config.Service{Name: "v1", Paths: []string{"/v?/*"}, Order: 50}, config.Service{Name: "v2", Paths: []string{"/v2/*", "/v?/old", "/v10/*"}, Order: 51}),
			want: `service "v2": path "/v2/*" never gets a request: "/v?/*" of "v1" comes first and takes it: give "v2" a lower Order` + "\n" +
				`service "v2": path "/v?/old" never gets a request: "/v?/*" of "v1" comes first and takes it: give "v2" a lower Order`},
		{name: "path listed twice", change: with(config.Service{Name: "tags", Paths: []string{"/tags", "/tags"}, Order: 50}),
			want: `service "tags": path "/tags" is listed twice: remove one`},
		{name: "no path", change: with(config.Service{Name: "tags", Order: 50}),
			want: `service "tags": it has no path: give it at least one pattern, as in "/api/tags*"`},
		{name: "path without a slash", change: with(config.Service{Name: "tags", Paths: []string{"tags*"}, Order: 50}),
			want: `service "tags": path "tags*" is not a path pattern: it begins with "/" and has letters, digits, wildcards (* ?) and _ - . $ / ~ " ' @ : + &`},
		{name: "path with a blank", change: with(config.Service{Name: "tags", Paths: []string{"/my tags"}, Order: 50}),
			want: `service "tags": path "/my tags" is not a path pattern: it begins with "/" and has letters, digits, wildcards (* ?) and _ - . $ / ~ " ' @ : + &`},
		{name: "path that is resolved", change: with(config.Service{Name: "tags", Paths: []string{"/api/./tags*"}, Order: 50}),
			want: `service "tags": path "/api/./tags*" never gets a request: the load balancer resolves "." and ".." in a URL before it looks at the rules: remove them`},
		{name: "path that ends above itself", change: with(config.Service{Name: "tags", Paths: []string{"/tags/.."}, Order: 50}),
			want: `service "tags": path "/tags/.." never gets a request: the load balancer resolves "." and ".." in a URL before it looks at the rules: remove them`},
		{name: "path with an encoded character", change: with(config.Service{Name: "tags", Paths: []string{"/%74ags"}, Order: 50}),
			want: `service "tags": path "/%74ags" is not a path pattern: it begins with "/" and has letters, digits, wildcards (* ?) and _ - . $ / ~ " ' @ : + &`},
		{name: "long path", change: with(config.Service{Name: "tags", Paths: []string{"/" + strings.Repeat("a", 128)}, Order: 50}),
			want: `service "tags": path "/` + strings.Repeat("a", 128) + `" has 129 characters: at most 128 are allowed`},
		{name: "too many values", change: with(config.Service{Name: "tags", Paths: []string{"/a", "/b", "/c", "/d", "/e", "/f"}, Order: 50}),
			want: `service "tags": 6 path patterns: a rule has at most 5 values`},
		{name: "too many wildcards", change: with(config.Service{Name: "tags", Paths: []string{"/a/*/*/*", "/b/?/*/*"}, Order: 50}),
			want: `service "tags": 6 wildcards: a rule has at most 5`},
		{name: "far too many wildcards", change: with(config.Service{Name: "tags", Paths: []string{"/api/users" + strings.Repeat("*a", 50)}, Order: 50}),
			want: `service "tags": 50 wildcards: a rule has at most 5`},
		{name: "no order", change: with(config.Service{Name: "tags", Paths: []string{"/tags*"}}),
			want: `service "tags": Order 0: it must be from 1 to 999`},
		{name: "order beyond its window", change: with(config.Service{Name: "tags", Paths: []string{"/tags*"}, Order: 1000}),
			want: `service "tags": Order 1000: it must be from 1 to 999`},
		{name: "one order twice", change: with(config.Service{Name: "tags", Paths: []string{"/tags*"}, Order: 10}),
			want: `service "tags": Order 10 belongs to "users" already: give each service its own`},
		{name: "order of the monolith", change: func(d *config.Deployment) { d.Monolith.Order = 1 },
			want: `service "api": Order 1: the monolith has a priority of its own: remove it`},
		{name: "CPU", change: with(config.Service{Name: "tags", Paths: []string{"/tags*"}, Order: 50, CPU: -1}),
			want: `service "tags": CPU -1: it must be 2 units or more; 1024 units are one vCPU`},
		{name: "memory", change: with(config.Service{Name: "tags", Paths: []string{"/tags*"}, Order: 50, MemoryReservationMiB: 5}),
			want: `service "tags": MemoryReservationMiB 5: it must be 6 or more`},
		{name: "no more memory than reserved", change: with(config.Service{Name: "tags", Paths: []string{"/tags*"}, Order: 50, MemoryLimitMiB: 256}),
			want: `service "tags": MemoryLimitMiB 256: it must be more than MemoryReservationMiB, which is 256`},
		{name: "a limit below nothing", change: with(config.Service{Name: "tags", Paths: []string{"/tags*"}, Order: 50, MemoryReservationMiB: 64, MemoryLimitMiB: -1}),
			want: `service "tags": MemoryLimitMiB -1: it must be more than MemoryReservationMiB, which is 64`},
		{name: "tasks", change: with(config.Service{Name: "tags", Paths: []string{"/tags*"}, Order: 50, Tasks: 5001}),
			want: `service "tags": Tasks 5001: it must be from 1 to 5000`},
		{name: "a most that is none", change: with(config.Service{Name: "tags", Paths: []string{"/tags*"}, Order: 50, Tasks: 3, MaxTasks: 3}),
			want: `service "tags": MaxTasks 3: it must be more than Tasks, which is 3, and at most 5000`},
		{name: "targets without a most", change: with(config.Service{Name: "tags", Paths: []string{"/tags*"}, Order: 50, TargetCPUPercent: 50, RequestsPerTask: 100}),
			want: `service "tags": TargetCPUPercent 50: the service does not scale without MaxTasks: set MaxTasks, or remove TargetCPUPercent` + "\n" +
				`service "tags": RequestsPerTask 100: the service does not scale without MaxTasks: set MaxTasks, or remove RequestsPerTask`},
		{name: "targets that are none", change: with(config.Service{Name: "tags", Paths: []string{"/tags*"}, Order: 50, MaxTasks: 2, TargetCPUPercent: 101, RequestsPerTask: -1}),
			want: `service "tags": TargetCPUPercent 101: it must be from 1 to 100` + "\n" +
				`service "tags": RequestsPerTask -1: it must be 1 or more, or left out`},
		{name: "requests to a monolith at several load balancers", change: func(d *config.Deployment) {
			d.Monolith.MaxTasks, d.Monolith.RequestsPerTask = 2, 100
			d.Services = append(d.Services, config.Service{Name: "tags", LoadBalancer: "shop", Paths: []string{"/t"}, Order: 5})
		},
			want: `service "api": RequestsPerTask 100: the monolith is behind 2 load balancers, and each counts its own requests: remove RequestsPerTask, and let TargetCPUPercent decide`},
		{name: "variable that is ours", change: with(config.Service{Name: "tags", Paths: []string{"/tags*"}, Order: 50, Environment: map[string]string{"PORT": "80"}}),
			want: `service "tags": Environment PORT is set by the deployment: remove it`},
		{name: "variable that is none", change: with(config.Service{Name: "tags", Paths: []string{"/tags*"}, Order: 50, Environment: map[string]string{"A B": ""}}),
			want: `service "tags": Environment "A B" is not a variable name: use letters, digits and "_", and begin with no digit`},
		{name: "too many target groups and rules", context: context{"maxInstances": 13.0}, change: services(100),
			want: `the first load balancer: 100 services and the monolith need 102 target groups, and a load balancer can have 100: put 2 of its services behind another load balancer, as in {Name: "service99", LoadBalancer: "further", …}` + "\n" +
				`the first load balancer: 100 services and a shift of 0 need 101 listener rules, and a load balancer can have 100: put 1 of its services behind another load balancer, as in {Name: "service99", LoadBalancer: "further", …}`},
		{name: "a rule too many for a shift", context: context{"maxInstances": 13.0, "phase": "parallel", "shift": "service0=1,service1=1"}, change: services(98),
			want: `the first load balancer: 98 services and a shift of 2 need 101 listener rules, and a load balancer can have 100: put 1 of its services behind another load balancer, as in {Name: "service97", LoadBalancer: "further", …}`},

		{name: "too many outputs", context: context{"maxInstances": 25.0, "alarms": "on"}, change: services(98, 98),
			want: `the first load balancer: with alarms its stack and 98 services need 202 outputs, and a stack can have 200: put 1 of its services behind another load balancer, as in {Name: "service97", LoadBalancer: "further", …}`},

		// Load balancers.
		{name: "too many at a further load balancer", context: context{"maxInstances": 100.0}, change: services(50, 99, 98),
			want: `load balancer "lb1": 99 services and the monolith need 101 target groups, and a load balancer can have 100: put 1 of its services behind another load balancer, as in {Name: "service148", LoadBalancer: "further", …}`},
		{name: "too many load balancers", change: services(1, 1, 1, 1, 1, 1),
			want: `services: 6 load balancers: the monolith is behind each of them, and an ECS service can have 5 target groups: name at most 4 beside the first one`},
		{name: "too many targets", context: context{"instanceType": "m6i.xlarge", "maxInstances": 100.0}, change: with(config.Service{Name: "tags", LoadBalancer: "shop", Paths: []string{"/t"}, Order: 5, CPU: 16, MemoryReservationMiB: 16, Tasks: 1000}),
			want: `load balancer "shop": its services and the monolith have 1001 tasks, and a load balancer can have 1000 targets: put some of its services behind another load balancer`},
		{name: "too many targets at the most", context: context{"instanceType": "m6i.xlarge", "maxInstances": 100.0}, change: with(config.Service{Name: "tags", LoadBalancer: "shop", Paths: []string{"/t"}, Order: 5, CPU: 16, MemoryReservationMiB: 16, MaxTasks: 1000}),
			want: `load balancer "shop": its services and the monolith have 1001 tasks, and a load balancer can have 1000 targets: put some of its services behind another load balancer`},
		{name: "too many targets while a service moves", context: context{"instanceType": "m6i.xlarge", "maxInstances": 100.0}, change: with(config.Service{Name: "tags", LoadBalancer: "shop", Paths: []string{"/t"}, Order: 5, CPU: 16, MemoryReservationMiB: 16, Tasks: 500, Compute: config.EC2{}, Next: config.Fargate{}}),
			want: `load balancer "shop": its services and the monolith have 1001 tasks, and a load balancer can have 1000 targets: put some of its services behind another load balancer`},
		{name: "load balancer of the monolith", change: func(d *config.Deployment) { d.Monolith.LoadBalancer = "shop" },
			want: `service "api": LoadBalancer "shop": the monolith is behind every load balancer: remove it`},
		{name: "load balancer that AWS refuses", change: with(config.Service{Name: "tags", LoadBalancer: "My-Shop", Paths: []string{"/t"}, Order: 5}),
			want: `load balancer "My-Shop": the name is refused by AWS: use lower-case letters, digits and single hyphens, beginning with a letter`},
		{name: "long name of a load balancer", change: with(config.Service{Name: "tags", LoadBalancer: "a-shop-for-everybody", Paths: []string{"/t"}, Order: 5}),
			want: `load balancer "a-shop-for-everybody": the target group's name "drop-traffic-a-shop-for-everybody" has 33 characters: at most 32 are allowed`},
		{name: "long name at a load balancer", change: with(config.Service{Name: "recommendations-for-you", LoadBalancer: "everybody", Paths: []string{"/t"}, Order: 5}),
			want: `service "recommendations-for-you": the target group's name "recommendations-for-you-everybody" has 33 characters: at most 32 are allowed`},
		{name: "long prefix", context: context{"namePrefix": "an-environment-of-ours-"},
			want: `the first load balancer: the target group's name "an-environment-of-ours-drop-traffic" has 35 characters: at most 32 are allowed`},
		{name: "target group of the monolith's name", change: func(d *config.Deployment) {
			d.Services = append(d.Services, config.Service{Name: "tags", LoadBalancer: "shop", Paths: []string{"/t"}, Order: 5}, config.Service{Name: "api-shop", Paths: []string{"/s"}, Order: 5})
		},
			want: `load balancer "shop": the target group of "api" is called "api-shop", like that of "api-shop" at the first load balancer: rename one`},
		{name: "target groups of one name", change: func(d *config.Deployment) {
			d.Services = append(d.Services, config.Service{Name: "old-tags", LoadBalancer: "shop", Paths: []string{"/t"}, Order: 5}, config.Service{Name: "old", LoadBalancer: "tags-shop", Paths: []string{"/t"}, Order: 5})
		},
			want: `load balancer "tags-shop": the target group of "old" is called "old-tags-shop", like that of "old-tags" at load balancer "shop": rename one`},
		{name: "stack of a load balancer", change: func(d *config.Deployment) {
			d.Services = append(d.Services, config.Service{Name: "tags", LoadBalancer: "shop", Paths: []string{"/t"}, Order: 5}, config.Service{Name: "routing-shop", Paths: []string{"/s"}, Order: 5})
		},
			want: `load balancer "shop": its stack is called RoutingShop, like that of service "routing-shop": rename one`},
		{name: "stacks of one name", change: func(d *config.Deployment) {
			d.Services = append(d.Services, config.Service{Name: "tags1", Paths: []string{"/t"}, Order: 5}, config.Service{Name: "tags-1", Paths: []string{"/s"}, Order: 6})
		},
			want: `service "tags-1": its stack is called Tags1, like that of service "tags1": rename one`},
		{name: "one order and one path at a load balancer", change: func(d *config.Deployment) {
			d.Services = append(d.Services, config.Service{Name: "tags", LoadBalancer: "shop", Paths: []string{"/api/users*"}, Order: 10}, config.Service{Name: "orders", LoadBalancer: "shop", Paths: []string{"/api/users/*"}, Order: 10})
		},
			want: `service "orders": Order 10 belongs to "tags" already: give each service its own` + "\n" +
				`service "orders": path "/api/users/*" never gets a request: "/api/users*" of "tags" comes first and takes it: give "orders" a lower Order`},

		// Instances.
		{name: "too few instances", context: context{"maxInstances": 12.0}, change: services(98),
			want: `maxInstances: the tasks of all services reserve 25344 CPU units and 25344 MiB, and 12 instances of type t3.small have 24576 and 24576: set it to 13 or more, or instanceType to a larger one`},
		{name: "too little memory", change: with(config.Service{Name: "tags", Paths: []string{"/t"}, Order: 5, CPU: 2, MemoryReservationMiB: 1024, Tasks: 8}),
			want: `maxInstances: the tasks of all services reserve 784 CPU units and 8960 MiB, and 4 instances of type t3.small have 8192 and 8192: set it to 5 or more, or instanceType to a larger one`},
		{name: "too few instances for the most tasks", change: with(config.Service{Name: "tags", Paths: []string{"/t"}, Order: 5, MaxTasks: 32}),
			want: `maxInstances: the tasks of all services reserve 8960 CPU units and 8960 MiB, and 4 instances of type t3.small have 8192 and 8192: set it to 5 or more, or instanceType to a larger one`},
		{name: "tasks that move to Fargate", change: with(config.Service{Name: "tags", Paths: []string{"/t"}, Order: 5, MaxTasks: 32, Compute: config.EC2{}, Next: config.Fargate{}}),
			want: `maxInstances: the tasks of all services on EC2 reserve 8960 CPU units and 8960 MiB, and 4 instances of type t3.small have 8192 and 8192: set it to 5 or more, or instanceType to a larger one`},
		{name: "tasks that move to EC2", change: with(config.Service{Name: "tags", Paths: []string{"/t"}, Order: 5, MemoryReservationMiB: 3000, Compute: config.Fargate{}, Next: config.EC2{}}),
			want: `service "tags": a task reserves 256 CPU units and 3000 MiB, and an instance of type t3.small has 2048 and 2048: set instanceType to a larger one, or reserve less`},
		{name: "tasks on Fargate, and too many on EC2", change: func(d *config.Deployment) {
			services(98)(d)
			d.Services[0].Compute = config.Fargate{}
		}, context: context{"maxInstances": 12.0},
			want: `maxInstances: the tasks of all services on EC2 reserve 25088 CPU units and 25088 MiB, and 12 instances of type t3.small have 24576 and 24576: set it to 13 or more, or instanceType to a larger one`},
		{name: "too few network interfaces", change: with(config.Service{Name: "tags", Paths: []string{"/t"}, Order: 5, Tasks: 9, CPU: 64, MemoryReservationMiB: 64, Compute: config.EC2{NetworkMode: "awsvpc"}}),
			want: `maxInstances: the tasks of all services with NetworkMode awsvpc need 9 network interfaces, and 4 instances of type t3.small have 8 for tasks: set it to 5 or more, instanceType to one with more interfaces, or put some of these services on Fargate`},
		{name: "too few network interfaces for a move away", context: context{"instanceType": "t3.micro", "maxInstances": 5.0}, change: with(config.Service{Name: "tags", Paths: []string{"/t"}, Order: 5, Tasks: 6, CPU: 64, MemoryReservationMiB: 64, Compute: config.Fargate{}, Next: config.EC2{NetworkMode: "awsvpc"}}),
			want: `maxInstances: the tasks of all services with NetworkMode awsvpc need 6 network interfaces, and 5 instances of type t3.micro have 5 for tasks: set it to 6 or more, instanceType to one with more interfaces, or put some of these services on Fargate`},
		{name: "a proxy and the limits of the containers", change: with(config.Service{Name: "tags", Paths: []string{"/t"}, Order: 5, MemoryReservationMiB: 1000, CPU: 1800, Compute: config.EC2{NetworkMode: "awsvpc"}, Discovery: []config.Discovery{config.ServiceConnect{}}}),
			want: `service "tags": a task reserves 2056 CPU units and 2064 MiB, and an instance of type t3.small has 2048 and 2048: set instanceType to a larger one, or reserve less`},
		{name: "a task too large", change: with(config.Service{Name: "tags", Paths: []string{"/t"}, Order: 5, MemoryReservationMiB: 3000}),
			want: `service "tags": a task reserves 256 CPU units and 3000 MiB, and an instance of type t3.small has 2048 and 2048: set instanceType to a larger one, or reserve less`},

		{name: "requests that nobody can send", change: func(d *config.Deployment) {
			d.Requests = []string{"/api/users", "api/users", "http://example.org/api", "/a b", "/a?b=c d", "/a#b", "/ä", "/100%", "", "/api/users"}
		},
			want: strings.Join([]string{
				`Requests: "api/users" is not a path as it is sent: it looks like "/api/users/1?full=yes", with spaces as %20`,
				`Requests: "http://example.org/api" is not a path as it is sent: it looks like "/api/users/1?full=yes", with spaces as %20`,
				`Requests: "/a b" is not a path as it is sent: it looks like "/api/users/1?full=yes", with spaces as %20`,
				`Requests: "/a?b=c d" is not a path as it is sent: it looks like "/api/users/1?full=yes", with spaces as %20`,
				`Requests: "/a#b" is not a path as it is sent: it looks like "/api/users/1?full=yes", with spaces as %20`,
				`Requests: "/ä" is not a path as it is sent: it looks like "/api/users/1?full=yes", with spaces as %20`,
				`Requests: "/100%" is not a path as it is sent: it looks like "/api/users/1?full=yes", with spaces as %20`,
				`Requests: "" is not a path as it is sent: it looks like "/api/users/1?full=yes", with spaces as %20`,
				`Requests: "/api/users" is listed twice: remove one`}, "\n")},
		{name: "too many requests", change: func(d *config.Deployment) { d.Requests = requests(10_001) },
			want: `Requests: there are 10001: at most 10000 are allowed`},

		{name: "everything at once",
			context: context{"phase": "five", "zones": 9.0, "removalPolicy": "no"},
			change:  with(config.Service{Name: "users", Order: -1}),
			want: "phase: \"five\" is not a phase: choose one of monolith, parallel, switched, retired, removed\n" +
				"removalPolicy: \"no\" is unknown: choose one of retain, destroy\n" +
				"service \"users\": Order -1: it must be from 1 to 999\n" +
				"service \"users\": it has no path: give it at least one pattern, as in \"/api/users*\"\n" +
				"service \"users\": listed twice: give each service its own name\n" +
				"zones: 9 is out of range: it must be from 2 to 3"},
	}
	testMistakes(t, slices.Concat(tests, placeMistakes, conditionMistakes, routeMistakes, testerMistakes, quotaMistakes()))
}

func testMistakes(t *testing.T, tests []mistake) {
	t.Helper()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := forum()
			if test.change != nil {
				test.change(&d)
			}
			_, _, err := config.Load(d, test.context, func(key string) string { return test.env[key] })
			if err == nil {
				t.Fatalf("no error, want %s", test.want)
			}
			got := err.Error()
			if test.name == "everything at once" {
				got = sorted(got)
			}
			if got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

func sorted(text string) string {
	lines := strings.Split(text, "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func TestDefaults(t *testing.T) {
	d, s, err := config.Load(forum(), nil, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	want := config.Settings{
		Position: migration.Position{Shift: map[string]int{}}, Env: "dev", Arch: "amd64", InstanceTypes: []string{"t3.small", "t3.medium"},
		MinInstances: 2, MaxInstances: 4, Zones: 2, NATGateways: 1, Dashboard: true, LogRetentionDays: 30, Gate: true, Front: config.NoFront, DirectAccess: true,
		DatabaseCapacity: config.Capacity{Max: 2}, DataProtection: true,
	}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	users := config.Service{
		Name: "users", Paths: []string{"/api/users*"}, Order: 10,
		Discovery: []config.Discovery{config.LoadBalancer{}}, Store: config.File{},
		Image: config.GoPackage{Dir: "services/users"}, Port: 3000, User: "65532:65532",
		HealthCheck: config.HealthCheck{Path: "/", Codes: "200", Command: []string{"CMD", "/users", "healthcheck"}, GracePeriodSeconds: 15},
		CPU:         256, MemoryReservationMiB: 256, MemoryLimitMiB: 512, Tasks: 1,
		DeregistrationDelaySeconds: 15, StopTimeoutSeconds: 20, Alarms: config.Alarms{LatencyMilliseconds: 1000, Errors: 10},
	}
	if diff := cmp.Diff(users, d.Services[0]); diff != "" {
		t.Errorf("service (-want +got):\n%s", diff)
	}
	scaling := forum()
	scaling.Services[0].MaxTasks = 2
	if d, _, err = config.Load(scaling, nil, func(string) string { return "" }); err != nil {
		t.Fatal(err)
	}
	users.MaxTasks, users.TargetCPUPercent = 2, 60
	if diff := cmp.Diff(users, d.Services[0]); diff != "" {
		t.Errorf("service that scales (-want +got):\n%s", diff)
	}
}

// Load keeps what has no default, and what a rehearsal requests.
func TestRequests(t *testing.T) {
	given := forum()
	given.Requests = append(requests(9_999), "//a/./b'(c)*?d='e'&f;g?h/")
	d, _, err := config.Load(given, nil, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(given.Requests, d.Requests); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The root service may be any microservice, in every phase. What another load balancer's services
// take, and what only a part of the root paths is, is no matter.
func TestRootService(t *testing.T) {
	for _, phase := range migration.PhaseNames() {
		given := forum()
		given.Monolith.Paths = []string{"/api*", "/v2/*"} // as many as a rule takes
		given.Services = append(given.Services,
			config.Service{Name: "web", LoadBalancer: "shop", Paths: []string{"/*"}, Order: 5}, config.Service{Name: "home", Paths: []string{"/"}, Order: 5})
		d, s, err := config.Load(given, map[string]any{"phase": phase, "rootService": "threads"}, func(string) string { return "" })
		if err != nil || d.RootService != "threads" {
			t.Fatalf("%s: %q, %v", phase, d.RootService, err)
		}
		var got []string
		for _, balancer := range d.Migration().Plan(s.Position).Balancers {
			for _, rule := range balancer.Rules {
				if rule.ID == "Root" {
					got = append(got, fmt.Sprint(balancer.Name, rule.Service, rule.Paths, rule.Targets))
				}
			}
		}
		want := []string{"threads[/ /api /api/ /v2 /v2/] [{threads 1}]"}
		if phase == "monolith" || phase == "parallel" {
			want = []string{"threads[/ /api /api/ /v2 /v2/] [{api 1}]"}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", phase, diff)
		}
		// The setting decides, whatever the list said.
		if d, _, err = config.Load(d, map[string]any{"phase": phase}, func(string) string { return "" }); err != nil || d.RootService != "" {
			t.Errorf("%s without the setting: %q, %v", phase, d.RootService, err)
		}
	}
}

// By default the limit of memory is twice what is reserved, and never below 512 MiB.
func TestMemoryLimit(t *testing.T) {
	for reserved, want := range map[int]int{0: 512, 64: 512, 256: 512, 257: 514, 1024: 2048} {
		given := forum()
		given.Services[0].MemoryReservationMiB = reserved
		d, _, err := config.Load(given, nil, func(string) string { return "" })
		if got := d.Services[0].MemoryLimitMiB; err != nil || got != want {
			t.Errorf("%d MiB reserved: a limit of %d MiB, %v, want %d", reserved, got, err, want)
		}
	}
	given := forum()
	given.Services[0].MemoryLimitMiB = 257
	if d, _, err := config.Load(given, nil, func(string) string { return "" }); err != nil || d.Services[0].MemoryLimitMiB != 257 {
		t.Errorf("a limit just above the reservation: %d MiB, %v", d.Services[0].MemoryLimitMiB, err)
	}
}

// Tasks on Fargate take no room on the instances, however large and many.
func TestFargateNeedsNoInstances(t *testing.T) {
	d := forum()
	with(config.Service{Name: "tags", Paths: []string{"/t"}, Order: 5, CPU: 4096, MemoryReservationMiB: 8192, Tasks: 100, Compute: config.Fargate{}})(&d)
	d, _ = load(t, d, nil)
	if got := d.Services[len(d.Services)-1].Compute; got != (config.Fargate{CPU: 4096, MemoryMiB: 16384, EphemeralStorageGiB: 20}) {
		t.Errorf("the tasks are %+v", got)
	}
}

// Network interfaces that just suffice. Tasks in bridge mode and on Fargate take none of the instances'.
func TestNetworkInterfaces(t *testing.T) {
	d := forum()
	with(config.Service{Name: "tags", Paths: []string{"/t"}, Order: 5, Tasks: 8, CPU: 64, MemoryReservationMiB: 64, Compute: config.EC2{NetworkMode: "awsvpc"}})(&d)
	with(config.Service{Name: "news", Paths: []string{"/n"}, Order: 6, Tasks: 8, CPU: 64, MemoryReservationMiB: 64, Compute: config.Fargate{}})(&d)
	with(config.Service{Name: "ads", Paths: []string{"/a"}, Order: 7, Tasks: 4, CPU: 64, MemoryReservationMiB: 64})(&d)
	load(t, d, nil)
}

// As many services as the quotas have room for, with the shift that they leave
// room for, and instances of which nothing is known but their number.
func TestMostServices(t *testing.T) {
	for _, test := range []struct {
		first   int // services at the first load balancer
		context map[string]any
	}{
		{98, map[string]any{"maxInstances": 62.0}},
		{98, map[string]any{"instanceType": "x9.huge"}},
		{98, map[string]any{"maxInstances": 62.0, "phase": "parallel", "shift": "service0=1,service100=1,service200=1"}},
		{97, map[string]any{"maxInstances": 62.0, "alarms": "on"}},
		{97, map[string]any{"maxInstances": 62.0, "alarms": "on", "dashboard": "off"}},
	} {
		d := forum()
		services(test.first, 98, 98, 98, 98)(&d)
		if _, _, err := config.Load(d, test.context, func(string) string { return "" }); err != nil {
			t.Errorf("%v: %v", test.context, err)
		}
	}
}

// What an environment called prod has by itself, and that each of it can be had,
// or not, in any environment.
func TestProduction(t *testing.T) {
	tests := []struct {
		name    string
		context map[string]any
		want    config.Settings // what differs from the defaults
	}{
		{"by its name", map[string]any{"env": "prod"},
			config.Settings{Env: "prod", NATGateways: 2, AccessLogs: true, DeletionProtection: true, Alarms: true, LogRetentionDays: 365, Retain: true}},
		{"in three zones", map[string]any{"env": "prod", "zones": 3.0},
			config.Settings{Env: "prod", NATGateways: 3, AccessLogs: true, DeletionProtection: true, Alarms: true, LogRetentionDays: 365, Retain: true}},
		{"as another", map[string]any{"env": "prod", "natGateways": 1.0, "accessLogs": "off", "deletionProtection": "off", "alarms": "off", "logRetentionDays": 30.0, "removalPolicy": "destroy"},
			config.Settings{Env: "prod", NATGateways: 1, LogRetentionDays: 30}},
		{"another like it", map[string]any{"natGateways": 2.0, "accessLogs": "on", "deletionProtection": "on", "alarms": "on", "logRetentionDays": 365.0, "removalPolicy": "retain"},
			config.Settings{Env: "dev", NATGateways: 2, AccessLogs: true, DeletionProtection: true, Alarms: true, LogRetentionDays: 365, Retain: true}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, s, err := config.Load(forum(), test.context, func(string) string { return "" })
			if err != nil {
				t.Fatal(err)
			}
			got := config.Settings{
				Env: s.Env, NATGateways: s.NATGateways, AccessLogs: s.AccessLogs, DeletionProtection: s.DeletionProtection, Alarms: s.Alarms,
				LogRetentionDays: s.LogRetentionDays, Retain: s.Retain,
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if s.Production() != (s.Env == "prod") {
				t.Errorf("%s is production: %v", s.Env, s.Production())
			}
		})
	}
}

func TestEverySetting(t *testing.T) {
	_, s, err := config.Load(forum(), map[string]any{
		"phase": "parallel", "shift": "users=10, threads=0", "env": "prod", "namePrefix": "prod-", "arch": "arm64",
		"minInstances": "3", "maxInstances": 9.0, "zones": "3", "natGateways": "3", "logRetentionDays": 90.0, "phaseGate": "off", "accessLogs": "off", "dashboard": "off",
		"certificateArn": "arn:aws:acm:eu-west-1:123456789012:certificate/00000000-0000-0000-0000-000000000000",
		"domain":         "api.example.com", "front": "apigateway", "scheme": "internal", "directAccess": "off", "ui": "on", "waf": "on",
		"uiDomain": "forum.example.com", "uiHostedZoneId": "Z0123456789ABCDEFGHIJ", "uiCertificateArn": "arn:aws:acm:us-east-1:123456789012:certificate/00000000-0000-0000-0000-000000000000",
		"@aws-cdk/core:aFlagOfCDK":  true,
		"vpc-provider:account=1:…":  map[string]any{},
		"aws:cdk:another:key:of:it": "",
	}, func(key string) string {
		return map[string]string{"CDK_DEFAULT_REGION": "eu-west-1", "CDK_DEFAULT_ACCOUNT": "123456789012"}[key]
	})
	if err != nil {
		t.Fatal(err)
	}
	want := config.Settings{
		Position: migration.Position{Phase: migration.Parallel, Shift: map[string]int{"users": 10, "threads": 0}}, Env: "prod", NamePrefix: "prod-", Arch: "arm64",
		InstanceTypes: []string{"t4g.small", "t4g.medium"}, MinInstances: 3, MaxInstances: 9, Zones: 3, NATGateways: 3,
		DeletionProtection: true, Alarms: true, LogRetentionDays: 90, Retain: true, DataProtection: true, DatabaseCapacity: config.Capacity{Min: 0.5, Max: 8},
		CertificateARN: "arn:aws:acm:eu-west-1:123456789012:certificate/00000000-0000-0000-0000-000000000000",
		Account:        "123456789012", Region: "eu-west-1", Front: config.APIGateway, Internal: true, UI: true, WAF: true, Domain: "api.example.com",
		UIDomain: "forum.example.com", UIHostedZoneID: "Z0123456789ABCDEFGHIJ", UICertificateARN: "arn:aws:acm:us-east-1:123456789012:certificate/00000000-0000-0000-0000-000000000000",
	}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}

func TestContextFromEnvironment(t *testing.T) {
	file := filepath.Join(t.TempDir(), "overflow.json")
	if err := os.WriteFile(file, []byte(`{"phase": "switched"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, variable, file string
		want                 map[string]any
		err                  string
	}{
		{name: "none", want: map[string]any{}},
		{name: "variable", variable: `{"phase": "retired"}`, want: map[string]any{"phase": "retired"}},
		{name: "overflow", variable: `{"env": "dev"}`, file: file, want: map[string]any{"env": "dev", "phase": "switched"}},
		{name: "not JSON", variable: `{`, err: "CDK_CONTEXT_JSON is not a JSON object"},
		{name: "no such file", file: file + "x", err: "cannot read the context"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := config.ContextFromEnvironment(func(key string) string {
				return map[string]string{"CDK_CONTEXT_JSON": test.variable, "CONTEXT_OVERFLOW_LOCATION": test.file}[key]
			})
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Fatalf("got error %v, want %q", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// The table of settings has a row for every key there is, and no other.
func TestDocumentHasEveryKey(t *testing.T) {
	text, err := os.ReadFile("../docs/settings.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for line := range strings.Lines(string(text)) {
		if key, ok := strings.CutPrefix(line, "| `"); ok {
			documented = append(documented, key[:strings.Index(key, "`")])
		}
	}
	// An unknown key is answered with all there are.
	_, _, err = config.Load(forum(), map[string]any{"none": ""}, func(string) string { return "" })
	_, known, _ := strings.Cut(err.Error(), "The keys are ")
	if diff := cmp.Diff(strings.Split(known, ", "), documented); diff != "" {
		t.Errorf("(-known +documented):\n%s", diff)
	}
}
