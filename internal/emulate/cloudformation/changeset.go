package cloudformation

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
)

// A changeSet is a request that may be executed once, with its description.
type changeSet struct {
	sdk.DescribeChangeSetOutput
	stack   *stack
	request request
}

func (e *Engine) createChangeSet(ctx context.Context, f url.Values) (any, error) {
	name, setName, typ := f.Get("StackName"), f.Get("ChangeSetName"), f.Get("ChangeSetType")
	s := e.find(name)
	switch {
	case (typ == "CREATE" || typ == "IMPORT") && s == nil:
		s = &stack{name: name, created: time.Now(), resources: map[string]*resource{}, id: e.arn("stack", name)}
		s.log(nil, "REVIEW_IN_PROGRESS", "User Initiated")
		e.stacks = append(e.stacks, s)
	case typ == "CREATE" && s.status != "REVIEW_IN_PROGRESS":
		return nil, &Error{Code: "AlreadyExistsException", Message: "Stack [" + name + "] already exists"}
	case typ == "CREATE", typ == "IMPORT" && s.status == "REVIEW_IN_PROGRESS":
	case s == nil:
		return nil, validation("Stack [%s] does not exist", name)
	case !slices.Contains([]string{"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE", "IMPORT_ROLLBACK_COMPLETE"}, s.status):
		return nil, validation("Stack:%s is in %s state and can not be updated.", s.id, s.status)
	}
	for _, c := range e.changeSets {
		if c.stack == s && *c.ChangeSetName == setName {
			return nil, &Error{Code: "AlreadyExistsException", Message: "ChangeSet " + setName + " already exists"}
		}
	}
	r, err := e.request(ctx, f, s)
	if err != nil {
		return nil, err
	}
	c := &changeSet{stack: s, request: r, DescribeChangeSetOutput: sdk.DescribeChangeSetOutput{
		ChangeSetId: aws.String(e.arn("changeSet", setName)), ChangeSetName: &setName, StackId: &s.id, StackName: &s.name,
		CreationTime: aws.Time(time.Now()), Status: types.ChangeSetStatusCreateComplete, ExecutionStatus: types.ExecutionStatusAvailable,
	}}
	c.Changes, err = e.changes(ctx, s, r)
	if err == nil && typ == "IMPORT" {
		err = importsAlone(s, r, c.Changes)
	}
	if err == nil && typ == "UPDATE" && len(c.Changes) == 0 && encode(r.template["Outputs"]) == encode(s.template["Outputs"]) && reflect.DeepEqual(r.tags, s.tags) {
		err = errors.New("The submitted information didn't contain changes. Submit different information to create a change set.")
	}
	if err != nil {
		c.Status, c.ExecutionStatus, c.StatusReason = types.ChangeSetStatusFailed, types.ExecutionStatusUnavailable, aws.String(err.Error())
	}
	e.changeSets = append(e.changeSets, c)
	return &sdk.CreateChangeSetOutput{Id: c.ChangeSetId, StackId: &s.id}, nil
}

