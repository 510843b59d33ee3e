package existing

import (
	"fmt"
	"slices"
	"strings"

	"cutover/migration"
)

// stretch is how many priorities a window has that nobody chose. It begins at a multiple of that.
const stretch = 100

// ours says whether a rule is one of Cutover: in the window, and parked, or for our target groups, or
// one that holds a route's requests back for the monolith.
func (l *look) ours(r Rule) bool {
	if r.IsDefault || r.listener() != l.listener.ARN || !l.window.Has(r.priority()) || !l.choice.Adopted {
		return false
	}
	match, exact := r.match()
	if slices.ContainsFunc(match.Hosts, func(host string) bool { return strings.HasSuffix(host, migration.ParkedHost) }) {
		return true
	}
	if l.needs == nil {
		return false
	}
	groups := r.groups()
	if slices.ContainsFunc(groups, func(arn string) bool { return slices.Contains(l.needs.Groups, GroupName(arn)) }) {
		return true
	}
	return exact && len(groups) == 1 && groups[0] == l.monolith.ARN && slices.ContainsFunc(l.needs.routes(), func(r route) bool {
		return match.Covers(r.Match) && r.Covers(match)
	})
}

// route is a route with the name of its service.
type route struct {
	migration.Route
	service string
}

func (n *Needs) routes() (routes []route) {
	if n == nil {
		return nil
	}
	for _, s := range n.Services {
		for _, r := range s.Routes {
			routes = append(routes, route{r, s.Name})
		}
	}
	return routes
}

// foreign are the rules of the listener that are not ours, in the order in which they are tried, without the default rule.
func (l *look) foreign() (rules []Rule) {
	for _, r := range l.Rules {
		if r.listener() == l.listener.ARN && !r.IsDefault && !l.ours(r) {
			rules = append(rules, r)
		}
	}
	slices.SortFunc(rules, func(a, b Rule) int { return a.priority() - b.priority() })
	return rules
}

// takes says which requests of a service a rule takes, all of one of its paths or some. What is empty is
// taken nowhere.
func takes(r Rule, s route) (all, some string) {
	match, exact := r.match()
	for _, path := range s.EachPath() {
		if !match.Meets(path) {
			continue
		}
		if some = path.String(); exact && match.Covers(path) {
			return some, some
		}
	}
	return "", some
}

// toMonolith says whether a rule gives requests to the monolith, at least some.
func (l *look) toMonolith(r Rule) bool { return slices.Contains(r.groups(), l.monolith.ARN) }

// priorities chooses or checks the window, and says whether there is one.
func (l *look) priorities() bool {
	const subject = "priorities"
	if l.choice.Priorities != "" {
		w, ok := migration.ParseWindow(l.choice.Priorities)
		if !ok {
			l.add(Wrong, subject, l.choice.Priorities, "it is no window of priorities from 1 to %d: give one like 200-299", migration.LastPriority)
			return false
		}
		l.window = w
		var inside []string
		for _, r := range l.foreign() {
			if w.Has(r.priority()) {
				inside = append(inside, r.Priority+" ("+r.String()+")")
			}
		}
		switch {
		case len(inside) > 0:
			do := "choose a window without rules of others with --priorities"
			if l.needs == nil {
				do += "; if they are Cutover's, run `npx cdk synth --quiet` first, so that their target groups are known"
			}
			l.add(Wrong, subject, w.String()+" has rules of others: "+strings.Join(inside, ", "), do)
		case w.MaxOrder() < l.needs.order():
			l.add(Wrong, subject, fmt.Sprintf("%s has room for orders up to %d, two priorities for each", w, w.MaxOrder()), "the services have orders up to %d: give a wider window with --priorities", l.needs.order())
		default:
			l.add(OK, subject, w.String()+" is free of rules of others", "")
		}
		return true
	}

	// A rule of ours comes before the rules that give a service's requests to the monolith today, and behind
	// those that give some of them to others.
	from, before, after := 1, migration.LastPriority+1, ""
	until := ""
	for _, r := range l.foreign() {
		for _, s := range l.needs.routes() {
			if _, some := takes(r, s); some == "" {
				continue
			}
			if l.toMonolith(r) {
				if r.priority() < before {
					before, until = r.priority(), fmt.Sprintf(" before rule %d (%s)", r.priority(), r)
				}
			} else if r.priority() >= from && r.priority() < before {
				from, after = r.priority()+1, fmt.Sprintf(" behind rule %d (%s)", r.priority(), r)
			}
		}
	}
	size := max(stretch, (2*l.needs.order()+stretch-1)/stretch*stretch)
	for begin := (from + stretch - 1) / stretch * stretch; begin+size-1 < before && begin+size-1 <= migration.LastPriority; begin += stretch {
		w := migration.Window{First: begin, Last: begin + size - 1}
		if !slices.ContainsFunc(l.foreign(), func(r Rule) bool { return w.Has(r.priority()) }) {
			l.window = w
			l.add(OK, subject, w.String()+" is free, the first such stretch"+after, "")
			return true
		}
	}
	l.add(Wrong, subject, fmt.Sprintf("no %d that are free%s%s", size, after, until),
		"the rules of the services have to stand there: give these rules other priorities, or a smaller window with --priorities, as in --priorities %d-%d", from, max(from, before-1))
	return false
}

// shadows checks the rules of others that take requests of a service, or would lose requests to one.
func (l *look) shadows() {
	const subject = "rules of others"
	if l.needs == nil {
		return
	}
	found := false
	var before []string // rules that take a part of a service's requests, as they do today
	for _, r := range l.foreign() {
		for _, s := range l.needs.routes() {
			all, some := takes(r, s)
			if some == "" || l.window.Has(r.priority()) {
				continue
			}
			rule, earlier := fmt.Sprintf("rule %s: %s", r.Priority, r), r.priority() < l.window.First
			switch {
			case earlier && l.toMonolith(r):
				l.add(Wrong, subject, rule, "it comes before the window %s, so the monolith keeps requests of %s (%s): choose a window before %s with --priorities", l.window, s.service, some, r.Priority)
			case earlier && all != "":
				l.add(Wrong, subject, rule, "it takes all requests of %s (%s), which do not go to the monolith today: take the path out of the list, or give the rule to the monolith", s.service, all)
			case earlier:
				if !slices.Contains(before, r.Priority) {
					before = append(before, r.Priority)
				}
				continue
			case !l.toMonolith(r):
				l.add(Wrong, subject, rule, "it comes behind the window %s, so %s would take its requests (%s), which do not go to the monolith today: choose a window behind %s with --priorities, or other paths", l.window, s.service, some, r.Priority)
			case slices.ContainsFunc(r.Actions, Action.authenticates):
				l.add(Wrong, subject, rule, "rules of Cutover forward without this login, so %s would answer clients that are not logged in: log them in before the load balancer or in the service", s.service)
			default:
				continue
			}
			found = true
		}
	}
	switch {
	case found:
	case len(before) > 0:
		l.add(OK, subject, "those with priority "+strings.Join(before, ", ")+" go on taking a part of the services' requests, as today", "")
	default:
		l.add(OK, subject, "none takes requests of a service", "")
	}
}
