package discovery

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"cutover/internal/local/ecs"
	"cutover/internal/local/provider"
	"cutover/internal/model"
)

// Known implements [ecs.Discovery].
func (p *Provider) Known(service *model.Service) (known []string) {
	if service.Connect == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, key := range p.deployed.Keys() {
		for _, t := range connectTargets(p.deployed[key]) {
			if t.key == service.Connect.NamespaceKey {
				known = append(known, t.String())
			}
		}
	}
	return known
}

// caller is a task that calls others.
type caller struct {
	provider      *Provider
	task          string
	service, name string // the key of the service, and its name
	names         map[target]*name
	ctx           context.Context
	stop          context.CancelFunc
	serving       sync.WaitGroup
}

// name is a name as one task sees it.
type name struct {
	target
	caller   *caller
	endpoint *model.ConnectEndpoint  // of Service Connect
	service  *model.DiscoveryService // of Cloud Map
	listener net.Listener

	// The provider's lock guards what follows.
	hosts    map[string]*host // of Service Connect, by task
	turn     int              // of the tasks, one after the other
	repeated int              // requests
	cached   []*instance      // the answer of DNS
	expires  time.Time
	told     map[string]bool // what an event has said
}

// Open implements [ecs.Discovery].
func (p *Provider) Open(of ecs.Caller) ([]ecs.Name, string, error) {
	c := &caller{provider: p, task: of.Task, service: of.Service.Key(), name: of.Name, names: map[target]*name{}}
	c.ctx, c.stop = context.WithCancel(context.Background())
	p.mu.Lock()
	vpc := p.latest.networks[c.service].VPC
	var names []*name
	if of.Service.Connect != nil {
		for _, key := range p.deployed.Keys() {
			for _, t := range connectTargets(p.deployed[key]) {
				if t.key == of.Service.Connect.NamespaceKey && slices.Contains(of.Known, t.String()) {
					names = append(names, &name{target: t, endpoint: endpoint(p.deployed[key], t)})
				}
			}
		}
	}
	slices.SortFunc(names, func(a, b *name) int { return cmp.Or(cmp.Compare(a.host, b.host), cmp.Compare(a.port, b.port)) })
	for _, t := range p.latest.mapTargets(vpc) {
		names = append(names, &name{target: t, service: p.latest.discovery(t.key)})
	}
	dns := p.resolver(vpc)
	p.mu.Unlock()
	var all []ecs.Name
	for _, n := range names {
		taken := slices.ContainsFunc(all, func(other ecs.Name) bool { return other.Host == n.host && other.Port == n.port })
		if taken { // the file of hosts goes before DNS, and of two namespaces with one name the first
			continue
		}
		listener, err := p.listen()
		if err != nil {
			c.close()
			return nil, "", fmt.Errorf("the name %v cannot answer here: %w", n, err)
		}
		n.caller, n.listener, n.hosts, n.told = c, listener, map[string]*host{}, map[string]bool{}
		c.names[n.target] = n
		all = append(all, ecs.Name{Host: n.host, Port: n.port, Address: listener.Addr().String(), ServiceConnect: n.kind == connectName})
	}
	for _, n := range c.names {
		c.serving.Go(n.serve)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.callers[c.task] = c
	return all, dns, nil
}

// Close implements [ecs.Discovery].
func (p *Provider) Close(task string) {
	p.mu.Lock()
	c := p.callers[task]
	delete(p.callers, task)
	p.mu.Unlock()
	if c != nil {
		c.close()
	}
}

func (c *caller) close() {
	c.stop()
	for _, n := range c.names {
		n.listener.Close()
	}
	c.serving.Wait()
	c.provider.mu.Lock()
	defer c.provider.mu.Unlock()
	for _, n := range c.names {
		for _, h := range n.hosts {
			h.stop()
		}
	}
}

// serve answers until the task is closed.
func (n *name) serve() {
	gate := &gate{n.listener, n}
	if n.endpoint != nil && n.endpoint.Protocol != "tcp" {
		n.serveRequests(gate)
	} else {
		n.serveConnections(gate)
	}
}

// gate lets those connections in that the security groups let pass.
type gate struct {
	net.Listener
	name *name
}

func (g *gate) Accept() (net.Conn, error) {
	for {
		conn, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		refused := g.name.refused()
		if refused == "" {
			return conn, nil
		}
		g.name.say("refused "+refused, provider.Warning, fmt.Sprintf("it calls %v, and %s: the connection is refused", g.name, refused))
		reset(conn)
	}
}

// reset closes a connection so that the other end notices at once.
func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	conn.Close()
}

// say tells what happened to the name, the same once.
func (n *name) say(what, state, message string) {
	n.caller.provider.mu.Lock()
	defer n.caller.provider.mu.Unlock()
	if !n.told[what] {
		n.told[what] = true
		n.event(state, message)
	}
}

// event tells what happened to the name. The provider is locked.
func (n *name) event(state, message string) {
	n.caller.provider.tell(provider.Event{Time: time.Now(), Kind: "discovery", Subject: n.caller.name, Task: n.caller.task, State: state, Message: message})
}

// refused says why security groups refuse the connections of the task to the name; empty if they let them pass.
func (n *name) refused() string {
	p := n.caller.provider
	p.mu.Lock()
	defer p.mu.Unlock()
	return n.refusal()
}

// refusal is refused, with the provider locked. The groups are those of the latest deployment, and
// concern tasks that run, too.
func (n *name) refusal() string {
	latest := n.caller.provider.latest
	from, ok := latest.networks[n.caller.service]
	if !ok {
		return ""
	}
	why := ""
	for _, i := range n.caller.provider.targets(n.target) {
		to, ok := latest.networks[i.service.Key()]
		refusal := ""
		if ok {
			refusal = latest.model.Refusal(from, to, i.ingress(n.target))
		}
		switch refusal {
		case "":
			return ""
		case "does not let it out":
			why = "the security group of " + n.caller.name + " does not let it out"
		default:
			why = "the security group of " + i.service.Name + " does not admit it"
		}
	}
	return why
}

func (n *name) status() CallerStatus {
	s := CallerStatus{Service: n.caller.name, Task: n.caller.task, Address: n.listener.Addr().String(), Refused: n.refusal(), Repeated: n.repeated}
	for task, h := range n.hosts {
		if h.ejected() {
			s.Ejected = append(s.Ejected, task)
		}
	}
	slices.Sort(s.Ejected)
	return s
}
