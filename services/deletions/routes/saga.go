package routes

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"cutover/services/internal/queue"
	"cutover/services/internal/records"
	"cutover/services/internal/server"
	"cutover/services/internal/store"
)

// saga deletes a user over the services. No transaction spans them, so each step is one that can be done again, and what comes before
// the last step can be undone:
//
//	rename   the user gets a name that says what happens        undone: the user as before
//	look     nobody else may have posts in the user's threads
//	posts    each post is kept, then deleted                    undone: written again, with new ids
//	threads  each thread is kept, then deleted                  undone: written again, with new ids
//	user     the user is deleted
//
// If somebody writes meanwhile, the saga looks again, a few times.
type saga struct {
	store  store.Store
	jobs   jobs
	client *http.Client
	urls   map[string]string // of the services, by kind
}

const (
	// callTime is how long a service may take for a call, and maxAnswer how long its answer may be.
	callTime  = 5 * time.Second
	maxAnswer = 1 << 20
	// rounds is how often a deletion looks again.
	rounds = 5
	// page is how many records are asked for at once.
	page = 50
	// leaving is the name of a user who is being deleted.
	leaving = "(being deleted)"
)

// refused is the error of a step that cannot be done: the deletion is undone.
type refused string

func (r refused) Error() string { return string(r) }

// again is the error of a step after which the deletion has to look again.
var again = errors.New("somebody has written meanwhile")

// handle does the job of a message.
func (s *saga) handle(ctx context.Context, m queue.Message) error {
	var asked struct{ Deletion int64 }
	if err := json.Unmarshal(m.Body, &asked); err != nil || asked.Deletion < 1 {
		return fmt.Errorf("the message %s is no job: %.100q", m.ID, m.Body)
	}
	err := s.run(ctx, asked.Deletion)
	if err != nil { // the services are away, or another worker does it
		return fmt.Errorf("the deletion %d: %w: %w", asked.Deletion, queue.ErrUnavailable, err)
	}
	return nil
}

// run brings a deletion to its end, from the step that is noted.
func (s *saga) run(ctx context.Context, id int64) error {
	d, version, err := s.get(ctx, id)
	if err != nil || version == 0 || d.ended() {
		return err
	}
	to := func(state, step string, more ...store.Change) error {
		d.State, d.Step = state, step
		return s.put(ctx, &d, &version, more...)
	}
	if d.State == "pending" {
		if err := to("running", "rename"); err != nil {
			return err
		}
	}
	steps := map[string]struct {
		do   func(context.Context, deletion) error
		next string
	}{"rename": {s.rename, "look"}, "look": {s.look, "posts"}, "posts": {s.posts, "threads"}, "threads": {s.threads, "user"}, "user": {s.user, ""}}
	for d.State == "running" {
		step := steps[d.Step]
		err := step.do(ctx, d)
		var no refused
		switch {
		case errors.Is(err, again) && d.Rounds < rounds:
			d.Rounds++
			err = to("running", "look")
		case errors.Is(err, again):
			d.Reason = "others go on writing"
			err = to("undoing", "undo")
		case errors.As(err, &no):
			d.Reason = string(no)
			err = to("undoing", "undo")
		case err == nil && step.next == "":
			err = to("done", d.Step)
		case err == nil:
			err = to("running", step.next)
		}
		if err != nil {
			return err
		}
	}
	if d.State == "undoing" {
		if err := s.undo(ctx, d); err != nil {
			return err
		}
		return to("undone", d.Step)
	}
	return nil
}

// rename keeps the user, and says by the name what happens.
func (s *saga) rename(ctx context.Context, d deletion) error {
	path := fmt.Sprintf("/api/users/%d", d.User)
	status, body, err := s.call(ctx, "users", http.MethodGet, path, nil, "")
	switch {
	case err != nil:
		return err
	case status == http.StatusNoContent:
		return refused("no user has this id")
	}
	var user map[string]any
	if err := json.Unmarshal(body, &user); err != nil {
		return fmt.Errorf("%s is no user: %w", path, err)
	}
	if user["name"] == leaving {
		return nil // a worker that ended has done it
	}
	if err := s.keep(ctx, d, "user", d.User, body); err != nil {
		return err
	}
	user["name"] = leaving
	return s.write(ctx, "users", http.MethodPut, path, user, "")
}

