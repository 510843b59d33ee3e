package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"cutover/config"
	"cutover/internal/listing"
	"cutover/internal/rehearsal"
	"cutover/internal/step"
	"cutover/internal/words"
	"cutover/migration"
)

// stop is a position of a walk.
type stop struct {
	// name is the position as the setting phase takes it, with as few places as possible.
	name string
	// at is the position, if it is known: other apps may have stops of any name.
	at    migration.Position
	known bool
}

// dir is the name of the directory with the assembly of a position. It is the position, with a dot
// for each slash in it. A long one has a hash for a name.
func (s stop) dir() string {
	if !strings.Contains(s.name, "=") {
		return s.name
	}
	if len(s.name) > 200 {
		return fmt.Sprintf("places-%x", sha256.Sum256([]byte(s.name)))[:23]
	}
	return strings.ReplaceAll(s.name, "/", ".")
}

// walker turns the elements of a walk into positions of an app.
type walker struct {
	services config.Deployment
	// context has the settings but the phase and the shift.
	context map[string]any
	m       migration.Migration
}

func newWalker(services config.Deployment, context map[string]any) (*walker, error) {
	w := &walker{services: services, context: maps.Clone(context)}
	delete(w.context, "shift")
	app, err := w.read(migration.Monolith.String())
	w.m = app.Migration
	return w, err
}

// read reads the setting phase.
func (w *walker) read(phase any) (step.App, error) {
	context := maps.Clone(w.context)
	context["phase"] = phase
	return step.ReadContext(w.services, context, "")
}

// stops reads the elements of a walk. An element is a phase for all services, or changes of the
// position before: SERVICE=PLACE, several joined with "+". Services begin in monolith. Before the
// first change after a phase for all, each service gets its own place, which moves nothing.
func (w *walker) stops(elements []string) ([]stop, error) {
	var stops []stop
	for _, element := range elements {
		before := migration.Position{}
		if len(stops) > 0 {
			before = stops[len(stops)-1].at
		}
		text := element
		if strings.Contains(element, "=") {
			over := before.Each(w.m.Services)
			places, err := w.change(over, element)
			if err != nil {
				return nil, fmt.Errorf("--walk: %s: %w", element, err)
			}
			text = positionText(w.m, places)
			// Only services in one place pass over.
			if len(stops) > 0 && before.Places == nil && positionText(w.m, over) != text && w.follows(before, over) {
				stops = append(stops, stop{positionText(w.m, over), over, true})
			}
		} else if err := checkPhase(element); err != nil {
			return nil, err
		}
		app, err := w.read(text)
		if err != nil {
			return nil, fmt.Errorf("--walk: %s: %w", element, err)
		}
		stops = append(stops, stop{text, app.At, true})
	}
	return stops, nil
}

func checkPhase(name string) error {
	if names := migration.PhaseNames(); !slices.Contains(names, name) {
		return fmt.Errorf("--walk: there is no phase %q: %s", name, words.Choice(names))
	}
	return nil
}

// change applies changes, as in "users=parallel+posts=10%", to a position with places.
func (w *walker) change(at migration.Position, changes string) (migration.Position, error) {
	places, monolith := maps.Clone(at.Places), at.Phase
	given := map[string]string{}
	var order []string
	for change := range strings.SplitSeq(changes, "+") {
		key, value, ok := strings.Cut(strings.TrimSpace(change), "=")
		if _, twice := given[key]; twice {
			return at, fmt.Errorf("%s is there twice: a step takes it to one place", key)
		} else if !ok {
			return at, fmt.Errorf("%q is not SERVICE=PLACE, as in users=10%%", change)
		}
		given[key] = value
		order = append(order, key)
	}
	// A route's own place wins over that of its service.
	slices.SortStableFunc(order, func(a, b string) int { return strings.Count(a, "/") - strings.Count(b, "/") })
	for _, key := range order {
		value := given[key]
		if key == w.m.Monolith.Name {
			phase, err := migration.ParsePhase(value)
			switch {
			case value == migration.Running:
				monolith = migration.Monolith
			case err == nil && phase >= migration.Retired:
				monolith = phase
			default:
				return at, fmt.Errorf("%q is not a place of the monolith: choose from %s, retired, removed", value, migration.Running)
			}
			continue
		}
		place, err := migration.ParsePlace(value)
		if err != nil {
			return at, err
		}
		routes := w.m.Named(key)
		if routes == nil {
			return at, fmt.Errorf("there is no microservice or route %q: %s", key, words.Choice(append(w.m.Names(), w.m.Monolith.Name)))
		}
		for _, route := range routes {
			places[route] = place
		}
	}
	return migration.At(places, monolith), nil
}

