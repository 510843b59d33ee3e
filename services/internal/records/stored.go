package records

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"cutover/services/internal/server"
	"cutover/services/internal/store"
)

// answerTime is how long a request may take. It is less than the time after which the server gives up.
const answerTime = 8 * time.Second

// Of returns the module of the records in the store that the environment names. The document has the
// first records. Without a store, the module is file.
func (k Kind) Of(document string, file server.Module) server.Module {
	return func(rt *server.Router) error {
		s, err := store.Open(k.Name, rt.Getenv)
		if err != nil {
			return err
		}
		if s == nil {
			return file(rt)
		}
		rt.OnStop(s.Close)
		return k.In(document, s)(rt)
	}
}

// In returns the module of the records in a store.
func (k Kind) In(document string, in store.Store) server.Module {
	return func(rt *server.Router) error {
		s := &stored{Kind: k, store: in, peers: peers{router: rt}, lists: make(chan struct{}, listsAtOnce), running: map[string]bool{}}
		path := "/api/" + k.Name
		record := path + "/{" + one(k.Name) + "Id}"
		if k.HidesID { // the path was unknown before records had ids
			record = strings.Replace(record, "{", "{#", 1)
		}
		rt.Get(path, s.answer(s.all))
		rt.Get(record, s.answer(s.one))
		for _, f := range k.Fields {
			if f.Of != "" {
				rt.Get(path+"/"+f.List+"/{"+one(f.Of)+"Id}", s.answer(s.referring(f)))
			}
		}
		rt.Write(http.MethodPost, path, maxBody, s.answer(s.create))
		rt.Write(http.MethodPut, record, maxBody, s.answer(s.replace))
		rt.Write(http.MethodDelete, record, 0, s.answer(s.remove))
		rt.Command("seed", func(ctx context.Context, _ []string, stdout io.Writer) error {
			return s.seedCommand(ctx, document, stdout)
		})
		rt.OnComplete(func() error {
			if s.relays {
				return nil // a relay asks no other service
			}
			return s.peers.find(k.others())
		})
		return s.tells(rt)
	}
}

// others are the kinds that the service asks about its records.
func (k Kind) others() (kinds []string) {
	for _, f := range k.Fields {
		if f.Of != "" {
			kinds = append(kinds, f.Of)
		}
	}
	for _, r := range k.Referring {
		kinds = append(kinds, r.Kind)
	}
	slices.Sort(kinds)
	return slices.Compact(kinds)
}

// stored serves the records of a kind in a store.
//
// A record is an item of the list with the kind's name. Its body is the answer, and its sequence number the
// ETag. Each record that it refers to has a list with an empty item for it. A deleted record leaves an item
// without a body for a while. All that a request changes is one write.
type stored struct {
	Kind
	store store.Store
	peers peers
	ids   ids
	// publishes says that changes are told, and keeps that the history of each record is kept.
	// relays says that the program is a relay.
	publishes, keeps, relays bool
	lists                    chan struct{} // has an element for each list that is being read

	mu      sync.Mutex
	running map[string]bool // the idempotency keys of requests that are being answered
}

// answer turns a function into a handler. Its error is a refusal, or of the store or of another service.
func (s *stored) answer(do func(*http.Request) (*server.Response, error)) server.Handler {
	return func(r *http.Request) *server.Response {
		// A client that has sent its request may close its side of the connection, and still gets an answer.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), answerTime)
		defer cancel()
		response, err := do(r.WithContext(ctx))
		var refused refusal
		var peer *peerError
		switch {
		case err == nil:
			return response
		case errors.As(err, &refused):
			return refused.Response
		case errors.As(err, &peer):
			return server.Unavailable("The service "+peer.kind+" cannot say now whether the request may be done. Nothing was changed.", err)
		case errors.Is(err, store.ErrBusy):
			return server.Unavailable("The store cannot do the request now. Nothing was changed.", err)
		case r.Method == http.MethodGet || r.Method == http.MethodHead:
			return server.Unavailable("The store does not answer.", err)
		default:
			return server.Unavailable("The store does not answer. It is not known whether the change was made.", err)
		}
	}
}

// key is that of a record in the store.
func (s *stored) key(id int64) store.Key { return store.Key{List: s.Name, ID: ItemID(id)} }

// get returns the item of a record.
func (s *stored) get(ctx context.Context, id int64) (store.Item, error) {
	items, err := s.store.Get(ctx, s.key(id))
	if err != nil {
		return store.Item{}, err
	}
	return items[0], nil
}
