package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sns"

	"cutover/internal/build"
	"cutover/internal/local/backing/programs"
	"cutover/internal/queues"
	"cutover/internal/rehearsal/events"
)

const (
	// changed is how many records a round creates under load, and alone how many one after the other.
	changed, alone = 1000, 100
	// eventPatience is how long the next event may take.
	eventPatience = time.Minute
)

// chain has what the events of a round come to.
type chain struct {
	*bench
	users, feed *subject
	client      *queues.Client
	queue       queues.Queue // beside that of the feed
}

// events measures the way of a change from a request to the feed: the service users with its outbox in PostgreSQL, its relay, a FIFO
// topic, a FIFO queue, and the feed's consumer with a table.
func (b *bench) events(out io.Writer) (err error) {
	fmt.Println("Starting the databases and fauxqs, and the services users and feed with a relay and a consumer")
	databases, stop, err := b.databases()
	defer func() { err = errors.Join(err, stop()) }()
	if err != nil {
		return err
	}
	messages, err := programs.StartQueues(b.ctx, filepath.Join(b.work, "queues"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, messages.Stop(b.ctx)) }()
	config := aws.Config{Region: "eu-central-1", BaseEndpoint: &messages.URL, Credentials: credentials.NewStaticCredentialsProvider("bench", "bench", "")}
	topic, err := sns.NewFromConfig(config).CreateTopic(b.ctx, &sns.CreateTopicInput{Name: aws.String("bench-users.fifo"), Attributes: map[string]string{"FifoTopic": "true"}})
	if err != nil {
		return err
	}
	c := &chain{bench: b, client: queues.New(config, config)}
	consumed, _, err := c.client.Observe(b.ctx, "bench-feed", []string{*topic.TopicArn})
	if err != nil {
		return err
	}
	if c.queue, _, err = c.client.Observe(b.ctx, "bench-observer", []string{*topic.TopicArn}); err != nil {
		return err
	}
	built, err := b.programs(build.Service{Name: "users", Dir: "services/users"}, build.Service{Name: "feed", Dir: "services/feed"})
	if err != nil {
		return err
	}
	queued := []string{
		"STORE_TIMEOUT=1m", "AWS_ENDPOINT_URL_SNS=" + messages.URL, "AWS_ENDPOINT_URL_SQS=" + messages.URL,
		"AWS_REGION=eu-central-1", "AWS_ACCESS_KEY_ID=bench", "AWS_SECRET_ACCESS_KEY=bench",
	}
	publishes := slices.Concat(databases["postgres"], queued, []string{"USERS_PUBLISHES=on", "USERS_TOPIC_ARN=" + *topic.TopicArn, "THREADS_URL=http://127.0.0.1:1", "POSTS_URL=http://127.0.0.1:1"})
	shows := slices.Concat(databases["dynamodb"], queued)
	run := func(name, route string, env []string, program *subject, command ...string) *subject {
		return &subject{name: name, env: env, route: route, command: func(string) []string { return append(program.command(""), command...) }}
	}
	c.users, c.feed = run("users", "/api/users", without(publishes, "USERS_TOPIC_ARN="), built[0]), run("feed", "/api/feed", shows, built[1])
	relay := run("users-relay", "/", publishes, built[0], "relay")
	consumer := run("feed-consumer", "/", append(shows, "FEED_QUEUE="+consumed.Name), built[1], "consume")
	addresses, err := freeAddresses(4)
	if err != nil {
		return err
	}
	stopServers, err := b.startAll([]*subject{c.users, relay, c.feed, consumer}, addresses)
	defer func() { err = errors.Join(err, stopServers()) }()
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "Of %d records that are created over %d connections, how many events come to a queue and to the feed in a second, and the time\n"+
		"from the change to the queue. Then %d are created one after the other, and the time is that from the change to the feed:\n\n", changed, writers, alone)
	fmt.Fprintf(out, "%-8s%14s%10s%10s%10s%14s%16s%10s\n", "round", "queue, 1/s", "p50, ms", "p99, ms", "max, ms", "feed, 1/s", "alone, p50, ms", "p99, ms")
	for round := range b.rounds {
		if err := c.round(out, round+1); err != nil {
			return err
		}
	}
	return nil
}

