package relay_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"cutover/services/internal/events"
	"cutover/services/internal/relay"
	"cutover/services/internal/store"
)

// topic is what a FIFO topic is to a relay: it may take an event and say no, since the answer is lost.
type topic struct {
	mu     sync.Mutex
	took   []string
	refuse func(id string) (taken bool, err error)
}

func (p *topic) Publish(_ context.Context, e events.Event) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	taken, err := true, error(nil)
	if p.refuse != nil {
		taken, err = p.refuse(e.ID)
	}
	if taken {
		p.took = append(p.took, e.ID)
	}
	return err
}

func of(item store.Item) (events.Event, error) {
	return events.Event{ID: fmt.Sprintf("%s#%d", item.ID, item.Seq), Subject: item.ID, Sequence: item.Seq}, nil
}

// dying is an outbox whose process ends at a call: the call may be done, and its answer gets lost.
type dying struct {
	*store.Memory
	at    int
	done  bool
	calls int
}

var errDied = errors.New("the relay ended")

func (d *dying) end() (before, after bool) {
	d.calls++
	return d.calls == d.at && !d.done, d.calls == d.at && d.done
}

func (d *dying) Pending(ctx context.Context, limit int, except ...store.Key) ([]store.Entry, error) {
	if before, late := d.end(); before || late {
		return nil, errDied
	}
	return d.Memory.Pending(ctx, limit, except...)
}

func (d *dying) Told(ctx context.Context, numbers ...int64) error {
	before, after := d.end()
	if before {
		return errDied
	}
	err := d.Memory.Told(ctx, numbers...)
	if after {
		err = errDied
	}
	return err
}

// Wherever a relay ends, nothing is lost, and no change of a key comes first before an older one.
func TestRelayDies(t *testing.T) {
	for at := range 12 {
		for _, done := range []bool{false, true} {
			memory, to := store.NewMemory(), &topic{}
			random := rand.New(rand.NewPCG(1, uint64(at)))
			seqs, want := map[string]int64{}, 0
			for range 60 {
				id := fmt.Sprint("k", random.IntN(4))
				seqs[id]++
				want++
				if err := memory.Write(t.Context(), store.Change{Item: store.Item{Key: store.Key{List: "l", ID: id}, Seq: seqs[id], Event: []byte("e")}, Expected: seqs[id] - 1}); err != nil {
					t.Fatal(err)
				}
			}
			// Every fifth answer of the topic gets lost, and every seventh event is refused.
			n := 0
			to.refuse = func(string) (bool, error) {
				n++
				switch {
				case n%5 == 0:
					return true, errors.New("no answer")
				case n%7 == 0:
					return false, errors.New("throttled")
				}
				return true, nil
			}
			out := &dying{Memory: memory, at: at + 1, done: done}
			r := relay.Relay{Event: of, To: to, Log: slog.New(slog.DiscardHandler)}
			for range 100 { // each is a new relay
				_, _ = r.Once(t.Context(), out)
			}
			last, seen := map[string]int64{}, map[string]bool{}
			for _, id := range to.took {
				var key string
				var seq int64
				if _, err := fmt.Sscanf(strings.Replace(id, "#", " ", 1), "%s %d", &key, &seq); err != nil {
					t.Fatal(err)
				}
				if seq > last[key]+1 {
					t.Fatalf("ended at call %d: %s after change %d", at, id, last[key])
				}
				last[key], seen[id] = max(last[key], seq), true
			}
			if len(seen) != want {
				t.Errorf("ended at call %d: %d of %d changes were published", at, len(seen), want)
			}
			if left, _ := memory.Pending(t.Context(), 10); len(left) > 0 {
				t.Error("left:", left)
			}
		}
	}
}

// fill writes changes of a key into an outbox.
func fill(t *testing.T, s store.Store, id string, n int) {
	t.Helper()
	for seq := range int64(n) {
		if err := s.Write(t.Context(), store.Change{Item: store.Item{Key: store.Key{List: "l", ID: id}, Seq: seq + 1, Event: []byte("e")}, Expected: seq}); err != nil {
			t.Fatal(err)
		}
	}
}

