package otlp

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
)

const (
	// The first pause before a repetition. Each further pause is twice as long.
	firstWait = 500 * time.Millisecond
	// Bytes of an answer that are read.
	maxAnswer = 64 << 10
)

// exporter sends to one endpoint, for at most its timeout, and until ctx ends.
type exporter struct {
	ctx      context.Context
	endpoint *Endpoint
	client   *http.Client
}

func newExporter(ctx context.Context, e *Endpoint) exporter {
	return exporter{ctx, e, &http.Client{
		Transport: &http.Transport{
			Proxy:             http.ProxyFromEnvironment,
			MaxConnsPerHost:   1, // exports of a signal follow each other
			ForceAttemptHTTP2: true,
		},
		// Nobody else may see the content and the headers.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// send repeats an export after a failure that may pass
// (https://opentelemetry.io/docs/specs/otlp/#failures-1).
func (e exporter) send(ctx context.Context, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, e.endpoint.timeout)
	defer cancel()
	defer context.AfterFunc(e.ctx, cancel)()
	for wait := firstWait; ; wait *= 2 {
		after, err := e.post(ctx, body)
		if after < 0 || ctx.Err() != nil {
			return err
		}
		timer := time.NewTimer(max(after, wait/2+rand.N(wait)))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
	}
}

// post sends once. After a failure it returns the shortest pause before a repetition; a negative
// one forbids to repeat.
func (e exporter) post(ctx context.Context, body []byte) (after time.Duration, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, e.endpoint.url, bytes.NewReader(body))
	if err != nil {
		return -1, err
	}
	request.Header = e.endpoint.headers.Clone()
	request.Header.Set("Content-Type", "application/x-protobuf")
	response, err := e.client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	switch status := response.StatusCode; {
	case status/100 == 2 && err == nil:
		return -1, partialSuccess(answer)
	case status/100 == 2:
		return -1, err // it has arrived
	case status == http.StatusTooManyRequests, status == http.StatusBadGateway, status == http.StatusServiceUnavailable, status == http.StatusGatewayTimeout:
		seconds, _ := strconv.ParseUint(response.Header.Get("Retry-After"), 10, 16)
		return time.Duration(seconds) * time.Second, fmt.Errorf("%s answered with status %d", request.URL.Redacted(), status)
	default:
		return -1, fmt.Errorf("%s answered with status %d", request.URL.Redacted(), status)
	}
}

// partialSuccess is the error of an answer that refuses a part. ExportTraceServiceResponse and
// ExportMetricsServiceResponse have the same bytes.
func partialSuccess(answer []byte) error {
	_, partial := field(answer, 1)
	refused, _ := field(partial, 1)
	_, message := field(partial, 2)
	if refused > 0 || len(message) > 0 {
		return fmt.Errorf("the collector refused %d: %.1024q", refused, message)
	}
	return nil
}

// field returns a field of a message, a number or bytes, the two kinds of such an answer; nothing
// if it is missing or the message is broken.
func field(message []byte, number uint64) (uint64, []byte) {
	for {
		tag, n := binary.Uvarint(message)
		if n <= 0 {
			return 0, nil
		}
		value, m := binary.Uvarint(message[n:])
		if m <= 0 {
			return 0, nil
		}
		message = message[n+m:]
		var content []byte
		switch tag & 7 {
		case varint:
		case lengthDelimited:
			if value > uint64(len(message)) {
				return 0, nil
			}
			content, message = message[:value], message[value:]
		default:
			return 0, nil
		}
		if tag>>3 == number {
			return value, content
		}
	}
}

// Shutdown is called after the last export.
func (e exporter) Shutdown(context.Context) error {
	e.client.CloseIdleConnections()
	return nil
}

// Traces returns the exporter of spans. An export ends with ctx at the latest.
func Traces(ctx context.Context, e *Endpoint) trace.SpanExporter {
	return traces{newExporter(ctx, e)}
}

type traces struct{ exporter }

func (t traces) ExportSpans(ctx context.Context, spans []trace.ReadOnlySpan) error {
	if err := t.send(ctx, appendTraces(nil, spans)); err != nil {
		return fmt.Errorf("%d spans were not sent: %w", len(spans), err)
	}
	return nil
}

// Metrics returns the exporter of metrics. An export ends with ctx at the latest.
func Metrics(ctx context.Context, e *Endpoint) metric.Exporter {
	return metrics{newExporter(ctx, e)}
}

type metrics struct{ exporter }

// Temporality is always cumulative: an export that fails loses nothing.
func (metrics) Temporality(metric.InstrumentKind) metricdata.Temporality {
	return metricdata.CumulativeTemporality
}

func (metrics) Aggregation(kind metric.InstrumentKind) metric.Aggregation {
	return metric.DefaultAggregationSelector(kind)
}

func (m metrics) Export(ctx context.Context, data *metricdata.ResourceMetrics) error {
	body, unknown := appendMetrics(nil, data)
	if err := m.send(ctx, body); err != nil {
		return fmt.Errorf("metrics were not sent: %w", errors.Join(err, unknown))
	}
	return unknown
}

// ForceFlush has nothing to do: nothing is held back.
func (metrics) ForceFlush(context.Context) error { return nil }
