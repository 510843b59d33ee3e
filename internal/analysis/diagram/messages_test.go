package diagram

import (
	"strings"
	"testing"
)

// Topics, queues and message brokers are drawn with who publishes, sends and receives, and with the functions that they invoke.
func TestMessages(t *testing.T) {
	service := func(name, statement string) string {
		return strings.NewReplacer("NAME", name, "STATEMENT", statement).Replace(`,
	"RoleNAME": {"Type": "AWS::IAM::Role", "Properties": {"Policies": [{"PolicyDocument": {"Statement": [STATEMENT]}}]}},
	"TaskNAME": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"TaskRoleArn": {"Fn::GetAtt": ["RoleNAME", "Arn"]}, "ContainerDefinitions": [{"Name": "c"}]}},
	"NAME": {"Type": "AWS::ECS::Service", "Properties": {"ServiceName": "NAME", "Cluster": {"Ref": "Cluster"}, "TaskDefinition": {"Ref": "TaskNAME"}, "DesiredCount": 1}}`)
	}
	app := shop("1", "1", "1") + `,
	"Table": {"Type": "AWS::DynamoDB::Table", "Properties": {"TableName": "users", "StreamSpecification": {"StreamViewType": "NEW_IMAGE"}}},
	"Topic": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "users.fifo", "FifoTopic": true}},
	"Alarms": {"Type": "AWS::SNS::Topic", "Properties": {}},
	"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "feed.fifo", "FifoQueue": true, "RedrivePolicy": {"deadLetterTargetArn": {"Fn::GetAtt": ["Dead", "Arn"]}, "maxReceiveCount": 5}}},
	"Dead": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "feed-dead.fifo", "FifoQueue": true}},
	"Jobs": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "jobs"}},
	"Subscription": {"Type": "AWS::SNS::Subscription", "Properties": {"Protocol": "sqs", "TopicArn": {"Ref": "Topic"}, "Endpoint": {"Fn::GetAtt": ["Queue", "Arn"]}, "FilterPolicy": {"source": ["/api/users"]}}},
	"RoleRelay": {"Type": "AWS::IAM::Role", "Properties": {"Policies": [{"PolicyDocument": {"Statement": [{"Effect": "Allow", "Action": "sns:Publish", "Resource": {"Ref": "Topic"}}, {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": {"Fn::GetAtt": ["GaveUp", "Arn"]}}]}}]}},
	"GaveUp": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "relay-dead"}},
	"Relay": {"Type": "AWS::Lambda::Function", "Properties": {"FunctionName": "relay", "Role": {"Fn::GetAtt": ["RoleRelay", "Arn"]}}},
	"Stream": {"Type": "AWS::Lambda::EventSourceMapping", "Properties": {"FunctionName": {"Ref": "Relay"}, "EventSourceArn": {"Fn::GetAtt": ["Table", "StreamArn"]}, "DestinationConfig": {"OnFailure": {"Destination": {"Fn::GetAtt": ["GaveUp", "Arn"]}}}}},
	"RoleTaker": {"Type": "AWS::IAM::Role", "Properties": {"Policies": [{"PolicyDocument": {"Statement": [{"Effect": "Allow", "Action": "sqs:ReceiveMessage", "Resource": {"Fn::GetAtt": ["Jobs", "Arn"]}}]}}]}},
	"Taker": {"Type": "AWS::Lambda::Function", "Properties": {"FunctionName": "taker", "Role": {"Fn::GetAtt": ["RoleTaker", "Arn"]}}},
	"Poll": {"Type": "AWS::Lambda::EventSourceMapping", "Properties": {"FunctionName": {"Ref": "Taker"}, "EventSourceArn": {"Fn::GetAtt": ["Jobs", "Arn"]}}}` +
		service("feed-consumer", `{"Effect": "Allow", "Action": ["sqs:ReceiveMessage", "sqs:DeleteMessage"], "Resource": {"Fn::Join": ["", ["arn:aws:sqs:", {"Ref": "AWS::Region"}, ":1:feed.fifo"]]}}`) +
		`, "Broker": {"Type": "AWS::AmazonMQ::Broker", "Properties": {"BrokerName": "dev", "EngineType": "RABBITMQ"}},
	"Url": {"Type": "AWS::SecretsManager::Secret", "Properties": {"Name": "dev/broker-url", "SecretString": {"Fn::Sub": ["amqps://${host}", {"host": {"Fn::Select": [0, {"Fn::GetAtt": ["Broker", "AmqpEndpoints"]}]}}]}}}` +
		strings.Replace(service("legacy", ``), `[{"Name": "c"}]`, `[{"Name": "c", "Secrets": [{"Name": "AMQP_URL", "ValueFrom": {"Fn::Sub": "arn:aws:secretsmanager:${AWS::Region}:1:secret:dev/broker-url"}}]}]`, 1) +
		service("deletions", `{"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": {"Fn::GetAtt": ["Jobs", "Arn"]}}`)
	got, err := Requests(Layer{"", read(t, app)})
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		`        topicusersfifo_1[/"topic users.fifo"/]`,
		`        queuefeedfifo_1[/"queue feed.fifo"/]`,
		`        Lambdafunctionrelay_1["Lambda function relay"]`,
		`    topicusersfifo_1 -->|"some messages"| queuefeedfifo_1`,
		`    queuefeedfifo_1 -.->|"received 5 times"| queuefeeddeadfifo_1`,
		`    tableusers_1 -->|"changes"| Lambdafunctionrelay_1`,
		`    Lambdafunctionrelay_1 -->|"events"| topicusersfifo_1`,
		`    queuefeedfifo_1 -->|"messages"| feedconsumer_1`,
		`    deletions_1 -->|"messages"| queuejobs_1`,
		`    Lambdafunctionrelay_1 -.->|"given up"| queuerelaydead_1`,
		`    queuejobs_1 -->|"messages"| Lambdafunctiontaker_1`,
		`        messagebrokerdev_1[/"message broker dev"/]`,
		`    legacy_1 -->|"AMQP"| messagebrokerdev_1`,
	} {
		if strings.Count(got, line+"\n") != 1 {
			t.Errorf("the picture has not one line %q:\n%s", line, got)
		}
	}
	if strings.Contains(got, `Lambdafunctionrelay_1 -->|"messages"|`) {
		t.Errorf("what Lambda sends for the relay is drawn twice:\n%s", got)
	}
	if strings.Contains(got, "Alarms") {
		t.Errorf("a topic that carries no events is drawn:\n%s", got)
	}
}
