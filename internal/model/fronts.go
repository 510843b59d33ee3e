package model

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"cutover/internal/assembly"
)

// Fronted are the load balancers to which API Gateway or CloudFront send requests.
func (m *Model) Fronted() (all []*LoadBalancer) {
	for _, lb := range m.LoadBalancers {
		if slices.ContainsFunc(m.APIMethods, func(a *APIMethod) bool { return a.Integration.Target == lb }) || m.Distributing(lb) != nil {
			all = append(all, lb)
		}
	}
	return all
}

// Distributing is the distribution that sends requests to a load balancer itself; nil if none does.
func (m *Model) Distributing(lb *LoadBalancer) *Distribution {
	for _, d := range m.Distributions {
		if slices.ContainsFunc(d.Origins, func(o *Origin) bool { return o.LoadBalancer == lb }) {
			return d
		}
	}
	return nil
}

// Adds says whether a condition asks for a header that each distribution before a load balancer adds to its requests, with a value that
// only CloudFormation knows, see [Dynamic].
func (m *Model) Adds(lb *LoadBalancer, c Condition) bool {
	if c.Field != HTTPHeader || len(c.Values) != 1 || !Dynamic(c.Values[0]) {
		return false
	}
	asked := false
	for _, d := range m.Distributions {
		for _, o := range d.Origins {
			if lb == nil || o.LoadBalancer != lb {
				continue
			}
			if asked = slices.ContainsFunc(o.Headers, func(h Variable) bool {
				return strings.EqualFold(h.Name, c.Header) && c.Values[0] == cmp.Or(h.Value, h.Parts.String())
			}); !asked {
				return false
			}
		}
	}
	return asked
}

// Asks is the header without which a load balancer lets no request pass, and which its front alone knows. It is empty if a request
// without it may come to a target.
func (m *Model) Asks(lb *LoadBalancer) (header string) {
	passes := func(r *Rule, property string) bool {
		if r.Problem(property, "Conditions") != nil {
			return true
		}
		for _, c := range r.Conditions {
			if m.Adds(lb, c) {
				header = c.Header
				return false
			}
		}
		return len(r.Action.Forward) > 0
	}
	for _, l := range m.Listeners {
		if l.LoadBalancer == lb && passes(l.Default, "DefaultActions") {
			return ""
		}
	}
	for _, r := range m.Rules {
		if (r.Listener == nil || r.Listener.LoadBalancer == lb) && passes(r, "Actions") {
			return ""
		}
	}
	return header
}

// Door is who reaches a load balancer past the fronts.
type Door struct {
	// By is the rule that admits others. It is nil if the security groups are not known.
	By *SecurityGroupRule
	// Who is in words, as in "anybody" or "10.0.0.0/16".
	Who string
}

// Doors are the ways to a load balancer past the fronts: what its security groups admit besides VPC links, CloudFront, and
// services that call through the load balancer. There are none if the rules ask for what the front alone knows, see [Model.Asks].
func (m *Model) Doors(lb *LoadBalancer) (doors []Door) {
	if m.Asks(lb) != "" {
		return nil
	}
	groups := m.BalancerNetwork(lb).Groups
	if groups == nil {
		return []Door{{Who: "whom its security groups admit, which are not known"}}
	}
	var ours []*assembly.Resource
	for _, link := range m.VPCLinks {
		ours = append(ours, link.Network.Groups...)
	}
	for _, s := range m.Services {
		ours = append(ours, m.Network(s).Own...)
	}
	for _, rule := range m.SecurityGroupRules {
		switch {
		case !rule.Ingress || !slices.Contains(groups, rule.Group), rule.Peer != nil && slices.Contains(ours, rule.Peer):
		case rule.Prefixes != "" && m.Distributing(lb) != nil: // the list of CloudFront's addresses has another id in each region
		case rule.Peer != nil:
			doors = append(doors, Door{rule, fmt.Sprint(rule.Peer)})
		case (rule.IPv4 == "0.0.0.0/0" || rule.IPv6 == "::/0") && lb.Internal:
			doors = append(doors, Door{rule, "anybody in the VPC"})
		case rule.IPv4 == "0.0.0.0/0" || rule.IPv6 == "::/0":
			doors = append(doors, Door{rule, "anybody"})
		default:
			doors = append(doors, Door{rule, cmp.Or(rule.IPv4, rule.IPv6, rule.Prefixes, "addresses that the deployment tells")})
		}
	}
	return doors
}

// named are the resources to which a value refers, as it is in the template of a resource: in its functions, too, which a
// template without a region leaves to the deployment.
func (m *Model) named(of *assembly.Resource, raw any) (all []*assembly.Resource) {
	switch v := raw.(type) {
	case []any:
		for _, one := range v {
			all = append(all, m.named(of, one)...)
		}
	case map[string]any:
		value, err := m.Assembly.Resolve(of.Stack, of.LogicalID, "Properties", v)
		if ref, ok := value.(assembly.Ref); err == nil && ok {
			return []*assembly.Resource{ref.Resource}
		}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			all = append(all, m.named(of, v[key])...)
		}
	case string: // of Fn::Sub
		for _, name := range substituted.FindAllStringSubmatch(v, -1) {
			if r := of.Stack.Resource(name[1]); r != nil {
				all = append(all, r)
			}
		}
	}
	return all
}

// substituted is a logical id in a text of Fn::Sub.
var substituted = regexp.MustCompile(`\$\{([A-Za-z0-9]+)(?:\.[A-Za-z0-9.]+)?\}`)
