package alb

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"cutover/internal/assembly"
	"cutover/internal/rules"
)

const (
	loadBalancerType = "AWS::ElasticLoadBalancingV2::LoadBalancer"
	listenerType     = "AWS::ElasticLoadBalancingV2::Listener"
	targetGroupType  = "AWS::ElasticLoadBalancingV2::TargetGroup"
)

// Config is what the templates say about load balancers. Resources are
// identified by their place in the assembly, "stack/logical id".
type Config struct {
	Table *rules.Table
	// LoadBalancers are keyed by the resource of the load balancer.
	LoadBalancers map[string]LoadBalancer
	// Groups are all target groups, used by a listener or not.
	Groups []Group
}

// LoadBalancer holds the attributes of one load balancer that matter on one
// machine.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/application-load-balancers.html#load-balancer-attributes
type LoadBalancer struct {
	Key string
	// Name is the load balancer's, or its logical id if CloudFormation is to give
	// it one.
	Name string
	// IdleTimeout closes a connection, to a client or to a target, over which
	// nothing was sent or received for so long. Default 60 s.
	IdleTimeout time.Duration
	// ClientKeepAlive is how long a client may use one connection. Default 1 h.
	ClientKeepAlive time.Duration
	// HTTP2 offers HTTP/2 to clients of an HTTPS listener. Default true.
	HTTP2 bool
	// DropInvalidHeaders removes header fields whose names have other characters
	// than letters, digits and hyphens. Default false: they are passed on.
	DropInvalidHeaders bool
	// PreserveHost passes the Host header on as it is. Default false: the port in
	// it is that of the listener, and left out for 80 and 443.
	PreserveHost bool
	// ForwardedFor is append (the default), preserve or remove: what happens to
	// the X-Forwarded-For header.
	ForwardedFor string
	// ForwardedPort adds the client's port to its address in X-Forwarded-For.
	ForwardedPort bool
}

// defaultLoadBalancer has the defaults of the documentation.
func defaultLoadBalancer(key, name string) LoadBalancer {
	return LoadBalancer{Key: key, Name: name, IdleTimeout: 60 * time.Second, ClientKeepAlive: time.Hour, HTTP2: true, ForwardedFor: "append"}
}

// Group holds the settings of a target group.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-target-groups.html
type Group struct {
	Key, Name string
	// TLS says that targets speak HTTPS. Their certificates are not validated.
	TLS    bool
	Health HealthCheck
	// DeregistrationDelay is how long requests may still take on a target that is
	// deregistered, before they are cut off. Default 300 s.
	DeregistrationDelay time.Duration
	// SlowStart is the time over which the share of a target that has become
	// healthy grows to its full part. 0, the default: it has its part at once.
	SlowStart time.Duration
	// LeastOutstanding picks the target with the fewest requests in flight.
	// Default false: round robin.
	LeastOutstanding bool
	// Stickiness is how long a client stays with its target by the cookie AWSALB.
	// 0, the default: every request is balanced.
	Stickiness time.Duration
	// MinHealthy and MinHealthyPercent are how many healthy targets there must be
	// for unhealthy ones not to get requests too. Defaults 1 and 0 (not asked for).
	MinHealthy, MinHealthyPercent int
}

// HealthCheck is how the targets of a group are checked.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks.html
type HealthCheck struct {
	TLS bool
	// Port is the one of the check, 0 for the target's own.
	Port int
	// Path is a path with or without a query. Default "/".
	Path string
	// Interval is the time from one check to the next, default 30 s. Timeout is
	// how long an answer may take, default 5 s.
	Interval, Timeout time.Duration
	// Healthy and Unhealthy are how many checks in a row change the state of a
	// target, defaults 5 and 2. A target that is new needs to pass one.
	Healthy, Unhealthy int
	// Codes are the ranges of status codes that pass. Default 200.
	Codes []CodeRange
}

// CodeRange is a range of status codes, both ends included.
type CodeRange struct{ From, To int }

