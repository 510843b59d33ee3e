package rehearsal

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

// went is a request of a test of the coverage: its second, its route, what it went through, and its status.
type went struct {
	at      int
	route   int
	rule    string
	pattern string
	group   string
	status  int
}

// covering is a rehearsal that walks through one and two with a request a second, of 2 s each and a deployment of 1 s.
func covering(parts map[string][]Part, requests ...went) *Report {
	r := &Rehearsal{
		Options: Options{Walk: []string{"one", "two"}, Rate: 1, Parts: parts},
		plan:    planOf("/a", "/b"), rec: newRecording(1), began: time.Now(), baselineBy: []string{"old"}, end: 5 * time.Second,
		baseline: []*Answer{textAnswer(200, "", ""), textAnswer(404, "", "")},
		spans: []span{
			{phase: "one", end: 2 * time.Second},
			{kind: deploying, phase: "one", next: "two", begin: 2 * time.Second, end: 3 * time.Second},
			{phase: "two", begin: 3 * time.Second, end: 5 * time.Second},
		},
	}
	for seq, s := range requests { // due in second seq
		r.rec.begin(r.began, seq, s.route, false)
		r.rec.finish(seq, uint16(s.status), time.Duration(s.at-seq)*time.Second, time.Duration(s.at-seq)*time.Second, fine, "")
		record := Record{TraceID: r.rec.traceID(uint64(seq)), Rule: s.rule, Group: s.group, Service: s.group, Status: s.status, TargetStatus: s.status}
		if s.pattern != "" {
			record.Patterns = strings.Split(s.pattern, " ")
		}
		r.rec.observe(record)
	}
	return analyse(r)
}

// both has the same parts in both phases.
func both(parts ...Part) map[string][]Part { return map[string][]Part{"one": parts, "two": parts} }

