package queues

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"cutover/internal/local/provider"
)

// configuration is that of the administrator of a service.
func (p *Provider) configuration(service string) aws.Config {
	to := p.upstream(service)
	return aws.Config{
		Region: to.Region, BaseEndpoint: &to.URL,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return to.Credentials, nil }),
	}
}

// make creates a queue or a topic, or changes the one that is there.
func (p *Provider) make(ctx context.Context, r *resource) error {
	if r.service == "sqs" {
		return makeQueue(ctx, sqs.NewFromConfig(p.configuration("sqs")), r)
	}
	return makeTopic(ctx, sns.NewFromConfig(p.configuration("sns")), r, p.find(r.service, r.name))
}

// fixed are attributes that a queue gets when it is made.
var fixed = []string{"FifoQueue", "DeduplicationScope", "FifoThroughputLimit"}

func makeQueue(ctx context.Context, c *sqs.Client, r *resource) error {
	there, err := c.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: &r.name})
	if missing := new(sqstypes.QueueDoesNotExist); errors.As(err, &missing) {
		attributes := maps.Clone(r.attributes)
		maps.DeleteFunc(attributes, func(_, value string) bool { return value == "" })
		_, err = c.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: &r.name, Attributes: attributes})
		return err
	}
	if err != nil {
		return err
	}
	attributes := maps.Clone(r.attributes)
	maps.DeleteFunc(attributes, func(name, _ string) bool { return slices.Contains(fixed, name) })
	_, err = c.SetQueueAttributes(ctx, &sqs.SetQueueAttributesInput{QueueUrl: there.QueueUrl, Attributes: attributes})
	return err
}

// makeTopic makes a topic with its subscriptions, and ends those that are not in the template any more. Of a topic that was deployed
// before, those of others stay, as on AWS. What is left in the data of an earlier deployment goes.
func makeTopic(ctx context.Context, c *sns.Client, r, before *resource) error {
	made, err := c.CreateTopic(ctx, &sns.CreateTopicInput{Name: &r.name, Attributes: r.attributes})
	if err != nil {
		return err
	}
	there := map[string]string{} // ARNs of subscriptions, by queue
	for pages := sns.NewListSubscriptionsByTopicPaginator(c, &sns.ListSubscriptionsByTopicInput{TopicArn: made.TopicArn}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, s := range page.Subscriptions {
			if aws.ToString(s.Protocol) == "sqs" {
				there[last(aws.ToString(s.Endpoint))] = aws.ToString(s.SubscriptionArn)
			}
		}
	}
	for _, s := range r.subscriptions {
		arn := there[s.queue]
		delete(there, s.queue)
		if arn == "" {
			if _, err := c.Subscribe(ctx, &sns.SubscribeInput{
				TopicArn: made.TopicArn, Protocol: aws.String("sqs"), Endpoint: aws.String(provider.ARN("sqs", s.queue)), Attributes: s.attributes,
			}); err != nil {
				return fmt.Errorf("the subscription of %s: %w", s.queue, err)
			}
			continue
		}
		for _, name := range []string{"RawMessageDelivery", "FilterPolicyScope", "FilterPolicy"} {
			if name == "FilterPolicyScope" && s.attributes[name] == "" {
				continue
			}
			if _, err := c.SetSubscriptionAttributes(ctx, &sns.SetSubscriptionAttributesInput{
				SubscriptionArn: &arn, AttributeName: &name, AttributeValue: aws.String(s.attributes[name]),
			}); err != nil {
				return fmt.Errorf("%s of the subscription of %s: %w", name, s.queue, err)
			}
		}
	}
	for queue, arn := range there {
		if before != nil && !slices.ContainsFunc(before.subscriptions, func(s subscription) bool { return s.queue == queue }) {
			continue
		}
		if _, err := c.Unsubscribe(ctx, &sns.UnsubscribeInput{SubscriptionArn: &arn}); err != nil {
			return err
		}
	}
	return nil
}

// remove deletes a queue with its messages, or a topic with its subscriptions.
func (p *Provider) remove(ctx context.Context, r *resource) error {
	if r.service == "sns" {
		_, err := sns.NewFromConfig(p.configuration("sns")).DeleteTopic(ctx, &sns.DeleteTopicInput{TopicArn: aws.String(provider.ARN("sns", r.name))})
		return err
	}
	c := sqs.NewFromConfig(p.configuration("sqs"))
	there, err := c.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: &r.name})
	if missing := new(sqstypes.QueueDoesNotExist); errors.As(err, &missing) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = c.DeleteQueue(ctx, &sqs.DeleteQueueInput{QueueUrl: there.QueueUrl})
	return err
}
