package ecs

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"cutover/internal/model"
)

// Target tracking decides on measured values. The first policy has the target 100, a second one 50.
func TestTargetTracking(t *testing.T) {
	never := 100 * time.Hour
	cpu := &model.ScalingPolicy{Metric: model.MetricCPU, TargetValue: 50, OutCooldown: 5 * time.Minute, InCooldown: 5 * time.Minute}
	requests := &model.ScalingPolicy{Metric: model.MetricRequests, TargetValue: 100, OutCooldown: 5 * time.Minute, InCooldown: 5 * time.Minute}
	outOnly := &model.ScalingPolicy{Metric: model.MetricRequests, TargetValue: 100, OutOnly: true, OutCooldown: 5 * time.Minute, InCooldown: 5 * time.Minute}
	flat := func(value float64, n int) []float64 { return slices.Repeat([]float64{value}, n) }
	nothing := math.NaN()
	tests := []struct {
		name     string
		policies []*model.ScalingPolicy
		measured [][]float64
		desired  int
		change   func(*scalingState)
		want     int
		why      string
	}{
		{name: "at the target", measured: [][]float64{flat(100, 15)}, desired: 2, want: 2},
		{name: "above it", measured: [][]float64{{10, 101, 150, 140}}, desired: 2, want: 3, why: "ALBRequestCountPerTarget is 140, above its target of 100"},
		{name: "far above it", measured: [][]float64{flat(330, 3)}, desired: 2, want: 7},
		{name: "above what there may be", measured: [][]float64{flat(1000, 3)}, desired: 2, want: 10},
		{name: "above it with all there may be", measured: [][]float64{flat(1000, 3)}, desired: 10, want: 10},
		{name: "above it too briefly", measured: [][]float64{{500, 500}}, desired: 2, want: 2},
		{name: "above it with a gap", measured: [][]float64{{500, nothing, 500, 500}}, desired: 2, want: 2},
		{name: "above it and back", measured: [][]float64{{500, 500, 90}}, desired: 2, want: 2},
		{name: "during a deployment", measured: [][]float64{flat(150, 3)}, desired: 2, change: func(s *scalingState) { s.deploying = true }, want: 3},
		// From 2 to 4 a minute ago: 150 asks for 3 of those 2, and 4 are there; 250 for 5.
		{name: "what was just added", measured: [][]float64{flat(150, 3)}, desired: 4, change: func(s *scalingState) { s.sinceOut, s.before = time.Minute, 2 }, want: 4},
		{name: "more than was just added", measured: [][]float64{flat(250, 3)}, desired: 4, change: func(s *scalingState) { s.sinceOut, s.before = time.Minute, 2 }, want: 5},
		{name: "after the cooldown", measured: [][]float64{flat(150, 3)}, desired: 4, change: func(s *scalingState) { s.sinceOut, s.before = 5*time.Minute, 2 }, want: 6},
		{name: "soon after tasks were removed", measured: [][]float64{flat(150, 3)}, desired: 2, change: func(s *scalingState) { s.sinceIn = time.Second }, want: 3},
		{name: "from below the least", measured: [][]float64{flat(150, 3)}, desired: 1, want: 2},

		{name: "below it", measured: [][]float64{flat(40, 15)}, desired: 6, want: 3, why: "ALBRequestCountPerTarget is 40, below its target of 100"},
		{name: "nothing to do", measured: [][]float64{flat(0, 15)}, desired: 6, want: 2},
		{name: "below it by less than a tenth", measured: [][]float64{flat(90, 15)}, desired: 10, want: 10},
		{name: "below it, and one less is too few", measured: [][]float64{flat(80, 15)}, desired: 4, want: 4},
		{name: "below it too briefly", measured: [][]float64{flat(10, 14)}, desired: 6, want: 6},
		{name: "below it with a gap", measured: [][]float64{append(flat(10, 14), nothing)}, desired: 6, want: 6},
		{name: "no more than the busiest minute allows", measured: [][]float64{append([]float64{80}, flat(10, 14)...)}, desired: 6, want: 5},
		{name: "not during a deployment", measured: [][]float64{flat(0, 15)}, desired: 6, change: func(s *scalingState) { s.deploying = true }, want: 6},
		{name: "not in the cooldown", measured: [][]float64{flat(0, 15)}, desired: 6, change: func(s *scalingState) { s.sinceIn = 4 * time.Minute }, want: 6},
		{name: "soon after tasks were added", measured: [][]float64{flat(10, 15)}, desired: 6, change: func(s *scalingState) { s.sinceOut = time.Minute }, want: 2},
		{name: "never below the least", measured: [][]float64{flat(0, 15)}, desired: 2, want: 2},
		{name: "not up to the least", measured: [][]float64{flat(0, 15)}, desired: 1, want: 1},
		{name: "a policy that removes none", policies: []*model.ScalingPolicy{outOnly}, measured: [][]float64{flat(0, 15)}, desired: 6, want: 6},

		{name: "one of two asks for more", policies: []*model.ScalingPolicy{requests, cpu}, measured: [][]float64{flat(0, 15), flat(75, 3)}, desired: 2, want: 3, why: "ECSServiceAverageCPUUtilization is 75, above its target of 50"},
		{name: "both ask for more", policies: []*model.ScalingPolicy{requests, cpu}, measured: [][]float64{flat(200, 3), flat(75, 3)}, desired: 2, want: 4, why: "ALBRequestCountPerTarget is 200, above its target of 100"},
		{name: "one of two asks for fewer", policies: []*model.ScalingPolicy{requests, cpu}, measured: [][]float64{flat(0, 15), flat(48, 15)}, desired: 6, want: 6},
		{name: "nothing is known of one", policies: []*model.ScalingPolicy{requests, cpu}, measured: [][]float64{flat(0, 15), flat(nothing, 15)}, desired: 6, want: 6},
		{name: "both ask for fewer", policies: []*model.ScalingPolicy{requests, cpu}, measured: [][]float64{flat(10, 15), flat(25, 15)}, desired: 6, want: 3, why: "ECSServiceAverageCPUUtilization is 25, below its target of 50"},
		{name: "one asks for fewer, the other does not remove", policies: []*model.ScalingPolicy{outOnly, cpu}, measured: [][]float64{flat(99, 15), flat(25, 15)}, desired: 6, want: 3},
	}
	for _, test := range tests {
		s := &model.ScalableTarget{Min: 2, Max: 10, Policies: test.policies}
		if s.Policies == nil {
			s.Policies = []*model.ScalingPolicy{requests}
		}
		state := scalingState{desired: test.desired, measured: test.measured, sinceOut: never, sinceIn: never}
		if test.change != nil {
			test.change(&state)
		}
		got, why := next(s, state)
		if got != test.want || !strings.Contains(why, test.why) || (why == "") != (got == test.desired) {
			t.Errorf("%s: %d tasks are to be %d (%q), want %d (%q)", test.name, test.desired, got, why, test.want, test.why)
		}
	}
}
