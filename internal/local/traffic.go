package local

import (
	"fmt"
	"math"
	"math/bits"
	"net/http"
	"slices"
	"sync"
	"time"

	"cutover/internal/canary"
	"cutover/internal/local/alb"
	"cutover/internal/local/ecs"
	"cutover/internal/model"
	"cutover/internal/rules"
)

// Canaries are the microservices that have taken traffic from the monolith.
type Canaries struct {
	// Deploying says that an assembly is being deployed. There are no rounds then.
	Deploying bool     `json:"deploying"`
	Canaries  []Canary `json:"canaries"`
}

// Canary is one of them.
type Canary struct {
	Service string `json:"service"`
	// Percent is how much of its traffic it gets.
	Percent float64 `json:"percent"`
	// Switched says that the monolith's rule is gone, and it has its traffic to itself.
	Switched bool `json:"switched"`
	// Rounds are the last ones since the last deployment, not more than
	// [canary.Periods], the latest at the end.
	Rounds []canary.Round `json:"rounds"`
}

// Canaries returns the services that share their traffic with the monolith, by its
// name, or that have all of it when the monolith has none any more; and how both
// did in the last periods, which are of whole seconds up to [canary.Period]. What
// was measured before the last deployment ended is left out: it is of something
// else. The list is empty when all traffic is the monolith's. It fails if there is
// no such service, or if it has no tasks to compare with.
func (r *Runner) Canaries(monolith string, period time.Duration) (Canaries, error) {
	if period < time.Second || period > canary.Period || period%time.Second != 0 {
		return Canaries{}, fmt.Errorf("a period of %v cannot be measured here: choose whole seconds, up to %v", period, canary.Period)
	}
	status := r.scheduler.Status()
	if i := slices.IndexFunc(status, func(s ecs.ServiceStatus) bool { return s.Name == monolith }); i < 0 {
		return Canaries{}, fmt.Errorf("there is no service %q here to compare others with", monolith)
	} else if status[i].DesiredCount == 0 {
		return Canaries{}, fmt.Errorf("%s has no tasks any more that others could be compared with", monolith)
	}
	all := Canaries{Deploying: r.deploying.Load()}
	config, _ := r.current()
	for _, listener := range config.Table.Listeners {
		for _, c := range r.canaries(listener, monolith) {
			if !slices.ContainsFunc(all.Canaries, func(other Canary) bool { return other.Service == c.Service }) { // at another listener
				if !all.Deploying {
					c.Rounds = r.traffic.rounds(c.group, c.monolith, int64(period/time.Second))
				}
				all.Canaries = append(all.Canaries, c.Canary)
			}
		}
	}
	return all, nil
}

// pair is a canary with its target group and that of the monolith.
type pair struct {
	Canary
	group, monolith string
}

// canaries are those at one listener, which is behind a load balancer that has one
// target group of the monolith.
func (r *Runner) canaries(listener *rules.Listener, monolith string) []pair {
	var shifted, switched []pair
	group, left := "", 0.0
	for _, rule := range listener.Rules {
		shares := slices.ContainsFunc(rule.Action.Forward, func(w model.Weighted) bool {
			return r.ServiceName(w.TargetGroup.Resource.String()) == monolith
		})
		for _, w := range rule.Action.Forward {
			key := w.TargetGroup.Resource.String()
			name := r.ServiceName(key)
			switch {
			case name == monolith:
				group, left = key, left+w.Share
			case w.Share == 0 || !r.serves(key):
			default:
				p := pair{Canary: Canary{Service: name, Percent: 100 * w.Share}, group: key}
				if shares {
					shifted = append(shifted, p)
				} else {
					p.Switched = true
					switched = append(switched, p)
				}
			}
		}
	}
	// While the monolith gets requests its rule comes before those of the others,
	// which get those that it shares with them.
	pairs := shifted
	if left == 0 {
		pairs = append(pairs, switched...)
	}
	for i := range pairs {
		pairs[i].monolith = group
	}
	return pairs
}

// serves tells whether a service's tasks are in a target group.
func (r *Runner) serves(group string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.serving[group] != ""
}

