package alb

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"cutover/internal/local/provider"
	"cutover/internal/model"
)

// onFunction has a function as the target of group A.
func onFunction(attributes ...object) template {
	tt := template{function: true}
	if len(attributes) > 0 {
		tt.attributes = map[string][]object{"A": attributes}
	}
	return tt
}

var multiValue = attribute("lambda.multi_value_headers.enabled", "true")

// returns has the function return a text, whatever it gets.
func (b *bench) returns(result string) {
	b.functionIs(func(context.Context, []byte) ([]byte, error) { return []byte(result), nil })
}

// keeps has the function keep its events, and answer 200.
func (b *bench) keeps() <-chan string {
	events := make(chan string, 10)
	b.functionIs(func(_ context.Context, payload []byte) ([]byte, error) {
		events <- string(payload)
		return []byte(`{"statusCode": 200}`), nil
	})
	return events
}

// requireEvent compares an event with one of the documentation. What changes from request to request stands
// there as TRACE and ADDRESS.
func requireEvent(t *testing.T, got, want string) {
	t.Helper()
	got = regexp.MustCompile(`Root=1-[0-9a-f]{8}-[0-9a-f]{24}`).ReplaceAllString(got, "TRACE")
	got = regexp.MustCompile(`127\.0\.0\.1:\d+`).ReplaceAllString(got, "ADDRESS")
	var g, w any
	if err := json.Unmarshal([]byte(got), &g); err != nil {
		t.Fatalf("the event is %s: %v", got, err)
	}
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(g, w) {
		t.Errorf("the event is\n%s\nwant\n%s", got, want)
	}
}

// fails asks for an answer of the load balancer in place of the function's.
func fails(t *testing.T, b *bench, exchange int, reason string) {
	t.Helper()
	response, body := b.get(client(t), "/")
	requireOwn(t, response, body, 502, "502 Bad Gateway")
	if x := b.last(exchange); x.FunctionError != reason || x.Err == nil || x.Target != "S/Live" || x.Status != 502 || x.TargetStatus != 0 {
		t.Errorf("exchange is %+v, want the reason %s", x, reason)
	}
}

// reasoned is an error of Lambda with a reason code.
type reasoned string

func (r reasoned) Error() string  { return "Lambda says " + string(r) }
func (r reasoned) Reason() string { return string(r) }

var functionGroup = `"requestContext": {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:local:000000000000:targetgroup/a/` + shortID("S/A") + `"}}`

