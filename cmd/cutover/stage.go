package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"

	"cutover/internal/analysis/cost"
	"cutover/internal/assembly"
	"cutover/internal/canary"
	"cutover/internal/local"
	"cutover/internal/local/alb"
	"cutover/internal/local/ecs"
	"cutover/internal/local/lambda"
	"cutover/internal/model"
	"cutover/internal/rehearsal"
	"cutover/internal/rehearsal/events"
	"cutover/internal/rules"
	"cutover/internal/words"
	"cutover/migration"
)

// stage is the local deployment of a rehearsal.
type stage struct {
	*local.Runner
	assemblies map[string]string // directory, by phase
	watching   *events.Observer

	names  sync.Map          // of the rules that decided about requests
	groups map[string]string // names of the target groups, by key
	// monolith has the name of a monolith that exists already, by that of its target group. Nil without one.
	monolith map[string]string
	// warnings are those of all phases, each once.
	warnings []string
	// functions are those of all phases, as they were last.
	functions map[string]lambda.FunctionStatus
	// provisioned has the price of a month with some execution environments of a function always ready, by name.
	provisioned map[string]func(environments int) cost.Cents
	// limited has the service of each pair, by name, of services that are a function in some phase.
	limited map[string]string
	large   largest
	// fronts names those that requests go through, and kept are the answers that they keep in some phase.
	fronts string
	kept   []string
}

// near is how many bytes of a request or an answer come near the limit of functions: 1 MB of JSON, in which
// bytes that are no text take a third more.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html
const near = 700_000

// largest are requests and answers above [near]: the largest of each service.
type largest struct {
	mu    sync.Mutex
	bytes map[string]int64
	text  map[string]string
}

// note takes an exchange of a service into account.
func (l *largest) note(service string, e alb.Exchange) {
	what, n := "was answered with", e.Sent
	if e.Received > n {
		what, n = "was asked with", e.Received
	}
	if n < near {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.bytes == nil {
		l.bytes, l.text = map[string]int64{}, map[string]string{}
	}
	if path, _, _ := strings.Cut(e.URI, "?"); n > l.bytes[service] {
		l.bytes[service] = n
		l.text[service] = fmt.Sprintf("%s: %s %s %s %d bytes, and a load balancer sends a function at most 1 MB, and takes at most 1 MB of JSON from it: keep requests and answers small, or the service on tasks", service, e.Method, path, what, n)
	}
}

// told is a line for each service.
func (l *largest) told() (lines []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, service := range slices.Sorted(maps.Keys(l.text)) {
		lines = append(lines, l.text[service])
	}
	return lines
}

// limitedPairs has the service of each pair of the services that are a function in some phase.
func limitedPairs(m migration.Migration, phases map[string]*phaseRules) map[string]string {
	limited := map[string]string{}
	for _, r := range phases {
		for _, name := range functionsOf(r.Model) {
			limited[name] = name
		}
	}
	for _, s := range m.All() {
		if len(s.Tasked()) < len(s.Pairs()) {
			for _, pair := range s.Pairs() {
				limited[pair] = s.Name
			}
		}
	}
	return limited
}

// facts says which fronts there are, and what became of the functions of all phases.
func (s *stage) facts() (facts []rehearsal.Fact) {
	if s.fronts != "" {
		facts = append(facts, rehearsal.Fact{Name: "Fronts", Value: s.fronts})
	}
	for _, name := range slices.Sorted(maps.Keys(s.functions)) {
		f := s.functions[name]
		value := fmt.Sprintf("%s, %s, %s, %s", words.Count(f.Invocations, "invocation"), words.Count(f.ColdStarts, "cold start"), words.Count(f.Errors, "error"), words.Count(f.Throttles, "throttled request"))
		for _, one := range []struct {
			lambda.Took
			what string
		}{{f.Warm, "warm"}, {f.Cold, "cold"}} {
			if one.P50 > 0 {
				value += fmt.Sprintf("; %s p50 %s, p99 %s", one.what, canary.Duration(one.P50), canary.Duration(one.P99))
			}
		}
		facts = append(facts, rehearsal.Fact{Name: "Function " + name, Value: value})
	}
	return facts
}

// coldShare is the share of cold starts from which the p99 of a function is that of a cold start.
const coldShare = 0.01

// cold says of each function whose p99 is that of a cold start what provisioned concurrency would cost.
// https://docs.aws.amazon.com/lambda/latest/dg/provisioned-concurrency.html
func (s *stage) cold() (lines []string) {
	for _, name := range slices.Sorted(maps.Keys(s.functions)) {
		f := s.functions[name]
		price := s.provisioned[name]
		if price == nil || f.Invocations == 0 || float64(f.ColdStarts) < coldShare*float64(f.Invocations) {
			continue
		}
		lines = append(lines, fmt.Sprintf("%s: %d of %s waited for a cold start, half of them %s or longer here, so the p99 is that of a cold start, and AWS takes another time for it: if clients may not wait, give the alias provisioned concurrency of %d, as many as were invoked at once, for US$ %v a month; or keep the service on tasks",
			name, f.ColdStarts, words.Count(f.Invocations, "invocation"), canary.Duration(f.Cold.P50), f.Most, price(f.Most)))
	}
	return lines
}

// provisioned has the price of provisioned concurrency of each function of some phase.
func provisioned(phases map[string]*phaseRules) map[string]func(int) cost.Cents {
	prices := map[string]func(int) cost.Cents{}
	for _, r := range phases {
		for _, f := range r.Functions {
			prices[f.Name] = func(environments int) cost.Cents { return cost.Provisioned(f, environments) }
		}
	}
	return prices
}

// named is the name of the monolith if it exists already and a name is that of its target group; otherwise the name itself.
func (s *stage) named(name string) string { return cmp.Or(s.monolith[name], name) }

// monoliths has the name of a monolith that exists already, by that of its target group.
func monoliths(phases map[string]*phaseRules) map[string]string {
	names := map[string]string{}
	for _, r := range phases {
		if r.monolith != "" {
			names[r.standing(r.name).Name] = r.name
		}
	}
	return names
}

// look takes down how functions are. One whose phase is over is gone later.
func (s *stage) look() {
	for _, f := range s.Status().Functions {
		if s.functions == nil {
			s.functions = map[string]lambda.FunctionStatus{}
		}
		s.functions[f.Name] = f
	}
}

func (s *stage) URL(r *rehearsal.Request) string {
	if s.fronts == "" {
		s.fronts = s.way(r)
	}
	return s.Runner.URLOf(ruled(r))
}

// Sign implements [rehearsal.Signing].
func (s *stage) Sign(r *rehearsal.Request) func(*http.Request, []byte) error {
	return s.Runner.Sign(ruled(r))
}

// ruled is a request as rules see it. Its host is this machine, if it has none of its own.
func ruled(r *rehearsal.Request) rules.Request {
	path, query, _ := strings.Cut(r.Path, "?")
	return rules.Request{Method: cmp.Or(r.Method, http.MethodGet), Host: cmp.Or(r.Host, "localhost"), Path: path, Query: query, Header: r.Header}
}

func (s *stage) Deploy(ctx context.Context, phase string) (changes rehearsal.Changes, err error) {
	s.look()
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
	exit, said, err := s.say(ctx, c.Service, c.Args...)
	if err == nil && exit != 0 {
		err = errors.New(strings.Join(append([]string{fmt.Sprintf("exit code %d", exit)}, said[max(0, len(said)-5):]...), "\n"))
	}
	return err
}

// say runs a command of a service, and returns what it says.
func (s *stage) say(ctx context.Context, service string, command ...string) (exit int, said []string, err error) {
	var mu sync.Mutex
	exit, err = s.Runner.Run(ctx, service, command, func(_ string, line ecs.LogLine) {
		mu.Lock()
		defer mu.Unlock()
		said = append(said, line.Text)
	})
	mu.Lock()
	defer mu.Unlock()
	return exit, said, err
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
		case model.ECSService, model.AppAutoScalingTarget, model.AppAutoScalingPolicy, model.LambdaFunction, model.LambdaVersion, model.LambdaAlias:
			changes.Tasks = append(changes.Tasks, change.Line)
		default:
			changes.Others = append(changes.Others, change.Line)
		}
	}
	return changes
}

