package model

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"cutover/internal/assembly"
)

// Topic is a topic of Amazon SNS.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-sns-topic.html
type Topic struct {
	Base
	Name string
	// FIFO topics keep the order of a message group. Default: a standard topic.
	FIFO bool
	// ContentDeduplication takes the hash of the body for the deduplication id, if a message has none. Default false.
	ContentDeduplication bool
	// Scope is that of the deduplication, and of the throughput, of a FIFO topic: Topic or MessageGroup (the default).
	Scope string
	// EncryptedBy is nil if the key is not in the assembly. KeyID is what the template names; empty without encryption.
	EncryptedBy *EncryptionKey
	KeyID       string
	// Policy has the statements of all policies of the topic.
	Policy []Statement
}

// Subscription sends the messages of a topic to an endpoint.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-sns-subscription.html
type Subscription struct {
	Base
	// Topic is nil if it is not in the assembly.
	Topic *Topic
	// Protocol is as in sqs. Endpoint is an ARN, a URL or an address, with the key of a resource in place of what only the
	// deployment tells.
	Protocol, Endpoint string
	// Queue is the endpoint's; nil if it is none, or not in the assembly.
	Queue *Queue
	// Raw messages come without the envelope of SNS. Default false.
	Raw bool
	// Filter has the values that a message must have, by attribute; of MessageBody, the scope, by member. Empty: all messages.
	Filter map[string]any
	// FilterScope is MessageAttributes (the default) or MessageBody.
	FilterScope string
	// DeadLetters gets what could not be delivered; nil: nothing does.
	DeadLetters *Queue
}

// Queue is a queue of Amazon SQS.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-sqs-queue.html
type Queue struct {
	Base
	Name string
	// FIFO queues keep the order of a message group. Default: a standard queue.
	FIFO bool
	// ContentDeduplication is as in [Topic]. Scope is queue (the default) or messageGroup.
	ContentDeduplication bool
	Scope                string
	// Limit is that of the throughput: perQueue (the default) or perMessageGroupId.
	Limit string
	// Visibility is how long a message that was received stays hidden. Default 30 s.
	Visibility time.Duration
	// Retention is how long a message stays. Default 4 days.
	Retention time.Duration
	// Wait is how long a receiver waits for a message, if it does not say. Delay is how long a new message stays hidden.
	// Defaults: not at all.
	Wait, Delay time.Duration
	// MaxBytes is how long a message may be. Default: 1 MiB.
	MaxBytes int
	// DeadLetters gets what was received more than MaxReceives times; nil: nothing does.
	DeadLetters *Queue
	MaxReceives int
	// EncryptedBy is nil if the key is not in the assembly. KeyID is what the template names. Without it, a queue is encrypted by
	// SQS, unless Managed is false.
	EncryptedBy *EncryptionKey
	KeyID       string
	Managed     bool
	// Policy has the statements of all policies of the queue.
	Policy []Statement
}

// EventSource is an event source mapping of Lambda: it invokes a function with what comes from a queue or a stream.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-lambda-eventsourcemapping.html
type EventSource struct {
	Base
	Target FunctionTarget
	// Queue or Table is the source; both are nil if it is not in the assembly. Table is that of a stream.
	Queue *Queue
	Table *Table
	// Source is the ARN of the source, with the key of a resource in place of what only the deployment tells.
	Source string
	// Enabled mappings poll. Default true.
	Enabled bool
	// Batch is how many records an invocation has at most: by default 10 of a queue, 100 of a stream. Window is how long the
	// mapping waits for so many. Default: not at all.
	Batch  int
	Window time.Duration
	// PartialFailures says that the function answers which records failed (ReportBatchItemFailures). Default: all or none.
	PartialFailures bool
	// From is where a stream is read from first: TRIM_HORIZON, LATEST or AT_TIMESTAMP.
	From string
	// Filters are patterns, in JSON: a record that matches none is left out. Empty: no record is.
	Filters []string
	// Bisect splits a batch that failed. Default false.
	Bisect bool
	// Retries is how often a batch of a stream is tried again, and MaxAge how old its records may be; -1 (the default): without end.
	Retries int
	MaxAge  time.Duration
	// Parallel is how many batches of a shard are processed at once. Default 1.
	Parallel int
	// MaxConcurrency is how many invocations there may be at once for a queue; 0 (the default): as many as the function allows.
	MaxConcurrency int
	// OnFailure is the queue that gets what became of records of a stream that were given up; nil: nothing does.
	OnFailure *Queue
}

// EncryptionKey is a key of AWS KMS.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-kms-key.html
type EncryptionKey struct {
	Base
	// Rotation says that AWS makes new key material each year. Default false.
	Rotation bool
	Policy   []Statement
}

func (m *Model) readKeys() {
	m.EncryptionKeys = all(m, KMSKey, func(k *EncryptionKey, p assembly.Value) {
		k.Rotation = p.Field("EnableKeyRotation").Bool(false)
		k.Policy = statements(p.Field("KeyPolicy"))
	})
}

