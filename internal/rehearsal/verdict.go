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

	whose := "answered in " + report.BaselinePhase + " before the load began"
	if len(report.BaselineServices) > 0 {
		whose = strings.Join(report.BaselineServices, ", ") + " " + whose
	} else {
		whose = "was " + whose
	}
	var sentence string
	if len(reasons) == 0 {
		sentence = fmt.Sprintf("None of %s was lost on the way %s, and every answer is byte for byte what %s.",
			count(t.Requests, "request"), strings.Join(r.Path, " → "), whose)
		for _, step := range report.Steps {
			if f := step.Fault; f != nil {
				if f.OwnFailed == 0 {
					sentence += fmt.Sprintf(" %s in %s made no request fail.", capital(step.Name), f.Phase)
				} else {
					sentence += fmt.Sprintf(" %s in %s made %s fail, all of them to %s; the %s to other services were answered.",
						capital(step.Name), f.Phase, count(f.OwnFailed, "request"), f.Service, group(f.Others))
				}
			}
		}
		if t.Excused > 0 {
			sentence = strings.Replace(sentence, "None of", "Apart from what the faults explain, none of", 1)
		}
		return Verdict{true, sentence, nil}
	}

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
		share := "Most"
		if worst.Count == bad {
			share = "All"
		}
		if worst.Count*2 >= bad {
			sentence += fmt.Sprintf(" %s of it in %s: %s.", share, worst.Stage, worst.Why)
		}
	}
	return Verdict{false, sentence, reasons}
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
