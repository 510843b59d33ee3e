package rehearsal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"image/png"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"gonum.org/v1/plot/vg/recorder"
)

// handmade is a run at ten requests per second with two seconds of each: a
// phase, a deployment, a phase, a fault, the rest of the phase. The requests go
// to /a and /b in turn.
func handmade() *Rehearsal {
	r := &Rehearsal{
		Options:    Options{Walk: []string{"one", "two"}, Rate: 10},
		rec:        newRecording(10),
		plan:       planOf("/a", "/b"),
		baseline:   []*Answer{textAnswer(200, "text/plain", "A"), textAnswer(200, "text/plain", "B")},
		baselineBy: []string{"old"},
		began:      time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		end:        10 * time.Second,
	}
	at := time.Duration(0)
	for _, s := range []span{
		{phase: "one"}, {kind: deploying, phase: "one", next: "two", changes: Changes{Traffic: []string{"~ rule"}}},
		{phase: "two"}, {kind: harmed, phase: "two", fault: Fault{Kind: "kill", Service: "b"}}, {phase: "two"},
	} {
		s.begin, s.end = at, at+2*time.Second
		at = s.end
		r.spans = append(r.spans, s)
	}
	return r
}

// planOf is the plan of a workload of paths.
func planOf(paths ...string) *plan {
	p, err := newPlan(Paths(paths...))
	if err != nil {
		panic(err)
	}
	return p
}

// textAnswer is an answer. Without a content type it has none.
func textAnswer(status int, contentType, body string) *Answer {
	a := &Answer{Status: status, Header: http.Header{}, Body: []byte(body)}
	if contentType != "" {
		a.Header.Set("Content-Type", contentType)
	}
	return a
}

// sent describes what became of one request.
type sent struct {
	service, target string
	status          int // that the target answered
	latency         time.Duration
	late            time.Duration
	problem         Problem
	got             int // status that the client got, if not that of the target; -1 for none
	reason          string
	unreported      bool
}

func (r *Rehearsal) play(what func(seq int) sent) {
	for seq := range 100 {
		s := what(seq)
		r.rec.begin(r.began, seq, seq%2, false)
		status := s.status
		if s.got != 0 {
			status = max(s.got, 0)
		}
		record := Record{TraceID: r.rec.traceID(uint64(seq)), Service: s.service, Target: s.target, Status: status, TargetStatus: s.status, Reason: s.reason}
		finish := func() {
			r.rec.finish(seq, uint16(status), s.late, s.latency, s.problem, fmt.Sprint("detail of ", seq))
		}
		// Either may come first.
		if seq%3 == 0 {
			finish()
		}
		if !s.unreported {
			r.rec.observe(record)
		}
		if seq%3 != 0 {
			finish()
		}
	}
}

// good is a request as it should be: to old for 3 seconds, then to a and b,
// with a latency of 1 to 20 ms that goes up within each span.
func good(seq int) sent {
	s := sent{service: "old", target: "old-1", status: 200, latency: time.Duration(seq%20+1) * time.Millisecond}
	if seq >= 30 {
		s.service = []string{"a", "b"}[seq%2]
		s.target = s.service + "-1"
	}
	return s
}

func TestAnalysis(t *testing.T) {
	run := handmade()
	run.play(good)
	r := analyse(run)
	if !r.Verdict.Passed || len(r.Verdict.Reasons) != 0 {
		t.Errorf("verdict %+v", r.Verdict)
	}
	want := Totals{
		Requests: 100, ByStatus: map[string]int{"200": 100}, ByService: map[string]int{"old": 30, "a": 35, "b": 35},
		Latency: Latency{100, 10, 20, 20},
	}
	if !reflect.DeepEqual(r.Totals, want) {
		t.Errorf("totals %+v\nwant   %+v", r.Totals, want)
	}
	if !slices.Equal(r.Services, []string{"old", "a", "b"}) {
		t.Errorf("services %q", r.Services)
	}
	if len(r.Steps) != 2 || len(r.Phases) != 2 || run.rec.unsettled() {
		t.Fatalf("steps %+v, phases %+v, unsettled: %v", r.Steps, r.Phases, run.rec.unsettled())
	}
	deploy, fault := r.Steps[0], r.Steps[1]
	if deploy.Name != "one → two" || deploy.Kind != "deploy" || deploy.Begin != 2 || deploy.End != 4 || deploy.Requests != 20 ||
		deploy.Before != (Latency{20, 10, 20, 20}) || deploy.After != (Latency{20, 10, 20, 20}) || !slices.Equal(deploy.Changes.Traffic, []string{"~ rule"}) {
		t.Errorf("deployment %+v", deploy)
	}
	// The last request to old was the 29th, after 2.9 s; then a and b took turns.
	shifts := []Shift{{"old", false, 2.9, 0.9}, {"a", true, 3, 1}, {"b", true, 3.1, 1.1}}
	for i := range deploy.Shifts {
		deploy.Shifts[i].Since = Seconds(seconds(time.Duration(float64(deploy.Shifts[i].Since) * 1e9)))
	}
	if !slices.Equal(deploy.Shifts, shifts) {
		t.Errorf("shifts %+v\nwant   %+v", deploy.Shifts, shifts)
	}
	if fault.Name != "kill b" || fault.Fault.Own != 10 || fault.Fault.Others != 10 || fault.Fault.OwnFailed != 0 || len(fault.Shifts) != 0 {
		t.Errorf("fault %+v, outcome %+v", fault, fault.Fault)
	}
	if p := r.Phases[1]; p.Name != "two" || p.Begin != 4 || p.End != 10 || p.Requests != 60 || p.Latency != (Latency{60, 10, 20, 20}) {
		t.Errorf("the phase with the fault in it is %+v", p)
	}
	if a := r.Routes[0]; a.Path != "/a" || a.Requests != 50 || a.Bytes != 1 || a.ByService["a"] != 35 || a.ByService["b"] != 0 {
		t.Errorf("route %+v", a)
	}
	// Twenty requests make a slice.
	if r.SliceWidth != 2 || len(r.Slices) != 5 || r.Slices[1].Begin != 2 || r.Slices[1].ByService["old"] != 10 {
		t.Errorf("slices of %v s: %+v", r.SliceWidth, r.Slices)
	}
}

