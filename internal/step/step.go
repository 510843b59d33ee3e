// Package step takes a deployment one step of its migration forward or back. It reads the position
// from cdk.json and from AWS, says what a step does, refuses a step out of turn, and edits
// cdk.json. It also asks AWS how canaries do.
package step

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"cutover/config"
	"cutover/migration"
)

// App is what a step needs to know of an app.
type App struct {
	Deployment config.Deployment
	Migration  migration.Migration
	Env        string
	At         migration.Position // in cdk.json
}

// ReadContext fills in the defaults of a deployment, and reads the environment and the position
// from a context. If env is not empty, it replaces the context's. The error has all mistakes.
func ReadContext(d config.Deployment, context map[string]any, env string) (App, error) {
	context = maps.Clone(context)
	// Only a deployment checks these, with an account.
	delete(context, "vpcId")
	delete(context, "certificateArn")
	if env != "" {
		context["env"] = env
	}
	// Reservations do not matter to a step. With the least allowed, tasks fit on any instances.
	d.Monolith = least(d.Monolith)
	d.Services = slices.Clone(d.Services)
	for i := range d.Services {
		d.Services[i] = least(d.Services[i])
	}
	d, settings, err := config.Load(d, context, func(string) string { return "" })
	return App{d, d.Migration(), settings.Env, settings.Position}, err
}

func least(s config.Service) config.Service {
	s.CPU, s.MemoryReservationMiB = 2, 6
	return s
}

// Next returns the position after a step forward. A canary, as in "users=10", replaces the shift.
func Next(app App, canary string) (migration.Position, error) {
	from := app.At
	if canary == "" {
		if from.Phase == migration.Removed {
			return from, errors.New("there is no phase after removed: the migration is complete")
		}
		return migration.Position{Phase: from.Phase + 1}, nil
	}
	switch from.Phase {
	case migration.Monolith:
		return from, errors.New("--canary: in monolith the microservices do not run yet: go to parallel and deploy that first")
	case migration.Switched, migration.Retired, migration.Removed:
		return from, fmt.Errorf("--canary: in %s the microservices have all of their traffic: a canary is for parallel", from.Phase)
	}
	then, err := ReadContext(app.Deployment, map[string]any{"phase": migration.Parallel.String(), "shift": canary}, "")
	to := then.At
	switch {
	case err != nil:
		return from, fmt.Errorf("--canary: %w", err)
	case len(to.Shift) == 0:
		return from, errors.New("--canary: it names no service: give SERVICE=PERCENT, as in users=10")
	case maps.Equal(from.Shift, to.Shift):
		return from, fmt.Errorf("--canary: %s is set already", from.ShiftText())
	}
	return to, nil
}

// Back returns the position after a step back. A step back from a shift only removes the shift: the
// microservices get requests until then, and may not stop.
func Back(from migration.Position) (migration.Position, error) {
	if len(from.Shift) > 0 {
		return migration.Position{Phase: from.Phase}, nil
	}
	if from.Phase == migration.Monolith {
		return from, errors.New("there is no phase before monolith: the migration has not begun")
	}
	return migration.Position{Phase: from.Phase - 1}, nil
}

// Check refuses a step from a position that is not deployed, because the step would leave it out.
func Check(app App, deployed Deployed) error {
	if !deployed.Exists {
		return nil // a new environment may begin in any phase
	}
	from, where := app.At, deployed.Where(app.Env)
	switch {
	case deployed.Begun != deployed.Reached:
		return fmt.Errorf("%s is in %s, and a deployment of %s was begun and is not complete: wait for it, or deploy again", where, deployed.Reached, deployed.Begun)
	case from.Phase != deployed.Reached.Phase, deployed.Exact && app.Migration.State(from) != deployed.Reached:
		return fmt.Errorf("cdk.json says %s and %s is in %s: deploy what cdk.json says first, or make it say what is deployed", from, where, deployed.Reached)
	}
	return nil
}

// Follows refuses a position that the deployment itself would refuse. The position must follow the
// state that was reached and the state that was begun.
func Follows(app App, to migration.Position, deployed Deployed) error {
	if err := OutOfTurn(app.Migration, app.Env, app.Migration.State(to), deployed); err != nil {
		return fmt.Errorf("cdk.json says %s, and %w", to, err)
	}
	return nil
}

// OutOfTurn says of a state that may not follow what is deployed, as in "dev in eu-west-1 is in
// parallel: switched comes next, or monolith to go back".
func OutOfTurn(m migration.Migration, env string, to migration.State, deployed Deployed) error {
	if !deployed.Exists {
		return nil // a new environment may begin in any phase
	}
	for _, state := range []migration.State{deployed.Reached, deployed.Begun} {
		if !m.Follows(state, to) {
			return fmt.Errorf("%s is in %s", deployed.Where(env), turn(state))
		}
	}
	return nil
}

// turn is a state, and what may follow.
func turn(state migration.State) string {
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
	case back == "":
		return fmt.Sprintf("%s: %s comes next", state, next)
	case next == "":
		return fmt.Sprintf("%s: it is the last phase, and %s is the way back", state, back)
	}
	return fmt.Sprintf("%s: %s comes next, or %s to go back", state, next, back)
}
