package stacks

import (
	"slices"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsamazonmq"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssecretsmanager"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"cutover/config"
)

const (
	// brokerPort is that of AMQP over TLS. Amazon MQ has no other one
	// (https://docs.aws.amazon.com/amazon-mq/latest/developer-guide/rabbitmq-basic-elements-broker.html).
	brokerPort = 5671
	// brokerVersion needs instances of the family m7g
	// (https://docs.aws.amazon.com/amazon-mq/latest/developer-guide/rabbitmq-4.html).
	brokerVersion = "4.2"
)

// Broker has the message broker of the environment. It outlives the services.
type Broker struct {
	Stack awscdk.Stack

	group awsec2.SecurityGroup
}

// NewBroker adds the stack of the message broker. It is nil if no service uses one.
//
// Production has a cluster of three nodes in several zones, and other environments have one node. Clients log in as one user, whose
// password is in two secrets: with the user's name, from which Amazon MQ makes the user, and in the URL that tasks read.
func NewBroker(scope constructs.Construct, s config.Settings, d config.Deployment, network *Network, alarms *Alarms) *Broker {
	if len(d.Brokered()) == 0 {
		return nil
	}
	b := &Broker{Stack: newStack(scope, s, brokerStack, "Message broker of the services", nil)}
	b.Stack.SetTerminationProtection(jsii.Bool(s.DeletionProtection || s.DataProtection))
	b.group = awsec2.NewSecurityGroup(b.Stack, jsii.String("SecurityGroup"), &awsec2.SecurityGroupProps{
		Vpc:              network.VPC,
		Description:      jsii.String("Message broker: AMQP over TLS from the tasks of services that use it"),
		AllowAllOutbound: jsii.Bool(false),
	})
	b.group.ApplyRemovalPolicy(keptWithData(s)) // as long as the broker has it
	if slices.ContainsFunc(deployed(d, s), func(one config.Service) bool { return one.Broker != "" && one.InBridge() }) {
		b.group.AddIngressRule(network.InstanceSecurityGroup, awsec2.Port_Tcp(jsii.Number(brokerPort)), jsii.String("Instances"), nil)
	}
	mode, size, subnets := "SINGLE_INSTANCE", "mq.m7g.medium", (*network.VPC.PrivateSubnets())[:1]
	if s.Production() {
		mode, size, subnets = "CLUSTER_MULTI_AZ", "mq.m7g.large", *network.VPC.PrivateSubnets()
	}
	var subnetIDs []*string
	for _, subnet := range subnets {
		subnetIDs = append(subnetIDs, subnet.SubnetId())
	}
	user := b.newSecret(s, "User", s.BrokerUserSecret(), &awssecretsmanager.SecretProps{
		Description: jsii.String("User of the message broker"),
		// A password has no comma, colon or equals sign, and a URL has it as it is.
		GenerateSecretString: &awssecretsmanager.SecretStringGenerator{
			SecretStringTemplate: jsii.String(`{"username":"` + config.BrokerUser + `"}`), GenerateStringKey: jsii.String("password"),
			ExcludePunctuation: jsii.Bool(true), PasswordLength: jsii.Number(32),
		},
	})
	password := user.SecretValueFromJson(jsii.String("password")).UnsafeUnwrap()
	broker := awsamazonmq.NewCfnBroker(b.Stack, jsii.String("Broker"), &awsamazonmq.CfnBrokerProps{
		BrokerName:              jsii.String(s.BrokerName()),
		EngineType:              jsii.String("RABBITMQ"),
		EngineVersion:           jsii.String(brokerVersion),
		AutoMinorVersionUpgrade: jsii.Bool(true),
		DeploymentMode:          jsii.String(mode),
		HostInstanceType:        jsii.String(size),
		PubliclyAccessible:      jsii.Bool(false),
		SubnetIds:               &subnetIDs,
		SecurityGroups:          &[]*string{b.group.SecurityGroupId()},
		Logs:                    &awsamazonmq.CfnBroker_LogListProperty{General: jsii.Bool(true)},
		MaintenanceWindowStartTime: &awsamazonmq.CfnBroker_MaintenanceWindowProperty{
			DayOfWeek: jsii.String("SUNDAY"), TimeOfDay: jsii.String("03:00"), TimeZone: jsii.String("UTC"),
		},
		Users: []any{&awsamazonmq.CfnBroker_UserProperty{Username: jsii.String(config.BrokerUser), Password: password}},
	})
	broker.ApplyRemovalPolicy(keptWithData(s), nil)
	endpoint := awscdk.Fn_Select(jsii.Number(0), broker.AttrAmqpEndpoints())
	host := awscdk.Fn_Select(jsii.Number(1), awscdk.Fn_Split(jsii.String("//"), endpoint, nil))
	url := awscdk.Fn_Join(jsii.String(""), &[]*string{jsii.String("amqps://" + config.BrokerUser + ":"), password, jsii.String("@"), host})
	b.newSecret(s, "Url", s.BrokerURLSecret(), &awssecretsmanager.SecretProps{
		Description: jsii.String("URL of the message broker, with its user and password"), SecretStringValue: awscdk.SecretValue_UnsafePlainText(url),
	})
	alarms.watchBroker(b.Stack, s)
	return b
}

