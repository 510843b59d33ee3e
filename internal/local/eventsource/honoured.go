//go:build unix

package eventsource

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"cutover/internal/assembly"
	"cutover/internal/local/provider"
	"cutover/internal/model"
)

// latest is the starting position at the end of a stream.
const latest = "LATEST"

// forAWS are settings without an effect here.
var forAWS = map[string]string{"Tags": "", "KmsKeyArn": "", "LoggingConfig": ""}

// listed are settings that are passed over, with the reason.
var listed = map[string]string{"MetricsConfig": "there is no CloudWatch here: `status` has the counts"}

// notHonoured says why for other settings.
var notHonoured = map[string]string{
	"TumblingWindowInSeconds":           "no state is kept between invocations here",
	"StartingPositionTimestamp":         "streams of tables begin at TRIM_HORIZON or LATEST, as on AWS",
	"ProvisionedPollerConfig":           "a queue has one poller here",
	"Topics":                            "there is no Kafka here",
	"Queues":                            "no message broker invokes a function here",
	"SelfManagedEventSource":            "there is no Kafka here",
	"SourceAccessConfigurations":        "only queues of SQS and streams of tables are sources here",
	"SelfManagedKafkaEventSourceConfig": "there is no Kafka here", "AmazonManagedKafkaEventSourceConfig": "there is no Kafka here",
	"DocumentDBEventSourceConfig": "there is no DocumentDB here",
}

// Settings that are honoured with some values.
var limits = []provider.Limit[*model.EventSource]{
	{Property: "ParallelizationFactor", Value: func(e *model.EventSource) string { return strconv.Itoa(e.Parallel) }, Values: []string{"1"}, Why: "a shard has one batch at a time here"},
}

// honoured are those of which something is to be said.
var honoured = []provider.Compatibility{
	{Setting: "BatchSize", Here: "honoured"},
	{Setting: "BisectBatchOnFunctionError", Here: "honoured"},
	{Setting: "DestinationConfig", Here: "honoured", Why: "a queue of the assembly"},
	{Setting: "FilterCriteria", Here: "honoured", Why: "of a queue only the body is compared, as on AWS"},
	{Setting: "FunctionResponseTypes", Here: "honoured"},
	{Setting: "MaximumBatchingWindowInSeconds", Here: "honoured"},
	{Setting: "MaximumRecordAgeInSeconds", Here: "honoured"},
	{Setting: "MaximumRetryAttempts", Here: "honoured"},
	{Setting: "ScalingConfig", Here: "honoured", Why: "without it a queue has 5 invocations at once, and does not get more"},
	{Setting: "StartingPosition", Here: "honoured", Why: "a mapping goes on where it was after `down` and `up`"},
}

// Compatibility is what becomes of the settings of event source mappings.
func Compatibility() []provider.Compatibility {
	return slices.Concat(honoured, provider.Limits(limits), provider.Settings(forAWS, nil, listed, notHonoured))
}

// Check implements [provider.Plan].
func (p *plan) Check() error {
	var errs []error
	for _, key := range p.wanted.Keys() {
		errs = append(errs, check(p.wanted[key]))
	}
	return assembly.Join(errs...)
}

// check refuses what is not honoured, and what AWS refuses.
// https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html
func check(e *model.EventSource) error {
	errs := []error{e.Unsupported(provider.Ignored(forAWS, listed), notHonoured)}
	refuse := func(property, format string, args ...any) {
		errs = append(errs, e.Errorf(property, format, args...))
	}
	for _, limit := range limits {
		errs = append(errs, limit.Check(&e.Base, e))
	}
	if e.Target.Function.Role == nil {
		refuse("FunctionName", "the role of the function %s is not in the assembly: the mapping needs its permissions", e.Target.Function.Name)
	}
	parsed, err := parse(e.Filters)
	if err != nil {
		refuse("FilterCriteria", "%v", err)
	}
	if e.OnFailure == nil && e.Resource.Properties["DestinationConfig"] != nil && e.Problem("DestinationConfig") == nil {
		refuse("DestinationConfig.OnFailure.Destination", "only a queue of the assembly gets what was given up here")
	}
	if e.OnFailure != nil && e.OnFailure.FIFO {
		refuse("DestinationConfig.OnFailure.Destination", "AWS refuses a FIFO queue")
	}
	if e.Queue == nil {
		if e.Table.Stream == "" {
			refuse("EventSourceArn", "the table %s has no stream", e.Table.Name)
		}
		errs = append(errs, e.Only("StartingPosition", e.From, "AWS takes TRIM_HORIZON or LATEST for the stream of a table", "TRIM_HORIZON", latest))
		if e.MaxConcurrency != 0 {
			refuse("ScalingConfig", "AWS takes it for queues alone")
		}
		return assembly.Join(errs...)
	}
	for _, f := range parsed {
		for name := range f {
			if name != "body" {
				refuse("FilterCriteria", "the pattern has %q, and AWS compares the body of a message alone", name)
			}
		}
	}
	for _, property := range []string{"StartingPosition", "BisectBatchOnFunctionError", "MaximumRetryAttempts", "MaximumRecordAgeInSeconds", "ParallelizationFactor", "DestinationConfig"} {
		if e.Resource.Properties[property] != nil {
			refuse(property, "AWS takes it for streams alone")
		}
	}
	switch {
	case e.Queue.FIFO && e.Batch > 10:
		refuse("BatchSize", "%d: a FIFO queue gives 10 messages at most", e.Batch)
	case e.Queue.FIFO && e.Window > 0:
		refuse("MaximumBatchingWindowInSeconds", "AWS refuses a window for a FIFO queue")
	case e.Batch > 10 && e.Window < time.Second:
		refuse("BatchSize", "%d: with more than 10, MaximumBatchingWindowInSeconds must be 1 at least", e.Batch)
	}
	if e.Queue.Visibility < e.Target.Function.Timeout {
		refuse("EventSourceArn", "the visibility timeout of the queue %s, %v, is shorter than the time-out of the function, %v: AWS refuses this", e.Queue.Name, e.Queue.Visibility, e.Target.Function.Timeout)
	}
	return assembly.Join(errs...)
}

// PassedOver implements [provider.Reporter].
func (p *plan) PassedOver() (all []provider.PassedOver) {
	for _, key := range p.wanted.Keys() {
		e := p.wanted[key]
		for name, why := range listed {
			if e.Resource.Properties[name] != nil {
				all = append(all, provider.PassedOver{Place: key + "/Properties." + name, Subject: e.Target.Function.Name, Setting: name, Why: why})
			}
		}
	}
	for _, key := range p.elsewhere.Keys() {
		all = append(all, provider.PassedOver{Place: key, Subject: key, Setting: "the mapping", Why: fmt.Sprintf(
			"only queues and streams of tables of the assembly are sources here, for functions of the assembly, and %s is none", p.elsewhere[key].Source)})
	}
	return all
}
