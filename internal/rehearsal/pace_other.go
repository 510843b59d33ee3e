//go:build !linux

package rehearsal

import "time"

// nap waits for less than a millisecond.
func nap(d time.Duration) { time.Sleep(d) }