// newSecret makes a secret with a name, which tasks and people know.
func (b *Broker) newSecret(s config.Settings, id, name string, props *awssecretsmanager.SecretProps) awssecretsmanager.Secret {
	props.SecretName, props.RemovalPolicy = jsii.String(name), keptWithData(s)
	secret := awssecretsmanager.NewSecret(b.Stack, jsii.String(id), props)
	suppress(secret, suppression{rule: "AwsSolutions-SMG4", reason: "RabbitMQ keeps its users itself, and CloudFormation does not change them: docs/events.md says how a password is changed"})
	return secret
}

// brokerPeriod is that of the broker's metrics.
const brokerPeriod = 5 * time.Minute

// watchBroker adds the alarms of the broker: it blocks all who publish once it has no memory, or no disk, left
// (https://docs.aws.amazon.com/amazon-mq/latest/developer-guide/troubleshooting-action-required-codes-rabbitmq-memory-alarm.html).
func (a *Alarms) watchBroker(stack awscdk.Stack, s config.Settings) {
	if a == nil {
		return
	}
	metric := func(name, statistic string) awscloudwatch.IMetric {
		return namedMetric("AWS/AmazonMQ", name, statistic, name, brokerPeriod, map[string]string{"Broker": s.BrokerName()})
	}
	watch := func(id, about, says, expression string, metrics map[string]awscloudwatch.IMetric, threshold float64) {
		a.add(stack, id, &awscloudwatch.AlarmProps{
			AlarmName: jsii.String(alarmName(s, about, "")), AlarmDescription: jsii.String(says),
			Metric: awscloudwatch.NewMathExpression(&awscloudwatch.MathExpressionProps{
				Expression: jsii.String(expression), UsingMetrics: &metrics, Label: jsii.String(about), Period: awscdk.Duration_Minutes(jsii.Number(brokerPeriod.Minutes())),
			}),
			Threshold: jsii.Number(threshold), EvaluationPeriods: jsii.Number(3),
		})
	}
	watch("Memory", "memory-of-broker", "The message broker uses 80 % of its memory or more, for 15 minutes: at 100 % nobody can publish", "100 * used / limit",
		map[string]awscloudwatch.IMetric{"used": metric("RabbitMQMemUsed", "Maximum"), "limit": metric("RabbitMQMemLimit", "Minimum")}, 80)
	watch("Disk", "disk-of-broker", "The message broker has less than twice the free disk at which nobody can publish, for 15 minutes", "100 * limit / free",
		map[string]awscloudwatch.IMetric{"free": metric("RabbitMQDiskFree", "Minimum"), "limit": metric("RabbitMQDiskFreeLimit", "Maximum")}, 50)
}
