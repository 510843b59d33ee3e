package isolation

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	usersTopic, feedQueue, jobsQueue, deadQueue = `"arn:aws:sns:us-east-1:123456789012:users"`, `"arn:aws:sqs:us-east-1:123456789012:feed"`, `"arn:aws:sqs:us-east-1:123456789012:jobs"`, `"arn:aws:sqs:us-east-1:123456789012:feed-dead"`
	receives                                    = `["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueUrl"]`
	// noPlain denies plain HTTP.
	noPlain = `{"Effect": "Deny", "Action": "*", "Principal": "*", "Resource": "*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}`
	// fromUsers admits the topic of users.
	fromUsers = `{"Effect": "Allow", "Action": "sqs:SendMessage", "Principal": {"Service": "sns.amazonaws.com"}, "Resource": "*", "Condition": {"ArnEquals": {"aws:SourceArn": {"Ref": "Topic"}}}}`
	ofKey     = `{"Effect": "Allow", "Action": ["kms:Decrypt", "kms:GenerateDataKey*"], "Resource": "*", "Principal": `
)

// messages are a topic of users, to which a queue of order-items (feed) is subscribed, and a queue of work of users (jobs), with what a test
// changes. Roles are those of [shops].
func messages(change map[string]string) string {
	policies := map[string]string{"users": allow(`"sns:Publish"`, usersTopic) + `, ` + allow(`"sqs:*Message"`, `"none"`) + `, ` + allow(`["sqs:SendMessage", "sqs:ReceiveMessage", "sqs:DeleteMessage"]`, jobsQueue), "order-items": allow(receives, feedQueue)}
	parts := map[string]string{
		"key":   ofKey + `{"Service": "sns.amazonaws.com"}, "Condition": {"StringEquals": {"aws:SourceAccount": "123456789012"}}}, ` + ofKey + `"*", "Condition": {"StringEquals": {"aws:PrincipalTag/environment": "dev", "kms:CallerAccount": "123456789012"}}}`,
		"topic": noPlain, "feed": noPlain + ", " + fromUsers, "dead": noPlain + ", " + fromUsers, "jobs": noPlain, "users": "", "order-items": "", "api": "", "subscription": `{"Fn::GetAtt": ["Feed", "Arn"]}`,
	}
	for name, value := range change {
		if strings.HasPrefix(value, "more: ") {
			value = strings.TrimPrefix(parts[name]+", "+strings.TrimPrefix(value, "more: "), ", ")
		}
		parts[name] = value
	}
	for _, service := range []string{"users", "order-items", "api"} {
		policies[service] = strings.Trim(policies[service]+", "+parts[service], ", ")
	}
	queue := func(id, name, service, redrive string) string {
		return fmt.Sprintf(`, "%[1]s": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "%[2]s", "KmsMasterKeyId": {"Ref": "Key"}, %[3]s%[4]s}},
			"%[1]sPolicy": {"Type": "AWS::SQS::QueuePolicy", "Properties": {"Queues": [{"Ref": "%[1]s"}], "PolicyDocument": {"Statement": [%[5]s]}}}`, id, name, tagged(service), redrive, parts[strings.ToLower(id)])
	}
	return shops(policies) + `, "Key": {"Type": "AWS::KMS::Key", "Properties": {"KeyPolicy": {"Statement": [` + parts["key"] + `]}}},
		"Topic": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "users", "KmsMasterKeyId": {"Ref": "Key"}, ` + tagged("users") + `}},
		"TopicPolicy": {"Type": "AWS::SNS::TopicPolicy", "Properties": {"Topics": [{"Ref": "Topic"}], "PolicyDocument": {"Statement": [` + parts["topic"] + `]}}},
		"Subscription": {"Type": "AWS::SNS::Subscription", "Properties": {"Protocol": "sqs", "TopicArn": {"Ref": "Topic"}, "Endpoint": ` + parts["subscription"] + `, "RedrivePolicy": {"deadLetterTargetArn": {"Fn::GetAtt": ["Dead", "Arn"]}}}}` +
		queue("Feed", "feed", "order-items", `, "RedrivePolicy": {"deadLetterTargetArn": {"Fn::GetAtt": ["Dead", "Arn"]}, "maxReceiveCount": 5}`) + queue("Dead", "feed-dead", "order-items", "") + queue("Jobs", "jobs", "users", "")
}

