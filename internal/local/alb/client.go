package alb

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// clientConn is a connection from a client.
//
// It stands between the client and net/http, and reads the heads of requests in HTTP/1 itself: net/http
// would not tell what is ambiguous in a head, and has answers of its own to what it cannot read. net/http
// gets a head that says no more than where the body ends and whether the connection stays.
type clientConn struct {
	net.Conn // TCP, or TLS
	front    *front
	address  netip.AddrPort
	// forwarded is the client's address in X-Forwarded-For, forwardedPort with its port.
	forwarded, forwardedPort string
	opened                   time.Time
	// keepAlive is how long the client may use the connection.
	keepAlive time.Duration
	// trace identifies the connection in access lines.
	trace string
	// requests counts those in HTTP/2.
	requests atomic.Int64
	// tls is nil without TLS, and before its handshake.
	tls *tls.ConnectionState

	// timer closes the connection while no request is being answered.
	timer *time.Timer
	// reading says that a part of a head has arrived.
	reading atomic.Bool
	// sending says that the client may be sending what nobody will read.
	sending atomic.Bool
	closed  atomic.Bool

	// One goroutine at a time reads.
	expects        expected
	buffer         []byte // of the input
	input          []byte // in the buffer, read and not looked at yet
	output, passed []byte // for net/http, and the buffer for it
	left           int64  // of the body
	chunks         chunks

	// heads are those of the request that net/http begins with, and of the next one, which net/http
	// may read meanwhile.
	heads chan *head
}

// expected is what a client sends next.
type expected uint8

const (
	aHandshake expected = iota
	aHead
	aBody   // of known length
	aChunk  // of a body
	aTunnel // bytes of another protocol
	// anAnswer: the client waits for the change of the protocol.
	anAnswer
	// nothing: the connection is about to be closed.
	nothing
)

type clientKey struct{}

func newClientConn(conn net.Conn, f *front) *clientConn {
	c := &clientConn{Conn: conn, front: f, opened: time.Now(), expects: aHead, heads: make(chan *head, 2),
		keepAlive: f.listener.Load().settings.ClientKeepAlive}
	// An address of another kind has no IP. It matches no rule on the source's address.
	c.address, _ = netip.ParseAddrPort(conn.RemoteAddr().String())
	c.address = netip.AddrPortFrom(c.address.Addr().Unmap(), c.address.Port())
	c.forwarded, c.forwardedPort = c.address.Addr().String(), c.address.String()
	c.trace = "TID_" + shortID(f.key+c.forwardedPort)
	if f.tls != nil {
		c.Conn, c.expects = tls.Server(conn, f.tls), aHandshake
	}
	f.balancer.clients.Add(1)
	return c
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
		if c.expects == anAnswer {
			c.expects = aHead
		}
		c.timer.Reset(c.front.idleTimeout())
	}
}

// expire closes the connection at the end of the idle timeout.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-troubleshooting.html#http-408-issues
func (c *clientConn) expire() {
	if c.reading.Load() {
		c.refuse(c.Conn, http.StatusRequestTimeout)
	}
	_ = c.Close()
}

// Read reads for net/http.
func (c *clientConn) Read(p []byte) (int, error) {
	for {
		if len(c.output) > 0 {
			n := copy(p, c.output)
			c.output = c.output[n:]
			return n, nil
		}
		var err error
		switch c.expects {
		case aHandshake:
			err = c.handshake()
		case aHead:
			err = c.readHead()
		case aBody:
			n, err := c.pass(p[:min(int64(len(p)), c.left)])
			if c.left -= int64(n); c.left == 0 {
				c.expectHead()
			}
			return n, unexpected(err)
		case aChunk:
			err = unexpected(c.readChunk())
		case anAnswer:
			if len(c.input) > 0 {
				return 0, nil
			}
			err = c.fill()
		case aTunnel:
			return c.pass(p)
		case nothing:
			return 0, io.EOF
		}
		if err != nil {
			return 0, err
		}
	}
}

// pass reads bytes as they are.
func (c *clientConn) pass(p []byte) (int, error) {
	if len(c.input) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.input)
	c.input = c.input[n:]
	return n, nil
}

// fill reads more of the input.
func (c *clientConn) fill() error {
	switch start, room := cap(c.buffer)-cap(c.input), cap(c.input)-len(c.input); {
	case cap(c.buffer) == 0:
		c.buffer = make([]byte, 0, connectionBuffer)
		c.input = c.buffer
	case len(c.input) == 0 || room == 0 && start > 0:
		c.input = append(c.buffer[:0], c.input...)
	case room == 0:
		c.buffer = slices.Grow(append(c.buffer[:0], c.input...), cap(c.buffer))
		c.input = c.buffer[:len(c.input)]
	}
	n, err := c.Conn.Read(c.input[len(c.input):cap(c.input)])
	c.input = c.input[:len(c.input)+n]
	if n > 0 {
		return nil
	}
	return err
}

// handshake begins TLS. With HTTP/2 net/http reads the connection itself.
func (c *clientConn) handshake() error {
	conn := c.Conn.(*tls.Conn)
	err := conn.Handshake()
	var header tls.RecordHeaderError
	if errors.As(err, &header) && header.Conn != nil && bytes.Contains([]byte("GET HEAD POSTPUT DELEOPTIPATC"), header.RecordHeader[:4]) {
		c.refuse(header.Conn, http.StatusBadRequest)
	}
	if err != nil {
		c.expects = nothing // and net/http has nothing to say
		return nil
	}
	state := conn.ConnectionState()
	c.tls, c.expects = &state, aHead
	if state.NegotiatedProtocol == "h2" {
		c.expects = aTunnel
	}
	return nil
}

func (c *clientConn) expectHead() {
	c.expects = aHead
	c.sending.Store(false)
}

