package cost

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"cutover/internal/assembly"
	"cutover/internal/capacity"
	"cutover/internal/model"
)

// environment is what is found of an environment.
type environment struct {
	name      string
	own       Prices
	used      map[string]bool // of own, by name
	unknown   []string
	groups    []group
	tasks     []tasks
	fargate   []fargate
	proxies   []proxies
	callers   []string
	readers   []string // whose requests to tables pass a NAT gateway
	functions []string
	fronts    fronts
	things    []thing
	capacity  []databases
	unpriced  map[string]int
	traffic   map[string]bool // keys of prices
}

func (e *environment) merge(other *environment) {
	e.groups = append(e.groups, other.groups...)
	e.tasks = append(e.tasks, other.tasks...)
	e.fargate = append(e.fargate, other.fargate...)
	e.proxies = append(e.proxies, other.proxies...)
	e.callers = append(e.callers, other.callers...)
	e.readers = append(e.readers, other.readers...)
	e.functions = append(e.functions, other.functions...)
	e.fronts = e.fronts.or(other.fronts)
	e.things = append(e.things, other.things...)
	e.capacity = append(e.capacity, other.capacity...)
	e.unknown = append(e.unknown, other.unknown...)
	for kind, n := range other.unpriced {
		e.unpriced[kind] += n
	}
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
	daemon  bool               // one on each instance, instead of the count
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
	{"networkLoadBalancer", "Network Load Balancer", "Network Load Balancers"},
	{"apiCache", "cache of 0.5 GB", "caches of 0.5 GB"},
	{"webACL", "web ACL", "web ACLs"},
	{"publicIPv4", "public IPv4 address", "public IPv4 addresses"},
	{"alarm", "alarm on a metric", "alarms on a metric"},
	{"dashboard", "dashboard", "dashboards"},
	{"metric", "metric of a log group", "metrics of a log group"},
	{"key", "encryption key", "encryption keys"},
	{"webACLRule", "rule of a web ACL", "rules of a web ACL"},
	{"hostedZone", "hosted zone", "hosted zones"},
	{"secret", "secret", "secrets"},
	{"endpoint", "endpoint in a zone", "endpoints in a zone"},
}

// note keeps the lines of errors, each once.
func (e *environment) note(errs ...error) {
	err := assembly.Join(errs...)
	if err == nil {
		return
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		if !slices.Contains(e.unknown, line) {
			e.unknown = append(e.unknown, line)
		}
	}
}

// price is the price of a name: one's own, or else that of the list.
func (e *environment) price(name string, list map[string]float64) (price float64, known bool) {
	if price, known = e.own[name]; known {
		e.used[name] = true
		return price, true
	}
	price, known = list[name]
	return price, known
}

