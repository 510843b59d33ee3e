package ecs

import (
	"context"

	"cutover/internal/model"
)

// TaskResult says how a task that belongs to no service has ended.
type TaskResult struct {
	Task string `json:"task"`
	// Reason is why the task stopped, in ECS's words.
	Reason string `json:"reason"`
	// ExitCodes are those of the containers that started, by name.
	ExitCodes map[string]int `json:"exitCodes"`
	// Failed says that the task did not start, that it was stopped, or that an essential container ended
	// with another code than 0.
	Failed bool `json:"failed"`
}

// RunTask runs a task that belongs to no service, and waits for its end. Events and logs have the key and
// the name. If the context ends, RunTask stops the task as StopTask does.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html
func (s *Scheduler) RunTask(ctx context.Context, key, name string, d *model.TaskDefinition) TaskResult {
	v := &service{scheduler: s, key: key, name: name, alone: true, spec: &model.Service{}}
	t := newTask(&deployment{DeploymentStatus: DeploymentStatus{ID: name}, service: v, definition: d, spec: v.spec})
	stopped := false
	defer context.AfterFunc(ctx, func() {
		s.update(v, func() {
			stopped = t.live()
			t.stop("Task was stopped")
		})
	})()
	s.update(v, func() { t.setState(Provisioning) })
	t.run()
	s.mu.Lock()
	defer s.mu.Unlock()
	result := TaskResult{Task: t.ID, Reason: t.StopReason, ExitCodes: map[string]int{}, Failed: stopped || t.Started.IsZero()}
	for _, c := range t.containers {
		if c.running != nil {
			exit := c.running.Exit()
			result.ExitCodes[c.definition.Name] = exit.Code
			result.Failed = result.Failed || c.definition.Essential && (exit.Code != 0 || exit.Err != nil)
		}
	}
	return result
}
