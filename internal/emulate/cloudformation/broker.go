package cloudformation

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// The resource types of Amazon MQ. No broker runs.
var brokers = map[string]*handler{
	"AWS::AmazonMQ::Broker": {
		ref:  "Id",
		name: "BrokerName",
		create: func(c *call, p props) string {
			checkBroker(c, p)
			for _, other := range mq(c, http.MethodGet, "brokers", nil).all("brokerName") {
				if other.Text == c.id {
					c.refuse("AlreadyExists", "Broker name [%s] is already in use. Choose another.", c.id)
				}
			}
			params := lower(pick(p, append(brokerSettings, "AuthenticationStrategy", "DeploymentMode", "EncryptionOptions", "EngineType", "PubliclyAccessible", "StorageType", "SubnetIds", "Users")...))
			n := mq(c, http.MethodPost, "brokers", with(params, props{"brokerName": c.id, "tags": tagMap(p)}))
			c.attrs["Arn"] = n.first("brokerArn")
			return n.first("brokerId")
		},
		update: func(c *call, _, p props) {
			checkBroker(c, p)
			// The users of a RabbitMQ broker are managed in its console after it is created.
			// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-amazonmq-broker-user.html
			for _, user := range mq(c, http.MethodGet, "brokers/"+c.id+"/users", nil).all("username") {
				if given, _ := items(p, "Users")[0].(props); rabbit(p) && user.Text != str(given, "Username") {
					c.refuse("InvalidRequest", "The users of a RabbitMQ broker are managed in its console: Users may not change")
				}
			}
			mq(c, http.MethodPut, "brokers/"+c.id, lower(pick(p, brokerSettings...)))
		},
		configure: func(c *call, old, p props) {
			n := mq(c, http.MethodGet, "brokers/"+c.id, nil)
			c.attrs = with(c.attrs, props{"ConfigurationId": nested(n, "current", "id"), "ConfigurationRevision": nested(n, "current", "revision"), "EngineVersionCurrent": n.first("engineVersion"),
				"AmqpEndpoints": textsOf(n, "endpoints", "amqp"), "ConsoleURLs": textsOf(n, "consoleURL", ""), "IpAddresses": textsOf(n, "ipAddress", "")})
			retagBroker(c, n.first("brokerArn"), old, p)
		},
		delete: func(c *call, _ props) { mq(c, http.MethodDelete, "brokers/"+c.id, nil) },
	},
	"AWS::AmazonMQ::Configuration": {
		ref:  "Id",
		name: "Name",
		create: func(c *call, p props) string {
			c.only(p, "Data", "Description", "EngineType", "EngineVersion", "Name", "Tags")
			n := mq(c, http.MethodPost, "configurations", with(lower(pick(p, "EngineType", "EngineVersion")), props{"name": c.id, "tags": tagMap(p)}))
			c.attrs["Arn"] = n.first("arn")
			return n.first("id")
		},
		// A change makes a revision. A broker takes it if it says so.
		configure: func(c *call, old, p props) {
			if differ(old, p, "Data") || differ(old, p, "Description") {
				n := mq(c, http.MethodPut, "configurations/"+c.id, props{"data": p["Data"], "description": str(p, "Description")})
				c.attrs["Revision"] = nested(n, "latestRevision", "revision")
			}
			if old != nil {
				retagBroker(c, c.arn("mq", "configuration:"+c.id), old, p)
			}
		},
		// Amazon MQ keeps a configuration for as long as the account.
		delete: func(*call, props) {},
	},
	"AWS::AmazonMQ::ConfigurationAssociation": {
		ref: "Id",
		put: func(c *call, p props) string {
			mq(c, http.MethodPut, "brokers/"+str(p, "Broker"), props{"configuration": lower(section(p, "Configuration"))})
			return c.id
		},
		delete: func(*call, props) {},
	},
}

// brokerSettings are the properties of a broker that change in place.
var brokerSettings = []string{"AutoMinorVersionUpgrade", "Configuration", "EngineVersion", "HostInstanceType", "Logs", "MaintenanceWindowStartTime", "SecurityGroups"}

