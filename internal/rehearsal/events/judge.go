package events

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"cutover/internal/words"
)

// Problem is something that is wrong with the events.
type Problem struct {
	// Kind is what it is, in two or three words, such as "lost event".
	Kind string
	// Key is the record, or the row of a read model.
	Key string
	// Text says it in a sentence.
	Text string
}

// The kinds of problems.
const (
	Lost         = "lost event"
	Disorder     = "event out of order"
	Contradict   = "two events of one number"
	NoEvent      = "change without an event"
	NoChange     = "event without a change"
	WrongFold    = "events say otherwise"
	WrongView    = "wrong row in the read model"
	Unexpected   = "unexpected dead letter"
	NoDeadLetter = "poison not in the dead-letter queue"
	Held         = "events held up by poison"
	WrongHistory = "history says otherwise"
	Unreadable   = "unreadable event"
)

// Sequences judges what a consumer got, in the order in which it got it: the events of each key have the numbers 1 to n, and with
// ordered in this order. The same event may come again, which is counted and no problem: queues deliver at least once. A
// snapshot repeats a change that must have come before.
func Sequences(got []Event, ordered bool) (problems []Problem, duplicates int) {
	type key struct {
		last, most int64
		events     map[int64]Event
		wrong      bool
	}
	keys := map[string]*key{}
	problem := func(k *key, kind, of, format string, a ...any) {
		if !k.wrong { // what follows is a consequence
			problems = append(problems, Problem{kind, of, fmt.Sprintf(format, a...)})
		}
		k.wrong = true
	}
	for _, e := range got {
		k := keys[e.Key]
		if k == nil {
			k = &key{events: map[int64]Event{}}
			keys[e.Key] = k
		}
		k.most = max(k.most, e.Sequence)
		if e.Run != "" {
			continue
		}
		before, again := k.events[e.Sequence]
		switch {
		case again && (before.Type != e.Type || !sameJSON(before.Data, e.Data)):
			problem(k, Contradict, e.Key, "%v came as well as %v, and they differ.", e, before)
		case again:
			duplicates++
		case ordered && e.Sequence < k.last:
			problem(k, Disorder, e.Key, "%v came after number %d of its key.", e, k.last)
		}
		k.events[e.Sequence], k.last = e, max(k.last, e.Sequence)
	}
	for _, name := range slices.Sorted(maps.Keys(keys)) {
		k := keys[name]
		var lost []string
		for n := int64(1); n <= k.most && len(lost) <= maxListed; n++ {
			if _, came := k.events[n]; !came {
				lost = append(lost, strconv.FormatInt(n, 10))
			}
		}
		if len(lost) > 0 {
			problem(k, Lost, name, "Of the events of %s, %s did not come, and number %d did.", name, numbers(lost), k.most)
		}
	}
	slices.SortStableFunc(problems, func(a, b Problem) int { return cmp.Compare(a.Key, b.Key) })
	return problems, duplicates
}

// maxListed is how many numbers a problem lists.
const maxListed = 10

func numbers(all []string) string {
	if len(all) > maxListed {
		all = append(slices.Clone(all[:maxListed]), "more")
	}
	if len(all) == 1 {
		return "number " + all[0]
	}
	return "numbers " + strings.Join(all, ", ")
}

// Record is what the events say of a key together.
type Record struct {
	Sequence int64
	Data     json.RawMessage // nil if it was deleted
	// Truncated says that long texts of the data are cut.
	Truncated bool
}

// Fold is the state after all events: for each key what its last event says. The order of the events does not matter.
func Fold(events []Event) map[string]Record {
	state := map[string]Record{}
	for _, e := range events {
		if at, known := state[e.Key]; known && e.Sequence <= at.Sequence {
			continue
		}
		r := Record{e.Sequence, e.Data, e.Truncated}
		if e.Deleted() {
			r.Data = nil
		}
		state[e.Key] = r
	}
	return state
}

// Stored compares what the events say with the records that services have, by key. It is about the lists in stored, such as
// "posts" of "posts/7".
func Stored(fold map[string]Record, stored map[string]json.RawMessage) (problems []Problem) {
	keys := maps.Clone(stored)
	for key, r := range fold {
		if _, is := keys[key]; !is && r.Data != nil {
			keys[key] = nil
		}
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		has, is := stored[key]
		r, told := fold[key]
		switch {
		case !told:
			problems = append(problems, Problem{NoEvent, key, fmt.Sprintf("%s is stored, and no event tells of it.", key)})
		case is && r.Data == nil:
			problems = append(problems, Problem{WrongFold, key, fmt.Sprintf("%s is stored, and by its last event, number %d, it was deleted.", key, r.Sequence)})
		case !is:
			problems = append(problems, Problem{NoChange, key, fmt.Sprintf("%s is not stored, and by its last event, number %d, it is there.", key, r.Sequence)})
		case !sameRecord(r, has):
			problems = append(problems, Problem{WrongFold, key, fmt.Sprintf("%s is stored as %s, and its last event, number %d, says %s.", key, brief(has), r.Sequence, brief(r.Data))})
		}
	}
	return problems
}

// sameRecord compares what the events say with a record of the API. Some answers have no id.
func sameRecord(r Record, record json.RawMessage) bool {
	var told, has map[string]any
	if json.Unmarshal(r.Data, &told) != nil || json.Unmarshal(record, &has) != nil {
		return sameJSON(r.Data, record)
	}
	for _, other := range []map[string]any{told, has} {
		delete(other, "id")
	}
	if len(told) != len(has) {
		return false
	}
	for name, value := range told {
		text, isText := value.(string)
		of, _ := has[name].(string)
		if r.Truncated && isText && strings.HasPrefix(of, text) {
			continue
		}
		if other, is := has[name]; !is || value != other {
			return false
		}
	}
	return true
}

func sameJSON(a, b json.RawMessage) bool {
	var one, other bytes.Buffer
	if json.Compact(&one, a) != nil || json.Compact(&other, b) != nil {
		return bytes.Equal(a, b)
	}
	return bytes.Equal(one.Bytes(), other.Bytes())
}

func brief(raw []byte) string {
	const most = 80
	if utf8.RuneCount(raw) <= most {
		return string(raw)
	}
	return string([]rune(string(raw))[:most]) + "…"
}

// DeadLetters judges the dead letters of a queue by the poison that was sent, with what follows it: of each key they are the same, in the
// same order.
func DeadLetters(queue string, dead, sent []Event) (problems []Problem) {
	numbers := func(all []Event) map[string][]int64 {
		by := map[string][]int64{}
		for _, e := range all {
			by[e.Key] = append(by[e.Key], e.Sequence)
		}
		return by
	}
	want, got := numbers(sent), numbers(dead)
	keys := slices.AppendSeq(slices.Collect(maps.Keys(want)), maps.Keys(got))
	slices.Sort(keys)
	for _, key := range slices.Compact(keys) {
		switch {
		case slices.Equal(want[key], got[key]):
		case want[key] == nil:
			problems = append(problems, Problem{Unexpected, key, fmt.Sprintf("%s has %s of %s.", queue, words.Count(len(got[key]), "dead letter"), cmp.Or(key, "no key"))})
		default:
			problems = append(problems, Problem{NoDeadLetter, key, fmt.Sprintf("Of %s, nobody can apply the events %v in their order, and %s has %v.", key, want[key], queue, got[key])})
		}
	}
	return problems
}
