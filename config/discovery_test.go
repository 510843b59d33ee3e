package config_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cutover/config"
)

type ways = []config.Discovery

var (
	connect = ways{config.ServiceConnect{}}
	mapped  = ways{config.CloudMap{}}
	own     = config.EC2{NetworkMode: "awsvpc"} // a network interface of its own
	onePort = config.Registry{Name: "example.org/tags:1"}
)

// calling lets users call threads, which is found in the ways. Both have network interfaces.
func calling(found ways, change ...func(users, threads *config.Service)) func(*config.Deployment) {
	return func(d *config.Deployment) {
		users, threads := &d.Services[0], &d.Services[1]
		users.Compute, threads.Compute = own, own
		users.Calls, threads.Discovery = []string{"threads"}, found
		for _, one := range change {
			one(users, threads)
		}
	}
}

func inParallel(more context) context {
	all := context{"phase": "parallel"}
	for key, value := range more {
		all[key] = value
	}
	return all
}

// hosts gives a service routes that take only these hosts.
func hosts(s *config.Service, each ...string) {
	s.Paths, s.Order = nil, 0
	for i, host := range each {
		s.Routes = append(s.Routes, config.Route{Name: fmt.Sprint("at", i), Order: 30 + i, Hosts: []string{host}})
	}
}

const theirCertificate = "arn:aws:acm:eu-west-1:123456789012:certificate/00000000-0000-0000-0000-000000000000"

