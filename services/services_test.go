package services_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	metricsv1 "go.opentelemetry.io/proto/otlp/metrics/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"cutover/assets/data"
	"cutover/services/internal/server"
	posts "cutover/services/posts/routes"
	threads "cutover/services/threads/routes"
	users "cutover/services/users/routes"
)

// bin is the directory of the compiled services. It stays, so that only what has changed is linked.
var bin = filepath.Join("..", "build", "test", "services")

func TestMain(m *testing.M) {
	build := exec.Command("go", "build", "-buildvcs=false", "-o", bin+string(filepath.Separator), "./api", "./users", "./threads", "./posts")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "the services cannot be compiled: %v\n%s", err, out)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// process is a running service.
type process struct {
	address string
	command *exec.Cmd
	stdout  *bufio.Scanner

	lines map[string]int // that scan has read, by their message
}

func start(t *testing.T, name string, environment ...string) *process {
	t.Helper()
	return startCommand(t, exec.Command(filepath.Join(bin, name)), environment...)
}

func startCommand(t *testing.T, command *exec.Cmd, environment ...string) *process {
	t.Helper()
	command.Env = append(environment, "PORT=0")
	command.Stderr = os.Stderr
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { command.Process.Kill() })
	p := &process{command: command, stdout: bufio.NewScanner(stdout), lines: map[string]int{}}
	_, port, err := net.SplitHostPort(p.await(t, "listening")["address"].(string))
	if err != nil {
		t.Fatal(err)
	}
	p.address = "127.0.0.1:" + port
	return p
}

// scan reads the next line of the log.
func (p *process) scan() bool {
	ok := p.stdout.Scan()
	if _, after, found := strings.Cut(p.stdout.Text(), `"msg":"`); ok && found {
		message, _, _ := strings.Cut(after, `"`)
		p.lines[message]++
	}
	return ok
}

// await reads the log up to the first line with this message.
func (p *process) await(t *testing.T, message string) map[string]any {
	t.Helper()
	for p.scan() {
		var line map[string]any
		if err := json.Unmarshal(p.stdout.Bytes(), &line); err != nil {
			t.Fatalf("not a line of JSON: %s", p.stdout.Bytes())
		}
		if line["msg"] == message {
			return line
		}
	}
	t.Fatalf("the service ended without the message %q: %v", message, p.stdout.Err())
	return nil
}

// exit waits for the end of the service and returns its exit code, -1 if it
// was killed.
func (p *process) exit() int {
	for p.scan() { // Wait would close the pipe under the reader
	}
	p.command.Wait()
	return p.command.ProcessState.ExitCode()
}

func (p *process) terminate(t *testing.T) {
	t.Helper()
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
}

// client is one connection, without retries: they would hide a lost request.
type client struct {
	conn   net.Conn
	reader *bufio.Reader
}

