package controls

import "cutover/internal/model"

// mq are the controls of message brokers (https://docs.aws.amazon.com/securityhub/latest/userguide/mq-controls.html).
var mq = []Control{
	argued("MQ.2", model.AmazonMQBroker, "logs for an audit", ofActiveMQ),
	optional(aBroker, "MQ.3", model.AmazonMQBroker, "upgrades itself to minor versions",
		every(model.AmazonMQBroker, needs(func(b *model.Broker) bool { return b.MinorUpgrades }, "does not upgrade itself"), "AutoMinorVersionUpgrade")),
	optional(aBroker, "MQ.4", model.AmazonMQBroker, "has a tag", plain(model.AmazonMQBroker, untagged)),
	argued("MQ.5", model.AmazonMQBroker, "has a standby", ofActiveMQ+": MQ.6 asks a broker of RabbitMQ"),
	{ID: "MQ.6", Title: "is a cluster", Type: model.AmazonMQBroker, Setting: "env", Optional: aBroker, Reason: "three nodes cost three times as much as the one of an environment for trying things",
		check: every(model.AmazonMQBroker, needs(func(b *model.Broker) bool { return b.Mode == "CLUSTER_MULTI_AZ" }, "has one node"), "DeploymentMode")},
	optional(aBroker, "mq-no-public-access", model.AmazonMQBroker, "is not public",
		every(model.AmazonMQBroker, needs(func(b *model.Broker) bool { return !b.Public }, "may be reached from the internet"), "PubliclyAccessible")),
}

const ofActiveMQ = "does not apply: it is about ActiveMQ, and the broker is RabbitMQ"
