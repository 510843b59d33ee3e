// Package session has virtual users with cookies and tokens. Each logs in, sends its steps again and again, and logs out.
// What one answer gave is sent with later requests, while the migration gives these to another service. So a session that the
// other side does not know is found.
package session

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	"cutover/internal/rehearsal"
	"cutover/internal/rehearsal/step"
)

// Config says what the virtual users of a session do. The steps have the variables of [Variables] beside those that they
// capture.
type Config struct {
	// Name is what the session is called, as in "buyer".
	Name string
	// Weight is the share of the load. Default: 1.
	Weight int
	// Users is how many sessions there are at a time. Half of them last as long as the rehearsal. While all wait for answers,
	// there are more. Default: 10.
	Users int
	// Rounds is how often Steps are sent in a session that ends before the rehearsal. Default: 5.
	Rounds int
	// Expires is the age from which the services may end a session by themselves. Default: they never do.
	Expires time.Duration
	// Rows are further variables. Each user has one of the rows, in turn.
	Rows []step.Variables
	// Begin is sent once in a session, such as a login. Steps are sent again and again, and are required. End is sent at the end
	// of a session, such as a logout.
	Begin, Steps, End []step.Step
}

// Variables are those that each step may have: the number of the user from 1 to Users, and a UUID of the round.
func Variables() []string { return []string{"user", "uuid"} }

const (
	defaultUsers  = 10
	defaultRounds = 5
)

// Check returns what is wrong with the configuration, all of it. The field of an error is that of [Config], in lower case,
// with further ones inside, as in begin, 1, path.
func (c *Config) Check(refuse func(problem string, field ...string)) {
	known := Variables()
	for i, row := range c.Rows {
		names := slices.Sorted(maps.Keys(row))
		if !slices.Equal(names, slices.Sorted(maps.Keys(c.Rows[0]))) {
			refuse("must have the variables of the first row", "variables", strconv.Itoa(i))
		}
		for _, name := range names {
			if slices.Contains(Variables(), name) {
				refuse(fmt.Sprintf("{{%s}} has a meaning of its own: choose another name", name), "variables", strconv.Itoa(i))
			}
		}
	}
	if len(c.Rows) > 0 {
		known = append(known, slices.Sorted(maps.Keys(c.Rows[0]))...)
	}
	for _, part := range []struct {
		name  string
		steps []step.Step
	}{{"begin", c.Begin}, {"steps", c.Steps}, {"end", c.End}} {
		for i := range part.steps {
			known = part.steps[i].CheckNames(known, Variables(), func(problem string, field ...string) {
				refuse(problem, append([]string{part.name, strconv.Itoa(i)}, field...)...)
			})
		}
	}
}

// Writes are the names of the steps that may change something.
func (c *Config) Writes() []string { return step.Writes(slices.Concat(c.Begin, c.Steps, c.End)) }

// Session is a [rehearsal.Source].
type Session struct {
	Config
	steps       []*step.Step // of Begin, Steps and End
	routes      []*rehearsal.Request
	comparisons []*rehearsal.Comparison
	baselines   int

	mu     sync.Mutex
	random *rand.Rand
	users  int     // that have begun
	ready  []*user // that have no request, the one that waits longest first
	ended  []life  // of sessions, the first ones
	counts counts
	right  [][]pair  // by step, some of the answers that were right
	seen   []int     // by step, all of them
	wrong  []failure // some
	second time.Time // of which there are failures
	kept   int       // of this second
}

// counts are those of sessions.
type counts struct{ begun, expired, moreWrong int }

const (
	maxEnded = 10_000
	maxRight = 300 // of a step
	maxKept  = 10  // failures of a second
)

// New returns a session whose configuration is right: see [Config.Check].
func New(c Config) *Session {
	c.Weight = max(1, c.Weight)
	if c.Users == 0 {
		c.Users = defaultUsers
	}
	if c.Rounds == 0 {
		c.Rounds = defaultRounds
	}
	s := &Session{Config: c, random: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))}
	for _, steps := range [][]step.Step{c.Begin, c.Steps, c.End} {
		for i := range steps {
			s.steps = append(s.steps, &steps[i])
			s.routes = append(s.routes, steps[i].Route())
			s.comparisons = append(s.comparisons, rehearsal.NewComparison(steps[i].Expect))
		}
	}
	s.right, s.seen = make([][]pair, len(s.steps)), make([]int, len(s.steps))
	return s
}

// Routes are the steps.
func (s *Session) Routes() []*rehearsal.Request { return s.routes }

// Weight is the share of the load.
func (s *Session) Weight() int { return s.Config.Weight }

// user is a virtual user with a session.
type user struct {
	*step.User
	slot  int // of the users that there are at a time; -1 for one more
	row   int // its number, from 0
	stays bool
	place int // of the next step
	round int
	uuid  string
	since time.Time // of the session
	first int       // Seq of the first answer
	given event     // that the session depends on
	told  []event   // the last ones
}

