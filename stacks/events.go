package stacks

import (
	"fmt"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsapplicationautoscaling"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"cutover/config"
	"cutover/migration"
)

// messageDays is how long a message stays in a queue: the most that SQS keeps.
const messageDays = 14

// Events has the topics of the services that publish, and the queues of those that consume or work. The stack outlives the
// services. Others name a topic or a queue by its name, so that no stack needs an output of this one.
type Events struct {
	Stack awscdk.Stack

	key    awskms.Key
	topics map[string]awssns.Topic // by service
	queues map[string]awssqs.Queue // by name
}

// NewEvents adds the stack of the topics and queues. It is nil without events.
func NewEvents(scope constructs.Construct, s config.Settings, d config.Deployment, functions map[string]*Function, alarms *Alarms) *Events {
	if !s.Events {
		return nil
	}
	e := &Events{Stack: newStack(scope, s, eventsStack, "Events of the services", nil), topics: map[string]awssns.Topic{}, queues: map[string]awssqs.Queue{}}
	e.newKey(s)
	for _, publisher := range d.Publishers() {
		e.newTopic(s, publisher)
		if publisher.ByStream() {
			gaveUp := e.newQueue(s, "RelayDead", publisher, publisher.RelayDeadLetters(s), nil)
			suppress(gaveUp, suppression{rule: "AwsSolutions-SQS3", reason: "The queue gets what a function gave up, and is a dead-letter queue itself"})
		}
	}
	for _, consumer := range d.Consumers() {
		dead := e.newQueue(s, "Dead", consumer, d.DeadLetters(consumer, s), nil)
		queue := e.newQueue(s, "", consumer, d.Queue(consumer, s), dead)
		for _, source := range consumer.Consumes {
			e.subscribe(consumer, source, queue, dead)
		}
	}
	for _, working := range d.Working() {
		dead := e.newQueue(s, "WorkDead", working, working.WorkDeadLetters(s), nil)
		e.newQueue(s, "Work", working, working.WorkQueue(s), dead)
	}
	for _, service := range deployed(d, s) {
		if one, is := service.Function(); is {
			e.takeMessages(s, d, service, functions[one.Name])
		}
	}
	alarms.watchEvents(e.Stack, s, d)
	return e
}

// newKey makes the key of all topics and queues. SNS cannot use the keys of AWS to write to an encrypted queue
// (https://docs.aws.amazon.com/sns/latest/dg/sns-enable-encryption-for-topic-sqs-queue-subscriptions.html). A role uses the key by SNS and
// SQS alone, which its own policy has to allow.
func (e *Events) newKey(s config.Settings) {
	e.key = awskms.NewKey(e.Stack, jsii.String("Key"), &awskms.KeyProps{
		Description:       jsii.String("Events of the services"),
		EnableKeyRotation: jsii.Bool(true),
		// Messages that wait in a queue need it.
		RemovalPolicy: keptWithData(s),
	})
	grant := func(id string, principal awsiam.IPrincipal, conditions map[string]any) {
		e.key.AddToResourcePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
			Sid: jsii.String(id), Principals: &[]awsiam.IPrincipal{principal}, Conditions: &conditions,
			Actions: jsii.Strings("kms:Decrypt", "kms:GenerateDataKey*"), Resources: jsii.Strings("*"),
		}), nil)
	}
	grant("Topics", awsiam.NewServicePrincipal(jsii.String("sns.amazonaws.com"), nil),
		map[string]any{"StringEquals": map[string]any{"aws:SourceAccount": e.Stack.Account()}})
	by := func(service string) *string {
		return awscdk.Fn_Join(jsii.String("."), &[]*string{jsii.String(service), e.Stack.Region(), jsii.String("amazonaws.com")})
	}
	grant("Services", awsiam.NewAnyPrincipal(), map[string]any{"StringEquals": map[string]any{
		"kms:CallerAccount": e.Stack.Account(), "kms:ViaService": []*string{by("sns"), by("sqs")}, "aws:PrincipalTag/environment": s.Env,
	}})
}

// newTopic makes the topic of a service. Only roles of the service publish to it.
func (e *Events) newTopic(s config.Settings, publisher config.Service) {
	props := &awssns.TopicProps{TopicName: jsii.String(publisher.Topic(s)), MasterKey: e.key, EnforceSSL: jsii.Bool(true)}
	if publisher.Ordered() {
		props.Fifo, props.FifoThroughputScope = jsii.Bool(true), awssns.FifoThroughputScope_MESSAGE_GROUP
	}
	topic := awssns.NewTopic(e.Stack, jsii.String(config.Pascal(publisher.Name)+"Topic"), props)
	e.only(topic.AddToResourcePolicy, topic.TopicArn(), s, publisher, "sns:Publish")
	tagService(topic, publisher.Name)
	e.topics[publisher.Name] = topic
	for i, one := range publisher.AllSubscribers() {
		awssns.NewCfnSubscription(topic, jsii.String(fmt.Sprintf("Subscriber%d", i+1)), &awssns.CfnSubscriptionProps{
			TopicArn: topic.TopicArn(), Protocol: jsii.String(one.Protocol), Endpoint: substituted(one.Endpoint),
		})
	}
}

