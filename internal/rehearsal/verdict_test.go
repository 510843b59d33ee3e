package rehearsal

import (
	"slices"
	"strings"
	"testing"
)

// asked is the report of a load that held: 200 requests to two routes in one phase.
func asked() *Report {
	return &Report{
		Rate: 100, Totals: Totals{Requests: 200}, BaselinePhase: "one", BaselineServices: []string{"old"},
		Phases: []Phase{{Name: "one"}}, Load: Load{Planned: 200, Tried: 100}, Late: Latency{Max: 22_000},
		Routes: []Route{{Name: "/a", Totals: Totals{Requests: 100}}, {Name: "/b", Totals: Totals{Requests: 100}}},
	}
}

// TestJudge has every outcome, and what decides between two of them.
func TestJudge(t *testing.T) {
	lost := Loss{Kind: "timeout", Stage: "one", Why: "nobody answered", Count: 3}
	excused, overloaded := lost, lost
	excused.Excused, overloaded.Overloaded = true, true
	different := Loss{Kind: "different body", Status: 200, Stage: "one", Why: "new answered this", Count: 2}
	notHeld := func(r *Report) { r.Load = Load{Planned: 200, Late: 120, WouldHold: 70} }
	lose := func(losses ...Loss) func(*Report) {
		return func(r *Report) {
			for _, l := range losses {
				r.Losses = append(r.Losses, l)
				switch {
				case strings.HasPrefix(l.Kind, "different"):
					r.Totals.Different += l.Count
				default:
					r.Totals.Lost += l.Count
				}
				if l.Excused {
					r.Totals.Excused += l.Count
				}
			}
		}
	}
	fault := func(f FaultOutcome) func(*Report) {
		return func(r *Report) { r.Steps = append(r.Steps, Step{Kind: harmed, Name: "kill b", Fault: &f}) }
	}
	const held = "The load of 100 requests per second was not held: of 200 planned, 120 were more than a second late, by up to 22 s. "
	for name, test := range map[string]struct {
		change   []func(*Report)
		undone   []string
		outcome  Outcome
		sentence string
		reasons  []string
	}{
		"nothing lost": {nil, nil, Passed,
			"None of 200 requests was lost, and every answer is byte for byte what old gave in one before the load began.", nil},
		"no request": {[]func(*Report){func(r *Report) { r.Totals.Requests, r.Routes[0].Requests, r.Routes[1].Requests = 0, 0, 0 }}, nil, Failed,
			"No request was lost, but the rehearsal was not carried through: No request was sent.", []string{"No request was sent."}},
		"a route that was never requested": {[]func(*Report){func(r *Report) { r.Routes[1].Requests = 0 }}, nil, Failed,
			"No request was lost, but the rehearsal was not carried through: Never requested: /b.", []string{"Never requested: /b."}},
		"routes that were never requested": {[]func(*Report){func(r *Report) { r.Routes[0].Requests, r.Routes[1].Requests = 0, 0 }}, nil, Failed,
			"No request was lost, but the rehearsal was not carried through: Never requested: /a, /b.", []string{"Never requested: /a, /b."}},
		"one request to a route": {[]func(*Report){func(r *Report) { r.Routes[1].Requests = 1 }}, nil, Passed, "None of 200 requests was lost", nil},
		"lost": {[]func(*Report){lose(lost)}, nil, Failed,
			"Of 200 requests, 3 were lost. All of them in one: nobody answered.", []string{"Timeout, nobody answered: 3 requests in one."}},
		"different": {[]func(*Report){lose(different)}, nil, Failed,
			"Of 200 requests, 2 were answered differently. All of them in one: new answered this.", []string{"Different body (200), new answered this: 2 requests in one."}},
		"lost to a fault": {[]func(*Report){lose(excused), fault(FaultOutcome{Service: "b", OwnFailed: 3})}, nil, Contained,
			"Each fault stayed within its service (kill b: 3 requests failed). None of the other 197 requests was lost", nil},
		"a fault without losses": {[]func(*Report){fault(FaultOutcome{Service: "b"})}, nil, Passed, "Each fault stayed within its service (kill b: 0 requests failed).", nil},
		"lost to a fault and otherwise": {[]func(*Report){lose(excused, lost)}, nil, Failed, "Of 200 requests, 3 were lost. All of them in one: nobody answered.",
			[]string{"Timeout, nobody answered: 3 requests in one."}},
		"a fault that harmed others": {[]func(*Report){fault(FaultOutcome{Service: "b", Phase: "one", OthersFailed: 5, harmed: 5})}, nil, Failed,
			"No request was lost, but the rehearsal was not carried through: Kill b in one did not stay within its paths: 5 requests elsewhere failed.",
			[]string{"Kill b in one did not stay within its paths: 5 requests elsewhere failed."}},
		"others that failed on a machine that was behind": {[]func(*Report){lose(overloaded), fault(FaultOutcome{Service: "b", OthersFailed: 3})}, nil, Inconclusive,
			"Of 200 requests, 3 were lost while the machine was behind with the load by up to 22 s, so they say nothing about the deployment. Rehearse again when the machine has less to do.",
			[]string{"Timeout, nobody answered: 3 requests in one."}},
		"a walk that was not completed": {nil, []string{"two could not be deployed: it is ill\nvery ill"}, Failed,
			"No request was lost, but the rehearsal was not carried through: two could not be deployed: it is ill", []string{"two could not be deployed: it is ill\nvery ill"}},
		"late": {[]func(*Report){notHeld}, nil, Inconclusive, held + "The machine was too busy. --rate 70 would hold.",
			[]string{held + "The machine was too busy. --rate 70 would hold."}},
		"late, because nothing was answered": {[]func(*Report){notHeld, func(r *Report) { r.Load.HeldUp = 61 }}, nil, Inconclusive,
			held + "The deployment left 4,096 requests without an answer, and the machine was not busy. --rate 70 would hold.", []string{held + "The deployment left 4,096 requests without an answer, and the machine was not busy. --rate 70 would hold."}},
		"late, and lost meanwhile": {[]func(*Report){notHeld, lose(overloaded)}, nil, Inconclusive,
			held + "The machine was too busy. --rate 70 would hold. Of the requests, 3 were lost while the machine was behind with the load by up to 22 s, so they say nothing about the deployment.",
			[]string{held + "The machine was too busy. --rate 70 would hold.", "Timeout, nobody answered: 3 requests in one."}},
		"late, and lost to a fault": {[]func(*Report){notHeld, lose(excused)}, nil, Inconclusive, held, []string{held + "The machine was too busy. --rate 70 would hold."}},
		// No lateness explains these.
		"late, and lost at another time": {[]func(*Report){notHeld, lose(overloaded, lost)}, nil, Failed, "Of 200 requests, 3 were lost. All of them in one: nobody answered.",
			[]string{"Timeout, nobody answered: 3 requests in one.", held + "The machine was too busy. --rate 70 would hold.", "Timeout, nobody answered: 3 requests in one."}},
		"late, and different": {[]func(*Report){notHeld, lose(different)}, nil, Failed, "Of 200 requests, 2 were answered differently.",
			[]string{"Different body (200), new answered this: 2 requests in one.", held + "The machine was too busy. --rate 70 would hold."}},
		"late, and a route never requested": {[]func(*Report){notHeld, func(r *Report) { r.Routes[0].Requests = 0 }}, nil, Failed, "No request was lost, but",
			[]string{"Never requested: /a.", held + "The machine was too busy. --rate 70 would hold."}},
		"late, and not completed": {[]func(*Report){notHeld}, []string{"Broken off in one."}, Failed, "No request was lost, but the rehearsal was not carried through: Broken off in one.",
			[]string{"Broken off in one.", held + "The machine was too busy. --rate 70 would hold."}},
		"no walk": {[]func(*Report){func(r *Report) {
			*r = Report{Rate: 2000, Load: Load{Tried: 258, WouldHold: 180}, Routes: []Route{{Name: "/a"}}}
		}}, nil, Inconclusive, "Of 2,000 requests per second, this machine managed about 258 in a trial, so there was no walk. --rate 180 would hold.",
			[]string{"Of 2,000 requests per second, this machine managed about 258 in a trial, so there was no walk. --rate 180 would hold."}},
	} {
		t.Run(name, func(t *testing.T) {
			r := asked()
			for _, change := range test.change {
				change(r)
			}
			v := judge(r, test.undone, []string{"a gap"})
			passed := test.outcome == Passed || test.outcome == Contained
			if v.Outcome != test.outcome || v.Passed != passed || !slices.Equal(v.Gaps, []string{"a gap"}) {
				t.Errorf("the outcome is %s, %v, with %q", v.Outcome, v.Passed, v.Gaps)
			}
			if !strings.HasPrefix(v.Sentence, test.sentence) {
				t.Errorf("the sentence is\n%s\nwant\n%s", v.Sentence, test.sentence)
			}
			if !slices.Equal(v.Reasons, test.reasons) {
				t.Errorf("the reasons are\n%q\nwant\n%q", v.Reasons, test.reasons)
			}
		})
	}
}

