package ecs

import (
	"slices"
	"testing"
	"testing/synctest"

	"cutover/internal/model"
)

// given gives each container a variable with its task, and says which tasks were forgotten.
type given struct{ forgotten chan string }

func (g given) Variables(task string, _ *model.TaskDefinition, c model.Container) []model.Variable {
	return []model.Variable{{Name: "TASK_OF_" + c.Name, Value: task, Here: true}}
}
func (g given) Forget(task string) { g.forgotten <- task }

// TestAccess: each container of a task gets the variables of its access, and the access hears of the end.
func TestAccess(t *testing.T) {
	t.Parallel()
	d := &model.TaskDefinition{Containers: []model.Container{
		{Name: "a", Environment: []model.Variable{{Name: "OWN"}}}, {Name: "b"},
	}}
	whole := equipped(given{}, "1", d)
	for i, want := range [][]string{{"OWN", "TASK_OF_a"}, {"TASK_OF_b"}} {
		var names []string
		for _, v := range whole.Containers[i].Environment {
			names = append(names, v.Name)
		}
		if !slices.Equal(names, want) {
			t.Errorf("container %d gets %v, not %v", i, names, want)
		}
	}
	if len(d.Containers[0].Environment) != 1 || len(d.Containers[1].Environment) != 0 {
		t.Error("the definition of all tasks has changed")
	}
	if got := ToThisMachine(whole.Containers[0]); !slices.Equal(got, []string{"TASK_OF_a"}) {
		t.Errorf("%v lead to this machine", got)
	}
}

// TestAccessOfATask: a driver sees the variables, and the access hears of the task's end.
func TestAccessOfATask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		g := given{make(chan string, 1)}
		w.options.Access = g
		result := w.RunTask(t.Context(), "stack/Nightly", "nightly", team("app done").TaskDefinition)
		if task := <-g.forgotten; task != result.Task {
			t.Errorf("task %s was forgotten, and not %s", task, result.Task)
		}
		for _, c := range []model.Container{w.started[0].Definition, w.started[0].TaskDefinition.Containers[0]} {
			if i := slices.IndexFunc(c.Environment, func(v model.Variable) bool { return v.Name == "TASK_OF_app" && v.Value == result.Task }); i < 0 {
				t.Errorf("the container has %v", c.Environment)
			}
		}
	})
}
