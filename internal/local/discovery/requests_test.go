package discovery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pair is an assembly with users, which others call by Service Connect, and posts, which calls.
func pair(t *testing.T, protocol, more string) []string {
	t.Helper()
	return []string{service("Users", protocol, strings.Replace(connected, `"Port": 80}]`, `"Port": 80}]`+more, 1)), service("Posts", "http", calling)}
}

// journal has what tasks got, in order.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) note(task string, status int) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		j.mu.Lock()
		j.lines = append(j.lines, fmt.Sprintf("%s %s %s %s", task, r.Method, r.RequestURI, body))
		j.mu.Unlock()
		always(task, status)(rw, r)
	}
}

// A request whose task answers 503 is sent to another task, with its body: a POST, too, which two tasks see then.
func TestRepeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMesh(t, read(t, pair(t, "http", "")...))
		var j journal
		w.answer("a", j.note("a", 503))
		w.answer("b", j.note("b", 201))
		posts := w.start("p", "posts")
		if got := posts.call("POST", "body"); got != "201 b" {
			t.Errorf("the answer is %q", got)
		}
		if want := []string{"a POST /a?b=c;d body", "b POST /a?b=c;d body"}; !slices.Equal(j.lines, want) {
			t.Errorf("the tasks got %q, want %q", j.lines, want)
		}
		if events := w.told("repeats a POST of /a: task a of users has failed (503 Service Unavailable)"); len(events) != 1 {
			t.Errorf("the events are %q", w.events)
		}
		// An event tells of what may be done twice, once.
		for _, method := range []string{"GET", "HEAD", "POST"} {
			if got := posts.call(method, ""); !strings.HasPrefix(got, "201") || len(w.events) != 1 {
				t.Errorf("the answer to %s is %q, the events are %q", method, got, w.events)
			}
		}
		if len(j.lines) != 8 {
			t.Errorf("the tasks got %q", j.lines)
		}
		status := w.Status().(Status).Names[0]
		if status.Kind != "Service Connect" || status.Namespace != "dev" || status.Host != "users" || status.Port != 80 || len(status.Endpoints) != 2 || status.Callers[0].Repeated != 4 ||
			status.Endpoints[0] != (EndpointStatus{Task: "a", Address: "a:3000"}) || status.Callers[0].Task != "p" || status.Callers[0].Service != "posts" || status.Callers[0].Address != posts.find("users:80") {
			t.Errorf("the status is %+v", status)
		}
	})
}

// A request is sent three times at most, to the tasks that there are.
func TestRepeatsTwice(t *testing.T) {
	for tasks, want := range map[int]string{1: "a a a", 2: "a b a", 3: "a b c", 4: "a b c"} {
		synctest.Test(t, func(t *testing.T) {
			w := newMesh(t, read(t, pair(t, "http", "")...))
			var j journal
			for i := range tasks {
				w.answer(string(rune('a'+i)), j.note(string(rune('a'+i)), 503))
			}
			posts := w.start("p", "posts")
			got := posts.call("PUT", "x")
			var tried []string
			for _, line := range j.lines {
				tried = append(tried, line[:1])
			}
			if strings.Join(tried, " ") != want || got != "503 "+tried[2] {
				t.Errorf("%d tasks: tried %q, want %s; the answer is %q", tasks, tried, want, got)
			}
		})
	}
}

// What is repeated: connections that nobody takes, or that end before an answer, and 503.
func TestWhatIsRepeated(t *testing.T) {
	for name, test := range map[string]struct {
		handler  http.HandlerFunc // of the first task; nil if nobody listens
		repeated bool
	}{
		"nobody listens":      {nil, true},
		"the connection ends": {func(rw http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) }, true},
		"503":                 {always("a", 503), true},
		"500":                 {always("a", 500), false},
		"502":                 {always("a", 502), false},
		"504":                 {always("a", 504), false},
		"429":                 {always("a", 429), false},
		"the answer breaks": {func(rw http.ResponseWriter, _ *http.Request) {
			rw.WriteHeader(200)
			rw.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newMesh(t, read(t, pair(t, "http", "")...))
			if test.handler == nil {
				w.register("a", "users")
			} else {
				w.answer("a", test.handler)
			}
			w.answer("b", always("b", 200))
			if got := w.start("p", "posts").call("POST", "x"); (got == "200 b") != test.repeated {
				t.Errorf("%s: the answer is %q", name, got)
			}
		})
	}
}

