package model

import (
	"fmt"
	"regexp"
	"strings"

	"cutover/internal/assembly"
)

func (m *Model) readNetwork() {
	m.VPCs = all(m, EC2VPC, func(*VPC, assembly.Value) {})
	m.Subnets = all(m, EC2Subnet, func(s *Subnet, _ assembly.Value) { s.Zone = fmt.Sprint(s.Resource.Properties["AvailabilityZone"]) })
	all(m, EC2FlowLog, func(_ *struct{ Base }, p assembly.Value) {
		if vpc := elsewhere[VPC](m, p.Field("ResourceId"), EC2VPC, "VpcId"); vpc != nil {
			vpc.FlowLog = true
		}
	})
	all(m, DefaultGroupRestriction, func(_ *struct{ Base }, p assembly.Value) {
		if vpc := elsewhere[VPC](m, p.Field("DefaultSecurityGroupId"), EC2VPC, "DefaultSecurityGroup"); vpc != nil {
			vpc.DefaultGroupClosed = true
		}
	})
	m.Instances = all(m, EC2Instance, func(*Instance, assembly.Value) {})
	m.Endpoints = all(m, EC2VPCEndpoint, func(e *Endpoint, p assembly.Value) {
		e.Type = p.Field("VpcEndpointType").Text("Gateway")
		e.Subnets = m.subnets(p.Field("SubnetIds"))
		e.Service = serviceName.FindString(strings.Trim(fmt.Sprint(p.Field("ServiceName").Raw()), "[]{}"))
	})
}

// VPC is a virtual network.
type VPC struct {
	Base
	// FlowLog says that its traffic is logged.
	FlowLog bool
	// DefaultGroupClosed says that CDK removes the rules of the default security group.
	DefaultGroupClosed bool
}

// Subnet is a part of a VPC, in one zone.
type Subnet struct {
	Base
	// Zone identifies the Availability Zone. It may be the text of a function call.
	Zone string
}

// Instance is an EC2 instance that stands for itself, outside of a group.
type Instance struct{ Base }

// serviceName is the end of a name like com.amazonaws.us-east-1.dynamodb.
var serviceName = regexp.MustCompile(`[\w-]+$`)

// Endpoint is a VPC endpoint.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-ec2-vpcendpoint.html
type Endpoint struct {
	Base
	// Type is Gateway (the default), Interface or another.
	Type string
	// Subnets has nil for each subnet that the assembly does not have.
	Subnets []*Subnet
	// Service is the end of the service's name, like "dynamodb": the rest has the region.
	Service string
}

// subnets reads a list of subnets. A subnet that the assembly does not have is nil.
func (m *Model) subnets(v assembly.Value) []*Subnet {
	var subnets []*Subnet
	for _, subnet := range v.List() {
		subnets = append(subnets, refer[Subnet](m, subnet, EC2Subnet, "SubnetId"))
	}
	return subnets
}
