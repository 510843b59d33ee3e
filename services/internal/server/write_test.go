package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

// writing is a module with routes that take bodies.
func writing(rt *Router) error {
	take := func(r *http.Request) *Response {
		return Encoded(200, fmt.Appendf(nil, "%d", len(Body(r))), "").With("ETag", `"1"`)
	}
	rt.Get("/things", func(*http.Request) *Response { return Encoded(200, []byte("[]"), "") })
	rt.Write(http.MethodPost, "/things", 100<<10, take)
	rt.Get("/things/{#thingId}", take)
	rt.Write(http.MethodPut, "/things/{#thingId}", 10, take)
	rt.Write(http.MethodDelete, "/things/{#thingId}", 0, take)
	rt.Write(http.MethodPost, "/events", 1, take)
	return nil
}

func TestWriteRoutes(t *testing.T) {
	rt := mustRouter(t, writing)
	for _, c := range []struct {
		method, target string
		status         int
		allow          string
	}{
		{"GET", "/things", 200, ""}, {"POST", "/Things/", 200, ""}, {"PUT", "/things", 405, "HEAD, GET, POST"}, {"OPTIONS", "/things", 204, "HEAD, GET, POST"},
		{"GET", "/things/1", 200, ""}, {"HEAD", "/things/9007199254740991", 200, ""}, {"PUT", "/things/1", 200, ""}, {"DELETE", "/things/1/", 200, ""},
		{"POST", "/things/1", 405, "HEAD, GET, PUT, DELETE"}, {"TRACE", "/things/1", 501, "HEAD, GET, PUT, DELETE"},
		{"GET", "/things/0", 404, ""}, {"GET", "/things/01", 404, ""}, {"PUT", "/things/x", 404, ""}, {"GET", "/things/9007199254740992", 404, ""}, {"OPTIONS", "/things/-1", 404, ""}, {"GET", "/things/%31", 404, ""}, {"GET", "/things/1abc", 404, ""},
		{"GET", "/events", 405, "POST"}, {"HEAD", "/events", 405, "POST"}, {"POST", "/events", 200, ""}, {"POST", "/nope", 404, ""},
	} {
		r := request(t, c.method, c.target)
		got := rt.respond(r)
		if allow := strings.Join(got.allow, "|"); got.status != c.status || allow != c.allow {
			t.Errorf("%s %s = %d, Allow %q, want %d, %q", c.method, c.target, got.status, allow, c.status, c.allow)
		}
		if got.status == 200 && strings.HasPrefix(c.target, "/things/") && len(c.target) > 8 && (r.Pattern != "/things/{thingId}" || PathValue(r, "thingId") == "") {
			t.Errorf("%s: the pattern is %s", c.target, r.Pattern)
		}
	}
	if !rt.Has("/things/{thingId}") || rt.Has("/things/{other}") {
		t.Error("Has")
	}
	for patterns, want := range map[string]string{
		"/a/{#id} /a/mine": `"/a/{id}" and "/a/mine" can match the same path`,
		"/a/{#id} /a/{id}": `"/a/{id}" and "/a/{id}" can match the same path`,
		"/a /A":            `"/a" and "/A" can match the same path`,
		"a":                `"a" is not a path`,
	} {
		_, err := newRouter(func(rt *Router) error {
			for i, pattern := range strings.Fields(patterns) {
				rt.Write([]string{"POST", "PUT"}[i], pattern, 1, func(*http.Request) *Response { return NoContent })
			}
			return nil
		})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", patterns, err, want)
		}
	}
}

// A body goes to the handler up to the route's limit. More is refused with a problem document.
func TestBodies(t *testing.T) {
	p := start(t, nil, writing)
	for _, c := range []struct {
		method, path string
		size         int
		chunked      bool
		status       int
		body         string
	}{
		{"POST", "/things", 0, false, 200, "0"},
		{"POST", "/things", 100 << 10, false, 200, "102400"},
		{"POST", "/things", 100 << 10, true, 200, "102400"},
		{"POST", "/things", 100<<10 + 1, false, 413, "more than 102400 bytes"},
		{"POST", "/things", 100<<10 + 1, true, 413, "more than 102400 bytes"},
		{"PUT", "/things/1", 10, false, 200, "10"},
		{"PUT", "/things/1", 11, false, 413, `{"type":"about:blank","title":"Request Entity Too Large","status":413,"detail":"The body has more than 10 bytes."}`},
		{"PUT", "/things", 11, false, 405, "Method Not Allowed"},
		{"DELETE", "/things/1", 11, false, 200, "0"},
		{"DELETE", "/things/1", 64<<10 + 1, false, 413, "Content Too Large"},
		{"GET", "/things/1", 10, false, 200, "0"},
	} {
		conn := dial(t, p)
		conn.SetDeadline(time.Now().Add(20 * time.Second))
		body := io.Reader(strings.NewReader(strings.Repeat("x", c.size)))
		if c.chunked {
			body = io.MultiReader(body)
		}
		r, err := http.NewRequest(c.method, "http://test"+c.path, body)
		if err != nil {
			t.Fatal(err)
		}
		go r.Write(conn) // the service may not read all of it
		response, err := http.ReadResponse(bufio.NewReader(conn), r)
		if err != nil {
			t.Fatal(c, err)
		}
		text, err := io.ReadAll(response.Body)
		if response.StatusCode != c.status || !strings.Contains(string(text), c.body) || err != nil || response.Close != (c.status == 413) {
			t.Errorf("%v: %v %s %v", c, response, text, err)
		}
	}
}

