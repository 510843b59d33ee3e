package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"cutover/internal/words"
	"cutover/migration"
)

// Discovery is a way in which callers find a service: [LoadBalancer], [ServiceConnect] or [CloudMap].
type Discovery interface {
	// way is the name of the type.
	way() string
}

// LoadBalancer is the way through the load balancer of the service. Its rules decide who answers, so
// calls move with the traffic of clients. Tasks are in private subnets and the load balancer has public
// addresses: calls pass a NAT gateway, which has a price for each gigabyte.
type LoadBalancer struct{}

// ServiceConnect is the way through proxies that ECS puts beside the tasks of callers and of the
// service. A proxy chooses a healthy task, and tries a failed request twice more, whatever its method.
// All of these tasks need network interfaces of their own (awsvpc).
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-connect-concepts-deploy.html
type ServiceConnect struct {
	// ProxyCPU and ProxyMemoryMiB are what the proxy of a task gets. AWS advises 512 units from 500
	// requests per second on. The proxy of a service that only calls others has the defaults. Default:
	// 256 units and 64 MiB.
	ProxyCPU, ProxyMemoryMiB int
	// RequestTimeoutSeconds is how long an answer may take. Default: 15.
	RequestTimeoutSeconds int
	// IdleTimeoutSeconds is how long a connection stays open without traffic. Default: 300.
	IdleTimeoutSeconds int
}

// CloudMap is a name of the service in the private DNS zone ENV.internal, which has healthy tasks only.
// Callers connect to tasks themselves. A task with a network interface of its own (awsvpc) has an A
// record. In bridge mode each task has a port of its own, so there is an SRV record, and the port of
// every container in bridge mode is open to all of them.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-discovery.html
type CloudMap struct {
	// TTLSeconds is how long callers may keep an answer, and so go on to ask a task that is gone.
	// Default: 10.
	TTLSeconds int
}

func (LoadBalancer) way() string   { return "LoadBalancer" }
func (ServiceConnect) way() string { return "ServiceConnect" }
func (CloudMap) way() string       { return "CloudMap" }

// Defaults of Service Connect, from the pages on its proxy and on time-outs.
const (
	proxyCPU       = 256
	proxyMemoryMiB = 64
	requestTimeout = 15
	idleTimeout    = 300
	defaultTTL     = 10
)

func (s Service) withDiscoveryDefaults() Service {
	s.Discovery = slices.Clone(s.Discovery)
	if len(s.Discovery) == 0 {
		s.Discovery = []Discovery{LoadBalancer{}}
	}
	for i, one := range s.Discovery {
		switch way := one.(type) {
		case ServiceConnect:
			way.ProxyCPU = cmp.Or(way.ProxyCPU, proxyCPU)
			way.ProxyMemoryMiB = cmp.Or(way.ProxyMemoryMiB, proxyMemoryMiB)
			way.RequestTimeoutSeconds = cmp.Or(way.RequestTimeoutSeconds, requestTimeout)
			way.IdleTimeoutSeconds = cmp.Or(way.IdleTimeoutSeconds, idleTimeout)
			s.Discovery[i] = way
		case CloudMap:
			way.TTLSeconds = cmp.Or(way.TTLSeconds, defaultTTL)
			s.Discovery[i] = way
		}
	}
	return s
}

// way returns how the service is found in one of the ways, if it is.
func way[D Discovery](s Service) (found D, ok bool) {
	for _, one := range s.Discovery {
		if found, ok = one.(D); ok {
			return found, true
		}
	}
	return found, false
}

// ServiceConnect returns how the service is found by Service Connect, if it is.
func (s Service) ServiceConnect() (ServiceConnect, bool) { return way[ServiceConnect](s) }

// CloudMap returns how the service is found by AWS Cloud Map, if it is.
func (s Service) CloudMap() (CloudMap, bool) { return way[CloudMap](s) }

// Named says whether callers find the service by a name of its own, beside the load balancer or not.
func (s Service) Named() bool {
	_, connected := s.ServiceConnect()
	_, mapped := s.CloudMap()
	return connected || mapped
}

// Proxy returns what the Service Connect proxy of a task gets, and whether there is one: the service is
// found by Service Connect, or calls one that is.
func (d Deployment) Proxy(s Service) (proxy ServiceConnect, has bool) {
	if own, ok := s.ServiceConnect(); ok {
		return own, true
	}
	for _, name := range s.Calls {
		if callee, known := d.service(name); known {
			if _, ok := callee.ServiceConnect(); ok {
				return ServiceConnect{ProxyCPU: proxyCPU, ProxyMemoryMiB: proxyMemoryMiB}, true
			}
		}
	}
	return ServiceConnect{}, false
}

// service returns the monolith or a service by its name.
func (d Deployment) service(name string) (Service, bool) {
	for _, s := range d.All() {
		if s.Name == name {
			return s, true
		}
	}
	return Service{}, false
}

