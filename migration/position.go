package migration

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Phase is one step of the migration. Phases are ordered; a deployment moves by one step at a time,
// forward or back.
type Phase int

const (
	// Monolith: the monolith runs alone and answers everything.
	Monolith Phase = iota
	// Parallel: the microservices run beside the monolith. The monolith's rule comes first, so the
	// microservices get no traffic but the share that a shift gives them.
	Parallel
	// Switched: the monolith's rule is gone. Each path goes to its own service, and other requests
	// are dropped. The monolith still runs.
	Switched
	// Retired: the monolith has no tasks. Its service still exists, so going back only raises a
	// count.
	Retired
	// Removed: the monolith's service, its target groups and its roles are gone. A step back
	// creates them anew.
	Removed
)

var phaseNames = []string{"monolith", "parallel", "switched", "retired", "removed"}

// Phases lists every phase in the order in which a migration passes them.
func Phases() []Phase { return []Phase{Monolith, Parallel, Switched, Retired, Removed} }

// PhaseNames lists the names of [Phases], as the context key "phase" takes them.
func PhaseNames() []string { return slices.Clone(phaseNames) }

// String is the phase's name, as the context key "phase" takes it.
func (p Phase) String() string {
	if p < 0 || int(p) >= len(phaseNames) {
		return fmt.Sprintf("Phase(%d)", int(p))
	}
	return phaseNames[p]
}

// ParsePhase returns the phase of a name. It accepts the names of [Phases] only.
func ParsePhase(name string) (Phase, error) {
	if i := slices.Index(phaseNames, name); i >= 0 {
		return Phase(i), nil
	}
	return 0, fmt.Errorf("%q is not a phase: choose one of %s", name, strings.Join(phaseNames, ", "))
}

// Running is the place of the monolith before it is retired.
const Running = "running"

// OfMonolith is the place of the monolith in a phase: [Running], "retired" or "removed".
func (p Phase) OfMonolith() string {
	if p < Retired {
		return Running
	}
	return p.String()
}

// Place is where the traffic of a route is.
type Place struct {
	// Phase is Monolith, Parallel or Switched; on the way to another kind of compute also Retired.
	Phase Phase
	// Shifted says that the service takes a share from the monolith. The phase is then Parallel.
	Shifted bool
	// Percent is the share, from 0 to 100. A share of 0 is for testers alone.
	Percent int
}

// String is the place as the context key "phase" takes it: "monolith", "parallel", "10%" or
// "switched".
func (p Place) String() string {
	if p.Shifted {
		return strconv.Itoa(p.Percent) + "%"
	}
	return p.Phase.String()
}

// ParsePlace returns the place of a text that [Place.String] writes.
func ParsePlace(text string) (Place, error) {
	if number, ok := strings.CutSuffix(text, "%"); ok {
		percent, err := strconv.Atoi(number)
		if err != nil || percent < 0 || percent > 100 || strconv.Itoa(percent) != number {
			return Place{}, fmt.Errorf("%q is not a share: use a whole number from 0%% to 100%%", text)
		}
		return Place{Phase: Parallel, Shifted: true, Percent: percent}, nil
	}
	for _, phase := range []Phase{Monolith, Parallel, Switched} {
		if text == phase.String() {
			return Place{Phase: phase}, nil
		}
	}
	return Place{}, fmt.Errorf("%q is not a place: choose one of monolith, parallel, a share as in 10%%, or switched", text)
}

// Position is where a deployment is in the migration: one phase for all services, or a place for
// each.
type Position struct {
	// Phase is the phase of all services. If they have places of their own, it is the phase that
	// all have reached: [Switched] or a later one only if each route is switched.
	Phase Phase
	// Shift is the percentage of its traffic that a microservice gets while the phase is Parallel,
	// by service. Nil if there are Places, which have the shares.
	Shift map[string]int
	// Places has the place of each route, by [Key]. Nil if one phase is for all.
	Places map[string]Place
	// Compute has the place of each service on its way to another kind of compute, by its name.
	// Nothing is there of a service whose new pair has no tasks yet.
	Compute map[string]Place
}

