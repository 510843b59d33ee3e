package otlp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
)

// The fields have the numbers of
// https://github.com/open-telemetry/opentelemetry-proto/tree/main/opentelemetry/proto.

// How a field is encoded (https://protobuf.dev/programming-guides/encoding/#structure).
const (
	varint          = 0
	fixed64         = 1
	lengthDelimited = 2
	fixed32         = 5
)

func appendTag(b []byte, number int, wireType uint64) []byte {
	return binary.AppendUvarint(b, uint64(number)<<3|wireType)
}

// appendTraces appends a TracesData, which has the bytes of an ExportTraceServiceRequest. All spans
// are of one resource.
func appendTraces(b []byte, spans []trace.ReadOnlySpan) []byte {
	if len(spans) == 0 {
		return b
	}
	return appendMessage(b, 1, func(b []byte) []byte { // ResourceSpans
		b = appendResource(b, spans[0].Resource())
		for len(spans) > 0 {
			scope, n := spans[0].InstrumentationScope(), 1
			for n < len(spans) && spans[n].InstrumentationScope() == scope {
				n++
			}
			b = appendMessage(b, 2, func(b []byte) []byte { // ScopeSpans
				b = appendScope(b, scope)
				for _, span := range spans[:n] {
					b = appendMessage(b, 2, func(b []byte) []byte { return appendSpan(b, span) })
				}
				return appendString(b, 3, scope.SchemaURL)
			})
			spans = spans[n:]
		}
		return b
	})
}

func appendSpan(b []byte, span trace.ReadOnlySpan) []byte {
	context, parent := span.SpanContext(), span.Parent()
	traceID, spanID := context.TraceID(), context.SpanID()
	b = appendBytes(b, 1, traceID[:])
	b = appendBytes(b, 2, spanID[:])
	b = appendString(b, 3, context.TraceState().String())
	if id := parent.SpanID(); id.IsValid() {
		b = appendBytes(b, 4, id[:])
	}
	b = appendString(b, 5, span.Name())
	b = appendUint(b, 6, uint64(span.SpanKind()))
	b = appendTime(b, 7, span.StartTime())
	b = appendTime(b, 8, span.EndTime())
	b = appendAttributes(b, 9, span.Attributes())
	b = appendUint(b, 10, uint64(span.DroppedAttributes()))
	for _, event := range span.Events() {
		b = appendMessage(b, 11, func(b []byte) []byte {
			b = appendTime(b, 1, event.Time)
			b = appendString(b, 2, event.Name)
			b = appendAttributes(b, 3, event.Attributes)
			return appendUint(b, 4, uint64(event.DroppedAttributeCount))
		})
	}
	b = appendUint(b, 12, uint64(span.DroppedEvents()))
	for _, link := range span.Links() {
		b = appendMessage(b, 13, func(b []byte) []byte {
			traceID, spanID := link.SpanContext.TraceID(), link.SpanContext.SpanID()
			b = appendBytes(b, 1, traceID[:])
			b = appendBytes(b, 2, spanID[:])
			b = appendString(b, 3, link.SpanContext.TraceState().String())
			b = appendAttributes(b, 4, link.Attributes)
			b = appendUint(b, 5, uint64(link.DroppedAttributeCount))
			return appendFlags(b, 6, byte(link.SpanContext.TraceFlags()), link.SpanContext.IsRemote())
		})
	}
	b = appendUint(b, 14, uint64(span.DroppedLinks()))
	if status := span.Status(); status.Code != codes.Unset {
		b = appendMessage(b, 15, func(b []byte) []byte {
			b = appendString(b, 2, status.Description)
			code := uint64(1) // STATUS_CODE_OK
			if status.Code == codes.Error {
				code = 2
			}
			return appendUint(b, 3, code)
		})
	}
	return appendFlags(b, 16, byte(context.TraceFlags()), parent.IsRemote())
}

