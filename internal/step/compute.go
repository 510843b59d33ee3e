package step

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"cutover/internal/words"
	"cutover/migration"
)

// NextCompute returns the position after steps of services on their way to another kind of compute. An
// element is a service, which takes a step, or a share as in "users=10". Others stay where they are.
func NextCompute(app App, elements []string) (migration.Position, error) {
	return computes(app, elements, func(s migration.Service, at migration.Place, share string) (migration.Place, error) {
		switch {
		case share != "":
			return shareOnCompute(s, at, share)
		case at.Phase == migration.Retired:
			return at, fmt.Errorf("%s has all its %s on %s: the move is complete. Write the value of its Next as its Compute in the list of services, remove Next there, and remove %[1]s from \"compute\" in cdk.json", s.Name, counted(s.Next), s.Next)
		}
		return migration.Place{Phase: at.Phase + 1}, nil
	})
}

// BackCompute returns the position after steps back. A step back from a share only removes the share.
func BackCompute(app App, services []string) (migration.Position, error) {
	return computes(app, services, func(s migration.Service, at migration.Place, share string) (migration.Place, error) {
		switch {
		case share != "":
			return at, fmt.Errorf("%s=%s: a step back takes no share: leave it out", s.Name, share)
		case at.Shifted:
			return migration.Place{Phase: migration.Parallel}, nil
		case at.Phase == migration.Monolith:
			return at, fmt.Errorf("%s has no %s on %s, and no step back: to end the move, remove Next of %[1]s in the list of services", s.Name, counted(s.Next), s.Next)
		}
		return migration.Place{Phase: at.Phase - 1}, nil
	})
}

// counted is what a pair on a kind of compute has while it runs. Nobody counts the tasks of a function.
func counted(kind string) string {
	if kind == migration.Lambda {
		return "requests"
	}
	return "tasks"
}

func shareOnCompute(s migration.Service, at migration.Place, share string) (migration.Place, error) {
	place, err := migration.ParsePlace(strings.TrimSuffix(share, "%") + "%")
	switch {
	case err != nil:
		return at, fmt.Errorf("%s=%s is not a percentage: use a whole number from 0 to 100", s.Name, share)
	case at.Phase == migration.Monolith:
		return at, fmt.Errorf("%s is stopped on %s, and gets no share there: go to parallel and deploy that first", s.Name, s.Next)
	case at.Phase > migration.Parallel:
		return at, fmt.Errorf("%s is in %s and has all of its traffic on %s: a share is for parallel", s.Name, at, s.Next)
	case at == place:
		return at, fmt.Errorf("%s=%s is set already", s.Name, share)
	}
	return place, nil
}

// computes moves the named services.
func computes(app App, elements []string, move func(s migration.Service, at migration.Place, share string) (migration.Place, error)) (migration.Position, error) {
	to := app.At
	to.Compute = maps.Clone(app.At.Compute)
	if to.Compute == nil {
		to.Compute = map[string]migration.Place{}
	}
	var named []string
	for _, element := range elements {
		name, share, shared := strings.Cut(element, "=")
		name, share = strings.TrimSpace(name), strings.TrimSpace(share)
		s, err := moving(app, name)
		switch {
		case err != nil:
		case slices.Contains(named, name):
			err = fmt.Errorf("%s is named twice", name)
		case shared && share == "":
			err = fmt.Errorf("%q is not SERVICE=PERCENT, as in users=10", element)
		}
		var place migration.Place
		if err == nil {
			place, err = move(s, app.At.Compute[name], share)
		}
		if err != nil {
			return app.At, fmt.Errorf("--compute: %w", err)
		}
		named = append(named, name)
		if to.Compute[name] = place; place == (migration.Place{}) {
			delete(to.Compute, name)
		}
	}
	return to, nil
}

// moving returns a service that moves to another kind of compute.
func moving(app App, name string) (migration.Service, error) {
	m := app.Migration
	s, known := m.Service(name)
	switch {
	case !known:
		var names []string
		for _, s := range m.All() {
			names = append(names, s.Name)
		}
		return migration.Service{}, fmt.Errorf("there is no service %q: %s", name, words.Choice(names))
	case name == m.Monolith.Name && app.At.Phase == migration.Removed:
		return migration.Service{}, fmt.Errorf("%s is removed: it has nothing to move", name)
	}
	if s.Next == "" {
		var others []string
		for _, kind := range migration.Computes {
			if kind != s.Kind() {
				others = append(others, "config."+typeOf[kind]+"{}")
			}
		}
		return s, fmt.Errorf("%s stays on %s: to move it, write Compute: config.%s{}, Next: %s in the list of services, and deploy that first", name, s.Kind(), typeOf[s.Kind()], strings.Join(others, " or "))
	}
	return s, nil
}

