package otlp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	metricsv1 "go.opentelemetry.io/proto/otlp/metrics/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
)

func env(variables ...string) func(string) string {
	return func(name string) string {
		for _, v := range variables {
			if value, ok := strings.CutPrefix(v, name+"="); ok {
				return value
			}
		}
		return ""
	}
}

func TestFromEnvironment(t *testing.T) {
	const all, onlyTraces, onlyMetrics = "OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=https://t", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=http://m/put?a=b"
	show := func(e *Endpoint) string {
		if e == nil {
			return ""
		}
		return fmt.Sprint(e.url, " ", e.timeout, " ", e.headers)
	}
	for _, c := range []struct {
		environment     []string
		traces, metrics string
		err             string
	}{
		{},
		{environment: []string{"OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "OTEL_EXPORTER_OTLP_HEADERS=x", "OTEL_TRACES_EXPORTER=console"}},
		{environment: []string{all}, traces: "http://c:4318/v1/traces 10s map[]", metrics: "http://c:4318/v1/metrics 10s map[]"},
		{environment: []string{all + "/base/"}, traces: "http://c:4318/base/v1/traces 10s map[]", metrics: "http://c:4318/base/v1/metrics 10s map[]"},
		{environment: []string{all, "OTEL_SDK_DISABLED=True"}},
		{environment: []string{onlyTraces}, traces: "https://t/ 10s map[]"},
		{environment: []string{onlyMetrics}, metrics: "http://m/put?a=b 10s map[]"},
		{environment: []string{all, onlyMetrics}, traces: "http://c:4318/v1/traces 10s map[]", metrics: "http://m/put?a=b 10s map[]"},
		{environment: []string{all, "OTEL_TRACES_EXPORTER=none", "OTEL_METRICS_EXPORTER=otlp"}, metrics: "http://c:4318/v1/metrics 10s map[]"},
		{environment: []string{all, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/protobuf", "OTEL_METRICS_EXPORTER=none"},
			traces: "http://c:4318/v1/traces 10s map[]"},
		{environment: []string{all, "OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20a%3Db, x-tenant = 7", "OTEL_EXPORTER_OTLP_METRICS_HEADERS=k==", "OTEL_EXPORTER_OTLP_TIMEOUT=1500", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT=20"},
			traces: "http://c:4318/v1/traces 20ms map[Authorization:[Bearer a=b] X-Tenant:[7]]", metrics: "http://c:4318/v1/metrics 1.5s map[K:[=]]"},

		{environment: []string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=c:4318"}, err: "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is not the address of a collector: must be like http://collector:4318"},
		{environment: []string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://"}, err: "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is not the address of a collector: must be like http://collector:4318"},
		{environment: []string{onlyTraces, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "OTEL_EXPORTER_OTLP_TIMEOUT=10s", "OTEL_TRACES_EXPORTER=zipkin"},
			err: `OTEL_TRACES_EXPORTER="zipkin": must be otlp or none` + "\n" + `OTEL_EXPORTER_OTLP_PROTOCOL="grpc": must be http/protobuf, the only protocol that a service has` + "\n" +
				`OTEL_EXPORTER_OTLP_TIMEOUT="10s": must be a number of milliseconds above 0`},
		{environment: []string{onlyMetrics, "OTEL_EXPORTER_OTLP_HEADERS=a=b,secret"}, err: "OTEL_EXPORTER_OTLP_HEADERS cannot be read: must be NAME=VALUE,NAME=VALUE with percent-encoded values"},
		{environment: []string{onlyMetrics, "OTEL_EXPORTER_OTLP_METRICS_HEADERS=a=secret%0a"}, err: "OTEL_EXPORTER_OTLP_METRICS_HEADERS cannot be read: must be NAME=VALUE,NAME=VALUE with percent-encoded values"},
	} {
		traces, metrics, err := FromEnvironment(env(c.environment...))
		switch {
		case c.err != "":
			if err == nil || err.Error() != c.err {
				t.Errorf("%q: error %v, want %s", c.environment, err, c.err)
			}
		case err != nil, show(traces) != c.traces, show(metrics) != c.metrics:
			t.Errorf("%q: traces %q, metrics %q, %v, want %q and %q", c.environment, show(traces), show(metrics), err, c.traces, c.metrics)
		}
	}
}

var (
	at       = time.Unix(1_763_700_000, 5)
	identity = resource.NewWithAttributes("https://schema", attribute.String("service.name", "users"))
)

func spanContext(id byte, remote bool) trace.SpanContext {
	state, _ := trace.ParseTraceState("vendor=1")
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{id, 15: 1}, SpanID: trace.SpanID{id}, TraceFlags: 1, TraceState: state, Remote: remote})
}

// What is written is what the generated types read, and nothing else.
func TestTraces(t *testing.T) {
	spans := tracetest.SpanStubs{
		{
			Name: "GET /", SpanContext: spanContext(1, false), Parent: spanContext(2, true), SpanKind: trace.SpanKindServer, StartTime: at, EndTime: at.Add(1),
			Attributes: []attribute.KeyValue{attribute.String("s", "\xff"), attribute.String("empty", ""), attribute.Bool("b", true), attribute.Bool("no", false), attribute.Int("i", -1), attribute.Int("zero", 0),
				attribute.Float64("f", 0.5), attribute.StringSlice("l", []string{"a", ""}), attribute.Int64Slice("n", []int64{1, 2})},
			Events:            []sdktrace.Event{{Name: "exception", Time: at, Attributes: []attribute.KeyValue{attribute.Int("x", 1)}, DroppedAttributeCount: 1}},
			Links:             []sdktrace.Link{{SpanContext: spanContext(3, true), Attributes: []attribute.KeyValue{attribute.Int("y", 2)}, DroppedAttributeCount: 2}},
			Status:            sdktrace.Status{Code: codes.Error, Description: "bad"},
			DroppedAttributes: 300, DroppedEvents: 4, DroppedLinks: 5,
			Resource: identity, InstrumentationScope: instrumentation.Scope{Name: "a", Version: "1", SchemaURL: "https://scope"},
		},
		{Name: "child", SpanContext: spanContext(4, false), Parent: spanContext(1, false), Status: sdktrace.Status{Code: codes.Ok}, SpanKind: trace.SpanKindClient,
			Resource: identity, InstrumentationScope: instrumentation.Scope{Name: "b"}},
		{Name: "root", SpanContext: spanContext(5, false), Resource: identity, InstrumentationScope: instrumentation.Scope{Name: "b"}},
	}
	got := new(tracev1.TracesData)
	if err := proto.Unmarshal(appendTraces(nil, spans.Snapshots()), got); err != nil {
		t.Fatal(err)
	}
	want := new(tracev1.TracesData)
	// In protobuf's JSON, bytes are base64: 16 and 8 bytes that begin with 1 to 5.
	if err := protojson.Unmarshal([]byte(`{"resourceSpans": [{
		"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "users"}}]}, "schemaUrl": "https://schema",
		"scopeSpans": [
			{"scope": {"name": "a", "version": "1"}, "schemaUrl": "https://scope", "spans": [{
				"traceId": "AQAAAAAAAAAAAAAAAAAAAQ==", "spanId": "AQAAAAAAAAA=", "traceState": "vendor=1", "parentSpanId": "AgAAAAAAAAA=", "name": "GET /", "kind": "SPAN_KIND_SERVER",
				"startTimeUnixNano": "1763700000000000005", "endTimeUnixNano": "1763700000000000006", "flags": 769,
				"attributes": [{"key": "s", "value": {"stringValue": "\ufffd"}}, {"key": "empty", "value": {"stringValue": ""}}, {"key": "b", "value": {"boolValue": true}}, {"key": "no", "value": {"boolValue": false}},
					{"key": "i", "value": {"intValue": "-1"}}, {"key": "zero", "value": {"intValue": "0"}}, {"key": "f", "value": {"doubleValue": 0.5}},
					{"key": "l", "value": {"arrayValue": {"values": [{"stringValue": "a"}, {"stringValue": ""}]}}}, {"key": "n", "value": {"stringValue": "[1,2]"}}],
				"droppedAttributesCount": 300, "droppedEventsCount": 4, "droppedLinksCount": 5,
				"events": [{"timeUnixNano": "1763700000000000005", "name": "exception", "attributes": [{"key": "x", "value": {"intValue": "1"}}], "droppedAttributesCount": 1}],
				"links": [{"traceId": "AwAAAAAAAAAAAAAAAAAAAQ==", "spanId": "AwAAAAAAAAA=", "traceState": "vendor=1", "attributes": [{"key": "y", "value": {"intValue": "2"}}], "droppedAttributesCount": 2, "flags": 769}],
				"status": {"message": "bad", "code": "STATUS_CODE_ERROR"}}]},
			{"scope": {"name": "b"}, "spans": [
				{"traceId": "BAAAAAAAAAAAAAAAAAAAAQ==", "spanId": "BAAAAAAAAAA=", "traceState": "vendor=1", "parentSpanId": "AQAAAAAAAAA=", "name": "child", "kind": "SPAN_KIND_CLIENT", "status": {"code": "STATUS_CODE_OK"}, "flags": 257},
				{"traceId": "BQAAAAAAAAAAAAAAAAAAAQ==", "spanId": "BQAAAAAAAAA=", "traceState": "vendor=1", "name": "root", "flags": 257}]}]}]}`), want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	if b := appendTraces(nil, nil); len(b) > 0 {
		t.Errorf("without spans: % x", b)
	}
}

func TestMetrics(t *testing.T) {
	set := attribute.NewSet(attribute.String("k", "v"))
	data := &metricdata.ResourceMetrics{Resource: identity, ScopeMetrics: []metricdata.ScopeMetrics{{Scope: instrumentation.Scope{Name: "a", Attributes: set}, Metrics: []metricdata.Metrics{
		{Name: "gauge", Data: metricdata.Gauge[float64]{DataPoints: []metricdata.DataPoint[float64]{{Time: at, Value: math.Inf(1)}}}},
		{Name: "unknown", Data: metricdata.Summary{}},
		{Name: "gauges", Data: metricdata.Gauge[int64]{DataPoints: []metricdata.DataPoint[int64]{{Time: at, Value: 0}}}},
		{Name: "sum", Unit: "By", Description: "bytes", Data: metricdata.Sum[int64]{Temporality: metricdata.CumulativeTemporality, IsMonotonic: true,
			DataPoints: []metricdata.DataPoint[int64]{{StartTime: at, Time: at.Add(1), Value: -7, Attributes: set}}}},
		{Name: "sums", Data: metricdata.Sum[float64]{Temporality: metricdata.DeltaTemporality, DataPoints: []metricdata.DataPoint[float64]{{Time: at, Value: 0}}}},
		{Name: "histogram", Unit: "s", Data: metricdata.Histogram[float64]{Temporality: metricdata.CumulativeTemporality, DataPoints: []metricdata.HistogramDataPoint[float64]{{
			StartTime: at, Time: at.Add(1), Count: 3, Sum: 1.5, Bounds: []float64{0.5, 1}, BucketCounts: []uint64{1, 0, 2}, Min: metricdata.NewExtrema(0.0), Max: metricdata.NewExtrema(1.25), Attributes: set}}}},
		{Name: "histograms", Data: metricdata.Histogram[int64]{Temporality: metricdata.CumulativeTemporality, DataPoints: []metricdata.HistogramDataPoint[int64]{{Time: at, Count: 1, Sum: 2}}}},
	}}}}
	body, unknown := appendMetrics(nil, data)
	if unknown == nil || unknown.Error() != "the metric unknown was not sent: it is a metricdata.Summary" {
		t.Errorf("error %v", unknown)
	}
	got := new(metricsv1.MetricsData)
	if err := proto.Unmarshal(body, got); err != nil {
		t.Fatal(err)
	}
	want := new(metricsv1.MetricsData)
	if err := protojson.Unmarshal([]byte(`{"resourceMetrics": [{
		"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "users"}}]}, "schemaUrl": "https://schema",
		"scopeMetrics": [{"scope": {"name": "a", "attributes": [{"key": "k", "value": {"stringValue": "v"}}]}, "metrics": [
			{"name": "gauge", "gauge": {"dataPoints": [{"timeUnixNano": "1763700000000000005", "asDouble": "Infinity"}]}},
			{"name": "unknown"},
			{"name": "gauges", "gauge": {"dataPoints": [{"timeUnixNano": "1763700000000000005", "asInt": "0"}]}},
			{"name": "sum", "unit": "By", "description": "bytes", "sum": {"aggregationTemporality": 2, "isMonotonic": true, "dataPoints": [
				{"startTimeUnixNano": "1763700000000000005", "timeUnixNano": "1763700000000000006", "asInt": "-7", "attributes": [{"key": "k", "value": {"stringValue": "v"}}]}]}},
			{"name": "sums", "sum": {"aggregationTemporality": 1, "dataPoints": [{"timeUnixNano": "1763700000000000005", "asDouble": 0}]}},
			{"name": "histogram", "unit": "s", "histogram": {"aggregationTemporality": 2, "dataPoints": [{"startTimeUnixNano": "1763700000000000005", "timeUnixNano": "1763700000000000006",
				"count": "3", "sum": 1.5, "explicitBounds": [0.5, 1], "bucketCounts": ["1", "0", "2"], "min": 0, "max": 1.25, "attributes": [{"key": "k", "value": {"stringValue": "v"}}]}]}},
			{"name": "histograms", "histogram": {"aggregationTemporality": 2, "dataPoints": [{"timeUnixNano": "1763700000000000005", "count": "1", "sum": 2}]}}]}]}]}`), want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
}

// What may succeed later is sent again, within the timeout; the rest is not.
func TestSend(t *testing.T) {
	type reply struct {
		status int
		body   string
	}
	for _, c := range []struct {
		name    string
		replies []reply
		timeout time.Duration
		err     string // what it begins with
		sent    int32
	}{
		{"at once", []reply{{200, ""}}, time.Minute, "", 1},
		{"later", []reply{{503, ""}, {200, ""}}, time.Minute, "", 2},
		{"refused", []reply{{400, "no"}}, time.Minute, "3 spans were not sent: http://", 1},
		{"elsewhere", []reply{{307, ""}}, time.Minute, "3 spans were not sent: http://", 1},
		{"in part", []reply{{200, "\x0a\x06\x08\x02\x12\x02no"}}, time.Minute, `3 spans were not sent: the collector refused 2: "no"`, 1},
		{"in part, of a newer protocol", []reply{{200, "\x18\x07\x0a\x04\x1a\x00\x08\x02"}}, time.Minute, `3 spans were not sent: the collector refused 2: ""`, 1},
		{"with a broken answer", []reply{{200, "\x0a\xff\xff"}, {200, ""}}, time.Minute, "", 1},
		{"never", []reply{{429, ""}}, 100 * time.Millisecond, "3 spans were not sent: http://", 1},
		{"to one that hangs", []reply{{0, ""}}, 100 * time.Millisecond, "3 spans were not sent: Post", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var sent atomic.Int32
			collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				reply := c.replies[min(int(sent.Add(1)), len(c.replies))-1]
				if body, err := io.ReadAll(r.Body); err != nil || len(body) == 0 || r.Method != "POST" || r.Header.Get("Content-Type") != "application/x-protobuf" || r.Header.Get("K") != "v" {
					t.Errorf("%s %v, %d bytes, %v", r.Method, r.Header, len(body), err)
				}
				if reply.status == 0 {
					<-r.Context().Done()
					return
				}
				w.Header().Set("Location", "/other")
				w.WriteHeader(reply.status)
				io.WriteString(w, reply.body)
			}))
			defer collector.Close()
			e := Traces(t.Context(), &Endpoint{collector.URL, http.Header{"K": {"v"}}, c.timeout})
			err := e.ExportSpans(t.Context(), tracetest.SpanStubs{{}, {}, {}}.Snapshots())
			if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.HasPrefix(err.Error(), c.err)) || sent.Load() != c.sent {
				t.Errorf("sent %d times, error %v; want %d, %s", sent.Load(), err, c.sent, c.err)
			}
			if err := e.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// An export ends with the exporter's own context, whatever its timeout. The error
// does not tell the password.
func TestSendEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		cancel()
		<-r.Context().Done()
	}))
	defer collector.Close()
	e := Metrics(ctx, &Endpoint{strings.Replace(collector.URL, "http://", "http://me:secret@", 1), http.Header{}, time.Hour})
	err := e.Export(t.Context(), &metricdata.ResourceMetrics{Resource: identity})
	if failure := (*url.Error)(nil); !errors.As(err, &failure) || !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "secret") {
		t.Errorf("error %v", err)
	}
	if err := errors.Join(e.ForceFlush(t.Context()), e.Shutdown(t.Context())); err != nil {
		t.Error(err)
	}
	if got := e.Temporality(metric.InstrumentKindHistogram); got != metricdata.CumulativeTemporality {
		t.Errorf("%v", got)
	}
}
