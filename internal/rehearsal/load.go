package rehearsal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	traceHeader = "X-Amzn-Trace-Id"
	// maxInFlight bounds connections, and so file descriptors. Further requests wait, and
	// their latency says so.
	maxInFlight = 4096
	// idleTimeout is below the 60 s of an Application Load Balancer, so that no request
	// meets a connection that is closing.
	idleTimeout = 30 * time.Second
	// maxBody bounds the answers of the baseline, in bytes. Thousands of answers may be open.
	maxBody = 8 << 20
)

// answer is what a route answers.
type answer struct {
	status      int
	contentType string
	body        []byte
}

// compare says what is wrong with another answer, and how it differs.
func (a answer) compare(b answer) (p problem, difference string) {
	switch {
	case a.status != b.status:
		p = otherStatus
		if b.status >= 500 {
			p = serverError
		}
		return p, fmt.Sprintf("status %d, not %d: %s", b.status, a.status, clip(b.body, 0))
	case a.contentType != b.contentType:
		return otherType, fmt.Sprintf("content type %q, not %q", b.contentType, a.contentType)
	case !bytes.Equal(a.body, b.body):
		i := 0
		for i < len(a.body) && i < len(b.body) && a.body[i] == b.body[i] {
			i++
		}
		return otherBody, fmt.Sprintf("differs at byte %d: %s, not %s", i, clip(b.body, i), clip(a.body, i))
	}
	return fine, ""
}

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

// get requests a URL. It uses the transport without a client, which would follow
// redirects. The body is what read returns. The error explains a problem; a request that was
// sent twice has none.
func get(ctx context.Context, transport *http.Transport, timeout time.Duration, url, traceID string, read func(io.Reader) ([]byte, error)) (answer, problem, error) {
	var connections atomic.Int32
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("the answer did not end within %v", timeout))
	defer cancel()
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connections.Add(1) },
	}), http.MethodGet, url, nil)
	if err != nil {
		return answer{}, unsent, err
	}
	req.Header.Set(traceHeader, traceID)
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return answer{}, classify(ctx, err), err
	}
	defer resp.Body.Close()
	p := fine
	if connections.Load() > 1 {
		p = resent
	}
	body, err := read(resp.Body)
	switch {
	case err == nil:
		return answer{resp.StatusCode, resp.Header.Get("Content-Type"), body}, p, nil
	case ctx.Err() != nil:
		p = timedOut
	case p == fine:
		p = incomplete
	}
	return answer{}, p, err
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

func classify(ctx context.Context, err error) problem {
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

// takeBaseline requests every route twice. It returns the answers, and the services that
// answered if the load balancer reports them.
func takeBaseline(ctx context.Context, urls []string, o Options, rec *recording) ([]answer, []string, error) {
	transport := newTransport()
	defer transport.CloseIdleConnections()
	measure := func(i int) (answer, error) {
		first, _, err := get(ctx, transport, o.Timeout, urls[i], rec.traceID(baselineBit+2*uint64(i)), readWhole)
		if err != nil {
			return first, fmt.Errorf("%s: %w", o.Routes[i], err)
		}
		second, _, err := get(ctx, transport, o.Timeout, urls[i], rec.traceID(baselineBit+2*uint64(i)+1), readLike(first.body))
		if err != nil {
			return first, fmt.Errorf("%s: %w", o.Routes[i], err)
		}
		if p, difference := first.compare(second); p != fine {
			return first, fmt.Errorf("%s answers differently each time, so a change would not show: leave this route out (%s)", o.Routes[i], difference)
		}
		if first.status >= 500 {
			return first, fmt.Errorf("%s answers with status %d: %s", o.Routes[i], first.status, clip(first.body, 0))
		}
		return first, nil
	}
	var answers []answer
	var errs []error
	for i := 0; i < len(urls) && len(errs) < 3 && ctx.Err() == nil; i++ {
		answer, err := measure(i)
		answers = append(answers, answer)
		if err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		return nil, nil, fmt.Errorf("the answers of %s cannot be the baseline: %w", o.Walk[0], errors.Join(errs...))
	}
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return answers, slices.Sorted(maps.Keys(rec.baselines)), ctx.Err()
}

// load sends requests to all routes in turn, each at the moment at which it is due.
type load struct {
	rec      *recording
	routes   int
	baseline []answer
	// ask sends one request, and waits for its answer.
	ask func(route int, traceID string) (answer, problem, error)
	// nap waits exactly. Go's timers may be a millisecond late on an idle Linux.
	nap func(time.Duration)
	// most is the number of requests after which the load ends by itself.
	most int
}

// newLoad asks the given URLs over connections of its own. Close them after the last answer.
func newLoad(urls []string, o Options, baseline []answer, rec *recording) (l *load, closeIdle func()) {
	transport := newTransport()
	ask := func(route int, traceID string) (answer, problem, error) {
		return get(context.Background(), transport, o.Timeout, urls[route], traceID, readLike(baseline[route].body))
	}
	return &load{rec, len(urls), baseline, ask, napExactly, o.most}, transport.CloseIdleConnections
}

// run sends requests until the context ends or there were the most, and returns after the last answer. Due times
// count from began.
func (l *load) run(running context.Context, began time.Time) {
	// Neighbours on the list go to the same service. Mixed, each service gets its
	// requests evenly.
	mixed := make([]int, l.routes)
	for route := range mixed {
		mixed[route*stride(l.routes)%l.routes] = route
	}
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
		late := held // of this request
		answers.Go(func() {
			l.send(began, seq, mixed[seq%len(mixed)], late)
			<-slots
		})
	}
	answers.Wait()
}

func (l *load) send(began time.Time, seq, route int, held bool) {
	due, sent := l.rec.due(seq), l.rec.begin(began, seq, route, held)
	got, p, err := l.ask(route, l.rec.traceID(uint64(seq)))
	over := time.Since(began)
	detail := ""
	if err != nil {
		detail = err.Error()
	} else if p == fine {
		p, detail = l.baseline[route].compare(got)
	}
	l.rec.finish(seq, uint16(got.status), sent-due, over-due, p, detail)
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
