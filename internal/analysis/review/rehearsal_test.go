package review_test

import (
	"strings"
	"testing"

	"cutover/internal/analysis/review"
	"cutover/internal/rehearsal"
)

// A rehearsal that proves nothing is neither passed nor failed. It counts as a finding.
func TestInconclusiveRehearsal(t *testing.T) {
	rehearsed, err := review.NewRehearsal(&rehearsal.Report{
		Totals:  rehearsal.Totals{Requests: 10},
		Verdict: rehearsal.Verdict{Outcome: rehearsal.Inconclusive, Sentence: "The load was not held.", Gaps: []string{"a rule"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(rehearsed.Summary, "INCONCLUSIVE") || !strings.HasSuffix(rehearsed.Summary, "Gap: a rule\n") {
		t.Errorf("the summary without its verdict is\n%s", rehearsed.Summary)
	}
	r := review.Report{Rehearsal: rehearsed}
	if text := r.Markdown(); r.Found("rehearsal") != 1 || strings.Count(text, "**INCONCLUSIVE**") != 2 || strings.Contains(text, "FAILED") {
		t.Error(text)
	}
}
