package cloudformation

import (
	"context"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"time"
)

type stackXML struct {
	StackID                     string `xml:"StackId"`
	StackName                   string
	StackStatus                 string
	StackStatusReason           string `xml:"StackStatusReason,omitempty"`
	CreationTime                string
	LastUpdatedTime             string `xml:"LastUpdatedTime,omitempty"`
	RoleARN                     string `xml:"RoleARN,omitempty"`
	EnableTerminationProtection bool
	DisableRollback             bool
	Capabilities                []string       `xml:"Capabilities>member"`
	Parameters                  []parameterXML `xml:"Parameters>member"`
	Outputs                     []outputXML    `xml:"Outputs>member"`
	Tags                        []tag          `xml:"Tags>member"`
}

type parameterXML struct{ ParameterKey, ParameterValue string }

type outputXML struct {
	OutputKey, OutputValue string
	Description            string `xml:"Description,omitempty"`
	ExportName             string `xml:"ExportName,omitempty"`
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func (s *stack) xml() stackXML {
	x := stackXML{StackID: s.id, StackName: s.name, StackStatus: s.status, StackStatusReason: s.reason, CreationTime: stamp(s.created),
		RoleARN: s.role, EnableTerminationProtection: s.protected, Tags: s.tags,
		Capabilities: []string{"CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"}}
	if !s.changed.IsZero() {
		x.LastUpdatedTime = stamp(s.changed)
	}
	for _, k := range slices.Sorted(maps.Keys(s.params)) {
		x.Parameters = append(x.Parameters, parameterXML{k, s.params[k]})
	}
	for _, o := range s.outputs {
		x.Outputs = append(x.Outputs, outputXML{o.Key, o.Value, o.Description, o.Export})
	}
	return x
}

func (e *Engine) describeStacks(_ context.Context, f url.Values) (any, error) {
	var out struct {
		Stacks []stackXML `xml:"Stacks>member"`
	}
	if name := f.Get("StackName"); name != "" {
		s, err := e.stack(name)
		if err != nil {
			return nil, err
		}
		out.Stacks = append(out.Stacks, s.xml())
		return out, nil
	}
	for _, s := range e.stacks {
		if !s.deleted() {
			out.Stacks = append(out.Stacks, s.xml())
		}
	}
	return out, nil
}

func (e *Engine) listStacks(_ context.Context, f url.Values) (any, error) {
	var wanted []string
	for i := 1; f.Has("StackStatusFilter.member." + strconv.Itoa(i)); i++ {
		wanted = append(wanted, f.Get("StackStatusFilter.member."+strconv.Itoa(i)))
	}
	type summary struct {
		StackID      string `xml:"StackId"`
		StackName    string
		StackStatus  string
		CreationTime string
	}
	var out struct {
		StackSummaries []summary `xml:"StackSummaries>member"`
	}
	for _, s := range e.stacks {
		if len(wanted) == 0 || slices.Contains(wanted, s.status) {
			out.StackSummaries = append(out.StackSummaries, summary{s.id, s.name, s.status, stamp(s.created)})
		}
	}
	return out, nil
}

func (e *Engine) describeStackEvents(_ context.Context, f url.Values) (any, error) {
	s, err := e.stack(f.Get("StackName"))
	if err != nil {
		return nil, err
	}
	type eventXML struct {
		StackID              string `xml:"StackId"`
		StackName            string
		EventID              string `xml:"EventId"`
		LogicalResourceID    string `xml:"LogicalResourceId"`
		PhysicalResourceID   string `xml:"PhysicalResourceId"`
		ResourceType         string
		Timestamp            string
		ResourceStatus       string
		ResourceStatusReason string `xml:"ResourceStatusReason,omitempty"`
	}
	var out struct {
		StackEvents []eventXML `xml:"StackEvents>member"`
	}
	for _, ev := range slices.Backward(s.events) { // the newest first
		out.StackEvents = append(out.StackEvents, eventXML{s.id, s.name, ev.id, ev.logical, ev.physical, ev.typ, stamp(ev.time), ev.status, ev.reason})
	}
	return out, nil
}

type resourceXML struct {
	StackID              string `xml:"StackId,omitempty"`
	StackName            string `xml:"StackName,omitempty"`
	LogicalResourceID    string `xml:"LogicalResourceId"`
	PhysicalResourceID   string `xml:"PhysicalResourceId"`
	ResourceType         string
	ResourceStatus       string
	Timestamp            string `xml:"Timestamp,omitempty"`
	LastUpdatedTimestamp string `xml:"LastUpdatedTimestamp,omitempty"`
}

func (s *stack) resourcesXML() []resourceXML {
	var out []resourceXML
	for _, logical := range s.order {
		if r := s.resources[logical]; r != nil {
			out = append(out, resourceXML{LogicalResourceID: logical, PhysicalResourceID: r.physical, ResourceType: r.typ,
				ResourceStatus: "CREATE_COMPLETE", LastUpdatedTimestamp: stamp(r.updated)})
		}
	}
	return out
}

func (e *Engine) listStackResources(_ context.Context, f url.Values) (any, error) {
	s, err := e.stack(f.Get("StackName"))
	if err != nil {
		return nil, err
	}
	return struct {
		Summaries []resourceXML `xml:"StackResourceSummaries>member"`
	}{s.resourcesXML()}, nil
}

func (e *Engine) describeStackResources(_ context.Context, f url.Values) (any, error) {
	s, err := e.stack(f.Get("StackName"))
	if err != nil {
		return nil, err
	}
	resources := s.resourcesXML()
	for i := range resources {
		r := &resources[i]
		r.StackID, r.StackName = s.id, s.name
		r.Timestamp, r.LastUpdatedTimestamp = r.LastUpdatedTimestamp, ""
	}
	return struct {
		Resources []resourceXML `xml:"StackResources>member"`
	}{resources}, nil
}

func (e *Engine) getTemplate(_ context.Context, f url.Values) (any, error) {
	s, err := e.stack(f.Get("StackName"))
	if err != nil {
		return nil, err
	}
	return struct{ TemplateBody string }{s.body}, nil
}

func (e *Engine) updateTerminationProtection(_ context.Context, f url.Values) (any, error) {
	s, err := e.stack(f.Get("StackName"))
	if err != nil {
		return nil, err
	}
	s.protected = f.Get("EnableTerminationProtection") == "true"
	return struct {
		StackID string `xml:"StackId"`
	}{s.id}, nil
}
