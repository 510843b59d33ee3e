package services_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cutover/assets/data"
	"cutover/services/internal/records"
	"cutover/services/internal/server"
	"cutover/services/internal/store"
	posts "cutover/services/posts/routes"
	threads "cutover/services/threads/routes"
	users "cutover/services/users/routes"
)

// faulty is a store in memory. The functions, if there are any, are called before a write and after it.
type faulty struct {
	*store.Memory
	before, after func([]store.Change) error
	read          error
}

func (s *faulty) Write(ctx context.Context, changes ...store.Change) error {
	if s.before != nil {
		if err := s.before(changes); err != nil {
			return err
		}
	}
	err := s.Memory.Write(ctx, changes...)
	if err == nil && s.after != nil {
		err = s.after(changes)
	}
	return err
}

func (s *faulty) Get(ctx context.Context, keys ...store.Key) ([]store.Item, error) {
	items, err := s.Memory.Get(ctx, keys...)
	return items, errors.Join(err, s.read)
}

func (s *faulty) List(ctx context.Context, list, after string, limit int) ([]store.Item, error) {
	items, err := s.Memory.List(ctx, list, after, limit)
	return items, errors.Join(err, s.read)
}

// alone serves a kind by itself. The others are at an address.
func alone(t *testing.T, kind records.Kind, s store.Store, others string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	environment := server.Environment(func(name string) string {
		if strings.HasSuffix(name, "_URL") {
			return others
		}
		return ""
	})
	go func() {
		if err := server.Serve(t.Context(), l, io.Discard, environment, kind.In(data.API, s)); err != nil {
			panic(err)
		}
	}()
	return "http://" + l.Addr().String()
}

// others answers for the other services.
func others(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s.URL
}

// Every record exists, and nothing refers to it.
func willing(w http.ResponseWriter, r *http.Request) {
	if strings.Contains(r.URL.Path, "-") {
		fmt.Fprint(w, "[]")
	} else {
		fmt.Fprint(w, "{}")
	}
}

// ask returns what a request is answered. The header is pairs of names and values.
func ask(t *testing.T, method, url, body string, header ...string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, string(text), response.Close}
}

func wantStatus(t *testing.T, what string, a answer, status int, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(a.body, text) {
			t.Errorf("%s: %v, want %s", what, a, text)
		}
	}
	if a.status != status {
		t.Errorf("%s: %v, want %d", what, a, status)
	}
	if a.status == 503 && a.header.Get("Retry-After") != "2" {
		t.Errorf("%s: no Retry-After: %v", what, a)
	}
}

const (
	aUser   = `{"username":"u","name":"U"}`
	aThread = `{"title":"T","createdBy":7}`
	aPost   = `{"thread":3,"text":"p","user":7}`
)

// If another service does not answer well, a request that depends on it changes nothing.
func TestOtherServiceIsDown(t *testing.T) {
	down := others(t, willing)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for what, address := range map[string]string{
		"is gone":     gone.URL,
		"answers 500": others(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }),
		"answers 404": others(t, http.NotFound),
		"has moved":   others(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, down+r.URL.Path, 301) }),
		"hangs":       others(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }),
		"ends in the middle": others(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "9")
			fmt.Fprint(w, "[")
		}),
		"answers no list to all": others(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(206) }),
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := store.NewMemory()
			good := alone(t, threads.Threads, s, down)
			wantStatus(t, "with the other service", ask(t, "POST", good+"/api/threads", aThread), 201)
			bad := alone(t, threads.Threads, s, address)
			wantStatus(t, "POST", ask(t, "POST", bad+"/api/threads", aThread, "Idempotency-Key", "k"), 503, "The service users cannot say now", "Nothing was changed")
			wantStatus(t, "POST again", ask(t, "POST", good+"/api/threads", aThread, "Idempotency-Key", "k"), 201)
			if what == "hangs" { // for 2 s each time
				return
			}
			wantStatus(t, "PUT with another user", ask(t, "PUT", bad+"/api/threads/1", `{"title":"T","createdBy":8}`), 503, "users")
			wantStatus(t, "PUT with the same user", ask(t, "PUT", bad+"/api/threads/1", `{"title":"new","createdBy":7}`), 200)
			wantStatus(t, "DELETE", ask(t, "DELETE", bad+"/api/threads/1", ""), 503, "The service posts cannot say now")
			wantStatus(t, "GET", ask(t, "GET", bad+"/api/threads/1", ""), 200, `"title":"new"`)
			wantStatus(t, "DELETE with the other service", ask(t, "DELETE", good+"/api/threads/1", ""), 204)
		})
	}
}

