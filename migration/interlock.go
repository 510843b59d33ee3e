package migration

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A position may be deployed only next to the position before. Leaving a phase out, in either
// direction, would send requests to tasks that do not run yet, or stop tasks that still get
// requests.
//
// The deployment itself refuses that, by names that can exist only once. Its first stack, Gate,
// claims a name for each state of the new position. The names of all states that must not come next
// are taken: Gate holds them since the last deployment began, and Phase, the last stack, since the
// last deployment was complete. So a deployment out of turn creates a name that exists already, and
// fails before anything else changes. It reads nothing: a new environment may begin in any
// position.
//
// A deployment may end half-way. So the state that was begun last and the state that was reached
// last both hold names. The next state has to follow both.

// line is a sequence of states, each with its rank. A state may follow itself and the states whose
// rank differs by a step at most. So a state may stand half-way between two others.
//
// The traffic of each service, the monolith, and one phase for all are a line each.
type line []stop

type stop struct {
	name string
	rank int
}

// step is how far apart neighbours may be.
const step = 2

var (
	trafficLine  = line{{"monolith", 0}, {"parallel", 2}, {shift, 3}, {"switched", 4}}
	monolithLine = line{{Running, 0}, {"retired", 2}, {"removed", 4}}
	phaseLine    = line{{"monolith", 0}, {"parallel", 2}, {shift, 3}, {"switched", 4}, {"retired", 6}, {"removed", 8}}
)

// shift is the state of a service that takes a share. The service must run before, and until the
// share is taken back.
const shift = "shift"

func (l line) rank(name string) int {
	return l[slices.IndexFunc(l, func(s stop) bool { return s.name == name })].rank
}

func (l line) has(name string) bool {
	return slices.ContainsFunc(l, func(s stop) bool { return s.name == name })
}

// near reports whether two states of the line may follow one another.
func (l line) near(a, b string) bool {
	d := l.rank(a) - l.rank(b)
	return -step <= d && d <= step
}

// far returns the states that may not follow a state, in the order of the line.
func (l line) far(name string) (names []string) {
	for _, s := range l {
		if !l.near(name, s.name) {
			names = append(names, s.name)
		}
	}
	return names
}

// State is what the interlock knows of a position. States can be compared.
type State struct {
	// Phase is the phase as in [Position].
	Phase Phase
	// Shift says that a shift of one phase for all is set.
	Shift bool
	// Places has the states of the routes, as in "posts=monolith,users=shift". Empty if one phase
	// is for all.
	Places string
	// KeepRest says that all services are switched and the monolith has the rest.
	KeepRest bool
	// Compute has the states of the services whose compute is named, as in "users=ec2-first". Others
	// are on EC2 alone.
	Compute string
}

// State returns what the interlock knows of a position.
func (m Migration) State(at Position) State {
	s := State{Phase: at.Phase, Shift: len(at.Shift) > 0, KeepRest: m.KeepRest && at.Phase == Switched, Compute: m.computeStates(at)}
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(at.Places)) {
		parts = append(parts, key+"="+at.Places[key].state())
	}
	s.Places = strings.Join(parts, ",")
	return s
}

func (p Place) state() string {
	if p.Shifted {
		return shift
	}
	return p.Phase.String()
}

// places returns the state of each route, by [Key].
func (s State) places() map[string]string {
	return pairsOf(s.Places)
}

// Place is the state of a route, by [Key]: "monolith", "parallel", "shift" or "switched". A route that
// the state does not know is new, and in "monolith". With a shift of one phase for all, each route
// may have a share.
func (s State) Place(key string) string {
	switch {
	case s.Places != "":
		return cmp.Or(s.places()[key], Monolith.String())
	case s.Shift:
		return shift
	}
	return min(s.Phase, Switched).String()
}

// PlaceFollows reports whether a route may go from one [State.Place] to another.
func PlaceFollows(after, next string) bool { return trafficLine.near(after, next) }

// forAll returns the state on the line of one phase for all that services with places of their own
// have together. It is empty if they differ, if one has a share, or if the monolith is retired.
func (s State) forAll() string {
	if s.Places == "" {
		return s.onPhaseLine()
	}
	states := slices.Compact(slices.Sorted(maps.Values(s.places())))
	if len(states) != 1 || states[0] == shift || s.Phase > Switched {
		return ""
	}
	return states[0]
}

