package alb

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"cutover/internal/model"
	"cutover/internal/rules"
)

// endless is a client that sends a beginning, then the same text for ever.
type endless struct {
	net.Conn
	left, again string
	sent        int
}

func (e *endless) Read(p []byte) (int, error) {
	n := 0
	for ; n < len(p); n++ {
		if e.left == "" {
			e.left = e.again
		}
		p[n], e.left = e.left[0], e.left[1:]
	}
	e.sent += n
	return n, nil
}

func (e *endless) RemoteAddr() net.Addr { return &net.TCPAddr{} }

// A client that sends for ever takes a limited amount of memory.
func TestClientsThatSendForEver(t *testing.T) {
	b := serve(t, template{}.config(t))
	f := b.balancer.fronts[theListener]
	for _, test := range []struct {
		name, begin, again string
		status             int
	}{
		{"a request line", "GET /", "a", 400},
		{"empty lines", "", "\r\n", 400},
		{"headers", "GET / HTTP/1.1\r\nHost: x\r\n", "A: b\r\n", 400},
		{"chunks", "GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\na\r\n", 0},
		{"an extension of a chunk", "GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;", "a", 0},
		{"trailers", "GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", "A: b\r\n", 0},
		{"a body", "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n", "a", 0},
	} {
		client := &endless{left: test.begin, again: test.again}
		c := newClientConn(client, f)
		p := make([]byte, 4<<10)
		for range 1000 {
			if _, err := c.Read(p); err != nil {
				break
			}
		}
		if h := <-c.heads; h.status != test.status {
			t.Errorf("%s: status %d, want %d", test.name, h.status, test.status)
		}
		if test.status != 0 && client.sent > 4*maxRequestHeader {
			t.Errorf("%s: %d bytes were read before the answer", test.name, client.sent)
		}
		if held := cap(c.buffer) + cap(c.passed) + cap(c.chunks.trailers); held > 8*maxRequestHeader {
			t.Errorf("%s: the connection holds %d bytes", test.name, held)
		}
		f.balancer.clients.Add(-1)
	}
}

// A head takes memory for what it says, and not for its number of lines.
func TestMemoryOfAHead(t *testing.T) {
	const end = "GET / HTTP/1.1\r\nHost: x\r\n"
	for _, text := range []string{strings.Repeat("\n", maxRequestHeader) + end + "\r\n", end + strings.Repeat("A\n", maxRequestHeader/2) + "\r\n"} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		h := parseHead(text)
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; h.host != "x" || took > 48*maxRequestHeader {
			t.Errorf("the head took %d bytes", took)
		}
	}
}

// timed is a listener of connections that tell the deadline of each write.
type timed struct {
	net.Listener
	deadlines chan time.Time
}

func (l timed) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &timedConn{TCPConn: conn.(*net.TCPConn), deadlines: l.deadlines}, nil
}

type timedConn struct {
	*net.TCPConn
	deadline  time.Time
	deadlines chan time.Time
}

func (c *timedConn) SetWriteDeadline(deadline time.Time) error {
	c.deadline = deadline
	return c.TCPConn.SetWriteDeadline(deadline)
}

func (c *timedConn) Write(p []byte) (int, error) {
	c.deadlines <- c.deadline
	return c.TCPConn.Write(p)
}

