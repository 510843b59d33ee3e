package local

import (
	"math"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"cutover/internal/canary"
	"cutover/internal/local/alb"
	"cutover/internal/local/latency"
)

func (r *Runner) exchange(x alb.Exchange) {
	if x.Group != "" {
		r.traffic.countRequest(x)
	}
	if r.options.Exchanges != nil {
		r.options.Exchanges(x)
	}
}

// traffic is what went through the target groups in the last seconds. There is a slot for each
// second of [canary.Periods] of the longest length.
type traffic struct {
	start  time.Time
	groups sync.Map     // *groupTraffic, by key
	began  atomic.Int64 // first second that counts
}

const slots = int64(canary.Periods*canary.Period/time.Second) + 1 // with the current second

type groupTraffic struct {
	mu        sync.Mutex
	slots     [slots]slot
	now       int64  // the second of the last slot
	unhealthy int    // targets
	taken     uint64 // requests that reached targets, since the start
}

// slot is one second of a target group.
type slot struct {
	requests, errors, unhealthy int
	// latency counts answers by how long they took; nil until there is one.
	latency *latency.Counts
}

func newTraffic() *traffic { return &traffic{start: time.Now()} }

func (t *traffic) second() int64 { return int64(time.Since(t.start) / time.Second) }

// forget leaves everything until the end of this second out of rounds.
func (t *traffic) forget() { t.began.Store(t.second() + 1) }

// group calls f with what is known of a target group, brought up to this second.
func (t *traffic) group(key string, f func(g *groupTraffic, now *slot)) {
	value, ok := t.groups.Load(key)
	if !ok {
		value, _ = t.groups.LoadOrStore(key, &groupTraffic{})
	}
	g := value.(*groupTraffic)
	g.mu.Lock()
	defer g.mu.Unlock()
	second := t.second()
	for g.now = max(g.now, second-slots); g.now < second; {
		g.now++
		s := &g.slots[g.now%slots]
		s.requests, s.errors, s.unhealthy = 0, 0, g.unhealthy
		if s.latency != nil {
			clear(s.latency[:])
		}
	}
	f(g, &g.slots[g.now%slots])
}

// countRequest counts a request to a target group, also if the load balancer itself answered with
// 5xx. On AWS such an answer is in a metric of the load balancer, without a target group.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-cloudwatch-metrics.html
func (t *traffic) countRequest(x alb.Exchange) {
	t.group(x.Group, func(g *groupTraffic, now *slot) {
		now.requests++
		if x.Target != "" {
			g.taken++
		}
		if x.Status >= http.StatusInternalServerError {
			now.errors++
		}
		if !x.Answered.IsZero() {
			if now.latency == nil {
				now.latency = new(latency.Counts)
			}
			now.latency.Note(x.Answered.Sub(x.Dispatched))
		}
	})
}

// requestsTaken is how many requests the targets of a target group have got so far.
func (t *traffic) requestsTaken(key string) (n uint64) {
	t.group(key, func(g *groupTraffic, _ *slot) { n = g.taken })
	return n
}

// noteHealth counts the unhealthy targets. The count of a second is its lowest one.
func (t *traffic) noteHealth(e alb.Event) {
	t.group(e.Group, func(g *groupTraffic, now *slot) {
		if e.From == alb.Unhealthy {
			g.unhealthy--
		}
		if e.To == alb.Unhealthy {
			g.unhealthy++
		}
		now.unhealthy = min(now.unhealthy, g.unhealthy)
	})
}

// rounds compares two target groups in the last periods of so many seconds.
func (t *traffic) rounds(service, monolith string, seconds int64) []canary.Round {
	end := t.second()
	var rounds []canary.Round
	for n := min(canary.Periods, (end-t.began.Load())/seconds); n > 0; n-- {
		from, to := end-n*seconds, end-(n-1)*seconds
		rounds = append(rounds, canary.Round{Service: t.sample(service, from, to), Monolith: t.sample(monolith, from, to)})
	}
	return rounds
}

// sample adds up the seconds from one to before another.
func (t *traffic) sample(group string, from, to int64) (s canary.Sample) {
	var answers latency.Counts
	s.Unhealthy = math.MaxInt
	t.group(group, func(g *groupTraffic, _ *slot) {
		for second := max(from, g.now-slots+1); second < to; second++ {
			slot := &g.slots[second%slots]
			s.Requests += slot.requests
			s.Errors += slot.errors
			s.Unhealthy = min(s.Unhealthy, slot.unhealthy)
			if slot.latency != nil {
				answers.Add(slot.latency)
			}
		}
	})
	s.P99 = answers.Percentile(0.99)
	return s
}