// A part lacks requests never, in a phase, or because those that came say nothing. What has no request because its rule has
// none is no gap of its own.
func TestCoverage(t *testing.T) {
	rule := Part{Kind: RulePart, Name: "R"}
	wide, narrow := Part{Kind: PatternPart, Name: "/a*", Rules: []string{"R"}}, Part{Kind: PatternPart, Name: "/b*", Rules: []string{"R"}}
	users := Part{Kind: GroupPart, Name: "users", Rules: []string{"R"}}
	idle := func(p Part, why string) Part { p.Idle = why; return p }
	dropped := func(p Part) Part { p.Idle, p.Dropped = "nobody is there", true; return p }
	a := func(at int) went { return went{at, 0, "R", "/a*", "users", 200} }
	b := func(at int) went { return went{at, 1, "R", "/b*", "users", 404} }
	for name, test := range map[string]struct {
		parts    map[string][]Part
		requests []went
		shown    string // kind, name, state and counts
		gaps     []string
		intended []string
	}{
		"asked in both": {both(rule, wide, users), []went{a(0), a(1), a(2), a(3)},
			"rule R asked 4: 2 1; path pattern /a* asked 4: 2 1; target group users asked 4: 2 1; method GET asked 4: 2 1", nil, nil},
		"never asked": {both(rule, wide, users), []went{{0, 0, "", "", "", 200}, {3, 0, "", "", "", 200}},
			"rule R not asked 0: 0 0; path pattern /a* not asked 0: 0 0; target group users not asked 0: 0 0; method GET asked 2: 1 1",
			[]string{"R: no request came to this rule"}, nil},
		"a path pattern of two": {both(rule, wide, narrow), []went{a(0), a(3)},
			"path pattern /b* not asked 0: 0 0; rule R asked 2: 1 1; path pattern /a* asked 2: 1 1; method GET asked 2: 1 1",
			[]string{"path pattern /b*: no request came to this path pattern"}, nil},
		"two path patterns at once": {both(rule, wide, narrow), []went{{0, 0, "R", "/a* /b*", "users", 200}, {3, 0, "R", "/a* /b*", "users", 200}},
			"rule R asked 2: 1 1; path pattern /a* asked 2: 1 1; path pattern /b* asked 2: 1 1; method GET asked 2: 1 1", nil, nil},
		"a group that its rule leaves out": {both(rule, users), []went{{0, 0, "R", "", "api", 200}, {3, 0, "R", "", "api", 200}},
			"target group users not asked 0: 0 0; rule R asked 2: 1 1; method GET asked 2: 1 1", []string{"target group users: no request came to this target group"}, nil},
		"not in one phase": {both(rule, wide), []went{a(0), a(2)},
			"rule R asked in part 2: 1 0; path pattern /a* asked in part 2: 1 0; method GET asked 2: 1 0", []string{"R: no request came to this rule in two"}, nil},
		"a pattern not in one phase": {both(rule, wide, narrow), []went{a(0), {1, 0, "R", "/b*", "users", 200}, a(3)},
			"path pattern /b* asked in part 1: 1 0; rule R asked 3: 2 1; path pattern /a* asked 2: 1 1; method GET asked 3: 2 1",
			[]string{"path pattern /b*: no request came to this path pattern in two"}, nil},
		"not in a phase that does not have it": {map[string][]Part{"one": {rule}}, []went{a(0), {3, 0, "", "", "", 200}},
			"rule R asked 1: 1 -; method GET asked 2: 1 1", nil, nil},
		"hidden in one phase": {map[string][]Part{"one": {idle(rule, "hidden")}, "two": {rule}}, []went{{0, 0, "", "", "", 200}, a(3)},
			"rule R asked 1: 0 1; method GET asked 2: 1 1", nil, nil},
		"hidden in all": {both(idle(rule, "hidden"), idle(wide, "hidden")), []went{{0, 0, "", "", "", 200}},
			"rule R intended 0: 0 0; path pattern /a* intended 0: 0 0; method GET asked 1: 1 0", nil, []string{"R: hidden in one, two"}},
		"hidden in one, and not asked in the other": {map[string][]Part{"one": {idle(rule, "hidden")}, "two": {rule}}, []went{{0, 0, "", "", "", 200}},
			"rule R not asked 0: 0 0; method GET asked 1: 1 0", []string{"R: no request came to this rule"}, nil},
		"dropped later": {map[string][]Part{"one": {rule}, "two": {dropped(rule)}}, []went{{0, 0, "", "", "", 200}},
			"rule R intended 0: 0 0; method GET asked 1: 1 0", nil, []string{"R: nobody is there in two"}},
		"dropped later, and asked before": {map[string][]Part{"one": {rule}, "two": {dropped(rule)}}, []went{a(0)},
			"rule R asked 1: 1 0; method GET asked 1: 1 0", nil, nil},
		"only answers that say nothing": {both(rule, narrow, users), []went{b(0), b(3)},
			"rule R says nothing 2: 1 1; path pattern /b* says nothing 2: 1 1; target group users says nothing 2: 1 1; method GET asked 2: 1 1",
			[]string{"R: its requests get 404 in one, which says nothing about the service"}, nil},
		"an answer beside those that say nothing": {both(rule, users), []went{b(0), b(1), a(3), a(4)},
			"rule R asked 4: 2 2; target group users asked 4: 2 2; method GET asked 4: 2 2", nil, nil},
		"a path pattern with answers that say nothing": {both(rule, wide, narrow), []went{a(0), b(1), a(3), b(4)},
			"path pattern /b* says nothing 2: 1 1; rule R asked 4: 2 2; path pattern /a* asked 2: 1 1; method GET asked 4: 2 2",
			[]string{"path pattern /b*: its requests get 404 in one, which says nothing about the service"}, nil},
		"another answer in the first phase": {both(rule), []went{b(0), {1, 1, "R", "/b*", "users", 200}, b(3)},
			"rule R asked 3: 2 1; method GET asked 3: 2 1", nil, nil},
		"the load balancer's own answer": {both(rule), []went{{0, 1, "R", "", "", 404}, {3, 1, "R", "", "", 404}},
			"rule R asked 2: 1 1; method GET asked 2: 1 1", nil, nil},
		"nothing is known": {nil, []went{a(0)}, "method GET asked 1: 1 0", nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := covering(test.parts, test.requests...)
			var texts []string
			for _, p := range r.Coverage.Parts {
				var counts []string
				for _, n := range p.ByPhase {
					text := "-"
					if n != nil {
						text = group(*n)
					}
					counts = append(counts, text)
				}
				texts = append(texts, p.Kind+" "+p.Name+" "+p.State+" "+group(p.Requests)+": "+strings.Join(counts, " "))
			}
			if got := strings.Join(texts, "; "); got != test.shown {
				t.Errorf("the parts are\n%s\nwant\n%s", got, test.shown)
			}
			gaps := slices.DeleteFunc(slices.Clone(r.Verdict.Gaps), func(gap string) bool { // of the few requests
				return strings.Contains(gap, "no request to ") || strings.Contains(gap, "no request was sent") || strings.Contains(gap, "did not report")
			})
			if !slices.Equal(gaps, test.gaps) || !slices.Equal(r.Verdict.Intended, test.intended) {
				t.Errorf("gaps %q, intended %q\nwant %q, %q", gaps, r.Verdict.Intended, test.gaps, test.intended)
			}
		})
	}
}

