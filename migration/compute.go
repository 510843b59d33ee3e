package migration

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// EC2, Fargate and Lambda are the kinds of compute that a service may run on.
//
// The launch type of an ECS service and the target type of a target group cannot change: each is
// replaced. So a service moves to another kind of compute as it moves away from the monolith: a new
// pair of an ECS service and a target group stands beside the old pair, and traffic goes over by
// listener rules. The old pair plays the part of the monolith:
//
//	place       tasks of the old pair   of the new pair   traffic
//	(none)      as before               no ECS service    old
//	parallel    as before               as before         old
//	10%         as before               as before         10 % new
//	switched    the most                as before         new
//	retired     no ECS service          as before         new
//
// After retired, the service's compute is the new one, and the target group of the old pair goes. The
// way back from there is the same way in the other direction, with the same states.
//
// So an ECS service goes a deployment before its target group, and comes a deployment after it. In one
// deployment the target group would go first, since the stack of the load balancer comes first, and
// ECS would be left with a group that does not exist. The same holds for the capacity provider of the
// instances, which AWS deletes only if no ECS service names it
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeleteCapacityProvider.html).
//
// A pair on Lambda is a function and a target group that names it. Nobody counts its tasks: the function
// stands as long as its target group does, and costs nothing while nobody asks it. So "no ECS service"
// above is, of a function, "no traffic".
const (
	EC2     = "ec2"
	Fargate = "fargate"
	Lambda  = "lambda"
)

// Computes are the kinds of compute.
var Computes = []string{EC2, Fargate, Lambda}

// OnCompute is the name of a service's pair on a kind of compute: of its ECS service and its target
// group. On EC2 it is the name of the service.
func OnCompute(service, kind string) string {
	if kind == "" || kind == EC2 {
		return service
	}
	return service + "-" + kind
}

// Pairs are the names of the service's pairs: one, or the old and the new one while it moves.
func (s Service) Pairs() []string {
	pairs := []string{OnCompute(s.Name, s.Compute)}
	if s.Next != "" {
		pairs = append(pairs, OnCompute(s.Name, s.Next))
	}
	return pairs
}

// All lists what is deployed: the monolith, unless it exists already, and the services.
func (m Migration) All() []Service {
	if m.Existing {
		return slices.Clone(m.Services)
	}
	return append([]Service{m.Monolith}, m.Services...)
}

// Service returns the monolith or a service by its name, and whether there is one.
func (m Migration) Service(name string) (Service, bool) {
	for _, s := range m.All() {
		if s.Name == name {
			return s, true
		}
	}
	return Service{}, false
}

// Leading is the pair of a service that has the traffic, or most of what it does not share.
func (m Migration) Leading(service string, at Position) string {
	s, known := m.Service(service)
	if !known {
		return service
	}
	pairs := s.Pairs()
	if at.Compute[service].Phase >= Switched {
		return pairs[len(pairs)-1]
	}
	return pairs[0]
}

// OnEC2 is the migration with all services on EC2, and none that moves.
func (m Migration) OnEC2() Migration {
	m.Services = slices.Clone(m.Services)
	m.Monolith.Compute, m.Monolith.Next = "", ""
	for i := range m.Services {
		m.Services[i].Compute, m.Services[i].Next = "", ""
	}
	return m
}

// Moving lists the services that have a new pair, by name, the monolith first.
func (m Migration) Moving() (names []string) {
	for _, s := range m.All() {
		if s.Next != "" {
			names = append(names, s.Name)
		}
	}
	return names
}

// computed puts the pairs in the place of the services.
func (m Migration) computed(p *Plan, at Position) {
	for _, s := range m.All() {
		pairs := s.Pairs()
		if len(pairs) == 1 && pairs[0] == s.Name {
			continue
		}
		place := at.Compute[s.Name]
		share := place.share()
		if tasks, deployed := p.Tasks[s.Name]; deployed {
			delete(p.Tasks, s.Name)
			switch {
			case place == Place{}:
				p.Tasks[pairs[0]] = tasks
			case place.Phase >= Retired:
				p.Tasks[pairs[1]] = tasks
			default:
				p.Tasks[pairs[0]], p.Tasks[pairs[1]] = s.beside(tasks, place)
			}
			delete(p.Tasks, OnCompute(s.Name, Lambda)) // nobody counts a function
		}
		for i := range p.Balancers {
			b := &p.Balancers[i]
			at := slices.Index(b.Groups, s.Name)
			if at < 0 {
				continue
			}
			b.Groups = slices.Replace(b.Groups, at, at+1, pairs...)
			b.Default = split(b.Default, s.Name, pairs, share)
			for j := range b.Rules {
				b.Rules[j].Targets = split(b.Rules[j].Targets, s.Name, pairs, share)
			}
		}
	}
}

