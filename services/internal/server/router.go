package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"cutover/services/internal/lambda"
)

// Module adds the routes of a part of the API to a router. A microservice serves one module, the
// monolith all. The error says that its data cannot be used; the service then does not start.
type Module func(*Router) error

// Handler answers a request. A nil result is a bug. Like a panic, it is answered with status 500 and
// logged.
type Handler func(*http.Request) *Response

// Router finds the handler of a request, like the koa-router of the original API and unlike
// [http.ServeMux]. It matches the path as it was sent: percent-encoded, in upper or lower case,
// with or without one slash at the end. It answers an unknown path with the original's plain texts.
type Router struct {
	routes   []*route
	errs     []error
	getenv   func(string) string
	commands []command
	records  map[string]lambda.Records
	checks   []func() error
	stops    []func() error
	// answeredBy is the value of X-Answered-By in each answer; nil leaves the header out.
	answeredBy []string
}

// route is a pattern with the handlers of its methods.
type route struct {
	pattern  string
	segments []string
	slashes  int // between segments
	get      Handler
	writes   []write

	// The answers that tell the methods.
	methodNotAllowed, notImplemented, options *Response
}

// write is a method with a body.
type write struct {
	method  string
	maxBody int64
	handler Handler
}

// command is a command of the program, of one of its modules.
type command struct {
	name string
	run  func(ctx context.Context, args []string, stdout io.Writer) error
	// beside says that the program listens and answers, while the command runs until it is stopped.
	beside bool
}

var (
	notFound         = text(http.StatusNotFound, "Not Found")
	methodNotAllowed = text(http.StatusMethodNotAllowed, "Method Not Allowed")
	notImplemented   = text(http.StatusNotImplemented, "Not Implemented")
	internalError    = text(http.StatusInternalServerError, "Internal Server Error")

	// The answers to bytes that no route could answer.
	badRequest = text(http.StatusBadRequest, "Bad Request")
	tooSlow    = text(http.StatusRequestTimeout, "Request Timeout")
	tooLarge   = text(http.StatusRequestEntityTooLarge, "Content Too Large")
	badVersion = text(http.StatusHTTPVersionNotSupported, "HTTP Version Not Supported")
)

// newRouter returns a router with the routes of every service and of the modules. The error has
// those of all modules.
func newRouter(modules ...Module) (*Router, error) {
	rt := &Router{}
	ready, apiReady := text(http.StatusOK, "Ready to receive requests"), text(http.StatusOK, "API ready to receive requests")
	rt.Get("/", func(*http.Request) *Response { return ready })
	rt.Get("/api/", func(*http.Request) *Response { return apiReady })
	for _, module := range modules {
		if err := module(rt); err != nil {
			rt.errs = append(rt.errs, err)
		}
	}
	if name := rt.Getenv(answeredBy); name != "" {
		rt.answeredBy = []string{name}
	}
	for _, check := range rt.checks {
		rt.errs = append(rt.errs, check())
	}
	return rt, errors.Join(rt.errs...)
}

// Environment returns a module without routes. It gives the modules after it their environment.
func Environment(getenv func(string) string) Module {
	return func(rt *Router) error {
		rt.getenv = getenv
		return nil
	}
}

// Getenv returns a variable of the service's environment. Without [Environment], there are none.
func (rt *Router) Getenv(name string) string {
	if rt.getenv == nil {
		return ""
	}
	return rt.getenv(name)
}

// Command registers what a module does for a command of the program, as in seed. The modules with the same command run one after
// the other. What they write is for people.
func (rt *Router) Command(name string, run func(ctx context.Context, args []string, stdout io.Writer) error) {
	rt.commands = append(rt.commands, command{name: name, run: run})
}

// Worker registers what a module does for a command that runs until the program is stopped, as in consume. It is stopped when its
// context ends. Meanwhile the program answers the health check, and no other request.
func (rt *Router) Worker(name string, run func(ctx context.Context, log *slog.Logger) error) {
	rt.commands = append(rt.commands, command{name: name, beside: true, run: func(ctx context.Context, _ []string, _ io.Writer) error {
		return run(ctx, loggerOf(ctx))
	}})
}

// Records registers what takes the records that Lambda has for the function from a source, as in aws:sqs.
func (rt *Router) Records(source string, take lambda.Records) {
	if rt.records == nil {
		rt.records = map[string]lambda.Records{}
	}
	rt.records[source] = take
}

// named are the commands with a name.
func (rt *Router) named(name string) []command {
	return slices.DeleteFunc(slices.Clone(rt.commands), func(c command) bool { return c.name != name })
}

