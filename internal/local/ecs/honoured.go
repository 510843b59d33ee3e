package ecs

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"cutover/internal/assembly"
	"cutover/internal/local/provider"
	"cutover/internal/model"
	"cutover/internal/words"
)

// Check says what of the services, their task definitions and their scaling cannot run here: a line
// for each setting, with its place.
//
// Check passes over settings for AWS only: IAM roles, tags, placement, capacity providers of the
// cluster, scaling of anything but services, and logging to CloudWatch, which a driver's log
// stands for.
func Check(m *model.Model) error {
	var errs []error
	for _, s := range m.Services {
		errs = append(errs, serviceErrors(s))
	}
	for _, t := range m.ScalableTargets {
		if t.Namespace == "ecs" {
			errs = append(errs, t.Unsupported(ignored, notHonoured))
		}
	}
	for _, p := range m.ScalingPolicies {
		if p.Target == nil || p.Target.Service != nil {
			errs = append(errs, policyErrors(p))
		}
	}
	return assembly.Join(errs...)
}

// forAWS are settings without an effect here, each with its one value, or "" for any.
var forAWS = map[string]string{
	// Of services.
	"PlacementStrategies": "", "PlacementConstraints": "", "AvailabilityZoneRebalancing": "", "EnableECSManagedTags": "",
	"EnableExecuteCommand": "", "PropagateTags": "", "Role": "", "Tags": "", "Base": "", "Weight": "",
	// No alarm goes off here.
	"AlarmNames": "", "Rollback": "",
	// Of task definitions.
	"TaskRoleArn": "", "ExecutionRoleArn": "",
	// Of containers, and of the proxy of Service Connect. VersionConsistency is for images on AWS. The driver's log
	// stands for the log group.
	"LogConfiguration": "", "VersionConsistency": "",
	// Of scaling. The label names a target group in parts that only a deployment knows. A
	// service that scales by requests has one target group.
	"ScalableDimension": "", "RoleARN": "", "ResourceLabel": "",
}

// warned are settings that the warnings of a deployment tell of, by the place of the service.
var warned = map[string]string{
	"ScheduledActions": "nothing is scheduled here",
}

// notHonoured says why for the settings that other apps are most likely to have.
var notHonoured = map[string]string{
	"VpcLatticeConfigurations": "there is no VPC Lattice here",
	"EarlySuccessCriteria":     "a deployment is complete here when all of its tasks are healthy",
	"LoadBalancerName":         "Classic Load Balancers do not run here",
	"Tls":                      "connections between tasks are not encrypted here, so a task without TLS would pass",
	"TestTrafficRules":         "they are for blue/green deployments; only rolling updates are made here",
	"AdvancedConfiguration":    "it is for blue/green deployments; only rolling updates are made here",

	// "What Is AWS App Mesh?", https://docs.aws.amazon.com/app-mesh/latest/userguide/what-is-app-mesh.html
	"ProxyConfiguration": "it is for App Mesh, which AWS has ended on 2026-09-30",

	"EnvironmentFiles": "there is no S3 to read them from here: give the container its variables in Environment",
	"RestartPolicy":    "only tasks are replaced here",

	"SuspendedState": "nothing is suspended here: leave the scalable target out",

	"CustomizedMetricSpecification": "AWS refuses it beside a predefined metric",
}

// Settings that are honoured with some values.
var (
	serviceLimits = []provider.Limit[*model.Service]{
		{Property: "DeploymentController.Type", Value: func(s *model.Service) string { return s.Controller }, Values: []string{"ECS"}},
		{Property: "DeploymentConfiguration.Strategy", Value: func(s *model.Service) string { return s.Strategy }, Values: []string{"ROLLING"}},
		{Property: "LaunchType", Value: func(s *model.Service) string { return s.LaunchType }, Values: []string{"EC2", "FARGATE"}, Why: "there is no machine of your own to stand for here"},
	}
	definitionLimits = []provider.Limit[*model.TaskDefinition]{
		{Property: "NetworkMode", Value: func(d *model.TaskDefinition) string { return d.NetworkMode }, Values: []string{"bridge", "awsvpc", "host", "none"}, Why: "it is for Windows; only bridge, awsvpc, host, none are known here"},
		{Property: "RuntimePlatform.OperatingSystemFamily", Value: func(d *model.TaskDefinition) string { return d.OperatingSystem }, Values: []string{"LINUX"}},
	}
)

