package collection

import (
	"slices"

	"cutover/internal/rehearsal"
	"cutover/internal/rehearsal/step"
)

// user is a virtual user.
type user struct {
	*step.User
	begun   bool // says that the user has sent the steps of Begin
	busy    bool // creates a resource
	creates int
	// last is the tick of the answer to the last create.
	last      int64
	resources map[string]*resource // that are open, by id
	ids       map[string]bool      // of all resources, if the user has a session
	lost      int                  // creates without an answer
}

// creation is a resource that a user creates, with the steps before.
type creation struct {
	user  *user
	step  int // to be sent next
	value state
	uuid  string
	id    any // that the rehearsal chose
	tries int
	// call is the tick before the create was sent first.
	call int64
	// due is the tick from which the create is sent again.
	due int64
	// of is the resource if the create is repeated although it was answered.
	of *resource
}

// resource is a resource that is open: it has further requests.
type resource struct {
	history
	*creation
	id string
	// variable is the id as the answer had it.
	variable any
	// created is the create.
	created operation
	// base is the read that begins the history, if that does not begin with the create.
	base *operation
	// earlier are values that were written before the history begins, the last ones.
	earlier []state
	// since is the tick from which the history is complete.
	since int64
	// last is what the resource is, as far as is known.
	last     state
	tag      string   // entity tag of the last answer, or empty
	script   []action // to be sent next
	queued   bool     // in due
	isHot    bool
	leaving  bool // it is closed when the script is over
	pausing  bool // it has one request at a time, so that a read stands alone
	vague    bool // a write has no known outcome
	mute     bool // a repeated create had no answer
	doubled  bool // a second resource with its value was found
	doubts   int  // answers after which it was read once more
	inFlight int
	requests int
}

// Next is the next request.
func (c *Collection) Next() rehearsal.Call {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.next()
}

// next needs the lock.
func (c *Collection) next() rehearsal.Call {
	if len(c.ready) > 0 {
		creation := c.ready[0]
		c.ready = c.ready[1:]
		return c.continues(creation)
	}
	if len(c.again) > 0 && c.again[0].due <= c.clock {
		return c.resumes()
	}
	if len(c.pages) > 0 && c.random.IntN(4) == 0 {
		return c.nextPage()
	}
	const lists, scripts, creates = 2, 50, 65 // of a hundred, one after the other
	const repeats = 10                        // one of so many requests to a cold resource
	switch chance := c.random.IntN(100); {
	case chance < lists && c.lists && len(c.open) > 0:
		return c.list()
	case chance < scripts && len(c.due) > 0:
		return c.scripted()
	case chance < creates && len(c.due) < maxDue:
		return c.create()
	}
	if r := c.idle(); r != nil {
		if c.IdempotencyKey != "" && !r.isHot && !r.user.busy && c.random.IntN(repeats) == 0 {
			return c.repeat(r)
		}
		if c.has(reading) || c.has(replacing) {
			return c.ask(r, c.either())
		}
	}
	if len(c.due) > 0 {
		return c.scripted()
	}
	return c.create()
}

// either reads or replaces.
func (c *Collection) either() action {
	if c.has(replacing) && (!c.has(reading) || c.random.IntN(10) < 4) {
		return replacing
	}
	return reading
}

// repeat sends the create of a resource again, with its Idempotency-Key.
func (c *Collection) repeat(r *resource) rehearsal.Call {
	r.inFlight++
	n := *r.creation
	n.of, n.step = r, c.at(creating)
	n.user.busy = c.sessions()
	return c.continues(&n)
}

// idle returns a resource that has no request, or a hot one, or nil. Half of the requests are for hot ones.
func (c *Collection) idle() *resource {
	if len(c.hot) > 0 && c.random.IntN(2) == 0 {
		if r := c.hot[c.random.IntN(len(c.hot))]; r.inFlight < maxOpen && !r.pausing && !r.leaving {
			return r
		}
	}
	for range c.cold {
		c.turn = (c.turn + 1) % len(c.cold)
		if r := c.cold[c.turn]; r.inFlight == 0 && len(r.script) == 0 {
			return r
		}
	}
	return nil
}

