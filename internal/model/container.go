package model

import (
	"cmp"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"cutover/internal/assembly"
)

// Container is a container of a task definition.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_definition_parameters.html
type Container struct {
	Name        string
	Image       Image
	Essential   bool
	Environment []Variable
	// EntryPoint and Command are those of the image where they are empty.
	EntryPoint, Command []string
	// WorkingDirectory and User are those of the image where they are empty.
	WorkingDirectory, User string
	// CPUShares is the container's relative weight in units of 1/1024 processor. Default 0.
	CPUShares int
	// CPULimit is what a task-level Cpu limits its only container to, in the same units. 0: none.
	CPULimit int
	// MemoryMiB is the hard limit, MemoryReservationMiB the soft one. 0 for none.
	MemoryMiB, MemoryReservationMiB int
	// Secrets are variables whose values the ECS agent reads before the start.
	Secrets []Secret `json:",omitempty"`
	// Ports are the container's ports that are published on the host.
	Ports []Port
	// Named are the ports that have a name for Service Connect.
	Named []NamedPort `json:",omitempty"`
	// Links are names of containers of the same task, in bridge mode, as "name" or "name:alias".
	Links []string `json:",omitempty"`
	// DependsOn has what other containers of the task must have reached before the start.
	DependsOn []Dependency `json:",omitempty"`
	// StartTimeout is how long the containers that depend on this one wait for it to be HEALTHY, COMPLETE
	// or SUCCESS. Default 0: without limit.
	StartTimeout                           time.Duration
	Mounts                                 []Mount `json:",omitempty"`
	Tmpfs                                  []Tmpfs `json:",omitempty"`
	ReadonlyRootFilesystem                 bool
	AddedCapabilities, DroppedCapabilities []string
	// SecurityOptions are Docker's, like "no-new-privileges".
	SecurityOptions []string
	// Hostname is made up where it is empty.
	Hostname string
	// ExtraHosts are lines of /etc/hosts, as "name:address".
	ExtraHosts []string `json:",omitempty"`
	// DNSServers and DNSSearch are those of the instance where they are empty.
	DNSServers []netip.Addr `json:",omitempty"`
	DNSSearch  []string     `json:",omitempty"`
	// SystemControls are kernel parameters by name.
	SystemControls map[string]string `json:",omitempty"`
	// SharedMemoryMiB is the size of /dev/shm. 0: the engine's default.
	SharedMemoryMiB int `json:",omitempty"`
	// Privileged gives the container the rights of root on the host. Default false.
	Privileged bool
	// Init runs an init process as the container's first.
	Init    bool
	Ulimits []Ulimit
	Labels  map[string]string
	// HealthCheck is nil where the container has none. One in the image is ignored, as ECS does.
	HealthCheck *ContainerHealthCheck
	// StopTimeout is the time between SIGTERM and SIGKILL. Default: 30 s.
	StopTimeout time.Duration
	// LogDriver is empty where the template has none.
	LogDriver string
}

// Variable is a variable of a container's environment.
type Variable struct {
	Name string
	// Value is empty where parts of it are only known after the deployment. Then Parts has them. Parts also
	// has a value that leads to a domain of a load balancer.
	Value string
	Parts assembly.Text `json:"-"`
	// Here says that the value has the address of something on this machine, as in "http://localhost:8000", or
	// is the path of a file of this machine.
	Here bool `json:"-"`
}

// Secret is a variable whose value is in Secrets Manager or in Parameter Store.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Secret.html
type Secret struct {
	Name string
	// From is the ARN or the name of the secret. Empty where parts of it are only known after the
	// deployment. Then Parts has them.
	From  string
	Parts assembly.Text `json:"-"`
	// Value is what the local target found for it. Another value changes no task that runs. Here is as in [Variable].
	Value string `json:"-"`
	Here  bool   `json:"-"`
	// anywhere is From of some account and region, where only a deployment tells them.
	anywhere string
}

// Port is a port of a container that is published on the host.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_PortMapping.html
type Port struct {
	Container int
	// Host is 0 if the host picks a port.
	Host int
	// Protocol is tcp (the default) or udp.
	Protocol string
}

