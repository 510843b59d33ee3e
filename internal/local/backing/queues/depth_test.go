package queues

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"cutover/internal/local/backing/programs/programstest"
	"cutover/internal/nightly"
)

// The depth of a queue is known without receiving from it.
func TestDepth(t *testing.T) {
	nightly.Test(t, "it starts one more program that stands for SQS")
	t.Parallel()
	url := programstest.Queues(t).URL
	c := clients(url, aws.Credentials{AccessKeyID: "local", SecretAccessKey: "local"}).SQS
	made, err := c.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("depth")})
	if err != nil {
		t.Fatal(err)
	}
	for _, delay := range []int32{0, 0, 900} {
		if _, err := c.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: made.QueueUrl, MessageBody: aws.String("x"), DelaySeconds: delay}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: made.QueueUrl, MaxNumberOfMessages: 1}); err != nil {
		t.Fatal(err)
	}
	d := depth(t.Context(), url, "depth", time.Now().Add(time.Minute))
	if d == nil || d.Waiting != 1 || d.InFlight != 1 || d.Delayed != 1 || d.Oldest < time.Minute || d.Oldest > 2*time.Minute {
		t.Errorf("the depth is %+v", d)
	}
	if d := depth(t.Context(), url, "nowhere", time.Now()); d != nil {
		t.Errorf("the depth of no queue is %+v", d)
	}
}
