package storetest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"cutover/services/internal/store"
)

// TestOutbox holds the outbox of a store against its contract. The store has no other entries.
func TestOutbox(t *testing.T, s store.Store) {
	outbox := s.(store.Outbox)
	ctx := t.Context()
	told := func(id string, seq int64, body string) store.Change {
		return store.Change{Item: store.Item{Key: store.Key{List: "told", ID: id}, Seq: seq, Body: []byte(body), Event: fmt.Appendf(nil, "%s%d", id, seq)}, Expected: seq - 1}
	}
	pending := func(limit int, except ...string) (events []string, numbers []int64) {
		t.Helper()
		var keys []store.Key
		for _, id := range except {
			keys = append(keys, store.Key{List: "told", ID: id})
		}
		entries, err := outbox.Pending(ctx, limit, keys...)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			events, numbers = append(events, string(e.Event)+"="+string(e.Body)), append(numbers, e.Number)
		}
		return events, numbers
	}
	write := func(changes ...store.Change) {
		t.Helper()
		if err := s.Write(ctx, changes...); err != nil {
			t.Fatal(err)
		}
	}
	write(told("a", 1, "x"))
	write(store.Change{Item: store.Item{Key: store.Key{List: "silent", ID: "a"}}}, told("b", 1, "y"))
	write(told("a", 2, "z"))
	write(told("b", 2, "")) // a record that was deleted
	if err := s.Write(ctx, told("a", 2, "late")); err == nil {
		t.Error("a write with another version was done")
	}
	if err := s.Write(ctx, told("c", 1, "never"), told("a", 9, "never")); err == nil {
		t.Error("half of a write was done")
	}
	events, numbers := pending(10)
	if !slices.Equal(events, []string{"a1=x", "b1=y", "a2=z", "b2="}) || !slices.IsSorted(numbers) {
		t.Fatal(events, numbers)
	}
	if some, _ := pending(2); !slices.Equal(some, []string{"a1=x", "b1=y"}) {
		t.Error(some)
	}
	if some, _ := pending(1, "a", "nobody"); !slices.Equal(some, []string{"b1=y"}) {
		t.Error(some)
	}
	if some, _ := pending(9, "a", "b"); len(some) > 0 {
		t.Error(some)
	}
	if err := outbox.Told(ctx, numbers[0], numbers[2]); err != nil {
		t.Fatal(err)
	}
	if err := outbox.Told(ctx, numbers[0]); err != nil {
		t.Error("what is told twice:", err)
	}
	if left, _ := pending(10); !slices.Equal(left, []string{"b1=y", "b2="}) {
		t.Error(left)
	}
	if err := outbox.Told(ctx, numbers...); err != nil {
		t.Fatal(err)
	}
	items, err := s.Get(ctx, store.Key{List: "told", ID: "a"})
	if err != nil || items[0].Event != nil || string(items[0].Body) != "z" {
		t.Error(items, err)
	}

	// Of one key, nothing overtakes, whoever writes.
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 20 {
				items, err := s.Get(context.WithoutCancel(ctx), store.Key{List: "told", ID: "r"})
				if err != nil {
					t.Error(err)
					return
				}
				_ = s.Write(context.WithoutCancel(ctx), told("r", items[0].Seq+1, "x")) // another one may come first
			}
		})
	}
	all.Wait()
	_, numbers = pending(1000)
	events, _ = pending(1000)
	for i, e := range events {
		if want := fmt.Sprintf("r%d=x", i+1); e != want {
			t.Fatalf("entry %d is %s, want %s", i, e, want)
		}
	}
	if len(numbers) < 20 {
		t.Error("only", len(numbers), "changes")
	}
}