// The owner publishes, the consumer receives, and a topic sends. What else policies allow is a mistake, and so is what is missing.
func TestMisuses(t *testing.T) {
	only := func(action, tag string) string {
		return `more: {"Effect": "Deny", "Action": "` + action + `", "Principal": {"AWS": "*"}, "Resource": "*", "Condition": {"StringNotEquals": {"aws:PrincipalTag/service": "` + tag + `"}}}`
	}
	admits := func(principal, condition string) string {
		return `more: {"Effect": "Allow", "Action": "sqs:SendMessage", "Principal": ` + principal + `, "Resource": "*"` + condition + `}`
	}
	for _, test := range []struct {
		name   string
		change map[string]string
		want   []string
	}{
		{"as it should be", nil, nil},
		{"the resources' policies name their owners", map[string]string{"topic": only("sns:Publish", "users"), "feed": only("sqs:ReceiveMessage", "order-items")}, nil},
		{"the topic's policy names another service", map[string]string{"topic": only("sns:Publish", "api")}, []string{"users does not publish to topic users"}},
		{"the queue's policy names another service", map[string]string{"feed": only("sqs:ReceiveMessage", "api")}, []string{"order-items does not receive from queue feed"}},
		{"another service publishes", map[string]string{"api": allow(`"sns:Publish"`, usersTopic)}, []string{"api: task may do sns:Publish on topic users"}},
		{"and the topic denies it", map[string]string{"api": allow(`"sns:Publish"`, usersTopic), "topic": only("sns:Publish", "users")}, nil},
		{"a wildcard in the name", map[string]string{"api": allow(`"sns:Publish"`, `"arn:aws:sns:*:*:use*"`)}, []string{"api: task may do sns:Publish on topic users"}},
		{"a wildcard in the action", map[string]string{"users": allow(`"sns:*"`, usersTopic)}, []string{"users: task may do sns:* on topic users"}},
		{"everything", map[string]string{"api": allow(`"*"`, `"*"`)}, []string{"api: task may do * on queue feed", "api: task may do * on queue feed-dead", "api: task may do * on queue jobs", "api: task may do * on topic users"}},
		{"another service receives", map[string]string{"users": allow(`"sqs:ReceiveMessage"`, feedQueue)}, []string{"users: task may do sqs:ReceiveMessage on queue feed"}},
		{"the consumer sends to itself", map[string]string{"order-items": allow(`"sqs:SendMessage"`, feedQueue)}, []string{"order-items: task may do sqs:SendMessage on queue feed"}},
		{"the consumer reads dead letters", map[string]string{"order-items": allow(`"sqs:ReceiveMessage"`, deadQueue)}, []string{"order-items: task may do sqs:ReceiveMessage on queue feed-dead"}},
		{"the consumer purges and deletes", map[string]string{"order-items": allow(`["sqs:PurgeQueue", "sqs:DeleteQueue"]`, feedQueue)}, []string{"order-items: task may do sqs:DeleteQueue on queue feed", "order-items: task may do sqs:PurgeQueue on queue feed"}},
		{"the owner subscribes", map[string]string{"users": allow(`"sns:Subscribe"`, usersTopic)}, []string{"users: task may do sns:Subscribe on topic users"}},
		{"what tells of no message", map[string]string{"api": allow(`["sns:GetTopicAttributes", "sqs:GetQueueAttributes", "sqs:ListQueues"]`, `"*"`)}, nil},
		{"the monolith sends work", map[string]string{"api": allow(`"sqs:SendMessage"`, jobsQueue)}, nil},
		{"another service sends work", map[string]string{"order-items": allow(`"sqs:SendMessage"`, jobsQueue)}, []string{"order-items: task may do sqs:SendMessage on queue jobs"}},
		{"the monolith receives work", map[string]string{"api": allow(`"sqs:ReceiveMessage"`, jobsQueue)}, []string{"api: task may do sqs:ReceiveMessage on queue jobs"}},
		{"anybody may send", map[string]string{"feed": admits(`"*"`, "")}, []string{"anybody may do sqs:SendMessage on queue feed", "api: task may do sqs:SendMessage on queue feed", "order-items: task may do sqs:SendMessage on queue feed", "users: task may do sqs:SendMessage on queue feed"}},
		{"another account", map[string]string{"feed": admits(`{"AWS": "arn:aws:iam::999999999999:root"}`, "")}, []string{"aws arn:aws:iam::999999999999:root may do sqs:SendMessage on queue feed"}},
		{"any topic", map[string]string{"feed": admits(`{"Service": "sns.amazonaws.com"}`, "")}, []string{"service sns.amazonaws.com may do sqs:SendMessage on queue feed"}},
		{"any topic of the account", map[string]string{"feed": admits(`{"Service": "sns.amazonaws.com"}`, `, "Condition": {"StringEquals": {"aws:SourceAccount": "123456789012"}}`)},
			[]string{"service sns.amazonaws.com if aws:SourceAccount StringEquals 123456789012 may do sqs:SendMessage on queue feed"}},
		{"topics by a wildcard", map[string]string{"feed": admits(`{"Service": "sns.amazonaws.com"}`, `, "Condition": {"ArnLike": {"aws:SourceArn": "arn:aws:sns:us-east-1:123456789012:*"}}`)},
			[]string{"topics arn:aws:sns:us-east-1:123456789012:* may do sqs:SendMessage on queue feed"}},
		{"the topic is not admitted", map[string]string{"feed": noPlain}, []string{"topic users does not reach queue feed"}},
		{"nor to the dead-letter queue", map[string]string{"dead": noPlain}, []string{"topic users does not reach queue feed-dead"}},
		{"the topic is subscribed elsewhere", map[string]string{"subscription": `{"Fn::GetAtt": ["Jobs", "Arn"]}`}, []string{"order-items does not send to queue feed", "topic users does not reach queue jobs", "topic users may do sqs:SendMessage on queue feed", "users: task may do sqs:SendMessage on queue jobs"}},
		{"plain HTTP", map[string]string{"topic": "", "jobs": `{"Effect": "Deny", "Action": "sqs:SendMessage", "Principal": "*", "Resource": "*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}`},
			[]string{"queue jobs takes requests by plain HTTP: its policy has to deny them", "topic users takes requests by plain HTTP: its policy has to deny them"}},
		{"plain HTTP is denied to one, or sometimes", map[string]string{"topic": strings.Replace(noPlain, `"*", "Resource"`, `{"AWS": "arn:aws:iam::999999999999:root"}, "Resource"`, 1), "jobs": strings.Replace(noPlain, `{"Bool"`, `{"StringEquals": {"aws:PrincipalTag/a": "b"}, "Bool"`, 1)},
			[]string{"queue jobs takes requests by plain HTTP: its policy has to deny them", "topic users takes requests by plain HTTP: its policy has to deny them"}},
		{"the key is for another environment", map[string]string{"key": ofKey + `{"Service": "sns.amazonaws.com"}}, ` + ofKey + `"*", "Condition": {"StringEquals": {"aws:PrincipalTag/environment": "prod"}}}`}, []string{
			"order-items does not receive from queue feed", "order-items: task may not use the key of queue feed",
			"users does not publish to topic users", "users does not receive from queue jobs", "users: task may not use the key of queue jobs", "users: task may not use the key of topic users",
		}},
		{"a role's own policy admits it to the key", map[string]string{"key": ofKey + `{"Service": "sns.amazonaws.com"}}`, "users": allow(`["kms:Decrypt", "kms:GenerateDataKey"]`, `"arn:aws:kms:us-east-1:123456789012:key/*"`), "order-items": allow(`"kms:Decrypt"`, `"*"`)}, nil},
		{"the key is not for SNS", map[string]string{"key": ofKey + `"*"}`}, []string{
			"topic users does not reach queue feed", "topic users does not reach queue feed-dead", "topic users may not use the key of queue feed", "topic users may not use the key of queue feed-dead",
		}},
	} {
		i := mustRead(t, messages(test.change))
		if diff := cmp.Diff(test.want, i.Misuses(func(service, _ string) bool { return service == "api" })); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

// Without a key of its own a queue can be written to, and a topic without an owner is for services of AWS.
func TestKeysAndAlarms(t *testing.T) {
	alarm := func(principal string) string {
		return `, "Alarm": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "alarms"}}, "AlarmPolicy": {"Type": "AWS::SNS::TopicPolicy", "Properties": {"Topics": [{"Ref": "Alarm"}], "PolicyDocument": {"Statement": [` + noPlain + `, {"Effect": "Allow", "Action": "sns:Publish", "Principal": ` + principal + `, "Resource": "*"}]}}}`
	}
	for _, test := range []struct {
		resources string
		want      []string
	}{
		{strings.ReplaceAll(messages(nil), `"KmsMasterKeyId": {"Ref": "Key"}, `, ""), nil},
		{strings.ReplaceAll(messages(nil), `"KmsMasterKeyId": {"Ref": "Key"}, `, `"KmsMasterKeyId": "alias/aws/sqs", `), []string{
			"topic users does not reach queue feed", "topic users does not reach queue feed-dead", "topic users may not use the key of queue feed", "topic users may not use the key of queue feed-dead",
		}},
		{strings.ReplaceAll(messages(nil), `"KmsMasterKeyId": {"Ref": "Key"}, `, `"KmsMasterKeyId": "arn:aws:kms:us-east-1:123456789012:key/elsewhere", `), nil},
		{messages(nil) + alarm(`{"Service": "cloudwatch.amazonaws.com"}`), nil},
		{messages(map[string]string{"users": allow(`"sns:Publish"`, `"arn:aws:sns:us-east-1:123456789012:alarms"`)}) + alarm(`{"Service": "cloudwatch.amazonaws.com"}`), []string{"users: task may do sns:Publish on topic alarms"}},
	} {
		if diff := cmp.Diff(test.want, mustRead(t, test.resources).Misuses(func(_, _ string) bool { return false })); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

func TestChannelTable(t *testing.T) {
	i := mustRead(t, messages(map[string]string{"key": ofKey + `"*"}`}))
	want := "| topic or queue | who | may |\n|---|---|---|\n" +
		"| queue feed | order-items: task | `sqs:ChangeMessageVisibility`<br>`sqs:DeleteMessage`<br>`sqs:ReceiveMessage` |\n" +
		"|  | topic users | `sqs:SendMessage`<br>the key does not let it |\n" +
		"| queue feed-dead | topic users | `sqs:SendMessage`<br>the key does not let it |\n" +
		"| queue jobs | users: task | `sqs:DeleteMessage`<br>`sqs:ReceiveMessage`<br>`sqs:SendMessage` |\n" +
		"| topic users | users: task | `sns:Publish` |\n"
	if diff := cmp.Diff(want, i.ChannelTable()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if text := Document(i, i, []string{"api", "users"}); !strings.Contains(text, "\n## Who publishes and receives\n\n"+want) {
		t.Errorf("the document lacks the topics and queues:\n%s", text)
	}
	// What a service may do with them is not foreign.
	if foreign := i.Foreign([]string{"users", "order-items"}); len(foreign) != 1 || foreign[0] != "users: task may do sqs:*Message on none" {
		t.Errorf("foreign are %q", foreign)
	}
}
