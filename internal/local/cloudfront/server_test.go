package cloudfront

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/andybalholm/brotli"

	"cutover/internal/rules"
)

// echo answers with what it was asked.
func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	fmt.Fprint(w, strings.TrimSpace(fmt.Sprint(r.Method, " ", r.Host, " ", r.RequestURI, " ", string(body))))
}

func TestChain(t *testing.T) {
	s := serve(t, echo)
	for _, c := range []struct {
		ask, want string
		headers   []string
	}{
		{"GET /api/users?b=1&a=2", "200 Miss GET lb.example /api/users?b=1&a=2", nil},
		{"GET /api/v1/users", "200 Miss GET api.execute-api.eu-west-1.amazonaws.com /live/api/v1/users", nil},
		{"POST /api/users hello", "200 Miss POST lb.example /api/users hello", nil},
		{"GET /api/a%2Fb/./c", "200 Miss GET lb.example /api/a%2Fb/./c", nil},
		{"GET /x/../api", "200 Miss GET lb.example /x/../api", nil},
		{"GET /deployment.json", `200 FunctionGeneratedResponse {"phase":"parallel"}`, nil},
		{"GET /nested/a%20b.bin", "200 Miss x", nil},
		{"GET /nested/a%20b.bin", "200 Hit x", nil},
		{"GET /nested/a%20b.bin", "206 Hit x", []string{"Range: bytes=0-"}},
		{"GET /api/kept?limit=1&x=2", "200 Miss GET lb.example /api/kept?limit=1", nil},
		{"GET /api/kept?x=3&limit=1", "200 Hit GET lb.example /api/kept?limit=1", nil},
		{"GET /api/kept?limit=2", "200 Miss GET lb.example /api/kept?limit=2", nil},
		{"HEAD /api/kept?limit=2", "200 Hit ", nil},
	} {
		s.is(c.want, s.ask(c.ask, c.headers...))
	}
	for ask, status := range map[string]int{
		"POST /index.html x": 403, "PUT /api/kept x": 403, "GET /missing.png": 403, "GET /api body": 403, "TRACE /api": 403,
		"GET /api?" + strings.Repeat("a", 8192): 413,
	} {
		a := s.ask(ask)
		if a.StatusCode != status || a.Header.Get("X-Cache") != "Error from cloudfront" {
			t.Errorf("%.30s: %d %s, want %d", ask, a.StatusCode, a.Header.Get("X-Cache"), status)
		}
	}
	if a := s.ask("GET /api", "X-Big: "+strings.Repeat("a", 20480)); a.StatusCode != 413 {
		t.Errorf("a large head: %d", a.StatusCode)
	}
}

