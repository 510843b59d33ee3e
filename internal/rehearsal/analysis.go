package rehearsal

import (
	"fmt"
	"maps"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"
)

// tally counts requests and collects their latencies.
type tally struct {
	Totals
	latencies []uint32
}

func newTally() *tally {
	return &tally{Totals: Totals{ByStatus: map[string]int{}, ByService: map[string]int{}}}
}

func (t *tally) add(s *sample, by string, excused bool) {
	t.Requests++
	t.ByService[by]++
	if s.status == 0 {
		t.ByStatus[noStatus]++
	} else {
		t.ByStatus[strconv.Itoa(int(s.status))]++
		t.latencies = append(t.latencies, s.latency)
		if s.flags&isObserved == 0 {
			t.Unobserved++
		}
	}
	switch {
	case s.problem.lost():
		t.Lost++
	case s.problem.different():
		t.Different++
	}
	if excused {
		t.Excused++
	}
}

func (t *tally) totals() Totals {
	t.Latency = summarize(t.latencies)
	return t.Totals
}

// summarize sorts the latencies. A percentile is the smallest latency that so
// many of all do not exceed.
func summarize(us []uint32) Latency {
	if len(us) == 0 {
		return Latency{}
	}
	slices.Sort(us)
	rank := func(percent int) uint32 { return us[(len(us)*percent+99)/100-1] }
	return Latency{P50: millis(rank(50)), P99: millis(rank(99)), Max: millis(us[len(us)-1])}
}

// lossKey groups what goes into one [Loss].
type lossKey struct {
	span                 int
	problem              problem
	status, targetStatus uint16
	service, reason      uint8
	observed, hasTarget  bool
	excused              bool
}

// analysis is the report in the making.
type analysis struct {
	*run
	report *Report
	width  time.Duration // of a slice

	all                      *tally
	bySpan, byRoute, bySlice []*tally
	late                     []uint32 // of every request
	sliceLate                []uint32 // the worst of each slice
	answered                 map[string]bool
	// traffic has, by span and service, when its requests were sent.
	traffic []map[uint8]window
	// routed is the service that answered a route last.
	routed []uint8
	faults []*faultWindow

	losses map[lossKey]*Loss
	order  []lossKey
}

// window is the time from the first of some requests to the last.
type window struct{ first, last time.Duration }

// analyse turns what was recorded into the report.
func analyse(r *run) *Report {
	r.rec.mu.Lock()
	defer r.rec.mu.Unlock()
	a := &analysis{
		run: r, width: sliceWidth(r.end, r.Rate), all: newTally(), answered: map[string]bool{}, routed: make([]uint8, len(r.Routes)),
		faults: r.faultOutcomes(), losses: map[lossKey]*Loss{},
	}
	for range r.spans {
		a.bySpan = append(a.bySpan, newTally())
		a.traffic = append(a.traffic, map[uint8]window{})
	}
	for range r.Routes {
		a.byRoute = append(a.byRoute, newTally())
	}
	at := 0
	for seq := range r.rec.n {
		sent := r.rec.due(seq) + time.Duration(r.rec.at(seq).late)*time.Microsecond
		for at < len(r.spans)-1 && sent >= r.spans[at].end {
			at++
		}
		a.request(seq, at, sent)
	}
	return a.finish()
}

// request counts a request that was sent in a span.
func (a *analysis) request(seq, span int, sent time.Duration) {
	s := a.rec.at(seq)
	if s.targetStatus != 0 {
		a.answered[a.rec.services.text(int(s.service))] = true
		w, known := a.traffic[span][s.service]
		if !known {
			w.first = sent
		}
		w.last = sent
		a.traffic[span][s.service] = w
		if s.problem == fine {
			a.routed[s.route] = s.service
		}
	}
	excused := a.excuse(s, sent, a.rec.due(seq)+time.Duration(s.latency)*time.Microsecond)
	slice := int(sent / a.width)
	for len(a.bySlice) <= slice {
		a.bySlice, a.sliceLate = append(a.bySlice, newTally()), append(a.sliceLate, 0)
	}
	by := a.rec.answerer(s)
	for _, t := range []*tally{a.all, a.bySpan[span], a.byRoute[s.route], a.bySlice[slice]} {
		t.add(s, by, excused)
	}
	a.late = append(a.late, s.late)
	a.sliceLate[slice] = max(a.sliceLate[slice], s.late)
	if s.problem != fine {
		a.loss(seq, span, sent, excused)
	}
}

// excuse counts a request, from when it was sent until it was over, for the faults
// of that time. It says whether one of them excuses its failure.
func (a *analysis) excuse(s *sample, sent, over time.Duration) (excused bool) {
	// A request that the load balancer has not reported, because the client gave
	// it up, is taken to have gone where its route went before.
	service := s.service
	if s.flags&isObserved == 0 {
		service = a.routed[s.route]
	}
	failed := s.problem != fine
	for _, f := range a.faults {
		if sent >= f.end || over < f.begin {
			continue
		}
		own := a.rec.services.text(int(service)) == f.Service
		requests, failures := &f.Others, &f.OthersFailed
		if own {
			requests, failures = &f.Own, &f.OwnFailed
		}
		*requests++
		if failed {
			*failures++
			excused = excused || own && !f.lossless
		}
	}
	return excused
}

