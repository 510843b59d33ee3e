package server

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"cutover/services/internal/lambda"
)

// invocations is Lambda's Runtime API for one program.
type invocations struct {
	*httptest.Server
	events  chan []byte
	results chan string // "response TEXT", "error TEXT" or "init TEXT"
}

func newInvocations(t *testing.T) *invocations {
	in := &invocations{events: make(chan []byte), results: make(chan string, 1)}
	mux := http.NewServeMux()
	n := 0
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", func(w http.ResponseWriter, r *http.Request) {
		select {
		case event := <-in.events:
			n++
			w.Header().Set("Lambda-Runtime-Aws-Request-Id", fmt.Sprint("request-", n))
			w.Header().Set("Lambda-Runtime-Deadline-Ms", "99999999999999")
			_, _ = w.Write(event)
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("POST /2018-06-01/runtime/", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		kind := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
		if strings.Contains(r.URL.Path, "/init/") {
			kind = "init"
		}
		w.WriteHeader(http.StatusAccepted)
		in.results <- kind + " " + string(body)
	})
	in.Server = httptest.NewServer(mux)
	t.Cleanup(in.Close)
	return in
}

func (in *invocations) api() string { return strings.TrimPrefix(in.URL, "http://") }

// invoke returns what the program says to an event.
func (in *invocations) invoke(t testing.TB, event any) string {
	text, err := json.Marshal(event)
	if err != nil {
		t.Fatal(err)
	}
	in.events <- text
	return <-in.results
}

// parts serves what is hard to hand on: bytes that are no text, a body, header fields, a large answer.
func parts(rt *Router) error {
	rt.Get("/api/bytes", func(*http.Request) *Response {
		return newResponse(http.StatusOK, "application/octet-stream", []byte{0xff, 0, 0xfe})
	})
	rt.Get("/api/none", func(*http.Request) *Response { return NoContent })
	rt.Get("/api/asked/:it", func(r *http.Request) *Response {
		return text(http.StatusOK, r.RequestURI+"\n"+r.URL.RawQuery+"\n"+strings.Join(r.Header["X-Many"], "|")+"\n"+r.Host).With("ETag", `"1"`)
	})
	rt.Get("/api/large", func(*http.Request) *Response {
		return newResponse(http.StatusOK, "text/plain", bytes.Repeat([]byte("x"), 1<<20))
	})
	rt.Get("/api/secret", func(*http.Request) *Response { return text(http.StatusOK, rt.Getenv("KEY")) })
	rt.Get("/api/panic", func(*http.Request) *Response { panic("boom") })
	rt.Write(http.MethodPost, "/api/body", 1000, func(r *http.Request) *Response {
		return newResponse(http.StatusCreated, "application/octet-stream", Body(r)).With("Location", "/api/body/1")
	})
	return nil
}

// startFunction runs a service as a function.
func startFunction(t *testing.T, variables ...string) (*invocations, *process) {
	in := newInvocations(t)
	p := &process{exit: make(chan int, 1), more: make(chan struct{}, 1)}
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		p.exit <- run(ctx, "test", nil, env(append(variables, "AWS_LAMBDA_RUNTIME_API="+in.api())...), p, io.Discard, parts)
	}()
	t.Cleanup(func() {
		stop()
		if code := <-p.exit; code != exitOK {
			t.Errorf("the function ends with exit code %d", code)
		}
	})
	return in, p
}

// asked is a request of a client, whose URI is as it is sent.
type asked struct {
	method, uri string
	header      http.Header
	body        []byte
}

