package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"cutover/internal/capacity"
	"cutover/migration"
)

// Quotas of an Application Load Balancer
// (https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-limits.html).
const (
	MaxRules         = 100  // rules per load balancer, without the default ones; can be raised
	MaxTargetGroups  = 100  // target groups per load balancer
	maxTargets       = 1000 // targets per load balancer; can be raised
	maxValues        = 5    // condition values per rule
	maxWildcards     = 5    // wildcards per rule
	maxPatternLength = 128  // characters in a value of a condition
	maxGroupName     = 32   // characters in a target group's name
)

// maxTasks is how many tasks a service may have
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-quotas.html).
const maxTasks = 5000

// maxOutputs is how many outputs a stack may have
// (https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html). CDK
// checks the 500 resources. No template of ours reaches a megabyte.
const maxOutputs = 200

// maxBalancers is how many load balancers there can be. The monolith is behind each, and an ECS
// service can be attached to this many target groups
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/register-multiple-targetgroups.html).
//
// So there are at most 490 services beside the monolith. Other quotas have room for them without a
// check: 5000 services in a cluster, 3000 target groups and 100,000 repositories in a region, 1000
// roles and 2000 stacks in an account, 5000 alarms, 3000 services that scale. All load balancers
// share one security group.
const maxBalancers = 5

// maxRequests is how many different requests a rehearsal sends.
const maxRequests = 10_000

// infrastructure has the stacks without a service, named as services would be.
var infrastructure = []string{"gate", "network", "registry", "cluster", "routing", "phase", "watch"}

var variableFormat = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// checkServices returns the mistakes in the services, in the order of the list.
func checkServices(d Deployment, s Settings) []error {
	var problems []error
	refuse := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }

	if len(d.Services) == 0 {
		refuse("services: there are no microservices: list at least one")
	}
	m := d.Migration()
	plan := m.Plan(migration.Position{}) // has every target group
	// Autoscaling would take the count of one load balancer for all requests of a task.
	if n := len(plan.Balancers); n > 1 && d.Monolith.RequestsPerTask > 0 {
		refuse("service %q: RequestsPerTask %d: the monolith is behind %d load balancers, and each counts its own requests: remove RequestsPerTask, and let TargetCPUPercent decide",
			d.Monolith.Name, d.Monolith.RequestsPerTask, n)
	}
	if d.Monolith.LoadBalancer != "" {
		refuse("service %q: LoadBalancer %q: the monolith is behind every load balancer: remove it", d.Monolith.Name, d.Monolith.LoadBalancer)
	}
	listed := map[string]bool{}
	mistaken := false
	orders := orders{}
	if d.Existing != "" {
		checkBeside(d, s, refuse)
	}
	for i, service := range d.All() {
		isMonolith := i == 0 && d.Existing == ""
		if listed[service.Name] {
			refuse("service %q: listed twice: give each service its own name", service.Name)
		}
		listed[service.Name] = true
		balancer := plan.Balancers[0]
		if !isMonolith {
			balancer = plan.At(service.LoadBalancer)
		}
		checkName(service.Name, s.Name(balancer.GroupName(service.Name)), refuse)
		checkRoutes(service, isMonolith, refuse)
		before := len(problems)
		checkTask(service, refuse)
		checkWays(service, refuse)
		mistaken = mistaken || len(problems) > before
		if !isMonolith {
			orders.check(service, refuse)
		}
	}
	before := len(problems)
	checkContainers(d, s, refuse)
	mistaken = mistaken || len(problems) > before
	checkIDs(d, s, refuse)
	for _, b := range plan.Balancers {
		checkShadows(d, b.Name, refuse)
	}
	checkRoot(d, refuse)
	checkRequests(d.Requests, refuse)
	at := m.Plan(s.Position)
	checkTesters(d, s.Position, at, refuse)
	checkBalancers(d, s, plan, refuse)
	checkComputes(d, at, refuse)
	checkCalls(d, s, at, refuse)
	checkStores(d, s, refuse)
	checkFunctionVariables(d, s, refuse)
	checkFronts(d, s, refuse)
	checkEvents(d, s, refuse)
	checkBrokers(d, refuse)
	for _, b := range plan.Balancers {
		if d.Existing == "" {
			checkQuotas(d, s, b, refuse)
		}
	}
	if !mistaken { // otherwise the sums are wrong too
		if s.ClusterName == "" {
			checkCapacity(d, s, refuse)
		}
		checkTargets(d, plan, refuse)
	}
	return problems
}

