package deployable

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"cutover/internal/assembly"
	"cutover/internal/capacity"
	"cutover/internal/model"
)

// Quotas of a load balancer that AWS raises on request.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-limits.html
const (
	maxRules     = 100 // without the default rules
	maxListeners = 50
)

// Warnings says what AWS creates and never runs, and what decides about requests and is not
// evaluated here: a line for each resource, with its place, in the order of the stacks.
func Warnings(m *model.Model) []string {
	var all []string
	warn := func(place, format string, args ...any) {
		if line := place + ": " + fmt.Sprintf(format, args...); !slices.Contains(all, line) {
			all = append(all, line)
		}
	}
	for _, stack := range m.Assembly.Stacks {
		for _, resource := range stack.Resources {
			if exists, err := resource.Exists(m.Assembly); err == nil && !exists {
				continue
			}
			if does := model.Unevaluated(resource.Type); does != "" {
				warn(resource.String(), "%s; it is not evaluated here", does)
			}
			for _, property := range slices.Sorted(maps.Keys(resource.Properties)) {
				if found := standIn(resource.Properties[property]); found != "" {
					warn(resource.String()+"/Properties."+property, "%q is what CDK puts in place of a lookup that has not been made: synthesize with credentials of the account", found)
				}
			}
		}
	}
	rules, listening := map[string]int{}, map[string]int{}
	for _, r := range m.Rules {
		if r.Listener != nil {
			rules[r.Listener.LoadBalancerID]++
		}
	}
	for _, l := range m.Listeners {
		listening[l.LoadBalancerID]++
	}
	for _, lb := range m.LoadBalancers {
		if lb.Type == "gateway" {
			warn(lb.Key(), "a load balancer of type %s takes requests; it does not run here", lb.Type)
			continue
		}
		for _, quota := range []struct {
			count, most int
			what        string
		}{{rules[lb.Key()], maxRules, "rules"}, {listening[lb.Key()], maxListeners, "listeners"}} {
			if quota.count > quota.most {
				warn(lb.Key(), "%d %s are more than AWS's default quota of %d for a load balancer", quota.count, quota.what, quota.most)
			}
		}
	}
	for _, l := range m.Listeners {
		if why := l.LeftOut(); why != "" && (l.LoadBalancer == nil || l.LoadBalancer.Type != "gateway") {
			warn(l.Key(), "a Network Load Balancer takes requests; this does not run here: %s", why)
		}
	}
	for _, g := range m.TargetGroups {
		if others := Elsewhere(m, g); len(others) > 0 && g.Runs() {
			warn(g.Key(), "no target is registered here: %s may register targets", strings.Join(others, ", "))
		}
	}
	for _, p := range m.FunctionPermissions {
		if p.ByLoadBalancers() && p.Unlimited() {
			warn(p.Key(), "load balancers of every account may invoke the function: give SourceArn or SourceAccount")
		}
	}
	for _, s := range m.Services {
		for _, line := range serviceWarnings(m, s) {
			warn(s.Key(), "%s", line)
		}
	}
	all = append(all, apiWarnings(m)...)
	return all
}

// Served says whether a service registers its tasks with a target group.
func Served(m *model.Model, group *model.TargetGroup) bool {
	return slices.ContainsFunc(m.Services, func(s *model.Service) bool {
		return slices.ContainsFunc(s.LoadBalancers, func(at model.ServiceLoadBalancer) bool { return at.TargetGroup == group })
	})
}

