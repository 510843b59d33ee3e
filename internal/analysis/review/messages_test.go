package review_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cutover/internal/analysis/review"
)

// bus has a topic, to which a queue is subscribed, with a dead-letter queue, a key, and a function that reads the queue and one that
// reads a stream. A test replaces parts of it, and leaves out resources.
func bus(replace ...string) string {
	text := strings.NewReplacer(replace...).Replace(`
		"Key": {"Type": "AWS::KMS::Key" KEYKEPT},
		"Topic": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "users.fifo", "FifoTopic": true, "KmsMasterKeyId": {"Ref": "Key"}}},
		"TopicPolicy": {"Type": "AWS::SNS::TopicPolicy", "Properties": {"Topics": [{"Ref": "Topic"}], "PolicyDocument": {"Statement": [
			{"Effect": "Deny", "Action": "sns:Publish", "Principal": "*", "Resource": "*", "Condition": {"StringNotEquals": {"aws:PrincipalTag/service": ["users"]}}}TOPICMORE]}}},
		"Queue": {"Type": "AWS::SQS::Queue" QUEUEKEPT, "Properties": {"QueueName": "feed.fifo", "FifoQueue": true, "KmsMasterKeyId": {"Ref": "Key"}, "VisibilityTimeout": 360, "MessageRetentionPeriod": 1209600,
			"RedrivePolicy": {"deadLetterTargetArn": {"Fn::GetAtt": ["Dead", "Arn"]}, "maxReceiveCount": 5}}},
		"QueuePolicy": {"Type": "AWS::SQS::QueuePolicy", "Properties": {"Queues": [{"Ref": "Queue"}], "PolicyDocument": {"Statement": [
			{"Effect": "Allow", "Action": "sqs:SendMessage", "Principal": {"Service": "sns.amazonaws.com"}, "Resource": "*", "Condition": {"ArnEquals": {"aws:SourceArn": {"Ref": "Topic"}}}}QUEUEMORE]}}},
		"Dead": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "dead.fifo", "FifoQueue": true, "MessageRetentionPeriod": 1209600 }},
		"Other": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "other.fifo", "FifoQueue": true, "MessageRetentionPeriod": 1209600}},
		"Sub": {"Type": "AWS::SNS::Subscription", "Properties": {"Protocol": "sqs", "TopicArn": {"Ref": "Topic"}, "Endpoint": {"Fn::GetAtt": ["Queue", "Arn"]}, "RawMessageDelivery": true,
			"RedrivePolicy": {"deadLetterTargetArn": {"Fn::GetAtt": ["Dead", "Arn"]}}}},
		"Table": {"Type": "AWS::DynamoDB::Table", "DeletionPolicy": "Retain", "Properties": {"StreamSpecification": {"StreamViewType": "NEW_IMAGE"}}},
		"Relay": {"Type": "AWS::Lambda::Function", "Properties": {"FunctionName": "relay", "Timeout": 30}},
		"Feed": {"Type": "AWS::Lambda::Function", "Properties": {"FunctionName": "feed", "Timeout": 60}},
		"Stream": {"Type": "AWS::Lambda::EventSourceMapping", "Properties": {"FunctionName": {"Ref": "Relay"}, "EventSourceArn": {"Fn::GetAtt": ["Table", "StreamArn"]}, "StartingPosition": "TRIM_HORIZON",
			"MaximumRecordAgeInSeconds": 86400, "DestinationConfig": {"OnFailure": {"Destination": {"Fn::GetAtt": ["Other", "Arn"]}}}}},
		"Poll": {"Type": "AWS::Lambda::EventSourceMapping", "Properties": {"FunctionName": {"Ref": "Feed"}, "EventSourceArn": {"Fn::GetAtt": ["Queue", "Arn"]}, "FunctionResponseTypes": ["ReportBatchItemFailures"]}}`)
	return strings.NewReplacer("KEYKEPT", "", "TOPICMORE", "", "QUEUEMORE", "", "QUEUEKEPT", "").Replace(text)
}

