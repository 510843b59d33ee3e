package cost

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"cutover/internal/assembly"
	"cutover/internal/capacity"
	"cutover/internal/model"
)

// environment is what is found of an environment.
type environment struct {
	name     string
	groups   []group
	tasks    []tasks
	things   []thing
	unpriced map[string]int
	traffic  map[string]bool // keys of prices
}

func (e *environment) merge(other *environment) {
	e.groups = append(e.groups, other.groups...)
	e.tasks = append(e.tasks, other.tasks...)
	e.things = append(e.things, other.things...)
	maps.Copy(e.unpriced, other.unpriced)
	maps.Copy(e.traffic, other.traffic)
}

// group is an Auto Scaling group.
type group struct {
	name        string // of the instance type
	size        capacity.Instance
	least, most int
	volumeGB    map[string]int // of one instance, by type
}

// tasks are those of a service.
type tasks struct {
	service string
	count   int
	each    capacity.Resources // what one reserves
}

// thing costs as long as it exists.
type thing struct {
	price   string // the key
	count   int
	service string // empty: none
	what    string // of several kinds that are one line: the kind
}

// things are what costs as long as it exists, in the order of the lines: what costs most
// comes first.
var things = []struct{ price, one, more string }{
	{"natGateway", "NAT gateway", "NAT gateways"},
	{"loadBalancer", "load balancer", "load balancers"},
	{"publicIPv4", "public IPv4 address", "public IPv4 addresses"},
	{"alarm", "alarm on a metric", "alarms on a metric"},
	{"dashboard", "dashboard", "dashboards"},
	{"key", "encryption key", "encryption keys"},
	{"endpoint", "endpoint in a zone", "endpoints in a zone"},
}

// add takes a resource into account. Its error is what has to be known and is not.
func (e *environment) add(m *model.Model, resource *assembly.Resource) error {
	keys, known := model.Costs(resource.Type)
	if !known {
		e.unpriced[resource.Type]++
	}
	service, number, addresses, what := model.Tag(resource, "service"), 1, 1, "elastic"
	var err error
	switch v := m.Value(resource).(type) {
	case *model.AutoScalingGroup:
		err = e.addGroup(v)
	case *model.Service:
		err = e.addTasks(v)
	case *model.LoadBalancer:
		addresses, what = len(v.Subnets), "load balancer" // an address in each zone
		if v.Internal {
			addresses = 0
		}
		if err = v.Problem("Type", "Scheme"); v.Type != "application" {
			err = v.Errorf("Type", "the price of this type of load balancer is not in %s", pricesPath)
		} else if len(v.Subnets) == 0 {
			err = errors.Join(err, v.Problem("Subnets", "SubnetMappings"))
		}
	case *model.Endpoint:
		number = 0
		if v.Type != "Gateway" {
			number = max(1, len(v.Subnets))
		}
		err = v.Problem("VpcEndpointType")
	case *model.Alarm: // which is paid for by the metrics that it looks at
		number, err = v.Metrics, v.Problem("Metrics")
	case *model.ScalingPolicy:
		// Target tracking has two alarms, one to scale out and one to scale in
		// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-autoscaling-targettracking.html).
		number = 0
		if v.Type == "TargetTrackingScaling" {
			number = 2
		}
		if v.Target != nil && v.Target.Service != nil {
			service = model.Tag(v.Target.Service.Resource, "service")
		}
		err = v.Problem("PolicyType")
	}
	for _, key := range keys {
		_, byTraffic := prices.Traffic[key]
		switch {
		case byTraffic:
			e.traffic[key] = true
		case key == "publicIPv4":
			e.things = append(e.things, thing{key, addresses, service, what})
		default:
			e.things = append(e.things, thing{key, number, service, ""})
		}
	}
	return err
}

func (e *environment) addGroup(v *model.AutoScalingGroup) error {
	if v.Launch == nil {
		return errors.Join(v.Problem("LaunchTemplate", "MixedInstancesPolicy", "LaunchConfigurationName"),
			v.Errorf(v.LaunchProperty, "the instances' type and volumes are not known without a launch template of the assembly"))
	}
	errs := []error{v.Problem("MinSize", "MaxSize", "DesiredCapacity")}
	g := group{name: v.Launch.InstanceType, least: max(v.Min, v.Desired), most: v.Max, volumeGB: map[string]int{}}
	unknown, property := v.Launch.Errorf, v.Launch.Property("InstanceType")
	if len(v.InstanceTypes) > 0 { // the first one is preferred
		g.name, unknown, property = v.InstanceTypes[0], v.Errorf, "MixedInstancesPolicy.LaunchTemplate.Overrides[0].InstanceType"
	}
	var known bool
	if g.size, known = capacity.InstanceOf(g.name); !known {
		errs = append(errs, unknown(property, "the price of the instance type %q is not known: add it to %s", g.name, pricesPath))
	}
	for _, volume := range v.Launch.Volumes {
		if !volume.EBS {
			continue
		}
		if _, known := prices.Volumes.Prices[volume.Type]; !known {
			errs = append(errs, v.Launch.Errorf(volume.Property+".Ebs", "the price of the volume type %q is not known: add it to %s", volume.Type, pricesPath))
		}
		errs = append(errs, v.Launch.Problem(volume.Property))
		g.volumeGB[volume.Type] += volume.SizeGB
	}
	for _, setting := range v.Launch.Settings {
		if setting.Name == "Iops" || setting.Name == "Throughput" {
			errs = append(errs, setting.Resource.Errorf(setting.Property, "its price is not in %s", pricesPath))
		}
	}
	if len(g.volumeGB) == 0 {
		e.unpriced["group of instances with the volume that their image brings"]++
	}
	e.groups = append(e.groups, g)
	return errors.Join(errs...)
}

