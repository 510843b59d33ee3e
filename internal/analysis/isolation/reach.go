package isolation

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"cutover/internal/assembly"
	"cutover/internal/model"
)

// Reach lets a party connect to another one.
type Reach struct {
	// From and To are security groups, as in "tasks of users" or by their construct path in the stack, or
	// [Internet]. One that exists already is "the security group sg-0123456789abcdef0".
	From, To string
	// Ports are like "tcp 80–80", or "any".
	Ports string
}

func (r Reach) String() string { return fmt.Sprintf("%s → %s: %s", r.From, r.To, r.Ports) }

// Who connects from elsewhere than a security group: every address, those of a VPC and those of CloudFront. OfLink is the security group
// of API Gateway's VPC link.
const (
	Internet   = "the internet"
	Inside     = "the VPC"
	CloudFront = "CloudFront"
	OfLink     = "API Gateway's VPC link"
)

// existing begins the name of a security group that exists already. What it lets out is not known here, so it may reach whatever lets
// it in.
const existing = "the security group "

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
		if in.From == Internet || in.From == Inside || in.From == CloudFront || strings.HasPrefix(in.From, existing) {
			all = append(all, in)
		}
		for _, out := range egress {
			// What is open to the internet, or to the VPC, is open to a group that connects to anywhere.
			if out.From != in.From && in.From != Internet && in.From != Inside {
				continue
			}
			if out.To == in.To && out.Ports == in.Ports || out.To == Internet && out.Ports == "any" {
				all = append(all, Reach{out.From, in.To, in.Ports})
			}
		}
	}
	for _, out := range egress {
		if out.To == Internet || strings.HasPrefix(out.To, existing) {
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
		for _, group := range r.Network(s).Own {
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
	case rule.PeerID != "":
		return existing + rule.PeerID
	case rule.IPv4 == "0.0.0.0/0" && rule.Ingress && r.internal(rule.Group):
		return Inside
	case rule.IPv4 == "0.0.0.0/0":
		return Internet
	case rule.IPv4 != "" && slices.ContainsFunc(r.VPCs, func(v *model.VPC) bool { return v.Resource.Properties["CidrBlock"] == rule.IPv4 }):
		return Inside
	case rule.Prefixes != "" && len(r.Distributions) > 0: // their id is another one in each region
		return CloudFront
	case rule.IPv4 == "255.255.255.255/32": // how CDK writes a group that lets nothing out
		return "nobody"
	}
	r.refuse(rule.Resource, "who %s%s%s is, is not known here", rule.IPv4, rule.IPv6, rule.Prefixes)
	return ""
}

// internal says whether a security group is that of internal load balancers alone: all addresses are then those that reach the VPC.
func (r *reader) internal(group *assembly.Resource) bool {
	own := slices.DeleteFunc(slices.Clone(r.LoadBalancers), func(lb *model.LoadBalancer) bool { return !slices.Contains(r.BalancerNetwork(lb).Groups, group) })
	return len(own) > 0 && !slices.ContainsFunc(own, func(lb *model.LoadBalancer) bool { return !lb.Internal })
}

func ports(rule *model.SecurityGroupRule) string {
	if rule.Protocol == "-1" {
		return "any"
	}
	return fmt.Sprintf("%s %d–%d", rule.Protocol, rule.FromPort, rule.ToPort)
}

// ways says how requests get to what has a front before it.
func (r *reader) ways() {
	add := func(format string, args ...any) {
		if way := fmt.Sprintf(format, args...); !slices.Contains(r.isolation.Ways, way) {
			r.isolation.Ways = append(r.isolation.Ways, way)
		}
	}
	for _, d := range r.Distributions {
		for _, b := range d.Behaviors {
			switch o := b.Origin; {
			case o == nil:
			case o.Bucket != nil:
				add("Everybody reaches CloudFront (%s). It reads the page in the bucket of %s, and nobody else may.", d.Resource.Stack.Name, o.Bucket.Resource.Stack.Name)
			case o.API != nil:
				add("CloudFront (%s) asks API Gateway (%s) in the internet, by HTTPS.", d.Resource.Stack.Name, o.API.Resource.Stack.Name)
			case o.VPCOrigin != nil && o.LoadBalancer != nil:
				add("CloudFront (%s) asks the load balancer of %s by a VPC origin.", d.Resource.Stack.Name, o.LoadBalancer.Resource.Stack.Name)
			case o.LoadBalancer != nil:
				add("CloudFront (%s) asks the load balancer of %s in the internet.", d.Resource.Stack.Name, o.LoadBalancer.Resource.Stack.Name)
			}
		}
	}
	for _, api := range r.RestAPIs {
		for _, method := range api.Methods {
			if lb := method.Integration.Target; lb != nil {
				add("Everybody reaches API Gateway (%s). It asks the load balancer of %s by its VPC link.", api.Resource.Stack.Name, lb.Resource.Stack.Name)
			}
			if f := r.FunctionTarget(method.Integration.Function).Function; f != nil {
				add("API Gateway (%s) invokes the function %s without the load balancer.", api.Resource.Stack.Name, f.Name)
			}
		}
	}
	for _, lb := range r.Fronted() {
		doors := r.Doors(lb)
		for _, door := range doors {
			add("**The load balancer of %s also admits %s, past its front.** What the front asks for means nothing to them.", lb.Resource.Stack.Name, door.Who)
		}
		if header := r.Asks(lb); header != "" {
			add("The load balancer of %s answers nobody else: its rules ask for the header %s, whose value is a secret of CloudFront's.", lb.Resource.Stack.Name, header)
		} else if len(doors) == 0 {
			add("The load balancer of %s admits nobody else.", lb.Resource.Stack.Name)
		}
	}
}
