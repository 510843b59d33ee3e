package alb

import (
	"sync"
	"time"
)

// Event is a change in the state of a target.
type Event struct {
	Time time.Time
	// Group is the key of the target group, Target the id of the target.
	Group, Target string
	From, To      State
	// Reason and Description belong to the new state, in the words of AWS's API. Empty for a
	// healthy target.
	Reason, Description string
}

// events delivers events one after the other, in the order they were added. The receiver may call
// the balancer.
type events struct {
	deliver func(Event)

	mu   sync.Mutex
	last chan struct{} // closed after the delivery of the last event; nil before the first event
}

func (e *events) add(event Event) {
	if e.deliver == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	before, delivered := e.last, make(chan struct{})
	e.last = delivered
	go func() {
		defer close(delivered)
		if before != nil {
			<-before
		}
		e.deliver(event)
	}()
}
