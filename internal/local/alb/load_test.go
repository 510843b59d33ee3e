package alb

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cutover/internal/rules"
)

// stoppable is a service that stops as ours do: it asks for connections to be
// closed for a while, and then ends.
type stoppable struct {
	server   *http.Server
	address  string
	stopping atomic.Bool
	requests atomic.Int64
}

func newStoppable(t *testing.T, name string) *stoppable {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &stoppable{address: ln.Addr().String()}
	s.server = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.stopping.Load() {
			w.Header().Set("Connection", "close")
		}
		if r.URL.Path == "/health" {
			return
		}
		s.requests.Add(1)
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		w.Header().Set("X-Target", name)
		_, _ = w.Write(body)
	})}
	go func() { _ = s.server.Serve(ln) }()
	t.Cleanup(func() { s.server.Close() })
	return s
}

// load sends requests with keep-alive by several clients, each its own body and
// back, until it is stopped.
type load struct {
	stop  chan struct{}
	wait  sync.WaitGroup
	count atomic.Int64
	lost  atomic.Int64
}

func newLoad(t *testing.T, address string, clients int, check func(*http.Response) error) *load {
	l := &load{stop: make(chan struct{})}
	for i := range clients {
		c := client(t)
		l.wait.Go(func() {
			body := strings.Repeat(fmt.Sprintf("client %d ", i), 1+i*100)
			for n := 0; ; n++ {
				select {
				case <-l.stop:
					return
				default:
				}
				method, want := http.MethodGet, ""
				if n%2 == 1 {
					method, want = http.MethodPost, body
				}
				err := func() error {
					r, _ := http.NewRequest(method, "http://"+address+"/api/users", strings.NewReader(want))
					response, err := c.Do(r)
					if err != nil {
						return err
					}
					defer response.Body.Close()
					got, err := io.ReadAll(response.Body)
					switch {
					case err != nil:
						return err
					case response.StatusCode != 200:
						return fmt.Errorf("%s: %s", response.Status, got)
					case string(got) != want:
						return fmt.Errorf("answer has %d bytes, want %d", len(got), len(want))
					}
					return check(response)
				}()
				l.count.Add(1)
				if err != nil && l.lost.Add(1) <= 5 {
					t.Errorf("lost: %v", err)
				}
			}
		})
	}
	return l
}

// more waits for n more requests.
func (l *load) more(n int64) {
	for end := l.count.Load() + n; l.count.Load() < end; {
		time.Sleep(time.Millisecond)
	}
}

func (l *load) end(t *testing.T) {
	t.Helper()
	close(l.stop)
	l.wait.Wait()
	if lost := l.lost.Load(); lost > 0 {
		t.Errorf("%d of %d requests lost", lost, l.count.Load())
	}
}

// Tasks are replaced under load as ECS does it: the new one is healthy, the old
// one drains, and stops when that is over.
func TestReplaceUnderLoad(t *testing.T) {
	b := serve(t, template{groups: map[string]object{"A": {"HealthCheckIntervalSeconds": 5, "HealthCheckTimeoutSeconds": 2}}}.config(t))
	current := newStoppable(t, "task 0")
	b.register("A", "task 0", current.address)
	l := newLoad(t, b.address, 8, func(*http.Response) error { return nil })
	for i := range 10 {
		next := newStoppable(t, fmt.Sprintf("task %d", i+1))
		b.register("A", fmt.Sprintf("task %d", i+1), next.address)
		l.more(100)
		<-b.balancer.Deregister("S/A", fmt.Sprintf("task %d", i))
		before := current.requests.Load()
		current.stopping.Store(true)
		if err := current.server.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		l.more(100)
		if got := current.requests.Load(); got != before {
			t.Errorf("task %d got %d requests after it had drained", i, got-before)
		}
		current = next
	}
	l.end(t)
}

// Rules change under load, as in the migration: what goes to one group goes to
// the other from one request to the next.
func TestConfigureUnderLoad(t *testing.T) {
	phases := []*rules.Table{
		template{rules: []object{onPath("/api*", forwardTo("A"))}, action: weigh(0, "A", 1, "B", 0)}.config(t),
		template{rules: []object{onPath("/api/users*", weigh(0, "A", 1, "B", 1)), onPath("/api*", forwardTo("A"))}, action: weigh(0, "A", 1, "B", 0)}.config(t),
		template{rules: []object{onPath("/api/users*", forwardTo("B"))}, action: fixed("503", "", "")}.config(t),
	}
	b := serve(t, phases[0])
	b.target("A", "monolith", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = w.Write(body)
	})
	b.target("B", "users", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = w.Write(body)
	})
	var answered sync.Map
	l := newLoad(t, b.address, 8, func(r *http.Response) error {
		n, _ := answered.LoadOrStore(r.Header.Get("X-Target"), new(atomic.Int64))
		n.(*atomic.Int64).Add(1)
		return nil
	})
	for i := range 40 {
		if err := b.balancer.Configure(phases[[]int{0, 1, 2, 1}[i%4]]); err != nil {
			t.Fatal(err)
		}
		l.more(50)
	}
	l.end(t)
	for _, name := range []string{"monolith", "users"} {
		if n, ok := answered.Load(name); !ok || n.(*atomic.Int64).Load() < 100 {
			t.Errorf("%s answered %v requests", name, n)
		}
	}
	b.until("as many exchanges as requests", func() bool { return int64(len(b.exchanges)) == l.count.Load() })
	// Every exchange says who answered and by which rule.
	for i, x := range b.exchanges {
		if x.Rule == nil || x.Target == "" || x.Status != 200 || x.Err != nil || x.Start.After(x.Dispatched) || x.Dispatched.After(x.Answered) || x.Answered.After(x.Responded) || x.Responded.After(x.End) {
			t.Fatalf("exchange %d is %+v", i, x)
		}
	}
}

