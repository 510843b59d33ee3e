// Package relay publishes the changes of a store on a topic of SNS: those in the outbox of a database, or in the records of a
// table's stream, which Lambda brings.
//
// A change leaves the outbox only when SNS has taken it, and a key's changes are published one after the other. So a relay may end
// anywhere: the next one begins with what may have been published already. A FIFO topic takes it once within 5 minutes, and
// consumers drop what they have seen. Several relays at once do no harm, for none of them publishes a change before one of the same
// key that is older.
package relay

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"cutover/services/internal/emf"
	"cutover/services/internal/events"
	"cutover/services/internal/store"
)

// Publisher publishes an event. It returns when the topic has it. It is called by several goroutines.
type Publisher interface {
	Publish(ctx context.Context, e events.Event) error
}

// Relay publishes the changes of a kind of records.
type Relay struct {
	// Event is the event of a change. Required.
	Event func(store.Item) (events.Event, error)
	// To publishes. Required.
	To Publisher
	// Log gets what could not be published, and each minute how old the oldest change in the outbox was. Required.
	Log *slog.Logger
	// Environment and Service are the dimensions of the metric with that age.
	Environment, Service string
}

const (
	// batch is how many changes of an outbox are read at once. A body may have 390 KiB.
	batch = 50
	// atOnce is how many events are on their way to the topic at the same time, each of another key.
	atOnce = 16
	// The pauses before the outbox is read again: if it was empty, and if something failed. The latter doubles up to the last.
	pause, firstRetry, lastRetry = 200 * time.Millisecond, 500 * time.Millisecond, 10 * time.Second
	// measured is how often the age of the outbox is written.
	measured = time.Minute
)

