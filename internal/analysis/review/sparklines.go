package review

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"cutover/internal/rehearsal"
)

// bars are eighths of a line's height.
const bars = " ▁▂▃▄▅▆▇█"

// column is a part of a rehearsal.
type column struct {
	seconds  float64
	answered map[string]int // by service
	failed   int            // lost, or answered differently
}

// columnsOf spreads the slices over so many columns at most. names are the services.
func columnsOf(r *rehearsal.Report, most int) (columns []column, per int, names []string) {
	per = (len(r.Slices) + most - 1) / most
	names = slices.Clone(r.Services)
	for i, slice := range r.Slices {
		if i%per == 0 {
			// The last column may be narrower. It is drawn by its rate like the others.
			left := float64(r.Duration) - float64(i)*float64(r.SliceWidth)
			seconds := max(float64(r.SliceWidth)/2, min(float64(per)*float64(r.SliceWidth), left))
			columns = append(columns, column{seconds: seconds, answered: map[string]int{}})
		}
		c := &columns[len(columns)-1]
		for name, n := range slice.ByService {
			c.answered[name] += n
			if n > 0 && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		c.failed += slice.Lost + slice.Different
	}
	return columns, per, names
}

// Sparklines draws how many requests each service answered in the course of a rehearsal, a line of
// text for each. A comment cannot show an image that is not published somewhere.
func Sparklines(r *rehearsal.Report, most int) string {
	if len(r.Slices) == 0 || r.Duration <= 0 {
		return ""
	}
	columns, per, names := columnsOf(r, most)
	label, full, lost := len("lost"), 0.0, ""
	for _, name := range names {
		label = max(label, len([]rune(name)))
	}
	for _, c := range columns {
		for _, n := range c.answered {
			full = max(full, float64(n)/c.seconds)
		}
		if c.failed > 0 {
			lost += "✗"
		} else {
			lost += "·"
		}
	}

	var b strings.Builder
	line := func(name, text string) {
		fmt.Fprintf(&b, "%-*s  %s\n", label, name, strings.TrimRight(text, " "))
	}
	marks := []rune(strings.Repeat(" ", len(columns)+len(r.Phases)))
	var legend []string
	next := 0
	for i, phase := range r.Phases {
		at := max(next, min(len(columns)-1, int(float64(phase.Begin)/float64(r.SliceWidth))/per))
		marks[at] = rune('1' + i)
		if i > 8 {
			marks[at] = rune('a' + i - 9)
		}
		next = at + 1
		legend = append(legend, fmt.Sprintf("%c %s", marks[at], phase.Name))
	}
	line("", string(marks))
	for _, name := range names {
		var row strings.Builder
		for _, c := range columns {
			height := 0
			if full > 0 {
				height = int(math.Ceil(8 * float64(c.answered[name]) / c.seconds / full))
			}
			row.WriteRune([]rune(bars)[min(8, height)])
		}
		line(name, row.String())
	}
	line("lost", lost)
	fmt.Fprintf(&b, "\n%s\n", strings.Join(legend, "   "))
	fmt.Fprintf(&b, "A column is %.2g s, a full one %.0f requests a second; ✗ is where requests were lost or answered differently.\n",
		float64(per)*float64(r.SliceWidth), full)
	return b.String()
}
