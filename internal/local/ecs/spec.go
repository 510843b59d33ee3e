package ecs

import (
	"encoding/json"
	"time"

	"cutover/internal/assembly"
)

// ServiceSpec is an AWS::ECS::Service and the task definition that it runs.
type ServiceSpec struct {
	// Key identifies the service in its assembly: "stack/logical id".
	Key string
	// Name is ServiceName, or the logical id where CloudFormation would make up
	// a name.
	Name string
	// Cluster is the key or the name of the cluster.
	Cluster string
	// DesiredCount is nil where the template leaves it out: then a new service
	// has one task, and an update keeps the count.
	DesiredCount *int
	// MinimumHealthyPercent and MaximumPercent bound a rolling update.
	// Defaults: 100 and 200.
	MinimumHealthyPercent, MaximumPercent int
	CircuitBreaker                        CircuitBreaker
	// HealthCheckGracePeriod is how long after a task has started its failed
	// health checks are ignored. Default: not at all.
	HealthCheckGracePeriod time.Duration
	// LoadBalancers are the target groups that every task is registered with.
	LoadBalancers  []LoadBalancer
	TaskDefinition TaskDefinition
	// Scaling is nil if the service does not scale. Other resources than the service's
	// own say so.
	Scaling *Scaling `json:"-"`
}

// same says whether CloudFormation would find nothing to update about the service.
func (s ServiceSpec) same(other ServiceSpec) bool {
	// As in revision.
	mine, _ := json.Marshal(s)
	theirs, _ := json.Marshal(other)
	return string(mine) == string(theirs)
}

// revision identifies what a deployment rolls out: two specs with the same
// revision need no new tasks.
func (s ServiceSpec) revision() string {
	// Marshalling cannot fail: the types hold neither channels nor cycles.
	data, _ := json.Marshal(struct {
		LoadBalancers []LoadBalancer
		Definition    TaskDefinition
	}{s.LoadBalancers, s.TaskDefinition})
	return string(data)
}

// CircuitBreaker says when a deployment counts as failed, and what then.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-circuit-breaker.html
type CircuitBreaker struct {
	Enable bool
	// Rollback returns to the last completed deployment after a failure.
	Rollback bool
	// Cumulative counts all failed tasks of a deployment, instead of those
	// since a task was healthy (ResetOnHealthyTask: false).
	Cumulative bool
	Threshold  Threshold
}

// Threshold is how many tasks may fail. The zero value is ECS's default,
// BOUNDED_PERCENT of 50.
type Threshold struct {
	// Type is COUNT, BOUNDED_PERCENT (of the desired count, at least 3 and at
	// most 200) or UNBOUNDED_PERCENT.
	Type  string
	Value int
}

// LoadBalancer registers a container's port with a target group.
type LoadBalancer struct {
	Container string
	Port      int
	// TargetGroup is the key of the target group: "stack/logical id".
	TargetGroup string
}

// TaskDefinition is an AWS::ECS::TaskDefinition for EC2 in bridge mode.
type TaskDefinition struct {
	Key        string `json:"-"`
	Family     string
	Containers []ContainerDefinition
}

// ContainerDefinition is what a driver needs to know to run a container.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_definition_parameters.html
type ContainerDefinition struct {
	Name      string
	Image     Image
	Essential bool
	// Environment is in the order of the template.
	Environment []Variable
	// EntryPoint and Command are those of the image where they are empty.
	EntryPoint, Command []string
	// WorkingDirectory and User are those of the image where they are empty.
	WorkingDirectory, User string
	// CPUShares is the relative weight of the container in units of 1/1024
	// processor; 0 where the template has none.
	CPUShares int
	// CPULimit is the hard limit that a task-level Cpu sets, in the same units;
	// 0 for none.
	CPULimit int
	// MemoryMiB is the hard limit, above which the container is killed;
	// MemoryReservationMiB the soft one. 0 for none.
	MemoryMiB, MemoryReservationMiB int
	// Ports are the container's ports, each published at a port that the host
	// picks.
	Ports                                  []int
	ReadonlyRootFilesystem                 bool
	AddedCapabilities, DroppedCapabilities []string
	// SecurityOptions are Docker's, like "no-new-privileges".
	SecurityOptions []string
	// Init runs an init process as the container's first.
	Init    bool
	Ulimits []Ulimit
	Labels  map[string]string
	// HealthCheck is nil where the container has none. One in the image is
	// ignored, as ECS does.
	HealthCheck *HealthCheck
	// StopTimeout is the time between SIGTERM and SIGKILL. Default: 30 s.
	StopTimeout time.Duration
}

// Variable is a variable of a container's environment.
type Variable struct{ Name, Value string }

// Ulimit is a resource limit of a container's processes.
type Ulimit struct {
	Name       string
	Soft, Hard int64
}

// Image is what a container runs.
type Image struct {
	// Asset is the image asset of the stack that is built and pushed as this
	// image; nil if it comes from elsewhere.
	Asset *assembly.ImageAsset `json:"-"`
	// Reference names the image as the template does; of an asset, its
	// repository and tag.
	Reference string
	// Unknown says why Reference cannot be told before a deployment. Empty if
	// it can.
	Unknown string
}

// HealthCheck is a command that is run in a container again and again.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/healthcheck.html
type HealthCheck struct {
	// Command begins with CMD or CMD-SHELL.
	Command []string
	// Interval is the time before the first check and between the end of one
	// and the beginning of the next; Timeout ends one that takes too long.
	// Defaults: 30 s and 5 s.
	Interval, Timeout time.Duration
	// Retries is how many checks must fail in a row for the container to be
	// unhealthy. Default: 3.
	Retries int
	// StartPeriod is how long failures do not count, unless a check succeeded
	// before. Default: they count at once.
	StartPeriod time.Duration
}
