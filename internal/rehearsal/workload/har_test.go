package workload

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cutover/internal/rehearsal"
)

// fileOf writes a file into a directory of its own, and changes there.
func fileOf(t *testing.T, name, text string) string {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// loaded is the workload of a file.
func loaded(t *testing.T, o Options, file string) (rehearsal.Workload, error) {
	t.Helper()
	b := New(o)
	if err := b.File(file); err != nil {
		return rehearsal.Workload{}, err
	}
	return b.Build(file)
}

// sent are the requests of a workload: name, weight, headers and body.
func sent(w rehearsal.Workload) string {
	var all []string
	for _, s := range w.Sources {
		r := s.Routes()[0]
		all = append(all, strings.TrimSpace(fmt.Sprintf("%s x%d %v %s", r, s.Weight(), r.Header, r.Body)))
	}
	return strings.Join(all, "\n")
}

func same(t *testing.T, what, got, want string) {
	t.Helper()
	if want = strings.TrimSpace(want); got != want {
		t.Errorf("%s:\n%s\nwant:\n%s", what, got, want)
	}
}

// chrome is what Chrome's network panel exports: HTTP/2, other origins, a WebSocket, a login.
const chrome = `{
  "log": {
    "version": "1.2",
    "creator": {"name": "WebInspector", "version": "537.36"},
    "pages": [{"id": "page_1", "title": "https://shop.example.com/", "pageTimings": {"onLoad": 1.5}}],
    "entries": [
      {"_initiator": {"type": "other"}, "_priority": "VeryHigh", "_resourceType": "document", "request": {"method": "GET", "url": "https://Shop.example.com/?a=b#top", "httpVersion": "http/2.0",
        "headers": [{"name": ":authority", "value": "shop.example.com"}, {"name": ":method", "value": "GET"}, {"name": "accept", "value": "text/html"}, {"name": "accept-encoding", "value": "gzip, br, zstd"},
          {"name": "cookie", "value": "sid=1"}, {"name": "sec-ch-ua", "value": "\"Chromium\""}, {"name": "if-none-match", "value": "\"1\""}, {"name": "x-tenant", "value": "blue"}],
        "queryString": [{"name": "a", "value": "b"}], "cookies": [{"name": "sid", "value": "1"}], "headersSize": -1, "bodySize": 0},
       "response": {"status": 304, "content": {"size": 0, "mimeType": "text/html"}}, "time": 12.3},
      {"request": {"method": "GET", "url": "https://shop.example.com/api/products", "headers": [{"name": "Referer", "value": "https://shop.example.com/"}]}, "response": {"status": 200, "content": {"size": 2, "mimeType": "application/json", "text": "W10=", "encoding": "base64"}}},
      {"request": {"method": "GET", "url": "https://shop.example.com/api/products", "headers": [{"name": "Referer", "value": "https://shop.example.com/b"}]}, "response": {"status": 200, "content": {}}},
      {"request": {"method": "GET", "url": "https://cdn.example.com/app.js", "headers": []}, "response": {"status": 200, "content": {}}},
      {"request": {"method": "GET", "url": "https://cdn.example.com/app.css", "headers": []}, "response": {"status": 200, "content": {}}},
      {"request": {"method": "GET", "url": "data:image/png;base64,AAAA", "headers": []}, "response": {"status": 200, "content": {}}},
      {"_resourceType": "websocket", "request": {"method": "GET", "url": "wss://shop.example.com/live", "headers": []}, "response": {"status": 101, "content": {}}},
      {"request": {"method": "GET", "url": "https://shop.example.com/api/events", "headers": []}, "response": {"status": 200, "content": {"mimeType": "text/event-stream; charset=utf-8"}}},
      {"request": {"method": "GET", "url": "https://shop.example.com/ads.js", "headers": []}, "response": {"status": 0, "content": {}}},
      {"request": {"method": "GET", "url": "https://shop.example.com/api/broken", "headers": []}, "response": {"status": 502, "content": {}}},
      {"request": {"method": "GET", "url": "https://shop.example.com/reset?access_token=hunter2", "headers": []}, "response": {"status": 200, "content": {}}},
      {"request": {"method": "POST", "url": "https://shop.example.com/login", "headers": [{"name": "content-type", "value": "application/json"}, {"name": "authorization", "value": "Bearer x"}], "postData": {"mimeType": "application/json", "text": "{\"user\": \"ann\"}"}}, "response": {"status": 200, "content": {}}},
      {"request": {"method": "DELETE", "url": "https://shop.example.com/api/orders/1", "headers": []}, "response": {"status": 204, "content": {}}}
    ]
  }
}`

func TestRecordingOfABrowser(t *testing.T) {
	file := fileOf(t, "shop.har", "\xef\xbb\xbf"+chrome)
	w, err := loaded(t, Options{Writes: true}, file)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "requests", sent(w), `
shop.example.com/?a=b x1 map[Accept:[text/html] X-Tenant:[blue]]
shop.example.com/api/products x2 map[]
POST shop.example.com/login x1 map[Content-Type:[application/json]] {"user": "ann"}`)
	same(t, "gaps", strings.Join(w.Gaps, "\n"), `
shop.har: 1 request sent without the recorded Cookie (send one of your own with --header): https://shop.example.com/
shop.har: 2 requests left out (another host: --recorded-host cdn.example.com sends to it), such as https://cdn.example.com/app.js
shop.har: 1 request left out (no HTTP): data:image/png;base64,AAAA
shop.har: 2 requests left out (streams are in a routes file), such as wss://shop.example.com/live
shop.har: 1 request left out (no answer is recorded): https://shop.example.com/ads.js
shop.har: 1 request left out (the recorded answer is an error of the server): https://shop.example.com/api/broken
shop.har: 1 request left out (access_token in the query may be a secret): https://shop.example.com/reset
shop.har: 1 request sent without the recorded Authorization (send one of your own with --header): POST https://shop.example.com/login
shop.har: 1 request left out (what was deleted cannot be deleted again: write a collection in a routes file): DELETE shop.example.com/api/orders/1`)
	if len(w.Unsent) != 1 {
		t.Errorf("not sent: %v", w.Unsent)
	}

	w, err = loaded(t, Options{Hosts: []string{"CDN.example.com"}, Header: map[string][]string{"Authorization": {"Bearer y"}}}, file)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "requests", sent(w), `
cdn.example.com/app.js x1 map[Authorization:[Bearer y]]
cdn.example.com/app.css x1 map[Authorization:[Bearer y]]`)
	if _, err := loaded(t, Options{Hosts: []string{"api.example.com"}}, file); err == nil || err.Error() != "--recorded-host api.example.com: no recording has a request to this host" {
		t.Errorf("error %v", err)
	}
	w, err = loaded(t, Options{}, file)
	if last := w.Gaps[len(w.Gaps)-2]; err != nil || last != "shop.har: 1 request left out (--writes sends what may change something): POST shop.example.com/login" || len(w.Unsent) != 2 {
		t.Errorf("without --writes: %v, %q", err, w.Gaps)
	}
}

