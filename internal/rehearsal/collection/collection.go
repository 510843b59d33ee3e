// Package collection writes to the resources of a REST collection, and checks what came of it: whether each write that
// was acknowledged is there, whether reads see what was written last, and whether nothing was done twice.
//
// Each resource has a history of writes and reads. The history has to be linearizable: there is an order of the
// operations, each at a moment between its request and its answer, in which each answer is right.
package collection

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/net/http/httpguts"

	"cutover/internal/rehearsal"
	"cutover/internal/rehearsal/step"
)

// Config says how the resources of a collection are written and read. The steps have the variables of [Variables] beside
// those that they capture.
type Config struct {
	// Name is what one resource is called, as in "order".
	Name string
	// Weight is the share of the load. Default: 1.
	Weight int
	// Begin is sent once by each user, such as a login. Before is sent before each create, by the same user. If there is
	// either, there are several users, and each has its own resources.
	Begin, Before []step.Step
	// Create makes a resource. If it has {{id}}, the rehearsal chooses the id. Otherwise the answer has it.
	Create step.Step
	// Read and List show one resource and all. One of the two is required.
	Read, List *step.Step
	// Replace and Delete may be nil.
	Replace, Delete *step.Step
	// ID is where the answer to Create has the id. Default: the last part of the path in header Location.
	ID    *rehearsal.JSONPath
	Value Value
	Items Items
	// IdempotencyKey is the header that makes a repeated Create do nothing. Default: there is none.
	IdempotencyKey string
	// Hot is how many resources have several requests at a time.
	Hot int
	// Cold is how many others are watched as long as the rehearsal lasts. It is 1 or more.
	Cold int
}

// Value says what {{value}} is, and where answers have it.
type Value struct {
	// From and To bound a number. Default, if both are 0: a text that is sent only once.
	From, To int64
	// JSON is where an answer to Read has the value. Default: a text may be anywhere in the body.
	JSON *rehearsal.JSONPath
}

// Items says what is where in the answer to List.
type Items struct {
	// All are the elements. Default: $[*].
	All *rehearsal.JSONPath
	// ID and Value are in an element. Default: $.id, and Value's JSON.
	ID, Value *rehearsal.JSONPath
}

// Variables are those that the steps may have: the id of the resource, the value that is written, and a UUID of the create.
// Read, Replace and Delete may also have the entity tag that the last answer about the resource has.
func Variables() []string { return []string{"id", "value", "uuid", "etag"} }

// The places of the steps of a collection come after those of Begin and Before. Each action has one.
const actions = 5

// Collection is a [rehearsal.Source].
type Collection struct {
	Config
	steps       []*step.Step // begin, before, and one for each action; nil if there is none
	routes      []*rehearsal.Request
	places      []int // in routes, by step
	comparisons []*rehearsal.Comparison
	chooses     bool // the ids
	values      values
	limit       time.Duration // of each check

	mu       sync.Mutex
	random   *rand.Rand
	clock    int64
	rules    rules
	private  bool // says that a list has the user's resources only
	measured bool // says that there was a first baseline
	lists    bool // says that lists are read
	counts   [actions]int

	users   []*user     // that create; the first one does all if there are no sessions
	ready   []*creation // the next step is to be sent
	again   []*creation // the create is to be sent again, in a while
	pages   []*listed   // the next page is to be sent
	hot     []*resource
	cold    []*resource
	turn    int // in cold
	created int // resources, of which cold are a sample
	open    map[*resource]bool
	due     []*resource         // that have a script
	deleted map[state]operation // by the value that was there at the end
	gone    []state             // in deleted, in order
	unknown map[state]*creation // without an answer, by the value
	failed  []failure           // the first ones
	more    int                 // failures
	cut     int                 // histories that were not decided
}

const (
	maxUsers    = 5      // that create
	maxCreates  = 20     // of a user with a session, so that its list stays short
	maxListed   = 1000   // elements of a list that is read again
	maxPaged    = 10_000 // the same, of a list in pages
	maxPages    = 1000   // of a list
	maxDue      = 50     // resources that have a script, before there are more
	maxRepeats  = 5      // of a create without an answer
	patience    = 64     // ticks before the first repetition, and twice as many before each further one
	maxOpen     = 4      // requests at a time to a hot resource
	maxHot      = 400    // requests to a hot resource, before it is deleted
	maxDoubts   = 3      // answers of a resource that are not what was expected
	maxEarlier  = 200    // values of a resource that are known after its history was begun anew
	maxGone     = 10_000
	maxUnknown  = 1000
	maxFailures = 500
	// window is the number of operations after which a history is checked, and begun anew.
	window = 64
	// checkLimit bounds the time of a check. A check takes milliseconds.
	checkLimit = 2 * time.Second
)

