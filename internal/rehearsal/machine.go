package rehearsal

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"time"
)

const (
	// tooLate is the delay of a request beyond which the load was not as planned.
	tooLate = time.Second
	// trialLength is how long the load is tried before the walk.
	trialLength = time.Second
	// storeTrial is that of a rate that may be lowered: a store that has too much to do answers well for a moment.
	storeTrial = 5 * time.Second
	// prompt is the latency of 99 of 100 answers within which a rate is one that a store holds.
	prompt = 50 * time.Millisecond
	// spare is the part of a rate that a machine is not trusted with: a deployment needs
	// processor time as well.
	spare = 0.5
)

// Load says whether the load was as planned.
type Load struct {
	// Planned requests were due before the end of the load.
	Planned int `json:"planned"`
	// Late requests were sent more than a second late, or not at all.
	Late int `json:"late"`
	// HeldUp late requests are the deployment's fault: the most requests that a rehearsal
	// has open had no answer yet, and the machine had processor time left.
	HeldUp int `json:"held_up"`
	// Tried is the number of requests per second that the machine has managed in a trial
	// before the walk. It tries no more than the rate of the rehearsal, or twice as much if the rate may be lowered.
	Tried int `json:"tried"`
	// WouldHold is a rate that this machine would hold. 0 if the rate of the rehearsal did.
	WouldHold int `json:"would_hold"`
}

// judge fills in WouldHold, if more requests were late than a load may have: one in
// twenty, and those of one second. Answered is the number of answers per second.
func (l *Load) judge(o Options, answered float64) {
	if l.Late <= max(l.Planned/20, o.Rate) {
		return
	}
	if l.heldUp() { // so many can be open when none is answered
		answered = min(answered, maxInFlight/o.Timeout.Seconds())
	}
	l.WouldHold = wouldHold(min(answered, float64(o.Rate)))
}

// heldUp says whether the deployment made most of the late requests late.
func (l *Load) heldUp() bool { return l.HeldUp*2 > l.Late }

// wouldHold leaves a machine something to spare, and rounds down to two digits.
func wouldHold(rate float64) int {
	n, unit := int(rate*(1-spare)), 1
	for n/unit >= 100 {
		unit *= 10
	}
	return max(1, n/unit*unit)
}

// lower tries lower and lower rates until one holds. It returns the last trial, and the lowest rate that did not hold; 0 if
// the first one did.
func lower(rate int, try func(rate int) Load) (tried Load, tooHigh int) {
	for tried = try(rate); tried.WouldHold > 0 && rate > 1; tried = try(rate) {
		tooHigh, rate = rate, min(rate-1, tried.WouldHold)
	}
	return tried, tooHigh
}

// try sends the load for a moment before the walk. A stall of the machine is no measure,
// so the best of three trials counts.
func (r *Rehearsal) try(ctx context.Context) Load {
	var best Load
	length, rate := trialLength, r.Rate
	if r.LowerRate { // a store and its services have more to do while tasks come and go
		length, rate = storeTrial, 2*r.Rate
	}
	for attempt := range 3 {
		rec := newRecording(rate)
		load, closeIdle := r.newLoad(rec)
		load.trial = true
		running, cancel := context.WithTimeout(ctx, cmp.Or(r.trial, length))
		load.run(running, time.Now())
		cancel()
		closeIdle()
		tried := rec.trial()
		if tried.WouldHold == 0 && r.LowerRate && !rec.prompt() {
			tried.WouldHold = wouldHold(float64(r.Rate))
		}
		if attempt == 0 || tried.Tried > best.Tried || tried.WouldHold == 0 {
			best = tried
		}
		if best.WouldHold == 0 || ctx.Err() != nil {
			break
		}
	}
	return best
}

