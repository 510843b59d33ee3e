// Command probe tells what a container lets its process do.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
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
		for _, file := range []string{"/etc/hostname", "/etc/hosts", "/etc/resolv.conf", "/proc/mounts"} {
			text, _ := os.ReadFile(file)
			fmt.Println(string(text))
		}
		backlog, _ := os.ReadFile("/proc/sys/net/core/somaxconn")
		fmt.Println("somaxconn", string(backlog))
		if err := os.WriteFile("/written", nil, 0o600); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	case "write": // a file, of a text
		if err := os.WriteFile(os.Args[2], []byte(os.Args[3]), 0o600); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("wrote")
	case "read":
		text, err := os.ReadFile(os.Args[2])
		fmt.Println("read", string(text), err)
	case "mounts":
		mounts, _ := os.ReadFile("/proc/mounts")
		fmt.Println(string(mounts))
	case "echo": // what comes by UDP at a port
		socket, err := net.ListenPacket("udp", ":"+os.Args[2])
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("ready")
		packet := make([]byte, 100)
		for {
			n, from, err := socket.ReadFrom(packet)
			if err == nil {
				socket.WriteTo(append([]byte("echo "), packet[:n]...), from)
			}
		}
	case "ask": // an echo, by its address
		socket, err := net.Dial("udp", os.Args[2])
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		answer := make([]byte, 100)
		for { // packets may be lost, or come before the echo is ready
			socket.Write([]byte("hello"))
			socket.SetReadDeadline(time.Now().Add(time.Second))
			if n, err := socket.Read(answer); err == nil {
				fmt.Println(string(answer[:n]))
				return
			}
		}
	case "call": // URLs; a program that serves listens at all addresses of the container, at the port of many names
		own, err := net.Listen("tcp", ":3000")
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		defer own.Close()
		for _, url := range os.Args[2:] {
			response, err := http.Get(os.ExpandEnv(url))
			if err != nil {
				fmt.Println(url, err)
				continue
			}
			body, err := io.ReadAll(response.Body)
			fmt.Println(url, string(body), err)
		}
	case "records": // of names
		for _, name := range os.Args[2:] {
			_, records, err := net.LookupSRV("", "", name)
			fmt.Println(name, "has", len(records), "records", err)
			for _, r := range records {
				addresses, err := net.LookupHost(r.Target)
				fmt.Println(r.Priority, r.Weight, r.Port, r.Target, len(addresses), err)
				response, err := http.Get(fmt.Sprintf("http://%s:%d", r.Target, r.Port))
				if err == nil {
					body, _ := io.ReadAll(response.Body)
					fmt.Println("by records", string(body))
				}
			}
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
