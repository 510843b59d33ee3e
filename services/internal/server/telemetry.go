package server

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/contrib/instrumentation/runtime"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	nometric "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/exemplar"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	notrace "go.opentelemetry.io/otel/trace/noop"

	"cutover/services/internal/otlp"
)

const (
	// The name of the instrumentation.
	scope = "cutover/services/internal/server"
	// The time for the rest of the telemetry at a stop. It is part of the stop timeout.
	flushTimeout = 2 * time.Second
	// The time for the telemetry of one invocation of a function, which delays its answer.
	invocationTimeout = 500 * time.Millisecond
)

// telemetry makes a span of each request and measures it, by the semantic conventions for HTTP
// (https://opentelemetry.io/docs/specs/semconv/http/). It leaves out what may be confidential: the
// query, and the client's address and user agent.
//
// Requests do not wait for it. At most 2048 spans wait, and 512 are being sent; further ones are
// dropped. They take 5 MiB, or 40 MiB if each request has a tracestate of 16 KiB. That is in
// addition to maxConnections.
type telemetry struct {
	tracer   trace.Tracer
	duration metric.Float64Histogram
	active   metric.Int64UpDownCounter

	mu     sync.RWMutex
	series map[series]measurement

	shutdown, sendNow []func(context.Context) error
	cancel            context.CancelFunc // ends the exports
	log               *slog.Logger
}

// series distinguishes measurements. No client can choose a part freely.
type series struct {
	method, scheme, route, version, errorType string
	status                                    int // 0 while the request is active
}

// outcome returns the attributes of a request that was answered.
func (s series) outcome() []attribute.KeyValue {
	attributes := []attribute.KeyValue{attribute.Int("http.response.status_code", s.status), attribute.String("network.protocol.version", s.version)}
	if s.route != "" {
		attributes = append(attributes, attribute.String("http.route", s.route))
	}
	if s.errorType != "" {
		attributes = append(attributes, attribute.String("error.type", s.errorType))
	}
	return attributes
}

// measurement has the options of a measurement, made once for each series.
type measurement struct {
	add    []metric.AddOption
	record []metric.RecordOption
}

// newTelemetry returns nil without a destination: then nothing is started and measured.
func newTelemetry(service string, traces, metrics *otlp.Endpoint, log *slog.Logger) (*telemetry, error) {
	if traces == nil && metrics == nil {
		return nil, nil
	}
	otel.SetErrorHandler(reportErrors(log))
	ctx, cancel := context.WithCancel(context.Background())
	t := &telemetry{series: map[series]measurement{}, cancel: cancel, log: log}
	// The environment's OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES take precedence. Invalid
	// parts of them are left out.
	identity, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithHost(), resource.WithAttributes(
		attribute.String("service.name", service),
		// Without an id, the counts of two tasks would be mixed up.
		attribute.String("service.instance.id", uuid.NewString()),
	), resource.WithFromEnv())
	if err != nil {
		otel.Handle(err)
	}

	t.tracer = notrace.NewTracerProvider().Tracer(scope)
	if traces != nil {
		provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(otlp.Traces(ctx, traces)), sdktrace.WithResource(identity), sdktrace.WithIDGenerator(identifiers{}))
		t.tracer = provider.Tracer(scope)
		t.shutdown, t.sendNow = append(t.shutdown, provider.Shutdown), append(t.sendNow, provider.ForceFlush)
	}
	var meters metric.MeterProvider = nometric.NewMeterProvider()
	if metrics != nil {
		// Exemplars would take memory for each series and bucket, and are not sent.
		provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewPeriodicReader(otlp.Metrics(ctx, metrics))), sdkmetric.WithResource(identity),
			sdkmetric.WithExemplarFilter(exemplar.AlwaysOffFilter))
		meters = provider
		t.shutdown, t.sendNow = append(t.shutdown, provider.Shutdown), append(t.sendNow, provider.ForceFlush)
	}
	meter := meters.Meter(scope)
	t.duration, err = meter.Float64Histogram("http.server.request.duration", metric.WithUnit("s"), metric.WithDescription("Duration of HTTP server requests."),
		metric.WithExplicitBucketBoundaries(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10))
	active, err2 := meter.Int64UpDownCounter("http.server.active_requests", metric.WithUnit("{request}"), metric.WithDescription("Number of active HTTP server requests."))
	t.active = active
	if err = errors.Join(err, err2, runtime.Start(runtime.WithMeterProvider(meters))); err != nil {
		cancel()
		return nil, fmt.Errorf("telemetry cannot be started: %w", err)
	}
	return t, nil
}