// Read reads the load balancers, listeners, rules and target groups of an
// assembly. Its error has a line, with the place, for every setting that is not
// honoured here. Settings that cannot make a difference on one machine are
// passed over: zones, subnets, security groups, addresses, names in DNS,
// certificates, quotas, tags, deletion protection.
func Read(a *assembly.Assembly) (*Config, error) {
	table, err := rules.Build(a)
	r := &reader{assembly: a, config: &Config{Table: table, LoadBalancers: map[string]LoadBalancer{}}}
	r.add(err)
	for _, resource := range r.existing(loadBalancerType) {
		lb := r.loadBalancer(resource)
		r.config.LoadBalancers[lb.Key] = lb
	}
	for _, resource := range r.existing(listenerType) {
		r.listener(resource)
	}
	for _, resource := range r.existing(targetGroupType) {
		r.config.Groups = append(r.config.Groups, r.group(resource))
	}
	if len(r.errs) > 0 {
		return nil, errors.Join(r.errs...)
	}
	return r.config, nil
}

// reader reads resources and gathers what is wrong with them.
type reader struct {
	assembly *assembly.Assembly
	config   *Config
	errs     []error
}

func (r *reader) add(err error) {
	if err != nil {
		r.errs = append(r.errs, err)
	}
}

func (r *reader) existing(resourceType string) []*assembly.Resource {
	return slices.DeleteFunc(r.assembly.Resources(resourceType), func(resource *assembly.Resource) bool {
		exists, err := resource.Exists(r.assembly)
		r.add(err)
		return err != nil || !exists
	})
}

// section is a set of settings by name, of a resource or of its attributes.
// Every setting is taken once; what is left when it is closed is refused.
type section struct {
	reader   *reader
	resource *assembly.Resource
	values   map[string]any
	// paths are the places of the values, for errors.
	paths map[string]string
}

// properties evaluates the properties of a resource but for those left alone.
func (r *reader) properties(resource *assembly.Resource, alone ...string) section {
	s := section{reader: r, resource: resource, values: map[string]any{}, paths: map[string]string{}}
	for _, name := range slices.Sorted(maps.Keys(resource.Properties)) {
		if slices.Contains(alone, name) {
			continue
		}
		value, err := resource.Resolve(r.assembly, name)
		if err != nil {
			r.add(err)
			continue
		}
		if value != nil {
			s.values[name], s.paths[name] = value, "Properties."+name
		}
	}
	return s
}

// attributes takes a property that is a list of keys and values.
func (s section) attributes(name string) section {
	attributes := section{reader: s.reader, resource: s.resource, values: map[string]any{}, paths: map[string]string{}}
	value := s.take(name)
	list, ok := value.([]any)
	if value != nil && !ok {
		s.refuse("Properties."+name, "expected a list, found %v", value)
	}
	for i, element := range list {
		pair, _ := element.(map[string]any)
		key, ok := pair["Key"].(string)
		if !ok {
			s.refuse(fmt.Sprintf("Properties.%s[%d]", name, i), "expected an object with a Key that is known before the deployment, found %v", element)
			continue
		}
		attributes.values[key], attributes.paths[key] = pair["Value"], fmt.Sprintf("Properties.%s[%d] (%s)", name, i, key)
	}
	return attributes
}

func (s section) refuse(path, format string, args ...any) {
	s.reader.add(s.resource.Errorf(path, format, args...))
}

// take returns a setting and marks it as read; nil if it is left out.
func (s section) take(name string) any {
	value := s.values[name]
	delete(s.values, name)
	return value
}

// pass passes over settings without an effect here.
func (s section) pass(names ...string) {
	for _, name := range names {
		delete(s.values, name)
	}
}

// close refuses what nobody has read.
func (s section) close() {
	for _, name := range slices.Sorted(maps.Keys(s.values)) {
		s.refuse(s.paths[name], "not honoured: the local load balancer does not know %s", name)
	}
}

// text reads a setting that must be one of the values, if any are given.
func (s section) text(name, unset string, values ...string) string {
	value := s.take(name)
	if value == nil {
		return unset
	}
	text, ok := value.(string)
	switch {
	case !ok:
		s.refuse(s.paths[name], "expected a string that is known before the deployment, found %v", value)
	case len(values) > 0 && !slices.Contains(values, text):
		s.refuse(s.paths[name], "%q is not honoured: the local load balancer knows only %s", text, strings.Join(values, ", "))
	default:
		return text
	}
	return unset
}

// boolean reads a setting that is true or false, also as a string.
func (s section) boolean(name string, unset bool) bool {
	switch value := s.take(name); value {
	case nil:
	case true, "true":
		return true
	case false, "false":
		return false
	default:
		s.refuse(s.paths[name], "expected true or false, found %v", value)
	}
	return unset
}

