package ecs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"cutover/internal/capacity"
	"cutover/internal/local/provider"
	"cutover/internal/model"
)

// Options says what a scheduler works with.
type Options struct {
	// Driver runs the containers. Required.
	Driver Driver
	// Balancer registers tasks. Required if a service has target groups.
	Balancer Balancer
	// Discovery gives tasks names. Default: tasks find no others.
	Discovery Discovery
	// Access gives containers further variables. Default: none.
	Access Access
	// Instance is the container instance of all tasks. A task without room waits until others
	// have stopped. Default: as many instances as the tasks need.
	Instance *capacity.Resources
	// ScalingPeriod is the length of autoscaling's minute. All times of autoscaling are in
	// these minutes. Default: a minute, as on AWS.
	ScalingPeriod time.Duration
	// Requests counts the requests to a target group so far. The function must return at once
	// and call no method of the scheduler. Required if a service scales by requests.
	Requests func(group string) uint64
	// Messages counts the messages of a queue that can be received now, by the queue's name. Required if a service scales by
	// them.
	Messages func(ctx context.Context, queue string) (int, error)
	// Events is called with every event in order, while the scheduler is locked. The function
	// must return at once and call no method of the scheduler. Optional.
	Events func(provider.Event)
	// Logs is called with every line of a container, by several goroutines. Optional.
	Logs func(LogLine)
}

// Scheduler keeps the tasks of services running. Several goroutines may call its methods.
type Scheduler struct {
	options  Options
	mu       sync.Mutex
	services map[string]*service // by key
}

// New returns a scheduler without services.
func New(options Options) *Scheduler {
	if options.ScalingPeriod == 0 {
		options.ScalingPeriod = ScalingPeriod
	}
	if options.Discovery == nil {
		options.Discovery = nowhere{}
	}
	if options.Access == nil {
		options.Access = nothing{}
	}
	return &Scheduler{options: options, services: map[string]*service{}}
}

// Errors that Apply wraps.
var (
	// ErrDeploymentFailed says that the circuit breaker ended the deployment. A service that
	// rolls back has rolled back.
	ErrDeploymentFailed = errors.New("deployment failed")
	// ErrSuperseded says that another Apply or Remove of the same service came later.
	ErrSuperseded = errors.New("superseded by another update")
)

// Apply creates or updates a service, and waits for a steady state: all tasks run the task
// definition and are healthy, and the replaced tasks have stopped. Without a circuit breaker
// the steady state may never come. If the context ends, Apply returns and the scheduler goes
// on. If the driver cannot run the service, nothing changes.
//
// What an update does:
//   - Another task definition, or other target groups, replace all tasks.
//   - Another count starts or stops tasks.
//   - Everything else holds from now on and touches no task.
//
// CloudFormation updates nothing that is the same. So the same service keeps the count that
// autoscaling has set. Autoscaling begins in the steady state, and ends at once if the service
// has none.
func (s *Scheduler) Apply(ctx context.Context, spec *model.Service) error {
	if err := s.check(spec); err != nil {
		return err
	}
	s.mu.Lock()
	key := spec.Key()
	v := s.services[key]
	if v == nil {
		v = &service{scheduler: s, key: key, name: spec.Name, desired: 1, changed: make(chan struct{})}
		s.services[key] = v
	}
	v.applied++
	turn := v.applied
	if spec.DesiredCount != nil && (turn == 1 || v.draining || !same(v.spec, spec)) {
		v.desired = *spec.DesiredCount
	}
	v.spec, v.draining, v.failure, v.steady = spec, false, nil, false
	if spec.Scaling == nil {
		v.autoscale(nil)
	}
	if len(v.deployments) == 0 || v.deployments[0].revision != revision(spec) || v.deployments[0].RolloutState == Failed {
		v.deploy()
	}
	v.deployments[0].definition = spec.TaskDefinition // with the secrets' values of now
	err := v.begin()
	s.mu.Unlock()
	if err != nil {
		return err
	}
	err = v.wait(ctx, turn, func() (bool, error) {
		switch {
		case v.failure != nil && v.deployments[0].RolloutState == Failed:
			return true, fmt.Errorf("%w: %w", ErrDeploymentFailed, v.failure)
		case v.failure != nil && v.settled():
			return true, fmt.Errorf("%w and was rolled back to deployment %s: %w", ErrDeploymentFailed, v.deployments[0].ID, v.failure)
		}
		return v.settled(), nil
	})
	if err != nil || spec.Scaling == nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if v.applied == turn {
		v.autoscale(spec.Scaling)
	}
	return nil
}

// Redeploy begins to replace all tasks of a service, like an update that forces a new
// deployment. An unknown service is an error.
func (s *Scheduler) Redeploy(key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.services[key]
	if v == nil {
		return fmt.Errorf("there is no service %s", key)
	}
	v.steady = false
	v.deploy()
	return v.begin()
}