// What a service asks, and with which header fields.
func TestQuestions(t *testing.T) {
	var mu sync.Mutex
	var asked []string
	address := others(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, r.Method+" "+r.URL.String()+" "+r.Header.Get("X-Amzn-Trace-Id")+" "+r.Header.Get("Traceparent"))
		willing(w, r)
	})
	for _, c := range []struct {
		kind         records.Kind
		method, path string
		body         string
		want         []string
	}{
		{posts.Posts, "POST", "/api/posts", aPost, []string{"GET /api/threads/3", "GET /api/users/7"}},
		{threads.Threads, "POST", "/api/threads", aThread, []string{"GET /api/users/7"}},
		{users.Users, "POST", "/api/users", aUser, nil},
		{users.Users, "DELETE", "/api/users/1", "", []string{"GET /api/threads/by-user/1?limit=1", "GET /api/posts/by-user/1?limit=1"}},
		{threads.Threads, "DELETE", "/api/threads/1", "", []string{"GET /api/posts/in-thread/1?limit=1"}},
		{posts.Posts, "DELETE", "/api/posts/1", "", nil},
	} {
		asked = nil
		s := store.NewMemory()
		url := alone(t, c.kind, s, address+"/")
		if c.method == "DELETE" {
			ask(t, "POST", url+"/api/"+c.kind.Name, map[string]string{"users": aUser, "threads": aThread, "posts": aPost}[c.kind.Name])
			asked = nil
		}
		ask(t, c.method, url+c.path, c.body, "X-Amzn-Trace-Id", "Root=1", "Traceparent", "00-1")
		for i := range c.want {
			c.want[i] += " Root=1 00-1"
		}
		if !slices.Equal(asked, c.want) {
			t.Errorf("%s %s asks %q, want %q", c.method, c.path, asked, c.want)
		}
	}
}

// A thread of another user makes the answer to a DELETE depend on the list's content alone.
func TestReferred(t *testing.T) {
	url := alone(t, users.Users, store.NewMemory(), others(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/api/posts") {
			fmt.Fprint(w, `[{"text":"p"}]`)
		} else {
			fmt.Fprint(w, "[]")
		}
	}))
	ask(t, "POST", url+"/api/users", aUser)
	a := ask(t, "DELETE", url+"/api/users/1", "")
	wantStatus(t, "DELETE", a, 409, "The user has posts: delete them first.")
}

