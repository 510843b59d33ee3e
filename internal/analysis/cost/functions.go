package cost

import (
	"fmt"
	"slices"

	"cutover/internal/capacity"
	"cutover/internal/model"
)

// assumedSeconds is how long an invocation is assumed to take: templates do not tell.
const assumedSeconds = 0.02

// leastTask is the smallest task on Fargate, which a function is compared with.
var leastTask = capacity.Resources{CPU: 256, MemoryMiB: 512}

// function notes what requests to a function cost, if it is asked by requests, above how many a month the smallest task on Fargate costs less,
// and what one execution environment of provisioned concurrency adds. It leaves out the prices of the other
// architecture. A function that no load balancer invokes, such as CDK's own, runs too seldom to count.
func (e *environment) function(v *model.Function, asked bool, keys []string) ([]string, error) {
	if !v.Invoked {
		return nil, nil
	}
	duration, other, name := "functionSecondsX86", "functionSecondsARM", ""
	if v.Architecture == "arm64" {
		duration, other, name = other, duration, ", ARM"
	}
	request := prices.Traffic["functionRequests"].Price/1e6 + float64(v.MemoryMiB)/1024*assumedSeconds*prices.Traffic[duration].Price
	task := float64(prices.Hours) * rate(&model.Fargate{ARM: v.Architecture == "arm64"}, leastTask)
	if !asked { // [events] has what comes from a stream or a queue
		return without(keys, other), v.Problem("MemorySize", "Architectures")
	}
	e.functions = append(e.functions,
		fmt.Sprintf("%s: a million requests cost US$ %v, if each takes %v ms at %d MiB; above %.1f million a month, a Fargate task of 0.25 vCPU, 0.5 GB%s for US$ %v costs less",
			v.Name, amount(1e6, request), assumedSeconds*1000, v.MemoryMiB, task/request/1e6, name, amount(1, task)),
		fmt.Sprintf("%s: if no request may wait for a cold start, each execution environment of provisioned concurrency adds US$ %v a month",
			v.Name, Provisioned(v, 1)))
	return without(keys, other), v.Problem("MemorySize", "Architectures")
}

// answers says whether requests invoke a function, and not only what comes from a stream or a queue.
func answers(m *model.Model, f *model.Function) bool {
	return slices.ContainsFunc(m.TargetGroups, func(g *model.TargetGroup) bool {
		return slices.ContainsFunc(g.Targets, func(t model.Target) bool { return m.FunctionTarget(t.ID).Function == f })
	}) || slices.ContainsFunc(m.APIMethods, func(a *model.APIMethod) bool { return m.FunctionTarget(a.Integration.Function).Function == f })
}

// Provisioned is the price of a month of provisioned concurrency of a function, for some execution environments that
// are always ready.
func Provisioned(f *model.Function, environments int) Cents {
	architecture := "x86"
	if f.Architecture == "arm64" {
		architecture = "arm"
	}
	return amount(environments, float64(f.MemoryMiB)/1024*float64(prices.Hours)*3600*prices.ProvisionedConcurrency.Prices[architecture])
}
