package review

import "slices"

// told is what a change of any kind has: the pairs that it is in, what it is about, what it does, and whether it is grave.
type told struct {
	in       *[]string
	of, does string
	grave    bool
}

// merged lists the changes of the pairs, each once with all of its pairs. Grave ones come first.
func merged[T any](pairs []Pair, changes func(Pair) []T, tell func(*T) told) []T {
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
