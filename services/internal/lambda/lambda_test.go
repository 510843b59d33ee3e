package lambda

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// api is a Runtime API that gives events and takes what the program says.
type api struct {
	*httptest.Server
	events   chan http.Header // of the answer to the next question
	statuses chan int         // of the answers to what the program says
	said     chan string
}

const example = `{"requestContext":{"elb":{}},"httpMethod":"GET","path":"/","multiValueHeaders":{}}`

func newAPI(t *testing.T) *api {
	a := &api{events: make(chan http.Header), statuses: make(chan int, 1), said: make(chan string, 1)}
	a.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			w.WriteHeader(<-a.statuses)
			a.said <- fmt.Sprintf("%s %q %s", strings.TrimPrefix(r.URL.Path, "/2018-06-01/runtime/"), r.Header.Get("Lambda-Runtime-Function-Error-Type"), body)
			return
		}
		if r.URL.Path != "/2018-06-01/runtime/invocation/next" {
			t.Errorf("%s %s", r.Method, r.URL)
		}
		select {
		case header := <-a.events:
			for name, values := range header {
				w.Header()[name] = values
			}
			_, _ = io.WriteString(w, example)
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(a.Close)
	return a
}

func (a *api) address() string { return a.Listener.Addr().String() }

// give gives an event that the program has until then to answer.
func (a *api) give(id string, until time.Time) {
	a.events <- http.Header{"Lambda-Runtime-Aws-Request-Id": {id}, "Lambda-Runtime-Deadline-Ms": {fmt.Sprint(until.UnixMilli())}}
}

// serve runs a service until the test stops it, and returns its error.
func serve(t *testing.T, s Service) (stop func(), ended chan error) {
	ctx, stop := context.WithCancel(t.Context())
	ended = make(chan error, 1)
	go func() { ended <- s.Serve(ctx) }()
	return stop, ended
}

// broken closes the first connections.
type broken struct {
	net.Listener
	left atomic.Int32
}

func (b *broken) Accept() (net.Conn, error) {
	conn, err := b.Listener.Accept()
	for err == nil && b.left.Add(-1) >= 0 {
		_ = conn.Close()
		conn, err = b.Listener.Accept()
	}
	return conn, err
}

