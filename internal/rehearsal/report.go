package rehearsal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Format is the version of the report's JSON. A new field keeps the version; a field
// that changes its meaning or goes raises it.
const Format = 2

// Seconds is a time since the load began, or how long something took.
type Seconds float64

// Millis is a latency in milliseconds.
type Millis float64

func seconds(d time.Duration) Seconds { return Seconds(d.Round(time.Millisecond).Seconds()) }
func millis(us uint32) Millis         { return Millis(math.Round(float64(us)) / 1000) }

// Report is what a rehearsal found. A latency counts from when a request was due until
// its answer was read to the end. A request belongs to the moment it was sent.
type Report struct {
	Format  int     `json:"format"`
	Verdict Verdict `json:"verdict"`

	Began    time.Time `json:"began"`
	Duration Seconds   `json:"duration_s"`
	Walk     []string  `json:"path"`
	Rate     int       `json:"rate"` // requests per second, as planned
	Totals   Totals    `json:"totals"`
	// Late is the delay of the load generator itself. It is part of the latencies.
	Late Latency `json:"late"`
	Load Load    `json:"load"`

	// BaselinePhase is the phase of the answers that all others are compared with, and
	// BaselineServices the services that gave them.
	BaselinePhase    string   `json:"baseline_phase"`
	BaselineServices []string `json:"baseline_services"`

	// Services answered requests, those of the baseline first.
	Services []string `json:"services"`
	Phases   []Phase  `json:"phases"`
	Steps    []Step   `json:"steps"`
	Losses   []Loss   `json:"losses"`
	// Strays are answers of a service that the phase does not have in charge of the route.
	Strays []Stray `json:"strays"`
	Routes []Route `json:"routes"`
	// Coverage says how often each part of the deployment was asked.
	Coverage Coverage `json:"coverage"`
	// Findings are what is wrong although no single answer shows it.
	Findings []Finding `json:"findings"`
	// Streams are what became of the connections of streams.
	Streams []StreamEnd `json:"streams"`
	// Lags say how far what is beside the answers was behind, such as queues.
	Lags []Lag `json:"lags,omitempty"`
	// Checked are what was checked beside the single answers.
	Checked []string `json:"checked"`
	// Ignored are the parts of answers that were not compared.
	Ignored []IgnoredPart `json:"ignored"`
	Events  []Event       `json:"events"`

	SliceWidth Seconds `json:"slice_s"`
	Slices     []Slice `json:"slices"`

	// Workload says where the requests come from.
	Workload string `json:"workload"`
	About    []Fact `json:"about"`

	loose     bool     // says that not all answers were compared byte for byte
	undecided []string // questions that a source could not decide
	foreseen  int      // findings that were known before the load
}

// IgnoredPart is a part of answers that was not compared.
type IgnoredPart struct {
	// Part is "header NAME", a JSON path, "order of" a JSON path, or "body".
	Part string `json:"part"`
	// Learned says that the part differed by itself in the first phase. Otherwise you asked to ignore it.
	Learned bool `json:"learned"`
	// Routes are the names of the requests whose answers have the part.
	Routes []string `json:"routes"`
	// Example has two values of the part that differ, that of the first answer before the other. It is empty if
	// the part never differed.
	Example []string `json:"example"`
}

// String is a sentence.
func (p IgnoredPart) String() string {
	why := "you ignore it"
	if p.Learned {
		why = "it differs by itself"
	}
	switch {
	case len(p.Routes) == 0:
		return fmt.Sprintf("%s is in no answer, although you ignore it.", p.Part)
	case len(p.Example) == 0:
		return fmt.Sprintf("%s never differed, although you ignore it, in %s.", p.Part, names(p.Routes))
	}
	return fmt.Sprintf("%s is not compared, because %s, in %s: for example %s and %s.", p.Part, why, names(p.Routes), p.Example[0], p.Example[1])
}

