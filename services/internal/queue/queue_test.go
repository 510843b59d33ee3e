package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// batchOf are messages from texts such as a1: the group, and what is in the message.
func batchOf(texts string) (messages []Message) {
	for _, text := range strings.Fields(texts) {
		messages = append(messages, Message{ID: text, Group: text[:1], Body: []byte(text), Receives: 1})
	}
	return messages
}

func textOf(messages []Message) string {
	var ids []string
	for _, m := range messages {
		ids = append(ids, m.ID)
	}
	return strings.Join(ids, " ")
}

func byBody(m Message) Place { return Place{string(m.Body[:1]), int64(m.Body[1])} }

// A FIFO queue keeps the order of a group. Elsewhere messages have the order of their numbers.
func TestLanes(t *testing.T) {
	for _, c := range []struct {
		batch   string
		ordered bool
		place   func(Message) Place
		want    string
	}{
		{"a1 b1 a2 c1", true, nil, "a1 a2 | b1 | c1"},
		{"a2 a1", true, byBody, "a2 a1"},
		{"a2 b1 a1", false, byBody, "a1 a2 | b1"},
		{"a1 a2", false, nil, "a1 | a2"},
		{"", true, nil, ""},
	} {
		var got []string
		for _, lane := range lanes(batchOf(c.batch), c.ordered, c.place) {
			got = append(got, textOf(lane))
		}
		if strings.Join(got, " | ") != c.want {
			t.Errorf("%q (FIFO %v) goes into the lanes %q, want %q", c.batch, c.ordered, got, c.want)
		}
	}
}

// Behind a message that fails, the others of its lane are left.
func TestDrive(t *testing.T) {
	for _, c := range []struct{ lane, fails, done, failed, behind string }{
		{"a1 a2 a3", "", "a1 a2 a3", "", ""},
		{"a1 a2 a3", "a2", "a1", "a2", "a3"},
		{"a1 a2", "a1", "", "a1", "a2"},
		{"a1 a2", "a2", "a1", "a2", ""},
	} {
		r := drive(t.Context(), batchOf(c.lane), func(_ context.Context, m Message) error {
			if m.ID == c.fails {
				return errors.New("poison")
			}
			return nil
		})
		failed := ""
		if r.Failed != nil {
			failed = r.Failed.ID
		}
		if textOf(r.Done) != c.done || failed != c.failed || textOf(r.Behind) != c.behind || (r.Err != nil) != (c.fails != "") {
			t.Errorf("%q, of which %q fails: %+v", c.lane, c.fails, r)
		}
	}
	stopped, cancel := context.WithCancel(t.Context())
	r := drive(stopped, batchOf("a1 a2 a3"), func(context.Context, Message) error { cancel(); return nil })
	if textOf(r.Done) != "a1" || textOf(r.Behind) != "a2 a3" || r.Failed != nil {
		t.Errorf("a worker that is stopped: %+v", r)
	}
}

func TestPause(t *testing.T) {
	for receives, want := range map[int]time.Duration{0: time.Second, 1: time.Second, 2: 3 * time.Second, 4: 30 * time.Second, 50: 30 * time.Second} {
		if got := pause(receives); got != want {
			t.Errorf("a message that was received %d times pauses for %v, want %v", receives, got, want)
		}
	}
}

// recorder is a handler that notes what it has done.
type recorder struct {
	mu   sync.Mutex
	done []string
}

func (r *recorder) add(m Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done = append(r.done, string(m.Body))
}

func (r *recorder) of(group string) (done []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, one := range r.done {
		if strings.HasPrefix(one, group) {
			done = append(done, one)
		}
	}
	return done
}