func TestAnalysisOfLosses(t *testing.T) {
	run := handmade()
	run.play(func(seq int) sent {
		s := good(seq)
		switch seq {
		case 25, 26, 27:
			s = sent{service: "old", got: 503, problem: serverError}
		case 31:
			s.problem, s.got, s.reason = incomplete, -1, "broken pipe"
		case 40:
			s = sent{got: -1, problem: refused, unreported: true, latency: time.Second}
		case 45:
			s.problem = otherBody
		case 59: // under way when b is killed
			s = sent{service: "b", target: "b-1", got: 502, problem: serverError, latency: 200 * time.Millisecond, reason: "reset"}
		case 61, 63:
			s = sent{service: "b", target: "b-1", got: 502, problem: serverError, reason: "reset"}
		case 67: // the answer came after the client had given it up
			s.got, s.problem = -1, timedOut
		case 65: // the client gave it up and the load balancer says nothing: it was on its way to b
			s = sent{got: -1, problem: timedOut, unreported: true}
		}
		return s
	})
	r := analyse(run)
	type line struct {
		kind, stage string
		status, n   int
		excused     bool
		first, last Seconds
		why         string
	}
	var got []line
	for _, l := range r.Losses {
		got = append(got, line{l.Kind, l.Stage, l.Status, l.Count, l.Excused, l.First, l.Last, l.Why})
	}
	want := []line{
		{"server error", "one → two", 503, 3, false, 2.5, 2.7, "target group old had no target to send it to"},
		{"incomplete answer", "one → two", 0, 1, false, 3.1, 3.1, "b answered with 200, and that did not arrive: broken pipe"},
		{"connection refused", "two", 0, 1, false, 4, 4, "the load balancer's port took no connection"},
		{"different body", "two", 200, 1, false, 4.5, 4.5, "b answered this"},
		{"server error", "two", 502, 1, true, 5.9, 5.9, "the target of b gave no answer: reset"},
		{"server error", "kill b", 502, 2, true, 6.1, 6.3, "the target of b gave no answer: reset"},
		{"timeout", "kill b", 0, 1, true, 6.5, 6.5, "the load balancer has not reported this request"},
		{"timeout", "kill b", 0, 1, true, 6.7, 6.7, "b answered with 200, and that did not arrive"},
	}
	if !slices.Equal(got, want) {
		t.Errorf("losses\n%+v\nwant\n%+v", got, want)
	}
	if r.Totals.Lost != 10 || r.Totals.Different != 1 || r.Totals.Excused != 5 || !slices.Equal(r.Services, []string{"old", "a", "b"}) {
		t.Errorf("totals %+v", r.Totals)
	}
	if w := map[string]int{"503": 3, "incomplete answer": 1}; !reflect.DeepEqual(r.Steps[0].Errors, w) {
		t.Errorf("errors while deploying %v, want %v", r.Steps[0].Errors, w)
	}
	if f := r.Steps[1].Fault; f.Own != 11 || f.OwnFailed != 5 || f.OthersFailed != 0 {
		t.Errorf("outcome %+v", f)
	}
	if s := r.Losses[0].Samples; len(s) != 3 || s[0] != (Sample{At: 2.5, Route: "/b", Detail: "detail of 25"}) {
		t.Errorf("samples %+v", s)
	}
	wantVerdict := "Of 100 requests, 5 were lost and 1 was answered differently."
	if r.Verdict.Passed || r.Verdict.Sentence != wantVerdict || len(r.Verdict.Reasons) != 4 {
		t.Errorf("verdict %+v", r.Verdict)
	}
	if r.Verdict.Reasons[0] != "Server error (503), target group old had no target to send it to: 3 requests in one → two." {
		t.Errorf("reasons %q", r.Verdict.Reasons)
	}
}

// Requests belong to the moment they were sent; latency counts from when they
// were due.
func TestAnalysisOfALateGenerator(t *testing.T) {
	run := handmade()
	run.play(func(seq int) sent {
		s := good(seq)
		if seq == 19 {
			s.late, s.latency = 300*time.Millisecond, 310*time.Millisecond
		}
		return s
	})
	r := analyse(run)
	if r.Phases[0].Requests != 19 || r.Steps[0].Requests != 21 || r.Steps[0].Latency.Max != 310 || r.Late.Max != 300 || r.Late.P50 != 0 {
		t.Errorf("before %d, while deploying %+v, late %+v", r.Phases[0].Requests, r.Steps[0].Totals, r.Late)
	}
}

