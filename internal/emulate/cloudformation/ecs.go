package cloudformation

// The resource types of ECS.
var containers = map[string]*handler{
	"AWS::ECS::Cluster": {
		name: "ClusterName",
		create: func(c *call, p props) string {
			params := with(pick(p, "Configuration", "CapacityProviders", "DefaultCapacityProviderStrategy", "Tags"),
				props{"ClusterName": c.id, "Settings": p["ClusterSettings"]})
			c.attrs["Arn"] = c.do("ecs", "CreateCluster", lower(params)).first("clusterArn")
			return c.id
		},
		update: func(c *call, _, p props) {
			c.do("ecs", "UpdateCluster", lower(props{"Cluster": c.id, "Settings": p["ClusterSettings"], "Configuration": p["Configuration"]}))
		},
		delete: deleted("ecs", "DeleteCluster", "cluster"),
	},
	"AWS::ECS::CapacityProvider": {
		name: "Name",
		create: func(c *call, p props) string {
			c.do("ecs", "CreateCapacityProvider", lower(with(pick(p, "AutoScalingGroupProvider", "Tags"), props{"Name": c.id})))
			return c.id
		},
		update: func(c *call, _, p props) {
			params := lower(with(pick(p, "AutoScalingGroupProvider"), props{"Name": c.id}))
			change, _ := params["autoScalingGroupProvider"].(props)
			delete(change, "autoScalingGroupArn")
			c.do("ecs", "UpdateCapacityProvider", params)
		},
		delete: deleted("ecs", "DeleteCapacityProvider", "capacityProvider"),
	},
	"AWS::ECS::ClusterCapacityProviderAssociations": {
		put: func(c *call, p props) string {
			c.do("ecs", "PutClusterCapacityProviders", lower(pick(p, "Cluster", "CapacityProviders", "DefaultCapacityProviderStrategy")))
			return str(p, "Cluster")
		},
		delete: func(c *call, p props) {
			c.do("ecs", "PutClusterCapacityProviders", props{"cluster": c.id, "capacityProviders": []any{}, "defaultCapacityProviderStrategy": []any{}})
		},
	},
	"AWS::ECS::TaskDefinition": {
		ref: "TaskDefinitionArn",
		create: func(c *call, p props) string {
			return c.do("ecs", "RegisterTaskDefinition", lower(with(props{"Family": c.id}, p))).first("taskDefinitionArn")
		},
		delete: deleted("ecs", "DeregisterTaskDefinition", "taskDefinition"),
	},
	"AWS::ECS::Service": {
		ref:  "ServiceArn",
		name: "ServiceName",
		create: func(c *call, p props) string {
			c.attrs["Name"] = c.id
			refuseUnattached(c, p)
			for _, s := range describeServices(c, p["Cluster"], c.id) {
				if s.first("status") == "ACTIVE" {
					c.refuse("AlreadyExists", "Creation of service was not idempotent.")
				}
			}
			params := with(props{"DesiredCount": 1, "PlacementStrategy": p["PlacementStrategies"]}, p)
			delete(params, "PlacementStrategies") // the API has another name for them
			return c.do("ecs", "CreateService", lower(with(params, props{"ServiceName": c.id}))).first("serviceArn")
		},
		// Follows a creation as well: moto's CreateService drops what its UpdateService keeps.
		configure: func(c *call, _, p props) {
			refuseUnattached(c, p)
			// What is left out of a template is taken away from the service.
			params := with(props{"ServiceConnectConfiguration": props{"Enabled": false}, "ServiceRegistries": []any{}}, p)
			params = pick(params, "Cluster", "TaskDefinition", "DesiredCount", "LoadBalancers", "CapacityProviderStrategy", "DeploymentConfiguration",
				"HealthCheckGracePeriodSeconds", "EnableECSManagedTags", "EnableExecuteCommand", "PropagateTags", "PlacementConstraints",
				"AvailabilityZoneRebalancing", "ServiceConnectConfiguration", "ServiceRegistries", "NetworkConfiguration")
			if strategy, ok := p["PlacementStrategies"]; ok {
				params["PlacementStrategy"] = strategy
			}
			c.do("ecs", "UpdateService", lower(with(params, props{"Service": c.id})))
		},
		delete: func(c *call, p props) {
			c.do("ecs", "DeleteService", props{"cluster": p["Cluster"], "service": c.id, "force": true})
		},
	},
}

// describeServices returns the service of a cluster by its name, or nothing.
func describeServices(c *call, cluster any, name string) []node {
	var found []node
	for _, list := range c.do("ecs", "DescribeServices", props{"cluster": cluster, "services": []any{name}}).all("services") {
		found = append(found, list.Children...)
	}
	return found
}

// refuseUnattached fails if no listener and no rule forwards to a target group of the service, as
// ECS does.
func refuseUnattached(c *call, p props) {
	for _, lb := range items(p, "LoadBalancers") {
		lb, _ := lb.(props)
		if group := str(lb, "TargetGroupArn"); group != "" && !forwardedTo(c)[group] {
			c.refuse("InvalidRequest", "The target group with targetGroupArn %s does not have an associated load balancer.", group)
		}
	}
}
