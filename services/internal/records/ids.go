package records

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"cutover/services/internal/events"
	"cutover/services/internal/server"
	"cutover/services/internal/store"
)

// block is how many ids a process takes from the store at once. Those that are left at its end are lost.
const block = 100

// counter is the item with the next id that no process has taken.
var counter = store.Key{List: "counter", ID: "next"}

// counted is the body of the counter.
type counted struct {
	Next int64 `json:"next"`
}

// ids gives ids to new records. A write expects that its id is not there, so that a wrong counter costs time
// and overwrites nothing.
type ids struct {
	mu        sync.Mutex
	id, until int64
}

// next returns an id that no other process gets.
func (i *ids) next(ctx context.Context, in store.Store) (int64, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for range attempts {
		if i.id < i.until {
			i.id++
			return i.id - 1, nil
		}
		items, err := in.Get(ctx, counter)
		if err != nil {
			return 0, err
		}
		first := counted{Next: 1}
		if items[0].Version > 0 {
			if err := json.Unmarshal(items[0].Body, &first); err != nil {
				return 0, fmt.Errorf("the counter of ids cannot be read: %w", err)
			}
		}
		if first.Next < 1 || first.Next > server.MaxID-block {
			return 0, fmt.Errorf("the counter of ids is at %d", first.Next)
		}
		change, err := count(first.Next+block, items[0].Version)
		if err != nil {
			return 0, err
		}
		if err := in.Write(ctx, change); err == nil {
			i.id, i.until = first.Next, first.Next+block
		} else if !conflicts(err) {
			return 0, err
		}
	}
	return 0, tooBusy
}

// count sets the counter.
func count(next, expected int64) (store.Change, error) {
	body, err := json.Marshal(counted{next})
	return store.Change{Item: store.Item{Key: counter, Body: body}, Expected: expected}, err
}

// seedTimeout is how long the seed of a module may take. A database that was paused needs a part of it.
const seedTimeout = time.Minute

// seedCommand seeds the store, and says how many records it has written.
func (s *stored) seedCommand(ctx context.Context, document string, stdout io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, seedTimeout)
	defer cancel()
	n, err := s.seed(ctx, document)
	switch {
	case err != nil:
		return fmt.Errorf("%s cannot be seeded: %w", s.Name, err)
	case n == 0:
		fmt.Fprintf(stdout, "%s: nothing to do\n", s.Name)
	default:
		fmt.Fprintf(stdout, "%s: %d records written\n", s.Name, n)
	}
	return nil
}

// seed writes the records of the document, in one write, unless the store has given an id already. It returns
// how many records it wrote.
func (s *stored) seed(ctx context.Context, document string) (int, error) {
	table, err := Read[json.RawMessage](document, s.Name)
	if err != nil {
		return 0, err
	}
	var changes []store.Change
	next := int64(1)
	for i, raw := range table {
		id := int64(i + 1)
		if !s.HidesID {
			var known struct{ ID int64 }
			if err := json.Unmarshal(raw, &known); err != nil || known.ID < 1 || known.ID > server.MaxID-block {
				return 0, fmt.Errorf("%s[%d] has no id", s.Name, i)
			}
			id = known.ID
		}
		values, err := s.decode(raw, id)
		var wrong refusal
		if errors.As(err, &wrong) {
			return 0, fmt.Errorf("%s[%d] cannot be written: %s", s.Name, i, wrong.Bytes())
		} else if err != nil {
			return 0, err
		}
		birth, err := s.told(ctx, by{}, events.Created, store.Item{}, s.birth(id, values))
		if err != nil {
			return 0, err
		}
		changes = append(changes, birth...)
		next = max(next, id+1)
	}
	last, err := count(next, 0)
	if err != nil {
		return 0, err
	}
	changes = slices.Insert(changes, 0, last)
	if len(changes) > store.MaxChanges {
		return 0, fmt.Errorf("the records of the file need %d changes, and a write has at most %d: write them with POST", len(changes), store.MaxChanges)
	}
	items, err := s.store.Get(ctx, counter)
	if err != nil || items[0].Version > 0 {
		return 0, err
	}
	var conflict *store.Conflict
	if err := s.store.Write(ctx, changes...); errors.As(err, &conflict) && conflict.Key == counter {
		return 0, nil // another process has come first
	} else if err != nil {
		return 0, err
	}
	return len(table), nil
}
