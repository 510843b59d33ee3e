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

// With fewer healthy targets than the group asks for, all targets get requests.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-target-group-attributes.html#target-group-health
func TestFewHealthyTargets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := sixSeconds
		config.MinHealthy = 2
		c := newClinic(config)
		defer c.close()
		for _, id := range []string{"x", "y", "z"} {
			c.add(t, id)
		}
		for _, step := range []struct {
			sick string
			want int // targets with requests
		}{{"x", 2}, {"y", 3}} {
			c.set(step.sick, failedHealthChecks)
			after(12 * time.Second)
			got := map[string]bool{}
			for range 6 {
				target := c.pick("")
				got[target.ID] = true
				target.release()
			}
			if len(got) != step.want {
				t.Errorf("%s is unhealthy, too, and %v get requests, want %d", step.sick, got, step.want)
			}
		}
	})
}

// A client leaves a target that falls ill, unless all targets get requests.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/sticky-sessions.html
func TestStickinessEndsWithHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClinic(sixSeconds)
		defer c.close()
		expect := func(what string, stays bool) {
			t.Helper()
			for range 4 {
				target := c.pick("x")
				if (target.ID == "x") != stays {
					t.Errorf("%s: a client of x gets %s", what, target.ID)
				}
				target.release()
			}
		}
		c.add(t, "x")
		c.add(t, "y")
		expect("both are healthy", true)
		c.set("x", failedHealthChecks)
		after(12 * time.Second)
		expect("x is unhealthy", false)
		c.set("y", failedHealthChecks)
		after(12 * time.Second)
		expect("both are unhealthy", true)
	})
}
