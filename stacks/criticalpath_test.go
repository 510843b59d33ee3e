package stacks_test

import (
	"testing"

	"cutover/internal/analysis/criticalpath"
	"cutover/internal/nightly"
)

// TestCriticalPathOfProduction states what stacks/golden states of the phases: without a
// certificate, too, production waits for an alarm besides.
func TestCriticalPathOfProduction(t *testing.T) {
	nightly.Test(t, "it synthesizes production without a certificate")
	p, err := criticalpath.Read(nil, synth(t, settings{"env": "prod"}))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "length", criticalpath.Length{Stacks: 4, Steps: 15, Seconds: 10}, p.Longest)
	if len(p.Unknown) > 0 {
		t.Errorf("not known: %v", p.Unknown)
	}
}
