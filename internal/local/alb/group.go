package alb

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"time"

	"cutover/internal/model"
)

// group is a target group and its targets.
type group struct {
	key       string
	events    *events
	probe     prober // tests set their own
	functions Invoker

	mu sync.Mutex
	// config and inUse change under the balancer's mutex and under mu. Either is enough to read.
	config model.TargetGroup
	// inUse says whether a listener refers to the group. Only targets of such groups are checked.
	inUse bool
	// targets are the registered targets, in the order of their registration.
	targets []*target
	// draining are deregistered targets that have requests in flight.
	draining []*target
	// next is the next target of round robin.
	next int
}

// configure changes the settings. If settings of the checks change, the checks begin anew and
// targets keep their states.
func (g *group) configure(config model.TargetGroup, inUse bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	restart := g.inUse != inUse || g.config.MultiValueHeaders != config.MultiValueHeaders || !reflect.DeepEqual(g.config.Health, config.Health)
	if config.Protocol != g.config.Protocol {
		for _, t := range g.targets {
			t.pool.setTLS(encrypted(config.Protocol))
		}
	}
	g.config, g.inUse = config, inUse
	if restart {
		for _, t := range g.targets {
			g.check(t)
		}
	}
	g.setFunction()
}

// setFunction registers the Lambda function of the group, and deregisters another one. The mutex is held.
func (g *group) setFunction() {
	id := ""
	if g.config.TargetType == "lambda" && len(g.config.Targets) > 0 {
		id = g.config.Targets[0].ID
	}
	for _, t := range slices.Clone(g.targets) {
		if t.invocations != nil && t.ID != id {
			g.remove(t)
		}
	}
	if id != "" && find(g.targets, id) < 0 {
		t := g.add(id, "")
		t.invocations, t.endInvocations = context.WithCancel(context.Background())
		g.check(t)
	}
}

// check begins the health checks of a target. If the group is not in use or has no checks, check ends
// them. The mutex is held.
func (g *group) check(t *target) {
	t.stopChecks()
	if !g.inUse {
		t.passed, t.failed, t.slowSince = 0, 0, time.Time{}
		t.become(Unused, notInUse, "")
		return
	}
	if g.config.Health.Disabled {
		t.become(Unavailable, healthCheckDisabled, "")
		return
	}
	if t.State == Unused || t.State == Unavailable {
		t.become(Initial, initialHealthChecking, "")
	}
	var ctx context.Context
	ctx, t.stopChecks = context.WithCancel(context.Background())
	probe := g.probe
	if t.invocations != nil {
		probe = g.functionProbe(t.ID)
	}
	go g.checks(ctx, t, g.config.Health, probe)
}

// register adds a target. A second registration changes nothing.
func (g *group) register(id, address string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.config.TargetType == "lambda" {
		return fmt.Errorf("target %s cannot be registered: target group %s is of type lambda, and has the function that its template names", id, g.key)
	}
	if i := find(g.targets, id); i >= 0 {
		if old := g.targets[i].Address; old != address {
			return fmt.Errorf("target %s of %s is registered with address %s; deregister it before it is registered with %s", id, g.key, old, address)
		}
		return nil
	}
	g.check(g.add(id, address))
	return nil
}

// add adds a target without checks. The mutex is held.
func (g *group) add(id, address string) *target {
	t := &target{
		TargetStatus: TargetStatus{ID: id, Address: address, State: Unused, Reason: notRegistered, Since: time.Now()},
		group:        g, drained: make(chan struct{}), stopChecks: func() {}, pool: newPool(address, encrypted(g.config.Protocol)),
	}
	g.targets = append(g.targets, t)
	return t
}

// encrypted says whether connections to targets are.
func encrypted(protocol string) bool { return protocol == "HTTPS" || protocol == "TLS" }

// find returns the index of the target with an id; -1 if there is none.
func find(targets []*target, id string) int {
	return slices.IndexFunc(targets, func(t *target) bool { return t.ID == id })
}

// deregister drains a target. The channel is closed at the end of draining; nil if there is no such
// target.
func (g *group) deregister(id string) <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := find(g.targets, id); i >= 0 {
		t := g.targets[i]
		g.remove(t)
		return t.drained
	}
	if i := find(g.draining, id); i >= 0 {
		return g.draining[i].drained
	}
	return nil
}

// remove drains a registered target. The mutex is held.
func (g *group) remove(t *target) {
	i := slices.Index(g.targets, t)
	g.targets = slices.Delete(g.targets, i, i+1)
	g.draining = append(g.draining, t)
	t.drain()
}

// close drains all targets.
func (g *group) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	targets := g.targets
	g.targets, g.draining = nil, append(g.draining, targets...)
	for _, t := range targets {
		t.drain()
	}
}

// cut ends what is in flight on draining targets.
func (g *group) cut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, t := range g.draining {
		t.cut()
	}
}

func (g *group) status() []TargetStatus {
	g.mu.Lock()
	defer g.mu.Unlock()
	var all []TargetStatus
	for _, t := range slices.Concat(g.targets, g.draining) {
		all = append(all, t.TargetStatus)
	}
	return all
}

// pick returns the target for a request; nil if the group has no target. The request is in flight
// until the target is released. The target with the id sticky is preferred if it may get requests.
//
// Requests go to healthy targets. If the group has fewer healthy targets than it asks for (by
// default one), requests go to all registered targets: the load balancer fails open. A target is
// not healthy before its first check has passed.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-target-groups.html#target-group-health
func (g *group) pick(sticky string) *target {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.targets) == 0 {
		return nil
	}
	open := g.failsOpen()
	var found *target
	if sticky != "" {
		if i := find(g.targets, sticky); i >= 0 && (open || g.targets[i].State == Healthy) {
			found = g.targets[i]
		}
	}
	if found == nil {
		found = g.balance(open)
	}
	found.InFlight++
	return found
}

// failsOpen says whether unhealthy targets serve, too. The mutex is held.
func (g *group) failsOpen() bool {
	healthy := 0
	for _, t := range g.targets {
		if t.State == Healthy {
			healthy++
		}
	}
	return healthy < g.config.MinHealthy || healthy*100 < g.config.MinHealthyPercent*len(g.targets) || healthy == 0
}

// balance picks by the group's algorithm. The mutex is held, and at least one target may be picked.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-target-group-attributes.html#modify-routing-algorithm
func (g *group) balance(open bool) *target {
	var found *target
	n := len(g.targets)
	start := g.next
	for i := range n {
		at := (start + i) % n
		t := g.targets[at]
		if !open && t.State != Healthy {
			continue
		}
		least := g.config.Algorithm == model.LeastOutstanding
		if least && found != nil && t.InFlight >= found.InFlight {
			continue
		}
		found, g.next = t, at+1
		// A target in slow start often passes its turn on to the next target.
		if !least && (t.slowSince.IsZero() || open || t.warm() > rand.Float64()) {
			break
		}
	}
	return found
}

// warm is the part of its share, from 0 to 1, that a target in slow start has. At 1 slow start is
// over.
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
