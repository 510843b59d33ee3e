//go:build unix

package eventsource

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cutover/internal/local/backing/client"
	"cutover/internal/local/backing/programs/programstest"
	"cutover/internal/local/lambda"
	"cutover/internal/local/provider"
	"cutover/internal/model"
	"cutover/internal/nightly"
)

// withQueues is a deployment with SQS, and a client of its user.
func withQueues(t *testing.T) (*deployment, *client.Client) {
	url := programstest.Queues(t).URL
	d := &deployment{t: t, dir: t.TempDir(), functions: &functions{do: succeed, asked: make(chan []object, 1000)}, events: make(chan provider.Event, 1000)}
	d.start(func() []model.Variable { return []model.Variable{{Name: "AWS_ENDPOINT_URL_SQS", Value: url}} })
	return d, client.New(d.access.UserVariables)
}

// queue makes the queue of the test, empty.
func queue(t *testing.T, c *client.Client, name string, attributes map[string]string) {
	t.Helper()
	_ = c.Call(t.Context(), client.SQS, "DeleteQueue", object{"QueueUrl": c.QueueURL(name)}, nil)
	if err := c.Call(t.Context(), client.SQS, "CreateQueue", object{"QueueName": name, "Attributes": attributes}, nil); err != nil {
		t.Fatal(err)
	}
}

// send sends messages, of the group that is the first letter if the queue has groups.
func send(t *testing.T, c *client.Client, name string, bodies ...string) {
	t.Helper()
	for _, body := range bodies {
		in := object{"QueueUrl": c.QueueURL(name), "MessageBody": body, "MessageAttributes": object{"key": object{"DataType": "String", "StringValue": body}}}
		if strings.HasSuffix(name, ".fifo") {
			in["MessageGroupId"], in["MessageDeduplicationId"] = body[:1], body
		}
		if err := c.Call(t.Context(), client.SQS, "SendMessage", in, nil); err != nil {
			t.Fatal(err)
		}
	}
}

func bodies(records []object) (all []string) {
	for _, one := range records {
		all = append(all, one["body"].(string))
	}
	return all
}

// takes waits until the function was asked for so many messages, and returns them.
func (d *deployment) takes(n int) (all []string) {
	d.t.Helper()
	limit := time.After(time.Minute)
	for len(all) < n {
		select {
		case records := <-d.functions.asked:
			all = append(all, bodies(records)...)
		case <-limit:
			d.t.Fatalf("after a minute the function was asked for %v, want %d; %+v", all, n, d.sources.Status())
		}
	}
	return all
}

