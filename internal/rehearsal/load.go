package rehearsal

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// TraceHeader is the header by which the load balancer's records are told apart.
	TraceHeader = "X-Amzn-Trace-Id"
	// maxInFlight bounds connections, and so file descriptors. Further requests wait, and
	// their latency says so.
	maxInFlight = 4096
	// idleTimeout is below the 60 s of an Application Load Balancer, so that no request
	// meets a connection that is closing.
	idleTimeout = 30 * time.Second
	// maxBody bounds the answers of the baseline, in bytes. Thousands of answers may be open.
	maxBody = 8 << 20
)

// Excerpt quotes the beginning of a body.
func Excerpt(body []byte) string { return clip(body, 0) }

// clip quotes a text around a place.
func clip(body []byte, at int) string {
	const before, after = 12, 60
	from, to := max(0, at-before), min(len(body), at+after)
	text := strconv.Quote(strings.ToValidUTF8(string(body[from:to]), "�"))
	if from > 0 {
		text = "…" + text
	}
	if to < len(body) {
		text += "…"
	}
	return text
}

func newTransport() *http.Transport {
	return &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		MaxIdleConnsPerHost: maxInFlight,
		IdleConnTimeout:     idleTimeout,
		DisableCompression:  true, // the bytes are compared as they are sent
	}
}

// way is where the requests of a route are sent: the URL of a listener or a front, without a path. Sign is nil if they need
// no signature.
type way struct {
	base string
	sign func(sent *http.Request, body []byte) error
}

// get sends a request to a listener, and waits for the answer. It uses the transport without a client, which would follow
// redirects. The answer's error explains its problem; a request that was sent twice has none.
func get(ctx context.Context, transport *http.Transport, timeout time.Duration, to way, call Call, traceID string) (a Answer) {
	fail := func(p Problem, err error) Answer { return Answer{Problem: p, Err: err} }
	var connections atomic.Int32
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("the answer did not end within %v", timeout))
	defer cancel()
	var body io.Reader
	if r := call.Request; len(r.Body) > 0 {
		body = bytes.NewReader(r.Body)
	}
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connections.Add(1) },
	}), call.Request.method(), to.base+call.Request.Path, body)
	if err != nil {
		return fail(unsent, err)
	}
	maps.Copy(req.Header, call.Request.Header)
	req.Header.Set(TraceHeader, traceID)
	req.Host = cmp.Or(call.Request.Host, req.Host)
	if to.sign != nil {
		if err := to.sign(req, call.Request.Body); err != nil {
			return fail(unsent, err)
		}
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return fail(classify(ctx, err), err)
	}
	defer resp.Body.Close()
	p := fine
	if connections.Load() > 1 {
		p = resent
	}
	read := call.Read
	if read == nil {
		read = readWhole
	}
	got, err := read(resp.Body)
	switch {
	case err == nil:
		return Answer{Status: resp.StatusCode, Header: resp.Header, Body: got, Problem: p}
	case ctx.Err() != nil:
		p = timedOut
	case p == fine:
		p = incomplete
	}
	return fail(p, err)
}

// readWhole reads a body of the baseline.
func readWhole(body io.Reader) ([]byte, error) {
	whole, err := io.ReadAll(io.LimitReader(body, maxBody+1))
	if err == nil && len(whole) > maxBody {
		err = fmt.Errorf("the answer has more than %d MiB: leave this route out", maxBody>>20)
	}
	return whole, err
}

// readLike reads a body that should be like another. While the body is, it shares the other's
// memory. Of the rest only the beginning is kept, and no more is read than the most that a
// baseline may have: a body may never end.
func readLike(like []byte) func(io.Reader) ([]byte, error) {
	return func(body io.Reader) ([]byte, error) {
		buffer := make([]byte, min(len(like)+512, 32<<10))
		for same := 0; ; {
			n, err := body.Read(buffer)
			if !bytes.HasPrefix(like[same:], buffer[:n]) {
				got := append(bytes.Clone(like[:same]), buffer[:n]...)
				more := []byte(nil)
				if err == nil {
					more, err = io.ReadAll(io.LimitReader(body, 512))
				}
				if err == nil {
					_, err = io.CopyN(io.Discard, body, maxBody)
				}
				return append(got, more...), notEnd(err)
			}
			if same += n; err != nil {
				return like[:same:same], notEnd(err)
			}
		}
	}
}

// notEnd returns an error, but not that of the end.
func notEnd(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

func classify(ctx context.Context, err error) Problem {
	var timeout net.Error
	switch {
	case ctx.Err() != nil, errors.As(err, &timeout) && timeout.Timeout():
		return timedOut
	case errors.Is(err, syscall.ECONNREFUSED):
		return refused
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return reset
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), strings.Contains(err.Error(), "server closed idle connection"):
		return closed
	}
	return unsent
}

