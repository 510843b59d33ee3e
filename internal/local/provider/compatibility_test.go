package provider

import (
	"fmt"
	"testing"

	"cutover/internal/assembly"
	"cutover/internal/model"
)

func TestSettings(t *testing.T) {
	got := fmt.Sprint(Settings(
		map[string]string{"b": "", "A": "off"}, map[string]string{"warns": "w"}, map[string]string{"c": "lists"}, map[string]string{"A": "reason", "d": "refuses"}))
	want := "[{A only `off` reason} {b has no effect } {c passed over, and listed lists} {d refused refuses} {warns left out, with a warning w}]"
	if got != want {
		t.Errorf("the settings are %s, want %s", got, want)
	}
}

// What the document says of a limited setting is what is checked.
func TestLimits(t *testing.T) {
	limits := []Limit[string]{{"A.B", func(s string) string { return s }, []string{"x", "y"}, ""}, {"C", func(s string) string { return s }, []string{"x"}, "reason"}}
	if got, want := fmt.Sprint(Limits(limits)), "[{A.B only `x`, `y` } {C only `x` reason}]"; got != want {
		t.Errorf("the document has %s, want %s", got, want)
	}
	b := &model.Base{Resource: &assembly.Resource{LogicalID: "R", Stack: &assembly.Stack{Name: "S"}}}
	for value, want := range map[string]string{
		"x": "<nil> <nil>",
		"y": `<nil> S/R/Properties.C: "y" is not honoured: reason`,
		"z": `S/R/Properties.A.B: "z" is not honoured: only x, y is known here S/R/Properties.C: "z" is not honoured: reason`,
	} {
		if got := fmt.Sprint(limits[0].Check(b, value), " ", limits[1].Check(b, value)); got != want {
			t.Errorf("%s: %s, want %s", value, got, want)
		}
	}
}
