package review

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"cutover/internal/assembly"
	"cutover/internal/model"
	"cutover/internal/words"
)

// MessageChange is what a change does to topics and queues, and to what is in them. It is the same in all of its pairs.
type MessageChange struct {
	In []string `json:"in"`
	// Of is a topic, a queue, a subscription, a key or an event source mapping, by its construct path.
	Of string `json:"of"`
	// Does is in words what happens, and what to do. Harms says that messages are lost or stop, or that others may write or read them.
	Does  string `json:"does"`
	Harms bool   `json:"harms"`
}

// Messages lists what the pairs do to topics and queues. What does harm comes first.
func Messages(pairs []Pair) []MessageChange {
	return merged(pairs, messagesOf)
}

func (c *MessageChange) told() told { return told{&c.In, c.Of, c.Does, c.Harms} }

// messages compares the topics and queues of two models.
type messages struct {
	was, is *model.Model
	all     []MessageChange
}

func (m *messages) harm(of *assembly.Resource, format string, args ...any) {
	m.all = append(m.all, MessageChange{Of: place(of), Does: fmt.Sprintf(format, args...), Harms: true})
}

func (m *messages) tell(of *assembly.Resource, format string, args ...any) {
	m.all = append(m.all, MessageChange{Of: place(of), Does: fmt.Sprintf(format, args...)})
}

func messagesOf(pair Pair) []MessageChange {
	m := &messages{was: model.Read(pair.Before), is: model.Read(pair.After)}
	for _, was := range m.was.Queues {
		if is := same(m.is, was); is == nil {
			m.queueGoes(was)
		} else if by := replacing(model.SQSQueue, changedKeys(was.Resource.Properties, is.Resource.Properties)); len(by) > 0 {
			m.queueIsReplaced(was, is, by)
		} else {
			m.queue(was, is)
		}
	}
	for _, was := range m.was.Topics {
		if is := same(m.is, was); is == nil {
			m.topicGoes(was)
		} else if by := replacing(model.SNSTopic, changedKeys(was.Resource.Properties, is.Resource.Properties)); len(by) > 0 {
			m.harm(was.Resource, "is replaced by %s, because %s changes: whoever publishes to %s gets an error until it has the new name, and what %s has not delivered yet is lost. Deploy the new topic beside the old one, move publishers and subscriptions, and then remove the old one",
				topicKind(is), strings.Join(by, ", "), was.Name, was.Name)
		} else {
			m.encryption(was.Resource, was.KeyID, is.KeyID, false)
			m.policy(was.Resource, was.Policy, is.Policy)
		}
	}
	for _, was := range m.was.Subscriptions {
		m.subscription(was, same(m.is, was))
	}
	for _, was := range m.was.EventSources {
		if is := same(m.is, was); is != nil {
			m.eventSource(was, is)
		}
	}
	for _, was := range m.was.EncryptionKeys {
		if same(m.is, was) == nil && m.stays(was.Resource) && (policy{word: model.Kept(was.Resource)}).deletes() && slices.ContainsFunc(m.was.Queues, func(q *model.Queue) bool { return q.EncryptedBy == was }) {
			m.harm(was.Resource, "is deleted, 30 days later unless the template says otherwise: what was sent with it and is still in a queue can never be read. Keep the key with the DeletionPolicy Retain, until the queues are empty")
		}
	}
	return m.all
}

// stays says whether a resource's stack is still deployed. `cdk deploy` deletes no stack.
func (m *messages) stays(r *assembly.Resource) bool { return m.is.Assembly.Stack(r.Stack.Name) != nil }

func topicKind(t *model.Topic) string {
	return map[bool]string{true: "the FIFO topic ", false: "the standard topic "}[t.FIFO] + t.Name
}

func queueKind(q *model.Queue) string {
	return map[bool]string{true: "the FIFO queue ", false: "the standard queue "}[q.FIFO] + q.Name
}

// emptied says how to empty a queue first. SQS keeps nothing of a queue that is deleted
// (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_DeleteQueue.html).
const emptied = "Before that, stop what sends to it, and wait until cutover events shows nothing in it"

func (m *messages) queueGoes(was *model.Queue) {
	switch kept := (policy{word: model.Kept(was.Resource)}); {
	case !m.stays(was.Resource):
		m.tell(was.Resource, "stays with its messages, and nothing deploys its stack any more: what still sends to it fills it until its messages are %s old", age(was.Retention))
	case kept.deletes():
		m.harm(was.Resource, "is deleted with the messages in it. %s", emptied)
	default:
		m.harm(was.Resource, "stays with its messages, and belongs to no stack: nothing of the deployment takes them, and after %s they are gone. %s", age(was.Retention), emptied)
	}
}