// What AWS documents about functions, and how Lambda's failures become answers.
var functionConformance = []behaviour{
	{name: "A function gets an event in JSON, with header names in lower case, X-Amzn-Trace-Id, X-Forwarded-For, -Port and -Proto", source: lambdaFunctions + "#receive-event-from-load-balancer", template: onFunction(), run: func(t *testing.T, b *bench) {
		events := b.keeps()
		b.talk("POST /a/%2F%c3%bc HTTP/1.1\r\nHost: Forum.example\r\nX-Kind: Some Thing\r\nConnection: X-Local, close\r\nX-Local: 1\r\nTE: trailers\r\nContent-Type: text/plain\r\nContent-Length: 12\r\n\r\nrequest_body")
		requireEvent(t, <-events, `{`+functionGroup+`, "httpMethod": "POST", "path": "/a/%2F%c3%bc", "queryStringParameters": {}, "headers": {
			"host": "forum.example", "x-kind": "Some Thing", "content-type": "text/plain", "content-length": "12",
			"x-amzn-trace-id": "TRACE", "x-forwarded-for": "127.0.0.1", "x-forwarded-port": "80", "x-forwarded-proto": "http"}, "body": "request_body", "isBase64Encoded": false}`)
	}},
	{name: "Without multi-value headers, the last value of a header or query parameter is in the event", source: lambdaFunctions + "#multi-value-headers-request", template: onFunction(), run: func(t *testing.T, b *bench) {
		events := b.keeps()
		b.talk("GET /?&myKey=val1&myKey=val2 HTTP/1.1\r\nHost: x\r\nCookie: name1=value1\r\nCookie: name2=value2\r\nConnection: close\r\n\r\n")
		requireEvent(t, <-events, `{`+functionGroup+`, "httpMethod": "GET", "path": "/", "queryStringParameters": {"myKey": "val2"}, "headers": {"host": "x", "cookie": "name2=value2",
			"x-amzn-trace-id": "TRACE", "x-forwarded-for": "127.0.0.1", "x-forwarded-port": "80", "x-forwarded-proto": "http"}, "body": "", "isBase64Encoded": false}`)
	}},
	{name: "With multi-value headers, all of them are, in lists", source: lambdaFunctions + "#multi-value-headers-request", template: onFunction(multiValue), run: func(t *testing.T, b *bench) {
		events := b.keeps()
		b.talk("GET /?&myKey=val1&myKey=val2 HTTP/1.1\r\nHost: x\r\nCookie: name1=value1\r\nCookie: name2=value2\r\nConnection: close\r\n\r\n")
		requireEvent(t, <-events, `{`+functionGroup+`, "httpMethod": "GET", "path": "/", "multiValueQueryStringParameters": {"myKey": ["val1", "val2"]}, "multiValueHeaders": {"host": ["x"], "cookie": ["name1=value1", "name2=value2"],
			"x-amzn-trace-id": ["TRACE"], "x-forwarded-for": ["127.0.0.1"], "x-forwarded-port": ["80"], "x-forwarded-proto": ["http"]}, "body": "", "isBase64Encoded": false}`)
	}},
	{name: "Query parameters are not decoded", source: lambdaFunctions + "#multi-value-headers-request", template: onFunction(multiValue), run: func(t *testing.T, b *bench) {
		events := b.keeps()
		b.talk(get("/p?q%5B%5D=a%20b&q%5B%5D=c+d&x=1=2?3") + "Connection: close\r\n\r\n")
		var e functionEvent
		if err := json.Unmarshal([]byte(<-events), &e); err != nil || !reflect.DeepEqual(e.MultiQuery, map[string][]string{"q%5B%5D": {"a%20b", "c+d"}, "x": {"1=2?3"}}) {
			t.Errorf("the parameters are %q, %v", e.MultiQuery, err)
		}
	}},
	{name: "The order of query parameters and headers in the event", source: lambdaFunctions + "#receive-event-from-load-balancer", template: onFunction(), unknown: "by name", run: func(t *testing.T, b *bench) {
		events := b.keeps()
		b.talk(get("/?b=1&a=2") + "Connection: close\r\nB: 1\r\nA: 2\r\n\r\n")
		require(t, "event", <-events, `"queryStringParameters":\{"a":"2","b":"1"\},"headers":\{"a":"2","b":"1","host":"x","x-amzn-trace-id"`)
	}},
	{name: "A query parameter without = in the event", source: lambdaFunctions + "#multi-value-headers-request", template: onFunction(), unknown: "its value is empty, as with =", run: func(t *testing.T, b *bench) {
		events := b.keeps()
		b.talk(get("/?flag") + "Connection: close\r\n\r\n")
		require(t, "event", <-events, `"queryStringParameters":\{"flag":""\}`)
	}},
	{name: "A body of text/*, application/json, application/javascript or application/xml is in the event as it is, any other in Base64", source: lambdaFunctions + "#receive-event-from-load-balancer", template: onFunction(), run: func(t *testing.T, b *bench) {
		events := b.keeps()
		for _, test := range []struct {
			header string
			text   bool
		}{
			{"Content-Type: text/csv", true}, {"Content-Type: application/json; charset=utf-8", true}, {"Content-Type: Application/JavaScript", true}, {"Content-Type: application/xml", true},
			{"Content-Type: application/x-www-form-urlencoded", false}, {"Content-Type: application/problem+json", false}, {"X-Type: none", false},
			{"Content-Type: application/json\r\nContent-Encoding: gzip", false},
		} {
			b.talk("PUT / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + test.header + "\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na<b\r\n1\r\nc\r\n0\r\n\r\n")
			want := map[bool]string{true: "a<bc", false: base64.StdEncoding.EncodeToString([]byte("a<bc"))}[test.text]
			var e functionEvent
			if err := json.Unmarshal([]byte(<-events), &e); err != nil || e.Body != want || e.Base64 == test.text {
				t.Errorf("%s: the event is %+v, %v", test.header, e, err)
			}
		}
	}},
	{name: "An answer has the function's status, headers and body, without those of the connection, and a Content-Length that the load balancer computes", source: lambdaFunctions + "#respond-to-load-balancer", template: onFunction(), run: func(t *testing.T, b *bench) {
		b.returns(`{"isBase64Encoded": false, "statusCode": 201, "statusDescription": "201 Created", "headers": {"Set-cookie": "cookies", "content-type": "application/json", "Content-Length": "1", "Connection": "close", "Transfer-Encoding": "chunked"}, "body": "Hello from Lambda"}`)
		response, body := b.get(client(t), "/")
		if response.StatusCode != 201 || body != "Hello from Lambda" || response.ContentLength != int64(len(body)) || response.Close || response.Header.Get("Set-Cookie") != "cookies" ||
			response.Header.Get("Content-Type") != "application/json" {
			t.Errorf("answer is %+v %q", response, body)
		}
		if x := b.last(1); x.Status != 201 || x.TargetStatus != 201 || x.Target != "S/Live" || x.Address != "" || x.FunctionError != "" || x.Err != nil || x.Sent < int64(len(body)) {
			t.Errorf("exchange is %+v", x)
		}
	}},
	{name: "A body in Base64 is decoded", source: lambdaFunctions + "#respond-to-load-balancer", template: onFunction(), run: func(t *testing.T, b *bench) {
		b.returns(`{"statusCode": 200, "isBase64Encoded": true, "body": "AP/+"}`)
		if response, body := b.get(client(t), "/"); response.StatusCode != 200 || body != "\x00\xff\xfe" {
			t.Errorf("answer is %+v %q", response, body)
		}
	}},
	{name: "With multi-value headers, an answer has several cookies", source: lambdaFunctions + "#multi-value-headers-response", template: onFunction(multiValue), run: func(t *testing.T, b *bench) {
		b.returns(`{"statusCode": 200, "multiValueHeaders": {"Set-cookie": ["a=1", "b=2"], "Content-Type": ["application/json"]}, "headers": {"Ignored": "1"}}`)
		if response, _ := b.get(client(t), "/"); response.StatusCode != 200 || !slices.Equal(response.Header["Set-Cookie"], []string{"a=1", "b=2"}) || response.Header.Get("Ignored") != "" {
			t.Errorf("answer is %+v", response)
		}
	}},
	{name: "Which fields an answer lacks without a 502", source: lambdaFunctions + "#respond-to-load-balancer", template: onFunction(), unknown: "all but statusCode; null is a 502, as reported, and so is the field of headers of the other form alone", run: func(t *testing.T, b *bench) {
		b.returns(`{"statusCode": 200, "more": null}`)
		if response, body := b.get(client(t), "/"); response.StatusCode != 200 || body != "" || response.ContentLength != 0 || response.Header["Content-Type"] != nil || response.Header.Get("Server") != "awselb/2.0" {
			t.Errorf("answer is %+v %q", response, body)
		}
		for i, result := range []string{
			`{"statusCode": 200, "body": null}`, `{"statusCode": 200, "headers": null}`, `{"statusCode": 200, "statusDescription": null}`, `{"statusCode": 200, "isBase64Encoded": null}`,
			`{"statusCode": 200, "multiValueHeaders": {}}`,
		} {
			b.returns(result)
			fails(t, b, i+2, "LambdaInvalidResponse")
		}
	}},
	{name: "The reason phrase of statusDescription", source: lambdaFunctions + "#respond-to-load-balancer", template: onFunction(), differs: "an answer in HTTP/1.1 has the usual phrase of its status", run: func(t *testing.T, b *bench) {
		b.returns(`{"statusCode": 200, "statusDescription": "200 Fine"}`)
		if response, _ := b.get(client(t), "/"); response.Status != "200 OK" {
			t.Errorf("the status line is %s", response.Status)
		}
	}},
	{name: "A Content-Type that a function does not name, and a relative Location", source: lambdaFunctions + "#respond-to-load-balancer", template: onFunction(), unknown: "the answer has no Content-Type, and the Location that the function gave", run: func(t *testing.T, b *bench) {
		b.returns(`{"statusCode": 307, "headers": {"Location": "/there"}, "body": "<html>"}`)
		if response, _ := b.get(client(t), "/"); response.Header["Content-Type"] != nil || response.Header.Get("Location") != "/there" {
			t.Errorf("answer is %+v", response)
		}
	}},
	{name: "A second function in a target group", source: lambdaFunctions + "#prepare-lambda-function", template: template{function: true, groups: map[string]object{"A": {"Targets": []any{object{"Id": "arn:a"}, object{"Id": "arn:b"}}}}}, refused: "S/A/Properties.Targets[1]: AWS refuses a second target"},
	{name: "A target that is no function", source: lambdaFunctions + "#prepare-lambda-function", template: template{function: true, groups: map[string]object{"A": {"Targets": []any{object{"Id": "i-1"}}}}}, refused: "i-1 does not answer here: only Lambda functions are targets"},
	{name: "Upgrades are rejected with a 400", source: lambdaFunctions, template: onFunction(), run: func(t *testing.T, b *bench) {
		b.keeps()
		response, body := b.talk(get("/") + "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		requireOwn(t, response, body, 400, "400 Bad Request")
	}},
	{name: "413 for a body above 1 MB", source: troubleshooting + "#http-413-issues", template: onFunction(), run: func(t *testing.T, b *bench) {
		events := b.keeps()
		largest := strings.Repeat("x", maxFunctionRequest)
		for i, test := range []struct {
			framing, body string
			status        int
		}{
			{fmt.Sprintf("Content-Length: %d", len(largest)), largest, 200},
			{fmt.Sprintf("Content-Length: %d", len(largest)+1), "", 413}, // without waiting for it
			{"Transfer-Encoding: chunked", fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(largest), largest), 200},
			{"Transfer-Encoding: chunked", fmt.Sprintf("%x\r\n%sx\r\n0\r\n\r\n", len(largest)+1, largest), 413},
		} {
			response, body := b.talk("POST / HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n" + test.framing + "\r\n\r\n" + test.body)
			if test.status == 413 {
				requireOwn(t, response, body, 413, "413 Request Entity Too Large")
				if x := b.last(i + 1); x.FunctionError != "LambdaRequestTooLarge" {
					t.Errorf("exchange is %+v", x)
				}
				continue
			}
			var e functionEvent
			if err := json.Unmarshal([]byte(<-events), &e); err != nil || response.StatusCode != 200 || e.Body != largest {
				t.Errorf("%s: answer is %v, and the event has %d bytes, %v", test.framing, response.Status, len(e.Body), err)
			}
		}
	}},
	{name: "What 1 MB is", source: lambdaFunctions, unknown: "1,048,576 bytes, of the request's body as sent and of the JSON as returned"},
	{name: "502 for JSON above 1 MB", source: troubleshooting + "#http-502-issues", template: onFunction(), run: func(t *testing.T, b *bench) {
		result := func(size int) string {
			const empty = `{"statusCode": 200, "body": ""}`
			return strings.Replace(empty, `""`, `"`+strings.Repeat("x", size-len(empty))+`"`, 1)
		}
		b.returns(result(maxFunctionResult))
		if response, body := b.get(client(t), "/"); response.StatusCode != 200 || len(body) < maxFunctionResult-100 {
			t.Errorf("answer is %v with %d bytes", response.Status, len(body))
		}
		b.returns(result(maxFunctionResult + 1))
		fails(t, b, 2, "LambdaResponseTooLarge")
	}},
	{name: "502 for an answer that is malformed or lacks the status", source: accessLogs + "#error-reason-codes", template: onFunction(), run: func(t *testing.T, b *bench) {
		for i, result := range []string{
			"", "Hello", `"Hello"`, "null", "[]", `{}`, `{"statusCode": 200`, `{"statusCode": "200"}`, `{"statusCode": 200.5}`, `{"statusCode": 101}`, `{"statusCode": 600}`, `{"statusCode": -1}`,
			`{"statusCode": 200, "headers": []}`, `{"statusCode": 200, "headers": {"Content-Length": 1}}`, `{"statusCode": 200, "headers": {"A": true}}`, `{"statusCode": 200, "headers": {"A": ["b"]}}`,
			`{"statusCode": 200, "headers": {"A": null}}`, `{"statusCode": 200, "headers": {"A b": "c"}}`, `{"statusCode": 200, "headers": {"A": "b\r\nC: d"}}`,
			`{"statusCode": 200, "headers": {"A": "` + strings.Repeat("b", 33<<10) + `"}}`,
			`{"statusCode": 200, "body": {}}`, `{"statusCode": 200, "isBase64Encoded": "true"}`, `{"statusCode": 200, "isBase64Encoded": true, "body": "no base64"}`, `{"statusCode": 200, "isBase64Encoded": true, "body": "AP/+\r\n"}`,
		} {
			b.returns(result)
			fails(t, b, i+1, "LambdaInvalidResponse")
		}
	}},
	{name: "502 for multi-value headers that are no lists of texts", source: accessLogs + "#error-reason-codes", template: onFunction(multiValue), run: func(t *testing.T, b *bench) {
		for i, headers := range []string{`null`, `[]`, `{"A": "b"}`, `{"A": null}`, `{"A": [null]}`, `{"A": [1]}`} {
			b.returns(`{"statusCode": 200, "multiValueHeaders": ` + headers + `}`)
			fails(t, b, i+1, "LambdaInvalidResponse")
		}
		b.returns(`{"statusCode": 200, "headers": {"A": "b"}}`)
		fails(t, b, 7, "LambdaInvalidResponse")
	}},
	{name: "502 for a function that fails, times out, is throttled or may not be invoked", source: troubleshooting + "#http-502-issues", template: onFunction(), run: func(t *testing.T, b *bench) {
		for i, test := range []struct {
			err    error
			reason string
		}{
			{errors.New("exit status 1"), "LambdaUnhandled"},
			{fmt.Errorf("f: %w", reasoned("LambdaThrottling")), "LambdaThrottling"},
			{reasoned("LambdaAccessDenied"), "LambdaAccessDenied"},
			{reasoned(""), "LambdaUnhandled"},
		} {
			b.functionIs(func(context.Context, []byte) ([]byte, error) { return nil, test.err })
			fails(t, b, i+1, test.reason)
			if x := b.last(i + 1); !errors.Is(x.Err, test.err) {
				t.Errorf("the error is %v, want %v", x.Err, test.err)
			}
		}
	}},
	{name: "The status of a request that is not only UTF-8, with LambdaBadRequest", source: accessLogs + "#error-reason-codes", template: onFunction(), unknown: "502", run: func(t *testing.T, b *bench) {
		b.keeps()
		for i, text := range []string{
			"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n\r\n\xff",
			get("/") + "X-Name: \xff\r\n\r\n",
		} {
			response, body := b.talk(text)
			requireOwn(t, response, body, 502, "502 Bad Gateway")
			if x := b.last(i + 1); x.FunctionError != "LambdaBadRequest" {
				t.Errorf("exchange is %+v", x)
			}
		}
	}},
	{name: "The load balancer waits until the function answers or times out", source: lambdaFunctions + "#prepare-lambda-function", template: onFunction(), idle: 50 * time.Millisecond, run: func(t *testing.T, b *bench) {
		b.functionIs(func(ctx context.Context, _ []byte) ([]byte, error) {
			idle, err := net.Dial("tcp", b.address)
			if err != nil {
				return nil, err
			}
			defer idle.Close()
			// The load balancer closes a connection that is as idle as the client's.
			if _, err := idle.Read(make([]byte, 1)); err != io.EOF {
				return nil, err
			}
			return []byte(`{"statusCode": 200}`), ctx.Err()
		})
		for _, request := range []string{get("/") + "\r\n", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx"} {
			if response, _ := b.talk(request); response.StatusCode != 200 {
				t.Errorf("%q: the answer is %s", request, response.Status)
			}
		}
	}},
	{name: "408 or 400 for a request to a function that stops or breaks off", source: troubleshooting + "#http-408-issues", template: onFunction(), idle: 50 * time.Millisecond, run: func(t *testing.T, b *bench) {
		b.functionIs(func(context.Context, []byte) ([]byte, error) {
			t.Error("the function is invoked")
			return nil, nil
		})
		const half = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf"
		response, body := b.talk(half)
		requireOwn(t, response, body, 408, "408 Request Timeout")
		conn, err := net.Dial("tcp", b.address)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, half)
		conn.Close()
		if x := b.last(2); x.Status != 400 && x.Status != 408 || x.FunctionError != "" {
			t.Errorf("exchange is %+v", x)
		}
		if got := b.balancer.Targets("S/A"); len(got) != 1 || got[0].InFlight != 0 {
			t.Errorf("targets are %+v", got)
		}
	}},
	{name: "Requests in HTTP/2 get to a function", source: lambdaFunctions + "#receive-event-from-load-balancer", template: template{function: true, secure: true}, run: func(t *testing.T, b *bench) {
		events := b.keeps()
		r, _ := http.NewRequest("POST", "https://"+b.address+"/a?b=c", strings.NewReader("d"))
		r.Header = http.Header{"User-Agent": nil, "Accept-Encoding": {"br"}, "Content-Type": {"text/plain"}}
		r.Host = "x"
		if response, _ := b.do(secureClient(b, "h2"), r); response.StatusCode != 200 || response.ProtoMajor != 2 {
			t.Errorf("answer is %+v", response)
		}
		requireEvent(t, <-events, `{`+functionGroup+`, "httpMethod": "POST", "path": "/a", "queryStringParameters": {"b": "c"}, "headers": {"host": "x", "accept-encoding": "br", "content-type": "text/plain", "content-length": "1",
			"x-amzn-trace-id": "TRACE", "x-forwarded-for": "127.0.0.1", "x-forwarded-port": "443", "x-forwarded-proto": "https"}, "body": "d", "isBase64Encoded": false}`)
		r, _ = http.NewRequest("POST", "https://"+b.address+"/", strings.NewReader(strings.Repeat("x", maxFunctionRequest+1)))
		if response, _ := b.do(secureClient(b, "h2"), r); response.StatusCode != 413 {
			t.Errorf("answer is %+v", response)
		}
	}},
	{name: "A function goes on without its client, who is logged as 460", source: troubleshooting + "#http-460-issues", template: onFunction(), run: func(t *testing.T, b *bench) {
		arrived, release, over := make(chan struct{}), make(chan struct{}), make(chan error)
		b.functionIs(func(ctx context.Context, _ []byte) ([]byte, error) {
			close(arrived)
			<-release
			over <- ctx.Err()
			return nil, nil
		})
		conn, err := net.Dial("tcp", b.address)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, get("/")+"\r\n")
		<-arrived
		conn.Close()
		if x := b.last(1); x.Status != 460 {
			t.Errorf("exchange is %+v", x)
		}
		if got := b.balancer.Targets("S/A"); len(got) != 1 || got[0].InFlight != 1 {
			t.Errorf("targets are %+v", got)
		}
		close(release)
		if err := <-over; err != nil {
			t.Errorf("the invocation has ended with %v", err)
		}
	}},
	{name: "After a function is deregistered, requests in flight fail with 5XX", source: lambdaFunctions + "#deregister-lambda-function", template: onFunction(), run: func(t *testing.T, b *bench) {
		arrived := make(chan struct{})
		b.functionIs(func(ctx context.Context, _ []byte) ([]byte, error) {
			close(arrived)
			<-ctx.Done()
			return nil, ctx.Err()
		})
		go func() {
			<-arrived
			<-b.balancer.Deregister("S/A", "S/Live")
		}()
		response, body := b.get(client(t), "/")
		requireOwn(t, response, body, 502, "502 Bad Gateway")
		if x := b.last(1); !errors.Is(x.Err, errDeregistered) || x.FunctionError != "" {
			t.Errorf("exchange is %+v", x)
		}
		b.untilState("A", "S/Live", Unused)
		response, body = b.get(client(t), "/")
		requireOwn(t, response, body, 503, "503 Service Temporarily Unavailable")
	}},
	{name: "By default the health of a function is not checked; its state is unavailable, and it gets requests", source: lambdaFunctions + "#enable-health-checks-lambda", template: onFunction(), run: func(t *testing.T, b *bench) {
		b.untilState("A", "S/Live", Unavailable)
		if got := b.balancer.Targets("S/A"); len(got) != 1 || got[0].State != Unavailable || got[0].Reason != "Target.HealthCheckDisabled" || got[0].Address != "" {
			t.Errorf("targets are %+v", got)
		}
		b.returns(`{"statusCode": 200}`)
		if response, _ := b.get(client(t), "/"); response.StatusCode != 200 {
			t.Errorf("answer is %+v", response)
		}
	}},
	{name: "A health check is an invocation with the user agent ELB-HealthChecker/2.0", source: lambdaFunctions + "#enable-health-checks-lambda",
		template: template{function: true, groups: map[string]object{"A": {"HealthCheckEnabled": true, "HealthCheckPath": "/", "HealthCheckIntervalSeconds": 6, "HealthCheckTimeoutSeconds": 2}}}, run: func(t *testing.T, b *bench) {
			// The first check may come before the function is set. Then the group fails open.
			events := b.keeps()
			probe := b.balancer.groups["S/A"]
			probe.mu.Lock()
			check, config := probe.functionProbe("S/Live"), probe.config.Health
			probe.mu.Unlock()
			if reason, _ := check(t.Context(), "", config); reason != "" {
				t.Errorf("the check fails with %s", reason)
			}
			requireEvent(t, <-events, `{`+functionGroup+`, "httpMethod": "GET", "path": "/", "queryStringParameters": {}, "headers": {"user-agent": "ELB-HealthChecker/2.0"}, "body": "", "isBase64Encoded": false}`)
			ended, end := context.WithCancel(t.Context())
			end()
			for _, test := range []struct {
				result, want string
				err          error
				ctx          context.Context
			}{
				{`{"statusCode": 500}`, "Target.ResponseCodeMismatch", nil, t.Context()},
				{`{}`, "Target.FailedHealthChecks", nil, t.Context()},
				{"", "Target.FailedHealthChecks", errors.New("crash"), t.Context()},
				{"", "Target.Timeout", context.Canceled, ended},
			} {
				b.functionIs(func(context.Context, []byte) ([]byte, error) { return []byte(test.result), test.err })
				if reason, _ := check(test.ctx, "", config); reason != test.want {
					t.Errorf("the check of %s, %v fails with %s, want %s", test.result, test.err, reason, test.want)
				}
			}
		}},
	{name: "Access lines of functions have no target, and the reason of a failure", source: accessLogs + "#access-log-entry-examples", template: onFunction(), run: func(t *testing.T, b *bench) {
		b.returns(`{"statusCode": 200}`)
		b.get(client(t), "/")
		b.returns(`{}`)
		b.get(client(t), "/")
		b.last(2)
		lines := strings.Split(b.log.String(), "\n")
		require(t, "line", lines[0], ` 127\.0\.0\.1:\d+ - \d+\.\d{3} \d+\.\d{3} \d+\.\d{3} 200 200 \d+ \d+ `, ` 0 \S+ "forward" "-" "-" "-" "-" "-" "-" `)
		require(t, "line", lines[1], ` 127\.0\.0\.1:\d+ - \d+\.\d{3} \d+\.\d{3} \d+\.\d{3} 502 - \d+ \d+ `, ` 0 \S+ "forward" "-" "LambdaInvalidResponse" "-" "-" "-" "-" `)
	}},
	{name: "Weights divide requests between a function and instances, and a client stays with its target group", source: actions + "#forward-actions", template: template{function: true, action: weigh(100, "A", 1, "B", 1)}, run: func(t *testing.T, b *bench) {
		b.returns(`{"statusCode": 200, "headers": {"X-Target": "function"}}`)
		b.target("B", "instance", hello)
		seen := map[string]bool{}
		for len(seen) < 2 { // each is as likely
			first, _ := b.get(client(t), "/")
			own := first.Header.Get("X-Target")
			seen[own] = true
			for range 5 {
				if next, _ := b.get(client(t), "/", "Cookie", "AWSALBTG="+first.Cookies()[0].Value); next.Header.Get("X-Target") != own {
					t.Fatalf("a client of the %s gets to the %s", own, next.Header.Get("X-Target"))
				}
			}
		}
	}},
}