// Without an answer the proxy answers as Envoy does.
func TestAnswersOfTheProxy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMesh(t, read(t, pair(t, "http", "")...))
		posts := w.start("p", "posts")
		if got := posts.call("GET", ""); got != "503 no healthy upstream" {
			t.Errorf("without a task: %q", got)
		}
		if got := w.told("it calls users:80, and no task is there"); len(got) != 1 {
			t.Errorf("the events are %q", w.events)
		}
		w.register("a", "users")
		if got := posts.call("GET", ""); got != "503 upstream connect error or disconnect/reset before headers" {
			t.Errorf("with a task that does not listen: %q", got)
		}
		if len(w.dialled) < 3 {
			t.Errorf("dialled: %q", w.dialled)
		}
	})
}

// A request ends after its time-out, and is not repeated.
func TestTimeout(t *testing.T) {
	for more, want := range map[string]struct {
		after time.Duration
		got   string
	}{
		``: {15 * time.Second, "504 upstream request timeout"},
		`, "Timeout": {"PerRequestTimeoutSeconds": 40}`:                           {40 * time.Second, "504 upstream request timeout"},
		`, "Timeout": {"PerRequestTimeoutSeconds": 0}`:                            {50 * time.Second, "200 done"},
		`, "Timeout": {"PerRequestTimeoutSeconds": 60}`:                           {50 * time.Second, "200 done"},
		`, "Timeout": {"PerRequestTimeoutSeconds": 0, "IdleTimeoutSeconds": 20}`:  {20 * time.Second, "EOF"},
		`, "Timeout": {"PerRequestTimeoutSeconds": 10, "IdleTimeoutSeconds": 20}`: {10 * time.Second, "504 upstream request timeout"},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newMesh(t, read(t, pair(t, "http", more)...))
			requests := 0
			w.answer("a", func(rw http.ResponseWriter, r *http.Request) {
				requests++
				io.Copy(io.Discard, r.Body)
				select {
				case <-time.After(50 * time.Second):
					fmt.Fprint(rw, "done")
				case <-r.Context().Done():
				}
			})
			begin := time.Now()
			got := w.start("p", "posts").call("POST", "x")
			if took := time.Since(begin); took != want.after || !strings.HasSuffix(got, want.got) || requests != 1 {
				t.Errorf("%s: %q after %v and %d requests, want %q after %v", more, got, took, requests, want.got, want.after)
			}
		})
	}
}

// The time-out counts from the first attempt, and ends an answer that has begun.
func TestTimeoutOfTheWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMesh(t, read(t, pair(t, "http", "")...))
		w.answer("a", func(rw http.ResponseWriter, _ *http.Request) {
			time.Sleep(10 * time.Second)
			rw.WriteHeader(503)
		})
		w.answer("b", func(rw http.ResponseWriter, r *http.Request) {
			rw.WriteHeader(200)
			rw.(http.Flusher).Flush()
			<-r.Context().Done()
		})
		posts, begin := w.start("p", "posts"), time.Now()
		if got := posts.call("GET", ""); got != "unexpected EOF" || time.Since(begin) != 15*time.Second {
			t.Errorf("%q after %v", got, time.Since(begin))
		}
	})
}