// appendFlags appends the flags of the W3C's trace context. Two bits above them say whether the
// other span is remote, and that this is known.
func appendFlags(b []byte, number int, flags byte, remote bool) []byte {
	value := uint32(flags) | 1<<8
	if remote {
		value |= 1 << 9
	}
	return binary.LittleEndian.AppendUint32(appendTag(b, number, fixed32), value)
}

// appendMetrics appends a MetricsData, which has the bytes of an ExportMetricsServiceRequest. The
// error names metrics that it cannot express and left out.
func appendMetrics(b []byte, data *metricdata.ResourceMetrics) (_ []byte, unknown error) {
	b = appendMessage(b, 1, func(b []byte) []byte { // ResourceMetrics
		b = appendResource(b, data.Resource)
		for _, scope := range data.ScopeMetrics {
			b = appendMessage(b, 2, func(b []byte) []byte { // ScopeMetrics
				b = appendScope(b, scope.Scope)
				for _, m := range scope.Metrics {
					b = appendMessage(b, 2, func(b []byte) []byte {
						b = appendString(b, 1, m.Name)
						b = appendString(b, 2, m.Description)
						b = appendString(b, 3, m.Unit)
						b, known := appendData[int64](b, m.Data)
						if !known {
							b, known = appendData[float64](b, m.Data)
						}
						if !known {
							unknown = errors.Join(unknown, fmt.Errorf("the metric %s was not sent: it is a %T", m.Name, m.Data))
						}
						return b
					})
				}
				return appendString(b, 3, scope.Scope.SchemaURL)
			})
		}
		return b
	})
	return b, unknown
}

// appendData appends data of numbers of one type. It is not known if it is of another type.
func appendData[N int64 | float64](b []byte, data metricdata.Aggregation) (_ []byte, known bool) {
	switch data := data.(type) {
	case metricdata.Gauge[N]:
		return appendMessage(b, 5, func(b []byte) []byte { return appendPoints(b, data.DataPoints) }), true
	case metricdata.Sum[N]:
		return appendMessage(b, 7, func(b []byte) []byte {
			b = appendPoints(b, data.DataPoints)
			b = appendTemporality(b, data.Temporality)
			return appendUint(b, 3, number(data.IsMonotonic))
		}), true
	case metricdata.Histogram[N]:
		return appendMessage(b, 9, func(b []byte) []byte { return appendHistogram(b, data) }), true
	}
	return b, false
}

func appendPoints[N int64 | float64](b []byte, points []metricdata.DataPoint[N]) []byte {
	for _, point := range points {
		b = appendMessage(b, 1, func(b []byte) []byte { // NumberDataPoint
			b = appendTime(b, 2, point.StartTime)
			b = appendTime(b, 3, point.Time)
			if value, ok := any(point.Value).(int64); ok {
				b = binary.LittleEndian.AppendUint64(appendTag(b, 6, fixed64), uint64(value))
			} else {
				b = appendDouble(b, 4, float64(point.Value))
			}
			return appendAttributes(b, 7, point.Attributes.ToSlice())
		})
	}
	return b
}

func appendHistogram[N int64 | float64](b []byte, histogram metricdata.Histogram[N]) []byte {
	for _, point := range histogram.DataPoints {
		b = appendMessage(b, 1, func(b []byte) []byte { // HistogramDataPoint
			b = appendTime(b, 2, point.StartTime)
			b = appendTime(b, 3, point.Time)
			b = binary.LittleEndian.AppendUint64(appendTag(b, 4, fixed64), point.Count)
			b = appendDouble(b, 5, float64(point.Sum))
			b = appendMessage(b, 6, func(b []byte) []byte {
				for _, count := range point.BucketCounts {
					b = binary.LittleEndian.AppendUint64(b, count)
				}
				return b
			})
			b = appendMessage(b, 7, func(b []byte) []byte {
				for _, bound := range point.Bounds {
					b = binary.LittleEndian.AppendUint64(b, math.Float64bits(bound))
				}
				return b
			})
			b = appendAttributes(b, 9, point.Attributes.ToSlice())
			if least, ok := point.Min.Value(); ok {
				b = appendDouble(b, 11, float64(least))
			}
			if most, ok := point.Max.Value(); ok {
				b = appendDouble(b, 12, float64(most))
			}
			return b
		})
	}
	return appendTemporality(b, histogram.Temporality)
}

