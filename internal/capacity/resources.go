// Package capacity counts what tasks reserve and what instances have: CPU units, memory and ports.
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
}

func (r Resources) Plus(other Resources) Resources {
	return Resources{r.CPU + other.CPU, r.MemoryMiB + other.MemoryMiB, r.Ports + other.Ports}
}

// Times returns what n tasks reserve if one reserves r.
func (r Resources) Times(n int) Resources {
	return Resources{r.CPU * n, r.MemoryMiB * n, r.Ports * n}
}

// Room returns for how many tasks there is room, -1 for tasks that need nothing. The limit is "CPU
// units", "memory" or "ports".
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

// Instances returns how many instances have r together, by CPU and memory, if one has each.
func (r Resources) Instances(each Resources) int {
	up := func(need, one int) int { return (need + one - 1) / one }
	return max(up(r.CPU, each.CPU), up(r.MemoryMiB, each.MemoryMiB))
}
