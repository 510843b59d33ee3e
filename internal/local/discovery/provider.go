package discovery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"slices"
	"sync"
	"time"

	"cutover/internal/assembly"
	"cutover/internal/local/provider"
	"cutover/internal/model"
)

// Provider is the provider of namespaces and services of AWS Cloud Map, and of the names of Service Connect. It
// implements [ecs.Discovery].
type Provider struct {
	tell   func(provider.Event)
	listen func() (net.Listener, error) // where a name answers
	dial   func(ctx context.Context, address string) (net.Conn, error)
	start  func(*server) error // a DNS server

	mu sync.Mutex
	// latest is the plan of the deployment that began last. Names of Cloud Map and security groups are its.
	latest *plan
	// deployed are the services whose names of Service Connect exist.
	deployed  provider.Resources[*model.Service]
	instances map[string]*instance // by task
	callers   map[string]*caller   // by task
	servers   map[string]*server   // of DNS, by VPC
}

// New returns a provider without names. Tell is called with events, while the provider is locked; it must
// return at once.
func New(tell func(provider.Event)) *Provider {
	p := &Provider{
		tell:     tell,
		start:    (*server).start,
		listen:   func() (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") },
		deployed: provider.Resources[*model.Service]{}, instances: map[string]*instance{}, callers: map[string]*caller{}, servers: map[string]*server{},
		dial: func(ctx context.Context, address string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", address)
		},
	}
	p.latest = &plan{Provider: p}
	return p
}

// Types implements [provider.Provider]. Public namespaces are not here: their names are the internet's.
func (p *Provider) Types() []string {
	return []string{model.CloudMapHTTPNamespace, model.CloudMapPrivateNamespace, model.CloudMapService}
}

// Stop implements [provider.Provider]. The tasks have stopped before.
func (p *Provider) Stop(context.Context) error {
	p.mu.Lock()
	servers := p.servers
	p.servers = map[string]*server{}
	p.mu.Unlock()
	var errs []error
	for _, s := range servers {
		errs = append(errs, s.stop())
	}
	return errors.Join(errs...)
}

// plan has the names of an assembly.
type plan struct {
	*Provider
	model    *model.Model
	services provider.Resources[*model.Service]
	networks map[string]model.NetworkOf // by the keys of the services
}

// Plan implements [provider.Provider].
func (p *Provider) Plan(m *model.Model, _ provider.Text) provider.Plan {
	next := &plan{p, m, provider.Resources[*model.Service]{}, map[string]model.NetworkOf{}}
	for _, s := range m.Services {
		next.services[s.Key()], next.networks[s.Key()] = s, m.Network(s)
	}
	return next
}

// Update implements [provider.Plan]. The names of a stack exist from now on.
func (p *plan) Update(_ context.Context, stack string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.Provider.latest = p
	p.deployed = p.deployed.Updated(stack, p.services)
	return p.serve()
}

// Clean implements [provider.Plan].
func (p *plan) Clean(_ context.Context, stack string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deployed = p.deployed.Cleaned(stack, p.services)
	return nil
}

// Attribute gives the ids, ARNs and names of namespaces and services.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-servicediscovery-service.html
func (p *plan) Attribute(ref assembly.Ref) (any, error) {
	sum := fnv.New64a()
	sum.Write([]byte(ref.Resource.String()))
	id, kind, name := fmt.Sprintf("ns-%016x", sum.Sum64()), "namespace/", ""
	if s, ok := p.model.Value(ref.Resource).(*model.DiscoveryService); ok {
		id, kind, name = "srv"+id[2:], "service/", s.Name
	}
	switch {
	case ref.Attribute == "" || ref.Attribute == "Id":
		return id, nil
	case ref.Attribute == "Arn":
		return provider.ARN("servicediscovery", kind+id), nil
	case ref.Attribute == "Name" && name != "":
		return name, nil
	}
	return nil, provider.NotGiven(ref)
}

// registered are the services that register tasks with a service of Cloud Map, by its key.
func (p *plan) registered(key string) (all []*model.Service) {
	for _, k := range p.services.Keys() {
		if r := registry(p.services[k], key); r != nil {
			all = append(all, p.services[k])
		}
	}
	return all
}

// discovery is a service of Cloud Map with which a service registers tasks, by its key.
func (p *plan) discovery(key string) *model.DiscoveryService {
	return registry(p.registered(key)[0], key).Service
}

// registry is where a service registers tasks with a service of Cloud Map, by its key; nil if it does not.
func registry(s *model.Service, key string) *model.Registry {
	for i, r := range s.Registries {
		if r.Service != nil && r.Service.Key() == key {
			return &s.Registries[i]
		}
	}
	return nil
}

// Status is what `cutover status --json` shows.
type Status struct {
	Names []NameStatus `json:"names"`
	// Resolvers are the DNS servers of private namespaces.
	Resolvers []ResolverStatus `json:"resolvers,omitempty"`
}

// ResolverStatus is a DNS server on this machine. It takes UDP and TCP.
type ResolverStatus struct {
	Address    string   `json:"address"`
	Namespaces []string `json:"namespaces"`
}

// NameStatus is a name of a service.
type NameStatus struct {
	// Kind is "Service Connect", "A" or "SRV".
	Kind string `json:"kind"`
	// Namespace is the name of the namespace.
	Namespace string `json:"namespace"`
	Host      string `json:"host"`
	// Port is 0 if the name has the port in SRV records.
	Port int `json:"port,omitempty"`
	// Services are the names of the services that the name leads to. A name of Service Connect has one.
	Services  []string         `json:"services"`
	Endpoints []EndpointStatus `json:"endpoints"`
	Callers   []CallerStatus   `json:"callers,omitempty"`
}

// EndpointStatus is a task that a name leads to.
type EndpointStatus struct {
	Task    string `json:"task"`
	Address string `json:"address"`
	// Unhealthy says that DNS does not return the task, unless all are unhealthy. Service Connect never says so.
	Unhealthy bool `json:"unhealthy,omitempty"`
}

// CallerStatus is a task that may call a name.
type CallerStatus struct {
	Service string `json:"service"`
	Task    string `json:"task"`
	// Address is where the name answers the task on this machine.
	Address string `json:"address"`
	// Refused says which security group refuses the connections. Empty: none.
	Refused string `json:"refused,omitempty"`
	// Ejected are tasks that the proxy leaves out, and Repeated counts requests that it sent again.
	Ejected  []string `json:"ejected,omitempty"`
	Repeated int      `json:"repeated,omitempty"`
}

// Status implements [provider.Provider], with a [Status]; nil if there are no names.
func (p *Provider) Status() any {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := map[target]*NameStatus{}
	for _, key := range p.deployed.Keys() {
		for _, t := range connectTargets(p.deployed[key]) {
			all[t] = &NameStatus{Namespace: spaceName(p.deployed[key].Connect), Services: []string{p.deployed[key].Name}}
		}
	}
	for _, t := range p.latest.mapTargets("") {
		all[t] = &NameStatus{Namespace: p.latest.discovery(t.key).Namespace.Name}
		for _, s := range p.latest.registered(t.key) {
			all[t].Services = append(all[t].Services, s.Name)
		}
	}
	var result Status
	for t, s := range all {
		s.Kind, s.Host, s.Port, s.Endpoints = t.kind, t.host, t.port, []EndpointStatus{}
		for _, i := range p.targets(t) {
			sick := t.kind != connectName && i.sick(p.latest.discovery(t.key), time.Now())
			s.Endpoints = append(s.Endpoints, EndpointStatus{i.task, i.at(t), sick})
		}
		for _, c := range p.callers {
			if n := c.names[t]; n != nil {
				s.Callers = append(s.Callers, n.status())
			}
		}
		slices.SortFunc(s.Endpoints, func(a, b EndpointStatus) int { return cmp.Compare(a.Task, b.Task) })
		slices.SortFunc(s.Callers, func(a, b CallerStatus) int {
			return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Task, b.Task))
		})
		result.Names = append(result.Names, *s)
	}
	slices.SortFunc(result.Names, func(a, b NameStatus) int {
		return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.Port, b.Port), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Kind, b.Kind))
	})
	for _, s := range p.servers {
		result.Resolvers = append(result.Resolvers, ResolverStatus{s.address, s.namespaces()})
	}
	slices.SortFunc(result.Resolvers, func(a, b ResolverStatus) int { return cmp.Compare(a.Address, b.Address) })
	if result.Names == nil && result.Resolvers == nil {
		return nil
	}
	return result
}

func spaceName(c *model.ServiceConnect) string {
	if c.Namespace != nil {
		return c.Namespace.Name
	}
	return c.NamespaceKey
}
