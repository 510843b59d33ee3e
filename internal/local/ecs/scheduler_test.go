package ecs

import (
	"context"
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"cutover/internal/assembly"
	"cutover/internal/local/provider"
	"cutover/internal/model"
)

func TestTaskLifecycle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.draining = 20 * time.Second
		w.apply(spec("v1", 1, checked))
		if passed := time.Since(w.begin); passed != 12*time.Second {
			t.Errorf("steady after %v, want 12s: the container's check after 10s, the load balancer's second after 12s", passed)
		}
		status := w.service()
		if status.RunningCount != 1 || !status.Steady || status.Tasks[0].Health != Healthy ||
			status.Tasks[0].Targets["stack/Group"] != TargetHealthy || status.Deployments[0].RolloutState != Completed ||
			status.Tasks[0].Containers[0].Addresses[3000] != "v1-1:80" {
			t.Errorf("status is %+v", status)
		}
		w.finish()

		var states []string
		for _, e := range w.events {
			if e.Kind == TaskEvent {
				states = append(states, e.State)
			}
		}
		if want := []string{"PROVISIONING", "PENDING", "ACTIVATING", "RUNNING", "DEACTIVATING", "STOPPING", "DEPROVISIONING", "STOPPED"}; !slices.Equal(states, want) {
			t.Errorf("states are %v, want %v", states, want)
		}
		want := []string{
			"0s start v1-1", "0s register v1-1:80 in stack/Group",
			"12s deregister v1-1", "32s drained v1-1", "32s SIGTERM v1-1",
		}
		if got := w.after("start"); !slices.Equal(got, want) {
			t.Errorf("order is %q, want %q", got, want)
		}
	})
}

func TestStubbornTaskIsKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.apply(spec("stubborn", 1))
		w.finish()
		want := []string{"12s deregister stubborn-1", "12s drained stubborn-1", "12s SIGTERM stubborn-1", "42s killed stubborn-1"}
		if got := w.after("deregister"); !slices.Equal(got, want) {
			t.Errorf("order is %q, want %q", got, want)
		}
		if !w.happened("did not stop within 30s and is killed") {
			t.Error("no event tells of the kill")
		}
	})
}

func TestRedeploy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		if err := w.Redeploy("stack/Service"); err == nil || !strings.Contains(err.Error(), "there is no service stack/Service") {
			t.Errorf("without a service: %v", err)
		}
		w.apply(spec("v1", 2, percent(100, 150)))
		if err := w.Redeploy("stack/Service"); err != nil {
			t.Fatal(err)
		}
		if w.service().Steady {
			t.Error("the service is steady at once")
		}
		w.apply(spec("v1", 2, percent(100, 150))) // what it is to be already
		if n := len(w.starts("v1")); n != 4 {
			t.Errorf("%d tasks were started, want 2 and 2 in their place", n)
		}
		if status := w.service(); status.RunningCount != 2 || len(status.Deployments) != 1 {
			t.Errorf("afterwards the service is %+v", status)
		}
		// An update without room for it leaves what runs alone.
		w.apply(spec("v1", 2, percent(100, 150), func(s *model.Service) { s.MaximumPercent = 100 }))
		if err := w.Redeploy("stack/Service"); err == nil || !strings.Contains(err.Error(), "leaves no room") {
			t.Errorf("without room: %v", err)
		}
		if status := w.service(); len(status.Deployments) != 1 || len(w.starts("v1")) != 4 {
			t.Errorf("without room the service is %+v", status)
		}
		w.finish()
	})
}

