package main

import "testing"

func TestStatistics(t *testing.T) {
	// In the third round the machine was busy with something else.
	if got := median(ratios([]float64{1.4, 1.5, 14}, []float64{1, 1, 10})); got < 1.399 || got > 1.401 {
		t.Errorf("the ratio is %f, want 1.4", got)
	}
	if got, want := spread([]float64{2, 8, 4, 6}, 1), "5.0 (2.0 to 8.0)"; got != want {
		t.Errorf("the spread is %s, want %s", got, want)
	}
}
