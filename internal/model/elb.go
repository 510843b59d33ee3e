package model

import (
	"cmp"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"cutover/internal/assembly"
)

func (m *Model) readLoadBalancing() {
	m.LoadBalancers = all(m, ELBLoadBalancer, (*LoadBalancer).read)
	m.TargetGroups = all(m, ELBTargetGroup, (*TargetGroup).read)
	m.Listeners = all(m, ELBListener, m.listener)
	m.Rules = all(m, ELBListenerRule, m.rule)
}

// LoadBalancer is a load balancer.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/application-load-balancers.html#load-balancer-attributes
type LoadBalancer struct {
	Base
	// Name is the load balancer's, or its logical id if CloudFormation makes up a
	// name.
	Name string
	// Type is application (the default), network or gateway.
	Type string
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
	// Default false.
	ForwardedPort bool
}

// read reads a load balancer.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-elasticloadbalancingv2-loadbalancer.html
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_LoadBalancerAttribute.html
func (lb *LoadBalancer) read(p assembly.Value) {
	lb.Name = name(&lb.Base, p.Field("Name"))
	lb.Type = p.Field("Type").OneOf("application", "network", "gateway")
	a := p.Field("LoadBalancerAttributes").Attributes()
	lb.IdleTimeout = a.Field("idle_timeout.timeout_seconds").Seconds(60, 1, 4000)
	lb.ClientKeepAlive = a.Field("client_keep_alive.seconds").Seconds(3600, 60, 604800)
	lb.HTTP2 = a.Field("routing.http2.enabled").Bool(true)
	lb.DropInvalidHeaders = a.Field("routing.http.drop_invalid_header_fields.enabled").Bool(false)
	lb.PreserveHost = a.Field("routing.http.preserve_host_header.enabled").Bool(false)
	lb.ForwardedFor = a.Field("routing.http.xff_header_processing.mode").OneOf("append", "preserve", "remove")
	lb.ForwardedPort = a.Field("routing.http.xff_client_port.enabled").Bool(false)
}

// DefaultLoadBalancer returns a load balancer with all defaults, for a listener
// whose own is not in the assembly.
func DefaultLoadBalancer(resource *assembly.Resource) *LoadBalancer {
	lb := &LoadBalancer{Base: Base{Resource: resource}}
	none := *resource
	none.Properties = nil
	lb.read(assembly.NewReader(nil).Properties(&none))
	return lb
}

// TargetGroup is where a load balancer forwards requests to.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-target-groups.html
type TargetGroup struct {
	Base
	// Name is the group's, or its logical id if CloudFormation makes up a name.
	Name string
	// Protocol is the one that targets speak: HTTP (the default), HTTPS, or one of
	// a Network or Gateway Load Balancer. Certificates of targets are not validated.
	Protocol string
	// ProtocolVersion is HTTP1 (the default), HTTP2 or GRPC.
	ProtocolVersion string
	// TargetType is instance (the default), ip, lambda or alb.
	TargetType string
	// Port is the default port of targets, 0 if there is none.
	Port   int
	Health HealthCheck
	// DeregistrationDelay is how long requests may still take on a target that is
	// deregistered, before they are cut off. Default 300 s.
	DeregistrationDelay time.Duration
	// SlowStart is the time over which the share of a target that has become
	// healthy grows to its full part. 0, the default: it has its part at once.
	SlowStart time.Duration
	// Algorithm is round_robin (the default), least_outstanding_requests or
	// weighted_random.
	Algorithm string
	// Stickiness is how long a client stays with its target by the cookie AWSALB.
	// 0, the default: every request is balanced.
	Stickiness time.Duration
	// MinHealthy and MinHealthyPercent are how many healthy targets there must be
	// for unhealthy ones not to get requests too. Defaults 1 and 0 (not asked for).
	MinHealthy, MinHealthyPercent int
}

// LeastOutstanding is the algorithm that picks the target with the fewest requests
// in flight.
const LeastOutstanding = "least_outstanding_requests"

