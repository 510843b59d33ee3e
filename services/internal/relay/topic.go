package relay

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"

	"cutover/services/internal/account"
	"cutover/services/internal/events"
)

// Topic is a topic of SNS.
type Topic struct {
	arn    string
	client *sns.Client
}

// publishTimeout is how long SNS may take for an event, with the attempts of the client.
const publishTimeout = 10 * time.Second

// OpenTopic returns the topic with an ARN. AWS_ENDPOINT_URL_SNS is where it is if it is not in AWS.
func OpenTopic(arn string, getenv func(string) string) (*Topic, error) {
	if parts := strings.Split(arn, ":"); len(parts) != 6 || parts[0] != "arn" || parts[2] != "sns" {
		return nil, fmt.Errorf("%q is no ARN of a topic: it looks like arn:aws:sns:eu-central-1:123456789012:NAME", arn)
	}
	signer, err := account.Of(getenv)
	if err != nil {
		return nil, err
	}
	endpoint, err := account.Endpoint(getenv, "AWS_ENDPOINT_URL_SNS")
	if err != nil {
		return nil, err
	}
	account.EmbedRoots()
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy, transport.MaxIdleConnsPerHost = nil, atOnce
	client := &http.Client{Timeout: publishTimeout, Transport: transport}
	return &Topic{arn, sns.New(sns.Options{Region: signer.Region, Credentials: signer, BaseEndpoint: endpoint, HTTPClient: client})}, nil
}

// Publish implements [Publisher]. A FIFO topic takes an event once within 5 minutes, however often it is sent
// (https://docs.aws.amazon.com/sns/latest/dg/fifo-message-dedup.html).
func (t *Topic) Publish(ctx context.Context, e events.Event) error {
	message, err := e.Encode()
	if err != nil {
		return err
	}
	text := func(s string) types.MessageAttributeValue {
		return types.MessageAttributeValue{DataType: aws.String("String"), StringValue: aws.String(s)}
	}
	in := &sns.PublishInput{
		TopicArn: &t.arn, Message: aws.String(string(message)), Subject: aws.String(e.Type + " " + e.Subject),
		MessageAttributes: map[string]types.MessageAttributeValue{"key": text(e.Subject), "source": text(e.Source), "type": text(e.Type)},
	}
	if strings.HasSuffix(t.arn, ".fifo") {
		in.MessageGroupId, in.MessageDeduplicationId = aws.String(group(e)), aws.String(deduplication(e))
	}
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	if _, err := t.client.Publish(ctx, in); err != nil {
		return fmt.Errorf("SNS does not take it: %w", err)
	}
	return nil
}
