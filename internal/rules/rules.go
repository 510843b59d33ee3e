// Package rules answers where an Application Load Balancer sends a request,
// from nothing but the listeners, rules and target groups of a synthesized
// cloud assembly.
//
//	table, err := rules.Build(model.Read(assembly))
//	request, err := rules.ParseRequest("GET /api/users/1")
//	decision, err := table.Route(request)
//	fmt.Println(decision) // users
//
// The rules are evaluated as AWS documents them at
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/listener-rules.html,
// .../rule-condition-types.html and .../rule-action-types.html. Comments say where
// the documentation leaves something open. [Build] refuses each condition, action and
// setting that is not evaluated, by name and place: an answer is never a guess.
package rules

import (
	"cmp"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"cutover/internal/assembly"
	"cutover/internal/model"
)

// Table is what the load balancers of an assembly do with requests. It does not
// change after [Build], so it may be used by several goroutines.
type Table struct {
	// Listeners are ordered by port.
	Listeners []*Listener
	// TargetGroups are all of the assembly, in use or not, ordered by name.
	TargetGroups []*model.TargetGroup
}

// Listener is a listener with its rules.
type Listener struct {
	*model.Listener
	// Rules are in the order they are tried. The last one is the default rule.
	Rules []*Rule
}

// Rule is a rule with its conditions compiled.
type Rule struct {
	*model.Rule
	compiled []condition
}

// Build makes the table of all listeners in an assembly. Its error has a line
// for everything that cannot be evaluated, each with its place.
//
// Build refuses an assembly that may have rules that it cannot see: one with nested
// stacks, or with macros that CloudFormation applies to a template.
func Build(m *model.Model) (*Table, error) {
	var errs []error
	for _, stack := range m.Assembly.Stacks {
		for _, macro := range stack.Transforms {
			errs = append(errs, fmt.Errorf("%s: the macro %s changes the template when it is deployed", stack.Name, macro))
		}
	}
	for _, stack := range m.Assembly.Resources(model.CloudFormationStack) {
		errs = append(errs, stack.Errorf("", "nested stacks are not read, and rules may be in it"))
	}
	table := &Table{TargetGroups: slices.Clone(m.TargetGroups)}
	for _, group := range m.TargetGroups {
		errs = append(errs, group.Problem("Name"))
	}
	listeners := map[*model.Listener]*Listener{}
	for _, l := range m.Listeners {
		errs = append(errs, l.Problem("Protocol"))
		if l.Protocol != "HTTP" && l.Protocol != "HTTPS" {
			errs = append(errs, l.Errorf("Protocol", "%q: only HTTP and HTTPS listeners, those of an Application Load Balancer, are evaluated", l.Protocol))
			continue
		}
		errs = append(errs, l.Unsupported(nil, nil, "Port", "LoadBalancerArn", "DefaultActions"))
		listeners[l] = &Listener{Listener: l}
		table.Listeners = append(table.Listeners, listeners[l])
	}
	for _, r := range m.Rules {
		err := r.Unsupported(map[string]string{"Tags": ""}, nil)
		errs = append(errs, err)
		if l := listeners[r.Listener]; l != nil && err == nil {
			if i := slices.IndexFunc(l.Rules, func(other *Rule) bool { return other.Priority == r.Priority }); i >= 0 {
				errs = append(errs, r.Errorf("Priority", "%d is also the priority of %v", r.Priority, l.Rules[i].Resource))
			}
			l.Rules = append(l.Rules, compileRule(r))
		}
	}
	if err := assembly.Join(errs...); err != nil {
		return nil, err
	}
	for _, l := range table.Listeners {
		slices.SortFunc(l.Rules, func(x, y *Rule) int { return cmp.Compare(x.Priority, y.Priority) })
		l.Rules = append(l.Rules, compileRule(l.Default))
	}
	slices.SortStableFunc(table.Listeners, func(x, y *Listener) int { return cmp.Compare(x.Port, y.Port) })
	slices.SortStableFunc(table.TargetGroups, func(x, y *model.TargetGroup) int { return cmp.Compare(x.Name, y.Name) })
	return table, nil
}

func compileRule(m *model.Rule) *Rule {
	rule := &Rule{Rule: m}
	for _, c := range m.Conditions {
		rule.compiled = append(rule.compiled, compileCondition(c))
	}
	return rule
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
		for i := range rule.compiled {
			met, err := rule.compiled[i].matches(r)
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
	for i := range rule.compiled {
		reason, err := rule.compiled[i].miss(r)
		if reason != "" {
			return reason, nil
		}
		open = cmp.Or(open, err)
	}
	return "", open
}

// String is the action that is taken, see [model.Action.String].
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
