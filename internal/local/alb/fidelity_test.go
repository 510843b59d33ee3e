package alb

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cutover/internal/golden"
	"cutover/internal/model"
)

const (
	conditions  = docs + "rule-condition-types.html"
	registering = docs + "load-balancer-target-groups.html"
	guardian    = "https://github.com/aws/http-desync-guardian/tree/main/docs"
)

// pages are AWS's, in the order of docs/fidelity.md.
var pages = []struct{ source, title string }{
	{howItWorks, "How Elastic Load Balancing works"},
	{listeners, "Listeners for your Application Load Balancers"},
	{conditions, "Condition types for listener rules"},
	{actions, "Action types for listener rules"},
	{overview, "Application Load Balancers"},
	{attributesPage, "Edit attributes for your Application Load Balancer"},
	{guardian, "HTTP Desync Guardian"},
	{forwarded, "HTTP headers and Application Load Balancers"},
	{modification, "HTTP header modification for your Application Load Balancer"},
	{tracing, "Request tracing for your Application Load Balancer"},
	{targetGroups, "Target groups for your Application Load Balancers"},
	{groupAttributes, "Edit target group attributes for your Application Load Balancer"},
	{lambdaFunctions, "Use Lambda functions as targets of an Application Load Balancer"},
	{healthChecks, "Health checks for Application Load Balancer target groups"},
	{limits, "Quotas for your Application Load Balancers"},
	{accessLogs, "Access logs for your Application Load Balancer"},
	{troubleshooting, "Troubleshoot your Application Load Balancers"},
}

func mode(name string) template {
	return template{loadBalancer: []object{attribute("routing.http.desync_mitigation_mode", name)}}
}

// bare sends a head with a body's framing and wants answers; closed says whether the connection is.
func (b *bench) bare(name, text string, answers int, status string, closed bool) {
	b.t.Helper()
	got, isClosed := b.exchangeRaw(text, answers)
	if len(got) != answers || isClosed != closed {
		b.t.Errorf("%s: answers are %q, and the connection is closed: %t, want %d, closed: %t", name, got, isClosed, answers, closed)
		return
	}
	for _, answer := range got {
		if !strings.HasPrefix(answer, status) {
			b.t.Errorf("%s: answer is %q, want %s", name, answer, status)
		}
	}
}

// Requests of each tier, with bodies, so that another request may follow.
var (
	acceptableRequest = "GET /a?b c HTTP/1.1\r\nHost: x\r\n\r\n"
	ambiguousRequests = map[string]string{
		"two framings":     "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"a length twice":   "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
		"length of a GET":  "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
		"chunks of a GET":  "GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
		"an underscore":    "POST / HTTP/1.1\r\nHost: x\r\nTransfer_Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc",
		"a blank":          "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\nContent-Length: 3\r\n\r\nabc",
		"identity":         "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\nContent-Length: 3\r\n\r\nabc",
		"a tab in the URI": "GET /a\tb HTTP/1.1\r\nHost: x\r\n\r\n",
	}
	severeRequests = map[string]string{
		"two lengths":     "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
		"chunks twice":    "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
		"NUL in a header": "GET / HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n",
		"CR in the URI":   "GET /\ra HTTP/1.1\r\nHost: x\r\n\r\n",
	}
)

