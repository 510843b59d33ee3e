package e2e

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	gocmp "github.com/google/go-cmp/cmp"

	"cutover/internal/emulate"
)

// Eventful is what is deployed of the events: attributes by the name of a topic, of a queue, and so on. ARNs are names, and ids
// that differ from one deployment to the next have a word in their place.
type eventful struct {
	Topics, Subscriptions, Queues map[string][]string
	Key                           []string
	Mappings                      map[string][]string // by function
	Streams                       map[string]string   // by table
	Tasks                         map[string][]string // by ECS service
	Backlog                       []string            // what the workers scale on
}

// policy writes each statement of a policy as one line: effect, who, actions and conditions.
func policy(t *testing.T, document string) (lines []string) {
	t.Helper()
	var policy struct {
		Statement []struct {
			Effect            string
			Principal, Action any
			Condition         map[string]map[string]any
		}
	}
	if document == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(document), &policy); err != nil {
		t.Fatalf("%v: %s", err, document)
	}
	for _, s := range policy.Statement {
		line := s.Effect + " "
		who, ok := s.Principal.(map[string]any)
		if !ok {
			who = map[string]any{"": s.Principal}
		}
		for _, kind := range slices.Sorted(maps.Keys(who)) {
			line += fmt.Sprint(named(fmt.Sprint(who[kind])), " ")
		}
		if actions, ok := s.Action.([]any); ok && len(actions) > 5 {
			line += fmt.Sprint(len(actions), " actions")
		} else {
			line += fmt.Sprint(s.Action)
		}
		for _, operator := range slices.Sorted(maps.Keys(s.Condition)) {
			for _, key := range slices.Sorted(maps.Keys(s.Condition[operator])) {
				value := s.Condition[operator][key]
				if values, ok := value.([]any); ok && len(values) == 1 { // which IAM takes for the value alone
					value = values[0]
				}
				line += fmt.Sprint(" ", operator, " ", key, " ", named(fmt.Sprint(value)))
			}
		}
		lines = append(lines, line)
	}
	return lines
}

// named is the last part of an ARN or a URL, and any other text.
func named(text string) string {
	if strings.HasPrefix(text, "arn:") || strings.HasPrefix(text, "http") {
		return text[strings.LastIndexAny(text, ":/")+1:]
	}
	return text
}

// ask asks a service whose API has targets.
func (a *account) ask(t *testing.T, service, target string, params, into any) {
	t.Helper()
	body, err := json.Marshal(params)
	text, resp := a.send(t, http.MethodPost, service, "", bytes.NewReader(must(t, body, err)), "Content-Type", "application/x-amz-json-1.1", "X-Amz-Target", target)
	if err := json.Unmarshal(text, into); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s: %v: %s", target, resp.Status, err, text)
	}
}

// events reads back what is deployed of the events.
func (a *account) events(t *testing.T) eventful {
	t.Helper()
	e := a.messages(t)
	e.Tasks = map[string][]string{}
	groups := map[string]string{}
	for _, g := range a.targetGroups(t) {
		groups[*g.TargetGroupArn] = *g.TargetGroupName
	}
	for _, service := range a.services(t) {
		e.Tasks[*service.ServiceName] = a.tasks(t, service, groups)
	}
	var scaling struct {
		ScalingPolicies []struct {
			ResourceId                               string
			TargetTrackingScalingPolicyConfiguration struct {
				TargetValue                   float64
				CustomizedMetricSpecification struct {
					Metrics []struct {
						Id, Expression string
						MetricStat     struct {
							Metric struct{ MetricName string }
						}
					}
				}
			}
		}
	}
	a.ask(t, "application-autoscaling", "AnyScaleFrontendService.DescribeScalingPolicies", map[string]any{"ServiceNamespace": "ecs"}, &scaling)
	for _, p := range scaling.ScalingPolicies {
		tracked := p.TargetTrackingScalingPolicyConfiguration
		e.Backlog = append(e.Backlog, fmt.Sprint(p.ResourceId, " ", tracked.TargetValue))
		for _, metric := range tracked.CustomizedMetricSpecification.Metrics {
			e.Backlog = append(e.Backlog, metric.Id+" = "+metric.Expression+metric.MetricStat.Metric.MetricName)
		}
	}
	return e
}