// A loss is explained if the machine was behind while the request was under way: not if
// requests were late because the deployment had not answered others, nor at another time.
func TestAnalysisOfAMachineThatIsBehind(t *testing.T) {
	busy := []cpuTime{{0, 0, 0}, {10 * time.Second, 0, 2000}}
	idle := []cpuTime{{0, 0, 0}, {10 * time.Second, 1000, 2000}}
	for name, test := range map[string]struct {
		late       time.Duration
		held       bool
		cpus       []cpuTime
		problem    Problem
		overloaded bool
		heldUp     int
		want       Outcome
	}{
		"late":                          {1200 * time.Millisecond, false, nil, timedOut, true, 0, Inconclusive},
		"late, and idle":                {1200 * time.Millisecond, false, idle, timedOut, true, 0, Inconclusive},
		"a second late":                 {time.Second, false, nil, timedOut, false, 0, Failed},
		"held up by a busy machine":     {1200 * time.Millisecond, true, busy, timedOut, true, 0, Inconclusive},
		"held up by the deployment":     {1200 * time.Millisecond, true, idle, timedOut, false, 1, Failed},
		"held up by nobody knows":       {1200 * time.Millisecond, true, nil, timedOut, false, 1, Failed},
		"late, with a different answer": {1200 * time.Millisecond, false, nil, otherBody, false, 0, Failed},
	} {
		t.Run(name, func(t *testing.T) {
			run := handmade()
			run.rec.cpus = test.cpus
			run.play(func(seq int) sent {
				s := good(seq)
				switch seq {
				case 10:
					s.late = test.late
				case 22: // sent after that request, and for less than as long as it was late
					s.problem, s.got = test.problem, -1
				}
				return s
			})
			run.rec.at(10).held = test.held
			r := analyse(run)
			if len(r.Losses) != 1 || r.Losses[0].Overloaded != test.overloaded || r.Verdict.Outcome != test.want || r.Load.HeldUp != test.heldUp {
				t.Errorf("%s: %+v, load %+v", r.Verdict.Sentence, r.Losses, r.Load)
			}
		})
	}
	t.Run("elsewhere", func(t *testing.T) {
		run := handmade()
		run.play(func(seq int) sent {
			s := good(seq)
			switch seq {
			case 10:
				s.late = 1200 * time.Millisecond // until 2.2 s, and as long after
			case 9, 35: // the first was over before, the other came later
				s.problem, s.got = timedOut, -1
			}
			return s
		})
		if r := analyse(run); r.Verdict.Outcome != Failed || len(r.Verdict.Reasons) != 2 {
			t.Errorf("%+v", r.Verdict)
		}
	})
	t.Run("under way", func(t *testing.T) {
		run := handmade()
		run.play(func(seq int) sent {
			s := good(seq)
			switch seq {
			case 10:
				s.late = 1200 * time.Millisecond
			case 9: // sent before, and still without an answer
				s.problem, s.got, s.latency = timedOut, -1, 200*time.Millisecond
			case 33: // answered later
				s.problem, s.got, s.latency = timedOut, -1, 3*time.Second
			}
			return s
		})
		if r := analyse(run); r.Verdict.Outcome != Inconclusive {
			t.Errorf("%+v", r.Verdict)
		}
	})
	t.Run("within a fault", func(t *testing.T) {
		run := handmade()
		run.play(func(seq int) sent {
			s := good(seq)
			switch seq {
			case 60:
				s.late = 1200 * time.Millisecond
			case 73: // to the service with the fault
				s.problem, s.got = timedOut, -1
			}
			return s
		})
		if r := analyse(run); r.Verdict.Outcome != Contained || !r.Losses[0].Excused || r.Losses[0].Overloaded {
			t.Errorf("%+v, %+v", r.Verdict, r.Losses)
		}
	})
}

// A machine that is behind may send a request after the next one.
func TestAnalysisOfRequestsOutOfOrder(t *testing.T) {
	run := handmade()
	run.play(func(seq int) sent {
		s := good(seq)
		switch seq {
		case 22, 23: // 2.8 s and 2.3 s, the last to old at 3.4 s and 2.9 s
			s.problem, s.got = timedOut, -1
		case 31: // the first to b
			s.late = 450 * time.Millisecond
		}
		if seq == 22 || seq == 28 {
			s.late = 600 * time.Millisecond
		}
		return s
	})
	for at, want := range map[time.Duration]int{0: 0, 2*time.Second - 1: 0, 2 * time.Second: 1, 9 * time.Second: 4, 10 * time.Second: 4, time.Hour: 4} {
		if got := run.spanAt(at); got != want {
			t.Errorf("what is sent at %v is sent in span %d, want %d", at, got, want)
		}
	}
	r := analyse(run)
	if l := r.Losses[0]; l.First != 2.3 || l.Last != 2.8 || l.Count != 2 {
		t.Errorf("lost from %v to %v", l.First, l.Last)
	}
	if s := r.Steps[0].Shifts; len(s) != 3 || s[2].Service != "old" || s[2].At != 3.4 || s[1].Service != "b" || s[1].At != 3.3 {
		t.Errorf("shifts %+v", s)
	}
}

