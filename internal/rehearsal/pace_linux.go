package rehearsal

import (
	"syscall"
	"time"
)

// nap waits for about a millisecond. Go's own timers may be a millisecond late on an
// idle Linux, because their poller rounds up.
func nap(d time.Duration) {
	t := syscall.NsecToTimespec(int64(d))
	// A signal may wake it early. The latency shows that.
	_ = syscall.Nanosleep(&t, nil)
}
