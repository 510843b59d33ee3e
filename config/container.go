package config

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
)

// Image is what a container runs: a [GoPackage], a [Dockerfile] or an image of a [Registry].
type Image interface{ image() }

// GoPackage is a main package of this module. Its image has the static binary and nothing else.
type GoPackage struct {
	// Dir is the directory of the package, from the root of the repository. Required.
	Dir string
}

// Dockerfile is a directory that the docker command builds. The image is pushed to the repository of
// the service.
type Dockerfile struct {
	// Dir is the directory of the build context, from the root of the repository. Its .dockerignore
	// leaves files out. Required.
	Dir string
	// File is the path of the Dockerfile in Dir. Default: Dockerfile.
	File string
	// BuildArgs are build arguments. Put no secret here: an image keeps them. Default: none.
	BuildArgs map[string]string
	// Target is the stage to build. Default: the last one.
	Target string
	// Platform is what the image is built for: linux/amd64 or linux/arm64, as the setting arch
	// says. Default: that of the setting.
	Platform string
}

// Registry is an image in a registry.
type Registry struct {
	// Name is the image's name with a tag other than latest, or with a digest:
	// public.ecr.aws/nginx/nginx:1.29. An image of Amazon ECR needs no Credentials: the execution
	// role may pull exactly its repository. Required.
	Name string
	// Credentials is the ARN of the secret with the registry's user name and password. Default: the
	// registry asks for none.
	Credentials string
}

// ecrImage matches an image in a private repository of Amazon ECR.
var ecrImage = regexp.MustCompile(`^([0-9]{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/([^:@]+)`)

// ECR returns the ARN of the private repository of Amazon ECR that has the image, with placeholders, and whether there
// is one.
func (r Registry) ECR() (repository string, is bool) {
	match := ecrImage.FindStringSubmatch(r.Name)
	if match == nil {
		return "", false
	}
	return fmt.Sprintf("arn:${AWS::Partition}:ecr:%s:%s:repository/%s", match[2], match[1], match[3]), true
}

func (GoPackage) image()  {}
func (Dockerfile) image() {}
func (Registry) image()   {}

func (d Dockerfile) file() string { return cmp.Or(d.File, "Dockerfile") }

// HealthCheck says how a task shows that it is healthy. The load balancer asks Path. ECS runs Command
// in the container.
type HealthCheck struct {
	// Path is the path that the load balancer asks for, with a query if need be. Default: /
	Path string
	// Codes are the status codes of a healthy task: "200", "200,204" or "200-299". Default: 200.
	Codes string
	// Command begins with CMD or CMD-SHELL, as in a task definition. {"NONE"} is no command. Default:
	// /NAME healthcheck of a [GoPackage], otherwise none.
	Command []string
	// GracePeriodSeconds is how long failed checks of a new task do not count. It should be longer
	// than the service takes to start. It is also how long a bad deployment takes to be noticed.
	// Default: 15.
	GracePeriodSeconds int
}

// Secret is where the value of a variable is. The execution role may read exactly this secret. Set
// SecretsManager or Parameter.
type Secret struct {
	// SecretsManager is the name or the ARN of a secret in AWS Secrets Manager, in the account of the
	// deployment.
	SecretsManager string
	// Key is the key whose value is taken out of the secret, which is a JSON object. Default: the whole
	// secret.
	Key string
	// Parameter is the name or the ARN of a parameter in SSM Parameter Store, in the account of the
	// deployment. A name with several parts begins with a slash.
	Parameter string
	// KMSKey is the ARN of the key that the value is encrypted with. Default: the key of the AWS
	// service, which needs no permission.
	KMSKey string
}

// WritablePath is a directory in memory. The rest of a container's file system is read-only, beside
// its volumes.
type WritablePath struct {
	// Path is the absolute path of the directory. No writable path or volume lies in another. Required.
	Path string
	// SizeMiB is the most that the directory holds, in MiB. It counts as memory of the container.
	// Default: 64.
	SizeMiB int
}

// Volume is a directory on an Amazon EFS file system. It outlives tasks, and all containers that name
// it share it. The connection uses TLS and an access point.
type Volume struct {
	// Name is the name of the volume, and of its directory on the file system that the deployment
	// makes. Lower-case letters, digits and single hyphens. Never rename a volume. Required.
	Name string
	// Path is the absolute path of the directory in the container. Required.
	Path string
	// ReadOnly mounts the volume for reading. Default: for reading and writing.
	ReadOnly bool
	// FileSystem is the id of an existing file system, fs-0123456789abcdef0, with an AccessPoint. Its
	// mount targets must let the instances' security group in. Default: a file system that the
	// deployment makes.
	FileSystem string
	// AccessPoint is the id of an access point of FileSystem, fsap-0123456789abcdef0.
	AccessPoint string
}

// Ulimit is a resource limit of a container's processes.
type Ulimit struct {
	// Name is the limit's name as the task definition spells it: nofile, nproc, memlock
	// and so on. Required.
	Name string
	// Soft and Hard are the limit itself, and the most that the container may raise the limit to. The
	// unit depends on the limit.
	Soft, Hard int
}