// The end of the migration: as soon as the rules do not lead to a group any more
// its tasks are taken away.
func TestRetireUnderLoad(t *testing.T) {
	toA, toB := template{}.config(t), template{action: forwardTo("B")}.config(t)
	b := serve(t, toA)
	services := map[string]*stoppable{"A": newStoppable(t, "monolith"), "B": newStoppable(t, "users")}
	b.register("A", "0", services["A"].address)
	l := newLoad(t, b.address, 8, func(*http.Response) error { return nil })
	for i := range 20 {
		from, to, config := "A", "B", toB
		if i%2 == 1 {
			from, to, config = to, from, toA
		}
		// The target is not checked before a rule leads to it; until then it gets
		// requests without, because it is the only one.
		if err := b.balancer.Register("S/"+to, fmt.Sprint(i+1), services[to].address); err != nil {
			t.Fatal(err)
		}
		if err := b.balancer.Configure(config); err != nil {
			t.Fatal(err)
		}
		<-b.balancer.Deregister("S/"+from, fmt.Sprint(i))
		l.more(20)
	}
	l.end(t)
}

// Configure waits for the requests that have no target yet.
func TestConfigureWaits(t *testing.T) {
	b := serve(t, template{}.config(t))
	f := b.balancer.fronts[theListener]
	old := f.decide()
	var decided atomic.Bool
	configured := make(chan bool)
	next := template{}.config(t)
	go func() {
		_ = b.balancer.Configure(next)
		configured <- decided.Load()
	}()
	for f.listener.Load() == old {
		runtime.Gosched()
	}
	if l := f.decide(); l == old {
		t.Error("a request that begins now follows the old rules")
	} else {
		l.decided()
	}
	for range 10_000 { // time enough to return, if it did not wait
		runtime.Gosched()
	}
	decided.Store(true)
	old.decided()
	if !<-configured {
		t.Error("Configure returned while a request had no target")
	}
}

// A target that stops rudely, closing idle connections while the balancer keeps
// them: whoever closed before a request is seen, and that request is not lost.
func TestClosedConnectionsAreNotUsed(t *testing.T) {
	b := serve(t, template{}.config(t))
	var mu sync.Mutex
	connections := map[net.Conn]http.ConnState{}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(hello), ConnState: func(c net.Conn, s http.ConnState) {
		mu.Lock()
		defer mu.Unlock()
		connections[c] = s
	}}
	go func() { _ = server.Serve(ln) }()
	t.Cleanup(func() { server.Close() })
	b.register("A", "one", ln.Addr().String())
	c := client(t)
	for range 50 {
		r, _ := http.NewRequest("POST", "http://"+b.address, strings.NewReader("x"))
		if response, _ := b.do(c, r); response.StatusCode != 200 {
			t.Fatal(response.Status)
		}
		// The answer may be here before the connection is idle there.
		for idle := false; !idle; {
			mu.Lock()
			for conn, state := range connections {
				if state == http.StateIdle {
					idle = true
					conn.Close()
					delete(connections, conn)
				}
			}
			mu.Unlock()
		}
	}
}

// Everything at once, for the race detector.
func TestConcurrency(t *testing.T) {
	config := template{action: weigh(100, "A", 1, "B", 1), attributes: map[string][]object{"A": {attribute("stickiness.enabled", "true")}}}.config(t)
	b := serve(t, config)
	b.target("A", "steady", hello)
	b.target("B", "steady", hello)
	stop := make(chan struct{})
	var wait sync.WaitGroup
	loop := func(f func(i int)) {
		wait.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
					f(i)
				}
			}
		})
	}
	server := newStoppable(t, "other")
	loop(func(i int) {
		id := fmt.Sprint(i % 3)
		_ = b.balancer.Register("S/A", id, server.address)
		<-b.balancer.Deregister("S/A", id)
		time.Sleep(time.Millisecond) // leave the processor to the requests
	})
	loop(func(int) {
		_ = b.balancer.Configure(config)
		b.balancer.Targets("S/A")
		time.Sleep(time.Millisecond)
	})
	c := client(t)
	var done atomic.Int64
	for range 4 {
		loop(func(int) {
			if response, _ := b.get(c, "/"); response.StatusCode != 200 {
				t.Errorf("answer is %s", response.Status)
			}
			done.Add(1)
		})
	}
	for done.Load() < 500 {
		time.Sleep(time.Millisecond)
	}
	close(stop)
	wait.Wait()
}

