package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// route is what is asked for: one record, so that most of the work is the server's
// and not that of what it serves.
const route = "/api/users/1"

const (
	// closedRequests is how many requests a round has with the next one always
	// waiting.
	closedRequests = 5000
	// openRate is in requests per second. It is far below what any server here
	// can do, so that requests do not queue up.
	openRate     = 2000
	openDuration = 600 * time.Millisecond
	// stopTimeout is how long a server may take to end.
	stopTimeout = 10 * time.Second
)

// server is a process that answers requests.
type server struct {
	name    string
	client  *client
	process *exec.Cmd
	output  bytes.Buffer
	cancel  func()
	exited  chan error
}

// startServer starts a server and waits until it answers. Its standard output goes
// to a file; with nil, to what is said after an error. Stop the server that is
// returned, even after an error.
func startServer(ctx context.Context, name, address string, stdout *os.File, env []string, command ...string) (*server, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	s := &server{name: name, client: newClient(address), cancel: func() { cancel(nil) }, exited: make(chan error, 1)}
	s.process = exec.CommandContext(ctx, command[0], command[1:]...)
	s.process.Env = append(os.Environ(), env...)
	s.process.Stdout, s.process.Stderr = &s.output, &s.output
	if stdout != nil {
		s.process.Stdout = stdout
	}
	s.process.Cancel = func() error { return s.process.Process.Signal(syscall.SIGTERM) }
	s.process.WaitDelay = stopTimeout
	if err := s.process.Start(); err != nil {
		s.cancel()
		return nil, err
	}
	go func() {
		s.exited <- s.process.Wait()
		cancel(errors.New("the process has ended"))
	}()
	if err := s.client.awaitAnswer(ctx); err != nil {
		return s, fmt.Errorf("%s: %w", name, err)
	}
	return s, nil
}

// stop ends the process and waits for it. A process that did not end as it was told
// to is an error, with what the process had to say.
func (s *server) stop() error {
	s.client.http.CloseIdleConnections()
	s.cancel()
	err := <-s.exited
	told := false // to end, and has no way of its own to do so
	if status, ok := s.process.ProcessState.Sys().(syscall.WaitStatus); ok {
		told = status.Signaled() && status.Signal() == syscall.SIGTERM
	}
	if err != nil && !told && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("%s: %w\n%s", s.name, err, s.output.Bytes())
	}
	return nil
}

// stopAll stops servers, the last one first.
func stopAll(servers []*server) (err error) {
	for i := len(servers) - 1; i >= 0; i-- {
		err = errors.Join(err, servers[i].stop())
	}
	return err
}

// round loads the server, and returns what it did and took.
func (s *server) round(ctx context.Context) ([]figure, error) {
	pid := s.process.Process.Pid
	before, err := processorTime(pid)
	if err != nil {
		return nil, err
	}
	perSecond, err := s.client.closedLoop(ctx, closedRequests)
	if err != nil {
		return nil, err
	}
	after, err := processorTime(pid)
	if err != nil {
		return nil, err
	}
	loaded, err := resident(pid)
	if err != nil {
		return nil, err
	}
	latencies, err := s.client.openLoop(ctx, openRate, openDuration)
	return []figure{
		{perSecond, "req/s"}, {(after - before).Seconds() / closedRequests, "cpu-sec/req"},
		{latencies.P50.Seconds(), "p50-sec"}, {latencies.P99.Seconds(), "p99-sec"}, {loaded, "loaded-B"},
	}, err
}

// processorTime is what a process and its children have had.
func processorTime(pid int) (time.Duration, error) {
	sum, err := threadTime(pid)
	if err != nil {
		return 0, err
	}
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, list := range lists {
		children, err := os.ReadFile(list)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return 0, err
		}
		for _, child := range strings.Fields(string(children)) {
			number, err := strconv.Atoi(child)
			if err != nil {
				return 0, err
			}
			more, err := processorTime(number)
			if err != nil {
				return 0, err
			}
			sum += more
		}
	}
	return sum, err
}

// threadTime is what all threads of a process have had, exact to the nanosecond
// (https://docs.kernel.org/scheduler/sched-stats.html).
func threadTime(pid int) (sum time.Duration, err error) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	for _, task := range tasks {
		text, err := os.ReadFile(task)
		if errors.Is(err, fs.ErrNotExist) { // a thread that has just ended
			continue
		}
		var running time.Duration
		if _, scanErr := fmt.Sscan(string(text), &running); err != nil || scanErr != nil {
			return 0, fmt.Errorf("%s: %q: %w", task, text, errors.Join(err, scanErr))
		}
		sum += running
	}
	return sum, err
}

// resident is the memory that a process holds, in bytes.
func resident(pid int) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	var kiB float64
	_, after, _ := bytes.Cut(status, []byte("VmRSS:"))
	_, err = fmt.Sscan(string(after), &kiB)
	return kiB * 1024, err
}

// freeAddresses are addresses on this machine that nobody listens on.
func freeAddresses(n int) ([]string, error) {
	var addresses []string
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		// Not before all are taken, so that they differ.
		defer ln.Close()
		addresses = append(addresses, ln.Addr().String())
	}
	return addresses, nil
}

// portOf is the port of an address.
func portOf(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}