// adapter makes a function of a handler, as a program on Lambda does.
func adapter(handler http.Handler) func(context.Context, []byte) ([]byte, error) {
	return func(ctx context.Context, payload []byte) ([]byte, error) {
		var e functionEvent
		if err := json.Unmarshal(payload, &e); err != nil {
			return nil, err
		}
		body := []byte(e.Body)
		if e.Base64 {
			var err error
			if body, err = base64.StdEncoding.DecodeString(e.Body); err != nil {
				return nil, err
			}
		}
		var query []string
		for key, values := range e.MultiQuery {
			for _, value := range values {
				query = append(query, key+"="+value)
			}
		}
		uri := e.Path
		if slices.Sort(query); len(query) > 0 {
			uri += "?" + strings.Join(query, "&")
		}
		r := httptest.NewRequestWithContext(ctx, e.Method, uri, bytes.NewReader(body))
		r.Host = e.MultiHeaders["host"][0]
		for key, values := range e.MultiHeaders {
			if key != "host" {
				r.Header[http.CanonicalHeaderKey(key)] = values
			}
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		answer := w.Result()
		return json.Marshal(map[string]any{
			"statusCode": answer.StatusCode, "multiValueHeaders": answer.Header, "isBase64Encoded": true, "body": base64.StdEncoding.EncodeToString(w.Body.Bytes()),
		})
	}
}

// The same handler answers the same as a function and as an instance.
func TestFunctionAnswersAsInstance(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		text := fmt.Sprintf("%s %s %s\n%q\n", r.Method, r.RequestURI, r.Host, body)
		for _, key := range []string{"Cookie", "X-Forwarded-For", "X-Forwarded-Port", "X-Forwarded-Proto", "Content-Type", "Accept", "Connection"} {
			text += fmt.Sprintf("%s: %q\n", key, r.Header[key])
		}
		w.Header()["Set-Cookie"] = []string{"a=1", "b=2; Path=/"}
		w.Header().Set("Content-Type", "application/octet-stream")
		switch r.URL.Path {
		case "/nothing":
			w.WriteHeader(http.StatusNoContent)
			return
		case "/old":
			w.WriteHeader(http.StatusNotModified)
			return
		case "/binary":
			text = "\x00\xff\xfe\r\n" + text
		case "/missing":
			w.WriteHeader(http.StatusNotFound)
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(text)))
		if r.Method != http.MethodHead {
			_, _ = io.WriteString(w, text)
		}
	})
	instance, function := serve(t, template{}.config(t)), serve(t, onFunction(multiValue).config(t))
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	if err := instance.balancer.Register("S/A", "one", server.Listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	function.functionIs(adapter(handler))
	answer := func(b *bench, text string) string {
		conn, err := net.Dial("tcp", b.address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, text)
		method, _, _ := strings.Cut(text, " ")
		response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		for _, own := range []string{"Date", "Server"} {
			response.Header.Del(own)
		}
		return fmt.Sprintf("%s %v %v %d %q", response.Status, response.Header, response.TransferEncoding, response.ContentLength, body)
	}
	for _, text := range []string{
		get("/"),
		get("/a%2Fb/%7Ec//d/%c3%bc?a=%20b&a=c+d&e=%2F"),
		get("/missing") + "Cookie: a=1\r\nCookie: b=2\r\nX-Forwarded-For: 192.0.2.1\r\nAccept: text/html\r\nAccept: */*\r\n",
		get("/binary"),
		get("/nothing"),
		get("/old"),
		"HEAD / HTTP/1.1\r\nHost: x\r\n",
		"DELETE /nothing HTTP/1.1\r\nHost: x\r\n",
		"OPTIONS / HTTP/1.1\r\nHost: X:8080\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 8\r\n\r\n{\"a\": 1}",
		"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n\x00\xff\xfe\r\n0\r\n\r\n",
		"PATCH / HTTP/1.0\r\nHost: x\r\nContent-Length: 1\r\n\r\nx",
	} {
		if !strings.Contains(text, "\r\n\r\n") {
			text += "\r\n"
		}
		got, want := answer(function, text), answer(instance, text)
		if got != want {
			t.Errorf("%q\nis answered by the function\n%s\nand by the instance\n%s", text, got, want)
		}
	}
}

