package rehearsal

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestRunLosesNothing(t *testing.T) {
	t.Parallel() // it waits most of the time
	f := newFake(t)
	f.moving = func(string, string) error { return pause(20 * time.Millisecond) }
	var progress []Progress
	r := rehearse(t, f, quick(func(o *Options) {
		o.Requests, o.Rate = 500, 100
		o.Progress = func(p Progress) { progress = append(progress, p) }
		o.About = []Fact{{"Driver", "fake"}}
	}))

	if !r.Verdict.Passed {
		t.Fatalf("not passed: %s %q", r.Verdict.Sentence, r.Verdict.Reasons)
	}
	want := fmt.Sprintf("None of %d requests was lost, and every answer is byte for byte what api gave in monolith before the load began.", r.Totals.Requests)
	if r.Verdict.Sentence != want {
		t.Errorf("the verdict is %q\nwant            %q", r.Verdict.Sentence, want)
	}
	if !slices.Equal(f.deploys, DefaultWalk()) {
		t.Errorf("deployed %q", f.deploys)
	}
	// Two for each route were the baseline.
	if sent := int(f.seen.Load()) - 2*len(fakeRoutes); r.Totals.Requests != sent || sent < 500 {
		t.Errorf("reported %d requests of %d; at least 500 were asked for", r.Totals.Requests, sent)
	}
	if r.Totals.Unobserved != 0 || len(r.Losses) != 0 || r.Totals.Lost+r.Totals.Different+r.Totals.Excused != 0 {
		t.Errorf("totals %+v, losses %+v", r.Totals, r.Losses)
	}
	if !slices.Equal(r.Services, []string{"api", "posts", "threads", "users"}) || !slices.Equal(r.BaselineServices, []string{"api"}) {
		t.Errorf("services %q, baseline by %q", r.Services, r.BaselineServices)
	}
	sum := 0
	for _, service := range r.Services {
		sum += r.Totals.ByService[service]
	}
	if sum != r.Totals.Requests {
		t.Errorf("services answered %v, which is not all of %d", r.Totals.ByService, r.Totals.Requests)
	}
	if len(r.Phases) != 7 || len(r.Steps) != 6 {
		t.Errorf("%d phases, %d steps", len(r.Phases), len(r.Steps))
	}
	if c := stepOf(t, r, "switched → retired").Changes.Others; len(c) != 1 || !strings.HasSuffix(c[0], "retired") {
		t.Errorf("changes are %q", c)
	}
	if len(progress) == 0 {
		t.Fatal("there was no progress")
	}
	if last := progress[len(progress)-1]; last.Sent != r.Totals.Requests || last.Step != 7 || last.Steps != 7 || last.Phase != "monolith" || last.Next != "" {
		t.Errorf("progress ended with %+v", last)
	}
	if i := slices.Index(r.About, Fact{"Driver", "fake"}); i < 0 {
		t.Errorf("the facts are %v", r.About)
	}
}

func pause(d time.Duration) error { time.Sleep(d); return nil }

// during intercepts requests while the deployment moves between two phases. The
// move ends when over is closed.
func (f *fake) during(from, to string, over <-chan struct{}, answer func(w http.ResponseWriter, r *http.Request, service string) bool) {
	var now atomic.Bool
	f.moving = func(a, b string) error {
		if a != from || b != to {
			return nil
		}
		now.Store(true)
		defer now.Store(false)
		select {
		case <-over:
			return nil
		case <-time.After(time.Minute):
			return errors.New("nothing ended the move")
		}
	}
	f.intercept = func(w http.ResponseWriter, r *http.Request, service string) bool {
		return now.Load() && answer(w, r, service)
	}
}

