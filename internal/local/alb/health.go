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

// prober makes one health check of the target with that address, which a Lambda function lacks. The reason is empty if the target
// passes.
type prober func(ctx context.Context, address string, check model.HealthCheck) (reason, description string)

// checks checks the health of a target until the context ends: at once, and then every interval,
// however long an answer takes.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks.html
func (g *group) checks(ctx context.Context, t *target, check model.HealthCheck, probe prober) {
	ticker := time.NewTicker(check.Interval)
	defer ticker.Stop()
	for {
		timed, cancel := context.WithTimeout(ctx, check.Timeout)
		reason, description := probe(timed, t.Address, check)
		cancel()
		g.checked(ctx, t, reason, description)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// checked notes the result of a check. One success makes a new target healthy. Otherwise the
// thresholds say how many results in a row change the state.
func (g *group) checked(ctx context.Context, t *target, reason, description string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if ctx.Err() != nil {
		return
	}
	if reason != "" {
		t.passed, t.failed = 0, t.failed+1
		if t.State == Unhealthy || t.failed >= g.config.Health.Unhealthy {
			t.slowSince = time.Time{}
			t.become(Unhealthy, reason, description)
		}
		return
	}
	t.passed, t.failed = t.passed+1, 0
	if t.State == Initial || t.State == Unhealthy && t.passed >= g.config.Health.Healthy {
		// A target starts slowly if other targets can spare it work.
		// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-target-group-attributes.html#slow-start-mode
		if g.config.SlowStart > 0 {
			for _, other := range g.targets {
				if other.State == Healthy && other.slowSince.IsZero() {
					t.slowSince = time.Now()
				}
			}
		}
		t.become(Healthy, "", "")
	}
}

// healthChecker is the User-Agent of checks.
const healthChecker = "ELB-HealthChecker/2.0"

// probeTransport uses a new connection for each check.
var probeTransport = &http.Transport{
	DisableKeepAlives:  true,
	DisableCompression: true,
	TLSClientConfig:    &tls.Config{InsecureSkipVerify: true},
}

// probe checks over the network, without following redirects.
func probe(ctx context.Context, address string, check model.HealthCheck) (reason, description string) {
	if check.Port != 0 {
		host, _, _ := net.SplitHostPort(address) // Register has split it, too
		address = net.JoinHostPort(host, strconv.Itoa(check.Port))
	}
	if check.Protocol == "TCP" {
		return probeTCP(ctx, address)
	}
	scheme := "http://"
	if check.Protocol == "HTTPS" {
		scheme = "https://"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+address+check.Path, nil)
	if err != nil {
		return failedHealthChecks, ""
	}
	request.Header.Set("User-Agent", healthChecker)
	response, err := probeTransport.RoundTrip(request)
	switch {
	case errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded):
		return timeoutReason, ""
	case err != nil:
		return failedHealthChecks, ""
	}
	// The target must not see its answer refused, and an endless answer must not hold up the
	// checks.
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10))
	_ = response.Body.Close()
	return passes(check, response.StatusCode)
}

// passes says whether a status code passes a check.
func passes(check model.HealthCheck, status int) (reason, description string) {
	for _, codes := range check.Codes {
		if codes.From <= status && status <= codes.To {
			return "", ""
		}
	}
	return responseCodeMismatch, fmt.Sprintf("Health checks failed with these codes: [%d]", status)
}

// probeTCP passes if the target takes a connection.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/network/target-group-health-checks.html
func probeTCP(ctx context.Context, address string) (reason, description string) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	switch {
	case errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded):
		return timeoutReason, ""
	case err != nil:
		return failedHealthChecks, ""
	}
	_ = conn.Close()
	return "", ""
}