// Bodies come as text, as base64, as fields of a form, or not at all. Firefox has the port in the host, and a proxy of
// Postman has no answers.
func TestRecordedBodies(t *testing.T) {
	file := fileOf(t, "a.har", `{"log": {"entries": [
 {"request": {"method": "POST", "url": "http://localhost:8080/a b", "headers": [{"name": "Host", "value": "localhost:8080"}, {"name": "Content-Length", "value": "2"}, {"name": "Postman-Token", "value": "x"}], "bodySize": 2, "postData": {"mimeType": "text/plain", "text": "hi"}}},
 {"request": {"method": "PUT", "url": "http://localhost:8080/b", "postData": {"mimeType": "application/octet-stream", "text": "AAE=", "encoding": "base64"}}},
 {"request": {"method": "POST", "url": "http://localhost:8080/c", "postData": {"mimeType": "application/x-www-form-urlencoded", "params": [{"name": "b c", "value": "&"}, {"name": "a", "value": ""}], "text": ""}}},
 {"request": {"method": "POST", "url": "http://localhost:8080/d", "bodySize": 9}},
 {"request": {"method": "POST", "url": "http://localhost:8080/e", "headers": [{"name": "content-length", "value": "9"}], "bodySize": -1}},
 {"request": {"method": "POST", "url": "http://localhost:8080/f", "postData": {"mimeType": "multipart/form-data; boundary=x", "params": [{"name": "f", "fileName": "a.png"}]}}},
 {"request": {"method": "POST", "url": "http://localhost:8080/g", "postData": {"text": "A", "encoding": "base64"}}},
 {"request": {"method": "POST", "url": "http://localhost:8080/h", "headers": [{"name": "content-length", "value": "0"}], "bodySize": 0, "postData": {"mimeType": "", "text": ""}}},
 {"request": {"method": "CONNECT", "url": "http://localhost:8080/"}}
]}}`)
	w, err := loaded(t, Options{Writes: true}, file)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "requests", sent(w), `
POST /a%20b x1 map[Content-Type:[text/plain]] hi
PUT /b x1 map[Content-Type:[application/octet-stream]] `+"\x00\x01"+`
POST /c x1 map[Content-Type:[application/x-www-form-urlencoded]] b+c=%26&a=
POST /h x1 map[]`)
	same(t, "gaps", strings.Join(w.Gaps, "\n"), `
a.har: 3 requests left out (the body is not in the recording), such as POST http://localhost:8080/d
a.har: 1 request left out (the body is no base64): POST http://localhost:8080/g
a.har: 1 request left out (for a proxy): CONNECT http://localhost:8080/`)
}

