package cloudformation

import (
	"maps"
	"slices"
	"strings"
)

// The resource types of SNS and SQS. No message is delivered.
var messaging = map[string]*handler{
	"AWS::SNS::Topic": {
		ref:   "TopicArn",
		name:  "TopicName",
		limit: 251,
		create: func(c *call, p props) string {
			c.only(p, append(topicSettings, "FifoTopic", "Tags", "TopicName")...)
			name := fifoName(c, truth(p["FifoTopic"]), str(p, "TopicName"))
			if c.found("sns", "GetTopicAttributes", props{"TopicArn": c.arn("sns", name)}) {
				c.refuse("AlreadyExists", "The topic %s already exists", name)
			}
			c.attrs["TopicName"] = name
			params := with(entries(pick(p, append(topicSettings, "FifoTopic")...)), props{"Name": name, "Tags": p["Tags"]})
			return c.do("sns", "CreateTopic", params).first("TopicArn")
		},
		update: func(c *call, old, p props) {
			c.only(p, append(topicSettings, "FifoTopic", "Tags", "TopicName")...)
			for _, name := range topicSettings {
				if differ(old, p, name) {
					c.do("sns", "SetTopicAttributes", props{"TopicArn": c.id, "AttributeName": name, "AttributeValue": withDefault(p, name)})
				}
			}
			gone, now := tagChanges(old, p)
			if len(gone) > 0 {
				c.do("sns", "UntagResource", props{"ResourceArn": c.id, "TagKeys": gone})
			}
			if len(now) > 0 {
				c.do("sns", "TagResource", props{"ResourceArn": c.id, "Tags": now})
			}
		},
		delete: deleted("sns", "DeleteTopic", "TopicArn"),
	},
	"AWS::SNS::TopicPolicy": {
		ref:    "Id",
		create: func(c *call, _ props) string { return c.id },
		configure: func(c *call, old, p props) {
			checkTopicPolicy(c, p)
			restoreTopicPolicy(c, without(items(old, "Topics"), items(p, "Topics")))
			for _, topic := range items(p, "Topics") {
				c.do("sns", "SetTopicAttributes", props{"TopicArn": topic, "AttributeName": "Policy", "AttributeValue": text(p["PolicyDocument"])})
			}
		},
		delete: func(c *call, p props) { restoreTopicPolicy(c, items(p, "Topics")) },
	},
	"AWS::SNS::Subscription": {
		ref: "Arn",
		create: func(c *call, p props) string {
			checkSubscription(c, p)
			params := with(entries(pick(p, subscriptionSettings...)), pick(p, "TopicArn", "Protocol", "Endpoint"))
			return c.do("sns", "Subscribe", with(params, props{"ReturnSubscriptionArn": true})).first("SubscriptionArn")
		},
		update: func(c *call, old, p props) {
			checkSubscription(c, p)
			for _, name := range subscriptionSettings {
				if differ(old, p, name) {
					c.do("sns", "SetSubscriptionAttributes", props{"SubscriptionArn": c.id, "AttributeName": name, "AttributeValue": withDefault(p, name)})
				}
			}
		},
		delete: deleted("sns", "Unsubscribe", "SubscriptionArn"),
	},
	"AWS::SQS::Queue": {
		ref:   "QueueUrl",
		name:  "QueueName",
		limit: 75,
		create: func(c *call, p props) string {
			fifo := truth(p["FifoQueue"])
			name := fifoName(c, fifo, str(p, "QueueName"))
			if !fifo && strings.HasSuffix(name, ".fifo") {
				c.refuse("InvalidParameterValue", "The name %s ends with .fifo, and the queue is none: set FifoQueue", name)
			}
			settings := queueAttributes(c, p)
			if fifo {
				settings["FifoQueue"] = "true"
			}
			if c.found("sqs", "GetQueueUrl", props{"QueueName": name}) {
				c.refuse("AlreadyExists", "The queue %s already exists", name)
			}
			c.attrs = props{"Arn": c.arn("sqs", name), "QueueName": name}
			return c.do("sqs", "CreateQueue", props{"QueueName": name, "Attributes": settings, "tags": tagMap(p)}).first("QueueUrl")
		},
		update: func(c *call, old, p props) {
			c.do("sqs", "SetQueueAttributes", props{"QueueUrl": c.id, "Attributes": queueAttributes(c, p)})
			gone, now := tagChanges(old, p)
			if len(gone) > 0 {
				c.do("sqs", "UntagQueue", props{"QueueUrl": c.id, "TagKeys": gone})
			}
			if len(now) > 0 {
				c.do("sqs", "TagQueue", props{"QueueUrl": c.id, "Tags": tagMap(p)})
			}
		},
		delete: deleted("sqs", "DeleteQueue", "QueueUrl"),
	},
	"AWS::SQS::QueuePolicy": {
		ref:    "Id",
		create: func(c *call, _ props) string { return c.id },
		configure: func(c *call, old, p props) {
			checkPrincipals(c, p["PolicyDocument"])
			setQueuePolicy(c, without(items(old, "Queues"), items(p, "Queues")), "")
			setQueuePolicy(c, items(p, "Queues"), text(p["PolicyDocument"]))
		},
		delete: func(c *call, p props) { setQueuePolicy(c, items(p, "Queues"), "") },
	},
}