// scripted sends the next request of the resource that has waited longest.
func (c *Collection) scripted() rehearsal.Call {
	r := c.due[0]
	c.due, r.queued = c.due[1:], false
	next := r.script[0]
	r.script = r.script[1:]
	if next == listing {
		r.inFlight++
		return c.listOf(r.user, r)
	}
	return c.ask(r, next)
}

// ask sends a request to a resource. A write that needs an entity tag becomes a read if the tag is not known.
func (c *Collection) ask(r *resource, a action) rehearsal.Call {
	if c.conditional(a) && r.tag == "" && c.has(reading) {
		a = reading
	}
	o := operation{action: a, call: c.tick(), value: absent}
	if c.conditional(a) && (a != reading || c.random.IntN(2) == 0) { // the other reads show the content
		o.ifMatch = r.tag
	}
	if a == replacing {
		o.value = c.values.next()
	}
	r.inFlight++
	r.requests++
	request := r.user.Request(c.steps[c.at(a)], c.variables(r.variable, o.value, "", o.ifMatch))
	if c.conditional(a) && o.ifMatch == "" {
		request.Header.Del("If-None-Match") // would have no value
	}
	return c.call(c.at(a), request, &asked{c, r, o}, r.user)
}

// list lists the resources of a user that has some.
func (c *Collection) list() rehearsal.Call {
	if r := c.idle(); r != nil {
		return c.listOf(r.user, nil)
	}
	for r := range c.open {
		return c.listOf(r.user, nil)
	}
	return c.create()
}

// listOf lists the resources of a user. One of them may wait for the list.
func (c *Collection) listOf(u *user, waiting *resource) rehearsal.Call {
	return c.page(&listed{c: c, u: u, r: waiting, o: operation{action: listing, call: c.tick()}})
}

// create begins a resource.
func (c *Collection) create() rehearsal.Call {
	var who *user
	if i := slices.IndexFunc(c.users, func(u *user) bool { return !u.busy }); i >= 0 {
		who = c.users[i]
		c.users = append(slices.Delete(c.users, i, i+1), who) // each in turn
	} else {
		who = c.newUser()
		c.users = append(c.users, who)
	}
	n := &creation{user: who, value: c.values.next(), uuid: c.newID()}
	if c.chooses {
		n.id = "r" + n.uuid
	}
	if who.begun {
		n.step = len(c.Begin)
	}
	if c.sessions() {
		who.busy = true
		if who.creates++; who.creates >= maxCreates || len(c.users) > maxUsers {
			c.retire(who)
		}
	}
	return c.continues(n)
}

func (c *Collection) newUser() *user {
	return &user{User: step.NewUser(), resources: map[string]*resource{}, ids: map[string]bool{}}
}

// continues sends the next step of a creation.
func (c *Collection) continues(n *creation) rehearsal.Call {
	at := n.step
	if at < len(c.Begin)+len(c.Before) {
		return c.call(at, n.user.Request(c.steps[at], c.variables(n.id, n.value, n.uuid, "")), &prepared{c, n}, n.user)
	}
	call := c.tick()
	if n.call == 0 {
		n.call = call
	}
	n.tries++
	return c.call(at, c.createRequest(n), &creates{c, n}, n.user)
}

// repeats has a create sent again later.
func (c *Collection) repeats(n *creation) {
	n.due = c.clock + patience<<(n.tries-1)
	i := slices.IndexFunc(c.again, func(other *creation) bool { return other.due > n.due })
	if i < 0 {
		i = len(c.again)
	}
	c.again = slices.Insert(c.again, i, n)
}

// resumes sends the create again that is due first.
func (c *Collection) resumes() rehearsal.Call {
	n := c.again[0]
	c.again = c.again[1:]
	return c.continues(n)
}

// createRequest is the same each time it is sent, but for the cookies.
func (c *Collection) createRequest(n *creation) *rehearsal.Request {
	r := n.user.Request(c.steps[c.at(creating)], c.variables(n.id, n.value, n.uuid, ""))
	if c.IdempotencyKey != "" {
		r.Header.Set(c.IdempotencyKey, n.uuid)
	}
	return r
}

func (c *Collection) call(at int, r *rehearsal.Request, j judge, u *user) rehearsal.Call {
	return rehearsal.Call{Route: c.places[at], Request: r, Judge: &judging{c, at, r, j, u}}
}
