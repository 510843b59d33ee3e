package rehearsal

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// verdict is written last, from what the report says otherwise.
func (r *run) verdict(report *Report) Verdict {
	t := report.Totals
	var reasons []string
	add := func(format string, a ...any) { reasons = append(reasons, fmt.Sprintf(format, a...)) }

	for _, s := range r.spans {
		switch {
		case s.err == nil:
		case errors.Is(s.err, context.Canceled), errors.Is(s.err, context.DeadlineExceeded):
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
		what := loss.Kind
		if loss.Status != 0 {
			what = fmt.Sprintf("%s (%d)", loss.Kind, loss.Status)
		}
		add("%s, %s: %s in %s.", capital(what), loss.Why, count(loss.Count, "request"), loss.Stage)
	}
	if t.Requests == 0 {
		add("No request was sent.")
	}

	if len(reasons) == 0 {
		return Verdict{true, r.success(report), nil}
	}
	var sentence string
	bad := t.Lost + t.Different - t.Excused
	switch {
	case bad == 0:
		sentence = fmt.Sprintf("No request was lost that no fault explains, but the rehearsal is not complete. %s", reasons[0])
	default:
		var parts []string
		lost, different := 0, 0
		var worst *Loss
		for i, loss := range report.Losses {
			if loss.Excused {
				continue
			}
			if strings.HasPrefix(loss.Kind, "different") {
				different += loss.Count
			} else {
				lost += loss.Count
			}
			if worst == nil || loss.Count > worst.Count {
				worst = &report.Losses[i]
			}
		}
		if lost > 0 {
			parts = append(parts, fmt.Sprintf("%s lost", wasWere(lost)))
		}
		if different > 0 {
			parts = append(parts, fmt.Sprintf("%s answered differently", wasWere(different)))
		}
		sentence = fmt.Sprintf("Of %s, %s.", count(t.Requests, "request"), strings.Join(parts, " and "))
		share := "Most of them"
		if worst.Count == bad {
			share = "All of them"
		}
		if worst.Count*2 >= bad {
			sentence += fmt.Sprintf(" %s in %s: %s.", share, worst.Stage, worst.Why)
		}
	}
	return Verdict{false, sentence, reasons}
}

func (r *run) success(report *Report) string {
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

// group writes a number with its thousands apart.
func group(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func capital(text string) string {
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:]
}
