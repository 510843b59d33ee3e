package cloudformation

import "strings"

// The resource types of a network: EC2's, without instances.
var network = map[string]*handler{
	"AWS::EC2::VPC": {
		ref:  "VpcId",
		same: []string{"CidrBlock"},
		create: func(c *call, p props) string {
			n := c.do("ec2", "CreateVpc", pick(p, "CidrBlock", "InstanceTenancy"))
			c.attrs["CidrBlockAssociations"] = []any{n.first("associationId")}
			return n.first("vpcId")
		},
		configure: func(c *call, _, p props) {
			for name, value := range pick(p, "EnableDnsSupport", "EnableDnsHostnames") {
				c.do("ec2", "ModifyVpcAttribute", props{"VpcId": c.id, name: props{"Value": value}})
			}
			filter := props{"Filter": []any{props{"Name": "vpc-id", "Value": []any{c.id}}}}
			c.attrs["DefaultSecurityGroup"] = c.do("ec2", "DescribeSecurityGroups", filter).first("groupId")
			c.attrs["DefaultNetworkAcl"] = c.do("ec2", "DescribeNetworkAcls", filter).first("networkAclId")
		},
		delete: deleted("ec2", "DeleteVpc", "VpcId"),
	},
	"AWS::EC2::Subnet": {
		ref:    "SubnetId",
		same:   []string{"AvailabilityZone"},
		create: created("ec2", "CreateSubnet", "subnetId", "VpcId", "CidrBlock", "AvailabilityZone"),
		configure: func(c *call, _, p props) {
			for name, value := range pick(p, "MapPublicIpOnLaunch") {
				c.do("ec2", "ModifySubnetAttribute", props{"SubnetId": c.id, name: props{"Value": value}})
			}
		},
		delete: deleted("ec2", "DeleteSubnet", "SubnetId"),
	},
	"AWS::EC2::InternetGateway": taggable("InternetGateway"),
	"AWS::EC2::VPCGatewayAttachment": {
		create: func(c *call, p props) string {
			c.do("ec2", "AttachInternetGateway", pick(p, "VpcId", "InternetGatewayId"))
			return "IGW|" + str(p, "VpcId")
		},
		delete: func(c *call, p props) {
			c.do("ec2", "DetachInternetGateway", pick(p, "VpcId", "InternetGatewayId"))
		},
	},
	"AWS::EC2::RouteTable": taggable("RouteTable", "VpcId"),
	"AWS::EC2::SubnetRouteTableAssociation": {
		ref:    "AssociationId",
		create: created("ec2", "AssociateRouteTable", "associationId", "RouteTableId", "SubnetId"),
		delete: deleted("ec2", "DisassociateRouteTable", "AssociationId"),
	},
	"AWS::EC2::Route": {
		create: func(c *call, p props) string {
			c.do("ec2", "CreateRoute", p)
			return str(p, "RouteTableId") + "|" + str(p, "DestinationCidrBlock")
		},
		delete: func(c *call, p props) {
			c.do("ec2", "DeleteRoute", pick(p, "RouteTableId", "DestinationCidrBlock", "DestinationIpv6CidrBlock"))
		},
	},
	"AWS::EC2::EIP": {
		ref: "PublicIp",
		create: func(c *call, p props) string {
			n := c.do("ec2", "AllocateAddress", pick(p, "Domain"))
			c.attrs["AllocationId"] = n.first("allocationId")
			return n.first("publicIp")
		},
		update: tagsOnly,
		delete: deleted("ec2", "ReleaseAddress", "PublicIp"),
	},
	"AWS::EC2::NatGateway": taggable("NatGateway", "SubnetId", "AllocationId"),
	"AWS::EC2::VPCEndpoint": {
		ref: "VpcEndpointId",
		create: created("ec2", "CreateVpcEndpoint", "vpcEndpointId", "VpcId", "ServiceName", "VpcEndpointType",
			"RouteTableIds", "SubnetIds", "SecurityGroupIds", "PolicyDocument"),
		delete: deleted("ec2", "DeleteVpcEndpoints", "VpcEndpointId.1"),
	},
	"AWS::EC2::SecurityGroup": {
		ref:  "GroupId",
		same: []string{"VpcId"},
		name: "GroupName",
		create: func(c *call, p props) string {
			return c.do("ec2", "CreateSecurityGroup", with(pick(p, "GroupDescription", "VpcId"), props{"GroupName": c.id})).first("groupId")
		},
		configure: func(c *call, old, p props) {
			if old == nil && p["SecurityGroupEgress"] != nil {
				// A new group allows all egress, unless the template has rules for it.
				old = props{"SecurityGroupEgress": []any{props{"IpProtocol": "-1", "CidrIp": "0.0.0.0/0"}}}
			}
			for _, direction := range []string{"Ingress", "Egress"} {
				if property := "SecurityGroup" + direction; differ(old, p, property) {
					permissions(c, "Revoke", direction, c.id, items(old, property))
					permissions(c, "Authorize", direction, c.id, items(p, property))
				}
			}
		},
		delete: deleted("ec2", "DeleteSecurityGroup", "GroupId"),
	},
	"AWS::EC2::SecurityGroupIngress": securityGroupRule("Ingress"),
	"AWS::EC2::SecurityGroupEgress":  securityGroupRule("Egress"),
}

