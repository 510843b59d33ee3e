package services_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"cutover/assets/data"
	"cutover/services/internal/server"
	posts "cutover/services/posts/routes"
	threads "cutover/services/threads/routes"
	users "cutover/services/users/routes"
)

// Statuses of a service, and of net/http for bytes that it cannot read as a request.
var (
	answers  = []int{200, 204, 400, 404, 405, 413, 501, 505}
	written  = append([]int{201, 304, 409, 412, 415, 422, 428}, answers...) // by a service with a store
	refusals = []int{400, 417, 431, 501, 505}
)

// A service answers each request with one well-formed answer and one line in its log, whatever
// bytes come in a connection. The monolith answers like the microservice with the route.
func FuzzServices(f *testing.F) {
	for _, attack := range attacks() {
		f.Add([]byte(attack.Raw))
	}
	monolith := serve(f, users.Of(data.API), threads.Of(data.API), posts.Of(data.API))
	microservices := []*service{serve(f, users.Of(data.Users)), serve(f, threads.Of(data.Threads)), serve(f, posts.Of(data.Posts))}

	f.Fuzz(func(t *testing.T, raw []byte) {
		want := monolith.exchange(t, raw)
		alike := make([]bool, len(want))
		for _, microservice := range microservices {
			got := microservice.exchange(t, raw)
			if len(got) != len(want) {
				t.Fatalf("%q: the monolith answers %v, a microservice %v", raw, want, got)
			}
			for i := range got {
				switch {
				case reflect.DeepEqual(got[i], want[i]):
					alike[i] = true
				case got[i].status == 404 || got[i].status == 501 && got[i].header["Allow"] == nil: // not its route
				default:
					t.Errorf("%q: to request %d the monolith answers %v, a microservice %v", raw, i, want[i], got[i])
				}
			}
		}
		if slices.Contains(alike, false) {
			t.Errorf("%q: no microservice answers like the monolith: %v", raw, want)
		}
	})
}

// A service with stores answers each request with a status that the API has, and a refusal says why. What was
// written is there.
func FuzzStores(f *testing.F) {
	for _, attack := range attacks() {
		f.Add([]byte(attack.Raw))
	}
	request := func(head, body string) []byte {
		return fmt.Appendf(nil, "%s HTTP/1.1\r\nHost: forum\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", head, len(body), body)
	}
	f.Add(slices.Concat(request("POST /api/users", aUser), request("PUT /api/users/1", aUser), request("GET /api/users/1", ""), request("DELETE /api/users/1", "")))
	f.Add(request("POST /api/posts?limit=1", `{"thread":1,"text":"\ud83c\udf7d\u0000<&>","user":1,"id":null}`))
	f.Add([]byte("POST /api/threads HTTP/1.1\r\nHost: a\r\nIdempotency-Key: \"k\"\r\nContent-Type: application/json;charset=UTF-8\r\nTransfer-Encoding: chunked\r\n\r\n1d\r\n{\"title\":\"t\",\"createdBy\":1e0}\r\n0\r\n\r\n"))
	f.Add([]byte("GET /api/posts/by-user/1?limit=200&after=YnktdXNlciMwMDAwMDAwMDAwMDAwMDAxLzAwMDAwMDAwMDAwMDAwMDE HTTP/1.1\r\nHost: a\r\nIf-None-Match: W/\"1\", *\r\nAccept: application/vnd.cutover.v2+json;q=0.0\r\n\r\n"))
	all, _ := seeded(f)
	monolith := serve(f, all["users"], all["threads"], all["posts"])
	monolith.answers = written

	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, a := range monolith.exchange(t, raw) {
			isProblem := a.header.Get("Content-Type") == "application/problem+json"
			if slices.Contains([]int{409, 412, 415, 422, 428}, a.status) && !isProblem || isProblem && a.body != "" && !json.Valid([]byte(a.body)) {
				t.Errorf("%.500q: answered %v", raw, a)
			}
			if location := a.header.Get("Location"); a.status == 201 {
				got := monolith.exchange(t, fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: forum\r\n\r\n", location))
				if len(got) != 1 || got[0].status != 200 && got[0].status != 204 {
					t.Errorf("%q: %s is answered with %v", raw, location, got)
				}
			}
		}
	})
}

