package rehearsal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

const (
	traceHeader = "X-Amzn-Trace-Id"
	// vegeta numbers the requests that it sends.
	seqHeader = "X-Vegeta-Seq"
	// maxInFlight bounds connections, and so file descriptors. Further requests wait, and
	// their latency says so.
	maxInFlight = 4096
	// idleTimeout is below the 60 s of an Application Load Balancer, so that no request
	// meets a connection that is closing.
	idleTimeout = 30 * time.Second
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

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// takeBaseline requests every route twice. It returns the answers, and the services that
// answered if the load balancer reports them.
func takeBaseline(ctx context.Context, urls []string, o Options, rec *recording) ([]answer, []string, error) {
	transport := newTransport()
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: o.Timeout, CheckRedirect: noRedirect}
	var seq uint64 = baselineBit
	get := func(url string) (answer, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return answer{}, err
		}
		req.Header.Set(traceHeader, rec.traceID(seq))
		seq++
		resp, err := client.Do(req)
		if err != nil {
			return answer{}, err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		return answer{resp.StatusCode, resp.Header.Get("Content-Type"), body}, err
	}
	measure := func(route, url string) (answer, error) {
		first, err := get(url)
		if err != nil {
			return first, err
		}
		second, err := get(url)
		if err != nil {
			return first, err
		}
		if p, difference := first.compare(second); p != fine {
			return first, fmt.Errorf("%s answers differently each time, so a change would not show: leave this route out (%s)", route, difference)
		}
		if first.status >= 500 {
			return first, fmt.Errorf("%s answers with status %d: %s", route, first.status, clip(first.body, 0))
		}
		return first, nil
	}
	var answers []answer
	var errs []error
	for i, route := range o.Routes {
		answer, err := measure(route, urls[i])
		answers = append(answers, answer)
		if err != nil {
			errs = append(errs, err)
		}
		if len(errs) == 3 || ctx.Err() != nil {
			break
		}
	}
	if len(errs) > 0 {
		return nil, nil, fmt.Errorf("the answers of %s cannot be the baseline: %w", o.Walk[0], errors.Join(errs...))
	}
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return answers, slices.Sorted(maps.Keys(rec.baselines)), nil
}

// startLoad sends requests until it is stopped. Stop waits for the answers under way,
// and returns when the load ended.
func startLoad(urls []string, o Options, baseline []answer, rec *recording) (began time.Time, stop func() time.Duration) {
	quit, done := make(chan struct{}), make(chan struct{})
	transport := &tracingTransport{newTransport(), rec}
	attacker := vegeta.NewAttacker(
		vegeta.Client(&http.Client{Transport: transport, Timeout: o.Timeout, CheckRedirect: noRedirect}),
		vegeta.MaxWorkers(maxInFlight))

	routes := map[string]uint16{}
	mixed := make([]string, len(urls))
	for i, url := range urls {
		// Neighbours on the list go to the same service. Mixed, each service gets its
		// requests evenly.
		mixed[i*stride(len(urls))%len(urls)] = url
		routes[url] = uint16(i)
	}
	var next atomic.Uint64
	targeter := func(t *vegeta.Target) error {
		t.Method, t.URL = http.MethodGet, mixed[(next.Add(1)-1)%uint64(len(mixed))]
		return nil
	}
	started := make(chan time.Time, 1)
	results := attacker.Attack(targeter, &pacer{rec: rec, started: started, quit: quit}, 0, "")
	began = <-started

	go func() {
		defer close(done)
		defer transport.CloseIdleConnections()
		for res := range results {
			seq := int(res.Seq)
			sent := res.Timestamp.Sub(began)
			due := rec.due(seq)
			route := routes[res.URL]
			p, detail := baseline[route].compare(answer{int(res.Code), res.Headers.Get("Content-Type"), res.Body})
			if res.Code == 0 {
				p, detail = incomplete, strings.TrimPrefix(res.Error, fmt.Sprintf("Get %q: ", res.URL))
				if strings.Contains(res.Error, context.DeadlineExceeded.Error()) || strings.Contains(res.Error, "Client.Timeout") {
					p = timedOut
				}
			}
			rec.finish(seq, route, res.Code, sent-due, sent-due+res.Latency, p, detail)
		}
	}()
	return began, func() time.Duration {
		close(quit)
		end := time.Since(began)
		<-done
		return end
	}
}

// stride is a long step that visits each of n places once.
func stride(n int) int {
	gcd := func(a, b int) int {
		for b != 0 {
			a, b = b, a%b
		}
		return a
	}
	step := max(1, n*618/1000)
	for gcd(step, n) != 1 {
		step++
	}
	return step
}

// pacer waits until requests are due, at the recording's fixed moments. It waits to the
// end itself, because vegeta's timers are less exact.
type pacer struct {
	rec     *recording
	started chan<- time.Time
	began   time.Time
	quit    <-chan struct{}
}

func (p *pacer) Pace(elapsed time.Duration, hits uint64) (time.Duration, bool) {
	if p.began.IsZero() {
		p.began = time.Now().Add(-elapsed)
		p.started <- p.began
	}
	const exact = 1500 * time.Microsecond
	due := p.rec.due(int(hits))
	if wait := due - elapsed; wait > exact {
		select {
		case <-p.quit:
		case <-time.After(wait - exact):
		}
	}
	select {
	case <-p.quit:
		return 0, true
	default:
	}
	if wait := due - time.Since(p.began); wait > 0 {
		nap(min(wait, exact))
	}
	return 0, false
}

func (p *pacer) Rate(time.Duration) float64 { return float64(p.rec.rate) }

// tracingTransport gives every request its trace id, and classifies its error.
type tracingTransport struct {
	*http.Transport
	rec *recording
}

func (t *tracingTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	seq, err := strconv.Atoi(req.Header.Get(seqHeader))
	if err != nil {
		return nil, fmt.Errorf("the request has no number: %w", err)
	}
	t.rec.begin(seq)
	var connections atomic.Int32
	req = req.Clone(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connections.Add(1) },
	}))
	req.Header.Del(seqHeader)
	req.Header.Set(traceHeader, t.rec.traceID(uint64(seq)))
	resp, err := t.Transport.RoundTrip(req)
	p := classify(req.Context(), err)
	if p == fine && connections.Load() > 1 {
		p = resent
	}
	t.rec.fail(seq, p)
	return resp, err
}

func classify(ctx context.Context, err error) problem {
	var timeout net.Error
	switch {
	case err == nil:
		return fine
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
