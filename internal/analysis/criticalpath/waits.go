package criticalpath

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"cutover/internal/assembly"
	"cutover/internal/model"
)

// pace is how fast the tasks of a service come and go, in seconds at most.
type pace struct {
	service  *model.Service
	tasks    int
	kept     bool // an update leaves the number of tasks as it is
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

// slow says that AWS takes minutes for a resource. No template chooses how long, so no sum has it.
//
//   - https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/distribution-web-values-returned.html (the status of a distribution)
//   - https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-vpc-origins.html
//   - https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-vpc-links-v2.html
//   - https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-caching.html
//   - https://docs.aws.amazon.com/amazon-mq/latest/developer-guide/getting-started-rabbitmq.html (a new broker takes about 15 minutes)
//   - https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html (polling of a stream after its mapping is created or updated)
func slow(was, is *assembly.Resource, changed []string) string {
	switch is.Type {
	case model.CloudFrontDistribution:
		return "minutes, until all places of CloudFront have it"
	case model.CloudFrontVPCOrigin:
		return "minutes, until CloudFront has network interfaces in the VPC"
	case model.APIGatewayVPCLink:
		if was == nil || slices.Contains(changed, "SubnetIds") || slices.Contains(changed, "SecurityGroupIds") {
			return "minutes, until API Gateway has network interfaces in the VPC"
		}
	case model.MQBroker:
		if was == nil {
			return "about 15 minutes, until the broker runs"
		}
	case model.LambdaEventSource:
		if is.Properties["StartingPosition"] != nil { // of a stream
			return "minutes, until Lambda reads the stream"
		}
	case model.APIGatewayStage:
		cached := func(r *assembly.Resource) bool { return r != nil && r.Properties["CacheClusterEnabled"] == true }
		if cached(was) != cached(is) {
			return "minutes, until its cache is there or gone"
		}
	}
	return ""
}

// wait adds to the step of a service how long the templates make it last.
func (d *deployment) wait(step *Step, was, is *assembly.Resource, changed []string) {
	var before, after pace
	if was != nil && step.Action != Replace {
		before = d.pace(d.from, was)
	}
	if is != nil {
		after = d.pace(d.to, is)
	}
	if was != nil && step.Action == Update && after.kept {
		// Without a count an update keeps the number of tasks.
		after.tasks = before.tasks
	}
	anew := slices.ContainsFunc(changed, func(name string) bool { return slices.Contains(restarting, name) })
	starts, stops := after.tasks > before.tasks, after.tasks < before.tasks
	switch {
	case step.Action != Delete && !after.rolling:
		return
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
}

// rounds is how often tasks are replaced, as many at a time as the service's bounds allow.
func (p pace) rounds() int {
	lower, upper := model.Bounds(p.service.MinimumHealthyPercent, p.service.MaximumPercent, p.tasks)
	atOnce := max(1, upper-lower)
	return (p.tasks + atOnce - 1) / atOnce
}

// pace says how fast the tasks of a service come and go.
func (d *deployment) pace(m *model.Model, resource *assembly.Resource) pace {
	s := m.Value(resource).(*model.Service)
	d.errs = append(d.errs, s.Problem("DesiredCount", "DeploymentConfiguration", "DeploymentController", "HealthCheckGracePeriodSeconds"))
	seconds := func(d time.Duration) int { return int(d.Seconds()) }
	var healthy, failing, drain, kill, first int // first: what an essential container waits for
	why, checked := "not known here", len(s.LoadBalancers) > 0
	for _, lb := range s.LoadBalancers {
		group := lb.TargetGroup
		if group == nil {
			d.unknown[fmt.Sprintf("a target group of %v", s.Resource)] = true
			continue
		}
		d.errs = append(d.errs, group.Problem("HealthCheckIntervalSeconds", "UnhealthyThresholdCount", "TargetGroupAttributes"))
		// A new target has to pass one check; the threshold is for one that has failed
		// (https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks.html).
		interval := seconds(group.Health.Interval)
		if interval > healthy {
			healthy = interval
			why = fmt.Sprintf("a health check of the target group within %d s", interval)
		}
		failing = max(failing, group.Health.Unhealthy*interval)
		drain = max(drain, seconds(group.DeregistrationDelay))
	}
	if s.TaskDefinition == nil {
		d.unknown[fmt.Sprintf("the task definition of %v", s.Resource)] = true
	} else {
		d.errs = append(d.errs, s.TaskDefinition.ContainerProblem("Essential", "StopTimeout", "DependsOn", "Links", "HealthCheck.Interval", "HealthCheck.Retries", "HealthCheck.StartPeriod"))
		for _, c := range s.TaskDefinition.Containers {
			kill = max(kill, seconds(c.StopTimeout)+dependencies(s.TaskDefinition, c, stops))
			if !c.Essential {
				continue
			}
			first = max(first, dependencies(s.TaskDefinition, c, starts))
			if c.HealthCheck == nil {
				continue
			}
			checked = true
			interval := seconds(c.HealthCheck.Interval)
			if interval > healthy {
				healthy = interval
				why = fmt.Sprintf("the container's health check after %d s", interval)
			}
			failing = max(failing, seconds(c.HealthCheck.StartPeriod)+c.HealthCheck.Retries*interval)
		}
	}
	if !checked {
		healthy = seconds(model.Unchecked)
		why = fmt.Sprintf("%d s for want of a health check", healthy)
	}
	if first > 0 {
		healthy, failing = healthy+first, failing+first
		why = fmt.Sprintf("the containers that come first within %d s; %s", first, why)
	}
	start := "start"
	if on, _ := m.Fargate(s); on != nil {
		start = "start on Fargate"
	}
	p := pace{
		service: s, tasks: s.Tasks(), kept: s.DesiredCount == nil, rolling: s.Controller == "ECS",
		start: healthy, startWhy: start + ": " + why,
		stop: drain + kill, stopWhy: fmt.Sprintf("stop: deregistration delay %d s, stop timeout %d s", drain, kill),
	}
	if s.CircuitBreaker.Enable && s.CircuitBreaker.Threshold == (model.Threshold{}) {
		// One after the other at worst.
		p.givesUp = model.Threshold{}.Failures(p.tasks) * max(seconds(s.HealthCheckGracePeriod), failing)
	}
	return p
}

// dependencies is how long the containers take that one depends on: the longest chain of them. Containers stop
// in the opposite order
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDependency.html).
func dependencies(d *model.TaskDefinition, c model.Container, seconds func(on model.Container, condition string) int, above ...string) int {
	longest := 0
	for _, on := range c.Requires() {
		for _, other := range d.Containers {
			if other.Name == on.Container && other.Name != c.Name && !slices.Contains(above, other.Name) {
				longest = max(longest, seconds(other, on.Condition)+dependencies(d, other, seconds, append(above, c.Name)...))
			}
		}
	}
	return longest
}

// starts is how long a container waits for another one. How long one takes that has to end is not known.
func starts(on model.Container, condition string) int {
	if condition != "HEALTHY" || on.HealthCheck == nil {
		return 0
	}
	return int(on.HealthCheck.Interval.Seconds())
}

// stops is how long a container is waited for when a task stops. One that has ended takes no time.
func stops(on model.Container, condition string) int {
	if condition == "COMPLETE" || condition == "SUCCESS" {
		return 0
	}
	return int(on.StopTimeout.Seconds())
}
