package rehearsal

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"cutover/internal/plain"
)

// Stream is a request whose answer goes on: server-sent events, or a WebSocket. It is opened at the beginning of each phase, and watched
// until the walk ends. It is no part of the load.
type Stream interface {
	// Route is the request that opens the stream. Its name is that of the stream in the report.
	Route() *Request
	// Baseline opens the stream in the first phase. It is called twice: before and after the trial of the load.
	Baseline(ctx context.Context, line *Line) error
	// Watch opens connections, and watches them until the context ends. It opens a connection again that ends before. It is called
	// for each phase of the walk, from a goroutine of its own.
	Watch(ctx context.Context, line *Line)
	// Result is called once, after the last Watch has returned. At says how a connection came to its end.
	Result(at func(Connection) Fate) ([]StreamEnd, Result)
}

// Line leads the connections of streams to a listener.
type Line struct {
	// URL is that of the listener, without a path.
	URL string
	// Transport has the connections.
	Transport *http.Transport
	// Timeout is how long to wait for the head of an answer.
	Timeout time.Duration
	rec     *recording
}

// Connect begins a connection. It returns its number, and the value of the header [TraceHeader] by which the load balancer tells
// about it.
func (l *Line) Connect() (n int, trace string) {
	n = l.rec.connect()
	return n, l.rec.traceID(streamBit + uint64(n))
}

// Ask sends a request to the same listener, such as a login, and waits for the answer.
func (l *Line) Ask(ctx context.Context, r *Request) Answer {
	_, trace := l.Connect()
	a := get(ctx, l.Transport, l.Timeout, way{base: l.URL}, Call{Request: r}, trace)
	a.Seq = -1
	return a
}

// Connection is one connection of a stream.
type Connection struct {
	// N is the number that [Line.Connect] gave.
	N int
	// Asked is when its request was sent, Opened when the head of the answer was there, and Ended when it ended. Ended is zero if it
	// was open at the end of the walk.
	Asked, Opened, Ended time.Time
}

// Fate is how a connection came to its end.
type Fate struct {
	// Handled says who gave the stream, and in which phase or step it was opened.
	Handled
	// Ended is the phase or step in which the connection ended. It is empty if that was the end of the walk.
	Ended string
	// Draining says that the target was going away.
	Draining bool
	// Idle says that the load balancer ended the connection, because nothing was sent for its idle timeout.
	Idle bool
	// Fault is the fault that explains the end, and Until when the fault was over.
	Fault string
	Until time.Time
	// Reason is what the load balancer says about the end. It may be empty.
	Reason string
}

// StreamEnd is what became of connections of a stream that fared alike.
type StreamEnd struct {
	// Stream is the name of its request.
	Stream string `json:"stream"`
	// Opened is the phase or step in which it was opened, and Service the service that gave it.
	Opened  string `json:"opened"`
	Service string `json:"service"`
	// Ended is the phase or step in which it ended. It is empty if it was open at the end of the walk.
	Ended string `json:"ended"`
	// How is what the client saw, as "close frame 1001". Why explains the end, if something does.
	How string `json:"how"`
	Why string `json:"why"`
	// Again says how it was opened again, as "at once".
	Again string `json:"again"`
	// Count is the number of connections.
	Count int `json:"count"`
	// Fails says that the end fails the rehearsal.
	Fails bool `json:"fails"`
}

// String is a sentence.
func (e StreamEnd) String() string {
	text := fmt.Sprintf("%s of %s, opened in %s", e.Stream, cmp.Or(e.Service, "nobody"), e.Opened)
	if e.Count > 1 {
		text = fmt.Sprintf("%s connections to %s", group(e.Count), text)
	}
	if e.Ended == "" {
		return text + ": open to the end."
	}
	text += fmt.Sprintf(": ended in %s, %s", e.Ended, e.How)
	if e.Why != "" {
		text += ", " + e.Why
	}
	return text + "; opened again " + e.Again + "."
}

// streamBit marks the places of connections of streams. It is below baselineBit.
const streamBit = 1 << 62

// maxConnections bounds the memory for what the load balancer says about connections of streams.
const maxConnections = 100_000

// lines is what is known about the connections of streams.
type lines struct {
	connections int
	records     map[uint64]Record
}

func (r *recording) connect() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines.connections++
	return r.lines.connections
}

