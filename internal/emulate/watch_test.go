package emulate

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/schemas"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/smithy-go/transport/http/protocol/awsquery"

	"cutover/config"
	"cutover/internal/canary"
	"cutover/internal/nightly"
	"cutover/internal/step"
	"cutover/migration"
)

// A canary is judged by the data in CloudWatch.
func TestCanary(t *testing.T) {
	nightly.Test(t, "it writes and reads metrics of an emulated AWS")
	a := services(t)
	endpoint := a.Endpoint()
	client := cloudwatch.New(cloudwatch.Options{Region: Region, BaseEndpoint: &endpoint, Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")},
		func(o *cloudwatch.Options) { o.Protocol = awsquery.New(schemas.GraniteServiceVersion20100801) }) // moto cannot read the times of data in JSON
	d := config.Deployment{Monolith: config.Service{Name: "api"}, Services: []config.Service{{Name: "users", LoadBalancer: "press"}}}
	environment := map[string]string{"AWS_ENDPOINT_URL": endpoint, "AWS_REGION": Region, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
	watcher, err := step.NewWatcher(t.Context(), d, "qa", "qa-", migration.Position{Phase: migration.Switched}, time.Time{}, func(name string) string { return environment[name] })
	if err != nil {
		t.Fatal(err)
	}
	dimensions := func(group string) []types.Dimension {
		return []types.Dimension{
			{Name: aws.String("LoadBalancer"), Value: aws.String("app/qa/0123456789abcdef")},
			{Name: aws.String("TargetGroup"), Value: aws.String("targetgroup/" + group + "/0123456789abcdef")},
		}
	}
	if _, err := watcher.Look(t.Context()); err == nil || !strings.Contains(err.Error(), `qa in us-east-1 has no alarm qa-users-canary-errors and 2 others: set "alarms": "on"`) {
		t.Errorf("without alarms: %v", err)
	}
	state := func(kind canary.Kind, value types.StateValue) {
		t.Helper()
		if _, err := client.SetAlarmState(t.Context(), &cloudwatch.SetAlarmStateInput{
			AlarmName: aws.String(canary.AlarmName("qa", "users", kind)), StateValue: value, StateReason: aws.String("a test says so."),
		}); err != nil {
			t.Fatal(err)
		}
	}
	for _, kind := range canary.Kinds() {
		metric := func(id, group string) types.MetricDataQuery {
			return types.MetricDataQuery{Id: &id, ReturnData: aws.Bool(false), MetricStat: &types.MetricStat{Period: aws.Int32(60), Stat: aws.String("Sum"), Metric: &types.Metric{
				Namespace: aws.String("AWS/ApplicationELB"), MetricName: aws.String("RequestCount"), Dimensions: dimensions(group),
			}}}
		}
		if _, err := client.PutMetricAlarm(t.Context(), &cloudwatch.PutMetricAlarmInput{
			AlarmName: aws.String(canary.AlarmName("qa", "users", kind)), EvaluationPeriods: aws.Int32(2), Threshold: aws.Float64(1), ComparisonOperator: types.ComparisonOperatorGreaterThanThreshold,
			Metrics: []types.MetricDataQuery{
				{Id: aws.String("expression"), Expression: aws.String("requests - monolith")}, metric("requests", "qa-users-press"), metric("monolith", "qa-api-press"),
			},
		}); err != nil {
			t.Fatal(err)
		}
		state(kind, types.StateValueOk)
	}
	look := func(want canary.Verdict, because string) {
		t.Helper()
		all, err := watcher.Look(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if verdict, reasons := canary.Decide(all[0].Findings); verdict != want || !strings.Contains(strings.Join(reasons, "\n"), because) {
			t.Errorf("%s because of %q, want %s because of %q; it saw %+v", verdict, reasons, want, because, all[0].Rounds)
		}
	}
	look(canary.Wait, "users has had 0 of the 2 periods")

	// moto has no percentiles.
	last := time.Now().Truncate(time.Minute).Add(-time.Minute)
	put := func(group, metric string, minute int, value float64) {
		t.Helper()
		if _, err := client.PutMetricData(t.Context(), &cloudwatch.PutMetricDataInput{Namespace: aws.String("AWS/ApplicationELB"), MetricData: []types.MetricDatum{
			{MetricName: &metric, Dimensions: dimensions(group), Timestamp: aws.Time(last.Add(time.Duration(minute) * time.Minute)), Value: &value},
		}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, minute := range []int{-2, -1} {
		put("qa-users-press", "RequestCount", minute, 200)
		put("qa-api-press", "RequestCount", minute, 800)
		put("qa-api-press", "HTTPCode_Target_5XX_Count", minute, 8)
	}
	look(canary.GoOn, "users answered 0.0 % of 200 requests with 5xx and api 1.0 % of 800")
	state(canary.Latency, types.StateValueAlarm)
	look(canary.Back, "the alarm qa-users-canary-latency went off: a test says so")
	state(canary.Latency, types.StateValueInsufficientData)
	look(canary.Wait, "the alarm qa-users-canary-latency has not been evaluated yet")
	state(canary.Latency, types.StateValueOk)
	put("qa-users-press", "UnHealthyHostCount", -1, 1)
	look(canary.Wait, "users has 1 unhealthy target and api 0, in one of 2 periods of 60 s")
	put("qa-users-press", "UnHealthyHostCount", -2, 1)
	look(canary.Back, "users has 1 unhealthy target and api 0, and was worse for 2 periods of 60 s")
}
