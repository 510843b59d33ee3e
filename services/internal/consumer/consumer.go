// Package consumer takes events so that each changes what a service keeps exactly once, though each may come twice, late, or before what
// it refers to.
//
// For each key, the store has the sequence number of the last event. It is written with what the event changes, in one transaction. An
// event that comes again is dropped. One that comes before its predecessor is refused, and stays in the queue. One that refers to a
// record which is not known yet is parked in the store, with those of its key that follow, until an event of that record comes.
package consumer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"cutover/services/internal/events"
	"cutover/services/internal/queue"
	"cutover/services/internal/store"
)

// Apply returns the changes that an event makes in a store. What the changes expect, it has read in the same store. They must leave
// room for 6 more in a write. If other changes come first, it is called again. An error that is neither of the store nor of
// [Wait] refuses the event: it becomes a dead letter.
type Apply func(ctx context.Context, in store.Store, e events.Event) ([]store.Change, error)

// Wait is the error of an [Apply] that cannot do an event before one of another key, as in users/5.
func Wait(key string) error { return waits{key} }

type waits struct{ key string }

func (w waits) Error() string { return "it waits for " + w.key }

// Gap is the error of an event that comes before its predecessor.
type Gap struct {
	Key        string
	Last, Next int64
}

func (g *Gap) Error() string {
	return fmt.Sprintf("%s: event %d follows event %d", g.Key, g.Next, g.Last)
}

// known is what the store knows of a key's events. Its item has the key as its id.
type known struct {
	// Last is the sequence number of the last event that was taken, and Applied of the last that was applied. Those between are parked.
	Last    int64 `json:"last"`
	Applied int64 `json:"applied"`
	// Waits is the key for which the parked events wait.
	Waits string `json:"waits,omitempty"`
	// Awaited says that events of other keys wait for one of this.
	Awaited bool `json:"awaited,omitempty"`
	// Run is that of the last snapshot which was counted.
	Run string `json:"run,omitempty"`

	version int64
}

// action is what to do with an event.
type action int

const (
	drop action = iota
	refuse
	park
	apply
)

// clocks is by how much the clocks of two services differ at most.
const clocks = time.Hour

// decide says what to do with an event of a key. Began is when a store began that is filled by snapshots, and zero for another: there
// the first event of a key may have any number. But one that is older than the store is dropped. Its record has a snapshot, or is
// gone.
func decide(e events.Event, k known, began time.Time) action {
	first := !began.IsZero() && k.Last == 0
	switch {
	case e.Sequence <= k.Last:
		return drop
	case first && !e.IsSnapshot() && e.Sequence > 1 && e.Time.Before(began.Add(-clocks)):
		return drop
	case !first && !e.IsSnapshot() && e.Sequence > k.Last+1:
		return refuse
	case k.Applied < k.Last:
		return park
	}
	return apply
}

const (
	seenList, parkedList, waitsList, progressList = "seen", "parked", "waits", "progress"
	// attempts is how often an event begins anew because other changes came first.
	attempts = 50
	// shards is how many items have the progress. An event changes one of them.
	shards = 16
	// maxSubject is how long a key may be, in bytes.
	maxSubject = 200
)

// Inbox takes the events of a store.
type Inbox struct {
	store store.Store
	apply Apply
	// began and run are those of a store that is filled by the snapshots of a run; zero for another.
	began time.Time
	run   string
	now   func() time.Time
	shard chan int
}

// NewInbox returns the inbox of a store.
func NewInbox(s store.Store, do Apply) *Inbox {
	b := &Inbox{store: guarded{s}, apply: do, now: time.Now, shard: make(chan int, shards)}
	for i := range shards {
		b.shard <- i
	}
	return b
}

// within is the inbox of a part of the store.
func (b *Inbox) within(prefix string, began time.Time, run string) *Inbox {
	return &Inbox{prefixed{b.store, prefix}, b.apply, began, run, b.now, b.shard}
}

// Take does what an event says. If the error is nil, the event has been applied, parked or dropped.
func (b *Inbox) Take(ctx context.Context, e events.Event) error {
	if len(e.Subject) > maxSubject || strings.Contains(e.Subject, "|") {
		return fmt.Errorf("the key of %.50q has more than %d bytes, or a |", e.ID, maxSubject)
	}
	return again(func() error { return b.once(ctx, e) })
}

