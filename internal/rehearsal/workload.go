package rehearsal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
)

// Workload is what a rehearsal asks. The load and the checks of a rehearsal do not know what that is.
type Workload struct {
	// Sources send the requests. Each has its weight's share of the load.
	Sources []Source
	// Streams are watched beside the load.
	Streams []Stream
	// Prepare are run in the first phase, before the first request.
	Prepare []Command
	// About says where the requests come from, such as the name of a file. The report shows it.
	About string
	// Gaps are what the workload knows and does not send, a line each.
	Gaps []string
	// Unsent are requests that the workload knows and does not send.
	Unsent []*Request
}

// Command is a command of a service, such as one that writes its first records.
type Command struct {
	Service string
	Args    []string
}

// String is the command as the tool takes it.
func (c Command) String() string { return c.Service + " " + strings.Join(c.Args, " ") }

// Routes are those of all sources.
func (w Workload) Routes() (routes []*Request) {
	for _, source := range w.Sources {
		routes = append(routes, source.Routes()...)
	}
	return routes
}

// Source sends requests that belong together: one request again and again, the sessions of virtual
// users, or the writes and reads of a collection.
type Source interface {
	// Routes are the kinds of requests that the source sends, at least one. They never change, and are
	// the rows of the report.
	Routes() []*Request
	// Weight is the source's share of the requests, compared with those of the others: 1 to [MaxWeight].
	Weight() int
	// Baseline asks what the source has to know before the load. It is called twice in the first phase
	// of the walk. The load is tried for a moment between the calls, with the source's requests.
	Baseline(ctx context.Context, ask Ask) error
	// Next returns the next request. It is called from one goroutine each time a request is due, and
	// must not wait for anything.
	Next() Call
	// Result is called once, after the last answer.
	Result(at func(seq int) Handled) Result
}

// Finisher is a [Source] that has something to ask after the load.
type Finisher interface {
	// Finish is called once, after the last answer and before Result. The last phase is still up.
	Finish(ctx context.Context, ask Ask)
}

// Ask sends a request outside of the load, and waits for the answer. Route is the request's place in
// [Source.Routes]. The report shows the first answer of each.
type Ask func(ctx context.Context, route int, r *Request) Answer

// Call is a request that is due.
type Call struct {
	// Route is the request's place in [Source.Routes].
	Route   int
	Request *Request
	// Read reads the body of the answer. Default: the whole body, up to 8 MiB.
	Read func(io.Reader) ([]byte, error)
	// Judge takes the answer.
	Judge Judge
}

// Judge takes answers from many goroutines.
type Judge interface {
	// Judge says what is wrong with an answer, and explains it in a few words. It is called once for
	// each call. An answer with a problem of its own keeps that, whatever Judge returns.
	Judge(Answer) (Problem, string)
}

// Answer is what a client got.
type Answer struct {
	// Seq is the number of the request, for [Source.Result]. It is -1 before the walk.
	Seq int
	// Status is 0 without an answer.
	Status int
	Header http.Header
	Body   []byte
	// Problem says why there is no whole answer, and Err explains it. The outcome of such a request is
	// not known.
	Problem Problem
	Err     error
}

// Handled is how a request was answered.
type Handled struct {
	// Service is the service that answered. It is empty if none did, or if the load balancer did not
	// report it.
	Service string
	// Target is the one that was chosen. It is empty if that is not known.
	Target string
	// Stage is the phase or the step in which the request was sent.
	Stage string
	// At is when the request was sent, since the load began. It is 0 before the walk.
	At time.Duration
}

// Result is what a source has found out about the whole load.
type Result struct {
	// Ignored are the parts of answers that were not compared.
	Ignored []Ignored
	// Findings are what is wrong although no single answer shows it. One fails the rehearsal.
	Findings []Finding
	// Checked are what was checked beside the single answers, a line each.
	Checked []string
	// Undecided are questions that the source could not decide, a line each. One makes a rehearsal inconclusive that has
	// not failed.
	Undecided []string
	// Gaps are what the source has not tried, a line each.
	Gaps []string
	// Loose says that not all answers were compared byte for byte.
	Loose bool
}

// Finding is something that is wrong although no single answer shows it.
type Finding struct {
	// Kind is what it is, in two or three words, such as "lost write".
	Kind string `json:"kind"`
	// Stage is the phase or the step in which it showed. It may be empty.
	Stage string `json:"stage"`
	// Text says it in a sentence.
	Text string `json:"text"`
	// Detail has further lines, such as the history of a key.
	Detail []string `json:"detail"`
	// Count is how often it was found: 1 or more.
	Count int `json:"count"`
}

// Request is a request to send. Each has its own trace id.
type Request struct {
	// Name is what reports call the request. Default: the method if it is not GET, the host if there is
	// one, and the path.
	Name string
	// Method is the HTTP method. Default: GET.
	Method string
	// Path is the path with the query, as it is sent.
	Path string
	// Host is the Host header. Default: that of the listener's URL.
	Host   string
	Header http.Header
	Body   []byte
	// Safe says that the request changes nothing although its method may, as a search or a login.
	Safe bool
}

// String is the name of the request.
func (r *Request) String() string {
	if r.Name != "" {
		return r.Name
	}
	if r.method() == http.MethodGet {
		return r.Host + r.Path
	}
	return r.Method + " " + r.Host + r.Path
}

// Key tells requests apart that are sent differently.
func (r *Request) Key() string {
	return fmt.Sprintf("%q", []any{r.method(), r.Host, r.Path, r.Header, r.Body})
}

func (r *Request) method() string { return cmp.Or(r.Method, http.MethodGet) }

// Writes says whether the request may change something.
func (r *Request) Writes() bool {
	return !r.Safe && !slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace}, r.method())
}

