package cost

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEventTable(t *testing.T) {
	want := `| a million events through | topic, US$ | queue, singly | queue, batched | together |
|---|---|---|---|---|
| a FIFO topic and a FIFO queue | 0.33 | 1.00 | 0.10 | 0.43 to 1.33 |
| a standard topic and a standard queue | 0.50 | 0.80 | 0.08 | 0.58 to 1.30 |
`
	if diff := cmp.Diff(want, EventTable()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestMessaging(t *testing.T) {
	const topic = `"Properties": {"Tags": [{"Key": "service", "Value": "users"}]`
	for name, test := range map[string]struct {
		resources string
		want      []string
	}{
		"standard":          {`"Topic": {"Type": "AWS::SNS::Topic", ` + topic + `}}, "Queue": {"Type": "AWS::SQS::Queue"}`, []string{"topicRequests", "keyRequests", "queueRequests"}},
		"FIFO":              {`"Topic": {"Type": "AWS::SNS::Topic", ` + topic + `, "FifoTopic": true}}, "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"FifoQueue": true}}`, []string{"orderedTopicRequests", "orderedTopicDeliveries", "keyRequests", "orderedQueueRequests"}},
		"a topic of alarms": {`"Topic": {"Type": "AWS::SNS::Topic"}`, nil},
	} {
		estimates, err := Read(readModel(t, map[string]string{"Stack": `{"Resources": {` + test.resources + `}}`}))
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, key := range test.want {
			want = append(want, decimal(prices.Traffic[key].Price)+" per "+prices.Traffic[key].For)
		}
		slices.Sort(want)
		if diff := cmp.Diff(want, sorted(estimates[0].Traffic)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
