package cloudfront

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"cutover/internal/local/provider"
	"cutover/internal/model"
)

// origin is where a behavior's answers come from.
type origin struct {
	*model.Origin
	// host is the origin's domain on AWS, which it gets as its Host. It differs from where it answers here.
	host string
	// path and headers have their values.
	path    string
	headers map[string]string
	// next is the key of what stands behind the origin.
	next string
	// at is where the origin answers here: a scheme and "host:port".
	at        func() (scheme, address string, err error)
	transport http.RoundTripper
}

// newTransport is the transport of an origin that answers on this machine.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/DownloadDistValuesOrigin.html
func newTransport(o *model.Origin) *http.Transport {
	dialer := net.Dialer{Timeout: o.ConnectionTimeout}
	return &http.Transport{
		DialContext:           dialer.DialContext,
		TLSClientConfig:       &tls.Config{InsecureSkipVerify: true}, // the certificate is one of this machine
		TLSHandshakeTimeout:   o.ConnectionTimeout,
		ResponseHeaderTimeout: o.ReadTimeout,
		IdleConnTimeout:       o.KeepAlive,
		MaxIdleConnsPerHost:   256,
		DisableCompression:    true,
	}
}

// errTimeout is the error of an origin that is silent for too long.
var errTimeout = errors.New("the origin does not answer in time")

// ask sends a request to the origin. Requests without a connection are sent again, and GET and HEAD whatever happened
// before an answer.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/RequestAndResponseBehaviorCustomOrigin.html#custom-origin-timeout-attempts
func (o *origin) ask(ctx context.Context, sent *request, body io.Reader, length int64) (*http.Response, error) {
	scheme, address, err := o.at()
	if err != nil {
		return nil, err
	}
	u := provider.RawURL(scheme, address, sent.path, sent.query)
	again := length == 0 && (sent.method == http.MethodGet || sent.method == http.MethodHead)
	var failed error
	for range o.Attempts {
		response, err := o.once(ctx, u, sent, body, length)
		var op *net.OpError
		connecting := errors.As(err, &op) && op.Op == "dial"
		if err == nil || ctx.Err() != nil || !again && !connecting {
			return response, err
		}
		failed = err
	}
	return nil, failed
}

func (o *origin) once(ctx context.Context, u *url.URL, sent *request, body io.Reader, length int64) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	r, err := http.NewRequestWithContext(ctx, sent.method, "http://origin/", nil)
	if err != nil {
		cancel(nil)
		return nil, err
	}
	r.URL, r.Host, r.Header, r.ContentLength = u, sent.header.Get("Host"), sent.header.Clone(), length
	r.Header.Del("Host")
	if length != 0 {
		r.Body = io.NopCloser(body)
	}
	response, err := o.transport.RoundTrip(r)
	if err != nil {
		cancel(nil)
		if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
			err = fmt.Errorf("%w: %w", errTimeout, err)
		}
		return nil, err
	}
	if stream, ok := response.Body.(io.ReadWriteCloser); ok && response.StatusCode == http.StatusSwitchingProtocols {
		response.Body = upgraded{stream, cancel}
		return response, nil
	}
	response.Body = &timed{response.Body, ctx, time.AfterFunc(o.ReadTimeout, func() { cancel(errTimeout) }), o.ReadTimeout, cancel}
	return response, nil
}

// upgraded is the connection to an origin that has changed the protocol.
type upgraded struct {
	io.ReadWriteCloser
	cancel context.CancelCauseFunc
}

func (u upgraded) Close() error {
	defer u.cancel(nil)
	return u.ReadWriteCloser.Close()
}

// timed is a body that ends with an error if it is silent for too long.
type timed struct {
	io.ReadCloser
	ctx     context.Context
	silent  *time.Timer
	timeout time.Duration
	cancel  context.CancelCauseFunc
}

func (t *timed) Read(p []byte) (int, error) {
	t.silent.Reset(t.timeout)
	n, err := t.ReadCloser.Read(p)
	t.silent.Stop()
	if err != nil && err != io.EOF && context.Cause(t.ctx) == errTimeout {
		err = errTimeout
	}
	return n, err
}

func (t *timed) Close() error {
	t.silent.Stop()
	defer t.cancel(nil)
	return t.ReadCloser.Close()
}
