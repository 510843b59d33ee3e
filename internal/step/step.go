// Package step takes a deployment one step of its migration forward or back. It reads the position
// from cdk.json and from AWS, says what a step does, refuses a step out of turn, and edits
// cdk.json. It also asks AWS how canaries do.
package step

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"cutover/config"
	"cutover/internal/words"
	"cutover/migration"
)

// App is what a step needs to know of an app.
type App struct {
	Deployment config.Deployment
	Migration  migration.Migration
	Env        string
	At         migration.Position // in cdk.json
	// Internal says that the load balancers have addresses in the VPC only.
	Internal bool
}

// ReadContext fills in the defaults of a deployment, and reads the environment and the position
// from a context. If env is not empty, it replaces the context's. The error has all mistakes.
func ReadContext(d config.Deployment, context map[string]any, env string) (App, error) {
	context = maps.Clone(context)
	// Only a deployment checks these, with an account, with the calls and events of the services, and with what is before them.
	for _, key := range []string{"vpcId", "certificateArn", "domain", "ui", "uiDomain", "uiHostedZoneId", "uiCertificateArn", "directAccess", "cloudFrontPrefixListId", "waf", "events"} {
		delete(context, key)
	}
	if env != "" {
		context["env"] = env
	}
	// Reservations do not matter to a step. With the least allowed, tasks fit on any instances.
	if beside(context) {
		d.Monolith = config.Service{Name: d.Monolith.Name}
	} else {
		d.Monolith = least(d.Monolith)
	}
	d.Services = slices.Clone(d.Services)
	for i := range d.Services {
		d.Services[i] = least(d.Services[i])
	}
	d, settings, err := config.Load(d, context, func(string) string { return "" })
	return App{d, d.Migration(), settings.Env, settings.Position, settings.Internal}, err
}

// beside says whether a context has a monolith that exists already. What only a deployment checks about the network around it has
// any value then.
func beside(context map[string]any) bool {
	if group, _ := context["monolithTargetGroupArn"].(string); group == "" {
		return false
	}
	for _, key := range []string{"clusterName", "capacityProvider", "taskSecurityGroupIds"} {
		delete(context, key)
	}
	context["vpcId"], context["subnetIds"], context["loadBalancerSecurityGroupIds"] = "vpc-00000000", "subnet-00000000,subnet-00000001", "sg-00000000"
	return true
}

// Listed are the settings with which a list of services is loaded again as it is, but for the position. What only a deployment
// needs may be missing, or have any value.
func Listed(d config.Deployment) map[string]any {
	settings := map[string]any{"rest": "drop"}
	if d.RootService != "" {
		settings["rootService"] = d.RootService
	}
	if d.KeepRest {
		settings["rest"] = "monolith"
	}
	if account, _, existing := strings.Cut(d.Existing, ":targetgroup/"); existing {
		settings["monolithTargetGroupArn"], settings["rulePriorities"] = d.Existing, d.Priorities.String()
		settings["listenerArn"] = account + ":listener/app/listed/0000000000000000/0000000000000000"
	}
	return settings
}

func least(s config.Service) config.Service {
	s.CPU, s.MemoryReservationMiB = 2, 6
	return s
}

// find returns the routes that a name stands for: all of a service, or one, as in "users/writes".
func find(m migration.Migration, name string) ([]string, error) {
	keys := m.Named(name)
	switch {
	case keys != nil:
		return keys, nil
	case name == m.Monolith.Name:
		return nil, fmt.Errorf("%s is the monolith: it retires with the next step after each service is switched", name)
	}
	return nil, fmt.Errorf("there is no microservice or route %q: %s", name, words.Choice(m.Names()))
}

// Next returns the position after a step forward.
//
// With one phase for all, all services move. If services have places of their own, each takes one
// step; once all are switched, the monolith does. With names, as in "users" or "users/writes", only
// these take a step.
//
// With names and one phase for all, the position has the same places for each service, and nothing
// moves: see [Passes].
func Next(app App, names []string) (migration.Position, error) {
	return keepCompute(app)(next(app, names))
}

// keepCompute is for steps of a phase and places, which move no service to another kind of compute.
func keepCompute(app App) func(migration.Position, error) (migration.Position, error) {
	return func(to migration.Position, err error) (migration.Position, error) {
		to.Compute = app.At.Compute
		return to, err
	}
}

func next(app App, names []string) (migration.Position, error) {
	at := app.At
	if len(names) > 0 {
		return each(app, names, forward, "switched, its last place")
	}
	switch {
	case at.Phase == migration.Removed:
		return at, errors.New("there is no phase after removed: the migration is complete")
	case at.Phase == migration.Switched && app.Deployment.KeepRest:
		return at, fmt.Errorf(`there is no phase after switched: the monolith %s keeps the rest, as "rest": "monolith" says`, app.Deployment.Monolith.Name)
	case at.Places == nil:
		return migration.Position{Phase: at.Phase + 1}, nil
	case at.Phase >= migration.Switched:
		return migration.At(at.Places, at.Phase+1), nil
	}
	return moved(at, slices.Collect(maps.Keys(at.Places)), forward), nil
}

// Back returns the position after a step back. A step back from a share only removes the share: the
// microservice gets requests until then, and may not stop. The names are those of [Next].
func Back(app App, names []string) (migration.Position, error) {
	return keepCompute(app)(before(app, names))
}

