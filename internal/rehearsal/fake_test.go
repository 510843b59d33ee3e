package rehearsal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
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
)

// fake is a deployment of real HTTP servers: a proxy in front of a monolith and
// three services, without health checks and with phases that come about at once
// unless a test wants otherwise.
type fake struct {
	proxy     *httptest.Server
	services  map[string]*httptest.Server
	transport *http.Transport

	mu      sync.Mutex
	phase   string
	routed  string // what decides who answers; the phase, except while moving
	deploys []string

	rehearsal *Rehearsal
	seen      atomic.Int64 // requests to the proxy since the first deployment

	// What tests change, before they start.
	moving    func(from, to string) error                                       // while deploying, with the routing still of before
	intercept func(w http.ResponseWriter, r *http.Request, service string) bool // true if it has answered
	broken    func(kind, service string) (clear func(context.Context) error, err error)
	silent    bool // no records
	gaps      []string

	commands   []string
	commandErr error
}

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{services: map[string]*httptest.Server{}, transport: &http.Transport{MaxIdleConnsPerHost: 100}}
	t.Cleanup(f.transport.CloseIdleConnections)
	for _, name := range []string{"api", "users", "threads", "posts"} {
		f.services[name] = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch path := r.URL.Path; {
			case strings.HasSuffix(path, "/404"):
				w.Header().Set("Content-Type", "text/plain; charset=utf-8")
				w.WriteHeader(http.StatusNotFound)
				fmt.Fprint(w, "Not Found")
			case strings.HasSuffix(path, "/204"):
				w.WriteHeader(http.StatusNoContent)
			default:
				w.Header().Set("Content-Type", "application/json; charset=utf-8")
				fmt.Fprintf(w, `{"path":%q,"text":"as it always was"}`, path)
			}
		}))
		t.Cleanup(f.services[name].Close)
	}
	f.proxy = httptest.NewServer(http.HandlerFunc(f.serve))
	t.Cleanup(f.proxy.Close)
	return f
}

var fakeRoutes = []string{
	"/api/users", "/api/users/1", "/api/users/204", "/api/users/404",
	"/api/threads", "/api/threads/1", "/api/posts", "/api/posts/1", "/api/posts/404",
}

func (f *fake) serve(w http.ResponseWriter, r *http.Request) {
	if _, ours := f.rehearsal.rec.parseTraceID(r.Header.Get(TraceHeader)); ours { // not the trial's
		f.seen.Add(1)
	}
	f.mu.Lock()
	phase := f.routed
	f.mu.Unlock()
	service := "api"
	if phase == "switched" || phase == "retired" {
		service = strings.Split(r.URL.Path, "/")[2]
	}
	record := Record{TraceID: "Self=1-67891234-12456789abcdef012345678;" + r.Header.Get(TraceHeader), Service: service, Target: service + "-1"}
	counting := &statusWriter{ResponseWriter: w}
	defer func() {
		record.Status = counting.status
		if !f.silent {
			f.rehearsal.Observe(record)
		}
	}()
	if f.intercept != nil && f.intercept(counting, r, service) {
		if counting.status == http.StatusServiceUnavailable {
			record.Target = ""
		}
		return
	}
	to, _ := url.Parse(f.services[service].URL)
	proxy := httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(to) },
		Transport: f.transport,
		ErrorLog:  log.New(io.Discard, "", 0),
		ModifyResponse: func(resp *http.Response) error {
			record.TargetStatus = resp.StatusCode
			return nil
		},
	}
	proxy.ServeHTTP(counting, r)
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// cut resets the connection in the middle of the request, as the kernel does
// for a process that was killed.
func cut(t *testing.T, w http.ResponseWriter) {
	conn := hijack(t, w)
	conn.SetLinger(0)
	conn.Close()
}

// hijack takes the connection of a request.
func hijack(t *testing.T, w http.ResponseWriter) *net.TCPConn {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		t.Error(err)
		return &net.TCPConn{}
	}
	return conn.(*net.TCPConn)
}

func (f *fake) URL(*Request) string { return f.proxy.URL }

func (f *fake) Gaps() []string { return f.gaps }

func (f *fake) Run(_ context.Context, c Command) error {
	if f.phase == "" || f.seen.Load() > 0 {
		return errors.New("too early or too late")
	}
	f.commands = append(f.commands, c.String())
	return f.commandErr
}

func (f *fake) Deploy(ctx context.Context, phase string) (Changes, error) {
	f.mu.Lock()
	from := f.phase
	f.deploys = append(f.deploys, phase)
	f.mu.Unlock()
	if from != "" && f.moving != nil {
		if err := f.moving(from, phase); err != nil {
			return Changes{}, err
		}
	}
	f.mu.Lock()
	f.phase, f.routed = phase, phase
	f.mu.Unlock()
	f.rehearsal.Event(Event{Time: time.Now(), Service: "api", Target: "api-1", State: "healthy", Text: "target is healthy"})
	return Changes{Others: []string{"~ AWS::SSM::Parameter dev-Phase/Phase: " + phase}}, ctx.Err()
}

func (f *fake) Fault(_ context.Context, kind, service string) (func(context.Context) error, error) {
	if f.broken == nil {
		return nil, errors.New("this deployment cannot be harmed")
	}
	return f.broken(kind, service)
}

// run rehearses with the fake.
func (f *fake) run(ctx context.Context, o Options) (report *Report, err error) {
	if f.rehearsal, err = New(o); err != nil {
		return nil, err
	}
	return f.rehearsal.Run(ctx, f)
}

// quick is a rehearsal that lasts about a second.
func quick(change ...func(*Options)) Options {
	o := Options{Rate: 200, Dwell: 80 * time.Millisecond, Hold: 150 * time.Millisecond, Timeout: 20 * time.Second, Workload: Paths(fakeRoutes...), trial: 20 * time.Millisecond}
	for _, c := range change {
		c(&o)
	}
	return o
}

func rehearse(t *testing.T, f *fake, o Options) *Report {
	t.Helper()
	report, err := f.run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func stepOf(t *testing.T, r *Report, name string) Step {
	t.Helper()
	i := slices.IndexFunc(r.Steps, func(s Step) bool { return s.Name == name })
	if i < 0 {
		t.Fatalf("there is no step %q", name)
	}
	return r.Steps[i]
}
