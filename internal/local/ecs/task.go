package ecs

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"cutover/internal/local/provider"
	"cutover/internal/model"
)

// TaskState is a state of a task's life cycle, as ECS names them.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-lifecycle-explanation.html
type TaskState string

const (
	Provisioning   TaskState = "PROVISIONING"
	Pending        TaskState = "PENDING"
	Activating     TaskState = "ACTIVATING" // images are built, containers start, targets are registered
	Running        TaskState = "RUNNING"
	Deactivating   TaskState = "DEACTIVATING" // targets are deregistered and drain
	Stopping       TaskState = "STOPPING"     // SIGTERM has been sent, SIGKILL follows
	Deprovisioning TaskState = "DEPROVISIONING"
	Stopped        TaskState = "STOPPED"
)

// task is one task. The scheduler's lock guards all fields that change.
type task struct {
	TaskStatus // lacks what the method status fills in
	scheduler  *Scheduler
	service    *service
	deployment *deployment
	definition *model.TaskDefinition // with the task's own variables
	containers []*taskContainer
	failed     bool   // counted as a failure of its deployment
	health     Health // of the last event

	names []Name // that it may call
	dns   string // the address of its DNS server, or empty

	wanted   context.Context
	unwanted context.CancelFunc // ends wanted
	exited   chan struct{}      // closed when an essential container has ended
	gone     string             // why exited is closed
	watches  sync.WaitGroup     // for the ends of its containers
}

// taskContainer is a container of a task.
type taskContainer struct {
	definition model.Container
	running    Container     // nil before it has started
	started    chan struct{} // closed when running is set
	healthy    chan struct{} // closed when a health check has passed, or none can run here
	health     Health
	unchecked  bool // its health check cannot run here
	ended      bool
}

func newTask(d *deployment) *task {
	t := &task{
		TaskStatus: TaskStatus{
			ID: fmt.Sprintf("%016x%016x", rand.Uint64(), rand.Uint64()), Deployment: d.ID, LastStatus: Provisioning, Created: time.Now(), Targets: map[string]TargetHealth{},
		},
		scheduler: d.service.scheduler, service: d.service, deployment: d, health: HealthUnknown,
		exited: make(chan struct{}),
	}
	t.wanted, t.unwanted = context.WithCancel(context.Background())
	t.definition = equipped(t.scheduler.options.Access, t.ID, d.definition)
	for _, definition := range t.definition.Containers {
		t.containers = append(t.containers, &taskContainer{definition: definition, started: make(chan struct{}), healthy: make(chan struct{}), health: HealthUnknown})
	}
	return t
}

// run carries a task through its life.
func (t *task) run() {
	s := t.scheduler
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s.update(t.service, func() { t.setState(Pending); t.setState(Activating) })
	err := t.start(ctx)
	if err == nil {
		s.update(t.service, func() {
			t.Started = time.Now()
			t.setState(Running)
			s.options.Discovery.Register(t.ID, t.deployment.spec, t.well(), t.address)
			t.deployment.startFailures = 0
			t.failGone()
		})
		select {
		case <-t.wanted.Done():
		case <-t.exited:
		}
	}
	s.update(t.service, func() {
		t.failGone()
		if t.StopReason == "" {
			t.fail(err.Error())
		}
		t.setState(Deactivating)
	})
	t.drain(err == nil)
	cancel() // the health checks
	s.update(t.service, func() { t.setState(Stopping) })
	t.stopContainers()
	t.watches.Wait()
	if err := s.options.Driver.Clean(t.ID); err != nil {
		t.tell("what the task has left cannot be removed: %v", err)
	}
	s.options.Discovery.Close(t.ID)
	s.options.Access.Forget(t.ID)
	s.update(t.service, func() {
		t.setState(Deprovisioning)
		t.setState(Stopped)
		t.service.remove(t)
		if s.options.Instance != nil { // tasks of other services may wait for the room
			for _, other := range s.services {
				if other != t.service {
					other.reconcile()
				}
			}
		}
	})
}

