package collection

import (
	"maps"
	"net/http"
	"slices"
	"testing"

	"cutover/internal/rehearsal"
)

// Hot resources have several requests at a time, up to a number, and cold ones have one. What stays to the end is a sample of all
// that were created, each action has its share of the load, and a user has a few resources.
func TestMix(t *testing.T) {
	for name, config := range map[string]Config{"notes": ofNotes(), "orders": ofOrders()} {
		config.Cold = 30
		w := newWorld(t, config, 1, newShop())
		w.most = 16
		if err := w.baseline(); err != nil {
			t.Fatal(err)
		}
		c := w.c
		atATime, hot := map[bool]int{}, map[*resource]bool{}
		renewed, creates := 0, 0
		w.watch = func() {
			for r := range c.open {
				atATime[r.isHot] = max(atATime[r.isHot], r.inFlight)
				creates = max(creates, len(r.user.ids))
				if r.isHot {
					hot[r] = true
				}
				if r.isHot && r.base != nil && r.base.seq == w.seq-1 {
					renewed++
				}
			}
		}
		const load = 6000
		w.load(load)
		if atATime[false] != 1 || atATime[true] != maxOpen {
			t.Errorf("%s: cold resources have %d requests at a time, hot ones %d", name, atATime[false], atATime[true])
		}
		thirds := [3]int{}
		for _, r := range c.cold {
			thirds[r.created.call*3/(c.clock+1)]++
		}
		if slices.Min(thirds[:]) < 4 || len(c.cold) != 30 {
			t.Errorf("%s: the sample is %v", name, thirds)
		}
		if name == "notes" && (len(hot) < 3 || creates > 0) || name == "orders" && (len(hot) != 2 || creates != maxCreates) {
			t.Errorf("%s: %d resources were hot, a user has %d", name, len(hot), creates)
		}
		if renewed == 0 {
			t.Errorf("%s: no history of a hot resource began anew", name)
		}
		for a, n := range c.counts {
			if c.has(action(a)) && (n < load/100 || n > load*3/4) {
				t.Errorf("%s: of %d requests, these have been answered: %v", name, load, c.counts)
			}
		}
	}
}

// A create without an answer is sent again with its Idempotency-Key, a few times, and is then left alone. Without the header it is
// sent once.
func TestRepeatedCreates(t *testing.T) {
	for _, key := range []string{"", "X-Key"} {
		config := ofNotes()
		config.IdempotencyKey = key
		s := newShop()
		w := newWorld(t, config, 1, s)
		var bodies, keys []string
		call := w.c.Next()
		for range 10 {
			r := call.Request
			if r.Method != "POST" {
				t.Fatalf("%s is asked", r)
			}
			bodies, keys = append(bodies, string(r.Body)), append(keys, r.Header.Get("X-Key"))
			call.Judge.Judge(rehearsal.Answer{Problem: rehearsal.ServerError, Err: http.ErrHandlerTimeout})
			for _, n := range w.c.again { // the others have their turn meanwhile
				if wait := n.due - w.c.clock; wait != patience<<(n.tries-1) {
					t.Errorf("after %d tries, the create waits for %d ticks", n.tries, wait)
				}
				w.c.clock = n.due
			}
			call = w.c.Next()
		}
		different, times := slices.Compact(slices.Clone(bodies)), map[string]int{}
		for _, body := range bodies {
			times[body]++
		}
		if key == "" && (len(different) != 10 || keys[0] != "") {
			t.Errorf("bodies %q, keys %q", bodies, keys)
		}
		if key != "" && (len(different) != 2 || !slices.Equal(slices.Collect(maps.Values(times)), []int{maxRepeats, maxRepeats}) || keys[0] == "" || keys[0] != keys[maxRepeats-1] || keys[0] == keys[maxRepeats]) {
			t.Errorf("bodies %q, keys %q", bodies, keys)
		}
		if len(w.c.unknown) != len(different) {
			t.Errorf("%d creates are unknown", len(w.c.unknown))
		}
	}
}
