package cloudformation

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
)

// props are the properties of a resource with every function resolved.
type props = map[string]any

// A handler provisions one resource type through the API of its service.
type handler struct {
	// name is the property that gives the resource its name, if it has one.
	name string

	// create returns a physical id together with an error if it failed after the resource came into being, which the
	// rollback then deletes.
	create func(c *call, p props) (physical string, attrs props, err error)
	// update changes the resource in place and returns the attributes that changed. Without it, every change replaces the
	// resource. Which properties replace a resource in any case, package model says.
	update func(c *call, physical string, old, p props) (attrs props, err error)
	delete func(c *call, physical string, p props) error
}

// A call is what a handler needs to know beside the properties.
type call struct {
	*client
	ctx     context.Context
	account string
	stack   string
	logical string
}

func (c *call) q(service, action string, params map[string]any) (*node, error) {
	return c.query(c.ctx, service, action, params)
}

func (c *call) j(service, action string, params map[string]any) (map[string]any, error) {
	return c.json(c.ctx, service, action, params)
}

// generated is the name CloudFormation gives a resource that has none: stack, logical id and a random part.
func (c *call) generated(limit int) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	var random [12]byte
	for i := range random {
		random[i] = letters[rand.IntN(len(letters))]
	}
	head := c.stack + "-" + c.logical
	if most := limit - len(random) - 1; len(head) > most {
		head = strings.TrimRight(head[:most], "-")
	}
	return head + "-" + string(random[:])
}

func (c *call) arn(service, resource string) string {
	region, account := c.region, c.account
	switch service {
	case "iam":
		region = ""
	case "s3":
		region, account = "", ""
	}
	return "arn:aws:" + service + ":" + region + ":" + account + ":" + resource
}

// known reports whether the engine provisions the type. All others are recorded: they get a physical id and
// attributes, can be referred to, and exist nowhere else.
func known(typ string) bool { return handlers[typ] != nil }

// pick copies the named properties that are present.
func pick(p props, names ...string) map[string]any {
	out := map[string]any{}
	for _, n := range names {
		if v, ok := p[n]; ok {
			out[n] = v
		}
	}
	return out
}

// lower writes property names the way the ECS and ECR APIs do, with a small first letter. The values of these
// properties are free-form maps, whose keys are not names.
func lower(v tree) tree {
	switch v := v.(type) {
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = lower(x)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, x := range v {
			if !slices.Contains([]string{"Options", "DockerLabels", "DriverOpts", "Labels"}, k) {
				x = lower(x)
			}
			out[strings.ToLower(k[:1])+k[1:]] = x
		}
		return out
	}
	return v
}

func lowered(p props) map[string]any { return lower(p).(map[string]any) }

// flat writes the names of lists the way EC2's query protocol does, in the singular.
func flat(v tree) tree {
	switch v := v.(type) {
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = flat(x)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, x := range v {
			if _, ok := x.([]any); ok {
				k = strings.TrimSuffix(k, "s")
			}
			out[k] = flat(x)
		}
		return out
	}
	return v
}

// str is the named property as a string.
func str(p props, name string) string { return text(p[name]) }

// gone drops an error whose code says that what is to be deleted is gone already, which CloudFormation takes for
// success.
func gone(err error) error {
	if e, ok := err.(*Error); ok {
		for _, s := range []string{"NotFound", "NoSuch", "DoesNotExist"} {
			if strings.Contains(e.Code, s) {
				return nil
			}
		}
	}
	return err
}

// refused is an error in the words of the handlers that CloudFormation runs.
func refused(code, format string, args ...any) error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// made is the result of a create that consists of one call: if that failed, there is nothing.
func made(physical string, attrs props, err error) (string, props, error) {
	if err != nil {
		return "", nil, err
	}
	return physical, attrs, nil
}

// ec2Simple is a handler for an EC2 resource that one call creates and one deletes.
func ec2Simple(create, delete, id, idParam string, properties ...string) *handler {
	return &handler{
		create: func(c *call, p props) (string, props, error) {
			n, err := c.q("ec2", create, flat(pick(p, properties...)).(map[string]any))
			if err != nil {
				return "", nil, err
			}
			got := n.first(id)
			return got, props{strings.ToUpper(id[:1]) + id[1:]: got}, nil
		},
		delete: func(c *call, physical string, p props) error {
			_, err := c.q("ec2", delete, map[string]any{idParam: physical})
			return err
		},
	}
}

// handlers are the resource types that the engine provisions.
var handlers = func() map[string]*handler {
	table := map[string]*handler{}
	network(table)
	compute(table)
	routing(table)
	scaling(table)
	others(table)
	return table
}()

