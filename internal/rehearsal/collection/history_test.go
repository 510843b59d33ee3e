package collection

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// long is more than any check of a test takes.
const long = time.Minute

// told reads a history. An operation is written as in "1-4 create 7": its ticks, what it does and the value. A
// write without an end, "1- replace 7", has an unknown outcome. "!" is the outcome of a write that found nothing. A
// read of "-" saw nothing, and one of "?" something that nobody wrote. "!=" is the outcome of a write that found another entity
// tag than that behind "if". The tag in an answer is behind "#".
func told(t *testing.T, first state, text string) history {
	t.Helper()
	h := history{first: content{value: first}}
	for seq, line := range strings.Split(text, ",") {
		var ticks, verb, what string
		if n, _ := fmt.Sscan(line, &ticks, &verb, &what); n < 2 {
			t.Fatalf("%q is no operation", line)
		}
		o := operation{seq: seq, action: map[string]action{"create": creating, "read": reading, "replace": replacing, "delete": deleting, "list": listing}[verb]}
		if n, _ := fmt.Sscanf(ticks, "%d-%d", &o.call, &o.end); n == 1 {
			o.outcome, o.end = unknown, never
		}
		switch {
		case what == "!":
			o.outcome = missing
		case what == "!=":
			o.outcome = outdated
		case what == "-" || o.action == deleting:
			o.value = absent
		case what == "?":
			o.value = foreign
		case what == "...":
			o.value = present
		default:
			_, _ = fmt.Sscan(what, &o.value)
		}
		if _, after, has := strings.Cut(line, " if "); has {
			o.ifMatch, _, _ = strings.Cut(after, " ")
		}
		_, o.tag, _ = strings.Cut(line, "#")
		h.operations = append(h.operations, o)
	}
	return h
}

