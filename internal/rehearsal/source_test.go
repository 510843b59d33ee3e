package rehearsal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// What a request has is sent in every phase.
func TestRunSendsRequests(t *testing.T) {
	f := newFake(t)
	var wrong atomic.Pointer[string]
	f.intercept = func(w http.ResponseWriter, r *http.Request, service string) bool {
		body, _ := io.ReadAll(r.Body)
		if got := fmt.Sprintf("%s %s%s %s %s", r.Method, r.Host, r.URL, r.Header["X-A"], body); got != `POST shop.example/api/users?a=%20b [1 2] {"n":1}` {
			wrong.Store(&got)
		}
		w.WriteHeader(http.StatusCreated)
		return true
	}
	post := Request{Method: "POST", Host: "shop.example", Path: "/api/users?a=%20b", Header: http.Header{"X-A": {"1", "2"}}, Body: []byte(`{"n":1}`)}
	r := rehearse(t, f, quick(func(o *Options) {
		o.Walk, o.Workload = []string{"monolith", "switched"}, Workload{Sources: []Source{NewCompared(post, Expect{}, 1)}}
		o.Answerers = func(phase string, r *Request) []string {
			if r.Method != "POST" || r.Header.Get("X-A") != "1" {
				t.Errorf("%s: who answers %+v", phase, r)
			}
			return nil
		}
	}))
	if got := wrong.Load(); got != nil {
		t.Errorf("it sent %s", *got)
	}
	route := r.Routes[0]
	if !r.Verdict.Passed || route.Requests != r.Totals.Requests || route.Status != 201 {
		t.Errorf("verdict %+v, route %+v", r.Verdict, route)
	}
	if got := fmt.Sprint(route.Name, "|", route.Method, "|", route.Host, "|", route.Path); got != "POST shop.example/api/users?a=%20b|POST|shop.example|/api/users?a=%20b" {
		t.Errorf("the route is %s", got)
	}
}

// What differs by itself is not compared, and the report says so. What goes after the switch is found.
func TestRunLearns(t *testing.T) {
	for _, gone := range []bool{false, true} {
		f := newFake(t)
		var n atomic.Int64
		f.intercept = func(w http.ResponseWriter, r *http.Request, service string) bool {
			if r.URL.Path != "/api/users" {
				return false
			}
			w.Header().Set("Etag", fmt.Sprint(n.Add(1)))
			if gone && service == "users" {
				_, _ = io.WriteString(w, `{}`)
			} else {
				_, _ = fmt.Fprintf(w, `{"generatedAt":%d}`, n.Load())
			}
			return true
		}
		r := rehearse(t, f, quick(func(o *Options) { o.Walk = []string{"monolith", "switched"} }))
		if r.Verdict.Passed == gone {
			t.Errorf("verdict %+v", r.Verdict)
		}
		if want := "None of " + count(r.Totals.Requests, "request") + " was lost, and every answer is what api gave in monolith before the load began, but for what is not compared."; !gone && r.Verdict.Sentence != want {
			t.Errorf("sentence %s\nwant %s", r.Verdict.Sentence, want)
		}
		var parts []string
		for _, part := range r.Ignored {
			parts = append(parts, part.String())
		}
		if len(parts) != 2 || !strings.HasPrefix(parts[0], "$.generatedAt is not compared, because it differs by itself, in /api/users: for example ") ||
			!strings.HasPrefix(parts[1], "header Etag is not compared, because it differs by itself, in /api/users: for example ") {
			t.Errorf("ignored %q", parts)
		}
		// A request that was on its way during the deployment may be a loss of the phase before.
		if gone && (len(r.Losses) == 0 || slices.ContainsFunc(r.Losses, func(l Loss) bool {
			return !strings.HasPrefix(l.Samples[0].Detail, `$.generatedAt is missing, not "any number"`)
		})) {
			t.Errorf("losses %+v", r.Losses)
		}
		var b strings.Builder
		if err := r.WriteSummary(&b); err != nil || !strings.Contains(b.String(), "\n  Ignored: "+parts[0]+"\n") {
			t.Errorf("summary\n%s", b.String())
		}
		b.Reset()
		if err := r.WritePage(&b); err != nil || !strings.Contains(b.String(), `<ul id="ignored"><li>$.generatedAt is not compared`) {
			t.Error("the page does not say what is ignored")
		}
	}
}

