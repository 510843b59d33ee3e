package migration

import "slices"

// A phase may be deployed only next to the phase before. Leaving a phase out, in either direction,
// would send requests to tasks that do not run yet, or stop tasks that still get requests.
//
// The deployment itself refuses that, by names that can exist only once. It begins by claiming a
// name for its own state. The deployed stacks hold the names of all states that must not come next.
// So a deployment out of turn creates a name that exists already, and fails before anything else
// changes. It reads nothing: a new environment may begin in any phase.
//
// A deployment may end half-way. So the state that was begun last and the state that was reached
// last both hold names. The next state has to follow both.

// shiftState is claimed beside the phase if a shift is set. A shift sends requests to the
// microservices. They must run before the shift, and until it is taken back.
const shiftState = "shift"

// State is what the interlock knows of a deployment: its phase, and whether a shift is set.
type State struct {
	Phase Phase
	Shift bool
}

// Claims returns the names that a deployment of the state claims.
func (s State) Claims() []string {
	if s.Shift {
		return []string{s.Phase.String(), shiftState}
	}
	return []string{s.Phase.String()}
}

// Blocks returns the names of the states that must not follow, sorted.
//
// No state blocks a state that it may follow itself. So the names never clash: a deployment never
// blocks what the deployment before has claimed.
func (s State) Blocks() []string {
	var names []string
	for _, p := range Phases() {
		if p < s.Phase-1 || p > s.Phase+1 {
			names = append(names, p.String())
		}
	}
	if s.Shift {
		names = append(names, Monolith.String())
	}
	if s.Phase == Monolith || s.Phase == Retired {
		names = append(names, shiftState)
	}
	slices.Sort(names)
	return names
}

func (s State) String() string {
	if s.Shift {
		return s.Phase.String() + " with a shift"
	}
	return s.Phase.String()
}

// States lists all states, in the order in which a migration passes them.
func States() []State {
	return []State{{Phase: Monolith}, {Phase: Parallel}, {Phase: Parallel, Shift: true}, {Phase: Switched}, {Phase: Retired}}
}

// Names returns the names that may be claimed or blocked.
func Names() []string { return append(PhaseNames(), shiftState) }

// Follows reports whether the interlock lets a state be deployed after another.
func Follows(after, next State) bool {
	return !slices.ContainsFunc(next.Claims(), func(claim string) bool { return slices.Contains(after.Blocks(), claim) })
}

// Deployed returns the state that was reached last and the state that was begun last. They differ
// during a deployment, and after an interrupted one. It takes the phase that was deployed last and
// the names that are held after it, out of [Names]. If no deployment with the gate on leaves these
// names, ok is false, and only the phase is known.
func Deployed(phase Phase, held []string) (reached, begun State, ok bool) {
	held = slices.Sorted(slices.Values(held))
	for _, reached := range States() {
		for _, begun := range States() {
			names := slices.Sorted(slices.Values(append(begun.Claims(), reached.Blocks()...)))
			if reached.Phase == phase && Follows(reached, begun) && slices.Equal(names, held) {
				return reached, begun, true
			}
		}
	}
	return State{Phase: phase}, State{Phase: phase}, false
}