// add takes a resource into account. Its error has the values that cannot be read.
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
		err = e.addTasks(m, v)
	case *model.LoadBalancer:
		addresses, what = len(v.Subnets), "load balancer" // an address in each zone
		if v.Internal {
			addresses = 0
		}
		if err = v.Problem("Type", "Scheme"); len(v.Subnets) == 0 {
			err = errors.Join(err, v.Problem("Subnets", "SubnetMappings"))
		}
		switch v.Type {
		case "network":
			keys = []string{"networkLoadBalancer", "publicIPv4"}
		case "gateway":
			keys = nil
			e.unpriced["Gateway Load Balancer"]++
		}
	case *model.DiscoveryService:
		if v.Resource.Properties["HealthCheckConfig"] != nil {
			e.unpriced["health check of Route 53"]++
		}
	case *model.Function:
		keys, err = e.function(v, answers(m, v), keys)
	case *model.FileSystem:
		keys, err = e.files(v, keys)
	case *model.Table:
		keys, err = e.table(v, keys)
	case *model.DatabaseCluster:
		keys, err = e.cluster(v, service, keys)
	case *model.DatabaseInstance:
		keys, err = e.database(v, service, keys)
	case *model.Topic:
		keys, err = e.topic(v, service, keys)
	case *model.Queue:
		keys, err = e.queue(v, keys)
	case *model.APIStage:
		keys, err = e.stage(v, keys)
	case *model.Distribution:
		e.fronts.distribution = true
	case *model.WebACL:
		keys, err = e.webACL(v, service, keys)
	case *model.TaskDefinition:
		if !readsSecrets(v) {
			keys = nil
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
		e.unpriced["group of instances without a launch template in the assembly"]++
		return v.Problem("LaunchTemplate", "MixedInstancesPolicy", "LaunchConfigurationName")
	}
	errs := []error{v.Problem("MinSize", "MaxSize", "DesiredCapacity"), v.Launch.Problem(v.Launch.Property("InstanceType"))}
	g := group{name: v.Launch.InstanceType, least: max(v.Min, v.Desired), most: v.Max, volumeGB: map[string]int{}}
	if len(v.InstanceTypes) > 0 { // the first one is preferred
		g.name = v.InstanceTypes[0]
	}
	g.name = cmp.Or(g.name, "of an unknown type")
	g.size, _ = capacity.InstanceOf(g.name)
	for _, volume := range v.Launch.Volumes {
		if volume.EBS {
			errs = append(errs, v.Launch.Problem(volume.Property))
			g.volumeGB[volume.Type] += volume.SizeGB
		}
	}
	for _, setting := range v.Launch.Settings {
		if setting.Name == "Iops" || setting.Name == "Throughput" {
			e.unpriced["volume that is faster ("+setting.Name+")"]++
		}
	}
	if len(g.volumeGB) == 0 {
		e.unpriced["group of instances with the volume that their image brings"]++
	}
	e.groups = append(e.groups, g)
	return errors.Join(errs...)
}

func (e *environment) addTasks(m *model.Model, v *model.Service) error {
	errs := []error{v.Problem("LaunchType", "DesiredCount", "TaskDefinition")}
	on, err := m.Fargate(v)
	errs = append(errs, err)
	service := cmp.Or(model.Tag(v.Resource, "service"), v.Name)
	var each capacity.Resources
	switch {
	case on != nil: // takes nothing of the instances
		errs = append(errs, e.addFargate(service, v, on))
	case v.LaunchType != "EC2":
		e.unpriced[v.LaunchType+" task"] += v.Tasks()
	case v.TaskDefinition != nil:
		errs = append(errs, v.TaskDefinition.ContainerProblem("Cpu", "Memory", "MemoryReservation"))
		each = v.TaskDefinition.Reserves()
	}
	e.addCalls(m, service, v, on)
	if v.TaskDefinition != nil {
		daemon := v.Scheduling == model.Daemon && on == nil && v.LaunchType == "EC2"
		e.tasks = append(e.tasks, tasks{service, v.Tasks(), each, daemon})
	}
	return errors.Join(errs...)
}

// without leaves prices out.
func without(keys []string, left ...string) []string {
	return slices.DeleteFunc(slices.Clone(keys), func(key string) bool { return slices.Contains(left, key) })
}

// files leaves out the prices that a file system does not have.
func (e *environment) files(v *model.FileSystem, keys []string) ([]string, error) {
	if v.Throughput != "elastic" {
		keys = without(keys, "fileReads", "fileWrites")
	}
	if v.Throughput == "provisioned" {
		e.unpriced["file system with provisioned throughput"]++
	}
	if v.OneZone {
		keys = without(keys, "fileStorage")
		e.unpriced["file system in one zone"]++
	}
	if !v.Backups {
		keys = without(keys, "fileBackups")
	}
	return keys, v.Problem("ThroughputMode", "BackupPolicy", "AvailabilityZoneName")
}

// readsSecrets says whether ECS reads secrets of Secrets Manager when a task starts. Parameters of the
// Parameter Store are free.
func readsSecrets(d *model.TaskDefinition) bool {
	made := slices.ContainsFunc(d.Containers, func(c model.Container) bool {
		return slices.ContainsFunc(c.Secrets, func(s model.Secret) bool { return slices.ContainsFunc(s.Parts, isSecret) })
	})
	// An ARN may have parts that are only known after the deployment.
	return made || strings.Contains(fmt.Sprint(d.Resource.Properties["ContainerDefinitions"]), ":secretsmanager:")
}

func isSecret(part any) bool {
	ref, ok := part.(assembly.Ref)
	return ok && ref.Resource.Type == model.SecretsManagerSecret
}
