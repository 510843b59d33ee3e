package ecs

import (
	"encoding/json"
	"time"

	"cutover/internal/model"
)

// ServiceSpec is what the scheduler needs of a [model.Service]. Fields have the
// meaning that they have there, if nothing else is said.
type ServiceSpec struct {
	// Key identifies the service in its assembly: "stack/logical id".
	Key, Name string
	// Cluster is the key or the name of the cluster.
	Cluster                               string
	DesiredCount                          *int
	MinimumHealthyPercent, MaximumPercent int
	CircuitBreaker                        CircuitBreaker
	HealthCheckGracePeriod                time.Duration
	LoadBalancers                         []LoadBalancer
	TaskDefinition                        TaskDefinition
	// Scaling is nil if the service does not scale.
	Scaling *Scaling `json:"-"`
}

// bounds are those of [model.Bounds].
func (s *ServiceSpec) bounds(desired int) (lower, upper int) {
	return model.Bounds(s.MinimumHealthyPercent, s.MaximumPercent, desired)
}

// same says whether CloudFormation would find nothing to update about the service.
func (s ServiceSpec) same(other ServiceSpec) bool {
	// As in revision.
	mine, _ := json.Marshal(s)
	theirs, _ := json.Marshal(other)
	return string(mine) == string(theirs)
}

// revision identifies what a deployment rolls out: two specs with the same
// revision need no new tasks.
func (s ServiceSpec) revision() string {
	// Marshalling cannot fail: the types hold neither channels nor cycles.
	data, _ := json.Marshal(struct {
		LoadBalancers []LoadBalancer
		Definition    TaskDefinition
	}{s.LoadBalancers, s.TaskDefinition})
	return string(data)
}

// LoadBalancer registers a container's port with a target group.
type LoadBalancer struct {
	Container string
	Port      int
	// TargetGroup is the key of the target group: "stack/logical id".
	TargetGroup string
}

// The parts of a task definition are the model's.
type (
	TaskDefinition      = model.TaskDefinition
	ContainerDefinition = model.Container
	Variable            = model.Variable
	Ulimit              = model.Ulimit
	Image               = model.Image
	HealthCheck         = model.ContainerHealthCheck
	CircuitBreaker      = model.CircuitBreaker
	Threshold           = model.Threshold
)

// specOf takes out of a service of the model what is scheduled. Nothing of the service
// may be refused.
func specOf(s *model.Service) ServiceSpec {
	spec := ServiceSpec{
		Key: s.Key(), Name: s.Name, Cluster: s.ClusterID, DesiredCount: s.DesiredCount,
		MinimumHealthyPercent: s.MinimumHealthyPercent, MaximumPercent: s.MaximumPercent, CircuitBreaker: s.CircuitBreaker,
		HealthCheckGracePeriod: s.HealthCheckGracePeriod, TaskDefinition: *s.TaskDefinition,
	}
	for _, lb := range s.LoadBalancers {
		spec.LoadBalancers = append(spec.LoadBalancers, LoadBalancer{lb.Container, lb.Port, lb.TargetGroup.Key()})
	}
	if s.Scaling == nil {
		return spec
	}
	spec.Scaling = &Scaling{Min: s.Scaling.Min, Max: s.Scaling.Max}
	for _, p := range s.Scaling.Policies {
		policy := ScalingPolicy{Metric: p.Metric, Target: p.TargetValue, OutOnly: p.OutOnly, OutCooldown: p.OutCooldown, InCooldown: p.InCooldown}
		if p.Metric == MetricRequests {
			policy.TargetGroup = spec.LoadBalancers[0].TargetGroup
		}
		spec.Scaling.Policies = append(spec.Scaling.Policies, policy)
	}
	return spec
}