var callMistakes = []mistake{
	{name: "unknown callee", change: func(d *config.Deployment) { d.Services[0].Calls = []string{"thread"} },
		want: `service "users": Calls "thread": there is no such service: choose from api, users, threads`},
	{name: "call of itself", change: func(d *config.Deployment) { d.Services[0].Calls = []string{"users"} },
		want: `service "users": Calls "users": a service does not call itself: remove it`},
	{name: "call of the monolith to itself", change: func(d *config.Deployment) { d.Monolith.Calls = []string{"api"} },
		want: `service "api": Calls "api": a service does not call itself: remove it`},
	{name: "call twice", change: func(d *config.Deployment) { d.Services[0].Calls = []string{"threads", "api", "threads"} },
		want: `service "users": Calls "threads": it is listed twice: remove one`},
	{name: "variable with the address", change: calling(nil, func(users, _ *config.Service) {
		users.Environment = map[string]string{"THREADS_URL": "http://elsewhere"}
	}),
		want: `service "users": Calls "threads": Environment has THREADS_URL, which is the address of "threads": remove it there`},
	{name: "secret with the address", change: calling(nil, func(users, _ *config.Service) {
		users.Secrets = map[string]config.Secret{"THREADS_URL": {Parameter: "/threads"}}
	}),
		want: `service "users": Calls "threads": Secrets have THREADS_URL, which is the address of "threads": remove it there`},
	{name: "variable with the address of a name with hyphens", change: func(d *config.Deployment) {
		with(config.Service{Name: "old-tags", Paths: []string{"/t"}, Order: 5})(d)
		d.Services[0].Calls, d.Services[0].Environment = []string{"old-tags"}, map[string]string{"OLD_TAGS_URL": "x"}
	},
		want: `service "users": Calls "old-tags": Environment has OLD_TAGS_URL, which is the address of "old-tags": remove it there`},
	{name: "caller in bridge mode", context: inParallel(nil), change: calling(connect, func(users, _ *config.Service) { users.Compute = config.EC2{} }),
		want: `service "users": Calls "threads": it is found by ServiceConnect, and "users" is in bridge mode, where tasks have no proxy: choose Fargate, EC2 with NetworkMode awsvpc, or another way to find "threads"`},
	{name: "caller that leaves bridge mode", context: inParallel(nil), change: calling(ways{config.LoadBalancer{}, config.ServiceConnect{}}, func(users, _ *config.Service) { users.Compute, users.Next = config.EC2{}, config.Fargate{} }),
		want: `service "users": Calls "threads": it is found by ServiceConnect, and "users" is in bridge mode, where tasks have no proxy: choose Fargate, EC2 with NetworkMode awsvpc, or another way to find "threads"`},
	{name: "caller on its way into bridge mode", context: inParallel(nil), change: calling(connect, func(users, _ *config.Service) {
		users.Compute, users.Next = config.Fargate{}, config.EC2{NetworkMode: "bridge"}
	}),
		want: `service "users": Calls "threads": it is found by ServiceConnect, and "users" is in bridge mode, where tasks have no proxy: choose Fargate, EC2 with NetworkMode awsvpc, or another way to find "threads"`},
	{name: "circle of two", context: inParallel(nil), change: calling(connect, func(_, threads *config.Service) { threads.Calls = []string{"users"} }),
		want: `service "users": Calls "threads": users → threads → users call each other in a circle, and tasks find by a name only what was deployed before them: let Discovery of "threads" be LoadBalancer{} alone`},
	{name: "circle with a further way", context: inParallel(nil), change: calling(ways{config.LoadBalancer{}, config.CloudMap{}}, func(_, threads *config.Service) { threads.Calls = []string{"users"} }),
		want: `service "users": Calls "threads": users → threads → users call each other in a circle, and tasks find by a name only what was deployed before them: let Discovery of "threads" be LoadBalancer{} alone`},
	{name: "circle of three", context: inParallel(nil), change: func(d *config.Deployment) {
		with(config.Service{Name: "tags", Paths: []string{"/t"}, Order: 5, Calls: []string{"users"}})(d)
		calling(mapped, func(_, threads *config.Service) { threads.Calls = []string{"api", "tags"} })(d)
	},
		want: `service "users": Calls "threads": users → threads → tags → users call each other in a circle, and tasks find by a name only what was deployed before them: let Discovery of "threads" be LoadBalancer{} alone`},
	{name: "callee without tasks", context: context{"phase": "monolith"}, change: func(d *config.Deployment) {
		d.Monolith.Calls, d.Services[0].Discovery = []string{"users"}, mapped
	},
		want: `service "api": Calls "users": it is found by CloudMap, and has no tasks in monolith, in which "api" has: move "users" first, or let its Discovery begin with LoadBalancer{}`},
	{name: "callee without tasks in its place", context: context{"phase": "users=10%,threads=monolith"}, change: calling(connect),
		want: `service "users": Calls "threads": it is found by ServiceConnect, and has no tasks in threads=monolith, users=10%, in which "users" has: move "threads" first, or let its Discovery begin with LoadBalancer{}`},
	{name: "monolith without tasks", context: context{"phase": "retired"}, change: func(d *config.Deployment) {
		d.Monolith.Discovery, d.Services[0].Calls = mapped, []string{"api"}
	},
		want: `service "users": Calls "api": it is found by CloudMap, and has no tasks in retired, in which "users" has: move "api" first, or let its Discovery begin with LoadBalancer{}`},
	{name: "monolith that is removed", context: context{"phase": "users=switched,threads=switched,api=removed"}, change: func(d *config.Deployment) {
		d.Monolith.Discovery, d.Services[0].Calls = mapped, []string{"api"}
	},
		want: `service "users": Calls "api": it is found by CloudMap, and has no tasks in threads=switched, users=switched, the monolith removed, in which "users" has: move "api" first, or let its Discovery begin with LoadBalancer{}`},
	{name: "certificate without a domain", context: context{"certificateArn": theirCertificate}, change: calling(nil),
		want: `service "users": Calls "threads": the first load balancer has a certificate, which is not for the name that AWS gives it: set domain to a name that leads to it, or let Discovery of "threads" begin with another way`},
	{name: "certificate of a further load balancer", context: context{"certificateArn": theirCertificate, "domain": "api.example.com"}, change: func(d *config.Deployment) {
		calling(nil, func(_, threads *config.Service) { threads.LoadBalancer = "press" })(d)
		d.Services[1].Calls = []string{"api"}
	},
		want: `service "users": Calls "threads": load balancer "press" has a certificate, which is not for the name that AWS gives it: let Discovery of "threads" begin with another way`},
	{name: "other hosts", change: calling(nil, func(_, threads *config.Service) { hosts(threads, "api.example.com") }),
		want: `service "users": Calls "threads": callers ask the first load balancer for the host *.elb.amazonaws.com*, which is in Hosts of none of its routes: set domain to a name that leads to it, or let Discovery of "threads" begin with another way`},
	{name: "other hosts than the domain", context: context{"domain": "www.example.com"}, change: calling(nil, func(_, threads *config.Service) { hosts(threads, "api.example.com", "*.example.org") }),
		want: `service "users": Calls "threads": callers ask the first load balancer for the host www.example.com, which is in Hosts of none of its routes: let Discovery of "threads" begin with another way`},
	{name: "other hosts at a further load balancer", context: context{"domain": "api.example.com"}, change: func(d *config.Deployment) {
		calling(nil, func(_, threads *config.Service) {
			threads.LoadBalancer = "press"
			hosts(threads, "api.example.com")
			threads.Calls = []string{"api"}
		})(d)
	},
		want: `service "users": Calls "threads": callers ask load balancer "press" for the host *.elb.amazonaws.com*, which is in Hosts of none of its routes: let Discovery of "threads" begin with another way`},
	{name: "domain without calls", context: context{"domain": "api.example.com"},
		want: `domain: no service calls another one through the first load balancer: remove the setting, or name the call in Calls`},
	{name: "domain of other calls", context: inParallel(context{"domain": "api.example.com"}), change: func(d *config.Deployment) {
		calling(connect)(d)
		with(config.Service{Name: "tags", LoadBalancer: "press", Paths: []string{"/t"}, Order: 5})(d)
		d.Services[1].Calls = []string{"tags"}
	},
		want: `domain: no service calls another one through the first load balancer: remove the setting, or name the call in Calls`},
	{name: "domain that is none", context: context{"domain": "api"}, change: calling(nil),
		want: `domain: "api" is not a DNS name: it looks like "api.example.com"`},
	{name: "domain that is a URL", context: context{"domain": "https://api.example.com"}, change: calling(nil),
		want: `domain: "https://api.example.com" is not a DNS name: it looks like "api.example.com"`},
	{name: "domain that is too long", context: context{"domain": strings.Repeat("abcdefg.", 32) + "com"}, change: calling(nil),
		want: `domain: "` + strings.Repeat("abcdefg.", 32) + `com" is not a DNS name: it looks like "api.example.com"`},
}

