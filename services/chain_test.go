package services_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"cutover/assets/data"
	"cutover/internal/local/backing/programs/programstest"
	"cutover/internal/nightly"
	"cutover/internal/queues"
	judge "cutover/internal/rehearsal/events"
	feed "cutover/services/feed/routes"
	"cutover/services/internal/events"
	"cutover/services/internal/relay"
	"cutover/services/internal/server"
	"cutover/services/internal/store"
	"cutover/services/internal/store/storetest"
)

// mistakes are put into a chain.
type mistakes struct {
	// acknowledges lets the relays take a change out of the outbox before they publish it.
	acknowledges bool
	// outside writes the event of each seventh change in a transaction of its own, before which the service dies.
	outside bool
}

// dying is a topic at which relays die: with each fifth event, before the topic has it and after, in turn. The next relay tries it
// again.
type dying struct {
	relay.Publisher
	mu    sync.Mutex
	n     int
	tried map[string]bool
}

func (d *dying) Publish(ctx context.Context, e events.Event) error {
	d.mu.Lock()
	before, after := false, false
	if !d.tried[e.ID] {
		d.tried[e.ID] = true
		d.n++
		before, after = d.n%10 == 0, d.n%10 == 5
	}
	d.mu.Unlock()
	if before {
		return errDied
	}
	if err := d.Publisher.Publish(ctx, e); err != nil || !after {
		return err
	}
	return errDied
}

var errDied = errors.New("the relay died")

// acknowledging is an outbox from which a change is gone as soon as it was read.
type acknowledging struct{ store.Outbox }

func (a acknowledging) Pending(ctx context.Context, limit int, except ...store.Key) ([]store.Entry, error) {
	entries, err := a.Outbox.Pending(ctx, limit, except...)
	var numbers []int64
	for _, e := range entries {
		numbers = append(numbers, e.Number)
	}
	return entries, errors.Join(err, a.Outbox.Told(ctx, numbers...))
}

// outside is a store to which the event of each seventh change does not come.
type outside struct {
	store.Store
	mu sync.Mutex
	n  int
}

func (o *outside) Write(ctx context.Context, changes ...store.Change) error {
	changes = append([]store.Change{}, changes...)
	o.mu.Lock()
	for i := range changes {
		if changes[i].Event == nil {
			continue
		}
		if o.n++; o.n%7 == 0 {
			changes[i].Event = nil
		}
	}
	o.mu.Unlock()
	return o.Store.Write(ctx, changes...)
}

// chain starts the forum with its databases, relays, topics, and the feed that is made of events. It returns the forum's address, and
// who judges.
func chain(t *testing.T, with mistakes) (address string, o *judge.Observer) {
	t.Helper()
	database, endpoint := storetest.PostgreSQL(t, kinds...), programstest.Queues(t).URL
	variables := on()
	for name, value := range map[string]string{
		"FEED_FROM": "modules", "AWS_ENDPOINT_URL_SNS": endpoint, "AWS_ENDPOINT_URL_SQS": endpoint, "AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret",
	} {
		variables[name] = value
	}
	environment := func(variables map[string]string) server.Module {
		return server.Environment(func(name string) string { return variables[name] })
	}
	signer := aws.Config{Region: "eu-central-1", BaseEndpoint: &endpoint, Credentials: credentials.NewStaticCredentialsProvider("key", "secret", "")}
	topics, inQueues, client := sns.NewFromConfig(signer), sqs.NewFromConfig(signer), queues.New(signer, signer)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	t.Cleanup(func() { stop(); running.Wait() })

	names := queues.Names{}
	made := func(name string, attributes map[string]string) string {
		attributes["FifoQueue"] = "true"
		if _, err := inQueues.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: &name, Attributes: attributes}); err != nil {
			t.Fatal(err)
		}
		names.Queues = append(names.Queues, name)
		return "arn:aws:sqs:eu-central-1:000000000000:" + name
	}
	dead := made("dev-feed-dead.fifo", map[string]string{})
	queue := made("dev-feed.fifo", map[string]string{"RedrivePolicy": fmt.Sprintf(`{"deadLetterTargetArn":%q,"maxReceiveCount":"5"}`, dead)})
	modules := []server.Module{environment(variables)}
	for _, k := range published {
		topic, err := topics.CreateTopic(ctx, &sns.CreateTopicInput{Name: aws.String("dev-" + k.Name + ".fifo"), Attributes: map[string]string{"FifoTopic": "true"}})
		if err != nil {
			t.Fatal(err)
		}
		names.Topics = append(names.Topics, *topic.TopicArn)
		if _, err := topics.Subscribe(ctx, &sns.SubscribeInput{TopicArn: topic.TopicArn, Protocol: aws.String("sqs"), Endpoint: &queue, Attributes: map[string]string{"RawMessageDelivery": "true"}}); err != nil {
			t.Fatal(err)
		}
		s := storetest.Open(t, k.Name, func(name string) string {
			if name == strings.ToUpper(k.Name)+"_PUBLISHES" {
				return "on"
			}
			return database(name)
		})
		outbox := s.(store.Outbox)
		if with.acknowledges {
			outbox = acknowledging{outbox}
		}
		if with.outside {
			s = &outside{Store: s}
		}
		modules = append(modules, k.In(data.API, s))
		to, err := relay.OpenTopic(*topic.TopicArn, func(name string) string { return variables[name] })
		if err != nil {
			t.Fatal(err)
		}
		one := relay.Relay{Event: k.Event, To: &dying{Publisher: to, tried: map[string]bool{}}, Log: slog.New(slog.DiscardHandler)}
		running.Go(func() { _ = one.Poll(ctx, outbox) })
	}
	address = served(t, append(modules, feed.Feed)...)

	view := []server.Module{environment(map[string]string{
		"FEED_QUEUE": "dev-feed.fifo", "AWS_ENDPOINT_URL_SQS": endpoint, "AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret",
	}), feed.In(store.NewMemory())}
	running.Go(func() { _ = server.Run(ctx, io.Discard, "consume", view...) })
	return address, &judge.Observer{
		Topics: func() (*queues.Client, queues.Names, error) { return client, names, nil },
		URL:    func(path string) string { return address + path },
		Run: func(ctx context.Context, service string, command ...string) (exit int, lines []string, err error) {
			of := modules
			if service == "feed" {
				of = view
			}
			var out strings.Builder
			if err := server.Run(ctx, &out, strings.Join(command, " "), of...); err != nil {
				fmt.Fprintln(&out, err)
				exit = 1
			}
			return exit, strings.Split(strings.TrimSpace(out.String()), "\n"), nil
		},
		Histories: func() []string { return []string{"posts"} }, Patience: 10 * time.Second,
	}
}

