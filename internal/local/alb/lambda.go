package alb

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/textproto"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/net/http/httpguts"

	"cutover/internal/assembly"
	"cutover/internal/local/provider"
	"cutover/internal/model"
)

// Lambda functions as targets, as in
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html

// Invoker invokes Lambda functions.
type Invoker interface {
	// Invoke runs the function that a target names, and returns what the function returned. Target is the key,
	// "stack/logical id", of a function, version or alias. Group is the key of the target group, whose
	// permission the invocation needs. The end of the context is a reason to end early.
	//
	// The error is why Lambda gave no result. Its method Reason() string, if it or an error within it has one,
	// gives the reason code of access lines: LambdaThrottling, LambdaAccessDenied, and so on. Any other error
	// is one of the function, which is LambdaUnhandled: an error, a crash, a time-out.
	// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-access-logs.html#error-reason-codes
	Invoke(ctx context.Context, target, group string, payload []byte) (result []byte, err error)
}

// Limits of the body of a request, and of the JSON that a function returns. AWS says 1 MB for both.
const (
	maxFunctionRequest = 1 << 20
	maxFunctionResult  = 1 << 20
)

// Reason codes that the load balancer itself gives.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-access-logs.html#error-reason-codes
const (
	lambdaBadRequest       = "LambdaBadRequest"
	lambdaInvalidResponse  = "LambdaInvalidResponse"
	lambdaRequestTooLarge  = "LambdaRequestTooLarge"
	lambdaResponseTooLarge = "LambdaResponseTooLarge"
	lambdaUnhandled        = "LambdaUnhandled"
)

// reasonOf is the reason code of an invoker's error.
func reasonOf(err error) string {
	var reasoned interface {
		error
		Reason() string
	}
	if errors.As(err, &reasoned) {
		return cmp.Or(reasoned.Reason(), lambdaUnhandled)
	}
	return lambdaUnhandled
}

// refuse refuses target groups with functions if nothing invokes them.
func (o Options) refuse(groups []*model.TargetGroup) error {
	if o.Functions != nil {
		return nil
	}
	var errs []error
	for _, g := range groups {
		for _, target := range g.Targets {
			if g.TargetType == "lambda" {
				errs = append(errs, g.Errorf("Targets[0]", "%s does not answer here: no Lambda functions run", target.ID))
			}
		}
	}
	return assembly.Join(errs...)
}

// functionEvent is what a function gets. A target group has the fields of either form, by its attribute
// lambda.multi_value_headers.enabled. A field of the form is there even if it is empty. Names are in
// alphabetical order, as in events that others have captured. AWS documents no order:
// https://gist.github.com/alexcasalboni/7186fcaa5ad2229b799f7c0106f99d9b
type functionEvent struct {
	RequestContext struct {
		ELB struct {
			TargetGroupARN string `json:"targetGroupArn"`
		} `json:"elb"`
	} `json:"requestContext"`
	Method string `json:"httpMethod"`
	// Path and the query parameters are encoded as the client sent them.
	Path         string              `json:"path"`
	Query        map[string]string   `json:"queryStringParameters,omitzero"`
	MultiQuery   map[string][]string `json:"multiValueQueryStringParameters,omitzero"`
	Headers      map[string]string   `json:"headers,omitzero"`
	MultiHeaders map[string][]string `json:"multiValueHeaders,omitzero"`
	Body         string              `json:"body"`
	Base64       bool                `json:"isBase64Encoded"`
}

var errNotUTF8 = errors.New("the headers or the body of the request are not only UTF-8")