var wayMistakes = []mistake{
	{name: "way twice", change: calling(ways{config.CloudMap{}, config.LoadBalancer{}, config.CloudMap{TTLSeconds: 5}}),
		want: `service "threads": Discovery: CloudMap is listed twice: remove one`},
	{name: "way that is nil", change: func(d *config.Deployment) { d.Services[0].Discovery = ways{nil} },
		want: `service "users": Discovery: number 1 is no way to be found: write LoadBalancer{}, ServiceConnect{} or CloudMap{}, which are values and no pointers`},
	{name: "way that is a pointer", change: calling(ways{&config.LoadBalancer{}, (*config.CloudMap)(nil)}),
		want: "service \"threads\": Discovery: number 1 is no way to be found: write LoadBalancer{}, ServiceConnect{} or CloudMap{}, which are values and no pointers\n" +
			"service \"threads\": Discovery: number 2 is no way to be found: write LoadBalancer{}, ServiceConnect{} or CloudMap{}, which are values and no pointers"},
	{name: "Service Connect in bridge mode", change: func(d *config.Deployment) { d.Services[0].Discovery = connect },
		want: `service "users": Discovery: ServiceConnect needs tasks with a network interface of their own, and "users" is in bridge mode: its proxies would have to reach the containers of an instance, which are kept apart: choose Fargate, EC2 with NetworkMode awsvpc, or another way`},
	{name: "Service Connect on the way into bridge mode", change: func(d *config.Deployment) {
		d.Services[0].Discovery, d.Services[0].Compute, d.Services[0].Next = ways{config.LoadBalancer{}, config.ServiceConnect{}}, config.Fargate{}, config.EC2{}
	},
		want: `service "users": Discovery: ServiceConnect needs tasks with a network interface of their own, and "users" is in bridge mode: its proxies would have to reach the containers of an instance, which are kept apart: choose Fargate, EC2 with NetworkMode awsvpc, or another way`},
	{name: "least of a proxy", change: calling(ways{config.ServiceConnect{ProxyCPU: 127, ProxyMemoryMiB: 63, RequestTimeoutSeconds: -1, IdleTimeoutSeconds: -1}}), context: inParallel(nil),
		want: `service "threads": Discovery: ServiceConnect.ProxyCPU 127: it must be from 128 to 10240
service "threads": Discovery: ServiceConnect.ProxyMemoryMiB 63: it must be from 64 to 122880
service "threads": Discovery: ServiceConnect.RequestTimeoutSeconds -1: it must be from 1 to 2147483647
service "threads": Discovery: ServiceConnect.IdleTimeoutSeconds -1: it must be from 1 to 2147483647`},
	{name: "most of a proxy", change: calling(ways{config.ServiceConnect{ProxyCPU: 10241, ProxyMemoryMiB: 122881, RequestTimeoutSeconds: 1 << 31, IdleTimeoutSeconds: 1 << 31}}), context: inParallel(nil),
		want: `service "threads": Discovery: ServiceConnect.ProxyCPU 10241: it must be from 128 to 10240
service "threads": Discovery: ServiceConnect.ProxyMemoryMiB 122881: it must be from 64 to 122880
service "threads": Discovery: ServiceConnect.RequestTimeoutSeconds 2147483648: it must be from 1 to 2147483647
service "threads": Discovery: ServiceConnect.IdleTimeoutSeconds 2147483648: it must be from 1 to 2147483647`},
	{name: "connection that ends before the answer", change: calling(ways{config.ServiceConnect{RequestTimeoutSeconds: 301}}), context: inParallel(nil),
		want: `service "threads": Discovery: ServiceConnect.IdleTimeoutSeconds 300 ends requests before RequestTimeoutSeconds, which is 301: raise it`},
	{name: "records for no time", change: calling(ways{config.CloudMap{TTLSeconds: -1}}), context: inParallel(nil),
		want: `service "threads": Discovery: CloudMap.TTLSeconds -1: it must be from 1 to 86400`},
	{name: "records for more than a day", change: calling(ways{config.CloudMap{TTLSeconds: 86401}}), context: inParallel(nil),
		want: `service "threads": Discovery: CloudMap.TTLSeconds 86401: it must be from 1 to 86400`},
	{name: "stack of the names", change: func(d *config.Deployment) {
		with(config.Service{Name: "discovery", Paths: []string{"/d"}, Order: 5})(d)
		d.Services[0].Compute, d.Services[0].Discovery = own, connect
	},
		want: `the namespace of Service Connect: its stack is called Discovery, like that of service "discovery": rename one`},
	{name: "stack of the zone", change: func(d *config.Deployment) {
		with(config.Service{Name: "zone", Paths: []string{"/d"}, Order: 5, Discovery: mapped})(d)
	},
		want: `the DNS zone of AWS Cloud Map: its stack is called Zone, like that of service "zone": rename one`},
	{name: "proxy on Fargate", change: func(d *config.Deployment) {
		d.Services[0].Discovery, d.Services[0].Compute = connect, config.Fargate{CPU: 256, MemoryMiB: 1024}
	},
		want: `service "users": Compute: no size of Fargate with CPU 256 and MemoryMiB 1024 holds the containers and the proxy of Service Connect, which reserve 512 CPU units and may use 576 MiB: raise the size, or lower what the containers have (0 is the smallest size that fits)`},
	{name: "proxy of a caller on Fargate", context: inParallel(nil), change: calling(connect, func(users, _ *config.Service) { users.Compute = config.Fargate{CPU: 512, MemoryMiB: 512} }),
		want: `service "users": Compute: no size of Fargate with CPU 512 and MemoryMiB 512 holds the containers and the proxy of Service Connect, which reserve 512 CPU units and may use 576 MiB: raise the size, or lower what the containers have (0 is the smallest size that fits)`},
}

