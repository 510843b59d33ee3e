package server

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
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
	header        http.Header // further fields
	body          []byte
	cause         error // for the log
}

// NoContent is the answer for a record that does not exist: status 204 without body and type.
var NoContent = &Response{status: http.StatusNoContent}

// The media type of records.
const jsonType = "application/json; charset=utf-8"

// JSON renders v as the body of a 200 answer, with [Encode].
func JSON(v any) (*Response, error) {
	body, err := Encode(v)
	if err != nil {
		return nil, fmt.Errorf("a response cannot be rendered: %w", err)
	}
	return newResponse(http.StatusOK, jsonType, body), nil
}

// Encode renders v like JavaScript's JSON.stringify: compact, and with <, > and & as they are. The error
// is that of [json.Marshal]: JSON cannot express v.
func Encode(v any) ([]byte, error) {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(v)
	return bytes.TrimSuffix(body.Bytes(), []byte("\n")), err
}

// Encoded is an answer with a body of JSON. Its media type is application/json if mediaType is empty.
func Encoded(status int, body []byte, mediaType string) *Response {
	return newResponse(status, cmp.Or(mediaType, jsonType), body)
}

// NotModified is status 304 for a client that has the answer, with the answer's header fields.
func (p *Response) NotModified() *Response {
	return &Response{status: http.StatusNotModified, header: p.header}
}

// Problem is an answer that says what is wrong with a request, by RFC 9457.
func Problem(status int, detail string, mistakes ...Mistake) *Response {
	body, err := Encode(struct {
		Type   string    `json:"type"`
		Title  string    `json:"title"`
		Status int       `json:"status"`
		Detail string    `json:"detail"`
		Errors []Mistake `json:"errors,omitempty"`
	}{"about:blank", http.StatusText(status), status, detail, mistakes})
	if err != nil {
		panic(err) // text and numbers can always be rendered
	}
	return newResponse(status, "application/problem+json", body)
}

// Mistake is one thing that is wrong in a body.
type Mistake struct {
	Pointer string `json:"pointer"` // the JSON pointer of the value
	Detail  string `json:"detail"`
}

// Unavailable is status 503 for a client that may try again in 2 s. The log has the cause.
func Unavailable(detail string, cause error) *Response {
	p := Problem(http.StatusServiceUnavailable, detail).With("Retry-After", "2")
	p.cause = cause
	return p
}

// With adds a header field to an answer that nobody shares yet.
func (p *Response) With(name, value string) *Response {
	if p.header == nil {
		p.header = http.Header{}
	}
	p.header.Set(name, value)
	return p
}

// Status is the status of the answer, and Bytes its body.
func (p *Response) Status() int { return p.status }

// Bytes is explained at Status.
func (p *Response) Bytes() []byte { return p.body }

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
	maps.Copy(header, p.header)
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
