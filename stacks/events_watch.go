package stacks

import (
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecs"
	"github.com/aws/jsii-runtime-go"

	"cutover/config"
)

// Thresholds of the alarms of events.
const (
	lateSeconds  = 5 * 60
	deepMessages = 1000
)

// namedMetric is a metric whose dimensions are names that the deployment gives.
func namedMetric(namespace, name, statistic, label string, period time.Duration, dimensions map[string]string) awscloudwatch.Metric {
	of := map[string]*string{}
	for key, value := range dimensions {
		of[key] = jsii.String(value)
	}
	return awscloudwatch.NewMetric(&awscloudwatch.MetricProps{
		Namespace: jsii.String(namespace), MetricName: jsii.String(name), Statistic: jsii.String(statistic), Label: jsii.String(label),
		Period: awscdk.Duration_Minutes(jsii.Number(period.Minutes())), DimensionsMap: &of,
	})
}

// queueMetric is a metric of a queue
// (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html).
func queueMetric(queue, name, label string, period time.Duration) awscloudwatch.Metric {
	return namedMetric("AWS/SQS", name, "Maximum", label, period, map[string]string{"QueueName": queue})
}

// eventMetric is a metric of the lines that the relay and the consumer of a service write.
func eventMetric(s config.Settings, of config.Service, name, statistic string, period time.Duration) awscloudwatch.Metric {
	return namedMetric("Cutover", name, statistic, of.Name, period, map[string]string{"Environment": s.Env, "Service": of.Name})
}

// relayMetric is a metric of the function that publishes the changes of a table.
func relayMetric(s config.Settings, of config.Service, name, statistic string, period time.Duration) awscloudwatch.Metric {
	return namedMetric("AWS/Lambda", name, statistic, of.Name, period, map[string]string{"FunctionName": of.RelayFunction(s)})
}

// watchEvents adds the alarms of topics, queues, relays and consumers: an event is late, or does not come at all.
func (a *Alarms) watchEvents(stack awscdk.Stack, s config.Settings, d config.Deployment) {
	if a == nil {
		return
	}
	const minutes = 5
	late := func(id, about, says string, metric awscloudwatch.IMetric, threshold float64, periods int) {
		a.add(stack, id, &awscloudwatch.AlarmProps{
			AlarmName: jsii.String(alarmName(s, about, "")), AlarmDescription: jsii.String(says), Metric: metric,
			Threshold: jsii.Number(threshold), EvaluationPeriods: jsii.Number(periods),
		})
	}
	const period = minutes * time.Minute
	for _, of := range d.All() {
		id := config.Pascal(of.Name)
		for i, queue := range d.QueuesOf(of, s) {
			kind := "events"
			if i > 0 || len(of.Consumes) == 0 {
				kind = "jobs"
			}
			late(id+config.Pascal(kind)+"Age", "age-of-"+kind+"-of-"+of.Name, fmt.Sprintf("The oldest message in %s is %d minutes old or more, for 10 minutes", queue, lateSeconds/60),
				queueMetric(queue, "ApproximateAgeOfOldestMessage", queue, period), lateSeconds, 2)
			late(id+config.Pascal(kind)+"Depth", "depth-of-"+kind+"-of-"+of.Name, fmt.Sprintf("%d messages or more wait in %s, for 15 minutes", deepMessages, queue),
				queueMetric(queue, "ApproximateNumberOfMessagesVisible", queue, period), deepMessages, 3)
		}
		for i, queue := range d.DeadLettersOf(of, s) {
			about := "dead-letters-of-" + of.Name
			if i > 0 {
				about = fmt.Sprintf("%s-%d", about, i+1)
			}
			late(fmt.Sprint(id, "DeadLetters", i+1), about, "A message is in the dead-letter queue "+queue, queueMetric(queue, "ApproximateNumberOfMessagesVisible", queue, period), 1, 1)
		}
		if of.Publishes {
			metric, says, threshold := eventMetric(s, of, "OutboxAge", "Maximum", period), "The oldest change in the outbox of %s", float64(lateSeconds)
			if of.ByStream() {
				metric, says, threshold = relayMetric(s, of, "IteratorAge", "Maximum", period), "What the relay of %s reads from the table's stream", lateSeconds*1000 // in milliseconds
				late(id+"RelayErrors", "errors-of-relay-of-"+of.Name, fmt.Sprintf("The relay of %s fails: 10 times or more in %d minutes", of.Name, minutes), relayMetric(s, of, "Errors", "Sum", period), 10, 1)
			}
			late(id+"RelayLag", "lag-of-relay-of-"+of.Name, fmt.Sprintf(says+" is %d minutes old or more, for 10 minutes", of.Name, lateSeconds/60), metric, threshold, 2)
		}
		if len(of.Consumes) > 0 {
			late(id+"Parked", "parked-events-of-"+of.Name, fmt.Sprintf("%s has had an event for %d minutes or more that waits for the event of another key, for 10 minutes", of.Name, lateSeconds/60),
				eventMetric(s, of, "ParkedAge", "Maximum", period), lateSeconds, 2)
			late(id+"Projection", "lag-of-projection-of-"+of.Name, fmt.Sprintf("%s applies events that are %d minutes old or more, for 10 minutes", of.Name, lateSeconds/60),
				eventMetric(s, of, "ProjectionLag", "Minimum", period), lateSeconds, 2)
		}
	}
}

