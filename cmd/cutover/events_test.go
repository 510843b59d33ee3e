package main

import (
	"io"
	"strings"
	"testing"

	"cutover/internal/queues"
)

var someQueues = queues.Overview{
	Topics: []queues.Topic{
		{Name: "dev-posts.fifo"},
		{Name: "dev-users.fifo", Subscriptions: []queues.Subscription{{Protocol: "sqs", Endpoint: "dev-feed.fifo"}, {Protocol: "email", Endpoint: "me@example.com", Pending: true}}},
	},
	Queues: []queues.Queue{
		{Name: "dev-feed-dead.fifo", FIFO: true, Waiting: 2, Sources: []string{"dev-feed.fifo"}},
		{Name: "dev-feed.fifo", FIFO: true, Waiting: 3, InFlight: 1, Age: new(float64), DeadLetters: "dev-feed-dead.fifo"},
		{Name: "dev-users-relay-dead"},
	},
}

// A dead-letter queue is known by its name, and by that of the queue before it.
func TestDeadLetters(t *testing.T) {
	for name, want := range map[string]string{
		"dev-feed-dead.fifo": "dev-feed-dead.fifo", "dev-feed-dead": "dev-feed-dead.fifo", "dev-feed.fifo": "dev-feed-dead.fifo", "dev-feed": "dev-feed-dead.fifo",
		"dev-users-relay-dead": "dev-users-relay-dead",
	} {
		if q, err := deadLetters(someQueues, name); err != nil || q.Name != want {
			t.Errorf("%s: %v, %v, want %s", name, q, err, want)
		}
	}
	for _, test := range []struct {
		all        queues.Overview
		name, want string
	}{
		{someQueues, "feed", `there is no dead-letter queue "feed": choose from dev-feed-dead.fifo, dev-users-relay-dead`},
		{queues.Overview{}, "feed", `there is no dead-letter queue "feed": the deployment has none`},
	} {
		if _, err := deadLetters(test.all, test.name); err == nil || err.Error() != test.want {
			t.Errorf("%s: %v, want %s", test.name, err, test.want)
		}
	}
}

func TestViewOfEvents(t *testing.T) {
	v := newView(io.Discard, &global{})
	const want = `TOPIC           PROTOCOL  ENDPOINT
dev-posts.fifo            nobody
dev-users.fifo  sqs       dev-feed.fifo
                email     me@example.com, not confirmed

QUEUE                 WAITING  IN FLIGHT  DELAYED  OLDEST  DEAD LETTERS
dev-feed-dead.fifo    2        0          0        -       of dev-feed.fifo
dev-feed.fifo         3        1          0        0s      2 in dev-feed-dead.fifo
dev-users-relay-dead  0        0          0        -
`
	if got := v.events(someQueues); got != want {
		t.Errorf("the tables are\n%s, want\n%s", got, want)
	}
	messages := []queues.Message{
		{Group: "posts/7", Age: 65.4, Receives: 6, Body: `{"specversion":"1.0","type":"posts.created","subject":"posts/7","sequence":"3"}`},
		{Age: 1, Receives: 1, Body: "not\nan event " + strings.Repeat("x", 100)},
	}
	const dead = `SENT      RECEIVED  ABOUT      EVENT          BODY
1m5s ago  6         posts/7#3  posts.created  {"specversion":"1.0","type":"posts.created","subject":"posts…
1s ago    1                                   not an event xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…
There are more messages in dev-feed-dead.fifo.
`
	if got := v.dead(someQueues.Queues[0], messages, true); got != dead {
		t.Errorf("the table is\n%s, want\n%s", got, dead)
	}
	if got := v.dead(someQueues.Queues[0], nil, false); got != "dev-feed-dead.fifo has no messages.\n" {
		t.Errorf("of no messages: %q", got)
	}
}
