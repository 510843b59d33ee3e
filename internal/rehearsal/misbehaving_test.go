package rehearsal_test

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"cutover/internal/nightly"
	"cutover/internal/rehearsal"
	"cutover/internal/rehearsal/workload"
)

// What a rehearsal of [site] asks.
const (
	pages = `
requests:
  - {path: /products, weight: 4}
  - {method: HEAD, path: /products}
  - {path: /old}
`
	customers = `
sessions:
  - name: customer
    weight: 4
    users: 4
    rounds: 1
    begin: [{method: POST, path: /login, json: {name: ann}}]
    steps: [{path: /account}]
`
	notes = `
collections:
  - name: note
    weight: 20
    cold: 8
    create: {path: /notes, json: {text: "{{value}}"}, status: [201, 200]}
    read: {path: "/notes/{{id}}"}
    replace: {path: "/notes/{{id}}", json: {text: "{{value}}"}}
    delete: {path: "/notes/{{id}}"}
    list: {path: /notes}
    id: $.id
    idempotencyKey: Idempotency-Key
`
	events = pages + `
streams:
  - {path: /events}
`
)

type note struct {
	ID   int    `json:"id"`
	Text string `json:"text"`
}

// site is an API that api and, after the switch, web answer for. Both have the same data, and do all right but for what a test
// wants to be wrong in web.
type site struct {
	url      string
	rehearse *rehearsal.Rehearsal
	mux      *http.ServeMux

	mu       sync.Mutex
	service  string
	wrong    fault
	n        int // requests that web has got
	notes    map[int]note
	created  map[int]note   // as they were created
	keys     map[string]int // ids by Idempotency-Key
	sessions map[string]bool
	last     int
	// seen gets each request, if somebody waits for it.
	seen chan struct{}
}

// fault answers a request wrongly. It returns false if it has not answered.
type fault func(s *site, w http.ResponseWriter, r *http.Request) bool

func newSite() *site {
	s := &site{mux: http.NewServeMux(), seen: make(chan struct{}), notes: map[int]note{}, created: map[int]note{}, keys: map[string]int{}, sessions: map[string]bool{}}
	s.mux.HandleFunc("GET /products", func(w http.ResponseWriter, _ *http.Request) { // and HEAD
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("Etag", `"1"`)
		w.Header().Set("Vary", "Accept")
		give(w, 200, []any{map[string]any{"id": 1, "name": "pen", "price": 5}, map[string]any{"id": 2, "name": "cup", "price": 7}})
	})
	s.mux.HandleFunc("GET /old", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/products", http.StatusMovedPermanently)
	})
	s.mux.HandleFunc("POST /login", func(w http.ResponseWriter, _ *http.Request) {
		s.last++
		s.sessions[strconv.Itoa(s.last)] = true
		http.SetCookie(w, &http.Cookie{Name: "sid", Value: strconv.Itoa(s.last), Path: "/", HttpOnly: true})
		give(w, 200, "welcome")
	})
	s.mux.HandleFunc("GET /account", func(w http.ResponseWriter, r *http.Request) {
		if c, err := r.Cookie("sid"); err != nil || !s.sessions[c.Value] {
			give(w, 401, "log in")
			return
		}
		give(w, 200, map[string]any{"name": "ann"})
	})
	s.mux.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: hello\n\n")
		_ = http.NewResponseController(w).Flush()
		s.mu.Unlock()
		defer s.mu.Lock()
		<-r.Context().Done()
	})
	s.handleNotes()
	return s
}

func give(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value)
}

