package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// users answers as the service, with a status.
func users(t *testing.T, status int, served *atomic.Int64) (address string) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/": // a health check
			w.WriteHeader(status)
			return
		case route:
			served.Add(1)
		default:
			t.Errorf("%s was asked for", r.URL)
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte("{}"))
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func TestClient(t *testing.T) {
	var served atomic.Int64
	c := newClient(users(t, 200, &served), route)
	if perSecond, err := c.closedLoop(t.Context(), 100); err != nil || perSecond <= 0 || served.Load() != 100 {
		t.Errorf("closed loop: %d served, %f a second, %v", served.Load(), perSecond, err)
	}
	if took, err := c.openLoop(t.Context(), 1000, 50*time.Millisecond); err != nil || took.P50 <= 0 || took.P99 < took.P50 {
		t.Errorf("open loop: %+v, %v", took, err)
	}
	if served.Load() <= 100 { // a busy machine sends less in the time of the open loop
		t.Errorf("open loop: %d served", served.Load()-100)
	}
	c.http.CloseIdleConnections()

	broken := newClient(users(t, 502, &served), route)
	defer broken.http.CloseIdleConnections()
	if _, err := broken.closedLoop(t.Context(), 100); err == nil || !strings.Contains(err.Error(), "502") {
		t.Errorf("closed loop of errors: %v", err)
	}
	if _, err := broken.openLoop(t.Context(), 1000, 50*time.Millisecond); err == nil || !strings.Contains(err.Error(), "502") {
		t.Errorf("open loop of errors: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := broken.closedLoop(ctx, 100); err == nil {
		t.Error("a closed loop goes on when it is canceled")
	}
}

func TestServeBalancer(t *testing.T) {
	t.Chdir("..")
	dir := t.TempDir()
	if err := writeRouting(dir); err != nil {
		t.Fatal(err)
	}
	var served atomic.Int64
	target := users(t, 200, &served)
	addresses, err := freeAddresses(1)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- serveBalancer(ctx, dir, addresses[0], target) }()
	c := newClient(addresses[0], route)
	if err := c.awaitAnswer(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := c.closedLoop(ctx, 100); err != nil {
		t.Error(err)
	}
	c.http.CloseIdleConnections()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	log, err := os.ReadFile(filepath.Join(dir, "access.log"))
	if lines := strings.Count(string(log), `/api/users/1 HTTP/1.1" "bench"`); err != nil || lines != 101 { // one of awaitAnswer
		t.Errorf("the access log has %d lines, want 101, %v\n%s", lines, err, log)
	}
}

func TestStartServer(t *testing.T) {
	b := &bench{ctx: t.Context(), work: t.TempDir()}
	s, err := b.start(&subject{name: "one", command: func(string) []string { return []string{"go", "no-such-command"} }}, "127.0.0.1:1")
	if err == nil || !strings.Contains(err.Error(), "one: the process has ended") {
		t.Errorf("a server that ends: %v", err)
	}
	if err := s.stop(); err == nil || !strings.Contains(err.Error(), "unknown command") {
		t.Errorf("what it had to say: %v", err)
	}
}