// All bodies and all large answers together are bounded.
func TestBounds(t *testing.T) {
	large := make([]byte, largeAnswer+1)
	app := &application{log: newLogger(io.Discard, slog.LevelInfo, "test"), router: mustRouter(t, writing, func(rt *Router) error {
		rt.Get("/large", func(*http.Request) *Response { return Encoded(200, large, "").With("ETag", "1") })
		rt.Get("/file", func(*http.Request) *Response { return Encoded(200, large, "") })
		return nil
	})}
	ask := func(method, path string, body string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		app.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
		return w
	}
	for range 2 { // what is taken is given back
		app.bodies.Store(maxBodies - 10)
		if w := ask("POST", "/things", "0123456789"); w.Code != 200 || w.Body.String() != "10" {
			t.Error(w)
		}
		if w := ask("POST", "/things", "0123456789a"); w.Code != 503 || w.Header().Get("Retry-After") != "2" || w.Header().Get("Connection") != "close" {
			t.Error(w)
		}
		if n := app.bodies.Load(); n != maxBodies-10 {
			t.Errorf("%d bytes are held", n-maxBodies+10)
		}
		app.answers.Store(maxAnswers - largeAnswer - 1)
		if w := ask("GET", "/large", ""); w.Code != 200 || w.Body.Len() != len(large) {
			t.Error(w.Code)
		}
		app.answers.Add(1)
		if w := ask("GET", "/large", ""); w.Code != 503 || w.Header().Get("Retry-After") != "2" {
			t.Error(w.Code)
		}
		if w := ask("GET", "/file", ""); w.Code != 200 {
			t.Error(w.Code)
		}
		if n := app.answers.Load(); n != maxAnswers-largeAnswer {
			t.Errorf("%d bytes are held", n)
		}
	}
}

// buffered notes the sizes of its buffers.
type buffered struct {
	net.Conn
	sizes []int
}

func (c *buffered) SetReadBuffer(n int) error   { c.sizes = append(c.sizes, n); return nil }
func (c *buffered) SetWriteBuffer(n int) error  { c.sizes = append(c.sizes, n); return nil }
func (c *buffered) Read(p []byte) (int, error)  { return len(p), nil }
func (c *buffered) Write(p []byte) (int, error) { return len(p), nil }

type one struct {
	net.Listener
	conn net.Conn
}

func (l one) Accept() (net.Conn, error) { return l.conn, nil }

// A connection has large buffers while a large body is on its way.
func TestBuffers(t *testing.T) {
	b := &buffered{}
	cs := &connections{Listener: one{conn: b}, max: 1, log: slog.New(slog.DiscardHandler)}
	conn, err := cs.Accept()
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		cs.changed(conn, http.StateActive)
		conn.Read(make([]byte, receiveBuffer))
		conn.Write(make([]byte, sendBuffer))
		cs.changed(conn, http.StateIdle)
		cs.changed(conn, http.StateActive)
		conn.Read(make([]byte, receiveBuffer))
		conn.Read(make([]byte, 1))
		conn.Write(make([]byte, sendBuffer+1))
		cs.changed(conn, http.StateIdle)
		cs.changed(conn, http.StateActive)
		conn.Write(make([]byte, sendBuffer+1))
		cs.changed(conn, http.StateIdle)
	}
	small, large := []int{receiveBuffer, sendBuffer}, []int{largeBuffer, largeBuffer}
	if want := slices.Concat(small, large, small, large, small, large, small, large, small); !slices.Equal(b.sizes, want) {
		t.Errorf("the buffers are %v, want %v", b.sizes, want)
	}
}

