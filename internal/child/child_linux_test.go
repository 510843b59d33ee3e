package child

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// starterVariable is an environment variable. With it, this program starts a child, says so, and is going to be killed.
const starterVariable = "CHILD_TEST_STARTER"

func TestMain(m *testing.M) {
	if os.Getenv(starterVariable) == "" {
		os.Exit(m.Run())
	}
	cmd := exec.Command("sh", "-c", "echo $$; exec sleep 1000")
	cmd.Stdout, cmd.SysProcAttr = os.Stdout, Attributes(syscall.SIGKILL)
	if err := Start(cmd.Start, func() { _ = cmd.Wait() }); err != nil {
		panic(err)
	}
	select {}
}

func TestEndsWithItsStarter(t *testing.T) {
	starter := exec.Command(os.Args[0])
	starter.Env = append(os.Environ(), starterVariable+"=yes")
	// The child has the other end, too: nothing more comes when both have ended.
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	starter.Stdout, starter.Stderr = in, os.Stderr
	if err := starter.Start(); err != nil {
		t.Fatal(err)
	}
	_ = in.Close()
	lines := bufio.NewReader(out)
	line, err := lines.ReadString('\n')
	_ = starter.Process.Kill()
	_ = starter.Wait()
	if err != nil {
		t.Fatal(err)
	}
	_ = out.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := io.Copy(io.Discard, lines); err != nil {
		t.Errorf("the child lives on: %v", err)
		if pid, err := strconv.Atoi(strings.TrimSpace(line)); err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// The thread of a child is nobody else's, who might end it.
func TestThreadLasts(t *testing.T) {
	thread, end, ended := 0, make(chan bool), make(chan bool)
	if err := Start(func() error { thread = syscall.Gettid(); return nil }, func() { <-end; close(ended) }); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		other := make(chan int)
		go func() {
			runtime.LockOSThread() // and never unlocks it
			other <- syscall.Gettid()
		}()
		if thread == <-other {
			t.Fatal("another goroutine ends the thread that started the child")
		}
	}
	close(end)
	<-ended
}

// A thread that ends takes with it all that it has started: tasks, and the programs behind the stores.
func TestNoThreadEnds(t *testing.T) {
	var threads []int
	for range 10 {
		ended := make(chan bool)
		if err := Start(func() error { threads = append(threads, syscall.Gettid()); return nil }, func() { close(ended) }); err != nil {
			t.Fatal(err)
		}
		<-ended
		for _, thread := range threads[:len(threads)-1] { // the last one may be ending
			if !lives(thread) {
				t.Fatalf("thread %d has ended", thread)
			}
		}
	}
}

// Nobody waits for a program that does not start.
func TestFails(t *testing.T) {
	wrong := errors.New("no")
	if err := Start(func() error { return wrong }, func() { t.Error("waits for nothing") }); err != wrong {
		t.Errorf("%v, want the error of the start", err)
	}
}

func lives(thread int) bool {
	_, err := os.Stat(fmt.Sprintf("/proc/self/task/%d", thread))
	return err == nil
}
