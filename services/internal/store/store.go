// Package store keeps the records of a service: in memory, in Amazon DynamoDB or in PostgreSQL. Package
// storetest has the contract that all of them fulfil.
//
// A store has items in lists. A service decides what its lists are: its records in their order, which
// records belong to another record, the answers to idempotency keys, the next free id. All that a request
// changes is one [Store.Write], which is done whole or not at all. Every change names the version that it
// expects, so that two writers never overwrite each other. A store knows nothing of what an item means.
package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Store keeps items. Its methods may be called by several goroutines. Reads are strongly consistent: they
// see every write that ended before they began.
type Store interface {
	// Get returns the items of the keys, in the order of the keys. An item that does not exist has the
	// version 0. There may be any number of keys. The items are not a snapshot: a write may come between
	// them.
	Get(ctx context.Context, keys ...Key) ([]Item, error)
	// List returns the items of a list whose ids come after an id, in the order of the bytes of their ids.
	// It returns at most limit items, or all of them if limit is 0. The items are not a snapshot. An item
	// that is there from the beginning to the end of the call is in the result exactly once.
	List(ctx context.Context, list, after string, limit int) ([]Item, error)
	// Write does all changes, or none of them. There are 1 to [MaxChanges], each with a key of its own. The
	// error is a [*Conflict] if an item has not the version that its change expects, and wraps [ErrBusy] if the
	// store refused the write for now; then nothing was changed. After any other error, the changes may have
	// been done or not.
	Write(ctx context.Context, changes ...Change) error
	// Close gives up the store's connections.
	Close() error
}

const (
	// MaxChanges is how many changes a write may have. DynamoDB allows 100 actions in a transaction
	// (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html).
	MaxChanges = 100
	// MaxBody is how long the body of an item may be, in bytes. An item of DynamoDB has at most 400 KB, with
	// its names and other values.
	MaxBody = 392 << 10
	// maxKey is how long a key may be, in bytes.
	maxKey = 1000
)

// ErrBusy is wrapped by the error of a call that a store refused for now: the store is throttled, paused or
// not reached, or other writes are in the way. Nothing was changed. The same call may succeed a second later.
var ErrBusy = errors.New("the store is busy")

// Key names an item. Neither part is empty. Both together have at most 1000 bytes, in UTF-8 without zeros.
type Key struct {
	List string
	ID   string
}

func (k Key) String() string { return k.List + "/" + k.ID }

// check returns what is wrong with a key: DynamoDB limits its length
// (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html), and PostgreSQL keeps
// only text without zeros (https://www.postgresql.org/docs/current/datatype-character.html).
func (k Key) check() error {
	text := k.List + k.ID
	switch {
	case k.List == "" || k.ID == "":
		return errors.New("a key has no list or no id")
	case len(text) > maxKey:
		return fmt.Errorf("a key has %d bytes: at most %d are allowed", len(text), maxKey)
	case !utf8.ValidString(text) || strings.Contains(text, "\x00"):
		return fmt.Errorf("the key %q is not UTF-8 without zeros", k)
	}
	return nil
}

// checkKeys returns what is wrong with the keys of a read.
func checkKeys(keys ...Key) error {
	for _, k := range keys {
		if err := k.check(); err != nil {
			return err
		}
	}
	return nil
}

// checkList returns what is wrong with the list of a read, and with the id after which it begins.
func checkList(list, after string) error { return Key{list, cmp.Or(after, "first")}.check() }

// Place says in which store an item is, while the records of a service move from one store to another.
type Place string

// Here is the place of every item of a service that does not move.
const Here Place = "here"

// Item is what a store keeps under a key.
type Item struct {
	Key
	// Version grows by 1 with every change of the item, and 0 is that of an item that does not exist. It
	// begins at 1.
	Version int64
	// Seq is the number that the service gives the content, as ETags show it. A change of the place leaves it
	// as it is.
	Seq int64
	// Place is in which store the item is. A write without a place writes [Here].
	Place Place
	// Body is the content. A record that was deleted has none, and its item remains for a while.
	Body []byte
	// Event is what the change of the item tells others, besides the body. A store that gives one on keeps it with the item, and
	// tells it once for each write that has one: see [Outbox]. Nil tells nothing.
	Event []byte
	// Expires is when the item may be removed, exact to a second. The item may be there for days after, so
	// that a reader has to look at the time. Zero: never.
	Expires time.Time
}

// Change writes or removes an item.
type Change struct {
	// Item is what the item is to be. Its version is set by the store, to Expected + 1.
	Item
	// Expected is the version that the item must have. 0: it must not exist.
	Expected int64
	// Remove removes the item and leaves nothing. Only its key matters then.
	Remove bool
}

// Entry is a change that is to be told: the item as it was written, with its event.
type Entry struct {
	Item
	// Number is that of the entry. Those of one key are in the order of its changes.
	Number int64
}

// Outbox is a store that keeps changes until they are told. They are written with the items, in one transaction: nothing is told
// that was not done, and nothing is left out.
//
// A table of DynamoDB is none: its stream tells the changes of each item in their order
// (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html).
type Outbox interface {
	// Pending returns the first changes that are to be told, at most limit of them, in the order of their numbers, without those of some
	// keys. They are seen at one moment. So none is there without those of the same key before it, and a reader that reads on behind a
	// number would not know that: a transaction that took longer brings a lower number later.
	Pending(ctx context.Context, limit int, except ...Key) ([]Entry, error)
	// Told removes entries.
	Told(ctx context.Context, numbers ...int64) error
}

// Conflict is the error of a write if an item has another version than its change expects.
type Conflict struct {
	// Key is that of one such item.
	Key Key
}

func (c *Conflict) Error() string { return fmt.Sprintf("%v has another version than expected", c.Key) }

// Check returns what is wrong with the changes of a write, before a store begins it.
func Check(changes []Change) error {
	if len(changes) < 1 || len(changes) > MaxChanges {
		return fmt.Errorf("a write has %d changes: it must have 1 to %d", len(changes), MaxChanges)
	}
	seen := map[Key]bool{}
	for _, c := range changes {
		if err := c.check(); err != nil {
			return err
		}
		switch {
		case seen[c.Key]:
			return fmt.Errorf("a write changes %v twice", c.Key)
		case len(c.Body) > MaxBody:
			return fmt.Errorf("%v has %d bytes: at most %d are allowed", c.Key, len(c.Body), MaxBody)
		case c.Expected < 0 || c.Remove && c.Expected == 0:
			return fmt.Errorf("a change of %v expects version %d", c.Key, c.Expected)
		}
		seen[c.Key] = true
	}
	return nil
}
