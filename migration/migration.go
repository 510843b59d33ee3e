// Package migration computes what each position of the move from the monolith to the microservices
// looks like: which listener rules exist, where the default action sends a request, how many tasks
// every service runs, and which position may follow which.
//
// A [Migration] has the services. [Migration.Plan] returns the plan of a [Position],
// [Migration.Locks] the names that refuse a position out of turn. The package is plain Go and
// imports nothing of this module.
package migration

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Migration is what is migrated.
type Migration struct {
	// Monolith is the service that answers everything in the beginning.
	Monolith Service
	// Services are the microservices that take its paths over.
	Services []Service
	// KeepRest says that the monolith keeps what no service claims. It is then never retired. If
	// false, those requests are dropped once every service is switched.
	KeepRest bool
	// Existing says that the monolith is there already, behind a listener with rules of others. Then the migration has the
	// services alone, and keeps the rest: see [Beside]. Priorities is where its rules may be.
	Existing   bool
	Priorities Window
}

// Window are the priorities of listener rules from First to Last.
type Window struct {
	First int `json:"first"`
	Last  int `json:"last"`
}

var windowFormat = regexp.MustCompile(`^([0-9]{1,5})-([0-9]{1,5})$`)

// ParseWindow reads a window as [Window.String] writes it, and says whether it is one of priorities from 1 to [LastPriority].
func ParseWindow(text string) (w Window, ok bool) {
	match := windowFormat.FindStringSubmatch(text)
	if match == nil {
		return w, false
	}
	w.First, _ = strconv.Atoi(match[1]) // the format has numbers only
	w.Last, _ = strconv.Atoi(match[2])
	return w, 1 <= w.First && w.First <= w.Last && w.Last <= LastPriority
}

// Has says whether a priority is in the window.
func (w Window) Has(priority int) bool { return w.First <= priority && priority <= w.Last }

// MaxOrder is the highest [Route.Order] that has its rules in the window. The rules for testers are in its first half, before
// those of the routes.
func (w Window) MaxOrder() int { return min((w.Last-w.First+1)/2, MaxOrder) }

// String is the window as it is written: "1000-1999". It is empty for none.
func (w Window) String() string {
	if w == (Window{}) {
		return ""
	}
	return fmt.Sprintf("%d-%d", w.First, w.Last)
}

// Service is what the migration needs to know of one service.
type Service struct {
	// Name is the name of the service, and of its target group in a [Balancer].
	Name string
	// LoadBalancer names the further load balancer that the service is behind. Empty for the first
	// load balancer. Unused for the monolith, which is behind all.
	LoadBalancer string
	// Routes say which requests the service answers, each with a place of its own in the
	// migration. The monolith has one without a name.
	Routes []Route
	// Tasks is the number of tasks in the phases in which the service runs. If the service scales,
	// Tasks is the fewest.
	Tasks int
	// MaxTasks is the most tasks that autoscaling may run. 0 if the service does not scale.
	MaxTasks int
	// Root says that the service answers the [RootPaths] at its load balancer from the switch on.
	// One service at most. Unused for the monolith.
	Root bool
	// Compute is what the service runs on, one of [Computes]. Empty for EC2 without a name in the
	// interlock. Next is what it moves to; empty if it stays.
	Compute, Next string
}

// Route says which requests go to a service by one listener rule.
type Route struct {
	// Name tells the routes of a service apart. One of them may have none.
	Name string
	// Order is the place of the route's rule at its load balancer, from 1 to [MaxOrder], lowest
	// first. The order is part of the rule's priority, and must not change once deployed. Unused
	// for the monolith.
	Order int
	// Match has the conditions of the rule.
	Match
	// Testers has headers, with values that a request must have, by which testers reach the
	// service before a share of the others does. Empty if there are no testers.
	Testers map[string][]string
}

// ForTesters is what the testers of the route ask for, if it has testers.
func (r Route) ForTesters() Match {
	match := r.Match
	match.Headers = map[string][]string{}
	maps.Copy(match.Headers, r.Headers)
	maps.Copy(match.Headers, r.Testers)
	return match
}

// MaxOrder is the highest [Route.Order]: the width of a priority window.
const MaxOrder = 999

// Rule priorities come from these windows, so a rule's priority never depends on other services or
// phases. Two rules may not hold one priority even for a moment, and CloudFormation updates rules
// one by one. The load balancer takes 1 to 50000
// (https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateRule.html).
const (
	testersWindow    = 0     // rules for testers: 1 to 999
	shiftWindow      = 1000  // shares, and switched routes beside the monolith's rule: 1001 to 1999
	monolithPriority = 10000 // the monolith's rule
	serviceWindow    = 20000 // the services' own rules: 20001 to 20999
	rootWindow       = 30000 // the rule of the root paths: 30001 to 30999
)

// LastPriority is behind all windows: that of a rule that does what the default action does, for some requests alone.
const LastPriority = 50000

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
	// Service is the service that the rule exists for, Route the name of its route.
	Service, Route string
	// Priority is unique among the rules; the lowest that matches wins.
	Priority int
	// Match has the conditions; all of them have to hold.
	Match
	// Targets has one entry for a plain forward, several for a weighted one.
	Targets []Target
	// After has the priorities of earlier rules that take some of the same requests. The rule must
	// not exist without them, or it would take those, too.
	After []int
}

