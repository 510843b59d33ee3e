package rehearsal

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"cutover/internal/plain"
)

// Outcome is the result of a rehearsal.
type Outcome string

const (
	// Passed: no request was lost, every answer matched, and the walk was completed with
	// the load that was planned.
	Passed Outcome = "passed"
	// Contained is passed, but for requests that were lost to faults, each in its service.
	Contained Outcome = "contained"
	// Failed: something went wrong that neither a fault nor the machine explains.
	Failed Outcome = "failed"
	// Inconclusive: the machine could not hold the load, or a check could not be decided. So the rehearsal proves
	// nothing.
	Inconclusive Outcome = "inconclusive"
)

// Verdict says what a rehearsal has proved.
type Verdict struct {
	Outcome Outcome `json:"outcome"`
	// Passed is true for the outcomes passed and contained.
	Passed bool `json:"passed"`
	// Sentence sums it up.
	Sentence string `json:"sentence"`
	// Reasons say why it is not passed. Empty if it is.
	Reasons []string `json:"reasons"`
	// Gaps list what the rehearsal says nothing about, whatever the outcome.
	Gaps []string `json:"gaps"`
	// Intended lists what no request has to try: by design nobody answers there, or no request comes there.
	Intended []string `json:"intended"`
}

// MarshalJSON adds the word.
func (v Verdict) MarshalJSON() ([]byte, error) {
	type fields Verdict
	return json.Marshal(struct {
		Word string `json:"word"`
		fields
	}{v.Word(), fields(v)})
}

// ExitCode is a row of [ExitCodes].
type ExitCode struct {
	Code  int
	Means string
}

// ExitCodes are all exit codes of "cutover rehearse". They never change.
func ExitCodes() []ExitCode {
	return []ExitCode{
		{0, "passed, with or without gaps"},
		{1, "failed, or the rehearsal could not begin"},
		{3, "passed, but for requests that were lost to the faults you asked for, in their services"},
		{4, "passed with gaps, and you asked for --strict"},
		{5, "inconclusive: the machine could not hold the load, or a check could not be decided"},
		{130, "interrupted"},
	}
}

// ExitCode is the exit code for a verdict. Strict does not take gaps.
func (v Verdict) ExitCode(strict bool) int {
	switch {
	case v.Outcome == Contained:
		return 3
	case v.Outcome == Inconclusive:
		return 5
	case v.Outcome != Passed:
		return 1
	case strict && len(v.Gaps) > 0:
		return 4
	}
	return 0
}

// Word is the verdict in short: passed, passed with gaps, failed or inconclusive.
func (v Verdict) Word() string {
	switch {
	case v.Passed && len(v.Gaps) > 0:
		return "passed with gaps"
	case v.Passed:
		return "passed"
	case v.Outcome == Inconclusive:
		return "inconclusive"
	}
	return "failed"
}