// For each part of an answer the client has the idle timeout, however old its connection is.
func TestClientsHaveTimeToRead(t *testing.T) {
	const idle = time.Hour
	b := serve(t, short(template{rules: []object{onPath("/fixed", fixed("200", "text/plain", "x"))}}.config(t), idle))
	more := make(chan bool)
	b.target("A", "one", func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/none":
			w.WriteHeader(http.StatusNoContent)
		case "/early":
			// Without a length the end of the answer is a write of its own.
			_ = http.NewResponseController(w).EnableFullDuplex()
			_, _ = io.WriteString(w, "early")
			_ = http.NewResponseController(w).Flush()
		case "/parts":
			_ = http.NewResponseController(w).Flush()
			<-more
			_, _ = io.WriteString(w, "part")
			_ = http.NewResponseController(w).Flush()
			<-more
			_, _ = io.WriteString(w, "more")
		default:
			_, _ = io.WriteString(w, "x")
		}
	})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	deadlines := make(chan time.Time, 100)
	go b.balancer.Serve(theListener, timed{ln, deadlines})
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	reader := bufio.NewReader(conn)
	var began time.Time
	send := func(text string) {
		began = time.Now()
		_, _ = io.WriteString(conn, text)
	}
	// All that the client has read was written.
	written := func(what string) {
		t.Helper()
		if len(deadlines) == 0 {
			t.Errorf("%s: nothing was written", what)
		}
		for len(deadlines) > 0 {
			if deadline := <-deadlines; deadline.Before(began.Add(idle)) {
				t.Errorf("%s: the client has until %v, began %v", what, deadline, began)
			}
		}
	}
	answer := func() *http.Response {
		t.Helper()
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		return response
	}
	for _, path := range []string{"/body", "/fixed", "/none", "/fixed"} {
		send("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n")
		_, _ = io.Copy(io.Discard, answer().Body)
		written(path)
	}
	send("POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n")
	if response := answer(); response.StatusCode != http.StatusContinue {
		t.Errorf("answer is %s", response.Status)
	}
	written("100")
	send("x")
	_, _ = io.Copy(io.Discard, answer().Body)
	written("the answer after 100")

	send("GET /parts HTTP/1.1\r\nHost: x\r\n\r\n")
	parts := answer()
	written("a head alone")
	began = time.Now()
	more <- true
	_, _ = io.ReadFull(parts.Body, make([]byte, len("part")))
	written("a part")
	began = time.Now()
	more <- true
	_, _ = io.Copy(io.Discard, parts.Body)
	written("another part")

	send("POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nx")
	early := answer()
	_, _ = io.ReadFull(early.Body, make([]byte, len("early")))
	written("an early answer")
	send("x")
	_, _ = io.Copy(io.Discard, early.Body)
	written("the end of an early answer")
}

// answered is an answer with its present deadline.
type answered struct {
	*httptest.ResponseRecorder
	deadline time.Time
}

func (a *answered) SetWriteDeadline(deadline time.Time) error {
	a.deadline = deadline
	return nil
}

// part is a body that looks at the deadline while the target is waited for.
type part struct {
	io.Reader
	look func()
}

func (p part) Read(b []byte) (int, error) {
	p.look()
	return p.Reader.Read(b)
}

// In HTTP/2 no time passes for the client while others are waited for: it would end the request.
func TestTimeToReadInHTTP2(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &answered{ResponseRecorder: httptest.NewRecorder()}
		looks := 0
		look := func() {
			if looks++; !a.deadline.IsZero() {
				t.Errorf("look %d: the client has until %v while it has all that there is", looks, a.deadline)
			}
		}
		target, other := net.Pipe()
		defer target.Close()
		defer other.Close()
		p := &proxy{w: a, r: &http.Request{ProtoMajor: 2}, l: &listener{settings: &model.LoadBalancer{IdleTimeout: time.Minute}}}
		up := &upload{done: make(chan struct{})}
		go func() {
			synctest.Wait()
			look()
			close(up.done)
		}()
		body := part{iotest.OneByteReader(strings.NewReader("ab")), look}
		p.respond(&targetConn{Conn: target, reader: bufio.NewReader(target)}, &http.Response{StatusCode: 200, ContentLength: 2, Body: io.NopCloser(body)}, up)
		if looks != 4 || a.deadline != time.Now().Add(time.Minute) || a.Body.String() != "ab" {
			t.Errorf("%d looks, the client has until %v to read the end of %q", looks, a.deadline, a.Body)
		}
	})
}

// The same holds for an answer in place of a target's.
func TestTimeToReadOfAFailure(t *testing.T) {
	a := &answered{ResponseRecorder: httptest.NewRecorder()}
	p := &proxy{w: a, r: &http.Request{ProtoMajor: 2}, l: &listener{route: &rules.Listener{Listener: &model.Listener{}}, settings: &model.LoadBalancer{IdleTimeout: time.Minute}}}
	p.failed(&target{pool: newPool("", false)}, &upload{}, io.EOF)
	if !a.deadline.IsZero() || !a.Flushed || a.Code != http.StatusBadGateway {
		t.Errorf("status %d, flushed %t, the client has until %v", a.Code, a.Flushed, a.deadline)
	}
}

// An early answer without a body is sent before the rest of the request is waited for.
func TestTimeToReadOfAnEarlyAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &answered{ResponseRecorder: httptest.NewRecorder()}
		p := &proxy{w: a, r: &http.Request{ProtoMajor: 1}, l: &listener{settings: &model.LoadBalancer{IdleTimeout: time.Minute}}}
		up := &upload{done: make(chan struct{})}
		go func() {
			synctest.Wait()
			if a.deadline != time.Now().Add(time.Minute) || !a.Flushed {
				t.Errorf("the client has until %v, flushed %t", a.deadline, a.Flushed)
			}
			close(up.done)
		}()
		p.respond(nil, &http.Response{StatusCode: 413, Body: http.NoBody}, up)
	})
}
