package cost

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEventTable(t *testing.T) {
	want := `| a million events of 1 KB by | outbox and relay, US$ | topic | queue | together |
|---|---|---|---|---|
| a table of DynamoDB, FIFO | 0.09 to 0.28 | 0.33 | 0.10 to 1.00 | 0.52 to 1.61 |
| a table of DynamoDB, standard | 0.09 to 0.28 | 0.50 | 0.08 to 0.80 | 0.67 to 1.58 |
| a database of PostgreSQL, FIFO | 0.00 to 1.00, and a task | 0.33 | 0.10 to 1.00 | 0.43 to 2.33 |
| a database of PostgreSQL, standard | 0.00 to 1.00, and a task | 0.50 | 0.08 to 0.80 | 0.58 to 2.30 |
`
	if diff := cmp.Diff(want, EventTable()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	want = `| a month | US$ |
|---|---|
| the key | 1.00 |
| requests to the key for a topic with one relay, at most | 0.05 |
| requests to the key for a queue with one sender and one receiver, at most | 0.08 |
| a task that asks an empty FIFO queue | 0.13 |
| a task that asks an empty standard queue | 0.11 |
| a function for which Lambda asks an empty FIFO queue, with five pollers | 0.33 |
| a relay, consumer or worker as the smallest task on Fargate | 9.01 |
`
	if diff := cmp.Diff(want, EventMonthTable()); diff != "" {
		t.Errorf("a month (-want +got):\n%s", diff)
	}
}

// The lines of topics, relays and queues are per million, those of a month at the end. Dead-letter queues and the topic of alarms have none.
func TestEvents(t *testing.T) {
	tags := `"Tags": [{"Key": "service", "Value": "users"}]`
	topic := `"Topic": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "users.fifo", "FifoTopic": true, "KmsMasterKeyId": "k", ` + tags + `}}, "Alarms": {"Type": "AWS::SNS::Topic"}`
	queues := `, "Dead": {"Type": "AWS::SQS::Queue", "Properties": {` + tags + `}},
		"Feed": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "feed.fifo", "FifoQueue": true, "KmsMasterKeyId": "k", "RedrivePolicy": {"deadLetterTargetArn": {"Fn::GetAtt": ["Dead", "Arn"]}, "maxReceiveCount": 5}, ` + tags + `}},
		"Jobs": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "jobs", "RedrivePolicy": {"deadLetterTargetArn": {"Fn::GetAtt": ["Dead", "Arn"]}, "maxReceiveCount": 5}, ` + tags + `}},
		"Sub": {"Type": "AWS::SNS::Subscription", "Properties": {"Protocol": "sqs", "TopicArn": {"Ref": "Topic"}, "Endpoint": {"Fn::GetAtt": ["Feed", "Arn"]}}}`
	relay := `, "Table": {"Type": "AWS::DynamoDB::Table"}, "Relay": {"Type": "AWS::Lambda::Function", "Properties": {"FunctionName": "relay", "MemorySize": 256, ` + tags + `}},
		"Stream": {"Type": "AWS::Lambda::EventSourceMapping", "Properties": {"FunctionName": {"Ref": "Relay"}, "EventSourceArn": {"Fn::GetAtt": ["Table", "StreamArn"]}, "BatchSize": 50, "DestinationConfig": {"OnFailure": {"Destination": {"Fn::GetAtt": ["Dead", "Arn"]}}}}}`
	poll := `, "Poll": {"Type": "AWS::Lambda::EventSourceMapping", "Properties": {"FunctionName": {"Ref": "Relay"}, "EventSourceArn": {"Fn::GetAtt": ["Feed", "Arn"]}}}`
	const (
		published = "users.fifo: a million events of 1 KB cost US$ 0.33 to publish, for 1 queue"
		jobs      = "jobs: a million messages cost US$ 0.08 to 0.80 to receive and delete, ten at once or one by one"
		feed      = "feed.fifo: a million messages cost US$ 0.10 to 1.00 to receive and delete, ten at once or one by one"
		relayed   = "relay: a million events cost US$ 0.09 to 0.28 to relay, if each takes 20 ms at 256 MiB: 50 in an invocation, or one"
		month     = "a month costs US$ %s more at most, whatever is published: for requests to the key, and to empty queues"
	)
	for _, test := range []struct {
		resources string
		want      []string
	}{
		{`"P": {"Type": "AWS::SSM::Parameter"}, "Alarms": {"Type": "AWS::SNS::Topic"}`, nil},
		{topic, []string{"users.fifo: a million events of 1 KB cost US$ 0.32 to publish, for 0 queues", fmt.Sprintf(month, "0.05")}}, // 17,520 requests to the key
		{topic + queues, []string{published, jobs, feed, fmt.Sprintf(month, "0.37")}},                                                // and 26,280; 262,800 to each queue
		{topic + queues + relay + poll, []string{relayed, published, jobs, feed, fmt.Sprintf(month, "0.57")}},                        // 657,000 to feed.fifo
	} {
		estimates, err := Read(readModel(t, map[string]string{"Stack": `{"Resources": {` + test.resources + `}}`}))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, estimates[0].Events); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if len(estimates[0].Functions) > 0 {
			t.Errorf("a relay is asked by requests: %q", estimates[0].Functions)
		}
	}
}

func TestMessaging(t *testing.T) {
	const topic = `"Properties": {"Tags": [{"Key": "service", "Value": "users"}]`
	for name, test := range map[string]struct {
		resources string
		want      []string
	}{
		"standard":          {`"Topic": {"Type": "AWS::SNS::Topic", ` + topic + `}}, "Queue": {"Type": "AWS::SQS::Queue"}`, []string{"topicRequests", "keyRequests", "queueRequests"}},
		"FIFO":              {`"Topic": {"Type": "AWS::SNS::Topic", ` + topic + `, "FifoTopic": true}}, "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"FifoQueue": true}}`, []string{"orderedTopicRequests", "orderedTopicDeliveries", "keyRequests", "orderedQueueRequests"}},
		"a topic of alarms": {`"Topic": {"Type": "AWS::SNS::Topic"}`, nil},
	} {
		estimates, err := Read(readModel(t, map[string]string{"Stack": `{"Resources": {` + test.resources + `}}`}))
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, key := range test.want {
			want = append(want, decimal(prices.Traffic[key].Price)+" per "+prices.Traffic[key].For)
		}
		slices.Sort(want)
		if diff := cmp.Diff(want, sorted(estimates[0].Traffic)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
