package discovery

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"

	"cutover/internal/local/provider"
)

// serveConnections connects clients with tasks, one connection with one task.
func (n *name) serveConnections(listener net.Listener) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		n.caller.serving.Go(func() { n.connect(client) })
	}
}

// connect connects a client with a task. If that fails, the client does not get another task: what a client does about
// the other addresses of a name is its own.
func (n *name) connect(client net.Conn) {
	var idle time.Duration
	pick := n.resolve
	if n.endpoint != nil {
		idle = n.endpoint.IdleTimeout
		pick = func() *instance { return n.pick(nil) }
	}
	i := pick()
	if i == nil {
		n.say("nothing", provider.Warning, fmt.Sprintf("it calls %v, and no task is there", n))
		reset(client)
		return
	}
	conn, err := n.caller.provider.dial(n.caller.ctx, i.at(n.target))
	if n.endpoint != nil {
		n.note(i, err)
	}
	if err != nil {
		reset(client)
		return
	}
	join(n.caller.ctx, limit(client, idle), limit(conn, idle))
}

// join passes on what two connections send, until both have ended or the context has.
func join(ctx context.Context, client, task net.Conn) {
	defer context.AfterFunc(ctx, func() { client.Close(); task.Close() })()
	done := make(chan struct{})
	go func() {
		defer close(done)
		pass(task, client)
	}()
	pass(client, task)
	<-done
	client.Close()
	task.Close()
}

// pass copies what one end sends to the other, and tells the other its end.
func pass(to, from net.Conn) {
	_, err := io.Copy(to, from)
	if half, ok := to.(interface{ CloseWrite() error }); ok && err == nil {
		half.CloseWrite()
		return
	}
	to.Close()
}

// limit ends a connection that is silent for so long; 0 for never.
func limit(conn net.Conn, idle time.Duration) net.Conn {
	if idle == 0 {
		return conn
	}
	return &idleConn{conn, idle}
}

type idleConn struct {
	net.Conn
	idle time.Duration
}

func (c *idleConn) Read(b []byte) (int, error) {
	c.SetDeadline(time.Now().Add(c.idle))
	return c.Conn.Read(b)
}

func (c *idleConn) Write(b []byte) (int, error) {
	c.SetDeadline(time.Now().Add(c.idle))
	return c.Conn.Write(b)
}

func (c *idleConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.Close()
}

// resolve returns a task that the resolver of the caller has for a name of Cloud Map; nil if it has none. The resolver
// keeps an answer for the life of its records, so it may have a task that is unhealthy or gone.
func (n *name) resolve() *instance {
	p := n.caller.provider
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if !now.Before(n.expires) || len(n.cached) == 0 {
		before := n.cached
		n.cached, n.expires, n.turn = p.answer(n.target, n.service), now.Add(n.service.Record(n.kind).TTL), 0
		n.left(before, now)
	}
	if len(n.cached) == 0 {
		return nil
	}
	i := n.cached[n.turn%len(n.cached)]
	n.turn++
	if state, since := i.state(); state != "" && !n.told["stale "+i.task] {
		n.told["stale "+i.task] = true
		n.event(provider.Warning, fmt.Sprintf("%v still leads to %v, which has been %s for %v: %s",
			n, i, state, now.Sub(since).Round(time.Millisecond), n.why(i, now)))
	}
	return i
}

// state says what keeps an instance from being returned, and since when; empty if nothing does.
func (i *instance) state() (string, time.Time) {
	switch {
	case !i.gone.IsZero():
		return "deregistered", i.gone
	case !i.unhealthy.IsZero():
		return "UNHEALTHY", i.unhealthy
	}
	return "", time.Time{}
}

// why says why an instance is returned although it should not be.
func (n *name) why(i *instance, now time.Time) string {
	switch {
	case i.gone.IsZero() && !n.service.CustomHealth:
		return "the service of Cloud Map has no health check"
	case i.gone.IsZero() && i.sick(n.service, now):
		return "the resolver keeps an answer for " + n.service.Record(n.kind).TTL.String() + ", or no task is healthy"
	case i.gone.IsZero():
		return fmt.Sprintf("Cloud Map waits for %v, and the resolver keeps an answer for %v", healthDelay, n.service.Record(n.kind).TTL)
	}
	return fmt.Sprintf("the resolver keeps an answer for %v", n.service.Record(n.kind).TTL)
}

// left tells of instances that an event has called stale, and that a new answer has no more.
func (n *name) left(before []*instance, now time.Time) {
	for _, i := range before {
		state, since := i.state()
		if state == "" || !n.told["stale "+i.task] || contains(n.cached, i.task) {
			continue
		}
		delete(n.told, "stale "+i.task)
		n.event("", fmt.Sprintf("%v leads to %v no more, %v after it was %s",
			n, i, now.Sub(since).Round(time.Millisecond), state))
	}
}

func contains(all []*instance, task string) bool {
	for _, i := range all {
		if i.task == task {
			return true
		}
	}
	return false
}
