// Package rules answers where an Application Load Balancer sends a request,
// from nothing but the listeners, rules and target groups of a synthesized
// cloud assembly.
//
//	table, err := rules.Build(assembly)
//	request, err := rules.ParseRequest("GET /api/users/1")
//	decision, err := table.Route(request)
//	fmt.Println(decision) // users
//
// The rules are evaluated as AWS documents them at
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/listener-rules.html,
// .../rule-condition-types.html and .../rule-action-types.html. What the
// documentation leaves open is said where it matters. A condition, an action or
// a setting that is not evaluated here is refused when the table is built, by
// name and place, so that an answer is never a guess.
package rules

import (
	"cmp"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"cutover/internal/assembly"
)

// Table is what the load balancers of an assembly do with requests. It does not
// change after [Build], so it may be used by several goroutines.
type Table struct {
	// Listeners are ordered by port.
	Listeners []*Listener
	// TargetGroups are all of the assembly, in use or not, ordered by name.
	TargetGroups []*TargetGroup
}

// Listener is a port on which a load balancer takes requests.
type Listener struct {
	Resource *assembly.Resource
	// LoadBalancer is nil if the assembly does not have it.
	LoadBalancer *assembly.Resource
	Port         int
	// Protocol is HTTP or HTTPS.
	Protocol string
	// Rules are in the order they are tried. The last one is the default rule,
	// which has no conditions.
	Rules []*Rule
}

// Rule says what happens to the requests that meet all of its conditions.
type Rule struct {
	// Resource is the listener's own for its default rule.
	Resource *assembly.Resource
	// Priority is 1 to 50000; lower ones are tried first. 0 is the default rule.
	Priority   int
	Conditions []Condition
	Action     Action
}

// TargetGroup is where requests are forwarded to.
type TargetGroup struct {
	Resource *assembly.Resource
	// Name is the group's, or its logical id if CloudFormation is to give it one.
	Name string
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

// Request is what of a request decides its way.
type Request struct {
	// Port is that of the listener which gets the request.
	Port   int
	Method string
	// Host is the Host header, with or without a port.
	Host string
	// Path is as it stands in the request line: percent-encoded, without the
	// query. Rules see it that way too.
	Path string
	// Query is as it stands in the request line, without the "?".
	Query  string
	Header http.Header
	// SourceIP is the address that connects to the load balancer. It may be left
	// out as long as no rule asks for it.
	SourceIP netip.Addr
}

// ParseRequest reads a request from a short text, "METHOD URL". The method may
// be left out and is GET then. The URL may be a path alone, which goes to port 80.
func ParseRequest(text string) (Request, error) {
	r := Request{Port: 80, Method: http.MethodGet}
	target := text
	if method, rest, ok := strings.Cut(text, " "); ok {
		r.Method, target = method, rest
	}
	invalid := func(reason string) (Request, error) {
		return Request{}, fmt.Errorf("request %q: %s; expected something like \"GET /api/users\" or \"GET http://example.com/api/users\"", text, reason)
	}
	if r.Method == "" || target == "" || strings.ContainsAny(target, " \t\r\n") {
		return invalid("not a method and an URL")
	}
	// A fragment stays with the client.
	target, _, _ = strings.Cut(target, "#")
	if !strings.HasPrefix(target, "/") {
		scheme, rest, ok := strings.Cut(target, "://")
		switch {
		case ok && strings.EqualFold(scheme, "http"):
		case ok && strings.EqualFold(scheme, "https"):
			r.Port = 443
		default:
			return invalid("the URL begins neither with / nor with http:// or https://")
		}
		end := strings.IndexAny(rest, "/?")
		if end < 0 {
			end = len(rest)
		}
		r.Host, target = rest[:end], rest[end:]
		if r.Host == "" || strings.Contains(r.Host, "@") {
			return invalid("the URL has no plain host")
		}
		if _, port, err := net.SplitHostPort(r.Host); err == nil {
			number, err := strconv.ParseUint(port, 10, 16)
			if err != nil || number == 0 {
				return invalid("the port is not a number from 1 to 65535")
			}
			r.Port = int(number)
		}
	}
	r.Path, r.Query, _ = strings.Cut(target, "?")
	r.Path = cmp.Or(r.Path, "/")
	return r, nil
}

// String is the method, and the URL as far as it is known.
func (r Request) String() string {
	text := r.Method + " " + r.Host + r.Path
	if r.Query != "" {
		text += "?" + r.Query
	}
	return text
}

// hostname is the host of the request without its port.
func (r *Request) hostname() string {
	if strings.IndexByte(r.Host, ':') < 0 {
		return r.Host
	}
	if host, _, err := net.SplitHostPort(r.Host); err == nil {
		return host
	}
	return r.Host
}

// Decision is the answer to a request, and how it came about.
type Decision struct {
	Request  Request
	Listener *Listener
	// Rule is the one that decides: the first that matches, or the default rule.
	Rule *Rule
	// Misses are the rules that were tried before, in their order.
	Misses []Miss
}

// Miss is a rule that does not match a request.
type Miss struct {
	Rule *Rule
	// Reason says which condition is not met, and by what.
	Reason string
}

// Route tells what happens to a request. It fails if there is no one listener on
// the port, or if a rule asks for something that the request leaves open.
func (t *Table) Route(r Request) (Decision, error) {
	var on []*Listener
	for _, listener := range t.Listeners {
		if listener.Port == r.Port {
			on = append(on, listener)
		}
	}
	switch len(on) {
	case 0:
		return Decision{}, fmt.Errorf("no load balancer of the assembly listens on port %d", r.Port)
	case 1:
		return on[0].Route(r)
	}
	return Decision{}, fmt.Errorf("several load balancers listen on port %d: %v and %v; ask one of the listeners", r.Port, on[0].Resource, on[1].Resource)
}

// Route tells what this listener does with a request, whatever its port. It
// fails if a rule asks for something that the request leaves open.
func (l *Listener) Route(r Request) (Decision, error) {
	decision := Decision{Request: r, Listener: l}
	for _, rule := range l.Rules {
		reason, err := rule.miss(&r)
		if err != nil {
			return Decision{}, fmt.Errorf("%v: %w", rule.Resource, err)
		}
		if reason == "" {
			decision.Rule = rule
			break
		}
		decision.Misses = append(decision.Misses, Miss{Rule: rule, Reason: reason})
	}
	return decision, nil
}

// Match returns the rule that decides about a request, as Route does, and does
// not say why the others do not: for a load balancer that asks at every request.
func (l *Listener) Match(r *Request) (*Rule, error) {
next:
	for _, rule := range l.Rules {
		var open error
		for i := range rule.Conditions {
			met, err := rule.Conditions[i].matches(r)
			if !met && err == nil {
				continue next
			}
			open = cmp.Or(open, err)
		}
		if open != nil {
			return nil, fmt.Errorf("%v: %w", rule.Resource, open)
		}
		return rule, nil
	}
	return nil, fmt.Errorf("%v: no rule matches, not even a default rule", l.Resource)
}

// Matching lists the rules whose conditions a request meets, without the default
// rule. One that asks for something that the request leaves open is not among them.
func (l *Listener) Matching(r Request) []*Rule {
	var rules []*Rule
	for _, rule := range l.Rules {
		if reason, err := rule.miss(&r); len(rule.Conditions) > 0 && reason == "" && err == nil {
			rules = append(rules, rule)
		}
	}
	return rules
}

// miss returns why a request does not meet the rule's conditions, empty if it
// meets them all. That a condition cannot be told does not matter when another
// one is not met.
func (rule *Rule) miss(r *Request) (string, error) {
	var open error
	for i := range rule.Conditions {
		reason, err := rule.Conditions[i].miss(r)
		if reason != "" {
			return reason, nil
		}
		open = cmp.Or(open, err)
	}
	return "", open
}

// String is the action that is taken, see [Action.String].
func (d Decision) String() string { return d.Rule.Action.String() }

// Explain tells in lines of text how the decision came about: the request, each
// rule that did not match and why, and the one that did.
func (d Decision) Explain() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s on %s\n", d.Request, d.Listener)
	for _, miss := range d.Misses {
		fmt.Fprintf(&b, "  %-7s no: %s\n", miss.Rule.priority(), miss.Reason)
	}
	fmt.Fprintf(&b, "  %-7s %s -> %s\n", d.Rule.priority(), d.Rule.conditions(), d)
	return b.String()
}

