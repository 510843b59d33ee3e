// Package eventbridge runs the scheduled tasks of an assembly on this machine: the targets of scheduled
// rules of EventBridge, and of schedules of EventBridge Scheduler, that are ECS tasks.
//
// A task starts when its schedule is due, however long the one before takes. Times that pass while this
// machine sleeps are left out. Nothing sends events here, so a rule that waits for events never runs.
package eventbridge

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	_ "time/tzdata" // Windows and small containers have no time zones

	"cutover/internal/assembly"
	"cutover/internal/local/ecs"
	"cutover/internal/local/provider"
	"cutover/internal/model"
	"cutover/internal/words"
)

// Provider is the provider of schedules.
type Provider struct {
	services *ecs.Provider
	tell     func(provider.Event)

	mu        sync.Mutex
	schedules map[string]*schedule // by key
}

// schedule is a schedule that is followed. The provider's lock guards what changes.
type schedule struct {
	provider *Provider
	spec     *model.Schedule
	tasks    *ecs.Tasks
	when     Expression
	begin    time.Time // rates count from here
	after    time.Time // it is due next after this
	next     time.Time // zero for never
	last     *Run      // nil before the first one
	running  int       // tasks

	ctx  context.Context // of its tasks
	stop context.CancelFunc
	runs sync.WaitGroup // of its tasks, and of what follows it
	wake chan struct{}  // the schedule has changed
}

// Run is what happened when a schedule was due.
type Run struct {
	Began time.Time        `json:"began"`
	Ended time.Time        `json:"ended"`
	Tasks []ecs.TaskResult `json:"tasks"`
	// Error says why no task was started.
	Error string `json:"error,omitempty"`
}

// Outcome says how a run ended: the error, or the stop reason of a task, preferably of one that failed.
func (r Run) Outcome() string {
	if r.Error != "" {
		return r.Error
	}
	failed := slices.IndexFunc(r.Tasks, func(t ecs.TaskResult) bool { return t.Failed })
	return strings.TrimPrefix(r.Tasks[max(0, failed)].Reason, "Essential container in task exited: ")
}

// Status is the status of a schedule.
type Status struct {
	Key        string `json:"key"`
	Name       string `json:"name"`
	Expression string `json:"expression"`
	TimeZone   string `json:"timeZone"`
	Enabled    bool   `json:"enabled"`
	// Next is zero if the schedule is never due again.
	Next time.Time `json:"next,omitzero"`
	// Running counts tasks.
	Running int `json:"running"`
	// Last is the run that ended last, or nil.
	Last *Run `json:"last,omitempty"`
}

// New returns a provider whose tasks run beside services.
func New(services *ecs.Provider, tell func(provider.Event)) *Provider {
	return &Provider{services: services, tell: tell, schedules: map[string]*schedule{}}
}

// Types implements [provider.Provider].
func (p *Provider) Types() []string { return []string{model.EventsRule, model.SchedulerSchedule} }

// Status implements [provider.Provider], with a list of [Status] by key; nil if there is none.
func (p *Provider) Status() any {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []Status
	for key, s := range p.schedules {
		all = append(all, Status{key, s.spec.Name, s.spec.Expression, s.spec.TimeZone, s.spec.Enabled, s.next, s.running, s.last})
	}
	if all == nil {
		return nil
	}
	slices.SortFunc(all, func(a, b Status) int { return strings.Compare(a.Key, b.Key) })
	return all
}

// Stop implements [provider.Provider]. Tasks that run are stopped as by StopTask.
func (p *Provider) Stop(ctx context.Context) error {
	return p.remove(ctx, func(string) bool { return true })
}

// remove removes schedules by their keys, and waits for their tasks.
func (p *Provider) remove(ctx context.Context, gone func(key string) bool) error {
	p.mu.Lock()
	var removed []*schedule
	for key, s := range p.schedules {
		if gone(key) {
			s.stop()
			removed = append(removed, s)
			delete(p.schedules, key)
		}
	}
	p.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for _, s := range removed {
			s.runs.Wait()
		}
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("scheduled tasks have not stopped: %w", context.Cause(ctx))
	}
}