func (m *messages) queueIsReplaced(was, is *model.Queue, by []string) {
	old := "is deleted with the messages in it"
	if !exchangedPolicy(m.was, was.Resource, is.Resource).deletes() {
		old = "stays with its messages, and nothing of the deployment takes them"
	}
	order := ""
	switch {
	case was.FIFO && !is.FIFO:
		order = ". The new one keeps no order: events of a key come in any order, and twice"
	case !was.FIFO && is.FIFO:
		order = ". The new one keeps the order of a key, and a standard topic cannot deliver to it in order"
	}
	m.harm(was.Resource, "is replaced by %s, which is empty, because %s changes: the old one %s%s. Senders, subscriptions and consumers need the new name. %s", queueKind(is), strings.Join(by, ", "), old, order, emptied)
}

// fewReceives is the least that AWS recommends, for a throttled function receives a message and does not fail
// (https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html).
const fewReceives = 5

func (m *messages) queue(was, is *model.Queue) {
	r := was.Resource
	m.encryption(r, was.KeyID, is.KeyID, is.Managed)
	if ours := "alias/aws/sqs"; is.KeyID == ours && was.KeyID != ours {
		for _, s := range m.is.Subscriptions {
			if s.Queue == is {
				m.harm(r, "has AWS's own key for SQS, with which SNS cannot write: no topic delivers to it. Give it a key of your own whose policy admits sns.amazonaws.com")
				break
			}
		}
	}
	m.policy(r, was.Policy, is.Policy)
	switch one, other := was.DeadLetters, is.DeadLetters; {
	case one != nil && other == nil:
		text := "has no dead-letter queue any more: a message that its consumer cannot apply comes back until it is " + age(is.Retention) + " old, and is then lost"
		if is.FIFO {
			text += ". Until then the later messages of its group wait"
		}
		m.harm(r, "%s. Keep the redrive policy", text)
	case one == nil && other == nil:
	case one != nil && one.Name != other.Name:
		m.tell(r, "gives its dead letters to %s instead of %s: what is in %s stays there. Move it back first, with cutover events redrive %s", other.Name, one.Name, one.Name, one.Name)
		fallthrough
	default:
		m.receives(was, is)
	}
	if is.Retention < was.Retention {
		m.harm(r, "keeps messages for %s instead of %s: older ones that wait in it are deleted, within minutes of the deployment. Let its consumers take them first, or keep the time", age(is.Retention), age(was.Retention))
	}
	for _, from := range m.is.Queues {
		// A message keeps its time in a standard queue (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html).
		if old := same(m.was, from); from.DeadLetters == is && is.Retention < from.Retention && (old == nil || was.Retention >= old.Retention) {
			m.harm(r, "keeps dead letters for %s, and %s its messages for %s: a message that comes late is deleted at once. Keep dead letters the longer time", age(is.Retention), from.Name, age(from.Retention))
		}
	}
	m.visibility(was, is)
	if was.ContentDeduplication && !is.ContentDeduplication {
		m.harm(r, "takes no message without a deduplication id any more: what sends without one gets an error")
	}
}

// receives says that another number of receives makes a dead letter.
func (m *messages) receives(was, is *model.Queue) {
	switch {
	case was.MaxReceives == 0 || was.MaxReceives == is.MaxReceives:
	case is.MaxReceives < was.MaxReceives && is.MaxReceives < fewReceives:
		m.harm(was.Resource, "gives a message to %s after %s instead of %d: a consumer that is replaced or throttled in between counts as well, and good messages become dead letters. AWS recommends %d or more",
			is.DeadLetters.Name, words.Count(is.MaxReceives, "receive"), was.MaxReceives, fewReceives)
	default:
		m.tell(was.Resource, "gives a message to %s after %s instead of %d: one that no consumer can apply holds up what is behind it for %s at least", is.DeadLetters.Name,
			words.Count(is.MaxReceives, "receive"), was.MaxReceives, age(time.Duration(is.MaxReceives)*is.Visibility))
	}
}

// visibility says that a message comes again while its consumer still works on it.
func (m *messages) visibility(was, is *model.Queue) {
	for _, e := range m.is.EventSources {
		if e.Queue != is || e.Target.Function == nil {
			continue
		}
		before, limit := time.Duration(0), e.Target.Function.Timeout
		if old := same(m.was, e); old != nil && old.Target.Function != nil {
			before = old.Target.Function.Timeout
		}
		if is.Visibility < limit && was.Visibility >= before {
			m.harm(was.Resource, "hides a message for %s, and its function %s may run for %s: AWS refuses that, and nothing would be received. Six times the function's time-out is recommended", age(is.Visibility), e.Target.Function.Name, age(limit))
			return
		}
	}
	if is.Visibility < was.Visibility {
		m.tell(was.Resource, "hides a message that was received for %s instead of %s: a consumer that takes longer gets it twice, or another one does. A consumer that has not finished has to extend the time", age(is.Visibility), age(was.Visibility))
	}
}

