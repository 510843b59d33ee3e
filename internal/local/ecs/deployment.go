package ecs

import (
	"fmt"
	"slices"
	"time"

	"cutover/internal/model"
)

// RolloutState is how far a deployment has come.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Deployment.html
type RolloutState string

const (
	InProgress RolloutState = "IN_PROGRESS"
	// Completed means that all tasks are healthy, and the tasks of other deployments are stopping.
	Completed RolloutState = "COMPLETED"
	// Failed means that the circuit breaker has ended the deployment. It starts no more tasks.
	Failed RolloutState = "FAILED"
)

// deployment is a revision of a service, and its tasks. A service's first deployment is the
// primary one. Tasks of the others are being replaced. Guarded by the scheduler's lock.
type deployment struct {
	DeploymentStatus
	service       *service
	revision      string
	definition    *model.TaskDefinition
	loadBalancers []model.ServiceLoadBalancer
	spec          *model.Service // of the service when the deployment began
	known         []string       // the names of Service Connect that its tasks find

	// want is how many tasks there are to be. The primary deployment wants the desired count,
	// another one the tasks that are left to replace.
	want int

	startFailures int       // in a row
	nextStart     time.Time // no start before
	lacking       string    // what the next task waits for
}

func (d *deployment) setState(state RolloutState, reason string) {
	d.RolloutState, d.Reason = state, reason
	d.service.event(DeploymentEvent, "", string(state), reason)
}

// tasks returns the live tasks.
func (d *deployment) tasks() []*task {
	return slices.DeleteFunc(slices.Clone(d.service.tasks), func(t *task) bool { return t.deployment != d || !t.live() })
}

// maintain starts and stops tasks until there are as many as the deployment wants. It may add as
// many as there is room for.
//
// An unhealthy task stops once its replacement is healthy. Without room for a replacement,
// unhealthy tasks stop first, one by one.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs_services.html
func (d *deployment) maintain(now time.Time, room int) (added int) {
	var healthy, waiting, failing []*task // waiting for their health to be known
	for _, t := range d.tasks() {
		switch health, _ := t.judge(now); health {
		case Unhealthy:
			failing = append(failing, t)
		case Healthy:
			healthy = append(healthy, t)
		default:
			waiting = append(waiting, t)
		}
	}
	const scaling = "Scaling activity initiated by deployment " // as ECS words it
	stop := func(tasks []*task, n int, reason string) {
		// The newest tasks go first: they have done the least.
		for i := range min(n, len(tasks)) {
			tasks[len(tasks)-1-i].stop(reason)
		}
	}
	if len(healthy) >= d.want {
		for _, t := range failing {
			t.stop(t.complaint())
		}
		stop(waiting, len(waiting), scaling+d.ID)
		stop(healthy, len(healthy)-d.want, scaling+d.ID)
		return 0
	}
	if excess := len(healthy) + len(waiting) - d.want; excess > 0 {
		stop(waiting, excess, scaling+d.ID)
		return 0
	}
	if d.RolloutState == Failed {
		return 0
	}
	missing := d.want - len(healthy) - len(waiting)
	if missing > 0 && room <= 0 && len(failing) > 0 && len(waiting) == 0 {
		failing[0].stop(failing[0].complaint())
		room++
	}
	missing = min(missing, room)
	if missing <= 0 || now.Before(d.nextStart) {
		return 0
	}
	for ; added < missing; added++ {
		if lacking := d.service.scheduler.lacks(d.definition); lacking != "" {
			d.unplaced(lacking)
			break
		}
		d.service.start(d)
		d.lacking = ""
	}
	if added > 0 {
		d.service.message(fmt.Sprintf("has started %d tasks", added))
	}
	return added
}

// unplaced says that a task waits for what the instance lacks. It says the same once.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-event-messages-list.html
func (d *deployment) unplaced(lacking string) {
	if d.lacking == lacking {
		return
	}
	d.lacking = lacking
	d.service.message("was unable to place a task because no container instance met all of its requirements. " +
		"The closest matching (container-instance local) has insufficient " + lacking + " available")
}