// Callers lists the services that call a service, in the order of the deployment.
func (d Deployment) Callers(name string) (callers []Service) {
	for _, s := range d.All() {
		if slices.Contains(s.Calls, name) {
			callers = append(callers, s)
		}
	}
	return callers
}

// Discovered says whether any service is found in one of the ways.
func Discovered[D Discovery](d Deployment) bool {
	return slices.ContainsFunc(d.All(), func(s Service) bool { _, ok := way[D](s); return ok })
}

// Call is how a service finds another one that it calls.
type Call struct {
	// Variable is the variable with the address, as in USERS_URL.
	Variable string
	// Callee is the service that is called, and Pair the pair of it that leads.
	Callee Service
	Pair   Pair
}

// URL is the address of the pair in an environment. It is empty if the call goes through the load
// balancer, whose name AWS makes.
func (c Call) URL(env string) string {
	switch c.Callee.Discovery[0].(type) {
	case ServiceConnect:
		return fmt.Sprintf("http://%s:%d", c.Pair.Name, c.Callee.Port)
	case CloudMap:
		if c.Pair.AwsVPC() {
			return fmt.Sprintf("http://%s.%s:%d", c.Pair.Name, Zone(env), c.Callee.Port)
		}
		return fmt.Sprintf("http+srv://%s.%s", c.Pair.Name, Zone(env))
	}
	return ""
}

// Zone is the private DNS zone of an environment.
func Zone(env string) string { return env + ".internal" }

// CallsOf lists how a service finds those that it calls, in a position of the migration.
func (d Deployment) CallsOf(s Service, at migration.Position) (calls []Call) {
	m := d.Migration()
	for _, name := range s.Calls {
		callee, _ := d.service(name)
		call := Call{Variable: callVariable(name), Callee: callee}
		for _, pair := range callee.Pairs() {
			if pair.Name == m.Leading(name, at) {
				call.Pair = pair
			}
		}
		calls = append(calls, call)
	}
	return calls
}

// callVariable is the variable that has the address of a service.
func callVariable(service string) string {
	return strings.ToUpper(strings.ReplaceAll(service, "-", "_")) + "_URL"
}

// Before lists the services that are deployed before one that calls them: all but those that, by others
// or not, call it as well.
func (d Deployment) Before(s Service) (names []string) {
	for _, name := range s.Calls {
		if d.wayBack(s.Name, name) == nil {
			names = append(names, name)
		}
	}
	return names
}

// wayBack returns the shortest chain of calls from a service to another, both included; nil if there is
// none.
func (d Deployment) wayBack(to, from string) []string {
	before := map[string]string{from: ""}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		if queue[0] == to {
			var way []string
			for at := to; at != ""; at = before[at] {
				way = append([]string{at}, way...)
			}
			return way
		}
		s, _ := d.service(queue[0])
		for _, next := range s.Calls {
			if _, seen := before[next]; !seen {
				before[next] = queue[0]
				queue = append(queue, next)
			}
		}
	}
	return nil
}

// checkDiscovery refuses calls that cannot be made, and ways in which a service cannot be found.
func checkDiscovery(d Deployment, s Settings, plan migration.Plan, refuse func(string, ...any)) {
	for _, service := range d.All() {
		at := func(format string, args ...any) { refuse("service %q: %s", service.Name, fmt.Sprintf(format, args...)) }
		checkWays(service, at)
		called := map[string]bool{}
		for _, name := range service.Calls {
			callee, known := d.service(name)
			switch {
			case name == service.Name:
				at("Calls: a service does not call itself: remove %q", name)
			case !known:
				at("Calls: there is no service %q: %s", name, words.Choice(append([]string{d.Monolith.Name}, d.names()...)))
			case called[name]:
				at("Calls: %q is listed twice: remove one", name)
			default:
				checkCall(d, s, service, callee, plan, at)
			}
			called[name] = true
		}
	}
	checkGroupRules(d, refuse)
}

