package events

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"cutover/internal/local/backing/programs/programstest"
	"cutover/internal/nightly"
	"cutover/internal/queues"
	"cutover/internal/rehearsal"
)

// site is a deployment as an observer sees it: topics, a queue with a consumer that takes everything, and an API.
type site struct {
	t        *testing.T
	sns      *sns.Client
	sqs      *sqs.Client
	client   *queues.Client
	names    queues.Names
	dead     string // URL
	stored   map[string]json.RawMessage
	feed     func() []Thread
	endpoint string
}

// newSite makes the topics and queues, with names of a prefix.
func newSite(t *testing.T, url, prefix string) *site {
	config := aws.Config{Region: "local", BaseEndpoint: &url, Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")}
	s := &site{t: t, sns: sns.NewFromConfig(config), sqs: sqs.NewFromConfig(config), client: queues.New(config, config), stored: map[string]json.RawMessage{}}
	topic, err := s.sns.CreateTopic(t.Context(), &sns.CreateTopicInput{Name: aws.String(prefix + "-threads.fifo"), Attributes: map[string]string{"FifoTopic": "true"}})
	if err != nil {
		t.Fatal(err)
	}
	s.names.Topics = []string{*topic.TopicArn}
	var arn string
	for _, name := range []string{"-feed-dead.fifo", "-feed.fifo"} {
		attributes := map[string]string{"FifoQueue": "true"}
		if arn != "" {
			attributes["RedrivePolicy"] = fmt.Sprintf(`{"deadLetterTargetArn":%q,"maxReceiveCount":"1"}`, arn)
		}
		created, err := s.sqs.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String(prefix + name), Attributes: attributes})
		if err != nil {
			t.Fatal(err)
		}
		q, err := s.client.Queue(t.Context(), *created.QueueUrl)
		if err != nil {
			t.Fatal(err)
		}
		if arn == "" {
			s.dead = q.URL
		}
		arn = q.ARN
		s.names.Queues = append(s.names.Queues, q.Name)
	}
	if _, err := s.sns.Subscribe(t.Context(), &sns.SubscribeInput{TopicArn: &s.names.Topics[0], Protocol: aws.String("sqs"), Endpoint: &arn, Attributes: map[string]string{"RawMessageDelivery": "true"}}); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.endpoint = server.URL
	return s
}

// ServeHTTP answers with records and the feed, two on a page.
func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var rows []any
	if r.URL.Path == "/api/feed" {
		if s.feed == nil {
			http.NotFound(w, r)
			return
		}
		for _, thread := range s.feed() {
			rows = append(rows, thread)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(s.stored)) {
		if strings.HasPrefix("/api/"+key, r.URL.Path+"/") {
			var record map[string]any
			_ = json.Unmarshal(s.stored[key], &record)
			record["id"], _ = idOf(key)
			rows = append(rows, record)
		}
	}
	from := 0
	_, _ = fmt.Sscan(r.URL.Query().Get("after"), &from)
	to := min(len(rows), from+2)
	if to < len(rows) {
		w.Header().Set("Link", fmt.Sprintf(`<%s?limit=2&after=%d>; rel="next"`, r.URL.Path, to))
	}
	_ = json.NewEncoder(w).Encode(append([]any{}, rows[from:to]...))
}

// publish publishes an event.
func (s *site) publish(key string, sequence int, what, data string) {
	s.t.Helper()
	list, _, _ := strings.Cut(key, "/")
	id := fmt.Sprintf("%s#%d", key, sequence)
	body := fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":"/api/%s","type":"%[2]s.%s","subject":%q,"sequence":"%d","time":%q,"data":%s}`,
		id, list, what, key, sequence, time.Now().UTC().Format(time.RFC3339Nano), data)
	if _, err := s.sns.Publish(s.t.Context(), &sns.PublishInput{
		TopicArn: &s.names.Topics[0], Message: &body, MessageGroupId: &key, MessageDeduplicationId: aws.String(fmt.Sprint(id, time.Now().UnixNano())),
	}); err != nil {
		s.t.Fatal(err)
	}
}

// write stores a record and publishes its event.
func (s *site) write(key string, sequence int, data string) {
	s.t.Helper()
	s.stored[key] = json.RawMessage(data)
	what := "changed"
	if sequence == 1 {
		what = "created"
	}
	s.publish(key, sequence, what, data)
}

// consume takes messages of the queue as long as the context lasts.
func (s *site) consume(ctx context.Context, q queues.Queue) {
	for ctx.Err() == nil {
		_, _ = s.client.Take(ctx, q)
	}
}

