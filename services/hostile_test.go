package services_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"cutover/internal/nightly"
)

// patience is the longest time that a test waits, on the slowest machine.
const patience = 30 * time.Second

// checkLine returns the fields of a line of the log. A line is a JSON object of printable ASCII and
// of limited length, whatever a client sends.
func checkLine(line []byte) (map[string]any, error) {
	var fields map[string]any
	if err := json.Unmarshal(line, &fields); err != nil {
		return nil, fmt.Errorf("not a line of JSON: %q", line)
	}
	if i := bytes.IndexFunc(line, func(r rune) bool { return r < ' ' || r > '~' }); i >= 0 {
		return nil, fmt.Errorf("a line with %q: %q", line[i], line)
	}
	if len(line) > 4<<10 {
		return nil, fmt.Errorf("a line of %d bytes: %q", len(line), line)
	}
	return fields, nil
}

// Each attack goes to the monolith and to a microservice. They answer alike, log one line per
// answer, and go on.
func TestHostileRequests(t *testing.T) {
	for _, name := range []string{"api", "users"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, name)
			other := dial(t, p) // another client, on one connection throughout
			for i, attack := range attacks() {
				c := dial(t, p)
				c.conn.SetDeadline(time.Now().Add(patience))
				go io.WriteString(c.conn, attack.Raw) // the service may not read all of it

				method := "GET"
				if attack.Head {
					method = "HEAD"
				}
				statuses := attack.Answers
				if attack.Refusal != 0 {
					statuses = append(slices.Clone(statuses), attack.Refusal)
				}
				var got []int
				var last answer
				for range statuses {
					var err error
					if last, err = c.answer(method); last.status == 100 {
						last, err = c.answer(method)
					}
					if err != nil {
						t.Errorf("%s: after %v: %v", attack.Name, got, err)
						break
					}
					got = append(got, last.status)
				}
				if !slices.Equal(got, statuses) {
					t.Errorf("%s: answered %v, want %v", attack.Name, got, statuses)
					continue
				}
				closed := attack.Closed || attack.Refusal != 0
				if last.close != closed {
					t.Errorf("%s: the answer closes the connection: %t, want %t", attack.Name, last.close, closed)
				}
				if closed {
					if n, err := c.reader.Read(make([]byte, 1)); n > 0 || err == nil || strings.Contains(err.Error(), "timeout") {
						t.Errorf("%s: the connection is not closed: %d bytes, %v", attack.Name, n, err)
					}
				} else {
					statuses = append(slices.Clone(statuses), 200)
					if a, err := c.do("GET", "/api/users/3"); err != nil || a.status != 200 || !strings.Contains(a.body, `"id":3`) {
						t.Errorf("%s: the next request on the connection was answered %v, %v", attack.Name, a, err)
					}
				}
				c.conn.Close()

				mark := fmt.Sprintf("/attack/%d", i)
				if a, err := other.do("GET", mark); err != nil || a.status != 404 {
					t.Fatalf("%s: another client was answered %v, %v", attack.Name, a, err)
				}
				var logged []int
				for p.stdout.Scan() {
					line, err := checkLine(p.stdout.Bytes())
					if err != nil {
						t.Fatalf("%s: %v", attack.Name, err)
					}
					if line["path"] == mark {
						break
					}
					status, _ := line["status"].(float64)
					logged = append(logged, int(status))
					if line["msg"] != "request" || line["level"] != "INFO" {
						t.Errorf("%s: logged %v", attack.Name, line)
					}
				}
				if attack.Refusal != 0 {
					statuses = statuses[:len(statuses)-1]
				}
				if !slices.Equal(logged, statuses) {
					t.Errorf("%s: logged %v, want %v", attack.Name, logged, statuses)
				}
			}
		})
	}
}

