package model

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"cutover/internal/assembly"
)

// ServiceConnect is how the tasks of a service find others by Service Connect, and are found.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-ecs-service-serviceconnectconfiguration.html
type ServiceConnect struct {
	// Namespace is nil if not in the assembly. NamespaceKey tells namespaces apart: a key, or a name.
	Namespace    *Namespace `json:"-"`
	NamespaceKey string
	// Endpoints are where other tasks of the namespace find the service. None: it only calls others.
	Endpoints []ConnectEndpoint
}

// ConnectEndpoint is a name and a port under which tasks of a namespace reach a port of a service.
type ConnectEndpoint struct {
	// DiscoveryName is unique in the namespace. Default: the name of the port.
	DiscoveryName string
	// Host and Port are what clients connect to. Defaults: "DiscoveryName.namespace" and the container's
	// port.
	Host string
	Port int
	// Container has the named port, ContainerPort.
	Container     string
	ContainerPort int
	// Protocol is that of the named port.
	Protocol string
	// IngressPort is where the proxy of a task takes connections. Default: the container's port; in bridge
	// mode 0, for a port that the host picks.
	IngressPort int
	// RequestTimeout ends a request. Default 15 s; 0 for TCP, and for no limit. IdleTimeout ends a silent
	// connection. Default 5 minutes, and an hour for TCP; 0 for no limit.
	// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-ecs-service-timeoutconfiguration.html
	RequestTimeout, IdleTimeout time.Duration
}

// NamedPort is a port of a container with a name for Service Connect.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_PortMapping.html
type NamedPort struct {
	Name string
	Port int
	// Protocol is http, http2, grpc, or tcp (the default).
	Protocol string
}

// Registry is where a service registers its tasks, so that DNS has their addresses.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ServiceRegistry.html
type Registry struct {
	// Service is nil if not in the assembly. ServiceID is its key or the template's text.
	Service   *DiscoveryService `json:"-"`
	ServiceID string
	// Container and Port are what SRV records lead to. Container is empty if only the port is named, and Port 0 if none
	// is.
	Container string
	Port      int
}

// Defaults of time-outs. The request's is from "AWS::ECS::Service TimeoutConfiguration" in no version that
// we know of; it is measured by https://github.com/aws/containers-roadmap/issues/1958.
const (
	requestSeconds = 15
	idleSeconds    = 5 * 60
	idleSecondsTCP = 60 * 60
)

// connect reads a configuration of Service Connect; nil if it is off.
func (m *Model) connect(s *Service, v assembly.Value) *ServiceConnect {
	on := v.Field("Enabled").Bool(false)
	c := &ServiceConnect{}
	space := v.Field("Namespace")
	if on && !space.Present() {
		if s.Cluster == nil {
			c.NamespaceKey = "the default of " + s.ClusterID
		} else if c.Namespace, c.NamespaceKey = s.Cluster.Namespace, s.Cluster.NamespaceID; c.NamespaceKey == "" {
			v.Refuse("AWS refuses Service Connect without a namespace: give the service one, or the cluster a default")
		}
	} else {
		c.Namespace, c.NamespaceKey = m.namespaceOf(s.Resource, space)
	}
	for _, service := range v.Field("Services").List() {
		c.Endpoints = append(c.Endpoints, m.connectEndpoint(s, c, service, on))
	}
	if !on {
		return nil
	}
	if d := s.TaskDefinition; d != nil && d.NetworkMode != "bridge" && d.NetworkMode != "awsvpc" {
		v.Refuse("AWS refuses Service Connect in network mode %s: only bridge and awsvpc have it", d.NetworkMode)
	}
	return c
}

// namespaceOf finds a namespace that is named by its name or ARN. Of several with one name, the stack of
// the resource has the right one.
func (m *Model) namespaceOf(r *assembly.Resource, v assembly.Value) (*Namespace, string) {
	if n := m.namespace(v, "Arn", "Id"); n != nil {
		return n, n.Key()
	}
	text := v.Keyed()
	named := slices.DeleteFunc(slices.Clone(m.Namespaces), func(n *Namespace) bool { return n.Name != text })
	own := slices.DeleteFunc(slices.Clone(named), func(n *Namespace) bool { return n.Resource.Stack != r.Stack })
	switch {
	case len(own) == 1:
		return own[0], own[0].Key()
	case len(named) == 1:
		return named[0], named[0].Key()
	case len(named) > 1:
		v.Refuse("%d namespaces of the assembly are called %q: name the namespace by its ARN", len(named), text)
	}
	return nil, text
}

