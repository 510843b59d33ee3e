package main

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"

	"cutover/config"
	"cutover/internal/rehearsal"
	"cutover/internal/step"
	"cutover/internal/words"
	"cutover/migration"
)

// stop is a position of a walk.
type stop struct {
	// name is the position as the setting phase takes it, with as few places as possible, and then the
	// services on their way to another compute, as in "switched+users@10%".
	name string
	// at is the position, if it is known: other apps may have stops of any name.
	at    migration.Position
	known bool
}

// dir is the name of the directory with the assembly of a position. It is the position, with a dot
// for each slash in it. A long one has a hash for a name.
func (s stop) dir() string {
	if !strings.ContainsAny(s.name, "=@") {
		return s.name
	}
	if len(s.name) > 200 {
		return fmt.Sprintf("places-%x", sha256.Sum256([]byte(s.name)))[:23]
	}
	return strings.ReplaceAll(s.name, "/", ".")
}

// settings are the settings of the position, but for the shift.
func (s stop) settings() []string {
	phase, compute := splitPosition(s.name)
	settings := []string{"phase=" + phase}
	if compute != "" {
		settings = append(settings, "compute="+compute)
	}
	return settings
}

// splitPosition returns the settings phase and compute of a name, as in "switched+users@10%".
func splitPosition(name string) (phase, compute string) {
	phase, rest, _ := strings.Cut(name, "+")
	if strings.Contains(phase, "@") {
		phase, rest = "", name
	}
	return phase, strings.NewReplacer("@", "=", "+", ",").Replace(rest)
}

// walker turns the elements of a walk into positions of an app.
type walker struct {
	services config.Deployment
	// context has the settings but the phase, the shift and the compute.
	context map[string]any
	m       migration.Migration
}

func newWalker(services config.Deployment, context map[string]any) (*walker, error) {
	w := &walker{services: services, context: maps.Clone(context)}
	delete(w.context, "shift")
	delete(w.context, "compute")
	app, err := w.read(migration.Monolith.String())
	w.m = app.Migration
	return w, err
}

// read reads the setting phase, or the name of a stop.
func (w *walker) read(phase any) (step.App, error) {
	context := maps.Clone(w.context)
	context["phase"] = phase
	if name, ok := phase.(string); ok {
		context["phase"], context["compute"] = splitPosition(name)
	}
	return step.ReadContext(w.services, context, "")
}

// stops reads the elements of a walk. An element is a phase for all services, or changes of the
// position before: SERVICE=PLACE, or SERVICE@PLACE on the way to another compute, several joined with
// "+". Services begin in monolith, and without a task on another compute. Before the first change of a
// place after a phase for all, each service gets its own place, which moves nothing.
func (w *walker) stops(elements []string) ([]stop, error) {
	var stops []stop
	for _, element := range elements {
		before := migration.Position{}
		if len(stops) > 0 {
			before = stops[len(stops)-1].at
		}
		var places, computes []string
		for part := range strings.SplitSeq(element, "+") {
			if strings.Contains(part, "@") {
				computes = append(computes, part)
			} else {
				places = append(places, part)
			}
		}
		compute, err := w.computes(before, computes)
		if err != nil {
			return nil, fmt.Errorf("--walk: %s: %w", element, err)
		}
		to, rest := before, strings.Join(places, "+")
		switch {
		case len(places) == 0:
		case strings.Contains(rest, "="):
			over := before.Each(w.m.Services)
			if to, err = w.change(over, rest); err != nil {
				return nil, fmt.Errorf("--walk: %s: %w", element, err)
			}
			// Only services in one place pass over.
			if len(stops) > 0 && before.Places == nil && phaseText(w.m, over) != phaseText(w.m, to) && w.follows(before, over) {
				stops = append(stops, stop{positionText(w.m, over), over, true})
			}
		default:
			if err := checkPhase(rest); err != nil {
				return nil, err
			}
			to = migration.Position{}
			to.Phase, _ = migration.ParsePhase(rest)
		}
		to.Compute = compute
		text := positionText(w.m, to)
		app, err := w.read(text)
		if err != nil {
			return nil, fmt.Errorf("--walk: %s: %w", element, err)
		}
		stops = append(stops, stop{text, app.At, true})
	}
	return stops, nil
}