// positionText is a position as the setting phase takes it. It leaves out services in monolith,
// and routes in the place of their service.
func positionText(m migration.Migration, at migration.Position) string {
	if at.Places == nil {
		return at.Phase.String()
	}
	var parts []string
	for _, service := range m.Services {
		all, unnamed, same := at.Place(service.Name, service.Routes[0].Name), false, true
		for _, route := range service.Routes {
			same = same && at.Place(service.Name, route.Name) == all
			unnamed = unnamed || route.Name == ""
		}
		switch {
		case unnamed:
			all = at.Place(service.Name, "")
		case !same:
			all = migration.Place{}
		}
		if all != (migration.Place{}) {
			parts = append(parts, service.Name+"="+all.String())
		}
		for _, route := range service.Routes {
			if place := at.Place(service.Name, route.Name); place != all {
				parts = append(parts, migration.Key(service.Name, route.Name)+"="+place.String())
			}
		}
	}
	if len(parts) == 0 && len(m.Services) > 0 {
		parts = append(parts, m.Services[0].Name+"="+migration.Monolith.String())
	}
	slices.Sort(parts)
	if at.Phase >= migration.Retired {
		parts = append(parts, m.Monolith.Name+"="+at.Phase.String())
	}
	return strings.Join(parts, ",")
}

func (w *walker) follows(after, next migration.Position) bool {
	return w.m.Follows(w.m.State(after), w.m.State(next))
}

// gated reports whether the gate lets each step of a walk be deployed.
func (w *walker) gated(stops []stop) bool {
	for i := range stops[1:] {
		if !w.follows(stops[i].at, stops[i+1].at) {
			return false
		}
	}
	return true
}

// mostGroups is how many groups of services the default walk moves one after the other.
const mostGroups = 4

// standard is the default walk from a position.
//
// With one phase for all, the walk is the whole migration and the way back. If the monolith keeps
// the rest, the walk ends before retired. With places, each service makes a round: to switched by a
// share, back to monolith, and to its own place. The other services stay where they are meanwhile.
func (w *walker) standard(at migration.Position) []string {
	if at.Places == nil {
		walk := rehearsal.DefaultWalk()
		if w.m.KeepRest {
			// Without retired, and without the second switched.
			walk = slices.Delete(walk, 3, 5)
		}
		return walk
	}
	monolith := w.m.Monolith.Name + "="
	walk := []string{strings.ReplaceAll(positionText(w.m, at), ",", "+")}
	if at.Phase == migration.Removed {
		walk = append(walk, monolith+migration.Retired.String())
	}
	if at.Phase >= migration.Retired {
		walk = append(walk, monolith+migration.Running)
	}
	services := w.m.Services
	for group := range slices.Chunk(services, max(1, (len(services)+mostGroups-1)/mostGroups)) {
		steps := make([][]string, len(round))
		for _, service := range group {
			for _, route := range service.Routes {
				for i, place := range roundFrom(at.Place(service.Name, route.Name)) {
					steps[i] = append(steps[i], migration.Key(service.Name, route.Name)+"="+place.String())
				}
			}
		}
		for _, changes := range steps {
			walk = append(walk, strings.Join(changes, "+"))
		}
	}
	if at.Phase >= migration.Retired {
		walk = append(walk, monolith+migration.Retired.String())
	}
	if at.Phase == migration.Removed {
		walk = append(walk, monolith+migration.Removed.String())
	}
	return walk
}

// round are the places of a service on the way to switched and back.
var round = []migration.Place{
	{Phase: migration.Parallel}, {Phase: migration.Parallel, Shifted: true, Percent: 10}, {Phase: migration.Switched}, {Phase: migration.Parallel}, {Phase: migration.Monolith},
}

// roundFrom is the round that begins after a place and ends there. A share stays as it is.
func roundFrom(at migration.Place) []migration.Place {
	i := slices.IndexFunc(round, func(p migration.Place) bool { return p.Phase == at.Phase && p.Shifted == at.Shifted })
	places := slices.Concat(round[i+1:], round[:i+1])
	places[len(places)-1] = at
	return places
}

