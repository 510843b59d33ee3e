package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"

	"cutover/internal/rehearsal"
	"cutover/internal/rehearsal/workload"
)

const (
	// checkRate is the rate of `make rehearse`, in requests per second.
	checkRate = 1200
	// checkRequests is how many requests there are at least in each of the two phases.
	checkRequests = 6000
	anHour        = 3600 * checkRate
	// held is how many requests show what the checks hold, and sampleBytes is what a rehearsal keeps of each.
	held, sampleBytes = 100_000, 32
)

// workloads are what a rehearsal asks the server of serveNotes, as routes files.
var workloads = []struct{ name, routes string }{
	{"bytes", "requests: [{path: /fixed}]"},
	{"json", "requests: [{path: /timed}]"}, // has a time, which is learned and left out
	{"writes", `
collections:
- name: note
  create: {method: POST, path: /notes, json: {text: "{{value}}"}}
  read: {path: "/notes/{{id}}"}
  replace: {method: PUT, path: "/notes/{{id}}", json: {text: "{{value}}"}}
  delete: {method: DELETE, path: "/notes/{{id}}"}
  value: {json: $.text}
`},
}

// checks measures what the checks of a rehearsal take of its load generator: of this process, which does
// nothing else.
func (b *bench) checks(out io.Writer) error {
	server, err := b.start(&subject{name: "notes", route: "/fixed", command: func(string) []string { return []string{os.Args[0], "-notes"} }}, "")
	if server != nil {
		defer func() { _ = server.stop() }()
	}
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "what is checked\tCPU of the load generator\tof the checks\tshare\tmemory, an hour")
	for _, w := range workloads {
		cost, err := b.check("http://"+server.client.address, w.name, w.routes)
		if err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		fmt.Fprintf(table, "%s\t%v a request\t%v\t%.1f %%\t%.0f MiB\n", w.name, (cost.whole / time.Duration(cost.requests)).Round(time.Microsecond),
			(cost.checks / time.Duration(cost.requests)).Round(100*time.Nanosecond), 100*float64(cost.checks)/float64(cost.whole), cost.hour/(1<<20))
	}
	return table.Flush()
}

// checkCost is what a rehearsal has taken: processor time, that of the checks in it, and the bytes that
// an hour of it would hold.
type checkCost struct {
	whole, checks time.Duration
	requests      int
	hour          float64
}

// check rehearses two phases of a deployment that stays as it is.
func (b *bench) check(url, name, routes string) (cost checkCost, err error) {
	file := filepath.Join(b.work, name+".yaml")
	if err := os.WriteFile(file, []byte(routes), 0o600); err != nil {
		return cost, err
	}
	read := func() (rehearsal.Workload, error) {
		build := workload.New(workload.Options{Writes: true})
		if err := build.File(file); err != nil {
			return rehearsal.Workload{}, err
		}
		return build.Build(name)
	}
	w, err := read()
	if err != nil {
		return cost, err
	}
	var checks atomic.Int64
	for i, source := range w.Sources {
		w.Sources[i] = timed{source, &checks}
	}
	r, err := rehearsal.New(rehearsal.Options{Walk: []string{"monolith", "parallel"}, Rate: checkRate, Requests: 2 * checkRequests, Workload: w})
	if err != nil {
		return cost, err
	}
	before := ownProcessorTime()
	report, err := r.Run(b.ctx, still(url))
	if err != nil {
		return cost, err
	}
	if report.Verdict.Outcome != rehearsal.Passed {
		return cost, errors.New(report.Verdict.Sentence)
	}
	cost = checkCost{whole: ownProcessorTime() - before, checks: time.Duration(checks.Load()), requests: report.Totals.Requests}
	if w, err = read(); err == nil {
		cost.hour, err = b.hold(w.Sources[0], held)
	}
	return cost, err
}

// timed measures the processor time of the checks of a source.
type timed struct {
	rehearsal.Source
	sum *atomic.Int64
}

func (t timed) Next() rehearsal.Call {
	call := t.Source.Next()
	call.Judge = timedJudge{call.Judge, t.sum}
	return call
}

