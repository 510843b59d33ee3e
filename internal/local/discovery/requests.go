package discovery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"cutover/internal/local/provider"
)

// retries is how often a request is sent again at most, each time to another task if there is one. It is sent again if
// no answer begins, or if the answer is 503: "Today SC will retry twice on connection failure or 503 responses"
// (https://github.com/aws/containers-roadmap/issues/1963). Any method is repeated. A connection that breaks counts as
// 503, because the proxy in the called task answers so. A time-out is not repeated.
const retries = 2

// maxReplay is how much of a body is kept, to send it again: the default of Envoy's buffers, 1 MiB. A request with a
// longer body is not repeated.
// https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/cluster/v3/cluster.proto
const maxReplay = 1 << 20

// Reasons for an answer of the proxy's own.
var (
	errNoTask = errors.New("no healthy upstream")
	errIdle   = errors.New("the connection was silent for too long")
)

// serveRequests proxies HTTP/1.1, or HTTP/2 without TLS if the port is for HTTP/2 or gRPC.
func (n *name) serveRequests(listener net.Listener) {
	protocols := &http.Protocols{}
	protocols.SetHTTP1(n.endpoint.Protocol == "http")
	protocols.SetUnencryptedHTTP2(n.endpoint.Protocol != "http")
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			return n.caller.provider.dial(ctx, address)
		},
		Protocols: protocols, DisableCompression: true, MaxIdleConnsPerHost: 64, IdleConnTimeout: n.endpoint.IdleTimeout,
	}
	defer transport.CloseIdleConnections()
	silent := log.New(io.Discard, "", 0)
	proxy := &httputil.ReverseProxy{
		Transport: &repeater{n, transport}, Rewrite: n.rewrite, ErrorHandler: n.fail, ErrorLog: silent, FlushInterval: -1,
	}
	server := &http.Server{
		Protocols: protocols, Handler: n.limited(proxy), ErrorLog: silent, IdleTimeout: n.endpoint.IdleTimeout, DisableGeneralOptionsHandler: true,
		BaseContext: func(net.Listener) context.Context { return n.caller.ctx },
	}
	defer context.AfterFunc(n.caller.ctx, func() { server.Close() })()
	server.Serve(listener)
	server.Close()
}

// limited ends a request after the time-out for requests, and earlier if no byte of it passes for the idle
// time-out.
func (n *name) limited(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancelCause(r.Context())
		defer cancel(nil)
		l := &limits{cancel: cancel, idle: n.endpoint.IdleTimeout}
		if limit := n.endpoint.RequestTimeout; limit > 0 {
			l.whole = time.AfterFunc(limit, func() { cancel(context.DeadlineExceeded) })
			defer l.whole.Stop()
		}
		if l.idle > 0 {
			l.silence = time.AfterFunc(l.idle, func() { cancel(errIdle) })
			defer l.silence.Stop()
		}
		r = r.WithContext(context.WithValue(ctx, limitsKey{}, l))
		r.Body = &heard{r.Body, l}
		next.ServeHTTP(w, r)
	})
}

type limitsKey struct{}

// limits are the time-outs of a request.
type limits struct {
	cancel         context.CancelCauseFunc
	idle           time.Duration
	whole, silence *time.Timer // nil without a limit
}

// heard is a body whose bytes begin the idle time-out again.
type heard struct {
	io.ReadCloser
	limits *limits
}

func (h *heard) Read(b []byte) (int, error) {
	n, err := h.ReadCloser.Read(b)
	if h.limits.silence != nil && n > 0 {
		h.limits.silence.Reset(h.limits.idle)
	}
	return n, err
}

// rewrite makes the request that a task gets: the caller's, with the headers that the proxy adds.
// https://github.com/aws/containers-roadmap/issues/1958 shows them.
func (n *name) rewrite(r *httputil.ProxyRequest) {
	for _, header := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
		if values, ok := r.In.Header[header]; ok {
			r.Out.Header[header] = values
		}
	}
	set := func(header, value string) {
		if r.Out.Header.Get(header) == "" {
			r.Out.Header.Set(header, value)
		}
	}
	set("X-Forwarded-Proto", "http")
	set("X-Request-Id", uuid.NewString())
	if limit := n.endpoint.RequestTimeout; limit > 0 {
		r.Out.Header.Set("X-Envoy-Expected-Rq-Timeout-Ms", strconv.FormatInt(limit.Milliseconds(), 10))
	}
	r.Out.Host, r.Out.URL.RawQuery = r.In.Host, r.In.URL.RawQuery
	r.Out.URL.Scheme, r.Out.URL.Host = "http", n.host
}

