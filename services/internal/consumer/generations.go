package consumer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"cutover/services/internal/events"
	"cutover/services/internal/store"
)

// progress is how far the events are that were applied. It is the sum of several items.
type progress struct {
	// Changes is how many changes of records were applied.
	Changes int64 `json:"changes"`
	// At is the time of the latest of them.
	At time.Time `json:"at"`
	// Told is how many snapshots of the run have come, by kind.
	Told map[string]int `json:"told,omitempty"`
}

// generations is the item that says which parts of the store are in use.
type generations struct {
	Serving int `json:"serving"`
	// Building is the part that is filled by the snapshots of a run, since a time; 0 if there is none.
	Building int       `json:"building,omitempty"`
	Run      string    `json:"run,omitempty"`
	Began    time.Time `json:"began,omitzero"`
	// Ended has how many records a run has told, for the kinds of which it has told all.
	Ended map[string]int `json:"ended,omitempty"`
	// Old are the parts that are to be removed. None was in use after the time Switched.
	Old      []int     `json:"old,omitempty"`
	Switched time.Time `json:"switched,omitzero"`

	version int64
}

var generationsKey = store.Key{List: "generations", ID: "state"}

// Projection is what a service makes of the events of kinds of records. It can be made anew while it serves: a new generation of it takes
// all events, too, and the snapshots of a run. When the run has told of all records, the new generation serves, and the old one is removed.
type Projection struct {
	// Kinds are the kinds of records whose events are taken, as in users.
	Kinds []string
	// Discard removes some of what the service itself keeps of a generation. It returns false when there is nothing more.
	Discard func(ctx context.Context, in store.Store) (more bool, err error)

	inbox *Inbox
}

// NewProjection returns the projection in a store.
func NewProjection(s store.Store, do Apply, discard func(context.Context, store.Store) (bool, error), kinds ...string) *Projection {
	return &Projection{kinds, discard, NewInbox(s, do)}
}

// grace is how long a generation stays that is no longer in use: a process may have begun to take an event for it.
const grace = time.Minute

func (p *Projection) state(ctx context.Context) (g generations, err error) {
	items, err := p.inbox.store.Get(ctx, generationsKey)
	if err != nil {
		return g, err
	}
	err = decode(items[0], &g)
	g.version = items[0].Version
	g.Serving = max(g.Serving, 1)
	return g, err
}

func (p *Projection) save(ctx context.Context, g generations) error {
	return p.inbox.store.Write(ctx, store.Change{Item: store.Item{Key: generationsKey, Body: encode(g)}, Expected: g.version})
}

func (p *Projection) serving(g generations) *Inbox {
	return p.inbox.within(prefix(g.Serving), time.Time{}, "")
}

func (p *Projection) building(g generations) *Inbox {
	return p.inbox.within(prefix(g.Building), g.Began, g.Run)
}

func prefix(generation int) string { return fmt.Sprintf("%d/", generation) }

// republished is how the type of the event ends that says how many records a run has told.
const republished = ".republished"

// Take does what an event says, in all generations.
func (p *Projection) Take(ctx context.Context, e events.Event) error {
	g, err := p.state(ctx)
	if err != nil {
		return err
	}
	if kind, is := strings.CutSuffix(e.Type, republished); is {
		return p.ended(ctx, kind, e)
	}
	if err := p.serving(g).Take(ctx, e); err != nil {
		return err
	}
	if g.Building == 0 {
		return nil
	}
	if err := p.building(g).Take(ctx, e); err != nil || e.Run == "" || e.Run != g.Run {
		return err
	}
	return p.finish(ctx)
}

// ended notes that a run has told all records of a kind.
func (p *Projection) ended(ctx context.Context, kind string, e events.Event) error {
	var data struct{ Records int }
	if err := json.Unmarshal(e.Data, &data); err != nil {
		return fmt.Errorf("the end of the run %s cannot be read: %w", e.Run, err)
	}
	err := again(func() error {
		g, err := p.state(ctx)
		if err != nil || g.Building == 0 || g.Run != e.Run || !slices.Contains(p.Kinds, kind) {
			return err
		}
		if _, known := g.Ended[kind]; known {
			return nil
		}
		ended := map[string]int{kind: data.Records}
		for k, n := range g.Ended {
			ended[k] = n
		}
		g.Ended = ended
		return p.save(ctx, g)
	})
	if err != nil {
		return err
	}
	return p.finish(ctx)
}

// finish lets the new generation serve, if it has all records of the run.
func (p *Projection) finish(ctx context.Context) error {
	return again(func() error {
		g, err := p.state(ctx)
		if err != nil || g.Building == 0 || len(g.Ended) < len(p.Kinds) {
			return err
		}
		b := p.building(g)
		told, err := b.progress(ctx)
		if err != nil {
			return err
		}
		for kind, n := range g.Ended {
			if told.Told[kind] < n {
				return nil
			}
		}
		if err := b.giveUp(ctx); err != nil {
			return err
		}
		g.Old, g.Serving, g.Switched = append(slices.Clone(g.Old), g.Serving), g.Building, p.inbox.now().UTC()
		g.Building, g.Run, g.Ended, g.Began = 0, "", nil, time.Time{}
		return p.save(ctx, g)
	})
}

