package alb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"time"
)

// own gives an answer of the load balancer itself.
func (p *proxy) own(status int, contentType, body string) {
	p.x.Status = status
	p.x.Responded = time.Now()
	header := p.w.Header()
	header["Server"] = []string{serverName}
	header["Content-Length"] = []string{strconv.Itoa(len(body))}
	if !p.uploaded && !p.read {
		// The answer does not wait for the rest of the request.
		_ = http.NewResponseController(p.w).EnableFullDuplex()
	}
	header["Content-Type"] = nil // net/http does not guess one then
	if contentType != "" {
		header["Content-Type"] = []string{contentType}
	}
	maps.Copy(header, p.l.route.ResponseHeaders)
	p.x.Sent = responseSize(header)
	p.giveTimeToRead()
	p.w.WriteHeader(status)
	n, _ := io.WriteString(p.w, body)
	p.x.Sent += int64(n)
}

// answer gives the client an error page in place of an answer.
func (p *proxy) answer(status int, err error) {
	p.x.Err = err
	if status == StatusClientClosed {
		p.x.Status = status
		panic(http.ErrAbortHandler)
	}
	p.own(status, "text/html", page(status))
}

// failed answers in place of a target. The error of its connection decides the status.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-troubleshooting.html#http-502-issues
func (p *proxy) failed(t *target, up *upload, err error) {
	status := http.StatusBadGateway
	if up != nil && p.r.Context().Err() != nil {
		// net/http ends the context when it cannot read. The upload is about to say why.
		up.wait()
	}
	switch {
	case up != nil && up.failed() != nil:
		err = up.failed()
		p.closeClient()
		// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-troubleshooting.html#http-400-issues
		status = http.StatusBadRequest
		if errors.Is(err, os.ErrDeadlineExceeded) {
			status = http.StatusRequestTimeout
		}
	case p.r.Context().Err() != nil:
		status = StatusClientClosed
	case t.pool.isCut():
		err = fmt.Errorf("%w: %v", errDelayPassed, err)
	case errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded):
		status = http.StatusGatewayTimeout
	}
	p.answer(status, err)
	if up != nil {
		// Before the request is read to its end.
		_ = http.NewResponseController(p.w).Flush()
		p.endTimeToRead()
	}
}

// giveTimeToRead gives the client the idle timeout to read the next part of an answer.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-load-balancer-attributes.html#connection-idle-timeout
func (p *proxy) giveTimeToRead() {
	_ = http.NewResponseController(p.w).SetWriteDeadline(time.Now().Add(p.l.settings.IdleTimeout))
}

// endTimeToRead goes before waiting for somebody else than the client. HTTP/2 ends a request when the
// time is over, even if there is nothing to read.
func (p *proxy) endTimeToRead() {
	if p.r.ProtoMajor == 2 {
		_ = http.NewResponseController(p.w).SetWriteDeadline(time.Time{})
	}
}

// setCookies adds the cookies for the stickiness of the rule and of the target group.
func (p *proxy) setCookies(t *target) {
	seal, header := p.f.balancer.seal, p.w.Header()
	if p.withGroup > 0 {
		seal.set(header, groupCookie, t.group.key, p.withGroup, p.f.scheme == "https")
	}
	if p.withTarget > 0 {
		seal.set(header, targetCookie, t.group.key+"\x00"+t.ID, p.withTarget, p.f.scheme == "https")
	}
}

