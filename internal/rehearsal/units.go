package rehearsal

import (
	"fmt"
	"math"
	"strconv"
	"strings"
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

// after writes when something happened, from a moment on.
func after(s Seconds) string {
	text := took(max(s, -s))
	if s < 0 && strings.Trim(text, "0. s") != "" {
		return "-" + text
	}
	return "+" + text
}

// String writes a latency with two or three digits.
func (m Millis) String() string {
	if m >= 1000 {
		return digits(m/1000) + " s"
	}
	return digits(m) + " ms"
}

// String is the form of the tables: "p50 / p99 / max", without the unit.
func (l Latency) String() string {
	if l.Count == 0 {
		return "–"
	}
	return l.percentile(50, l.P50, digits) + " / " + l.percentile(99, l.P99, digits) + " / " + digits(l.Max)
}

// percentile writes a percentile, or a dash if there are too few latencies for one.
func (l Latency) percentile(percent int, value Millis, write func(Millis) string) string {
	if !l.known(percent) {
		return "–"
	}
	return write(value)
}

// Median and Tail write p50 and p99 with their unit.
func (l Latency) Median() string { return l.percentile(50, l.P50, Millis.String) }
func (l Latency) Tail() string   { return l.percentile(99, l.P99, Millis.String) }

func digits(m Millis) string {
	places := 2
	switch v := float64(m); {
	case v == math.Trunc(v), v >= 100:
		places = 0
	case v >= 10:
		places = 1
	}
	return strconv.FormatFloat(float64(m), 'f', places, 64)
}

// power writes a power of ten milliseconds.
func power(ms float64) string {
	if ms >= 1000 {
		return strconv.FormatFloat(math.Round(ms/1000), 'f', 0, 64) + " s"
	}
	return strconv.FormatFloat(ms, 'g', 3, 64) + " ms"
}
