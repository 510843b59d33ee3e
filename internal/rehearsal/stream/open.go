package stream

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/coder/websocket"

	"cutover/internal/rehearsal"
	"cutover/internal/rehearsal/step"
)

// client is one that opens a stream, again and again. The stream's mutex guards it, but for the user.
type client struct {
	*step.User
	isIn    bool // says that the steps of Begin are sent
	reading sync.WaitGroup
	// last is the id of the last event, and lastEventID the one that server-sent events are asked to go on after.
	last, lastEventID string
	events            int
	held              []*held
	failed            []failure
	received          []int32       // ids, in order
	got               map[int32]int // the connection in which an id came first
	doubled           []double      // the first ones
	others            []other       // the first ones
}

// held is a connection that was open.
type held struct {
	rehearsal.Connection
	answer rehearsal.Answer // that opened it
	wrong  string           // in the answer
	// isResumed says that it was asked to go on after the last event.
	isResumed bool
	how       string    // it ended, as the client saw it
	isClean   bool      // says that the service ended it
	failed    []failure // attempts to open it again
	until     time.Time // Ended, or the end of the walk
	fate      rehearsal.Fate
	next      func() (event, error)
	write     func(text []byte) error // over a WebSocket
	close     func()
}

// failure is an attempt to open a stream.
type failure struct {
	rehearsal.Connection
	how string
}

// dial sends the request that opens the stream. Next of the result is nil if the answer is no stream. The error says why there is no
// answer.
func (s *Stream) dial(ctx context.Context, line *rehearsal.Line, c *client) (*held, error) {
	if err := s.enter(ctx, line, c); err != nil {
		return nil, err
	}
	s.mu.Lock()
	last, lastEventID := c.last, c.lastEventID
	s.mu.Unlock()
	more := step.Variables{"last": last}
	r := c.Request(&s.Open, more)
	h := &held{isResumed: lastEventID != "" && !s.WebSocket || last != "" && s.resumes}
	trace := ""
	h.N, trace = line.Connect()
	h.Asked = time.Now()
	header := http.Header{}
	maps.Copy(header, r.Header)
	header.Set(rehearsal.TraceHeader, trace)
	if lastEventID != "" && !s.WebSocket {
		header.Set("Last-Event-ID", lastEventID)
	}
	var err error
	if s.WebSocket {
		err = s.dialWebSocket(ctx, line, h, r, header)
	} else {
		err = dialEvents(ctx, line, h, r, header)
	}
	h.Opened = time.Now()
	if err != nil {
		return h, fmt.Errorf("gives no answer: %w", err)
	}
	if err := c.Take(&s.Open, r, h.answer); err != nil && h.next != nil {
		h.close()
		return h, err
	}
	h.answer.Header.Del("Sec-Websocket-Accept") // it belongs to the key of this request
	for _, text := range s.send {
		if h.next == nil {
			break
		}
		if err := h.write(c.Request(text, more).Body); err != nil {
			h.close()
			return h, fmt.Errorf("takes no text: %w", err)
		}
	}
	return h, nil
}

// enter sends the steps of Begin, once.
func (s *Stream) enter(ctx context.Context, line *rehearsal.Line, c *client) error {
	for i := range s.Begin {
		if c.isIn {
			break
		}
		asked := &s.Begin[i]
		r := c.Request(asked, step.Variables{"last": ""})
		a := line.Ask(ctx, r)
		isExpected := a.Status < http.StatusBadRequest && len(asked.Expect.Status) == 0
		for _, status := range asked.Expect.Status {
			isExpected = isExpected || a.Status == status
		}
		switch {
		case a.Err != nil:
			return fmt.Errorf("needs %s, which gives no answer: %w", r, a.Err)
		case !isExpected:
			return fmt.Errorf("needs %s, which answers with status %d: %s", r, a.Status, rehearsal.Excerpt(a.Body))
		}
		if err := c.Take(asked, r, a); err != nil {
			return fmt.Errorf("needs %s: %w", r, err)
		}
	}
	c.isIn = true
	return nil
}

const eventStream = "text/event-stream"

