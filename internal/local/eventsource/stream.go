//go:build unix

package eventsource

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"cutover/internal/file"
	"cutover/internal/local/backing/access"
	"cutover/internal/local/backing/client"
)

// every is how often a shard without records is asked.
// https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html#dynamodb-polling-and-batching
const every = 250 * time.Millisecond

// describes is how often a stream is asked for new shards.
const describes = 10 * time.Second

// position is how far a stream is read. It is in a file.
type position struct {
	file string
	mu   sync.Mutex
	at   at
}

type at struct {
	Stream, From string
	Shards       map[string]shardPosition
}

type shardPosition struct {
	// After is the sequence number of the last record that is done; empty for none.
	After string `json:",omitempty"`
	// Done says that the shard has ended, and all of it is done.
	Done bool `json:",omitempty"`
}

// openPosition reads the position of a stream. It is new if the file is that of another stream, or of another starting position.
func openPosition(file, stream, from string) (p *position, isNew bool, err error) {
	p = &position{file: file}
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(text, &p.at)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, false, fmt.Errorf("the position in a stream cannot be read: %w", err)
	}
	if isNew = p.at.Stream != stream || p.at.From != from; isNew {
		p.at = at{stream, from, map[string]shardPosition{}}
	}
	return p, isNew, nil
}

func (p *position) of(shard string) shardPosition {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.at.Shards[shard]
}

// set notes the position in a shard. A crash of this machine may lose the last one: then records come once more.
func (p *position) set(shard string, to shardPosition) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at.Shards[shard] = to
	return p.save()
}

func (p *position) save() error {
	text, err := json.Marshal(p.at)
	if err != nil {
		return err
	}
	return file.Replace(p.file, text, 0o600)
}

// shard is a part of a stream. https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_Shard.html
type shard struct {
	ShardId, ParentShardId string
	SequenceNumberRange    struct{ EndingSequenceNumber string }
}

func (m *mapping) shards(ctx context.Context) (all []shard, err error) {
	last := ""
	for {
		var out struct {
			StreamDescription struct {
				Shards               []shard
				LastEvaluatedShardId string
			}
		}
		in := object{"StreamArn": m.stream}
		if last != "" {
			in["ExclusiveStartShardId"] = last
		}
		if err := m.client.Call(ctx, client.Streams, "DescribeStream", in, &out); err != nil {
			return nil, err
		}
		all = append(all, out.StreamDescription.Shards...)
		if last = out.StreamDescription.LastEvaluatedShardId; last == "" {
			return all, nil
		}
	}
}

// startAtEnd sets the position to the end of the stream.
func (m *mapping) startAtEnd(ctx context.Context) error {
	all, err := m.shards(ctx)
	if err != nil {
		return err
	}
	for _, one := range all {
		if one.SequenceNumberRange.EndingSequenceNumber != "" {
			m.position.at.Shards[one.ShardId] = shardPosition{Done: true}
			continue
		}
		r := &reader{mapping: m, shard: one.ShardId}
		for {
			records, err := r.next(ctx)
			if err != nil {
				return err
			}
			if len(records) == 0 {
				break
			}
			r.last = records[len(records)-1].id
		}
		m.position.at.Shards[one.ShardId] = shardPosition{After: r.last}
	}
	return m.position.save()
}

// readStream invokes the function with records until the context ends.
func (m *mapping) readStream(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	var active atomic.Int32
	ended := make(chan struct{}, 1)
	started := map[string]bool{}
	for {
		var all []shard
		if !m.insist(ctx, func() (err error) { all, err = m.shards(ctx); return err }) {
			return
		}
		known := map[string]bool{}
		for _, one := range all {
			known[one.ShardId] = true
		}
		for _, one := range all {
			parent := one.ParentShardId
			if started[one.ShardId] || m.position.of(one.ShardId).Done || known[parent] && !m.position.of(parent).Done {
				continue
			}
			started[one.ShardId] = true
			active.Add(1)
			running.Go(func() {
				m.readShard(ctx, one.ShardId)
				active.Add(-1)
				select {
				case ended <- struct{}{}:
				default:
				}
			})
		}
		again := describes // a shard that has ended has children; a new stream gets a shard
		if active.Load() == 0 {
			again = every
		}
		select {
		case <-ended:
		case <-time.After(again):
		case <-ctx.Done():
			return
		}
	}
}

// reader reads a shard.
type reader struct {
	*mapping
	shard    string
	last     string // sequence number that was read last; empty for none
	iterator string // empty before the first
	closed   bool   // nothing comes any more
}

