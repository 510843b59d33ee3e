package alb

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"cutover/internal/rules"
)

// proxy answers one request.
type proxy struct {
	f      *front
	l      *listener
	client *clientConn
	w      http.ResponseWriter
	r      *http.Request
	x      Exchange
	// hosts are the Host headers of the client.
	hosts []string
	// closing says that both connections are closed after the request.
	closing bool
	// read says that the request is read to its end, uploaded that it was passed on or refused.
	read, uploaded bool
	// withGroup and withTarget are how long the client stays with its target group and its target.
	withGroup, withTarget time.Duration
}

var proxies = sync.Pool{New: func() any { return new(proxy) }}

// ServeHTTP answers a request as the listener's rules say.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p := proxies.Get().(*proxy)
	p.f, p.w, p.r = f, w, r
	p.client = r.Context().Value(clientKey{}).(*clientConn)
	p.read = r.Body == http.NoBody
	defer func() {
		p.leave()
		p.x.End = time.Now()
		f.balancer.report(&p.x)
		*p = proxy{}
		proxies.Put(p)
	}()
	p.serve()
	if !p.read {
		p.discard()
	}
}

// adopt takes over the head that the client sent. It returns the status of a request that can go no
// further, and the sizes of the head and of its longest header.
func (p *proxy) adopt() (status, size, longest int) {
	r := p.r
	if r.ProtoMajor == 2 {
		// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-troubleshooting.html#response-code-000
		if p.client.requests.Add(1) >= p.f.maxRequests {
			p.closeClient()
		}
		p.hosts = []string{r.Host}
		size, longest = headSize(r)
		return 0, size, longest
	}
	h := p.client.next()
	r.Method, r.RequestURI, r.Proto, r.Header = h.method, h.uri, h.proto, h.header
	r.Host, p.hosts = cmp.Or(h.authority, h.host), h.hosts
	p.x.Classification, p.x.ClassificationReason = h.tier.String(), h.reason
	if h.status == 0 && r.ProtoAtLeast(1, 1) && strings.EqualFold(r.Header.Get("Expect"), "100-continue") {
		// https://docs.aws.amazon.com/elasticloadbalancing/latest/userguide/how-elastic-load-balancing-works.html#http-headers
		p.giveTimeToRead()
		p.w.WriteHeader(http.StatusContinue)
	}
	if p.closing = h.tier.closes(p.l.settings.DesyncMitigation); p.closing {
		p.closeClient()
	}
	return h.status, h.size, h.longest
}

// closeClient has the answer close the client's connection.
func (p *proxy) closeClient() { p.w.Header()["Connection"] = []string{"close"} }

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

// giveTimeToRead gives the client the idle timeout to read the next part of an answer.
func (p *proxy) giveTimeToRead() {
	_ = http.NewResponseController(p.w).SetWriteDeadline(time.Now().Add(p.l.settings.IdleTimeout))
}

func (p *proxy) serve() {
	r, now := p.r, time.Now()
	l := p.f.decide()
	p.l = l
	refused, size, longest := p.adopt()
	p.x.Listener, p.x.Kind, p.x.Client, p.x.TLS = p.f.key, l.scheme, p.client.address, p.client.tls
	p.x.Method, p.x.Host, p.x.URI, p.x.Proto, p.x.Header = r.Method, r.Host, r.RequestURI, r.Proto, r.Header
	p.x.Received, p.x.Start, p.x.listener, p.x.trace = int64(size), now, l, p.client.trace
	if r.ProtoMajor == 2 {
		p.x.Kind = "h2"
	}
	if now.Sub(p.client.opened) >= p.client.keepAlive {
		p.closeClient()
	}
	if status := cmp.Or(turnDown(r, size, longest), refused); status != 0 {
		l.decided()
		p.answer(status, nil)
		return
	}
	request := rules.Request{Port: l.route.Port, Method: r.Method, Host: r.Host, Header: r.Header, SourceIP: p.client.address.Addr()}
	request.Path, request.Query, _ = strings.Cut(p.x.URI, "?")
	rule, err := l.route.Match(&request)
	if err != nil {
		l.decided()
		p.answer(http.StatusInternalServerError, err)
		return
	}
	p.x.Rule = rule
	var t *target
	if f := l.forwards[rule]; f != nil {
		t = p.pick(f)
	}
	l.decided()
	p.x.TraceID = trace(r.Header.Get(traceHeader), now, size)
	switch {
	case rule.Action.FixedResponse != nil:
		fixed := rule.Action.FixedResponse
		p.own(fixed.StatusCode, fixed.ContentType, fixed.Body)
	case rule.Action.Redirect != nil:
		decision := rules.Decision{Request: request, Listener: l.route, Rule: rule}
		p.x.Redirect = p.f.balancer.localLocation(l, decision.Location())
		p.w.Header()["Location"] = []string{p.x.Redirect}
		p.own(rule.Action.Redirect.StatusCode, "text/html", page(rule.Action.Redirect.StatusCode))
	case t == nil:
		p.answer(http.StatusServiceUnavailable, errNoTarget)
	default:
		defer t.release()
		p.exchange(t)
	}
}

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
	if status == statusClientClosed {
		p.x.Status = status
		panic(http.ErrAbortHandler)
	}
	p.own(status, "text/html", page(status))
}