// The page is what its function and its bucket make of a path.
func TestPage(t *testing.T) {
	s := serve(t, echo)
	for _, path := range []string{"/", "/users/1", "/index.html"} {
		if a := s.ask("GET " + path); a.StatusCode != 200 || !strings.HasPrefix(a.body, "<!doctype html>") || a.Header.Get("Content-Type") != "text/html" {
			t.Errorf("%s: %d %s %.20q", path, a.StatusCode, a.Header.Get("Content-Type"), a.body)
		}
	}
	a := s.ask("GET /page.js")
	for name, want := range map[string]string{
		"Content-Type": "text/javascript", "Cache-Control": "max-age=60", "Server": "AmazonS3", "X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Accept-Ranges": "bytes",
	} {
		if got := a.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if !strings.HasSuffix(a.Header.Get("Via"), ".cloudfront.net (CloudFront)") || a.Header.Get("X-Amz-Cf-Id") == "" || a.Header.Get("Last-Modified") == "" {
		t.Errorf("the headers of CloudFront are missing: %v", a.Header)
	}
	again := s.ask("GET /page.js", "If-None-Match: "+a.Header.Get("ETag"))
	if again.StatusCode != 304 || again.body != "" || again.Header.Get("Age") == "" {
		t.Errorf("the same again: %d %q, age %q", again.StatusCode, again.body, again.Header.Get("Age"))
	}
	if missing := s.ask("GET /missing.png"); !strings.Contains(missing.body, "<Code>AccessDenied</Code>") || missing.Header.Get("Content-Type") != "application/xml" {
		t.Errorf("what is missing: %s", missing.body)
	}
}

func TestCompression(t *testing.T) {
	s := serve(t, echo)
	plain := s.ask("GET /page.js").body
	unpack := map[string]func(io.Reader) io.Reader{
		"": func(r io.Reader) io.Reader { return r },
		"gzip": func(r io.Reader) io.Reader {
			z, err := gzip.NewReader(r)
			if err != nil {
				t.Fatal(err)
			}
			return z
		},
		"br": func(r io.Reader) io.Reader { return brotli.NewReader(r) },
	}
	for sent, want := range map[string]string{"gzip, deflate, br": "br", "gzip;q=1.0": "gzip", "br;q=0, gzip": "gzip", "deflate": "", "identity": ""} {
		for _, cache := range []string{"Miss", "Hit"} {
			a := s.ask("GET /page.js", "Accept-Encoding: "+sent)
			if got := a.Header.Get("Content-Encoding"); got != want {
				t.Errorf("%s: %q, want %q", sent, got, want)
				continue
			}
			body, err := io.ReadAll(unpack[want](bytes.NewReader([]byte(a.body))))
			if err != nil || string(body) != plain || want != "" && (len(a.body) >= len(plain) || !strings.HasPrefix(a.Header.Get("ETag"), "W/")) || cache == "Hit" && a.Header.Get("X-Cache") != "Hit from cloudfront" {
				t.Errorf("%s: %v, %d of %d bytes, %s, %s", sent, err, len(a.body), len(plain), a.Header.Get("ETag"), a.Header.Get("X-Cache"))
			}
		}
	}
	if small := s.ask("GET /index.html", "Accept-Encoding: gzip"); small.Header.Get("Content-Encoding") != "" {
		t.Error("a small file is compressed")
	}
}

// What an origin gets of the viewer's headers.
func TestOriginHeaders(t *testing.T) {
	var got http.Header
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Clone()
		w.Header().Set("Set-Cookie", "a=1")
		w.Header().Set("Vary", "X-Custom, Accept-Encoding")
		fmt.Fprint(w, "body")
	})
	sent := []string{"X-Custom: 1", "Cookie: a=1; b=2", "User-Agent: browser", "Authorization: x", "X-Forwarded-For: 192.0.2.1", "Accept-Encoding: br", "X-Real-Ip: 1", "X-Origin-Secret: guess", "Range: bytes=0-1"}
	a := s.ask("GET /api/all", sent...)
	for name, want := range map[string]string{
		"X-Custom": "1", "Cookie": "a=1; b=2", "User-Agent": "browser", "Authorization": "x", "X-Forwarded-For": "192.0.2.1, 127.0.0.1", "Accept-Encoding": "br", "X-Real-Ip": "",
		"X-Origin-Secret": "{{resolve:secretsmanager:origin:SecretString:::}}", "Range": "bytes=0-1",
	} {
		if strings.Join(got[name], "|") != want {
			t.Errorf("with AllViewerExceptHostHeader %s is %q, want %q", name, got[name], want)
		}
	}
	if a.Header.Get("Set-Cookie") != "a=1" || a.Header.Get("Vary") != "X-Custom, Accept-Encoding" {
		t.Errorf("the viewer gets %v", a.Header)
	}
	a = s.ask("GET /api/kept", sent...)
	for name, want := range map[string]string{
		"X-Custom": "", "Cookie": "", "User-Agent": "Amazon CloudFront", "Authorization": "", "X-Forwarded-For": "192.0.2.1, 127.0.0.1", "Accept-Encoding": "", "Range": "",
	} {
		if strings.Join(got[name], "|") != want {
			t.Errorf("without a policy %s is %q, want %q", name, got[name], want)
		}
	}
	if a.Header.Get("Set-Cookie") != "" || a.Header.Get("Vary") != "Accept-Encoding" {
		t.Errorf("the viewer gets %v", a.Header)
	}
	if got.Get("X-Amz-Cf-Id") == "" || !strings.Contains(got.Get("Via"), "CloudFront") {
		t.Errorf("the origin gets %v", got)
	}
}

