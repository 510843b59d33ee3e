package ecs

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"cutover/internal/assembly"
)

const (
	serviceType        = "AWS::ECS::Service"
	taskDefinitionType = "AWS::ECS::TaskDefinition"
	targetGroupType    = "AWS::ElasticLoadBalancingV2::TargetGroup"
	scalableTargetType = "AWS::ApplicationAutoScaling::ScalableTarget"
	scalingPolicyType  = "AWS::ApplicationAutoScaling::ScalingPolicy"
)

// Services returns the services of an assembly in the order in which their
// stacks deploy.
//
// The error has a line, with its place, for everything that a service on EC2 in
// bridge mode cannot have here. Left aside on purpose is what only means
// something on AWS: IAM roles, tags, placement, capacity providers of the
// cluster, scaling of anything else, and logging to CloudWatch, in whose place a
// driver's log stands.
func Services(a *assembly.Assembly) ([]ServiceSpec, error) {
	r := &reader{assembly: a, Reader: assembly.NewReader(a)}
	var services []ServiceSpec
	for _, resource := range r.Existing(serviceType) {
		services = append(services, r.service(resource))
	}
	r.scaling(services)
	if err := r.Err(); err != nil {
		return nil, err
	}
	return services, nil
}

type reader struct {
	assembly *assembly.Assembly
	*assembly.Reader
}

const bridgeOnly = "only EC2 tasks in bridge mode run here"

// service reads a service.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-ecs-service.html
func (r *reader) service(resource *assembly.Resource) ServiceSpec {
	p := r.Properties(resource)
	p.Only(map[string]string{
		"NetworkConfiguration":        "it is for network mode awsvpc; " + bridgeOnly,
		"PlatformVersion":             "it is for Fargate; " + bridgeOnly,
		"ServiceRegistries":           "there is no service discovery here",
		"VpcLatticeConfigurations":    "there is no VPC Lattice here",
		"VolumeConfigurations":        "there are no EBS volumes here",
		"ServiceConnectConfiguration": "",
	},
		"Cluster", "ServiceName", "TaskDefinition", "DesiredCount", "DeploymentConfiguration", "DeploymentController",
		"LoadBalancers", "HealthCheckGracePeriodSeconds", "LaunchType", "CapacityProviderStrategy", "SchedulingStrategy",
		"ServiceConnectConfiguration",
		"PlacementStrategies", "PlacementConstraints", "AvailabilityZoneRebalancing", "EnableECSManagedTags",
		"EnableExecuteCommand", "PropagateTags", "Role", "Tags")
	if launch := p.Field("LaunchType"); launch.Text("EC2") != "EC2" {
		launch.Refuse("%q: %s", launch.Text(""), bridgeOnly)
	}
	for _, strategy := range p.Field("CapacityProviderStrategy").List() {
		provider := strategy.Field("CapacityProvider")
		if name, literal := provider.Raw().(string); literal && strings.HasPrefix(name, "FARGATE") {
			provider.Refuse("%q: %s", name, bridgeOnly)
		}
	}
	r.must(p.Field("SchedulingStrategy"), "REPLICA")
	r.must(p.Field("DeploymentController").Field("Type"), "ECS")
	if connect := p.Field("ServiceConnectConfiguration"); connect.Field("Enabled").Bool(false) {
		connect.Refuse("not honoured: there is no Service Connect here")
	}

	s := ServiceSpec{
		Key:                    resource.String(),
		Name:                   p.Field("ServiceName").Text(resource.LogicalID),
		Cluster:                p.Field("Cluster").Identity("default"),
		HealthCheckGracePeriod: seconds(p.Field("HealthCheckGracePeriodSeconds").Int(0, 0, 2147483647)),
	}
	if count := p.Field("DesiredCount"); count.Present() {
		n := count.Int(0, 0, 5000)
		s.DesiredCount = &n
	}
	r.deployment(p.Field("DeploymentConfiguration"), &s)

	reference := p.Field("TaskDefinition")
	definition := reference.Resource(taskDefinitionType)
	if definition == nil {
		if !reference.Present() {
			reference.Refuse("a service needs a task definition")
		}
		return s
	}
	s.TaskDefinition = r.taskDefinition(definition)

	for _, v := range p.Field("LoadBalancers").List() {
		v.Only(map[string]string{
			"LoadBalancerName":      "Classic Load Balancers do not run here",
			"AdvancedConfiguration": "it is for blue/green deployments; only rolling updates are made here",
		}, "ContainerName", "ContainerPort", "TargetGroupArn")
		lb := LoadBalancer{
			Container: v.Field("ContainerName").Text(""),
			Port:      v.Field("ContainerPort").Int(0, 1, 65535),
		}
		if group := v.Field("TargetGroupArn").Resource(targetGroupType, "TargetGroupArn"); group != nil {
			lb.TargetGroup = group.String()
		} else if !v.Field("TargetGroupArn").Present() {
			v.Refuse("a target group is missing")
		}
		if !slices.ContainsFunc(s.TaskDefinition.Containers, func(c ContainerDefinition) bool {
			return c.Name == lb.Container && slices.Contains(c.Ports, lb.Port)
		}) {
			v.Refuse("%v has no container %q that maps port %d", definition, lb.Container, lb.Port)
		}
		if slices.ContainsFunc(s.LoadBalancers, func(other LoadBalancer) bool { return other.TargetGroup == lb.TargetGroup }) {
			v.Refuse("target group %s is attached twice", lb.TargetGroup)
		}
		s.LoadBalancers = append(s.LoadBalancers, lb)
	}
	return s
}

