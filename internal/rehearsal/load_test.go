package rehearsal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// played is a load in the time of a test, where nothing but the answers takes time.
type played struct {
	*load
	mu    sync.Mutex
	asked map[int]int // times, by route
	open  int         // requests without an answer
	most  int         // of them at once
}

// enough is more than any test sends. A load that does not stop must not fill the memory.
const enough = 1_000_000

// playing is a load of routes whose answers have no status.
func playing(rate, routes int) *load {
	var paths []string
	for route := range routes {
		paths = append(paths, fmt.Sprint("/", route))
	}
	p := planOf(paths...)
	for _, source := range p.Sources {
		c := source.(*Compared)
		_ = c.comparison.Learn(Answer{})
		c.comparison.Seal()
	}
	return &load{rec: newRecording(rate), next: p.next, nap: time.Sleep, most: enough}
}

// play sends a load for some time. Every answer takes so long.
func play(rate, routes int, lasts, answers time.Duration) *played {
	p := &played{asked: map[int]int{}}
	p.load = playing(rate, routes)
	p.ask = func(call Call, _ string) Answer {
		p.mu.Lock()
		p.asked[call.Route]++
		p.open++
		p.most = max(p.most, p.open)
		p.mu.Unlock()
		time.Sleep(answers)
		p.mu.Lock()
		p.open--
		p.mu.Unlock()
		return Answer{}
	}
	running, cancel := context.WithTimeout(context.Background(), lasts-time.Millisecond) // not at the moment of a request
	defer cancel()
	p.run(running, time.Now())
	return p
}

// A load has every request at its moment, whether or not earlier ones were answered.
func TestLoadIsOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		p := play(100, 7, 10*time.Second, 1995*time.Millisecond)
		// The last one was due at 9.99 s, and its answer was waited for.
		if lasted := time.Since(began); lasted != 11985*time.Millisecond {
			t.Errorf("the load lasted %v", lasted)
		}
		if p.rec.n != 1000 {
			t.Errorf("%d requests were sent in 10 s at 100 per second", p.rec.n)
		}
		if p.most != 200 {
			t.Errorf("%d requests were open at once; answers take 1.995 s, so it should be 200", p.most)
		}
		for seq := range p.rec.n {
			if s := p.rec.at(seq); s.late != 0 || s.latency != 1_995_000 || s.held {
				t.Fatalf("request %d is recorded as %+v", seq, *s)
			}
		}
	})
}

// Every route is asked equally often, and once before any is asked again.
func TestLoadAsksEveryRoute(t *testing.T) {
	for _, routes := range []int{1, 2, 3, 7, 33, 50} {
		synctest.Test(t, func(t *testing.T) {
			p := play(100, routes, time.Second, 0)
			for route := range routes {
				if n, least := p.asked[route], 100/routes; n < least || n > least+1 {
					t.Errorf("of %d routes, number %d was asked %d times in 100 requests", routes, route, n)
				}
			}
			for first := 0; first+routes <= p.rec.n; first++ {
				var asked []uint16
				for seq := first; seq < first+routes; seq++ {
					asked = append(asked, p.rec.at(seq).route)
				}
				slices.Sort(asked)
				if len(slices.Compact(asked)) != routes {
					t.Fatalf("of %d routes, %d requests from number %d on ask %v", routes, routes, first, asked)
				}
			}
		})
	}
}

// The trace id and the answer are those of the route that is recorded.
func TestLoadRecordsWhatItAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := playing(10, 3)
		var asked []int
		l.ask = func(call Call, traceID string) Answer {
			seq, ok := l.rec.parseTraceID(traceID)
			if !ok || int(seq) != len(asked) {
				t.Errorf("request %d has the trace id %s", len(asked), traceID)
			}
			asked = append(asked, call.Route)
			switch seq {
			case 4:
				return Answer{Status: 500}
			case 5:
				return Answer{Problem: refused, Err: errors.New("nobody there")}
			}
			return Answer{}
		}
		running, cancel := context.WithTimeout(t.Context(), 999*time.Millisecond)
		defer cancel()
		l.run(running, time.Now())
		for seq, route := range asked {
			s := l.rec.at(seq)
			want := map[int]Problem{4: serverError, 5: refused}[seq]
			if int(s.route) != route || s.problem != want {
				t.Errorf("request %d to route %d is recorded as %+v", seq, route, *s)
			}
		}
		if len(asked) != 10 || l.rec.details[5] != "nobody there" || l.rec.details[4] == "" {
			t.Errorf("asked %v, details %v", asked, l.rec.details)
		}
	})
}

// Requests beyond the limit wait. Their latency counts from when they were due, and
// the recording knows what made them late, until the load has caught up.
func TestLoadIsHeldUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate = 2048
		// Nothing is answered for 10 s: the limit is reached after 2 s.
		var l *load
		began := time.Now()
		l = playing(rate, 1)
		l.ask = func(Call, string) Answer {
			if wait := 10*time.Second - time.Since(began); wait > 0 {
				time.Sleep(wait)
			}
			return Answer{}
		}
		running, cancel := context.WithTimeout(t.Context(), 11999900*time.Microsecond)
		defer cancel()
		l.run(running, began)
		if l.rec.n != 12*rate {
			t.Errorf("%d requests were sent, want %d", l.rec.n, 12*rate)
		}
		for seq, want := range map[int]sample{
			0:               {late: 0, latency: 10_000_000},
			maxInFlight - 1: {late: 0, latency: micros(10*time.Second - l.rec.due(maxInFlight-1))},
			maxInFlight:     {late: 8_000_000, latency: 8_000_000, held: true},
			8 * rate:        {late: 2_000_000, latency: 2_000_000},
			11 * rate:       {}, // it has caught up
		} {
			got := *l.rec.at(seq)
			if seq == 8*rate {
				got.held = false // whether an answer is back yet depends on the machine
			}
			if got != want {
				t.Errorf("request %d is recorded as %+v, want %+v", seq, got, want)
			}
		}
	})
}

