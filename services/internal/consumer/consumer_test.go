package consumer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cutover/services/internal/events"
	"cutover/services/internal/queue"
	"cutover/services/internal/store"
)

var noon = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

// event is the change n of a key. What the record refers to is the text behind an arrow, as in threads/1>users/5.
func event(key string, n int64) events.Event {
	subject, refers, _ := strings.Cut(key, ">")
	kind, _, _ := strings.Cut(subject, "/")
	return events.Event{
		ID: fmt.Sprintf("%s#%d", subject, n), Source: "/api/" + kind, Type: kind + ".changed", Subject: subject, Time: noon, Sequence: n,
		Data: fmt.Appendf(nil, `{"refers":%q,"n":%d}`, refers, n),
	}
}

func snapshot(key string, n int64, run string) events.Event {
	e := event(key, n)
	e.ID, e.Run, e.Type = e.ID+"#"+run, run, strings.Replace(e.Type, "changed", events.Snapshot, 1)
	return e
}

// records is what the tests make of events: an item for each record with the numbers that were applied. A record waits for the one
// to which it refers.
func records(ctx context.Context, in store.Store, e events.Event) ([]store.Change, error) {
	var data struct {
		Refers string
		N      int64
	}
	if e.Data != nil {
		if err := json.Unmarshal(e.Data, &data); err != nil {
			return nil, err
		}
	}
	if data.N == 666 {
		return nil, errors.New("poison")
	}
	keys := []store.Key{{List: "records", ID: e.Subject}, {List: "records", ID: data.Refers}}
	if data.Refers == "" {
		keys = keys[:1]
	}
	items, err := in.Get(ctx, keys...)
	if err != nil {
		return nil, err
	}
	if len(items) > 1 && items[1].Version == 0 {
		return nil, Wait(data.Refers)
	}
	body := fmt.Appendf(bytes.Clone(items[0].Body), "%d ", e.Sequence)
	return []store.Change{{Item: store.Item{Key: keys[0], Body: body}, Expected: items[0].Version}}, nil
}

func applied(t *testing.T, in store.Store, key string) string {
	t.Helper()
	items, err := in.Get(t.Context(), store.Key{List: "records", ID: key})
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(items[0].Body))
}