// checkRequests refuses paths that nobody can request, before a rehearsal does.
func checkRequests(requests []string, refuse func(string, ...any)) {
	if len(requests) > maxRequests {
		refuse("Requests: there are %d: at most %d are allowed", len(requests), maxRequests)
	}
	listed := map[string]bool{}
	for _, request := range requests {
		switch {
		case !strings.HasPrefix(request, "/") || !urlFormat.MatchString(request):
			refuse("Requests: %q is not a path as it is sent: it looks like \"/api/users/1?full=yes\", with spaces as %%20", request)
		case listed[request]:
			refuse("Requests: %q is listed twice: remove one", request)
		}
		listed[request] = true
	}
}

func named(balancer string) string {
	if balancer == "" {
		return "the first load balancer"
	}
	return fmt.Sprintf("load balancer %q", balancer)
}

// checkBalancers refuses too many load balancers, bad names, and names of target groups or stacks
// that are taken.
func checkBalancers(d Deployment, s Settings, plan migration.Plan, refuse func(string, ...any)) {
	if n := len(plan.Balancers); n > maxBalancers {
		refuse("services: %d load balancers: the monolith is behind each of them, and an ECS service can have %d target groups: name at most %d beside the first one",
			n, maxBalancers, maxBalancers-1)
	}
	type holder struct{ balancer, name string }
	groups, stacks := map[string]holder{}, map[string]string{}
	stack := func(whose, part string) {
		switch other := stacks[part]; {
		case other == "":
			stacks[part] = whose
		case other != whose: // or it is listed twice
			refuse("%s: its stack is called %s, like that of %s: rename one", whose, part, other)
		}
	}
	for _, service := range d.All() {
		stack(fmt.Sprintf("service %q", service.Name), Pascal(service.Name))
		if service.on(migration.Lambda) {
			stack(fmt.Sprintf("the function of %q", service.Name), Pascal(service.Name)+"Function")
		}
		for _, pair := range service.Pairs() {
			if _, taken := d.service(pair.Name); taken && pair.Name != service.Name {
				refuse("service %q: on %s it is called %q, like another service: rename one", service.Name, Kind(pair.Compute), pair.Name)
			}
		}
	}
	if Discovered[ServiceConnect](d) {
		stack("the namespace of Service Connect", "Discovery")
	}
	if Discovered[CloudMap](d) {
		stack("the DNS zone of AWS Cloud Map", "Zone")
	}
	if len(d.VolumeNames()) > 0 {
		stack("the file system of the volumes", "Files")
	}
	if slices.ContainsFunc(d.All(), Service.Stored) {
		stack("the stack of tables and databases", "Data")
	}
	if s.Events {
		stack("the stack of topics and queues", "Events")
		stack("the stack of the relays of tables", "Relays")
	}
	if len(d.Brokered()) > 0 {
		stack("the message broker", "Broker")
	}
	if s.Front == APIGateway {
		stack("the REST API", "Front")
		stack("the account's role for API Gateway", "ApiGatewayAccount")
	}
	if s.UI {
		stack("the page", "Ui")
	}
	m := d.Migration()
	for _, lock := range m.ComputeLocks(m.State(s.Position)) {
		stack("the move between kinds of compute", "Gate"+Pascal(lock))
		stack("the move between kinds of compute", "Phase"+Pascal(lock))
		if slices.ContainsFunc(plan.Balancers, func(b migration.Balancer) bool { return b.Name == lock }) {
			refuse("%s: services that name their Compute have parameters of that name: rename it", named(lock))
		}
	}
	for _, b := range plan.Balancers {
		if b.Name != "" {
			if !nameFormat.MatchString(b.Name) {
				refuse("%s: the name is refused by AWS: use lower-case letters, digits and single hyphens, beginning with a letter", named(b.Name))
				continue
			}
			stack(named(b.Name), "Routing"+Pascal(b.Name)) // as the stacks package calls it
			if s.Places != nil {
				stack(named(b.Name), "Gate"+Pascal(b.Name))
				stack(named(b.Name), "Phase"+Pascal(b.Name))
			}
		}
		for i, group := range b.Groups {
			name := b.GroupName(group)
			if other, taken := groups[name]; !taken {
				groups[name] = holder{b.Name, group}
			} else if other != (holder{b.Name, group}) { // or it is listed twice
				refuse("%s: the target group of %q is called %q, like that of %q at %s: rename one", named(b.Name), group, name, other.name, named(other.balancer))
			}
			// checkName checks the groups that have the name of their service.
			_, checked := d.service(group)
			if full := s.Name(name); (!checked || i == 0 && b.Name != "") && len(full) > maxGroupName {
				refuse("%s: the target group's name %q has %d characters: at most %d are allowed", named(b.Name), full, len(full), maxGroupName)
			}
		}
	}
}

