package alb

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"cutover/internal/assembly"
	"cutover/internal/model"
	"cutover/internal/rules"
)

// read makes an assembly of one template.
func read(t testing.TB, template string) *assembly.Assembly {
	t.Helper()
	a, err := readAssembly(t, template)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func readAssembly(t testing.TB, template string) (*assembly.Assembly, error) {
	t.Helper()
	dir := t.TempDir()
	manifest := `{"artifacts": {"S": {"type": "aws:cloudformation:stack", "environment": "aws://unknown-account/unknown-region", "properties": {"templateFile": "t.json"}}}}`
	for name, text := range map[string]string{"manifest.json": manifest, "t.json": template} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return assembly.Read(dir)
}

// resource is one of a template.
type resource struct {
	Type       string
	Properties map[string]any
}

type object = map[string]any

// template has a load balancer with an HTTP listener on port 80, and the target
// groups a and b, with short forms for what the tests change.
type template struct {
	loadBalancer []object // attributes
	port         int      // of the listener, 80 if 0
	secure       bool
	action       object // default action, forward to a if nil
	listener     object // more properties of the listener
	rules        []object
	groups       map[string]object // properties, by logical id
	attributes   map[string][]object
	function     bool // the target of a is a Lambda function
}

func attribute(key, value string) object { return object{"Key": key, "Value": value} }

func ref(id string) object { return object{"Ref": id} }

func forwardTo(group string) object { return object{"Type": "forward", "TargetGroupArn": ref(group)} }

func weigh(stickiness int, weights ...any) object {
	var tuples []any
	for i := 0; i < len(weights); i += 2 {
		tuples = append(tuples, object{"TargetGroupArn": ref(weights[i].(string)), "Weight": weights[i+1]})
	}
	config := object{"TargetGroups": tuples}
	if stickiness > 0 {
		config["TargetGroupStickinessConfig"] = object{"Enabled": true, "DurationSeconds": stickiness}
	}
	return object{"Type": "forward", "ForwardConfig": config}
}

func fixed(status, contentType, body string) object {
	return object{"Type": "fixed-response", "FixedResponseConfig": object{"StatusCode": status, "ContentType": contentType, "MessageBody": body}}
}

func onPath(pattern string, action object) object {
	return object{"Conditions": []any{object{"Field": "path-pattern", "Values": []any{pattern}}}, "Actions": []any{action}}
}

func (tt template) json(t testing.TB) string {
	t.Helper()
	port, protocol := tt.port, "HTTP"
	if port == 0 {
		port = 80
	}
	if tt.secure {
		port, protocol = 443, "HTTPS"
	}
	if tt.action == nil {
		tt.action = forwardTo("A")
	}
	resources := map[string]resource{
		"Lb":       {model.ELBLoadBalancer, object{"Name": "forum", "Scheme": "internal", "Type": "application", "LoadBalancerAttributes": tt.loadBalancer}},
		"Listener": {model.ELBListener, object{"LoadBalancerArn": ref("Lb"), "Port": port, "Protocol": protocol, "DefaultActions": []any{tt.action}}},
		"A":        {model.ELBTargetGroup, object{"Name": "a", "HealthCheckPath": "/health"}},
		"B":        {model.ELBTargetGroup, object{"Name": "b", "HealthCheckPath": "/health"}},
	}
	for name, value := range tt.listener {
		resources["Listener"].Properties[name] = value
	}
	if tt.function {
		resources["A"].Properties["TargetType"], resources["A"].Properties["Targets"] = "lambda", []any{object{"Id": ref("Live")}}
		resources["Function"] = resource{model.LambdaFunction, object{"FunctionName": "f"}}
		resources["Live"] = resource{model.LambdaAlias, object{"Name": "live", "FunctionName": ref("Function"), "FunctionVersion": "$LATEST"}}
	}
	for id, properties := range tt.groups {
		for name, value := range properties {
			resources[id].Properties[name] = value
		}
	}
	for id, attributes := range tt.attributes {
		resources[id].Properties["TargetGroupAttributes"] = attributes
	}
	for i, rule := range tt.rules {
		rule["ListenerArn"], rule["Priority"] = ref("Listener"), i+1
		resources[fmt.Sprintf("Rule%d", i)] = resource{"AWS::ElasticLoadBalancingV2::ListenerRule", rule}
	}
	text, err := json.Marshal(object{"Resources": resources})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (tt template) config(t testing.TB) *rules.Table {
	t.Helper()
	config, err := Read(model.Read(read(t, tt.json(t))))
	if err != nil {
		t.Fatal(err)
	}
	return config
}

const theListener = "S/Listener"

// bench is a balancer that is served on a socket, and what it has told.
type bench struct {
	t        testing.TB
	balancer *Balancer
	address  string

	mu        sync.Mutex
	exchanges []Exchange
	events    []Event
	changed   chan struct{} // closed and replaced when there is more
	log       strings.Builder
	function  func(ctx context.Context, payload []byte) ([]byte, error)
}

func (b *bench) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.log.Write(line)
}

// Invoke implements Invoker, with the function of the test.
func (b *bench) Invoke(ctx context.Context, target, group string, payload []byte) ([]byte, error) {
	b.mu.Lock()
	function := b.function
	b.mu.Unlock()
	if target != "S/Live" || group != "S/A" || function == nil {
		return nil, fmt.Errorf("%s of %s cannot be invoked", target, group)
	}
	return function(ctx, payload)
}

// functionIs sets the function of group A.
func (b *bench) functionIs(f func(ctx context.Context, payload []byte) ([]byte, error)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.function = f
}

func (b *bench) tell(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
	close(b.changed)
	b.changed = make(chan struct{})
}

// until waits for a condition on what the balancer has told.
func (b *bench) until(what string, condition func() bool) {
	b.t.Helper()
	timeout := time.After(20 * time.Second)
	for {
		b.mu.Lock()
		met, changed := condition(), b.changed
		b.mu.Unlock()
		if met {
			return
		}
		select {
		case <-changed:
		case <-timeout:
			b.t.Fatalf("%s: did not come", what)
		}
	}
}

// last is the last exchange, when there are n.
func (b *bench) last(n int) Exchange {
	b.t.Helper()
	var x Exchange
	b.until(fmt.Sprintf("exchange %d", n), func() bool {
		if len(b.exchanges) >= n {
			x = b.exchanges[n-1]
		}
		return len(b.exchanges) >= n
	})
	return x
}

func serve(t testing.TB, config *rules.Table) *bench {
	t.Helper()
	b := &bench{t: t, changed: make(chan struct{})}
	var err error
	b.balancer, err = New(Options{
		AccessLog: b,
		Functions: b,
		Events:    func(e Event) { b.tell(func() { b.events = append(b.events, e) }) },
		Exchanges: func(x Exchange) { b.tell(func() { b.exchanges = append(b.exchanges, x) }) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.balancer.Configure(config); err != nil {
		t.Fatal(err)
	}
	b.address = listen(t, b.balancer, theListener)
	return b
}

// listen serves a listener until the test ends.
func listen(t testing.TB, balancer *Balancer, listener string) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- balancer.Serve(listener, ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = balancer.Shutdown(ctx)
		if err := <-served; err != nil && !errors.Is(err, ErrClosed) {
			t.Errorf("Serve: %v", err)
		}
	})
	// A socket takes connections before it is served, but redirects to it are known
	// only then.
	for !balancer.serves(listener) {
		runtime.Gosched()
	}
	return ln.Addr().String()
}

func (b *Balancer) serves(listener string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.fronts[listener] != nil
}

// target starts a backend and registers it as healthy. The handler does not see
// health checks.
func (b *bench) target(group, id string, handler http.HandlerFunc) *httptest.Server {
	b.t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/health" {
			return
		}
		w.Header().Set("X-Target", id)
		handler(w, r)
	}))
	b.t.Cleanup(server.Close)
	b.register(group, id, server.Listener.Addr().String())
	return server
}

