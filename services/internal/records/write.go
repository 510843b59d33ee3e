package records

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"cutover/services/internal/events"
	"cutover/services/internal/server"
	"cutover/services/internal/store"
)

const (
	// How long the answer to an idempotency key is kept, and how long the store remembers a deleted record.
	keyLife     = 24 * time.Hour
	deletedLife = 7 * 24 * time.Hour
	// How long an idempotency key may be, in bytes.
	maxKey = 255
	// How often a write begins anew because another one came first.
	attempts = 20
)

// create answers a POST.
func (s *stored) create(r *http.Request) (*server.Response, error) {
	values, err := s.read(r, 0)
	if err != nil {
		return nil, err
	}
	key, err := s.idempotencyKey(r)
	if err != nil {
		return nil, err
	}
	if key.ID != "" {
		if !s.begin(key.ID) {
			return nil, refusal{server.Problem(http.StatusConflict, "A request with this Idempotency-Key is being answered.").With("Retry-After", "1")}
		}
		defer s.end(key.ID)
	}
	for attempt := range attempts {
		var known store.Item
		if key.ID != "" {
			var first *answered
			if known, first, err = s.known(r, key); err != nil {
				return nil, err
			} else if first != nil {
				return s.created(first.ID, values), nil
			}
		}
		if attempt == 0 {
			if err := s.refersTo(r, values, nil); err != nil {
				return nil, err
			}
		}
		id, err := s.ids.next(r.Context(), s.store)
		if err != nil {
			return nil, err
		}
		changes, err := s.told(r.Context(), byOf(r), events.Created, store.Item{}, s.birth(id, values))
		if err != nil {
			return nil, err
		}
		if key.ID != "" {
			body, err := json.Marshal(answered{fingerprint(r), id})
			if err != nil {
				return nil, err
			}
			changes = append(changes, store.Change{Item: store.Item{Key: key, Body: body, Expires: time.Now().Add(keyLife)}, Expected: known.Version})
		}
		if err = s.store.Write(r.Context(), changes...); err == nil {
			return s.created(id, values), nil
		} else if !conflicts(err) {
			return nil, err
		}
	}
	return nil, tooBusy
}

// tooBusy is the error of a request that lost against others each time.
var tooBusy = fmt.Errorf("%w: other requests came first %d times", store.ErrBusy, attempts)

func conflicts(err error) bool {
	var conflict *store.Conflict
	return errors.As(err, &conflict)
}

// birth returns the changes that make a record.
func (s *stored) birth(id int64, values record) []store.Change {
	changes := []store.Change{{Item: store.Item{Key: s.key(id), Seq: 1, Body: s.encode(id, values)}}}
	for i, f := range s.Fields {
		if f.Of != "" {
			changes = append(changes, indexed(f.index(values[i].(int64)), id))
		}
	}
	return changes
}

// indexed puts a record into the list of those that refer to another record.
func indexed(list string, id int64) store.Change {
	return store.Change{Item: store.Item{Key: store.Key{List: list, ID: ItemID(id)}, Body: []byte("{}")}}
}

// created is the answer to the POST of a record.
func (s *stored) created(id int64, values record) *server.Response {
	return server.Encoded(http.StatusCreated, s.encode(id, values), "").
		With("Location", fmt.Sprintf("/api/%s/%d", s.Name, id)).With("ETag", etag(1))
}

// replace answers a PUT.
func (s *stored) replace(r *http.Request) (*server.Response, error) {
	id, err := s.pathID(r)
	if err != nil {
		return nil, err
	}
	values, err := s.read(r, id)
	if err != nil {
		return nil, err
	}
	body := s.encode(id, values)
	item, err := s.change(r, id, func(old store.Item) ([]byte, error) {
		if s.Guarded && r.Header.Get("If-Match") == "" {
			return nil, refuse(http.StatusPreconditionRequired, "A PUT must have If-Match, with the ETag of the record that it replaces.")
		}
		return body, s.refersTo(r, values, old.Body)
	})
	if err != nil {
		return nil, err
	}
	return server.Encoded(http.StatusOK, body, "").With("ETag", etag(item.Seq)), nil
}

// remove answers a DELETE.
func (s *stored) remove(r *http.Request) (*server.Response, error) {
	id, err := s.pathID(r)
	if err != nil {
		return nil, err
	}
	_, err = s.change(r, id, func(store.Item) ([]byte, error) {
		for _, by := range s.Referring {
			some, err := s.peers.refer(r, by, id)
			if err == nil && some {
				err = refuse(http.StatusConflict, fmt.Sprintf("The %s has %s: delete them first.", one(s.Name), by.Kind))
			}
			if err != nil {
				return nil, err
			}
		}
		return nil, nil
	})
	return server.NoContent, err
}

// change gives a record the body that the function next returns, or deletes the record if the body is nil. If
// another request comes first, it begins anew.
func (s *stored) change(r *http.Request, id int64, next func(old store.Item) ([]byte, error)) (store.Item, error) {
	ctx := r.Context()
	for range attempts {
		old, err := s.get(ctx, id)
		if err != nil {
			return store.Item{}, err
		}
		if old.Body == nil {
			return store.Item{}, s.unknown()
		}
		if met, _ := conditions(r, etag(old.Seq)); !met {
			return store.Item{}, preconditionFailed
		}
		body, err := next(old)
		if err != nil {
			return store.Item{}, err
		}
		item := store.Item{Key: old.Key, Seq: old.Seq + 1, Place: old.Place, Body: body}
		if body == nil {
			item.Expires = time.Now().Add(deletedLife)
		}
		changes, err := s.reindex(ctx, id, old.Body, body)
		if err != nil {
			return store.Item{}, err
		}
		what := events.Changed
		if body == nil {
			what = events.Deleted
		}
		changes, err = s.told(ctx, byOf(r), what, old, append(changes, store.Change{Item: item, Expected: old.Version}))
		if err != nil {
			return store.Item{}, err
		}
		err = s.store.Write(ctx, changes...)
		if err == nil {
			return item, nil
		} else if !conflicts(err) {
			return store.Item{}, err
		}
	}
	return store.Item{}, tooBusy
}