// The log says why an answer is 503.
func TestCauseIsLogged(t *testing.T) {
	p := start(t, nil, func(rt *Router) error {
		rt.Get("/down", func(*http.Request) *Response { return Unavailable("Not now.", errors.New("the table is throttled")) })
		return nil
	})
	response := get(t, dial(t, p), "/down")
	if response.StatusCode != 503 || response.Header.Get("Retry-After") != "2" || response.Header.Get("Content-Type") != "application/problem+json" {
		t.Error(response)
	}
	if line := p.await(t, "request", 1)[0]; line["error"] != "the table is throttled" || line["status"] != 503.0 || line["level"] != "INFO" {
		t.Error(line)
	}
}

// Modules have the environment of the service, are checked when all are there, and are stopped at its end.
func TestModules(t *testing.T) {
	var order []string
	rt, err := newRouter(
		func(rt *Router) error {
			rt.OnComplete(func() error { order = append(order, fmt.Sprint(rt.Has("/things"))); return errors.New("no address") })
			rt.OnStop(func() error { order = append(order, "stopped"); return errors.New("hangs") })
			order = append(order, rt.Getenv("A"))
			return nil
		}, Environment(env("A=1")), writing, func(rt *Router) error { order = append(order, rt.Getenv("A")); return nil })
	if err == nil || err.Error() != "no address" || rt.stop().Error() != "hangs" || !slices.Equal(order, []string{"", "1", "true", "stopped"}) {
		t.Error(err, order)
	}
	stopped := make(chan bool, 1)
	p := start(t, nil, func(rt *Router) error {
		rt.OnStop(func() error { stopped <- true; return errors.New("hangs") })
		return nil
	})
	p.stop()
	if code := p.exited(t); code != 0 || len(stopped) != 1 || p.logged("a store could not be closed")[0]["error"] != "hangs" {
		t.Error(code, len(stopped), p.lines)
	}
}

// A command is done by all modules that have it, until one fails.
func TestModuleCommands(t *testing.T) {
	module := func(name string, err error) Module {
		return func(rt *Router) error {
			rt.Command("seed", func(_ context.Context, args []string, stdout io.Writer) error {
				if err == nil {
					fmt.Fprintln(stdout, name, args)
				}
				return err
			})
			return nil
		}
	}
	for _, c := range []struct {
		args           string
		modules        []Module
		code           int
		stdout, stderr string
	}{
		{"seed", []Module{module("a", nil), module("b", nil)}, 0, "a []\nb []\n", ""},
		{"seed x y", []Module{module("a", nil)}, 0, "a [x y]\n", ""},
		{"seed", []Module{module("a", nil), module("b", errors.New("throttled")), module("c", nil)}, 1, "a []\n", "test: throttled\n"},
		{"seed", []Module{echo}, 2, "", "test: there is nothing to seed: the records are those of the program's file, and not in a store\n"},
		{"relay", []Module{echo}, 2, "", "test: there is nothing to relay: no module publishes from a database of PostgreSQL: set its variable PUBLISHES, and TOPIC_ARN\n"},
		{"sow", []Module{module("a", nil)}, 2, "", "test: cannot understand \"sow\": must be nothing (to serve), seed, relay, consume, work, republish, rebuild, show, replay, history, forget, healthcheck, --version or --help\n"},
	} {
		var stdout, stderr strings.Builder
		if code := run(t.Context(), "test", strings.Fields(c.args), none, &stdout, &stderr, c.modules...); code != c.code || stdout.String() != c.stdout || stderr.String() != c.stderr {
			t.Errorf("%s: %d, %s, %s, want %v", c.args, code, stdout.String(), stderr.String(), c)
		}
	}
}

// A worker runs until the program is stopped, and answers the health check alone. It ends the program if it fails.
func TestWorkers(t *testing.T) {
	for name, fails := range map[string]bool{"stopped": false, "fails": true} {
		t.Run(name, func(t *testing.T) {
			started, fail := make(chan bool), make(chan bool)
			p := startCommand(t, []string{"consume"}, nil, func(rt *Router) error {
				rt.Get("/api/feed", func(*http.Request) *Response { return NoContent })
				rt.Worker("consume", func(ctx context.Context, log *slog.Logger) error {
					log.Info("consuming")
					close(started)
					select {
					case <-ctx.Done():
						return nil
					case <-fail:
						return errors.New("the queue is gone")
					}
				})
				return nil
			})
			<-started
			for path, want := range map[string]int{"/": 200, "/api/feed": 404} {
				response, err := http.Get("http://" + p.address + path)
				if err != nil {
					t.Fatal(err)
				}
				_ = response.Body.Close()
				if response.StatusCode != want {
					t.Errorf("%s: %d", path, response.StatusCode)
				}
			}
			if fails {
				close(fail)
			} else {
				p.stop()
			}
			if code := p.exited(t); code != map[bool]int{false: 0, true: 1}[fails] || len(p.logged("consuming")) != 1 {
				t.Error(code, p.lines)
			}
		})
	}
}