var networkMistakes = []mistake{
	{name: "change of the network mode back", change: func(d *config.Deployment) { d.Services[0].Compute, d.Services[0].Next = own, config.EC2{} },
		want: `service "users": Next: the service is on ec2 already: to change NetworkMode, move it to Fargate and then back`},
	{name: "same network mode", change: func(d *config.Deployment) {
		d.Services[0].Compute, d.Services[0].Next = config.EC2{}, config.EC2{NetworkMode: "bridge"}
	},
		want: `service "users": Next: the service is on ec2 already: choose another compute, or remove Next`},
	{name: "ports that containers share", change: func(d *config.Deployment) {
		d.Services[0].Compute = own
		d.Services[0].Sidecars = []config.Container{{Name: "a", Image: onePort, Ports: []int{80, 3000}, UDPPorts: []int{53}}, {Name: "b", Image: onePort, Ports: []int{53}, UDPPorts: []int{80, 53}}}
	},
		want: "service \"users\": sidecar \"a\": TCP port 3000 is that of container \"users\": on Fargate and with NetworkMode awsvpc, the containers of a task have one address: choose another port\n" +
			"service \"users\": sidecar \"b\": UDP port 53 is that of container \"a\": on Fargate and with NetworkMode awsvpc, the containers of a task have one address: choose another port"},
	{name: "port that containers will share", change: func(d *config.Deployment) {
		d.Services[0].Compute, d.Services[0].Next = config.EC2{}, config.Fargate{}
		d.Services[0].Sidecars = []config.Container{{Name: "a", Image: onePort, Ports: []int{3000}}}
	},
		want: `service "users": sidecar "a": TCP port 3000 is that of container "users": on Fargate and with NetworkMode awsvpc, the containers of a task have one address: choose another port`},
}

