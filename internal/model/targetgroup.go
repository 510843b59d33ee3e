package model

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"cutover/internal/assembly"
)

// TargetGroup is where a load balancer forwards requests to.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-target-groups.html
type TargetGroup struct {
	Base
	Name string
	// Protocol of targets is HTTP (the default), HTTPS, or one of other types of load balancers.
	// Certificates of targets are not validated.
	Protocol string
	// ProtocolVersion is HTTP1 (the default), HTTP2 or GRPC.
	ProtocolVersion string
	// TargetType is instance (the default), ip, lambda or alb.
	TargetType string
	// Port is the default port of targets, 0 if there is none.
	Port   int
	Health HealthCheck
	// DeregistrationDelay is the time that requests have left on a deregistered target. Default 300
	// s. A function has none: its requests fail at once.
	DeregistrationDelay time.Duration
	// SlowStart is the time over which the share of a target that has become
	// healthy grows to its full part. 0, the default: it has its part at once.
	SlowStart time.Duration
	// Algorithm is round_robin (the default), least_outstanding_requests or weighted_random.
	Algorithm string
	// Stickiness is how long the cookie AWSALB keeps a client at its target. Default 0: not at all.
	Stickiness time.Duration
	// StickinessType is lb_cookie (the default) or app_cookie.
	StickinessType string
	// SourceIP says that a Network Load Balancer keeps the connections of an address at a target. Default
	// false.
	SourceIP bool
	// CutDraining ends the connections to a deregistered target after the delay, and CutUnhealthy those to an
	// unhealthy target, of a Network Load Balancer. Defaults false and true.
	CutDraining, CutUnhealthy bool
	// PreservesClient says that targets see the client's address. Default: for targets of type instance
	// behind a Network Load Balancer.
	PreservesClient bool
	// Targets are those that the template itself registers. Others come from services and groups.
	Targets []Target
	// MultiValueHeaders says that a function gets and returns headers and query parameters as lists.
	// Default false: as texts, and of several the last one.
	MultiValueHeaders bool
	// With fewer than MinHealthy or MinHealthyPercent, unhealthy targets serve too. Defaults 1, 0.
	MinHealthy, MinHealthyPercent int
}

// Target is a target that a template registers.
type Target struct {
	// ID is an instance, an address, or the ARN of a function or load balancer: as the template has
	// it, or "stack/logical id".
	ID string
	// Port is that of the group if it is 0.
	Port int
}

// Application says that the group is for Application Load Balancers.
func (g *TargetGroup) Application() bool { return !otherProtocol(g.Protocol) }

// Runs says whether the targets of a group are what this machine has: any of an Application Load Balancer,
// which refuses by name what it lacks, and tasks behind a Network Load Balancer.
func (g *TargetGroup) Runs() bool {
	return g.Application() || slices.Contains(forwarded, g.Protocol) && (g.TargetType == "instance" || g.TargetType == "ip") && len(g.Targets) == 0
}

// otherProtocol says whether a protocol is one of Network and Gateway Load Balancers.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateListener.html
func otherProtocol(protocol string) bool {
	return slices.Contains([]string{"TCP", "TLS", "UDP", "TCP_UDP", "GENEVE", "QUIC", "TCP_QUIC"}, protocol)
}

// LeastOutstanding is the algorithm that picks the target with the fewest requests in flight.
const LeastOutstanding = "least_outstanding_requests"

// HealthCheck is how the targets of a group are checked.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks.html
type HealthCheck struct {
	// Disabled says that targets are not checked. Default false; of a function true, as each check is an
	// invocation.
	Disabled bool
	// Protocol is that of the checks. Default HTTP; TCP behind a Network Load Balancer.
	Protocol string
	// Port is the one of the check, 0 (the default) for the target's own.
	Port int
	// Path is a path with or without a query. Default "/".
	Path string
	// Interval is the time from one check to the next, default 30 s; of a function 35 s. Timeout is
	// how long an answer may take, default 5 s; behind a Network Load Balancer 10 s, of HTTP 6 s; of a
	// function 30 s.
	Interval, Timeout time.Duration
	// Healthy and Unhealthy are checks in a row, defaults 5 and 2. A new target needs one.
	Healthy, Unhealthy int
	// Codes are the ranges of status codes that pass. Default 200; behind a Network Load Balancer 200 to 399.
	Codes []CodeRange
}

