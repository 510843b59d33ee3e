package queues

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/smithy-go"

	"cutover/internal/assembly"
	"cutover/internal/local/backing/access"
	"cutover/internal/local/backing/programs"
	"cutover/internal/local/backing/programs/programstest"
	"cutover/internal/local/backing/queues/contract"
	"cutover/internal/local/provider"
	"cutover/internal/model"
	"cutover/internal/nightly"
)

type object = map[string]any

// readModel returns the model of an assembly with a stack of these resources.
func readModel(t *testing.T, resources object) *model.Model {
	t.Helper()
	dir := t.TempDir()
	for name, value := range map[string]any{
		"manifest.json": object{"version": "48.0.0", "artifacts": object{"S": object{"type": "aws:cloudformation:stack", "environment": "aws://unknown-account/unknown-region", "properties": object{"templateFile": "s.json"}}}},
		"s.json":        object{"Resources": resources},
	} {
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a, err := assembly.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	a.Locate(provider.Account, provider.Region)
	return model.Read(a)
}

// deployment is a provider with an access, as a runner has them.
type deployment struct {
	*Provider
	access *access.Access
	t      *testing.T

	mu     sync.Mutex
	events []provider.Event
}

func newDeployment(t *testing.T, dir string) *deployment {
	d := &deployment{access: access.New(), t: t}
	d.Provider = New(dir, d.access, func(e provider.Event) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.events = append(d.events, e)
	})
	t.Cleanup(func() { _ = d.Stop(context.Background()) })
	return d
}

// told counts the events with a text.
func (d *deployment) told(text string) (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range d.events {
		if strings.Contains(e.Subject+" "+e.Message, text) {
			n++
		}
	}
	return n
}

// planned is the plan for resources, and the text of values.
func (d *deployment) planned(resources object) (*model.Model, provider.Plan, provider.Text) {
	m := readModel(d.t, resources)
	var next provider.Plan
	var text provider.Text
	text = func(value any) (string, error) {
		switch value := value.(type) {
		case assembly.Text:
			var all string
			for _, part := range value {
				one, err := text(part)
				if err != nil {
					return "", err
				}
				all += one
			}
			return all, nil
		case assembly.Ref:
			given, err := next.Attribute(value)
			return fmt.Sprint(given), err
		}
		return fmt.Sprint(value), nil
	}
	next = d.Plan(m, text)
	return m, next, text
}

// deploy deploys a stack, and returns the model.
func (d *deployment) deploy(resources object) (*model.Model, error) {
	m, next, text := d.planned(resources)
	if err := next.Check(); err != nil {
		return m, err
	}
	roles := d.access.Plan(m, text)
	for _, plan := range []provider.Plan{roles, next} {
		if err := plan.Update(d.t.Context(), "S"); err != nil {
			return m, err
		}
	}
	return m, errors.Join(next.Clean(d.t.Context(), "S"), roles.Clean(d.t.Context(), "S"))
}

// as are the clients of a task of a service.
func (d *deployment) as(m *model.Model, service string) contract.Endpoint {
	d.t.Helper()
	for _, s := range m.Services {
		if s.Name == service {
			given := map[string]string{}
			for _, v := range d.access.Variables("task-"+service, s.TaskDefinition, s.TaskDefinition.Containers[0]) {
				given[v.Name] = v.Value
			}
			return clients(given[SQSVariable], aws.Credentials{AccessKeyID: given["AWS_ACCESS_KEY_ID"], SecretAccessKey: given["AWS_SECRET_ACCESS_KEY"], SessionToken: given["AWS_SESSION_TOKEN"]})
		}
	}
	d.t.Fatalf("there is no service %s", service)
	return contract.Endpoint{}
}

// service is a service with a role, which may do some actions on resources.
func service(resources object, name string, actions []any, on ...any) {
	resources["Role"+name] = object{"Type": "AWS::IAM::Role", "Properties": object{
		"Tags":     []any{object{"Key": "service", "Value": name}, object{"Key": "environment", "Value": "dev"}},
		"Policies": []any{object{"PolicyDocument": object{"Statement": object{"Effect": "Allow", "Action": actions, "Resource": on}}}},
	}}
	resources["Task"+name] = object{"Type": "AWS::ECS::TaskDefinition", "Properties": object{
		"TaskRoleArn": object{"Fn::GetAtt": []any{"Role" + name, "Arn"}}, "ContainerDefinitions": []any{object{"Name": "app", "Image": "x"}},
	}}
	resources["Service"+name] = object{"Type": "AWS::ECS::Service", "Properties": object{"ServiceName": name, "TaskDefinition": object{"Ref": "Task" + name}}}
}

