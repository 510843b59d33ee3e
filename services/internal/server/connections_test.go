package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"testing"
	"time"
)

// The connection that waits the longest makes room for a new one, and the
// others stay.
func TestConnectionsAreBounded(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	log := &process{more: make(chan struct{}, 1)}
	bounded := &connections{Listener: inner, max: 3, log: slog.New(slog.NewJSONHandler(log, nil))}
	idle := make(chan struct{}, 1)
	server := &http.Server{Handler: http.NotFoundHandler(), ConnState: func(conn net.Conn, state http.ConnState) {
		bounded.changed(conn, state)
		if state == http.StateIdle {
			idle <- struct{}{}
		}
	}}
	go server.Serve(bounded)
	defer server.Close()
	p := &process{address: inner.Addr().String()}

	silent, first, second := dial(t, p), dial(t, p), dial(t, p)
	ask := func(conn net.Conn) {
		t.Helper()
		if status := get(t, conn, "/").StatusCode; status != 404 {
			t.Fatalf("answered %d", status)
		}
		<-idle // the server goes on after its answer
	}
	ask(first)
	ask(second)
	ask(first)
	closed := func(conn net.Conn) {
		t.Helper()
		conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		if n, err := conn.Read(make([]byte, 1)); n > 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("the connection is not closed: %d bytes, %v", n, err)
		}
	}
	began := time.Now()
	for _, oldest := range []net.Conn{silent, second} {
		ask(dial(t, p))
		closed(oldest)
	}
	if d := time.Since(began); d < minIdle/2 {
		t.Errorf("connections that were just used were closed within %s", d)
	}
	ask(first)
	if n := bounded.count(); n != 3 {
		t.Errorf("%d connections, want 3", n)
	}
	if lines := log.logged("too many connections: those that wait for their clients the longest are closed"); len(lines) != 1 {
		t.Errorf("logged %v, want one line", lines)
	}
}

// A deadline ends a read or a write in time, and a new one takes its place, as
// in any other connection.
func TestDeadlines(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	const timeout = 30 * time.Millisecond
	bounded := &connections{Listener: inner, max: 3, writeTimeout: timeout}
	done := make(chan struct{})
	defer close(done)
	go bounded.watch(done)
	client := dial(t, &process{address: inner.Addr().String()})
	conn, err := bounded.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()

	buffer := make([]byte, 1)
	exceeded := func(deadline, earliest time.Time) {
		t.Helper()
		if err := conn.SetReadDeadline(deadline); err != nil {
			t.Fatal(err)
		}
		n, err := conn.Read(buffer)
		if late := time.Since(earliest); n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) || late < 0 || late > 10*time.Second {
			t.Errorf("a read ended %s after its deadline with %d bytes, %v", late, n, err)
		}
	}
	soon := time.Now().Add(timeout)
	exceeded(soon, soon)
	exceeded(time.Unix(1, 0), time.Now())
	exceeded(time.Now().Add(-time.Millisecond), time.Now()) // after the connection began
	for _, later := range []time.Time{{}, time.Now().Add(time.Minute)} {
		if err := conn.SetDeadline(later); err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(client, "x")
		if n, err := conn.Read(buffer); n != 1 || err != nil {
			t.Errorf("with deadline %s: read %d bytes, %v", later, n, err)
		}
	}

	// A read that is under way is interrupted at once.
	ended := make(chan error)
	go func() {
		_, err := conn.Read(buffer)
		ended <- err
	}()
	for under := conn.(*connection); ; runtime.Gosched() {
		under.mu.Lock()
		reading := under.reading
		under.mu.Unlock()
		if reading {
			break
		}
	}
	if err := conn.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("an interrupted read ended with %v", err)
	}

	bounded.changed(conn, http.StateActive)
	for err == nil { // until nothing more fits, since the client does not read
		_, err = conn.Write(make([]byte, 64<<10))
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a write ended with %v", err)
	}
}