// Compatibility is what becomes of the settings of services, task definitions and scaling.
func Compatibility() []provider.Compatibility {
	return slices.Concat(provider.Limits(serviceLimits), provider.Limits(definitionLimits), provider.Settings(forAWS, warned, listed, notHonoured))
}

// Reasons to pass over a setting, for all drivers.
const (
	ownKernel  = "the kernel and the devices of this machine stay as they are"
	noTerminal = "containers have no terminal here"
	toolsLog   = "what containers write is in the log of this tool"
	ownLogin   = "images are pulled with your own login"
	OwnNetwork = "the network is this machine's: everything here reaches a task, and a task reaches everything; security groups decide about names only"
	OwnMachine = "tasks of Fargate run on this machine, with its disk and its processors"
)

// listed are settings of a container's surroundings that are passed over, with the reason.
var listed = map[string]string{
	"VolumeConfigurations": "a volume is a directory of this machine", "DockerVolumeConfiguration": "a volume is a directory of this machine",
	"FSxWindowsFileServerVolumeConfiguration": "a volume is a directory of this machine", "ConfiguredAtLaunch": "a volume is a directory of this machine",
	"IpcMode": "containers share no processes and no memory here", "EnableFaultInjection": "there is no Fault Injection Service here",

	"NetworkConfiguration":   OwnNetwork,
	"AccessLogConfiguration": "the proxies of Service Connect write no access log here",
	"PlatformVersion":        OwnMachine, "EphemeralStorage": OwnMachine, "RuntimePlatform": OwnMachine,
	"ContainerPortRange": "a port of a range is not published here: containers of its task reach the port",

	"DisableNetworking": "every container is on the bridge here", "CredentialSpecs": "there is no Active Directory here",
	"Devices": ownKernel, "MaxSwap": ownKernel, "Swappiness": ownKernel, "ResourceRequirements": ownKernel, "InferenceAccelerators": ownKernel,
	"Interactive": noTerminal, "PseudoTerminal": noTerminal,
	"FirelensConfiguration": toolsLog, "RepositoryCredentials": ownLogin,
}

// ignored are settings that are refused nowhere.
var ignored = func() map[string]string {
	all := maps.Clone(forAWS)
	for _, names := range []map[string]string{listed, warned} {
		for name := range names {
			all[name] = ""
		}
	}
	return all
}()

// listedOfService are those of a service.
func listedOfService(s *model.Service) []provider.PassedOver {
	all := Listed(&s.Base, func(string) string { return s.Name })
	for i, name := range s.CapacityProviders {
		if name == "FARGATE_SPOT" {
			all = append(all, provider.PassedOver{Place: fmt.Sprintf("%v/Properties.CapacityProviderStrategy[%d].CapacityProvider", s.Resource, i), Subject: s.Name, Setting: name,
				Why: "nobody takes the capacity of a task back here"})
		}
	}
	return all
}

// Listed are the settings of a resource that are passed over and listed. Subject has the name of the part
// with a property.
func Listed(b *model.Base, subject func(property string) string) []provider.PassedOver {
	var all []provider.PassedOver
	for _, setting := range b.Settings {
		for part := range strings.SplitSeq(setting.Property, ".") {
			name, _, _ := strings.Cut(part, "[")
			if why, ok := listed[name]; ok {
				place := fmt.Sprintf("%v/%s", b.Resource, setting.Property)
				all = append(all, provider.PassedOver{Place: place, Subject: subject(setting.Property), Setting: name, Why: why})
				break
			}
		}
	}
	return all
}