func (m *Model) connectEndpoint(s *Service, c *ServiceConnect, v assembly.Value, on bool) ConnectEndpoint {
	port := v.Field("PortName").Need("the name of a port").Text("")
	e := ConnectEndpoint{DiscoveryName: v.Field("DiscoveryName").Text(port), Protocol: "tcp"}
	d := s.TaskDefinition
	if d != nil {
		container, named := d.named(port)
		if container == "" && on && port != "" {
			v.Field("PortName").Refuse("%v has no port mapping of the name %q", d.Resource, port)
		}
		e.Container, e.ContainerPort, e.Protocol = container, named.Port, cmp.Or(named.Protocol, "tcp")
		if d.NetworkMode == "awsvpc" {
			e.IngressPort = named.Port
		}
	}
	space := c.NamespaceKey
	if c.Namespace != nil {
		space = c.Namespace.Name
	}
	e.Host, e.Port = e.DiscoveryName+"."+space, e.ContainerPort
	aliases := v.Field("ClientAliases").List()
	if len(aliases) > 1 && on {
		v.Field("ClientAliases").Refuse("AWS refuses %d client aliases: a service of Service Connect can have one", len(aliases))
	}
	for _, alias := range aliases {
		e.Host, e.Port = alias.Field("DnsName").Text(e.Host), alias.Field("Port").Need("a port").Int(e.Port, 1, 65535)
	}
	e.Host = strings.ToLower(e.Host)
	e.IngressPort = v.Field("IngressPortOverride").Int(e.IngressPort, 0, 65535)
	timeout := v.Field("Timeout")
	request, idle := timeout.Field("PerRequestTimeoutSeconds"), timeout.Field("IdleTimeoutSeconds")
	if e.Protocol == "tcp" {
		if request.Present() && on && d != nil {
			request.Refuse("AWS refuses a time-out of requests for TCP: give the port mapping an AppProtocol")
		}
		e.IdleTimeout = idle.Seconds(idleSecondsTCP, 0, 2147483647)
		return e
	}
	e.RequestTimeout, e.IdleTimeout = request.Seconds(requestSeconds, 0, 2147483647), idle.Seconds(idleSeconds, 0, 2147483647)
	return e
}

// named is the port of a name, and the container that has it; empty if there is none.
func (d *TaskDefinition) named(name string) (container string, port NamedPort) {
	for _, c := range d.Containers {
		for _, p := range c.Named {
			if p.Name == name {
				return c.Name, p
			}
		}
	}
	return "", NamedPort{}
}

// registries reads where the tasks of a service are registered.
func (m *Model) registries(s *Service, v assembly.Value) (all []Registry) {
	list := v.List()
	if len(list) > 1 {
		v.Refuse("AWS refuses %d registries: a service can have one", len(list))
	}
	for _, one := range list {
		arn := one.Field("RegistryArn").Need("the ARN of a service of AWS Cloud Map")
		r := Registry{Service: elsewhere[DiscoveryService](m, arn, CloudMapService, "Arn"), ServiceID: arn.Keyed(), Container: one.Field("ContainerName").Text("")}
		port := one.Field("Port").Int(0, 1, 65535)
		r.Port = one.Field("ContainerPort").Int(port, 1, 65535)
		m.checkRegistry(s, r, port, one)
		all = append(all, r)
	}
	return all
}

// checkRegistry refuses what AWS refuses: "Use service discovery to connect Amazon ECS services with DNS
// names", https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-discovery.html.
func (m *Model) checkRegistry(s *Service, r Registry, port int, v assembly.Value) {
	d := s.TaskDefinition
	if d == nil {
		return
	}
	mapped := slices.ContainsFunc(d.Containers, func(c Container) bool { return c.Name == r.Container && c.Maps(r.Port) })
	own := d.NetworkMode == "awsvpc"
	switch {
	case d.NetworkMode == "none":
		v.Refuse("AWS registers no tasks without a network, as in network mode none")
	case r.Container != "" && port != 0:
		v.Refuse("AWS refuses a Port beside a ContainerName: name one of them")
	case r.Container != "" && !mapped:
		v.Refuse("%v has no container %q that maps port %d", d.Resource, r.Container, r.Port)
	case !own && r.Container == "":
		v.Refuse("AWS refuses a registry without ContainerName and ContainerPort in network mode %s", d.NetworkMode)
	case r.Service == nil:
	case !own && (r.Service.Record("A") != nil || r.Service.Record("AAAA") != nil):
		v.Refuse("AWS refuses A records of tasks in network mode %s: only SRV records have their ports", d.NetworkMode)
	case r.Service.Record("SRV") != nil && r.Port == 0:
		v.Refuse("AWS refuses SRV records without a port: give ContainerName and ContainerPort, or Port")
	}
}
