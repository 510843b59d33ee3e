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

// Sparklines draws how many requests each service answered in the course of a rehearsal.
// The result is a line of text for each service, with at most that many columns beside
// the names. A comment cannot show an image that is not published somewhere.
func Sparklines(r *rehearsal.Report, columns int) string {
	if len(r.Slices) == 0 || r.Duration <= 0 {
		return ""
	}
	per := (len(r.Slices) + columns - 1) / columns
	columns = (len(r.Slices) + per - 1) / per
	answered := make([]map[string]int, columns)
	failed := make([]int, columns)
	names := slices.Clone(r.Services)
	for i, slice := range r.Slices {
		column := i / per
		if answered[column] == nil {
			answered[column] = map[string]int{}
		}
		for name, n := range slice.ByService {
			answered[column][name] += n
			if n > 0 && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		failed[column] += slice.Lost + slice.Different
	}
	// The last column may be narrower. It is drawn by its rate like the others.
	width := func(column int) float64 {
		begin := float64(per*column) * float64(r.SliceWidth)
		return max(float64(r.SliceWidth)/2, min(float64(per)*float64(r.SliceWidth), float64(r.Duration)-begin))
	}
	most := 0.0
	for column, by := range answered {
		for _, n := range by {
			most = max(most, float64(n)/width(column))
		}
	}
	label := len("lost")
	for _, name := range names {
		label = max(label, len([]rune(name)))
	}

	var b strings.Builder
	line := func(name, text string) {
		fmt.Fprintf(&b, "%-*s  %s\n", label, name, strings.TrimRight(text, " "))
	}
	marks := []rune(strings.Repeat(" ", columns+len(r.Phases)))
	var legend []string
	next := 0
	for i, phase := range r.Phases {
		at := max(next, min(columns-1, int(float64(phase.Begin)/float64(r.SliceWidth))/per))
		mark := rune('1' + i)
		if i > 8 {
			mark = rune('a' + i - 9)
		}
		marks[at] = mark
		next = at + 1
		legend = append(legend, fmt.Sprintf("%c %s", mark, phase.Name))
	}
	line("", string(marks))
	for _, name := range names {
		var row strings.Builder
		for column, by := range answered {
			height := 0
			if most > 0 {
				height = int(math.Ceil(8 * float64(by[name]) / width(column) / most))
			}
			row.WriteRune([]rune(bars)[min(8, height)])
		}
		line(name, row.String())
	}
	var row strings.Builder
	for _, n := range failed {
		if n > 0 {
			row.WriteRune('✗')
		} else {
			row.WriteRune('·')
		}
	}
	line("lost", row.String())
	fmt.Fprintf(&b, "\n%s\n", strings.Join(legend, "   "))
	fmt.Fprintf(&b, "A column is %.2g s, a full one %.0f requests a second; ✗ is where requests were lost or answered differently.\n",
		float64(per)*float64(r.SliceWidth), most)
	return b.String()
}
