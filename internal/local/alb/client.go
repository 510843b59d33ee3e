package alb

import (
	"bytes"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// clientConn is a connection from a client, below TLS.
type clientConn struct {
	net.Conn
	front   *front
	address netip.AddrPort
	// forwarded is the client's address in X-Forwarded-For, forwardedPort with its port.
	forwarded, forwardedPort string
	opened                   time.Time
	// trace identifies the connection in access lines.
	trace string

	// timer closes the connection while no request is being answered.
	timer *time.Timer
	// reading says that a part of a request has arrived.
	reading atomic.Bool
}

type clientKey struct{}

func newClientConn(conn net.Conn, f *front) *clientConn {
	c := &clientConn{Conn: conn, front: f, opened: time.Now()}
	// An address of another kind has no IP. It matches no rule on the source's address.
	c.address, _ = netip.ParseAddrPort(conn.RemoteAddr().String())
	c.address = netip.AddrPortFrom(c.address.Addr().Unmap(), c.address.Port())
	c.forwarded, c.forwardedPort = c.address.Addr().String(), c.address.String()
	c.trace = "TID_" + shortID(f.key+c.forwardedPort)
	return c
}

// clientOf finds the connection that net/http knows, with TLS or without.
func clientOf(conn net.Conn) *clientConn {
	if secured, ok := conn.(*tls.Conn); ok {
		conn = secured.NetConn()
	}
	return conn.(*clientConn)
}

// state runs the idle timeout while the connection has no work. net/http calls a connection active
// when the head of a request is read. So the idle timeout covers the reading of the head.
func (c *clientConn) state(state http.ConnState) {
	switch state {
	case http.StateNew:
		c.timer = time.AfterFunc(c.front.idleTimeout(), c.expire)
	case http.StateActive, http.StateHijacked, http.StateClosed:
		c.timer.Stop()
	case http.StateIdle:
		c.reading.Store(false)
		c.timer.Reset(c.front.idleTimeout())
	}
}

// expire closes the connection at the end of the idle timeout.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-troubleshooting.html#http-408-issues
func (c *clientConn) expire() {
	if c.reading.Load() && !c.front.secure {
		c.refuse(http.StatusRequestTimeout)
	}
	_ = c.Conn.Close()
}

func (c *clientConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && !c.reading.Load() {
		c.reading.Store(true)
	}
	return n, err
}

// netHTTPError is in every answer of net/http to a request that it cannot read. No other answer has
// just these headers in this order.
var netHTTPError = []byte("\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n")

// Write replaces the answers of net/http with those of the load balancer. Write cannot see answers
// under TLS.
func (c *clientConn) Write(p []byte) (int, error) {
	const start = "HTTP/1.1 "
	if (bytes.HasPrefix(p, []byte(start+"4")) || bytes.HasPrefix(p, []byte(start+"5"))) && bytes.Contains(p, netHTTPError) {
		if status, err := strconv.Atoi(string(p[len(start) : len(start)+3])); err == nil {
			// The load balancer has no other status for large headers.
			if status == http.StatusRequestHeaderFieldsTooLarge {
				status = http.StatusBadRequest
			}
			return len(p), c.refuse(status)
		}
	}
	return c.Conn.Write(p)
}

// refuse answers a request that could not be read.
func (c *clientConn) refuse(status int) error {
	now := time.Now()
	body := page(status)
	l := c.front.listener.Load()
	var added strings.Builder
	_ = http.Header(l.route.ResponseHeaders).Write(&added)
	text := "HTTP/1.1 " + strconv.Itoa(status) + " " + http.StatusText(status) + "\r\nServer: " + serverName + "\r\nDate: " + now.UTC().Format(http.TimeFormat) +
		"\r\nContent-Type: text/html\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n" + added.String() + "Connection: close\r\n\r\n" + body
	n, err := c.Conn.Write([]byte(text))
	c.front.balancer.report(&Exchange{Listener: c.front.key, Kind: l.scheme, Client: c.address, Status: status, Sent: int64(n), Start: now, Responded: now, End: now, listener: l, trace: c.trace})
	return err
}

// CloseWrite lets net/http end the connection after the client got the last answer.
func (c *clientConn) CloseWrite() error { return closeWrite(c.Conn) }

// closeWrite ends one direction of a connection.
func closeWrite(conn net.Conn) error {
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}