// dialEvents asks for server-sent events.
func dialEvents(ctx context.Context, line *rehearsal.Line, h *held, r *rehearsal.Request, header http.Header) error {
	ctx, cancel := context.WithCancelCause(ctx)
	tooLong := time.AfterFunc(line.Timeout, func() { cancel(fmt.Errorf("the answer did not begin within %v", line.Timeout)) })
	defer tooLong.Stop()
	req, err := http.NewRequestWithContext(ctx, cmp.Or(r.Method, http.MethodGet), line.URL+r.Path, bytes.NewReader(r.Body))
	if err != nil {
		return err
	}
	if req.Header = header; header.Get("Accept") == "" {
		header.Set("Accept", eventStream)
	}
	req.Host = cmp.Or(r.Host, req.Host)
	resp, err := line.Transport.RoundTrip(req)
	if err != nil {
		return cmp.Or(context.Cause(ctx), err)
	}
	h.answer = rehearsal.Answer{Seq: -1, Status: resp.StatusCode, Header: resp.Header}
	h.close = func() {
		cancel(nil)
		_ = resp.Body.Close()
	}
	if media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); resp.StatusCode != http.StatusOK || media != eventStream {
		h.answer.Body, _ = io.ReadAll(io.LimitReader(resp.Body, maxExcerpt))
		h.close()
		return nil
	}
	h.next = newSSEReader(resp.Body).read
	return nil
}

// maxExcerpt is how much of an answer is read that is no stream.
const maxExcerpt = 512

// dialWebSocket asks for a WebSocket.
func (s *Stream) dialWebSocket(ctx context.Context, line *rehearsal.Line, h *held, r *rehearsal.Request, header http.Header) error {
	handshake, cancel := context.WithTimeoutCause(ctx, line.Timeout, fmt.Errorf("the answer did not begin within %v", line.Timeout))
	defer cancel()
	const protocols = "Sec-Websocket-Protocol"
	options := &websocket.DialOptions{
		HTTPHeader: header, Host: r.Host,
		HTTPClient: &http.Client{Transport: line.Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}
	for protocol := range strings.SplitSeq(strings.Join(header.Values(protocols), ","), ",") {
		if protocol = strings.TrimSpace(protocol); protocol != "" {
			options.Subprotocols = append(options.Subprotocols, protocol)
		}
	}
	header.Del(protocols)
	conn, resp, err := websocket.Dial(handshake, line.URL+r.Path, options)
	if resp == nil {
		return cmp.Or(context.Cause(handshake), err)
	}
	h.answer = rehearsal.Answer{Seq: -1, Status: resp.StatusCode, Header: resp.Header}
	if err != nil {
		h.answer.Body, _ = io.ReadAll(io.LimitReader(resp.Body, maxExcerpt))
		if resp.StatusCode == http.StatusSwitchingProtocols { // in another way than a WebSocket has it
			return err
		}
		return nil
	}
	conn.SetReadLimit(-1)
	h.write = func(text []byte) error {
		writing, cancel := context.WithTimeout(ctx, line.Timeout)
		defer cancel()
		return conn.Write(writing, websocket.MessageText, text)
	}
	h.close = func() { _ = conn.CloseNow() }
	h.next = func() (event, error) {
		_, message, err := conn.Reader(ctx)
		if err != nil {
			return event{}, err
		}
		data, err := io.ReadAll(io.LimitReader(message, maxData))
		if err == nil {
			_, err = io.Copy(io.Discard, message)
		}
		return event{data: data}, err
	}
	return nil
}

// explain says how a connection ended, and whether its service ended it in order.
func explain(err error) (how string, isClean bool) {
	var closed websocket.CloseError
	switch {
	case errors.As(err, &closed):
		how = fmt.Sprintf("close frame %d", closed.Code)
		if closed.Code == websocket.StatusNoStatusRcvd {
			how = "close frame without a code"
		}
		if closed.Reason != "" {
			how += fmt.Sprintf(" (%s)", closed.Reason)
		}
		return how, true
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "connection reset", false
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "end of the connection in the middle of the answer", false
	case err == io.EOF:
		return "end of the answer", true
	case errors.Is(err, io.EOF): // of a WebSocket
		return "end of the connection without a close frame", false
	}
	return err.Error(), false
}
