package cloudformation

import (
	"context"
	"maps"
	"net/url"
	"slices"
	"strconv"

	sdk "github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
)

// given is a text that an answer leaves out if it is empty.
func given(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

func (s *stack) describe() types.Stack {
	d := types.Stack{StackId: &s.id, StackName: &s.name, StackStatus: types.StackStatus(s.status), StackStatusReason: given(s.reason),
		CreationTime: &s.created, RoleARN: given(s.role), EnableTerminationProtection: &s.protected, DisableRollback: new(bool),
		Capabilities: types.Capability("").Values(), Outputs: s.outputs, Tags: s.tags}
	if !s.changed.IsZero() {
		d.LastUpdatedTime = &s.changed
	}
	for _, name := range slices.Sorted(maps.Keys(s.params)) {
		value := s.params[name]
		d.Parameters = append(d.Parameters, types.Parameter{ParameterKey: &name, ParameterValue: &value})
	}
	return d
}

func (e *Engine) describeStacks(_ context.Context, f url.Values) (any, error) {
	var out sdk.DescribeStacksOutput
	if name := f.Get("StackName"); name != "" {
		s, err := e.stack(name)
		if err != nil {
			return nil, err
		}
		out.Stacks = append(out.Stacks, s.describe())
		return &out, nil
	}
	for _, s := range e.stacks {
		if !s.deleted() {
			out.Stacks = append(out.Stacks, s.describe())
		}
	}
	return &out, nil
}

func (e *Engine) listStacks(_ context.Context, f url.Values) (any, error) {
	var wanted []string
	for i := 1; f.Has("StackStatusFilter.member." + strconv.Itoa(i)); i++ {
		wanted = append(wanted, f.Get("StackStatusFilter.member."+strconv.Itoa(i)))
	}
	var out sdk.ListStacksOutput
	for _, s := range e.stacks {
		if len(wanted) == 0 || slices.Contains(wanted, s.status) {
			out.StackSummaries = append(out.StackSummaries,
				types.StackSummary{StackId: &s.id, StackName: &s.name, StackStatus: types.StackStatus(s.status), CreationTime: &s.created})
		}
	}
	return &out, nil
}

func (e *Engine) describeStackEvents(_ context.Context, f url.Values) (any, error) {
	s, err := e.stack(f.Get("StackName"))
	if err != nil {
		return nil, err
	}
	events := slices.Clone(s.events)
	slices.Reverse(events) // the newest first
	return &sdk.DescribeStackEventsOutput{StackEvents: events}, nil
}

func (e *Engine) listStackResources(_ context.Context, f url.Values) (any, error) {
	s, err := e.stack(f.Get("StackName"))
	if err != nil {
		return nil, err
	}
	var out sdk.ListStackResourcesOutput
	for _, r := range s.existing() {
		out.StackResourceSummaries = append(out.StackResourceSummaries, types.StackResourceSummary{LogicalResourceId: &r.logical,
			PhysicalResourceId: &r.physical, ResourceType: &r.typ, ResourceStatus: types.ResourceStatusCreateComplete, LastUpdatedTimestamp: &r.updated})
	}
	return &out, nil
}

func (e *Engine) describeStackResources(_ context.Context, f url.Values) (any, error) {
	s, err := e.stack(f.Get("StackName"))
	if err != nil {
		return nil, err
	}
	var out sdk.DescribeStackResourcesOutput
	for _, r := range s.existing() {
		out.StackResources = append(out.StackResources, types.StackResource{StackId: &s.id, StackName: &s.name, LogicalResourceId: &r.logical,
			PhysicalResourceId: &r.physical, ResourceType: &r.typ, ResourceStatus: types.ResourceStatusCreateComplete, Timestamp: &r.updated})
	}
	return &out, nil
}

func (e *Engine) getTemplate(_ context.Context, f url.Values) (any, error) {
	s, err := e.stack(f.Get("StackName"))
	if err != nil {
		return nil, err
	}
	return &sdk.GetTemplateOutput{TemplateBody: &s.body}, nil
}

func (e *Engine) updateTerminationProtection(_ context.Context, f url.Values) (any, error) {
	s, err := e.stack(f.Get("StackName"))
	if err != nil {
		return nil, err
	}
	s.protected = f.Get("EnableTerminationProtection") == "true"
	return &sdk.UpdateTerminationProtectionOutput{StackId: &s.id}, nil
}