// If the store fails, the answer says whether something may have changed. A repeat with the key makes it one.
func TestStoreFails(t *testing.T) {
	s := &faulty{Memory: store.NewMemory()}
	url := alone(t, users.Users, s, others(t, willing))
	wantStatus(t, "POST", ask(t, "POST", url+"/api/users", aUser), 201)

	s.after = func(changes []store.Change) error {
		if len(changes) > 1 || changes[0].List == "users" {
			return errors.New("the answer was lost")
		}
		return nil
	}
	wantStatus(t, "POST with an error after the commit", ask(t, "POST", url+"/api/users", aUser, "Idempotency-Key", "k"), 503, "It is not known whether the change was made.")
	wantStatus(t, "PUT with an error after the commit", ask(t, "PUT", url+"/api/users/1", aUser), 503, "not known")
	s.after = nil
	wantStatus(t, "the repeat", ask(t, "POST", url+"/api/users", aUser, "Idempotency-Key", "k"), 201, `{"id":2,`)
	if a := ask(t, "GET", url+"/api/users/1", ""); a.header.Get("Etag") != `"2"` {
		t.Error(a)
	}

	s.before = func([]store.Change) error { return fmt.Errorf("throttled: %w", store.ErrBusy) }
	for method, path := range map[string]string{"POST": "", "PUT": "/1", "DELETE": "/1"} {
		body := aUser
		if method == "DELETE" {
			body = ""
		}
		wantStatus(t, method, ask(t, method, url+"/api/users"+path, body), 503, "The store cannot do the request now. Nothing was changed.")
	}
	s.before = func(changes []store.Change) error { return &store.Conflict{Key: changes[0].Key} }
	for method, path := range map[string]string{"POST": "", "PUT": "/1", "DELETE": "/1"} {
		body := aUser
		if method == "DELETE" {
			body = ""
		}
		wantStatus(t, method, ask(t, method, url+"/api/users"+path, body), 503, "Nothing was changed.")
	}
	s.before = nil
	s.read = errors.New("no answer")
	for _, path := range []string{"", "/1"} {
		wantStatus(t, "GET", ask(t, "GET", url+"/api/users"+path, ""), 503, "The store does not answer.")
	}
	wantStatus(t, "the health check", ask(t, "GET", url+"/", ""), 200)
	s.read = nil
	if a := ask(t, "GET", url+"/api/users", ""); a.body != `[{"id":1,"username":"u","name":"U","bio":""},{"id":2,"username":"u","name":"U","bio":""}]` {
		t.Error(a)
	}
}

// Two requests with one key at the same time: in one process, the second is refused. In two, both get the
// first one's answer.
func TestRunningKey(t *testing.T) {
	s := &faulty{Memory: store.NewMemory()}
	entered, release := make(chan struct{}), make(chan struct{})
	s.before = func(changes []store.Change) error {
		if changes[0].List == "users" {
			close(entered)
			<-release
			s.before = nil
		}
		return nil
	}
	url := alone(t, users.Users, s, others(t, willing))
	first := make(chan answer)
	go func() { first <- ask(t, "POST", url+"/api/users", aUser, "Idempotency-Key", "k") }()
	<-entered
	if a := ask(t, "POST", url+"/api/users", aUser, "Idempotency-Key", "k"); a.status != 409 || a.header.Get("Retry-After") != "1" || a.header.Get("Content-Type") != "application/problem+json" {
		t.Error(a)
	}
	close(release)
	wantStatus(t, "the first", <-first, 201, `"id":1`)
	wantStatus(t, "a repeat", ask(t, "POST", url+"/api/users", aUser, "Idempotency-Key", "k"), 201, `"id":1`)

	other := alone(t, users.Users, s, others(t, willing))
	s.before = func(changes []store.Change) error {
		if changes[0].List == "users" {
			s.before = nil
			wantStatus(t, "in the other process", ask(t, "POST", other+"/api/users", aUser, "Idempotency-Key", `"q"`), 201, `"id":101`)
		}
		return nil
	}
	a := ask(t, "POST", url+"/api/users", aUser, "Idempotency-Key", "q")
	wantStatus(t, "in this process", a, 201, `"id":101`)
	if a.header.Get("Location") != "/api/users/101" {
		t.Error(a)
	}
	if list := ask(t, "GET", url+"/api/users", ""); strings.Count(list.body, `"id"`) != 2 {
		t.Error(list)
	}
}

// An answer is kept for a day. A store may keep it for longer.
func TestExpiredKey(t *testing.T) {
	s := store.NewMemory()
	url := alone(t, users.Users, s, others(t, willing))
	ask(t, "POST", url+"/api/users", aUser, "Idempotency-Key", "k")
	items, err := s.List(t.Context(), "idem", "", 0)
	if err != nil || len(items) != 1 {
		t.Fatal(items, err)
	}
	if left := time.Until(items[0].Expires); left < 23*time.Hour+59*time.Minute || left > 24*time.Hour {
		t.Errorf("the answer is kept for %s", left)
	}
	expired := items[0]
	expired.Expires = time.Now().Add(-2 * time.Second)
	if err := s.Write(t.Context(), store.Change{Item: expired, Expected: 1}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		wantStatus(t, "after a day", ask(t, "POST", url+"/api/users", `{"username":"v","name":"V"}`, "Idempotency-Key", "k"), 201, `"id":2`)
	}
}

