package cloudfront

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"cutover/internal/model"
)

var edge = &distribution{Distribution: &model.Distribution{}, id: "E1", domain: "d1.cloudfront.net"}

func viewed() *request {
	return &request{method: "GET", path: "/users/1", query: "a=1&b=2&a=3&c", ip: "192.0.2.1", id: "id1", header: http.Header{
		"Host": {"h"}, "Accept": {"x", "y"}, "Cookie": {"s=1; t=2"}, "X-Real-Ip": {"1"},
	}}
}

// What a function makes of a request, or answers.
func TestRequestFunctions(t *testing.T) {
	defer func(before time.Duration) { maxRun = before }(maxRun)
	maxRun = 200 * time.Millisecond
	for body, want := range map[string]string{
		"return event.request": "/users/1?a=1&b=2&a=3&c s=1; t=2 map[Accept:[x y] Host:[h] X-Real-Ip:[1]]",
		"event.request.uri = '/index.html'; return event.request":                                                            "/index.html?a=1&b=2&a=3&c s=1; t=2 map[Accept:[x y] Host:[h] X-Real-Ip:[1]]",
		"event.request.headers['x-new'] = {value: 'n'}; return event.request":                                                "/users/1?a=1&b=2&a=3&c s=1; t=2 map[Accept:[x y] Host:[h] X-New:[n] X-Real-Ip:[1]]",
		"delete event.request.headers.accept; delete event.request.cookies.s; return event.request":                          "/users/1?a=1&b=2&a=3&c t=2 map[Host:[h] X-Real-Ip:[1]]",
		"event.request.headers.accept.value = 'z'; return event.request":                                                     "/users/1?a=1&b=2&a=3&c s=1; t=2 map[Accept:[z y] Host:[h] X-Real-Ip:[1]]",
		"event.request.headers.accept.multiValue.pop(); return event.request":                                                "/users/1?a=1&b=2&a=3&c s=1; t=2 map[Accept:[x] Host:[h] X-Real-Ip:[1]]",
		"event.request.querystring = {b: event.request.querystring.b, d: {value: '4'}}; return event.request":                "/users/1?b=2&d=4 s=1; t=2 map[Accept:[x y] Host:[h] X-Real-Ip:[1]]",
		"event.request.querystring.a.multiValue.push({value: '5'}); return event.request":                                    "/users/1?a=1&a=3&a=5&b=2&c s=1; t=2 map[Accept:[x y] Host:[h] X-Real-Ip:[1]]",
		"return {statusCode: 302, statusDescription: 'Found', headers: {location: {value: '/new'}}}":                         "302 map[Location:[/new]] ",
		"return {statusCode: 200, body: 'text'}":                                                                             "200 map[] text",
		"return {statusCode: 200, body: {encoding: 'base64', data: 'aGk='}}":                                                 "200 map[] hi",
		"return {statusCode: 200, cookies: {a: {value: '1', attributes: 'Secure; Path=/'}}}":                                 "200 map[Set-Cookie:[a=1; Secure; Path=/]] ",
		"return {statusCode: 200, body: JSON.stringify([event.version, event.context, event.viewer, event.request.method])}": `200 map[] ["1.0",{"distributionDomainName":"d1.cloudfront.net","distributionId":"E1","eventType":"viewer-request","requestId":"id1"},{"ip":"192.0.2.1"},"GET"]`,
		"return {statusCode: 200, body: String(event.request.headers['x-real-ip'])}":                                         "200 map[] undefined",
		"console.log('x'); return new Promise(done => done(event.request))":                                                  "/users/1?a=1&b=2&a=3&c s=1; t=2 map[Accept:[x y] Host:[h] X-Real-Ip:[1]]",
		"throw new Error('no')":                              "execution",
		"for (;;) {}":                                        "execution",
		"return eval('event.request')":                       "execution",
		"return Promise.reject('no')":                        "execution",
		"return 'text'":                                      "validation",
		"return undefined":                                   "validation",
		"event.request.uri = 'x'; return event.request":      "validation",
		"event.request.method = 'PUT'; return event.request": "validation",
		"event.request.headers.host.value = 'other'; return event.request":       "validation",
		"event.request.headers['x-edge-a'] = {value: '1'}; return event.request": "validation",
		"event.request.headers['X-Upper'] = {value: '1'}; return event.request":  "validation",
		"event.request.headers.accept = 'x'; return event.request":               "validation",
		"event.request.querystring = {a: {value: 'x y'}}; return event.request":  "validation",
		"return {statusCode: 99}":                                         "validation",
		"return {statusCode: '200'}":                                      "validation",
		"return {statusCode: 200, body: {encoding: 'base64', data: '!'}}": "validation",
		"return {statusCode: 200, body: {encoding: 'zip', data: ''}}":     "validation",
	} {
		f, err := compile("f", "function handler(event) { "+body+" }")
		if err != nil {
			t.Fatal(err)
		}
		r := viewed()
		answer, err := f.request(edge, r)
		got := ""
		switch {
		case errors.Is(err, errExecution):
			got = "execution"
		case errors.Is(err, errValidation):
			got = "validation"
		case err != nil:
			got = err.Error()
		case answer != nil:
			got = fmt.Sprintf("%d %v %s", answer.status, answer.header, answer.body)
		default:
			cookie := cookies(r.header)
			r.header.Del("Cookie")
			got = fmt.Sprintf("%s %s %v", r.uri(), cookie, r.header)
		}
		if got != want {
			t.Errorf("%s:\n got %s\nwant %s", body, got, want)
		}
	}
}