// event is what an Application Load Balancer makes of a request
// (https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html#receive-event-from-load-balancer).
func (a asked) event(multi bool) map[string]any {
	path, query, _ := strings.Cut(a.uri, "?")
	headers, queries := map[string][]string{"host": {"forum.example.com"}, "x-forwarded-proto": {"http"}}, map[string][]string{}
	for name, values := range a.header {
		headers[strings.ToLower(name)] = values
	}
	if len(a.body) > 0 {
		headers["content-length"] = []string{fmt.Sprint(len(a.body))}
	}
	for part := range strings.SplitSeq(query, "&") {
		if name, value, _ := strings.Cut(part, "="); part != "" {
			queries[name] = append(queries[name], value)
		}
	}
	event := map[string]any{
		"requestContext": map[string]any{"elb": map[string]any{"targetGroupArn": "arn:aws:elasticloadbalancing:us-east-1:1:targetgroup/t/1"}},
		"httpMethod":     a.method, "path": path, "body": string(a.body), "isBase64Encoded": false,
	}
	if !utf8.Valid(a.body) {
		event["body"], event["isBase64Encoded"] = base64.StdEncoding.EncodeToString(a.body), true
	}
	if multi {
		event["multiValueHeaders"], event["multiValueQueryStringParameters"] = headers, queries
		return event
	}
	last := func(all map[string][]string) map[string]string {
		one := map[string]string{}
		for name, values := range all {
			one[name] = values[len(values)-1]
		}
		return one
	}
	event["headers"], event["queryStringParameters"] = last(headers), last(queries)
	return event
}

// apiEvent is what a REST API of API Gateway makes of a request: its query is decoded, and bodies are in Base64, as all media
// types are binary
// (https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html#api-gateway-simple-proxy-for-lambda-input-format).
func (a asked) apiEvent(t testing.TB) map[string]any {
	event := a.event(true)
	event["headers"] = a.event(false)["headers"]
	path, query, _ := strings.Cut(a.uri, "?")
	queries, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	event["queryStringParameters"], event["multiValueQueryStringParameters"], event["body"], event["isBase64Encoded"] = nil, nil, nil, false
	if len(queries) > 0 {
		last := map[string]string{}
		for name, values := range queries {
			last[name] = values[len(values)-1]
		}
		event["queryStringParameters"], event["multiValueQueryStringParameters"] = last, queries
	}
	if len(a.body) > 0 {
		event["body"], event["isBase64Encoded"] = base64.StdEncoding.EncodeToString(a.body), true
	}
	event["resource"], event["pathParameters"], event["stageVariables"] = "/{proxy+}", map[string]string{"proxy": path[1:]}, nil
	event["requestContext"] = map[string]any{"apiId": "gy415nuibc", "stage": "live", "path": "/live" + path, "httpMethod": a.method}
	return event
}

// answered is an answer as a client sees it.
type answered struct {
	Status int
	Header http.Header
	Body   string
}

// result reads the result of a function as the load balancer does.
func result(t testing.TB, said string) (a answered) {
	t.Helper()
	text, ok := strings.CutPrefix(said, "response ")
	if !ok {
		t.Fatalf("the function says %s", said)
	}
	var r struct {
		StatusCode        int
		MultiValueHeaders http.Header
		Headers           map[string]string
		Body              string
		IsBase64Encoded   bool
	}
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatal(err)
	}
	a = answered{r.StatusCode, r.MultiValueHeaders, r.Body}
	if r.Headers != nil {
		a.Header = http.Header{}
		for name, value := range r.Headers {
			a.Header.Set(name, value)
		}
	}
	if r.IsBase64Encoded {
		body, err := base64.StdEncoding.DecodeString(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		a.Body = string(body)
	}
	return a
}

// ofTask is the answer of the same handler to a request over the network.
func ofTask(t testing.TB, server *httptest.Server, a asked) answered {
	t.Helper()
	request, err := http.NewRequest(a.method, server.URL, bytes.NewReader(a.body))
	if err != nil {
		t.Fatal(err)
	}
	request.URL.Opaque = a.uri
	if strings.HasPrefix(a.uri, "//") { // an opaque part would be a host
		request.URL.Opaque = server.URL + a.uri
	}
	request.Host = "forum.example.com"
	request.Header = a.header.Clone()
	if request.Header == nil {
		request.Header = http.Header{}
	}
	request.Header.Set("User-Agent", "")
	response, err := server.Client().Transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	response.Header.Del("Connection")
	return answered{response.StatusCode, response.Header, string(body)}
}

