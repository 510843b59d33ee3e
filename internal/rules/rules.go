// Package rules answers where an Application Load Balancer sends a request. It needs only the
// listeners, rules and target groups of a synthesized cloud assembly.
//
//	table, err := rules.Build(model.Read(assembly))
//	request, err := rules.ParseRequest("GET /api/users/1")
//	decision, err := table.Route(request)
//	fmt.Println(decision) // users
//
// The rules are evaluated as AWS documents them at
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/listener-rules.html,
// .../rule-condition-types.html and .../rule-action-types.html. Comments say where the
// documentation leaves something open. An answer is never a guess: [Build] refuses each condition,
// action and setting that is not evaluated, by name and place.
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
	"cutover/migration"
)

// Table is what load balancers do with requests. A table never changes, so several goroutines may
// use it.
type Table struct {
	// Listeners are ordered by port.
	Listeners []*Listener
	// TargetGroups are all groups, in use or not. [Build] orders them by name.
	TargetGroups []*model.TargetGroup
}

// Listener is a listener with its rules.
type Listener struct {
	*model.Listener
	// Rules are ordered as they are tried. The last one is the default rule.
	Rules []*Rule
}

// Rule is a rule with its conditions compiled.
type Rule struct {
	*model.Rule
	compiled []condition
}

// Build makes the table of the listeners and target groups of all Application Load Balancers in an
// assembly. Other kinds are left out. Its error has a line with the place for everything that
// cannot be evaluated. Nested stacks and CloudFormation macros may hide rules, so
// Build refuses them.
func Build(m *model.Model) (*Table, error) {
	var errs []error
	for _, stack := range m.Assembly.Stacks {
		errs = append(errs, stack.Macros())
	}
	for _, stack := range m.Assembly.Resources(model.CloudFormationStack) {
		errs = append(errs, stack.Errorf("", "nested stacks are not read, and rules may be in it"))
	}
	listeners, groups := slices.Clone(m.Listeners), slices.Clone(m.TargetGroups)
	listeners = slices.DeleteFunc(listeners, func(l *model.Listener) bool { return !l.Application() })
	groups = slices.DeleteFunc(groups, func(g *model.TargetGroup) bool { return !g.Application() })
	for _, group := range groups {
		errs = append(errs, group.Problem("Name"))
	}
	for _, l := range listeners {
		errs = append(errs, l.Problem("Protocol"))
		if l.Protocol != "HTTP" && l.Protocol != "HTTPS" {
			errs = append(errs, l.Errorf("Protocol", "%q: only HTTP and HTTPS listeners, those of an Application Load Balancer, are evaluated", l.Protocol))
			continue
		}
		errs = append(errs, l.Unsupported(nil, nil, "Port", "LoadBalancerArn", "DefaultActions"))
	}
	for i, r := range m.Rules {
		errs = append(errs, r.Unsupported(map[string]string{"Tags": ""}, nil))
		for _, other := range m.Rules[:i] {
			if r.Listener != nil && r.Listener == other.Listener && r.Priority > 0 && r.Priority == other.Priority {
				errs = append(errs, r.Errorf("Priority", "%d is also the priority of %v", r.Priority, other.Resource))
				break
			}
		}
	}
	if err := assembly.Join(errs...); err != nil {
		return nil, err
	}
	slices.SortStableFunc(groups, func(x, y *model.TargetGroup) int { return cmp.Compare(x.Name, y.Name) })
	return New(listeners, m.Rules, groups), nil
}

// New makes a table of resources without a problem.
func New(listeners []*model.Listener, rules []*model.Rule, groups []*model.TargetGroup) *Table {
	table := &Table{TargetGroups: groups}
	byListener := map[string][]*Rule{}
	for _, rule := range rules {
		byListener[rule.Listener.Key()] = append(byListener[rule.Listener.Key()], compileRule(rule))
	}
	for _, l := range listeners {
		own := byListener[l.Key()]
		slices.SortStableFunc(own, func(x, y *Rule) int { return cmp.Compare(x.Priority, y.Priority) })
		table.Listeners = append(table.Listeners, &Listener{l, append(own, compileRule(l.Default))})
	}
	slices.SortStableFunc(table.Listeners, func(x, y *Listener) int { return cmp.Compare(x.Port, y.Port) })
	return table
}

// Fronted returns the table for clients of the fronts: a condition is met if a front adds the header that it asks for, see
// [model.Model.Adds]. The rules are the same but for that.
func (t *Table) Fronted(m *model.Model) *Table {
	fronted := &Table{TargetGroups: t.TargetGroups}
	for _, l := range t.Listeners {
		one := &Listener{Listener: l.Listener}
		for _, rule := range l.Rules {
			one.Rules = append(one.Rules, &Rule{rule.Rule, slices.DeleteFunc(slices.Clone(rule.compiled), func(c condition) bool {
				return m.Adds(l.LoadBalancer, c.Condition)
			})})
		}
		fronted.Listeners = append(fronted.Listeners, one)
	}
	return fronted
}

// Parked says that the rule waits for its turn, as [migration.Parked] says: no request has its host.
func (rule *Rule) Parked() bool {
	return slices.ContainsFunc(rule.Conditions, func(c model.Condition) bool {
		return c.Field == model.HostHeader && !slices.ContainsFunc(c.Values, func(host string) bool { return !strings.HasSuffix(host, migration.ParkedHost) })
	})
}

func compileRule(m *model.Rule) *Rule {
	rule := &Rule{Rule: m}
	for _, c := range m.Conditions {
		rule.compiled = append(rule.compiled, compileCondition(c))
	}
	return rule
}