func network(handlers map[string]*handler) {
	vpc := &handler{
		create: func(c *call, p props) (string, props, error) {
			n, err := c.q("ec2", "CreateVpc", pick(p, "CidrBlock", "InstanceTenancy"))
			if err != nil {
				return "", nil, err
			}
			id := n.first("vpcId")
			if err := vpcAttributes(c, id, p); err != nil {
				return id, nil, err
			}
			filter := map[string]any{"Filter": []any{map[string]any{"Name": "vpc-id", "Value": []any{id}}}}
			groups, err := c.q("ec2", "DescribeSecurityGroups", filter)
			if err != nil {
				return id, nil, err
			}
			acls, err := c.q("ec2", "DescribeNetworkAcls", filter)
			if err != nil {
				return id, nil, err
			}
			return id, props{"VpcId": id, "CidrBlock": p["CidrBlock"], "CidrBlockAssociations": []any{n.first("associationId")},
				"DefaultSecurityGroup": groups.first("groupId"), "DefaultNetworkAcl": acls.first("networkAclId")}, nil
		},
		update: func(c *call, physical string, old, p props) (props, error) {
			return nil, vpcAttributes(c, physical, p)
		},
		delete: func(c *call, physical string, p props) error {
			_, err := c.q("ec2", "DeleteVpc", map[string]any{"VpcId": physical})
			return err
		},
	}
	handlers["AWS::EC2::VPC"] = vpc

	subnet := ec2Simple("CreateSubnet", "DeleteSubnet", "subnetId", "SubnetId", "VpcId", "CidrBlock", "AvailabilityZone")
	simple := subnet.create
	subnet.create = func(c *call, p props) (string, props, error) {
		id, attrs, err := simple(c, p)
		if err != nil {
			return id, nil, err
		}
		attrs["AvailabilityZone"] = p["AvailabilityZone"]
		return id, attrs, subnetAttributes(c, id, p)
	}
	subnet.update = func(c *call, physical string, old, p props) (props, error) {
		return nil, subnetAttributes(c, physical, p)
	}
	handlers["AWS::EC2::Subnet"] = subnet

	keep := func(c *call, physical string, old, p props) (props, error) { return nil, nil } // tags only
	gateway := ec2Simple("CreateInternetGateway", "DeleteInternetGateway", "internetGatewayId", "InternetGatewayId")
	gateway.update = keep
	handlers["AWS::EC2::InternetGateway"] = gateway

	handlers["AWS::EC2::VPCGatewayAttachment"] = &handler{
		create: func(c *call, p props) (string, props, error) {
			_, err := c.q("ec2", "AttachInternetGateway", pick(p, "VpcId", "InternetGatewayId"))
			return made("IGW|"+str(p, "VpcId"), nil, err)
		},
		delete: func(c *call, physical string, p props) error {
			_, err := c.q("ec2", "DetachInternetGateway", pick(p, "VpcId", "InternetGatewayId"))
			return err
		},
	}

	table := ec2Simple("CreateRouteTable", "DeleteRouteTable", "routeTableId", "RouteTableId", "VpcId")
	table.update = keep
	handlers["AWS::EC2::RouteTable"] = table

	handlers["AWS::EC2::SubnetRouteTableAssociation"] =
		ec2Simple("AssociateRouteTable", "DisassociateRouteTable", "associationId", "AssociationId", "RouteTableId", "SubnetId")

	handlers["AWS::EC2::Route"] = &handler{
		create: func(c *call, p props) (string, props, error) {
			_, err := c.q("ec2", "CreateRoute", p)
			return made(str(p, "RouteTableId")+"|"+str(p, "DestinationCidrBlock"), nil, err)
		},
		delete: func(c *call, physical string, p props) error {
			_, err := c.q("ec2", "DeleteRoute", pick(p, "RouteTableId", "DestinationCidrBlock", "DestinationIpv6CidrBlock"))
			return err
		},
	}

	handlers["AWS::EC2::EIP"] = &handler{
		create: func(c *call, p props) (string, props, error) {
			n, err := c.q("ec2", "AllocateAddress", pick(p, "Domain"))
			if err != nil {
				return "", nil, err
			}
			ip := n.first("publicIp")
			return ip, props{"AllocationId": n.first("allocationId"), "PublicIp": ip}, nil
		},
		update: keep,
		delete: func(c *call, physical string, p props) error {
			_, err := c.q("ec2", "ReleaseAddress", map[string]any{"PublicIp": physical})
			return err
		},
	}

	nat := ec2Simple("CreateNatGateway", "DeleteNatGateway", "natGatewayId", "NatGatewayId", "SubnetId", "AllocationId")
	nat.update = keep
	handlers["AWS::EC2::NatGateway"] = nat

	endpoint := ec2Simple("CreateVpcEndpoint", "DeleteVpcEndpoints", "vpcEndpointId", "VpcEndpointId.1",
		"VpcId", "ServiceName", "VpcEndpointType", "RouteTableIds", "SubnetIds", "SecurityGroupIds", "PolicyDocument")
	handlers["AWS::EC2::VPCEndpoint"] = endpoint

	handlers["AWS::EC2::SecurityGroup"] = &handler{
		name: "GroupName",
		create: func(c *call, p props) (string, props, error) {
			name := str(p, "GroupName")
			if name == "" {
				name = c.generated(255)
			}
			n, err := c.q("ec2", "CreateSecurityGroup", map[string]any{
				"GroupName": name, "GroupDescription": p["GroupDescription"], "VpcId": p["VpcId"]})
			if err != nil {
				return "", nil, err
			}
			id := n.first("groupId")
			attrs := props{"GroupId": id, "VpcId": p["VpcId"]}
			if err := permissions(c, "Authorize", "Ingress", id, p["SecurityGroupIngress"]); err != nil {
				return id, nil, err
			}
			if p["SecurityGroupEgress"] == nil {
				return id, attrs, nil
			}
			// A template that says anything of egress says all of it: the rule that allows everything goes.
			everything := []any{map[string]any{"IpProtocol": "-1", "CidrIp": "0.0.0.0/0"}}
			if err := permissions(c, "Revoke", "Egress", id, everything); err != nil {
				return id, nil, err
			}
			return id, attrs, permissions(c, "Authorize", "Egress", id, p["SecurityGroupEgress"])
		},
		update: func(c *call, physical string, old, p props) (props, error) {
			for _, direction := range []string{"Ingress", "Egress"} {
				property := "SecurityGroup" + direction
				if encode(old[property]) == encode(p[property]) {
					continue
				}
				if err := permissions(c, "Revoke", direction, physical, old[property]); err != nil {
					return nil, err
				}
				if err := permissions(c, "Authorize", direction, physical, p[property]); err != nil {
					return nil, err
				}
			}
			return nil, nil
		},
		delete: func(c *call, physical string, p props) error {
			_, err := c.q("ec2", "DeleteSecurityGroup", map[string]any{"GroupId": physical})
			return err
		},
	}
	for _, direction := range []string{"Ingress", "Egress"} {
		handlers["AWS::EC2::SecurityGroup"+direction] = &handler{
			create: func(c *call, p props) (string, props, error) {
				id := "sgr-" + c.generated(40)
				return made(id, props{"Id": id}, permissions(c, "Authorize", direction, str(p, "GroupId"), []any{p}))
			},
			delete: func(c *call, physical string, p props) error {
				return gone(permissions(c, "Revoke", direction, str(p, "GroupId"), []any{p}))
			},
		}
	}
}