// Dependency is what another container of the task must have reached: START, COMPLETE, SUCCESS or
// HEALTHY.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDependency.html
type Dependency struct{ Container, Condition string }

// Mount is where a container sees a volume of its task.
type Mount struct {
	Volume, Path string
	ReadOnly     bool
}

// Tmpfs is a directory in memory, of a container's own.
type Tmpfs struct {
	Path    string
	SizeMiB int
	Options []string
}

// Ulimit is a resource limit of a container's processes.
type Ulimit struct {
	Name       string
	Soft, Hard int64
}

// Image is what a container runs.
type Image struct {
	// Asset is the stack's asset that is pushed as this image; nil for an image from elsewhere.
	Asset *assembly.ImageAsset `json:"-"`
	// Reference names the image as the template does; of an asset, its repository and tag.
	Reference string
	// Unknown says why Reference cannot be told before a deployment. Empty if it can.
	Unknown string
	// Repositories are those of the assembly whose name the template spells out.
	Repositories []*Repository `json:"-"`
}

// ContainerHealthCheck is a command that is run in a container again and again.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/healthcheck.html
type ContainerHealthCheck struct {
	// Command begins with CMD or CMD-SHELL.
	Command []string
	// Interval is the time before each check, default 30 s. Timeout ends a check, default 5 s.
	Interval, Timeout time.Duration
	// Retries is how many checks must fail in a row for the container to be unhealthy. Default: 3.
	Retries int
	// StartPeriod is how long failures before the first success do not count. Default 0.
	StartPeriod time.Duration
}

// stopSeconds is that of the ECS agent on EC2, ECS_CONTAINER_STOP_TIMEOUT.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-agent-config.html
const stopSeconds = 30

// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-ecs-taskdefinition-containerdefinition.html
func (m *Model) container(resource *assembly.Resource, v assembly.Value) Container {
	linux := v.Field("LinuxParameters")
	capabilities := linux.Field("Capabilities")
	c := Container{
		Name:                   v.Field("Name").Need("a name").Text(""),
		Image:                  m.image(resource, v.Field("Image")),
		Essential:              v.Field("Essential").Bool(true),
		EntryPoint:             v.Field("EntryPoint").Texts(),
		Command:                v.Field("Command").Texts(),
		WorkingDirectory:       v.Field("WorkingDirectory").Text(""),
		User:                   v.Field("User").Text(""),
		CPUShares:              v.Field("Cpu").Int(0, 0, 1<<18),
		MemoryMiB:              v.Field("Memory").Int(0, 4, 1<<24),
		MemoryReservationMiB:   v.Field("MemoryReservation").Int(0, 4, 1<<24),
		ReadonlyRootFilesystem: v.Field("ReadonlyRootFilesystem").Bool(false),
		AddedCapabilities:      capabilities.Field("Add").Texts(),
		DroppedCapabilities:    capabilities.Field("Drop").Texts(),
		SecurityOptions:        v.Field("DockerSecurityOptions").Texts(),
		Privileged:             v.Field("Privileged").Bool(false),
		Init:                   linux.Field("InitProcessEnabled").Bool(false),
		StopTimeout:            v.Field("StopTimeout").Seconds(stopSeconds, 0, 86400),
		StartTimeout:           v.Field("StartTimeout").Seconds(0, 0, 86400),
		Links:                  v.Field("Links").Texts(),
		Hostname:               v.Field("Hostname").Text(""),
		DNSSearch:              v.Field("DnsSearchDomains").Texts(),
		SharedMemoryMiB:        linux.Field("SharedMemorySize").Int(0, 1, 1<<24),
		LogDriver:              v.Field("LogConfiguration").Field("LogDriver").Text(""),
	}
	if c.MemoryMiB != 0 && c.MemoryReservationMiB > c.MemoryMiB {
		v.Field("MemoryReservation").Refuse("%d MiB are more than Memory, %d MiB", c.MemoryReservationMiB, c.MemoryMiB)
	}
	for _, variable := range v.Field("Environment").List() {
		value, parts := variable.Field("Value").Mixed()
		c.Environment = append(c.Environment, Variable{Name: variable.Field("Name").Text(""), Value: value, Parts: parts})
	}
	for _, secret := range v.Field("Secrets").List() {
		from, parts := secret.Field("ValueFrom").Need("a secret").Mixed()
		one := Secret{Name: secret.Field("Name").Text(""), From: from, Parts: parts, anywhere: from}
		if place := somewhere(resource.Stack); from == "" && parts == nil {
			value, _ := m.Assembly.Resolve(&place, resource.LogicalID, "Properties", secret.Field("ValueFrom").Raw())
			one.anywhere, _ = value.(string)
		}
		c.Secrets = append(c.Secrets, one)
	}
	for _, other := range v.Field("DependsOn").List() {
		c.DependsOn = append(c.DependsOn, Dependency{other.Field("ContainerName").Text(""), other.Field("Condition").OneOf("START", "COMPLETE", "SUCCESS", "HEALTHY")})
	}
	for _, mount := range v.Field("MountPoints").List() {
		c.Mounts = append(c.Mounts, Mount{mount.Field("SourceVolume").Text(""), mount.Field("ContainerPath").Need("a path").Text(""), mount.Field("ReadOnly").Bool(false)})
	}
	for _, tmpfs := range linux.Field("Tmpfs").List() {
		c.Tmpfs = append(c.Tmpfs, Tmpfs{tmpfs.Field("ContainerPath").Need("a path").Text(""), tmpfs.Field("Size").Need("a size in MiB").Int(0, 1, 1<<24), tmpfs.Field("MountOptions").Texts()})
	}
	c.readNames(v)
	for _, mapping := range v.Field("PortMappings").List() {
		named, protocol := mapping.Field("Name").Text(""), mapping.Field("AppProtocol").OneOf("", "http", "http2", "grpc")
		if members, _ := mapping.Raw().(map[string]any); members["ContainerPortRange"] != nil && members["ContainerPort"] == nil {
			mapping.Field("Protocol")
			continue // a setting of ports that nobody asks for one by one
		}
		c.Ports = append(c.Ports, Port{
			Container: mapping.Field("ContainerPort").Need("a port").Int(0, 1, 65535),
			Host:      mapping.Field("HostPort").Int(0, 0, 65535),
			Protocol:  mapping.Field("Protocol").OneOf("tcp", "udp"),
		})
		if named != "" {
			c.Named = append(c.Named, NamedPort{named, c.Ports[len(c.Ports)-1].Container, cmp.Or(protocol, "tcp")})
		}
	}
	for _, limit := range v.Field("Ulimits").List() {
		c.Ulimits = append(c.Ulimits, Ulimit{limit.Field("Name").Text(""),
			int64(limit.Field("SoftLimit").Int(0, -1, 1<<62)), int64(limit.Field("HardLimit").Int(0, -1, 1<<62))})
	}
	if labels, ok := v.Field("DockerLabels").Raw().(map[string]any); ok {
		c.Labels = map[string]string{}
		for name := range labels {
			c.Labels[name] = v.Field("DockerLabels").Field(name).Text("")
		}
	}
	c.HealthCheck = healthCheck(v.Field("HealthCheck"))
	return c
}

// Requires are the dependencies of the container. A link counts as START: in its page on
// ContainerDependency, AWS says that START emulates the behaviour of links.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDependency.html
func (c Container) Requires() []Dependency {
	all := slices.Clone(c.DependsOn)
	for _, link := range c.Links {
		name, _, _ := strings.Cut(link, ":")
		all = append(all, Dependency{name, "START"})
	}
	return all
}

// Set gives a variable of the environment a value, and leaves the list of other containers as it is.
func (c *Container) Set(name, value string) {
	c.Environment = slices.DeleteFunc(slices.Clone(c.Environment), func(v Variable) bool { return v.Name == name })
	c.Environment = append(c.Environment, Variable{Name: name, Value: value})
}

