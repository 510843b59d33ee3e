package ecs

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cutover/internal/model"
)

// team is a service without target groups whose task has these containers: "name image", then what it
// depends on, as in "db:HEALTHY". Only those called app are essential. A container with a name in capitals
// has a health check.
func team(containers ...string) *model.Service {
	return spec("", 1, noBalancer, func(s *model.Service) {
		s.CircuitBreaker = model.CircuitBreaker{}
		s.TaskDefinition.Containers = nil
		for _, text := range containers {
			words := strings.Fields(text)
			c := model.Container{Name: words[0], Image: model.Image{Reference: words[1]}, Essential: strings.EqualFold(words[0], "app"), StopTimeout: 30 * time.Second}
			if words[0] == strings.ToUpper(words[0]) {
				c.HealthCheck = &model.ContainerHealthCheck{Command: []string{"CMD", "/check"}, Interval: 10 * time.Second, Timeout: 5 * time.Second, Retries: 3}
			}
			for _, word := range words[2:] {
				if link, ok := strings.CutPrefix(word, "link="); ok {
					c.Links = append(c.Links, link)
				} else if limit, ok := strings.CutPrefix(word, "limit="); ok {
					c.StartTimeout, _ = time.ParseDuration(limit)
				} else {
					on, until, _ := strings.Cut(word, ":")
					c.DependsOn = append(c.DependsOn, model.Dependency{Container: on, Condition: until})
				}
			}
			s.TaskDefinition.Containers = append(s.TaskDefinition.Containers, c)
		}
	})
}

// Containers start after what they depend on, and stop before.
func TestStartOrder(t *testing.T) {
	for _, test := range []struct {
		name       string
		containers []string
		want       string // what happens until the task runs, and when it stops
	}{
		{"side by side", []string{"app slow", "log slow-log"}, "1m0s start slow-1, 1m0s start slow-log-1"},
		{"START", []string{"app web log:START", "log slow-log"}, "1m0s start slow-log-1, 1m0s start web-1; SIGTERM web-1, SIGTERM slow-log-1"},
		{"a link", []string{"app web link=log:logs", "log slow-log"}, "1m0s start slow-log-1, 1m0s start web-1; SIGTERM web-1, SIGTERM slow-log-1"},
		{"HEALTHY", []string{"app web DB:HEALTHY", "DB db"}, "0s start db-1, 10s start web-1; SIGTERM web-1, SIGTERM db-1"},
		{"HEALTHY without a command to run", []string{"app web DB:HEALTHY", "DB noexec"}, "0s start noexec-1, 0s start web-1; SIGTERM web-1, SIGTERM noexec-1"},
		{"COMPLETE", []string{"app web init:COMPLETE", "init done"}, "0s start done-1, 3s start web-1; SIGTERM web-1"},
		{"COMPLETE with an error", []string{"app web init:COMPLETE", "init crash"}, "0s start crash-1, 100ms start web-1; SIGTERM web-1"},
		{"SUCCESS", []string{"app web init:SUCCESS", "init done"}, "0s start done-1, 3s start web-1; SIGTERM web-1"},
		{"SUCCESS within the limit", []string{"app web init:SUCCESS", "init done limit=4s"}, "0s start done-1, 3s start web-1; SIGTERM web-1"},
		{"a chain", []string{"app web mid:START", "mid mid init:SUCCESS", "init done"}, "0s start done-1, 3s start mid-1, 3s start web-1; SIGTERM web-1, SIGTERM mid-1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.apply(team(test.containers...))
				started := slices.Clone(w.journal)
				w.finish()
				var stopped []string
				for _, line := range w.journal[len(started):] {
					_, what, _ := strings.Cut(line, " ")
					stopped = append(stopped, what)
				}
				starts, stops, ordered := strings.Cut(test.want, "; ")
				if !ordered {
					slices.Sort(started)
				}
				if got := strings.Join(started, ", "); got != starts {
					t.Errorf("it starts as %s, want %s", got, starts)
				}
				if got := strings.Join(stopped, ", "); ordered && got != stops {
					t.Errorf("it stops as %s, want %s", got, stops)
				}
				if len(w.cleaned) != 1 || w.cleaned[0] != w.started[0].Task {
					t.Errorf("cleaned up were %v", w.cleaned)
				}
			})
		})
	}
}

// A container stops only when those that depend on it have ended.
func TestStopOrderWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.apply(team("app stubborn log:START", "log log"))
		w.finish()
		want := []string{"40s SIGTERM stubborn-1", "1m10s killed stubborn-1", "1m10s SIGTERM log-1"}
		if got := w.after("SIGTERM"); !slices.Equal(got, want) {
			t.Errorf("it stops as %q, want %q", got, want)
		}
	})
}

