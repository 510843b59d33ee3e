package onaws

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/schemas"
	metrics "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/smithy-go/transport/http/protocol/awsjson"

	"cutover/internal/model"
	"cutover/internal/queues"
)

// Messaging returns a client for topics and queues, and those of a stack.
func Messaging(ctx context.Context, getenv func(string) string, stack string) (*queues.Client, queues.Names, error) {
	var names queues.Names
	var configs [3]aws.Config
	for i, service := range []string{"CLOUDFORMATION", "SNS", "SQS"} {
		config, err := Config(ctx, getenv, service)
		if err != nil {
			return nil, names, fmt.Errorf("AWS was not asked: %w", err)
		}
		configs[i] = config
	}
	pages := cloudformation.NewListStackResourcesPaginator(cloudformation.NewFromConfig(configs[0]), &cloudformation.ListStackResourcesInput{StackName: &stack})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil && strings.Contains(err.Error(), "does not exist") {
			return nil, names, fmt.Errorf("there is no stack %s in %s: the environment is deployed without events, or not at all", stack, configs[0].Region)
		} else if err != nil {
			return nil, names, fmt.Errorf("AWS did not answer for the stack %s in %s: %w", stack, configs[0].Region, err)
		}
		for _, r := range page.StackResourceSummaries {
			switch aws.ToString(r.ResourceType) {
			case model.SNSTopic:
				names.Topics = append(names.Topics, aws.ToString(r.PhysicalResourceId))
			case model.SQSQueue:
				names.Queues = append(names.Queues, aws.ToString(r.PhysicalResourceId))
			}
		}
	}
	return queues.New(configs[1], configs[2]), names, nil
}

// agePeriod is that of the metrics of SQS, and ageWindow how far back the newest is looked for. SQS tells them a few minutes late.
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
const agePeriod, ageWindow = time.Minute, 10 * time.Minute

// Ages fills in how old the oldest message of each queue is, as CloudWatch has it. Queues without a message for hours have no
// metrics.
func Ages(ctx context.Context, getenv func(string) string, all *queues.Overview) error {
	config, err := Config(ctx, getenv, "CLOUDWATCH")
	if err != nil || len(all.Queues) == 0 {
		return err
	}
	now := time.Now()
	ask := &cloudwatch.GetMetricDataInput{StartTime: aws.Time(now.Add(-ageWindow)), EndTime: aws.Time(now), ScanBy: metrics.ScanByTimestampDescending}
	for i, q := range all.Queues {
		ask.MetricDataQueries = append(ask.MetricDataQueries, metrics.MetricDataQuery{
			Id: aws.String(fmt.Sprintf("q%d", i)),
			MetricStat: &metrics.MetricStat{
				Metric: &metrics.Metric{
					Namespace: aws.String("AWS/SQS"), MetricName: aws.String("ApproximateAgeOfOldestMessage"),
					Dimensions: []metrics.Dimension{{Name: aws.String("QueueName"), Value: aws.String(q.Name)}},
				},
				Period: aws.Int32(int32(agePeriod.Seconds())), Stat: aws.String("Maximum"),
			},
		})
	}
	client := cloudwatch.NewFromConfig(config, func(o *cloudwatch.Options) {
		o.Protocol = awsjson.New10(schemas.GraniteServiceVersion20100801) // emulators may lack the default, CBOR
	})
	pages := cloudwatch.NewGetMetricDataPaginator(client, ask)
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("CloudWatch did not tell the ages: %w", err)
		}
		for _, result := range page.MetricDataResults {
			var i int
			if n, _ := fmt.Sscanf(aws.ToString(result.Id), "q%d", &i); n == 1 && i < len(all.Queues) && all.Queues[i].Age == nil && len(result.Values) > 0 {
				all.Queues[i].Age = &result.Values[0]
			}
		}
	}
	return nil
}
