package docker

import (
	"bytes"
	"debug/elf"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"cutover/internal/model"
)

// The program is one for its machine, and waits until it is killed.
func TestPauseProgram(t *testing.T) {
	for architecture, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		program, err := pauseProgram(architecture)
		if err != nil {
			t.Fatal(err)
		}
		file, err := elf.NewFile(bytes.NewReader(program))
		if err != nil {
			t.Fatal(err)
		}
		if file.Machine != machine || len(file.Progs) != 1 || file.Progs[0].Filesz != uint64(len(program)) || file.Entry != file.Progs[0].Vaddr+120 {
			t.Errorf("%s: %+v %+v", architecture, file.FileHeader, file.Progs)
		}
		if runtime.GOOS != "linux" || runtime.GOARCH != architecture {
			continue
		}
		name := filepath.Join(t.TempDir(), "pause")
		if err := os.WriteFile(name, program, 0o755); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(name)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		waiting := func() bool { // in its system call
			text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", cmd.Process.Pid))
			fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
			return len(fields) > 0 && fields[0] == "S"
		}
		for limit := time.Now().Add(20 * time.Second); !waiting(); {
			if time.Now().After(limit) {
				t.Fatal("the program does not wait")
			}
			time.Sleep(time.Millisecond)
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if status := cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGKILL {
			t.Errorf("the program has ended with %v", cmd.ProcessState)
		}
	}
	if _, err := pauseProgram("riscv64"); err == nil || !strings.Contains(err.Error(), "needs an engine on amd64 or arm64, and this one is on riscv64") {
		t.Errorf("another processor: %v", err)
	}
}

// Containers of a task reach each other at localhost, also at a port that is not published, and those of
// another task have ports of their own. The network goes with the task.
func TestTaskNetwork(t *testing.T) {
	d := newDriver(t)
	begin := func(task string) *running {
		t.Helper()
		echo, asking := probe(t, "echo", "2000"), probe(t, "ask", "localhost:2000")
		echo.Name, asking.Name = "echo", "asking"
		echo.Ports = []model.Port{{Container: 2000, Host: 2000, Protocol: "udp"}}
		asking.Ports, asking.Hostname, asking.ExtraHosts = model.TCP(80), "here", []string{"there:10.0.0.1"}
		whole := &model.TaskDefinition{NetworkMode: "awsvpc", Containers: []model.Container{asking, echo}}
		first, w := startIn(t, d, task, whole)
		whole.Containers = []model.Container{echo, asking}
		second, _ := startIn(t, d, task, whole)
		w.await(t, "stdout echo hello")
		wait(t, first)
		if first.Address(2000) != second.Address(2000) || first.Address(80) == "" {
			t.Errorf("the addresses of one network are %v and %v", first.addresses, second.addresses)
		}
		return second
	}
	one, two := begin("task1"), begin("task2")
	if one.Address(2000) == two.Address(2000) || strings.HasSuffix(one.Address(2000), ":2000") {
		t.Errorf("two tasks answer at %s and %s", one.Address(2000), two.Address(2000))
	}
	socket, err := net.Dial("udp", one.Address(2000))
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	answer := make([]byte, 100)
	for n, limit := 0, time.Now().Add(20*time.Second); n == 0 && time.Now().Before(limit); {
		_, _ = socket.Write([]byte("from here"))
		_ = socket.SetReadDeadline(time.Now().Add(time.Second))
		if n, _ = socket.Read(answer); n > 0 && string(answer[:n]) != "echo from here" {
			t.Errorf("the answer is %q", answer[:n])
		}
	}
	_ = one.Signal(syscall.SIGKILL)
	wait(t, one)
	if err := d.Clean("task1"); err != nil {
		t.Error(err)
	}
	list, err := d.engine.ContainerList(t.Context(), client.ContainerListOptions{All: true, Filters: client.Filters{}.Add("label", deploymentLabel+"="+d.deployment)})
	if err != nil || len(list.Items) != 2 {
		t.Errorf("left are %d containers, want the other task's two: %v", len(list.Items), err)
	}
	if removed, err := d.Sweep(t.Context()); err != nil || len(removed) != 2 {
		t.Errorf("%v is swept away, %v", removed, err)
	}
}

// A task of mode none reaches nothing.
func TestNoNetwork(t *testing.T) {
	d := newDriver(t)
	c, w := startIn(t, d, "task1", &model.TaskDefinition{NetworkMode: "none", Containers: []model.Container{probe(t, "ask", "192.0.2.1:2000")}})
	w.await(t, "network is unreachable")
	wait(t, c)
}
