package collection

import (
	"cmp"
	"hash/maphash"
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

// content is what a resource is at a moment.
type content struct {
	value state
	// tag is the entity tag of the value, and empty until an answer shows it.
	tag string
}

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
	// outdated says that a write found another entity tag than it asked for.
	outdated
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
	// tag is the entity tag of the value, as the answer shows it, and ifMatch the one that the resource had to have.
	tag, ifMatch string
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
func (r rules) step(c content, o operation) (possible bool, next content) {
	matches := o.ifMatch == "" || c.tag == "" || c.tag == o.ifMatch
	switch {
	case !o.action.writes():
		return c.shows(o)
	case o.outcome == missing:
		return c.value == absent, c
	case o.outcome == outdated: // a tag that is not known may be any
		return c.value == absent || c.tag != o.ifMatch, c
	case o.outcome == done && !matches:
		return false, c
	case !matches:
	case o.outcome == done && o.action == replacing && o.tag != "" && o.tag == c.tag && o.value != c.value:
		return false, c // one tag for two values
	case o.action == creating && c.value == absent, o.action == replacing && (c.value != absent || r.upserts):
		return true, content{o.value, o.tag}
	case o.action == deleting && (c.value != absent || r.deletesAbsent):
		return true, content{value: absent}
	}
	return o.outcome == unknown, c
}

// shows says whether a resource can be read as an operation saw it. If so, the entity tag is known.
func (c content) shows(o operation) (possible bool, known content) {
	fits := c.value == o.value || o.value == present && c.value != absent
	if !fits || o.tag == "" {
		return fits, c
	}
	return c.tag == "" || c.tag == o.tag, content{c.value, o.tag}
}

// history is what happened to a resource from a tick on.
type history struct {
	// first is what the resource was then.
	first      content
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

var seed = maphash.MakeSeed()

// check looks for an order of the operations in which each answer is right. It gives up after a time.
func (h history) check(r rules, limit time.Duration) judgement {
	operations := make([]porcupine.Operation, len(h.operations))
	for i, o := range h.operations {
		operations[i] = porcupine.Operation{Input: o, Call: o.call, Return: o.end}
	}
	model := porcupine.Model{
		Init: func() any { return h.first },
		Step: func(s, input, _ any) (bool, any) { return r.step(s.(content), input.(operation)) },
		Hash: func(s any) uint64 { return maphash.Comparable(seed, s.(content)) },
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
	candidates := []state{h.first.value, absent}
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
		o.action, o.outcome, o.value, o.tag = reading, done, candidate, ""
		if left := time.Until(deadline); left > 0 && other.check(r, left) == linearizable {
			states = append(states, candidate)
		}
	}
	return states
}