// What is wrong with the events is a finding, and fails a rehearsal. Each mistake is one that a relay, a consumer or a
// service could make.
func TestObserver(t *testing.T) {
	program := programstest.Queues(t)
	for i, test := range []struct {
		name string
		do   func(s *site)
		want string
		idle bool // nobody takes the messages of the queue
	}{
		{name: "nothing", do: func(*site) {}},
		{name: "twice", do: func(s *site) { s.publish("users/1", 1, "created", string(s.stored["users/1"])) }},
		{name: "an event that the relay acknowledged and did not publish", do: func(s *site) {
			s.stored["users/1"] = json.RawMessage(`{"name":"Grace"}`)
			s.publish("users/1", 3, "changed", `{"name":"Grace"}`)
		}, want: "lost event 1, wrong row in the read model 1"},
		{name: "the same with the last event of a key", do: func(s *site) { s.stored["users/1"] = json.RawMessage(`{"name":"Grace"}`) }, want: "events say otherwise 1"},
		{name: "a record without an event", do: func(s *site) { s.stored["users/9"] = json.RawMessage(`{"name":"Nobody"}`) }, want: "change without an event 1"},
		{name: "an event whose transaction was not done", do: func(s *site) { s.publish("users/9", 1, "created", `{"name":"Nobody"}`) }, want: "event without a change 1"},
		{name: "out of order", do: func(s *site) {
			s.publish("users/1", 3, "changed", `{"name":"Ada"}`)
			s.publish("users/1", 2, "changed", `{"name":"Ida"}`)
		}, want: "event out of order 1"},
		{name: "no dedup in the consumer", do: func(s *site) {
			feed := s.feed()
			feed[0].Posts++
			s.feed = func() []Thread { return feed }
		}, want: "wrong row in the read model 1"},
		{name: "a consumer that is gone", do: func(s *site) { s.write("users/2", 1, `{"name":"Bob"}`) }, want: "events that wait 1", idle: true},
		{name: "poison", do: func(s *site) {
			if _, err := s.sqs.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &s.dead, MessageBody: aws.String("poison"), MessageGroupId: aws.String("a"), MessageDeduplicationId: aws.String("a")}); err != nil {
				t.Fatal(err)
			}
		}, want: "unexpected dead letter 1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if i > 2 {
				nightly.Test(t, "it waits for one more mistake")
			}
			s := newSite(t, program.URL, fmt.Sprintf("t%d", i))
			o := &Observer{
				Topics: func() (*queues.Client, queues.Names, error) { return s.client, s.names, nil },
				URL:    func(path string) string { return s.endpoint + path }, Patience: 5 * time.Second,
			}
			if test.want != "" {
				o.Patience = 2 * time.Second
			}
			if err := o.Begin(t.Context()); err != nil {
				t.Fatal(err)
			}
			q, err := s.client.Queue(t.Context(), s.names.Queues[1])
			if err != nil {
				t.Fatal(err)
			}
			if !test.idle {
				go s.consume(t.Context(), q)
			}
			s.write("users/1", 1, `{"name":"Ada"}`)
			s.write("threads/1", 1, `{"title":"Looms","createdBy":1}`)
			s.write("posts/1", 1, `{"thread":1,"text":"one","user":1}`)
			s.write("posts/2", 1, `{"thread":1,"text":"two","user":1}`)
			s.write("posts/3", 1, `{"thread":1,"text":"three","user":1}`)
			feed, err := Feed(Fold([]Event{
				{Key: "users/1", Sequence: 1, Data: s.stored["users/1"]}, {Key: "threads/1", Sequence: 1, Data: s.stored["threads/1"]},
				{Key: "posts/1", Sequence: 1, Data: s.stored["posts/1"]}, {Key: "posts/2", Sequence: 1, Data: s.stored["posts/2"]}, {Key: "posts/3", Sequence: 1, Data: s.stored["posts/3"]},
			}))
			if err != nil {
				t.Fatal(err)
			}
			s.feed = func() []Thread { return slices.Clone(feed) }
			test.do(s)
			result, lags := o.End(t.Context())
			var got []string
			for _, f := range result.Findings {
				got = append(got, fmt.Sprintf("%s %d", f.Kind, f.Count))
			}
			if strings.Join(got, ", ") != test.want || len(result.Undecided) > 0 {
				t.Errorf("the findings are %q, want %q; %+v", got, test.want, result)
			}
			if test.want == "" && len(result.Checked) != 3 || len(result.Checked) > 3 || len(lags) != 2 || lags[0].Name != relays && lags[1].Name != relays {
				t.Errorf("checked %q, lags %v", result.Checked, lags)
			}
			if test.name == "twice" && !strings.Contains(result.Checked[0], "1 came again") {
				t.Errorf("checked %q", result.Checked)
			}
		})
	}
}