// At returns the position of routes with places of their own. The monolith's phase is [Retired],
// [Removed], or else does not matter.
func At(places map[string]Place, monolith Phase) Position {
	p := Position{Phase: monolith, Places: places}
	if monolith < Retired {
		p.Phase = Switched
		for _, place := range places {
			p.Phase = min(p.Phase, place.Phase)
		}
	}
	return p
}

// Key names a route of a service in [Position.Places], as in "users" or "users/writes". The route
// without a name has the key of its service.
func Key(service, route string) string {
	if route == "" {
		return service
	}
	return service + "/" + route
}

// Keys lists the routes of the service by [Key].
func (s Service) Keys() (keys []string) {
	for _, r := range s.Routes {
		keys = append(keys, Key(s.Name, r.Name))
	}
	return keys
}

// Route returns a route by the names of its service and its own, and whether there is one.
func (m Migration) Route(service, name string) (Route, bool) {
	for _, s := range m.Services {
		for _, r := range s.Routes {
			if s.Name == service && r.Name == name {
				return r, true
			}
		}
	}
	return Route{}, false
}

// Names lists what can be given a place: each service, and each route with a name of its own.
func (m Migration) Names() (names []string) {
	for _, s := range m.Services {
		names = append(names, s.Name)
		for _, key := range s.Keys() {
			if key != s.Name {
				names = append(names, key)
			}
		}
	}
	return names
}

// Named returns the keys of the routes that one of the [Migration.Names] stands for: all routes of a
// service, or one. It returns nil for other names.
func (m Migration) Named(name string) []string {
	for _, s := range m.Services {
		keys := s.Keys()
		switch {
		case name == s.Name:
			return keys
		case slices.Contains(keys, name):
			return []string{name}
		}
	}
	return nil
}

// Place returns where the traffic of a route is.
func (p Position) Place(service, route string) Place {
	if p.Places != nil {
		return p.Places[Key(service, route)]
	}
	percent, shifted := p.Shift[service]
	if shifted && p.Phase == Parallel {
		return Place{Parallel, true, percent}
	}
	return Place{Phase: min(p.Phase, Switched)}
}

// Each returns the same position with a place for each route of the services. It moves nothing.
func (p Position) Each(services []Service) Position {
	places := map[string]Place{}
	for _, s := range services {
		for _, r := range s.Routes {
			places[Key(s.Name, r.Name)] = p.Place(s.Name, r.Name)
		}
	}
	each := At(places, p.Phase)
	each.Compute = p.Compute
	return each
}

// String is the position for people: "parallel", "parallel, users=10" or
// "posts=parallel, users=switched".
func (p Position) String() string {
	switch {
	case len(p.Compute) > 0:
		compute := strings.ReplaceAll(p.ComputeText(), ",", ", ")
		p.Compute = nil
		return p.String() + ", compute " + compute
	case p.Places != nil:
		return strings.NewReplacer(",", ", ", "the monolith=", "the monolith ").Replace(p.PhaseText(""))
	case len(p.Shift) > 0:
		return p.Phase.String() + ", " + p.ShiftText()
	}
	return p.Phase.String()
}

// PhaseText is the position as the context key "phase" takes it, without the shift of one phase for
// all. The monolith is named if it is retired or removed.
func (p Position) PhaseText(monolith string) string {
	if p.Places == nil {
		return p.Phase.String()
	}
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(p.Places)) {
		parts = append(parts, key+"="+p.Places[key].String())
	}
	if p.Phase >= Retired {
		parts = append(parts, cmp.Or(monolith, "the monolith")+"="+p.Phase.String())
	}
	return strings.Join(parts, ",")
}

// ShiftText is the shift as the context key takes it, as in "posts=5,users=10".
func (p Position) ShiftText() string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(p.Shift)) {
		parts = append(parts, fmt.Sprintf("%s=%d", name, p.Shift[name]))
	}
	return strings.Join(parts, ",")
}
