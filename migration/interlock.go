package migration

import "slices"

// A phase may only be deployed next to the phase before. To leave a phase out, in
// either direction, would send requests to tasks that do not run yet, or stop tasks
// that still get requests.
//
// The deployment itself refuses that, by names that can exist only once. It begins by
// claiming a name for the state that it goes to. What is deployed holds the names of
// all states that must not come next. So a deployment out of turn creates something
// that exists already, and fails before anything else changes. Nothing has to be read:
// a new environment may begin in any phase.
//
// A deployment may end half-way. So the state that was begun last and the state that
// was reached last both hold names. The next state has to follow both.

// shiftState is claimed beside the phase if a shift is set. A shift sends requests to
// the microservices. They must run before the shift, and until it is taken back.
const shiftState = "shift"

// Claims returns the states that a deployment claims.
func Claims(phase Phase, shift map[string]int) []string {
	if len(shift) > 0 {
		return []string{phase.String(), shiftState}
	}
	return []string{phase.String()}
}

// Blocks returns the states that must not follow, sorted.
//
// No state blocks a state that it may follow itself. So the names never clash: a
// deployment never blocks what the deployment before has claimed.
func Blocks(phase Phase, shift map[string]int) []string {
	var states []string
	for _, p := range Phases() {
		if p < phase-1 || p > phase+1 {
			states = append(states, p.String())
		}
	}
	if len(shift) > 0 {
		states = append(states, Monolith.String())
	}
	if phase == Monolith || phase == Retired {
		states = append(states, shiftState)
	}
	slices.Sort(states)
	return states
}

// State is what the interlock knows of a deployment: its phase, and whether a shift is
// set.
type State struct {
	Phase Phase
	Shift bool
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

// names returns what the state claims or blocks.
func (s State) names(of func(Phase, map[string]int) []string) []string {
	var shift map[string]int
	if s.Shift {
		shift = map[string]int{"": 0}
	}
	return of(s.Phase, shift)
}

// Names returns the states that may be claimed or blocked.
func Names() []string { return append(PhaseNames(), shiftState) }

// Follows reports whether the interlock lets a state be deployed after another.
func Follows(after, next State) bool {
	blocked := after.names(Blocks)
	return !slices.ContainsFunc(next.names(Claims), func(claim string) bool { return slices.Contains(blocked, claim) })
}

// Deployed returns the state that was reached last and the state that was begun last.
// They differ while a deployment goes on, and after an interrupted one. Its arguments
// are the phase that was deployed last, and those of [Names] that are held after it. If
// no deployment with the gate on leaves those names, ok is false, and only the phase is
// known.
func Deployed(phase Phase, held []string) (reached, begun State, ok bool) {
	held = slices.Sorted(slices.Values(held))
	for _, reached := range States() {
		if reached.Phase != phase {
			continue
		}
		blocked := reached.names(Blocks)
		for _, begun := range States() {
			if Follows(reached, begun) && slices.Equal(slices.Sorted(slices.Values(append(begun.names(Claims), blocked...))), held) {
				return reached, begun, true
			}
		}
	}
	return State{Phase: phase}, State{Phase: phase}, false
}
