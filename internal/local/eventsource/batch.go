package eventsource

import (
	"encoding/json"
	"slices"
	"time"
)

// maxPayload is what a batch may have, in bytes.
// https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventsourcemapping.html#invocation-eventsourcemapping-batching
const maxPayload = 6 << 20

// failures reads what a function answers of its batch: the ids that failed. Whole says that all failed, because the answer is
// not one. An empty answer says that nothing failed.
// https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html#services-sqs-batchfailurereporting
func failures(answer []byte, ids []string) (failed []string, whole bool) {
	if len(answer) == 0 {
		return nil, false
	}
	var of struct {
		BatchItemFailures []map[string]any `json:"batchItemFailures"`
	}
	if err := json.Unmarshal(answer, &of); err != nil {
		return nil, true
	}
	for _, one := range of.BatchItemFailures {
		id, _ := one["itemIdentifier"].(string)
		if !slices.Contains(ids, id) {
			return nil, true
		}
		failed = append(failed, id)
	}
	return failed, false
}

// record is one of a stream.
type record struct {
	id      string // the sequence number
	created time.Time
	event   object // as the function gets it
	size    int    // of the event, in bytes
}

// batch is what an invocation gets of a stream.
type batch struct {
	records []record
	// tries is how often it was tried and failed.
	tries int
}

// The reasons to give up records.
const (
	triedTooOften = "RetryAttemptsExhausted"
	tooOld        = "RecordAgeExceeded"
)

// rules say what becomes of a batch of a stream that fails. They are those of [model.EventSource].
type rules struct {
	partial, bisect bool
	retries         int           // -1: without end
	maxAge          time.Duration // negative: without end
}

// after says what is left of a batch after an invocation: further batches, which go first in this order, or what is given up. Without
// both, the batch is done. Crashed says that the function gave no answer.
//
// With partial failures, records before the first that failed are done. A batch that is halved is not counted as tried
// (https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html).
func (r rules) after(b batch, answer []byte, crashed bool) (again []batch, gaveUp []record) {
	first := 0
	if !crashed {
		if !r.partial {
			return nil, nil
		}
		ids := make([]string, len(b.records))
		for i, one := range b.records {
			ids[i] = one.id
		}
		failed, whole := failures(answer, ids)
		if !whole && len(failed) == 0 {
			return nil, nil
		}
		if !whole {
			first = slices.IndexFunc(ids, func(id string) bool { return slices.Contains(failed, id) })
		}
	}
	left := b.records[first:]
	switch half := len(left) / 2; {
	case r.bisect && first == 0 && half > 0:
		return []batch{{left[:half], b.tries}, {left[half:], b.tries}}, nil
	case r.retries >= 0 && b.tries >= r.retries:
		return nil, left
	}
	return []batch{{left, b.tries + 1}}, nil
}

// expired divides a batch into the records that are too old, and the others.
func (r rules) expired(b batch, now time.Time) (old []record, left batch) {
	n := 0
	for r.maxAge >= 0 && n < len(b.records) && now.Sub(b.records[n].created) > r.maxAge {
		n++
	}
	return b.records[:n], batch{b.records[n:], b.tries}
}

// pause is the time before the next attempt, after so many.
func pause(tries int) time.Duration {
	return min(100*time.Millisecond<<min(tries, 10), 10*time.Second)
}

// fits says whether one more event is in a batch that has some: of the number of records, and of their size.
func fits(have, size, one, limit int) bool {
	return have == 0 || have < limit && size+one <= maxPayload
}
