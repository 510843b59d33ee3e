package local

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"cutover/internal/local/alb"
	"cutover/internal/local/ecs"
	"cutover/internal/rules"
)

// Status is a local deployment as it is at one moment.
type Status struct {
	// Deploying says that an assembly is being deployed.
	Deploying bool                `json:"deploying"`
	Listeners []ListenerStatus    `json:"listeners"`
	Services  []ecs.ServiceStatus `json:"services"`
	Groups    []GroupStatus       `json:"targetGroups"`
	// NotRun counts the resources of the templates that nothing here stands for,
	// by their type: they are deployed on AWS only.
	NotRun map[string]int `json:"notRun"`
}

// ListenerStatus is a listener and its rules in the order in which they are tried.
type ListenerStatus struct {
	Key      string `json:"key"`
	Port     int    `json:"port"`
	Protocol string `json:"protocol"`
	// URL is where it answers on this machine; empty if it does not yet.
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

// run here: resource types that something on this machine stands for.
var runHere = []string{
	"AWS::ApplicationAutoScaling::ScalableTarget", "AWS::ApplicationAutoScaling::ScalingPolicy",
	"AWS::ECS::Cluster", "AWS::ECS::Service", "AWS::ECS::TaskDefinition", "AWS::SSM::Parameter",
	"AWS::ElasticLoadBalancingV2::Listener", "AWS::ElasticLoadBalancingV2::ListenerRule",
	"AWS::ElasticLoadBalancingV2::LoadBalancer", "AWS::ElasticLoadBalancingV2::TargetGroup",
}

// Status returns what runs.
func (r *Runner) Status() Status {
	status := Status{
		Deploying: r.deploying.Load(), Listeners: []ListenerStatus{}, Services: r.scheduler.Status(), Groups: []GroupStatus{},
		NotRun: map[string]int{},
	}
	served := r.served()
	config, deployed := r.current()
	for _, listener := range config.Table.Listeners {
		l := ListenerStatus{Key: listener.Resource.String(), Port: listener.Port, Protocol: listener.Protocol, URL: r.url(listener, served)}
		for _, rule := range listener.Rules {
			conditions := make([]string, len(rule.Conditions))
			for i, condition := range rule.Conditions {
				conditions[i] = condition.String()
			}
			l.Rules = append(l.Rules, RuleStatus{rule.Priority, conditions, rule.Action.String()})
		}
		status.Listeners = append(status.Listeners, l)
	}
	for _, group := range config.Table.TargetGroups {
		g := GroupStatus{Key: group.Key(), Name: group.Name, Targets: []TargetStatus{}}
		for _, target := range r.balancer.Targets(group.Key()) {
			g.Targets = append(g.Targets, targetStatus(target))
		}
		status.Groups = append(status.Groups, g)
	}
	if deployed != nil {
		for _, stack := range deployed.assembly.Stacks {
			for _, resource := range stack.Resources {
				if !slices.Contains(runHere, resource.Type) {
					status.NotRun[resource.Type]++
				}
			}
		}
	}
	return status
}

// url is where a listener answers on this machine; empty if it does not yet.
func (r *Runner) url(listener *rules.Listener, served map[string]string) string {
	address, ok := served[listener.Resource.String()]
	if !ok {
		return ""
	}
	_, port, _ := strings.Cut(address, ":")
	return strings.ToLower(listener.Protocol) + "://localhost:" + port
}

// URL is where clients ask for a path on this machine: at the listener that has the
// most rules for it. The one that owns the path has that of the service, and one
// before it as long as another service answers in its place, as the monolith does
// for everything at every load balancer. The first of those that have as many;
// empty if none answers yet.
func (r *Runner) URL(path string) string {
	config, _ := r.current()
	served := r.served()
	url, most := "", -1
	for _, listener := range config.Table.Listeners {
		at := r.url(listener, served)
		if n := len(listener.Matching(rules.Request{Port: listener.Port, Method: "GET", Host: "localhost", Path: path})); at != "" && n > most {
			url, most = at, n
		}
	}
	return url
}

func targetStatus(t alb.TargetHealth) TargetStatus {
	return TargetStatus{ID: t.ID, Address: t.Address, State: t.State.String(), Reason: t.Description, InFlight: t.InFlight, Since: t.Since}
}

func (r *Runner) current() (*alb.Config, *desired) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return join(r.parts), r.deployed
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

// Route says where a request would go now. The request is "METHOD URL", the
// method GET if left out; a URL's port may be that of the template or the local
// one.
func (r *Runner) Route(text string) (Route, error) {
	request, err := rules.ParseRequest(text)
	if err != nil {
		return Route{}, err
	}
	config, _ := r.current()
	served := r.served()
	var here *rules.Listener // with this local port
	var on []*rules.Listener // with this port in the template
	for _, listener := range config.Table.Listeners {
		if _, port, _ := strings.Cut(served[listener.Resource.String()], ":"); port == fmt.Sprint(request.Port) {
			here = listener
		}
		if listener.Port == request.Port {
			on = append(on, listener)
		}
	}
	switch {
	case here != nil:
	case len(on) == 0:
		return Route{}, fmt.Errorf("no load balancer listens on port %d", request.Port)
	case len(on) > 1:
		var each []string
		for _, listener := range on {
			each = append(each, fmt.Sprintf("%s (%s)", r.url(listener, served)+request.Path, listener.Resource.Stack.Name))
		}
		return Route{}, fmt.Errorf("several load balancers listen on port %d: name the one that is asked, as in %s", request.Port, strings.Join(each, " or "))
	default:
		here = on[0]
	}
	request.Port = here.Port
	decision, err := here.Route(request)
	if err != nil {
		return Route{}, err
	}
	route := Route{Request: text, Action: decision.String(), Explanation: decision.Explain(), Targets: []TargetStatus{}}
	for _, weighted := range decision.Rule.Action.Forward {
		if weighted.Share > 0 {
			for _, target := range r.balancer.Targets(weighted.TargetGroup.Resource.String()) {
				route.Targets = append(route.Targets, targetStatus(target))
			}
		}
	}
	return route, nil
}

// LogFile is where a deployment keeps what its containers wrote, an
// [ecs.LogLine] in JSON on each line.
func LogFile(dir string) string { return filepath.Join(dir, "logs.ndjson") }

func (r *Runner) log(line ecs.LogLine) {
	if text, err := json.Marshal(line); err == nil {
		r.logs.Write(append(text, '\n')) // one call a line, so that lines stay whole
	}
}

// Logs calls f with every line that the containers of a deployment wrote, of one
// service or, with "", of all. With follow it goes on with what is written from
// then on, until the context ends.
func Logs(ctx context.Context, dir, service string, follow bool, f func(ecs.LogLine)) error {
	file, err := os.Open(LogFile(dir))
	if err != nil {
		return fmt.Errorf("there are no logs: %w; start a deployment with `cutover up`", err)
	}
	defer file.Close()
	reader := bufio.NewReader(file)
	var rest string // of a line that is not complete yet
	for {
		text, err := reader.ReadString('\n')
		rest += text
		if err == nil {
			var line ecs.LogLine
			if json.Unmarshal([]byte(rest), &line) == nil && (service == "" || line.ServiceName == service) {
				f(line)
			}
			rest = ""
			continue
		}
		if err != io.EOF {
			return err
		}
		if !follow {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(200 * time.Millisecond):
		}
	}
}
