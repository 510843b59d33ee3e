package review

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"cutover/internal/model"
)

// names says how others find a service after a deployment. Is is nil if the service goes. Callees are
// deployed before callers, so a name that goes is missed by callers that run.
func (d *deployed) names(c *TaskChange, was, is *model.Service) {
	old, now := was.Names(), []model.ServiceName{}
	if is != nil {
		now = is.Names()
	}
	spaces := func(name model.ServiceName, others []model.ServiceName) string {
		if slices.ContainsFunc(others, func(other model.ServiceName) bool { return other.String() == name.String() }) {
			return name.String() + " in the namespace " + name.Namespace
		}
		return name.String()
	}
	for _, name := range old {
		if slices.Contains(now, name) {
			continue
		}
		text := "it is no longer found as " + spaces(name, now)
		if callers := d.missing(was, name); len(callers) > 0 {
			c.warn("%s. Until they are deployed, these still call it there: %s. Leave this way in Discovery, beside the new one, until a later deployment", text, strings.Join(callers, ", "))
		} else {
			c.does("%s. No task calls it there", text)
		}
	}
	for _, name := range now {
		if !slices.Contains(old, name) {
			c.does("it is found as %s", spaces(name, old))
		}
	}
	if is != nil {
		lookups(c, was, is)
	}
}

// missing are the callers that run and have a name which no service has after the deployment.
func (d *deployed) missing(to *model.Service, name model.ServiceName) (callers []string) {
	if slices.ContainsFunc(d.is.Services, func(s *model.Service) bool { return slices.Contains(s.Names(), name) }) {
		return nil
	}
	for _, call := range d.called {
		runs := call.From.Tasks() > 0 || call.From.Scheduling == model.Daemon
		if call.To == to && call.Name == name && runs && !slices.Contains(callers, call.From.Name) {
			callers = append(callers, call.From.Name)
		}
	}
	return callers
}

// lookups says how long callers wait, and how long they keep an address.
func lookups(c *TaskChange, was, is *model.Service) {
	if was.Connect != nil && is.Connect != nil {
		for _, one := range was.Connect.Endpoints {
			for _, other := range is.Connect.Endpoints {
				if one.Host != other.Host || one.Port != other.Port {
					continue
				}
				if one.RequestTimeout != other.RequestTimeout {
					c.does("a call of it may take %d s instead of %d s", seconds(other.RequestTimeout), seconds(one.RequestTimeout))
				}
				if one.IdleTimeout != other.IdleTimeout {
					c.does("a connection to it may be silent for %d s instead of %d s", seconds(other.IdleTimeout), seconds(one.IdleTimeout))
				}
			}
		}
	}
	for _, one := range was.Registries {
		for _, other := range is.Registries {
			if one.Service == nil || other.Service == nil || one.Service.Host() != other.Service.Host() {
				continue
			}
			for _, record := range one.Service.Records {
				if to := other.Service.Record(record.Type); to != nil && to.TTL != record.TTL {
					c.does("callers may keep an address of it for %d s instead of %d s", seconds(to.TTL), seconds(record.TTL))
				}
			}
		}
	}
}

// callees says whom a service calls after a deployment, and how.
func (d *deployed) callees(c *TaskChange, was, is *model.Service) {
	of := func(calls []model.Call, s *model.Service) map[string]string {
		all := map[string]string{}
		for _, call := range calls {
			if call.From == s {
				all[call.Variable] = leads(call)
			}
		}
		return all
	}
	old, now := of(d.called, was), of(d.calls, is)
	both := maps.Clone(old)
	maps.Copy(both, now)
	for _, variable := range slices.Sorted(maps.Keys(both)) {
		switch one, other := old[variable], now[variable]; {
		case one == other:
		case one == "":
			c.does("the variable %s leads %s", variable, other)
		case other == "":
			c.does("the variable %s leads to no service any more. It led %s", variable, one)
		default:
			c.does("the variable %s leads %s. Until new tasks run, it leads %s", variable, other, one)
		}
	}
	if outside(d.calls, is) && !outside(d.called, was) {
		c.does("its calls leave by a NAT gateway and come back by the public addresses of the load balancer, and cost by the GB. A name in Discovery is a shorter way")
	}
}

// leads says where the address of a call leads.
func leads(call model.Call) string {
	if call.Balancer != nil {
		return call.Way() + " " + call.Balancer.Resource.Stack.Name
	}
	return fmt.Sprintf("to %s %s, as %s", call.To.Name, call.Way(), call.Name)
}

// outside says whether a service calls others through a load balancer with public addresses.
func outside(calls []model.Call, s *model.Service) bool {
	return slices.ContainsFunc(calls, func(c model.Call) bool { return c.From == s && c.Balancer != nil && !c.Balancer.Internal })
}
