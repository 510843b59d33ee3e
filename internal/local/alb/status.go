package alb

import (
	"fmt"
	"strings"

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
	Key     string         `json:"key"`
	Name    string         `json:"name"`
	Targets []TargetStatus `json:"targets"`
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
		status.Groups = append(status.Groups, GroupStatus{group.Key(), group.Name, targets})
	}
	return status
}

// Listeners are the listeners that are configured now, by port.
func (p *Provider) Listeners() []*rules.Listener { return p.running.Load().table.Listeners }

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

// URL is where clients ask for a path on this machine: the listener with the most rules for the
// path, and the first of several such listeners. Empty if no listener answers yet.
//
// The load balancer that owns a path has the service's rule. While another service answers in its
// place, the load balancer has a rule before that one. The monolith does so at every load balancer.
func (p *Provider) URL(path string) string {
	url, most := "", -1
	for _, listener := range p.Listeners() {
		at := p.url(listener)
		if n := len(listener.Matching(rules.Request{Port: listener.Port, Method: "GET", Host: "localhost", Path: path})); at != "" && n > most {
			url, most = at, n
		}
	}
	return url
}

// Route is the way of a request, with the reasons.
type Route struct {
	Request string `json:"request"`
	// Action is the deciding rule's: the name of a target group, several names with their shares, a
	// redirect, or the status of a fixed response.
	Action string `json:"action"`
	// Explanation has a line for every rule that was tried.
	Explanation string `json:"explanation"`
	// Targets are all targets that the request may go to.
	Targets []TargetStatus `json:"targets"`
}

// Route says where a request would go now. The request is "METHOD URL"; the default of the method
// is GET. The URL's port is that of the template or the local one.
func (p *Provider) Route(text string) (Route, error) {
	request, err := rules.ParseRequest(text)
	if err != nil {
		return Route{}, err
	}
	listener, err := p.asked(request)
	if err != nil {
		return Route{}, err
	}
	request.Port = listener.Port
	decision, err := listener.Route(request)
	if err != nil {
		return Route{}, err
	}
	route := Route{Request: text, Action: decision.String(), Explanation: decision.Explain(), Targets: []TargetStatus{}}
	for _, weighted := range decision.Rule.Action.Forward {
		if weighted.Share > 0 {
			route.Targets = append(route.Targets, p.Targets(weighted.TargetGroup.Key())...)
		}
	}
	return route, nil
}

// asked is the listener that a request is for.
func (p *Provider) asked(request rules.Request) (*rules.Listener, error) {
	table := p.running.Load().table
	for _, listener := range table.Listeners {
		if p.localPort(listener.Key()) == request.Port {
			return listener, nil
		}
	}
	on := table.On(request.Port)
	switch len(on) {
	case 0:
		return nil, fmt.Errorf("no load balancer listens on port %d", request.Port)
	case 1:
		return on[0], nil
	}
	var each []string
	for _, listener := range on {
		each = append(each, fmt.Sprintf("%s (%s)", p.url(listener)+request.Path, listener.Resource.Stack.Name))
	}
	return nil, fmt.Errorf("several load balancers listen on port %d: name the one that is asked, as in %s", request.Port, strings.Join(each, " or "))
}
