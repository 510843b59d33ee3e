package existing

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// Account is what AWS says of a load balancer and of what is around it. Lists that are about the load
// balancer have only what belongs to it.
type Account struct {
	// LoadBalancers and TargetGroups are all of the region.
	LoadBalancers []LoadBalancer
	TargetGroups  []TargetGroup
	// Listeners are those of the load balancer, and Rules those of its listeners, with the default rules.
	Listeners []Listener
	Rules     []Rule
	// Attributes are those of the load balancer.
	Attributes []Attribute
	// GroupAttributes are those of target groups that listeners and rules name, by ARN.
	GroupAttributes map[string][]Attribute
	// Health is that of the monolith's targets.
	Health []TargetHealth
	// Clusters are those of ECS. Services are those of the clusters up to the one of the monolith.
	Clusters []Cluster
	Services []Service
	// Subnets and RouteTables are those of the load balancer's VPC, SecurityGroups those of the load balancer.
	Subnets        []Subnet
	RouteTables    []RouteTable
	SecurityGroups []SecurityGroup
	// Missing are the files of commands that nobody has saved.
	Missing []string
}

// LoadBalancer is one of `aws elbv2 describe-load-balancers`.
type LoadBalancer struct {
	ARN               string `json:"LoadBalancerArn"`
	Name              string `json:"LoadBalancerName"`
	Scheme            string
	VPCID             string `json:"VpcId"`
	State             struct{ Code, Reason string }
	Type              string
	AvailabilityZones []struct {
		ZoneName string
		SubnetID string `json:"SubnetId"`
	}
	SecurityGroups []string
}

// zones are the Availability Zones in which the load balancer has addresses.
func (lb LoadBalancer) zones() (zones []string) {
	for _, zone := range lb.AvailabilityZones {
		zones = append(zones, zone.ZoneName)
	}
	return zones
}

// Listener is one of `aws elbv2 describe-listeners`.
type Listener struct {
	ARN             string `json:"ListenerArn"`
	LoadBalancerARN string `json:"LoadBalancerArn"`
	Port            int
	Protocol        string
	SSLPolicy       string `json:"SslPolicy"`
	Certificates    []struct {
		ARN string `json:"CertificateArn"`
	}
	DefaultActions       []Action
	MutualAuthentication struct{ Mode string }
}

// String is the protocol and the port: "HTTP:80".
func (l Listener) String() string { return fmt.Sprintf("%s:%d", l.Protocol, l.Port) }

// Rule is one of `aws elbv2 describe-rules`.
type Rule struct {
	ARN string `json:"RuleArn"`
	// Priority is a number, or "default".
	Priority   string
	Conditions []Condition
	Actions    []Action
	// Transforms change the request before it is forwarded.
	Transforms []map[string]any
	IsDefault  bool
}

// listener is the ARN of the rule's listener.
func (r Rule) listener() string {
	arn := strings.Replace(r.ARN, ":listener-rule/", ":listener/", 1)
	return arn[:max(0, strings.LastIndex(arn, "/"))]
}

// TargetGroup is one of `aws elbv2 describe-target-groups`.
type TargetGroup struct {
	ARN                        string `json:"TargetGroupArn"`
	Name                       string `json:"TargetGroupName"`
	Protocol                   string
	ProtocolVersion            string
	Port                       int
	VPCID                      string `json:"VpcId"`
	TargetType                 string
	HealthCheckEnabled         *bool
	HealthCheckProtocol        string
	HealthCheckPort            string
	HealthCheckPath            string
	HealthCheckIntervalSeconds int
	HealthCheckTimeoutSeconds  int
	HealthyThresholdCount      int
	UnhealthyThresholdCount    int
	Matcher                    map[string]string
	LoadBalancerARNs           []string `json:"LoadBalancerArns"`
}

// Attribute is one of `aws elbv2 describe-load-balancer-attributes` or `describe-target-group-attributes`.
type Attribute struct{ Key, Value string }

// TargetHealth is one of `aws elbv2 describe-target-health`.
type TargetHealth struct{ TargetHealth struct{ State string } }

// Cluster is one of `aws ecs describe-clusters`.
type Cluster struct {
	ARN               string                              `json:"clusterArn"`
	Name              string                              `json:"clusterName"`
	Status            string                              `json:"status"`
	Instances         int                                 `json:"registeredContainerInstancesCount"`
	CapacityProviders []string                            `json:"capacityProviders"`
	DefaultStrategy   []struct{ CapacityProvider string } `json:"defaultCapacityProviderStrategy"`
}

// Service is one of `aws ecs describe-services`.
type Service struct {
	Name          string `json:"serviceName"`
	ClusterARN    string `json:"clusterArn"`
	Status        string `json:"status"`
	LoadBalancers []struct {
		TargetGroupARN string `json:"targetGroupArn"`
	} `json:"loadBalancers"`
	Strategy []struct{ CapacityProvider string } `json:"capacityProviderStrategy"`
	Network  struct {
		VPC struct {
			Subnets        []string `json:"subnets"`
			SecurityGroups []string `json:"securityGroups"`
		} `json:"awsvpcConfiguration"`
	} `json:"networkConfiguration"`
}

// behind says whether the service's tasks are the targets of a group.
func (s Service) behind(group string) bool {
	for _, lb := range s.LoadBalancers {
		if lb.TargetGroupARN == group {
			return true
		}
	}
	return false
}

// Subnet is one of `aws ec2 describe-subnets`.
type Subnet struct {
	ID    string `json:"SubnetId"`
	VPCID string `json:"VpcId"`
	Zone  string `json:"AvailabilityZone"`
	CIDR  string `json:"CidrBlock"`
}

func (s Subnet) id() string { return s.ID }

// RouteTable is one of `aws ec2 describe-route-tables`.
type RouteTable struct {
	VPCID        string `json:"VpcId"`
	Associations []struct {
		Main     bool
		SubnetID string `json:"SubnetId"`
	}
	Routes []Route
}

// Route is a route of a [RouteTable]. One of its ways is set.
type Route struct {
	Destination string `json:"DestinationCidrBlock"`
	GatewayID   string `json:"GatewayId"`
	State       string
}

// SecurityGroup is one of `aws ec2 describe-security-groups`.
type SecurityGroup struct {
	ID     string       `json:"GroupId"`
	Egress []Permission `json:"IpPermissionsEgress"`
}

// Permission is a rule of a security group.
type Permission struct {
	// Protocol is "-1" for all.
	Protocol string `json:"IpProtocol"`
	FromPort int
	ToPort   int
	Ranges   []struct {
		CIDR string `json:"CidrIp"`
	} `json:"IpRanges"`
	Groups []struct {
		ID string `json:"GroupId"`
	} `json:"UserIdGroupPairs"`
}

// Command is a command of the AWS CLI that prints JSON, and the file that keeps what it prints.
type Command struct {
	Args []string
	// File is the name of the file, without ".json".
	File string
}

func command(args ...string) Command { return Command{args, args[1]} }

// String is the command as one types it.
func (c Command) String() string { return "aws " + strings.Join(c.Args, " ") }

// Source says what a command prints. If nobody has saved it, the error is [fs.ErrNotExist].
type Source interface {
	Describe(ctx context.Context, c Command) ([]byte, error)
}

// Read asks a source for what it takes to look at what was chosen.
func Read(ctx context.Context, source Source, choice Choice) (*Account, error) {
	a := &Account{GroupAttributes: map[string][]Attribute{}}
	r := &reader{ctx: ctx, source: source, account: a}
	list(r, need, &a.LoadBalancers, "LoadBalancers", command("elbv2", "describe-load-balancers"))
	lb, _ := a.loadBalancer(choice)
	if r.err != nil || lb == nil || lb.Type != application {
		return a, r.err // there is no more to look at
	}
	list(r, need, &a.Listeners, "Listeners", command("elbv2", "describe-listeners", "--load-balancer-arn", lb.ARN))
	a.Listeners = slices.DeleteFunc(a.Listeners, func(l Listener) bool { return l.LoadBalancerARN != lb.ARN })
	for _, l := range a.Listeners {
		var rules []Rule
		c := command("elbv2", "describe-rules", "--listener-arn", l.ARN)
		list(r, need, &rules, "Rules", c)
		rules = slices.DeleteFunc(rules, func(rule Rule) bool { return rule.listener() != l.ARN })
		if r.err == nil && len(rules) == 0 { // each listener has a default rule
			r.err = fmt.Errorf("%s.json has no rule of %s, not even the default one: save it again with `%s --output json`", c.File, l, c)
		}
		a.Rules = append(a.Rules, rules...)
	}
	list(r, need, &a.TargetGroups, "TargetGroups", command("elbv2", "describe-target-groups"))
	list(r, optional, &a.Attributes, "Attributes", command("elbv2", "describe-load-balancer-attributes", "--load-balancer-arn", lb.ARN))
	for _, group := range a.named() {
		c := command("elbv2", "describe-target-group-attributes", "--target-group-arn", group)
		c.File += "-" + GroupName(group)
		var attributes []Attribute
		list(r, optional, &attributes, "Attributes", c)
		a.GroupAttributes[group] = attributes
	}
	vpc := "Name=vpc-id,Values=" + lb.VPCID
	list(r, need, &a.Subnets, "Subnets", command("ec2", "describe-subnets", "--filters", vpc))
	list(r, need, &a.RouteTables, "RouteTables", command("ec2", "describe-route-tables", "--filters", vpc))
	if len(lb.SecurityGroups) > 0 {
		list(r, need, &a.SecurityGroups, "SecurityGroups", command(append([]string{"ec2", "describe-security-groups", "--group-ids"}, lb.SecurityGroups...)...))
	}
	r.readECS(choice, lb)
	return a, r.err
}