func arn(id string) object { return object{"Fn::GetAtt": []any{id, "Arn"}} }

func queue(name string, more object) object {
	properties := object{"QueueName": name}
	if strings.HasSuffix(name, ".fifo") {
		properties["FifoQueue"] = true
	}
	for property, value := range more {
		properties[property] = value
	}
	return object{"Type": "AWS::SQS::Queue", "Properties": properties}
}

func statement(effect string, principal any, action, resource any, condition object) object {
	s := object{"Effect": effect, "Principal": principal, "Action": action, "Resource": resource}
	if condition != nil {
		s["Condition"] = condition
	}
	return s
}

func document(statements ...any) object { return object{"Statement": statements} }

// forum is a topic of users, and a queue of feed that is subscribed to it, as the stacks have them.
func forum() object {
	only := func(action, resource any, of string) object {
		return statement("Deny", "*", action, resource, object{"StringNotEquals": object{"aws:PrincipalTag/service": of}})
	}
	send := statement("Allow", object{"Service": "sns.amazonaws.com"}, "sqs:SendMessage", arn("Queue"), object{"ArnEquals": object{"aws:SourceArn": object{"Ref": "Topic"}}})
	r := object{
		"Key": object{"Type": "AWS::KMS::Key", "Properties": object{"KeyPolicy": document(
			statement("Allow", object{"Service": "sns.amazonaws.com"}, []any{"kms:Decrypt", "kms:GenerateDataKey*"}, "*", object{"StringEquals": object{"aws:SourceAccount": object{"Ref": "AWS::AccountId"}}}),
			statement("Allow", "*", []any{"kms:Decrypt", "kms:GenerateDataKey*"}, "*", object{"StringEquals": object{
				"aws:PrincipalTag/environment": "dev", "kms:ViaService": []any{object{"Fn::Sub": "sns.${AWS::Region}.amazonaws.com"}, object{"Fn::Sub": "sqs.${AWS::Region}.amazonaws.com"}}}}),
		)}},
		"Topic":       object{"Type": "AWS::SNS::Topic", "Properties": object{"TopicName": "dev-users.fifo", "FifoTopic": true, "KmsMasterKeyId": arn("Key")}},
		"TopicPolicy": object{"Type": "AWS::SNS::TopicPolicy", "Properties": object{"Topics": []any{object{"Ref": "Topic"}}, "PolicyDocument": document(only("sns:Publish", object{"Ref": "Topic"}, "users"))}},
		"Dead":        queue("dev-feed-dead.fifo", nil),
		"Queue": queue("dev-feed.fifo", object{"KmsMasterKeyId": arn("Key"), "VisibilityTimeout": 5,
			"RedrivePolicy": object{"deadLetterTargetArn": arn("Dead"), "maxReceiveCount": 5}}),
		"QueuePolicy":  object{"Type": "AWS::SQS::QueuePolicy", "Properties": object{"Queues": []any{object{"Ref": "Queue"}}, "PolicyDocument": document(send, only("sqs:ReceiveMessage", arn("Queue"), "feed"))}},
		"Subscription": object{"Type": "AWS::SNS::Subscription", "Properties": object{"Protocol": "sqs", "TopicArn": object{"Ref": "Topic"}, "Endpoint": arn("Queue"), "RawMessageDelivery": true}},
	}
	service(r, "users", []any{"sns:Publish"}, object{"Fn::Sub": "arn:${AWS::Partition}:sns:${AWS::Region}:${AWS::AccountId}:dev-users.fifo"})
	service(r, "feed", []any{"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueUrl"}, arn("Queue"))
	service(r, "posts", []any{"sns:Publish", "sqs:ReceiveMessage"}, object{"Ref": "Topic"}, arn("Queue"))
	return r
}

func publish(t *testing.T, e contract.Endpoint, bodies ...string) error {
	t.Helper()
	for _, body := range bodies {
		// An account of AWS, as in a variable of a template that names one.
		if _, err := e.SNS.Publish(t.Context(), &sns.PublishInput{TopicArn: aws.String("arn:aws:sns:eu-west-1:123456789012:dev-users.fifo"), Message: &body, MessageGroupId: aws.String("g"), MessageDeduplicationId: &body}); err != nil {
			return err
		}
	}
	return nil
}

type messages = []struct{ body, receipt string }

