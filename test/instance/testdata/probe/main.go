// Command probe listens, or says what answers where: what whoever broke into a
// container would try first.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"
)

func main() {
	switch os.Args[1] {
	case "serve": // name, addresses as 0.0.0.0:80 or udp/0.0.0.0:80: answers everything with the name
		for _, address := range os.Args[3:] {
			if udp, ok := strings.CutPrefix(address, "udp/"); ok {
				serveUDP(udp)
				continue
			}
			listener, err := net.Listen("tcp4", address)
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			go func() {
				for {
					conn, err := listener.Accept()
					if err != nil {
						os.Exit(1)
					}
					fmt.Fprint(conn, os.Args[2])
					conn.Close()
				}
			}()
		}
		fmt.Println("ready")
		select {}
	case "dial": // address: prints the answer
		network, address := "tcp4", os.Args[2]
		if udp, ok := strings.CutPrefix(address, "udp/"); ok {
			network, address = "udp4", udp
		}
		conn, err := net.DialTimeout(network, address, time.Second)
		if err != nil {
			fmt.Print("nothing: ", err)
			return
		}
		if network == "udp4" {
			askUDP(conn)
			return
		}
		conn.SetDeadline(time.Now().Add(5 * time.Second))
		answer, err := io.ReadAll(conn)
		if err != nil || len(answer) == 0 {
			fmt.Print("nothing: closed without an answer")
			return
		}
		os.Stdout.Write(answer)
	}
}

// serveUDP answers every datagram with the name.
func serveUDP(address string) {
	conn, err := net.ListenPacket("udp4", address)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	go func() {
		for buffer := make([]byte, 16); ; {
			_, from, err := conn.ReadFrom(buffer)
			if err != nil {
				os.Exit(1)
			}
			conn.WriteTo([]byte(os.Args[2]), from)
		}
	}()
}

// askUDP prints the answer to a datagram.
func askUDP(conn net.Conn) {
	conn.SetDeadline(time.Now().Add(time.Second))
	answer := make([]byte, 64)
	if _, err := conn.Write([]byte("who?")); err != nil {
		fmt.Print("nothing: ", err)
		return
	}
	n, err := conn.Read(answer)
	if err != nil {
		fmt.Print("nothing: ", err)
		return
	}
	os.Stdout.Write(answer[:n])
}
