package step

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"cutover/config"
	"cutover/migration"
)

// Check refuses a step from a position that is not deployed, because the step would leave it out.
func Check(app App, deployed Deployed) error {
	if !deployed.Exists {
		return nil // a new environment may begin in any phase
	}
	at, where := app.Migration.State(app.At), deployed.Where(app.Env)
	reached, position := deployed.Reached, app.At
	says, is := computeApart(app.Migration, at, reached, app.At.Compute)
	at.Compute, reached.Compute, position.Compute = "", "", nil
	// With the gate off, AWS does not tell all about one phase for all.
	known := deployed.Exact || reached.Places != "" || at.Places != ""
	switch {
	case deployed.Begun != deployed.Reached:
		was, begun := apart(app.Migration, deployed.Reached, deployed.Begun, nil)
		return fmt.Errorf("%s is in %s, and a deployment of %s was begun and is not complete: wait for it, or deploy again", where, was, begun)
	case at.Phase != reached.Phase, known && at != reached:
		says, is := apart(app.Migration, at, reached, app.At.Places)
		if at.Places == "" && at.KeepRest == reached.KeepRest {
			says = position.String() // with the shares
		}
		return notDeployed(says, where, is)
	case len(says) > 0:
		return notDeployed("compute "+strings.Join(says, ", "), where, "compute "+strings.Join(is, ", "))
	}
	return nil
}

func notDeployed(says, where, is string) error {
	return fmt.Errorf("cdk.json says %s and %s is in %s: deploy what cdk.json says first, or make it say what is deployed", says, where, is)
}

// apart returns two states in words. If both have a place for each service, only the services that
// differ are there. The places of the first state, if known, tell its shares.
func apart(m migration.Migration, a, b migration.State, places map[string]migration.Place) (as, bs string) {
	computed, computes := computeApart(m, a, b, nil)
	a.Compute, b.Compute = "", ""
	if a == b && len(computed) > 0 {
		return "compute " + strings.Join(computed, ", "), "compute " + strings.Join(computes, ", ")
	}
	var one, other []string
	if a.Places != "" && b.Places != "" && a.KeepRest == b.KeepRest {
		pa, pb := Places(m, a), Places(m, b)
		for _, name := range slices.Sorted(maps.Keys(pa)) {
			was, is := pa[name], pb[name]
			if was == is {
				continue
			}
			if place := places[name]; place.Shifted {
				was = place.String()
			}
			one, other = append(one, name+"="+was), append(other, name+"="+is)
		}
	}
	if len(one) == 0 {
		return a.String(), b.String()
	}
	return strings.Join(one, ", "), strings.Join(other, ", ")
}

// Follows refuses a position that the deployment itself would refuse: the position must follow the
// state that was reached and the state that was begun. It also refuses what no deployment does: a new
// service or route that gets requests before it runs.
func Follows(app App, to migration.Position, deployed Deployed) error {
	state := app.Migration.State(to)
	if err := OutOfTurn(app.Migration, app.Env, state, deployed); err != nil {
		return fmt.Errorf("cdk.json says %s, and %w", to, err)
	}
	if !deployed.Exists {
		return nil
	}
	if app.Internal != deployed.Internal {
		return fmt.Errorf("cdk.json says scheme %s, and %s has another: the load balancer would be replaced, and its address with it, so the gate refuses it: set scheme back, or make a new environment and move the clients to it",
			config.Scheme(app.Internal), deployed.Where(app.Env))
	}
	for _, was := range []migration.State{deployed.Reached, deployed.Begun} {
		if jumps := jumps(app.Migration, was, state); len(jumps) > 0 {
			return fmt.Errorf("cdk.json says %s, and %s %s. AWS does not refuse that, and requests would be lost", to, deployed.Where(app.Env), computeTurns(app.Migration, jumps, was))
		}
	}
	// One phase for all does not say what is new.
	known, from := app.Migration, migration.Position{Phase: deployed.Reached.Phase, Compute: computePlaces(app.Migration, deployed.Reached)}
	if deployed.Reached.Places != "" {
		known = app.Migration.Known(deployed.Reached)
		from = Position(known, deployed.Reached)
		if early := migration.Early(known, from, app.Migration, to); len(early) > 0 {
			return fmt.Errorf("cdk.json says %s, and %s does not have %s yet, which would get requests before the tasks run: begin in monolith or parallel",
				to, deployed.Where(app.Env), strings.Join(early, ", "))
		}
	}
	return app.Deployment.CheckStep(known, from, to)
}

// jumps are the services that leave a place out on their way to another kind of compute, without those
// that may be new on another kind: one phase for all does not say what is new.
func jumps(m migration.Migration, was, is migration.State) []string {
	return slices.DeleteFunc(m.Known(was).Jumps(was, is), func(name string) bool {
		return was.Places == "" && was.ComputePlace(name) == migration.EC2 && slices.Contains(migration.Computes, is.ComputePlace(name))
	})
}

