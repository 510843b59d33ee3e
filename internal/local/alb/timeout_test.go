package alb

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"cutover/internal/model"
)

// A check that gets no answer fails after its own timeout, and the next one begins at its interval.
func TestHealthCheckTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClinic(sixSeconds) // with a timeout of 5 s, and two failures
		defer c.close()
		c.group.probe = func(ctx context.Context, _ string, _ model.HealthCheck) (reason, description string) {
			<-ctx.Done()
			return timeoutReason, ""
		}
		c.add(t, "x")
		c.expect(t, "0s x unused->initial Elb.InitialHealthChecking")
		after(12 * time.Second)
		c.expect(t, "11s x initial->unhealthy Target.Timeout")
	})
}