// CodeRange is a range of status codes, both ends included.
type CodeRange struct{ From, To int }

// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-elasticloadbalancingv2-targetgroup.html
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetGroupAttribute.html
func (g *TargetGroup) read(p assembly.Value) {
	g.Name = name(&g.Base, p.Field("Name"))
	g.Protocol = p.Field("Protocol").Text("HTTP")
	g.ProtocolVersion = p.Field("ProtocolVersion").OneOf("HTTP1", "HTTP2", "GRPC")
	g.TargetType = p.Field("TargetType").OneOf("instance", "ip", "lambda", "alb")
	g.Port = p.Field("Port").Int(0, 1, 65535)
	lambda := g.TargetType == "lambda"
	protocol, interval, timeout, codes := "HTTP", 30, 5, []CodeRange{{200, 200}}
	if lambda { // "CreateTargetGroup"
		interval, timeout = 35, 30
	}
	if !g.Application() { // "CreateTargetGroup", "Health checks for Network Load Balancer target groups"
		protocol, timeout, codes = "TCP", 10, []CodeRange{{200, 399}}
	}
	if protocol = p.Field("HealthCheckProtocol").Text(protocol); protocol == "HTTP" && !g.Application() {
		timeout = 6
	}
	g.Health = HealthCheck{
		Disabled:  !p.Field("HealthCheckEnabled").Bool(!lambda),
		Protocol:  protocol,
		Path:      p.Field("HealthCheckPath").Text("/"),
		Interval:  p.Field("HealthCheckIntervalSeconds").Seconds(interval, 5, 300),
		Timeout:   p.Field("HealthCheckTimeoutSeconds").Seconds(timeout, 2, 120),
		Healthy:   p.Field("HealthyThresholdCount").Int(5, 2, 10),
		Unhealthy: p.Field("UnhealthyThresholdCount").Int(2, 2, 10),
		Codes:     codes,
	}
	if !strings.HasPrefix(g.Health.Path, "/") {
		p.Field("HealthCheckPath").Refuse("%q does not begin with /", g.Health.Path)
	}
	if n := len(g.Health.Path); n > 1024 {
		p.Field("HealthCheckPath").Refuse("AWS refuses %d characters: a path can have 1024", n)
	}
	if port := p.Field("HealthCheckPort"); port.Raw() != "traffic-port" {
		g.Health.Port = port.Int(0, 1, 65535)
	}
	if matcher := p.Field("Matcher").Field("HttpCode"); matcher.Present() {
		codes, err := parseCodes(matcher.Text(""))
		if err != nil {
			matcher.Refuse("%v", err)
		}
		g.Health.Codes = codes
	}
	if interval := g.Health.Interval; g.Health.Timeout >= interval && p.Field("HealthCheckTimeoutSeconds").Present() {
		p.Field("HealthCheckTimeoutSeconds").Refuse("AWS refuses a timeout of %d s: it must be below the interval, %d s", int(g.Health.Timeout.Seconds()), int(interval.Seconds()))
	} else if g.Health.Timeout >= interval && g.Application() && !(lambda && g.Health.Disabled) {
		p.Field("HealthCheckIntervalSeconds").Refuse("AWS refuses an interval of %d s: it must be above the timeout, %d s", int(interval.Seconds()), int(g.Health.Timeout.Seconds()))
	}
	for _, target := range p.Field("Targets").List() {
		target.Field("AvailabilityZone") // of addresses outside the VPC
		g.Targets = append(g.Targets, Target{target.Field("Id").Need("an id").Keyed(), target.Field("Port").Int(0, 1, 65535)})
	}
	a := p.Field("TargetGroupAttributes").Attributes()
	g.DeregistrationDelay = a.Field("deregistration_delay.timeout_seconds").Seconds(300, 0, 3600)
	g.Algorithm = a.Field("load_balancing.algorithm.type").OneOf("round_robin", LeastOutstanding, "weighted_random")
	slow := a.Field("slow_start.duration_seconds")
	if g.SlowStart = slow.Seconds(0, 0, 900); g.SlowStart != 0 && g.SlowStart < 30*time.Second {
		slow.Refuse("expected 0 or a whole number from 30 to 900, found %v", g.SlowStart.Seconds())
	}
	if g.Algorithm != "round_robin" && g.SlowStart != 0 {
		slow.Refuse("a target group cannot have slow start and %s together", strings.ReplaceAll(g.Algorithm, "_", " "))
	}
	duration := a.Field("stickiness.lb_cookie.duration_seconds").Seconds(86400, 1, 604800)
	g.StickinessType = a.Field("stickiness.type").Text("lb_cookie")
	if enabled := a.Field("stickiness.enabled").Bool(false); g.Application() && enabled {
		g.Stickiness = duration
	} else {
		g.SourceIP = enabled
	}
	if !g.Application() { // https://docs.aws.amazon.com/elasticloadbalancing/latest/network/edit-target-group-attributes.html
		g.CutDraining = a.Field("deregistration_delay.connection_termination.enabled").Bool(false)
		g.CutUnhealthy = a.Field("target_health_state.unhealthy.connection_termination.enabled").Bool(true)
		g.PreservesClient = a.Field("preserve_client_ip.enabled").Bool(g.TargetType == "instance")
	}
	const minimum = "target_group_health.unhealthy_state_routing.minimum_healthy_targets."
	g.MinHealthy = orOff(a.Field(minimum+"count"), 1, 1000)
	g.MinHealthyPercent = orOff(a.Field(minimum+"percentage"), 0, 100)
	multi := a.Field("lambda.multi_value_headers.enabled")
	if lambda {
		g.MultiValueHeaders, g.DeregistrationDelay = multi.Bool(false), 0
		refuseForFunction(p, a)
	} else if multi.Present() {
		multi.Refuse("AWS refuses it for a target group of type %s: only one of type lambda has it", g.TargetType)
	}
}

