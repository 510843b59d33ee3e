// Package migration computes what each phase of the move from the monolith to the microservices
// looks like: which listener rules exist, where the default action sends a request, how many tasks
// every service runs, and which phase may follow which.
//
// [NewPlan] returns the plan of a phase. [Follows] tells whether one state may follow another. The
// package is plain Go and imports nothing of this module.
package migration

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Phase is one step of the migration. Phases are ordered; a deployment moves by one step at a time,
// forward or back.
type Phase int

const (
	// Monolith: the monolith runs alone and answers everything.
	Monolith Phase = iota
	// Parallel: the microservices run beside the monolith. The monolith's rule comes first, so the
	// microservices get no traffic but the share that a shift gives them.
	Parallel
	// Switched: the monolith's rule is gone. Each path goes to its own service, and other requests
	// are dropped. The monolith still runs.
	Switched
	// Retired: the monolith has no tasks. Its service still exists, so going back only raises a
	// count.
	Retired
)

var phaseNames = []string{"monolith", "parallel", "switched", "retired"}

// Phases lists every phase in the order in which a migration passes them.
func Phases() []Phase { return []Phase{Monolith, Parallel, Switched, Retired} }

// PhaseNames lists the names of [Phases], as the context key "phase" takes them.
func PhaseNames() []string { return slices.Clone(phaseNames) }

// String is the phase's name, as the context key "phase" takes it.
func (p Phase) String() string {
	if p < 0 || int(p) >= len(phaseNames) {
		return fmt.Sprintf("Phase(%d)", int(p))
	}
	return phaseNames[p]
}

// ParsePhase returns the phase of a name. It accepts the names of [Phases] only.
func ParsePhase(name string) (Phase, error) {
	if i := slices.Index(phaseNames, name); i >= 0 {
		return Phase(i), nil
	}
	return 0, fmt.Errorf("%q is not a phase: choose one of %s", name, strings.Join(phaseNames, ", "))
}

// Service is what the migration needs to know of one service.
type Service struct {
	// Name is the name of the service, and of its target group in a [Balancer].
	Name string
	// LoadBalancer names the further load balancer that the service is behind. Empty for the first
	// load balancer. Unused for the monolith, which is behind all.
	LoadBalancer string
	// Paths are the path patterns that the service answers, as the load balancer's path-pattern
	// condition takes them.
	Paths []string
	// Order is the place of the service's rule at its load balancer, from 1 to [MaxOrder], lowest
	// first. The order is part of the rule's priority, and must not change once deployed. Unused
	// for the monolith.
	Order int
	// Tasks is the number of tasks in the phases in which the service runs. If the service scales,
	// Tasks is the fewest.
	Tasks int
	// MaxTasks is the most tasks that autoscaling may run. 0 if the service does not scale.
	MaxTasks int
	// Root says that the service answers the [RootPaths] at its load balancer from the switch on.
	// One service at most. Unused for the monolith.
	Root bool
}

// MaxOrder is the highest [Service.Order]: the width of a priority window.
const MaxOrder = 999

// Rule priorities come from these windows, so a rule's priority never depends on other services or
// phases. Two rules may not hold one priority even for a moment, and CloudFormation updates rules
// one by one. The load balancer takes 1 to 50000
// (https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateRule.html).
const (
	shiftWindow      = 1000  // shift rules: 1001 to 1999, before the monolith's
	monolithPriority = 10000 // the monolith's rule
	serviceWindow    = 20000 // the services' own rules: 20001 to 20999
	rootWindow       = 30000 // the rule of the root paths: 30001 to 30999
)

// DropGroup is the name of the target group that never has a target. The load balancer answers
// requests to it with 503.
const DropGroup = "drop-traffic"

// Target is a target group of an action, by its name in the [Balancer], and its weight. Weights are
// relative to the others of the same action. A group of weight 0 gets no traffic and stays attached
// to the load balancer. Amazon ECS can neither create nor update a service whose target group is
// not attached.
type Target struct {
	Group  string
	Weight int
}

// RootPaths returns the paths at which clients look whether an API is there: "/", and the beginning
// of each of the monolith's paths, without and with a slash at its end. They have no wildcard: "/api*"
// gives "/", "/api" and "/api/". A path of the monolith with other wildcards than one at its end has
// no beginning.
func RootPaths(monolith []string) []string {
	paths := []string{"/"}
	for _, path := range monolith {
		root, ok := strings.CutSuffix(path, "*")
		root = strings.TrimSuffix(root, "/")
		if ok && root != "" && !strings.ContainsAny(root, "*?") && !slices.Contains(paths, root) {
			paths = append(paths, root, root+"/")
		}
	}
	return paths
}

// Rule is one listener rule.
type Rule struct {
	// ID distinguishes the rules of a service. It is the same in all phases.
	ID string
	// Service is the service that the rule exists for.
	Service string
	// Priority is unique among the rules; the lowest that matches wins.
	Priority int
	// Paths are the path patterns; one of them has to match.
	Paths []string
	// Targets has one entry for a plain forward, several for a weighted one.
	Targets []Target
}

// Plan is one phase of the migration, ready to be rendered.
type Plan struct {
	Phase Phase
	// Balancers are the load balancers: the first one, which always exists, and then those that
	// services name, ordered by name.
	Balancers []Balancer
	// Tasks says how many tasks every service runs, by its name.
	Tasks map[string]Tasks
}