// Programs rely on the exit codes: they never change.
func TestExitCodes(t *testing.T) {
	for _, test := range []struct {
		outcome      Outcome
		gaps, strict bool
		code         int
		word         string
	}{
		{Passed, false, false, 0, "passed"}, {Passed, true, false, 0, "passed with gaps"}, {Passed, false, true, 0, "passed"}, {Passed, true, true, 4, "passed with gaps"},
		{Contained, false, false, 3, "passed"}, {Contained, true, true, 3, "passed with gaps"},
		{Failed, false, false, 1, "failed"}, {Failed, true, true, 1, "failed"},
		{Inconclusive, false, false, 5, "inconclusive"}, {Inconclusive, true, true, 5, "inconclusive"},
		{"", false, false, 1, "failed"},
	} {
		v := Verdict{Outcome: test.outcome, Passed: test.outcome == Passed || test.outcome == Contained}
		if test.gaps {
			v.Gaps = []string{"a gap"}
		}
		if got := v.ExitCode(test.strict); got != test.code || v.Word() != test.word {
			t.Errorf("%+v: exit code %d and %q", test, got, v.Word())
		}
		if !slices.ContainsFunc(ExitCodes(), func(e ExitCode) bool { return e.Code == test.code }) {
			t.Errorf("exit code %d is not in the list", test.code)
		}
	}
	var codes []int
	for _, e := range ExitCodes() {
		codes = append(codes, e.Code)
	}
	if !slices.Equal(codes, []int{0, 1, 3, 4, 5, 130}) {
		t.Errorf("the exit codes are %v", codes)
	}
}
