package server

import (
	"bytes"
	"container/list"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Bounds of what all clients together can take. In the worst case, every connection is in the
// middle of the largest request head. Then the process takes 140 MiB of the 256 MiB that a task
// reserves. It takes less if the kernel holds what clients send and do not read.
const (
	maxConnections = 2048
	// A more recently used connection may still wait for its turn on a busy machine. New connections
	// wait then.
	minIdle = 200 * time.Millisecond
	// Go's parser turns a head of 16 KiB with the shortest lines into 160 KiB. The original stops at
	// 2000 header fields; requests have about 30. Each read takes few bytes, because the reader
	// counts the lines.
	maxHeaderLines = 128
	maxHeadRead    = 1 << 10
	// Bytes of the kernel's buffers of a connection. The kernel takes twice as much. Its own choice
	// grows to megabytes for a client that sends requests and does not read the answers.
	receiveBuffer = 32 << 10
	sendBuffer    = 16 << 10
	// Those of a connection with a body that is larger than its buffer. With one segment at a time, a
	// delayed acknowledgement of 40 ms comes after each. How much large bodies take is bounded elsewhere.
	largeBuffer = 256 << 10
	// The shortest time between two warnings about closed connections.
	warnPeriod = time.Minute
	// The longest delay of a deadline. A connection changes its deadlines seven times in a request.
	// A timer of the runtime for each change would take a twentieth of the request's time.
	deadlinePeriod = 100 * time.Millisecond
)

// connections is a listener with bounds: for the number of connections, and for what a connection
// makes the HTTP server keep. If there is one too many, it closes the connection that has waited
// for its client the longest. It watches the server's deadlines, and sets the deadline of writing.
type connections struct {
	net.Listener
	max          int
	writeTimeout time.Duration // from the head of a request to the end of its answer
	log          *slog.Logger

	mu     sync.Mutex
	open   list.List // of *connection, the least recently used first
	now    time.Time // at most deadlinePeriod old, so that no request asks for the time
	warned time.Time
}

// connection counts the header lines that it reads.
type connection struct {
	net.Conn
	place *list.Element // in connections.open
	began time.Time
	used  time.Time // begin or end of the last request, or else of the connection

	inRequest   bool // after the head of a request, before the end of its answer
	headerLines int
	bodyBytes   int         // of the request, that were read
	large       atomic.Bool // has large buffers

	mu          sync.Mutex
	reading     bool
	read, write deadline
}

// deadline is a deadline under the watch of [connections.watch].
type deadline struct {
	at     time.Time // zero: none, or passed
	passed bool
	told   bool // to the connection below
}

var errHeaderLines = errors.New("too many header lines")

// Accept returns the next connection, as soon as there is room.
func (cs *connections) Accept() (net.Conn, error) {
	conn, err := cs.Listener.Accept()
	for errors.Is(err, syscall.EMFILE) && cs.lowerMax() {
		cs.awaitRoom()
		conn, err = cs.Listener.Accept()
	}
	if err != nil {
		return nil, err
	}
	cs.awaitRoom()
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.now = time.Now()
	c := &connection{Conn: conn, began: cs.now, used: cs.now}
	c.setBuffers(receiveBuffer, sendBuffer)
	c.place = cs.open.PushBack(c)
	return c, nil
}

// lowerMax sets the maximum to the number of open connections, because the process may have too few
// file descriptors. It returns false if no connection is open: then something else holds the
// descriptors.
func (cs *connections) lowerMax() bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.open.Len() == 0 {
		return false
	}
	cs.max = min(cs.max, cs.open.Len())
	return true
}

func (cs *connections) awaitRoom() {
	for !cs.makeRoom() {
		time.Sleep(time.Millisecond)
	}
}

// makeRoom closes the least recently used connection if there is no room, unless it was used just
// now.
func (cs *connections) makeRoom() bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.open.Len() < cs.max {
		return true
	}
	now := time.Now()
	oldest := cs.open.Front().Value.(*connection)
	if now.Sub(oldest.used) < minIdle+deadlinePeriod { // its last use may be that much later
		return false
	}
	cs.open.Remove(oldest.place)
	oldest.Close() // the server notices and forgets it
	if now.Sub(cs.warned) >= warnPeriod {
		cs.warned = now
		cs.log.Warn("too many connections: those that wait for their clients the longest are closed", "connections", cs.max)
	}
	return true
}