// topicSettings are the properties of a topic that are attributes and change in place. moto keeps no others.
var topicSettings = []string{"ContentBasedDeduplication", "DisplayName", "FifoThroughputScope", "KmsMasterKeyId", "SignatureVersion", "TracingConfig"}

// subscriptionSettings are the attributes of a subscription. What a filter policy may say depends on its scope, so the scope
// comes first.
var subscriptionSettings = []string{"FilterPolicyScope", "FilterPolicy", "DeliveryPolicy", "RawMessageDelivery", "RedrivePolicy", "SubscriptionRoleArn"}

// queueSettings are the attributes of a queue with their defaults, and fifoSettings those of a FIFO queue only.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-sqs-queue.html
var (
	queueSettings = props{"DelaySeconds": 0, "KmsDataKeyReusePeriodSeconds": 300, "KmsMasterKeyId": "", "MaximumMessageSize": 1 << 20, "MessageRetentionPeriod": 345_600,
		"ReceiveMessageWaitTimeSeconds": 0, "RedriveAllowPolicy": "", "RedrivePolicy": "", "VisibilityTimeout": 30}
	fifoSettings = props{"ContentBasedDeduplication": false, "DeduplicationScope": "queue", "FifoThroughputLimit": "perQueue"}
)

// fifoName is the name of a queue or a topic. A generated name ends as FIFO wants it.
func fifoName(c *call, fifo bool, given string) string {
	if fifo && given == "" {
		return c.id + ".fifo"
	}
	return c.id
}

// entries gives properties the form that SNS's API has for attributes.
func entries(p props) props {
	out := props{}
	var all []any
	for _, name := range slices.Sorted(maps.Keys(p)) {
		all = append(all, props{"key": name, "value": text(p[name])})
	}
	if len(all) > 0 {
		out["Attributes.entry"] = all
	}
	return out
}

// withDefault is an attribute of SNS, or what takes it away.
func withDefault(p props, name string) string {
	if v, ok := p[name]; ok {
		return text(v)
	}
	switch name {
	case "RawMessageDelivery", "ContentBasedDeduplication":
		return "false"
	case "FilterPolicy":
		return "{}"
	case "FilterPolicyScope":
		return "MessageAttributes"
	case "FifoThroughputScope":
		return "MessageGroup"
	case "SignatureVersion":
		return "1"
	case "TracingConfig":
		return "PassThrough"
	}
	return ""
}

