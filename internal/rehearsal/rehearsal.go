package rehearsal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"cutover/internal/plain"
)

// Deployment is what a rehearsal walks through its phases. It reports what happens to
// [Rehearsal.Observe] and [Rehearsal.Event].
type Deployment interface {
	// URL is the base URL, without a path, of the listener for a request. It is the same
	// in every phase.
	URL(r *Request) string
	// Deploy moves the deployment to a phase. It returns when the right tasks are healthy
	// and the others are gone. The first call may find the deployment in its phase already.
	Deploy(ctx context.Context, phase string) (Changes, error)
	// Run runs a command in a task of a service, and returns when it has ended well.
	Run(ctx context.Context, c Command) error
	// Fault harms a running service. Kind is a word of the deployment, such as "kill". The
	// harm lasts until clear is called or the deployment recovers. Clear is called once,
	// and returns when the deployment is steady again.
	Fault(ctx context.Context, kind, service string) (clear func(context.Context) error, err error)
	// Gaps lists what the deployment does not do as AWS does, a line each. It is called once, after the walk.
	Gaps() []string
}

// Signing is a [Deployment] in which some requests need a signature.
type Signing interface {
	// Sign returns what signs the requests of a route; nil if they need no signature. It is asked once.
	Sign(r *Request) func(sent *http.Request, body []byte) error
}

// Changes are what a deployment changed, a line for each property or resource.
type Changes struct {
	// Traffic decides where requests go, Tasks how many tasks run.
	Traffic []string `json:"traffic"`
	Tasks   []string `json:"tasks"`
	// Others do neither, for example the parameters of the phase gate.
	Others []string `json:"others"`
}

// Record is what the load balancer knows about one request.
type Record struct {
	// TraceID is the request's X-Amzn-Trace-Id header, as the client or the load balancer
	// sent it. Records of other clients' requests are ignored.
	TraceID string
	// Rule, Patterns and Group are the names of the parts that the request went through: the rule that decided, those of
	// its path patterns that take the path, and the target group. Empty if there is none.
	Rule     string
	Patterns []string
	Group    string
	// Service is the name of the service, empty if the request was not forwarded.
	Service string
	// Target is the target that was chosen, empty if there was none to choose.
	Target string
	// Status is the status that the client got, and TargetStatus the target's. 0 is no
	// answer.
	Status, TargetStatus int
	// Reason says why the client did not get the target's answer, or is empty. Errors are
	// grouped by it, so leave ports and times out.
	Reason string
	// Idle says that the load balancer closed the connection, because nothing was sent for its idle timeout.
	Idle bool
}

// Event is something that happened in the deployment.
type Event struct {
	Time time.Time `json:"-"`
	// At is set by the report. It is below 0 before the load.
	At Seconds `json:"at_s"`
	// Service is the name of the service or target group, empty if there is none.
	Service string `json:"service"`
	// Target and State are a target and its new state, empty if the event is not about a
	// target. The timeline shows the states initial, healthy, unhealthy and draining until
	// the next one; unused ends the last. Other states are only listed.
	Target string `json:"target"`
	State  string `json:"state"`
	// Text says what happened, in a few words.
	Text string `json:"text"`
	// Mark shows the text in the timeline, which has room for a few.
	Mark bool `json:"mark"`
}