// readNames reads how a container resolves names, and its kernel parameters.
func (c *Container) readNames(v assembly.Value) {
	for _, server := range v.Field("DnsServers").List() {
		address, err := netip.ParseAddr(server.Text(""))
		if err != nil {
			server.Refuse("%q is not an address", server.Text(""))
		}
		c.DNSServers = append(c.DNSServers, address)
	}
	for _, host := range v.Field("ExtraHosts").List() {
		c.ExtraHosts = append(c.ExtraHosts, host.Field("Hostname").Text("")+":"+host.Field("IpAddress").Text(""))
	}
	for _, control := range v.Field("SystemControls").List() {
		if c.SystemControls == nil {
			c.SystemControls = map[string]string{}
		}
		c.SystemControls[control.Field("Namespace").Text("")] = control.Field("Value").Text("")
	}
}

func healthCheck(check assembly.Value) *ContainerHealthCheck {
	if !check.Present() {
		return nil
	}
	command := check.Field("Command").Texts()
	if len(command) < 2 || command[0] != "CMD" && (command[0] != "CMD-SHELL" || len(command) != 2) {
		check.Field("Command").Refuse("%q: expected CMD and a command with its arguments, or CMD-SHELL and one line for the shell", command)
	}
	return &ContainerHealthCheck{
		Command:     command,
		Interval:    check.Field("Interval").Seconds(30, 5, 300),
		Timeout:     check.Field("Timeout").Seconds(5, 2, 60),
		Retries:     check.Field("Retries").Int(3, 1, 10),
		StartPeriod: check.Field("StartPeriod").Seconds(0, 0, 300),
	}
}

// TCP are TCP ports that are published on ports of the host's choice.
func TCP(ports ...int) []Port {
	var all []Port
	for _, port := range ports {
		all = append(all, Port{Container: port, Protocol: "tcp"})
	}
	return all
}

// Maps says whether a TCP port of the container is published.
func (c Container) Maps(port int) bool {
	return slices.ContainsFunc(c.Ports, func(p Port) bool { return p.Container == port && p.Protocol == "tcp" })
}

// registryHost matches the first part of an image's name if it is a registry.
var registryHost = regexp.MustCompile(`^[^/]*[.:][^/]*/|^localhost/`)

// Without an account and region of the stack, an image and its asset's destination use these.
const someAccount, someRegion = "000000000000", "us-east-1"

// somewhere is a stack in some account and region.
func somewhere(stack *assembly.Stack) assembly.Stack {
	place := *stack
	place.Account, place.Region = cmp.Or(place.Account, someAccount), cmp.Or(place.Region, someRegion)
	return place
}

// image finds out which image asset of the stack an image is, if any.
func (m *Model) image(resource *assembly.Resource, v assembly.Value) (image Image) {
	if raw := v.Raw(); raw == nil || raw == "" {
		v.Refuse("a container needs an image")
	}
	written := fmt.Sprint(v.Raw())
	for _, repository := range m.Repositories {
		if name := repository.Name; name != "" && strings.Contains(written, "/"+name+":") {
			image.Repositories = append(image.Repositories, repository)
		}
	}
	place := somewhere(resource.Stack)
	value, err := m.Assembly.Resolve(&place, resource.LogicalID, "Properties.Image", v.Raw())
	if err != nil {
		image.Unknown = err.Error()
		return image
	}
	reference, ok := value.(string)
	if !ok {
		image.Unknown = "it is in a repository that a deployment creates"
		return image
	}
	placeholders := strings.NewReplacer("${AWS::AccountId}", place.Account, "${AWS::Region}", place.Region, "${AWS::Partition}", "aws")
	name := registryHost.ReplaceAllString(reference, "")
	for i, asset := range resource.Stack.Images {
		for _, d := range asset.Destinations {
			if name == placeholders.Replace(d.Repository)+":"+placeholders.Replace(d.Tag) {
				image.Asset, image.Reference = &resource.Stack.Images[i], d.Repository+":"+d.Tag
				return image
			}
		}
	}
	image.Reference = reference
	if strings.Contains(reference, someAccount) {
		image.Reference, image.Unknown = name, "it is in the registry of the account that is deployed to, and no asset of the stack"
	}
	return image
}