// TestServe: a Runtime API that is not there yet is waited for; each event is answered before the next one is asked for,
// after the flush; an answer that Lambda does not take is one line in the log.
func TestServe(t *testing.T) {
	a := newAPI(t)
	listener := &broken{Listener: a.Listener}
	listener.left.Store(3)
	a.Listener = listener
	a.Start()
	var log bytes.Buffer
	var flushed atomic.Int32
	s := Service{
		API: a.address(), Log: slog.New(slog.NewTextHandler(&log, nil)),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = fmt.Fprint(w, flushed.Load())
		}),
		Flush: func(context.Context) { flushed.Add(1) },
	}
	stop, ended := serve(t, s)
	for i, status := range []int{http.StatusAccepted, http.StatusRequestEntityTooLarge, http.StatusAccepted} {
		a.give(fmt.Sprint("id-", i), time.Now().Add(time.Minute))
		a.statuses <- status
		want := fmt.Sprintf(`invocation/id-%d/response "" {"statusCode":200,"statusDescription":"200 OK","multiValueHeaders":{"Content-Length":["1"]},"body":"%d","isBase64Encoded":false}`+"\n", i, i)
		if said := <-a.said; said != want || int(flushed.Load()) != i+1 {
			t.Errorf("said %swant %safter %d flushes", said, want, flushed.Load())
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if left := listener.left.Load(); left >= 0 {
		t.Errorf("%d connections were not tried", left)
	}
	if lines := log.String(); strings.Count(lines, "\n") != 1 || !strings.Contains(lines, "invocation/id-1/response") || !strings.Contains(lines, "413") {
		t.Errorf("logged %q", lines)
	}
}

// TestRequestEndsInTime: the context of a request ends with the time of the invocation, but not with the program; the
// flush has half of what is left.
func TestRequestEndsInTime(t *testing.T) {
	a := newAPI(t)
	a.Start()
	begun := make(chan time.Time, 1)
	flushed := make(chan time.Time, 1)
	s := Service{
		API: a.address(), Log: slog.New(slog.DiscardHandler),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			deadline, _ := r.Context().Deadline()
			begun <- deadline
			if time.Until(deadline) < time.Second {
				<-r.Context().Done()
			}
			_, _ = fmt.Fprint(w, r.Context().Err())
		}),
		Flush: func(ctx context.Context) {
			deadline, _ := ctx.Deadline()
			flushed <- deadline
		},
	}
	stop, ended := serve(t, s)
	defer stop()
	short := time.Now().Add(200 * time.Millisecond).Truncate(time.Millisecond)
	a.give("short", short)
	if got := <-begun; !got.Equal(short) {
		t.Errorf("the request has until %s, want %s", got, short)
	}
	<-flushed
	a.statuses <- http.StatusAccepted
	if said := <-a.said; !strings.Contains(said, `"body":"context deadline exceeded"`) {
		t.Error(said)
	}

	long := time.Now().Add(time.Hour).Truncate(time.Millisecond)
	given := time.Now()
	a.give("long", long)
	<-begun
	if half := <-flushed; half.Before(given.Add(long.Sub(given)/2)) || !half.Before(long.Add(-long.Sub(given)/4)) {
		t.Errorf("the flush has until %s, want half of the time until %s", half, long)
	}
	stop() // before Lambda has the answer
	a.statuses <- http.StatusAccepted
	if said := <-a.said; !strings.Contains(said, `"body":"<nil>"`) {
		t.Error(said)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestStopWhileAnswering: a request in hand is answered, and no further one is asked for.
func TestStopWhileAnswering(t *testing.T) {
	a := newAPI(t)
	a.Start()
	entered, leave := make(chan struct{}), make(chan struct{})
	s := Service{API: a.address(), Log: slog.New(slog.DiscardHandler), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		<-leave
		_, _ = fmt.Fprint(w, r.Context().Err())
	})}
	stop, ended := serve(t, s)
	a.give("last", time.Now().Add(time.Hour))
	<-entered
	stop()
	close(leave)
	a.statuses <- http.StatusAccepted
	if said := <-a.said; !strings.Contains(said, `"body":"<nil>"`) {
		t.Error(said)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestServeEnds: what the program cannot go on after is an error that says why.
func TestServeEnds(t *testing.T) {
	header := http.Header{"Lambda-Runtime-Aws-Request-Id": {"id"}, "Lambda-Runtime-Deadline-Ms": {"99999999999999"}}
	for _, test := range []struct {
		event  http.Header
		status int // of the answer to the response; 0 if there is none
		want   string
	}{
		{event: header, status: http.StatusInternalServerError, want: "does not take invocation/id/response: it answers with status 500"},
		{event: http.Header{}, want: "gives no event: it answers with status 200"},
		{event: http.Header{"Lambda-Runtime-Aws-Request-Id": {"id"}}, want: `gives no event: it sends the Lambda-Runtime-Deadline-Ms "", which is no number`},
	} {
		a := newAPI(t)
		a.Start()
		_, ended := serve(t, Service{API: a.address(), Log: slog.New(slog.DiscardHandler), Handler: http.NotFoundHandler()})
		a.events <- test.event
		if test.status != 0 {
			a.statuses <- test.status
		}
		if err := <-ended; err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), a.address()) {
			t.Errorf("%v, want %s", err, test.want)
		}
	}
}

func TestFailed(t *testing.T) {
	a := newAPI(t)
	a.Start()
	a.statuses <- http.StatusAccepted
	if err := Failed(t.Context(), a.address(), io.ErrNoProgress); err != nil {
		t.Error(err)
	}
	if said, want := <-a.said, `init/error "Runtime.InitError" {"errorMessage":"multiple Read calls return no data or error","errorType":"Runtime.InitError"}`; said != want {
		t.Errorf("said %s, want %s", said, want)
	}
}