// trial says how the load went that was recorded. If latencies grow, requests come faster
// than they are sent or answered. Answers that always take long are another matter.
func (r *recording) trial() Load {
	tenth := r.n / 10
	if tenth == 0 { // too few to tell
		return Load{Tried: r.rate}
	}
	middle := func(from, to int) time.Duration {
		var latencies []uint32
		for seq := from; seq < to; seq++ {
			latencies = append(latencies, r.at(seq).latency)
		}
		slices.Sort(latencies)
		return time.Duration(latencies[len(latencies)/2]) * time.Microsecond
	}
	growth := max(0, middle(r.n-tenth, r.n)-middle(0, tenth))
	lasted := r.due(r.n)
	if growth <= lasted/4 {
		return Load{Tried: r.rate}
	}
	managed := float64(r.n) / (lasted + growth).Seconds()
	return Load{Tried: int(managed), WouldHold: wouldHold(managed)}
}

// prompt says whether all requests were answered, and nearly all of them soon.
func (r *recording) prompt() bool {
	var latencies []uint32
	for seq := range r.n {
		// Answers are not judged in a trial, which is between two baselines.
		if s := r.at(seq); s.problem.lost() || s.status >= 500 {
			return false
		}
		latencies = append(latencies, r.at(seq).latency)
	}
	slices.Sort(latencies)
	return len(latencies) == 0 || time.Duration(latencies[(len(latencies)-1)*99/100])*time.Microsecond <= prompt
}

// cpuTime is the time of all processors since the machine has started, in ticks of the
// system.
type cpuTime struct {
	at        time.Duration // since the load began
	idle, all uint64
}

// watchProcessors records the time of all processors until the context ends. Systems
// other than Linux do not tell.
func (r *recording) watchProcessors(running context.Context, began time.Time) {
	for {
		now, err := os.ReadFile("/proc/stat")
		if err != nil {
			return
		}
		r.processors(time.Since(began), string(now))
		if sleep(running, 250*time.Millisecond) != nil {
			return
		}
	}
}

// processors takes the first line of /proc/stat: user, nice, system, idle, iowait, irq,
// softirq and steal. What other machines have taken, or disks, is not idle.
func (r *recording) processors(at time.Duration, stat string) {
	var ticks [8]uint64
	n, _ := fmt.Sscanf(stat, "cpu %d %d %d %d %d %d %d %d", &ticks[0], &ticks[1], &ticks[2], &ticks[3], &ticks[4], &ticks[5], &ticks[6], &ticks[7])
	if n < len(ticks) {
		return
	}
	now := cpuTime{at: at, idle: ticks[3]}
	for _, t := range ticks {
		now.all += t
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cpus = append(r.cpus, now)
}

// busy says whether less than a tenth of the processors' time was idle. It needs the
// lock. What is not known was not busy.
func (r *recording) busy(from, to time.Duration) bool {
	before, _ := slices.BinarySearchFunc(r.cpus, from, func(c cpuTime, at time.Duration) int { return int(c.at - at) })
	after, _ := slices.BinarySearchFunc(r.cpus, to, func(c cpuTime, at time.Duration) int { return int(c.at - at) })
	before, after = max(0, before-1), min(after, len(r.cpus)-1)
	if before >= after {
		return false
	}
	a, b := r.cpus[before], r.cpus[after]
	return (b.idle-a.idle)*10 < b.all-a.all
}

// overload is the time in which the machine was behind with the load.
type overload []window

// add takes a request that the machine has sent too late. Its delay says nothing about
// the deployment, nor does as long a time after it. Requests come in the order in which
// they are due.
func (o *overload) add(due, sent time.Duration) {
	end := sent + (sent - due)
	if n := len(*o); n > 0 && due <= (*o)[n-1].last {
		(*o)[n-1].last = max((*o)[n-1].last, end)
		return
	}
	*o = append(*o, window{due, end})
}

// has says whether a part of a time is within it.
func (o overload) has(from, to time.Duration) bool {
	i, _ := slices.BinarySearchFunc(o, from, func(w window, at time.Duration) int { return int(w.last - at) })
	return i < len(o) && o[i].first <= to
}