func (s *site) handleNotes() {
	one := func(handle func(w http.ResponseWriter, r *http.Request, n note)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			id, _ := strconv.Atoi(r.PathValue("id"))
			if n, ok := s.notes[id]; ok {
				handle(w, r, n)
			} else {
				give(w, 404, "no such note")
			}
		}
	}
	s.mux.HandleFunc("POST /notes", func(w http.ResponseWriter, r *http.Request) {
		key := r.Header.Get("Idempotency-Key")
		if id := s.keys[key]; id != 0 && key != "" {
			give(w, 200, s.notes[id])
			return
		}
		s.last++
		n := note{}
		_ = json.NewDecoder(r.Body).Decode(&n)
		n.ID = s.last
		s.notes[n.ID], s.created[n.ID], s.keys[key] = n, n, n.ID
		give(w, 201, n)
	})
	s.mux.HandleFunc("GET /notes/{id}", one(func(w http.ResponseWriter, _ *http.Request, n note) { give(w, 200, n) }))
	s.mux.HandleFunc("PUT /notes/{id}", one(func(w http.ResponseWriter, r *http.Request, n note) {
		id := n.ID
		_ = json.NewDecoder(r.Body).Decode(&n)
		n.ID = id
		s.notes[id] = n
		give(w, 200, n)
	}))
	s.mux.HandleFunc("DELETE /notes/{id}", one(func(w http.ResponseWriter, _ *http.Request, n note) {
		delete(s.notes, n.ID)
		w.WriteHeader(http.StatusNoContent)
	}))
	s.mux.HandleFunc("GET /notes", func(w http.ResponseWriter, _ *http.Request) {
		list := []note{}
		for _, id := range slices.Sorted(maps.Keys(s.notes)) {
			list = append(list, s.notes[id])
		}
		give(w, 200, list)
	})
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case s.seen <- struct{}{}:
	default:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	service := s.service
	watched := &statusWriter{w, 0}
	w = watched
	defer func() { // also of what breaks off
		s.rehearse.Observe(rehearsal.Record{TraceID: r.Header.Get("X-Amzn-Trace-Id"), Service: service, Target: service + "-1", Status: watched.status, TargetStatus: watched.status})
	}()
	if s.service == "web" && s.wrong != nil {
		if s.n++; s.wrong(s, w, r) {
			return
		}
	}
	s.mux.ServeHTTP(w, r)
}

// statusWriter keeps the status of an answer. All answers have one, but for those that break off.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (s *site) URL(*rehearsal.Request) string                { return s.url }
func (s *site) Gaps() []string                               { return nil }
func (s *site) Run(context.Context, rehearsal.Command) error { return nil }

