package stream

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"cutover/internal/rehearsal"
	"cutover/internal/words"
)

// The kinds of findings.
const (
	cutStream       = "stream cut"
	notOpened       = "stream not opened"
	notOpenedAgain  = "stream not opened again"
	differentStream = "different stream"
	missedEvent     = "missed event"
	doubledEvent    = "doubled event"
	differentEvent  = "different event"
)

// Result says what became of the connections, and what is wrong with them.
func (s *Stream) Result(at func(rehearsal.Connection) rehearsal.Fate) ([]rehearsal.StreamEnd, rehearsal.Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &teller{Stream: s, at: at}
	connections, open := 0, 0
	for _, c := range s.clients {
		for i, h := range c.held {
			h.fate = at(h.Connection)
			connections++
			if h.Ended.IsZero() {
				open++
			}
			t.opening(c, i)
		}
		t.unopened(c)
		for i := range c.held {
			t.end(c, i)
		}
	}
	t.events()
	slices.SortStableFunc(t.ends, func(a, b rehearsal.StreamEnd) int {
		switch {
		case a.Fails == b.Fails:
			return 0
		case a.Fails:
			return -1
		}
		return 1
	})
	result := rehearsal.Result{Findings: t.findings}
	for _, part := range s.comparison.Ignored(0) {
		if strings.HasPrefix(part.Part, "header ") { // there is no body to compare
			result.Ignored = append(result.Ignored, part)
		}
	}
	text := fmt.Sprintf("%s: %s, %d of them open to the end, %s", s.name, words.Count(connections, "connection"), open, words.Count(s.events, "event"))
	switch {
	case s.IgnoreIDs:
	case s.repeats:
		text += "; missing events do not show, because ids come twice by themselves"
	case len(s.ids.all) > 0:
		text += fmt.Sprintf(" with %s", words.Count(len(s.ids.all), "id"))
	case s.events > 0:
		text += " without ids, so missing events do not show"
	}
	result.Checked = []string{text + "."}
	switch {
	case s.events == 0 && connections > 0:
		result.Gaps = append(result.Gaps, s.name+": no event came, so nothing shows whether the streams were alive")
	case len(s.ids.all) > 0 && !s.repeats && !s.shared():
		result.Gaps = append(result.Gaps, s.name+": no event came to two clients, so missing events do not show")
	}
	if s.ids.full {
		result.Gaps = append(result.Gaps, fmt.Sprintf("%s: of more than %d ids, the later ones were not looked at", s.name, len(s.ids.all)))
	}
	return t.ends, result
}

// teller writes ends and findings for people.
type teller struct {
	*Stream
	at       func(rehearsal.Connection) rehearsal.Fate
	ends     []rehearsal.StreamEnd
	findings []rehearsal.Finding
	firsts   []first // by finding
}

// first is when something was found first, and what makes others like it.
type first struct {
	key string
	at  time.Time
}

// find adds a finding, or counts one of the same kind and key. The first one in time is told.
func (t *teller) find(kind, key string, at time.Time, stage, text string) {
	key = kind + "\x00" + key
	i := slices.IndexFunc(t.firsts, func(f first) bool { return f.key == key })
	if i < 0 {
		i = len(t.firsts)
		t.findings, t.firsts = append(t.findings, rehearsal.Finding{Kind: kind}), append(t.firsts, first{key: key})
	}
	f := &t.findings[i]
	if f.Count++; f.Count == 1 || at.Before(t.firsts[i].at) {
		f.Stage, f.Text, t.firsts[i].at = stage, text, at
	}
}

// by is who gave a connection, as in "the stream of users".
func by(f rehearsal.Fate) string {
	if f.Service == "" {
		return "the stream"
	}
	return "the stream of " + f.Service
}

// opening says what is wrong with the answer that opened a connection.
func (t *teller) opening(c *client, i int) {
	h := c.held[i]
	if h.wrong != "" {
		text := fmt.Sprintf("%s, %s: %s", t.name, by(h.fate), h.wrong)
		t.find(differentStream, text, h.Asked, h.fate.Stage, text)
	}
	if i == 0 && len(h.failed) > 0 {
		t.refused(notOpened, h.failed[0], "", h.Opened.Sub(h.failed[0].Asked))
	}
}

// unopened says that a client has had no connection at all.
func (t *teller) unopened(c *client) {
	if len(c.held) == 0 && len(c.failed) > 0 {
		t.refused(notOpened, c.failed[0], "", 0)
	}
}

// refused says that a stream could not be opened at once, unless a fault explains that. Lasted is how long; 0 is for ever.
func (t *teller) refused(kind string, f failure, after string, lasted time.Duration) {
	fate := t.at(f.Connection)
	if fate.Fault != "" {
		return
	}
	text := fmt.Sprintf("%s%s: %s", t.name, after, f.how)
	if fate.Service != "" {
		text += ", from " + fate.Service
	}
	if lasted == 0 {
		text += ", and for the rest of the walk"
	}
	t.find(kind, fate.Service+f.how, f.Asked, fate.Stage, text)
}

