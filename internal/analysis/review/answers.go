package review

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"cutover/internal/plain"
	"cutover/migration"
)

// Answer is who answers some requests before and after a change of the services or their settings,
// while the migration stays where it is.
type Answer struct {
	// Requests are in words, as in "/api/users* with method POST".
	Requests string `json:"requests"`
	// LoadBalancer is empty for the first load balancer.
	LoadBalancer string `json:"loadBalancer,omitempty"`
	// Before and After are in words, as in "10 % users, 90 % api".
	Before string `json:"before"`
	After  string `json:"after"`
	// In are the positions.
	In []string `json:"in"`
}

// sharing is the name of the position in which each route has a share.
const sharing = "parallel with 10 % each"

// Answers compares who answers: where the migration is, and in each phase. It is empty if the
// services take the same requests.
func Answers(before, after Side, phases []string) []Answer {
	if reflect.DeepEqual(taking(before.Migration), taking(after.Migration)) {
		return []Answer{}
	}
	answers := []Answer{}
	compare := func(name string, one, other migration.Plan) {
		for _, at := range balancers(one, other) {
			rest := [2]string{answered(one, at, request{}), answered(other, at, request{})}
			for _, asked := range requests(before.Migration, after.Migration, at) {
				a := Answer{cmp.Or(asked.String(), "everything else"), at, answered(one, at, asked), answered(other, at, asked), []string{name}}
				everythingElse := !asked.service && asked.String() != "" && rest == [2]string{a.Before, a.After}
				if a.Before == a.After || everythingElse {
					continue
				}
				same := slices.IndexFunc(answers, func(b Answer) bool {
					return b.Requests == a.Requests && b.LoadBalancer == a.LoadBalancer && b.Before == a.Before && b.After == a.After
				})
				if same < 0 {
					answers = append(answers, a)
				} else if !slices.Contains(answers[same].In, name) {
					answers[same].In = append(answers[same].In, name)
				}
			}
		}
	}
	for _, name := range phases {
		if phase, err := migration.ParsePhase(name); err == nil {
			at := migration.Position{Phase: phase}
			compare(name, before.Migration.Plan(at), after.Migration.Plan(at))
		}
	}
	shares := func(m migration.Migration) migration.Plan {
		at := migration.Position{Phase: migration.Parallel, Shift: map[string]int{}}
		for _, s := range m.Services {
			at.Shift[s.Name] = 10
		}
		return m.Plan(at)
	}
	compare(sharing, shares(before.Migration), shares(after.Migration))
	if here := before.Name(); !slices.Contains(phases, here) {
		compare(here, before.Migration.Plan(before.At), after.Migration.Plan(stay(before, after)))
	}
	return answers
}

// taking is what decides who takes which requests.
func taking(m migration.Migration) any {
	type service struct {
		Name, LoadBalancer string
		Root               bool
		Routes             []migration.Route
	}
	services := map[string]service{}
	for _, s := range m.Services {
		services[s.Name] = service{s.Name, s.LoadBalancer, s.Root, s.Routes}
	}
	return []any{m.KeepRest, m.Monolith.Name, m.Monolith.Routes, services}
}

// stay is the position before, with places for the routes that are new.
func stay(before, after Side) migration.Position {
	if before.At.Places == nil {
		return before.At
	}
	places := maps.Clone(before.At.Places)
	for _, s := range after.Migration.Services {
		for _, r := range s.Routes {
			key := migration.Key(s.Name, r.Name)
			if _, known := places[key]; !known {
				places[key] = after.At.Place(s.Name, r.Name)
			}
		}
	}
	return migration.At(places, before.At.Phase)
}

// balancers are the names of the load balancers of two plans.
func balancers(plans ...migration.Plan) (names []string) {
	for _, plan := range plans {
		for _, b := range plan.Balancers {
			if !slices.Contains(names, b.Name) {
				names = append(names, b.Name)
			}
		}
	}
	return names
}

// request is a set of requests to ask about.
type request struct {
	migration.Match
	// service says that a route of a service takes them, and not only the monolith.
	service bool
}

