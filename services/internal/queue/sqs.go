package queue

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"cutover/services/internal/account"
)

// SQS is a queue of SQS.
type SQS struct {
	name   string
	client *sqs.Client
	mu     sync.Mutex
	url    string
}

// callTime is how long SQS may take for a call, beside the wait for messages.
const callTime = 10 * time.Second

var nameFormat = regexp.MustCompile(`^[A-Za-z0-9_-]{1,75}(\.fifo)?$|^[A-Za-z0-9_-]{76,80}$`)

// Open returns the queue with a name, of the account and region of the service. AWS_ENDPOINT_URL_SQS is where it is if it is not in AWS.
// Open reaches nobody.
func Open(name string, getenv func(string) string) (*SQS, error) {
	if !nameFormat.MatchString(name) {
		return nil, fmt.Errorf("%q is no name of a queue: take up to 80 of a-z, A-Z, 0-9, _ and -, with .fifo at the end of that of a FIFO queue", name)
	}
	signer, err := account.Of(getenv)
	if err != nil {
		return nil, err
	}
	endpoint, err := account.Endpoint(getenv, "AWS_ENDPOINT_URL_SQS")
	if err != nil {
		return nil, err
	}
	account.EmbedRoots()
	return &SQS{name: name, client: sqs.New(sqs.Options{Region: signer.Region, Credentials: signer, BaseEndpoint: endpoint, HTTPClient: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16, IdleConnTimeout: 30 * time.Second}}})}, nil
}

// Ordered implements [Queue].
func (q *SQS) Ordered() bool { return strings.HasSuffix(q.name, ".fifo") }

// call calls a function with the queue's URL, within a time.
func (q *SQS) call(ctx context.Context, most time.Duration, do func(ctx context.Context, url *string) error) error {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	url, err := q.at(ctx)
	if err == nil {
		err = do(ctx, &url)
	}
	if err != nil {
		return fmt.Errorf("the queue %s: %w", q.name, err)
	}
	return nil
}

func (q *SQS) at(ctx context.Context) (string, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.url == "" {
		out, err := q.client.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: &q.name})
		if err != nil {
			return "", err
		}
		q.url = aws.ToString(out.QueueUrl)
	}
	return q.url, nil
}

// Receive implements [Queue].
func (q *SQS) Receive(ctx context.Context, most int, wait time.Duration) (messages []Message, err error) {
	seconds := int32(min(20, max(0, (wait+time.Second-1)/time.Second))) //nolint:gosec // at most 20
	err = q.call(ctx, wait+callTime, func(ctx context.Context, url *string) error {
		out, err := q.client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
			QueueUrl: url, MaxNumberOfMessages: int32(most), WaitTimeSeconds: seconds, VisibilityTimeout: int32(Visibility / time.Second), //nolint:gosec // at most MaxBatch
			MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameApproximateReceiveCount, types.MessageSystemAttributeNameMessageGroupId},
		})
		if err != nil {
			return err
		}
		for _, m := range out.Messages {
			receives, _ := strconv.Atoi(m.Attributes["ApproximateReceiveCount"])
			messages = append(messages, Message{aws.ToString(m.MessageId), aws.ToString(m.ReceiptHandle), m.Attributes["MessageGroupId"], []byte(aws.ToString(m.Body)), receives})
		}
		return nil
	})
	return messages, err
}

// Delete implements [Queue].
func (q *SQS) Delete(ctx context.Context, messages ...Message) error {
	return q.each(ctx, messages, func(ctx context.Context, url *string, some []Message) ([]types.BatchResultErrorEntry, error) {
		in := &sqs.DeleteMessageBatchInput{QueueUrl: url}
		for i, m := range some {
			in.Entries = append(in.Entries, types.DeleteMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), ReceiptHandle: &m.Receipt})
		}
		out, err := q.client.DeleteMessageBatch(ctx, in)
		if err != nil {
			return nil, err
		}
		return out.Failed, nil
	})
}

// Hide implements [Queue].
func (q *SQS) Hide(ctx context.Context, d time.Duration, messages ...Message) error {
	return q.each(ctx, messages, func(ctx context.Context, url *string, some []Message) ([]types.BatchResultErrorEntry, error) {
		in := &sqs.ChangeMessageVisibilityBatchInput{QueueUrl: url}
		for i, m := range some {
			in.Entries = append(in.Entries, types.ChangeMessageVisibilityBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), ReceiptHandle: &m.Receipt, VisibilityTimeout: int32(d / time.Second)})
		}
		out, err := q.client.ChangeMessageVisibilityBatch(ctx, in)
		if err != nil {
			return nil, err
		}
		return out.Failed, nil
	})
}

// each calls a function with as many messages as a call may have.
func (q *SQS) each(ctx context.Context, messages []Message, do func(context.Context, *string, []Message) ([]types.BatchResultErrorEntry, error)) error {
	var errs []error
	for some := range slices.Chunk(messages, MaxBatch) {
		errs = append(errs, q.call(ctx, callTime, func(ctx context.Context, url *string) error {
			failed, err := do(ctx, url, some)
			for _, f := range failed {
				err = errors.Join(err, fmt.Errorf("%s: %s", aws.ToString(f.Code), aws.ToString(f.Message)))
			}
			return err
		}))
	}
	return errors.Join(errs...)
}

// Send implements [Queue]. The queue is no FIFO queue.
func (q *SQS) Send(ctx context.Context, body []byte) error {
	return q.call(ctx, callTime, func(ctx context.Context, url *string) error {
		_, err := q.client.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: url, MessageBody: aws.String(string(body))})
		return err
	})
}
