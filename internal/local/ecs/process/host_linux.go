package process

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// stat reads /proc/PID/stat from its third field on. Nil if the process has ended, even if
// nobody has waited for the process yet.
// https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
func stat(pid int) []string {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
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

// tick is the unit of processor times in /proc, 1/USER_HZ. It is the same on all machines of Go.
// https://man7.org/linux/man-pages/man7/time.7.html
const tick = time.Second / 100

// processorTime is the processor time of a group's processes and their ended children.
func processorTime(group int) (time.Duration, error) {
	ticks, found := 0, false
	for _, pid := range processes() {
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

// Memory is the resident memory of all process groups, in bytes. Pages that processes share count in each.
func Memory() map[int]int {
	memory := map[int]int{}
	for _, pid := range processes() {
		fields := stat(pid)
		if len(fields) < 22 {
			continue
		}
		group, _ := strconv.Atoi(fields[2])
		pages, _ := strconv.Atoi(fields[21])
		memory[group] += pages * os.Getpagesize()
	}
	return memory
}

// marked are the processes of a task, and their children.
func marked(task string) []int {
	return slices.DeleteFunc(processes(), func(pid int) bool {
		environ, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		return !slices.Contains(strings.Split(string(environ), "\x00"), taskVariable+"="+task) || stat(pid) == nil
	})
}

// processes are all processes of the machine.
func processes() (pids []int) {
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		if pid, err := strconv.Atoi(entry.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// listening returns the addresses of this host at which some process listens on a port, by TCP, UDP
// or both. TCP's tables begin with the sockets that listen. The others take milliseconds, and are not read.
// https://docs.kernel.org/networking/proc_net_tcp.html
func listening(protocols []string, port int) (addresses []net.IP, err error) {
	for _, table := range []string{"tcp", "tcp6", "udp", "udp6"} {
		if !slices.Contains(protocols, table[:3]) {
			continue
		}
		some, err := listeningIn(table, port)
		if err != nil && !os.IsNotExist(err) { // without IPv6
			return nil, err
		}
		addresses = append(addresses, some...)
	}
	return addresses, nil
}

func listeningIn(table string, port int) (addresses []net.IP, err error) {
	tcp := strings.HasPrefix(table, "tcp")
	state := "07" // of a socket that is not connected
	if tcp {
		state = "0A" // of one that listens
	}
	file, err := os.Open("/proc/net/" + table)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	lines := bufio.NewReaderSize(file, 256)                            // the kernel makes what is asked for
	if _, err := lines.ReadString('\n'); err != nil && err != io.EOF { // the head
		return nil, err
	}
	for {
		line, err := lines.ReadString('\n')
		if err == io.EOF {
			return addresses, nil
		}
		if err != nil {
			return nil, err
		}
		fields := strings.Fields(line)
		if tcp && len(fields) > 3 && fields[3] != state {
			return addresses, nil
		}
		if len(fields) < 4 || fields[3] != state || !strings.HasSuffix(fields[1], fmt.Sprintf(":%04X", port)) {
			continue
		}
		address, err := hex.DecodeString(strings.Split(fields[1], ":")[0])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file.Name(), err)
		}
		for word := range slices.Chunk(address, 4) { // each is in the order of the processor
			slices.Reverse(word)
		}
		addresses = append(addresses, address)
	}
}
