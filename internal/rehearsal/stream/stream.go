// Package stream watches server-sent events and WebSockets through a migration: when they are cut, how, whether they can be opened again at
// once, and which events are missing or come twice.
package stream

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"cutover/internal/rehearsal"
	"cutover/internal/rehearsal/step"
)

// Config says how a stream is opened. The steps and the texts have the variable {{last}} beside those that Begin captures: the id of the last
// event, which is empty at first.
type Config struct {
	// WebSocket says what the stream is. Default: server-sent events.
	WebSocket bool
	// Open is the request that opens the stream. Of its answer, the status and the headers are compared.
	Open step.Step
	// Begin is sent before, once for each client, such as a login.
	Begin []step.Step
	// Send are texts that are sent when a WebSocket is open.
	Send []string
	// ID is where an event has its id, which is JSON. Default: the field id of server-sent events; messages of WebSockets have none.
	ID *rehearsal.JSONPath
	// IgnoreIDs leaves missing, doubled and different events out.
	IgnoreIDs bool
	// Connections is the number of clients in each phase. Default: 2, as one shows what the other one misses.
	Connections int
	// Uncut says that no step may end the stream. Default: a stream may end with its task.
	Uncut bool
	// MayEnd says that the service may end the stream by itself.
	MayEnd bool
}

// Variables are those that each step may have.
func Variables() []string { return []string{"last"} }

// defaultConnections is that of [Config.Connections].
const defaultConnections = 2

// Check returns what is wrong with the configuration, all of it. The field of an error is that of [Config], in lower case, with
// further ones inside, as in begin, 1, path. The fields of Open have no name before them.
func (c *Config) Check(refuse func(problem string, field ...string)) {
	known := []string{"last"}
	for i := range c.Begin {
		known = c.Begin[i].CheckNames(known, Variables(), func(problem string, field ...string) {
			refuse(problem, append([]string{"begin", strconv.Itoa(i)}, field...)...)
		})
	}
	c.Open.CheckNames(known, nil, refuse)
	for i, text := range c.Send {
		sent := sending(text)
		sent.CheckNames(known, nil, func(problem string, _ ...string) { refuse(problem, "send", strconv.Itoa(i)) })
	}
	if len(c.Send) > 0 && !c.WebSocket {
		refuse("a client sends nothing after the request of server-sent events", "send")
	}
	if c.Uncut && c.MayEnd {
		refuse("uncut and mayEnd contradict each other: leave one", "uncut")
	}
}

// sending is a text as the body of a step, which has variables.
func sending(text string) *step.Step {
	return &step.Step{Request: rehearsal.Request{Path: "/", Body: []byte(text)}}
}

// Writes are the names of the steps that may change something.
func (c *Config) Writes() []string { return step.Writes(append(slices.Clone(c.Begin), c.Open)) }

// Stream is a [rehearsal.Stream].
type Stream struct {
	Config
	name       string
	route      *rehearsal.Request
	send       []*step.Step
	resumes    bool // says that a WebSocket is opened with the last id
	comparison *rehearsal.Comparison
	// settled is how long an event may take to come to all clients.
	settled time.Duration
	before  []*client // of the baseline
	endThem context.CancelFunc

	mu      sync.Mutex
	clients []*client
	ids     ids
	repeats bool // says that ids come twice by themselves
	varies  bool // says that events with one id differ by themselves
	events  int
}

// New returns a stream whose configuration is right: see [Config.Check].
func New(c Config) *Stream {
	if c.Connections == 0 {
		c.Connections = defaultConnections
	}
	expect := c.Open.Expect
	expect.IgnoreBody = true
	s := &Stream{Config: c, route: c.Open.Route(), comparison: rehearsal.NewComparison(expect), settled: settled}
	s.name = s.route.String()
	for _, text := range c.Send {
		s.send = append(s.send, sending(text))
	}
	for _, asked := range append(slices.Clone(s.send), &c.Open) {
		s.resumes = s.resumes || slices.Contains(asked.Names(), "last")
	}
	return s
}

// settled is longer than services poll for events, and than a busy machine stalls.
const settled = 5 * time.Second

// Route is the request that opens the stream.
func (s *Stream) Route() *rehearsal.Request { return s.route }

// Baseline opens the stream in the first phase, and watches it during the trial of the load. The second call says whether it has
// lasted until then, and tries to open it again.
func (s *Stream) Baseline(ctx context.Context, line *rehearsal.Line) error {
	if s.before == nil {
		ctx, s.endThem = context.WithCancel(ctx)
		for range max(2, s.Connections) {
			c := s.newClient()
			s.before = append(s.before, c)
			if err := s.openFirst(ctx, line, c); err != nil {
				return fmt.Errorf("stream %s %w", s.name, err)
			}
		}
		return nil
	}
	defer s.forget()
	for _, c := range s.before {
		s.mu.Lock()
		h := c.held[0]
		s.mu.Unlock()
		if !h.Ended.IsZero() && !s.MayEnd {
			return fmt.Errorf("stream %s ends by itself after %s, by %s; if that is right, write mayEnd: true", s.name, took(h.Ended.Sub(h.Opened)), h.how)
		}
	}
	if err := s.tryAgain(ctx, line, s.before[0]); err != nil {
		return fmt.Errorf("stream %s, opened again, %w", s.name, err)
	}
	s.comparison.Seal()
	return nil
}

// forget ends the clients of the baseline.
func (s *Stream) forget() {
	s.endThem()
	for _, c := range s.before {
		c.reading.Wait()
	}
	s.ids, s.events = ids{}, 0
}

// openFirst opens the stream for a client of the baseline.
func (s *Stream) openFirst(ctx context.Context, line *rehearsal.Line, c *client) error {
	h, err := s.dial(ctx, line, c)
	if err != nil {
		return err
	}
	if err := s.comparison.Learn(h.answer); err != nil {
		return err
	}
	if h.next == nil {
		kind := "server-sent events"
		if s.WebSocket {
			kind = "a WebSocket"
		}
		return fmt.Errorf("answers with status %d and the content type %q, and not with %s: %s", h.answer.Status, h.answer.Header.Get("Content-Type"), kind, rehearsal.Excerpt(h.answer.Body))
	}
	s.hold(c, h)
	c.reading.Go(func() { s.read(ctx, c, h) })
	return nil
}

// longestWait bounds the wait for events that come again, in the first phase.
const longestWait = 500 * time.Millisecond

// tryAgain opens the stream once more for a client that has got events, and learns whether they come again by themselves.
func (s *Stream) tryAgain(ctx context.Context, line *rehearsal.Line, c *client) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.mu.Lock()
	h := c.held[0]
	s.mu.Unlock()
	h.close()
	c.reading.Wait() // otherwise each event comes twice
	isNumbered, got := c.last != "", c.events
	if err := s.openFirst(ctx, line, c); err != nil {
		return err
	}
	for end := time.Now().Add(longestWait); isNumbered && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		s.mu.Lock()
		isMore := c.events > got
		s.mu.Unlock()
		if isMore {
			break
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.before {
		s.repeats, s.varies = s.repeats || len(c.doubled) > 0, s.varies || len(c.others) > 0
	}
	return nil
}

// Watch has clients watch the stream.
func (s *Stream) Watch(ctx context.Context, line *rehearsal.Line) {
	var all sync.WaitGroup
	for range s.Connections {
		all.Go(func() { s.watch(ctx, line, s.newClient()) })
	}
	all.Wait()
}

// newClient returns a client without a connection.
func (s *Stream) newClient() *client {
	return &client{User: step.NewUser(), got: map[int32]int{}}
}

func took(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }
