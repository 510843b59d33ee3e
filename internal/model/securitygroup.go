package model

import (
	"cmp"

	"cutover/internal/assembly"
)

func (m *Model) readSecurityGroups() {
	m.SecurityGroups = all(m, EC2SecurityGroup, func(g *SecurityGroup, p assembly.Value) {
		for _, v := range p.Field("SecurityGroupIngress").List() {
			m.SecurityGroupRules = append(m.SecurityGroupRules, inline(g, true, v))
		}
		for _, v := range p.Field("SecurityGroupEgress").List() {
			m.SecurityGroupRules = append(m.SecurityGroupRules, inline(g, false, v))
		}
	})
	for _, resourceType := range []string{EC2SecurityGroupIngress, EC2SecurityGroupEgress} {
		m.SecurityGroupRules = append(m.SecurityGroupRules, all(m, resourceType, func(r *SecurityGroupRule, p assembly.Value) {
			r.Ingress = resourceType == EC2SecurityGroupIngress
			r.Group = p.Field("GroupId").Elsewhere(EC2SecurityGroup, "GroupId")
			r.read(p)
		})...)
	}
}

// SecurityGroup is a security group. Its rules are [Model.SecurityGroupRules].
type SecurityGroup struct{ Base }

// SecurityGroupRule lets some connections into a group, or out of it.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-ec2-securitygroup-ingress.html
type SecurityGroupRule struct {
	// A rule inside its group has the group's resource. The group has the rule's problems.
	Base
	// Group is nil if the assembly does not have it.
	Group   *assembly.Resource
	Ingress bool
	// Peer is the security group at the other end; nil if none, or not in the assembly.
	Peer *assembly.Resource
	// PeerID is the id of the security group at the other end, if it exists already and is not in the assembly.
	PeerID string
	// IPv4 and IPv6 are ranges of addresses at the other end, like "0.0.0.0/0" or that of a VPC.
	IPv4, IPv6 string
	// Prefixes is the id of the list of addresses at the other end, as in pl-3b927c52; empty if none.
	Prefixes string
	// Protocol is like "tcp", or "-1" for any. The ports include both ends. Default: all.
	Protocol         string
	FromPort, ToPort int
}

func inline(g *SecurityGroup, ingress bool, v assembly.Value) *SecurityGroupRule {
	r := &SecurityGroupRule{Base: Base{Resource: g.Resource}, Group: g.Resource, Ingress: ingress}
	r.read(v)
	return r
}

func (r *SecurityGroupRule) read(v assembly.Value) {
	r.Peer = cmp.Or(v.Field("SourceSecurityGroupId").Elsewhere(EC2SecurityGroup, "GroupId"),
		v.Field("DestinationSecurityGroupId").Elsewhere(EC2SecurityGroup, "GroupId"))
	if r.Peer == nil {
		r.PeerID = cmp.Or(v.Field("SourceSecurityGroupId").Keyed(), v.Field("DestinationSecurityGroupId").Keyed())
	}
	if vpc := v.Field("CidrIp").Elsewhere(EC2VPC, "CidrBlock"); vpc != nil {
		r.IPv4, _ = vpc.Properties["CidrBlock"].(string)
	} else {
		r.IPv4 = v.Field("CidrIp").Text("")
	}
	r.IPv6 = v.Field("CidrIpv6").Text("")
	r.Prefixes = cmp.Or(v.Field("SourcePrefixListId").Keyed(), v.Field("DestinationPrefixListId").Keyed())
	r.Protocol = v.Field("IpProtocol").Text("-1")
	r.FromPort, r.ToPort = v.Field("FromPort").Int(0, -1, 65535), v.Field("ToPort").Int(65535, -1, 65535)
	if r.Protocol == "-1" {
		r.FromPort, r.ToPort = 0, 65535
	}
}