// reportErrors returns what logs errors of OpenTelemetry, at most one line per period: while a collector is
// down, all errors are the same.
func reportErrors(log *slog.Logger) otel.ErrorHandlerFunc {
	var mu sync.Mutex
	var last time.Time
	unsaid := 0
	return func(err error) {
		mu.Lock()
		defer mu.Unlock()
		if now := time.Now(); last.IsZero() || now.Sub(last) >= warnPeriod {
			log.Warn("telemetry failed", "error", err.Error(), "more", unsaid)
			last, unsaid = now, 0
		} else {
			unsaid++
		}
	}
}

// observation is the state of a request between begin and end.
type observation struct {
	span   trace.Span
	series series
}

// begin begins the span of a request. The returned request has the span in its context, for a
// handler's own spans.
func (t *telemetry) begin(r *http.Request, at time.Time) (*http.Request, observation) {
	seen := observation{series: series{method: method(r.Method), scheme: scheme(r)}}
	parent := propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
	ids := r.Header["X-Amzn-Trace-Id"]
	if len(ids) > 0 && !trace.SpanContextFromContext(parent).IsValid() {
		if root, ok := rootOf(ids[0]); ok {
			parent = context.WithValue(parent, rootKey{}, root)
		}
	}
	// A sampler may decide by these.
	ctx, span := t.tracer.Start(parent, spanName(seen.series), trace.WithTimestamp(at), trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(
		attribute.String("http.request.method", seen.series.method),
		attribute.String("url.scheme", seen.series.scheme),
		attribute.String("url.path", strings.Clone(loggable(r.URL.EscapedPath()))), // or it would keep the query
	))
	seen.span = span
	if span.IsRecording() {
		if seen.series.method == otherMethod {
			span.SetAttributes(attribute.String("http.request.method_original", loggable(r.Method)))
		}
		if len(ids) > 0 {
			span.SetAttributes(attribute.StringSlice("http.request.header.x-amzn-trace-id", []string{loggable(ids[0])}))
		}
	}
	t.active.Add(ctx, 1, t.measurement(seen.series).add...)
	return r.WithContext(ctx), seen
}

// PassTrace gives a request to another service the trace of the request that it is for.
func PassTrace(from, to *http.Request) {
	for _, name := range []string{"X-Amzn-Trace-Id", "Traceparent", "Tracestate"} {
		if values := from.Header[name]; values != nil {
			to.Header[name] = values
		}
	}
	propagation.TraceContext{}.Inject(from.Context(), propagation.HeaderCarrier(to.Header)) // if a span was begun
}

// end ends the span of a request with the facts of its line in the log.
func (t *telemetry) end(seen observation, r *http.Request, line served, failure []slog.Attr) {
	ctx := r.Context()
	t.active.Add(ctx, -1, t.measurement(seen.series).add...)
	s := seen.series
	s.route, s.status, s.version = r.Pattern, line.status, "1.1"
	if !r.ProtoAtLeast(1, 1) {
		s.version = "1.0"
	}
	switch {
	case s.status >= 500:
		s.errorType = strconv.Itoa(s.status)
	case ctx.Err() != nil:
		s.errorType = "canceled" // by the client, which has hung up
	}
	t.duration.Record(ctx, line.duration.Seconds(), t.measurement(s).record...)

	span := seen.span
	if span.IsRecording() {
		span.SetName(spanName(s))
		span.SetAttributes(s.outcome()...)
		if s.status >= 500 {
			span.SetStatus(codes.Error, "")
		}
		if failure != nil {
			exception := []attribute.KeyValue{attribute.String("exception.type", "panic")}
			for _, attr := range failure {
				exception = append(exception, exceptionAttributes[attr.Key].String(attr.Value.String()))
			}
			span.AddEvent("exception", trace.WithTimestamp(line.at), trace.WithAttributes(exception...))
		}
	}
	span.End(trace.WithTimestamp(line.at))
}