// newQueue makes a queue of a service, with its dead-letter queue, or a dead-letter queue. Only roles of the service receive
// from it. A dead-letter queue is for people.
func (e *Events) newQueue(s config.Settings, part string, owner config.Service, name string, dead awssqs.Queue) awssqs.Queue {
	props := &awssqs.QueueProps{
		QueueName: jsii.String(name), EncryptionMasterKey: e.key, Encryption: awssqs.QueueEncryption_KMS, EnforceSSL: jsii.Bool(true),
		RetentionPeriod: awscdk.Duration_Days(jsii.Number(messageDays)), RemovalPolicy: keptWithData(s),
	}
	if strings.HasSuffix(name, ".fifo") {
		props.Fifo = jsii.Bool(true)
		props.DeduplicationScope, props.FifoThroughputLimit = awssqs.DeduplicationScope_MESSAGE_GROUP, awssqs.FifoThroughputLimit_PER_MESSAGE_GROUP_ID
	}
	if dead != nil {
		props.VisibilityTimeout = awscdk.Duration_Seconds(jsii.Number(owner.VisibilitySeconds()))
		props.DeadLetterQueue = &awssqs.DeadLetterQueue{Queue: dead, MaxReceiveCount: jsii.Number(config.MaxReceives)}
	}
	queue := awssqs.NewQueue(e.Stack, jsii.String(config.Pascal(owner.Name)+part+"Queue"), props)
	e.queues[name] = queue
	if dead != nil {
		e.only(queue.AddToResourcePolicy, queue.QueueArn(), s, owner, "sqs:ReceiveMessage")
	}
	tagService(queue, owner.Name)
	return queue
}

// only keeps all from an action but the roles of a service, which it knows by their tags, as a table does. It allows nothing:
// the roles' own policies decide.
func (e *Events) only(add func(awsiam.PolicyStatement) *awsiam.AddToResourcePolicyResult, resource *string, s config.Settings, of config.Service, action string) {
	add(denied("OnlyService", []string{action}, resource, "StringNotEquals", "aws:PrincipalTag/service", of.Name))
	add(denied("OnlyThisEnvironment", []string{action}, resource, "StringNotEquals", "aws:PrincipalTag/environment", s.Env))
}

// subscribe lets a queue get the events of a service. What cannot be delivered goes to the dead-letter queue of the consumer.
// The construct would name the topic in the policy of the key, which the topic needs.
func (e *Events) subscribe(consumer config.Service, source config.Source, queue, dead awssqs.Queue) {
	topic := e.topics[source.Of]
	props := &awssns.CfnSubscriptionProps{
		TopicArn: topic.TopicArn(), Protocol: jsii.String("sqs"), Endpoint: queue.QueueArn(), RawMessageDelivery: jsii.Bool(true),
		RedrivePolicy: map[string]any{"deadLetterTargetArn": dead.QueueArn()},
	}
	if filter := source.Policy(); len(filter) > 0 {
		props.FilterPolicy = filter
	}
	subscription := awssns.NewCfnSubscription(queue, jsii.String(config.Pascal(source.Of)), props)
	for _, to := range []awssqs.Queue{queue, dead} {
		admitted := to.AddToResourcePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
			Sid: jsii.String(config.Pascal(source.Of)), Principals: &[]awsiam.IPrincipal{awsiam.NewServicePrincipal(jsii.String("sns.amazonaws.com"), nil)},
			Actions: jsii.Strings("sqs:SendMessage"), Resources: &[]*string{to.QueueArn()},
			Conditions: &map[string]any{"ArnEquals": map[string]any{"aws:SourceArn": topic.TopicArn()}},
		}))
		subscription.Node().AddDependency(admitted.PolicyDependable)
	}
	tagService(subscription, consumer.Name)
}

// newRelays adds the stack of the functions that publish what changes in tables. It is nil if there is none.
func newRelays(scope constructs.Construct, s config.Settings, d config.Deployment, e *Events, data *Data, contexts map[string]string) (awscdk.Stack, error) {
	var stack awscdk.Stack
	for _, publisher := range d.Publishers() {
		if !s.Events || !publisher.ByStream() {
			continue
		}
		if stack == nil {
			stack = newStack(scope, s, relaysStack, "What publishes the changes of tables", nil)
			depend(stack, e.Stack, "a relay publishes to a topic that exists")
		}
		if err := newRelay(stack, s, publisher, e, data, contexts[publisher.Name]); err != nil {
			return nil, err
		}
	}
	return stack, nil
}

