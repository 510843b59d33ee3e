package rehearsal

import (
	"syscall"
	"time"
)

// nap waits for less than a millisecond. Go's own timers are late by up to one
// on Linux when nothing else is going on, as their poller rounds up.
func nap(d time.Duration) {
	t := syscall.NsecToTimespec(int64(d))
	// Woken early by a signal, the request is a little early, which its latency shows.
	_ = syscall.Nanosleep(&t, nil)
}
