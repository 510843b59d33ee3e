package ecs

import "time"

// Types of circuit breaker thresholds.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ThresholdConfiguration.html
const (
	boundedPercent   = "BOUNDED_PERCENT"
	unboundedPercent = "UNBOUNDED_PERCENT"
	absoluteCount    = "COUNT"

	defaultThreshold = 50
	minThreshold     = 3
	maxThreshold     = 200
)

// Failures is how many tasks of a deployment must fail for it to have failed.
// Percentages are rounded up.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-circuit-breaker.html
func (t Threshold) Failures(desired int) int {
	if t == (Threshold{}) {
		t = Threshold{boundedPercent, defaultThreshold}
	}
	switch t.Type {
	case absoluteCount:
		return t.Value
	case unboundedPercent:
		return max(1, percentUp(desired, t.Value))
	}
	return min(max(percentUp(desired, t.Value), minThreshold), maxThreshold)
}

// Bounds are the number of tasks that must stay healthy during a deployment and
// the number that may run: the minimum is rounded up, the maximum down.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeploymentConfiguration.html
func (s *ServiceSpec) Bounds(desired int) (lower, upper int) {
	return percentUp(desired, s.MinimumHealthyPercent), desired * s.MaximumPercent / 100
}

func percentUp(n, percent int) int { return (n*percent + 99) / 100 }

const (
	// Unchecked is how long a task without any health check must run to count
	// as healthy.
	// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeploymentConfiguration.html
	Unchecked = 40 * time.Second
	// maxBackoff is the longest time between two attempts to start a task.
	// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-throttle-logic.html
	maxBackoff = 27 * time.Minute
	// firstBackoff is the first such time, which then doubles. ECS documents only
	// that it grows.
	firstBackoff = time.Second
	// inconsistent is how many starts in a row must fail for the event that says
	// so. ECS does not document it.
	inconsistent = 3
	// pace is the time before a task that ran is replaced. ECS has no back-off
	// there, but its own latency, of seconds; without one, a process that exits
	// at once would be started hundreds of times a second.
	pace = time.Second
)

// backoff is the time to wait after so many starts in a row have failed.
func backoff(failures int) time.Duration {
	wait := firstBackoff
	for range failures - 1 {
		if wait *= 2; wait >= maxBackoff {
			return maxBackoff
		}
	}
	return wait
}
