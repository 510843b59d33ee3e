package storetest_test

import (
	"errors"
	"testing"

	"cutover/services/internal/store"
	"cutover/services/internal/store/storetest"
)

// Each mistake is one: the right store beside it does otherwise.
func TestMistakes(t *testing.T) {
	k := store.Key{List: "users", ID: "1"}
	idem := store.Key{List: "idem", ID: "1"}
	put := func(k store.Key, expected int64, body string) store.Change {
		return store.Change{Item: store.Item{Key: k, Body: []byte(body)}, Expected: expected}
	}
	write := func(s store.Store, changes ...store.Change) {
		t.Helper()
		if err := s.Write(t.Context(), changes...); err != nil {
			t.Fatal(err)
		}
	}
	for name, mistake := range map[string]func(store.Store) store.Store{
		"right":  func(s store.Store) store.Store { return s },
		"stale":  storetest.Stale,
		"blind":  storetest.Blind,
		"forget": func(s store.Store) store.Store { return storetest.Forget(s, "idem") },
	} {
		s := mistake(store.NewMemory())
		write(s, put(k, 0, "a"), put(idem, 0, "x"))
		write(s, put(k, 1, "b"))
		items, err := s.Get(t.Context(), k)
		if err != nil || (string(items[0].Body) == "a") != (name == "stale") {
			t.Error(name, items, err)
		}
		items, err = s.Get(t.Context(), k)
		if err != nil || string(items[0].Body) != "b" {
			t.Error(name, items, err)
		}
		write(s, put(k, 2, "c"))
		if items, err = s.List(t.Context(), "users", "", 0); err != nil || len(items) != 1 || (string(items[0].Body) == "b") != (name == "stale") {
			t.Error(name, items, err)
		}
		write(s, put(store.Key{List: "users", ID: "2"}, 0, "new"))
		if items, err = s.List(t.Context(), "users", "1", 0); err != nil || (len(items) == 0) != (name == "stale") {
			t.Error(name, items, err)
		}
		err = s.Write(t.Context(), put(k, 1, "late"))
		if errors.As(err, new(*store.Conflict)) != (name != "blind") {
			t.Error(name, err)
		}
		for range 2 {
			items, err = s.Get(t.Context(), idem)
		}
		if err != nil || (items[0].Version == 0) != (name == "forget") {
			t.Error(name, items, err)
		}
	}
}