func TestRollingUpdateStaysWithinBounds(t *testing.T) {
	for _, test := range []struct {
		desired, minimum, maximum int
		lower, upper              int
		takes                     time.Duration // a round takes 12s, until new targets are healthy
	}{
		{1, 100, 200, 1, 2, 12 * time.Second},
		{1, 0, 100, 0, 1, 12 * time.Second},
		{2, 50, 100, 1, 2, 24 * time.Second},
		{4, 100, 200, 4, 8, 12 * time.Second},
		{4, 50, 100, 2, 4, 24 * time.Second},
		{4, 100, 150, 4, 6, 24 * time.Second},
		{3, 50, 100, 2, 3, 36 * time.Second},  // 1.5 is rounded up
		{3, 100, 150, 3, 4, 36 * time.Second}, // 4.5 is rounded down
		{10, 100, 110, 10, 11, 120 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.apply(spec("v1", test.desired, percent(test.minimum, test.maximum)))
			begin := time.Now()
			result := make(chan error)
			go func() { result <- w.Apply(t.Context(), spec("v2", test.desired, percent(test.minimum, test.maximum))) }()
			lower, upper := test.desired, 0
			for done := false; !done; {
				select {
				case err := <-result:
					if err != nil {
						t.Fatal(err)
					}
					done = true
				case <-time.After(time.Second / 2):
				}
				healthy, live := 0, 0
				for _, task := range w.service().Tasks {
					if task.DesiredStatus == Running {
						live++
						if task.Health == Healthy {
							healthy++
						}
					}
				}
				lower, upper = min(lower, healthy), max(upper, live)
			}
			if lower != test.lower || upper != test.upper {
				t.Errorf("%+v: between %d healthy and %d live tasks, want %d and %d", test, lower, upper, test.lower, test.upper)
			}
			if took := time.Since(begin); took != test.takes {
				t.Errorf("%+v: took %v", test, took)
			}
			if n := len(w.starts("v2")); n != test.desired {
				t.Errorf("%+v: %d tasks of the new deployment were started", test, n)
			}
			w.finish()
		})
	}
}

func TestUpdateWithoutRoomIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.apply(spec("v1", 1, percent(50, 150)))
		err := w.Apply(t.Context(), spec("v2", 1, percent(50, 150)))
		if err == nil || !strings.Contains(err.Error(), "leaves no room for a new one") {
			t.Errorf("error is %v", err)
		}
		w.apply(spec("v1", 1, percent(50, 150)))
		if len(w.starts("v1")) != 1 || len(w.starts("v2")) != 0 {
			t.Error("tasks were started")
		}
		w.finish()
	})
}

func TestWhatCannotRunIsRefusedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.apply(spec("v1", 1))
		err := w.Apply(t.Context(), spec("foreign", 1))
		if want := `service users (stack/Service), container "main": it is for another machine`; err == nil || err.Error() != want {
			t.Errorf("error is %v, want %s", err, want)
		}
		if status := w.service(); !status.Steady || status.Deployments[0].ID != "users/1" {
			t.Errorf("status is %+v", status)
		}
		w.finish()
		err = New(Options{Driver: w}).Apply(t.Context(), spec("v1", 1))
		if err == nil || !strings.Contains(err.Error(), "there is no load balancer") {
			t.Errorf("error is %v", err)
		}
	})
}

func TestApplyTouchesOnlyWhatChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.apply(spec("v1", 2))
		first := w.service().Tasks
		w.apply(spec("v1", 2, func(s *model.Service) {
			s.HealthCheckGracePeriod = time.Minute
			s.MaximumPercent = 150
			s.TaskDefinition.Resource = &assembly.Resource{Stack: &assembly.Stack{Name: "stack"}, LogicalID: "Renamed"}
		}))
		w.apply(spec("v1", 2, func(s *model.Service) { s.DesiredCount = nil }))
		if now := w.service(); now.Tasks[0].ID != first[0].ID || now.Tasks[1].ID != first[1].ID || len(now.Deployments) != 1 {
			t.Errorf("tasks were %v, are %v", first, now.Tasks)
		}
		w.apply(spec("v1", 3))
		if now := w.service().Tasks; len(now) != 3 || now[0].ID != first[0].ID || now[1].ID != first[1].ID {
			t.Errorf("scaling out: tasks were %v, are %v", first, now)
		}
		w.apply(spec("v1", 1))
		if now := w.service().Tasks; len(now) != 1 || now[0].ID != first[0].ID {
			t.Errorf("scaling in: tasks were %v, are %v", first, now)
		}
		w.apply(spec("v1", 0))
		if now := w.service(); len(now.Tasks) != 0 || now.Deployments[0].ID != "users/1" {
			t.Errorf("scaled to none: %+v", now)
		}
		w.apply(spec("v1", 1))
		w.finish()
	})
}

