package programs

import (
	"context"
	"fmt"
	"sync"
	"time"

	"cutover/internal/local/provider"
)

// Kept is a program that is started again when it has ended, until it is stopped. Its methods may be called by several
// goroutines.
type Kept struct {
	// Tell is called with what happens to the program. The state is RUNNING, or [provider.Warning] if it has ended. Required.
	Tell func(name, state, message string)

	mu      sync.Mutex
	program *Program // nil before it was started
	stopped bool
}

// Start starts the program with its data in a directory. It is called once.
func (k *Kept) Start(ctx context.Context, found Found, dir string) error {
	begin := time.Now()
	program, err := found.Start(ctx, dir)
	if err != nil {
		return err
	}
	k.set(program)
	go k.keep(program, dir)
	k.Tell(found.Name, "RUNNING", fmt.Sprintf("has started in %.1f s, from %s", time.Since(begin).Seconds(), found.Source))
	return nil
}

// set makes a program that of now, and says whether it has been stopped meanwhile.
func (k *Kept) set(program *Program) (stopped bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.program = program
	return k.stopped
}

func (k *Kept) keep(program *Program, dir string) {
	for {
		why := program.Err()
		k.mu.Lock()
		stopped := k.stopped
		k.mu.Unlock()
		if stopped {
			return
		}
		k.Tell(program.Name, provider.Warning, why.Error())
		next, err := program.Found.Start(context.Background(), dir)
		if err != nil {
			k.Tell(program.Name, provider.Warning, err.Error())
			return
		}
		if program = next; k.set(program) {
			_ = program.Stop(context.Background())
			return
		}
		k.Tell(program.Name, "RUNNING", "has started again")
	}
}

// Running is the program of now; nil before the start.
func (k *Kept) Running() *Program {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.program
}

// Stop ends the program, if it was started, and does not start it again. The data stay.
func (k *Kept) Stop(ctx context.Context) error {
	k.mu.Lock()
	k.stopped = true
	program := k.program
	k.mu.Unlock()
	if program == nil {
		return nil
	}
	return program.Stop(ctx)
}
