package config

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"cutover/internal/words"
	"cutover/migration"
)

// Compute is what a service runs on: [EC2], [Fargate] or [Lambda].
type Compute interface {
	// kind is a kind of the migration package.
	kind() string
}

// EC2 runs tasks on the instances of the cluster.
type EC2 struct {
	// NetworkMode is "bridge" or "awsvpc". In bridge mode the containers have ports of their instance.
	// With awsvpc each task has a network interface and a security group of its own, as on [Fargate]:
	// an instance has room for few. To change the mode of a deployed service, move it to Fargate and
	// back. Default: bridge.
	NetworkMode string
}

// Fargate runs tasks on AWS Fargate, each with a network interface of its own (awsvpc), in the private
// subnets. Only the load balancer reaches them.
type Fargate struct {
	// CPU is the CPU units of a task, and MemoryMiB its memory: a combination that AWS allows.
	// Default: the smallest one in which the containers fit with their limits.
	// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-tasks-services.html#fargate-tasks-size
	CPU, MemoryMiB int
	// SpotPercent is the share of the tasks that run on Fargate Spot, in percent. AWS may stop a Spot
	// task with two minutes' notice. Default: 0.
	SpotPercent int
	// EphemeralStorageGiB is the storage of a task, 21 to 200 GiB. Default: 20 GiB, which cost
	// nothing.
	EphemeralStorageGiB int
}

// Lambda runs the service as a function of AWS Lambda. The load balancer calls the function for each request.
// The function is the same program as the tasks: it needs no sidecar, volume or port. Its records are in
// [DynamoDB] or in the program's file. A [GoPackage] is a zip file, any other image a container image.
//
// What is about tasks does not apply to a function: Tasks, MaxTasks and what scales them, CPU and memory of the
// service, User, HealthCheck, and the delays of a stop. A service on Lambda alone keeps these fields for the way back.
type Lambda struct {
	// MemoryMiB is the memory of an execution environment, 128 to 10240. AWS gives CPU in proportion: a
	// vCPU at 1769 MiB. Default: 256.
	// https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
	MemoryMiB int
	// TimeoutSeconds is how long an answer may take, 1 to 60: the load balancer waits no longer. Default: 10.
	TimeoutSeconds int
	// Concurrency is the most requests at the same time. Each has an execution environment of its own, and
	// further requests are refused. It is reserved: other functions of the account cannot take it, and it is
	// a fuse for what the function may cost. Together, the functions of an account and region may reserve 100 less
	// than its quota, which is 1,000 at first, and less in a new account. Default: 50.
	// https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html
	Concurrency int
	// RuntimeClient says that an image other than a [GoPackage] brings a client of Lambda's Runtime API, which the
	// program runs if there is the variable AWS_LAMBDA_RUNTIME_API, and understands the load balancer's events.
	// An image of a [Registry] must be in Amazon ECR, in the region of the deployment, and its repository must let
	// Lambda pull it. Default: the image brings none, and is refused.
	// https://docs.aws.amazon.com/lambda/latest/dg/images-create.html#runtimes-images-other
	RuntimeClient bool
}

// mode is the network mode.
func (c EC2) mode() string { return cmp.Or(c.NetworkMode, bridge) }

func (EC2) kind() string     { return migration.EC2 }
func (Fargate) kind() string { return migration.Fargate }
func (Lambda) kind() string  { return migration.Lambda }

// Kind returns the kind of a compute, of the migration package. Nil is EC2.
func Kind(c Compute) string { return cmp.Or(kindOf(c), migration.EC2) }

// kindOf is empty for a compute that the list does not name.
func kindOf(c Compute) string {
	switch c.(type) {
	case EC2, Fargate, Lambda:
		return c.kind()
	}
	return ""
}

// Pair is an ECS service or a function, and its target group, on one compute. A service has one pair, or the
// old one and the new one while it moves.
type Pair struct {
	// Name is the name of the ECS service or function, and of the target group.
	Name    string
	Compute Compute
}

