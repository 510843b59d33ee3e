package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"cutover/internal/migration"
)

// Quotas of an Application Load Balancer
// (https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-limits.html).
const (
	maxRules         = 100 // rules per load balancer, without the default ones; can be raised
	maxTargetGroups  = 100 // target groups per load balancer
	maxValues        = 5   // condition values per rule
	maxWildcards     = 5   // wildcards per rule
	maxPatternLength = 128 // characters in a path pattern
	maxGroupName     = 32  // characters in a target group's name
)

// maxTasks is how many tasks a service may have
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-quotas.html).
const maxTasks = 5000

// infrastructure are the stacks that are no service's, as names of services.
var infrastructure = []string{"gate", "network", "registry", "cluster", "routing", "phase"}

// ownVariables are set by the deployment in every container.
var ownVariables = []string{"PORT", "STOP_TIMEOUT"}

var (
	// The characters that a path pattern may have
	// (https://docs.aws.amazon.com/elasticloadbalancing/latest/application/rule-condition-types.html#path-conditions).
	patternFormat  = regexp.MustCompile(`^/[A-Za-z0-9_.$/~"'@:+&*?-]*$`)
	variableFormat = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// checkServices returns what is wrong with the services, in the order in which
// they are listed.
func checkServices(d Deployment, s Settings) []error {
	var problems []error
	refuse := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }

	if len(d.Services) == 0 {
		refuse("services: there are none to move to: list at least one beside the monolith")
	}
	named := map[string]bool{}
	ordered := map[int]string{}
	for i, service := range d.All() {
		if named[service.Name] {
			refuse("service %q: listed twice: give each service its own name", service.Name)
		}
		named[service.Name] = true
		checkName(service.Name, s, refuse)
		checkPaths(service, refuse)
		checkTask(service, refuse)
		switch other := ordered[service.Order]; {
		case i == 0 && service.Order != 0:
			refuse("service %q: Order %d: the monolith has a priority of its own: remove it", service.Name, service.Order)
		case i == 0:
		case service.Order < 1 || service.Order > migration.MaxOrder:
			refuse("service %q: Order %d: it must be from 1 to %d", service.Name, service.Order, migration.MaxOrder)
		case other != "":
			refuse("service %q: Order %d is that of %q already: give each service its own", service.Name, service.Order, other)
		default:
			ordered[service.Order] = service.Name
		}
	}
	checkShadows(d, refuse)

	plan := d.Plan(s)
	if n := len(plan.Groups); n > maxTargetGroups {
		refuse("services: %d services need %d target groups: a load balancer has at most %d", len(d.Services)+1, n, maxTargetGroups)
	}
	// With a shift there may be more rules than in the phases without one, but a
	// service that does not fit in those should be refused now, not at the switch.
	most := max(len(plan.Rules), len(d.Services)+1)
	if most > maxRules {
		refuse("services: %d services and a shift of %d need %d listener rules: a load balancer has at most %d", len(d.Services)+1, len(s.Shift), most, maxRules)
	}
	return problems
}

func checkName(name string, s Settings, refuse func(string, ...any)) {
	group := s.Name(name)
	switch {
	case !nameFormat.MatchString(name) || len(name) < 2:
		// The narrowest of what ECR, ECS and the load balancer allow.
		refuse("service %q: the name is refused by AWS: use two or more lower-case letters, digits and single hyphens, beginning with a letter", name)
	case len(group) > maxGroupName:
		refuse("service %q: the target group's name %q has %d characters: at most %d are allowed", name, group, len(group), maxGroupName)
	case name == migration.DropGroup:
		refuse("service %q: the name is that of the target group for dropped traffic: choose another", name)
	case slices.Contains(infrastructure, name):
		refuse("service %q: the name is that of another stack of the deployment: choose none of %s", name, strings.Join(infrastructure, ", "))
	}
}

func checkPaths(service Service, refuse func(string, ...any)) {
	if len(service.Paths) == 0 {
		refuse("service %q: it has no path: give it at least one pattern, as in \"/api/%s*\"", service.Name, service.Name)
	}
	if n := len(service.Paths); n > maxValues {
		refuse("service %q: %d path patterns: a rule has at most %d values", service.Name, n, maxValues)
	}
	wildcards := 0
	for i, path := range service.Paths {
		wildcards += strings.Count(path, "*") + strings.Count(path, "?")
		switch {
		case len(path) > maxPatternLength:
			refuse("service %q: path %q has %d characters: at most %d are allowed", service.Name, path, len(path), maxPatternLength)
		case !patternFormat.MatchString(path):
			refuse("service %q: path %q is no path pattern: it begins with \"/\" and has letters, digits, wildcards (* ?) and _ - . $ / ~ \" ' @ : + &", service.Name, path)
		case slices.Contains(service.Paths[:i], path):
			refuse("service %q: path %q is listed twice", service.Name, path)
		}
	}
	if wildcards > maxWildcards {
		refuse("service %q: %d wildcards: a rule has at most %d", service.Name, wildcards, maxWildcards)
	}
}

func checkTask(service Service, refuse func(string, ...any)) {
	// ECS passes the kernel no less than 2 CPU units, and Docker takes no
	// container with less than 6 MiB
	// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html).
	if service.CPU < 2 {
		refuse("service %q: CPU %d: it must be 2 units or more; 1024 units are one vCPU", service.Name, service.CPU)
	}
	if service.MemoryReservationMiB < 6 {
		refuse("service %q: MemoryReservationMiB %d: it must be 6 or more", service.Name, service.MemoryReservationMiB)
	}
	if service.Tasks < 1 || service.Tasks > maxTasks {
		refuse("service %q: Tasks %d: it must be from 1 to %d", service.Name, service.Tasks, maxTasks)
	}
	for _, name := range slices.Sorted(maps.Keys(service.Environment)) {
		if slices.Contains(ownVariables, name) {
			refuse("service %q: Environment %s is set by the deployment: remove it", service.Name, name)
		} else if !variableFormat.MatchString(name) {
			refuse("service %q: Environment %q is no variable name", service.Name, name)
		}
	}
}

// checkShadows refuses a path that an earlier rule takes wholly, so that it
// would never get a request. The monolith's rule takes all of them, on purpose.
func checkShadows(d Deployment, refuse func(string, ...any)) {
	services := slices.Clone(d.Services)
	slices.SortStableFunc(services, func(a, b Service) int { return a.Order - b.Order })
	for i, later := range services {
		for _, earlier := range services[:i] {
			for _, path := range later.Paths {
				for _, wider := range earlier.Paths {
					if path == wider {
						refuse("service %q: path %q is that of %q already", later.Name, path, earlier.Name)
					} else if migration.Covers(wider, path) {
						refuse("service %q: path %q never gets a request: %q of %q comes first and takes it: give %q a lower Order", later.Name, path, wider, earlier.Name, later.Name)
					}
				}
			}
		}
	}
}
