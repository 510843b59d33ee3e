// Package cost estimates what the templates of an assembly cost in a month: at
// list prices, without traffic, and how much of it each service causes.
//
// The prices are in prices.json, with their date, region and sources.
package cost

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"cutover/internal/assembly"
	"cutover/internal/capacity"
	"cutover/internal/model"
)

//go:embed prices.json
var priceFile []byte

// pricesPath is where a price is added.
const pricesPath = "internal/analysis/cost/prices.json"

// prices is prices.json. All are US dollars.
var prices = func() (list struct {
	Date      string
	Region    string
	Hours     int
	Instances struct {
		Source string
		Prices map[string]float64 // of the types of package capacity
	}
	Volumes struct {
		Source string
		Prices map[string]float64
	}
	Fixed   map[string]fixed
	Traffic map[string]struct {
		Price       float64
		For, Source string
	}
}) {
	decoder := json.NewDecoder(bytes.NewReader(priceFile))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&list); err != nil {
		panic(fmt.Sprintf("%s: %v", pricesPath, err)) // a mistake in this repository
	}
	return list
}()

// InstanceMonth returns what an instance of a type costs in a month, without its
// volume, and whether the price is known.
func InstanceMonth(instanceType string) (month Cents, known bool) {
	hour, known := prices.Instances.Prices[instanceType]
	return amount(prices.Hours, hour), known
}

// fixed is the price of something that costs as long as it exists, by the hour or
// by the month. The first Free of an account cost nothing; an estimate takes it that
// there are no others.
type fixed struct {
	Hour, Month float64
	Free        int
	Source      string
}

// Cents is an amount of money, in hundredths of a US dollar. Every line is rounded
// to it, so that a table adds up.
type Cents int64

func (c Cents) String() string {
	sign := ""
	if c < 0 {
		sign, c = "-", -c
	}
	return fmt.Sprintf("%s%d.%02d", sign, c/100, c%100)
}

// MarshalJSON writes dollars.
func (c Cents) MarshalJSON() ([]byte, error) { return []byte(c.String()), nil }

// amount is a quantity at a price. It counts in millionths of a dollar: prices
// have up to four decimals, and half a cent must not be lost to a binary fraction.
func amount(quantity int, price float64) Cents {
	return Cents((int64(quantity)*int64(math.Round(price*1e6)) + 5000) / 10000)
}

// Estimate is what one environment costs in a month.
type Estimate struct {
	// Environment is what the tag "environment" of its resources says; empty for
	// those without one.
	Environment string `json:"environment"`
	// Lines are what is paid for, and add up to Total.
	Lines []Line `json:"lines"`
	// Services are who causes it, and add up to Total. The last one is [Shared].
	Services []Service `json:"services"`
	Total    Cents     `json:"total"`
	// Traffic are the prices of what only traffic tells the amount of.
	Traffic []string `json:"traffic,omitempty"`
	// Unpriced is what else there is, with its number: mostly types of resources of
	// which nothing is known here.
	Unpriced []string `json:"unpriced,omitempty"`
}

// Line is one kind of thing that is paid for.
type Line struct {
	// Name is what it is, without its number, as in "instance t3.small".
	Name string `json:"name"`
	// Item is what it is, with its number.
	Item string `json:"item"`
	// Price is how the amount comes about.
	Price  string `json:"price"`
	Amount Cents  `json:"amount"`
}

// Service is the part that one service causes: the resources that have its name
// in their tag "service", and its share of the instances and their volumes. The
// share is that of the CPU or of the memory that its tasks reserve, whichever is
// larger.
type Service struct {
	Name   string  `json:"name"`
	Tasks  int     `json:"tasks"`
	Share  float64 `json:"share"` // of the instances, from 0 to 1
	Amount Cents   `json:"amount"`
}

// Shared is the name of the [Service] for what no service causes by itself: the
// load balancer, the network, and the part of the instances that no task reserves.
const Shared = "shared"

// About says what an estimate holds for.
func About() string {
	date, err := time.Parse("2006-01", prices.Date)
	if err != nil {
		panic(fmt.Sprintf("%s: %v", pricesPath, err))
	}
	return fmt.Sprintf("a month of %d hours in %s at list prices of %s, without traffic", prices.Hours, prices.Region, date.Format("January 2006"))
}