// checkTargets refuses more tasks, at most, than a load balancer can have targets. A service that moves
// to another compute has its tasks twice: see [migration.EC2].
func checkTargets(d Deployment, plan migration.Plan, refuse func(string, ...any)) {
	for _, b := range plan.Balancers {
		tasks := 0
		if d.Existing == "" {
			tasks = d.Monolith.peak() * len(d.Monolith.Pairs())
		}
		for _, service := range d.Services {
			if service.LoadBalancer == b.Name {
				tasks += service.peak() * len(service.Pairs())
			}
		}
		if tasks > maxTargets {
			refuse("%s: its services and the monolith have %d tasks, and a load balancer can have %d targets: put some of its services behind another load balancer", named(b.Name), tasks, maxTargets)
		}
	}
}

// checkCapacity refuses tasks that the instances have no room for in the phases in which all
// services run. Tasks that it refuses can never be deployed on the preferred instance type:
//
//   - It counts the most tasks of a service that scales. While traffic moves, the monolith and the
//     services may be there at once, and autoscaling that runs out of instances leaves a service
//     overloaded.
//   - It counts the whole of an instance, although the system needs a little.
//   - It counts one set of tasks, although a deployment starts a second one before it stops the
//     first.
//
// Tasks on Fargate take no room on instances. A service that moves has, at most, all of its tasks on EC2,
// too. It accepts an instance type whose size is not known.
func checkCapacity(d Deployment, s Settings, refuse func(string, ...any)) {
	kind := s.InstanceTypes[0]
	instance, known := capacity.InstanceOf(kind)
	if !known {
		return
	}
	one := instance.Whole()
	var all capacity.Resources
	for _, service := range d.All() {
		if !service.on(migration.EC2) {
			continue
		}
		task := d.reserves(service)
		all = all.Plus(task.Times(service.peak()))
		for _, worker := range d.Workers(service, s) {
			if Kind(worker.Pair.Compute) == migration.EC2 {
				all = all.Plus(d.reserves(worker.Service).Times(max(worker.Tasks, worker.MaxTasks)))
			}
		}
		if task.CPU > one.CPU || task.MemoryMiB > one.MemoryMiB {
			refuse("service %q: a task reserves %d CPU units and %d MiB, and an instance of type %s has %d and %d: set instanceType to a larger one, or reserve less",
				service.Name, task.CPU, task.MemoryMiB, kind, one.CPU, one.MemoryMiB)
		}
	}
	where := ""
	if d.On(migration.Fargate) {
		where = " on EC2"
	}
	bySize, byInterfaces := all.Instances(one)
	if bySize > s.MaxInstances {
		refuse("maxInstances: the tasks of all services%s reserve %d CPU units and %d MiB, and %d instances of type %s have %d and %d: set it to %d or more, or instanceType to a larger one",
			where, all.CPU, all.MemoryMiB, s.MaxInstances, kind, s.MaxInstances*one.CPU, s.MaxInstances*one.MemoryMiB, bySize)
	}
	if byInterfaces > s.MaxInstances {
		refuse("maxInstances: the tasks of all services with NetworkMode awsvpc need %d network interfaces, and %d instances of type %s have %d for tasks: set it to %d or more, instanceType to one with more interfaces, or put some of these services on Fargate",
			all.Interfaces, s.MaxInstances, kind, s.MaxInstances*one.Interfaces, byInterfaces)
	}
}