// giveUp applies what waits for records of which a whole run has not told: they are gone, and so is their memory.
func (b *Inbox) giveUp(ctx context.Context) error {
	for after := ""; ; {
		items, err := b.store.List(ctx, waitsList, after, 100)
		if err != nil || len(items) == 0 {
			return err
		}
		for _, item := range items {
			after = item.ID
			key, _, _ := strings.Cut(item.ID, "|")
			if err := again(func() error { return b.gone(ctx, key) }); err != nil {
				return err
			}
			if err := b.release(ctx, key); err != nil {
				return err
			}
		}
	}
}

// gone applies that a record is not there. If an event of it comes nevertheless, that is its first.
func (b *Inbox) gone(ctx context.Context, key string) error {
	k, err := b.known(ctx, key)
	if err != nil || k.Last > 0 {
		return err
	}
	kind, _, _ := strings.Cut(key, "/")
	changes, err := b.apply(ctx, b.store, events.Event{ID: key + "#0", Source: "/api/" + kind, Type: kind + "." + events.Deleted, Subject: key, Time: b.now().UTC()})
	if err != nil {
		return err
	}
	return b.store.Write(ctx, append(changes, k.change(key))...)
}

// progress is the sum of the items with the progress.
func (b *Inbox) progress(ctx context.Context) (sum progress, err error) {
	sum.Told = map[string]int{}
	items, err := b.store.List(ctx, progressList, "", 0)
	for _, item := range items {
		var p progress
		if err := decode(item, &p); err != nil {
			return sum, err
		}
		sum.Changes += p.Changes
		if p.At.After(sum.At) {
			sum.At = p.At
		}
		for kind, n := range p.Told {
			sum.Told[kind] += n
		}
	}
	return sum, err
}

// Rebuild begins a new generation, to be filled by the snapshots of a run. One that was begun before is given up.
func (p *Projection) Rebuild(ctx context.Context, run string) (generation int, err error) {
	err = again(func() error {
		g, err := p.state(ctx)
		if err != nil {
			return err
		}
		generation = max(g.Serving, g.Building) + 1
		for _, old := range g.Old {
			generation = max(generation, old+1)
		}
		if g.Building > 0 {
			g.Old, g.Switched = append(slices.Clone(g.Old), g.Building), p.inbox.now().UTC()
		}
		g.Building, g.Run, g.Began, g.Ended = generation, run, p.inbox.now().UTC(), nil
		return p.save(ctx, g)
	})
	return generation, err
}

// View is what the projection answers from.
type View struct {
	store.Store
	// Generation is which one serves, and Building the one that is being made; 0 if there is none.
	Generation, Building int
	// Changes is how many changes of records the generation has, and At when the latest of them was made.
	Changes int64
	At      time.Time
}

// View returns the generation that serves.
func (p *Projection) View(ctx context.Context) (View, error) {
	g, err := p.state(ctx)
	if err != nil {
		return View{}, err
	}
	b := p.serving(g)
	sum, err := b.progress(ctx)
	return View{b.store, g.Serving, g.Building, sum.Changes, sum.At}, err
}

// Oldest is [Inbox.Oldest] of the generation that serves.
func (p *Projection) Oldest(ctx context.Context) (n int, since time.Time, err error) {
	g, err := p.state(ctx)
	if err != nil {
		return 0, since, err
	}
	return p.serving(g).Oldest(ctx)
}

// Clean removes some of what is left of generations that are not in use.
func (p *Projection) Clean(ctx context.Context) error {
	g, err := p.state(ctx)
	if err != nil || len(g.Old) == 0 || p.inbox.now().Sub(g.Switched) < grace {
		return err
	}
	in := p.inbox.within(prefix(g.Old[0]), time.Time{}, "").store
	more, err := p.Discard(ctx, in)
	for _, list := range []string{parkedList, waitsList, progressList, seenList} {
		if more || err != nil {
			break
		}
		more, err = Remove(ctx, in, list, nil)
	}
	if errors.As(err, new(*store.Conflict)) { // another process removes them
		return nil
	}
	if more || err != nil {
		return err
	}
	g.Old = g.Old[1:]
	if err := p.save(ctx, g); err != nil && !errors.As(err, new(*store.Conflict)) {
		return err
	}
	return nil
}

// removeAtOnce is how many items Remove removes, with one more for each.
const removeAtOnce = store.MaxChanges / 2

// Remove removes some items of a list, and with each the item that the function also names. It returns whether there were any.
func Remove(ctx context.Context, in store.Store, list string, also func(store.Item) (store.Key, bool)) (more bool, err error) {
	items, err := in.List(ctx, list, "", removeAtOnce)
	if err != nil || len(items) == 0 {
		return false, err
	}
	var others []store.Key
	for _, item := range items {
		if also == nil {
			break
		}
		if key, has := also(item); has {
			others = append(others, key)
		}
	}
	if len(others) > 0 {
		more, err := in.Get(ctx, others...)
		if err != nil {
			return false, err
		}
		items = append(items, more...)
	}
	var changes []store.Change
	for _, item := range items {
		if item.Version > 0 {
			changes = append(changes, store.Change{Item: store.Item{Key: item.Key}, Expected: item.Version, Remove: true})
		}
	}
	return true, in.Write(ctx, changes...)
}
