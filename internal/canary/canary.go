// Package canary judges a microservice by the monolith that it takes traffic from: what is
// measured, the limits, and the alarms. The stacks render the alarms for CloudWatch. "cutover
// watch" reads them on AWS, and judges on this machine by the same limits.
package canary

import "time"

// A figure is of one [Period]. A service is worse after [Periods] figures in a row above a limit.
const (
	// Period is the shortest that an Application Load Balancer reports (https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-cloudwatch-metrics.html).
	Period = time.Minute
	// Periods is how many figures after each other have to be too high.
	Periods = 2
	// MinRequests is how many requests both need in a period. With fewer, one failure makes a rate.
	MinRequests = 50
	// MaxErrorPoints is how many percentage points more 5xx a service may have than the monolith.
	MaxErrorPoints = 1.0
	// MaxLatencyRatio bounds a p99 by the monolith's. A p99 up to MinLatency is never slow.
	MaxLatencyRatio = 1.5
	MinLatency      = 100 * time.Millisecond
)

// Kind is a figure by which a service is compared.
type Kind string

// The kinds, in the order in which they are shown.
const (
	Errors    Kind = "errors"
	Latency   Kind = "latency"
	Unhealthy Kind = "unhealthy"
)

// Kinds are all of them.
func Kinds() []Kind { return []Kind{Errors, Latency, Unhealthy} }

// KindsOf are the kinds by which a service is compared: a function is never unhealthy, as nobody checks it.
func KindsOf(function bool) []Kind {
	if function {
		return []Kind{Errors, Latency}
	}
	return Kinds()
}

// AlarmName returns the name of an environment's alarm for a service and a kind. Of the monolith behind
// several load balancers, the service is the name of its target group.
func AlarmName(env, service string, kind Kind) string {
	return env + "-" + service + "-canary-" + string(kind)
}