// An error of the API is kept for as long as the distribution says, and is never the page's.
func TestErrors(t *testing.T) {
	var asked atomic.Int32
	status := atomic.Int32{}
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(int(status.Load()))
		fmt.Fprint(w, "oops")
	})
	for _, c := range []struct {
		status int
		path   string
		asked  int32 // of two requests
	}{
		{404, "/api/a", 2}, {503, "/api/b", 2}, {500, "/api/c", 1}, {403, "/api/d", 2}, {418, "/api/e", 2}, {500, "/api/kept/f", 1},
	} {
		asked.Store(0)
		status.Store(int32(c.status))
		for range 2 {
			s.is(fmt.Sprint(c.status, " Error oops"), s.ask("GET "+c.path))
		}
		if asked.Load() != c.asked {
			t.Errorf("%d at %s: the origin was asked %d times, want %d", c.status, c.path, asked.Load(), c.asked)
		}
	}
	status.Store(500)
	s.is("500 Error oops", s.ask("POST /api/c x"))

	// Another status and page in its place.
	s.deploy(change{`{"ErrorCode": 404, "ErrorCachingMinTTL": 0}`, `{"ErrorCode": 404, "ErrorCachingMinTTL": 0, "ResponseCode": 200, "ResponsePagePath": "/nested/a%20b.bin"}`})
	status.Store(404)
	s.is("200 Error x", s.ask("GET /api/a"))
	s.deploy(change{`{"ErrorCode": 404, "ErrorCachingMinTTL": 0}`, `{"ErrorCode": 404, "ErrorCachingMinTTL": 0, "ResponseCode": 200, "ResponsePagePath": "/gone.html"}`})
	if a := s.ask("GET /api/a"); a.StatusCode != 403 || !strings.Contains(a.body, "AccessDenied") {
		t.Errorf("a page that cannot be had: %d %s", a.StatusCode, a.body)
	}
	s.origin.Close()
	if a := s.ask("GET /api/x"); a.StatusCode != 502 || !strings.Contains(a.body, "wasn't able to connect to the origin") {
		t.Errorf("without an origin: %d %s", a.StatusCode, a.body)
	}
}

// A deployment changes the distribution at once, and the cache keeps what it has.
func TestDeployment(t *testing.T) {
	side := atomic.Value{}
	side.Store("old")
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, side.Load()) })
	s.is("200 Miss old", s.ask("GET /api/kept"))
	s.is("200 Miss old", s.ask("GET /api/users"))
	side.Store("new")
	before := s.deploy()
	s.is("200 Hit old", s.ask("GET /api/kept"))
	s.is("200 Miss new", s.ask("GET /api/users"))
	if len(s.told) != 1 || !strings.HasPrefix(s.told[0], "WARNING CloudFront Distribution answers from before the deployment out of its cache: 1 answer, for up to ") {
		t.Errorf("told is %q", s.told)
	}

	// The page of another version is under another prefix. The way back has the files of the first one.
	next := s.p.Plan(read(t, change{`"DestinationBucketKeyPrefix": "v1"`, `"DestinationBucketKeyPrefix": "v2"`}, change{`"OriginPath": "/v1"`, `"OriginPath": "/v2"`}, change{`"PathPattern": "/api/kept*"`, `"PathPattern": "/other*"`}), fill)
	if err := next.Check(); err != nil {
		t.Fatal(err)
	}
	if err := next.Update(t.Context(), "Ui"); err != nil {
		t.Fatal(err)
	}
	s.is("200 Miss new", s.ask("GET /api/kept")) // CachingDisabled has another key
	s.is("200 Miss x", s.ask("GET /nested/a%20b.bin"))
	if got := len(s.p.bucket("Ui/PageA98A310E").objects); got != 6 {
		t.Errorf("the bucket has %d objects, want those of both versions", got)
	}
	if err := before.Update(t.Context(), "Ui"); err != nil {
		t.Fatal(err)
	}
	s.is("200 Hit old", s.ask("GET /api/kept"))

	status := s.p.Status().(Status)[0]
	if b := status.Behaviors[0]; b.Pattern != "/api/kept*" || b.Hits != 2 || b.Misses != 1 || b.Origin != "Routing/Lb" || b.Cache != "keep" {
		t.Errorf("the status is %+v", status)
	}
	empty := s.p.Plan(read(t), fill).(*plan)
	clear(empty.wanted)
	if err := empty.Clean(t.Context(), "Ui"); err != nil {
		t.Fatal(err)
	}
	if s.p.Status() != nil {
		t.Error("the distribution is still there")
	}
}

// What is streamed arrives as it comes.
func TestStreams(t *testing.T) {
	release := make(chan struct{})
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: 1\n\n")
		_ = http.NewResponseController(w).Flush()
		<-release
		fmt.Fprint(w, "data: 2\n\n")
	})
	for _, path := range []string{"/api/events", "/api/kept/events"} {
		response, err := s.client.Get(s.url + path)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(response.Body)
		if line, err := lines.ReadString('\n'); err != nil || line != "data: 1\n" {
			t.Errorf("%s: %q, %v", path, line, err)
		}
		release <- struct{}{}
		if rest, err := io.ReadAll(lines); err != nil || string(rest) != "\ndata: 2\n\n" {
			t.Errorf("%s: %q, %v", path, rest, err)
		}
		response.Body.Close()
	}
}

