package canary

import (
	"fmt"
	"slices"
	"time"

	"cutover/internal/words"
)

// Sample is what was measured of a service's target group in one period.
type Sample struct {
	// Requests are all requests for the group, Errors the requests that were answered with 5xx. Of a function
	// that includes what the load balancer answered, as the function gave no answer.
	Requests int `json:"requests"`
	Errors   int `json:"errors"`
	// P99 is the time in which 99 of 100 answers began, 0 without answers.
	P99 time.Duration `json:"p99Nanoseconds"`
	// Unhealthy is the lowest number of unhealthy targets, so a replaced target does not count.
	Unhealthy int `json:"unhealthy"`
}

// ErrorPercent is the share of the requests that were answered with 5xx. It is 0 without requests.
func (s Sample) ErrorPercent() float64 {
	if s.Requests == 0 {
		return 0
	}
	return 100 * float64(s.Errors) / float64(s.Requests)
}

// Enough tells whether there were enough requests to judge by.
func (s Sample) Enough() bool { return s.Requests >= MinRequests }

// Round is one period of a service and of the monolith.
type Round struct {
	Service  Sample `json:"service"`
	Monolith Sample `json:"monolith"`
}

// State is the result of comparing a service with the monolith in one kind.
type State string

const (
	// OK: the service is not worse.
	OK State = "ok"
	// High: the service was worse in one of the last [Periods], which may be chance.
	High State = "high"
	// Worse: the service was worse in each of the last [Periods].
	Worse State = "worse"
	// NotEnough: there was not enough time, or there were not enough requests.
	NotEnough State = "not enough"
	// NotCompared: the monolith has too few requests to compare with.
	NotCompared State = "not compared"
)

// Finding is how a service does in one kind.
type Finding struct {
	Kind   Kind   `json:"kind"`
	State  State  `json:"state"`
	Reason string `json:"reason"`
}

// Subject is a service that takes traffic from the monolith, with the measurements of both.
type Subject struct {
	Service, Monolith string
	// Function says that the service is a function: see [KindsOf].
	Function bool
	Length   time.Duration
	// Rounds are since the canary began, the last one at the end. [Periods] of them matter.
	Rounds []Round
}

// Judge compares a service with the monolith, in the order of [KindsOf].
func (s Subject) Judge() []Finding {
	var findings []Finding
	for _, kind := range KindsOf(s.Function) {
		state, reason := s.judge(kind)
		findings = append(findings, Finding{kind, state, s.Service + " " + reason})
	}
	return findings
}

func (s Subject) judge(kind Kind) (State, string) {
	length := Duration(s.Length)
	if n := len(s.Rounds); n < Periods {
		return NotEnough, fmt.Sprintf("has had %d of the %d periods of %s that it takes", n, Periods, length)
	}
	rounds := s.Rounds[len(s.Rounds)-Periods:]
	last := rounds[Periods-1]
	if kind != Unhealthy {
		// Name the period with the fewest requests.
		scarcest := slices.MinFunc(rounds, func(a, b Round) int { return a.Service.Requests - b.Service.Requests })
		if n := scarcest.Service.Requests; !scarcest.Service.Enough() {
			return NotEnough, fmt.Sprintf("had %s in a period of %s, and it takes %d", words.Count(n, "request"), length, MinRequests)
		}
	}
	if kind == Latency && slices.ContainsFunc(rounds, func(r Round) bool { return !r.Monolith.Enough() }) {
		return NotCompared, fmt.Sprintf("has a p99 of %s, and %s had fewer than %d requests in a period of %s to compare it with",
			Duration(last.Service.P99), s.Monolith, MinRequests, length)
	}
	var high []Round
	for _, r := range rounds {
		if r.worse(kind) {
			high = append(high, r)
		}
	}
	switch len(high) {
	case 0:
		return OK, s.figures(kind, last)
	case Periods:
		return Worse, s.figures(kind, last) + fmt.Sprintf(", and was worse for %d periods of %s", Periods, length)
	}
	return High, s.figures(kind, high[0]) + fmt.Sprintf(", in one of %d periods of %s", Periods, length)
}

// worse tells whether the service was worse by more than the limit, given enough requests.
func (r Round) worse(kind Kind) bool {
	switch kind {
	case Errors:
		return r.Service.ErrorPercent()-r.compared().ErrorPercent() > MaxErrorPoints
	case Latency:
		return r.Service.P99 > MinLatency && float64(r.Service.P99) > MaxLatencyRatio*float64(r.Monolith.P99)
	}
	return r.Service.Unhealthy > r.compared().Unhealthy
}

// compared is what the service is compared with: nothing if the monolith had too few requests.
func (r Round) compared() Sample {
	if !r.Monolith.Enough() {
		return Sample{}
	}
	return r.Monolith
}

// figures says how both did in a period.
func (s Subject) figures(kind Kind, r Round) string {
	switch kind {
	case Errors:
		of := fmt.Sprintf("and %s %.1f %% of %d", s.Monolith, r.compared().ErrorPercent(), r.Monolith.Requests)
		if !r.Monolith.Enough() {
			of = fmt.Sprintf("and %s had too few requests to compare with", s.Monolith)
		}
		return fmt.Sprintf("answered %.1f %% of %s with 5xx %s", r.Service.ErrorPercent(), words.Count(r.Service.Requests, "request"), of)
	case Latency:
		return fmt.Sprintf("has a p99 of %s and %s one of %s", Duration(r.Service.P99), s.Monolith, Duration(r.Monolith.P99))
	}
	return fmt.Sprintf("has %s and %s %d", words.Count(r.Service.Unhealthy, "unhealthy target"), s.Monolith, r.compared().Unhealthy)
}

// Verdict is what to do with a canary.
type Verdict string

const (
	GoOn Verdict = "go on"
	Wait Verdict = "wait"
	Back Verdict = "back"
)

// Decide draws the conclusion of all findings:
//
//   - back if a finding is worse
//   - wait if a finding is high or has not enough to judge by
//   - go on otherwise
//
// The reasons are those of the findings that decided, each once.
func Decide(findings []Finding) (Verdict, []string) {
	reasons := func(states ...State) (all []string) {
		for _, f := range findings {
			if slices.Contains(states, f.State) && !slices.Contains(all, f.Reason) {
				all = append(all, f.Reason)
			}
		}
		return all
	}
	if all := reasons(Worse); len(all) > 0 {
		return Back, all
	}
	if all := reasons(High, NotEnough); len(all) > 0 {
		return Wait, all
	}
	return GoOn, reasons(OK, NotCompared)
}

// Duration is one for people, with about three digits.
func Duration(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	switch {
	case d >= time.Second:
		return fmt.Sprintf("%.3g s", d.Seconds())
	case ms >= 100:
		return fmt.Sprintf("%.0f ms", ms)
	}
	return fmt.Sprintf("%.3g ms", ms)
}
