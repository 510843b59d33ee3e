package queues

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"time"

	"cutover/internal/assembly"
	"cutover/internal/local/backing/access"
	"cutover/internal/local/backing/programs"
	"cutover/internal/local/provider"
	"cutover/internal/model"
)

// resource is a queue or a topic as the proxy and the program take it.
type resource struct {
	// service is sqs or sns.
	service, name, region string
	statements            []model.Statement
	key                   *encryptionKey // nil without a key in the assembly
	queue                 *model.Queue   // nil for a topic
	topic                 *model.Topic
	base                  *model.Base
	// attributes are those that CreateQueue and CreateTopic take, and subscriptions those of a topic.
	attributes    map[string]string
	subscriptions []subscription
}

type encryptionKey struct {
	arn        string
	statements []model.Statement
}

// subscription is one of a queue.
type subscription struct {
	queue      string // the name
	attributes map[string]string
}

// policy has the statements of the queue or topic; none if there is no such thing.
func (r *resource) policy() []model.Statement {
	if r == nil {
		return nil
	}
	return r.statements
}

// Plan implements [provider.Provider].
func (p *Provider) Plan(m *model.Model, text provider.Text) provider.Plan {
	next := &plan{Provider: p, model: m, text: text, all: provider.Resources[*resource]{}, keys: map[string]bool{}}
	for _, q := range m.Queues {
		next.all[q.Key()] = &resource{service: "sqs", name: nameOf(&q.Base, q.Name, "sqs", q.FIFO), region: q.Resource.Stack.Region, queue: q, base: &q.Base}
	}
	for _, t := range m.Topics {
		next.all[t.Key()] = &resource{service: "sns", name: nameOf(&t.Base, t.Name, "sns", t.FIFO), region: t.Resource.Stack.Region, topic: t, base: &t.Base}
	}
	if next.used = used(m); !next.used {
		return next
	}
	for _, r := range next.all {
		if of := r.encryptedBy(); of != nil {
			next.keys[of.Key()] = true
		}
	}
	return next
}

// nameOf is the name of a queue or a topic: that of the template, or one that is made up.
func nameOf(b *model.Base, name, service string, fifo bool) string {
	if b.Resource.Properties[properties[service]] != nil {
		return name
	}
	ending := ""
	if fifo {
		ending = ".fifo"
	}
	return model.MadeUp(b.Resource, ending, longest[service])
}

func (r *resource) encryptedBy() *model.EncryptionKey {
	if r.queue != nil {
		return r.queue.EncryptedBy
	}
	return r.topic.EncryptedBy
}

// used says whether a task, or a function that is invoked here, may use a queue or a topic. Without, queues and topics
// are for what does not run on this machine, like alarms.
func used(m *model.Model) bool {
	for _, d := range m.TaskDefinitions {
		if len(m.MessageUses(d.TaskRole)) > 0 {
			return true
		}
	}
	for _, f := range m.Functions {
		if f.Invoked && len(m.MessageUses(f.Role)) > 0 {
			return true
		}
	}
	return slices.ContainsFunc(m.EventSources, func(e *model.EventSource) bool {
		return e.Queue != nil || e.OnFailure != nil || e.Target.Function != nil && len(m.MessageUses(e.Target.Function.Role)) > 0
	})
}

// plan has the queues and topics of an assembly.
type plan struct {
	*Provider
	model *model.Model
	text  provider.Text
	all   provider.Resources[*resource]
	used  bool
	keys  map[string]bool // of keys that encrypt one of all
}

// wanted are those that run here: all, or none.
func (p *plan) wanted() provider.Resources[*resource] {
	if p.used {
		return p.all
	}
	return nil
}

// Stands implements [provider.Partial].
func (p *plan) Stands(r *assembly.Resource) bool {
	return p.used && (r.Type != model.KMSKey || p.keys[r.String()])
}

// names are those that SQS and SNS take.
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_CreateQueue.html
// https://docs.aws.amazon.com/sns/latest/api/API_CreateTopic.html
var names = map[string]*regexp.Regexp{
	"sqs": regexp.MustCompile(`^[a-zA-Z0-9_-]{1,80}$|^[a-zA-Z0-9_-]{1,75}\.fifo$`),
	"sns": regexp.MustCompile(`^[a-zA-Z0-9_-]{1,256}$|^[a-zA-Z0-9_-]{1,251}\.fifo$`),
}

