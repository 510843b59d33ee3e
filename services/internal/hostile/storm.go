package hostile

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"
)

// patience is how long an attacker waits for a service to end its connection.
// It is far above the service's own limits, for the sake of slow machines.
const patience = 30 * time.Second

// Storm attacks the service at address with more than 6n clients at once: idle
// ones, before and after a request; slow ones; ones that keep the service
// waiting for the rest of the largest header or of a body; ones that ask
// without reading the answers; and all of [Requests] over and over, some of
// which hang up at once. It needs up to 7n file descriptors.
//
// Storm returns when all its connections are closed. The error says what the
// service bore that it must not bear: a slow client that is not turned away.
func Storm(address string, n int) error {
	s := &storm{address: address}
	// The shortest lines, which cost a server the most.
	var lines strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&lines, "%c%c%c:\r\n", 'a'+i%26, 'a'+i/26%26, 'a'+i/26/26)
	}
	fields := lines.String()
	hundred := fields[:100*6]
	// The most of them that the service's limits allow: some come along with
	// a request that is complete.
	half := get("/") + "GET / HTTP/1.1\r\n" + fields[:150*6] + "X: " + strings.Repeat("x", 14<<10) + "\r\n" + fields[150*6:250*6]

	// These stay until the others are done, or are closed by the service.
	for range n {
		s.hold("")
		s.hold(get("/"))
		s.hold(half)
		s.hold("GET / HTTP/1.1\r\n" + fields)
		s.hold(post("Content-Length: 1000\r\n"+hundred, "{"))
	}
	for range n / 5 {
		s.attack(func(conn net.Conn) error { return drip(conn, get("/", hundred)) })
	}
	for range n / 50 {
		s.attack(func(conn net.Conn) error { // asks, and never reads
			conn.SetDeadline(time.Now().Add(500 * time.Millisecond))
			for batch := strings.Repeat(get("/api/users"), 200); ; {
				if _, err := io.WriteString(conn, batch); err != nil {
					return nil
				}
			}
		})
	}
	requests := Requests()
	for i := range n {
		attack := requests[i%len(requests)]
		s.attack(func(conn net.Conn) error {
			conn.SetDeadline(time.Now().Add(patience))
			go io.WriteString(conn, attack.Raw) // ends with the connection at the latest
			if i%2 == 0 {
				conn.(*net.TCPConn).SetLinger(0) // hangs up, and so that the service notices
				return nil
			}
			bufio.NewReader(conn).ReadString('\n')
			return nil
		})
	}
	s.attackers.Wait()
	for _, conn := range s.held {
		conn.Close()
	}
	return errors.Join(s.errs...)
}

type storm struct {
	address   string
	attackers sync.WaitGroup
	held      []net.Conn

	mu   sync.Mutex
	errs []error
}

// hold opens a connection, sends and leaves it.
func (s *storm) hold(raw string) {
	conn, err := net.DialTimeout("tcp", s.address, patience)
	if err != nil {
		s.failed(err)
		return
	}
	io.WriteString(conn, raw) // an error: it was closed to make room
	s.held = append(s.held, conn)
}

// attack runs an attacker on a connection of its own.
func (s *storm) attack(attacker func(net.Conn) error) {
	conn, err := net.DialTimeout("tcp", s.address, patience)
	if err != nil {
		s.failed(err)
		return
	}
	s.attackers.Go(func() {
		defer conn.Close()
		if err := attacker(conn); err != nil {
			s.failed(err)
		}
	})
}

func (s *storm) failed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.errs = append(s.errs, err)
}

// drip sends raw byte by byte, so that it never comes to an end, until the
// service closes the connection.
func drip(conn net.Conn, raw string) error {
	closed := make(chan error, 1)
	go func() {
		conn.SetReadDeadline(time.Now().Add(patience))
		_, err := io.Copy(io.Discard, conn)
		closed <- err
	}()
	for tick := time.Tick(100 * time.Millisecond); ; {
		select {
		case err := <-closed:
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return fmt.Errorf("a slow client was not turned away within %s", patience)
			}
			return nil
		case <-tick:
			if len(raw) > 1 {
				io.WriteString(conn, raw[:1])
				raw = raw[1:]
			}
		}
	}
}
