package latency

import (
	"testing"
	"time"
)

// A p99 is what it is called, within 1/32.
func TestClasses(t *testing.T) {
	for _, d := range []time.Duration{0, 1, 999, 15 * time.Microsecond, 16 * time.Microsecond, 31 * time.Microsecond, 32 * time.Microsecond, 33 * time.Microsecond,
		999 * time.Microsecond, time.Millisecond, 1500 * time.Microsecond, 99 * time.Millisecond, 150 * time.Millisecond, time.Second, 59 * time.Second, 2 * time.Minute} {
		got := middle(classOf(d))
		if difference := (got - d).Abs(); difference > d/32+time.Microsecond {
			t.Errorf("%v is taken for %v", d, got)
		}
	}
	for class := range classes {
		if got := classOf(middle(class)); got != class {
			t.Errorf("the middle of class %d, %v, is in class %d", class, middle(class), got)
		}
	}
	if got := classOf(time.Hour); got != classes-1 {
		t.Errorf("an hour is in class %d of %d", got, classes)
	}
}

func TestPercentile(t *testing.T) {
	var c Counts
	if got := c.Percentile(0.99); got != 0 {
		t.Errorf("without answers it is %v", got)
	}
	for n := range 98 {
		c.Note(time.Duration(n) * time.Microsecond / 10)
	}
	var slow Counts
	slow.Note(time.Second)
	slow.Note(time.Second)
	c.Add(&slow)
	if got := c.Percentile(0.98); got > 10*time.Microsecond {
		t.Errorf("98 of 100 came in %v", got)
	}
	if got := c.Percentile(0.99); (got - time.Second).Abs() > time.Second/32 {
		t.Errorf("99 of 100 came in %v", got)
	}
}
