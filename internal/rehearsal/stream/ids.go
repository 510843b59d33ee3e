package stream

import (
	"hash/fnv"
	"slices"
	"time"
)

// ids are the ids of the events of a stream, by their places in the order in which they came.
type ids struct {
	places map[string]int32
	all    []id
	// full says that there were too many to take down.
	full     bool
	received int
}

// id is one of an event.
type id struct {
	text  string
	first time.Time // when a client got it
	by    *client   // that one
	hash  uint64    // of the event
	data  string    // the beginning of the event
}

// other is an event that came with the id of another one.
type other struct {
	id         int32
	connection int
	at         time.Time
	text       string
}

// double is an event that a client got twice.
type double struct {
	id            int32
	first, second int // connections
	at            time.Time
}

// The bounds of what is taken down of one stream.
const (
	maxIDs      = 200_000
	maxReceived = 2_000_000
	maxDoubled  = 100 // of a client
	maxOthers   = 100 // of a client
	maxSample   = 80  // bytes
)

// hashOf tells events apart. The order of members and white space of JSON do not matter.
func (s *Stream) hashOf(data []byte) uint64 {
	if s.Open.Expect.IgnoreBody {
		return 0
	}
	h := fnv.New64a()
	if text, isJSON := s.Open.Expect.Canonical(data); isJSON {
		data = []byte(text)
	}
	_, _ = h.Write(data)
	return h.Sum64()
}

// receive takes down an id that a client got. It needs the lock.
func (s *Stream) receive(c *client, text string, data []byte, hash uint64) {
	place, known := s.ids.places[text]
	if s.ids.full = s.ids.full || !known && len(s.ids.all) == maxIDs || s.ids.received == maxReceived; s.ids.full {
		return
	}
	if !known {
		if s.ids.places == nil {
			s.ids.places = map[string]int32{}
		}
		place = int32(len(s.ids.all))
		s.ids.places[text] = place
		s.ids.all = append(s.ids.all, id{text, time.Now(), c, hash, string(data[:min(len(data), maxSample)])})
	}
	now := len(c.held) - 1
	if s.ids.all[place].hash != hash && !s.varies && len(c.others) < maxOthers {
		c.others = append(c.others, other{place, now, time.Now(), string(data[:min(len(data), maxSample)])})
	}
	if before, has := c.got[place]; has {
		if len(c.doubled) < maxDoubled {
			c.doubled = append(c.doubled, double{place, before, now, time.Now()})
		}
		return
	}
	s.ids.received++
	c.got[place] = now
	c.received = append(c.received, place)
}

// shared says whether two clients got the same event.
func (s *Stream) shared() bool {
	times := make([]bool, len(s.ids.all))
	for _, c := range s.clients {
		for _, place := range c.received {
			if times[place] {
				return true
			}
			times[place] = true
		}
	}
	return false
}

// replays says whether a client got an event that came before it opened the stream: then the stream begins with older ones.
func (s *Stream) replays() bool {
	return slices.ContainsFunc(s.clients, func(c *client) bool {
		return len(c.held) > 0 && slices.ContainsFunc(c.received, func(place int32) bool {
			return s.ids.all[place].by != c && s.ids.all[place].first.Before(c.held[0].Asked.Add(-s.settled))
		})
	})
}

// miss is an event that a client did not get, and another one that did.
type miss struct {
	id      int32
	by      *client
	missing *client
}

// missed are the events that clients did not get although they should have. An event is missing if another client got it
// between two events that both have. It is also missing if a connection was open for long enough before and after another client
// got it. Excused says what a client need not get.
func (s *Stream) missed(excused func(c *client, at time.Time) bool) (all []miss) {
	if s.repeats || !s.shared() {
		return nil
	}
	byTime := !s.replays()
	for _, c := range s.clients {
		missing := map[int32]*client{}
		for _, other := range s.clients {
			if other != c {
				c.compare(other, missing)
			}
		}
		for place := range s.ids.all {
			place := int32(place)
			_, has := c.got[place]
			if i := &s.ids.all[place]; byTime && !has && missing[place] == nil && c.heldAround(i.first, s.settled) {
				missing[place] = i.by
			}
		}
		for place, by := range missing {
			if !excused(c, s.ids.all[place].first) {
				all = append(all, miss{place, by, c})
			}
		}
	}
	slices.SortFunc(all, func(a, b miss) int { return int(a.id - b.id) })
	return all
}

// compare finds what another client got between two events that both have.
func (c *client) compare(other *client, missing map[int32]*client) {
	var between []int32
	hasBegun := false
	for _, place := range other.received {
		if _, has := c.got[place]; !has {
			between = append(between, place)
			continue
		}
		for _, p := range between {
			if hasBegun {
				missing[p] = other
			}
		}
		hasBegun, between = true, between[:0]
	}
}

// heldAround says whether one connection was open for a time before and after a moment.
func (c *client) heldAround(at time.Time, around time.Duration) bool {
	return slices.ContainsFunc(c.held, func(h *held) bool {
		return h.Opened.Before(at.Add(-around)) && h.until.After(at.Add(around))
	})
}