// reindex returns the changes of the lists that have a record by what it refers to. A body is nil if there is
// no record.
func (s *stored) reindex(ctx context.Context, id int64, old, body []byte) (changes []store.Change, err error) {
	before, err := s.references(old)
	if err != nil {
		return nil, err
	}
	var after []string
	if body != nil {
		if after, err = s.references(body); err != nil {
			return nil, err
		}
	}
	var left []store.Key
	for _, list := range before {
		if !slices.Contains(after, list) {
			left = append(left, store.Key{List: list, ID: ItemID(id)})
		}
	}
	for _, list := range after {
		if !slices.Contains(before, list) {
			changes = append(changes, indexed(list, id))
		}
	}
	if len(left) == 0 {
		return changes, nil
	}
	items, err := s.store.Get(ctx, left...)
	if err != nil {
		return nil, err
	}
	for _, item := range items {
		if item.Version > 0 {
			changes = append(changes, store.Change{Item: item, Expected: item.Version, Remove: true})
		}
	}
	return changes, nil
}

// pathID reads the id in the path of a request that writes.
func (s *stored) pathID(r *http.Request) (int64, error) {
	id, ok := server.StrictID(server.PathValue(r, one(s.Name)+"Id"))
	if !ok {
		return 0, s.unknown()
	}
	return id, nil
}

func (s *stored) unknown() error {
	return refuse(http.StatusNotFound, "No "+one(s.Name)+" has this id.")
}

// read reads the record in the body of a request. The id is that in the path, or 0.
func (s *stored) read(r *http.Request, id int64) (record, error) {
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return nil, refuse(http.StatusUnsupportedMediaType, "The body must not be compressed.")
	}
	mediaType, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if charset := parameters["charset"]; err != nil || mediaType != "application/json" || charset != "" && !strings.EqualFold(charset, "utf-8") {
		return nil, refuse(http.StatusUnsupportedMediaType, "Content-Type must be application/json, in UTF-8.")
	}
	return s.decode(server.Body(r), id)
}

// refersTo asks if the records exist to which a record refers. It does not ask about those to which the old
// body referred.
func (s *stored) refersTo(r *http.Request, values record, old []byte) error {
	var before []string
	if old != nil {
		var err error
		if before, err = s.references(old); err != nil {
			return err
		}
	}
	var mistakes []server.Mistake
	for i, f := range s.Fields {
		if f.Of == "" {
			continue
		}
		id := values[i].(int64)
		if slices.Contains(before, f.index(id)) {
			continue
		}
		exists, err := s.peers.exists(r, f.Of, id)
		if err != nil {
			return err
		}
		if !exists {
			mistakes = append(mistakes, server.Mistake{Pointer: pointer(f.Name), Detail: "is the id of no " + one(f.Of)})
		}
	}
	if len(mistakes) > 0 {
		return refuse(http.StatusUnprocessableEntity, "The "+one(s.Name)+" refers to what does not exist.", mistakes...)
	}
	return nil
}

// answered is what the store keeps of the answer to an idempotency key. The answer's body follows from the
// request's, and a request with another body is refused.
type answered struct {
	Fingerprint string `json:"fingerprint"`
	ID          int64  `json:"id"`
}

// idempotencyKey is the item of the request's Idempotency-Key. It has no id if the request has no key.
func (s *stored) idempotencyKey(r *http.Request) (store.Key, error) {
	given := r.Header.Values("Idempotency-Key")
	if given == nil {
		return store.Key{}, nil
	}
	key := strings.Trim(given[0], `"`) // a string of a structured field, or as it is
	if len(given) > 1 || key == "" || len(key) > maxKey {
		return store.Key{}, refuse(http.StatusBadRequest, fmt.Sprintf("Idempotency-Key must have 1 to %d bytes.", maxKey))
	}
	sum := sha256.Sum256([]byte(r.Method + " " + r.Pattern + "\x00" + key))
	return store.Key{List: "idem", ID: hex.EncodeToString(sum[:])}, nil
}

// known looks an idempotency key up. It returns the item to replace if there is no answer for the key.
func (s *stored) known(r *http.Request, key store.Key) (store.Item, *answered, error) {
	items, err := s.store.Get(r.Context(), key)
	if err != nil {
		return store.Item{}, nil, err
	}
	item := items[0]
	if item.Version == 0 || !time.Now().Before(item.Expires) {
		return item, nil, nil
	}
	var first answered
	if err := json.Unmarshal(item.Body, &first); err != nil {
		return item, nil, fmt.Errorf("the answer to an idempotency key cannot be read: %w", err)
	}
	if first.Fingerprint != fingerprint(r) {
		return item, nil, refuse(http.StatusUnprocessableEntity, "The Idempotency-Key belongs to a request with another body.")
	}
	return item, &first, nil
}

func fingerprint(r *http.Request) string {
	sum := sha256.Sum256(server.Body(r))
	return hex.EncodeToString(sum[:])
}

// begin notes that a request with an idempotency key is being answered, unless another one is.
func (s *stored) begin(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running[key] {
		return false
	}
	s.running[key] = true
	return true
}

func (s *stored) end(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.running, key)
}
