package lambda

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// asked is a request in an event of an Application Load Balancer. The path and the query are as they came from
// the client, percent-encoded
// (https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html#receive-event-from-load-balancer).
type asked struct {
	RequestContext struct {
		ELB *struct{} `json:"elb"`
	} `json:"requestContext"`
	Method string `json:"httpMethod"`
	Path   string `json:"path"`
	// With multi-value headers, the load balancer sends the fields whose names begin with multiValue, and no others.
	Query       fields `json:"queryStringParameters"`
	Headers     fields `json:"headers"`
	MultiQuery  fields `json:"multiValueQueryStringParameters"`
	MultiHeader fields `json:"multiValueHeaders"`
	Body        string `json:"body"`
	Base64      bool   `json:"isBase64Encoded"`
}

// fields are names with one value or several, in the order of the text.
type fields []field

type field struct {
	name   string
	values []string
}

func (f *fields) UnmarshalJSON(text []byte) error {
	if bytes.Equal(text, []byte("null")) {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	if start, err := decoder.Token(); err != nil || start != json.Delim('{') {
		return errors.New("an object of names and values is expected")
	}
	*f = fields{} // it is there, even if it is empty
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return err
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return err
		}
		one := field{name: name.(string)}
		if value[0] == '[' {
			err = json.Unmarshal(value, &one.values)
		} else {
			one.values = []string{""}
			err = json.Unmarshal(value, &one.values[0])
		}
		if err != nil {
			return fmt.Errorf("%s: %w", one.name, err)
		}
		*f = append(*f, one)
	}
	return nil
}

// parse reads an event. The error says what kind of event it is not.
func parse(payload []byte) (*asked, error) {
	var a asked
	if err := json.Unmarshal(payload, &a); err != nil {
		return nil, fmt.Errorf("the event is not one of a load balancer: %w", err)
	}
	if a.RequestContext.ELB == nil || a.Method == "" {
		return nil, errors.New("the event is not one of a load balancer: this function answers requests that an Application Load Balancer sends on")
	}
	return &a, nil
}

// request is the request as net/http would read it from a connection of the load balancer.
func (a *asked) request(ctx context.Context) (*http.Request, error) {
	body := []byte(a.Body)
	if a.Base64 {
		var err error
		if body, err = base64.StdEncoding.DecodeString(a.Body); err != nil {
			return nil, err
		}
	}
	uri, separator := a.Path, "?"
	for _, one := range slices.Concat(a.MultiQuery, a.Query) {
		for _, value := range one.values {
			uri += separator + one.name + "=" + value
			separator = "&"
		}
	}
	parsed, err := url.ParseRequestURI(uri)
	if err != nil {
		return nil, err
	}
	r := (&http.Request{
		Method: a.Method, URL: parsed, RequestURI: uri, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, Body: http.NoBody, ContentLength: int64(len(body)),
	}).WithContext(ctx)
	if len(body) > 0 {
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	for _, one := range slices.Concat(a.MultiHeader, a.Headers) {
		name := textproto.CanonicalMIMEHeaderKey(one.name)
		r.Header[name] = append(r.Header[name], one.values...)
	}
	r.Host = r.Header.Get("Host")
	delete(r.Header, "Host")
	r.RemoteAddr = r.Header.Get("X-Forwarded-For")
	return r, nil
}

// recorder keeps an answer.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *recorder) Header() http.Header { return w.header }

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
}

func (w *recorder) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}

// hopByHop are headers about a connection, which a function has none of.
var hopByHop = []string{"Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}

// result is the answer as the load balancer takes it
// (https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html#respond-to-load-balancer). It has
// the headers in the form that the event had them in.
func (w *recorder) result(a *asked) []byte {
	w.WriteHeader(http.StatusOK)
	header := maps.Clone(w.header)
	for _, name := range hopByHop {
		delete(header, name)
	}
	maps.DeleteFunc(header, func(_ string, values []string) bool { return len(values) == 0 }) // net/http sends none either
	answer := map[string]any{
		"statusCode": w.status, "statusDescription": strings.TrimSpace(fmt.Sprintf("%d %s", w.status, http.StatusText(w.status))), "isBase64Encoded": false, "body": "",
	}
	body := w.body.Bytes()
	if a.Method != http.MethodHead && w.status != http.StatusNoContent && w.status != http.StatusNotModified && len(header["Content-Length"]) == 0 {
		header.Set("Content-Length", fmt.Sprint(len(body)))
	}
	if a.Method != http.MethodHead && len(body) > 0 {
		if utf8.Valid(body) && header.Get("Content-Encoding") == "" {
			answer["body"] = string(body)
		} else {
			answer["body"], answer["isBase64Encoded"] = base64.StdEncoding.EncodeToString(body), true
		}
	}
	if a.MultiHeader != nil {
		answer["multiValueHeaders"] = header
	} else {
		single := map[string]string{}
		for name, values := range header {
			single[name] = values[len(values)-1]
		}
		answer["headers"] = single
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // it is for no web page, and would be larger
	if err := encoder.Encode(answer); err != nil {
		panic(err) // texts and numbers can always be rendered
	}
	return text.Bytes()
}