// respond sends the target's answer to the client, and waits for the end of the upload.
func (p *proxy) respond(c *targetConn, response *http.Response, up *upload) {
	header := p.w.Header()
	p.x.Sent = responseSize(header)
	for key := range response.Trailer {
		header.Add("Trailer", key)
	}
	p.w.WriteHeader(response.StatusCode)
	if response.Body != http.NoBody {
		body := &chunkedBody{r: c.reader}
		if slices.Equal(response.TransferEncoding, chunkedEncoding) {
			response.Body = io.NopCloser(body)
		}
		err := p.copyBody(c, response)
		var trailer http.Header
		if err == nil {
			trailer, err = body.trailer()
		}
		if err != nil {
			p.x.Err = p.broken(c, err)
			if up != nil {
				up.stop()
			}
			// The client must not take a part for the whole answer.
			panic(http.ErrAbortHandler)
		}
		for key, values := range trailer {
			header[key] = values
		}
	} else {
		p.x.Responded = time.Now()
	}
	if up != nil {
		select {
		case <-up.done:
		default:
			// An early answer goes to the client now. The client gets the time to finish its request.
			p.giveTimeToRead()
			_ = http.NewResponseController(p.w).Flush()
			p.endTimeToRead()
			up.wait()
		}
	}
	p.giveTimeToRead() // for the end of the answer
}

var errDelayPassed = errors.New("the deregistration delay of the target has passed")

// ErrIdle is the error of an exchange whose connections were closed because nothing was sent for the idle timeout.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-load-balancer-attributes.html#connection-idle-timeout
var ErrIdle = errors.New("nothing was sent for the idle timeout")

// broken says why the answer of a target is not complete.
func (p *proxy) broken(c *targetConn, err error) error {
	switch {
	case p.r.Context().Err() != nil: // the client has left
		return err
	case c.pool.isCut():
		return errDelayPassed
	case errors.Is(err, os.ErrDeadlineExceeded):
		return ErrIdle
	}
	return err
}

var chunkedEncoding = []string{"chunked"}

// copyResponseHeader passes on the headers of the target's answer.
func copyResponseHeader(to, from http.Header) {
	local := listed(from)
	for key, values := range from {
		if !hopByHop(key) && !slices.Contains(local, key) {
			to[key] = values
		}
	}
	if _, ok := to["Content-Type"]; !ok {
		to["Content-Type"] = nil // net/http does not guess one then
	}
}

// readResponse reads the head of the target's answer, and drops informational answers before it.
func (c *targetConn) readResponse(r *http.Request) (*http.Response, error) {
	c.budget = maxResponseHeader
	defer func() { c.budget = -1 }()
	for {
		response, err := http.ReadResponse(c.reader, r)
		if err != nil || response.StatusCode >= 200 || response.StatusCode == http.StatusSwitchingProtocols {
			return response, err
		}
	}
}

// copyBody passes on the body of an answer, each part at once.
func (p *proxy) copyBody(c *targetConn, response *http.Response) error {
	buffer := buffers.Get().(*[32 << 10]byte)
	defer buffers.Put(buffer)
	control := http.NewResponseController(p.w)
	left := response.ContentLength // -1 if it is not known
	if c.reader.Buffered() == 0 {
		// The client may wait for the headers alone.
		p.giveTimeToRead()
		if err := control.Flush(); err != nil {
			return err
		}
	}
	for first := true; ; first = false {
		p.endTimeToRead()
		if !first {
			_ = c.SetReadDeadline(time.Now().Add(p.l.settings.IdleTimeout))
		}
		n, err := response.Body.Read(buffer[:])
		if n > 0 {
			p.giveTimeToRead()
			if _, err := p.w.Write(buffer[:n]); err != nil {
				return err
			}
			p.x.Sent += int64(n)
			if left -= int64(n); left != 0 && err == nil && c.reader.Buffered() == 0 {
				if err := control.Flush(); err != nil {
					return err
				}
			}
		}
		if p.x.Responded.IsZero() {
			p.x.Responded = time.Now()
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// responseSize is the approximate size of a status line and headers.
func responseSize(header http.Header) int64 {
	size, _ := headerSize(header)
	if header["Date"] == nil { // net/http adds it
		size += len("Date: Mon, 02 Jan 2006 15:04:05 GMT\r\n")
	}
	return int64(size + len("HTTP/1.1 200 OK\r\n\r\n"))
}