func vpcAttributes(c *call, id string, p props) error {
	for _, a := range []string{"EnableDnsSupport", "EnableDnsHostnames"} {
		if v, ok := p[a]; ok {
			if _, err := c.q("ec2", "ModifyVpcAttribute", map[string]any{"VpcId": id, a: map[string]any{"Value": v}}); err != nil {
				return err
			}
		}
	}
	return nil
}

func subnetAttributes(c *call, id string, p props) error {
	v, ok := p["MapPublicIpOnLaunch"]
	if !ok {
		return nil
	}
	_, err := c.q("ec2", "ModifySubnetAttribute", map[string]any{"SubnetId": id, "MapPublicIpOnLaunch": map[string]any{"Value": v}})
	return err
}

// permissions adds or removes rules of a security group, written as CloudFormation writes them.
func permissions(c *call, verb, direction, group string, rules tree) error {
	l, _ := rules.([]any)
	for _, r := range l {
		m, _ := r.(map[string]any)
		permission := pick(m, "IpProtocol", "FromPort", "ToPort")
		for _, k := range []string{"SourceSecurityGroupId", "DestinationSecurityGroupId"} {
			if v, ok := m[k]; ok {
				permission["Groups"] = []any{map[string]any{"GroupId": v}}
			}
		}
		if v, ok := m["CidrIp"]; ok {
			permission["IpRanges"] = []any{map[string]any{"CidrIp": v}}
		}
		if v, ok := m["CidrIpv6"]; ok {
			permission["Ipv6Ranges"] = []any{map[string]any{"CidrIpv6": v}}
		}
		for _, k := range []string{"SourcePrefixListId", "DestinationPrefixListId"} {
			if v, ok := m[k]; ok {
				permission["PrefixListIds"] = []any{map[string]any{"PrefixListId": v}}
			}
		}
		_, err := c.q("ec2", verb+"SecurityGroup"+direction, map[string]any{"GroupId": group, "IpPermissions": []any{permission}})
		if err != nil {
			return err
		}
	}
	return nil
}

