package routes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"cutover/services/forumtest"
	"cutover/services/internal/queue"
	"cutover/services/internal/store"
)

// forum serves the forum with stores in memory, and returns its address.
func forum(t *testing.T) string {
	t.Helper()
	var handler atomic.Pointer[http.Handler]
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*handler.Load()).ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	monolith := forumtest.Start(t, server.URL, true)[forumtest.Monolith]
	handler.Store(&monolith)
	return server.URL
}

func ask(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode == http.StatusCreated {
		return response.StatusCode, response.Header.Get("Location")
	}
	return response.StatusCode, string(text)
}

// must is ask for an answer that is expected.
func must(t *testing.T, want int, method, url, body string) string {
	t.Helper()
	status, text := ask(t, method, url, body)
	if status != want {
		t.Fatalf("%s %s: %d %s, want %d", method, url, status, text, want)
	}
	return text
}

// jobsSent counts the jobs.
type jobsSent struct{ n int }

func (j *jobsSent) Send(context.Context, []byte) error { j.n++; return nil }

// dying ends a worker at one of its calls, of a service or of the store: before or after what is called has done it.
type dying struct {
	store.Store
	base  http.RoundTripper
	at    int
	late  bool
	calls int
}

var errDied = errors.New("the worker ended")

func (d *dying) dies() (before, after bool) {
	d.calls++
	return d.calls == d.at && !d.late, d.calls == d.at && d.late
}

func (d *dying) RoundTrip(r *http.Request) (*http.Response, error) {
	before, after := d.dies()
	if before {
		return nil, errDied
	}
	response, err := d.base.RoundTrip(r)
	if after && err == nil {
		_ = response.Body.Close()
		return nil, errDied
	}
	return response, err
}

func (d *dying) Write(ctx context.Context, changes ...store.Change) error {
	before, after := d.dies()
	if before {
		return errDied
	}
	err := d.Store.Write(ctx, changes...)
	if after {
		return errDied
	}
	return err
}

// newUser makes a user with two threads of posts, and returns the id.
func newUser(t *testing.T, address string) string {
	t.Helper()
	of := func(location string) string { return location[strings.LastIndex(location, "/")+1:] }
	user := of(must(t, 201, "POST", address+"/api/users", `{"username":"u","name":"Una","bio":"b"}`))
	for range 2 {
		thread := of(must(t, 201, "POST", address+"/api/threads", `{"title":"t","createdBy":`+user+`}`))
		for range 2 {
			must(t, 201, "POST", address+"/api/posts", `{"thread":`+thread+`,"text":"x","user":`+user+`}`)
		}
	}
	must(t, 201, "POST", address+"/api/posts", `{"thread":1,"text":"elsewhere","user":`+user+`}`)
	return user
}

// Wherever a worker ends, the next one goes on: the user is deleted with all that there is, or nothing is, and nobody else's records
// change.
func TestWorkersEnd(t *testing.T) {
	address := forum(t)
	others := must(t, 200, "GET", address+"/api/posts", "")
	for _, refuses := range []bool{false, true} {
		for at, ended := 1, false; !ended; at++ {
			for _, late := range []bool{false, true} {
				user := newUser(t, address)
				stranger := ""
				if refuses {
					var threads []struct{ ID int64 }
					if err := json.Unmarshal([]byte(must(t, 200, "GET", address+"/api/threads/by-user/"+user, "")), &threads); err != nil {
						t.Fatal(err)
					}
					stranger = must(t, 201, "POST", address+"/api/posts", fmt.Sprintf(`{"thread":%d,"text":"mine","user":1}`, threads[1].ID))
				}
				var id int64
				_, _ = fmt.Sscan(user, &id)
				d := &dying{Store: store.NewMemory(), base: http.DefaultTransport, at: at, late: late}
				s := &saga{store: d.Store, jobs: &jobsSent{}, client: &http.Client{Transport: d}, urls: map[string]string{"users": address, "threads": address, "posts": address}}
				version := int64(0)
				if err := s.put(t.Context(), &deletion{ID: id, User: id, State: "pending", Run: 1}, &version); err != nil {
					t.Fatal(err)
				}
				s.store = d
				message := queue.Message{ID: "m", Body: job(id)}
				err := s.handle(t.Context(), message)
				if ended = err == nil; err != nil && !errors.Is(err, queue.ErrUnavailable) {
					t.Fatal(err)
				}
				for range 2 { // the second time, there is nothing to do
					if err := s.handle(t.Context(), message); err != nil {
						t.Fatalf("after an end at call %d: %v", at, err)
					}
				}
				got, _, err := s.get(t.Context(), id)
				if err != nil {
					t.Fatal(err)
				}
				if refuses {
					if got.State != "undone" || !strings.Contains(got.Reason, "of user 1") {
						t.Fatalf("%+v", got)
					}
					if text := must(t, 200, "GET", address+"/api/users/"+user, ""); !strings.Contains(text, `"name":"Una"`) {
						t.Error(text)
					}
					must(t, 204, "DELETE", address+stranger, "")
					d.at = 0
					if err := s.put(t.Context(), &deletion{ID: id, User: id, State: "pending", Run: 2}, versionOf(t, s, id)); err != nil {
						t.Fatal(err)
					}
					if err := s.handle(t.Context(), message); err != nil {
						t.Fatal(err)
					}
					if got, _, err = s.get(t.Context(), id); err != nil {
						t.Fatal(err)
					}
				}
				if got.State != "done" {
					t.Fatalf("ended at call %d: %+v", at, got)
				}
				must(t, 204, "GET", address+"/api/users/"+user, "")
				for _, kind := range []string{"threads", "posts"} {
					if text := must(t, 200, "GET", address+"/api/"+kind+"/by-user/"+user, ""); text != "[]" {
						t.Fatalf("ended at call %d: left %s", at, text)
					}
				}
				if text := must(t, 200, "GET", address+"/api/posts", ""); text != others {
					t.Fatalf("ended at call %d: posts of others have changed", at)
				}
			}
		}
	}
}