func TestQueue(t *testing.T) {
	nightly.Test(t, "it waits for messages to become visible again")
	d, c := withQueues(t)
	queue(t, c, "jobs", map[string]string{"VisibilityTimeout": "2"})
	short := object{"Timeout": 1}
	mapped := func(queueProperties, mapping object) object {
		all := queued(queueProperties, mapping)
		for name, value := range short {
			all["F"].(object)["Properties"].(object)[name] = value
		}
		return all
	}
	visible := object{"VisibilityTimeout": 2}
	without := mapped(visible, nil)
	without["R"].(object)["Properties"] = object{}
	if err := d.deploy(without); err == nil || !strings.Contains(err.Error(), "the role of the function worker may not do sqs:ReceiveMessage on arn:aws:sqs:local:000000000000:jobs, which the mapping needs") {
		t.Errorf("without the permission: %v", err)
	}
	if err := d.deploy(mapped(visible, nil)); err != nil {
		t.Fatal(err)
	}
	send(t, c, "jobs", "a")
	event := (<-d.functions.asked)[0]
	attributes := event["attributes"].(object)
	if event["body"] != "a" || event["eventSource"] != "aws:sqs" || event["eventSourceARN"] != "arn:aws:sqs:local:000000000000:jobs" || event["awsRegion"] != "local" || event["messageId"] == "" || event["receiptHandle"] == "" ||
		event["md5OfBody"] != "0cc175b9c0f1b6a831c399e269772661" || attributes["ApproximateReceiveCount"] != "1" || attributes["SentTimestamp"] == nil ||
		fmt.Sprint(event["messageAttributes"]) != "map[key:map[binaryListValues:[] dataType:String stringListValues:[] stringValue:a]]" {
		t.Errorf("the record is %v", event)
	}
	d.settles(1)

	t.Run("failures", func(t *testing.T) {
		// What fails comes again; the rest of its batch does not.
		if err := d.deploy(mapped(visible, object{"FunctionResponseTypes": []any{"ReportBatchItemFailures"}, "MaximumBatchingWindowInSeconds": 1})); err != nil {
			t.Fatal(err)
		}
		var failed atomic.Bool
		d.functions.does(func(records []object) ([]byte, error) {
			for _, one := range records {
				if one["body"] == "c" && !failed.Swap(true) {
					return fmt.Appendf(nil, `{"batchItemFailures": [{"itemIdentifier": %q}]}`, one["messageId"]), nil
				}
			}
			return nil, nil
		})
		send(t, c, "jobs", "b", "c", "d")
		got := d.takes(4)
		if slices.Sort(got[:3]); !slices.Equal(got, []string{"b", "c", "d", "c"}) {
			t.Errorf("the function was asked for %v", got)
		}
		if s := d.settles(3); s.Failures != 1 || s.Invocations < 2 {
			t.Errorf("the status is %+v", s)
		}
	})
	t.Run("a crash", func(t *testing.T) {
		var crashed atomic.Bool
		d.functions.does(func([]object) ([]byte, error) {
			if !crashed.Swap(true) {
				return nil, &lambda.Error{Type: "Runtime.ExitError"}
			}
			return nil, nil
		})
		send(t, c, "jobs", "e")
		if got := d.takes(2); !slices.Equal(got, []string{"e", "e"}) {
			t.Errorf("the function was asked for %v", got)
		}
		d.settles(4)
	})
	t.Run("too many invocations", func(t *testing.T) {
		var refused atomic.Int32
		d.functions.does(func([]object) ([]byte, error) {
			if refused.Add(1) < 3 {
				return nil, &lambda.Error{Type: "TooManyRequestsException"}
			}
			return nil, nil
		})
		send(t, c, "jobs", "f")
		d.takes(3)
		if s := d.settles(5); s.Failures != 2 {
			t.Errorf("the status is %+v: an invocation that was throttled is no failure", s)
		}
	})
	t.Run("filters", func(t *testing.T) {
		d.functions.does(succeed)
		if err := d.deploy(mapped(visible, object{"FilterCriteria": object{"Filters": []any{object{"Pattern": `{"body": [{"prefix": "g"}]}`}}}})); err != nil {
			t.Fatal(err)
		}
		send(t, c, "jobs", "x", "g")
		if got := d.takes(1); !slices.Equal(got, []string{"g"}) {
			t.Errorf("the function was asked for %v", got)
		}
		if s := d.settles(2); s.Filtered != 1 {
			t.Errorf("the status is %+v", s)
		}
	})
	t.Run("at once", func(t *testing.T) {
		if err := d.deploy(mapped(visible, object{"BatchSize": 1, "ScalingConfig": object{"MaximumConcurrency": 2}})); err != nil {
			t.Fatal(err)
		}
		var now, most atomic.Int32
		release := make(chan struct{})
		d.functions.does(func([]object) ([]byte, error) {
			most.Store(max(most.Load(), now.Add(1)))
			<-release
			now.Add(-1)
			return nil, nil
		})
		send(t, c, "jobs", "h", "i", "j")
		for now.Load() < 2 {
			time.Sleep(time.Millisecond)
		}
		close(release)
		d.takes(3)
		if s := d.settles(3); most.Load() != 2 || s.Invocations < 3 {
			t.Errorf("%d invocations at once, want 2: %+v", most.Load(), s)
		}
	})
	if n, err := c.Visible(t.Context(), "jobs"); n != 0 || err != nil {
		t.Errorf("%d messages are left: %v", n, err)
	}
}