// What a container waits for may never come true. Then the task stops, and says why.
func TestStartGivenUp(t *testing.T) {
	for _, test := range []struct {
		name       string
		containers []string
		after      time.Duration
		want       string
	}{
		{"SUCCESS", []string{"app web init:SUCCESS", "init crash"}, 100 * time.Millisecond,
			`container "app" cannot start: container "init", on which it depends, has ended with exit code 1 before it was SUCCESS`},
		{"HEALTHY of one that ends", []string{"app web DB:HEALTHY", "DB done"}, 3 * time.Second,
			`container "app" cannot start: container "DB", on which it depends, has ended with exit code 0 before it was HEALTHY`},
		{"HEALTHY in time", []string{"app web DB:HEALTHY", "DB sick limit=50s"}, 50 * time.Second, `used up its StartTimeout of 50s before it was HEALTHY`},
		{"COMPLETE in time", []string{"app web init:COMPLETE", "init init limit=2s"}, 2 * time.Second, `used up its StartTimeout of 2s before it was COMPLETE`},
		{"an essential container ends meanwhile", []string{"app crash", "log web init:COMPLETE", "init init"}, 100 * time.Millisecond,
			`Essential container in task exited: "app", exit code 1`},
		{"one cannot start after another", []string{"app missing log:START", "log log"}, 0, `container "app" cannot start: no such image`},
		{"one cannot start", []string{"app missing", "log slow"}, 0, `container "app" cannot start: no such image`},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				ctx, cancel := context.WithTimeout(t.Context(), test.after+500*time.Millisecond)
				defer cancel()
				w.Apply(ctx, team(test.containers...))
				if !w.happened("task is STOPPED: "+test.want) && !w.happened(test.want) {
					t.Errorf("no task stopped because of %s; events: %v", test.want, w.events)
				}
				if w.happened("task is RUNNING") {
					t.Error("the task was RUNNING")
				}
				for _, e := range w.events {
					if e.State == string(Stopped) && e.Time.Sub(w.begin) > test.after {
						t.Errorf("the task stopped after %v", e.Time.Sub(w.begin))
					}
				}
				w.finish()
			})
		})
	}
}

// Without a limit, a container waits as long as it takes.
func TestStartWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Hour)
		defer cancel()
		w.Apply(ctx, team("app web DB:HEALTHY", "DB sick"))
		if status := w.service(); len(status.Tasks) != 1 || status.Tasks[0].LastStatus != Activating {
			t.Errorf("the service is %+v", status)
		}
		w.container("sick-1").setSick(false)
		time.Sleep(time.Minute)
		if status := w.service(); !status.Steady || status.PendingCount != 0 {
			t.Errorf("the service is %+v", status)
		}
		w.finish()
	})
}

// A container that ends and is not essential leaves its task as it is, and an event tells of it.
func TestOthersMayEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.apply(team("app web", "init done"))
		time.Sleep(time.Hour)
		status := w.service()
		if !status.Steady || status.RunningCount != 1 || w.starts("web")[0] != 0 || len(w.starts("web")) != 1 {
			t.Errorf("the service is %+v", status)
		}
		if !w.happened(`container "init" has ended: exit code 0`) {
			t.Error("no event tells of the end")
		}
		var states []string
		for _, c := range status.Tasks[0].Containers {
			states = append(states, fmt.Sprintf("%s %s %v", c.Name, c.LastStatus, c.ExitCode))
		}
		if code := status.Tasks[0].Containers[1].ExitCode; code == nil || *code != 0 || status.Tasks[0].Containers[0].ExitCode != nil ||
			!strings.HasPrefix(states[0], "app RUNNING") || !strings.HasPrefix(states[1], "init STOPPED") {
			t.Errorf("the containers are %v", states)
		}
		w.finish()
	})
}

// A driver sees the containers of the task that have started, and the whole task.
func TestPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.apply(team("app web log:START", "log log"))
		w.finish()
		if first, second := w.started[0], w.started[1]; len(first.Peers) != 0 || second.Peers["log"].ID() != "log-1" || len(second.TaskDefinition.Containers) != 2 {
			t.Errorf("the peers are %v, then %v", first.Peers, second.Peers)
		}
	})
}

// A daemon has one task. An update stops it, and does not wait for the health of the next one.
func TestDaemon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		daemon := func(image string) *model.Service {
			return spec(image, 1, noBalancer, percent(0, 100), func(s *model.Service) { s.Scheduling, s.DesiredCount = model.Daemon, nil })
		}
		w.apply(daemon("v1"))
		w.apply(daemon("v2"))
		if status := w.service(); status.DesiredCount != 1 || status.RunningCount != 1 {
			t.Errorf("the service is %+v", status)
		}
		want := []string{"0s start v1-1", "40s SIGTERM v1-1", "40s start v2-1"} // the last two side by side
		if got := slices.Sorted(slices.Values(w.after("start"))); !slices.Equal(got, want) {
			t.Errorf("the update is %q, want %q", got, want)
		}
		w.finish()
	})
}

// A task of no service runs to its end, and stops when it is asked to.
func TestRunTask(t *testing.T) {
	for _, test := range []struct {
		name, want string
		containers []string
		failed     bool
	}{
		{"to the end", `Essential container in task exited: "app", exit code 0 map[app:0] after 3s`, []string{"app done"}, false},
		{"with an error", `Essential container in task exited: "app", exit code 1 map[app:1] after 100ms`, []string{"app crash"}, true},
		{"of another container", `Essential container in task exited: "app", exit code 0 map[app:0 log:1] after 3s`, []string{"app done", "log crash"}, false},
		{"not at all", `container "app" cannot start: no such image map[] after 0s`, []string{"app missing"}, true},
		{"until it is stopped", `Task was stopped map[app:0] after 1h0m0s`, []string{"app web"}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				result := w.RunTask(ctx, "stack/Nightly", "nightly", team(test.containers...).TaskDefinition)
				if got := fmt.Sprintf("%s %v after %v", result.Reason, result.ExitCodes, time.Since(w.begin)); got != test.want || result.Failed != test.failed {
					t.Errorf("the result is %s (failed: %v), want %s", got, result.Failed, test.want)
				}
				if len(w.Status()) != 0 || len(w.cleaned) != 1 {
					t.Errorf("left are services %v, cleaned %v", w.Status(), w.cleaned)
				}
				for _, e := range w.events {
					if e.Subject != "nightly" {
						t.Errorf("an event is about %q", e.Subject)
					}
				}
			})
		})
	}
}