func TestWebSocket(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "websocket" || r.Header.Get("Sec-Websocket-Key") != "k" {
			t.Errorf("the origin gets %v", r.Header)
		}
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprint(buffered, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		buffered.Flush()
		line, _ := buffered.ReadString('\n')
		fmt.Fprint(buffered, "you said "+line)
		buffered.Flush()
	})
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET /api/ws HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\n")
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || response.StatusCode != 101 || response.Header.Get("Upgrade") != "websocket" {
		t.Fatalf("%v, %+v", err, response)
	}
	fmt.Fprint(conn, "hello\n")
	if rest, err := io.ReadAll(conn); err != nil || string(rest) != "you said hello\n" {
		t.Errorf("%q, %v", rest, err)
	}
}

// A stream keeps nobody else waiting, and is kept when it is complete.
func TestKeptStreams(t *testing.T) {
	release := make(chan struct{})
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "1")
		_ = http.NewResponseController(w).Flush()
		<-release
		fmt.Fprint(w, "2")
	})
	first, err := s.client.Get(s.url + "/api/kept")
	if err != nil {
		t.Fatal(err)
	}
	second, err := s.client.Get(s.url + "/api/kept")
	if err != nil {
		t.Fatal(err)
	}
	close(release)
	for _, response := range []*http.Response{first, second} {
		if body, err := io.ReadAll(response.Body); err != nil || string(body) != "12" {
			t.Errorf("%q, %v", body, err)
		}
		response.Body.Close()
	}
	s.is("200 Hit 12", s.ask("GET /api/kept"))
}

// Requests for one object at a time ask the origin once.
func TestCollapsing(t *testing.T) {
	var asked atomic.Int32
	release, arrived := make(chan struct{}), make(chan struct{}, 1)
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		arrived <- struct{}{}
		<-release
		fmt.Fprint(w, "x")
	})
	got := make(chan string)
	get := func() {
		a := s.ask("GET /api/kept")
		got <- a.Header.Get("X-Cache")
	}
	go get()
	<-arrived
	for range 4 {
		go get()
	}
	close(release)
	var all []string
	for range 5 {
		all = append(all, <-got)
	}
	slices.Sort(all)
	if asked.Load() != 1 || all[0] != "Hit from cloudfront" || all[4] != "Miss from cloudfront" {
		t.Errorf("the origin was asked %d times: %v", asked.Load(), all)
	}
}

func TestHops(t *testing.T) {
	fronts, err := Fronts(read(t))
	if err != nil {
		t.Fatal(err)
	}
	for ask, want := range map[string]string{
		"GET /api/v1/users?a=1": "sends GET /live/api/v1/users?a=1 to Routing/Live, port 443 of ${Routing/Api}.execute-api.eu-west-1.amazonaws.com",
		"DELETE /api/users":     "sends DELETE /api/users to Routing/Lb, port 80 of ${Routing/Lb.DNSName}",
		"GET /users/1":          "sends GET /v1/index.html to Ui/PageA98A310E, port 0 of Page.s3.amazonaws.com",
		"GET /deployment.json":  "answers 200 by the function eu-west-1Routes, without its origin, port 0 of ",
		"POST /users":           "answers 403: the behavior takes GET, HEAD, port 0 of ",
	} {
		method, path, _ := strings.Cut(ask, " ")
		path, query, _ := strings.Cut(path, "?")
		hop := fronts[0].Hop(rules.Request{Method: method, Path: path, Query: query})
		if got := fmt.Sprintf("%s, port %d of %s", hop.Does, hop.Sent.Port, hop.Sent.Host); got != want || len(hop.Why) == 0 {
			t.Errorf("%s: %s %q, want %s", ask, got, hop.Why, want)
		}
	}
}

// What a request costs that the origin answers, the cache, the bucket, or a function.
func BenchmarkRequests(b *testing.B) {
	s := serve(b, echo)
	for name, path := range map[string]string{"miss": "/api/users", "hit": "/api/kept", "page": "/index.html", "function": "/deployment.json"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				s.ask("GET " + path)
			}
		})
	}
}