// Plan is one position of the migration, ready to be rendered.
type Plan struct {
	// Balancers are the load balancers: the first one, which always exists, and then those that
	// services name, ordered by name.
	Balancers []Balancer
	// Tasks says how many tasks every service runs, by the name of its pair: see [OnCompute]. What has
	// no ECS service has no entry: a monolith that is removed, a pair whose move did not begin or is over,
	// and a function.
	Tasks map[string]Tasks
}

// Stands says whether a pair has an ECS service.
func (p Plan) Stands(pair string) bool {
	_, stands := p.Tasks[pair]
	return stands
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
	// phases until the monolith is removed; only the weights change.
	Default []Target
	// Groups has the names of all target groups, the same in all phases: the monolith's until it is
	// removed, the services' and [DropGroup].
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

// Plan computes a position. It checks nothing: the config package has done so.
func (m Migration) Plan(at Position) Plan {
	p := Plan{Tasks: map[string]Tasks{}}
	if at.Phase != Removed && !m.Existing {
		p.Tasks[m.Monolith.Name] = m.Monolith.asMonolith(at.Phase, m.KeepRest)
	}
	behind := map[string][]Service{"": nil}
	for _, s := range m.Services {
		behind[s.LoadBalancer] = append(behind[s.LoadBalancer], s)
		p.Tasks[s.Name] = s.asMicroservice(at)
	}
	for _, name := range slices.Sorted(maps.Keys(behind)) {
		p.Balancers = append(p.Balancers, m.balancer(name, behind[name], at))
	}
	m.computed(&p, at)
	return p
}

// balancer computes a position at one load balancer.
func (m Migration) balancer(name string, services []Service, at Position) Balancer {
	b := Balancer{Name: name}
	if m.Existing {
		m.beside(&b, services, at)
		return b
	}
	over := at.Phase >= Switched && !m.KeepRest // the monolith gets nothing any more
	if at.Phase != Removed {
		b.Groups = append(b.Groups, m.Monolith.Name)
	}
	for _, s := range services {
		b.Groups = append(b.Groups, s.Name)
		for _, r := range s.Routes {
			b.Rules = append(b.Rules, m.rules(s, r, at, services)...)
		}
		if s.Root && !m.KeepRest {
			root := m.Monolith.Name
			if over {
				root = s.Name
			}
			// The rule is there before the switch, too. CloudFormation updates the listener before it
			// creates a rule of the listener: for a moment, a new rule would leave "/" to [DropGroup].
			b.Rules = append(b.Rules, Rule{
				ID: "Root", Service: s.Name, Priority: rootWindow + s.rootOrder(),
				Match: Match{Paths: RootPaths(m.Monolith.Routes[0].Paths)}, Targets: []Target{{root, 1}},
			})
		}
	}
	b.Groups = append(b.Groups, DropGroup)
	switch {
	case at.Phase == Removed:
		b.Default = []Target{{DropGroup, 1}}
	case over:
		b.Default = []Target{{m.Monolith.Name, 0}, {DropGroup, 1}}
	default:
		b.Default = []Target{{m.Monolith.Name, 1}, {DropGroup, 0}}
		b.Rules = append(b.Rules, Rule{
			ID: "Monolith", Service: m.Monolith.Name, Priority: monolithPriority,
			Match: m.Monolith.Routes[0].Match, Targets: []Target{{m.Monolith.Name, 1}},
		})
	}
	b.inOrder("Shift")
	return b
}

// rules returns the rules of a route.
//
// The route's own rule comes behind the monolith's. So the switch of all services takes one change:
// the monolith's rule goes. If the monolith's rule may stay, for other services or for the rest, a
// route that takes traffic has its rule before it instead. The rule stays from the first share on;
// only its weights change.
//
// Then a route that still is the monolith's may meet another one with a higher order, as
// "/api/users/admin*" meets "/api/users*". The rule of the other must not take its requests. So a
// rule before it holds them back for the monolith, wherever the other is: from then on the rule
// stays, and only its targets change.
func (m Migration) rules(s Service, r Route, at Position, services []Service) (rules []Rule) {
	place := at.Place(s.Name, r.Name)
	add := func(id string, window int, match Match, targets ...Target) {
		rules = append(rules, Rule{ID: id, Service: s.Name, Route: r.Name, Priority: window + r.Order, Match: match, Targets: targets})
	}
	if place.Shifted && len(r.Testers) > 0 {
		add("Testers", testersWindow, r.ForTesters(), Target{s.Name, 1})
	}
	alone := at.Places != nil || m.KeepRest // moves without the others
	switch {
	case place.Shifted:
		add("Shift", shiftWindow, r.Match, Target{s.Name, place.Percent}, Target{m.Monolith.Name, 100 - place.Percent})
	case place.Phase == Switched && alone:
		add("Shift", shiftWindow, r.Match, Target{s.Name, 1})
	case (alone || at.Phase == Parallel && len(at.Shift) > 0) && r.comesBefore(services):
		add("Shift", shiftWindow, r.Match, Target{m.Monolith.Name, 1})
	}
	if !alone || !place.Shifted && place.Phase < Switched {
		add("Service", serviceWindow, r.Match, Target{s.Name, 1})
	}
	return rules
}

// beside adds the rules and target groups of the services to a load balancer with a monolith that exists.
func (m Migration) beside(b *Balancer, services []Service, at Position) {
	b.Default = []Target{{m.Monolith.Name, 1}} // the rules of others say what happens to the rest
	for _, s := range services {
		b.Groups = append(b.Groups, s.Name)
		for _, r := range s.Routes {
			place := at.Place(s.Name, r.Name)
			add := func(id string, priority int, match Match, targets []Target) {
				b.Rules = append(b.Rules, Rule{ID: id, Service: s.Name, Route: r.Name, Priority: priority + r.Order - 1, Match: match, Targets: targets})
			}
			if len(r.Testers) > 0 && place.Shifted {
				add("Testers", m.Priorities.First, r.ForTesters(), []Target{{s.Name, 1}})
			}
			match := r.Match
			targets, parked := Beside(s.Name, m.Monolith.Name, place, r.comesBefore(services))
			if parked {
				match = Parked(s.Name)
			}
			add("Service", m.Priorities.First+m.Priorities.MaxOrder(), match, targets)
		}
	}
	b.inOrder("Service")
}

// Beside is the one rule of a route beside a monolith that exists, with a listener of its own: who answers, and whether the rule is
// [Parked]. A move changes the rule, and never creates or deletes it. In monolith and in parallel it is parked. If a route behind it
// takes some of the same requests, it holds them back for the monolith instead.
func Beside(service, monolith string, place Place, comesBefore bool) (targets []Target, parked bool) {
	switch {
	case place.Phase == Switched:
		return []Target{{service, 1}}, false
	case place.Shifted:
		return []Target{{service, place.Percent}, {monolith, 100 - place.Percent}}, false
	case comesBefore:
		return []Target{{service, 0}, {monolith, 100}}, false
	}
	return []Target{{service, 1}}, true
}

// Parked is what the rule of a service takes that has no traffic: the requests to SERVICE.parked.invalid, a host that no client has
// a reason to name (https://www.rfc-editor.org/rfc/rfc2606). So all requests go on as if there were no rule, and the service's
// target group stays attached, as [Target] says.
func Parked(service string) Match { return Match{Hosts: []string{service + ParkedHost}} }

// ParkedHost is the end of the host of a [Parked] rule.
const ParkedHost = ".parked.invalid"

// inOrder sorts the rules. Those of an id wait for earlier ones that take some of the same requests.
func (b *Balancer) inOrder(id string) {
	slices.SortFunc(b.Rules, func(x, y Rule) int { return x.Priority - y.Priority })
	for i, rule := range b.Rules {
		for _, before := range b.Rules[:i] {
			if rule.ID == id && before.ID == id && before.Meets(rule.Match) {
				b.Rules[i].After = append(b.Rules[i].After, before.Priority)
			}
		}
	}
}

// comesBefore reports whether the route takes requests from another one with a higher order.
func (r Route) comesBefore(services []Service) bool {
	return slices.ContainsFunc(services, func(s Service) bool {
		return slices.ContainsFunc(s.Routes, func(other Route) bool { return other.Order > r.Order && r.Meets(other.Match) })
	})
}

// rootOrder is the order of the rule of the root paths: that of the route without a name, or else the
// lowest one.
func (s Service) rootOrder() int {
	lowest := MaxOrder
	for _, r := range s.Routes {
		if r.Name == "" {
			return r.Order
		}
		lowest = min(lowest, r.Order)
	}
	return lowest
}

// At returns the plan of a load balancer, by its name. The load balancer must exist.
func (p Plan) At(name string) Balancer {
	i := slices.IndexFunc(p.Balancers, func(b Balancer) bool { return b.Name == name })
	return p.Balancers[i]
}

// Answers returns the targets of requests that match: the targets of the first rule that takes all
// these requests, or the default ones. Targets of weight 0 are left out. The empty match asks for
// everything else.
func (b Balancer) Answers(match Match) []Target {
	for _, r := range b.Rules {
		if r.Covers(match) {
			return weighted(r.Targets)
		}
	}
	return weighted(b.Default)
}

// Answers returns the targets of the rule that have a weight.
func (r Rule) Answers() []Target { return weighted(r.Targets) }

func weighted(targets []Target) []Target {
	return slices.DeleteFunc(slices.Clone(targets), func(t Target) bool { return t.Weight == 0 })
}

// Percent is the part of the requests that each target of an action gets, in percent.
func Percent(targets []Target) (percent []float64) {
	sum := 0
	for _, t := range targets {
		sum += t.Weight
	}
	for _, t := range targets {
		percent = append(percent, 100*float64(t.Weight)/float64(max(1, sum)))
	}
	return percent
}
