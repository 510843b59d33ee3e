package cloudformation

import (
	"strconv"
	"strings"
)

// scaling provisions the scaling of ECS services. Nothing is measured here, so that policies exist and do nothing.
func scaling(handlers map[string]*handler) {
	const service = "application-autoscaling"
	identity := []string{"ServiceNamespace", "ResourceId", "ScalableDimension"}
	// register brings the count between the bounds, which moto's own does not do.
	register := func(c *call, p props) error {
		if _, err := c.j(service, "RegisterScalableTarget", pick(p, append([]string{"MinCapacity", "MaxCapacity", "RoleARN", "SuspendedState"}, identity...)...)); err != nil {
			return err
		}
		id := strings.Split(str(p, "ResourceId"), "/") // service/CLUSTER/SERVICE
		if str(p, "ServiceNamespace") != "ecs" || len(id) != 3 {
			return nil
		}
		out, err := c.j("ecs", "DescribeServices", map[string]any{"cluster": id[1], "services": []any{id[2]}})
		if err != nil {
			return err
		}
		for _, s := range asList(out["services"]) {
			m, _ := s.(map[string]any)
			number := func(v any) int { n, _ := strconv.Atoi(text(v)); return n }
			desired := number(m["desiredCount"])
			if within := min(max(desired, number(p["MinCapacity"])), number(p["MaxCapacity"])); within != desired {
				if _, err := c.j("ecs", "UpdateService", map[string]any{"cluster": id[1], "service": id[2], "desiredCount": within}); err != nil {
					return err
				}
			}
		}
		return nil
	}
	handlers["AWS::ApplicationAutoScaling::ScalableTarget"] = &handler{
		create: func(c *call, p props) (string, props, error) {
			id := str(p, "ResourceId") + "|" + str(p, "ScalableDimension") + "|" + str(p, "ServiceNamespace")
			return made(id, props{"Id": id}, register(c, p))
		},
		update: func(c *call, physical string, old, p props) (props, error) { return nil, register(c, p) },
		delete: func(c *call, physical string, p props) error {
			_, err := c.j(service, "DeregisterScalableTarget", pick(p, identity...))
			return gone(err)
		},
	}

	policy := func(p props) map[string]any {
		params := pick(p, append([]string{"PolicyName"}, identity...)...)
		if target := strings.Split(str(p, "ScalingTargetId"), "|"); len(target) == 3 {
			params["ResourceId"], params["ScalableDimension"], params["ServiceNamespace"] = target[0], target[1], target[2]
		}
		return params
	}
	put := func(c *call, p props) (string, error) {
		params := policy(p)
		for name, value := range pick(p, "PolicyType", "TargetTrackingScalingPolicyConfiguration", "StepScalingPolicyConfiguration") {
			params[name] = value
		}
		out, err := c.j(service, "PutScalingPolicy", params)
		return text(out["PolicyARN"]), err
	}
	handlers["AWS::ApplicationAutoScaling::ScalingPolicy"] = &handler{
		name: "PolicyName",
		create: func(c *call, p props) (string, props, error) {
			arn, err := put(c, p)
			return made(arn, props{"Arn": arn}, err)
		},
		update: func(c *call, physical string, old, p props) (props, error) {
			_, err := put(c, p)
			return nil, err
		},
		delete: func(c *call, physical string, p props) error {
			_, err := c.j(service, "DeleteScalingPolicy", policy(p))
			return gone(err)
		},
	}
}