// A load that is late is not passed, nor one of which a part was not sent at all.
func TestAnalysisOfALoadThatWasNotHeld(t *testing.T) {
	for late, want := range map[int]Outcome{0: Passed, 10: Passed, 11: Inconclusive} {
		run := handmade()
		run.play(func(seq int) sent {
			s := good(seq)
			if seq < late {
				s.late = 1001 * time.Millisecond
			}
			return s
		})
		if r := analyse(run); r.Verdict.Outcome != want || r.Load.Planned != 100 || r.Load.Late != late || (r.Load.WouldHold > 0) != (want == Inconclusive) {
			t.Errorf("%d late: %+v, %+v", late, r.Verdict, r.Load)
		}
	}
	// At twice the rate, half the requests are missing. Those of the last second may be under way.
	for rate, want := range map[int]Outcome{10: Passed, 11: Passed, 20: Inconclusive} {
		run := handmade()
		run.play(good)
		run.Rate = rate
		r := analyse(run)
		if late := max(0, 10*rate-100-rate); r.Verdict.Outcome != want && rate != 20 || r.Load.Late != late {
			t.Errorf("at %d per second: %+v, %+v", rate, r.Verdict, r.Load)
		}
		if rate == 20 && (r.Load.Planned != 200 || r.Load.Late != 80 || r.Load.WouldHold != 5 || r.Verdict.Outcome != Inconclusive) {
			t.Errorf("at twice the rate: %+v, %+v", r.Verdict, r.Load)
		}
	}
}

// Gaps are what the requests have left out: a route in a phase, a step without requests,
// and answers of nobody knows whom. The deployment adds its own.
func TestAnalysisOfGaps(t *testing.T) {
	run := handmade()
	run.plan, run.baseline = planOf("/a", "/b", "/c"), append(run.baseline, nil)
	run.spans[1].end = run.spans[1].begin // a deployment in no time
	run.spans[2].begin = run.spans[1].end
	run.gaps = []string{"the rule nobody needs"}
	run.play(func(seq int) sent {
		s := good(seq)
		s.unreported = seq == 7
		return s
	})
	// The last one went elsewhere, after the fault in the second phase.
	run.rec.at(99).route = 2
	r := analyse(run)
	want := []string{"one: no request to /c", "one → two: no request was sent meanwhile", "the load balancer did not report who answered 1 request", "the rule nobody needs"}
	if !slices.Equal(r.Verdict.Gaps, want) {
		t.Errorf("gaps\n%q\nwant\n%q", r.Verdict.Gaps, want)
	}
	if r.Verdict.Outcome != Passed {
		t.Errorf("verdict %+v", r.Verdict)
	}
	// Nobody asked for it in any phase: that is no gap.
	run.rec.at(99).route = 0
	if r := analyse(run); r.Verdict.Outcome != Failed || !slices.Contains(r.Verdict.Reasons, "Never requested: /c.") || slices.Contains(r.Verdict.Gaps, "one: no request to /c") {
		t.Errorf("verdict %+v", r.Verdict)
	}
}

// A fault that was not contained says what it harmed.
func TestAnalysisOfAFaultThatEscaped(t *testing.T) {
	run := handmade()
	run.play(func(seq int) sent {
		s := good(seq)
		if seq >= 60 && seq < 66 { // three to each service
			s.got, s.problem, s.status, s.reason = 502, serverError, 0, "reset"
		}
		return s
	})
	r := analyse(run)
	want := []string{"Server error (502), the target of a gave no answer: reset: 3 requests"}
	if f := r.Steps[1].Fault; !slices.Equal(f.Why, want) || f.OwnFailed != 3 || f.OthersFailed != 3 {
		t.Errorf("outcome %+v", f)
	}
	for name, text := range written(t, r) {
		if !strings.Contains(text, "Server error (502), the target of a gave no answer: reset: 3 requests") {
			t.Errorf("%s does not say why the fault failed:\n%s", name, text)
		}
	}
}

// written are the summary and the page.
func written(t *testing.T, r *Report) map[string]string {
	t.Helper()
	var summary, page bytes.Buffer
	if err := errors.Join(r.WriteSummary(&summary), r.WritePage(&page)); err != nil {
		t.Fatal(err)
	}
	return map[string]string{"the summary": summary.String(), "the page": page.String()}
}

// What a machine could not hold is in the summary, in the page and in the chart, even
// if there was no walk.
func TestWritesOfALoadThatWasNotHeld(t *testing.T) {
	late := handmade()
	late.play(func(seq int) sent {
		s := good(seq)
		s.late = 22 * time.Second
		return s
	})
	none := handmade()
	none.spans, none.end, none.tried = nil, 0, Load{Tried: 7, WouldHold: 4}
	for name, test := range map[string]struct {
		run  *Rehearsal
		says []string
	}{
		"late":    {late, []string{"100 were more than a second late, by up to 22 s", "--rate 5 would hold"}},
		"no walk": {none, []string{"this machine managed about 7 in a trial, so there was no walk", "--rate 4 would hold"}},
	} {
		r := analyse(test.run)
		for where, text := range written(t, r) {
			for _, says := range append(test.says, "nconclusive") {
				if !strings.Contains(text, says) && !strings.Contains(text, strings.ToUpper(says)) {
					t.Errorf("%s: %s does not say %q:\n%s", name, where, says, text)
				}
			}
		}
		if summary := written(t, r)["the summary"]; strings.Contains(summary, "before p50") != (name == "late") {
			t.Errorf("%s: the summary has a table of steps, or lacks it:\n%s", name, summary)
		}
		if err := r.WriteChart(io.Discard); err != nil || r.Verdict.Outcome != Inconclusive {
			t.Errorf("%s: %v, %+v", name, err, r.Verdict)
		}
	}
}