// countFailure counts a task for the circuit breaker that could not start, has ended by itself, or
// is unhealthy.
func (s *service) countFailure(t *task, reason string) {
	if t.failed {
		return
	}
	t.failed = true
	d := t.deployment
	if breaker := s.spec.CircuitBreaker; breaker.Enable && d.RolloutState == InProgress && d == s.deployments[0] {
		d.FailedTasks++
		if threshold := breaker.Threshold.Failures(s.desired); d.FailedTasks >= threshold {
			s.fail(d, fmt.Sprintf("%d tasks failed; the circuit breaker's threshold is %d; the last one: %s", d.FailedTasks, threshold, reason))
		}
	}
}

// fail ends a deployment. If the service rolls back, the last completed deployment is the
// primary one again.
func (s *service) fail(d *deployment, reason string) {
	d.setState(Failed, reason)
	s.message(fmt.Sprintf("(deployment %s) deployment failed: %s", d.ID, reason))
	s.failure = fmt.Errorf("deployment %s of service %s failed: %s", d.ID, s.name, reason)
	back := s.completed
	if !s.spec.CircuitBreaker.Rollback || back == nil {
		return
	}
	s.completed = nil // until it has completed again
	s.deployments = slices.DeleteFunc(s.deployments, func(other *deployment) bool { return other == back })
	s.deployments = slices.Insert(s.deployments, 0, back)
	back.FailedTasks, back.startFailures, back.nextStart = 0, 0, time.Time{}
	back.setState(InProgress, "rolling back from deployment "+d.ID)
	s.message("rolling back to deployment " + back.ID)
}

// roll shrinks all deployments but the primary one, as far as the minimum healthy percent allows.
func (s *service) roll(now time.Time) {
	primary := s.deployments[0]
	primary.want = s.desired
	lower, upper := s.bounds()
	total, healthy, healthyNew, waitingNew := 0, 0, 0, 0
	for _, t := range s.tasks {
		if !t.live() {
			continue
		}
		health, _ := t.judge(now)
		if health != Unhealthy || t.deployment != primary { // the primary deployment makes room itself
			total++
		}
		switch {
		case health == Healthy:
			healthy++
			if t.deployment == primary {
				healthyNew++
			}
		case t.deployment == primary && health == HealthUnknown:
			waitingNew++
		}
	}
	// Every healthy new task makes an old one superfluous.
	keep := max(0, s.desired-healthyNew)
	// Old tasks make room for new ones, but not while new tasks start: a failure would take the
	// service below its minimum.
	if missing := s.desired - healthyNew - waitingNew; missing > 0 && upper-total <= 0 {
		old := healthy - healthyNew
		keep = min(keep, old-min(missing, old, max(0, healthy-lower)))
	}
	for _, d := range s.deployments[1:] {
		// A deployment that never completed keeps only tasks that serve.
		if d.RolloutState != Completed {
			serving := 0
			for _, t := range d.tasks() {
				if health, _ := t.judge(now); health == Healthy {
					serving++
				}
			}
			d.want = min(d.want, serving)
		}
		d.want = min(d.want, keep)
		keep -= d.want
	}
}

// lacks returns what the instance has too little of for one more task. Empty if there is
// room, or no instance to fit on.
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

const (
	// maxBackoff is the longest time between two attempts to start a task.
	// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-throttle-logic.html
	maxBackoff = 27 * time.Minute
	// firstBackoff is the first such time. It then doubles. ECS documents only that it grows.
	firstBackoff = time.Second
	// inconsistent is how many starts in a row must fail for an event about them. ECS does
	// not document it.
	inconsistent = 3
	// pace is the time before a task that ran is replaced. ECS has no back-off there, but
	// a latency of seconds. Without one, a process that exits at once would be started
	// hundreds of times a second.
	pace = time.Second
)

// backoff is the time to wait after so many starts in a row have failed.
func backoff(failures int) time.Duration {
	return min(firstBackoff<<min(failures-1, 16), maxBackoff)
}
