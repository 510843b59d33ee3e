//go:build unix

package eventsource

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"cutover/internal/local/backing/client"
	"cutover/internal/local/provider"
)

const (
	// concurrency is how many invocations a queue has at once.
	// https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html
	concurrency = 5
	// longPoll is how long the queue waits for a message, in seconds. It is short, because the end of a mapping waits for it: a request
	// that is given up may have taken messages.
	longPoll = 1
	// receives is how many messages SQS gives, or deletes, at once.
	// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html
	receives = 10
)

// message is one of SQS, as it is received.
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_Message.html
type message struct {
	MessageId, ReceiptHandle, Body, MD5OfBody, MD5OfMessageAttributes string
	Attributes                                                        map[string]string
	MessageAttributes                                                 map[string]struct {
		DataType    string
		StringValue *string
		BinaryValue *string
	}
}

// event is a message as a function gets it. https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
func (m message) event(arn, region string) object {
	attributes := object{}
	for name, a := range m.MessageAttributes {
		one := object{"dataType": a.DataType, "stringListValues": []any{}, "binaryListValues": []any{}}
		if a.StringValue != nil {
			one["stringValue"] = *a.StringValue
		}
		if a.BinaryValue != nil {
			one["binaryValue"] = *a.BinaryValue
		}
		attributes[name] = one
	}
	event := object{
		"messageId": m.MessageId, "receiptHandle": m.ReceiptHandle, "body": m.Body, "md5OfBody": m.MD5OfBody,
		"attributes": m.Attributes, "messageAttributes": attributes, "eventSource": "aws:sqs", "eventSourceARN": arn, "awsRegion": region,
	}
	if m.MD5OfMessageAttributes != "" {
		event["md5OfMessageAttributes"] = m.MD5OfMessageAttributes
	}
	return event
}

// readQueue invokes the function with messages until the context ends. A batch takes its place before it is received, so that no
// message waits for an invocation.
func (m *mapping) readQueue(ctx context.Context) {
	places := make(chan struct{}, cmp.Or(m.spec.MaxConcurrency, concurrency))
	var running sync.WaitGroup
	defer running.Wait()
	for {
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
			return
		}
		var messages []message
		if !m.insist(ctx, func() (err error) { messages, err = m.receive(ctx); return err }) {
			return
		}
		until := time.Now().Add(m.spec.Queue.Visibility)
		running.Go(func() {
			defer func() { <-places }()
			if len(messages) > 0 {
				m.process(messages, until)
			}
		})
	}
}

// receive receives a batch, for which it waits as long as the window. It is empty if no message comes.
func (m *mapping) receive(ctx context.Context) (all []message, err error) {
	size := 0
	var until time.Time
	for len(all) < m.spec.Batch && size < maxPayload && ctx.Err() == nil {
		var out struct{ Messages []message }
		err := m.client.Call(context.WithoutCancel(ctx), client.SQS, "ReceiveMessage", object{
			"QueueUrl": m.client.QueueURL(m.spec.Queue.Name), "MaxNumberOfMessages": min(receives, m.spec.Batch-len(all)), "WaitTimeSeconds": longPoll,
			"AttributeNames": []string{"All"}, "MessageSystemAttributeNames": []string{"All"}, "MessageAttributeNames": []string{"All"},
		}, &out)
		if err != nil {
			if len(all) > 0 {
				return all, nil
			}
			return nil, err
		}
		all = append(all, out.Messages...)
		for _, one := range out.Messages {
			size += len(one.Body)
		}
		if until.IsZero() {
			until = time.Now().Add(m.spec.Window)
		}
		if m.spec.Window == 0 || len(all) == 0 || time.Now().After(until) {
			return all, nil
		}
	}
	return all, nil
}

// process invokes the function with a batch, and deletes what is processed, and what is filtered. While there are too many
// invocations, it tries again as long as the messages are hidden. What fails comes again when it is visible again.
func (m *mapping) process(messages []message, until time.Time) {
	region := m.spec.Resource.Stack.Region
	var events []object
	var ids []string
	let := func(one message) bool { return m.filters.ofBody(one.Body) }
	for _, one := range messages {
		if let(one) {
			events = append(events, one.event(provider.ARN("sqs", m.spec.Queue.Name), region))
			ids = append(ids, one.MessageId)
		}
	}
	m.count(func(c *Counts) { c.Filtered += len(messages) - len(events) })
	var failed []string
	if len(events) > 0 {
		failed = ids
		o := m.invoke(events)
		for tries := 0; o.waits && time.Now().Add(pause(tries)).Before(until); tries++ {
			time.Sleep(pause(tries))
			o = m.invoke(events)
		}
		if !o.crashed {
			failed = nil
			if m.spec.PartialFailures {
				var whole bool
				if failed, whole = failures(o.answer, ids); whole {
					failed = ids
				}
			}
		}
		if len(failed) > 0 {
			m.count(func(c *Counts) { c.Failures++ })
		}
	}
	m.remove(slices.DeleteFunc(slices.Clone(messages), func(one message) bool { return slices.Contains(failed, one.MessageId) }))
}

// remove deletes messages. One that cannot be deleted comes again.
func (m *mapping) remove(messages []message) {
	for part := range slices.Chunk(messages, receives) {
		var entries []object
		for i, one := range part {
			entries = append(entries, object{"Id": fmt.Sprint(i), "ReceiptHandle": one.ReceiptHandle})
		}
		var out struct {
			Failed []struct{ Code, Message string }
		}
		if err := m.client.Call(context.Background(), client.SQS, "DeleteMessageBatch", object{"QueueUrl": m.client.QueueURL(m.spec.Queue.Name), "Entries": entries}, &out); err != nil {
			m.fail(err)
			continue
		}
		for _, one := range out.Failed {
			m.warn(strings.TrimSpace("a message was not deleted: " + one.Code + " " + one.Message))
		}
		m.count(func(c *Counts) { c.Records += len(part) - len(out.Failed) })
	}
}

// jsonSize is how long a value is in JSON.
func jsonSize(value any) int {
	text, _ := json.Marshal(value) // of JSON
	return len(text)
}