// computes applies changes, as in "users@10%", to the places between kinds of compute.
func (w *walker) computes(at migration.Position, changes []string) (map[string]migration.Place, error) {
	places := maps.Clone(at.Compute)
	given := map[string]bool{}
	for _, change := range changes {
		name, value, _ := strings.Cut(strings.TrimSpace(change), "@")
		switch moving := w.m.Moving(); {
		case len(moving) == 0:
			return nil, fmt.Errorf("no service moves to another compute: write Next beside the Compute of a service in the list of services")
		case !slices.Contains(moving, name):
			return nil, fmt.Errorf("%q does not move to another compute: %s", name, words.Choice(moving))
		case given[name]:
			return nil, fmt.Errorf("%s is there twice: a step takes it to one place", name)
		}
		given[name] = true
		if places == nil {
			places = map[string]migration.Place{}
		}
		if value == migration.Stopped {
			delete(places, name)
			continue
		}
		place, err := migration.ParseComputePlace(value)
		if err != nil {
			return nil, fmt.Errorf("%w, or %s", err, migration.Stopped)
		}
		places[name] = place
	}
	return places, nil
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
//
// A service that moves to another compute makes a second round, there and back, while it has its
// traffic: a microservice in switched, the monolith at the beginning.
func (w *walker) standard(at migration.Position) []string {
	var monolithMoves, moves []string
	for _, name := range w.m.Moving() {
		if name == w.m.Monolith.Name {
			monolithMoves = append(monolithMoves, name)
		} else {
			moves = append(moves, name)
		}
	}
	if at.Places == nil {
		walk := rehearsal.DefaultWalk()
		if w.m.KeepRest {
			// Without retired, and without the second switched.
			walk = slices.Delete(walk, 3, 5)
		}
		at.Compute = nil
		walk = slices.Insert(walk, 3, computeRound(at, moves)...)
		return slices.Insert(walk, 1, computeRound(at, monolithMoves)...)
	}
	monolith := w.m.Monolith.Name + "="
	walk := []string{strings.ReplaceAll(positionText(w.m, at), ",", "+")}
	if at.Phase == migration.Removed {
		walk = append(walk, monolith+migration.Retired.String())
	}
	if at.Phase >= migration.Retired {
		walk = append(walk, monolith+migration.Running)
	}
	walk = append(walk, computeRound(at, monolithMoves)...)
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
		for i, changes := range steps {
			walk = append(walk, strings.Join(changes, "+"))
			var switched []string
			for _, service := range group {
				first := at.Place(service.Name, service.Routes[0].Name)
				if slices.Contains(moves, service.Name) && roundFrom(first)[i].Phase == migration.Switched {
					switched = append(switched, service.Name)
				}
			}
			walk = append(walk, computeRound(at, switched)...)
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

// thereAndBack are the places of a service on the way to another compute and back.
var thereAndBack = []migration.Place{
	{Phase: migration.Parallel}, {Phase: migration.Parallel, Shifted: true, Percent: 10}, {Phase: migration.Switched}, {Phase: migration.Retired},
	{Phase: migration.Switched}, {Phase: migration.Parallel}, {},
}

// computeRound are the elements of a walk in which services go to another compute and back to where they
// are.
func computeRound(at migration.Position, services []string) (walk []string) {
	if len(services) == 0 {
		return nil
	}
	for i := range thereAndBack {
		var changes []string
		for _, name := range services {
			changes = append(changes, name+"@"+from(thereAndBack, at.Compute[name])[i].ComputeWord())
		}
		walk = append(walk, strings.Join(changes, "+"))
	}
	return walk
}

// roundFrom is the round that begins after a place and ends there. A share stays as it is.
func roundFrom(at migration.Place) []migration.Place { return from(round, at) }

func from(round []migration.Place, at migration.Place) []migration.Place {
	i := slices.IndexFunc(round, func(p migration.Place) bool { return p.Phase == at.Phase && p.Shifted == at.Shifted })
	places := slices.Concat(round[i+1:], round[:i+1])
	places[len(places)-1] = at
	return places
}

// describe returns what is special about the step between two positions, for its name and for the
// label of the new position. It is empty if the positions say it all themselves.
func (w *walker) describe(from, to stop) (step, label string) {
	switch {
	case to.at.Places == nil && from.at.Places != nil && positionText(w.m, to.at.Each(w.m.Services)) == from.name:
		return "one phase for all services", to.name
	case to.at.Places != nil && from.at.Places == nil && positionText(w.m, from.at.Each(w.m.Services)) == to.name:
		return "a place for each service", "each in " + from.name
	}
	var steps, labels []string
	for _, name := range w.m.Moving() {
		if was, is := from.at.Compute[name], to.at.Compute[name]; was != is {
			steps = append(steps, "compute of "+name+": "+was.ComputeWord()+" → "+is.ComputeWord())
			labels = append(labels, name+"@"+is.ComputeWord())
		}
	}
	if from.at.Places == nil || to.at.Places == nil {
		if phaseText(w.m, from.at) != phaseText(w.m, to.at) {
			return "", ""
		}
		return few(steps), few(labels)
	}
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

// answerers returns the services that may answer a request in a position, by the plan of the
// migration. Clients ask the load balancer with the most rules for the request, as [alb.Provider.URLOf]
// says. The result is nil if the plan drops the request.
func (w *walker) answerers(at migration.Position, r *rehearsal.Request) []string {
	sent := ruled(r)
	match := migration.Match{Paths: []string{sent.Path}, Hosts: []string{sent.Host}, Methods: []string{sent.Method}, Headers: sent.Header}
	for pair := range strings.SplitSeq(sent.Query, "&") {
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