func TestRunFindsLosses(t *testing.T) {
	t.Parallel() // it waits most of the time
	if testing.Short() {
		t.Skip("slow: it waits for timeouts")
	}
	for name, test := range map[string]struct {
		answer  func(t *testing.T, w http.ResponseWriter, r *http.Request)
		kinds   []string
		status  int
		why     string
		timeout time.Duration
	}{
		"no target": {
			func(_ *testing.T, w http.ResponseWriter, _ *http.Request) {
				http.Error(w, "none", http.StatusServiceUnavailable)
			},
			[]string{"server error"}, 503, "target group users had no target to send it to", 0,
		},
		"the target breaks": {
			func(_ *testing.T, w http.ResponseWriter, _ *http.Request) {
				http.Error(w, "broken", http.StatusBadGateway)
			},
			[]string{"server error"}, 502, "the target of users gave no answer", 0,
		},
		// On a connection that was used before, Go's client tries again by itself
		// and the user of its package never hears of it.
		"reset": {
			func(t *testing.T, w http.ResponseWriter, _ *http.Request) { cut(t, w) },
			[]string{"sent twice", "connection reset", "connection closed"}, 0, "the target of users gave no answer", 0,
		},
		"half an answer": {
			func(t *testing.T, w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", "100")
				fmt.Fprint(w, "half")
				http.NewResponseController(w).Flush()
				// A reset would make the client's kernel drop what it has not read.
				hijack(t, w).Close()
			},
			[]string{"incomplete answer"}, 0, "the target of users gave no answer", 0,
		},
		"no answer in time": {
			func(_ *testing.T, _ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
			[]string{"timeout"}, 0, "the target of users gave no answer", time.Second,
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			var mu sync.Mutex
			injected := map[string]bool{} // by trace id: what is sent again is answered
			over := make(chan struct{})
			f.during("switched", "retired", over, func(w http.ResponseWriter, r *http.Request, service string) bool {
				mu.Lock()
				id := r.Header.Get(TraceHeader)
				hit := service == "users" && len(injected) < 3 && !injected[id]
				if hit {
					injected[id] = true
					if len(injected) == 3 {
						close(over)
					}
				}
				mu.Unlock()
				if hit {
					test.answer(t, w, r)
				}
				return hit
			})
			r := rehearse(t, f, quick(func(o *Options) {
				o.Walk = []string{"parallel", "switched", "retired"}
				if test.timeout != 0 {
					o.Timeout = test.timeout
				}
			}))
			if test.timeout != 0 {
				// On a machine that stalls, others time out as well, wherever they went.
				r.Losses = slices.DeleteFunc(r.Losses, func(l Loss) bool { return l.Service != "users" || l.Why != test.why })
				if r.Verdict.Passed || r.Totals.Lost < 3 || len(r.Losses) == 0 || r.Losses[0].Kind != "timeout" || r.Losses[0].Samples[0].Detail == "" {
					t.Errorf("verdict %+v, totals %+v, losses %+v", r.Verdict, r.Totals, r.Losses)
				}
				return
			}
			if r.Verdict.Passed || r.Totals.Lost != 3 || r.Totals.Different != 0 {
				t.Fatalf("verdict %+v, totals %+v", r.Verdict, r.Totals)
			}
			n := 0
			for _, l := range r.Losses {
				n += l.Count
				// A request counts where it was sent, and may arrive stages later.
				if !slices.Contains(test.kinds, l.Kind) || test.status != 0 && l.Status != test.status || l.Stage == "retired" {
					t.Errorf("lost %+v", l)
				}
				if l.Why != test.why && l.Kind != "sent twice" && l.Service == "users" {
					t.Errorf("it was lost because %q, want %q", l.Why, test.why)
				}
				for _, s := range l.Samples {
					if !strings.HasPrefix(s.Route, "/api/users") || s.Detail == "" && l.Kind != "sent twice" {
						t.Errorf("sample %+v", s)
					}
				}
			}
			if n != r.Totals.Lost {
				t.Errorf("the losses are %d of %d", n, r.Totals.Lost)
			}
			// A machine that stalls may explain the losses.
			explained := slices.ContainsFunc(r.Losses, func(l Loss) bool { return l.Overloaded })
			if !explained && !strings.HasPrefix(r.Verdict.Sentence, fmt.Sprintf("Of %d requests, %d were lost.", r.Totals.Requests, r.Totals.Lost)) {
				t.Errorf("the verdict is %q", r.Verdict.Sentence)
			}
		})
	}
}