// again repeats what another change has come before.
func again(do func() error) error {
	for range attempts {
		if err := do(); !errors.As(err, new(*store.Conflict)) {
			return err
		}
	}
	return fmt.Errorf("%w: other changes came first %d times", queue.ErrUnavailable, attempts)
}

func (b *Inbox) once(ctx context.Context, e events.Event) error {
	k, err := b.known(ctx, e.Subject)
	if err != nil {
		return err
	}
	counted := b.run != "" && e.Run == b.run && k.Run != e.Run
	next := k
	if counted {
		next.Run = e.Run
	}
	var changes []store.Change
	var step int64 // changes of the record that are new
	switch decide(e, k, b.began) {
	case refuse:
		return &Gap{e.Subject, k.Last, e.Sequence}
	case drop:
		if !counted {
			return b.awaken(ctx, k, e.Subject)
		}
	case park:
		next.Last = e.Sequence
		changes = []store.Change{b.parked(e)}
	case apply:
		next.Last = e.Sequence
		if changes, next.Waits, err = b.applied(ctx, e, ""); err != nil {
			return err
		}
		if next.Waits != "" {
			changes = append(changes, b.parked(e))
		} else {
			step, next.Applied = e.Sequence-k.Applied, e.Sequence
		}
	}
	if err := b.write(ctx, e, next, step, counted, changes...); err != nil {
		return err
	}
	return b.awaken(ctx, k, e.Subject)
}

// applied returns the changes of an event, or those that let its key wait for another one, and no longer for the key from.
func (b *Inbox) applied(ctx context.Context, e events.Event, from string) (changes []store.Change, waitsFor string, err error) {
	var wait waits
	for range 2 { // if what it waits for has come just now, it does not say so again
		changes, err = b.apply(ctx, b.store, e)
		if !errors.As(err, &wait) {
			return changes, "", err
		}
		if changes, err = b.wait(ctx, e.Subject, from, wait.key); !errors.Is(err, errCome) {
			return changes, wait.key, err
		}
	}
	return nil, "", fmt.Errorf("%s waits for %s: %w", e.ID, wait.key, err)
}

// awaken is [Inbox.release] of a key of which it was known whether it is awaited.
func (b *Inbox) awaken(ctx context.Context, k known, key string) error {
	if !k.Awaited {
		return nil
	}
	return b.release(ctx, key)
}

var errCome = errors.New("that has come")

// write does the changes of an event, with what is known of its key and the progress.
func (b *Inbox) write(ctx context.Context, e events.Event, next known, step int64, counted bool, changes ...store.Change) error {
	changes = append(changes, next.change(e.Subject))
	if step > 0 || counted {
		shard := <-b.shard
		defer func() { b.shard <- shard }()
		key := store.Key{List: progressList, ID: fmt.Sprintf("%02d", shard)}
		items, err := b.store.Get(ctx, key)
		if err != nil {
			return err
		}
		var p progress
		if err := decode(items[0], &p); err != nil {
			return err
		}
		p.Changes += step
		if step > 0 && e.Time.After(p.At) {
			p.At = e.Time
		}
		if counted {
			kind, _, _ := strings.Cut(e.Subject, "/")
			if p.Told == nil {
				p.Told = map[string]int{}
			}
			p.Told[kind]++
		}
		changes = append(changes, store.Change{Item: store.Item{Key: key, Body: encode(p)}, Expected: items[0].Version})
	}
	return b.store.Write(ctx, changes...)
}

// parked puts an event beside. The events of a key are in the order of their numbers.
func (b *Inbox) parked(e events.Event) store.Change {
	body, err := e.Encode()
	if err != nil {
		panic(err) // it was JSON
	}
	return store.Change{Item: store.Item{
		Key:  store.Key{List: parkedList, ID: fmt.Sprintf("%s|%016d", e.Subject, e.Sequence)},
		Body: encode(waiting{b.now().UTC(), body}),
	}}
}

// waiting is an event that was parked.
type waiting struct {
	At    time.Time       `json:"at"`
	Event json.RawMessage `json:"event"`
}