// service is a service in this process, with one connection at a time.
type service struct {
	connections chan net.Conn
	closed      chan struct{}
	closeOnce   sync.Once
	answers     []int

	mu  sync.Mutex
	log bytes.Buffer
}

func serve(f *testing.F, modules ...server.Module) *service {
	s := &service{connections: make(chan net.Conn), closed: make(chan struct{}), answers: answers}
	ctx := f.Context()
	go func() {
		if err := server.Serve(ctx, s, s, modules...); err != nil {
			panic(err)
		}
	}()
	return s
}

// The service is its server's listener,

func (s *service) Accept() (net.Conn, error) {
	select {
	case conn := <-s.connections:
		return conn, nil
	case <-s.closed:
		return nil, net.ErrClosed
	}
}

func (s *service) Close() error   { s.closeOnce.Do(func() { close(s.closed) }); return nil }
func (s *service) Addr() net.Addr { return new(net.TCPAddr) }

// and its log.
func (s *service) Write(line []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(line)
}

// exchange sends raw and the end of the connection, and returns the answers.
func (s *service) exchange(t *testing.T, raw []byte) []answer {
	conn := &connection{input: bytes.NewReader(raw), done: make(chan struct{})}
	s.connections <- conn
	<-conn.done

	s.mu.Lock()
	lines := bytes.Clone(s.log.Bytes())
	s.log.Reset()
	s.mu.Unlock()
	output := bufio.NewReader(&conn.output)
	var got []answer
	for line := range bytes.Lines(lines) {
		var logged struct {
			Level, Msg, Method string
			Status, Bytes      int
		}
		if err := json.Unmarshal(line, &logged); err != nil || bytes.ContainsFunc(line[:len(line)-1], func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Fatalf("%q: logged %q, %v", raw, line, err)
		}
		if logged.Msg == "listening" {
			continue
		}
		a := read(t, raw, output, logged.Method)
		if logged.Level != "INFO" || logged.Msg != "request" || logged.Status != a.status || logged.Bytes != len(a.body) {
			t.Fatalf("%q: answered %v, logged %s", raw, a, line)
		}
		_, hasType := a.header["Content-Type"]
		_, hasLength := a.header["Content-Length"]
		if !slices.Contains(s.answers, a.status) || hasType != (a.status != 204 && a.status != 304) || hasLength != hasType {
			t.Fatalf("%q: answered %v", raw, a)
		}
		got = append(got, a)
	}
	if _, err := output.Peek(1); err == nil {
		a := read(t, raw, output, "")
		if !slices.Contains(refusals, a.status) || !a.close {
			t.Fatalf("%q: refused with %v", raw, a)
		}
		got = append(got, a)
	}
	if rest, _ := io.ReadAll(output); len(rest) > 0 {
		t.Fatalf("%q: answered %v and then %q", raw, got, rest)
	}
	return got
}

// read reads one answer to a request of this method.
func read(t *testing.T, raw []byte, output *bufio.Reader, method string) answer {
	for {
		response, err := http.ReadResponse(output, &http.Request{Method: method})
		if err != nil {
			t.Fatalf("%q: cannot read the answer: %v", raw, err)
		}
		if response.StatusCode == http.StatusContinue {
			continue
		}
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatalf("%q: cannot read the answer's body: %v", raw, err)
		}
		response.Header.Del("Date")
		return answer{response.StatusCode, response.Header, string(body), response.Close}
	}
}

// connection is the server's end of a connection. All bytes have arrived, and then the end.
type connection struct {
	input  *bytes.Reader
	output bytes.Buffer
	once   sync.Once
	done   chan struct{} // closed when nothing more will be sent
}

func (c *connection) Read(p []byte) (int, error)       { return c.input.Read(p) }
func (c *connection) Write(p []byte) (int, error)      { return c.output.Write(p) }
func (c *connection) Close() error                     { c.once.Do(func() { close(c.done) }); return nil }
func (c *connection) CloseWrite() error                { return c.Close() }
func (c *connection) LocalAddr() net.Addr              { return new(net.TCPAddr) }
func (c *connection) RemoteAddr() net.Addr             { return new(net.TCPAddr) }
func (c *connection) SetDeadline(time.Time) error      { return nil }
func (c *connection) SetReadDeadline(time.Time) error  { return nil }
func (c *connection) SetWriteDeadline(time.Time) error { return nil }
