package cost

import (
	"errors"
	"maps"

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

// things cost as long as they exist. They are in the order of the lines: the dearest come first.
var things = []struct{ price, one, more string }{
	{"natGateway", "NAT gateway", "NAT gateways"},
	{"loadBalancer", "load balancer", "load balancers"},
	{"publicIPv4", "public IPv4 address", "public IPv4 addresses"},
	{"alarm", "alarm on a metric", "alarms on a metric"},
	{"dashboard", "dashboard", "dashboards"},
	{"key", "encryption key", "encryption keys"},
	{"endpoint", "endpoint in a zone", "endpoints in a zone"},
}

// add takes a resource into account. Its error says what has to be known and is not.
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
	case *model.Alarm: // an alarm costs for each of its metrics
		number, err = v.Metrics, v.Problem("Metrics")
	case *model.ScalingPolicy:
		// Target tracking has two alarms, one to scale out and one to scale in
		// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-autoscaling-targettracking.html).
		number = 0
		if v.Type == model.TargetTracking {
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
		errs = append(errs, unknown(property, "the instance type %q is not known: add its size to %s and its price to %s", g.name, sizesPath, pricesPath))
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
		errs = append(errs, v.TaskDefinition.ContainerProblem("Cpu", "Memory", "MemoryReservation"))
		service := model.Tag(v.Resource, "service")
		if service == "" {
			service = v.Name
		}
		e.tasks = append(e.tasks, tasks{service, v.Tasks(), v.TaskDefinition.Reserves()})
	}
	return errors.Join(errs...)
}
