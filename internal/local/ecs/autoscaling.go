package ecs

import (
	"context"
	"fmt"
	"math"
	"reflect"
	"time"
)

// autoscaler scales one service. Guarded by the scheduler's lock.
type autoscaler struct {
	service *service
	scaling Scaling
	timer   *time.Timer

	measured      [][]float64 // by policy; see scalingState
	lastOut       time.Time
	lastIn        time.Time
	before        int
	last          *ScalingActivity
	at            time.Time                        // when was last measured
	requests      map[string]uint64                // so far, by target group
	processorTime map[*taskContainer]time.Duration // so far
}

// ScalingStatus is the scaling of a service as it is at one moment.
type ScalingStatus struct {
	Min      int                   `json:"min"`
	Max      int                   `json:"max"`
	Policies []ScalingPolicyStatus `json:"policies"`
	// Last is what it did last, nil if nothing yet.
	Last *ScalingActivity `json:"last,omitempty"`
}

// ScalingPolicyStatus is what a policy looks at.
type ScalingPolicyStatus struct {
	Metric string  `json:"metric"`
	Target float64 `json:"target"`
	// Value is what was measured last, nil if nothing could be.
	Value *float64 `json:"value,omitempty"`
}

// ScalingActivity is a change of a service's desired count.
type ScalingActivity struct {
	Time time.Time `json:"time"`
	From int       `json:"from"`
	To   int       `json:"to"`
	Why  string    `json:"why"`
}

// autoscale has the service scale from now on, or no more with nil. What is
// registered as it was goes on as if nothing had been.
func (s *service) autoscale(scaling *Scaling) {
	if s.scaler != nil && scaling != nil && reflect.DeepEqual(s.scaler.scaling, *scaling) {
		s.scaler.keepWithin()
		return
	}
	if s.scaler != nil {
		s.scaler.timer.Stop()
		s.scaler = nil
	}
	if scaling == nil {
		return
	}
	a := &autoscaler{service: s, scaling: *scaling, measured: make([][]float64, len(scaling.Policies))}
	s.scaler = a
	a.requests = a.countRequests()
	a.at = time.Now()
	a.keepWithin()
	// The first period has no beginning to compare processor times with.
	a.timer = time.AfterFunc(s.scheduler.options.ScalingPeriod, a.measure)
}

func (a *autoscaler) keepWithin() {
	s := a.service
	if n := a.scaling.within(s.desired); n != s.desired {
		a.change(n, fmt.Sprintf("it is to have from %d to %d", a.scaling.Min, a.scaling.Max))
	}
}

// change sets the service's desired count.
func (a *autoscaler) change(count int, why string) {
	s := a.service
	a.last = &ScalingActivity{Time: time.Now(), From: s.desired, To: count, Why: why}
	s.event(Event{Kind: ScalingEvent, State: fmt.Sprint(count), Message: fmt.Sprintf("scaled from %d to %d tasks: %s", s.desired, count, why)})
	s.desired = count
	s.steady = false
	s.reconcile()
}

// countRequests returns how many requests the target groups have got so far.
func (a *autoscaler) countRequests() map[string]uint64 {
	counts := map[string]uint64{}
	for _, p := range a.scaling.Policies {
		if p.Metric == MetricRequests {
			counts[p.TargetGroup] = a.service.scheduler.options.Requests(p.TargetGroup)
		}
	}
	return counts
}