func (s State) onPhaseLine() string {
	if s.Shift {
		return shift
	}
	return s.Phase.String()
}

// done reports whether the monolith may be retired next.
func (s State) done() bool { return s.Phase >= Switched && !s.KeepRest }

func (s State) String() string {
	text := strings.ReplaceAll(s.Places, ",", ", ")
	switch {
	case s.Places == "" && s.Shift:
		text = s.Phase.String() + " with a shift"
	case s.Places == "":
		text = s.Phase.String()
	case s.Phase >= Retired:
		text += ", the monolith " + s.Phase.String()
	}
	if s.KeepRest {
		text += ", the rest with the monolith"
	}
	computes := slices.DeleteFunc(strings.Split(s.Compute, ","), func(part string) bool { return part == "" || strings.HasSuffix(part, "="+EC2) })
	if len(computes) > 0 {
		text += ", compute " + strings.Join(computes, ", ")
	}
	return text
}

// claims returns the names that one phase for all claims.
func claims(state string) []string {
	switch state {
	case shift:
		return []string{Parallel.String(), shift}
	case Removed.String():
		return []string{Retired.String(), state}
	}
	return []string{state}
}

// blocks returns the names of the states of one phase for all that must not follow, sorted.
//
// No state blocks a state that it may follow itself. So the names never clash: a deployment never
// blocks what the deployment before has claimed.
func (s State) blocks(state string) (names []string) {
	for _, far := range phaseLine.far(state) {
		// Nothing before Retired blocks Removed by this name: a removed monolith is a retired one,
		// too, and Switched is refused by what Removed blocks.
		if far != Removed.String() {
			names = append(names, far)
		}
	}
	if s.KeepRest {
		names = append(names, Retired.String())
	}
	slices.Sort(names)
	return names
}

// Parameter is an SSM parameter that a deployment creates. Its name can exist only once.
type Parameter struct {
	// ID is the logical id. CloudFormation prints the id when it refuses the name, so the id of a
	// claim is the sentence that is false then.
	ID string
	// Name comes after the environment's name: "phase" stands for "/dev/phase".
	Name, Value, Description string
}

// Lock is the parameters of a deployment for the services of one load balancer, or for their compute:
// those of its first stack and those of its last stack. A stack has 500 resources at most
// (https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html). A
// load balancer has 100 rules, and a route needs 5 parameters at most.
type Lock struct {
	// Balancer is the name of the load balancer; empty for the first one, whose stacks also hold
	// what is about all services. A lock of the compute begins with "compute".
	Balancer   string
	Gate, Last []Parameter
}

// A name after a begun or a reached deployment.
const begun, reached = "begun", "reached"

// phase is the name of the parameter with the deployed phase for all.
const phase = "phase"

// ownPlaces is the parameter's value while a first stack claims it for services that are in several
// places.
const ownPlaces = "places"

// keys are two names that each phase for all claims or blocks when it begins.
var keys = []string{Monolith.String(), Retired.String()}

// Locks returns the parameters of a state: the first load balancer's, and one for each further load
// balancer if the services have places of their own.
func (m Migration) Locks(s State) []Lock {
	first := Lock{}
	if s.Places == "" {
		first.claim(claims(s.onPhaseLine()), "", "", reached, begun)
		first.Last = append(first.Last, Parameter{"Parameter", phase, s.Phase.String(), "The phase of the migration that is deployed"})
		first.block(s.blocks(s.onPhaseLine()), "", "")
		return append([]Lock{first}, m.computeLocks(s)...)
	}
	first.pass(s)
	// What is blocked is computed for all together, so that two lines never want one name.
	monolith := monolithLine.far(s.Phase.OfMonolith())
	if !s.done() {
		monolith = []string{Retired.String(), Removed.String()}
	}
	first.claim([]string{s.Phase.OfMonolith()}, m.Monolith.Name, "", reached, begun)
	first.block(monolith, m.Monolith.Name, "")
	locks := []Lock{first}
	places := s.places()
	for _, service := range m.Services {
		i := slices.IndexFunc(locks, func(l Lock) bool { return l.Balancer == service.LoadBalancer })
		if i < 0 {
			i = len(locks)
			locks = append(locks, Lock{Balancer: service.LoadBalancer})
		}
		l := &locks[i]
		for _, key := range service.Keys() {
			state := cmp.Or(places[key], Monolith.String()) // of a service that is new
			blocked := trafficLine.far(state)
			if s.Phase >= Retired {
				blocked = []string{Monolith.String(), Parallel.String(), shift}
			}
			l.claim([]string{state}, key, l.Balancer, reached, begun)
			l.block(blocked, key, l.Balancer)
		}
	}
	for i := range locks {
		locks[i].tell(m, s)
	}
	return append(locks, m.computeLocks(s)...)
}