// A group of a FIFO queue is in order, and a message that fails holds back its group alone.
func TestFIFO(t *testing.T) {
	nightly.Test(t, "it waits for messages to become visible again")
	d, c := withQueues(t)
	queue(t, c, "jobs.fifo", map[string]string{"FifoQueue": "true", "VisibilityTimeout": "2"})
	all := queued(object{"QueueName": "jobs.fifo", "FifoQueue": true, "VisibilityTimeout": 2}, object{"FunctionResponseTypes": []any{"ReportBatchItemFailures"}})
	all["F"].(object)["Properties"].(object)["Timeout"] = 1
	var failed atomic.Bool
	d.functions.does(func(records []object) ([]byte, error) {
		answer, group := "", ""
		for _, one := range records {
			body := one["body"].(string)
			if body == "a2" && !failed.Swap(true) {
				group = "a"
			}
			if body[:1] == group { // it and the rest of its group
				answer += fmt.Sprintf(`,{"itemIdentifier": %q}`, one["messageId"])
			}
		}
		return []byte(`{"batchItemFailures": [` + strings.TrimPrefix(answer, ",") + `]}`), nil
	})
	send(t, c, "jobs.fifo", "a1", "a2", "a3", "b1", "b2")
	if err := d.deploy(all); err != nil {
		t.Fatal(err)
	}
	send(t, c, "jobs.fifo", "b3")
	d.settles(6)
	var got []string
	for len(d.functions.asked) > 0 {
		got = append(got, bodies(<-d.functions.asked)...)
	}
	in := func(group string) (all []string) {
		return slices.DeleteFunc(slices.Clone(got), func(body string) bool { return body[:1] != group })
	}
	if want := []string{"b1", "b2", "b3"}; !slices.Equal(in("b"), want) {
		t.Errorf("the group b had %v, want %v", in("b"), want)
	}
	if a := in("a"); a[0] != "a1" || a[1] != "a2" || !slices.Equal(a[len(a)-2:], []string{"a2", "a3"}) {
		t.Errorf("the group a had %v, want a1, a2, and later a2, a3", a)
	}
}

// What a stream gave up is told to a queue.
func TestOnFailure(t *testing.T) {
	d, c := withQueues(t)
	queue(t, c, "dead", nil)
	m := &mapping{
		Provider: d.sources, client: c, stream: "arn:aws:dynamodb:local:000000000000:table/users/stream/1", told: map[string]bool{},
		spec: &model.EventSource{Target: model.FunctionTarget{Function: &model.Function{Name: "relay"}}, Table: &model.Table{Name: "users"}, OnFailure: &model.Queue{Name: "dead"}},
	}
	at := time.Date(2026, 11, 28, 3, 0, 0, 5e6, time.UTC)
	if !m.gaveUp(t.Context(), "shard-1", []record{{id: "1", created: at}, {id: "2", created: at.Add(time.Second)}}, triedTooOften, 3, outcome{version: "7", crashed: true}) {
		t.Fatal("it was not told")
	}
	var out struct{ Messages []message }
	if err := errors.Join(c.Call(t.Context(), client.SQS, "ReceiveMessage", object{"QueueUrl": c.QueueURL("dead")}, &out)); err != nil || len(out.Messages) != 1 {
		t.Fatal(out, err)
	}
	for _, part := range []string{
		`"condition":"RetryAttemptsExhausted"`, `"approximateInvokeCount":3`, `"functionArn":"arn:aws:lambda:local:000000000000:function:relay"`, `"executedVersion":"7"`, `"functionError":"Unhandled"`, `"version":"1.0"`,
		`"DDBStreamBatchInfo":{"approximateArrivalOfFirstRecord":"2026-11-28T03:00:00.005Z","approximateArrivalOfLastRecord":"2026-11-28T03:00:01.005Z","batchSize":2,"endSequenceNumber":"2","shardId":"shard-1","startSequenceNumber":"1","streamArn":"arn:aws:dynamodb:local:000000000000:table/users/stream/1"}`,
	} {
		if !strings.Contains(out.Messages[0].Body, part) {
			t.Errorf("the message %s has no %s", out.Messages[0].Body, part)
		}
	}
}