// The heading of the chart counts what decides: what nothing explains, or all that was lost
// if the machine explains it.
func TestHeadingOfTheChart(t *testing.T) {
	for want, r := range map[string]*Report{
		"200 requests: 3 lost, 1 answered differently": {Rate: 10, Totals: Totals{Requests: 200, Lost: 5, Different: 1}, Verdict: Verdict{Outcome: Failed}, Losses: []Loss{{Excused: true, Count: 2}}},
		"200 requests: 5 lost, 0 answered differently": {Rate: 10, Totals: Totals{Requests: 200, Lost: 5}, Verdict: Verdict{Outcome: Inconclusive}, Losses: []Loss{{Overloaded: true, Count: 5}}},
	} {
		var canvas recorder.Canvas
		r.draw(&canvas, 0, light, true)
		if !slices.ContainsFunc(canvas.Actions, func(a recorder.Action) bool { return strings.Contains(a.Call(), want) }) {
			t.Errorf("the heading does not say %q", want)
		}
	}
}

// A percentile of too few requests is null for programs: it is not known.
func TestLatencyInJSON(t *testing.T) {
	for want, latency := range map[string]Latency{
		`{"count":0,"p50_ms":null,"p99_ms":null,"max_ms":0}`:  {},
		`{"count":1,"p50_ms":null,"p99_ms":null,"max_ms":3}`:  {1, 1, 2, 3},
		`{"count":99,"p50_ms":1,"p99_ms":null,"max_ms":3}`:    {99, 1, 2, 3},
		`{"count":100,"p50_ms":1,"p99_ms":2,"max_ms":3}`:      {100, 1, 2, 3},
		`{"count":1000,"p50_ms":0,"p99_ms":0,"max_ms":0.001}`: {1000, 0, 0, 0.001},
	} {
		if got, err := json.Marshal(latency); err != nil || string(got) != want {
			t.Errorf("%s, %v; want %s", got, err, want)
		}
	}
}

func TestRecordsOfOthersAreIgnored(t *testing.T) {
	rec, other := newRecording(10), newRecording(10)
	other.nonce = rec.nonce + 1
	rec.begin(time.Now(), 0, 0, false)
	for _, id := range []string{"", "Root=1-", "Root=1-67891233-abcdef012345678912345678", other.traceID(0), rec.traceID(1), strings.Replace(rec.traceID(0), "Root=1-", "Root=1-zz", 1)} {
		rec.observe(Record{TraceID: id, Service: "users", TargetStatus: 200})
	}
	if s := rec.at(0); s.handling != nil {
		t.Errorf("the request was marked: %+v", s)
	}
	rec.observe(Record{TraceID: "Self=1-67891233-12456789abcdef012345678;" + rec.traceID(0) + ";CalledFrom=app", Service: "users", TargetStatus: 200})
	if s := rec.at(0); s.way().service != "users" {
		t.Errorf("the request was not marked: %+v", s)
	}
}

// Names are somebody else's: none turns the text around it, begins a line, or colours a terminal.
func TestNamesStayText(t *testing.T) {
	const evil, shown = "x\u202ey\u2028\x1b[31m\nPASSED @team <img src=x onerror=alert(1)>", `x\u202ey\u2028\x1b[31m\nPASSED @team <img src=x onerror=alert(1)>`
	run := handmade()
	run.baselineBy = nil
	for i := range run.baseline {
		run.rec.observe(Record{TraceID: run.rec.traceID(baselineBit + uint64(i)), Service: evil, TargetStatus: 200})
		run.baseline[i].Header.Set("Content-Type", evil)
	}
	for name := range run.rec.baselines {
		run.baselineBy = append(run.baselineBy, name)
	}
	run.spans[3].fault.Service = evil
	run.spans = run.spans[:4]
	_ = run.leave(Changes{[]string{evil}, []string{evil}, []string{evil}}, errors.New(evil))
	run.spans[1].changes, run.gaps = run.spans[3].changes, visible([]string{evil})
	run.spans[3].end, run.end = 10*time.Second, 10*time.Second
	run.Event(Event{Time: run.began, Service: evil, Target: evil, State: "healthy", Text: evil})
	run.play(func(seq int) sent {
		return sent{service: evil, target: evil, got: -1, problem: timedOut, reason: evil, latency: time.Millisecond}
	})
	clear(run.rec.detailed)
	run.rec.finish(1, 0, 0, 0, timedOut, evil)

	r := analyse(run)
	if want := []string{shown}; !slices.Equal(r.BaselineServices, want) || !slices.Equal(r.Verdict.Gaps, want) || !slices.Equal(r.Steps[0].Changes.Others, want) {
		t.Errorf("services %q, gaps %q, changes %+v", r.BaselineServices, r.Verdict.Gaps, r.Steps[0].Changes)
	}
	if f := r.Steps[1].Fault; f.Own == 0 || f.Others != 0 {
		t.Errorf("the fault is not that of its service: %+v", f)
	}
	texts := written(t, r)
	var encoded bytes.Buffer
	if err := r.WriteJSON(&encoded); err != nil {
		t.Fatal(err)
	}
	texts["the JSON"] = encoded.String()
	for name, text := range texts {
		if i := strings.IndexAny(text, "\u202e\u2028\x1b"); i >= 0 {
			t.Errorf("%s has %q", name, text[max(0, i-40):i+20])
		}
		if strings.Contains(text, "<img") && name == "the page" {
			t.Errorf("%s has an image", name)
		}
	}
	for line := range strings.Lines(texts["the summary"]) {
		if strings.HasPrefix(line, "PASSED") {
			t.Errorf("a name begins the line %q", line)
		}
	}
}