// crowd has so many services that call users by a name, and so many that call it in bridge mode.
func crowd(withInterface, inBridge int, found ways) func(*config.Deployment) {
	return func(d *config.Deployment) {
		d.Services[0].Compute, d.Services[0].Discovery = own, found
		for i := range withInterface + inBridge {
			s := config.Service{Name: fmt.Sprintf("caller%d", i), Paths: []string{fmt.Sprintf("/c%d", i)}, Order: 100 + i, CPU: 2, MemoryReservationMiB: 16, MemoryLimitMiB: 32, Calls: []string{"users"}}
			if i < withInterface {
				s.Compute = own
			}
			d.Services = append(d.Services, s)
		}
	}
}

var roomy = context{"instanceType": "m6i.4xlarge", "maxInstances": 100.0, "phase": "parallel"}

func TestMistakesOfDiscovery(t *testing.T) {
	testMistakes(t, slices.Concat(callMistakes, wayMistakes, networkMistakes))
}

// TestGroupRules: a security group has 60 rules in each direction. Callers in bridge mode share one.
func TestGroupRules(t *testing.T) {
	onFargate := func(n int, change func(*config.Deployment)) func(*config.Deployment) {
		return func(d *config.Deployment) {
			change(d)
			for i := range n {
				with(config.Service{Name: fmt.Sprintf("more%d", i), LoadBalancer: "further", Paths: []string{fmt.Sprintf("/m%d", i)}, Order: 1 + i, Compute: config.Fargate{}})(d)
			}
		}
	}
	moving := func(change func(*config.Deployment)) func(*config.Deployment) {
		return func(d *config.Deployment) {
			change(d)
			d.Services[len(d.Services)-1].Compute, d.Services[len(d.Services)-1].Next = config.EC2{}, config.Fargate{}
		}
	}
	callee := func(compute config.Compute, change func(*config.Deployment)) func(*config.Deployment) {
		return func(d *config.Deployment) {
			change(d)
			d.Services[0].Compute = compute
		}
	}
	const (
		inbound   = `service "users": its callers need 61 rules of its security group, and a group can have 60: let some of them go through the load balancer`
		instances = `services: callers of services in bridge mode need 61 rules of the security group of the instances, and a group can have 60: let some of them go through the load balancer`
		outbound  = `services: the load balancers need 61 rules to reach the security groups of services on Fargate or with NetworkMode awsvpc, and their group can have 60: leave some services in bridge mode on EC2`
	)
	for _, test := range []struct {
		name   string
		change func(*config.Deployment)
		want   string
	}{
		{"58 callers and those in bridge mode", crowd(58, 20, mapped), ""},
		{"58 callers with interfaces", crowd(58, 0, mapped), ""},
		{"a caller that moves away from bridge mode has both", moving(crowd(57, 2, mapped)), ""},
		{"callers through the load balancer", crowd(10, 80, nil), ""},
		{"58 callers with interfaces, and one that leaves bridge mode", moving(crowd(58, 1, mapped)), inbound + "\n" + outbound},
		{"59 services with interfaces", onFargate(59, func(*config.Deployment) {}), ""},
		{"60 services with interfaces", onFargate(60, func(*config.Deployment) {}), outbound},
		{"two pairs with interfaces", onFargate(58, func(d *config.Deployment) { d.Services[0].Compute, d.Services[0].Next = own, config.Fargate{} }), outbound},
		{"59 callers of a service in bridge mode", callee(nil, crowd(59, 0, mapped)), ""},
		{"59 callers of a service in bridge mode, and one in it", callee(nil, crowd(59, 1, mapped)), instances},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := forum()
			test.change(&d)
			_, _, err := config.Load(d, roomy, func(string) string { return "" })
			if got := fmt.Sprint(err); got != cmpOr(test.want) {
				t.Errorf("got\n%s\nwant\n%s", got, cmpOr(test.want))
			}
		})
	}
}