func (m *Model) readMessaging() {
	m.Queues = all(m, SQSQueue, m.queue)
	for _, q := range m.Queues { // a queue may come before its dead-letter queue
		reader := assembly.NewReader(m.Assembly, q.Resource)
		redrive := reader.Properties().Field("RedrivePolicy")
		q.DeadLetters, q.MaxReceives = m.queueOf(redrive.Field("deadLetterTargetArn")), redrive.Field("maxReceiveCount").Int(0, 1, 1000)
		if redrive.Present() {
			q.Problems = append(q.Problems, reader.Problems()...)
		}
	}
	m.Topics = all(m, SNSTopic, func(t *Topic, p assembly.Value) {
		t.FIFO = p.Field("FifoTopic").Bool(false)
		t.Name = name(&t.Base, p.Field("TopicName"))
		t.ContentDeduplication = p.Field("ContentBasedDeduplication").Bool(false)
		t.Scope = p.Field("FifoThroughputScope").OneOf("MessageGroup", "Topic")
		t.EncryptedBy, t.KeyID = m.keyOf(p.Field("KmsMasterKeyId"))
	})
	m.Subscriptions = all(m, SNSSubscription, m.subscription)
	all(m, SNSTopicPolicy, func(policy *struct{ Base }, p assembly.Value) {
		of := statements(p.Field("PolicyDocument"))
		for _, v := range p.Field("Topics").List() {
			if t := m.topicOf(v); t != nil {
				t.Policy = append(t.Policy, of...)
			}
		}
	})
	all(m, SQSQueuePolicy, func(policy *struct{ Base }, p assembly.Value) {
		of := statements(p.Field("PolicyDocument"))
		for _, v := range p.Field("Queues").List() {
			if q := m.queueOf(v); q != nil {
				q.Policy = append(q.Policy, of...)
			}
		}
	})
}

func (m *Model) queue(q *Queue, p assembly.Value) {
	q.FIFO = p.Field("FifoQueue").Bool(false)
	q.Name = name(&q.Base, p.Field("QueueName"))
	q.ContentDeduplication = p.Field("ContentBasedDeduplication").Bool(false)
	q.Scope, q.Limit = p.Field("DeduplicationScope").OneOf("queue", "messageGroup"), p.Field("FifoThroughputLimit").OneOf("perQueue", "perMessageGroupId")
	// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
	q.Visibility = p.Field("VisibilityTimeout").Seconds(30, 0, 43_200)
	q.Retention = p.Field("MessageRetentionPeriod").Seconds(345_600, 60, 1_209_600)
	q.Wait = p.Field("ReceiveMessageWaitTimeSeconds").Seconds(0, 0, 20)
	q.Delay = p.Field("DelaySeconds").Seconds(0, 0, 900)
	q.MaxBytes = p.Field("MaximumMessageSize").Int(1<<20, 1024, 1<<20)
	q.EncryptedBy, q.KeyID = m.keyOf(p.Field("KmsMasterKeyId"))
	q.Managed = q.KeyID == "" && p.Field("SqsManagedSseEnabled").Bool(true)
	p.Field("RedrivePolicy").Field("deadLetterTargetArn")
	p.Field("RedrivePolicy").Field("maxReceiveCount")
	p.Field("RedriveAllowPolicy").Field("redrivePermission")
	p.Field("RedriveAllowPolicy").Field("sourceQueueArns")
	p.Field("Tags")
}

func (m *Model) subscription(s *Subscription, p assembly.Value) {
	s.Topic = m.topicOf(p.Field("TopicArn"))
	s.Protocol = p.Field("Protocol").Text("")
	if s.Protocol == "sqs" {
		s.Queue = m.queueOf(p.Field("Endpoint"))
	}
	if s.Endpoint = s.Queue.key(); s.Endpoint == "" {
		s.Endpoint = p.Field("Endpoint").Keyed()
	}
	s.Raw = p.Field("RawMessageDelivery").Bool(false)
	s.Filter, _ = p.Field("FilterPolicy").Evaluated().(map[string]any)
	s.FilterScope = p.Field("FilterPolicyScope").OneOf("MessageAttributes", "MessageBody")
	s.DeadLetters = m.queueOf(p.Field("RedrivePolicy").Field("deadLetterTargetArn"))
}