// loss adds a request that failed to those that failed alike.
func (a *analysis) loss(seq, span int, sent time.Duration, excused bool) {
	s := a.rec.at(seq)
	target := a.rec.targets.text(int(s.target))
	key := lossKey{span, s.problem, s.status, s.targetStatus, s.service, s.reason, s.flags&isObserved != 0, s.target != 0, excused}
	loss := a.losses[key]
	if loss == nil {
		loss = &Loss{
			Kind: s.problem.String(), Stage: a.spans[span].name(), Status: int(s.status), Excused: excused,
			Service: a.rec.services.text(int(s.service)), Target: target, Why: a.rec.why(s), First: seconds(sent),
		}
		a.losses[key] = loss
		a.order = append(a.order, key)
	}
	if loss.Target != target {
		loss.Target = ""
	}
	loss.Count++
	loss.Last = seconds(sent)
	loss.sample(Sample{At: seconds(sent), Route: a.Routes[s.route], Latency: millis(s.latency), Target: target, Detail: a.rec.details[seq]})
}

// finish makes the report of what was counted.
func (a *analysis) finish() *Report {
	r := &Report{
		Format: Format, Began: a.began.UTC().Truncate(time.Millisecond), Duration: seconds(a.end), Path: a.Path, Rate: a.Rate,
		BaselinePhase: a.Path[0], BaselineServices: a.baselineBy, Initial: a.firstChanges, SliceWidth: seconds(a.width),
		Totals: a.all.totals(), Late: summarize(a.late),
	}
	a.report = r
	for _, key := range a.order {
		r.Losses = append(r.Losses, *a.losses[key])
	}
	for _, service := range a.baselineBy {
		delete(a.answered, service)
		r.Services = append(r.Services, service)
	}
	r.Services = append(r.Services, slices.Sorted(maps.Keys(a.answered))...)
	for i, t := range a.byRoute {
		was := a.baseline[i]
		r.Routes = append(r.Routes, Route{a.Routes[i], was.status, was.contentType, len(was.body), t.totals()})
	}
	for i, t := range a.bySlice {
		r.Slices = append(r.Slices, Slice{seconds(time.Duration(i) * a.width), t.totals(), millis(a.sliceLate[i])})
	}
	for _, e := range a.events {
		r.Events = append(r.Events, Mark{seconds(e.Time.Sub(a.began)), e.Service, e.Target, e.State, e.Text, e.Mark})
	}
	faults := a.faults
	for i, s := range a.spans {
		switch s.kind {
		case calm:
			a.phase(i)
		case deploying:
			step := a.step(i, "deploy")
			step.Shifts = a.shifts(i, step.Begin)
			r.Steps = append(r.Steps, step)
		case harmed:
			step := a.step(i, "fault")
			step.Fault, faults = &faults[0].FaultOutcome, faults[1:]
			r.Steps = append(r.Steps, step)
		}
	}
	r.About = append(a.facts(), a.About...)
	r.Verdict = a.verdict(r)
	return r
}

// phase adds a span to the phases. A fault splits a phase, and the report has it
// whole.
func (a *analysis) phase(i int) {
	s := a.spans[i]
	totals := a.bySpan[i].totals()
	if i == 0 || a.spans[i-1].kind != harmed || len(a.report.Phases) == 0 {
		a.report.Phases = append(a.report.Phases, Phase{s.phase, seconds(s.begin), seconds(s.end), totals})
		return
	}
	whole := newTally()
	for j := i; j >= 0 && a.spans[j].kind != deploying; j-- {
		whole.merge(a.bySpan[j])
	}
	p := &a.report.Phases[len(a.report.Phases)-1]
	p.End, p.Totals = seconds(s.end), whole.totals()
}

// step is a span as a step of the report.
func (a *analysis) step(i int, kind string) Step {
	s := a.spans[i]
	step := Step{
		Kind: kind, Name: s.name(), Begin: seconds(s.begin), End: seconds(s.end), Totals: a.bySpan[i].totals(),
		Errors: map[string]int{}, Changes: s.changes,
	}
	if s.err != nil {
		step.Failure = s.err.Error()
	}
	// A step stands between two calm spans, unless it is the last one.
	if i > 0 {
		step.Before = summarize(a.bySpan[i-1].latencies)
	}
	if i+1 < len(a.bySpan) {
		step.After = summarize(a.bySpan[i+1].latencies)
	}
	for key, loss := range a.losses {
		if key.span != i {
			continue
		}
		kind := loss.Kind
		if loss.Status != 0 && key.problem.lost() {
			kind = strconv.Itoa(loss.Status)
		}
		step.Errors[kind] += loss.Count
	}
	return step
}

