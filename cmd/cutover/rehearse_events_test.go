package main

import (
	"testing"

	"cutover/internal/rehearsal"
)

// A worker answers no requests, so its fault has a phase without one being named.
func TestFaultsOfWorkers(t *testing.T) {
	for service, want := range map[string]bool{"users-relay": true, "feed-consumer": true, "deletions-worker": true, "users": false, "relay": false} {
		if got := isWorker(service); got != want {
			t.Errorf("%s: %t, want %t", service, got, want)
		}
	}
	for _, test := range []struct {
		walk []string
		want string
	}{{rehearsal.DefaultWalk(), "switched"}, {[]string{"monolith", "users=parallel", "users=switched"}, "users=parallel"}, {[]string{"parallel"}, "parallel"}} {
		if got := busiest(test.walk); got != test.want {
			t.Errorf("%v: %s, want %s", test.walk, got, test.want)
		}
	}
}