// encodeEvent makes the event of a request. The URI is a path with or without a query. The names of the headers
// are in lower case. The error is [errNotUTF8].
func encodeEvent(group *model.TargetGroup, method, uri string, headers map[string][]string, body []byte) ([]byte, error) {
	e := functionEvent{Method: method}
	e.RequestContext.ELB.TargetGroupARN = groupARN(group)
	rawQuery := ""
	e.Path, rawQuery, _ = strings.Cut(uri, "?")
	query := map[string][]string{}
	for parameter := range strings.SplitSeq(rawQuery, "&") {
		if parameter != "" {
			key, value, _ := strings.Cut(parameter, "=")
			query[key] = append(query[key], value)
		}
	}
	if group.MultiValueHeaders {
		e.MultiQuery, e.MultiHeaders = query, headers
	} else {
		e.Query, e.Headers = lastOf(query), lastOf(headers)
	}
	if e.Base64 = len(body) > 0 && !isText(headers); e.Base64 {
		e.Body = base64.StdEncoding.EncodeToString(body)
	} else {
		e.Body = string(body)
	}
	valid := utf8.ValidString(method) && utf8.ValidString(uri) && utf8.ValidString(e.Body)
	for key, values := range headers {
		valid = valid && utf8.ValidString(key) && !slices.ContainsFunc(values, func(value string) bool { return !utf8.ValidString(value) })
	}
	if !valid {
		return nil, errNotUTF8
	}
	return json.Marshal(e)
}

// lastOf has the last one of several values.
func lastOf(multi map[string][]string) map[string]string {
	single := map[string]string{}
	for key, values := range multi {
		single[key] = values[len(values)-1]
	}
	return single
}

// isText says whether a body is in the event as it is. A body with a Content-Encoding is not.
func isText(headers map[string][]string) bool {
	types := headers["content-type"]
	if len(types) == 0 || len(headers["content-encoding"]) > 0 {
		return false
	}
	mediaType, _, _ := mime.ParseMediaType(types[len(types)-1])
	switch mediaType {
	case "application/json", "application/javascript", "application/xml":
		return true
	}
	return strings.HasPrefix(mediaType, "text/")
}

// functionAnswer is what a function returned.
type functionAnswer struct {
	status int
	header http.Header
	body   []byte
}

// decodeAnswer reads what a function returned. AWS documents that an answer has a status code, headers and
// isBase64Encoded. It takes an answer with a status code alone, but no null, and no header that is not a
// text; there are reports, but no documentation:
//   - https://github.com/awsdocs/elb-application-load-balancers-user-guide/issues/33
//   - https://github.com/aws/aws-lambda-dotnet/issues/507
//   - https://github.com/awslabs/aws-lambda-go-api-proxy/issues/79
//   - https://github.com/jeremydaly/lambda-api/issues/117
//
// Fields that are not documented have no effect.
func decodeAnswer(result []byte, multi bool) (*functionAnswer, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(result, &fields); err != nil || fields == nil {
		return nil, fmt.Errorf("the function returned no JSON object, but %.100q", result)
	}
	a := &functionAnswer{header: http.Header{}}
	description, body, encoded := "", "", false
	for name, into := range map[string]any{"statusCode": &a.status, "statusDescription": &description, "body": &body, "isBase64Encoded": &encoded} {
		if raw, ok := fields[name]; ok {
			if err := decodeStrict(raw, into); err != nil {
				return nil, fmt.Errorf("the function returned %s: %w", name, err)
			}
		}
	}
	// That the status of a final answer is meant is not documented.
	if a.status < 200 || a.status > 599 {
		return nil, fmt.Errorf("the function returned the statusCode %d, which is none from 200 to 599", a.status)
	}
	name, other := "headers", "multiValueHeaders"
	if multi {
		name, other = other, name
	}
	if fields[name] == nil && fields[other] != nil {
		return nil, fmt.Errorf("the function returned %s without %s, which is the field for lambda.multi_value_headers.enabled=%t", other, name, multi)
	}
	if err := a.readHeaders(fields[name], multi); err != nil {
		return nil, fmt.Errorf("the function returned %s: %w", name, err)
	}
	if a.body = []byte(body); !encoded {
		return a, nil
	}
	// Line breaks are refused, too: https://github.com/aws/serverless-java-container/issues/339
	var err error
	if a.body, err = base64.StdEncoding.Strict().DecodeString(body); err != nil || strings.ContainsAny(body, "\r\n") {
		return nil, fmt.Errorf("the function returned a body that is no Base64, although isBase64Encoded is true")
	}
	return a, nil
}