// look refuses the deletion if others have written in the user's threads.
func (s *saga) look(ctx context.Context, d deletion) error {
	return s.each(ctx, "threads", fmt.Sprintf("/api/threads/by-user/%d", d.User), func(id int64, _ json.RawMessage) error {
		return s.each(ctx, "posts", fmt.Sprintf("/api/posts/in-thread/%d", id), func(post int64, raw json.RawMessage) error {
			var p struct{ User int64 }
			if err := json.Unmarshal(raw, &p); err != nil {
				return err
			}
			if p.User != d.User {
				return refused(fmt.Sprintf("thread %d has post %d of user %d", id, post, p.User))
			}
			return nil
		})
	})
}

func (s *saga) posts(ctx context.Context, d deletion) error { return s.removeAll(ctx, d, "posts") }

func (s *saga) threads(ctx context.Context, d deletion) error { return s.removeAll(ctx, d, "threads") }

// removeAll keeps and deletes all records of the user.
func (s *saga) removeAll(ctx context.Context, d deletion, kind string) error {
	return s.each(ctx, kind, fmt.Sprintf("/api/%s/by-user/%d", kind, d.User), func(id int64, raw json.RawMessage) error {
		if err := s.keep(ctx, d, kind, id, raw); err != nil {
			return err
		}
		return s.remove(ctx, kind, id)
	})
}

func (s *saga) user(ctx context.Context, d deletion) error { return s.remove(ctx, "users", d.User) }

// remove deletes a record. One that is gone was deleted before.
func (s *saga) remove(ctx context.Context, kind string, id int64) error {
	path := fmt.Sprintf("/api/%s/%d", kind, id)
	status, _, err := s.call(ctx, kind, http.MethodDelete, path, nil, "")
	switch {
	case err != nil:
		return err
	case status == http.StatusNoContent || status == http.StatusNotFound:
		return nil
	case status == http.StatusConflict:
		return again
	}
	return fmt.Errorf("DELETE %s: status %d", path, status)
}

// kept is the list of what a run of a deletion has changed.
func kept(d deletion, kind string) string { return fmt.Sprintf("kept#%016d#%d#%s", d.ID, d.Run, kind) }

// keptItem is a record as it was. New is the id that it got when it was written again.
type keptItem struct {
	Record json.RawMessage `json:"record"`
	New    int64           `json:"new,omitempty"`
}

// keep notes a record before it is changed. What is kept already stays as it is.
func (s *saga) keep(ctx context.Context, d deletion, kind string, id int64, record json.RawMessage) error {
	body, err := json.Marshal(keptItem{Record: record})
	if err != nil {
		return err
	}
	item := store.Item{Key: store.Key{List: kept(d, kind), ID: records.ItemID(id)}, Body: body, Expires: time.Now().Add(keptFor)}
	if err := s.store.Write(ctx, store.Change{Item: item}); err != nil && !errors.As(err, new(*store.Conflict)) {
		return err
	}
	return nil
}

// keptFor is how long the records of a deletion are kept.
const keptFor = 7 * 24 * time.Hour

// undo writes again what was deleted, and gives the user back the name. Each POST has an idempotency key: it makes one record.
func (s *saga) undo(ctx context.Context, d deletion) error {
	threads := map[int64]int64{}
	err := s.restore(ctx, d, "threads", func(old, id int64) { threads[old] = id }, nil)
	if err != nil {
		return err
	}
	err = s.restore(ctx, d, "posts", nil, func(record map[string]any) {
		if n, ok := record["thread"].(json.Number); ok {
			old, _ := n.Int64()
			if id := threads[old]; id > 0 {
				record["thread"] = id
			}
		}
	})
	if err != nil {
		return err
	}
	items, err := s.store.List(ctx, kept(d, "user"), "", 1)
	if err != nil || len(items) == 0 {
		return err
	}
	var user keptItem
	if err := json.Unmarshal(items[0].Body, &user); err != nil {
		return err
	}
	return s.write(ctx, "users", http.MethodPut, fmt.Sprintf("/api/users/%d", d.User), user.Record, "")
}