// exchange notes a request that is over.
func (r *Runner) exchange(x alb.Exchange) {
	if x.Group != "" {
		r.traffic.request(x)
	}
	if r.options.Exchanges != nil {
		r.options.Exchanges(x)
	}
}

// traffic is what went through the target groups in the last seconds, of each in a
// slot: as many as there are in [canary.Periods] of the longest kind.
type traffic struct {
	start  time.Time
	groups sync.Map // *groupTraffic, by key

	mu    sync.Mutex
	began int64 // the second after which there is something to compare
}

const slots = int64(canary.Periods*canary.Period/time.Second) + 1 // and the one that goes on

type groupTraffic struct {
	mu        sync.Mutex
	slots     [slots]slot
	now       int64  // the second of the last slot
	unhealthy int    // targets
	taken     uint64 // requests, by a target, ever since
}

// slot is one second of a target group.
type slot struct {
	requests, errors, unhealthy int
	// latency counts answers by how long they took; nil until there is one.
	latency *[latencies]uint32
}

func newTraffic() *traffic { return &traffic{start: time.Now()} }

// second is the number of this second.
func (t *traffic) second() int64 { return int64(time.Since(t.start) / time.Second) }

// begin forgets what has been.
func (t *traffic) begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.began = t.second() + 1
}

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

// request counts a request for which a target group was chosen. Unlike in the
// metrics of AWS it also counts as answered with 5xx if the load balancer did that
// in the place of a target, or for want of one: there the metric is that of the
// load balancer, without a target group.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-cloudwatch-metrics.html
func (t *traffic) request(x alb.Exchange) {
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
				now.latency = new([latencies]uint32)
			}
			now.latency[latencyClass(x.Answered.Sub(x.Dispatched))]++
		}
	})
}

// taken is how many requests targets of a target group have got so far.
func (t *traffic) taken(key string) (n uint64) {
	t.group(key, func(g *groupTraffic, _ *slot) { n = g.taken })
	return n
}

// target counts the unhealthy targets: of every second the fewest.
func (t *traffic) target(e alb.Event) {
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
	t.mu.Lock()
	began := t.began
	t.mu.Unlock()
	end := t.second()
	var rounds []canary.Round
	for n := min(canary.Periods, (end-began)/seconds); n > 0; n-- {
		from, to := end-n*seconds, end-(n-1)*seconds
		rounds = append(rounds, canary.Round{Service: t.sample(service, from, to), Monolith: t.sample(monolith, from, to)})
	}
	return rounds
}

// sample adds up the seconds from one to before another.
func (t *traffic) sample(group string, from, to int64) (s canary.Sample) {
	var latency [latencies]uint32
	var answers uint64
	s.Unhealthy = math.MaxInt
	t.group(group, func(g *groupTraffic, _ *slot) {
		for second := max(from, g.now-slots+1); second < to; second++ {
			slot := &g.slots[second%slots]
			s.Requests += slot.requests
			s.Errors += slot.errors
			s.Unhealthy = min(s.Unhealthy, slot.unhealthy)
			if slot.latency != nil {
				for class, n := range slot.latency {
					latency[class] += n
					answers += uint64(n)
				}
			}
		}
	})
	rank := uint64(math.Ceil(float64(answers) * 0.99))
	for class, n := range latency {
		if n := uint64(n); n < rank {
			rank -= n
		} else if rank > 0 {
			s.P99 = classLatency(class)
			break
		}
	}
	return s
}

// Latencies are counted by class: a microsecond each up to 32 of them, and from
// there on 16 to each doubling, so that none is taken for one that differs by more
// than 1/32. The last class has all from two minutes on.
const (
	perDoubling = 16
	latencies   = perDoubling * 24
)

func latencyClass(d time.Duration) int {
	us := uint64(max(0, d.Microseconds()))
	doublings := max(0, bits.Len64(us)-bits.Len(perDoubling))
	return min(latencies-1, perDoubling*doublings+int(us>>doublings))
}

// classLatency is the middle of a class.
func classLatency(class int) time.Duration {
	doublings := max(0, class/perDoubling-1)
	from := time.Duration(class-perDoubling*doublings) << doublings
	return from*time.Microsecond + time.Microsecond<<doublings/2
}
