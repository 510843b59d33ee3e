package collection

import (
	"context"
	"fmt"
	"time"

	"cutover/internal/rehearsal"
)

// Baseline tries what the configuration says with two resources, and learns how the collection behaves. It returns an
// error if the collection does not behave as a collection, already in the first phase.
func (c *Collection) Baseline(ctx context.Context, ask rehearsal.Ask) error {
	for n := range 2 {
		l := &life{Collection: c, ctx: ctx, send: ask, user: c.newUser(), first: n == 0}
		l.live()
		if l.err != nil {
			return fmt.Errorf("%s: %w", c.Name, l.err)
		}
	}
	if c.measured {
		for _, comparison := range c.comparisons {
			if comparison != nil {
				comparison.Seal()
			}
		}
	}
	c.measured = true
	return nil
}

// life is that of one resource, a request after the other.
type life struct {
	*Collection
	ctx   context.Context
	send  rehearsal.Ask
	user  *user
	first bool
	n     creation
	tag   string // entity tag of the last answer
	err   error  // the first one; then no more is sent
}

// ask sends a step, and learns from the answer. Classes are those that the answer may have.
func (l *life) ask(at int, classes ...class) (rehearsal.Answer, class) {
	if l.err != nil || l.steps[at] == nil {
		return rehearsal.Answer{}, failed
	}
	r := l.user.Request(l.steps[at], l.variables(l.n.id, l.n.value, l.n.uuid, l.tag))
	switch {
	case at == l.at(creating):
		r = l.createRequest(&l.n)
		l.n.tries++
	case at == l.at(reading):
		r.Header.Del("If-None-Match") // to see the content
	case uses(l.steps[at], "etag") && l.tag == "":
		l.refuse("%s: no answer before has an ETag for {{etag}}", l.routes[l.places[at]])
		return rehearsal.Answer{}, failed
	}
	return l.sendAt(at, r, classes...)
}

// sendAt sends the request of a step.
func (l *life) sendAt(at int, r *rehearsal.Request, classes ...class) (rehearsal.Answer, class) {
	a := l.send(l.ctx, l.places[at], r)
	if tag := tagOf(a); tag != "" && at != l.at(listing) {
		l.tag = tag
	}
	got := l.classify(at, a)
	for _, class := range classes {
		if got == class {
			if got == succeeded {
				if l.n.tries < 2 {
					l.learn(at, a)
				}
				l.wrap(r, l.user.Take(l.steps[at], r, a))
			}
			return a, got
		}
	}
	if a.Err != nil {
		l.wrap(r, fmt.Errorf("has no answer: %w", a.Err))
	} else {
		l.wrap(r, fmt.Errorf("answers with status %d: %s", a.Status, rehearsal.Excerpt(a.Body)))
	}
	return a, got
}

func (l *life) wrap(r *rehearsal.Request, err error) {
	if err != nil && l.err == nil {
		l.err = fmt.Errorf("%s %w", r, err)
	}
}

func (l *life) refuse(format string, a ...any) {
	if l.err == nil {
		l.err = fmt.Errorf(format, a...)
	}
}

// learn has the comparison learn an answer. Bodies that are no JSON have the value anywhere, so they are not compared.
func (l *life) learn(at int, a rehearsal.Answer) {
	if _, isJSON := rehearsal.DecodeJSON(a.Body); !l.measured && l.first && !isJSON {
		expect := l.steps[at].Expect
		expect.IgnoreBody = true
		l.comparisons[at] = newComparison(expect)
	}
	l.wrap(l.routes[l.places[at]], l.comparisons[at].Learn(a))
}

// live creates a resource, reads, lists, replaces and deletes it.
func (l *life) live() {
	l.n = creation{user: l.user, value: l.values.next(), uuid: l.newID()}
	if l.chooses {
		l.n.id = "r" + l.n.uuid
	}
	for at := range l.at(creating) {
		l.ask(at, succeeded)
	}
	a, _ := l.ask(l.at(creating), succeeded)
	id := l.idIn(a)
	value := l.values.born(l.n.value)
	l.read(value)
	l.list(id, value)
	if l.IdempotencyKey != "" {
		if a, _ = l.ask(l.at(creating), succeeded); l.err == nil && l.idIn(a) != id {
			l.refuse("%s, sent again with its %s, makes another %s: without such a header, leave out idempotencyKey", l.routes[l.places[l.at(creating)]], l.IdempotencyKey, l.Name)
		}
		l.n.tries = 0
	}
	if l.has(replacing) {
		l.n.value = l.values.next()
		l.ask(l.at(replacing), succeeded)
		l.read(l.n.value)
	}
	if l.has(deleting) {
		l.die()
	}
}

// idIn takes the id of the resource from an answer to its create.
func (l *life) idIn(a rehearsal.Answer) string {
	if !l.chooses && l.err == nil {
		if l.n.id = l.idOf(a); l.n.id == nil {
			l.refuse("%s: the answer has no %s: %s", l.routes[l.places[l.at(creating)]], l.whereID(), rehearsal.Excerpt(a.Body))
		}
	}
	return fmt.Sprint(l.n.id)
}

