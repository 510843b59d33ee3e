package discovery

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"time"

	"cutover/internal/model"
)

// Kinds of names.
const (
	connectName = "Service Connect"
	addressName = "A"
	serviceName = "SRV"
)

// target is what a name leads to. Equal targets are the same name, also of another deployment.
type target struct {
	kind string
	// key is that of the namespace of Service Connect, or of the service of Cloud Map.
	key  string
	host string
	// port is 0 for SRV records.
	port int
}

func (t target) String() string {
	if t.port == 0 {
		return t.host
	}
	return net.JoinHostPort(t.host, strconv.Itoa(t.port))
}

// connectTargets are the names of Service Connect that a service has.
func connectTargets(s *model.Service) (all []target) {
	if s.Connect != nil {
		for _, e := range s.Connect.Endpoints {
			all = append(all, target{connectName, s.Connect.NamespaceKey, e.Host, e.Port})
		}
	}
	return all
}

// endpoint is the endpoint of a service that a target means; nil if there is none.
func endpoint(s *model.Service, t target) *model.ConnectEndpoint {
	for i, one := range connectTargets(s) {
		if one == t {
			return &s.Connect.Endpoints[i]
		}
	}
	return nil
}

// answered says whether DNS answers here for a service of Cloud Map: in a private namespace, with records of
// tasks.
func answered(s *model.DiscoveryService) bool {
	return s != nil && s.Namespace != nil && s.Namespace.Type == model.PrivateNamespace && (s.Record(addressName) != nil || s.Record(serviceName) != nil)
}

// mapTargets are the names of Cloud Map that resolve in a VPC, all of them for an empty one. The services that
// register tasks say which ports an address has.
func (p *plan) mapTargets(vpc string) (all []target) {
	for _, key := range p.services.Keys() {
		for _, r := range p.services[key].Registries {
			if !answered(r.Service) || vpc != "" && r.Service.Namespace.VPC != vpc {
				continue
			}
			if r.Service.Record(serviceName) != nil {
				all = append(all, target{serviceName, r.Service.Key(), r.Service.Host(), 0})
			}
			if r.Service.Record(addressName) == nil {
				continue
			}
			for _, port := range tcpPorts(p.services[key].TaskDefinition) {
				all = append(all, target{addressName, r.Service.Key(), r.Service.Host(), port})
			}
		}
	}
	slices.SortFunc(all, func(a, b target) int { return cmp.Or(cmp.Compare(a.host, b.host), cmp.Compare(a.port, b.port)) })
	return slices.Compact(all)
}

func tcpPorts(d *model.TaskDefinition) (ports []int) {
	if d != nil {
		for _, c := range d.Containers {
			for _, p := range c.Ports {
				if p.Protocol == "tcp" {
					ports = append(ports, p.Container)
				}
			}
		}
	}
	return ports
}

// instance is a task that is registered. The provider's lock guards what changes.
type instance struct {
	task    string
	service *model.Service
	address func(container string, port int) string
	// unhealthy is when ECS has said that the task is unhealthy; zero if it has not.
	unhealthy time.Time
	// gone is when the task was deregistered; zero if it is not.
	gone time.Time
}

// String names the task as the command line does: by the beginning of its id.
func (i *instance) String() string {
	return fmt.Sprintf("task %s of %s", i.task[:min(8, len(i.task))], i.service.Name)
}

// healthDelay is how long Cloud Map waits after an unhealthy status before it stops to return an instance: "Amazon
// Cloud Map waits for 30 seconds", and a healthy status that arrives meanwhile ends it.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-servicediscovery-service-healthcheckcustomconfig.html
const healthDelay = 30 * time.Second

// sick says that a service of Cloud Map takes the instance for unhealthy. Without a health check, all are healthy.
func (i *instance) sick(s *model.DiscoveryService, now time.Time) bool {
	return s.CustomHealth && !i.unhealthy.IsZero() && now.Sub(i.unhealthy) >= healthDelay
}

// at is where the instance answers for a target; empty if it does not.
func (i *instance) at(t target) string {
	switch t.kind {
	case connectName:
		if e := endpoint(i.service, t); e != nil {
			return i.address(e.Container, e.ContainerPort)
		}
	case serviceName:
		if r := registry(i.service, t.key); r != nil && r.Container != "" {
			return i.address(r.Container, r.Port)
		} else if r != nil {
			return i.atPort(r.Port)
		}
	case addressName:
		if registry(i.service, t.key) != nil {
			return i.atPort(t.port)
		}
	}
	return ""
}

// atPort is where the container answers that maps a port.
func (i *instance) atPort(port int) string {
	for _, c := range i.service.TaskDefinition.Containers {
		if c.Maps(port) {
			return i.address(c.Name, port)
		}
	}
	return ""
}

// ingress is the port of the task's network that a target connects to; 0 if the host picks the port.
func (i *instance) ingress(t target) int {
	port := t.port
	switch t.kind {
	case connectName:
		return endpoint(i.service, t).IngressPort
	case serviceName:
		port = registry(i.service, t.key).Port
	}
	if i.service.TaskDefinition.SharesNetwork() {
		return port
	}
	for _, c := range i.service.TaskDefinition.Containers {
		for _, p := range c.Ports {
			if p.Container == port {
				return p.Host
			}
		}
	}
	return 0
}

// targets are the instances that answer for a target, by task. The provider is locked.
func (p *Provider) targets(t target) (all []*instance) {
	for _, i := range p.instances {
		if i.at(t) != "" {
			all = append(all, i)
		}
	}
	slices.SortFunc(all, func(a, b *instance) int { return cmp.Compare(a.task, b.task) })
	return all
}

// mostRecords is how many records Route 53 returns at most: "Route 53 returns the applicable value for up to
// eight instances", or with WEIGHTED that of one.
// https://docs.aws.amazon.com/cloud-map/latest/dg/services-route53.html
const mostRecords = 8

// answer is what DNS answers for a name of Cloud Map, in random order: healthy instances, or all if none is
// healthy. The provider is locked.
func (p *Provider) answer(t target, s *model.DiscoveryService) []*instance {
	all := p.targets(t)
	now := time.Now()
	healthy := slices.DeleteFunc(slices.Clone(all), func(i *instance) bool { return i.sick(s, now) })
	if len(healthy) > 0 {
		all = healthy
	}
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	most := mostRecords
	if s.Weighted {
		most = 1
	}
	return all[:min(most, len(all))]
}

// Register implements [ecs.Discovery].
func (p *Provider) Register(task string, service *model.Service, healthy bool, address func(container string, port int) string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if service.Connect == nil && len(service.Registries) == 0 {
		return
	}
	i := &instance{task: task, service: service, address: address}
	if !healthy { // it has not been healthy: nothing waits for that
		i.unhealthy = time.Now().Add(-healthDelay)
	}
	p.instances[task] = i
}

// Health implements [ecs.Discovery].
func (p *Provider) Health(task string, healthy bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := p.instances[task]
	switch {
	case i == nil:
	case healthy:
		i.unhealthy = time.Time{}
	case i.unhealthy.IsZero():
		i.unhealthy = time.Now()
	}
}

// Deregister implements [ecs.Discovery].
func (p *Provider) Deregister(task string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := p.instances[task]; i != nil {
		i.gone = time.Now()
		delete(p.instances, task)
	}
}