// New returns a collection whose configuration is right: see [Config.Check].
func New(c Config) *Collection {
	c.Weight = max(1, c.Weight)
	if c.Items.All == nil {
		c.Items.All = mustPath("$[*]")
	}
	if c.Items.ID == nil {
		c.Items.ID = mustPath("$.id")
	}
	if c.Items.Value == nil {
		c.Items.Value = c.Value.JSON
	}
	all := &Collection{
		Config: c, limit: checkLimit, random: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())), lists: c.List != nil,
		open: map[*resource]bool{}, deleted: map[state]operation{}, unknown: map[state]*creation{},
	}
	for i := range c.Begin {
		all.steps = append(all.steps, &c.Begin[i])
	}
	for i := range c.Before {
		all.steps = append(all.steps, &c.Before[i])
	}
	all.steps = append(all.steps, &c.Create, c.Read, c.Replace, c.Delete, c.List)
	for i, s := range all.steps {
		all.places = append(all.places, len(all.routes))
		all.comparisons = append(all.comparisons, nil)
		if s != nil {
			all.routes = append(all.routes, s.Route())
			expect := s.Expect
			if i == all.at(listing) {
				expect.IgnoreBody, expect.IgnoreHeaders = true, append(slices.Clip(expect.IgnoreHeaders), "Link")
			}
			all.comparisons[i] = newComparison(expect)
		}
	}
	all.chooses = uses(&c.Create, "id")
	all.values = newValues(c)
	return all
}

// newComparison compares answers about resources that change.
func newComparison(e rehearsal.Expect) *rehearsal.Comparison {
	c := rehearsal.NewComparison(e)
	c.Varies("Etag")
	return c
}

func mustPath(text string) *rehearsal.JSONPath {
	p, err := rehearsal.ParseJSONPath(text)
	if err != nil {
		panic(err)
	}
	return &p
}

func uses(s *step.Step, name string) bool { return s != nil && slices.Contains(s.Names(), name) }

// Check returns what is wrong with the configuration, all of it. The field of an error is that of [Config], in lower case,
// with further ones inside, as in before, 1, path.
func (c *Config) Check(refuse func(problem string, field ...string)) {
	if c.Read == nil && c.List == nil {
		refuse("has neither read nor list: without one, nothing shows what was written")
	}
	known := slices.DeleteFunc(Variables(), func(name string) bool { return name == "etag" })
	for i := range c.Begin {
		known = c.checkStep(&c.Begin[i], known, refuse, "begin", strconv.Itoa(i))
	}
	for i := range c.Before {
		known = c.checkStep(&c.Before[i], known, refuse, "before", strconv.Itoa(i))
	}
	known = c.checkStep(&c.Create, known, refuse, "create")
	for _, s := range []struct {
		name string
		step *step.Step
	}{{"read", c.Read}, {"replace", c.Replace}, {"delete", c.Delete}, {"list", c.List}} {
		if s.step == nil {
			continue
		}
		names := known
		if s.name != "list" {
			names = append(slices.Clip(known), "etag")
			slices.Sort(names)
		}
		c.checkStep(s.step, names, refuse, s.name)
		switch isOfAll := s.name == "list"; {
		case isOfAll && uses(s.step, "id"):
			refuse("has {{id}}: a list is of all", s.name)
		case !isOfAll && !uses(s.step, "id"):
			refuse("has no {{id}}: it must be about one "+c.Name, s.name)
		}
	}
	if c.Replace != nil && !uses(c.Replace, "value") {
		refuse("has no {{value}}: nothing would show what was written", "replace")
	}
	switch v := c.Value; {
	case v.From > v.To:
		refuse(fmt.Sprintf("from %d is more than to %d", v.From, v.To), "value")
	case v.To > 0 && c.Read != nil && v.JSON == nil:
		refuse("a number needs json, its place in the answer to read", "value")
	case v.To > 0 && c.List != nil && v.JSON == nil && c.Items.Value == nil:
		refuse("a number needs value, its place in an element", "items")
	}
	if c.IdempotencyKey != "" && !httpguts.ValidHeaderFieldName(c.IdempotencyKey) {
		refuse(fmt.Sprintf("%q: must be the name of a header", c.IdempotencyKey), "idempotencyKey")
	}
}

// checkStep checks a step. It returns the variables that later steps may have.
func (c *Config) checkStep(s *step.Step, known []string, refuse func(problem string, field ...string), at ...string) []string {
	isEarly := !uses(&c.Create, "id") && (at[0] == "begin" || at[0] == "before")
	if isEarly {
		known = slices.DeleteFunc(slices.Clone(known), func(name string) bool { return name == "id" })
	}
	known = s.CheckNames(known, Variables(), func(problem string, field ...string) { refuse(problem, append(slices.Clip(at), field...)...) })
	if isEarly {
		known = append(known, "id")
	}
	return known
}

// at is the place of an action's step.
func (c *Collection) at(a action) int { return len(c.Begin) + len(c.Before) + int(a) }

// has says whether the collection has an action.
func (c *Collection) has(a action) bool { return c.steps[c.at(a)] != nil }

// conditional says whether an action depends on the entity tag of the resource.
func (c *Collection) conditional(a action) bool { return uses(c.steps[c.at(a)], "etag") }

// sessions says whether there are several users.
func (c *Collection) sessions() bool { return len(c.Begin)+len(c.Before) > 0 }

// Routes are the steps.
func (c *Collection) Routes() []*rehearsal.Request { return c.routes }

// Weight is the share of the load.
func (c *Collection) Weight() int { return c.Config.Weight }

// tick returns the next tick of the clock. It needs the lock.
func (c *Collection) tick() int64 {
	c.clock++
	return c.clock
}
