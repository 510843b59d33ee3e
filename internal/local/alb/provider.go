package alb

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"cutover/internal/assembly"
	"cutover/internal/local/provider"
	"cutover/internal/model"
	"cutover/internal/rules"
	"cutover/internal/words"
)

// Provider is the provider of load balancers, listeners, rules and target groups.
type Provider struct {
	*Balancer
	ports    Ports
	standIns StandIns
	tell     func(provider.Event)

	configuring sync.Mutex // held while the balancer is configured
	running     atomic.Pointer[configuration]
	names       sync.Map // of target groups by key, also of groups that are gone: requests may still end
	doors       doors
}

// Ports are the ports of listeners on this machine.
type Ports struct {
	// Local are local ports, by the port in the template; 0 is any free port. The first assembly
	// must have these listeners. If several load balancers listen on one port, the first one by the
	// name of its stack has the local port, and each further one the next port. Defaults need no
	// privileges: 8080 for 80, 8443 for 443. Ports from 1024 on stay.
	Local map[int]int
	// Free gives all other listeners any free port.
	Free bool
}

func (p Ports) local(port int) int {
	if chosen, ok := p.Local[port]; ok || p.Free {
		return chosen
	}
	if port < 1024 {
		return 8000 + port
	}
	return port
}

// NewProvider returns a provider that configures a balancer. Tell is called when a listener takes
// no more connections, and when what stands for a target group is not healthy.
func NewProvider(balancer *Balancer, ports Ports, standIns StandIns, tell func(provider.Event)) *Provider {
	p := &Provider{Balancer: balancer, ports: ports, standIns: standIns, tell: tell}
	p.running.Store(configure(nil))
	return p
}

// Types implements [provider.Provider].
func (p *Provider) Types() []string {
	return []string{model.ELBLoadBalancer, model.ELBListener, model.ELBListenerRule, model.ELBTargetGroup}
}

// Stop implements [provider.Provider].
func (p *Provider) Stop(ctx context.Context) error {
	return errors.Join(p.Shutdown(ctx), p.doors.close())
}

// PassedOver implements [provider.Reporter].
func (p *plan) PassedOver() []provider.PassedOver {
	var all []provider.PassedOver
	for _, group := range p.table.TargetGroups {
		if group.PreservesClient {
			all = append(all, provider.PassedOver{
				Place: fmt.Sprintf("%v/Properties.TargetGroupAttributes (%s)", group.Resource, preserveClient), Subject: group.Name, Setting: preserveClient, Why: clientAddress,
			})
		}
	}
	return all
}

// configuration is a set of resources, and their table.
type configuration struct {
	// resources are each a *model.LoadBalancer, a *model.TargetGroup, a *model.Listener or a
	// *model.Rule. Stacks may add rules to each other's listeners.
	resources provider.Resources[any]
	table     *rules.Table
}

func configure(resources provider.Resources[any]) *configuration {
	var listeners []*model.Listener
	var own []*model.Rule
	var groups []*model.TargetGroup
	for _, key := range resources.Keys() {
		switch resource := resources[key].(type) {
		case *model.Listener:
			listeners = append(listeners, resource)
		case *model.Rule:
			own = append(own, resource)
		case *model.TargetGroup:
			groups = append(groups, resource)
		}
	}
	return &configuration{resources, rules.New(listeners, own, groups)}
}

// Plan implements [provider.Provider].
func (p *Provider) Plan(m *model.Model, _ provider.Text) provider.Plan {
	resources := provider.Resources[any]{}
	table, err := Read(m)
	if err == nil {
		err = p.options.refuse(table.TargetGroups)
	}
	if err == nil {
		add(resources, m.LoadBalancers, runs(m))
		add(resources, m.TargetGroups, (*model.TargetGroup).Runs)
		for _, g := range existing(m) {
			resources[g.Key()] = here(g, p.standIns.Targets[g.Name])
		}
		add(resources, m.Listeners, (*model.Listener).Runs)
		add(resources, m.Rules, func(*model.Rule) bool { return true })
	}
	return &plan{Provider: p, configuration: configure(resources), model: m, err: err}
}