// reserves is what a task takes of its instance, if the service is on EC2. A task with a proxy has a size as
// a whole, which goes before what its containers reserve.
func (d Deployment) reserves(s Service) (sum capacity.Resources) {
	if _, proxied := d.Proxy(s); proxied {
		sum.CPU, sum.MemoryMiB = d.Needs(s)
	} else {
		for _, one := range s.Containers() {
			sum = sum.Plus(capacity.Resources{CPU: one.CPU, MemoryMiB: one.MemoryReservationMiB})
		}
	}
	for _, p := range s.Pairs() {
		if Kind(p.Compute) == migration.EC2 && p.AwsVPC() {
			sum.Interfaces = 1
		}
	}
	return sum
}

func checkName(name, group string, refuse func(string, ...any)) {
	switch {
	case !nameFormat.MatchString(name) || len(name) < 2:
		// The narrowest of what ECR, ECS and the load balancer allow.
		refuse("service %q: the name is refused by AWS: use two or more lower-case letters, digits and single hyphens, beginning with a letter", name)
	case len(group) > maxGroupName:
		refuse("service %q: the target group's name %q has %d characters: at most %d are allowed", name, group, len(group), maxGroupName)
	case name == migration.DropGroup:
		refuse("service %q: the target group for dropped traffic has this name: choose another", name)
	case slices.Contains(infrastructure, name):
		refuse("service %q: another stack of the deployment has this name: choose none of %s", name, strings.Join(infrastructure, ", "))
	}
}

func checkTask(service Service, refuse func(string, ...any)) {
	if service.Tasks < 1 || service.Tasks > maxTasks {
		refuse("service %q: Tasks %d: it must be from 1 to %d", service.Name, service.Tasks, maxTasks)
	}
	checkScaling(service, refuse)
}

// checkScaling refuses bounds and targets that autoscaling cannot have.
func checkScaling(service Service, refuse func(string, ...any)) {
	if service.MaxTasks == 0 {
		if service.TargetCPUPercent != 0 {
			refuse("service %q: TargetCPUPercent %d: the service does not scale without MaxTasks: set MaxTasks, or remove TargetCPUPercent", service.Name, service.TargetCPUPercent)
		}
		if service.RequestsPerTask != 0 {
			refuse("service %q: RequestsPerTask %d: the service does not scale without MaxTasks: set MaxTasks, or remove RequestsPerTask", service.Name, service.RequestsPerTask)
		}
		return
	}
	if service.MaxTasks <= service.Tasks || service.MaxTasks > maxTasks {
		refuse("service %q: MaxTasks %d: it must be more than Tasks, which is %d, and at most %d", service.Name, service.MaxTasks, service.Tasks, maxTasks)
	}
	if service.TargetCPUPercent < 1 || service.TargetCPUPercent > 100 {
		refuse("service %q: TargetCPUPercent %d: it must be from 1 to 100", service.Name, service.TargetCPUPercent)
	}
	if service.RequestsPerTask < 0 {
		refuse("service %q: RequestsPerTask %d: it must be 1 or more, or left out", service.Name, service.RequestsPerTask)
	}
}
