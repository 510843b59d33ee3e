package ecs

import "time"

const (
	// maxBackoff is the longest time between two attempts to start a task.
	// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-throttle-logic.html
	maxBackoff = 27 * time.Minute
	// firstBackoff is the first such time, which then doubles. ECS documents only
	// that it grows.
	firstBackoff = time.Second
	// inconsistent is how many starts in a row must fail for the event that says
	// so. ECS does not document it.
	inconsistent = 3
	// pace is the time before a task that ran is replaced. ECS has no back-off
	// there, but its own latency, of seconds; without one, a process that exits
	// at once would be started hundreds of times a second.
	pace = time.Second
)

// backoff is the time to wait after so many starts in a row have failed.
func backoff(failures int) time.Duration {
	wait := firstBackoff
	for range failures - 1 {
		if wait *= 2; wait >= maxBackoff {
			return maxBackoff
		}
	}
	return wait
}
