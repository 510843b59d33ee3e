package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

// Response is a complete answer, rendered before its first byte is sent. So every answer has a
// Content-Length, and a handler that fails has sent nothing. A response never changes: routes
// render theirs once at start and share them between requests.
type Response struct {
	status int
	// The header values are slices like those of [http.Header]. Sharing them saves an allocation
	// each per request.
	contentType   []string
	contentLength []string
	allow         []string
	body          []byte
}

// NoContent is the answer for a record that does not exist: status 204 without body and type.
var NoContent = &Response{status: http.StatusNoContent}

// JSON renders v as the body of a 200 answer, like JavaScript's JSON.stringify: compact, and with
// <, > and & as they are. The error is that of [json.Marshal]: JSON cannot express v.
func JSON(v any) (*Response, error) {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return nil, fmt.Errorf("a response cannot be rendered: %w", err)
	}
	return newResponse(http.StatusOK, "application/json; charset=utf-8", bytes.TrimSuffix(body.Bytes(), []byte("\n"))), nil
}

// text is a plain-text answer.
func text(status int, body string) *Response {
	return newResponse(status, "text/plain; charset=utf-8", []byte(body))
}

func newResponse(status int, contentType string, body []byte) *Response {
	return &Response{
		status:        status,
		contentType:   []string{contentType},
		contentLength: []string{strconv.Itoa(len(body))},
		body:          body,
	}
}

// allowing returns a copy of p with the methods of the route.
func (p *Response) allowing(methods string) *Response {
	q := *p
	q.allow = []string{methods}
	return &q
}

// write sends the response, and returns the number of bytes of the body that it sent: none for a
// HEAD. It needs the time exact to a second.
func (p *Response) write(w http.ResponseWriter, method string, now time.Time) (int, error) {
	header := w.Header()
	if p.allow != nil {
		header["Allow"] = p.allow
	}
	if p.contentType != nil {
		header["Content-Type"] = p.contentType
	}
	withBody := method != http.MethodHead && len(p.body) > 0
	// net/http adds the length itself if it still holds the body at the end of the handler. That is
	// cheaper than one more field of the header.
	if p.contentLength != nil && (!withBody || len(p.body) > maxHeld) {
		header["Content-Length"] = p.contentLength
	}
	header["Date"] = dateAt(now)
	w.WriteHeader(p.status)
	if !withBody {
		return 0, nil
	}
	return w.Write(p.body)
}

// maxHeld is the size in bytes of a body that net/http surely holds until the handler ends. It says
// "under a few KB": https://pkg.go.dev/net/http#ResponseWriter.
const maxHeld = 1 << 10

// today is the header Date, rendered once for all answers of a second. net/http would render it for
// each.
var today atomic.Pointer[date]

type date struct {
	unix   int64
	header []string
}

func dateAt(now time.Time) []string {
	d, unix := today.Load(), now.Unix()
	if d == nil || d.unix != unix {
		d = &date{unix, []string{now.UTC().Format(http.TimeFormat)}}
		today.Store(d)
	}
	return d.header
}