// The names are a contract with deployed stacks, and those of one phase for all are older than
// places. "FollowsTheDeployedPhase" stands for what was reached last.
var follows = map[string]string{begun: "FollowsTheBegunPhase", reached: "FollowsTheDeployedPhase"}

// claim claims the names of states when a deployment begins, after what was begun and after what
// was reached.
func (l *Lock) claim(states []string, key, balancer string, after ...string) {
	for _, state := range states {
		for _, after := range after {
			l.Gate = append(l.Gate, Parameter{Pascal(state) + follows[after] + of(key), lockName(balancer, after, key, state), state, "Claimed by the deployment"})
		}
	}
}

// block holds the names of states that must not follow.
func (l *Lock) block(states []string, key, balancer string) {
	for _, state := range states {
		p := Parameter{"NotNextTo" + Pascal(state) + of(key), "", state, "Must not follow this phase"}
		p.Name = lockName(balancer, begun, key, state)
		l.Gate = append(l.Gate, p)
		p.Name = lockName(balancer, reached, key, state)
		l.Last = append(l.Last, p)
	}
}

// pass adds the names by which services with places of their own and one phase for all follow one
// another. A phase for all knows nothing of places. So:
//
//   - Services that are all in one place hold the names of that phase for all. They leave out the
//     [keys] when they begin; the last stack holds the keys that this phase for all does not need.
//   - Otherwise the last stack holds both keys, so that no phase for all can begin. And the first
//     stack claims the parameter that a phase for all leaves, so that the services pass over in one
//     place first.
func (l *Lock) pass(s State) {
	state := s.forAll()
	if state == "" {
		l.Gate = append(l.Gate, Parameter{"NoPhaseForAllIsDeployed", phase, ownPlaces, "Each service has a place of its own"})
		l.blockKeys(keys)
		return
	}
	own, blocked := claims(state), s.blocks(state)
	l.claim(own, "", "", reached)
	isKey := func(name string) bool { return slices.Contains(keys, name) }
	l.claim(slices.DeleteFunc(slices.Clone(own), isKey), "", "", begun)
	if s.KeepRest { // refuses retired, which blocks a shift, in the place of a key
		l.claim([]string{shift}, "", "", begun)
	}
	for _, name := range blocked {
		one := Lock{}
		one.block([]string{name}, "", "")
		l.Last = append(l.Last, one.Last...)
		if !isKey(name) {
			l.Gate = append(l.Gate, one.Gate...)
		}
	}
	l.blockKeys(slices.DeleteFunc(slices.Clone(keys), func(key string) bool {
		return slices.Contains(own, key) || slices.Contains(blocked, key)
	}))
}

func (l *Lock) blockKeys(keys []string) {
	for _, key := range keys {
		l.Last = append(l.Last, Parameter{"NoPhaseForAllNextTo" + Pascal(key), lockName("", begun, "", key), key, "Each service has a place of its own"})
	}
}

// PlacesID is the logical id of the parameter that has the places themselves. With many services and
// long names, the value has more than the 4 KB of a standard parameter, and never more than the 8 KB
// of an advanced one
// (https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-advanced-parameters.html).
const PlacesID = "Places"

// tell adds the places themselves, for people and for the cutover command.
func (l *Lock) tell(m Migration, s State) {
	places := s.places()
	var parts []string
	for _, service := range m.Services {
		if service.LoadBalancer != l.Balancer {
			continue
		}
		for _, key := range service.Keys() {
			parts = append(parts, key+"="+cmp.Or(places[key], Monolith.String()))
		}
	}
	slices.SortFunc(parts, byKey)
	switch {
	case l.Balancer != "":
	case s.Phase >= Retired:
		parts = append(parts, m.Monolith.Name+"="+s.Phase.String())
	case s.KeepRest:
		parts = append(parts, m.Monolith.Name+"=rest")
	}
	text := strings.Join(parts, ",")
	l.Gate = append(l.Gate, Parameter{PlacesID, begunPlaces(l.Balancer), text, "The places that were begun last"})
	l.Last = append(l.Last, Parameter{PlacesID, reachedPlaces(l.Balancer), text, "The places that are deployed"})
}