// OutOfTurn says of a state that may not follow what is deployed, as in "dev in eu-west-1 is in
// parallel: switched comes next, or monolith to go back", or "dev in eu-west-1 has users in
// monolith: parallel comes next". Routes that the deployed state does not know are new: they have no
// turn.
func OutOfTurn(m migration.Migration, env string, to migration.State, deployed Deployed) error {
	if !deployed.Exists {
		return nil // a new environment may begin in any phase
	}
	for _, state := range []migration.State{deployed.Reached, deployed.Begun} {
		known := m.Known(state)
		if migration.Follow(known.Locks(state), m.Locks(to)) {
			continue
		}
		before, after := state, to
		before.Compute, after.Compute = "", ""
		if jumps := known.Jumps(state, to); migration.Follow(known.Locks(before), m.Locks(after)) && len(jumps) > 0 {
			return fmt.Errorf("%s %s", deployed.Where(env), computeTurns(m, jumps, state))
		}
		return fmt.Errorf("%s %s", deployed.Where(env), turn(known, before, after))
	}
	return nil
}

// turn is a state, and what may follow it instead of another one.
func turn(m migration.Migration, state, to migration.State) string {
	switch {
	case state.Places == "" && to.Places == "":
		return "is in " + turnForAll(m, state)
	case state.Places == "" && (state.Shift || state.Phase > migration.Switched):
		return fmt.Sprintf("is in %s, one phase for all: services get places of their own in monolith, parallel or switched, without a shift", state)
	case state.Places == "":
		over := m.State(migration.Position{Phase: state.Phase}.Each(m.Services))
		return fmt.Sprintf("is in %s, one phase for all: first deploy the same for each service, %s, which moves nothing", state, over)
	case to.Places == "":
		return fmt.Sprintf("is in %s, a place for each service: one phase for all follows once each service has the same place, and no share, and is that place first", state)
	}
	return turnOfEach(m, state, to)
}

// turnForAll is one phase for all, and what may follow.
func turnForAll(m migration.Migration, state migration.State) string {
	next, back := "", ""
	if state.Phase < migration.Removed {
		next = (state.Phase + 1).String()
	}
	if state.Shift {
		back = state.Phase.String() + " without it"
	} else if state.Phase > migration.Monolith {
		back = (state.Phase - 1).String()
	}
	switch {
	case state.KeepRest:
		return fmt.Sprintf("%s: %s is the way back, and %s retires only after a deployment with \"rest\": \"drop\"", state, back, m.Monolith.Name)
	case back == "":
		return fmt.Sprintf("%s: %s comes next", state, next)
	case next == "":
		return fmt.Sprintf("%s: it is the last phase, and %s is the way back", state, back)
	}
	return fmt.Sprintf("%s: %s comes next, or %s to go back", state, next, back)
}

// turnOfEach says which services have places that do not follow, and which places they have. The
// monolith comes last.
func turnOfEach(m migration.Migration, state, to migration.State) string {
	late := map[string][]string{}   // routes that leave a place out, by place
	before := map[string][]string{} // routes that are not switched, by place
	var moves []string              // routes that leave switched
	for _, service := range m.Services {
		for _, key := range service.Keys() {
			was, is := state.Place(key), to.Place(key)
			switch {
			case !migration.PlaceFollows(was, is):
				late[was] = append(late[was], key)
			case is != "switched" && state.Phase >= migration.Retired:
				moves = append(moves, key)
			}
			if was != "switched" {
				before[was] = append(before[was], key)
			}
		}
	}
	var parts []string
	say := func(keys []string, place, next string) {
		if len(keys) > 0 {
			parts = append(parts, fmt.Sprintf("%s in %s: %s", strings.Join(keys, ", "), place, next))
		}
	}
	monolith, retires := m.Monolith.Name, to.Phase >= migration.Retired
	switch {
	case retires && len(before) > 0:
		for _, place := range []string{"monolith", "parallel", "shift"} {
			say(before[place], place, fmt.Sprintf("%s can be %s only after each service is switched", monolith, to.Phase))
		}
	case len(late) > 0:
		say(late["monolith"], "monolith", "parallel comes next")
		say(late["shift"], "shift", "parallel is the way back")
		say(late["switched"], "switched", "parallel is the way back")
	case len(moves) > 0:
		say([]string{monolith}, state.Phase.String(), strings.Join(moves, ", ")+" may go back only after it runs again")
	case state.KeepRest:
		say([]string{"the rest"}, monolith, monolith+" retires only after a deployment with \"rest\": \"drop\"")
	case retires:
		say([]string{monolith}, "switched", "retired comes next, and then removed")
	default:
		say([]string{monolith}, state.Phase.String(), "retired is the way back")
	}
	return "has " + strings.Join(parts, "; ")
}
