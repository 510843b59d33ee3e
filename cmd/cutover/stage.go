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

	names  sync.Map          // of the rules that decided about requests
	groups map[string]string // names of the target groups, by key
	// warnings are those of all phases, each once.
	warnings []string
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
	s.warn(s.Status().Warnings)
	if before != nil {
		changes = sortChanges(before, s.Assembly())
	}
	return changes, nil
}

// Run runs a command of a service. The error has what the command said last.
func (s *stage) Run(ctx context.Context, c rehearsal.Command) error {
	var mu sync.Mutex
	var said []string
	exit, err := s.Runner.Run(ctx, c.Service, c.Args, func(_ string, line ecs.LogLine) {
		mu.Lock()
		defer mu.Unlock()
		said = append(said, line.Text)
		said = said[max(0, len(said)-5):]
	})
	if err == nil && exit != 0 {
		mu.Lock()
		defer mu.Unlock()
		err = errors.New(strings.Join(append([]string{fmt.Sprintf("exit code %d", exit)}, said...), "\n"))
	}
	return err
}

// warn takes the warnings of a phase.
func (s *stage) warn(warnings []string) {
	for _, warning := range warnings {
		if !slices.Contains(s.warnings, warning) {
			s.warnings = append(s.warnings, warning)
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

// Gaps are the warnings.
func (s *stage) Gaps() []string { return s.warnings }

func (s *stage) record(e alb.Exchange) rehearsal.Record {
	record := rehearsal.Record{TraceID: traceOf(e), Service: s.ServiceName(e.Group), Target: e.Target, Status: e.Status, TargetStatus: e.TargetStatus}
	record.Idle = errors.Is(e.Err, alb.ErrIdle)
	record = s.passed(record, e)
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

// traceOf is the trace of a client's request. It is empty if a service asks another one for the same client.
func traceOf(e alb.Exchange) string {
	sent := e.Header.Get(rehearsal.TraceHeader)
	if strings.Contains(sent, "Self=") {
		return ""
	}
	return cmp.Or(e.TraceID, sent)
}

// passed fills in the names of the parts that a request came to.
func (s *stage) passed(record rehearsal.Record, e alb.Exchange) rehearsal.Record {
	if e.Rule == nil {
		return record
	}
	name, known := s.names.Load(e.Rule)
	if !known {
		name, _ = s.names.LoadOrStore(e.Rule, ruleName(e.Rule))
	}
	record.Rule, record.Group = name.(string), s.groups[e.Group]
	path, _, _ := strings.Cut(e.URI, "?")
	for _, pattern := range e.Rule.Patterns(&rules.Request{Path: path}) {
		record.Patterns = append(record.Patterns, patternName(e.Rule, pattern))
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
