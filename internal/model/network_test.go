package model

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSecurityGroupRules(t *testing.T) {
	m := read(t, `
		"A": {"Type": "AWS::EC2::SecurityGroup", "Properties": {
			"SecurityGroupIngress": [{"CidrIp": "0.0.0.0/0", "IpProtocol": "tcp", "FromPort": 80, "ToPort": "81"}, {"CidrIpv6": "::/0", "IpProtocol": "-1", "FromPort": 1}],
			"SecurityGroupEgress": [{"DestinationSecurityGroupId": {"Fn::GetAtt": ["B", "GroupId"]}, "IpProtocol": "udp", "FromPort": "x"}]}},
		"B": {"Type": "AWS::EC2::SecurityGroup"},
		"In": {"Type": "AWS::EC2::SecurityGroupIngress", "Properties": {"GroupId": {"Ref": "B"}, "SourceSecurityGroupId": {"Ref": "A"}, "IpProtocol": "tcp"}},
		"Out": {"Type": "AWS::EC2::SecurityGroupEgress", "Properties": {"GroupId": "sg-1", "CidrIp": "10.0.0.0/8"}}`)
	var got []string
	for _, r := range m.SecurityGroupRules {
		got = append(got, fmt.Sprintln(r.Key(), r.Group, r.Ingress, r.Peer, r.IPv4, r.IPv6, r.Protocol, r.FromPort, r.ToPort))
	}
	if diff := cmp.Diff([]string{
		"S/A S/A true <nil> 0.0.0.0/0  tcp 80 81\n",
		"S/A S/A true <nil>  ::/0 -1 0 65535\n",
		"S/A S/A false S/B   udp 0 65535\n",
		"S/In S/B true S/A   tcp 0 65535\n",
		"S/Out <nil> false <nil> 10.0.0.0/8  -1 0 65535\n",
	}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	err := m.SecurityGroups[0].Problem("SecurityGroupEgress")
	if err == nil || !strings.HasPrefix(err.Error(), "S/A/Properties.SecurityGroupEgress[0].FromPort: expected a whole number") {
		t.Errorf("the port x: %v", err)
	}
	if err := m.SecurityGroups[0].Problem("SecurityGroupIngress"); err != nil {
		t.Error(err)
	}
}

func TestVPC(t *testing.T) {
	m := read(t, `
		"Vpc": {"Type": "AWS::EC2::VPC"}, "Bare": {"Type": "AWS::EC2::VPC"},
		"Log": {"Type": "AWS::EC2::FlowLog", "Properties": {"ResourceId": {"Ref": "Vpc"}}},
		"Never": {"Type": "AWS::EC2::FlowLog", "Condition": "Never", "Properties": {"ResourceId": {"Ref": "Bare"}}},
		"Closed": {"Type": "Custom::VpcRestrictDefaultSG", "Properties": {"DefaultSecurityGroupId": {"Fn::GetAtt": ["Vpc", "DefaultSecurityGroup"]}}},
		"One": {"Type": "AWS::EC2::Subnet", "Properties": {"AvailabilityZone": {"Fn::Select": [0, {"Fn::GetAZs": ""}]}}},
		"Two": {"Type": "AWS::EC2::Subnet", "Properties": {"AvailabilityZone": {"Fn::Select": [1, {"Fn::GetAZs": ""}]}}},
		"Outer": {"Type": "AWS::EC2::VPCEndpoint", "Properties": {"VpcEndpointType": "Interface", "SubnetIds": [{"Ref": "One"}, "subnet-1"]}}`)
	for _, v := range m.VPCs {
		if want := v.Resource.LogicalID == "Vpc"; v.FlowLog != want || v.DefaultGroupClosed != want {
			t.Errorf("%s has a flow log: %v, a closed default group: %v", v.Key(), v.FlowLog, v.DefaultGroupClosed)
		}
	}
	if m.Subnets[0].Zone == m.Subnets[1].Zone {
		t.Errorf("both subnets are in %s", m.Subnets[0].Zone)
	}
	e := m.Endpoints[0]
	if e.Type != "Interface" || len(e.Subnets) != 2 || e.Subnets[0] != m.Subnets[0] || e.Subnets[1] != nil || e.Problem("SubnetIds") == nil {
		t.Errorf("the endpoint is %+v", e)
	}
}

// The policy of an endpoint grants nothing, so the model does not have it among those that do.
func TestEndpoints(t *testing.T) {
	m := read(t, `
		"A": {"Type": "AWS::EC2::VPCEndpoint", "Properties": {"VpcEndpointType": "Interface", "ServiceName": "com.amazonaws.us-east-1.ecr.dkr"}},
		"B": {"Type": "AWS::EC2::VPCEndpoint", "Properties": {"ServiceName": {"Fn::Join": ["", ["com.amazonaws.", {"Ref": "AWS::Region"}, ".dynamodb"]]}, "PolicyDocument": {"Statement": {"Effect": "Allow", "Action": "dynamodb:*", "Principal": "*", "Resource": "*"}}}},
		"C": {"Type": "AWS::EC2::VPCEndpoint", "Properties": {"ServiceName": {"Fn::Sub": "com.amazonaws.${AWS::Region}.s3"}}}`)
	var got []string
	for _, e := range m.Endpoints {
		got = append(got, fmt.Sprintln(e.Type, e.Service, e.Problem()))
	}
	if diff := cmp.Diff([]string{
		"Interface dkr <nil>\n",
		"Gateway dynamodb <nil>\n",
		"Gateway s3 <nil>\n",
	}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if m.ResourcePolicies != nil {
		t.Errorf("policies that grant: %v", m.ResourcePolicies)
	}
}