// encryption says that a topic or a queue is encrypted otherwise.
func (m *messages) encryption(of *assembly.Resource, was, is string, managed bool) {
	switch {
	case was == is || was == "":
	case is == "" && managed:
		m.harm(of, "is encrypted by SQS itself instead of the key %s: whoever may receive needs no right to a key any more. Keep the key", was)
	case is == "":
		m.harm(of, "is no longer encrypted with the key %s: what is stored of its messages is readable without a right to a key. Keep the key", was)
	default:
		m.tell(of, "has the key %s instead of %s: what is in it needs the old key, and publishers, topics and consumers need the new one", is, was)
	}
}

// said is what a statement of a policy says to one principal about one action.
type said struct{ effect, principal, action, condition string }

// allSaid are the statements of a policy taken apart, sorted.
func allSaid(policy []model.Statement) (all []said) {
	for _, s := range policy {
		for kind, principals := range s.Principals {
			for _, principal := range principals {
				for _, action := range s.Actions {
					all = append(all, said{s.Effect, strings.ToLower(kind) + " " + fmt.Sprint(principal), fmt.Sprint(action), conditionOf(s)})
				}
			}
		}
	}
	slices.SortFunc(all, func(a, b said) int {
		return cmp.Or(cmp.Compare(a.effect, b.effect), cmp.Compare(a.principal, b.principal), cmp.Compare(a.action, b.action), cmp.Compare(a.condition, b.condition))
	})
	return slices.Compact(all)
}

func (s said) who() string { return strings.Replace(s.principal, "aws *", "anybody", 1) }

func (s said) when() string {
	if s.condition == "" {
		return ""
	}
	return " if " + s.condition
}

func conditionOf(s model.Statement) string {
	var parts []string
	for _, operator := range slices.Sorted(maps.Keys(s.Condition)) {
		for _, key := range slices.Sorted(maps.Keys(s.Condition[operator])) {
			parts = append(parts, strings.Join([]string{key, operator, strings.Trim(fmt.Sprint(s.Condition[operator][key]), "[]")}, " "))
		}
	}
	return strings.Join(parts, " and ")
}

// policy says whom a policy lets do more. A service of AWS that acts for one source is no harm.
func (m *messages) policy(of *assembly.Resource, was, is []model.Statement) {
	before, after := allSaid(was), allSaid(is)
	for _, s := range after {
		if s.effect != "Allow" || slices.Contains(before, s) {
			continue
		}
		if strings.HasPrefix(s.principal, "service ") && strings.Contains(strings.ToLower(s.condition), "aws:sourcearn") && !strings.Contains(s.condition, "*") {
			m.tell(of, "lets %s do %s%s, which it did not before", s.who(), s.action, s.when())
		} else {
			m.harm(of, "lets %s do %s%s, which the policy did not allow before. Name who needs it, and on which condition", s.who(), s.action, s.when())
		}
	}
	for _, s := range before {
		if s.effect == "Deny" && !slices.Contains(after, s) {
			m.harm(of, "no longer denies %s to %s%s: whoever has a policy of its own for that may do it. Keep the statement", s.action, s.who(), s.when())
		}
	}
}

func (m *messages) topicGoes(was *model.Topic) {
	if !m.stays(was.Resource) {
		return // as long as its stack is there
	}
	m.harm(was.Resource, "is deleted with its subscriptions: whoever publishes to %s gets an error, and its events reach nobody. An outbox keeps what was not published; a stream keeps it for a day. Stop what changes records first, or keep the topic", was.Name)
}

