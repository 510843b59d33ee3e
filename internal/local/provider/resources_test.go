package provider

import (
	"fmt"
	"testing"
)

// What is new or changed is there after the update, what is gone until the stack is
// clean. Other stacks stay as they are.
func TestUpdatedAndCleaned(t *testing.T) {
	now := Resources[int]{"A/kept": 1, "A/changed": 1, "A/gone": 1, "B/own": 1, "A-B/own": 1}
	next := Resources[int]{"A/kept": 1, "A/changed": 2, "A/new": 2, "B/own": 2}
	updated := now.Updated("A", next)
	cleaned := updated.Cleaned("A", next)
	for _, c := range []struct {
		what string
		got  Resources[int]
		want string
	}{
		{"before", now, "map[A-B/own:1 A/changed:1 A/gone:1 A/kept:1 B/own:1]"},
		{"updated", updated, "map[A-B/own:1 A/changed:2 A/gone:1 A/kept:1 A/new:2 B/own:1]"},
		{"cleaned", cleaned, "map[A-B/own:1 A/changed:2 A/kept:1 A/new:2 B/own:1]"},
		{"without a plan", cleaned.Cleaned("A", nil), "map[A-B/own:1 B/own:1]"},
		{"from nothing", Resources[int](nil).Cleaned("A", next).Updated("B", next), "map[B/own:2]"},
	} {
		if got := fmt.Sprint(c.got); got != c.want {
			t.Errorf("%s: %s, want %s", c.what, got, c.want)
		}
	}
	if keys := fmt.Sprint(now.Keys()); keys != "[A/changed A/gone A/kept A-B/own B/own]" {
		t.Errorf("the keys are %s, want them by stack", keys)
	}
}
