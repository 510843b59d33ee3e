package server

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace"
	commonv1 "go.opentelemetry.io/proto/otlp/common/v1"
	metricsv1 "go.opentelemetry.io/proto/otlp/metrics/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// collector keeps what services send to it.
type collector struct {
	*httptest.Server

	mu       sync.Mutex
	resource map[string]string
	spans    map[string]*tracev1.Span // by their path, or else their name
	metrics  map[string]*metricsv1.Metric
}

func newCollector(t *testing.T) *collector {
	c := &collector{spans: map[string]*tracev1.Span{}, metrics: map[string]*metricsv1.Metric{}}
	c.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Header.Get("Authorization") != "Bearer a" {
			t.Errorf("%s: %v, %v", r.URL, r.Header, err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		switch r.URL.Path {
		case "/v1/traces":
			var data tracev1.TracesData
			err = proto.Unmarshal(body, &data)
			for _, ofResource := range data.ResourceSpans {
				c.resource = texts(ofResource.Resource.Attributes)
				for _, ofScope := range ofResource.ScopeSpans {
					for _, span := range ofScope.Spans {
						name := span.Name
						if path := texts(span.Attributes)["url.path"]; path != "" {
							name = path
						}
						if c.spans[name] != nil {
							t.Errorf("%s has two spans", name)
						}
						c.spans[name] = span
					}
				}
			}
		case "/v1/metrics":
			var data metricsv1.MetricsData
			err = proto.Unmarshal(body, &data)
			for _, ofResource := range data.ResourceMetrics {
				for _, ofScope := range ofResource.ScopeMetrics {
					for _, metric := range ofScope.Metrics {
						c.metrics[metric.Name] = metric
					}
				}
			}
		default:
			t.Errorf("sent to %s", r.URL)
		}
		if err != nil {
			t.Errorf("%s: %v", r.URL, err)
		}
	}))
	t.Cleanup(c.Close)
	return c
}

func texts(attributes []*commonv1.KeyValue) map[string]string {
	all := map[string]string{}
	for _, a := range attributes {
		switch value := a.Value.Value.(type) {
		case *commonv1.AnyValue_StringValue:
			all[a.Key] = value.StringValue
		case *commonv1.AnyValue_IntValue:
			all[a.Key] = fmt.Sprint(value.IntValue)
		case *commonv1.AnyValue_ArrayValue:
			for _, element := range value.ArrayValue.Values {
				all[a.Key] += "[" + element.GetStringValue() + "]"
			}
		}
	}
	return all
}

const (
	callersTrace = "0af7651916cd43dd8448eb211c80319c"
	callersSpan  = "b7ad6b7169203331"
	balancersID  = "Root=1-67891233-abcdef012345678912345678"
)

