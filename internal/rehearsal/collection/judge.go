package collection

import (
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"cutover/internal/rehearsal"
)

// class is what an answer says about the request.
type class uint8

const (
	// failed: the request may have had an effect, or none.
	failed class = iota
	succeeded
	// gone: there is no such resource.
	gone
	// outmatched: the resource has another entity tag than the write asked for.
	outmatched
	// unchanged: the resource still has the entity tag that the read named.
	unchanged
	// running: the same create is not answered yet.
	running
)

// classify reads the status of an answer.
func (c *Collection) classify(at int, a rehearsal.Answer) class {
	expected := c.steps[at].Expect.Status
	switch {
	case a.Problem != rehearsal.Fine || a.Err != nil:
		return failed
	case at == c.at(reading) && a.Status == http.StatusNoContent:
		return gone
	case at == c.at(reading) && a.Status == http.StatusNotModified && c.conditional(reading):
		return unchanged
	case a.Status == http.StatusPreconditionFailed && (at == c.at(replacing) && c.conditional(replacing) || at == c.at(deleting) && c.conditional(deleting)):
		return outmatched
	case slices.Contains(expected, a.Status):
		return succeeded
	case len(expected) == 0 && a.Status >= 200 && a.Status < 300 && a.Status != http.StatusAccepted:
		return succeeded
	case a.Status != http.StatusNotFound && a.Status != http.StatusGone:
		return failed
	case at == c.at(reading), at == c.at(replacing), at == c.at(deleting):
		return gone
	}
	return failed
}

// judge takes an answer with its class. It is called with the lock. It returns what is wrong with the answer, and
// the histories that are to be checked.
type judge interface {
	take(rehearsal.Answer, class) (wrong string, checks []suspect)
}

// judging is a [rehearsal.Judge] of one request.
type judging struct {
	*Collection
	step    int
	request *rehearsal.Request
	judge   judge
	user    *user
}

// Judge compares an answer with those of the first phase, and takes down what it says about the resources.
func (j *judging) Judge(a rehearsal.Answer) (rehearsal.Problem, string) {
	class := j.classify(j.step, a)
	p, text := rehearsal.Fine, ""
	create, isCreate := j.judge.(*creates)
	isRepeated := isCreate && create.n.tries > 1 // and may be answered otherwise than the first one
	if isRepeated && class == failed && a.Status == http.StatusConflict && j.mayRun(create.n) {
		class = running
	}
	if class == unchanged && j.request.Header.Get("If-None-Match") == "" {
		class = failed
	}
	if a.Err == nil && (class == failed || class == succeeded && !isRepeated) {
		p, text = j.comparisons[j.step].Judge(a)
	}
	if class == succeeded {
		if err := j.user.Take(j.steps[j.step], j.request, a); err != nil {
			p, text, class = rehearsal.OtherBody, err.Error(), failed
		}
	}
	j.mu.Lock()
	wrong, checks := j.judge.take(a, class)
	j.mu.Unlock()
	for _, s := range checks {
		j.examine(s)
	}
	if wrong != "" && p == rehearsal.Fine {
		p, text = rehearsal.OtherBody, wrong
	}
	return p, text
}

// mayRun says whether an earlier request of the same create had no answer, so that it may go on.
func (c *Collection) mayRun(n *creation) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return n.of == nil || n.of.mute
}

// prepared is a step of Begin or Before.
type prepared struct {
	c *Collection
	n *creation
}

func (j *prepared) take(_ rehearsal.Answer, class class) (string, []suspect) {
	c, n := j.c, j.n
	if class != succeeded {
		c.retire(n.user)
		n.user.busy = false
		return "", nil
	}
	n.step++
	n.user.begun = n.user.begun || n.step >= len(c.Begin)
	c.ready = append(c.ready, n)
	return "", nil
}

// retire lets a user with a session create no more. Nobody knows what a request without an answer has done to the session.
func (c *Collection) retire(u *user) {
	if c.sessions() {
		c.users = slices.DeleteFunc(c.users, func(other *user) bool { return other == u })
	}
}

// creates is a create.
type creates struct {
	c *Collection
	n *creation
}

