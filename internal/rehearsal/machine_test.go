package rehearsal

import (
	"context"
	"reflect"
	"testing"
	"testing/synctest"
	"time"
)

func TestWouldHold(t *testing.T) {
	for rate, want := range map[float64]int{361: 180, 1: 1, 0: 1, 3: 1, 10: 5, 199: 99, 200: 100, 2100: 1000, 2399: 1100, 39_900: 19_000} {
		if got := wouldHold(rate); got != want {
			t.Errorf("of %v requests per second, %d would hold, want %d", rate, got, want)
		}
	}
}

// A load does not hold if more than one request in twenty is late. One second of them
// may be: a machine that stands still for a moment has held the load.
func TestLoadHolds(t *testing.T) {
	o := Options{Rate: 100, Timeout: 10 * time.Second}
	for name, test := range map[string]struct {
		load     Load
		answered float64
		want     int
	}{
		"on time":                       {Load{Planned: 10_000}, 100, 0},
		"one in twenty":                 {Load{Planned: 10_000, Late: 500}, 100, 0},
		"more than one in twenty":       {Load{Planned: 10_000, Late: 501}, 100, 50},
		"one second of a short load":    {Load{Planned: 300, Late: 100}, 100, 0},
		"more of a short load":          {Load{Planned: 300, Late: 101}, 100, 50},
		"fewer were answered":           {Load{Planned: 10_000, Late: 5000}, 50, 25},
		"all late ones came at the end": {Load{Planned: 10_000, Late: 5000}, 300, 50},
		"half of them were held up":     {Load{Planned: 10_000, Late: 5000, HeldUp: 2500}, 100, 50},
	} {
		if test.load.judge(o, test.answered); test.load.WouldHold != test.want {
			t.Errorf("%s: %d would hold, want %d", name, test.load.WouldHold, test.want)
		}
	}
	// What a deployment may hold up at a time, divided by how long it may.
	o.Rate = 5000
	held := Load{Planned: 100_000, Late: 50_000, HeldUp: 25_001}
	if held.judge(o, 4000); held.WouldHold != 200 {
		t.Errorf("held up: %d would hold, want 200", held.WouldHold)
	}
}

// trial is a second of load, where answers take so long as the test says.
func trial(t *testing.T, rate int, latency func(seq int) time.Duration) (tried Load) {
	synctest.Test(t, func(t *testing.T) {
		l := playing(rate, 1)
		l.ask = func(_ Call, traceID string) Answer {
			seq, _ := l.rec.parseTraceID(traceID)
			time.Sleep(latency(int(seq)))
			return Answer{}
		}
		running, cancel := context.WithTimeout(t.Context(), time.Second-time.Microsecond)
		defer cancel()
		l.run(running, time.Now())
		tried = l.rec.trial()
	})
	return tried
}

func TestTrial(t *testing.T) {
	for name, test := range map[string]struct {
		rate    int
		latency func(seq int) time.Duration
		want    Load
	}{
		"at once":            {1000, func(int) time.Duration { return 0 }, Load{Tried: 1000}},
		"slow, all alike":    {1000, func(int) time.Duration { return 3 * time.Second }, Load{Tried: 1000}},
		"faster than before": {1000, func(seq int) time.Duration { return time.Duration(1000-seq) * time.Millisecond }, Load{Tried: 1000}},
		"a few slow ones": {1000, func(seq int) time.Duration {
			if seq%3 == 0 {
				return time.Second
			}
			return 0
		}, Load{Tried: 1000}},
		// 500 of 1,000 a second are answered: those of the last tenth wait longest.
		"half as fast":      {1000, func(seq int) time.Duration { return time.Duration(seq) * time.Millisecond }, Load{Tried: 526, WouldHold: 260}},
		"a little too slow": {1000, func(seq int) time.Duration { return time.Duration(seq) * 300 * time.Microsecond }, Load{Tried: 787, WouldHold: 390}},
		"nearly as fast":    {1000, func(seq int) time.Duration { return time.Duration(seq) * 250 * time.Microsecond }, Load{Tried: 1000}},
		// Too few requests to compare.
		"nine a second": {9, func(seq int) time.Duration { return time.Duration(seq) * time.Minute }, Load{Tried: 9}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := trial(t, test.rate, test.latency); got != test.want {
				t.Errorf("the trial is %+v, want %+v", got, test.want)
			}
		})
	}
}

