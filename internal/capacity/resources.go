// Package capacity counts what tasks reserve and what instances have: CPU units, memory, ports and
// network interfaces.
package capacity

// unitsPerVCPU is how many CPU units one vCPU has
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_definition_parameters.html).
const unitsPerVCPU = 1024

// Resources are what an instance has for tasks, or what a task reserves.
type Resources struct {
	// CPU is in units of 1/1024 vCPU.
	CPU       int
	MemoryMiB int
	// Ports are ports of the host at which containers are published.
	Ports int
	// Interfaces are network interfaces: a task in network mode awsvpc takes one.
	Interfaces int
}

func (r Resources) Plus(other Resources) Resources {
	return Resources{r.CPU + other.CPU, r.MemoryMiB + other.MemoryMiB, r.Ports + other.Ports, r.Interfaces + other.Interfaces}
}

// Times returns what n tasks reserve if one reserves r.
func (r Resources) Times(n int) Resources {
	return Resources{r.CPU * n, r.MemoryMiB * n, r.Ports * n, r.Interfaces * n}
}

// Room returns for how many tasks there is room, -1 for tasks that need nothing. The limit is "CPU
// units", "memory", "ports" or "network interfaces".
func (r Resources) Room(task Resources) (tasks int, limit string) {
	tasks = -1
	for _, resource := range []struct {
		name      string
		has, need int
	}{{"CPU units", r.CPU, task.CPU}, {"memory", r.MemoryMiB, task.MemoryMiB}, {"ports", r.Ports, task.Ports}, {"network interfaces", r.Interfaces, task.Interfaces}} {
		if resource.need == 0 {
			continue
		}
		if n := max(0, resource.has) / resource.need; tasks < 0 || n < tasks {
			tasks, limit = n, resource.name
		}
	}
	return tasks, limit
}

// Instances returns how many instances have r together if one has each: by CPU and memory, and by network
// interfaces.
func (r Resources) Instances(each Resources) (bySize, byInterfaces int) {
	up := func(need, one int) int { return (need + one - 1) / max(1, one) }
	return max(up(r.CPU, each.CPU), up(r.MemoryMiB, each.MemoryMiB)), up(r.Interfaces, each.Interfaces)
}