// must refuses a value other than the one that is the default.
func (r *reader) must(v assembly.Value, only string) {
	if v.Present() && v.Text(only) != only {
		v.Refuse("%q: only %s is honoured here", v.Text(""), only)
	}
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }

// deployment reads how a service is updated.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-ecs-service-deploymentconfiguration.html
func (r *reader) deployment(v assembly.Value, s *ServiceSpec) {
	v.Only(map[string]string{
		"EarlySuccessCriteria": "a deployment is complete here when all of its tasks are healthy",
	}, "MinimumHealthyPercent", "MaximumPercent", "DeploymentCircuitBreaker", "Alarms", "Strategy")
	s.MinimumHealthyPercent = v.Field("MinimumHealthyPercent").Int(100, 0, 100)
	s.MaximumPercent = v.Field("MaximumPercent").Int(200, 100, 1000)
	r.must(v.Field("Strategy"), "ROLLING")
	// Alarms are among what is deployed on AWS only. Here none goes off, and without
	// that they change nothing.
	v.Field("Alarms").Only(nil, "AlarmNames", "Enable", "Rollback")
	breaker := v.Field("DeploymentCircuitBreaker")
	breaker.Only(nil, "Enable", "Rollback", "ResetOnHealthyTask", "ThresholdConfiguration")
	s.CircuitBreaker = CircuitBreaker{
		Enable:     breaker.Field("Enable").Bool(false),
		Rollback:   breaker.Field("Rollback").Bool(false),
		Cumulative: !breaker.Field("ResetOnHealthyTask").Bool(true),
	}
	if threshold := breaker.Field("ThresholdConfiguration"); threshold.Present() {
		threshold.Only(nil, "Type", "Value")
		s.CircuitBreaker.Threshold = Threshold{
			Type:  threshold.Field("Type").Text(boundedPercent),
			Value: threshold.Field("Value").Int(defaultThreshold, 1, 1_000_000),
		}
		if !slices.Contains([]string{boundedPercent, unboundedPercent, absoluteCount}, s.CircuitBreaker.Threshold.Type) {
			threshold.Field("Type").Refuse("%q is not a type of threshold that is known here", s.CircuitBreaker.Threshold.Type)
		}
	}
}

// taskDefinition reads a task definition.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-ecs-taskdefinition.html
func (r *reader) taskDefinition(resource *assembly.Resource) TaskDefinition {
	p := r.Properties(resource)
	p.Only(map[string]string{
		"Volumes":              "containers have no volumes here",
		"PidMode":              "containers have process namespaces of their own here",
		"IpcMode":              "containers have IPC namespaces of their own here",
		"ProxyConfiguration":   "there is no App Mesh here",
		"EphemeralStorage":     "it is for Fargate; " + bridgeOnly,
		"EnableFaultInjection": "there is no Fault Injection Service here",
	},
		"ContainerDefinitions", "Family", "NetworkMode", "RequiresCompatibilities", "Cpu", "Memory", "RuntimePlatform",
		"TaskRoleArn", "ExecutionRoleArn", "PlacementConstraints", "Tags")
	// Left out, the network mode is bridge on Linux.
	if mode := p.Field("NetworkMode"); mode.Present() && mode.Text("") != "bridge" {
		mode.Refuse("%q: %s", mode.Text(""), bridgeOnly)
	}
	if compatible := p.Field("RequiresCompatibilities"); compatible.Present() && !slices.Contains(compatible.Texts(), "EC2") {
		compatible.Refuse("%s: %s", strings.Join(compatible.Texts(), ", "), bridgeOnly)
	}
	r.must(p.Field("RuntimePlatform").Field("OperatingSystemFamily"), "LINUX")

	d := TaskDefinition{Key: resource.String(), Family: p.Field("Family").Text(resource.LogicalID)}
	containers := p.Field("ContainerDefinitions").List()
	essential := false
	for _, v := range containers {
		c := r.container(resource, v)
		if slices.ContainsFunc(d.Containers, func(other ContainerDefinition) bool { return other.Name == c.Name }) {
			v.Field("Name").Refuse("another container is called %q too", c.Name)
		}
		essential = essential || c.Essential
		d.Containers = append(d.Containers, c)
	}
	if !essential {
		p.Field("ContainerDefinitions").Refuse("a task needs at least one essential container")
	}
	// What bounds a task as a whole bounds its only container. Several would
	// need a control group around them.
	cpu, memory := p.Field("Cpu").Int(0, 1, 1<<18), p.Field("Memory").Int(0, 4, 1<<24)
	if len(d.Containers) == 1 {
		c := &d.Containers[0]
		c.CPULimit = cpu
		if c.MemoryMiB == 0 {
			c.MemoryMiB = memory
		}
	} else if cpu != 0 || memory != 0 {
		p.Refuse("Cpu and Memory of a task are not honoured for several containers together: limit each container")
	}
	for i, c := range d.Containers {
		if c.MemoryMiB == 0 && c.MemoryReservationMiB == 0 && i < len(containers) {
			containers[i].Refuse("a container needs Memory or MemoryReservation")
		}
	}
	return d
}

