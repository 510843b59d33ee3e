package config

import (
	"fmt"
	"maps"
	"slices"

	"cutover/internal/words"
	"cutover/migration"
)

// checkQuotas refuses more services or routes than a load balancer or its stack can have. The load
// balancer has the groups of its services between the monolith's group and the one for dropped
// traffic.
func checkQuotas(d Deployment, s Settings, b migration.Balancer, refuse func(string, ...any)) {
	services := len(b.Groups) - 2
	last := b.Groups[services]
	const elsewhere = `put %d of its services behind another load balancer, as in {Name: %q, LoadBalancer: "further", …}`
	if n := len(b.Groups); n > MaxTargetGroups {
		refuse("%s: %d services and the monolith need %d target groups, and a load balancer can have %d: "+elsewhere, named(b.Name), services, n, MaxTargetGroups, n-MaxTargetGroups, last)
	}
	m := d.Migration()
	m.Services = slices.DeleteFunc(m.Services, func(s migration.Service) bool { return s.LoadBalancer != b.Name })
	what, routes := words.Count(services, "service"), 0
	for _, service := range m.Services {
		routes += len(service.Routes)
	}
	if routes != services {
		what += " with " + words.Count(routes, "route")
	}
	n, doing := mostRules(m, b.Name, s.Position)
	if s.AsksOrigin() {
		n++ // the last rule, in place of the default action
	}
	if n > MaxRules && m.KeepRest && s.Places == nil {
		refuse("%s: %s need %d listener rules while they are switched all at once, and a load balancer can have %d: give each service a place in phase, as in \"%s=monolith\", and move a few at a time",
			named(b.Name), what, n, MaxRules, last)
	} else if n > MaxRules {
		refuse("%s: %s and %s need %d listener rules, and a load balancer can have %d: "+elsewhere, named(b.Name), what, doing, n, MaxRules, leave(m.Services, n-MaxRules), last)
	}
	// Other stacks read the address of each target group. Alarms read another address, and alarms
	// and the dashboard read the load balancer's name, and callers its DNS name. Url comes on top. The
	// first load balancer also has the topic: for subscribers, and for other stacks.
	outputs := services + 1 + 1
	if d.callsThrough(b.Name) && (b.Name != "" || s.Domain == "") {
		outputs++
	}
	if s.Alarms || s.Dashboard {
		outputs++
	}
	if s.SendsOrigin() {
		outputs++ // the secret, which CloudFront's stack reads
	}
	if s.Alarms {
		outputs += services + 1
		if b.Name == "" {
			outputs += 2
		}
	}
	if over := outputs - maxOutputs; over > 0 && len(b.Groups) <= MaxTargetGroups { // otherwise more services have to go anyway
		refuse("%s: with alarms its stack and %d services need %d outputs, and a stack can have %d: "+elsewhere, named(b.Name), services, outputs, maxOutputs, (over+1)/2, last)
	}
}

// leave returns how many services at the end of a list have at least so many rules.
func leave(services []migration.Service, rules int) (n int) {
	for rules > 0 && n < len(services) {
		n++
		rules -= len(services[len(services)-n].Routes)
	}
	return n
}

// mostRules returns how many rules a load balancer has in a position, or in a step that has to be
// possible later, whichever is more. CloudFormation creates the rules of the next position before it
// deletes those of the last one. The text says what needs them.
//
// These steps have to be possible:
//
//   - the switch of all services at once, if one phase is for all
//   - otherwise a share of one route
//   - a share of each service or route that has testers
func mostRules(m migration.Migration, balancer string, at migration.Position) (rules int, doing string) {
	step := func(from, to migration.Position, what string) {
		if n := rulesOfBoth(m.Plan(from), m.Plan(to), balancer); n > rules {
			rules, doing = n, what
		}
	}
	shares := 0
	for _, s := range m.Services {
		for _, r := range s.Routes {
			if at.Place(s.Name, r.Name).Shifted {
				shares++
			}
		}
	}
	step(at, at, fmt.Sprintf("a shift of %d", shares))
	parallel := migration.Position{Phase: migration.Parallel}
	if at.Places == nil {
		step(parallel, migration.Position{Phase: migration.Switched}, "a shift of 0")
		for _, s := range m.Services {
			if slices.ContainsFunc(s.Routes, func(r migration.Route) bool { return len(r.Testers) > 0 }) {
				step(parallel, migration.Position{Phase: migration.Parallel, Shift: map[string]int{s.Name: 1}}, fmt.Sprintf("a shift of %q with its testers", s.Name))
			}
		}
		return rules, doing
	}
	parallel = parallel.Each(m.Services)
	share := func(key string) migration.Position {
		places := maps.Clone(parallel.Places)
		places[key] = migration.Place{Phase: migration.Parallel, Shifted: true, Percent: 1}
		return migration.At(places, migration.Monolith)
	}
	last, order := "", 0
	for _, s := range m.Services {
		for _, r := range s.Routes {
			key := migration.Key(s.Name, r.Name)
			if r.Order > order { // no rule holds its requests back for the monolith
				last, order = key, r.Order
			}
			if len(r.Testers) > 0 {
				step(parallel, share(key), fmt.Sprintf("a share of %q with its testers", key))
			}
		}
	}
	step(parallel, share(last), "a share of 1")
	return rules, doing
}

// rulesOfBoth counts the rules of a load balancer that exist in one of two plans.
func rulesOfBoth(from, to migration.Plan, balancer string) int {
	ids := map[string]bool{}
	for _, p := range []migration.Plan{from, to} {
		for _, b := range p.Balancers {
			for _, r := range b.Rules {
				if b.Name == balancer {
					ids[migration.Key(r.Service, r.Route)+" "+r.ID] = true
				}
			}
		}
	}
	return len(ids)
}

// CheckStep refuses a step of the deployment that takes too many rules for a moment, while the rules of
// both positions exist. What is deployed may have other services.
func (d Deployment) CheckStep(deployed migration.Migration, from, to migration.Position) error {
	was, is := deployed.Plan(from), d.Migration().Plan(to)
	advice := "move fewer services in one deployment"
	if (from.Places == nil) != (to.Places == nil) {
		advice = "pass over in monolith or parallel, where the rules stay"
	}
	for _, b := range is.Balancers {
		if n := rulesOfBoth(was, is, b.Name); n > MaxRules {
			return fmt.Errorf("%s: the step needs %d listener rules for a moment, since CloudFormation creates rules before it deletes others, and a load balancer can have %d: %s",
				named(b.Name), n, MaxRules, advice)
		}
	}
	return nil
}