func compute(handlers map[string]*handler) {
	handlers["AWS::EC2::LaunchTemplate"] = &handler{
		name: "LaunchTemplateName",
		create: func(c *call, p props) (string, props, error) {
			name := str(p, "LaunchTemplateName")
			if name == "" {
				name = c.generated(128)
			}
			n, err := c.q("ec2", "CreateLaunchTemplate", map[string]any{
				"LaunchTemplateName": name, "LaunchTemplateData": flat(p["LaunchTemplateData"])})
			if err != nil {
				return "", nil, err
			}
			id := n.first("launchTemplateId")
			return id, props{"LaunchTemplateId": id, "DefaultVersionNumber": "1", "LatestVersionNumber": "1"}, nil
		},
		update: func(c *call, physical string, old, p props) (props, error) {
			n, err := c.q("ec2", "CreateLaunchTemplateVersion", map[string]any{
				"LaunchTemplateId": physical, "LaunchTemplateData": flat(p["LaunchTemplateData"])})
			if err != nil {
				return nil, err
			}
			return props{"LatestVersionNumber": n.first("versionNumber")}, nil
		},
		delete: func(c *call, physical string, p props) error {
			_, err := c.q("ec2", "DeleteLaunchTemplate", map[string]any{"LaunchTemplateId": physical})
			return err
		},
	}

	groupParams := func(c *call, name string, p props) map[string]any {
		params := pick(p, "MinSize", "MaxSize", "DesiredCapacity", "LaunchTemplate", "MixedInstancesPolicy", "HealthCheckType",
			"HealthCheckGracePeriod", "TerminationPolicies", "NewInstancesProtectedFromScaleIn", "CapacityRebalance", "Cooldown")
		params["AutoScalingGroupName"] = name
		params["VPCZoneIdentifier"] = text(p["VPCZoneIdentifier"])
		return params
	}
	handlers["AWS::AutoScaling::AutoScalingGroup"] = &handler{
		name: "AutoScalingGroupName",
		create: func(c *call, p props) (string, props, error) {
			name := str(p, "AutoScalingGroupName")
			if name == "" {
				name = c.generated(255)
			}
			params := groupParams(c, name, p)
			var tags []any
			for _, t := range asList(p["Tags"]) {
				tag := pick(t.(map[string]any), "Key", "Value", "PropagateAtLaunch")
				tag["ResourceId"], tag["ResourceType"] = name, "auto-scaling-group"
				tags = append(tags, tag)
			}
			if len(tags) > 0 {
				params["Tags"] = tags
			}
			_, err := c.q("autoscaling", "CreateAutoScalingGroup", params)
			return made(name, nil, err)
		},
		update: func(c *call, physical string, old, p props) (props, error) {
			_, err := c.q("autoscaling", "UpdateAutoScalingGroup", groupParams(c, physical, p))
			return nil, err
		},
		delete: func(c *call, physical string, p props) error {
			_, err := c.q("autoscaling", "DeleteAutoScalingGroup", map[string]any{"AutoScalingGroupName": physical, "ForceDelete": true})
			return err
		},
	}

	handlers["AWS::ECS::Cluster"] = &handler{
		name: "ClusterName",
		create: func(c *call, p props) (string, props, error) {
			name := str(p, "ClusterName")
			if name == "" {
				name = c.generated(255)
			}
			params := lowered(pick(p, "Configuration", "CapacityProviders", "DefaultCapacityProviderStrategy", "Tags"))
			params["clusterName"] = name
			params["settings"] = lower(p["ClusterSettings"])
			out, err := c.j("ecs", "CreateCluster", params)
			if err != nil {
				return "", nil, err
			}
			cluster, _ := out["cluster"].(map[string]any)
			return name, props{"Arn": cluster["clusterArn"]}, nil
		},
		update: func(c *call, physical string, old, p props) (props, error) {
			_, err := c.j("ecs", "UpdateCluster", map[string]any{"cluster": physical,
				"settings": lower(p["ClusterSettings"]), "configuration": lower(p["Configuration"])})
			return nil, err
		},
		delete: func(c *call, physical string, p props) error {
			_, err := c.j("ecs", "DeleteCluster", map[string]any{"cluster": physical})
			return gone(err)
		},
	}

	handlers["AWS::ECS::CapacityProvider"] = &handler{
		name: "Name",
		create: func(c *call, p props) (string, props, error) {
			name := str(p, "Name")
			if name == "" {
				name = c.generated(255)
			}
			params := lowered(pick(p, "AutoScalingGroupProvider", "Tags"))
			params["name"] = name
			_, err := c.j("ecs", "CreateCapacityProvider", params)
			return made(name, nil, err)
		},
		update: func(c *call, physical string, old, p props) (props, error) {
			change, _ := lower(p["AutoScalingGroupProvider"]).(map[string]any)
			delete(change, "autoScalingGroupArn")
			_, err := c.j("ecs", "UpdateCapacityProvider", map[string]any{"name": physical, "autoScalingGroupProvider": change})
			return nil, err
		},
		delete: func(c *call, physical string, p props) error {
			_, err := c.j("ecs", "DeleteCapacityProvider", map[string]any{"capacityProvider": physical})
			return gone(err)
		},
	}

	associate := func(c *call, p props) error {
		params := lowered(pick(p, "CapacityProviders", "DefaultCapacityProviderStrategy"))
		params["cluster"] = p["Cluster"]
		_, err := c.j("ecs", "PutClusterCapacityProviders", params)
		return err
	}
	handlers["AWS::ECS::ClusterCapacityProviderAssociations"] = &handler{
		create: func(c *call, p props) (string, props, error) {
			return made(str(p, "Cluster"), nil, associate(c, p))
		},
		update: func(c *call, physical string, old, p props) (props, error) { return nil, associate(c, p) },
		delete: func(c *call, physical string, p props) error {
			return gone(associate(c, props{"Cluster": physical, "CapacityProviders": []any{}, "DefaultCapacityProviderStrategy": []any{}}))
		},
	}

	handlers["AWS::ECS::TaskDefinition"] = &handler{
		create: func(c *call, p props) (string, props, error) {
			params := lowered(p)
			if str(p, "Family") == "" {
				params["family"] = c.generated(255)
			}
			out, err := c.j("ecs", "RegisterTaskDefinition", params)
			if err != nil {
				return "", nil, err
			}
			definition, _ := out["taskDefinition"].(map[string]any)
			arn := text(definition["taskDefinitionArn"])
			return arn, props{"TaskDefinitionArn": arn}, nil
		},
		delete: func(c *call, physical string, p props) error {
			_, err := c.j("ecs", "DeregisterTaskDefinition", map[string]any{"taskDefinition": physical})
			return err
		},
	}

	handlers["AWS::ECS::Service"] = &handler{
		name: "ServiceName",
		create: func(c *call, p props) (string, props, error) {
			if err := attached(c, p); err != nil {
				return "", nil, err
			}
			params := lowered(p)
			name := str(p, "ServiceName")
			if name == "" {
				name = c.generated(255)
			}
			params["serviceName"] = name
			if _, ok := params["desiredCount"]; !ok {
				params["desiredCount"] = 1
			}
			// CloudFormation's name for the property differs from the API's.
			params["placementStrategy"] = params["placementStrategies"]
			delete(params, "placementStrategies")
			existing, err := c.j("ecs", "DescribeServices", map[string]any{"cluster": p["Cluster"], "services": []any{name}})
			if err != nil {
				return "", nil, err
			}
			for _, s := range asList(existing["services"]) {
				if text(s.(map[string]any)["status"]) == "ACTIVE" {
					return "", nil, refused("AlreadyExists", "Creation of service was not idempotent.")
				}
			}
			out, err := c.j("ecs", "CreateService", params)
			if err != nil {
				return "", nil, err
			}
			service, _ := out["service"].(map[string]any)
			arn := text(service["serviceArn"])
			// moto's CreateService drops what its UpdateService keeps.
			_, err = updateService(c, arn, nil, p)
			return arn, props{"Name": name, "ServiceArn": arn}, err
		},
		update: updateService,
		delete: func(c *call, physical string, p props) error {
			_, err := c.j("ecs", "DeleteService", map[string]any{"cluster": p["Cluster"], "service": physical, "force": true})
			return gone(err)
		},
	}
}

