package step

import (
	"fmt"
	"slices"
	"strings"

	"cutover/migration"
)

// Row is where the traffic of a route is, or the monolith, which is the last row.
type Row struct {
	// Name is the route's [migration.Key], or the monolith's name.
	Name string `json:"name"`
	// Place is where cdk.json says. The monolith's is "running", "retired" or "removed".
	Place string `json:"place"`
	// Answers says who answers the requests: "users", "10 % users, 90 % api" or "503". The monolith's
	// says who answers everything else.
	Answers string `json:"answers"`
	// Next and Back are the places after a step of all services, or of this one. They are empty if
	// there is no step.
	Next string `json:"next,omitempty"`
	Back string `json:"back,omitempty"`
}

// Rows lists the routes and then the monolith.
func Rows(app App) (rows []Row) {
	m, plan := app.Migration, app.Migration.Plan(app.At)
	next, noNext := Next(app, nil)
	back, noBack := Back(app, nil)
	after := func(err error, was, is string) string {
		if err != nil || was == is {
			return ""
		}
		return is
	}
	for _, service := range m.Services {
		b := plan.At(service.LoadBalancer)
		runs := service.Runs(plan)
		for _, route := range service.Routes {
			place := app.At.Place(service.Name, route.Name)
			row := Row{Name: migration.Key(service.Name, route.Name), Place: place.String(), Answers: answer(b, service, route, runs)}
			row.Next = after(noNext, row.Place, next.Place(service.Name, route.Name).String())
			row.Back = after(noBack, row.Place, back.Place(service.Name, route.Name).String())
			rows = append(rows, row)
		}
	}
	place := app.At.Phase.OfMonolith()
	return append(rows, Row{
		Name: m.Monolith.Name, Place: place, Answers: "everything else: " + shareOf(plan.At("").Answers(migration.Match{})),
		Next: after(noNext, place, next.Phase.OfMonolith()), Back: after(noBack, place, back.Phase.OfMonolith()),
	})
}

// answer says who answers the requests of a route. Paths of one route may differ, if the monolith has
// only some of them. A service that does not run answers nothing; a function always runs.
func answer(b migration.Balancer, service migration.Service, route migration.Route, runs bool) string {
	var all []string
	for _, match := range route.EachPath() {
		targets := b.Answers(match)
		who := shareOf(targets)
		others := slices.ContainsFunc(targets, func(t migration.Target) bool { return !slices.Contains(service.Tasked(), t.Group) })
		if !runs && !others {
			who = "503"
		}
		if !slices.Contains(all, who) {
			all = append(all, who)
		}
	}
	for _, rule := range b.Rules {
		if rule.ID == "Testers" && rule.Service == service.Name && rule.Route == route.Name {
			all = append(all, "testers: "+shareOf(rule.Answers()))
		}
	}
	return strings.Join(all, "; ")
}

func shareOf(targets []migration.Target) string {
	if len(targets) == 1 {
		if targets[0].Group == migration.DropGroup {
			return "503"
		}
		return targets[0].Group
	}
	var parts []string
	for i, percent := range migration.Percent(targets) {
		parts = append(parts, fmt.Sprintf("%.3g %% %s", percent, targets[i].Group))
	}
	return strings.Join(parts, ", ")
}

// Places is the state of each row on a deployment, as [migration.State.Place] has it.
func Places(m migration.Migration, state migration.State) map[string]string {
	places := map[string]string{m.Monolith.Name: state.Phase.OfMonolith()}
	for _, service := range m.Services {
		for _, key := range service.Keys() {
			places[key] = state.Place(key)
			if state.Shift { // of one phase for all, which does not say of which services
				places[key] = "parallel or shift"
			}
		}
	}
	return places
}

// Names names the routes of a service whose place is one of those: by the service's name if all are.
func Names(app App, service migration.Service, one func(migration.Place) bool) (names []string) {
	for _, route := range service.Routes {
		if one(app.At.Place(service.Name, route.Name)) {
			names = append(names, migration.Key(service.Name, route.Name))
		}
	}
	if len(names) > 0 && len(names) == len(service.Routes) {
		return []string{service.Name}
	}
	return names
}

// Position returns the position of a state in which each service has a place of its own. The state
// does not say which share a service has: the position has shares of 0.
func Position(m migration.Migration, state migration.State) migration.Position {
	places := map[string]migration.Place{}
	for _, service := range m.Services {
		for _, key := range service.Keys() {
			place, err := migration.ParsePlace(state.Place(key))
			if err != nil { // a shift
				place = migration.Place{Phase: migration.Parallel, Shifted: true}
			}
			places[key] = place
		}
	}
	at := migration.At(places, state.Phase)
	at.Compute = computePlaces(m, state)
	return at
}

// computePlaces are the places of a state between kinds of compute, with shares of 0.
func computePlaces(m migration.Migration, state migration.State) map[string]migration.Place {
	var places map[string]migration.Place
	for _, s := range m.All() {
		if place := s.ComputePlaceOf(state.ComputePlace(s.Name)); place != (migration.Place{}) {
			if places == nil {
				places = map[string]migration.Place{}
			}
			places[s.Name] = place
		}
	}
	return places
}

// Moved says what is another in a position than in the one before: "parallel, users=10" of one phase
// for all, "users=switched" of services with places of their own.
func Moved(app App, to migration.Position) string {
	var parts, computes []string
	for _, name := range app.Migration.Moving() {
		if place := to.Compute[name]; place != app.At.Compute[name] {
			computes = append(computes, "compute "+name+"="+place.ComputeWord())
		}
	}
	if len(computes) > 0 { // of a step that moves nothing else
		return strings.Join(computes, ", ")
	}
	if to.Places == nil || app.At.Places == nil {
		to.Compute = nil
		return to.String()
	}
	for _, service := range app.Migration.Services {
		for _, key := range service.Keys() {
			if place := to.Places[key]; place != app.At.Places[key] {
				parts = append(parts, key+"="+place.String())
			}
		}
	}
	if is := to.Phase.OfMonolith(); is != app.At.Phase.OfMonolith() {
		parts = append(parts, app.Migration.Monolith.Name+"="+is)
	}
	return strings.Join(parts, ", ")
}
