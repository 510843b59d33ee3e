package local

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"cutover/internal/assembly"
	"cutover/internal/local/alb"
	"cutover/internal/local/ecs"
	"cutover/internal/model"
	"cutover/internal/rules"
)

// desired is what of an assembly is run here.
type desired struct {
	assembly *assembly.Assembly
	parts    map[string]part // by stack
}

// part is what of one stack is run here. Other stacks may add rules to its
// listeners.
type part struct {
	services  []ecs.ServiceSpec
	balancers map[string]*model.LoadBalancer
	groups    []*model.TargetGroup
	listeners []*rules.Listener
	rules     []listenerRule
	names     map[string]string // SSM parameter to the resource that makes it
}

type listenerRule struct {
	listener string
	rule     *rules.Rule
}

// read takes out of an assembly what is run here. Its error has a line for
// everything that would run but cannot.
func read(a *assembly.Assembly) (*desired, error) {
	typed := model.Read(a)
	config, err := alb.Read(typed)
	services, serviceErr := ecs.Services(typed)
	if err := errors.Join(err, serviceErr); err != nil {
		return nil, err
	}
	m := &desired{assembly: a, parts: map[string]part{}}
	change := func(stack string, f func(*part)) {
		p := m.parts[stack]
		f(&p)
		m.parts[stack] = p
	}
	for key, balancer := range config.LoadBalancers {
		change(stackOf(key), func(p *part) {
			if p.balancers == nil {
				p.balancers = map[string]*model.LoadBalancer{}
			}
			p.balancers[key] = balancer
		})
	}
	for _, group := range config.Table.TargetGroups {
		change(group.Resource.Stack.Name, func(p *part) { p.groups = append(p.groups, group) })
	}
	for _, listener := range config.Table.Listeners {
		change(listener.Resource.Stack.Name, func(p *part) { p.listeners = append(p.listeners, listener) })
		for _, rule := range listener.Rules {
			if rule.Priority > 0 {
				change(rule.Resource.Stack.Name, func(p *part) {
					p.rules = append(p.rules, listenerRule{listener.Resource.String(), rule})
				})
			}
		}
	}
	for _, parameter := range typed.Parameters {
		if err := parameter.Problem("Name"); err != nil {
			return nil, err
		}
		if parameter.Name != "" {
			change(parameter.Resource.Stack.Name, func(p *part) {
				if p.names == nil {
					p.names = map[string]string{}
				}
				p.names[parameter.Name] = parameter.Key()
			})
		}
	}
	for _, service := range services {
		change(stackOf(service.Key), func(p *part) { p.services = append(p.services, service) })
	}
	return m, nil
}

func stackOf(key string) string {
	stack, _, _ := strings.Cut(key, "/")
	return stack
}

// join makes one configuration of what the stacks contribute.
func join(parts map[string]part) *alb.Config {
	config := &alb.Config{Table: &rules.Table{}, LoadBalancers: map[string]*model.LoadBalancer{}}
	byListener := map[string][]*rules.Rule{}
	for _, stack := range sortedKeys(parts) {
		p := parts[stack]
		for key, balancer := range p.balancers {
			config.LoadBalancers[key] = balancer
		}
		config.Table.TargetGroups = append(config.Table.TargetGroups, p.groups...)
		for _, rule := range p.rules {
			byListener[rule.listener] = append(byListener[rule.listener], rule.rule)
		}
	}
	for _, stack := range sortedKeys(parts) {
		for _, listener := range parts[stack].listeners {
			joined := *listener
			joined.Rules = byListener[listener.Resource.String()]
			slices.SortStableFunc(joined.Rules, func(a, b *rules.Rule) int { return a.Priority - b.Priority })
			joined.Rules = append(joined.Rules, listener.Rules[len(listener.Rules)-1]) // the default rule
			config.Table.Listeners = append(config.Table.Listeners, &joined)
		}
	}
	slices.SortStableFunc(config.Table.Listeners, func(a, b *rules.Listener) int { return a.Port - b.Port })
	return config
}

// with returns what a stack contributes while it is updated: what is new or
// changed holds already, what is gone still does. CloudFormation deletes last.
func (p part) with(old part) part {
	both := part{
		balancers: maps.Clone(p.balancers), names: p.names,
		services:  withGone(p.services, old.services, func(s ecs.ServiceSpec) string { return s.Key }),
		groups:    withGone(p.groups, old.groups, func(g *model.TargetGroup) string { return g.Key() }),
		listeners: withGone(p.listeners, old.listeners, func(l *rules.Listener) string { return l.Resource.String() }),
		rules:     withGone(p.rules, old.rules, func(r listenerRule) string { return r.rule.Resource.String() }),
	}
	for key, balancer := range old.balancers {
		if _, ok := both.balancers[key]; !ok {
			if both.balancers == nil {
				both.balancers = map[string]*model.LoadBalancer{}
			}
			both.balancers[key] = balancer
		}
	}
	return both
}

