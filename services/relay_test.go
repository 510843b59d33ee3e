package services_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"cutover/internal/local/backing/programs/programstest"
	"cutover/internal/nightly"
	"cutover/services/internal/events"
	"cutover/services/internal/store"
	"cutover/services/internal/store/storetest"
)

// Two relays of a database are killed again and again while there are writes. A queue gets the changes of each key in their
// order, and all of them. Twice is allowed: consumers drop what they have seen.
func TestRelaysAreKilled(t *testing.T) {
	nightly.Test(t, "it starts PostgreSQL, a program that stands for SNS and SQS, and 17 relays")
	const keys, rounds, each = 12, 8, 10
	database, endpoint := storetest.PostgreSQL(t, "posts"), programstest.Queues(t).URL
	ctx := t.Context()
	signer := credentials.NewStaticCredentialsProvider("key", "secret", "")
	topics := sns.New(sns.Options{Region: "eu-central-1", Credentials: signer, BaseEndpoint: &endpoint})
	queues := sqs.New(sqs.Options{Region: "eu-central-1", Credentials: signer, BaseEndpoint: &endpoint})
	topic, err := topics.CreateTopic(ctx, &sns.CreateTopicInput{Name: aws.String("posts.fifo"), Attributes: map[string]string{"FifoTopic": "true"}})
	if err != nil {
		t.Fatal(err)
	}
	queue, err := queues.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: aws.String("feed.fifo"), Attributes: map[string]string{"FifoQueue": "true"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := topics.Subscribe(ctx, &sns.SubscribeInput{
		TopicArn: topic.TopicArn, Protocol: aws.String("sqs"), Endpoint: aws.String("arn:aws:sqs:eu-central-1:000000000000:feed.fifo"),
		Attributes: map[string]string{"RawMessageDelivery": "true"},
	}); err != nil {
		t.Fatal(err)
	}

	variables := map[string]string{"POSTS_PUBLISHES": "on", "POSTS_DATABASE_URL": database("POSTS_DATABASE_URL"), "STORE_TIMEOUT": database("STORE_TIMEOUT")}
	s := storetest.Open(t, "posts", func(name string) string { return variables[name] })
	outbox := s.(store.Outbox)
	relay := func() *exec.Cmd {
		cmd := exec.Command(filepath.Join(bin, "posts"), "relay")
		cmd.Env = append(os.Environ(), "PORT=0", "HOST=127.0.0.1", "POSTS_TOPIC_ARN="+*topic.TopicArn, "AWS_ENDPOINT_URL_SNS="+endpoint,
			"AWS_REGION=eu-central-1", "AWS_ACCESS_KEY_ID=key", "AWS_SECRET_ACCESS_KEY=secret")
		for name, value := range variables {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd
	}

	first := func() int64 {
		entries, err := outbox.Pending(ctx, 1)
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) == 0 {
			return 0
		}
		return entries[0].Number
	}
	for round := range int64(rounds) {
		var writers sync.WaitGroup
		for key := range keys {
			writers.Go(func() {
				for n := round * each; n < (round+1)*each; n++ {
					text := "short"
					if key == 0 && n == 0 {
						text = strings.Repeat("한", 100<<10)
					}
					c := store.Change{Expected: n, Item: store.Item{
						Key: store.Key{List: "posts", ID: fmt.Sprintf("%016d", key+1)}, Seq: n + 1, Body: []byte(`{"thread":1,"text":"` + text + `","user":1}`),
						Event: fmt.Appendf(nil, `{"type":"changed","time":%q}`, time.Now().UTC().Format(time.RFC3339Nano)),
					}}
					if err := s.Write(ctx, c); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		at := int64(0)
		for at == 0 && !t.Failed() {
			at = first()
		}
		two := []*exec.Cmd{relay(), relay()}
		for deadline := time.Now().Add(time.Minute); at == first(); {
			if time.Now().After(deadline) {
				t.Fatal("two relays publish nothing")
			}
		}
		for _, cmd := range two {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
		writers.Wait()
	}
	left := relay()
	defer func() {
		_ = left.Process.Signal(os.Interrupt)
		if err := left.Wait(); err != nil {
			t.Errorf("a relay that is stopped ends with %v", err)
		}
	}()

	last, received := map[string]int64{}, 0
	for done := 0; done < keys; {
		out, err := queues.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: queue.QueueUrl, MaxNumberOfMessages: 10, WaitTimeSeconds: 20})
		if err != nil {
			t.Fatal(err)
		}
		if len(out.Messages) == 0 {
			t.Fatalf("nothing comes any more: %v", last)
		}
		for _, m := range out.Messages {
			e, err := events.Decode([]byte(*m.Body))
			if err != nil {
				t.Fatal(err)
			}
			received++
			switch {
			case e.Sequence > last[e.Subject]+1:
				t.Fatalf("%s comes after change %d", e.ID, last[e.Subject])
			case e.Sequence == last[e.Subject]+1:
				last[e.Subject] = e.Sequence
				if e.Sequence == rounds*each {
					done++
				}
			}
			var data struct{ Text string }
			if err := json.Unmarshal(e.Data, &data); err != nil || e.Truncated != (e.ID == "posts/1#1") || e.Truncated && (e.DataRef != "/api/posts/1" || len(data.Text) < 60<<10) {
				t.Error(e.ID, e.Truncated, e.DataRef, len(data.Text), err)
			}
			if _, err := queues.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: queue.QueueUrl, ReceiptHandle: m.ReceiptHandle}); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Logf("%d relays were killed: %d messages of %d changes", 2*rounds, received, keys*rounds*each)
}
