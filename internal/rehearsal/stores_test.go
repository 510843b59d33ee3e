package rehearsal

import (
	"context"
	"errors"
	"fmt"
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

// A rate that a trial shows to be too high is lowered, if that is asked for. The report says so. What is done otherwise,
// [TestRunTriesTheLoad] shows.
func TestLowerRate(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	var seen atomic.Int64
	f.intercept = func(w http.ResponseWriter, _ *http.Request, _ string) bool {
		n := seen.Add(1) - int64(len(fakeRoutes))
		refused := n > 0 && n <= 700 // the trials of the first rate send no more than 600
		if refused {
			http.Error(w, "", http.StatusServiceUnavailable)
		}
		return refused
	}
	r := rehearse(t, f, quick(func(o *Options) {
		o.Walk, o.Rate, o.trial, o.LowerRate = []string{"monolith"}, 1000, 100*time.Millisecond, true
	}))
	said := slices.ContainsFunc(r.About, func(fact Fact) bool {
		return fact.Name == "Rate" && strings.HasPrefix(fact.Value, "a trial did not hold twice ") && strings.HasSuffix(fact.Value, fmt.Sprintf(" so %d are sent", r.Rate))
	})
	if r.Rate >= 1000 || !said || !r.Verdict.Passed {
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