// What is wrong with a recording is said with its place, all of it, and without the words of a programming language.
func TestRecordingsThatAreWrong(t *testing.T) {
	for text, want := range map[string]string{
		`{"log": {"entries": []}}`:       "a.har:1:1: the recording has no requests",
		`{"log": {}}`:                    "a.har:1:1: the recording has no requests",
		`{"log": null}`:                  "a.har:1:13: a recording has a mapping here",
		"{\"log\": {\n\"entries\": {}}}": "a.har:2:13: a recording has a list here",
		"{\"log\": {\"entries\": [\n {\"request\": {\"method": "a.har:2:22: the file ends too early: record again, or save the recording again",
		"{\"log\": {\"entries\": [\n {\"request\" 1}]}}":      "a.har:2:13: this is no JSON: invalid character '1' after object key",
		"{\"log\": {\"entries\": [\n {\"request\": {\"method\": 3}},\n{}, {\"request\": {\"method\": \"GET\", \"url\": \"/a\"}},\n 7, {\"request\": {\"method\": \"get\", \"url\": \"http://a/\"}}, {\"request\": {\"method\": \"GET\", \"url\": \"http://a/%zz\"}}]}}": `
a.har:2:2: entries[0].request.method: must not be a number
a.har:3:1: entries[1]: request is missing
a.har:3:5: entries[2].request.url: "/a" is no URL
a.har:4:2: entries[3]: must not be a number
a.har:4:5: entries[4]: method "get": must be the name of a method in capital letters, for example POST
a.har:4:57: entries[5].request.url: "http://a/%zz" is no URL`,
	} {
		_, err := loaded(t, Options{}, fileOf(t, "a.har", text))
		if err == nil {
			t.Errorf("%s: no error", text)
			continue
		}
		same(t, text, err.Error(), want)
	}
}

// If all is wrong, the first errors say how.
func TestMuchIsWrong(t *testing.T) {
	_, err := loaded(t, Options{}, fileOf(t, "a.har", `{"log": {"entries": [`+strings.Repeat("{},\n", 99)+`{}]}}`))
	lines := strings.Split(fmt.Sprint(err), "\n")
	if last := lines[len(lines)-1]; len(lines) != 51 || last != "a.har:51:1: more is wrong from here on" || lines[49] != "a.har:50:1: entries[49]: request is missing" {
		t.Errorf("%d errors, the last is %s", len(lines), last)
	}
}

// The content says what a file is.
func TestKindsOfFiles(t *testing.T) {
	for text, want := range map[string]string{
		`{"swagger": "2.0", "paths": {}}`:               "a is of Swagger 2: convert it to OpenAPI 3, for example with https://converter.swagger.io",
		"info: {}\nswagger: '2.0'":                      "a is of Swagger 2: convert it to OpenAPI 3, for example with https://converter.swagger.io",
		`{"info": {"_postman_id": "1"}, "item": []}`:    "a is a collection of Postman: export a recording (HAR) or an OpenAPI document, or write a routes file",
		`{"requests": [{"path": "/a"}]}`:                "",
		`{"info": {}, "openapi": "3.0.0", "paths": {}}`: "a:1:1: the document has no operations in paths",
		"paths: {}\nopenapi: 4.0.0\ninfo: {}":           `a:1:1: openapi "4.0.0": only versions 3 are read`,
		`{"version": 1, "log": {"version": "1.2"}}`:     "a:1:1: the recording has no requests",
		`[]`: "a:1:1: must be a mapping, not a list",
		`{`:  "a:1:1: this is no YAML: did not find expected node content",
		``:   "a:1:1: the file is empty",
	} {
		_, err := loaded(t, Options{}, fileOf(t, "a", text))
		if got := fmt.Sprint(err); got != want && !(want == "" && err == nil) {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	if _, err := loaded(t, Options{}, t.TempDir()); err == nil {
		t.Error("a directory has no error")
	}
	if _, err := loaded(t, Options{}, filepath.Join(t.TempDir(), "none")); !os.IsNotExist(err) {
		t.Errorf("error %v", err)
	}
}