// A deployment that names everything differently each time must not take the
// memory of the rehearsal, nor mix up what it has seen.
func TestNamesAreBounded(t *testing.T) {
	rec := newRecording(10)
	for i := 8; i < maxHandlings-1; i++ {
		rec.handlings[handling{target: fmt.Sprint(i)}] = &handling{}
	}
	for _, i := range []int{0, 1, 2, 3, 4, 5, 6, 7, maxHandlings - 1} {
		if got := rec.handled(handling{target: fmt.Sprint(i)}).target; got != fmt.Sprint(i) {
			t.Fatalf("target %d is recorded as %q", i, got)
		}
	}
	for name, want := range map[string]string{"0": "0", "7": "7", "one more": "others", "another": "others"} {
		if got := rec.handled(handling{target: name}).target; got != want {
			t.Errorf("target %q is recorded as %q, want %q", name, got, want)
		}
	}
	if len(rec.handlings) != maxHandlings {
		t.Errorf("%d handlings are kept", len(rec.handlings))
	}
}

func TestDue(t *testing.T) {
	rec := newRecording(3)
	for seq, want := range map[int]time.Duration{0: 0, 1: 333333333, 2: 666666666, 3: time.Second, 3_000_000: 1_000_000 * time.Second} {
		if got := rec.due(seq); got != want {
			t.Errorf("request %d is due at %v, want %v", seq, got, want)
		}
	}
}

func TestStrideVisitsAll(t *testing.T) {
	for n := 1; n <= 200; n++ {
		seen := map[int]bool{}
		for i := range n {
			seen[i*stride(n)%n] = true
		}
		if len(seen) != n {
			t.Errorf("of %d places, %d are visited", n, len(seen))
		}
	}
}

func TestSliceWidth(t *testing.T) {
	for _, test := range []struct {
		whole time.Duration
		rate  int
		want  time.Duration
	}{
		{100 * time.Second, 1000, 500 * time.Millisecond},
		{2 * time.Second, 500, 50 * time.Millisecond},
		{time.Second, 10_000, 10 * time.Millisecond},
		{time.Hour, 100, 20 * time.Second},
		{10 * time.Second, 10, 2 * time.Second},
	} {
		if got := sliceWidth(test.whole, test.rate); got != test.want {
			t.Errorf("%v at %d/s in slices of %v, want %v", test.whole, test.rate, got, test.want)
		}
	}
}

func TestSampleIsSmall(t *testing.T) {
	if size := reflect.TypeFor[sample]().Size(); size > 24 {
		t.Errorf("a request takes %d bytes", size)
	}
}

func TestPlace(t *testing.T) {
	labels := []label{{at: 50, width: 40}, {at: 60, width: 40}, {at: 200, width: 40}, {at: 0, width: 40}, {at: 300, width: 40}}
	used := place(labels, 2, 0, 300)
	// The fourth is moved into the plot and comes first; the fifth is moved back.
	// A third label finds no place among two rows.
	for i, want := range []label{{left: 30, row: 1}, {left: 40, row: -1}, {left: 180}, {left: 0}, {left: 260}} {
		if labels[i].left != want.left || labels[i].row != want.row {
			t.Errorf("label %d is at %v in row %d, want %v and %d", i, labels[i].left, labels[i].row, want.left, want.row)
		}
	}
	if used != 2 {
		t.Errorf("%d rows are used", used)
	}
}

// Labels never overlap, whatever happens at once.
func TestLabelsDoNotOverlap(t *testing.T) {
	labels := make([]label, 60)
	for i := range labels {
		labels[i] = label{at: float64(i * i % 977), width: float64(20 + i*7%60)}
	}
	place(labels, 5, 0, 1000)
	shown := 0
	for i, a := range labels {
		if a.row < 0 {
			continue
		}
		shown++
		if a.left < 0 || a.left+a.width > 1000 {
			t.Errorf("label %d is outside", i)
		}
		for j, b := range labels[:i] {
			if a.row == b.row && a.left < b.left+b.width && b.left < a.left+a.width {
				t.Errorf("labels %d and %d overlap in row %d", i, j, a.row)
			}
		}
	}
	if shown < 30 {
		t.Errorf("only %d of 60 labels found a place", shown)
	}
}