// RunTask runs the tasks of a schedule now, by the schedule's name, and waits for their end. The error
// says which task failed.
func (p *Provider) RunTask(ctx context.Context, name string) error {
	p.mu.Lock()
	var names []string
	var found *schedule
	for _, s := range p.schedules {
		names = append(names, s.spec.Name)
		if s.spec.Name == name {
			found = s
		}
	}
	if found != nil {
		found.runs.Add(1) // before the lock is given up: remove waits for it
	}
	p.mu.Unlock()
	if found == nil && names == nil {
		return fmt.Errorf("there is no scheduled task %q: the assembly has none", name)
	}
	if found == nil {
		slices.Sort(names)
		return fmt.Errorf("there is no scheduled task %q: %s", name, words.Choice(names))
	}
	defer found.runs.Done()
	run := found.run(ctx)
	if run.Error != "" {
		return fmt.Errorf("%s cannot run: %s", name, run.Error)
	}
	for _, task := range run.Tasks {
		if task.Failed {
			return fmt.Errorf("task %s of %s failed: %s", task.Task, name, task.Reason)
		}
	}
	return nil
}

// follow starts tasks when the schedule is due, until the schedule is removed.
func (s *schedule) follow() {
	p := s.provider
	for {
		p.mu.Lock()
		s.next = s.due(s.after)
		next := s.next
		p.mu.Unlock()
		var due <-chan time.Time
		if !next.IsZero() {
			due = time.After(time.Until(next))
		}
		select {
		case <-s.ctx.Done():
			return
		case <-s.wake:
			continue
		case <-due:
		}
		p.mu.Lock()
		s.after = time.Now()
		p.mu.Unlock()
		s.runs.Go(func() { s.run(s.ctx) })
	}
}

// due is when the schedule is due after a time; zero for never.
func (s *schedule) due(after time.Time) time.Time {
	if !s.spec.Enabled {
		return time.Time{}
	}
	if !s.when.once.IsZero() { // has neither a begin nor an end
		return s.when.Next(s.begin, after)
	}
	if begin := s.spec.Begin; after.Before(begin) {
		after = begin.Add(-time.Nanosecond)
	}
	next := s.when.Next(s.begin, after)
	if end := s.spec.End; !end.IsZero() && next.After(end) {
		return time.Time{}
	}
	return next
}

// run runs the tasks of all targets, and waits for their end.
func (s *schedule) run(ctx context.Context) Run {
	p := s.provider
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	p.mu.Lock()
	spec, tasks := s.spec, s.tasks
	p.mu.Unlock()
	run := Run{Began: time.Now()}
	definitions, err := fill(spec, tasks)
	if err != nil {
		run.Error = err.Error()
		p.tell(provider.Event{Kind: "schedule", Subject: spec.Name, State: "FAILED", Message: run.Error})
	}
	p.mu.Lock()
	s.running += len(definitions)
	p.mu.Unlock()
	run.Tasks = make([]ecs.TaskResult, len(definitions))
	var all sync.WaitGroup
	for i, definition := range definitions {
		all.Go(func() {
			run.Tasks[i] = p.services.RunTask(ctx, spec.Key(), spec.Name, definition)
			p.mu.Lock()
			defer p.mu.Unlock()
			s.running--
		})
	}
	all.Wait()
	run.Ended = time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	s.last = &run
	return run
}

// fill are the task definitions that a schedule starts, each as often as there are tasks.
func fill(spec *model.Schedule, tasks *ecs.Tasks) ([]*model.TaskDefinition, error) {
	var all []*model.TaskDefinition
	for _, run := range spec.Runs {
		filled, err := tasks.Fill(run.TaskDefinition)
		if err == nil {
			filled, err = override(spec, run, filled, tasks.Text)
		}
		if err != nil {
			return nil, err
		}
		for range run.Count {
			all = append(all, filled)
		}
	}
	return all, nil
}