// newTask serves the same handler over the network.
func newTask(t testing.TB) *httptest.Server {
	router, err := newRouter(parts)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(&application{router: router, log: newLogger(io.Discard, 0, "test")})
	server.Config.DisableGeneralOptionsHandler = true
	server.Start()
	server.Client().Transport.(*http.Transport).DisableCompression = true
	t.Cleanup(server.Close)
	return server
}

// equalAnswers compares answers but for the second in which they were made.
func equalAnswers(t testing.TB, what any, task, function answered) {
	t.Helper()
	if (task.Header["Date"] == nil) != (function.Header["Date"] == nil) {
		t.Errorf("%v: Date is %v, want %v", what, function.Header["Date"], task.Header["Date"])
	}
	delete(task.Header, "Date")
	delete(function.Header, "Date")
	if diff := cmp.Diff(task, function); diff != "" {
		t.Errorf("%v (-task +function):\n%s", what, diff)
	}
}

// TestFunctionAnswersAsTask: the same request has the same answer, whatever the load balancer makes of it on the way.
func TestFunctionAnswersAsTask(t *testing.T) {
	in, _ := startFunction(t)
	task := newTask(t)
	for _, a := range []asked{
		{method: "GET", uri: "/"},
		{method: "GET", uri: "/api/bytes"},
		{method: "HEAD", uri: "/api/bytes"},
		{method: "GET", uri: "/api/none"},
		{method: "GET", uri: "/api/asked/a%2Fb%20c%3f?x=%41&y=1&y=2&z="},
		{method: "GET", uri: "/api/asked/a%2Fb%20c%3f?x=1&y=1&y=2&z="},
		{method: "GET", uri: "/api/asked/%C3%BC?name=%C3%BC+%26+%3D&x=%2B"},
		{method: "GET", uri: "/api/asked/1", header: http.Header{"X-Many": {"1", "2"}}},
		{method: "GET", uri: "//api/bytes"},
		{method: "GET", uri: "/nothing"},
		{method: "GET", uri: "/api/panic"},
		{method: "OPTIONS", uri: "/api/body"},
		{method: "DELETE", uri: "/api/body"},
		{method: "BREW", uri: "/api/body"},
		{method: "POST", uri: "/api/body", body: []byte(`{"name":"ü"}`)},
		{method: "POST", uri: "/api/body", body: []byte{0xff, 0xfe, 0}},
		{method: "POST", uri: "/api/body", body: bytes.Repeat([]byte("x"), 1001)},
		{method: "POST", uri: "/api/body"},
	} {
		want := ofTask(t, task, a)
		equalAnswers(t, a.method+" "+a.uri, want, result(t, in.invoke(t, a.event(true))))
		if !strings.Contains(a.uri, "%41") { // which is A when it is decoded and encoded again
			want = ofTask(t, task, a)
			equalAnswers(t, a.method+" "+a.uri+", by an API", want, result(t, in.invoke(t, a.apiEvent(t))))
		}
		if a.header == nil && !strings.Contains(a.uri, "y=1&y=2") { // one value each
			want = ofTask(t, task, a)
			equalAnswers(t, a.method+" "+a.uri+", single values", want, result(t, in.invoke(t, a.event(false))))
		}
	}
}

// TestFunctionLimits: an answer that the load balancer would turn into 502 is a problem that says what to do, and the
// log says the same.
func TestFunctionLimits(t *testing.T) {
	in, p := startFunction(t)
	got := result(t, in.invoke(t, asked{method: "GET", uri: "/api/large"}.event(true)))
	if got.Status != http.StatusInternalServerError || got.Header.Get("Content-Type") != "application/problem+json" || !strings.Contains(got.Body, "?limit=") {
		t.Errorf("%+v", got)
	}
	head := result(t, in.invoke(t, asked{method: "HEAD", uri: "/api/large"}.event(true)))
	delete(got.Header, "Date")
	delete(head.Header, "Date")
	got.Body = ""
	if diff := cmp.Diff(got, head); diff != "" {
		t.Errorf("-GET +HEAD:\n%s", diff)
	}
	for _, line := range p.await(t, "request", 2) {
		if line["path"] != "/api/large" || line["status"] != 500.0 || !strings.Contains(fmt.Sprint(line["error"]), "larger than the load balancer takes") {
			t.Errorf("the log has %v", line)
		}
	}
}

