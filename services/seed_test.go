package services_test

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cutover/assets/data"
	"cutover/deployment"
	"cutover/services/internal/records"
	"cutover/services/internal/server"
	"cutover/services/internal/store"
	posts "cutover/services/posts/routes"
	threads "cutover/services/threads/routes"
	users "cutover/services/users/routes"
)

// seeded are modules with stores that have the first records.
func seeded(t testing.TB) (modules map[string]server.Module, stores map[string]*store.Memory) {
	t.Helper()
	stores = map[string]*store.Memory{"users": store.NewMemory(), "threads": store.NewMemory(), "posts": store.NewMemory()}
	modules = map[string]server.Module{
		"users":   users.Users.In(data.API, stores["users"]),
		"threads": threads.Threads.In(data.API, stores["threads"]),
		"posts":   posts.Posts.In(data.API, stores["posts"]),
	}
	var out strings.Builder
	for _, want := range []string{"users: 4 records written\nthreads: 3 records written\nposts: 6 records written\n", "users: nothing to do\nthreads: nothing to do\nposts: nothing to do\n"} {
		out.Reset()
		if err := server.Seed(t.Context(), &out, modules["users"], modules["threads"], modules["posts"]); err != nil || out.String() != want {
			t.Fatalf("seed: %s, %v, want %s", out.String(), err, want)
		}
	}
	return modules, stores
}

// With the same records, a GET is answered byte for byte as without a store. New are the fields ETag and Vary,
// and the paths of single posts.
func TestStoreAnswersLikeTheFile(t *testing.T) {
	modules, _ := seeded(t)
	file := map[string]server.Module{"users": users.Of(data.API), "threads": threads.Of(data.API), "posts": posts.Of(data.API)}
	want := serveStores(t, file, true)["users"]
	rules := contract(t)
	var paths []string
	for _, expectations := range rules {
		for _, e := range expectations {
			if e.method == http.MethodGet {
				paths = append(paths, e.path)
			}
		}
	}
	for kind, together := range map[string]bool{"monolith": true, "microservices": false} {
		addresses := serveStores(t, modules, together)
		for _, path := range slices.Concat(paths, deployment.Forum.Requests) {
			owner := "users"
			for _, name := range []string{"threads", "posts"} {
				if strings.HasPrefix(strings.ToLower(path), "/api/"+name) {
					owner = name
				}
			}
			if path == "*" || path == "/api/posts/1" { // a post has a path of its own now
				continue
			}
			a, b := ask(t, http.MethodGet, want+path, ""), ask(t, http.MethodGet, addresses[owner]+path, "")
			if tag := b.header.Get("Etag"); (tag != "") != (a.status == 200 && strings.HasPrefix(a.header.Get("Content-Type"), "application/json")) {
				t.Errorf("%s: GET %s: ETag %s", kind, path, tag)
			}
			for _, name := range []string{"Etag", "Vary", "Date"} {
				a.header.Del(name)
				b.header.Del(name)
			}
			if a.status != b.status || a.body != b.body || !maps.EqualFunc(a.header, b.header, slices.Equal) {
				t.Errorf("%s: GET %s:\n got %v\nwant %v", kind, path, b, a)
			}
		}
		for id, text := range table(t, "posts") {
			if a := ask(t, http.MethodGet, addresses["posts"]+"/api/posts/"+string(rune('1'+id)), ""); a.status != 200 || a.body != text || a.header.Get("Etag") != `"1"` {
				t.Errorf("post %d: %v", id+1, a)
			}
		}
		if a := ask(t, http.MethodGet, addresses["posts"]+"/api/posts/in-thread/3", "", "Accept", records.WithIDs); a.body != `[{"id":6,`+table(t, "posts")[5][1:]+"]" {
			t.Error(a)
		}
	}
}

// New records have ids behind those of the file.
func TestIDsBehindTheSeed(t *testing.T) {
	modules, _ := seeded(t)
	addresses := serveStores(t, modules, true)
	for kind, c := range map[string][2]string{"users": {`{"username":"u","name":"U"}`, "/api/users/5"}, "threads": {`{"title":"T","createdBy":4}`, "/api/threads/4"}, "posts": {`{"thread":3,"text":"p","user":1}`, "/api/posts/7"}} {
		response, err := http.Post(addresses[kind]+"/api/"+kind, "application/json", strings.NewReader(c[0]))
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != 201 || response.Header.Get("Location") != c[1] {
			t.Errorf("%s: %v", kind, response)
		}
	}
}

