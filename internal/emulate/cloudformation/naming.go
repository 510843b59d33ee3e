package cloudformation

import "slices"

// The resource types of AWS Cloud Map.
var naming = map[string]*handler{
	"AWS::ServiceDiscovery::HttpNamespace":       namespace("CreateHttpNamespace", "HTTP"),
	"AWS::ServiceDiscovery::PrivateDnsNamespace": namespace("CreatePrivateDnsNamespace", "DNS_PRIVATE"),
	"AWS::ServiceDiscovery::Service": {
		ref:  "Id",
		name: "Name",
		create: func(c *call, p props) string {
			space := str(p, "NamespaceId")
			if named(c, "ListServices", func(n *node) bool { return n.first("Name") == c.id && n.first("NamespaceId") == space }) != "" {
				c.refuse("AlreadyExists", "Service already exists.")
			}
			n := c.do("servicediscovery", "CreateService", with(pick(p, "NamespaceId", "DnsConfig", "HealthCheckConfig", "HealthCheckCustomConfig",
				"Description", "Type", "Tags"), props{"Name": c.id, "CreatorRequestId": c.id}))
			c.attrs["Arn"] = n.first("Arn")
			return n.first("Id")
		},
		update: func(c *call, _, p props) {
			c.do("servicediscovery", "UpdateService", props{"Id": c.id, "Service": pick(p, "DnsConfig", "HealthCheckConfig", "Description")})
		},
		delete: func(c *call, _ props) {
			for _, s := range activeServices(c) {
				for _, registry := range s.all("registryArn") {
					if registry.Text == c.arn("servicediscovery", "service/"+c.id) {
						c.refuse("ResourceInUse", "Service contains registered instances; delete the instances before deleting the service")
					}
				}
			}
			c.drop("servicediscovery", "DeleteService", props{"Id": c.id})
		},
	},
}

// namespace is a handler of namespaces of a type. AWS deletes none that a service is in, and a VPC has a
// domain once.
func namespace(action, kind string) *handler {
	return &handler{
		ref:  "Id",
		name: "Name",
		create: func(c *call, p props) string {
			params := with(pick(p, "Vpc", "Description", "Tags", "Properties"), props{"Name": c.id, "CreatorRequestId": c.id})
			if named(c, "ListNamespaces", func(n *node) bool { return n.first("Name") == c.id && n.first("Type") == kind }) != "" {
				c.refuse("AlreadyExists", "Namespace already exists.")
			}
			done := c.do("servicediscovery", "GetOperation", props{"OperationId": c.do("servicediscovery", action, params).first("OperationId")})
			id := done.first("NAMESPACE")
			c.attrs["Arn"] = c.arn("servicediscovery", "namespace/"+id)
			return id
		},
		update: tagsOnly,
		delete: func(c *call, p props) {
			inside := named(c, "ListServices", func(n *node) bool { return n.first("NamespaceId") == c.id })
			connected := slices.ContainsFunc(activeServices(c), func(s node) bool {
				return kind == "HTTP" && slices.ContainsFunc(s.all("namespace"), func(n *node) bool { return n.Text == str(p, "Name") })
			})
			if inside != "" || connected {
				c.refuse("ResourceInUse", "Namespace %s contains services; delete the services before deleting the namespace", c.id)
			}
			c.drop("servicediscovery", "DeleteNamespace", props{"Id": c.id})
		},
	}
}

// named returns the id of the first element in the answer of a list that fits; empty if none does.
func named(c *call, action string, fits func(*node) bool) string {
	for _, list := range c.do("servicediscovery", action, props{}).Children {
		for i := range list.Children {
			if fits(&list.Children[i]) {
				return list.Children[i].first("Id")
			}
		}
	}
	return ""
}

// activeServices describes the ECS services of all clusters that are not deleted.
func activeServices(c *call) (all []node) {
	for _, cluster := range c.do("ecs", "ListClusters", props{}).all("clusterArns") {
		for _, arn := range cluster.Children {
			for _, list := range c.do("ecs", "ListServices", props{"cluster": arn.Text}).all("serviceArns") {
				for _, service := range list.Children {
					all = append(all, slices.DeleteFunc(describeServices(c, arn.Text, service.Text), func(s node) bool { return s.first("status") != "ACTIVE" })...)
				}
			}
		}
	}
	return all
}