// notHonoured says why for the container properties that other apps are most
// likely to have.
var notHonoured = map[string]string{
	"Secrets":               "there is neither a Secrets Manager nor a Parameter Store to read them from here",
	"EnvironmentFiles":      "there is no S3 to read them from here",
	"DependsOn":             "containers of a task start in the order of the template here, without waiting",
	"Links":                 "containers of a task do not reach each other by name here",
	"MountPoints":           "containers have no volumes here",
	"VolumesFrom":           "containers have no volumes here",
	"Privileged":            "a container that owns the host has no place on a developer's machine",
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
	"AppProtocol":           "there is no Service Connect here",
	"LogDriver":             "logs go to the driver's log here",
	"DisableNetworking":     "every container is on the bridge here",
	"SharedMemorySize":      "shared memory has the engine's size here",
	"MaxSwap":               "swap stays as it is here",
	"Swappiness":            "swap stays as it is here",
}

// container reads a container definition.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-ecs-taskdefinition-containerdefinition.html
func (r *reader) container(resource *assembly.Resource, v assembly.Value) ContainerDefinition {
	v.Only(notHonoured,
		"Name", "Image", "Essential", "Environment", "EntryPoint", "Command", "WorkingDirectory", "User", "Cpu", "Memory",
		"MemoryReservation", "PortMappings", "ReadonlyRootFilesystem", "LinuxParameters", "DockerSecurityOptions",
		"Ulimits", "DockerLabels", "HealthCheck", "StopTimeout", "LogConfiguration",
		// Only for containers that others wait for, and for images on AWS.
		"StartTimeout", "VersionConsistency")
	c := ContainerDefinition{
		Name:                   v.Field("Name").Text(""),
		Essential:              v.Field("Essential").Bool(true),
		EntryPoint:             v.Field("EntryPoint").Texts(),
		Command:                v.Field("Command").Texts(),
		WorkingDirectory:       v.Field("WorkingDirectory").Text(""),
		User:                   v.Field("User").Text(""),
		CPUShares:              v.Field("Cpu").Int(0, 0, 1<<18),
		MemoryMiB:              v.Field("Memory").Int(0, 4, 1<<24),
		MemoryReservationMiB:   v.Field("MemoryReservation").Int(0, 4, 1<<24),
		ReadonlyRootFilesystem: v.Field("ReadonlyRootFilesystem").Bool(false),
		SecurityOptions:        v.Field("DockerSecurityOptions").Texts(),
		StopTimeout:            seconds(v.Field("StopTimeout").Int(defaultStopSeconds, 0, 86400)),
		Image:                  r.image(resource, v.Field("Image")),
	}
	if c.Name == "" {
		v.Refuse("a container needs a name")
	}
	if c.MemoryMiB != 0 && c.MemoryReservationMiB > c.MemoryMiB {
		v.Field("MemoryReservation").Refuse("%d MiB are more than Memory, %d MiB", c.MemoryReservationMiB, c.MemoryMiB)
	}
	for _, variable := range v.Field("Environment").List() {
		c.Environment = append(c.Environment, Variable{variable.Field("Name").Text(""), variable.Field("Value").Text("")})
	}
	for _, mapping := range v.Field("PortMappings").List() {
		mapping.Only(notHonoured, "ContainerPort", "HostPort", "Protocol", "Name")
		r.must(mapping.Field("Protocol"), "tcp")
		port := mapping.Field("ContainerPort").Int(0, 1, 65535)
		if port == 0 && !mapping.Field("ContainerPort").Present() {
			mapping.Refuse("a port mapping needs a ContainerPort")
		}
		if host := mapping.Field("HostPort"); host.Int(0, 0, 65535) != 0 {
			host.Refuse("a fixed host port is for one task per instance, and this machine stands for all of them: use 0")
		}
		c.Ports = append(c.Ports, port)
	}
	linux := v.Field("LinuxParameters")
	linux.Only(notHonoured, "Capabilities", "InitProcessEnabled")
	c.Init = linux.Field("InitProcessEnabled").Bool(false)
	c.AddedCapabilities = linux.Field("Capabilities").Field("Add").Texts()
	c.DroppedCapabilities = linux.Field("Capabilities").Field("Drop").Texts()
	for _, limit := range v.Field("Ulimits").List() {
		limit.Only(nil, "Name", "SoftLimit", "HardLimit")
		c.Ulimits = append(c.Ulimits, Ulimit{limit.Field("Name").Text(""),
			int64(limit.Field("SoftLimit").Int(0, -1, 1<<62)), int64(limit.Field("HardLimit").Int(0, -1, 1<<62))})
	}
	if labels, ok := v.Field("DockerLabels").Raw().(map[string]any); ok {
		c.Labels = map[string]string{}
		for name := range labels {
			c.Labels[name] = v.Field("DockerLabels").Field(name).Text("")
		}
	}
	if driver := v.Field("LogConfiguration").Field("LogDriver"); driver.Present() && driver.Text("") != "awslogs" {
		driver.Refuse("%q: only awslogs is replaced by the log here; another driver may be part of how the container works", driver.Text(""))
	}
	if check := v.Field("HealthCheck"); check.Present() {
		check.Only(nil, "Command", "Interval", "Timeout", "Retries", "StartPeriod")
		c.HealthCheck = &HealthCheck{
			Command:     check.Field("Command").Texts(),
			Interval:    seconds(check.Field("Interval").Int(30, 5, 300)),
			Timeout:     seconds(check.Field("Timeout").Int(5, 2, 60)),
			Retries:     check.Field("Retries").Int(3, 1, 10),
			StartPeriod: seconds(check.Field("StartPeriod").Int(0, 0, 300)),
		}
		command := c.HealthCheck.Command
		if len(command) < 2 || command[0] != "CMD" && (command[0] != "CMD-SHELL" || len(command) != 2) {
			check.Field("Command").Refuse("%q: expected CMD and a command with its arguments, or CMD-SHELL and one line for the shell", command)
		}
	}
	return c
}