// responseSize is the approximate size of a status line and headers.
func responseSize(header http.Header) int64 {
	size, _ := headerSize(header)
	if header["Date"] == nil { // net/http adds it
		size += len("Date: Mon, 02 Jan 2006 15:04:05 GMT\r\n")
	}
	return int64(size + len("HTTP/1.1 200 OK\r\n\r\n"))
}

var errNoTarget = errors.New("the target group has no registered target")

// pick chooses a group and its target. The target is in use until its release. Nil if the group has
// no target.
func (p *proxy) pick(f *forward) *target {
	seal := p.f.balancer.seal
	sticky := ""
	if p.withGroup = f.stickiness; p.withGroup > 0 {
		sticky = seal.open(p.r, groupCookie)
	}
	choice := f.pick(sticky)
	p.x.groupARN, p.x.Group = choice.arn, choice.group.key
	sticky = ""
	if p.withTarget = choice.stickiness; p.withTarget > 0 {
		key, id, _ := strings.Cut(seal.open(p.r, targetCookie), "\x00")
		if key == choice.group.key {
			sticky = id
		}
	}
	t := choice.group.pick(sticky)
	if t != nil {
		p.x.Target, p.x.Address = t.ID, t.Address
	}
	return t
}

// exchange sends the request to the target and the answer to the client.
func (p *proxy) exchange(t *target) {
	r, idle := p.r, p.l.settings.IdleTimeout
	c, err := t.pool.get(r.Context(), idle)
	if err != nil {
		p.failed(t, nil, err)
		return
	}
	// Without the client the target need not go on.
	stop := context.AfterFunc(r.Context(), func() { _ = c.Conn.Close() })
	reusable := false
	defer func() {
		if stop() && reusable {
			t.pool.put(c, idle)
		} else {
			c.close()
		}
	}()

	protocol := ""
	if r.ProtoMajor == 1 {
		protocol = upgrade(r.Header)
	}
	p.x.Dispatched = time.Now()
	_ = c.SetDeadline(p.x.Dispatched.Add(idle))
	p.writeHead(c.writer, protocol)
	err = c.writer.Flush()
	var up *upload
	if err == nil && !p.read {
		up = p.upload(c)
		defer up.wait()
	}
	var response *http.Response
	if err == nil {
		response, err = c.readResponse(r)
	}
	if err != nil {
		p.failed(t, up, err)
		return
	}
	p.x.Answered = time.Now()
	p.x.TargetStatus, p.x.Status = response.StatusCode, response.StatusCode
	switch {
	case response.StatusCode != http.StatusSwitchingProtocols:
		copyResponseHeader(p.w.Header(), response.Header)
		maps.Copy(p.w.Header(), p.l.route.ResponseHeaders)
		p.setCookies(t)
		p.respond(c, response, up)
		reusable = !response.Close && !p.closing && (up == nil || up.complete) && c.reader.Buffered() == 0
	case protocol == "":
		p.x.TargetStatus = 0
		p.answer(http.StatusBadGateway, errors.New("the target changes the protocol although nobody asked it to"))
	default:
		// From here on the client may end its direction and stay.
		stop()
		p.tunnel(c, response)
	}
}

// setCookies adds the cookies for the stickiness of the rule and of the target group.
func (p *proxy) setCookies(t *target) {
	seal, header := p.f.balancer.seal, p.w.Header()
	if p.withGroup > 0 {
		seal.set(header, groupCookie, t.group.key, p.withGroup, p.f.secure)
	}
	if p.withTarget > 0 {
		seal.set(header, targetCookie, t.group.key+"\x00"+t.ID, p.withTarget, p.f.secure)
	}
}

// respond sends the target's answer to the client, and waits for the end of the upload.
func (p *proxy) respond(c *targetConn, response *http.Response, up *upload) {
	header := p.w.Header()
	p.x.Sent = responseSize(header)
	for key := range response.Trailer {
		header.Add("Trailer", key)
	}
	p.giveTimeToRead()
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
			p.x.Err = err
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
			_ = http.NewResponseController(p.w).Flush()
			up.wait()
			p.giveTimeToRead()
		}
	}
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

var buffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// copyBody passes on the body of an answer, each part at once.
func (p *proxy) copyBody(c *targetConn, response *http.Response) error {
	buffer := buffers.Get().(*[32 << 10]byte)
	defer buffers.Put(buffer)
	control := http.NewResponseController(p.w)
	left := response.ContentLength // -1 if it is not known
	if c.reader.Buffered() == 0 {
		// The client may wait for the headers alone.
		if err := control.Flush(); err != nil {
			return err
		}
	}
	for first := true; ; first = false {
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
		status = statusClientClosed
	case t.pool.isCut():
		err = errors.New("the deregistration delay of the target has passed: " + err.Error())
	case errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded):
		status = http.StatusGatewayTimeout
	}
	p.answer(status, err)
	if up != nil {
		// Before the request is read to its end.
		_ = http.NewResponseController(p.w).Flush()
	}
}

// maxDiscarded is how much of a request is read for nothing after an early answer.
const maxDiscarded = 256 << 10

// upload sends a request's body. The target may answer meanwhile.
type upload struct {
	done chan struct{}
	// complete says that the target got the whole body, ended that all of it was read. Both are valid
	// after wait.
	complete, ended bool
	control         *http.ResponseController

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
		if p.read = u.ended; p.read {
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
			u.ended = true
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
