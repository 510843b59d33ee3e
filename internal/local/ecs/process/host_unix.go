//go:build unix && !linux

package process

import (
	"errors"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// startTime is when a process started.
func startTime(pid int) (start string, alive bool) {
	out, err := exec.Command("ps", "-o", "stat=,lstart=", "-p", strconv.Itoa(pid)).Output()
	state, start, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
	if err != nil || state == "" || state[0] == 'Z' {
		return "", false
	}
	return strings.TrimSpace(start), true
}

// marked are the processes of a task. They cannot be told here: a record without a process id
// finds nothing.
func marked(string) []int { return nil }

// processorTime cannot be told here without asking for every process of the machine.
func processorTime(int) (time.Duration, error) {
	return 0, errors.New("how much processor time a process has used is only read on Linux: use the Docker driver")
}

// Memory cannot be told here.
func Memory() map[int]int { return nil }

// listening cannot be told here.
func listening([]string, int) ([]net.IP, error) { return nil, errors.ErrUnsupported }