// longest is how many characters a name may have.
var longest = map[string]int{"sqs": 80, "sns": 256}

// properties of queues and topics that count here.
var properties = map[string]string{"sqs": "QueueName", "sns": "TopicName"}

// Check implements [provider.Plan]. It fetches the program if the assembly needs it first.
func (p *plan) Check() error {
	if !p.used {
		return nil
	}
	var errs []error
	holders := map[string]string{}
	for _, key := range p.all.Keys() {
		r := p.all[key]
		property := properties[r.service]
		errs = append(errs, r.base.Problem(property, "FifoQueue", "FifoTopic", "ContentBasedDeduplication", "VisibilityTimeout", "MessageRetentionPeriod",
			"ReceiveMessageWaitTimeSeconds", "DelaySeconds", "MaximumMessageSize", "RedrivePolicy", "KmsMasterKeyId", "Condition"))
		if !names[r.service].MatchString(r.name) || hasSuffix(r.name) != r.fifo() {
			kind := "standard"
			if r.fifo() {
				kind = "FIFO"
			}
			errs = append(errs, r.base.Errorf(property, `AWS takes no %s %s with the name %q: a name has letters, digits, "-" and "_", %d at most; that of a FIFO %[2]s ends with ".fifo"`, kind, kinds[r.service], r.name, longest[r.service]))
		}
		if other := holders[r.service+r.name]; other != "" {
			errs = append(errs, r.base.Errorf(property, "the %s %s is also that of %s", kinds[r.service], r.name, other))
		}
		holders[r.service+r.name] = key
		if q := r.queue; q != nil && q.DeadLetters != nil && q.DeadLetters.FIFO != q.FIFO {
			errs = append(errs, r.base.Errorf("RedrivePolicy", "the dead-letter queue of a FIFO queue is a FIFO queue, and of a standard queue a standard queue: %s is not", q.DeadLetters.Name))
		}
		errs = append(errs, refusedOf(r)...)
	}
	for _, s := range p.model.Subscriptions {
		errs = append(errs, p.checkSubscription(s))
	}
	if err := assembly.Join(errs...); err != nil {
		return err
	}
	if (own("sqs") == "") != (own("sns") == "") {
		return fmt.Errorf("only one of %s and %s is set: topics send to queues, so set both, or none", SQSVariable, SNSVariable)
	}
	if own("sqs") != "" {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.found == nil {
		found, err := programs.FindQueues(context.Background())
		if err != nil {
			return fmt.Errorf("%w; or name endpoints of your own with %s and %s", err, SQSVariable, SNSVariable)
		}
		p.found = &found
	}
	return nil
}

func hasSuffix(name string) bool { return len(name) > 5 && name[len(name)-5:] == ".fifo" }

func (r *resource) fifo() bool {
	return r.queue != nil && r.queue.FIFO || r.topic != nil && r.topic.FIFO
}

// checkSubscription refuses a subscription whose messages would be lost on AWS without a word: SNS needs the leave of
// the queue, and of the key of the queue.
// https://docs.aws.amazon.com/sns/latest/dg/subscribe-sqs-queue-to-sns-topic.html
func (p *plan) checkSubscription(s *model.Subscription) error {
	if err := s.Problem("TopicArn", "Protocol", "RawMessageDelivery", "FilterPolicy", "FilterPolicyScope", "RedrivePolicy"); err != nil {
		return err
	}
	if s.Queue == nil || s.Topic == nil {
		return nil
	}
	topic, queue := p.all[s.Topic.Key()], p.all[s.Queue.Key()]
	if s.Queue.FIFO && !s.Topic.FIFO {
		return s.Errorf("Endpoint", "the FIFO queue %s takes messages of FIFO topics alone, and %s is a standard one", queue.name, topic.name)
	}
	for _, target := range []*model.Queue{s.Queue, s.DeadLetters} {
		if target == nil {
			continue
		}
		to := p.all[target.Key()]
		policy, err := p.resolved(target.Policy)
		if err != nil {
			return fmt.Errorf("%s: the policy of the queue: %w", target.Key(), err)
		}
		arn := provider.ARN("sns", topic.name)
		if !access.ServiceMay("sns.amazonaws.com", arn, "sqs:SendMessage", provider.ARN("sqs", to.name), policy) {
			return s.Errorf("Endpoint", "the policy of the queue %s does not let SNS send messages of the topic %s: allow sns.amazonaws.com the action sqs:SendMessage with aws:SourceArn", to.name, topic.name)
		}
		if target.EncryptedBy == nil {
			continue
		}
		statements, err := p.resolved(target.EncryptedBy.Policy)
		if err != nil {
			return fmt.Errorf("%s: the policy of the key: %w", target.EncryptedBy.Key(), err)
		}
		for _, action := range []string{"kms:GenerateDataKey", "kms:Decrypt"} {
			if !access.ServiceMay("sns.amazonaws.com", arn, action, keyARN(target.EncryptedBy), statements) {
				return s.Errorf("Endpoint", "the policy of the key %s of the queue %s does not let sns.amazonaws.com do %s: messages of the topic would be lost", target.EncryptedBy.Key(), to.name, action)
			}
		}
	}
	return nil
}

// keyARN is the ARN of a key. Its id is made up from its name, and always the same.
func keyARN(k *model.EncryptionKey) string { return provider.ARN("kms", "key/"+keyID(k)) }

func keyID(k *model.EncryptionKey) string {
	sum := access.Hash([]byte(k.Key()))
	return fmt.Sprintf("%s-%s-%s-%s-%s", sum[:8], sum[8:12], sum[12:16], sum[16:20], sum[20:32])
}

// resolved are statements with texts in place of references. Principals stay as they are.
func (p *plan) resolved(statements []model.Statement) ([]model.Statement, error) {
	texts := func(values []any) (all []any, err error) {
		for _, v := range values {
			text, err := p.text(v)
			if err != nil {
				return nil, err
			}
			all = append(all, text)
		}
		return all, nil
	}
	var all []model.Statement
	for _, s := range statements {
		var err error
		if s.Resources, err = texts(s.Resources); err != nil {
			return nil, err
		}
		condition := map[string]map[string][]any{}
		for operator, keys := range s.Condition {
			condition[operator] = map[string][]any{}
			for key, values := range keys {
				if condition[operator][key], err = texts(values); err != nil {
					return nil, err
				}
			}
		}
		s.Condition = condition
		all = append(all, s)
	}
	return all, nil
}

// Attribute gives what queues, topics and keys have: the ARN or URL (Ref), the ARN and the name.
func (p *plan) Attribute(ref assembly.Ref) (any, error) {
	if ref.Resource.Type == model.KMSKey {
		for _, k := range p.model.EncryptionKeys {
			if k.Resource != ref.Resource {
				continue
			}
			switch ref.Attribute {
			case "", "KeyId":
				return keyID(k), nil
			case "Arn":
				return keyARN(k), nil
			}
		}
		return nil, provider.NotGiven(ref)
	}
	r := p.all[ref.Resource.String()]
	switch {
	case r == nil:
	case ref.Attribute == "QueueName" || ref.Attribute == "TopicName":
		return r.name, nil
	case ref.Attribute == "Arn" || ref.Attribute == "TopicArn" || ref.Attribute == "" && r.topic != nil:
		return provider.ARN(r.service, r.name), nil
	case ref.Attribute == "" || ref.Attribute == "QueueUrl":
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.listener == nil {
			return nil, provider.ErrNotYet
		}
		return p.address() + "/" + provider.Account + "/" + r.name, nil
	}
	return nil, provider.NotGiven(ref)
}

// Update implements [provider.Plan]. Dead-letter queues are made before the queues that need them, and topics last.
func (p *plan) Update(ctx context.Context, stack string) error {
	p.mu.Lock()
	p.Provider.model = p.model
	p.mu.Unlock()
	wanted := p.wanted().Of(stack)
	if len(wanted) == 0 {
		return nil
	}
	if err := p.start(ctx); err != nil {
		return err
	}
	order := wanted.Keys()
	slices.SortStableFunc(order, func(a, b string) int { return cmp.Compare(rank(wanted[a]), rank(wanted[b])) })
	for _, key := range order {
		r := wanted[key]
		if err := p.complete(r); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		if err := p.make(ctx, r); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		p.mu.Lock()
		p.deployed[r.service+":"+r.name] = r
		p.mu.Unlock()
	}
	return nil
}

func rank(r *resource) int {
	switch {
	case r.topic != nil:
		return 2
	case r.queue.DeadLetters != nil:
		return 1
	}
	return 0
}

// complete fills in what may refer to other resources.
func (p *plan) complete(r *resource) (err error) {
	var policy []model.Statement
	if r.queue != nil {
		policy = r.queue.Policy
	} else {
		policy = r.topic.Policy
	}
	if r.statements, err = p.resolved(policy); err != nil {
		return fmt.Errorf("its policy: %w", err)
	}
	if k := r.encryptedBy(); k != nil {
		r.key = &encryptionKey{arn: keyARN(k)}
		if r.key.statements, err = p.resolved(k.Policy); err != nil {
			return k.Errorf("KeyPolicy", "%v", err)
		}
	}
	if r.queue != nil {
		r.attributes = queueAttributes(r.queue, p.all)
		return nil
	}
	r.attributes = map[string]string{}
	if r.topic.FIFO {
		r.attributes["FifoTopic"], r.attributes["ContentBasedDeduplication"] = "true", strconv.FormatBool(r.topic.ContentDeduplication)
	}
	r.subscriptions = nil
	for _, s := range p.model.Subscriptions {
		if s.Topic != r.topic || s.Queue == nil {
			continue
		}
		one := subscription{p.all[s.Queue.Key()].name, map[string]string{"RawMessageDelivery": strconv.FormatBool(s.Raw)}}
		if len(s.Filter) > 0 {
			text, err := json.Marshal(s.Filter)
			if err != nil {
				return err
			}
			one.attributes["FilterPolicy"], one.attributes["FilterPolicyScope"] = string(text), s.FilterScope
		}
		r.subscriptions = append(r.subscriptions, one)
	}
	return nil
}

// queueAttributes are those of a queue.
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
func queueAttributes(q *model.Queue, all provider.Resources[*resource]) map[string]string {
	seconds := func(d time.Duration) string { return strconv.Itoa(int(d / time.Second)) }
	attributes := map[string]string{
		"VisibilityTimeout": seconds(q.Visibility), "MessageRetentionPeriod": seconds(q.Retention), "ReceiveMessageWaitTimeSeconds": seconds(q.Wait),
		"DelaySeconds": seconds(q.Delay), "MaximumMessageSize": strconv.Itoa(q.MaxBytes), "RedrivePolicy": "",
	}
	if q.FIFO {
		attributes["FifoQueue"], attributes["ContentBasedDeduplication"] = "true", strconv.FormatBool(q.ContentDeduplication)
	}
	if q.DeadLetters != nil {
		text, _ := json.Marshal(map[string]any{"deadLetterTargetArn": provider.ARN("sqs", all[q.DeadLetters.Key()].name), "maxReceiveCount": q.MaxReceives})
		attributes["RedrivePolicy"] = string(text)
	}
	return attributes
}

// Clean implements [provider.Plan]. As on AWS, a queue or topic that leaves its template or is replaced is deleted with
// its messages, unless a policy of the template keeps it.
func (p *plan) Clean(ctx context.Context, stack string) error {
	p.mu.Lock()
	old := maps.Clone(p.deployed)
	p.mu.Unlock()
	for name, r := range old {
		key := r.base.Key()
		next := p.wanted()[key]
		if provider.StackOf(key) != stack || next != nil && next.name == r.name {
			continue
		}
		policy := model.Kept(r.base.Resource)
		if next != nil {
			policy = cmp.Or(r.base.Resource.UpdateReplacePolicy, "Delete")
		}
		if policy != "Delete" {
			p.event(r.name, "", "", "the "+kinds[r.service]+" stays, because its template keeps it")
		} else {
			if err := p.remove(ctx, r); err != nil {
				return fmt.Errorf("%s: %w", key, err)
			}
			p.event(r.name, "", "", "the "+kinds[r.service]+" was deleted")
		}
		p.mu.Lock()
		delete(p.deployed, name)
		p.mu.Unlock()
	}
	return nil
}