func TestHistory(t *testing.T) {
	upserts, lenient := rules{upserts: true}, rules{deletesAbsent: true}
	for name, test := range map[string]struct {
		first   state
		rules   rules
		history string
		// culprit is the operation that is found, or empty if all is right, and right what it could have seen.
		culprit string
		right   []state
	}{
		"a life":                  {absent, rules{}, "1-2 create 1, 3-4 read 1, 5-6 replace 2, 7-8 read 2, 9-10 list 2, 11-12 delete, 13-14 read -, 15-16 list -, 17-18 delete !, 19-20 replace !", "", nil},
		"lost":                    {absent, rules{}, "1-2 create 1, 3-4 read -", "3-4", []state{1}},
		"lost in the list":        {absent, rules{}, "1-2 create 1, 3-4 list -, 5-6 read 1", "3-4", []state{1}},
		"lost before the window":  {5, rules{}, "1-2 read 5, 3-4 read -", "3-4", []state{5}},
		"lost, replaced":          {5, rules{}, "1-2 replace !", "1-2", []state{5}},
		"lost, deleted":           {5, rules{}, "1-2 delete !", "1-2", []state{5}},
		"not there yet":           {absent, rules{}, "1-4 create 1, 2-3 read -, 5-6 read 1", "", nil},
		"there already":           {absent, rules{}, "1-4 create 1, 2-3 read 1", "", nil},
		"there, and then not":     {absent, rules{}, "1-8 create 1, 2-3 read 1, 4-5 read -", "4-5", []state{1}},
		"too late":                {absent, rules{}, "3-4 create 1, 1-2 read 1", "1-2", []state{absent}},
		"stale":                   {1, rules{}, "1-2 replace 2, 3-4 read 1, 5-6 read 2", "3-4", []state{2}},
		"stale or not":            {1, rules{}, "1-4 replace 2, 2-3 read 1, 5-6 read 2", "", nil},
		"back and forth":          {1, rules{}, "1-8 replace 2, 2-3 read 2, 4-5 read 1", "4-5", []state{2}},
		"either of two":           {1, rules{}, "1-4 replace 2, 2-3 replace 3, 5-6 read 2", "", nil},
		"neither of two":          {1, rules{}, "1-4 replace 2, 2-3 replace 3, 5-6 read 1", "5-6", []state{2, 3}},
		"first one, then other":   {1, rules{}, "1-4 replace 2, 2-3 replace 3, 5-6 read 2, 7-8 read 3", "7-8", []state{2}},
		"nobody wrote that":       {1, rules{}, "1-2 read 1, 3-4 read ?", "3-4", []state{1}},
		"of another":              {1, rules{}, "1-2 replace 2, 3-4 read 9", "3-4", []state{2}},
		"deleted and back":        {1, rules{}, "1-2 delete, 3-4 read -, 5-6 read 1", "5-6", []state{absent}},
		"deleted, not at once":    {1, rules{}, "1-4 delete, 2-3 read 1, 5-6 read -", "", nil},
		"deleted twice":           {1, rules{}, "1-2 delete, 3-4 delete", "3-4", []state{absent}},
		"deleted twice, lenient":  {1, lenient, "1-2 delete, 3-4 delete, 5-6 read -", "", nil},
		"lenient keeps":           {1, lenient, "1-2 delete, 3-4 read 1", "3-4", []state{absent}},
		"lenient, not missing":    {1, lenient, "1-2 delete !", "1-2", []state{1}},
		"replaced, not there":     {absent, rules{}, "1-2 replace 2", "1-2", []state{absent}},
		"replaced, upserts":       {absent, upserts, "1-2 replace 2, 3-4 read 2", "", nil},
		"created twice":           {absent, rules{}, "1-2 create 1, 3-4 create 1", "3-4", []state{1}},
		"unknown, done":           {1, rules{}, "1- replace 2, 3-4 read 2", "", nil},
		"unknown, not done":       {1, rules{}, "1- replace 2, 3-4 read 1", "", nil},
		"unknown, done later":     {1, rules{}, "1- replace 2, 3-4 read 1, 5-6 replace 3, 7-8 read 3, 9-10 read 2", "", nil},
		"unknown, done twice":     {1, rules{}, "1- replace 2, 3-4 read 2, 5-6 replace 3, 7-8 read 3, 9-10 read 2", "9-10", []state{3}},
		"unknown, undone":         {1, rules{}, "1- replace 2, 3-4 read 2, 5-6 read 1", "5-6", []state{2}},
		"unknown delete, done":    {1, rules{}, "1- delete, 3-4 read -", "", nil},
		"unknown delete, back":    {1, rules{}, "1- delete, 3-4 read -, 5-6 read 1", "5-6", []state{absent}},
		"unknown delete, not":     {1, rules{}, "1- delete, 3-4 read 1, 5-6 read -, 7-8 read -", "", nil},
		"unknown delete, twice":   {absent, rules{}, "1- delete, 3-4 read -", "", nil},
		"unknown create, not":     {absent, rules{}, "1- create 1, 3-4 read -, 5-6 read 1", "", nil},
		"unknown create, there":   {3, rules{}, "1- create 1, 3-4 read 3", "", nil},
		"unknown create, over":    {3, rules{}, "1- create 1, 3-4 read 1", "3-4", []state{3}},
		"unknown, nothing there":  {absent, rules{}, "1- replace 2, 3-4 read 2", "3-4", []state{absent}},
		"conditions hold":         {absent, rules{}, "1-2 create 1 #a, 3-4 replace 2 if a #b, 5-6 read 2 #b, 7-8 replace != if a, 9-10 delete - if b, 11-12 delete != if b, 13-14 read -", "", nil},
		"one of two wins":         {1, rules{}, "1-2 read 1 #a, 3-6 replace 2 if a #b, 4-5 replace != if a, 7-8 read 2 #b", "", nil},
		"two win":                 {1, rules{}, "1-2 read 1 #a, 3-6 replace 2 if a #b, 4-5 replace 3 if a #c", "3-6", []state{1, 3}},
		"nobody wins":             {1, rules{}, "1-2 read 1 #a, 3-4 replace != if a", "3-4", []state{1}},
		"the tag is not known":    {1, rules{}, "1-2 replace != if a, 3-4 replace 2 if b #c, 5-6 read 2 #c", "", nil},
		"learned from a read":     {1, rules{}, "1-2 read 1 #b, 3-4 replace 2 if a #c", "3-4", []state{1}},
		"deleted with a tag":      {1, rules{}, "1-2 read 1 #b, 3-4 delete - if a", "3-4", []state{1}},
		"replaced, gone by a tag": {absent, rules{upserts: true}, "1-2 replace != if a, 3-4 read -", "", nil},
		"two tags":                {1, rules{}, "1-2 read 1 #a, 3-4 read 1 #b", "3-4", []state{1}},
		"one tag for two":         {1, rules{}, "1-2 read 1 #a, 3-4 replace 2 #a", "3-4", []state{1}},
		"one tag for the same":    {1, rules{}, "1-2 read 1 #a, 3-4 replace 1 #a, 5-6 read 1 #a", "", nil},
		"of a delete, no tag":     {1, rules{}, "1-2 read 1 #a, 3-4 delete, 5-6 create 2 #a, 7-8 read 2 #a", "", nil},
		"unknown, with a tag":     {1, rules{}, "1-2 read 1 #a, 3- replace 2 if a, 5-6 replace != if a, 7-8 read 2 #b", "", nil},
		"unknown, other tag":      {1, rules{}, "1-2 read 1 #a, 3- replace 2 if b, 5-6 read 2", "5-6", []state{1}},
		"unknown, any tag":        {1, rules{}, "1-2 read 1 #a, 3- replace 2, 5-6 read 2 #b, 7-8 replace 3 if b #c", "", nil},
		"unchanged":               {1, rules{}, "1-2 read 1 #a, 3-4 read ... #a", "", nil},
		"unchanged, but changed":  {1, rules{}, "1-2 replace 2 #b, 3-4 read ... #a", "3-4", []state{2}},
		"unchanged, but gone":     {1, rules{}, "1-2 delete, 3-4 read ... #a", "3-4", []state{absent}},
		"unknown, upserts":        {absent, upserts, "1- replace 2, 3-4 read 2", "", nil},
	} {
		h := told(t, test.first, test.history)
		if got := h.check(test.rules, long); got != map[bool]judgement{true: linearizable, false: wrong}[test.culprit == ""] {
			t.Errorf("%s: the history is judged %v", name, got)
		}
		if test.culprit == "" {
			continue
		}
		then, place := h.culprit(test.rules, long)
		if place < 0 {
			t.Errorf("%s: nothing is found", name)
			continue
		}
		o := then.operations[place]
		if got := fmt.Sprintf("%d-%d", o.call, o.end); got != test.culprit {
			t.Errorf("%s: %s is found, not %s", name, got, test.culprit)
		}
		if got := then.right(test.rules, place, long); !slices.Equal(got, test.right) {
			t.Errorf("%s: %v would be right, not %v", name, got, test.right)
		}
	}
}