// Elsewhere names what may register targets with a group that has none in the template: resources that
// refer to the group and are not known to do something else with it, and apps that import it.
func Elsewhere(m *model.Model, group *model.TargetGroup) (names []string) {
	instances := func(g *model.AutoScalingGroup) bool {
		return slices.Contains(slices.Collect(maps.Values(g.TargetGroups)), group)
	}
	if Served(m, group) || len(group.Targets) > 0 || slices.ContainsFunc(m.AutoScalingGroups, instances) {
		return nil
	}
	look := func(value any, name string) {
		assembly.References(value, func(id, attribute string) {
			if id == group.Resource.LogicalID && attribute != "TargetGroupFullName" && !slices.Contains(names, name) { // which metrics have
				names = append(names, name)
			}
		})
	}
	stack := group.Resource.Stack
	for _, r := range stack.Resources {
		if m.Value(r) == nil { // the model knows what the others do with the group
			look(r.Properties, r.Type+" "+r.LogicalID)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(stack.Outputs)) {
		if output := stack.Outputs[id]; output.ExportName != nil {
			look(output.Value, "an app that imports "+id)
		}
	}
	return names
}

// NoListener says that no Application Load Balancer listens in any of the assemblies, with the
// warnings, which may name what takes the requests; nil if one listens.
func NoListener(all ...*model.Model) error {
	lines := []string{"no Application Load Balancer listens for requests"}
	for _, m := range all {
		if len(listeners(m)) > 0 {
			return nil
		}
		lines = append(lines, Warnings(m)...)
		for _, lb := range m.LoadBalancers {
			if lb.Type == "network" {
				lines = append(lines, lb.Key()+": a Network Load Balancer forwards connections, and looks at no requests")
			}
		}
	}
	return errors.New(strings.Join(lines, "\n"))
}

// standIns are the values that CDK writes where a lookup has no result yet: the constants of
// ContextProvider.getValue's callers in aws-cdk-lib (Vpc.fromLookup, LookupMachineImage,
// HostedZone.fromLookup, SecurityGroup.fromLookup, Key.fromLookup, the load balancers' fromLookup,
// StringParameter.valueFromLookup).
var standIns = regexp.MustCompile(`^(dummy-value-for-.*|vpc-12345|[ps]-(12345|67890)|rtb-(12345|67890)[ps]|dummy1[abc]|ami-1234|sg-(1234|12345678|123456789012)|(/hostedzone/)?DUMMY|Z3DZXE0EXAMPLE|1234abcd-12ab-34cd-56ef-1234567890ab|arn:aws:elasticloadbalancing:us-west-2:123456789012:.*/my-load-balancer/50dc6c495c0c9188.*|my-load-balancer-123456789012\.us-west-2\.elb\.amazonaws\.com)$`)

// standIn is the first value of a missing lookup in a value; empty if there is none.
func standIn(value any) string {
	switch value := value.(type) {
	case string:
		if standIns.MatchString(value) {
			return value
		}
	case []any:
		for _, element := range value {
			if found := standIn(element); found != "" {
				return found
			}
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(value)) {
			if found := standIn(value[key]); found != "" {
				return found
			}
		}
	}
	return ""
}

// serviceWarnings says why tasks of a service never run, or get no requests here.
func serviceWarnings(m *model.Model, s *model.Service) []string {
	lines := nameWarnings(m, s)
	if s.Scaling != nil {
		if s.Scaling.Scheduled {
			lines = append(lines, fmt.Sprintf("%v changes the bounds of its number of tasks at certain times; nothing is scheduled here", s.Scaling.Resource))
		}
		for _, p := range s.Scaling.Policies {
			if !p.Measured() {
				lines = append(lines, fmt.Sprintf("its policy %v scales by an alarm or a metric that is not measured here, so the policy changes no number of tasks", p.Resource))
			}
		}
	}
	elsewhere := func(at model.ServiceLoadBalancer) bool {
		return at.TargetGroup != nil && !at.TargetGroup.Runs()
	}
	if n := len(s.LoadBalancers); n > 0 && !slices.ContainsFunc(s.LoadBalancers, func(at model.ServiceLoadBalancer) bool { return !elsewhere(at) }) {
		lines = append(lines, "its load balancer does not run here, so its tasks get no requests")
	}
	if on, _ := m.Fargate(s); s.TaskDefinition != nil && s.LaunchType == "EC2" && on == nil {
		if why := fitsNowhere(m, s.TaskDefinition); why != "" {
			lines = append(lines, "no task of the service ever runs on AWS: "+why)
		}
	}
	lower, upper := model.Bounds(s.MinimumHealthyPercent, s.MaximumPercent, s.Tasks())
	if n := s.Tasks(); n > 0 && s.Scheduling == "REPLICA" && lower >= n && upper <= n {
		lines = append(lines, fmt.Sprintf("no deployment after the first one ever ends: of %d, %d must stay healthy and at most %d may run", n, lower, upper))
	}
	return lines
}

// fitsNowhere says why a task fits on none of the instances of the assembly; empty if it may fit on
// one: on an instance of a type that is not known, or if the instances are elsewhere.
func fitsNowhere(m *model.Model, d *model.TaskDefinition) string {
	if d.ContainerProblem("Cpu", "Memory", "MemoryReservation") != nil || d.Problem("Cpu", "Memory") != nil {
		return ""
	}
	task := d.Reserves()
	task.CPU, task.MemoryMiB = max(task.CPU, d.CPU), max(task.MemoryMiB, d.MemoryMiB)
	why := ""
	for _, g := range m.AutoScalingGroups {
		types := g.InstanceTypes
		if len(types) == 0 && g.Launch != nil {
			types = []string{g.Launch.InstanceType}
		}
		if len(types) == 0 {
			return ""
		}
		for _, name := range types {
			size, known := capacity.InstanceOf(name)
			if !known {
				return ""
			}
			has := size.Registers()
			n, limit := has.Room(task)
			if n != 0 {
				return ""
			}
			why = fmt.Sprintf("a task needs %d CPU units and %d MiB, and a %s has %d and about %d for tasks (%s)", task.CPU, task.MemoryMiB, name, has.CPU, has.MemoryMiB, limit)
		}
	}
	return why
}