// observeStream needs the lock.
func (r *recording) observeStream(n uint64, record Record) {
	if len(r.lines.records) < maxConnections {
		record.Service, record.Target, record.Reason = plain.Line(record.Service), plain.Line(record.Target), plain.Line(record.Reason)
		r.lines.records[n] = record
	}
}

// streamPassage is what a connection of a stream went through.
func (r *recording) streamPassage(record Record) *passage {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.passed(record)
}

// streamRecord is what the load balancer says about a connection of a stream.
func (r *recording) streamRecord(n int) Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lines.records[uint64(n)]
}

// newLines returns a line for each stream, and what closes their connections.
func (r *Rehearsal) newLines() (lines []*Line, closeIdle func()) {
	transport := newTransport()
	for _, stream := range r.Workload.Streams {
		lines = append(lines, &Line{URL: strings.TrimSuffix(r.d.URL(stream.Route()), "/"), Transport: transport, Timeout: r.Timeout, rec: r.rec})
	}
	return lines, transport.CloseIdleConnections
}

// streamBaselines has the streams take their baselines, all at once: they wait for events.
func (r *Rehearsal) streamBaselines(ctx context.Context) []error {
	errs := make([]error, len(r.Workload.Streams))
	var all sync.WaitGroup
	for i, stream := range r.Workload.Streams {
		all.Go(func() { errs[i] = stream.Baseline(ctx, r.lines[i]) })
	}
	all.Wait()
	return slices.DeleteFunc(errs, func(err error) bool { return err == nil })
}

// watch opens all streams, beside those that are open already.
func (r *Rehearsal) watch() {
	for i, stream := range r.Workload.Streams {
		r.watching.Go(func() { stream.Watch(r.watched, r.lines[i]) })
	}
}

// endStreams asks the streams what they have found.
func (r *Rehearsal) endStreams() {
	r.fated = map[int]bool{}
	for _, stream := range r.Workload.Streams {
		ends, result := stream.Result(func(c Connection) Fate { return r.fate(stream.Route(), c) })
		for _, e := range ends {
			e.Stream, e.Opened, e.Service, e.Ended = plain.Line(e.Stream), plain.Line(e.Opened), plain.Line(e.Service), plain.Line(e.Ended)
			e.How, e.Why, e.Again = plain.Line(e.How), plain.Line(e.Why), plain.Line(e.Again)
			r.ends = append(r.ends, e)
		}
		r.streamResults = append(r.streamResults, result)
	}
}

// fate says how a connection of a stream came to its end.
func (r *Rehearsal) fate(request *Request, c Connection) Fate {
	r.mu.Lock()
	defer r.mu.Unlock()
	asked, record := c.Asked.Sub(r.began), r.rec.streamRecord(c.N)
	span := r.spanAt(asked)
	f := Fate{Handled: Handled{Stage: r.spans[span].name(), At: asked}, Idle: record.Idle, Reason: record.Reason}
	if record.TargetStatus != 0 {
		f.Service, f.Target = record.Service, record.Target
	}
	if !r.fated[c.N] {
		r.fated[c.N] = true
		r.streamed = append(r.streamed, streamed{request, span, f.Service, c.Opened.Sub(r.began), r.rec.streamPassage(record)})
	}
	if c.Ended.IsZero() {
		return f
	}
	moment := c.Ended
	for _, e := range r.events {
		switch {
		case e.Target != f.Target || e.Service != f.Service || e.Time.After(c.Ended):
		case e.State == "draining":
			f.Draining = true
		case e.State == "unused" && f.Draining: // a client sees the end after the deployment
			moment = e.Time
		}
	}
	at := r.spans[r.spanAt(moment.Sub(r.began))]
	f.Ended = at.name()
	if at.kind == harmed && plain.Line(at.fault.Service) == f.Service && !at.fault.Lossless {
		f.Fault, f.Until = at.fault.String(), r.began.Add(at.end)
	}
	return f
}

// streamed is a connection of a stream, as the analysis wants to know it.
type streamed struct {
	request *Request
	span    int    // in which it was opened
	service string // that gave it; empty if that is not known
	opened  time.Duration
	passage *passage
}

// countStreams counts the connections of streams for coverage.
func (a *analysis) countStreams(c *coverage) {
	for _, s := range a.streamed {
		c.count(counted{passage: s.passage, phase: a.column[s.span]}, 1, s.request.method(), "")
	}
}