func (s *Scheduler) check(spec *model.Service) error {
	var errs []error
	if len(spec.LoadBalancers) > 0 && s.options.Balancer == nil {
		errs = append(errs, fmt.Errorf("service %s (%s) has target groups, and there is no load balancer", spec.Name, spec.Key()))
	}
	if spec.Scaling != nil && s.options.Requests == nil && scalesBy(model.MetricRequests, spec.Scaling) {
		errs = append(errs, fmt.Errorf("service %s (%s) scales by requests, and nobody counts them", spec.Name, spec.Key()))
	}
	if spec.Scaling != nil && s.options.Messages == nil && len(queues(spec.Scaling)) > 0 {
		errs = append(errs, fmt.Errorf("service %s (%s) scales by messages, and nobody counts them", spec.Name, spec.Key()))
	}
	errs = append(errs, s.checkContainers(fmt.Sprintf("service %s (%s)", spec.Name, spec.Key()), spec.TaskDefinition))
	return errors.Join(errs...)
}

// checkContainers asks the driver.
func (s *Scheduler) checkContainers(of string, d *model.TaskDefinition) error {
	var errs []error
	for _, c := range d.Containers {
		if _, err := s.options.Driver.Check(d, c); err != nil {
			errs = append(errs, fmt.Errorf("%s, container %q: %w", of, c.Name, err))
		}
	}
	return errors.Join(errs...)
}

// Remove deletes a service, and waits until all its tasks have stopped. An unknown service is
// no error.
func (s *Scheduler) Remove(ctx context.Context, key string) error {
	s.mu.Lock()
	v := s.services[key]
	if v == nil {
		s.mu.Unlock()
		return nil
	}
	v.applied++
	turn := v.applied
	v.desired, v.draining, v.failure, v.steady = 0, true, nil, false
	v.autoscale(nil)
	v.reconcile()
	s.mu.Unlock()
	return v.wait(ctx, turn, func() (bool, error) {
		if len(v.tasks) > 0 {
			return false, nil
		}
		if s.services[key] == v {
			delete(s.services, key)
		}
		return true, nil
	})
}

// wait waits until something is done. It asks after every change of the service.
func (s *service) wait(ctx context.Context, turn int, done func() (bool, error)) error {
	for {
		s.scheduler.mu.Lock()
		changed := s.changed
		finished, err := done()
		superseded := s.applied != turn
		s.scheduler.mu.Unlock()
		switch {
		case superseded:
			return fmt.Errorf("service %s: %w", s.name, ErrSuperseded)
		case finished:
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("service %s has not reached a steady state: %w", s.name, context.Cause(ctx))
		case <-changed:
		}
	}
}

// TargetHealth tells the scheduler the health of a target, by the key of its target group and
// its id. An unknown target is ignored. TargetHealth calls no method of the balancer.
func (s *Scheduler) TargetHealth(group, id string, health TargetHealth) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range s.services {
		for _, t := range v.tasks {
			if was, registered := t.Targets[group]; t.ID == id && registered && was != health {
				t.Targets[group] = health
				t.event(HealthEvent, string(health), fmt.Sprintf("target is %s in %s", health, group))
				v.reconcile()
				return
			}
		}
	}
}

// Signal sends a signal to the containers of a task. An unknown task is an error.
func (s *Scheduler) Signal(taskID string, signal syscall.Signal) error {
	s.mu.Lock()
	var containers []Container
	for _, v := range s.services {
		for _, t := range v.tasks {
			for _, c := range t.containers {
				if t.ID == taskID && c.running != nil && !c.ended {
					containers = append(containers, c.running)
				}
			}
		}
	}
	s.mu.Unlock()
	if len(containers) == 0 {
		return fmt.Errorf("no task %s runs", taskID)
	}
	var errs []error
	for _, c := range containers {
		errs = append(errs, c.Signal(signal))
	}
	return errors.Join(errs...)
}

// update changes something about a service, and reconciles. A task of its own needs no others.
func (s *Scheduler) update(v *service, change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	if !v.alone {
		v.reconcile()
	}
}

func (s *Scheduler) log(t *task, container, stream, line string) {
	written := LogLine{
		Time: time.Now(), Service: t.service.key, ServiceName: t.service.name,
		Task: t.ID, Container: container, Stream: stream, Text: line,
	}
	for _, take := range []func(LogLine){s.options.Logs, t.service.output} {
		if take != nil {
			take(written)
		}
	}
}