// lockName is the name of a parameter of the interlock.
func lockName(balancer, after, key, state string) string {
	name := gateName(balancer) + "/" + after + "/"
	if key != "" {
		name += key + "/"
	}
	return name + state
}

func gateName(balancer string) string { return suffixed("phase-gate", balancer) }

// begunPlaces is the name of the parameter with the places that were begun last.
func begunPlaces(balancer string) string { return gateName(balancer) + "/places" }

// reachedPlaces is the name of the parameter with the places that were reached last.
func reachedPlaces(balancer string) string { return suffixed("phase-places", balancer) }

// GateOff is the name of the parameter that stands in a first stack if the gate is off.
func GateOff(balancer string) string { return gateName(balancer) + "/begun/off" }

func suffixed(name, balancer string) string {
	if balancer == "" {
		return name
	}
	return name + "-" + balancer
}

// of is the end of the id of a parameter about one route: "OfUsersWrites".
func of(key string) string {
	if key == "" {
		return ""
	}
	return "Of" + Pascal(key)
}

// Pascal turns a name or a [Key] into a part of a logical id: "users/writes" becomes "UsersWrites".
func Pascal(name string) string {
	var b strings.Builder
	for part := range strings.FieldsFuncSeq(name, func(r rune) bool { return r == '-' || r == '/' }) {
		b.WriteString(strings.ToUpper(part[:1]) + part[1:])
	}
	return b.String()
}

// byKey orders "KEY=STATE" as the keys are ordered: "users" before "users-old" and "users/writes".
func byKey(a, b string) int {
	x, _, _ := strings.Cut(a, "=")
	y, _, _ := strings.Cut(b, "=")
	return strings.Compare(x, y)
}

// parsePlaces returns the state that the texts of all load balancers stand for.
func (m Migration) parsePlaces(texts []string) (State, error) {
	s := State{Phase: Switched}
	var parts []string
	monolith := Monolith
	for _, text := range texts {
		for part := range strings.SplitSeq(text, ",") {
			key, state, ok := strings.Cut(part, "=")
			switch {
			case part == "": // of a load balancer without services
			case !ok:
				return State{}, fmt.Errorf("%q is not SERVICE=STATE", part)
			case key == m.Monolith.Name && state == "rest":
				s.KeepRest = true
			case key == m.Monolith.Name:
				phase, err := ParsePhase(state)
				if err != nil {
					return State{}, err
				}
				monolith = phase
			case !trafficLine.has(state):
				return State{}, fmt.Errorf("%q is not a state of a service", part)
			default:
				parts = append(parts, part)
				if phase, err := ParsePhase(state); err == nil {
					s.Phase = min(s.Phase, phase)
				} else { // a shift
					s.Phase = min(s.Phase, Parallel)
				}
			}
		}
	}
	slices.SortFunc(parts, byKey)
	s.Phase = max(s.Phase, monolith)
	s.Places = strings.Join(parts, ",")
	return s, nil
}

// Follows reports whether the interlock lets a state be deployed after another one that is
// complete.
func (m Migration) Follows(after, next State) bool { return Follow(m.Locks(after), m.Locks(next)) }

// Follow is [Migration.Follows] for the parameters of two states, which may have other services.
func Follow(after, next []Lock) bool {
	held := map[string]string{} // id of each name, or none if the last stack has it
	for _, lock := range after {
		for _, p := range lock.Gate {
			held[p.Name] = p.ID
		}
		for _, p := range lock.Last {
			held[p.Name] = ""
		}
	}
	for _, lock := range next {
		for _, p := range lock.Gate {
			if id, taken := held[p.Name]; taken && id != p.ID {
				return false
			}
		}
	}
	return true
}

// States lists the states of one phase for all, in the order in which a migration passes them.
func States() []State {
	return []State{{Phase: Monolith}, {Phase: Parallel}, {Phase: Parallel, Shift: true}, {Phase: Switched}, {Phase: Retired}, {Phase: Removed}}
}

