package stacks

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"cutover/config"
)

// core is what answers requests: the network, the cluster, the load balancers and
// the services.
type core struct {
	scope    constructs.Construct
	d        config.Deployment
	s        config.Settings
	cluster  *Cluster
	routings []*Routing
	// services are their stacks, the monolith's first.
	services []awscdk.Stack
}

// AddCore adds the stacks of the core, as [Add] does, and no others.
func AddCore(scope constructs.Construct, d config.Deployment, s config.Settings, images func() (map[string]string, error)) error {
	tagEnvironment(scope, s)
	return newCore(scope, d, s).addServices(images, nil)
}

// newCore adds the network, the cluster and the load balancers.
func newCore(scope constructs.Construct, d config.Deployment, s config.Settings) *core {
	c := &core{scope: scope, d: d, s: s}
	network := NewNetwork(scope, s)
	c.cluster = NewCluster(scope, s, network)
	var first *Alarms
	for _, balancer := range d.Plan(s).Balancers {
		c.routings = append(c.routings, NewRouting(scope, s, balancer, network, first))
		first = c.routings[0].Alarms
	}
	return c
}

// addServices adds the services' stacks, with images that [Add] describes. With a
// registry, the services wait for it.
func (c *core) addServices(images func() (map[string]string, error), registry awscdk.Stack) error {
	alike := newAlike(c.scope, c.s, c.cluster)
	contexts, err := images()
	if err != nil {
		return err
	}
	tasks := c.d.Plan(c.s).Tasks
	for i, service := range c.d.All() {
		behind, monolith := c.routings, "" // the monolith, which comes first
		if i > 0 {
			behind, monolith = nil, c.d.Monolith.Name
			for _, routing := range c.routings {
				if routing.Name == service.LoadBalancer {
					behind = []*Routing{routing}
				}
			}
		}
		stack := NewService(c.scope, c.s, &ServiceProps{
			Service:  service,
			Monolith: monolith,
			Tasks:    tasks[service.Name],
			Context:  contexts[service.Name],
			Alike:    alike,
			Routings: behind,
		})
		if registry != nil {
			stack.AddStackDependency(registry, jsii.String("its image is pushed to its repository"))
		}
		for _, routing := range behind {
			stack.AddStackDependency(routing.Stack, jsii.String("a service needs a target group that a listener uses"))
		}
		c.services = append(c.services, stack)
	}
	return nil
}
