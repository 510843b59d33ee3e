// Package queue takes messages from a queue of SQS: as a task that polls, or as a function that Lambda calls. What a message means is
// its handler's business.
//
// A message is removed when its handler has done it, and comes again otherwise, so that it may come twice. In a FIFO queue, a message
// that fails holds up those of its group and no others.
package queue

import (
	"context"
	"errors"
	"slices"
	"time"
)

// Message is a message that was received.
type Message struct {
	ID string
	// Receipt names this receipt of the message.
	Receipt string
	// Group is the message group in a FIFO queue.
	Group string
	Body  []byte
	// Receives is how often the message was received, this time included.
	Receives int
}

// Queue is a queue of SQS, or one in memory.
type Queue interface {
	// Receive returns 1 to most messages, or none if none comes within the wait. They stay hidden for the time [Visibility].
	Receive(ctx context.Context, most int, wait time.Duration) ([]Message, error)
	// Delete removes messages.
	Delete(ctx context.Context, messages ...Message) error
	// Hide lets messages stay hidden for a time from now on. After 0 they are received again at once.
	Hide(ctx context.Context, d time.Duration, messages ...Message) error
	// Send puts a message into the queue.
	Send(ctx context.Context, body []byte) error
	// Ordered says that the queue is a FIFO queue.
	Ordered() bool
}

const (
	// Visibility is how long a message is hidden that was received. Its worker prolongs that while it is at work.
	Visibility = 60 * time.Second
	// MaxBatch is how many messages SQS gives at once.
	// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html
	MaxBatch = 10
)

// ErrUnavailable is wrapped by the error of a handler that could not do a message for a reason that passes and is not the message's:
// what it needs does not answer. The message is tried again and again, and never becomes a dead letter for it.
var ErrUnavailable = errors.New("what the message needs is not there now")

// Place is where a message stands: messages of a lane are handled one after the other, in their order.
type Place struct {
	Lane  string
	Order int64
}

// lanes divides the messages of a batch. Those of a FIFO queue are in the lanes of their groups, in the order in which they came. Those
// of another queue are in the lanes of their places.
func lanes(messages []Message, ordered bool, placeOf func(Message) Place) [][]Message {
	type placed struct {
		Message
		Place
	}
	var order []string
	by := map[string][]placed{}
	for i, m := range messages {
		p := Place{"id " + m.ID, 0}
		if ordered {
			p = Place{m.Group, int64(i)}
		} else if placeOf != nil {
			p = placeOf(m)
		}
		if by[p.Lane] == nil {
			order = append(order, p.Lane)
		}
		by[p.Lane] = append(by[p.Lane], placed{m, p})
	}
	var all [][]Message
	for _, name := range order {
		lane := by[name]
		slices.SortStableFunc(lane, func(a, b placed) int { return int(a.Order - b.Order) })
		var one []Message
		for _, m := range lane {
			one = append(one, m.Message)
		}
		all = append(all, one)
	}
	return all
}

// Result is what became of a lane: the messages that were done, the one that failed, and those behind it, which were not tried.
type Result struct {
	Done   []Message
	Failed *Message
	Behind []Message
	Err    error
}

// drive handles the messages of a lane in their order, until one fails or the context ends.
func drive(ctx context.Context, lane []Message, handle func(context.Context, Message) error) (r Result) {
	for i, m := range lane {
		if ctx.Err() != nil {
			r.Behind = lane[i:]
			return r
		}
		if err := handle(ctx, m); err != nil {
			r.Failed, r.Behind, r.Err = &lane[i], lane[i+1:], err
			return r
		}
		r.Done = append(r.Done, m)
	}
	return r
}

// pauses are how long a message is hidden that failed for the first time, the second, and so on. After the last time it becomes a dead
// letter.
var pauses = []time.Duration{1 * time.Second, 3 * time.Second, 10 * time.Second, 30 * time.Second}

// pause is how long a message is hidden that failed, by how often it was received.
func pause(receives int) time.Duration { return pauses[min(max(receives, 1), len(pauses))-1] }
