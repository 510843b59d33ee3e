package review_test

import (
	"fmt"
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

// The gaps of a rehearsal stand below its verdict, in the whole review and in the comment.
func TestGapsOfARehearsal(t *testing.T) {
	for n, want := range map[int]string{
		1: "- The rehearsal **PASSED WITH GAPS**: Nothing was lost.\n  - Gap: rule 1\\*\n",
		5: "\n  - Gap: rule 5\\*\n\n",
		6: "\n  - Gap: rule 5\\*\n  - and 1 more gap\n",
		8: "\n  - Gap: rule 5\\*\n  - and 3 more gaps\n",
	} {
		var gaps []string
		for i := range n {
			gaps = append(gaps, fmt.Sprintf("rule %d*", i+1))
		}
		r := review.Report{Rehearsal: &review.Rehearsal{Verdict: rehearsal.Verdict{Outcome: rehearsal.Passed, Passed: true, Sentence: "Nothing was lost.", Gaps: gaps}}}
		for _, text := range []string{r.Markdown(), r.Comment(review.Limit, "files")} {
			if !strings.Contains(text, want) {
				t.Errorf("%d gaps: %q is not in\n%s", n, want, text)
			}
		}
		if r.Found("rehearsal") != 0 {
			t.Errorf("%d gaps are a finding", n)
		}
	}
}