// share is the percentage of the traffic that goes to the new pair.
func (p Place) share() int {
	switch {
	case p.Shifted:
		return p.Percent
	case p.Phase >= Switched:
		return 100
	}
	return 0
}

// split divides what goes to a service between its pairs. A pair without traffic stays, with the
// weight 0: see [Target]. The weights of the action stay as small as they can be.
func split(targets []Target, service string, pairs []string, share int) []Target {
	if !slices.ContainsFunc(targets, func(t Target) bool { return t.Group == service }) {
		return targets
	}
	if len(pairs) == 1 {
		targets = slices.Clone(targets)
		for i := range targets {
			if targets[i].Group == service {
				targets[i].Group = pairs[0]
			}
		}
		return targets
	}
	var all []Target
	divisor := 0
	for _, t := range targets {
		if t.Group == service {
			all = append(all, Target{pairs[0], t.Weight * (100 - share)}, Target{pairs[1], t.Weight * share})
		} else {
			all = append(all, Target{t.Group, t.Weight * 100})
		}
	}
	for _, t := range all {
		divisor = gcd(divisor, t.Weight)
	}
	for i := range all {
		all[i].Weight /= max(1, divisor)
	}
	return all
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// beside returns the tasks of the old and the new pair of a service that would have these tasks
// without a move, while both pairs have an ECS service.
func (s Service) beside(tasks Tasks, place Place) (old, next Tasks) {
	switch {
	case tasks == Tasks{}:
		return tasks, tasks
	case place.Phase == Switched:
		// Going back returns all traffic within a second, as with the monolith.
		return Tasks{Count: max(s.Tasks, s.MaxTasks)}, tasks
	case place.Shifted:
		return tasks, tasks
	}
	// Without traffic, the template decides: see [Tasks].
	return tasks, Tasks{Count: tasks.Count, Max: tasks.Max}
}

// computeLines have the states between two kinds of compute, each the same in both directions. A service
// passes from one line to another only at their ends, where it is on one kind of compute alone.
var computeLines = []line{
	lineBetween(EC2, Fargate, ""), // its states had no prefix when there was no other line
	lineBetween(EC2, Lambda, "ec2-lambda-"),
	lineBetween(Fargate, Lambda, "fargate-lambda-"),
}

// lineBetween has the ends, and between them names that begin with a prefix.
func lineBetween(from, to, prefix string) line {
	return line{
		{from, 0},
		{prefix + to + "-stopped", 2}, // the new pair is a target group alone, or a function without traffic
		{prefix + from + "-first", 4}, // both run, and the old pair has the traffic
		{prefix + shift, 5},
		{prefix + to + "-first", 6},
		{prefix + from + "-stopped", 8},
		{to, 10},
	}
}

// ComputeStates lists the [State.ComputePlace] that there are, each once.
func ComputeStates() (states []string) {
	for _, l := range computeLines {
		for _, stop := range l {
			if !slices.Contains(states, stop.name) {
				states = append(states, stop.name)
			}
		}
	}
	return states
}

// afterCompute lists the states that may not follow a state. What is between EC2 and Fargate does not know
// of the other lines, as it was deployed before there were any; their states block it from their side. After a
// deployment that ended half-way, that is not enough for four states: TestInterlockOfComputes lists them.
func afterCompute(state string) []string {
	if l := computeLines[0]; l.has(state) {
		return l.far(state)
	}
	return slices.DeleteFunc(ComputeStates(), func(next string) bool { return ComputeFollows(state, next) })
}

// way lists the states on the way of a service, from its compute to the next one.
func (s Service) way() (states []string) {
	from, to := s.Kind(), s.Next
	for _, l := range computeLines {
		if to != "" && l.has(from) && l.has(to) {
			for _, stop := range l {
				states = append(states, stop.name)
			}
		}
	}
	if len(states) > 0 && states[0] != from {
		slices.Reverse(states)
	}
	return states
}

// computeState is the state of a service on one of the [computeLines].
func (s Service) computeState(place Place) string {
	if way := s.way(); len(way) > 0 {
		return way[s.computeIndex(place)]
	}
	return s.Kind()
}

func (s Service) computeIndex(place Place) int {
	switch {
	case place.Shifted:
		return 3
	case place.Phase >= Switched:
		return int(min(place.Phase, Retired)) + 2
	}
	return int(place.Phase) + 1
}

// Stopped is the word for the place of a service whose new pair has no tasks, or is a function without
// requests. The setting does not name
// such a service.
const Stopped = "stopped"

// ComputeWord is the place of a service on its way to another kind of compute: [Stopped], or what
// [ParseComputePlace] reads.
func (p Place) ComputeWord() string {
	if p == (Place{}) {
		return Stopped
	}
	return p.String()
}

// ComputeWord is a [State.ComputePlace] in the words of a service that moves: "stopped", "parallel",
// "shift", "switched" or "retired"; at the ends of its way the kind of compute. A service that does not
// move has no such words: the state stays as it is.
func (s Service) ComputeWord(state string) string {
	i := slices.Index(s.way(), state)
	if s.Next == "" || i < 0 {
		return state
	}
	return []string{s.way()[0], Stopped, Parallel.String(), shift, Switched.String(), Retired.String(), s.Next}[i]
}

// ComputePlaceOf is the place that a [State.ComputePlace] stands for. The state does not say which share
// a service has: the share is 0.
func (s Service) ComputePlaceOf(state string) Place {
	switch word := s.ComputeWord(state); {
	case s.Next == "":
		return Place{}
	case word == shift:
		return Place{Phase: Parallel, Shifted: true}
	case word == s.Next:
		return Place{Phase: Retired}
	default:
		place, _ := ParseComputePlace(word) // none for the beginning
		return place
	}
}

// computeStates has the state of each service whose compute is named, as in "users=ec2-first".
func (m Migration) computeStates(at Position) string {
	var parts []string
	for _, s := range m.All() {
		if s.Compute != "" {
			parts = append(parts, s.Name+"="+s.computeState(at.Compute[s.Name]))
		}
	}
	slices.SortFunc(parts, byKey)
	return strings.Join(parts, ",")
}

// ComputePlace is the state of a service on its way between kinds of compute: a kind, or between EC2 and
// Fargate "fargate-stopped", "ec2-first", "shift", "fargate-first" or "ec2-stopped". Names between other
// kinds begin with both, as in "ec2-lambda-shift".
func (s State) ComputePlace(service string) string {
	return cmp.Or(pairsOf(s.Compute)[service], EC2)
}

// Names says whether the state has names for the compute of a service. Without names, the interlock knows
// nothing of the compute.
func (s State) Names(service string) bool { return pairsOf(s.Compute)[service] != "" }

// ComputeFollows reports whether a service may go from one [State.ComputePlace] to another.
func ComputeFollows(after, next string) bool {
	return slices.ContainsFunc(computeLines, func(l line) bool { return l.has(after) && l.has(next) && l.near(after, next) })
}

// Kind is the kind of compute that the service is on, one of [Computes].
func (s Service) Kind() string { return cmp.Or(s.Compute, EC2) }

// ComputeTurn says of a deployed [State.ComputePlace] what comes next, as in "in parallel on its way to
// fargate: a share or switched comes next, or stopped to go back".
func (s Service) ComputeTurn(state string) string {
	switch {
	case s.Next == "" && slices.Contains(Computes, state):
		return fmt.Sprintf("on %s alone: move it to %s by Next, step by step", state, s.Kind())
	case s.Next == "":
		return fmt.Sprintf("in %s: it is on %s alone only after the other pair is stopped: keep Next until then", state, s.Kind())
	}
	word, next := s.ComputeWord(state), ""
	switch word {
	case s.Kind():
		return fmt.Sprintf("on %s alone: %s comes next: deploy Next without a place", word, Stopped)
	case s.Next:
		return fmt.Sprintf("on %s alone: retired is the way back", word)
	case Stopped:
		next = "parallel comes next"
	case Parallel.String():
		next = "a share or switched comes next, or stopped to go back"
	case shift:
		next = "switched comes next, or parallel to go back"
	case Switched.String():
		next = "retired comes next, or parallel to go back"
	case Retired.String():
		next = fmt.Sprintf("%s alone comes next, or switched to go back", s.Next)
	default:
		return fmt.Sprintf("in %s: finish that move first, to %s", word, s.Kind())
	}
	return fmt.Sprintf("in %s on its way to %s: %s", word, s.Next, next)
}

// Jumps lists the services whose compute leaves a place out, by name. The migration has the services that
// both states know. The interlock refuses a jump if both states name the compute: see [State.Names].
func (m Migration) Jumps(after, next State) (names []string) {
	for _, s := range m.All() {
		if !ComputeFollows(after.ComputePlace(s.Name), next.ComputePlace(s.Name)) {
			names = append(names, s.Name)
		}
	}
	return names
}

// computeLocks are the parameters of the services whose compute is named: a lock for each load balancer,
// whose name comes after "compute". A service whose compute is not named is on EC2 alone, and nothing is
// checked when it gets a name.
func (m Migration) computeLocks(s State) []Lock {
	states := pairsOf(s.Compute)
	locks, told := map[string]*Lock{}, map[string][]string{}
	for _, service := range m.All() {
		state, ok := states[service.Name]
		if !ok {
			continue
		}
		name := suffixed(computeLock, service.LoadBalancer)
		if locks[name] == nil {
			locks[name] = &Lock{Balancer: name}
		}
		locks[name].claim([]string{state}, service.Name, name, reached, begun)
		locks[name].block(afterCompute(state), service.Name, name)
		told[name] = append(told[name], service.Name+"="+state)
	}
	var all []Lock
	for _, name := range slices.Sorted(maps.Keys(locks)) {
		l, text := locks[name], strings.Join(told[name], ",")
		l.Gate = append(l.Gate, Parameter{PlacesID, begunPlaces(name), text, "The computes that were begun last"})
		l.Last = append(l.Last, Parameter{PlacesID, reachedPlaces(name), text, "The computes that are deployed"})
		all = append(all, *l)
	}
	return all
}

// ComputeLocks lists the names of the locks of a state that are about computes: see [Lock].
func (m Migration) ComputeLocks(s State) (names []string) {
	for _, lock := range m.computeLocks(s) {
		names = append(names, lock.Balancer)
	}
	return names
}

// computeLock is the name of the lock of services behind the first load balancer.
const computeLock = "compute"

// pairsOf reads "KEY=STATE,KEY=STATE".
func pairsOf(text string) map[string]string {
	pairs := map[string]string{}
	for part := range strings.SplitSeq(text, ",") {
		if key, state, ok := strings.Cut(part, "="); ok {
			pairs[key] = state
		}
	}
	return pairs
}

// readComputes reads the states of the services whose compute is named. The parameters outlive the last
// name, for nothing deletes a stack. So a service without a name is on EC2 alone, if that may follow what
// the parameters say. What they say of a service that the migration does not have is left out.
func (m Migration) readComputes(values map[string]string, name func(lock string) string) (string, error) {
	var parts []string
	for _, balancer := range m.balancers() {
		lock := suffixed(computeLock, balancer)
		name := name(lock)
		text, ok := values[name]
		if !ok || slices.Contains(m.balancers(), lock) { // the places at a load balancer of that name
			continue
		}
		for part := range strings.SplitSeq(text, ",") {
			if _, state, ok := strings.Cut(part, "="); !ok || !slices.Contains(ComputeStates(), state) {
				return "", fmt.Errorf("%s: %q is not the compute of a service", name, part)
			}
			if m.told(part) {
				parts = append(parts, part)
			}
		}
	}
	slices.SortFunc(parts, byKey)
	return strings.Join(parts, ","), nil
}

// told says whether a part of a parameter is about what runs: see [Migration.readComputes].
func (m Migration) told(part string) bool {
	name, state, _ := strings.Cut(part, "=")
	s, known := m.Service(name)
	return known && (s.Compute != "" || !ComputeFollows(state, EC2))
}

// ParseComputePlace returns the place of a service on its way to another kind of compute: "parallel",
// a share as in "10%", "switched" or "retired".
func ParseComputePlace(text string) (Place, error) {
	if text == Retired.String() {
		return Place{Phase: Retired}, nil
	}
	place, err := ParsePlace(text)
	if err != nil || place == (Place{}) {
		return Place{}, fmt.Errorf("%q is not a place between two kinds of compute: choose one of parallel, a share as in 10%%, switched or retired", text)
	}
	return place, nil
}

// ComputeText is where services are on their way to another kind of compute, as the context key compute
// takes it: "posts=10%,users=switched".
func (p Position) ComputeText() string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(p.Compute)) {
		parts = append(parts, name+"="+p.Compute[name].String())
	}
	return strings.Join(parts, ",")
}
