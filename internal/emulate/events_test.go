package emulate

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	cfntypes "github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/google/go-cmp/cmp"

	"cutover/internal/nightly"
)

// A topic with a queue, both encrypted by one key, a table with a stream, and a function that reads both. CAPITALS are replaced.
const eventsTemplate = `{
	"Resources": {
		"Key": {"Type": "AWS::KMS::Key", "Properties": {"Description": "DESCRIPTION", "EnableKeyRotation": ROTATED, "Tags": [{"Key": "environment", "Value": "VALUE"}TAG], "KeyPolicy": {"Version": "2012-10-17", "Statement": [
			{"Effect": "Allow", "Action": "KEYACTION", "Resource": "*", "Principal": {"AWS": "arn:aws:iam::123456789012:root"}},
			{"Effect": "Allow", "Action": ["kms:Decrypt", "kms:GenerateDataKey"], "Resource": "*", "Principal": PRINCIPAL}]}}},
		"Alias": {"Type": "AWS::KMS::Alias", "Properties": {"AliasName": "alias/ALIAS", "TargetKeyId": {"Fn::GetAtt": ["Key", "Arn"]}}},
		"Topic": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "PUBLISHED", "FifoTopic": true, SCOPE "KmsMasterKeyId": {"Fn::GetAtt": ["Key", "Arn"]}, "Tags": [{"Key": "environment", "Value": "VALUE"}TAG]}},
		"TopicPolicy": {"Type": "AWS::SNS::TopicPolicy", "Properties": {"Topics": [{"Ref": "Topic"}], "PolicyDocument": {"Version": "2012-10-17", "Statement": [
			{"Effect": "Deny", "Action": "TOPICACTION", "Resource": TOPICRESOURCE, "Principal": {"AWS": "*"}, "Condition": {"Bool": {"aws:SecureTransport": "false"}}}]}}},
		"Dead": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "dead.fifo", "FifoQueue": true, "MessageRetentionPeriod": 1209600}},
		"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "QUEUE", FIFO VISIBILITY ENCRYPTED "KmsMasterKeyId": {"Fn::GetAtt": ["Key", "Arn"]},
			"RedrivePolicy": {"deadLetterTargetArn": {"Fn::GetAtt": ["Dead", "Arn"]}, "maxReceiveCount": 5}, "Tags": [{"Key": "environment", "Value": "VALUE"}TAG]}},
		"QueuePolicy": {"Type": "AWS::SQS::QueuePolicy", "Properties": {"Queues": [{"Ref": "Queue"}], "PolicyDocument": {"Version": "2012-10-17", "Statement": [
			{"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": {"Fn::GetAtt": ["Queue", "Arn"]}, "Principal": {"Service": "sns.amazonaws.com"}, "Condition": {"ArnEquals": {"aws:SourceArn": {"Ref": "Topic"}}}}]}}},
		"Subscription": {"Type": "AWS::SNS::Subscription", "Properties": {"TopicArn": {"Ref": "Topic"}, "Protocol": "PROTOCOL", "Endpoint": {"Fn::GetAtt": ["Queue", "Arn"]}, "RawMessageDelivery": true, FILTER
			"RedrivePolicy": {"deadLetterTargetArn": SUBSCRIPTIONDEAD}}},
		MAIL
		"Table": {"Type": "AWS::DynamoDB::GlobalTable", "Properties": {"TableName": "streamed", "BillingMode": "PAY_PER_REQUEST", STREAM
			"AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}], "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}], "Replicas": [{"Region": "us-east-1"}]}},
		"Role": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": []}}},
		"Policy": {"Type": "AWS::IAM::Policy", "Properties": {"PolicyName": "reads", "Roles": [{"Ref": "Role"}], "PolicyDocument": {"Version": "2012-10-17", "Statement": [
			{"Effect": "Allow", "Action": "READS", "Resource": {"Fn::GetAtt": ["Queue", "Arn"]}},
			{"Effect": "Allow", "Action": ["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"], "Resource": {"Fn::Sub": "${Table.Arn}/stream/*"}}]}}},
		"Function": {"Type": "AWS::Lambda::Function", "Properties": {"FunctionName": "relay", "Runtime": "python3.13", "Handler": "index.handler", "Role": {"Fn::GetAtt": ["Role", "Arn"]}, "Timeout": 30, "Code": {"ZipFile": "code"}}},
		"Version": {"Type": "AWS::Lambda::Version", "Properties": {"FunctionName": {"Ref": "Function"}}},
		"Live": {"Type": "AWS::Lambda::Alias", "Properties": {"Name": "live", "FunctionName": {"Ref": "Function"}, "FunctionVersion": {"Fn::GetAtt": ["Version", "Version"]}}},
		READER
		"OfQueue": {"Type": "AWS::Lambda::EventSourceMapping", "DependsOn": "Policy", "Properties": {"FunctionName": {"Ref": "Live"}, "EventSourceArn": {"Fn::GetAtt": ["Queue", "Arn"]}, "BatchSize": BATCH, ENABLED
			"FunctionResponseTypes": ["ReportBatchItemFailures"], "Tags": [{"Key": "environment", "Value": "VALUE"}TAG]}}
	},
	"Outputs": {"Key": {"Value": {"Ref": "Key"}}, "KeyArn": {"Value": {"Fn::GetAtt": ["Key", "Arn"]}}, "Topic": {"Value": {"Ref": "Topic"}}, "TopicName": {"Value": {"Fn::GetAtt": ["Topic", "TopicName"]}},
		"TopicArn": {"Value": {"Fn::GetAtt": ["Topic", "TopicArn"]}}, "Queue": {"Value": {"Ref": "Queue"}}, "QueueArn": {"Value": {"Fn::GetAtt": ["Queue", "Arn"]}}, "QueueName": {"Value": {"Fn::GetAtt": ["Queue", "QueueName"]}},
		"QueueUrl": {"Value": {"Fn::GetAtt": ["Queue", "QueueUrl"]}}, "Dead": {"Value": {"Ref": "Dead"}}, "Subscription": {"Value": {"Ref": "Subscription"}}, "SubscriptionArn": {"Value": {"Fn::GetAtt": ["Subscription", "Arn"]}},
		"Alias": {"Value": {"Ref": "Alias"}}, "OfQueue": {"Value": {"Fn::GetAtt": ["OfQueue", "Id"]}}, "Live": {"Value": {"Ref": "Live"}} MORE}
}`