// end adds what became of a connection.
func (t *teller) end(c *client, i int) {
	h := c.held[i]
	e := rehearsal.StreamEnd{Stream: t.name, Opened: h.fate.Stage, Service: h.fate.Service, Ended: h.fate.Ended, How: h.how}
	if h.Ended.IsZero() {
		t.add(e)
		return
	}
	isLawful := true
	switch f := h.fate; {
	case f.Fault != "":
		e.Why = "by the fault " + f.Fault
	case f.Draining:
		e.Why = "with its task, which was going away"
	case f.Idle:
		e.Why = "by the load balancer, because it was silent for the idle timeout"
	case t.MayEnd && h.isClean:
		e.Why = "by the service"
	default:
		isLawful = false
	}
	if e.Fails = !isLawful || t.Uncut && h.fate.Fault == ""; e.Fails {
		t.find(cutStream, fmt.Sprint(h.fate.Service, isLawful, h.isClean), h.Ended, h.fate.Ended, t.cut(h, isLawful, e.Why))
	}
	t.again(c, i, &e)
	t.add(e)
}

// cut says that a connection should not have ended.
func (t *teller) cut(h *held, isLawful bool, why string) string {
	text := fmt.Sprintf("%s: %s, opened in %s, ended by %s", t.name, by(h.fate), h.fate.Stage, h.how)
	if isLawful {
		return fmt.Sprintf("%s, %s; the routes file wants it uncut", text, why)
	}
	if h.fate.Service != "" {
		text += ", although its task was not going away"
	}
	if h.isClean {
		text += "; if the service ends it by design, write mayEnd: true"
	}
	return text
}

// again says how a connection was opened again.
func (t *teller) again(c *client, i int, e *rehearsal.StreamEnd) {
	h := c.held[i]
	failed, lasted := c.failed, time.Duration(0)
	if i+1 < len(c.held) {
		failed, lasted = c.held[i+1].failed, c.held[i+1].Opened.Sub(h.Ended)
	}
	switch {
	case len(failed) == 0 && lasted == 0:
		e.Again = "no more, because the walk was over"
		return
	case len(failed) == 0:
		e.Again = "at once"
		return
	case lasted == 0:
		e.Again = "never: " + failed[len(failed)-1].how
	default:
		e.Again = fmt.Sprintf("after %s, first: %s", took(lasted), failed[0].how)
	}
	if h.fate.Fault != "" && lasted > 0 && !c.held[i+1].Opened.After(h.fate.Until.Add(longestPause)) {
		return
	}
	e.Fails = true
	t.refused(notOpenedAgain, failed[0], " after its end", lasted)
}

// add adds an end to those that are alike.
func (t *teller) add(e rehearsal.StreamEnd) {
	for i := range t.ends {
		like := t.ends[i]
		if like.Count = 0; like == e {
			t.ends[i].Count++
			return
		}
	}
	e.Count = 1
	t.ends = append(t.ends, e)
}

// events says which events are missing, and which came twice.
func (t *teller) events() {
	if t.IgnoreIDs {
		return
	}
	counted := map[string]bool{}
	for _, m := range t.missed(t.excused) {
		i := t.ids.all[m.id]
		mine, other := m.missing.heldAt(i.first), m.by.held[m.by.got[m.id]]
		key := mine.fate.Service + "\x00" + other.fate.Service
		if each := fmt.Sprint(key, m.id); !counted[each] {
			counted[each] = true
			t.find(missedEvent, key, i.first, t.stageAt(other, i.first), fmt.Sprintf("%s: event %s did not come in %s, opened in %s; it came in %s, opened in %s",
				t.name, i.text, by(mine.fate), mine.fate.Stage, by(other.fate), other.fate.Stage))
		}
	}
	for _, c := range t.clients {
		for _, o := range c.others {
			i, h := t.ids.all[o.id], c.held[o.connection]
			first := i.by.held[i.by.got[o.id]].fate
			t.find(differentEvent, first.Service+"\x00"+h.fate.Service, o.at, t.stageAt(h, o.at), fmt.Sprintf("%s: event %s is %s in %s, and was %s in %s",
				t.name, i.text, rehearsal.Excerpt([]byte(o.text)), by(h.fate), rehearsal.Excerpt([]byte(i.data)), by(first)))
		}
		if !t.repeats {
			t.doubled(c)
		}
	}
}

// doubled says which events came twice to a client. After it has opened the stream again without a last id, that is right.
func (t *teller) doubled(c *client) {
	for _, d := range c.doubled {
		first, second := c.held[d.first], c.held[d.second]
		if d.first != d.second && !second.isResumed {
			continue
		}
		text := fmt.Sprintf("%s: event %s came twice to a client, in %s", t.name, t.ids.all[d.id].text, by(first.fate))
		if d.first != d.second {
			text += fmt.Sprintf(" and again in %s, which was opened in %s to go on after the last event", by(second.fate), second.fate.Stage)
		}
		t.find(doubledEvent, fmt.Sprint(first.fate.Service, second.fate.Service, d.first == d.second), d.at, t.stageAt(second, d.at), text)
	}
}

// stageAt is the phase or the step of a moment at which a connection was open.
func (t *teller) stageAt(h *held, moment time.Time) string {
	c := h.Connection
	c.Ended = moment
	return cmp.Or(t.at(c).Ended, h.fate.Stage)
}

// heldAt is the connection of a client that was open at a moment, or the last one before.
func (c *client) heldAt(moment time.Time) *held {
	last := c.held[0]
	for _, h := range c.held {
		if !h.Asked.After(moment) {
			last = h
		}
	}
	return last
}

// excused says whether a client need not get an event: the event came while a fault had ended the connection, or the client could not say where to
// go on.
func (t *teller) excused(c *client, at time.Time) bool {
	for i := 1; i < len(c.held); i++ {
		before, after := c.held[i-1], c.held[i]
		if at.After(before.Ended.Add(-t.settled)) && at.Before(after.Opened.Add(t.settled)) && (before.fate.Fault != "" || !after.isResumed) {
			return true
		}
	}
	return false
}
