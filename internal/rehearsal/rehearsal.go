package rehearsal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// Deployment is what a rehearsal walks through its phases.
type Deployment interface {
	// URL is the base URL, without a path, of the listener that clients ask for a
	// route: one load balancer's for all, or that of the one which has the route. It
	// does not change with the phase.
	URL(route string) string
	// Deploy moves the deployment to a phase and returns when it is steady there:
	// when the tasks that should run are healthy and the others are gone. It
	// returns what it changed, a line for each resource. It is called for the
	// phase that a rehearsal begins in too, in which the deployment may be
	// already.
	Deploy(ctx context.Context, phase string) (changes []string, err error)
	// Fault does harm to a running service, in one of the ways that the
	// deployment knows, such as "kill". The harm lasts until clear is called,
	// unless the deployment recovers from it by itself before. Clear is called
	// once, and returns when the deployment is steady again.
	Fault(ctx context.Context, kind, service string) (clear func(context.Context) error, err error)
	// Observe has the load balancer report every request to a function, which may
	// be called from several goroutines. Nil ends that.
	Observe(func(Record))
	// Events has everything else worth marking in the timeline reported to a
	// function, which may be called from several goroutines. Nil ends that.
	Events(func(Event))
}

// Record is what the load balancer knows about one request.
type Record struct {
	// TraceID is the request's X-Amzn-Trace-Id header, as the client sent it or
	// as the target got it. Records of requests that are not the rehearsal's are
	// ignored.
	TraceID string
	// Service is the name of the target group that the request was forwarded to,
	// empty if it was not forwarded.
	Service string
	// Target is the target that was chosen, empty if there was none to choose.
	Target string
	// Status is what the client was answered and TargetStatus what the target
	// answered, 0 if it did not.
	Status, TargetStatus int
	// Reason says why the client was not answered what the target answers. Errors
	// are grouped by it, so it should have no ports or times in it. Empty if there
	// is nothing to explain.
	Reason string
}

// Event is something that happened in the deployment.
type Event struct {
	Time time.Time
	// Service is the name of the service or target group, empty if it concerns
	// none in particular.
	Service string
	// Target and State are a target and its new state, empty if the event is not
	// about one. The timeline shows how long each target is initial, healthy,
	// unhealthy or draining; unused ends that. Other states are only listed.
	Target, State string
	// Text says what happened, in a few words.
	Text string
	// Mark has the text shown in the timeline, which has room for few.
	Mark bool
}

// Fault is harm to be done during a rehearsal.
type Fault struct {
	// Kind and Service are what [Deployment.Fault] takes.
	Kind, Service string
	// Phase is the phase to do it in. Empty for the first one in which the service
	// answers requests.
	Phase string
	// Lossless says that the fault explains no failure, not even one of the
	// service itself.
	Lossless bool
	// Once says that the harm is done in a moment, so that it need not be held:
	// the fault is over when the deployment has recovered from it.
	Once bool
}

// ParseFault reads a fault in the form "kind:service" or "kind:service@phase".
func ParseFault(text string) (Fault, error) {
	kind, rest, _ := strings.Cut(text, ":")
	service, phase, hasPhase := strings.Cut(rest, "@")
	if kind == "" || service == "" || hasPhase && phase == "" {
		return Fault{}, fmt.Errorf("fault %q: write it as kind:service or kind:service@phase, for example kill:users@switched", text)
	}
	return Fault{Kind: kind, Service: service, Phase: phase}, nil
}

// String is the form that [ParseFault] reads.
func (f Fault) String() string {
	if f.Phase == "" {
		return f.Kind + ":" + f.Service
	}
	return f.Kind + ":" + f.Service + "@" + f.Phase
}

