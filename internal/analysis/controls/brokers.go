package controls

import (
	"cutover/internal/assembly"
	"cutover/internal/model"
)

// mq are the controls of message brokers (https://docs.aws.amazon.com/securityhub/latest/userguide/mq-controls.html).
var mq = []Control{
	argued("MQ.2", model.AmazonMQBroker, "logs for an audit", ofActiveMQ),
	optional(aBroker, "MQ.3", model.AmazonMQBroker, "upgrades itself to minor versions",
		plain(model.AmazonMQBroker, needs(func(p assembly.Value) bool { return p.Field("AutoMinorVersionUpgrade").Bool(false) }, "does not upgrade itself"))),
	optional(aBroker, "MQ.4", model.AmazonMQBroker, "has a tag", plain(model.AmazonMQBroker, untagged)),
	argued("MQ.5", model.AmazonMQBroker, "has a standby", ofActiveMQ+": MQ.6 asks a broker of RabbitMQ"),
	{ID: "MQ.6", Title: "is a cluster", Type: model.AmazonMQBroker, Setting: "env", Optional: aBroker, Reason: "three nodes cost three times as much as the one of an environment for trying things",
		check: plain(model.AmazonMQBroker, needs(func(p assembly.Value) bool { return p.Field("DeploymentMode").Text("") == "CLUSTER_MULTI_AZ" }, "has one node"))},
	optional(aBroker, "mq-no-public-access", model.AmazonMQBroker, "is not public",
		plain(model.AmazonMQBroker, needs(func(p assembly.Value) bool { return !p.Field("PubliclyAccessible").Bool(true) }, "may be reached from the internet"))),
}

const ofActiveMQ = "does not apply: it is about ActiveMQ, and the broker is RabbitMQ"
