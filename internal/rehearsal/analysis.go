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

// analyse turns what was recorded into the report.
func analyse(r *run) *Report {
	rec := r.rec
	rec.mu.Lock()
	defer rec.mu.Unlock()

	report := &Report{
		Format: Format, Began: r.began.UTC().Truncate(time.Millisecond), Duration: seconds(r.end), Path: r.Path, Rate: r.Rate,
		BaselinePhase: r.Path[0], BaselineServices: r.baselineBy, Initial: r.firstChanges,
		SliceWidth: seconds(sliceWidth(r.end, r.Rate)),
	}

	all, spans := newTally(), make([]*tally, len(r.spans))
	for i := range spans {
		spans[i] = newTally()
	}
	routes := make([]*tally, len(r.Routes))
	for i := range routes {
		routes[i] = newTally()
	}
	width := sliceWidth(r.end, r.Rate)
	var timeline []*tally
	var late []uint32      // of every request
	var sliceLate []uint32 // the worst of each slice
	seen := map[string]bool{}

	faults := r.faultOutcomes()
	lastService := make([]uint8, len(r.Routes)) // that answered the route
	type traffic struct{ first, last time.Duration }
	got := make([]map[uint8]traffic, len(r.spans)) // requests per service and span
	for i := range got {
		got[i] = map[uint8]traffic{}
	}
	losses := map[lossKey]*Loss{}
	var order []lossKey

	for seq, at := 0, 0; seq < rec.n; seq++ {
		s, due := rec.at(seq), rec.due(seq)
		sent := due + time.Duration(s.late)*time.Microsecond
		for at < len(r.spans)-1 && sent >= r.spans[at].end {
			at++
		}
		by := rec.answerer(s)
		if s.targetStatus != 0 {
			seen[rec.services.text(int(s.service))] = true
			span := got[at]
			t, ok := span[s.service]
			if !ok {
				t.first = sent
			}
			t.last = sent
			span[s.service] = t
			if s.problem == fine {
				lastService[s.route] = s.service
			}
		}

		// A request that the load balancer has not reported, because the client gave
		// it up, is taken to have gone where its route went before.
		service := s.service
		if s.flags&isObserved == 0 {
			service = lastService[s.route]
		}
		failed := s.problem != fine
		excused := false
		for _, f := range faults {
			if sent >= f.end || due+time.Duration(s.latency)*time.Microsecond < f.begin {
				continue
			}
			own := rec.services.text(int(service)) == f.Service
			switch {
			case own:
				f.Own++
			default:
				f.Others++
			}
			switch {
			case failed && own:
				f.OwnFailed++
				excused = excused || !f.lossless
			case failed:
				f.OthersFailed++
			}
		}

		slice := int(sent / width)
		for len(timeline) <= slice {
			timeline, sliceLate = append(timeline, newTally()), append(sliceLate, 0)
		}
		for _, t := range []*tally{all, spans[at], routes[s.route], timeline[slice]} {
			t.add(s, by, excused)
		}
		late = append(late, s.late)
		sliceLate[slice] = max(sliceLate[slice], s.late)

		if !failed {
			continue
		}
		key := lossKey{at, s.problem, s.status, s.targetStatus, s.service, s.reason, s.flags&isObserved != 0, s.target != 0, excused}
		loss := losses[key]
		target := rec.targets.text(int(s.target))
		if loss == nil {
			loss = &Loss{
				Kind: s.problem.String(), Stage: r.spans[at].name(), Status: int(s.status), Excused: excused,
				Service: rec.services.text(int(s.service)), Target: target, Why: rec.why(s), First: seconds(sent),
			}
			losses[key] = loss
			order = append(order, key)
		}
		if loss.Target != target {
			loss.Target = ""
		}
		loss.Count++
		loss.Last = seconds(sent)
		loss.sample(Sample{At: seconds(sent), Route: r.Routes[s.route], Latency: millis(s.latency), Target: target, Detail: rec.details[seq]})
	}

	for _, key := range order {
		report.Losses = append(report.Losses, *losses[key])
	}
	report.Totals = all.totals()
	report.Late = summarize(late)
	for _, service := range r.baselineBy {
		delete(seen, service)
		report.Services = append(report.Services, service)
	}
	report.Services = append(report.Services, slices.Sorted(maps.Keys(seen))...)
	for i, t := range routes {
		a := r.baseline[i]
		report.Routes = append(report.Routes, Route{r.Routes[i], a.status, a.contentType, len(a.body), t.totals()})
	}
	for i, t := range timeline {
		report.Slices = append(report.Slices, Slice{seconds(time.Duration(i) * width), t.totals(), millis(sliceLate[i])})
	}
	for _, e := range r.events {
		report.Events = append(report.Events, Mark{seconds(e.Time.Sub(r.began)), e.Service, e.Target, e.State, e.Text, e.Mark})
	}

	outcome := 0
	for i, s := range r.spans {
		t := spans[i].totals()
		switch s.kind {
		case calm:
			// A fault splits a phase; the report has it whole.
			if n := len(report.Phases); n > 0 && i > 0 && r.spans[i-1].kind == harmed {
				p := &report.Phases[n-1]
				merged := newTally()
				for j := i; j >= 0 && r.spans[j].kind != deploying; j-- {
					merged.merge(spans[j])
				}
				p.End, p.Totals = seconds(s.end), merged.totals()
				continue
			}
			report.Phases = append(report.Phases, Phase{s.phase, seconds(s.begin), seconds(s.end), t})
			continue
		}
		step := Step{
			Kind: "deploy", Name: s.name(), Begin: seconds(s.begin), End: seconds(s.end), Totals: t,
			Errors: map[string]int{}, Changes: s.changes,
		}
		if s.err != nil {
			step.Failure = s.err.Error()
		}
		if s.kind == harmed {
			step.Kind, step.Fault = "fault", &faults[outcome].FaultOutcome
			outcome++
		}
		// A step always stands between two calms, unless it is the last.
		if i > 0 {
			step.Before = summarize(spans[i-1].latencies)
		}
		if i+1 < len(spans) {
			step.After = summarize(spans[i+1].latencies)
		}
		if s.kind == deploying && i > 0 && i+1 < len(spans) {
			for service := range union(got[i-1], got[i], got[i+1]) {
				_, before := got[i-1][service]
				during, while := got[i][service]
				after, later := got[i+1][service]
				shift := Shift{Service: rec.services.text(int(service))}
				switch {
				case !before && later:
					shift.Began, shift.At = true, seconds(after.first)
					if while {
						shift.At = seconds(during.first)
					}
				case before && !later:
					shift.At = seconds(got[i-1][service].last)
					if while {
						shift.At = seconds(during.last)
					}
				default:
					continue
				}
				shift.Since = shift.At - step.Begin
				step.Shifts = append(step.Shifts, shift)
			}
			slices.SortFunc(step.Shifts, func(a, b Shift) int {
				return strings.Compare(fmt.Sprintf("%012.3f%s", a.At, a.Service), fmt.Sprintf("%012.3f%s", b.At, b.Service))
			})
		}
		for key, loss := range losses {
			if key.span != i {
				continue
			}
			kind := loss.Kind
			if loss.Status != 0 && key.problem.lost() {
				kind = strconv.Itoa(loss.Status)
			}
			step.Errors[kind] += loss.Count
		}
		report.Steps = append(report.Steps, step)
	}
	report.About = append(r.facts(), r.About...)
	report.Verdict = r.verdict(report)
	return report
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
