package review

import (
	"fmt"
	"slices"
	"strings"

	"cutover/internal/plain"
)

// told is what a change of any kind has: the pairs that it is in, what it is about, what it does, and whether it is grave.
type told struct {
	in       *[]string
	of, does string
	grave    bool
}

// change is a change of the kind T.
type change[T any] interface {
	*T
	told() told
}

// merged lists the changes of the pairs, each once with all of its pairs. Grave ones come first.
func merged[T any, C change[T]](pairs []Pair, changes func(Pair) []T) []T {
	tell := func(c *T) told { return C(c).told() }
	all := []T{}
	for _, pair := range pairs {
		for _, change := range changes(pair) {
			about := tell(&change)
			same := slices.IndexFunc(all, func(other T) bool { o := tell(&other); return o.of == about.of && o.does == about.does })
			if same < 0 {
				same, all = len(all), append(all, change)
			}
			if in := tell(&all[same]).in; !slices.Contains(*in, pair.Name) {
				*in = append(*in, pair.Name)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b T) int {
		switch first := tell(&a).grave; {
		case first == tell(&b).grave:
			return 0
		case first:
			return -1
		}
		return 1
	})
	return all
}

// list writes down the changes that are grave, or the others. Text writes what a change does in Markdown.
func list[T any, C change[T]](r *Report, changes []T, grave bool, text func(string) string) string {
	var b strings.Builder
	for i := range changes {
		c := C(&changes[i]).told()
		if c.grave != grave {
			continue
		}
		does := text(c.does)
		if grave {
			does = "**" + does + "**"
		}
		fmt.Fprintf(&b, "- %s %s (%s)\n", plain.Code(c.of), does, plain.Markdown(r.in(*c.in)))
	}
	return b.String()
}
