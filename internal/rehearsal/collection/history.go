package collection

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// state is what a resource is: the number of the value that was written to it, or one of these.
type state int64

const (
	absent state = -1
	// foreign is a content that nobody wrote.
	foreign state = -2
	// present is anything but absent, as a list may show it.
	present state = -3
)

// action is what a request asks of a resource.
type action uint8

const (
	creating action = iota
	reading
	replacing
	deleting
	// listing reads the resource in the list of the collection.
	listing
)

func (a action) writes() bool { return a == creating || a == replacing || a == deleting }

// outcome is what the answer says about a request.
type outcome uint8

const (
	// done is the outcome of a write that was acknowledged, and of a read.
	done outcome = iota
	// missing says that a write found no resource.
	missing
	// unknown is the outcome of a write without an answer, or with an answer that tells nothing. The write may
	// have an effect now, later, or never.
	unknown
)

// operation is a request to a resource, and its answer.
type operation struct {
	action  action
	outcome outcome
	// status is 0 without an answer.
	status uint16
	// value is what was written, or what a read saw.
	value state
	// seq is the number of the request, beforeWalk or afterLoad.
	seq int
	// call is the tick of the collection's clock before the request was sent, and end that after its answer came.
	// No two are the same. An unknown outcome has no end: see never.
	call, end int64
}

const (
	beforeWalk = -1
	afterLoad  = -2
	never      = math.MaxInt64
)

// rules are what differs between collections. The first phase tells them.
type rules struct {
	// upserts says that a resource that is not there is created by being replaced.
	upserts bool
	// deletesAbsent says that a resource that is not there can be deleted.
	deletesAbsent bool
}

// step says whether an operation can be the next one, and what the resource is afterwards.
func (r rules) step(s state, o operation) (possible bool, next state) {
	switch {
	case !o.action.writes():
		return s == o.value || o.value == present && s != absent, s
	case o.outcome == missing:
		return s == absent, s
	case o.action == creating && s == absent, o.action == replacing && (s != absent || r.upserts):
		return true, o.value
	case o.action == deleting && (s != absent || r.deletesAbsent):
		return true, absent
	}
	return o.outcome == unknown, s
}

// history is what happened to a resource from a tick on.
type history struct {
	// first is what the resource was then.
	first      state
	operations []operation
}

// judgement is what the checker found.
type judgement uint8

const (
	// linearizable: there is an order of the operations, each at a moment between its request and its answer, in
	// which each answer is right.
	linearizable judgement = iota
	wrong
	// undecided: the time was not enough.
	undecided
)

// check looks for an order of the operations in which each answer is right. It gives up after a time.
func (h history) check(r rules, limit time.Duration) judgement {
	operations := make([]porcupine.Operation, len(h.operations))
	for i, o := range h.operations {
		operations[i] = porcupine.Operation{Input: o, Call: o.call, Return: o.end}
	}
	model := porcupine.Model{
		Init: func() any { return h.first },
		Step: func(s, input, _ any) (bool, any) { return r.step(s.(state), input.(operation)) },
		Hash: func(s any) uint64 { return uint64(s.(state)) },
	}
	switch porcupine.CheckOperationsTimeout(model, operations, limit) {
	case porcupine.Ok:
		return linearizable
	case porcupine.Illegal:
		return wrong
	}
	return undecided
}

// until is the history as it was known at a tick. Of a request without an answer, the outcome is unknown.
func (h history) until(tick int64) history {
	then := history{first: h.first}
	for _, o := range h.operations {
		switch {
		case o.call > tick:
			continue
		case o.end <= tick:
		case !o.action.writes():
			continue
		default:
			o.outcome, o.end = unknown, never
		}
		then.operations = append(then.operations, o)
	}
	return then
}

// culprit finds the operation whose answer was the first that cannot be right. It returns the history until that
// answer, and the operation's place in it. The place is -1 if the time was not enough.
func (h history) culprit(r rules, limit time.Duration) (then history, place int) {
	answers := slices.Clone(h.operations)
	slices.SortStableFunc(answers, func(a, b operation) int { return cmp.Compare(a.end, b.end) })
	deadline := time.Now().Add(limit)
	for _, o := range answers {
		then = h.until(o.end)
		left := time.Until(deadline)
		if left <= 0 {
			break
		}
		switch then.check(r, left) {
		case wrong:
			return then, slices.Index(then.operations, o)
		case undecided:
			return then, -1
		}
	}
	return then, -1
}

// right are the states that a read at the place of an operation could have seen. The operation is the first whose
// answer cannot be right. There is none if the operation's own write was seen, and its answer says that there was none.
func (h history) right(r rules, place int, limit time.Duration) (states []state) {
	candidates := []state{h.first, absent}
	for _, o := range h.operations {
		if o.action == creating || o.action == replacing {
			candidates = append(candidates, o.value)
		}
	}
	slices.Sort(candidates)
	other := history{first: h.first, operations: slices.Clone(h.operations)}
	deadline := time.Now().Add(limit)
	for _, candidate := range slices.Compact(candidates) {
		o := &other.operations[place]
		o.action, o.outcome, o.value = reading, done, candidate
		if left := time.Until(deadline); left > 0 && other.check(r, left) == linearizable {
			states = append(states, candidate)
		}
	}
	return states
}