// scripted is a source of a test.
type scripted struct {
	mu        sync.Mutex
	baselines int
	before    int // answers before the walk
	seqs      []int
	finished  int // answers before Finish
	handled   map[Handled]int
	result    Result
	problem   Problem
	wrong     []string
	lazy      bool // says that it never asks its first route
	calls     int
}

func (s *scripted) Routes() []*Request { return []*Request{{Path: "/api/users"}, {Path: "/api/posts"}} }
func (s *scripted) Weight() int        { return 1 }

func (s *scripted) Baseline(ctx context.Context, ask Ask) error {
	s.baselines++
	if len(s.seqs) > 0 || s.baselines == 2 && s.before == 0 {
		s.wrong = append(s.wrong, "the trial is not between the baselines")
	}
	a := ask(ctx, 1, &Request{Path: "/api/posts/1"})
	if a.Seq != -1 || a.Status != 200 || !strings.Contains(string(a.Body), `"path":"/api/posts/1"`) {
		s.wrong = append(s.wrong, fmt.Sprintf("the baseline is %+v", a))
	}
	return nil
}

func (s *scripted) Next() Call {
	if s.calls++; s.calls%2 == 0 && !s.lazy {
		return Call{Route: 0, Request: &Request{Path: "/api/users/1"}, Judge: s}
	}
	return Call{Route: 1, Request: &Request{Path: "/api/posts/1"}, Judge: s}
}

func (s *scripted) Judge(a Answer) (Problem, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.Seq < 0 {
		s.before++
		return fine, ""
	}
	s.seqs = append(s.seqs, a.Seq)
	return s.problem, "as the script has it"
}

// judged waits for so many answers of the load.
func (s *scripted) judged(ctx context.Context, n int) error {
	for ctx.Err() == nil {
		s.mu.Lock()
		enough := len(s.seqs) >= n
		s.mu.Unlock()
		if enough {
			break
		}
		_ = sleep(ctx, time.Millisecond)
	}
	return ctx.Err()
}

func (s *scripted) Result(at func(int) Handled) Result {
	s.handled = map[Handled]int{}
	slices.Sort(s.seqs)
	last := time.Duration(-1)
	for _, seq := range append([]int{-1}, s.seqs...) {
		h := at(seq)
		// A request that is due later is sent later, but for what a busy machine does.
		if h.At < last-time.Second || seq < 0 && h.At != 0 {
			s.wrong = append(s.wrong, fmt.Sprintf("request %d was sent at %v, after %v", seq, h.At, last))
		}
		last = max(last, h.At)
		h.At = 0
		s.handled[h]++
	}
	if last < 100*time.Millisecond || s.finished != s.calls {
		s.wrong = append(s.wrong, fmt.Sprintf("the last request at %v, finished after %d of %d", last, s.finished, s.calls))
	}
	return s.result
}

func (s *scripted) Finish(ctx context.Context, ask Ask) {
	s.finished = s.before + len(s.seqs)
	if a := ask(ctx, 1, &Request{Path: "/api/posts/2"}); a.Seq != -1 || a.Status != 200 || !strings.Contains(string(a.Body), `"path":"/api/posts/2"`) {
		s.wrong = append(s.wrong, fmt.Sprintf("the last answer is %+v", a))
	}
}