// defaultStopSeconds is that of the ECS agent on EC2, ECS_CONTAINER_STOP_TIMEOUT.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-agent-config.html
const defaultStopSeconds = 30

// registryHost matches the first part of an image's name if it is a registry.
var registryHost = regexp.MustCompile(`^[^/]*[.:][^/]*/|^localhost/`)

// Where a stack leaves its account and region to the deployment, the name of an
// image and the destination of its asset leave out the same.
const someAccount, someRegion = "000000000000", "us-east-1"

// image finds out which image asset of the stack an image is, if any.
func (r *reader) image(resource *assembly.Resource, v assembly.Value) Image {
	if v.Raw() == nil {
		v.Refuse("a container needs an image")
		return Image{}
	}
	place := *resource.Stack
	if place.Account == "" {
		place.Account = someAccount
	}
	if place.Region == "" {
		place.Region = someRegion
	}
	placeholders := strings.NewReplacer("${AWS::AccountId}", place.Account, "${AWS::Region}", place.Region, "${AWS::Partition}", "aws")
	value, err := r.assembly.Resolve(&place, resource.LogicalID, "Properties.Image", v.Raw())
	if err != nil {
		return Image{Unknown: err.Error()}
	}
	reference, ok := value.(string)
	if !ok {
		return Image{Unknown: "it is in a repository that a deployment creates"}
	}
	name := registryHost.ReplaceAllString(reference, "")
	for i, asset := range resource.Stack.Images {
		for _, d := range asset.Destinations {
			if name == placeholders.Replace(d.Repository)+":"+placeholders.Replace(d.Tag) {
				return Image{Asset: &resource.Stack.Images[i], Reference: d.Repository + ":" + d.Tag}
			}
		}
	}
	if resource.Stack.Account == "" && strings.Contains(reference, someAccount) {
		return Image{Reference: name, Unknown: "it is in the registry of the account that is deployed to, and no asset of the stack"}
	}
	return Image{Reference: reference}
}