// Read estimates the environments of an assembly, in the order of their names.
// Its error has a line for everything whose price is not known but belongs in the
// estimate, such as an instance type.
func Read(a *assembly.Assembly) ([]Estimate, error) {
	r := assembly.NewReader(a)
	environments := map[string]*environment{}
	scaled := map[string]*model.ScalableTarget{}
	for _, target := range model.Read(a).ScalableTargets {
		if target.Service != nil {
			scaled[target.Key()] = target
		}
	}
	for _, stack := range a.Stacks {
		for _, resource := range stack.Resources {
			exists, err := resource.Exists(a)
			if err != nil {
				return nil, err
			}
			if !exists {
				continue
			}
			properties := r.Properties(resource)
			name := tag(resource, "environment")
			e := environments[name]
			if e == nil {
				e = &environment{reader: r, name: name, scaled: scaled, unpriced: map[string]int{}, traffic: map[string]bool{}}
				environments[name] = e
			}
			e.add(resource, properties)
		}
	}
	// Resources that take no tags are part of an environment that is there.
	if untagged := environments[""]; untagged != nil && len(environments) > 1 {
		delete(environments, "")
		if len(environments) == 1 {
			for _, e := range environments {
				e.merge(untagged)
			}
		} else {
			environments[""] = untagged
		}
	}
	var estimates []Estimate
	for _, name := range slices.Sorted(maps.Keys(environments)) {
		estimates = append(estimates, environments[name].estimate())
	}
	return estimates, r.Err()
}

// tag returns a tag's value, where tags are a list. It is wholly known or empty.
func tag(resource *assembly.Resource, key string) string {
	tags, _ := resource.Properties["Tags"].([]any)
	for _, t := range tags {
		if t, ok := t.(map[string]any); ok && t["Key"] == key {
			value, _ := t["Value"].(string)
			return value
		}
	}
	return ""
}

// environment is what is found of an environment.
type environment struct {
	reader   *assembly.Reader
	name     string
	scaled   map[string]*model.ScalableTarget // of the whole assembly
	groups   []group
	tasks    []tasks
	things   []thing
	unpriced map[string]int
	traffic  map[string]bool
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
	name     string // of the instance type
	size     capacity.Instance
	least    int
	most     int
	volumeGB map[string]int // of one instance, by type
}

// tasks are those of a service.
type tasks struct {
	service   string
	count     int
	cpu       int // units of one task
	memoryMiB int
}

// thing costs as long as it exists.
type thing struct {
	name, plural string
	price        fixed
	count        int
	service      string // empty: none
	what         string // of several kinds that are one line: the kind
}

// free are the types that cost nothing by themselves, or whose price is that of
// the traffic or of what they consist of.
var free = []string{
	"AWS::ApplicationAutoScaling::ScalableTarget", "AWS::AutoScaling::LaunchConfiguration", "AWS::AutoScaling::LifecycleHook", "AWS::CDK::Metadata",
	"AWS::EC2::FlowLog", "AWS::EC2::InternetGateway", "AWS::EC2::LaunchTemplate", "AWS::EC2::Route", "AWS::EC2::RouteTable",
	"AWS::EC2::SecurityGroup", "AWS::EC2::SecurityGroupEgress", "AWS::EC2::SecurityGroupIngress", "AWS::EC2::Subnet",
	"AWS::EC2::SubnetRouteTableAssociation", "AWS::EC2::VPC", "AWS::EC2::VPCGatewayAttachment",
	"AWS::ECS::CapacityProvider", "AWS::ECS::ClusterCapacityProviderAssociations", "AWS::ECS::TaskDefinition",
	"AWS::ElasticLoadBalancingV2::Listener", "AWS::ElasticLoadBalancingV2::ListenerRule", "AWS::ElasticLoadBalancingV2::TargetGroup",
	"AWS::IAM::InstanceProfile", "AWS::IAM::ManagedPolicy", "AWS::IAM::Policy", "AWS::IAM::Role",
	"AWS::KMS::Alias", "AWS::Lambda::Function", "AWS::Lambda::Permission", "AWS::Logs::QueryDefinition", "AWS::S3::BucketPolicy",
	"AWS::SNS::Topic", "AWS::SNS::TopicPolicy",
	"AWS::SSM::Parameter", // in the standard tier
	"Custom::VpcRestrictDefaultSG",
}