// updateService sets every property of an ECS service that can be changed in place.
func updateService(c *call, physical string, old, p props) (props, error) {
	if err := attached(c, p); err != nil {
		return nil, err
	}
	params := lowered(pick(p, "TaskDefinition", "DesiredCount", "LoadBalancers", "CapacityProviderStrategy", "DeploymentConfiguration",
		"HealthCheckGracePeriodSeconds", "EnableECSManagedTags", "EnableExecuteCommand", "PropagateTags", "PlacementConstraints",
		"AvailabilityZoneRebalancing", "ServiceConnectConfiguration"))
	params["cluster"], params["service"] = p["Cluster"], physical
	if s, ok := p["PlacementStrategies"]; ok {
		params["placementStrategy"] = lower(s)
	}
	_, err := c.j("ecs", "UpdateService", params)
	return nil, err
}

// attached refuses a service with a target group that no listener and no rule forwards to, as ECS does.
func attached(c *call, p props) error {
	for _, lb := range asList(p["LoadBalancers"]) {
		m, _ := lb.(map[string]any)
		group := str(m, "TargetGroupArn")
		if group == "" {
			continue
		}
		in, err := forwarded(c)
		if err != nil {
			return err
		}
		if !in[group] {
			return refused("InvalidRequest", "The target group with targetGroupArn %s does not have an associated load balancer.", group)
		}
	}
	return nil
}

// forwarded returns the target groups that a listener's default action or a rule forwards to.
func forwarded(c *call) (map[string]bool, error) {
	in := map[string]bool{}
	balancers, err := c.q("elasticloadbalancing", "DescribeLoadBalancers", nil)
	if err != nil {
		return nil, err
	}
	for _, lb := range balancers.all("LoadBalancerArn") {
		listeners, err := c.q("elasticloadbalancing", "DescribeListeners", map[string]any{"LoadBalancerArn": lb.Text})
		if err != nil {
			return nil, err
		}
		for _, l := range listeners.all("ListenerArn") {
			rules, err := c.q("elasticloadbalancing", "DescribeRules", map[string]any{"ListenerArn": l.Text})
			if err != nil {
				return nil, err
			}
			for _, g := range rules.all("TargetGroupArn") {
				in[strings.TrimSpace(g.Text)] = true
			}
		}
	}
	return in, nil
}

