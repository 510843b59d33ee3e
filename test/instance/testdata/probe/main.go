// Command probe listens, or says what answers where: what whoever broke into a
// container would try first.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

func main() {
	switch os.Args[1] {
	case "serve": // name, addresses: answers every connection with the name
		for _, address := range os.Args[3:] {
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
		conn, err := net.DialTimeout("tcp4", os.Args[2], time.Second)
		if err != nil {
			fmt.Print("nothing: ", err)
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
