package review

import (
	"slices"
	"strings"

	"cutover/internal/deployable"
	"cutover/internal/model"
	"cutover/internal/plain"
)

// Refused are the lines of what AWS refuses to create after the changes, each once.
func Refused(pairs []Pair) []string {
	lines := []string{}
	for _, pair := range pairs {
		err := deployable.Refused(model.Read(pair.After))
		if err == nil {
			continue
		}
		for line := range strings.SplitSeq(err.Error(), "\n") {
			if !slices.Contains(lines, line) {
				lines = append(lines, line)
			}
		}
	}
	return lines
}

func (r *Report) refused() string {
	return "- " + strings.Join(apply(plain.Markdown, r.Refused), "\n- ") + "\n"
}
