package rehearsal

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"cutover/internal/plain"
)

// Problem is what was wrong with an answer, as the client saw it.
type Problem uint8

const (
	fine Problem = iota
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
	otherHeader
)

// The problems that a [Judge] can find.
const (
	Fine        = fine
	ServerError = serverError
	OtherBody   = otherBody
)

var problemNames = [...]string{
	"", "connection refused", "connection reset", "connection closed", "sent twice", "timeout", "incomplete answer", "not sent",
	"server error", "different status", "different content type", "different body", "different header",
}

func (p Problem) String() string  { return problemNames[p] }
func (p Problem) lost() bool      { return p >= refused && p <= serverError }
func (p Problem) different() bool { return p >= otherStatus }

// sample is one request. There may be millions, so a sample is small. Its place tells
// when the request was due.
type sample struct {
	handling     *handling // nil until the load balancer reports it
	late         uint32    // µs from when it was due until it was sent
	latency      uint32    // µs from when it was due until it was over
	status       uint16    // 0 without an answer
	targetStatus uint16
	route        uint16
	problem      Problem
	held         bool // by requests that had no answer yet, until it was sent
}

// handling is what the load balancer did with a request. The passage is nil if no rule decided.
type handling struct {
	service, target, reason string
	passage                 *passage
}

// way is the handling, empty if it is not known.
func (s *sample) way() handling {
	if s.handling == nil {
		return handling{}
	}
	return *s.handling
}

const (
	slab         = 1 << 14
	maxHandlings = 1 << 16
)

var otherHandling = handling{"others", "others", "others", nil}

// recording collects what is known about every request, from the client and
// from the load balancer, in any order.
type recording struct {
	rate  int
	nonce uint32 // tells this rehearsal's trace ids from others

	mu        sync.Mutex
	slabs     []*[slab]sample
	n         int // requests sent
	handlings map[handling]*handling
	passages  map[passage]*passage
	baselines map[string]bool // services that answered a baseline request
	lines     lines

	details  map[int]string // of some requests with a problem, by their place
	detailed map[detailKey]int
	span     int
	answered map[string]bool // services that answered in this phase
	asked    map[uint16]bool // routes that were requested in this phase

	cpus []cpuTime // in the order of their times

	lost, different int
	recent          int    // answers since progress was asked for
	worst           uint32 // the longest latency since then
	reported        time.Time
}

type detailKey struct {
	span    int
	problem Problem
	status  uint16
	route   uint16
}

func newRecording(rate int) *recording {
	return &recording{
		rate: rate, nonce: rand.Uint32(), reported: time.Now(),
		handlings: map[handling]*handling{}, passages: map[passage]*passage{}, lines: lines{records: map[uint64]Record{}},
		baselines: map[string]bool{}, details: map[int]string{}, detailed: map[detailKey]int{}, answered: map[string]bool{}, asked: map[uint16]bool{},
	}
}

// handled returns one pointer for equal handlings, whose names are made visible. Beyond a
// limit it returns the same for all.
func (r *recording) handled(h handling) *handling {
	if known := r.handlings[h]; known != nil {
		return known
	}
	if len(r.handlings) == maxHandlings {
		return &otherHandling
	}
	shown := &handling{plain.Line(h.service), plain.Line(h.target), plain.Line(h.reason), h.passage}
	r.handlings[h] = shown
	return shown
}

// passed returns one pointer for records of the same passage.
func (r *recording) passed(record Record) *passage {
	if record.Rule == "" {
		return nil
	}
	key := passage{record.Rule, strings.Join(record.Patterns, patternBreak), record.Group}
	if r.passages[key] == nil {
		r.passages[key] = &passage{plain.Line(key.rule), strings.Join(visible(record.Patterns), patternBreak), plain.Line(key.group)}
	}
	return r.passages[key]
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

// begin makes place for a request that is sent now. It returns how long after the begin
// of the load that is, which decides about the request's phase.
func (r *recording) begin(began time.Time, seq, route int, held bool) (sent time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.slabs)*slab <= seq {
		r.slabs = append(r.slabs, new([slab]sample))
	}
	r.n = max(r.n, seq+1)
	s := r.at(seq)
	s.route, s.held = uint16(route), held
	r.asked[s.route] = true
	return time.Since(began)
}

// finish notes what the client got.
func (r *recording) finish(seq int, status uint16, late, latency time.Duration, p Problem, detail string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.at(seq)
	s.status = status
	s.late, s.latency = micros(late), micros(latency)
	s.problem = p
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
	key := detailKey{r.span, s.problem, status, s.route}
	if detail != "" && r.detailed[key] < 2 {
		r.detailed[key]++
		r.details[seq] = plain.Line(detail)
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
			r.baselines[plain.Line(record.Service)] = true
		}
		return
	}
	if seq&streamBit != 0 {
		r.observeStream(seq&^streamBit, record)
		return
	}
	if seq >= uint64(r.n) {
		return
	}
	s := r.at(int(seq))
	s.handling = r.handled(handling{record.Service, record.Target, record.Reason, r.passed(record)})
	s.targetStatus = uint16(record.TargetStatus)
	if record.TargetStatus != 0 {
		r.answered[record.Service] = true
	}
}

// baselineServices are the services that answered outside of the load.
func (r *recording) baselineServices() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(maps.Keys(r.baselines))
}

// sample returns a request, and when it was sent.
func (r *recording) sample(seq int) (s sample, sent time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s = *r.at(seq)
	return s, r.due(seq) + time.Duration(s.late)*time.Microsecond
}

func (r *recording) sent() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.n
}

func (r *recording) enterSpan(newPhase bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.span++
	if newPhase {
		clear(r.answered)
		clear(r.asked)
	}
}

// unasked counts the routes that were not requested in this phase.
func (r *recording) unasked(routes int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return routes - len(r.asked)
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
		Rate: float64(r.recent) / time.Since(r.reported).Seconds(), Worst: time.Duration(r.worst) * time.Microsecond,
	}
	r.recent, r.worst, r.reported = 0, 0, time.Now()
	return p
}

// settle waits for the load balancer's records of all requests that reached it, unless
// it gives none. The load has ended.
func (r *recording) settle(longest time.Duration) {
	for end := time.Now().Add(longest); time.Now().Before(end) && r.unsettled(); {
		time.Sleep(5 * time.Millisecond)
	}
}

func (r *recording) unsettled() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for seq := range r.n {
		if s := r.at(seq); s.handling == nil && s.problem != refused && s.problem != unsent {
			return len(r.handlings) > 0
		}
	}
	return len(r.lines.records) < r.lines.connections && len(r.handlings) > 0
}
