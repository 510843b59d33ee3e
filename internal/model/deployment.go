package model

import "time"

// CircuitBreaker says when a deployment counts as failed, and what then.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-circuit-breaker.html
type CircuitBreaker struct {
	Enable bool
	// Rollback returns to the last completed deployment after a failure.
	Rollback bool
	// Cumulative counts all failed tasks (ResetOnHealthyTask: false). Default: since the last
	// healthy one.
	Cumulative bool
	Threshold  Threshold
}

// Threshold is how many tasks may fail. The zero value is ECS's default, BOUNDED_PERCENT of 50.
type Threshold struct {
	Type  string
	Value int
}

// Types of thresholds.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ThresholdConfiguration.html
const (
	Count            = "COUNT"
	BoundedPercent   = "BOUNDED_PERCENT"   // of the desired count, at least 3 and at most 200
	UnboundedPercent = "UNBOUNDED_PERCENT" // of the desired count

	defaultThreshold = 50 // of the bounded percent
	minThreshold     = 3
	maxThreshold     = 200
)

// Failures is how many failed tasks fail a deployment. Percentages are rounded up.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-circuit-breaker.html
func (t Threshold) Failures(desired int) int {
	if t == (Threshold{}) {
		t = Threshold{BoundedPercent, defaultThreshold}
	}
	switch t.Type {
	case Count:
		return t.Value
	case UnboundedPercent:
		return max(1, percentUp(desired, t.Value))
	}
	return min(max(percentUp(desired, t.Value), minThreshold), maxThreshold)
}

// Bounds are how many tasks must stay healthy (rounded up) and how many may run (rounded down).
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeploymentConfiguration.html
func Bounds(minimumHealthyPercent, maximumPercent, desired int) (lower, upper int) {
	return percentUp(desired, minimumHealthyPercent), desired * maximumPercent / 100
}

func percentUp(n, percent int) int { return (n*percent + 99) / 100 }

// Unchecked is how long a task without any health check must run to count as healthy.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeploymentConfiguration.html
const Unchecked = 40 * time.Second