// Fault is harm to be done during a rehearsal.
type Fault struct {
	// Kind and Service are what [Deployment.Fault] takes.
	Kind, Service string
	// Phase is the phase to do it in, as in [Options.Walk]. Default: the first one in which the service answers
	// requests.
	Phase string
	// Lossless says that the fault excuses no failure, not even its own service's.
	Lossless bool
	// OfStore says that the service's store is harmed. Services that use the same store, or that ask the service
	// about its records, may answer 503 meanwhile.
	OfStore bool
	// Once says that the harm takes a moment. The fault ends when the deployment has
	// recovered.
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

// Options say how to rehearse. The zero value rehearses the whole migration and the way
// back.
type Options struct {
	// Walk lists the phases to walk through, by any names: a phase may be a place for each
	// service. Default: [DefaultWalk].
	Walk []string
	// Words returns a name for the step between two phases, and a label for the second one in
	// the timeline, which has little room. Default, also for each empty text: "from → to" and
	// the phase's name.
	Words func(from, to string) (step, label string)
	// Answerers returns the services that may answer a request in a phase. If another service
	// answers, the rehearsal fails. Nil takes any service. Default: any service may answer.
	Answerers func(phase string, r *Request) []string
	// Rate is the number of requests per second, 1 to 50,000. Default: 500.
	Rate int
	// LowerRate sends fewer requests per second if a trial before the walk shows that twice Rate does not hold, or that answers
	// take long. Default: there is no walk if Rate does not hold.
	LowerRate bool
	// Requests is the least number of requests; the phases last longer to reach it.
	// Default: 0, no least number.
	Requests int
	// Dwell is the least time to stay in a phase. Default: 5 s.
	Dwell time.Duration
	// Hold is how long a fault lasts before it is cleared, unless it is done once. Default:
	// 15 s. That is more than Timeout's default, and enough for the forum's health checks
	// to see a target hang.
	Hold time.Duration
	// Timeout is how long to wait for an answer. Default: 10 s.
	Timeout time.Duration
	// Workload is what to ask. Required, at the latest before the run.
	Workload Workload
	// Parts are what requests come to, by phase. Default: they are not known, and nothing is said about them.
	Parts map[string][]Part
	// Findings are known before the load. One fails the rehearsal.
	Findings []Finding
	// Faults are done in this order, each in the middle of a phase.
	Faults []Fault
	// Workers answer no requests. A fault of one of them without a phase is done in the first one. Default: none.
	Workers []string
	// Watchers watch what is not in the answers. Default: nothing is watched.
	Watchers []Watcher
	// About is put into the report, for example versions. Default: none.
	About []Fact
	// Progress is called about four times a second while there is load, from one
	// goroutine. Default: not at all.
	Progress func(Progress)

	trial time.Duration // of the load before the walk; default: trialLength, or storeTrial
	// patience is how long a phase lasts longer for routes that are not asked, besides two cycles, and the last one for services that
	// answer no requests although a fault is for them; default: Timeout.
	patience time.Duration
	most     int // requests; default: maxRequests
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
	// Phase is the phase of the deployment, Next the phase being deployed, and Fault the
	// harm being done. Next and Fault may be empty.
	Phase, Next, Fault string
	// Doing is the step, or the label of the phase, with the fault.
	Doing string
	// Step counts the phases reached, from 1 to Steps.
	Step, Steps int
	// Sent, Lost and Different count requests since the load began.
	Sent, Lost, Different int
	// Rate is the number of answers per second, and Worst the longest latency. Both count
	// since the call before.
	Rate  float64
	Worst time.Duration
}

// DefaultWalk is the whole migration and the way back.
func DefaultWalk() []string {
	return []string{"monolith", "parallel", "switched", "retired", "switched", "parallel", "monolith"}
}

const (
	maxRate   = 50_000
	maxRoutes = 10_000 // a sample has two bytes for the route
	// maxRequests bounds the memory of a rehearsal, which keeps 32 bytes of every request.
	maxRequests = 50_000_000
)

var errMost = fmt.Errorf("a rehearsal sends %s at most", count(maxRequests, "request"))

func (o Options) withDefaults() (Options, error) {
	if len(o.Walk) == 0 {
		o.Walk = DefaultWalk()
	}
	o.Rate = cmp.Or(o.Rate, 500)
	o.Dwell = cmp.Or(o.Dwell, 5*time.Second)
	o.Hold = cmp.Or(o.Hold, 15*time.Second)
	o.Timeout = cmp.Or(o.Timeout, 10*time.Second)
	o.patience = cmp.Or(o.patience, o.Timeout)
	o.most = cmp.Or(o.most, maxRequests)

	var errs []error
	refuse := func(format string, a ...any) { errs = append(errs, fmt.Errorf(format, a...)) }
	if o.Rate < 1 || o.Rate > maxRate {
		refuse("rate %d: must be from 1 to %d requests per second", o.Rate, maxRate)
	}
	if o.Requests < 0 {
		refuse("requests %d: must not be negative", o.Requests)
	}
	if planned := max(float64(o.Requests), float64(o.Rate)*o.Dwell.Seconds()*float64(len(o.Walk))); planned > maxRequests {
		refuse("%.0f requests: %w; lower the rate or the time in a phase", planned, errMost)
	}
	for name, d := range map[string]time.Duration{"dwell": o.Dwell, "hold": o.Hold, "timeout": o.Timeout} {
		if d < 0 {
			refuse("%s %v: must not be negative", name, d)
		}
	}
	if i := slices.Index(o.Walk, ""); i >= 0 {
		refuse("phase %d of the walk has no name", i+1)
	}
	for _, fault := range o.Faults {
		if fault.Kind == "" || fault.Service == "" {
			refuse("fault %q: needs a kind and a service", fault)
		}
		if fault.Phase != "" && !slices.Contains(o.Walk, fault.Phase) {
			refuse("fault %s: the walk %s does not go through %s", fault, strings.Join(o.Walk, " → "), fault.Phase)
		}
	}
	return o, errors.Join(errs...)
}

// Rehearsal is one rehearsal: what was done and what came of it.
type Rehearsal struct {
	Options
	d           Deployment
	rec         *recording
	plan        *plan
	ways        []way     // by route
	baseline    []*Answer // the first one, by route
	asked       int       // requests outside of the load
	results     []Result  // by source
	lines       []*Line   // by stream
	watched     context.Context
	watching    sync.WaitGroup // streams, until watched ends
	baselineBy  []string       // services that gave the baseline
	tried       Load           // before the walk
	tooHigh     int            // the lowest rate that a trial did not hold; 0 if the first one did
	gaps        []string       // as the deployment tells them
	began       time.Time      // of the load
	end         time.Duration  // of the load; like all durations here, since it began
	pending     []Fault        // not done yet
	interrupted error          // why the walk ended before its time

	// What the streams have found.
	ends          []StreamEnd
	streamResults []Result
	streamed      []streamed
	// What the watchers have found.
	beside []Result
	lags   []Lag
	fated  map[int]bool // connections that are in streamed

	mu     sync.Mutex
	spans  []span
	events []Event
}

// New prepares a rehearsal. It returns an error if the options cannot be used.
func New(o Options) (*Rehearsal, error) {
	o, err := o.withDefaults()
	_, wrong := newPlan(o.Workload)
	return &Rehearsal{Options: o, rec: newRecording(o.Rate), pending: slices.Clone(o.Faults)}, errors.Join(err, wrong)
}

// Observe takes what the load balancer knows about a request. It may be called from
// several goroutines.
func (r *Rehearsal) Observe(record Record) { r.rec.observe(record) }

// Event takes what else is worth a line in the report. It may be called from several
// goroutines.
func (r *Rehearsal) Event(e Event) {
	e.Service, e.Target, e.Text = plain.Line(e.Service), plain.Line(e.Target), plain.Visible(e.Text)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

// Run rehearses, once. It returns an error if there is nothing to report: the first
// phase cannot be deployed, or its answers cannot be the baseline. All later failures
// are in the report, which is then not passed: lost requests, a phase that could not be
// deployed, the end of the context. If the load does not hold before the walk, the report
// says so, and there is no walk.
func (r *Rehearsal) Run(ctx context.Context, d Deployment) (*Report, error) {
	r.d = d
	if _, err := d.Deploy(ctx, r.Walk[0]); err != nil {
		return nil, fmt.Errorf("deploying %s, the phase to begin in: %w", r.Walk[0], err)
	}
	watching, stopWatching := context.WithCancel(ctx)
	defer stopWatching()
	if err := r.beginWatching(watching); err != nil {
		return nil, err
	}
	for _, c := range r.Workload.Prepare {
		if err := d.Run(ctx, c); err != nil {
			return nil, fmt.Errorf("running %s in %s: %w", c, r.Walk[0], err)
		}
	}
	lines, closeLines := r.newLines()
	defer closeLines()
	r.lines = lines
	if err := r.measure(ctx); err != nil {
		return nil, err
	}
	if r.tried.WouldHold == 0 {
		r.carryOut(ctx)
	}
	return analyse(r), nil
}

// measure takes the baseline, and tries the load.
func (r *Rehearsal) measure(ctx context.Context) (err error) {
	if r.plan, err = newPlan(r.Workload); err != nil {
		return err
	}
	if len(r.plan.routes) == 0 {
		return errors.New("there is nothing to request")
	}
	for _, route := range r.plan.routes {
		to := way{base: strings.TrimSuffix(r.d.URL(route), "/")}
		if signing, ok := r.d.(Signing); ok {
			to.sign = signing.Sign(route)
		}
		r.ways = append(r.ways, to)
	}
	r.baseline = make([]*Answer, len(r.ways))
	if err := r.takeBaseline(ctx); err != nil {
		return err
	}
	r.began = time.Now()
	try := func(rate int) Load {
		if ctx.Err() != nil {
			return Load{}
		}
		r.Rate, r.rec.rate = rate, rate
		return r.try(ctx)
	}
	if r.LowerRate {
		r.tried, r.tooHigh = lower(r.Rate, try)
	} else {
		r.tried = try(r.Rate)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if r.tried.WouldHold == 0 { // otherwise there is no walk
		if err := r.takeBaseline(ctx); err != nil {
			return err
		}
	}
	r.baselineBy = r.rec.baselineServices()
	return nil
}

// carryOut walks through the phases under load.
func (r *Rehearsal) carryOut(ctx context.Context) {
	load, closeIdle := r.newLoad(r.rec)
	defer closeIdle()
	running, quit := context.WithCancel(context.WithoutCancel(ctx))
	r.began = time.Now()
	var background sync.WaitGroup
	walking, stop := context.WithCancelCause(ctx)
	background.Go(func() {
		load.run(running, r.began)
		stop(errMost)
	})
	background.Go(func() { r.rec.watchProcessors(running, r.began) })
	stopProgress := r.reportProgress()
	var endStreams context.CancelFunc
	r.watched, endStreams = context.WithCancel(context.WithoutCancel(ctx))
	r.walk(walking)
	r.interrupted = context.Cause(walking)
	quit()
	r.end = time.Since(r.began)
	endStreams()
	background.Wait()
	r.watching.Wait()
	stopProgress()
	r.finish(ctx)
	r.rec.settle(2 * time.Second)
	for _, source := range r.plan.Sources {
		r.results = append(r.results, source.Result(r.handled))
	}
	r.endStreams()
	r.endWatching(ctx)
	r.gaps = visible(r.d.Gaps())
}

// finish has the sources ask what they want to know at the end.
func (r *Rehearsal) finish(ctx context.Context) {
	transport := newTransport()
	defer transport.CloseIdleConnections()
	for i, source := range r.plan.Sources {
		if f, has := source.(Finisher); has && ctx.Err() == nil {
			f.Finish(ctx, r.ask(transport, i))
		}
	}
}

// handled says how a request of the load was answered.
func (r *Rehearsal) handled(seq int) Handled {
	if seq < 0 {
		return Handled{Service: strings.Join(r.baselineBy, " or "), Stage: r.Walk[0]}
	}
	s, sent := r.rec.sample(seq)
	h := Handled{Stage: r.spans[r.spanAt(sent)].name(), At: sent}
	if s.targetStatus != 0 {
		h.Service, h.Target = s.way().service, s.way().target
	}
	return h
}

// The kinds of spans. The last two are those of [Step].
const (
	calm      = "" // in a phase, undisturbed
	deploying = "deploy"
	harmed    = "fault"
)

// span is a part of the load's time. Spans follow one another without gaps. A calm span
// comes before each of the others, and after it unless the walk ends.
type span struct {
	kind       string
	phase      string // the phase being left, if deploying
	next       string // the phase being deployed
	step       string // its name, if it has one of its own
	label      string // of the phase, if it has one of its own
	fault      Fault
	begin, end time.Duration
	changes    Changes
	err        error
}

func (s span) name() string {
	switch s.kind {
	case deploying:
		return cmp.Or(s.step, s.phase+" → "+s.next)
	case harmed:
		return s.fault.Kind + " " + plain.Line(s.fault.Service)
	}
	return s.phase
}

// enter ends the span before and begins the next.
func (r *Rehearsal) enter(s span) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(r.spans)
	if n > 0 { // the first span begins with the load
		s.begin = time.Since(r.began)
		r.spans[n-1].end = s.begin
	}
	r.spans = append(r.spans, s)
	r.rec.enterSpan(r.beginsPhase(n))
}

// beginsPhase says whether a span is the first in its phase.
func (r *Rehearsal) beginsPhase(i int) bool { return i == 0 || r.spans[i-1].kind == deploying }

// leave ends the current span with what it did.
func (r *Rehearsal) leave(changes Changes, err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &r.spans[len(r.spans)-1]
	s.changes = Changes{visible(changes.Traffic), visible(changes.Tasks), visible(changes.Others)}
	s.end, s.err = time.Since(r.began), err
	return err
}

// visible returns lines of the deployment, which may have names of somebody else's.
func visible(lines []string) []string {
	var shown []string
	for _, line := range lines {
		shown = append(shown, plain.Line(line))
	}
	return shown
}

// walk goes through the phases until one cannot be deployed or the context ends.
func (r *Rehearsal) walk(ctx context.Context) {
	for i, phase := range r.Walk {
		label := ""
		if i > 0 {
			step := span{kind: deploying, phase: r.Walk[i-1], next: phase}
			if r.Words != nil {
				step.step, label = r.Words(step.phase, phase)
			}
			r.enter(step)
			if r.leave(r.d.Deploy(ctx, phase)) != nil {
				return
			}
		}
		r.enter(span{phase: phase, label: label})
		r.watch()
		if r.stay(ctx, phase, len(r.Walk)-i) != nil {
			return
		}
	}
}

// stay remains in a phase until it has had its share of the requests, and each route at
// least one, if the workload asks each. It does the phase's faults in the middle. Left counts this phase and the
// next ones.
func (r *Rehearsal) stay(ctx context.Context, phase string, left int) error {
	half := func() time.Duration {
		missing := max(0, r.Requests-r.rec.sent())
		return max(r.Dwell, time.Duration(float64(missing)/float64(left)/float64(r.Rate)*float64(time.Second))) / 2
	}
	if err := sleep(ctx, half()); err != nil {
		return r.leave(Changes{}, err)
	}
	answers := func(f Fault) bool { return r.rec.answering(f.Service) || slices.Contains(r.Workers, f.Service) }
	// The last phase waits for the services that no fault has met yet. A busy machine may not have sent them a request.
	waiting := func() bool {
		return left == 1 && slices.ContainsFunc(r.pending, func(f Fault) bool { return f.Phase == "" && !answers(f) })
	}
	for end := time.Now().Add(r.patience); waiting() && time.Now().Before(end); {
		if err := sleep(ctx, time.Second/time.Duration(r.Rate)); err != nil {
			return r.leave(Changes{}, err)
		}
	}
	for i := 0; i < len(r.pending); {
		fault := r.pending[i]
		if fault.Phase != phase && (fault.Phase != "" || !answers(fault)) {
			i++
			continue
		}
		r.pending = slices.Delete(r.pending, i, i+1)
		r.enter(span{kind: harmed, phase: phase, fault: fault})
		if err := r.leave(Changes{}, r.harm(ctx, fault)); err != nil {
			return err
		}
		r.enter(span{phase: phase})
		// From here on nothing is excused.
		if err := sleep(ctx, r.Dwell/2); err != nil {
			return r.leave(Changes{}, err)
		}
	}
	err := sleep(ctx, half())
	missing := func() int {
		if left == 1 {
			return max(r.rec.unasked(len(r.plan.routes)), r.Requests-r.rec.sent())
		}
		return r.rec.unasked(len(r.plan.routes))
	}
	// A source may never come to one of its routes, for example after a login that fails.
	end := time.Now().Add(r.Dwell + r.patience + r.rec.due(2*len(r.plan.cycle)+max(0, r.Requests-r.rec.sent())))
	for n := missing(); err == nil && n > 0 && time.Now().Before(end); n = missing() {
		err = sleep(ctx, time.Duration(n)*time.Second/time.Duration(r.Rate))
	}
	return r.leave(Changes{}, err)
}

func (r *Rehearsal) harm(ctx context.Context, fault Fault) error {
	clearFault, err := r.d.Fault(ctx, fault.Kind, fault.Service)
	if err != nil {
		return fmt.Errorf("fault %s: %w", fault, err)
	}
	var interrupted error
	if !fault.Once {
		interrupted = sleep(ctx, r.Hold)
	}
	// Harm is undone even when the rehearsal is interrupted.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Minute)
	defer cancel()
	if err := clearFault(ctx); err != nil {
		return fmt.Errorf("fault %s: clearing it: %w", fault, err)
	}
	return interrupted
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
	return context.Cause(ctx)
}

func (r *Rehearsal) reportProgress() (stop func()) {
	if r.Progress == nil {
		return func() {}
	}
	report := func() {
		p := r.rec.progress()
		p.Elapsed, p.Steps = time.Since(r.began), len(r.Walk)
		r.mu.Lock()
		label := ""
		for i, s := range r.spans {
			if r.beginsPhase(i) {
				p.Step++
				label = cmp.Or(s.label, s.phase)
			}
		}
		if n := len(r.spans); n > 0 {
			s := r.spans[n-1]
			p.Phase, p.Next, p.Doing = s.phase, s.next, label
			switch s.kind {
			case deploying:
				p.Doing = s.name()
			case harmed:
				p.Fault = s.fault.String()
				p.Doing += ", " + s.name()
			}
		}
		r.mu.Unlock()
		r.Progress(p)
	}
	running, quit := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		for sleep(running, 250*time.Millisecond) == nil {
			report()
		}
		report()
	})
	return func() { quit(); done.Wait() }
}