// Deploy changes the service, between some requests.
func (s *site) Deploy(ctx context.Context, phase string) (rehearsal.Changes, error) {
	for wait := 3; phase == "switched" && wait > 0 && ctx.Err() == nil; wait-- {
		select {
		case <-s.seen:
		case <-ctx.Done():
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.service = map[string]string{"monolith": "api", "switched": "web"}[phase]
	return rehearsal.Changes{}, nil
}

func (s *site) Fault(context.Context, string, string) (func(context.Context) error, error) {
	return nil, fmt.Errorf("it cannot be harmed")
}

// rehearseSite walks from monolith to switched.
func rehearseSite(ctx context.Context, s *site, routes string, dwell, timeout time.Duration) (*rehearsal.Report, error) {
	b := workload.New(workload.Options{Writes: true})
	if err := b.File(routes); err != nil {
		return nil, err
	}
	w, err := b.Build("routes.yaml")
	if err != nil {
		return nil, err
	}
	options := rehearsal.Options{
		Walk: []string{"monolith", "switched"}, Rate: 100, Dwell: dwell, Timeout: timeout, Workload: w,
		Answerers: func(phase string, _ *rehearsal.Request) []string {
			return []string{map[string]string{"monolith": "api", "switched": "web"}[phase]}
		},
	}
	options.TryFor(50 * time.Millisecond)
	if s.rehearse, err = rehearsal.New(options); err != nil {
		return nil, err
	}
	server := httptest.NewServer(s)
	defer server.Close()
	s.url = server.URL
	return s.rehearse.Run(ctx, s)
}

// fits says whether a request begins with a method and a path, as in "GET /notes/".
func fits(r *http.Request, begins string) bool {
	return strings.HasPrefix(r.Method+" "+r.URL.Path, begins)
}

// to does something wrong with the first of so many requests that fit, and so on.
func to(begins string, of int, do fault) fault {
	n := 0
	return func(s *site, w http.ResponseWriter, r *http.Request) bool {
		if !fits(r, begins) {
			return false
		}
		n++
		return (n-1)%of == 0 && do(s, w, r)
	}
}

// changed answers with another head or body.
func changed(change func(a *httptest.ResponseRecorder) (body string)) fault {
	return func(s *site, w http.ResponseWriter, r *http.Request) bool {
		a := httptest.NewRecorder()
		s.mux.ServeHTTP(a, r)
		body := change(a)
		maps.Copy(w.Header(), a.Header())
		w.WriteHeader(a.Code)
		_, _ = io.WriteString(w, body)
		return true
	}
}

// header answers with a header that has another value, or is missing.
func header(name, value string) fault {
	return changed(func(a *httptest.ResponseRecorder) string {
		if a.Header().Set(name, value); value == "" {
			a.Header().Del(name)
		}
		return a.Body.String()
	})
}

// body answers with another body.
func body(change func(text string) string) fault {
	return changed(func(a *httptest.ResponseRecorder) string { return change(a.Body.String()) })
}

func replaced(from, to string) fault {
	return body(func(text string) string { return strings.Replace(text, from, to, 1) })
}

// status answers with nothing but a status.
func status(code int) fault {
	return func(_ *site, w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(code)
		return true
	}
}

// forgotten answers as if the request had been done.
func forgotten(s *site, w http.ResponseWriter, r *http.Request) bool {
	notes, keys := maps.Clone(s.notes), maps.Clone(s.keys)
	s.mux.ServeHTTP(w, r)
	s.notes, s.keys = notes, keys
	return true
}

// stale answers with a note as it was created. What replaced it was acknowledged long ago, however slow the machine is.
func stale(s *site, w http.ResponseWriter, r *http.Request) bool {
	id, _ := strconv.Atoi(path.Base(r.URL.Path))
	if _, ok := s.notes[id]; !ok {
		return false
	}
	give(w, 200, s.created[id])
	return true
}

// twice does a request before it is done.
func twice(s *site, w http.ResponseWriter, r *http.Request) bool {
	text, _ := io.ReadAll(r.Body)
	first := r.Clone(r.Context())
	first.Body, r.Body = io.NopCloser(bytes.NewReader(text)), io.NopCloser(bytes.NewReader(text))
	s.mux.ServeHTTP(httptest.NewRecorder(), first)
	r.Header.Del("Idempotency-Key")
	s.mux.ServeHTTP(w, r)
	return true
}

// element returns the first element of a list, with a comma.
func element(list string) string {
	before, _, _ := strings.Cut(list, "},")
	return strings.TrimPrefix(before, "[") + "},"
}

// broken ends the connection in the middle.
func broken(end func(conn *net.TCPConn)) fault {
	return func(_ *site, w http.ResponseWriter, _ *http.Request) bool {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			end(conn.(*net.TCPConn))
			_ = conn.Close()
		}
		return true
	}
}

// mistake is one that a site may make.
type mistake struct {
	name string
	// routes is what is asked.
	routes string
	wrong  fault
	// verdict is a part of what the verdict and its samples say. More may be said, too.
	verdict string
	dwell   time.Duration // in a phase; default: enough
}

// mistakes are all, and one that is none.
func mistakes() []mistake {
	var honest fault
	return []mistake{
		{"nothing is wrong", events + customers + notes, honest, "", 0},

		{"a replaced note is not kept", notes, to("PUT /notes/", 2, forgotten), "Lost write", 0},
		{"a new note is not kept", notes, to("POST /notes", 2, forgotten), "Lost write", 0},
		{"a new note is doubled", notes, to("POST /notes", 2, twice), "Done twice", 0},
		{"a key does not keep a note from being created again", notes, to("POST /notes", 1, func(_ *site, _ http.ResponseWriter, r *http.Request) bool {
			r.Header.Del("Idempotency-Key")
			return false
		}), "Done twice", 3 * time.Second},
		{"a read is stale", notes, to("GET /notes/", 4, stale), "Stale read", 2 * time.Second},
		{"a deleted note comes back", notes, to("DELETE /notes/", 1, forgotten), "Deleted and back", 0},
		{"a list misses an element", notes, to("GET /notes", 1, func(s *site, w http.ResponseWriter, r *http.Request) bool {
			return r.URL.Path == "/notes" && body(func(list string) string { return strings.Replace(list, element(list), "", 1) })(s, w, r)
		}), "Missing in the list", 0},
		{"a list has an element twice", notes, to("GET /notes", 1, func(s *site, w http.ResponseWriter, r *http.Request) bool {
			return r.URL.Path == "/notes" && body(func(list string) string { return strings.Replace(list, "[", "["+element(list), 1) })(s, w, r)
		}), "Listed twice", 0},
		{"a note has another text", notes, to("GET /notes/", 1, body(func(string) string { return `{"text":"of another note"}` })), "Wrong content", 0},

		{"the other side does not know a cookie", customers, to("GET /account", 1, func(s *site, w http.ResponseWriter, r *http.Request) bool {
			if c, err := r.Cookie("sid"); s.n == 1 || err != nil || c.Value != "" {
				clear(s.sessions)
			}
			return false
		}), ": the session that api opened in monolith", 0},
		{"the login answers 503", customers, to("POST /login", 1, status(503)), "Server error (503), ", 0},
		{"an attribute of a cookie is missing", customers, to("POST /login", 1, header("Set-Cookie", "sid=1; Path=/")), "header Set-Cookie", 0},
		{"a cookie is missing", customers, to("POST /login", 1, header("Set-Cookie", "")), "header Set-Cookie", 0},

		{"a header has another value", pages, to("GET /products", 1, header("Cache-Control", "no-store")), "Different header (200), ", 0},
		{"a header is missing", pages, to("GET /products", 1, header("Vary", "")), "header Vary is missing", 0},
		{"a header is new", pages, to("GET /products", 1, header("Access-Control-Allow-Origin", "*")), "header Access-Control-Allow-Origin is ", 0},
		{"the ETag changes without the body", pages, to("GET /products", 1, header("Etag", `"2"`)), "header Etag is ", 0},
		{"the content type changes", pages, to("GET /products", 1, header("Content-Type", "text/json")), "Different content type (200), ", 0},
		{"the encoding changes", pages, to("GET /products", 1, changed(func(a *httptest.ResponseRecorder) string {
			var b bytes.Buffer
			z := gzip.NewWriter(&b)
			_, _ = z.Write(a.Body.Bytes())
			_ = z.Close()
			a.Header().Set("Content-Encoding", "gzip")
			return b.String()
		})), "Different body (200), ", 0},
		{"a redirect leads elsewhere", pages, to("GET /old", 1, func(_ *site, w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, "/products/", http.StatusMovedPermanently)
			return true
		}), "Different ", 0},
		{"one method is not known", pages, to("HEAD /products", 1, status(405)), "Different status (405), ", 0},
		{"an answer is right half of the time", pages, to("GET /products", 2, replaced(`"price":5`, `"price":6`)), "Different body (200), ", 0},
		{"a list has another order", pages, to("GET /products", 1, body(func(list string) string {
			first := element(list)
			return "[" + strings.TrimSuffix(strings.Replace(list, "["+first, "", 1), "]\n") + "," + strings.TrimSuffix(first, ",") + "]\n"
		})), "Different body (200), ", 0},
		{"a number is a text", pages, to("GET /products", 1, replaced(`"price":5`, `"price":"5"`)), "Different body (200), ", 0},
		{"bytes follow the body", pages, to("GET /products", 1, body(func(text string) string { return text + "\n" })), "Different body (200), ", 0},
		{"the body is empty", pages, to("GET /products", 1, body(func(string) string { return "" })), "Different body (200), ", 0},

		{"a body is cut off", pages, to("GET /products", 1, func(s *site, w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("Content-Length", "500")
			return false
		}), "Incomplete answer, ", 0},
		{"the connection is reset", customers, to("POST /login", 1, broken(func(conn *net.TCPConn) { _ = conn.SetLinger(0) })), "Connection reset, ", 0},
		{"the connection is closed", customers, to("POST /login", 1, broken(func(*net.TCPConn) {})), "Connection closed, ", 0},
		{"an answer takes too long", pages, to("GET /old", 1, func(s *site, _ http.ResponseWriter, r *http.Request) bool {
			s.mu.Unlock()
			defer s.mu.Lock()
			<-r.Context().Done()
			return true
		}), "Timeout, ", 0},
		{"a stream is cut", events, to("GET /events", 1, func(_ *site, w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "data: hello\n\n")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}), "Stream cut", 0},
		{"a stream cannot be opened", events, to("GET /events", 1, status(503)), "Stream not opened", 0},
		{"another service answers", pages, func(s *site, _ http.ResponseWriter, _ *http.Request) bool {
			s.service = "api"
			return false
		}, "api answered ", 0},
	}
}