func without(env []string, beginning string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(v string) bool { return strings.HasPrefix(v, beginning) })
}

// round prints the line of a round.
func (c *chain) round(out io.Writer, number int) error {
	before, err := c.shown()
	if err != nil {
		return err
	}
	began := time.Now()
	written := make(chan error, 1)
	go func() { written <- c.users.server.client.create(c.ctx, changed) }()
	took, err := c.arrivals(changed)
	if err := errors.Join(err, <-written); err != nil {
		return err
	}
	toQueue := time.Since(began).Seconds()
	if err := c.until(before + changed); err != nil {
		return err
	}
	toFeed := time.Since(began).Seconds()
	var singly []time.Duration
	for i := range alone {
		began := time.Now()
		if err := c.users.server.client.create(c.ctx, 1); err != nil {
			return err
		}
		if err := c.until(before + changed + i + 1); err != nil {
			return err
		}
		singly = append(singly, time.Since(began))
	}
	if _, err := c.arrivals(alone); err != nil {
		return err
	}
	fmt.Fprintf(out, "%-8d%14.0f%10.1f%10.1f%10.1f%14.0f%16.1f%10.1f\n", number, changed/toQueue, percentile(took, 50), percentile(took, 99), percentile(took, 100),
		changed/toFeed, percentile(singly, 50), percentile(singly, 99))
	return nil
}

// percentile is in milliseconds.
func percentile(took []time.Duration, percent int) float64 {
	slices.Sort(took)
	return took[(len(took)*percent+99)/100-1].Seconds() * 1000
}

// shown is how many changes are in the feed.
func (c *chain) shown() (int, error) {
	request, err := http.NewRequestWithContext(c.ctx, http.MethodGet, "http://"+c.feed.server.client.address+"/api/feed?limit=1", nil)
	if err != nil {
		return 0, err
	}
	response, err := c.feed.server.client.http.Do(request)
	if err != nil {
		return 0, err
	}
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return 0, err
	}
	_ = response.Body.Close()
	n, err := strconv.Atoi(response.Header.Get("X-Projection-Sequence"))
	if err != nil {
		err = fmt.Errorf("GET /api/feed: %s, without X-Projection-Sequence", response.Status)
	}
	return n, err
}

// until waits until a number of changes are in the feed.
func (c *chain) until(changes int) error {
	before := 0
	for last := time.Now(); ; {
		n, err := c.shown()
		switch {
		case err != nil || n == changes:
			return err
		case n > changes:
			return fmt.Errorf("%d changes are in the feed, and %d were made", n, changes)
		case n > before:
			before, last = n, time.Now()
		case time.Since(last) > eventPatience:
			return fmt.Errorf("%d of %d changes are in the feed, and no other one for %v", n, changes, eventPatience)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// arrivals takes a number of events from the queue, each of them once, and in the order of their keys. It returns how long each was on its
// way.
func (c *chain) arrivals(number int) (took []time.Duration, err error) {
	var got []events.Event
	last := time.Now()
	for len(took) < number {
		messages, err := c.client.Take(c.ctx, c.queue)
		now := time.Now()
		for _, m := range messages {
			e, wrong := events.Decode([]byte(m.Body))
			if err = cmp.Or(err, wrong); wrong == nil {
				got, took, last = append(got, e), append(took, now.Sub(e.Time)), now
			}
		}
		if err == nil && now.Sub(last) > eventPatience {
			err = fmt.Errorf("%d of %d events have come, and none for %v", len(took), number, eventPatience)
		}
		if err != nil {
			return nil, err
		}
	}
	problems, duplicates := events.Sequences(got, true)
	if len(problems) > 0 || duplicates > 0 {
		var texts []string
		for _, p := range problems {
			texts = append(texts, p.Text)
		}
		return nil, fmt.Errorf("%d events came twice; %s", duplicates, strings.Join(texts, " "))
	}
	return took, nil
}
