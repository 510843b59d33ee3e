package stream

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"cutover/internal/rehearsal"
	"cutover/internal/rehearsal/step"
)

func at(path string) Config {
	return Config{Open: step.Step{Request: rehearsal.Request{Path: path}}}
}

func jsonPath(t *testing.T, text string) *rehearsal.JSONPath {
	t.Helper()
	path, err := rehearsal.ParseJSONPath(text)
	if err != nil {
		t.Fatal(err)
	}
	return &path
}

func socket(t *testing.T) Config {
	c := at("/socket")
	c.WebSocket, c.Send, c.ID = true, []string{"after {{last}}"}, jsonPath(t, "$.id")
	c.Open.Request.Header = http.Header{"Sec-Websocket-Protocol": {"orders.v1"}}
	return c
}

// follow has each phase last until the streams of all paths are open, and events have come in them.
func (s *site) follow(api, orders *service, shared *bus, paths ...string) {
	each := func(service *service, n int) func() bool {
		return func() bool {
			return !slices.ContainsFunc(paths, func(path string) bool { return service.called(path) < n })
		}
	}
	more := func() {
		last := shared.last()
		s.until("more events", func() bool { return shared.last() > last+8 })
	}
	s.before = func(phase string) {
		switch phase {
		case "switched":
			s.until("the streams of monolith", each(api, 5)) // with three of the baseline
			more()
		case "retired":
			s.until("the streams of switched", each(orders, 2))
			more()
		case "end":
			s.until("the streams of retired", each(orders, 6))
			more()
		}
	}
	s.after = func(phase string) {
		if phase == "retired" {
			s.until("the streams that are opened again", each(orders, 4))
		}
	}
}

// Streams end with their task, are opened again at once, and go on with the next event.
func TestStreams(t *testing.T) {
	t.Parallel() // it waits most of the time
	shared := newBus()
	api, orders := newService("api", shared), newService("orders", shared)
	s := newSite(t, api, orders)
	s.follow(api, orders, shared, "/events", "/socket")
	report := s.rehearse(nil, New(at("/events")), New(socket(t)))
	if !report.Verdict.Passed || slices.ContainsFunc(report.Verdict.Gaps, func(gap string) bool { return strings.HasPrefix(gap, "/") }) {
		t.Errorf("%+v", report.Verdict)
	}
	want := map[string]string{
		"/events": "2 connections to /events of api, opened in monolith: ended in switched → retired, end of the connection in the middle of the answer, with its task, which was going away; opened again at once.",
		"/socket": "2 connections to /socket of api, opened in monolith: ended in switched → retired, end of the connection without a close frame, with its task, which was going away; opened again at once.",
	}
	ends, open := 0, map[string]int{}
	for _, end := range report.Streams {
		switch {
		case end.Service == "orders" && end.Ended == "" && !end.Fails:
			open[end.Stream] += end.Count
		case end.String() == want[end.Stream]:
			ends++
		default:
			t.Errorf("stream %s", end)
		}
	}
	if ends != 2 || open["/events"] < 4 || open["/socket"] < 4 {
		t.Errorf("streams %v", report.Streams)
	}
	if len(report.Checked) != 2 {
		t.Fatalf("checked %q", report.Checked)
	}
	for i, name := range []string{"/events", "/socket"} {
		if !regexp.MustCompile("^" + name + `: \d+ connections, \d+ of them open to the end, \d+ events with \d+ ids\.$`).MatchString(report.Checked[i]) {
			t.Errorf("checked %q", report.Checked)
		}
	}
	var text strings.Builder
	if err := report.WriteSummary(&text); err != nil || !strings.Contains(text.String(), "\n  Stream: "+want["/events"]+"\n") || strings.Contains(text.String(), "open to the end.\n") {
		t.Errorf("summary\n%s", text.String())
	}
	var page strings.Builder
	if err := report.WritePage(&page); err != nil || !strings.Contains(page.String(), `data-name="how">end of the connection without a close frame, with its task, which was going away</td><td data-name="opened again">at once</td>`) ||
		!strings.Contains(page.String(), `data-name="ended in">open to the end</td>`) {
		t.Error("the page does not show the streams")
	}
}

// whenOrders is a stream with something wrong in orders.
func whenOrders(how stream) func(name string, s *service) http.HandlerFunc {
	return func(name string, s *service) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if name == "orders" {
				s.serveEvents(w, r, how)
			} else {
				s.serveEvents(w, r, stream{})
			}
		}
	}
}

// wrongStream is a stream with something wrong in it.
type wrongStream struct {
	path   string
	config func(*Config)
	handle func(name string, s *service) http.HandlerFunc
	want   string // findings
}

// soon is when some services end streams.
const soon = 200 * time.Millisecond