// lenient is a target that minds nothing in a head, and tells of each. It keeps its connections, whose
// number it returns.
func (b *bench) lenient(group, id string, seen func(head string)) *atomic.Int64 {
	b.t.Helper()
	var connections atomic.Int64
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.t.Fatal(err)
	}
	serveConns(b.t, ln, func(conn net.Conn) {
		reader := bufio.NewReader(conn)
		until := func(end string) (text string) {
			for !strings.HasSuffix(text, end) {
				line, err := reader.ReadString('\n')
				if text += line; err != nil {
					return ""
				}
			}
			return text
		}
		for first := true; ; first = false {
			head, length := until("\r\n\r\n"), 0
			if head == "" {
				return
			}
			if health := strings.HasPrefix(head, "GET /health "); !health && first {
				connections.Add(1)
			} else if health {
				first = false
			}
			if strings.Contains(head, "\nTransfer-Encoding: chunked\r") {
				until("0\r\n\r\n")
			} else if _, after, ok := strings.Cut(head, "\nContent-Length: "); ok {
				_, _ = fmt.Sscan(after, &length)
				_, _ = reader.Discard(length)
			}
			if seen != nil && !strings.HasPrefix(head, "GET /health ") {
				seen(head)
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	})
	b.register(group, id, ln.Addr().String())
	return &connections
}

// What AWS documents about requests before their rules, and about connections.
var requestConformance = []behaviour{
	{name: "In defensive mode compliant and acceptable requests are routed, and the connections stay", source: attributesPage + "#desync-mitigation-mode", template: mode("defensive"), run: func(t *testing.T, b *bench) {
		connections := b.lenient("A", "one", nil)
		b.bare("acceptable", acceptableRequest+acceptableRequest, 2, "", false)
		if n := connections.Load(); n != 1 {
			t.Errorf("two requests take %d connections to the target", n)
		}
		if x := b.last(2); x.Classification != "Acceptable" || x.ClassificationReason != "SpaceInUri" {
			t.Errorf("exchange is %+v", x)
		}
	}},
	{name: "In defensive mode an ambiguous request is routed, and then the client's and the target's connections are closed", source: attributesPage + "#desync-mitigation-mode", run: func(t *testing.T, b *bench) {
		connections := b.lenient("A", "one", nil)
		n := int64(0)
		for name, text := range ambiguousRequests {
			b.bare(name, text, 1, "200", true)
			if n++; connections.Load() != n {
				t.Errorf("%s: %d requests take %d connections to the target", name, n, connections.Load())
			}
		}
	}},
	{name: "In defensive mode a severe request gets a 400, and the client's connection is closed", source: attributesPage + "#desync-mitigation-mode", run: func(t *testing.T, b *bench) {
		b.target("A", "one", hello)
		for name, text := range severeRequests {
			b.bare(name, text, 1, "400", true)
		}
	}},
	{name: "In strictest mode only compliant requests are routed; others get a 400, and the client's connection is closed", source: attributesPage + "#desync-mitigation-mode", template: mode("strictest"), run: func(t *testing.T, b *bench) {
		b.target("A", "one", hello)
		b.bare("compliant", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 1, "200", false)
		b.bare("acceptable", acceptableRequest, 1, "400", true)
		for _, requests := range []map[string]string{ambiguousRequests, severeRequests} {
			for name, text := range requests {
				b.bare(name, text, 1, "400", true)
			}
		}
	}},
	{name: "In monitor mode requests of every tier are routed, and the connections stay", source: attributesPage + "#desync-mitigation-mode", template: mode("monitor"), run: func(t *testing.T, b *bench) {
		connections := b.lenient("A", "one", nil)
		all, n := severeRequests["NUL in a header"]+severeRequests["CR in the URI"]+severeRequests["two lengths"], 3
		for _, text := range ambiguousRequests {
			all, n = text+all, n+1
		}
		b.bare("all", all, n, "200", false)
		if n := connections.Load(); n != 1 {
			t.Errorf("the requests take %d connections to the target", n)
		}
	}},
	{name: "Another mode holds for the next request, also on open connections", source: attributesPage + "#desync-mitigation-mode", run: func(t *testing.T, b *bench) {
		b.lenient("A", "one", nil)
		conn, err := net.Dial("tcp", b.address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		reader := bufio.NewReader(conn)
		for _, want := range []int{200, 400} {
			_, _ = io.WriteString(conn, acceptableRequest)
			response, err := http.ReadResponse(reader, nil)
			if err != nil || response.StatusCode != want {
				t.Fatalf("answer is %v, %v, want %d", response, err, want)
			}
			_, _ = io.Copy(io.Discard, response.Body)
			if err := b.balancer.Configure(mode("strictest").config(t)); err != nil {
				t.Fatal(err)
			}
		}
	}},
	{name: "Access lines have the classification of a request and its reason", source: accessLogs + "#classification-reasons", run: func(t *testing.T, b *bench) {
		b.target("A", "one", hello)
		b.exchangeRaw(ambiguousRequests["two framings"], 1)
		b.exchangeRaw(severeRequests["two lengths"], 1)
		b.last(2)
		require(t, "log", b.log.String(), `"200" "Ambiguous" "BothTeClPresent" TID_`, ` 400 - \d+ \d+ "POST http://x:80/ HTTP/1\.1" .*"Severe" "MultipleContentLength" TID_`)
	}},
	{name: "A request that a target could understand in two ways is passed on in one", source: guardian, template: mode("monitor"), run: func(t *testing.T, b *bench) {
		b.target("A", "one", echo)
		_, body := b.talk("POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n")
		if strings.Contains(body, "Content-Length") || !strings.HasSuffix(body, "\r\na") {
			t.Errorf("with two framings the target gets %q", body)
		}
		_, body = b.talk("POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc")
		if strings.Count(body, "Content-Length: 3") != 1 || !strings.HasSuffix(body, "\r\nabc") {
			t.Errorf("with two lengths the target gets %q", body)
		}
		_, body = b.talk("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Bad: a\x00b\r\nX-Good: c\r\n: d\r\n\r\n")
		if strings.Contains(body, "Bad") || strings.Contains(body, ": d\r\n") || !strings.Contains(body, "X-Good: c") {
			t.Errorf("with bad headers the target gets %q", body)
		}
	}},
	{name: "How a severe request is routed in monitor mode", source: guardian, template: mode("monitor"),
		unknown: "the first of several lengths counts; a header with NUL or CR is dropped; another version is HTTP/1.1; a length that is no number gets a 400, an unknown transfer coding a 501", run: func(t *testing.T, b *bench) {
			b.target("A", "one", echo)
			b.bare("two lengths", severeRequests["two lengths"], 1, "200 POST /", false)
			b.bare("a version", "GET / HTTQ/1.1\r\nHost: x\r\n\r\n", 1, "200 GET /", false)
			b.bare("a bad length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n", 1, "400", true)
			b.bare("a bad coding", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: x\r\n\r\n", 1, "501", true)
		}},
	{name: "A line without a colon is ambiguous", source: guardian, run: func(t *testing.T, b *bench) {
		b.target("A", "one", hello)
		b.bare("no colon", "GET / HTTP/1.1\r\nHost: x\r\nstrange\r\n\r\n", 1, "200", true)
	}},

	{name: "Transfer-Encoding: identity is supported", source: troubleshooting + "#http-501-issues", run: func(t *testing.T, b *bench) {
		b.target("A", "one", echo)
		response, body := b.talk("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Identity\r\nContent-Length: 2\r\n\r\nhi")
		if response.StatusCode != 200 || strings.Contains(body, "Transfer-Encoding") || !strings.HasSuffix(body, "\r\nhi") {
			t.Errorf("answer is %v %q", response, body)
		}
		response, body = b.talk("POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: identity, chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n")
		if response.StatusCode != 200 || !strings.HasSuffix(body, "\r\nhi") {
			t.Errorf("answer is %v %q", response, body)
		}
	}},
	{name: "A request in another version of HTTP gets a 505 at once", source: troubleshooting + "#http-505-issues", run: func(t *testing.T, b *bench) {
		for _, text := range []string{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET / HTTP/2.0\r\nHost: x\r\n\r\n", "GET / HTTP/3\r\n\r\n"} {
			b.bare(text, text, 1, "505", true)
		}
		if response, body := b.talk("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"); response.StatusCode != 505 {
			requireOwn(t, response, body, 505, "505 HTTP Version Not Supported")
		}
		if x := b.last(1); x.Status != 505 || x.Rule != nil {
			t.Errorf("exchange is %+v", x)
		}
	}},
	{name: "A request in HTTP/1.0 without a host gets the load balancer's own name in DNS", source: howItWorks + "#http-connections", run: func(t *testing.T, b *bench) {
		b.target("A", "one", echo)
		for _, head := range []string{"", "Host:\r\n"} {
			_, body := b.talk("GET /x HTTP/1.0\r\n" + head + "\r\n")
			require(t, "request", body, `(?m)^Host: localhost$`)
		}
	}},
	{name: "A redirect of a request without a host has the load balancer's own name", source: howItWorks + "#http-connections", template: template{
		action: object{"Type": "redirect", "RedirectConfig": object{"StatusCode": "HTTP_301", "Protocol": "HTTPS", "Port": "443"}}}, run: func(t *testing.T, b *bench) {
		if response, _ := b.talk("GET /x HTTP/1.0\r\n\r\n"); response.Header.Get("Location") != "https://localhost:443/x" {
			t.Errorf("Location is %s", response.Header.Get("Location"))
		}
	}},
	{name: "HTTP/0.9 is understood", source: howItWorks + "#http-connections", run: func(t *testing.T, b *bench) {
		b.target("A", "one", echo)
		response, body := b.talk("GET /old\r\n")
		if response.StatusCode != 200 || !strings.HasPrefix(body, "GET /old\n") {
			t.Errorf("answer is %v %q", response, body)
		}
	}},
	{name: "How a request in HTTP/0.9 is answered", source: howItWorks + "#http-connections", unknown: "as one in HTTP/1.0, with a status line and headers", run: func(t *testing.T, b *bench) {
		b.target("A", "one", hello)
		b.bare("old", "GET /\r\n", 1, "200", true)
	}},
	{name: "A client may send the next requests before it has its answers", source: howItWorks + "#http-connections", run: func(t *testing.T, b *bench) {
		b.target("A", "one", func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s%s", r.URL.Path, body)
		})
		answers, closed := b.exchangeRaw("GET /1 HTTP/1.1\r\nHost: x\r\n\r\nPOST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc\r\n"+
			"POST /3 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nd\r\n0\r\n\r\nGET /4 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\nGET /5 HTTP/1.1\r\nHost: x\r\n\r\n", 4)
		if want := []string{"200 /1", "200 /2abc", "200 /3d", "200 /4"}; !slices.Equal(answers, want) || !closed {
			t.Errorf("answers are %q, want %q; closed: %t", answers, want, closed)
		}
	}},
	{name: "What is wrong in a later request does not harm the earlier ones", source: howItWorks + "#http-connections", run: func(t *testing.T, b *bench) {
		b.target("A", "one", hello)
		if answers, closed := b.exchangeRaw("GET /1 HTTP/1.1\r\nHost: x\r\n\r\nBAD\r\n\r\nGET /3 HTTP/1.1\r\nHost: x\r\n\r\n", 2); len(answers) != 2 || answers[0][:3] != "200" || answers[1][:3] != "400" || !closed {
			t.Errorf("answers are %q; closed: %t", answers, closed)
		}
	}},
	{name: "The Connection header of the client is honoured", source: howItWorks + "#http-headers", run: func(t *testing.T, b *bench) {
		b.target("A", "one", hello)
		for head, closed := range map[string]bool{
			"1.1\r\n": false, "1.1\r\nConnection: close\r\n": true, "1.1\r\nConnection: x, CLOSE\r\n": true,
			"1.0\r\n": true, "1.0\r\nConnection: keep-alive\r\n": false, "1.1\r\nConnection: keep-alive\r\n": false,
		} {
			b.bare(head, "GET / HTTP/"+head+"Host: x\r\n\r\n", 1, "200", closed)
		}
	}},
	{name: "Expect: 100-continue is answered at once, whether there is a target or not", source: howItWorks + "#http-headers", run: func(t *testing.T, b *bench) {
		conn, err := net.Dial("tcp", b.address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\nContent-Length: 4\r\n\r\n")
		reader := bufio.NewReader(conn)
		for _, want := range []int{100, 503} {
			response, err := http.ReadResponse(reader, nil)
			if err != nil || response.StatusCode != want {
				t.Fatalf("answer is %v, %v, want %d", response, err, want)
			}
		}
		for _, text := range []string{"POST / HTTP/1.0\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n", "POST / HTTP/1.1\r\nHost: x\r\nExpect: other\r\nConnection: close\r\n\r\n"} {
			b.bare(text, text, 1, "503", true)
		}
	}},
	{name: "Expect: 100-continue in HTTP/2 is neither answered nor passed on", source: howItWorks + "#http-headers", differs: "it is not passed on, but answered with 100"},
	{name: "Hosts are in lower case for targets", source: howItWorks + "#http-headers", run: func(t *testing.T, b *bench) {
		b.target("A", "one", echo)
		_, body := b.talk("GET / HTTP/1.1\r\nHost: WWW.Example.COM:80\r\nConnection: close\r\n\r\n")
		require(t, "request", body, `(?m)^Host: www\.example\.com$`)
	}},
	{name: "Names of headers from HTTP/2 are in lower case for targets, but for those of the load balancer", source: howItWorks + "#http-headers", template: template{secure: true}, run: func(t *testing.T, b *bench) {
		seen := make(chan string, 1)
		b.lenient("A", "one", func(head string) { seen <- head })
		r, _ := http.NewRequest("POST", "https://"+b.address, strings.NewReader("x"))
		r.Header.Set("X-Own", "y")
		_, _ = b.do(secureClient(b, "h2"), r)
		require(t, "head", <-seen, `(?m)^x-own: y\r$`, `(?m)^content-length: 1\r$`, `(?m)^Host: `, `(?m)^X-Forwarded-For: `, `(?m)^X-Forwarded-Proto: https\r$`, `(?m)^X-Forwarded-Port: 443\r$`, `(?m)^X-Amzn-Trace-Id: `)
	}},
	{name: "The case of names of headers from HTTP/1", source: howItWorks + "#http-headers", unknown: "each word begins with a capital letter: X-Own", run: func(t *testing.T, b *bench) {
		seen := make(chan string, 1)
		b.lenient("A", "one", func(head string) { seen <- head })
		b.get(client(t), "/", "x-oWn", "y")
		require(t, "head", <-seen, `(?m)^X-Own: y\r$`)
	}},
	{name: "HTTP/2 has at most 128 requests at a time on a connection", source: howItWorks + "#http-connections", template: template{secure: true}, run: func(t *testing.T, b *bench) {
		conn, err := tls.Dial("tcp", b.address, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
		// The server's settings: a frame's head, and then pairs of a key and a value.
		head := make([]byte, 9)
		if _, err := io.ReadFull(conn, head); err != nil {
			t.Fatal(err)
		}
		settings := make([]byte, int(head[1])<<8|int(head[2]))
		_, _ = io.ReadFull(conn, settings)
		for ; len(settings) >= 6; settings = settings[6:] {
			if key, value := binary.BigEndian.Uint16(settings), binary.BigEndian.Uint32(settings[2:]); key == 3 && value == 128 {
				return
			}
		}
		t.Error("there is no limit of 128 streams")
	}},
	{name: "HTTP/2 has at most 10,000 requests on a connection", source: troubleshooting + "#response-code-000", template: template{secure: true, action: fixed("200", "text/plain", "x")}, run: func(t *testing.T, b *bench) {
		if maxRequests != 10_000 {
			t.Errorf("the limit is %d", maxRequests)
		}
		b.balancer.fronts[theListener].maxRequests = 3
		c := secureClient(b, "h2")
		for range 4 {
			r, _ := http.NewRequest("GET", "https://"+b.address, nil)
			_, _ = b.do(c, r)
		}
		if b.last(1).Client != b.last(3).Client || b.last(3).Client == b.last(4).Client {
			t.Errorf("requests come from %v, %v, %v and %v", b.last(1).Client, b.last(2).Client, b.last(3).Client, b.last(4).Client)
		}
	}},
	{name: "GET, HEAD, POST, PUT, DELETE, OPTIONS and PATCH are supported", source: howItWorks + "#http-connections", run: func(t *testing.T, b *bench) {
		b.target("A", "one", echo)
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"} {
			r, _ := http.NewRequest(method, "http://"+b.address+"/x", nil)
			if response, body := b.do(client(t), r); response.StatusCode != 200 || method != "HEAD" && !strings.HasPrefix(body, method+" /x\n") {
				t.Errorf("%s is answered %s %q", method, response.Status, body)
			}
		}
		<-b.balancer.Deregister("S/A", "one")
		seen := make(chan string, 1)
		b.lenient("A", "two", func(head string) { seen <- head })
		b.exchangeRaw("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 1)
		require(t, "head", <-seen, `^OPTIONS \* HTTP/1\.1\r\n`)
	}},
	{name: "Other methods", source: howItWorks + "#http-connections", unknown: "they are passed on, but for TRACE and CONNECT, which get a 405", run: func(t *testing.T, b *bench) {
		b.target("A", "one", echo)
		b.bare("PROPFIND", "PROPFIND / HTTP/1.1\r\nHost: x\r\n\r\n", 1, "200 PROPFIND /", false)
		b.bare("get", "get / HTTP/1.1\r\nHost: x\r\n\r\n", 1, "200 get /", false)
		b.bare("CONNECT", "CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n", 1, "405", false)
	}},
	{name: "Encoded bytes that are none, as in /%zz", source: conditions + "#path-conditions", unknown: "400", run: func(t *testing.T, b *bench) {
		b.bare("/%zz", "GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", 1, "400", true)
	}},
	{name: "A header that goes on in the next line is not supported: a colon is appended to the line", source: troubleshooting + "#multi-line-headers-issue", run: func(t *testing.T, b *bench) {
		seen := make(chan string, 1)
		b.lenient("A", "one", func(head string) { seen <- head })
		b.exchangeRaw("GET / HTTP/1.1\r\nHost: x\r\nContent-Type: message/http;\r\n\tmore=y\r\n\r\n", 1)
		require(t, "head", <-seen, `(?m)^Content-Type: message/http;\r$`, `(?mi)^more=y: ?\r$`)
	}},
	{name: "The blanks before such a line", source: troubleshooting + "#multi-line-headers-issue", unknown: "they are dropped"},
	{name: "Requests without TLS on a port with TLS", source: listeners, template: template{secure: true}, unknown: "400", run: func(t *testing.T, b *bench) {
		b.bare("GET", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 1, "400", true)
	}},
	{name: "Own answers are the same under TLS", source: troubleshooting + "#load-balancer-http-error-codes", template: template{secure: true}, idle: time.Second, run: func(t *testing.T, b *bench) {
		for text, want := range map[string]int{"BAD\r\n\r\n": 400, "GET / HTTP/2.0\r\n\r\n": 505, "GET / HTTP/1.1\r\n": 408} {
			conn, err := tls.Dial("tcp", b.address, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.WriteString(conn, text)
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil || response.StatusCode != want || response.Header.Get("Server") != "awselb/2.0" || response.Header.Get("Content-Type") != "text/html" {
				t.Errorf("%q is answered %v, %v, want %d", text, response, err, want)
			}
			conn.Close()
		}
	}},
	{name: "400 if the client closes the connection before it has sent its body", source: troubleshooting + "#http-400-issues", run: func(t *testing.T, b *bench) {
		b.target("A", "one", echo)
		for n, framing := range []string{"Content-Length: 10\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n9\r\nhalf"} {
			conn, err := net.Dial("tcp", b.address)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\n"+framing)
			_ = conn.(*net.TCPConn).CloseWrite()
			if response, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || response.StatusCode != 400 {
				t.Errorf("answer is %v, %v", response, err)
			}
			conn.Close()
			if x := b.last(n + 1); x.Status != 400 || x.TargetStatus != 0 || !errors.Is(x.Err, io.ErrUnexpectedEOF) {
				t.Errorf("exchange is %+v", x)
			}
		}
	}},
	{name: "400 for a chunk that is none", source: troubleshooting + "#http-400-issues", run: func(t *testing.T, b *bench) {
		b.target("A", "one", echo)
		b.bare("chunk", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", 1, "400", true)
	}},
	{name: "502 if the target closes the connection while the client sends its body", source: troubleshooting + "#http-502-issues", run: func(t *testing.T, b *bench) {
		b.raw("A", "one", func(conn net.Conn, _ *http.Request, reader *bufio.Reader) { _, _ = reader.ReadByte() })
		conn, err := net.Dial("tcp", b.address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nstart")
		if response, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || response.StatusCode != 502 {
			t.Errorf("answer is %v, %v", response, err)
		}
	}},
	{name: "413 for headers that are too large, which the page has next to 400", source: troubleshooting + "#http-413-issues", unknown: "400"},
	{name: "507 for a redirect to a URL that is too long", source: troubleshooting + "#http-507-issues", unknown: "there is no limit: the page names none"},
	{name: "504 if no connection comes about within 10 seconds", source: troubleshooting + "#http-504-issues", run: func(t *testing.T, b *bench) {
		if p := newPool("", false); p.timeout != 10*time.Second {
			t.Errorf("the timeout is %v", p.timeout)
		}
		b.target("A", "one", hello)
		pool := b.balancer.groups["S/A"].targets[0].pool
		pool.timeout = time.Millisecond
		pool.dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		response, body := b.get(client(t), "/")
		requireOwn(t, response, body, 504, "504 Gateway Time-out")
	}},
	{name: "504 if the handshake of TLS with a target takes more than 10 seconds", source: troubleshooting + "#http-504-issues", template: template{groups: map[string]object{"A": {"Protocol": "HTTPS"}}}, run: func(t *testing.T, b *bench) {
		b.raw("A", "one", func(conn net.Conn, _ *http.Request, _ *bufio.Reader) {})
		silent, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer silent.Close()
		pool := b.balancer.groups["S/A"].targets[0].pool
		pool.address, pool.timeout = silent.Addr().String(), 20*time.Millisecond
		response, body := b.get(client(t), "/")
		requireOwn(t, response, body, 504, "504 Gateway Time-out")
	}},
	{name: "502 if the handshake of TLS with a target fails", source: troubleshooting + "#http-502-issues", template: template{groups: map[string]object{"A": {"Protocol": "HTTPS"}}}, run: func(t *testing.T, b *bench) {
		b.target("A", "one", hello) // without TLS
		response, body := b.get(client(t), "/")
		requireOwn(t, response, body, 502, "502 Bad Gateway")
	}},
	{name: "What a client gets whose answer is shorter than its Content-Length", source: troubleshooting + "#http-504-issues", idle: 100 * time.Millisecond,
		unknown: "the page has a 504; here the client has the status by then, and its connection breaks after the idle timeout", run: func(t *testing.T, b *bench) {
			release := make(chan struct{})
			defer close(release)
			b.raw("A", "one", func(conn net.Conn, _ *http.Request, _ *bufio.Reader) {
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
				<-release
			})
			response, err := client(t).Get("http://" + b.address)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			if body, err := io.ReadAll(response.Body); err == nil || string(body) != "half" {
				t.Errorf("body is %q, %v", body, err)
			}
		}},

	// Connections.
	{name: "After the 408 the connection is closed", source: troubleshooting + "#http-408-issues", idle: 100 * time.Millisecond, run: func(t *testing.T, b *bench) {
		b.target("A", "one", echo)
		for _, framing := range []string{"Content-Length: 10\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n9\r\nabc"} {
			b.bare(framing, "POST / HTTP/1.1\r\nHost: x\r\n"+framing, 1, "408", true)
		}
	}},
	{name: "A client's connection keeps the keep-alive duration that it began with", source: attributesPage + "#http-client-keep-alive-duration", run: func(t *testing.T, b *bench) {
		b.target("A", "one", hello)
		conn, err := net.Dial("tcp", b.address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		reader := bufio.NewReader(conn)
		for i := range 2 {
			_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			response, err := http.ReadResponse(reader, nil)
			if err != nil || response.Close {
				t.Fatalf("answer %d is %v, %v", i, response, err)
			}
			_, _ = io.Copy(io.Discard, response.Body)
			config := template{}.config(t)
			config.Listeners[0].LoadBalancer.ClientKeepAlive = 0
			if err := b.balancer.Configure(config); err != nil {
				t.Fatal(err)
			}
		}
	}},
	{name: "After the keep-alive duration HTTP/2 ends with GOAWAY", source: attributesPage + "#http-client-keep-alive-duration", template: template{secure: true, action: fixed("200", "text/plain", "x")}, run: func(t *testing.T, b *bench) {
		config := template{secure: true, action: fixed("200", "text/plain", "x")}.config(t)
		config.Listeners[0].LoadBalancer.ClientKeepAlive = 0
		if err := b.balancer.Configure(config); err != nil {
			t.Fatal(err)
		}
		c := secureClient(b, "h2")
		for range 2 {
			r, _ := http.NewRequest("GET", "https://"+b.address, nil)
			if response, _ := b.do(c, r); response.ProtoMajor != 2 {
				t.Errorf("answer by %s", response.Proto)
			}
		}
		if b.last(1).Client == b.last(2).Client {
			t.Error("the connection is kept")
		}
	}},
	{name: "Several Host headers: the first one counts for rules, and all are preserved", source: attributesPage + "#host-header-preservation", template: template{
		loadBalancer: []object{attribute("routing.http.preserve_host_header.enabled", "true")},
		rules:        []object{{"Conditions": []any{object{"Field": "host-header", "Values": []any{"first.example"}}}, "Actions": []any{forwardTo("B")}}}}, run: func(t *testing.T, b *bench) {
		seen := make(chan string, 1)
		b.lenient("B", "one", func(head string) { seen <- head })
		b.exchangeRaw("GET / HTTP/1.1\r\nHost: First.example:80\r\nHost: second.example\r\n\r\n", 1)
		require(t, "head", <-seen, `(?m)^Host: First\.example:80\r\nHost: second\.example\r$`)
	}},
	{name: "A URL in the request line has the host, unless Host is preserved", source: attributesPage + "#host-header-preservation", run: func(t *testing.T, b *bench) {
		b.target("A", "one", echo)
		text := "GET http://name.example:80/index.html?q HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n"
		_, body := b.talk(text)
		require(t, "request", body, `^GET /index\.html\?q\nHost: name\.example\n`)
		config := template{loadBalancer: []object{attribute("routing.http.preserve_host_header.enabled", "true")}}.config(t)
		if err := b.balancer.Configure(config); err != nil {
			t.Fatal(err)
		}
		_, body = b.talk(text)
		require(t, "request", body, `^GET /index\.html\?q\nHost: example\.com\n`)
	}},
	{name: "Host keeps the client's port on another listener", source: attributesPage + "#host-header-preservation", template: template{port: 8080}, run: func(t *testing.T, b *bench) {
		b.target("A", "one", echo)
		_, body := b.talk("GET / HTTP/1.1\r\nHost: example.com:8080\r\nConnection: close\r\n\r\n")
		require(t, "request", body, `(?m)^Host: example\.com:8080$`)
	}},

	// Answers as they come.
	{name: "Each part of a streamed answer is passed on at once, also if the next one is half there", source: listeners, run: func(t *testing.T, b *bench) {
		for name, parts := range map[string][]string{
			"chunks":        {"Transfer-Encoding: chunked\r\n\r\n", "9\r\ndata: 1\n\n\r\n9\r\nda", "ta: 2\n\n\r\n9", "\r\ndata: 3\n\n\r\n0\r\n\r\n"},
			"chunk's size":  {"Transfer-Encoding: chunked\r\n\r\n", "9\r\ndata: 1\n\n\r\n", "9;a=", "b\r\ndata: 2\n\n\r\n", "9\r\ndata: 3\n\n\r\n0\r", "\n\r\n"},
			"known length":  {"Content-Length: 27\r\n\r\n", "data: 1\n\nda", "ta: 2\n\n", "data: 3\n\n"},
			"until the end": {"Content-Type: text/event-stream\r\n\r\n", "data: 1\n\nda", "ta: 2\n\n", "data: 3\n\n"},
			"headers alone": {"Content-Length: 27\r\n\r\n", "", "data: 1\n\ndata: 2\n\ndata: 3\n\n"},
		} {
			b.stream(name, "HTTP/1.1 200 OK\r\n", parts)
		}
		b.stream("HTTP/1.0", "HTTP/1.0 200 OK\r\n", []string{"\r\n", "data: 1\n\n", "data: 2\n\ndata", ": 3\n\n"})
	}},
	{name: "Each part of a streamed request is passed on at once, also if the next one is half there", source: listeners, run: func(t *testing.T, b *bench) {
		got, body := make(chan string), ""
		b.target("A", "one", func(w http.ResponseWriter, r *http.Request) {
			buffer := make([]byte, 100)
			for {
				n, err := r.Body.Read(buffer)
				if n > 0 {
					got <- string(buffer[:n])
				}
				if err != nil {
					return
				}
			}
		})
		conn, err := net.Dial("tcp", b.address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		for _, part := range []struct{ sent, want string }{
			{"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n5\r\nde", "abcde"}, {"fgh\r\n1", "fgh"}, {"0\r\n0123456789abcdef\r\n0\r", "0123456789abcdef"},
		} {
			_, _ = io.WriteString(conn, part.sent)
			for body = ""; len(body) < len(part.want); {
				body += <-got
			}
			if body != part.want {
				t.Errorf("the target has %q, want %q", body, part.want)
			}
		}
		_, _ = io.WriteString(conn, "\n\r\n")
		if response, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || response.StatusCode != 200 {
			t.Errorf("answer is %v, %v", response, err)
		}
	}},
	{name: "An answer of a target is passed on as it is, whatever is in it", source: troubleshooting + "#target-http-errors", run: func(t *testing.T, b *bench) {
		for i, body := range []string{
			"x\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n400 Bad Request",
			"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n400 Bad Request",
			"<html>\r\n<head><title>503 Service Temporarily Unavailable</title></head>\r\n",
		} {
			id := fmt.Sprint(i)
			b.target("A", id, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/plain; charset=utf-8")
				w.Header().Set("Connection", "close")
				w.WriteHeader(404)
				_, _ = io.WriteString(w, body)
			})
			response, got := b.get(client(t), "/")
			if response.StatusCode != 404 || got != body || response.Header.Get("X-Target") != id || response.Header.Get("Server") != "" {
				t.Errorf("answer is %v %q, want 404 with %q", response, got, body)
			}
			if x := b.last(i + 1); x.Status != 404 || x.TargetStatus != 404 {
				t.Errorf("exchange is %+v", x)
			}
			<-b.balancer.Deregister("S/A", id)
		}
	}},

	// Targets.
	{name: "A client whose target becomes unhealthy gets a healthy one", source: groupAttributes + "#sticky-sessions",
		template: template{attributes: map[string][]object{"A": {attribute("stickiness.enabled", "true")}}}, run: func(t *testing.T, b *bench) {
			b.target("A", "one", hello)
			b.target("A", "two", hello)
			c := client(t)
			first, _ := b.get(c, "/")
			cookie, own := "AWSALB="+first.Cookies()[0].Value, first.Header.Get("X-Target")
			if next, _ := b.get(c, "/", "Cookie", cookie); next.Header.Get("X-Target") != own {
				t.Fatal("the client changes its healthy target")
			}
			g := b.balancer.groups["S/A"]
			g.mu.Lock()
			g.targets[find(g.targets, own)].become(Unhealthy, failedHealthChecks, "")
			g.mu.Unlock()
			next, _ := b.get(c, "/", "Cookie", cookie)
			if next.StatusCode != 200 || next.Header.Get("X-Target") == own || len(next.Cookies()) != 2 {
				t.Errorf("with its target unhealthy the client gets %v", next)
			}
			again, _ := b.get(c, "/", "Cookie", "AWSALB="+next.Cookies()[0].Value)
			if again.Header.Get("X-Target") != next.Header.Get("X-Target") {
				t.Error("the client does not stay with its new target")
			}
		}},
	{name: "One success makes a new target healthy; then the thresholds count results in a row; targets are checked while a rule uses their group", source: healthChecks, run: testThresholds},
	{name: "A check fails after its timeout, and the next one begins an interval after it began", source: healthChecks + "#health-check-settings", run: testCheckTimeout},
	{name: "A check has its protocol, port, path and success codes, and the user agent ELB-HealthChecker/2.0", source: healthChecks + "#health-check-settings", run: testProbe},
	{name: "Deregistration lasts until no request is in flight, for at most the delay", source: groupAttributes + "#deregistration-delay", run: testDraining},
	{name: "Slow start gives a new target a growing share, unless it is alone", source: groupAttributes + "#slow-start-mode", run: testSlowStart},
	{name: "Below its minimum of healthy targets a group sends requests to all of them", source: targetGroups + "#target-group-health", run: testFailover},
	{name: "Requests are sent once, and never again", source: troubleshooting + "#http-502-issues", unknown: "no retries are documented, and there are none here"},
	{name: "How long the state draining lasts", source: groupAttributes + "#deregistration-delay", unknown: "until no request is in flight; on AWS the state is shown until the delay has passed"},
	{name: "gRPC and HTTP/2 to targets, and 464 for requests that do not fit", source: troubleshooting + "#http-464-issues", template: template{groups: map[string]object{"A": {"ProtocolVersion": "GRPC"}}}, refused: `"GRPC" is not honoured: only HTTP1 is known here`},
	{name: "Authentication, with its 401, 500 and 561", source: troubleshooting + "#http-561-issues", template: template{rules: []object{onPath("/", object{"Type": "authenticate-oidc"})}}, refused: `"authenticate-oidc" is not an action that is evaluated`},
	{name: "Mutual TLS", source: listeners + "#listener-configuration", template: template{secure: true, listener: object{"MutualAuthentication": object{"Mode": "verify"}}}, refused: `MutualAuthentication: "verify" is not honoured`},
	{name: "Headers about TLS", source: attributesPage, template: template{loadBalancer: []object{attribute("routing.http.x_amzn_tls_version_and_cipher_suite.enabled", "true")}}, refused: "(routing.http.x_amzn_tls_version_and_cipher_suite.enabled): true is not honoured"},
	{name: "Answers without a Server header", source: modification, template: template{listener: object{"ListenerAttributes": []any{attribute("routing.http.response.server.enabled", "false")}}}, refused: "(routing.http.response.server.enabled): false is not honoured"},
	{name: "Names of own for the headers about TLS", source: modification, template: template{listener: object{"ListenerAttributes": []any{attribute("routing.http.request.x_amzn_tls_version.header_name", "X-Tls")}}}, refused: "(routing.http.request.x_amzn_tls_version.header_name): not honoured"},
	{name: "Stickiness by a cookie of the application", source: groupAttributes + "#sticky-sessions", template: template{attributes: map[string][]object{"A": {attribute("stickiness.enabled", "true"), attribute("stickiness.type", "app_cookie")}}}, refused: `"app_cookie" is not honoured: only lb_cookie is known here`},
	{name: "Weighted random, and anomaly mitigation", source: groupAttributes + "#modify-routing-algorithm", template: template{attributes: map[string][]object{"A": {attribute("load_balancing.algorithm.type", "weighted_random")}}}, refused: `"weighted_random" is not honoured`},
	{name: "Targets without health checks", source: healthChecks, template: template{groups: map[string]object{"A": {"HealthCheckEnabled": false}}}, refused: "HealthCheckEnabled: false is not honoured"},
	{name: "Target control agents", source: targetGroups, template: template{groups: map[string]object{"A": {"TargetControlPort": 3000}}}, refused: "TargetControlPort: not honoured"},
	{name: "Connection logs", source: accessLogs, template: template{loadBalancer: []object{attribute("connection_logs.s3.enabled", "true")}}, refused: "(connection_logs.s3.enabled): true is not honoured"},
}

// conditionOn is a rule of one condition, which forwards to B.
func conditionOn(condition object) template {
	return template{rules: []object{{"Conditions": []any{condition}, "Actions": []any{forwardTo("B")}}}}
}

// routes says whether requests meet the rule of conditionOn.
func (b *bench) routes(met map[string]bool) {
	b.t.Helper()
	b.target("A", "default", echo)
	b.target("B", "rule", echo)
	for head, want := range map[bool]string{true: "rule", false: "default"} {
		for text, is := range met {
			if is != head {
				continue
			}
			response, _ := b.talk(strings.Replace(text, " ", " ", 1) + "Connection: close\r\n\r\n")
			if got := response.Header.Get("X-Target"); got != want {
				b.t.Errorf("%q meets the %s, want the %s", text, got, want)
			}
		}
	}
}

func get(target string) string { return "GET " + target + " HTTP/1.1\r\nHost: x\r\n" }

// What AWS documents about conditions.
var conditionConformance = []behaviour{
	{name: "Rules are evaluated after URI normalization: unreserved characters are decoded, and the segments . and .. resolved", source: conditions + "#path-conditions",
		template: conditionOn(object{"Field": "path-pattern", "Values": []any{"/api/users*"}}), run: func(t *testing.T, b *bench) {
			b.routes(map[string]bool{
				get("/api/users"): true, get("/api/%75sers"): true, get("/api/./users"): true, get("/api/x/../users/1"): true, get("/api/%2e%2E/api/users"): true,
				get("/api/users/../threads"): false, get("/api/users/.."): false, get("/API/users"): false,
			})
		}},
	{name: "Normalization of empty segments and of %2F", source: conditions + "#path-conditions", template: conditionOn(object{"Field": "path-pattern", "Values": []any{"/api/users*"}}),
		unknown: "they stay: /api//users and /api%2Fusers do not match /api/users", run: func(t *testing.T, b *bench) {
			b.routes(map[string]bool{get("/api//users"): false, get("/api%2Fusers"): false, get("/api/users//1"): true, get("/api/users%2F1"): true})
		}},
	{name: "Segments .. above the root", source: conditions + "#path-conditions", template: conditionOn(object{"Field": "path-pattern", "Values": []any{"/users"}}), unknown: "they end at the root, as in RFC 3986", run: func(t *testing.T, b *bench) {
		b.routes(map[string]bool{get("/../../users"): true})
	}},
	{name: "Rules do not alter the path: the target gets it as the client sent it", source: conditions + "#path-conditions", template: conditionOn(object{"Field": "path-pattern", "Values": []any{"/a/*"}}), run: func(t *testing.T, b *bench) {
		b.target("B", "one", echo)
		for _, path := range []string{"/a/b", "/x/../%61/./b?c=%64"} {
			if _, body := b.talk(get(path) + "Connection: close\r\n\r\n"); !strings.HasPrefix(body, "GET "+path+"\n") {
				t.Errorf("%s arrives as %q", path, body)
			}
		}
	}},
	{name: "The path in a redirect", source: actions + "#redirect-actions", template: template{action: object{"Type": "redirect", "RedirectConfig": object{"StatusCode": "HTTP_302", "Protocol": "HTTPS", "Port": "443"}}},
		unknown: "#{path} is the path as the client sent it", run: func(t *testing.T, b *bench) {
			if response, _ := b.talk(get("/x/../%61") + "\r\n"); response.Header.Get("Location") != "https://x:443/x/../%61" {
				t.Errorf("Location is %s", response.Header.Get("Location"))
			}
		}},
	{name: "A path pattern has wildcards, counts case, and does not see the query", source: conditions + "#path-conditions", template: conditionOn(object{"Field": "path-pattern", "Values": []any{"/img/*/pic?"}}), run: func(t *testing.T, b *bench) {
		b.routes(map[string]bool{get("/img/a/b/pics"): true, get("/img//picS?x"): true, get("/img/a/pic"): false, get("/img/a/pic?s"): false, get("/Img/a/pics"): false, get("/x?/img/a/pics"): false})
	}},
	{name: "A host condition has wildcards, and does not count case", source: conditions + "#host-conditions", template: conditionOn(object{"Field": "host-header", "Values": []any{"*.Example.com"}}), run: func(t *testing.T, b *bench) {
		head := func(host string) string { return "GET / HTTP/1.1\r\nHost: " + host + "\r\n" }
		b.routes(map[string]bool{head("test.example.com"): true, head("TEST.EXAMPLE.COM:8080"): true, head("example.com"): false, head("test.example.org"): false})
	}},
	{name: "A header condition has wildcards, and counts neither the case of the name nor that of the value", source: conditions + "#http-header-conditions",
		template: conditionOn(object{"Field": "http-header", "HttpHeaderConfig": object{"HttpHeaderName": "user-agent", "Values": []any{"*Chrome*", "safari/?"}}}), run: func(t *testing.T, b *bench) {
			b.routes(map[string]bool{get("/") + "USER-AGENT: a chrome b\r\n": true, get("/") + "User-Agent: x\r\nUser-Agent: Safari/1\r\n": true, get("/") + "User-Agent: safari/\r\n": false, get("/"): false})
		}},
	{name: "A method condition counts case, and has no wildcards", source: conditions + "#http-request-method-conditions", template: conditionOn(object{"Field": "http-request-method", "HttpRequestMethodConfig": object{"Values": []any{"CUSTOM", "PUT"}}}), run: func(t *testing.T, b *bench) {
		b.routes(map[string]bool{"CUSTOM / HTTP/1.1\r\nHost: x\r\n": true, "PUT / HTTP/1.1\r\nHost: x\r\n": true, "put / HTTP/1.1\r\nHost: x\r\n": false, get("/"): false})
	}},
	{name: "A query condition has keys and values with wildcards, and does not count case", source: conditions + "#query-string-conditions",
		template: conditionOn(object{"Field": "query-string", "QueryStringConfig": object{"Values": []any{object{"Key": "version", "Value": "v?"}, object{"Value": "*example*"}}}}), run: func(t *testing.T, b *bench) {
			b.routes(map[string]bool{get("/?version=v1"): true, get("/?a=b&VERSION=V2"): true, get("/?any=an%20EXAMPLE"): true, get("/?version=v12"): false, get("/version=v1"): false, get("/?example=x"): false})
		}},
	{name: "A source address is that of the connection, and not one in X-Forwarded-For", source: conditions + "#source-ip-conditions",
		template: conditionOn(object{"Field": "source-ip", "SourceIpConfig": object{"Values": []any{"192.0.2.0/24"}}}), run: func(t *testing.T, b *bench) {
			b.routes(map[string]bool{get("/") + "X-Forwarded-For: 192.0.2.1\r\n": false})
		}},
	{name: "Regular expressions in conditions", source: conditions + "#path-conditions", template: conditionOn(object{"Field": "path-pattern", "PathPatternConfig": object{"RegexValues": []any{"^/a"}}}), refused: "RegexValues: regular expressions are not evaluated here"},
	{name: "Transforms of URLs and hosts", source: listeners + "#listener-rules", template: template{rules: []object{{"Conditions": []any{object{"Field": "path-pattern", "Values": []any{"/a"}}}, "Actions": []any{forwardTo("B")}, "Transforms": []any{object{"Type": "url-rewrite"}}}}}, refused: "Transforms: not honoured"},
}

// stream has a target send an answer in parts, each only when the client has all events that were sent
// before. The parts without framing are "data: 1\n\n" and so on.
func (b *bench) stream(name, status string, parts []string) {
	b.t.Helper()
	next := make(chan struct{})
	b.raw("A", name, func(conn net.Conn, _ *http.Request, _ *bufio.Reader) {
		_, _ = io.WriteString(conn, status+parts[0])
		for _, part := range parts[1:] {
			<-next
			_, _ = io.WriteString(conn, part)
		}
		<-next
	})
	response, err := client(b.t).Get("http://" + b.address) // returns with the headers
	if err != nil {
		b.t.Fatal(err)
	}
	defer response.Body.Close()
	sent, got := "", ""
	for _, part := range parts[1:] {
		next <- struct{}{}
		sent += part
		// As many events as are whole by now.
		want := 0
		for event := 1; event <= 3; event++ {
			if strings.Contains(sent, fmt.Sprintf(": %d\n\n", event)) {
				want = event * len("data: 1\n\n")
			}
		}
		buffer := make([]byte, max(want-len(got), 0))
		n, err := io.ReadFull(response.Body, buffer)
		if got += string(buffer[:n]); err != nil && err != io.EOF {
			b.t.Fatalf("%s: the client has %q: %v", name, got, err)
		}
	}
	close(next)
	rest, _ := io.ReadAll(response.Body)
	if got += string(rest); got != "data: 1\n\ndata: 2\n\ndata: 3\n\n" {
		b.t.Errorf("%s: the answer is %q", name, got)
	}
	<-b.balancer.Deregister("S/A", name)
}

// TestConformance runs all behaviours, and compares docs/fidelity.md with them.
func TestConformance(t *testing.T) {
	all := slices.Concat(conformance, requestConformance, conditionConformance, functionConformance)
	var mu sync.Mutex
	ran := map[string]bool{}
	t.Run("behaviour", func(t *testing.T) {
		for _, test := range all {
			t.Run(test.name, func(t *testing.T) {
				t.Parallel()
				mu.Lock()
				ran[test.name] = true
				mu.Unlock()
				if test.refused != "" {
					if _, err := Read(model.Read(read(t, test.template.json(t)))); err == nil || !strings.Contains(err.Error(), test.refused) {
						t.Errorf("error is %v, want one with %q", err, test.refused)
					}
					return
				}
				if test.run == nil {
					return
				}
				config := test.template.config(t)
				if test.idle > 0 {
					short(config, test.idle)
				}
				test.run(t, serve(t, config))
			})
		}
	})
	if len(ran) == len(all) { // and not only what -run chooses
		golden.Compare(t, "../../../docs/fidelity.md", fidelity(t, all))
	}
}

// fidelity is the document of all behaviours, page by page.
func fidelity(t *testing.T, all []behaviour) []byte {
	t.Helper()
	text, err := os.ReadFile("testdata/fidelity.md")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.Write(text)
	seen := map[string]bool{}
	counts := map[string]int{}
	var tables strings.Builder
	for _, page := range pages {
		fmt.Fprintf(&tables, "\n## %s\n\n| behaviour | here |\n|---|---|\n", page.title)
		for _, test := range all {
			if where, _, _ := strings.Cut(test.source, "#"); where != page.source {
				continue
			}
			if seen[test.name] {
				t.Errorf("%q is there twice", test.name)
			}
			seen[test.name] = true
			kind, here := test.state(t)
			counts[kind]++
			fmt.Fprintf(&tables, "| [%s](%s) | %s |\n", strings.ToUpper(test.name[:1])+test.name[1:], test.source, here)
		}
	}
	for _, test := range all {
		if !seen[test.name] {
			t.Errorf("%q has the source %q, which is no page of the list", test.name, test.source)
		}
	}
	fmt.Fprintf(&b, "\n%d behaviours are honoured, %d refused, %d not known and %d not honoured.\n", counts["honoured"], counts["refused"], counts["not known"], counts["not honoured"])
	return []byte(b.String() + tables.String())
}

// state is what a behaviour is here, in one word and in full.
func (x behaviour) state(t *testing.T) (kind, here string) {
	t.Helper()
	said := 0
	for _, text := range []string{x.refused, x.unknown, x.differs} {
		if text != "" {
			said++
		}
	}
	switch {
	case said > 1 || said == 0 && x.run == nil:
		t.Errorf("%q has no test, or is several things", x.name)
	case x.refused != "":
		return "refused", "**refused**: `" + x.refused + "`"
	case x.unknown != "":
		return "not known", "**not known**: " + x.unknown
	case x.differs != "":
		return "not honoured", "**not honoured**: " + x.differs
	}
	return "honoured", "honoured"
}
