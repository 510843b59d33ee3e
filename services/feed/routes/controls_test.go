package routes

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	judge "cutover/internal/rehearsal/events"
	"cutover/services/internal/consumer"
	"cutover/services/internal/events"
	"cutover/services/internal/store"
)

// change is an event, as in "posts/2 1 {…}". Without data the record was deleted.
func change(t *testing.T, text string) events.Event {
	t.Helper()
	parts := strings.SplitN(text, " ", 3)
	n, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	kind, _, _ := strings.Cut(parts[0], "/")
	e := events.Event{ID: fmt.Sprintf("%s#%d", parts[0], n), Source: "/api/" + kind, Type: kind + ".changed", Subject: parts[0], Sequence: n, Time: time.Now()}
	if len(parts) == 3 {
		e.Data = json.RawMessage(parts[2])
	} else {
		e.Type = kind + ".deleted"
	}
	return e
}

// judged is what a rehearsal finds in the feed of a store after events.
func judged(t *testing.T, in store.Store, taken []events.Event) (kinds []string) {
	t.Helper()
	var all []judge.Event
	for _, e := range taken {
		text, err := e.Encode()
		if err != nil {
			t.Fatal(err)
		}
		one, err := judge.Decode(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, one)
	}
	problems, _ := judge.Sequences(all, true)
	want, err := judge.Feed(judge.Fold(all))
	if err != nil {
		t.Fatal(err)
	}
	items, err := in.List(t.Context(), threadsList, "", 0)
	if err != nil {
		t.Fatal(err)
	}
	author := "Ada"
	var shown []judge.Thread
	for _, item := range items {
		var thread storedThread
		if err := json.Unmarshal(item.Body, &thread); err != nil {
			t.Fatal(err)
		}
		id, _ := strconv.ParseInt(item.ID, 10, 64)
		one := judge.Thread{ID: id, Title: thread.Title, Author: &author, Posts: thread.Posts}
		if thread.Latest != nil {
			one.Latest = &judge.Post{ID: thread.Latest.ID, User: thread.Latest.User, Text: thread.Latest.Text}
		}
		shown = append(shown, one)
	}
	for _, p := range append(problems, judge.SameFeed("The feed", want, shown)...) {
		kinds = append(kinds, p.Kind)
	}
	return kinds
}

// An event that comes again late changes nothing. The feed of a consumer that does not know which events it has taken is wrong then, and a
// rehearsal finds that.
func TestConsumerWithoutDeduplication(t *testing.T) {
	const first = "users/1 1 {\"name\":\"Ada\"}\nthreads/1 1 {\"title\":\"Looms\",\"createdBy\":1}\nposts/1 1 {\"thread\":1,\"text\":\"one\",\"user\":1}\n"
	for name, more := range map[string]string{
		"a post that was changed": "posts/1 2 {\"thread\":1,\"text\":\"other\",\"user\":1}\nposts/1 1 {\"thread\":1,\"text\":\"one\",\"user\":1}",
		"a post that was deleted": "posts/1 2\nposts/1 1 {\"thread\":1,\"text\":\"one\",\"user\":1}",
		"a thread":                "threads/1 2 {\"title\":\"Cards\",\"createdBy\":1}\nthreads/1 1 {\"title\":\"Looms\",\"createdBy\":1}",
	} {
		var all []events.Event
		for line := range strings.SplitSeq(first+more, "\n") {
			all = append(all, change(t, line))
		}
		right, wrong := store.NewMemory(), store.NewMemory()
		inbox := consumer.NewInbox(right, apply)
		for _, e := range all {
			if err := inbox.Take(t.Context(), e); err != nil {
				t.Fatal(err)
			}
			changes, err := apply(context.WithoutCancel(t.Context()), wrong, e)
			if err == nil {
				err = wrong.Write(t.Context(), changes...)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if found := judged(t, right, all); len(found) > 0 {
			t.Errorf("%s: %q is found in what is right", name, found)
		}
		if found := strings.Join(judged(t, wrong, all), ", "); found != judge.WrongView {
			t.Errorf("%s: %q is found without deduplication", name, found)
		}
	}
}
