package store

import (
	"bytes"
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// Memory is a store in the memory of the process, for tests. Its items are gone with it.
type Memory struct {
	mu    sync.Mutex
	items map[Key]Item
	told  int64 // the number of the last entry
	out   []Entry
}

// NewMemory returns a store without items.
func NewMemory() *Memory { return &Memory{items: map[Key]Item{}} }

// Get implements [Store].
func (m *Memory) Get(ctx context.Context, keys ...Key) ([]Item, error) {
	if err := checkKeys(keys...); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	items := make([]Item, len(keys))
	for i, key := range keys {
		items[i] = m.items[key]
		items[i].Key = key
	}
	return items, ctx.Err()
}

// List implements [Store].
func (m *Memory) List(ctx context.Context, list, after string, limit int) ([]Item, error) {
	if err := checkList(list, after); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	items := slices.SortedFunc(maps.Values(m.items), func(a, b Item) int { return cmp.Compare(a.ID, b.ID) })
	items = slices.DeleteFunc(items, func(item Item) bool { return item.List != list || item.ID <= after })
	if limit > 0 && len(items) > limit {
		items = items[:limit]
	}
	return items, ctx.Err()
}

// Write implements [Store].
func (m *Memory) Write(ctx context.Context, changes ...Change) error {
	if err := cmp.Or(Check(changes), ctx.Err()); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range changes {
		if m.items[c.Key].Version != c.Expected {
			return &Conflict{c.Key}
		}
	}
	for _, c := range changes {
		if c.Remove {
			delete(m.items, c.Key)
			continue
		}
		item := c.written()
		if item.Event != nil {
			m.told++
			m.out = append(m.out, Entry{item, m.told})
		}
		item.Event = nil
		m.items[c.Key] = item
	}
	return nil
}

// Pending implements [Outbox].
func (m *Memory) Pending(ctx context.Context, limit int, except ...Key) ([]Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var some []Entry
	for _, e := range m.out {
		if len(some) < limit && !slices.Contains(except, e.Key) {
			some = append(some, e)
		}
	}
	return some, ctx.Err()
}

// Told implements [Outbox].
func (m *Memory) Told(ctx context.Context, numbers ...int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.out = slices.DeleteFunc(m.out, func(e Entry) bool { return slices.Contains(numbers, e.Number) })
	return ctx.Err()
}

// Close implements [Store].
func (m *Memory) Close() error { return nil }

// written is the item after the change.
func (c Change) written() Item {
	item := c.Item
	item.Version, item.Place, item.Body = c.Expected+1, cmp.Or(c.Place, Here), bytes.Clone(c.Body)
	if len(item.Body) == 0 {
		item.Body = nil // no store tells an empty body from none
	}
	if !item.Expires.IsZero() {
		item.Expires = item.Expires.UTC().Truncate(time.Second)
	}
	return item
}