func (b *bench) register(group, id, address string) {
	b.t.Helper()
	if err := b.balancer.Register("S/"+group, id, address); err != nil {
		b.t.Fatal(err)
	}
	b.untilState(group, id, Healthy)
}

// untilState waits for a target's change to a state.
func (b *bench) untilState(group, id string, state State) {
	b.t.Helper()
	b.until(id+" "+string(state), func() bool {
		for _, e := range b.events {
			if e.Group == "S/"+group && e.Target == id && e.To == state {
				return true
			}
		}
		return false
	})
}

// raw is a target that answers what a function writes, on a listener of its own;
// health checks pass.
func (b *bench) raw(group, id string, conversation func(conn net.Conn, r *http.Request, reader *bufio.Reader)) string {
	b.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.t.Fatal(err)
	}
	serveConns(b.t, ln, func(conn net.Conn) {
		reader := bufio.NewReader(conn)
		r, err := http.ReadRequest(reader)
		if err != nil {
			return
		}
		if r.URL.Path == "/health" {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			return
		}
		conversation(conn, r, reader)
	})
	b.register(group, id, ln.Addr().String())
	return ln.Addr().String()
}

// serveConns gives a function every connection of a listener, and closes the connection afterwards. The
// listener is closed at the end of the test.
func serveConns(t testing.TB, ln net.Listener, serve func(net.Conn)) {
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				serve(conn)
			}()
		}
	}()
}