// next returns the next records; none if there is none yet.
func (r *reader) next(ctx context.Context) ([]record, error) {
	if r.iterator == "" {
		in := object{"StreamArn": r.stream, "ShardId": r.shard, "ShardIteratorType": "TRIM_HORIZON"}
		if r.last != "" {
			in["ShardIteratorType"], in["SequenceNumber"] = "AFTER_SEQUENCE_NUMBER", r.last
		}
		var out struct{ ShardIterator string }
		err := r.client.Call(ctx, client.Streams, "GetShardIterator", in, &out)
		if access.Is(err, "TrimmedDataAccessException") {
			r.warn("the stream does not keep the record " + r.last + " any more: records may be lost")
			r.last = ""
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		r.iterator = out.ShardIterator
	}
	var out struct {
		Records           []object
		NextShardIterator string
	}
	if err := r.client.Call(ctx, client.Streams, "GetRecords", object{"ShardIterator": r.iterator}, &out); err != nil {
		r.iterator = "" // it may have expired
		return nil, err
	}
	r.iterator, r.closed = out.NextShardIterator, out.NextShardIterator == ""
	var all []record
	for _, one := range out.Records {
		data, _ := one["dynamodb"].(object)
		created, _ := data["ApproximateCreationDateTime"].(float64)
		id, _ := data["SequenceNumber"].(string)
		one["eventSourceARN"], one["awsRegion"] = r.mapping.stream, r.spec.Resource.Stack.Region
		all = append(all, record{id, time.UnixMilli(int64(created * 1000)), one, jsonSize(one)})
	}
	return all, nil
}

// readShard processes a shard until it has ended, or the context ends.
func (m *mapping) readShard(ctx context.Context, id string) {
	r := &reader{mapping: m, shard: id, last: m.position.of(id).After}
	var pending []record
	size := 0
	for ctx.Err() == nil {
		var until time.Time // the window's end
		for !r.closed && len(pending) < m.spec.Batch && size < maxPayload {
			var records []record
			if !m.insist(ctx, func() (err error) { records, err = r.next(ctx); return err }) {
				return
			}
			let := 0
			for _, one := range records {
				r.last = one.id
				if m.filters.let(one.event) {
					pending, size, let = append(pending, one), size+one.size, let+1
				}
			}
			if filtered := len(records) - let; filtered > 0 {
				m.count(func(c *Counts) { c.Filtered, c.Records = c.Filtered+filtered, c.Records+filtered })
			}
			if len(records) > 0 && len(pending) == 0 {
				m.advance(id, r.last)
			}
			m.see(id, pending)
			if len(pending) > 0 && until.IsZero() {
				until = time.Now().Add(m.spec.Window)
			}
			if len(pending) > 0 && !time.Now().Before(until) {
				break
			}
			if len(records) == 0 && !r.closed && !wait(ctx, every) {
				return
			}
		}
		for len(pending) > 0 {
			n, bytes := 0, 0
			for n < len(pending) && fits(n, bytes, pending[n].size, m.spec.Batch) {
				bytes += pending[n].size
				n++
			}
			if n < m.spec.Batch && n == len(pending) && m.spec.Window > 0 && time.Now().Before(until) && !r.closed {
				break // it waits for more
			}
			if !m.work(ctx, id, batch{records: pending[:n:n]}) {
				return
			}
			pending, size = pending[n:], size-bytes
			m.see(id, pending)
		}
		if len(pending) == 0 && r.last != m.position.of(id).After {
			m.advance(id, r.last) // the last ones were filtered
		}
		if r.closed && len(pending) == 0 {
			m.keep(id, shardPosition{After: r.last, Done: true})
			return
		}
	}
}

// see notes the oldest record of a shard that is not done.
func (m *mapping) see(id string, pending []record) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.oldest, id)
	if len(pending) > 0 {
		m.oldest[id] = pending[0].created
	}
}

// advance notes that all of a shard is done, up to a record.
func (m *mapping) advance(id, after string) { m.keep(id, shardPosition{After: after}) }

func (m *mapping) keep(id string, to shardPosition) {
	if err := m.position.set(id, to); err != nil {
		m.fail(fmt.Errorf("the position in the stream cannot be kept: %w", err))
	}
}

// work processes a batch until it is done, or given up. It is false if the mapping ends before.
func (m *mapping) work(ctx context.Context, id string, b batch) bool {
	rules := rules{m.spec.PartialFailures, m.spec.Bisect, m.spec.Retries, m.spec.MaxAge}
	todo := []batch{b}
	for throttled := 0; len(todo) > 0; {
		if ctx.Err() != nil {
			return false
		}
		old, now := rules.expired(todo[0], time.Now())
		if len(old) > 0 {
			if !m.gaveUp(ctx, id, old, tooOld, now.tries, outcome{crashed: true}) {
				return false
			}
			m.advance(id, old[len(old)-1].id)
		}
		if todo[0] = now; len(now.records) == 0 {
			todo = todo[1:]
			continue
		}
		m.see(id, now.records)
		events := make([]object, len(now.records))
		for i, one := range now.records {
			events[i] = one.event
		}
		o := m.invoke(events)
		if o.waits {
			if !wait(ctx, pause(throttled)) {
				return false
			}
			throttled++
			continue
		}
		again, gaveUp := rules.after(now, o.answer, o.crashed)
		done := len(now.records) - len(gaveUp)
		for _, one := range again {
			done -= len(one.records)
		}
		if done > 0 {
			m.count(func(c *Counts) { c.Records += done })
			m.advance(id, now.records[done-1].id)
		}
		if len(gaveUp) > 0 {
			if !m.gaveUp(ctx, id, gaveUp, triedTooOften, now.tries+1, o) {
				return false
			}
			m.advance(id, gaveUp[len(gaveUp)-1].id)
		}
		if len(again)+len(gaveUp) > 0 {
			m.count(func(c *Counts) { c.Failures++ })
		}
		todo = append(again, todo[1:]...)
		if len(again) > 0 && !wait(ctx, pause(again[0].tries)) {
			return false
		}
	}
	return true
}