// However many changes of a key wait behind one that is not taken, the other keys go on.
func TestOthersGoOn(t *testing.T) {
	memory := store.NewMemory()
	fill(t, memory, "poison", 200)
	fill(t, memory, "other", 120)
	to := &topic{refuse: func(id string) (bool, error) {
		if strings.HasPrefix(id, "poison") {
			return false, errors.New("never")
		}
		return true, nil
	}}
	n, err := relay.Relay{Event: of, To: to, Log: slog.New(slog.DiscardHandler)}.Once(t.Context(), memory)
	if n != 120 || err == nil || err.Error() != "poison#1: never" || to.took[119] != "other#120" {
		t.Error(n, err, len(to.took))
	}
	if left, _ := memory.Pending(t.Context(), 1000); len(left) != 200 {
		t.Error(len(left))
	}
}

// A relay that is stopped finishes the event that is on its way, and begins no other.
func TestRelayStops(t *testing.T) {
	memory := store.NewMemory()
	fill(t, memory, "a", 10)
	ctx, stop := context.WithCancel(t.Context())
	to := &topic{refuse: func(string) (bool, error) { stop(); return true, nil }}
	if err := (relay.Relay{Event: of, To: to, Log: slog.New(slog.DiscardHandler)}).Poll(ctx, memory); err != nil || !slices.Equal(to.took, []string{"a#1"}) {
		t.Error(to.took, err)
	}
	if left, _ := memory.Pending(t.Context(), 1000); len(left) != 9 {
		t.Error(len(left))
	}
}

// The records of a stream are published in their order, up to the first that is not taken. What has no event is left out.
func TestStream(t *testing.T) {
	record := func(number, id, seq, event string) string {
		attributes := fmt.Sprintf(`"pk":{"S":"users"},"sk":{"S":%q},"ver":{"N":"1"},"seq":{"N":%q},"body":{"B":%q}`, id, seq, base64.StdEncoding.EncodeToString([]byte("{}")))
		if event != "" {
			attributes += fmt.Sprintf(`,"event":{"B":%q}`, base64.StdEncoding.EncodeToString([]byte(event)))
		}
		return fmt.Sprintf(`{"eventSource":"aws:dynamodb","dynamodb":{"SequenceNumber":%q,"NewImage":{%s}}}`, number, attributes)
	}
	removed := `{"eventSource":"aws:dynamodb","eventName":"REMOVE","dynamodb":{"SequenceNumber":"9","Keys":{"pk":{"S":"users"}}}}`
	batch := func(records ...string) []byte { return []byte(`{"Records":[` + strings.Join(records, ",") + `]}`) }
	for name, test := range map[string]struct {
		event        []byte
		refused      string
		took, failed []string
	}{
		"all":             {batch(record("1", "a", "1", "e"), record("2", "a", "2", ""), removed, record("3", "b", "1", "e")), "", []string{"a#1", "b#1"}, nil},
		"one is refused":  {batch(record("1", "a", "1", "e"), record("2", "a", "2", "e"), record("3", "b", "1", "e")), "a#2", []string{"a#1", "b#1"}, []string{"2"}},
		"not a number":    {batch(record("1", "a", "x", "e")), "", nil, []string{"1"}},
		"nothing is told": {batch(removed), "", nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			to := &topic{refuse: func(id string) (bool, error) {
				if id == test.refused {
					return false, errors.New("throttled")
				}
				return true, nil
			}}
			failed, err := relay.Relay{Event: of, To: to, Log: slog.New(slog.DiscardHandler)}.Stream(t.Context(), test.event)
			slices.Sort(to.took)
			if err != nil || !slices.Equal(failed, test.failed) || !slices.Equal(to.took, test.took) {
				t.Errorf("published %v, failed %v, %v", to.took, failed, err)
			}
		})
	}
	if _, err := (relay.Relay{}).Stream(t.Context(), []byte("[")); err == nil {
		t.Error("no event of a stream was taken")
	}
}

func TestTopicNeedsAnARN(t *testing.T) {
	for _, arn := range []string{"users", "arn:aws:sqs:eu-central-1:123456789012:users", "arn:aws:sns:users"} {
		if _, err := relay.OpenTopic(arn, func(string) string { return "" }); err == nil || !strings.Contains(err.Error(), "is no ARN of a topic") {
			t.Error(arn, err)
		}
	}
}
