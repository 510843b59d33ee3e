package server

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// none is an empty environment.
func none(string) string { return "" }

func env(variables ...string) func(string) string {
	return func(name string) string {
		for _, v := range variables {
			if value, ok := strings.CutPrefix(v, name+"="); ok {
				return value
			}
		}
		return ""
	}
}

// process is a service that runs in this process.
type process struct {
	address string
	stop    context.CancelFunc
	exit    chan int

	mu    sync.Mutex
	lines []map[string]any
	more  chan struct{} // has an element after each new line
}

// Write takes what the service prints.
func (p *process) Write(raw []byte) (int, error) {
	for line := range bytes.Lines(raw) {
		var fields map[string]any
		if err := json.Unmarshal(line, &fields); err != nil {
			return 0, fmt.Errorf("not a line of JSON: %q: %w", line, err)
		}
		p.mu.Lock()
		p.lines = append(p.lines, fields)
		p.mu.Unlock()
	}
	select {
	case p.more <- struct{}{}:
	default:
	}
	return len(raw), nil
}

func (p *process) logged(message string) []map[string]any {
	p.mu.Lock()
	defer p.mu.Unlock()
	var found []map[string]any
	for _, line := range p.lines {
		if line["msg"] == message {
			found = append(found, line)
		}
	}
	return found
}

// await returns the lines with this message as soon as there are n of them.
func (p *process) await(t *testing.T, message string, n int) []map[string]any {
	t.Helper()
	timeout := time.After(20 * time.Second)
	for {
		if lines := p.logged(message); len(lines) >= n {
			return lines
		}
		select {
		case <-p.more:
		case <-timeout:
			t.Fatalf("%d lines with the message %q, waited for %d", len(p.logged(message)), message, n)
		}
	}
}

func start(t *testing.T, environment []string, modules ...Module) *process {
	t.Helper()
	return startCommand(t, nil, environment, modules...)
}

// startCommand starts a service with arguments.
func startCommand(t *testing.T, args, environment []string, modules ...Module) *process {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	p := &process{stop: stop, exit: make(chan int, 1), more: make(chan struct{}, 1)}
	go func() {
		p.exit <- run(ctx, "test", args, env(append(environment, "PORT=0")...), p, io.Discard, modules...)
	}()
	t.Cleanup(stop)
	_, port, err := net.SplitHostPort(p.await(t, "listening", 1)[0]["address"].(string))
	if err != nil {
		t.Fatal(err)
	}
	p.address = "127.0.0.1:" + port
	return p
}

// exited returns the exit code of a service that is stopping.
func (p *process) exited(t *testing.T) int {
	t.Helper()
	select {
	case code := <-p.exit:
		return code
	case <-time.After(30 * time.Second):
		t.Fatal("the service does not stop")
		return 0
	}
}

func dial(t *testing.T, p *process) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", p.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// get sends a request on the connection and returns the answer.
func get(t *testing.T, conn net.Conn, path string) *http.Response {
	t.Helper()
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: test\r\nX-Amzn-Trace-Id: Root=1-2-3\r\n\r\n", path)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("GET %s: %v", path, err)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("GET %s: %v", path, err)
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	return response
}

// With HOST, a service listens on that address alone.
func TestHost(t *testing.T) {
	p := start(t, []string{"HOST=127.0.0.1"})
	if address := p.logged("listening")[0]["address"]; address != p.address {
		t.Errorf("it listens on %v", address)
	}
	_, port, _ := net.SplitHostPort(p.address)
	for host, want := range map[string]int{"127.0.0.1": 0, "": 0, "127.0.0.2": 1} {
		if code := run(t.Context(), "test", []string{"healthcheck"}, env("HOST="+host, "PORT="+port), io.Discard, io.Discard); code != want {
			t.Errorf("the health check of HOST=%s ends with %d", host, code)
		}
	}
}