func dial(t *testing.T, p *process) *client {
	t.Helper()
	conn, err := net.Dial("tcp", p.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &client{conn, bufio.NewReader(conn)}
}

type answer struct {
	status int
	header http.Header // without Date
	body   string
	close  bool // the connection
}

func (c *client) answer(method string) (answer, error) {
	response, err := http.ReadResponse(c.reader, &http.Request{Method: method})
	if err != nil {
		return answer{}, err
	}
	body, err := io.ReadAll(response.Body)
	response.Header.Del("Date")
	return answer{response.StatusCode, response.Header, string(body), response.Close}, err
}

// do sends the request as it is written: method, path and nothing encoded.
func (c *client) do(method, path string) (answer, error) {
	if _, err := fmt.Fprintf(c.conn, "%s %s HTTP/1.1\r\nHost: forum\r\n\r\n", method, path); err != nil {
		return answer{}, err
	}
	return c.answer(method)
}

const (
	jsonType = "application/json; charset=utf-8"
	textType = "text/plain; charset=utf-8"
)

// table returns the records of a table as the API must write them: as in the file, without the
// white space.
func table(t *testing.T, name string) []string {
	t.Helper()
	var tables map[string][]json.RawMessage
	if err := json.Unmarshal([]byte(data.API), &tables); err != nil {
		t.Fatal(err)
	}
	var records []string
	for _, raw := range tables[name] {
		var compact bytes.Buffer
		if err := json.Compact(&compact, raw); err != nil {
			t.Fatal(err)
		}
		records = append(records, compact.String())
	}
	return records
}

func list(records ...string) string { return "[" + strings.Join(records, ",") + "]" }

// expectation is an answer of the original API.
type expectation struct {
	method, path string
	status       int
	contentType  string
	allow        string
	body         string // of HEAD: what GET answers
}

// contract is the original's behaviour, by the service with the path; "" is for every service.
func contract(t *testing.T) map[string][]expectation {
	user, thread, post := table(t, "users"), table(t, "threads"), table(t, "posts")
	ok := func(path, body string) expectation {
		return expectation{"GET", path, 200, jsonType, "", body}
	}
	none := func(path string) expectation { return expectation{"GET", path, 204, "", "", ""} }
	missing := func(method, path string) expectation {
		return expectation{method, path, 404, textType, "", "Not Found"}
	}
	refused := func(method, path string) expectation {
		return expectation{method, path, 405, textType, "HEAD, GET", "Method Not Allowed"}
	}
	options := func(path string) expectation { return expectation{"OPTIONS", path, 204, "", "HEAD, GET", ""} }
	ready := func(path, body string) expectation { return expectation{"GET", path, 200, textType, "", body} }

	return map[string][]expectation{
		"": {
			ready("/", "Ready to receive requests"),
			ready("/?a=b&c", "Ready to receive requests"),
			ready("/api", "API ready to receive requests"),
			ready("/api/", "API ready to receive requests"),
			ready("/API/?", "API ready to receive requests"),
			{"HEAD", "/", 200, textType, "", "Ready to receive requests"},
			{"HEAD", "/api/", 200, textType, "", "API ready to receive requests"},
			missing("GET", "//"), missing("GET", "/api//"), missing("GET", "//api"), missing("GET", "/nope"), missing("GET", "/api/nope"),
			missing("HEAD", "/nope"), missing("POST", "/nope"), missing("OPTIONS", "/nope"), missing("OPTIONS", "*"), missing("GET", "/index.html"),
			refused("POST", "/"), refused("DELETE", "/api"), refused("PUT", "/api/"), refused("PATCH", "/"),
			options("/"), options("/api"),
			{"TRACE", "/", 501, textType, "HEAD, GET", "Not Implemented"},
			{"PROPFIND", "/nope", 501, textType, "", "Not Implemented"},
		},
		"users": {
			ok("/api/users", list(user...)), ok("/api/users/", list(user...)), ok("/API/USERS", list(user...)), ok("/api/users?page=2", list(user...)),
			ok("/api/users/1", user[0]), ok("/api/users/2", user[1]), ok("/api/users/3", user[2]), ok("/api/users/4", user[3]),
			ok("/api/users/1/", user[0]), ok("/Api/Users/1", user[0]), ok("/api/users/1?x=%zz", user[0]),
			ok("/api/users/1abc", user[0]), ok("/api/users/01", user[0]), ok("/api/users/0x1", user[0]), ok("/api/users/0X4", user[3]), ok("/api/users/1.9", user[0]),
			ok("/api/users/+1", user[0]), ok("/api/users/%31", user[0]), ok("/api/users/1%2Fx", user[0]), ok("/api/users/%201", user[0]), ok("/api/users/1%ff", user[0]),
			ok("/api/users/1;v=2", user[0]), ok("/api/users/%C2%A02", user[1]),
			none("/api/users/5"), none("/api/users/0"), none("/api/users/-1"), none("/api/users/abc"), none("/api/users/%2F"), none("/api/users/%C3%A9"),
			none("/api/users/0x"), none("/api/users/99999999999999999999"), none("/api/users/.."), none("/api/users/%31%ff"),
			missing("GET", "/api/usersfoo"), missing("GET", "/api/users//"), missing("GET", "/api//users"), missing("GET", "/api/users/1/posts"), missing("GET", "/api/users//1"),
			missing("GET", "/api/%75sers"), missing("GET", "/users"), missing("POST", "/api/users/1/2"),
			{"HEAD", "/api/users", 200, jsonType, "", list(user...)}, {"HEAD", "/api/users/3", 200, jsonType, "", user[2]}, {"HEAD", "/api/users/9", 204, "", "", ""},
			refused("POST", "/api/users"), refused("PUT", "/api/users/1"), refused("PATCH", "/api/users/9"), refused("DELETE", "/API/users/1/"),
			options("/api/users"), options("/api/users/9"),
			{"TRACE", "/api/users", 501, textType, "HEAD, GET", "Not Implemented"},
			{"LINK", "/api/users/1", 501, textType, "HEAD, GET", "Not Implemented"},
		},
		"threads": {
			ok("/api/threads", list(thread...)), ok("/api/threads/", list(thread...)), ok("/api/Threads", list(thread...)),
			ok("/api/threads/1", thread[0]), ok("/api/threads/2", thread[1]), ok("/api/threads/3", thread[2]), ok("/api/threads/0x3/?q", thread[2]),
			none("/api/threads/4"), none("/api/threads/first"),
			missing("GET", "/api/threads/1/1"), missing("GET", "/api/threadsafe"), missing("GET", "/api/thread"),
			{"HEAD", "/api/threads/1", 200, jsonType, "", thread[0]},
			refused("POST", "/api/threads"), refused("DELETE", "/api/threads/1"), options("/api/threads"),
		},
		"posts": {
			ok("/api/posts", list(post...)), ok("/api/posts/", list(post...)), ok("/API/Posts?all", list(post...)),
			ok("/api/posts/in-thread/1", list(post[0], post[1])), ok("/api/posts/in-thread/2", list(post[2], post[3], post[4])), ok("/api/posts/in-thread/3", list(post[5])),
			ok("/api/posts/by-user/1", list(post[4], post[5])), ok("/api/posts/by-user/2", list(post[1], post[3])), ok("/api/posts/by-user/3", list(post[2])), ok("/api/posts/by-user/4", list(post[0])),
			ok("/api/posts/In-Thread/3/", list(post[5])), ok("/api/posts/by-user/%33x", list(post[2])),
			ok("/api/posts/in-thread/9", "[]"), ok("/api/posts/by-user/9", "[]"), ok("/api/posts/in-thread/abc", "[]"), ok("/api/posts/by-user/-1", "[]"),
			missing("GET", "/api/posts/1"), missing("GET", "/api/posts/in-thread"), missing("GET", "/api/posts/in-thread/"), missing("GET", "/api/posts/by-user//1"), missing("GET", "/api/posts/by-thread/1"),
			{"HEAD", "/api/posts/by-user/9", 200, jsonType, "", "[]"},
			refused("POST", "/api/posts"), refused("PUT", "/api/posts/in-thread/1"), options("/api/posts/by-user/1"),
		},
	}
}

// The monolith and the microservice with the path get every request of the contract. Both must
// answer like the original, and alike down to the last header.
func TestContractAndParity(t *testing.T) {
	rules := contract(t)
	microservices := []string{"users", "threads", "posts"}
	clients := map[string]*client{"api": dial(t, start(t, "api"))}
	for _, name := range microservices {
		clients[name] = dial(t, start(t, name))
	}

	ask := func(service string, e expectation) (answer, bool) {
		a, err := clients[service].do(e.method, e.path)
		if err != nil {
			t.Fatalf("%s: %s %s: %v", service, e.method, e.path, err)
		}
		want := http.Header{}
		set := func(key, value string) {
			if value != "" {
				want.Set(key, value)
			}
		}
		set("Content-Type", e.contentType)
		set("Allow", e.allow)
		if e.contentType != "" {
			set("Content-Length", fmt.Sprint(len(e.body)))
		}
		body := e.body
		if e.method == "HEAD" {
			body = ""
		}
		if a.status != e.status || a.body != body || a.close || !maps.EqualFunc(a.header, want, slices.Equal) {
			t.Errorf("%s: %s %s:\n got %d %v %s\nwant %d %v %s", service, e.method, e.path, a.status, a.header, a.body, e.status, want, body)
			return a, false
		}
		return a, true
	}
	for owner, expectations := range rules {
		owners := []string{owner}
		if owner == "" {
			owners = microservices
		}
		for _, e := range expectations {
			monolith, ok := ask("api", e)
			for _, service := range owners {
				microservice, ok2 := ask(service, e)
				if ok && ok2 && (monolith.status != microservice.status || monolith.body != microservice.body || !maps.EqualFunc(monolith.header, microservice.header, slices.Equal)) {
					t.Errorf("%s %s: the monolith answers %v, %s answers %v", e.method, e.path, monolith, service, microservice)
				}
			}
		}
	}

	// A microservice knows its own part of the API only.
	for path, owner := range map[string]string{"/api/users/1": "users", "/api/threads/1": "threads", "/api/posts": "posts"} {
		for _, service := range microservices {
			if a, err := clients[service].do("GET", path); err != nil || (a.status == 200) != (service == owner) || a.status != 200 && a.status != 404 {
				t.Errorf("%s: GET %s: %v, %v", service, path, a, err)
			}
		}
	}
}

// net/http itself refuses these paths with 400: the one known difference to the original. Monolith
// and microservice agree.
func TestMalformedPaths(t *testing.T) {
	api, owner := start(t, "api"), start(t, "users")
	for _, path := range []string{"/api/users/%zz", "/api/users/%", "?x", "api/users"} {
		a, err := dial(t, api).do("GET", path)
		b, err2 := dial(t, owner).do("GET", path)
		if err != nil || err2 != nil || a.status != 400 || b.status != 400 || a.body != b.body {
			t.Errorf("GET %s: the monolith answers %v, %v, users answers %v, %v; want 400", path, a, err, b, err2)
		}
	}
}

func TestVersionAndHealthcheckOfEachService(t *testing.T) {
	for _, name := range []string{"api", "users", "threads", "posts"} {
		out, err := exec.Command(filepath.Join(bin, name), "--version").CombinedOutput()
		if err != nil || !strings.HasPrefix(string(out), name+" cutover/services/"+name+" ") {
			t.Errorf("%s --version: %v, %s", name, err, out)
		}
		_, port, _ := net.SplitHostPort(start(t, name).address)
		check := exec.Command(filepath.Join(bin, name), "healthcheck")
		check.Env = []string{"PORT=" + port}
		if out, err := check.CombinedOutput(); err != nil || string(out) != name+": healthy\n" {
			t.Errorf("%s healthcheck: %v, %s", name, err, out)
		}
	}
}

// A target is being deregistered. Clients send one request after the other, each on its connection
// until it is asked to close the connection. Every answer has its line in the log.
func TestStopLosesNoRequest(t *testing.T) {
	const clients = 16
	p := start(t, "users")
	idle := dial(t, p)
	if _, err := idle.do("GET", "/"); err != nil {
		t.Fatal(err)
	}
	half := dial(t, p)
	fmt.Fprint(half.conn, "GET /api/users/1 HTTP/1.1\r\nHost: ")

	var group sync.WaitGroup
	var answers atomic.Int64
	busy := make(chan struct{}, clients)
	for range clients {
		c := dial(t, p)
		group.Go(func() {
			for i := 0; ; i++ {
				a, err := c.do("GET", "/api/users/1")
				if err != nil || a.status != 200 {
					t.Errorf("request %d was lost: %v, %v", i, a, err)
					busy <- struct{}{}
					return
				}
				answers.Add(1)
				if i == 50 {
					busy <- struct{}{}
				}
				if a.close {
					return
				}
			}
		})
	}
	for range clients {
		// Under load the log must be read, or the service waits for its reader.
		for len(busy) == 0 && p.scan() {
		}
		<-busy
	}
	began := time.Now()
	p.terminate(t)
	p.await(t, "stopping")

	// While it drains, the service still takes what is there and what comes.
	exited := make(chan int, 1)
	go func() { exited <- p.exit() }()
	for name, c := range map[string]*client{"new": dial(t, p), "idle": idle} {
		if a, err := c.do("GET", "/api/users/2"); err != nil || a.status != 200 || !a.close {
			t.Errorf("a request on a connection that was %s: %v, %v; want an answer that closes it", name, a, err)
		}
	}
	fmt.Fprint(half.conn, "forum\r\n\r\n")
	if a, err := half.answer("GET"); err != nil || a.status != 200 || !a.close {
		t.Errorf("a request that was half sent: %v, %v; want an answer that closes the connection", a, err)
	}
	group.Wait()
	if code := <-exited; code != 0 {
		t.Errorf("exit code %d", code)
	}
	// And those of idle, new and half.
	if want := int(answers.Load()) + 4; p.lines["request"] != want || p.lines["stopped"] != 1 {
		t.Errorf("logged %v for %d answers", p.lines, want)
	}
	if d := time.Since(began); d > 25*time.Second {
		t.Errorf("the stop took %s, more than STOP_TIMEOUT", d)
	}
}

// A stop ends well, with idle connections and without.
func TestStopWhenIdle(t *testing.T) {
	p := start(t, "threads")
	p.terminate(t)
	if code := p.exit(); code != 0 {
		t.Errorf("without connections: exit code %d", code)
	}

	p = start(t, "threads", "STOP_TIMEOUT=1s")
	dial(t, p) // never sends anything
	if _, err := dial(t, p).do("GET", "/"); err != nil {
		t.Fatal(err)
	}
	p.terminate(t)
	if code := p.exit(); code != 0 {
		t.Errorf("with idle connections: exit code %d", code)
	}
}

// A stop waits for an idle connection. A second signal ends the service at once, whatever it
// waits for.
func TestSecondSignal(t *testing.T) {
	for _, signal := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		p := start(t, "threads")
		dial(t, p) // never sends anything
		// Connections are accepted in turn, so the service has the silent one when it answers this.
		if _, err := dial(t, p).do("GET", "/"); err != nil {
			t.Fatal(err)
		}
		ended := make(chan int, 1)
		if err := p.command.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		p.await(t, "stopping")
		go func() { ended <- p.exit() }()
		// The first of these may come before the service is ready for it.
		for again := time.Tick(10 * time.Millisecond); len(ended) == 0; <-again {
			_ = p.command.Process.Signal(signal) // an error: it has ended
		}
		if code := <-ended; code != -1 || p.lines["stopped"] > 0 {
			t.Errorf("%s: exit code %d, %v, want an end by the signal", signal, code, p.lines)
		}
	}
}

