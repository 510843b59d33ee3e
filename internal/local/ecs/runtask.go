package ecs

import (
	"context"
	"fmt"
	"slices"

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
	return s.runTask(ctx, &service{scheduler: s, key: key, name: name, alone: true, spec: &model.Service{}}, d)
}

// runTask is [Scheduler.RunTask] for the service that stands for the task.
func (s *Scheduler) runTask(ctx context.Context, v *service, d *model.TaskDefinition) TaskResult {
	t := newTask(&deployment{DeploymentStatus: DeploymentStatus{ID: v.name}, service: v, definition: d, spec: v.spec})
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

// Run runs a command in a task of its own, from the task definition that a service has now: with its image,
// variables, secrets and role, as RunTask of ECS does with an override. The command takes the place of the
// image's CMD, so the image's ENTRYPOINT stays. The service may have no tasks. Output is called with each line
// that the task writes, one after the other of each container. Run returns the exit code of the service's own
// container.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerOverride.html
func (p *Provider) Run(ctx context.Context, name string, command []string, output func(container string, line LogLine)) (exit int, err error) {
	status, err := p.service(name)
	if err != nil {
		return 0, err
	}
	p.mu.Lock()
	running := p.Scheduler.services[status.Key]
	if running == nil || running.draining {
		p.mu.Unlock()
		return 0, fmt.Errorf("service %s is being removed", name)
	}
	spec := running.spec
	p.mu.Unlock()
	i, err := ownContainer(spec)
	if err != nil {
		return 0, err
	}
	definition := *spec.TaskDefinition
	definition.Containers = slices.Clone(definition.Containers)
	own := &definition.Containers[i]
	if slices.Contains(p.given.Replaced, own.Name) {
		return 0, fmt.Errorf("container %s of service %s is replaced by a command of yours: run %q yourself", own.Name, name, command)
	}
	own.Command = command
	alone := &service{scheduler: p.Scheduler, key: status.Key, name: name, alone: true, spec: &model.Service{}}
	alone.output = func(line LogLine) { output(own.Name, line) }
	result := p.runTask(ctx, alone, &definition)
	if exit, ok := result.ExitCodes[own.Name]; ok && ctx.Err() == nil {
		return exit, nil
	}
	return 0, fmt.Errorf("task %s of %s has no exit code: %s", result.Task, name, result.Reason)
}

// ownContainer finds the container of a service that the others are beside.
func ownContainer(s *model.Service) (int, error) {
	all := s.TaskDefinition.Containers
	if len(all) == 1 {
		return 0, nil
	}
	for _, own := range []func(model.Container) bool{
		func(c model.Container) bool {
			return c.Name == s.Name || model.OwnContainer(s.TaskDefinition.Resource, c.Name)
		},
		func(c model.Container) bool {
			return len(s.LoadBalancers) > 0 && c.Name == s.LoadBalancers[0].Container
		},
	} {
		if i := slices.IndexFunc(all, own); i >= 0 {
			return i, nil
		}
	}
	return 0, fmt.Errorf("service %s has several containers, and none has the service's name or is behind a load balancer: nothing says which one is to run a command", s.Name)
}
