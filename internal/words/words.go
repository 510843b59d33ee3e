// Package words writes numbers with their nouns, and what there is to choose from.
package words

import (
	"fmt"
	"strings"
)

// Count is like "1 task" or "2 tasks".
func Count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

// Choice ends the sentence that there is no such thing: "choose from a, b", or "there is none" if
// there is nothing to choose from.
func Choice(names []string) string {
	if len(names) == 0 {
		return "there is none"
	}
	return "choose from " + strings.Join(names, ", ")
}