var wrongStreams = []wrongStream{
	{"/cut", nil, whenOrders(stream{ends: soon, aborts: true}),
		`Stream cut in (switched|switched → retired): /cut: the stream of orders, opened in switched, ended by end of the connection in the middle of the answer, although its task was not going away`},
	{"/ending", nil, whenOrders(stream{ends: soon}),
		`Stream cut in (switched|switched → retired): /ending: the stream of orders, opened in switched, ended by end of the answer, although its task was not going away; if the service ends it by design, write mayEnd: true`},
	{"/may-end", func(c *Config) { c.MayEnd = true }, whenOrders(stream{ends: soon}), ``},
	{"/uncut", func(c *Config) { c.Uncut = true }, whenOrders(stream{}),
		`Stream cut in switched → retired: /uncut: the stream of api, opened in monolith, ended by end of the connection in the middle of the answer, with its task, which was going away; the routes file wants it uncut`},
	{"/none", nil, func(name string, s *service) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if name == "orders" {
				http.NotFound(w, r)
				return
			}
			s.serveEvents(w, r, stream{})
		}
	}, `Stream not opened again in switched → retired: /none after its end: status 404, not 200: "404 page not found\\n", from orders, and for the rest of the walk(, and 1 more)?; ` +
		`Stream not opened in switched: /none: status 404, not 200: "404 page not found\\n", from orders, and for the rest of the walk`},
	{"/lossy", nil, whenOrders(stream{skip: 5}),
		`(.*; )?Missed event in (switched|switched → retired): /lossy: event \d+ did not come in the stream of orders, opened in switched; it came in the stream of api, opened in monolith.*`},
	{"/forgetful", nil, func(name string, s *service) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if last := s.last(); name == "orders" && r.Header.Get("Last-Event-ID") != "" {
				for s.last() < last+3 {
					s.after(r.Context(), s.last())
				}
			}
			s.serveEvents(w, r, stream{ignores: true})
		}
	}, `Missed event in (switched → retired|retired|end): /forgetful: event \d+ did not come in the stream of (api, opened in monolith|orders, opened in switched → retired); it came in the stream of orders, opened in switched.*`},
	{"/double", nil, whenOrders(stream{replays: 2}),
		`Doubled event in (switched → retired|retired): /double: event \d+ came twice to a client, in the stream of api and again in the stream of orders, which was opened in switched → retired to go on after the last event`},
	{"/ignored", func(c *Config) { c.IgnoreIDs = true }, whenOrders(stream{replays: 2, skip: 3}), ``},
	{"/apart", nil, func(name string, _ *service) http.HandlerFunc {
		own := &service{bus: newBus()}
		go func() {
			for range 2000 {
				time.Sleep(10 * time.Millisecond)
				own.publish("an order of " + name)
			}
		}()
		return func(w http.ResponseWriter, r *http.Request) { own.serveEvents(w, r, stream{}) }
	}, `.*Different event in switched.*: /apart: event \d+ is "{.*an order of \w+.*}" in the stream of \w+, and was "{.*an order of \w+.*}" in the stream of \w+.*`},
	{"/header", nil, func(name string, s *service) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Version", name)
			s.serveEvents(w, r, stream{})
		}
	}, `Different stream in switched: /header, the stream of orders: header X-Version is "orders", not "api"`},
}

// What is wrong with a stream is found and named.
func TestWrongStreams(t *testing.T) {
	t.Parallel() // it waits most of the time
	shared := newBus()
	api, orders := newService("api", shared), newService("orders", shared)
	var streams []*Stream
	var paths []string
	for _, test := range wrongStreams {
		c := at(test.path)
		if test.config != nil {
			test.config(&c)
		}
		api.extra[test.path], orders.extra[test.path] = test.handle("api", api), test.handle("orders", orders)
		streams, paths = append(streams, New(c)), append(paths, test.path)
	}
	s := newSite(t, api, orders)
	s.follow(api, orders, shared, paths...)
	before := s.before
	s.before = func(phase string) {
		if before(phase); phase == "retired" { // each is cut in switched, too
			for _, path := range []string{"/cut", "/ending", "/may-end"} {
				s.until("the end of "+path, func() bool { return orders.called(path) >= 4 })
			}
		}
	}
	report := s.rehearse(nil, streams...)
	if report.Verdict.Passed || report.Verdict.Word() != "failed" {
		t.Errorf("%+v", report.Verdict)
	}
	for _, test := range wrongStreams {
		var got []string
		for _, f := range report.Findings {
			if strings.Contains(f.Text, test.path+":") || strings.Contains(f.Text, test.path+",") || strings.Contains(f.Text, test.path+" ") {
				got = append(got, strings.TrimSuffix(f.String(), "."))
			}
		}
		slices.Sort(got)
		if text := strings.Join(got, "; "); !regexp.MustCompile("^(" + test.want + `(, and [\d,]+ more)?)$`).MatchString(text) {
			t.Errorf("%s: findings\n%s\nwant\n%s", test.path, text, test.want)
		}
	}
	if !slices.ContainsFunc(report.Streams, func(e rehearsal.StreamEnd) bool {
		return strings.HasSuffix(e.String(), "/may-end of orders, opened in switched: ended in switched → retired, end of the answer, by the service; opened again at once.") && !e.Fails
	}) {
		t.Errorf("streams %v", report.Streams)
	}
}

