package alb

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"
)

const (
	// connectTimeout bounds the connecting to a target, and again its TLS handshake.
	// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-troubleshooting.html#http-504-issues
	connectTimeout = 10 * time.Second
	// maxResponseHeader bounds the headers of an answer.
	// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-limits.html#http-headers-quotas
	maxResponseHeader = 32 << 10

	connectionBuffer = 4 << 10
)

// pool keeps the connections to one target.
//
// The pool replaces net/http's Transport for two reasons. The Transport sends a request again if
// its connection turns out to be closed, and so hides what clients of a real load balancer would
// see. And the Transport passes every request through two more goroutines.
type pool struct {
	address string
	// dial connects, within the timeout.
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
	timeout time.Duration

	mu sync.Mutex
	// tls says whether new connections are encrypted.
	tls bool
	// retired says that connections are no longer kept.
	retired bool
	// idle are the connections without a request, the last used one at the end. The last one is
	// taken first, so that superfluous connections grow old and are closed.
	idle []*targetConn
	// open are all connections, in use or not; nil after cut.
	open map[*targetConn]struct{}
	// sweep closes connections that are idle for too long; nil if none is idle.
	sweep *time.Timer
}

func newPool(address string, tls bool) *pool {
	return &pool{address: address, dial: new(net.Dialer).DialContext, timeout: connectTimeout, tls: tls, open: map[*targetConn]struct{}{}}
}

// setTLS switches TLS on or off for new connections.
func (p *pool) setTLS(tls bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tls = tls
	p.closeIdle(len(p.idle))
}

// get returns a connection that the target had not closed a moment ago. A connection that was idle
// for longer than the timeout is not used: the target may be about to close it.
func (p *pool) get(ctx context.Context, idleTimeout time.Duration) (*targetConn, error) {
	for {
		p.mu.Lock()
		n := len(p.idle)
		if n == 0 {
			p.mu.Unlock()
			return p.connect(ctx)
		}
		c := p.idle[n-1]
		p.idle[n-1] = nil
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		if time.Since(c.idleSince) < idleTimeout && c.alive() {
			return c, nil
		}
		c.close()
	}
}

func (p *pool) connect(ctx context.Context) (*targetConn, error) {
	p.mu.Lock()
	encrypted := p.tls
	p.mu.Unlock()
	timed, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	conn, err := p.dial(timed, "tcp", p.address)
	if err != nil {
		return nil, err
	}
	c := &targetConn{Conn: conn, pool: p}
	if c.raw, err = conn.(*net.TCPConn).SyscallConn(); err != nil {
		_ = conn.Close()
		return nil, err
	}
	c.peek = func(fd uintptr) bool {
		_, c.peekErr = syscall.Read(int(fd), c.peeked[:])
		return true
	}
	if encrypted {
		secured := tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
		timed, cancel := context.WithTimeout(ctx, p.timeout)
		defer cancel()
		if err := secured.HandshakeContext(timed); err != nil {
			_ = conn.Close()
			return nil, fmt.Errorf("TLS handshake: %w", err)
		}
		c.Conn = secured
	}
	c.reader, c.writer = bufio.NewReaderSize(c, connectionBuffer), bufio.NewWriterSize(c.Conn, connectionBuffer)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open == nil {
		_ = c.Conn.Close()
		return nil, net.ErrClosed
	}
	p.open[c] = struct{}{}
	return c, nil
}

// put keeps a connection for another request, until the timeout.
func (p *pool) put(c *targetConn, idleTimeout time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.retired {
		delete(p.open, c)
		_ = c.Conn.Close()
		return
	}
	c.idleSince = time.Now()
	p.idle = append(p.idle, c)
	if p.sweep == nil {
		p.sweep = time.AfterFunc(idleTimeout, func() { p.closeOld(idleTimeout) })
	}
}

// closeOld closes the connections that were idle for longer than the timeout, and comes back for
// the other connections.
func (p *pool) closeOld(idleTimeout time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now, old := time.Now(), 0
	for old < len(p.idle) && now.Sub(p.idle[old].idleSince) >= idleTimeout {
		old++
	}
	p.closeIdle(old)
	p.sweep = nil
	if len(p.idle) > 0 {
		p.sweep = time.AfterFunc(idleTimeout-now.Sub(p.idle[0].idleSince), func() { p.closeOld(idleTimeout) })
	}
}

// closeIdle closes the first n idle connections. The mutex is held.
func (p *pool) closeIdle(n int) {
	for _, c := range p.idle[:n] {
		delete(p.open, c)
		_ = c.Conn.Close()
	}
	p.idle = append(p.idle[:0], p.idle[n:]...)
}

// retire closes idle connections now, and the others at the end of their request.
func (p *pool) retire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.retired = true
	p.closeIdle(len(p.idle))
	if p.sweep != nil {
		p.sweep.Stop()
	}
}

// cut closes all connections, also those in use, and opens no others.
func (p *pool) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.retired = true
	for c := range p.open {
		_ = c.Conn.Close()
	}
	p.open, p.idle = nil, nil
}

// cutOpen closes all connections, and others may follow.
func (p *pool) cutOpen() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.open {
		_ = c.Conn.Close()
	}
}

// isCut says whether cut has ended what was in flight.
func (p *pool) isCut() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open == nil
}

// targetConn is a connection to a target.
type targetConn struct {
	net.Conn
	pool   *pool
	reader *bufio.Reader
	writer *bufio.Writer
	// idleSince is the end of the last request.
	idleSince time.Time
	// budget is how much of an answer's headers may still be read; -1 for no limit.
	budget int

	raw     syscall.RawConn
	peek    func(fd uintptr) bool
	peeked  [1]byte
	peekErr error
}

var errHeaderTooLarge = errors.New("the headers of the answer are larger than 32 KiB")

// Read reads for the buffered reader.
func (c *targetConn) Read(p []byte) (int, error) {
	if c.budget < 0 {
		return c.Conn.Read(p)
	}
	if c.budget == 0 {
		return 0, errHeaderTooLarge
	}
	n, err := c.Conn.Read(p[:min(len(p), c.budget)])
	c.budget -= n
	return n, err
}

// alive looks, without waiting, whether the target has closed the connection or sent something that
// nobody asked for. A target may still close the connection right after the look. To avoid this
// race, targets keep idle connections longer than the load balancer.
func (c *targetConn) alive() bool {
	return c.reader.Buffered() == 0 && c.raw.Read(c.peek) == nil && c.peekErr == syscall.EAGAIN
}

// CloseWrite ends what is sent to the target.
func (c *targetConn) CloseWrite() error { return closeWrite(c.Conn) }

// close closes the connection for good.
func (c *targetConn) close() {
	c.pool.mu.Lock()
	delete(c.pool.open, c)
	c.pool.mu.Unlock()
	_ = c.Conn.Close()
}