// Pairs lists the pairs of the service, the old one first.
func (s Service) Pairs() []Pair {
	pairs := []Pair{{migration.OnCompute(s.Name, Kind(s.Compute)), s.Compute}}
	if s.Next != nil {
		pairs = append(pairs, Pair{migration.OnCompute(s.Name, Kind(s.Next)), s.Next})
	}
	return pairs
}

// AwsVPC says whether tasks of the pair have a network interface and a security group of their own: on
// Fargate, and on EC2 in network mode awsvpc.
func (p Pair) AwsVPC() bool {
	ec2, _ := p.Compute.(EC2)
	return Kind(p.Compute) == migration.Fargate || ec2.mode() == awsvpc
}

const bridge, awsvpc = "bridge", "awsvpc"

// inBridge says whether tasks of the pair are in bridge mode. A function is in no VPC.
func (p Pair) inBridge() bool { return Kind(p.Compute) == migration.EC2 && !p.AwsVPC() }

// InBridge says whether a pair of the service is in bridge mode.
func (s Service) InBridge() bool { return slices.ContainsFunc(s.Pairs(), Pair.inBridge) }

// AwsVPC says whether a pair of any service has tasks with network interfaces of their own on EC2.
func (d Deployment) AwsVPC() bool {
	return slices.ContainsFunc(d.All(), func(s Service) bool {
		return slices.ContainsFunc(s.Pairs(), func(p Pair) bool { return Kind(p.Compute) == migration.EC2 && p.AwsVPC() })
	})
}

// On says whether a service of the deployment runs on a kind of compute, or moves there.
func (d Deployment) On(kind string) bool {
	return slices.ContainsFunc(d.All(), func(s Service) bool { return s.on(kind) })
}

func (s Service) on(kind string) bool {
	return slices.ContainsFunc(s.Pairs(), func(p Pair) bool { return Kind(p.Compute) == kind })
}

// fargateSizes are the sizes that a Fargate task may have: by its CPU units, the memory from, to and in
// steps of, in MiB. The smallest size has a list of its own.
var fargateSizes = []struct{ cpu, from, to, step int }{
	{256, 512, 2048, 0}, // 512, 1024 and 2048
	{512, 1024, 4096, 1024},
	{1024, 2048, 8192, 1024},
	{2048, 4096, 16384, 1024},
	{4096, 8192, 30720, 1024},
	{8192, 16384, 61440, 4096},
	{16384, 32768, 122880, 8192},
}

// memories are the memories that go with CPU units, the least first; nil if there are none.
func memories(cpu int) (all []int) {
	for _, size := range fargateSizes {
		switch {
		case size.cpu != cpu:
		case size.step == 0:
			all = []int{512, 1024, 2048}
		default:
			for m := size.from; m <= size.to; m += size.step {
				all = append(all, m)
			}
		}
	}
	return all
}

// Needs is what the containers of a task and its proxy may use: what they reserve of the CPU, and their
// limits of memory.
func (d Deployment) Needs(s Service) (cpu, memoryMiB int) {
	for _, c := range s.Containers() {
		cpu += c.CPU
		memoryMiB += c.MemoryLimitMiB
	}
	proxy, _ := d.Proxy(s)
	return cpu + proxy.ProxyCPU, memoryMiB + proxy.ProxyMemoryMiB
}

// sized fills in the size of all tasks on Fargate, and of all functions.
func (d Deployment) sized() Deployment {
	all := d
	all.Services = slices.Clone(d.Services)
	for _, s := range append([]*Service{&all.Monolith}, pointers(all.Services)...) {
		s.Compute, s.Next = d.size(*s, s.Compute), d.size(*s, s.Next)
	}
	return all
}

func pointers(services []Service) (all []*Service) {
	for i := range services {
		all = append(all, &services[i])
	}
	return all
}

