package queues

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"

	"cutover/internal/local/backing/access"
)

// fault is harm that the proxy does to messages of some queues and topics, as in [provider.EventFaults].
type fault struct {
	kind  string
	names []string      // service and name, as in "sqs:dev-feed"
	ended chan struct{} // closed when the fault ends

	mu sync.Mutex
	// ids are the messages of receipts, and met are the messages that have met the fault.
	ids map[string]string
	met map[string]bool
}

// late is for how many seconds a message comes late.
const late = 2

// faultOf is a fault of the queue or topic of a request; nil for none.
func (p *proxy) faultOf(a ask) *fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	for f := range p.faults {
		if slices.Contains(f.names, a.service+":"+a.name) && f.about(a) {
			return f
		}
	}
	return nil
}

// about says whether the fault does something to a request.
func (f *fault) about(a ask) bool {
	switch f.kind {
	case "messages-twice":
		return slices.Contains([]string{"ReceiveMessage", "DeleteMessage", "DeleteMessageBatch"}, a.operation)
	case "messages-late":
		return a.operation == "ReceiveMessage"
	case "queue-full":
		return slices.Contains([]string{"SendMessage", "SendMessageBatch", "ReceiveMessage"}, a.operation)
	case "topic-away":
		return a.service == "sns"
	}
	return false
}

// begin begins a fault, until the returned function is called.
func (p *proxy) begin(kind string, names []string) (end func()) {
	f := &fault{kind: kind, names: names, ended: make(chan struct{}), ids: map[string]string{}, met: map[string]bool{}}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults[f] = true
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.faults, f)
		close(f.ended)
	}
}

// before does harm before a request is forwarded. It is true if the request has got its answer, or gets none.
func (f *fault) before(w http.ResponseWriter, r *http.Request, a ask) bool {
	switch {
	case f.kind == "topic-away": // no answer comes, as when packets are dropped
		select {
		case <-f.ended:
		case <-r.Context().Done():
		}
		panic(http.ErrAbortHandler)
	case f.kind == "queue-full" && a.operation == "ReceiveMessage":
		// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html
		answer(w, a.service, &access.Refusal{Status: http.StatusForbidden, Kind: "OverLimit", Message: "The specified action violates a limit: too many messages are in flight."})
		return true
	case f.kind == "queue-full":
		// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
		answer(w, a.service, access.Refuse("RequestThrottled", "Rate exceeded"))
		return true
	}
	return false
}

// first says whether a message meets the fault for the first time.
func (f *fault) first(id string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if id == "" || f.met[id] {
		return false
	}
	f.met[id] = true
	return true
}

// do forwards a request, with harm.
func (f *fault) do(ctx context.Context, p *proxy, a ask) (int, http.Header, []byte, error) {
	if strings.HasPrefix(a.operation, "Delete") {
		return f.delete(ctx, p, a)
	}
	status, header, text, err := p.send(ctx, a)
	if err != nil || status != http.StatusOK {
		return status, header, text, err
	}
	if f.kind == "messages-late" {
		text, err = f.delay(ctx, p, a, text)
		return status, header, text, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range received(text) {
		f.ids[m.ReceiptHandle] = m.MessageId
	}
	return status, header, text, nil
}

// delete lets messages that are deleted for the first time come again. Their deletion is answered like any other: SQS
// may deliver a message of a standard queue again, and one of a FIFO queue whose deletion came too late.
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/standard-queues-at-least-once-delivery.html
func (f *fault) delete(ctx context.Context, p *proxy, a ask) (int, http.Header, []byte, error) {
	type entry struct{ Id, ReceiptHandle string }
	var request struct {
		QueueUrl      string
		ReceiptHandle string
		Entries       []entry
	}
	if err := json.Unmarshal(a.body, &request); err != nil {
		return p.send(ctx, a)
	}
	again := func(handle string) bool {
		f.mu.Lock()
		id := f.ids[handle]
		f.mu.Unlock()
		return f.first(id) && p.hide(ctx, a, handle, 0) == nil
	}
	header := http.Header{"Content-Type": {jsonType}}
	if a.operation == "DeleteMessage" {
		if again(request.ReceiptHandle) {
			return http.StatusOK, header, []byte("{}"), nil
		}
		return p.send(ctx, a)
	}
	var out struct {
		Successful []map[string]string
		Failed     []json.RawMessage
	}
	var rest []entry
	for _, e := range request.Entries {
		if again(e.ReceiptHandle) {
			out.Successful = append(out.Successful, map[string]string{"Id": e.Id})
		} else {
			rest = append(rest, e)
		}
	}
	done := out.Successful
	if len(rest) > 0 {
		request.Entries = rest
		a.body, _ = json.Marshal(map[string]any{"QueueUrl": request.QueueUrl, "Entries": rest})
		status, upstream, text, err := p.send(ctx, a)
		if err != nil || status != http.StatusOK || len(done) == 0 {
			return status, upstream, text, err
		}
		if err := json.Unmarshal(text, &out); err != nil {
			return 0, nil, nil, err
		}
		out.Successful = append(out.Successful, done...)
	}
	text, err := json.Marshal(out)
	return http.StatusOK, header, text, err
}

// delay takes messages out of an answer that are received for the first time, and lets them come later: all of a FIFO
// queue, so that the order stays, and every second one of a standard queue, so that it does not.
func (f *fault) delay(ctx context.Context, p *proxy, a ask, text []byte) ([]byte, error) {
	var all struct{ Messages []json.RawMessage }
	if err := json.Unmarshal(text, &all); err != nil {
		return text, err
	}
	fifo, held := strings.HasSuffix(a.name, ".fifo"), false
	var kept []json.RawMessage
	for i, m := range received(text) {
		hold := f.first(m.MessageId) && (fifo || i%2 == 0)
		if held = held || hold; hold || fifo && held {
			if err := p.hide(ctx, a, m.ReceiptHandle, late); err != nil {
				return text, err
			}
			continue
		}
		kept = append(kept, all.Messages[i])
	}
	if len(kept) == 0 {
		return []byte("{}"), nil
	}
	return json.Marshal(map[string]any{"Messages": kept})
}

// seen says how many requests about a queue or topic tasks have sent, and which faults it has.
func (p *proxy) seen(name string) (requests int, faults []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for f := range p.faults {
		if slices.Contains(f.names, name) {
			faults = append(faults, f.kind)
		}
	}
	return p.served[name], faults
}