// Totals count requests.
type Totals struct {
	Requests int `json:"requests"`
	// Lost requests got no answer, or a status of 5xx.
	Lost int `json:"lost"`
	// Different answers do not equal the baseline's.
	Different int `json:"different"`
	// Excused counts the lost and different ones that a fault explains: they went to its
	// service while it lasted.
	Excused int `json:"excused"`
	// Unobserved requests were answered, but the load balancer did not report by which
	// service.
	Unobserved int `json:"unobserved"`
	// ByStatus counts by HTTP status; "none" is no answer.
	ByStatus map[string]int `json:"by_status"`
	// ByService counts by the service that answered. Other requests count as "load
	// balancer", "nobody" or "unknown".
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

// Latency sums up latencies. All are 0 without an answered request.
type Latency struct {
	// Count is the number of latencies.
	Count int `json:"count"`
	// P50 and P99 are not known of fewer than 2 and 100 latencies: JSON has null then.
	P50 Millis `json:"p50_ms"`
	P99 Millis `json:"p99_ms"`
	Max Millis `json:"max_ms"`
}

// known says whether a percentile leaves at least one latency above it. Others would be
// the maximum by another name.
func (l Latency) known(percent int) bool { return l.Count*(100-percent) >= 100 }

// MarshalJSON leaves out the percentiles of too few latencies.
func (l Latency) MarshalJSON() ([]byte, error) {
	known := func(percent int, value Millis) *Millis {
		if !l.known(percent) {
			return nil
		}
		return &value
	}
	return json.Marshal(struct {
		Count int     `json:"count"`
		P50   *Millis `json:"p50_ms"`
		P99   *Millis `json:"p99_ms"`
		Max   Millis  `json:"max_ms"`
	}{l.Count, known(50, l.P50), known(99, l.P99), l.Max})
}

// Phase is the time between two deployments, faults included.
type Phase struct {
	Name string `json:"name"`
	// Label is the name in short, for the timeline.
	Label string  `json:"label"`
	Begin Seconds `json:"begin_s"`
	End   Seconds `json:"end_s"`
	Totals
}

// Step is a disturbance: the deployment of a phase, or a fault.
type Step struct {
	// Kind is "deploy" or "fault".
	Kind string `json:"kind"`
	// Name is what the step does, as in "monolith → parallel", "users: 10% → switched" or
	// "kill users".
	Name  string  `json:"name"`
	Begin Seconds `json:"begin_s"`
	End   Seconds `json:"end_s"`
	Totals
	// Before and After are the latencies in the calm before and after the step.
	Before Latency `json:"before"`
	After  Latency `json:"after"`
	// Errors counts lost and different requests by kind. Lost ones with a status count by
	// status.
	Errors map[string]int `json:"errors"`
	// Shifts are the moments at which a service's traffic began or ended.
	Shifts []Shift `json:"shifts"`
	// Changes are what the deployment changed.
	Changes Changes `json:"changes"`
	// Failure says why the step could not be done. Empty if it was.
	Failure string `json:"failure"`
	// Fault is set for a fault.
	Fault *FaultOutcome `json:"fault,omitempty"`
}

// Duration is how long the step took.
func (s Step) Duration() Seconds { return s.End - s.Begin }

// traffic sums up the shifts, in a text for all ends and one for all beginnings.
func (s Step) traffic() (texts []string) {
	at := map[bool][]string{}
	for _, shift := range s.Shifts {
		at[shift.Began] = append(at[shift.Began], shift.Service+" at "+after(shift.Since))
	}
	for _, word := range []string{"last", "first"} {
		moments := at[word == "first"]
		if n := len(moments); n > 8 {
			texts = append(texts, fmt.Sprintf("%s request to %d services, from %s to %s", word, n, moments[0], moments[n-1]))
		} else if n > 0 {
			texts = append(texts, word+" request to "+strings.Join(moments, ", "))
		}
	}
	return texts
}

// Shift is a service's first or last request.
type Shift struct {
	Service string `json:"service"`
	// Began is false if the service's traffic ended.
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
	// Own counts requests to the service while the fault lasted, and OwnFailed the lost
	// and different ones.
	Own       int `json:"own"`
	OwnFailed int `json:"own_failed"`
	// Others counts requests to other services. None of them may fail.
	Others       int `json:"others"`
	OthersFailed int `json:"others_failed"`
	// Depending counts requests that other services answered with 503, because their records or answers depend on
	// the store that was harmed.
	Depending int `json:"depending"`
	// Why says what failed and must not, a line for each kind of failure. Empty if the fault
	// stayed within its service.
	Why []string `json:"why"`

	lossless   bool
	ofStore    bool
	harmed     int           // others that failed although the machine kept up
	begin, end time.Duration // when it excuses failures
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
	// Service and Target are where the load balancer sent the requests. Target is empty if
	// they went to several.
	Service string `json:"service"`
	Target  string `json:"target"`
	// Why explains it in a sentence.
	Why string `json:"why"`
	// Excused says that a fault explains the requests.
	Excused bool `json:"excused"`
	// Overloaded says that the machine was behind with the load while the requests were
	// under way. They say nothing about the deployment.
	Overloaded bool     `json:"overloaded"`
	Count      int      `json:"count"`
	First      Seconds  `json:"first_s"`
	Last       Seconds  `json:"last_s"`
	Samples    []Sample `json:"samples"`
}

// Stray is a group of requests that the wrong service answered, in the same phase or step.
type Stray struct {
	// Stage is the name of the phase or step.
	Stage string `json:"stage"`
	// Service answered, instead of one of those in Right.
	Service string   `json:"service"`
	Right   []string `json:"right"`
	Routes  []string `json:"routes"`
	Count   int      `json:"count"`
}

// String is a sentence.
func (s Stray) String() string {
	return fmt.Sprintf("%s answered %s to %s in %s instead of %s.", s.Service, count(s.Count, "request"), names(s.Routes), s.Stage, strings.Join(s.Right, " or "))
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
	// Name is the request's name in the report.
	Name   string `json:"name"`
	Method string `json:"method"`
	// Host is empty for that of the listener's URL.
	Host string `json:"host"`
	Path string `json:"path"`
	// Status, ContentType and Bytes are those of the baseline's answer.
	Status int `json:"status"`
	// Bare says that the route gave only 401, 403, 404 or a redirect in the first phase, which says nothing about the service.
	Bare        bool   `json:"bare"`
	ContentType string `json:"content_type"`
	Bytes       int    `json:"bytes"`
	Totals
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

// The files of a report.
const (
	pageFile  = "index.html"
	chartFile = "timeline.png"
	jsonFile  = "report.json"
)

// Prepare makes the directory of a report that is to come. It removes an older report, which
// nobody shall take for the new one, and finds out whether the directory takes files. It
// refuses a directory with a page or chart that is of no report: Save would replace it.
func Prepare(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	exists := func(name string) bool { _, err := os.Lstat(filepath.Join(dir, name)); return err == nil }
	for _, name := range []string{pageFile, chartFile} {
		if exists(name) && !exists(jsonFile) {
			return fmt.Errorf("it has the file %s without a %s, which is of no report: name another directory", name, jsonFile)
		}
	}
	for _, name := range []string{pageFile, chartFile, jsonFile} { // report.json says that the others are a report's
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	file, err := os.CreateTemp(dir, ".report")
	if err != nil {
		return err
	}
	return errors.Join(file.Close(), os.Remove(file.Name()))
}

// Save writes the report into a directory, and makes the directory if there is none.
// The files are the page index.html, the chart timeline.png, and report.json. Save
// returns the page's path.
func (r *Report) Save(dir string) (page string, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("saving the report: %w", err)
	}
	for _, file := range []struct {
		name  string
		write func(io.Writer) error
	}{{jsonFile, r.WriteJSON}, {chartFile, r.WriteChart}, {pageFile, r.WritePage}} { // as Prepare needs them
		var b bytes.Buffer
		err := file.write(&b)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, file.name), b.Bytes(), 0o644)
		}
		if err != nil {
			return "", fmt.Errorf("saving the report: %w", err)
		}
	}
	return filepath.Join(dir, pageFile), nil
}