func before(app App, names []string) (migration.Position, error) {
	at := app.At
	if len(names) > 0 {
		return each(app, names, back, "monolith, its first place")
	}
	switch {
	case len(at.Shift) > 0:
		return migration.Position{Phase: at.Phase}, nil
	case at.Places == nil && at.Phase == migration.Monolith, begins(at):
		return at, errors.New("there is no phase before monolith: the migration has not begun")
	case at.Places == nil:
		return migration.Position{Phase: at.Phase - 1}, nil
	case at.Phase > migration.Switched:
		return migration.At(at.Places, at.Phase-1), nil
	}
	return moved(at, slices.Collect(maps.Keys(at.Places)), back), nil
}

// begins reports whether services with places of their own are all in the first one.
func begins(at migration.Position) bool {
	for _, place := range at.Places {
		if place.Phase != migration.Monolith {
			return false
		}
	}
	return at.Places != nil
}

func forward(place migration.Place) migration.Place {
	return migration.Place{Phase: min(place.Phase+1, migration.Switched)}
}

func back(place migration.Place) migration.Place {
	if place.Shifted {
		return migration.Place{Phase: place.Phase}
	}
	return migration.Place{Phase: max(place.Phase-1, migration.Monolith)}
}

// moved returns the position after a move of some routes, while the monolith runs.
func moved(at migration.Position, keys []string, move func(migration.Place) migration.Place) migration.Position {
	places := maps.Clone(at.Places)
	for _, key := range keys {
		places[key] = move(at.Places[key])
	}
	return migration.At(places, migration.Monolith)
}

// each returns the position after a move of the named services and routes.
func each(app App, names []string, move func(migration.Place) migration.Place, end string) (migration.Position, error) {
	at := app.At.Each(app.Migration.Services)
	var chosen []string
	for _, name := range names {
		found, err := find(app.Migration, name)
		if err != nil {
			return app.At, fmt.Errorf("--service: %w", err)
		}
		if !slices.ContainsFunc(found, func(key string) bool { return move(at.Places[key]) != at.Places[key] }) {
			return app.At, fmt.Errorf("--service: %s is in %s", name, end)
		}
		chosen = append(chosen, found...)
	}
	monolith := app.Deployment.Monolith.Name
	switch {
	case at.Phase >= migration.Retired:
		return app.At, fmt.Errorf("--service: %s is %s: it has to run before a service goes back: go back without --service first, to switched", monolith, at.Phase)
	case len(app.At.Shift) > 0:
		return app.At, fmt.Errorf("--service: %s is a shift of one phase for all: remove the shift with `phase back`, and deploy that first", app.At.ShiftText())
	case app.At.Places == nil:
		return at, nil
	}
	return moved(at, chosen, move), nil
}

// Passes reports whether a step only passes from one phase for all to a place for each service.
func Passes(from, to migration.Position) bool { return from.Places == nil && to.Places != nil }

// Canary returns the position with shares, as in "users=10,posts=5". With one phase for all, they
// replace the shift. If services have places of their own, the others stay where they are.
func Canary(app App, canary string) (migration.Position, error) {
	to, err := keepCompute(app)(shares(app, canary))
	if err != nil {
		return app.At, fmt.Errorf("--canary: %w", err)
	}
	if to.String() == app.At.String() {
		return app.At, fmt.Errorf("--canary: %s is set already", canary)
	}
	return to, nil
}

func shares(app App, canary string) (migration.Position, error) {
	at := app.At
	if at.Places != nil {
		return ownShares(app, canary)
	}
	switch {
	case at.Phase == migration.Monolith:
		return at, errors.New("in monolith the microservices do not run yet: go to parallel and deploy that first")
	case at.Phase > migration.Parallel:
		return at, fmt.Errorf("in %s the microservices have all of their traffic: a canary is for parallel", at.Phase)
	}
	then, err := ReadContext(app.Deployment, map[string]any{"phase": migration.Parallel.String(), "shift": canary}, "")
	return then.At, err
}

// ownShares are shares of services with places of their own. The share of a route counts before the
// one of its service.
func ownShares(app App, canary string) (migration.Position, error) {
	at := app.At
	given := map[string]migration.Place{}
	for part := range strings.SplitSeq(canary, ",") {
		name, percent, ok := strings.Cut(part, "=")
		name, percent = strings.TrimSpace(name), strings.TrimSpace(percent)
		place, err := migration.ParsePlace(strings.TrimSuffix(percent, "%") + "%")
		_, again := given[name]
		switch {
		case !ok || name == "":
			return at, fmt.Errorf("%q is not SERVICE=PERCENT, as in users=10", part)
		case again:
			return at, fmt.Errorf("%s is named twice", name)
		case err != nil:
			return at, fmt.Errorf("%s=%s is not a percentage: use a whole number from 0 to 100", name, percent)
		}
		given[name] = place
	}
	places := maps.Clone(at.Places)
	for _, name := range slices.Sorted(maps.Keys(given)) { // a service before its routes
		found, err := find(app.Migration, name)
		if err != nil {
			return at, err
		}
		for _, key := range found {
			switch at.Places[key].Phase {
			case migration.Monolith:
				return at, fmt.Errorf("%s is in monolith and does not run yet: go to parallel and deploy that first", key)
			case migration.Switched:
				return at, fmt.Errorf("%s is switched and has all of its traffic: a canary is for parallel", key)
			}
			places[key] = given[name]
		}
	}
	return migration.At(places, migration.Monolith), nil
}