// taggable is a handler for a resource whose creation and deletion are one call each.
func taggable(kind string, properties ...string) *handler {
	id := kind + "Id"
	return &handler{
		ref:    id,
		create: created("ec2", "Create"+kind, strings.ToLower(id[:1])+id[1:], properties...),
		update: tagsOnly,
		delete: deleted("ec2", "Delete"+kind, id),
	}
}

// allEgress is the rule for egress of a new security group, in the form of the API.
var allEgress = props{"IpProtocol": "-1", "IpRanges": []any{props{"CidrIp": "0.0.0.0/0"}}}

func securityGroupRule(direction string) *handler {
	return &handler{
		ref:   "Id",
		limit: 40,
		shape: func(name string) string { return "sgr-" + name },
		create: func(c *call, p props) string {
			group := str(p, "GroupId")
			if declared := c.properties("AWS::EC2::SecurityGroup", group); direction == "Egress" && declared != nil && declared["SecurityGroupEgress"] == nil {
				// The rule that a new group has goes with the first other one
				// (https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-ec2-security-group-egress.html).
				c.drop("ec2", "RevokeSecurityGroupEgress", props{"GroupId": group, "IpPermissions": []any{allEgress}})
			}
			permissions(c, "Authorize", direction, group, []any{p})
			return c.id
		},
		delete: func(c *call, p props) { permissions(c, "Revoke", direction, str(p, "GroupId"), []any{p}) },
	}
}

// permissions adds or removes rules of a security group. The rules have CloudFormation's form.
func permissions(c *call, verb, direction, group string, rules []any) {
	for _, r := range rules {
		r, _ := r.(props)
		permission := pick(r, "IpProtocol", "FromPort", "ToPort")
		for _, peer := range []struct{ property, list, element string }{
			{"SourceSecurityGroupId", "Groups", "GroupId"},
			{"DestinationSecurityGroupId", "Groups", "GroupId"},
			{"CidrIp", "IpRanges", "CidrIp"},
			{"CidrIpv6", "Ipv6Ranges", "CidrIpv6"},
			{"SourcePrefixListId", "PrefixListIds", "PrefixListId"},
			{"DestinationPrefixListId", "PrefixListIds", "PrefixListId"},
		} {
			if v, ok := r[peer.property]; ok {
				permission[peer.list] = []any{props{peer.element: v}}
			}
		}
		c.do("ec2", verb+"SecurityGroup"+direction, props{"GroupId": group, "IpPermissions": []any{permission}})
	}
}

// The resource types of the instances.
var compute = map[string]*handler{
	"AWS::EC2::LaunchTemplate": {
		ref:   "LaunchTemplateId",
		name:  "LaunchTemplateName",
		limit: 128,
		create: func(c *call, p props) string {
			c.attrs["DefaultVersionNumber"], c.attrs["LatestVersionNumber"] = "1", "1"
			params := singular(pick(p, "LaunchTemplateData"))
			return c.do("ec2", "CreateLaunchTemplate", with(params, props{"LaunchTemplateName": c.id})).first("launchTemplateId")
		},
		update: func(c *call, _, p props) {
			params := singular(pick(p, "LaunchTemplateData"))
			n := c.do("ec2", "CreateLaunchTemplateVersion", with(params, props{"LaunchTemplateId": c.id}))
			c.attrs["LatestVersionNumber"] = n.first("versionNumber")
		},
		delete: deleted("ec2", "DeleteLaunchTemplate", "LaunchTemplateId"),
	},
	"AWS::AutoScaling::AutoScalingGroup": {
		name: "AutoScalingGroupName",
		create: func(c *call, p props) string {
			params := autoScalingGroup(c, p)
			var tags []any
			for _, t := range items(p, "Tags") {
				tag := pick(t.(props), "Key", "Value", "PropagateAtLaunch")
				tags = append(tags, with(tag, props{"ResourceId": c.id, "ResourceType": "auto-scaling-group"}))
			}
			if len(tags) > 0 {
				params["Tags"] = tags
			}
			c.do("autoscaling", "CreateAutoScalingGroup", params)
			return c.id
		},
		update: func(c *call, _, p props) { c.do("autoscaling", "UpdateAutoScalingGroup", autoScalingGroup(c, p)) },
		delete: func(c *call, p props) {
			c.do("autoscaling", "DeleteAutoScalingGroup", props{"AutoScalingGroupName": c.id, "ForceDelete": true})
		},
	},
}

func autoScalingGroup(c *call, p props) props {
	return with(pick(p, "MinSize", "MaxSize", "DesiredCapacity", "LaunchTemplate", "MixedInstancesPolicy", "HealthCheckType",
		"HealthCheckGracePeriod", "TerminationPolicies", "NewInstancesProtectedFromScaleIn", "CapacityRebalance", "Cooldown"),
		props{"AutoScalingGroupName": c.id, "VPCZoneIdentifier": str(p, "VPCZoneIdentifier")})
}