// Dependency lets a container wait for another container of its task
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDependency.html).
type Dependency struct {
	// Container is the name of the other container. Required.
	Container string
	// Condition is what the other container must have reached: START, HEALTHY, COMPLETE (its end) or
	// SUCCESS (its end with exit code 0). Default: START.
	Condition string
}

// Statement allows the containers of a task some actions on some resources of AWS. The placeholders
// ${AWS::Partition}, ${AWS::Region} and ${AWS::AccountId} stand for those of the deployment.
type Statement struct {
	// Actions are like "dynamodb:GetItem". A wildcard needs a Reason. Required.
	Actions []string
	// Resources are ARNs. A wildcard needs a Reason. Required.
	Resources []string
	// Conditions are by operator and key, as in {"StringEquals": {"aws:ResourceTag/team": {"shop"}}}.
	// Default: none.
	Conditions map[string]map[string][]string
	// Reason says why a wildcard is needed. Template and reviews show it. Default: none.
	Reason string
}

// Alarms says when the alarms of a service go off.
type Alarms struct {
	// LatencyMilliseconds is how long one request in a hundred may take, for 15 minutes. Default: 1000.
	LatencyMilliseconds int
	// Errors is how many answers of 5xx there may be in 5 minutes. Default: 10.
	Errors int
}

// Container is a container of a task. A service's own container has the fields of [Service]. A sidecar is
// a container beside it, which gets no requests from the load balancer. It is started, stopped and scaled
// with the service.
type Container struct {
	// Name is the name of the container. Lower-case letters, digits and single hyphens. A container
	// that depends on the sidecar reaches its ports at this host name. No other service has the name.
	// Required.
	Name string
	// Image is a [Dockerfile] or an image of a [Registry]. It is not that of another service, unless all
	// services have one image with several programs. Required.
	Image Image
	// Ports and UDPPorts are the TCP and the UDP ports at which containers that depend on the sidecar
	// reach it. Default: none.
	Ports, UDPPorts []int
	// Essential stops the task when the sidecar ends. Default: the task goes on.
	Essential bool
	// HealthCheck is a command that begins with CMD or CMD-SHELL. Default: none.
	HealthCheck []string
	// CPU and memory are those of the sidecar alone, as in [Service]. Defaults: 64 units, 64 MiB, and
	// 128 MiB or twice the reservation if that is more.
	CPU, MemoryReservationMiB, MemoryLimitMiB int
	// The others are as in [Service].
	Command       []string
	Environment   map[string]string
	Secrets       map[string]Secret
	User          string
	WritablePaths []WritablePath
	Volumes       []Volume
	Ulimits       []Ulimit
	DependsOn     []Dependency
}

// Defaults of containers. They are those of the forum, which came first.
const (
	defaultPort                = 3000
	defaultUser                = "65532:65532" // a numeric user and group that own nothing
	defaultDeregistrationDelay = 15            // a request's longest time: 5 s for its head, 10 s for the rest and the answer
	defaultGracePeriod         = 15
	defaultWritableMiB         = 64
	defaultLatency             = 1000
	defaultErrors              = 10
)

// stopReserve is how many seconds a container has between the end of its requests and SIGKILL.
const stopReserve = 5

// NoHealthCheck is the command of a container without a health check.
const NoHealthCheck = "NONE"

// withContainerDefaults fills in what is about the containers.
func (s Service) withContainerDefaults() Service {
	if s.Image == nil {
		s.Image = GoPackage{Dir: "services/" + s.Name}
	}
	_, isGo := s.Image.(GoPackage)
	s.Port = cmp.Or(s.Port, defaultPort)
	s.User = cmp.Or(s.User, defaultUser)
	s.HealthCheck.Path = cmp.Or(s.HealthCheck.Path, "/")
	s.HealthCheck.Codes = cmp.Or(s.HealthCheck.Codes, "200")
	s.HealthCheck.GracePeriodSeconds = cmp.Or(s.HealthCheck.GracePeriodSeconds, defaultGracePeriod)
	switch {
	case len(s.HealthCheck.Command) > 0:
	case isGo:
		s.HealthCheck.Command = []string{"CMD", "/" + s.Name, "healthcheck"}
	default:
		s.HealthCheck.Command = []string{NoHealthCheck}
	}
	s.DeregistrationDelaySeconds = cmp.Or(s.DeregistrationDelaySeconds, defaultDeregistrationDelay)
	s.StopTimeoutSeconds = cmp.Or(s.StopTimeoutSeconds, min(s.DeregistrationDelaySeconds+stopReserve, maxStopTimeout))
	s.Alarms.LatencyMilliseconds = cmp.Or(s.Alarms.LatencyMilliseconds, defaultLatency)
	s.Alarms.Errors = cmp.Or(s.Alarms.Errors, defaultErrors)
	s.WritablePaths = sized(s.WritablePaths)
	s.DependsOn = started(s.DependsOn)
	s.Sidecars = slices.Clone(s.Sidecars)
	for i := range s.Sidecars {
		c := &s.Sidecars[i]
		c.CPU = cmp.Or(c.CPU, 64)
		c.MemoryReservationMiB = cmp.Or(c.MemoryReservationMiB, 64)
		c.MemoryLimitMiB = cmp.Or(c.MemoryLimitMiB, max(128, 2*c.MemoryReservationMiB))
		c.User = cmp.Or(c.User, defaultUser)
		if len(c.HealthCheck) == 0 {
			c.HealthCheck = []string{NoHealthCheck}
		}
		c.WritablePaths, c.DependsOn = sized(c.WritablePaths), started(c.DependsOn)
	}
	return s
}

