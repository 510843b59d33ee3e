package ecs

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cutover/internal/model"
	"cutover/internal/nightly"
)

// scaling is a service without a count that scales by requests and processor time.
func scaling(least, most int, change ...func(*model.Service)) func(*model.Service) {
	return func(s *model.Service) {
		s.DesiredCount = nil
		s.TaskDefinition.Containers[0].CPUShares = 256
		s.Scaling = &model.ScalableTarget{Min: least, Max: most, Policies: []*model.ScalingPolicy{
			{Metric: model.MetricRequests, TargetValue: 100, OutCooldown: 5 * time.Minute, InCooldown: 5 * time.Minute},
			{Metric: model.MetricCPU, TargetValue: 50, OutCooldown: 5 * time.Minute, InCooldown: 5 * time.Minute},
		}}
		for _, f := range change {
			f(s)
		}
	}
}

// scaled tells what autoscaling has done.
func (w *world) scaled() (lines []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		if e.Kind == ScalingEvent {
			lines = append(lines, e.Time.Sub(w.begin).Round(time.Minute).String()+" "+e.Message)
		}
	}
	return lines
}

func TestAutoscaling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.apply(spec("v1", 0, scaling(1, 6)))
		if status := w.service(); status.DesiredCount != 1 || status.Scaling == nil || status.Scaling.Max != 6 || status.Scaling.Last != nil {
			t.Errorf("a new service is %+v, its scaling %+v", status, status.Scaling)
		}
		time.Sleep(30 * time.Second) // so that nothing changes just when it is measured
		w.load(0, 350)               // a minute, of which each task may have 100
		time.Sleep(20 * time.Minute)
		w.load(0, 0)
		time.Sleep(30 * time.Minute)
		w.load(0.25, 0) // of a processor, of which each task has reserved a quarter
		time.Sleep(5 * time.Minute)
		status := w.service()
		if status.DesiredCount != 2 || status.RunningCount != 2 || !status.Steady {
			t.Errorf("the service is %+v", status)
		}
		if value := status.Scaling.Policies[1].Value; value == nil || *value < 99 || *value > 101 {
			t.Errorf("the processor time measured is %v %%, want 100", value)
		}
		w.finish()
		want := []string{
			"3m0s scaled from 1 to 4 tasks: ALBRequestCountPerTarget is 350, above its target of 100",
			"35m0s scaled from 4 to 2 tasks: ALBRequestCountPerTarget is 0, below its target of 100",
			"40m0s scaled from 2 to 1 tasks: ALBRequestCountPerTarget is 0, below its target of 100",
			"53m0s scaled from 1 to 2 tasks: ECSServiceAverageCPUUtilization is 100, above its target of 50",
		}
		if got := w.scaled(); !slices.Equal(got, want) {
			t.Errorf("it has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}

// Deployments leave the count to autoscaling. A count that is set, and 0, belong to deployments.
func TestAutoscalingAndDeployments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		desired := func(step string, want int) {
			t.Helper()
			if status := w.service(); status.DesiredCount != want || status.RunningCount != want {
				t.Errorf("%s: the service is to have %d tasks, and %d run, want %d", step, status.DesiredCount, status.RunningCount, want)
			}
		}
		count := func(n int) func(*model.Service) { return func(s *model.Service) { s.DesiredCount = &n } }

		w.apply(spec("v1", 0))
		desired("without traffic, nor autoscaling", 0)
		started := spec("v1", 0, scaling(2, 6, count(2)))
		w.apply(started)
		desired("started", 2)
		time.Sleep(30 * time.Second)
		w.load(0, 900)
		time.Sleep(10 * time.Minute)
		desired("with load", 6)
		w.apply(started)
		desired("deployed again as it was", 6) // CloudFormation finds nothing to update
		w.apply(spec("v1", 0, scaling(2, 6)))
		desired("without a count", 6)
		w.apply(spec("v2", 0, scaling(2, 6)))
		desired("a new image", 6)
		if n := len(w.starts("v2")); n != 6 {
			t.Errorf("%d tasks of the new image were started, want 6", n)
		}
		w.apply(spec("v2", 0, scaling(2, 4)))
		time.Sleep(time.Minute)
		desired("fewer at the most", 4)
		w.apply(spec("v2", 0, scaling(5, 9)))
		time.Sleep(time.Minute)
		desired("more at the least", 5)
		w.apply(spec("v2", 3, func(s *model.Service) { scaling(2, 6, count(3))(s) }))
		desired("a count that is set", 3)
		w.apply(spec("v2", 0))
		time.Sleep(30 * time.Minute)
		desired("0, however much it has to do", 0)
		if status := w.service(); status.Scaling != nil {
			t.Errorf("it still scales: %+v", status.Scaling)
		}
		w.finish()
	})
}

