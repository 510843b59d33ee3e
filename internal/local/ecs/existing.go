package ecs

import (
	"slices"
	"time"

	"cutover/internal/model"
)

// startPeriod is how long a command that stands for a target group may take to answer.
const startPeriod = 5 * time.Minute

// standIn is a service of one task that stands for a target group that exists already: a command of the user with the group's
// name. It is no service of the assembly.
func standIn(group *model.TargetGroup) *model.Service {
	base := model.Base{Resource: group.Resource}
	port := max(group.Port, 1)
	c := model.Container{
		Name: group.Name, Essential: true, MemoryReservationMiB: 4, StopTimeout: 30 * time.Second, Ports: []model.Port{{Container: port, Protocol: "tcp"}},
	}
	return &model.Service{
		Base: base, Name: group.Name, DesiredCount: new(1), LaunchType: "EC2", Scheduling: "REPLICA", Controller: "ECS", Strategy: "ROLLING",
		MinimumHealthyPercent: 100, MaximumPercent: 200, CircuitBreaker: model.CircuitBreaker{Enable: true}, HealthCheckGracePeriod: startPeriod,
		TaskDefinition: &model.TaskDefinition{Base: base, Family: group.Name, NetworkMode: "bridge", OperatingSystem: "LINUX", Containers: []model.Container{c}},
		LoadBalancers:  []model.ServiceLoadBalancer{{Container: group.Name, Port: port, TargetGroup: group}},
	}
}

// standIns are the services that stand for the target groups of a model for which a command is given.
func (p *Provider) standIns(m *model.Model) (all []*model.Service) {
	for _, group := range m.TargetGroups {
		if group.Existing() && slices.Contains(p.given.Replaced, group.Name) {
			all = append(all, standIn(group))
		}
	}
	return all
}
