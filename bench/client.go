package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
	"golang.org/x/sync/errgroup"
)

const (
	// connections are as many as requests are under way in the closed loop, of
	// which a round has closedRequests.
	connections    = 32
	closedRequests = 5000
	// openRate is in requests per second. It is far below what any server here
	// can do, so that requests do not queue up.
	openRate     = 2000
	openDuration = 600 * time.Millisecond

	// startTimeout is how long a server may take until it answers.
	startTimeout = 10 * time.Second
)

// client loads a server.
type client struct {
	address string
	// http is that of the open loop. It keeps its connections from round to
	// round, so that the slowest requests are not those that open one.
	http http.Client
	sent atomic.Int64
}

func newClient(address string) *client {
	return &client{address: address, http: http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: vegeta.DefaultConnections},
		Timeout:   vegeta.DefaultTimeout,
	}}
}

// awaitAnswer asks until it is answered as it will be in the measurements.
func (c *client) awaitAnswer(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("not ready within %v", startTimeout))
	defer cancel()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.address+route, nil)
		if err != nil {
			return err
		}
		response, err := c.http.Do(request)
		if err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
			err = errors.New(response.Status)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w; the last answer: %v", context.Cause(ctx), err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// closedLoop sends a number of requests, each connection the next one when the
// last is answered, and returns how many were answered in a second.
//
// Vegeta and net/http's client are not used for it: they take more processor time
// for a request than what is measured does, on the same processors.
func (c *client) closedLoop(ctx context.Context, requests int64) (perSecond float64, err error) {
	request := []byte("GET " + route + " HTTP/1.1\r\nHost: " + c.address + "\r\nUser-Agent: bench\r\n\r\n")
	var claimed atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	start := time.Now()
	for range connections {
		group.Go(func() error {
			conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", c.address)
			if err != nil {
				return err
			}
			defer conn.Close()
			defer context.AfterFunc(ctx, func() { conn.Close() })()
			reader := bufio.NewReader(conn)
			for claimed.Add(1) <= requests {
				if _, err := conn.Write(request); err != nil {
					return err
				}
				response, err := http.ReadResponse(reader, nil)
				if err != nil {
					return err
				}
				if _, err := io.Copy(io.Discard, response.Body); err != nil {
					return err
				}
				if response.StatusCode != http.StatusOK || response.Close {
					return fmt.Errorf("GET %s: %s, Connection: %q, want 200 and a connection that is kept", route, response.Status, response.Header.Get("Connection"))
				}
			}
			return nil
		})
	}
	err = group.Wait()
	c.sent.Add(requests)
	return float64(requests) / time.Since(start).Seconds(), err
}

// openLoop sends requests at a rate per second, whether those before are answered
// or not, and returns how long 99 of 100 took at most.
func (c *client) openLoop(ctx context.Context, rate int, duration time.Duration) (p99 time.Duration, err error) {
	target := vegeta.NewStaticTargeter(vegeta.Target{Method: http.MethodGet, URL: "http://" + c.address + route})
	attacker := vegeta.NewAttacker(vegeta.Client(&c.http))
	defer context.AfterFunc(ctx, func() { attacker.Stop() })()
	var metrics vegeta.Metrics
	for result := range attacker.Attack(target, vegeta.Rate{Freq: rate, Per: time.Second}, duration, "") {
		metrics.Add(result)
	}
	metrics.Close()
	c.sent.Add(int64(metrics.Requests))
	if metrics.Success < 1 {
		return 0, fmt.Errorf("of %d requests %.2f %% were answered with 200: %q", metrics.Requests, 100*metrics.Success, metrics.Errors)
	}
	return metrics.Latencies.P99, context.Cause(ctx)
}
