package alb

import (
	"context"
	"time"
)

// State is that of a target.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks.html#target-health-states
type State int

const (
	// Unused is a target that is not registered, or whose group no rule uses.
	Unused State = iota
	// Initial is a target that has not passed its first health check.
	Initial
	Healthy
	Unhealthy
	// Draining is a deregistered target that has requests in flight.
	Draining
)

// String is the state as the API of AWS writes it.
func (s State) String() string {
	return [...]string{"unused", "initial", "healthy", "unhealthy", "draining"}[s]
}

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
)

var descriptions = map[string]string{
	initialHealthChecking:    "Initial health checks in progress",
	failedHealthChecks:       "Health checks failed",
	timeoutReason:            "Request timed out",
	deregistrationInProgress: "Target deregistration is in progress",
	notInUse:                 "Target group is not configured to receive traffic from the load balancer",
	notRegistered:            "Target is not registered to the target group",
}

// Target is something that answers requests.
type Target struct {
	// ID is unique in the group.
	ID string
	// Address is "host:port".
	Address string
}

// TargetHealth is a target and its state.
type TargetHealth struct {
	Target
	State State
	// Reason and Description are the state's, as the API of AWS names them. Empty for a
	// healthy target.
	Reason, Description string
	// Since is when the state began.
	Since time.Time
	// InFlight counts requests without an answer, and WebSockets.
	InFlight int
}

// target is a registered or draining target. The group's mutex guards all fields that
// change.
type target struct {
	Target
	group *group
	pool  *pool
	// drained is closed when the target has nothing left to do.
	drained chan struct{}

	state               State
	reason, description string
	since               time.Time
	inFlight            int
	// slowSince is when slow start began, zero when the target is not in it.
	slowSince time.Time
	// passed and failed count health checks in a row. One of them is 0.
	passed, failed int
	// stopChecks ends the health checks; nil while there are none.
	stopChecks context.CancelFunc
	// cut ends what is in flight when the deregistration delay is over.
	cut *time.Timer
}

// become changes the state of the target and tells about it. The group's mutex
// is held.
func (t *target) become(state State, reason, description string) {
	if description == "" {
		description = descriptions[reason]
	}
	if t.state == state && t.reason == reason && t.description == description {
		return
	}
	now := time.Now()
	event := Event{Time: now, Group: t.group.key, Target: t.ID, From: t.state, To: state, Reason: reason, Description: description}
	if t.state != state {
		t.since = now
	}
	t.state, t.reason, t.description = state, reason, description
	if event.From != event.To {
		t.group.events.add(event)
	}
}

func (t *target) health() TargetHealth {
	return TargetHealth{Target: t.Target, State: t.state, Reason: t.reason, Description: t.description, Since: t.since, InFlight: t.inFlight}
}

// release ends the use of a target that group.pick has returned.
func (t *target) release() {
	t.group.mu.Lock()
	defer t.group.mu.Unlock()
	t.inFlight--
	if t.state == Draining && t.inFlight == 0 {
		t.finish()
	}
}

// drain takes the target out of service. The target gets no more requests; requests in
// flight have the deregistration delay to finish. Draining ends when no request is in
// flight, as documented. On AWS the state is draining until the delay has passed; here
// the state ends with draining. The group's mutex is held.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-target-group-attributes.html#deregistration-delay
func (t *target) drain() {
	if t.stopChecks != nil {
		t.stopChecks()
		t.stopChecks = nil
	}
	t.become(Draining, deregistrationInProgress, "")
	t.pool.retire()
	if t.inFlight == 0 {
		t.finish()
		return
	}
	t.cut = time.AfterFunc(t.group.config.DeregistrationDelay, t.pool.cut)
}

// finish ends draining. The group's mutex is held.
func (t *target) finish() {
	if t.cut != nil {
		t.cut.Stop()
	}
	t.pool.cut()
	t.group.forget(t)
	t.become(Unused, notRegistered, "")
	close(t.drained)
}