// OnComplete registers what is checked when all modules have added their routes.
func (rt *Router) OnComplete(check func() error) { rt.checks = append(rt.checks, check) }

// OnStop registers what is called when the service has answered its last request.
func (rt *Router) OnStop(stop func() error) { rt.stops = append(rt.stops, stop) }

func (rt *Router) stop() (err error) {
	for _, stop := range rt.stops {
		err = errors.Join(err, stop())
	}
	return err
}

// Get registers the handler for GET and HEAD requests to a pattern. The pattern is a path of
// literal segments and names in braces, such as "/api/users/{userId}". A name matches any one
// segment, and a name behind "#", as in "/api/posts/{#postId}", an id as [StrictID] reads it. The
// handler gets the segment, URL-decoded, with [PathValue], or as a number with [PathID].
//
// A service does not start with two patterns that match the same path.
func (rt *Router) Get(pattern string, handler Handler) {
	if t := rt.route(pattern); t != nil && t.get == nil {
		t.get = handler
		t.allow()
	} else if t != nil {
		rt.errs = append(rt.errs, fmt.Errorf("the routes %q and %q can match the same path", t.pattern, pattern))
	}
}

// Write registers the handler for requests of a method to a pattern, as in [Router.Get]. The handler
// gets the body with [Body]. A request with a body of more than maxBody bytes is refused.
func (rt *Router) Write(method, pattern string, maxBody int64, handler Handler) {
	if t := rt.route(pattern); t != nil {
		t.writes = append(t.writes, write{method, maxBody, handler})
		t.allow()
	}
}

// route returns the route of a pattern. It adds a new one, or returns nil for one that cannot be.
func (rt *Router) route(pattern string) *route {
	segments, ok := split(pattern)
	if !ok {
		rt.errs = append(rt.errs, fmt.Errorf("the route %q is not a path: it must begin with a slash and have no empty segment", pattern))
		return nil
	}
	shown := strings.ReplaceAll(pattern, "{#", "{")
	for _, other := range rt.routes {
		if slices.Equal(segments, other.segments) && shown == other.pattern {
			return other
		}
		if overlap(segments, other.segments) {
			rt.errs = append(rt.errs, fmt.Errorf("the routes %q and %q can match the same path", other.pattern, pattern))
			return nil
		}
	}
	t := &route{pattern: shown, segments: segments, slashes: max(0, len(segments)-1)}
	rt.routes = append(rt.routes, t)
	return t
}

// allow renders the answers that tell the methods of the route.
func (t *route) allow() {
	var methods []string
	if t.get != nil {
		methods = append(methods, http.MethodHead, http.MethodGet)
	}
	for _, w := range t.writes {
		methods = append(methods, w.method)
	}
	allowed := strings.Join(methods, ", ")
	t.methodNotAllowed, t.notImplemented, t.options = methodNotAllowed.allowing(allowed), notImplemented.allowing(allowed), NoContent.allowing(allowed)
}

// respond answers the request.
func (rt *Router) respond(r *http.Request) *Response {
	t := rt.find(r)
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
	default:
		if t != nil {
			return t.notImplemented
		}
		return notImplemented
	}
	switch {
	case t == nil:
		return notFound
	case r.Method == http.MethodOptions:
		return t.options
	}
	if handler, _ := t.handler(r.Method); handler != nil {
		return handler(r)
	}
	return t.methodNotAllowed
}

// Ask answers a GET request of a module to another one in the same service.
func (rt *Router) Ask(r *http.Request) *Response { return rt.respond(r) }

// Has says whether the service has a route with the pattern.
func (rt *Router) Has(pattern string) bool {
	return slices.ContainsFunc(rt.routes, func(t *route) bool { return t.pattern == pattern })
}

// handler returns the handler of a method, or nil, and the largest body of its requests. That is 0 if
// nothing reads the body.
func (t *route) handler(method string) (handler Handler, maxBody int64) {
	if method == http.MethodGet || method == http.MethodHead {
		return t.get, 0
	}
	for _, w := range t.writes {
		if w.method == method {
			return w.handler, w.maxBody
		}
	}
	return nil, 0
}

// find returns the route of the request's path, or nil. It notes the pattern in the request for
// [PathValue].
func (rt *Router) find(r *http.Request) *route {
	path, ok := trim(r.URL.EscapedPath())
	if !ok {
		return nil
	}
	slashes := strings.Count(path, "/")
	for _, t := range rt.routes {
		if t.slashes == slashes && t.matches(path) {
			r.Pattern = t.pattern
			return t
		}
	}
	return nil
}

