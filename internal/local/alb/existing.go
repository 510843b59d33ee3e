package alb

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"cutover/internal/assembly"
	"cutover/internal/local/provider"
	"cutover/internal/model"
	"cutover/internal/words"
)

// StandIns are what stands for target groups that exist already, of which nothing is deployed: by the name of the group.
type StandIns struct {
	// Targets are programs that run already, by http or https, with host and port alone. Default: none.
	Targets map[string]*url.URL
	// Commands says for which groups a command is started, which registers itself. Other names in it are passed over. Default: none.
	Commands []string
}

// ParseTarget reads the URL of a program that runs already. The default of the port is that of the scheme.
func ParseTarget(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return nil, fmt.Errorf("%q is no URL of a program, as in http://127.0.0.1:9000", text)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Path != "" && u.Path != "/":
		return nil, fmt.Errorf("%q has more than a scheme, a host and a port: requests have paths of their own", text)
	}
	if u.Port() == "" {
		u.Host = net.JoinHostPort(u.Hostname(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host}, nil
}

// Check refuses a target of a group that does not exist already, and lists the groups that exist already, get requests, and
// have nobody who stands for them: those that rules forward to, and always, a group by its ARN. Empty: none.
func (s StandIns) Check(m *model.Model, always string) error {
	var errs []error
	groups := existing(m)
	for _, name := range slices.Sorted(maps.Keys(s.Targets)) {
		if _, known := groups[name]; known {
			continue
		}
		switch own := slices.ContainsFunc(m.TargetGroups, func(g *model.TargetGroup) bool { return g.Name == name }); {
		case len(groups) == 0:
			errs = append(errs, fmt.Errorf("there is no target group %q that exists already: `cutover adopt` describes what does in %s", name, assembly.ExistingFile))
		case own:
			errs = append(errs, fmt.Errorf("the target group %q is deployed, and has tasks of its own: only one that exists already has a target, %s", name, words.Choice(slices.Sorted(maps.Keys(groups)))))
		default:
			errs = append(errs, fmt.Errorf("there is no target group %q that exists already: %s", name, words.Choice(slices.Sorted(maps.Keys(groups)))))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		why := ""
		if always != "" && m.Assembly.Described(always) == groups[name].Resource {
			why = "is the monolith's"
		} else if by := forwarding(m, groups[name]); by != nil {
			why = fmt.Sprintf("gets requests by %v", by)
		}
		if why != "" && s.Targets[name] == nil && !slices.Contains(s.Commands, name) {
			errs = append(errs, fmt.Errorf("nothing here stands for the target group %s, which exists already and %s: name a program that runs with --target %[1]s=URL, or start one with --run %[1]s=COMMAND", name, why))
		}
	}
	return errors.Join(errs...)
}

// Dial says which of the targets nobody listens at.
func (s StandIns) Dial(ctx context.Context) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(s.Targets)) {
		timed, cancel := context.WithTimeout(ctx, 5*time.Second)
		if reason, _ := probeTCP(timed, s.Targets[name].Host); reason != "" {
			errs = append(errs, fmt.Errorf("nothing listens at %v, which is to stand for the target group %s: start the program first, or give another URL with --target %[2]s=URL", s.Targets[name], name))
		}
		cancel()
	}
	return errors.Join(errs...)
}

// existing are the target groups of Application Load Balancers that exist already, by name.
func existing(m *model.Model) map[string]*model.TargetGroup {
	groups := map[string]*model.TargetGroup{}
	for _, g := range m.TargetGroups {
		if g.Existing() && g.Application() {
			groups[g.Name] = g
		}
	}
	return groups
}

// forwarding is a rule or a listener that sends requests to a group; nil if there is none.
func forwarding(m *model.Model, group *model.TargetGroup) *assembly.Resource {
	forwards := func(a model.Action) bool {
		return slices.ContainsFunc(a.Forward, func(w model.Weighted) bool { return w.TargetGroup == group && w.Weight > 0 })
	}
	for _, l := range m.Listeners {
		if forwards(l.Default.Action) {
			return l.Resource
		}
	}
	for _, r := range m.Rules {
		if forwards(r.Action) {
			return r.Resource
		}
	}
	return nil
}

// here is a target group that exists already as it is on this machine. Whatever its targets are on AWS, here it has one
// address at most, which speaks HTTP/1.1 and is checked at its own port: if AWS checks none, whether it takes connections. The URL
// is nil if no program runs already.
func here(group *model.TargetGroup, target *url.URL) *model.TargetGroup {
	g := *group
	g.TargetType, g.ProtocolVersion, g.Targets, g.MultiValueHeaders = "ip", "HTTP1", nil, false
	g.Algorithm, g.MinHealthy, g.MinHealthyPercent = "round_robin", 1, 0
	if g.StickinessType != "lb_cookie" {
		g.Stickiness = 0
	}
	if g.Health.Port = 0; g.Health.Disabled {
		g.Health = model.HealthCheck{Protocol: "TCP", Interval: 5 * time.Second, Timeout: 4 * time.Second, Healthy: g.Health.Healthy, Unhealthy: g.Health.Unhealthy}
	}
	if target != nil {
		g.Protocol = strings.ToUpper(target.Scheme)
		if g.Health.Protocol != "TCP" {
			g.Health.Protocol = g.Protocol
		}
	}
	return &g
}

// standing says what is in the way of those that stand for others. The first assembly must have a target group for each; later
// ones may have lost it.
func (p *plan) standing() error {
	standIns := p.standIns
	if len(p.running.Load().resources) == 0 {
		if err := standIns.Check(p.model, ""); err != nil {
			return err
		}
		return standIns.Dial(context.Background())
	}
	groups := existing(p.model)
	standIns.Targets = maps.Clone(standIns.Targets)
	maps.DeleteFunc(standIns.Targets, func(name string, _ *url.URL) bool { return groups[name] == nil })
	return standIns.Check(p.model, "")
}

// register registers the targets of groups that exist already, and returns when each has been checked.
func (p *plan) register(ctx context.Context, groups provider.Resources[any]) error {
	for _, key := range groups.Keys() {
		group, ok := groups[key].(*model.TargetGroup)
		if !ok || !group.Existing() || p.standIns.Targets[group.Name] == nil {
			continue
		}
		target := p.standIns.Targets[group.Name]
		if err := p.Register(key, target.Host, target.Host); err != nil {
			return err
		}
		for p.Targets(key)[0].State == Initial {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(20 * time.Millisecond):
			}
		}
		if now := p.Targets(key)[0]; now.State == Unhealthy {
			p.tell(provider.Event{Kind: "target", Subject: group.Name, Task: now.ID, State: provider.Warning,
				Message: fmt.Sprintf("%v does not pass the health check of the target group (%s): it gets requests all the same, because no other target is healthy", target, now.Description)})
		}
	}
	return nil
}
