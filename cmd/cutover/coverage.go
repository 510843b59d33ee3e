package main

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"cutover/internal/assembly"
	"cutover/internal/model"
	"cutover/internal/rehearsal"
	"cutover/internal/rules"
)

// phaseRules are what the load balancers do in a phase, as its assembly says.
type phaseRules struct {
	*model.Model
	table *rules.Table // nil if it cannot be evaluated: the deployment refuses the assembly then, and says why
	// existing and monolith are the ARN and the key of the target group of a monolith that exists already, and name is the monolith's.
	// Empty without one.
	existing, monolith, name string
}

// of is the name by which people know who answers for a target group that exists already.
func (r *phaseRules) of(group *model.TargetGroup) string {
	if r.monolith != "" && group.Key() == r.monolith {
		return r.name
	}
	return group.Name
}

// standing is the target group that exists already for which somebody answers, by the name; nil if there is none.
func (r *phaseRules) standing(name string) *model.TargetGroup {
	i := slices.IndexFunc(r.TargetGroups, func(g *model.TargetGroup) bool { return g.Existing() && r.of(g) == name })
	if i < 0 {
		return nil
	}
	return r.TargetGroups[i]
}

// readRules reads the assembly of each phase.
func readRules(assemblies map[string]string) (map[string]*phaseRules, error) {
	phases := map[string]*phaseRules{}
	for phase, dir := range assemblies {
		a, err := assembly.Read(dir)
		if err != nil {
			return nil, err
		}
		r := &phaseRules{Model: model.Read(a)}
		list, err := existingList(a)
		if err != nil {
			return nil, err
		}
		if group := a.Described(list.Existing); group != nil {
			r.existing, r.monolith, r.name = list.Existing, group.String(), list.Monolith.Name
		}
		if r.table, err = rules.Build(r.Model); err != nil {
			r.table = nil
		} else {
			r.table = r.table.Fronted(r.Model) // a rehearsal sends its requests through the fronts
		}
		phases[phase] = r
	}
	return phases, nil
}

// shortName is the name of a rule without its conditions.
func shortName(rule *rules.Rule) string {
	name := "the default rule"
	if rule.Priority > 0 {
		name = "rule " + strconv.Itoa(rule.Priority)
	}
	return fmt.Sprintf("%s of %v (%s)", name, rule.Listener, rule.Listener.Key())
}

// ruleName is the name of a rule, alike in all phases in which it has the same conditions.
func ruleName(rule *rules.Rule) string {
	name := []string{shortName(rule)}
	for _, condition := range rule.Conditions {
		name = append(name, condition.String())
	}
	return strings.Join(name, ", ")
}

// patternName is the name of a path pattern of a rule.
func patternName(rule *rules.Rule, pattern string) string { return pattern + " of " + shortName(rule) }

// Why no request has to come to a part.
const (
	hidden    = "an earlier rule takes all its requests"
	dropped   = "by design nobody answers its requests"
	upgrades  = "it sends clients to HTTPS"
	unreached = "no rule sends requests to it"
	ending    = "by design its requests are dropped at the end of the migration"
	parked    = "it is parked until its service takes traffic"
	foreign   = "it exists already, and the migration does not change it"
)

// peopled are the keys of the target groups that have anybody to answer: a service, an instance, a target of the
// template, or whoever does so already.
func (r *phaseRules) peopled() map[string]bool {
	groups := map[string]bool{}
	for _, s := range r.Services {
		for _, balancer := range s.LoadBalancers {
			if balancer.TargetGroup != nil {
				groups[balancer.TargetGroup.Key()] = true
			}
		}
	}
	for _, g := range r.AutoScalingGroups {
		for _, group := range g.TargetGroups {
			groups[group.Key()] = true
		}
	}
	for _, group := range r.TargetGroups {
		if len(group.Targets) > 0 || group.Existing() || group.TargetType != "instance" && group.TargetType != "ip" {
			groups[group.Key()] = true
		}
	}
	return groups
}

// parts are what requests come to in each phase. A target group that has nobody in any phase is meant to drop requests.
// Ends says that the default rule drops requests at the end of the migration.
func parts(phases map[string]*phaseRules, ends bool) map[string][]rehearsal.Part {
	peopled := map[string]bool{}
	for _, r := range phases {
		for group := range r.peopled() {
			peopled[group] = true
		}
	}
	all := map[string][]rehearsal.Part{}
	for phase, r := range phases {
		if r.table != nil {
			all[phase] = r.parts(peopled, ends)
		}
	}
	return all
}