func (m *Model) eventSource(e *EventSource, p assembly.Value) {
	e.Target = m.FunctionTarget(p.Field("FunctionName").Keyed())
	source := p.Field("EventSourceArn")
	if e.Queue = m.queueOf(source); e.Queue == nil {
		e.Table = cmp.Or(elsewhere[Table](m, source, DynamoDBGlobalTable, "StreamArn"), elsewhere[Table](m, source, DynamoDBTable, "StreamArn"))
	}
	switch {
	case e.Queue != nil:
		e.Source = e.Queue.Key()
	case e.Table != nil:
		e.Source = e.Table.Key()
	default:
		e.Source = source.Keyed()
	}
	batch := 100
	if e.Queue != nil || strings.Contains(e.Source, ":sqs:") {
		batch = 10
	}
	// https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html
	e.Enabled = p.Field("Enabled").Bool(true)
	e.Batch = p.Field("BatchSize").Int(batch, 1, 10_000)
	e.Window = p.Field("MaximumBatchingWindowInSeconds").Seconds(0, 0, 300)
	e.PartialFailures = slices.Contains(p.Field("FunctionResponseTypes").Texts(), "ReportBatchItemFailures")
	e.From = p.Field("StartingPosition").Text("")
	for _, filter := range p.Field("FilterCriteria").Field("Filters").List() {
		e.Filters = append(e.Filters, filter.Field("Pattern").Text(""))
	}
	e.Bisect = p.Field("BisectBatchOnFunctionError").Bool(false)
	e.Retries = p.Field("MaximumRetryAttempts").Int(-1, -1, 10_000)
	e.MaxAge = time.Duration(p.Field("MaximumRecordAgeInSeconds").Int(-1, -1, 604_800)) * time.Second
	e.Parallel = p.Field("ParallelizationFactor").Int(1, 1, 10)
	e.MaxConcurrency = p.Field("ScalingConfig").Field("MaximumConcurrency").Int(0, 2, 1000)
	e.OnFailure = m.queueOf(p.Field("DestinationConfig").Field("OnFailure").Field("Destination"))
	p.Field("Tags")
	if e.Here() {
		e.Target.Function.Invoked = true
	}
}

// Here says that the source and the function are in the assembly.
func (e *EventSource) Here() bool {
	return (e.Queue != nil || e.Table != nil) && e.Target.Function != nil
}

// queueOf is the queue of the assembly that an ARN, a URL or a reference names.
func (m *Model) queueOf(v assembly.Value) *Queue {
	if end := ending(v.Raw()); end != "" {
		return byName(m.Queues, end, "QueueName", func(q *Queue) string { return q.Name })
	}
	return elsewhere[Queue](m, v, SQSQueue, "Arn", "QueueUrl")
}

// topicOf is the topic of the assembly that an ARN or a reference names.
func (m *Model) topicOf(v assembly.Value) *Topic {
	if end := ending(v.Raw()); end != "" {
		return byName(m.Topics, end, "TopicName", func(t *Topic) string { return t.Name })
	}
	return elsewhere[Topic](m, v, SNSTopic, "TopicArn")
}

// TopicNamed is the topic with an ARN or a name, and QueueNamed the queue; nil if the assembly does not have it.
func (m *Model) TopicNamed(name string) *Topic {
	return byName(m.Topics, ":"+name, "TopicName", func(t *Topic) string { return t.Name })
}

// QueueNamed is explained at TopicNamed.
func (m *Model) QueueNamed(name string) *Queue {
	return byName(m.Queues, ":"+name, "QueueName", func(q *Queue) string { return q.Name })
}

// ending is the end of an ARN or a URL that is a text, or is put together from texts and what only the deployment tells. It is
// empty for a reference.
func ending(raw any) string {
	switch v := raw.(type) {
	case string:
		return v
	case []any:
		if len(v) > 0 {
			return ending(v[len(v)-1])
		}
	case map[string]any:
		if sub, ok := v["Fn::Sub"].([]any); ok && len(sub) > 0 {
			return ending(sub[0])
		}
		return ending(cmp.Or(v["Fn::Sub"], v["Fn::Join"]))
	}
	return ""
}

// key is that of the queue; empty if there is none.
func (q *Queue) key() string {
	if q == nil {
		return ""
	}
	return q.Key()
}

// byName is the value whose name ends an ARN or a URL. A name that CloudFormation makes up is not known.
func byName[T interface{ base() *Base }](all []T, id, property string, name func(T) string) (none T) {
	last := id[strings.LastIndexAny(id, ":/")+1:]
	i := slices.IndexFunc(all, func(t T) bool {
		return last != "" && last != id && name(t) == last && t.base().Resource.Properties[property] != nil
	})
	if i < 0 {
		return none
	}
	return all[i]
}

// keyOf is the key that a property names, and what the property says.
func (m *Model) keyOf(v assembly.Value) (*EncryptionKey, string) {
	if key := elsewhere[EncryptionKey](m, v, KMSKey, "Arn", "KeyId"); key != nil {
		return key, key.Key()
	}
	return nil, v.Keyed()
}

// Worker says that nobody sends requests to the tasks of the service: no load balancer, no name in a namespace.
func (s *Service) Worker() bool {
	return len(s.LoadBalancers)+len(s.Registries) == 0 && s.Connect == nil
}