func TestCommands(t *testing.T) {
	failing := func(*Router) error { return errors.New("no data") }
	busy, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	_, port, _ := net.SplitHostPort(busy.Addr().String())

	for _, c := range []struct {
		args           string
		env            []string
		modules        []Module
		code           int
		stdout, stderr []string
	}{
		{args: "--version", stdout: []string{"test ", "go1."}},
		{args: "--help", stdout: []string{"test healthcheck", "test --version", "PORT", "STOP_TIMEOUT", "LOG_LEVEL"}},
		{args: "-h", stdout: []string{"Usage:"}},
		{args: "--port 80", code: 2, stderr: []string{`test: cannot understand "--port 80"`, "healthcheck, --version or --help"}},
		{args: "healthcheck now", code: 2, stderr: []string{`"healthcheck now"`}},
		{args: "healthcheck", env: []string{"PORT=0"}, code: 1, stderr: []string{"PORT is 0"}},
		{args: "healthcheck", env: []string{"PORT=x"}, code: 1, stderr: []string{`PORT="x"`}},
		{
			env: []string{"PORT=65536", "STOP_TIMEOUT=soon", "LOG_LEVEL=loud", "ANSWERED_BY=a\nb"}, code: 2,
			stderr: []string{
				"test: PORT=\"65536\": must be a number from 0 to 65535, 0 for any free port\n",
				"test: STOP_TIMEOUT=\"soon\": must be a duration from 1s to 120s, such as 25s\n",
				"test: LOG_LEVEL=\"loud\": must be debug, info, warn or error\n",
				"test: ANSWERED_BY=\"a\\nb\": must be a name of letters, digits and hyphens\n",
			},
		},
		{env: []string{"HOST=localhost"}, code: 2, stderr: []string{`HOST="localhost": must be an IP address, such as 127.0.0.1`}},
		{env: []string{"PORT=-1"}, code: 2, stderr: []string{`PORT="-1"`}},
		{env: []string{"STOP_TIMEOUT=25"}, code: 2, stderr: []string{`STOP_TIMEOUT="25"`}},
		{env: []string{"STOP_TIMEOUT=999ms"}, code: 2, stderr: []string{`STOP_TIMEOUT="999ms"`}},
		{env: []string{"STOP_TIMEOUT=121s"}, code: 2, stderr: []string{`STOP_TIMEOUT="121s"`}},
		{modules: []Module{failing, failing}, code: 1, stderr: []string{"test: no data\ntest: no data\n"}},
		{env: []string{"PORT=" + port}, code: 1, stderr: []string{"cannot listen on port " + port, "choose another with PORT"}},
	} {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), "test", strings.Fields(c.args), env(c.env...), &stdout, &stderr, c.modules...)
		if code != c.code {
			t.Errorf("test %s with %q: exit code %d, want %d", c.args, c.env, code, c.code)
		}
		for output, wants := range map[*bytes.Buffer][]string{&stdout: c.stdout, &stderr: c.stderr} {
			if len(wants) == 0 && output.Len() > 0 {
				t.Errorf("test %s with %q: unexpected output %q", c.args, c.env, output)
			}
			for _, want := range wants {
				if !strings.Contains(output.String(), want) {
					t.Errorf("test %s with %q: output %q, want it to contain %q", c.args, c.env, output, want)
				}
			}
		}
	}
}

func TestDefaults(t *testing.T) {
	got, err := readConfig(none)
	if want := (config{port: 3000, stopTimeout: 25 * time.Second, logLevel: slog.LevelInfo}); err != nil || got != want {
		t.Errorf("without environment: %+v, %v, want %+v", got, err, want)
	}
	got, err = readConfig(env("HOST=::1", "PORT=80", "STOP_TIMEOUT=1m", "LOG_LEVEL=Warn"))
	if want := (config{host: "::1", port: 80, stopTimeout: time.Minute, logLevel: slog.LevelWarn}); err != nil || got != want {
		t.Errorf("with environment: %+v, %v, want %+v", got, err, want)
	}
}

// Each answer names the service if the environment has a name, and an error of the router does, too.
func TestAnsweredBy(t *testing.T) {
	for _, environment := range [][]string{nil, {"ANSWERED_BY=users"}} {
		router := mustRouter(t, Environment(env(environment...)))
		app := &application{router: router, log: newLogger(io.Discard, slog.LevelInfo, "test")}
		for _, path := range []string{"/", "/unknown"} {
			recorder := httptest.NewRecorder()
			app.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, path, nil))
			want := strings.TrimPrefix(strings.Join(environment, ""), "ANSWERED_BY=")
			if got, sent := recorder.Header().Get("X-Answered-By"), recorder.Header()["X-Answered-By"] != nil; got != want || sent != (want != "") {
				t.Errorf("%q: %s is answered by %q, want %q", environment, path, got, want)
			}
		}
	}
}

