package alb

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// maxDiscarded is how much of a request is read for nothing after an early answer.
const maxDiscarded = 256 << 10

// discard reads the rest of a request that has its answer already, so that the next one can follow. The
// client has the idle timeout for each part.
func (p *proxy) discard() {
	control := http.NewResponseController(p.w)
	if p.r.ProtoMajor == 2 || p.uploaded || len(p.w.Header()["Connection"]) > 0 {
		return
	}
	_ = control.Flush()
	buffer := buffers.Get().(*[32 << 10]byte)
	defer buffers.Put(buffer)
	for n := 0; n < maxDiscarded && !p.read; {
		_ = control.SetReadDeadline(time.Now().Add(p.l.settings.IdleTimeout))
		more, err := p.r.Body.Read(buffer[:])
		n += more
		if p.read = err == io.EOF; err != nil {
			break
		}
	}
	if p.read {
		_ = control.SetReadDeadline(time.Time{})
	}
}

// leave lets net/http end the connection if the request is not read to its end. Otherwise net/http would
// wait for the rest, without a timeout.
func (p *proxy) leave() {
	if !p.read && p.r.ProtoMajor == 1 {
		p.client.stop()
	}
}

// upload sends a request's body. The target may answer meanwhile.
type upload struct {
	done chan struct{}
	// complete says that the target got the whole body. It is valid after wait.
	complete bool
	control  *http.ResponseController

	mu      sync.Mutex
	err     error
	stopped bool
}

// wait waits for the end of the upload.
func (u *upload) wait() { <-u.done }

// stop ends the upload without waiting for the client. The client's connection is useless then.
func (u *upload) stop() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.stopped = true
	_ = u.control.SetReadDeadline(time.Unix(1, 0))
}

// await gives the client until the deadline to send more. A deadline of zero is none.
func (u *upload) await(deadline time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.stopped {
		_ = u.control.SetReadDeadline(deadline)
	}
}

// failed is the error of reading from the client.
func (u *upload) failed() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.err
}

// fail notes that the client's part cannot be read.
func (u *upload) fail(err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.err = err
}

// upload sends the body of the request to the target, each part at once.
func (p *proxy) upload(c *targetConn) *upload {
	p.uploaded = true
	u := &upload{done: make(chan struct{}), control: http.NewResponseController(p.w)}
	_ = u.control.EnableFullDuplex() // HTTP/2 is always so
	// The target may wait for the end of the request before it answers. Until then only the client
	// has a deadline.
	_ = c.SetReadDeadline(time.Time{})
	go func() {
		defer close(u.done)
		p.copyRequest(u, c)
		_ = c.SetReadDeadline(time.Now().Add(p.l.settings.IdleTimeout))
		if p.read {
			u.await(time.Time{})
		} else {
			u.stop()
		}
	}()
	return u
}

// copyRequest copies the body of the request to the target.
func (p *proxy) copyRequest(u *upload, c *targetConn) {
	r, idle := p.r, p.l.settings.IdleTimeout
	var w io.Writer = c.writer
	if r.ContentLength < 0 {
		w = chunkedWriter{c.writer}
	}
	buffer := buffers.Get().(*[32 << 10]byte)
	defer buffers.Put(buffer)
	for refused := 0; refused < maxDiscarded; {
		u.await(time.Now().Add(idle))
		n, err := r.Body.Read(buffer[:])
		p.x.Received += int64(n)
		_ = c.SetWriteDeadline(time.Now().Add(idle))
		switch {
		case refused > 0:
			refused += n
		case n > 0:
			_, writeErr := w.Write(buffer[:n])
			if writeErr == nil {
				writeErr = c.writer.Flush()
			}
			if writeErr != nil {
				// The target may have answered all the same. The rest has no reader.
				refused = 1
			}
		}
		switch {
		case err == io.EOF:
			p.read = true
			if refused == 0 && r.ContentLength < 0 {
				_, _ = c.writer.WriteString("0\r\n\r\n")
			}
			u.complete = refused == 0 && c.writer.Flush() == nil
			return
		case err != nil:
			u.fail(err)
			// The target would wait for the rest.
			_ = c.Conn.Close()
			return
		}
	}
}

// chunkedWriter writes each part as a chunk.
type chunkedWriter struct{ w *bufio.Writer }

func (c chunkedWriter) Write(part []byte) (int, error) {
	_, _ = fmt.Fprintf(c.w, "%x\r\n", len(part))
	_, _ = c.w.Write(part)
	return c.w.WriteString("\r\n")
}
