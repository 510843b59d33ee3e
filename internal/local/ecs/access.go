package ecs

import (
	"slices"

	"cutover/internal/model"
)

// Access gives the containers of a task variables besides those of its definition, such as credentials of the
// task. Its methods must return at once.
type Access interface {
	// Variables returns what a container of the task gets.
	Variables(task string, d *model.TaskDefinition, c model.Container) []model.Variable
	// Forget is called when the task has ended.
	Forget(task string)
}

// nothing is the access of a scheduler without one.
type nothing struct{}

func (nothing) Variables(string, *model.TaskDefinition, model.Container) []model.Variable { return nil }
func (nothing) Forget(string)                                                             {}

// equipped returns the definition of a task with the task's own variables.
func equipped(by Access, task string, of *model.TaskDefinition) *model.TaskDefinition {
	d := *of
	d.Containers = slices.Clone(of.Containers)
	for i, c := range of.Containers {
		d.Containers[i].Environment = slices.Concat(c.Environment, by.Variables(task, of, c))
	}
	return &d
}
