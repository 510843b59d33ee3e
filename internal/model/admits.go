package model

import (
	"net/netip"
	"slices"

	"cutover/internal/assembly"
)

// NetworkOf is where the tasks of a service are.
type NetworkOf struct {
	// Groups are their security groups; nil if one is not known, or not in the assembly.
	Groups []*assembly.Resource
	// Own are those of the assembly, even if it does not have all. Existing are the ids of the others.
	Own      []*assembly.Resource
	Existing []string
	// Ranges are those of their subnets; nil if one is not known.
	Ranges []netip.Prefix
	// VPC is a key or the template's text; empty if not known.
	VPC string
}

// Network is where the tasks of a service are: in the subnets and groups of the service, or without
// interfaces of their own in those of the instances.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-networking.html
func (m *Model) Network(s *Service) NetworkOf {
	if s.TaskDefinition == nil || s.Resource == nil {
		return NetworkOf{}
	}
	if s.TaskDefinition.NetworkMode == "awsvpc" {
		own := assembly.NewReader(m.Assembly, s.Resource).Properties().Field("NetworkConfiguration").Field("AwsvpcConfiguration")
		return m.network(own.Field("SecurityGroups"), m.subnets(own.Field("Subnets")))
	}
	if len(m.AutoScalingGroups) != 1 || m.AutoScalingGroups[0].Launch == nil {
		return NetworkOf{} // which instances a cluster has is in their user data
	}
	group := m.AutoScalingGroups[0]
	data := assembly.NewReader(m.Assembly, group.Launch.Resource).Properties()
	groups := data.Field("SecurityGroups")
	if group.Launch.Template() {
		data = data.Field("LaunchTemplateData")
		groups = data.Field("SecurityGroupIds")
	}
	if interfaces := data.Field("NetworkInterfaces").List(); len(interfaces) > 0 {
		groups = interfaces[0].Field("Groups")
	}
	return m.network(groups, group.Subnets)
}

// BalancerNetwork is where a load balancer is: in its subnets and its security groups.
func (m *Model) BalancerNetwork(lb *LoadBalancer) NetworkOf {
	return m.network(assembly.NewReader(m.Assembly, lb.Resource).Properties().Field("SecurityGroups"), lb.Subnets)
}

func (m *Model) network(groups assembly.Value, subnets []*Subnet) NetworkOf {
	var n NetworkOf
	for _, v := range groups.List() {
		if group := v.Elsewhere(EC2SecurityGroup, "GroupId"); group != nil {
			n.Own = append(n.Own, group)
		} else {
			n.Existing = append(n.Existing, v.Keyed())
		}
	}
	if len(n.Existing) == 0 {
		n.Groups = n.Own
	}
	for _, subnet := range subnets {
		if subnet == nil {
			return NetworkOf{Groups: n.Groups, Own: n.Own, Existing: n.Existing}
		}
		n.VPC = assembly.NewReader(m.Assembly, subnet.Resource).Properties().Field("VpcId").Keyed()
		text, _ := subnet.Resource.Properties["CidrBlock"].(string)
		if within, err := netip.ParsePrefix(text); err == nil {
			n.Ranges = append(n.Ranges, within)
		}
	}
	if len(n.Ranges) != len(subnets) {
		n.Ranges = nil
	}
	return n
}

// The ports that Linux gives containers in bridge mode: "the default ephemeral port range from 49153 to
// 65535", or that of the kernel.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_PortMapping.html
const firstEphemeral, lastEphemeral = 32768, 60999

// Refusal says why a connection between two networks gets to no TCP port, by the security groups: as what
// the group does, "does not let it out" or "does not admit it". It is empty if the groups let it pass. What is not
// known lets everything pass. Port 0 is one that the host picks.
func (m *Model) Refusal(from, to NetworkOf, port int) string {
	first, last := port, port
	if port == 0 {
		first, last = firstEphemeral, lastEphemeral
	}
	if from.Groups != nil && !m.passes(from.Groups, false, to, first, last) {
		return "does not let it out"
	}
	if to.Groups != nil && !m.passes(to.Groups, true, from, first, last) {
		return "does not admit it"
	}
	return ""
}

// passes says whether a rule of some groups lets connections with the other end pass.
func (m *Model) passes(groups []*assembly.Resource, ingress bool, other NetworkOf, first, last int) bool {
	if !ingress && slices.ContainsFunc(groups, func(g *assembly.Resource) bool { return g.Properties["SecurityGroupEgress"] == nil }) {
		return true // a group without rules of its own has the one that lets all out
	}
	return slices.ContainsFunc(m.SecurityGroupRules, func(r *SecurityGroupRule) bool {
		return r.Ingress == ingress && slices.Contains(groups, r.Group) && (r.Protocol == "tcp" || r.Protocol == "6" || r.Protocol == "-1") &&
			r.FromPort <= first && last <= r.ToPort && r.is(other)
	})
}

// is says whether the other end of a rule may be a network.
func (r *SecurityGroupRule) is(n NetworkOf) bool {
	switch within, err := netip.ParsePrefix(r.IPv4); {
	case r.Peer != nil:
		return n.Groups == nil || slices.Contains(n.Groups, r.Peer)
	case r.IPv4 != "" && err == nil && n.Ranges != nil:
		return slices.ContainsFunc(n.Ranges, within.Overlaps)
	case r.IPv4 != "" && err == nil:
		return within.Bits() < 32 // a subnet is larger than one address
	}
	return r.IPv6 == "" // another peer that is not known, as a list of prefixes
}