// decodeStrict is like [json.Unmarshal], but takes no null.
func decodeStrict(raw json.RawMessage, into any) error {
	if string(raw) == "null" {
		return errors.New("null is not taken")
	}
	return json.Unmarshal(raw, into)
}

// readHeaders reads the headers of an answer. Nothing is no header.
func (a *functionAnswer) readHeaders(raw json.RawMessage, multi bool) error {
	if raw == nil {
		return nil
	}
	var headers map[string]json.RawMessage
	if err := decodeStrict(raw, &headers); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		var values []json.RawMessage
		if !multi {
			values = []json.RawMessage{headers[name]}
		} else if err := decodeStrict(headers[name], &values); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		for _, raw := range values {
			value := ""
			if err := decodeStrict(raw, &value); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
				return fmt.Errorf("%q: %q is no header", name, value)
			}
			key := textproto.CanonicalMIMEHeaderKey(name)
			a.header[key] = append(a.header[key], value)
		}
	}
	if size, _ := headerSize(a.header); size > maxResponseHeader {
		return errHeaderTooLarge
	}
	return nil
}

// invocation is what an invocation has come to.
type invocation struct {
	result []byte
	err    error
}

// invoke has a function answer the request. The load balancer waits until the function has answered, for
// however long. The function goes on without the client.
func (p *proxy) invoke(t *target) {
	t.group.mu.Lock()
	group := t.group.config // for the answer, too: a function answers in the form in which it is asked
	t.group.mu.Unlock()
	payload, status, err := p.event(&group)
	if status != 0 {
		t.release()
		p.answer(status, err)
		if !p.read {
			// Before the request is read to its end, or its connection closed.
			_ = http.NewResponseController(p.w).Flush()
			p.endTimeToRead()
		}
		return
	}
	p.endTimeToRead()
	p.x.Dispatched = time.Now()
	done := make(chan invocation, 1)
	go func() {
		result, err := t.group.functions.Invoke(t.invocations, t.ID, t.group.key, payload)
		t.release()
		done <- invocation{result, err}
	}()
	select {
	case i := <-done:
		p.invoked(t, i, group.MultiValueHeaders)
	case <-p.r.Context().Done():
		p.answer(StatusClientClosed, p.r.Context().Err())
	}
}

// event reads the request and makes the event of it. The status is that of a request that no function gets;
// otherwise 0.
func (p *proxy) event(group *model.TargetGroup) (payload []byte, status int, err error) {
	if p.r.ProtoMajor == 1 && upgrade(p.r.Header) != "" {
		return nil, http.StatusBadRequest, errors.New("a Lambda function cannot change the protocol")
	}
	body, status, err := p.readWhole()
	if status != 0 {
		return nil, status, err
	}
	headers := map[string][]string{}
	line := func(key, value string) {
		key = strings.ToLower(key)
		headers[key] = append(headers[key], value)
	}
	p.forwardHeaders(strings.ToLower, line)
	if len(p.r.Header["Content-Length"]) > 0 {
		line("Content-Length", strconv.FormatInt(p.r.ContentLength, 10))
	}
	if payload, err = encodeEvent(group, p.r.Method, p.x.URI, headers, body); err != nil {
		// The reason code is documented, the status is not.
		p.x.FunctionError = lambdaBadRequest
		return nil, http.StatusBadGateway, err
	}
	return payload, 0, nil
}

// readWhole reads the body of the request. The client has the idle timeout for each part. The status is that
// of a body that cannot be read or is too large; otherwise 0.
func (p *proxy) readWhole() (body []byte, status int, err error) {
	var all bytes.Buffer
	control := http.NewResponseController(p.w)
	buffer := buffers.Get().(*[32 << 10]byte)
	defer buffers.Put(buffer)
	for large := p.r.ContentLength > maxFunctionRequest; !p.read; large = all.Len() > maxFunctionRequest {
		if large {
			p.x.FunctionError = lambdaRequestTooLarge
			return nil, http.StatusRequestEntityTooLarge, fmt.Errorf("the body of a request to a Lambda function has more than %d bytes", maxFunctionRequest)
		}
		_ = control.SetReadDeadline(time.Now().Add(p.l.settings.IdleTimeout))
		n, err := p.r.Body.Read(buffer[:])
		p.x.Received += int64(n)
		all.Write(buffer[:n])
		switch {
		case err == io.EOF:
			p.read = all.Len() <= maxFunctionRequest
			_ = control.SetReadDeadline(time.Time{})
		case errors.Is(err, os.ErrDeadlineExceeded):
			p.closeClient()
			return nil, http.StatusRequestTimeout, err
		case err != nil:
			p.closeClient()
			return nil, http.StatusBadRequest, err
		}
	}
	return all.Bytes(), 0, nil
}