// ServiceStatus is a service as it is at one moment.
type ServiceStatus struct {
	Key     string `json:"key"`
	Name    string `json:"name"`
	Cluster string `json:"cluster"`
	// Status is ACTIVE, or DRAINING while the service is being removed.
	Status       string `json:"status"`
	DesiredCount int    `json:"desiredCount"`
	// RunningCount counts tasks that are RUNNING, PendingCount tasks before that.
	RunningCount int `json:"runningCount"`
	PendingCount int `json:"pendingCount"`
	// Steady says that nothing is left to do.
	Steady bool `json:"steady"`
	// Scaling is nil if the service does not scale.
	Scaling     *ScalingStatus     `json:"scaling,omitempty"`
	Deployments []DeploymentStatus `json:"deployments"`
	Tasks       []TaskStatus       `json:"tasks"`
}

// DeploymentStatus is a deployment of a service.
type DeploymentStatus struct {
	ID string `json:"id"`
	// Status is PRIMARY, or ACTIVE while its tasks are being replaced.
	Status string `json:"status"`
	// TaskDefinition is the key of the task definition.
	TaskDefinition string       `json:"taskDefinition"`
	RolloutState   RolloutState `json:"rolloutState"`
	Reason         string       `json:"reason"`
	// FailedTasks are those that the circuit breaker has counted.
	FailedTasks int       `json:"failedTasks"`
	Created     time.Time `json:"created"`
}

// TaskStatus is a task that has not stopped.
type TaskStatus struct {
	ID         string    `json:"id"`
	Deployment string    `json:"deployment"`
	LastStatus TaskState `json:"lastStatus"`
	// DesiredStatus is RUNNING, or STOPPED.
	DesiredStatus TaskState `json:"desiredStatus"`
	// Health is HEALTHY if the task counts towards the minimum healthy percent.
	Health Health `json:"health"`
	// Targets is the health of the task in each target group, by key.
	Targets    map[string]TargetHealth `json:"targets,omitempty"`
	Containers []ContainerStatus       `json:"containers"`
	Created    time.Time               `json:"created"`
	// Started is when the task was RUNNING, zero if it has not been.
	Started    time.Time `json:"started,omitzero"`
	StopReason string    `json:"stopReason,omitempty"`
}

// ContainerStatus is a container of a task.
type ContainerStatus struct {
	Name string `json:"name"`
	// LastStatus is PENDING, RUNNING or STOPPED. ExitCode is nil before STOPPED.
	LastStatus TaskState `json:"lastStatus"`
	ExitCode   *int      `json:"exitCode,omitempty"`
	// RuntimeID is the process id, or the container's id in the engine. Empty before the start.
	RuntimeID string `json:"runtimeId,omitempty"`
	// Addresses are by the container's port.
	Addresses map[int]string `json:"addresses,omitempty"`
	Health    Health         `json:"health"`
}

// Status returns the services by name, and their tasks by age.
func (s *Scheduler) Status() []ServiceStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	all := make([]ServiceStatus, 0, len(s.services))
	for _, v := range s.services {
		status := ServiceStatus{
			Key: v.key, Name: v.name, Cluster: v.spec.ClusterID, Status: "ACTIVE",
			DesiredCount: v.desired, Steady: v.settled(), Scaling: v.scaler.status(), Tasks: []TaskStatus{},
		}
		if v.draining {
			status.Status = "DRAINING"
		}
		for i, d := range v.deployments {
			status.Deployments = append(status.Deployments, d.DeploymentStatus)
			status.Deployments[i].Status = "ACTIVE"
		}
		status.Deployments[0].Status = "PRIMARY"
		for _, t := range v.tasks {
			switch t.LastStatus {
			case Running:
				status.RunningCount++
			case Provisioning, Pending, Activating:
				status.PendingCount++
			}
			status.Tasks = append(status.Tasks, t.status(now))
		}
		all = append(all, status)
	}
	slices.SortFunc(all, func(x, y ServiceStatus) int {
		return cmp.Or(strings.Compare(x.Name, y.Name), strings.Compare(x.Key, y.Key))
	})
	return all
}

func (t *task) status(now time.Time) TaskStatus {
	status := t.TaskStatus
	status.DesiredStatus, status.Targets = Running, maps.Clone(t.Targets)
	if !t.live() {
		status.DesiredStatus = Stopped
	}
	status.Health, _ = t.judge(now)
	for _, c := range t.containers {
		one := ContainerStatus{Name: c.definition.Name, LastStatus: Pending, Health: c.health, Addresses: map[int]string{}}
		if c.ended {
			one.LastStatus, one.ExitCode = Stopped, new(c.running.Exit().Code)
		} else if c.running != nil {
			one.LastStatus = Running
		}
		if c.running != nil {
			one.RuntimeID = c.running.ID()
			for _, port := range c.definition.Ports {
				one.Addresses[port.Container] = c.running.Address(port.Container)
			}
		}
		status.Containers = append(status.Containers, one)
	}
	return status
}
