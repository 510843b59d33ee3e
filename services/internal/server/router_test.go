package server

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// echo is a module with the pattern shapes that the API has. Its routes answer
// with what they matched.
func echo(rt *Router) error {
	list, err := JSON([]string{"<&>"})
	if err != nil {
		return err
	}
	rt.Get("/api/users", func(*http.Request) *Response { return list })
	rt.Get("/api/users/{userId}", func(r *http.Request) *Response {
		id, ok := PathID(r, "userId")
		if !ok {
			return NoContent
		}
		return text(http.StatusOK, fmt.Sprint(id, " ", PathValue(r, "userId")))
	})
	rt.Get("/api/posts/by-user/{userId}", func(*http.Request) *Response { return list })
	return nil
}

func mustRouter(t testing.TB, modules ...Module) *Router {
	t.Helper()
	rt, err := newRouter(modules...)
	if err != nil {
		t.Fatal(err)
	}
	return rt
}

// request makes a request whose path is sent as it is written.
func request(t testing.TB, method, target string) *http.Request {
	t.Helper()
	u, err := url.ParseRequestURI(target)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Request{Method: method, URL: u, RequestURI: target, Header: http.Header{}}
}

func TestRouter(t *testing.T) {
	rt := mustRouter(t, echo)
	for _, c := range []struct {
		target string
		status int
		body   string
	}{
		{"/", 200, "Ready to receive requests"},
		{"/?x=1", 200, "Ready to receive requests"},
		{"//", 404, "Not Found"},
		{"/api", 200, "API ready to receive requests"},
		{"/api/", 200, "API ready to receive requests"},
		{"/API", 200, "API ready to receive requests"},
		{"/api//", 404, "Not Found"},
		{"//api", 404, "Not Found"},
		{"/api/users", 200, `["<&>"]`},
		{"/api/users/", 200, `["<&>"]`},
		{"/api/users//", 404, "Not Found"},
		{"/api//users", 404, "Not Found"},
		{"/aPi/UsErS", 200, `["<&>"]`},
		{"/api/usersfoo", 404, "Not Found"},
		{"/api/%75sers", 404, "Not Found"}, // a literal segment is not decoded
		{"/api/u\u017fers", 404, "Not Found"},
		{"/api/./users", 404, "Not Found"},
		{"/api/users/1", 200, "1 1"},
		{"/api/users/1/", 200, "1 1"},
		{"/api/users/1/2", 404, "Not Found"},
		{"/api/users/%31", 200, "1 1"},
		{"/api/users/1%2Fx", 200, "1 1/x"},
		{"/api/users/%2F", 204, ""},
		{"/api/users/1%ff", 200, "1 1%ff"}, // not UTF-8: left encoded
		{"/api/users/%31%ff", 204, ""},
		{"/api/users/x", 204, ""},
		{"/api/posts/by-user/1", 200, `["<&>"]`},
		{"/api/posts/by-user", 404, "Not Found"},
		{"/api/posts/by-user/", 404, "Not Found"},
		{"*", 404, "Not Found"},
	} {
		got := rt.respond(request(t, "GET", c.target))
		if got.status != c.status || string(got.body) != c.body {
			t.Errorf("GET %s = %d %q, want %d %q", c.target, got.status, got.body, c.status, c.body)
		}
	}
}

func TestMethods(t *testing.T) {
	rt := mustRouter(t, echo)
	for _, c := range []struct {
		method, target string
		status         int
		allow, body    string
	}{
		{"HEAD", "/api/users", 200, "", `["<&>"]`},
		{"OPTIONS", "/api/users", 204, "HEAD, GET", ""},
		{"OPTIONS", "/nope", 404, "", "Not Found"},
		{"POST", "/api/users", 405, "HEAD, GET", "Method Not Allowed"},
		{"PUT", "/", 405, "HEAD, GET", "Method Not Allowed"},
		{"PATCH", "/api", 405, "HEAD, GET", "Method Not Allowed"},
		{"DELETE", "/api/users/1", 405, "HEAD, GET", "Method Not Allowed"},
		{"DELETE", "/nope", 404, "", "Not Found"},
		{"TRACE", "/api/users", 501, "HEAD, GET", "Not Implemented"},
		{"PROPFIND", "/nope", 501, "", "Not Implemented"},
		{"get", "/api/users", 501, "HEAD, GET", "Not Implemented"},
		{"", "/api/users", 501, "HEAD, GET", "Not Implemented"},
	} {
		got := rt.respond(request(t, c.method, c.target))
		if allow := strings.Join(got.allow, "|"); got.status != c.status || allow != c.allow || string(got.body) != c.body {
			t.Errorf("%s %s = %d, Allow %q, %q, want %d, %q, %q", c.method, c.target, got.status, allow, got.body, c.status, c.allow, c.body)
		}
	}
}

