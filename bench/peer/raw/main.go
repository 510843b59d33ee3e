// Raw shows the most that Go and the kernel can do: it reads up to a request's empty line, looks at
// nothing else, and writes the same bytes.
//
//	raw ADDRESS TYPE BODY
package main

import (
	"bytes"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"time"
)

func main() {
	address, contentType, body := os.Args[1], os.Args[2], os.Args[3]
	answer := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nContent-Type: %s\r\nDate: %s\r\n\r\n%s",
		len(body), contentType, time.Now().UTC().Format(http.TimeFormat), body)
	listener, err := net.Listen("tcp", address)
	if err != nil {
		log.Fatal(err)
	}
	for {
		conn, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go respond(conn, answer)
	}
}

func respond(conn net.Conn, answer []byte) {
	defer conn.Close()
	head := make([]byte, 0, 4<<10)
	for {
		n, err := conn.Read(head[len(head):cap(head)])
		if err != nil || n == 0 { // closed, or a head that is too long
			return
		}
		head = head[:len(head)+n]
		if !bytes.HasSuffix(head, []byte("\r\n\r\n")) {
			continue
		}
		head = head[:0]
		if _, err := conn.Write(answer); err != nil {
			return
		}
	}
}
