// Package routes is the deletions module: a user is deleted with all threads and posts, over the services that have them.
//
// A request puts a job into the queue of work, and is answered with the address of the deletion. A worker does the job, step by step,
// and notes each step, so that another worker can go on where one ended.
package routes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"cutover/services/internal/queue"
	"cutover/services/internal/records"
	"cutover/services/internal/server"
	"cutover/services/internal/store"
)

// deletion is what is known of a deletion. Its id is that of the user, so that there is one for each.
type deletion struct {
	ID   int64 `json:"id"`
	User int64 `json:"user"`
	// State is pending, running, undoing, done or undone.
	State string `json:"state"`
	// Step is what the deletion does, or did last.
	Step string `json:"step"`
	// Reason says why it is undone.
	Reason string `json:"reason,omitempty"`
	// Run counts how often the deletion was begun, and Rounds how often it looked for what was written meanwhile.
	Run    int `json:"run"`
	Rounds int `json:"rounds"`
	// Since is when the state was noted.
	Since time.Time `json:"since"`
}

// ended says that no worker has to do anything.
func (d deletion) ended() bool { return d.State == "done" || d.State == "undone" }

const (
	list = "deletions"
	// maxBody is that of a request, in bytes.
	maxBody = 1 << 10
	// lost is after what time a deletion that nobody has touched is taken for one whose job got lost.
	lost = 2 * time.Minute
	// answerTime is how long a request may take.
	answerTime = 8 * time.Second
)

// jobs is where a request leaves its job.
type jobs interface {
	Send(ctx context.Context, body []byte) error
}

// Deletions is the module, if the environment names its store and its queue of work.
func Deletions(rt *server.Router) error {
	name := rt.Getenv("DELETIONS_WORK_QUEUE")
	if name == "" {
		return nil
	}
	in, err := store.Open("deletions", rt.Getenv)
	if err != nil {
		return err
	}
	if in == nil {
		return errors.New("DELETIONS_WORK_QUEUE is set, and neither DELETIONS_TABLE nor DELETIONS_DATABASE_URL: deletions need a store")
	}
	rt.OnStop(in.Close)
	work, err := queue.Open(name, rt.Getenv)
	if err != nil {
		return fmt.Errorf("DELETIONS_WORK_QUEUE: %w", err)
	}
	window, err := time.ParseDuration("0" + strings.TrimPrefix(rt.Getenv("DELETIONS_WORK_WINDOW"), "0"))
	if rt.Getenv("DELETIONS_WORK_WINDOW") != "" && err != nil {
		return fmt.Errorf("DELETIONS_WORK_WINDOW=%q: must be a duration such as 5s", rt.Getenv("DELETIONS_WORK_WINDOW"))
	}
	s := &saga{store: in, jobs: work, client: records.Client(), urls: map[string]string{}}
	for _, kind := range []string{"users", "threads", "posts"} {
		s.urls[kind] = strings.TrimSuffix(rt.Getenv(strings.ToUpper(kind)+"_URL"), "/")
	}
	worker := queue.Worker{Queue: work, Handle: s.handle, Window: window, Log: slog.New(slog.NewJSONHandler(os.Stdout, nil))}
	rt.Records("aws:sqs", worker.Function)
	rt.Worker("work", func(ctx context.Context, log *slog.Logger) error {
		worker.Log, worker.Between = log, s.sweep(log)
		return worker.Work(ctx)
	})
	s.serve(rt)
	return nil
}

// serve adds the routes.
func (s *saga) serve(rt *server.Router) {
	rt.Write(http.MethodPost, "/api/deletions", maxBody, s.answer(s.begin))
	rt.Get("/api/deletions/{deletionId}", s.answer(s.one))
}

func (s *saga) answer(do func(context.Context, *http.Request) (*server.Response, error)) server.Handler {
	return func(r *http.Request) *server.Response {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), answerTime)
		defer cancel()
		response, err := do(ctx, r)
		if err != nil {
			return server.Unavailable("The deletion could not be noted, or its worker not be told. Send the request again.", err)
		}
		return response
	}
}

func (s *saga) one(ctx context.Context, r *http.Request) (*server.Response, error) {
	id, ok := server.PathID(r, "deletionId")
	if !ok || id < 1 {
		return server.NoContent, nil
	}
	d, version, err := s.get(ctx, id)
	if err != nil || version == 0 {
		return server.NoContent, err
	}
	return d.shown(http.StatusOK)
}

