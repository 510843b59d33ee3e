package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// A service answers within 10 seconds. So a store gives up before: no attempt begins later than patience after
// the first one, and each has a limit.
const (
	patience = 4 * time.Second
	limit    = 2 * time.Second
	// The pause between two attempts doubles from the first to the last. Half of it is random, so that writers
	// that met do not meet again.
	firstPause = 10 * time.Millisecond
	lastPause  = 400 * time.Millisecond
)

// patiently repeats what wraps [ErrBusy], until patience or the context ends.
func patiently(ctx context.Context, attempt func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	end := time.Now().Add(patience)
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		limited, cancel := context.WithTimeout(ctx, limit)
		err := attempt(limited)
		cancel()
		if !errors.Is(err, ErrBusy) || time.Now().After(end) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause/2 + rand.N(pause/2)):
		}
	}
}

// busy says that a call was not done for a reason that passes.
func busy(err error) error { return fmt.Errorf("%w: %w", ErrBusy, err) }