func appendTemporality(b []byte, temporality metricdata.Temporality) []byte {
	value := uint64(2) // AGGREGATION_TEMPORALITY_CUMULATIVE
	if temporality == metricdata.DeltaTemporality {
		value = 1
	}
	return appendUint(b, 2, value)
}

// appendResource appends the resource and the address of its schema. Both messages with a resource
// use the same numbers.
func appendResource(b []byte, r *resource.Resource) []byte {
	b = appendMessage(b, 1, func(b []byte) []byte { return appendAttributes(b, 1, r.Attributes()) })
	return appendString(b, 3, r.SchemaURL())
}

func appendScope(b []byte, scope instrumentation.Scope) []byte {
	return appendMessage(b, 1, func(b []byte) []byte {
		b = appendString(b, 1, scope.Name)
		b = appendString(b, 2, scope.Version)
		return appendAttributes(b, 3, scope.Attributes.ToSlice())
	})
}

func appendAttributes(b []byte, number int, attributes []attribute.KeyValue) []byte {
	for _, a := range attributes {
		b = appendMessage(b, number, func(b []byte) []byte { // KeyValue
			b = appendString(b, 1, string(a.Key))
			return appendMessage(b, 2, func(b []byte) []byte { return appendValue(b, a.Value) })
		})
	}
	return b
}

// appendValue appends an AnyValue, even if it is zero: the field says the type. A value other than
// a number or a list of texts is sent as text.
func appendValue(b []byte, value attribute.Value) []byte {
	switch value.Type() {
	case attribute.BOOL:
		return binary.AppendUvarint(appendTag(b, 2, varint), number(value.AsBool()))
	case attribute.INT64:
		return binary.AppendUvarint(appendTag(b, 3, varint), uint64(value.AsInt64()))
	case attribute.FLOAT64:
		return appendDouble(b, 4, value.AsFloat64())
	case attribute.STRINGSLICE:
		return appendMessage(b, 5, func(b []byte) []byte { // ArrayValue
			for _, s := range value.AsStringSlice() {
				b = appendMessage(b, 1, func(b []byte) []byte { return appendValue(b, attribute.StringValue(s)) })
			}
			return b
		})
	case attribute.EMPTY:
		return b
	default:
		return appendText(b, 1, value.String())
	}
}

// appendMessage appends a field with the bytes that fill appends.
func appendMessage(b []byte, number int, fill func([]byte) []byte) []byte {
	b = appendTag(b, number, lengthDelimited)
	start := len(b)
	b = fill(b)
	var length [binary.MaxVarintLen64]byte
	return slices.Insert(b, start, binary.AppendUvarint(length[:0], uint64(len(b)-start))...)
}

func appendString(b []byte, number int, s string) []byte {
	if s == "" {
		return b
	}
	return appendText(b, number, s)
}

// appendText appends a text, even an empty one. A receiver refuses the whole message if a text is
// not UTF-8.
func appendText(b []byte, number int, s string) []byte {
	s = strings.ToValidUTF8(s, "\ufffd")
	return append(binary.AppendUvarint(appendTag(b, number, lengthDelimited), uint64(len(s))), s...)
}

func appendBytes(b []byte, number int, value []byte) []byte {
	return append(binary.AppendUvarint(appendTag(b, number, lengthDelimited), uint64(len(value))), value...)
}

func appendUint(b []byte, number int, value uint64) []byte {
	if value == 0 {
		return b
	}
	return binary.AppendUvarint(appendTag(b, number, varint), value)
}

func number(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

func appendDouble(b []byte, number int, value float64) []byte {
	return binary.LittleEndian.AppendUint64(appendTag(b, number, fixed64), math.Float64bits(value))
}

func appendTime(b []byte, number int, at time.Time) []byte {
	if at.IsZero() {
		return b
	}
	return binary.LittleEndian.AppendUint64(appendTag(b, number, fixed64), uint64(at.UnixNano()))
}
