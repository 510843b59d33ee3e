package cost

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"cutover/internal/assembly"
	"cutover/internal/model"
	"cutover/internal/words"
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

// between is the least and the most of a price.
type between struct{ least, most Cents }

func (b between) plus(other between) between {
	return between{b.least + other.least, b.most + other.most}
}

func (b between) String() string {
	if b.least == b.most {
		return b.least.String()
	}
	return b.least.String() + " to " + b.most.String()
}

// million is the price of a million of something that costs by traffic, times a factor.
func million(key string, times float64) Cents {
	return amount(1, times*prices.Traffic[key].Price)
}

// orderedGB is the price of a GB to a FIFO topic, and deliveredGB of one from there to a queue (https://aws.amazon.com/sns/pricing/, from
// memory). A GB has a million events of 1 KB.
const orderedGB, deliveredGB = 0.017, 0.001

// published is what a million events of 1 KB to a topic with some queues cost. The relay publishes each event by itself.
func published(fifo bool, queues int) Cents {
	if !fifo {
		return million("topicRequests", 1)
	}
	return million("orderedTopicRequests", 1) + million("orderedTopicDeliveries", float64(queues)) + amount(1, orderedGB+float64(queues)*deliveredGB)
}

// received is what it costs to receive and to delete a million messages: two requests for a batch of ten, as under load, or for each.
func received(fifo bool) between {
	key := "queueRequests"
	if fifo {
		key = "orderedQueueRequests"
	}
	return between{million(key, 0.2), million(key, 2)}
}

// relayed is what a relay on Lambda costs for a million events: an invocation for each batch of its stream, or for each event. An event
// takes as long either way. AWS charges nothing for what Lambda reads from a stream
// (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CostOptimization_StreamsUsage.html).
func relayed(arm bool, memoryMiB, batch int) between {
	duration := "functionSecondsX86"
	if arm {
		duration = "functionSecondsARM"
	}
	busy := float64(memoryMiB) / 1024 * assumedSeconds * prices.Traffic[duration].Price
	return between{amount(1e6, busy+prices.Traffic["functionRequests"].Price/1e6/float64(batch)), amount(1e6, busy+prices.Traffic["functionRequests"].Price/1e6)}
}

// outbox is what a million rows of 1 KB cost in an outbox of Aurora at most: each is written with its record, and deleted in a transaction
// of its own. In DynamoDB the event is an attribute of some bytes.
func outbox() Cents {
	return amount(storageWrites(1024, 0)+storageWrites(1024, 1), prices.Traffic["databaseRequests"].Price)
}

// storageWrites are those of a row in a transaction: see [Request.StorageRequests]. The commit counts once for a transaction.
func storageWrites(bytes, commits int) int { return 1 + above(bytes, 4096) + commits }

// EventTable is what a million events of 1 KB cost on their way from the outbox to one consumer, in Markdown: in batches as under load, to
// one by one. What tasks cost comes on top.
func EventTable() string {
	var b strings.Builder
	b.WriteString("| a million events of 1 KB by | outbox and relay, US$ | topic | queue | together |\n|---|---|---|---|---|\n")
	for _, store := range []struct {
		name, more string
		relay      between
	}{
		{"a table of DynamoDB", "", relayed(false, 256, 100)},
		{"a database of PostgreSQL", ", and a task", between{0, outbox()}},
	} {
		for _, fifo := range []bool{true, false} {
			kind := map[bool]string{true: "FIFO", false: "standard"}[fifo]
			topic := published(fifo, 1)
			fmt.Fprintf(&b, "| %s, %s | %v%s | %v | %v | %v |\n", store.name, kind, store.relay, store.more, topic, received(fifo), store.relay.plus(received(fifo)).plus(between{topic, topic}))
		}
	}
	return b.String()
}

const (
	hour = 3600
	// reuseSeconds is how long SNS and SQS use a data key before they ask the key again: the default.
	reuseSeconds = 300
	// waitSeconds is how long our consumers wait for a message, and pollSeconds how long each of Lambda's pollers does.
	waitSeconds, pollSeconds, pollers = 10, 20, 5
)

// asksKey is what requests to a key cost in a month at most: a principal that sends asks twice and one that receives once, each as often as
// a data key is used up
// (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html#sqs-estimate-kms-usage-costs).
func asksKey(senders, receivers int) Cents {
	return amount(prices.Hours*hour/reuseSeconds*(2*senders+receivers), prices.Traffic["keyRequests"].Price/10_000)
}