// DeployedNames lists the names of the parameters that [Migration.Deployed] takes, without the
// environment.
func (m Migration) DeployedNames() []string {
	names := []string{phase}
	for _, balancer := range m.balancers() {
		compute := suffixed(computeLock, balancer)
		names = append(names, reachedPlaces(balancer), begunPlaces(balancer), reachedPlaces(compute), begunPlaces(compute))
	}
	return append(names, heldNames()...)
}

// heldNames lists the names by which states of one phase for all are told apart.
func heldNames() (names []string) {
	for _, s := range phaseLine {
		names = append(names, lockName("", reached, "", s.name))
	}
	return append(names, lockName("", begun, "", Retired.String())) // of the rest that the monolith keeps
}

// Deployed is what the parameters of an environment tell.
type Deployed struct {
	// Exists is false if no deployment of the environment was ever complete.
	Exists bool
	// Reached is the state that was deployed last, Begun the state that was begun last. They differ
	// during a deployment, and after an interrupted one.
	Reached, Begun State
	// Exact is false if no deployment with the gate on leaves these parameters. Reached and Begun are
	// then the state that was reached, as far as it is known: without a shift.
	Exact bool
}

// Deployed returns the state of an environment. It takes the values of the environment's parameters,
// by the [Migration.DeployedNames]. An error begins with the parameter's name.
func (m Migration) Deployed(values map[string]string) (Deployed, error) {
	d, err := m.deployed(values)
	if err != nil || !d.Exists {
		return d, err
	}
	if d.Reached.Compute, err = m.readComputes(values, reachedPlaces); err == nil {
		d.Begun.Compute, err = m.readComputes(values, begunPlaces)
	}
	return d, err
}

// deployed is [Migration.Deployed] without the compute.
func (m Migration) deployed(values map[string]string) (Deployed, error) {
	// What stands in the parameters; nil for a state of one phase for all.
	reachedApart, err := m.readPlaces(values, reachedPlaces)
	if err != nil {
		return Deployed{}, err
	}
	begunApart, err := m.readPlaces(values, begunPlaces)
	if err != nil {
		return Deployed{}, err
	}
	all := append(States(), State{Phase: Switched, KeepRest: true})
	before, after := all, all
	var reached State
	if text, ok := values[phase]; reachedApart != nil {
		reached, before = *reachedApart, []State{*reachedApart}
	} else if !ok || text == ownPlaces {
		return Deployed{}, nil
	} else if reached.Phase, err = ParsePhase(text); err != nil {
		return Deployed{}, fmt.Errorf("%s: %w", phase, err)
	}
	if begunApart != nil {
		after = []State{*begunApart}
	}
	var held []string
	for _, name := range heldNames() {
		if _, ok := values[name]; ok {
			held = append(held, name)
		}
	}
	// Which states would leave these names?
	for _, r := range before {
		for _, b := range after {
			if r.Phase == reached.Phase && m.Follows(r, b) && slices.Equal(m.held(r, b), held) {
				return Deployed{Exists: true, Reached: r, Begun: b, Exact: true}, nil
			}
		}
	}
	return Deployed{Exists: true, Reached: reached, Begun: reached}, nil
}

// readPlaces reads the places of the services of all load balancers. It returns nil if the services
// have no places of their own.
func (m Migration) readPlaces(values map[string]string, name func(balancer string) string) (*State, error) {
	var texts []string
	for _, balancer := range m.balancers() {
		text, ok := values[name(balancer)]
		if !ok && balancer == "" {
			return nil, nil
		}
		if ok {
			texts = append(texts, text)
		}
	}
	s, err := m.parsePlaces(texts)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name(""), err)
	}
	return &s, nil
}

// held returns which of the names there are once a state is begun after another was reached.
func (m Migration) held(reached, begun State) (names []string) {
	all := append(m.Locks(begun)[0].Gate, m.Locks(reached)[0].Last...)
	for _, name := range heldNames() {
		if slices.ContainsFunc(all, func(p Parameter) bool { return p.Name == name }) {
			names = append(names, name)
		}
	}
	return names
}

// balancers lists the names of the load balancers, the first one first.
func (m Migration) balancers() []string {
	names := []string{""}
	for _, s := range m.Services {
		if !slices.Contains(names, s.LoadBalancer) {
			names = append(names, s.LoadBalancer)
		}
	}
	return names
}