type timedJudge struct {
	judge rehearsal.Judge
	sum   *atomic.Int64
}

// Judge stays on one thread, whose processor time is that of the check.
func (t timedJudge) Judge(a rehearsal.Answer) (rehearsal.Problem, string) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, after unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &before)
	problem, text := t.judge.Judge(a)
	_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &after)
	t.sum.Add(after.Nano() - before.Nano())
	return problem, text
}

// ownProcessorTime is that of this process.
func ownProcessorTime() time.Duration {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// still is a deployment that never changes.
type still string

func (d still) URL(*rehearsal.Request) string                { return string(d) }
func (d still) Gaps() []string                               { return nil }
func (d still) Run(context.Context, rehearsal.Command) error { return nil }
func (d still) Deploy(context.Context, string) (rehearsal.Changes, error) {
	return rehearsal.Changes{}, nil
}
func (d still) Fault(context.Context, string, string) (func(context.Context) error, error) {
	return nil, errors.New("nothing is harmed here")
}

// hold returns the bytes that the samples of an hour take, with what the checks hold more and more. There is
// no load here: the server is called, as often as requests says.
func (b *bench) hold(source rehearsal.Source, requests int) (bytes float64, err error) {
	server := notes()
	ask := func(seq int, r *rehearsal.Request) rehearsal.Answer {
		method := r.Method
		if method == "" {
			method = http.MethodGet
		}
		request := httptest.NewRequest(method, r.Path, strings.NewReader(string(r.Body)))
		answer := httptest.NewRecorder()
		server.ServeHTTP(answer, request)
		return rehearsal.Answer{Seq: seq, Status: answer.Code, Header: answer.Header(), Body: answer.Body.Bytes()}
	}
	for range 2 {
		if err := source.Baseline(b.ctx, func(_ context.Context, _ int, r *rehearsal.Request) rehearsal.Answer { return ask(-1, r) }); err != nil {
			return 0, err
		}
	}
	heap := func() float64 {
		runtime.GC()
		var memory runtime.MemStats
		runtime.ReadMemStats(&memory)
		return float64(memory.HeapAlloc)
	}
	var first float64
	for seq := range requests {
		call := source.Next()
		if problem, text := call.Judge.Judge(ask(seq, call.Request)); text != "" {
			return 0, fmt.Errorf("%v: %s", problem, text)
		}
		if seq == requests/2 {
			first = heap()
		}
	}
	return sampleBytes*anHour + max(0, heap()-first)*2*anHour/float64(requests), b.ctx.Err()
}

// serveNotes serves a document, one with a time in it, and notes in memory. The first line of out is the
// address.
func serveNotes(ctx context.Context, out io.Writer) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintln(out, listener.Addr())
	server := &http.Server{Handler: notes(), ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func notes() http.Handler {
	var mu sync.Mutex
	texts, last := map[string]json.RawMessage{}, 0
	padding := strings.Repeat("a document of about a kilobyte. ", 32)
	answer := func(w http.ResponseWriter, status int, v any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /fixed", func(w http.ResponseWriter, r *http.Request) { answer(w, 200, map[string]any{"text": padding}) })
	mux.HandleFunc("GET /timed", func(w http.ResponseWriter, r *http.Request) {
		answer(w, 200, map[string]any{"text": padding, "at": time.Now().UnixNano()})
	})
	mux.HandleFunc("POST /notes", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		last++
		id := strconv.Itoa(last)
		texts[id] = body
		mu.Unlock()
		w.Header().Set("Location", "/notes/"+id)
		answer(w, 201, json.RawMessage(body))
	})
	mux.HandleFunc("/notes/{id}", func(w http.ResponseWriter, r *http.Request) {
		id := r.PathValue("id")
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		if texts[id] == nil {
			answer(w, 404, map[string]any{})
			return
		}
		switch r.Method {
		case http.MethodPut:
			texts[id] = body
		case http.MethodDelete:
			delete(texts, id)
			w.WriteHeader(204)
			return
		}
		answer(w, 200, texts[id])
	})
	return mux
}