func routing(handlers map[string]*handler) {
	const elb = "elasticloadbalancing"
	attributes := func(c *call, action, arnParam, arn string, list tree) error {
		if len(asList(list)) == 0 {
			return nil
		}
		_, err := c.q(elb, action, map[string]any{arnParam: arn, "Attributes": list})
		return err
	}

	handlers["AWS::ElasticLoadBalancingV2::LoadBalancer"] = &handler{
		name: "Name",
		create: func(c *call, p props) (string, props, error) {
			params := pick(p, "Name", "Scheme", "SecurityGroups", "Subnets", "SubnetMappings", "Type", "IpAddressType", "Tags")
			if str(p, "Name") == "" {
				params["Name"] = c.generated(32)
			}
			n, err := c.q(elb, "CreateLoadBalancer", params)
			if err != nil {
				return "", nil, err
			}
			arn := n.first("LoadBalancerArn")
			_, full, _ := strings.Cut(arn, "loadbalancer/")
			return arn, props{"LoadBalancerArn": arn, "DNSName": n.first("DNSName"), "LoadBalancerName": params["Name"],
					"LoadBalancerFullName": full, "CanonicalHostedZoneID": n.first("CanonicalHostedZoneId"), "SecurityGroups": p["SecurityGroups"]},
				attributes(c, "ModifyLoadBalancerAttributes", "LoadBalancerArn", arn, p["LoadBalancerAttributes"])
		},
		update: func(c *call, physical string, old, p props) (props, error) {
			if encode(old["SecurityGroups"]) != encode(p["SecurityGroups"]) {
				if _, err := c.q(elb, "SetSecurityGroups", map[string]any{"LoadBalancerArn": physical, "SecurityGroups": p["SecurityGroups"]}); err != nil {
					return nil, err
				}
			}
			if encode(old["Subnets"]) != encode(p["Subnets"]) {
				if _, err := c.q(elb, "SetSubnets", map[string]any{"LoadBalancerArn": physical, "Subnets": p["Subnets"]}); err != nil {
					return nil, err
				}
			}
			return props{"SecurityGroups": p["SecurityGroups"]},
				attributes(c, "ModifyLoadBalancerAttributes", "LoadBalancerArn", physical, p["LoadBalancerAttributes"])
		},
		delete: func(c *call, physical string, p props) error {
			_, err := c.q(elb, "DeleteLoadBalancer", map[string]any{"LoadBalancerArn": physical})
			return gone(err)
		},
	}

	health := []string{"HealthCheckEnabled", "HealthCheckIntervalSeconds", "HealthCheckPath", "HealthCheckPort", "HealthCheckProtocol",
		"HealthCheckTimeoutSeconds", "HealthyThresholdCount", "UnhealthyThresholdCount", "Matcher"}
	handlers["AWS::ElasticLoadBalancingV2::TargetGroup"] = &handler{
		name: "Name",
		create: func(c *call, p props) (string, props, error) {
			params := pick(p, append([]string{"Name", "Port", "Protocol", "ProtocolVersion", "TargetType", "VpcId", "IpAddressType", "Tags"}, health...)...)
			if str(p, "Name") == "" {
				params["Name"] = c.generated(32)
			}
			n, err := c.q(elb, "CreateTargetGroup", params)
			if err != nil {
				return "", nil, err
			}
			arn := n.first("TargetGroupArn")
			_, full, _ := strings.Cut(arn, ":targetgroup/")
			return arn, props{"TargetGroupArn": arn, "TargetGroupName": params["Name"], "TargetGroupFullName": "targetgroup/" + full},
				attributes(c, "ModifyTargetGroupAttributes", "TargetGroupArn", arn, p["TargetGroupAttributes"])
		},
		update: func(c *call, physical string, old, p props) (props, error) {
			params := pick(p, health...)
			params["TargetGroupArn"] = physical
			if _, err := c.q(elb, "ModifyTargetGroup", params); err != nil {
				return nil, err
			}
			return nil, attributes(c, "ModifyTargetGroupAttributes", "TargetGroupArn", physical, p["TargetGroupAttributes"])
		},
		delete: func(c *call, physical string, p props) error {
			_, err := c.q(elb, "DeleteTargetGroup", map[string]any{"TargetGroupArn": physical})
			return gone(err)
		},
	}

	listener := []string{"Port", "Protocol", "SslPolicy", "Certificates", "DefaultActions", "AlpnPolicy"}
	handlers["AWS::ElasticLoadBalancingV2::Listener"] = &handler{
		create: func(c *call, p props) (string, props, error) {
			n, err := c.q(elb, "CreateListener", pick(p, append([]string{"LoadBalancerArn"}, listener...)...))
			if err != nil {
				return "", nil, err
			}
			arn := n.first("ListenerArn")
			return arn, props{"ListenerArn": arn}, attributes(c, "ModifyListenerAttributes", "ListenerArn", arn, p["ListenerAttributes"])
		},
		update: func(c *call, physical string, old, p props) (props, error) {
			params := pick(p, listener...)
			params["ListenerArn"] = physical
			if _, err := c.q(elb, "ModifyListener", params); err != nil {
				return nil, err
			}
			return nil, attributes(c, "ModifyListenerAttributes", "ListenerArn", physical, p["ListenerAttributes"])
		},
		delete: func(c *call, physical string, p props) error {
			_, err := c.q(elb, "DeleteListener", map[string]any{"ListenerArn": physical})
			return gone(err)
		},
	}

	handlers["AWS::ElasticLoadBalancingV2::ListenerRule"] = &handler{
		create: func(c *call, p props) (string, props, error) {
			n, err := c.q(elb, "CreateRule", pick(p, "ListenerArn", "Priority", "Conditions", "Actions"))
			if err != nil {
				return "", nil, err
			}
			arn := n.first("RuleArn")
			return arn, props{"RuleArn": arn, "IsDefault": false}, nil
		},
		update: func(c *call, physical string, old, p props) (props, error) {
			if str(old, "Priority") != str(p, "Priority") {
				_, err := c.q(elb, "SetRulePriorities", map[string]any{
					"RulePriorities": []any{map[string]any{"RuleArn": physical, "Priority": p["Priority"]}}})
				if err != nil {
					return nil, err
				}
			}
			params := pick(p, "Conditions", "Actions")
			params["RuleArn"] = physical
			_, err := c.q(elb, "ModifyRule", params)
			return nil, err
		},
		delete: func(c *call, physical string, p props) error {
			_, err := c.q(elb, "DeleteRule", map[string]any{"RuleArn": physical})
			return gone(err)
		},
	}
}

