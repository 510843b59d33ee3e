// Package criticalpath says what a deployment has to wait for, from synthesized templates: which
// resources CloudFormation touches, which resources wait for which, and the longest chain of them.
//
// The package counts steps: a resource that is created, updated or deleted. It adds up the waits
// that the templates choose, such as health checks. It does not guess how long AWS takes.
//
// The package relies on this of CloudFormation and of the CDK command line:
//
//   - A resource waits for the resources that it names: in DependsOn, and in its properties by
//     Ref, Fn::GetAtt and Fn::Sub. Others go side by side. A resource is deleted after its users
//     (https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-attribute-dependson.html).
//   - CloudFormation deletes what was removed or replaced after it has updated the rest
//     (https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-updating-stacks-monitor-stack.html).
//   - A stack waits for all of every stack that it depends on. `cdk deploy --concurrency` bounds
//     how many go side by side. A stack with an unchanged template is left out, whatever it reads
//     (https://docs.aws.amazon.com/cdk/v2/guide/ref-cli-cmd-deploy.html).
//   - CloudFormation waits for a service until it is steady: see [Step.Seconds].
package criticalpath

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"cutover/internal/assembly"
	"cutover/internal/model"
)

// Action is what is done to a resource.
type Action string

const (
	Create Action = "create"
	// Update is done in place.
	Update Action = "update"
	// Replace makes a new resource. Deleting the old one is another step.
	Replace Action = "replace"
	Delete  Action = "delete"
)

// Step is one resource that something is done to.
type Step struct {
	Stack     string `json:"stack"`
	LogicalID string `json:"logicalId"`
	// Name is the path of the construct within the stack, or the logical id without one.
	Name   string `json:"name"`
	Type   string `json:"type"`
	Action Action `json:"action"`
	// Seconds is the longest time that the template gives the step, mostly 0. Why explains it, or says that AWS takes minutes, which no
	// template chooses and no sum has.
	//
	// The time is known for ECS services:
	//
	//   - A new task counts when its targets and containers are healthy. A target's first check
	//     comes within an interval, and is enough. (ECS's own page counts the threshold times
	//     the interval.) A container's first check comes after an interval.
	//   - A task that goes away has the deregistration delay and then the stop timeout, at most.
	//
	// A task on Fargate waits for no instance. How long AWS takes for the machine of the task is not in
	// the templates.
	//
	// What a deployment changes decides which of the two a service waits for.
	//
	//   - https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeploymentConfiguration.html
	//   - https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks.html
	//   - https://docs.aws.amazon.com/AmazonECS/latest/developerguide/load-balancer-healthcheck.html
	//   - https://docs.aws.amazon.com/AmazonECS/latest/developerguide/load-balancer-connection-draining.html
	Seconds int    `json:"seconds,omitempty"`
	Why     string `json:"why,omitempty"`
	// GivesUp is the most seconds until the circuit breaker ends a deployment whose tasks never
	// become healthy. It is 0 without a circuit breaker, or with a threshold of its own.
	// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-circuit-breaker.html
	GivesUp int `json:"givesUpSeconds,omitempty"`
}

// Length is the length of a chain of steps, or of all steps one after the other.
type Length struct {
	Stacks int `json:"stacks"`
	Steps  int `json:"steps"`
	// Seconds are those that the templates choose.
	Seconds int `json:"seconds"`
}

// Stack is what is done to a stack.
type Stack struct {
	Name string `json:"name"`
	// Turn counts from 1. Stacks of one turn go side by side. 0: the stack is left out.
	Turn int `json:"turn"`
	// Needs are the stacks that this stack waits for.
	Needs []Need `json:"needs"`
	// Created, Updated, Replaced and Deleted are resources.
	Created  int `json:"created"`
	Updated  int `json:"updated"`
	Replaced int `json:"replaced"`
	Deleted  int `json:"deleted"`
	// Alone is the longest chain within the stack, and All its steps.
	Alone Length `json:"alone"`
	All   Length `json:"all"`
}

// Need is a stack that another one waits for.
type Need struct {
	Stack string `json:"stack"`
	// Values is how many values the other stack reads. 0: it waits because the app says so.
	Values int `json:"values"`
}

// Path is what a deployment has to wait for.
type Path struct {
	// First says that nothing is deployed yet.
	First bool `json:"first"`
	// Stacks are in the order of their turns. Stacks that are left out come last.
	Stacks []Stack `json:"stacks"`
	// Chain is the longest chain of steps that wait for one another. Seconds break a tie.
	Chain []Step `json:"chain"`
	// Longest is the length of Chain, with the most seconds of any chain.
	Longest Length `json:"longest"`
	// Serial is everything, one after the other.
	Serial Length `json:"serial"`
	// Unknown lists what the numbers lack: types, and target groups outside of the assembly.
	Unknown []string `json:"unknown,omitempty"`
}