// judge judges a report that is complete otherwise. Undone says what of the walk and the
// faults was not carried out.
//
// A lost request is inconclusive if the machine was behind with the load while the
// request was under way. Everything else that went wrong is failed, however late the
// load: no overload changes the bytes of an answer. A load that was not as planned is
// inconclusive even if nothing was lost, because passed is a claim about the load.
func judge(report *Report, undone, gaps []string) Verdict {
	if len(report.Phases) == 0 && report.Load.WouldHold > 0 {
		sentence := fmt.Sprintf("Of %s per second, this machine managed about %s in a trial, so there was no walk. %s",
			count(report.Rate, "request"), group(report.Load.Tried), hint(report.Load))
		reasons := append(findings(report), sentence)
		if len(reasons) > 1 {
			return Verdict{Outcome: Failed, Sentence: reasons[0] + " " + sentence, Reasons: reasons, Gaps: gaps}
		}
		return Verdict{Outcome: Inconclusive, Sentence: sentence, Reasons: reasons, Gaps: gaps}
	}
	failed, unclear := undone, report.undecided
	add := func(to *[]string, format string, a ...any) { *to = append(*to, fmt.Sprintf(format, a...)) }
	if report.Totals.Requests == 0 {
		add(&failed, "No request was sent.")
	}
	var never []string
	for _, route := range report.Routes {
		if route.Requests == 0 && report.Totals.Requests > 0 {
			never = append(never, route.Name)
		}
	}
	if len(never) > 0 {
		add(&failed, "Never requested: %s.", names(never))
	}
	for _, step := range report.Steps {
		if f := step.Fault; f != nil && f.harmed > 0 {
			add(&failed, "%s in %s did not stay within its paths: %s elsewhere failed.", capital(step.Name), f.Phase, count(f.harmed, "request"))
		}
	}
	for _, loss := range report.Losses {
		reason := fmt.Sprintf("%s, %s: %s in %s.", capital(loss.what()), loss.Why, count(loss.Count, "request"), loss.Stage)
		switch {
		case loss.Excused:
		case loss.Overloaded:
			add(&unclear, "%s", reason)
		default:
			add(&failed, "%s", reason)
		}
	}
	for _, stray := range report.Strays {
		add(&failed, "%s", stray)
	}
	failed = append(failed, findings(report)...)
	if report.Load.WouldHold > 0 {
		unclear = append([]string{notHeld(report)}, unclear...)
	}
	switch t := report.Totals; {
	case len(failed) > 0:
		return Verdict{Outcome: Failed, Sentence: failure(report, failed[0]), Reasons: append(failed, unclear...), Gaps: gaps}
	case len(unclear) > 0:
		return Verdict{Outcome: Inconclusive, Sentence: inconclusive(report, unclear[0]), Reasons: unclear, Gaps: gaps}
	case t.Lost+t.Different > 0:
		return Verdict{Outcome: Contained, Passed: true, Sentence: success(report), Gaps: gaps}
	}
	return Verdict{Outcome: Passed, Passed: true, Sentence: success(report), Gaps: gaps}
}

// undone says what of the walk and the faults was not carried out.
func (r *Rehearsal) undone() (reasons []string) {
	add := func(format string, a ...any) { reasons = append(reasons, fmt.Sprintf(format, a...)) }
	for _, s := range r.spans {
		switch {
		case s.err == nil:
		case r.interrupted == errMost:
			add("Broken off in %s: %v.", s.name(), errMost)
		case r.interrupted != nil:
			add("Broken off in %s.", s.name())
		case s.kind == deploying:
			add("%s could not be deployed: %s", s.next, plain.Visible(s.err.Error()))
		default:
			add("%s", plain.Visible(s.err.Error()))
		}
	}
	for _, f := range r.pending {
		if f.Phase == "" {
			add("Fault %s was not done: %s answered no requests in any phase that was reached.", f, f.Service)
		} else {
			add("Fault %s was not done: the phase was not reached.", f)
		}
	}
	return reasons
}

// notHeld says how far the load was from the plan, why, and which rate would hold.
func notHeld(r *Report) string {
	l := r.Load
	cause := "The machine was too busy."
	if l.heldUp() {
		cause = fmt.Sprintf("The deployment left %s without an answer, and the machine was not busy.", count(maxInFlight, "request"))
	}
	return fmt.Sprintf("The load of %s per second was not held: of %s planned, %s more than a second late, by up to %s. %s %s",
		count(r.Rate, "request"), group(l.Planned), wasWere(l.Late), r.Late.Max, cause, hint(l))
}

func hint(l Load) string { return fmt.Sprintf("--rate %d would hold.", l.WouldHold) }

func inconclusive(r *Report, reason string) string {
	n := 0
	for _, loss := range r.Losses {
		if loss.Overloaded {
			n += loss.Count
		}
	}
	if n == 0 {
		return reason
	}
	lost := fmt.Sprintf("%s lost while the machine was behind with the load by up to %s, so they say nothing about the deployment.",
		wasWere(n), r.Late.Max)
	if r.Load.WouldHold == 0 {
		return fmt.Sprintf("Of %s, %s Rehearse again when the machine has less to do.", count(r.Totals.Requests, "request"), lost)
	}
	return reason + " Of the requests, " + lost
}