// listedOfTask are the settings of a task definition and its containers that no driver heeds.
func listedOfTask(d *model.TaskDefinition) []provider.PassedOver {
	all := Listed(&d.Base, func(property string) string {
		for i, c := range d.Containers {
			if strings.HasPrefix(property, fmt.Sprintf("Properties.ContainerDefinitions[%d].", i)) {
				return c.Name
			}
		}
		return d.Family
	})
	list := func(property, subject, setting, why string) {
		all = append(all, provider.PassedOver{Place: fmt.Sprintf("%v/Properties.%s", d.Resource, property), Subject: subject, Setting: setting, Why: why})
	}
	if d.NetworkMode == "host" {
		list("NetworkMode", d.Family, "NetworkMode", "each task has a network of its own here, because the machine stands for all instances")
	}
	if d.PidMode != "" {
		list("PidMode", d.Family, "PidMode", listed["IpcMode"])
	}
	if d.CPU != 0 && len(d.Containers) > 1 {
		list("Cpu", d.Family, "Cpu", "a task reserves it, and its containers share no limit here")
	}
	if d.MemoryMiB != 0 && len(d.Containers) > 1 {
		list("Memory", d.Family, "Memory", "a task reserves it, and its containers share no limit here")
	}
	for i, c := range d.Containers {
		if c.LogDriver != "" && c.LogDriver != "awslogs" {
			list(fmt.Sprintf("ContainerDefinitions[%d].LogConfiguration.LogDriver", i), c.Name, "LogConfiguration", toolsLog)
		}
	}
	return all
}

func serviceErrors(s *model.Service) error {
	errs := []error{
		s.Unsupported(ignored, notHonoured),
	}
	for _, limit := range serviceLimits {
		errs = append(errs, limit.Check(&s.Base, s))
	}
	refuse := func(property, format string, args ...any) {
		errs = append(errs, s.Errorf(property, format, args...))
	}
	if s.Scaling != nil && s.Scheduling == model.Daemon {
		refuse("SchedulingStrategy", "DAEMON is not honoured with scaling: a daemon has one task on each instance")
	}
	d := s.TaskDefinition
	if d == nil {
		if s.Problem("TaskDefinition") == nil {
			refuse("TaskDefinition", "a service needs a task definition")
		}
		return assembly.Join(errs...)
	}
	errs = append(errs, definitionErrors(d))
	for i, lb := range s.LoadBalancers {
		at := fmt.Sprintf("LoadBalancers[%d]", i)
		if lb.TargetGroup == nil && s.Problem(at+".TargetGroupArn") == nil {
			refuse(at, "a target group is missing")
		}
		if !slices.ContainsFunc(d.Containers, func(c model.Container) bool { return c.Name == lb.Container && c.Maps(lb.Port) }) {
			refuse(at, "%v has no container %q that maps port %d", d.Resource, lb.Container, lb.Port)
		}
		if lb.TargetGroup != nil && slices.ContainsFunc(s.LoadBalancers[:i], func(other model.ServiceLoadBalancer) bool { return other.TargetGroup == lb.TargetGroup }) {
			refuse(at, "target group %s is attached twice", lb.TargetGroup.Key())
		}
	}
	return assembly.Join(errs...)
}

func definitionErrors(d *model.TaskDefinition) error {
	errs := []error{
		d.Unsupported(ignored, notHonoured),
	}
	for _, limit := range definitionLimits {
		errs = append(errs, limit.Check(&d.Base, d))
	}
	refuse := func(property, format string, args ...any) {
		errs = append(errs, d.Errorf(property, format, args...))
	}
	if here := []string{"EC2", "FARGATE"}; len(d.Compatibilities) > 0 && !slices.ContainsFunc(d.Compatibilities, func(c string) bool { return slices.Contains(here, c) }) {
		refuse("RequiresCompatibilities", "%s is not honoured: %s", strings.Join(d.Compatibilities, ", "), words.Choice(here))
	}
	for i, c := range d.Containers {
		at := fmt.Sprintf("ContainerDefinitions[%d]", i)
		if c.MemoryMiB == 0 && c.MemoryReservationMiB == 0 && d.MemoryMiB == 0 {
			refuse(at, "a container needs Memory or MemoryReservation")
		}
	}
	return assembly.Join(errs...)
}

func policyErrors(p *model.ScalingPolicy) error {
	errs := []error{p.Problem("ScalingTargetId", "ResourceId", "ServiceNamespace")}
	if p.Target == nil {
		return errs[0]
	}
	if !p.Measured() {
		return errs[0] // the warnings of the deployment tell of it
	}
	const config = "TargetTrackingScalingPolicyConfiguration"
	errs = append(errs, p.Unsupported(forAWS, notHonoured, config))
	if groups := len(p.Target.Service.LoadBalancers); p.Metric == model.MetricRequests && groups != 1 {
		errs = append(errs, p.Errorf(config+".PredefinedMetricSpecification.PredefinedMetricType", "%s of a service with %d target groups is not honoured here", p.Metric, groups))
	}
	return assembly.Join(errs...)
}
