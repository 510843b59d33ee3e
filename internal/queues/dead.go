package queues

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// Message is a message of a queue.
type Message struct {
	ID string `json:"id"`
	// Group is the message group, of a FIFO queue.
	Group string `json:"group,omitempty"`
	// Sequence orders the messages of a FIFO queue, as SQS gave it.
	Sequence string `json:"sequence,omitempty"`
	// Age is how many seconds ago it was sent. A FIFO queue counts from when it became a dead letter.
	Age float64 `json:"ageSeconds"`
	// Receives is how often it was received, with this look.
	Receives   int               `json:"receives"`
	Attributes map[string]string `json:"attributes,omitempty"`
	Body       string            `json:"body"`

	received types.Message
}

// Event is what a message says of itself, if its body is a CloudEvent.
type Event struct {
	ID, Type, Subject, Source string
	Sequence                  json.Number
}

// Event reads the body, raw or in the envelope of SNS. It is false for another body.
func (m Message) Event() (e Event, ok bool) {
	body := m.Body
	var envelope struct{ Type, Message string }
	if json.Unmarshal([]byte(body), &envelope) == nil && envelope.Type == "Notification" {
		body = envelope.Message
	}
	var read struct {
		SpecVersion, ID, Type, Subject, Source string
		Sequence                               json.RawMessage
	}
	if json.Unmarshal([]byte(body), &read) != nil || read.SpecVersion == "" {
		return e, false
	}
	return Event{read.ID, read.Type, read.Subject, read.Source, json.Number(strings.Trim(string(read.Sequence), `"`))}, true
}

const (
	batch = 10 // messages of one call, as SQS takes them
	// hidden is how long messages are hidden while the queue is read.
	hidden = 30
	// empties is how many answers without a message end the reading: an answer of a standard queue may miss some.
	empties = 2
)

// Look returns up to a number of messages of a queue, and leaves all of them there. Nobody else gets them meanwhile, so look at
// dead-letter queues only. A FIFO queue gives the first 10 messages of each group; more is true if there are others.
func (c *Client) Look(ctx context.Context, q Queue, most int) (messages []Message, more bool, err error) {
	defer func() {
		// The messages stay hidden for a while if this fails, and are there again afterwards.
		back := c.release(context.WithoutCancel(ctx), q, messages)
		err = errors.Join(err, back)
	}()
	for empty := 0; empty < empties && len(messages) < most; {
		got, err := c.receive(ctx, q, min(batch, most-len(messages)))
		if err != nil {
			return messages, false, err
		}
		if messages = append(messages, got...); len(got) == 0 {
			empty++
		}
	}
	slices.SortStableFunc(messages, func(a, b Message) int { return cmp.Or(cmp.Compare(b.Age, a.Age), cmp.Compare(a.Sequence, b.Sequence)) })
	now, err := c.Queue(ctx, q.URL)
	return messages, now.Depth() > len(messages), err
}

// receive receives messages. An answer that nobody reads hides its messages, so the end of the context does not cut it off.
func (c *Client) receive(ctx context.Context, q Queue, most int) (messages []Message, err error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), hidden*time.Second)
	defer cancel()
	answer, err := c.sqs.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
		QueueUrl: &q.URL, MaxNumberOfMessages: int32(most), VisibilityTimeout: hidden, WaitTimeSeconds: 1, MessageAttributeNames: []string{"All"},
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll},
	})
	if err != nil {
		return nil, fmt.Errorf("queue %s: %w", q.Name, err)
	}
	now := time.Now()
	for _, m := range answer.Messages {
		one := Message{
			ID: aws.ToString(m.MessageId), Body: aws.ToString(m.Body), received: m,
			Group: m.Attributes[string(types.MessageSystemAttributeNameMessageGroupId)], Sequence: m.Attributes[string(types.MessageSystemAttributeNameSequenceNumber)],
			Age: age(m.Attributes[string(types.MessageSystemAttributeNameSentTimestamp)], now),
		}
		one.Receives, _ = strconv.Atoi(m.Attributes[string(types.MessageSystemAttributeNameApproximateReceiveCount)])
		for name, value := range m.MessageAttributes {
			if one.Attributes == nil {
				one.Attributes = map[string]string{}
			}
			one.Attributes[name] = cmp.Or(aws.ToString(value.StringValue), string(value.BinaryValue))
		}
		messages = append(messages, one)
	}
	return messages, nil
}

// release lets others receive messages again. The call for several messages would leave out a time of 0, which is the queue's own
// time then.
func (c *Client) release(ctx context.Context, q Queue, messages []Message) (err error) {
	for _, m := range messages {
		if _, one := c.sqs.ChangeMessageVisibility(ctx, &sqs.ChangeMessageVisibilityInput{QueueUrl: &q.URL, ReceiptHandle: m.received.ReceiptHandle}); one != nil {
			err = errors.Join(err, fmt.Errorf("queue %s: message %s is hidden for %d s: %w", q.Name, m.ID, hidden, one))
		}
	}
	return err
}

// Redrive moves up to a number of messages of a dead-letter queue to the queue that they came from, those of a group in their
// order. It calls moved for each. What was not moved is still there. A message may be in both queues if this ends in between; then
// the consumer gets it once more. The number keeps a message that is refused again from going round without end.
//
// StartMessageMoveTask of SQS moves no message that SNS put there
// (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_StartMessageMoveTask.html). So messages are received, sent and
// deleted one after the other.
func (c *Client) Redrive(ctx context.Context, from, to Queue, most int, moved func(Message)) error {
	if from.FIFO != to.FIFO {
		return fmt.Errorf("%s and %s are not of one kind: a FIFO queue gives its messages to a FIFO queue only", from.Name, to.Name)
	}
	for empty := 0; empty < empties && most > 0; {
		messages, err := c.receive(ctx, from, min(batch, most))
		if err != nil {
			return err
		}
		if len(messages) == 0 {
			empty++
		}
		for i, m := range messages {
			if err := c.move(ctx, from, to, m); err != nil {
				return errors.Join(err, c.release(context.WithoutCancel(ctx), from, messages[i:]))
			}
			most--
			moved(m)
		}
	}
	return nil
}

// move moves one message. Its deduplication id is that of the dead letter, so that sending it twice makes one message. Its first
// deduplication id may be known to the queue still, which would drop it.
func (c *Client) move(ctx context.Context, from, to Queue, m Message) error {
	send := &sqs.SendMessageInput{QueueUrl: &to.URL, MessageBody: &m.Body, MessageAttributes: m.received.MessageAttributes}
	if to.FIFO {
		send.MessageGroupId, send.MessageDeduplicationId = &m.Group, &m.ID
	}
	if _, err := c.sqs.SendMessage(ctx, send); err != nil {
		return fmt.Errorf("queue %s takes no message of %s: %w", to.Name, from.Name, err)
	}
	if _, err := c.sqs.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: &from.URL, ReceiptHandle: m.received.ReceiptHandle}); err != nil {
		return fmt.Errorf("message %s was sent to %s, and is in %s still: %w", m.ID, to.Name, from.Name, err)
	}
	return nil
}
