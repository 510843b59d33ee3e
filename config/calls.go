package config

import (
	"fmt"
	"slices"
	"strings"

	"cutover/internal/words"
	"cutover/migration"
)

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
func callVariable(service string) string { return variable(service, "URL") }

// variable is a variable about a service.
func variable(service, what string) string {
	return strings.ToUpper(strings.ReplaceAll(service, "-", "_")) + "_" + what
}

// service returns the monolith or a service by its name.
func (d Deployment) service(name string) (Service, bool) {
	if d.Existing == "" && d.Monolith.Name == name {
		return d.Monolith, true
	}
	for i := range d.Services { // a list of 490 services is asked for each of them, too often for a copy
		if d.Services[i].Name == name {
			return d.Services[i], true
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

// CalledFromInstances says whether a service in bridge mode calls the service by a name. All tasks in
// bridge mode have the security group of the instances.
func (d Deployment) CalledFromInstances(s Service) bool {
	return s.Named() && slices.ContainsFunc(d.Callers(s.Name), Service.InBridge)
}

// CallsBetweenInstances says whether services in bridge mode call each other by name.
func (d Deployment) CallsBetweenInstances() bool {
	return slices.ContainsFunc(d.All(), func(s Service) bool { return s.InBridge() && d.CalledFromInstances(s) })
}

// callsThrough says whether a service calls another one through a load balancer.
func (d Deployment) callsThrough(balancer string) bool {
	for _, caller := range d.All() {
		for _, name := range caller.Calls {
			callee, known := d.service(name)
			if known && callee.LoadBalancer == balancer && !callee.namedFirst() {
				return true
			}
		}
	}
	return false
}

// Before lists the services that are deployed before one that calls them: all but those that, by others
// or not, call it as well.
func (d Deployment) Before(s Service) (names []string) {
	for _, name := range s.Calls {
		if d.chain(name, s.Name) == nil {
			names = append(names, name)
		}
	}
	return names
}

// chain returns the shortest chain of calls from a service to another, both included; nil if there is
// none.
func (d Deployment) chain(from, to string) []string {
	before := map[string]string{from: ""}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		if queue[0] == to {
			var chain []string
			for at := to; at != ""; at = before[at] {
				chain = append([]string{at}, chain...)
			}
			return chain
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

// checkCalls refuses calls that cannot be made.
func checkCalls(d Deployment, s Settings, plan migration.Plan, refuse func(string, ...any)) {
	for _, caller := range d.All() {
		calls := caller.Calls
		if caller.Stored() { // then they have the StoreCalls, too
			calls = slices.DeleteFunc(slices.Clone(calls), func(name string) bool { return slices.Contains(caller.StoreCalls, name) })
		}
		for _, list := range []struct {
			field string
			names []string
			made  bool
		}{{"Calls", calls, true}, {"StoreCalls", caller.StoreCalls, caller.Stored()}} {
			at := func(format string, args ...any) {
				refuse("service %q: %s %s", caller.Name, list.field, fmt.Sprintf(format, args...))
			}
			for i, name := range list.names {
				callee, known := d.service(name)
				switch {
				case name == caller.Name:
					at("%q: a service does not call itself: remove it", name)
				case name == d.Monolith.Name && d.Existing != "":
					at("%q: the monolith exists already, and its address is not known here: give it in a variable of Environment", name)
				case !known:
					at("%q: there is no such service: %s", name, words.Choice(append([]string{d.Monolith.Name}, d.names()...)))
				case slices.Contains(list.names[:i], name):
					at("%q: it is listed twice: remove one", name)
				case list.field == "StoreCalls" && caller.Stored() && !callee.Stored():
					at("%q: %q keeps its records in a database, and %q in a file, which knows none of them: give both a database, or neither", name, caller.Name, name)
				case list.made:
					checkCall(d, s, caller, callee, plan, at)
				}
			}
		}
	}
	if s.Domain != "" && s.HostedZoneID == "" && s.ListenerARN == "" && !d.callsThrough("") && (s.front() == "" || s.CertificateARN == "") {
		refuse("domain: no service calls another one through the first load balancer: remove the setting, or name the call in Calls")
	}
	checkGroupRules(d, refuse)
}

func checkCall(d Deployment, s Settings, caller, callee Service, plan migration.Plan, refuse func(string, ...any)) {
	variable := callVariable(callee.Name)
	if _, given := caller.Environment[variable]; given {
		refuse("%q: Environment has %s, which is the address of %q: remove it there", callee.Name, variable, callee.Name)
	}
	if _, given := caller.Secrets[variable]; given {
		refuse("%q: Secrets have %s, which is the address of %q: remove it there", callee.Name, variable, callee.Name)
	}
	if _, connected := callee.ServiceConnect(); connected {
		for _, pair := range caller.Pairs() {
			if pair.inBridge() {
				refuse("%q: it is found by ServiceConnect, and %q is in bridge mode, where tasks have no proxy: choose Fargate, EC2 with NetworkMode awsvpc, or another way to find %q", callee.Name, pair.Name, callee.Name)
			}
		}
	}
	if chain := d.chain(callee.Name, caller.Name); chain != nil && callee.Named() {
		refuse("%q: %s call each other in a circle, and tasks find by a name only what was deployed before them: let Discovery of %q be LoadBalancer{} alone",
			callee.Name, strings.Join(append([]string{caller.Name}, chain...), " → "), callee.Name)
	}
	first := callee.Discovery[0]
	switch first.(type) {
	case LoadBalancer:
		checkBalanced(d, s, callee, refuse)
	case ServiceConnect, CloudMap: // checkWays refuses others
		leading := d.Migration().Leading(callee.Name, s.Position)
		if running(caller, plan) && plan.Tasks[leading].Count == 0 {
			refuse("%q: it is found by %s, and has no tasks in %s, in which %q has: move %q first, or let its Discovery begin with LoadBalancer{}",
				callee.Name, first.way(), s.Position, caller.Name, callee.Name)
		}
	}
}

// checkBalanced refuses a call through a load balancer that no listener answers as the caller asks.
func checkBalanced(d Deployment, s Settings, callee Service, refuse func(string, ...any)) {
	host, at := "*.elb.amazonaws.com*", named(callee.LoadBalancer)
	advice := "set domain to a name that leads to it, or "
	if callee.LoadBalancer != "" {
		advice = ""
	} else if s.Domain != "" {
		host, advice = s.Domain, ""
	}
	advice += fmt.Sprintf("let Discovery of %q begin with another way", callee.Name)
	if s.CertificateARN != "" && host != s.Domain {
		refuse("%q: %s has a certificate, which is not for the name that AWS gives it: %s", callee.Name, at, advice)
		return
	}
	if s.ListenerARN != "" && s.Domain == "" {
		refuse("%q: %s exists already, and its name is not known here: %s", callee.Name, at, advice)
		return
	}
	asked := migration.Match{Hosts: []string{host}}
	if !slices.ContainsFunc(callee.AllRoutes(), func(r Route) bool { return asked.Meets(migration.Match{Hosts: r.Hosts}) }) {
		refuse("%q: callers ask %s for the host %s, which is in Hosts of none of its routes: %s", callee.Name, at, host, advice)
	}
}

// running says whether a pair of the service has tasks in the plan.
func running(s Service, plan migration.Plan) bool {
	return slices.ContainsFunc(s.Pairs(), func(p Pair) bool { return plan.Tasks[p.Name].Count > 0 })
}

// maxGroupRules is how many inbound, and how many outbound rules a security group can have
// (https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html).
const maxGroupRules = 60

// checkGroupRules refuses more rules in one security group than AWS takes. A rule for the load balancers
// is in each group: they share a group, and in bridge mode the containers do.
func checkGroupRules(d Deployment, refuse func(string, ...any)) {
	balancers := 1
	onInstances := map[string]bool{} // pairs that reach containers in bridge mode
	for _, callee := range d.All() {
		for _, pair := range callee.Pairs() {
			if pair.AwsVPC() {
				balancers++
			}
		}
		if !callee.Named() {
			continue
		}
		from := map[string]bool{}
		for _, caller := range d.Callers(callee.Name) {
			for _, pair := range caller.Pairs() {
				if pair.inBridge() {
					pair.Name = "" // all of them have one group
				}
				from[pair.Name] = true
				if callee.InBridge() {
					onInstances[pair.Name] = true
				}
			}
		}
		if n := 1 + len(from); n > maxGroupRules && slices.ContainsFunc(callee.Pairs(), Pair.AwsVPC) {
			refuse("service %q: its callers need %d rules of its security group, and a group can have %d: let some of them go through the load balancer", callee.Name, n, maxGroupRules)
		}
	}
	if n := 1 + len(onInstances); n > maxGroupRules {
		refuse("services: callers of services in bridge mode need %d rules of the security group of the instances, and a group can have %d: let some of them go through the load balancer", n, maxGroupRules)
	}
	if balancers > maxGroupRules {
		refuse("services: the load balancers need %d rules to reach the security groups of services on Fargate or with NetworkMode awsvpc, and their group can have %d: leave some services in bridge mode on EC2", balancers, maxGroupRules)
	}
}