// One mistake of each kind is found, and the verdict names it.
func TestMisbehaving(t *testing.T) {
	few := []string{"nothing is wrong", "a replaced note is not kept", "the login answers 503", "a header is missing", "a body is cut off", "a stream is cut"}
	misbehaving(t, slices.DeleteFunc(mistakes(), func(m mistake) bool { return !slices.Contains(few, m.name) }))
}

// Each mistake is found.
func TestEachMistake(t *testing.T) {
	nightly.Test(t, "it rehearses each mistake of a site")
	misbehaving(t, mistakes())
}

func misbehaving(t *testing.T, cases []mistake) {
	t.Helper()
	dir := t.TempDir()
	// They mostly wait, so some go side by side.
	slots := make(chan struct{}, 4)
	problems := make([]string, len(cases))
	var all sync.WaitGroup
	for i, test := range cases {
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			file := filepath.Join(dir, fmt.Sprint(i, ".yaml"))
			if err := os.WriteFile(file, []byte(test.routes), 0o600); err != nil {
				problems[i] = err.Error()
				return
			}
			timeout := 30 * time.Second
			if test.verdict == "Timeout, " {
				timeout = 2 * time.Second
			}
			// On a busy machine too few requests may reach web.
			dwell := cmp.Or(test.dwell, 400*time.Millisecond)
			for range 3 {
				s := newSite()
				s.wrong = test.wrong
				report, err := rehearseSite(t.Context(), s, file, dwell, timeout)
				if err != nil {
					problems[i] = err.Error()
					return
				}
				if problems[i] = misjudged(report, test.wrong == nil, test.verdict); problems[i] == "" || test.wrong == nil && report.Verdict.Outcome == rehearsal.Failed {
					return
				}
				dwell *= 3
			}
		})
	}
	all.Wait()
	for i, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			if problems[i] != "" {
				t.Error(problems[i])
			}
		})
	}
}

// misjudged says what is wrong with a verdict, or nothing.
func misjudged(r *rehearsal.Report, honest bool, expected string) string {
	v := r.Verdict
	said := v.Sentence + "\n" + strings.Join(v.Reasons, "\n")
	for _, loss := range r.Losses {
		for _, sample := range loss.Samples {
			said += "\n" + sample.Detail
		}
	}
	switch {
	case honest && (v.Outcome != rehearsal.Passed || len(v.Gaps) > 0):
		return fmt.Sprintf("%s: %s\ngaps %q\n%q", v.Outcome, said, v.Gaps, r.Checked)
	case !honest && (v.Outcome != rehearsal.Failed || !strings.Contains(said, expected)):
		return fmt.Sprintf("%q is not in the verdict %s:\n%s\n%q", expected, v.Outcome, said, r.Checked)
	}
	return ""
}