// Options say how to rehearse. The zero value is a rehearsal of the whole
// migration and back.
type Options struct {
	// Path lists the phases to walk through. Default: [DefaultPath].
	Path []string
	// Rate is the number of requests per second, 1 to 50,000. Default: 500.
	Rate int
	// Requests is the least number of requests to send; phases are stayed in
	// longer to get there. Default: 0, as many as it takes.
	Requests int
	// Dwell is the least time to stay in a phase. Default: 5 s.
	Dwell time.Duration
	// Hold is how long a fault that is not done once lasts before it is cleared.
	// Default: 15 s,
	// more than the default of Timeout and than a load balancer with the forum's
	// health checks needs to see a target hang.
	Hold time.Duration
	// Timeout is how long to wait for an answer. Default: 10 s.
	Timeout time.Duration
	// Routes are the paths to request, in turn. Default: [DefaultRoutes].
	Routes []string
	// Faults are done in this order, each in the middle of a phase.
	Faults []Fault
	// About is put into the report, for example versions. Default: none.
	About []Fact
	// Progress is called about four times a second while there is load, from one
	// goroutine. Default: not at all.
	Progress func(Progress)
}

// Fact is a line about a rehearsal.
type Fact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Progress is where a rehearsal stands.
type Progress struct {
	// Elapsed is the time since the load began.
	Elapsed time.Duration
	// Phase is the phase that the deployment is in. Next is the one that it is
	// being moved to, Fault the harm being done; each is empty if there is none.
	Phase, Next, Fault string
	// Step counts the phases reached, from 1 to Steps.
	Step, Steps int
	// Sent, Lost and Different count requests since the load began.
	Sent, Lost, Different int
	// Rate is that of answers, per second, and Worst the longest latency, both
	// since the call before.
	Rate  float64
	Worst time.Duration
}

// DefaultPath is the whole migration and the way back.
func DefaultPath() []string {
	return []string{"monolith", "parallel", "switched", "retired", "switched", "parallel", "monolith"}
}

// DefaultRoutes are the paths of the forum's API that are served in every
// phase: each collection and each record of it, ids that do not exist or are
// written in another way, and paths below the services' own that no service
// knows, which have to be answered with the same 404 before and after.
func DefaultRoutes() []string {
	return []string{
		"/api/users", "/api/users/1", "/api/users/2", "/api/users/3", "/api/users/4",
		"/api/users/", "/api/users/5", "/api/users/03", "/api/users/2nd", "/api/users/%31", "/api/users/1/posts", "/api/usersfoo",
		"/api/threads", "/api/threads/1", "/api/threads/2", "/api/threads/3",
		"/api/threads/", "/api/threads/4", "/api/threads/none", "/api/threads/1/posts",
		"/api/posts", "/api/posts/in-thread/1", "/api/posts/in-thread/2", "/api/posts/in-thread/3", "/api/posts/in-thread/4",
		"/api/posts/by-user/1", "/api/posts/by-user/2", "/api/posts/by-user/3", "/api/posts/by-user/4", "/api/posts/by-user/5",
		"/api/posts/", "/api/posts/1", "/api/posts/in-thread",
	}
}

const (
	maxRate = 50_000
	// Services, targets, reasons and routes are counted in one or two bytes per
	// request; nothing real comes near.
	maxRoutes = 10_000
)