func TestRunFindsDifferences(t *testing.T) {
	t.Parallel() // it waits most of the time
	for name, test := range map[string]struct {
		answer func(w http.ResponseWriter)
		kind   string
		detail string
	}{
		"body": {func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/json; charset=utf-8")
			fmt.Fprint(w, `{"path":"/api/threads/1","text":"as it never was"}`)
		}, "different body", `differs at byte 39: …"ext\":\"as it never was\"}", not …"ext\":\"as it always was\"}"`},
		"type": {func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"path":"/api/threads/1","text":"as it always was"}`)
		}, "different content type", `content type "application/json", not "application/json; charset=utf-8"`},
		"status": {func(w http.ResponseWriter) { http.NotFound(w, nil) }, "different status", `status 404, not 200: "404 page not found\n"`},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.intercept = func(w http.ResponseWriter, r *http.Request, service string) bool {
				if service == "threads" && r.URL.Path == "/api/threads/1" {
					test.answer(w)
					return true
				}
				return false
			}
			r := rehearse(t, f, quick(func(o *Options) { o.Walk, o.Requests = []string{"monolith", "switched"}, 100 }))
			if r.Verdict.Passed || len(r.Losses) == 0 || r.Totals.Lost != 0 || r.Totals.Different == 0 {
				t.Fatalf("verdict %+v, totals %+v", r.Verdict, r.Totals)
			}
			l := r.Losses[0]
			// The first two that end have the detail, and any of the samples may be those.
			detailed := slices.ContainsFunc(l.Samples, func(s Sample) bool { return s.Detail == test.detail })
			others := slices.ContainsFunc(l.Samples, func(s Sample) bool {
				return s.Route != "/api/threads/1" || s.Detail != "" && s.Detail != test.detail
			})
			if l.Kind != test.kind || !detailed || others {
				t.Errorf("different: %+v", l)
			}
			for _, route := range r.Routes {
				if (route.Different > 0) != (route.Path == "/api/threads/1") {
					t.Errorf("%s was different %d times", route.Path, route.Different)
				}
			}
		})
	}
}

// A deployment that holds everything up for a while is slow for all that was due
// in that time, not only for what was under way when it began.
func TestRunCountsFromWhenARequestWasDue(t *testing.T) {
	t.Parallel() // it waits most of the time
	f := newFake(t)
	const held = 120 * time.Millisecond
	gate := make(chan struct{})
	var first sync.Once
	f.during("monolith", "parallel", gate, func(_ http.ResponseWriter, _ *http.Request, _ string) bool {
		first.Do(func() { time.AfterFunc(held, func() { close(gate) }) })
		<-gate
		return false
	})
	r := rehearse(t, f, quick(func(o *Options) { o.Walk = []string{"monolith", "parallel"} }))
	s := stepOf(t, r, "monolith → parallel")
	// The first waited for all of it, those in the middle for half.
	if s.Latency.Max < 110 || s.Latency.P50 < 20 {
		t.Errorf("while held up for %v, latency was %+v", held, s.Latency)
	}
	if !r.Verdict.Passed {
		t.Errorf("verdict %+v", r.Verdict)
	}
}

func TestRunRefusedConnections(t *testing.T) {
	t.Parallel() // it waits most of the time
	f := newFake(t)
	addr := f.proxy.Listener.Addr().String()
	var down atomic.Bool
	// A connection that was just accepted is closed after its answer.
	f.intercept = func(w http.ResponseWriter, _ *http.Request, _ string) bool {
		if down.Load() {
			w.Header().Set("Connection", "close")
		}
		return false
	}
	f.moving = func(string, string) error {
		// The port is closed and nothing else takes it before the end.
		down.Store(true)
		f.proxy.Listener.Close()
		f.proxy.CloseClientConnections()
		return nil
	}
	// Half of the requests are sent after that, however long it takes.
	r := rehearse(t, f, quick(func(o *Options) { o.Walk, o.Requests = []string{"monolith", "parallel"}, 100 }))
	var n int
	said := false
	for _, l := range r.Losses {
		if l.Kind != "connection refused" {
			continue
		}
		n += l.Count
		if l.Why != "the load balancer's port took no connection" {
			t.Errorf("refused: %+v", l)
		}
		for _, s := range l.Samples {
			said = said || strings.Contains(s.Detail, addr)
		}
	}
	if !said {
		t.Errorf("no loss says that %s refused: %+v", addr, r.Losses)
	}
	if n == 0 || r.Totals.ByService[byNobody] < n || r.Totals.ByStatus[noStatus] < n {
		t.Errorf("%d refused, totals %+v", n, r.Totals)
	}
}

func TestRunFaults(t *testing.T) {
	t.Parallel() // it waits most of the time
	if testing.Short() {
		t.Skip("slow: it waits for phases")
	}
	for name, test := range map[string]struct {
		hits   func(service string) bool
		passed bool
	}{
		"stays within its paths": {func(service string) bool { return service == "users" }, true},
		"takes others with it":   {func(service string) bool { return service != "threads" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			var f *fake
			var kinds []string
			var r *Report
			// On a machine that stalls, no request of users may meet the fault.
			for tries := 0; tries == 0 || tries < 5 && stepOf(t, r, "kill users").Fault.OwnFailed == 0; tries++ {
				f, kinds = newFake(t), nil
				var on atomic.Bool
				f.broken = func(kind, service string) (func(context.Context) error, error) {
					kinds = append(kinds, kind+":"+service)
					on.Store(true)
					return func(context.Context) error { on.Store(false); return pause(20 * time.Millisecond) }, nil
				}
				f.intercept = func(w http.ResponseWriter, r *http.Request, service string) bool {
					if on.Load() && test.hits(service) {
						http.Error(w, "", http.StatusBadGateway)
						return true
					}
					return false
				}
				r = rehearse(t, f, quick(func(o *Options) {
					o.Walk = []string{"monolith", "switched", "retired"}
					o.Faults = []Fault{{Kind: "kill", Service: "users"}}
					o.Dwell = 300 * time.Millisecond
				}))
			}
			s := stepOf(t, r, "kill users")
			// On a machine that stalls, users may not have answered in the first half of switched.
			if s.Kind != "fault" || s.Fault == nil || s.Fault.Phase == "monolith" || !slices.Equal(kinds, []string{"kill:users"}) {
				t.Fatalf("the fault %q was done as %+v", kinds, s)
			}
			phase := slices.IndexFunc(r.Phases, func(p Phase) bool { return p.Name == s.Fault.Phase })
			if s.Fault.Own == 0 || s.Fault.OwnFailed == 0 || s.Fault.Others == 0 || (s.Fault.OthersFailed == 0) != test.passed {
				t.Errorf("outcome %+v", s.Fault)
			}
			if r.Verdict.Passed != test.passed || (r.Totals.Excused == r.Totals.Lost) != test.passed || r.Totals.Excused != s.Fault.OwnFailed {
				t.Errorf("verdict %+v, totals %+v", r.Verdict, r.Totals)
			}
			says := "Each fault stayed within its service (kill users: "
			if !test.passed {
				says = "Kill users in " + s.Fault.Phase + " did not stay within its paths: "
			}
			if !strings.Contains(r.Verdict.Sentence+strings.Join(r.Verdict.Reasons, " "), says) {
				t.Errorf("verdict %+v does not say %q", r.Verdict, says)
			}
			if len(r.Phases) != 3 || r.Phases[phase].Lost < s.Lost {
				t.Errorf("the phases are %+v", r.Phases)
			}
		})
	}
}

// What a lossless fault costs is excused by nothing.
func TestRunLosslessFault(t *testing.T) {
	t.Parallel() // it waits most of the time
	for name, passed := range map[string]bool{"loses nothing": true, "loses": false} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			var on atomic.Bool
			f.broken = func(string, string) (func(context.Context) error, error) {
				on.Store(!passed)
				return func(context.Context) error { on.Store(false); return pause(20 * time.Millisecond) }, nil
			}
			f.intercept = func(w http.ResponseWriter, r *http.Request, service string) bool {
				if on.Load() && service == "users" {
					http.Error(w, "", http.StatusBadGateway)
					return true
				}
				return false
			}
			r := rehearse(t, f, quick(func(o *Options) {
				o.Walk = []string{"switched"}
				o.Faults = []Fault{{Kind: "drain", Service: "users", Lossless: true}}
			}))
			s := stepOf(t, r, "drain users")
			if r.Verdict.Passed != passed || (s.Fault.OwnFailed == 0) != passed || r.Totals.Excused != 0 {
				t.Errorf("verdict %+v, outcome %+v, totals %+v", r.Verdict, s.Fault, r.Totals)
			}
		})
	}
}

func TestRunIsNotPassedWhenItIsNotDone(t *testing.T) {
	t.Parallel() // it waits most of the time
	t.Run("fault never due", func(t *testing.T) {
		r := rehearse(t, newFake(t), quick(func(o *Options) {
			o.Walk, o.patience = []string{"monolith", "parallel"}, time.Millisecond
			o.Faults = []Fault{{Kind: "kill", Service: "users"}}
		}))
		if want := "Fault kill:users was not done: users answered no requests in any phase that was reached."; r.Verdict.Passed || !slices.Contains(r.Verdict.Reasons, want) {
			t.Errorf("verdict %+v", r.Verdict)
		}
	})
	t.Run("fault cannot be done", func(t *testing.T) {
		r := rehearse(t, newFake(t), quick(func(o *Options) { o.Faults = []Fault{{Kind: "kill", Service: "api"}} }))
		if want := "fault kill:api: this deployment cannot be harmed"; r.Verdict.Passed || !slices.Contains(r.Verdict.Reasons, want) {
			t.Errorf("verdict %+v", r.Verdict)
		}
	})
	t.Run("deployment fails", func(t *testing.T) {
		f := newFake(t)
		f.moving = func(from, to string) error {
			if to == "switched" {
				return errors.New("the task does not become healthy\nsecond line")
			}
			return nil
		}
		r := rehearse(t, f, quick())
		if want := "switched could not be deployed: the task does not become healthy\nsecond line"; r.Verdict.Passed || !slices.Contains(r.Verdict.Reasons, want) {
			t.Errorf("verdict %+v", r.Verdict)
		}
		if want := "No request was lost, but the rehearsal was not carried through: switched could not be deployed: the task does not become healthy"; r.Verdict.Sentence != want {
			t.Errorf("the verdict is %q", r.Verdict.Sentence)
		}
		if got := f.deploys; len(got) != 3 || stepOf(t, r, "parallel → switched").Failure == "" {
			t.Errorf("went on to %q", got)
		}
	})
	t.Run("broken off", func(t *testing.T) {
		f := newFake(t)
		ctx, cancel := context.WithCancel(t.Context())
		f.moving = func(from, to string) error {
			if to == "switched" {
				cancel()
			}
			return nil
		}
		r, err := f.run(ctx, quick())
		if err != nil || r.Verdict.Passed || !slices.Contains(r.Verdict.Reasons, "Broken off in parallel → switched.") {
			t.Errorf("error %v, verdict %+v", err, r.Verdict)
		}
	})
	t.Run("too many requests", func(t *testing.T) {
		r := rehearse(t, newFake(t), quick(func(o *Options) { o.Dwell, o.most = time.Hour, 20 }))
		want := "Broken off in monolith: a rehearsal sends 50,000,000 requests at most."
		if r.Totals.Requests != 20 || r.Verdict.Passed || !slices.Contains(r.Verdict.Reasons, want) {
			t.Errorf("%d requests, verdict %+v", r.Totals.Requests, r.Verdict)
		}
	})
}

// However short the stay, every phase answers every route.
func TestRunAsksEveryRouteInEveryPhase(t *testing.T) {
	t.Parallel() // it waits most of the time
	f := newFake(t)
	f.gaps = []string{"the rule nobody needs"}
	r := rehearse(t, f, quick(func(o *Options) { o.Walk, o.Dwell = []string{"monolith", "parallel", "switched"}, time.Millisecond }))
	if !r.Verdict.Passed || slices.ContainsFunc(r.Verdict.Gaps, func(gap string) bool { return strings.Contains(gap, "no request to") }) {
		t.Errorf("verdict %+v", r.Verdict)
	}
	if !slices.Contains(r.Verdict.Gaps, "the rule nobody needs") {
		t.Errorf("the gaps of the deployment are not in %q", r.Verdict.Gaps)
	}
	for _, phase := range r.Phases {
		if phase.Requests < len(fakeRoutes) {
			t.Errorf("%s got %d requests", phase.Name, phase.Requests)
		}
	}
}

// A load that does not hold is not walked with.
func TestRunTriesTheLoad(t *testing.T) {
	t.Parallel() // it waits most of the time
	problem := ""
	for range 5 { // a machine that stalls sends too few requests to tell
		f := newFake(t)
		var one sync.Mutex
		f.intercept = func(_ http.ResponseWriter, r *http.Request, _ string) bool {
			if _, ours := f.rehearsal.rec.parseTraceID(r.Header.Get(TraceHeader)); !ours { // the trial's
				one.Lock() // one after the other, 50 a second
				defer one.Unlock()
				time.Sleep(20 * time.Millisecond)
			}
			return false
		}
		r := rehearse(t, f, quick(func(o *Options) { o.trial = 100 * time.Millisecond }))
		if r.Verdict.Outcome == Inconclusive && r.Totals.Requests == 0 && r.Load.Tried < 200 && r.Load.WouldHold <= 100 && r.Load.WouldHold >= 1 && slices.Equal(f.deploys, []string{"monolith"}) {
			return
		}
		problem = fmt.Sprintf("verdict %+v, load %+v, deployed %q", r.Verdict, r.Load, f.deploys)
	}
	t.Error(problem)
}

// A machine that stood still in the first trial is tried again.
func TestRunTriesAgain(t *testing.T) {
	t.Parallel() // it waits most of the time
	f := newFake(t)
	began := make(chan time.Time, 1)
	const still = 900 * time.Millisecond
	var trials sync.Map // by the first digits of their trace ids
	f.intercept = func(_ http.ResponseWriter, r *http.Request, _ string) bool {
		id := r.Header.Get(TraceHeader)
		if _, ours := f.rehearsal.rec.parseTraceID(id); !ours {
			trials.Store(id[len("Root=1-12345678-"):][:8], true)
			select {
			case began <- time.Now().Add(250 * time.Millisecond): // the first request of all
			default:
			}
			stall := <-began
			began <- stall
			if now := time.Now(); now.After(stall) && now.Before(stall.Add(still)) {
				time.Sleep(stall.Add(still).Sub(now))
			}
		}
		return false
	}
	r := rehearse(t, f, quick(func(o *Options) { o.trial = 500 * time.Millisecond; o.Walk = []string{"monolith"} }))
	n := 0
	trials.Range(func(any, any) bool { n++; return true })
	if n < 2 {
		t.Errorf("there were %d trials", n)
	}
	if n == 3 && r.Load.WouldHold > 0 {
		t.Skip("the machine stalls all the time")
	}
	if !r.Verdict.Passed || r.Load.Tried != r.Rate {
		t.Errorf("verdict %+v, load %+v", r.Verdict, r.Load)
	}
	if _, err := os.Stat("/proc/stat"); err == nil && len(f.rehearsal.rec.cpus) == 0 {
		t.Error("the time of the processors was not recorded")
	}
}

func TestRunRefuses(t *testing.T) {
	t.Parallel() // it waits most of the time
	for want, o := range map[string]Options{
		"rate 60000: must be from 1 to 50000":                                     {Rate: 60_000},
		"dwell -1s: must not be negative":                                         {Dwell: -time.Second},
		"requests -1: must not be negative":                                       {Requests: -1},
		"60000000 requests: a rehearsal sends 50,000,000 requests at most":        {Requests: 60_000_000},
		"60000000 requests: a rehearsal sends 50,000,000 requests at most; lower": {Rate: 50_000, Dwell: 10 * time.Minute, Walk: []string{"monolith", "parallel"}},
		"phase 2 of the walk has no name":                                         {Walk: []string{"monolith", ""}},
		`route "api/users": must be a path`:                                       {Workload: Paths("api/users")},
		`route "http://a/b": must be a path`:                                      {Workload: Paths("http://a/b")},
		`route "/a#b": write it as it is sent, "/a%23b"`:                          {Workload: Paths("/a#b")},
		`route "/a b?c=d e": write it as it is sent, "/a%20b?c=d%20e"`:            {Workload: Paths("/a b?c=d e")},
		`route "/é": write it as it is sent, "/%C3%A9"`:                           {Workload: Paths("/%C3%A9", "/é")},
		`route "/a" is listed twice`:                                              {Workload: Paths("/a", "/a")},
		"fault kill:users@retired: the walk monolith does not go through retired": {Walk: []string{"monolith"}, Faults: []Fault{{Kind: "kill", Service: "users", Phase: "retired"}}},
	} {
		f := newFake(t)
		if _, err := f.run(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
		if len(f.deploys) > 0 {
			t.Errorf("%q was deployed in spite of %q", f.deploys, want)
		}
	}
}

func TestRunNeedsAMeasure(t *testing.T) {
	t.Parallel() // it waits most of the time
	t.Run("that does not change", func(t *testing.T) {
		f := newFake(t)
		f.intercept = func(w http.ResponseWriter, r *http.Request, _ string) bool {
			if r.URL.Path != "/api/posts" {
				return false
			}
			fmt.Fprint(w, time.Now().UnixNano())
			return true
		}
		_, err := f.run(t.Context(), quick())
		if err == nil || !strings.Contains(err.Error(), "/api/posts answers differently each time") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("that is no failure", func(t *testing.T) {
		f := newFake(t)
		f.intercept = func(w http.ResponseWriter, r *http.Request, _ string) bool {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return true
		}
		_, err := f.run(t.Context(), quick())
		if err == nil || !strings.Contains(err.Error(), `/api/users answers with status 503: "down\n"`) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("that ends", func(t *testing.T) {
		f := newFake(t)
		f.intercept = func(w http.ResponseWriter, r *http.Request, _ string) bool {
			if r.URL.Path == "/api/posts" {
				fmt.Fprint(w, "one")
				_ = http.NewResponseController(w).Flush()
				<-r.Context().Done()
			}
			return r.URL.Path == "/api/posts"
		}
		_, err := f.run(t.Context(), quick(func(o *Options) { o.Timeout = 50 * time.Millisecond }))
		if want := "/api/posts gives no answer: the answer did not end within 50ms"; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
	})
	t.Run("of the phase it begins in", func(t *testing.T) {
		r := rehearse(t, newFake(t), quick(func(o *Options) { o.Walk = []string{"switched", "parallel"} }))
		if want := "what posts, threads, users gave in switched before the load began."; !r.Verdict.Passed || !strings.HasSuffix(r.Verdict.Sentence, want) {
			t.Errorf("verdict %+v", r.Verdict)
		}
	})
}

// Without the load balancer's records it is not known who answered, but whether
// something was lost is.
func TestRunWithoutRecords(t *testing.T) {
	t.Parallel() // it waits most of the time
	f := newFake(t)
	f.silent = true
	r := rehearse(t, f, quick(func(o *Options) { o.Walk = []string{"monolith"} }))
	if !r.Verdict.Passed || r.Totals.Unobserved != r.Totals.Requests || r.Totals.ByService[byUnknown] != r.Totals.Requests {
		t.Errorf("verdict %+v, totals %+v", r.Verdict, r.Totals)
	}
}

func TestParseFault(t *testing.T) {
	for text, want := range map[string]Fault{
		"kill:users":           {Kind: "kill", Service: "users"},
		"crash-loop:posts@a b": {Kind: "crash-loop", Service: "posts", Phase: "a b"},
	} {
		if got, err := ParseFault(text); err != nil || got != want || got.String() != text {
			t.Errorf("%q is %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "kill", "kill:", ":users", "kill:users@"} {
		if _, err := ParseFault(text); err == nil || !strings.Contains(err.Error(), "kill:users@switched") {
			t.Errorf("%q: error %v", text, err)
		}
	}
}
