package rehearsal

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"
)

// problem is what was wrong with an answer, as the client saw it.
type problem uint8

const (
	fine problem = iota
	// Without an answer.
	refused
	reset
	closed
	resent
	timedOut
	incomplete
	unsent
	// With the answer of a failure.
	serverError
	// With another answer than the baseline's.
	otherStatus
	otherType
	otherBody
)

var problemNames = [...]string{
	"", "connection refused", "connection reset", "connection closed", "sent twice", "timeout", "incomplete answer", "not sent",
	"server error", "different status", "different content type", "different body",
}

func (p problem) String() string  { return problemNames[p] }
func (p problem) lost() bool      { return p >= refused && p <= serverError }
func (p problem) different() bool { return p >= otherStatus }

// sample is one request. There may be millions, so a sample is small. Its place tells
// when the request was due.
type sample struct {
	late         uint32 // µs from when it was due until it was sent
	latency      uint32 // µs from when it was due until it was over
	status       uint16 // 0 without an answer
	targetStatus uint16
	route        uint16
	handling     uint16 // of recording.handlings
	problem      problem
	flags        uint8
}

// arrived says whether the load balancer has something to report.
func (s *sample) arrived() bool { return s.problem != refused && s.problem != unsent }

const (
	isDone     = 1 << iota // the client is through with it
	isObserved             // the load balancer has reported it
	isResent               // Go's HTTP client sent it a second time
)

const slab = 1 << 14

// recording collects what is known about every request, from the client and
// from the load balancer, in any order.
type recording struct {
	rate  int
	nonce uint32 // tells this rehearsal's trace ids from others

	mu        sync.Mutex
	slabs     []*[slab]sample
	n         int // requests sent
	unsettled int // done, but not observed yet
	handlings handlings
	baselines map[string]bool // services that answered a baseline request

	details  map[int]string // of some requests with a problem, by their place
	detailed map[detailKey]int
	span     int
	answered map[string]bool // services that answered in this phase

	lost, different int
	recent          int    // answers since progress was asked for
	worst           uint32 // the longest latency since then
	asked           time.Time
}

type detailKey struct {
	span    int
	problem problem
	status  uint16
	route   uint16
}

func newRecording(rate int) *recording {
	return &recording{
		rate: rate, nonce: rand.Uint32(), asked: time.Now(), handlings: handlings{limit: 1<<16 - 1},
		baselines: map[string]bool{}, details: map[int]string{}, detailed: map[detailKey]int{}, answered: map[string]bool{},
	}
}

// handling is what the load balancer did with a request.
type handling struct{ service, target, reason string }

// handlings numbers what it is given. The empty handling is 0. The last number stands
// for all handlings beyond the limit.
type handlings struct {
	limit   int
	numbers map[handling]int
	list    []handling
}

func (h *handlings) number(one handling) int {
	if h.list == nil {
		h.numbers, h.list = map[handling]int{{}: 0}, []handling{{}}
	}
	if i, ok := h.numbers[one]; ok {
		return i
	}
	if len(h.list) > h.limit {
		return h.limit
	}
	if len(h.list) == h.limit {
		one = handling{"others", "others", "others"}
	}
	h.numbers[one] = len(h.list)
	h.list = append(h.list, one)
	return len(h.list) - 1
}

// handling is what is known of a request's way.
func (r *recording) handling(s *sample) handling {
	if s.handling == 0 {
		return handling{}
	}
	return r.handlings.list[s.handling]
}

// due is when a request is to be sent, since the load began.
func (r *recording) due(seq int) time.Duration {
	seconds, rest := seq/r.rate, seq%r.rate
	return time.Duration(seconds)*time.Second + time.Duration(rest)*time.Second/time.Duration(r.rate)
}

// baselineBit marks the places of baseline requests.
const baselineBit = 1 << 63

// traceID has the form Root=1-TIME-ID, with 8 and 24 hexadecimal digits. The ID holds
// the nonce and the request's place.
func (r *recording) traceID(seq uint64) string {
	return fmt.Sprintf("Root=1-%08x-%08x%016x", uint32(time.Now().Unix()), r.nonce, seq)
}