// Statuses that say nothing about a service are those that refuse a client, find nothing, or lead elsewhere.
func TestTellsNothing(t *testing.T) {
	var got []int
	for status := range 600 {
		if tellsNothing(status) {
			got = append(got, status)
		}
	}
	if want := []int{301, 302, 303, 307, 308, 401, 403, 404}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// Routes are marked by what they give in the first phase, and not by what they give later.
func TestBareRoutes(t *testing.T) {
	r := covering(nil, went{0, 0, "R", "", "users", 200}, went{1, 1, "R", "", "users", 401}, went{3, 0, "R", "", "users", 404}, went{4, 1, "R", "", "users", 200})
	if r.Routes[0].Bare || !r.Routes[1].Bare {
		t.Errorf("%+v", r.Routes)
	}
	var b strings.Builder
	if err := r.WriteSummary(&b); err != nil || !strings.Contains(b.String(), "  Says nothing: 404 in one, to /b\n") {
		t.Errorf("%s, %v", b.String(), err)
	}
}

// Requests that are not sent count as methods that nobody tried.
func TestUnsentMethods(t *testing.T) {
	r := &Rehearsal{Options: Options{Walk: []string{"one"}, Rate: 1}, plan: planOf("/a"), rec: newRecording(1), began: time.Now(), end: time.Second,
		baseline: []*Answer{textAnswer(200, "", "")}, spans: []span{{phase: "one", end: time.Second}}}
	r.plan.Unsent = []*Request{{Method: "POST", Path: "/login"}, {Method: "POST", Path: "/a"}, {Method: "GET", Path: "/c"}}
	r.rec.begin(r.began, 0, 0, false)
	r.rec.finish(0, 200, 0, 1, fine, "")
	report := analyse(r)
	if parts := report.Coverage.Parts; len(parts) != 2 || parts[0].Name != "POST" || parts[0].State != notAsked || !slices.Equal(parts[0].Missing, []string{"one"}) || parts[1].State != wasAsked {
		t.Errorf("%+v", report.Coverage.Parts)
	}
	if text := report.Coverage.String(); text != "1 of 2 methods" {
		t.Error(text)
	}
}

// What is known to be wrong before the load fails the rehearsal, also if there is no walk.
func TestForeseenFindings(t *testing.T) {
	finding := Finding{Kind: "nobody answers", Text: "POST /login is answered by api now and by nobody in switched", Count: 1}
	for _, walked := range []bool{true, false} {
		r := handmade()
		r.Options.Findings = []Finding{finding}
		if !walked {
			r.spans, r.end, r.tried = nil, 0, Load{Tried: 7, WouldHold: 4}
		}
		v := analyse(r).Verdict
		if v.Outcome != Failed || v.Passed || !strings.Contains(v.Sentence, "POST /login is answered by api now and by nobody in switched.") || !slices.Contains(v.Reasons, finding.String()) {
			t.Errorf("walked %t: %+v", walked, v)
		}
	}
	r := asked()
	r.Findings, r.foreseen = []Finding{finding}, 1
	if v := judge(r, nil, nil); !strings.HasPrefix(v.Sentence, "No request was lost, but others would be. Nobody answers: POST /login") {
		t.Error(v.Sentence)
	}
}

// The JSON has the word that people read.
func TestVerdictJSON(t *testing.T) {
	text, err := json.Marshal(Verdict{Outcome: Passed, Passed: true, Gaps: []string{"a gap"}})
	if want := `{"word":"passed with gaps","outcome":"passed","passed":true,"sentence":"","reasons":null,"gaps":["a gap"],"intended":null}`; err != nil || string(text) != want {
		t.Errorf("%s, %v", text, err)
	}
}

// The picture has a column for each part and a row for each phase, in shades of how many requests came.
func TestPanels(t *testing.T) {
	n := func(n int) *int { return &n }
	c := Coverage{Phases: []string{"one", "two"}, Parts: []Covered{
		{Kind: RulePart, Name: "R0", State: notAsked, ByPhase: []*int{n(0), nil}, Missing: []string{"one"}},
		{Kind: RulePart, Name: "R1", State: saysNothing, ByPhase: []*int{n(1000), n(1)}},
		{Kind: RulePart, Name: "R2", State: wasAsked, ByPhase: []*int{n(0), n(1000)}},
		{Kind: GroupPart, Name: "users", State: wasAsked, ByPhase: []*int{n(30), n(200)}},
	}}
	var texts []string
	for _, panel := range c.panels(strings.ToUpper) {
		texts = append(texts, panel.Kind, panel.Text)
		for _, row := range panel.Rows {
			texts = append(texts, row.Phase)
			for _, cell := range row.Cells {
				texts = append(texts, cell.Class+" ("+cell.Title+")")
			}
		}
	}
	want := []string{
		"rule", "1 not asked, 1 says nothing, 1 asked",
		"ONE", "none (R0: no request in one)", "n4 bare (R1: 1,000 requests in one)", "intended (R2: no request in one, and none has to come)",
		"TWO", "absent (R0: not in two)", "n1 bare (R1: 1 request in two)", "n4 (R2: 1,000 requests in two)",
		"target group", "1 asked", "ONE", "n2 (users: 30 requests in one)", "TWO", "n4 (users: 200 requests in two)",
	}
	if !slices.Equal(texts, want) {
		t.Errorf("%q\nwant\n%q", texts, want)
	}
	for parts, text := range map[int]string{maxColumns: "120 asked", maxColumns + 1: "121 asked; the first 120 are drawn"} {
		c.Parts = nil
		for range parts {
			c.Parts = append(c.Parts, Covered{Kind: RulePart, State: wasAsked, ByPhase: []*int{n(1), n(1)}})
		}
		if p := c.panels(strings.ToUpper)[0]; p.Parts != maxColumns || len(p.Rows[0].Cells) != maxColumns || p.Text != text {
			t.Errorf("%d parts: %d columns, %q", parts, p.Parts, p.Text)
		}
	}
}