// shifts are the services that got their first or their last request with a
// deployment, which is a span between two others.
func (a *analysis) shifts(i int, begin Seconds) []Shift {
	if i == 0 || i+1 == len(a.bySpan) {
		return nil
	}
	var shifts []Shift
	for service := range union(a.traffic[i-1], a.traffic[i], a.traffic[i+1]) {
		before, was := a.traffic[i-1][service]
		during, while := a.traffic[i][service]
		after, is := a.traffic[i+1][service]
		if was == is {
			continue
		}
		at := before.last
		switch {
		case is && while:
			at = during.first
		case is:
			at = after.first
		case while:
			at = during.last
		}
		shifts = append(shifts, Shift{Service: a.rec.services.text(int(service)), Began: is, At: seconds(at), Since: seconds(at) - begin})
	}
	slices.SortFunc(shifts, func(a, b Shift) int {
		return strings.Compare(fmt.Sprintf("%012.3f%s", a.At, a.Service), fmt.Sprintf("%012.3f%s", b.At, b.Service))
	})
	return shifts
}

// sample keeps three samples, those with details first of all.
func (l *Loss) sample(s Sample) {
	if len(l.Samples) == 3 {
		bare := slices.IndexFunc(l.Samples, func(s Sample) bool { return s.Detail == "" })
		if bare < 0 || s.Detail == "" {
			return
		}
		l.Samples = slices.Delete(l.Samples, bare, bare+1)
	}
	l.Samples = append(l.Samples, s)
}

func (t *tally) merge(other *tally) {
	t.latencies = append(t.latencies, other.latencies...)
	t.Requests += other.Requests
	t.Lost += other.Lost
	t.Different += other.Different
	t.Excused += other.Excused
	t.Unobserved += other.Unobserved
	for status, n := range other.ByStatus {
		t.ByStatus[status] += n
	}
	for service, n := range other.ByService {
		t.ByService[service] += n
	}
}

func union[V any](sets ...map[uint8]V) map[uint8]bool {
	all := map[uint8]bool{}
	for _, set := range sets {
		for key := range set {
			all[key] = true
		}
	}
	return all
}

// answerer names who answered a request.
func (r *recording) answerer(s *sample) string {
	switch {
	case s.status == 0:
		return byNobody
	case s.flags&isObserved == 0:
		return byUnknown
	case s.targetStatus == 0:
		return byBalancer
	}
	return r.services.text(int(s.service))
}

// why says in a sentence how a request came to be lost, or answered by whom.
func (r *recording) why(s *sample) string {
	service, reason := r.services.text(int(s.service)), r.reasons.text(int(s.reason))
	because := func(text string) string {
		if reason != "" {
			text += ": " + reason
		}
		return text
	}
	switch {
	case s.problem == refused:
		return "the load balancer's port took no connection"
	case s.problem == unsent:
		return "the request could not be sent"
	case s.problem == resent:
		return "the connection broke while it waited for the answer; another attempt was answered"
	case s.flags&isObserved == 0:
		return "the load balancer has not reported this request"
	case s.targetStatus != 0 && s.status == s.targetStatus:
		return because(fmt.Sprintf("%s answered this", service))
	case s.targetStatus != 0:
		return because(fmt.Sprintf("%s answered with %d, and that did not arrive", service, s.targetStatus))
	case service == "":
		return because("the load balancer answered itself, by its rules")
	case s.target == 0:
		return fmt.Sprintf("target group %s had no target to send it to", service)
	}
	return because(fmt.Sprintf("the target of %s gave no answer", service))
}

// faultWindow is a fault's outcome with the time in which it excuses failures.
type faultWindow struct {
	FaultOutcome
	lossless   bool
	begin, end time.Duration
}

func (r *run) faultOutcomes() []*faultWindow {
	var windows []*faultWindow
	for _, s := range r.spans {
		if s.kind == harmed {
			windows = append(windows, &faultWindow{FaultOutcome{Kind: s.fault.Kind, Service: s.fault.Service, Phase: s.phase}, s.fault.Lossless, s.begin, s.end})
		}
	}
	return windows
}

// sliceWidth divides the load's time into at most 300 slices of a round width,
// with at least 20 requests each.
func sliceWidth(whole time.Duration, rate int) time.Duration {
	least := max(whole/300, 20*time.Second/time.Duration(rate))
	for unit := 10 * time.Millisecond; ; unit *= 10 {
		for _, n := range []time.Duration{1, 2, 5} {
			if n*unit >= least {
				return n * unit
			}
		}
	}
}

// facts describe the machine and what drove the load, without saying whose
// machine it is.
func (r *run) facts() []Fact {
	facts := []Fact{
		{"Load", fmt.Sprintf("%d requests per second over %d routes, open loop", r.Rate, len(r.Routes))},
		{"Stay in a phase", fmt.Sprintf("at least %v", r.Dwell)},
		{"Timeout", r.Timeout.String()},
		{"Machine", fmt.Sprintf("%s/%s, %d CPUs", runtime.GOOS, runtime.GOARCH, runtime.NumCPU())},
		{"Go", strings.TrimPrefix(runtime.Version(), "go")},
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			if dep.Path == "github.com/tsenart/vegeta/v12" {
				facts = append(facts, Fact{"Load generator", "vegeta " + dep.Version})
			}
		}
	}
	return facts
}