func (e *environment) addTasks(v *model.Service) error {
	errs := []error{v.Problem("LaunchType", "DesiredCount", "TaskDefinition")}
	if v.LaunchType != "EC2" {
		errs = append(errs, v.Errorf("LaunchType", "the price of these tasks is not in %s", pricesPath))
	}
	if v.TaskDefinition != nil {
		service := model.Tag(v.Resource, "service")
		if service == "" {
			service = v.Name
		}
		e.tasks = append(e.tasks, tasks{service, v.Tasks(), v.TaskDefinition.Reserves()})
	}
	return errors.Join(errs...)
}

// estimate adds it all up.
func (e *environment) estimate() Estimate {
	result := Estimate{Environment: e.name, Lines: []Line{}}
	e.grow()
	caused := map[string]*Service{}
	service := func(name string) *Service {
		if caused[name] == nil {
			caused[name] = &Service{Name: name}
		}
		return caused[name]
	}
	line := func(name, item, price string, amount Cents) {
		result.Lines = append(result.Lines, Line{name, item, price, amount})
		result.Total += amount
	}

	instances, gigabytes := map[string]int{}, map[string]int{}
	sizes, has := map[string]int{}, capacity.Resources{}
	for _, g := range e.groups {
		instances[g.name] += g.least
		has = has.Plus(g.size.Whole().Times(g.least))
		for _, kind := range slices.Sorted(maps.Keys(g.volumeGB)) {
			name := fmt.Sprintf("%d GB %s", g.volumeGB[kind], kind)
			sizes[name] += g.least
			gigabytes[name] = sizes[name] * g.volumeGB[kind]
		}
	}
	for _, name := range slices.Sorted(maps.Keys(instances)) {
		n, price := instances[name], prices.Instances.Prices[name]
		line("instance "+name, count(n, "instance", "instances")+" "+name, each(n, price, " an hour"), amount(n*prices.Hours, price))
	}
	for _, name := range slices.Sorted(maps.Keys(sizes)) {
		_, kind, _ := strings.Cut(name, " GB ")
		price := prices.Volumes.Prices[kind]
		line("volume of "+name, count(sizes[name], "volume", "volumes")+" of "+name, each(gigabytes[name], price, ""), amount(gigabytes[name], price))
	}
	// The instances and their volumes are what the tasks share.
	pool := result.Total
	all := 0.0
	for _, t := range e.tasks {
		s := service(t.service)
		s.Tasks += t.count
		if need := t.each.Times(t.count); has.CPU > 0 && has.MemoryMiB > 0 {
			share := max(float64(need.CPU)/float64(has.CPU), float64(need.MemoryMiB)/float64(has.MemoryMiB))
			s.Share += share
			all += share
		}
	}
	for _, s := range caused {
		s.Share /= max(1, all) // there is no more to share than all of it
		s.Amount = Cents(math.Round(s.Share * float64(pool)))
	}

	for _, kind := range things {
		fixed, n, kinds := prices.Fixed[kind.price], 0, map[string]int{}
		price, unit, times := fixed.Hour, " an hour", prices.Hours
		if price == 0 {
			price, unit, times = fixed.Month, "", 1
		}
		for _, t := range e.things {
			if t.price != kind.price {
				continue
			}
			n += t.count
			if t.what != "" {
				kinds[t.what] += t.count
			}
			if t.service != "" && fixed.Free == 0 {
				service(t.service).Amount += amount(t.count*times, price)
			}
		}
		if n == 0 {
			continue
		}
		item := count(n, kind.one, kind.more)
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
		line(kind.one, item, each(n, price, unit), amount(n*times, price))
	}

	rest := Service{Name: Shared, Share: 1, Amount: result.Total}
	for _, name := range slices.Sorted(maps.Keys(caused)) {
		s := *caused[name]
		rest.Share -= s.Share
		rest.Amount -= s.Amount
		result.Services = append(result.Services, s)
	}
	result.Services = append(result.Services, rest)

	for _, key := range slices.Sorted(maps.Keys(e.traffic)) {
		t := prices.Traffic[key]
		result.Traffic = append(result.Traffic, decimal(t.Price)+" per "+t.For)
	}
	for _, kind := range slices.Sorted(maps.Keys(e.unpriced)) {
		result.Unpriced = append(result.Unpriced, fmt.Sprintf("%d %s", e.unpriced[kind], kind))
	}
	return result
}

// grow makes the one Auto Scaling group as large as the tasks need it: the
// capacity provider adds instances when they do not fit, up to the most.
func (e *environment) grow() {
	if len(e.groups) != 1 || e.groups[0].size.VCPU == 0 {
		return
	}
	g := &e.groups[0]
	var all capacity.Resources
	for _, t := range e.tasks {
		all = all.Plus(t.each.Times(t.count))
	}
	g.least = max(g.least, min(g.most, all.Instances(g.size.Registers())))
}
