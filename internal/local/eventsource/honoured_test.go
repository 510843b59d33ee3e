//go:build unix

package eventsource

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"cutover/internal/local/backing/access"
	"cutover/internal/local/provider"
)

// queued has a queue whose messages invoke a function.
func queued(queue, mapping object) object {
	get := func(id string) object { return object{"Fn::GetAtt": []any{id, "Arn"}} }
	q, m := object{"QueueName": "jobs", "VisibilityTimeout": 60}, object{"FunctionName": get("F"), "EventSourceArn": get("Q")}
	maps.Copy(q, queue)
	maps.Copy(m, mapping)
	return object{
		"Q": object{"Type": "AWS::SQS::Queue", "Properties": q},
		"D": object{"Type": "AWS::SQS::Queue", "Properties": object{"QueueName": "dead.fifo", "FifoQueue": true}},
		"R": object{"Type": "AWS::IAM::Role", "Properties": object{"Policies": []any{object{"PolicyDocument": object{"Statement": object{
			"Effect": "Allow", "Action": "sqs:*", "Resource": "arn:aws:sqs:*:*:jobs*",
		}}}}}},
		"F": object{"Type": "AWS::Lambda::Function", "Properties": object{"FunctionName": "worker", "Role": get("R"), "Runtime": "provided.al2023", "Handler": "bootstrap", "Timeout": 30}},
		"M": object{"Type": "AWS::Lambda::EventSourceMapping", "Properties": m},
	}
}

func TestHonoured(t *testing.T) {
	fifo := object{"QueueName": "jobs.fifo", "FifoQueue": true}
	filter := func(pattern string) object {
		return object{"FilterCriteria": object{"Filters": []any{object{"Pattern": pattern}}}}
	}
	for _, c := range []struct {
		of   object
		want string // all of it, without the place; empty for no error
	}{
		{queued(nil, nil), ""},
		{queued(fifo, object{"ScalingConfig": object{"MaximumConcurrency": 2}, "Tags": []any{}}), ""},
		{queued(nil, object{"BatchSize": 100, "MaximumBatchingWindowInSeconds": 1}), ""},
		{app(object{"BisectBatchOnFunctionError": true, "MaximumRetryAttempts": 3, "MaximumRecordAgeInSeconds": 60, "ParallelizationFactor": 1}), ""},
		{queued(fifo, object{"BatchSize": 11}), "BatchSize: 11: a FIFO queue gives 10 messages at most"},
		{queued(fifo, object{"MaximumBatchingWindowInSeconds": 1}), "MaximumBatchingWindowInSeconds: AWS refuses a window for a FIFO queue"},
		{queued(nil, object{"BatchSize": 11}), "BatchSize: 11: with more than 10, MaximumBatchingWindowInSeconds must be 1 at least"},
		{queued(object{"VisibilityTimeout": 29}, nil), "EventSourceArn: the visibility timeout of the queue jobs, 29s, is shorter than the time-out of the function, 30s: AWS refuses this"},
		{queued(nil, filter(`{"attributes": {"a": [1]}}`)), `FilterCriteria: the pattern has "attributes", and AWS compares the body of a message alone`},
		{queued(nil, filter(`{"body": [{"cidr": "10.0.0.0/8"}]}`)), `FilterCriteria: the rule {"cidr":"10.0.0.0/8"} of "body" is not known here`},
		{queued(nil, object{"StartingPosition": "LATEST"}), "StartingPosition: AWS takes it for streams alone"},
		{queued(nil, object{"ProvisionedPollerConfig": object{"MinimumPollers": 2}}), "ProvisionedPollerConfig: not honoured: a queue has one poller here"},
		{app(object{"StartingPosition": "AT_TIMESTAMP"}), `StartingPosition: "AT_TIMESTAMP" is not honoured: AWS takes TRIM_HORIZON or LATEST for the stream of a table`},
		{app(object{"ParallelizationFactor": 2}), `ParallelizationFactor: "2" is not honoured: a shard has one batch at a time here`},
		{app(object{"TumblingWindowInSeconds": 30}), "TumblingWindowInSeconds: not honoured: no state is kept between invocations here"},
		{app(object{"ScalingConfig": object{"MaximumConcurrency": 2}}), "ScalingConfig: AWS takes it for queues alone"},
		{app(object{"DestinationConfig": object{"OnFailure": object{"Destination": "arn:aws:sns:eu-west-1:1:topic"}}}), "DestinationConfig.OnFailure.Destination: only a queue of the assembly gets what was given up here"},
		{func() object {
			all := app(object{"DestinationConfig": object{"OnFailure": object{"Destination": object{"Fn::GetAtt": []any{"D", "Arn"}}}}})
			all["D"] = queued(nil, nil)["D"]
			return all
		}(), "DestinationConfig.OnFailure.Destination: AWS refuses a FIFO queue"},
	} {
		m := read(t, c.of)
		err := check(m.EventSources[0])
		if got := strings.ReplaceAll(fmt.Sprint(err), "S/M/Properties.", ""); got != c.want && (err != nil || c.want != "") {
			t.Errorf("%v\n got %s\nwant %s", c.of["M"], got, c.want)
		}
	}
}

// A mapping whose source is not here is listed, and its function is nothing that runs here.
func TestElsewhere(t *testing.T) {
	m := read(t, queued(nil, object{"EventSourceArn": "arn:aws:kinesis:eu-west-1:1:stream/clicks"}))
	plan := New(Options{Access: access.New()}).Plan(m, nil)
	over := plan.(provider.Reporter).PassedOver()
	if m.Functions[0].Invoked || plan.Check() != nil || plan.(provider.Partial).Stands(m.EventSources[0].Resource) || len(over) != 1 || !strings.Contains(over[0].Why, "arn:aws:kinesis:eu-west-1:1:stream/clicks is none") {
		t.Errorf("%+v, %v", over, plan.Check())
	}
}