// start runs a worker until it is stopped.
func start(t *testing.T, w Worker) (stop func()) {
	t.Helper()
	w.Log, w.Wait = slog.New(slog.DiscardHandler), 20*time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Work(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func empty(t *testing.T, q *Memory) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := q.Empty(ctx); err != nil {
		waiting, dead, _ := q.Look()
		t.Fatalf("left are %v, and dead letters %v: %v", waiting, dead, err)
	}
}

// A poison message goes to the dead-letter queue, and those of its group that need it follow in their order. Others go on. After a
// redrive, they are all done.
func TestPoison(t *testing.T) {
	q, r := &Memory{FIFO: true, MaxReceives: 3}, &recorder{}
	var healed bool
	var mu sync.Mutex
	last := map[string]byte{}
	start(t, Worker{Queue: q, Handle: func(_ context.Context, m Message) error {
		mu.Lock()
		defer mu.Unlock()
		if string(m.Body) == "a2" && !healed || m.Body[1] != last[m.Group]+1 && last[m.Group] != 0 {
			return errors.New("refused")
		}
		last[m.Group] = m.Body[1]
		r.add(m)
		return nil
	}})
	for i := 1; i <= 4; i++ {
		for _, group := range []string{"a", "b"} {
			q.Put(group, fmt.Appendf(nil, "%s%d", group, i))
		}
	}
	empty(t, q)
	var dead []string
	_, letters, _ := q.Look()
	for _, m := range letters {
		dead = append(dead, string(m.Body))
	}
	if !slices.Equal(dead, []string{"a2", "a3", "a4"}) || !slices.Equal(r.of("b"), []string{"b1", "b2", "b3", "b4"}) {
		t.Fatalf("dead letters %v, done %v", dead, r.done)
	}
	mu.Lock()
	healed = true
	mu.Unlock()
	q.Redrive()
	empty(t, q)
	if got := r.of("a"); !slices.Equal(got, []string{"a1", "a2", "a3", "a4"}) {
		t.Errorf("after the redrive, %v is done", got)
	}
}

// A panic fails the message, and not the worker.
func TestPanic(t *testing.T) {
	q, r := &Memory{MaxReceives: 1}, &recorder{}
	start(t, Worker{Queue: q, Handle: func(_ context.Context, m Message) error {
		if string(m.Body) == "bad" {
			panic("no")
		}
		r.add(m)
		return nil
	}})
	q.Put("", []byte("bad"))
	q.Put("", []byte("good"))
	empty(t, q)
	if _, dead, _ := q.Look(); len(dead) != 1 || len(r.of("good")) != 1 {
		t.Errorf("dead letters %v, done %v", dead, r.done)
	}
}

// While what a message needs is not there, the message is tried again without being received again.
func TestUnavailable(t *testing.T) {
	q := &Memory{FIFO: true, MaxReceives: 1}
	tries := 0
	start(t, Worker{Queue: q, Handle: func(context.Context, Message) error {
		if tries++; tries < 4 {
			return fmt.Errorf("the store: %w", ErrUnavailable)
		}
		return nil
	}})
	q.Put("a", []byte("a1"))
	empty(t, q)
	if _, dead, _ := q.Look(); tries != 4 || len(dead) > 0 {
		t.Errorf("%d attempts, dead letters %v", tries, dead)
	}
}

// A worker that is stopped ends the message that it has begun, and returns the others at once: another one has them.
func TestStop(t *testing.T) {
	q := &Memory{FIFO: true}
	for i := 1; i <= 3; i++ {
		q.Put("a", fmt.Appendf(nil, "a%d", i))
	}
	begun, goOn, r := make(chan bool, 3), make(chan bool), &recorder{}
	stop := start(t, Worker{Queue: q, Handle: func(ctx context.Context, m Message) error {
		begun <- true
		<-goOn
		r.add(m)
		return ctx.Err()
	}})
	<-begun
	stopped := make(chan bool)
	go func() { stop(); close(stopped) }()
	for len(r.of("a")) == 0 {
		select { // the stop may come late: then a second message is begun
		case goOn <- true:
		case <-stopped:
		}
	}
	close(goOn)
	<-stopped
	first := len(r.of("a"))
	start(t, Worker{Queue: q, Handle: func(_ context.Context, m Message) error { r.add(m); return nil }})
	empty(t, q)
	if got := r.of("a"); !slices.Equal(got, []string{"a1", "a2", "a3"}) {
		t.Errorf("the first worker did %d messages, both together %v", first, got)
	}
}

// A message stays hidden while it is handled, however long.
func TestHold(t *testing.T) {
	q := &Memory{}
	start(t, Worker{Queue: q, Hold: time.Millisecond, Handle: func(context.Context, Message) error {
		for {
			if _, _, held := q.Look(); held >= 3 {
				return nil
			}
			time.Sleep(time.Millisecond)
		}
	}})
	q.Put("", []byte("slow"))
	empty(t, q)
}

// A batch waits for further messages until it is full or its window is over.
func TestWindow(t *testing.T) {
	q := &Memory{}
	var mu sync.Mutex
	together, n := make(chan bool), 0
	start(t, Worker{Queue: q, Window: time.Minute, Handle: func(context.Context, Message) error {
		mu.Lock()
		if n++; n == MaxBatch {
			close(together)
		}
		mu.Unlock()
		<-together // all are in one batch, or this never ends
		return nil
	}})
	for i := range MaxBatch {
		q.Put("", fmt.Appendf(nil, "m%d", i))
	}
	empty(t, q)
}

// Lambda gets the ids of what failed, and of what is behind it in its group.
func TestFunction(t *testing.T) {
	record := func(id, group, body, arn string) string {
		return fmt.Sprintf(`{"messageId":%q,"receiptHandle":"r","body":%q,"attributes":{"MessageGroupId":%q,"ApproximateReceiveCount":"2"},"eventSource":"aws:sqs","eventSourceARN":%q}`, id, body, group, arn)
	}
	const fifo, standard = "arn:aws:sqs:eu-central-1:1:dev-feed.fifo", "arn:aws:sqs:eu-central-1:1:dev-feed"
	for _, c := range []struct{ name, arn, want string }{{"FIFO", fifo, "2 3"}, {"standard", standard, "2"}} {
		event := `{"Records":[` + strings.Join([]string{record("1", "a", "ok", c.arn), record("2", "a", "bad", c.arn), record("3", "a", "ok", c.arn), record("4", "b", "ok", c.arn)}, ",") + `]}`
		failed, err := Worker{Log: slog.New(slog.DiscardHandler), Handle: func(_ context.Context, m Message) error {
			if string(m.Body) == "bad" || m.Receives != 2 {
				return errors.New("refused")
			}
			return nil
		}}.Function(t.Context(), []byte(event))
		if slices.Sort(failed); err != nil || strings.Join(failed, " ") != c.want {
			t.Errorf("%s: failed are %v, %v, want %s", c.name, failed, err, c.want)
		}
	}
	if _, err := (Worker{}).Function(t.Context(), []byte("[]")); err == nil {
		t.Error("a list is taken for an event")
	}
}
