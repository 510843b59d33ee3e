package ecs

import (
	"fmt"
	"slices"
	"strings"

	"cutover/internal/assembly"
	"cutover/internal/model"
)

// Check says what of the services, their task definitions and their scaling cannot run here: a line
// for each setting, with its place. Only services on EC2 in bridge mode run here.
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
			errs = append(errs, t.Unsupported(passedOver, notHonoured))
		}
	}
	for _, p := range m.ScalingPolicies {
		if p.Target == nil || p.Target.Service != nil {
			errs = append(errs, policyErrors(p))
		}
	}
	return assembly.Join(errs...)
}

const bridgeOnly = "only EC2 tasks in bridge mode run here"

// passedOver are settings without an effect here, each with its one value, or "" for any.
var passedOver = map[string]string{
	// Of services.
	"PlacementStrategies": "", "PlacementConstraints": "", "AvailabilityZoneRebalancing": "", "EnableECSManagedTags": "",
	"EnableExecuteCommand": "", "PropagateTags": "", "Role": "", "Tags": "", "Base": "", "Weight": "", "ServiceConnectConfiguration": "",
	// No alarm goes off here.
	"AlarmNames": "", "Rollback": "",
	// Of task definitions.
	"RuntimePlatform": "", "TaskRoleArn": "", "ExecutionRoleArn": "",
	// Of containers. VersionConsistency is for images on AWS.
	"LogConfiguration": "", "VersionConsistency": "",
	// Of scaling. The label names a target group in parts that only a deployment knows. A
	// service that scales by requests has one target group.
	"ScalableDimension": "", "RoleARN": "", "ResourceLabel": "",
}

// notHonoured says why for the settings that other apps are most likely to have.
var notHonoured = map[string]string{
	"NetworkConfiguration":     "it is for network mode awsvpc; " + bridgeOnly,
	"PlatformVersion":          "it is for Fargate; " + bridgeOnly,
	"ServiceRegistries":        "there is no service discovery here",
	"VpcLatticeConfigurations": "there is no VPC Lattice here",
	"VolumeConfigurations":     "there are no EBS volumes here",
	"EarlySuccessCriteria":     "a deployment is complete here when all of its tasks are healthy",
	"LoadBalancerName":         "Classic Load Balancers do not run here",
	"AdvancedConfiguration":    "it is for blue/green deployments; only rolling updates are made here",

	"Volumes":              "containers have no volumes here",
	"IpcMode":              "containers have IPC namespaces of their own here",
	"ProxyConfiguration":   "there is no App Mesh here",
	"EphemeralStorage":     "it is for Fargate; " + bridgeOnly,
	"EnableFaultInjection": "there is no Fault Injection Service here",

	"Secrets":               "there is neither a Secrets Manager nor a Parameter Store to read them from here",
	"EnvironmentFiles":      "there is no S3 to read them from here",
	"DependsOn":             "containers of a task start in the order of the template here, without waiting",
	"Links":                 "containers of a task do not reach each other by name here",
	"MountPoints":           "containers have no volumes here",
	"VolumesFrom":           "containers have no volumes here",
	"RestartPolicy":         "only tasks are replaced here",
	"ResourceRequirements":  "there are no GPUs to give here",
	"RepositoryCredentials": "there is no Secrets Manager to read them from here",
	"FirelensConfiguration": "logs go to the driver's log here",
	"Interactive":           "containers have no terminal here",
	"PseudoTerminal":        "containers have no terminal here",
	"ExtraHosts":            "containers resolve names as the host does here",
	"DnsServers":            "containers resolve names as the host does here",
	"DnsSearchDomains":      "containers resolve names as the host does here",
	"CredentialSpecs":       "there is no Active Directory here",
	"SystemControls":        "kernel parameters stay as they are here",
	"Tmpfs":                 "containers have no volumes here",
	"Devices":               "containers get no devices here",
	"ContainerPortRange":    "ports are mapped one by one here",
	"HostPort":              "a fixed host port is for one task per instance, and this machine stands for all of them: use 0",
	"AppProtocol":           "there is no Service Connect here",
	"DisableNetworking":     "every container is on the bridge here",
	"SharedMemorySize":      "shared memory has the engine's size here",
	"MaxSwap":               "swap stays as it is here",
	"Swappiness":            "swap stays as it is here",

	"ScheduledActions":              "nothing is scheduled here",
	"SuspendedState":                "nothing is suspended here: leave the scalable target out",
	"CustomizedMetricSpecification": "there is no CloudWatch to ask for a metric here",
}