// reader reads the stream of the table.
const reader = `"OfStream": {"Type": "AWS::Lambda::EventSourceMapping", "DependsOn": "Policy", "Properties": {"FunctionName": {"Ref": "Live"}, "EventSourceArn": {"Fn::GetAtt": ["Table", "StreamArn"]}, STARTING
	"BisectBatchOnFunctionError": true, "MaximumRetryAttempts": -1, "MaximumRecordAgeInSeconds": 86400, "ParallelizationFactor": 1, "FunctionResponseTypes": ["ReportBatchItemFailures"],
	"DestinationConfig": {"OnFailure": {"Destination": {"Fn::GetAtt": ["Dead", "Arn"]}}}, "FilterCriteria": {"Filters": [{"Pattern": "{\"dynamodb\":{\"NewImage\":{\"event\":[{\"exists\":true}]}}}"}]}}},`

func eventsStack(changes ...string) string {
	return strings.NewReplacer(append(changes, "DESCRIPTION", "events", "ROTATED", "true", "KEYACTION", "kms:*", "PRINCIPAL", `{"Service": "sns.amazonaws.com"}`, "ALIAS", "events", "TOPICACTION", "sns:Publish",
		"TOPICRESOURCE", `{"Ref": "Topic"}`, "PUBLISHED", "users.fifo", "SCOPE", `"FifoThroughputScope": "MessageGroup",`, "QUEUE", "feed.fifo", "FIFO", `"FifoQueue": true,`, "VISIBILITY", `"VisibilityTimeout": 60,`, "ENCRYPTED", "",
		"PROTOCOL", "sqs", "FILTER", `"FilterPolicy": {"source": ["/api/users"]},`, "SUBSCRIPTIONDEAD", `{"Fn::GetAtt": ["Dead", "Arn"]}`, "MAIL", "", "STREAM", `"StreamSpecification": {"StreamViewType": "NEW_IMAGE"},`,
		"READS", "sqs:*", "READER", strings.Replace(reader, "STARTING", `"StartingPosition": "TRIM_HORIZON",`, 1), "BATCH", "10", "ENABLED", "", "VALUE", "test", "TAG", "",
		"MORE", `, "Stream": {"Value": {"Fn::GetAtt": ["Table", "StreamArn"]}}, "OfStream": {"Value": {"Ref": "OfStream"}}`)...).Replace(eventsTemplate)
}

