package model

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"cutover/internal/assembly"
)

// Listener is a port on which a load balancer takes requests.
type Listener struct {
	Base
	// LoadBalancer is nil if the assembly does not have it.
	LoadBalancer *LoadBalancer
	// LoadBalancerID is the load balancer's key, or the template's text.
	LoadBalancerID string
	Port           int
	// Protocol is HTTP or HTTPS, or one of a Network Load Balancer.
	Protocol string
	// SecurityPolicy is the name of the policy for TLS. Empty if the template leaves it to AWS.
	SecurityPolicy string
	// Certificates is how many default certificates the listener has.
	Certificates int
	// MutualTLS is off (the default), passthrough or verify.
	MutualTLS string
	// ServerHeader says whether answers have a Server header. Default true.
	ServerHeader bool
	// ResponseHeaders are in every answer of the listener, in place of the target's own. Default:
	// none.
	ResponseHeaders map[string][]string
	// FlowTimeout ends a connection through a Network Load Balancer when idle that long. Default 350 s.
	FlowTimeout time.Duration
	// Default is the rule without conditions. Its resource is the listener's own.
	Default *Rule
}

// String is the protocol and the port: "HTTP:80".
func (l *Listener) String() string { return l.Protocol + ":" + strconv.Itoa(l.Port) }

// Application says that the listener is one of an Application Load Balancer.
func (l *Listener) Application() bool {
	if l.LoadBalancer != nil {
		return l.LoadBalancer.Application()
	}
	return !otherProtocol(l.Protocol)
}

// LeftOut says why a listener of a Network or Gateway Load Balancer does not run on this machine. Empty if
// the listener runs, and for each one of an Application Load Balancer: what of those does not run is refused.
func (l *Listener) LeftOut() string {
	if l.Application() {
		return ""
	}
	if !slices.Contains(forwarded, l.Protocol) {
		return fmt.Sprintf("its listener %s is of protocol %q, and only %s are forwarded here", l, l.Protocol, strings.Join(forwarded, " and "))
	}
	for _, w := range l.Default.Action.Forward {
		if !w.TargetGroup.Runs() {
			return fmt.Sprintf("only tasks of ECS services are targets here, of protocol TCP or TLS, and those of %s are others", w.TargetGroup.Key())
		}
	}
	return ""
}

// Runs says whether the listener runs on this machine.
func (l *Listener) Runs() bool { return l.LeftOut() == "" }

// forwarded are the protocols of a Network Load Balancer that run on this machine.
var forwarded = []string{"TCP", "TLS"}

// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-elasticloadbalancingv2-listener.html
func (m *Model) listener(l *Listener, p assembly.Value) {
	l.LoadBalancer = elsewhere[LoadBalancer](m, p.Field("LoadBalancerArn"), ELBLoadBalancer, "LoadBalancerArn")
	l.LoadBalancerID = p.Field("LoadBalancerArn").Keyed()
	l.Port = p.Field("Port").Need("a port").Int(0, 1, 65535)
	l.Protocol = p.Field("Protocol").Text("")
	l.SecurityPolicy = p.Field("SslPolicy").Text("")
	l.Certificates = len(p.Field("Certificates").List())
	l.MutualTLS = p.Field("MutualAuthentication").Field("Mode").OneOf("off", "passthrough", "verify")
	l.ServerHeader = p.Field("ListenerAttributes").Attributes().Field("routing.http.response.server.enabled").Bool(true)
	l.ResponseHeaders = added(p.Field("ListenerAttributes").Attributes())
	// https://docs.aws.amazon.com/elasticloadbalancing/latest/network/update-idle-timeout.html
	l.FlowTimeout = p.Field("ListenerAttributes").Attributes().Field("tcp.idle_timeout.seconds").Seconds(350, 60, 6000)
	l.Default = &Rule{Base: Base{Resource: l.Resource}, Listener: l, Action: m.action(p.Field("DefaultActions"), l)}
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

// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-elasticloadbalancingv2-listenerrule.html
func (m *Model) rule(r *Rule, p assembly.Value) {
	r.Listener = refer[Listener](m, p.Field("ListenerArn").Need("a listener"), ELBListener, "ListenerArn")
	r.Priority = p.Field("Priority").Need("a priority").Int(0, 1, 50000)
	r.Action = m.action(p.Field("Actions"), r.Listener)
	for _, v := range p.Field("Conditions").Some() {
		c := condition(v)
		if c.Field != HTTPHeader && c.Field != QueryString && slices.ContainsFunc(r.Conditions, func(other Condition) bool { return other.Field == c.Field }) {
			v.Refuse("a rule can have one %s condition only", c.Field)
		}
		r.Conditions = append(r.Conditions, c)
	}
	values, wildcards := 0, 0
	for _, c := range r.Conditions {
		values += len(c.Values)
		for _, value := range c.Values {
			if c.Field != RequestMethod && c.Field != SourceIP {
				wildcards += strings.Count(value, "*") + strings.Count(value, "?")
			}
		}
	}
	if values > maxValues {
		p.Field("Conditions").Refuse("AWS refuses %d values: the conditions of a rule can have %d", values, maxValues)
	}
	if wildcards > maxWildcards {
		p.Field("Conditions").Refuse("AWS refuses %d wildcards: the conditions of a rule can have %d", wildcards, maxWildcards)
	}
}

// Quotas that AWS raises for nobody. The page says 6 wildcards; an older one said 5.
// "Quotas for your Application Load Balancers",
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-limits.html
const (
	maxValues    = 5 // of the conditions of a rule
	maxWildcards = 6 // of the conditions of a rule
	maxGroups    = 5 // of an action
)
