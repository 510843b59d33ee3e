package alb

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"cutover/internal/model"
)

// group is a target group and its targets.
type group struct {
	key    string
	events *events
	probe  prober
	dial   dialer
	// stickiness is that of the settings, to be read without the mutex.
	stickiness atomic.Int64

	mu     sync.Mutex
	config model.TargetGroup
	// inUse says whether a listener refers to the group. Targets of other groups are not
	// checked.
	inUse bool
	// targets are the registered targets, in the order of their registration.
	targets []*target
	// draining are deregistered targets that have requests in flight.
	draining []*target
	// next is the next target of round robin.
	next int
}

// configure changes the settings. If settings of the checks change, the checks begin
// anew and targets keep their states.
func (g *group) configure(config model.TargetGroup, inUse bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	restart := g.inUse != inUse || !sameChecks(g.config.Health, config.Health)
	if config.Protocol != g.config.Protocol {
		for _, t := range g.targets {
			t.pool.setTLS(config.Protocol == "HTTPS")
		}
	}
	g.config, g.inUse = config, inUse
	g.stickiness.Store(int64(config.Stickiness))
	if restart {
		for _, t := range g.targets {
			g.check(t)
		}
	}
}

func sameChecks(x, y model.HealthCheck) bool {
	sameCodes := slices.Equal(x.Codes, y.Codes)
	x.Codes, y.Codes = nil, nil
	return sameCodes && fmt.Sprint(x) == fmt.Sprint(y)
}

// check begins the health checks of a target. If the group is not in use, check ends
// them. The mutex is held.
func (g *group) check(t *target) {
	if t.stopChecks != nil {
		t.stopChecks()
		t.stopChecks = nil
	}
	if !g.inUse {
		t.passed, t.failed, t.slowSince = 0, 0, time.Time{}
		t.become(Unused, notInUse, "")
		return
	}
	if t.state == Unused {
		t.become(Initial, initialHealthChecking, "")
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.stopChecks = cancel
	go g.checks(ctx, t, g.config.Health)
}

// register adds a target. A second registration changes nothing.
func (g *group) register(target_ Target) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := slices.IndexFunc(g.targets, func(t *target) bool { return t.ID == target_.ID }); i >= 0 {
		if old := g.targets[i].Address; old != target_.Address {
			return fmt.Errorf("target %s of %s is registered with address %s; deregister it before it is registered with %s", target_.ID, g.key, old, target_.Address)
		}
		return nil
	}
	t := &target{
		Target: target_, group: g, drained: make(chan struct{}), since: time.Now(), reason: notRegistered,
		pool: newPool(target_.Address, g.config.Protocol == "HTTPS", g.dial),
	}
	g.targets = append(g.targets, t)
	g.check(t)
	return nil
}

// deregister drains a target. The channel is closed at the end of draining; nil if there
// is no such target.
func (g *group) deregister(id string) <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := slices.IndexFunc(g.targets, func(t *target) bool { return t.ID == id }); i >= 0 {
		t := g.targets[i]
		g.targets = slices.Delete(g.targets, i, i+1)
		g.draining = append(g.draining, t)
		t.drain()
		return t.drained
	}
	for _, t := range g.draining {
		if t.ID == id {
			return t.drained
		}
	}
	return nil
}

// forget drops a target that has drained. The mutex is held.
func (g *group) forget(t *target) {
	if i := slices.Index(g.draining, t); i >= 0 {
		g.draining = slices.Delete(g.draining, i, i+1)
	}
}

// close drains all targets.
func (g *group) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	targets := g.targets
	g.targets = nil
	for _, t := range targets {
		g.draining = append(g.draining, t)
		t.drain()
	}
}

// cut ends what is in flight on draining targets.
func (g *group) cut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, t := range g.draining {
		t.pool.cut()
	}
}

func (g *group) health() []TargetHealth {
	g.mu.Lock()
	defer g.mu.Unlock()
	var all []TargetHealth
	for _, t := range slices.Concat(g.targets, g.draining) {
		all = append(all, t.health())
	}
	return all
}

// pick returns the target for a request; nil if the group has no target. The request is
// in flight until the target is released. The target with the id sticky is preferred if
// it may get requests.
//
// Requests go to healthy targets. If the group has fewer healthy targets than it asks
// for (by default one), requests go to all registered targets: the load balancer fails
// open. A target is not healthy before its first check has passed.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-target-groups.html#target-group-health
func (g *group) pick(sticky string) *target {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.targets) == 0 {
		return nil
	}
	healthy := 0
	for _, t := range g.targets {
		if t.state == Healthy {
			healthy++
		}
	}
	open := healthy < g.config.MinHealthy || healthy*100 < g.config.MinHealthyPercent*len(g.targets) || healthy == 0
	var found *target
	if sticky != "" {
		for _, t := range g.targets {
			if t.ID == sticky && (open || t.state == Healthy) {
				found = t
			}
		}
	}
	if found == nil {
		found = g.balance(open)
	}
	found.inFlight++
	return found
}

// balance picks by the group's algorithm. The mutex is held, and at least one
// target may be picked.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-target-group-attributes.html#modify-routing-algorithm
func (g *group) balance(open bool) *target {
	var found *target
	n := len(g.targets)
	start := g.next % n
	for i := range n {
		at := start + i
		if at >= n {
			at -= n
		}
		t := g.targets[at]
		switch {
		case !open && t.state != Healthy:
			continue
		case g.config.Algorithm == model.LeastOutstanding:
			if found == nil || t.inFlight < found.inFlight {
				found = t
				g.next = at + 1
			}
			continue
		}
		found = t
		g.next = at + 1
		// A target in slow start often passes its turn on to the next target.
		if t.slowSince.IsZero() || open || t.warm() > rand.Float64() {
			break
		}
	}
	return found
}

// warm is the part of its share, from 0 to 1, that a target in slow start has. At 1 slow
// start is over.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-target-group-attributes.html#slow-start-mode
func (t *target) warm() float64 {
	part := 1.0
	if duration := t.group.config.SlowStart; duration > 0 {
		part = float64(time.Since(t.slowSince)) / float64(duration)
	}
	if part >= 1 {
		t.slowSince = time.Time{}
	}
	return part
}
