package rehearsal

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Format is the version of the report's JSON. Fields may be added to it; it is
// raised when one changes its meaning or goes away.
const Format = 1

// Seconds is a time since the load began, or how long something took.
type Seconds float64

// Millis is a latency in milliseconds.
type Millis float64

func seconds(d time.Duration) Seconds { return Seconds(d.Round(time.Millisecond).Seconds()) }
func millis(us uint32) Millis         { return Millis(math.Round(float64(us)) / 1000) }

// Report is what a rehearsal found. Latencies are those of answered requests,
// from when a request was due until its answer was read to the end. A request
// belongs to the moment it was sent, which is hardly later.
type Report struct {
	Format  int     `json:"format"`
	Verdict Verdict `json:"verdict"`

	Began    time.Time `json:"began"`
	Duration Seconds   `json:"duration_s"`
	Path     []string  `json:"path"`
	Rate     int       `json:"rate"` // requests per second that were to be sent
	Totals   Totals    `json:"totals"`
	// Late is how late the load generator itself was in sending requests. It is
	// part of the latencies.
	Late Latency `json:"late"`

	// BaselinePhase is the phase in which the answers were taken that all others
	// are compared with, and BaselineServices the services that gave them.
	BaselinePhase    string   `json:"baseline_phase"`
	BaselineServices []string `json:"baseline_services"`

	// Services that were sent requests, those of the baseline first.
	Services []string `json:"services"`
	// Initial is what was changed to get to the first phase.
	Initial []string `json:"initial_changes"`
	Phases  []Phase  `json:"phases"`
	Steps   []Step   `json:"steps"`
	Losses  []Loss   `json:"losses"`
	Routes  []Route  `json:"routes"`
	Events  []Mark   `json:"events"`

	SliceWidth Seconds `json:"slice_s"`
	Slices     []Slice `json:"slices"`

	About []Fact `json:"about"`
}

// Verdict says whether a rehearsal is passed: no request was lost, every answer
// matched, each fault stayed within its service, and the whole path was walked.
type Verdict struct {
	Passed bool `json:"passed"`
	// Sentence sums it up.
	Sentence string `json:"sentence"`
	// Reasons are why it is not passed, empty if it is.
	Reasons []string `json:"reasons"`
}

// Totals count requests.
type Totals struct {
	Requests int `json:"requests"`
	// Lost were not answered, or with a status of 5xx.
	Lost int `json:"lost"`
	// Different were answered, but not as in the baseline.
	Different int `json:"different"`
	// Excused are those of both that a fault explains: they went to the service
	// that it was done to, while it lasted.
	Excused int `json:"excused"`
	// Unobserved were answered but not reported by the load balancer, so that the
	// service that answered is unknown.
	Unobserved int `json:"unobserved"`
	// ByStatus counts by HTTP status; "none" is no answer.
	ByStatus map[string]int `json:"by_status"`
	// ByService counts by the service that answered. What none of them answered is
	// counted as "load balancer", "nobody" or "unknown".
	ByService map[string]int `json:"by_service"`
	Latency   Latency        `json:"latency"`
}

// Who answered, if no service did.
const (
	byBalancer = "load balancer" // with its own answer
	byNobody   = "nobody"        // no answer
	byUnknown  = "unknown"       // the load balancer has not reported it
	noStatus   = "none"
)

// Latency sums up latencies. All are 0 if there are none.
type Latency struct {
	P50 Millis `json:"p50_ms"`
	P99 Millis `json:"p99_ms"`
	Max Millis `json:"max_ms"`
}

// String is the form of the tables: "p50 / p99 / max", without the unit.
func (l Latency) String() string {
	if l == (Latency{}) {
		return "–"
	}
	number := func(m Millis) string {
		return strconv.FormatFloat(float64(m), 'f', decimals(float64(m)), 64)
	}
	return number(l.P50) + " / " + number(l.P99) + " / " + number(l.Max)
}

// Phase is the time between two deployments, faults included.
type Phase struct {
	Name  string  `json:"name"`
	Begin Seconds `json:"begin_s"`
	End   Seconds `json:"end_s"`
	Totals
}

// Step is a disturbance: the deployment of a phase, or a fault.
type Step struct {
	// Kind is "deploy" or "fault".
	Kind string `json:"kind"`
	// Name is "from → to" or "kill users".
	Name  string  `json:"name"`
	Begin Seconds `json:"begin_s"`
	End   Seconds `json:"end_s"`
	// Totals are those while the step lasted.
	Totals
	// Before and After are the latencies in the calm next to it; During is that
	// of Totals.
	Before Latency `json:"before"`
	After  Latency `json:"after"`
	// Errors counts lost and different requests by kind, with the status in place
	// of the kind where there is one.
	Errors map[string]int `json:"errors"`
	// Shifts are the moments at which services began or ended getting traffic.
	Shifts []Shift `json:"shifts"`
	// Changes lists the resources that the deployment changed.
	Changes []string `json:"changes"`
	// Failure says why the step could not be done. Empty if it was.
	Failure string `json:"failure"`
	// Fault is set for a fault.
	Fault *FaultOutcome `json:"fault,omitempty"`
}