func (j *creates) take(a rehearsal.Answer, class class) (wrong string, checks []suspect) {
	c, n := j.c, j.n
	o := operation{action: creating, status: uint16(a.Status), seq: a.Seq, value: c.values.born(n.value), tag: tagOf(a), call: n.call, end: c.tick()}
	n.user.last = o.end
	n.user.busy = false
	id := n.id
	if class == succeeded && !c.chooses {
		if id = c.idOf(a); id == nil {
			class, wrong = failed, "the answer has no "+c.whereID()
		}
	}
	switch {
	case n.of != nil:
		if text := fmt.Sprint(id); class == succeeded && text != n.of.id {
			c.fail(failure{kind: doneTwice, id: n.of.id, other: text, ack: n.of.created, wrong: o, operations: []operation{n.of.created, o}})
		}
		n.of.mute = n.of.mute || class == failed
		n.of.inFlight--
		checks = c.after(n.of)
	case class == succeeded:
		c.counts[creating]++
		c.opened(n, id, o)
	case c.IdempotencyKey != "" && n.tries < maxRepeats && len(c.again) < maxUnknown:
		n.user.busy = c.sessions()
		c.repeats(n)
	default:
		o.outcome, o.end, o.tag = unknown, never, ""
		n.user.lost++
		c.retire(n.user)
		if c.chooses {
			c.opened(n, id, o)
		} else if c.values.created && c.values.texts() && len(c.unknown) < maxUnknown {
			c.unknown[n.value] = n
		}
	}
	return wrong, checks
}

// idOf is the id in the answer to a create, or nil.
func (c *Collection) idOf(a rehearsal.Answer) any {
	if c.ID != nil {
		decoded, _ := rehearsal.DecodeJSON(a.Body)
		return scalar(c.ID.Select(decoded))
	}
	location, err := url.Parse(a.Header.Get("Location"))
	if err != nil {
		return nil
	}
	last, err := url.PathUnescape(path.Base(location.EscapedPath()))
	if err != nil || last == "." || last == "/" {
		return nil
	}
	return last
}

// tagOf is the entity tag of an answer. A weak one fits no If-Match, and is none.
func tagOf(a rehearsal.Answer) string {
	tag := a.Header.Get("Etag")
	if strings.HasPrefix(tag, "W/") {
		return ""
	}
	return tag
}

// scalar is the one value in a list, if it is a text or a number.
func scalar(found []any) any {
	if len(found) != 1 || fmt.Sprint(found[0]) == "" {
		return nil
	}
	switch found[0].(type) {
	case nil, bool, []any, map[string]any:
		return nil
	}
	return found[0]
}

func (c *Collection) whereID() string {
	if c.ID != nil {
		return "id at " + c.ID.String()
	}
	return "id in header Location"
}

// asked is a read, a replacement or a deletion.
type asked struct {
	c *Collection
	r *resource
	o operation
}

func (j *asked) take(a rehearsal.Answer, class class) (string, []suspect) {
	c, r, o := j.c, j.r, j.o
	if r.inFlight--; !c.open[r] {
		return "", nil
	}
	o.status, o.seq, o.end = uint16(a.Status), a.Seq, c.tick()
	switch {
	case class == failed && !o.action.writes():
		return "", c.after(r)
	case class == failed:
		o.outcome, o.end, r.vague = unknown, never, true
		r.operations = append(r.operations, o)
		c.leave(r)
		return "", c.after(r)
	case class == gone && o.action.writes():
		o.outcome = missing
	case class == outmatched:
		o.outcome = outdated
	case class == unchanged:
		o.value, o.tag = present, o.ifMatch
	case class == succeeded && o.action == reading:
		o.value, o.tag = c.valueOf(a.Body), tagOf(a)
	case class == succeeded && o.action == replacing:
		o.tag = tagOf(a)
	}
	if o.tag != "" {
		r.tag = o.tag
	}
	isNews := o.action == reading && o.value != r.last && class != unchanged
	if r.inFlight == 0 && r.doubts < maxDoubts && (o.outcome != done || isNews) && c.has(reading) {
		r.doubts++ // is it lost, or is this an old copy?
		r.script = append([]action{reading}, r.script...)
	}
	if o.outcome == done {
		c.counts[o.action]++
		if o.action == deleting && r.inFlight == 0 && !r.vague {
			c.buried(r.last, o)
		}
		if class != unchanged {
			r.last = o.value
		}
	}
	r.operations = append(r.operations, o)
	return "", c.after(r)
}

// buried takes down a resource that was deleted.
func (c *Collection) buried(value state, o operation) {
	if !c.has(listing) || !c.values.texts() || value <= 0 {
		return
	}
	if len(c.gone) == maxGone {
		delete(c.deleted, c.gone[0])
		c.gone = c.gone[1:]
	}
	c.gone = append(c.gone, value)
	c.deleted[value] = o
}

