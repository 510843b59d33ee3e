package alb

import (
	"fmt"
	"strings"
	"time"

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
	// URL is where the listener answers on this machine; empty if it does not yet.
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

// TargetStatus is a target. Its id is that of the task.
type TargetStatus struct {
	ID       string    `json:"id"`
	Address  string    `json:"address"`
	State    string    `json:"state"`
	Reason   string    `json:"reason,omitempty"`
	InFlight int       `json:"inFlight"`
	Since    time.Time `json:"since"`
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
		status.Groups = append(status.Groups, GroupStatus{Key: group.Key(), Name: group.Name, Targets: p.targetStatus(group.Key())})
	}
	return status
}

func (p *Provider) targetStatus(group string) []TargetStatus {
	all := []TargetStatus{}
	for _, t := range p.Targets(group) {
		all = append(all, TargetStatus{ID: t.ID, Address: t.Address, State: t.State.String(), Reason: t.Description, InFlight: t.InFlight, Since: t.Since})
	}
	return all
}

// Listeners are the listeners that are configured now, by port.
func (p *Provider) Listeners() []*rules.Listener { return p.running.Load().table.Listeners }

// GroupName is the name of a target group, by its key; the key if there was no such
// group.
func (p *Provider) GroupName(key string) string {
	if name, ok := p.names.Load(key); ok {
		return name.(string)
	}
	return key
}

// url is where a listener answers on this machine; empty if it does not yet.
func (p *Provider) url(listener *rules.Listener) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	open, ok := p.listening[listener.Key()]
	if !ok {
		return ""
	}
	return fmt.Sprintf("%s://localhost:%d", strings.ToLower(listener.Protocol), open.on())
}

// URL is where clients ask for a path on this machine: the listener that has the
// most rules for the path, and the first of several such listeners. Empty if none
// answers yet.
//
// The load balancer that owns a path has the service's rule. The load balancer has
// another rule before that one while another service answers in the place of the
// service, as the monolith does for everything at every load balancer.
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

// Route is where a request goes, and why.
type Route struct {
	Request string `json:"request"`
	// Action is what the rule that decides does: the name of a target group,
	// several with their shares, a redirect, or the status of a fixed response.
	Action string `json:"action"`
	// Explanation has a line for every rule that was tried.
	Explanation string `json:"explanation"`
	// Targets are those of the groups that the request may go to.
	Targets []TargetStatus `json:"targets"`
}

// Route says where a request would go now. The request is "METHOD URL"; the default
// of the method is GET. The port of the URL may be that of the template or the local
// one.
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
			route.Targets = append(route.Targets, p.targetStatus(weighted.TargetGroup.Key())...)
		}
	}
	return route, nil
}

// asked is the listener that a request is for.
func (p *Provider) asked(request rules.Request) (*rules.Listener, error) {
	var on []*rules.Listener // with this port in the template
	for _, listener := range p.Listeners() {
		p.mu.Lock()
		open, ok := p.listening[listener.Key()]
		p.mu.Unlock()
		if ok && open.on() == request.Port {
			return listener, nil
		}
		if listener.Port == request.Port {
			on = append(on, listener)
		}
	}
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