// withGone appends to what is there now what is there no more.
func withGone[T any](now, old []T, key func(T) string) []T {
	both := slices.Clone(now)
	for _, gone := range old {
		if !slices.ContainsFunc(now, func(other T) bool { return key(other) == key(gone) }) {
			both = append(both, gone)
		}
	}
	return both
}

// takes refuses rules whose priority another rule of the listener has at this
// moment, even if that one is about to be deleted or to get another: no two rules
// can have one priority, and CloudFormation deletes only after it has created, and
// updates in no order that could be relied on.
func (p part) takes(parts map[string]part) error {
	if len(p.rules) == 0 {
		return nil
	}
	type place struct {
		listener string
		priority int
	}
	holders := map[place]string{}
	for _, other := range parts {
		for _, r := range other.rules {
			holders[place{r.listener, r.rule.Priority}] = r.rule.Resource.String()
		}
	}
	var errs []error
	for _, r := range p.rules {
		if holder := holders[place{r.listener, r.rule.Priority}]; holder != "" && holder != r.rule.Resource.String() {
			errs = append(errs, fmt.Errorf("%s: priority %d is in use by %s, which is deleted or given another only after this: give this one a priority that is free",
				r.rule.Resource, r.rule.Priority, holder))
		}
	}
	return errors.Join(errs...)
}

// Deploy makes an assembly what runs, as CloudFormation would: stacks after those
// that they depend on, the others side by side; in each, what is new or changed
// before what is gone. Only what changed is touched. It returns when all services
// are steady; after an error the stacks that were reached stay as they are, and
// what is left can be deployed again.
func (r *Runner) Deploy(ctx context.Context, dir string) error {
	if !r.deploying.CompareAndSwap(false, true) {
		return errors.New("another assembly is being deployed: wait for it to end")
	}
	defer r.deploying.Store(false)
	a, err := r.snapshot(dir)
	if err != nil {
		return err
	}
	next, sockets, err := r.prepare(a)
	if err != nil {
		return errors.Join(err, os.RemoveAll(a.Dir))
	}
	defer func() {
		for _, socket := range sockets { // those that no stack got to
			socket.Close()
		}
	}()

	defer r.traffic.begin()
	r.mu.Lock()
	r.deployed = next
	r.mu.Unlock()
	if err := r.stacks(ctx, next, sockets); err != nil {
		return err
	}
	return r.removeStacks(ctx, next)
}

// prepare finds everything that is in the way of running an assembly, before
// anything changes.
func (r *Runner) prepare(a *assembly.Assembly) (*desired, map[string]socket, error) {
	next, err := read(a)
	if err != nil {
		return nil, nil, fmt.Errorf("the assembly cannot be run here:\n%w", err)
	}
	var errs []error
	for _, stack := range sortedKeys(next.parts) {
		for _, service := range next.parts[stack].services {
			for _, c := range service.TaskDefinition.Containers {
				if err := r.driver.Check(c); err != nil {
					errs = append(errs, fmt.Errorf("service %s (%s), container %q: %w", service.Name, service.Key, c.Name, err))
				}
			}
		}
	}
	if r.deployed == nil {
		errs = append(errs, r.options.mistaken(next))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, nil, err
	}
	sockets, err := r.listen(next)
	return next, sockets, err
}

// mistaken refuses options about what the first assembly does not have. Those
// that come after it may have lost it.
func (o Options) mistaken(m *desired) error {
	var errs []error
	var listeners []int
	var containers []string
	for _, p := range m.parts {
		for _, listener := range p.listeners {
			listeners = append(listeners, listener.Port)
		}
		for _, service := range p.services {
			for _, c := range service.TaskDefinition.Containers {
				containers = append(containers, c.Name)
			}
		}
	}
	slices.Sort(listeners)
	slices.Sort(containers)
	for _, port := range slices.Sorted(maps.Keys(o.Ports)) {
		if !slices.Contains(listeners, port) {
			errs = append(errs, fmt.Errorf("no listener has the port %d that a local port is chosen for: choose from %s", port, strings.Trim(fmt.Sprint(slices.Compact(listeners)), "[]")))
		}
	}
	for _, name := range o.Replaced {
		if !slices.Contains(containers, name) {
			errs = append(errs, fmt.Errorf("there is no container %q to run a command in place of: choose from %s", name, strings.Join(slices.Compact(containers), ", ")))
		}
	}
	return errors.Join(errs...)
}