func others(handlers map[string]*handler) {
	handlers["AWS::SSM::Parameter"] = &handler{
		name: "Name",
		create: func(c *call, p props) (string, props, error) {
			params := pick(p, "Name", "Type", "Value", "Description", "Tier", "AllowedPattern", "DataType")
			if str(p, "Name") == "" {
				params["Name"] = "CFN-" + c.generated(1000)
			}
			// Without Overwrite an existing name is refused, which is what CloudFormation does, too.
			_, err := c.j("ssm", "PutParameter", params)
			return made(text(params["Name"]), props{"Type": p["Type"], "Value": p["Value"]}, err)
		},
		update: func(c *call, physical string, old, p props) (props, error) {
			params := pick(p, "Type", "Value", "Description", "Tier", "AllowedPattern", "DataType")
			params["Name"], params["Overwrite"] = physical, true
			_, err := c.j("ssm", "PutParameter", params)
			return props{"Type": p["Type"], "Value": p["Value"]}, err
		},
		delete: func(c *call, physical string, p props) error {
			_, err := c.j("ssm", "DeleteParameter", map[string]any{"Name": physical})
			return gone(err)
		},
	}

	repository := func(c *call, name string, p props) error {
		if v, ok := p["RepositoryPolicyText"]; ok {
			if _, err := c.j("ecr", "SetRepositoryPolicy", map[string]any{"repositoryName": name, "policyText": document(v)}); err != nil {
				return err
			}
		}
		if v, ok := p["LifecyclePolicy"].(map[string]any); ok {
			_, err := c.j("ecr", "PutLifecyclePolicy", map[string]any{"repositoryName": name, "lifecyclePolicyText": v["LifecyclePolicyText"]})
			return err
		}
		return nil
	}
	handlers["AWS::ECR::Repository"] = &handler{
		name: "RepositoryName",
		create: func(c *call, p props) (string, props, error) {
			name := str(p, "RepositoryName")
			if name == "" {
				name = strings.ToLower(c.generated(256))
			}
			params := lowered(pick(p, "ImageTagMutability", "ImageScanningConfiguration", "EncryptionConfiguration", "Tags"))
			for _, t := range asList(params["tags"]) { // the one place where ECR's API keeps capitals
				m := t.(map[string]any)
				m["Key"], m["Value"] = m["key"], m["value"]
				delete(m, "key")
				delete(m, "value")
			}
			params["repositoryName"] = name
			out, err := c.j("ecr", "CreateRepository", params)
			if err != nil {
				return "", nil, err
			}
			r, _ := out["repository"].(map[string]any)
			return name, props{"Arn": r["repositoryArn"], "RepositoryUri": r["repositoryUri"]}, repository(c, name, p)
		},
		update: func(c *call, physical string, old, p props) (props, error) {
			if v := str(p, "ImageTagMutability"); v != str(old, "ImageTagMutability") && v != "" {
				if _, err := c.j("ecr", "PutImageTagMutability", map[string]any{"repositoryName": physical, "imageTagMutability": v}); err != nil {
					return nil, err
				}
			}
			if v := p["ImageScanningConfiguration"]; v != nil {
				if _, err := c.j("ecr", "PutImageScanningConfiguration", map[string]any{"repositoryName": physical, "imageScanningConfiguration": lower(v)}); err != nil {
					return nil, err
				}
			}
			return nil, repository(c, physical, p)
		},
		delete: func(c *call, physical string, p props) error {
			_, err := c.j("ecr", "DeleteRepository", map[string]any{"repositoryName": physical, "force": truth(p["EmptyOnDelete"])})
			return gone(err)
		},
	}

	retention := func(c *call, name string, p props) error {
		v, ok := p["RetentionInDays"]
		if !ok {
			return nil
		}
		_, err := c.j("logs", "PutRetentionPolicy", map[string]any{"logGroupName": name, "retentionInDays": v})
		return err
	}
	handlers["AWS::Logs::LogGroup"] = &handler{
		name: "LogGroupName",
		create: func(c *call, p props) (string, props, error) {
			name := str(p, "LogGroupName")
			if name == "" {
				name = c.generated(512)
			}
			if _, err := c.j("logs", "CreateLogGroup", map[string]any{"logGroupName": name}); err != nil {
				return "", nil, err
			}
			return name, props{"Arn": c.arn("logs", "log-group:"+name+":*")}, retention(c, name, p)
		},
		update: func(c *call, physical string, old, p props) (props, error) { return nil, retention(c, physical, p) },
		delete: func(c *call, physical string, p props) error {
			_, err := c.j("logs", "DeleteLogGroup", map[string]any{"logGroupName": physical})
			return gone(err)
		},
	}

	alarm := func(c *call, name string, p props) error {
		params := maps.Clone(p)
		params["AlarmName"] = name
		_, err := c.q("monitoring", "PutMetricAlarm", params)
		return err
	}
	handlers["AWS::CloudWatch::Alarm"] = &handler{
		name: "AlarmName",
		create: func(c *call, p props) (string, props, error) {
			name := str(p, "AlarmName")
			if name == "" {
				name = c.generated(255)
			}
			return made(name, props{"Arn": c.arn("cloudwatch", "alarm:"+name)}, alarm(c, name, p))
		},
		update: func(c *call, physical string, old, p props) (props, error) { return nil, alarm(c, physical, p) },
		delete: func(c *call, physical string, p props) error {
			_, err := c.q("monitoring", "DeleteAlarms", map[string]any{"AlarmNames": []any{physical}})
			return gone(err)
		},
	}

	dashboard := func(c *call, name string, p props) error {
		_, err := c.q("monitoring", "PutDashboard", map[string]any{"DashboardName": name, "DashboardBody": p["DashboardBody"]})
		return err
	}
	handlers["AWS::CloudWatch::Dashboard"] = &handler{
		name: "DashboardName",
		create: func(c *call, p props) (string, props, error) {
			name := str(p, "DashboardName")
			if name == "" {
				name = c.generated(255)
			}
			return made(name, nil, dashboard(c, name, p))
		},
		update: func(c *call, physical string, old, p props) (props, error) { return nil, dashboard(c, physical, p) },
		delete: func(c *call, physical string, p props) error {
			_, err := c.q("monitoring", "DeleteDashboards", map[string]any{"DashboardNames": []any{physical}})
			return gone(err)
		},
	}

	handlers["AWS::S3::Bucket"] = &handler{
		name: "BucketName",
		create: func(c *call, p props) (string, props, error) {
			name := str(p, "BucketName")
			if name == "" {
				name = strings.ToLower(c.generated(63))
			}
			_, err := c.send(c.ctx, http.MethodPut, "s3", "/"+name, "", "", "")
			return made(name, props{"Arn": c.arn("s3", name), "DomainName": name + ".s3.amazonaws.com",
				"RegionalDomainName": name + ".s3." + c.region + ".amazonaws.com"}, err)
		},
		update: func(c *call, physical string, old, p props) (props, error) { return nil, nil },
		delete: func(c *call, physical string, p props) error {
			_, err := c.send(c.ctx, http.MethodDelete, "s3", "/"+physical, "", "", "")
			return gone(err)
		},
	}

	handlers["AWS::IAM::Role"] = &handler{
		name: "RoleName",
		create: func(c *call, p props) (string, props, error) {
			params := pick(p, "Description", "MaxSessionDuration", "Path", "Tags")
			name := str(p, "RoleName")
			if name == "" {
				name = c.generated(64)
			}
			params["RoleName"], params["AssumeRolePolicyDocument"] = name, document(p["AssumeRolePolicyDocument"])
			n, err := c.q("iam", "CreateRole", params)
			if err != nil {
				return "", nil, err
			}
			return name, props{"Arn": n.first("Arn"), "RoleId": n.first("RoleId")}, rolePolicies(c, name, nil, p)
		},
		update: func(c *call, physical string, old, p props) (props, error) {
			_, err := c.q("iam", "UpdateAssumeRolePolicy", map[string]any{"RoleName": physical, "PolicyDocument": document(p["AssumeRolePolicyDocument"])})
			if err != nil {
				return nil, err
			}
			return nil, rolePolicies(c, physical, old, p)
		},
		delete: func(c *call, physical string, p props) error {
			if err := rolePolicies(c, physical, p, nil); gone(err) != nil {
				return err
			}
			_, err := c.q("iam", "DeleteRole", map[string]any{"RoleName": physical})
			return gone(err)
		},
	}

	// The inline policy that CDK writes for the grants of a role.
	put := func(c *call, p props) error {
		for _, role := range asList(p["Roles"]) {
			_, err := c.q("iam", "PutRolePolicy", map[string]any{
				"RoleName": role, "PolicyName": p["PolicyName"], "PolicyDocument": document(p["PolicyDocument"])})
			if err != nil {
				return err
			}
		}
		return nil
	}
	remove := func(c *call, p props, but []any) error {
		for _, role := range asList(p["Roles"]) {
			if slices.Contains(but, role) {
				continue
			}
			_, err := c.q("iam", "DeleteRolePolicy", map[string]any{"RoleName": role, "PolicyName": p["PolicyName"]})
			if gone(err) != nil {
				return err
			}
		}
		return nil
	}
	handlers["AWS::IAM::Policy"] = &handler{
		create: func(c *call, p props) (string, props, error) {
			return str(p, "PolicyName"), props{"Id": str(p, "PolicyName")}, put(c, p)
		},
		update: func(c *call, physical string, old, p props) (props, error) {
			if err := put(c, p); err != nil {
				return nil, err
			}
			if old["PolicyName"] != p["PolicyName"] {
				return nil, remove(c, old, nil)
			}
			return nil, remove(c, old, asList(p["Roles"]))
		},
		delete: func(c *call, physical string, p props) error { return remove(c, p, nil) },
	}

	handlers["AWS::IAM::InstanceProfile"] = &handler{
		create: func(c *call, p props) (string, props, error) {
			name := str(p, "InstanceProfileName")
			if name == "" {
				name = c.generated(128)
			}
			n, err := c.q("iam", "CreateInstanceProfile", map[string]any{"InstanceProfileName": name})
			if err != nil {
				return "", nil, err
			}
			for _, role := range asList(p["Roles"]) {
				if _, err := c.q("iam", "AddRoleToInstanceProfile", map[string]any{"InstanceProfileName": name, "RoleName": role}); err != nil {
					return name, nil, err
				}
			}
			return name, props{"Arn": n.first("Arn")}, nil
		},
		delete: func(c *call, physical string, p props) error {
			for _, role := range asList(p["Roles"]) {
				_, err := c.q("iam", "RemoveRoleFromInstanceProfile", map[string]any{"InstanceProfileName": physical, "RoleName": role})
				if gone(err) != nil {
					return err
				}
			}
			_, err := c.q("iam", "DeleteInstanceProfile", map[string]any{"InstanceProfileName": physical})
			return gone(err)
		},
	}
}

