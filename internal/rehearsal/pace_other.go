//go:build !linux

package rehearsal

import "time"

// nap waits for about a millisecond.
func nap(d time.Duration) { time.Sleep(d) }
