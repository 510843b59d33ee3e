package main

import (
	"bufio"
	"bytes"
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
	// connections is how many requests are under way in the closed loop.
	connections = 32
	// startTimeout is how long a server may take until it answers.
	startTimeout = 10 * time.Second
)

// client loads a server.
type client struct {
	address string
	// http is that of the open loop. It keeps its connections from round to
	// round, so that the slowest requests are not those that open one.
	http http.Client
}

func newClient(address string) *client {
	return &client{address: address, http: http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: vegeta.DefaultConnections},
		Timeout:   vegeta.DefaultTimeout,
	}}
}

// awaitAnswer asks until the server answers as it will in the measurements.
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
// Vegeta and net/http's client take more processor time for a request than what is
// measured, on the same processors. So this loop uses neither, and parses only the
// first answer on a connection.
func (c *client) closedLoop(ctx context.Context, requests int64) (perSecond float64, err error) {
	request := requestTo(c.address)
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
			_ = conn.SetDeadline(time.Now().Add(vegeta.DefaultTimeout))
			if claimed.Add(1) > requests {
				return nil
			}
			length, err := firstAnswer(conn, request)
			if err != nil {
				return err
			}
			// The others are as long, or the last one never comes.
			answer := make([]byte, length)
			for claimed.Add(1) <= requests {
				if _, err := conn.Write(request); err != nil {
					return err
				}
				if _, err := io.ReadFull(conn, answer); err != nil {
					return err
				}
				if !bytes.HasPrefix(answer, []byte("HTTP/1.1 200 ")) {
					return fmt.Errorf("GET %s: answered %q, want 200", route, answer)
				}
			}
			return nil
		})
	}
	err = group.Wait()
	return float64(requests) / time.Since(start).Seconds(), err
}

// firstAnswer asks, and returns how long the answer is in bytes.
func firstAnswer(conn net.Conn, request []byte) (length int64, err error) {
	if _, err := conn.Write(request); err != nil {
		return 0, err
	}
	counted := &counter{reader: conn}
	reader := bufio.NewReader(counted)
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		return 0, err
	}
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return 0, err
	}
	if response.StatusCode != http.StatusOK || response.Close || reader.Buffered() > 0 {
		return 0, fmt.Errorf("GET %s: %s, Connection: %q, want 200 and a connection that is kept", route, response.Status, response.Header.Get("Connection"))
	}
	return counted.n, nil
}

// counter counts what is read.
type counter struct {
	reader io.Reader
	n      int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.reader.Read(p)
	c.n += int64(n)
	return n, err
}

// askOnce asks on a connection of its own.
func askOnce(address string) error {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(startTimeout))
	_, err = firstAnswer(conn, requestTo(address))
	return err
}

func requestTo(address string) []byte {
	return []byte("GET " + route + " HTTP/1.1\r\nHost: " + address + "\r\nUser-Agent: bench\r\n\r\n")
}

// openLoop sends requests at a rate per second, whether those before are answered
// or not, and returns how long they took.
func (c *client) openLoop(ctx context.Context, rate int, duration time.Duration) (vegeta.LatencyMetrics, error) {
	target := vegeta.NewStaticTargeter(vegeta.Target{Method: http.MethodGet, URL: "http://" + c.address + route})
	attacker := vegeta.NewAttacker(vegeta.Client(&c.http))
	defer context.AfterFunc(ctx, func() { attacker.Stop() })()
	var metrics vegeta.Metrics
	for result := range attacker.Attack(target, vegeta.Rate{Freq: rate, Per: time.Second}, duration, "") {
		metrics.Add(result)
	}
	metrics.Close()
	if metrics.Success < 1 {
		return metrics.Latencies, fmt.Errorf("of %d requests %.2f %% were answered with 200: %q", metrics.Requests, 100*metrics.Success, metrics.Errors)
	}
	return metrics.Latencies, context.Cause(ctx)
}