// start starts the containers, side by side but for their dependencies, and registers them with the
// target groups. The context is for the health checks.
func (t *task) start(ctx context.Context) error {
	var err error
	if t.names, t.dns, err = t.scheduler.options.Discovery.Open(Caller{t.ID, t.service.name, t.deployment.spec, t.deployment.known}); err != nil {
		return err
	}
	starts, starting := errgroup.WithContext(t.wanted)
	for _, c := range t.containers {
		starts.Go(func() error {
			for _, d := range c.definition.Requires() {
				if err := t.await(starting, c, d); err != nil {
					return err
				}
			}
			return t.startContainer(starting, ctx, c)
		})
	}
	if err := starts.Wait(); err != nil {
		return err
	}
	for _, lb := range t.deployment.loadBalancers {
		group, address := lb.TargetGroup.Key(), t.container(lb.Container).running.Address(lb.Port)
		t.scheduler.update(t.service, func() { t.Targets[group] = TargetInitial })
		if err := t.scheduler.options.Balancer.Register(group, t.ID, address); err != nil {
			return fmt.Errorf("cannot register with target group %s: %w", group, err)
		}
	}
	return nil
}

func (t *task) container(name string) *taskContainer {
	return t.containers[slices.IndexFunc(t.containers, func(c *taskContainer) bool { return c.definition.Name == name })]
}

func (t *task) startContainer(starting, checking context.Context, c *taskContainer) error {
	tell := func(state string) func(string) {
		return func(message string) {
			t.scheduler.update(t.service, func() {
				t.event(ContainerEvent, state, fmt.Sprintf("container %q %s", c.definition.Name, message))
			})
		}
	}
	definition := c.definition
	definition.Environment = Variables(definition)
	running, err := t.scheduler.options.Driver.Start(starting, StartRequest{
		Service: t.service.key, Task: t.ID, Definition: definition, TaskDefinition: t.definition, Peers: t.peers(),
		Names: t.names, DNS: t.dns,
		Output: func(stream, line string) { t.scheduler.log(t, c.definition.Name, stream, line) },
		Warn:   tell(provider.Warning), Tell: tell(""),
	})
	if err != nil {
		return fmt.Errorf("container %q cannot start: %w", c.definition.Name, err)
	}
	t.scheduler.update(t.service, func() { c.running = running })
	close(c.started)
	t.watches.Go(func() { t.watch(c) })
	if c.definition.HealthCheck != nil {
		go t.check(checking, c)
	}
	return nil
}

// peers are the containers that have started.
func (t *task) peers() map[string]Container {
	t.scheduler.mu.Lock()
	defer t.scheduler.mu.Unlock()
	peers := map[string]Container{}
	for _, c := range t.containers {
		if c.running != nil {
			peers[c.definition.Name] = c.running
		}
	}
	return peers
}

