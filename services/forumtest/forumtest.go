// Package forumtest runs the forum for tests of what is before it: the monolith and the microservices, with
// the same records.
package forumtest

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"

	"cutover/assets/data"
	"cutover/services/internal/server"
	"cutover/services/internal/store"
	posts "cutover/services/posts/routes"
	threads "cutover/services/threads/routes"
	users "cutover/services/users/routes"
)

// Kinds are the kinds of records. A microservice is called after its kind.
var Kinds = []string{"users", "threads", "posts"}

// Monolith is the name of the monolith.
const Monolith = "api"

// Start serves the forum until the test ends. The result forwards to the monolith and the microservices, by
// their names. With writes, all share stores in memory that begin with the records of package data; without, they
// answer from the records. A service asks the others at address, as in "http://127.0.0.1:8080".
func Start(t testing.TB, address string, writes bool) map[string]http.Handler {
	t.Helper()
	modules := map[string]server.Module{"users": users.Of(data.API), "threads": threads.Of(data.API), "posts": posts.Of(data.API)}
	if writes {
		modules = map[string]server.Module{
			"users":   users.Users.In(data.API, store.NewMemory()),
			"threads": threads.Threads.In(data.API, store.NewMemory()),
			"posts":   posts.Posts.In(data.API, store.NewMemory()),
		}
	}
	kinds := []server.Module{modules["users"], modules["threads"], modules["posts"]}
	if writes {
		if err := server.Seed(t.Context(), io.Discard, append([]server.Module{environment(Monolith, address)}, kinds...)...); err != nil {
			t.Fatal(err)
		}
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 10}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	t.Cleanup(func() { transport.CloseIdleConnections(); stop(); running.Wait() })
	serve := func(name string, modules ...server.Module) http.Handler {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		running.Go(func() {
			if err := server.Serve(ctx, listener, io.Discard, append([]server.Module{environment(name, address)}, modules...)...); err != nil {
				t.Error(err)
			}
		})
		to := &url.URL{Scheme: "http", Host: listener.Addr().String()}
		return &httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }}
	}
	services := map[string]http.Handler{Monolith: serve(Monolith, kinds...)}
	for _, kind := range Kinds {
		services[kind] = serve(kind, modules[kind])
	}
	return services
}

// environment is that of a service which asks the others at address, and names itself in its answers.
func environment(service, address string) server.Module {
	variables := map[string]string{"ANSWERED_BY": service, "USERS_URL": address, "THREADS_URL": address, "POSTS_URL": address}
	return server.Environment(func(name string) string { return variables[name] })
}
