package provider

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"syscall"
)

// Sockets are those that a plan has opened, by the key of what listens there, until their stack is updated. The zero value
// has none.
type Sockets struct{ opened sync.Map }

// Put adds a socket.
func (s *Sockets) Put(key string, socket net.Listener) { s.opened.Store(key, socket) }

// Take gives a socket away; nil if there is none.
func (s *Sockets) Take(key string) net.Listener {
	socket, _ := s.opened.LoadAndDelete(key)
	taken, _ := socket.(net.Listener)
	return taken
}

// Close closes the sockets that nobody has taken.
func (s *Sockets) Close() error {
	var errs []error
	s.opened.Range(func(_, socket any) bool {
		errs = append(errs, socket.(net.Listener).Close())
		return true
	})
	s.opened.Clear()
	return errors.Join(errs...)
}

// FrontPorts are the local ports of the fronts of a provider.
type FrontPorts struct {
	// Name is the one in --port NAME=PORT.
	Name string
	// First and Last are the ports that a front may have without being asked.
	First, Last int
	// Port is the port of the first front; further ones have the ports behind it. 0 is the first free one from First to Last.
	Port int
	// Free gives all of them any free port.
	Free bool
}

// Listen opens a socket for each front, by key.
func (s *Sockets) Listen(at FrontPorts, keys []string) error {
	var errs []error
	port := at.Port
	for _, key := range keys {
		socket, err := at.open(port)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w; choose another port with --port %s=PORT", key, err, at.Name))
			continue
		}
		if port != 0 {
			port++
		}
		s.Put(key, socket)
	}
	return errors.Join(errs...)
}

func (p FrontPorts) open(port int) (net.Listener, error) {
	first, last := port, port
	switch {
	case p.Free:
		first, last = 0, 0
	case port == 0:
		first, last = p.First, p.Last
	}
	for at := first; ; at++ {
		socket, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", at))
		if err == nil {
			return socket, nil
		}
		if at == last || !errors.Is(err, syscall.EADDRINUSE) {
			return nil, fmt.Errorf("port %d is not free: %w", at, err)
		}
	}
}

// Server is what [Shutdown] needs of an [http.Server].
type Server interface {
	Shutdown(context.Context) error
	Close() error
}

var _ Server = (*http.Server)(nil)

// Shutdown closes servers when their requests are answered. If the context ends before, Shutdown cuts off what is left and
// returns the context's error.
func Shutdown[S Server](ctx context.Context, servers ...S) error {
	var wait sync.WaitGroup
	for _, s := range servers {
		wait.Go(func() {
			if s.Shutdown(ctx) != nil {
				_ = s.Close()
			}
		})
	}
	wait.Wait()
	return ctx.Err()
}