// Each microservice holds its own data and no other's.
func TestBinariesHoldTheirOwnDataOnly(t *testing.T) {
	texts := map[string][]string{}
	for name, field := range map[string]string{"users": "bio", "threads": "title", "posts": "text"} {
		for _, record := range table(t, name) {
			var fields map[string]json.RawMessage
			if err := json.Unmarshal([]byte(record), &fields); err != nil {
				t.Fatal(err)
			}
			texts[name] = append(texts[name], string(fields[field]))
		}
	}
	for _, service := range []string{"api", "users", "threads", "posts"} {
		binary, err := os.ReadFile(filepath.Join(bin, service))
		if err != nil {
			t.Fatal(err)
		}
		for owner, list := range texts {
			for _, text := range list {
				want := 0
				if service == owner || service == "api" {
					want = 1
				}
				if got := bytes.Count(binary, []byte(text)); got != want {
					t.Errorf("the binary of %s holds %s's %s %d times, want %d", service, owner, text, got, want)
				}
			}
		}
	}
}

// The services know nothing of the deployment that runs them.
func TestImports(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", "./api", "./users", "./threads", "./posts").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	imports := strings.Fields(string(out))
	if len(imports) < 10 {
		t.Errorf("only %q: does the test see the services?", imports)
	}
	// What telemetry needs. Of OpenTelemetry's exporters, gRPC and the generated
	// types nothing may be among it: the reason is in internal/otlp.
	telemetry := []string{"go.opentelemetry.io/otel", "go.opentelemetry.io/auto/sdk", "go.opentelemetry.io/contrib/instrumentation/runtime",
		"github.com/cespare/xxhash/v2", "github.com/go-logr/logr", "github.com/go-logr/stdr", "github.com/google/uuid", "golang.org/x/sys/unix"}
	// What the clients of the databases need.
	stores := []string{"github.com/aws/aws-sdk-go-v2", "github.com/aws/smithy-go", "github.com/jackc", "golang.org/x/text", "golang.org/x/sync", "golang.org/x/crypto/x509roots"}
	within := func(path string) func(string) bool {
		return func(prefix string) bool { return path == prefix || strings.HasPrefix(path, prefix+"/") }
	}
	for _, path := range imports {
		if path != "cutover/services" && path != "cutover/assets/data" && !strings.HasPrefix(path, "cutover/services/") &&
			(!slices.ContainsFunc(slices.Concat(telemetry, stores), within(path)) || within(path)("go.opentelemetry.io/otel/exporters")) {
			t.Errorf("the services import %s: they may import the standard library, each other, their data and what telemetry and the stores need", path)
		}
	}
}