// asked asks an API that speaks JSON.
func asked(t *testing.T, a *AWS, service, target string, params, answer any) {
	t.Helper()
	body, err := json.Marshal(params)
	if err != nil {
		t.Fatal(err)
	}
	text, resp := ask(t, a, http.MethodPost, service, "/", string(body), "Content-Type", "application/x-amz-json-1.0", "X-Amz-Target", target)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %s", target, resp.Status, text)
	}
	if err := json.Unmarshal([]byte(text), answer); err != nil {
		t.Fatalf("%s: %v: %s", target, err, text)
	}
}

// sns asks SNS for attributes or tags.
func sns(t *testing.T, a *AWS, action string, params ...string) map[string]string {
	t.Helper()
	form := url.Values{"Action": {action}, "Version": {"2010-03-31"}}
	for i := 0; i < len(params); i += 2 {
		form.Set(params[i], params[i+1])
	}
	text, resp := ask(t, a, http.MethodPost, "sns", "/", form.Encode(), "Content-Type", "application/x-www-form-urlencoded")
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %s", action, resp.Status, text)
	}
	type pair struct {
		Key      string `xml:"key"`
		Value    string `xml:"value"`
		TagKey   string `xml:"Key"`
		TagValue string `xml:"Value"`
	}
	var found struct {
		Attributes []pair `xml:"GetTopicAttributesResult>Attributes>entry"`
		Of         []pair `xml:"GetSubscriptionAttributesResult>Attributes>entry"`
		Tags       []pair `xml:"ListTagsForResourceResult>Tags>member"`
	}
	if err := xml.Unmarshal([]byte(text), &found); err != nil {
		t.Fatalf("%s: %v: %s", action, err, text)
	}
	all := map[string]string{}
	for _, p := range append(append(found.Attributes, found.Of...), found.Tags...) {
		all[p.Key+p.TagKey] = p.Value + p.TagValue
	}
	return all
}

