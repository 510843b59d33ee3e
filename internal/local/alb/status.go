package alb

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"cutover/internal/local/provider"
	"cutover/internal/rules"
)

// Status are the listeners and target groups at one moment.
type Status struct {
	Listeners []ListenerStatus
	Groups    []GroupStatus
}

// ListenerStatus is a listener and its rules in the order in which they are tried.
type ListenerStatus struct {
	Key      string `json:"key"`
	Port     int    `json:"port"`
	Protocol string `json:"protocol"`
	// URL is the listener's on this machine; empty if the listener does not answer yet.
	URL   string       `json:"url,omitempty"`
	Rules []RuleStatus `json:"rules"`
}

// RuleStatus is a listener rule. Priority 0 is the default rule.
type RuleStatus struct {
	Priority   int      `json:"priority"`
	Conditions []string `json:"conditions"`
	Action     string   `json:"action"`
}

// GroupStatus is a target group and its targets.
type GroupStatus struct {
	Key  string `json:"key"`
	Name string `json:"name"`
	// Existing says that the group exists already, and that its targets stand for those on AWS. Default false.
	Existing bool           `json:"existing,omitempty"`
	Targets  []TargetStatus `json:"targets"`
}

// Status implements [provider.Provider], with a [Status].
func (p *Provider) Status() any {
	status := Status{Listeners: []ListenerStatus{}, Groups: []GroupStatus{}}
	table := p.running.Load().table
	for _, listener := range table.Listeners {
		l := ListenerStatus{Key: listener.Key(), Port: listener.Port, Protocol: listener.Protocol, URL: p.url(listener)}
		for _, rule := range listener.Rules {
			conditions := make([]string, len(rule.Conditions))
			for i, condition := range rule.Conditions {
				conditions[i] = condition.String()
			}
			l.Rules = append(l.Rules, RuleStatus{rule.Priority, conditions, rule.Action.String()})
		}
		status.Listeners = append(status.Listeners, l)
	}
	for _, group := range table.TargetGroups {
		targets := append([]TargetStatus{}, p.Targets(group.Key())...)
		status.Groups = append(status.Groups, GroupStatus{group.Key(), group.Name, group.Existing(), targets})
	}
	return status
}

// Listeners are the listeners of requests that are configured now, by port: those of Application Load
// Balancers.
func (p *Provider) Listeners() []*rules.Listener { return p.requests().Listeners }

func (p *Provider) requests() *rules.Table {
	table := *p.running.Load().table
	table.Listeners = slices.DeleteFunc(slices.Clone(table.Listeners), func(l *rules.Listener) bool { return !l.Application() })
	return &table
}

// GroupName is the name of a target group, by its key; the key if there was no such group.
func (p *Provider) GroupName(key string) string {
	if name, ok := p.names.Load(key); ok {
		return name.(string)
	}
	return key
}

// url is the URL of a listener on this machine; empty if the listener does not answer yet.
func (p *Provider) url(listener *rules.Listener) string {
	if port := p.localPort(listener.Key()); port != 0 {
		return fmt.Sprintf("%s://localhost:%d", strings.ToLower(listener.Protocol), port)
	}
	return ""
}

// Address is the port on this machine of a load balancer's listener, by the load balancer's key and the port in the
// template; 0 if none answers.
func (p *Provider) Address(balancer string, port int) int {
	for _, listener := range p.running.Load().table.Listeners {
		if listener.LoadBalancer != nil && listener.LoadBalancer.Key() == balancer && listener.Port == port {
			return p.localPort(listener.Key())
		}
	}
	return 0
}

// URL is where clients ask for a path on this machine, with GET. See [Provider.URLOf].
func (p *Provider) URL(path string) string {
	return p.URLOf(rules.Request{Method: "GET", Host: "localhost", Path: path})
}

// URLOf is where clients send a request on this machine: the listener with the most rules for it,
// and the first of several such listeners. Empty if no listener answers yet.
//
// The load balancer that owns a path has the service's rule. While another service answers in its
// place, the load balancer has a rule before that one. The monolith does so at every load balancer.
func (p *Provider) URLOf(request rules.Request) string {
	url, most := "", -1
	for _, listener := range p.Listeners() {
		at := p.url(listener)
		request.Port = listener.Port
		if n := len(listener.Matching(request)); at != "" && n > most {
			url, most = at, n
		}
	}
	return url
}

// Asked is a request whose way is asked for.
type Asked struct {
	// Request is "METHOD URL". The default of the method is GET. The URL's port is that of the template
	// or the local one. A path alone is for port 80, or else for the lowest port.
	Request string
	Header  http.Header
	// Source is the client's address. Default: that of this machine, 127.0.0.1.
	Source netip.Addr
}

