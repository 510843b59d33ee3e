package ecs

import (
	"slices"
	"strconv"
	"strings"

	"cutover/internal/assembly"
)

// scaling gives services the scalable targets and policies that are theirs.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-applicationautoscaling-scalabletarget.html
func (r *reader) scaling(services []ServiceSpec) {
	scaled := map[string]*ServiceSpec{} // by the key of the scalable target
	for _, resource := range r.Existing(scalableTargetType) {
		p := r.Properties(resource)
		if p.Field("ServiceNamespace").Text("") != "ecs" {
			continue
		}
		p.Only(map[string]string{
			"ScheduledActions": "nothing is scheduled here",
			"SuspendedState":   "nothing is suspended here: leave the scalable target out",
		}, "ServiceNamespace", "ScalableDimension", "ResourceId", "MinCapacity", "MaxCapacity", "RoleARN")
		service := scaledService(services, p.Field("ResourceId"))
		if service == nil {
			continue
		}
		if service.Scaling != nil {
			p.Refuse("service %s has another scalable target", service.Key)
		}
		service.Scaling = &Scaling{Min: p.Field("MinCapacity").Int(0, 0, 5000), Max: p.Field("MaxCapacity").Int(0, 0, 5000)}
		if service.Scaling.Min > service.Scaling.Max {
			p.Field("MinCapacity").Refuse("%d is more than MaxCapacity, %d", service.Scaling.Min, service.Scaling.Max)
		}
		scaled[resource.String()] = service
	}
	for _, resource := range r.Existing(scalingPolicyType) {
		r.policy(r.Properties(resource), scaled, services)
	}
}

// ScalableTarget is a scalable target of an assembly that is the desired count of a
// service of it.
type ScalableTarget struct {
	Service *assembly.Resource
	// Min is the fewest tasks.
	Min int
}

// ScalableTargets returns those that can be told, by their keys.
func ScalableTargets(a *assembly.Assembly) map[string]ScalableTarget {
	r := assembly.NewReader(a)
	resources := r.Existing(serviceType)
	var services []ServiceSpec
	for _, resource := range resources {
		p := r.Properties(resource)
		services = append(services, ServiceSpec{
			Key: resource.String(), Name: p.Field("ServiceName").Text(resource.LogicalID), Cluster: p.Field("Cluster").Identity("default"),
		})
	}
	targets := map[string]ScalableTarget{}
	for _, resource := range r.Existing(scalableTargetType) {
		p := r.Properties(resource)
		if p.Field("ServiceNamespace").Text("") != "ecs" {
			continue
		}
		if service := scaledService(services, p.Field("ResourceId")); service != nil {
			i := slices.IndexFunc(resources, func(r *assembly.Resource) bool { return r.String() == service.Key })
			targets[resource.String()] = ScalableTarget{resources[i], p.Field("MinCapacity").Int(0, 0, 5000)}
		}
	}
	return targets
}

// scaledService returns the service of a resource id, service/CLUSTER/SERVICE. An id
// that names none, or what is no service, is refused, and nil returned.
func scaledService(services []ServiceSpec, id assembly.Value) *ServiceSpec {
	parts := id.Split("/")
	if len(parts) == 3 && parts[0] == "service" {
		i := slices.IndexFunc(services, func(s ServiceSpec) bool {
			return s.Key == parts[2] || s.Name == parts[2] && s.Cluster == parts[1]
		})
		if i >= 0 {
			return &services[i]
		}
	}
	id.Refuse("%s names no service of the assembly", strings.Join(parts, "/"))
	return nil
}

// policy reads a policy.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-applicationautoscaling-scalingpolicy.html
func (r *reader) policy(p assembly.Value, scaled map[string]*ServiceSpec, services []ServiceSpec) {
	var service *ServiceSpec
	if id := p.Field("ScalingTargetId"); id.Present() {
		if target := id.Resource(scalableTargetType); target != nil {
			service = scaled[target.String()]
		}
	} else if p.Field("ServiceNamespace").Text("") == "ecs" {
		service = scaledService(services, p.Field("ResourceId"))
	}
	if service == nil || service.Scaling == nil {
		return // of something else, or refused
	}
	if kind := p.Field("PolicyType"); kind.Text("") != "TargetTrackingScaling" {
		kind.Refuse("%q: only TargetTrackingScaling is honoured here", kind.Text(""))
		return
	}
	c := p.Field("TargetTrackingScalingPolicyConfiguration")
	c.Only(map[string]string{"CustomizedMetricSpecification": "there is no CloudWatch to ask for a metric here"},
		"PredefinedMetricSpecification", "TargetValue", "DisableScaleIn", "ScaleInCooldown", "ScaleOutCooldown")
	metric := c.Field("PredefinedMetricSpecification").Field("PredefinedMetricType")
	const most = 1 << 20 // seconds
	policy := ScalingPolicy{
		Metric:      ScalingMetric(metric.Text("")),
		OutOnly:     c.Field("DisableScaleIn").Bool(false),
		OutCooldown: seconds(c.Field("ScaleOutCooldown").Int(int(scalingCooldown.Seconds()), 0, most)),
		InCooldown:  seconds(c.Field("ScaleInCooldown").Int(int(scalingCooldown.Seconds()), 0, most)),
	}
	value := c.Field("TargetValue")
	var err error
	if policy.Target, err = strconv.ParseFloat(value.Text(""), 64); err != nil || !(policy.Target > 0) {
		value.Refuse("%q: it must be a number above 0", value.Text(""))
	}
	switch policy.Metric {
	case MetricCPU:
	case MetricRequests:
		// The label names the target group in parts that only a deployment knows. Where
		// there is one, it can be no other that is meant.
		if len(service.LoadBalancers) != 1 {
			metric.Refuse("%s of a service with %d target groups is not honoured here", policy.Metric, len(service.LoadBalancers))
			return
		}
		policy.TargetGroup = service.LoadBalancers[0].TargetGroup
	default:
		metric.Refuse("%q: only %s and %s are measured here", policy.Metric, MetricCPU, MetricRequests)
	}
	service.Scaling.Policies = append(service.Scaling.Policies, policy)
}