// Location is the URL that a redirect sends this request to, empty for another
// action. As with the load balancer, the port is always part of it.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_RedirectActionConfig.html
func (d Decision) Location() string {
	redirect := d.Rule.Action.Redirect
	if redirect == nil {
		return ""
	}
	fill := strings.NewReplacer(
		"#{protocol}", strings.ToLower(d.Listener.Protocol),
		"#{host}", d.Request.hostname(),
		"#{port}", strconv.Itoa(d.Listener.Port),
		"#{path}", strings.TrimPrefix(d.Request.Path, "/"),
		"#{query}", d.Request.Query,
	)
	location := strings.ToLower(fill.Replace(redirect.Protocol)) + "://" + fill.Replace(redirect.Host) + ":" + fill.Replace(redirect.Port) + fill.Replace(redirect.Path)
	if query := fill.Replace(redirect.Query); query != "" {
		location += "?" + query
	}
	return location
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

// String is the protocol and the port: "HTTP:80".
func (l *Listener) String() string { return l.Protocol + ":" + strconv.Itoa(l.Port) }

func (rule *Rule) priority() string {
	if rule.Priority == 0 {
		return "default"
	}
	return strconv.Itoa(rule.Priority)
}

func (rule *Rule) conditions() string {
	if len(rule.Conditions) == 0 {
		return "anything"
	}
	var all []string
	for _, condition := range rule.Conditions {
		all = append(all, condition.String())
	}
	return strings.Join(all, " and ")
}

// String shows the whole table, to be read by eye: each listener, and below it
// its rules in their order.
func (t *Table) String() string {
	var b strings.Builder
	for _, listener := range t.Listeners {
		fmt.Fprintf(&b, "%s (%s)\n", listener, listener.Resource)
		for _, rule := range listener.Rules {
			fmt.Fprintf(&b, "  %-7s %s -> %s\n", rule.priority(), rule.conditions(), rule.Action)
		}
	}
	return b.String()
}
