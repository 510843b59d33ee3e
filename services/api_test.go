package services_test

import (
	"io"
	"net"
	"strings"
	"testing"

	"cutover/assets/data"
	"cutover/internal/golden"
	"cutover/internal/nightly"
	"cutover/services/apitest"
	"cutover/services/internal/server"
	"cutover/services/internal/store"
	"cutover/services/internal/store/storetest"
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
	return serveIn(t, map[string]string{}, modules, together)
}

// serveIn is serveStores with variables for the services.
func serveIn(t *testing.T, environment map[string]string, modules map[string]server.Module, together bool) map[string]string {
	t.Helper()
	listeners, addresses := map[string]net.Listener{}, map[string]string{}
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
			addresses := serveStores(t, withStores(), together)
			rows := apitest.Test(t, addresses)
			golden.Compare(t, "apitest/statuses.md", []byte(apitest.Table(rows)))
			checkOpenAPI(t, rows, addresses)
		})
	}
}

// The same on the real databases, and the services begin with the records of the file.
func TestAPIOnDatabases(t *testing.T) {
	nightly.Test(t, "it starts databases")
	for name, database := range map[string]func(testing.TB, ...string) func(string) string{"DynamoDB": storetest.DynamoDB, "PostgreSQL": storetest.PostgreSQL} {
		t.Run(name, func(t *testing.T) {
			getenv := database(t, apitest.Kinds...)
			for kind, together := range map[string]bool{"monolith": true, "microservices": false} {
				modules := map[string]server.Module{"users": users.Of(data.API), "threads": threads.Of(data.API), "posts": posts.Of(data.API)}
				environment := map[string]string{}
				for _, variable := range []string{"AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL_DYNAMODB",
					"USERS_TABLE", "THREADS_TABLE", "POSTS_TABLE", "USERS_DATABASE_URL", "THREADS_DATABASE_URL", "POSTS_DATABASE_URL"} {
					environment[variable] = getenv(variable)
				}
				if together {
					var out strings.Builder
					if err := server.Seed(t.Context(), &out, server.Environment(getenv), modules["users"], modules["threads"], modules["posts"]); err != nil || strings.Count(out.String(), " records written") != 3 && strings.Count(out.String(), "nothing to do") != 3 {
						t.Errorf("seed: %s, %v", out.String(), err)
					}
				}
				t.Run(kind, func(t *testing.T) {
					rows := apitest.Test(t, serveIn(t, environment, modules, together))
					golden.Compare(t, "apitest/statuses.md", []byte(apitest.Table(rows)))
				})
			}
		})
	}
}