// rolePolicies brings the inline and managed policies of a role from those of old to those of p.
func rolePolicies(c *call, role string, old, p props) error {
	inline := func(p props) map[string]string {
		out := map[string]string{}
		for _, x := range asList(p["Policies"]) {
			m, _ := x.(map[string]any)
			out[str(m, "PolicyName")] = document(m["PolicyDocument"])
		}
		return out
	}
	now := inline(p)
	for name := range inline(old) {
		if _, ok := now[name]; !ok {
			if _, err := c.q("iam", "DeleteRolePolicy", map[string]any{"RoleName": role, "PolicyName": name}); err != nil {
				return err
			}
		}
	}
	for name, doc := range now {
		if _, err := c.q("iam", "PutRolePolicy", map[string]any{"RoleName": role, "PolicyName": name, "PolicyDocument": doc}); err != nil {
			return err
		}
	}
	was, is := asList(old["ManagedPolicyArns"]), asList(p["ManagedPolicyArns"])
	for _, arn := range was {
		if !slices.Contains(is, arn) {
			if _, err := c.q("iam", "DetachRolePolicy", map[string]any{"RoleName": role, "PolicyArn": arn}); err != nil {
				return err
			}
		}
	}
	for _, arn := range is {
		if !slices.Contains(was, arn) {
			if _, err := c.q("iam", "AttachRolePolicy", map[string]any{"RoleName": role, "PolicyArn": arn}); err != nil {
				return err
			}
		}
	}
	return nil
}

// document is a policy document as the API wants it, in a string.
func document(v tree) string {
	if s, ok := v.(string); ok {
		return s
	}
	return encode(v)
}

func asList(v tree) []any {
	l, _ := v.([]any)
	return l
}