// Every request has its span and is counted, whatever becomes of it.
func TestTelemetry(t *testing.T) {
	t.Setenv("OTEL_SERVICE_NAME", "renamed")
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test,service.name=not-this")
	c := newCollector(t)
	entered, left := make(chan struct{}), make(chan struct{})
	p := start(t, []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + c.URL, "OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20a"}, echo, func(rt *Router) error {
		rt.Get("/panic", func(*http.Request) *Response { panic("out of beans") })
		rt.Get("/slow", func(r *http.Request) *Response {
			close(entered)
			<-r.Context().Done() // when the client has hung up
			close(left)
			return NoContent
		})
		rt.Get("/child", func(r *http.Request) *Response {
			_, span := trace.SpanFromContext(r.Context()).TracerProvider().Tracer("handler").Start(r.Context(), "look up")
			span.End()
			return NoContent
		})
		return nil
	})
	conn := dial(t, p)
	ask := func(method, path string, header ...string) {
		fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: test\r\nUser-Agent: secret\r\n%s\r\n", method, path, strings.Join(append(header, ""), "\r\n"))
	}
	awaited := 0
	requests := func(method, path string, header ...string) {
		ask(method, path, header...)
		awaited++
		p.await(t, "request", awaited)
	}
	requests("GET", "/api/users/7?secret", "traceparent: 00-"+callersTrace+"-"+callersSpan+"-01", "tracestate: vendor=1", "X-Amzn-Trace-Id: "+balancersID, "X-Forwarded-Proto: https")
	requests("GET", "/api/users", "X-Amzn-Trace-Id: Self=1-2-3; "+balancersID)
	requests("GET", "/unsampled", "traceparent: 00-"+callersTrace+"-"+callersSpan+"-00")
	requests("GET", "/panic", "X-Amzn-Trace-Id: Root=1-2-é")
	requests("GET", "/nope")
	requests("BREW", "/api/posts/by-user/1")
	requests("GET", "/child")
	ask("GET", "/slow")
	<-entered
	conn.Close()
	<-left
	p.stop()
	if code := p.exited(t); code != 0 {
		t.Fatalf("exit code %d, %v", code, p.lines)
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	for key, want := range map[string]string{"service.name": "renamed", "deployment.environment.name": "test", "telemetry.sdk.language": "go"} {
		if got := c.resource[key]; got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	if len(c.resource["service.instance.id"]) != 36 {
		t.Errorf("the resource is %v", c.resource)
	}
	const none, failed = tracev1.Status_STATUS_CODE_UNSET, tracev1.Status_STATUS_CODE_ERROR
	expected := map[string]struct {
		name       string
		status     tracev1.Status_StatusCode
		attributes map[string]string
	}{
		"/api/users/7":         {"GET /api/users/{userId}", none, map[string]string{"http.route": "/api/users/{userId}", "http.response.status_code": "200", "url.scheme": "https", "http.request.header.x-amzn-trace-id": "[" + balancersID + "]"}},
		"/api/users":           {"GET /api/users", none, map[string]string{"http.route": "/api/users", "http.response.status_code": "200", "http.request.header.x-amzn-trace-id": "[Self=1-2-3; " + balancersID + "]"}},
		"/panic":               {"GET /panic", failed, map[string]string{"http.route": "/panic", "http.response.status_code": "500", "error.type": "500", "http.request.header.x-amzn-trace-id": "[Root=1-2-?]"}},
		"/nope":                {"GET", none, map[string]string{"http.response.status_code": "404"}},
		"/api/posts/by-user/1": {"HTTP /api/posts/by-user/{userId}", failed, map[string]string{"http.request.method": "_OTHER", "http.request.method_original": "BREW", "http.route": "/api/posts/by-user/{userId}", "http.response.status_code": "501", "error.type": "501"}},
		"/child":               {"GET /child", none, map[string]string{"http.route": "/child", "http.response.status_code": "204"}},
		"/slow":                {"GET /slow", none, map[string]string{"http.route": "/slow", "http.response.status_code": "204", "error.type": "canceled"}},
	}
	if len(c.spans) != len(expected)+1 { // and the handler's own
		t.Errorf("%d spans: %v", len(c.spans), c.spans)
	}
	for path, want := range expected {
		span := c.spans[path]
		if span == nil {
			t.Errorf("%s has no span", path)
			continue
		}
		attributes := map[string]string{"http.request.method": "GET", "url.scheme": "http", "url.path": path, "network.protocol.version": "1.1"}
		maps.Copy(attributes, want.attributes)
		if got := texts(span.Attributes); span.Name != want.name || span.Kind != tracev1.Span_SPAN_KIND_SERVER || span.Status.GetCode() != want.status || !maps.Equal(got, attributes) {
			t.Errorf("%s: %s, %s, %s, %v, want %s, %s, %v", path, span.Name, span.Kind, span.Status.GetCode(), got, want.name, want.status, attributes)
		}
		if took := int64(span.EndTimeUnixNano - span.StartTimeUnixNano); took <= 0 || took > int64(time.Minute) {
			t.Errorf("%s took %d ns", path, took)
		}
		if path != "/api/users/7" && len(span.ParentSpanId) > 0 {
			t.Errorf("%s has a parent", path)
		}
	}
	if t.Failed() {
		return
	}
	if s := c.spans["/api/users/7"]; hex.EncodeToString(s.TraceId) != callersTrace || hex.EncodeToString(s.ParentSpanId) != callersSpan || s.TraceState != "vendor=1" {
		t.Errorf("a span does not continue its caller's: %v", s)
	}
	if s := c.spans["/api/users"]; hex.EncodeToString(s.TraceId) != "67891233abcdef012345678912345678" {
		t.Errorf("a span without a caller's is not of the load balancer's trace: %v", s)
	}
	if s := c.spans["/panic"]; len(s.Events) != 1 || s.Events[0].Name != "exception" || texts(s.Events[0].Attributes)["exception.message"] != "out of beans" || !strings.Contains(texts(s.Events[0].Attributes)["exception.stacktrace"], "goroutine") {
		t.Errorf("a panic is not in its span: %v", s)
	}
	if child, parent := c.spans["look up"], c.spans["/child"]; child == nil || !bytes.Equal(child.ParentSpanId, parent.SpanId) || !bytes.Equal(child.TraceId, parent.TraceId) {
		t.Errorf("a handler's span is not the request's: %v, %v", child, parent)
	}

	counts := map[string]uint64{}
	for _, point := range c.metrics["http.server.request.duration"].GetHistogram().GetDataPoints() {
		a := texts(point.Attributes)
		counts[strings.Join([]string{a["http.request.method"], a["url.scheme"], a["http.route"], a["http.response.status_code"], a["error.type"]}, " ")] = point.Count
		if len(point.ExplicitBounds) != 14 || point.GetSum() <= 0 || a["url.path"] != "" || a["network.protocol.version"] != "1.1" {
			t.Errorf("measured %v", point)
		}
	}
	if want := map[string]uint64{"GET https /api/users/{userId} 200 ": 1, "GET http /api/users 200 ": 1, "GET http /panic 500 500": 1, "GET http  404 ": 2,
		"_OTHER http /api/posts/by-user/{userId} 501 501": 1, "GET http /child 204 ": 1, "GET http /slow 204 canceled": 1}; !maps.Equal(counts, want) {
		t.Errorf("counted %v, want %v", counts, want)
	}
	active := c.metrics["http.server.active_requests"].GetSum()
	for _, point := range active.GetDataPoints() {
		if point.GetAsInt() != 0 {
			t.Errorf("still active: %v", point)
		}
	}
	if active == nil || len(active.DataPoints) != 3 || active.IsMonotonic { // by method and scheme
		t.Errorf("active requests: %v", active)
	}
	if c.metrics["go.memory.used"] == nil || c.metrics["go.goroutine.count"] == nil {
		t.Errorf("there is nothing of the runtime's in %v", c.metrics)
	}
}

// A collector that takes what is sent and never answers delays no request, and a
// stop by no more than its bound.
func TestHangingCollector(t *testing.T) {
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "1")
	t.Setenv("OTEL_BSP_MAX_QUEUE_SIZE", "8")
	t.Setenv("OTEL_METRIC_EXPORT_INTERVAL", "1")
	hanging := make(chan string, 1000)
	c := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		hanging <- r.URL.Path
		<-r.Context().Done()
	}))
	t.Cleanup(c.Close)
	p := start(t, []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + c.URL}, echo)
	conn := dial(t, p)
	get(t, conn, "/api/users/1")
	for seen := map[string]bool{}; len(seen) < 2; {
		seen[<-hanging] = true
	}
	// Far more than what is kept. A request that waited for the collector would wait for
	// the 10 s after which an export is given up.
	const exportTimeout = 10 * time.Second
	began := time.Now()
	for range 100 {
		get(t, conn, "/api/users/1")
	}
	if took := time.Since(began); took >= exportTimeout {
		t.Errorf("the requests took %s", took)
	}
	conn.Close()
	began = time.Now()
	p.stop()
	if code := p.exited(t); code != 0 {
		t.Errorf("exit code %d, %v", code, p.lines)
	}
	if took := time.Since(began); took >= exportTimeout {
		t.Errorf("the stop took %s", took)
	}
	if lines := p.logged("telemetry was lost"); len(lines) != 1 || lines[0]["level"] != "WARN" {
		t.Errorf("logged %v", p.lines)
	}
	if lines := p.logged("request"); len(lines) != 101 {
		t.Errorf("%d requests were logged", len(lines))
	}
}

