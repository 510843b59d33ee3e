//go:build unix

package eventsource

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"

	"cutover/internal/local/backing/client"
	"cutover/internal/local/lambda"
	"cutover/internal/local/provider"
	"cutover/internal/model"
)

// mapping is an event source mapping that polls.
type mapping struct {
	*Provider
	spec     *model.EventSource
	settings string // all that makes another mapping, as text
	filters  filters
	id       string // of its credentials
	client   *client.Client
	stream   string    // the ARN; empty for a queue
	position *position // of the stream

	stop  context.CancelFunc
	ended chan struct{} // closed when nothing of it runs any more

	mu     sync.Mutex
	counts Counts
	// oldest has the time of the oldest record that is not done, by shard.
	oldest map[string]time.Time
	told   map[string]bool
}

// Counts are what a mapping has done so far.
type Counts struct {
	// Invocations are those of the function, and Failures those of them without an answer, or with failures in it.
	Invocations int `json:"invocations"`
	Failures    int `json:"failures"`
	// Records are those that are done: processed, filtered or given up. A message that comes again counts once.
	Records  int `json:"records"`
	Filtered int `json:"filtered"`
	GaveUp   int `json:"gaveUp"`
	// Running is how many invocations there are now.
	Running int `json:"running"`
	// LastError is why the source could not be read, or the function not invoked, last; empty if it was since.
	LastError string `json:"lastError,omitempty"`
}

// newMapping makes a mapping that does not poll yet.
func (p *Provider) newMapping(spec *model.EventSource, settings, stream string, f filters) *mapping {
	m := &mapping{
		Provider: p, spec: spec, settings: settings, filters: f, stream: stream, id: uuid.NewString(), ended: make(chan struct{}), oldest: map[string]time.Time{}, told: map[string]bool{},
	}
	by := *spec.Target.Function
	by.Environment = nil // what the function sets for itself is not for its mapping
	m.client = client.New(func() []model.Variable { return p.options.Access.FunctionVariables(m.id, &by) })
	m.stop = func() { close(m.ended) }
	return m
}

// begin lets the mapping poll.
func (m *mapping) begin() {
	ctx, stop := context.WithCancel(context.Background())
	m.stop = stop
	go func() {
		defer close(m.ended)
		if m.spec.Queue != nil {
			m.readQueue(ctx)
		} else {
			m.readStream(ctx)
		}
		m.options.Access.Forget(m.id)
	}()
}

