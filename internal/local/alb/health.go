package alb

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"cutover/internal/model"
)

// prober makes one health check of the target with that address. It returns an
// empty reason if the target passes.
type prober func(ctx context.Context, address string, check model.HealthCheck) (reason, description string)

// checks checks the health of a target until the context ends: at once, and then
// every interval, however long an answer takes.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks.html
func (g *group) checks(ctx context.Context, t *target, check model.HealthCheck) {
	ticker := time.NewTicker(check.Interval)
	defer ticker.Stop()
	for {
		probe, cancel := context.WithTimeout(ctx, check.Timeout)
		reason, description := g.probe(probe, t.Address, check)
		cancel()
		if ctx.Err() != nil {
			return
		}
		g.checked(ctx, t, reason, description)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// checked draws the conclusions of one check. One success makes a new target
// healthy; it takes as many as the threshold says to bring an unhealthy one back
// or to give a healthy or new one up.
func (g *group) checked(ctx context.Context, t *target, reason, description string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if ctx.Err() != nil {
		return
	}
	if reason != "" {
		t.passed, t.failed = 0, t.failed+1
		switch {
		case t.state == Unhealthy || t.failed >= g.config.Health.Unhealthy:
			t.slowSince = time.Time{}
			t.become(Unhealthy, reason, description)
		}
		return
	}
	t.passed, t.failed = t.passed+1, 0
	if t.state == Initial || t.state == Unhealthy && t.passed >= g.config.Health.Healthy {
		// Slow start is for a target that others can spare from work.
		// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-target-group-attributes.html#slow-start-mode
		if g.config.SlowStart > 0 {
			for _, other := range g.targets {
				if other.state == Healthy && other.slowSince.IsZero() {
					t.slowSince = time.Now()
				}
			}
		}
		t.become(Healthy, "", "")
	}
}

// httpProber checks over the network, on a new connection each time and without
// following redirects.
func httpProber(dial dialer) prober {
	transport := &http.Transport{
		DialContext:         dial,
		DisableKeepAlives:   true,
		DisableCompression:  true,
		TLSClientConfig:     &tls.Config{InsecureSkipVerify: true},
		TLSHandshakeTimeout: connectTimeout,
	}
	return func(ctx context.Context, address string, check model.HealthCheck) (reason, description string) {
		scheme := "http://"
		if check.Protocol == "HTTPS" {
			scheme = "https://"
		}
		if check.Port != 0 {
			host, _, err := net.SplitHostPort(address)
			if err != nil {
				return failedHealthChecks, ""
			}
			address = net.JoinHostPort(host, strconv.Itoa(check.Port))
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+address+check.Path, nil)
		if err != nil {
			return failedHealthChecks, ""
		}
		request.Header.Set("User-Agent", "ELB-HealthChecker/2.0")
		response, err := transport.RoundTrip(request)
		if err != nil {
			if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
				return timeoutReason, ""
			}
			return failedHealthChecks, ""
		}
		// The body is read so that the target does not see its answer refused, but
		// an endless one does not hold up the checks.
		_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10))
		_ = response.Body.Close()
		for _, codes := range check.Codes {
			if codes.From <= response.StatusCode && response.StatusCode <= codes.To {
				return "", ""
			}
		}
		return responseCodeMismatch, fmt.Sprintf("Health checks failed with these codes: [%d]", response.StatusCode)
	}
}