// While a deployment is in progress, autoscaling adds tasks and removes none.
func TestAutoscalingDuringADeployment(t *testing.T) {
	nightly.Test(t, "it starts tasks that crash for an hour, in a bubble")
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		endless := func(s *model.Service) { s.CircuitBreaker.Enable = false }
		after := func(d time.Duration, what string, want int) {
			t.Helper()
			time.Sleep(d)
			if n := w.service().DesiredCount; n != want {
				t.Errorf("%s: it is to have %d tasks, want %d", what, n, want)
			}
		}
		w.apply(spec("v1", 0, scaling(1, 6), endless))
		time.Sleep(30 * time.Second)
		w.load(0, 350)
		after(10*time.Minute, "with load", 4)
		w.load(0, 100)
		superseded := make(chan error)
		go func() { superseded <- w.Apply(t.Context(), spec("crash", 0, scaling(1, 6), endless)) }()
		after(30*time.Minute, "half an hour without load, in a deployment", 4) // tasks would be removed after 15 minutes
		w.load(0, 550)
		after(10*time.Minute, "with more load, in a deployment", 6)
		w.load(0, 100)
		w.apply(spec("v1", 0, scaling(1, 6), endless))
		if err := <-superseded; !errors.Is(err, ErrSuperseded) {
			t.Errorf("the deployment ended with %v", err)
		}
		after(20*time.Minute, "after the deployment", 1)
		w.finish()
	})
}

// Requests are counted by target. A task that is starting is none.
func TestAutoscalingCountsHealthyTargets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.apply(spec("slow", 0, scaling(1, 6))) // a task takes a minute and two checks to start
		w.load(0, 350)
		time.Sleep(4*time.Minute + time.Second)
		status := w.service()
		if value := status.Scaling.Policies[0].Value; len(status.Tasks) != 4 || value == nil || *value != 350 {
			t.Errorf("a target of %d tasks gets %v requests, want 350 for the one that is healthy", len(status.Tasks), *value)
		}
		w.finish()
	})
}

// Scaling by requests needs a count of requests.
func TestScalingByRequestsThatNobodyCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.options.Requests = nil
		if err := w.Apply(t.Context(), spec("v1", 0, scaling(1, 6))); err == nil || !strings.Contains(err.Error(), "service users (stack/Service) scales by requests, and nobody counts them") {
			t.Errorf("applied with %v", err)
		}
	})
}

// Times shrink with the period, and a target means the same.
func TestScalingPeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.options.ScalingPeriod = time.Second
		w.apply(spec("v1", 0, scaling(1, 6)))
		time.Sleep(500 * time.Millisecond)
		w.load(0, 350)
		time.Sleep(4 * time.Second)
		if n := w.service().DesiredCount; n != 4 {
			t.Errorf("after 4 s it is to have %d tasks, want 4", n)
		}
		w.load(0, 0)
		time.Sleep(25 * time.Second)
		if n := w.service().DesiredCount; n != 1 {
			t.Errorf("25 s later it is to have %d tasks, want 1", n)
		}
		w.finish()
	})
}

// A worker scales by the messages that wait for each of its tasks.
func TestAutoscalingByBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		backlog := &model.ScalingPolicy{
			Metric: "Jobs for each worker", Expression: "jobs / tasks", TargetValue: 10, OutCooldown: 5 * time.Minute, InCooldown: 5 * time.Minute,
			Metrics: []model.Metric{{ID: "jobs", QueueName: "work"}, {ID: "tasks", Tasks: true}},
		}
		w.apply(spec("v1", 0, noBalancer, func(s *model.Service) {
			s.DesiredCount, s.Scaling = nil, &model.ScalableTarget{Min: 1, Max: 6, Policies: []*model.ScalingPolicy{backlog}}
		}))
		time.Sleep(30 * time.Second) // so that nothing changes just when it is measured
		w.wait(35)
		time.Sleep(10 * time.Minute)
		w.wait(-1)
		time.Sleep(10 * time.Minute)
		if status := w.service(); status.DesiredCount != 4 || status.RunningCount != 4 || status.Scaling.Policies[0].Value != nil {
			t.Errorf("while nobody counts, the service is %+v, its scaling %+v", status, status.Scaling)
		}
		w.wait(0)
		time.Sleep(20 * time.Minute)
		w.finish()
		want := []string{
			"4m0s scaled from 1 to 4 tasks: Jobs for each worker is 35, above its target of 10",
			"36m0s scaled from 4 to 1 tasks: Jobs for each worker is 0, below its target of 10",
		}
		if got := w.scaled(); !slices.Equal(got, want) {
			t.Errorf("it has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}