// ownHeaders are what the rehearsal or Go's HTTP client sets.
var ownHeaders = []string{"Host", "Content-Length", "Transfer-Encoding", "Connection", "Trailer", TraceHeader}

// Check returns what is wrong with the request, all of it. The field of an error is one of method, path, host and
// headers.
func (r *Request) Check(refuse func(field, problem string)) {
	if method := r.method(); method != strings.ToUpper(method) || !httpguts.ValidHeaderFieldName(method) {
		refuse("method", fmt.Sprintf("method %q: must be the name of a method in capital letters, for example POST", method))
	} else if method == http.MethodConnect {
		refuse("method", "method CONNECT: a load balancer does not take it")
	}
	if u, err := url.ParseRequestURI(r.Path); err != nil || u.IsAbs() || !strings.HasPrefix(r.Path, "/") {
		refuse("path", fmt.Sprintf("route %q: must be a path as in a request line, for example /api/users", r.Path))
	} else if sent := strings.ReplaceAll(u.RequestURI(), " ", "%20"); sent != r.Path {
		refuse("path", fmt.Sprintf("route %q: write it as it is sent, %q", r.Path, sent))
	}
	if u, err := url.Parse("http://" + r.Host + "/"); r.Host != "" && (err != nil || u.Host != r.Host || u.User != nil) {
		refuse("host", fmt.Sprintf("host %q: must be a host name, for example shop.example.com", r.Host))
	}
	for name, values := range r.Header {
		switch {
		case !httpguts.ValidHeaderFieldName(name):
			refuse("headers", fmt.Sprintf("header %q: must be the name of a header", name))
		case slices.Contains(ownHeaders, http.CanonicalHeaderKey(name)):
			refuse("headers", fmt.Sprintf("header %s: the rehearsal sets it by itself", name))
		case slices.ContainsFunc(values, func(v string) bool { return !httpguts.ValidHeaderFieldValue(v) }):
			refuse("headers", fmt.Sprintf("header %s: its value must be one line without control characters", name))
		}
	}
}

// MaxWeight is the most that a source can weigh.
const MaxWeight = 1000

// maxCycle bounds the memory of a cycle, and how long each source takes to have its turn.
const maxCycle = 100_000

// maxStreams bounds the connections that are open for the whole walk.
const maxStreams = 100

// cycle is the order in which sources have their turns. Each has as many turns as it weighs, evenly
// spread.
func cycle(weights []int) []int {
	type turn struct {
		source, rank int
		at           float64 // of the cycle, from 0 to 1
	}
	var turns []turn
	for source, weight := range weights {
		// Neighbours on the list often go to the same service. Mixed, each service gets its requests evenly.
		rank := source * stride(len(weights)) % len(weights)
		for n := range weight {
			turns = append(turns, turn{source, rank, (float64(n) + 0.5) / float64(weight)})
		}
	}
	slices.SortFunc(turns, func(a, b turn) int { return cmp.Or(cmp.Compare(a.at, b.at), a.rank-b.rank) })
	var order []int
	for _, t := range turns {
		order = append(order, t.source)
	}
	return order
}

// plan is a workload that was checked.
type plan struct {
	Workload
	routes []*Request // of all sources
	names  []string   // of the routes; each has its own
	first  []int      // place of each source's first route
	cycle  []int
}

// newPlan checks a workload. It returns all that is wrong.
func newPlan(w Workload) (*plan, error) {
	p := &plan{Workload: w}
	var errs []error
	var weights []int
	total := 0
	for _, source := range w.Sources {
		weight := source.Weight()
		if weight < 1 || weight > MaxWeight {
			errs = append(errs, fmt.Errorf("route %q: weight %d: must be from 1 to %d", source.Routes()[0], weight, MaxWeight))
			weight = 1
		}
		total += weight
		weights, p.first = append(weights, weight), append(p.first, len(p.routes))
		p.routes = append(p.routes, source.Routes()...)
	}
	if len(p.routes) > maxRoutes {
		return p, fmt.Errorf("%d routes: the most is %d", len(p.routes), maxRoutes)
	}
	if total > maxCycle {
		errs = append(errs, fmt.Errorf("the weights are %d together: the most is %d", total, maxCycle))
	}
	once := map[string]bool{}
	for _, source := range w.Sources {
		if routes := source.Routes(); len(routes) == 1 {
			if once[routes[0].Key()] {
				errs = append(errs, fmt.Errorf("route %q is listed twice", routes[0]))
			}
			once[routes[0].Key()] = true
		}
	}
	if len(w.Streams) > maxStreams {
		errs = append(errs, fmt.Errorf("%d streams: the most is %d", len(w.Streams), maxStreams))
	}
	for _, stream := range w.Streams {
		stream.Route().Check(func(_, problem string) { errs = append(errs, errors.New(problem)) })
	}
	uses := map[string]int{}
	for _, route := range p.routes {
		route.Check(func(_, problem string) { errs = append(errs, errors.New(problem)) })
		name := route.String()
		if uses[name]++; uses[name] > 1 {
			name = fmt.Sprintf("%s (%d)", name, uses[name])
		}
		p.names = append(p.names, name)
	}
	if len(errs) == 0 {
		p.cycle = cycle(weights)
	}
	return p, errors.Join(errs...)
}

// next returns the request that is due, with its place among all routes.
func (p *plan) next(seq int) Call {
	source := p.cycle[seq%len(p.cycle)]
	call := p.Sources[source].Next()
	call.Route += p.first[source]
	return call
}

// Paths is a workload of GET requests, each of which has to be answered as in the first phase.
func Paths(paths ...string) Workload {
	var w Workload
	for _, path := range paths {
		w.Sources = append(w.Sources, NewCompared(Request{Path: path}, Expect{}, 1))
	}
	return w
}