func receive(t *testing.T, e contract.Endpoint, wait int32) (url string, all messages, err error) {
	t.Helper()
	found, err := e.SQS.GetQueueUrl(t.Context(), &sqs.GetQueueUrlInput{QueueName: aws.String("dev-feed.fifo")})
	if err != nil {
		return "", nil, err
	}
	got, err := e.SQS.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: found.QueueUrl, MaxNumberOfMessages: 10, WaitTimeSeconds: wait})
	if err != nil {
		return "", nil, err
	}
	for _, m := range got.Messages {
		all = append(all, struct{ body, receipt string }{*m.Body, *m.ReceiptHandle})
	}
	return *found.QueueUrl, all, nil
}

// drain receives and deletes until so many messages have come.
func drain(t *testing.T, e contract.Endpoint, n int) (all []string) {
	t.Helper()
	for len(all) < n {
		url, got, err := receive(t, e, 5)
		if err != nil || len(got) == 0 {
			t.Fatalf("received %v, %v", all, err)
		}
		for _, m := range got {
			all = append(all, m.body)
			if _, err := e.SQS.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: &url, ReceiptHandle: &m.receipt}); err != nil {
				t.Fatal(err)
			}
		}
	}
	return all
}

func kindOf(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return fmt.Sprint(err)
}

