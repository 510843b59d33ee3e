// Package emf writes lines of the log from which CloudWatch takes metrics.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
package emf

import "time"

// Metric is a value of a metric. The unit is one of CloudWatch's, as in Seconds.
type Metric struct {
	Name, Unit string
	Value      any
}

// Attributes are those of a line with metrics in the namespace Cutover, by the environment and the service.
func Attributes(environment, service string, at time.Time, metrics ...Metric) []any {
	type definition struct{ Name, Unit string }
	var definitions []definition
	for _, m := range metrics {
		definitions = append(definitions, definition{m.Name, m.Unit})
	}
	all := []any{
		"_aws", map[string]any{
			"Timestamp": at.UnixMilli(),
			"CloudWatchMetrics": []any{map[string]any{
				"Namespace": "Cutover", "Dimensions": [][]string{{"Environment", "Service"}}, "Metrics": definitions,
			}},
		},
		"Environment", environment, "Service", service,
	}
	for _, m := range metrics {
		all = append(all, m.Name, m.Value)
	}
	return all
}