// Bytes that pass begin the idle time-out again.
func TestIdleTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMesh(t, read(t, pair(t, "http", `, "Timeout": {"PerRequestTimeoutSeconds": 0, "IdleTimeoutSeconds": 20}`)...))
		w.answer("a", func(rw http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			for range 4 {
				time.Sleep(15 * time.Second)
				fmt.Fprint(rw, "x")
				rw.(http.Flusher).Flush()
			}
		})
		body, send := io.Pipe()
		go func() {
			for range 4 {
				time.Sleep(15 * time.Second)
				fmt.Fprint(send, "y")
			}
			send.Close()
		}()
		r, _ := http.NewRequest("POST", "http://users/", body)
		if got := w.start("p", "posts").send(r); got != "200 xxxx" {
			t.Errorf("the answer is %q", got)
		}
	})
}

// A task that fails five times in a row is left out for 30 seconds.
func TestEjection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMesh(t, read(t, pair(t, "http", "")...))
		status := 500
		w.answer("a", func(rw http.ResponseWriter, r *http.Request) { always("a", status)(rw, r) })
		w.answer("b", always("b", 200))
		posts := w.start("p", "posts")
		counts := func(n int) string {
			by := map[string]int{}
			for range n {
				by[posts.call("GET", "")]++
			}
			return fmt.Sprint(by)
		}
		if got := counts(8); got != "map[200 b:4 500 a:4]" {
			t.Fatalf("before: %s", got)
		}
		status = 200
		if got := counts(2); got != "map[200 a:1 200 b:1]" { // a success, so that the failures are not in a row
			t.Fatalf("a success: %s", got)
		}
		status = 500
		time.Sleep(time.Second)
		if got := counts(10); got != "map[200 b:5 500 a:5]" {
			t.Fatalf("five failures: %s", got)
		}
		if got := counts(10); got != "map[200 b:10]" {
			t.Errorf("ejected: %s", got)
		}
		if got := w.Status().(Status).Names[0].Callers[0].Ejected; !slices.Equal(got, []string{"a"}) {
			t.Errorf("the status has %v", got)
		}
		time.Sleep(ejection - time.Nanosecond)
		if got := counts(10); got != "map[200 b:10]" {
			t.Errorf("shortly before its end: %s", got)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		status = 200
		if got := counts(10); got != "map[200 a:5 200 b:5]" {
			t.Errorf("after it: %s", got)
		}
		for _, want := range []string{"1s EJECTED users:80 leaves task a of users out for 30s: it failed 5 times in a row, within 0s; the last time: 500 Internal Server Error", "31s  users:80 leads to task a of users again"} {
			if got := w.told(want); len(got) != 1 {
				t.Errorf("no event says %q: %q", want, w.events)
			}
		}
		// It counts anew.
		status = 500
		if got := counts(8); got != "map[200 b:4 500 a:4]" {
			t.Errorf("later: %s", got)
		}
	})
}

// If all tasks are ejected, requests go to all. Time-outs and connections that fail count.
func TestAllEjected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMesh(t, read(t, pair(t, "http", "")...))
		w.answer("a", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		posts := w.start("p", "posts")
		for range 6 {
			if got := posts.call("GET", ""); got != "504 upstream request timeout" {
				t.Errorf("the answer is %q", got)
			}
		}
		if got := w.told("within 1m0s; the last time: no answer in time"); len(got) != 1 {
			t.Errorf("the events are %q", w.events)
		}
		w.Deregister("a")
		w.register("c", "users") // nobody listens
		for range 2 {
			posts.call("GET", "")
		}
		if got := w.told("task c of users out for 30s: it failed 5 times in a row, within 0s; the last time: connection refused"); len(got) != 1 {
			t.Errorf("the events are %q", w.events)
		}
	})
}

// A caller that goes away is no failure of a task.
func TestCallersThatGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMesh(t, read(t, pair(t, "http", "")...))
		w.answer("a", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		posts := w.start("p", "posts")
		for range 6 {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			r, _ := http.NewRequestWithContext(ctx, "GET", "http://users/", nil)
			posts.send(r)
			cancel()
			synctest.Wait()
		}
		if got := w.told("EJECTED"); len(got) > 0 {
			t.Errorf("the events are %q", got)
		}
	})
}