// fail answers a request that no task has answered, as Envoy does. To a call of gRPC, the status is in the
// headers: 14, UNAVAILABLE.
func (n *name) fail(w http.ResponseWriter, r *http.Request, err error) {
	status, text := http.StatusServiceUnavailable, "upstream connect error or disconnect/reset before headers"
	switch cause := context.Cause(r.Context()); {
	case errors.Is(cause, errIdle), cause != nil && !errors.Is(cause, context.DeadlineExceeded):
		panic(http.ErrAbortHandler) // the caller is gone, or its connection ends
	case cause != nil:
		status, text = http.StatusGatewayTimeout, "upstream request timeout"
	case errors.Is(err, errNoTask):
		text = errNoTask.Error()
	}
	if kind := r.Header.Get("Content-Type"); n.endpoint.Protocol == "grpc" && strings.HasPrefix(kind, "application/grpc") {
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Grpc-Status", "14")
		w.Header().Set("Grpc-Message", text)
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	w.WriteHeader(status)
	io.WriteString(w, text)
}

// repeater sends a request to a task, and again to another one if it fails.
type repeater struct {
	name *name
	http.RoundTripper
}

func (t *repeater) RoundTrip(r *http.Request) (*http.Response, error) {
	body := &replay{source: r.Body}
	if r.Body == nil || r.Body == http.NoBody {
		body = nil
	}
	var tried []string
	for {
		i := t.name.pick(tried)
		if i == nil {
			t.name.say("nothing", provider.Warning, fmt.Sprintf("it calls %v, and no task is there", t.name))
			return nil, errNoTask
		}
		attempt := r.Clone(r.Context())
		attempt.URL.Host = i.at(t.name.target)
		if body != nil {
			attempt.Body = body.reader()
		}
		response, err := t.RoundTripper.RoundTrip(attempt)
		cause := context.Cause(r.Context())
		if cause == nil || errors.Is(cause, context.DeadlineExceeded) {
			t.name.note(i, failure(response, err, cause))
		}
		tried = append(tried, i.task)
		if err == nil && response.StatusCode != http.StatusServiceUnavailable || cause != nil || len(tried) > retries || body != nil && !body.whole() {
			return t.passing(r, response), err
		}
		if err == nil {
			io.Copy(io.Discard, io.LimitReader(response.Body, maxReplay))
			response.Body.Close()
			err = errors.New(response.Status)
		}
		t.name.repeat(r, i, err)
	}
}

// passing lets the idle time-out begin again with the bytes of an answer. A connection that changes its protocol has no
// time-out for requests any more; what AWS does with it is not documented.
func (t *repeater) passing(r *http.Request, response *http.Response) *http.Response {
	l, _ := r.Context().Value(limitsKey{}).(*limits)
	switch {
	case response == nil || l == nil:
	case response.StatusCode != http.StatusSwitchingProtocols:
		response.Body = &heard{response.Body, l}
	case l.whole != nil:
		l.whole.Stop()
	}
	return response
}

// failure is what counts as a failure of a task, nil if nothing does.
func failure(response *http.Response, err, cause error) error {
	switch {
	case cause != nil:
		return errors.New("no answer in time")
	case err != nil:
		return err
	case response.StatusCode >= 500:
		return errors.New(response.Status)
	}
	return nil
}

// repeat notes that a request is sent again.
func (n *name) repeat(r *http.Request, i *instance, why error) {
	n.caller.provider.mu.Lock()
	n.repeated++
	n.caller.provider.mu.Unlock()
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		n.say("repeated "+r.Method, provider.Warning, fmt.Sprintf("%v repeats a %s of %s: %v has failed (%v); if it did what it was asked before, it is done twice",
			n, r.Method, r.URL.Path, i, why))
	}
}

// replay is a body that can be read again from its beginning, as far as maxReplay.
type replay struct {
	reading sync.Mutex // held while the source is read, which may take long
	source  io.Reader

	mu   sync.Mutex
	kept []byte
	err  error // of the end
	long bool  // some bytes are not kept
}

// whole says that the body can be read from its beginning.
func (b *replay) whole() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.long
}

func (b *replay) reader() io.ReadCloser { return &replayed{body: b} }

// replayed reads a body from its beginning. The reader of an attempt that has failed may still read: what it
// gets is kept for the next one.
type replayed struct {
	body   *replay
	at     int
	closed atomic.Bool
}

func (r *replayed) Read(p []byte) (int, error) {
	if n, err := r.again(p); n > 0 || err != nil {
		return n, err
	}
	b := r.body
	b.reading.Lock()
	defer b.reading.Unlock()
	if n, err := r.again(p); n > 0 || err != nil {
		return n, err
	}
	n, err := b.source.Read(p)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err = err
	if b.long = b.long || len(b.kept)+n > maxReplay; !b.long {
		b.kept = append(b.kept, p[:n]...)
	}
	r.at += n
	return n, err
}

// again reads what is kept.
func (r *replayed) again(p []byte) (int, error) {
	b := r.body
	b.mu.Lock()
	defer b.mu.Unlock()
	if r.closed.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	if r.at < len(b.kept) {
		n := copy(p, b.kept[r.at:])
		r.at += n
		return n, nil
	}
	return 0, b.err
}

func (r *replayed) Close() error {
	r.closed.Store(true)
	return nil
}
