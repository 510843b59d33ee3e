package apigateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"cutover/internal/local/provider"
	"cutover/internal/model"
)

// maxPayload is the size of a body, of a request or an answer.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
const maxPayload = 10 << 20

// integrationHeader are the headers that an integration gets of the client's, and of its own parameters.
func integrationHeader(found *route, r *request, drop ...[]string) http.Header {
	out := r.header.Clone()
	for _, names := range append(drop, dropped) {
		for _, name := range names {
			delete(out, name)
		}
	}
	if signed(r.header) || found.method.Authorization == "AWS_IAM" {
		delete(out, "Authorization")
	}
	for name := range found.method.Integration.Parameters {
		if kind, key := parameterName(name); kind == "header" {
			if values := r.values(found, found.method.Integration.Parameters, name); len(values) > 0 {
				out[http.CanonicalHeaderKey(key)] = values
			}
		}
	}
	return out
}

// integrationQuery is the query as it was sent, and the parameters of the integration behind it.
func integrationQuery(found *route, r *request) string {
	query := r.query
	of := found.method.Integration.Parameters
	for _, name := range slices.Sorted(maps.Keys(of)) {
		if kind, key := parameterName(name); kind == "querystring" {
			for _, value := range r.values(found, of, name) {
				if query != "" {
					query += "&"
				}
				query += url.QueryEscape(key) + "=" + url.QueryEscape(value)
			}
		}
	}
	return query
}

// forward asks the load balancer of an integration, at an address of this machine.
func forward(ctx context.Context, transport http.RoundTripper, i *model.Integration, method, host, address, path, query string, header http.Header, body []byte) (*answer, refusal) {
	ctx, cancel := context.WithTimeout(ctx, i.Timeout)
	defer cancel()
	out := (&http.Request{
		Method: method, URL: provider.RawURL(i.Scheme, address, path, query), Host: host, Header: header, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Body: http.NoBody,
	}).WithContext(ctx)
	if len(body) > 0 {
		out.Body, out.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	}
	delete(out.Header, "Content-Length")
	if len(out.Header["User-Agent"]) == 0 {
		out.Header["User-Agent"] = []string{""} // not that of net/http
	}
	response, err := transport.RoundTrip(out)
	if err == nil {
		defer func() { _ = response.Body.Close() }()
		var text []byte
		if text, err = io.ReadAll(io.LimitReader(response.Body, maxPayload+1)); err == nil {
			if len(text) > maxPayload {
				return nil, errConfiguration
			}
			return &answer{response.StatusCode, response.Header, text}, refusal{}
		}
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return nil, errTimeout
	}
	return nil, errNetwork
}