// refuseForFunction refuses what AWS does not take for a target group of type lambda. The first page has
// the properties, the second one the attributes, and the third one the number of functions.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateTargetGroup.html
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetGroupAttribute.html
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html
func refuseForFunction(p, attributes assembly.Value) {
	refuse := func(v assembly.Value) {
		if v.Present() {
			v.Refuse("AWS refuses it for a target group of type lambda: leave it out")
		}
	}
	for _, property := range []string{"HealthCheckPort", "HealthCheckProtocol", "Port", "Protocol", "ProtocolVersion", "VpcId"} {
		refuse(p.Field(property))
	}
	for _, attribute := range []string{
		"deregistration_delay.timeout_seconds", "load_balancing.algorithm.type", "load_balancing.algorithm.anomaly_mitigation", "slow_start.duration_seconds",
		"stickiness.enabled", "stickiness.type", "stickiness.lb_cookie.duration_seconds", "stickiness.app_cookie.cookie_name", "stickiness.app_cookie.duration_seconds",
	} {
		refuse(attributes.Field(attribute))
	}
	targets := p.Field("Targets").List()
	for _, target := range targets[min(1, len(targets)):] {
		target.Refuse("AWS refuses a second target: a target group has one Lambda function")
	}
}

// orOff reads a number that may also be "off", which stands for what is absent.
func orOff(v assembly.Value, absent, to int) int {
	if v.Raw() == "off" {
		return absent
	}
	return v.Int(absent, 1, to)
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
			return nil, fmt.Errorf(`%q: expected codes from 200 to 499 like "200", "200,202" or "200-299"`, text)
		}
		codes = append(codes, CodeRange{first, last})
	}
	return codes, nil
}