// add takes a resource into account.
func (e *environment) add(resource *assembly.Resource, p assembly.Value) {
	_, costsByTraffic := prices.Traffic[resource.Type]
	if costsByTraffic {
		e.traffic[resource.Type] = true
	}
	one := func(name, plural, price string, count int, what string) {
		e.things = append(e.things, thing{name, plural, prices.Fixed[price], count, tag(resource, "service"), what})
	}
	address := func(count int, of string) {
		one("public IPv4 address", "public IPv4 addresses", "publicIPv4", count, of)
	}
	switch resource.Type {
	case "AWS::AutoScaling::AutoScalingGroup":
		e.addGroup(p)
	case "AWS::ECS::Service":
		e.addTasks(resource, p)
	case "AWS::EC2::NatGateway":
		one("NAT gateway", "NAT gateways", "natGateway", 1, "")
	case "AWS::EC2::EIP":
		address(1, "elastic")
	case "AWS::EC2::VPCEndpoint":
		if p.Field("VpcEndpointType").Text("Gateway") != "Gateway" {
			one("endpoint in a zone", "endpoints in a zone", "endpoint", max(1, len(p.Field("SubnetIds").List())), "")
		}
	case "AWS::ElasticLoadBalancingV2::LoadBalancer":
		if kind := p.Field("Type"); kind.Text("application") != "application" {
			kind.Refuse("the price of this type of load balancer is not in %s", pricesPath)
		}
		one("load balancer", "load balancers", "loadBalancer", 1, "")
		if p.Field("Scheme").Text("internet-facing") == "internet-facing" { // an address in each zone
			address(len(p.Field("Subnets").List())+len(p.Field("SubnetMappings").List()), "load balancer")
		}
	case "AWS::CloudWatch::Alarm": // which is paid for by the metrics that it looks at
		metrics := 0
		for _, metric := range p.Field("Metrics").List() {
			if metric.Field("MetricStat").Present() {
				metrics++
			}
		}
		one("alarm on a metric", "alarms on a metric", "alarm", max(1, metrics), "")
	case "AWS::CloudWatch::Dashboard":
		one("dashboard", "dashboards", "dashboard", 1, "")
	case "AWS::ApplicationAutoScaling::ScalingPolicy":
		// Target tracking has two alarms, one to scale out and one to scale in
		// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-autoscaling-targettracking.html).
		if p.Field("PolicyType").Text("") == "TargetTrackingScaling" {
			one("alarm on a metric", "alarms on a metric", "alarm", 2, "")
			if id, ok := p.Field("ScalingTargetId").Raw().(map[string]any); ok {
				if target, ok := e.scaled[resource.Stack.Name+"/"+fmt.Sprint(id["Ref"])]; ok {
					e.things[len(e.things)-1].service = tag(target.Service.Resource, "service")
				}
			}
		}
	case "AWS::KMS::Key":
		one("encryption key", "encryption keys", "key", 1, "")
	default:
		if !costsByTraffic && !slices.Contains(free, resource.Type) {
			e.unpriced[resource.Type]++
		}
	}
}

func (e *environment) addGroup(p assembly.Value) {
	from := p.Field("LaunchTemplate")
	mixed := p.Field("MixedInstancesPolicy").Field("LaunchTemplate")
	if mixed.Present() {
		from = mixed.Field("LaunchTemplateSpecification")
	}
	var data assembly.Value
	if template := from.Field("LaunchTemplateId").Resource("AWS::EC2::LaunchTemplate"); template != nil {
		data = e.reader.Properties(template).Field("LaunchTemplateData")
	} else if configuration := p.Field("LaunchConfigurationName").Resource("AWS::AutoScaling::LaunchConfiguration"); configuration != nil {
		data = e.reader.Properties(configuration)
	} else {
		from.Refuse("the instances' type and volumes are not known without a launch template of the assembly")
		return
	}
	kind := data.Field("InstanceType")
	if overrides := mixed.Field("Overrides").List(); len(overrides) > 0 { // the first one is preferred
		kind = overrides[0].Field("InstanceType")
	}
	g := group{name: kind.Text(""), volumeGB: map[string]int{}}
	var known bool
	if g.size, known = capacity.InstanceOf(g.name); !known {
		kind.Refuse("the price of the instance type %q is not known: add it to %s", g.name, pricesPath)
	}
	g.least = max(p.Field("MinSize").Int(0, 0, math.MaxInt32), p.Field("DesiredCapacity").Int(0, 0, math.MaxInt32))
	g.most = p.Field("MaxSize").Int(g.least, 0, math.MaxInt32)
	for _, device := range data.Field("BlockDeviceMappings").List() {
		disk := device.Field("Ebs")
		if !disk.Present() {
			continue
		}
		volume := disk.Field("VolumeType").Text("gp2") // https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-ec2-launchtemplate-ebs.html
		if _, known := prices.Volumes.Prices[volume]; !known {
			disk.Refuse("the price of the volume type %q is not known: add it to %s", volume, pricesPath)
		}
		for _, extra := range []string{"Iops", "Throughput"} {
			if disk.Field(extra).Present() {
				disk.Field(extra).Refuse("its price is not in %s", pricesPath)
			}
		}
		g.volumeGB[volume] += disk.Field("VolumeSize").Int(0, 1, math.MaxInt32)
	}
	if len(g.volumeGB) == 0 {
		e.unpriced["group of instances with the volume that their image brings"]++
	}
	e.groups = append(e.groups, g)
}

