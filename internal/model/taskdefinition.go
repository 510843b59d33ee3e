package model

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"cutover/internal/assembly"
	"cutover/internal/capacity"
)

// TaskDefinition says what the tasks of a service are.
type TaskDefinition struct {
	Base   `json:"-"`
	Family string
	// NetworkMode is bridge (the default on Linux), host, awsvpc, none or default.
	NetworkMode string
	// Compatibilities are the launch types that the definition is for. Default: any.
	Compatibilities []string
	// OperatingSystem is LINUX (the default) or a version of Windows.
	OperatingSystem string
	// PidMode is host or task if containers share processes. Default: they do not.
	PidMode string
	// CPU (1/1024 processor) and MemoryMiB bound a task as a whole. Default 0: no bound.
	CPU, MemoryMiB int
	Containers     []Container
	Volumes        []TaskVolume `json:",omitempty"`
	// TaskRole is for the containers, ExecutionRole for the ECS agent. Each may be nil.
	TaskRole, ExecutionRole *Role `json:"-"`
}

// TaskVolume is a directory that containers of a task mount.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/using_data_volumes.html
type TaskVolume struct {
	Name string
	// HostPath is a directory of the instance. Empty for any other volume.
	HostPath string
	// Shared says that all tasks on an instance see the volume, which outlives them. Default false:
	// a volume with neither HostPath nor EFS is the task's own and goes with it.
	Shared bool
	// Driver is the Docker driver of the volume. Default: local.
	Driver string
	// EFS is nil for a volume that is on no file system of EFS.
	EFS *EFSVolume
}

// EFSVolume is a directory of an EFS file system.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_EFSVolumeConfiguration.html
type EFSVolume struct {
	// FileSystem and AccessPoint are keys in the assembly, or the template's text.
	FileSystem, AccessPoint, RootDirectory string
	// TransitEncryption encrypts the data between the instance and EFS by TLS. Default false.
	TransitEncryption bool
	// IAM lets the task's role decide what the task may do. Default false.
	IAM bool
}

func volume(v assembly.Value) TaskVolume {
	volume := TaskVolume{Name: v.Field("Name").Text(""), HostPath: v.Field("Host").Field("SourcePath").Text("")}
	docker := v.Field("DockerVolumeConfiguration")
	docker.Field("Autoprovision") // of a shared volume that is not there yet, as a new machine has none
	docker.Field("Labels")
	volume.Shared, volume.Driver = docker.Field("Scope").OneOf("task", "shared") == "shared", docker.Field("Driver").Text("local")
	if efs := v.Field("EFSVolumeConfiguration"); efs.Present() {
		access := efs.Field("AuthorizationConfig")
		volume.EFS = &EFSVolume{
			FileSystem:        efs.Field("FilesystemId").Keyed(),
			AccessPoint:       access.Field("AccessPointId").Keyed(),
			RootDirectory:     efs.Field("RootDirectory").Text("/"),
			TransitEncryption: efs.Field("TransitEncryption").OneOf("DISABLED", "ENABLED") == "ENABLED",
			IAM:               access.Field("IAM").OneOf("DISABLED", "ENABLED") == "ENABLED",
		}
		efs.Field("TransitEncryptionPort").Int(0, 1, 65535)
	}
	return volume
}

// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-ecs-taskdefinition.html
func (m *Model) taskDefinition(d *TaskDefinition, p assembly.Value) {
	d.Family = name(&d.Base, p.Field("Family"))
	d.NetworkMode = p.Field("NetworkMode").OneOf("bridge", "host", "awsvpc", "none", "default")
	d.Compatibilities = p.Field("RequiresCompatibilities").Texts()
	d.OperatingSystem = p.Field("RuntimePlatform").Field("OperatingSystemFamily").Text("LINUX")
	d.TaskRole = elsewhere[Role](m, p.Field("TaskRoleArn"), IAMRole, "Arn")
	d.ExecutionRole = elsewhere[Role](m, p.Field("ExecutionRoleArn"), IAMRole, "Arn")
	d.PidMode = p.Field("PidMode").Text("")
	d.CPU, d.MemoryMiB = size(p.Field("Cpu"), "vcpu", 1, 1<<18), size(p.Field("Memory"), "gb", 4, 1<<24)
	for _, v := range p.Field("Volumes").List() {
		one := volume(v)
		if slices.ContainsFunc(d.Volumes, func(other TaskVolume) bool { return other.Name == one.Name }) {
			v.Field("Name").Refuse("another volume is called %q too", one.Name)
		}
		d.Volumes = append(d.Volumes, one)
	}
	for _, v := range p.Field("ContainerDefinitions").List() {
		c := m.container(d.Resource, v)
		if slices.ContainsFunc(d.Containers, func(other Container) bool { return other.Name == c.Name }) {
			v.Field("Name").Refuse("another container is called %q too", c.Name)
		}
		d.Containers = append(d.Containers, c)
	}
	for i, v := range p.Field("ContainerDefinitions").List() {
		d.mounts(i, v)
	}
	if !slices.ContainsFunc(d.Containers, func(c Container) bool { return c.Essential }) {
		p.Field("ContainerDefinitions").Refuse("a task needs at least one essential container")
	}
	// What bounds a task as a whole bounds its only container.
	if len(d.Containers) == 1 {
		c := &d.Containers[0]
		c.CPULimit, c.MemoryMiB = d.CPU, cmp.Or(c.MemoryMiB, d.MemoryMiB)
	}
}