func TestHealthcheck(t *testing.T) {
	p := start(t, nil)
	_, port, _ := net.SplitHostPort(p.address)
	var stdout, stderr bytes.Buffer
	check := func() int {
		stdout.Reset()
		stderr.Reset()
		return run(t.Context(), "test", []string{"healthcheck"}, env("PORT="+port), &stdout, &stderr)
	}
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	if code := check(); code != 0 || stdout.String() != "test: healthy\n" {
		t.Errorf("running: exit code %d, %q, %q", code, &stdout, &stderr)
	}
	p.stop()
	p.exited(t)
	if code := check(); code != 1 || !strings.HasPrefix(stderr.String(), "test: unhealthy: ") {
		t.Errorf("stopped: exit code %d, %q, %q", code, &stdout, &stderr)
	}

	sick, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer sick.Close()
	go http.Serve(sick, http.NotFoundHandler())
	_, port, _ = net.SplitHostPort(sick.Addr().String())
	if code := check(); code != 1 || !strings.Contains(stderr.String(), "status 404, want 200") {
		t.Errorf("sick: exit code %d, %q, %q", code, &stdout, &stderr)
	}
}

func TestAccessLog(t *testing.T) {
	p := start(t, nil, echo)
	conn := dial(t, p)
	get(t, conn, "/api/users/%C3%A9?secret=1")
	get(t, conn, "/")
	fmt.Fprint(conn, "HEAD / HTTP/1.1\r\nHost: test\r\nX-Amzn-Trace-Id: Root=1-2-3\r\n\r\n")
	lines := p.await(t, "request", 3)
	for i, want := range []map[string]any{
		{"level": "INFO", "service": "test", "method": "GET", "path": "/api/users/%C3%A9", "status": 204.0, "bytes": 0.0, "traceId": "Root=1-2-3"},
		{"level": "INFO", "service": "test", "method": "GET", "path": "/", "status": 200.0, "bytes": 25.0, "traceId": "Root=1-2-3"},
		{"level": "INFO", "service": "test", "method": "HEAD", "path": "/", "status": 200.0, "bytes": 0.0, "traceId": "Root=1-2-3"},
	} {
		for key, value := range want {
			if lines[i][key] != value {
				t.Errorf("line %d: %s is %v, want %v", i, key, lines[i][key], value)
			}
		}
		if d, ok := lines[i]["durationMs"].(float64); !ok || d < 0 || d > 10_000 {
			t.Errorf("line %d: durationMs is %v", i, lines[i]["durationMs"])
		}
	}
}

func TestPanicIsOneAnswerAndOneLine(t *testing.T) {
	for name, handler := range map[string]Handler{
		"out of beans":                     func(*http.Request) *Response { panic("out of beans") },
		"the handler returned no response": func(*http.Request) *Response { return nil },
		http.ErrAbortHandler.Error():       func(*http.Request) *Response { panic(http.ErrAbortHandler) },
	} {
		p := start(t, nil, func(rt *Router) error { rt.Get("/boom", handler); return nil })
		conn := dial(t, p)
		response := get(t, conn, "/boom")
		body, _ := io.ReadAll(response.Body)
		if response.StatusCode != 500 || string(body) != "Internal Server Error" || response.ContentLength != 21 {
			t.Errorf("%s: %v %q", name, response, body)
		}
		if got := get(t, conn, "/"); got.StatusCode != 200 { // on the same connection
			t.Errorf("%s: the next request was answered %d", name, got.StatusCode)
		}
		conn.Close()
		p.stop()
		p.exited(t)
		lines := p.logged("request")
		if len(lines) != 2 {
			t.Fatalf("%s: %d lines for 2 requests: %v", name, len(lines), lines)
		}
		if l := lines[0]; l["level"] != "ERROR" || l["status"] != 500.0 || l["panic"] != name || !strings.Contains(fmt.Sprint(l["stack"]), "goroutine") {
			t.Errorf("%s: logged %v", name, l)
		}
		if all := len(p.lines); all != 5 { // listening, 2 requests, stopping, stopped
			t.Errorf("%s: %d lines in all: %v", name, all, p.lines)
		}
	}
}

