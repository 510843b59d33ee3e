// Package contract says what SQS and SNS promise, and checks it at any endpoint: at what stands for them on this machine,
// and on AWS.
package contract

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	snstypes "github.com/aws/aws-sdk-go-v2/service/sns/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"
)

// Promise is something that SQS or SNS does.
type Promise struct {
	Does string
	// Only says why only AWS shows it; empty if this machine does.
	Only string
	// Check is nil if nothing can show it in a moment.
	Check func(ctx context.Context, e Endpoint) error
}

// Endpoint is where SQS and SNS answer. Queues and topics that checks make are deleted.
type Endpoint struct {
	SQS *sqs.Client
	SNS *sns.Client
}

// Promises are those that services, consumers and relays of this repository rely on.
var Promises = []Promise{
	{"a message that was received is hidden for its visibility timeout, and comes again then", "", hidden},
	{"a receiver waits until a message comes", "", waits},
	{"a delayed message comes after its delay", "", delayed},
	{"a message that is given back comes again at once, with a higher count", "", givenBack},
	{"a message that was received too often becomes a dead letter", "", deadLetter},
	{"a batch has 10 entries at most", "", tooMany},
	{"a queue counts what waits and what is in flight", "", counts},
	{"a message of 1 MiB is taken, and a longer one is refused", "", longest},
	{"FIFO: messages of a group come in order", "", ordered},
	{"FIFO: while a message of a group is in flight, the group waits, and others go on", "", blocked},
	{"FIFO: one receive gives several messages of a group", "", together},
	{"FIFO: what is given back comes again in order, before what follows it", "", givenBackInOrder},
	{"FIFO: what becomes visible again comes in order", "", visibleInOrder},
	{"FIFO: a message with the id of one of the last 5 minutes is taken once", "", onceByID},
	{"FIFO: without an id, the hash of the body is the id", "", onceByContent},
	{"FIFO: a group goes on behind a dead letter, and dead letters of a group keep their order", "", deadLettersInOrder},
	{"FIFO: a message without a group is refused", "", groupless},
	{"a topic sends raw messages with their attributes", "", raw},
	{"a topic sends messages in an envelope", "", envelope},
	{"a subscription gets what its filter lets through", "", filtered},
	{"a FIFO topic keeps the order of a group, and sends an id once", "", throughTopic},
	{"a batch of a topic is sent", "", batch},
	{"a topic takes 256 KiB, and refuses more", "", longestOfTopic},
	{"a dead letter says which queue it is from", "fauxqs does not say it: the redrive policy of a queue names its dead-letter queue", source},
	{"SQS moves dead letters back (StartMessageMoveTask)", "fauxqs cannot: `cutover events redrive` receives, sends and deletes in order, here and on AWS", moved},
	{"an id counts per message group (DeduplicationScope)", "fauxqs counts it per queue: give each group ids of its own", oncePerGroup},
	{"an id counts although the service was restarted", "fauxqs forgets ids when it ends: consumers keep the last sequence of each key", nil},
	{"messages go after their retention period", "fauxqs keeps them until they are deleted", nil},
	{"standard queues deliver a message twice or out of order at times", "fauxqs does not by itself: `cutover fault messages-twice` and `messages-late` do", nil},
	{"SNS tries again if a queue does not take a message, and then gives it to the subscription's dead-letter queue", "here both are in one program: a delivery does not fail", nil},
	{"SNS sends to HTTPS, e-mail and functions", "nothing is sent from this machine: `up` lists such subscriptions", nil},
	{"quotas: messages a second, 120,000 messages in flight", "this machine is slower than the quotas", nil},
	{"messages are encrypted", "here only the right to use the key is checked", nil},
}

func (e Endpoint) name(fifo bool) string {
	name := "contract-" + rand.Text()[:12]
	if fifo {
		name += ".fifo"
	}
	return name
}

type attributes = map[string]string

// queue makes a queue, and returns its URL, its ARN and what deletes it.
func (e Endpoint) queue(ctx context.Context, a attributes) (string, string, func(), error) {
	made, err := e.SQS.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: aws.String(e.name(a["FifoQueue"] != "")), Attributes: a})
	if err != nil {
		return "", "", nil, err
	}
	end := func() {
		_, _ = e.SQS.DeleteQueue(context.WithoutCancel(ctx), &sqs.DeleteQueueInput{QueueUrl: made.QueueUrl})
	}
	got, err := e.SQS.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: made.QueueUrl, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameQueueArn}})
	if err != nil {
		end()
		return "", "", nil, err
	}
	return *made.QueueUrl, got.Attributes["QueueArn"], end, nil
}

