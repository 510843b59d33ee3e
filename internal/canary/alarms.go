package canary

import (
	"fmt"
	"slices"
	"time"
)

// Alarm compares a microservice with the monolith in one kind. It goes off when the expression is
// above the threshold in [Periods] periods.
type Alarm struct {
	Kind        Kind
	Description string
	// Expression is in CloudWatch's metric math
	// (https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html).
	Expression string
	// Metrics are those of the expression, each of one [Period].
	Metrics   []Metric
	Threshold float64
}

// Metric is what CloudWatch measures of a target group
// (https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-cloudwatch-metrics.html).
type Metric struct {
	ID string
	// Service is whose target group is measured.
	Service string
	// Name and Statistic are CloudWatch's, like "RequestCount" and "Sum".
	Name, Statistic string
}

// Group is a target group that is compared, by the name of its service.
type Group struct {
	Name string
	// Function says that its target is a function of Lambda. If a function gives no answer, the load
	// balancer answers itself with 5xx, and counts that for the function in metrics of its own.
	Function bool
}

// failures are the metrics of what a function did not answer: because of the function, as with a time-out, and
// because of Lambda.
var failures = []string{"LambdaUserError", "LambdaInternalError"}

// Alarms returns the alarms of a microservice, in the order of [KindsOf]. They hold in every phase.
//
// CloudWatch has no data point of what did not happen, not even 0 errors. In arithmetic a missing
// point is 0. There is no result, and so no alarm, where a condition has no point, the divisor is
// 0, or a metric has no points:
//
//   - Errors and latency begin with the requests of the service, which are not filled. CloudWatch
//     may not have the last minute yet, and that minute is not taken for a quiet one.
//   - Unhealthy targets count without requests, too.
//   - A monolith without enough requests gives 0, or no point, which is filled with 0. If only its
//     last minute is late, it counts as faultless once: one period fewer than an alarm takes.
//
// A load balancer's own answer belongs to no target group, unless a function failed. It has an alarm of its own.
func Alarms(of, with Group) []Alarm {
	service, monolith := of.Name, with.Name
	requests := Metric{"requests", service, "RequestCount", "Sum"}
	monolithRequests := Metric{"monolithRequests", monolith, "RequestCount", "Sum"}
	both := func(id, monolithID, name, statistic string) []Metric {
		return []Metric{{id, service, name, statistic}, {monolithID, monolith, name, statistic}}
	}
	enough := fmt.Sprintf("requests >= %d", MinRequests)
	compared := fmt.Sprintf("monolithRequests >= %d", MinRequests)
	long := fmt.Sprintf(", for %d minutes", int(Periods*Period/time.Minute))
	withRequests := fmt.Sprintf("%s with %d requests or more", long, MinRequests)
	// failed adds what a function did not answer to the answers with 5xx.
	failed := func(errors string, g Group) (string, []Metric) {
		metrics := []Metric{{errors, g.Name, "HTTPCode_Target_5XX_Count", "Sum"}}
		if !g.Function {
			return errors, metrics
		}
		sum := errors
		for _, name := range failures {
			id := errors + "As" + name
			sum += " + " + id
			metrics = append(metrics, Metric{id, g.Name, name, "Sum"})
		}
		return "(" + sum + ")", metrics
	}
	errors, errorMetrics := failed("errors", of)
	monolithErrors, monolithErrorMetrics := failed("monolithErrors", with)
	unhealthy, unhealthyMetrics := fmt.Sprintf("unhealthy - FILL(IF(%s, monolithUnhealthy, 0), 0)", compared), append(both("unhealthy", "monolithUnhealthy", "UnHealthyHostCount", "Minimum"), monolithRequests)
	if with.Function { // it has no such metric
		unhealthy, unhealthyMetrics = "unhealthy", unhealthyMetrics[:1]
	}
	alarms := []Alarm{
		{
			Kind: Errors,
			Description: fmt.Sprintf("%s answers with 5xx more often than %s: by more than %g percentage points", service, monolith, MaxErrorPoints) +
				withRequests,
			Expression: fmt.Sprintf("IF(%s, 100 * %s / requests - FILL(IF(%s, 100 * %s / monolithRequests, 0), 0), 0)", enough, errors, compared, monolithErrors),
			Metrics:    slices.Concat(errorMetrics, monolithErrorMetrics, []Metric{requests, monolithRequests}),
			Threshold:  MaxErrorPoints,
		},
		{
			Kind: Latency,
			Description: fmt.Sprintf("%s is slower than %s: its p99 is above %v and more than %g times as long", service, monolith, MinLatency, MaxLatencyRatio) +
				withRequests,
			Expression: fmt.Sprintf("IF(%s AND %s AND latency > %g, latency / monolithLatency, 0)", enough, compared, MinLatency.Seconds()),
			Metrics:    append(both("latency", "monolithLatency", "TargetResponseTime", "p99"), requests, monolithRequests),
			Threshold:  MaxLatencyRatio,
		},
		{
			Kind:        Unhealthy,
			Description: fmt.Sprintf("%s has more unhealthy tasks than %s", service, monolith) + long,
			Expression:  unhealthy,
			// The fewest of a minute: a task that is being started is unhealthy for some seconds.
			Metrics: unhealthyMetrics,
		},
	}
	return alarms[:len(KindsOf(of.Function))]
}
