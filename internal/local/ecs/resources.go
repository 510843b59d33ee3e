package ecs

import "cmp"

// Resources are what a container instance has for tasks, or a task needs of it.
type Resources struct {
	// CPU is in units of 1/1024 vCPU.
	CPU       int
	MemoryMiB int
	// Ports are those of the host at which containers are published.
	Ports int
}

const (
	// kernelPercent is how much of its memory an instance keeps from its operating
	// system, and so from the tasks, at the most. AWS documents that it does, and
	// not how much
	// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/memory-management.html);
	// 7.5 % is what the scheduler that AWS has for Kubernetes takes off before it
	// has seen an instance of a type (https://karpenter.sh/docs/reference/settings/,
	// VM_MEMORY_OVERHEAD_PERCENT). The small types are close to it: agents have
	// registered 1901 MiB for a t3.small and 3828 MiB for a t3.medium.
	kernelPercent = 7.5
	// dynamicPorts is the range of which the host picks a port for a container: that
	// of the kernel (https://docs.kernel.org/networking/ip-sysctl.html,
	// ip_local_port_range), without the agent's own in it, 51678 to 51680. Of its
	// other reserved ports, 22, 2375 and 2376, none is in the range, and ports that
	// were picked do not count towards the 100 that an instance may have reserved
	// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_PortMapping.html).
	dynamicPorts = 60999 - 32768 + 1 - 3
)

// instanceName stands for the id of the instance that tasks have to fit on.
const instanceName = "local"

// Registered returns what the ECS agent registers of an instance type with that
// many processors and that much memory, without ECS_RESERVED_MEMORY, which would
// be taken off: 1024 units for each processor, and the memory that the operating
// system sees
// (https://github.com/aws/amazon-ecs-agent/blob/master/agent/api/ecsclient/client.go, getResources).
func Registered(vcpu, memoryMiB int) Resources {
	return Resources{CPU: vcpu * 1024, MemoryMiB: int(float64(memoryMiB) * (1 - kernelPercent/100)), Ports: dynamicPorts}
}

// Reserves returns what a task takes of its instance, whether it uses it or not:
// of memory the soft limit of each container, or the hard one of those without
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html).
func (d TaskDefinition) Reserves() Resources {
	var sum Resources
	for _, c := range d.Containers {
		sum.CPU += cmp.Or(c.CPULimit, c.CPUShares)
		sum.MemoryMiB += cmp.Or(c.MemoryReservationMiB, c.MemoryMiB)
		sum.Ports += len(c.Ports)
	}
	return sum
}

// Room returns for how many tasks that need so much there is room, and which of
// "CPU units", "memory" and "ports" ends first. What a task does not need never ends:
// the number of tasks that need nothing is -1.
func (r Resources) Room(task Resources) (tasks int, limit string) {
	tasks = -1
	for _, resource := range []struct {
		name      string
		has, need int
	}{{"CPU units", r.CPU, task.CPU}, {"memory", r.MemoryMiB, task.MemoryMiB}, {"ports", r.Ports, task.Ports}} {
		if resource.need == 0 {
			continue
		}
		if n := max(0, resource.has) / resource.need; tasks < 0 || n < tasks {
			tasks, limit = n, resource.name
		}
	}
	return tasks, limit
}

// Instances returns how many instances with so much each have it together, by CPU
// and memory.
func (r Resources) Instances(each Resources) int {
	up := func(need, one int) int { return (need + one - 1) / one }
	return max(up(r.CPU, each.CPU), up(r.MemoryMiB, each.MemoryMiB))
}

// lacks returns what there is not enough of on the instance for one more task.
// Empty if there is, or if there is no instance to fit on.
func (s *Scheduler) lacks(d TaskDefinition) string {
	if s.options.Instance == nil {
		return ""
	}
	left := *s.options.Instance
	for _, v := range s.services {
		for _, t := range v.tasks {
			taken := t.deployment.definition.Reserves()
			left.CPU -= taken.CPU
			left.MemoryMiB -= taken.MemoryMiB
			left.Ports -= taken.Ports
		}
	}
	if tasks, limit := left.Room(d.Reserves()); tasks == 0 {
		return limit
	}
	return ""
}