// with runs a check with a queue.
func (e Endpoint) with(ctx context.Context, a attributes, check func(queue string) error) error {
	url, _, end, err := e.queue(ctx, a)
	if err != nil {
		return err
	}
	defer end()
	return check(url)
}

// dead runs a check with a queue that has a dead-letter queue, after two receives.
func (e Endpoint) dead(ctx context.Context, a attributes, check func(queue, dead string) error) error {
	fifo := attributes{}
	if a["FifoQueue"] != "" {
		fifo["FifoQueue"] = "true"
	}
	dead, arn, end, err := e.queue(ctx, fifo)
	if err != nil {
		return err
	}
	defer end()
	a["RedrivePolicy"] = fmt.Sprintf(`{"deadLetterTargetArn":%q,"maxReceiveCount":2}`, arn)
	return e.with(ctx, a, func(queue string) error { return check(queue, dead) })
}

// send sends bodies. Those of a FIFO queue are GROUP:BODY or GROUP:BODY:ID.
func (e Endpoint) send(ctx context.Context, queue string, bodies ...string) error {
	for _, body := range bodies {
		in := &sqs.SendMessageInput{QueueUrl: &queue, MessageBody: &body}
		if group, rest, ok := strings.Cut(body, ":"); ok {
			text, id, _ := strings.Cut(rest, ":")
			in.MessageGroupId, in.MessageBody = &group, &text
			if id != "" {
				in.MessageDeduplicationId = &id
			}
		}
		if _, err := e.SQS.SendMessage(ctx, in); err != nil {
			return err
		}
	}
	return nil
}

func (e Endpoint) receive(ctx context.Context, queue string, most, wait int32) ([]types.Message, error) {
	got, err := e.SQS.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
		QueueUrl: &queue, MaxNumberOfMessages: most, WaitTimeSeconds: wait,
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{"All"}, MessageAttributeNames: []string{"All"},
	})
	if err != nil {
		return nil, err
	}
	return got.Messages, nil
}

// gives receives once, and compares the bodies.
func (e Endpoint) gives(ctx context.Context, queue string, most, wait int32, want ...string) ([]types.Message, error) {
	all, err := e.receive(ctx, queue, most, wait)
	if err == nil && !slices.Equal(bodies(all), want) {
		err = fmt.Errorf("received %q, not %q", bodies(all), want)
	}
	return all, err
}

// drained receives and deletes until nothing comes for a second.
func (e Endpoint) drained(ctx context.Context, queue string) (all []string, err error) {
	for {
		got, err := e.receive(ctx, queue, 10, 1)
		if err != nil || len(got) == 0 {
			return all, err
		}
		all = append(all, bodies(got)...)
		if err := e.delete(ctx, queue, got...); err != nil {
			return all, err
		}
	}
}

func (e Endpoint) delete(ctx context.Context, queue string, all ...types.Message) error {
	for _, m := range all {
		if _, err := e.SQS.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: &queue, ReceiptHandle: m.ReceiptHandle}); err != nil {
			return err
		}
	}
	return nil
}

func (e Endpoint) visible(ctx context.Context, queue string, seconds int32, all ...types.Message) error {
	for _, m := range all {
		if _, err := e.SQS.ChangeMessageVisibility(ctx, &sqs.ChangeMessageVisibilityInput{QueueUrl: &queue, ReceiptHandle: m.ReceiptHandle, VisibilityTimeout: seconds}); err != nil {
			return err
		}
	}
	return nil
}

func bodies(all []types.Message) (texts []string) {
	for _, m := range all {
		texts = append(texts, aws.ToString(m.Body))
	}
	return texts
}

// refused wants an error of a kind.
func refused(err error, kind string) error {
	var api smithy.APIError
	if !errors.As(err, &api) || !strings.Contains(api.ErrorCode(), kind) {
		return fmt.Errorf("the answer is %v, not %s", err, kind)
	}
	return nil
}

