package alb

import (
	"context"
	"crypto/tls"
	"hash/maphash"
	"net"
	"net/http"
	"sync"
)

// flows forwards the connections of a listener of a Network Load Balancer. A connection has one target
// for as long as it lasts.
//
// The client's address is not kept: targets see the address of this machine.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/network/introduction.html
type flows struct {
	front *front
	ended chan struct{} // closed when no connections are taken any more
	stop  context.CancelFunc
	ctx   context.Context // ends all connections

	mu     sync.Mutex
	closed bool
	socket net.Listener
	open   sync.WaitGroup
}

func newFlows(f *front) *flows {
	s := &flows{front: f, ended: make(chan struct{})}
	s.ctx, s.stop = context.WithCancel(context.Background())
	return s
}

// Serve implements server.
func (s *flows) Serve(ln net.Listener) error {
	s.mu.Lock()
	s.socket = ln
	if s.closed {
		_ = ln.Close()
	}
	s.mu.Unlock()
	for {
		conn, err := ln.Accept()
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			if err == nil {
				_ = conn.Close()
			}
			return http.ErrServerClosed
		}
		if err != nil {
			s.mu.Unlock()
			return err
		}
		s.open.Add(1)
		s.mu.Unlock()
		go func() {
			defer s.open.Done()
			s.forward(conn)
		}()
	}
}

// close takes no more connections.
func (s *flows) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.socket != nil {
		_ = s.socket.Close()
	}
}

// Shutdown waits for the end of the connections. It implements server.
func (s *flows) Shutdown(ctx context.Context) error {
	s.close()
	all := make(chan struct{})
	go func() {
		s.open.Wait()
		close(all)
	}()
	select {
	case <-all:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close implements server.
func (s *flows) Close() error {
	s.close()
	s.stop()
	return nil
}

// forward joins a connection with one to a target. A client whose target cannot be reached, or who comes
// while there is none, is reset.
func (s *flows) forward(client net.Conn) {
	defer client.Close()
	defer context.AfterFunc(s.ctx, func() { _ = client.Close() })()
	raw := client.(*net.TCPConn)
	l := s.front.decide()
	var t *target
	if f := l.forwards[l.route.Rules[0]]; f != nil {
		t = f.pick("").group.pickFlow(client.RemoteAddr().String())
	}
	l.decided()
	if t == nil {
		_ = raw.SetLinger(0)
		return
	}
	defer t.release()
	if s.front.tls != nil {
		secured := tls.Server(client, s.front.tls)
		timed, cancel := context.WithTimeout(s.ctx, connectTimeout)
		defer cancel()
		if secured.HandshakeContext(timed) != nil {
			return
		}
		client = secured
	}
	conn, err := t.pool.connect(s.ctx)
	if err != nil {
		_ = raw.SetLinger(0)
		return
	}
	defer conn.close()
	defer context.AfterFunc(s.ctx, func() { _ = conn.Conn.Close() })()
	r := relay{idle: l.route.FlowTimeout}
	r.touch()
	back := make(chan struct{})
	go func() {
		defer close(back)
		r.copy(client, conn.Conn, conn.Conn)
	}()
	r.copy(conn.Conn, client, client)
	<-back
}

var flowSeed = maphash.MakeSeed()

// pickFlow returns the target for a connection from an address "host:port"; nil if the group has no target.
// Connections are spread by a hash over healthy targets, or over all if the group fails open. With
// stickiness, the connections of a host have one target for as long as it is healthy.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-target-groups.html
func (g *group) pickFlow(from string) *target {
	g.mu.Lock()
	defer g.mu.Unlock()
	if host, _, err := net.SplitHostPort(from); err == nil && g.config.SourceIP {
		from = host
	}
	open := g.failsOpen()
	var found *target
	var most uint64
	for _, t := range g.targets {
		if score := maphash.String(flowSeed, from+" "+t.ID); (open || t.State == Healthy) && (found == nil || score > most) {
			found, most = t, score
		}
	}
	if found != nil {
		found.InFlight++
	}
	return found
}
