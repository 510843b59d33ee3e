package ecs

// Balancer is the load balancer that tasks are registered with. The scheduler calls its
// methods from several goroutines, and never while the scheduler is locked. The balancer
// tells the health of targets to [Scheduler.TargetHealth].
type Balancer interface {
	// Register adds a target to a target group, by its key. The id is the
	// task's, the address is "host:port".
	Register(group, id, address string) error
	// Deregister takes a target out of a target group: the target gets no new requests.
	// The channel is closed when nothing is in flight or the deregistration delay has
	// passed.
	Deregister(group, id string) <-chan struct{}
}

// TargetHealth is the state of a target as the load balancer sees it.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks.html#target-health-states
type TargetHealth string

const (
	TargetInitial   TargetHealth = "initial"
	TargetHealthy   TargetHealth = "healthy"
	TargetUnhealthy TargetHealth = "unhealthy"
	TargetUnused    TargetHealth = "unused"
	TargetDraining  TargetHealth = "draining"
)
