package main

import (
	"cmp"
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

// route is the path that a subject is asked for: one record, so that most of the work is the server's.
const route = "/api/users/1"

const (
	// compiled is the number of requests after which Node.js has compiled its hot code.
	compiled = 30_000
	// closedRequests is the number of requests of a round in the closed loop.
	closedRequests = 5000
	// openRate is in requests per second. It is far below what any server here can do, so that
	// no requests queue up.
	openRate     = 2000
	openDuration = 600 * time.Millisecond
	// stopTimeout is the time that a server has to end. A consumer waits up to 10 s for an answer of its queue.
	stopTimeout = 15 * time.Second
)

// subject is a program to be measured, or one to compare with.
type subject struct {
	name    string
	command func(address string) []string
	env     []string // besides PORT
	route   string   // default: the constant
	warmup  int64    // requests before the first round
	image   float64  // minimum size of its image in bytes
	server  *server  // the one under load
}

func (s *subject) String() string { return s.name }

// server is a process that answers requests.
type server struct {
	name    string
	client  *client
	process *exec.Cmd
	log     *os.File // its output
	cancel  func()
	exited  chan error
}

// start starts a server and waits until it answers. Without an address, the server chooses one and
// prints it first. Stop a server that is returned, even after an error.
func (b *bench) start(s *subject, address string) (*server, error) {
	log, err := os.CreateTemp(b.work, s.name)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(b.ctx)
	command := s.command(address)
	started := &server{name: s.name, client: newClient(address, cmp.Or(s.route, route)), log: log, cancel: func() { cancel(nil) }, exited: make(chan error, 1)}
	started.process = exec.CommandContext(ctx, command[0], command[1:]...)
	started.process.Env = slices.Concat(os.Environ(), s.env, []string{"PORT=" + portOf(address)})
	started.process.Stdout, started.process.Stderr = log, log
	started.process.Cancel = func() error { return started.process.Process.Signal(syscall.SIGTERM) }
	started.process.WaitDelay = stopTimeout
	if err := started.process.Start(); err != nil {
		started.cancel()
		return nil, errors.Join(err, log.Close())
	}
	go func() {
		started.exited <- started.process.Wait()
		cancel(errors.New("the process has ended"))
	}()
	for ; started.client.address == "" && ctx.Err() == nil; time.Sleep(time.Millisecond) {
		output, _ := os.ReadFile(log.Name())
		if line, _, whole := strings.Cut(string(output), "\n"); whole {
			started.client.address = line
		}
	}
	if err := started.client.awaitAnswer(ctx); err != nil {
		return started, fmt.Errorf("%s: %w", s.name, err)
	}
	return started, nil
}

// stop ends the process and waits for it. If the process fails, the error has the end of its output.
func (s *server) stop() error {
	defer s.log.Close()
	s.client.http.CloseIdleConnections()
	s.cancel()
	err := <-s.exited
	status, _ := s.process.ProcessState.Sys().(syscall.WaitStatus)
	terminated := status.Signaled() && status.Signal() == syscall.SIGTERM // by us: the process does not handle it
	if err == nil || terminated || errors.Is(err, context.Canceled) {
		return nil
	}
	output, _ := os.ReadFile(s.log.Name())
	return fmt.Errorf("%s: %w\n%s", s.name, err, output[max(0, len(output)-4<<10):])
}

// startAll starts a server for each subject, at the address of the same index. Call stop even
// after an error: it stops the servers, the last one first.
func (b *bench) startAll(subjects []*subject, addresses []string) (stop func() error, err error) {
	var started []*server
	stop = func() (err error) {
		for _, s := range slices.Backward(started) {
			err = errors.Join(err, s.stop())
		}
		return err
	}
	for i, s := range subjects {
		s.server, err = b.start(s, addresses[i])
		if s.server != nil {
			started = append(started, s.server)
		}
		if err != nil {
			return stop, err
		}
	}
	return stop, nil
}

// loadAll loads the servers in turns. The results are those of each round, and what more returns.
func (b *bench) loadAll(name string, subjects []*subject, more func(*subject) ([]figure, error)) (*results, error) {
	r := &results{}
	return r, turns(b, b.rounds+1, subjects, func(round int, s *subject) error {
		if round == 0 && s.warmup > 0 {
			if _, err := s.server.client.closedLoop(b.ctx, s.warmup); err != nil {
				return err
			}
		}
		figures, err := s.server.round(b.ctx)
		if err != nil || round == 0 { // the first one opens the connections
			return err
		}
		others, err := more(s)
		r.add(name+"/server="+s.name, append(figures, others...)...)
		return err
	})
}

// round loads the server, and returns its figures.
func (s *server) round(ctx context.Context) ([]figure, error) {
	pid := s.process.Process.Pid
	before, err := processorTime(pid, true)
	if err != nil {
		return nil, err
	}
	perSecond, err := s.client.closedLoop(ctx, closedRequests)
	if err != nil {
		return nil, err
	}
	after, err := processorTime(pid, true)
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

// processorTime returns the processor time of all threads of a process, and of its children if they
// are asked for, exact to the nanosecond (https://docs.kernel.org/scheduler/sched-stats.html).
func processorTime(pid int, children bool) (sum time.Duration, err error) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	for _, task := range tasks {
		text, err := os.ReadFile(filepath.Join(task, "schedstat"))
		if errors.Is(err, fs.ErrNotExist) { // the thread has just ended
			continue
		}
		var running time.Duration
		if _, scanErr := fmt.Sscan(string(text), &running); err != nil || scanErr != nil {
			return 0, fmt.Errorf("%s: %q: %w", task, text, errors.Join(err, scanErr))
		}
		sum += running
		if !children {
			continue
		}
		list, _ := os.ReadFile(filepath.Join(task, "children"))
		for _, child := range strings.Fields(string(list)) {
			number, _ := strconv.Atoi(child)
			more, err := processorTime(number, true)
			if err != nil {
				return 0, err
			}
			sum += more
		}
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