// newRelay adds the function that publishes the changes of a service's table. It reads them from the table's stream, in
// their order for each item, and one batch at a time. A batch that fails is halved and tried again for a day, as long as the stream
// keeps it; then what it says goes to a queue, and the events of other keys go on
// (https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-errors.html).
func newRelay(stack awscdk.Stack, s config.Settings, publisher config.Service, e *Events, data *Data, context string) error {
	code, err := programCode(context)
	if err != nil {
		return err
	}
	name := publisher.RelayFunction(s)
	scope := constructs.NewConstruct(stack, jsii.String(config.Pascal(publisher.Name)))
	logs := newLogGroup(scope, "LogGroup", s, jsii.String("/aws/lambda/"+name))
	role := awsiam.NewRole(scope, jsii.String("Role"), &awsiam.RoleProps{AssumedBy: awsiam.NewServicePrincipal(jsii.String("lambda.amazonaws.com"), nil)})
	stream := data.tables[publisher.Name].TableStreamArn()
	for _, may := range []struct {
		resource *string
		actions  []string
	}{
		{logs.LogGroupArn(), []string{"logs:CreateLogStream", "logs:PutLogEvents"}},
		{stream, []string{"dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"}},
		{jsii.String("*"), []string{"dynamodb:ListStreams"}},
		{substituted(config.QueueARN(publisher.RelayDeadLetters(s))), []string{"sqs:SendMessage"}},
	} {
		role.AddToPrincipalPolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{Actions: jsii.Strings(may.actions...), Resources: &[]*string{may.resource}}))
	}
	permit(role, publisher.MayPublish(s))
	suppress(role.Node().FindChild(jsii.String("DefaultPolicy")),
		suppression{"AwsSolutions-IAM5", "dynamodb:ListStreams knows no resources", []string{"Resource::*"}})
	variables := map[string]*string{}
	for name, value := range publisher.RelayVariables(s) {
		variables[name] = substituted(value)
	}
	function := awslambda.NewFunction(scope, jsii.String("Function"), &awslambda.FunctionProps{
		FunctionName: jsii.String(name), Description: jsii.String("Publishes the changes of " + publisher.Name),
		Runtime: awslambda.Runtime_PROVIDED_AL2023(), Handler: jsii.String(config.Relay), Architecture: architecture(s),
		Code: code,
		Role: role, LogGroup: logs, MemorySize: jsii.Number(relayMiB), Timeout: awscdk.Duration_Seconds(jsii.Number(relaySeconds)), Environment: &variables,
	})
	function.Node().AddDependency(role)
	awslambda.NewCfnEventSourceMapping(scope, jsii.String("Stream"), &awslambda.CfnEventSourceMappingProps{
		FunctionName: function.FunctionArn(), EventSourceArn: stream,
		StartingPosition: jsii.String("TRIM_HORIZON"), BatchSize: jsii.Number(relayBatch), ParallelizationFactor: jsii.Number(1),
		BisectBatchOnFunctionError: jsii.Bool(true), FunctionResponseTypes: jsii.Strings("ReportBatchItemFailures"), MaximumRecordAgeInSeconds: jsii.Number(streamSeconds),
		FilterCriteria: &awslambda.CfnEventSourceMapping_FilterCriteriaProperty{Filters: &[]any{
			&awslambda.CfnEventSourceMapping_FilterProperty{Pattern: jsii.String(relayFilter)},
		}},
		DestinationConfig: &awslambda.CfnEventSourceMapping_DestinationConfigProperty{
			OnFailure: &awslambda.CfnEventSourceMapping_OnFailureProperty{Destination: substituted(config.QueueARN(publisher.RelayDeadLetters(s)))},
		},
	}).Node().AddDependency(role)
	tagService(scope, publisher.Name)
	return nil
}

const (
	relayMiB, relaySeconds = 256, 30
	relayBatch             = 100
	// streamSeconds is how long a stream keeps a record.
	streamSeconds = 24 * 60 * 60
	// relayFilter lets through what changes a record: index items and counters have no event.
	relayFilter = `{"dynamodb":{"NewImage":{"event":{"B":[{"exists":true}]}}}}`
)

