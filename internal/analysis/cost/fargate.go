package cost

import (
	"fmt"
	"math"
	"strconv"

	"cutover/internal/capacity"
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

// addFargate adds the tasks of a service on Fargate. Tasks of an unknown size, tasks of Windows and EBS
// volumes have no price.
func (e *environment) addFargate(service string, v *model.Service, on *model.Fargate) error {
	d := v.TaskDefinition
	if v.PublicAddresses {
		e.things = append(e.things, thing{"publicIPv4", v.Tasks(), service, "task"})
	}
	if v.Resource.Properties["VolumeConfigurations"] != nil {
		e.unpriced["task with EBS volumes"] += v.Tasks()
	}
	switch {
	case d == nil || d.CPU == 0 || d.MemoryMiB == 0:
		e.unpriced["Fargate task of an unknown size"] += v.Tasks()
		return nil
	case on.Windows:
		e.unpriced["Fargate task of Windows"] += v.Tasks()
		return d.Problem("Cpu", "Memory")
	}
	list := prices.Fargate
	size := fmt.Sprintf("%s vCPU, %s GB", number(float64(d.CPU)/1024), number(float64(d.MemoryMiB)/1024))
	if on.ARM {
		size += ", ARM"
	}
	hour := rate(on, capacity.Resources{CPU: d.CPU, MemoryMiB: d.MemoryMiB})
	storage := 0.0
	if more := on.StorageGiB - list.FreeStorageGB; more > 0 {
		storage = float64(more) * list.Storage
		size += fmt.Sprintf(", %d GB of storage", on.StorageGiB)
	}
	spot := on.OnSpot(v.Tasks())
	e.fargate = append(e.fargate, fargate{service, v.Tasks() - spot, false, size, hour + storage}, fargate{service, spot, true, size, hour*spotPart() + storage})
	return d.Problem("Cpu", "Memory")
}

// rate is the price of CPU and memory for an hour.
func rate(on *model.Fargate, size capacity.Resources) float64 {
	architecture := "x86"
	if on.ARM {
		architecture = "arm"
	}
	return float64(size.CPU)/1024*prices.Fargate.VCPU[architecture] + float64(size.MemoryMiB)/1024*prices.Fargate.Memory[architecture]
}

// spotPart is what is left of a price on Spot.
func spotPart() float64 { return 1 - float64(prices.Fargate.SpotPercentOff)/100 }

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