func (d Deployment) size(s Service, c Compute) Compute {
	if f, ok := c.(Lambda); ok {
		f.MemoryMiB, f.TimeoutSeconds, f.Concurrency = cmp.Or(f.MemoryMiB, 256), cmp.Or(f.TimeoutSeconds, 10), cmp.Or(f.Concurrency, 50)
		return f
	}
	f, ok := c.(Fargate)
	if !ok {
		return c
	}
	f.EphemeralStorageGiB = cmp.Or(f.EphemeralStorageGiB, FreeStorageGiB)
	cpu, memory := d.Needs(s)
	for _, size := range fargateSizes {
		if f.CPU != 0 && f.CPU != size.cpu || size.cpu < cpu {
			continue
		}
		for _, m := range memories(size.cpu) {
			if m >= memory && (f.MemoryMiB == 0 || f.MemoryMiB == m) {
				f.CPU, f.MemoryMiB = size.cpu, m
				return f
			}
		}
	}
	return f
}

// FreeStorageGiB is the storage that every task on Fargate has, and that costs nothing.
const FreeStorageGiB = 20

// checkCompute refuses what a compute cannot have.
func checkCompute(d Deployment, s Service, refuse func(string, ...any)) {
	was, _ := s.Compute.(EC2)
	is, onEC2 := s.Next.(EC2)
	switch {
	case s.Next == nil:
	case s.Compute == nil:
		refuse("Next: name the compute that the service moves from, too: Compute: config.EC2{}")
	case onEC2 && Kind(s.Compute) == migration.EC2 && is.mode() != was.mode():
		refuse("Next: the service is on ec2 already: to change NetworkMode, move it to Fargate and then back")
	case Kind(s.Next) == Kind(s.Compute):
		refuse("Next: the service is on %s already: choose another compute, or remove Next", Kind(s.Next))
	}
	for _, one := range []struct {
		field string
		Compute
	}{{"Compute", s.Compute}, {"Next", s.Next}} {
		at := func(format string, args ...any) { refuse("%s: %s", one.field, fmt.Sprintf(format, args...)) }
		switch of := one.Compute.(type) {
		case nil:
		case EC2:
			if !slices.Contains([]string{bridge, awsvpc}, of.mode()) {
				at("EC2.NetworkMode %q: choose bridge or awsvpc", of.NetworkMode)
			}
		case Fargate:
			checkFargate(d, s, of, at)
		case Lambda:
			checkLambda(d, s, of, at)
		default:
			at("write EC2{}, Fargate{} or Lambda{}, which are values and no pointers")
		}
	}
	if slices.ContainsFunc(s.Pairs(), Pair.AwsVPC) {
		checkSharedPorts(s, refuse)
	}
}

// checkSharedPorts refuses a port of two containers of a task with a network interface: they have one
// address.
func checkSharedPorts(s Service, refuse func(string, ...any)) {
	taken := map[string]string{}
	for _, c := range s.Containers() {
		var keys []string
		for _, port := range c.Ports {
			keys = append(keys, fmt.Sprint("TCP port ", port))
		}
		for _, port := range c.UDPPorts {
			keys = append(keys, fmt.Sprint("UDP port ", port))
		}
		for _, key := range keys {
			if other, is := taken[key]; is && other != c.Name { // or it is listed twice
				refuse("sidecar %q: %s is that of container %q: on Fargate and with NetworkMode awsvpc, the containers of a task have one address: choose another port", c.Name, key, other)
			}
			taken[key] = c.Name
		}
	}
}

