package local

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"cutover/internal/canary"
	"cutover/internal/local/ecs"
	"cutover/internal/model"
	"cutover/internal/rules"
)

// Compared says which ECS services and functions are compared with which, by their names.
type Compared struct {
	// Monolith has the ECS service or function that microservices are compared with, and then the other one of a
	// monolith that moves to another compute.
	Monolith []string `json:"monolith"`
	// Old has the old ECS service or function of each new one, of services that move to another compute.
	Old map[string]string `json:"old,omitempty"`
}

// Canaries are the ECS services and functions that have taken traffic from others.
type Canaries struct {
	// Deploying says that an assembly is being deployed. There are no rounds then.
	Deploying bool     `json:"deploying"`
	Canaries  []Canary `json:"canaries"`
}

// Canary is an ECS service or function that has taken traffic from another one: a microservice from the
// monolith, or the new ECS service or function of a service from the old one.
type Canary struct {
	Service string `json:"service"`
	// With is the ECS service or function that it is compared with.
	With string `json:"with"`
	// Compute says that both are of one service, which moves to another compute.
	Compute bool `json:"compute"`
	// Percent is the part of the traffic that the canary has taken: of a microservice with both its ECS
	// services, or of the service that moves. Of several rules it is the one with the most.
	Percent float64 `json:"percent"`
	// Shares has the percent of each rule, by priority.
	Shares map[int]float64 `json:"shares"`
	// Switched says that the canary has the traffic of a rule to itself.
	Switched bool `json:"switched"`
	// Rounds are the rounds since the last deployment, the latest at the end, at most
	// [canary.Periods].
	Rounds []canary.Round `json:"rounds"`
}

// Canaries compares the services that share their traffic with others, and those that have traffic to
// themselves. If the monolith and old ECS services have all traffic, the list is empty. Rounds from
// before the last deployment are left out.
//
// A period is whole seconds, up to [canary.Period]. If no service moves to another compute, the error
// says that there is no such monolith, or that it has no tasks to compare with.
func (r *Runner) Canaries(compared Compared, period time.Duration) (Canaries, error) {
	if period < time.Second || period > canary.Period || period%time.Second != 0 {
		return Canaries{}, fmt.Errorf("a period of %v cannot be measured here: choose whole seconds, up to %v", period, canary.Period)
	}
	if err := r.runs(compared.Monolith); err != nil {
		if len(compared.Old) == 0 {
			return Canaries{}, err
		}
		compared.Monolith = nil
	}
	all := Canaries{Deploying: r.deploying.Load()}
	for _, listener := range r.balancers.Listeners() {
		for _, c := range r.canaries(listener, compared) {
			if !slices.ContainsFunc(all.Canaries, func(other Canary) bool { return other.Service == c.Service && other.Compute == c.Compute }) { // at another listener
				if !all.Deploying {
					c.Rounds = r.traffic.rounds(c.group, c.with, int64(period/time.Second))
				}
				all.Canaries = append(all.Canaries, c.Canary)
			}
		}
	}
	return all, nil
}

// runs says why microservices cannot be compared with the first of some services.
func (r *Runner) runs(services []string) error {
	status := r.services.Scheduler.Status()
	name := ""
	if len(services) > 0 {
		name = services[0]
	}
	for _, listener := range r.balancers.Listeners() {
		for _, rule := range listener.Rules {
			for _, w := range rule.Action.Forward {
				if (w.TargetGroup.TargetType == "lambda" || w.TargetGroup.Existing()) && r.ServiceName(w.TargetGroup.Key()) == name {
					return nil
				}
			}
		}
	}
	if i := slices.IndexFunc(status, func(s ecs.ServiceStatus) bool { return s.Name == name }); i < 0 {
		return fmt.Errorf("there is no service %q here to compare others with", name)
	} else if status[i].DesiredCount == 0 {
		return fmt.Errorf("%s has no tasks any more that others could be compared with", name)
	}
	return nil
}

// pair is a canary with both target groups.
type pair struct {
	Canary
	group, with string
	of          string // the old ECS service of the canary's service, or the only one
}