// Request is the part of a request that rules look at.
type Request struct {
	// Port is the listener's.
	Port   int
	Method string
	// Host is the Host header, with or without a port.
	Host string
	// Path is the request line's: percent-encoded, without the query. Rules see it normalized.
	Path string
	// Query is the request line's, without the "?".
	Query  string
	Header http.Header
	// SourceIP is the address that connects to the load balancer. Only rules with a source-ip
	// condition need it.
	SourceIP netip.Addr

	normal string // the path as rules see it; empty if nobody has asked
}

// path is the path of the request as rules see it.
func (r *Request) path() string {
	if r.normal == "" {
		r.normal = Normalize(r.Path)
	}
	return r.normal
}

// ParseRequest reads a request from a short text, "METHOD URL". The default of the method is GET.
// The URL may be a path alone, for port 80.
func ParseRequest(text string) (Request, error) {
	method, target, ok := strings.Cut(text, " ")
	if !ok {
		method, target = http.MethodGet, text
	}
	r := Request{Port: 80, Method: method}
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
		secure := strings.EqualFold(scheme, "https")
		if !ok || !secure && !strings.EqualFold(scheme, "http") {
			return invalid("the URL begins neither with / nor with http:// or https://")
		}
		if secure {
			r.Port = 443
		}
		end := strings.IndexAny(rest+"/", "/?")
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

// String is the method and the known part of the URL.
func (r Request) String() string {
	text := r.Method + " " + r.Host + r.Path
	if r.Query != "" {
		text += "?" + r.Query
	}
	return text
}

// hostname is the host of the request without its port.
func (r *Request) hostname() string {
	if strings.IndexByte(r.Host, ':') >= 0 {
		if host, _, err := net.SplitHostPort(r.Host); err == nil {
			return host
		}
	}
	return r.Host
}

// Decision is the answer to a request.
type Decision struct {
	Request  Request
	Listener *Listener
	// Rule decides: the first rule that matches, or the default rule.
	Rule *Rule
}

// On returns the listeners on a port.
func (t *Table) On(port int) []*Listener {
	return slices.DeleteFunc(slices.Clone(t.Listeners), func(l *Listener) bool { return l.Port != port })
}

// Route tells what happens to a request. Route fails if the port does not have exactly one
// listener, or if a rule depends on something that the request leaves open.
func (t *Table) Route(r Request) (Decision, error) {
	on := t.On(r.Port)
	switch len(on) {
	case 0:
		return Decision{}, fmt.Errorf("no load balancer of the assembly listens on port %d", r.Port)
	case 1:
		return on[0].Route(r)
	}
	return Decision{}, fmt.Errorf("several load balancers listen on port %d: %v and %v; ask one of the listeners", r.Port, on[0].Resource, on[1].Resource)
}

// Route tells what this listener does with a request, whatever its port. Route fails if a rule
// depends on something that the request leaves open.
func (l *Listener) Route(r Request) (Decision, error) {
	rule, err := l.Match(&r)
	return Decision{r, l, rule}, err
}

// Match returns the rule that decides about a request. A load balancer asks Match at every request.
func (l *Listener) Match(r *Request) (*Rule, error) {
	for _, rule := range l.Rules {
		switch met, known := rule.matches(r); {
		case !known:
			return nil, fmt.Errorf("%v: whether the rule matches depends on the address of the client, which the request does not have", rule.Resource)
		case met:
			return rule, nil
		}
	}
	return nil, fmt.Errorf("%v: no rule matches, not even a default rule", l.Resource)
}

// Matching lists the rules that match a request, without the default rule. Rules that depend on
// something that the request leaves open are not in the list.
func (l *Listener) Matching(r Request) []*Rule {
	return slices.DeleteFunc(slices.Clone(l.Rules), func(rule *Rule) bool {
		met, known := rule.matches(&r)
		return !met || !known || len(rule.Conditions) == 0
	})
}

// matches tells whether a request meets all conditions of the rule. That is not known if the
// request has no source address, and meets the other conditions.
func (rule *Rule) matches(r *Request) (met, known bool) {
	known = true
	for i := range rule.compiled {
		met, sure := rule.compiled[i].matches(r)
		if !met && sure {
			return false, true
		}
		known = known && sure
	}
	return true, known
}

// miss says which condition of a rule that does not match is not met.
func (rule *Rule) miss(r *Request) string {
	for i := range rule.compiled {
		if met, known := rule.compiled[i].matches(r); !met && known {
			return rule.compiled[i].miss(r)
		}
	}
	return ""
}

// String is the action of the rule, see [model.Action.String].
func (d Decision) String() string { return d.Rule.Action.String() }

// Explain gives the reasons in lines of text: the request, the rules that did not match, and the
// rule that did.
func (d Decision) Explain() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s on %s\n", d.Request, d.Listener)
	for _, rule := range d.Listener.Rules[:slices.Index(d.Listener.Rules, d.Rule)] {
		fmt.Fprintf(&b, "  %-7s no: %s\n", rule.priority(), rule.miss(&d.Request))
	}
	fmt.Fprintf(&b, "  %-7s %s -> %s\n", d.Rule.priority(), d.Rule.conditions(), d)
	return b.String()
}

// Location is the URL that a redirect sends this request to; empty for another action. The URL
// always has a port, as on AWS.
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

// Patterns are the path patterns of the rule that take a request's path, as the template has them.
func (rule *Rule) Patterns(r *Request) (patterns []string) {
	for _, c := range rule.compiled {
		if c.Field != model.PathPattern {
			continue
		}
		for i := range c.patterns {
			if c.patterns[i].Match(r.path()) {
				patterns = append(patterns, c.Values[i])
			}
		}
	}
	return patterns
}
