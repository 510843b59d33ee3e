package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
	"golang.org/x/sync/errgroup"
)

const (
	// connections is the number of connections in the closed loop.
	connections = 32
	// startTimeout is the time that a server has until its first answer.
	startTimeout = 10 * time.Second
)

// client loads a server.
type client struct {
	address string
	// route is the path of all requests. In the open loop, a verb of fmt in it gets a number that is another in each request.
	route string
	sent  atomic.Int64
	// http belongs to the open loop. It keeps its connections from round to round, so that the
	// slowest requests are not those that open one.
	http http.Client
}

func newClient(address, route string) *client {
	return &client{address: address, route: route, http: http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: vegeta.DefaultConnections},
		Timeout:   vegeta.DefaultTimeout,
	}}
}

// closedLoop sends a number of requests and returns the answers per second. Each connection
// sends its next request after the last answer.
//
// Vegeta and net/http's client take more processor time for a request than the server, on the
// same processors. So this loop uses neither, and parses only the first answer on a connection.
func (c *client) closedLoop(ctx context.Context, requests int64) (perSecond float64, err error) {
	request := c.request()
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
			length, err := c.firstAnswer(conn)
			if err != nil {
				return err
			}
			answer := make([]byte, length) // a later answer of another length is an error, or a timeout
			for claimed.Add(1) <= requests {
				if _, err := conn.Write(request); err != nil {
					return err
				}
				if _, err := io.ReadFull(conn, answer); err != nil {
					return err
				}
				if !bytes.HasPrefix(answer, []byte("HTTP/1.1 200 ")) {
					return fmt.Errorf("GET %s: answered %q, want 200", c.route, answer)
				}
			}
			return nil
		})
	}
	err = group.Wait()
	return float64(requests) / time.Since(start).Seconds(), err
}

// firstAnswer sends the request and returns the length of the answer in bytes.
func (c *client) firstAnswer(conn net.Conn) (length int, err error) {
	if _, err := conn.Write(c.request()); err != nil {
		return 0, err
	}
	var answer bytes.Buffer
	reader := bufio.NewReader(io.TeeReader(conn, &answer))
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		return 0, err
	}
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return 0, err
	}
	if response.StatusCode != http.StatusOK || response.Close || reader.Buffered() > 0 {
		return 0, fmt.Errorf("GET %s: %s, Connection: %q, want 200 and a connection that is kept", c.route, response.Status, response.Header.Get("Connection"))
	}
	return answer.Len(), nil
}

// awaitAnswer sends requests, each on a new connection, until one is answered with 200.
func (c *client) awaitAnswer(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("not ready within %v", startTimeout))
	defer cancel()
	ask := func() error {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", c.address)
		if err != nil {
			return err
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(startTimeout))
		_, err = c.firstAnswer(conn)
		return err
	}
	for {
		err := ask()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w; the last answer: %v", context.Cause(ctx), err)
		case <-time.After(100 * time.Microsecond):
		}
	}
}

func (c *client) request() []byte {
	return []byte("GET " + c.route + " HTTP/1.1\r\nHost: " + c.address + "\r\nUser-Agent: bench\r\n\r\n")
}

// openLoop sends requests at a rate per second, without waiting for answers, and returns the
// latencies.
func (c *client) openLoop(ctx context.Context, rate int, duration time.Duration) (vegeta.LatencyMetrics, error) {
	target := func(t *vegeta.Target) error {
		t.Method, t.URL = http.MethodGet, "http://"+c.address+c.route
		if strings.Contains(t.URL, "%") {
			t.URL = fmt.Sprintf(t.URL, c.sent.Add(1))
		}
		return nil
	}
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
