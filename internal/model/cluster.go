package model

import "cutover/internal/assembly"

// Cluster is an ECS cluster.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-ecs-cluster.html
type Cluster struct {
	Base
	Name string
	// ContainerInsights is enabled, enhanced or disabled; empty: the account decides.
	ContainerInsights string
}

func (c *Cluster) read(p assembly.Value) {
	c.Name = name(&c.Base, p.Field("ClusterName"))
	for _, setting := range p.Field("ClusterSettings").List() {
		if value := setting.Field("Value"); setting.Field("Name").Text("") == "containerInsights" {
			c.ContainerInsights = value.Text("disabled")
		}
	}
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