// read expects a value. What changes from read to read is learned.
func (l *life) read(want state) {
	for range 2 {
		a, _ := l.ask(l.at(reading), succeeded)
		if l.err != nil || !l.has(reading) {
			return
		}
		if got := l.valueOf(a.Body); got != want {
			where := "in the answer"
			if l.Value.JSON != nil {
				where = "at " + l.Value.JSON.String()
			}
			l.refuse("%s does not have the value %s that was written, %s: %s", l.routes[l.places[l.at(reading)]], l.values.text(want), where, rehearsal.Excerpt(a.Body))
		}
	}
}

// list expects the resource in the list, and says whether another user sees it, too.
func (l *life) list(id string, want state) {
	if l.err != nil || !l.has(listing) {
		return
	}
	items, a := l.pages()
	if l.err != nil {
		return
	}
	switch item := items[id]; {
	case item.times != 1:
		l.refuse("%s has the new %s %s %d times, by %s of %s: %s",
			l.routes[l.places[l.at(listing)]], l.Name, id, item.times, l.Items.ID, l.Items.All, rehearsal.Excerpt(a.Body))
	case item.value != want && item.value != present:
		l.refuse("%s does not have the value %s that was written to %s %s", l.routes[l.places[l.at(listing)]], l.values.text(want), l.Name, id)
	}
	if !l.sessions() {
		return
	}
	other := &life{Collection: l.Collection, ctx: l.ctx, send: l.send, user: l.newUser(), err: l.err, n: creation{value: l.n.value, uuid: l.newID()}}
	for at := range l.at(creating) {
		other.ask(at, succeeded)
	}
	if items, _ = other.pages(); other.err == nil {
		l.private = items[id].times == 0
	}
	l.err = other.err
}

// pages are the elements of a list, and the answer with the last ones.
func (l *life) pages() (map[string]item, rehearsal.Answer) {
	j := &listed{c: l.Collection, u: l.user}
	for l.err == nil {
		a, _ := l.sendAt(l.at(listing), j.request(), succeeded)
		if l.err != nil {
			break
		}
		if problem := j.add(a); problem != "" {
			l.refuse("%s: %s: %s", l.routes[l.places[l.at(listing)]], problem, rehearsal.Excerpt(a.Body))
		} else if j.next == "" {
			return j.items, a
		}
	}
	return nil, rehearsal.Answer{}
}

// die deletes the resource, and learns what a request to one that is not there does.
func (l *life) die() {
	l.ask(l.at(deleting), succeeded)
	l.ask(l.at(reading), gone)
	if _, class := l.ask(l.at(deleting), succeeded, gone, outmatched); l.err == nil {
		l.rules.deletesAbsent = class == succeeded
	}
	if !l.has(replacing) {
		return
	}
	if _, class := l.ask(l.at(replacing), succeeded, gone, outmatched); l.err == nil {
		l.rules.upserts = class == succeeded
		if l.rules.upserts {
			l.ask(l.at(deleting), succeeded)
		}
	}
}

// Finish reads what is there at the end, lists it, and deletes it. It is called after the load, while the last phase is up.
func (c *Collection) Finish(ctx context.Context, ask rehearsal.Ask) {
	ctx, cancel := context.WithTimeout(ctx, finishLimit)
	defer cancel()
	c.mu.Lock()
	var all []*resource
	owners := map[*user]bool{}
	for r := range c.open {
		r.script = nil
		all = append(all, r)
		owners[r.user] = true
	}
	c.mu.Unlock()
	failures := 0
	finish := func(request func() rehearsal.Call) {
		if failures == maxFinish || ctx.Err() != nil {
			return
		}
		c.mu.Lock()
		call := request()
		c.mu.Unlock()
		answer := ask(ctx, call.Route, call.Request)
		answer.Seq = afterLoad
		if answer.Err != nil {
			failures++
		}
		call.Judge.Judge(answer)
	}
	each := func(a action) {
		for _, r := range all {
			finish(func() rehearsal.Call { return c.ask(r, a) })
		}
	}
	left := func() {
		for len(c.pages) > 0 && failures < maxFinish && ctx.Err() == nil {
			finish(c.nextPage)
		}
	}
	left()
	for len(c.again) > 0 && failures < maxFinish && ctx.Err() == nil {
		c.again[0].tries = maxRepeats // the last time
		finish(c.resumes)
	}
	if c.has(reading) {
		each(reading)
	}
	if c.lists {
		for u := range owners { // what was done twice may be in no list before
			finish(func() rehearsal.Call { return c.listOf(u, nil) })
			left()
		}
	}
	if c.has(deleting) {
		each(deleting)
	}
}

const (
	finishLimit = 20 * time.Second
	maxFinish   = 3 // requests without an answer
)