// listen opens a socket for each listener that has none yet, or one for another
// port or protocol.
func (r *Runner) listen(next *desired) (map[string]socket, error) {
	sockets := map[string]socket{}
	var errs []error
	local := func(port int) int { // 0: any that is free
		chosen, ok := r.options.Ports[port]
		if !ok && !r.options.FreePorts {
			return LocalPort(port)
		}
		return chosen
	}
	// A port that another listener has, or is going to have, is no place to evade to.
	taken := map[int]bool{}
	for _, address := range r.served() {
		_, port, _ := net.SplitHostPort(address)
		n, _ := strconv.Atoi(port)
		taken[n] = true
	}
	own := map[int]bool{}
	for _, p := range next.parts {
		for _, listener := range p.listeners {
			own[local(listener.Port)] = true
		}
	}
	for _, stack := range sortedKeys(next.parts) {
		for _, listener := range next.parts[stack].listeners {
			key := listener.Resource.String()
			r.mu.Lock()
			open := r.listening[key]
			r.mu.Unlock()
			if open.port == listener.Port && open.protocol == listener.Protocol {
				continue
			}
			port := local(listener.Port)
			for first := port; port != 0 && (taken[port] || port != first && own[port]); {
				port++
			}
			taken[port] = true
			ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: port %d cannot be had for it: %w; choose another with --port %d=PORT", key, port, err, listener.Port))
				continue
			}
			sockets[key] = socket{ln, listener.Port, listener.Protocol}
		}
	}
	if len(errs) > 0 {
		for _, socket := range sockets {
			socket.Close()
		}
		return nil, errors.Join(errs...)
	}
	return sockets, nil
}

// stacks deploys every stack as soon as those that it depends on are.
func (r *Runner) stacks(ctx context.Context, next *desired, sockets map[string]socket) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := map[string]chan struct{}{}
	for _, stack := range next.assembly.Stacks {
		done[stack.Name] = make(chan struct{})
	}
	var (
		mu       sync.Mutex // of sockets and failed
		failed   []error
		deploys  sync.WaitGroup
		abandons = func(err error) {
			mu.Lock()
			defer mu.Unlock()
			if len(failed) == 0 || !errors.Is(err, context.Canceled) { // one that was cut off by the first has nothing of its own to say
				failed = append(failed, err)
			}
			cancel()
		}
	)
	for _, stack := range next.assembly.Stacks {
		deploys.Go(func() {
			for _, other := range stack.DependsOn {
				select {
				case <-done[other.Name]:
				case <-ctx.Done():
					return
				}
			}
			if ctx.Err() != nil {
				return
			}
			err := r.stack(ctx, stack.Name, next.parts[stack.Name], func(key string) socket {
				mu.Lock()
				defer mu.Unlock()
				taken := sockets[key]
				delete(sockets, key)
				return taken
			})
			if err != nil {
				r.tell(Event{Kind: "stack", Subject: stack.Name, State: "FAILED", Message: err.Error()})
				abandons(fmt.Errorf("%s: %w", stack.Name, err))
				return
			}
			close(done[stack.Name])
		})
	}
	deploys.Wait()
	if len(failed) > 0 {
		return errors.Join(failed...)
	}
	return ctx.Err()
}

// stack deploys one stack. If it fails, it becomes again what it was, as
// CloudFormation rolls a stack back.
func (r *Runner) stack(ctx context.Context, name string, next part, take func(listener string) socket) error {
	r.mu.Lock()
	old := r.parts[name]
	err := next.takes(r.parts)
	if !slices.Contains(r.order, name) {
		r.order = append(r.order, name)
	}
	r.mu.Unlock()
	if err != nil {
		return err
	}
	if err := r.claim(next.names); err != nil {
		return err
	}
	if err := r.configure(name, next.with(old)); err != nil {
		r.giveUp(name, old.names)
		return err
	}
	for _, listener := range next.listeners {
		if opened := take(listener.Resource.String()); opened.Listener != nil {
			r.serve(listener.Resource.String(), opened)
		}
	}
	apply := func(s ecs.ServiceSpec) error { return r.scheduler.Apply(ctx, s) }
	if err := each(next.services, apply); err != nil {
		if ctx.Err() != nil {
			return err // cut off: nothing is wrong with the stack, and it can be deployed again
		}
		err = errors.Join(err, each(old.services, apply), r.remove(ctx, next.services, old.services), r.configure(name, old))
		r.giveUp(name, old.names)
		return err
	}
	if err := r.remove(ctx, old.services, next.services); err != nil {
		return err
	}
	if err := r.configure(name, next); err != nil {
		return err
	}
	r.giveUp(name, next.names)
	r.tell(Event{Kind: "stack", Subject: name, State: "DEPLOYED"})
	return nil
}

