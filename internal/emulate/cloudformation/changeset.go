package cloudformation

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
)

// A changeSet is a request that may be executed once.
type changeSet struct {
	id, name, status, execution, reason string
	stack                               *stack
	request                             request
	changes                             []change
	created                             time.Time
}

func (e *Engine) createChangeSet(ctx context.Context, f url.Values) (any, error) {
	name, setName, typ := f.Get("StackName"), f.Get("ChangeSetName"), f.Get("ChangeSetType")
	s := e.find(name)
	switch {
	case typ == "CREATE" && s == nil:
		s = &stack{name: name, created: time.Now(), resources: map[string]*resource{}, id: e.arn("stack", name)}
		s.log(nil, "REVIEW_IN_PROGRESS", "User Initiated")
		e.stacks = append(e.stacks, s)
	case typ == "CREATE" && s.status != "REVIEW_IN_PROGRESS":
		return nil, &Error{Code: "AlreadyExistsException", Message: "Stack [" + name + "] already exists"}
	case typ == "CREATE":
	case s == nil:
		return nil, validation("Stack [%s] does not exist", name)
	case !slices.Contains([]string{"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"}, s.status):
		return nil, validation("Stack:%s is in %s state and can not be updated.", s.id, s.status)
	}
	for _, c := range e.changeSets {
		if c.stack == s && c.name == setName {
			return nil, &Error{Code: "AlreadyExistsException", Message: "ChangeSet " + c.name + " already exists"}
		}
	}
	r, err := e.request(ctx, f, s)
	if err != nil {
		return nil, err
	}
	c := &changeSet{name: setName, stack: s, request: r, created: time.Now(), status: "CREATE_COMPLETE", execution: "AVAILABLE",
		id: e.arn("changeSet", setName)}
	c.changes, err = e.changes(ctx, s, r)
	switch {
	case err != nil:
		c.status, c.execution, c.reason = "FAILED", "UNAVAILABLE", err.Error()
	case typ == "UPDATE" && len(c.changes) == 0 && encode(r.template["Outputs"]) == encode(s.template["Outputs"]) && slices.Equal(r.tags, s.tags):
		c.status, c.execution = "FAILED", "UNAVAILABLE"
		c.reason = "The submitted information didn't contain changes. Submit different information to create a change set."
	}
	e.changeSets = append(e.changeSets, c)
	return struct {
		ID      string `xml:"Id"`
		StackID string `xml:"StackId"`
	}{c.id, s.id}, nil
}

// A change is one resource of a change set.
type change struct {
	Type           string         `xml:"Type"`
	ResourceChange resourceChange `xml:"ResourceChange"`
}

type resourceChange struct {
	Action             string
	LogicalResourceID  string         `xml:"LogicalResourceId"`
	PhysicalResourceID string         `xml:"PhysicalResourceId,omitempty"`
	ResourceType       string         `xml:"ResourceType"`
	Replacement        string         `xml:"Replacement,omitempty"`
	Scope              []string       `xml:"Scope>member"`
	Details            []changeDetail `xml:"Details>member"`
}

type changeDetail struct {
	Target struct {
		Attribute, Name, RequiresRecreation string
	}
	Evaluation, ChangeSource string
}

// changes works out what executing the request would do. A property that depends on a resource yet to be created is
// compared as it is written.
func (e *Engine) changes(ctx context.Context, s *stack, r request) ([]change, error) {
	sc := e.scope(ctx, s, r, s.resources)
	order, err := sc.plan()
	if err != nil {
		return nil, err
	}
	var out []change
	add := func(c resourceChange) { out = append(out, change{"Resource", c}) }
	for _, logical := range order {
		now, before := definition(r.template, logical), definition(s.template, logical)
		was := s.resources[logical]
		if was == nil {
			add(resourceChange{Action: "Add", LogicalResourceID: logical, ResourceType: str(now, "Type")})
			continue
		}
		c := resourceChange{Action: "Modify", LogicalResourceID: logical, PhysicalResourceID: was.physical, ResourceType: was.typ, Replacement: "False"}
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
			detail := changeDetail{Evaluation: "Static", ChangeSource: "DirectModification"}
			detail.Target.Attribute, detail.Target.Name, detail.Target.RequiresRecreation = "Properties", n, "Never"
			if h := handlers[was.typ]; h != nil && h.replaces(n) {
				detail.Target.RequiresRecreation, c.Replacement = "Always", "True"
			}
			c.Details = append(c.Details, detail)
		}
		if len(c.Details) > 0 {
			c.Scope = []string{"Properties"}
			add(c)
		} else if differ(before, now, "Metadata") {
			c.Scope = []string{"Metadata"}
			add(c)
		}
	}
	for _, logical := range s.order {
		if was := s.resources[logical]; was != nil && !slices.Contains(order, logical) {
			add(resourceChange{Action: "Remove", LogicalResourceID: logical, PhysicalResourceID: was.physical, ResourceType: was.typ})
		}
	}
	return out, nil
}

func (e *Engine) changeSet(f url.Values) (*changeSet, error) {
	name, stackName := f.Get("ChangeSetName"), f.Get("StackName")
	for _, c := range e.changeSets {
		if c.id == name || c.name == name && (c.stack.name == stackName || c.stack.id == stackName) {
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
	return struct {
		ChangeSetName   string
		ChangeSetID     string `xml:"ChangeSetId"`
		StackID         string `xml:"StackId"`
		StackName       string
		CreationTime    string
		ExecutionStatus string
		Status          string
		StatusReason    string   `xml:"StatusReason,omitempty"`
		Changes         []change `xml:"Changes>member"`
	}{c.name, c.id, c.stack.id, c.stack.name, stamp(c.created), c.execution, c.status, c.reason, c.changes}, nil
}

func (e *Engine) executeChangeSet(ctx context.Context, f url.Values) (any, error) {
	c, err := e.changeSet(f)
	if err != nil {
		return nil, err
	}
	if c.execution != "AVAILABLE" {
		return nil, &Error{Code: "InvalidChangeSetStatus", Message: "ChangeSet [" + c.id + "] cannot be executed in its current status of [" + c.status + "]"}
	}
	began := time.Now()
	e.apply(ctx, c.stack, c.request)
	// Executing a change set deletes all change sets of the stack.
	e.changeSets = slices.DeleteFunc(e.changeSets, func(o *changeSet) bool { return o.stack == c.stack })
	e.report(c.stack, began)
	return nil, nil
}

func (e *Engine) report(s *stack, began time.Time) {
	fmt.Fprintf(e.options.Log, "cloudformation: %s %s in %s\n", s.name, s.status, time.Since(began).Round(time.Millisecond))
	for _, ev := range s.events {
		if ev.time.After(began) && strings.HasSuffix(ev.status, "_FAILED") {
			fmt.Fprintf(e.options.Log, "cloudformation: %s %s %s %s: %s\n", s.name, ev.logical, ev.typ, ev.status, ev.reason)
		}
	}
}

func (e *Engine) deleteChangeSet(_ context.Context, f url.Values) (any, error) {
	if c, err := e.changeSet(f); err == nil {
		e.changeSets = slices.DeleteFunc(e.changeSets, func(o *changeSet) bool { return o == c })
	}
	return nil, nil
}
