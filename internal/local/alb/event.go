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

	mu      sync.Mutex
	queue   []Event
	running bool
}

func (e *events) add(event Event) {
	if e.deliver == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.queue = append(e.queue, event)
	if !e.running {
		e.running = true
		go e.run()
	}
}

func (e *events) run() {
	for {
		e.mu.Lock()
		if len(e.queue) == 0 {
			e.running = false
			e.mu.Unlock()
			return
		}
		event := e.queue[0]
		e.queue = e.queue[1:]
		e.mu.Unlock()
		e.deliver(event)
	}
}