func (o Options) withDefaults() (Options, error) {
	if len(o.Path) == 0 {
		o.Path = DefaultPath()
	}
	if len(o.Routes) == 0 {
		o.Routes = DefaultRoutes()
	}
	o.Rate = cmp.Or(o.Rate, 500)
	o.Dwell = cmp.Or(o.Dwell, 5*time.Second)
	o.Hold = cmp.Or(o.Hold, 15*time.Second)
	o.Timeout = cmp.Or(o.Timeout, 10*time.Second)

	var errs []error
	refuse := func(format string, a ...any) { errs = append(errs, fmt.Errorf(format, a...)) }
	if o.Rate < 1 || o.Rate > maxRate {
		refuse("rate %d: must be from 1 to %d requests per second", o.Rate, maxRate)
	}
	if o.Requests < 0 {
		refuse("requests %d: must not be negative", o.Requests)
	}
	for name, d := range map[string]time.Duration{"dwell": o.Dwell, "hold": o.Hold, "timeout": o.Timeout} {
		if d < 0 {
			refuse("%s %v: must not be negative", name, d)
		}
	}
	if i := slices.Index(o.Path, ""); i >= 0 {
		refuse("phase %d of the path has no name", i+1)
	}
	if len(o.Routes) > maxRoutes {
		refuse("%d routes: the most is %d", len(o.Routes), maxRoutes)
	}
	for i, route := range o.Routes {
		if u, err := url.ParseRequestURI(route); err != nil || u.IsAbs() || !strings.HasPrefix(route, "/") || u.Fragment != "" {
			refuse("route %q: must be a path as in a request line, for example /api/users", route)
		}
		if slices.Contains(o.Routes[:i], route) {
			refuse("route %q is listed twice", route)
		}
	}
	for _, fault := range o.Faults {
		if fault.Kind == "" || fault.Service == "" {
			refuse("fault %q: needs a kind and a service", fault)
		}
		if fault.Phase != "" && !slices.Contains(o.Path, fault.Phase) {
			refuse("fault %s: the path %s does not go through %s", fault, strings.Join(o.Path, " → "), fault.Phase)
		}
	}
	return o, errors.Join(errs...)
}

// Run rehearses. It returns an error if there is nothing to report: if the
// options cannot be used, the first phase cannot be deployed, or what its
// routes answer cannot serve as the measure. What goes wrong later is in the
// report, which is then not passed: requests that were lost, a phase that could
// not be deployed, the end of the context.
func Run(ctx context.Context, d Deployment, o Options) (*Report, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	r := &run{Options: o, d: d, rec: newRecording(o.Rate), pending: slices.Clone(o.Faults)}
	d.Observe(r.rec.observe)
	defer d.Observe(nil)
	d.Events(r.event)
	defer d.Events(nil)

	changes, err := d.Deploy(ctx, o.Path[0])
	if err != nil {
		return nil, fmt.Errorf("deploying %s, the phase to begin in: %w", o.Path[0], err)
	}
	r.firstChanges = changes
	urls := make([]string, len(o.Routes))
	for i, route := range o.Routes {
		urls[i] = strings.TrimSuffix(d.URL(route), "/") + route
	}
	if r.baseline, r.baselineBy, err = takeBaseline(ctx, urls, o, r.rec); err != nil {
		return nil, err
	}

	load := startLoad(urls, o, r.baseline, r.rec)
	r.began = load.began
	stopProgress := r.reportProgress()
	r.walk(ctx)
	r.interrupted = ctx.Err() != nil
	r.end = load.stop()
	stopProgress()
	r.rec.settle(2 * time.Second)
	return analyse(r), nil
}

// run is one rehearsal: what was done and what came of it.
type run struct {
	Options
	d            Deployment
	rec          *recording
	baseline     []answer
	baselineBy   []string // services that gave the baseline
	firstChanges []string
	began        time.Time     // of the load
	end          time.Duration // of the load; like all durations here, since it began
	pending      []Fault       // not done yet
	interrupted  bool          // the context ended

	mu     sync.Mutex
	spans  []span
	events []Event
	step   int
}

type spanKind int

const (
	calm spanKind = iota // in a phase, undisturbed
	deploying
	harmed
)

// span is a part of the load's time. Spans follow one another without gaps.
type span struct {
	kind       spanKind
	phase      string // the one being left, if deploying
	next       string // the one being deployed
	fault      Fault
	begin, end time.Duration
	changes    []string
	err        error
}

func (s span) name() string {
	switch s.kind {
	case deploying:
		return s.phase + " → " + s.next
	case harmed:
		return s.fault.Kind + " " + s.fault.Service
	}
	return s.phase
}

