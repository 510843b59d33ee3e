// Package deployable says of the resources of an assembly what AWS refuses to create, and what AWS
// creates that never runs. What is wrong with a value on its own is a problem of the model already;
// this package looks at resources together.
package deployable

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"cutover/internal/assembly"
	"cutover/internal/model"
	"cutover/internal/words"
)

// Fixed quotas of AWS.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-limits.html
const (
	maxGroups        = 100 // of a load balancer
	maxServiceGroups = 5   // of an ECS service: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/register-multiple-targetgroups.html
)

// Refused says what AWS refuses to create: a line for each resource, with its place. What exists already is not created.
func Refused(m *model.Model) error {
	var errs []error
	all, forwarded := listeners(m), attached(m)
	for i, l := range all {
		if !l.Existing() {
			errs = append(errs, listenerErrors(l, all[:i]))
		}
	}
	var balancers, targetGroups []*model.Base
	for _, lb := range m.LoadBalancers {
		if !lb.Existing() {
			errs = append(errs, balancerErrors(m, lb))
		}
		if groups := len(forwarded[lb.Key()]); lb.Application() && groups > maxGroups {
			errs = append(errs, lb.Resource.Errorf("", "AWS refuses %d target groups: a load balancer can have %d", groups, maxGroups))
		}
		balancers = append(balancers, &lb.Base)
	}
	for _, g := range m.TargetGroups {
		if !g.Existing() {
			errs = append(errs, nameError(&g.Base, "target group"), missing(m, g))
		}
		targetGroups = append(targetGroups, &g.Base)
	}
	errs = append(errs, groupErrors(m, forwarded))
	errs = append(errs, duplicates(balancers, "load balancer", "Name")...)
	errs = append(errs, duplicates(targetGroups, "target group", "Name")...)
	isForwarded := func(*model.TargetGroup) bool { return true }
	if !unreadable(m) {
		groups := slices.Concat(slices.Collect(maps.Values(forwarded))...)
		isForwarded = func(g *model.TargetGroup) bool { return slices.Contains(groups, g) }
	}
	for i, s := range m.Services {
		errs = append(errs, serviceErrors(s, isForwarded), serviceNameError(s, m.Services[:i]))
	}
	for _, c := range m.Clusters {
		errs = append(errs, ecsNameError(c.Resource, "ClusterName", c.Resource.Properties["ClusterName"]))
	}
	for _, d := range m.TaskDefinitions {
		errs = append(errs, taskErrors(d), containerErrors(d))
	}
	var tables, clusters []*model.Base
	for _, t := range m.Tables {
		errs, tables = append(errs, tableErrors(t)), append(tables, &t.Base)
	}
	for _, c := range m.DatabaseClusters {
		errs, clusters = append(errs, clusterErrors(c)), append(clusters, &c.Base)
	}
	errs = append(errs, duplicates(tables, "table", "TableName")...)
	errs = append(errs, duplicates(clusters, "database cluster", "DBClusterIdentifier")...)
	errs = append(errs, apiErrors(m), ended(m))
	return assembly.Join(errs...)
}

// ended refuses what AWS no longer creates.
func ended(m *model.Model) error {
	for _, stack := range m.Assembly.Stacks {
		for _, r := range stack.Resources {
			if exists, err := r.Exists(m.Assembly); strings.HasPrefix(r.Type, model.Ended) && (err != nil || exists) {
				return fmt.Errorf("%v: AWS has ended App Mesh on 2026-09-30: let services find each other by Service Connect, and remove all %s resources", r, strings.TrimSuffix(model.Ended, "::"))
			}
		}
	}
	return nil
}

// listeners are those of Application Load Balancers.
func listeners(m *model.Model) []*model.Listener {
	return slices.DeleteFunc(slices.Clone(m.Listeners), func(l *model.Listener) bool { return !l.Application() })
}

// listenerErrors: a load balancer has one listener on a port, and an HTTPS listener has exactly one
// default certificate ("CreateListener",
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateListener.html).
func listenerErrors(l *model.Listener, before []*model.Listener) error {
	var errs []error
	for _, other := range before {
		if l.Port != 0 && l.Port == other.Port && l.LoadBalancerID != "" && l.LoadBalancerID == other.LoadBalancerID {
			errs = append(errs, l.Errorf("Port", "AWS refuses a second listener on port %d of one load balancer; the first one is %v", l.Port, other.Resource))
		}
	}
	if l.Protocol == "HTTPS" && l.Certificates != 1 && l.Problem("Certificates") == nil {
		errs = append(errs, l.Errorf("Certificates", "AWS refuses an HTTPS listener with %d default certificates: it needs exactly one", l.Certificates))
	}
	return assembly.Join(errs...)
}