func same(got, want []string) error {
	if !slices.Equal(got, want) {
		return fmt.Errorf("received %q, not %q", got, want)
	}
	return nil
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func hidden(ctx context.Context, e Endpoint) error {
	return e.with(ctx, attributes{"VisibilityTimeout": "1"}, func(q string) error {
		if err := e.send(ctx, q, "a"); err != nil {
			return err
		}
		if _, err := e.gives(ctx, q, 10, 2, "a"); err != nil {
			return err
		}
		if _, err := e.gives(ctx, q, 10, 0); err != nil {
			return err
		}
		again, err := e.gives(ctx, q, 10, 5, "a")
		if err == nil && again[0].Attributes["ApproximateReceiveCount"] != "2" {
			err = fmt.Errorf("the count is %s", again[0].Attributes["ApproximateReceiveCount"])
		}
		return err
	})
}

func waits(ctx context.Context, e Endpoint) error {
	return e.with(ctx, nil, func(q string) error {
		sent := make(chan error, 1)
		go func() {
			wait(ctx, 300*time.Millisecond)
			sent <- e.send(ctx, q, "a")
		}()
		_, err := e.gives(ctx, q, 1, 10, "a")
		return errors.Join(err, <-sent)
	})
}

func delayed(ctx context.Context, e Endpoint) error {
	return e.with(ctx, attributes{"DelaySeconds": "1"}, func(q string) error {
		if err := e.send(ctx, q, "a"); err != nil {
			return err
		}
		if _, err := e.gives(ctx, q, 1, 0); err != nil {
			return err
		}
		_, err := e.gives(ctx, q, 1, 5, "a")
		return err
	})
}

func givenBack(ctx context.Context, e Endpoint) error {
	return e.with(ctx, nil, func(q string) error {
		if err := e.send(ctx, q, "a"); err != nil {
			return err
		}
		got, err := e.gives(ctx, q, 1, 2, "a")
		if err != nil {
			return err
		}
		if err := e.visible(ctx, q, 0, got...); err != nil {
			return err
		}
		if got, err = e.gives(ctx, q, 1, 2, "a"); err == nil && got[0].Attributes["ApproximateReceiveCount"] != "2" {
			err = fmt.Errorf("the count is %s", got[0].Attributes["ApproximateReceiveCount"])
		}
		return err
	})
}

// fails receives messages twice, and gives them back.
func (e Endpoint) fails(ctx context.Context, q string, want ...string) error {
	for range 2 {
		got, err := e.gives(ctx, q, 10, 2, want...)
		if err != nil {
			return err
		}
		if err := e.visible(ctx, q, 0, got...); err != nil {
			return err
		}
	}
	return nil
}

func deadLetter(ctx context.Context, e Endpoint) error {
	return e.dead(ctx, attributes{}, func(q, dead string) error {
		if err := e.send(ctx, q, "a"); err != nil {
			return err
		}
		if err := e.fails(ctx, q, "a"); err != nil {
			return err
		}
		if _, err := e.gives(ctx, q, 1, 1); err != nil {
			return err
		}
		_, err := e.gives(ctx, dead, 1, 2, "a")
		return err
	})
}

func source(ctx context.Context, e Endpoint) error {
	return e.dead(ctx, attributes{}, func(q, dead string) error {
		if err := errors.Join(e.send(ctx, q, "a"), e.fails(ctx, q, "a")); err != nil {
			return err
		}
		if _, err := e.gives(ctx, q, 1, 1); err != nil {
			return err
		}
		got, err := e.gives(ctx, dead, 1, 2, "a")
		if err == nil && got[0].Attributes["DeadLetterQueueSourceArn"] == "" {
			err = errors.New("the message does not say its source")
		}
		return err
	})
}

func moved(ctx context.Context, e Endpoint) error {
	_, arn, end, err := e.queue(ctx, nil)
	if err != nil {
		return err
	}
	defer end()
	_, err = e.SQS.StartMessageMoveTask(ctx, &sqs.StartMessageMoveTaskInput{SourceArn: &arn})
	return err
}

func tooMany(ctx context.Context, e Endpoint) error {
	return e.with(ctx, nil, func(q string) error {
		var all []types.SendMessageBatchRequestEntry
		for i := range 11 {
			all = append(all, types.SendMessageBatchRequestEntry{Id: aws.String(fmt.Sprint(i)), MessageBody: aws.String("a")})
		}
		_, err := e.SQS.SendMessageBatch(ctx, &sqs.SendMessageBatchInput{QueueUrl: &q, Entries: all})
		return refused(err, "TooManyEntriesInBatchRequest")
	})
}

func counts(ctx context.Context, e Endpoint) error {
	return e.with(ctx, nil, func(q string) error {
		if err := e.send(ctx, q, "a", "b", "c"); err != nil {
			return err
		}
		if _, err := e.receive(ctx, q, 1, 2); err != nil {
			return err
		}
		got, err := e.SQS.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: &q, AttributeNames: []types.QueueAttributeName{"All"}})
		if err != nil {
			return err
		}
		return same([]string{got.Attributes["ApproximateNumberOfMessages"], got.Attributes["ApproximateNumberOfMessagesNotVisible"]}, []string{"2", "1"})
	})
}