// parts are those of one phase. Peopled are the target groups that have anybody in some phase.
func (r *phaseRules) parts(peopled map[string]bool, ends bool) (all []rehearsal.Part) {
	empty := func(to model.Weighted) bool { return !peopled[to.TargetGroup.Key()] }
	byGroup := map[*model.TargetGroup][]string{} // the rules that lead there
	for _, listener := range r.table.Listeners {
		for _, rule := range listener.Rules {
			part := rehearsal.Part{Kind: rehearsal.RulePart, Name: ruleName(rule)}
			part.Dropped = drops(rule.Action, empty)
			switch redirect := rule.Action.Redirect; {
			case listener.Hidden(rule):
				part.Idle = hidden
			case rule.Existing():
				part.Idle = foreign
			case rule.Parked():
				part.Idle = parked
			case part.Dropped:
				part.Idle = dropped
			case redirect != nil && listener.Protocol == "HTTP" && redirect.Protocol == "HTTPS":
				part.Idle = upgrades
			case ends && rule.Priority == 0 && slices.ContainsFunc(rule.Action.Forward, empty):
				part.Idle = ending
			}
			all = append(all, part)
			for _, condition := range rule.Conditions {
				if condition.Field != model.PathPattern {
					continue
				}
				for _, value := range condition.Values {
					pattern := rehearsal.Part{Kind: rehearsal.PatternPart, Name: patternName(rule, value), Rules: []string{part.Name}, Idle: part.Idle, Dropped: part.Dropped}
					if pattern.Idle == "" && listener.HiddenPattern(rule, value) {
						pattern.Idle = hidden
					}
					all = append(all, pattern)
				}
			}
			for _, to := range rule.Action.Forward {
				if to.Weight > 0 && !slices.Contains([]string{hidden, foreign, parked}, part.Idle) {
					byGroup[to.TargetGroup] = append(byGroup[to.TargetGroup], part.Name)
				}
			}
		}
	}
	for _, group := range r.table.TargetGroups {
		part := rehearsal.Part{Kind: rehearsal.GroupPart, Name: group.Name, Rules: byGroup[group]}
		switch {
		case len(part.Rules) == 0 && group.Existing():
			part.Idle = foreign
		case len(part.Rules) == 0:
			part.Idle = unreached
		case !peopled[group.Key()]:
			part.Idle, part.Dropped = dropped, true
		}
		all = append(all, part)
	}
	return all
}

// drops says whether an action answers no request with the help of a service: it forwards to groups without anybody, or
// answers with an error of a server.
func drops(action model.Action, empty func(model.Weighted) bool) bool {
	if action.FixedResponse != nil {
		return action.FixedResponse.StatusCode >= 500
	}
	return len(action.Forward) > 0 && !slices.ContainsFunc(action.Forward, func(to model.Weighted) bool {
		return to.Weight > 0 && !empty(to)
	})
}

// groupNames are the names of all target groups by their keys.
func groupNames(phases map[string]*phaseRules) map[string]string {
	names := map[string]string{}
	for _, r := range phases {
		for _, group := range r.TargetGroups {
			names[group.Key()] = group.Name
		}
	}
	return names
}

// nobody answers a request.
const nobody = "nobody"

// answerers names who answers a request in a phase: services, the load balancer by its rules, or nobody. It is empty if
// that is not known.
func (r *phaseRules) answerers(request *rehearsal.Request) (names []string) {
	if r == nil || r.table == nil {
		return nil
	}
	var asked *rules.Listener
	sent, most := ruled(request), -1
	for _, listener := range r.table.Listeners { // as alb.Provider.URLOf chooses
		sent.Port = listener.Port
		if n := len(listener.Matching(sent)); n > most {
			asked, most = listener, n
		}
	}
	if asked == nil {
		return nil
	}
	sent.Port = asked.Port
	decision, err := asked.Route(sent)
	if err != nil {
		return nil
	}
	switch action := decision.Rule.Action; {
	case action.FixedResponse != nil && action.FixedResponse.StatusCode >= 400:
		return []string{nobody}
	case action.FixedResponse != nil, action.Redirect != nil:
		return []string{"the load balancer"}
	default:
		peopled := r.peopled()
		for _, to := range action.Forward {
			name := nobody
			if peopled[to.TargetGroup.Key()] {
				name = r.serviceOf(to.TargetGroup)
			}
			if to.Weight > 0 && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// serviceOf is the name of the service behind a target group, the group's if there is none, and nobody if the service has
// no tasks.
func (r *phaseRules) serviceOf(group *model.TargetGroup) string {
	for _, s := range r.Services {
		for _, balancer := range s.LoadBalancers {
			switch {
			case balancer.TargetGroup != group:
			case s.Tasks() == 0:
				return nobody
			default:
				return s.Name
			}
		}
	}
	return r.of(group)
}

// unanswered finds what somebody answers in the first phase of a walk and nobody in a later one, of all that a workload
// knows, sent or not.
func unanswered(walk []string, phases map[string]*phaseRules, workload rehearsal.Workload) (findings []rehearsal.Finding) {
	places := map[string]int{} // in findings, by who answers when
	said := map[string]bool{}
	for _, request := range slices.Concat(workload.Routes(), workload.Unsent) {
		path, _, _ := strings.Cut(request.Path, "?")
		text := cmp.Or(request.Method, http.MethodGet) + " " + request.Host + path
		now := phases[walk[0]].answerers(request)
		if len(now) == 0 || slices.Contains(now, nobody) || said[text] {
			continue
		}
		var in []string
		others := map[string][]string{}
		for _, phase := range walk[1:] {
			then := phases[phase].answerers(request)
			if !slices.Contains(then, nobody) {
				continue
			}
			who := strings.Join(then, " or ")
			if !slices.Contains(others[who], phase) {
				others[who] = append(others[who], phase)
			}
			if !slices.Contains(in, who) {
				in = append(in, who)
			}
		}
		if len(in) == 0 {
			continue
		}
		said[text] = true
		for i, who := range in {
			in[i] = "by " + who + " in " + strings.Join(others[who], ", ")
		}
		when := fmt.Sprintf("is answered by %s now and %s", strings.Join(now, " or "), strings.Join(in, ", and "))
		place, known := places[when]
		if !known {
			places[when] = len(findings)
			findings = append(findings, rehearsal.Finding{Kind: "nobody answers", Text: text + " " + when, Count: 1})
			continue
		}
		findings[place].Count++
		findings[place].Detail = append(findings[place].Detail, text+" "+when)
	}
	return findings
}
