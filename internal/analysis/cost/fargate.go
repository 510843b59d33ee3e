package cost

import (
	"fmt"
	"math"
	"strconv"

	"cutover/internal/model"
)

// fargate are tasks on AWS Fargate that cost the same.
type fargate struct {
	service string
	count   int
	spot    bool
	size    string  // in words: vCPU, memory and what else has a price
	hour    float64 // the price of one
}

// addFargate adds the tasks of a service on Fargate. A task without a size that is known has no price,
// and neither has Windows.
func (e *environment) addFargate(service string, v *model.Service, on *model.Fargate) error {
	d := v.TaskDefinition
	switch {
	case d == nil || d.CPU == 0 || d.MemoryMiB == 0:
		e.unpriced["Fargate task of an unknown size"] += v.Tasks()
		return nil
	case on.Windows:
		e.unpriced["Fargate task of Windows"] += v.Tasks()
		return d.Problem("Cpu", "Memory")
	}
	list := prices.Fargate
	architecture := "x86"
	vCPU, memory := float64(d.CPU)/1024, float64(d.MemoryMiB)/1024
	size := fmt.Sprintf("%s vCPU, %s GB", number(vCPU), number(memory))
	if on.ARM {
		architecture = "arm"
		size += ", ARM"
	}
	hour := vCPU*list.VCPU[architecture] + memory*list.Memory[architecture]
	storage := 0.0
	if more := on.StorageGiB - list.FreeStorageGB; more > 0 {
		storage = float64(more) * list.Storage
		size += fmt.Sprintf(", %d GB of storage", on.StorageGiB)
	}
	spot := on.OnSpot(v.Tasks())
	off := 1 - float64(list.SpotPercentOff)/100
	e.fargate = append(e.fargate, fargate{service, v.Tasks() - spot, false, size, hour + storage}, fargate{service, spot, true, size, hour*off + storage})
	return d.Problem("Cpu", "Memory")
}

// number writes a number without more decimals than it has.
func number(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }

// addFargate adds a line for the tasks on Fargate of each size.
func (s *sum) addFargate(e *environment) {
	done := map[string]bool{}
	for _, first := range e.fargate {
		name := first.kind() + " of " + first.size
		if done[name] {
			continue
		}
		done[name] = true
		hour, known := e.price(name, nil)
		if !known {
			hour = math.Round(first.hour*1e9) / 1e9
		}
		n := 0
		for _, t := range e.fargate {
			if t.spot == first.spot && t.size == first.size {
				n += t.count
				s.service(t.service).Amount += amount(t.count*prices.Hours, hour)
			}
		}
		if n == 0 {
			continue
		}
		unit := " an hour"
		if first.spot && !known {
			unit += fmt.Sprintf(", if Spot takes off %d %%", prices.Fargate.SpotPercentOff)
		}
		s.line(name, count(n, first.kind(), first.kind()+"s")+" of "+first.size, each(n, hour, unit), amount(n*prices.Hours, hour))
	}
}

func (f fargate) kind() string {
	if f.spot {
		return "Fargate Spot task"
	}
	return "Fargate task"
}