func add[T interface{ Key() string }](resources provider.Resources[any], some []T, runs func(T) bool) {
	for _, resource := range some {
		if runs(resource) {
			resources[resource.Key()] = resource
		}
	}
}

// plan has the load balancers of an assembly.
type plan struct {
	*Provider
	*configuration
	model *model.Model
	err   error // of reading

	provider.Sockets // for listeners without one
}

// Check implements [provider.Plan]. It opens the sockets of listeners.
func (p *plan) Check() error {
	if p.err != nil {
		return p.err
	}
	if err := errors.Join(p.mistaken(), p.standing(), p.listen()); err != nil {
		return errors.Join(err, p.Close())
	}
	return nil
}

// mistaken refuses local ports of which none is for a listener of the first assembly, and warns of
// some. One command line may do for several assemblies, as for HTTP and HTTPS. Later assemblies may
// have lost the listeners.
func (p *plan) mistaken() error {
	if len(p.running.Load().resources) > 0 {
		return nil
	}
	var ports []string
	for _, listener := range p.table.Listeners {
		ports = append(ports, strconv.Itoa(listener.Port))
	}
	ports = slices.Compact(ports)
	var missing []error
	for _, port := range slices.Sorted(maps.Keys(p.ports.Local)) {
		if !slices.Contains(ports, strconv.Itoa(port)) {
			missing = append(missing, fmt.Errorf("no listener has the port %d that a local port is chosen for: %s", port, words.Choice(ports)))
		}
	}
	if len(missing) == len(p.ports.Local) {
		return errors.Join(missing...)
	}
	for _, err := range missing {
		p.tell(provider.Event{Kind: "stack", Subject: "local", State: provider.Warning, Message: err.Error()})
	}
	return nil
}

// listen opens sockets for listeners without one, and for those with another port or protocol.
func (p *plan) listen() error {
	p.Balancer.mu.Lock()
	defer p.Balancer.mu.Unlock()
	// The next port must not be one that another listener has or will have.
	taken, own := map[int]bool{}, map[int]bool{}
	for _, front := range p.fronts {
		taken[front.localPort] = true
	}
	for _, listener := range p.table.Listeners {
		own[p.ports.local(listener.Port)] = true
	}
	var errs []error
	for _, key := range p.resources.Keys() {
		listener, ok := p.resources[key].(*model.Listener)
		if front := p.fronts[key]; !ok || front != nil && front.port == listener.Port && front.scheme == strings.ToLower(listener.Protocol) {
			continue
		}
		port := p.ports.local(listener.Port)
		for first := port; port != 0 && (taken[port] || port != first && own[port]); {
			port++
		}
		taken[port] = true
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: port %d is not free: %w; choose another port with --port %d=PORT", key, port, err, listener.Port))
			continue
		}
		p.Put(key, ln)
	}
	return errors.Join(errs...)
}

// Update implements [provider.Plan]. It refuses a rule if another rule of the listener still has
// the same priority.
func (p *plan) Update(ctx context.Context, stack string) error {
	next := p.resources.Of(stack)
	err := p.reconfigure(func(now provider.Resources[any]) (provider.Resources[any], error) {
		return now.Updated(stack, next), conflicts(now, next)
	})
	if err != nil {
		return err
	}
	for key := range next {
		if socket := p.Take(key); socket != nil {
			if err := p.serve(key, socket); err != nil {
				return err
			}
		}
	}
	return p.register(ctx, next)
}

// Clean implements [provider.Plan].
func (p *plan) Clean(_ context.Context, stack string) error {
	return p.reconfigure(func(now provider.Resources[any]) (provider.Resources[any], error) {
		return now.Cleaned(stack, p.resources), nil
	})
}