// requests are those that a rule of either side takes at a load balancer, each with one path. Last
// comes the match of everything else.
func requests(before, after migration.Migration, balancer string) (all []request) {
	add := func(match migration.Match, service bool) {
		for _, one := range match.EachPath() {
			if !slices.ContainsFunc(all, func(r request) bool { return r.String() == one.String() }) {
				all = append(all, request{one, service})
			}
		}
	}
	for _, m := range []migration.Migration{before, after} {
		for _, s := range m.Services {
			for _, r := range s.Routes {
				if s.LoadBalancer != balancer {
					continue
				}
				add(r.Match, true)
				if len(r.Testers) > 0 {
					add(r.ForTesters(), true)
				}
			}
		}
	}
	for _, m := range []migration.Migration{before, after} {
		add(m.Monolith.Routes[0].Match, false)
		add(migration.Match{Paths: migration.RootPaths(m.Monolith.Routes[0].Paths)}, false)
	}
	return append(all, request{})
}

// answered says who answers requests at a load balancer.
func answered(plan migration.Plan, at string, asked request) string {
	if !slices.ContainsFunc(plan.Balancers, func(b migration.Balancer) bool { return b.Name == at }) {
		return "no such load balancer"
	}
	balancer := plan.At(at)
	text := who(balancer.Answers(asked.Match))
	var parts []string
	for _, rule := range balancer.Rules {
		if !asked.service || rule.Covers(asked.Match) {
			break
		}
		if part := who(rule.Targets); asked.Covers(rule.Match) && part != text && !slices.Contains(parts, part) {
			parts = append(parts, part)
		}
	}
	if len(parts) > 0 {
		text += ", in part " + strings.Join(parts, " or ")
	}
	return text
}

// nobody answers what the load balancer drops.
const nobody = "nobody (503)"

// who names the targets of an action.
func who(targets []migration.Target) string {
	var parts []string
	percent := migration.Percent(targets)
	for i, t := range targets {
		name := t.Group
		if name == migration.DropGroup {
			name = nobody
		}
		switch {
		case percent[i] == 100:
			return name
		case t.Weight > 0:
			parts = append(parts, fmt.Sprintf("%.3g %% %s", percent[i], name))
		}
	}
	return strings.Join(parts, ", ")
}

// Settings says in words which settings change that decide who answers.
func Settings(before, after migration.Migration) []string {
	lines := []string{}
	monolith := after.Monolith.Name
	switch {
	case after.KeepRest && !before.KeepRest:
		lines = append(lines, fmt.Sprintf("The setting rest becomes monolith: %s keeps what no service claims, and is never retired.", monolith))
	case before.KeepRest && !after.KeepRest:
		lines = append(lines, fmt.Sprintf("The setting rest becomes drop: what no service claims is answered with 503 once every service is switched. %s can be retired then.", monolith))
	}
	was, is := root(before), root(after)
	switch {
	case was == is:
	case is == "":
		lines = append(lines, fmt.Sprintf("The setting rootService goes: %s answers the root paths no more.", was))
	case was == "":
		lines = append(lines, fmt.Sprintf("The setting rootService becomes %s, which answers the root paths from switched on.", is))
	default:
		lines = append(lines, fmt.Sprintf("The setting rootService becomes %s, which answers the root paths from switched on in the place of %s.", is, was))
	}
	for _, s := range after.Services {
		for _, r := range s.Routes {
			old, known := before.Route(s.Name, r.Name)
			if !known || reflect.DeepEqual(old.Testers, r.Testers) {
				continue
			}
			key, now := migration.Key(s.Name, r.Name), migration.Match{Headers: r.Testers}.String()
			if len(r.Testers) == 0 {
				lines = append(lines, fmt.Sprintf("%s has no testers any more: all requests get its share.", key))
				continue
			}
			lines = append(lines, fmt.Sprintf("Testers reach %s while it has a share: %s.", key, strings.Replace(now, "any path", "requests", 1)))
		}
	}
	return lines
}

func root(m migration.Migration) string {
	for _, s := range m.Services {
		if s.Root {
			return s.Name
		}
	}
	return ""
}

// answers says who gets which requests.
func (r *Report) answers() string {
	text := ""
	for _, line := range r.Settings {
		text += "- " + sentence(line) + "\n"
	}
	if len(r.Answers) == 0 {
		return text
	}
	rows := [][]string{{"requests", "answered by, before", "after", "where"}}
	for _, a := range r.Answers {
		what := sentence(a.Requests)
		if a.LoadBalancer != "" {
			what += " at " + plain.Markdown(a.LoadBalancer)
		}
		rows = append(rows, []string{what, plain.Markdown(a.Before), plain.Markdown(a.After), plain.Markdown(r.in(a.In))})
	}
	if text != "" {
		text += "\n"
	}
	return text + Table(rows)
}