// end stops to poll, and waits for the invocations that run.
func (m *mapping) end(ctx context.Context) error {
	m.stop()
	select {
	case <-m.ended:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// source is the name of the queue, or of the table.
func (m *mapping) source() string {
	if m.spec.Queue != nil {
		return m.spec.Queue.Name
	}
	return m.spec.Table.Name
}

// target is the key of what is invoked.
func target(t model.FunctionTarget) string {
	switch {
	case t.Alias != nil:
		return t.Alias.Key()
	case t.Version != nil:
		return t.Version.Key()
	}
	return t.Function.Key()
}

// outcome is what became of an invocation.
type outcome struct {
	answer  []byte
	version string
	// crashed says that the function gave no answer, and waits that it was not invoked, because there are too many
	// invocations, or no function.
	crashed, waits bool
}

// notInvoked are the errors of an invocation that did not begin.
var notInvoked = map[string]bool{"TooManyRequestsException": true, "ResourceNotFoundException": true}

// invoke runs the function with events, to its end.
func (m *mapping) invoke(events []object) outcome {
	payload, err := json.Marshal(object{"Records": events})
	if err != nil { // events are of JSON
		m.fail(err)
		return outcome{crashed: true}
	}
	m.count(func(c *Counts) { c.Running++ })
	answer, version, err := m.options.Functions.InvokeMapped(target(m.spec.Target), payload)
	o := outcome{answer: answer, version: version, crashed: err != nil}
	if of := (*lambda.Error)(nil); errors.As(err, &of) {
		o.waits = notInvoked[of.Type]
	}
	m.count(func(c *Counts) {
		c.Running--
		if !o.waits {
			c.Invocations++
		}
		if err == nil {
			c.LastError = ""
		}
	})
	if err != nil {
		m.fail(err)
	}
	return o
}

func (m *mapping) count(change func(*Counts)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(&m.counts)
}

// fail notes an error. An event says so once.
func (m *mapping) fail(err error) { m.warn(err.Error()) }

func (m *mapping) warn(message string) {
	m.mu.Lock()
	m.counts.LastError = message
	first := !m.told[message]
	m.told[message] = len(m.told) < 100
	m.mu.Unlock()
	if first {
		m.options.Events(provider.Event{Kind: "function", Subject: m.spec.Target.Function.Name, State: provider.Warning, Message: "from " + m.source() + ": " + message})
	}
}

// wait waits, and says whether the mapping goes on.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// insist does something until it succeeds. It is false if the mapping ends before.
func (m *mapping) insist(ctx context.Context, do func() error) bool {
	for tries := 0; ; tries++ {
		err := do()
		if err == nil {
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		m.fail(err)
		if !wait(ctx, pause(tries)) {
			return false
		}
	}
}

// Status is a mapping as it is at one moment.
type Status struct {
	// Function is the name of the function, and Service its service. Source is the name of the queue, or of the table.
	Function string `json:"function"`
	Service  string `json:"service"`
	Source   string `json:"source"`
	// Kind is queue or stream.
	Kind string `json:"kind"`
	// State is Enabled or Disabled.
	State string `json:"state"`
	Counts
	// Lag is the age of the oldest record of a stream that was read and is not done; 0 if there is none, and for a queue.
	Lag time.Duration `json:"lagNanoseconds"`
}

func (m *mapping) status(now time.Time) Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.spec.Target.Function
	s := Status{Function: f.Name, Service: f.Service(), Source: m.source(), Kind: "queue", State: "Enabled", Counts: m.counts}
	if m.spec.Queue == nil {
		s.Kind = "stream"
	}
	if !m.spec.Enabled {
		s.State = "Disabled"
	}
	for _, created := range m.oldest {
		s.Lag = max(s.Lag, now.Sub(created))
	}
	return s
}

// gaveUp tells what becomes of records that were given up: a queue gets a message about them.
// https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html
func (m *mapping) gaveUp(ctx context.Context, shard string, records []record, why string, invocations int, o outcome) bool {
	if len(records) == 0 {
		return true
	}
	first, last := records[0], records[len(records)-1]
	m.warn(why + ": gave up the records from " + first.id + " to " + last.id)
	stamp := func(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
	response := object{"statusCode": http.StatusOK, "executedVersion": o.version}
	if o.crashed {
		response["functionError"] = "Unhandled"
	}
	body := object{
		"version": "1.0", "timestamp": stamp(time.Now()),
		"requestContext":  object{"requestId": uuid.NewString(), "functionArn": m.functionARN(), "condition": why, "approximateInvokeCount": invocations},
		"responseContext": response,
		"DDBStreamBatchInfo": object{
			"shardId": shard, "startSequenceNumber": first.id, "endSequenceNumber": last.id, "batchSize": len(records), "streamArn": m.stream,
			"approximateArrivalOfFirstRecord": stamp(first.created), "approximateArrivalOfLastRecord": stamp(last.created),
		},
	}
	if invocations == 0 {
		delete(body, "responseContext")
	}
	if to := m.spec.OnFailure; to != nil {
		text, _ := json.Marshal(body) // cannot fail: all is of JSON
		if !m.insist(ctx, func() error {
			return m.client.Call(ctx, client.SQS, "SendMessage", object{"QueueUrl": m.client.QueueURL(to.Name), "MessageBody": string(text)}, nil)
		}) {
			return false
		}
	}
	m.count(func(c *Counts) { c.GaveUp, c.Records = c.GaveUp+len(records), c.Records+len(records) })
	return true
}

func (m *mapping) functionARN() string {
	name := "function:" + m.spec.Target.Function.Name
	if a := m.spec.Target.Alias; a != nil {
		name += ":" + a.Name
	}
	return provider.ARN("lambda", name)
}