// baseline has every source ask what it needs to know. It returns what is wrong with the first three that cannot be the
// measure.
func (r *Rehearsal) takeBaseline(ctx context.Context) error {
	transport := newTransport()
	defer transport.CloseIdleConnections()
	var errs []error
	for i, source := range r.plan.Sources {
		err := source.Baseline(ctx, r.ask(transport, i))
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			errs = append(errs, err)
		}
		if len(errs) == 3 {
			break
		}
	}
	errs = append(errs, r.streamBaselines(ctx)...)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if len(errs) > 0 {
		return fmt.Errorf("the answers of %s cannot be the baseline: %w", r.Walk[0], errors.Join(errs...))
	}
	return nil
}

// ask sends requests of a source outside of the load.
func (r *Rehearsal) ask(transport *http.Transport, source int) Ask {
	return func(ctx context.Context, route int, request *Request) Answer {
		route += r.plan.first[source]
		r.asked++
		a := get(ctx, transport, r.Timeout, r.ways[route], Call{Request: request}, r.rec.traceID(baselineBit+uint64(r.asked)))
		a.Seq = -1
		if r.baseline[route] == nil && a.Err == nil {
			r.baseline[route] = &a
		}
		return a
	}
}

// load sends requests, each at the moment at which it is due.
type load struct {
	rec *recording
	// next returns the request that is due, with its place among all routes.
	next func(seq int) Call
	// ask sends one request, and waits for its answer.
	ask func(call Call, traceID string) Answer
	// nap waits exactly. Go's timers may be a millisecond late on an idle Linux.
	nap func(time.Duration)
	// most is the number of requests after which the load ends by itself.
	most int
	// trial says that the load comes before the walk.
	trial bool
}

// newLoad sends the requests of the workload over connections of its own. Close them after the last answer.
func (r *Rehearsal) newLoad(rec *recording) (l *load, closeIdle func()) {
	transport := newTransport()
	ask := func(call Call, traceID string) Answer {
		return get(context.Background(), transport, r.Timeout, r.ways[call.Route], call, traceID)
	}
	return &load{rec: rec, next: r.plan.next, ask: ask, nap: napExactly, most: r.most}, transport.CloseIdleConnections
}

// run sends requests until the context ends or there were the most, and returns after the last answer. Due times
// count from began.
func (l *load) run(running context.Context, began time.Time) {
	var answers sync.WaitGroup
	slots := make(chan struct{}, maxInFlight)
	held := false // up by requests without an answer
	for seq := 0; seq < l.most && l.waitFor(running, began, l.rec.due(seq)); seq++ {
		select {
		case slots <- struct{}{}:
			held = held && time.Since(began)-l.rec.due(seq) > tooLate
		default:
			held = true
			slots <- struct{}{}
		}
		late, call := held, l.next(seq) // of this request
		answers.Go(func() {
			l.send(began, seq, call, late)
			<-slots
		})
	}
	answers.Wait()
}

func (l *load) send(began time.Time, seq int, call Call, held bool) {
	due, sent := l.rec.due(seq), l.rec.begin(began, seq, call.Route, held)
	got := l.ask(call, l.rec.traceID(uint64(seq)))
	over := time.Since(began)
	if got.Seq = seq; l.trial {
		got.Seq = -1
	}
	p, detail := call.Judge.Judge(got)
	if got.Problem != fine {
		p, detail = got.Problem, ""
	}
	if got.Err != nil {
		detail = got.Err.Error()
	}
	l.rec.finish(seq, uint16(got.Status), sent-due, over-due, p, detail)
}

// waitFor waits until a request is due. It returns false if the load has ended.
func (l *load) waitFor(running context.Context, began time.Time, due time.Duration) bool {
	const exact = 1500 * time.Microsecond
	if wait := due - time.Since(began); wait > exact {
		_ = sleep(running, wait-exact)
	}
	if wait := due - time.Since(began); wait > 0 && running.Err() == nil {
		l.nap(wait)
	}
	return running.Err() == nil
}

// napExactly has the kernel wait.
func napExactly(wait time.Duration) {
	left := unix.NsecToTimeval(int64(wait))
	_, _ = unix.Select(0, nil, nil, nil, &left)
}

// stride is a long step that visits each of n places once.
func stride(n int) int {
	step := max(1, n*618/1000)
	for new(big.Int).GCD(nil, nil, big.NewInt(int64(step)), big.NewInt(int64(n))).Int64() != 1 {
		step++
	}
	return step
}
