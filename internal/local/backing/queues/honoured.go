package queues

import (
	"maps"
	"slices"
	"strings"

	"cutover/internal/local/provider"
)

// Settings that are about AWS only.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-sqs-queue.html
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-sns-topic.html
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-sns-subscription.html
var (
	ofQueues = map[string]string{"FifoThroughputLimit": "", "KmsDataKeyReusePeriodSeconds": "", "SqsManagedSseEnabled": "", "Tags": ""}
	ofTopics = map[string]string{"DisplayName": "", "FifoThroughputScope": "", "SignatureVersion": "", "Tags": ""}
)

// Settings that are passed over, with the reason.
var (
	listedOfQueues = map[string]string{
		"DeduplicationScope":     "an id counts for the whole queue here: give each group ids of its own",
		"MessageRetentionPeriod": "messages stay until they are deleted",
		"RedriveAllowPolicy":     "any queue of the assembly may use a dead-letter queue here",
	}
	listedOfTopics = map[string]string{
		"DataProtectionPolicy":  "nothing looks into messages here",
		"DeliveryStatusLogging": "there is no CloudWatch Logs here: `logs` has what tasks write",
		"TracingConfig":         "there is no X-Ray here",
	}
	listedOfSubscriptions = map[string]string{
		"DeliveryPolicy":      "it is that of HTTP endpoints",
		"RedrivePolicy":       "a delivery does not fail here: the queue is in the same program",
		"SubscriptionRoleArn": "there is no Firehose here",
	}
)

// Settings that are refused, with the reason.
var (
	refusedOfTopics        = map[string]string{"ArchivePolicy": "no topic keeps messages here", "Subscription": "say it with a subscription of its own"}
	refusedOfSubscriptions = map[string]string{"ReplayPolicy": "no topic keeps messages here", "Region": "this machine has one region"}
)

// honouredOfQueues are those of which something is to be said.
var honouredOfQueues = []provider.Compatibility{
	{Setting: "ContentBasedDeduplication", Here: "honoured", Why: "for 5 minutes, and until the program ends"},
	{Setting: "DelaySeconds", Here: "honoured"},
	{Setting: "DeletionPolicy", Here: "honoured", Why: "`cutover down --data` removes all data"},
	{Setting: "FifoQueue", Here: "honoured"},
	{Setting: "KmsMasterKeyId", Here: "honoured", Why: "who may use the key is checked, and nothing is encrypted"},
	{Setting: "MaximumMessageSize", Here: "honoured"},
	{Setting: "QueueName", Here: "honoured"},
	{Setting: "ReceiveMessageWaitTimeSeconds", Here: "honoured"},
	{Setting: "RedrivePolicy", Here: "honoured"},
	{Setting: "VisibilityTimeout", Here: "honoured"},
}

var honouredOfTopics = []provider.Compatibility{
	{Setting: "ContentBasedDeduplication", Here: "honoured", Why: "for 5 minutes, and until the program ends"},
	{Setting: "FifoTopic", Here: "honoured"},
	{Setting: "KmsMasterKeyId", Here: "honoured", Why: "who may use the key is checked, and nothing is encrypted"},
	{Setting: "TopicName", Here: "honoured"},
}

var honouredOfSubscriptions = []provider.Compatibility{
	{Setting: "Endpoint", Here: "honoured", Why: "a queue of the assembly whose policy, and that of its key, let SNS send"},
	{Setting: "FilterPolicy", Here: "honoured"},
	{Setting: "FilterPolicyScope", Here: "honoured"},
	{Setting: "Protocol", Here: "only `sqs`", Why: "others are listed: nothing is sent from here"},
	{Setting: "RawMessageDelivery", Here: "honoured"},
	{Setting: "TopicArn", Here: "honoured"},
}

// Compatibility is what becomes of the settings of queues, topics and subscriptions on this machine.
func Compatibility() (queues, topics, subscriptions []provider.Compatibility) {
	sorted := func(all []provider.Compatibility) []provider.Compatibility {
		slices.SortFunc(all, func(a, b provider.Compatibility) int { return strings.Compare(a.Setting, b.Setting) })
		return all
	}
	return sorted(slices.Concat(honouredOfQueues, provider.Settings(ofQueues, nil, listedOfQueues, nil))),
		sorted(slices.Concat(honouredOfTopics, provider.Settings(ofTopics, nil, listedOfTopics, refusedOfTopics))),
		sorted(slices.Concat(honouredOfSubscriptions, provider.Settings(nil, nil, listedOfSubscriptions, refusedOfSubscriptions)))
}

// refusedOf are the errors of settings of a topic that are not honoured.
func refusedOf(r *resource) (errs []error) {
	for _, name := range slices.Sorted(maps.Keys(r.base.Resource.Properties)) {
		if why := refusedOfTopics[name]; why != "" && r.topic != nil {
			errs = append(errs, r.base.Errorf(name, "it is not honoured here: %s", why))
		}
	}
	return errs
}

// PassedOver implements [provider.Reporter].
func (p *plan) PassedOver() (all []provider.PassedOver) {
	if !p.used {
		return nil
	}
	add := func(key, subject string, properties map[string]any, listed map[string]string) {
		for _, name := range slices.Sorted(maps.Keys(properties)) {
			if listed[name] != "" {
				all = append(all, provider.PassedOver{Place: key + "/Properties." + name, Subject: subject, Setting: name, Why: listed[name]})
			}
		}
	}
	for _, key := range p.all.Keys() {
		r, listed := p.all[key], listedOfTopics
		if r.queue != nil {
			listed = listedOfQueues
		}
		add(key, r.name, r.base.Resource.Properties, listed)
	}
	for _, s := range p.model.Subscriptions {
		add(s.Key(), s.Endpoint, s.Resource.Properties, listedOfSubscriptions)
		if s.Queue == nil {
			all = append(all, provider.PassedOver{Place: s.Key() + "/Properties.Protocol", Subject: s.Endpoint, Setting: "the subscription",
				Why: "nothing is sent from here to an endpoint with the protocol " + s.Protocol + ", or to a queue that the assembly does not have"})
		}
	}
	return all
}