// crowd is a history that takes the checker longer than anybody waits: each of many writes may have come first.
func crowd() history {
	h := history{}
	for i := range int64(40) {
		h.operations = append(h.operations, operation{action: replacing, value: state(i + 1), call: i, end: 100 + i})
	}
	h.operations = append(h.operations, operation{action: reading, value: 99, call: 200, end: 201})
	return h
}

// What takes too long is not decided, and so neither right nor wrong.
func TestHistoryUndecided(t *testing.T) {
	const short = 20 * time.Millisecond
	h := crowd()
	if got := h.check(rules{}, short); got != undecided {
		t.Errorf("the history is judged %v", got)
	}
	if _, place := h.culprit(rules{}, short); place != -1 {
		t.Errorf("operation %d is found", place)
	}
	if got := h.right(rules{}, 40, short); len(got) != 0 {
		t.Errorf("%v would be right", got)
	}
}

// possible says whether a history is linearizable, by trying all orders.
func possible(r rules, s content, left []operation) bool {
	first := int64(never)
	for _, o := range left {
		first = min(first, o.end)
	}
	if first == never {
		return true // what is left may have no effect
	}
	for i, o := range left {
		if o.call > first {
			continue // after an answer that came before
		}
		if ok, next := r.step(s, o); ok && possible(r, next, slices.Concat(left[:i], left[i+1:])) {
			return true
		}
	}
	return false
}

