package model

import (
	"strconv"
	"strings"
	"time"

	"cutover/internal/assembly"
)

// ScalableTarget is what Application Auto Scaling changes. Outside ECS only Namespace is read.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-applicationautoscaling-scalabletarget.html
type ScalableTarget struct {
	Base `json:"-"`
	// Namespace is ecs for the desired count of a service.
	Namespace string
	// Service is nil if the target is no service of the assembly.
	Service  *Service `json:"-"`
	Min, Max int
	Policies []*ScalingPolicy
	// Scheduled says that Min and Max change at certain times. Default false.
	Scheduled bool `json:",omitempty"`
}

// ScalingPolicy says when a target is scaled.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-applicationautoscaling-scalingpolicy.html
type ScalingPolicy struct {
	Base `json:"-"`
	// Target is nil if the policy is for no scalable target of the assembly.
	Target *ScalableTarget `json:"-"`
	// Type is TargetTracking, or a type of which nothing else is read.
	Type string
	// Metric is a predefined metric, or the label of a metric of one's own that Expression puts together from Metrics. It is
	// empty for any other metric.
	Metric     string
	Metrics    []Metric `json:",omitempty"`
	Expression string   `json:",omitempty"`
	// TargetValue is what the metric is to be close to.
	TargetValue float64
	// OutOnly says that the policy does not remove tasks (DisableScaleIn).
	OutOnly bool
	// OutCooldown and InCooldown give an activity time to take effect. Default 5 min each.
	OutCooldown, InCooldown time.Duration
}

// Measured says whether the metric of the policy is measured here. Alarms, which other types of policies
// wait for, are not.
func (y *ScalingPolicy) Measured() bool {
	return y.Type == TargetTracking && (y.Metric == MetricCPU || y.Metric == MetricRequests || y.mathMeasured())
}

// TargetTracking is the type of a policy that keeps a metric close to a value.
const TargetTracking = "TargetTrackingScaling"

// The predefined metrics of ECS that are measured here.
// https://docs.aws.amazon.com/autoscaling/application/APIReference/API_PredefinedMetricSpecification.html
const (
	// MetricCPU is the tasks' average CPU time in percent of the reservation, at times above 100.
	// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service_utilization.html
	MetricCPU = "ECSServiceAverageCPUUtilization"
	// MetricRequests is how many requests a minute each target gets on average.
	// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-cloudwatch-metrics.html
	MetricRequests = "ALBRequestCountPerTarget"
)

// scalingCooldown is the default of both cooldowns for ECS, in seconds.
// https://docs.aws.amazon.com/autoscaling/application/APIReference/API_TargetTrackingScalingPolicyConfiguration.html
const scalingCooldown = 300

func (m *Model) scalableTarget(t *ScalableTarget, p assembly.Value) {
	if t.Namespace = p.Field("ServiceNamespace").Text(""); t.Namespace != "ecs" {
		return
	}
	t.Service = m.scaledService(p.Field("ResourceId"))
	t.Min, t.Max = p.Field("MinCapacity").Int(0, 0, 5000), p.Field("MaxCapacity").Int(0, 0, 5000)
	t.Scheduled = len(p.Field("ScheduledActions").List()) > 0
	if t.Min > t.Max {
		p.Field("MinCapacity").Refuse("%d is more than MaxCapacity, %d", t.Min, t.Max)
	}
	switch {
	case t.Service == nil:
	case t.Service.Scaling == nil:
		t.Service.Scaling = t
	default:
		p.Field("ResourceId").Refuse("service %s has another scalable target", t.Service.Key())
	}
}

// scaledService returns the service of a resource id, service/CLUSTER/SERVICE.
func (m *Model) scaledService(id assembly.Value) *Service {
	text := id.Keyed()
	for _, s := range m.Services {
		if text == "service/"+s.ClusterID+"/"+s.Name || strings.HasPrefix(text, "service/") && strings.HasSuffix(text, "/"+s.Key()) {
			return s
		}
	}
	id.Refuse("%s names no service of the assembly", text)
	return nil
}

func (m *Model) scalingPolicy(y *ScalingPolicy, p assembly.Value) {
	if id := p.Field("ScalingTargetId"); id.Present() {
		y.Target = refer[ScalableTarget](m, id, AppAutoScalingTarget)
	} else if p.Field("ServiceNamespace").Text("") == "ecs" {
		if service := m.scaledService(p.Field("ResourceId")); service != nil {
			y.Target = service.Scaling
		}
	}
	if y.Target != nil {
		y.Target.Policies = append(y.Target.Policies, y)
	}
	if y.Type = p.Field("PolicyType").Text(""); y.Type != TargetTracking {
		return
	}
	c := p.Field("TargetTrackingScalingPolicyConfiguration")
	y.Metric = c.Field("PredefinedMetricSpecification").Field("PredefinedMetricType").Text("")
	if y.Metric == "" { // beside a predefined metric, another one is not read, and so refused
		if own := c.Field("CustomizedMetricSpecification"); own.Field("Metrics").Present() {
			m.metricMath(y, own)
		}
	}
	y.OutOnly = c.Field("DisableScaleIn").Bool(false)
	const most = 1 << 20 // seconds
	y.OutCooldown = c.Field("ScaleOutCooldown").Seconds(scalingCooldown, 0, most)
	y.InCooldown = c.Field("ScaleInCooldown").Seconds(scalingCooldown, 0, most)
	value := c.Field("TargetValue")
	var err error
	if y.TargetValue, err = strconv.ParseFloat(value.Text(""), 64); err != nil || !(y.TargetValue > 0) {
		value.Refuse("%q: it must be a number above 0", value.Text(""))
	}
}
