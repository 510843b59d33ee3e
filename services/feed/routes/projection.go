package routes

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"cutover/services/internal/consumer"
	"cutover/services/internal/events"
	"cutover/services/internal/records"
	"cutover/services/internal/store"
)

// The lists of the feed's store. The posts of a thread have a list each, so that the latest is its last. What was deleted stays,
// marked, since an event of something else may still speak of it.
const (
	usersList   = "users"
	threadsList = "threads"
	// placesList says in which thread a post is.
	placesList = "places"
)

func postsOf(thread int64) string { return "posts#" + records.ItemID(thread) }

// storedUser, storedThread, storedPost and place are the bodies of the items.
type storedUser struct {
	Name    string `json:"name"`
	Deleted bool   `json:"deleted,omitempty"`
}

type storedThread struct {
	Title   string  `json:"title"`
	User    int64   `json:"user"`
	Posts   int     `json:"posts"`
	Latest  *latest `json:"latest,omitempty"`
	Deleted bool    `json:"deleted,omitempty"`
}

type place struct {
	Thread int64 `json:"thread"`
}

// edit reads items and returns the changes of those that were edited.
type edit struct {
	ctx     context.Context
	in      store.Store
	changes []store.Change
}

// item reads an item into a value, and returns its version: 0 if it is not there.
func (e *edit) item(key store.Key, into any) (version int64, err error) {
	items, err := e.in.Get(e.ctx, key)
	if err != nil || items[0].Version == 0 {
		return 0, err
	}
	if err := json.Unmarshal(items[0].Body, into); err != nil {
		return 0, fmt.Errorf("%v cannot be read: %w", key, err)
	}
	return items[0].Version, nil
}

func (e *edit) put(key store.Key, version int64, value any) error {
	body, err := json.Marshal(value)
	e.changes = append(e.changes, store.Change{Item: store.Item{Key: key, Body: body}, Expected: version})
	return err
}

func (e *edit) remove(key store.Key, version int64) {
	e.changes = append(e.changes, store.Change{Item: store.Item{Key: key}, Expected: version, Remove: true})
}

// apply returns what an event changes in the feed.
func apply(ctx context.Context, in store.Store, event events.Event) ([]store.Change, error) {
	kind, text, _ := strings.Cut(event.Subject, "/")
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id < 1 {
		return nil, fmt.Errorf("%s: the key %q is none of a record", event.ID, event.Subject)
	}
	e := &edit{ctx: ctx, in: in}
	switch kind {
	case "users":
		err = e.user(id, event.Data)
	case "threads":
		err = e.thread(id, event.Data)
	case "posts":
		err = e.post(id, event.Data)
	default:
		err = fmt.Errorf("%s: nothing is known of %s", event.ID, kind)
	}
	return e.changes, err
}

func (e *edit) user(id int64, data json.RawMessage) error {
	key := store.Key{List: usersList, ID: records.ItemID(id)}
	var user storedUser
	version, err := e.item(key, &user)
	if err != nil {
		return err
	}
	if data == nil {
		return e.put(key, version, storedUser{Deleted: true})
	}
	var now struct{ Name *string }
	if err := json.Unmarshal(data, &now); err != nil || now.Name == nil {
		return fmt.Errorf("a user has no name: %.100s", data)
	}
	return e.put(key, version, storedUser{Name: *now.Name})
}

func (e *edit) thread(id int64, data json.RawMessage) error {
	key := store.Key{List: threadsList, ID: records.ItemID(id)}
	var thread storedThread
	version, err := e.item(key, &thread)
	if err != nil {
		return err
	}
	if data == nil {
		thread.Deleted = true
		return e.put(key, version, thread)
	}
	var now struct {
		Title     *string
		CreatedBy int64
	}
	if err := json.Unmarshal(data, &now); err != nil || now.Title == nil || now.CreatedBy < 1 {
		return fmt.Errorf("a thread has no title or nobody who created it: %.100s", data)
	}
	known, err := e.item(store.Key{List: usersList, ID: records.ItemID(now.CreatedBy)}, new(storedUser))
	if err != nil {
		return err
	}
	if known == 0 {
		return consumer.Wait(fmt.Sprintf("users/%d", now.CreatedBy))
	}
	thread.Title, thread.User, thread.Deleted = *now.Title, now.CreatedBy, false
	return e.put(key, version, thread)
}