// reconfigure gives the balancer other resources.
func (p *Provider) reconfigure(change func(now provider.Resources[any]) (provider.Resources[any], error)) error {
	// Otherwise another stack could put an older configuration after a newer one.
	p.configuring.Lock()
	defer p.configuring.Unlock()
	now := p.running.Load().resources
	resources, err := change(now)
	if err != nil || maps.Equal(resources, now) {
		return err
	}
	next := configure(resources)
	for _, group := range next.table.TargetGroups {
		p.names.Store(group.Key(), group.Name)
	}
	if err := p.Configure(next.table); err != nil {
		return err
	}
	p.running.Store(next)
	return nil
}

// conflicts refuses a rule if another rule of the listener has the same priority now. The other
// rule may be about to go or to change: CloudFormation deletes last, and updates in no fixed order.
func conflicts(now, next provider.Resources[any]) error {
	type place struct {
		listener string
		priority int
	}
	holders := map[place]string{}
	for key, resource := range now {
		if rule, ok := resource.(*model.Rule); ok {
			holders[place{rule.Listener.Key(), rule.Priority}] = key
		}
	}
	var errs []error
	for _, key := range next.Keys() {
		if rule, ok := next[key].(*model.Rule); ok {
			if holder := holders[place{rule.Listener.Key(), rule.Priority}]; holder != "" && holder != key {
				errs = append(errs, fmt.Errorf("%s: priority %d is in use by %s, which is deleted or given another priority only after this: give this rule a priority that is free",
					key, rule.Priority, holder))
			}
		}
	}
	return errors.Join(errs...)
}

// serve takes connections from a socket for as long as the listener is configured.
func (p *Provider) serve(listener string, socket net.Listener) error {
	front, err := p.open(listener, socket)
	if err != nil {
		return errors.Join(err, socket.Close())
	}
	go func() {
		if err := p.accept(front, socket); err != nil {
			p.tell(provider.Event{Kind: "stack", Subject: provider.StackOf(listener), State: "FAILED", Message: fmt.Sprintf("%s takes no more connections: %v", listener, err)})
		}
	}()
	return nil
}

// Attribute gives the ARN and names of a resource, and a load balancer's DNSName: localhost and the
// port of its first listener.
func (p *plan) Attribute(ref assembly.Ref) (any, error) {
	key, arn := ref.Resource.String(), func(path string) string { return provider.ARN("elasticloadbalancing", path) }
	var given map[string]string
	switch resource := p.resources[key].(type) {
	case *model.LoadBalancer:
		if ref.Attribute == "DNSName" {
			return p.address(resource)
		}
		if domain, ok := model.Domain(ref); ok {
			return p.door(resource, domain)
		}
		name := logName(resource.Name, key)
		if !resource.Application() {
			name = "net" + strings.TrimPrefix(name, "app")
		}
		given = map[string]string{"": arn("loadbalancer/" + name), "LoadBalancerArn": arn("loadbalancer/" + name), "LoadBalancerFullName": name, "LoadBalancerName": resource.Name}
	case *model.TargetGroup:
		name := groupName(resource.Name, key)
		given = map[string]string{"": arn(name), "TargetGroupArn": arn(name), "TargetGroupFullName": name, "TargetGroupName": resource.Name}
	}
	value, ok := given[ref.Attribute]
	if !ok {
		return nil, provider.NotGiven(ref)
	}
	return value, nil
}

// address is the address of a load balancer's first listener.
func (p *plan) address(balancer *model.LoadBalancer) (any, error) {
	for _, listener := range p.table.Listeners { // by port
		if listener.LoadBalancer != balancer {
			continue
		}
		port := p.localPort(listener.Key())
		if port == 0 {
			return nil, provider.ErrNotYet
		}
		return fmt.Sprintf("localhost:%d", port), nil
	}
	return "localhost", nil
}