// TestOtherEvents: what is no request is an error of the function, and the next event is answered.
func TestOtherEvents(t *testing.T) {
	in, _ := startFunction(t)
	for _, event := range []any{map[string]any{}, map[string]any{"Records": []any{}}, "text", []int{1}, map[string]any{"httpMethod": "GET", "requestContext": map[string]any{"elb": map[string]any{}}, "headers": 1}} {
		if said := in.invoke(t, event); !strings.HasPrefix(said, `error {"errorMessage":"the event is not one of a load balancer or of an API`) {
			t.Errorf("%v: %s", event, said)
		}
	}
	bad := asked{method: "GET", uri: "/%zz"}.event(true)
	if got := result(t, in.invoke(t, bad)); got.Status != http.StatusBadRequest {
		t.Errorf("%+v", got)
	}
	if got := result(t, in.invoke(t, asked{method: "GET", uri: "/"}.event(true))); got.Status != http.StatusOK {
		t.Errorf("%+v", got)
	}
}

// TestFunctionReadsSecrets: a service finds in its environment what is kept elsewhere.
func TestFunctionReadsSecrets(t *testing.T) {
	store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, `{"Parameter":{"Value":"hidden"}}`)
	}))
	t.Cleanup(store.Close)
	in, p := startFunction(t, `CUTOVER_SECRETS={"KEY":"arn:aws:ssm:eu-west-1:123456789012:parameter/key"}`,
		"AWS_ENDPOINT_URL="+store.URL, "AWS_ACCESS_KEY_ID=a", "AWS_SECRET_ACCESS_KEY=b")
	if got := result(t, in.invoke(t, asked{method: "GET", uri: "/api/secret"}.event(true))); got.Body != "hidden" {
		t.Errorf("%+v", got)
	}
	if logged := fmt.Sprint(p.await(t, "request", 1)); strings.Contains(logged, "hidden") {
		t.Error(logged)
	}
}

// TestFunctionFlushes: a collector has the span and the measurement of a request before Lambda has the answer.
func TestFunctionFlushes(t *testing.T) {
	c := newCollector(t)
	in, _ := startFunction(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+c.URL, "OTEL_EXPORTER_OTLP_HEADERS=Authorization=Bearer%20a")
	in.invoke(t, asked{method: "GET", uri: "/api/none", header: http.Header{"X-Amzn-Trace-Id": {balancersID}}}.event(true))
	c.mu.Lock()
	defer c.mu.Unlock()
	if span := c.spans["/api/none"]; span == nil || hex.EncodeToString(span.TraceId) != "67891233abcdef012345678912345678" {
		t.Errorf("the collector has the spans %v", c.spans)
	}
	if c.metrics["http.server.request.duration"] == nil {
		t.Errorf("the collector has the metrics %v", c.metrics)
	}
}

// TestFunctionMemoryLimit: a function has its own memory, and a task as much as every other.
func TestFunctionMemoryLimit(t *testing.T) {
	for variable, want := range map[string]int64{"NONE=": 128 << 20, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=128": 96 << 20, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=1024": 768 << 20} {
		if got := memoryLimitOf(env(variable)); got != want {
			t.Errorf("%s: %d, want %d", variable, got, want)
		}
	}
}

// TestFunctionThatCannotStart tells Lambda why, and ends.
func TestFunctionThatCannotStart(t *testing.T) {
	for _, variable := range []string{"LOG_LEVEL=loud", "CUTOVER_SECRETS=none", `CUTOVER_SECRETS={"KEY":"arn:aws:s3:eu-west-1:1:key"}`} {
		in := newInvocations(t)
		var stderr bytes.Buffer
		if code := run(context.Background(), "test", nil, env(variable, "AWS_LAMBDA_RUNTIME_API="+in.api()), io.Discard, &stderr, parts); code == exitOK {
			t.Errorf("%s: exit code %d", variable, code)
		}
		name, _, _ := strings.Cut(variable, "=")
		if said := <-in.results; !strings.HasPrefix(said, "init ") || !strings.Contains(said, name) && !strings.Contains(said, "KEY") {
			t.Errorf("%s: %s", variable, said)
		}
		if stderr.Len() == 0 {
			t.Errorf("%s: nothing is printed", variable)
		}
	}
}