func TestRoutesThatCannotBe(t *testing.T) {
	none := func(*http.Request) *Response { return NoContent }
	for patterns, want := range map[string]string{
		"api":                              `"api" is not a path`,
		"/a//b":                            `"/a//b" is not a path`,
		"/a /A/":                           `"/a" and "/A/" can match the same path`,
		"/a/{id} /a/mine":                  `"/a/{id}" and "/a/mine" can match the same path`,
		"/api":                             `"/api/" and "/api" can match the same path`,
		"/a/{x}/b /a/c/{y} /a/{x}/d /d /d": `"/d" and "/d" can match the same path`,
	} {
		_, err := newRouter(func(rt *Router) error {
			for pattern := range strings.FieldsSeq(patterns) {
				rt.Get(pattern, none)
			}
			return nil
		})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("routes %s: error %v, want %s", patterns, err, want)
		}
	}
}

// The results are what JavaScript's parseInt returns.
func TestParseInt(t *testing.T) {
	const nan = -99
	for s, want := range map[string]int64{
		"1": 1, "01": 1, "1abc": 1, "1.9": 1, "1e3": 1, "+1": 1, "-1": -1, "1/x": 1, "1%ff": 1,
		"0x1": 1, "0X1f": 31, "+0x1": 1, "-0x2": -2, "0x1g": 1, "0b1": 0, "0": 0, "-0": 0, "0xx": nan,
		" 1": 1, "\t\n\v\f\r 1": 1, "\u00a01": 1, "\ufeff1": 1, "\u20281": 1, "\u30001": 1, "\u00851": nan, "1 2": 1,
		"": nan, " ": nan, "abc": nan, "0x": nan, "+": nan, "-": nan, "+-1": nan, "--1": nan, "- 1": nan, ".5": nan, "\u0661": nan,
		strings.Repeat("0", 400) + "1": 1,
		strings.Repeat("9", 400):       1 << 53,
		"-" + strings.Repeat("9", 400): -1 << 53,
		"0x" + strings.Repeat("f", 99): 1 << 53,
		"9007199254740991":             1<<53 - 1,
		"Infinity":                     nan,
	} {
		n, ok := parseInt(s)
		if !ok {
			n = nan
		}
		if n != want {
			t.Errorf("parseInt(%q) = %d, want %d (%d: not a number)", s, n, want, nan)
		}
	}
}

func FuzzRouter(f *testing.F) {
	for _, target := range []string{"/", "//", "*", "/api/", "/API/users/0x1/", "/api/users/%2F%ff", "/api/posts/by-user/%F0%9F%8D%BD?x=%zz", "http://host/api/users", "/api/users/\xff"} {
		f.Add("GET", target)
	}
	f.Add("OPTIONS", "*")
	f.Add("BREW", "/api")
	rt := mustRouter(f, echo)
	statuses := []int{200, 204, 404, 405, 501}
	f.Fuzz(func(t *testing.T, method, target string) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return // net/http answers 400 by itself
		}
		r := &http.Request{Method: method, URL: u, RequestURI: target, Header: http.Header{}}
		response := rt.respond(r) // not through the application: it would recover from a panic
		if response == nil || !slices.Contains(statuses, response.status) {
			t.Fatalf("%q %q: %+v", method, target, response)
		}
		w := httptest.NewRecorder()
		sent, err := response.write(w, method, time.Now())
		if err != nil || sent != w.Body.Len() {
			t.Errorf("%q %q: sent %d of %d bytes, %v", method, target, sent, w.Body.Len(), err)
		}
		header := w.Header()
		if response.status == 204 {
			if header["Content-Type"] != nil || header["Content-Length"] != nil || sent != 0 {
				t.Errorf("%q %q: 204 with a body or a type: %v", method, target, header)
			}
		} else if length := header.Get("Content-Length"); length != fmt.Sprint(len(response.body)) && (length != "" || sent == 0) || header.Get("Content-Type") == "" {
			t.Errorf("%q %q: header %v for %d bytes", method, target, header, len(response.body))
		}
	})
}