// canaries returns the canaries at one listener. Its load balancer has one target group of each ECS
// service of the monolith. Behind the monolith's rule, a service's rule gets nothing. A rule that only
// holds the requests of a route back for the monolith has the conditions of the route's own rule.
func (r *Runner) canaries(listener *rules.Listener, compared Compared) []pair {
	var pairs []pair
	groups, covered := map[string]string{}, false
	add := func(rule *rules.Rule, c pair, percent float64, switched bool) {
		k := slices.IndexFunc(pairs, func(p pair) bool { return p.of == c.of && p.Compute == c.Compute })
		if k < 0 {
			k = len(pairs)
			c.Shares = map[int]float64{}
			pairs = append(pairs, c)
		}
		p := &pairs[k]
		p.Shares[rule.Priority] = percent
		p.Percent, p.Switched = max(p.Percent, percent), p.Switched || switched
	}
	for i, rule := range listener.Rules {
		if covered {
			break
		}
		shared := r.forwards(rule, compared.Monolith)
		covered = shared && r.forwardsOnly(rule, compared.Monolith) && !slices.ContainsFunc(listener.Rules[i+1:], func(own *rules.Rule) bool {
			return len(own.Conditions) == len(rule.Conditions) && within(own, rule)
		})
		shares := map[string]float64{} // of each service, by its old ECS service
		for _, w := range rule.Action.Forward {
			name := r.ServiceName(w.TargetGroup.Key())
			groups[name] = w.TargetGroup.Key()
			shares[cmp.Or(compared.Old[name], name)] += w.Share
		}
		for _, w := range rule.Action.Forward {
			key := w.TargetGroup.Key()
			name := r.ServiceName(key)
			old := compared.Old[name]
			if w.Share == 0 || w.TargetGroup.Existing() || r.services.ServiceName(key) == "" && w.TargetGroup.TargetType != "lambda" {
				continue
			}
			all := shares[cmp.Or(old, name)]
			if old != "" {
				add(rule, pair{Canary: Canary{Service: name, With: old, Compute: true}, of: old}, 100*w.Share/all, w.Share == all)
			}
			if slices.Contains(compared.Monolith, name) || len(compared.Monolith) == 0 || old != "" && w.Share < all || r.testers(rule, listener.Rules[i+1:], name, compared.Monolith) {
				continue
			}
			add(rule, pair{Canary: Canary{Service: name, With: compared.Monolith[0]}, of: cmp.Or(old, name)}, 100*all, !shared)
		}
	}
	for i := range pairs {
		pairs[i].group, pairs[i].with = groups[pairs[i].Service], groups[pairs[i].With]
	}
	return pairs
}

// testers reports whether a rule is for the testers of a service: a later rule shares what fewer
// conditions take with the monolith.
func (r *Runner) testers(rule *rules.Rule, later []*rules.Rule, service string, monolith []string) bool {
	return slices.ContainsFunc(later, func(other *rules.Rule) bool {
		return r.forwards(other, []string{service}) && r.forwards(other, monolith) && len(other.Conditions) < len(rule.Conditions) && within(other, rule)
	})
}

// within reports whether a rule has all conditions of another one.
func within(other, rule *rules.Rule) bool {
	return !slices.ContainsFunc(other.Conditions, func(c model.Condition) bool {
		return !slices.ContainsFunc(rule.Conditions, func(own model.Condition) bool { return own.String() == c.String() })
	})
}

// forwards reports whether a rule has a target group of some services, with any weight.
func (r *Runner) forwards(rule *rules.Rule, services []string) bool {
	return slices.ContainsFunc(rule.Action.Forward, func(w model.Weighted) bool {
		return slices.Contains(services, r.ServiceName(w.TargetGroup.Key()))
	})
}

// forwardsOnly reports whether a rule has no other target groups.
func (r *Runner) forwardsOnly(rule *rules.Rule, services []string) bool {
	return !slices.ContainsFunc(rule.Action.Forward, func(w model.Weighted) bool {
		return !slices.Contains(services, r.ServiceName(w.TargetGroup.Key()))
	})
}