// takeMessages lets Lambda invoke the function of a service with the messages of its queues. The mappings are here and not beside the
// function, whose stack comes before that of the load balancer, and so before the queues with their alarms.
func (e *Events) takeMessages(s config.Settings, d config.Deployment, service config.Service, f *Function) {
	take := func(id, queue string, window int) {
		props := &awslambda.CfnEventSourceMappingProps{
			FunctionName: f.Alias.FunctionArn(), EventSourceArn: substituted(config.QueueARN(queue)),
			BatchSize: jsii.Number(10), FunctionResponseTypes: jsii.Strings("ReportBatchItemFailures"),
		}
		if window > 0 {
			props.MaximumBatchingWindowInSeconds = jsii.Number(window)
		}
		mapping := awslambda.NewCfnEventSourceMapping(e.Stack, jsii.String(config.Pascal(service.Name)+id), props)
		mapping.AddResourceDependency(e.queues[queue].Node().DefaultChild().(awscdk.CfnResource), nil)
		tagService(mapping, service.Name)
	}
	if len(service.Consumes) > 0 {
		take("Messages", d.Queue(service, s), 0)
	}
	if service.Work != nil {
		take("Jobs", service.WorkQueue(s), service.Work.WindowSeconds)
	}
}

// addWorkers adds the workers of a service to its stack.
func addWorkers(stack awscdk.Stack, s config.Settings, props *ServiceProps) {
	for _, worker := range props.Deployment.Workers(props.Service, s) {
		of := *props
		of.Service, of.Routings = worker.Service, nil
		of.Tasks = map[string]migration.Tasks{worker.Pair.Name: {Count: worker.Tasks, Max: worker.MaxTasks, Kept: worker.MaxTasks > 0}}
		p := &pair{ServiceProps: &of, Pair: worker.Pair, id: config.Pascal(worker.Role), worker: true}
		if p.onFargate() {
			p.id += "Fargate"
		}
		definition, role := newTaskDefinition(stack, s, p)
		if p.AwsVPC() {
			p.newTaskSecurityGroup(stack, s)
		}
		ways := p.reachCallees(stack)
		service := newECSService(stack, s, p, definition, role)
		service.Node().AddDependency(ways...)
		props.Routings[0].Alarms.watchWorker(stack, s, p, service)
		if worker.MaxTasks > 0 {
			p.scaleByBacklog(stack, s, service)
		}
	}
}

// scaleByBacklog keeps the jobs that wait for each worker at a number
// (https://docs.aws.amazon.com/autoscaling/application/userguide/application-auto-scaling-target-tracking-metric-math.html).
func (p *pair) scaleByBacklog(stack awscdk.Stack, s config.Settings, service awsecs.BaseService) {
	target := p.newScalableTarget(stack, service)
	type dimension = awsapplicationautoscaling.CfnScalingPolicy_TargetTrackingMetricDimensionProperty
	query := func(id, namespace, name, statistic string, dimensions ...any) any {
		return &awsapplicationautoscaling.CfnScalingPolicy_TargetTrackingMetricDataQueryProperty{
			Id: jsii.String(id), ReturnData: jsii.Bool(false),
			MetricStat: &awsapplicationautoscaling.CfnScalingPolicy_TargetTrackingMetricStatProperty{
				Stat:   jsii.String(statistic),
				Metric: &awsapplicationautoscaling.CfnScalingPolicy_TargetTrackingMetricProperty{Namespace: jsii.String(namespace), MetricName: jsii.String(name), Dimensions: &dimensions},
			},
		}
	}
	of := func(name string, value *string) any { return &dimension{Name: jsii.String(name), Value: value} }
	awsapplicationautoscaling.NewCfnScalingPolicy(stack, p.construct("ScaleByBacklog"), &awsapplicationautoscaling.CfnScalingPolicyProps{
		PolicyName: jsii.String("ScaleByBacklog"), PolicyType: jsii.String("TargetTrackingScaling"), ScalingTargetId: target.Ref(),
		TargetTrackingScalingPolicyConfiguration: &awsapplicationautoscaling.CfnScalingPolicy_TargetTrackingScalingPolicyConfigurationProperty{
			TargetValue: jsii.Number(p.Service.Work.BacklogPerTask),
			CustomizedMetricSpecification: &awsapplicationautoscaling.CfnScalingPolicy_CustomizedMetricSpecificationProperty{Metrics: &[]any{
				query("jobs", "AWS/SQS", "ApproximateNumberOfMessagesVisible", "Sum", of("QueueName", jsii.String(p.Service.WorkQueue(s)))),
				query("tasks", "ECS/ContainerInsights", "RunningTaskCount", "Average", of("ClusterName", p.Alike.cluster.ClusterName()), of("ServiceName", jsii.String(p.Name))),
				&awsapplicationautoscaling.CfnScalingPolicy_TargetTrackingMetricDataQueryProperty{
					Id: jsii.String("backlog"), Expression: jsii.String("jobs / tasks"), ReturnData: jsii.Bool(true), Label: jsii.String("Jobs for each worker"),
				},
			}},
		},
	})
}