// await waits until another container of the task has reached what a container depends on.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDependency.html
func (t *task) await(ctx context.Context, c *taskContainer, d model.Dependency) error {
	other := t.container(d.Container)
	select {
	case <-other.started:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	var healthy <-chan struct{}
	var timeout <-chan time.Time
	switch d.Condition {
	case "START":
		return nil
	case "HEALTHY":
		healthy = other.healthy
	}
	if limit := other.definition.StartTimeout; limit > 0 {
		timeout = time.After(limit)
	}
	refuse := func(why string) error {
		return fmt.Errorf("container %q cannot start: container %q, on which it depends, %s before it was %s", c.definition.Name, d.Container, why, d.Condition)
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-healthy:
		return nil
	case <-timeout:
		return refuse(fmt.Sprintf("used up its StartTimeout of %v", other.definition.StartTimeout))
	case <-other.running.Done():
	}
	exit := other.running.Exit()
	if d.Condition == "COMPLETE" || d.Condition == "SUCCESS" && exit.Code == 0 && exit.Err == nil {
		return nil
	}
	return refuse(fmt.Sprintf("has ended with %v", exit))
}

// watch waits for the end of a container.
func (t *task) watch(c *taskContainer) {
	<-c.running.Done()
	t.scheduler.update(t.service, func() {
		c.ended = true
		t.event(ContainerEvent, "", fmt.Sprintf("container %q has ended: %v", c.definition.Name, c.running.Exit()))
		if c.definition.Essential && t.gone == "" {
			t.gone = fmt.Sprintf("Essential container in task exited: %q, %v", c.definition.Name, c.running.Exit())
			close(t.exited)
			t.unwanted()
			if !t.Started.IsZero() {
				t.failGone()
			}
		}
	})
}

// address is where a port of a container answers; empty if the container is left out.
func (t *task) address(container string, port int) string {
	for _, c := range t.containers {
		if c.definition.Name == container {
			return c.running.Address(port)
		}
	}
	return ""
}

// drain takes the task out of all names and out of its target groups. Wait waits until no request that a load
// balancer has sent is in flight, or the task ends. Nobody waits for those that use a name
// (https://github.com/aws/containers-roadmap/issues/1639).
func (t *task) drain(wait bool) {
	t.scheduler.options.Discovery.Deregister(t.ID)
	t.scheduler.mu.Lock()
	groups := slices.Sorted(maps.Keys(t.Targets))
	t.scheduler.mu.Unlock()
	var drained []<-chan struct{}
	for _, group := range groups {
		drained = append(drained, t.scheduler.options.Balancer.Deregister(group, t.ID))
	}
	for _, done := range drained {
		if !wait {
			return
		}
		select {
		case <-done:
		case <-t.exited:
			return
		}
	}
}

// stopContainers ends containers by SIGTERM, and by SIGKILL after the stop timeout. A container ends
// after the containers that depend on it.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_StopTask.html
func (t *task) stopContainers() {
	var group sync.WaitGroup
	for _, c := range t.containers {
		if c.running == nil {
			continue
		}
		group.Go(func() {
			for _, other := range t.containers {
				on := func(d model.Dependency) bool { return d.Container == c.definition.Name }
				if other.running != nil && slices.ContainsFunc(other.definition.Requires(), on) {
					<-other.running.Done()
				}
			}
			t.stopContainer(c)
		})
	}
	group.Wait()
}

func (t *task) stopContainer(c *taskContainer) {
	select {
	case <-c.running.Done():
		return
	default:
	}
	if err := c.running.Terminate(); err != nil {
		t.tell("container %q cannot be asked to stop: %v", c.definition.Name, err)
	}
	select {
	case <-c.running.Done():
		return
	case <-time.After(c.definition.StopTimeout):
	}
	t.tell("container %q did not stop within %v and is killed", c.definition.Name, c.definition.StopTimeout)
	if err := c.running.Signal(syscall.SIGKILL); err != nil {
		t.tell("container %q cannot be killed: %v", c.definition.Name, err)
	}
	<-c.running.Done()
}

// tell tells what is wrong with a container.
func (t *task) tell(format string, args ...any) {
	t.scheduler.update(t.service, func() { t.event(ContainerEvent, "", fmt.Sprintf(format, args...)) })
}

// The methods below are called with the scheduler's lock held.

func (t *task) setState(state TaskState) {
	t.LastStatus = state
	message := "task is " + string(state)
	if state == Deactivating || state == Stopped {
		message += ": " + t.StopReason
	}
	t.event(TaskEvent, string(state), message)
}

func (t *task) event(kind, state, message string) { t.service.event(kind, t.ID, state, message) }

// live says that the task is to run and has not ended.
func (t *task) live() bool { return t.StopReason == "" }

// fail ends a task that should run.
func (t *task) fail(reason string) {
	t.StopReason = reason
	d := t.deployment
	if t.Started.IsZero() {
		d.startFailures++
		d.nextStart = time.Now().Add(backoff(d.startFailures))
		if d.startFailures == inconsistent {
			t.service.message("is unable to consistently start tasks successfully")
		}
	} else {
		d.nextStart = time.Now().Add(pace)
	}
	t.service.countFailure(t, reason)
}

// failGone ends a task of which an essential container has ended.
func (t *task) failGone() {
	if t.gone != "" && t.live() {
		t.fail(t.gone)
	}
}

// stop asks the task to stop.
func (t *task) stop(reason string) {
	if t.live() {
		t.StopReason = reason
		t.unwanted()
	}
}