// mq runs an operation of Amazon MQ, unless one has failed before.
func mq(c *call, method, path string, params props) *node {
	return c.rest("mq", method, "/v1/"+path, params)
}

func rabbit(p props) bool { return strings.EqualFold(str(p, "EngineType"), "RabbitMQ") }

// nested is the text of an element in another one.
func nested(n *node, outer, inner string) string {
	for _, one := range n.all(outer) {
		return one.first(inner)
	}
	return ""
}

// textsOf are the texts of elements, or of what lists with that name have, that begin with a word.
func textsOf(n *node, name, beginning string) []any {
	found := []any{}
	for _, one := range n.all(name) {
		for _, text := range append([]node{*one}, one.Children...) {
			if text.Text != "" && strings.HasPrefix(text.Text, beginning) {
				found = append(found, text.Text)
			}
		}
	}
	return found
}

// retagBroker changes the tags of a broker or a configuration.
func retagBroker(c *call, arn string, old, p props) {
	if old == nil {
		return
	}
	gone, now := tagChanges(old, p)
	for _, key := range gone {
		mq(c, http.MethodDelete, "tags/"+url.PathEscape(arn)+"?tagKeys="+url.QueryEscape(text(key)), nil)
	}
	if len(now) > 0 {
		mq(c, http.MethodPost, "tags/"+url.PathEscape(arn), props{"tags": tagMap(p)})
	}
}

// checkBroker refuses what Amazon MQ does: https://docs.aws.amazon.com/amazon-mq/latest/api-reference/brokers.html.
func checkBroker(c *call, p props) {
	c.only(p, append(brokerSettings, "AuthenticationStrategy", "BrokerName", "DeploymentMode", "EncryptionOptions", "EngineType", "PubliclyAccessible", "StorageType", "SubnetIds", "Tags", "Users")...)
	cluster, subnets, size := str(p, "DeploymentMode") == "CLUSTER_MULTI_AZ", len(items(p, "SubnetIds")), str(p, "HostInstanceType")
	switch {
	case !rabbit(p):
		return
	case str(p, "DeploymentMode") == "ACTIVE_STANDBY_MULTI_AZ":
		c.refuse("InvalidRequest", "Deployment mode [ACTIVE_STANDBY_MULTI_AZ] is not supported by RabbitMQ")
	case !cluster && subnets > 1:
		c.refuse("InvalidRequest", "Exactly 1 subnet is allowed for deployment mode [SINGLE_INSTANCE], and there are %d", subnets)
	case cluster && strings.HasPrefix(size, "mq.t3."):
		c.refuse("InvalidRequest", "Host instance type [%s] does not support deployment mode [CLUSTER_MULTI_AZ]", size)
	case len(items(p, "Users")) != 1:
		c.refuse("InvalidRequest", "RabbitMQ brokers have exactly one user when they are created, and there are %d", len(items(p, "Users")))
	case truth(p["PubliclyAccessible"]) && len(items(p, "SecurityGroups")) > 0:
		c.refuse("InvalidRequest", "RabbitMQ brokers that are publicly accessible take no security groups")
	case truth(section(p, "Logs")["Audit"]):
		c.refuse("InvalidRequest", "Audit logging is not supported for RabbitMQ brokers.")
	}
	for _, user := range items(p, "Users") {
		user, _ := user.(props)
		if password := str(user, "Password"); rabbit(p) && (len(password) < 12 || len(password) > 250 || strings.ContainsAny(password, ",:=")) {
			c.refuse("InvalidRequest", "Password must be 12 to 250 characters long, and must not contain commas, colons or equal signs")
		}
	}
	for _, group := range items(p, "SecurityGroups") {
		c.do("ec2", "DescribeSecurityGroups", props{"GroupId": []any{group}})
	}
	if slices.ContainsFunc(items(p, "SubnetIds"), func(s any) bool { return !c.found("ec2", "DescribeSubnets", props{"SubnetId": []any{s}}) }) {
		c.refuse("InvalidRequest", "The broker names a subnet that does not exist")
	}
}