// measure ends a period: it measures, decides, and begins the next.
func (a *autoscaler) measure() {
	s := a.service
	scheduler := s.scheduler
	scheduler.mu.Lock()
	var running []*taskContainer
	for _, p := range a.scaling.Policies {
		if p.Metric != MetricCPU {
			continue
		}
		for _, t := range s.tasks {
			if t.state != Running {
				continue
			}
			for _, c := range t.containers {
				if !c.ended {
					running = append(running, c)
				}
			}
		}
	}
	scheduler.mu.Unlock()
	// Not under the lock: an engine may take its time.
	used := map[*taskContainer]time.Duration{}
	for _, c := range running {
		ctx, cancel := context.WithTimeout(context.Background(), scheduler.options.ScalingPeriod)
		if t, err := c.running.ProcessorTime(ctx); err == nil {
			used[c] = t
		}
		cancel()
	}

	scheduler.mu.Lock()
	defer scheduler.mu.Unlock()
	if s.scaler != a {
		return // it scales no more, or otherwise
	}
	now := time.Now()
	took := now.Sub(a.at)
	requests := a.countRequests()
	for i, p := range a.scaling.Policies {
		value := math.NaN()
		switch p.Metric {
		case MetricCPU:
			value = utilization(s.spec.TaskDefinition.Reserves().CPU, a.processorTime, used, took, s.tasks)
		case MetricRequests:
			if targets := s.targetsIn(p.TargetGroup); targets > 0 {
				value = float64(requests[p.TargetGroup]-a.requests[p.TargetGroup]) / float64(targets) * float64(time.Minute) / float64(took)
			}
		}
		a.measured[i] = append(a.measured[i], value)
		a.measured[i] = a.measured[i][max(0, len(a.measured[i])-inPeriods):]
	}
	a.at, a.requests, a.processorTime = now, requests, used

	period := scheduler.options.ScalingPeriod
	since := func(t time.Time) time.Duration { // in minutes of AWS
		return time.Duration(min(float64(now.Sub(t))*float64(ScalingPeriod)/float64(period), math.MaxInt64/2))
	}
	state := scalingState{
		desired: s.desired, measured: a.measured, deploying: s.deployments[0].state == InProgress,
		sinceOut: since(a.lastOut), sinceIn: since(a.lastIn), before: a.before,
	}
	count, why := a.scaling.next(state)
	switch {
	case count > s.desired:
		if state.sinceOut >= a.scaling.outCooldown() { // or they are still those from before the first
			a.before = s.desired
		}
		a.lastOut = now
		a.change(count, why)
	case count < s.desired:
		a.lastIn = now
		a.change(count, why)
	}
	a.timer.Reset(period)
}

// utilization is the processor time that tasks took of what they reserve, in units of
// 1/1024 processor each, as a percentage. Tasks count that ran all the time. NaN if
// there is none, or nothing is reserved.
func utilization(reserved int, before, after map[*taskContainer]time.Duration, took time.Duration, tasks []*task) float64 {
	used, counted := time.Duration(0), 0
	for _, t := range tasks {
		whole := len(t.containers) > 0
		sum := time.Duration(0)
		for _, c := range t.containers {
			was, known := before[c]
			is, still := after[c]
			whole = whole && known && still
			sum += is - was
		}
		if whole {
			used += sum
			counted++
		}
	}
	if counted == 0 || reserved == 0 || took <= 0 {
		return math.NaN()
	}
	return 100 * float64(used) / (float64(counted) * float64(reserved) / 1024 * float64(took))
}

// targetsIn counts the tasks that a target group sends requests to.
func (s *service) targetsIn(group string) (n int) {
	for _, t := range s.tasks {
		if t.targets[group] == TargetHealthy {
			n++
		}
	}
	return n
}

func (a *autoscaler) status() *ScalingStatus {
	if a == nil {
		return nil
	}
	status := &ScalingStatus{Min: a.scaling.Min, Max: a.scaling.Max, Policies: []ScalingPolicyStatus{}, Last: a.last}
	for i, p := range a.scaling.Policies {
		one := ScalingPolicyStatus{Metric: p.Metric, Target: p.Target}
		if values := a.measured[i]; len(values) > 0 && !math.IsNaN(values[len(values)-1]) {
			value := values[len(values)-1]
			one.Value = &value
		}
		status.Policies = append(status.Policies, one)
	}
	return status
}