func TestCircuitBreaker(t *testing.T) {
	for _, test := range []struct {
		name, image string
		change      func(*model.Service)
		starts      int // of the failing image
		reason      string
	}{
		{"cannot start", "missing", func(*model.Service) {}, 3, "no such image"},
		{"exits", "crash", func(*model.Service) {}, 3, "exit code 1"},
		{"fails its container health check", "sick", func(s *model.Service) { noBalancer(s); checked(s) }, 3, "container health checks"},
		{"fails the load balancer's", "sick", func(*model.Service) {}, 3, "ELB health checks in target group stack/Group"},
		{"health check hangs", "hang", func(s *model.Service) { noBalancer(s); checked(s) }, 3, "container health checks"},
		{"own threshold", "crash", func(s *model.Service) { s.CircuitBreaker.Threshold = model.Threshold{Type: model.Count, Value: 5} }, 5, "threshold is 5"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.apply(spec("v1", 1, test.change))
				old := w.service().Tasks[0].ID
				err := w.Apply(t.Context(), spec(test.image, 1, test.change))
				if !errors.Is(err, ErrDeploymentFailed) || !strings.Contains(err.Error(), test.reason) ||
					!strings.Contains(err.Error(), "rolled back to deployment users/1") {
					t.Errorf("error is %v", err)
				}
				if n := len(w.starts(test.image)); n != test.starts {
					t.Errorf("%d tasks were started, want %d", n, test.starts)
				}
				now := w.service()
				if len(now.Tasks) != 1 || now.Tasks[0].ID != old || now.Deployments[0].RolloutState != Completed {
					t.Errorf("after the rollback: %+v", now)
				}
				w.apply(spec("v3", 1, test.change))
				w.finish()
			})
		})
	}
}

func TestCircuitBreakerWithoutRollback(t *testing.T) {
	for name, test := range map[string]struct {
		before string
		spec   *model.Service
	}{
		"nothing to roll back to": {"", spec("crash", 1)},
		"not wanted":              {"v1", spec("crash", 1, func(s *model.Service) { s.CircuitBreaker.Rollback = false })},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				if test.before != "" {
					w.apply(spec(test.before, 1))
				}
				if err := w.Apply(t.Context(), test.spec); !errors.Is(err, ErrDeploymentFailed) {
					t.Errorf("error is %v", err)
				}
				time.Sleep(time.Hour)
				if n := len(w.starts("crash")); n != 3 {
					t.Errorf("%d tasks were started, want none after the third", n)
				}
				if test.before != "" && w.service().RunningCount != 1 {
					t.Error("the old task has gone")
				}
				// The same once more is a new attempt.
				if err := w.Apply(t.Context(), test.spec); !errors.Is(err, ErrDeploymentFailed) || len(w.starts("crash")) != 6 {
					t.Errorf("once more: %v after %d starts", err, len(w.starts("crash")))
				}
				w.finish()
			})
		})
	}
}

// A rollback that fails too is not tried again, and its failures are its own.
func TestRollbackFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		cumulative := func(s *model.Service) { s.CircuitBreaker.Cumulative = true }
		first := make(chan error)
		go func() { first <- w.Apply(t.Context(), spec("v1", 1, percent(0, 100), cumulative)) }()
		for _, name := range []string{"v1-1", "v1-2"} {
			time.Sleep(1500 * time.Millisecond)
			w.container(name).exit(1)
		}
		if err := <-first; err != nil {
			t.Fatal(err)
		}
		w.broken = "v1"
		if err := w.Apply(t.Context(), spec("crash", 1, percent(0, 100), cumulative)); !errors.Is(err, ErrDeploymentFailed) {
			t.Errorf("error is %v", err)
		}
		time.Sleep(time.Hour)
		if n := len(w.starts("v1")); n != 3+3 {
			t.Errorf("the old image was started %d times, want 3 and for the rollback 3 more", n)
		}
		if n := len(w.starts("crash")); n != 3 {
			t.Errorf("the new image was started %d times, want 3", n)
		}
		w.finish()
	})
}