// A seed is one write: all of it or nothing. Who comes first wins.
func TestSeed(t *testing.T) {
	seed := func(s store.Store, document string) (string, error) {
		var out strings.Builder
		err := server.Seed(t.Context(), &out, threads.Threads.In(document, s), server.Environment(func(name string) string { return "http://localhost" }))
		return out.String(), err
	}
	for document, want := range map[string]string{
		`{"threads":[]}`: `the table "threads" is empty`,
		`{"threads":[{"title":"T","createdBy":1}]}`:                                                                         "threads[0] has no id",
		`{"threads":[{"id":1,"title":"","createdBy":1}]}`:                                                                   "threads[0] cannot be written",
		`{"threads":[{"id":1,"title":"T","createdBy":1},{}]}`:                                                               "threads[1] has no id",
		`{"threads":[` + strings.Repeat(`{"id":1,"title":"T","createdBy":1},`, 50) + `{"id":2,"title":"T","createdBy":1}]}`: "need 103 changes",
	} {
		s := store.NewMemory()
		if out, err := seed(s, document); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "threads cannot be seeded") || out != "" {
			t.Errorf("%s: %s, %v, want %s", document, out, err, want)
		}
		if items, err := s.List(t.Context(), "threads", "", 0); err != nil || len(items) > 0 {
			t.Error(items, err)
		}
	}
	late := &before{Memory: store.NewMemory()}
	late.write = func() {
		late.write = nil
		if out, err := seed(late, data.Threads); err != nil || out != "threads: 3 records written\n" {
			t.Error(out, err)
		}
	}
	if out, err := seed(late, data.Threads); err != nil || out != "threads: nothing to do\n" {
		t.Error(out, err)
	}
	failing := &before{Memory: store.NewMemory(), err: errors.New("no")}
	if out, err := seed(failing, data.Threads); err == nil || out != "" {
		t.Error(out, err)
	}

	out, err := exec.Command(filepath.Join(bin, "users"), "seed").CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 2 || string(out) != "users: there is nothing to seed: the records are those of the program's file, and not in a store\n" {
		t.Errorf("%v, %s", err, out)
	}
}

// before is a store in which something happens before a write.
type before struct {
	*store.Memory
	write func()
	err   error // of a write
	after error // that was done
}

func (s *before) Write(ctx context.Context, changes ...store.Change) error {
	if s.write != nil {
		s.write()
	}
	if s.err != nil {
		return s.err
	}
	return errors.Join(s.Memory.Write(ctx, changes...), s.after)
}

// A service with a store does not start without the addresses of those that it asks, nor with a store that
// cannot be.
func TestStoreNeedsAddresses(t *testing.T) {
	for _, c := range []struct{ name, env, want string }{
		{"users", "USERS_DATABASE_URL=postgres://u:p@localhost/users USERS_TABLE=users", "users: USERS_TABLE and USERS_DATABASE_URL are both set"},
		{"users", "USERS_DATABASE_URL=postgres://u:p@localhost/users", "users: POSTS_URL=\"\": must be the address of the service posts, such as http://posts:3000\nusers: THREADS_URL=\"\": must be"},
		{"posts", "POSTS_DATABASE_URL=postgres://u:p@localhost/posts USERS_URL=http://users THREADS_URL=threads:3000", `posts: THREADS_URL="threads:3000": must be the address`},
		{"api", "THREADS_DATABASE_URL=postgres://u:p@localhost/threads PORT=x", `PORT="x"`},
	} {
		command := exec.Command(filepath.Join(bin, c.name))
		command.Env = strings.Fields(c.env)
		if out, err := command.CombinedOutput(); err == nil || !strings.Contains(string(out), c.want) {
			t.Errorf("%s with %s: %v, %s, want %s", c.name, c.env, err, out, c.want)
		}
	}
}