// client has connections of its own and does not follow redirects.
func client(t testing.TB) *http.Client {
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 100}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// get asks for a path and returns the answer with its body.
func (b *bench) get(c *http.Client, path string, header ...string) (*http.Response, string) {
	b.t.Helper()
	r, err := http.NewRequest("GET", "http://"+b.address+path, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return b.do(c, r)
}

func (b *bench) do(c *http.Client, r *http.Request) (*http.Response, string) {
	b.t.Helper()
	response, err := c.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return response, string(body)
}

// talk sends bytes as they are and returns the connection's answer.
func (b *bench) talk(text string) (*http.Response, string) {
	b.t.Helper()
	conn, err := net.Dial("tcp", b.address)
	if err != nil {
		b.t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, text); err != nil {
		b.t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		b.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return response, string(body)
}

// streams are of a target of group A, which sends two bytes for each tick. At /events there are server-sent events, at /socket a
// WebSocket.
type streams struct {
	t    *testing.T
	b    *bench
	tick map[string]chan struct{} // by path
}

func (b *bench) streams(t *testing.T) *streams {
	s := &streams{t, b, map[string]chan struct{}{"/events": make(chan struct{}), "/socket": make(chan struct{})}}
	b.raw("A", "one", func(conn net.Conn, r *http.Request, reader *bufio.Reader) {
		head, part := "200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n", "2\r\n:\n\r\n"
		if r.URL.Path == "/socket" {
			head, part = "101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", "ab"
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 "+head)
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			_, _ = reader.ReadByte()
		}()
		for {
			select {
			case <-s.tick[r.URL.Path]:
				_, _ = io.WriteString(conn, part)
			case <-gone:
				return
			}
		}
	})
	return s
}

// open opens a stream, and returns what comes behind its head.
func (s *streams) open(path string) io.Reader {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.b.address)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	ask := "GET " + path + " HTTP/1.1\r\nHost: x\r\n"
	if path == "/socket" {
		ask += "Connection: Upgrade\r\nUpgrade: websocket\r\n"
	}
	_, _ = io.WriteString(conn, ask+"\r\n")
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if response.StatusCode == http.StatusSwitchingProtocols {
		return reader
	}
	return response.Body
}
