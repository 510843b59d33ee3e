package capacity

import (
	"maps"
	"slices"
)

// Instance is an instance type.
type Instance struct {
	VCPU int
	// MemoryMiB is what is installed. Tasks get less: see [Instance.Registers].
	MemoryMiB int
	// Interfaces is how many network interfaces it can have, its own first one included.
	Interfaces int
}

// instances are the types of which the size is known
// (https://docs.aws.amazon.com/ec2/latest/instancetypes/gp.html; network interfaces:
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/AvailableIpPerENI.html). Package cost has
// a price for each.
var instances = map[string]Instance{
	"t3.micro":   {2, 1024, 2},
	"t3.small":   {2, 2048, 3},
	"t3.medium":  {2, 4096, 3},
	"t3.large":   {2, 8192, 3},
	"t3.xlarge":  {4, 16384, 4},
	"t4g.micro":  {2, 1024, 2},
	"t4g.small":  {2, 2048, 3},
	"t4g.medium": {2, 4096, 3},
	"t4g.large":  {2, 8192, 3},
	"t4g.xlarge": {4, 16384, 4},
	"m6i.large":  {2, 8192, 3},
	"m6i.xlarge": {4, 16384, 4},
	"m7g.medium": {1, 4096, 2},
	"m7g.large":  {2, 8192, 3},
	"m7g.xlarge": {4, 16384, 4},
}

// InstanceOf returns an instance type by its name, and whether its size is known.
func InstanceOf(name string) (i Instance, known bool) {
	i, known = instances[name]
	return i, known
}

// InstanceTypes returns the names of all types of which the size is known.
func InstanceTypes() []string { return slices.Sorted(maps.Keys(instances)) }

const (
	// kernelPercent is the most of its memory that an instance keeps for its operating system. AWS
	// documents that an instance keeps some, and not how much
	// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/memory-management.html). The
	// scheduler of AWS for Kubernetes takes off 7.5 % before it has seen an instance of a type
	// (https://karpenter.sh/docs/reference/settings/, VM_MEMORY_OVERHEAD_PERCENT). The small types
	// are close: agents have registered 1901 MiB for a t3.small and 3828 MiB for a t3.medium.
	kernelPercent = 7.5
	// dynamicPorts is how many ports a host has to pick from: the kernel's range
	// (https://docs.kernel.org/networking/ip-sysctl.html, ip_local_port_range)
	// without the agent's own in the range, 51678 to 51680. The agent's other
	// reserved ports, 22, 2375 and 2376, are outside the range. Ports that the host
	// picks do not count towards the 100 that an instance may have reserved
	// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_PortMapping.html).
	dynamicPorts = 60999 - 32768 + 1 - 3
)

// Whole returns the CPU units and the memory of an instance, and the network interfaces that tasks can
// have: all but the instance's own
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/container-instance-eni.html). It leaves
// out ports, and the further interfaces of the account setting awsvpcTrunking, which is not the default.
func (i Instance) Whole() Resources {
	return Resources{CPU: i.VCPU * unitsPerVCPU, MemoryMiB: i.MemoryMiB, Interfaces: i.Interfaces - 1}
}

// Registers returns what the ECS agent registers: all CPU units, and the memory that the operating
// system sees (https://github.com/aws/amazon-ecs-agent/blob/master/agent/api/ecsclient/client.go,
// getResources). ECS_RESERVED_MEMORY is not taken off.
func (i Instance) Registers() Resources {
	return Resources{
		CPU:       i.VCPU * unitsPerVCPU,
		MemoryMiB: int(float64(i.MemoryMiB) * (1 - kernelPercent/100)),
		Ports:     dynamicPorts,
		// As in Whole.
		Interfaces: i.Interfaces - 1,
	}
}
