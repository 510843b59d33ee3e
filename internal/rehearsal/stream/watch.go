package stream

import (
	"context"
	"fmt"
	"time"

	"cutover/internal/rehearsal"
)

// watch holds a connection of a client open until the context ends.
func (s *Stream) watch(ctx context.Context, line *rehearsal.Line, c *client) {
	s.mu.Lock()
	s.clients = append(s.clients, c)
	s.mu.Unlock()
	for wait := firstWait; ctx.Err() == nil; {
		h, err := s.dial(ctx, line, c)
		if ctx.Err() != nil {
			if err == nil && h.next != nil {
				h.close()
			}
			return
		}
		problem, text := rehearsal.Fine, ""
		if err == nil {
			problem, text = s.comparison.Judge(h.answer)
		}
		if err != nil || h.next == nil {
			s.fail(c, h, err, text)
			sleep(ctx, wait)
			wait = min(2*wait, longestPause)
			continue
		}
		if problem != rehearsal.Fine {
			h.wrong = text
		}
		s.hold(c, h)
		s.read(ctx, c, h)
		if time.Since(h.Opened) > longestPause {
			wait = firstWait
		} else if len(c.held) > 1 { // a service may end each connection
			sleep(ctx, wait)
			wait = min(2*wait, longestPause)
		}
	}
}

// The time between attempts to open a stream. The first one comes at once.
const (
	firstWait    = 100 * time.Millisecond
	longestPause = 5 * time.Second
)

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// hold takes down a connection that is open.
func (s *Stream) hold(c *client, h *held) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h.failed, c.failed = c.failed, nil
	c.held = append(c.held, h)
}

// maxFailed bounds the attempts that are taken down, of one connection.
const maxFailed = 100

// fail takes down an attempt.
func (s *Stream) fail(c *client, h *held, err error, text string) {
	f := failure{how: text}
	if h != nil {
		f.Connection = h.Connection
	}
	if err != nil {
		f.how = err.Error()
	}
	f.Ended = time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(c.failed) < maxFailed {
		c.failed = append(c.failed, f)
	}
}

// read takes the events of a connection until it ends.
func (s *Stream) read(ctx context.Context, c *client, h *held) {
	stop := context.AfterFunc(ctx, h.close)
	defer stop()
	defer h.close()
	for {
		e, err := h.next()
		if err != nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			if h.until = time.Now(); ctx.Err() == nil {
				h.Ended = h.until
				h.how, h.isClean = explain(err)
			}
			return
		}
		s.take(c, e)
	}
}

// take takes down an event of a client.
func (s *Stream) take(c *client, e event) {
	key, hasKey := e.id, e.hasID && e.id != ""
	if s.ID != nil {
		value, _ := rehearsal.DecodeJSON(e.data)
		if found := s.ID.Select(value); len(found) > 0 && found[0] != nil {
			key, hasKey = fmt.Sprint(found[0]), true
		} else {
			hasKey = false
		}
	}
	hash := uint64(0)
	if hasKey && !s.IgnoreIDs {
		hash = s.hashOf(e.data)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.hasID {
		c.lastEventID = e.id
	}
	if hasKey || e.hasID {
		c.last = key
	}
	if len(e.data) == 0 {
		return
	}
	c.events++
	s.events++
	if hasKey && !s.IgnoreIDs {
		s.receive(c, key, e.data, hash)
	}
}