func sized(paths []WritablePath) []WritablePath {
	paths = slices.Clone(paths)
	for i := range paths {
		paths[i].SizeMiB = cmp.Or(paths[i].SizeMiB, defaultWritableMiB)
	}
	return paths
}

func started(dependencies []Dependency) []Dependency {
	dependencies = slices.Clone(dependencies)
	for i := range dependencies {
		dependencies[i].Condition = cmp.Or(dependencies[i].Condition, "START")
	}
	return dependencies
}

// Containers are the containers of a task: the service's own and then the sidecars. The own one is
// essential.
func (s Service) Containers() []Container {
	return append([]Container{s.own()}, s.Sidecars...)
}

func (s Service) own() Container {
	return Container{
		Name: s.Name, Image: s.Image, Ports: []int{s.Port}, Essential: true, HealthCheck: s.HealthCheck.Command,
		CPU: s.CPU, MemoryReservationMiB: s.MemoryReservationMiB, MemoryLimitMiB: s.MemoryLimitMiB,
		Command: s.Command, Environment: s.environment(), Secrets: s.Secrets, User: s.User,
		WritablePaths: s.WritablePaths, Volumes: s.Volumes, Ulimits: s.Ulimits, DependsOn: s.DependsOn,
	}
}

// environment has the service's variables and those that the deployment sets.
func (s Service) environment() map[string]string {
	all := s.ownVariables()
	maps.Copy(all, s.Environment)
	return all
}

// ownVariables are the variables that the deployment sets in the service's own container.
// STOP_TIMEOUT is how long the forum's server answers requests after SIGTERM. It ends before SIGKILL.
func (s Service) ownVariables() map[string]string {
	all := map[string]string{"PORT": fmt.Sprint(s.Port)}
	if _, isGo := s.Image.(GoPackage); isGo {
		all["STOP_TIMEOUT"] = fmt.Sprintf("%ds", max(1, min(s.DeregistrationDelaySeconds, s.StopTimeoutSeconds-stopReserve)))
	}
	return all
}

// Repository says whether images of the service are pushed to a repository of its own. A service on Lambda alone
// pushes none, and keeps the repository for the way back: with the setting removalPolicy=retain, a repository that
// left its stack could not be made again.
func (s Service) Repository() bool {
	return slices.ContainsFunc(s.Containers(), func(c Container) bool {
		_, elsewhere := c.Image.(Registry)
		return !elsewhere
	})
}

// VolumeNames are the names of the volumes on the file system that the deployment makes, in the order
// of the services.
func (d Deployment) VolumeNames() []string {
	var names []string
	for _, service := range d.All() {
		for _, volume := range service.AllVolumes() {
			if volume.FileSystem == "" && !slices.Contains(names, volume.Name) {
				names = append(names, volume.Name)
			}
		}
	}
	return names
}

// AllVolumes are the volumes of all containers. A volume that one of them writes to is not read-only.
func (s Service) AllVolumes() []Volume {
	var all []Volume
	for _, c := range s.Containers() {
		for _, volume := range c.Volumes {
			i := slices.IndexFunc(all, func(other Volume) bool { return other.Name == volume.Name })
			if i < 0 {
				all = append(all, volume)
			} else {
				all[i].ReadOnly = all[i].ReadOnly && volume.ReadOnly
			}
		}
	}
	return all
}

// Linked says whether a container of any service reaches a sidecar by its name.
func (d Deployment) Linked() bool { return slices.ContainsFunc(d.All(), Service.Linked) }

// Linked says whether a container of the service reaches a sidecar by its name. With a network interface,
// the containers of a task reach each other at localhost.
func (s Service) Linked() bool {
	return s.InBridge() && slices.ContainsFunc(s.Containers(), func(c Container) bool { return len(s.Links(c)) > 0 })
}

// Links are the names of the containers that a container reaches by their names: those that it
// depends on, that go on beside it and have ports.
func (s Service) Links(c Container) []string {
	var names []string
	for _, on := range c.DependsOn {
		i := slices.IndexFunc(s.Sidecars, func(other Container) bool { return other.Name == on.Container })
		if i >= 0 && (on.Condition == "START" || on.Condition == "HEALTHY") && len(s.Sidecars[i].Ports)+len(s.Sidecars[i].UDPPorts) > 0 {
			names = append(names, on.Container)
		}
	}
	return names
}