// Gaps are the warnings, what comes near the limits of functions, and whose requests wait for cold starts.
func (s *stage) Gaps() []string {
	s.look()
	return s.gaps()
}

func (s *stage) gaps() []string { return slices.Concat(s.warnings, s.kept, s.large.told(), s.cold()) }

func (s *stage) record(e alb.Exchange) rehearsal.Record {
	record := rehearsal.Record{TraceID: traceOf(e), Service: s.named(s.ServiceName(e.Group)), Target: e.Target, Status: e.Status, TargetStatus: e.TargetStatus}
	record.Idle = errors.Is(e.Err, alb.ErrIdle)
	if service, is := s.limited[record.Service]; is {
		s.large.note(service, e)
	}
	record = s.passed(record, e)
	var network *net.OpError
	switch {
	case e.Status == alb.StatusClientClosed:
		record.Reason = "the client gave up"
	case e.FunctionError != "":
		record.Reason = e.FunctionError // a code: what the function says may differ each time
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

// lanes are the states of targets that stand for those of a worker's tasks, which are targets of nothing.
var lanes = map[string]string{
	string(ecs.Provisioning): "initial", string(ecs.Pending): "initial", string(ecs.Running): "healthy", string(ecs.Healthy): "healthy", string(ecs.Unhealthy): "unhealthy",
	string(ecs.Deactivating): "draining", string(ecs.Stopping): "draining", string(ecs.Stopped): "unused",
}

// event is what a rehearsal gets to know, with the names of the workers.
func event(e local.Event, workers []string) rehearsal.Event {
	event := rehearsal.Event{
		Time: e.Time, Service: e.Subject, Text: strings.TrimSpace(e.Kind + " " + e.State + " " + e.Message),
		// The timeline draws the other events as bars.
		Mark: e.Kind == ecs.ScalingEvent || e.Kind == ecs.DeploymentEvent && (e.State == string(ecs.Failed) || strings.HasPrefix(e.Message, "rolling back")),
	}
	if e.Kind == "target" {
		event.Target, event.State = e.Task, e.State
	}
	if state := lanes[e.State]; state != "" && slices.Contains([]string{ecs.TaskEvent, ecs.HealthEvent}, e.Kind) && slices.Contains(workers, e.Subject) {
		event.Target, event.State = e.Task, state
	}
	return event
}