// readECS reads the clusters, and the services of each cluster up to the one of the monolith.
func (r *reader) readECS(choice Choice, lb *LoadBalancer) {
	a := r.account
	c := command("ecs", "describe-clusters")
	if choice.Cluster != "" {
		c.Args = append(c.Args, "--clusters", choice.Cluster)
	}
	list(r, optional, &a.Clusters, "clusters", c)
	listener, _ := a.listener(choice, lb)
	if listener == nil {
		return
	}
	monolith, _ := a.monolith(choice, listener)
	if monolith == nil {
		return
	}
	list(r, optional, &a.Health, "TargetHealthDescriptions", command("elbv2", "describe-target-health", "--target-group-arn", monolith.ARN))
	for _, cluster := range a.Clusters {
		if cluster.Status != active || choice.Cluster != "" && !cluster.is(choice.Cluster) {
			continue
		}
		var services []Service
		list(r, optional, &services, "services", command("ecs", "describe-services", "--cluster", cluster.ARN))
		services = slices.DeleteFunc(services, func(s Service) bool { return s.ClusterARN != cluster.ARN || s.Status == "INACTIVE" })
		a.Services = append(a.Services, services...)
		if slices.ContainsFunc(services, func(s Service) bool { return s.behind(monolith.ARN) }) {
			return
		}
	}
}

// reader reads until the first error.
type reader struct {
	ctx     context.Context
	source  Source
	account *Account
	err     error
}

const (
	need     = false
	optional = true
)

// list reads the list of a command's output. What is optional and missing is noted.
func list[T any](r *reader, optional bool, to *[]T, key string, c Command) {
	if r.err != nil {
		return
	}
	text, err := r.source.Describe(r.ctx, c)
	if optional && errors.Is(err, fs.ErrNotExist) {
		if !slices.Contains(r.account.Missing, c.File) {
			r.account.Missing = append(r.account.Missing, c.File)
		}
		return
	}
	if err != nil {
		r.err = err
		return
	}
	var printed map[string]json.RawMessage
	if err := json.Unmarshal(text, &printed); err != nil {
		r.err = fmt.Errorf("%s.json is not what the AWS CLI prints as JSON (%w): save it again with `%s --output json`", c.File, err, c)
		return
	}
	if printed[key] == nil {
		r.err = fmt.Errorf("%s.json has no %q: save it again with `%s --output json`, without --query", c.File, key, c)
		return
	}
	if err := json.Unmarshal(printed[key], to); err != nil {
		r.err = fmt.Errorf("%s.json: %s is not what the AWS CLI prints (%w): save it again with `%s --output json`", c.File, key, plainError(err), c)
	}
}

// plainError says of a value of a wrong type where it is, without names of Go.
func plainError(err error) error {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return fmt.Errorf("%s is a %s", wrong.Field, wrong.Value)
	}
	return err
}

// named are the ARNs of the target groups that listeners and rules name, each once and in order.
func (a *Account) named() (groups []string) {
	add := func(actions []Action) {
		for _, action := range actions {
			groups = append(groups, action.groups()...)
		}
	}
	for _, l := range a.Listeners {
		add(l.DefaultActions)
	}
	for _, r := range a.Rules {
		add(r.Actions)
	}
	slices.Sort(groups)
	return slices.Compact(groups)
}
