package alb

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"cutover/internal/local/provider"
	"cutover/internal/rules"
)

// Options are what a balancer needs beside its table, and the receivers of what it tells. All of them
// are optional.
type Options struct {
	// Functions invokes Lambda functions. Nil: a target group with a function is refused.
	Functions Invoker
	// AccessLog gets a line for every request in AWS's own format, one line a call of Write.
	AccessLog io.Writer
	// Events is called for every change in the state of a target, one change after the other. The
	// function may call the balancer.
	Events func(Event)
	// Exchanges is called at the end of every request, by several goroutines at a time. The client
	// may or may not have read the whole answer by then.
	Exchanges func(Exchange)
}

// Balancer is the data plane of the load balancers of one assembly. Several goroutines may call its
// methods.
type Balancer struct {
	options     Options
	log         *accessLog
	events      *events
	certificate tls.Certificate
	seal        seal
	// clients counts the open connections from clients.
	clients atomic.Int64

	mu     sync.Mutex
	closed bool
	// listeners, groups and fronts have the keys of their resources.
	listeners map[string]*listener
	groups    map[string]*group
	fronts    map[string]*front
}

// New returns a balancer without listeners. The error says that the certificate of HTTPS listeners
// cannot be made.
func New(options Options) (*Balancer, error) {
	certificate, err := selfSigned()
	if err != nil {
		return nil, fmt.Errorf("certificate of the listeners: %w", err)
	}
	b := &Balancer{
		options: options, events: &events{deliver: options.Events}, certificate: certificate, seal: newSeal(),
		listeners: map[string]*listener{}, groups: map[string]*group{}, fronts: map[string]*front{},
	}
	if options.AccessLog != nil {
		b.log = &accessLog{w: options.AccessLog}
	}
	return b, nil
}

// ErrClosed is returned after a balancer was shut down.
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
	if err := b.options.refuse(table.TargetGroups); err != nil {
		return err
	}
	inUse := map[string]bool{} // has all groups
	for _, g := range table.TargetGroups {
		inUse[g.Key()] = g.Existing() // by others, whatever the table says
	}
	for _, route := range table.Listeners {
		for _, rule := range route.Rules {
			for _, weighted := range rule.Action.Forward {
				key := weighted.TargetGroup.Key()
				if _, known := inUse[key]; !known {
					return fmt.Errorf("%v forwards to %s, for which there are no settings", rule.Resource, key)
				}
				inUse[key] = true
			}
		}
	}
	// A group comes into use before its rules do. It goes out of use after its rules.
	for _, settings := range table.TargetGroups {
		key := settings.Key()
		g := b.groups[key]
		if g == nil {
			g = &group{key: key, events: b.events, probe: probe, functions: b.options.Functions}
			b.groups[key] = g
		}
		g.configure(*settings, inUse[key] || g.inUse)
	}
	b.listeners = map[string]*listener{}
	for _, route := range table.Listeners {
		b.listeners[route.Key()] = b.compile(route)
	}
	for key, f := range b.fronts {
		if l := b.listeners[key]; l != nil && l.scheme == f.scheme {
			f.replace(l)
			continue
		}
		delete(b.fronts, key)
		f.retire()
	}
	for _, settings := range table.TargetGroups {
		b.groups[settings.Key()].configure(*settings, inUse[settings.Key()])
	}
	for key, g := range b.groups {
		if _, known := inUse[key]; !known {
			delete(b.groups, key)
			g.close()
		}
	}
	return nil
}

// Serve takes the connections of a listener from a TCP socket. An earlier socket of the listener is
// closed after the requests on its connections are answered. Serve returns the error of the socket.
// It returns nil if the listener is no longer configured, if the listener has another socket, or if
// the balancer is shut down.
func (b *Balancer) Serve(listener string, ln net.Listener) error {
	f, err := b.open(listener, ln)
	if err != nil {
		return err
	}
	return b.accept(f, ln)
}

// open gives a listener a socket.
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
	if f.flows == nil {
		ln = accepting{ln, f}
	}
	err := f.server.Serve(ln)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fronts[f.key] == f {
		delete(b.fronts, f.key)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// group returns the target group of a key.
func (b *Balancer) group(key string) *group {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.groups[key]
}

// localPort is the port of a listener on this machine; 0 if the listener has no socket.
func (b *Balancer) localPort(listener string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	if f := b.fronts[listener]; f != nil {
		return f.localPort
	}
	return 0
}

// Register adds a target to a group, by its address "host:port". The id is unique in the group. The
// target gets requests after it has passed a health check. A second registration changes nothing.
// Register fails if there is no such group, if the group is for a Lambda function, which the table
// names, if the address is no host and port, or if the id is registered with another address.
func (b *Balancer) Register(group, id, address string) error {
	if _, _, err := net.SplitHostPort(address); err != nil || id == "" {
		return fmt.Errorf("target %q with address %q cannot be registered: it needs an id and an address like 127.0.0.1:8080", id, address)
	}
	g := b.group(group)
	if g == nil {
		return fmt.Errorf("target %s cannot be registered: target group %s is not configured", id, group)
	}
	return g.register(id, address)
}

// Deregister takes a target out of service. Afterwards the target gets no request, and no
// connection to it is used again. The channel is closed when the target may be stopped: when the
// requests in flight are answered, or when the deregistration delay has cut them off. If the target
// is not registered, the channel is closed already.
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

// Targets returns the targets of a group: first the registered targets in the order of their
// registration, then the draining targets. Nil if there is no such group.
func (b *Balancer) Targets(group string) []TargetStatus {
	if g := b.group(group); g != nil {
		return g.status()
	}
	return nil
}

// Shutdown closes all sockets, waits for the answers to requests in flight, and forgets all
// targets. If the context ends before, Shutdown cuts off what is left and returns the context's
// error.
func (b *Balancer) Shutdown(ctx context.Context) error {
	b.mu.Lock()
	b.closed = true
	fronts, groups := b.fronts, b.groups
	b.fronts, b.groups = map[string]*front{}, map[string]*group{}
	b.mu.Unlock()

	var servers []server
	for _, f := range fronts {
		servers = append(servers, f.server)
	}
	_ = provider.Shutdown(ctx, servers...)
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