func TestShutdown(t *testing.T) {
	b := serve(t, template{}.config(t))
	release, arrived := make(chan struct{}), make(chan struct{})
	b.target("A", "one", func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-release
		_, _ = io.WriteString(w, "finished")
	})
	answer := make(chan string)
	go func() {
		_, body := b.get(client(t), "/")
		answer <- body
	}()
	<-arrived
	down := make(chan error)
	go func() { down <- b.balancer.Shutdown(context.Background()) }()
	close(release)
	if body := <-answer; body != "finished" {
		t.Errorf("answer is %q", body)
	}
	if err := <-down; err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", b.address); err == nil {
		t.Error("the socket is still open")
	}
	if err := b.balancer.Configure(template{}.config(t)); err != ErrClosed {
		t.Errorf("Configure after Shutdown: %v", err)
	}
	if err := b.balancer.Register("S/A", "x", "127.0.0.1:1"); err == nil || !strings.Contains(err.Error(), "target group S/A is not configured") {
		t.Errorf("Register after Shutdown: %v", err)
	}
}

// closing is a socket that says when it is closed. To dial it would not tell: its
// port may be somebody else's by then.
type closing struct {
	net.Listener
	closed chan struct{}
	once   sync.Once
}

func (c *closing) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Listener.Close()
}

// A listener that is given another socket leaves the one before.
func TestServeAnotherSocket(t *testing.T) {
	b := serve(t, template{}.config(t))
	b.target("A", "one", hello)
	served := make(chan error, 2)
	listen := func() *closing {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		c := &closing{Listener: ln, closed: make(chan struct{})}
		go func() { served <- b.balancer.Serve(theListener, c) }()
		if response, err := http.Get("http://" + ln.Addr().String()); err != nil || response.StatusCode != http.StatusOK {
			t.Errorf("the new socket answers %v (%v)", response, err)
		}
		return c
	}
	old := listen()
	listen()
	b.until("the old socket is closed", func() bool {
		select {
		case <-old.closed:
			return true
		default:
			return false
		}
	})
	if err := <-served; err != nil {
		t.Errorf("Serve of the old socket: %v", err)
	}
	if err := b.balancer.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

// A listener that is gone gives up its socket, and a group its targets.
func TestConfigureRemoves(t *testing.T) {
	b := serve(t, template{}.config(t))
	b.target("A", "one", hello)
	ln, _ := net.Listen("tcp", "127.0.0.1:0")
	defer ln.Close()
	if err := b.balancer.Serve("S/Other", ln); err == nil || !strings.Contains(err.Error(), "listener S/Other is not configured") {
		t.Errorf("an unknown listener: %v", err)
	}
	if err := b.balancer.Configure(&rules.Table{}); err != nil {
		t.Fatal(err)
	}
	b.untilState("A", "one", Unused)
	if got := b.balancer.Targets("S/A"); got != nil {
		t.Errorf("targets are %+v", got)
	}
	for {
		conn, err := net.Dial("tcp", b.address)
		if err != nil {
			break
		}
		conn.Close()
	}
	if err := b.balancer.Register("S/A", "one", "nowhere"); err == nil || !strings.Contains(err.Error(), `"one" with address "nowhere"`) {
		t.Errorf("an address without a port: %v", err)
	}
	<-b.balancer.Deregister("S/A", "one")
}

// Idle connections to targets are closed when the idle timeout is over.
func TestIdleConnectionsAreClosed(t *testing.T) {
	b := serve(t, short(template{}.config(t), 50*time.Millisecond))
	closed := make(chan struct{})
	b.raw("A", "one", func(conn net.Conn, _ *http.Request, _ *bufio.Reader) {
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		if n, err := io.Copy(io.Discard, conn); n == 0 && err == nil {
			close(closed)
		}
	})
	if response, _ := b.get(client(t), "/"); response.StatusCode != 200 {
		t.Fatal(response.Status)
	}
	<-closed
}

// What AWS allows in a pattern and in a body arrives as it was sent.
func TestLargeBodies(t *testing.T) {
	b := serve(t, template{}.config(t))
	b.target("A", "one", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = w.Write(body)
	})
	body := bytes.Repeat([]byte("0123456789abcdef"), 1<<18) // 4 MiB
	for _, length := range []int64{int64(len(body)), -1} {
		r, _ := http.NewRequest("PUT", "http://"+b.address, io.MultiReader(bytes.NewReader(body)))
		r.ContentLength = length
		if _, got := b.do(client(t), r); got != string(body) {
			t.Errorf("%d bytes come back, want %d", len(got), len(body))
		}
	}
}