// event is an answer.
type event struct{ place, seq, status int }

// noEvent stands for none.
var noEvent = event{place: -1}

// begin gives a user a new session. It needs the lock.
func (s *Session) begin(u *user) {
	*u = user{User: step.NewUser(), slot: u.slot, row: u.row, stays: u.stays, uuid: s.newUUID(), given: noEvent}
	s.counts.begun++
}

// newUser needs the lock.
func (s *Session) newUser() *user {
	u := &user{slot: -1, row: s.users % s.Users}
	if s.users < s.Users {
		u.slot, u.stays = s.users, s.users%2 == 1
	}
	s.users++
	s.begin(u)
	return u
}

// newUUID returns a UUID of version 4. It needs the lock.
func (s *Session) newUUID() string {
	a, b := s.random.Uint64(), s.random.Uint64()
	return fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x", a>>32, a>>16&0xffff, a&0xfff, b>>48&0x3fff|0x8000, b&0xffffffffffff)
}

// request is the next one of a user.
func (s *Session) request(u *user) *rehearsal.Request {
	more := step.Variables{"user": u.row + 1, "uuid": u.uuid}
	if n := len(s.Rows); n > 0 {
		maps.Copy(more, s.Rows[u.row%n])
	}
	return u.Request(s.steps[u.place], more)
}

// Next is the next step of a user: of a new one, until there are as many as there are to be, or if all others wait.
func (s *Session) Next() rehearsal.Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	var u *user
	if s.users < s.Users || len(s.ready) == 0 {
		u = s.newUser()
	} else {
		u, s.ready = s.ready[0], s.ready[1:]
	}
	if u.since.IsZero() {
		u.since = time.Now()
	}
	r := s.request(u)
	return rehearsal.Call{Route: u.place, Request: r, Judge: &asked{s, u, r}}
}

// asked is a request of a user. The user has no other request until it is judged.
type asked struct {
	*Session
	user    *user
	request *rehearsal.Request
}

// Judge compares an answer with those of the first phase. The user goes on if it is right, and begins a new session otherwise.
func (j *asked) Judge(a rehearsal.Answer) (p rehearsal.Problem, text string) {
	s, u := j.Session, j.user
	isGiven := false
	hasAnswer := a.Err == nil && a.Problem == rehearsal.Fine
	if hasAnswer {
		var missing error
		isGiven, missing = s.take(u, j.request, &a)
		if p, text = s.comparisons[u.place].Judge(a); p == rehearsal.Fine && missing != nil {
			p, text = rehearsal.OtherBody, missing.Error()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e := event{u.place, a.Seq, a.Status}
	if len(u.told) == 0 {
		u.first = e.seq
	}
	if u.told = append(u.told, e); len(u.told) > maxTold {
		u.told = slices.Delete(u.told, 0, 1)
	}
	isDifferent := p != rehearsal.Fine && p != rehearsal.ServerError
	switch {
	case isDifferent && s.Expires > 0 && u.place >= len(s.Begin) && time.Since(u.since) >= s.Expires:
		s.counts.expired++
		s.over(u, e)
		return rehearsal.Fine, ""
	case !hasAnswer || p != rehearsal.Fine:
		if isDifferent {
			s.fail(u, e, text)
		}
		s.over(u, e)
		return p, text
	}
	s.note(u, e)
	if isGiven {
		u.given = e
	}
	s.advance(u, e)
	return p, text
}

// maxTold is how many of a session's answers a finding shows.
const maxTold = 8

// take takes what an answer gives to a session, and says whether it gives anything. What a regular expression takes of a
// body is masked in the answer, for it differs from session to session.
func (s *Session) take(u *user, r *rehearsal.Request, a *rehearsal.Answer) (isGiven bool, missing error) {
	asked := s.steps[u.place]
	missing = u.Take(asked, r, *a)
	a.Body = asked.Masked(a.Body)
	return len(asked.Capture) > 0 || step.GivesCookie(r, a.Header), missing
}

// advance goes to the next step. It needs the lock.
func (s *Session) advance(u *user, e event) {
	end := len(s.Begin) + len(s.Config.Steps)
	if u.place++; u.place == end {
		u.uuid = s.newUUID()
		if u.round++; u.stays || u.round < s.Rounds {
			u.place = len(s.Begin)
		}
	}
	if u.place == len(s.steps) {
		s.over(u, e)
		return
	}
	s.ready = append(s.ready, u)
}

// over ends a session. The user begins another one, unless there are too many users. It needs the lock.
func (s *Session) over(u *user, last event) {
	if len(s.ended) < maxEnded {
		s.ended = append(s.ended, life{u.first, last.seq})
	}
	if u.slot >= 0 {
		s.begin(u)
		s.ready = append(s.ready, u)
	}
}
