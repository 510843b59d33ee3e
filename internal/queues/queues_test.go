package queues

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"cutover/internal/local/backing/programs/programstest"
	"cutover/internal/nightly"
)

func start(t *testing.T) *Client {
	program := programstest.Queues(t)
	config := aws.Config{Region: "local", BaseEndpoint: &program.URL, Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")}
	return New(config, config)
}

// queue makes a queue, with a dead-letter queue if there is one.
func (c *Client) queue(t *testing.T, name, dead string) Queue {
	t.Helper()
	attributes := map[string]string{}
	if strings.HasSuffix(name, ".fifo") {
		attributes["FifoQueue"] = "true"
	}
	if dead != "" {
		attributes["RedrivePolicy"] = fmt.Sprintf(`{"deadLetterTargetArn":%q,"maxReceiveCount":"1"}`, dead)
	}
	created, err := c.sqs.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: &name, Attributes: attributes})
	if err != nil {
		t.Fatal(err)
	}
	q, err := c.Queue(t.Context(), *created.QueueUrl)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func (c *Client) send(t *testing.T, q Queue, group, body string) {
	t.Helper()
	in := &sqs.SendMessageInput{QueueUrl: &q.URL, MessageBody: &body}
	if q.FIFO {
		in.MessageGroupId, in.MessageDeduplicationId = &group, aws.String(group+body)
	}
	if _, err := c.sqs.SendMessage(t.Context(), in); err != nil {
		t.Fatal(err)
	}
}

func bodies(messages []Message) string {
	var all []string
	for _, m := range messages {
		all = append(all, m.Group+m.Body)
	}
	return strings.Join(all, " ")
}

// all takes the messages of a queue until it is empty.
func (c *Client) all(t *testing.T, q Queue) (messages []Message) {
	t.Helper()
	for {
		some, err := c.Take(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if len(some) == 0 {
			return messages
		}
		messages = append(messages, some...)
	}
}

// A look takes nothing. A redrive moves the messages of a group in their order, though the queue has had messages with their
// deduplication ids.
func TestRedrive(t *testing.T) {
	c := start(t)
	for _, end := range []string{".fifo", ""} {
		dead := c.queue(t, "feed-dead"+end, "")
		q := c.queue(t, "feed"+end, dead.ARN)
		if q.DeadLetters != dead.Name || q.MaxReceives != 1 {
			t.Errorf("the queue is %+v", q)
		}
		const many = 25
		for i := range many {
			c.send(t, dead, "a", fmt.Sprint(i))
			c.send(t, dead, "b", fmt.Sprint(i))
		}
		for range 2 {
			messages, more, err := c.Look(t.Context(), dead, 5)
			if err != nil || len(messages) != 5 || !more {
				t.Fatalf("a look has %q, %t, %v", bodies(messages), more, err)
			}
			if got := bodies(messages[:1]); end != "" && got != "a0" {
				t.Errorf("the first message is %s", got)
			}
		}
		moved := 0
		if err := c.Redrive(t.Context(), dead, q, 2*many, func(Message) { moved++ }); err != nil || moved != 2*many {
			t.Fatalf("%d messages are moved, %v", moved, err)
		}
		byGroup := map[string]string{}
		for _, m := range c.all(t, q) {
			byGroup[m.Group] += m.Body + " "
		}
		want := ""
		for i := range many {
			want += fmt.Sprintf("%d ", i)
		}
		if end != "" && (byGroup["a"] != want || byGroup["b"] != want) {
			t.Errorf("the queue has %v", byGroup)
		} else if got := len(strings.Fields(byGroup[""])); end == "" && got != 2*many {
			t.Errorf("the queue has %d messages", got)
		}
		if left, err := c.Queue(t.Context(), dead.URL); err != nil || left.Depth() != 0 {
			t.Errorf("%+v is left, %v", left, err)
		}
	}
	err := c.Redrive(t.Context(), Queue{Name: "a.fifo", FIFO: true}, Queue{Name: "b"}, 1, nil)
	if want := "a.fifo and b are not of one kind: a FIFO queue gives its messages to a FIFO queue only"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// An observer gets what topics publish, and leaves nothing behind.
func TestObserve(t *testing.T) {
	nightly.Test(t, "it starts one more program that stands for SNS and SQS")
	c := start(t)
	created, err := c.sns.CreateTopic(t.Context(), &sns.CreateTopicInput{Name: aws.String("users.fifo"), Attributes: map[string]string{"FifoTopic": "true"}})
	if err != nil {
		t.Fatal(err)
	}
	q, subscriptions, err := c.Observe(t.Context(), "observer", []string{*created.TopicArn})
	if err != nil || q.Name != "observer.fifo" {
		t.Fatalf("%+v, %v", q, err)
	}
	for i := range 3 {
		if _, err := c.sns.Publish(t.Context(), &sns.PublishInput{
			TopicArn: created.TopicArn, Message: aws.String(fmt.Sprint(i)), MessageGroupId: aws.String("a"), MessageDeduplicationId: aws.String(fmt.Sprint(i)),
		}); err != nil {
			t.Fatal(err)
		}
	}
	if got := bodies(c.all(t, q)); got != "a0 a1 a2" {
		t.Errorf("the observer has %s", got)
	}
	all, err := c.Overview(t.Context(), Names{Topics: []string{*created.TopicArn}, Queues: []string{q.URL}})
	if err != nil || len(all.Topics[0].Subscriptions) != 1 || all.Topics[0].Subscriptions[0].Endpoint != q.Name {
		t.Errorf("%+v, %v", all, err)
	}
	if err := c.Forget(t.Context(), q, subscriptions); err != nil {
		t.Fatal(err)
	}
	all, err = c.Overview(t.Context(), Names{Topics: []string{*created.TopicArn}})
	if err != nil || len(all.Topics[0].Subscriptions) != 0 {
		t.Errorf("%+v, %v", all, err)
	}
	if _, err := c.Queue(t.Context(), q.Name); err == nil {
		t.Errorf("%s is left", q.Name)
	}
}
