package alb

import (
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

// tunnel joins the connections of client and target after the target has changed the protocol. The
// tunnel ends when both sides have closed, or when neither side sends during the idle timeout.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-listeners.html#listener-configuration
func (p *proxy) tunnel(c *targetConn, response *http.Response) {
	conn, buffered, err := http.NewResponseController(p.w).Hijack()
	if err != nil {
		p.answer(http.StatusBadGateway, err)
		return
	}
	defer conn.Close()
	p.client.tunnel()
	if strings.EqualFold(response.Header.Get("Upgrade"), "websocket") {
		p.x.Kind = "ws"
		if p.f.scheme == "https" {
			p.x.Kind = "wss"
		}
	}
	header := http.Header{}
	copyResponseHeader(header, response.Header)
	maps.Copy(header, p.l.route.ResponseHeaders)
	header["Connection"], header["Upgrade"] = []string{"Upgrade"}, response.Header["Upgrade"]
	p.x.Responded = time.Now()
	p.x.Sent = responseSize(header)
	_ = conn.SetDeadline(time.Time{})
	_, _ = buffered.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	_ = header.Write(buffered)
	_, _ = buffered.WriteString("\r\n")
	if err := buffered.Flush(); err != nil {
		p.x.Err = err
		return
	}
	_ = c.SetDeadline(time.Time{})
	r := relay{idle: p.l.settings.IdleTimeout}
	r.touch()
	back := make(chan int64, 1)
	go func() { back <- r.copy(conn, c.reader, c) }()
	p.x.Received += r.copy(c, buffered.Reader, conn)
	p.x.Sent += <-back
	switch {
	case c.pool.isCut():
		p.x.Err = errDelayPassed
	case r.timedOut.Load():
		p.x.Err = ErrIdle
	}
}

// relay copies in both directions, with one idle timeout for both.
type relay struct {
	idle time.Duration
	last atomic.Int64 // when something was read, in nanoseconds
	// timedOut says that the idle timeout ended the connections.
	timedOut atomic.Bool
}

func (r *relay) touch() { r.last.Store(time.Now().UnixNano()) }

// copy passes on what the reader of a connection yields, and then its end. If both sides are idle,
// or if one side fails, copy closes both ends.
func (r *relay) copy(to net.Conn, reader io.Reader, from net.Conn) (copied int64) {
	buffer := buffers.Get().(*[32 << 10]byte)
	defer buffers.Put(buffer)
	for {
		last := time.Unix(0, r.last.Load())
		_ = from.SetReadDeadline(last.Add(r.idle))
		n, err := reader.Read(buffer[:])
		if n > 0 {
			r.touch()
			_ = to.SetWriteDeadline(time.Now().Add(r.idle))
			written, writeErr := to.Write(buffer[:n])
			copied += int64(written)
			if writeErr != nil {
				err = writeErr
			}
		}
		// At a timeout the other direction may have been busy.
		if err == nil || errors.Is(err, os.ErrDeadlineExceeded) && r.last.Load() != last.UnixNano() {
			continue
		}
		if err == io.EOF && closeWrite(to) == nil {
			return copied
		}
		r.timedOut.CompareAndSwap(false, errors.Is(err, os.ErrDeadlineExceeded))
		_, _ = to.Close(), from.Close()
		return copied
	}
}