// TestDeployment: who may publish and read what, faults, a crash of the program, and what stays after it.
func TestDeployment(t *testing.T) {
	nightly.Test(t, "it starts a program that stands for SNS and SQS three times")
	t.Parallel()
	_, err := programs.FindQueues(t.Context())
	programstest.Need(t, err)
	dir := t.TempDir()
	d := newDeployment(t, dir)
	m, err := d.deploy(forum())
	if err != nil {
		t.Fatal(err)
	}
	users, feed, posts := d.as(m, "users"), d.as(m, "feed"), d.as(m, "posts")

	// As on AWS: the role, the policy of the topic and that of the queue decide together.
	if err := publish(t, users, "1", "2", "2", "3"); err != nil {
		t.Fatal(err)
	}
	if got := drain(t, feed, 3); !slices.Equal(got, []string{"1", "2", "3"}) {
		t.Errorf("received %v", got)
	}
	if err := publish(t, posts, "4"); kindOf(err) != "AuthorizationError" {
		t.Errorf("posts publishes for users: %v", err)
	}
	if _, _, err := receive(t, users, 0); kindOf(err) != "AccessDeniedException" {
		t.Errorf("users receives: %v", err)
	}
	url := "http://localhost/000000000000/dev-feed.fifo"
	if _, err := posts.SQS.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &url}); kindOf(err) != "AccessDeniedException" {
		t.Errorf("posts receives from the queue of feed: %v", err)
	}
	if err := publish(t, clients(d.Status().([]provider.MessageStatus)[0].Endpoint, aws.Credentials{AccessKeyID: "x", SecretAccessKey: "y"}), "4"); kindOf(err) != "UnrecognizedClientException" {
		t.Errorf("a stranger publishes: %v", err)
	}
	if n := d.told("is not authorized to perform: sns:Publish"); n != 1 {
		t.Errorf("the refusal was told %d times", n)
	}

	// Faults.
	if clear, err := d.Fault(t.Context(), "messages-twice", "posts2"); clear != nil || err != nil {
		t.Errorf("a fault of a service without queues: %v", err)
	}
	begin := func(kind, service string) func() {
		t.Helper()
		clear, err := d.Fault(t.Context(), kind, service)
		if err != nil || clear == nil {
			t.Fatalf("%s of %s: %v", kind, service, err)
		}
		return func() {
			t.Helper()
			if err := clear(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
	clear := begin("messages-twice", "feed")
	if err := publish(t, users, "5", "6"); err != nil {
		t.Fatal(err)
	}
	if got := drain(t, feed, 4); !slices.Equal(slices.Sorted(slices.Values(got)), []string{"5", "5", "6", "6"}) {
		t.Errorf("twice: %v", got)
	}
	clear()
	clear = begin("messages-late", "feed")
	at := time.Now()
	if err := publish(t, users, "7", "8"); err != nil {
		t.Fatal(err)
	}
	var got []string
	for len(got) < 2 && time.Since(at) < time.Minute {
		url, some, err := receive(t, feed, 1)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range some {
			got = append(got, m.body)
			if _, err := feed.SQS.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: &url, ReceiptHandle: &m.receipt}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !slices.Equal(got, []string{"7", "8"}) || time.Since(at) < late*time.Second {
		t.Errorf("late: %v after %v", got, time.Since(at))
	}
	clear()
	clear = begin("queue-full", "feed")
	if _, _, err := receive(t, feed, 0); kindOf(err) != "OverLimit" {
		t.Errorf("a full queue: %v", err)
	}
	clear()
	clear = begin("topic-away", "users")
	if status := fmt.Sprint(d.Status()); !strings.Contains(status, "[topic-away]") {
		t.Errorf("the status is %s", status)
	}
	published := make(chan error, 1)
	go func() { published <- publish(t, users, "9") }()
	clear()
	if err := <-published; err != nil && publish(t, users, "9") != nil {
		t.Errorf("after a topic was away: %v", err)
	}

	// A receiver that goes away while it waits takes no message with it.
	if got := drain(t, feed, 1); got[0] != "9" {
		t.Errorf("received %v", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	waits := make(chan error, 1)
	found, err := feed.SQS.GetQueueUrl(t.Context(), &sqs.GetQueueUrlInput{QueueName: aws.String("dev-feed.fifo")})
	if err != nil {
		t.Fatal(err)
	}
	before, _ := d.proxy.seen("sqs:dev-feed.fifo")
	go func() {
		_, err := feed.SQS.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: found.QueueUrl, WaitTimeSeconds: 10})
		waits <- err
	}()
	for n := before; n == before; n, _ = d.proxy.seen("sqs:dev-feed.fifo") {
		time.Sleep(time.Millisecond)
	}
	cancel()
	<-waits
	if err := publish(t, users, "10"); err != nil {
		t.Fatal(err)
	}
	if got := drain(t, feed, 1); got[0] != "10" {
		t.Errorf("received %v", got)
	}

	// What was accepted is there after a crash, and after a stop.
	if err := publish(t, users, "11", "12"); err != nil {
		t.Fatal(err)
	}
	begin("queue-kill", "feed")()
	if got := drain(t, feed, 1); got[0] != "11" {
		t.Errorf("after a crash: %v", got)
	}
	if err := publish(t, users, "13"); err != nil {
		t.Fatal(err)
	}
	if err := d.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	d = newDeployment(t, dir)
	if m, err = d.deploy(forum()); err != nil {
		t.Fatal(err)
	}
	got = slices.DeleteFunc(drain(t, d.as(m, "feed"), 1), func(text string) bool { return text == "12" })
	if len(got) == 0 {
		got = drain(t, d.as(m, "feed"), 1)
	}
	if got[0] != "13" {
		t.Errorf("after a stop: %v", got)
	}

	// A queue that leaves its template goes, and one that the template keeps stays.
	next := forum()
	delete(next, "Subscription")
	delete(next, "QueuePolicy")
	next["Topic"].(object)["DeletionPolicy"] = "Retain"
	if _, err := d.deploy(next); err != nil {
		t.Fatal(err)
	}
	delete(next, "TopicPolicy")
	delete(next, "Topic")
	delete(next, "Queue")
	next["Queue"] = queue("dev-feed-new.fifo", nil)
	next["Roleposts"].(object)["Properties"].(object)["Policies"] = nil
	if _, err := d.deploy(next); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"dev-users.fifo the topic stays, because its template keeps it", "dev-feed.fifo the queue was deleted"} {
		if d.told(text) != 1 {
			t.Errorf("%q was told %d times", text, d.told(text))
		}
	}
}

// TestRefused: what is refused before anything starts, and where.
func TestRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(object)
		want   string
	}{
		"the queue does not let the topic send": {func(r object) { delete(r, "QueuePolicy") },
			"S/Subscription/Properties.Endpoint: the policy of the queue dev-feed.fifo does not let SNS send messages of the topic dev-users.fifo"},
		"the queue lets another topic send": {func(r object) {
			r["QueuePolicy"].(object)["Properties"].(object)["PolicyDocument"] = document(statement("Allow", object{"Service": "sns.amazonaws.com"}, "sqs:SendMessage", arn("Queue"),
				object{"ArnEquals": object{"aws:SourceArn": "arn:aws:sns:eu-west-1:1:other"}}))
		}, "does not let SNS send messages of the topic dev-users.fifo"},
		"the key does not let SNS send": {func(r object) {
			r["Key"].(object)["Properties"] = object{"KeyPolicy": document(statement("Allow", object{"AWS": object{"Fn::Sub": "arn:aws:iam::${AWS::AccountId}:root"}}, "kms:*", "*", nil))}
		}, "the policy of the key S/Key of the queue dev-feed.fifo does not let sns.amazonaws.com do kms:GenerateDataKey"},
		"a FIFO queue of a standard topic": {func(r object) {
			r["Topic"].(object)["Properties"] = object{"TopicName": "dev-users"}
		}, "the FIFO queue dev-feed.fifo takes messages of FIFO topics alone, and dev-users is a standard one"},
		"a name": {func(r object) { r["Dead"] = queue("dev.dead", nil) }, `S/Dead/Properties.QueueName: AWS takes no standard queue with the name "dev.dead": `},
		"a dead-letter queue of another kind": {func(r object) { r["Dead"] = queue("dev-dead", nil) },
			"S/Queue/Properties.RedrivePolicy: the dead-letter queue of a FIFO queue is a FIFO queue"},
		"one name twice": {func(r object) { r["Dead"] = queue("dev-feed.fifo", nil) }, "the queue dev-feed.fifo is also that of S/Dead"},
		"an archive": {func(r object) { r["Topic"].(object)["Properties"].(object)["ArchivePolicy"] = object{} },
			"S/Topic/Properties.ArchivePolicy: it is not honoured here: no topic keeps messages here"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := forum()
			test.change(r)
			if _, err := newDeployment(t, t.TempDir()).deploy(r); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, not %q", err, test.want)
			}
		})
	}
}