// eventsPicture is what the services have of the stack, by what it is of.
func eventsPicture(t *testing.T, a *AWS, out map[string]string) map[string]map[string]string {
	t.Helper()
	all := map[string]map[string]string{"topic": sns(t, a, "GetTopicAttributes", "TopicArn", out["Topic"]), "topic's tags": sns(t, a, "ListTagsForResource", "ResourceArn", out["Topic"]),
		"subscription": sns(t, a, "GetSubscriptionAttributes", "SubscriptionArn", out["Subscription"])}
	var key struct{ KeyMetadata map[string]any }
	asked(t, a, "kms", "TrentService.DescribeKey", map[string]any{"KeyId": out["Key"]}, &key)
	var rotation struct{ KeyRotationEnabled bool }
	asked(t, a, "kms", "TrentService.GetKeyRotationStatus", map[string]any{"KeyId": out["Key"]}, &rotation)
	var policy struct{ Policy string }
	asked(t, a, "kms", "TrentService.GetKeyPolicy", map[string]any{"KeyId": out["Key"], "PolicyName": "default"}, &policy)
	var aliases struct {
		Aliases []struct{ AliasName, TargetKeyId string }
	}
	asked(t, a, "kms", "TrentService.ListAliases", map[string]any{"KeyId": out["Key"]}, &aliases)
	var tags struct {
		Tags []struct{ TagKey, TagValue string }
	}
	asked(t, a, "kms", "TrentService.ListResourceTags", map[string]any{"KeyId": out["Key"]}, &tags)
	all["key"] = map[string]string{"state": fmt.Sprint(key.KeyMetadata["KeyState"]), "description": fmt.Sprint(key.KeyMetadata["Description"]), "arn": fmt.Sprint(key.KeyMetadata["Arn"]),
		"rotated": fmt.Sprint(rotation.KeyRotationEnabled), "policy": policy.Policy, "aliases": fmt.Sprint(aliases.Aliases), "tags": fmt.Sprint(tags.Tags)}
	var queue struct{ Attributes map[string]string }
	asked(t, a, "sqs", "AmazonSQS.GetQueueAttributes", map[string]any{"QueueUrl": out["Queue"], "AttributeNames": []string{"All"}}, &queue)
	delete(queue.Attributes, "LastModifiedTimestamp")
	delete(queue.Attributes, "CreatedTimestamp")
	var tagged struct{ Tags map[string]string }
	asked(t, a, "sqs", "AmazonSQS.ListQueueTags", map[string]any{"QueueUrl": out["Queue"]}, &tagged)
	all["queue"], all["queue's tags"] = queue.Attributes, tagged.Tags
	var table struct{ Table map[string]any }
	asked(t, a, "dynamodb", "DynamoDB_20120810.DescribeTable", map[string]any{"TableName": "streamed"}, &table)
	all["table"] = map[string]string{"stream": fmt.Sprint(table.Table["StreamSpecification"])}
	for _, name := range []string{"OfQueue", "OfStream"} {
		if out[name] == "" {
			continue
		}
		var mapping map[string]any
		read(t, a, "lambda", "/2015-03-31/event-source-mappings/"+out[name], &mapping)
		all[name] = map[string]string{}
		for property, value := range mapping {
			if property != "LastModified" {
				all[name][property] = fmt.Sprint(value)
			}
		}
	}
	return all
}

