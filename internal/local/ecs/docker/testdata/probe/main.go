// Command probe tells what a container lets its process do.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	switch os.Args[1] {
	case "look":
		status, _ := os.ReadFile("/proc/self/status")
		for line := range strings.Lines(string(status)) {
			if strings.HasPrefix(line, "CapEff") || strings.HasPrefix(line, "NoNewPrivs") {
				fmt.Println(strings.Join(strings.Fields(line), " "))
			}
		}
		directory, _ := os.Getwd()
		fmt.Println("user", os.Getuid(), os.Getgid(), "in", directory, "NAME="+os.Getenv("NAME"))
		var limit syscall.Rlimit
		syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit)
		fmt.Println("files", limit.Cur)
		if err := os.WriteFile("/written", nil, 0o600); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	case "ignore":
		signal.Ignore(syscall.SIGTERM)
		fmt.Println("ready")
		time.Sleep(time.Hour)
	case "eat":
		var eaten [][]byte
		for {
			block := make([]byte, 1<<20)
			for i := range block {
				block[i] = 1
			}
			eaten = append(eaten, block)
		}
	case "exit":
		code, _ := strconv.Atoi(os.Args[2])
		os.Exit(code)
	}
}
