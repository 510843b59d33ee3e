package server

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A line that the logger renders itself is the one that slog renders.
func TestRequestLines(t *testing.T) {
	at := time.Date(2026, 11, 21, 7, 5, 4, 120_000_000, time.UTC)
	hostile := "<&>\\\"\t\r\n\x1b\x7f\u0085\u2028é\xff " + strings.Repeat("x", 2000)
	requests := []served{
		{at: at, method: "GET", path: "/api/users/1", traceId: "Root=1-67891233-abcdef012345678912345678", status: 200, bytes: 129, duration: 42 * time.Microsecond},
		{at: at.Add(123456), method: "HEAD", path: "/", status: 204},
		{at: at.In(time.FixedZone("", -3600)), method: hostile, path: hostile, traceId: hostile, status: 501, bytes: 15, duration: time.Hour + 1500},
		{at: at, method: `a"b`, path: `a\b`, traceId: strings.Repeat("x", maxLogged), status: 501},
		{at: at, method: "<&>", traceId: strings.Repeat("x", maxLogged+1)},
	}
	// Durations with every number of digits, before the point and behind it.
	for d := time.Duration(999); d < 1000*time.Hour; d = d*3 + 7 {
		requests = append(requests, served{at: at.Add(d), duration: d}, served{at: at, duration: d.Round(10 * time.Microsecond)}, served{at: at, duration: d.Round(time.Millisecond)})
	}
	var own, standard bytes.Buffer
	log := newLogger(&own, slog.LevelInfo, `us"ers`)
	handler := slog.NewJSONHandler(&standard, nil).WithAttrs([]slog.Attr{slog.String("service", `us"ers`)})
	for _, s := range requests {
		own.Reset()
		standard.Reset()
		log.request(s)
		record := slog.NewRecord(s.at, slog.LevelInfo, "request", 0)
		record.Add("method", loggable(s.method), "path", loggable(s.path), "status", s.status, "bytes", s.bytes, "durationMs", float64(s.duration.Microseconds())/1000)
		if s.traceId != "" {
			record.Add("traceId", loggable(s.traceId))
		}
		if err := handler.Handle(t.Context(), record); err != nil {
			t.Fatal(err)
		}
		if own.String() != standard.String() {
			t.Errorf("logged %swant    %s", &own, &standard)
		}
	}
	own.Reset()
	newLogger(&own, slog.LevelWarn, "users").request(served{at: at})
	if own.Len() > 0 {
		t.Errorf("at level warn, logged %s", &own)
	}
}

// answerWriter is a response writer that can be used again.
type answerWriter struct{ header http.Header }

func (w *answerWriter) Header() http.Header         { return w.header }
func (w *answerWriter) WriteHeader(int)             {}
func (w *answerWriter) Write(p []byte) (int, error) { return len(p), nil }

// What a service adds to net/http takes no memory for a request.
func TestRequestsTakeNoMemory(t *testing.T) {
	app := &application{router: mustRouter(t, user), log: newLogger(io.Discard, slog.LevelInfo, "users")}
	w := &answerWriter{http.Header{}}
	for _, target := range []string{"/", "/api/users/1", "/api/users/9", "/nope"} {
		r := request(t, "GET", target)
		r.ProtoMajor = 1
		r.Header.Set("X-Amzn-Trace-Id", "Root=1-67891233-abcdef012345678912345678")
		if n := testing.AllocsPerRun(100, func() { app.ServeHTTP(w, r) }); n > 0 {
			t.Errorf("GET %s allocates %v times", target, n)
		}
	}
}

// slowLog takes a write when it is told to.
type slowLog struct {
	begun, goOn chan struct{}
	bytes.Buffer
}

func (l *slowLog) Write(p []byte) (int, error) {
	l.begun <- struct{}{}
	<-l.goOn
	return l.Buffer.Write(p)
}

// A stream keeps the order, holds no line back and writes together what came
// during a write; what it holds is bounded, and its end loses nothing.
func TestStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &slowLog{begun: make(chan struct{}), goOn: make(chan struct{})}
		s := newStream(out)
		var want strings.Builder
		add := func(line string) {
			want.WriteString(line)
			fmt.Fprint(s, line)
		}
		began := time.Now()
		add("first\n")
		<-out.begun // by itself
		if d := time.Since(began); d > 0 {
			t.Errorf("a line that comes alone was held back for %s", d)
		}
		for want.Len() < len("first\n")+maxPending {
			add(fmt.Sprintf("line %d\n", want.Len()))
		}
		waited := false
		go func() {
			add("one too many\n")
			waited = true
		}()
		synctest.Wait()
		if waited {
			t.Error("a stream takes more than it may hold")
		}
		out.goOn <- struct{}{}
		<-out.begun // all that gathered
		synctest.Wait()
		if !waited {
			t.Error("a stream that has room again does not take a line")
		}
		out.goOn <- struct{}{}
		<-out.begun // what waited
		closed := false
		go func() {
			s.close()
			closed = true
		}()
		synctest.Wait()
		if closed {
			t.Error("a stream was closed before everything was written")
		}
		out.goOn <- struct{}{}
		synctest.Wait()
		if !closed || out.String() != want.String() {
			t.Errorf("closed: %t, wrote %d bytes, want %d in their order", closed, out.Len(), want.Len())
		}
	})
}
