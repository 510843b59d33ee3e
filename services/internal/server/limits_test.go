package server

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cutover/internal/golden"
	"cutover/internal/model"
)

// pipes is a listener in the process. Its connections have no buffer.
type pipes struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (l *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipes) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (l *pipes) dial(raw string) net.Conn {
	client, server := net.Pipe()
	l.conns <- server
	if _, err := io.WriteString(client, raw); err != nil {
		panic(err)
	}
	return client
}

// inBubble runs a test with a service in a bubble of its own, where waiting takes no time and is
// exact. It returns how long the service then took to stop.
func inBubble(t *testing.T, test func(t *testing.T, l *pipes)) (stop time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
		ctx, cancel := context.WithCancel(t.Context())
		router, ended := mustRouter(t, echo), make(chan error)
		go func() {
			ended <- serve(ctx, l, router, newLogger(io.Discard, slog.LevelInfo, "test"), nil, defaultStopTimeout)
		}()
		defer func() { // also after a test that has failed
			began := time.Now()
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			stop = time.Since(began)
		}()
		test(t, l)
	})
	return stop
}

// until returns how long the service leaves a connection open. What it sends must begin with the
// answer.
func until(t *testing.T, what string, conn net.Conn, answer string) time.Duration {
	t.Helper()
	began := time.Now()
	got, err := io.ReadAll(conn)
	if !strings.HasPrefix(string(got), answer) || err != nil {
		t.Errorf("%s: answered %q, %v, want %q", what, got, err, answer)
	}
	return time.Since(began)
}

// How long a service waits for its clients must fit to the deployment: to the load balancers, which
// keep connections to it, and to the time that requests have when a task is stopped.
func TestTimeouts(t *testing.T) {
	const request, half = "GET / HTTP/1.1\r\nHost: test\r\n\r\n", "GET / HTTP/1.1\r\nHost: te"
	var idle, head, nextHead, body, write time.Duration
	inBubble(t, func(t *testing.T, l *pipes) {
		conn := l.dial(request)
		reader := bufio.NewReader(conn)
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, response.Body); err != nil {
			t.Fatal(err)
		}
		idle = until(t, "idle", conn, "")
		head = until(t, "half a head", l.dial(half), "")
		nextHead = until(t, "half a head after a request", l.dial(request+half), "HTTP/1.1 200 ")
		body = until(t, "half a body", l.dial("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\n{"), "HTTP/1.1 408 ")
		// The service takes one byte more, to notice a client that hangs up.
		began := time.Now()
		if n, err := l.dial(request).Write([]byte("xx")); err == nil {
			t.Errorf("a client that does not read could send %d bytes", n)
		}
		write = time.Since(began)
	})
	stop := inBubble(t, func(t *testing.T, l *pipes) { l.dial("") })
	if d := inBubble(t, func(*testing.T, *pipes) {}); d > 0 {
		t.Errorf("a stop without connections takes %s", d)
	}

	for what, d := range map[string]struct{ got, want time.Duration }{
		"a head": {head, 5 * time.Second}, "the next head": {nextHead, 5 * time.Second}, "a body": {body, 10 * time.Second}, "a client that does not read": {write, 10 * time.Second},
		"one more request before a stop": {stop, 5 * time.Second},
	} {
		if d.got < d.want || d.got > d.want+time.Second {
			t.Errorf("the service waits for %s for %s, want %s", what, d.got, d.want)
		}
	}
	for _, name := range golden.Names() {
		m := model.Read(golden.Read(t, "../../..", name))
		if len(m.LoadBalancers) == 0 || len(m.TargetGroups) == 0 || len(m.TaskDefinitions) == 0 {
			t.Fatalf("%s has nothing to compare with", name)
		}
		for _, lb := range m.LoadBalancers {
			if idle <= lb.IdleTimeout {
				t.Errorf("%s: the service closes an idle connection after %s, before the load balancer does after %s: a request could meet the end, and be answered 502", name, idle, lb.IdleTimeout)
			}
		}
		longest := head + max(body-head, write)
		for _, group := range m.TargetGroups {
			// Both limits take effect up to a tenth of a second late.
			if longest > group.DeregistrationDelay+time.Second {
				t.Errorf("%s: a request may take %s, and has %s when its task is stopped", name, longest, group.DeregistrationDelay)
			}
		}
		for _, definition := range m.TaskDefinitions {
			for _, container := range definition.Containers {
				given, err := readConfig(func(name string) string {
					i := slices.IndexFunc(container.Environment, func(v model.Variable) bool { return v.Name == name })
					if i < 0 {
						return ""
					}
					return container.Environment[i].Value
				})
				if err != nil || given.stopTimeout >= container.StopTimeout || longest > given.stopTimeout+time.Second {
					t.Errorf("%s: %s has %s to stop (%v): it must be more than a request takes, %s, and less than until the task is killed, %s",
						name, container.Name, given.stopTimeout, err, longest, container.StopTimeout)
				}
			}
		}
	}
}

// There is room for 2,048 connections. One more closes the one that waits the longest.
func TestMostConnections(t *testing.T) {
	inBubble(t, func(t *testing.T, l *pipes) {
		const most = 2048
		ended := make(chan int, most+1)
		connect := func(i int) {
			conn := l.dial("")
			go func() {
				_, _ = io.ReadAll(conn)
				ended <- i
			}()
			time.Sleep(time.Millisecond)
		}
		for i := range most {
			connect(i)
		}
		synctest.Wait()
		if n := len(ended); n > 0 {
			t.Errorf("%d of %d connections were closed", n, most)
		}
		connect(most)
		synctest.Wait()
		if n := len(ended); n != 1 {
			t.Fatalf("with %d connections, %d were closed, want 1", most+1, n)
		}
		if i := <-ended; i != 0 {
			t.Errorf("connection %d was closed, want the first", i)
		}
	})
}

// Half of the memory that a task reserves is for the heap, unless somebody says otherwise.
func TestMemoryLimit(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	limitMemory(env("GOMEMLIMIT=1GiB"))
	if got := debug.SetMemoryLimit(-1); got != before {
		t.Errorf("with a limit in the environment, the limit is %d", got)
	}
	limitMemory(none)
	if got := debug.SetMemoryLimit(-1); got != 128<<20 {
		t.Errorf("the limit is %d MiB, want 128", got>>20)
	}
}
