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
	"strings"
	"unicode/utf8"
)

// asked is a request in an event, of an Application Load Balancer
// (https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html#receive-event-from-load-balancer)
// or of a REST API of API Gateway
// (https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html#api-gateway-simple-proxy-for-lambda-input-format).
// The path is as it came from the client, percent-encoded. So is the query of a load balancer; an API decodes it.
type asked struct {
	RequestContext struct {
		ELB *struct{} `json:"elb"`
		API string    `json:"apiId"`
	} `json:"requestContext"`
	Method string `json:"httpMethod"`
	Path   string `json:"path"`
	// With multi-value headers, the load balancer sends the fields whose names begin with multiValue, and no others. An API
	// sends all of them.
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
		return nil, fmt.Errorf("the event is not one of a load balancer or of an API: %w", err)
	}
	if a.RequestContext.ELB == nil && !a.ofAPI() || a.Method == "" {
		return nil, errors.New("the event is not one of a load balancer or of an API: this function answers requests that an Application Load Balancer or a REST API of API Gateway sends on")
	}
	return &a, nil
}

// ofAPI says whether the event is one of an API.
func (a *asked) ofAPI() bool { return a.RequestContext.API != "" }

// query are the parameters, encoded.
func (a *asked) query() string {
	encode := func(text string) string { return text }
	if a.ofAPI() {
		encode = url.QueryEscape
	}
	var all []string
	for _, one := range either(a.MultiQuery, a.Query) {
		for _, value := range one.values {
			all = append(all, encode(one.name)+"="+encode(value))
		}
	}
	return strings.Join(all, "&")
}

// either are the fields with several values each, or else those with one.
func either(multi, single fields) fields {
	if multi != nil {
		return multi
	}
	return single
}

// request is the request as net/http would read it from a connection of the load balancer. Its RemoteAddr is empty,
// for there is no connection.
func (a *asked) request(ctx context.Context) (*http.Request, error) {
	body := []byte(a.Body)
	if a.Base64 {
		var err error
		if body, err = base64.StdEncoding.DecodeString(a.Body); err != nil {
			return nil, err
		}
	}
	uri := a.Path
	if query := a.query(); query != "" {
		uri += "?" + query
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
	for _, one := range either(a.MultiHeader, a.Headers) {
		name := textproto.CanonicalMIMEHeaderKey(one.name)
		r.Header[name] = append(r.Header[name], one.values...)
	}
	r.Host = r.Header.Get("Host")
	delete(r.Header, "Host")
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

// answered is an answer as the load balancer takes it
// (https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html#respond-to-load-balancer), or an
// API, which documents no description. It has the headers in the form that the event had them in.
type answered struct {
	Status      int               `json:"statusCode"`
	Description string            `json:"statusDescription,omitzero"`
	MultiHeader http.Header       `json:"multiValueHeaders,omitzero"`
	Headers     map[string]string `json:"headers,omitzero"`
	Body        string            `json:"body"`
	Base64      bool              `json:"isBase64Encoded"`
}

// result is the JSON of an answer.
func (w *recorder) result(a *asked) []byte {
	w.WriteHeader(http.StatusOK)
	header := maps.Clone(w.header)
	for _, name := range hopByHop {
		delete(header, name)
	}
	maps.DeleteFunc(header, func(_ string, values []string) bool { return len(values) == 0 }) // net/http sends none either
	answer := answered{Status: w.status}
	if !a.ofAPI() {
		answer.Description = strings.TrimSpace(fmt.Sprintf("%d %s", w.status, http.StatusText(w.status)))
	}
	// net/http does the same for a task.
	body := w.body.Bytes()
	if a.Method != http.MethodHead && w.status != http.StatusNoContent && w.status != http.StatusNotModified && len(header["Content-Length"]) == 0 {
		header.Set("Content-Length", fmt.Sprint(len(body)))
	}
	if a.Method != http.MethodHead {
		answer.Body, answer.Base64 = encode(body)
	}
	if a.MultiHeader != nil {
		answer.MultiHeader = header
	} else {
		answer.Headers = map[string]string{}
		for name, values := range header {
			answer.Headers[name] = strings.Join(values, ", ") // means the same, by RFC 9110, section 5.3
		}
	}
	return render(answer)
}

// encode is a body as a text, and whether the text is in Base64.
func encode(body []byte) (text string, isBase64 bool) {
	if utf8.Valid(body) {
		return string(body), false
	}
	return base64.StdEncoding.EncodeToString(body), true
}

func render(answer any) []byte {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // it is for no web page, and would be larger
	if err := encoder.Encode(answer); err != nil {
		panic(err) // texts and numbers can always be rendered
	}
	return text.Bytes()
}

const (
	// maxResult is the size in bytes of the JSON of an answer that the load balancer takes. AWS says 1 MB
	// (https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html#lambda-functions),
	// and counts other limits of Lambda in units of 1,024.
	maxResult = 1 << 20
	// aroundBody are the bytes of the JSON that an answer has for all but the body.
	aroundBody = 8 << 10
	// mostEscaped are the bytes of JSON for one byte of a text, such as \u0001.
	mostEscaped = 6
)

// Fits says whether the load balancer takes an answer with this body from a function. The answer may have 8 KiB of
// header fields. Larger answers are status 502 for the client. An API takes more, and gets no more: its function may be
// behind the load balancer again.
func Fits(body []byte) bool {
	if len(body)*mostEscaped+aroundBody <= maxResult {
		return true
	}
	text, _ := encode(body)
	return len(render(text))+aroundBody <= maxResult
}