// HealthCheck is how the targets of a group are checked.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks.html
type HealthCheck struct {
	// Disabled says that targets are not checked. Default false.
	Disabled bool
	// Protocol is that of the checks. Default HTTP.
	Protocol string
	// Port is the one of the check, 0 (the default) for the target's own.
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

// read reads a target group.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-elasticloadbalancingv2-targetgroup.html
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetGroupAttribute.html
func (g *TargetGroup) read(p assembly.Value) {
	g.Name = name(&g.Base, p.Field("Name"))
	g.Protocol = p.Field("Protocol").Text("HTTP")
	g.ProtocolVersion = p.Field("ProtocolVersion").OneOf("HTTP1", "HTTP2", "GRPC")
	g.TargetType = p.Field("TargetType").OneOf("instance", "ip", "lambda", "alb")
	g.Port = p.Field("Port").Int(0, 1, 65535)
	g.Health = HealthCheck{
		Disabled:  !p.Field("HealthCheckEnabled").Bool(true),
		Protocol:  p.Field("HealthCheckProtocol").Text("HTTP"),
		Path:      p.Field("HealthCheckPath").Text("/"),
		Interval:  p.Field("HealthCheckIntervalSeconds").Seconds(30, 5, 300),
		Timeout:   p.Field("HealthCheckTimeoutSeconds").Seconds(5, 2, 120),
		Healthy:   p.Field("HealthyThresholdCount").Int(5, 2, 10),
		Unhealthy: p.Field("UnhealthyThresholdCount").Int(2, 2, 10),
		Codes:     []CodeRange{{200, 200}},
	}
	if !strings.HasPrefix(g.Health.Path, "/") {
		p.Field("HealthCheckPath").Refuse("%q does not begin with /", g.Health.Path)
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
	a := p.Field("TargetGroupAttributes").Attributes()
	g.DeregistrationDelay = a.Field("deregistration_delay.timeout_seconds").Seconds(300, 0, 3600)
	g.Algorithm = a.Field("load_balancing.algorithm.type").OneOf("round_robin", LeastOutstanding, "weighted_random")
	slow := a.Field("slow_start.duration_seconds")
	if g.SlowStart = slow.Seconds(0, 0, 900); g.SlowStart != 0 && g.SlowStart < 30*time.Second {
		slow.Refuse("expected 0 or a whole number from 30 to 900, found %v", g.SlowStart.Seconds())
	}
	if g.Algorithm == LeastOutstanding && g.SlowStart != 0 {
		slow.Refuse("a target group cannot have slow start and least outstanding requests together")
	}
	duration := a.Field("stickiness.lb_cookie.duration_seconds").Seconds(86400, 1, 604800)
	if a.Field("stickiness.enabled").Bool(false) {
		g.Stickiness = duration
	}
	const minimum = "target_group_health.unhealthy_state_routing.minimum_healthy_targets."
	g.MinHealthy = orOff(a.Field(minimum+"count"), 1, 1000)
	g.MinHealthyPercent = orOff(a.Field(minimum+"percentage"), 0, 100)
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

// Listener is a port on which a load balancer takes requests.
type Listener struct {
	Base
	// LoadBalancer is nil if the assembly does not have it.
	LoadBalancer *LoadBalancer
	Port         int
	// Protocol is HTTP or HTTPS, or one of a Network Load Balancer.
	Protocol string
	// MutualTLS is off (the default), passthrough or verify.
	MutualTLS string
	// ServerHeader says whether answers have a Server header. Default true.
	ServerHeader bool
	// Default is the rule without conditions. Its resource is the listener's own.
	Default *Rule
}

// String is the protocol and the port: "HTTP:80".
func (l *Listener) String() string { return l.Protocol + ":" + strconv.Itoa(l.Port) }

// listener reads a listener and its default rule.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-elasticloadbalancingv2-listener.html
func (m *Model) listener(l *Listener, p assembly.Value) {
	l.LoadBalancer = elsewhere[LoadBalancer](m, p.Field("LoadBalancerArn"), ELBLoadBalancer, "LoadBalancerArn")
	l.Port = p.Field("Port").Need("a port").Int(0, 1, 65535)
	l.Protocol = p.Field("Protocol").Text("")
	l.MutualTLS = p.Field("MutualAuthentication").Field("Mode").OneOf("off", "passthrough", "verify")
	l.ServerHeader = p.Field("ListenerAttributes").Attributes().Field("routing.http.response.server.enabled").Bool(true)
	l.Default = &Rule{Base: Base{Resource: l.Resource}, Listener: l, Action: m.action(p.Field("DefaultActions"))}
}

// Rule says what happens to the requests that meet all of its conditions.
type Rule struct {
	// Base of a default rule has the listener's resource.
	Base
	Listener *Listener
	// Priority is 1 to 50000; lower ones are tried first. 0 is the default rule.
	Priority   int
	Conditions []Condition
	Action     Action
}

// rule reads a rule.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-elasticloadbalancingv2-listenerrule.html
func (m *Model) rule(r *Rule, p assembly.Value) {
	r.Listener = refer[Listener](m, p.Field("ListenerArn").Need("a listener"), ELBListener, "ListenerArn")
	r.Priority = p.Field("Priority").Need("a priority").Int(0, 1, 50000)
	r.Action = m.action(p.Field("Actions"))
	for _, v := range p.Field("Conditions").Some() {
		c := condition(v)
		if c.Field != HTTPHeader && c.Field != QueryString && slices.ContainsFunc(r.Conditions, func(other Condition) bool { return other.Field == c.Field }) {
			v.Refuse("a rule can have one %s condition only", c.Field)
		}
		r.Conditions = append(r.Conditions, c)
	}
}

// The condition types of
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/rule-condition-types.html
const (
	PathPattern   = "path-pattern"
	HostHeader    = "host-header"
	HTTPHeader    = "http-header"
	RequestMethod = "http-request-method"
	QueryString   = "query-string"
	SourceIP      = "source-ip"
)

// Condition is met by a request if one of its values matches.
//
// Patterns in the values may have the wildcards * for any number of characters,
// none included, and ? for exactly one. Only paths and methods are compared with
// their case.
type Condition struct {
	// Field is the condition's type.
	Field string
	// Header is the name of the header, for an http-header condition.
	Header string
	// Values are patterns for path-pattern, host-header and http-header, methods
	// for http-request-method, address ranges for source-ip. A value of
	// query-string is "key=pattern" or, for any key, "pattern".
	Values []string
	// Query are the values of query-string.
	Query []QueryValue
}

// QueryValue is a value of a query-string condition.
type QueryValue struct {
	// Key is empty, too, if AnyKey says that any key will do.
	Key, Value string
	AnyKey     bool
}

func (c Condition) String() string {
	field := c.Field
	if c.Header != "" {
		field += " " + c.Header
	}
	return field + " " + strings.Join(c.Values, " or ")
}

// condition reads one condition of a rule.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-elasticloadbalancingv2-listenerrule-rulecondition.html
func condition(v assembly.Value) Condition {
	configs := map[string]string{
		PathPattern: "PathPatternConfig", HostHeader: "HostHeaderConfig", HTTPHeader: "HttpHeaderConfig",
		RequestMethod: "HttpRequestMethodConfig", QueryString: "QueryStringConfig", SourceIP: "SourceIpConfig",
	}
	field := v.Field("Field")
	c := Condition{Field: field.Text("")}
	if configs[c.Field] == "" {
		field.Refuse("%q is not a condition that is evaluated; those are %s", c.Field,
			strings.Join([]string{PathPattern, HostHeader, HTTPHeader, RequestMethod, QueryString, SourceIP}, ", "))
		return c
	}
	// The values of paths and hosts may stand in the condition itself.
	config := v
	if short := c.Field == PathPattern || c.Field == HostHeader; !short || !v.Field("Values").Present() {
		config = v.Field(configs[c.Field]).Need("an object")
	}
	if c.Field == HTTPHeader {
		header := config.Field("HttpHeaderName")
		if c.Header = header.Text(""); c.Header == "" || strings.EqualFold(c.Header, "Host") {
			header.Refuse("%q cannot be the header of an http-header condition (for Host there is host-header)", c.Header)
		}
	}
	for _, value := range config.Field("Values").Some() {
		if c.Field == QueryString {
			key := value.Field("Key")
			q := QueryValue{Key: key.Text(""), Value: value.Field("Value").Need("a value").Text(""), AnyKey: !key.Present()}
			text := q.Value
			if !q.AnyKey {
				text = q.Key + "=" + text
			}
			c.Query, c.Values = append(c.Query, q), append(c.Values, text)
			continue
		}
		text := value.Text("")
		if text == "" {
			value.Refuse("a condition cannot have an empty value")
		} else if _, err := netip.ParsePrefix(text); err != nil && c.Field == SourceIP {
			value.Refuse("%q is not an address range like 10.0.0.0/8", text)
		}
		c.Values = append(c.Values, text)
	}
	return c
}

// Action is what a rule does with a request: exactly one of Forward, Redirect
// and FixedResponse is set.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/rule-action-types.html
type Action struct {
	Forward       []Weighted
	Redirect      *Redirect
	FixedResponse *FixedResponse
	// StickinessSeconds is how long a client stays with the target group that was
	// picked for it. 0: every request is picked for anew.
	StickinessSeconds int
}

// Weighted is one of the target groups that a forward action distributes
// requests over.
type Weighted struct {
	TargetGroup *TargetGroup
	// Weight is 0 to 999. A group with weight 0 gets no requests, but it is in
	// use by the load balancer: its targets are checked and ECS can deploy to it.
	Weight int
	// Share is the part of the requests, 0 to 1, that this weight amounts to.
	// The load balancer does not move it to other groups when this one has no
	// healthy targets.
	Share float64
}

// Redirect is the answer that sends a client elsewhere. Its fields may have the
// placeholders #{protocol}, #{host}, #{port}, #{path} and #{query}.
type Redirect struct {
	// StatusCode is 301 or 302.
	StatusCode                        int
	Protocol, Host, Port, Path, Query string
}

// FixedResponse is an answer by the load balancer itself.
type FixedResponse struct {
	StatusCode  int
	ContentType string
	Body        string
}

// String is the action in short: the name of the target group ("users"), the
// groups with their shares ("users 10%, api 90%"), "301 https://…" with its
// placeholders, or the code of a fixed response ("404"). Groups that get nothing
// are left out.
func (a Action) String() string {
	switch {
	case a.Redirect != nil:
		r := a.Redirect
		return fmt.Sprintf("%d %s://%s:%s%s?%s", r.StatusCode, strings.ToLower(r.Protocol), r.Host, r.Port, r.Path, r.Query)
	case a.FixedResponse != nil:
		return strconv.Itoa(a.FixedResponse.StatusCode)
	}
	var groups []string
	for _, w := range a.Forward {
		if w.Share == 1 {
			return w.TargetGroup.Name
		}
		if w.Share > 0 {
			groups = append(groups, w.TargetGroup.Name+" "+strconv.FormatFloat(100*w.Share, 'g', 4, 64)+"%")
		}
	}
	return strings.Join(groups, ", ")
}

// action reads the actions of a rule, which must be just one here: the other
// types (authenticate-oidc, authenticate-cognito, jwt-validation) come on top of
// one and are problems.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-elasticloadbalancingv2-listenerrule-action.html
func (m *Model) action(v assembly.Value) (action Action) {
	actions := v.Some()
	for _, one := range actions {
		one.Field("Order") // of several, which there cannot be
		kind := one.Field("Type")
		switch text := kind.Text(""); text {
		case "forward":
			action = m.forward(one)
		case "redirect":
			action = Action{Redirect: redirect(one.Field("RedirectConfig").Need("an object"))}
		case "fixed-response":
			action = Action{FixedResponse: fixedResponse(one.Field("FixedResponseConfig").Need("an object"))}
		default:
			kind.Refuse("%q is not an action that is evaluated; those are forward, redirect, fixed-response", text)
		}
	}
	if len(actions) > 1 {
		v.Refuse("expected exactly one action, found %d", len(actions))
	}
	return action
}

// forward reads a forward action in its two forms, with one target group's ARN
// or with a list of groups and their weights.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-elasticloadbalancingv2-listenerrule-forwardconfig.html
func (m *Model) forward(v assembly.Value) (action Action) {
	target := func(v assembly.Value) *TargetGroup {
		return refer[TargetGroup](m, v.Field("TargetGroupArn"), ELBTargetGroup, "TargetGroupArn")
	}
	config := v.Field("ForwardConfig")
	tuples := config.Field("TargetGroups").List()
	if v.Field("TargetGroupArn").Present() {
		single := target(v)
		action.Forward = []Weighted{{TargetGroup: single, Weight: 1}}
		for _, tuple := range tuples {
			tuple.Field("Weight") // of one group there is nothing to weigh
			if len(tuples) > 1 || target(tuple) != single {
				tuple.Refuse("next to TargetGroupArn there can only be the same target group")
			}
		}
	} else {
		for _, tuple := range tuples {
			// More than one group need a weight each.
			weight := tuple.Field("Weight")
			if len(tuples) > 1 {
				weight = weight.Need("a weight")
			}
			if !tuple.Field("TargetGroupArn").Present() {
				tuple.Refuse("a target group is missing")
			}
			action.Forward = append(action.Forward, Weighted{TargetGroup: target(tuple), Weight: weight.Int(1, 0, 999)})
		}
	}
	total := 0
	for _, w := range action.Forward {
		total += w.Weight
	}
	if total == 0 {
		// AWS does not document what a load balancer answers then.
		v.Refuse("no target group has a weight above 0, so none can get the request")
		total = 1
	}
	for i := range action.Forward {
		action.Forward[i].Share = float64(action.Forward[i].Weight) / float64(total)
	}
	sticky := config.Field("TargetGroupStickinessConfig")
	if duration := sticky.Field("DurationSeconds"); sticky.Field("Enabled").Bool(false) {
		action.StickinessSeconds = duration.Need("a duration").Int(0, 1, 7*24*60*60)
	}
	return action
}

// placeholder finds the parts of a redirect that are taken from the request.
var placeholder = regexp.MustCompile(`#\{[^}]*\}`)

// redirect reads a redirect; what it leaves out stays as in the request.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-elasticloadbalancingv2-listenerrule-redirectconfig.html
func redirect(v assembly.Value) *Redirect {
	part := func(name, unchanged string) string {
		text := v.Field(name).Text(unchanged)
		for _, found := range placeholder.FindAllString(text, -1) {
			if !slices.Contains([]string{"#{protocol}", "#{host}", "#{port}", "#{path}", "#{query}"}, found) {
				v.Field(name).Refuse("unknown placeholder %s", found)
			}
		}
		return text
	}
	r := &Redirect{
		Protocol: part("Protocol", "#{protocol}"), Host: part("Host", "#{host}"), Port: part("Port", "#{port}"),
		Path: part("Path", "/#{path}"), Query: part("Query", "#{query}"),
	}
	if !slices.Contains([]string{"HTTP", "HTTPS", "#{protocol}"}, r.Protocol) {
		v.Field("Protocol").Refuse("%q is neither HTTP nor HTTPS nor #{protocol}", r.Protocol)
	}
	switch code := v.Field("StatusCode").Text(""); code {
	case "HTTP_301":
		r.StatusCode = 301
	case "HTTP_302":
		r.StatusCode = 302
	default:
		v.Field("StatusCode").Refuse("%q is neither HTTP_301 nor HTTP_302", code)
	}
	return r
}

// fixedResponse reads an answer that the load balancer gives itself.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-elasticloadbalancingv2-listenerrule-fixedresponseconfig.html
func fixedResponse(v assembly.Value) *FixedResponse {
	code := v.Field("StatusCode").Need("a status code")
	r := &FixedResponse{
		StatusCode: code.Int(0, 200, 599), ContentType: v.Field("ContentType").Text(""), Body: v.Field("MessageBody").Text(""),
	}
	if r.StatusCode/100 == 3 {
		code.Refuse("%d: a fixed response cannot be a redirect", r.StatusCode)
	}
	return r
}