func TestDecide(t *testing.T) {
	old := event("posts/1", 3)
	old.Time = noon.Add(-2 * clocks)
	for _, c := range []struct {
		name  string
		e     events.Event
		k     known
		began time.Time
		want  action
	}{
		{"the first", event("posts/1", 1), known{}, time.Time{}, apply},
		{"the next", event("posts/1", 3), known{Last: 2, Applied: 2}, time.Time{}, apply},
		{"the same again", event("posts/1", 2), known{Last: 2, Applied: 2}, time.Time{}, drop},
		{"an old one", event("posts/1", 1), known{Last: 2, Applied: 2}, time.Time{}, drop},
		{"one too early", event("posts/1", 4), known{Last: 2, Applied: 2}, time.Time{}, refuse},
		{"not the first", event("posts/1", 2), known{}, time.Time{}, refuse},
		{"behind parked ones", event("posts/1", 3), known{Last: 2, Applied: 0, Waits: "users/1"}, time.Time{}, park},
		{"too early behind parked ones", event("posts/1", 4), known{Last: 2, Applied: 0}, time.Time{}, refuse},
		{"a snapshot", snapshot("posts/1", 9, "r"), known{Last: 2, Applied: 2}, time.Time{}, apply},
		{"a snapshot of what is known", snapshot("posts/1", 2, "r"), known{Last: 2, Applied: 2}, time.Time{}, drop},
		{"a snapshot behind parked ones", snapshot("posts/1", 9, "r"), known{Last: 2, Applied: 1}, time.Time{}, park},
		{"any first one of a new generation", event("posts/1", 5), known{}, noon, apply},
		{"one older than the new generation", old, known{}, noon, drop},
		{"a snapshot older than the new generation", snapshot("posts/1", 5, "r"), known{}, noon.Add(3 * clocks), apply},
		{"one too early in a new generation", event("posts/1", 7), known{Last: 5, Applied: 5}, noon, refuse},
	} {
		if got := decide(c.e, c.k, c.began); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func take(t *testing.T, b *Inbox, all ...events.Event) {
	t.Helper()
	for _, e := range all {
		if err := b.Take(t.Context(), e); err != nil {
			t.Fatal(e.ID, err)
		}
	}
}

// What refers to an unknown record is parked, with what follows it. When the record comes, all are applied, and what waited for them.
func TestParking(t *testing.T) {
	in := store.NewMemory()
	b := NewInbox(in, records)
	b.now = func() time.Time { return noon }
	take(t, b, event("posts/9>threads/1", 1), event("threads/1>users/5", 1), event("threads/1>users/5", 2), event("threads/1>users/5", 2))
	if n, since, err := b.Oldest(t.Context()); n != 3 || !since.Equal(noon) || err != nil {
		t.Errorf("%d events are parked since %v, %v", n, since, err)
	}
	if got := applied(t, in, "threads/1") + applied(t, in, "posts/9"); got != "" {
		t.Errorf("applied is %q", got)
	}
	take(t, b, event("users/5", 1), event("threads/1>users/5", 3), event("posts/9>threads/1", 2))
	for key, want := range map[string]string{"users/5": "1", "threads/1": "1 2 3", "posts/9": "1 2"} {
		if got := applied(t, in, key); got != want {
			t.Errorf("%s: %q is applied, want %q", key, got, want)
		}
	}
	for _, list := range []string{parkedList, waitsList} {
		if items, err := in.List(t.Context(), list, "", 0); len(items) > 0 || err != nil {
			t.Errorf("%s has %v, %v", list, items, err)
		}
	}
	if sum, err := b.progress(t.Context()); sum.Changes != 6 || err != nil {
		t.Errorf("the progress is %+v, %v", sum, err)
	}
}

// A parked event may wait for another record then. One that is poison stays parked, and the event that let it go is taken.
func TestParkedAgain(t *testing.T) {
	in := store.NewMemory()
	b := NewInbox(in, records)
	moved := event("threads/1>users/5", 2)
	moved.Data = []byte(`{"refers":"users/6"}`)
	take(t, b, event("threads/1>users/5", 1), moved, event("users/5", 1))
	if got := applied(t, in, "threads/1"); got != "1" {
		t.Errorf("applied is %q", got)
	}
	take(t, b, event("users/6", 1))
	if got := applied(t, in, "threads/1"); got != "1 2" {
		t.Errorf("applied is %q", got)
	}
	bad := event("threads/2>users/7", 1)
	take(t, b, bad, event("threads/3>users/7", 1))
	b.apply = func(ctx context.Context, s store.Store, e events.Event) ([]store.Change, error) {
		if e.Subject == "threads/2" {
			return nil, errors.New("poison")
		}
		return records(ctx, s, e)
	}
	take(t, b, event("users/7", 1))
	if n, _, err := b.Oldest(t.Context()); n != 1 || err != nil || applied(t, in, "threads/3") != "1" {
		t.Error(n, err, applied(t, in, "threads/3"))
	}
	b.apply = records
	take(t, b, event("users/7", 2))
	if got := applied(t, in, "threads/2"); got != "1" {
		t.Errorf("after the program is right, %q is applied", got)
	}
}

func TestRefused(t *testing.T) {
	b := NewInbox(store.NewMemory(), records)
	if err := b.Take(t.Context(), event("posts/1", 666)); err == nil || errors.Is(err, queue.ErrUnavailable) {
		t.Error("a gap:", err)
	}
	var gap *Gap
	if err := b.Take(t.Context(), event("posts/1", 2)); !errors.As(err, &gap) || gap.Error() != "posts/1: event 2 follows event 0" {
		t.Error("a gap:", err)
	}
	if err := b.Take(t.Context(), event("posts/1>posts/1", 1)); !errors.Is(err, errCome) {
		t.Error("one that waits for itself:", err)
	}
	if err := b.Take(t.Context(), event(strings.Repeat("x", 201), 1)); err == nil {
		t.Error("a long key is taken")
	}
}

// dying is a store that fails now and then, before a write or after it.
type dying struct {
	*store.Memory
	mu     sync.Mutex
	random *rand.Rand
}

func (d *dying) chance() int { d.mu.Lock(); defer d.mu.Unlock(); return d.random.IntN(12) }

func (d *dying) Write(ctx context.Context, changes ...store.Change) error {
	if d.chance() == 0 {
		return store.ErrBusy
	}
	err := d.Memory.Write(ctx, changes...)
	if err == nil && d.chance() == 0 {
		return errors.New("a write may have been done")
	}
	return err
}

// Whatever the order in which events come, however often, to several processes at once whose store fails: each is applied once, in the
// order of its key.
func TestOnce(t *testing.T) {
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 7))
		in := &dying{Memory: store.NewMemory(), random: rand.New(rand.NewPCG(seed, 8))}
		var all []events.Event
		want := map[string]string{}
		for i := range 12 {
			key := fmt.Sprintf("users/%d", i)
			if i > 3 {
				key = fmt.Sprintf("threads/%d>users/%d", i, random.IntN(4))
			}
			if i > 7 {
				key = fmt.Sprintf("posts/%d>threads/%d", i, 4+random.IntN(4))
			}
			for n := range 1 + random.Int64N(4) {
				subject, _, _ := strings.Cut(key, ">")
				want[subject] = strings.TrimSpace(fmt.Sprint(want[subject], " ", n+1))
				for range 1 + random.IntN(2) {
					all = append(all, event(key, n+1))
				}
			}
		}
		random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		todo := make(chan events.Event, len(all))
		var left, running sync.WaitGroup
		left.Add(len(all))
		for _, e := range all {
			todo <- e
		}
		go func() { left.Wait(); close(todo) }()
		for range 3 { // processes
			b := NewInbox(in, records)
			running.Go(func() {
				for e := range todo {
					if err := b.Take(t.Context(), e); err != nil {
						if !errors.As(err, new(*Gap)) && !errors.Is(err, queue.ErrUnavailable) {
							t.Error(e.ID, err)
						}
						todo <- e // it stays in the queue
						continue
					}
					left.Done()
				}
			})
		}
		running.Wait()
		for key, numbers := range want {
			if got := applied(t, in, key); got != numbers {
				t.Errorf("seed %d, %s: %q is applied, want %q", seed, key, got, numbers)
			}
		}
		b := NewInbox(in.Memory, records)
		if n, _, err := b.Oldest(t.Context()); n > 0 || err != nil {
			t.Errorf("seed %d: %d events are still parked, %v", seed, n, err)
		}
	}
}