// A function of a configuration is registered, checked and replaced with it, and leaves with its group.
func TestFunctionFollowsConfiguration(t *testing.T) {
	b := serve(t, onFunction().config(t))
	b.untilState("A", "S/Live", Unavailable)
	b.returns(`{"statusCode": 200}`)
	checked := template{function: true, groups: map[string]object{"A": {"HealthCheckEnabled": true, "HealthCheckIntervalSeconds": 6, "HealthCheckTimeoutSeconds": 2}}}.config(t)
	if err := b.balancer.Configure(checked); err != nil {
		t.Fatal(err)
	}
	b.untilState("A", "S/Live", Initial)
	b.untilState("A", "S/Live", Healthy)
	if err := b.balancer.Register("S/A", "one", "127.0.0.1:1"); err == nil || !strings.Contains(err.Error(), "S/A is of type lambda") {
		t.Errorf("a task is registered, with %v", err)
	}
	other := onFunction().config(t)
	for _, g := range other.TargetGroups {
		for i := range g.Targets {
			g.Targets[i].ID = "S/Other"
		}
	}
	if err := b.balancer.Configure(other); err != nil {
		t.Fatal(err)
	}
	b.untilState("A", "S/Other", Unavailable)
	b.untilState("A", "S/Live", Unused)
	if err := b.balancer.Configure(template{}.config(t)); err != nil {
		t.Fatal(err)
	}
	b.untilState("A", "S/Other", Unused)
	if got := b.balancer.Targets("S/A"); len(got) != 0 {
		t.Errorf("targets are %+v", got)
	}
}