// A service sends its traces and metrics to the collector in its environment, the last ones at its
// stop. Without a collector it sends nothing.
func TestTelemetry(t *testing.T) {
	var mu sync.Mutex
	var spans []*tracev1.Span
	metrics := map[string]bool{}
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		body, err := io.ReadAll(r.Body)
		var sentSpans tracev1.TracesData
		var sentMetrics metricsv1.MetricsData
		if r.URL.Path == "/v1/traces" {
			err = errors.Join(err, proto.Unmarshal(body, &sentSpans))
		} else {
			err = errors.Join(err, proto.Unmarshal(body, &sentMetrics))
		}
		if err != nil {
			t.Errorf("%s: %v", r.URL, err)
		}
		for _, sent := range sentSpans.ResourceSpans {
			for _, scope := range sent.ScopeSpans {
				spans = append(spans, scope.Spans...)
			}
		}
		for _, sent := range sentMetrics.ResourceMetrics {
			for _, scope := range sent.ScopeMetrics {
				for _, metric := range scope.Metrics {
					metrics[metric.Name] = true
				}
			}
		}
	}))
	defer collector.Close()

	p := start(t, "users", "OTEL_EXPORTER_OTLP_ENDPOINT="+collector.URL)
	c := dial(t, p)
	if a, err := c.do("GET", "/api/users/1"); err != nil || a.status != 200 {
		t.Fatal(a, err)
	}
	c.conn.Close()
	p.terminate(t)
	if code := p.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	func() {
		mu.Lock()
		defer mu.Unlock()
		if len(spans) != 1 || spans[0].Name != "GET /api/users/{userId}" || !metrics["http.server.request.duration"] || !metrics["http.server.active_requests"] || !metrics["go.memory.used"] {
			t.Errorf("sent %v and %v", spans, metrics)
		}
	}()

	// With a sampler of the environment, which OpenTelemetry's SDK reads.
	p = start(t, "users", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="+collector.URL+"/v1/traces", "OTEL_TRACES_SAMPLER=always_off")
	c = dial(t, p)
	if a, err := c.do("GET", "/api/users/1"); err != nil || a.status != 200 {
		t.Error(a, err)
	}
	c.conn.Close()
	p.terminate(t)
	code := p.exit()
	func() {
		mu.Lock()
		defer mu.Unlock()
		if code != 0 || len(spans) != 1 {
			t.Errorf("without samples: exit code %d, %d spans", code, len(spans))
		}
	}()

	command := exec.Command(filepath.Join(bin, "users"))
	command.Env = []string{"OTEL_EXPORTER_OTLP_ENDPOINT=collector:4318"}
	out, err := command.CombinedOutput()
	if command.ProcessState.ExitCode() != 2 || !strings.Contains(string(out), "OTEL_EXPORTER_OTLP_ENDPOINT is not the address of a collector") {
		t.Errorf("with an address that is none: %v, %s", err, out)
	}
}