// without leaves a line of resources out.
func without(text, id string) string {
	_, rest, _ := strings.Cut(text, `"`+id+`": {"Type"`)
	at := strings.Index(rest, "},\n\t\t\"")
	return strings.Replace(text, `"`+id+`": {"Type"`+rest[:at+3], "", 1)
}

func TestMessages(t *testing.T) {
	const (
		republish = ": use cutover run SERVICE republish for the service that publishes"
		before    = ". Before that, stop what sends to it, and wait until cutover events shows nothing in it"
		names     = ". Senders, subscriptions and consumers need the new name"
		filtered  = ": of a key that no longer matches the next events are missing, and of one that matches only now the first are. Both are gaps, and a consumer waits for what is missing. SNS takes up to 15 minutes for it; then use cutover run SERVICE republish for the service that publishes"
	)
	deny := `, {"Effect": "Deny", "Action": "sns:Publish", "Principal": "*", "Resource": "*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}`
	admit := func(principal, more string) string {
		return `, {"Effect": "Allow", "Action": "sqs:SendMessage", "Principal": ` + principal + `, "Resource": "*"` + more + `}`
	}
	raw, redrive := `"RawMessageDelivery": true`, `,
			"RedrivePolicy": {"deadLetterTargetArn": {"Fn::GetAtt": ["Dead", "Arn"]}, "maxReceiveCount": 5}`
	for _, test := range []struct {
		name    string
		was, is string
		want    []string
	}{
		{"nothing", bus(), bus(), nil},
		{"all is new", `"P": {"Type": "AWS::SSM::Parameter"}`, bus(), nil},
		{"the stack leaves", bus(), "", []string{
			"Dead stays with its messages, and nothing deploys its stack any more: what still sends to it fills it until its messages are 14 days old",
			"Other stays with its messages, and nothing deploys its stack any more: what still sends to it fills it until its messages are 14 days old",
			"Queue stays with its messages, and nothing deploys its stack any more: what still sends to it fills it until its messages are 14 days old",
		}},

		{"the queue is standard", bus(`.fifo"`, `"`, `"FifoTopic": true`, `"FifoTopic": true`), bus(`.fifo"`, `"`, `, "FifoQueue": true`, ``), []string{
			"HARMS Dead is replaced by the standard queue dead, which is empty, because FifoQueue changes: the old one is deleted with the messages in it. The new one keeps no order: events of a key come in any order, and twice" + names + before,
			"HARMS Other is replaced by the standard queue other, which is empty, because FifoQueue changes: the old one is deleted with the messages in it. The new one keeps no order: events of a key come in any order, and twice" + names + before,
			"HARMS Queue is replaced by the standard queue feed, which is empty, because FifoQueue changes: the old one is deleted with the messages in it. The new one keeps no order: events of a key come in any order, and twice" + names + before,
		}},
		{"another name", bus(), bus(`"feed.fifo"`, `"news.fifo"`), []string{"HARMS Queue is replaced by the FIFO queue news.fifo, which is empty, because QueueName changes: the old one is deleted with the messages in it" + names + before}},
		{"another name, and it is kept", bus("QUEUEKEPT", keep), bus("QUEUEKEPT", keep, `"feed.fifo"`, `"news.fifo"`),
			[]string{"HARMS Queue is replaced by the FIFO queue news.fifo, which is empty, because QueueName changes: the old one stays with its messages, and nothing of the deployment takes them" + names + before}},
		{"a queue goes", bus(), without(bus(`"OnFailure": {"Destination": {"Fn::GetAtt": ["Other", "Arn"]}}`, `"OnFailure": {"Destination": {"Fn::GetAtt": ["Dead", "Arn"]}}`), "Other"), []string{"HARMS Other is deleted with the messages in it" + before}},
		{"a kept queue goes", bus("QUEUEKEPT", keep), without(without(without(bus(`, "Poll"`, `, "P": {"Type": "AWS::SSM::Parameter"}, "Poll"`), "Queue"), "QueuePolicy"), "Sub"),
			[]string{"HARMS Queue stays with its messages, and belongs to no stack: nothing of the deployment takes them, and after 14 days they are gone" + before}},
		{"the topic is standard", bus(), bus(`"users.fifo", "FifoTopic": true`, `"users"`), []string{
			"HARMS Topic is replaced by the standard topic users, because FifoTopic, TopicName changes: whoever publishes to users.fifo gets an error until it has the new name, and what users.fifo has not delivered yet is lost. Deploy the new topic beside the old one, move publishers and subscriptions, and then remove the old one"}},
		{"the topic goes", bus(), without(without(without(bus(`{"Ref": "Topic"}`, `"x"`), "Topic"), "TopicPolicy"), "Sub"), []string{
			"HARMS Topic is deleted with its subscriptions: whoever publishes to users.fifo gets an error, and its events reach nobody. An outbox keeps what was not published; a stream keeps it for a day. Stop what changes records first, or keep the topic",
			"Queue lets service sns.amazonaws.com do sqs:SendMessage if aws:SourceArn ArnEquals x, which it did not before",
		}},

		{"no key", bus(), bus(`, "KmsMasterKeyId": {"Ref": "Key"}`, ""), []string{
			"HARMS Queue is encrypted by SQS itself instead of the key Key: whoever may receive needs no right to a key any more. Keep the key",
			"HARMS Topic is no longer encrypted with the key Key: what is stored of its messages is readable without a right to a key. Keep the key"}},
		{"no encryption at all", bus(), bus(`"FifoQueue": true, "KmsMasterKeyId": {"Ref": "Key"}`, `"FifoQueue": true, "SqsManagedSseEnabled": false`), []string{"HARMS Queue is no longer encrypted with the key Key: what is stored of its messages is readable without a right to a key. Keep the key"}},
		{"AWS's key", bus(), bus(`"FifoQueue": true, "KmsMasterKeyId": {"Ref": "Key"}`, `"FifoQueue": true, "KmsMasterKeyId": "alias/aws/sqs"`), []string{
			"HARMS Queue has AWS's own key for SQS, with which SNS cannot write: no topic delivers to it. Give it a key of your own whose policy admits sns.amazonaws.com",
			"Queue has the key alias/aws/sqs instead of Key: what is in it needs the old key, and publishers, topics and consumers need the new one"}},
		{"the key goes", bus(), without(bus(`{"Ref": "Key"}`, `"elsewhere"`), "Key"), []string{
			"HARMS Key is deleted, 30 days later unless the template says otherwise: what was sent with it and is still in a queue can never be read. Keep the key with the DeletionPolicy Retain, until the queues are empty",
			"Queue has the key elsewhere instead of Key: what is in it needs the old key, and publishers, topics and consumers need the new one",
			"Topic has the key elsewhere instead of Key: what is in it needs the old key, and publishers, topics and consumers need the new one"}},
		{"a kept key goes", bus("KEYKEPT", keep, `, "KmsMasterKeyId": {"Ref": "Key"}`, ""), without(bus(`, "KmsMasterKeyId": {"Ref": "Key"}`, ""), "Key"), nil},

		{"anybody may send", bus(), bus("QUEUEMORE", admit(`"*"`, "")), []string{"HARMS Queue lets anybody do sqs:SendMessage, which the policy did not allow before. Name who needs it, and on which condition"}},
		{"a role may", bus(), bus("QUEUEMORE", admit(`{"AWS": "arn:aws:iam::123456789012:role/a"}`, "")), []string{"HARMS Queue lets aws arn:aws:iam::123456789012:role/a do sqs:SendMessage, which the policy did not allow before. Name who needs it, and on which condition"}},
		{"any topic may", bus(), bus("QUEUEMORE", admit(`{"Service": "sns.amazonaws.com"}`, "")), []string{"HARMS Queue lets service sns.amazonaws.com do sqs:SendMessage, which the policy did not allow before. Name who needs it, and on which condition"}},
		{"one more topic may", bus(), bus("QUEUEMORE", admit(`{"Service": "sns.amazonaws.com"}`, `, "Condition": {"ArnEquals": {"aws:SourceArn": "arn:aws:sns:us-east-1:123456789012:posts"}}`)),
			[]string{"Queue lets service sns.amazonaws.com do sqs:SendMessage if aws:SourceArn ArnEquals arn:aws:sns:us-east-1:123456789012:posts, which it did not before"}},
		{"another action", bus(), bus(`"Action": "sqs:SendMessage"`, `"Action": ["sqs:SendMessage", "sqs:PurgeQueue"]`), []string{"Queue lets service sns.amazonaws.com do sqs:PurgeQueue if aws:SourceArn ArnEquals Topic, which it did not before"}},
		{"less", bus("QUEUEMORE", admit(`"*"`, "")), bus(), nil},
		{"plain HTTP", bus("TOPICMORE", deny), bus(), []string{"HARMS Topic no longer denies sns:Publish to anybody if aws:SecureTransport Bool false: whoever has a policy of its own for that may do it. Keep the statement"}},
		{"another service publishes", bus(), bus(`["users"]`, `["users", "posts"]`), []string{"HARMS Topic no longer denies sns:Publish to anybody if aws:PrincipalTag/service StringNotEquals users: whoever has a policy of its own for that may do it. Keep the statement"}},

		{"no dead-letter queue", bus(), bus(redrive, ""), []string{"HARMS Queue has no dead-letter queue any more: a message that its consumer cannot apply comes back until it is 14 days old, and is then lost. Until then the later messages of its group wait. Keep the redrive policy"}},
		{"another one", bus(), bus(redrive, strings.Replace(redrive, "Dead", "Other", 1)), []string{"Queue gives its dead letters to other.fifo instead of dead.fifo: what is in dead.fifo stays there. Move it back first, with cutover events redrive dead.fifo"}},
		{"a dead-letter queue is new", bus(redrive, ""), bus(), nil},
		{"after few receives", bus(), bus(`"maxReceiveCount": 5`, `"maxReceiveCount": 1`), []string{"HARMS Queue gives a message to dead.fifo after 1 receive instead of 5: a consumer that is replaced or throttled in between counts as well, and good messages become dead letters. AWS recommends 5 or more"}},
		{"after many", bus(), bus(`"maxReceiveCount": 5`, `"maxReceiveCount": 100`), []string{"Queue gives a message to dead.fifo after 100 receives instead of 5: one that no consumer can apply holds up what is behind it for 10 hours at least"}},
		{"a shorter retention", bus(), bus(`"VisibilityTimeout": 360, "MessageRetentionPeriod": 1209600`, `"VisibilityTimeout": 360`), []string{"HARMS Queue keeps messages for 4 days instead of 14 days: older ones that wait in it are deleted, within minutes of the deployment. Let its consumers take them first, or keep the time"}},
		{"of dead letters", bus(), bus(`"MessageRetentionPeriod": 1209600 `, `"MessageRetentionPeriod": 90`), []string{
			"HARMS Dead keeps messages for 90 seconds instead of 14 days: older ones that wait in it are deleted, within minutes of the deployment. Let its consumers take them first, or keep the time",
			"HARMS Dead keeps dead letters for 90 seconds, and feed.fifo its messages for 14 days: a message that comes late is deleted at once. Keep dead letters the longer time"}},
		{"a longer one", bus(`"MessageRetentionPeriod": 1209600`, `"MessageRetentionPeriod": 60`), bus(), nil},
		{"a shorter visibility", bus(), bus(`"VisibilityTimeout": 360`, `"VisibilityTimeout": 90`), []string{"Queue hides a message that was received for 90 seconds instead of 6 minutes: a consumer that takes longer gets it twice, or another one does. A consumer that has not finished has to extend the time"}},
		{"shorter than the function", bus(), bus(`"VisibilityTimeout": 360`, `"VisibilityTimeout": 30`), []string{"HARMS Queue hides a message for 30 seconds, and its function feed may run for 1 minute: AWS refuses that, and nothing would be received. Six times the function's time-out is recommended"}},
		{"a slower function", bus(), bus(`"Timeout": 60`, `"Timeout": 600`), []string{"HARMS Queue hides a message for 6 minutes, and its function feed may run for 10 minutes: AWS refuses that, and nothing would be received. Six times the function's time-out is recommended"}},
		{"deduplication by content", bus(`"FifoQueue": true,`, `"FifoQueue": true, "ContentBasedDeduplication": true,`, `"FifoQueue": true}`, `"FifoQueue": true}`), bus(), []string{
			"HARMS Dead takes no message without a deduplication id any more: what sends without one gets an error", "HARMS Other takes no message without a deduplication id any more: what sends without one gets an error", "HARMS Queue takes no message without a deduplication id any more: what sends without one gets an error"}},

		{"a subscription goes", bus(), without(bus(), "Sub"), []string{"HARMS Sub goes: feed.fifo hears no more of users.fifo. If it is subscribed again later, what was published in between is a gap" + republish}},
		{"it has another logical id", bus(), bus(`"Sub":`, `"Again":`), []string{"HARMS Sub is dev-Data/Again from now on, which is the same subscription to SNS: CloudFormation deletes it with the old one, and feed.fifo hears no more of users.fifo. Keep the logical id, or deploy without it first"}},
		{"another endpoint", bus(), bus(`"Endpoint": {"Fn::GetAtt": ["Queue", "Arn"]}`, `"Endpoint": {"Fn::GetAtt": ["Other", "Arn"]}`), []string{"HARMS Sub is replaced, because Endpoint changes: feed.fifo hears no more of users.fifo. What the new endpoint has not heard is a gap" + republish}},
		{"a filter", bus(), bus(raw, raw+`, "FilterPolicy": {"source": ["/api/users"]}`), []string{`HARMS Sub lets feed.fifo hear of users.fifo by the filter {"source":["/api/users"]} on MessageAttributes instead of no filter` + filtered}},
		{"another filter", bus(raw, raw+`, "FilterPolicy": {"key": ["users/1"]}`), bus(raw, raw+`, "FilterPolicy": {"key": [{"prefix": "users/"}]}`), []string{`HARMS Sub lets feed.fifo hear of users.fifo by the filter {"key":[{"prefix":"users/"}]} on MessageAttributes instead of the filter {"key":["users/1"]} on MessageAttributes` + filtered}},
		{"on the body", bus(raw, raw+`, "FilterPolicy": {"key": ["a"]}`), bus(raw, raw+`, "FilterPolicy": {"key": ["a"]}, "FilterPolicyScope": "MessageBody"`), []string{`HARMS Sub lets feed.fifo hear of users.fifo by the filter {"key":["a"]} on MessageBody instead of the filter {"key":["a"]} on MessageAttributes` + filtered}},
		{"in an envelope", bus(), bus(raw, `"RawMessageDelivery": false`), []string{"Sub delivers messages to feed.fifo in the envelope of SNS instead of raw: the consumer has to read both, before this is deployed. Ours does"}},
		{"no redrive policy of the subscription", bus(), bus(`, "RawMessageDelivery": true,
			"RedrivePolicy": {"deadLetterTargetArn": {"Fn::GetAtt": ["Dead", "Arn"]}}`, `, "RawMessageDelivery": true`), []string{"HARMS Sub has no dead-letter queue any more: what SNS cannot deliver to feed.fifo is lost after its last attempt. Keep the redrive policy"}},

		{"a mapping is off", bus(), bus(`"FunctionName": {"Ref": "Feed"}`, `"FunctionName": {"Ref": "Feed"}, "Enabled": false`), []string{"HARMS Poll no longer polls: feed gets nothing, and what waits grows too old in the end. Let something else take it first"}},
		{"a filter of a stream", bus(), bus(`"MaximumRecordAgeInSeconds"`, `"FilterCriteria": {"Filters": [{"Pattern": "{}"}]}, "MaximumRecordAgeInSeconds"`), []string{"HARMS Stream lets relay have only what matches {}, instead of everything: the rest is left out, and never comes again"}},
		{"no destination", bus(), bus(`, "DestinationConfig": {"OnFailure": {"Destination": {"Fn::GetAtt": ["Other", "Arn"]}}}`, ""), []string{"HARMS Stream tells nobody which records of the stream relay gave up: their events are missing, and nobody hears of it. Keep the destination"}},
		{"records are given up sooner", bus(), bus("86400", "3600"), []string{"HARMS Stream gives records of the stream up once they are 1 hour old: what relay cannot handle for so long is never published. Keep the stream's day"}},
		{"after an attempt", bus(), bus(`"MaximumRecordAgeInSeconds"`, `"MaximumRetryAttempts": 1, "MaximumRecordAgeInSeconds"`), []string{"HARMS Stream gives records of the stream up after 1 further attempt: a topic that is away for a moment costs events. Let the age decide alone"}},
		{"several batches at once", bus(), bus(`"MaximumRecordAgeInSeconds"`, `"ParallelizationFactor": 2, "MaximumRecordAgeInSeconds"`), []string{"Stream handles 2 batches of a shard at once instead of 1: the order of a key stays, that of several keys does not"}},
		{"no partial failures", bus(), bus(`, "FunctionResponseTypes": ["ReportBatchItemFailures"]`, ""), []string{"Poll takes a batch back as a whole if one message of it fails: feed gets the others again, and they may become dead letters with it. Keep ReportBatchItemFailures"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			pair := review.Pair{Name: "parallel", Before: stores(t, false, test.was), After: stores(t, false, test.is)}
			again := pair
			again.Name = "switched"
			var got []string
			for _, c := range review.Messages([]review.Pair{pair, again}) {
				mark := ""
				if c.Harms {
					mark = "HARMS "
				}
				if strings.Join(c.In, " ") != "parallel switched" {
					t.Errorf("%s: in %q", c.Does, c.In)
				}
				got = append(got, mark+strings.TrimPrefix(c.Of, "dev-Data/")+" "+strings.NewReplacer("key dev-Data/", "key ", "of dev-Data/", "of ", "Equals dev-Data/", "Equals ").Replace(c.Does))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// What loses messages or opens a queue stands above the rest, and is a finding.
func TestReportOfMessages(t *testing.T) {
	r := &review.Report{Phases: []string{"parallel"}, Deployment: "parallel", Messages: []review.MessageChange{
		{In: []string{"parallel"}, Of: "dev-Events/FeedQueue", Does: "lets anybody do sqs:SendMessage", Harms: true},
		{In: []string{"parallel"}, Of: "dev-Events/Sub", Does: "delivers messages raw"},
	}}
	text := r.Markdown()
	for _, part := range []string{
		"### This loses or opens messages\n\n- `dev-Events/FeedQueue` **lets anybody do sqs:SendMessage** (in all phases)\n",
		"- **Messages are lost, or open to others.**\n", "### Topics and queues\n\n- `dev-Events/Sub` delivers messages raw (in all phases)\n",
	} {
		if !strings.Contains(text, part) {
			t.Errorf("it does not say %q:\n%s", part, text)
		}
	}
	if strings.Index(text, "This loses") > strings.Index(text, "Nothing changes") || r.Found("messages") != 1 {
		t.Errorf("something stands above it, or %d are found:\n%s", r.Found("messages"), text)
	}
	if r.Messages = nil; strings.Contains(r.Markdown(), "essages") || strings.Contains(r.Markdown(), "queues") || r.Found("messages") != 0 {
		t.Error("nothing changes, and it says so")
	}
}
