package cost

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"cutover/internal/capacity"
)

// sum is an estimate that is being added up.
type sum struct {
	Estimate
	caused map[string]*Service
	// has is what the instances have, and instances what they and their volumes cost.
	has       capacity.Resources
	instances Cents
}

// estimate adds it all up.
func (e *environment) estimate() Estimate {
	e.grow()
	s := &sum{Estimate: Estimate{Environment: e.name, Lines: []Line{}, Unknown: e.unknown}, caused: map[string]*Service{}}
	s.addInstances(e)
	s.share(e)
	s.addFargate(e)
	s.addCalls(e)
	s.addDatabases(e)
	s.Functions = e.functions
	s.Fronts = e.fronts.prices()
	for _, kind := range things {
		s.addThings(kind.price, kind.one, kind.more, e.things)
	}
	for _, kind := range slices.Sorted(maps.Keys(e.unpriced)) {
		n := e.unpriced[kind]
		if price, known := e.price(kind, nil); known {
			s.line(kind, fmt.Sprintf("%d %s", n, kind), each(n, price, ""), amount(n, price))
		} else if n > 0 {
			s.Unpriced = append(s.Unpriced, fmt.Sprintf("%d %s", n, kind))
		}
	}
	rest := Service{Name: Shared, Share: 1, Amount: s.Total}
	for _, name := range slices.Sorted(maps.Keys(s.caused)) {
		service := *s.caused[name]
		rest.Share -= service.Share
		rest.Amount -= service.Amount
		s.Services = append(s.Services, service)
	}
	s.Services = append(s.Services, rest)
	for _, key := range slices.Sorted(maps.Keys(e.traffic)) {
		t := prices.Traffic[key]
		s.Traffic = append(s.Traffic, decimal(t.Price)+" per "+t.For)
	}
	return s.Estimate
}

// grow makes the only group as large as the tasks need, up to its maximum: its provider does so. Then
// daemons have a task on each instance.
func (e *environment) grow() {
	var all, daemons capacity.Resources
	for _, t := range e.tasks {
		if t.daemon {
			daemons = daemons.Plus(t.each)
		} else {
			all = all.Plus(t.each.Times(t.count))
		}
	}
	if len(e.groups) == 1 {
		g := &e.groups[0]
		if room := g.size.Registers().Plus(daemons.Times(-1)); room.CPU > 0 && room.MemoryMiB > 0 {
			bySize, byInterfaces := all.Instances(room)
			g.least = max(g.least, min(g.most, max(bySize, byInterfaces)))
		}
	}
	instances := 0
	for _, g := range e.groups {
		instances += g.least
	}
	for i := range e.tasks {
		if e.tasks[i].daemon {
			e.tasks[i].count = instances
		}
	}
}

func (s *sum) line(name, item, price string, amount Cents) {
	s.Lines = append(s.Lines, Line{name, item, price, amount})
	s.Total += amount
}

func (s *sum) service(name string) *Service {
	if s.caused[name] == nil {
		s.caused[name] = &Service{Name: name}
	}
	return s.caused[name]
}

// addInstances adds the instances and their volumes. Those without a price are unpriced.
func (s *sum) addInstances(e *environment) {
	instances, sizes, gigabytes := map[string]int{}, map[string]int{}, map[string]int{}
	for _, g := range e.groups {
		instances[g.name] += g.least
		for _, kind := range slices.Sorted(maps.Keys(g.volumeGB)) {
			name := fmt.Sprintf("%d GB %s", g.volumeGB[kind], kind)
			sizes[name] += g.least
			gigabytes[name] = sizes[name] * g.volumeGB[kind]
		}
	}
	for _, name := range slices.Sorted(maps.Keys(instances)) {
		n := instances[name]
		price, known := e.price(name, prices.Instances.Prices)
		if !known {
			e.unpriced["instance "+name] += n
			continue
		}
		s.line("instance "+name, count(n, "instance", "instances")+" "+name, each(n, price, " an hour"), amount(n*prices.Hours, price))
	}
	for _, name := range slices.Sorted(maps.Keys(sizes)) {
		_, kind, _ := strings.Cut(name, " GB ")
		price, known := e.price(kind, prices.Volumes.Prices)
		if !known {
			e.unpriced["volume of "+name] += sizes[name]
			continue
		}
		s.line("volume of "+name, count(sizes[name], "volume", "volumes")+" of "+name, each(gigabytes[name], price, ""), amount(gigabytes[name], price))
	}
}

// share divides the price of the instances and their volumes among the services with tasks.
func (s *sum) share(e *environment) {
	for _, g := range e.groups {
		s.has = s.has.Plus(g.size.Whole().Times(g.least))
	}
	if slices.ContainsFunc(e.groups, func(g group) bool { return g.size.VCPU == 0 }) {
		s.has = capacity.Resources{} // nobody knows what a task takes of instances of an unknown size
	}
	s.instances = s.Total
	all := 0.0
	for _, t := range e.tasks {
		service := s.service(t.service)
		service.Tasks += t.count
		share := s.of(t.each.Times(t.count))
		service.Share += share
		all += share
	}
	for _, service := range s.caused {
		service.Share /= max(1, all) // there is no more to share than all of it
		service.Amount = Cents(math.Round(service.Share * float64(s.Total)))
	}
}

// of is the share of the instances that resources are.
func (s *sum) of(need capacity.Resources) float64 {
	if s.has.CPU <= 0 || s.has.MemoryMiB <= 0 {
		return 0
	}
	return max(float64(need.CPU)/float64(s.has.CPU), float64(need.MemoryMiB)/float64(s.has.MemoryMiB))
}

// addThings adds a line for all things of one price.
func (s *sum) addThings(key, one, more string, things []thing) {
	fixed, n, kinds := prices.Fixed[key], 0, map[string]int{}
	price, unit, times := fixed.Hour, " an hour", prices.Hours
	if price == 0 {
		price, unit, times = fixed.Month, "", 1
	}
	for _, t := range things {
		if t.price != key {
			continue
		}
		n += t.count
		if t.what != "" {
			kinds[t.what] += t.count
		}
		if t.service != "" && fixed.Free == 0 {
			s.service(t.service).Amount += amount(t.count*times, price)
		}
	}
	if n == 0 {
		return
	}
	item := count(n, one, more)
	if len(kinds) > 0 {
		var parts []string
		for _, kind := range slices.Backward(slices.Sorted(maps.Keys(kinds))) {
			parts = append(parts, fmt.Sprintf("%s %d", kind, kinds[kind]))
		}
		item += " (" + strings.Join(parts, ", ") + ")"
	}
	if fixed.Free > 0 {
		unit += fmt.Sprintf(", and nothing for the first %d of an account", fixed.Free)
		n = max(0, n-fixed.Free)
	}
	s.line(one, item, each(n, price, unit), amount(n*times, price))
}