// The time of processors is user, nice, system, idle, iowait, irq, softirq and steal.
func TestProcessors(t *testing.T) {
	rec := newRecording(1)
	for _, damaged := range []string{"", "intr 1 2 3", "cpu 1 2 3"} {
		rec.processors(0, damaged)
	}
	rec.processors(time.Second, "cpu  1 2 3 40 5 6 7 8 900 1000\ncpu0 1 1 1 20 2 3 3 4 0 0\n")
	if want := []cpuTime{{time.Second, 40, 72}}; !reflect.DeepEqual(rec.cpus, want) {
		t.Errorf("recorded %+v, want %+v", rec.cpus, want)
	}
}

func TestBusy(t *testing.T) {
	rec := newRecording(1)
	if rec.busy(0, time.Hour) {
		t.Error("processors of which nothing is known are busy")
	}
	// Idle for a second, busy for a second, then a tenth idle, then a little less.
	rec.cpus = []cpuTime{{0, 0, 0}, {time.Second, 200, 200}, {2 * time.Second, 200, 400}, {3 * time.Second, 220, 600}, {4 * time.Second, 239, 800}}
	for _, test := range []struct {
		from, to time.Duration
		want     bool
	}{
		{0, time.Second, false}, {time.Second + 1, 2 * time.Second, true}, {1200 * time.Millisecond, 1300 * time.Millisecond, true},
		{2*time.Second + 1, 3 * time.Second, false}, {3*time.Second + 1, 4 * time.Second, true}, {1500 * time.Millisecond, 4 * time.Second, true},
		{0, 4 * time.Second, false}, {3500 * time.Millisecond, time.Hour, true}, {time.Hour, 2 * time.Hour, false},
	} {
		if got := rec.busy(test.from, test.to); got != test.want {
			t.Errorf("from %v to %v: busy is %v", test.from, test.to, got)
		}
	}
}

// On Linux the time of the processors is there.
func TestWatchProcessors(t *testing.T) {
	rec := newRecording(1)
	running, cancel := context.WithCancel(t.Context())
	cancel()
	rec.watchProcessors(running, time.Now())
	if len(rec.cpus) != 1 || rec.cpus[0].all == 0 {
		t.Skipf("this system does not tell: %+v", rec.cpus)
	}
}

func TestOverload(t *testing.T) {
	const ms = time.Millisecond
	var o overload
	for _, late := range []window{{1000 * ms, 3000 * ms}, {1100 * ms, 3000 * ms}, {4900 * ms, 6000 * ms}, {9000 * ms, 10_500 * ms}} {
		o.add(late.first, late.last)
	}
	// As long after a request was sent as it was late; what touches is one.
	if want := (overload{{1000 * ms, 7100 * ms}, {9000 * ms, 12_000 * ms}}); !reflect.DeepEqual(o, want) {
		t.Errorf("the machine was behind in %v, want %v", o, want)
	}
	for _, test := range []struct {
		from, to time.Duration
		want     bool
	}{
		{0, 999 * ms, false}, {0, 1000 * ms, true}, {2000 * ms, 2001 * ms, true}, {7100 * ms, 7200 * ms, true}, {7101 * ms, 8999 * ms, false},
		{7101 * ms, 9000 * ms, true}, {12_001 * ms, time.Hour, false}, {0, time.Hour, true},
	} {
		if got := o.has(test.from, test.to); got != test.want {
			t.Errorf("from %v to %v: %v", test.from, test.to, got)
		}
	}
	if (overload)(nil).has(0, time.Hour) {
		t.Error("a machine that was never behind was behind")
	}
}