// opened takes up a resource. Another resource may have the id.
func (c *Collection) opened(n *creation, id any, o operation) *resource {
	text := fmt.Sprint(id)
	if c.sessions() {
		n.user.ids[text] = true
	}
	if r := n.user.resources[text]; r != nil {
		r.operations, r.last, r.tag = append(r.operations, o), o.value, o.tag
		return r
	}
	r := &resource{
		history: history{first: content{value: absent}, operations: []operation{o}}, creation: n, id: text, variable: id, created: o, since: n.call,
		last: o.value, tag: o.tag, vague: o.outcome == unknown,
	}
	c.open[r], n.user.resources[text] = true, r
	for _, a := range []action{reading, replacing, reading, listing} {
		if c.has(a) && (a != listing || !c.has(reading)) {
			r.script = append(r.script, a)
		}
	}
	c.created++
	switch {
	case r.vague:
		c.leave(r)
	case len(c.hot) < c.Hot:
		r.isHot = true
		c.hot = append(c.hot, r)
	case len(c.cold) < c.Cold && c.created%4 > 0: // every fourth is deleted soon
		c.cold = append(c.cold, r)
	default: // those that stay are a sample of all that were created
		if i := c.random.IntN(c.created); i < len(c.cold) {
			before := c.cold[i]
			c.cold[i] = r
			c.leave(before)
		} else {
			c.leave(r)
		}
	}
	c.queue(r)
	return r
}

// leave ends what a resource is asked.
func (c *Collection) leave(r *resource) {
	if r.leaving {
		return
	}
	r.leaving, r.pausing = true, false
	is := func(other *resource) bool { return other == r }
	c.hot, c.cold = slices.DeleteFunc(c.hot, is), slices.DeleteFunc(c.cold, is)
	shows := reading
	if !c.has(reading) {
		shows = listing
	}
	if c.has(deleting) {
		if r.vague && c.conditional(deleting) && c.has(reading) { // the tag may be another
			r.script = append(r.script, reading)
		}
		r.script = append(r.script, deleting)
	}
	if shows == reading || c.lists {
		r.script = append(r.script, shows)
	}
	c.queue(r)
}

// queue has the next request of a resource's script wait for its turn.
func (c *Collection) queue(r *resource) {
	mayOverlap := r.isHot && !r.pausing && r.inFlight < maxOpen
	if !r.queued && len(r.script) > 0 && (r.inFlight == 0 || mayOverlap) {
		r.queued = true
		c.due = append(c.due, r)
	}
}

// after decides what comes after an answer. It returns the history if that is complete.
func (c *Collection) after(r *resource) (checks []suspect) {
	switch {
	case !c.open[r]:
		return nil
	case r.leaving && len(r.script) == 0 && r.inFlight == 0:
		c.forget(r)
		checks = []suspect{c.suspect(r)}
	case r.leaving:
	case r.isHot && r.requests >= maxHot && c.has(deleting), len(r.operations) >= window && !c.has(reading):
		c.leave(r)
	case len(r.operations) >= window:
		r.pausing = true
		if r.inFlight > 0 {
			break
		}
		if r.settled() {
			checks = []suspect{c.suspect(r)}
			c.renew(r)
		} else if len(r.script) == 0 {
			r.script = []action{reading}
		}
	}
	c.queue(r)
	return checks
}

// renew begins a history with the last read.
func (c *Collection) renew(r *resource) {
	earlier := slices.Clone(r.earlier)
	for _, o := range r.operations {
		if o.action == creating || o.action == replacing {
			earlier = append(earlier, o.value)
		}
	}
	r.earlier = earlier[max(0, len(earlier)-maxEarlier):]
	read := r.operations[len(r.operations)-1]
	r.history, r.base, r.since, r.pausing = history{first: content{read.value, read.tag}}, &read, read.call, false
}

// settled says whether the last operation is a read after all writes.
func (r *resource) settled() bool {
	last := r.operations[len(r.operations)-1]
	return last.action == reading && last.value != present && !slices.ContainsFunc(r.operations, func(o operation) bool { return o.action.writes() && o.end > last.call })
}

// forget ends the requests to a resource.
func (c *Collection) forget(r *resource) {
	delete(c.open, r)
	if r.user.resources[r.id] == r {
		delete(r.user.resources, r.id)
	}
	is := func(other *resource) bool { return other == r }
	c.hot, c.cold, c.due = slices.DeleteFunc(c.hot, is), slices.DeleteFunc(c.cold, is), slices.DeleteFunc(c.due, is)
}