// asksQueue is what it costs in a month to ask a queue that is empty.
func asksQueue(fifo bool, receivers, seconds int) Cents {
	key := "queueRequests"
	if fifo {
		key = "orderedQueueRequests"
	}
	return amount(prices.Hours*hour/seconds*receivers, prices.Traffic[key].Price/1e6)
}

// EventMonthTable is what topics and queues cost in a month, whether something is published or not, in Markdown.
func EventMonthTable() string {
	var b strings.Builder
	b.WriteString("| a month | US$ |\n|---|---|\n")
	for _, row := range []struct {
		what  string
		price Cents
	}{
		{"the key", amount(1, prices.Fixed["key"].Month)},
		{"requests to the key for a topic with one relay, at most", asksKey(1, 0)},
		{"requests to the key for a queue with one sender and one receiver, at most", asksKey(1, 1)},
		{"a task that asks an empty FIFO queue", asksQueue(true, 1, waitSeconds)},
		{"a task that asks an empty standard queue", asksQueue(false, 1, waitSeconds)},
		{"a function for which Lambda asks an empty FIFO queue, with five pollers", asksQueue(true, pollers, pollSeconds)},
		{"a relay, consumer or worker as the smallest task on Fargate", amount(prices.Hours, rate(&model.Fargate{}, leastTask))},
	} {
		fmt.Fprintf(&b, "| %s | %v |\n", row.what, row.price)
	}
	return b.String()
}

// events says what a million events cost at each topic and queue of an environment, and what a month costs beside the lines, with one
// sender and one receiver of each.
func events(m *model.Model, environment string) (lines []string) {
	ours := func(r *assembly.Resource) bool {
		return model.Tag(r, "environment") == environment && model.Tag(r, "service") != ""
	}
	groups := map[string][]string{} // names, by what their million costs
	var month Cents
	for _, t := range m.Topics {
		if !ours(t.Resource) {
			continue
		}
		queues := 0
		for _, s := range m.Subscriptions {
			if s.Topic == t && s.Queue != nil {
				queues++
			}
		}
		text := fmt.Sprintf("a million events of 1 KB cost US$ %v to publish, for %s", published(t.FIFO, queues), words.Count(queues, "queue"))
		groups[text] = append(groups[text], t.Name)
		if t.KeyID != "" {
			month += asksKey(1, 0)
		}
	}
	for _, e := range m.EventSources {
		if f := e.Target.Function; f != nil && e.Table != nil && ours(f.Resource) {
			text := fmt.Sprintf("a million events cost US$ %v to relay, if each takes %v ms at %d MiB: %d in an invocation, or one", relayed(f.Architecture == "arm64", f.MemoryMiB, e.Batch), assumedSeconds*1000, f.MemoryMiB, e.Batch)
			groups[text] = append(groups[text], f.Name)
		}
	}
	for _, q := range m.Queues {
		if !ours(q.Resource) || deadLetters(m, q) {
			continue
		}
		text := fmt.Sprintf("a million messages cost US$ %v to receive and delete, ten at once or one by one", received(q.FIFO))
		groups[text] = append(groups[text], q.Name)
		if q.KeyID != "" {
			month += asksKey(1, 1)
		}
		if slices.ContainsFunc(m.EventSources, func(e *model.EventSource) bool { return e.Queue == q }) {
			month += asksQueue(q.FIFO, pollers, pollSeconds)
		} else {
			month += asksQueue(q.FIFO, 1, waitSeconds)
		}
	}
	for _, text := range slices.Sorted(maps.Keys(groups)) {
		slices.Sort(groups[text])
		lines = append(lines, strings.Join(groups[text], ", ")+": "+text)
	}
	if month > 0 {
		lines = append(lines, fmt.Sprintf("a month costs US$ %v more at most, whatever is published: for requests to the key, and to empty queues", month))
	}
	return lines
}

// deadLetters says whether a queue is for what others gave up. Nothing asks it.
func deadLetters(m *model.Model, q *model.Queue) bool {
	return slices.ContainsFunc(m.Queues, func(of *model.Queue) bool { return of.DeadLetters == q }) ||
		slices.ContainsFunc(m.EventSources, func(e *model.EventSource) bool { return e.OnFailure == q })
}