// Without a collector in the environment nothing of it runs. That it takes no
// memory for a request is in TestRequestsTakeNoMemory.
func TestTelemetryIsOff(t *testing.T) {
	running := func(on bool, environment ...string) {
		p := start(t, environment, echo)
		conn := dial(t, p)
		get(t, conn, "/api/users/1")
		conn.Close()
		// What services of other tests had may just be ending.
		for deadline := time.Now().Add(10 * time.Second); ; runtime.Gosched() {
			stacks := make([]byte, 1<<20)
			stacks = stacks[:runtime.Stack(stacks, true)]
			if bytes.Contains(stacks, []byte("opentelemetry")) == on {
				break
			}
			if time.Now().After(deadline) {
				t.Errorf("%q: running is %t, want %t:\n%s", environment, !on, on, stacks)
				break
			}
		}
		if on {
			otel.Handle(errors.New("down")) // unless one of OpenTelemetry's own came first
			p.await(t, "telemetry failed", 1)
		}
		p.stop()
		p.exited(t)
	}
	running(false)
	running(false, "OTEL_SERVICE_NAME=a", "OTEL_TRACES_EXPORTER=otlp")
	running(false, "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:9", "OTEL_SDK_DISABLED=true")
	running(true, "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:9")
}

func TestTelemetryErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &process{}
		report := reportErrors(newLogger(log, slog.LevelInfo, "users").Logger) // OpenTelemetry's handler has late errors of other tests
		for range 3 {
			report(errors.New("down"))
		}
		time.Sleep(warnPeriod)
		report(errors.New("still down"))
		var lines []string
		for _, line := range log.logged("telemetry failed") {
			lines = append(lines, fmt.Sprint(line["service"], " ", line["error"], " ", line["more"]))
		}
		if want := []string{"users down 0", "users still down 2"}; !slices.Equal(lines, want) {
			t.Errorf("logged %q, want %q", lines, want)
		}
	})
}