// balancerErrors: an Application Load Balancer has subnets in two zones or more, named once
// ("CreateLoadBalancer",
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateLoadBalancer.html).
func balancerErrors(m *model.Model, lb *model.LoadBalancer) error {
	errs := []error{nameError(&lb.Base, "load balancer")}
	if name, _ := lb.Resource.Properties["Name"].(string); strings.HasPrefix(name, "internal-") {
		errs = append(errs, lb.Errorf("Name", `AWS refuses %q: the name of a load balancer cannot begin with "internal-"`, name))
	}
	for _, one := range []struct {
		property string
		values   []string
	}{{"Scheme", []string{"internet-facing", "internal"}}, {"IpAddressType", []string{"ipv4", "dualstack", "dualstack-without-public-ipv4"}}} {
		if value, ok := lb.Resource.Properties[one.property].(string); ok && !slices.Contains(one.values, value) {
			errs = append(errs, lb.Errorf(one.property, "AWS refuses %q: %s", value, words.Choice(one.values)))
		}
	}
	subnets, known1 := has(m, lb.Resource, "Subnets")
	if mappings, known2 := has(m, lb.Resource, "SubnetMappings"); known1 && known2 && subnets == mappings {
		errs = append(errs, lb.Errorf("Subnets", "AWS refuses a load balancer unless it has one of Subnets and SubnetMappings"))
	}
	if lb.Application() && len(lb.Subnets) == 1 {
		errs = append(errs, lb.Errorf("Subnets", "AWS refuses one subnet: an Application Load Balancer needs subnets in two zones or more"))
	}
	return assembly.Join(errs...)
}

// attached are the target groups that listeners and rules forward to, by load balancer.
func attached(m *model.Model) map[string][]*model.TargetGroup {
	groups := map[string][]*model.TargetGroup{}
	add := func(balancer string, action model.Action) {
		for _, w := range action.Forward {
			if !slices.Contains(groups[balancer], w.TargetGroup) {
				groups[balancer] = append(groups[balancer], w.TargetGroup)
			}
		}
	}
	for _, l := range m.Listeners {
		add(l.LoadBalancerID, l.Default.Action)
	}
	for _, r := range m.Rules {
		balancer := ""
		if r.Listener != nil {
			balancer = r.Listener.LoadBalancerID
		}
		add(balancer, r.Action)
	}
	return groups
}

// unreadable says whether an action cannot be read, or may be elsewhere, so that it may forward to any
// target group.
func unreadable(m *model.Model) bool {
	return len(m.Assembly.Resources(model.CloudFormationStack)) > 0 ||
		slices.ContainsFunc(m.Assembly.Stacks, func(s *assembly.Stack) bool { return s.Macros() != nil }) ||
		slices.ContainsFunc(m.Listeners, func(l *model.Listener) bool { return l.Problem("DefaultActions") != nil }) ||
		slices.ContainsFunc(m.Rules, func(r *model.Rule) bool { return r.Problem("Actions") != nil })
}

// groupErrors: a target group is attached to one load balancer, of its own kind.
func groupErrors(m *model.Model, forwarded map[string][]*model.TargetGroup) error {
	var errs []error
	owner := map[*model.TargetGroup]string{}
	for _, l := range m.Listeners { // in the order of the templates
		for _, group := range forwarded[l.LoadBalancerID] {
			if l.LoadBalancerID == "" {
				continue
			}
			first, taken := owner[group]
			if !taken {
				owner[group] = l.LoadBalancerID
			} else if first != l.LoadBalancerID {
				errs = append(errs, group.Resource.Errorf("", "AWS refuses a target group at two load balancers, %s and %s", first, l.LoadBalancerID))
			}
			if l.Application() && !group.Application() {
				errs = append(errs, group.Errorf("Protocol", "AWS refuses a target group of protocol %s at the Application Load Balancer of %v", group.Protocol, l.Resource))
			}
		}
	}
	return assembly.Join(errs...)
}

// missing: a target group has a protocol, a port and a VPC, unless its target is a Lambda function
// ("CreateTargetGroup",
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateTargetGroup.html).
func missing(m *model.Model, g *model.TargetGroup) error {
	var errs []error
	for _, property := range []string{"Port", "Protocol", "VpcId"} {
		if set, known := has(m, g.Resource, property); known && !set && g.TargetType != "lambda" {
			errs = append(errs, g.Errorf(property, "AWS refuses a target group of type %s without it", g.TargetType))
		}
	}
	return assembly.Join(errs...)
}

