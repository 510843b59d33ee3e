package migration

// A phase may be deployed only next to the one before it. Leaving one out, in
// either direction, would send requests to a service whose tasks are not
// running yet, or stop tasks that are still being sent requests.
//
// The deployment itself refuses that, by names that can exist only once. The
// first stack to be deployed claims a name for the state that is being deployed
// to; the last one holds the names of all states that must not come next. To
// deploy a state out of turn is then to create something that exists already,
// which fails before anything else has changed. Nothing has to be read, so a
// new environment may begin in any phase.

// shiftState is claimed beside the phase when a shift is set: a shift sends
// requests to the microservices, so they must be running already.
const shiftState = "shift"

// Claims returns the states that a deployment claims.
func Claims(phase Phase, shift map[string]int) []string {
	if len(shift) > 0 {
		return []string{phase.String(), shiftState}
	}
	return []string{phase.String()}
}

// Blocks returns the states that must not be claimed next, once the phase is
// deployed.
func Blocks(phase Phase) []string {
	var states []string
	for _, p := range Phases() {
		if p < phase-1 || p > phase+1 {
			states = append(states, p.String())
		}
	}
	if phase == Monolith || phase == Retired {
		states = append(states, shiftState)
	}
	return states
}
