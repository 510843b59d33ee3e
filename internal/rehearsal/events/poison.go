package events

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"cutover/internal/queues"
)

// poisoned is how many records the poison is about.
const poisoned = 3

// firstPoisoned is the lowest id of a record that the poison is about. No service gives ids as high.
const firstPoisoned = 9007199254740000

// sent are the events that a service cannot apply, and those behind them.
type sent struct {
	events []Event
	topic  string // ARN
	came   int    // events that had come to the observer before
	passed bool   // says that later events were taken, while the poison was tried again and again
}

// Poison publishes threads without a title, and says of each of them that it was deleted then. The service refuses the first event of
// each; the second one is right, and follows it into the dead-letter queue, since it comes behind a gap. What it returns waits until the
// service has taken later events, for a while.
func (o *Observer) Poison(ctx context.Context, service string) (wait func(context.Context) error, err error) {
	if o.client == nil {
		return nil, fmt.Errorf("there are no topics: poison cannot be sent to %s", service)
	}
	all, err := o.client.Overview(ctx, o.names)
	if err != nil {
		return nil, err
	}
	queue, topic := poisonable(all, service)
	if queue == "" {
		return nil, fmt.Errorf("the poison is threads without a title, and no queue of %s gets threads", service)
	}
	s := &sent{topic: topic, came: o.count()}
	for i := range poisoned {
		created := threadEvent(firstPoisoned+i, 1, "created", "", `{"createdBy":1}`)
		s.events = append(s.events, created, threadEvent(firstPoisoned+i, 2, "deleted", "", ""))
	}
	o.mu.Lock()
	if o.poison == nil {
		o.poison = map[string]*sent{}
	}
	o.poison[queue] = s
	o.mu.Unlock()
	return func(ctx context.Context) error {
		for end := time.Now().Add(tries); time.Now().Before(end) && ctx.Err() == nil && !o.hasPassed(s); {
			pause(ctx)
		}
		return ctx.Err()
	}, o.publish(ctx, topic, s.events)
}

// tries is about how long a service tries a message before it becomes a dead letter: 1, 3, 10, 30 and 30 s pass after its attempts.
const tries = 74 * time.Second

func (o *Observer) hasPassed(s *sent) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return s.passed
}

// poisonable is the queue of a service that gets the events of threads, and their topic.
func poisonable(all queues.Overview, service string) (queue, topic string) {
	of := func(name, service string) bool {
		return strings.HasSuffix("-"+strings.TrimSuffix(name, ".fifo"), "-"+service)
	}
	for _, t := range all.Topics {
		for _, s := range t.Subscriptions {
			if q := all.Queue(s.Endpoint); of(t.Name, "threads") && q != nil && of(q.Name, service) {
				return q.Name, t.ARN
			}
		}
	}
	return "", ""
}

// threadEvent is an event of a thread.
func threadEvent(id int, sequence int64, what, run, data string) Event {
	key := fmt.Sprintf("threads/%d", id)
	e := Event{
		ID: strings.TrimSuffix(fmt.Sprintf("%s#%d#%s", key, sequence, run), "#"), Key: key, Sequence: sequence, Source: "/api/threads",
		Type: "threads." + what, Time: time.Now().UTC(), Run: run,
	}
	if data != "" {
		e.Data = json.RawMessage(data)
	}
	return e
}

// encode is the event in JSON, as [Decode] reads it.
func (e Event) encode() []byte {
	members := map[string]any{
		"specversion": "1.0", "id": e.ID, "source": e.Source, "type": e.Type, "subject": e.Key, "time": e.Time, "sequence": fmt.Sprint(e.Sequence),
	}
	if e.Run != "" {
		members["run"] = e.Run
	}
	if e.Data != nil {
		members["data"] = e.Data
	}
	text, _ := json.Marshal(members) // texts, and JSON that was written here
	return text
}

func (o *Observer) publish(ctx context.Context, topic string, events []Event) error {
	for _, e := range events {
		if err := o.client.Publish(ctx, topic, e.Key, strings.ReplaceAll(e.ID, "/", ":"), string(e.encode()), map[string]string{"key": e.Key, "source": e.Source}); err != nil {
			return err
		}
	}
	return nil
}

// mend publishes the records anew as they ought to have been, as a service does with its command republish, and moves the dead letters
// back. The consumer drops those that it has no need of any more, and applies the others. The feed is right only if it does.
func (o *Observer) mend(ctx context.Context) error {
	o.mu.Lock()
	poison := o.poison
	o.mu.Unlock()
	for _, s := range poison {
		var right []Event
		for i := range poisoned {
			right = append(right, threadEvent(firstPoisoned+i, 1, "snapshot", "mended", `{"title":"Mended","createdBy":1}`))
		}
		if err := o.publish(ctx, s.topic, right); err != nil {
			return err
		}
	}
	if _, _, err := o.settle(ctx, nil); err != nil {
		return err
	}
	all, err := o.client.Overview(ctx, o.names)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(poison)) {
		to := all.Queue(name)
		from := all.Queue(to.DeadLetters)
		if err := o.client.Redrive(ctx, *from, *to, len(poison[name].events), func(queues.Message) {}); err != nil {
			return err
		}
	}
	o.mu.Lock()
	o.poison = nil
	o.mu.Unlock()
	return nil
}

// goneOn notes whether events were taken that had come after the poison, while it is tried again and again: the queue has fewer messages
// than have come since.
func (s *sent) goneOn(waiting, dead, came int) {
	const others = 10
	s.passed = s.passed || dead == 0 && waiting >= len(s.events) && came-s.came-waiting >= others
}