// OwnContainer says whether a container of a task definition is the one that the others are beside: it is
// called as the definition's family, or as the service that the definition's tag names.
func OwnContainer(definition *assembly.Resource, container string) bool {
	return container == definition.Properties["Family"] || container == Tag(definition, "service")
}

// size reads the size of a task, a number as in "512" or one with its unit as in ".5 vCPU", which is 1024
// of the others.
func size(v assembly.Value, unit string, from, to int) int {
	text, _ := v.Raw().(string)
	if number, has := strings.CutSuffix(strings.ToLower(text), unit); has {
		if n, err := strconv.ParseFloat(strings.TrimSpace(number), 64); err == nil && n*1024 >= float64(from) && n*1024 <= float64(to) {
			return int(n * 1024)
		}
	}
	return v.Int(0, from, to)
}

// mounts refuses mounts of volumes that are not there, and adds the mounts of other containers.
func (d *TaskDefinition) mounts(i int, v assembly.Value) {
	for j, mount := range v.Field("MountPoints").List() {
		name := d.Containers[i].Mounts[j].Volume
		if !slices.ContainsFunc(d.Volumes, func(v TaskVolume) bool { return v.Name == name }) {
			mount.Field("SourceVolume").Refuse("the task has no volume %q", name)
		}
	}
	for _, from := range v.Field("VolumesFrom").List() {
		name, readOnly := from.Field("SourceContainer").Text(""), from.Field("ReadOnly").Bool(false)
		source := slices.IndexFunc(d.Containers, func(c Container) bool { return c.Name == name })
		if source < 0 || source == i {
			from.Field("SourceContainer").Refuse("the task has no other container %q", name)
			continue
		}
		for _, mount := range d.Containers[source].Mounts {
			mount.ReadOnly = mount.ReadOnly || readOnly
			d.Containers[i].Mounts = append(d.Containers[i].Mounts, mount)
		}
	}
}

// SharesNetwork says whether the containers of a task reach each other at localhost: in mode awsvpc,
// and in mode host, in which all tasks of an instance do so.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-networking.html
func (d *TaskDefinition) SharesNetwork() bool {
	return d.NetworkMode == "awsvpc" || d.NetworkMode == "host"
}

// Volume is the volume of a mount. A mount of a volume that is not there is refused, and has an empty one.
func (d *TaskDefinition) Volume(m Mount) TaskVolume {
	for _, v := range d.Volumes {
		if v.Name == m.Volume {
			return v
		}
	}
	return TaskVolume{Name: m.Volume}
}

// Reserves returns what a task takes of its instance: of memory the soft limits, or else the hard
// ones (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html). What
// the task has as a whole goes before its containers' sum.
func (d *TaskDefinition) Reserves() capacity.Resources {
	var sum capacity.Resources
	for _, c := range d.Containers {
		sum = sum.Plus(capacity.Resources{
			CPU: cmp.Or(c.CPULimit, c.CPUShares), MemoryMiB: cmp.Or(c.MemoryReservationMiB, c.MemoryMiB), Ports: len(c.Ports),
		})
	}
	sum.CPU, sum.MemoryMiB = cmp.Or(d.CPU, sum.CPU), cmp.Or(d.MemoryMiB, sum.MemoryMiB)
	if d.NetworkMode == "awsvpc" {
		sum.Ports, sum.Interfaces = 0, 1
	}
	return sum
}

// ContainerProblem joins the problems of some members of the containers, like "Cpu".
func (d *TaskDefinition) ContainerProblem(members ...string) error {
	var errs []error
	for i := range d.Containers {
		for _, member := range members {
			errs = append(errs, d.Problem(fmt.Sprintf("ContainerDefinitions[%d].%s", i, member)))
		}
	}
	return assembly.Join(errs...)
}
