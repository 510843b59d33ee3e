package model

import (
	"fmt"
	"testing"
	"time"
)

// Topics, queues and what invokes functions with messages are found by reference and by name, whatever stack has them.
func TestMessaging(t *testing.T) {
	m := read(t, `
		"Key": {"Type": "AWS::KMS::Key", "Properties": {"EnableKeyRotation": true}},
		"Table": {"Type": "AWS::DynamoDB::Table", "Properties": {"TableName": "dev-users", "StreamSpecification": {"StreamViewType": "NEW_IMAGE"}}},
		"Topic": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "dev-users.fifo", "FifoTopic": true, "KmsMasterKeyId": {"Fn::GetAtt": ["Key", "Arn"]}}},
		"Allow": {"Type": "AWS::SNS::TopicPolicy", "Properties": {"Topics": [{"Ref": "Topic"}], "PolicyDocument": {"Statement": [{"Effect": "Deny", "Action": "sns:Publish", "Principal": "*", "Resource": {"Ref": "Topic"}}]}}},
		"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "dev-feed.fifo", "FifoQueue": true, "VisibilityTimeout": 60,
			"RedrivePolicy": {"deadLetterTargetArn": {"Fn::GetAtt": ["ZDead", "Arn"]}, "maxReceiveCount": 5}}},
		"ZDead": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "dev-feed-dead.fifo", "FifoQueue": true}},
		"Other": {"Type": "AWS::SQS::Queue", "Properties": {"VisibilityTimeout": "often"}},
		"Send": {"Type": "AWS::SQS::QueuePolicy", "Properties": {"Queues": [{"Ref": "Queue"}], "PolicyDocument": {"Statement": [{"Effect": "Allow", "Action": "sqs:SendMessage", "Principal": {"Service": "sns.amazonaws.com"}, "Resource": "*"}]}}},
		"Subscription": {"Type": "AWS::SNS::Subscription", "Properties": {"Protocol": "sqs", "RawMessageDelivery": true, "FilterPolicy": {"source": ["/api/users"]},
			"TopicArn": {"Fn::Sub": "arn:${AWS::Partition}:sns:${AWS::Region}:${AWS::AccountId}:dev-users.fifo"}, "Endpoint": {"Fn::GetAtt": ["Queue", "Arn"]},
			"RedrivePolicy": {"deadLetterTargetArn": {"Fn::GetAtt": ["ZDead", "Arn"]}}}},
		"Mail": {"Type": "AWS::SNS::Subscription", "Properties": {"Protocol": "email", "TopicArn": "arn:aws:sns:eu-central-1:123456789012:elsewhere", "Endpoint": "ops@example.com"}},
		"Function": {"Type": "AWS::Lambda::Function", "Properties": {"FunctionName": "dev-users-relay", "Runtime": "provided.al2023", "Handler": "relay"}},
		"Stream": {"Type": "AWS::Lambda::EventSourceMapping", "Properties": {"FunctionName": {"Ref": "Function"}, "EventSourceArn": {"Fn::GetAtt": ["Table", "StreamArn"]},
			"StartingPosition": "TRIM_HORIZON", "BisectBatchOnFunctionError": true, "FunctionResponseTypes": ["ReportBatchItemFailures"], "MaximumRecordAgeInSeconds": 3600,
			"FilterCriteria": {"Filters": [{"Pattern": "{}"}]}, "DestinationConfig": {"OnFailure": {"Destination": {"Fn::GetAtt": ["ZDead", "Arn"]}}}}},
		"Poll": {"Type": "AWS::Lambda::EventSourceMapping", "Properties": {"FunctionName": "dev-users-relay", "EventSourceArn": "arn:aws:sqs:eu-central-1:123456789012:dev-feed.fifo", "ScalingConfig": {"MaximumConcurrency": 5}}}`)
	check := func(what string, got, want any) {
		t.Helper()
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	topic, queue, other, dead := m.Topics[0], m.QueueNamed("dev-feed.fifo"), m.Queues[0], m.QueueNamed("dev-feed-dead.fifo")
	check("topic", fmt.Sprint(topic.Name, " ", topic.FIFO, topic.Scope, " ", topic.EncryptedBy == m.EncryptionKeys[0], topic.EncryptedBy.Rotation, len(topic.Policy)), "dev-users.fifo trueMessageGroup true true 1")
	check("queue", fmt.Sprint(queue.FIFO, queue.Visibility, queue.Retention, queue.DeadLetters == dead, queue.MaxReceives, queue.Managed, len(queue.Policy), queue.Problem(), len(queue.Settings)), "true 1m0s 96h0m0s true 5 true 1 <nil> 0")
	check("a queue without a name", fmt.Sprint(other.Name, other.DeadLetters == nil, other.Visibility, other.Problem()),
		`Othertrue 30s S/Other/Properties.VisibilityTimeout: expected a whole number from 0 to 43200, found "often"`)
	mail, subscription := m.Subscriptions[0], m.Subscriptions[1]
	check("subscription", fmt.Sprint(subscription.Topic == topic, subscription.Queue == queue, subscription.Raw, subscription.Filter, subscription.DeadLetters == dead, subscription.Problem()),
		"true true true map[source:[/api/users]] true <nil>")
	check("subscription of what is elsewhere", fmt.Sprint(mail.Topic == nil, mail.Queue == nil, mail.Protocol, mail.Endpoint, mail.FilterScope), "true trueemailops@example.comMessageAttributes")
	poll, stream := m.EventSources[0], m.EventSources[1]
	check("stream", fmt.Sprint(stream.Target.Function == m.Functions[0], stream.Table == m.Tables[0], stream.Batch, stream.From, stream.Bisect, stream.PartialFailures, stream.MaxAge, stream.Retries, stream.Filters, stream.OnFailure == dead),
		"true true 100TRIM_HORIZONtrue true 1h0m0s -1 [{}] true")
	check("poll", fmt.Sprint(poll.Target.Function == m.Functions[0], poll.Queue == queue, poll.Batch, poll.MaxConcurrency, poll.Enabled, poll.Parallel, poll.MaxAge < 0), "true true 10 5 true 1 true")
	if queue.Retention != 96*time.Hour || m.QueueNamed("Other") != nil || m.TopicNamed("elsewhere") != nil {
		t.Error("a name that is made up, or not there, is found")
	}
}
