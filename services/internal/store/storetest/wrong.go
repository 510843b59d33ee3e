package storetest

import (
	"context"
	"slices"
	"sync"

	"cutover/services/internal/store"
)

// Stale makes a store forget to read strongly: after a write, the next read of each item sees the item as it
// was before. It is a mistake for tests that must find it.
func Stale(s store.Store) store.Store { return &stale{Store: s, before: map[store.Key]store.Item{}} }

type stale struct {
	store.Store
	mu     sync.Mutex
	before map[store.Key]store.Item
}

func (s *stale) Write(ctx context.Context, changes ...store.Change) error {
	var keys []store.Key
	for _, c := range changes {
		keys = append(keys, c.Key)
	}
	before, err := s.Store.Get(ctx, keys...)
	if err != nil {
		return err
	}
	if err := s.Store.Write(ctx, changes...); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, item := range before {
		s.before[item.Key] = item
	}
	return nil
}

func (s *stale) Get(ctx context.Context, keys ...store.Key) ([]store.Item, error) {
	items, err := s.Store.Get(ctx, keys...)
	return s.replace(items), err
}

func (s *stale) List(ctx context.Context, list, after string, limit int) ([]store.Item, error) {
	items, err := s.Store.List(ctx, list, after, limit)
	return slices.DeleteFunc(s.replace(items), func(item store.Item) bool { return item.Version == 0 }), err
}

// replace puts the items as they were in the place of those that are.
func (s *stale) replace(items []store.Item) []store.Item {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, item := range items {
		if before, ok := s.before[item.Key]; ok {
			items[i] = before
			delete(s.before, item.Key)
		}
	}
	return items
}

// Blind makes a store write without conditions: whatever version an item has, the change is done. It is a
// mistake for tests that must find it.
func Blind(s store.Store) store.Store { return blind{s} }

type blind struct{ store.Store }

func (b blind) Write(ctx context.Context, changes ...store.Change) error {
	if err := store.Check(changes); err != nil {
		return err
	}
	changes = slices.Clone(changes)
	for {
		for i := range changes {
			items, err := b.Get(ctx, changes[i].Key)
			if err != nil {
				return err
			}
			changes[i].Expected = items[0].Version
		}
		err := b.Store.Write(ctx, slices.DeleteFunc(slices.Clone(changes), func(c store.Change) bool { return c.Remove && c.Expected == 0 })...)
		if _, conflict := err.(*store.Conflict); !conflict { //nolint:errorlint // the stores return it as it is
			return err
		}
	}
}

// Forget makes a store lose what is written to a list. It is a mistake for tests that must find it.
func Forget(s store.Store, list string) store.Store { return forget{s, list} }

type forget struct {
	store.Store
	list string
}

func (f forget) Write(ctx context.Context, changes ...store.Change) error {
	kept := slices.DeleteFunc(slices.Clone(changes), func(c store.Change) bool { return c.List == f.list })
	if len(kept) == 0 {
		return store.Check(changes)
	}
	return f.Store.Write(ctx, kept...)
}
