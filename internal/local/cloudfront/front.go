package cloudfront

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"cutover/internal/local/latency"
	"cutover/internal/local/provider"
)

// Limits of requests.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/cloudfront-limits.html#limits-general
const (
	maxURL     = 8192
	maxRequest = 20480
)

// front is a distribution on a socket of this machine. Its cache and its counts outlive deployments.
type front struct {
	port         int
	server       *http.Server
	distribution atomic.Pointer[distribution]
	cache        *cache

	mu     sync.Mutex
	counts map[string]*counts // by the pattern of a behavior
}

// counts are the requests of a behavior.
type counts struct {
	requests, hits, misses, errors int
	took                           latency.Counts
}

func newFront(d *distribution, ln net.Listener) *front {
	f := &front{port: ln.Addr().(*net.TCPAddr).Port, cache: newCache(), counts: map[string]*counts{}}
	f.distribution.Store(d)
	f.server = &http.Server{Handler: f, MaxHeaderBytes: 2 * maxRequest, DisableGeneralOptionsHandler: true, ErrorLog: log.New(io.Discard, "", 0)}
	return f
}

func (f *front) count(x *exchange) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.counts[x.pattern()]
	if c == nil {
		c = &counts{}
		f.counts[x.pattern()] = c
	}
	c.requests++
	switch {
	case x.status >= 400 || x.status == 0:
		c.errors++
	case x.hit:
		c.hits++
	default:
		c.misses++
	}
	c.took.Note(time.Since(x.start))
}

// exchange is a request of a viewer and its answer.
type exchange struct {
	f     *front
	d     *distribution
	b     *behavior
	w     http.ResponseWriter
	in    *http.Request
	r     *request
	start time.Time
	// result is what X-Cache says, as in Hit. hit says that the origin sent no body.
	result string
	hit    bool
	status int
}

func (x *exchange) pattern() string {
	if x.b == nil {
		return "*"
	}
	return x.b.Pattern
}

// ServeHTTP answers a request as the distribution's behaviors say.
func (f *front) ServeHTTP(w http.ResponseWriter, in *http.Request) {
	x := &exchange{f: f, d: f.distribution.Load(), w: w, in: in, start: time.Now()}
	defer f.count(x)
	x.r = viewer(in)
	size := len(in.Method) + len(in.RequestURI) + len("HTTP/1.1\r\n\r\n\r\n")
	for name, values := range x.r.header {
		for _, value := range values {
			size += len(name) + len(value) + len(": \r\n")
		}
	}
	x.r.path = x.d.place(x.r.path)
	x.b = x.d.at(x.r.path)
	switch {
	case len(in.RequestURI) > maxURL, size > maxRequest:
		w.Header().Set("Connection", "close")
		x.own(http.StatusRequestEntityTooLarge, "The request is too large.")
	case !x.d.Enabled:
		x.own(http.StatusForbidden, "The distribution is disabled.")
	case !slices.Contains(x.b.Methods, in.Method):
		x.own(http.StatusForbidden, "This distribution is not configured to allow the HTTP request method that was used for this request.")
	case in.Method == http.MethodGet && in.ContentLength != 0:
		x.own(http.StatusForbidden, "A GET request has no body.")
	default:
		x.serve()
	}
}

// viewer is the request of a viewer.
func viewer(in *http.Request) *request {
	r := &request{method: in.Method, header: in.Header, http10: !in.ProtoAtLeast(1, 1), id: identity()}
	r.path, r.query, _ = strings.Cut(in.RequestURI, "?")
	if !strings.HasPrefix(r.path, "/") { // in absolute form
		r.path = in.URL.EscapedPath()
	}
	if r.path == "" {
		r.path = "/"
	}
	r.header.Set("Host", in.Host)
	r.ip, _, _ = net.SplitHostPort(in.RemoteAddr)
	return r
}

func identity() string {
	var random [42]byte
	_, _ = rand.Read(random[:])
	return base64.URLEncoding.EncodeToString(random[:])
}

// shut closes distributions when their requests are answered, or when the context ends.
func shut(ctx context.Context, fronts []*front) error {
	var servers []*http.Server
	for _, f := range fronts {
		servers = append(servers, f.server)
	}
	return provider.Shutdown(ctx, servers...)
}