// TestOutputsForCallers: the stack of a load balancer tells callers its DNS name by an output.
func TestOutputsForCallers(t *testing.T) {
	for _, test := range []struct {
		first, further int
		context        context
		callee         string
		refused        bool
	}{
		{97, 98, nil, "service0", true},
		{97, 98, context{"domain": "api.example.com"}, "service0", false},
		{97, 98, nil, "service97", true},
		{97, 97, nil, "service97", false},
		{96, 98, nil, "service0", false},
	} {
		d := forum()
		services(test.first, test.further)(&d)
		d.Services[1].Calls = []string{test.callee}
		all := context{"maxInstances": 62.0, "alarms": "on"}
		for key, value := range test.context {
			all[key] = value
		}
		_, _, err := config.Load(d, all, func(string) string { return "" })
		if refused := err != nil && strings.Contains(err.Error(), "need 201 outputs, and a stack can have 200"); refused != test.refused || err != nil && !refused {
			t.Errorf("%+v: %v", test, err)
		}
	}
}

// cmpOr is how no error is printed.
func cmpOr(want string) string {
	if want == "" {
		return "<nil>"
	}
	return want
}

// TestAddresses: a caller's variables have the first way to find each callee, and the pair that leads.
func TestAddresses(t *testing.T) {
	moving := func(found ways, compute, next config.Compute) func(*config.Deployment) {
		return calling(found, func(_, threads *config.Service) { threads.Compute, threads.Next, threads.Port = compute, next, 8080 })
	}
	for _, test := range []struct {
		name    string
		context context
		change  func(*config.Deployment)
		want    string
	}{
		{"load balancer", nil, calling(nil), "THREADS_URL= at threads"},
		{"load balancer first", inParallel(nil), calling(ways{config.LoadBalancer{}, config.ServiceConnect{}}), "THREADS_URL= at threads"},
		{"Service Connect", inParallel(nil), calling(connect), "THREADS_URL=http://threads:3000 at threads"},
		{"A records", inParallel(context{"env": "staging"}), calling(mapped), "THREADS_URL=http://threads.staging.internal:3000 at threads"},
		{"SRV records", inParallel(nil), calling(mapped, func(_, threads *config.Service) { threads.Compute = nil }), "THREADS_URL=http+srv://threads.dev.internal at threads"},
		{"on Fargate", inParallel(nil), moving(connect, config.Fargate{}, nil), "THREADS_URL=http://threads-fargate:8080 at threads-fargate"},
		{"before the switch to Fargate", inParallel(context{"compute": "threads=90%"}), moving(mapped, config.EC2{}, config.Fargate{}), "THREADS_URL=http+srv://threads.dev.internal at threads"},
		{"after the switch to Fargate", inParallel(context{"compute": "threads=switched"}), moving(mapped, config.EC2{}, config.Fargate{}), "THREADS_URL=http://threads-fargate.dev.internal:8080 at threads-fargate"},
		{"after the switch from Fargate", inParallel(context{"compute": "threads=retired"}), moving(connect, config.Fargate{}, own), "THREADS_URL=http://threads:8080 at threads"},
		{"two callees, in the order of Calls", context{"phase": "switched"}, func(d *config.Deployment) {
			calling(connect)(d)
			with(config.Service{Name: "old-tags", Paths: []string{"/t"}, Order: 5, Discovery: mapped})(d)
			d.Services[0].Calls = []string{"threads", "old-tags", "api"}
		}, "THREADS_URL=http://threads:3000 at threads, OLD_TAGS_URL=http+srv://old-tags.dev.internal at old-tags, API_URL= at api"},
	} {
		d := forum()
		test.change(&d)
		d, s := load(t, d, test.context)
		var all []string
		for _, call := range d.CallsOf(d.Services[0], s.Position) {
			all = append(all, fmt.Sprintf("%s=%s at %s", call.Variable, call.URL(s.Env), call.Pair.Name))
		}
		if got := strings.Join(all, ", "); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}

// TestCalledByName: what is deployed first, and who reaches whom by a name.
func TestCalledByName(t *testing.T) {
	d := forum()
	with(config.Service{Name: "tags", Paths: []string{"/t"}, Order: 5, Calls: []string{"users", "threads"}})(&d)
	with(config.Service{Name: "web", Paths: []string{"/w"}, Order: 6, Calls: []string{"tags", "api"}})(&d)
	with(config.Service{Name: "mail", Paths: []string{"/m"}, Order: 7, Compute: config.Fargate{}, Calls: []string{"users"}})(&d)
	d.Monolith.Calls = []string{"threads", "web"}
	d.Services[0].Discovery = mapped
	d, _ = load(t, d, inParallel(nil))
	names := func(all []config.Service) (names []string) {
		for _, s := range all {
			names = append(names, s.Name)
		}
		return names
	}
	before := map[string][]string{}
	for _, s := range d.All() {
		if first := d.Before(s); first != nil {
			before[s.Name] = first
		}
	}
	// api and web call each other, web by api and api by web.
	want := map[string][]string{"api": {"threads"}, "web": {"tags"}, "tags": {"users", "threads"}, "mail": {"users"}}
	if diff := cmp.Diff(want, before); diff != "" {
		t.Errorf("deployed before (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"api", "tags"}, names(d.Callers("threads"))); diff != "" {
		t.Errorf("callers (-want +got):\n%s", diff)
	}
	if !d.CalledFromInstances(service(d, "users")) || d.CalledFromInstances(service(d, "threads")) || !d.CallsBetweenInstances() {
		t.Error("tags calls users by name from an instance, and threads through the load balancer")
	}
	// Nobody on an instance calls users by name any more.
	d.Services[2].Compute = own
	if d.CalledFromInstances(service(d, "users")) || d.CallsBetweenInstances() {
		t.Error("a task with an interface of its own has not the security group of the instances")
	}
	// On the way to Fargate a pair of the caller is still on an instance, and the callee is not.
	d.Services[2].Compute, d.Services[2].Next, d.Services[0].Compute = nil, config.Fargate{}, own
	if !d.CalledFromInstances(service(d, "users")) || d.CallsBetweenInstances() {
		t.Error("tags calls users, which is on no instance, from an instance")
	}
}

// TestProxies: a service that is found by Service Connect has a proxy, and each that calls it.
func TestProxies(t *testing.T) {
	d := forum()
	calling(ways{config.LoadBalancer{}, config.ServiceConnect{ProxyCPU: 512, ProxyMemoryMiB: 100}}, func(users, threads *config.Service) {
		users.Compute, threads.Compute = config.Fargate{}, config.Fargate{CPU: 1024}
	})(&d)
	with(config.Service{Name: "tags", Paths: []string{"/t"}, Order: 5, Discovery: mapped, Compute: own})(&d)
	d.Services[0].Calls = []string{"api", "tags", "threads"}
	d, _ = load(t, d, inParallel(nil))
	got := map[string][]any{}
	for _, s := range d.All() {
		proxy, has := d.Proxy(s)
		cpu, memory := d.Needs(s)
		got[s.Name] = []any{has, proxy.ProxyCPU, proxy.ProxyMemoryMiB, cpu, memory}
	}
	want := map[string][]any{
		"api": {false, 0, 0, 256, 512}, "tags": {false, 0, 0, 256, 512},
		"users": {true, 256, 64, 512, 576}, "threads": {true, 512, 100, 768, 612},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("proxies, and what a task needs (-want +got):\n%s", diff)
	}
	sizes := []config.Compute{config.Fargate{CPU: 512, MemoryMiB: 1024, EphemeralStorageGiB: 20}, config.Fargate{CPU: 1024, MemoryMiB: 2048, EphemeralStorageGiB: 20}}
	if diff := cmp.Diff(sizes, []config.Compute{d.Services[0].Compute, d.Services[1].Compute}); diff != "" {
		t.Errorf("sizes on Fargate (-want +got):\n%s", diff)
	}
	for i, s := range []config.Discovery{config.ServiceConnect{ProxyCPU: 512, ProxyMemoryMiB: 100, RequestTimeoutSeconds: 15, IdleTimeoutSeconds: 300}} {
		if got := d.Services[1].Discovery[1+i]; got != s {
			t.Errorf("%+v, want %+v", got, s)
		}
	}
	if got, _ := service(d, "tags").CloudMap(); got != (config.CloudMap{TTLSeconds: 10}) {
		t.Errorf("%+v", got)
	}
}

// TestDiscoveryIsTaken: what is not refused.
func TestDiscoveryIsTaken(t *testing.T) {
	for name, test := range map[string]struct {
		context context
		change  func(*config.Deployment)
	}{
		"circle through the load balancer": {nil, calling(nil, func(_, threads *config.Service) { threads.Calls = []string{"users"} })},
		"a name that nobody calls":         {nil, func(d *config.Deployment) { d.Services[0].Discovery = mapped }},
		"neither has tasks":                {context{"phase": "monolith"}, calling(connect)},
		"the monolith is called":           {context{"phase": "monolith"}, func(d *config.Deployment) { d.Monolith.Discovery, d.Services[0].Calls = mapped, []string{"api"} }},
		"the monolith is switched off, and called through the load balancer": {context{"phase": "removed"}, func(d *config.Deployment) {
			d.Monolith.Discovery, d.Services[0].Calls = ways{config.LoadBalancer{}, config.CloudMap{}}, []string{"api"}
		}},
		"callee that scales":           {context{"phase": "switched"}, calling(connect, func(_, threads *config.Service) { threads.MaxTasks = 3 })},
		"certificate and domain":       {context{"certificateArn": theirCertificate, "domain": "api.example.com"}, calling(nil)},
		"certificate, and names":       {inParallel(context{"certificateArn": theirCertificate}), calling(ways{config.CloudMap{}, config.LoadBalancer{}})},
		"domain without a certificate": {context{"domain": "a." + strings.Repeat("abcdefg.", 30) + "example.com"}, calling(nil)},
		"domain in Hosts":              {context{"domain": "api.example.com"}, calling(nil, func(_, threads *config.Service) { hosts(threads, "www.example.com", "*.EXAMPLE.com") })},
		"any load balancer in Hosts":   {nil, calling(nil, func(_, threads *config.Service) { hosts(threads, "*.eu-west-1.elb.amazonaws.com") })},
		"load balancer in China":       {nil, calling(nil, func(_, threads *config.Service) { hosts(threads, "*.elb.amazonaws.com.cn") })},
		"most of a way":                {inParallel(context{"instanceType": "m6i.4xlarge"}), calling(ways{config.ServiceConnect{ProxyCPU: 10240, ProxyMemoryMiB: 64, RequestTimeoutSeconds: 1<<31 - 1, IdleTimeoutSeconds: 1<<31 - 1}, config.CloudMap{TTLSeconds: 86400}})},
		"least of a way":               {inParallel(nil), calling(ways{config.ServiceConnect{ProxyCPU: 128, RequestTimeoutSeconds: 1, IdleTimeoutSeconds: 1}, config.CloudMap{TTLSeconds: 1}})},
		"same port of two containers in bridge mode": {nil, func(d *config.Deployment) {
			d.Services[0].Sidecars = []config.Container{{Name: "a", Image: onePort, Ports: []int{3000}}}
		}},
		"same port of two protocols": {nil, func(d *config.Deployment) {
			d.Services[0].Compute = own
			d.Services[0].Sidecars = []config.Container{{Name: "a", Image: onePort, UDPPorts: []int{3000}}}
		}},
		"from a network interface to Fargate": {nil, func(d *config.Deployment) { d.Services[0].Compute, d.Services[0].Next = own, config.Fargate{} }},
		"from Fargate into bridge mode":       {nil, func(d *config.Deployment) { d.Services[0].Compute, d.Services[0].Next = config.Fargate{}, config.EC2{} }},
		"services called discovery and zone":  {nil, with(config.Service{Name: "discovery", Paths: []string{"/d"}, Order: 5}, config.Service{Name: "zone", Paths: []string{"/z"}, Order: 6})},
	} {
		t.Run(name, func(t *testing.T) {
			d := forum()
			test.change(&d)
			load(t, d, test.context)
		})
	}
}

// TestLinkedInBridgeMode: containers with one address need no link.
func TestLinkedInBridgeMode(t *testing.T) {
	for compute, want := range map[config.Compute]bool{nil: true, own: false, config.Fargate{}: false} {
		d := forum()
		d.Services[0].Compute = compute
		d.Services[0].Sidecars = []config.Container{{Name: "cache", Image: onePort, Ports: []int{80}}}
		d.Services[0].DependsOn = []config.Dependency{{Container: "cache"}}
		d, _ = load(t, d, nil)
		if d.Linked() != want {
			t.Errorf("%#v: linked %v, want %v", compute, d.Linked(), want)
		}
	}
}
