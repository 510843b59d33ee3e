package config

import (
	"maps"
	"slices"
	"strings"

	"cutover/internal/words"
	"cutover/migration"
)

// position reads the phase and the shift, or the places of the services. It takes the services of
// the deployment only, or any if there is no deployment.
func (r *reader) position(d *Deployment) migration.Position {
	p := r.phase(d)
	p.Compute = r.compute(d)
	return p
}

// phase reads the position without the compute.
func (r *reader) phase(d *Deployment) migration.Position {
	text, isText := r.context["phase"].(string)
	_, isObject := r.context["phase"].(map[string]any)
	if isObject || isText && strings.Contains(text, "=") {
		if r.set("shift") {
			r.refuse("shift: %s: the phase has a place for each service: write the share there, as in users=10%%, and remove the shift", show(r.context["shift"]))
		}
		return r.places(d)
	}
	phase, err := migration.ParsePhase(r.name("phase"))
	if err != nil {
		r.refuse("phase: %w", err)
	}
	var services []string
	if d != nil {
		services = d.names()
	}
	p := migration.Position{Phase: phase, Shift: r.shift(services)}
	if len(p.Shift) > 0 && p.Phase != migration.Parallel {
		r.refuse("shift: %s has no place in phase %s: set the phase to parallel, or remove the shift", show(r.context["shift"]), p.Phase)
	}
	return p
}

// places reads a place for each service or route, and the monolith's phase.
func (r *reader) places(d *Deployment) migration.Position {
	given, monolith := map[string]migration.Place{}, migration.Monolith
	values := r.pairs("phase", "SERVICE=PLACE", "users=switched", `{"users": "switched"}`)
	if len(values) == 0 {
		r.refuse("phase: %s names no service: give at least one its place, as in \"users=monolith\"", show(r.context["phase"]))
	}
	var known []string
	if d != nil {
		known = d.Migration().Names()
	}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		isMonolith := d != nil && key == d.Monolith.Name
		if d != nil && !isMonolith && !slices.Contains(known, key) {
			r.refuse("phase: there is no microservice or route %q: %s", key, words.Choice(known))
			continue
		}
		text, isText := values[key].(string)
		phase, err := migration.ParsePhase(text)
		late := err == nil && phase >= migration.Retired
		switch {
		case !isText:
			r.refuse("phase: %s: %s is not a place: choose one of monolith, parallel, a share as in \"10%%\", or switched", key, show(values[key]))
		case late && (isMonolith || d == nil):
			monolith = phase
		case late:
			r.refuse("phase: %s=%s: only the monolith can be %s: write %s=%s once each service is switched", key, text, text, d.Monolith.Name, text)
		case isMonolith:
			r.refuse("phase: %s=%s: the monolith can be retired or removed, and otherwise has no place: remove %s", key, show(text), key)
		default:
			if given[key], err = migration.ParsePlace(text); err != nil {
				r.refuse("phase: %s: %w", key, err)
			}
		}
	}
	if d == nil {
		return migration.At(given, monolith)
	}
	places := map[string]migration.Place{}
	for _, service := range d.Services {
		for _, route := range service.AllRoutes() {
			key := migration.Key(service.Name, route.Name)
			place, named := given[key]
			if !named {
				place = given[service.Name] // of all its routes
			}
			places[key] = place
			if monolith >= migration.Retired && place.Phase < migration.Switched {
				r.refuse("phase: %s=%s: each service has to be switched first, and %s is in %s", d.Monolith.Name, monolith, key, place)
			}
		}
	}
	return migration.At(places, monolith)
}

// pairs reads an object in cdk.json, or a text of pairs with "-c". The pair and the object are
// examples of the form.
func (r *reader) pairs(setting, form, pair, object string) map[string]any {
	given := map[string]any{}
	switch v := r.context[setting].(type) {
	case nil:
	case map[string]any:
		return v
	case string:
		if v == "" { // a variable of a script may be unset
			break
		}
		for part := range strings.SplitSeq(v, ",") {
			name, value, ok := strings.Cut(part, "=")
			name = strings.TrimSpace(name)
			_, again := given[name]
			switch {
			case strings.TrimSpace(part) == "":
				r.refuse("%s: a part of %q is empty: remove the comma", setting, v)
			case !ok || name == "":
				r.refuse("%s: %q is not %s, as in %q", setting, strings.TrimSpace(part), form, pair)
			case again:
				r.refuse("%s: %q is named twice in %q", setting, name, v)
			default:
				given[name] = strings.TrimSpace(value)
			}
		}
	default:
		r.refuse("%s: %s is neither an object, as in %s, nor a text, as in %q", setting, show(v), object, pair)
	}
	return given
}

// shift reads the shift: an object in cdk.json, or "users=10,posts=5" with "-c". It takes the named
// services only, or any if services is nil.
func (r *reader) shift(services []string) map[string]int {
	shift := map[string]int{}
	given := r.pairs("shift", "SERVICE=PERCENT", "users=10", `{"users": 10}`)
	for _, name := range slices.Sorted(maps.Keys(given)) {
		percent, err := integer(given[name])
		switch {
		case services != nil && !slices.Contains(services, name):
			r.refuse("shift: there is no microservice %q: %s", name, words.Choice(services))
		case err != nil || percent < 0 || percent > 100:
			r.refuse("shift: %s=%s is not a percentage: use a whole number from 0 to 100", name, show(given[name]))
		default:
			shift[name] = percent
		}
	}
	return shift
}
