// Package cloudformation is a CloudFormation service for an emulated AWS: it keeps stacks and change sets, evaluates
// templates, and provisions their resources through the APIs of the other services, whichever program answers those.
//
// It does what a deployment by the CDK CLI depends on: change sets per stack, updates in place or by replacement,
// creations and updates before deletions, rollback, parameters (previous values, defaults, SSM parameters), Rules,
// exports, and Fn::GetStackOutput. Operations run to their end before the request is answered, so that the CLI's first
// look at a stack already finds the result.
//
// A resource type without a handler (see handlers) is recorded: it gets a physical id, attributes and events, but
// exists nowhere. Custom resources are among them; no Lambda function is run.
package cloudformation

import (
	"context"
	"crypto/rand"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Options configure an Engine. All fields are required.
type Options struct {
	Endpoint string // of the other services' APIs, and of S3 with bucket names in the path
	Account  string // 12 digits
	Region   string
	Log      io.Writer // one line for each change of a stack's status and each failure
}

// An Engine is an http.Handler that answers CloudFormation's API.
type Engine struct {
	options Options
	client  *client

	mu         sync.Mutex
	stacks     []*stack
	changeSets []*changeSet
	recorded   map[string]bool
}

// New returns an engine without stacks.
func New(o Options) *Engine {
	return &Engine{
		options:  o,
		client:   &client{endpoint: o.Endpoint, region: o.Region, http: &http.Client{Timeout: time.Minute}},
		recorded: map[string]bool{},
	}
}

// Recorded returns the resource types that were deployed but only recorded, sorted.
func (e *Engine) Recorded() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Sorted(maps.Keys(e.recorded))
}

func (e *Engine) record(typ string) { e.recorded[typ] = true }

type parameter struct {
	Key, Value string
	Previous   bool
}

type changeSet struct {
	id, name, typ, status, execution, reason string
	stack                                    *stack
	request                                  *request
	changes                                  []change
	created                                  time.Time
}

// find returns the stack with that name that is not deleted, or the stack with that id.
func (e *Engine) find(nameOrID string) *stack {
	for _, s := range e.stacks {
		if s.id == nameOrID || s.name == nameOrID && !s.deleted() {
			return s
		}
	}
	return nil
}

func (e *Engine) stack(nameOrID string) (*stack, error) {
	if s := e.find(nameOrID); s != nil {
		return s, nil
	}
	return nil, validation("Stack with id %s does not exist", nameOrID)
}

// ServeHTTP answers one request of the query protocol.
func (e *Engine) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if err := req.ParseForm(); err != nil {
		answer(w, "", nil, validation("%v", err))
		return
	}
	action := req.Form.Get("Action")
	operation := operations[action]
	if operation == nil {
		answer(w, action, nil, &Error{Code: "InvalidAction", Message: "the emulator does not know CloudFormation's " + action})
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	// A client that goes away must not leave a deployment half done.
	result, err := operation(e, context.WithoutCancel(req.Context()), req.Form)
	answer(w, action, result, err)
}

func answer(w http.ResponseWriter, action string, result any, err error) {
	const namespace = "http://cloudformation.amazonaws.com/doc/2010-05-15/"
	w.Header().Set("Content-Type", "text/xml")
	enc := xml.NewEncoder(w)
	if err != nil {
		var e *Error
		if !errors.As(err, &e) {
			e = &Error{Code: "InternalFailure", Message: err.Error()}
		}
		w.WriteHeader(http.StatusBadRequest)
		type detail struct{ Type, Code, Message string }
		enc.EncodeElement(struct {
			Error     detail
			RequestID string `xml:"RequestId"`
		}{detail{"Sender", e.Code, e.Message}, newID()}, element("ErrorResponse", namespace))
		return
	}
	enc.EncodeToken(element(action+"Response", namespace))
	if result == nil {
		result = struct{}{}
	}
	enc.EncodeElement(result, element(action+"Result", ""))
	enc.EncodeElement(struct {
		RequestID string `xml:"RequestId"`
	}{newID()}, element("ResponseMetadata", ""))
	enc.EncodeToken(element(action+"Response", namespace).End())
	enc.Flush()
}