// enter ends the span before and begins one.
func (r *run) enter(s span) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.begin = time.Since(r.began)
	samePhase := s.kind == harmed // a fault and what comes after it are within their phase
	if n := len(r.spans); n > 0 {
		r.spans[n-1].end = s.begin
		samePhase = samePhase || r.spans[n-1].kind == harmed && s.kind != deploying
	} else {
		s.begin = 0 // what is due first is due at the very beginning
	}
	r.spans = append(r.spans, s)
	r.rec.enterSpan(samePhase)
}

// leave ends the current span with what it did.
func (r *run) leave(changes []string, err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &r.spans[len(r.spans)-1]
	s.end, s.changes, s.err = time.Since(r.began), changes, err
	return err
}

func (r *run) event(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

// walk goes through the phases until one cannot be deployed or the context ends.
func (r *run) walk(ctx context.Context) {
	for i, phase := range r.Path {
		if i > 0 {
			r.enter(span{kind: deploying, phase: r.Path[i-1], next: phase})
			if r.leave(r.d.Deploy(ctx, phase)) != nil {
				return
			}
		}
		r.mu.Lock()
		r.step = i + 1
		r.mu.Unlock()
		r.enter(span{phase: phase})
		if r.stay(ctx, phase, len(r.Path)-i) != nil {
			return
		}
	}
}

// stay remains in a phase, does what harm is due in it, and leaves when the
// phase has had its share of the requests. Left counts this phase and the ones
// to come.
func (r *run) stay(ctx context.Context, phase string, left int) error {
	share := func() time.Duration {
		missing := max(0, r.Requests-r.rec.sent())
		return max(r.Dwell, time.Duration(float64(missing)/float64(left)/float64(r.Rate)*float64(time.Second)))
	}
	if err := sleep(ctx, share()/2); err != nil {
		return r.leave(nil, err)
	}
	for i := 0; i < len(r.pending); {
		fault := r.pending[i]
		if fault.Phase != phase && (fault.Phase != "" || !r.rec.answering(fault.Service)) {
			i++
			continue
		}
		r.pending = slices.Delete(r.pending, i, i+1)
		r.enter(span{kind: harmed, phase: phase, fault: fault})
		if r.leave(nil, r.harm(ctx, fault)) != nil {
			return errors.New("not recovered")
		}
		r.enter(span{phase: phase})
		// The fault's window ends here. What comes after has to be calm again.
		if err := sleep(ctx, r.Dwell/2); err != nil {
			return r.leave(nil, err)
		}
	}
	if err := sleep(ctx, share()/2); err != nil {
		return r.leave(nil, err)
	}
	for left == 1 && r.rec.sent() < r.Requests {
		missing := time.Duration(r.Requests-r.rec.sent()) * time.Second / time.Duration(r.Rate)
		if err := sleep(ctx, missing); err != nil {
			return r.leave(nil, err)
		}
	}
	return r.leave(nil, nil)
}

func (r *run) harm(ctx context.Context, fault Fault) error {
	clearFault, err := r.d.Fault(ctx, fault.Kind, fault.Service)
	if err != nil {
		return fmt.Errorf("fault %s: %w", fault, err)
	}
	var interrupted error
	if !fault.Once {
		interrupted = sleep(ctx, r.Hold)
	}
	// Harm is undone even when the rehearsal is broken off.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Minute)
	defer cancel()
	if err := clearFault(ctx); err != nil {
		return fmt.Errorf("fault %s: clearing it: %w", fault, err)
	}
	return interrupted
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *run) reportProgress() (stop func()) {
	if r.Progress == nil {
		return func() {}
	}
	report := func() {
		p := r.rec.progress()
		p.Elapsed, p.Steps = time.Since(r.began), len(r.Path)
		r.mu.Lock()
		if n := len(r.spans); n > 0 {
			s := r.spans[n-1]
			p.Phase, p.Next, p.Step = s.phase, s.next, r.step
			if s.kind == harmed {
				p.Fault = s.fault.String()
			}
		}
		r.mu.Unlock()
		r.Progress(p)
	}
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(250 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				report()
			case <-quit:
				report()
				return
			}
		}
	}()
	return func() { close(quit); <-done }
}
