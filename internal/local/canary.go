package local

import (
	"fmt"
	"slices"
	"time"

	"cutover/internal/canary"
	"cutover/internal/local/ecs"
	"cutover/internal/model"
	"cutover/internal/rules"
)

// Canaries are the microservices that have taken traffic from the monolith.
type Canaries struct {
	// Deploying says that an assembly is being deployed. There are no rounds then.
	Deploying bool     `json:"deploying"`
	Canaries  []Canary `json:"canaries"`
}

// Canary is a microservice that has taken traffic from the monolith.
type Canary struct {
	Service string `json:"service"`
	// Percent is the part of its own traffic that the microservice gets. Of several rules it is the
	// one with the most.
	Percent float64 `json:"percent"`
	// Shares has the percent of each rule, by priority.
	Shares map[int]float64 `json:"shares"`
	// Switched says that the microservice has the traffic of a rule to itself.
	Switched bool `json:"switched"`
	// Rounds are the rounds since the last deployment, the latest at the end, at most
	// [canary.Periods].
	Rounds []canary.Round `json:"rounds"`
}

// Canaries compares the services that share their traffic with the monolith, and those that have
// traffic to themselves. If the monolith has all traffic, the list is empty. Rounds from before the
// last deployment are left out.
//
// A period is whole seconds, up to [canary.Period]. The error says that there is no such monolith,
// or that it has no tasks to compare with.
func (r *Runner) Canaries(monolith string, period time.Duration) (Canaries, error) {
	if period < time.Second || period > canary.Period || period%time.Second != 0 {
		return Canaries{}, fmt.Errorf("a period of %v cannot be measured here: choose whole seconds, up to %v", period, canary.Period)
	}
	status := r.services.Scheduler.Status()
	if i := slices.IndexFunc(status, func(s ecs.ServiceStatus) bool { return s.Name == monolith }); i < 0 {
		return Canaries{}, fmt.Errorf("there is no service %q here to compare others with", monolith)
	} else if status[i].DesiredCount == 0 {
		return Canaries{}, fmt.Errorf("%s has no tasks any more that others could be compared with", monolith)
	}
	all := Canaries{Deploying: r.deploying.Load()}
	for _, listener := range r.balancers.Listeners() {
		for _, c := range r.canaries(listener, monolith) {
			if !slices.ContainsFunc(all.Canaries, func(other Canary) bool { return other.Service == c.Service }) { // at another listener
				if !all.Deploying {
					c.Rounds = r.traffic.rounds(c.group, c.monolith, int64(period/time.Second))
				}
				all.Canaries = append(all.Canaries, c.Canary)
			}
		}
	}
	return all, nil
}

// pair is a canary with both target groups.
type pair struct {
	Canary
	group, monolith string
}

// canaries returns the canaries at one listener. Its load balancer has one target group of the
// monolith. Behind the monolith's rule, a service's rule gets nothing. A rule that only holds the
// requests of a route back for the monolith has the conditions of the route's own rule.
func (r *Runner) canaries(listener *rules.Listener, monolith string) []pair {
	var pairs []pair
	group, covered := "", false
	for i, rule := range listener.Rules {
		shared := r.forwards(rule, monolith)
		covered = covered || shared && len(rule.Action.Forward) == 1 && !slices.ContainsFunc(listener.Rules[i+1:], func(own *rules.Rule) bool {
			return len(own.Conditions) == len(rule.Conditions) && within(own, rule)
		})
		for _, w := range rule.Action.Forward {
			key := w.TargetGroup.Key()
			name := r.ServiceName(key)
			if name == monolith {
				group = key
			}
			if name == monolith || w.Share == 0 || covered || r.services.ServiceName(key) == "" || r.testers(rule, listener.Rules[i+1:], name, monolith) {
				continue
			}
			k := slices.IndexFunc(pairs, func(p pair) bool { return p.Service == name })
			if k < 0 {
				k = len(pairs)
				pairs = append(pairs, pair{Canary: Canary{Service: name, Shares: map[int]float64{}}, group: key})
			}
			p := &pairs[k]
			p.Shares[rule.Priority] = 100 * w.Share
			p.Percent, p.Switched = max(p.Percent, 100*w.Share), p.Switched || !shared
		}
	}
	for i := range pairs {
		pairs[i].monolith = group
	}
	return pairs
}

// testers reports whether a rule is for the testers of a service: a later rule shares what fewer
// conditions take with the monolith.
func (r *Runner) testers(rule *rules.Rule, later []*rules.Rule, service, monolith string) bool {
	return slices.ContainsFunc(later, func(other *rules.Rule) bool {
		return r.forwards(other, service) && r.forwards(other, monolith) && len(other.Conditions) < len(rule.Conditions) && within(other, rule)
	})
}

// within reports whether a rule has all conditions of another one.
func within(other, rule *rules.Rule) bool {
	return !slices.ContainsFunc(other.Conditions, func(c model.Condition) bool {
		return !slices.ContainsFunc(rule.Conditions, func(own model.Condition) bool { return own.String() == c.String() })
	})
}

// forwards reports whether a rule has a target group of a service, with any weight.
func (r *Runner) forwards(rule *rules.Rule, service string) bool {
	return slices.ContainsFunc(rule.Action.Forward, func(w model.Weighted) bool { return r.ServiceName(w.TargetGroup.Key()) == service })
}