// readHead reads a head, or a part of it.
func (c *clientConn) readHead() error {
	end := headEnd(c.input)
	if end < 0 && len(c.input) <= 2*maxRequestHeader {
		if err := c.fill(); err != nil {
			return err
		}
		c.reading.Store(true)
		return nil
	}
	c.reading.Store(false)
	var h *head
	if end < 0 {
		h = &head{status: http.StatusBadRequest, size: len(c.input)}
	} else {
		h = parseHead(string(c.input[:end]))
		h.mitigate(c.front.listener.Load().settings.DesyncMitigation)
		c.input = c.input[end:]
	}
	c.give(h)
	return nil
}

// headEnd is where the first head ends; -1 if it does not. Empty lines may come before a head. A request
// line without a version is all of a head in HTTP/0.9.
func headEnd(input []byte) int {
	first := true
	for at := 0; ; {
		n := bytes.IndexByte(input[at:], '\n')
		if n < 0 {
			return -1
		}
		line := bytes.TrimSuffix(input[at:at+n], []byte("\r"))
		at += n + 1
		switch {
		case len(line) == 0 && !first:
			return at
		case len(line) == 0 || !first:
			continue
		}
		first = false
		if _, uri, ok := bytes.Cut(line, []byte(" ")); ok && bytes.IndexByte(uri, ' ') < 0 && bytes.HasPrefix(uri, []byte("/")) {
			return at
		}
	}
}

// give gives net/http a request, and notes what comes after its head.
func (c *clientConn) give(h *head) {
	c.heads <- h
	method, version, tokens := "GET", "1.1", listed(h.header)
	if h.method == http.MethodHead {
		method = h.method
	}
	if h.old {
		version = "1.0"
	}
	out := append(c.passed[:0], method+" / HTTP/"+version+"\r\nHost: x\r\n"...)
	switch {
	case h.status != 0 || slices.Contains(tokens, "Close"):
		out = append(out, "Connection: close\r\n"...)
	case h.old && slices.Contains(tokens, "Keep-Alive"):
		out = append(out, "Connection: keep-alive\r\n"...)
	}
	switch {
	case h.status != 0:
		c.expects = nothing
	case h.length < 0:
		c.chunks, c.expects = chunks{}, aChunk
		out = append(out, "Transfer-Encoding: chunked\r\n"...)
	case h.length > 0:
		c.left, c.expects = h.length, aBody
		out = fmt.Appendf(out, "Content-Length: %d\r\n", h.length)
	case upgrade(h.header) != "":
		c.expects = anAnswer
	}
	c.sending.Store(c.expects != aHead && c.expects != anAnswer)
	c.pipe(append(out, "\r\n"...))
}

// pipe has net/http read bytes next.
func (c *clientConn) pipe(out []byte) { c.passed, c.output = out, out }

// readChunk reads a part of a chunked body. net/http gets the part as a chunk of its own.
func (c *clientConn) readChunk() error {
	if len(c.input) == 0 {
		if err := c.fill(); err != nil {
			return err
		}
	}
	data, used, err := c.chunks.scan(c.input, len(c.input))
	if err != nil {
		c.expects = nothing
		return err
	}
	out := c.passed[:0]
	if len(data) > 0 {
		out = fmt.Appendf(out, "%x\r\n%s\r\n", len(data), data)
	}
	if c.input = c.input[used:]; c.chunks.state == chunksDone {
		out = append(out, "0\r\n\r\n"...)
		c.expectHead()
	}
	c.pipe(out)
	return nil
}

// stop has net/http find the end of the connection instead of the rest of a request.
func (c *clientConn) stop() {
	c.expects = nothing
	_ = c.SetReadDeadline(time.Unix(1, 0))
}

// tunnel says that another protocol begins.
func (c *clientConn) tunnel() { c.expects = aTunnel }

// refuse answers in place of net/http.
func (c *clientConn) refuse(conn net.Conn, status int) {
	now := time.Now()
	body := page(status)
	l := c.front.listener.Load()
	var added strings.Builder
	_ = http.Header(l.route.ResponseHeaders).Write(&added)
	text := "HTTP/1.1 " + strconv.Itoa(status) + " " + http.StatusText(status) + "\r\nServer: " + serverName + "\r\nDate: " + now.UTC().Format(http.TimeFormat) +
		"\r\nContent-Type: text/html\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n" + added.String() + "Connection: close\r\n\r\n" + body
	_ = conn.SetWriteDeadline(now.Add(lingering))
	n, _ := conn.Write([]byte(text))
	c.front.balancer.report(&Exchange{Listener: c.front.key, Kind: l.scheme, Client: c.address, Status: status, Sent: int64(n), Start: now, Responded: now, End: now, listener: l, trace: c.trace})
}

// lingering is how long a connection is read for nothing before it is closed, if the client may be
// sending. Otherwise the client could lose the answer.
const lingering = 500 * time.Millisecond

// Close closes the connection, once.
func (c *clientConn) Close() error {
	if c.closed.Swap(true) {
		return net.ErrClosed
	}
	if !c.sending.Load() || c.CloseWrite() != nil {
		return c.end()
	}
	// Nobody else reads any more, or sets a deadline.
	go func() {
		_ = c.Conn.SetReadDeadline(time.Now().Add(lingering))
		_, _ = io.Copy(io.Discard, c.Conn)
		_ = c.end()
	}()
	return nil
}

func (c *clientConn) end() error {
	c.front.balancer.clients.Add(-1)
	return c.Conn.Close()
}

// CloseWrite ends what is sent to the client.
func (c *clientConn) CloseWrite() error { return closeWrite(c.Conn) }

// closeWrite ends one direction of a connection.
func closeWrite(conn net.Conn) error {
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}
