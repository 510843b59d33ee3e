package rehearsal

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Commands are run in the first phase, before any request. One that fails ends the rehearsal.
func TestPrepare(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	prepared := func(o *Options) {
		o.Walk = []string{"monolith"}
		o.Workload.Prepare = []Command{{"api", []string{"seed"}}, {"users", []string{"seed", "again"}}}
	}
	if r := rehearse(t, f, quick(prepared)); !r.Verdict.Passed || !slices.Equal(f.commands, []string{"api seed", "users seed again"}) {
		t.Errorf("%s; commands %q", r.Verdict.Sentence, f.commands)
	}
	f = newFake(t)
	f.commandErr = errors.New("exit code 1")
	if _, err := f.run(t.Context(), quick(prepared)); err == nil || err.Error() != "running api seed in monolith: exit code 1" || len(f.commands) != 1 {
		t.Errorf("%v, after %q", err, f.commands)
	}
}

// A rate that a trial shows to be too high is lowered, until one holds.
func TestLower(t *testing.T) {
	for _, test := range []struct {
		rate, holds int
		// would is what a trial says would hold of a rate that does not.
		would func(rate int) int
		tried []int
		high  int
	}{
		{1000, 1000, nil, []int{1000}, 0},
		{1000, 300, func(rate int) int { return rate / 2 }, []int{1000, 500, 250}, 500},
		{1000, 998, func(rate int) int { return rate }, []int{1000, 999, 998}, 999},
		{3, 0, func(int) int { return 1 }, []int{3, 1}, 3},
		{1, 0, func(int) int { return 1 }, []int{1}, 0},
	} {
		var tried []int
		last, high := lower(test.rate, func(rate int) Load {
			tried = append(tried, rate)
			if rate <= test.holds {
				return Load{Tried: rate}
			}
			return Load{Tried: rate, WouldHold: test.would(rate)}
		})
		if !slices.Equal(tried, test.tried) || high != test.high || last.Tried != tried[len(tried)-1] || (last.WouldHold == 0) != (last.Tried <= test.holds) {
			t.Errorf("%d, of which %d hold: tried %v, too high %d, %+v", test.rate, test.holds, tried, high, last)
		}
	}
}

// A trial that is not answered well shows that a rate does not hold, if it may be lowered. The report has the rate that is sent.
func TestLowerRate(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.intercept = func(w http.ResponseWriter, r *http.Request, _ string) bool {
		_, ours := f.rehearsal.rec.parseTraceID(r.Header.Get(TraceHeader))
		if !ours { // the trial's
			http.Error(w, "", http.StatusServiceUnavailable)
		}
		return !ours
	}
	r := rehearse(t, f, quick(func(o *Options) {
		o.Walk, o.Rate, o.trial, o.LowerRate = []string{"monolith"}, 2, 300*time.Millisecond, true
	}))
	if said := (Fact{"Rate", "a trial did not hold twice 2 per second, so 1 are sent"}); r.Rate != 1 || !slices.Contains(r.About, said) || r.Verdict.Outcome != Inconclusive {
		t.Errorf("rate %d, %+v: %s", r.Rate, r.About, r.Verdict.Sentence)
	}
}

// While the store of a service is harmed, other services may answer 503, and nothing else. Other faults excuse nothing elsewhere.
func TestFaultOfStore(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		ofStore bool
		status  int
		want    Outcome
	}{{true, 503, Contained}, {true, 500, Failed}, {false, 503, Failed}} {
		f := newFake(t)
		var harmed atomic.Bool
		f.broken = func(_, _ string) (func(context.Context) error, error) {
			harmed.Store(true)
			return func(context.Context) error { harmed.Store(false); return nil }, nil
		}
		f.intercept = func(w http.ResponseWriter, r *http.Request, service string) bool {
			if !harmed.Load() || service == "threads" {
				return false
			}
			if service == "users" {
				w.WriteHeader(500)
			} else {
				w.WriteHeader(test.status)
			}
			return true
		}
		r := rehearse(t, f, quick(func(o *Options) {
			o.Walk, o.Faults = []string{"switched"}, []Fault{{Kind: "partition", Service: "users", OfStore: test.ofStore}}
		}))
		if r.Verdict.Outcome != test.want {
			t.Errorf("%+v: %s %q", test, r.Verdict.Sentence, r.Verdict.Reasons)
		}
		fault := stepOf(t, r, "partition users").Fault
		if hasOthers := fault.OthersFailed > 0; hasOthers != (test.want == Failed) || (fault.Depending > 0) != (test.want == Contained) || fault.OwnFailed == 0 {
			t.Errorf("%+v: %+v", test, *fault)
		}
		if test.want == Contained && !strings.Contains(r.Verdict.Sentence, " of services that depend on its store") {
			t.Errorf("the sentence is %q", r.Verdict.Sentence)
		}
	}
}
