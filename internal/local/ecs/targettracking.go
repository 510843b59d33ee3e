package ecs

import (
	"fmt"
	"math"
	"slices"
	"time"

	"cutover/internal/model"
)

const (
	// ScalingPeriod is the length of a measurement.
	// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-auto-scaling.html
	ScalingPeriod = time.Minute

	// A policy's alarms look at so many periods in a row: above the target, and below its share.
	// AWS documents that tasks are added as fast as possible, removed more gradually, and not
	// before the metric is about a tenth below the target
	// (https://docs.aws.amazon.com/autoscaling/application/userguide/target-tracking-scaling-policy-overview.html).
	// The numbers are those of the alarms in an account.
	outPeriods = 3
	inPeriods  = 15
	inShare    = 0.9
)

// scalingState is what a decision needs.
type scalingState struct {
	desired int
	// measured has the values of each policy's metric in order, NaN if nothing was measured.
	measured [][]float64
	// deploying says that a deployment is in progress. No tasks are removed then
	// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-autoscaling-targettracking.html).
	deploying bool
	// sinceOut and sinceIn are the times since tasks were added and removed, in AWS's minutes.
	sinceOut, sinceIn time.Duration
	// before is the count before tasks were added.
	before int
}

// next returns how many tasks there are to be, and why.
//
// One policy is enough to add tasks: as many as bring its metric to the target, rounded up.
// During the cooldown, tasks that were just added count. To remove tasks, all policies that
// remove must agree. The busiest period decides how many
// (https://docs.aws.amazon.com/autoscaling/application/userguide/target-tracking-scaling-policy-overview.html).
func next(s *model.ScalableTarget, state scalingState) (count int, why string) {
	count = state.desired
	for i, p := range s.Policies {
		last := tail(state.measured[i], outPeriods)
		if last == nil || slices.Min(last) <= p.TargetValue {
			continue
		}
		from := state.desired
		if state.sinceOut < p.OutCooldown {
			from = state.before
		}
		now := last[len(last)-1]
		if n := min(max(tasks(p, from, now), s.Min), s.Max); n > count {
			count, why = n, explain(p, now, "above")
		}
	}
	if count != state.desired || state.deploying {
		return count, why
	}
	needed := 0 // the most of any policy
	for i, p := range s.Policies {
		if p.OutOnly {
			continue
		}
		last := tail(state.measured[i], inPeriods)
		if last == nil || !(slices.Max(last) < p.TargetValue*inShare) || state.sinceIn < p.InCooldown {
			return state.desired, ""
		}
		if n := max(tasks(p, state.desired, slices.Max(last)), s.Min); n > needed {
			needed, why = n, explain(p, last[len(last)-1], "below")
		}
	}
	if needed == 0 || needed >= state.desired {
		return state.desired, ""
	}
	return needed, why
}

// within bounds a count, as the registration of a scalable target does.
// https://docs.aws.amazon.com/autoscaling/application/APIReference/API_RegisterScalableTarget.html
func within(s *model.ScalableTarget, count int) int { return min(max(count, s.Min), s.Max) }

// outCooldown is the longest of the policies'.
func outCooldown(s *model.ScalableTarget) (longest time.Duration) {
	for _, p := range s.Policies {
		longest = max(longest, p.OutCooldown)
	}
	return longest
}

// tasks returns how many bring the metric to the target, if so many have it at a value.
func tasks(p *model.ScalingPolicy, now int, value float64) int {
	return int(math.Ceil(float64(now) * value / p.TargetValue))
}

func explain(p *model.ScalingPolicy, value float64, where string) string {
	return fmt.Sprintf("%s is %.0f, %s its target of %g", p.Metric, value, where, p.TargetValue)
}

// tail returns the last n values, or nil if one of them is missing.
func tail(values []float64, n int) []float64 {
	if len(values) < n || slices.ContainsFunc(values[len(values)-n:], math.IsNaN) {
		return nil
	}
	return values[len(values)-n:]
}
