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
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// route is the path of all requests: one record, so that most of the work is the server's.
const route = "/api/users/1"

const (
	// closedRequests is the number of requests of a round in the closed loop.
	closedRequests = 5000
	// openRate is in requests per second. It is far below what any server here can do, so that
	// no requests queue up.
	openRate     = 2000
	openDuration = 600 * time.Millisecond
	// stopTimeout is the time that a server has to end.
	stopTimeout = 10 * time.Second
)

// subject is a program to be measured, or one to compare with.
type subject struct {
	name    string
	command func(address string) []string
	pin     []string // words before the command
	image   float64  // minimum size of its image in bytes
	server  *server  // the one under load
}

func (s *subject) String() string { return s.name }

// server is a process that answers requests.
type server struct {
	name    string
	client  *client
	process *exec.Cmd
	output  bytes.Buffer
	cancel  func()
	exited  chan error
}

// startServer starts a server and waits until it answers. Its standard output goes to a file;
// with nil, to the error of stop. Stop a server that is returned, even after an error.
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
	if err := awaitAnswer(ctx, address, 20*time.Millisecond); err != nil {
		return s, fmt.Errorf("%s: %w", name, err)
	}
	return s, nil
}

// stop ends the process and waits for it. If the process fails, the error has its output.
func (s *server) stop() error {
	s.client.http.CloseIdleConnections()
	s.cancel()
	err := <-s.exited
	terminated := false // by our signal, which the process does not handle
	if status, ok := s.process.ProcessState.Sys().(syscall.WaitStatus); ok {
		terminated = status.Signaled() && status.Signal() == syscall.SIGTERM
	}
	if err != nil && !terminated && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("%s: %w\n%s", s.name, err, s.output.Bytes())
	}
	return nil
}

// startAll starts a server for each subject, at the address of the same index. Call stop even
// after an error: it stops the servers, the last one first.
func (b *bench) startAll(subjects []*subject, addresses []string, stdout *os.File, env func(address string) []string) (stop func() error, err error) {
	var started []*server
	stop = func() (err error) {
		for _, s := range slices.Backward(started) {
			err = errors.Join(err, s.stop())
		}
		return err
	}
	for i, s := range subjects {
		s.server, err = startServer(b.ctx, s.name, addresses[i], stdout, env(addresses[i]), slices.Concat(s.pin, s.command(addresses[i]))...)
		if s.server != nil {
			started = append(started, s.server)
		}
		if err != nil {
			return stop, err
		}
	}
	return stop, nil
}

// round loads the server, and returns its figures.
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

// processorTime returns the processor time of a process and its children.
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

// threadTime returns the processor time of all threads of a process, exact to the nanosecond
// (https://docs.kernel.org/scheduler/sched-stats.html).
func threadTime(pid int) (sum time.Duration, err error) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	for _, task := range tasks {
		text, err := os.ReadFile(task)
		if errors.Is(err, fs.ErrNotExist) { // the thread has just ended
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

// resident returns the memory of a process in bytes.
func resident(pid int) (kiB float64, err error) {
	_, err = fmt.Sscan(status(pid, "VmRSS"), &kiB)
	return kiB * 1024, err
}

// status returns a field of a process's status in /proc; empty if there is none.
func status(pid int, field string) string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, after, _ := strings.Cut(string(text), field+":")
	value, _, _ := strings.Cut(after, "\n")
	return strings.TrimSpace(value)
}

// freeAddresses returns addresses of this machine without a listener.
func freeAddresses(n int) ([]string, error) {
	var addresses []string
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer ln.Close() // when all are taken, so that they differ
		addresses = append(addresses, ln.Addr().String())
	}
	return addresses, nil
}

func portOf(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}