// TestUnused: topics that only alarms use start nothing.
func TestUnused(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, t.TempDir())
	r := object{"Alarms": object{"Type": "AWS::SNS::Topic", "Properties": object{"TopicName": "alarms"}}}
	m, plan, _ := d.planned(r)
	if _, err := d.deploy(r); err != nil || d.Status() != nil || plan.(provider.Partial).Stands(m.Topics[0].Resource) {
		t.Errorf("%v, %v", err, d.Status())
	}
}

// TestKey: without the right to use the key, a message is refused.
func TestKey(t *testing.T) {
	t.Parallel()
	_, err := programs.FindQueues(t.Context())
	programstest.Need(t, err)
	r := forum()
	r["Roleusers"].(object)["Properties"].(object)["Tags"] = []any{object{"Key": "service", "Value": "users"}, object{"Key": "environment", "Value": "prod"}}
	d := newDeployment(t, t.TempDir())
	m, err := d.deploy(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := publish(t, d.as(m, "users"), "1"); kindOf(err) != "KMSAccessDenied" {
		t.Errorf("without the key: %v", err)
	}
}

// TestSubscriptionsOfOthers: a deployment ends the subscriptions that leave its template. Those that somebody else has made stay
// until the data of the deployment are taken up by another one.
func TestSubscriptionsOfOthers(t *testing.T) {
	nightly.Test(t, "it starts a program that stands for SNS and SQS twice")
	t.Parallel()
	_, err := programs.FindQueues(t.Context())
	programstest.Need(t, err)
	dir := t.TempDir()
	d := newDeployment(t, dir)
	deploy := func(d *deployment, resources object) (queues []string) {
		t.Helper()
		if _, err := d.deploy(resources); err != nil {
			t.Fatal(err)
		}
		out, err := sns.NewFromConfig(d.configuration("sns")).ListSubscriptionsByTopic(t.Context(), &sns.ListSubscriptionsByTopicInput{TopicArn: aws.String(provider.ARN("sns", "dev-users.fifo"))})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range out.Subscriptions {
			queues = append(queues, last(*s.Endpoint))
		}
		slices.Sort(queues)
		return queues
	}
	without := forum()
	delete(without, "Subscription")
	deploy(d, forum())
	if _, err := sqs.NewFromConfig(d.configuration("sqs")).CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("other.fifo"), Attributes: map[string]string{"FifoQueue": "true"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := sns.NewFromConfig(d.configuration("sns")).Subscribe(t.Context(), &sns.SubscribeInput{
		TopicArn: aws.String(provider.ARN("sns", "dev-users.fifo")), Protocol: aws.String("sqs"), Endpoint: aws.String(provider.ARN("sqs", "other.fifo")),
	}); err != nil {
		t.Fatal(err)
	}
	if got := deploy(d, forum()); !slices.Equal(got, []string{"dev-feed.fifo", "other.fifo"}) {
		t.Errorf("the same template leaves %v", got)
	}
	if got := deploy(d, without); !slices.Equal(got, []string{"other.fifo"}) {
		t.Errorf("a template without the subscription leaves %v", got)
	}
	if err := d.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := deploy(newDeployment(t, dir), forum()); !slices.Equal(got, []string{"dev-feed.fifo"}) {
		t.Errorf("another deployment finds %v", got)
	}
}