// A task that fails its checks does not push a healthy one out, even where the
// minimum healthy percent would allow it.
func TestFailingTaskLeavesTheHealthyOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.apply(spec("v1", 1, percent(0, 200)))
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		w.Apply(ctx, spec("sick", 1, percent(0, 200), func(s *model.Service) { s.CircuitBreaker.Enable = false }))
		if strings.Contains(strings.Join(w.after("start"), "\n"), "deregister v1-1") {
			t.Error("the healthy task was stopped")
		}
		w.finish()
	})
}

// Tasks of a deployment that never completed are not started again once another
// one has taken its place.
func TestUncompletedDeploymentIsNotMaintained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.apply(spec("v1", 2, percent(100, 300)))
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		w.Apply(ctx, spec("sick", 2, percent(100, 300), func(s *model.Service) { s.CircuitBreaker.Enable = false }))
		before := len(w.starts("sick"))
		w.apply(spec("slow", 2, percent(100, 300)))
		if n := len(w.starts("sick")); n != before {
			t.Errorf("%d tasks were started after the next deployment began", n-before)
		}
		w.finish()
	})
}

func TestOccasionalFailureIsNoIllness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.apply(spec("v1", 1, noBalancer, checked)) // checked every 10 s, ill after 3
		time.Sleep(5 * time.Second)                 // between two checks
		for range 3 {
			w.container("v1-1").setSick(true)
			time.Sleep(20 * time.Second)
			w.container("v1-1").setSick(false)
			time.Sleep(10 * time.Second)
		}
		if w.happened("unhealthy") || len(w.starts("v1")) != 1 {
			t.Error("two failed checks in a row made the task unhealthy")
		}
		w.finish()
	})
}

func TestHealthyTaskResetsTheCircuitBreaker(t *testing.T) {
	for _, cumulative := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			s := spec("v1", 3, func(s *model.Service) { s.CircuitBreaker.Cumulative = cumulative })
			ctx, cancel := context.WithCancel(t.Context())
			result := make(chan error, 1)
			go func() { result <- w.Apply(ctx, s) }()
			// Of three tasks, one becomes healthy, two die before and one after.
			time.Sleep(time.Second)
			w.container("v1-1").exit(1)
			w.container("v1-2").exit(1)
			time.Sleep(11500 * time.Millisecond) // the third is healthy after 12 s
			synctest.Wait()
			if status := w.service(); status.Deployments[0].RolloutState != InProgress {
				t.Fatalf("after two failures: %+v", status.Deployments[0])
			}
			w.container("v1-3").exit(1)
			synctest.Wait()
			state := w.service().Deployments[0].RolloutState
			if want := map[bool]RolloutState{false: InProgress, true: Failed}[cumulative]; state != want {
				t.Errorf("cumulative %t: after the third failure %s, want %s", cumulative, state, want)
			}
			cancel()
			<-result
			w.finish()
		})
	}
}

func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Hour)
		defer cancel()
		err := w.Apply(ctx, spec("missing", 1, func(s *model.Service) { s.CircuitBreaker = model.CircuitBreaker{} }))
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error is %v", err)
		}
		starts := w.starts("missing")
		for i, want := range []time.Duration{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 27 * 60, 27 * 60} {
			if got := starts[i+1] - starts[i]; got != want*time.Second {
				t.Errorf("start %d came after %v, want %v", i+2, got, want*time.Second)
			}
		}
		if !w.happened("is unable to consistently start tasks successfully") {
			t.Error("no event tells of it")
		}
		// A new task definition is not throttled.
		begin := time.Since(w.begin)
		w.apply(spec("v1", 1))
		if at := w.starts("v1")[0]; at != begin {
			t.Errorf("started after %v", at-begin)
		}
		w.finish()
	})
}

func TestExitedTaskIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.draining = 5 * time.Minute
		w.apply(spec("v1", 1))
		w.container("v1-1").exit(9)
		time.Sleep(pace)
		synctest.Wait()
		want := []string{"12s deregister v1-1", "13s start v1-2", "13s register v1-2:80 in stack/Group"}
		if got := w.after("deregister"); !slices.Equal(got, want) {
			t.Errorf("order is %q, want %q", got, want)
		}
		if tasks := w.service().Tasks; len(tasks) != 1 {
			t.Errorf("tasks are %+v: nothing drains from one that has ended", tasks)
		}
		w.draining = 0
		w.finish()
	})
}

func TestSignal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.apply(spec("v1", 1))
		id := w.service().Tasks[0].ID
		if err := w.Signal(id, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if err := w.Signal(id, syscall.SIGKILL); err == nil {
			t.Error("a task that has ended takes a signal")
		}
		if !w.happened("exit code 137") {
			t.Error("no event tells how the container ended")
		}
		w.finish()
	})
}

func TestUnhealthyTaskIsReplacedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.apply(spec("v1", 1))
		w.container("v1-1").setSick(true)
		time.Sleep(time.Minute)
		synctest.Wait()
		want := []string{
			"24s start v1-2", "24s register v1-2:80 in stack/Group", // two failed checks later
			"36s deregister v1-1", "36s drained v1-1", "36s SIGTERM v1-1",
		}
		if got := w.after("start v1-2"); !slices.Equal(got, want) {
			t.Errorf("order is %q, want %q", got, want)
		}
		w.finish()
	})
}

func TestUnhealthyTaskMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.apply(spec("v1", 2, percent(50, 100)))
		w.container("v1-1").setSick(true)
		w.container("v1-2").setSick(true)
		time.Sleep(50 * time.Second)
		synctest.Wait()
		var got []string
		for _, line := range w.after("start") {
			if strings.Contains(line, "deregister") || strings.Contains(line, "start") {
				got = append(got, line[:len(line)-1]) // which of the two comes first is open
			}
		}
		slices.Sort(got)
		want := []string{"0s start v1-", "0s start v1-", "24s deregister v1-", "24s start v1-", "36s deregister v1-", "36s start v1-"}
		if !slices.Equal(got, want) {
			t.Errorf("happened %q, want %q: one by one", got, want)
		}
		w.finish()
	})
}

func TestGracePeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		w.Apply(ctx, spec("sick", 1, func(s *model.Service) { s.HealthCheckGracePeriod = 90 * time.Second }))
		if starts := w.starts("sick"); len(starts) != 2 || starts[1] != 90*time.Second {
			t.Errorf("started at %v, want the replacement when the grace period is over", starts)
		}
		w.finish()
	})
}

func TestStartPeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Second)
		defer cancel()
		w.Apply(ctx, spec("sick", 1, noBalancer, checked, func(s *model.Service) {
			s.TaskDefinition.Containers[0].HealthCheck.StartPeriod = time.Minute
		}))
		// Checks at 60, 70 and 80 s are the first that count.
		if starts := w.starts("sick"); len(starts) != 2 || starts[1] != 80*time.Second {
			t.Errorf("started at %v, want the replacement after 1m20s", starts)
		}
		w.finish()
	})
	// A check that passes ends the start period.
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.apply(spec("v1", 1, noBalancer, checked, func(s *model.Service) {
			s.TaskDefinition.Containers[0].HealthCheck.StartPeriod = time.Minute
		}))
		w.container("v1-1").setSick(true)
		time.Sleep(35 * time.Second) // checks at 20, 30 and 40 s
		if starts := w.starts("v1"); len(starts) != 2 || starts[1] != 40*time.Second {
			t.Errorf("started at %v, want the replacement after 40s", starts)
		}
		w.finish()
	})
}

