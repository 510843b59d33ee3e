package emulate

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"cutover/internal/child"
)

const supported = true

// childAttributes let Ctrl-C reach a child through Close only. After SIGTERM, a Docker engine stops its containers and
// its containerd.
func childAttributes() *syscall.SysProcAttr { return child.Attributes(syscall.SIGTERM) }

func terminate(p *os.Process) { p.Signal(syscall.SIGTERM) }

func killGroup(p *os.Process) { syscall.Kill(-p.Pid, syscall.SIGKILL) }

func isRoot() bool { return os.Geteuid() == 0 }

// unmountBelow removes the mounts that a killed Docker engine has left in its directory.
func unmountBelow(dir string) {
	b, _ := os.ReadFile("/proc/self/mounts")
	for _, line := range strings.Split(string(b), "\n") {
		if f := strings.Fields(line); len(f) > 1 && strings.HasPrefix(f[1], dir+"/") {
			syscall.Unmount(f[1], syscall.MNT_DETACH)
		}
	}
}

// removeBridge deletes the network interface that a stopped Docker engine leaves. Another engine may share the
// interface: while one runs, the interface stays.
func removeBridge(name string) {
	commands, _ := filepath.Glob("/proc/[0-9]*/comm")
	for _, c := range commands {
		if b, _ := os.ReadFile(c); strings.TrimSpace(string(b)) == "dockerd" {
			return
		}
	}
	if ip, err := exec.LookPath("ip"); err == nil {
		exec.Command(ip, "link", "delete", name).Run()
	}
}