// Without functions, a group with one is refused by name and place.
func TestFunctionsThatDoNotRun(t *testing.T) {
	balancer, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	const want = "S/A/Properties.Targets[0]: S/Live does not answer here: no Lambda functions run"
	plan := NewProvider(balancer, Ports{Free: true}, StandIns{}, func(provider.Event) {}).Plan(model.Read(read(t, onFunction().json(t))), nil)
	if err := plan.Check(); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("the plan is refused with %v", err)
	}
	if err := balancer.Configure(onFunction().config(t)); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("the configuration is refused with %v", err)
	}
}

// A target may name a function, a version or an alias, also by its ARN.
func TestReadFunctions(t *testing.T) {
	for _, id := range []any{
		ref("Live"), object{"Fn::GetAtt": []any{"Function", "Arn"}}, object{"Fn::Sub": "${Function.Arn}:live"}, "arn:aws:lambda:eu-west-1:1:function:f", "arn:aws:lambda:eu-west-1:1:function:f:live",
	} {
		tt := template{function: true, groups: map[string]object{"A": {"Targets": []any{object{"Id": id}}}}}
		if _, err := Read(model.Read(read(t, tt.json(t)))); err != nil {
			t.Errorf("%v is refused: %v", id, err)
		}
	}
}

// FuzzFunctionAnswer reads whatever a function returns.
func FuzzFunctionAnswer(f *testing.F) {
	f.Add([]byte(`{"statusCode": 200, "headers": {"A": "b"}, "multiValueHeaders": {"A": ["b"]}, "body": "AAAA", "isBase64Encoded": true}`), true)
	f.Add([]byte(`{"statusCode": 1e2, "headers": {"": ""}}`), false)
	f.Fuzz(func(t *testing.T, result []byte, multi bool) {
		answer, err := decodeAnswer(result, multi)
		if err == nil && (answer.status < 200 || answer.status > 599 || answer.header == nil) {
			t.Errorf("%q is read as %+v", result, answer)
		}
	})
}