// random makes a history of a few operations that overlap, with answers of a store if honest, and by chance otherwise.
func random(rnd *rand.Rand, r rules, honest bool) history {
	h := history{first: content{value: state(rnd.IntN(3) - 1)}}
	s := h.first
	type open struct {
		place, steps int
		took         bool
	}
	var calls []open
	tick := int64(0)
	for len(h.operations) < 7 || len(calls) > 0 {
		tick++
		if len(h.operations) < 7 && (len(calls) == 0 || len(calls) < 3 && rnd.IntN(2) == 0) {
			o := operation{action: action(rnd.IntN(5)), seq: len(h.operations), call: tick, end: never, value: state(rnd.IntN(4))}
			if o.action == creating {
				o.action = replacing
			}
			if o.action.writes() && rnd.IntN(2) == 0 {
				o.ifMatch = fmt.Sprint(rnd.IntN(3))
			}
			calls = append(calls, open{place: len(h.operations)})
			h.operations = append(h.operations, o)
			continue
		}
		i := rnd.IntN(len(calls))
		c := &calls[i]
		o := &h.operations[c.place]
		if !c.took { // takes effect at a moment between call and end
			c.took = true
			switch matches := o.ifMatch == "" || s.tag == o.ifMatch; {
			case !o.action.writes():
				o.value, o.tag = s.value, s.tag
			case !matches:
				o.outcome = outdated
			case o.action == deleting:
				if o.value = absent; s.value == absent && !r.deletesAbsent {
					o.outcome = missing
				}
			case s.value == absent && !r.upserts:
				o.outcome = missing
			default:
				n, _ := strconv.Atoi(s.tag)
				o.tag = fmt.Sprint((n + 1) % 3)
			}
			_, s = r.step(s, *o)
			continue
		}
		o.end = tick
		if !honest {
			switch {
			case o.action.writes():
				if o.outcome = outcome(rnd.IntN(3)); o.ifMatch == "" && o.outcome == outdated {
					o.outcome = done
				}
			default:
				o.value, o.tag = state(rnd.IntN(5)-1), ""
			}
		}
		if o.action.writes() && rnd.IntN(4) == 0 {
			o.outcome, o.end, o.tag = unknown, never, ""
		}
		calls = slices.Delete(calls, i, i+1)
	}
	return h
}

// A store with one copy has linearizable histories only, whatever answers are lost. Other histories are judged as
// by trying all orders. What is found is the first answer that makes the history wrong.
func TestHistoryProperties(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	wrongs := 0
	for n := range 4000 {
		r := rules{upserts: rnd.IntN(2) == 0, deletesAbsent: rnd.IntN(2) == 0}
		honest := n%4 == 0
		h := random(rnd, r, honest)
		got, want := h.check(r, long), possible(r, h.first, h.operations)
		if (got == linearizable) != want || honest && !want {
			t.Fatalf("%+v, from %+v: judged %v; by all orders linearizable: %v", r, h, got, want)
		}
		if want {
			continue
		}
		wrongs++
		then, place := h.culprit(r, long)
		if place < 0 {
			t.Fatalf("%+v, from %+v: nothing is found", r, h)
		}
		end := then.operations[place].end
		if before := h.until(end - 1); !possible(r, before.first, before.operations) || possible(r, then.first, then.operations) {
			t.Fatalf("%+v, from %+v: %+v is not the first", r, h, then.operations[place])
		}
		// Of a write that found nothing, the value may have been read meanwhile.
		if right := then.right(r, place, long); len(right) == 0 && !then.operations[place].action.writes() {
			t.Fatalf("%+v, from %+v: nothing would be right for %+v", r, h, then.operations[place])
		}
	}
	if wrongs < 1000 {
		t.Errorf("%d of 4,000 histories are wrong: too few", wrongs)
	}
}
