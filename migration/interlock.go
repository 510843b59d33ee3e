package migration

import "slices"

// A phase may be deployed only next to the one before it. Leaving one out, in
// either direction, would send requests to a service whose tasks are not
// running yet, or stop tasks that are still being sent requests.
//
// The deployment itself refuses that, by names that can exist only once. What is
// deployed first claims a name for the state that is being deployed to; what is
// deployed holds the names of all states that must not come next. To deploy a
// state out of turn is then to create something that exists already, which fails
// before anything else has changed. Nothing has to be read, so a new environment
// may begin in any phase.
//
// A deployment may end half-way. So both the state that was last begun and the
// one that was last reached hold names, and the next one has to follow both.

// shiftState is claimed beside the phase when a shift is set. A shift sends
// requests to the microservices, so they must be running already, and must not
// be stopped before it is taken back.
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
// No state blocks one that it may follow itself. That keeps the names apart: what
// a deployment blocks is never what the one before it has claimed.
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

// State is what the interlock knows of a deployment: its phase, and whether
// there is a shift, without its percentages.
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

// States lists every state there is, in the order in which a migration passes
// them.
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

// Follows tells whether the interlock lets a state be deployed after another.
func Follows(after, next State) bool {
	blocked := after.names(Blocks)
	return !slices.ContainsFunc(next.names(Claims), func(claim string) bool { return slices.Contains(blocked, claim) })
}

// Deployed tells from the phase that was deployed last, and from which of [Names]
// are held after it, what was reached and what was begun since. They differ while
// a deployment goes on, and after one that was interrupted. Its result is false,
// and nothing but the phase is known, if no deployment with the gate on leaves
// those names.
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
