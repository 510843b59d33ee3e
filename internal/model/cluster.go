package model

import "cutover/internal/assembly"

// Cluster is an ECS cluster.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-ecs-cluster.html
type Cluster struct {
	Base
	Name string
	// ContainerInsights is enabled, enhanced or disabled; empty: the account decides.
	ContainerInsights string
	// Namespace is the default one of Service Connect; nil if there is none, or not in the assembly.
	// NamespaceID is its key or the template's text.
	Namespace   *Namespace
	NamespaceID string
}

func (m *Model) cluster(c *Cluster, p assembly.Value) {
	c.Name = name(&c.Base, p.Field("ClusterName"))
	for _, setting := range p.Field("ClusterSettings").List() {
		if value := setting.Field("Value"); setting.Field("Name").Text("") == "containerInsights" {
			c.ContainerInsights = value.Text("disabled")
		}
	}
	c.Namespace, c.NamespaceID = m.namespaceOf(c.Resource, p.Field("ServiceConnectDefaults").Field("Namespace"))
}

// CapacityProvider gives the instances of an Auto Scaling group to clusters.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-ecs-capacityprovider.html
type CapacityProvider struct {
	Base
	// TerminationProtection keeps instances that have tasks from being scaled in. Default false.
	TerminationProtection bool
}

func (c *CapacityProvider) read(p assembly.Value) {
	protection := p.Field("AutoScalingGroupProvider").Field("ManagedTerminationProtection")
	c.TerminationProtection = protection.OneOf("DISABLED", "ENABLED") == "ENABLED"
}
