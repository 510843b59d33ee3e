package words

import "testing"

func TestWords(t *testing.T) {
	for got, want := range map[string]string{
		Count(0, "task"): "0 tasks", Count(1, "task"): "1 task", Count(2, "task"): "2 tasks",
		Choice(nil): "there is none", Choice([]string{"a"}): "choose from a", Choice([]string{"a", "b"}): "choose from a, b",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
