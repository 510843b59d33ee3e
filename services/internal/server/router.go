package server

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Module adds the routes of a part of the API to a router. A microservice serves one module, the
// monolith all. The error says that its data cannot be used; the service then does not start.
type Module func(*Router) error

// Handler answers a GET or HEAD request. A nil result is a bug. Like a panic, it is answered with
// status 500 and logged.
type Handler func(*http.Request) *Response

// Router finds the handler of a request, like the koa-router of the original API and unlike
// [http.ServeMux]. It matches the path as it was sent: percent-encoded, in upper or lower case,
// with or without one slash at the end. It answers an unknown path with the original's plain texts.
type Router struct {
	routes []route
	errs   []error
}

type route struct {
	pattern  string
	segments []string
	slashes  int // between segments
	handler  Handler
}

// The methods of a route. All routes are GET routes.
const allowed = "HEAD, GET"

var (
	notFound         = text(http.StatusNotFound, "Not Found")
	methodNotAllowed = text(http.StatusMethodNotAllowed, "Method Not Allowed").allowing(allowed)
	notImplemented   = text(http.StatusNotImplemented, "Not Implemented")
	options          = NoContent.allowing(allowed)
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
	return rt, errors.Join(rt.errs...)
}

// Get registers the handler for GET and HEAD requests to a pattern. The pattern is a path of
// literal segments and names in braces, such as "/api/users/{userId}". A name matches any one
// segment. The handler gets the segment, URL-decoded, with [PathValue], or as a number with
// [PathID].
//
// A service does not start with two patterns that match the same path.
func (rt *Router) Get(pattern string, handler Handler) {
	segments, ok := split(pattern)
	if !ok {
		rt.errs = append(rt.errs, fmt.Errorf("the route %q is not a path: it must begin with a slash and have no empty segment", pattern))
		return
	}
	for _, other := range rt.routes {
		if overlap(segments, other.segments) {
			rt.errs = append(rt.errs, fmt.Errorf("the routes %q and %q can match the same path", other.pattern, pattern))
			return
		}
	}
	rt.routes = append(rt.routes, route{pattern, segments, max(0, len(segments)-1), handler})
}

// respond answers the request.
func (rt *Router) respond(r *http.Request) *Response {
	handler := rt.find(r)
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
	default:
		if handler != nil {
			return notImplemented.allowing(allowed)
		}
		return notImplemented
	}
	switch {
	case handler == nil:
		return notFound
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		return handler(r)
	case r.Method == http.MethodOptions:
		return options
	default:
		return methodNotAllowed
	}
}

// find returns the handler of the request's path, or nil. It notes the pattern in the request for
// [PathValue].
func (rt *Router) find(r *http.Request) Handler {
	path, ok := trim(r.URL.EscapedPath())
	if !ok {
		return nil
	}
	slashes := strings.Count(path, "/")
	for i := range rt.routes {
		if t := &rt.routes[i]; t.slashes == slashes && t.matches(path) {
			r.Pattern = t.pattern
			return t.handler
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
		if _, ok := placeholder(s); !ok && !strings.EqualFold(s, segment) {
			return false
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
	// JavaScript's numbers are exact up to here.
	const limit = 1 << 53
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
