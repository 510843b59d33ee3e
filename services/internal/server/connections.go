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
	"syscall"
	"time"
)

// The bounds of what all clients together can take. At the worst, when every
// connection is in the middle of the largest request head, the process takes
// 140 MiB of the 256 MiB that a task reserves, and less when it is the kernel
// that holds what clients send and do not read.
const (
	maxConnections = 2048
	// A connection that was used more recently may still be waiting for its
	// turn on a busy machine; rather than closing it, new ones wait.
	minIdle = 200 * time.Millisecond
	// Go's parser turns a head of 16 KiB with the shortest possible lines into
	// 160 KiB. The original stops at 2000 header fields; requests have some 30.
	// Bytes are read few at a time, because lines are counted by the reading.
	maxHeaderLines = 128
	maxHeadRead    = 1 << 10
	// The kernel's buffers of a connection, in bytes; it takes twice as much.
	// Those that it chooses by itself grow to megabytes for a client that sends
	// requests and does not read the answers.
	receiveBuffer = 32 << 10
	sendBuffer    = 16 << 10
	// At most one line per period says that connections are closed.
	warnPeriod = time.Minute
	// How late a connection may notice that its time is over. Its deadlines
	// change seven times in a request; a timer of the runtime for each would take
	// a twentieth of the request's time.
	deadlinePeriod = 100 * time.Millisecond
)

// connections is a listener whose connections are bounded in number and in
// what they can make the HTTP server keep. When there is one too many, it
// closes the one that has been waiting for its client the longest: idle and
// slow ones give way to those that have something to ask. It watches the
// deadlines that the server sets, and sets that of writing itself.
type connections struct {
	net.Listener
	max          int
	writeTimeout time.Duration // from the head of a request to the end of its answer
	log          *slog.Logger

	mu     sync.Mutex
	open   list.List // of *connection, the least recently used first
	now    time.Time // or up to deadlinePeriod ago: no request has to ask for the time
	warned time.Time
}

// connection counts the header lines that it reads.
type connection struct {
	net.Conn
	place *list.Element // in connections.open
	began time.Time
	used  time.Time // when a request began or ended, or else the connection

	inRequest   bool // after the head of a request, before the end of its answer
	headerLines int

	mu          sync.Mutex
	reading     bool
	read, write deadline
}

// deadline is one that [connections.watch] looks after.
type deadline struct {
	at     time.Time // zero: none, or passed
	passed bool
	told   bool // the connection below has been told that it has passed
}

var errHeaderLines = errors.New("too many header lines")

// Accept returns the next connection as soon as there is room for it.
func (cs *connections) Accept() (net.Conn, error) {
	conn, err := cs.Listener.Accept()
	for errors.Is(err, syscall.EMFILE) && cs.lowerMax() {
		cs.awaitRoom()
		conn, err = cs.Listener.Accept()
	}
	if err != nil {
		return nil, err
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		tcp.SetReadBuffer(receiveBuffer)
		tcp.SetWriteBuffer(sendBuffer)
	}
	cs.awaitRoom()
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.now = time.Now()
	c := &connection{Conn: conn, began: cs.now, used: cs.now}
	c.place = cs.open.PushBack(c)
	return c, nil
}

// lowerMax makes what is open the most that may be open: the process may have
// fewer file descriptors than that. It returns false if nothing is open, so
// that something else must hold them.
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

// makeRoom closes the least recently used connection if there is no room for
// another, unless it was used just now.
func (cs *connections) makeRoom() bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.open.Len() < cs.max {
		return true
	}
	now := time.Now()
	oldest := cs.open.Front().Value.(*connection)
	if now.Sub(oldest.used) < minIdle+deadlinePeriod { // its last use may have been that much later
		return false
	}
	cs.open.Remove(oldest.place)
	oldest.Close() // the server then finds that it is closed, and forgets it
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
		c.inRequest, c.headerLines = state == http.StateActive, 0
		c.used = cs.now
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

// watch tells connections when their time is over, until done is closed.
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

// SetReadDeadline takes effect at once if t is before the connection began, which
// is how the server interrupts its own reading, and else within deadlinePeriod
// of t.
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

// SetDeadline is both.
func (c *connection) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// setRead interrupts a read that is under way. One that begins later asks whether
// its time is over: in each request the server begins one, to notice a client
// that hangs up, and takes it back.
func (c *connection) setRead(t time.Time, passed bool) error {
	return c.read.set(t, passed, c.reading, c.Conn.SetReadDeadline)
}

func (c *connection) setWrite(t time.Time, passed bool) error {
	return c.write.set(t, passed, true, c.Conn.SetWriteDeadline)
}

// set makes t the deadline. If it has passed and something may be under way, it
// tells the connection below; and also when what that was told is no longer so.
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

// Read fails if a request's head has had too many lines and is not at its end,
// which the server answers with status 400.
func (c *connection) Read(p []byte) (int, error) {
	if c.inRequest {
		return c.readInTime(p)
	}
	if c.headerLines > maxHeaderLines {
		return 0, errHeaderLines
	}
	n, err := c.readInTime(p[:min(len(p), maxHeadRead)])
	c.headerLines += bytes.Count(p[:n], []byte("\n"))
	return n, err
}

// readInTime fails when the deadline passes, or if it has.
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

// CloseWrite lets the server send the end of an answer before it closes the
// connection, when it closes it before the client has sent everything.
func (c *connection) CloseWrite() error {
	if conn, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return conn.CloseWrite()
	}
	return nil
}
