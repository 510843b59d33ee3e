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

// Module adds the routes of one part of the API to a router. A microservice
// serves one module, the monolith all of them. It returns an error if its data
// cannot be used; the service then refuses to start.
type Module func(*Router) error

// Handler answers a GET request; HEAD is derived from it. A nil result is a
// bug, and like a panic it is answered with status 500 and logged.
type Handler func(*http.Request) *Response

// Router finds the handler of a request. Unlike [http.ServeMux] it matches as
// the koa-router of the original API did: on the path as it was sent, still
// percent-encoded, in upper or lower case, with or without one slash at the
// end, and it answers what does not match with the original's plain texts.
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

// What a route allows. Every route is a GET route so far.
const allowed = "HEAD, GET"

var (
	notFound         = text(http.StatusNotFound, "Not Found")
	methodNotAllowed = text(http.StatusMethodNotAllowed, "Method Not Allowed").allowing(allowed)
	notImplemented   = text(http.StatusNotImplemented, "Not Implemented")
	options          = NoContent.allowing(allowed)
	internalError    = text(http.StatusInternalServerError, "Internal Server Error")

	// The answers to what is not a request that a route could answer.
	badRequest = text(http.StatusBadRequest, "Bad Request")
	tooSlow    = text(http.StatusRequestTimeout, "Request Timeout")
	tooLarge   = text(http.StatusRequestEntityTooLarge, "Content Too Large")
	badVersion = text(http.StatusHTTPVersionNotSupported, "HTTP Version Not Supported")
)

// newRouter returns a router with the routes that every service has and those
// of the modules, or the errors of all modules together.
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

// Get registers the handler for GET and HEAD requests to pattern, a path whose
// segments are literal or a name in braces, which matches any one segment:
// "/api/users/{userId}". The handler finds what it matched, URL-decoded, with
// [PathValue], or as a number with [PathID].
//
// A pattern that could match the same path as an earlier one is refused when
// the service starts: which of the two answers must not depend on their order.
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

// find returns the handler whose pattern matches the request's path, after
// noting the pattern in the request for [PathValue]; nil if there is none.
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

// matches takes a path as trim returns it, with as many slashes as the
// pattern has.
func (t *route) matches(path string) bool {
	for _, s := range t.segments {
		segment, rest, _ := strings.Cut(path, "/")
		if segment == "" {
			return false
		}
		// An escaped path is ASCII, so EqualFold's Unicode folding cannot
		// match more than upper against lower case.
		if _, ok := placeholder(s); !ok && !strings.EqualFold(s, segment) {
			return false
		}
		path = rest
	}
	return path == ""
}

// trim returns what the segments of a path are in: it takes the slash from its
// beginning and, if there is one, from its end. It returns false if there is
// none at the beginning, or nothing but two.
func trim(path string) (segments string, ok bool) {
	segments, ok = strings.CutPrefix(path, "/")
	if segments == "/" {
		return "", false
	}
	return strings.TrimSuffix(segments, "/"), ok
}

// split cuts a pattern into its segments. It returns false if there is an empty
// segment or no slash at the beginning.
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

// decode is JavaScript's decodeURIComponent; like the original, it leaves a
// segment as it is that does not decode to UTF-8.
func decode(segment string) string {
	if s, err := url.PathUnescape(segment); err == nil && utf8.ValidString(s) {
		return s
	}
	return segment
}

// PathValue returns what the name matched in the request's path, URL-decoded;
// nothing if the request's route has no such name. Unlike
// [http.Request.PathValue] it needs no map in every request.
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

// PathID returns the path value called name as an id, read as leniently as
// JavaScript's parseInt reads it: "1abc", "01", "0x1", "1.9" and "+1" are all
// 1. It returns false for what is not a number. Ids beyond 2^53 all read as
// one number that no record has.
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
	// JavaScript's numbers are exact up to here only.
	const limit = 1 << 53
	for i := range len(s) {
		digit := digitValue(s[i])
		if digit >= base {
			break
		}
		n, ok = min(n*base+digit, limit), true
	}
	return sign * n, ok
}

func digitValue(c byte) int64 {
	switch {
	case '0' <= c && c <= '9':
		return int64(c - '0')
	case 'a' <= c && c <= 'f':
		return int64(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int64(c-'A') + 10
	}
	return 16
}

// isSpace reports whether JavaScript's parseInt skips the character. That is
// not Go's set: it has the byte order mark and lacks U+0085.
func isSpace(r rune) bool {
	switch r {
	case '\t', '\n', '\v', '\f', '\r', '\u2028', '\u2029', '\ufeff':
		return true
	}
	return unicode.Is(unicode.Zs, r)
}