func (m *messages) subscription(was, is *model.Subscription) {
	r := was.Resource
	to := cmp.Or(name(was.Queue), was.Endpoint)
	if was.Topic == nil || !m.stays(r) || same(m.is, was.Topic) == nil || was.Queue != nil && same(m.is, was.Queue) == nil {
		return // the topic or the queue says it
	}
	if is == nil {
		for _, other := range m.is.Subscriptions {
			if other.Topic != nil && other.Topic.Key() == was.Topic.Key() && other.Endpoint == was.Endpoint {
				// SNS has one subscription for an endpoint, and answers with it (https://docs.aws.amazon.com/sns/latest/api/API_Subscribe.html).
				m.harm(r, "is %s from now on, which is the same subscription to SNS: CloudFormation deletes it with the old one, and %s hears no more of %s. Keep the logical id, or deploy without it first", place(other.Resource), to, was.Topic.Name)
				return
			}
		}
		m.harm(r, "goes: %s hears no more of %s. If it is subscribed again later, what was published in between is a gap: use cutover run SERVICE republish for the service that publishes", to, was.Topic.Name)
		return
	}
	if by := replacing(model.SNSSubscription, changedKeys(was.Resource.Properties, is.Resource.Properties)); len(by) > 0 && (is.Topic == nil || is.Topic.Key() != was.Topic.Key() || is.Endpoint != was.Endpoint) {
		m.harm(r, "is replaced, because %s changes: %s hears no more of %s. What the new endpoint has not heard is a gap: use cutover run SERVICE republish for the service that publishes", strings.Join(by, ", "), to, was.Topic.Name)
		return
	}
	// https://docs.aws.amazon.com/sns/latest/dg/sns-message-filtering.html
	if one, other := filter(was), filter(is); one != other {
		m.harm(r, "lets %s hear of %s by %s instead of %s: of a key that no longer matches the next events are missing, and of one that matches only now the first are. Both are gaps, and a consumer waits for what is missing. SNS takes up to 15 minutes for it; then use cutover run SERVICE republish for the service that publishes",
			to, was.Topic.Name, other, one)
	}
	if was.Raw != is.Raw {
		form := map[bool]string{true: "raw", false: "in the envelope of SNS"}
		m.tell(r, "delivers messages to %s %s instead of %s: the consumer has to read both, before this is deployed. Ours does", to, form[is.Raw], form[was.Raw])
	}
	if was.DeadLetters != nil && is.DeadLetters == nil {
		m.harm(r, "has no dead-letter queue any more: what SNS cannot deliver to %s is lost after its last attempt. Keep the redrive policy", to)
	}
}

func name(q *model.Queue) string {
	if q == nil {
		return ""
	}
	return q.Name
}

// filter is the filter of a subscription in words.
func filter(s *model.Subscription) string {
	if len(s.Filter) == 0 {
		return "no filter"
	}
	text, err := json.Marshal(s.Filter)
	if err != nil {
		text = []byte(fmt.Sprint(s.Filter))
	}
	return fmt.Sprintf("the filter %s on %s", text, s.FilterScope)
}

func (m *messages) eventSource(was, is *model.EventSource) {
	r := was.Resource
	function := was.Source
	if is.Target.Function != nil {
		function = is.Target.Function.Name
	}
	if was.Enabled && !is.Enabled {
		m.harm(r, "no longer polls: %s gets nothing, and what waits grows too old in the end. Let something else take it first", function)
	}
	if one, other := strings.Join(was.Filters, " or "), strings.Join(is.Filters, " or "); one != other && other != "" {
		m.harm(r, "lets %s have only what matches %s, instead of %s: the rest is left out, and never comes again", function, other, cmp.Or(one, "everything"))
	}
	if was.OnFailure != nil && is.OnFailure == nil {
		m.harm(r, "tells nobody which records of the stream %s gave up: their events are missing, and nobody hears of it. Keep the destination", function)
	}
	if is.MaxAge > 0 && (was.MaxAge < 0 || is.MaxAge < was.MaxAge) {
		m.harm(r, "gives records of the stream up once they are %s old: what %s cannot handle for so long is never published. Keep the stream's day", age(is.MaxAge), function)
	}
	if is.Retries >= 0 && (was.Retries < 0 || is.Retries < was.Retries) {
		m.harm(r, "gives records of the stream up after %s: a topic that is away for a moment costs events. Let the age decide alone", words.Count(is.Retries, "further attempt"))
	}
	if was.PartialFailures && !is.PartialFailures {
		m.tell(r, "takes a batch back as a whole if one message of it fails: %s gets the others again, and they may become dead letters with it. Keep ReportBatchItemFailures", function)
	}
	if was.Table != nil && is.Parallel > was.Parallel {
		m.tell(r, "handles %d batches of a shard at once instead of %d: the order of a key stays, that of several keys does not", is.Parallel, was.Parallel)
	}
}

// age is a time in words: whole days, hours, minutes or seconds.
func age(d time.Duration) string {
	for _, unit := range []struct {
		of   time.Duration
		noun string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}} {
		if d >= unit.of && d%unit.of == 0 {
			return words.Count(int(d/unit.of), unit.noun)
		}
	}
	return words.Count(int(d/time.Second), "second")
}

// HarmsMessages says whether messages are lost or open to others after the change.
func (r *Report) HarmsMessages() bool {
	return slices.ContainsFunc(r.Messages, func(c MessageChange) bool { return c.Harms })
}