// Parse reads the request, and says whether it has a path alone.
func (a Asked) Parse() (request rules.Request, path bool, err error) {
	if request, err = rules.ParseRequest(a.Request); err != nil {
		return request, false, err
	}
	request.Header, request.SourceIP = a.Header, a.Source
	if !a.Source.IsValid() {
		request.SourceIP = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	_, target, found := strings.Cut(a.Request, " ")
	if !found {
		target = a.Request
	}
	return request, strings.HasPrefix(target, "/"), nil
}

// on are the listeners for a request. A path alone is for port 80, or else for the lowest port.
func on(table *rules.Table, request rules.Request, path bool) ([]*rules.Listener, error) {
	listeners := table.On(request.Port)
	if len(listeners) == 0 && path && len(table.Listeners) > 0 {
		listeners = table.On(table.Listeners[0].Port)
	}
	if len(listeners) == 0 {
		text := fmt.Sprintf("no load balancer listens on port %d", request.Port)
		var ports []string
		for _, l := range table.Listeners {
			ports = append(ports, strconv.Itoa(l.Port))
		}
		if len(ports) > 0 {
			text += "; choose from " + strings.Join(slices.Compact(ports), ", ")
		}
		return nil, errors.New(text)
	}
	return listeners, nil
}

// Route is the way of a request, with the reasons.
type Route struct {
	Request string `json:"request"`
	// Hops are what the fronts before the load balancer do, from the client on. If the last one answers by itself, or
	// sends the request elsewhere than to a load balancer, no rules were tried.
	Hops []provider.Hop `json:"hops,omitempty"`
	// LoadBalancer is the one that answers, if several listen on the port.
	LoadBalancer string `json:"loadBalancer,omitempty"`
	// Action is the deciding rule's: the name of a target group, several names with their shares, a
	// redirect, or the status of a fixed response.
	Action string `json:"action,omitempty"`
	// Location is where a redirect sends the request; empty for other actions. Of a path alone, the
	// host stays "#{host}".
	Location string `json:"location,omitempty"`
	// Explanation has a line for every rule that was tried.
	Explanation string `json:"explanation,omitempty"`
	// Targets are all targets that the request may go to.
	Targets []TargetStatus `json:"targets"`
	// Error says why there is no answer.
	Error string `json:"error,omitempty"`
}

func route(asked Asked, listener *rules.Listener, request rules.Request) (Route, rules.Decision, error) {
	request.Port = listener.Port
	decision, err := listener.Route(request)
	if err != nil {
		return Route{}, decision, err
	}
	redirect := decision
	redirect.Request.Host = cmp.Or(request.Host, "#{host}")
	return Route{Request: asked.Request, Action: decision.String(), Location: redirect.Location(), Explanation: decision.Explain(), Targets: []TargetStatus{}}, decision, nil
}

// Routes says where a request would go in a table: an answer for each listener on the port.
func Routes(table *rules.Table, asked Asked) ([]Route, error) {
	request, path, err := asked.Parse()
	if err != nil {
		return nil, err
	}
	listeners, err := on(table, request, path)
	if err != nil {
		return nil, err
	}
	var routes []Route
	for _, listener := range listeners {
		one, _, err := route(asked, listener, request)
		if err != nil {
			return nil, err
		}
		if len(listeners) > 1 {
			one.LoadBalancer = listener.LoadBalancerID
		}
		routes = append(routes, one)
	}
	return routes, nil
}

// At says where a request would go in a table from a load balancer on, by the load balancer's key. The request has the port
// of the template.
func At(table *rules.Table, balancer string, asked Asked, request rules.Request) (Route, error) {
	listener, err := of(table, balancer, request)
	if err != nil {
		return Route{}, err
	}
	one, _, err := route(asked, listener, request)
	return one, err
}

// of is the listener of a load balancer for a request.
func of(table *rules.Table, balancer string, request rules.Request) (*rules.Listener, error) {
	for _, listener := range table.On(request.Port) {
		if listener.LoadBalancerID == balancer {
			return listener, nil
		}
	}
	return nil, fmt.Errorf("the load balancer %s does not listen on port %d", balancer, request.Port)
}

// At says where a request would go now from a load balancer on. See [At].
func (p *Provider) At(balancer string, asked Asked, request rules.Request) (Route, error) {
	listener, err := of(p.requests(), balancer, request)
	if err != nil {
		return Route{}, err
	}
	return p.route(asked, listener, request)
}

// Route says where a request would go now.
func (p *Provider) Route(asked Asked) (Route, error) {
	request, path, err := asked.Parse()
	if err != nil {
		return Route{}, err
	}
	listener, err := p.asked(request, path)
	if err != nil {
		return Route{}, err
	}
	return p.route(asked, listener, request)
}

func (p *Provider) route(asked Asked, listener *rules.Listener, request rules.Request) (Route, error) {
	one, decision, err := route(asked, listener, request)
	if err != nil {
		return Route{}, err
	}
	if one.Location != "" {
		one.Location = p.location(listener.Key(), one.Location)
	}
	for _, weighted := range decision.Rule.Action.Forward {
		if weighted.Share > 0 {
			one.Targets = append(one.Targets, p.Targets(weighted.TargetGroup.Key())...)
		}
	}
	return one, nil
}

// location is the URL of a redirect as the listener answers here.
func (p *Provider) location(listener, location string) string {
	p.Balancer.mu.Lock()
	front := p.fronts[listener]
	p.Balancer.mu.Unlock()
	if front == nil {
		return location
	}
	return p.localLocation(front.listener.Load(), location)
}

// asked is the listener that a request is for.
func (p *Provider) asked(request rules.Request, path bool) (*rules.Listener, error) {
	table := p.requests()
	for _, listener := range table.Listeners {
		if p.localPort(listener.Key()) == request.Port {
			return listener, nil
		}
	}
	listeners, err := on(table, request, path)
	if err != nil {
		return nil, err
	}
	if len(listeners) == 1 {
		return listeners[0], nil
	}
	var each []string
	for _, listener := range listeners {
		each = append(each, fmt.Sprintf("%s (%s)", p.url(listener)+request.Path, listener.Resource.Stack.Name))
	}
	return nil, fmt.Errorf("several load balancers listen on port %d: name the one that is asked, as in %s", listeners[0].Port, strings.Join(each, " or "))
}