// A body that is too long to keep is sent once.
func TestLongBodies(t *testing.T) {
	for size, want := range map[int]string{maxReplay: "200 b", maxReplay + 1: "503 a"} {
		synctest.Test(t, func(t *testing.T) {
			w := newMesh(t, read(t, pair(t, "http", "")...))
			var got []byte
			w.answer("a", func(rw http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				always("a", 503)(rw, r)
			})
			w.answer("b", func(rw http.ResponseWriter, r *http.Request) {
				got, _ = io.ReadAll(r.Body)
				always("b", 200)(rw, r)
			})
			body := bytes.Repeat([]byte("0123456789abcdef"), size/16+1)[:size]
			if answer := w.start("p", "posts").call("POST", string(body)); answer != want {
				t.Errorf("%d bytes: %s, want %s", size, answer, want)
			}
			if want == "200 b" && !bytes.Equal(got, body) {
				t.Errorf("%d bytes: the second task got %d others", size, len(got))
			}
		})
	}
}

// An attempt that has failed may still read the body: what it gets is for the next one, too.
func TestReplay(t *testing.T) {
	source, write := io.Pipe()
	body := &replay{source: source}
	first, second := body.reader(), body.reader()
	read := make(chan string)
	go func() {
		b := make([]byte, 10)
		n, _ := first.Read(b)
		read <- string(b[:n])
	}()
	io.WriteString(write, "one")
	if got := <-read; got != "one" {
		t.Fatalf("the first got %q", got)
	}
	first.Close()
	go func() {
		io.WriteString(write, "two")
		write.CloseWithError(errors.New("broken"))
	}()
	got, err := io.ReadAll(second)
	if string(got) != "onetwo" || err == nil || err.Error() != "broken" {
		t.Errorf("the second got %q, %v", got, err)
	}
	if _, err := first.Read(make([]byte, 1)); err != http.ErrBodyReadAfterClose {
		t.Errorf("the first may read on: %v", err)
	}
	if got, err := io.ReadAll(body.reader()); string(got) != "onetwo" || err == nil {
		t.Errorf("a third got %q, %v", got, err)
	}
}

// The headers are the caller's, with those that the proxy adds.
func TestHeaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMesh(t, read(t, pair(t, "http", "")...))
		var got http.Header
		var host string
		w.answer("a", func(rw http.ResponseWriter, r *http.Request) { got, host = r.Header, r.Host })
		posts := w.start("p", "posts")
		posts.call("GET", "")
		if got.Get("X-Envoy-Expected-Rq-Timeout-Ms") != "15000" || got.Get("X-Forwarded-Proto") != "http" || len(got.Get("X-Request-Id")) != 36 || host != "users" || got.Get("X-Forwarded-For") != "" {
			t.Errorf("the task got %v for %s", got, host)
		}
		r, _ := http.NewRequest("GET", "http://users/", nil)
		for _, header := range []string{"X-Forwarded-Proto", "X-Forwarded-For", "X-Forwarded-Host", "Forwarded", "X-Request-Id"} {
			r.Header.Set(header, "own")
		}
		posts.send(r)
		for _, header := range []string{"X-Forwarded-Proto", "X-Forwarded-For", "X-Forwarded-Host", "Forwarded", "X-Request-Id"} {
			if values := got[header]; !slices.Equal(values, []string{"own"}) {
				t.Errorf("%s is %q", header, values)
			}
		}
	})
	synctest.Test(t, func(t *testing.T) {
		w := newMesh(t, read(t, pair(t, "http", `, "Timeout": {"PerRequestTimeoutSeconds": 0}`)...))
		var got http.Header
		w.answer("a", func(rw http.ResponseWriter, r *http.Request) { got = r.Header })
		w.start("p", "posts").call("GET", "")
		if _, has := got["X-Envoy-Expected-Rq-Timeout-Ms"]; has {
			t.Errorf("the task got %v", got)
		}
	})
}