func (r *recording) parseTraceID(header string) (seq uint64, ok bool) {
	_, root, ok := strings.Cut(header, "Root=1-")
	if !ok || len(root) < 33 {
		return 0, false
	}
	nonce, err := strconv.ParseUint(root[9:17], 16, 32)
	if err != nil || uint32(nonce) != r.nonce {
		return 0, false
	}
	seq, err = strconv.ParseUint(root[17:33], 16, 64)
	return seq, err == nil
}

// at needs the lock.
func (r *recording) at(seq int) *sample { return &r.slabs[seq/slab][seq%slab] }

// begin makes place for a request before it is sent.
func (r *recording) begin(seq int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.slabs)*slab <= seq {
		r.slabs = append(r.slabs, new([slab]sample))
	}
	r.n = max(r.n, seq+1)
}

// fail notes why a request got no answer, or that it was sent again.
func (r *recording) fail(seq int, p problem, again bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.at(seq)
	s.problem = p
	if again {
		s.flags |= isResent
	}
}

// finish notes what the client got. The problem counts if the transport saw none. A
// detail is asked for if it is worth keeping.
func (r *recording) finish(seq int, route, status uint16, late, latency time.Duration, p problem, detail func() string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.at(seq)
	s.route, s.status = route, status
	s.late, s.latency = micros(late), micros(latency)
	switch {
	case p == timedOut: // a transport may take it for something else
		s.problem = p
	case s.problem != fine:
	case s.flags&isResent != 0:
		s.problem = resent
	default:
		s.problem = p
	}
	s.flags |= isDone
	if s.flags&isObserved == 0 && s.arrived() {
		r.unsettled++
	}
	r.recent++
	r.worst = max(r.worst, s.latency)
	switch {
	case s.problem == fine:
		return
	case s.problem.lost():
		r.lost++
	default:
		r.different++
	}
	key := detailKey{r.span, s.problem, status, route}
	if text := detail(); text != "" && r.detailed[key] < 2 {
		r.detailed[key]++
		r.details[seq] = text
	}
}

func micros(d time.Duration) uint32 {
	return uint32(min(max(d.Microseconds(), 0), 1<<32-1))
}

// observe notes what the load balancer says.
func (r *recording) observe(record Record) {
	seq, ok := r.parseTraceID(record.TraceID)
	if !ok {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if seq&baselineBit != 0 {
		if record.TargetStatus != 0 {
			r.baselines[record.Service] = true
		}
		return
	}
	if seq >= uint64(r.n) {
		return
	}
	s := r.at(int(seq))
	if s.flags&(isDone|isObserved) == isDone && s.arrived() {
		r.unsettled--
	}
	s.flags |= isObserved
	s.handling = uint16(r.handlings.number(handling{record.Service, record.Target, record.Reason}))
	s.targetStatus = uint16(record.TargetStatus)
	if record.TargetStatus != 0 {
		r.answered[record.Service] = true
	}
}

func (r *recording) sent() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.n
}

func (r *recording) enterSpan() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.span++
}

func (r *recording) enterPhase() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.answered)
}

// answering says whether a service answered a request in this phase.
func (r *recording) answering(service string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.answered[service]
}

func (r *recording) progress() Progress {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := Progress{
		Sent: r.n, Lost: r.lost, Different: r.different,
		Rate: float64(r.recent) / time.Since(r.asked).Seconds(), Worst: time.Duration(r.worst) * time.Microsecond,
	}
	r.recent, r.worst, r.asked = 0, 0, time.Now()
	return p
}

// settle waits for the load balancer's records. They may follow the answers, and
// there may be none.
func (r *recording) settle(longest time.Duration) {
	for end := time.Now().Add(longest); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		r.mu.Lock()
		n, any := r.unsettled, r.handlings.list != nil
		r.mu.Unlock()
		if n == 0 || !any {
			return
		}
	}
}
