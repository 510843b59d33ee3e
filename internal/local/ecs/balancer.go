package ecs

// Balancer is the load balancer of the tasks. Several goroutines call its methods, none with the
// scheduler locked. The balancer tells the health of targets to [Scheduler.TargetHealth].
type Balancer interface {
	// Register adds a target to a target group, by the group's key, the task's id and a
	// "host:port".
	Register(group, id, address string) error
	// Deregister takes a target out of a target group. The target gets no new requests. The
	// channel is closed when nothing is in flight or the deregistration delay has passed.
	Deregister(group, id string) <-chan struct{}
}

// TargetHealth is the state of a target.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks.html#target-health-states
type TargetHealth string

const (
	TargetInitial   TargetHealth = "initial"
	TargetHealthy   TargetHealth = "healthy"
	TargetUnhealthy TargetHealth = "unhealthy"
)
