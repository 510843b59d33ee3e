package broker

import (
	"io"
	"net"
	"sync"
	"time"
)

// front takes connections for a program, at an address that stays when the program starts again elsewhere.
type front struct {
	listener net.Listener
	// address is where the program answers now.
	address func() string

	mu   sync.Mutex
	open map[net.Conn]bool // of clients
}

func newFront(address func() string) (*front, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f := &front{listener: l, address: address, open: map[net.Conn]bool{}}
	go f.serve()
	return f, nil
}

// host is the address as clients have it.
func (f *front) host() string {
	_, port, _ := net.SplitHostPort(f.listener.Addr().String())
	return "localhost:" + port
}

func (f *front) serve() {
	for {
		client, err := f.listener.Accept()
		if err != nil {
			return
		}
		f.mu.Lock()
		f.open[client] = true
		f.mu.Unlock()
		go func() {
			f.carry(client)
			_ = client.Close()
			f.mu.Lock()
			defer f.mu.Unlock()
			delete(f.open, client)
		}()
	}
}

// carry carries bytes until one side ends. AMQP has its own goodbye, so what is half closed is over.
func (f *front) carry(client net.Conn) {
	server, err := net.DialTimeout("tcp", f.address(), 10*time.Second)
	if err != nil {
		return
	}
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{client, server}, {server, client}} {
		both.Go(func() {
			_, _ = io.Copy(way[0], way[1])
			_, _ = client.Close(), server.Close()
		})
	}
	both.Wait()
}

// connections is how many clients are connected.
func (f *front) connections() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.open)
}

func (f *front) stop() error {
	err := f.listener.Close()
	f.mu.Lock()
	defer f.mu.Unlock()
	for client := range f.open {
		_ = client.Close()
	}
	return err
}
