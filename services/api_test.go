package services_test

import (
	"io"
	"net"
	"testing"

	"cutover/assets/data"
	"cutover/internal/golden"
	"cutover/services/apitest"
	"cutover/services/internal/server"
	"cutover/services/internal/store"
	posts "cutover/services/posts/routes"
	threads "cutover/services/threads/routes"
	users "cutover/services/users/routes"
)

// withStores are the modules with a new store each.
func withStores() map[string]server.Module {
	return map[string]server.Module{
		"users":   users.Users.In(data.API, store.NewMemory()),
		"threads": threads.Threads.In(data.API, store.NewMemory()),
		"posts":   posts.Posts.In(data.API, store.NewMemory()),
	}
}

// serveStores serves modules in one process, or in a process for each. It returns their addresses.
func serveStores(t *testing.T, modules map[string]server.Module, together bool) map[string]string {
	t.Helper()
	listeners, addresses, environment := map[string]net.Listener{}, map[string]string{}, map[string]string{}
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	serve := func(l net.Listener, modules ...server.Module) {
		modules = append([]server.Module{server.Environment(func(name string) string { return environment[name] })}, modules...)
		go func() {
			if err := server.Serve(t.Context(), l, io.Discard, modules...); err != nil {
				panic(err)
			}
		}()
	}
	if together {
		l := listen()
		for name := range modules {
			addresses[name] = "http://" + l.Addr().String()
		}
		serve(l, modules["users"], modules["threads"], modules["posts"])
		return addresses
	}
	for name, variable := range map[string]string{"users": "USERS_URL", "threads": "THREADS_URL", "posts": "POSTS_URL"} {
		listeners[name] = listen()
		addresses[name] = "http://" + listeners[name].Addr().String()
		environment[variable] = addresses[name]
	}
	for name, module := range modules {
		serve(listeners[name], module)
	}
	return addresses
}

// The monolith and the microservices answer alike, and as the documents say.
func TestAPI(t *testing.T) {
	for name, together := range map[string]bool{"monolith": true, "microservices": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rows := apitest.Test(t, serveStores(t, withStores(), together))
			golden.Compare(t, "apitest/statuses.md", []byte(apitest.Table(rows)))
		})
	}
}
