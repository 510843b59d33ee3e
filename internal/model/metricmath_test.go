package model

import (
	"fmt"
	"math"
	"strings"
	"testing"
)

// backlog is the template of a service that scales by an expression.
func backlog(expression string) string {
	return strings.ReplaceAll(`
		"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "dev-deletions-work"}},
		"Service": {"Type": "AWS::ECS::Service", "Properties": {"ServiceName": "deletions-worker", "Cluster": "c"}},
		"Target": {"Type": "AWS::ApplicationAutoScaling::ScalableTarget", "Properties": {"ServiceNamespace": "ecs", "ResourceId": "service/c/deletions-worker", "MinCapacity": 1, "MaxCapacity": 4}},
		"Policy": {"Type": "AWS::ApplicationAutoScaling::ScalingPolicy", "Properties": {"ScalingTargetId": {"Ref": "Target"}, "PolicyType": "TargetTrackingScaling",
			"TargetTrackingScalingPolicyConfiguration": {"TargetValue": 10, "CustomizedMetricSpecification": {"Metrics": [
				{"Id": "jobs", "ReturnData": false, "MetricStat": {"Stat": "Sum", "Metric": {"Namespace": "AWS/SQS", "MetricName": "ApproximateNumberOfMessagesVisible", "Dimensions": [{"Name": "QueueName", "Value": "dev-deletions-work"}]}}},
				{"Id": "tasks", "ReturnData": false, "MetricStat": {"Stat": "Average", "Metric": {"Namespace": "ECS/ContainerInsights", "MetricName": "RunningTaskCount",
					"Dimensions": [{"Name": "ClusterName", "Value": "c"}, {"Name": "ServiceName", "Value": {"Fn::GetAtt": ["Service", "Name"]}}]}}},
				{"Id": "backlog", "Expression": "EXPRESSION", "Label": "Jobs for each worker"}]}}}}`, "EXPRESSION", expression)
}

func TestMetricMath(t *testing.T) {
	for expression, want := range map[string]string{
		"jobs / tasks":         "true Jobs for each worker 6 <nil>",
		"(jobs + 2) * 3 / 2-1": "true Jobs for each worker 20 <nil>",
		"jobs / (tasks - 2)":   "true Jobs for each worker NaN <nil>",
		"jobs / other":         `false Jobs for each worker +Inf the expression "jobs / other" has "other", which is no metric`,
		"MAX([jobs, 1])":       `false Jobs for each worker 0 the expression "MAX([jobs, 1])" is not known here`,
		"FILL(jobs, 0)":        "false Jobs for each worker 0 the expression has more than numbers, ids, + - * / and parentheses",
	} {
		m := read(t, backlog(expression))
		p := m.ScalingPolicies[0]
		value, err := p.Value(func(one Metric) float64 {
			if one.Tasks {
				return 2
			}
			return 12
		})
		if math.IsNaN(value) && err != nil {
			value = math.Inf(1)
		}
		if got := fmt.Sprint(p.Measured(), " ", p.Metric, " ", value, " ", err); got != want {
			t.Errorf("%s: %s, want %s", expression, got, want)
		}
		if err := p.Unsupported(nil, nil, "TargetTrackingScalingPolicyConfiguration"); err != nil {
			t.Errorf("%s: %v", expression, err)
		}
	}
	elsewhere := read(t, strings.Replace(backlog("jobs / tasks"), `"QueueName": "dev-deletions-work"`, `"QueueName": "other"`, 1)).ScalingPolicies[0]
	if elsewhere.Measured() || elsewhere.Metrics[0].QueueName != "" || !elsewhere.Metrics[1].Tasks {
		t.Errorf("a queue that is not in the assembly is measured: %+v", elsewhere)
	}
}