// exceptionAttributes are the conventions' names for the logged attributes of a failure.
var exceptionAttributes = map[string]attribute.Key{"panic": "exception.message", "stack": "exception.stacktrace"}

// measurement returns the options for a series.
func (t *telemetry) measurement(s series) measurement {
	t.mu.RLock()
	o, ok := t.series[s]
	t.mu.RUnlock()
	if ok {
		return o
	}
	attributes := []attribute.KeyValue{attribute.String("http.request.method", s.method), attribute.String("url.scheme", s.scheme)}
	if s.status != 0 {
		attributes = append(attributes, s.outcome()...)
	}
	set := metric.WithAttributeSet(attribute.NewSet(attributes...))
	o = measurement{[]metric.AddOption{set}, []metric.RecordOption{set}}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.series[s] = o
	return o
}

// stop sends the rest, until flushTimeout or the deadline is over.
func (t *telemetry) stop(deadline time.Time) {
	defer t.cancel()
	if latest := time.Now().Add(flushTimeout); latest.Before(deadline) {
		deadline = latest
	}
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	t.each(ctx, t.shutdown)
}

// flush sends what waits, until invocationTimeout is over.
func (t *telemetry) flush(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, invocationTimeout)
	defer cancel()
	t.each(ctx, t.sendNow)
}

// each calls functions side by side, and logs their errors.
func (t *telemetry) each(ctx context.Context, all []func(context.Context) error) {
	errs := make([]error, len(all))
	var group sync.WaitGroup
	for i, one := range all {
		group.Go(func() { errs[i] = one(ctx) })
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		t.log.Warn("telemetry was lost", "error", err.Error())
	}
}

// otherMethod is the conventions' name for an unknown method.
const otherMethod = "_OTHER"

func method(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodConnect, http.MethodOptions, http.MethodTrace:
		return method
	}
	return otherMethod
}

// scheme is the scheme of the client's request to the load balancer.
func scheme(r *http.Request) string {
	if strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https") {
		return "https"
	}
	return "http"
}

// spanName is the method and the route. There are few routes and many paths.
func spanName(s series) string {
	name := s.method
	if name == otherMethod {
		name = "HTTP"
	}
	if s.route != "" {
		name += " " + s.route
	}
	return name
}

// rootOf returns the trace id in the load balancer's header, in the format of AWS X-Ray:
// "Root=1-67891233-abcdef012345678912345678"
// (https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-request-tracing.html).
// The load balancer reports no span, so the header has no parent.
func rootOf(header string) (id trace.TraceID, ok bool) {
	for field := range strings.SplitSeq(header, ";") {
		root, found := strings.CutPrefix(strings.TrimSpace(field), "Root=1-")
		if !found {
			continue
		}
		at, unique, _ := strings.Cut(root, "-")
		if len(at) != 8 || len(unique) != 24 {
			return id, false
		}
		_, err := hex.Decode(id[:], []byte(at+unique))
		return id, err == nil && id.IsValid()
	}
	return id, false
}

// identifiers makes ids. A trace without an id of the client gets the load balancer's id, so that
// the log leads to the trace and back.
type identifiers struct{}

type rootKey struct{}

func (g identifiers) NewIDs(ctx context.Context) (id trace.TraceID, _ trace.SpanID) {
	id, ok := ctx.Value(rootKey{}).(trace.TraceID)
	for !ok {
		binary.NativeEndian.PutUint64(id[:8], rand.Uint64())
		binary.NativeEndian.PutUint64(id[8:], rand.Uint64())
		ok = id.IsValid()
	}
	return id, g.NewSpanID(ctx, id)
}

func (identifiers) NewSpanID(context.Context, trace.TraceID) (id trace.SpanID) {
	for !id.IsValid() {
		binary.NativeEndian.PutUint64(id[:], rand.Uint64())
	}
	return id
}
