// Package otlp sends traces and metrics of OpenTelemetry's SDK to a collector, over HTTP and in
// protobuf, if the environment names one.
//
// OpenTelemetry's own exporters bring gRPC and protobuf's generated types, even while they are off:
// an image of 6.8 MB would have 14.3, a process of 6.5 MiB 11.9. With this package and the SDK it
// is 8.8 MB and 8.2 MiB (docs/performance.md). The package writes the messages that the services
// send. Its tests read them with the generated types.
package otlp

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Endpoint is the destination of one signal.
type Endpoint struct {
	url     string
	headers http.Header
	timeout time.Duration // of an export, with its repetitions
}

// https://opentelemetry.io/docs/specs/otel/protocol/exporter/
const defaultTimeout = 10 * time.Second

// FromEnvironment returns the destinations of traces and metrics. A destination is nil unless
// OTEL_EXPORTER_OTLP_ENDPOINT is set, or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT or
// OTEL_EXPORTER_OTLP_METRICS_ENDPOINT for one of them. The specification
// (https://opentelemetry.io/docs/specs/otel/protocol/exporter/) would send to localhost instead.
// The error lists every invalid variable.
func FromEnvironment(getenv func(string) string) (traces, metrics *Endpoint, err error) {
	if strings.EqualFold(getenv("OTEL_SDK_DISABLED"), "true") {
		return nil, nil, nil
	}
	traces, err = endpoint(getenv, "TRACES", "v1/traces")
	metrics, err2 := endpoint(getenv, "METRICS", "v1/metrics")
	return traces, metrics, errors.Join(err, err2)
}

// endpoint reads the variables of a signal. They take precedence over the variables of all signals.
func endpoint(getenv func(string) string, signal, path string) (*Endpoint, error) {
	var errs []error
	refuse := func(name, value, want string) {
		errs = append(errs, fmt.Errorf("%s=%q: must be %s", name, value, want))
	}
	lookup := func(option string) (name, value string) {
		name = "OTEL_EXPORTER_OTLP_" + signal + "_" + option
		if value = getenv(name); value == "" {
			name = "OTEL_EXPORTER_OTLP_" + option
			value = getenv(name)
		}
		return name, value
	}

	name, base := lookup("ENDPOINT")
	if base == "" {
		return nil, nil
	}
	switch exporter := getenv("OTEL_" + signal + "_EXPORTER"); exporter {
	case "none":
		return nil, nil
	case "", "otlp":
	default:
		refuse("OTEL_"+signal+"_EXPORTER", exporter, "otlp or none")
	}

	e := &Endpoint{timeout: defaultTimeout, headers: http.Header{}}
	// There may be a password between the scheme and the host.
	if u, err := url.Parse(base); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		errs = append(errs, fmt.Errorf("%s is not the address of a collector: must be like http://collector:4318", name))
	} else {
		if name == "OTEL_EXPORTER_OTLP_ENDPOINT" {
			u = u.JoinPath(path)
		} else if u.Path == "" {
			u.Path = "/"
		}
		e.url = u.String()
	}
	if name, protocol := lookup("PROTOCOL"); protocol != "" && protocol != "http/protobuf" {
		refuse(name, protocol, "http/protobuf, the only protocol that a service has")
	}
	if name, timeout := lookup("TIMEOUT"); timeout != "" {
		ms, err := strconv.ParseUint(timeout, 10, 31)
		if err != nil || ms == 0 {
			refuse(name, timeout, "a number of milliseconds above 0")
		}
		e.timeout = time.Duration(ms) * time.Millisecond
	}
	if name, headers := lookup("HEADERS"); headers != "" {
		for header := range strings.SplitSeq(headers, ",") {
			key, value, ok := strings.Cut(header, "=")
			value, err := url.PathUnescape(strings.TrimSpace(value))
			if key = strings.TrimSpace(key); !ok || key == "" || strings.ContainsAny(key, " \t\r\n:") || strings.ContainsAny(value, "\r\n\x00") || err != nil {
				// The value may be a key or a password.
				errs = append(errs, fmt.Errorf("%s cannot be read: must be NAME=VALUE,NAME=VALUE with percent-encoded values", name))
				break
			}
			e.headers.Set(key, value)
		}
	}
	return e, errors.Join(errs...)
}
