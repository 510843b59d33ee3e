package services_test

import (
	"fmt"
	"slices"
	"strings"
)

// attack is what a client sends on its own connection, and the answers that it must get.
type attack struct {
	Name string
	Raw  string // one request or several
	Head bool   // HEAD requests: the answers have no body
	// Answers has the status for each request. The service logs a line for each.
	Answers []int
	// Refusal is the status after the Answers for bytes that the HTTP server cannot read as a
	// request; 0 for none. The server does not log a refusal, and closes the connection.
	Refusal int
	// Closed tells whether the service closes the connection after its answers.
	Closed bool
}

// get is a GET request; extra are header lines, each with its end.
func get(target string, extra ...string) string {
	return "GET " + target + " HTTP/1.1\r\nHost: forum\r\n" + strings.Join(extra, "") + "\r\n"
}

func post(header, body string) string {
	return "POST /api/users HTTP/1.1\r\nHost: forum\r\n" + header + "\r\n" + body
}

func chunked(body string) string { return post("Transfer-Encoding: chunked\r\n", body) }

// attacks returns the attacks that need one connection. They use only the routes of every
// service and of users. So users and the monolith must answer alike.
func attacks() []attack {
	ok := []int{200}
	long := strings.Repeat("1", 8<<10)
	var fields strings.Builder // short and distinct, the worst that a header can hold
	for i := range 180 {
		fmt.Fprintf(&fields, "%c%c:\r\n", 'a'+i%26, 'a'+i/26%26)
	}
	return []attack{
		// Paths.
		{Name: "malformed percent-encoding", Raw: get("/api/users/%zz"), Refusal: 400},
		{Name: "percent sign at the end", Raw: get("/api/users/1%"), Refusal: 400},
		{Name: "malformed percent-encoding in the query", Raw: get("/api/users/1?x=%zz&%"), Answers: ok},
		{Name: "path traversal", Raw: get("/api/users/../../../etc/passwd"), Answers: []int{404}},
		{Name: "path traversal from the root", Raw: get("/../etc/passwd"), Answers: []int{404}},
		{Name: "encoded path traversal", Raw: get("/api/users/..%2f..%2Fetc%2fpasswd"), Answers: []int{204}},
		{Name: "path traversal encoded twice", Raw: get("/api/users/%252e%252e%252f"), Answers: []int{204}},
		{Name: "path traversal with backslashes", Raw: get(`/api/users\..\..\windows`), Answers: []int{404}},
		{Name: "overlong UTF-8", Raw: get("/api/users/%c0%ae%c0%ae%c0%af"), Answers: []int{204}},
		{Name: "bytes that are not UTF-8", Raw: get("/api/users/\xff\xfe\x80"), Answers: []int{204}},
		{Name: "C1 control characters", Raw: get("/api/users/\u0085\u009b31m"), Answers: []int{204}},
		{Name: "nul byte", Raw: get("/api/users/1\x00"), Refusal: 400},
		{Name: "encoded nul byte", Raw: get("/api/users/%00"), Answers: []int{204}},
		{Name: "encoded line break", Raw: get("/api/users/%0d%0a%7b%22level%22:%22ERROR%22%7d"), Answers: []int{204}},
		{Name: "escape sequence", Raw: get("/\x1b[31m"), Refusal: 400},
		{Name: "line break in a path", Raw: get("/api/users/\n{}"), Refusal: 400},
		{Name: "space in a path", Raw: get("/api/users/1 2"), Refusal: 400},
		{Name: "fragment", Raw: get("/api/users/1#2"), Answers: ok},
		{Name: "no slash", Raw: get("api/users"), Refusal: 400},
		{Name: "absolute URL", Raw: get("http://elsewhere/api/users/1"), Answers: ok},
		{Name: "absolute URL without a host", Raw: get("http:///api/users/1"), Answers: ok},
		{Name: "only slashes", Raw: get(strings.Repeat("/", 1000)), Answers: []int{404}},
		{Name: "many segments", Raw: get(strings.Repeat("/a", 4000)), Answers: []int{404}},
		{Name: "long URL", Raw: get("/api/users/" + long), Answers: []int{204}},
		{Name: "long query", Raw: get("/api/users/1?" + long), Answers: ok},
		{Name: "URL too long", Raw: get("/" + strings.Repeat("a", 32<<10)), Refusal: 431},

		// Request lines.
		{Name: "HTTP/0.9", Raw: "GET /\r\n\r\n", Refusal: 400},
		{Name: "version 0.9", Raw: "GET / HTTP/0.9\r\n\r\n", Refusal: 505},
		{Name: "version 3.0", Raw: "GET / HTTP/3.0\r\nHost: forum\r\n\r\n", Refusal: 505},
		{Name: "no version", Raw: "GET / HTTP/x\r\nHost: forum\r\n\r\n", Refusal: 400},
		{Name: "version 1.0", Raw: "GET /api/users/1 HTTP/1.0\r\n\r\n", Answers: ok, Closed: true},
		{Name: "HTTP/2 with prior knowledge", Raw: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00", Answers: []int{505}, Closed: true},
		{Name: "HTTP/2 upgrade", Raw: get("/api/users/1", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"), Answers: ok},
		{Name: "WebSocket upgrade", Raw: get("/api/users/1", "Connection: Upgrade\r\nUpgrade: websocket\r\n"), Answers: ok},
		{Name: "TLS", Raw: "\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\n\n", Refusal: 400},
		{Name: "empty line first", Raw: "\r\n" + get("/"), Refusal: 400},
		{Name: "unknown method", Raw: "BREW /api/users HTTP/1.1\r\nHost: forum\r\n\r\n", Answers: []int{501}},
		{Name: "method in lower case", Raw: "get / HTTP/1.1\r\nHost: forum\r\n\r\n", Answers: []int{501}},
		{Name: "long method", Raw: strings.Repeat("M", 8<<10) + " / HTTP/1.1\r\nHost: forum\r\n\r\n", Answers: []int{501}},
		{Name: "method that is none", Raw: "G@T / HTTP/1.1\r\nHost: forum\r\n\r\n", Refusal: 400},
		{Name: "method with a nul byte", Raw: "G\x00T / HTTP/1.1\r\nHost: forum\r\n\r\n", Refusal: 400},
		{Name: "CONNECT", Raw: "CONNECT elsewhere:443 HTTP/1.1\r\nHost: elsewhere:443\r\n\r\n", Answers: []int{501}},
		{Name: "OPTIONS *", Raw: "OPTIONS * HTTP/1.1\r\nHost: forum\r\n\r\n", Answers: []int{404}},

		// Headers.
		{Name: "no Host", Raw: "GET / HTTP/1.1\r\n\r\n", Refusal: 400},
		{Name: "two Hosts", Raw: get("/", "Host: elsewhere\r\n"), Refusal: 400},
		{Name: "malformed Host", Raw: "GET / HTTP/1.1\r\nHost: a b\x7f\r\n\r\n", Refusal: 400},
		{Name: "space before the colon", Raw: get("/", "X-Y : z\r\n"), Refusal: 400},
		{Name: "no colon", Raw: get("/", "X-Y\r\n"), Refusal: 400},
		{Name: "no name", Raw: get("/", ": x\r\n"), Refusal: 400},
		{Name: "nul byte in a name", Raw: get("/", "X\x00: y\r\n"), Refusal: 400},
		{Name: "nul byte in a value", Raw: get("/", "X: y\x00\r\n"), Refusal: 400},
		{Name: "carriage return in a value", Raw: get("/", "X: y\rz\r\n"), Refusal: 400},
		{Name: "lines without carriage returns", Raw: "GET /api/users/1 HTTP/1.1\nHost: forum\n\n", Answers: ok},
		{Name: "folded line", Raw: get("/", "X: y\r\n z\r\n"), Answers: ok},
		{Name: "trace id with control characters", Raw: get("/", "X-Amzn-Trace-Id: Root=1\t\u0085\u009b31m\u2028\xff\"}\r\n"), Answers: ok},
		{Name: "long trace id", Raw: get("/", "X-Amzn-Trace-Id: "+long+"\r\n"), Answers: ok},
		{Name: "two trace ids", Raw: get("/", "X-Amzn-Trace-Id: a\r\nX-Amzn-Trace-Id: b\r\n"), Answers: ok},
		{Name: "one long header field", Raw: get("/", "X: "+strings.Repeat("x", 32<<10)+"\r\n"), Refusal: 431},
		{Name: "many header fields", Raw: strings.TrimSuffix(get("/", fields.String()), "\r\n"), Refusal: 400},
		{Name: "100 header fields", Raw: get("/", fields.String()[:100*5]), Answers: ok},
		{Name: "unknown expectation", Raw: post("Expect: the unexpected\r\nContent-Length: 2\r\n", "{}"), Refusal: 417},

		// Bodies.
		{Name: "body of a GET", Raw: get("/api/users/1", "Content-Length: 2\r\n") + "{}" + get("/api/users/2"), Answers: []int{200, 200}},
		{Name: "body of a POST", Raw: post("Content-Length: 2\r\n", "{}") + get("/"), Answers: []int{405, 200}},
		{Name: "largest body", Raw: post("Content-Length: 65536\r\n", strings.Repeat("x", 64<<10)), Answers: []int{405}},
		{Name: "body too large", Raw: post("Content-Length: 65537\r\n", strings.Repeat("x", 64<<10+1)), Answers: []int{413}, Closed: true},
		{Name: "body of an exabyte", Raw: post("Content-Length: 9223372036854775807\r\n", "{}"), Answers: []int{413}, Closed: true},
		{Name: "length that is too long", Raw: post("Content-Length: 9223372036854775808\r\n", "{}"), Refusal: 400},
		{Name: "negative length", Raw: post("Content-Length: -1\r\n", ""), Refusal: 400},
		{Name: "length with a sign", Raw: post("Content-Length: +2\r\n", "{}"), Refusal: 400},
		{Name: "two lengths", Raw: post("Content-Length: 2\r\nContent-Length: 3\r\n", "{}"), Refusal: 400},
		{Name: "body that is awaited", Raw: post("Expect: 100-continue\r\nContent-Length: 2\r\n", "{}") + get("/"), Answers: []int{405, 200}},
		{Name: "body too large that is awaited", Raw: post("Expect: 100-continue\r\nContent-Length: 65537\r\n", ""), Answers: []int{413}, Closed: true},
		{Name: "chunks", Raw: chunked("2\r\n{}\r\n0\r\n\r\n") + get("/"), Answers: []int{405, 200}},
		{Name: "chunks with a trailer", Raw: chunked("2\r\n{}\r\n0\r\nX: y\r\n\r\n") + get("/"), Answers: []int{405, 200}},
		{Name: "chunks to an unknown route", Raw: "PUT /x HTTP/1.1\r\nHost: forum\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Answers: []int{404}},
		{Name: "chunk size that is no number", Raw: chunked("zz\r\n{}\r\n0\r\n\r\n"), Answers: []int{400}, Closed: true},
		{Name: "negative chunk size", Raw: chunked("-2\r\n{}\r\n0\r\n\r\n"), Answers: []int{400}, Closed: true},
		{Name: "chunk size that is too long", Raw: chunked("ffffffffffffffff2\r\n{}\r\n0\r\n\r\n"), Answers: []int{400}, Closed: true},
		{Name: "chunk longer than its size", Raw: chunked("2\r\n{}{}\r\n0\r\n\r\n"), Answers: []int{400}, Closed: true},
		{Name: "chunk extension without end", Raw: chunked("2;" + strings.Repeat("x", 8<<10) + "\r\n{}\r\n0\r\n\r\n"), Answers: []int{400}, Closed: true},
		{Name: "chunks too large together", Raw: chunked(strings.Repeat("1000\r\n"+strings.Repeat("x", 4<<10)+"\r\n", 17) + "0\r\n\r\n"), Answers: []int{413}, Closed: true},
		{Name: "chunk too large", Raw: chunked("7fffffff\r\n" + strings.Repeat("x", 64<<10+1)), Answers: []int{413}, Closed: true},
		{Name: "tiny chunks", Raw: chunked(strings.Repeat("1;x=yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n.\r\n", 4000) + "0\r\n\r\n"), Answers: []int{400}, Closed: true},
		{Name: "unknown transfer encoding", Raw: post("Transfer-Encoding: gzip\r\n", "{}"), Refusal: 501},
		{Name: "two transfer encodings", Raw: post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "{}"), Refusal: 501},
		{Name: "hidden transfer encoding", Raw: post("Transfer-Encoding: \x0bchunked\r\n", "0\r\n\r\n"), Refusal: 400},
		{Name: "length and chunks", Raw: post("Content-Length: 100\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n") + get("/"), Answers: []int{405, 200}},

		// Several requests.
		{Name: "pipelining", Raw: strings.Repeat(get("/api/users/1"), 200), Answers: slices.Repeat(ok, 200)},
		{Name: "pipelining of HEAD", Raw: strings.Repeat(strings.Replace(get("/api/users"), "GET", "HEAD", 1), 20), Head: true, Answers: slices.Repeat(ok, 20)},
		{Name: "pipelining of errors", Raw: strings.Repeat(post("", "")+get("/x"), 20), Answers: slices.Repeat([]int{405, 404}, 20)},
		{Name: "garbage after a request", Raw: get("/") + "garbage\r\n\r\n", Answers: ok, Refusal: 400},
		{Name: "request after the last", Raw: get("/", "Connection: close\r\n") + get("/"), Answers: ok, Closed: true},
	}
}
