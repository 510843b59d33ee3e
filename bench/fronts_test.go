package main

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// The API and the distributions of the assembly answer as their sections ask them.
func TestServeFront(t *testing.T) {
	t.Chdir("..")
	dir := t.TempDir()
	if err := errors.Join(os.CopyFS(dir, os.DirFS(frontDir)), os.CopyFS(filepath.Join(dir, "page"), os.DirFS("web"))); err != nil {
		t.Fatal(err)
	}
	var served atomic.Int64
	service := users(t, 200, &served)
	addresses, err := freeAddresses(3)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	for i, id := range []string{theAPI, beforeBalancer, beforeAPI} {
		next := []string{service, service, addresses[0]}[i]
		go func() { ended <- serveFront(ctx, dir, id, portOf(addresses[i]), portOf(next)) }()
	}
	asked := func(at, route string, all bool) {
		t.Helper()
		c := newClient(at, route)
		var sent counted
		sent.RoundTripper, c.http.Transport = cmp.Or(c.http.Transport, http.DefaultTransport), &sent
		defer c.http.CloseIdleConnections()
		if !strings.Contains(route, "%") {
			if err := c.awaitAnswer(ctx); err != nil {
				t.Fatal(err)
			}
		}
		before, begun := served.Load(), sent.n.Load()
		_, err := c.openLoop(ctx, 100, 100*time.Millisecond)
		reached, n, want := served.Load()-before, sent.n.Load()-begun, int64(0)
		if all {
			want = n
		}
		if err != nil || n == 0 || reached != want {
			t.Errorf("%s: %d of %d requests reach the service, want %d, %v", route, reached, n, want, err)
		}
	}
	asked(addresses[0], "/live"+route, true)
	asked(addresses[1], route, true)
	asked(addresses[2], route, true)
	for _, c := range caches {
		asked(map[string]string{"apigateway": addresses[0], "cloudfront": addresses[2]}[c.front], c.route, c.name == "api-miss")
	}
	cancel()
	for range addresses {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// counted counts the requests that are sent. A busy machine sends fewer.
type counted struct {
	http.RoundTripper
	n atomic.Int64
}

func (c *counted) RoundTrip(r *http.Request) (*http.Response, error) {
	c.n.Add(1)
	return c.RoundTripper.RoundTrip(r)
}
