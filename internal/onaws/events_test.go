package onaws

import (
	"encoding/json"
	"strings"
	"testing"
)

const eventsStack = `<ListStackResourcesResponse><ListStackResourcesResult><StackResourceSummaries>
<member><ResourceType>AWS::SNS::Topic</ResourceType><PhysicalResourceId>arn:aws:sns:eu-west-1:1:dev-users.fifo</PhysicalResourceId></member>
<member><ResourceType>AWS::SQS::Queue</ResourceType><PhysicalResourceId>https://sqs.eu-west-1.amazonaws.com/1/dev-feed.fifo</PhysicalResourceId></member>
<member><ResourceType>AWS::SQS::Queue</ResourceType><PhysicalResourceId>https://sqs.eu-west-1.amazonaws.com/1/dev-feed-dead.fifo</PhysicalResourceId></member>
<member><ResourceType>AWS::KMS::Key</ResourceType><PhysicalResourceId>key</PhysicalResourceId></member>
</StackResourceSummaries></ListStackResourcesResult></ListStackResourcesResponse>`

// The stack tells the topics and queues, SNS and SQS what they are like, and CloudWatch the ages.
func TestMessaging(t *testing.T) {
	aws := &fake{answers: map[string][]string{
		"ListStackResources": {eventsStack},
		"ListSubscriptionsByTopic": {`<ListSubscriptionsByTopicResponse><ListSubscriptionsByTopicResult><Subscriptions>
<member><Protocol>sqs</Protocol><Endpoint>arn:aws:sqs:eu-west-1:1:dev-feed.fifo</Endpoint><SubscriptionArn>arn:aws:sns:eu-west-1:1:dev-users.fifo:2</SubscriptionArn></member>
<member><Protocol>email</Protocol><Endpoint>me@example.com</Endpoint><SubscriptionArn>PendingConfirmation</SubscriptionArn></member>
</Subscriptions></ListSubscriptionsByTopicResult></ListSubscriptionsByTopicResponse>`},
		"GetQueueAttributes": {
			`{"Attributes": {"QueueArn": "arn:aws:sqs:eu-west-1:1:dev-feed.fifo", "ApproximateNumberOfMessages": "3", "ApproximateNumberOfMessagesNotVisible": "2", "ApproximateNumberOfMessagesDelayed": "1",
				"RedrivePolicy": "{\"deadLetterTargetArn\":\"arn:aws:sqs:eu-west-1:1:dev-feed-dead.fifo\",\"maxReceiveCount\":5}"}}`,
			`{"Attributes": {"QueueArn": "arn:aws:sqs:eu-west-1:1:dev-feed-dead.fifo", "ApproximateNumberOfMessages": "1"}}`},
		"GetMetricData": {`{"MetricDataResults": [{"Id": "q1", "Values": [12.5, 9]}]}`},
	}}
	getenv := aws.serve(t)
	client, names, err := Messaging(t.Context(), getenv, "dev-Events")
	if err != nil {
		t.Fatal(err)
	}
	all, err := client.Overview(t.Context(), names)
	if err != nil {
		t.Fatal(err)
	}
	if err := Ages(t.Context(), getenv, &all); err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(all)
	const url = "https://sqs.eu-west-1.amazonaws.com/1/"
	if want := `{"topics":[{"name":"dev-users.fifo","arn":"arn:aws:sns:eu-west-1:1:dev-users.fifo","subscriptions":[{"protocol":"sqs","endpoint":"dev-feed.fifo"},` +
		`{"protocol":"email","endpoint":"me@example.com","pending":true}]}],"queues":[` +
		`{"name":"dev-feed-dead.fifo","arn":"arn:aws:sqs:eu-west-1:1:dev-feed-dead.fifo","url":"` + url + `dev-feed-dead.fifo","fifo":true,"waiting":1,"inFlight":0,"delayed":0,"sources":["dev-feed.fifo"]},` +
		`{"name":"dev-feed.fifo","arn":"arn:aws:sqs:eu-west-1:1:dev-feed.fifo","url":"` + url + `dev-feed.fifo","fifo":true,"waiting":3,"inFlight":2,"delayed":1,"ageSeconds":12.5,"deadLetters":"dev-feed-dead.fifo","maxReceives":5}]}`; err != nil || string(got) != want {
		t.Errorf("%s, %v, want %s", got, err, want)
	}
}

func TestMessagingAmiss(t *testing.T) {
	for answer, want := range map[string]string{
		"!ValidationError Stack with id dev-Events does not exist": "there is no stack dev-Events in eu-west-1: the environment is deployed without events, or not at all",
		"!AccessDenied not you": "AWS did not answer for the stack dev-Events in eu-west-1: ",
	} {
		aws := &fake{answers: map[string][]string{"ListStackResources": {answer}}}
		if _, _, err := Messaging(t.Context(), aws.serve(t), "dev-Events"); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", answer, err, want)
		}
	}
}