// A storm of thousands of clients changes nothing in the service. Meanwhile other clients are
// served.
func TestStorm(t *testing.T) {
	nightly.Test(t, "it is a storm")
	if runtime.GOOS != "linux" {
		t.Skip("what a process holds is read from /proc, which is Linux's")
	}
	const clients = 1000
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < 8*clients {
		reason := fmt.Sprintf("needs %d file descriptors, has %d (%v): raise ulimit -n", 8*clients, limit.Cur, err)
		if os.Getenv("CI") != "" {
			t.Fatal(reason)
		}
		t.Skip(reason)
	}
	t.Parallel()
	p := start(t, "users")
	fresh := descriptors(t, p)

	lines := make(chan error, 1)
	go func() {
		var err error
		requests, at := 0, map[string]time.Time{} // at is by message
		for p.stdout.Scan() {
			fields, lineErr := checkLine(p.stdout.Bytes())
			err = errors.Join(err, lineErr)
			message, _ := fields["msg"].(string)
			at[message], lineErr = time.Parse(time.RFC3339Nano, fmt.Sprint(fields["time"]))
			err = errors.Join(err, lineErr)
			if status, _ := fields["status"].(float64); status >= 500 && status != 501 && status != 505 {
				err = errors.Join(err, fmt.Errorf("logged %s", p.stdout.Bytes()))
			}
			requests++
		}
		// The drain takes 5 s if a connection is still counted.
		if took := at["stopped"].Sub(at["stopping"]); took >= 5*time.Second || at["stopped"].IsZero() {
			err = errors.Join(err, fmt.Errorf("the stop took %s", took))
		}
		if requests < clients {
			err = errors.Join(err, fmt.Errorf("%d lines only", requests))
		}
		lines <- errors.Join(err, p.stdout.Err())
	}()

	done := make(chan struct{})
	var others sync.WaitGroup
	serve := func(kind string, connection func() *client) {
		others.Go(func() {
			slowest := time.Duration(0)
			for i := 1; ; i++ {
				began := time.Now()
				c := connection()
				if c == nil {
					return
				}
				c.conn.SetDeadline(began.Add(patience))
				if a, err := c.do("GET", "/api/users/2"); err != nil || a.status != 200 || !strings.Contains(a.body, `"id":2`) || a.close {
					t.Errorf("request %d of a client with %s: %v, %v", i, kind, a, err)
					return
				}
				if kind == "new connections" {
					c.conn.Close()
				}
				slowest = max(slowest, time.Since(began))
				select {
				case <-time.After(5 * time.Millisecond):
				case <-done:
					t.Logf("a client with %s was answered %d times, within %s", kind, i, slowest)
					if slowest > 5*time.Second {
						t.Errorf("a client with %s waited %s for an answer", kind, slowest)
					}
					return
				}
			}
		})
	}
	kept := dial(t, p)
	serve("one connection", func() *client { return kept })
	serve("new connections", func() *client {
		conn, err := net.DialTimeout("tcp", p.address, patience)
		if err != nil {
			t.Error(err)
			return nil
		}
		return &client{conn, bufio.NewReader(conn)}
	})

	if err := attackWithStorm(p.address, clients); err != nil {
		t.Error(err)
	}
	close(done)
	others.Wait()
	kept.conn.Close()

	for deadline := time.Now().Add(patience); descriptors(t, p) > fresh; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d file descriptors are open after the storm, %d before it", descriptors(t, p), fresh)
		}
	}
	peak := peakMiB(t, p)
	if peak > 160 {
		t.Errorf("the service took %d MiB: a task reserves 256 MiB, and the storm must leave 96 of it", peak)
	}
	t.Logf("the service took %d MiB at most", peak)
	p.terminate(t)
	if err := <-lines; err != nil {
		t.Error(err)
	}
	if code := p.exit(); code != 0 {
		t.Errorf("exit code %d after SIGTERM", code)
	}
}

// Idle clients cannot keep others out, even if the process may have fewer file descriptors than
// connections.
func TestFewDescriptors(t *testing.T) {
	t.Parallel()
	p := startCommand(t, exec.Command("sh", "-c", "ulimit -n 64 && exec "+filepath.Join(bin, "users")))
	for i := range 200 {
		c := dial(t, p) // and stays idle
		c.conn.SetDeadline(time.Now().Add(patience))
		if a, err := c.do("GET", "/api/users/1"); err != nil || a.status != 200 {
			t.Fatalf("client %d was answered %v, %v", i, a, err)
		}
	}
}

// descriptors returns the number of the service's file descriptors.
func descriptors(t *testing.T, p *process) int {
	t.Helper()
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.command.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(open)
}

// peakMiB returns the most resident memory of the service so far.
func peakMiB(t *testing.T, p *process) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.command.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	var kB int
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	if _, err := fmt.Sscan(after, &kB); err != nil {
		t.Fatal(err)
	}
	return kB / 1024
}