// has says whether a property is set, and whether that is known before a deployment.
func has(m *model.Model, r *assembly.Resource, property string) (set, known bool) {
	value, err := r.Resolve(m.Assembly, property)
	return value != nil, err == nil || r.Properties[property] == nil
}

// legalName is what names of load balancers and target groups may be ("CreateLoadBalancer",
// "CreateTargetGroup").
var legalName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,30}[A-Za-z0-9])?$`)

func nameError(b *model.Base, what string) error {
	if name, ok := b.Resource.Properties["Name"].(string); ok && !legalName.MatchString(name) {
		return b.Errorf("Name", "AWS refuses %q: the name of a %s can have 32 letters, digits and hyphens, and no hyphen at its ends", name, what)
	}
	return nil
}

// duplicates: a name is unique in an account and region.
func duplicates(all []*model.Base, what, property string) []error {
	type place struct{ account, region, name string }
	named := map[place]*model.Base{}
	var errs []error
	for _, one := range all {
		name, ok := one.Resource.Properties[property].(string)
		at := place{one.Resource.Stack.Account, one.Resource.Stack.Region, name}
		switch first := named[at]; {
		case !ok:
		case first == nil:
			named[at] = one
		default:
			errs = append(errs, one.Errorf(property, "AWS refuses a second %s called %q; the first one is %v", what, name, first.Resource))
		}
	}
	return errs
}

// serviceErrors: ECS creates a service only if a load balancer forwards to its target groups, which
// have the type that the tasks' network mode wants ("Use load balancing to distribute Amazon ECS
// service traffic", https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-load-balancing.html).
func serviceErrors(s *model.Service, isForwarded func(*model.TargetGroup) bool) error {
	var errs []error
	if n := len(s.LoadBalancers); n > maxServiceGroups {
		errs = append(errs, s.Errorf("LoadBalancers", "AWS refuses %d target groups: a service can have %d", n, maxServiceGroups))
	}
	errs = append(errs, networkError(s))
	for i, at := range s.LoadBalancers {
		group, property := at.TargetGroup, fmt.Sprintf("LoadBalancers[%d]", i)
		if group == nil {
			continue
		}
		if !isForwarded(group) {
			errs = append(errs, s.Errorf(property, "AWS refuses the service: target group %s does not have an associated load balancer, because no listener and no rule forwards to it", group.Key()))
		}
		if d := s.TaskDefinition; d != nil && group.Problem("TargetType") == nil && d.Problem("NetworkMode") == nil {
			want := "instance"
			if d.NetworkMode == "awsvpc" {
				want = "ip"
			}
			if group.TargetType != want {
				errs = append(errs, s.Errorf(property, "AWS refuses the service: tasks in network mode %s need target type %s, and %s has %s", d.NetworkMode, want, group.Key(), group.TargetType))
			}
		}
	}
	return assembly.Join(errs...)
}

// networkError: tasks on Fargate have an interface of their own, and a service of such tasks says where it is
// ("NetworkConfiguration", https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_CreateService.html).
func networkError(s *model.Service) error {
	d := s.TaskDefinition
	if d == nil || d.Problem("NetworkMode") != nil {
		return nil
	}
	onFargate := func(provider string) bool { return strings.HasPrefix(provider, "FARGATE") }
	if d.NetworkMode != "awsvpc" && (s.LaunchType == "FARGATE" || slices.ContainsFunc(s.CapacityProviders, onFargate)) {
		return d.Errorf("NetworkMode", "AWS refuses %s for the tasks of %v: those on Fargate need awsvpc", d.NetworkMode, s.Resource)
	}
	if d.NetworkMode == "awsvpc" && s.Resource.Properties["NetworkConfiguration"] == nil {
		return s.Errorf("NetworkConfiguration", "AWS refuses a service of tasks in network mode awsvpc without it")
	}
	return nil
}

// ecsName is what names of services, clusters, families and containers may be: 255 letters, digits,
// underscores and hyphens ("CreateService", "CreateCluster", "RegisterTaskDefinition",
// "ContainerDefinition", https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_CreateService.html).
var ecsName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,255}$`)

func ecsNameError(r *assembly.Resource, property string, value any) error {
	if name, ok := value.(string); ok && !ecsName.MatchString(name) {
		return r.Errorf("Properties."+property, "AWS refuses %q: the name can have 255 letters, digits, hyphens and underscores", name)
	}
	return nil
}

// serviceNameError: the name of a service is unique in its cluster ("CreateService").
func serviceNameError(s *model.Service, before []*model.Service) error {
	name, ok := s.Resource.Properties["ServiceName"].(string)
	for _, other := range before {
		if ok && other.Resource.Properties["ServiceName"] == name && other.Cluster != nil && other.Cluster == s.Cluster {
			return s.Errorf("ServiceName", "AWS refuses a second service called %q in a cluster; the first one is %v", name, other.Resource)
		}
	}
	return ecsNameError(s.Resource, "ServiceName", s.Resource.Properties["ServiceName"])
}

