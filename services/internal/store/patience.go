package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// patience is how long one attempt of a call may take. A call is tried again until twice as much time is over.
// So a call takes at most three times as much. The variable STORE_TIMEOUT has the patience, such as 500ms.
// Default: 2s, as a service has to answer within 10 seconds.
type patience time.Duration

const (
	defaultPatience = patience(2 * time.Second)
	// The pause between two attempts doubles from the first to the last. Half of it is random, so that writers
	// that met do not meet again.
	firstPause = 10 * time.Millisecond
	lastPause  = 400 * time.Millisecond
)

func patienceOf(getenv func(string) string) (patience, error) {
	text := getenv("STORE_TIMEOUT")
	if text == "" {
		return defaultPatience, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 10*time.Millisecond || d > time.Hour {
		return 0, fmt.Errorf("STORE_TIMEOUT is %q: give a duration from 10ms to 1h, such as 2s", text)
	}
	return patience(d), nil
}

// call repeats what wraps [ErrBusy].
func (p patience) call(ctx context.Context, attempt func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	end := time.Now().Add(2 * time.Duration(p))
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		limited, cancel := context.WithTimeout(ctx, time.Duration(p))
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
