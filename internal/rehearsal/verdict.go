package rehearsal

import (
	"fmt"
	"strconv"
	"strings"
)

// verdict judges a report that is complete otherwise.
func (r *Rehearsal) verdict(report *Report) Verdict {
	var reasons []string
	add := func(format string, a ...any) { reasons = append(reasons, fmt.Sprintf(format, a...)) }

	for _, s := range r.spans {
		switch {
		case s.err == nil:
		case r.interrupted:
			add("Broken off in %s.", s.name())
		case s.kind == deploying:
			add("%s could not be deployed: %v", s.next, s.err)
		default:
			add("%v", s.err)
		}
	}
	for _, f := range r.pending {
		if f.Phase == "" {
			add("Fault %s was not done: %s answered no requests in any phase that was reached.", f, f.Service)
		} else {
			add("Fault %s was not done: the phase was not reached.", f)
		}
	}
	for _, step := range report.Steps {
		if f := step.Fault; f != nil && f.OthersFailed > 0 {
			add("%s in %s did not stay within its paths: %s elsewhere failed.", capital(step.Name), f.Phase, count(f.OthersFailed, "request"))
		}
	}
	for _, loss := range report.Losses {
		if loss.Excused {
			continue
		}
		add("%s, %s: %s in %s.", capital(loss.what()), loss.Why, count(loss.Count, "request"), loss.Stage)
	}
	if report.Totals.Requests == 0 {
		add("No request was sent.")
	}

	if len(reasons) == 0 {
		return Verdict{true, r.success(report), nil}
	}
	return Verdict{false, failure(report, reasons[0]), reasons}
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
	if len(parts) == 0 {
		beyond := ""
		if t.Excused > 0 {
			beyond = " that no fault explains"
		}
		// An error may have many lines.
		first, _, _ := strings.Cut(reason, "\n")
		return fmt.Sprintf("No request was lost%s, but the rehearsal was not carried through: %s", beyond, first)
	}
	sentence := fmt.Sprintf("Of %s, %s.", count(t.Requests, "request"), strings.Join(parts, " and "))
	for _, loss := range report.Losses {
		switch {
		case loss.Excused:
		case loss.Count == lost+different:
			sentence += fmt.Sprintf(" All of them in %s: %s.", loss.Stage, loss.Why)
		case loss.Count*2 > lost+different:
			sentence += fmt.Sprintf(" Most of them in %s: %s.", loss.Stage, loss.Why)
		}
	}
	return sentence
}

func (r *Rehearsal) success(report *Report) string {
	t := report.Totals
	measure := "what was given"
	if len(report.BaselineServices) > 0 {
		measure = "what " + strings.Join(report.BaselineServices, ", ") + " gave"
	}
	measure += " in " + report.BaselinePhase + " before the load began"
	var faults []string
	for _, step := range report.Steps {
		if step.Fault != nil {
			faults = append(faults, fmt.Sprintf("%s: %s failed", step.Name, count(step.Fault.OwnFailed, "request")))
		}
	}
	if len(faults) == 0 {
		return fmt.Sprintf("None of %s was lost, and every answer is byte for byte %s.", count(t.Requests, "request"), measure)
	}
	return fmt.Sprintf("Each fault stayed within its service (%s). None of the other %s was lost, and every answer is byte for byte %s.",
		strings.Join(faults, "; "), count(t.Requests-t.Excused, "request"), measure)
}

// what is what the client saw, with the status if there was one.
func (l Loss) what() string {
	if l.Status == 0 {
		return l.Kind
	}
	return fmt.Sprintf("%s (%d)", l.Kind, l.Status)
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

// unexcused counts the requests that no fault explains.
func (r *Report) unexcused() (lost, different int) {
	lost, different = r.Totals.Lost, r.Totals.Different
	for _, loss := range r.Losses {
		switch {
		case !loss.Excused:
		case strings.HasPrefix(loss.Kind, "different"):
			different -= loss.Count
		default:
			lost -= loss.Count
		}
	}
	return lost, different
}