func TestTooLargeHeader(t *testing.T) {
	p := start(t, nil)
	conn := dial(t, p)
	go fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: test\r\nX-Long: %s\r\n\r\n", strings.Repeat("x", 2*maxHeaderBytes))
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || response.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("%v, %v, want status 431", response, err)
	}
}

// A body that does not arrive in time is answered and logged, although by then
// the time to write is over as well.
func TestSlowBody(t *testing.T) {
	log := &process{more: make(chan struct{}, 1)}
	server := httptest.NewUnstartedServer(&application{router: mustRouter(t), log: newLogger(log, slog.LevelInfo, "test")})
	server.Config.ReadTimeout, server.Config.WriteTimeout = 100*time.Millisecond, 100*time.Millisecond
	server.Start()
	defer server.Close()
	conn := dial(t, &process{address: server.Listener.Addr().String()})
	fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\n{")
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || response.StatusCode != http.StatusRequestTimeout || !response.Close {
		t.Fatalf("%v, %v, want status 408 and the end of the connection", response, err)
	}
	if lines := log.logged("request"); len(lines) != 1 || lines[0]["status"] != 408.0 || !strings.Contains(fmt.Sprint(lines[0]["error"]), "timeout") {
		t.Errorf("logged %v", lines)
	}
}

// What a client chose is logged without what a terminal could act upon, and
// cut off.
func TestLoggable(t *testing.T) {
	for s, want := range map[string]string{
		"": "", "/api/users/%C3%A9?": "/api/users/%C3%A9?",
		"a\tb\r\n\x1b[31m\x7f": "a?b???[31m?", "\u0085\u009b\u2028é": "????", "\xff\"": "?\"",
		strings.Repeat("x", 1024): strings.Repeat("x", 1024),
		strings.Repeat("x", 1025): strings.Repeat("x", 1024) + "...",
	} {
		if got := loggable(s); got != want {
			t.Errorf("loggable(%q) = %q, want %q", s, got, want)
		}
	}
}

// Every client sends one request after the other on its connection, until it
// is asked to close it: what a target sees that is being deregistered.
func TestStopUnderLoad(t *testing.T) {
	const clients = 16
	p := start(t, nil, echo)
	var group sync.WaitGroup
	errs := make(chan error, clients)
	busy := make(chan struct{}, clients)
	for range clients {
		group.Go(func() {
			conn, err := net.Dial("tcp", p.address)
			if err != nil {
				errs <- err
				return
			}
			defer conn.Close()
			reader := bufio.NewReader(conn)
			for i := 0; ; i++ {
				fmt.Fprint(conn, "GET /api/users/1 HTTP/1.1\r\nHost: test\r\n\r\n")
				response, err := http.ReadResponse(reader, nil)
				if err == nil {
					_, err = io.Copy(io.Discard, response.Body)
				}
				if err != nil || response.StatusCode != 200 {
					errs <- fmt.Errorf("request %d: %v, %w", i, response, err)
					return
				}
				if i == 50 {
					busy <- struct{}{}
				}
				if response.Close {
					return
				}
			}
		})
	}
	for range clients {
		select {
		case <-busy:
		case err := <-errs:
			t.Fatal(err)
		}
	}
	p.stop()
	if code := p.exited(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	group.Wait()
	close(errs)
	for err := range errs {
		t.Errorf("a request was lost: %v", err)
	}
}

// A request that takes longer than the stop may take is cut off, and the exit
// code tells it.
func TestStopDoesNotWaitForever(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	p := start(t, []string{"STOP_TIMEOUT=1s"}, func(rt *Router) error {
		rt.Get("/slow", func(*http.Request) *Response { close(entered); <-release; return NoContent })
		return nil
	})
	fmt.Fprint(dial(t, p), "GET /slow HTTP/1.1\r\nHost: test\r\n\r\n")
	<-entered
	began := time.Now()
	p.stop()
	if code := p.exited(t); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	if d := time.Since(began); d > 10*time.Second {
		t.Errorf("the stop took %s", d)
	}
	lines := p.await(t, "failed", 1)
	if got := fmt.Sprint(lines[0]["error"]); !strings.Contains(got, "1 requests were cut off") || !strings.Contains(got, "STOP_TIMEOUT=1s") {
		t.Errorf("logged %q", got)
	}
}