// When it is stopped, the load sends nothing more.
func TestLoadStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		running, cancel := context.WithCancel(t.Context())
		l := playing(10, 1)
		l.ask = func(Call, string) Answer { return Answer{} }
		time.AfterFunc(1050*time.Millisecond, cancel)
		l.run(running, time.Now())
		if l.rec.n != 11 {
			t.Errorf("%d requests were sent in 1.05 s at 10 per second", l.rec.n)
		}
	})
}

// A load ends by itself after the most requests.
func TestLoadIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := playing(1000, 1)
		l.ask, l.most = func(Call, string) Answer { return Answer{} }, 77
		l.run(t.Context(), time.Now())
		if l.rec.n != 77 {
			t.Errorf("%d requests were sent, want 77", l.rec.n)
		}
	})
}

// pieces is a body that comes in pieces. It ends with an error after the last one, or
// never if there is none.
type pieces struct {
	texts []string
	end   error
	read  int // bytes
}

func (p *pieces) Read(b []byte) (n int, err error) {
	if len(p.texts) == 0 {
		if p.end == nil {
			n = len(b)
		}
		p.read += n
		return n, p.end
	}
	if n = copy(b, p.texts[0]); n < len(p.texts[0]) {
		p.texts[0] = p.texts[0][n:]
	} else if p.texts = p.texts[1:]; len(p.texts) == 0 {
		err = p.end
	}
	p.read += n
	return n, err
}

// An answer is read to its end, but none fills the memory: what is like the baseline's is not
// kept a second time, and what never ends is not read for ever.
func TestReadLike(t *testing.T) {
	like := []byte(strings.Repeat("0123456789", 10_000))
	broken := errors.New("broken")
	for name, test := range map[string]struct {
		body     pieces
		want     string
		err      error
		read     int
		differs  string
		isShared bool
	}{
		"equal":          {body: pieces{texts: []string{string(like)}, end: io.EOF}, want: string(like), read: 100_000, isShared: true},
		"in pieces":      {body: pieces{texts: []string{"", "0", string(like[1:99]), "", string(like[99:])}, end: io.EOF}, want: string(like), read: 100_000, isShared: true},
		"shorter":        {body: pieces{texts: []string{"01234"}, end: io.EOF}, want: "01234", read: 5, isShared: true, differs: `differs at byte 5: "01234", not "0123456789`},
		"longer":         {body: pieces{texts: []string{string(like), "+"}, end: io.EOF}, want: string(like) + "+", read: 100_001, differs: `differs at byte 100000: …"890123456789+", not …"890123456789"`},
		"other":          {body: pieces{texts: []string{"01", "x", "3456", "78"}, end: io.EOF}, want: "01x345678", read: 9, differs: `differs at byte 2: "01x345678", not "0123456789`},
		"broken":         {body: pieces{texts: []string{"012"}, end: broken}, want: "012", err: broken, read: 3, isShared: true},
		"broken, other":  {body: pieces{texts: []string{"x"}, end: broken}, want: "x", err: broken, read: 1},
		"broken, later":  {body: pieces{texts: []string{"x", strings.Repeat("y", 1<<16)}, end: broken}, want: "x" + strings.Repeat("y", 512), err: broken, read: 1 + 1<<16},
		"without an end": {body: pieces{texts: []string{"0x"}}, want: "0x" + strings.Repeat("\x00", 512), read: 2 + 512 + maxBody, differs: `differs at byte 1: "0x\x00`},
	} {
		got, err := readLike(like)(&test.body)
		if string(got) != test.want || err != test.err || test.body.read != test.read {
			t.Errorf("%s: %d bytes of %d, error %v; want %d of %d, error %v", name, len(got), test.body.read, err, len(test.want), test.read, test.err)
		}
		if shared := len(got) > 0 && &got[0] == &like[0]; shared != test.isShared || shared && cap(got) > len(got) {
			t.Errorf("%s: shares the memory of the baseline: %v", name, shared)
		}
		if difference := compareBytes(like, got); test.err == nil && !strings.HasPrefix(difference, test.differs) {
			t.Errorf("%s: %s", name, difference)
		}
	}
}

func TestReadWhole(t *testing.T) {
	if got, err := readWhole(strings.NewReader(strings.Repeat("x", maxBody))); len(got) != maxBody || err != nil {
		t.Errorf("%d bytes, error %v", len(got), err)
	}
	endless := &pieces{}
	_, err := readWhole(endless)
	if want := "the answer has more than 8 MiB: leave this route out"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	if _, err := readWhole(&pieces{texts: []string{"x"}, end: io.ErrUnexpectedEOF}); err != io.ErrUnexpectedEOF {
		t.Errorf("error %v", err)
	}
}

// The kernel's nap is what makes the moments exact: it waits so long, and not much longer.
func TestNapExactly(t *testing.T) {
	best := time.Hour
	for range 20 {
		began := time.Now()
		napExactly(time.Millisecond)
		lasted := time.Since(began)
		if lasted < time.Millisecond {
			t.Fatalf("a nap of 1 ms lasted %v", lasted)
		}
		best = min(best, lasted)
	}
	if best > 100*time.Millisecond {
		t.Errorf("the shortest of 20 naps of 1 ms lasted %v", best)
	}
}
