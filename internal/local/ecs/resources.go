package ecs

import (
	"cmp"

	"cutover/internal/capacity"
)

// instanceName stands for the id of the instance that tasks have to fit on.
const instanceName = "local"

// Reserves returns what a task takes of its instance, whether it uses it or not:
// of memory the soft limit of each container, or the hard one of those without
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html).
func (d TaskDefinition) Reserves() capacity.Resources {
	var sum capacity.Resources
	for _, c := range d.Containers {
		sum.CPU += cmp.Or(c.CPULimit, c.CPUShares)
		sum.MemoryMiB += cmp.Or(c.MemoryReservationMiB, c.MemoryMiB)
		sum.Ports += len(c.Ports)
	}
	return sum
}

// lacks returns what there is not enough of on the instance for one more task.
// Empty if there is, or if there is no instance to fit on.
func (s *Scheduler) lacks(d TaskDefinition) string {
	if s.options.Instance == nil {
		return ""
	}
	left := *s.options.Instance
	for _, v := range s.services {
		for _, t := range v.tasks {
			left = left.Plus(t.deployment.definition.Reserves().Times(-1))
		}
	}
	if tasks, limit := left.Room(d.Reserves()); tasks == 0 {
		return limit
	}
	return ""
}
