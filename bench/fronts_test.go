package main

import (
	"context"
	"errors"
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
	asked := func(at, route string, reach int64) {
		t.Helper()
		c := newClient(at, route)
		defer c.http.CloseIdleConnections()
		if !strings.Contains(route, "%") {
			if err := c.awaitAnswer(ctx); err != nil {
				t.Fatal(err)
			}
		}
		before := served.Load()
		if _, err := c.openLoop(ctx, 100, 100*time.Millisecond); err != nil || served.Load()-before != reach {
			t.Errorf("%s: %d of 10 requests reach the service, want %d, %v", route, served.Load()-before, reach, err)
		}
	}
	asked(addresses[0], "/live"+route, 10)
	asked(addresses[1], route, 10)
	asked(addresses[2], route, 10)
	for _, c := range caches {
		at, reach := map[string]string{"apigateway": addresses[0], "cloudfront": addresses[2]}[c.front], map[string]int64{"api-miss": 10}[c.name]
		asked(at, c.route, reach)
	}
	cancel()
	for range addresses {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}
