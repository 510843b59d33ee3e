package alb

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"cutover/internal/rules"
)

// Options say whom a balancer tells. All of them may be left out.
type Options struct {
	// AccessLog gets a line for every request in AWS's own format, each by one call of
	// Write. Default: no lines.
	AccessLog io.Writer
	// Events is called for every change in the state of a target, one change after the
	// other. The function may call the balancer. Default: nobody is told.
	Events func(Event)
	// Exchanges is called at the end of every request, by several goroutines at a time.
	// The client may or may not have read the whole answer by then. Default: nobody is
	// told.
	Exchanges func(Exchange)
}

// Balancer is the data plane of the load balancers of one assembly. Its methods
// may be called by several goroutines.
type Balancer struct {
	options     Options
	log         *accessLog
	events      *events
	certificate tls.Certificate
	seal        seal
	// probe and dial are set by tests.
	probe prober
	dial  dialer

	mu     sync.Mutex
	closed bool
	// listeners, groups and fronts are keyed by their resources.
	listeners map[string]*listener
	groups    map[string]*group
	fronts    map[string]*front
}

// New returns a balancer without listeners. The error says that no certificate can be
// made for HTTPS listeners.
func New(options Options) (*Balancer, error) {
	certificate, err := selfSigned()
	if err != nil {
		return nil, err
	}
	dial := (&net.Dialer{Timeout: connectTimeout}).DialContext
	b := &Balancer{
		options: options, events: &events{deliver: options.Events}, certificate: certificate, seal: newSeal(),
		dial: dial, probe: httpProber(dial),
		listeners: map[string]*listener{}, groups: map[string]*group{}, fronts: map[string]*front{},
	}
	if options.AccessLog != nil {
		b.log = &accessLog{w: options.AccessLog}
	}
	return b, nil
}

// ErrClosed is returned for a balancer that was shut down.
var ErrClosed = errors.New("the load balancer is shut down")

// Configure replaces listeners, rules and target groups:
//   - Requests that begin afterwards follow the new rules. Requests in flight end as they
//     began. When Configure returns, all requests in flight have their target. So a
//     target that the new rules do not use can be deregistered without a loss.
//   - A group that stays keeps its targets and their states. A group that is gone drains
//     its targets.
//   - A listener that is gone closes its socket when its requests are answered.
func (b *Balancer) Configure(table *rules.Table) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return ErrClosed
	}
	inUse := map[string]bool{}
	known := map[string]bool{}
	for _, g := range table.TargetGroups {
		known[g.Key()] = true
		if g.Health.Interval <= 0 || g.Health.Timeout <= 0 {
			return fmt.Errorf("target group %s: interval %v and timeout %v of its health check must be above 0", g.Key(), g.Health.Interval, g.Health.Timeout)
		}
	}
	for _, route := range table.Listeners {
		for _, rule := range route.Rules {
			for _, weighted := range rule.Action.Forward {
				key := weighted.TargetGroup.Key()
				if !known[key] {
					return fmt.Errorf("%v forwards to %s, for which there are no settings", rule.Resource, key)
				}
				inUse[key] = true
			}
		}
	}
	// Groups come into use before the rules that use them, and go out of use after the
	// rules that used them.
	for _, settings := range table.TargetGroups {
		key := settings.Key()
		g := b.groups[key]
		if g == nil {
			g = &group{key: key, events: b.events, probe: b.probe, dial: b.dial}
			b.groups[key] = g
			g.configure(*settings, inUse[key])
		}
		if inUse[key] {
			g.configure(*settings, true)
		}
	}
	listeners := map[string]*listener{}
	for _, route := range table.Listeners {
		listeners[route.Key()] = b.compile(route)
	}
	b.listeners = listeners
	for key, f := range b.fronts {
		if l := listeners[key]; l != nil && (l.scheme == "https") == f.secure {
			f.replace(l)
			continue
		}
		delete(b.fronts, key)
		f.retire()
	}
	for _, settings := range table.TargetGroups {
		if key := settings.Key(); !inUse[key] {
			b.groups[key].configure(*settings, false)
		}
	}
	for key, g := range b.groups {
		if !known[key] {
			delete(b.groups, key)
			g.close()
		}
	}
	return nil
}