// Plan implements [provider.Provider].
func (p *Provider) Plan(m *model.Model, text provider.Text) provider.Plan {
	next := &plan{Provider: p, model: m, tasks: p.services.Tasks(m, text), wanted: provider.Resources[*model.Schedule]{}}
	for _, s := range m.Schedules {
		if s.StartsTasks() {
			next.wanted[s.Key()] = s
		}
	}
	return next
}

// plan has the schedules of an assembly that start ECS tasks.
type plan struct {
	*Provider
	model  *model.Model
	tasks  *ecs.Tasks
	wanted provider.Resources[*model.Schedule]
}

// Check implements [provider.Plan].
func (p *plan) Check() error {
	var errs []error
	for _, key := range p.wanted.Keys() {
		errs = append(errs, check(p.wanted[key], p.tasks))
	}
	return assembly.Join(errs...)
}

// PassedOver implements [provider.Reporter].
func (p *plan) PassedOver() []provider.PassedOver {
	var all []provider.PassedOver
	for _, s := range p.model.Schedules {
		list := func(property, setting, why string) {
			all = append(all, provider.PassedOver{Place: fmt.Sprintf("%v/Properties.%s", s.Resource, property), Subject: s.Name, Setting: setting, Why: why})
		}
		switch {
		case s.Expression == "":
			list("EventPattern", "EventPattern", "nothing sends events here")
		case s.Others > 0:
			list("Targets", "Targets", "only targets that are ECS tasks run here")
		}
		if p.wanted[s.Key()] == nil {
			continue
		}
		if s.Flexible {
			list("FlexibleTimeWindow", "FlexibleTimeWindow", "tasks start when their schedule is due")
		}
		all = append(all, ecs.Listed(&s.Base, func(string) string { return s.Name })...)
		for _, run := range s.Runs {
			all = append(all, p.tasks.PassedOver(run.TaskDefinition)...)
		}
	}
	return all
}

// Attribute gives the names and ARNs of schedules.
func (p *plan) Attribute(ref assembly.Ref) (any, error) {
	for _, s := range p.model.Schedules {
		if s.Resource != ref.Resource {
			continue
		}
		arn := provider.ARN("events", "rule/"+s.Name)
		if s.Scheduler {
			arn = provider.ARN("scheduler", "schedule/default/"+s.Name)
		}
		if value := map[string]string{"": s.Name, "Arn": arn}[ref.Attribute]; value != "" {
			return value, nil
		}
	}
	return nil, provider.NotGiven(ref)
}

// Update implements [provider.Plan]. A schedule with the same expression goes on counting.
func (p *plan) Update(_ context.Context, stack string) error {
	for key, spec := range p.wanted.Of(stack) {
		if _, err := fill(spec, p.tasks); err != nil {
			return err
		}
		zone, err := time.LoadLocation(spec.TimeZone)
		if err != nil {
			return err
		}
		when, err := Parse(spec.Expression, spec.Scheduler, zone)
		if err != nil {
			return err
		}
		p.put(key, spec, p.tasks, when)
	}
	return nil
}

// put adds or changes a schedule. A rate of EventBridge Scheduler begins at once, and a rate of a rule after
// its first period. AWS says of a rule only that the rate starts with the creation.
func (p *Provider) put(key string, spec *model.Schedule, tasks *ecs.Tasks, when Expression) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.schedules[key]
	if s == nil {
		s = &schedule{provider: p, wake: make(chan struct{}, 1)}
		s.ctx, s.stop = context.WithCancel(context.Background())
		p.schedules[key] = s
		s.runs.Go(s.follow)
	}
	now := time.Now()
	s.after = now
	if s.spec == nil || s.spec.Expression != spec.Expression || !s.spec.Begin.Equal(spec.Begin) {
		s.begin = now
		if !spec.Begin.IsZero() {
			s.begin = spec.Begin
		} else if spec.Scheduler {
			s.after = now.Add(-time.Nanosecond)
		}
	}
	s.spec, s.tasks, s.when = spec, tasks, when
	s.next = s.due(s.after)
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Clean implements [provider.Plan].
func (p *plan) Clean(ctx context.Context, stack string) error {
	return p.remove(ctx, func(key string) bool {
		return provider.StackOf(key) == stack && p.wanted[key] == nil
	})
}