func checkWays(s Service, refuse func(string, ...any)) {
	listed := map[string]bool{}
	inRange := func(field string, value, low, high int) {
		if value < low || value > high {
			refuse("Discovery: %s %d: it must be from %d to %d", field, value, low, high)
		}
	}
	for i, one := range s.Discovery {
		switch way := one.(type) {
		case LoadBalancer:
		case ServiceConnect:
			inRange("ServiceConnect.ProxyCPU", way.ProxyCPU, 128, 10240)
			inRange("ServiceConnect.ProxyMemoryMiB", way.ProxyMemoryMiB, 64, 122880)
			inRange("ServiceConnect.RequestTimeoutSeconds", way.RequestTimeoutSeconds, 1, 2147483647)
			inRange("ServiceConnect.IdleTimeoutSeconds", way.IdleTimeoutSeconds, 1, 2147483647)
			if way.IdleTimeoutSeconds < way.RequestTimeoutSeconds {
				refuse("Discovery: ServiceConnect.IdleTimeoutSeconds %d ends requests before RequestTimeoutSeconds, which is %d: raise it", way.IdleTimeoutSeconds, way.RequestTimeoutSeconds)
			}
			for _, pair := range s.Pairs() {
				if !pair.AwsVPC() {
					refuse("Discovery: ServiceConnect needs tasks with a network interface of their own, and %q is in bridge mode: its proxies would have to reach the containers of an instance, which are kept apart: choose Fargate, EC2 with NetworkMode awsvpc, or another way", pair.Name)
				}
			}
		case CloudMap:
			inRange("CloudMap.TTLSeconds", way.TTLSeconds, 1, 86400)
		default:
			refuse("Discovery: number %d is no way to be found: write LoadBalancer{}, ServiceConnect{} or CloudMap{}, which are values and no pointers", i+1)
			continue
		}
		if listed[one.way()] {
			refuse("Discovery: %s is listed twice: remove one", one.way())
		}
		listed[one.way()] = true
	}
}

func checkCall(d Deployment, s Settings, caller, callee Service, plan migration.Plan, refuse func(string, ...any)) {
	variable := callVariable(callee.Name)
	if _, given := caller.Environment[variable]; given {
		refuse("Environment %s is the address of %q, which Calls names: remove it", variable, callee.Name)
	}
	if _, given := caller.Secrets[variable]; given {
		refuse("Secrets %s is the address of %q, which Calls names: remove it", variable, callee.Name)
	}
	if _, connected := callee.ServiceConnect(); connected {
		for _, pair := range caller.Pairs() {
			if !pair.AwsVPC() {
				refuse("Calls %q, which is found by ServiceConnect, and %q is in bridge mode: a caller needs a network interface of its own, too: choose Fargate, EC2 with NetworkMode awsvpc, or another way for %q", callee.Name, pair.Name, callee.Name)
			}
		}
	}
	switch callee.Discovery[0].(type) {
	case ServiceConnect, CloudMap:
	case LoadBalancer:
		if s.CertificateARN != "" && (s.Domain == "" || callee.LoadBalancer != "") {
			refuse("Calls %q through %s, whose certificate is not for the name that AWS gives the load balancer: %s", callee.Name, balancerOf(d, callee), instead(callee))
		}
		return
	default:
		return // checkWays refuses it
	}
	if way := d.wayBack(caller.Name, callee.Name); way != nil {
		refuse("Calls %q by %s, and they call each other in a circle: %s: tasks find only what was deployed before them: let Discovery of %q begin with LoadBalancer{}",
			callee.Name, callee.Discovery[0].way(), strings.Join(append([]string{caller.Name}, way...), " → "), callee.Name)
	}
	if hasTasks(caller, plan) && !hasTasks(callee, plan) {
		refuse("Calls %q by %s, and %q has no tasks in %s, in which %q runs: move %q first, or let its Discovery begin with LoadBalancer{}",
			callee.Name, callee.Discovery[0].way(), callee.Name, s.Position, caller.Name, callee.Name)
	}
}

func balancerOf(d Deployment, s Service) string {
	if s.Name == d.Monolith.Name {
		return named("")
	}
	return named(s.LoadBalancer)
}

func instead(callee Service) string {
	if callee.LoadBalancer != "" {
		return fmt.Sprintf("let Discovery of %q begin with another way", callee.Name)
	}
	return fmt.Sprintf("set domain to a name that leads to the load balancer, or let Discovery of %q begin with another way", callee.Name)
}

// hasTasks says whether a pair of the service has tasks in the plan.
func hasTasks(s Service, plan migration.Plan) bool {
	return slices.ContainsFunc(s.Pairs(), func(p Pair) bool { tasks := plan.Tasks[p.Name]; return tasks.Count > 0 })
}

// checkGroupRules refuses more rules in one security group than AWS takes.
func checkGroupRules(d Deployment, refuse func(string, ...any)) {
	out := 1 // of the load balancers: to the containers in bridge mode
	for _, service := range d.All() {
		in := 1
		for _, pair := range service.Pairs() {
			if pair.AwsVPC() {
				out++
			}
		}
		for _, caller := range d.Callers(service.Name) {
			in += len(caller.Pairs())
		}
		if in > maxGroupRules {
			refuse("service %q: its callers need %d rules of its security group, and a group can have %d: let callers go through the load balancer", service.Name, in, maxGroupRules)
		}
	}
	if out > maxGroupRules {
		refuse("services: the load balancers need %d rules to reach the security groups of services on Fargate or with NetworkMode awsvpc, and their group can have %d: leave some services in bridge mode on EC2", out, maxGroupRules)
	}
}

// maxGroupRules is how many inbound, and how many outbound rules a security group can have
// (https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html).
const maxGroupRules = 60
