package services_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime/pprof"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cutover/internal/nightly"
	"cutover/services/internal/server"
)

// attackWithStorm attacks the service at the address with more than 6n clients at once, and
// returns when all their connections are closed. It needs up to 7n file descriptors. The
// clients
//   - are idle, before or after a request;
//   - are slow;
//   - do not send the rest of the largest header or of a body;
//   - ask and do not read the answers;
//   - send all of [attacks] again and again, and some hang up at once.
//
// A slow client that is not turned away is an error.
func attackWithStorm(address string, n int) error {
	s := &storm{address: address}
	// The shortest lines cost a server the most.
	var lines strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&lines, "%c%c%c:\r\n", 'a'+i%26, 'a'+i/26%26, 'a'+i/26/26)
	}
	fields := lines.String()
	hundred := fields[:100*6]
	// The most lines within the service's limits: some come with a complete request.
	half := get("/") + "GET / HTTP/1.1\r\n" + fields[:150*6] + "X: " + strings.Repeat("x", 14<<10) + "\r\n" + fields[150*6:250*6]

	// These stay until the others are done, or until the service closes them.
	for range n {
		s.hold("")
		s.hold(get("/"))
		s.hold(half)
		s.hold("GET / HTTP/1.1\r\n" + fields)
		s.hold(post("Content-Length: 1000\r\n"+hundred, "{"))
	}
	for range n / 5 {
		s.attack(func(conn net.Conn) error { return drip(conn, get("/", hundred)) })
	}
	for range n / 50 {
		s.attack(func(conn net.Conn) error { // asks, and never reads
			conn.SetDeadline(time.Now().Add(500 * time.Millisecond))
			for batch := strings.Repeat(get("/api/users"), 200); ; {
				if _, err := io.WriteString(conn, batch); err != nil {
					return nil
				}
			}
		})
	}
	requests := attacks()
	for i := range n {
		attack := requests[i%len(requests)]
		s.attack(func(conn net.Conn) error {
			conn.SetDeadline(time.Now().Add(patience))
			go io.WriteString(conn, attack.Raw) // ends with the connection at the latest
			if i%2 == 0 {
				conn.(*net.TCPConn).SetLinger(0) // hangs up, and so that the service notices
				return nil
			}
			bufio.NewReader(conn).ReadString('\n')
			return nil
		})
	}
	s.attackers.Wait()
	for _, conn := range s.held {
		conn.Close()
	}
	return errors.Join(s.errs...)
}

type storm struct {
	address   string
	attackers sync.WaitGroup
	held      []net.Conn

	mu   sync.Mutex
	errs []error
}

// hold opens a connection, sends and leaves it.
func (s *storm) hold(raw string) {
	conn, err := net.DialTimeout("tcp", s.address, patience)
	if err != nil {
		s.failed(err)
		return
	}
	io.WriteString(conn, raw) // an error: it was closed to make room
	s.held = append(s.held, conn)
}

// attack runs an attacker on a connection of its own.
func (s *storm) attack(attacker func(net.Conn) error) {
	conn, err := net.DialTimeout("tcp", s.address, patience)
	if err != nil {
		s.failed(err)
		return
	}
	s.attackers.Go(func() {
		defer conn.Close()
		if err := attacker(conn); err != nil {
			s.failed(err)
		}
	})
}

func (s *storm) failed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.errs = append(s.errs, err)
}

// drip sends raw byte by byte and never its last byte, until the service closes the connection.
func drip(conn net.Conn, raw string) error {
	closed := make(chan error, 1)
	go func() {
		conn.SetReadDeadline(time.Now().Add(patience))
		_, err := io.Copy(io.Discard, conn)
		closed <- err
	}()
	for tick := time.Tick(100 * time.Millisecond); ; {
		select {
		case err := <-closed:
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return fmt.Errorf("a slow client was not turned away within %s", patience)
			}
			return nil
		case <-tick:
			if len(raw) > 1 {
				io.WriteString(conn, raw[:1])
				raw = raw[1:]
			}
		}
	}
}

// After a storm no goroutine is left. Panics in the middle of it are one
// answer and one line each.
func TestStormLeavesNoGoroutine(t *testing.T) {
	nightly.Test(t, "it is a storm")
	const clients = 100
	before := pprof.Lookup("goroutine").Count()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	s, exited := &service{}, make(chan error, 1) // s is the log only
	go func() {
		exited <- server.Serve(ctx, listener, s, func(rt *server.Router) error {
			rt.Get("/boom", func(*http.Request) *server.Response { panic("out of beans") })
			return nil
		})
	}()
	address := listener.Addr().String()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	if a, err := (&client{conn, bufio.NewReader(conn)}).do("GET", "/"); err != nil || a.status != 200 {
		t.Fatalf("the service answers %v, %v", a, err)
	}
	serving := pprof.Lookup("goroutine").Count()

	var panics atomic.Int64
	done, stopped := make(chan struct{}), make(chan error)
	go func() {
		stopped <- func() error {
			defer conn.Close()
			pause := time.Tick(5 * time.Millisecond) // hundreds of panics do
			for reader := bufio.NewReader(conn); ; {
				fmt.Fprint(conn, "GET /boom HTTP/1.1\r\nHost: test\r\n\r\n")
				response, err := http.ReadResponse(reader, nil)
				if err != nil {
					return err
				}
				if body, err := io.ReadAll(response.Body); err != nil || response.StatusCode != 500 || string(body) != "Internal Server Error" {
					return fmt.Errorf("a panic was answered %d %q, %v", response.StatusCode, body, err)
				}
				panics.Add(1)
				select {
				case <-done:
					return nil
				case <-pause:
				}
			}
		}()
	}()
	if err := attackWithStorm(address, clients); err != nil {
		t.Error(err)
	}
	close(done)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	settle(t, serving)

	stop()
	if err := <-exited; err != nil {
		t.Error(err)
	}
	settle(t, before)

	logged := int64(0)
	for line := range bytes.Lines(s.log.Bytes()) {
		var fields map[string]any
		err := json.Unmarshal(line, &fields)
		stack, _ := fields["stack"].(string)
		switch {
		case err != nil:
			t.Errorf("logged %q: %v", line, err)
		case fields["panic"] == "out of beans" && fields["status"] == 500.0 && strings.Contains(stack, "storm_test.go"):
			logged++
		case fields["msg"] == "request" && fields["level"] != "INFO":
			t.Errorf("logged %v", fields)
		}
	}
	if logged == 0 || logged != panics.Load() {
		t.Errorf("%d lines for %d panics", logged, panics.Load())
	}
}

// settle waits until there are no more than n goroutines.
func settle(t *testing.T, n int) {
	t.Helper()
	profile := pprof.Lookup("goroutine")
	for deadline := time.Now().Add(30 * time.Second); profile.Count() > n; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			var stacks strings.Builder
			profile.WriteTo(&stacks, 1)
			t.Fatalf("%d goroutines are left, want %d:\n%s", profile.Count(), n, &stacks)
		}
	}
}
