package ecs

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"cutover/internal/model"
)

// autoscaler scales one service. Guarded by the scheduler's lock.
type autoscaler struct {
	service *service
	scaling *model.ScalableTarget
	group   string // of targets whose requests are counted, if a policy asks for them
	timer   *time.Timer

	measured      [][]float64 // by policy; see scalingState
	lastOut       time.Time
	lastIn        time.Time
	before        int
	last          *ScalingActivity
	at            time.Time                        // of the last measurement
	requests      uint64                           // of the group so far
	processorTime map[*taskContainer]time.Duration // so far
}

// ScalingStatus is the scaling of a service as it is at one moment.
type ScalingStatus struct {
	Min      int                   `json:"min"`
	Max      int                   `json:"max"`
	Policies []ScalingPolicyStatus `json:"policies"`
	// Last is the last activity, nil before the first.
	Last *ScalingActivity `json:"last,omitempty"`
}

// ScalingPolicyStatus is a policy and its last measurement.
type ScalingPolicyStatus struct {
	Metric string  `json:"metric"`
	Target float64 `json:"target"`
	// Value is nil if nothing could be measured.
	Value *float64 `json:"value,omitempty"`
}

// ScalingActivity is a change of a service's desired count.
type ScalingActivity struct {
	Time time.Time `json:"time"`
	From int       `json:"from"`
	To   int       `json:"to"`
	Why  string    `json:"why"`
}

// autoscale starts to scale the service; nil ends it. Scaling that is the same goes on.
func (s *service) autoscale(scaling *model.ScalableTarget) {
	a := &autoscaler{service: s, scaling: scaling}
	if scaling != nil && scalesBy(model.MetricRequests, scaling) {
		a.group = s.spec.LoadBalancers[0].TargetGroup.Key()
	}
	if s.scaler != nil {
		if scaling != nil && digest(a.scaling, a.group) == digest(s.scaler.scaling, s.scaler.group) {
			s.scaler.keepWithin()
			return
		}
		s.scaler.timer.Stop()
		s.scaler = nil
	}
	if scaling == nil {
		return
	}
	s.scaler = a
	a.measured = make([][]float64, len(scaling.Policies))
	a.requests = a.countRequests()
	a.at = time.Now()
	a.keepWithin()
	// The first period has no beginning to compare processor times with.
	a.timer = time.AfterFunc(s.scheduler.options.ScalingPeriod, a.measure)
}

func (a *autoscaler) keepWithin() {
	s := a.service
	if n := within(a.scaling, s.desired); n != s.desired {
		a.change(n, fmt.Sprintf("it is to have from %d to %d", a.scaling.Min, a.scaling.Max))
	}
}

// change sets the service's desired count.
func (a *autoscaler) change(count int, why string) {
	s := a.service
	a.last = &ScalingActivity{Time: time.Now(), From: s.desired, To: count, Why: why}
	s.event(ScalingEvent, "", fmt.Sprint(count), fmt.Sprintf("scaled from %d to %d tasks: %s", s.desired, count, why))
	s.desired = count
	s.steady = false
	s.reconcile()
}

func scalesBy(metric string, s *model.ScalableTarget) bool {
	return slices.ContainsFunc(s.Policies, func(p *model.ScalingPolicy) bool { return p.Metric == metric })
}

// queues are the names of the queues whose messages decide.
func queues(s *model.ScalableTarget) (all []string) {
	for _, p := range s.Policies {
		for _, metric := range p.Metrics {
			if metric.QueueName != "" {
				all = append(all, metric.QueueName)
			}
		}
	}
	return all
}

// countRequests returns how many requests the target group has got so far.
func (a *autoscaler) countRequests() uint64 {
	if a.group == "" {
		return 0
	}
	return a.service.scheduler.options.Requests(a.group)
}

// measure ends a period: it measures, decides, and begins the next.
func (a *autoscaler) measure() {
	s := a.service
	scheduler := s.scheduler
	scheduler.mu.Lock()
	var running []*taskContainer
	for _, t := range s.tasks {
		for _, c := range t.containers {
			if t.LastStatus == Running && !c.ended && scalesBy(model.MetricCPU, a.scaling) {
				running = append(running, c)
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
	waiting := map[string]float64{}
	for _, queue := range queues(a.scaling) {
		ctx, cancel := context.WithTimeout(context.Background(), scheduler.options.ScalingPeriod)
		waiting[queue] = math.NaN()
		if n, err := scheduler.options.Messages(ctx, queue); err == nil {
			waiting[queue] = float64(n)
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
		case model.MetricCPU:
			value = utilization(s.spec.TaskDefinition.Reserves().CPU, a.processorTime, used, took, s.tasks)
		case model.MetricRequests:
			if targets := s.targetsIn(a.group); targets > 0 {
				value = float64(requests-a.requests) / float64(targets) * float64(time.Minute) / float64(took)
			}
		default:
			value, _ = p.Value(func(metric model.Metric) float64 { // what it cannot evaluate is not measured
				if metric.Tasks {
					return float64(s.running())
				}
				return waiting[metric.QueueName]
			})
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
		desired: s.desired, measured: a.measured, deploying: s.deployments[0].RolloutState == InProgress,
		sinceOut: since(a.lastOut), sinceIn: since(a.lastIn), before: a.before,
	}
	count, why := next(a.scaling, state)
	switch {
	case count > s.desired:
		if state.sinceOut >= outCooldown(a.scaling) { // else before is the count before the first activity
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

// utilization is the processor time of tasks as a percentage of what each reserves, in units of
// 1/1024 processor. Only tasks that ran all the time count. NaN if none did, or nothing is
// reserved.
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

// running counts the tasks that are RUNNING.
func (s *service) running() (n int) {
	for _, t := range s.tasks {
		if t.LastStatus == Running {
			n++
		}
	}
	return n
}

// targetsIn counts the healthy tasks in a target group.
func (s *service) targetsIn(group string) (n int) {
	for _, t := range s.tasks {
		if t.Targets[group] == TargetHealthy {
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
		one := ScalingPolicyStatus{Metric: p.Metric, Target: p.TargetValue}
		if values := a.measured[i]; len(values) > 0 && !math.IsNaN(values[len(values)-1]) {
			value := values[len(values)-1]
			one.Value = &value
		}
		status.Policies = append(status.Policies, one)
	}
	return status
}