// changed is the server's [http.Server.ConnState].
func (cs *connections) changed(conn net.Conn, state http.ConnState) {
	c := conn.(*connection)
	cs.mu.Lock()
	defer cs.mu.Unlock()
	switch state {
	case http.StateActive, http.StateIdle:
		c.inRequest, c.headerLines, c.bodyBytes = state == http.StateActive, 0, 0
		c.used = cs.now
		if c.large.CompareAndSwap(true, false) {
			c.setBuffers(receiveBuffer, sendBuffer)
		}
		cs.open.MoveToBack(c.place)
		if c.inRequest { // the server takes it away after the answer
			_ = c.SetWriteDeadline(cs.now.Add(cs.writeTimeout))
		}
	case http.StateClosed:
		cs.open.Remove(c.place)
	}
}

func (cs *connections) count() int {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return cs.open.Len()
}

// watch ends the time of connections, until done is closed.
func (cs *connections) watch(done <-chan struct{}) {
	ticker := time.NewTicker(deadlinePeriod)
	defer ticker.Stop()
	for {
		select {
		case <-done:
			return
		case now := <-ticker.C:
			cs.mu.Lock()
			cs.now = now
			for e := cs.open.Front(); e != nil; e = e.Next() {
				e.Value.(*connection).expire(now)
			}
			cs.mu.Unlock()
		}
	}
}

func (c *connection) expire(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if at := c.read.at; !at.IsZero() && !now.Before(at) {
		_ = c.setRead(at, true)
	}
	if at := c.write.at; !at.IsZero() && !now.Before(at) {
		_ = c.setWrite(at, true)
	}
}

// SetReadDeadline takes effect within deadlinePeriod of t. A time before the connection began takes
// effect at once: the server interrupts its own reading with such a time.
func (c *connection) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.setRead(t, !t.IsZero() && t.Before(c.began))
}

// SetWriteDeadline is like [connection.SetReadDeadline].
func (c *connection) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.setWrite(t, !t.IsZero() && t.Before(c.began))
}

// SetDeadline sets both.
func (c *connection) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// setRead interrupts the current read. A later read asks for itself whether its time is over. The
// server begins a read in each request, to notice a client that hangs up, and interrupts it.
func (c *connection) setRead(t time.Time, passed bool) error {
	return c.read.set(t, passed, c.reading, c.Conn.SetReadDeadline)
}

func (c *connection) setWrite(t time.Time, passed bool) error {
	return c.write.set(t, passed, true, c.Conn.SetWriteDeadline)
}

// set makes t the deadline. It tells the connection below if the deadline has passed and something
// may be under way, and if an earlier such call no longer holds.
func (d *deadline) set(t time.Time, passed, underWay bool, tell func(time.Time) error) error {
	told := d.told
	*d = deadline{passed: passed, told: passed && underWay}
	if !passed {
		d.at = t
	}
	switch {
	case d.told:
		return tell(t)
	case told:
		return tell(time.Time{})
	}
	return nil
}

// Read fails after too many lines of a request's head. The server then answers with status 400.
func (c *connection) Read(p []byte) (int, error) {
	if c.inRequest {
		n, err := c.readInTime(p)
		if c.bodyBytes += n; c.bodyBytes > receiveBuffer {
			c.enlarge()
		}
		return n, err
	}
	if c.headerLines > maxHeaderLines {
		return 0, errHeaderLines
	}
	n, err := c.readInTime(p[:min(len(p), maxHeadRead)])
	c.headerLines += bytes.Count(p[:n], []byte("\n"))
	return n, err
}

// Write sends a part of an answer.
func (c *connection) Write(p []byte) (int, error) {
	if len(p) > sendBuffer {
		c.enlarge()
	}
	return c.Conn.Write(p)
}

// enlarge gives the connection large buffers until the end of the request.
func (c *connection) enlarge() {
	if c.large.CompareAndSwap(false, true) {
		c.setBuffers(largeBuffer, largeBuffer)
	}
}

func (c *connection) setBuffers(receive, send int) {
	if conn, ok := c.Conn.(interface {
		SetReadBuffer(bytes int) error
		SetWriteBuffer(bytes int) error
	}); ok {
		_ = conn.SetReadBuffer(receive)
		_ = conn.SetWriteBuffer(send)
	}
}

// readInTime fails if the deadline has passed, or when it passes.
func (c *connection) readInTime(p []byte) (int, error) {
	c.mu.Lock()
	if c.read.passed {
		c.mu.Unlock()
		return 0, os.ErrDeadlineExceeded
	}
	c.reading = true
	c.mu.Unlock()
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	c.reading = false
	c.mu.Unlock()
	return n, err
}

// CloseWrite lets the server send the rest of an answer before it closes a connection whose client
// is still sending.
func (c *connection) CloseWrite() error {
	if conn, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return conn.CloseWrite()
	}
	return nil
}