func (e *environment) addTasks(resource *assembly.Resource, p assembly.Value) {
	if launch := p.Field("LaunchType"); launch.Text("EC2") != "EC2" {
		launch.Refuse("the price of these tasks is not in %s", pricesPath)
	}
	least := 1 // without a count; one that scales has no traffic here
	for _, target := range e.scaled {
		if target.Service.Resource == resource {
			least = target.Min
		}
	}
	t := tasks{service: tag(resource, "service"), count: p.Field("DesiredCount").Int(least, 0, math.MaxInt32)}
	if t.service == "" {
		t.service = p.Field("ServiceName").Text(resource.LogicalID)
	}
	definition := p.Field("TaskDefinition").Resource("AWS::ECS::TaskDefinition")
	if definition == nil {
		return
	}
	for _, container := range e.reader.Properties(definition).Field("ContainerDefinitions").List() {
		t.cpu += container.Field("Cpu").Int(0, 0, math.MaxInt32)
		// The soft limit is what counts for placement, if there is one
		// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html).
		t.memoryMiB += container.Field("MemoryReservation").Int(container.Field("Memory").Int(0, 0, math.MaxInt32), 0, math.MaxInt32)
	}
	e.tasks = append(e.tasks, t)
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
	sizes, cpu, memory := map[string]int{}, 0, 0
	for _, g := range e.groups {
		instances[g.name] += g.least
		cpu += g.least * g.size.VCPU * 1024
		memory += g.least * g.size.MemoryMiB
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
		if cpu > 0 && memory > 0 {
			share := max(float64(t.count*t.cpu)/float64(cpu), float64(t.count*t.memoryMiB)/float64(memory))
			s.Share += share
			all += share
		}
	}
	for _, s := range caused {
		s.Share /= max(1, all) // there is no more to share than all of it
		s.Amount = Cents(math.Round(s.Share * float64(pool)))
	}

	var names []string
	byName := map[string][]thing{}
	for _, t := range e.things {
		if byName[t.name] == nil {
			names = append(names, t.name)
		}
		byName[t.name] = append(byName[t.name], t)
	}
	order := []string{"NAT gateway", "load balancer", "public IPv4 address"}
	slices.SortStableFunc(names, func(a, b string) int { // these first, as most of it
		rank := func(name string) int {
			if i := slices.Index(order, name); i >= 0 {
				return i
			}
			return len(order)
		}
		if d := rank(a) - rank(b); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	for _, name := range names {
		things, n, kinds := byName[name], 0, map[string]int{}
		price, unit, times := things[0].price.Hour, " an hour", prices.Hours
		if price == 0 {
			price, unit, times = things[0].price.Month, "", 1
		}
		for _, t := range things {
			n += t.count
			if t.what != "" {
				kinds[t.what] += t.count
			}
			if t.service != "" && t.price.Free == 0 {
				service(t.service).Amount += amount(t.count*times, price)
			}
		}
		item := count(n, things[0].name, things[0].plural)
		if len(kinds) > 0 {
			var parts []string
			for _, kind := range slices.Backward(slices.Sorted(maps.Keys(kinds))) {
				parts = append(parts, fmt.Sprintf("%s %d", kind, kinds[kind]))
			}
			item += " (" + strings.Join(parts, ", ") + ")"
		}
		if free := things[0].price.Free; free > 0 {
			unit += fmt.Sprintf(", and nothing for the first %d of an account", free)
			n = max(0, n-free)
		}
		line(name, item, each(n, price, unit), amount(n*times, price))
	}

	rest := Service{Name: Shared, Share: 1, Amount: result.Total}
	for _, name := range slices.Sorted(maps.Keys(caused)) {
		s := *caused[name]
		rest.Share -= s.Share
		rest.Amount -= s.Amount
		result.Services = append(result.Services, s)
	}
	result.Services = append(result.Services, rest)

	for _, kind := range slices.Sorted(maps.Keys(e.traffic)) {
		t := prices.Traffic[kind]
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
		all.CPU += t.count * t.cpu
		all.MemoryMiB += t.count * t.memoryMiB
	}
	g.least = max(g.least, min(g.most, all.Instances(g.size.Registers())))
}

func count(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}

// each writes how an amount comes about.
func each(n int, price float64, unit string) string {
	if n == 1 {
		return decimal(price) + unit
	}
	return fmt.Sprintf("%d × %s%s", n, decimal(price), unit)
}

// decimal writes a price with the two decimals or more that it has.
func decimal(price float64) string {
	text := strconv.FormatFloat(price, 'f', -1, 64)
	if whole, fraction, _ := strings.Cut(text, "."); len(fraction) < 2 {
		return fmt.Sprintf("%s.%s", whole, (fraction + "00")[:2])
	}
	return text
}
