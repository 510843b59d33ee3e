package controls

import "cutover/internal/model"

// mq are the controls of message brokers (https://docs.aws.amazon.com/securityhub/latest/userguide/mq-controls.html).
var mq = []Control{
	argued("MQ.2", model.MQBroker, "logs for an audit", ofActiveMQ),
	optional(aBroker, "MQ.3", model.MQBroker, "upgrades itself to minor versions",
		every(model.MQBroker, needs(func(b *model.Broker) bool { return b.MinorUpgrades }, "does not upgrade itself"), "AutoMinorVersionUpgrade")),
	optional(aBroker, "MQ.4", model.MQBroker, "has a tag", plain(model.MQBroker, untagged)),
	argued("MQ.5", model.MQBroker, "has a standby", ofActiveMQ+": MQ.6 asks a broker of RabbitMQ"),
	{ID: "MQ.6", Title: "is a cluster", Type: model.MQBroker, Setting: "env", Optional: aBroker, Reason: "three nodes cost three times as much as the one of an environment for trying things",
		check: every(model.MQBroker, needs(func(b *model.Broker) bool { return b.Mode == "CLUSTER_MULTI_AZ" }, "has one node"), "DeploymentMode")},
	optional(aBroker, "mq-no-public-access", model.MQBroker, "is not public",
		every(model.MQBroker, needs(func(b *model.Broker) bool { return !b.Public }, "may be reached from the internet"), "PubliclyAccessible")),
}

const ofActiveMQ = "does not apply: it is about ActiveMQ, and the broker is RabbitMQ"
