package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
)

// Response is a complete answer, rendered before the first byte is sent. So
// every answer has a Content-Length, and a handler that fails has not sent
// half of something else. It never changes after it is made: routes render
// theirs once at start and share them between requests.
type Response struct {
	status int
	// The header values are slices because that is what [http.Header] holds;
	// sharing them saves two allocations per request.
	contentType   []string
	contentLength []string
	allow         []string
	body          []byte
}

// NoContent is the answer for a record that does not exist: status 204 with
// neither body nor type.
var NoContent = &Response{status: http.StatusNoContent}

// JSON renders v as the body of a 200 answer: compact, and with <, > and &
// as they are, as JavaScript's JSON.stringify writes them. The error is that
// of [json.Marshal]: v holds something that JSON cannot express.
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

// allowing returns a copy of p that tells which methods the route has.
func (p *Response) allowing(methods string) *Response {
	q := *p
	q.allow = []string{methods}
	return &q
}

// write sends the response, without its body if the request was a HEAD, and
// returns how many bytes of body were sent.
func (p *Response) write(w http.ResponseWriter, method string) (int, error) {
	header := w.Header()
	if p.allow != nil {
		header["Allow"] = p.allow
	}
	if p.contentType != nil {
		header["Content-Type"] = p.contentType
		header["Content-Length"] = p.contentLength
	}
	w.WriteHeader(p.status)
	if method == http.MethodHead || len(p.body) == 0 {
		return 0, nil
	}
	return w.Write(p.body)
}
