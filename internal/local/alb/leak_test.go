package alb

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// However a request ends, its connections end with it: those from clients, which wait and close nothing,
// and those to targets.
func TestConnectionsDoNotLeak(t *testing.T) {
	const post = "POST / HTTP/1.1\r\nHost: x\r\n"
	long := "Content-Length: 1000000\r\n\r\nstart"
	var wait sync.WaitGroup
	for _, test := range []struct {
		name     string
		template template
		text     string
		status   int // of the answer; 0 for none
		target   func(conn net.Conn, r *http.Request, reader *bufio.Reader)
	}{
		{name: "nothing is sent"},
		{name: "half a head", text: "GET / HTTP/1.1\r\n", status: 408},
		{name: "half a head under TLS", template: template{secure: true}, text: "GET / HTTP/1.1\r\n", status: 408},
		{name: "no handshake", template: template{secure: true}, text: "\x16\x03\x01"},
		{name: "one request", text: "GET / HTTP/1.1\r\nHost: x\r\n\r\n", status: 200},
		{name: "half a body", text: post + "Content-Length: 10\r\n\r\nabc", status: 408},
		{name: "half a body under TLS", template: template{secure: true}, text: post + "Content-Length: 10\r\n\r\nabc", status: 408},
		{name: "half a chunk", text: post + "Transfer-Encoding: chunked\r\n\r\n9\r\nabc", status: 408},
		{name: "a bad chunk", text: post + "Transfer-Encoding: chunked\r\n\r\n-", status: 400},
		{name: "an awaited body", text: post + "Expect: 100-continue\r\nContent-Length: 10\r\n\r\n", status: 100},
		{name: "a body for nobody", template: template{rules: []object{onPath("/", forwardTo("B"))}}, text: post + long, status: 503},
		{name: "a body for a fixed response", template: template{rules: []object{onPath("/", fixed("200", "text/plain", "x"))}}, text: post + long, status: 200},
		{name: "a body for a redirect", template: template{rules: []object{onPath("/", object{"Type": "redirect", "RedirectConfig": object{"StatusCode": "HTTP_301", "Port": "443", "Protocol": "HTTPS"}})}}, text: post + long, status: 301},
		{name: "a body of TRACE", text: "TRACE / HTTP/1.1\r\nHost: x\r\n" + long, status: 405},
		{name: "a body in strictest mode", template: mode("strictest"), text: "GET / HTTP/1.1\r\nHost: x\r\n" + long, status: 400},
		{name: "a body in monitor mode", template: mode("monitor"), text: "GET / HTTP/1.1\r\nHost: x\r\n" + long, status: 408},
		{name: "a body of an ambiguous request", text: "GET / HTTP/1.1\r\nHost: x\r\n" + long, status: 408},
		{name: "a severe request", text: post + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", status: 400},
		{name: "another version", text: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", status: 505},
		{name: "another coding", text: post + "Transfer-Encoding: gzip\r\n\r\nabc", status: 501},
		{name: "an early answer", text: post + long, status: 413, target: func(conn net.Conn, _ *http.Request, _ *bufio.Reader) {
			_, _ = io.WriteString(conn, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
		}},
		{name: "an early answer of a target that stays", text: post + long, status: 200, target: func(conn net.Conn, _ *http.Request, reader *bufio.Reader) {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			_, _ = io.Copy(io.Discard, reader)
		}},
		{name: "a target that gives up a body", text: post + long, status: 502, target: func(net.Conn, *http.Request, *bufio.Reader) {}},
		{name: "a target that says nothing", text: "GET / HTTP/1.1\r\nHost: x\r\n\r\n", status: 504, target: func(_ net.Conn, _ *http.Request, reader *bufio.Reader) {
			_, _ = io.Copy(io.Discard, reader)
		}},
		{name: "a target that stops in its answer", text: "GET / HTTP/1.1\r\nHost: x\r\n\r\n", status: 200, target: func(conn net.Conn, _ *http.Request, _ *bufio.Reader) {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
		}},
		{name: "a target that stops in a chunk while the client sends", text: post + long, status: 200, target: func(conn net.Conn, _ *http.Request, reader *bufio.Reader) {
			_, _ = io.ReadFull(reader, make([]byte, len("start")))
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf")
		}},
		{name: "a target that goes silent in its answer", text: "GET / HTTP/1.1\r\nHost: x\r\n\r\n", status: 200, target: func(conn net.Conn, _ *http.Request, reader *bufio.Reader) {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf")
			_, _ = io.Copy(io.Discard, reader)
		}},
		{name: "an idle WebSocket", text: "GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nearly", status: 101, target: func(conn net.Conn, _ *http.Request, reader *bufio.Reader) {
			_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
			_, _ = io.Copy(io.Discard, reader)
		}},
		{name: "a WebSocket that is refused", text: "GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", status: 200},
	} {
		wait.Go(func() { // most of it waits
			b := serve(t, short(test.template.config(t), time.Second))
			if test.target != nil {
				b.raw("A", "one", test.target)
			} else {
				b.target("A", "one", echo)
			}
			conn, err := net.Dial("tcp", b.address)
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			stream := conn
			if test.template.secure && test.text[0] >= ' ' {
				stream = tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
			}
			_, _ = io.WriteString(stream, test.text)
			reader := bufio.NewReader(stream)
			response, err := http.ReadResponse(reader, nil)
			if test.status == 0 && err == nil || test.status != 0 && (err != nil || response.StatusCode != test.status) {
				t.Errorf("%s: answer is %v, %v, want %d", test.name, response, err, test.status)
			}
			// Whatever comes, it ends.
			_, _ = io.Copy(io.Discard, reader)
			deadline := time.Now().Add(20 * time.Second)
			for open := ""; ; time.Sleep(time.Millisecond) {
				pool := b.balancer.groups["S/A"].targets[0].pool
				pool.mu.Lock()
				clients, targets := b.balancer.clients.Load(), len(pool.open)
				pool.mu.Unlock()
				if clients == 0 && targets == 0 {
					break
				}
				if open = fmt.Sprintf("%d connections of clients and %d to the target are open", clients, targets); time.Now().After(deadline) {
					t.Errorf("%s: %s", test.name, open)
					return
				}
			}
		})
	}
	wait.Wait()
}

// recorded is a connection that tells what is done with it.
type recorded struct {
	net.Conn
	calls chan string
}

func (r recorded) CloseWrite() error                 { r.calls <- "CloseWrite"; return nil }
func (r recorded) Read([]byte) (int, error)          { r.calls <- "Read"; return 0, io.EOF }
func (r recorded) Close() error                      { r.calls <- "Close"; return nil }
func (r recorded) SetReadDeadline(t time.Time) error { return nil }

// The connection of a client that may be sending is closed in two steps. Otherwise its network could
// drop the answer.
func TestCloseWhileTheClientSends(t *testing.T) {
	for sending, want := range map[bool][]string{true: {"CloseWrite", "Read", "Close"}, false: {"Close"}} {
		r := recorded{calls: make(chan string, 10)}
		c := &clientConn{Conn: r, front: &front{balancer: &Balancer{}}}
		c.sending.Store(sending)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		for _, call := range want {
			if got := <-r.calls; got != call {
				t.Errorf("sending %t: %s is called, want %s", sending, got, call)
			}
		}
		if err := c.Close(); err != net.ErrClosed || len(r.calls) > 0 {
			t.Errorf("closed twice: %v", err)
		}
	}
}
