// Package routes is the feed module: the threads with their author's name, how many posts they have, and the latest one.
//
// The microservice makes the feed of events, and keeps it in a store of its own. The monolith has the records, and answers from its
// other modules. At rest, both answer byte for byte alike.
package routes

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"cutover/services/internal/consumer"
	"cutover/services/internal/records"
	"cutover/services/internal/server"
	"cutover/services/internal/store"
)

// thread is a line of the feed.
type thread struct {
	ID    int64  `json:"id"`
	Title string `json:"title"`
	// Author is the name of the user who began the thread; nil if there is no such user.
	Author *string `json:"author"`
	Posts  int     `json:"posts"`
	Latest *latest `json:"latest"`
}

// latest is the post with the highest id.
type latest struct {
	ID   int64  `json:"id"`
	User int64  `json:"user"`
	Text string `json:"text"`
}

const (
	path = "/api/feed"
	// maxPage is how many threads an answer has at most.
	maxPage = 200
	// maxText is how many characters of a post are shown.
	maxText = 100
	// answerTime is how long a request may take.
	answerTime = 8 * time.Second
)

// excerpt is the beginning of a text.
func excerpt(text string) string {
	n := 0
	for i := range text {
		if n == maxText {
			return text[:i]
		}
		n++
	}
	return text
}

// source has the lines of the feed after the item id of a thread, in the order of their ids, and further fields of the answer.
type source func(ctx context.Context, after string, limit int) (lines []thread, header map[string]string, err error)

// Feed is the module, if the environment names its store, or says that it is made from the other modules.
func Feed(rt *server.Router) error {
	if rt.Getenv("FEED_FROM") == "modules" {
		serve(rt, modules{rt}.lines)
		return nil
	}
	in, err := store.Open("feed", rt.Getenv)
	if err != nil || in == nil {
		return err
	}
	rt.OnStop(in.Close)
	return In(in)(rt)
}

// In returns the module that makes the feed in a store.
func In(in store.Store) server.Module {
	return func(rt *server.Router) error {
		p := consumer.NewProjection(in, apply, discard, "users", "threads", "posts")
		serve(rt, projected{p}.lines)
		rt.Command("rebuild", func(ctx context.Context, args []string, stdout io.Writer) error {
			run := time.Now().UTC().Format("20060102T150405Z")
			if len(args) == 1 {
				run = args[0]
			} else if len(args) > 1 {
				return fmt.Errorf("rebuild takes the name of a run, and no more: %q", args)
			}
			generation, err := p.Rebuild(ctx, run)
			if err != nil {
				return err
			}
			fmt.Fprintf(stdout, "feed: generation %d waits for the run %[2]s. Let users, threads and posts publish it: republish %[2]s\n", generation, run)
			return nil
		})
		rt.Command("show", projected{p}.show)
		return consumer.Consume(rt, "feed", p)
	}
}

// show writes the whole feed, a line for each thread. It does so in every phase, when nobody asks the microservice yet.
func (p projected) show(ctx context.Context, args []string, stdout io.Writer) error {
	if len(args) > 0 {
		return fmt.Errorf("show takes nothing: %q", args)
	}
	for after := ""; ; {
		lines, _, err := p.lines(ctx, after, maxPage)
		if err != nil || len(lines) == 0 {
			return err
		}
		for _, line := range lines {
			body, err := server.Encode(line)
			if err != nil {
				return err
			}
			fmt.Fprintf(stdout, "%s\n", bytes.TrimSpace(body))
			after = records.ItemID(line.ID)
		}
	}
}

func serve(rt *server.Router, from source) {
	rt.Get(path, func(r *http.Request) *server.Response {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), answerTime)
		defer cancel()
		response, err := answer(ctx, r, from)
		if err != nil {
			return server.Unavailable("The feed cannot be read now.", err)
		}
		return response
	})
}

// answer is a page of the feed.
func answer(ctx context.Context, r *http.Request, from source) (*server.Response, error) {
	limit, after, wrong := pageOf(r.URL.Query())
	if wrong != "" {
		return server.Problem(http.StatusBadRequest, wrong), nil
	}
	lines, header, err := from(ctx, after, limit+1)
	if err != nil {
		return nil, err
	}
	more := len(lines) > limit
	if more {
		lines = lines[:limit]
	}
	if lines == nil {
		lines = []thread{}
	}
	body, err := server.Encode(lines)
	if err != nil {
		return nil, err
	}
	response := server.Encoded(http.StatusOK, body, "")
	for name, value := range header {
		response.With(name, value)
	}
	if more {
		query := url.Values{"limit": {strconv.Itoa(limit)}, "after": {records.Cursor("feed", records.ItemID(lines[limit-1].ID))}}
		response.With("Link", "<"+path+"?"+query.Encode()+`>; rel="next"`)
	}
	return response, nil
}

// pageOf reads which page is asked for, and says what is wrong.
func pageOf(query url.Values) (limit int, after, wrong string) {
	limit = maxPage
	if query.Has("limit") {
		n, ok := server.StrictID(query.Get("limit"))
		if !ok || n > maxPage {
			return 0, "", fmt.Sprintf("limit must be a number from 1 to %d.", maxPage)
		}
		limit = int(n)
	}
	if query.Has("after") {
		id, ok := records.After("feed", query.Get("after"))
		if !ok {
			return 0, "", "after must be that of a link to the next page of the feed."
		}
		after = id
	}
	return limit, after, ""
}