// A check that does not end fails after its timeout. The interval begins then.
func TestHealthCheckTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		w.Apply(ctx, spec("hang", 1, noBalancer, checked))
		// The checks begin after 10, 25 and 40 s, and take 5 s.
		const want = `container "main": 3 health checks failed, the last one: it took longer than 5s`
		i := slices.IndexFunc(w.events, func(e provider.Event) bool { return e.Kind == HealthEvent })
		if i < 0 || w.events[i].Message != want || w.events[i].Time.Sub(w.begin) != 45*time.Second {
			t.Errorf("the events are %v, want after 45s %s", w.events, want)
		}
		w.finish()
	})
}

func TestTaskWithoutChecks(t *testing.T) {
	for _, s := range []*model.Service{spec("v1", 1, noBalancer), spec("noexec", 1, noBalancer, checked)} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.apply(s)
			if passed := time.Since(w.begin); passed != 40*time.Second {
				t.Errorf("steady after %v, want 40s", passed)
			}
			w.finish()
		})
	}
}

// A task that dies during an update is replaced by one of its own revision.
func TestOldTaskIsReplacedDuringAnUpdate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.apply(spec("v1", 2))
		go w.Apply(t.Context(), spec("slow", 2))
		time.Sleep(time.Second)
		w.container("v1-1").exit(1)
		time.Sleep(20 * time.Second)
		if n := len(w.starts("v1")); n != 3 {
			t.Errorf("%d tasks of the old deployment were started, want 3", n)
		}
		time.Sleep(2 * time.Minute)
		if status := w.service(); !status.Steady || len(status.Deployments) != 1 || len(w.starts("slow")) != 2 {
			t.Errorf("status is %+v", status)
		}
		w.finish()
	})
}

func TestSupersededUpdate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.apply(spec("v1", 1))
		result := make(chan error)
		go func() { result <- w.Apply(t.Context(), spec("slow", 1)) }()
		time.Sleep(time.Second)
		w.apply(spec("v3", 1))
		if err := <-result; !errors.Is(err, ErrSuperseded) {
			t.Errorf("error is %v", err)
		}
		if status := w.service(); len(status.Tasks) != 1 || status.Deployments[0].ID != "users/3" {
			t.Errorf("status is %+v", status)
		}
		w.finish()
	})
}

func TestThreshold(t *testing.T) {
	for _, test := range []struct {
		threshold     model.Threshold
		desired, want int
	}{
		{model.Threshold{}, 0, 3}, {model.Threshold{}, 1, 3}, {model.Threshold{}, 6, 3}, {model.Threshold{}, 7, 4}, {model.Threshold{}, 25, 13},
		{model.Threshold{}, 400, 200}, {model.Threshold{}, 800, 200},
		{model.Threshold{Type: model.BoundedPercent, Value: 10}, 100, 10}, {model.Threshold{Type: model.BoundedPercent, Value: 10}, 10, 3},
		{model.Threshold{Type: model.UnboundedPercent, Value: 10}, 10, 1}, {model.Threshold{Type: model.UnboundedPercent, Value: 100}, 800, 800}, {model.Threshold{Type: model.UnboundedPercent, Value: 50}, 0, 1},
		{model.Threshold{Type: model.Count, Value: 1}, 800, 1},
	} {
		if got := test.threshold.Failures(test.desired); got != test.want {
			t.Errorf("%+v of %d tasks: %d, want %d", test.threshold, test.desired, got, test.want)
		}
	}
}

func TestLines(t *testing.T) {
	var got []string
	w := Lines(func(line string) { got = append(got, line) })
	for _, part := range []string{"a", "b\nc\r\n\nd", "e\n", strings.Repeat("x", maxLine+1), "\nend"} {
		if n, err := w.Write([]byte(part)); n != len(part) || err != nil {
			t.Fatal(n, err)
		}
	}
	w.Close()
	if want := []string{"ab", "c", "", "de", strings.Repeat("x", maxLine), "x", "end"}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}
