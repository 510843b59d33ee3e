package rehearsal

import (
	"fmt"
	"math"
	"strconv"
)

// clock writes a time since the load began.
func clock(s Seconds) string {
	if s < 60 {
		return strconv.FormatFloat(math.Round(float64(s)*10)/10, 'f', -1, 64) + " s"
	}
	return fmt.Sprintf("%d:%02d", int(s)/60, int(s)%60)
}

// took writes how long something took.
func took(s Seconds) string {
	places := 0
	switch {
	case s < 1:
		places = 2
	case s < 100:
		places = 1
	}
	return strconv.FormatFloat(float64(s), 'f', places, 64) + " s"
}

// String writes a latency with two or three digits.
func (m Millis) String() string {
	switch v := float64(m); {
	case v >= 1000:
		return strconv.FormatFloat(v/1000, 'f', decimals(v/1000), 64) + " s"
	case v == 0:
		return "0 ms"
	default:
		return strconv.FormatFloat(v, 'f', decimals(v), 64) + " ms"
	}
}

// power writes a power of ten milliseconds.
func power(ms float64) string {
	if ms >= 1000 {
		return strconv.FormatFloat(math.Round(ms/1000), 'f', 0, 64) + " s"
	}
	return strconv.FormatFloat(ms, 'g', 3, 64) + " ms"
}

func decimals(v float64) int {
	switch {
	case v == math.Trunc(v), v >= 100:
		return 0
	case v >= 10:
		return 1
	}
	return 2
}