// SideBySide is the most stacks of one turn: more at a time shorten nothing.
func (p *Path) SideBySide() int {
	turns := map[int]int{}
	most := 0
	for _, s := range p.Stacks {
		if s.Turn > 0 {
			turns[s.Turn]++
			most = max(most, turns[s.Turn])
		}
	}
	return most
}

// Read works out the way from one assembly to another. If from is nil, nothing is deployed yet.
// Stacks are matched by name. Stacks that only from has are left alone, as a deployment does.
//
// The error has a line for each value that has to be known and is not, or names a circle.
func Read(from, to *assembly.Assembly) (*Path, error) {
	p := &Path{First: from == nil, Chain: []Step{}}
	d := &deployment{from: model.Read(cmp.Or(from, &assembly.Assembly{})), to: model.Read(to), unknown: map[string]bool{}}
	done := map[*assembly.Stack]chain{}
	turns := map[*assembly.Stack]int{}
	for _, stack := range to.Stacks {
		s, within, err := d.stack(stack)
		if err != nil {
			return nil, err
		}
		var before chain
		for _, other := range stack.DependsOn {
			before = before.or(done[other])
			turns[stack] = max(turns[stack], turns[other])
			s.Needs = append(s.Needs, Need{other.Name, to.Reads(stack, other)})
		}
		slices.SortFunc(s.Needs, func(a, b Need) int { return cmp.Compare(a.Stack, b.Stack) })
		done[stack] = before.then(within)
		if s.All.Steps > 0 {
			turns[stack]++
			s.Turn = turns[stack]
			p.Serial.Stacks++
			p.Serial.Steps += s.All.Steps
			p.Serial.Seconds += s.All.Seconds
		}
		p.Stacks = append(p.Stacks, s)
	}
	if err := assembly.Join(d.errs...); err != nil {
		return nil, err
	}
	var longest chain
	for _, stack := range to.Stacks {
		longest = longest.or(done[stack])
	}
	p.Chain = append(p.Chain, longest.steps...)
	p.Longest = longest.length()
	slices.SortStableFunc(p.Stacks, func(a, b Stack) int {
		return cmp.Or(cmp.Compare(min(b.Turn, 1), min(a.Turn, 1)), cmp.Compare(a.Turn, b.Turn), cmp.Compare(a.Name, b.Name))
	})
	p.Unknown = slices.Sorted(maps.Keys(d.unknown))
	return p, nil
}

// chain is steps that wait for one another.
type chain struct {
	steps   []Step
	seconds int // of the steps
	most    int // of any chain to the same end
}

// or is the longer one of two chains to the same end.
func (c chain) or(other chain) chain {
	most := max(c.most, other.most)
	if cmp.Or(cmp.Compare(len(other.steps), len(c.steps)), cmp.Compare(other.seconds, c.seconds)) > 0 {
		c = other
	}
	c.most = most
	return c
}

// then is a chain and what comes after it.
func (c chain) then(next chain) chain {
	return chain{slices.Concat(c.steps, next.steps), c.seconds + next.seconds, c.most + next.most}
}

func (c chain) length() Length {
	stacks := map[string]bool{}
	for _, step := range c.steps {
		stacks[step.Stack] = true
	}
	return Length{Stacks: len(stacks), Steps: len(c.steps), Seconds: c.most}
}

// graph is what waits for what, by logical ids. An id without a step only passes the wait on.
type graph struct {
	stack string
	steps map[string]Step
	needs map[string][]string
}

// order returns all ids, each after those that it needs.
func (g graph) order() ([]string, error) {
	sorted, circle := assembly.Order(slices.Sorted(maps.Keys(g.needs)), func(id string) []string { return g.needs[id] })
	if circle != nil {
		return nil, fmt.Errorf("%s: resources wait for each other in a circle: %s", g.stack, strings.Join(append(circle, circle[0]), ", "))
	}
	return sorted, nil
}

// longest is the longest chain, of the ids in their order.
func (g graph) longest(order []string) chain {
	var longest chain
	to := map[string]chain{}
	for _, id := range order {
		var c chain
		for _, need := range g.needs[id] {
			c = c.or(to[need])
		}
		if step, ok := g.steps[id]; ok {
			c = c.then(chain{[]Step{step}, step.Seconds, step.Seconds})
		}
		to[id] = c
		longest = longest.or(c)
	}
	return longest
}
