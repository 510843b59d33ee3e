package model

import "cutover/internal/assembly"

// Alarm is a CloudWatch alarm.
type Alarm struct {
	Base
	// Metrics is how many metrics the alarm looks at, one at least.
	Metrics int
}

// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-cloudwatch-alarm.html
func (a *Alarm) read(p assembly.Value) {
	for _, metric := range p.Field("Metrics").List() {
		if metric.Field("MetricStat").Present() {
			a.Metrics++
		}
	}
	a.Metrics = max(1, a.Metrics)
}
