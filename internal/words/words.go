// Package words writes numbers with their nouns.
package words

import "fmt"

// Count is like "1 task" or "2 tasks".
func Count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}