// only refuses a setting that has another value than the one which is honoured.
func (s section) only(name, value string) {
	if found := s.take(name); found != nil && fmt.Sprint(found) != value {
		s.refuse(s.paths[name], "%v is not honoured: the local load balancer knows only %s", found, value)
	}
}

// integer reads a whole number, also as a string.
func (s section) integer(name string, unset, from, to int) int {
	value := s.take(name)
	if value == nil {
		return unset
	}
	number, err := strconv.ParseFloat(fmt.Sprint(value), 64)
	if err != nil || number != float64(int(number)) || int(number) < from || int(number) > to {
		s.refuse(s.paths[name], "expected a whole number from %d to %d, found %v", from, to, value)
		return unset
	}
	return int(number)
}

func (s section) seconds(name string, unset, from, to int) time.Duration {
	return time.Duration(s.integer(name, unset, from, to)) * time.Second
}

// loadBalancer reads a load balancer and its attributes.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-elasticloadbalancingv2-loadbalancer.html
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_LoadBalancerAttribute.html
func (r *reader) loadBalancer(resource *assembly.Resource) LoadBalancer {
	// What is left alone may have values that only a deployment can tell.
	p := r.properties(resource, "Subnets", "SubnetMappings", "SecurityGroups", "Tags", "MinimumLoadBalancerCapacity", "Ipv4IpamPoolId")
	lb := defaultLoadBalancer(resource.String(), p.text("Name", resource.LogicalID))
	p.text("Type", "application", "application")
	p.pass("Scheme", "IpAddressType")
	a := p.attributes("LoadBalancerAttributes")
	p.close()

	lb.IdleTimeout = a.seconds("idle_timeout.timeout_seconds", 60, 1, 4000)
	lb.ClientKeepAlive = a.seconds("client_keep_alive.seconds", 3600, 60, 604800)
	lb.HTTP2 = a.boolean("routing.http2.enabled", true)
	lb.DropInvalidHeaders = a.boolean("routing.http.drop_invalid_header_fields.enabled", false)
	lb.PreserveHost = a.boolean("routing.http.preserve_host_header.enabled", false)
	lb.ForwardedFor = a.text("routing.http.xff_header_processing.mode", "append", "append", "preserve", "remove")
	lb.ForwardedPort = a.boolean("routing.http.xff_client_port.enabled", false)
	// Requests that would be classified as severe are always blocked, as in the
	// defensive mode.
	a.only("routing.http.desync_mitigation_mode", "defensive")
	a.only("routing.http.x_amzn_tls_version_and_cipher_suite.enabled", "false")
	a.only("connection_logs.s3.enabled", "false")
	a.only("health_check_logs.s3.enabled", "false")
	// Access lines are written whether there is a bucket for them or not.
	a.pass("access_logs.s3.enabled", "access_logs.s3.bucket", "access_logs.s3.prefix",
		"connection_logs.s3.bucket", "connection_logs.s3.prefix", "health_check_logs.s3.bucket", "health_check_logs.s3.prefix",
		"deletion_protection.enabled", "ipv6.deny_all_igw_traffic", "waf.fail_open.enabled", "zonal_shift.config.enabled",
		"load_balancing.cross_zone.enabled")
	a.close()
	return lb
}

// listener refuses the settings of a listener that are not honoured; what is
// honoured is in the routing table.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-elasticloadbalancingv2-listener.html
func (r *reader) listener(resource *assembly.Resource) {
	// A certificate made for the purpose is presented instead of the listener's,
	// by the security policy of crypto/tls.
	p := r.properties(resource, "Certificates", "SslPolicy", "DefaultActions", "LoadBalancerArn", "Port", "Protocol", "Tags")
	if mutual, ok := p.values["MutualAuthentication"].(map[string]any); ok && mutual["Mode"] == "off" {
		p.pass("MutualAuthentication")
	}
	a := p.attributes("ListenerAttributes")
	p.close()
	a.only("routing.http.response.server.enabled", "true")
	a.close()
}

