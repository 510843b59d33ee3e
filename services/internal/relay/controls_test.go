package relay_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	judge "cutover/internal/rehearsal/events"
	posts "cutover/services/posts/routes"
	threads "cutover/services/threads/routes"
	users "cutover/services/users/routes"

	"cutover/services/internal/events"
	"cutover/services/internal/records"
	"cutover/services/internal/relay"
	"cutover/services/internal/store"
)

// forum is a store with the records of the forum, a relay and a topic, whose messages a rehearsal judges.
type forum struct {
	t      *testing.T
	store  *store.Memory
	write  func(ctx context.Context, item store.Item) error
	outbox store.Outbox
	seqs   map[store.Key]int64
	// messages are what the topic took. It takes no more once dies is 0, until the relay starts again.
	messages []string
	dies     int
	mu       sync.Mutex
}

func newForum(t *testing.T) *forum {
	f := &forum{t: t, store: store.NewMemory(), seqs: map[store.Key]int64{}}
	f.outbox = f.store
	f.write = func(ctx context.Context, item store.Item) error {
		return f.store.Write(ctx, store.Change{Item: item, Expected: item.Seq - 1})
	}
	return f
}

// Publish takes an event, as a topic does. The relay dies once after it, before it hears of that.
func (f *forum) Publish(_ context.Context, e events.Event) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dies == 0 {
		return errDied
	}
	text, err := e.Encode()
	if err != nil {
		return err
	}
	f.messages = append(f.messages, string(text))
	if f.dies--; f.dies == 0 {
		return errDied
	}
	return nil
}

func (f *forum) change(list string, id int, what, body string) {
	f.t.Helper()
	key := store.Key{List: list, ID: fmt.Sprintf("%016d", id)}
	f.seqs[key]++
	event := fmt.Sprintf(`{"type":%q,"time":%q}`, what, time.Now().UTC().Format(time.RFC3339Nano))
	if err := f.write(f.t.Context(), store.Item{Key: key, Seq: f.seqs[key], Body: []byte(body), Event: []byte(event)}); err != nil {
		f.t.Fatal(err)
	}
}

var forumKinds = []records.Kind{users.Users, threads.Threads, posts.Posts}

// relay runs a relay until the outbox is empty. It starts again when it has died.
func (f *forum) relay() {
	one := relay.Relay{To: f, Log: slog.New(slog.DiscardHandler), Event: func(item store.Item) (events.Event, error) {
		return forumKinds[slices.IndexFunc(forumKinds, func(k records.Kind) bool { return k.Name == item.List })].Event(item)
	}}
	for range 20 {
		_, _ = one.Once(f.t.Context(), f.outbox)
		if f.dies == 0 {
			f.dies = -1 // the next one lives
		}
	}
}

// judged is what a rehearsal finds, by kind, and how often an event came again.
func (f *forum) judged() (kinds string, duplicates int) {
	f.t.Helper()
	var got []judge.Event
	for _, m := range f.messages {
		e, err := judge.Decode([]byte(m))
		if err != nil {
			f.t.Fatal(err)
		}
		got = append(got, e)
	}
	problems, duplicates := judge.Sequences(got, true)
	stored := map[string]json.RawMessage{}
	for _, kind := range forumKinds {
		items, err := f.store.List(f.t.Context(), kind.Name, "", 0)
		if err != nil {
			f.t.Fatal(err)
		}
		for _, item := range items {
			stored[kind.Name+"/"+strings.TrimLeft(item.ID, "0")] = item.Body
		}
	}
	var all []string
	for _, p := range append(problems, judge.Stored(judge.Fold(got), stored)...) {
		all = append(all, p.Kind)
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), ", "), duplicates
}

// work changes records.
func (f *forum) work() {
	f.change("users", 1, events.Created, `{"id":1,"username":"ada","name":"Ada","bio":""}`)
	f.change("threads", 1, events.Created, `{"id":1,"title":"Looms","createdBy":1}`)
	for id := range 10 {
		f.change("posts", id+1, events.Created, `{"thread":1,"text":"first","user":1}`)
	}
	for id := range 5 {
		f.change("posts", 2*id+1, events.Changed, fmt.Sprintf(`{"thread":1,"text":"edited %d","user":1}`, id))
	}
}

// acknowledging is an outbox whose relay says that it has told of changes as soon as it reads them.
type acknowledging struct{ *store.Memory }

func (a acknowledging) Pending(ctx context.Context, limit int, except ...store.Key) ([]store.Entry, error) {
	entries, err := a.Memory.Pending(ctx, limit, except...)
	for _, e := range entries {
		if err == nil {
			err = a.Memory.Told(ctx, e.Number)
		}
	}
	return entries, err
}

// The verdict is green wherever a relay dies, and red with each mistake that the outbox is there against.
func TestControls(t *testing.T) {
	for dies := 1; dies <= 17; dies++ {
		f := newForum(t)
		f.dies = dies
		f.work()
		f.relay()
		if kinds, duplicates := f.judged(); kinds != "" || duplicates == 0 {
			t.Errorf("a relay that dies after event %d is judged %q, with %d duplicates", dies, kinds, duplicates)
		}

		f = newForum(t)
		f.dies = dies
		f.outbox = acknowledging{f.store}
		f.work()
		f.relay()
		if kinds, _ := f.judged(); kinds == "" && dies < 17 {
			t.Errorf("a relay that acknowledges before it publishes, and dies after event %d, is not found", dies)
		}

		f = newForum(t)
		f.dies = -1
		changes := 0
		f.write = func(ctx context.Context, item store.Item) error {
			without := item
			if changes++; changes == dies { // the service dies between the record and its event
				without.Event = nil
			}
			return f.store.Write(ctx, store.Change{Item: without, Expected: item.Seq - 1})
		}
		f.work()
		f.relay()
		if kinds, _ := f.judged(); kinds == "" {
			t.Errorf("an event outside of the transaction of change %d is not found", dies)
		}
	}
}
