// Package latency counts how long answers took.
package latency

import (
	"math"
	"math/bits"
	"time"
)

// Latencies are counted by class. Up to 32 µs a class is one microsecond; from there on each
// doubling has 16 classes, so a class is at most 1/32 wrong. The last class has all latencies from
// two minutes on.
const (
	perDoubling = 16
	classes     = perDoubling * 24
)

// Counts are answers by how long they took. The zero value has none.
type Counts [classes]uint32

// Note counts an answer.
func (c *Counts) Note(d time.Duration) { c[classOf(d)]++ }

// Add adds the answers of others.
func (c *Counts) Add(others *Counts) {
	for class, n := range others {
		c[class] += n
	}
}

// Percentile is the time in which a share of the answers came, from 0 to 1. It is 0 without answers.
func (c *Counts) Percentile(share float64) time.Duration {
	var answers uint64
	for _, n := range c {
		answers += uint64(n)
	}
	rank := uint64(math.Ceil(float64(answers) * share))
	for class, n := range c {
		if n := uint64(n); n < rank {
			rank -= n
		} else if rank > 0 {
			return middle(class)
		}
	}
	return 0
}

func classOf(d time.Duration) int {
	us := uint64(max(0, d.Microseconds()))
	doublings := max(0, bits.Len64(us)-bits.Len(perDoubling))
	return min(classes-1, perDoubling*doublings+int(us>>doublings))
}

func middle(class int) time.Duration {
	doublings := max(0, class/perDoubling-1)
	from := time.Duration(class-perDoubling*doublings) << doublings
	return from*time.Microsecond + time.Microsecond<<doublings/2
}