// The items of a record, and what is left when it is deleted.
func TestItems(t *testing.T) {
	s := store.NewMemory()
	url := alone(t, posts.Posts, s, others(t, willing))
	wantStatus(t, "POST", ask(t, "POST", url+"/api/posts", aPost, "Idempotency-Key", "k"), 201)
	id := "0000000000000001"
	keys := []store.Key{{List: "posts", ID: id}, {List: "in-thread#0000000000000003", ID: id}, {List: "by-user#0000000000000007", ID: id}, {List: "counter", ID: "next"}}
	items, err := s.Get(t.Context(), keys...)
	if err != nil {
		t.Fatal(err)
	}
	for i, body := range []string{aPost, "{}", "{}", `{"next":101}`} {
		if string(items[i].Body) != body || items[i].Place != store.Here {
			t.Errorf("%v: %s, want %s", items[i].Key, items[i].Body, body)
		}
	}
	// A later move between stores changes the version, and not the ETag.
	if err := s.Write(t.Context(), store.Change{Item: items[0], Expected: 1}); err != nil {
		t.Fatal(err)
	}
	wantStatus(t, "PUT", ask(t, "PUT", url+"/api/posts/1", aPost, "If-Match", `"1"`), 200)
	wantStatus(t, "DELETE", ask(t, "DELETE", url+"/api/posts/1", "", "If-Match", `"2"`), 204)
	if items, err = s.Get(t.Context(), keys...); err != nil {
		t.Fatal(err)
	}
	if left := time.Until(items[0].Expires); items[0].Version != 4 || items[0].Seq != 3 || items[0].Body != nil || left < 167*time.Hour || left > 168*time.Hour {
		t.Errorf("of the deleted record is left %+v", items[0])
	}
	if items[1].Version != 0 || items[2].Version != 0 {
		t.Errorf("the deleted record is in lists: %v", items)
	}
}

// A wrong counter costs time, and nothing else. An id that cannot be is not given.
func TestCounter(t *testing.T) {
	s := store.NewMemory()
	url := alone(t, users.Users, s, others(t, willing))
	for _, id := range []string{"0000000000000001", "0000000000000002"} {
		if err := s.Write(t.Context(), store.Change{Item: store.Item{Key: store.Key{List: "users", ID: id}, Seq: 1, Body: []byte("{}")}}); err != nil {
			t.Fatal(err)
		}
	}
	wantStatus(t, "POST", ask(t, "POST", url+"/api/users", aUser), 201, `"id":3`)
	for i := 4; i <= 101; i++ {
		wantStatus(t, "POST", ask(t, "POST", url+"/api/users", aUser), 201, fmt.Sprintf(`"id":%d,`, i))
	}
	for next, status := range map[int64]int{1<<53 - 1 - 100: 201, 1<<53 - 100: 503, 0: 503} {
		s := store.NewMemory()
		url := alone(t, users.Users, s, others(t, willing))
		body, _ := json.Marshal(map[string]int64{"next": next})
		if err := s.Write(t.Context(), store.Change{Item: store.Item{Key: store.Key{List: "counter", ID: "next"}, Body: body}}); err != nil {
			t.Fatal(err)
		}
		wantStatus(t, fmt.Sprint("the counter is at ", next), ask(t, "POST", url+"/api/users", aUser), status)
	}
}