// tagChanges are the keys of the tags that went, and the tags that came or changed.
func tagChanges(old, p props) (gone, now []any) {
	was, is := tagMap(old), tagMap(p)
	for _, key := range slices.Sorted(maps.Keys(was)) {
		if _, ok := is[key]; !ok {
			gone = append(gone, key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(is)) {
		if differ(was, is, key) {
			now = append(now, props{"Key": key, "Value": is[key]})
		}
	}
	return gone, now
}

// checkSubscription refuses what SNS does.
func checkSubscription(c *call, p props) {
	c.only(p, append(subscriptionSettings, "Endpoint", "Protocol", "TopicArn")...)
	protocol, fifo := str(p, "Protocol"), strings.HasSuffix(str(p, "TopicArn"), ".fifo")
	// https://docs.aws.amazon.com/sns/latest/dg/fifo-message-delivery.html
	if fifo && protocol != "sqs" {
		c.refuse("InvalidParameter", "Invalid parameter: Protocol: a FIFO topic delivers to SQS only, not by %s", protocol)
	}
	if truth(p["RawMessageDelivery"]) && !slices.Contains([]string{"sqs", "http", "https", "firehose"}, protocol) {
		c.refuse("InvalidParameter", "Invalid parameter: Attributes Reason: RawMessageDelivery: Delivery protocol [%s] does not support raw message delivery.", protocol)
	}
	// "FIFO topic subscriptions use FIFO queues, and standard topic subscriptions use standard queues."
	// https://docs.aws.amazon.com/sns/latest/dg/sns-dead-letter-queues.html
	if dead := str(section(p, "RedrivePolicy"), "deadLetterTargetArn"); dead != "" && strings.HasSuffix(dead, ".fifo") != fifo {
		c.refuse("InvalidParameter", "Invalid parameter: RedrivePolicy: the dead-letter queue %s must be FIFO exactly if the topic is", dead)
	}
}

// topicActions are the actions that the policy of a topic may name. No pattern is among them.
// https://docs.aws.amazon.com/sns/latest/dg/sns-access-policy-language-api-permissions-reference.html
var topicActions = []string{"addpermission", "deletetopic", "getdataprotectionpolicy", "gettopicattributes", "listsubscriptionsbytopic", "listtagsforresource", "publish",
	"putdataprotectionpolicy", "receive", "removepermission", "settopicattributes", "subscribe"}

// checkTopicPolicy refuses what SNS does.
func checkTopicPolicy(c *call, p props) {
	checkPrincipals(c, p["PolicyDocument"])
	for _, s := range statementsOf(p["PolicyDocument"]) {
		for _, action := range list(s["Action"]) {
			service, name, _ := strings.Cut(strings.ToLower(text(action)), ":")
			if service != "sns" || !slices.Contains(topicActions, name) {
				c.refuse("InvalidParameter", "Invalid parameter: Policy statement action out of service scope! (%s)", text(action))
			}
		}
		for _, resource := range list(s["Resource"]) {
			if !slices.Contains(items(p, "Topics"), resource) {
				c.refuse("InvalidParameter", "Invalid parameter: Policy Error: the resource %s is not the topic", text(resource))
			}
		}
	}
}

// restoreTopicPolicy gives topics the policy of a new one: the account may do everything.
func restoreTopicPolicy(c *call, topics []any) {
	for _, topic := range topics {
		c.drop("sns", "SetTopicAttributes", props{"TopicArn": topic, "AttributeName": "Policy", "AttributeValue": encode(props{
			"Version": "2008-10-17", "Id": "__default_policy_ID", "Statement": []any{props{
				"Sid": "__default_statement_ID", "Effect": "Allow", "Principal": props{"AWS": "*"}, "Resource": topic,
				"Action": []any{"SNS:GetTopicAttributes", "SNS:SetTopicAttributes", "SNS:AddPermission", "SNS:RemovePermission", "SNS:DeleteTopic",
					"SNS:Subscribe", "SNS:ListSubscriptionsByTopic", "SNS:Publish"},
				"Condition": props{"StringEquals": props{"AWS:SourceOwner": c.account}},
			}},
		})})
	}
}

// queueAttributes are the attributes that a queue has, and refuses what SQS does.
func queueAttributes(c *call, p props) props {
	known := props{"FifoQueue": nil, "QueueName": nil, "SqsManagedSseEnabled": nil, "Tags": nil}
	settings := maps.Clone(queueSettings)
	if truth(p["FifoQueue"]) {
		settings = with(settings, fifoSettings)
	}
	c.only(p, slices.Collect(maps.Keys(with(known, settings)))...)
	out := props{}
	for name, value := range settings {
		out[name] = text(withFallback(p, name, value))
	}
	// A queue is encrypted by a key of KMS, or by SQS unless the template says otherwise.
	key := str(p, "KmsMasterKeyId") != ""
	if managed, ok := p["SqsManagedSseEnabled"]; key && truth(managed) {
		c.refuse("InvalidAttributeValue", "You can use one type of server-side encryption (SSE) at one time. You can either enable KMS SSE or SQS SSE.")
	} else {
		out["SqsManagedSseEnabled"] = text(!key && (!ok || truth(managed)))
	}
	if dead := str(section(p, "RedrivePolicy"), "deadLetterTargetArn"); dead != "" && strings.HasSuffix(dead, ".fifo") != truth(p["FifoQueue"]) {
		c.refuse("InvalidParameterValue", "Value %s for parameter RedrivePolicy is invalid. Reason: Dead-letter target queue must be same type of queue as the source.", text(p["RedrivePolicy"]))
	}
	return out
}

// setQueuePolicy sets the policy of queues, or takes it away if it is empty.
func setQueuePolicy(c *call, queues []any, policy string) {
	for _, queue := range queues {
		params := props{"QueueUrl": queue, "Attributes": props{"Policy": policy}}
		if policy == "" {
			c.drop("sqs", "SetQueueAttributes", params)
		} else {
			c.do("sqs", "SetQueueAttributes", params)
		}
	}
}

// statementsOf are the statements of a policy.
func statementsOf(document any) (found []props) {
	policy, _ := document.(props)
	for _, s := range list(policy["Statement"]) {
		s, _ := s.(props)
		found = append(found, s)
	}
	return found
}

// list is a value as a list: a policy may have one value in place of a list.
func list(v any) []any {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		return v
	}
	return []any{v}
}

// checkPrincipals refuses a policy that names a role that does not exist, as SNS, SQS and KMS do: they keep the id of a role in
// place of its name.
func checkPrincipals(c *call, document any) {
	for _, s := range statementsOf(document) {
		principal, _ := s["Principal"].(props)
		for _, one := range list(principal["AWS"]) {
			_, role, ok := strings.Cut(text(one), ":role/")
			if name := role[strings.LastIndex(role, "/")+1:]; ok && !c.found("iam", "GetRole", props{"RoleName": name}) {
				c.refuse("InvalidParameterValue", "Policy contains a statement with one or more invalid principals: %s does not exist", text(one))
			}
		}
	}
}