// A picture has room and colours for a few services. Of a hundred it shows those
// that something is to be learned from, and the others together.
func TestManyServices(t *testing.T) {
	r := analyse(simulate(DefaultWalk(), 100, false))
	r.Services = []string{"api"}
	var names []string
	for i := range 98 {
		names = append(names, fmt.Sprintf("service-%03d", i+1))
		r.Events = append(r.Events,
			Event{At: 1, Service: names[i], Target: names[i], State: "initial"}, Event{At: Seconds(3 + i%2), Service: names[i], Target: names[i], State: "healthy"})
	}
	r.Services = append(r.Services, names...)
	for i := range r.Slices {
		by := r.Slices[i].ByService
		for k, n := 0, by["users"]+by["threads"]+by["posts"]; k < n; k++ {
			by[names[k%len(names)]]++
		}
		delete(by, "users")
		delete(by, "threads")
		delete(by, "posts")
	}
	r.Steps[0].Fault = &FaultOutcome{Service: "service-007"}
	shown, rest := r.shown()
	if !slices.Equal(shown, []string{"api", "service-007"}) || len(rest) != 97 {
		t.Errorf("shown are %q, and %d others", shown, len(rest))
	}
	c := &chart{palette: light, Report: r, left: r.plotLeft()}
	layers := c.byService()
	if len(layers) != 3 || layers[2].name != "97 others" || layers[1].col == layers[2].col || layers[0].col == layers[2].col {
		t.Errorf("layers %+v", layers)
	}
	for i, slice := range r.Slices {
		if sum := layers[0].counts[i] + layers[1].counts[i] + layers[2].counts[i]; int(sum) != slice.Requests {
			t.Fatalf("slice %d has %d requests, and %v are drawn", i, slice.Requests, sum)
		}
	}
	lanes, crowd := r.lanes()
	if len(lanes) != 2 || lanes[0].service != "api" || lanes[1].service != "service-007" || len(crowd) != 97+3 { // and the targets of users, threads and posts
		t.Errorf("%d lanes, and %d others", len(lanes), len(crowd))
	}
	if width := textWidth("service-007", 12, false); c.left < width {
		t.Errorf("the plot begins at %.0f, and a name beside it has a width of %.0f", c.left, width)
	}
	var b bytes.Buffer
	if err := r.WriteChart(&b); err != nil {
		t.Fatal(err)
	}
	if size, err := png.DecodeConfig(&b); err != nil || size.Height > 2*1000 {
		t.Errorf("the picture has %d × %d pixels, want no more than twice 1000 lines; %v", size.Width, size.Height, err)
	}

	step := Step{}
	for i, name := range names {
		step.Shifts = append(step.Shifts, Shift{Service: name, Began: true, Since: Seconds(i) / 100})
	}
	if got, want := step.traffic(), []string{"first request to 98 services, from service-001 at +0.00 s to service-098 at +0.97 s"}; !slices.Equal(got, want) {
		t.Errorf("the traffic is summed up as %q, want %q", got, want)
	}
}

func TestFigures(t *testing.T) {
	for got, want := range map[string]string{
		Millis(0).String(): "0 ms", Millis(0.123).String(): "0.12 ms", Millis(12.34).String(): "12.3 ms", Millis(123.4).String(): "123 ms",
		Millis(1234).String(): "1.23 s", Millis(10).String(): "10 ms",
		clock(3.25): "3.3 s", clock(75): "1:15", took(0.25): "0.25 s", took(12.34): "12.3 s", took(123.4): "123 s",
		after(0.25): "+0.25 s", after(0): "+0.00 s", after(-0.001): "+0.00 s", after(-0.01): "-0.01 s", after(-12.34): "-12.3 s",
		brief(strings.Repeat("é", 48)): strings.Repeat("é", 48), brief(strings.Repeat("é", 31) + strings.Repeat("z", 18)): strings.Repeat("é", 30) + "…" + strings.Repeat("z", 17),
		names([]string{"a", "b", "c", "d", "e", "f"}): "a, b, c, d, e, f", names([]string{"a", "b", "c", "d", "e", "f", "g"}): "a, b, c, d, e and 2 more",
		group(0): "0", group(999): "999", group(1000): "1,000", group(1234567): "1,234,567",
		Latency{}.String(): "–", Latency{100, 0.41, 12.3, 1234}.String(): "0.41 / 12.3 / 1234",
		// One request in a hundred is over p99: fewer requests have none.
		Latency{99, 0.41, 12.3, 1234}.String(): "0.41 / – / 1234", Latency{1, 5, 5, 5}.String(): "– / – / 5", Latency{2, 5, 6, 6}.String(): "5 / – / 6",
		Latency{100, 0.41, 12.3, 1234}.Tail(): "12.3 ms", Latency{99, 0.41, 12.3, 1234}.Tail(): "–", Latency{2, 0.41, 12.3, 1234}.Median(): "0.41 ms", Latency{1, 5, 5, 5}.Median(): "–",
	} {
		if got != want {
			t.Errorf("wrote %q, want %q", got, want)
		}
	}
}