func element(name, namespace string) xml.StartElement {
	s := xml.StartElement{Name: xml.Name{Local: name}}
	if namespace != "" {
		s.Attr = []xml.Attr{{Name: xml.Name{Local: "xmlns"}, Value: namespace}}
	}
	return s
}

func newID() string {
	var b [16]byte
	rand.Read(b[:])
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// operations are the API's actions. They run one at a time.
var operations = map[string]func(e *Engine, ctx context.Context, f url.Values) (any, error){
	"CreateChangeSet":             (*Engine).createChangeSet,
	"DescribeChangeSet":           (*Engine).describeChangeSet,
	"ExecuteChangeSet":            (*Engine).executeChangeSet,
	"DeleteChangeSet":             (*Engine).deleteChangeSet,
	"DeleteStack":                 (*Engine).deleteStack,
	"DescribeStacks":              (*Engine).describeStacks,
	"DescribeStackEvents":         (*Engine).describeStackEvents,
	"DescribeStackResources":      (*Engine).describeStackResources,
	"GetTemplate":                 (*Engine).getTemplate,
	"ListStackResources":          (*Engine).listStackResources,
	"ListStacks":                  (*Engine).listStacks,
	"UpdateTerminationProtection": (*Engine).updateTerminationProtection,
}

// members reads a list of structures from a form.
func members(f url.Values, prefix string) []url.Values {
	var out []url.Values
	for i := 1; ; i++ {
		head := prefix + ".member." + strconv.Itoa(i) + "."
		m := url.Values{}
		for k, v := range f {
			if rest, ok := strings.CutPrefix(k, head); ok {
				m[rest] = v
			}
		}
		if len(m) == 0 {
			return out
		}
		out = append(out, m)
	}
}

// body returns the template of a request, given in the request or as an object in S3.
func (e *Engine) body(ctx context.Context, f url.Values, old *stack) (string, error) {
	if b := f.Get("TemplateBody"); b != "" {
		return b, nil
	}
	if f.Get("UsePreviousTemplate") == "true" {
		return old.body, nil
	}
	u, err := url.Parse(f.Get("TemplateURL"))
	if err != nil || u.Path == "" {
		return "", validation("Either Template URL or Template Body must be specified.")
	}
	path := u.Path
	if host := u.Hostname(); !strings.HasPrefix(host, "s3.") && strings.Contains(host, ".s3.") {
		bucket, _, _ := strings.Cut(host, ".s3.")
		path = "/" + bucket + path
	}
	b, err := e.client.send(ctx, http.MethodGet, "s3", path, "", "", "")
	if err != nil {
		return "", validation("S3 error: %v (template %s)", err, u)
	}
	return string(b), nil
}

func (e *Engine) createChangeSet(ctx context.Context, f url.Values) (any, error) {
	name, typ := f.Get("StackName"), f.Get("ChangeSetType")
	s := e.find(name)
	if typ == "CREATE" {
		if s != nil && s.status != "REVIEW_IN_PROGRESS" {
			return nil, &Error{Code: "AlreadyExistsException", Message: "Stack [" + name + "] already exists"}
		}
		if s == nil {
			s = &stack{name: name, created: time.Now(), resources: map[string]*resource{}, template: map[string]any{},
				id: fmt.Sprintf("arn:aws:cloudformation:%s:%s:stack/%s/%s", e.options.Region, e.options.Account, name, newID())}
			s.log(nil, "REVIEW_IN_PROGRESS", "User Initiated")
			e.stacks = append(e.stacks, s)
		}
	} else if s == nil {
		return nil, validation("Stack [%s] does not exist", name)
	} else if !slices.Contains([]string{"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"}, s.status) {
		return nil, validation("Stack:%s is in %s state and can not be updated.", s.id, s.status)
	}
	for _, c := range e.changeSets {
		if c.stack == s && c.name == f.Get("ChangeSetName") {
			return nil, &Error{Code: "AlreadyExistsException", Message: "ChangeSet " + c.name + " already exists"}
		}
	}
	r := &request{role: f.Get("RoleARN")}
	var err error
	if r.body, err = e.body(ctx, f, s); err != nil {
		return nil, err
	}
	if r.template, err = parseTemplate(r.body); err != nil {
		return nil, err
	}
	var given []parameter
	for _, m := range members(f, "Parameters") {
		given = append(given, parameter{m.Get("ParameterKey"), m.Get("ParameterValue"), m.Get("UsePreviousValue") == "true"})
	}
	for _, m := range members(f, "Tags") {
		r.tags = append(r.tags, tag{m.Get("Key"), m.Get("Value")})
	}
	if r.params, r.resolved, err = e.parameters(ctx, r.template, given, s); err != nil {
		return nil, err
	}
	c := &changeSet{name: f.Get("ChangeSetName"), typ: typ, stack: s, request: r, created: time.Now(),
		status: "CREATE_COMPLETE", execution: "AVAILABLE",
		id: fmt.Sprintf("arn:aws:cloudformation:%s:%s:changeSet/%s/%s", e.options.Region, e.options.Account, f.Get("ChangeSetName"), newID())}
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

// changes works out what executing the request would do. Properties that depend on a resource yet to be created are
// compared as they are written.
func (e *Engine) changes(ctx context.Context, s *stack, r *request) ([]change, error) {
	var ignored []string
	sc := e.scope(ctx, s, r, s.resources, &ignored)
	if err := sc.rules(); err != nil {
		return nil, err
	}
	order, _, err := dependencyOrder(r.template)
	if err != nil {
		return nil, err
	}
	var out []change
	add := func(c resourceChange) { out = append(out, change{"Resource", c}) }
	present := map[string]bool{}
	for _, logical := range order {
		d, _ := section(r.template, "Resources")[logical].(map[string]any)
		in, err := included(sc, d)
		if err != nil {
			return nil, err
		}
		if !in {
			continue
		}
		present[logical] = true
		was := s.resources[logical]
		if was == nil {
			add(resourceChange{Action: "Add", LogicalResourceID: logical, ResourceType: text(d["Type"])})
			continue
		}
		before, _ := section(s.template, "Resources")[logical].(map[string]any)
		c := resourceChange{Action: "Modify", LogicalResourceID: logical, PhysicalResourceID: was.physical, ResourceType: was.typ, Replacement: "False"}
		names := map[string]bool{}
		for n := range section(d, "Properties") {
			names[n] = true
		}
		for n := range was.props {
			names[n] = true
		}
		for _, n := range slices.Sorted(maps.Keys(names)) {
			raw := section(d, "Properties")[n]
			v, err := sc.eval(raw)
			changed := encode(v) != encode(was.props[n])
			if v == (absent{}) {
				changed = was.props[n] != nil
			}
			if err == errUnknown {
				changed = encode(raw) != encode(section(before, "Properties")[n])
			} else if err != nil {
				return nil, err
			}
			if !changed {
				continue
			}
			detail := changeDetail{Evaluation: "Static", ChangeSource: "DirectModification"}
			detail.Target.Attribute, detail.Target.Name, detail.Target.RequiresRecreation = "Properties", n, "Never"
			if replaced(was.typ, n) {
				detail.Target.RequiresRecreation, c.Replacement = "Always", "True"
			}
			c.Details = append(c.Details, detail)
		}
		if len(c.Details) > 0 {
			c.Scope = []string{"Properties"}
			add(c)
		} else if encode(d["Metadata"]) != encode(before["Metadata"]) {
			c.Scope = []string{"Metadata"}
			add(c)
		}
	}
	for _, logical := range s.order {
		if was := s.resources[logical]; was != nil && !present[logical] {
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

func (e *Engine) deleteStack(ctx context.Context, f url.Values) (any, error) {
	s := e.find(f.Get("StackName"))
	if s == nil || s.deleted() {
		return nil, nil
	}
	if s.protected {
		return nil, validation("Stack [%s] cannot be deleted while TerminationProtection is enabled", s.name)
	}
	began := time.Now()
	e.destroy(ctx, s)
	e.report(s, began)
	return nil, nil
}

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
