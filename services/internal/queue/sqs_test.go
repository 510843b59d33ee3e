package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"cutover/internal/local/backing/programs/programstest"
	"cutover/internal/nightly"
)

// variables are those of a service whose queues are those of a program.
func variables(url string) func(string) string {
	return func(name string) string {
		return map[string]string{"AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_ENDPOINT_URL_SQS": url}[name]
	}
}

func open(t *testing.T, name, url string) *SQS {
	t.Helper()
	q, err := Open(name, variables(url))
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func create(t *testing.T, q *SQS, attributes map[string]string) string {
	t.Helper()
	if q.Ordered() {
		attributes["FifoQueue"] = "true"
	}
	out, err := q.client.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: &q.name, Attributes: attributes})
	if err != nil {
		t.Fatal(err)
	}
	return aws.ToString(out.QueueUrl)
}

// The worker on a queue of a program that stands for SQS: groups keep their order, a poison message and those behind it become dead
// letters in their order, a message that is held comes to nobody else, and what a stopped worker returns comes at once.
func TestSQS(t *testing.T) {
	nightly.Test(t, "it starts a program that stands for SQS")
	program := programstest.Queues(t)
	q, dead := open(t, "dev-feed.fifo", program.URL), open(t, "dev-feed-dead.fifo", program.URL)
	create(t, dead, map[string]string{})
	url := create(t, q, map[string]string{"RedrivePolicy": `{"deadLetterTargetArn":"arn:aws:sqs:eu-central-1:000000000000:dev-feed-dead.fifo","maxReceiveCount":"2"}`})
	for i := 1; i <= 3; i++ {
		for _, group := range []string{"a", "b"} {
			body := fmt.Sprintf("%s%d", group, i)
			if _, err := q.client.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: &body, MessageGroupId: &group, MessageDeduplicationId: &body}); err != nil {
				t.Fatal(err)
			}
		}
	}
	r := &recorder{}
	stop := start(t, Worker{Queue: q, Handle: func(_ context.Context, m Message) error {
		if m.Group == "a" {
			return errors.New("poison")
		}
		r.add(m)
		return nil
	}})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var letters []string
	for len(letters) < 3 {
		messages, err := dead.Receive(ctx, MaxBatch, 5*time.Second)
		if err != nil {
			t.Fatal(letters, err)
		}
		for _, m := range messages {
			letters = append(letters, string(m.Body))
		}
		if err := dead.Delete(ctx, messages...); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	if !slices.Equal(letters, []string{"a1", "a2", "a3"}) || !slices.Equal(r.of("b"), []string{"b1", "b2", "b3"}) {
		t.Errorf("dead letters %v, done %v", letters, r.done)
	}

	jobs := open(t, "dev-deletions-work", program.URL)
	create(t, jobs, map[string]string{})
	if err := jobs.Send(ctx, []byte("a job")); err != nil {
		t.Fatal(err)
	}
	messages, err := jobs.Receive(ctx, MaxBatch, 5*time.Second)
	if err != nil || len(messages) != 1 || string(messages[0].Body) != "a job" || messages[0].Receives != 1 {
		t.Fatal(messages, err)
	}
	if err := jobs.Hide(ctx, Visibility, messages...); err != nil {
		t.Error(err)
	}
	if again, err := jobs.Receive(ctx, 1, 0); err != nil || len(again) > 0 {
		t.Errorf("a message that is held comes again: %v, %v", again, err)
	}
	if err := jobs.Hide(ctx, 0, messages...); err != nil {
		t.Error(err)
	}
	again, err := jobs.Receive(ctx, 1, 5*time.Second)
	if err != nil || len(again) != 1 || again[0].Receives != 2 {
		t.Errorf("a message that was returned: %v, %v", again, err)
	}
	if err := jobs.Delete(ctx, again...); err != nil {
		t.Error(err)
	}
}

func TestOpen(t *testing.T) {
	for _, name := range []string{"", "a b", "feed.fifo.fifo", "https://sqs/1/feed"} {
		if _, err := Open(name, variables("")); err == nil {
			t.Errorf("%q is a name of a queue", name)
		}
	}
	if _, err := Open("feed", func(string) string { return "" }); err == nil {
		t.Error("a queue without an account")
	}
	q := open(t, "dev-feed", "http://127.0.0.1:1")
	if err := q.Delete(t.Context()); err != nil {
		t.Error("nothing is to be removed:", err)
	}
}