func checkFargate(d Deployment, s Service, f Fargate, refuse func(string, ...any)) {
	cpu, memory := d.Needs(s)
	proxy := ""
	if _, has := d.Proxy(s); has {
		proxy = " and the proxy of Service Connect"
	}
	var cpus []string
	for _, size := range fargateSizes {
		cpus = append(cpus, fmt.Sprint(size.cpu))
	}
	allowed := memories(f.CPU)
	switch {
	case f.CPU != 0 && allowed == nil:
		refuse("Fargate.CPU %d: choose one of %s", f.CPU, strings.Join(cpus, ", "))
	case f.CPU == 0 || f.CPU < cpu || f.MemoryMiB == 0 || f.MemoryMiB < memory:
		refuse("no size of Fargate with CPU %d and MemoryMiB %d holds the containers%s, which reserve %d CPU units and may use %d MiB: raise the size, or lower what the containers have (0 is the smallest size that fits)", f.CPU, f.MemoryMiB, proxy, cpu, memory)
	case !slices.Contains(allowed, f.MemoryMiB):
		refuse("Fargate.MemoryMiB %d: with %d CPU units choose from %d to %d, as AWS lists them", f.MemoryMiB, f.CPU, allowed[0], allowed[len(allowed)-1])
	}
	if f.SpotPercent < 0 || f.SpotPercent > 100 {
		refuse("Fargate.SpotPercent %d: it must be from 0 to 100", f.SpotPercent)
	}
	if f.EphemeralStorageGiB != FreeStorageGiB && (f.EphemeralStorageGiB <= FreeStorageGiB || f.EphemeralStorageGiB > 200) {
		refuse("Fargate.EphemeralStorageGiB %d: it must be from 21 to 200, or left out", f.EphemeralStorageGiB)
	}
	for _, c := range s.Containers() {
		for _, limit := range c.Ulimits {
			// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-tasks-services.html#fargate-resource-limits
			if limit.Name != "nofile" {
				refuse("container %q: Ulimits %s: Fargate takes nofile only", c.Name, limit.Name)
			}
		}
	}
}

// compute reads where services are on their way to another compute. It takes the services of the
// deployment only, or any if there is no deployment.
func (r *reader) compute(d *Deployment) map[string]migration.Place {
	given := r.pairs("compute", "SERVICE=PLACE", "users=10%", `{"users": "10%"}`)
	var moving []string
	if d != nil {
		moving = d.Migration().Moving()
	}
	var places map[string]migration.Place
	for _, name := range slices.Sorted(maps.Keys(given)) {
		text, isText := given[name].(string)
		place, err := migration.ParseComputePlace(text)
		switch {
		case d != nil && len(moving) == 0:
			r.refuse("compute: %s=%v: no service moves to another compute: set Next of the service, or remove the setting", name, given[name])
		case d != nil && !slices.Contains(moving, name):
			r.refuse("compute: %q does not move to another compute: %s", name, words.Choice(moving))
		case !isText:
			r.refuse("compute: %s: %s is not a place: choose one of parallel, a share as in \"10%%\", switched or retired", name, show(given[name]))
		case err != nil:
			r.refuse("compute: %s: %w", name, err)
		default:
			if places == nil {
				places = map[string]migration.Place{}
			}
			places[name] = place
		}
	}
	return places
}

// checkComputes refuses positions between computes that cannot be deployed.
func checkComputes(d Deployment, plan migration.Plan, refuse func(string, ...any)) {
	locks := map[string]int{}
	most := map[string]int{}
	for _, service := range d.All() {
		if service.Compute != nil {
			locks[service.LoadBalancer]++
			most[service.LoadBalancer] += maxLambdas
			if service.on(migration.Lambda) {
				most[service.LoadBalancer] += maxComputes - maxLambdas
			}
		}
	}
	for _, balancer := range slices.Sorted(maps.Keys(locks)) {
		if n := locks[balancer]; most[balancer] > maxComputes*maxLambdas {
			refuse("%s: %d of its services name their Compute: the stack that refuses a compute out of turn has room for %d, or for %d on Lambda: put some services behind another load balancer, or remove Compute where it is EC2{}", named(balancer), n, maxComputes, maxLambdas)
		}
	}
	for _, b := range plan.Balancers {
		for _, rule := range b.Rules {
			for _, target := range rule.Targets {
				if target.Weight > maxWeight {
					refuse("compute: a share of %q cannot be a weight beside the share of traffic that its rule has: finish one of the two first, or choose shares of tens", rule.Service)
					return
				}
			}
		}
	}
}

const (
	// maxComputes is how many services fit in a stack of the interlock: a service has 7 parameters in
	// it, and CloudFormation takes 500 resources.
	maxComputes = 71
	// maxLambdas is how many services on Lambda do: such a service has 17 parameters.
	maxLambdas = 29
	// maxWeight is the highest weight of a target group
	// (https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetGroupTuple.html).
	maxWeight = 999
)