func longest(ctx context.Context, e Endpoint) error {
	return e.with(ctx, nil, func(q string) error {
		long := strings.Repeat("x", 1<<20)
		if err := e.send(ctx, q, long); err != nil {
			return err
		}
		return refused(e.send(ctx, q, long+"x"), "InvalidParameterValue")
	})
}

func fifo() attributes { return attributes{"FifoQueue": "true", "ContentBasedDeduplication": "true"} }

func ordered(ctx context.Context, e Endpoint) error {
	return e.with(ctx, fifo(), func(q string) error {
		var want []string
		for i := range 12 {
			if err := e.send(ctx, q, fmt.Sprintf("g%d:%d", i%2, i)); err != nil {
				return err
			}
			if i%2 == 0 {
				want = append(want, fmt.Sprint(i))
			}
		}
		got, err := e.drained(ctx, q)
		if err != nil || len(got) != 12 {
			return fmt.Errorf("received %q, %w", got, err)
		}
		even := slices.DeleteFunc(got, func(text string) bool { return !slices.Contains(want, text) })
		return same(even, want)
	})
}

func blocked(ctx context.Context, e Endpoint) error {
	return e.with(ctx, fifo(), func(q string) error {
		if err := e.send(ctx, q, "g:1", "g:2", "h:3"); err != nil {
			return err
		}
		first, err := e.gives(ctx, q, 1, 2, "1")
		if err != nil {
			return err
		}
		if _, err := e.gives(ctx, q, 10, 2, "3"); err != nil {
			return err
		}
		if _, err := e.gives(ctx, q, 10, 0); err != nil {
			return err
		}
		if err := e.delete(ctx, q, first...); err != nil {
			return err
		}
		_, err = e.gives(ctx, q, 10, 2, "2")
		return err
	})
}

func together(ctx context.Context, e Endpoint) error {
	return e.with(ctx, fifo(), func(q string) error {
		if err := e.send(ctx, q, "g:1", "g:2", "g:3"); err != nil {
			return err
		}
		got, err := e.gives(ctx, q, 10, 2, "1", "2", "3")
		if err != nil {
			return err
		}
		if err := errors.Join(e.send(ctx, q, "g:4"), e.delete(ctx, q, got[:2]...)); err != nil {
			return err
		}
		if _, err := e.gives(ctx, q, 10, 0); err != nil { // 3 is in flight
			return err
		}
		if err := e.delete(ctx, q, got[2]); err != nil {
			return err
		}
		_, err = e.gives(ctx, q, 10, 2, "4")
		return err
	})
}

func givenBackInOrder(ctx context.Context, e Endpoint) error {
	return e.with(ctx, fifo(), func(q string) error {
		if err := e.send(ctx, q, "g:1", "g:2", "g:3"); err != nil {
			return err
		}
		got, err := e.gives(ctx, q, 2, 2, "1", "2")
		if err != nil {
			return err
		}
		if err := e.visible(ctx, q, 0, got...); err != nil {
			return err
		}
		_, err = e.gives(ctx, q, 10, 2, "1", "2", "3")
		return err
	})
}

func visibleInOrder(ctx context.Context, e Endpoint) error {
	a := fifo()
	a["VisibilityTimeout"] = "1"
	return e.with(ctx, a, func(q string) error {
		if err := e.send(ctx, q, "g:1", "g:2", "g:3"); err != nil {
			return err
		}
		if _, err := e.gives(ctx, q, 2, 2, "1", "2"); err != nil {
			return err
		}
		_, err := e.gives(ctx, q, 10, 5, "1", "2", "3")
		return err
	})
}