func end(kind, run string, records int) events.Event {
	return events.Event{ID: kind + "#" + run, Source: "/api/" + kind, Type: kind + ".republished", Subject: kind, Time: noon, Sequence: 1, Run: run, Data: fmt.Appendf(nil, `{"records":%d}`, records)}
}

// A new generation is filled while the old one serves, by snapshots in any order, and serves when it has all. What waits for a record
// of which nobody has told is applied without it. Then the old generation is removed.
func TestGenerations(t *testing.T) {
	in := store.NewMemory()
	discard := func(ctx context.Context, s store.Store) (bool, error) { return Remove(ctx, s, "records", nil) }
	p := NewProjection(in, records, discard, "users", "threads")
	now := noon
	p.inbox.now = func() time.Time { return now }
	tell := func(all ...events.Event) {
		t.Helper()
		for _, e := range all {
			if err := p.Take(t.Context(), e); err != nil {
				t.Fatal(e.ID, err)
			}
		}
	}
	serves := func(generation int, key, want string) {
		t.Helper()
		view, err := p.View(t.Context())
		if err != nil || view.Generation != generation || applied(t, view, key) != want {
			t.Fatalf("generation %d serves %q, %v", view.Generation, applied(t, view, key), err)
		}
	}
	tell(event("users/1", 1), event("users/1", 2), event("users/8", 1), event("threads/1>users/8", 1))
	if n, err := p.Rebuild(t.Context(), "given up"); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	tell(snapshot("users/1", 2, "given up"))
	if n, err := p.Rebuild(t.Context(), "run"); n != 3 || err != nil {
		t.Fatal(n, err)
	}
	tell(end("threads", "run", 1), end("users", "given up", 1), event("users/1", 3), snapshot("users/1", 2, "run"), snapshot("users/1", 2, "run"))
	serves(1, "users/1", "1 2 3")
	// The user 8 is gone so long that nobody tells of it.
	tell(snapshot("threads/1>users/8", 1, "run"), event("users/2", 1), end("users", "run", 2))
	serves(1, "threads/1", "1")
	tell(snapshot("users/2", 1, "run"))
	serves(3, "users/1", "3")
	serves(3, "threads/1", "1")
	tell(event("users/1", 4), event("users/2", 1), end("users", "run", 2))
	serves(3, "users/1", "3 4")
	if n, _, err := p.Oldest(t.Context()); n != 0 || err != nil {
		t.Error(n, err)
	}
	if err := p.Clean(t.Context()); err != nil || applied(t, in, "none") != "" {
		t.Fatal(err)
	}
	if items, _ := in.List(t.Context(), "1/records", "", 0); len(items) == 0 {
		t.Error("the old generation is removed at once")
	}
	now = now.Add(2 * grace)
	for g := (generations{Old: []int{1}}); len(g.Old) > 0; {
		if err := p.Clean(t.Context()); err != nil {
			t.Fatal(err)
		}
		var err error
		if g, err = p.state(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, generation := range []string{"1/", "2/"} {
		for _, list := range []string{"records", seenList, parkedList, waitsList, progressList} {
			if items, err := in.List(t.Context(), generation+list, "", 0); err != nil || len(items) > 0 {
				t.Errorf("%s%s has %d items, %v", generation, list, len(items), err)
			}
		}
	}
	serves(3, "users/1", "3 4")
}

// The chain from a FIFO queue: what is poison goes to the dead letters with those of its key behind it, others go on, and after a
// redrive all are applied in their order. The poison is counted.
func TestWorker(t *testing.T) {
	in, q := store.NewMemory(), &queue.Memory{FIFO: true, MaxReceives: 2}
	var mu sync.Mutex
	broken := true
	p := NewProjection(in, func(ctx context.Context, s store.Store, e events.Event) ([]store.Change, error) {
		mu.Lock()
		defer mu.Unlock()
		if broken && e.ID == "users/1#2" {
			panic("a mistake in the program")
		}
		return records(ctx, s, e)
	}, func(context.Context, store.Store) (bool, error) { return false, nil }, "users")
	var out bytes.Buffer
	seen := newMeasures("feed", "dev-feed.fifo")
	w := worker(p, q, seen, slog.New(slog.NewJSONHandler(&out, nil)))
	w.Wait = 20 * time.Millisecond
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- w.Work(ctx) }()
	for n := range int64(3) {
		for _, key := range []string{"users/1", "users/2"} {
			e := event(key, n+1)
			text, err := e.Encode()
			if err != nil {
				t.Fatal(err)
			}
			q.Put(key, text)
		}
	}
	q.Put("users/3", []byte("no event"))
	limited, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := q.Empty(limited); err != nil {
		t.Fatal(err)
	}
	_, dead, _ := q.Look()
	var letters []string
	for _, m := range dead {
		letters = append(letters, m.Group)
	}
	if slices.Sort(letters); !slices.Equal(letters, []string{"users/1", "users/1", "users/3"}) {
		t.Errorf("dead letters of %v", letters)
	}
	mu.Lock()
	broken = false
	mu.Unlock()
	q.Redrive()
	if err := q.Empty(limited); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	view, err := p.View(t.Context())
	if err != nil || applied(t, view, "users/1") != "1 2 3" || applied(t, view, "users/2") != "1 2 3" || view.Changes != 6 {
		t.Errorf("%q, %q, %+v, %v", applied(t, view, "users/1"), applied(t, view, "users/2"), view, err)
	}
	var line struct {
		AWS struct {
			Timestamp         int64
			CloudWatchMetrics []struct {
				Namespace  string
				Dimensions [][]string
				Metrics    []struct{ Name, Unit string }
			}
		} `json:"_aws"`
		Environment, Service     string
		ParkedAge, ProjectionLag *float64
		Poison                   *int
	}
	for text := range strings.Lines(out.String()) {
		if strings.Contains(text, "_aws") {
			if err := json.Unmarshal([]byte(text), &line); err != nil {
				t.Fatal(err)
			}
		}
	}
	if m := line.AWS.CloudWatchMetrics; len(m) != 1 || m[0].Namespace != "Cutover" || line.Environment != "dev" || line.Service != "feed" || line.ParkedAge == nil || line.ProjectionLag == nil || line.Poison == nil {
		t.Errorf("the metrics are %+v", line)
	}
}
