package rehearsal

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"cutover/internal/plain"
)

// tally counts requests and collects their latencies.
type tally struct {
	Totals
	latencies []uint32
	late      uint32 // the worst
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
		if s.handling == nil {
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
	t.late = max(t.late, s.late)
}

func (t *tally) totals() Totals {
	t.Latency = summarize(t.latencies)
	return t.Totals
}

// summarize sorts the latencies. A percentile is the smallest latency that the given
// share of them does not exceed.
func summarize(us []uint32) Latency {
	if len(us) == 0 {
		return Latency{}
	}
	slices.Sort(us)
	rank := func(percent int) uint32 { return us[(len(us)*percent+99)/100-1] }
	return Latency{Count: len(us), P50: millis(rank(50)), P99: millis(rank(99)), Max: millis(us[len(us)-1])}
}

// lossKey groups what goes into one [Loss].
type lossKey struct {
	span                           int
	problem                        Problem
	status                         uint16
	service, why                   string
	hasTarget, excused, overloaded bool
}

// analysis is the report in the making.
type analysis struct {
	*Rehearsal
	width time.Duration // of a slice

	all                      *tally
	bySpan, byRoute, bySlice []*tally
	byPhase                  []*tally // by span; a deployment has one of its own
	late                     []uint32 // of every request
	load                     Load
	overload                 overload
	inPhase                  []map[uint16]bool // routes that were asked, by span as byPhase
	phases                   []string          // that were reached, each once
	column                   []int             // place of the span's phase in phases, by span; below 0 for a deployment
	covered                  map[counted]int
	firstStatuses            []map[uint16]bool // of the first phase, by route
	answered                 map[string]bool
	// traffic has, by span and service, when its requests were sent.
	traffic []map[string]window
	errors  []map[string]int // by span and kind
	// routed is the service that answered a route last.
	routed []string
	faults []*FaultOutcome
	losses map[lossKey]*Loss
	order  []*Loss
	strays map[strayKey]*Stray
}

// strayKey groups what goes into one [Stray].
type strayKey struct{ stage, service, right string }

// window is the time from the first of some requests to the last.
type window struct{ first, last time.Duration }

// analyse turns what was recorded into the report.
func analyse(r *Rehearsal) *Report {
	r.rec.mu.Lock()
	defer r.rec.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	a := &analysis{
		Rehearsal: r, width: sliceWidth(r.end, r.Rate), all: newTally(),
		answered: map[string]bool{}, routed: make([]string, len(r.plan.routes)), losses: map[lossKey]*Loss{},
		strays: map[strayKey]*Stray{}, covered: map[counted]int{},
	}
	for i, s := range r.spans {
		column := -1
		if s.kind != deploying {
			if column = slices.Index(a.phases, s.phase); column < 0 {
				column = len(a.phases)
				a.phases = append(a.phases, s.phase)
			}
		}
		a.column = append(a.column, column)
		phase, asked := newTally(), map[uint16]bool{}
		if s.kind != deploying && !r.beginsPhase(i) {
			phase, asked = a.byPhase[i-1], a.inPhase[i-1]
		}
		a.byPhase, a.bySpan, a.inPhase = append(a.byPhase, phase), append(a.bySpan, newTally()), append(a.inPhase, asked)
		a.traffic = append(a.traffic, map[string]window{})
		a.errors = append(a.errors, map[string]int{})
		if s.kind == harmed {
			a.faults = append(a.faults, &FaultOutcome{
				Kind: s.fault.Kind, Service: plain.Line(s.fault.Service), Phase: s.phase, lossless: s.fault.Lossless, ofStore: s.fault.OfStore, begin: s.begin, end: s.end,
			})
		}
	}
	for i := range r.plan.routes {
		statuses := map[uint16]bool{}
		if was := r.baseline[i]; was != nil {
			statuses[uint16(was.Status)] = true
		}
		a.byRoute, a.firstStatuses = append(a.byRoute, newTally()), append(a.firstStatuses, statuses)
	}
	a.lateness()
	for seq := range r.rec.n {
		sent := r.rec.due(seq) + time.Duration(r.rec.at(seq).late)*time.Microsecond
		a.request(seq, r.spanAt(sent), sent)
	}
	return a.report()
}

// spanAt is the span in which a request was sent. The last span has what was sent after it.
func (r *Rehearsal) spanAt(sent time.Duration) int {
	i, _ := slices.BinarySearchFunc(r.spans, sent, func(s span, sent time.Duration) int { return int(s.end - sent - 1) })
	return min(i, len(r.spans)-1)
}

// lateness finds out whether the load was as planned, and when the machine was behind.
func (a *analysis) lateness() {
	a.load = a.tried
	a.load.Planned = int(a.end.Seconds() * float64(a.Rate))
	for seq := range a.rec.n {
		s, due := a.rec.at(seq), a.rec.due(seq)
		late := time.Duration(s.late) * time.Microsecond
		if late <= tooLate {
			continue
		}
		a.load.Late++
		if s.held && !a.rec.busy(due, due+late) {
			a.load.HeldUp++
		} else {
			a.overload.add(due, due+late)
		}
	}
	// What is due in the last second may be on its way.
	a.load.Late += max(0, a.load.Planned-a.rec.n-a.Rate)
}

// request counts a request that was sent in a span.
func (a *analysis) request(seq, span int, sent time.Duration) {
	s := a.rec.at(seq)
	service := s.way().service
	if s.targetStatus != 0 {
		a.answered[service] = true
		w, known := a.traffic[span][service]
		if !known {
			w = window{sent, sent}
		}
		// A late machine may send a request after the next one.
		a.traffic[span][service] = window{min(w.first, sent), max(w.last, sent)}
		if s.problem == fine {
			a.routed[s.route] = service
		}
	}
	over := a.rec.due(seq) + time.Duration(s.latency)*time.Microsecond
	overloaded := s.problem.lost() && a.overload.has(sent, over)
	excused := a.excuse(s, sent, over, overloaded)
	a.stray(s, span, over)
	a.inPhase[span][s.route] = true
	column := a.column[span]
	a.covered[counted{s.way().passage, s.route, column}]++
	if column == 0 && s.status != 0 {
		a.firstStatuses[s.route][s.status] = true
	}
	slice := int(sent / a.width)
	for len(a.bySlice) <= slice {
		a.bySlice = append(a.bySlice, newTally())
	}
	by := s.answerer()
	for _, t := range []*tally{a.all, a.byPhase[span], a.bySpan[span], a.byRoute[s.route], a.bySlice[slice]} {
		t.add(s, by, excused)
	}
	a.late = append(a.late, s.late)
	if s.problem != fine {
		a.loss(seq, span, sent, excused, overloaded && !excused)
	}
}

// excuse counts a request for the faults between its sending and its end. It says
// whether a fault excuses its failure.
func (a *analysis) excuse(s *sample, sent, over time.Duration, overloaded bool) (excused bool) {
	// The load balancer may not report a request that the client gave up. The request is
	// taken to have gone where its route went before.
	service := s.way().service
	if s.handling == nil {
		service = a.routed[s.route]
	}
	failed := s.problem != fine
	for _, f := range a.faults {
		if sent >= f.end || over < f.begin {
			continue
		}
		own := service == f.Service
		depends := !own && f.ofStore && s.status == http.StatusServiceUnavailable
		requests, failures := &f.Others, &f.OthersFailed
		switch {
		case own:
			requests, failures = &f.Own, &f.OwnFailed
		case depends:
			failures = &f.Depending
		}
		*requests++
		if failed {
			*failures++
			excused = excused || (own || depends) && !f.lossless
			if !own && !depends && !overloaded {
				f.harmed++
			}
		}
	}
	return excused
}

// stray finds an answer of the wrong service.
func (a *analysis) stray(s *sample, span int, over time.Duration) {
	if s.targetStatus == 0 || s.handling == &otherHandling {
		return
	}
	service := s.way().service
	if right, isRight := a.rightful(service, a.plan.routes[s.route], span, over); !isRight {
		a.addStray(a.spans[span].name(), service, a.plan.names[s.route], right)
	}
}

// rightful says whether the service that answered a request was in charge of it, and otherwise which services were. While a phase is
// deployed, the services of the phase before answer, too. So do those of the next one, if a request goes on until then.
func (r *Rehearsal) rightful(service string, request *Request, span int, over time.Duration) (right []string, isRight bool) {
	if r.Answerers == nil {
		return nil, true
	}
	at := r.spans[span]
	phases := []string{at.phase}
	if at.kind == deploying {
		phases = append(phases, at.next)
	} else if i := span + 1; i < len(r.spans) && r.spans[i].kind == deploying && over >= r.spans[i].begin {
		phases = append(phases, r.spans[i].next)
	}
	for _, phase := range phases {
		services := r.Answerers(phase, request)
		if services == nil || slices.Contains(services, service) {
			return nil, true
		}
		right = append(right, services...)
	}
	slices.Sort(right)
	return slices.Compact(right), false
}

func (a *analysis) addStray(stage, service, route string, right []string) {
	key := strayKey{stage, service, strings.Join(right, " ")}
	stray := a.strays[key]
	if stray == nil {
		stray = &Stray{Stage: stage, Service: service, Right: right}
		a.strays[key] = stray
	}
	stray.Count++
	if !slices.Contains(stray.Routes, route) {
		stray.Routes = append(stray.Routes, route)
	}
}

// loss adds a request that failed to those that failed alike.
func (a *analysis) loss(seq, span int, sent time.Duration, excused, overloaded bool) {
	s := a.rec.at(seq)
	way := s.way()
	kind := s.problem.String()
	if s.status != 0 && s.problem.lost() {
		a.errors[span][strconv.Itoa(int(s.status))]++
	} else {
		a.errors[span][kind]++
	}
	key := lossKey{span, s.problem, s.status, way.service, s.why(), way.target != "", excused, overloaded}
	loss := a.losses[key]
	if loss == nil {
		loss = &Loss{
			Kind: kind, Stage: a.spans[span].name(), Status: int(s.status), Excused: excused, Overloaded: overloaded,
			Service: way.service, Target: way.target, Why: key.why, First: seconds(sent),
		}
		a.losses[key] = loss
		a.order = append(a.order, loss)
	}
	if loss.Target != way.target {
		loss.Target = ""
	}
	loss.Count++
	loss.First, loss.Last = min(loss.First, seconds(sent)), max(loss.Last, seconds(sent))
	loss.sample(Sample{At: seconds(sent), Route: a.plan.names[s.route], Latency: millis(s.latency), Target: way.target, Detail: a.rec.details[seq]})
}

// report makes the report of what was counted.
func (a *analysis) report() *Report {
	a.load.judge(a.Options, float64(a.all.Requests-a.all.Lost)/max(a.end.Seconds(), 1))
	r := &Report{
		Format: Format, Began: a.began.UTC().Truncate(time.Millisecond), Duration: seconds(a.end), Walk: a.Walk, Rate: a.Rate,
		BaselinePhase: a.Walk[0], BaselineServices: a.baselineBy, SliceWidth: seconds(a.width),
		Totals: a.all.totals(), Late: summarize(a.late), Load: a.load, Workload: plain.Line(a.Workload.About), About: slices.Concat(a.facts(), a.writes(), a.About),
	}
	for _, loss := range a.order {
		r.Losses = append(r.Losses, *loss)
	}
	for _, s := range a.streamed {
		if right, isRight := a.rightful(s.service, s.request, s.span, s.opened); s.service != "" && !isRight {
			a.addStray(a.spans[s.span].name(), s.service, s.request.String(), right)
		}
	}
	for _, stray := range a.strays {
		r.Strays = append(r.Strays, *stray)
	}
	slices.SortFunc(r.Strays, func(a, b Stray) int {
		return cmp.Or(b.Count-a.Count, strings.Compare(a.String(), b.String()))
	})
	for _, service := range a.baselineBy {
		delete(a.answered, service)
		r.Services = append(r.Services, service)
	}
	r.Services = append(r.Services, slices.Sorted(maps.Keys(a.answered))...)
	for i, t := range a.byRoute {
		request, was := a.plan.routes[i], cmp.Or(a.baseline[i], &Answer{})
		r.Routes = append(r.Routes, Route{
			Name: plain.Line(a.plan.names[i]), Method: request.method(), Host: request.Host, Path: request.Path,
			Status: was.Status, Bare: a.bare(i) != "", ContentType: plain.Line(was.Header.Get("Content-Type")), Bytes: len(was.Body), Totals: t.totals(),
		})
	}
	for i, t := range a.bySlice {
		r.Slices = append(r.Slices, Slice{seconds(time.Duration(i) * a.width), t.totals(), millis(t.late)})
	}
	for _, e := range a.events {
		e.At = seconds(e.Time.Sub(a.began))
		r.Events = append(r.Events, e)
	}
	for i, s := range a.spans {
		if s.kind != calm {
			r.Steps = append(r.Steps, a.step(i))
		}
		if s.kind == deploying {
			continue
		}
		if a.beginsPhase(i) {
			r.Phases = append(r.Phases, Phase{Name: s.phase, Label: cmp.Or(s.label, s.phase), Begin: seconds(s.begin), Totals: a.byPhase[i].totals()})
		}
		r.Phases[len(r.Phases)-1].End = seconds(s.end)
	}
	covered, gaps, intended := a.coverage()
	r.Coverage = covered
	gaps = slices.Concat(a.missed(), gaps, a.gaps, visible(a.Workload.Gaps), a.conclude(r))
	r.Verdict = judge(r, a.undone(), gaps)
	r.Verdict.Intended = intended
	return r
}

// conclude adds what the sources have found out, and returns their gaps.
func (a *analysis) conclude(r *Report) (gaps []string) {
	parts := map[string]*IgnoredPart{}
	var order []string
	r.Findings, r.foreseen = visibleFindings(a.Options.Findings), len(a.Options.Findings)
	results, routes := a.results, [][]string{} // by result
	for _, first := range a.plan.first[:len(results)] {
		routes = append(routes, a.plan.names[first:])
	}
	for i, result := range a.streamResults {
		results, routes = append(results, result), append(routes, []string{a.plan.Streams[i].Route().String()})
	}
	results = append(results, a.beside...) // which compare no answers
	for i, result := range results {
		r.Findings = append(r.Findings, visibleFindings(result.Findings)...)
		r.Checked = append(r.Checked, visible(result.Checked)...)
		r.undecided = append(r.undecided, visible(result.Undecided)...)
		gaps = append(gaps, visible(result.Gaps)...)
		r.loose = r.loose || result.Loose
		for _, ignored := range result.Ignored {
			key := fmt.Sprint(ignored.Learned, ignored.Part)
			part := parts[key]
			if part == nil {
				part = &IgnoredPart{Part: plain.Line(ignored.Part), Learned: ignored.Learned}
				parts[key] = part
				order = append(order, key)
			}
			if !ignored.Absent || ignored.Example != nil {
				part.Routes = append(part.Routes, plain.Line(routes[i][ignored.Route]))
			}
			if part.Example == nil {
				part.Example = visible(ignored.Example)
			}
		}
	}
	slices.Sort(order)
	for _, key := range order {
		r.Ignored = append(r.Ignored, *parts[key])
	}
	r.Streams, r.Lags = a.ends, a.lagsDuring()
	slices.SortStableFunc(r.Findings, func(a, b Finding) int { return b.Count - a.Count })
	return gaps
}

// visibleFindings returns findings with what services answered made visible.
func visibleFindings(findings []Finding) []Finding {
	var shown []Finding
	for _, f := range findings {
		shown = append(shown, Finding{plain.Line(f.Kind), plain.Line(f.Stage), plain.Line(f.Text), visible(f.Detail), f.Count})
	}
	return shown
}

// missed are the gaps that the requests themselves leave.
func (a *analysis) missed() (gaps []string) {
	for i, s := range a.spans {
		switch {
		case s.kind == deploying && a.bySpan[i].Requests == 0:
			gaps = append(gaps, fmt.Sprintf("%s: no request was sent meanwhile", s.name()))
		case s.kind != deploying && a.beginsPhase(i):
			var without []string
			for route := range a.plan.routes {
				if !a.inPhase[i][uint16(route)] && a.byRoute[route].Requests > 0 {
					without = append(without, a.plan.names[route])
				}
			}
			if len(without) > 0 {
				gaps = append(gaps, fmt.Sprintf("%s: no request to %s", s.name(), names(without)))
			}
		}
	}
	if n := a.all.Unobserved; n > 0 {
		gaps = append(gaps, fmt.Sprintf("the load balancer did not report who answered %s", count(n, "request")))
	}
	return gaps
}

// step is a span as a step of the report.
func (a *analysis) step(i int) Step {
	s := a.spans[i]
	step := Step{
		Kind: s.kind, Name: s.name(), Begin: seconds(s.begin), End: seconds(s.end), Totals: a.bySpan[i].totals(),
		Errors: a.errors[i], Changes: s.changes, Before: summarize(a.bySpan[i-1].latencies),
	}
	if s.err != nil {
		step.Failure = plain.Visible(s.err.Error())
	}
	last := i+1 == len(a.spans) // without a calm span behind it
	if !last {
		step.After = summarize(a.bySpan[i+1].latencies)
	}
	if s.kind == harmed {
		step.Fault, a.faults = a.faults[0], a.faults[1:]
		step.Fault.Why = a.escaped(i)
	} else if !last {
		step.Shifts = a.shifts(i)
	}
	return step
}

// escaped says what a fault in a span harmed that it must not harm.
func (a *analysis) escaped(span int) (lines []string) {
	for key, loss := range a.losses {
		if key.span == span && !loss.Excused {
			lines = append(lines, fmt.Sprintf("%s, %s: %s", capital(loss.what()), loss.Why, count(loss.Count, "request")))
		}
	}
	slices.Sort(lines)
	return lines
}

// shifts are the services whose traffic began or ended with a deployment.
func (a *analysis) shifts(i int) []Shift {
	before, during, after := a.traffic[i-1], a.traffic[i], a.traffic[i+1]
	var shifts []Shift
	add := func(service string, began bool, at time.Duration) {
		shifts = append(shifts, Shift{service, began, seconds(at), seconds(at) - seconds(a.spans[i].begin)})
	}
	for service, last := range before {
		if _, goesOn := after[service]; !goesOn {
			if w, ok := during[service]; ok {
				last = w
			}
			add(service, false, last.last)
		}
	}
	for service, first := range after {
		if _, was := before[service]; !was {
			if w, ok := during[service]; ok {
				first = w
			}
			add(service, true, first.first)
		}
	}
	slices.SortFunc(shifts, func(a, b Shift) int {
		return cmp.Or(cmp.Compare(a.At, b.At), strings.Compare(a.Service, b.Service))
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

// answerer names the service that answered a request, or says why there is none.
func (s *sample) answerer() string {
	switch {
	case s.status == 0:
		return byNobody
	case s.handling == nil:
		return byUnknown
	case s.targetStatus == 0:
		return byBalancer
	}
	return s.way().service
}

// why says in a sentence why a request was lost, or which service answered.
func (s *sample) why() string {
	way := s.way()
	because := ""
	if way.reason != "" {
		because = ": " + way.reason
	}
	switch {
	case s.problem == refused:
		return "the load balancer's port took no connection"
	case s.problem == unsent:
		return "the request could not be sent"
	case s.problem == resent:
		return "the connection broke while it waited for the answer; another attempt was answered"
	case s.handling == nil:
		return "the load balancer has not reported this request"
	case s.targetStatus != 0 && s.status == s.targetStatus:
		return way.service + " answered this" + because
	case s.targetStatus != 0:
		return fmt.Sprintf("%s answered with %d, and that did not arrive%s", way.service, s.targetStatus, because)
	case way.service == "":
		return "the load balancer answered itself, by its rules" + because
	case way.target == "":
		return fmt.Sprintf("target group %s had no target to send it to", way.service)
	}
	return fmt.Sprintf("the target of %s gave no answer%s", way.service, because)
}

// facts describe the load and the kind of machine.
func (r *Rehearsal) facts() []Fact {
	return []Fact{
		{"Load", fmt.Sprintf("%d requests per second over %d routes, open loop", r.Rate, len(r.plan.routes))},
		{"Stay in a phase", fmt.Sprintf("at least %v", r.Dwell)},
		{"Timeout", r.Timeout.String()},
		{"Machine", fmt.Sprintf("%s/%s, %d CPUs", runtime.GOOS, runtime.GOARCH, runtime.NumCPU())},
		{"Go", strings.TrimPrefix(runtime.Version(), "go")},
	}
}

// writes are facts about the requests that may change something.
func (a *analysis) writes() (facts []Fact) {
	n := 0
	for i, route := range a.plan.routes {
		if route.Writes() {
			n += a.byRoute[i].Requests
		}
	}
	if n > 0 {
		facts = append(facts, Fact{"Writes", fmt.Sprintf("%s of %s", group(n), count(a.all.Requests, "request"))})
	}
	if a.tooHigh > 0 {
		facts = append(facts, Fact{"Rate", fmt.Sprintf("a trial did not hold twice %s per second, so %s are sent", group(a.tooHigh), group(a.Rate))})
	}
	return facts
}