func TestRootOf(t *testing.T) {
	for header, want := range map[string]string{
		balancersID: "67891233abcdef012345678912345678",
		"Self=1-67891233-000000000000000000000000;Root=1-67891233-ABCDEF012345678912345678;Parent=53995c3f42cd8ad8;Sampled=0": "67891233abcdef012345678912345678",
		"": "", "Root": "", "Root=1-67891233": "", "Root=2-67891233-abcdef012345678912345678": "", "Root=1-67891233-abcdef01234567891234567": "", "Root=1-67891233-abcdef01234567891234567x": "",
		"Root=1-6789123-aabcdef012345678912345678": "", "Root=1-00000000-000000000000000000000000": "", "XRoot=1-67891233-abcdef012345678912345678": "",
	} {
		id, ok := rootOf(header)
		if ok != (want != "") || ok && id.String() != want {
			t.Errorf("%q: %s, %t, want %q", header, id, ok, want)
		}
	}
}

// BenchmarkTelemetry has what a service does for a request, on its own: off, with
// metrics and a trace of no request, of one in a hundred, and of each. Nothing
// listens where it is sent.
func BenchmarkTelemetry(b *testing.B) {
	b.Setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
	for _, sampled := range []string{"off", "0", "0.01", "1"} {
		b.Run(sampled, func(b *testing.B) {
			app := &application{router: mustRouter(b, user), log: newLogger(io.Discard, slog.LevelInfo, "users")}
			if sampled != "off" {
				b.Setenv("OTEL_TRACES_SAMPLER_ARG", sampled)
				c, err := readConfig(env("OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:9"))
				if err != nil {
					b.Fatal(err)
				}
				if app.telemetry, err = newTelemetry("users", c.traces, c.metrics, slog.New(slog.DiscardHandler)); err != nil {
					b.Fatal(err)
				}
				defer app.telemetry.stop(time.Now())
			}
			w := &answerWriter{http.Header{}}
			r := request(b, "GET", "/api/users/1")
			r.ProtoMajor = 1
			b.ReportAllocs()
			for b.Loop() {
				app.ServeHTTP(w, r)
			}
		})
	}
}