// Serve takes the connections of a listener from a socket. An earlier socket of the
// listener is closed after the requests on its connections are answered. Serve returns
// the error of the socket, and nil in three cases: the listener is no longer
// configured, the listener has another socket, or the balancer is shut down.
func (b *Balancer) Serve(listener string, ln net.Listener) error {
	f, err := b.open(listener, ln)
	if err != nil {
		return err
	}
	return b.accept(f, ln)
}

// open makes a socket the one of a listener.
func (b *Balancer) open(listener string, ln net.Listener) (*front, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.listeners[listener]
	switch {
	case b.closed:
		return nil, ErrClosed
	case l == nil:
		return nil, fmt.Errorf("listener %s is not configured", listener)
	}
	if before := b.fronts[listener]; before != nil {
		before.retire()
	}
	f := newFront(b, l, ln)
	b.fronts[listener] = f
	return f, nil
}

// accept takes the connections of an open socket.
func (b *Balancer) accept(f *front, ln net.Listener) error {
	err := f.serve(ln)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fronts[f.key] == f {
		delete(b.fronts, f.key)
	}
	return err
}

// group returns the target group of a key.
func (b *Balancer) group(key string) *group {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.groups[key]
}

// Register adds a target to a group. The target gets requests when it has passed a
// health check. A second registration changes nothing. Register fails if there is no
// such group, if the address is no host and port, or if the id is registered with
// another address.
func (b *Balancer) Register(group string, target Target) error {
	if _, _, err := net.SplitHostPort(target.Address); err != nil || target.ID == "" {
		return fmt.Errorf("target %q with address %q cannot be registered: it needs an id and an address like 127.0.0.1:8080", target.ID, target.Address)
	}
	g := b.group(group)
	if g == nil {
		return fmt.Errorf("target %s cannot be registered: target group %s is not configured", target.ID, group)
	}
	return g.register(target)
}

// Deregister takes a target out of service. After Deregister returns, the target gets
// no request and no connection to the target is used again. The channel is closed when
// the target may be stopped: when the requests in flight are answered, or when the
// group's deregistration delay has passed and they were cut off. If the target is not
// registered, the channel is closed already.
func (b *Balancer) Deregister(group, id string) <-chan struct{} {
	if g := b.group(group); g != nil {
		if drained := g.deregister(id); drained != nil {
			return drained
		}
	}
	drained := make(chan struct{})
	close(drained)
	return drained
}

// Targets returns the targets of a group: first the registered targets in the order of
// their registration, then the draining targets. Nil if there is no such group.
func (b *Balancer) Targets(group string) []TargetHealth {
	if g := b.group(group); g != nil {
		return g.health()
	}
	return nil
}

// Shutdown closes all sockets, waits for the answers to requests in flight, and forgets
// all targets. If the context ends before, Shutdown cuts off what is left and returns
// the context's error.
func (b *Balancer) Shutdown(ctx context.Context) error {
	b.mu.Lock()
	b.closed = true
	fronts, groups := b.fronts, b.groups
	b.fronts, b.groups = map[string]*front{}, map[string]*group{}
	b.mu.Unlock()

	var wait sync.WaitGroup
	for _, f := range fronts {
		wait.Go(func() {
			if f.server.Shutdown(ctx) != nil {
				_ = f.server.Close()
			}
		})
	}
	wait.Wait()
	for _, g := range groups {
		g.close()
		g.cut()
	}
	return ctx.Err()
}

// report tells about an exchange that is over.
func (b *Balancer) report(x *Exchange) {
	if b.log != nil {
		b.log.write(x)
	}
	if b.options.Exchanges != nil {
		b.options.Exchanges(*x)
	}
}