// typeOf is the Go type of a kind of compute in the list of services.
var typeOf = map[string]string{migration.EC2: "EC2", migration.Fargate: "Fargate", migration.Lambda: "Lambda"}

// ComputeRow is where a service is on its way to another kind of compute.
type ComputeRow struct {
	Name string `json:"name"`
	// From and To are kinds of compute. To is empty for a service that stays.
	From string `json:"from"`
	To   string `json:"to,omitempty"`
	// Place is where cdk.json says: "stopped", "parallel", a share, "switched" or "retired". Empty for a
	// service that stays.
	Place string `json:"place,omitempty"`
	// Tasks says how many tasks each pair has, as in "1 users, 1 users-fargate"; a function has none, as in
	// "1 users, function users-lambda".
	Tasks string `json:"tasks"`
	// Next and Back are the places after a step. They are empty if there is none.
	Next string `json:"next,omitempty"`
	Back string `json:"back,omitempty"`
}

// ComputeRows lists the services that are on another kind of compute than EC2, or move. There are none
// for a monolith that is removed.
func ComputeRows(app App) []ComputeRow {
	rows := []ComputeRow{}
	plan := app.Migration.Plan(app.At)
	for _, s := range app.Migration.All() {
		removed := s.Name == app.Migration.Monolith.Name && app.At.Phase == migration.Removed
		if removed || s.Next == "" && s.Kind() == migration.EC2 {
			continue
		}
		row := ComputeRow{Name: s.Name, From: s.Kind(), To: s.Next}
		var tasks []string
		for _, pair := range s.Pairs() {
			if s.IsFunction(pair) {
				tasks = append(tasks, "function "+pair)
				continue
			}
			tasks = append(tasks, fmt.Sprintf("%d %s", plan.Tasks[pair].Count, pair))
		}
		row.Tasks = strings.Join(tasks, ", ")
		if s.Next != "" {
			row.Place = app.At.Compute[s.Name].ComputeWord()
			if to, err := NextCompute(app, []string{s.Name}); err == nil {
				row.Next = to.Compute[s.Name].ComputeWord()
			}
			if to, err := BackCompute(app, []string{s.Name}); err == nil {
				row.Back = to.Compute[s.Name].ComputeWord()
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// Computes is where the services of [ComputeRows] are on a deployment, in the same words; a service that
// stays, or that did not begin, has its kind of compute.
func Computes(m migration.Migration, state migration.State) map[string]string {
	places := map[string]string{}
	for _, s := range m.All() {
		places[s.Name] = s.ComputeWord(state.ComputePlace(s.Name))
	}
	return places
}

// Words is a deployed state for people, as [migration.State.String], with the words of a list of services
// for the computes that are not EC2.
func Words(m migration.Migration, state migration.State) string {
	var parts []string
	for _, s := range m.All() {
		if at := state.ComputePlace(s.Name); at != migration.EC2 {
			parts = append(parts, s.Name+"="+s.ComputeWord(at))
		}
	}
	state.Compute = ""
	if len(parts) == 0 {
		return state.String()
	}
	return state.String() + ", compute " + strings.Join(parts, ", ")
}

// computeApart lists the services whose compute differs between two states, in words. A share is named
// if the places of the first state are known.
func computeApart(m migration.Migration, a, b migration.State, places map[string]migration.Place) (one, other []string) {
	for _, s := range m.All() {
		was, is := a.ComputePlace(s.Name), b.ComputePlace(s.Name)
		if was == is {
			continue
		}
		word := s.ComputeWord(was)
		if place := places[s.Name]; place.Shifted && word == "shift" {
			word = place.String()
		}
		one, other = append(one, s.Name+"="+word), append(other, s.Name+"="+s.ComputeWord(is))
	}
	return one, other
}

// computeTurns says of services whose compute leaves a place out where they are, and what comes next.
func computeTurns(m migration.Migration, names []string, state migration.State) string {
	var parts []string
	for _, s := range m.All() {
		if slices.Contains(names, s.Name) {
			parts = append(parts, s.Name+" "+s.ComputeTurn(state.ComputePlace(s.Name)))
		}
	}
	return "has " + strings.Join(parts, "; ")
}
