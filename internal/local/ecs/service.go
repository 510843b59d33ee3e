package ecs

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"cutover/internal/local/provider"
	"cutover/internal/model"
)

// service is a service that runs. Guarded by the scheduler's lock.
type service struct {
	scheduler *Scheduler
	key, name string // do not change
	spec      *model.Service
	desired   int
	scaler    *autoscaler // nil if it does not scale
	// deployments begin with the primary one. Others stay until their tasks have stopped.
	deployments []*deployment
	completed   *deployment   // to roll back to, or nil
	failure     error         // of the last deployment
	tasks       []*task       // without those that are STOPPED
	draining    bool          // is being removed
	alone       bool          // stands for one task that belongs to no service
	output      func(LogLine) // takes what that task writes, too; may be nil
	steady      bool          // an event has said so

	count   int           // of deployments so far
	applied int           // of calls of Apply and Remove so far
	wake    *time.Timer   // for what time alone changes
	changed chan struct{} // closed and replaced after every change
}

// The kinds of events.
const (
	ServiceEvent    = "service"    // in the words of the messages that ECS shows for a service
	DeploymentEvent = "deployment" // a rollout state
	TaskEvent       = "task"       // a task's last status
	HealthEvent     = "health"     // of a task, a container or a target
	ScalingEvent    = "scaling"    // a desired count
	ContainerEvent  = "container"  // the end of a container, or what is wrong with it
)

func (s *service) event(kind, task, state, message string) {
	if s.scheduler.options.Events != nil {
		s.scheduler.options.Events(provider.Event{Time: time.Now(), Kind: kind, Subject: s.name, Task: task, State: state, Message: message})
	}
}

// message is an event in the words of ECS.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-event-messages-list.html
func (s *service) message(text string) {
	s.event(ServiceEvent, "", "", fmt.Sprintf("(service %s) %s", s.name, text))
}

// digest is the same text for equal values.
func digest(values ...any) string {
	data, _ := json.Marshal(values) // cannot fail: the types hold neither channels nor cycles
	return string(data)
}

// revision identifies what a deployment rolls out. Services of the same revision need no new tasks.
func revision(s *model.Service) string {
	var groups []string
	for _, lb := range s.LoadBalancers {
		groups = append(groups, lb.TargetGroup.Key())
	}
	return digest(groups, s.LoadBalancers, s.TaskDefinition, s.Connect, s.Registries)
}

// same says whether CloudFormation would find nothing to update about a service.
func same(a, b *model.Service) bool { return digest(revision(a), a) == digest(revision(b), b) }

func (s *service) bounds() (lower, upper int) {
	return model.Bounds(s.spec.MinimumHealthyPercent, s.spec.MaximumPercent, s.desired)
}

// deploy makes a new deployment the primary one.
func (s *service) deploy() {
	s.count++
	d := &deployment{
		DeploymentStatus: DeploymentStatus{ID: fmt.Sprintf("%s/%d", s.name, s.count), TaskDefinition: s.spec.TaskDefinition.Key(), Created: time.Now()},
		service:          s, revision: revision(s.spec), definition: s.spec.TaskDefinition, loadBalancers: s.spec.LoadBalancers,
		spec: s.spec, known: s.scheduler.options.Discovery.Known(s.spec),
	}
	s.deployments = slices.Insert(s.deployments, 0, d)
	d.setState(InProgress, "deployment started")
}

func (s *service) start(d *deployment) {
	t := newTask(d)
	s.tasks = append(s.tasks, t)
	t.setState(Provisioning)
	go t.run()
}

func (s *service) remove(t *task) {
	s.tasks = slices.DeleteFunc(s.tasks, func(other *task) bool { return other == t })
}

// reconcile starts and stops tasks until they are what they should be.
func (s *service) reconcile() {
	now := time.Now()
	for _, t := range s.tasks {
		s.assess(t, now)
	}
	s.roll(now)
	_, upper := s.bounds()
	room := upper
	for _, t := range s.tasks {
		if t.live() {
			room--
		}
	}
	for _, d := range slices.Clone(s.deployments) {
		room -= d.maintain(now, room)
	}
	s.deployments = slices.DeleteFunc(s.deployments, func(d *deployment) bool {
		return d != s.deployments[0] && !slices.ContainsFunc(s.tasks, func(t *task) bool { return t.deployment == d })
	})
	s.complete(now)
	s.schedule(now)
	close(s.changed)
	s.changed = make(chan struct{})
}

// assess notes a change of a task's health.
func (s *service) assess(t *task, now time.Time) {
	health, _ := t.judge(now)
	if health == t.health || health == HealthUnknown {
		return
	}
	t.health = health
	if health == Healthy {
		if !s.spec.CircuitBreaker.Cumulative {
			t.deployment.FailedTasks = 0
		}
		t.event(HealthEvent, string(health), "task is healthy")
		return
	}
	t.event(HealthEvent, string(health), "task is unhealthy: "+t.complaint())
	s.message(fmt.Sprintf("(task %s) is unhealthy: %s", t.ID, t.complaint()))
	s.countFailure(t, t.complaint())
}

// complete notes that the primary deployment is complete.
func (s *service) complete(now time.Time) {
	primary, healthy := s.deployments[0], 0
	for _, t := range s.tasks {
		health, _ := t.judge(now)
		switch {
		case !t.live():
		case t.deployment != primary || health != Healthy:
			s.steady = false
			return
		default:
			healthy++
		}
	}
	if s.steady = s.steady && healthy == s.desired; s.steady || healthy != s.desired {
		return
	}
	s.steady = true
	if primary.RolloutState == InProgress {
		primary.setState(Completed, "deployment completed")
		s.completed = primary
	}
	s.message("has reached a steady state")
}

// begin begins an update, or takes the deployment back if the update makes no progress.
func (s *service) begin() error {
	err := s.stalled()
	if err != nil {
		s.deployments = s.deployments[1:]
		s.message(err.Error())
	}
	s.reconcile()
	return err
}

// settled says that nothing is left to do. Tasks that are to stop have stopped, too.
func (s *service) settled() bool { return s.steady && len(s.tasks) == s.desired }

// stalled says why an update makes no progress: it needs room for a new task, or an old task
// that may stop.
func (s *service) stalled() error {
	old := 0
	for _, t := range s.tasks {
		if t.live() && t.deployment != s.deployments[0] {
			old++
		}
	}
	lower, upper := s.bounds()
	if old == 0 || upper > old || lower < old {
		return nil
	}
	return fmt.Errorf("service %s cannot be updated: of %d tasks, MinimumHealthyPercent %d keeps %d running while MaximumPercent %d allows %d, which leaves no room for a new one; lower the first or raise the second",
		s.name, s.desired, s.spec.MinimumHealthyPercent, lower, s.spec.MaximumPercent, upper)
}

// schedule reconciles again when time alone changes something.
func (s *service) schedule(now time.Time) {
	var next time.Time
	at := func(when time.Time) {
		if when.After(now) && (next.IsZero() || when.Before(next)) {
			next = when
		}
	}
	for _, t := range s.tasks {
		_, when := t.judge(now)
		at(when)
	}
	for _, d := range s.deployments {
		at(d.nextStart)
	}
	if s.wake != nil {
		s.wake.Stop()
	}
	if !next.IsZero() {
		s.wake = time.AfterFunc(next.Sub(now), func() { s.scheduler.update(s, func() {}) })
	}
}
