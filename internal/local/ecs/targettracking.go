package ecs

import (
	"fmt"
	"math"
	"slices"
	"time"

	"cutover/internal/model"
)

const (
	// ScalingPeriod is the time that a metric is measured over.
	// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-auto-scaling.html
	ScalingPeriod = time.Minute

	// The alarms that Application Auto Scaling makes for a policy look at so many
	// periods in a row: those above the target, and those so far below it. AWS documents
	// that it adds tasks as fast as it can, removes them more gradually, and not before
	// the metric is lower than the target by more than about a tenth
	// (https://docs.aws.amazon.com/autoscaling/application/userguide/target-tracking-scaling-policy-overview.html).
	// The numbers are those of the alarms that one finds in an account.
	outPeriods = 3
	inPeriods  = 15
	inShare    = 0.9
)

// scalingState is what a decision is made on.
type scalingState struct {
	desired int
	// measured has what each policy's metric was, the last one last; NaN where nothing
	// was measured.
	measured [][]float64
	// deploying turns removing tasks off, as long as a deployment is in progress
	// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-autoscaling-targettracking.html).
	deploying bool
	// sinceOut and sinceIn are how long ago tasks were added and removed, measured in
	// minutes of AWS: of so many periods.
	sinceOut, sinceIn time.Duration
	// before is how many there were before tasks were added.
	before int
}

// next returns how many tasks there are to be, and why; the number that there are
// if nothing is to change.
//
// Tasks are added as soon as one policy asks for them: as many as bring its metric to
// the target, rounded up, if the metric falls as they are added. During the cooldown
// those that were just added count as part of what is asked for. Tasks are removed
// only if all policies that do so agree, and no more than the busiest of the periods
// would have left superfluous
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
	needed := 0 // by the policy that needs most
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

// within returns the count that registering the scalable target makes of one.
// https://docs.aws.amazon.com/autoscaling/application/APIReference/API_RegisterScalableTarget.html
func within(s *model.ScalableTarget, count int) int { return min(max(count, s.Min), s.Max) }

// outCooldown is the longest of the policies'.
func outCooldown(s *model.ScalableTarget) (longest time.Duration) {
	for _, p := range s.Policies {
		longest = max(longest, p.OutCooldown)
	}
	return longest
}

// tasks returns how many have the metric at the target if so many have it at a value.
func tasks(p *model.ScalingPolicy, now int, value float64) int {
	return int(math.Ceil(float64(now) * value / p.TargetValue))
}

func explain(p *model.ScalingPolicy, value float64, where string) string {
	return fmt.Sprintf("%s is %.0f, %s its target of %g", p.Metric, value, where, p.TargetValue)
}

// tail returns the last n values, or nil if there are not so many, or nothing was
// measured in one of the periods.
func tail(values []float64, n int) []float64 {
	if len(values) < n {
		return nil
	}
	last := values[len(values)-n:]
	for _, v := range last {
		if math.IsNaN(v) {
			return nil
		}
	}
	return last
}