// A service does not start with data that it cannot serve.
func TestModulesRefuseBadData(t *testing.T) {
	for _, c := range []struct {
		of             func(string) server.Module
		document, want string
	}{
		{users.Of, data.Threads, `no table "users"`},
		{users.Of, `{"users":[{"id":0,"username":"a","name":"A","bio":""}]}`, "users[0] must have an id above 0"},
		{users.Of, `{"users":[{"id":1,"username":"a","name":"A","bio":""},{"id":1,"username":"b","name":"B","bio":""}]}`, "users[1] must have an id above 0 that no other has (it has 1)"},
		{users.Of, `{"users":[{"id":1,"name":"A","bio":""}]}`, "a username"},
		{users.Of, `{"users":[{"id":1,"username":"a","nmae":"A"}]}`, `unknown field "nmae"`},
		{threads.Of, data.Posts, `no table "threads"`},
		{threads.Of, `{"threads":[{"id":1,"title":"T"}]}`, "threads[0] must have"},
		{threads.Of, `{"threads":[{"id":1,"title":"T","createdBy":1},{"id":1,"title":"U","createdBy":1}]}`, "threads[1] must have"},
		{posts.Of, data.Users, `no table "posts"`},
		{posts.Of, `{"posts":[{"thread":1,"text":"t"}]}`, "posts[0] must have"},
		{posts.Of, `{"posts":[{"thread":1,"text":"","user":1}]}`, "posts[0] must have"},
	} {
		if err := c.of(c.document)(new(server.Router)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %s", c.document, err, c.want)
		}
	}
}