// Balancer is one phase of the migration at one load balancer. The load balancer moves the paths of
// its services from the monolith to the services. It knows nothing of the other load balancers:
// clients reach each by a host name of its own.
type Balancer struct {
	// Name is empty for the first load balancer.
	Name string
	// Rules in the order of their priorities.
	Rules []Rule
	// Default has the targets of requests that match no rule. The groups are the same in all
	// phases; only the weights change.
	Default []Target
	// Groups has the names of all target groups, the same in all phases: the monolith's, the
	// services' and [DropGroup].
	Groups []string
}

// GroupName returns the name under which a target group of the load balancer is deployed. A service
// has another name at each load balancer. So the monolith can be behind all of them, and a service
// can move: its new group is created before the old one is deleted.
func (b Balancer) GroupName(group string) string {
	if b.Name == "" {
		return group
	}
	return group + "-" + b.Name
}

// NewPlan computes a phase. The shift is the percentage of its traffic that a microservice takes
// over from the monolith, by service. A service without a shift has no shift rule. The shift has a
// meaning in [Parallel] only. NewPlan checks nothing: the config package has done so.
func NewPlan(phase Phase, monolith Service, services []Service, shift map[string]int) Plan {
	p := Plan{Phase: phase, Tasks: map[string]Tasks{monolith.Name: monolith.asMonolith(phase)}}
	behind := map[string][]Service{"": nil}
	for _, s := range services {
		behind[s.LoadBalancer] = append(behind[s.LoadBalancer], s)
		_, shifted := shift[s.Name]
		p.Tasks[s.Name] = s.asMicroservice(phase, shifted && phase == Parallel)
	}
	for _, name := range slices.Sorted(maps.Keys(behind)) {
		p.Balancers = append(p.Balancers, newBalancer(name, phase, monolith, behind[name], shift))
	}
	return p
}

func newBalancer(name string, phase Phase, monolith Service, services []Service, shift map[string]int) Balancer {
	b := Balancer{Name: name}
	for _, s := range services {
		b.Groups = append(b.Groups, s.Name)
		b.Rules = append(b.Rules, Rule{
			ID: "Service", Service: s.Name, Priority: serviceWindow + s.Order,
			Paths: s.Paths, Targets: []Target{{s.Name, 1}},
		})
		if percent, ok := shift[s.Name]; ok && phase == Parallel {
			b.Rules = append(b.Rules, Rule{
				ID: "Shift", Service: s.Name, Priority: shiftWindow + s.Order,
				Paths: s.Paths, Targets: []Target{{s.Name, percent}, {monolith.Name, 100 - percent}},
			})
		}
	}
	b.Groups = append([]string{monolith.Name}, append(b.Groups, DropGroup)...)

	b.Default = []Target{{monolith.Name, 1}, {DropGroup, 0}}
	if phase == Switched || phase == Retired {
		b.Default = []Target{{monolith.Name, 0}, {DropGroup, 1}}
		for _, s := range services {
			if s.Root {
				b.Rules = append(b.Rules, Rule{
					ID: "Root", Service: s.Name, Priority: rootWindow + s.Order,
					Paths: RootPaths(monolith.Paths), Targets: []Target{{s.Name, 1}},
				})
			}
		}
	} else {
		b.Rules = append(b.Rules, Rule{
			ID: "Monolith", Service: monolith.Name, Priority: monolithPriority,
			Paths: monolith.Paths, Targets: []Target{{monolith.Name, 1}},
		})
	}

	slices.SortFunc(b.Rules, func(x, y Rule) int { return x.Priority - y.Priority })
	return b
}

// At returns the plan of a load balancer, by its name. The load balancer must exist.
func (p Plan) At(name string) Balancer {
	i := slices.IndexFunc(p.Balancers, func(b Balancer) bool { return b.Name == name })
	return p.Balancers[i]
}

// Answers returns the targets of requests whose path matches a pattern: the targets of the first
// rule that takes all these requests, or the default ones. Targets of weight 0 are left out.
func (b Balancer) Answers(pattern string) []Target {
	targets := b.Default
	for _, r := range b.Rules {
		if slices.ContainsFunc(r.Paths, func(path string) bool { return Covers(path, pattern) }) {
			targets = r.Targets
			break
		}
	}
	return slices.DeleteFunc(slices.Clone(targets), func(t Target) bool { return t.Weight == 0 })
}

// Covers reports whether every path that matches the narrow pattern matches the wide pattern too.
// The time doubles with every "*" of the narrow pattern, of which a rule has at most 5.
func Covers(wide, narrow string) bool {
	before, after, wildcard := strings.Cut(narrow, "*")
	if !wildcard {
		return takes(wide, narrow)
	}
	// A "*" takes nothing, or so much that only another "*" can take it.
	return Covers(wide, before+strings.Repeat("?", len(wide)+1)+after) && Covers(wide, before+after)
}

// takes is [Covers] for a narrow pattern without "*". A "?" of it is any character, which only a
// wildcard takes.
func takes(wide, narrow string) bool {
	w, n := 0, 0
	star, resume := -1, 0 // the last "*" of wide, and where narrow goes on after it
	for n < len(narrow) {
		switch {
		case w < len(wide) && wide[w] == '*':
			star, resume = w, n
			w++
		case w < len(wide) && (wide[w] == '?' || wide[w] == narrow[n]):
			w, n = w+1, n+1
		case star >= 0:
			resume++
			w, n = star+1, resume
		default:
			return false
		}
	}
	return strings.Trim(wide[w:], "*") == ""
}