// A request without a condition begins anew if another one comes first. One with a condition is refused.
func TestOvertaken(t *testing.T) {
	s := &faulty{Memory: store.NewMemory()}
	url := alone(t, users.Users, s, others(t, willing))
	ask(t, "POST", url+"/api/users", aUser)
	overtake := func() {
		s.before = func([]store.Change) error {
			s.before = nil
			wantStatus(t, "the other", ask(t, "PUT", url+"/api/users/1", `{"username":"o","name":"O"}`), 200)
			return nil
		}
	}
	overtake()
	if a := ask(t, "PUT", url+"/api/users/1", `{"username":"l","name":"L"}`); a.status != 200 || a.header.Get("Etag") != `"3"` {
		t.Error(a)
	}
	overtake()
	wantStatus(t, "with a condition", ask(t, "PUT", url+"/api/users/1", aUser, "If-Match", `"3"`), 412)
	wantStatus(t, "the record", ask(t, "GET", url+"/api/users/1", ""), 200, `"name":"O"`)
	overtake()
	wantStatus(t, "DELETE", ask(t, "DELETE", url+"/api/users/1", ""), 204)
}

// A list is whole up to 1000 records and 900 KB. Pages are never larger.
func TestLongLists(t *testing.T) {
	fill := func(n, size int) (url string, record string) {
		s := store.NewMemory()
		for i := range n {
			record = fmt.Sprintf(`{"thread":1,"text":"%s","user":1}`, strings.Repeat("x", size))
			id := fmt.Sprintf("%016d", i*3+1)
			var changes []store.Change
			for _, list := range []string{"posts", "by-user#0000000000000001"} {
				changes = append(changes, store.Change{Item: store.Item{Key: store.Key{List: list, ID: id}, Seq: 1, Body: []byte(record)}})
			}
			deleted := store.Change{Item: store.Item{Key: store.Key{List: "posts", ID: fmt.Sprintf("%016d", i*3+2)}, Seq: 2}}
			if err := s.Write(t.Context(), append(changes, deleted)...); err != nil {
				t.Fatal(err)
			}
		}
		return alone(t, posts.Posts, s, others(t, willing)), record
	}
	paths := []string{"/api/posts", "/api/posts/by-user/1"}
	for _, c := range []struct{ n, size, status int }{{1000, 10, 200}, {1001, 10, 413}, {8, 112_400, 200}, {9, 112_400, 413}, {0, 0, 200}} {
		url, record := fill(c.n, c.size)
		for _, path := range paths {
			a := ask(t, "GET", url+path, "")
			wantStatus(t, fmt.Sprint(c, path), a, c.status)
			if want := "[" + strings.TrimSuffix(strings.Repeat(record+",", c.n), ",") + "]"; c.status == 200 && (a.body != want || a.header.Get("Link") != "") {
				t.Errorf("%v %s: %d bytes, want %d", c, path, len(a.body), len(want))
			}
			if c.status == 413 && !strings.Contains(a.body, "?limit=200") {
				t.Error(a.body)
			}
		}
	}
	for _, c := range []struct {
		n, size int
		query   string
		want    []int // records of each page
	}{
		{450, 10, "?limit=200", []int{200, 200, 50}}, {400, 10, "?limit=200", []int{200, 200}}, {10, 300_000, "?limit=200", []int{2, 2, 2, 2, 2}}, {3, 10, "?limit=1", []int{1, 1, 1}},
	} {
		url, _ := fill(c.n, c.size)
		for _, path := range paths {
			var got []int
			var ids []int64
			for next := path + c.query; next != ""; {
				a := ask(t, "GET", url+next, "", "Accept", records.WithIDs)
				var list []struct{ ID int64 }
				if err := json.Unmarshal([]byte(a.body), &list); err != nil || len(a.body) > 910_000 {
					t.Fatal(err, len(a.body))
				}
				for _, record := range list {
					ids = append(ids, record.ID)
				}
				got = append(got, len(list))
				link, ok := strings.CutSuffix(a.header.Get("Link"), `>; rel="next"`)
				if next = strings.TrimPrefix(link, "<"); !ok {
					next = ""
				}
			}
			if !slices.Equal(got, c.want) || len(ids) != c.n || !slices.IsSorted(ids) || len(slices.Compact(ids)) != c.n {
				t.Errorf("%v %s: pages of %v records", c, path, got)
			}
		}
	}
}