// versionOf is the version of a deletion.
func versionOf(t *testing.T, s *saga, id int64) *int64 {
	t.Helper()
	_, version, err := s.get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return &version
}

// A thread that cannot be deleted after posts were: all is written again once, with new ids, and the posts are in the new threads.
func TestUndo(t *testing.T) {
	address := forum(t)
	user := newUser(t, address)
	var id int64
	_, _ = fmt.Sscan(user, &id)
	before := must(t, 200, "GET", address+"/api/posts/by-user/"+user, "")
	// One thread is deleted. Somebody writes into the other one each time before it is deleted.
	deleted := ""
	intruder := roundTrip(func(r *http.Request) (*http.Response, error) {
		if thread, is := strings.CutPrefix(r.URL.Path, "/api/threads/"); is && r.Method == http.MethodDelete && deleted == "" {
			deleted = thread
		} else if is && r.Method == http.MethodDelete {
			return &http.Response{StatusCode: http.StatusConflict, Body: http.NoBody, Header: http.Header{}}, nil
		}
		return http.DefaultTransport.RoundTrip(r)
	})
	s := &saga{store: store.NewMemory(), jobs: &jobsSent{}, client: &http.Client{Transport: intruder}, urls: map[string]string{"users": address, "threads": address, "posts": address}}
	version := int64(0)
	if err := s.put(t.Context(), &deletion{ID: id, User: id, State: "pending", Run: 1}, &version); err != nil {
		t.Fatal(err)
	}
	if err := s.run(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	got, _, err := s.get(t.Context(), id)
	if err != nil || got.State != "undone" || got.Reason != "others go on writing" {
		t.Fatalf("%+v %v", got, err)
	}
	after := must(t, 200, "GET", address+"/api/posts/by-user/"+user, "")
	if strings.Count(after, `"text"`) != strings.Count(before, `"text"`) || strings.Contains(after, `"thread":`+deleted+",") {
		t.Errorf("%s, before it was %s, and thread %s was deleted", after, before, deleted)
	}
	var posts []struct{ Thread int64 }
	if err := json.Unmarshal([]byte(after), &posts); err != nil {
		t.Fatal(err)
	}
	for _, p := range posts {
		must(t, 200, "GET", fmt.Sprintf("%s/api/threads/%d", address, p.Thread), "")
	}
	if text := must(t, 200, "GET", address+"/api/users/"+user, ""); !strings.Contains(text, `"name":"Una"`) {
		t.Error(text)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (r roundTrip) RoundTrip(request *http.Request) (*http.Response, error) { return r(request) }

// A job that got lost is left anew, and one that has ended is not.
func TestResend(t *testing.T) {
	sent := &jobsSent{}
	s := &saga{store: store.NewMemory(), jobs: sent}
	for i, state := range []string{"pending", "running", "undoing", "done", "undone"} {
		version := int64(0)
		if err := s.put(t.Context(), &deletion{ID: int64(i + 1), State: state}, &version); err != nil {
			t.Fatal(err)
		}
	}
	d, _, _ := s.get(t.Context(), 1)
	if err := s.resend(t.Context(), d.Since.Add(-lost)); err != nil || sent.n != 0 {
		t.Error(sent.n, err)
	}
	if err := s.resend(t.Context(), d.Since.Add(lost)); err != nil || sent.n != 3 {
		t.Error(sent.n, err)
	}
}

// A message that is no job is none that has to wait.
func TestNoJob(t *testing.T) {
	s := &saga{store: store.NewMemory()}
	for _, body := range []string{"", "{}", `{"deletion":0}`, `{"deletion":"x"}`} {
		if err := s.handle(t.Context(), queue.Message{Body: []byte(body)}); err == nil || errors.Is(err, queue.ErrUnavailable) {
			t.Errorf("%q: %v", body, err)
		}
	}
}