// describe returns what is special about the step between two positions, for its name and for the
// label of the new position. It is empty if the positions say it all themselves.
func (w *walker) describe(from, to stop) (step, label string) {
	if to.at.Places == nil {
		if from.at.Places != nil && positionText(w.m, to.at.Each(w.m.Services)) == from.name {
			return "one phase for all services", to.name
		}
		return "", ""
	}
	if from.at.Places == nil {
		if positionText(w.m, from.at.Each(w.m.Services)) != to.name {
			return "", ""
		}
		return "a place for each service", "each in " + from.name
	}
	var steps, labels []string
	add := func(name, was, is string) {
		if was != is {
			steps = append(steps, name+": "+was+" → "+is)
			labels = append(labels, name+"="+is)
		}
	}
	for _, service := range w.m.Services {
		first := service.Routes[0].Name
		was, is := from.at.Place(service.Name, first), to.at.Place(service.Name, first)
		alike := !slices.ContainsFunc(service.Routes, func(r migration.Route) bool {
			return from.at.Place(service.Name, r.Name) != was || to.at.Place(service.Name, r.Name) != is
		})
		if alike {
			add(service.Name, was.String(), is.String())
			continue
		}
		for _, route := range service.Routes {
			add(migration.Key(service.Name, route.Name), from.at.Place(service.Name, route.Name).String(), to.at.Place(service.Name, route.Name).String())
		}
	}
	add(w.m.Monolith.Name, from.at.Phase.OfMonolith(), to.at.Phase.OfMonolith())
	return few(steps), few(labels)
}

// few lists changes. It counts those after the second.
func few(list []string) string {
	if len(list) <= 3 {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:2], ", "), len(list)-2)
}

// answerers returns the services that may answer a GET of a route in a position, by the plan of the
// migration. Clients ask the load balancer with the most rules for the route, as [alb.Provider.URL]
// says. The result is nil if the plan drops the request.
func (w *walker) answerers(at migration.Position, route string) []string {
	path, query, _ := strings.Cut(route, "?")
	match := migration.Match{Paths: []string{path}, Hosts: []string{"localhost"}, Methods: []string{"GET"}}
	for pair := range strings.SplitSeq(query, "&") {
		if key, value, _ := strings.Cut(pair, "="); key != "" || value != "" {
			if match.Query == nil {
				match.Query = map[string][]string{}
			}
			match.Query[key] = append(match.Query[key], value)
		}
	}
	balancers := w.m.Plan(at).Balancers
	rules := func(b migration.Balancer) (n int) {
		for _, rule := range b.Rules {
			if rule.Covers(match) {
				n++
			}
		}
		return n
	}
	asked := slices.MaxFunc(balancers, func(a, b migration.Balancer) int { return rules(a) - rules(b) }) // the first of the most
	var names []string
	for _, target := range asked.Answers(match) {
		if target.Group == migration.DropGroup {
			return nil
		}
		names = append(names, target.Group)
	}
	return names
}

// contextOf reads the context of a cdk.json. There is none if the file is missing or damaged: the
// synthesis says what is wrong with the file.
func contextOf(path string) map[string]any {
	var file struct{ Context map[string]any }
	text, err := os.ReadFile(path)
	if err != nil || json.Unmarshal(text, &file) != nil || file.Context == nil {
		return map[string]any{}
	}
	return file.Context
}

// checkPosition refuses a phase, places and other settings that the app would refuse after a
// synthesis. It can do so only if the last synthesis has left a list of the services that is not
// older than its source.
func checkPosition(pairs []string) error {
	list, ok := freshList()
	if len(pairs) == 0 || !ok {
		return nil
	}
	settings := contextOf(cdkFile)
	for _, pair := range pairs {
		key, value, _ := strings.Cut(pair, "=")
		settings[key] = value
	}
	if _, err := step.ReadContext(list.Deployment, settings, ""); err != nil {
		return fmt.Errorf("the app refuses %s with the settings in %s:\n%w", strings.Join(pairs, " and "), cdkFile, err)
	}
	return nil
}

// freshList is the list of services of the last synthesis, if it is not older than its source.
func freshList() (list listing.List, ok bool) {
	list, err := listing.Read("cdk.out")
	if err != nil {
		return list, false
	}
	changed, err := list.Changed(".")
	return list, changed == "" && err == nil
}

// phaseOf is the setting phase of a context, with its default.
func phaseOf(context map[string]any) any {
	if phase := context["phase"]; phase != nil {
		return phase
	}
	return migration.Monolith.String()
}