// messages reads back what is deployed of the events, but the tasks.
func (a *account) messages(t *testing.T) eventful {
	t.Helper()
	endpoint := a.env["AWS_ENDPOINT_URL"]
	c := aws.Config{Region: emulate.Region, BaseEndpoint: &endpoint, Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")}
	topics, queues, tables := sns.NewFromConfig(c), sqs.NewFromConfig(c), dynamodb.NewFromConfig(c)
	e := eventful{Topics: map[string][]string{}, Subscriptions: map[string][]string{}, Queues: map[string][]string{}, Mappings: map[string][]string{}, Streams: map[string]string{}}

	keys := map[string]string{} // ids and ARNs of keys
	var listed struct {
		Keys []struct{ KeyId, KeyArn string }
	}
	a.ask(t, "kms", "TrentService.ListKeys", nil, &listed)
	for _, key := range listed.Keys {
		var described struct {
			KeyMetadata struct{ KeyState, Description string }
		}
		if a.ask(t, "kms", "TrentService.DescribeKey", map[string]any{"KeyId": key.KeyId}, &described); strings.HasPrefix(described.KeyMetadata.Description, "Default ") {
			continue // AWS's own
		}
		keys[key.KeyArn] = "KEY"
		var rotation struct{ KeyRotationEnabled bool }
		a.ask(t, "kms", "TrentService.GetKeyRotationStatus", map[string]any{"KeyId": key.KeyId}, &rotation)
		var document struct{ Policy string }
		a.ask(t, "kms", "TrentService.GetKeyPolicy", map[string]any{"KeyId": key.KeyId, "PolicyName": "default"}, &document)
		e.Key = append(e.Key, fmt.Sprintf("%s, %s, rotated %t", described.KeyMetadata.Description, described.KeyMetadata.KeyState, rotation.KeyRotationEnabled))
		e.Key = append(e.Key, policy(t, document.Policy)...)
	}

	all, err := topics.ListTopics(a.ctx, &sns.ListTopicsInput{})
	for _, topic := range must(t, all, err).Topics {
		got, err := topics.GetTopicAttributes(a.ctx, &sns.GetTopicAttributesInput{TopicArn: topic.TopicArn})
		of := must(t, got, err).Attributes
		tags, err := topics.ListTagsForResource(a.ctx, &sns.ListTagsForResourceInput{ResourceArn: topic.TopicArn})
		tagged := map[string]string{}
		for _, tag := range must(t, tags, err).Tags {
			tagged[*tag.Key] = *tag.Value
		}
		e.Topics[named(*topic.TopicArn)] = append([]string{fmt.Sprintf("FIFO %s by %s, encrypted by %s, tags %v", of["FifoTopic"], of["FifoThroughputScope"], keys[of["KmsMasterKeyId"]], tagged)}, policy(t, of["Policy"])...)
	}
	subscribed, err := topics.ListSubscriptions(a.ctx, &sns.ListSubscriptionsInput{})
	for _, s := range must(t, subscribed, err).Subscriptions {
		got, err := topics.GetSubscriptionAttributes(a.ctx, &sns.GetSubscriptionAttributesInput{SubscriptionArn: s.SubscriptionArn})
		of := must(t, got, err).Attributes
		e.Subscriptions[named(*s.TopicArn)+" → "+named(*s.Endpoint)] = []string{
			fmt.Sprintf("%s, raw %s, pending %s", *s.Protocol, of["RawMessageDelivery"], of["PendingConfirmation"]), "filter " + of["FilterPolicy"], "then " + redrive(t, of["RedrivePolicy"])}
	}
	found, err := queues.ListQueues(a.ctx, &sqs.ListQueuesInput{})
	for _, url := range must(t, found, err).QueueUrls {
		got, err := queues.GetQueueAttributes(a.ctx, &sqs.GetQueueAttributesInput{QueueUrl: &url, AttributeNames: []sqstypes.QueueAttributeName{sqstypes.QueueAttributeNameAll}})
		of := must(t, got, err).Attributes
		tags, err := queues.ListQueueTags(a.ctx, &sqs.ListQueueTagsInput{QueueUrl: &url})
		e.Queues[named(url)] = append([]string{
			fmt.Sprintf("FIFO %s by %s, %s", cmp.Or(of["FifoQueue"], "false"), of["DeduplicationScope"], of["FifoThroughputLimit"]),
			fmt.Sprintf("hidden for %s s, kept for %s s, then %s", of["VisibilityTimeout"], of["MessageRetentionPeriod"], redrive(t, of["RedrivePolicy"])),
			fmt.Sprintf("encrypted by %s, by SQS %s", keys[of["KmsMasterKeyId"]], of["SqsManagedSseEnabled"]), fmt.Sprint("tags ", must(t, tags, err).Tags),
		}, policy(t, of["Policy"])...)
	}

	names, err := tables.ListTables(a.ctx, &dynamodb.ListTablesInput{})
	streams := map[string]string{}
	for _, name := range must(t, names, err).TableNames {
		got, err := tables.DescribeTable(a.ctx, &dynamodb.DescribeTableInput{TableName: &name})
		table := must(t, got, err).Table
		e.Streams[name] = "off"
		if table.StreamSpecification != nil {
			e.Streams[name] = string(table.StreamSpecification.StreamViewType)
			streams[*table.LatestStreamArn] = "stream of " + name
		}
	}
	var mappings struct {
		EventSourceMappings []struct {
			EventSourceArn, FunctionArn, State, StartingPosition        string
			BatchSize, ParallelizationFactor, MaximumRecordAgeInSeconds int
			FunctionResponseTypes                                       []string
			BisectBatchOnFunctionError                                  bool
			FilterCriteria                                              struct{ Filters []struct{ Pattern string } }
			DestinationConfig                                           struct{ OnFailure struct{ Destination string } }
		}
	}
	a.read(t, "/2015-03-31/event-source-mappings/", &mappings)
	for _, m := range mappings.EventSourceMappings {
		var function struct {
			Runtime, Handler    string
			MemorySize, Timeout int
			Environment         struct{ Variables map[string]string }
		}
		a.read(t, "/2015-03-31/functions/"+named(m.FunctionArn)+"/configuration", &function)
		e.Mappings[named(m.FunctionArn)] = []string{
			fmt.Sprintf("%s %s, %d MiB, %d s, to %s", function.Runtime, function.Handler, function.MemorySize, function.Timeout, relayed(function.Environment.Variables)),
			cmp.Or(streams[m.EventSourceArn], "another stream") + ", " + m.State,
			fmt.Sprintf("from %s, %d at once, %d side by side", m.StartingPosition, m.BatchSize, m.ParallelizationFactor),
			fmt.Sprintf("answers %q, halves %t, for %d s", m.FunctionResponseTypes, m.BisectBatchOnFunctionError, m.MaximumRecordAgeInSeconds),
			fmt.Sprintf("filter %v, then %s", m.FilterCriteria.Filters, named(m.DestinationConfig.OnFailure.Destination)),
		}
	}
	return e
}

// relayed is the topic among the variables of a function.
func relayed(variables map[string]string) string {
	for name, value := range variables {
		if strings.HasSuffix(name, "_TOPIC_ARN") {
			return named(value)
		}
	}
	return "nothing"
}

// redrive writes a redrive policy: the dead-letter queue and the number of times before.
func redrive(t *testing.T, document string) string {
	t.Helper()
	if document == "" {
		return "nothing"
	}
	var policy struct {
		DeadLetterTargetArn string
		MaxReceiveCount     int
	}
	if err := json.Unmarshal([]byte(document), &policy); err != nil {
		t.Fatalf("%v: %s", err, document)
	}
	if policy.MaxReceiveCount == 0 { // as for a subscription
		return named(policy.DeadLetterTargetArn)
	}
	return fmt.Sprint(named(policy.DeadLetterTargetArn), " after ", policy.MaxReceiveCount)
}

// tasks describes an ECS service: what runs, who sends requests to it, and the variables that have to do with events.
func (a *account) tasks(t *testing.T, service ecstypes.Service, groups map[string]string) []string {
	t.Helper()
	behind := "alone"
	for _, lb := range service.LoadBalancers {
		behind = "behind " + cmp.Or(groups[*lb.TargetGroupArn], "a group that is gone")
	}
	defined, err := a.ecs.DescribeTaskDefinition(a.ctx, &ecs.DescribeTaskDefinitionInput{TaskDefinition: service.TaskDefinition})
	container := must(t, defined, err).TaskDefinition.ContainerDefinitions[0]
	var variables []string
	for _, v := range container.Environment {
		if slices.ContainsFunc([]string{"_FROM", "_HISTORY", "_PUBLISHES", "_QUEUE", "_TOPIC_ARN"}, func(end string) bool { return strings.HasSuffix(*v.Name, end) }) {
			variables = append(variables, *v.Name+"="+named(*v.Value))
		}
	}
	slices.Sort(variables)
	image, _, _ := strings.Cut((*container.Image)[strings.LastIndex(*container.Image, "/")+1:], ":")
	return append([]string{fmt.Sprintf("%d of %s %q %s", service.DesiredCount, image, container.Command, behind)}, variables...)
}

// TestEvents deploys the forum with events: users and threads in DynamoDB, posts in PostgreSQL. It changes a filter, after a
// deployment that fails, and switches the events off and on.
func TestEvents(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	required(t, root)
	emulated := emulated(t)
	step := stepping(t)
	out := t.TempDir()
	assembly := func(name string) string { return filepath.Join(out, name) }
	cli, a := newCDK(interrupted, root, emulated.Env()), newAccount(interrupted, emulated.Endpoint(), emulate.Region)
	elsewhere := *cli
	elsewhere.dir = out
	elsewhere.must(t, "bootstrap", fmt.Sprintf("aws://%s/%s", emulate.Account, emulate.Region))
	step("synthesize", func(t *testing.T) {
		build := exec.CommandContext(interrupted, "go", "build", "-o", assembly("app"), "./test/e2e/forum")
		build.Dir = root
		if text, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		for _, one := range []struct{ name, variant, events string }{{"on", "events", "on"}, {"filtered", "filtered", "on"}, {"off", "events", "off"}} {
			t.Run(one.name, func(t *testing.T) {
				t.Parallel()
				with := *cli
				with.env = append(slices.Clone(cli.env), "CUTOVER_E2E_APP="+one.variant)
				with.must(t, "synth", "-q", "--app", assembly("app"), "-o", assembly(one.name), "-c", "phase=parallel", "-c", "store=dynamodb", "-c", "dataProtection=off", "-c", "events="+one.events)
			})
		}
	})
	deploy := func(t *testing.T, name string) {
		t.Helper()
		if text, err := cli.deploy(assembly(name)); err != nil {
			t.Fatalf("%v\n%s", err, tail(text, 60))
		}
	}
	same := func(t *testing.T, want eventful) {
		t.Helper()
		if diff := gocmp.Diff(want, a.events(t)); diff != "" {
			t.Fatalf("of the events (-want +got):\n%s", diff)
		}
	}
	step("on", func(t *testing.T) {
		deploy(t, "on")
		same(t, wantedEvents())
	})
	filtered := wantedEvents()
	filtered.Subscriptions["dev-users.fifo → dev-feed.fifo"][1] = `filter {"key":["1"]}`
	step("a deployment that fails", func(t *testing.T) {
		broken(t, assembly("filtered"), assembly("broken"))
		resources, updates := a.resources(t), a.updates(t)
		text, err := cli.deploy(assembly("broken"))
		if err == nil || !strings.Contains(text, "dev-Events failed to deploy") || !strings.Contains(text, "FilterPolicy") {
			t.Errorf("cdk deploy does not fail for the filter: %v\n%s", err, tail(text, 60))
		}
		equal(t, "dev-Events", a.stacks(t)["dev-Events"], "UPDATE_ROLLBACK_COMPLETE")
		same(t, wantedEvents())
		if got := changed(resources, a.resources(t)); len(got) > 0 {
			t.Errorf("resources changed: %q", got)
		}
		if diff := gocmp.Diff(updates, a.updates(t)); diff != "" {
			t.Errorf("stacks were updated (-want +got):\n%s", diff)
		}
	})
	step("another filter", func(t *testing.T) {
		if diff := gocmp.Diff(map[string][]string{"dev-Events": {"~ AWS::SNS::Subscription"}}, cli.diff(t, assembly("filtered"))); diff != "" {
			t.Errorf("cdk diff (-want +got):\n%s", diff)
		}
		resources := a.resources(t)
		deploy(t, "filtered")
		same(t, filtered)
		if got := changed(resources, a.resources(t)); len(got) > 0 {
			t.Errorf("resources changed: %q", got)
		}
	})
	// The CLI leaves a stack alone whose template is what it was, even if the outputs of others that it refers to are not. So the
	// stacks that go with the events have to go before them.
	step("off", func(t *testing.T) {
		cli.must(t, "destroy", "--app", assembly("filtered"), "--exclusively", "--force", "dev-Relays", "dev-Feed", "dev-Deletions")
		deploy(t, "off")
		want := filtered
		want.Mappings, want.Streams, want.Backlog, want.Tasks = map[string][]string{}, map[string]string{"dev-users": "off", "dev-threads": "off"}, nil, map[string][]string{}
		for _, name := range []string{"api", "users", "threads", "posts"} {
			want.Tasks[name] = []string{fmt.Sprintf("1 of %s [] behind %[1]s", name)}
		}
		same(t, want)
	})
	step("on again", func(t *testing.T) {
		deploy(t, "on")
		same(t, wantedEvents())
	})
	step("only known types are merely recorded", func(t *testing.T) {
		want := []string{"AWS::EC2::FlowLog", "AWS::Logs::QueryDefinition", "Custom::VpcRestrictDefaultSG"}
		if got := emulated.Recorded(); !slices.Equal(got, want) {
			t.Errorf("recorded only, and so not asserted: %q, want %q", got, want)
		}
	})
	step("destroy", func(t *testing.T) {
		cli.must(t, "destroy", "--app", assembly("on"), "--all", "--force")
		destroyed(t, a)
		left := a.messages(t)
		if len(left.Topics)+len(left.Subscriptions)+len(left.Queues)+len(left.Mappings)+len(left.Streams) > 0 || len(left.Key) == 0 || !strings.Contains(left.Key[0], "PendingDeletion") {
			t.Errorf("left: %+v, want the key alone, which is deleted later", left)
		}
	})
}

// broken copies an assembly, in which much changes in the stack of the events before a filter that SNS refuses.
func broken(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(to, "dev-Events.template.json")
	text, err := os.ReadFile(file)
	var template struct {
		Resources map[string]struct {
			Type       string
			Properties map[string]any
		}
	}
	whole := map[string]any{}
	if err := errors.Join(err, json.Unmarshal(must(t, text, err), &template), json.Unmarshal(text, &whole)); err != nil {
		t.Fatal(err)
	}
	for _, r := range template.Resources {
		switch p := r.Properties; {
		case r.Type == "AWS::KMS::Key":
			p["Description"], p["EnableKeyRotation"] = "changed", false
		case r.Type == "AWS::SQS::Queue":
			p["MessageRetentionPeriod"], p["Tags"] = 60, []any{}
		case r.Type == "AWS::SNS::Topic":
			p["FifoThroughputScope"] = "Topic"
		case p["FilterPolicy"] != nil:
			p["FilterPolicy"] = map[string]any{"key": "1"}
		}
	}
	for name, r := range whole["Resources"].(map[string]any) {
		r.(map[string]any)["Properties"] = template.Resources[name].Properties
	}
	changed, err := json.Marshal(whole)
	if err := os.WriteFile(file, must(t, changed, err), 0o644); err != nil {
		t.Fatal(err)
	}
	// The CLI uploads a template under its digest, once.
	var assets struct{ Files map[string]any }
	list, err := os.ReadFile(filepath.Join(to, "dev-Events.assets.json"))
	if err := json.Unmarshal(must(t, list, err), &assets); err != nil || len(assets.Files) != 1 {
		t.Fatalf("%v: %s", err, list)
	}
	for digest := range assets.Files {
		for _, name := range []string{"dev-Events.assets.json", "manifest.json"} {
			text, err := os.ReadFile(filepath.Join(to, name))
			if err := os.WriteFile(filepath.Join(to, name), bytes.ReplaceAll(must(t, text, err), []byte(digest), []byte("broken")), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// wantedEvents is what the forum has with events.
func wantedEvents() eventful {
	e := eventful{
		Topics: map[string][]string{}, Subscriptions: map[string][]string{}, Queues: map[string][]string{}, Mappings: map[string][]string{},
		Key: []string{"Events of the services, Enabled, rotated true", "Allow root kms:*",
			"Allow sns.amazonaws.com [kms:Decrypt kms:GenerateDataKey*] StringEquals aws:SourceAccount 123456789012",
			"Allow * [kms:Decrypt kms:GenerateDataKey*] StringEquals aws:PrincipalTag/environment dev StringEquals kms:CallerAccount 123456789012" +
				" StringEquals kms:ViaService [sns.us-east-1.amazonaws.com sqs.us-east-1.amazonaws.com]"},
		Streams: map[string]string{"dev-users": "NEW_IMAGE", "dev-threads": "NEW_IMAGE", "dev-feed": "off", "dev-deletions": "off"},
		Tasks: map[string][]string{
			"api":              {"1 of api [] behind api", "DELETIONS_WORK_QUEUE=dev-deletions-work", "FEED_FROM=modules", "POSTS_HISTORY=on", "POSTS_PUBLISHES=on", "THREADS_PUBLISHES=on", "USERS_PUBLISHES=on"},
			"users":            {"1 of users [] behind users", "USERS_PUBLISHES=on"},
			"threads":          {"1 of threads [] behind threads", "THREADS_PUBLISHES=on"},
			"posts":            {"1 of posts [] behind posts", "POSTS_HISTORY=on", "POSTS_PUBLISHES=on"},
			"posts-relay":      {`1 of posts ["relay"] alone`, "POSTS_HISTORY=on", "POSTS_PUBLISHES=on", "POSTS_TOPIC_ARN=dev-posts.fifo"},
			"feed":             {"1 of feed [] behind feed"},
			"feed-consumer":    {`1 of feed ["consume"] alone`, "FEED_QUEUE=dev-feed.fifo"},
			"deletions":        {"1 of deletions [] behind deletions", "DELETIONS_WORK_QUEUE=dev-deletions-work"},
			"deletions-worker": {`1 of deletions ["work"] alone`, "DELETIONS_WORK_QUEUE=dev-deletions-work"},
		},
		Backlog: []string{"service/dev/deletions-worker 10", "jobs = ApproximateNumberOfMessagesVisible", "tasks = RunningTaskCount", "backlog = jobs / tasks"},
	}
	queue := func(name, of string, hidden int, then string, more ...string) {
		kind := "FIFO false by , "
		if strings.HasSuffix(name, ".fifo") {
			kind = "FIFO true by messageGroup, perMessageGroupId"
		}
		e.Queues[name] = append([]string{kind, fmt.Sprintf("hidden for %d s, kept for 1209600 s, then %s", hidden, then), "encrypted by KEY, by SQS false",
			"tags map[environment:dev service:" + of + "]", "Deny * sqs:* Bool aws:SecureTransport false"}, more...)
	}
	only := func(action, service string) []string {
		return []string{"Deny * " + action + " StringNotEquals aws:PrincipalTag/service " + service, "Deny * " + action + " StringNotEquals aws:PrincipalTag/environment dev"}
	}
	var sends []string
	for _, of := range []string{"users", "threads", "posts"} {
		topic := "dev-" + of + ".fifo"
		e.Topics[topic] = append([]string{"FIFO true by MessageGroup, encrypted by KEY, tags map[environment:dev service:" + of + "]", "Deny * sns:Publish Bool aws:SecureTransport false"}, only("sns:Publish", of)...)
		e.Subscriptions[topic+" → dev-feed.fifo"] = []string{"sqs, raw true, pending false", "filter ", "then dev-feed-dead.fifo"}
		sends = append(sends, "Allow sns.amazonaws.com sqs:SendMessage ArnEquals aws:SourceArn "+topic)
		if of == "posts" {
			continue // a task publishes them
		}
		queue("dev-"+of+"-relay-dead", of, 30, "nothing")
		e.Mappings["dev-"+of+"-relay"] = []string{"provided.al2023 relay, 256 MiB, 30 s, to " + topic, "stream of dev-" + of + ", Enabled", "from TRIM_HORIZON, 100 at once, 1 side by side",
			`answers ["ReportBatchItemFailures"], halves true, for 86400 s`, `filter [{{"dynamodb":{"NewImage":{"event":{"B":[{"exists":true}]}}}}}], then dev-` + of + "-relay-dead"}
	}
	queue("dev-feed.fifo", "feed", 60, "dev-feed-dead.fifo after 5", append(only("sqs:ReceiveMessage", "feed"), sends...)...)
	queue("dev-feed-dead.fifo", "feed", 30, "nothing", sends...)
	queue("dev-deletions-work", "deletions", 60, "dev-deletions-work-dead after 5", only("sqs:ReceiveMessage", "deletions")...)
	queue("dev-deletions-work-dead", "deletions", 30, "nothing")
	return e
}
