package cost

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"cutover/internal/capacity"
	"cutover/internal/model"
)

// proxies are those of a service's tasks: what a task has beside its containers is for its proxy.
type proxies struct {
	service string
	count   int
	beside  capacity.Resources // in each task
	hour    float64            // the price of that on Fargate, of all tasks; 0 on instances
}

// addCalls notes a service whose tasks have Service Connect proxies, and one that may call others by the
// public addresses of a load balancer.
func (e *environment) addCalls(m *model.Model, service string, v *model.Service, on *model.Fargate) {
	d := v.TaskDefinition
	if d == nil {
		return
	}
	if v.Connect != nil && (on == nil || !on.Windows) {
		p := proxies{service: v.Name, count: v.Tasks(), beside: capacity.Resources{CPU: d.CPU, MemoryMiB: d.MemoryMiB}}
		for _, c := range d.Containers {
			p.beside.CPU -= c.CPUShares
			p.beside.MemoryMiB -= max(c.MemoryMiB, c.MemoryReservationMiB)
		}
		p.beside.CPU, p.beside.MemoryMiB = max(0, p.beside.CPU), max(0, p.beside.MemoryMiB)
		if on != nil {
			spot := float64(on.OnSpot(p.count))
			p.hour = rate(on, p.beside) * (float64(p.count) - spot + spot*spotPart())
		}
		e.proxies = append(e.proxies, p)
	}
	tables := slices.ContainsFunc(m.Uses(d), func(use model.StoreUse) bool { return use.Table != nil })
	direct := slices.ContainsFunc(m.Endpoints, func(endpoint *model.Endpoint) bool { return endpoint.Service == "dynamodb" })
	if tables && !direct && len(m.VPCs) > 0 && !v.PublicAddresses {
		e.readers = append(e.readers, v.Name)
	}
	var variables []string
	for _, c := range d.Containers {
		for _, variable := range c.Environment {
			if balancer := m.BalancerIn(variable.Parts); balancer != nil && !balancer.Internal {
				variables = append(variables, variable.Name)
			}
		}
	}
	if len(variables) > 0 && !v.PublicAddresses {
		e.callers = append(e.callers, fmt.Sprintf("%s (%s)", v.Name, strings.Join(variables, ", ")))
		e.traffic["publicTransfer"] = true
	}
}

// addCalls says what services pay for finding and calling each other.
func (s *sum) addCalls(e *environment) {
	for _, p := range e.proxies {
		if p.count == 0 || p.beside == (capacity.Resources{}) {
			continue
		}
		price := amount(prices.Hours, p.hour)
		if p.hour == 0 {
			price = Cents(math.Round(s.of(p.beside.Times(p.count)) * float64(s.instances)))
		}
		s.Calls = append(s.Calls, fmt.Sprintf("%s: US$ %v of its cost are for the Service Connect proxies, %d CPU units and %d MiB of each task", p.service, price, p.beside.CPU, p.beside.MemoryMiB))
	}
	for _, reader := range e.readers {
		s.Calls = append(s.Calls, fmt.Sprintf("%s: requests to its table pass a NAT gateway, at US$ %s for a GB; a gateway endpoint for DynamoDB in the VPC is free", reader, decimal(prices.Traffic["gatewayTraffic"].Price)))
	}
	for _, caller := range e.callers {
		s.Calls = append(s.Calls, fmt.Sprintf("%s: calls through the load balancer pass a NAT gateway and public addresses, at US$ %s for a GB of requests and answers and %s more in each direction",
			caller, decimal(prices.Traffic["gatewayTraffic"].Price), decimal(prices.Traffic["publicTransfer"].Price)))
	}
}