// A stream that is silent for the idle timeout is cut by the load balancer, and that is no fault of the migration.
func TestIdle(t *testing.T) {
	t.Parallel() // it waits most of the time
	api := newService("api", newBus())
	api.extra["/quiet"] = func(w http.ResponseWriter, r *http.Request) { api.serveEvents(w, r, stream{silent: true}) }
	s := newSite(t, api, api)
	s.idle = "3" // longer than the trial
	s.before = func(phase string) {
		if phase == "switched" {
			s.until("the end of the streams of monolith", func() bool { return api.called("/quiet") >= 7 })
		}
	}
	report := s.rehearse(func(o *rehearsal.Options) { o.Walk = walk[:2] }, New(at("/quiet")))
	want := "2 connections to /quiet of api, opened in monolith: ended in monolith → switched, end of the connection in the middle of the answer, by the load balancer, because it was silent for the idle timeout; opened again at once."
	if len(report.Findings) > 0 || len(report.Streams) == 0 || report.Streams[0].String() != want {
		t.Errorf("%v\n%v\nwant %s", report.Findings, report.Streams, want)
	}
	if want := "/quiet: no event came, so nothing shows whether the streams were alive"; !slices.Contains(report.Verdict.Gaps, want) {
		t.Errorf("gaps %q", report.Verdict.Gaps)
	}
}

// A fault explains the end of the streams of its service. They are opened again.
func TestFault(t *testing.T) {
	t.Parallel() // it waits most of the time
	want := "2 connections to /events of api, opened in monolith: ended in cut api, end of the connection in the middle of the answer, by the fault cut:api@monolith; opened again at once."
	var report *rehearsal.Report
	for range 5 { // on a machine that stalls, a stream may be on its way when the fault comes
		api := newService("api", newBus())
		s := newSite(t, api, newService("orders", api.bus))
		report = s.rehearse(func(o *rehearsal.Options) {
			o.Walk, o.Faults = walk[:1], []rehearsal.Fault{{Kind: "cut", Service: "api", Phase: "monolith"}}
		}, New(at("/events")))
		if len(report.Findings) == 0 && len(report.Streams) > 0 && report.Streams[0].String() == want {
			return
		}
	}
	t.Errorf("%v\n%v\nwant %s", report.Findings, report.Streams, want)
}

// A stream may need a login.
func TestLogin(t *testing.T) {
	t.Parallel() // it waits most of the time
	shared := newBus()
	api, orders := newService("api", shared), newService("orders", shared)
	for _, s := range []*service{api, orders} {
		s.extra["/login"] = func(w http.ResponseWriter, _ *http.Request) {
			http.SetCookie(w, &http.Cookie{Name: "sid", Value: "1", Path: "/"})
			w.Header().Set("X-Token", "t")
		}
		s.extra["/mine"] = func(w http.ResponseWriter, r *http.Request) {
			if c, err := r.Cookie("sid"); err != nil || c.Value != "1" || r.URL.RawQuery != "token=t" {
				w.WriteHeader(401)
				return
			}
			s.serveEvents(w, r, stream{})
		}
	}
	c := at("/mine?token={{token}}")
	c.Begin = []step.Step{{Request: rehearsal.Request{Path: "/login"}, Capture: []step.Capture{{Name: "token", Header: "X-Token"}}}}
	s := newSite(t, api, orders)
	s.follow(api, orders, shared, "/mine")
	report := s.rehearse(func(o *rehearsal.Options) { o.Walk = walk[:3] }, New(c))
	if !report.Verdict.Passed {
		t.Errorf("%+v\n%v", report.Verdict, report.Streams)
	}
	if api.called("/login") < 4 || orders.called("/login") < 2 || orders.called("/login") > 4 {
		t.Errorf("%d and %d logins", api.called("/login"), orders.called("/login"))
	}
}

// The wrong service may give a stream.
func TestStray(t *testing.T) {
	t.Parallel() // it waits most of the time
	api := newService("api", newBus())
	s := newSite(t, api, newService("orders", api.bus))
	report := s.rehearse(func(o *rehearsal.Options) {
		o.Walk = walk[:2]
		o.Answerers = func(phase string, r *rehearsal.Request) []string {
			if r.Path == "/events" {
				return []string{"api"}
			}
			return nil
		}
	}, New(at("/events")))
	if report.Verdict.Passed || len(report.Strays) != 1 || !strings.HasPrefix(report.Strays[0].String(), "orders answered ") || !strings.HasSuffix(report.Strays[0].String(), " to /events in switched instead of api.") {
		t.Errorf("%+v", report.Strays)
	}
}
