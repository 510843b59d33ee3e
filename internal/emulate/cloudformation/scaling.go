package cloudformation

import (
	"strconv"
	"strings"
)

const autoScaling = "application-autoscaling"

// scalableTarget are the properties that name a scalable target.
var scalableTarget = []string{"ServiceNamespace", "ResourceId", "ScalableDimension"}

// The resource types of a service's scaling. The emulator measures nothing, so policies exist and
// do nothing.
var scaling = map[string]*handler{
	"AWS::ApplicationAutoScaling::ScalableTarget": {
		ref: "Id",
		put: func(c *call, p props) string {
			c.do(autoScaling, "RegisterScalableTarget", pick(p, append([]string{"MinCapacity", "MaxCapacity", "RoleARN", "SuspendedState"}, scalableTarget...)...))
			bringWithinBounds(c, p)
			return str(p, "ResourceId") + "|" + str(p, "ScalableDimension") + "|" + str(p, "ServiceNamespace")
		},
		delete: func(c *call, p props) { c.do(autoScaling, "DeregisterScalableTarget", pick(p, scalableTarget...)) },
	},
	"AWS::ApplicationAutoScaling::ScalingPolicy": {
		ref:  "Arn",
		name: "PolicyName",
		put: func(c *call, p props) string {
			return c.do(autoScaling, "PutScalingPolicy", with(scalingPolicy(p),
				pick(p, "PolicyType", "TargetTrackingScalingPolicyConfiguration", "StepScalingPolicyConfiguration"))).first("PolicyARN")
		},
		delete: func(c *call, p props) { c.do(autoScaling, "DeleteScalingPolicy", scalingPolicy(p)) },
	},
}

// bringWithinBounds changes a service's desired count to one between the bounds of its target, which moto does not do.
func bringWithinBounds(c *call, p props) {
	id := strings.Split(str(p, "ResourceId"), "/") // service/CLUSTER/SERVICE
	if str(p, "ServiceNamespace") != "ecs" || len(id) != 3 {
		return
	}
	number := func(digits string) int { n, _ := strconv.Atoi(digits); return n }
	for _, s := range describeServices(c, id[1], id[2]) {
		desired := number(s.first("desiredCount"))
		if within := min(max(desired, number(str(p, "MinCapacity"))), number(str(p, "MaxCapacity"))); within != desired {
			c.do("ecs", "UpdateService", props{"cluster": id[1], "service": id[2], "desiredCount": within})
		}
	}
}

// scalingPolicy names a policy and its target as the API does.
func scalingPolicy(p props) props {
	params := pick(p, append([]string{"PolicyName"}, scalableTarget...)...)
	if target := strings.Split(str(p, "ScalingTargetId"), "|"); len(target) == 3 {
		params["ResourceId"], params["ScalableDimension"], params["ServiceNamespace"] = target[0], target[1], target[2]
	}
	return params
}