// An async handler, as in version 2.0 of the runtime.
func TestAsync(t *testing.T) {
	f, err := compile("f", "async function handler(event) { const r = await Promise.resolve(event.request); r.uri = '/x'; return r }")
	if err != nil {
		t.Fatal(err)
	}
	r := viewed()
	if _, err := f.request(edge, r); err != nil || r.path != "/x" {
		t.Errorf("%s, %v", r.path, err)
	}
}

func TestResponseFunctions(t *testing.T) {
	header := http.Header{"Content-Type": {"text/html"}, "Set-Cookie": {"a=1; Secure", "a=2; Path=/", "b=3"}, "X-Cache": {"Hit"}, "Via": {"v"}}
	for body, want := range map[string]string{
		"return event.response": "200 map[Content-Type:[text/html] Set-Cookie:[a=1; Secure a=2; Path=/ b=3] Via:[v] X-Cache:[Hit]] false",
		"event.response.headers['x-a'] = {value: event.request.uri}; event.response.cookies = {}; return event.response": "200 map[Content-Type:[text/html] Via:[v] X-A:[/users/1] X-Cache:[Hit]] false",
		"event.response.statusCode = 404; event.response.body = ''; return event.response":                               "404 map[Content-Type:[text/html] Set-Cookie:[a=1; Secure a=2; Path=/ b=3] Via:[v] X-Cache:[Hit]] true",
		"event.response.headers.via = {value: 'x'}; return event.response":                                               "validation",
		"return event.request": "validation",
	} {
		f, err := compile("f", "function handler(event) { "+body+" }")
		if err != nil {
			t.Fatal(err)
		}
		answer, err := f.answer(edge, viewed(), 200, header.Clone())
		got := ""
		switch {
		case errors.Is(err, errValidation):
			got = "validation"
		case err != nil:
			got = err.Error()
		default:
			got = fmt.Sprintf("%d %v %t", answer.status, answer.header, answer.hasBody)
		}
		if got != want {
			t.Errorf("%s:\n got %s\nwant %s", body, got, want)
		}
	}
}

// What cannot run is refused before anything starts.
func TestCompile(t *testing.T) {
	for code, want := range map[string]string{
		"function handler(event) {":                                "it is not JavaScript that runs here",
		"import cf from 'cloudfront'; function handler(e) {}":      `the module "cloudfront" is not here`,
		"const crypto = require('crypto'); function handler(e) {}": `the module "crypto" is not here`,
		"// " + strings.Repeat("x", maxCode):                       "AWS refuses 10243 bytes",
	} {
		if _, err := compile("f", code); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: %v, want %s", code, err, want)
		}
	}
	f, err := compile("f", "const x = 1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.request(edge, viewed()); !errors.Is(err, errExecution) {
		t.Errorf("without a handler: %v", err)
	}
}

// A function that fails is the viewer's 503, and one that returns nonsense is a 502.
func TestFailingFunctions(t *testing.T) {
	const code = "const request = event.request;"
	for body, want := range map[string]string{"throw new Error('no');": "503 FunctionExecutionError from cloudfront", "return 1;": "502 FunctionValidationError from cloudfront"} {
		s := serve(t, echo, change{code, body + code})
		a := s.ask("GET /index.html")
		if got := fmt.Sprint(a.StatusCode, " ", a.Header.Get("X-Cache")); got != want {
			t.Errorf("%s: %s, want %s", body, got, want)
		}
		s.is("200 Miss GET lb.example /api", s.ask("GET /api"))
	}
}

// A function at the answer runs for what is kept, too, and not for errors.
func TestViewerResponse(t *testing.T) {
	s := serve(t, echo, change{`"FunctionAssociations": [{`, `"FunctionAssociations": [{"EventType": "viewer-response", "FunctionARN": {"Fn::GetAtt": ["After", "FunctionARN"]}}, {`},
		change{`"Headers": {"Type"`, `"After": {"Type": "AWS::CloudFront::Function", "Properties": {"Name": "after", "AutoPublish": true, "FunctionConfig": {"Runtime": "cloudfront-js-1.0"},
			"FunctionCode": "function handler(event) { event.response.headers['x-after'] = {value: event.response.headers['x-frame-options'].value}; return event.response }"}}, "Headers": {"Type"`})
	for _, cache := range []string{"Miss", "Hit"} {
		if a := s.ask("GET /index.html"); a.Header.Get("X-After") != "DENY" || a.Header.Get("X-Cache") != cache+" from cloudfront" {
			t.Errorf("%s: %v", cache, a.Header)
		}
	}
	for _, path := range []string{"/missing.png", "/deployment.json", "/api"} {
		if a := s.ask("GET " + path); a.Header.Get("X-After") != "" {
			t.Errorf("the function runs for %s", path)
		}
	}
}

func BenchmarkFunction(b *testing.B) {
	f, err := compile("f", "function handler(event) { const request = event.request; if (!request.uri.split('/').pop().includes('.')) request.uri = '/index.html'; return request }")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := f.request(edge, viewed()); err != nil {
			b.Fatal(err)
		}
	}
}
