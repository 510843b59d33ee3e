package cloudformation

import "strings"

const elb = "elasticloadbalancing"

// Properties that a change of a target group or a listener sets.
var (
	healthCheck = []string{"HealthCheckEnabled", "HealthCheckIntervalSeconds", "HealthCheckPath", "HealthCheckPort", "HealthCheckProtocol",
		"HealthCheckTimeoutSeconds", "HealthyThresholdCount", "UnhealthyThresholdCount", "Matcher"}
	listening = []string{"Port", "Protocol", "SslPolicy", "Certificates", "DefaultActions", "AlpnPolicy"}
)

// The resource types of load balancing.
var balancing = map[string]*handler{
	"AWS::ElasticLoadBalancingV2::LoadBalancer": {
		ref:   "LoadBalancerArn",
		same:  []string{"SecurityGroups"},
		name:  "Name",
		limit: 32,
		create: func(c *call, p props) string {
			n := c.do(elb, "CreateLoadBalancer", with(
				pick(p, "Scheme", "SecurityGroups", "Subnets", "SubnetMappings", "Type", "IpAddressType", "Tags"), props{"Name": c.id}))
			return describedBalancer(c, n)
		},
		update: func(c *call, old, p props) {
			for _, name := range []string{"SecurityGroups", "Subnets"} {
				if differ(old, p, name) {
					c.do(elb, "Set"+name, props{"LoadBalancerArn": c.id, name: p[name]})
				}
			}
		},
		configure: attributes("LoadBalancer"),
		find:      func(c *call) { describedBalancer(c, described(c, "LoadBalancer")) },
		delete:    deleted(elb, "DeleteLoadBalancer", "LoadBalancerArn"),
	},
	"AWS::ElasticLoadBalancingV2::TargetGroup": {
		ref:   "TargetGroupArn",
		name:  "Name",
		limit: 32,
		create: func(c *call, p props) string {
			params := pick(p, append([]string{"Port", "Protocol", "ProtocolVersion", "TargetType", "VpcId", "IpAddressType", "Tags"}, healthCheck...)...)
			return describedGroup(c, c.do(elb, "CreateTargetGroup", with(params, props{"Name": c.id})))
		},
		update: func(c *call, _, p props) {
			c.do(elb, "ModifyTargetGroup", with(pick(p, healthCheck...), props{"TargetGroupArn": c.id}))
		},
		configure: func(c *call, old, p props) {
			attributes("TargetGroup")(c, old, p)
			functionsOf(c, old, p)
		},
		find:   func(c *call) { describedGroup(c, described(c, "TargetGroup")) },
		delete: deleted(elb, "DeleteTargetGroup", "TargetGroupArn"),
	},
	"AWS::ElasticLoadBalancingV2::Listener": {
		ref:    "ListenerArn",
		create: created(elb, "CreateListener", "ListenerArn", append([]string{"LoadBalancerArn"}, listening...)...),
		update: func(c *call, _, p props) {
			c.do(elb, "ModifyListener", with(pick(p, listening...), props{"ListenerArn": c.id}))
		},
		configure: attributes("Listener"),
		find:      func(c *call) { described(c, "Listener") },
		delete:    deleted(elb, "DeleteListener", "ListenerArn"),
	},
	"AWS::ElasticLoadBalancingV2::ListenerRule": {
		ref: "RuleArn",
		create: func(c *call, p props) string {
			c.attrs["IsDefault"] = false
			return c.do(elb, "CreateRule", pick(p, "ListenerArn", "Priority", "Conditions", "Actions")).first("RuleArn")
		},
		update: func(c *call, old, p props) {
			if differ(old, p, "Priority") {
				c.do(elb, "SetRulePriorities", props{"RulePriorities": []any{props{"RuleArn": c.id, "Priority": p["Priority"]}}})
			}
			c.do(elb, "ModifyRule", with(pick(p, "Conditions", "Actions"), props{"RuleArn": c.id}))
		},
		find: func(c *call) {
			c.attrs["IsDefault"] = false
			described(c, "Rule")
		},
		delete: deleted(elb, "DeleteRule", "RuleArn"),
	},
}

// described is the answer about one load balancer, target group, listener or rule, with the physical id as its ARN. It fails if
// there is none.
func described(c *call, kind string) *node {
	n := c.do(elb, "Describe"+kind+"s", props{kind + "Arns": []any{c.id}})
	if n.first(kind+"Arn") != c.id {
		c.refuse(kind+"NotFound", "One or more %ss not found", strings.ToLower(kind))
	}
	return n
}

// describedBalancer keeps the attributes of a load balancer, and returns its ARN.
func describedBalancer(c *call, n *node) string {
	arn := n.first("LoadBalancerArn")
	_, full, _ := strings.Cut(arn, "loadbalancer/")
	c.attrs = props{"DNSName": n.first("DNSName"), "LoadBalancerName": n.first("LoadBalancerName"), "LoadBalancerFullName": full,
		"CanonicalHostedZoneID": n.first("CanonicalHostedZoneId")}
	return arn
}

// describedGroup keeps the attributes of a target group, and returns its ARN.
func describedGroup(c *call, n *node) string {
	arn := n.first("TargetGroupArn")
	_, full, _ := strings.Cut(arn, ":targetgroup/")
	c.attrs = props{"TargetGroupName": n.first("TargetGroupName"), "TargetGroupFullName": "targetgroup/" + full}
	return arn
}

// attributes returns a configure that sets the list of attributes of a load balancer, target group or listener.
func attributes(kind string) func(c *call, old, p props) {
	return func(c *call, _, p props) {
		if list := items(p, kind+"Attributes"); len(list) > 0 {
			c.do(elb, "Modify"+kind+"Attributes", props{kind + "Arn": c.id, "Attributes": list})
		}
	}
}

// functionsOf changes the function that is the target of a group. The targets of other groups register themselves.
func functionsOf(c *call, old, p props) {
	if str(p, "TargetType") != "lambda" {
		return
	}
	if removed := without(ids(old), ids(p)); len(removed) > 0 {
		c.do(elb, "DeregisterTargets", props{"TargetGroupArn": c.id, "Targets": targets(removed)})
	}
	if added := without(ids(p), ids(old)); len(added) > 0 {
		for _, id := range added {
			mayInvoke(c, text(id), c.id)
		}
		c.do(elb, "RegisterTargets", props{"TargetGroupArn": c.id, "Targets": targets(added)})
	}
}

// ids are those of the targets of a group.
func ids(p props) (all []any) {
	for _, target := range items(p, "Targets") {
		target, _ := target.(props)
		all = append(all, str(target, "Id"))
	}
	return all
}

func targets(ids []any) (all []any) {
	for _, id := range ids {
		all = append(all, props{"Id": id})
	}
	return all
}

// forwardedTo returns the target groups of all listeners' default actions and rules.
func forwardedTo(c *call) map[string]bool {
	found := map[string]bool{}
	for _, lb := range c.do(elb, "DescribeLoadBalancers", nil).all("LoadBalancerArn") {
		for _, l := range c.do(elb, "DescribeListeners", props{"LoadBalancerArn": lb.Text}).all("ListenerArn") {
			for _, g := range c.do(elb, "DescribeRules", props{"ListenerArn": l.Text}).all("TargetGroupArn") {
				found[strings.TrimSpace(g.Text)] = true
			}
		}
	}
	return found
}
