package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Worker handles the messages of a queue. Several workers may share a queue.
type Worker struct {
	Queue Queue
	// Handle does a message. Its error leaves the message in the queue; see [ErrUnavailable]. Required.
	Handle func(ctx context.Context, m Message) error
	// Place is where a message of a queue stands that is no FIFO queue. Default: a lane for each message.
	Place func(Message) Place
	// Window is how long a batch waits for further messages, after its first. Default: not at all.
	Window time.Duration
	// Between is called between two batches, and when no message came. Default: nothing.
	Between func(ctx context.Context)
	// Log gets what failed. Required.
	Log *slog.Logger
	// Wait is how long the worker waits for a message before it asks again, and how long its end may take therefore. Default: 10 s.
	Wait time.Duration
	// Hold is how often the worker prolongs the time for which its messages are hidden. Default: each third of [Visibility].
	Hold time.Duration
}

const (
	defaultWait = 10 * time.Second
	// The pauses before a message, or the queue, is tried again that could not be reached. Each is twice the one before.
	firstPause, lastPause = 100 * time.Millisecond, 5 * time.Second
	// How long the queue may take for what it is told.
	tellTime = 10 * time.Second
)

// Work handles messages until the context ends. Then it ends the messages that it has begun, and returns the others to the queue.
func (w Worker) Work(ctx context.Context) error {
	if w.Wait == 0 {
		w.Wait = defaultWait
	}
	if w.Hold == 0 {
		w.Hold = Visibility / 3
	}
	for again := firstPause; ctx.Err() == nil; {
		messages, err := w.receive(ctx)
		if err != nil {
			w.Log.Warn("the queue gives no messages", "error", err.Error())
			sleep(ctx, again)
			again = min(2*again, lastPause)
			continue
		}
		again = firstPause
		if len(messages) > 0 {
			w.batch(ctx, messages)
		}
		if w.Between != nil {
			w.Between(context.WithoutCancel(ctx))
		}
	}
	return nil
}

// receive waits for a batch. It does not break a call off: SQS may have chosen messages for it, which would be hidden for a while.
func (w Worker) receive(ctx context.Context) ([]Message, error) {
	calls := context.WithoutCancel(ctx)
	messages, err := w.Queue.Receive(calls, MaxBatch, w.Wait)
	if err != nil || len(messages) == 0 || w.Window == 0 {
		return messages, err
	}
	for end := time.Now().Add(w.Window); len(messages) < MaxBatch && ctx.Err() == nil; {
		left := time.Until(end)
		if left <= 0 {
			break
		}
		more, err := w.Queue.Receive(calls, MaxBatch-len(messages), left)
		if err != nil {
			break // the messages that are there are done
		}
		messages = append(messages, more...)
	}
	return messages, nil
}

// batch handles messages, and tells the queue what became of them.
func (w Worker) batch(ctx context.Context, messages []Message) {
	stop := w.hold(messages)
	var results []Result
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, lane := range lanes(messages, w.Queue.Ordered(), w.Place) {
		all.Go(func() {
			r := drive(ctx, lane, w.patiently)
			mu.Lock()
			defer mu.Unlock()
			results = append(results, r)
		})
	}
	all.Wait()
	stop()
	tell, cancel := context.WithTimeout(context.WithoutCancel(ctx), tellTime)
	defer cancel()
	var done, behind []Message
	for _, r := range results {
		done, behind = append(done, r.Done...), append(behind, r.Behind...)
	}
	w.told("removed", w.Queue.Delete(tell, done...))
	// Those behind a message are visible before it is, and still not received before it: a group has one at a time.
	w.told("returned", w.Queue.Hide(tell, 0, behind...))
	for _, r := range results {
		if r.Failed == nil {
			continue
		}
		again := pause(r.Failed.Receives)
		if errors.Is(r.Err, ErrUnavailable) { // the worker ends
			again = 0
		}
		w.Log.Warn("a message was not done", "message", r.Failed.ID, "group", r.Failed.Group, "receives", r.Failed.Receives, "behind", len(r.Behind), "error", r.Err.Error())
		w.told("returned", w.Queue.Hide(tell, again, *r.Failed))
	}
}

func (w Worker) told(what string, err error) {
	if err != nil { // they come again by themselves
		w.Log.Warn("messages could not be "+what, "error", err.Error())
	}
}

// patiently does a message that was begun to its end, and tries again while what it needs is not there.
func (w Worker) patiently(ctx context.Context, m Message) error {
	for again := firstPause; ; again = min(2*again, lastPause) {
		err := handle(context.WithoutCancel(ctx), w.Handle, m)
		if !errors.Is(err, ErrUnavailable) || ctx.Err() != nil {
			return err
		}
		w.Log.Warn("a message has to wait", "message", m.ID, "error", err.Error())
		sleep(ctx, again)
	}
}

// handle calls a handler whose panic is an error.
func handle(ctx context.Context, do func(context.Context, Message) error, m Message) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("the handler panics: %v", v)
		}
	}()
	return do(ctx, m)
}

// hold keeps messages hidden until they are told.
func (w Worker) hold(messages []Message) (stop func()) {
	done := make(chan struct{})
	var ended sync.WaitGroup
	ended.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(w.Hold):
			}
			ctx, cancel := context.WithTimeout(context.Background(), tellTime)
			w.told("held", w.Queue.Hide(ctx, Visibility, messages...))
			cancel()
		}
	})
	return func() { close(done); ended.Wait() }
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