var errDeregistered = errors.New("the Lambda function is deregistered")

// invoked gives the client the answer of a function. Every failure of Lambda is a 502.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-troubleshooting.html#http-502-issues
func (p *proxy) invoked(t *target, i invocation, multi bool) {
	var answer *functionAnswer
	err := i.err
	switch {
	case err != nil && t.invocations.Err() != nil:
		// "After you deregister a Lambda function, in-flight requests fail with HTTP 5XX errors."
		p.answer(http.StatusBadGateway, errDeregistered)
		return
	case err != nil:
		p.x.FunctionError = reasonOf(err)
	case len(i.result) > maxFunctionResult:
		p.x.FunctionError = lambdaResponseTooLarge
		err = fmt.Errorf("the function returned %d bytes of JSON; the load balancer takes %d", len(i.result), maxFunctionResult)
	default:
		if answer, err = decodeAnswer(i.result, multi); err != nil {
			p.x.FunctionError = lambdaInvalidResponse
		}
	}
	p.x.Answered = time.Now()
	if err != nil {
		p.answer(http.StatusBadGateway, err)
		return
	}
	p.x.TargetStatus, p.x.Status = answer.status, answer.status
	p.sendAnswer(t, answer)
}

// sendAnswer sends a function's answer. The load balancer computes Content-Length. If the answer has no
// Server, it says its own, as seen in https://github.com/glassechidna/serverlessish/pull/4.
func (p *proxy) sendAnswer(t *target, answer *functionAnswer) {
	header := p.w.Header()
	copyResponseHeader(header, answer.header)
	if header["Server"] == nil {
		header["Server"] = []string{serverName}
	}
	withBody := p.r.Method != http.MethodHead && answer.status != http.StatusNotModified && answer.status != http.StatusNoContent
	switch {
	case answer.status == http.StatusNoContent:
		delete(header, "Content-Length")
	case withBody || len(answer.body) > 0:
		header["Content-Length"] = []string{strconv.Itoa(len(answer.body))}
	}
	maps.Copy(header, p.l.route.ResponseHeaders)
	p.setCookies(t)
	p.x.Sent = responseSize(header)
	p.x.Responded = time.Now()
	p.giveTimeToRead()
	p.w.WriteHeader(answer.status)
	if !withBody {
		return
	}
	for part := range slices.Chunk(answer.body, 32<<10) {
		p.giveTimeToRead()
		n, err := p.w.Write(part)
		p.x.Sent += int64(n)
		if err != nil {
			p.x.Err = err
			return
		}
	}
}

// functionProbe checks the health of a function. A check is an invocation.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html#enable-health-checks-lambda
func (g *group) functionProbe(target string) prober {
	config := g.config
	return func(ctx context.Context, _ string, check model.HealthCheck) (reason, description string) {
		payload, err := encodeEvent(&config, http.MethodGet, check.Path, map[string][]string{"user-agent": {healthChecker}}, nil)
		if err != nil {
			return failedHealthChecks, ""
		}
		result, err := g.functions.Invoke(ctx, target, g.key, payload)
		if ctx.Err() != nil {
			return timeoutReason, ""
		}
		if err != nil {
			return failedHealthChecks, ""
		}
		answer, err := decodeAnswer(result, config.MultiValueHeaders)
		if err != nil || len(result) > maxFunctionResult {
			return failedHealthChecks, ""
		}
		return passes(check, answer.status)
	}
}

// groupARN is the ARN of a target group.
func groupARN(g *model.TargetGroup) string {
	return provider.ARN("elasticloadbalancing", groupName(g.Name, g.Key()))
}