// refuse takes the messages of the queue as a consumer does that cannot apply a thread without a title, nor what comes behind a gap. It
// returns the threads that it has. It tries what it cannot apply again after so many seconds.
func (s *site) refuse(ctx context.Context, q queues.Queue, again *atomic.Int32) func() []Thread {
	var mu sync.Mutex
	last, threads := map[string]int64{}, map[string]Thread{}
	go func() {
		for ctx.Err() == nil {
			got, err := s.sqs.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: &q.URL, MaxNumberOfMessages: 1, WaitTimeSeconds: 1, VisibilityTimeout: again.Load()})
			if err != nil {
				continue
			}
			for _, m := range got.Messages {
				e, err := Decode([]byte(*m.Body))
				if err != nil {
					s.t.Error(err)
				}
				mu.Lock()
				var thread Thread
				_ = json.Unmarshal(e.Data, &thread)
				thread.ID, _ = idOf(e.Key)
				poison := e.Sequence > last[e.Key] && strings.HasPrefix(e.Key, "threads/") && (e.Data != nil && thread.Title == "" || e.Run == "" && e.Sequence > last[e.Key]+1)
				if !poison && e.Sequence > last[e.Key] {
					last[e.Key] = e.Sequence
					if delete(threads, e.Key); strings.HasPrefix(e.Key, "threads/") && e.Data != nil {
						threads[e.Key] = thread
					}
				}
				mu.Unlock()
				if !poison {
					_, _ = s.sqs.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: &q.URL, ReceiptHandle: m.ReceiptHandle})
				}
			}
		}
	}()
	return func() []Thread {
		mu.Lock()
		defer mu.Unlock()
		all := slices.Collect(maps.Values(threads))
		slices.SortFunc(all, func(a, b Thread) int { return cmp.Compare(a.ID, b.ID) })
		return all
	}
}

// Poison becomes dead letters, with what follows it and nothing else. After the redrive nothing of it is left.
func TestPoison(t *testing.T) {
	nightly.Test(t, "it waits until poison is a dead letter, twice")
	program := programstest.Queues(t)
	for i, test := range []struct {
		name string
		do   func(s *site)
		want string
	}{
		{name: "poison", do: func(*site) {}},
		{name: "a dead letter that nobody sent", do: func(s *site) {
			if _, err := s.sqs.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &s.dead, MessageBody: aws.String("poison"), MessageGroupId: aws.String("a"), MessageDeduplicationId: aws.String("a")}); err != nil {
				t.Fatal(err)
			}
		}, want: "unexpected dead letter 1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSite(t, program.URL, fmt.Sprintf("p%d", i))
			o := &Observer{
				Topics: func() (*queues.Client, queues.Names, error) { return s.client, s.names, nil },
				URL:    func(path string) string { return s.endpoint + path }, Patience: 15 * time.Second,
				Run: func(context.Context, string, ...string) (int, []string, error) { return 0, nil, nil },
			}
			if err := o.Begin(t.Context()); err != nil {
				t.Fatal(err)
			}
			q, err := s.client.Queue(t.Context(), s.names.Queues[1])
			if err != nil {
				t.Fatal(err)
			}
			var again atomic.Int32
			again.Store(4) // the poison is no dead letter before the other events were taken, on a busy machine either
			s.feed = s.refuse(t.Context(), q, &again)
			o.Run = func(context.Context, string, ...string) (exit int, lines []string, err error) {
				for _, thread := range s.feed() {
					line, err := json.Marshal(thread)
					if err != nil {
						return 0, nil, err
					}
					lines = append(lines, string(line))
				}
				return 0, lines, nil
			}
			if _, err := o.Poison(t.Context(), "nobody"); err == nil || !strings.Contains(err.Error(), "no queue of nobody gets threads") {
				t.Errorf("poison of nobody: %v", err)
			}
			wait, err := o.Poison(t.Context(), "feed")
			if err != nil {
				t.Fatal(err)
			}
			for i := range 20 {
				s.write(fmt.Sprintf("users/%d", i+1), 1, `{"name":"Ada"}`)
			}
			if err := wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			again.Store(1)
			test.do(s)
			result, _ := o.End(t.Context())
			var got []string
			for _, f := range result.Findings {
				got = append(got, fmt.Sprintf("%s %d", f.Kind, f.Count))
			}
			if strings.Join(got, ", ") != test.want || len(result.Undecided) > 0 {
				t.Errorf("the findings are %q, want %q; %+v", got, test.want, result)
			}
			if dead, err := s.client.Queue(t.Context(), s.names.Queues[0]); test.want == "" && (err != nil || dead.Depth() != 0) {
				t.Errorf("after the redrive there is %+v, %v", dead, err)
			}
		})
	}
}

// Without topics there is nothing to watch.
func TestNoTopics(t *testing.T) {
	o := &Observer{Topics: func() (*queues.Client, queues.Names, error) { return nil, queues.Names{}, nil }}
	if err := o.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	if result, lags := o.End(t.Context()); len(result.Checked)+len(result.Findings)+len(result.Undecided)+len(lags) > 0 {
		t.Errorf("%+v, %v", result, lags)
	}
}

var _ rehearsal.Watcher = (*Observer)(nil)

func TestBehind(t *testing.T) {
	now := time.Now()
	came := []time.Time{now.Add(-9 * time.Second), now.Add(-5 * time.Second), now.Add(-time.Second)}
	for waiting, want := range []time.Duration{0, time.Second, 5 * time.Second, 9 * time.Second, 9 * time.Second} {
		if got := behind(came, waiting, now); got != want {
			t.Errorf("of %d: %v, want %v", waiting, got, want)
		}
	}
}