// Duration is how long the step took.
func (s Step) Duration() Seconds { return s.End - s.Begin }

// traffic sums up the shifts, one text for what began and one for what ended.
func (s Step) traffic() []string {
	var first, last []Shift
	for _, shift := range s.Shifts {
		if shift.Began {
			first = append(first, shift)
		} else {
			last = append(last, shift)
		}
	}
	var texts []string
	if len(last) > 0 {
		texts = append(texts, "last request to "+moments(last))
	}
	if len(first) > 0 {
		texts = append(texts, "first request to "+moments(first))
	}
	return texts
}

// moments names services and their moments, of many only the first and the last.
func moments(shifts []Shift) string {
	at := func(s Shift) string { return fmt.Sprintf("%s at +%s", s.Service, took(s.Since)) }
	const most = 8
	if n := len(shifts); n > most {
		return fmt.Sprintf("%d services, from %s to %s", n, at(shifts[0]), at(shifts[n-1]))
	}
	var texts []string
	for _, shift := range shifts {
		texts = append(texts, at(shift))
	}
	return strings.Join(texts, ", ")
}

// Shift is a service's first or last request.
type Shift struct {
	Service string `json:"service"`
	// Began is false if the service ended getting traffic.
	Began bool    `json:"began"`
	At    Seconds `json:"at_s"`
	// Since is the time since the step began.
	Since Seconds `json:"since_s"`
}

// FaultOutcome is what a fault did.
type FaultOutcome struct {
	Kind    string `json:"kind"`
	Service string `json:"service"`
	Phase   string `json:"phase"`
	// Own are requests that went to the service while the fault lasted, and
	// OwnFailed those that were lost or answered differently.
	Own       int `json:"own"`
	OwnFailed int `json:"own_failed"`
	// Others are requests that went elsewhere. None of them may fail.
	Others       int `json:"others"`
	OthersFailed int `json:"others_failed"`
}

// Loss is a group of requests that were lost or answered differently in the
// same way, at the same stage, for the same reason.
type Loss struct {
	// Kind is what the client saw: "connection refused", "connection reset",
	// "connection closed", "sent twice", "timeout", "incomplete answer", "not
	// sent", "server error", "different status", "different content type" or
	// "different body".
	Kind string `json:"kind"`
	// Stage is the name of the phase or step.
	Stage string `json:"stage"`
	// Status is 0 without an answer.
	Status int `json:"status"`
	// Service and Target are where the load balancer sent the requests, as far as
	// it did; the target only if it is the same for all.
	Service string `json:"service"`
	Target  string `json:"target"`
	// Why explains it in a sentence.
	Why string `json:"why"`
	// Excused requests are the work of a fault, within its service.
	Excused bool     `json:"excused"`
	Count   int      `json:"count"`
	First   Seconds  `json:"first_s"`
	Last    Seconds  `json:"last_s"`
	Samples []Sample `json:"samples"`
}

// Sample is one of the requests of a [Loss].
type Sample struct {
	At      Seconds `json:"at_s"`
	Route   string  `json:"route"`
	Latency Millis  `json:"latency_ms"`
	Target  string  `json:"target"`
	Detail  string  `json:"detail"`
}

// Route is one of the paths requested.
type Route struct {
	Path string `json:"path"`
	// Status, ContentType and Bytes are those of the baseline's answer.
	Status      int    `json:"status"`
	ContentType string `json:"content_type"`
	Bytes       int    `json:"bytes"`
	Totals
}

// Mark is an [Event] in the report.
type Mark struct {
	At      Seconds `json:"at_s"` // below 0 if it was before the load
	Service string  `json:"service"`
	Target  string  `json:"target"`
	State   string  `json:"state"`
	Text    string  `json:"text"`
	Mark    bool    `json:"mark"`
}

// Slice is a part of the timeline. All but the last are [Report.SliceWidth] wide.
type Slice struct {
	Begin Seconds `json:"begin_s"`
	Totals
	Late Millis `json:"late_ms"` // the load generator's longest delay
}

// WriteJSON writes the report for machines.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	return e.Encode(r)
}

// Save writes the report into a directory, which it makes if need be: the page
// index.html, the chart timeline.png, and report.json. It returns the page's
// path.
func (r *Report) Save(dir string) (page string, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("saving the report: %w", err)
	}
	for _, file := range []struct {
		name  string
		write func(io.Writer) error
	}{{"report.json", r.WriteJSON}, {"timeline.png", r.WriteChart}, {"index.html", r.WritePage}} {
		page = filepath.Join(dir, file.name)
		if err := writeFile(page, file.write); err != nil {
			return "", fmt.Errorf("saving the report: %w", err)
		}
	}
	return page, nil
}

// writeFile leaves the file as it was if it cannot be written whole.
func writeFile(path string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".report-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if err := write(f); err != nil {
		f.Close()
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