// remove removes those services that are not among the ones to keep.
func (r *Runner) remove(ctx context.Context, services, keep []ecs.ServiceSpec) error {
	gone := slices.DeleteFunc(slices.Clone(services), func(s ecs.ServiceSpec) bool {
		return slices.ContainsFunc(keep, func(other ecs.ServiceSpec) bool { return other.Key == s.Key })
	})
	return each(gone, func(s ecs.ServiceSpec) error { return r.scheduler.Remove(ctx, s.Key) })
}

// each calls f for all services side by side.
func each(services []ecs.ServiceSpec, f func(ecs.ServiceSpec) error) error {
	errs := make([]error, len(services))
	var calls sync.WaitGroup
	for i, service := range services {
		calls.Go(func() {
			errs[i] = f(service)
		})
	}
	calls.Wait()
	return errors.Join(errs...)
}

// configure gives the load balancers what a stack contributes now.
func (r *Runner) configure(stack string, p part) error {
	// Together, or a stack beside this one could put an older configuration after a newer.
	r.configuring.Lock()
	defer r.configuring.Unlock()
	r.mu.Lock()
	parts := maps.Clone(r.parts)
	r.mu.Unlock()
	old := parts[stack]
	parts[stack] = p
	known := map[string]bool{}
	for _, group := range p.groups {
		known[group.Key()] = true
		r.groupNames.Store(group.Key(), group.Name)
	}
	// Most stacks are those of services, and contribute nothing.
	if p.balances() || old.balances() {
		if err := r.balancer.Configure(join(parts)); err != nil {
			return err
		}
	}
	for _, group := range old.groups {
		if !known[group.Key()] {
			r.groupNames.Delete(group.Key())
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.parts[stack] = p
	for _, service := range p.services {
		for _, at := range service.LoadBalancers {
			r.serving[at.TargetGroup] = service.Name
		}
	}
	return nil
}

// balances says whether the load balancers have something of the stack.
func (p part) balances() bool {
	return len(p.balancers)+len(p.groups)+len(p.listeners)+len(p.rules) > 0
}

// serve has a listener take connections from a socket for as long as it is
// configured.
func (r *Runner) serve(listener string, ln socket) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.listening[listener] = ln
	go func() {
		err := r.balancer.Serve(listener, ln.Listener)
		r.mu.Lock()
		if r.listening[listener] == ln {
			delete(r.listening, listener)
		}
		r.mu.Unlock()
		if err != nil {
			r.tell(Event{Kind: "stack", Subject: stackOf(listener), State: "FAILED", Message: fmt.Sprintf("%s takes no more connections: %v", listener, err)})
		}
	}()
}

// claim refuses SSM parameters whose names exist: a name has one holder, and one
// that the stack itself gives up is deleted only after the new ones are created.
func (r *Runner) claim(names map[string]string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	for _, name := range sortedKeys(names) {
		if holder := r.held[name]; holder != "" && holder != names[name] {
			errs = append(errs, fmt.Errorf("%s: the SSM parameter %s already exists, by %s", names[name], name, holder))
		}
	}
	if len(errs) == 0 {
		for name, resource := range names {
			r.held[name] = resource
		}
	}
	return errors.Join(errs...)
}

// giveUp gives up the names that a stack does not have any more.
func (r *Runner) giveUp(stack string, names map[string]string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, holder := range r.held {
		if stackOf(holder) == stack && names[name] == "" {
			delete(r.held, name)
		}
	}
}

// removeStacks removes what belongs to stacks that the assembly does not have any
// more, the last that came first. On AWS they would stay until somebody destroys
// them; here nobody could.
func (r *Runner) removeStacks(ctx context.Context, next *desired) error {
	r.mu.Lock()
	order := slices.Clone(r.order)
	r.mu.Unlock()
	for _, name := range slices.Backward(order) {
		if next.assembly.Stack(name) != nil {
			continue
		}
		r.mu.Lock()
		old := r.parts[name]
		r.mu.Unlock()
		if err := r.remove(ctx, old.services, nil); err != nil {
			return err
		}
		if err := r.configure(name, part{}); err != nil {
			return err
		}
		r.giveUp(name, nil)
		r.mu.Lock()
		delete(r.parts, name)
		r.order = slices.DeleteFunc(r.order, func(other string) bool { return other == name })
		r.mu.Unlock()
		r.tell(Event{Kind: "stack", Subject: name, State: "REMOVED"})
	}
	return nil
}
