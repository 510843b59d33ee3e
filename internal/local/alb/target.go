package alb

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// State is the state of a target, in the words of AWS's API.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks.html#target-health-states
type State string

const (
	// Unused is a target that is not registered, or whose group no rule uses.
	Unused State = "unused"
	// Initial is a target that has not passed its first health check.
	Initial   State = "initial"
	Healthy   State = "healthy"
	Unhealthy State = "unhealthy"
	// Draining is a deregistered target that has requests in flight.
	Draining State = "draining"
	// Unavailable is a target whose group has no health checks. It gets requests.
	Unavailable State = "unavailable"
)

// The reasons of states, with their descriptions.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetHealth.html
const (
	initialHealthChecking    = "Elb.InitialHealthChecking"
	failedHealthChecks       = "Target.FailedHealthChecks"
	timeoutReason            = "Target.Timeout"
	responseCodeMismatch     = "Target.ResponseCodeMismatch"
	deregistrationInProgress = "Target.DeregistrationInProgress"
	notInUse                 = "Target.NotInUse"
	notRegistered            = "Target.NotRegistered"
	healthCheckDisabled      = "Target.HealthCheckDisabled"
)

var descriptions = map[string]string{
	initialHealthChecking:    "Initial health checks in progress",
	failedHealthChecks:       "Health checks failed",
	timeoutReason:            "Request timed out",
	deregistrationInProgress: "Target deregistration is in progress",
	notInUse:                 "Target group is not configured to receive traffic from the load balancer",
	notRegistered:            "Target is not registered to the target group",
	healthCheckDisabled:      "Health checks are disabled for the target group",
}

// TargetStatus is a target and its state.
type TargetStatus struct {
	// ID is unique in the group: the id of the task, or the key of the Lambda function, version or alias.
	ID string `json:"id"`
	// Address is "host:port"; empty for a Lambda function.
	Address string `json:"address,omitempty"`
	State   State  `json:"state"`
	// Reason and Description belong to the state, in the words of AWS's API. Empty for a healthy
	// target.
	Reason      string `json:"-"`
	Description string `json:"reason,omitempty"`
	// InFlight counts requests without an answer, and WebSockets.
	InFlight int `json:"inFlight"`
	// Since is when the state began.
	Since time.Time `json:"since"`
}

// target is a registered or draining target. The group's mutex guards all fields that change.
type target struct {
	TargetStatus
	group *group
	pool  *pool
	// drained is closed when the target has nothing left to do.
	drained chan struct{}
	// invocations is the context of a Lambda function's invocations; nil for other targets.
	invocations    context.Context
	endInvocations context.CancelFunc

	// slowSince is when slow start began; zero outside slow start.
	slowSince time.Time
	// passed and failed count health checks in a row. One of them is 0.
	passed, failed int
	// stopChecks ends the health checks, if there are any.
	stopChecks context.CancelFunc
}

// become changes the state of the target and tells about it. The group's mutex is held.
func (t *target) become(state State, reason, description string) {
	before := t.State
	t.State, t.Reason, t.Description = state, reason, cmp.Or(description, descriptions[reason])
	if before != state {
		t.Since = time.Now()
		if state == Unhealthy && t.group.config.CutUnhealthy {
			t.pool.cutOpen()
		}
		t.group.events.add(Event{Time: t.Since, Group: t.group.key, Target: t.ID, From: before, To: state, Reason: reason, Description: t.Description})
	}
}

// release ends the use of a target that group.pick has returned.
func (t *target) release() {
	t.group.mu.Lock()
	defer t.group.mu.Unlock()
	t.InFlight--
	if t.State == Draining && t.InFlight == 0 {
		t.finish()
	}
}

// drain takes the target out of service. The target gets no more requests. Requests in flight have
// the deregistration delay to finish. Draining ends when no request is in flight, as documented.
// The state draining ends then, too; on AWS the state lasts until the delay has passed. The group's
// mutex is held.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-target-group-attributes.html#deregistration-delay
func (t *target) drain() {
	t.stopChecks()
	t.become(Draining, deregistrationInProgress, "")
	t.pool.retire()
	if t.InFlight == 0 {
		t.finish()
		return
	}
	if t.group.config.Application() || t.group.config.CutDraining {
		time.AfterFunc(t.group.config.DeregistrationDelay, t.cut)
		return
	}
	time.AfterFunc(t.group.config.DeregistrationDelay, func() {
		t.group.mu.Lock()
		defer t.group.mu.Unlock()
		if t.State == Draining {
			t.finish()
		}
	})
}

// cut ends what is in flight.
func (t *target) cut() {
	t.pool.cut()
	if t.endInvocations != nil {
		t.endInvocations()
	}
}

// finish ends draining. Connections through a Network Load Balancer last as long as their target. The
// group's mutex is held.
func (t *target) finish() {
	if t.group.config.Application() {
		t.cut()
	}
	if i := slices.Index(t.group.draining, t); i >= 0 {
		t.group.draining = slices.Delete(t.group.draining, i, i+1)
	}
	t.become(Unused, notRegistered, "")
	close(t.drained)
}
