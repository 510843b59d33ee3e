package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"

	"cutover/internal/assembly"
	"cutover/internal/local"
	"cutover/internal/local/alb"
	"cutover/internal/local/ecs"
	"cutover/internal/model"
	"cutover/internal/rehearsal"
	"cutover/internal/rules"
)

// stage is the local deployment of a rehearsal.
type stage struct {
	*local.Runner
	assemblies map[string]string // directory, by phase

	asked sync.Map // *rules.Rule that decided about a request, with its listener
	rules []string // of all phases, as Gaps names them, in their order
	// warnings are those of all phases, each once.
	warnings []string
	// listeners are names for people, by key.
	listeners map[string]string
}

func (s *stage) URL(r *rehearsal.Request) string { return s.Runner.URLOf(ruled(r)) }

// ruled is a request as rules see it. Its host is this machine, if it has none of its own.
func ruled(r *rehearsal.Request) rules.Request {
	path, query, _ := strings.Cut(r.Path, "?")
	return rules.Request{Method: cmp.Or(r.Method, http.MethodGet), Host: cmp.Or(r.Host, "localhost"), Path: path, Query: query, Header: r.Header}
}

func (s *stage) Deploy(ctx context.Context, phase string) (changes rehearsal.Changes, err error) {
	before, parameters := s.Assembly(), s.Status().Parameters
	if err := s.Runner.Deploy(ctx, s.assemblies[phase]); err != nil {
		return changes, outOfTurn(err, parameters, s.assemblies[phase])
	}
	s.meet(s.Status())
	if before != nil {
		changes = sortChanges(before, s.Assembly())
	}
	return changes, nil
}

// meet takes the warnings and the rules of a phase.
func (s *stage) meet(status local.Status) {
	for _, warning := range status.Warnings {
		if !slices.Contains(s.warnings, warning) {
			s.warnings = append(s.warnings, warning)
		}
	}
	for _, listener := range status.Listeners {
		s.listeners[listener.Key] = fmt.Sprintf("%s:%d (%s)", listener.Protocol, listener.Port, listener.Key)
		for _, rule := range listener.Rules {
			if name := s.ruleName(listener.Key, rule.Priority, rule.Conditions); !slices.Contains(s.rules, name) {
				s.rules = append(s.rules, name)
			}
		}
	}
}

// sortChanges tells apart what two assemblies differ in.
func sortChanges(before, after *assembly.Assembly) (changes rehearsal.Changes) {
	for _, change := range assembly.Differences(before, after) {
		switch change.Type {
		case model.ELBListener, model.ELBListenerRule, model.ELBTargetGroup, model.ELBLoadBalancer:
			changes.Traffic = append(changes.Traffic, change.Line)
		case model.ECSService, model.AppAutoScalingTarget, model.AppAutoScalingPolicy:
			changes.Tasks = append(changes.Tasks, change.Line)
		default:
			changes.Others = append(changes.Others, change.Line)
		}
	}
	return changes
}

// Gaps are the warnings, and the listener rules that decided about no request, of any phase.
func (s *stage) Gaps() (gaps []string) {
	gaps = slices.Clone(s.warnings)
	asked := map[string]bool{}
	s.asked.Range(func(rule, listener any) bool {
		r := rule.(*rules.Rule)
		var conditions []string
		for _, condition := range r.Conditions {
			conditions = append(conditions, condition.String())
		}
		asked[s.ruleName(listener.(string), r.Priority, conditions)] = true
		return true
	})
	for _, name := range s.rules {
		if !asked[name] {
			gaps = append(gaps, name+": no request came to this rule")
		}
	}
	return gaps
}

// ruleName names a rule of a listener, alike in all phases.
func (s *stage) ruleName(listener string, priority int, conditions []string) string {
	listener = s.listeners[listener]
	if priority == 0 {
		return "the default rule of " + listener
	}
	return strings.Join(append([]string{fmt.Sprintf("rule %d of %s", priority, listener)}, conditions...), ", ")
}

func (s *stage) record(e alb.Exchange) rehearsal.Record {
	if e.Rule != nil {
		s.asked.LoadOrStore(e.Rule, e.Listener)
	}
	record := rehearsal.Record{TraceID: e.TraceID, Service: s.ServiceName(e.Group), Target: e.Target, Status: e.Status, TargetStatus: e.TargetStatus}
	if record.TraceID == "" && e.Header != nil {
		record.TraceID = e.Header.Get("X-Amzn-Trace-Id")
	}
	var network *net.OpError
	switch {
	case e.Status == alb.StatusClientClosed:
		record.Reason = "the client gave up"
	case errors.As(e.Err, &network):
		record.Reason = network.Err.Error() // without the addresses, to group equal errors
	case e.Err != nil:
		record.Reason = e.Err.Error()
	case e.Group != "" && e.Target == "":
		record.Reason = "no registered target in " + record.Service
	}
	return record
}

func event(e local.Event) rehearsal.Event {
	event := rehearsal.Event{
		Time: e.Time, Service: e.Subject, Text: strings.TrimSpace(e.Kind + " " + e.State + " " + e.Message),
		// The timeline draws the other events as bars.
		Mark: e.Kind == ecs.ScalingEvent || e.Kind == ecs.DeploymentEvent && (e.State == string(ecs.Failed) || strings.HasPrefix(e.Message, "rolling back")),
	}
	if e.Kind == "target" {
		event.Target, event.State = e.Task, e.State
	}
	return event
}