// wait returns the changes that let a key wait for another one, and no longer for the key from. It marks that one as awaited in any
// case. So an event of it that comes at this moment meets the mark, or the changes meet the event.
func (b *Inbox) wait(ctx context.Context, subject, from, to string) ([]store.Change, error) {
	awaited, err := b.known(ctx, to)
	if err != nil {
		return nil, err
	}
	if subject == to || awaited.Applied > 0 {
		return nil, errCome
	}
	awaited.Awaited = true
	changes := []store.Change{awaited.change(to)}
	if from == to {
		return changes, nil
	}
	keys := []store.Key{{List: waitsList, ID: to + "|" + subject}}
	if from != "" {
		keys = append(keys, store.Key{List: waitsList, ID: from + "|" + subject})
	}
	items, err := b.store.Get(ctx, keys...)
	if err != nil {
		return nil, err
	}
	changes = append(changes, store.Change{Item: store.Item{Key: keys[0], Body: []byte("{}")}, Expected: items[0].Version})
	if from != "" && items[1].Version > 0 {
		changes = append(changes, store.Change{Item: items[1], Expected: items[1].Version, Remove: true})
	}
	return changes, nil
}

// release applies the events that wait for one of a key, which has come. One that is refused stays parked.
func (b *Inbox) release(ctx context.Context, key string) error {
	for {
		k, err := b.known(ctx, key)
		if err != nil || !k.Awaited || k.Applied == 0 && k.Last > 0 {
			return err
		}
		items, err := b.prefixed(ctx, waitsList, key+"|")
		if err != nil {
			return err
		}
		if len(items) == 0 {
			k.Awaited = false
			if err := b.store.Write(ctx, k.change(key)); !errors.As(err, new(*store.Conflict)) {
				return err
			}
			continue
		}
		left := 0
		for _, item := range items {
			subject := strings.TrimPrefix(item.ID, key+"|")
			if err := b.resume(ctx, subject, key); errors.Is(err, queue.ErrUnavailable) {
				return err
			} else if err != nil {
				left++
			}
		}
		if left == len(items) {
			return nil
		}
	}
}

// prefixed returns items of a list whose ids begin with a prefix.
func (b *Inbox) prefixed(ctx context.Context, list, prefix string) ([]store.Item, error) {
	items, err := b.store.List(ctx, list, prefix, 100)
	for i, item := range items {
		if !strings.HasPrefix(item.ID, prefix) {
			return items[:i], err
		}
	}
	return items, err
}

// resume applies the parked events of a key, which wait for another one.
func (b *Inbox) resume(ctx context.Context, subject, waitsFor string) error {
	for more := true; more; {
		err := again(func() (err error) {
			more, err = b.next(ctx, subject, waitsFor)
			return err
		})
		if err != nil {
			return err
		}
	}
	if err := b.release(ctx, subject); err != nil {
		return err
	}
	// Only now: who dies before here leaves the mark, and what waits for this key is released with the next attempt.
	return again(func() error { return b.unmark(ctx, subject, waitsFor) })
}

// unmark removes the mark of a key that waits for another one no longer.
func (b *Inbox) unmark(ctx context.Context, subject, waitsFor string) error {
	mark, err := b.store.Get(ctx, store.Key{List: waitsList, ID: waitsFor + "|" + subject})
	if err != nil || mark[0].Version == 0 {
		return err
	}
	k, err := b.known(ctx, subject)
	if err != nil || k.Waits == waitsFor {
		return err
	}
	return b.store.Write(ctx, store.Change{Item: mark[0], Expected: mark[0].Version, Remove: true})
}