// shown is an answer with the deletion.
func (d deletion) shown(status int) (*server.Response, error) {
	body, err := server.Encode(d)
	if err != nil {
		return nil, err
	}
	return server.Encoded(status, body, ""), nil
}

// begin notes a deletion and leaves its job. A deletion that was undone begins anew; any other one goes on, however often it is asked
// for. If the job gets lost, a worker finds the note.
func (s *saga) begin(ctx context.Context, r *http.Request) (*server.Response, error) {
	var asked struct {
		User json.Number `json:"user"`
	}
	decoder := json.NewDecoder(strings.NewReader(string(server.Body(r))))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&asked); err != nil {
		return server.Problem(http.StatusBadRequest, `The body is not {"user": ID}: `+err.Error()+"."), nil
	}
	user, ok := server.StrictID(asked.User.String())
	if !ok {
		return server.Problem(http.StatusUnprocessableEntity, "The body is not a deletion.",
			server.Mistake{Pointer: "/user", Detail: fmt.Sprintf("must be the id of a user: a whole number from 1 to %d", server.MaxID)}), nil
	}
	for {
		d, version, err := s.get(ctx, user)
		if err != nil {
			return nil, err
		}
		if version == 0 || d.State == "undone" {
			d = deletion{ID: user, User: user, State: "pending", Step: "queued", Run: d.Run + 1}
			if err := s.put(ctx, &d, &version); errors.As(err, new(*store.Conflict)) {
				continue
			} else if err != nil {
				return nil, err
			}
		}
		if d.State != "done" {
			if err := s.jobs.Send(ctx, job(user)); err != nil {
				return nil, err
			}
		}
		response, err := d.shown(http.StatusAccepted)
		if err != nil {
			return nil, err
		}
		return response.With("Location", fmt.Sprintf("/api/deletions/%d", d.ID)), nil
	}
}

// job is the message of a deletion.
func job(id int64) []byte { return fmt.Appendf(nil, `{"deletion":%d}`, id) }

func key(id int64) store.Key { return store.Key{List: list, ID: records.ItemID(id)} }

// get returns a deletion and the version of its item, which is 0 if there is none.
func (s *saga) get(ctx context.Context, id int64) (d deletion, version int64, err error) {
	items, err := s.store.Get(ctx, key(id))
	if err != nil || items[0].Version == 0 {
		return d, 0, err
	}
	if err := json.Unmarshal(items[0].Body, &d); err != nil {
		return d, 0, fmt.Errorf("the deletion %d cannot be read: %w", id, err)
	}
	return d, items[0].Version, nil
}

// put notes a deletion, together with other changes.
func (s *saga) put(ctx context.Context, d *deletion, version *int64, more ...store.Change) error {
	d.Since = time.Now().UTC()
	body, err := json.Marshal(d)
	if err != nil {
		return err
	}
	if err := s.store.Write(ctx, append(more, store.Change{Item: store.Item{Key: key(d.ID), Seq: *version + 1, Body: body}, Expected: *version})...); err != nil {
		return err
	}
	*version++
	return nil
}

// sweep returns what leaves jobs anew for deletions that nobody has touched for a while, at most once in that time.
func (s *saga) sweep(log *slog.Logger) func(context.Context) {
	last := time.Time{}
	return func(ctx context.Context) {
		if time.Since(last) < lost {
			return
		}
		last = time.Now()
		if err := s.resend(ctx, last.Add(-lost)); err != nil {
			log.Warn("deletions whose job got lost cannot be looked for", "error", err.Error())
		}
	}
}

// resend leaves jobs for deletions that nobody has touched since a time.
func (s *saga) resend(ctx context.Context, before time.Time) error {
	items, err := s.store.List(ctx, list, "", 0)
	if err != nil {
		return err
	}
	for _, item := range items {
		var d deletion
		if err := json.Unmarshal(item.Body, &d); err != nil {
			return err
		}
		if d.ended() || d.Since.After(before) {
			continue
		}
		if err := s.jobs.Send(ctx, job(d.ID)); err != nil {
			return err
		}
	}
	return nil
}