func onceByID(ctx context.Context, e Endpoint) error {
	return e.with(ctx, attributes{"FifoQueue": "true"}, func(q string) error {
		if err := e.send(ctx, q, "g:a:1", "g:b:1", "g:c:2"); err != nil {
			return err
		}
		got, err := e.drained(ctx, q)
		if err != nil {
			return err
		}
		if err := errors.Join(same(got, []string{"a", "c"}), e.send(ctx, q, "g:d:1")); err != nil { // although it was deleted
			return err
		}
		_, err = e.gives(ctx, q, 1, 1)
		return err
	})
}

func onceByContent(ctx context.Context, e Endpoint) error {
	return e.with(ctx, fifo(), func(q string) error {
		if err := e.send(ctx, q, "g:a", "g:a", "g:b"); err != nil {
			return err
		}
		got, err := e.drained(ctx, q)
		return errors.Join(err, same(got, []string{"a", "b"}))
	})
}

func oncePerGroup(ctx context.Context, e Endpoint) error {
	a := attributes{"FifoQueue": "true", "DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId"}
	return e.with(ctx, a, func(q string) error {
		if err := e.send(ctx, q, "g:a:1", "h:b:1"); err != nil {
			return err
		}
		got, err := e.drained(ctx, q)
		slices.Sort(got)
		return errors.Join(err, same(got, []string{"a", "b"}))
	})
}

func deadLettersInOrder(ctx context.Context, e Endpoint) error {
	return e.dead(ctx, fifo(), func(q, dead string) error {
		if err := e.send(ctx, q, "g:1", "g:2", "h:9"); err != nil {
			return err
		}
		for range 2 {
			got, err := e.receive(ctx, q, 10, 2)
			if err != nil || len(got) != 3 {
				return fmt.Errorf("received %q, %w", bodies(got), err)
			}
			if err := e.visible(ctx, q, 0, got...); err != nil {
				return err
			}
		}
		if err := e.send(ctx, q, "g:3"); err != nil {
			return err
		}
		var rest []string
		for range 3 {
			got, err := e.drained(ctx, q)
			if err != nil {
				return err
			}
			rest = append(rest, got...)
		}
		got, err := e.receive(ctx, dead, 10, 2)
		if err != nil {
			return err
		}
		more, err := e.receive(ctx, dead, 10, 1)
		texts := slices.DeleteFunc(bodies(append(got, more...)), func(text string) bool { return text == "9" })
		return errors.Join(err, same(rest, []string{"3"}), same(texts, []string{"1", "2"}))
	})
}

func groupless(ctx context.Context, e Endpoint) error {
	return e.with(ctx, fifo(), func(q string) error { return refused(e.send(ctx, q, "a"), "MissingParameter") })
}

