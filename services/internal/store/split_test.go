package store_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"testing"

	"cutover/internal/nightly"
	"cutover/services/internal/store"
	"cutover/services/internal/store/storetest"
)

// split spreads the items of each list over several lists, as docs/stores.md describes. Items before an id
// stay where they are, so that nothing has to move. The key that a service sees stays the same. No service
// needs it yet.
type split struct {
	store.Store
	from string // the first id that is spread
	n    int    // number of lists, at most 1000
}

// inner is the key in the store below: posts/7 is in posts#003, if 7 is spread over lists.
func (s split) inner(key store.Key) store.Key {
	if key.ID < s.from {
		return key
	}
	h := fnv.New32a()
	h.Write([]byte(key.ID))
	return store.Key{List: s.part(key.List, int(h.Sum32()%uint32(s.n))), ID: key.ID}
}

func (s split) part(list string, i int) string { return fmt.Sprintf("%s#%03d", list, i) }

func (s split) outer(key store.Key) store.Key {
	if key.ID >= s.from {
		key.List = key.List[:len(key.List)-len("#000")]
	}
	return key
}

func (s split) Get(ctx context.Context, keys ...store.Key) ([]store.Item, error) {
	below := make([]store.Key, len(keys))
	for i, key := range keys {
		below[i] = s.inner(key)
	}
	return s.items(s.Store.Get(ctx, below...))
}

// List merges the lists below. Each of them is asked for as many items as the whole may have.
func (s split) List(ctx context.Context, list, after string, limit int) (all []store.Item, err error) {
	parts := []string{list}
	for i := range s.n {
		parts = append(parts, s.part(list, i))
	}
	for _, part := range parts {
		items, err := s.Store.List(ctx, part, after, limit)
		if err != nil {
			return nil, err
		}
		all = append(all, items...)
	}
	slices.SortFunc(all, func(a, b store.Item) int { return cmp.Compare(a.ID, b.ID) })
	if limit > 0 && len(all) > limit {
		all = all[:limit]
	}
	return s.items(all, nil)
}

func (s split) Write(ctx context.Context, changes ...store.Change) error {
	if err := store.Check(changes); err != nil {
		return err
	}
	below := slices.Clone(changes)
	for i := range below {
		below[i].Key = s.inner(below[i].Key)
	}
	err := s.Store.Write(ctx, below...)
	if conflict := (*store.Conflict)(nil); errors.As(err, &conflict) {
		return &store.Conflict{Key: s.outer(conflict.Key)}
	}
	return err
}

func (s split) items(items []store.Item, err error) ([]store.Item, error) {
	for i := range items {
		items[i].Key = s.outer(items[i].Key)
	}
	return items, err
}

// TestSplit: a service does not see that its lists are spread. That holds wherever the spreading begins.
func TestSplit(t *testing.T) {
	for _, from := range []string{"", "b", "050", "~"} {
		t.Run("from "+from, func(t *testing.T) {
			if from == "050" || from == "~" {
				nightly.Test(t, "it holds the contract once more")
			}
			s := split{store.NewMemory(), from, 16}
			storetest.Test(t, func(*testing.T) store.Store { return s })
		})
	}
}

// TestSplitLater: a list is spread while it has items, and two processes of which only one spreads it agree on
// all ids before.
func TestSplitLater(t *testing.T) {
	memory := store.NewMemory()
	put := func(s store.Store, ids ...string) {
		for _, id := range ids {
			if err := s.Write(t.Context(), store.Change{Item: store.Item{Key: store.Key{List: "posts", ID: id}, Body: []byte("{}")}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	later := split{memory, "0100", 4}
	put(memory, "0001", "0003")
	put(later, "0002", "0099")
	put(memory, "0004")
	put(later, "0100", "0101", "0102", "0103", "0104", "0105")
	items, err := later.List(t.Context(), "posts", "0003", 5)
	var got []string
	for _, item := range items {
		got = append(got, item.String())
	}
	if want := "posts/0004 posts/0099 posts/0100 posts/0101 posts/0102"; err != nil || strings.Join(got, " ") != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	if items, err := memory.List(t.Context(), "posts", "", 0); err != nil || len(items) != 5 {
		t.Errorf("the list itself has %v, %v: want the five before the first id that is spread", items, err)
	}
	if err := memory.Write(t.Context(), store.Change{Item: store.Item{Key: store.Key{List: "posts", ID: "0002"}}}); err == nil {
		t.Error("the other process writes over an item")
	}
}