// HTTP/2 without TLS passes with trailers, and a call of gRPC that fails has a status of gRPC.
func TestHTTP2(t *testing.T) {
	for protocol, failed := range map[string]string{"http2": "503 no healthy upstream ", "grpc": "200  14 no healthy upstream"} {
		synctest.Test(t, func(t *testing.T) {
			w := newMesh(t, read(t, pair(t, protocol, "")...))
			posts := w.start("p", "posts")
			transport := posts.Transport.(*http.Transport)
			transport.Protocols = &http.Protocols{}
			transport.Protocols.SetUnencryptedHTTP2(true)
			call := func() string {
				r, _ := http.NewRequest("POST", "http://users/S/M", strings.NewReader("x"))
				r.Header.Set("Content-Type", "application/grpc+proto")
				r.Header.Set("Te", "trailers")
				response, err := posts.Do(r)
				if err != nil {
					return err.Error()
				}
				defer response.Body.Close()
				text, _ := io.ReadAll(response.Body)
				return fmt.Sprintf("%d %s %s %s", response.StatusCode, text, response.Header.Get("Grpc-Status")+response.Trailer.Get("Grpc-Status"), response.Header.Get("Grpc-Message"))
			}
			if got := call(); strings.TrimSpace(got) != strings.TrimSpace(failed) {
				t.Errorf("%s without a task: %q, want %q", protocol, got, failed)
			}
			version := 0
			w.answer("a", func(rw http.ResponseWriter, r *http.Request) {
				version = r.ProtoMajor
				rw.Header().Set("Trailer", "Grpc-Status")
				io.Copy(rw, r.Body)
				rw.Header().Set("Grpc-Status", "5")
			}, (*http.Protocols).SetUnencryptedHTTP2)
			if got := call(); got != "200 x 5 " || version != 2 {
				t.Errorf("%s: %q over HTTP/%d", protocol, got, version)
			}
		})
	}
}

// A connection that changes its protocol lasts longer than a request.
func TestUpgrade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMesh(t, read(t, pair(t, "http", "")...))
		w.answer("a", func(rw http.ResponseWriter, r *http.Request) {
			conn, buffered, err := rw.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
			line, _ := buffered.ReadString('\n')
			time.Sleep(20 * time.Second)
			fmt.Fprint(conn, line)
		})
		r, _ := http.NewRequest("GET", "http://users/", nil)
		r.Header.Set("Connection", "Upgrade")
		r.Header.Set("Upgrade", "echo")
		response, err := w.start("p", "posts").Do(r)
		if err != nil || response.StatusCode != 101 {
			t.Fatalf("%v, %v", response, err)
		}
		fmt.Fprint(response.Body.(io.Writer), "hello\n")
		text := make([]byte, 6)
		if _, err := io.ReadFull(response.Body, text); err != nil || string(text) != "hello\n" {
			t.Errorf("the echo is %q, %v", text, err)
		}
		response.Body.Close()
	})
}

// Service Connect looks at no health checks: an unhealthy task gets requests, and an event says so.
func TestUnhealthyTaskOfServiceConnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMesh(t, read(t, pair(t, "http", "")...))
		w.answer("a", always("a", 200))
		posts := w.start("p", "posts")
		w.Health("a", false)
		time.Sleep(time.Hour)
		for range 2 {
			if got := posts.call("GET", ""); got != "200 a" {
				t.Errorf("the answer is %q", got)
			}
		}
		if got := w.told("users:80 leads to task a of users, which is not healthy: Service Connect looks at failures"); len(got) != 1 {
			t.Errorf("the events are %q", w.events)
		}
		w.Deregister("a")
		if got := posts.call("GET", ""); got != "503 no healthy upstream" {
			t.Errorf("after the end of the task: %q", got)
		}
	})
}
