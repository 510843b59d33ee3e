package isolation

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"cutover/internal/model"
)

// Reach lets a party connect to another one.
type Reach struct {
	// From and To are security groups, as in "tasks of users" or by their construct path in the stack, or
	// [Internet].
	From, To string
	// Ports are like "tcp 80–80", or "any".
	Ports string
}

func (r Reach) String() string { return fmt.Sprintf("%s → %s: %s", r.From, r.To, r.Ports) }

// Internet is every address.
const Internet = "the internet"

// reaches joins the rules of the security groups: what a group lets out and another group lets in.
func (r *reader) reaches() {
	var ingress, egress []Reach // a rule, with its group where connections end or begin
	for _, rule := range r.SecurityGroupRules {
		if err := rule.Problem(); err != nil {
			r.errs = append(r.errs, err)
		}
		if rule.Group == nil {
			r.refuse(rule.Resource, "the assembly does not have its security group")
			continue
		}
		group, peer := r.group(rule.Group), r.peer(rule)
		if rule.Ingress {
			ingress = append(ingress, Reach{peer, group, ports(rule)})
		} else {
			egress = append(egress, Reach{group, peer, ports(rule)})
		}
	}
	var all []Reach
	for _, in := range ingress {
		if in.From == Internet {
			all = append(all, in)
		}
		for _, out := range egress {
			// What is open to the internet is open to a group that connects to anywhere.
			if out.From != in.From && in.From != Internet {
				continue
			}
			if out.To == in.To && out.Ports == in.Ports || out.To == Internet && out.Ports == "any" {
				all = append(all, Reach{out.From, in.To, in.Ports})
			}
		}
	}
	for _, out := range egress {
		if out.To == Internet {
			all = append(all, out)
		}
	}
	slices.SortFunc(all, func(a, b Reach) int {
		return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To), cmp.Compare(a.Ports, b.Ports))
	})
	r.isolation.Reaches = slices.Compact(all)
}

// Direct is who reaches the tasks of a service past the load balancers.
type Direct struct {
	Service string
	// From are services, whether they have something to call there or not.
	From []string
	// Ports are as in [Reach], each once.
	Ports []string
}

// directly says which services reach each one.
func (r *reader) directly() {
	groups := map[string][]string{} // names, by service
	for _, s := range r.Services {
		groups[s.Name] = nil
		for _, group := range r.Network(s).Groups {
			groups[s.Name] = append(groups[s.Name], r.group(group))
		}
	}
	names := slices.Sorted(maps.Keys(groups))
	for _, to := range names {
		d := Direct{Service: to}
		for _, from := range names {
			for _, reach := range r.isolation.Reaches {
				if from == to || !slices.Contains(groups[from], reach.From) || !slices.Contains(groups[to], reach.To) {
					continue
				}
				if !slices.Contains(d.From, from) {
					d.From = append(d.From, from)
				}
				if !slices.Contains(d.Ports, reach.Ports) {
					d.Ports = append(d.Ports, reach.Ports)
				}
			}
		}
		r.isolation.Directly = append(r.isolation.Directly, d)
	}
}

// between says whether services whose containers share security groups reach each other.
func (i *Isolation) between() bool {
	return slices.ContainsFunc(i.Directly, func(d Direct) bool {
		return slices.Contains(i.Shared, d.Service) && slices.ContainsFunc(d.From, func(from string) bool { return slices.Contains(i.Shared, from) })
	})
}

func (r *reader) peer(rule *model.SecurityGroupRule) string {
	switch {
	case rule.Peer != nil:
		return r.group(rule.Peer)
	case rule.IPv4 == "0.0.0.0/0":
		return Internet
	case rule.IPv4 == "255.255.255.255/32": // how CDK writes a group that lets nothing out
		return "nobody"
	}
	r.refuse(rule.Resource, "who %s%s is, is not known here", rule.IPv4, rule.IPv6)
	return ""
}

func ports(rule *model.SecurityGroupRule) string {
	if rule.Protocol == "-1" {
		return "any"
	}
	return fmt.Sprintf("%s %d–%d", rule.Protocol, rule.FromPort, rule.ToPort)
}