func (e *edit) post(id int64, data json.RawMessage) error {
	at := store.Key{List: placesList, ID: records.ItemID(id)}
	var was place
	version, err := e.item(at, &was)
	if err != nil {
		return err
	}
	var now struct {
		Thread, User int64
		Text         *string
	}
	if data != nil {
		if err := json.Unmarshal(data, &now); err != nil || now.Thread < 1 || now.User < 1 || now.Text == nil {
			return fmt.Errorf("a post has no thread, user or text: %.100s", data)
		}
	}
	if was.Thread > 0 && was.Thread != now.Thread {
		if err := e.leave(was.Thread, id); err != nil {
			return err
		}
	}
	if now.Thread > 0 {
		if err := e.enter(now.Thread, latest{id, now.User, excerpt(*now.Text)}); err != nil {
			return err
		}
	}
	if was.Thread == now.Thread && version > 0 {
		return nil
	}
	return e.put(at, version, place{now.Thread})
}

// enter puts a post into a thread, or what it says now.
func (e *edit) enter(thread int64, post latest) error {
	key := store.Key{List: threadsList, ID: records.ItemID(thread)}
	var into storedThread
	version, err := e.item(key, &into)
	if err != nil {
		return err
	}
	if version == 0 {
		return consumer.Wait(fmt.Sprintf("threads/%d", thread))
	}
	item := store.Key{List: postsOf(thread), ID: records.ItemID(post.ID)}
	there, err := e.item(item, new(latest))
	if err != nil {
		return err
	}
	if there == 0 {
		into.Posts++
	}
	if into.Latest == nil || post.ID >= into.Latest.ID {
		into.Latest = &post
	}
	if err := e.put(item, there, post); err != nil {
		return err
	}
	return e.put(key, version, into)
}

// leave takes a post out of a thread. If it was the latest, that is the one before.
func (e *edit) leave(thread, post int64) error {
	key := store.Key{List: threadsList, ID: records.ItemID(thread)}
	var from storedThread
	version, err := e.item(key, &from)
	if err != nil {
		return err
	}
	item := store.Key{List: postsOf(thread), ID: records.ItemID(post)}
	there, err := e.item(item, new(latest))
	if err != nil || there == 0 || version == 0 {
		return err
	}
	from.Posts--
	if from.Latest != nil && from.Latest.ID == post {
		items, err := e.in.List(e.ctx, postsOf(thread), "", 0)
		if err != nil {
			return err
		}
		from.Latest = nil
		for i := len(items) - 1; i >= 0 && from.Latest == nil; i-- {
			if items[i].ID == item.ID {
				continue
			}
			from.Latest = &latest{}
			if err := json.Unmarshal(items[i].Body, from.Latest); err != nil {
				return err
			}
		}
	}
	e.remove(item, there)
	return e.put(key, version, from)
}

// discard removes some of what the feed keeps of a generation.
func discard(ctx context.Context, in store.Store) (more bool, err error) {
	more, err = consumer.Remove(ctx, in, placesList, func(item store.Item) (store.Key, bool) {
		var at place
		_ = json.Unmarshal(item.Body, &at) // what cannot be read has no post
		return store.Key{List: postsOf(at.Thread), ID: item.ID}, at.Thread > 0
	})
	for _, list := range []string{threadsList, usersList} {
		if more || err != nil {
			break
		}
		more, err = consumer.Remove(ctx, in, list, nil)
	}
	return more, err
}

// projected is the feed that was made of events.
type projected struct{ *consumer.Projection }

func (p projected) lines(ctx context.Context, after string, limit int) (lines []thread, header map[string]string, err error) {
	view, err := p.View(ctx)
	if err != nil {
		return nil, nil, err
	}
	header = map[string]string{"X-Projection-Sequence": strconv.FormatInt(view.Changes, 10)}
	if !view.At.IsZero() {
		header["X-Projection-Age"] = strconv.FormatFloat(max(0, time.Since(view.At).Seconds()), 'f', 3, 64)
	}
	var users []store.Key
	for last := after; len(lines) < limit; {
		items, err := view.List(ctx, threadsList, last, limit-len(lines))
		if err != nil {
			return nil, nil, err
		}
		for _, item := range items {
			last = item.ID
			var t storedThread
			if err := json.Unmarshal(item.Body, &t); err != nil {
				return nil, nil, err
			}
			if t.Deleted {
				continue
			}
			id, _ := strconv.ParseInt(item.ID, 10, 64)
			lines = append(lines, thread{ID: id, Title: t.Title, Posts: t.Posts, Latest: t.Latest})
			users = append(users, store.Key{List: usersList, ID: records.ItemID(t.User)})
		}
		if len(items) == 0 {
			break
		}
	}
	if len(users) == 0 {
		return lines, header, nil
	}
	names, err := view.Get(ctx, users...)
	if err != nil {
		return nil, nil, err
	}
	for i, item := range names {
		var u storedUser
		if item.Version > 0 {
			if err := json.Unmarshal(item.Body, &u); err != nil {
				return nil, nil, err
			}
		}
		if item.Version > 0 && !u.Deleted {
			lines[i].Author = &u.Name
		}
	}
	return lines, header, nil
}