func failure(report *Report, reason string) string {
	t := report.Totals
	lost, different := report.unexcused()
	var parts []string
	if lost > 0 {
		parts = append(parts, wasWere(lost)+" lost")
	}
	if different > 0 {
		parts = append(parts, wasWere(different)+" answered differently")
	}
	strays := 0
	for _, stray := range report.Strays {
		strays += stray.Count
	}
	if strays > 0 {
		parts = append(parts, wasWere(strays)+" answered by the wrong service")
	}
	if len(parts) == 0 && report.foreseen > 0 && report.foreseen == len(report.Findings) {
		return fmt.Sprintf("No request was lost, but others would be. %s", report.Findings[0])
	}
	if len(parts) == 0 && len(report.Findings) > 0 {
		return fmt.Sprintf("No answer of %s was wrong by itself. %s", count(t.Requests, "request"), report.Findings[0])
	}
	if len(parts) == 0 {
		beyond := ""
		if t.Lost+t.Different > 0 {
			beyond = " that neither a fault nor the machine explains"
		}
		// An error may have many lines.
		first, _, _ := strings.Cut(reason, "\n")
		return fmt.Sprintf("No request was lost%s, but the rehearsal was not carried through: %s", beyond, first)
	}
	sentence := fmt.Sprintf("Of %s, %s.", count(t.Requests, "request"), strings.Join(parts, " and "))
	for _, loss := range report.Losses {
		switch {
		case loss.Excused, loss.Overloaded:
		case loss.Count == lost+different:
			sentence += fmt.Sprintf(" All of them in %s: %s.", loss.Stage, loss.Why)
		case loss.Count*2 > lost+different:
			sentence += fmt.Sprintf(" Most of them in %s: %s.", loss.Stage, loss.Why)
		}
	}
	if strays > 0 {
		sentence += " " + report.Strays[0].String()
	}
	if len(report.Findings) > 0 {
		sentence += " " + report.Findings[0].String()
	}
	return sentence
}

func success(report *Report) string {
	t := report.Totals
	measure := "what was given"
	if len(report.BaselineServices) > 0 {
		measure = "what " + names(report.BaselineServices) + " gave"
	}
	measure += " in " + report.BaselinePhase + " before the load began"
	if report.loose {
		measure += ", but for what is not compared"
	} else {
		measure = "byte for byte " + measure
	}
	var faults []string
	for _, step := range report.Steps {
		if step.Fault != nil {
			text := fmt.Sprintf("%s: %s failed", step.Name, count(step.Fault.OwnFailed, "request"))
			if n := step.Fault.Depending; n > 0 {
				text += fmt.Sprintf(", and %s of services that depend on its store", group(n))
			}
			faults = append(faults, text)
		}
	}
	if len(faults) == 0 {
		return fmt.Sprintf("None of %s was lost, and every answer is %s.", count(t.Requests, "request"), measure)
	}
	return fmt.Sprintf("Each fault stayed within its service (%s). None of the other %s was lost, and every answer is %s.",
		strings.Join(faults, "; "), count(t.Requests-t.Excused, "request"), measure)
}

// findings are sentences.
func findings(r *Report) (texts []string) {
	for _, finding := range r.Findings {
		texts = append(texts, finding.String())
	}
	return texts
}

// String is a sentence.
func (f Finding) String() string {
	text := capital(f.Kind)
	if f.Stage != "" {
		text += " in " + f.Stage
	}
	text += ": " + strings.TrimSuffix(f.Text, ".")
	if f.Count > 1 {
		text += fmt.Sprintf(", and %s more", group(f.Count-1))
	}
	return text + "."
}

// what is what the client saw, with the status if there was one.
func (l Loss) what() string {
	if l.Status == 0 {
		return l.Kind
	}
	return fmt.Sprintf("%s (%d)", l.Kind, l.Status)
}

// names lists names. It counts those after the first five.
func names(list []string) string {
	const most = 5
	if len(list) <= most+1 {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %s more", strings.Join(list[:most], ", "), group(len(list)-most))
}

func wasWere(n int) string {
	if n == 1 {
		return "1 was"
	}
	return group(n) + " were"
}

func count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return group(n) + " " + noun
}

// group writes a number with commas between the thousands.
func group(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func capital(text string) string {
	return strings.ToUpper(text[:1]) + text[1:]
}

// unexcused counts the requests that neither a fault nor the machine explains.
func (r *Report) unexcused() (lost, different int) {
	lost, different = r.Totals.Lost, r.Totals.Different
	for _, loss := range r.Losses {
		switch {
		case !loss.Excused && !loss.Overloaded:
		case strings.HasPrefix(loss.Kind, "different"):
			different -= loss.Count
		default:
			lost -= loss.Count
		}
	}
	return lost, different
}
