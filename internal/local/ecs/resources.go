package ecs

import "cutover/internal/model"

// instanceName stands for the id of the instance that tasks have to fit on.
const instanceName = "local"

// lacks returns what there is not enough of on the instance for one more task.
// Empty if there is, or if there is no instance to fit on.
func (s *Scheduler) lacks(d *model.TaskDefinition) string {
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