func serviceErrors(s *model.Service) error {
	errs := []error{
		s.Unsupported(passedOver, notHonoured),
		s.Only("SchedulingStrategy", s.Scheduling, "", "REPLICA"),
		s.Only("DeploymentController.Type", s.Controller, "", "ECS"),
		s.Only("DeploymentConfiguration.Strategy", s.Strategy, "", "ROLLING"),
		s.Only("LaunchType", s.LaunchType, bridgeOnly, "EC2"),
	}
	refuse := func(property, format string, args ...any) {
		errs = append(errs, s.Errorf(property, format, args...))
	}
	for i, name := range s.CapacityProviders {
		if strings.HasPrefix(name, "FARGATE") {
			refuse(fmt.Sprintf("CapacityProviderStrategy[%d].CapacityProvider", i), "%q: %s", name, bridgeOnly)
		}
	}
	if s.ServiceConnect {
		refuse("ServiceConnectConfiguration", "not honoured: there is no Service Connect here")
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
		d.Unsupported(passedOver, notHonoured),
		d.Only("NetworkMode", d.NetworkMode, bridgeOnly, "bridge"),
		d.Only("RuntimePlatform.OperatingSystemFamily", d.OperatingSystem, "", "LINUX"),
	}
	refuse := func(property, format string, args ...any) {
		errs = append(errs, d.Errorf(property, format, args...))
	}
	if len(d.Compatibilities) > 0 && !slices.Contains(d.Compatibilities, "EC2") {
		refuse("RequiresCompatibilities", "%s: %s", strings.Join(d.Compatibilities, ", "), bridgeOnly)
	}
	if d.PidMode != "" {
		refuse("PidMode", "not honoured: containers have process namespaces of their own here")
	}
	// Several containers would need a common control group.
	if len(d.Containers) > 1 && d.CPU+d.MemoryMiB != 0 {
		refuse("Cpu", "Cpu and Memory of a task are not honoured for several containers together: limit each container")
	}
	if len(d.Volumes) > 0 {
		refuse("Volumes", "not honoured: %s", notHonoured["Volumes"])
	}
	for i, c := range d.Containers {
		at := fmt.Sprintf("ContainerDefinitions[%d]", i)
		if c.MemoryMiB == 0 && c.MemoryReservationMiB == 0 {
			refuse(at, "a container needs Memory or MemoryReservation")
		}
		for setting, set := range map[string]int{"Secrets": len(c.Secrets), "DependsOn": len(c.DependsOn), "Links": len(c.Links), "MountPoints": len(c.Mounts), "LinuxParameters.Tmpfs": len(c.Tmpfs)} {
			if set > 0 {
				refuse(at+"."+setting, "not honoured: %s", notHonoured[strings.TrimPrefix(setting, "LinuxParameters.")])
			}
		}
		for j, port := range c.Ports {
			if port.Host != 0 {
				refuse(fmt.Sprintf("%s.PortMappings[%d].HostPort", at, j), "%d is not honoured: %s", port.Host, notHonoured["HostPort"])
			}
			if port.Protocol != "tcp" {
				refuse(fmt.Sprintf("%s.PortMappings[%d].Protocol", at, j), "%q is not honoured: only tcp is known here", port.Protocol)
			}
		}
		if c.Privileged {
			refuse(at+".Privileged", "not honoured: a container that owns the host has no place on a developer's machine")
		}
		if c.LogDriver != "" && c.LogDriver != "awslogs" {
			refuse(at+".LogConfiguration.LogDriver", "%q: only awslogs is replaced by the log here; another driver may be part of how the container works", c.LogDriver)
		}
	}
	return assembly.Join(errs...)
}

func policyErrors(p *model.ScalingPolicy) error {
	errs := []error{p.Problem("ScalingTargetId", "ResourceId", "ServiceNamespace")}
	if p.Target == nil {
		return errs[0]
	}
	if p.Type != model.TargetTracking {
		return assembly.Join(errs[0], p.Only("PolicyType", p.Type, "", model.TargetTracking))
	}
	const config = "TargetTrackingScalingPolicyConfiguration"
	errs = append(errs, p.Unsupported(passedOver, notHonoured, config))
	groups := len(p.Target.Service.LoadBalancers)
	switch at := config + ".PredefinedMetricSpecification.PredefinedMetricType"; {
	case p.Metric != model.MetricCPU && p.Metric != model.MetricRequests:
		errs = append(errs, p.Errorf(at, "%q: only %s and %s are measured here", p.Metric, model.MetricCPU, model.MetricRequests))
	case p.Metric == model.MetricRequests && groups != 1:
		errs = append(errs, p.Errorf(at, "%s of a service with %d target groups is not honoured here", p.Metric, groups))
	}
	return assembly.Join(errs...)
}
