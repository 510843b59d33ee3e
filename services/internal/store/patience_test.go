package store

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// What is busy is tried again, with pauses, for 4 seconds. Everything else is not.
func TestPatience(t *testing.T) {
	refusal, failure := busy(errors.New("throttled")), errors.New("wrong")
	for name, test := range map[string]struct {
		answers  []error // the last one stays
		attempts int     // 0: many
		takes    time.Duration
		want     error
	}{
		"done":           {[]error{nil}, 1, 0, nil},
		"wrong":          {[]error{failure}, 1, 0, failure},
		"busy, done":     {[]error{refusal, nil}, 2, firstPause, nil},
		"busy, wrong":    {[]error{refusal, refusal, failure}, 3, 3 * firstPause, failure},
		"busy for good":  {[]error{refusal}, 0, 4*time.Second + lastPause, refusal},
		"context's end":  {[]error{context.Canceled}, 1, 0, context.Canceled},
		"busy, then end": {[]error{refusal, context.Canceled}, 2, firstPause, context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin, attempts := time.Now(), 0
				err := defaultPatience.call(t.Context(), func(ctx context.Context) error {
					if end, ok := ctx.Deadline(); !ok || time.Until(end) != 2*time.Second {
						t.Error(end, ok)
					}
					attempts++
					return test.answers[min(attempts, len(test.answers))-1]
				})
				took := time.Since(begin)
				if err != test.want || test.attempts > 0 && attempts != test.attempts || test.attempts == 0 && (attempts < 10 || attempts > 40) {
					t.Error(err, attempts)
				}
				if took < test.takes/2 || took > test.takes || test.attempts == 0 && took <= 4*time.Second {
					t.Error(took)
				}
			})
		})
	}
	t.Run("no attempt after the context's end", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			attempts := 0
			err := defaultPatience.call(ctx, func(context.Context) error { attempts++; return refusal })
			if !errors.Is(err, ErrBusy) || attempts > 10 || ctx.Err() == nil {
				t.Error(err, attempts)
			}
			before := attempts
			if err := defaultPatience.call(ctx, func(context.Context) error { attempts++; return nil }); !errors.Is(err, context.DeadlineExceeded) || attempts != before {
				t.Error(err)
			}
		})
	})
}
