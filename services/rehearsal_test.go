package services_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cutover/assets/data"
	"cutover/internal/nightly"
	"cutover/internal/rehearsal"
	"cutover/internal/rehearsal/workload"
	posts "cutover/services/posts/routes"
	threads "cutover/services/threads/routes"
	users "cutover/services/users/routes"

	"cutover/services/internal/server"
	"cutover/services/internal/store"
)

// forum is a deployment of the forum with stores: the monolith and three microservices, and a load balancer in front.
type forum struct {
	rehearsal *rehearsal.Rehearsal
	balancer  *httptest.Server
	proxies   map[string]*httputil.ReverseProxy // by service
	seed      func(context.Context) error

	mu    sync.Mutex
	phase string
	// switched says that the switch was reached.
	switched atomic.Bool
}

// modules are what a program of the forum has.
func modules(stores map[string]store.Store, names ...string) (all []server.Module) {
	for _, name := range names {
		switch name {
		case "users":
			all = append(all, users.Users.In(data.API, stores[name]))
		case "threads":
			all = append(all, threads.Threads.In(data.API, stores[name]))
		case "posts":
			all = append(all, posts.Posts.In(data.API, stores[name]))
		}
	}
	return all
}

var kinds = []string{"users", "threads", "posts"}

// newForum starts the forum. Open returns the store that a service has for a kind.
func newForum(t *testing.T, open func(f *forum, service, kind string) store.Store) *forum {
	t.Helper()
	f := &forum{proxies: map[string]*httputil.ReverseProxy{}}
	f.balancer = httptest.NewServer(f)
	t.Cleanup(f.balancer.Close)
	environment := server.Environment(func(name string) string {
		if strings.HasSuffix(name, "_URL") {
			return f.balancer.URL
		}
		return ""
	})
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	t.Cleanup(func() { stop(); running.Wait() })
	transport := &http.Transport{MaxIdleConnsPerHost: 100}
	t.Cleanup(transport.CloseIdleConnections)
	for service, names := range map[string][]string{"api": kinds, "users": {"users"}, "threads": {"threads"}, "posts": {"posts"}} {
		stores := map[string]store.Store{}
		for _, kind := range names {
			stores[kind] = open(f, service, kind)
		}
		all := append([]server.Module{environment}, modules(stores, names...)...)
		if service == "api" {
			f.seed = func(ctx context.Context) error { return server.Seed(ctx, io.Discard, all...) }
		}
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		running.Go(func() {
			if err := server.Serve(ctx, listener, io.Discard, all...); err != nil {
				t.Error(err)
			}
		})
		to := &url.URL{Scheme: "http", Host: listener.Addr().String()}
		f.proxies[service] = &httputil.ReverseProxy{
			Transport: transport,
			Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(to) },
			ModifyResponse: func(a *http.Response) error {
				f.rehearsal.Observe(rehearsal.Record{
					TraceID: a.Request.Header.Get(rehearsal.TraceHeader), Service: service, Target: service, Status: a.StatusCode, TargetStatus: a.StatusCode,
				})
				return nil
			},
		}
	}
	return f
}

func (f *forum) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	phase := f.phase
	f.mu.Unlock()
	service := "api"
	for _, kind := range kinds {
		if phase == "switched" && strings.HasPrefix(r.URL.Path, "/api/"+kind) {
			service = kind
		}
	}
	f.proxies[service].ServeHTTP(w, r)
}

func (f *forum) URL(*rehearsal.Request) string { return f.balancer.URL }

func (f *forum) Gaps() []string { return nil }

func (f *forum) Deploy(_ context.Context, phase string) (rehearsal.Changes, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.phase = phase
	f.switched.Store(f.switched.Load() || phase == "switched")
	return rehearsal.Changes{}, nil
}

func (f *forum) Run(ctx context.Context, c rehearsal.Command) error {
	if c.String() != "api seed" {
		return fmt.Errorf("there is no command %s", c)
	}
	return f.seed(ctx)
}

func (f *forum) Fault(context.Context, string, string) (func(context.Context) error, error) {
	return nil, errors.New("there are no faults")
}