// changes works out what executing the request would do. A property that depends on a resource yet to be created is
// compared as it is written.
func (e *Engine) changes(ctx context.Context, s *stack, r request) ([]types.Change, error) {
	sc := e.scope(ctx, s, r, s.resources)
	order, err := sc.plan()
	if err != nil {
		return nil, err
	}
	var out []types.Change
	add := func(action types.ChangeAction, logical, typ string) *types.ResourceChange {
		c := &types.ResourceChange{Action: action, LogicalResourceId: &logical, ResourceType: &typ}
		out = append(out, types.Change{Type: types.ChangeTypeResource, ResourceChange: c})
		return c
	}
	for _, logical := range order {
		now, before := definition(r.template, logical), definition(s.template, logical)
		was := s.resources[logical]
		if id, ok := r.imported[logical]; ok {
			add(types.ChangeActionImport, logical, str(now, "Type")).PhysicalResourceId = &id
			continue
		}
		if was == nil {
			add(types.ChangeActionAdd, logical, str(now, "Type"))
			continue
		}
		var details []types.ResourceChangeDetail
		replacement := types.ReplacementFalse
		properties := section(now, "Properties")
		all := with(maps.Clone(was.props), properties)
		for _, n := range slices.Sorted(maps.Keys(all)) {
			v := sc.eval(properties[n])
			if v == (absent{}) {
				v = nil
			}
			changed := encode(v) != encode(was.props[n])
			switch err := sc.take(); {
			case err == errUnknown:
				changed = differ(section(before, "Properties"), properties, n)
			case err != nil:
				return nil, err
			}
			if !changed {
				continue
			}
			target := &types.ResourceTargetDefinition{Attribute: types.ResourceAttributeProperties, Name: &n, RequiresRecreation: types.RequiresRecreationNever}
			if replaces(was.typ, n) {
				target.RequiresRecreation, replacement = types.RequiresRecreationAlways, types.ReplacementTrue
			}
			details = append(details, types.ResourceChangeDetail{Evaluation: types.EvaluationTypeStatic, ChangeSource: types.ChangeSourceDirectModification, Target: target})
		}
		scope := types.ResourceAttributeProperties
		if len(details) == 0 {
			if !differ(before, now, "Metadata") {
				continue
			}
			scope = types.ResourceAttributeMetadata
		}
		c := add(types.ChangeActionModify, logical, was.typ)
		c.PhysicalResourceId, c.Replacement, c.Details, c.Scope = &was.physical, replacement, details, []types.ResourceAttribute{scope}
	}
	for _, was := range s.existing() {
		if !slices.Contains(order, was.logical) {
			add(types.ChangeActionRemove, was.logical, was.typ).PhysicalResourceId = &was.physical
		}
	}
	return out, nil
}

func (e *Engine) changeSet(f url.Values) (*changeSet, error) {
	name, stackName := f.Get("ChangeSetName"), f.Get("StackName")
	for _, c := range e.changeSets {
		if *c.ChangeSetId == name || *c.ChangeSetName == name && (c.stack.name == stackName || c.stack.id == stackName) {
			return c, nil
		}
	}
	return nil, &Error{Code: "ChangeSetNotFound", Message: "ChangeSet [" + name + "] does not exist"}
}

func (e *Engine) describeChangeSet(_ context.Context, f url.Values) (any, error) {
	c, err := e.changeSet(f)
	if err != nil {
		return nil, err
	}
	return &c.DescribeChangeSetOutput, nil
}

func (e *Engine) executeChangeSet(ctx context.Context, f url.Values) (any, error) {
	c, err := e.changeSet(f)
	if err != nil {
		return nil, err
	}
	if c.ExecutionStatus != types.ExecutionStatusAvailable {
		return nil, &Error{Code: "InvalidChangeSetStatus", Message: fmt.Sprintf("ChangeSet [%s] cannot be executed in its current status of [%s]", *c.ChangeSetId, c.Status)}
	}
	began := time.Now()
	e.apply(ctx, c.stack, c.request)
	// Executing a change set deletes all change sets of the stack.
	e.changeSets = slices.DeleteFunc(e.changeSets, func(o *changeSet) bool { return o.stack == c.stack })
	e.report(c.stack, began)
	return nil, nil
}

func (e *Engine) report(s *stack, began time.Time) {
	e.options.Log.Printf("cloudformation: %s %s in %s", s.name, s.status, time.Since(began).Round(time.Millisecond))
	for _, ev := range s.events {
		if ev.Timestamp.After(began) && strings.HasSuffix(string(ev.ResourceStatus), "_FAILED") {
			e.options.Log.Printf("cloudformation: %s %s %s %s: %s", s.name, *ev.LogicalResourceId, *ev.ResourceType, ev.ResourceStatus, aws.ToString(ev.ResourceStatusReason))
		}
	}
}

func (e *Engine) deleteChangeSet(_ context.Context, f url.Values) (any, error) {
	if c, err := e.changeSet(f); err == nil {
		e.changeSets = slices.DeleteFunc(e.changeSets, func(o *changeSet) bool { return o == c })
	}
	return nil, nil
}