// TestEvents: topics, queues, subscriptions, keys, streams and event source mappings arrive at their services. They change in
// place or by replacement, and a rollback leaves them as they were.
func TestEvents(t *testing.T) {
	nightly.Test(t, "it deploys and updates topics, queues and streams on an emulated AWS")
	a := services(t)
	cfn, destroy := stacks(t, a)
	deploy := deploying(t, cfn, "events")
	refuses := refusing(t, "events", deploy, destroy)
	for _, refused := range []struct {
		name, reason string
		changes      []string
	}{
		{"a key that nobody could change", "Key: ", []string{"KEYACTION", "kms:Decrypt"}},
		{"a key for a role that is not there", "invalid principals", []string{"PRINCIPAL", `{"AWS": "arn:aws:iam::123456789012:role/none"}`}},
		{"an alias of another form", "Alias: ", []string{"alias/ALIAS", "events"}},
		{"a FIFO topic with another name", "Topic: ", []string{"PUBLISHED", "users"}},
		{"a pattern in the policy of a topic", "action out of service scope", []string{"TOPICACTION", "sns:*"}},
		{"the policy of another topic", "is not the topic", []string{"TOPICRESOURCE", `"*"`}},
		{"a FIFO queue with another name", "Queue: ", []string{"QUEUE", "feed"}},
		{"a standard queue with the name of a FIFO queue", "set FifoQueue", []string{"FIFO", ""}},
		{"a standard queue with a FIFO dead-letter queue", "must be same type of queue", []string{"FIFO", "", "QUEUE", "feed"}},
		{"two kinds of encryption", "one type of server-side encryption", []string{"ENCRYPTED", `"SqsManagedSseEnabled": true,`}},
		{"an attribute that nobody knows", "does not keep the property Colour", []string{"VISIBILITY", `"Colour": "red",`}},
		{"mail from a FIFO topic", "delivers to SQS only", []string{"PROTOCOL", "email"}},
		{"a filter that is none", "Subscription: ", []string{"FILTER", `"FilterPolicy": {"source": "/api/users"},`}},
		{"a standard dead-letter queue of a FIFO topic", "must be FIFO exactly if the topic is", []string{"SUBSCRIPTIONDEAD", `"arn:aws:sqs:us-east-1:123456789012:dead"`}},
		{"a table without a stream", "does not support attribute type StreamArn", []string{"STREAM", ""}},
		{"a stream without a position", "startingPosition", []string{"READER", strings.Replace(reader, "STARTING", "", 1)}},
		{"a role without permissions", "does not have permissions to call sqs:DeleteMessage", []string{"READS", "sqs:ReceiveMessage"}},
		{"a queue that shows messages too early", "less than Function timeout: 30 seconds", []string{"VISIBILITY", `"VisibilityTimeout": 20,`}},
		{"a batch too long for FIFO", "exceeds the max of 10", []string{"BATCH", "11"}},
	} {
		refuses(refused.name, eventsStack(refused.changes...), refused.reason)
	}

	if status, reason := deploy(cfntypes.ChangeSetTypeCreate, eventsStack()); status != "CREATE_COMPLETE" {
		t.Fatal(status, reason)
	}
	first := outputs(t, cfn, "events")
	const arn = "arn:aws:sns:us-east-1:123456789012:users.fifo"
	for _, is := range [][2]string{
		{first["Topic"], arn}, {first["TopicArn"], arn}, {first["TopicName"], "users.fifo"}, {first["QueueArn"], "arn:aws:sqs:us-east-1:123456789012:feed.fifo"}, {first["QueueName"], "feed.fifo"},
		{first["QueueUrl"], first["Queue"]}, {first["SubscriptionArn"], first["Subscription"]}, {first["Alias"], "alias/events"}, {first["KeyArn"], "arn:aws:kms:us-east-1:123456789012:key/" + first["Key"]},
	} {
		if is[0] != is[1] {
			t.Errorf("output %q, want %q", is[0], is[1])
		}
	}
	picture := eventsPicture(t, a, first)
	has := func(what, attribute string, want ...string) {
		t.Helper()
		for _, part := range want {
			if got := picture[what][attribute]; got != part && (!strings.Contains(got, part) || part == "") {
				t.Errorf("%s: %s is %q, want %q", what, attribute, got, part)
			}
		}
	}
	created := func() {
		t.Helper()
		has("key", "state", "Enabled")
		has("key", "rotated", "true")
		has("key", "policy", "sns.amazonaws.com")
		has("key", "aliases", "alias/events")
		has("key", "tags", "[{environment test}]")
		has("topic", "FifoTopic", "true")
		has("topic", "ContentBasedDeduplication", "false")
		has("topic", "FifoThroughputScope", "MessageGroup")
		has("topic", "KmsMasterKeyId", first["KeyArn"])
		has("topic", "Policy", `"aws:SecureTransport":"false"`)
		has("topic's tags", "environment", "test")
		has("subscription", "RawMessageDelivery", "true")
		has("subscription", "FilterPolicy", `{"source":["/api/users"]}`)
		has("subscription", "RedrivePolicy", `:dead.fifo"`)
		has("subscription", "PendingConfirmation", "false")
		has("queue", "FifoQueue", "true")
		has("queue", "VisibilityTimeout", "60")
		has("queue", "MessageRetentionPeriod", "345600")
		has("queue", "MaximumMessageSize", "1048576")
		has("queue", "KmsMasterKeyId", first["KeyArn"])
		has("queue", "SqsManagedSseEnabled", "false")
		has("queue", "RedrivePolicy", `:dead.fifo"`, `"maxReceiveCount": 5`)
		has("queue", "Policy", arn)
		has("queue's tags", "environment", "test")
		has("table", "stream", "NEW_IMAGE")
		has("OfQueue", "FunctionArn", first["Live"])
		has("OfQueue", "State", "Enabled")
		has("OfQueue", "BatchSize", "10")
		has("OfStream", "EventSourceArn", first["Stream"])
		has("OfStream", "StartingPosition", "TRIM_HORIZON")
		has("OfStream", "MaximumRetryAttempts", "-1")
		has("OfStream", "FilterCriteria", `"exists":true`)
		has("OfStream", "DestinationConfig", ":dead.fifo")
	}
	created()

	// A new name makes a new resource. What is behind it is created before the failure, and goes again.
	failing := []string{"BATCH", "11", "VALUE", "changed", "TAG", `, {"Key": "more", "Value": "1"}`, "DESCRIPTION", "changed", "ROTATED", "false", "ALIAS", "others", "PUBLISHED", "posts.fifo", "SCOPE", "",
		"VISIBILITY", "", "QUEUE", "others.fifo", "FILTER", ""}
	if status, reason := deploy(cfntypes.ChangeSetTypeUpdate, eventsStack(failing...)); status != "UPDATE_ROLLBACK_COMPLETE" || !strings.Contains(reason, "OfQueue: ") {
		t.Errorf("a batch that is too long: %s (%s), want a rollback", status, reason)
	}
	if diff := cmp.Diff(picture, eventsPicture(t, a, first)); diff != "" {
		t.Errorf("after the rollback (-want +got):\n%s", diff)
	}

	in := []string{"VALUE", "changed", "TAG", `, {"Key": "more", "Value": "1"}`, "DESCRIPTION", "changed", "ROTATED", "false", "SCOPE", "", "VISIBILITY", "", "FILTER", `"FilterPolicy": {"key": ["1"]},`,
		"ENABLED", `"Enabled": false,`, "BATCH", "5", "TOPICACTION", "sns:Subscribe", "MAIL", `"Other": {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": "alarms"}}, "Mail": {"Type": "AWS::SNS::Subscription",
			"Properties": {"TopicArn": {"Ref": "Other"}, "Protocol": "email", "Endpoint": "a@example.com"}},`}
	if status, reason := deploy(cfntypes.ChangeSetTypeUpdate, eventsStack(in...)); status != "UPDATE_COMPLETE" {
		t.Fatal(status, reason)
	}
	if diff := cmp.Diff(first, outputs(t, cfn, "events")); diff != "" {
		t.Errorf("replaced by a change in place (-want +got):\n%s", diff)
	}
	picture = eventsPicture(t, a, first)
	has("key", "description", "changed")
	has("key", "rotated", "false")
	has("key", "tags", "{environment changed}", "{more 1}")
	has("topic", "FifoThroughputScope", "MessageGroup")
	has("topic", "Policy", "sns:Subscribe")
	has("topic's tags", "more", "1")
	has("subscription", "FilterPolicy", `{"key":["1"]}`)
	has("queue", "VisibilityTimeout", "30")
	has("queue", "Policy", arn)
	has("queue's tags", "environment", "changed")
	has("OfQueue", "State", "Disabled")
	has("OfQueue", "BatchSize", "5")
	has("OfQueue", "Tags", "environment:changed", "more:1")

	// Without the stream and its reader, and without a filter: all tags but one go, and the stream that comes back is another one.
	if status, reason := deploy(cfntypes.ChangeSetTypeUpdate, eventsStack("STREAM", "", "READER", "", "MORE", "", "FILTER", "", "TOPICACTION", "sns:Subscribe")); status != "UPDATE_COMPLETE" {
		t.Fatal(status, reason)
	}
	picture = eventsPicture(t, a, outputs(t, cfn, "events"))
	has("table", "stream", "<nil>")
	if _, filtered := picture["subscription"]["FilterPolicy"]; filtered || len(picture["topic's tags"])+len(picture["queue's tags"]) != 2 {
		t.Errorf("left: %v", picture)
	}
	// A rollback switches a stream on again. It is another one, which the next deployment has to find.
	if status, reason := deploy(cfntypes.ChangeSetTypeUpdate, eventsStack()); status != "UPDATE_COMPLETE" {
		t.Fatal(status, reason)
	}
	before := outputs(t, cfn, "events")
	if status, _ := deploy(cfntypes.ChangeSetTypeUpdate, eventsStack("STREAM", "", "READER", "", "MORE", "", "BATCH", "11")); status != "UPDATE_ROLLBACK_COMPLETE" {
		t.Errorf("without the stream: %s, want a rollback", status)
	}
	if status, reason := deploy(cfntypes.ChangeSetTypeUpdate, eventsStack("PUBLISHED", "posts.fifo", "QUEUE", "others.fifo", "ALIAS", "others")); status != "UPDATE_COMPLETE" {
		t.Fatal(status, reason)
	}
	second := outputs(t, cfn, "events")
	for _, name := range []string{"Topic", "Queue", "Subscription", "Alias", "OfQueue", "Stream", "OfStream"} {
		if second[name] == first[name] || second[name] == "" {
			t.Errorf("%s is still %q", name, first[name])
		}
	}
	picture = eventsPicture(t, a, second)
	has("OfStream", "EventSourceArn", second["Stream"])
	if second["Stream"] == before["Stream"] {
		t.Errorf("the stream is still %s", before["Stream"])
	}
	for _, name := range []string{"Key", "Dead"} {
		if second[name] != first[name] {
			t.Errorf("%s is %q, want %q", name, second[name], first[name])
		}
	}
	list := func() (names []string) {
		t.Helper()
		for _, of := range []string{"ListTopics", "ListSubscriptions"} {
			text, _ := ask(t, a, http.MethodPost, "sns", "/", "Action="+of+"&Version=2010-03-31", "Content-Type", "application/x-www-form-urlencoded")
			names = append(names, fmt.Sprint(of, strings.Count(text, "<TopicArn>")))
		}
		var queues struct{ QueueUrls []string }
		asked(t, a, "sqs", "AmazonSQS.ListQueues", map[string]any{}, &queues)
		var mappings struct{ EventSourceMappings []any }
		read(t, a, "lambda", "/2015-03-31/event-source-mappings/", &mappings)
		return append(names, fmt.Sprint("queues", len(queues.QueueUrls)), fmt.Sprint("mappings", len(mappings.EventSourceMappings)))
	}
	if diff := cmp.Diff([]string{"ListTopics1", "ListSubscriptions1", "queues2", "mappings2"}, list()); diff != "" {
		t.Errorf("there are (-want +got):\n%s", diff)
	}
	if left := destroy("events"); left != "" {
		t.Fatal(left)
	}
	if diff := cmp.Diff([]string{"ListTopics0", "ListSubscriptions0", "queues0", "mappings0"}, list()); diff != "" {
		t.Errorf("left after the deletion (-want +got):\n%s", diff)
	}
	var key struct{ KeyMetadata struct{ KeyState string } }
	asked(t, a, "kms", "TrentService.DescribeKey", map[string]any{"KeyId": first["Key"]}, &key)
	if key.KeyMetadata.KeyState != "PendingDeletion" {
		t.Errorf("the key is %s, want it to be deleted later", key.KeyMetadata.KeyState)
	}
}