// matches takes a path of trim, with as many slashes as the pattern.
func (t *route) matches(path string) bool {
	for _, s := range t.segments {
		segment, rest, _ := strings.Cut(path, "/")
		if segment == "" {
			return false
		}
		// An escaped path is ASCII, so Unicode folding does no more than ignore case.
		name, ok := placeholder(s)
		if !ok && !strings.EqualFold(s, segment) {
			return false
		}
		if strings.HasPrefix(name, "#") {
			if _, ok := StrictID(segment); !ok {
				return false
			}
		}
		path = rest
	}
	return path == ""
}

// trim removes the slash at the beginning of a path, and a slash at the end. It returns false
// without a slash at the beginning, and for two slashes alone.
func trim(path string) (segments string, ok bool) {
	segments, ok = strings.CutPrefix(path, "/")
	if segments == "/" {
		return "", false
	}
	return strings.TrimSuffix(segments, "/"), ok
}

// split cuts a pattern into its segments. It returns false for an empty segment, or without a slash
// at the beginning.
func split(pattern string) (segments []string, ok bool) {
	path, ok := trim(pattern)
	if !ok || path == "" {
		return nil, ok
	}
	segments = strings.Split(path, "/")
	return segments, !slices.Contains(segments, "")
}

func placeholder(segment string) (name string, ok bool) {
	if len(segment) > 2 && segment[0] == '{' && segment[len(segment)-1] == '}' {
		return segment[1 : len(segment)-1], true
	}
	return "", false
}

func overlap(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		_, pa := placeholder(a[i])
		_, pb := placeholder(b[i])
		if !pa && !pb && !strings.EqualFold(a[i], b[i]) {
			return false
		}
	}
	return true
}

// decode is JavaScript's decodeURIComponent. Like the original, it returns a segment unchanged that
// does not decode to UTF-8.
func decode(segment string) string {
	if s, err := url.PathUnescape(segment); err == nil && utf8.ValidString(s) {
		return s
	}
	return segment
}

// PathValue returns the segment of the request's path for the name, URL-decoded; "" if the route
// has no such name. Unlike [http.Request.PathValue] it needs no map in every request.
func PathValue(r *http.Request, name string) string {
	pattern, _ := trim(r.Pattern)
	path, _ := trim(r.URL.EscapedPath())
	for pattern != "" {
		var expected, segment string
		expected, pattern, _ = strings.Cut(pattern, "/")
		segment, path, _ = strings.Cut(path, "/")
		if n, ok := placeholder(expected); ok && n == name {
			return decode(segment)
		}
	}
	return ""
}

// PathID returns the path value of the name as an id. It is as lenient as JavaScript's parseInt:
// "1abc", "01", "0x1", "1.9" and "+1" are all 1. It returns false if there is no number. All ids
// beyond 2^53 read as one number that no record has.
func PathID(r *http.Request, name string) (id int64, ok bool) {
	return parseInt(PathValue(r, name))
}

// StrictID reads an id as the API writes it: a number from 1 to 2^53 - 1 in decimal digits, the first of
// which is not 0.
func StrictID(s string) (id int64, ok bool) {
	id, err := strconv.ParseInt(s, 10, 64)
	return id, err == nil && id >= 1 && id <= MaxID && strconv.FormatInt(id, 10) == s
}

// MaxID is the largest id. JavaScript's numbers are exact up to here.
const MaxID = 1<<53 - 1

func parseInt(s string) (n int64, ok bool) {
	if s == "" || s[0] <= ' ' || s[0] > '~' {
		s = strings.TrimLeftFunc(s, isSpace)
	}
	sign := int64(1)
	if rest, found := strings.CutPrefix(s, "-"); found {
		s, sign = rest, -1
	} else {
		s = strings.TrimPrefix(s, "+")
	}
	base := int64(10)
	if len(s) >= 2 && s[0] == '0' && (s[1] == 'x' || s[1] == 'X') {
		s, base = s[2:], 16
	}
	const limit = MaxID + 1
	for i := range len(s) {
		digit := int64(strings.IndexByte("0123456789abcdefABCDEF", s[i]))
		if digit > 15 {
			digit -= 6
		}
		if digit < 0 || digit >= base {
			break
		}
		n, ok = min(n*base+digit, limit), true
	}
	return sign * n, ok
}

// isSpace tells whether JavaScript's parseInt skips the character. Unlike Go's set, this one has
// the byte order mark and lacks U+0085.
func isSpace(r rune) bool {
	switch r {
	case '\t', '\n', '\v', '\f', '\r', '\u2028', '\u2029', '\ufeff':
		return true
	}
	return unicode.Is(unicode.Zs, r)
}
