package queue

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Memory is a queue in the memory of the process, for tests. A message that is hidden for a while is visible at once, and a message
// that was received stays hidden until it is removed or returned.
type Memory struct {
	// FIFO says that the queue has groups, and gives of each only what is behind nothing that is hidden.
	FIFO bool
	// MaxReceives is how often a message is received before it is a dead letter. 0: any number of times.
	MaxReceives int

	mu      sync.Mutex
	n       int
	waiting []Message
	hidden  map[string]bool
	dead    []Message
	held    int
	changed chan struct{}
}

// Ordered implements [Queue].
func (q *Memory) Ordered() bool { return q.FIFO }

// Send implements [Queue].
func (q *Memory) Send(_ context.Context, body []byte) error { q.Put("", body); return nil }

// Put puts a message of a group into the queue.
func (q *Memory) Put(group string, body []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.n++
	q.waiting = append(q.waiting, Message{ID: strconv.Itoa(q.n), Group: group, Body: body})
	q.wake()
}

func (q *Memory) wake() {
	if q.changed != nil {
		close(q.changed)
	}
	q.changed = nil
}

// Receive implements [Queue].
func (q *Memory) Receive(ctx context.Context, most int, wait time.Duration) ([]Message, error) {
	late := time.After(wait)
	for {
		q.mu.Lock()
		some := q.visible(most)
		if q.changed == nil {
			q.changed = make(chan struct{})
		}
		changed := q.changed
		q.mu.Unlock()
		if len(some) > 0 {
			return some, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-late:
			return nil, nil
		case <-changed:
		}
	}
}

func (q *Memory) visible(most int) (some []Message) {
	if q.hidden == nil {
		q.hidden = map[string]bool{}
	}
	closed := map[string]bool{}
	for _, m := range q.waiting {
		closed[m.Group] = closed[m.Group] || q.FIFO && q.hidden[m.ID]
	}
	for i := 0; i < len(q.waiting) && len(some) < most; i++ {
		m := &q.waiting[i]
		if q.hidden[m.ID] || closed[m.Group] {
			continue
		}
		if q.MaxReceives > 0 && m.Receives == q.MaxReceives {
			q.dead = append(q.dead, *m)
			q.waiting = slices.Delete(q.waiting, i, i+1)
			i--
			q.wake()
			continue
		}
		m.Receives++
		m.Receipt = m.ID + "/" + strconv.Itoa(m.Receives)
		q.hidden[m.ID] = true
		some = append(some, *m)
	}
	return some
}

// Delete implements [Queue].
func (q *Memory) Delete(_ context.Context, messages ...Message) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, m := range messages {
		q.waiting = slices.DeleteFunc(q.waiting, func(other Message) bool { return other.Receipt == m.Receipt })
		delete(q.hidden, m.ID)
	}
	q.wake()
	return nil
}

// Hide implements [Queue].
func (q *Memory) Hide(_ context.Context, d time.Duration, messages ...Message) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, m := range messages {
		if d < Visibility && slices.ContainsFunc(q.waiting, func(other Message) bool { return other.Receipt == m.Receipt }) {
			delete(q.hidden, m.ID)
		} else {
			q.held++
		}
	}
	q.wake()
	return nil
}

// Look returns the messages that are in the queue, the dead letters, and how often a worker held a message.
func (q *Memory) Look() (waiting, dead []Message, held int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.waiting), slices.Clone(q.dead), q.held
}

// Empty waits until nothing is in the queue but dead letters.
func (q *Memory) Empty(ctx context.Context) error {
	for {
		q.mu.Lock()
		left := len(q.waiting)
		if q.changed == nil {
			q.changed = make(chan struct{})
		}
		changed := q.changed
		q.mu.Unlock()
		if left == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// Redrive puts the dead letters back into the queue, in their order.
func (q *Memory) Redrive() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, m := range q.dead {
		m.Receives = 0
		q.waiting = append(q.waiting, m)
	}
	q.dead = nil
	q.wake()
}
