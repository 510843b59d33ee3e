// Package canary judges a microservice by the monolith that it takes traffic from:
// what is measured, what is too much, and how the alarms are called that say so on
// AWS. The stacks render it as CloudWatch alarms, and "cutover watch" reads those
// or applies it to what runs on this machine.
package canary

import "time"

// What a service is compared with the monolith in, over one [Period] and, to be
// believed, in [Periods] of them after each other.
const (
	// Period is what one figure is of: the shortest that an Application Load Balancer
	// reports (https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-cloudwatch-metrics.html).
	Period = time.Minute
	// Periods is how many figures after each other have to be too high.
	Periods = 2
	// MinRequests is how many requests each of the two has to have had in a period:
	// of fewer, one failure is a rate and the slowest one a percentile.
	MinRequests = 50
	// MaxErrorPoints is by how many percentage points more of a service's requests
	// may be answered with 5xx than of the monolith's.
	MaxErrorPoints = 1.0
	// MaxLatencyRatio is how many times the monolith's p99 that of a service may be,
	// and MinLatency what it has to be above to matter at all.
	MaxLatencyRatio = 1.5
	MinLatency      = 100 * time.Millisecond
)

// Kind is what a service is compared in.
type Kind string

// The kinds, in the order in which they are shown. A service has more unhealthy
// targets than the monolith has in the last.
const (
	Errors    Kind = "errors"
	Latency   Kind = "latency"
	Unhealthy Kind = "unhealthy"
)

// Kinds are all of them.
func Kinds() []Kind { return []Kind{Errors, Latency, Unhealthy} }

// AlarmName is what the alarm is called that goes off when a service of an
// environment is worse than the monolith in something.
func AlarmName(env, service string, kind Kind) string {
	return env + "-" + service + "-canary-" + string(kind)
}
