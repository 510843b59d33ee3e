package queues

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"cutover/internal/local/backing/access"
	"cutover/internal/local/backing/programs/programstest"
	"cutover/internal/local/backing/queues/contract"
)

// BenchmarkMessages publishes events of 1 KB to a FIFO topic with 8 publishers, while one consumer receives and deletes
// batches of the queue. An operation is a message through all of it.
func BenchmarkMessages(b *testing.B) {
	for name, upstream := range map[string]bool{"program": true, "proxy": false} {
		b.Run(name, func(b *testing.B) {
			program := programstest.Queues(b)
			url, credentials := program.URL, aws.Credentials{AccessKeyID: "local", SecretAccessKey: "local"}
			if !upstream {
				roles, p := access.New(), newProxy()
				p.signers, p.find = roles.Signer, func(string, string) *resource { return nil }
				p.upstream = func(string) access.Endpoint {
					return access.Endpoint{URL: program.URL, Region: "local", Credentials: credentials}
				}
				l, err := access.Serve(p)
				if err != nil {
					b.Fatal(err)
				}
				b.Cleanup(func() { _ = l.Close() })
				user := roles.User()
				url, credentials = "http://"+l.Addr().String(), aws.Credentials{AccessKeyID: user.Key, SecretAccessKey: user.Secret}
			}
			throughput(b, clients(url, credentials))
		})
	}
}

func throughput(b *testing.B, e contract.Endpoint) {
	ctx := context.Background()
	queue, err := e.SQS.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: aws.String("b.fifo"), Attributes: map[string]string{"FifoQueue": "true"}})
	if err != nil {
		b.Fatal(err)
	}
	topic, err := e.SNS.CreateTopic(ctx, &sns.CreateTopicInput{Name: aws.String("b.fifo"), Attributes: map[string]string{"FifoTopic": "true"}})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := e.SNS.Subscribe(ctx, &sns.SubscribeInput{TopicArn: topic.TopicArn, Protocol: aws.String("sqs"), Endpoint: aws.String("arn:aws:sqs:local:000000000000:b.fifo"), Attributes: map[string]string{"RawMessageDelivery": "true"}}); err != nil {
		b.Fatal(err)
	}
	body := fmt.Sprintf("%01000d", 0)
	var next atomic.Int64
	b.ResetTimer()
	for range 8 {
		go func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				if _, err := e.SNS.Publish(ctx, &sns.PublishInput{TopicArn: topic.TopicArn, Message: &body, MessageGroupId: aws.String(fmt.Sprint(i % 50)), MessageDeduplicationId: aws.String(fmt.Sprint(i))}); err != nil {
					b.Error(err)
					return
				}
			}
		}()
	}
	for n := 0; n < b.N; {
		got, err := e.SQS.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: queue.QueueUrl, MaxNumberOfMessages: 10, WaitTimeSeconds: 5})
		if err != nil {
			b.Fatal(err)
		}
		var entries []types.DeleteMessageBatchRequestEntry
		for i, m := range got.Messages {
			entries = append(entries, types.DeleteMessageBatchRequestEntry{Id: aws.String(fmt.Sprint(i)), ReceiptHandle: m.ReceiptHandle})
		}
		if len(entries) == 0 {
			continue
		}
		if _, err := e.SQS.DeleteMessageBatch(ctx, &sqs.DeleteMessageBatchInput{QueueUrl: queue.QueueUrl, Entries: entries}); err != nil {
			b.Fatal(err)
		}
		n += len(entries)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}
