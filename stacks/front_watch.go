package stacks

import (
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudfront"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/jsii-runtime-go"

	"cutover/config"
)

// distributionRegion is where CloudFront's metrics are, and so where alarms of them can be
// (https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/monitoring-using-cloudwatch.html).
const distributionRegion = "us-east-1"

// throttles is the metric of requests that API Gateway refused with 429, which has no metric of AWS.
func throttles(s config.Settings) (namespace, name string) {
	return "Cutover", s.Name(s.Env) + "-throttles"
}

// apiMetric is a metric of the REST API's stage
// (https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-metrics-and-dimensions.html).
func apiMetric(s config.Settings, name, statistic, label string, period time.Duration) awscloudwatch.Metric {
	return awscloudwatch.NewMetric(&awscloudwatch.MetricProps{
		Namespace: jsii.String("AWS/ApiGateway"), MetricName: jsii.String(name), Statistic: jsii.String(statistic), Label: jsii.String(label),
		Period:        awscdk.Duration_Minutes(jsii.Number(period.Minutes())),
		DimensionsMap: &map[string]*string{"ApiName": jsii.String(s.Name(s.Env)), "Stage": jsii.String(StageName)},
	})
}

func throttleMetric(s config.Settings, period time.Duration) awscloudwatch.Metric {
	namespace, name := throttles(s)
	return awscloudwatch.NewMetric(&awscloudwatch.MetricProps{
		Namespace: jsii.String(namespace), MetricName: jsii.String(name), Statistic: jsii.String("Sum"), Label: jsii.String("throttles"),
		Period: awscdk.Duration_Minutes(jsii.Number(period.Minutes())),
	})
}

// watch counts throttles, and adds the alarms of the REST API.
func (f *Front) watch(s config.Settings, logs awslogs.LogGroup, alarms *Alarms) {
	namespace, name := throttles(s)
	awslogs.NewMetricFilter(f.Stack, jsii.String("Throttles"), &awslogs.MetricFilterProps{
		LogGroup: logs, FilterPattern: awslogs.FilterPattern_Literal(jsii.String(`{ $.status = "429" }`)),
		MetricNamespace: jsii.String(namespace), MetricName: jsii.String(name), MetricValue: jsii.String("1"),
	})
	if alarms == nil {
		return
	}
	const period = 5 * time.Minute
	for _, one := range []struct {
		id, about, says string
		metric          awscloudwatch.IMetric
		threshold       float64
		periods         int
		few             *string
	}{
		{"Errors", "errors-of-api-gateway", "API Gateway answers with 5xx, those of services among them: 10 times or more in 5 minutes", apiMetric(s, "5XXError", "Sum", "5xx", period), 10, 1, nil},
		{"ClientErrors", "client-errors-of-api-gateway", "API Gateway answers half of the requests or more with 4xx, for 15 minutes", apiMetric(s, "4XXError", "Average", "4xx", period), 0.5, 3, nil},
		{"Latency", "latency-of-api-gateway", "API Gateway is slow: one request in a hundred takes 2 s or more, for 15 minutes", apiMetric(s, "Latency", "p99", "latency", period), 2000, 3, jsii.String("ignore")},
		{"Throttles", "throttles-of-api-gateway", "API Gateway refuses requests with 429: 10 times or more in 5 minutes", throttleMetric(s, period), 10, 1, nil},
	} {
		alarms.add(f.Stack, one.id, &awscloudwatch.AlarmProps{
			AlarmName: jsii.String(alarmName(s, one.about, "")), AlarmDescription: jsii.String(one.says), Metric: one.metric,
			Threshold: jsii.Number(one.threshold), EvaluationPeriods: jsii.Number(one.periods), EvaluateLowSampleCountPercentile: one.few,
		})
	}
}

// distributionMetric is a metric of a distribution.
func distributionMetric(distribution awscloudfront.IDistribution, name, statistic, label string, period time.Duration) awscloudwatch.Metric {
	return awscloudwatch.NewMetric(&awscloudwatch.MetricProps{
		Namespace: jsii.String("AWS/CloudFront"), MetricName: jsii.String(name), Statistic: jsii.String(statistic), Label: jsii.String(label),
		Period: awscdk.Duration_Minutes(jsii.Number(period.Minutes())), Region: jsii.String(distributionRegion),
		DimensionsMap: &map[string]*string{"DistributionId": distribution.DistributionId(), "Region": jsii.String("Global")},
	})
}

// watchDistribution adds the alarm of CloudFront. It exists if the deployment is where CloudFront's metrics are.
func watchDistribution(stack awscdk.Stack, s config.Settings, distribution awscloudfront.IDistribution, alarms *Alarms) {
	if alarms == nil {
		return
	}
	here := awscdk.NewCfnCondition(stack, jsii.String("MetricsAreHere"), &awscdk.CfnConditionProps{
		Expression: awscdk.Fn_ConditionEquals(awscdk.Aws_REGION(), jsii.String(distributionRegion)),
	})
	alarm := alarms.add(stack, "Errors", &awscloudwatch.AlarmProps{
		AlarmName:        jsii.String(alarmName(s, "errors-of-cloudfront", "")),
		AlarmDescription: jsii.String("CloudFront answers one request in a hundred or more with 5xx, those of services among them, for 15 minutes"),
		Metric:           distributionMetric(distribution, "5xxErrorRate", "Average", "5xx, %", 5*time.Minute),
		Threshold:        jsii.Number(1), EvaluationPeriods: jsii.Number(3),
	})
	alarm.Node().DefaultChild().(awscdk.CfnResource).CfnOptions().SetCondition(here)
}

// fronts shows what is before the load balancer.
func (g graphs) fronts(s config.Settings, ui *UI) (rows []*[]awscloudwatch.IWidget) {
	if s.Front == config.APIGateway {
		metric := func(name, statistic, label string) awscloudwatch.IMetric {
			return apiMetric(s, name, statistic, label, time.Minute)
		}
		rows = append(rows, &[]awscloudwatch.IWidget{
			graph(6, "API Gateway: requests a minute", []awscloudwatch.IMetric{metric("Count", "SampleCount", "requests"), throttleMetric(s, time.Minute)}, nil),
			graph(6, "API Gateway: 4xx and 5xx a minute", []awscloudwatch.IMetric{metric("4XXError", "Sum", "4xx"), metric("5XXError", "Sum", "5xx")}, nil),
			graph(6, "API Gateway: latency in milliseconds, p99", []awscloudwatch.IMetric{metric("Latency", "p99", "all"), metric("IntegrationLatency", "p99", "behind it")}, nil),
			graph(6, "API Gateway: hits and misses of the cache a minute", []awscloudwatch.IMetric{metric("CacheHitCount", "Sum", "hits"), metric("CacheMissCount", "Sum", "misses")}, nil),
		})
	}
	if ui != nil {
		metric := func(name, statistic, label string) awscloudwatch.IMetric {
			return distributionMetric(ui.Distribution, name, statistic, label, time.Minute)
		}
		rows = append(rows, &[]awscloudwatch.IWidget{
			graph(12, "CloudFront: requests a minute", []awscloudwatch.IMetric{metric("Requests", "Sum", "requests")}, nil),
			graph(12, "CloudFront: 4xx and 5xx, % of the requests", []awscloudwatch.IMetric{metric("4xxErrorRate", "Average", "4xx"), metric("5xxErrorRate", "Average", "5xx")}, nil),
		})
	}
	return rows
}
