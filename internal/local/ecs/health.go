package ecs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"cutover/internal/model"
)

// Health is the health of a container or a task.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/healthcheck.html
type Health string

const (
	HealthUnknown Health = "UNKNOWN" // without a check, or before enough checks
	Healthy       Health = "HEALTHY"
	Unhealthy     Health = "UNHEALTHY"
)

// check runs the health check of a container again and again. As in Docker, the interval passes
// before the first check, and after the end of each check.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_HealthCheck.html
func (t *task) check(ctx context.Context, c *taskContainer) {
	const maxOutput = 4096 // as Docker keeps of a health check's output
	check := c.definition.HealthCheck
	// With a context that has ended, no command runs: this asks whether one could.
	ended, end := context.WithCancel(ctx)
	end()
	if _, _, err := c.running.Exec(ended, command(check.Command)); errors.Is(err, ErrNoExec) {
		t.scheduler.update(t.service, func() {
			c.unchecked = true
			close(c.healthy)
			t.scheduler.options.Discovery.Health(t.ID, t.well())
			t.event(ContainerEvent, "", fmt.Sprintf("the health check of container %q is left out: %v", c.definition.Name, err))
		})
		return
	}
	begin, failures, passed := time.Now(), 0, false
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.running.Done():
			return
		case <-time.After(check.Interval):
		}
		limited, cancel := context.WithTimeout(ctx, check.Timeout)
		code, output, err := c.running.Exec(limited, command(check.Command))
		if limited.Err() != nil && ctx.Err() == nil {
			err = fmt.Errorf("it took longer than %v", check.Timeout)
		}
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err == nil && code == 0:
			if !passed {
				close(c.healthy)
			}
			failures, passed = 0, true
			t.setHealth(c, Healthy, "its health check passed")
		case !passed && time.Since(begin) < check.StartPeriod:
		default:
			failures++
			if err == nil {
				err = errors.New(strings.TrimSpace(fmt.Sprintf("exit code %d %s", code, output[:min(len(output), maxOutput)])))
			}
			if failures >= check.Retries {
				t.setHealth(c, Unhealthy, fmt.Sprintf("%d health checks failed, the last one: %v", failures, err))
			}
		}
	}
}

// command is what a health check runs.
func command(check []string) []string {
	if check[0] == "CMD-SHELL" {
		return []string{"/bin/sh", "-c", check[1]}
	}
	return check[1:]
}

func (t *task) setHealth(c *taskContainer, health Health, why string) {
	t.scheduler.update(t.service, func() {
		if c.health != health {
			c.health = health
			t.scheduler.options.Discovery.Health(t.ID, t.well())
			t.event(HealthEvent, string(health), fmt.Sprintf("container %q: %s", c.definition.Name, why))
		}
	})
}

// The methods below are called with the scheduler's lock held.

// checked says that the health check of a container decides about its task.
func (c *taskContainer) checked() bool {
	return c.definition.Essential && c.definition.HealthCheck != nil && !c.unchecked
}

// well says that the health checks of all containers that have some pass.
func (t *task) well() bool {
	return !slices.ContainsFunc(t.containers, func(c *taskContainer) bool { return c.checked() && c.health != Healthy })
}

// complaint says which health check found the task unhealthy.
func (t *task) complaint() string {
	for _, c := range t.containers {
		if c.checked() && c.health == Unhealthy {
			return fmt.Sprintf("Task failed container health checks: %q", c.definition.Name)
		}
	}
	for _, lb := range t.deployment.loadBalancers {
		if group := lb.TargetGroup.Key(); t.Targets[group] == TargetUnhealthy {
			return "Task failed ELB health checks in target group " + group
		}
	}
	return ""
}

// judge returns the health of a task: Healthy if the task counts towards the minimum healthy
// percent, Unhealthy if a health check failed after the grace period. Next is when the answer
// changes by itself, zero for never.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeploymentConfiguration.html
func (t *task) judge(now time.Time) (health Health, next time.Time) {
	if t.LastStatus != Running || !t.live() {
		return HealthUnknown, time.Time{}
	}
	checks, unhealthy, unknown := len(t.deployment.loadBalancers), false, false
	for _, lb := range t.deployment.loadBalancers {
		target := t.Targets[lb.TargetGroup.Key()]
		unhealthy = unhealthy || target == TargetUnhealthy
		unknown = unknown || target != TargetHealthy
	}
	for _, c := range t.containers {
		if c.checked() {
			checks++
			unhealthy = unhealthy || c.health == Unhealthy
			unknown = unknown || c.health == HealthUnknown
		}
	}
	switch {
	case unhealthy:
		health, next = Unhealthy, t.Started.Add(t.service.spec.HealthCheckGracePeriod)
	case unknown:
		return HealthUnknown, time.Time{}
	case checks == 0:
		health, next = Healthy, t.Started.Add(model.Unchecked)
	default:
		return Healthy, time.Time{}
	}
	if now.Before(next) {
		return HealthUnknown, next
	}
	return health, time.Time{}
}
