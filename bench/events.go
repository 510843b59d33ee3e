package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
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

// changed is how many records a round creates.
const changed = 1000

// events measures the way of a change from a request to a queue: the service users with its outbox in PostgreSQL, its relay, a FIFO
// topic, and a FIFO queue.
func (b *bench) events(out io.Writer) (err error) {
	fmt.Println("Starting PostgreSQL and fauxqs, and a service with its relay")
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
	client := queues.New(config, config)
	queue, _, err := client.Observe(b.ctx, "bench-feed", []string{*topic.TopicArn})
	if err != nil {
		return err
	}
	built, err := b.programs(build.Service{Name: "users", Dir: "services/users"})
	if err != nil {
		return err
	}
	environment := append(databases["postgres"], "STORE_TIMEOUT=1m", "USERS_PUBLISHES=on", "THREADS_URL=http://127.0.0.1:1", "POSTS_URL=http://127.0.0.1:1",
		"AWS_ENDPOINT_URL_SNS="+messages.URL, "AWS_REGION=eu-central-1", "AWS_ACCESS_KEY_ID=bench", "AWS_SECRET_ACCESS_KEY=bench", "USERS_TOPIC_ARN="+*topic.TopicArn)
	program := built[0].command("")[0]
	addresses, err := freeAddresses(2)
	if err != nil {
		return err
	}
	service := &subject{name: "users", env: environment, command: func(string) []string { return []string{program} }}
	relay := &subject{name: "users-relay", env: environment, route: "/", command: func(string) []string { return []string{program, "relay"} }}
	stopServers, err := b.startAll([]*subject{service, relay}, addresses)
	defer func() { err = errors.Join(err, stopServers()) }()
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%d records are created over %d connections, in each of %d rounds. The time is from the change to the queue's answer:\n\n%-8s%12s%12s%12s%12s\n",
		changed, writers, b.rounds, "round", "events/s", "p50, ms", "p99, ms", "max, ms")
	for round := range b.rounds {
		began := time.Now()
		written := make(chan error, 1)
		go func() { written <- service.server.client.create(b.ctx, changed) }()
		took, err := b.arrivals(client, queue)
		if err := errors.Join(err, <-written); err != nil {
			return err
		}
		seconds := time.Since(began).Seconds()
		slices.Sort(took)
		at := func(percent int) float64 { return took[(len(took)*percent+99)/100-1].Seconds() * 1000 }
		fmt.Fprintf(out, "%-8d%12.0f%12.1f%12.1f%12.1f\n", round+1, changed/seconds, at(50), at(99), at(100))
	}
	return nil
}

// arrivals takes the events of a round from the queue, each of them once, and in the order of their keys. It returns how long each was
// on its way.
func (b *bench) arrivals(client *queues.Client, queue queues.Queue) (took []time.Duration, err error) {
	const patience = time.Minute
	var got []events.Event
	last := time.Now()
	for len(took) < changed {
		messages, err := client.Take(b.ctx, queue)
		now := time.Now()
		for _, m := range messages {
			e, wrong := events.Decode([]byte(m.Body))
			if err = cmp.Or(err, wrong); wrong == nil {
				got, took, last = append(got, e), append(took, now.Sub(e.Time)), now
			}
		}
		if err == nil && now.Sub(last) > patience {
			err = fmt.Errorf("%d of %d events have come, and none for %v", len(took), changed, patience)
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
