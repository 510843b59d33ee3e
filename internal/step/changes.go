package step

import (
	"fmt"
	"strings"

	"cutover/internal/words"
	"cutover/migration"
)

// Changes says what a step does, a line each: which services start, scale and stop, where the paths
// go, and what is dropped. The deployment comes from [ReadContext].
func Changes(m migration.Migration, from, to migration.Position) []string {
	before, after := m.Plan(from), m.Plan(to)
	askedBefore, askedAfter := asked(m, before), asked(m, after)
	var lines []string
	for _, service := range m.All() {
		for _, pair := range service.Pairs() {
			was, is := before.Tasks[pair], after.Tasks[pair]
			switch place, next := from.Compute[service.Name], to.Compute[service.Name]; {
			case service.IsFunction(pair):
				if place != next && !askedBefore[pair] && !askedAfter[pair] {
					lines = append(lines, pair+" is a function: it stays as it is, and gets no requests")
				}
			case place != next && before.Stands(pair) && !after.Stands(pair):
				lines = append(lines, pair+" stops; its ECS service is deleted, and its target group stays")
			case was != is:
				lines = append(lines, pair+" "+runs(was, is, askedAfter[pair]))
			}
		}
	}
	for _, service := range m.Services {
		was, is := before.At(service.LoadBalancer), after.At(service.LoadBalancer)
		tell := func(what string, match migration.Match) {
			what += at(service.LoadBalancer)
			if line := goes(what, is.Answers(match)); line != goes(what, was.Answers(match)) {
				lines = append(lines, line)
			}
		}
		for _, match := range matches(service) {
			tell(match.String(), match)
		}
		for _, match := range testers(service, was, is) {
			tell(match.String(), match)
		}
		if service.Root {
			for _, path := range migration.RootPaths(m.Monolith.Routes[0].Paths) {
				tell(path, migration.Match{Paths: []string{path}})
			}
		}
	}
	for i, b := range after.Balancers {
		rest := "everything else" + at(b.Name)
		if line := goes(rest, b.Answers(migration.Match{})); line != goes(rest, before.Balancers[i].Answers(migration.Match{})) {
			lines = append(lines, line)
		}
	}
	for _, service := range m.All() {
		for _, pair := range service.Pairs() {
			switch gone := askedBefore[pair] && !askedAfter[pair]; {
			case gone && service.IsFunction(pair):
				lines = append(lines, fmt.Sprintf("%s gets nothing any more, and costs nothing while it waits", pair))
			case gone && after.Tasks[pair].Count > 0:
				lines = append(lines, fmt.Sprintf("%s gets nothing any more, and goes on running", pair))
			}
		}
	}
	switch monolith := m.Monolith.Name; {
	case m.Monolith.Kind() == migration.Lambda && to.Phase == migration.Removed && from.Phase != migration.Removed:
		lines = append(lines, "the target groups of "+monolith+" are deleted: this is the point of no return", "its function stays in a stack of its own, with its logs, and a step back makes new target groups for it")
	case m.Monolith.Kind() == migration.Lambda && to.Phase != migration.Removed && from.Phase == migration.Removed:
		lines = append(lines, "the target groups of "+monolith+" are created anew, for its function")
	case to.Phase == migration.Removed && from.Phase != migration.Removed:
		lines = append(lines, "the service of "+monolith+", its target groups and its roles are deleted: this is the point of no return", "its images and logs stay, and a step back creates the rest anew")
	case to.Phase != migration.Removed && from.Phase == migration.Removed:
		lines = append(lines, "the service of "+monolith+", its target groups and its roles are created anew, without tasks")
	}
	return lines
}

// testers lists what the testers of a service ask for, if one of the plans has a rule for them.
func testers(service migration.Service, plans ...migration.Balancer) (all []migration.Match) {
	for _, b := range plans {
		for _, rule := range b.Rules {
			if rule.ID == "Testers" && rule.Service == service.Name {
				all = append(all, rule.Match)
			}
		}
	}
	return all
}

// matches lists what the routes of a service take, with one path each.
func matches(service migration.Service) (all []migration.Match) {
	for _, route := range service.Routes {
		all = append(all, route.EachPath()...)
	}
	return all
}

// asked returns the services that get requests, by name.
func asked(m migration.Migration, p migration.Plan) map[string]bool {
	names := map[string]bool{}
	add := func(b migration.Balancer, match migration.Match) {
		for _, target := range b.Answers(match) {
			names[target.Group] = true
		}
	}
	for _, b := range p.Balancers {
		add(b, migration.Match{})
	}
	for _, service := range m.Services {
		b := p.At(service.LoadBalancer)
		for _, match := range append(matches(service), testers(service, b)...) {
			add(b, match)
		}
	}
	return names
}

// runs says how a service's tasks change.
func runs(was, is migration.Tasks, asked bool) string {
	switch {
	case was.Count == 0 && asked:
		return "starts, with " + words.Count(is.Count, "task")
	case was.Count == 0:
		return fmt.Sprintf("starts, with %s, and gets no requests yet", words.Count(is.Count, "task"))
	case is.Count == 0:
		return "stops; its service stays, without tasks"
	case is.Kept:
		return fmt.Sprintf("scales, from %d to %s", is.Count, words.Count(is.Max, "task"))
	}
	return fmt.Sprintf("runs %s, however many it has been scaled to", words.Count(is.Count, "task"))
}

func at(balancer string) string {
	if balancer == "" {
		return ""
	}
	return " at " + balancer
}

func goes(what string, targets []migration.Target) string {
	if len(targets) == 1 {
		if targets[0].Group == migration.DropGroup {
			return what + " is answered with 503"
		}
		return what + " goes to " + targets[0].Group
	}
	var parts []string
	for i, percent := range migration.Percent(targets) {
		parts = append(parts, fmt.Sprintf("%.3g %% to %s", percent, targets[i].Group))
	}
	return what + " goes " + strings.Join(parts, " and ")
}