// restore writes the kept records of a kind again.
func (s *saga) restore(ctx context.Context, d deletion, kind string, restored func(old, id int64), change func(map[string]any)) error {
	items, err := s.store.List(ctx, kept(d, kind), "", 0)
	if err != nil {
		return err
	}
	for _, item := range items {
		old, _ := strconv.ParseInt(item.ID, 10, 64)
		var one keptItem
		if err := json.Unmarshal(item.Body, &one); err != nil {
			return err
		}
		if one.New == 0 {
			status, _, err := s.call(ctx, kind, http.MethodGet, fmt.Sprintf("/api/%s/%d", kind, old), nil, "")
			if err != nil {
				return err
			}
			if one.New = old; status == http.StatusNoContent { // it was deleted
				if one.New, err = s.writeAgain(ctx, d, kind, old, one.Record, change); err != nil {
					return err
				}
			}
			body, err := json.Marshal(one)
			if err != nil {
				return err
			}
			item.Body = body
			if err := s.store.Write(ctx, store.Change{Item: item, Expected: item.Version}); err != nil {
				return err
			}
		}
		if restored != nil {
			restored(old, one.New)
		}
	}
	return nil
}

// writeAgain creates a record with the content of another one, and returns its id.
func (s *saga) writeAgain(ctx context.Context, d deletion, kind string, old int64, content json.RawMessage, change func(map[string]any)) (int64, error) {
	var record map[string]any
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.UseNumber()
	if err := decoder.Decode(&record); err != nil {
		return 0, err
	}
	delete(record, "id")
	if change != nil {
		change(record)
	}
	body, err := json.Marshal(record)
	if err != nil {
		return 0, err
	}
	status, location, err := s.call(ctx, kind, http.MethodPost, "/api/"+kind, body, fmt.Sprintf("deletion-%d-%d-%s-%d", d.ID, d.Run, kind, old))
	if err != nil {
		return 0, err
	}
	id, ok := server.StrictID(string(location)[strings.LastIndex(string(location), "/")+1:])
	if status != http.StatusCreated || !ok {
		return 0, fmt.Errorf("POST /api/%s: status %d", kind, status)
	}
	return id, nil
}

// write sends a record.
func (s *saga) write(ctx context.Context, kind, method, path string, record any, key string) error {
	body, err := json.Marshal(record)
	if err != nil {
		return err
	}
	status, _, err := s.call(ctx, kind, method, path, body, key)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("%s %s: status %d", method, path, status)
	}
	return err
}

// each calls a function with the records of a list, page by page. The function may delete them.
func (s *saga) each(ctx context.Context, kind, path string, do func(id int64, record json.RawMessage) error) error {
	for next := fmt.Sprintf("%s?limit=%d", path, page); next != ""; {
		request, cancel, err := s.request(ctx, kind, http.MethodGet, next, nil)
		if err != nil {
			return err
		}
		request.Header.Set("Accept", records.WithIDs+", application/json")
		response, err := s.client.Do(request)
		if err != nil {
			cancel()
			return err
		}
		body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
		_ = response.Body.Close()
		cancel()
		if err != nil {
			return err
		}
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("GET %s: status %d", next, response.StatusCode)
		}
		var all []json.RawMessage
		if err := json.Unmarshal(body, &all); err != nil {
			return fmt.Errorf("GET %s: %w", next, err)
		}
		for _, raw := range all {
			var one struct{ ID int64 }
			if err := json.Unmarshal(raw, &one); err != nil || one.ID < 1 {
				return fmt.Errorf("GET %s: a record has no id: %.100s", next, raw)
			}
			if err := do(one.ID, raw); err != nil {
				return err
			}
		}
		link := response.Header.Get("Link")
		next = ""
		if before, _, found := strings.Cut(link, ">"); found {
			next = strings.TrimPrefix(before, "<")
		}
	}
	return nil
}

func (s *saga) request(ctx context.Context, kind, method, path string, body []byte) (*http.Request, func(), error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	request, err := http.NewRequestWithContext(ctx, method, s.urls[kind]+path, bytes.NewReader(body))
	return request, cancel, err
}

// call sends a request. Of an answer 201 it returns the location, of any other the body. A service that fails is an error.
func (s *saga) call(ctx context.Context, kind, method, path string, body []byte, key string) (int, []byte, error) {
	request, cancel, err := s.request(ctx, kind, method, path, body)
	defer cancel()
	if err != nil {
		return 0, nil, err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		request.Header.Set("Idempotency-Key", key)
	}
	response, err := s.client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return 0, nil, err
	}
	if response.StatusCode >= http.StatusInternalServerError {
		return 0, nil, fmt.Errorf("%s %s: status %d", method, path, response.StatusCode)
	}
	if response.StatusCode == http.StatusCreated {
		return response.StatusCode, []byte(response.Header.Get("Location")), nil
	}
	return response.StatusCode, answer, nil
}
