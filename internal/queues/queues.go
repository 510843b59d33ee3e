// Package queues looks at topics of SNS and queues of SQS, and moves dead letters back to where they came from. It does so by
// their API, on AWS and at what stands for it on this machine.
package queues

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// Client asks SNS and SQS.
type Client struct {
	sns *sns.Client
	sqs *sqs.Client
}

// New returns a client. Each service has a configuration of its own, since its endpoint may be of its own.
func New(forSNS, forSQS aws.Config) *Client {
	return &Client{sns.NewFromConfig(forSNS), sqs.NewFromConfig(forSQS)}
}

// Names are those of a deployment: ARNs of topics, and names or URLs of queues.
type Names struct {
	Topics []string `json:"topics"`
	Queues []string `json:"queues"`
}

// Overview is what topics and queues are like at one moment.
type Overview struct {
	Topics []Topic `json:"topics"`
	Queues []Queue `json:"queues"`
}

// Topic is a topic with its subscriptions.
type Topic struct {
	Name          string         `json:"name"`
	ARN           string         `json:"arn"`
	Subscriptions []Subscription `json:"subscriptions"`
}

// Subscription is where messages of a topic go. Endpoint is the name of a queue, or what else the topic knows.
type Subscription struct {
	Protocol string `json:"protocol"`
	Endpoint string `json:"endpoint"`
	// Pending says that the endpoint has not confirmed the subscription, so that it gets nothing.
	Pending bool `json:"pending,omitempty"`
}

// Queue is a queue. SQS counts messages approximately: the counts settle within a minute after producers stop
// (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_GetQueueAttributes.html).
type Queue struct {
	Name string `json:"name"`
	ARN  string `json:"arn"`
	URL  string `json:"url"`
	FIFO bool   `json:"fifo"`
	// Waiting messages can be received, InFlight ones were, and Delayed ones cannot be received yet.
	Waiting  int `json:"waiting"`
	InFlight int `json:"inFlight"`
	Delayed  int `json:"delayed"`
	// Age is that of the oldest message in seconds; nil if it is not known.
	Age *float64 `json:"ageSeconds,omitempty"`
	// DeadLetters is the name of the queue that gets what was received more than MaxReceives times. Empty for none.
	DeadLetters string `json:"deadLetters,omitempty"`
	MaxReceives int    `json:"maxReceives,omitempty"`
	// Sources are the names of the queues whose dead letters this one has.
	Sources []string `json:"sources,omitempty"`
}

// Depth is how many messages a queue has.
func (q Queue) Depth() int { return q.Waiting + q.InFlight + q.Delayed }

// Queue returns the queue with a name; nil if there is none.
func (o Overview) Queue(name string) *Queue {
	i := slices.IndexFunc(o.Queues, func(q Queue) bool { return q.Name == name })
	if i < 0 {
		return nil
	}
	return &o.Queues[i]
}

// Overview asks about topics and queues.
func (c *Client) Overview(ctx context.Context, names Names) (all Overview, err error) {
	for _, arn := range names.Topics {
		topic := Topic{Name: last(arn), ARN: arn}
		pages := sns.NewListSubscriptionsByTopicPaginator(c.sns, &sns.ListSubscriptionsByTopicInput{TopicArn: &arn})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return all, fmt.Errorf("topic %s: %w", topic.Name, err)
			}
			for _, s := range page.Subscriptions {
				endpoint := aws.ToString(s.Endpoint)
				if protocol := aws.ToString(s.Protocol); protocol == "sqs" || protocol == "lambda" {
					endpoint = last(endpoint)
				}
				topic.Subscriptions = append(topic.Subscriptions, Subscription{
					Protocol: aws.ToString(s.Protocol), Endpoint: endpoint, Pending: !strings.HasPrefix(aws.ToString(s.SubscriptionArn), "arn:"),
				})
			}
		}
		slices.SortFunc(topic.Subscriptions, func(a, b Subscription) int { return cmp.Compare(a.Endpoint, b.Endpoint) })
		all.Topics = append(all.Topics, topic)
	}
	for _, name := range names.Queues {
		q, err := c.Queue(ctx, name)
		if err != nil {
			return all, err
		}
		all.Queues = append(all.Queues, q)
	}
	for i := range all.Queues {
		if dead := all.Queue(all.Queues[i].DeadLetters); dead != nil {
			dead.Sources = append(dead.Sources, all.Queues[i].Name)
		}
	}
	slices.SortFunc(all.Topics, func(a, b Topic) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(all.Queues, func(a, b Queue) int { return cmp.Compare(a.Name, b.Name) })
	return all, nil
}

// Queue asks about a queue, by its name or URL.
func (c *Client) Queue(ctx context.Context, name string) (q Queue, err error) {
	q = Queue{Name: last(name), URL: name}
	q.FIFO = strings.HasSuffix(q.Name, ".fifo")
	if !strings.Contains(name, "/") {
		found, err := c.sqs.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: &name})
		if err != nil {
			return q, fmt.Errorf("queue %s: %w", q.Name, err)
		}
		q.URL = aws.ToString(found.QueueUrl)
	}
	answer, err := c.sqs.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: &q.URL, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameAll}})
	if err != nil {
		return q, fmt.Errorf("queue %s: %w", q.Name, err)
	}
	number := func(name types.QueueAttributeName) int {
		n, _ := strconv.Atoi(answer.Attributes[string(name)]) // all of these are numbers
		return n
	}
	q.ARN = answer.Attributes[string(types.QueueAttributeNameQueueArn)]
	q.Waiting = number(types.QueueAttributeNameApproximateNumberOfMessages)
	q.InFlight = number(types.QueueAttributeNameApproximateNumberOfMessagesNotVisible)
	q.Delayed = number(types.QueueAttributeNameApproximateNumberOfMessagesDelayed)
	var redrive struct {
		DeadLetterTargetArn string
		MaxReceiveCount     json.Number
	}
	if policy := answer.Attributes[string(types.QueueAttributeNameRedrivePolicy)]; policy != "" {
		if err := json.Unmarshal([]byte(policy), &redrive); err != nil {
			return q, fmt.Errorf("queue %s: its redrive policy cannot be read: %w", q.Name, err)
		}
		q.DeadLetters = last(redrive.DeadLetterTargetArn)
		receives, _ := redrive.MaxReceiveCount.Int64()
		q.MaxReceives = int(receives)
	}
	return q, nil
}

// last is the name at the end of an ARN or a URL.
func last(id string) string { return id[strings.LastIndexAny(id, ":/")+1:] }

// age is how long ago a message was sent, by an attribute of SQS.
func age(milliseconds string, now time.Time) float64 {
	sent, err := strconv.ParseInt(milliseconds, 10, 64)
	if err != nil {
		return 0
	}
	return max(0, now.Sub(time.UnixMilli(sent)).Seconds())
}