// The judge of a rehearsal finds nothing wrong with the chain from the databases to the feed, although relays die, and finds each
// mistake that the outbox is there against.
func TestChain(t *testing.T) {
	nightly.Test(t, "it starts PostgreSQL and a program that stands for SNS and SQS three times")
	for name, test := range map[string]struct {
		with  mistakes
		finds []string // one of them
	}{
		"right": {},
		"a relay that acknowledges before it publishes": {mistakes{acknowledges: true}, []string{"lost event", "change without an event", "events say otherwise"}},
		"events outside of the transaction":             {mistakes{outside: true}, []string{"lost event", "change without an event", "events say otherwise"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address, o := chain(t, test.with)
			if test.finds == nil {
				o.Patience = 2 * time.Minute // of a busy machine
			}
			if err := o.Begin(t.Context()); err != nil {
				t.Fatal(err)
			}
			random := rand.New(rand.NewPCG(1, 2))
			send := func(method, path, body string) {
				request, err := http.NewRequestWithContext(t.Context(), method, address+path, strings.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				request.Header.Set("Content-Type", "application/json")
				request.Header.Set("If-Match", "*")
				response, err := http.DefaultClient.Do(request)
				if err != nil {
					t.Fatal(err)
				}
				_ = response.Body.Close()
				if response.StatusCode >= 500 {
					t.Errorf("%s %s: %s", method, path, response.Status)
				}
			}
			for n := range 60 {
				switch id := 1 + random.IntN(8); n % 6 {
				case 0:
					send("POST", "/api/users", fmt.Sprintf(`{"username":"u%d","name":"N%[1]d","bio":""}`, n))
				case 1:
					send("POST", "/api/threads", fmt.Sprintf(`{"title":"t%d","createdBy":1}`, n))
				case 2, 3:
					send("POST", "/api/posts", fmt.Sprintf(`{"thread":1,"text":"p%d","user":1}`, n))
				case 4:
					send("PUT", fmt.Sprintf("/api/posts/%d", id), fmt.Sprintf(`{"thread":1,"text":"changed %d","user":1}`, n))
				case 5:
					send("DELETE", fmt.Sprintf("/api/%s/%d", kinds[random.IntN(3)], id), "")
				}
			}
			result, _ := o.End(t.Context())
			var found []string
			for _, f := range result.Findings {
				found = append(found, f.Kind)
			}
			text := strings.Join(found, ", ")
			if len(result.Undecided) > 0 || (text == "") != (test.finds == nil) {
				t.Errorf("%q is found: %+v", text, result)
			}
			// If the event of a deletion is lost, the events before it are of nothing that is stored.
			for _, kind := range found {
				if !strings.Contains(strings.Join(append(test.finds, "event without a change", "wrong row in the read model", "unexpected dead letter", "events that wait"), ", "), kind) {
					t.Errorf("%s is found", kind)
				}
			}
			t.Logf("%s: %s; %q", name, text, result.Checked)
		})
	}
}