// next applies the first parked event of a key. It returns false after the last.
func (b *Inbox) next(ctx context.Context, subject, waitsFor string) (more bool, err error) {
	k, err := b.known(ctx, subject)
	if err != nil {
		return false, err
	}
	if k.Waits != waitsFor {
		return false, nil // another process was faster
	}
	items, err := b.prefixed(ctx, parkedList, subject+"|")
	if err != nil {
		return false, err
	}
	if len(items) == 0 {
		return false, fmt.Errorf("%s waits for %s, and has no event", subject, waitsFor)
	}
	item := items[0]
	var w waiting
	if err := decode(item, &w); err != nil {
		return false, err
	}
	e, err := events.Decode(w.Event)
	if err != nil {
		return false, err
	}
	changes, other, err := b.applied(ctx, e, waitsFor)
	if err != nil {
		return false, err
	}
	if other != "" {
		k.Waits = other
		return false, b.store.Write(ctx, append(changes, k.change(subject))...)
	}
	step := e.Sequence - k.Applied
	k.Applied = e.Sequence
	changes = append(changes, store.Change{Item: item, Expected: item.Version, Remove: true})
	if k.Applied == k.Last {
		k.Waits = ""
	}
	return k.Waits != "", b.write(ctx, e, k, step, false, changes...)
}

// Oldest returns how many events are parked, up to 1,000, and since when the oldest of them is.
func (b *Inbox) Oldest(ctx context.Context) (n int, since time.Time, err error) {
	items, err := b.store.List(ctx, parkedList, "", 1000)
	for _, item := range items {
		var w waiting
		if err := decode(item, &w); err != nil {
			return n, since, err
		}
		if n++; since.IsZero() || w.At.Before(since) {
			since = w.At
		}
	}
	return n, since, err
}

func (b *Inbox) known(ctx context.Context, key string) (k known, err error) {
	items, err := b.store.Get(ctx, store.Key{List: seenList, ID: key})
	if err != nil {
		return k, err
	}
	err = decode(items[0], &k)
	k.version = items[0].Version
	return k, err
}

func (k known) change(key string) store.Change {
	return store.Change{Item: store.Item{Key: store.Key{List: seenList, ID: key}, Body: encode(k)}, Expected: k.version}
}

// decode reads the body of an item, if it has one.
func decode(item store.Item, into any) error {
	if item.Body == nil {
		return nil
	}
	if err := json.Unmarshal(item.Body, into); err != nil {
		return fmt.Errorf("the item %v cannot be read: %w", item.Key, err)
	}
	return nil
}

func encode(v any) []byte {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // texts and numbers can always be rendered
	}
	return body
}

// guarded is a store whose failures are those of what is not there now. What the store refuses for good is left as it is.
type guarded struct{ store.Store }

func (g guarded) Get(ctx context.Context, keys ...store.Key) ([]store.Item, error) {
	items, err := g.Store.Get(ctx, keys...)
	return items, unavailable(err)
}

func (g guarded) List(ctx context.Context, list, after string, limit int) ([]store.Item, error) {
	items, err := g.Store.List(ctx, list, after, limit)
	return items, unavailable(err)
}

func (g guarded) Write(ctx context.Context, changes ...store.Change) error {
	if err := store.Check(changes); err != nil {
		return err
	}
	return unavailable(g.Store.Write(ctx, changes...))
}

func unavailable(err error) error {
	if err == nil || errors.As(err, new(*store.Conflict)) {
		return err
	}
	return fmt.Errorf("%w: %w", queue.ErrUnavailable, err)
}

// prefixed is the part of a store whose lists begin with a prefix.
type prefixed struct {
	store.Store
	prefix string
}

func (p prefixed) Get(ctx context.Context, keys ...store.Key) ([]store.Item, error) {
	own := make([]store.Key, len(keys))
	for i, k := range keys {
		own[i] = store.Key{List: p.prefix + k.List, ID: k.ID}
	}
	items, err := p.Store.Get(ctx, own...)
	return p.stripped(items), err
}

func (p prefixed) List(ctx context.Context, list, after string, limit int) ([]store.Item, error) {
	items, err := p.Store.List(ctx, p.prefix+list, after, limit)
	return p.stripped(items), err
}

func (p prefixed) stripped(items []store.Item) []store.Item {
	for i := range items {
		items[i].List = strings.TrimPrefix(items[i].List, p.prefix)
	}
	return items
}

func (p prefixed) Write(ctx context.Context, changes ...store.Change) error {
	own := make([]store.Change, len(changes))
	for i, c := range changes {
		own[i] = c
		own[i].List = p.prefix + c.List
	}
	return p.Store.Write(ctx, own...)
}
