// Package child starts programs that end with this one, even if this one is killed.
package child

import "runtime"

// Start calls start, which starts a program, and returns its error. If there is none, wait runs in the background: it
// returns when the program has ended.
//
// Linux sends the signal of [Attributes] when the thread ends that started the program, whatever becomes of the others
// (https://go.dev/issue/27505). So start and wait have one thread, which is theirs alone: somebody else's goroutine
// would end the thread if it ended without unlocking it. Afterwards the thread goes on, for it may have started other
// programs before.
func Start(start func() error, wait func()) error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := start()
		started <- err
		if err == nil {
			wait()
		}
	}()
	return <-started
}
