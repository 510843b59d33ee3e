package config

import (
	"cmp"
	"fmt"
	"slices"

	"cutover/migration"
)

// Discovery is a way in which callers find a service: [LoadBalancer], [ServiceConnect] or [CloudMap].
type Discovery interface {
	// way is the name of the type.
	way() string
}

// LoadBalancer is the way through the load balancer of the service. Its rules decide who answers, so
// calls move with the traffic of clients. Tasks are in private subnets and the load balancer has public
// addresses: calls pass a NAT gateway, which has a price for each gigabyte.
type LoadBalancer struct{}

// ServiceConnect is the way through proxies that ECS puts beside the tasks of callers and of the
// service. A proxy chooses a task, leaves out one that fails again and again, and tries a failed request
// twice more, whatever its method.
// All of these tasks need network interfaces of their own (awsvpc).
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-connect-concepts-deploy.html
type ServiceConnect struct {
	// ProxyCPU and ProxyMemoryMiB are what the proxy of a task gets. AWS advises 512 units from 500
	// requests per second on. The proxy of a service that only calls others has the defaults. Default:
	// 256 units and 64 MiB.
	ProxyCPU, ProxyMemoryMiB int
	// RequestTimeoutSeconds is how long an answer may take. Default: 15.
	RequestTimeoutSeconds int
	// IdleTimeoutSeconds is how long a connection stays open without traffic. Default: 300.
	IdleTimeoutSeconds int
}

// CloudMap is a name of the service in the private DNS zone ENV.internal, which has healthy tasks only.
// Callers connect to tasks themselves. A task with a network interface of its own (awsvpc) has an A
// record. In bridge mode each task has a port of its own, so there is an SRV record, and the port of
// every container in bridge mode is open to all of them.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-discovery.html
type CloudMap struct {
	// TTLSeconds is how long callers may keep an answer, and so go on to ask a task that is gone.
	// Default: 10.
	TTLSeconds int
}

func (LoadBalancer) way() string   { return "LoadBalancer" }
func (ServiceConnect) way() string { return "ServiceConnect" }
func (CloudMap) way() string       { return "CloudMap" }

// Defaults of Service Connect, from the pages on its proxy and on time-outs.
const (
	proxyCPU       = 256
	proxyMemoryMiB = 64
	requestTimeout = 15
	idleTimeout    = 300
	defaultTTL     = 10
)

func (s Service) withDiscoveryDefaults() Service {
	s.Discovery = slices.Clone(s.Discovery)
	if len(s.Discovery) == 0 {
		s.Discovery = []Discovery{LoadBalancer{}}
	}
	for i, one := range s.Discovery {
		switch way := one.(type) {
		case ServiceConnect:
			way.ProxyCPU = cmp.Or(way.ProxyCPU, proxyCPU)
			way.ProxyMemoryMiB = cmp.Or(way.ProxyMemoryMiB, proxyMemoryMiB)
			way.RequestTimeoutSeconds = cmp.Or(way.RequestTimeoutSeconds, requestTimeout)
			way.IdleTimeoutSeconds = cmp.Or(way.IdleTimeoutSeconds, idleTimeout)
			s.Discovery[i] = way
		case CloudMap:
			way.TTLSeconds = cmp.Or(way.TTLSeconds, defaultTTL)
			s.Discovery[i] = way
		}
	}
	return s
}

// way returns how the service is found in one of the ways, if it is.
func way[D Discovery](s Service) (found D, ok bool) {
	for _, one := range s.Discovery {
		if found, ok = one.(D); ok {
			return found, true
		}
	}
	return found, false
}

// ServiceConnect returns how the service is found by Service Connect, if it is.
func (s Service) ServiceConnect() (ServiceConnect, bool) { return way[ServiceConnect](s) }

// CloudMap returns how the service is found by AWS Cloud Map, if it is.
func (s Service) CloudMap() (CloudMap, bool) { return way[CloudMap](s) }

// Named says whether callers find the service by a name of its own, beside the load balancer or not.
func (s Service) Named() bool {
	_, connected := s.ServiceConnect()
	_, mapped := s.CloudMap()
	return connected || mapped
}

// namedFirst says whether the variables of callers have a name of the service.
func (s Service) namedFirst() bool {
	_, balanced := s.Discovery[0].(LoadBalancer)
	return !balanced
}

// Proxy returns what the Service Connect proxy of a task gets, and whether there is one: the service is
// found by Service Connect, or calls one that is.
func (d Deployment) Proxy(s Service) (proxy ServiceConnect, has bool) {
	if own, ok := s.ServiceConnect(); ok {
		return own, true
	}
	for _, name := range s.Calls {
		if callee, known := d.service(name); known {
			if _, ok := callee.ServiceConnect(); ok {
				return ServiceConnect{ProxyCPU: proxyCPU, ProxyMemoryMiB: proxyMemoryMiB}, true
			}
		}
	}
	return ServiceConnect{}, false
}

// ProxiesOnInstances says whether tasks with a Service Connect proxy run on EC2.
func (d Deployment) ProxiesOnInstances() bool {
	return slices.ContainsFunc(d.All(), func(s Service) bool { _, has := d.Proxy(s); return has && s.on(migration.EC2) })
}

// Discovered says whether any service is found in one of the ways.
func Discovered[D Discovery](d Deployment) bool {
	return slices.ContainsFunc(d.All(), func(s Service) bool { _, ok := way[D](s); return ok })
}

// Zone is the private DNS zone of an environment.
func Zone(env string) string { return env + ".internal" }

// checkWays refuses ways in which callers cannot find the service.
func checkWays(s Service, refuseService func(string, ...any)) {
	refuse := func(format string, args ...any) {
		refuseService("service %q: Discovery: %s", s.Name, fmt.Sprintf(format, args...))
	}
	listed := map[string]bool{}
	inRange := func(field string, value, low, high int) {
		if value < low || value > high {
			refuse("%s %d: it must be from %d to %d", field, value, low, high)
		}
	}
	for i, one := range s.Discovery {
		switch way := one.(type) {
		case LoadBalancer:
		case ServiceConnect:
			inRange("ServiceConnect.ProxyCPU", way.ProxyCPU, 128, 10240)
			inRange("ServiceConnect.ProxyMemoryMiB", way.ProxyMemoryMiB, 64, 122880)
			inRange("ServiceConnect.RequestTimeoutSeconds", way.RequestTimeoutSeconds, 1, 2147483647)
			inRange("ServiceConnect.IdleTimeoutSeconds", way.IdleTimeoutSeconds, 1, 2147483647)
			if way.IdleTimeoutSeconds < way.RequestTimeoutSeconds {
				refuse("ServiceConnect.IdleTimeoutSeconds %d ends requests before RequestTimeoutSeconds, which is %d: raise it", way.IdleTimeoutSeconds, way.RequestTimeoutSeconds)
			}
			for _, pair := range s.Pairs() {
				if pair.inBridge() {
					refuse("ServiceConnect needs tasks with a network interface of their own, and %q is in bridge mode: its proxies would have to reach the containers of an instance, which are kept apart: choose Fargate, EC2 with NetworkMode awsvpc, or another way", pair.Name)
				}
			}
		case CloudMap:
			inRange("CloudMap.TTLSeconds", way.TTLSeconds, 1, 86400)
		default:
			refuse("number %d is no way to be found: write LoadBalancer{}, ServiceConnect{} or CloudMap{}, which are values and no pointers", i+1)
			continue
		}
		if listed[one.way()] {
			refuse("%s is listed twice: remove one", one.way())
		}
		listed[one.way()] = true
	}
}
