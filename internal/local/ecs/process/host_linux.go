package process

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// groupAttributes put a process into a group of its own, and have the kernel end
// it if this program is killed.
func groupAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// stat reads /proc/PID/stat from its third field on; nil for a process that has
// ended, even if nobody has waited for it yet.
// https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
func stat(pid int) []string {
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return nil
	}
	// The second field is the program's name in parentheses, whatever it holds.
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	if len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return nil
	}
	return fields
}

// startTime is when a process started, in ticks since the machine did.
func startTime(pid int) (start string, alive bool) {
	fields := stat(pid)
	if fields == nil {
		return "", false
	}
	return fields[19], true
}

// tick is the unit of processor times in /proc, 1/USER_HZ, which is the same on all
// machines that Go runs on.
// https://man7.org/linux/man-pages/man7/time.7.html
const tick = time.Second / 100

// processorTime is how long the processes of a group, and those of theirs that have
// ended, have used a processor.
func processorTime(group int) (time.Duration, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0, err
	}
	ticks, found := 0, false
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		fields := stat(pid)
		if fields == nil || fields[2] != strconv.Itoa(group) {
			continue
		}
		found = true
		for _, field := range fields[11:15] { // utime, stime, cutime and cstime
			n, _ := strconv.Atoi(field)
			ticks += n
		}
	}
	if !found {
		return 0, fmt.Errorf("no process of group %d is there", group)
	}
	return time.Duration(ticks) * tick, nil
}

// marked are the processes that were started for a task, by it or by its
// children.
func marked(task string) []int {
	var pids []int
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		environ, _ := os.ReadFile(filepath.Join("/proc", entry.Name(), "environ"))
		for variable := range bytes.SplitSeq(environ, []byte{0}) {
			if string(variable) == taskVariable+"="+task && stat(pid) != nil {
				pids = append(pids, pid)
				break
			}
		}
	}
	return pids
}