// FuzzFunction compares the answers of a task and of a function to any request.
func FuzzFunction(f *testing.F) {
	f.Add("GET", "api/asked/a%2Fb", "x=1&x=2", "X-Many", "v", []byte(nil))
	f.Add("HEAD", "api/asked/1", "a=&b==%41&c=+", "X-Many", "v", []byte(nil))
	f.Add("GET", "api/bytes", "", "X-Many", "v", []byte("body"))
	f.Add("POST", "api/body", "", "Content-Type", "application/json", []byte{0xff})
	task := newTask(f)
	router, err := newRouter(parts)
	if err != nil {
		f.Fatal(err)
	}
	app := &application{router: router, log: newLogger(io.Discard, 0, "test")}
	f.Fuzz(func(t *testing.T, method, path, query, name, value string, body []byte) {
		a, ok := requestOf(method, path, query, name, value, body)
		if !ok {
			t.Skip()
		}
		for _, multi := range []bool{true, false} {
			event, err := json.Marshal(a.event(multi))
			if err != nil {
				t.Fatal(err)
			}
			if !multi && repeats(query) {
				continue // the load balancer sends the last value only
			}
			equalAnswers(t, fmt.Sprintf("%+v, multi-value headers: %t", a, multi), ofTask(t, task, a), result(t, "response "+string(answerEvent(t, app, event))))
		}
	})
}

// namesOf are the names in a query, in their order. It is false if a part has no value: an event has one.
func namesOf(query string) (names []string, ok bool) {
	for part := range strings.SplitSeq(query, "&") {
		name, _, ok := strings.Cut(part, "=")
		if !ok && query != "" {
			return nil, false
		}
		names = append(names, name)
	}
	return names, true
}

func repeats(query string) bool {
	names, _ := namesOf(query)
	return len(slices.Compact(names)) < strings.Count(query, "&")+1
}

// requestOf is a request that a client can send, and that the load balancer sends on: others it refuses. The names in
// the query are in the order in which [asked.event] has them.
func requestOf(method, path, query, name, value string, body []byte) (asked, bool) {
	if len(method) > 20 || len(path) > 500 || len(query) > 500 || len(value) > 500 || len(body) > 3000 {
		return asked{}, false
	}
	if method == "" || method == http.MethodConnect || method == http.MethodTrace || strings.ContainsFunc(method, func(c rune) bool { return c < 'A' || c > 'Z' }) {
		return asked{}, false
	}
	visible := func(text string) bool {
		return !strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c > '~' || c == '#' })
	}
	if !visible(path) || !visible(query) || strings.Contains(path, "?") {
		return asked{}, false
	}
	if names, ok := namesOf(query); !ok || !slices.IsSorted(names) {
		return asked{}, false
	}
	if _, err := url.ParseRequestURI("/" + path + "?" + query); err != nil { // Go's client sends none of these
		return asked{}, false
	}
	if strings.ContainsFunc(name, func(c rune) bool { return c != '-' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') }) || !visible(value) || value == "" {
		return asked{}, false
	}
	switch name = http.CanonicalHeaderKey(name); name {
	case "", "Host", "Connection", "Content-Length", "Transfer-Encoding", "Trailer", "Te", "Upgrade", "Expect", "User-Agent", "Accept-Encoding", "Keep-Alive", "Proxy-Connection":
		return asked{}, false
	}
	if strings.HasPrefix(name, "-") || strings.HasSuffix(name, "-") {
		return asked{}, false
	}
	uri := "/" + path
	if query != "" {
		uri += "?" + query
	}
	return asked{method, uri, http.Header{name: {value}}, body}, true
}

// answerEvent answers an event without Lambda.
func answerEvent(t testing.TB, app http.Handler, event []byte) []byte {
	t.Helper()
	text, err := lambda.Service{Handler: app}.Answer(context.Background(), event)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
