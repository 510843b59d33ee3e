package queues

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	snstypes "github.com/aws/aws-sdk-go-v2/service/sns/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// Observe makes a queue that gets the messages of topics as well, raw. It is a FIFO queue if all topics are, by the ends of
// their names. The queue gets what is published from now on. Remove it with [Client.Forget].
func (c *Client) Observe(ctx context.Context, name string, topics []string) (q Queue, subscriptions []string, err error) {
	attributes := map[string]string{"MessageRetentionPeriod": "86400", "VisibilityTimeout": "30"}
	if allFIFO(topics) {
		name += ".fifo"
		attributes["FifoQueue"], attributes["DeduplicationScope"], attributes["FifoThroughputLimit"] = "true", "messageGroup", "perMessageGroupId"
	}
	created, err := c.sqs.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: &name, Attributes: attributes})
	if err != nil {
		return q, nil, fmt.Errorf("queue %s cannot be made: %w", name, err)
	}
	if q, err = c.Queue(ctx, aws.ToString(created.QueueUrl)); err != nil {
		return q, nil, err
	}
	for _, topic := range topics {
		subscribed, err := c.sns.Subscribe(ctx, &sns.SubscribeInput{
			TopicArn: &topic, Protocol: aws.String("sqs"), Endpoint: &q.ARN, Attributes: map[string]string{"RawMessageDelivery": "true"}, ReturnSubscriptionArn: true,
		})
		if err != nil {
			return q, subscriptions, fmt.Errorf("%s cannot be subscribed to %s: %w", q.Name, last(topic), err)
		}
		subscriptions = append(subscriptions, aws.ToString(subscribed.SubscriptionArn))
	}
	return q, subscriptions, nil
}

// Publish publishes a message of a group. A topic that keeps no order needs neither the group nor the deduplication id.
func (c *Client) Publish(ctx context.Context, topic, group, deduplication, body string, attributes map[string]string) error {
	in := &sns.PublishInput{TopicArn: &topic, Message: &body, MessageAttributes: map[string]snstypes.MessageAttributeValue{}}
	for name, value := range attributes {
		in.MessageAttributes[name] = snstypes.MessageAttributeValue{DataType: aws.String("String"), StringValue: &value}
	}
	if strings.HasSuffix(topic, ".fifo") {
		in.MessageGroupId, in.MessageDeduplicationId = &group, &deduplication
	}
	if _, err := c.sns.Publish(ctx, in); err != nil {
		return fmt.Errorf("topic %s: %w", last(topic), err)
	}
	return nil
}

func allFIFO(topics []string) bool {
	for _, topic := range topics {
		if !strings.HasSuffix(topic, ".fifo") {
			return false
		}
	}
	return true
}

// Forget removes a queue of [Client.Observe] with its subscriptions.
func (c *Client) Forget(ctx context.Context, q Queue, subscriptions []string) (err error) {
	for _, arn := range subscriptions {
		_, one := c.sns.Unsubscribe(ctx, &sns.UnsubscribeInput{SubscriptionArn: &arn})
		err = errors.Join(err, one)
	}
	_, one := c.sqs.DeleteQueue(ctx, &sqs.DeleteQueueInput{QueueUrl: &q.URL})
	return errors.Join(err, one)
}

// Take receives up to 10 messages, and deletes them. It waits for a second if there are none.
func (c *Client) Take(ctx context.Context, q Queue) ([]Message, error) {
	messages, err := c.receive(ctx, q, batch)
	if err != nil || len(messages) == 0 {
		return nil, err
	}
	var entries []types.DeleteMessageBatchRequestEntry
	for i, m := range messages {
		entries = append(entries, types.DeleteMessageBatchRequestEntry{Id: aws.String(fmt.Sprint(i)), ReceiptHandle: m.received.ReceiptHandle})
	}
	deleted, err := c.sqs.DeleteMessageBatch(ctx, &sqs.DeleteMessageBatchInput{QueueUrl: &q.URL, Entries: entries})
	if err == nil && len(deleted.Failed) > 0 {
		err = fmt.Errorf("queue %s: message %s was not deleted: %s", q.Name, messages[0].ID, aws.ToString(deleted.Failed[0].Message))
	}
	return messages, err
}