// watchWorker adds the alarm of a worker without a task, which no load balancer tells of.
func (a *Alarms) watchWorker(stack awscdk.Stack, s config.Settings, p *pair, service awsecs.BaseService) {
	if a == nil {
		return
	}
	a.add(stack, p.id+"NoTask", &awscloudwatch.AlarmProps{
		AlarmName: jsii.String(alarmName(s, "no-task-of-"+p.Name, "")), AlarmDescription: jsii.String(p.Name + " has no running task, for 5 minutes"),
		Metric: namedMetric("ECS/ContainerInsights", "RunningTaskCount", "Maximum", p.Name, time.Minute,
			map[string]string{"ClusterName": clusterOf(s), "ServiceName": p.Name}),
		Threshold: jsii.Number(1), EvaluationPeriods: jsii.Number(5),
		ComparisonOperator: awscloudwatch.ComparisonOperator_LESS_THAN_THRESHOLD, TreatMissingData: awscloudwatch.TreatMissingData_BREACHING,
	}).Node().AddDependency(service)
}

// events shows how late events are, and what waits.
func (g graphs) events(d config.Deployment, s config.Settings) (rows []*[]awscloudwatch.IWidget) {
	if !s.Events {
		return nil
	}
	var age, depth, dead, outbox, stream, parked, projection []awscloudwatch.IMetric
	for _, of := range d.All() {
		for _, queue := range d.QueuesOf(of, s) {
			age = append(age, queueMetric(queue, "ApproximateAgeOfOldestMessage", queue, time.Minute))
			depth = append(depth, queueMetric(queue, "ApproximateNumberOfMessagesVisible", queue, time.Minute))
		}
		for _, queue := range d.DeadLettersOf(of, s) {
			dead = append(dead, queueMetric(queue, "ApproximateNumberOfMessagesVisible", queue, time.Minute))
		}
		switch {
		case of.ByStream():
			stream = append(stream, relayMetric(s, of, "IteratorAge", "Maximum", time.Minute))
		case of.Publishes:
			outbox = append(outbox, eventMetric(s, of, "OutboxAge", "Maximum", time.Minute))
		}
		if len(of.Consumes) > 0 {
			parked = append(parked, eventMetric(s, of, "ParkedAge", "Maximum", time.Minute))
			projection = append(projection, eventMetric(s, of, "ProjectionLag", "Maximum", time.Minute))
		}
	}
	row := func(graphs map[string][]awscloudwatch.IMetric, titles ...string) {
		titles = slices.DeleteFunc(titles, func(title string) bool { return len(graphs[title]) == 0 })
		var widgets []awscloudwatch.IWidget
		for _, title := range titles {
			widgets = append(widgets, graph(float64(24/len(titles)), title, graphs[title], nil))
		}
		if widgets != nil {
			rows = append(rows, &widgets)
		}
	}
	const (
		ages, depths, letters              = "Queues: age of the oldest message in seconds", "Queues: messages that wait", "Dead-letter queues: messages"
		outboxes, streams, parks, projects = "Relays: age of the oldest change in an outbox, in seconds", "Relays: age of what is read from a stream, in milliseconds", "Consumers: age of the oldest parked event in seconds", "Consumers: age of the applied event in seconds"
	)
	row(map[string][]awscloudwatch.IMetric{ages: age, depths: depth, letters: dead}, ages, depths, letters)
	row(map[string][]awscloudwatch.IMetric{outboxes: outbox, streams: stream, parks: parked, projects: projection}, outboxes, streams, parks, projects)
	return rows
}