// group reads a target group and its attributes.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-elasticloadbalancingv2-targetgroup.html
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetGroupAttribute.html
func (r *reader) group(resource *assembly.Resource) Group {
	p := r.properties(resource, "VpcId", "Tags")
	g := Group{Key: resource.String(), Name: p.text("Name", resource.LogicalID)}
	g.TLS = p.text("Protocol", "HTTP", "HTTP", "HTTPS") == "HTTPS"
	p.only("ProtocolVersion", "HTTP1")
	p.text("TargetType", "instance", "instance", "ip")
	p.integer("Port", 0, 1, 65535)
	p.pass("IpAddressType")
	p.only("HealthCheckEnabled", "true")
	g.Health = HealthCheck{
		TLS:       p.text("HealthCheckProtocol", "HTTP", "HTTP", "HTTPS") == "HTTPS",
		Path:      p.text("HealthCheckPath", "/"),
		Interval:  p.seconds("HealthCheckIntervalSeconds", 30, 5, 300),
		Timeout:   p.seconds("HealthCheckTimeoutSeconds", 5, 2, 120),
		Healthy:   p.integer("HealthyThresholdCount", 5, 2, 10),
		Unhealthy: p.integer("UnhealthyThresholdCount", 2, 2, 10),
		Codes:     []CodeRange{{200, 200}},
	}
	if !strings.HasPrefix(g.Health.Path, "/") {
		p.refuse("Properties.HealthCheckPath", "%q does not begin with /", g.Health.Path)
	}
	if p.values["HealthCheckPort"] == "traffic-port" {
		p.pass("HealthCheckPort")
	}
	g.Health.Port = p.integer("HealthCheckPort", 0, 1, 65535)
	if matcher := p.take("Matcher"); matcher != nil {
		object, _ := matcher.(map[string]any)
		text, ok := object["HttpCode"].(string)
		codes, err := parseCodes(text)
		if !ok || err != nil || len(object) != 1 {
			p.refuse("Properties.Matcher", "expected an object with nothing but HttpCode, codes from 200 to 499 like \"200\", \"200,202\" or \"200-299\", found %v", matcher)
		}
		g.Health.Codes = codes
	}
	a := p.attributes("TargetGroupAttributes")
	p.close()

	g.DeregistrationDelay = a.seconds("deregistration_delay.timeout_seconds", 300, 0, 3600)
	g.SlowStart = a.seconds("slow_start.duration_seconds", 0, 0, 900)
	if g.SlowStart != 0 && g.SlowStart < 30*time.Second {
		a.refuse(a.paths["slow_start.duration_seconds"], "expected 0 or a whole number from 30 to 900, found %v", g.SlowStart.Seconds())
	}
	g.LeastOutstanding = a.text("load_balancing.algorithm.type", "round_robin", "round_robin", "least_outstanding_requests") == "least_outstanding_requests"
	if g.LeastOutstanding && g.SlowStart != 0 {
		a.refuse(a.paths["slow_start.duration_seconds"], "a target group cannot have slow start and least outstanding requests together")
	}
	a.only("load_balancing.algorithm.anomaly_mitigation", "off")
	a.pass("load_balancing.cross_zone.enabled", "target_group_health.dns_failover.minimum_healthy_targets.count",
		"target_group_health.dns_failover.minimum_healthy_targets.percentage")
	enabled := a.boolean("stickiness.enabled", false)
	duration := a.seconds("stickiness.lb_cookie.duration_seconds", 86400, 1, 604800)
	if enabled {
		g.Stickiness = duration
		a.text("stickiness.type", "lb_cookie", "lb_cookie")
	} else {
		a.pass("stickiness.type", "stickiness.app_cookie.cookie_name", "stickiness.app_cookie.duration_seconds")
	}
	g.MinHealthy = a.threshold("target_group_health.unhealthy_state_routing.minimum_healthy_targets.count", 1, 1000)
	g.MinHealthyPercent = a.threshold("target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage", 0, 100)
	a.close()
	return g
}

// threshold reads a number that may also be "off", which is the default unset.
func (s section) threshold(name string, unset, to int) int {
	if s.values[name] == "off" {
		s.pass(name)
	}
	return s.integer(name, unset, 1, to)
}

// parseCodes reads a matcher like "200,202,300-399".
func parseCodes(text string) ([]CodeRange, error) {
	var codes []CodeRange
	for part := range strings.SplitSeq(text, ",") {
		from, to, ok := strings.Cut(part, "-")
		if !ok {
			to = from
		}
		first, err1 := strconv.Atoi(from)
		last, err2 := strconv.Atoi(to)
		if err := cmp.Or(err1, err2); err != nil || first < 200 || last > 499 || first > last {
			return nil, fmt.Errorf("%q is no range of codes from 200 to 499", part)
		}
		codes = append(codes, CodeRange{first, last})
	}
	return codes, nil
}
