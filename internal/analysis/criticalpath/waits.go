package criticalpath

import (
	"fmt"
	"slices"
	"strings"

	"cutover/internal/assembly"
	"cutover/internal/model"
)

const (
	serviceType        = "AWS::ECS::Service"
	taskDefinitionType = "AWS::ECS::TaskDefinition"
	targetGroupType    = "AWS::ElasticLoadBalancingV2::TargetGroup"
)

// pace is how fast a service comes and goes, in seconds at most.
type pace struct {
	tasks    int
	kept     bool // an update leaves the number as it is
	min, max int  // percent of the tasks during a deployment
	start    int  // until a new task counts
	startWhy string
	stop     int // until one that goes away is gone
	stopWhy  string
	givesUp  int
	rolling  bool // ECS replaces the tasks itself
}

// restarting are the properties of a service whose change starts new tasks.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_UpdateService.html
var restarting = []string{
	"ForceNewDeployment", "LoadBalancers", "NetworkConfiguration", "PlatformVersion", "ServiceConnectConfiguration",
	"ServiceRegistries", "TaskDefinition", "VolumeConfigurations", "VpcLatticeConfigurations",
}

// wait adds to a step what the templates make it last. What was is nil for a
// resource that is created, what is for one that is deleted.
func (d *deployment) wait(step *Step, was, is *assembly.Resource, changed []string) error {
	if step.Type != serviceType {
		return nil
	}
	var before, after pace
	var err error
	if was != nil && step.Action != Replace {
		if before, err = d.pace(d.from, was); err != nil {
			return err
		}
	}
	if is != nil {
		if after, err = d.pace(d.to, is); err != nil {
			return err
		}
	}
	if was != nil && step.Action == Update && after.kept {
		// Without a count an update keeps the number, and a new service has one task.
		after.tasks = before.tasks
	}
	anew := slices.ContainsFunc(changed, func(name string) bool { return slices.Contains(restarting, name) })
	starts, stops := after.tasks > before.tasks, after.tasks < before.tasks
	switch {
	case step.Action != Delete && !after.rolling:
		return nil
	case anew && after.tasks > 0:
		starts, stops = true, before.tasks > 0
	}
	var why []string
	if starts {
		step.Seconds += after.start
		step.GivesUp = after.givesUp
		why = append(why, after.startWhy)
	}
	if stops { // the tasks of before, with their settings
		step.Seconds += before.stop
		why = append(why, before.stopWhy)
	}
	if starts && stops {
		if rounds := after.rounds(); rounds > 1 {
			step.Seconds *= rounds
			why = append(why, fmt.Sprintf("all that in %d rounds", rounds))
		}
	}
	step.Why = strings.Join(why, "; ")
	return nil
}

// rounds is in how many goes the tasks are replaced: each as many as the maximum
// lets start, or the minimum lets stop, at a time.
func (p pace) rounds() int {
	lower, upper := model.Bounds(p.min, p.max, p.tasks)
	atOnce := max(1, upper-lower)
	return (p.tasks + atOnce - 1) / atOnce
}

// pace reads a service. Defaults are those of CloudFormation, ECS and Elastic Load
// Balancing:
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-ecs-service.html,
// …/aws-properties-ecs-taskdefinition-healthcheck.html,
// …/aws-resource-elasticloadbalancingv2-targetgroup.html.
func (d *deployment) pace(a *assembly.Assembly, resource *assembly.Resource) (pace, error) {
	const most = 1 << 20 // of seconds and counts, so that their products are numbers
	r := assembly.NewReader(a)
	p := r.Properties(resource)
	deployment := p.Field("DeploymentConfiguration")
	count := p.Field("DesiredCount")
	least := 1
	if !count.Present() { // one that scales has no fewer
		for _, target := range model.Read(a).ScalableTargets {
			if target.Service != nil && target.Service.Resource == resource {
				least = target.Min
			}
		}
	}
	s := pace{
		tasks:   count.Int(least, 0, most),
		kept:    !count.Present(),
		min:     deployment.Field("MinimumHealthyPercent").Int(100, 0, 100),
		max:     deployment.Field("MaximumPercent").Int(200, 0, most),
		rolling: p.Field("DeploymentController").Field("Type").Text("ECS") == "ECS",
	}

	var healthy, failing, drain int
	why := "not known here"
	for _, v := range p.Field("LoadBalancers").List() {
		arn := v.Field("TargetGroupArn")
		group := resolved(a, arn, resource, targetGroupType)
		if group == nil {
			d.unknown[fmt.Sprintf("the target group %v of %v", arn.Raw(), resource)] = true
			continue
		}
		g := r.Properties(group)
		// A new target has to pass one check; the threshold is for one that has failed
		// (https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks.html).
		interval := g.Field("HealthCheckIntervalSeconds").Int(30, 1, most)
		if interval > healthy {
			healthy = interval
			why = fmt.Sprintf("a health check of the target group within %d s", interval)
		}
		failing = max(failing, g.Field("UnhealthyThresholdCount").Int(2, 1, most)*interval)
		delay := 300
		for _, attribute := range g.Field("TargetGroupAttributes").List() {
			if attribute.Field("Key").Text("") == "deregistration_delay.timeout_seconds" {
				delay = attribute.Field("Value").Int(delay, 0, most)
			}
		}
		drain = max(drain, delay)
	}

	kill, checked := 0, len(p.Field("LoadBalancers").List()) > 0
	if definition := resolved(a, p.Field("TaskDefinition"), resource, taskDefinitionType); definition != nil {
		for _, c := range r.Properties(definition).Field("ContainerDefinitions").List() {
			kill = max(kill, c.Field("StopTimeout").Int(30, 0, most))
			check := c.Field("HealthCheck")
			if !check.Present() || !c.Field("Essential").Bool(true) {
				continue
			}
			checked = true
			interval := check.Field("Interval").Int(30, 1, most)
			if interval > healthy {
				healthy = interval
				why = fmt.Sprintf("the container's health check after %d s", interval)
			}
			failing = max(failing, check.Field("StartPeriod").Int(0, 0, most)+check.Field("Retries").Int(3, 1, most)*interval)
		}
	} else {
		d.unknown[fmt.Sprintf("the task definition of %v", resource)] = true
	}
	if !checked {
		healthy = int(model.Unchecked.Seconds())
		why = fmt.Sprintf("%d s for want of a health check", healthy)
	}
	s.start, s.startWhy = healthy, "start: "+why
	s.stop, s.stopWhy = drain+kill, fmt.Sprintf("stop: deregistration delay %d s, stop timeout %d s", drain, kill)

	if breaker := deployment.Field("DeploymentCircuitBreaker"); breaker.Field("Enable").Bool(false) && !breaker.Field("ThresholdConfiguration").Present() {
		grace := p.Field("HealthCheckGracePeriodSeconds").Int(0, 0, most)
		s.givesUp = model.Threshold{}.Failures(s.tasks) * max(grace, failing) // one after the other at worst
	}
	return s, r.Err()
}

// resolved is the resource of that type that a value names, nil if it names
// something else, or what only a deployment can tell.
func resolved(a *assembly.Assembly, v assembly.Value, in *assembly.Resource, resourceType string) *assembly.Resource {
	value, err := a.Resolve(in.Stack, in.LogicalID, "", v.Raw())
	if ref, ok := value.(assembly.Ref); err == nil && ok && ref.Resource.Type == resourceType {
		return ref.Resource
	}
	return nil
}