// A source is called in its order, and what it finds is in the report.
func TestRunOfASource(t *testing.T) {
	for name, test := range map[string]struct {
		source   *scripted
		outcome  Outcome
		sentence string
		reasons  []string
	}{
		"fine":      {&scripted{result: Result{Loose: true}}, Passed, "None of # requests was lost, and every answer is what api gave in monolith before the load began, but for what is not compared.", nil},
		"a problem": {&scripted{problem: OtherBody}, Failed, "Of # requests, # were answered differently.", nil},
		"a finding": {&scripted{result: Result{Findings: []Finding{{Kind: "stale read", Stage: "switched", Text: "order 7 is unknown", Count: 1}, {Kind: "lost write", Stage: "switched", Text: "order 7 is gone.", Detail: []string{"12 s: \x1b"}, Count: 3}}}},
			Failed, "No answer of # requests was wrong by itself. Lost write in switched: order 7 is gone, and 2 more.", []string{"Lost write in switched: order 7 is gone, and 2 more.", "Stale read in switched: order 7 is unknown."}},
		"undecided": {&scripted{result: Result{Undecided: []string{"The history of order 7 is too long."}}}, Inconclusive, "The history of order 7 is too long.", []string{"The history of order 7 is too long."}},
		"undecided and found": {&scripted{result: Result{Undecided: []string{"too long"}, Findings: []Finding{{Kind: "lost write", Text: "it is gone", Count: 1}}}},
			Failed, "No answer of # requests was wrong by itself. Lost write: it is gone.", []string{"Lost write: it is gone.", "too long"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // it waits most of the time
			s := test.source
			s.result.Gaps, s.result.Checked = []string{"nobody tried DELETE"}, []string{"7 orders are there."}
			f := newFake(t)
			f.moving = func(string, string) error { return s.judged(t.Context(), 2) }
			r := rehearse(t, f, quick(func(o *Options) {
				o.Walk, o.Workload = []string{"monolith", "switched"}, Workload{Sources: []Source{s}, About: "a script", Gaps: []string{"POST /a"}}
			}))
			if len(s.wrong) > 0 || s.baselines != 2 {
				t.Errorf("%q, %d baselines", s.wrong, s.baselines)
			}
			slices.Sort(s.seqs)
			if n := len(s.seqs); n != r.Totals.Requests || s.seqs[0] != 0 || s.seqs[n-1] != n-1 {
				t.Errorf("it judged %d of %d answers", n, r.Totals.Requests)
			}
			if s.handled[Handled{Service: "api", Target: "api-1", Stage: "monolith"}] < 2 || s.handled[Handled{Service: "api", Stage: "monolith"}] != 1 || s.handled[Handled{Service: "posts", Target: "posts-1", Stage: "switched"}] == 0 {
				t.Errorf("handled %v", s.handled)
			}
			if r.Workload != "a script" || r.Routes[0].Requests == 0 || r.Routes[0].Status != 0 || r.Routes[1].Status != 200 {
				t.Errorf("%q, routes %+v", r.Workload, r.Routes)
			}
			for _, gap := range []string{"nobody tried DELETE", "POST /a"} {
				if !slices.Contains(r.Verdict.Gaps, gap) {
					t.Errorf("gaps %q", r.Verdict.Gaps)
				}
			}
			n := group(r.Totals.Requests)
			if v := r.Verdict; v.Outcome != test.outcome || !strings.HasPrefix(v.Sentence, strings.ReplaceAll(test.sentence, "#", n)) || test.reasons != nil && !slices.Equal(v.Reasons, test.reasons) {
				t.Errorf("verdict %+v", v)
			}
			var text, page strings.Builder
			if err := errors.Join(r.WriteSummary(&text), r.WritePage(&page)); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(text.String(), "\n  Requests: a script.\n  Checked: 7 orders are there.\n") || !strings.Contains(page.String(), `<ul id="checked"><li>7 orders are there.</li></ul>`) {
				t.Errorf("summary\n%s", text.String())
			}
			for _, finding := range r.Findings {
				if !strings.Contains(text.String(), "\n  "+finding.String()+"\n") || !strings.Contains(page.String(), `<li class="bad">`+finding.String()) {
					t.Errorf("summary\n%s", text.String())
				}
				for _, line := range finding.Detail {
					if !strings.Contains(text.String(), "\n    "+line+"\n") || !strings.Contains(page.String(), "<li>"+line+"</li>") || strings.Contains(line, "\x1b") {
						t.Errorf("summary\n%s", text.String())
					}
				}
			}
		})
	}
}

// A route that its source never asks does not hold up the walk for ever, and fails the rehearsal.
func TestRunOfALazySource(t *testing.T) {
	t.Parallel() // it waits most of the time
	r := rehearse(t, newFake(t), quick(func(o *Options) {
		o.Walk, o.patience, o.Workload = []string{"monolith", "switched"}, time.Millisecond, Workload{Sources: []Source{&scripted{lazy: true}}}
	}))
	if want := []string{"Never requested: /api/users."}; !slices.Equal(r.Verdict.Reasons, want) {
		t.Errorf("verdict %+v", r.Verdict)
	}
	if n := len(r.Phases); n != 2 {
		t.Errorf("%d phases", n)
	}
}

func TestRunOfNothing(t *testing.T) {
	if _, err := newFake(t).run(t.Context(), Options{}); err == nil || err.Error() != "there is nothing to request" {
		t.Errorf("error %v", err)
	}
}
