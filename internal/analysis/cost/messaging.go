package cost

import (
	"fmt"
	"strings"

	"cutover/internal/model"
)

// topic are the prices of a topic. That of alarms, which belongs to no service, has too few messages to count.
func (e *environment) topic(v *model.Topic, service string, keys []string) ([]string, error) {
	switch {
	case service == "":
		return nil, nil
	case v.FIFO:
		return without(keys, "topicRequests"), v.Problem("FifoTopic")
	}
	return without(keys, "orderedTopicRequests", "orderedTopicDeliveries"), v.Problem("FifoTopic")
}

// queue are the prices of a queue.
func (e *environment) queue(v *model.Queue, keys []string) ([]string, error) {
	if v.FIFO {
		return without(keys, "queueRequests"), v.Problem("FifoQueue")
	}
	return without(keys, "orderedQueueRequests"), v.Problem("FifoQueue")
}

// EventTable is what a million events of 1 KB cost on their way from the outbox to one consumer, in Markdown. What tasks cost comes
// on top. A batch of 10 messages is one request to a queue: batched are received and deleted so, as under load; singly each message
// is. A relay on Lambda takes 100 changes at a time.
func EventTable() string {
	var b strings.Builder
	b.WriteString("| a million events through | topic, US$ | queue, singly | queue, batched | together |\n|---|---|---|---|---|\n")
	price := func(key string, millions float64) Cents { return amount(1, millions*prices.Traffic[key].Price) }
	for _, way := range []struct {
		name, queue string
		topic       Cents
	}{
		// A GB has a million events of 1 KB.
		{"a FIFO topic and a FIFO queue", "orderedQueueRequests", price("orderedTopicRequests", 1) + price("orderedTopicDeliveries", 1) + amount(1, orderedGB)},
		{"a standard topic and a standard queue", "queueRequests", price("topicRequests", 1)},
	} {
		singly, batched := price(way.queue, 2), price(way.queue, 0.2)
		fmt.Fprintf(&b, "| %s | %v | %v | %v | %v to %v |\n", way.name, way.topic, singly, batched, way.topic+batched, way.topic+singly)
	}
	return b.String()
}

// orderedGB is the price of a GB to a FIFO topic, and from there to a queue (https://aws.amazon.com/sns/pricing/, from memory).
const orderedGB = 0.017 + 0.001