// rehearse sends the forum's routes file through the switch and back.
func (f *forum) rehearse(t *testing.T, o rehearsal.Options) *rehearsal.Report {
	t.Helper()
	b := workload.New(workload.Options{Writes: true})
	if err := b.File("../deployment/forum.yaml"); err != nil {
		t.Fatal(err)
	}
	o.Walk = []string{"monolith", "switched", "monolith"}
	var err error
	if o.Workload, err = b.Build("the forum's"); err != nil {
		t.Fatal(err)
	}
	if f.rehearsal, err = rehearsal.New(o); err != nil {
		t.Fatal(err)
	}
	report, err := f.rehearsal.Run(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// stale is a store whose reads see what was there a while ago at times.
type stale struct {
	store.Store
	wrong *atomic.Bool
	mu    sync.Mutex
	then  map[store.Key]store.Item
}

func (s *stale) Get(ctx context.Context, keys ...store.Key) ([]store.Item, error) {
	items, err := s.Store.Get(ctx, keys...)
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range items {
		old, has := s.then[items[i].Key]
		s.then[items[i].Key] = items[i]
		if has && s.wrong.Load() && rand.IntN(2) == 0 {
			items[i] = old
		}
	}
	return items, err
}

// blind is a store whose writes do not look at what is there.
type blind struct {
	store.Store
	wrong *atomic.Bool
}

func (s blind) Write(ctx context.Context, changes ...store.Change) error {
	if s.wrong.Load() {
		time.Sleep(200 * time.Millisecond) // others write meanwhile
	}
	for {
		var conflict *store.Conflict
		err := s.Store.Write(ctx, changes...)
		if !errors.As(err, &conflict) || !s.wrong.Load() {
			return err
		}
		items, err := s.Store.Get(ctx, conflict.Key)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(changes, func(c store.Change) bool { return c.Key == conflict.Key })
		changes[i].Expected = items[0].Version
		if changes[i].Remove && items[0].Version == 0 {
			changes = slices.Delete(changes, i, i+1)
		}
	}
}

// forgetful is a store that keeps no answers to idempotency keys.
type forgetful struct {
	store.Store
	wrong *atomic.Bool
}

func (s forgetful) Write(ctx context.Context, changes ...store.Change) error {
	return s.Store.Write(ctx, slices.DeleteFunc(changes, func(c store.Change) bool { return c.List == "idem" && s.wrong.Load() })...)
}

// A rehearsal of the forum passes if the services share their stores with the monolith. With a store that does not do what it should,
// the verdict is red and says why.
func TestRehearsalWithWrites(t *testing.T) {
	nightly.Test(t, "it rehearses the forum five times")
	for name, test := range map[string]struct {
		wrap func(store.Store, *atomic.Bool) store.Store
		own  bool // says that each service has stores of its own
		want []string
	}{
		"shared":                 {},
		"in memory of each task": {own: true, want: []string{"lost write"}},
		"eventually consistent reads": {
			wrap: func(s store.Store, wrong *atomic.Bool) store.Store {
				return &stale{Store: s, wrong: wrong, then: map[store.Key]store.Item{}}
			},
			want: []string{"stale read", "lost write"},
		},
		"writes without a condition": {
			wrap: func(s store.Store, wrong *atomic.Bool) store.Store { return blind{s, wrong} },
			want: []string{"condition ignored", "stale read", "lost write", "id given twice"},
		},
		"no idempotency records": {
			wrap: func(s store.Store, wrong *atomic.Bool) store.Store { return forgetful{s, wrong} }, want: []string{"done twice"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // it waits most of the time
			// A busy machine sends fewer requests, and for longer.
			problem, rate, dwell := "", 100, 3*time.Second
			for range 4 {
				shared := map[string]store.Store{}
				for _, kind := range kinds {
					shared[kind] = store.NewMemory()
				}
				f := newForum(t, func(f *forum, _, kind string) store.Store {
					switch {
					case test.own:
						return store.NewMemory()
					case test.wrap != nil:
						return test.wrap(shared[kind], &f.switched)
					}
					return shared[kind]
				})
				report := f.rehearse(t, rehearsal.Options{Rate: rate, Dwell: dwell})
				v := report.Verdict
				t.Logf("%d requests: %s\n%s", report.Totals.Requests, v.Sentence, strings.Join(append(v.Reasons, v.Gaps...), "\n"))
				found := slices.ContainsFunc(report.Findings, func(found rehearsal.Finding) bool { return slices.Contains(test.want, found.Kind) })
				switch {
				case v.Passed && test.want == nil, !v.Passed && found:
					return
				case v.Outcome == rehearsal.Failed && test.want == nil:
					t.Fatal("the rehearsal failed")
				}
				problem = fmt.Sprintf("the rehearsal passed: %v; found is one of %v: %v", v.Passed, test.want, found)
				rate, dwell = cmp.Or(report.Load.WouldHold, rate/2), 2*dwell
			}
			t.Error(problem)
		})
	}
}
