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
	// Percent is the part of its own traffic that the microservice gets.
	Percent float64 `json:"percent"`
	// Switched says that the microservice has its traffic to itself: the monolith's rule is gone.
	Switched bool `json:"switched"`
	// Rounds are the rounds since the last deployment, the latest at the end, at most
	// [canary.Periods].
	Rounds []canary.Round `json:"rounds"`
}

// Canaries compares the services that share their traffic with the monolith. If the monolith has no
// traffic any more, these are the services that took all of it. If the monolith has all traffic,
// the list is empty. Rounds from before the last deployment are left out.
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
// monolith.
func (r *Runner) canaries(listener *rules.Listener, monolith string) []pair {
	var pairs []pair
	group, left := "", 0.0
	for _, rule := range listener.Rules {
		shared := slices.ContainsFunc(rule.Action.Forward, func(w model.Weighted) bool {
			return r.ServiceName(w.TargetGroup.Key()) == monolith
		})
		for _, w := range rule.Action.Forward {
			key := w.TargetGroup.Key()
			switch name := r.ServiceName(key); {
			case name == monolith:
				group, left = key, left+w.Share
			case w.Share > 0 && r.services.ServiceName(key) != "":
				pairs = append(pairs, pair{Canary: Canary{Service: name, Percent: 100 * w.Share, Switched: !shared}, group: key})
			}
		}
	}
	if left > 0 { // the monolith's rule comes first, and the others get only what it shares
		pairs = slices.DeleteFunc(pairs, func(p pair) bool { return p.Switched })
	}
	for i := range pairs {
		pairs[i].monolith = group
	}
	return pairs
}