func TestSave(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	r := analyse(simulate(DefaultWalk(), 100, false))
	page, err := r.Save(dir)
	if err != nil || page != filepath.Join(dir, "index.html") {
		t.Fatalf("saved %q, %v", page, err)
	}
	f, err := os.Open(filepath.Join(dir, "timeline.png"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if c, err := png.DecodeConfig(f); err != nil || c.Width != 2400 || c.Height < 1000 || c.Height > 2400 {
		t.Errorf("the chart is %+v, %v", c, err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	var again Report
	if err := json.Unmarshal(text, &again); err != nil || again.Verdict.Sentence != r.Verdict.Sentence || !reflect.DeepEqual(again.Totals, r.Totals) {
		t.Errorf("read %+v, %v", again.Verdict, err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 3 {
		t.Errorf("the directory has %v, %v", files, err)
	}
	// Before the next rehearsal the report goes, and nothing else.
	other := filepath.Join(dir, "notes.txt")
	if err := errors.Join(os.WriteFile(other, nil, 0o644), Prepare(dir)); err != nil {
		t.Error(err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 || files[0].Name() != "notes.txt" {
		t.Errorf("prepared, the directory has %v, %v", files, err)
	}
	if Prepare(other) == nil || Prepare(filepath.Join(other, "below")) == nil {
		t.Error("a file is prepared for a report")
	}
	// A page or a picture that is of no report stays.
	for _, name := range []string{"index.html", "timeline.png"} {
		site := filepath.Join(t.TempDir(), "site")
		if err := errors.Join(os.Mkdir(site, 0o755), os.WriteFile(filepath.Join(site, name), []byte("mine"), 0o644)); err != nil {
			t.Fatal(err)
		}
		if err := Prepare(site); err == nil || !strings.Contains(err.Error(), name+" without a report.json") {
			t.Errorf("%s: %v", name, err)
		}
		if text, err := os.ReadFile(filepath.Join(site, name)); string(text) != "mine" {
			t.Errorf("%s has %q, %v", name, text, err)
		}
	}
	if err := Prepare(filepath.Join(dir, "new", "one")); err != nil {
		t.Error(err)
	}
	if _, err := r.Save(other); err == nil || !strings.HasPrefix(err.Error(), "saving the report: ") {
		t.Errorf("saved into a file: %v", err)
	}
}

// Others read the JSON: a name that changes needs another Format.
func TestFieldNames(t *testing.T) {
	var b bytes.Buffer
	if err := analyse(simulate(DefaultWalk(), 100, true)).WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var report map[string]any
	if err := json.Unmarshal(b.Bytes(), &report); err != nil {
		t.Fatal(err)
	}
	names := func(v any) string {
		var all []string
		for name := range v.(map[string]any) {
			all = append(all, name)
		}
		slices.Sort(all)
		return strings.Join(all, " ")
	}
	const totals = "by_service by_status different excused latency lost requests unobserved"
	first := func(name string) any { return report[name].([]any)[0] }
	sorted := func(s string) string { f := strings.Fields(s); slices.Sort(f); return strings.Join(f, " ") }
	for got, want := range map[string]string{
		names(report):                                               sorted("about baseline_phase baseline_services began checked coverage duration_s events findings format ignored late load losses path phases rate routes services slice_s slices steps strays streams totals verdict workload"),
		names(report["verdict"]):                                    "gaps intended outcome passed reasons sentence word",
		names(report["load"]):                                       "held_up late planned tried would_hold",
		names(report["totals"]):                                     totals,
		names(report["late"]):                                       "count max_ms p50_ms p99_ms",
		names(first("steps").(map[string]any)["changes"]):           "others tasks traffic",
		names(first("phases")):                                      sorted(totals + " name label begin_s end_s"),
		names(first("steps")):                                       sorted(totals + " kind name begin_s end_s before after errors shifts changes failure"),
		names(report["steps"].([]any)[2]):                           sorted(totals + " kind name begin_s end_s before after errors shifts changes failure fault"),
		names(report["steps"].([]any)[2].(map[string]any)["fault"]): sorted("kind service phase own own_failed depending others others_failed why"),
		names(first("losses")):                                      sorted("kind stage status service target why excused overloaded count first_s last_s samples"),
		names(first("routes")):                                      sorted(totals + " name method host path status bare content_type bytes"),
		names(first("slices")):                                      sorted(totals + " begin_s late_ms"),
		names(first("events")):                                      "at_s mark service state target text",
		names(first("about")):                                       "name value",
	} {
		if got != want {
			t.Errorf("fields %s\nwant   %s", got, want)
		}
	}
	if report["format"] != 2.0 {
		t.Errorf("format %v", report["format"])
	}
}

func TestSummary(t *testing.T) {
	for name, test := range map[string]struct {
		path []string
		says []string
	}{
		"passed": {DefaultWalk(), []string{"\nPASSED None of 10,000 requests was lost", "parallel → switched: last request to api at +0.29 s", "switched → retired"}},
		"failed": {[]string{"retired", "parallel"}, []string{"\nFAILED Of ", "server error (503): ", "target group api had no target to send it to"}},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := analyse(simulate(test.path, 100, false)).WriteSummary(&b); err != nil {
				t.Fatal(err)
			}
			for _, text := range test.says {
				if !strings.Contains(b.String(), text) {
					t.Errorf("the summary does not say %q:\n%s", text, b.String())
				}
			}
			if strings.Contains(b.String(), "\x1b") {
				t.Error("the summary is coloured although it does not go to a terminal")
			}
		})
	}
}