// Poll publishes what is in the outbox until the context ends.
func (r Relay) Poll(ctx context.Context, from store.Outbox) error {
	retry, oldest, written := firstRetry, time.Duration(0), time.Now()
	for {
		n, age, err := r.once(ctx, from)
		if oldest = max(oldest, age); time.Since(written) >= measured {
			r.Log.Info("measured", metrics(r.Environment, r.Service, time.Now(), oldest)...)
			oldest, written = 0, time.Now()
		}
		wait := pause
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			r.Log.Warn("changes were not published", "error", err.Error())
			wait, retry = retry, min(2*retry, lastRetry)
		case n > 0:
			retry = firstRetry
			continue
		default:
			retry = firstRetry
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// Once publishes the changes in the outbox until it is empty, and removes those that it has published. It returns how many those
// were. After a change that is not taken, those of the same key wait, and others go on. When the context ends, what is on its way is
// finished.
func (r Relay) Once(ctx context.Context, from store.Outbox) (n int, err error) {
	n, _, err = r.once(ctx, from)
	return n, err
}

// once also returns how old the oldest change was.
func (r Relay) once(ctx context.Context, from store.Outbox) (n int, age time.Duration, err error) {
	ended := ctx.Err
	ctx = context.WithoutCancel(ctx)
	var errs []error
	var waiting []store.Key
	for {
		entries, err := from.Pending(ctx, batch, waiting...)
		if err != nil || len(entries) == 0 {
			return n, age, errors.Join(append(errs, err)...)
		}
		if e, err := r.Event(entries[0].Item); err == nil {
			age = max(age, time.Since(e.Time))
		}
		items := make([]store.Item, len(entries))
		for i, e := range entries {
			items[i] = e.Item
		}
		var told []int64
		for i, err := range r.publishAll(ctx, items, ended) {
			switch {
			case err == nil:
				told = append(told, entries[i].Number)
			case !slices.Contains(waiting, items[i].Key):
				errs, waiting = append(errs, err), append(waiting, items[i].Key)
			}
		}
		if len(told) > 0 {
			if err := from.Told(ctx, told...); err != nil {
				return n, age, errors.Join(append(errs, err)...)
			}
		}
		if n += len(told); ended() != nil {
			return n, age, errors.Join(errs...)
		}
	}
}

// errBehind is that of a change behind one of the same key that was not published.
var errBehind = errors.New("a change of the same key before it is not published")

// publishAll publishes items, several keys at a time and each key in its order, and begins nothing new when it has ended. The errors
// are those of the items.
func (r Relay) publishAll(ctx context.Context, items []store.Item, ended func() error) []error {
	errs := make([]error, len(items))
	lanes := map[store.Key][]int{}
	for i, item := range items {
		lanes[item.Key] = append(lanes[item.Key], i)
	}
	var all errgroup.Group
	all.SetLimit(atOnce)
	for _, lane := range lanes {
		all.Go(func() error {
			for n, i := range lane {
				if errs[i] = ended(); errs[i] == nil {
					errs[i] = r.publish(ctx, items[i])
				}
				if errs[i] != nil {
					for _, behind := range lane[n+1:] {
						errs[behind] = errBehind
					}
					break
				}
			}
			return nil
		})
	}
	_ = all.Wait()
	return errs
}

// metrics are the attributes of a line with the age of the outbox.
func metrics(environment, service string, now time.Time, oldest time.Duration) []any {
	return emf.Attributes(environment, service, now, emf.Metric{Name: "OutboxAge", Unit: "Seconds", Value: oldest.Seconds()})
}

func (r Relay) publish(ctx context.Context, item store.Item) error {
	e, err := r.Event(item)
	if err != nil {
		return err
	}
	if err := r.To.Publish(ctx, e); err != nil {
		return fmt.Errorf("%s: %w", e.ID, err)
	}
	return nil
}

// Stream publishes the records of a table's stream, each key in its order
// (https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html). It returns the sequence number of the first record that was not
// published: Lambda tries again from there, and with all that come behind.
func (r Relay) Stream(ctx context.Context, event []byte) (failed []string, err error) {
	var in struct {
		Records []struct {
			DynamoDB struct {
				SequenceNumber string
				NewImage       map[string]attribute
			} `json:"dynamodb"`
		}
	}
	if err := json.Unmarshal(event, &in); err != nil {
		return nil, fmt.Errorf("the event is none of a table's stream: %w", err)
	}
	var items []store.Item
	var numbers []string
	var unread error
	unreadAt := ""
	for _, record := range in.Records {
		item, err := itemOf(record.DynamoDB.NewImage)
		if err != nil { // what is behind may be of the same key
			unread, unreadAt = err, record.DynamoDB.SequenceNumber
			break
		}
		if item.Event != nil {
			items, numbers = append(items, item), append(numbers, record.DynamoDB.SequenceNumber)
		}
	}
	for i, err := range r.publishAll(ctx, items, ctx.Err) {
		if err != nil {
			r.Log.Warn("a change was not published", "error", err.Error())
			return []string{numbers[i]}, nil
		}
	}
	if unread != nil {
		r.Log.Warn("a change was not published", "error", unread.Error())
		return []string{unreadAt}, nil
	}
	return nil, nil
}

// attribute is a value in a record of a stream.
type attribute struct {
	S, N, B *string
}

// itemOf is the item in a record. One that is removed has no image, and no event.
func itemOf(image map[string]attribute) (item store.Item, err error) {
	number := func(name string) int64 {
		a := image[name]
		if a.N == nil {
			return 0
		}
		n, wrong := strconv.ParseInt(*a.N, 10, 64)
		err = errors.Join(err, wrong)
		return n
	}
	bytes := func(name string) []byte {
		a := image[name]
		if a.B == nil {
			return nil
		}
		b, wrong := base64.StdEncoding.DecodeString(*a.B)
		err = errors.Join(err, wrong)
		return b
	}
	text := func(name string) string {
		if a := image[name]; a.S != nil {
			return *a.S
		}
		return ""
	}
	item = store.Item{Key: store.Key{List: text("pk"), ID: text("sk")}, Version: number("ver"), Seq: number("seq"), Body: bytes("body"), Event: bytes("event")}
	if err != nil {
		return item, fmt.Errorf("the record of %v cannot be read: %w", item.Key, err)
	}
	return item, nil
}

// group is the message group of an event: its key, so that the events of a key keep their order.
func group(e events.Event) string { return e.Subject }

// deduplication is the same for each attempt to publish an event.
func deduplication(e events.Event) string { return strings.ReplaceAll(e.ID, "/", ":") }