// topic runs a check with a topic and a queue that is subscribed to it.
func (e Endpoint) topic(ctx context.Context, ofTopic, ofQueue, ofSubscription attributes, check func(topic, queue string) error) error {
	queue, arn, end, err := e.queue(ctx, ofQueue)
	if err != nil {
		return err
	}
	defer end()
	made, err := e.SNS.CreateTopic(ctx, &sns.CreateTopicInput{Name: aws.String(e.name(ofTopic["FifoTopic"] != "")), Attributes: ofTopic})
	if err != nil {
		return err
	}
	defer func() {
		_, _ = e.SNS.DeleteTopic(context.WithoutCancel(ctx), &sns.DeleteTopicInput{TopicArn: made.TopicArn})
	}()
	policy := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"sns.amazonaws.com"},"Action":"sqs:SendMessage","Resource":%q,"Condition":{"ArnEquals":{"aws:SourceArn":%q}}}]}`, arn, *made.TopicArn)
	if _, err := e.SQS.SetQueueAttributes(ctx, &sqs.SetQueueAttributesInput{QueueUrl: &queue, Attributes: attributes{"Policy": policy}}); err != nil {
		return err
	}
	if _, err := e.SNS.Subscribe(ctx, &sns.SubscribeInput{TopicArn: made.TopicArn, Protocol: aws.String("sqs"), Endpoint: &arn, Attributes: ofSubscription}); err != nil {
		return err
	}
	return check(*made.TopicArn, queue)
}

func kind(of string) map[string]snstypes.MessageAttributeValue {
	return map[string]snstypes.MessageAttributeValue{"kind": {DataType: aws.String("String"), StringValue: &of}}
}

func raw(ctx context.Context, e Endpoint) error {
	return e.topic(ctx, nil, nil, attributes{"RawMessageDelivery": "true"}, func(topic, q string) error {
		if _, err := e.SNS.Publish(ctx, &sns.PublishInput{TopicArn: &topic, Message: aws.String("a"), MessageAttributes: kind("x")}); err != nil {
			return err
		}
		got, err := e.gives(ctx, q, 1, 5, "a")
		if err == nil && aws.ToString(got[0].MessageAttributes["kind"].StringValue) != "x" {
			err = fmt.Errorf("the attributes are %v", got[0].MessageAttributes)
		}
		return err
	})
}

func envelope(ctx context.Context, e Endpoint) error {
	return e.topic(ctx, nil, nil, nil, func(topic, q string) error {
		if _, err := e.SNS.Publish(ctx, &sns.PublishInput{TopicArn: &topic, Message: aws.String("a"), Subject: aws.String("s"), MessageAttributes: kind("x")}); err != nil {
			return err
		}
		got, err := e.receive(ctx, q, 1, 5)
		if err != nil || len(got) != 1 {
			return fmt.Errorf("received %q, %w", bodies(got), err)
		}
		for _, part := range []string{`"Type":"Notification"`, `"Message":"a"`, `"Subject":"s"`, `"MessageAttributes"`, topic} {
			if text := strings.NewReplacer(`" : `, `":`, `": `, `":`).Replace(*got[0].Body); !strings.Contains(text, part) {
				return fmt.Errorf("the envelope %s does not have %s", text, part)
			}
		}
		return nil
	})
}

func filtered(ctx context.Context, e Endpoint) error {
	a := attributes{"RawMessageDelivery": "true", "FilterPolicy": `{"kind":["x",{"prefix":"y-"}]}`}
	return e.topic(ctx, nil, nil, a, func(topic, q string) error {
		for _, of := range []string{"x", "z", "y-1", "y"} {
			if _, err := e.SNS.Publish(ctx, &sns.PublishInput{TopicArn: &topic, Message: &of, MessageAttributes: kind(of)}); err != nil {
				return err
			}
		}
		got, err := e.drained(ctx, q)
		slices.Sort(got)
		return errors.Join(err, same(got, []string{"x", "y-1"}))
	})
}

func throughTopic(ctx context.Context, e Endpoint) error {
	return e.topic(ctx, attributes{"FifoTopic": "true"}, fifo(), attributes{"RawMessageDelivery": "true"}, func(topic, q string) error {
		for _, body := range []string{"1", "2", "2", "3"} {
			if _, err := e.SNS.Publish(ctx, &sns.PublishInput{TopicArn: &topic, Message: &body, MessageGroupId: aws.String("g"), MessageDeduplicationId: aws.String("g#" + body)}); err != nil {
				return err
			}
		}
		got, err := e.drained(ctx, q)
		return errors.Join(err, same(got, []string{"1", "2", "3"}))
	})
}

func batch(ctx context.Context, e Endpoint) error {
	return e.topic(ctx, nil, nil, attributes{"RawMessageDelivery": "true"}, func(topic, q string) error {
		out, err := e.SNS.PublishBatch(ctx, &sns.PublishBatchInput{TopicArn: &topic, PublishBatchRequestEntries: []snstypes.PublishBatchRequestEntry{
			{Id: aws.String("1"), Message: aws.String("a")}, {Id: aws.String("2"), Message: aws.String("b")},
		}})
		if err != nil || len(out.Successful) != 2 {
			return fmt.Errorf("%v, %w", out, err)
		}
		got, err := e.drained(ctx, q)
		slices.Sort(got)
		return errors.Join(err, same(got, []string{"a", "b"}))
	})
}

func longestOfTopic(ctx context.Context, e Endpoint) error {
	return e.topic(ctx, nil, nil, attributes{"RawMessageDelivery": "true"}, func(topic, q string) error {
		long := strings.Repeat("x", 256<<10)
		if _, err := e.SNS.Publish(ctx, &sns.PublishInput{TopicArn: &topic, Message: &long}); err != nil {
			return err
		}
		long += "x"
		_, err := e.SNS.Publish(ctx, &sns.PublishInput{TopicArn: &topic, Message: &long})
		return refused(err, "InvalidParameter")
	})
}