// taskErrors: the containers of a task fit into the task ("Task size", in "Amazon ECS task
// definition parameters",
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_definition_parameters.html). The page
// says that the memory reserved by all containers is below the task's. AWS's own examples deploy with a
// container whose limit is the whole task beside others that reserve some, so a limit counts for its
// container alone.
func taskErrors(d *model.TaskDefinition) error {
	errs := []error{ecsNameError(d.Resource, "Family", d.Resource.Properties["Family"])}
	cpu, memory := 0, 0
	for _, c := range d.Containers {
		cpu, memory = cpu+c.CPUShares, memory+c.MemoryReservationMiB
	}
	for i, c := range d.Containers {
		if d.ContainerProblem("Name") == nil {
			errs = append(errs, ecsNameError(d.Resource, fmt.Sprintf("ContainerDefinitions[%d].Name", i), c.Name))
		}
		if c.MemoryReservationMiB == 0 {
			memory = max(memory, c.MemoryMiB)
		}
	}
	if d.CPU > 0 && cpu > d.CPU {
		errs = append(errs, d.Errorf("Cpu", "AWS refuses %d CPU units of containers in a task of %d", cpu, d.CPU))
	}
	if d.MemoryMiB > 0 && memory > d.MemoryMiB {
		errs = append(errs, d.Errorf("Memory", "AWS refuses %d MiB of containers in a task of %d", memory, d.MemoryMiB))
	}
	return assembly.Join(errs...)
}

// containerErrors: what a container depends on is in the task and can come true, and a variable has one
// source ("ContainerDependency" and "Secret",
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDependency.html).
func containerErrors(d *model.TaskDefinition) error {
	var errs []error
	var circled []string // containers of circles that are refused already
	named := map[string]model.Container{}
	for _, c := range d.Containers {
		named[c.Name] = c
	}
	for i, c := range d.Containers {
		at := fmt.Sprintf("ContainerDefinitions[%d]", i)
		refuse := func(property, format string, args ...any) {
			errs = append(errs, d.Errorf(at+property, "AWS refuses "+format, args...))
		}
		for j, port := range c.Ports { // "PortMapping"
			if d.SharesNetwork() && port.Host != 0 && port.Host != port.Container {
				refuse(fmt.Sprintf(".PortMappings[%d].HostPort", j), "%d in network mode %s: it is the container's port, %d, or left out", port.Host, d.NetworkMode, port.Container)
			}
		}
		for j, dependency := range c.DependsOn {
			on, ok := named[dependency.Container]
			place := fmt.Sprintf(".DependsOn[%d]", j)
			switch until := dependency.Condition; {
			case !ok:
				refuse(place+".ContainerName", "%q: the task has no such container", dependency.Container)
			case on.Essential && (until == "COMPLETE" || until == "SUCCESS"):
				refuse(place+".Condition", "%s: container %q is essential, so its end is the task's end", until, on.Name)
			case on.HealthCheck == nil && until == "HEALTHY":
				refuse(place+".Condition", "HEALTHY: container %q has no health check", on.Name)
			}
		}
		for j, link := range c.Links {
			if name, _, _ := strings.Cut(link, ":"); named[name].Name == "" {
				refuse(fmt.Sprintf(".Links[%d]", j), "%q: the task has no container %q", link, name)
			}
		}
		if circle := circle(named, c.Name, nil); circle != nil && !slices.Contains(circled, c.Name) {
			refuse("", "a circle of containers that wait for each other: %s", strings.Join(circle, ", "))
			circled = append(circled, circle...)
		}
		for j, secret := range c.Secrets {
			same := func(v model.Variable) bool { return v.Name == secret.Name }
			if slices.ContainsFunc(c.Environment, same) {
				refuse(fmt.Sprintf(".Secrets[%d].Name", j), "%q: the container's Environment has it, too", secret.Name)
			}
		}
	}
	return assembly.Join(errs...)
}

// circle is the way from a container back to itself along what containers depend on; nil if there is none.
func circle(named map[string]model.Container, from string, way []string) []string {
	way = append(slices.Clone(way), from)
	for _, next := range named[from].Requires() {
		if next.Container == way[0] {
			return append(way, next.Container)
		}
		if !slices.Contains(way, next.Container) {
			if found := circle(named, next.Container, way); found != nil {
				return found
			}
		}
	}
	return nil
}
