// Package provider says what a provider is: the part of the local target that stands for some types
// of AWS resources on this machine.
//
// The runner, package local, has a list of providers. The runner owns the order of stacks, rollback
// and locking. A provider owns its resources. Package ssm is the smallest provider and an example
// for others.
package provider

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cutover/internal/assembly"
	"cutover/internal/model"
)

// Provider stands for the resources of some types. Its methods may be called by several goroutines.
type Provider interface {
	// Types are the resource types that the provider stands for. Resources of other types are
	// deployed on AWS only.
	Types() []string
	// Plan takes the provider's resources out of an assembly's model, and changes nothing yet. Text
	// fills in values for the plan.
	Plan(m *model.Model, text Text) Plan
	// Status is what `cutover status --json` shows of the provider's resources; nil for nothing.
	Status() any
	// Stop stops all resources. If the context ends before, Stop cuts them off and returns the
	// context's error.
	Stop(ctx context.Context) error
}

// Plan is what the provider's resources are to be. A stack is deployed by Update and then Clean. It
// is rolled back by Update and then Clean of the plan before. Different stacks are deployed side by
// side, one stack by one goroutine.
//
// A plan that takes something before it is needed, like a socket, is an [io.Closer]. The runner
// closes the plan when the deployment ends.
type Plan interface {
	// Check returns everything that is in the way of the plan, a line each: a setting that is not
	// honoured, a port that is taken, a value that nothing gives. If any plan has an error, nothing
	// changes.
	Check() error
	// Attribute is the value of Ref or Fn::GetAtt of a resource of the provider. The value may
	// refer to further resources, like a result of [assembly.Assembly.Resolve]. The error is
	// [ErrNotYet] if the value exists only after an update.
	Attribute(ref assembly.Ref) (any, error)
	// Update creates and changes resources of a stack and waits until they work. Other resources
	// stay, because CloudFormation deletes last. If the context ends, finished changes stay.
	Update(ctx context.Context, stack string) error
	// Clean deletes all resources of a stack that are not in the plan, and waits for that.
	Clean(ctx context.Context, stack string) error
}

// Partial is a plan that stands for some of the resources of its provider's types. The others are deployed on AWS
// only, as those of other types.
type Partial interface {
	Stands(resource *assembly.Resource) bool
}

// Reporter is a plan with settings that have no effect here. The runner asks after Check.
type Reporter interface {
	PassedOver() []PassedOver
}

// PassedOver is a setting without an effect here, although AWS heeds it. It decides neither where a
// request goes nor how long a task lives.
type PassedOver struct {
	// Place is as in "stack/Task/Properties.ContainerDefinitions[0].User".
	Place string `json:"place"`
	// Subject is the container or other part that has the setting, and Setting its name.
	Subject string `json:"subject"`
	Setting string `json:"setting"`
	// Why is the same text for settings with one reason.
	Why string `json:"why"`
}

// Text fills in a value that may refer to other resources, as the plans of the same assembly give
// them. The error is [ErrNotYet] if only a resource that does not exist yet is missing.
type Text func(value any) (string, error)

// ErrNotYet is the error of an attribute of a resource that does not exist yet.
var ErrNotYet = errors.New("it does not exist yet")

// ErrNoValue is in the error of a value that nothing on this machine gives. What takes a value follows.
var ErrNoValue = errors.New("give a value with --value")

// NotGiven is the error of an attribute that the local target never gives.
func NotGiven(ref assembly.Ref) error {
	if ref.Attribute == "" {
		return fmt.Errorf("%v has no name on this machine", ref.Resource)
	}
	return fmt.Errorf("%v has no attribute %s on this machine", ref.Resource, ref.Attribute)
}

// Warning is the state of an event about something that runs, but not as it should.
const Warning = "WARNING"

// Event is something that happened.
type Event struct {
	Time time.Time `json:"time"`
	// Kind is stack, service, schedule, discovery, deployment, scaling, task, health, container, target, store,
	// messaging or function.
	Kind string `json:"kind"`
	// Subject is the name of the stack, service or other resource.
	Subject string `json:"subject"`
	// Task is the id of the task, if the event is about one.
	Task string `json:"task,omitempty"`
	// State is the new state, in AWS's words. Empty if nothing changed.
	State   string `json:"state,omitempty"`
	Message string `json:"message,omitempty"`
}
