package cloudformation

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"cutover/internal/model"
)

// A resource is one that a stack has.
type resource struct {
	logical, typ, physical string
	props, attrs           props
	needs                  []string // logical ids
	retain                 bool     // DeletionPolicy: Retain
	retainReplaced         bool     // UpdateReplacePolicy: Retain
	updated                time.Time
}

type output struct {
	Key, Value, Description, Export string
}

type event struct {
	id, logical, physical, typ, status, reason string
	time                                       time.Time
}

// A stack holds what was deployed last and how it went.
type stack struct {
	id, name, status, reason string
	body                     string
	template                 map[string]any
	params                   map[string]string // as given or defaulted, before SSM parameters are looked up
	resolved                 map[string]any    // what Ref of a parameter gives
	tags                     []tag
	role                     string
	protected                bool // termination protection
	outputs                  []output
	resources                map[string]*resource
	order                    []string // logical ids, dependencies first
	imports                  []string // export names
	events                   []event
	created, changed         time.Time
}

type tag struct{ Key, Value string }

func (s *stack) log(r *resource, status, reason string) {
	e := event{id: newID(), logical: s.name, physical: s.id, typ: "AWS::CloudFormation::Stack", status: status, reason: reason, time: time.Now()}
	if r != nil {
		e.logical, e.physical, e.typ = r.logical, r.physical, r.typ
	} else {
		s.status, s.reason = status, reason
	}
	s.events = append(s.events, e)
}

func (s *stack) deleted() bool { return s.status == "DELETE_COMPLETE" }

// A request is what a change set asks for.
type request struct {
	body     string
	template map[string]any
	params   map[string]string
	resolved map[string]any
	tags     []tag
	role     string
}

// parameters works out the value of each of a template's parameters: as given, or the deployed one, or the default.
func (e *Engine) parameters(ctx context.Context, template map[string]any, given []parameter, old *stack) (params map[string]string, resolved map[string]any, err error) {
	params, resolved = map[string]string{}, map[string]any{}
	declared := section(template, "Parameters")
	for _, g := range given {
		if _, ok := declared[g.Key]; !ok {
			return nil, nil, validation("Parameters: [%s] do not exist in the template", g.Key)
		}
		if !g.Previous {
			params[g.Key] = g.Value
			continue
		}
		if v, ok := old.params[g.Key]; ok {
			params[g.Key] = v
		}
	}
	for _, name := range slices.Sorted(maps.Keys(declared)) {
		p, _ := declared[name].(map[string]any)
		v, ok := params[name]
		if !ok {
			if d, ok := p["Default"]; ok {
				v = text(d)
			} else {
				return nil, nil, validation("Parameters: [%s] must have values", name)
			}
			params[name] = v
		}
		if allowed := asList(p["AllowedValues"]); allowed != nil && !slices.ContainsFunc(allowed, func(a any) bool { return text(a) == v }) {
			return nil, nil, validation("Parameter '%s' must be one of AllowedValues", name)
		}
		typ := text(p["Type"])
		if strings.HasPrefix(typ, "AWS::SSM::Parameter::Value<") {
			if v, err = e.ssmParameter(ctx, v); err != nil {
				return nil, nil, err
			}
		}
		if strings.Contains(typ, "List") {
			var l []any
			for _, x := range strings.Split(v, ",") {
				l = append(l, strings.TrimSpace(x))
			}
			resolved[name] = l
		} else {
			resolved[name] = v
		}
	}
	return params, resolved, nil
}

func (e *Engine) ssmParameter(ctx context.Context, name string) (string, error) {
	out, err := e.client.json(ctx, "ssm", "GetParameter", map[string]any{"Name": name, "WithDecryption": true})
	if err != nil {
		return "", validation("Unable to fetch parameters [%s] from parameter store for this account. (%v)", name, err)
	}
	p, _ := out["Parameter"].(map[string]any)
	return text(p["Value"]), nil
}

// scope returns the evaluator for a request against a stack's resources. Exports that are read are added to imports.
func (e *Engine) scope(ctx context.Context, s *stack, r *request, resources map[string]*resource, imports *[]string) *scope {
	return &scope{
		template: r.template,
		pseudo: map[string]any{
			"AWS::AccountId": e.options.Account, "AWS::Region": e.options.Region, "AWS::Partition": "aws",
			"AWS::URLSuffix": "amazonaws.com", "AWS::StackName": s.name, "AWS::StackId": s.id, "AWS::NotificationARNs": []any{},
		},
		params:    r.resolved,
		resources: resources,
		stackOutput: func(name, key string) (string, error) {
			from := e.find(name)
			if from == nil || from.status == "REVIEW_IN_PROGRESS" {
				return "", validation("Template error: Fn::GetStackOutput: stack %s does not exist", name)
			}
			for _, o := range from.outputs {
				if o.Key == key {
					return o.Value, nil
				}
			}
			return "", validation("Template error: Fn::GetStackOutput: stack %s has no output %s", name, key)
		},
		exported: func(name string) (string, error) {
			for _, from := range e.stacks {
				for _, o := range from.outputs {
					if o.Export == name && !from.deleted() {
						*imports = append(*imports, name)
						return o.Value, nil
					}
				}
			}
			return "", validation("No export named %s found. Rollback requested by user.", name)
		},
		ssmParameter: func(name string) (string, error) { return e.ssmParameter(ctx, name) },
	}
}

// included returns whether a resource's or output's condition holds.
func included(sc *scope, definition map[string]any) (bool, error) {
	c, ok := definition["Condition"]
	if !ok {
		return true, nil
	}
	return sc.condition(text(c))
}

// apply brings a stack to what the request says, in CloudFormation's order: creations and updates, dependencies first,
// and only when all of them have succeeded the deletions. A failure rolls everything back.
func (e *Engine) apply(ctx context.Context, s *stack, r *request) {
	verb := "UPDATE"
	if s.status == "REVIEW_IN_PROGRESS" {
		verb = "CREATE"
	}
	s.log(nil, verb+"_IN_PROGRESS", "User Initiated")
	t := &transaction{engine: e, ctx: ctx, stack: s, now: maps.Clone(s.resources)}
	outputs, imports, err := t.run(r)
	if err != nil {
		s.log(nil, map[string]string{"CREATE": "ROLLBACK_IN_PROGRESS", "UPDATE": "UPDATE_ROLLBACK_IN_PROGRESS"}[verb], err.Error())
		final := map[string]string{"CREATE": "ROLLBACK", "UPDATE": "UPDATE_ROLLBACK"}[verb]
		if undo := t.rollback(); undo != nil {
			s.log(nil, final+"_FAILED", undo.Error())
		} else {
			s.log(nil, final+"_COMPLETE", "")
		}
		return
	}
	old, oldOrder := s.resources, s.order
	s.resources, s.order, s.outputs, s.imports = t.now, t.order, outputs, imports
	s.body, s.template, s.params, s.resolved, s.tags, s.role = r.body, r.template, r.params, r.resolved, r.tags, r.role
	if verb == "UPDATE" {
		s.log(nil, "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "")
		t.cleanup(old, oldOrder)
	}
	s.changed = time.Now()
	s.log(nil, verb+"_COMPLETE", "")
}

// A transaction is one application of a request to a stack.
type transaction struct {
	engine *Engine
	ctx    context.Context
	stack  *stack
	now    map[string]*resource // as it stands
	order  []string
	undo   []func() error
}

func (t *transaction) call(logical string) *call {
	return &call{client: t.engine.client, ctx: t.ctx, account: t.engine.options.Account, stack: t.stack.name, logical: logical}
}

func (t *transaction) run(r *request) (outputs []output, imports []string, err error) {
	sc := t.engine.scope(t.ctx, t.stack, r, t.now, &imports)
	if err := sc.rules(); err != nil {
		return nil, nil, err
	}
	order, needs, err := dependencyOrder(r.template)
	if err != nil {
		return nil, nil, err
	}
	definitions := section(r.template, "Resources")
	for _, logical := range order {
		d, _ := definitions[logical].(map[string]any)
		in, err := included(sc, d)
		if err != nil {
			return nil, nil, err
		}
		if !in {
			continue
		}
		t.order = append(t.order, logical)
		p, err := sc.eval(section(d, "Properties"))
		if err != nil {
			return nil, nil, t.failed(&resource{logical: logical, typ: text(d["Type"])}, "CREATE", err)
		}
		next := &resource{logical: logical, typ: text(d["Type"]), props: p.(map[string]any), needs: needs[logical],
			retain: text(d["DeletionPolicy"]) == "Retain", retainReplaced: text(d["UpdateReplacePolicy"]) == "Retain", updated: time.Now()}
		if err := t.provision(next); err != nil {
			return nil, nil, err
		}
	}
	declared := section(r.template, "Outputs")
	for _, key := range slices.Sorted(maps.Keys(declared)) {
		d, _ := declared[key].(map[string]any)
		in, err := included(sc, d)
		if err != nil {
			return nil, nil, err
		}
		if !in {
			continue
		}
		v, err := sc.eval(d["Value"])
		if err != nil {
			return nil, nil, err
		}
		o := output{Key: key, Value: text(v), Description: text(d["Description"])}
		if x := section(d, "Export"); x != nil {
			name, err := sc.eval(x["Name"])
			if err != nil {
				return nil, nil, err
			}
			o.Export = text(name)
		}
		outputs = append(outputs, o)
	}
	return outputs, imports, t.engine.exportsUnchanged(t.stack, outputs)
}

// exportsUnchanged refuses to take away or change an export that another stack imports, or to export a name twice.
func (e *Engine) exportsUnchanged(s *stack, outputs []output) error {
	next := map[string]string{}
	for _, o := range outputs {
		if o.Export != "" {
			next[o.Export] = o.Value
		}
	}
	for _, other := range e.stacks {
		if other == s || other.deleted() {
			continue
		}
		for _, o := range other.outputs {
			if _, ok := next[o.Export]; ok && o.Export != "" {
				return validation("Export with name %s is already exported by stack %s", o.Export, other.name)
			}
		}
		for _, o := range s.outputs {
			if v, ok := next[o.Export]; o.Export != "" && (!ok || v != o.Value) && slices.Contains(other.imports, o.Export) {
				return validation("Export %s cannot be updated as it is in use by %s", o.Export, other.name)
			}
		}
	}
	return nil
}

// provision creates or updates one resource, or leaves it alone if its properties are as they were.
func (t *transaction) provision(next *resource) error {
	old := t.now[next.logical]
	if old == nil {
		return t.create(next, "CREATE")
	}
	if old.typ != next.typ {
		return t.failed(next, "UPDATE", validation("Update of resource type is not permitted. The new template modifies resource type of the following resources: [%s]", next.logical))
	}
	next.physical, next.attrs = old.physical, old.attrs
	if encode(old.props) == encode(next.props) {
		t.now[next.logical] = next
		return nil
	}
	h := handlers[next.typ]
	if h == nil {
		t.stack.log(next, "UPDATE_COMPLETE", "")
		t.now[next.logical] = next
		return nil
	}
	if replaced(next.typ, changed(old.props, next.props)...) {
		if h.name != "" && str(next.props, h.name) != "" && str(old.props, h.name) == str(next.props, h.name) {
			return t.failed(next, "UPDATE", validation("CloudFormation cannot update a stack when a custom-named resource requires replacing. Rename %s and update the stack again.", str(next.props, h.name)))
		}
		next.physical, next.attrs = "", nil
		return t.create(next, "UPDATE")
	}
	t.stack.log(next, "UPDATE_IN_PROGRESS", "")
	c := t.call(next.logical)
	// Undo even an update that fails: it may have done some of its work.
	t.undo = append(t.undo, func() error {
		t.now[next.logical] = old
		_, err := h.update(c, old.physical, next.props, old.props)
		return err
	})
	attrs, err := h.update(c, old.physical, old.props, next.props)
	if err != nil {
		return t.failed(next, "UPDATE", err)
	}
	next.attrs = maps.Clone(old.attrs)
	if next.attrs == nil {
		next.attrs = props{}
	}
	maps.Copy(next.attrs, attrs)
	t.now[next.logical] = next
	t.stack.log(next, "UPDATE_COMPLETE", "")
	return nil
}

// changed are the names of the properties that differ.
func changed(old, next props) []string {
	both := maps.Clone(old)
	if both == nil {
		both = props{}
	}
	maps.Copy(both, next)
	return slices.DeleteFunc(slices.Collect(maps.Keys(both)), func(name string) bool { return encode(old[name]) == encode(next[name]) })
}

// replaced tells whether the change of some properties needs a new resource.
func replaced(resourceType string, changed ...string) bool {
	replaces, _ := model.Replaces(resourceType, changed...)
	h := handlers[resourceType]
	return h != nil && (replaces || h.update == nil)
}

func (t *transaction) create(next *resource, verb string) error {
	old := t.now[next.logical]
	t.stack.log(next, verb+"_IN_PROGRESS", "")
	c := t.call(next.logical)
	h := handlers[next.typ]
	if h == nil {
		next.physical = c.generated(128)
		t.engine.record(next.typ)
		t.undo = append(t.undo, func() error { t.restore(next.logical, old); return nil })
	} else {
		physical, attrs, err := h.create(c, next.props)
		if physical != "" {
			t.undo = append(t.undo, func() error {
				t.restore(next.logical, old)
				t.stack.log(next, "DELETE_IN_PROGRESS", "")
				if err := h.delete(c, physical, next.props); err != nil {
					return err
				}
				t.stack.log(next, "DELETE_COMPLETE", "")
				return nil
			})
		}
		next.physical, next.attrs = physical, attrs
		if err != nil {
			return t.failed(next, verb, err)
		}
	}
	t.now[next.logical] = next
	t.stack.log(next, verb+"_COMPLETE", "")
	return nil
}

func (t *transaction) restore(logical string, old *resource) {
	if old == nil {
		delete(t.now, logical)
	} else {
		t.now[logical] = old
	}
}

// failed logs the failure the way CloudFormation words it and returns the reason for the rollback.
func (t *transaction) failed(r *resource, verb string, err error) error {
	reason := err.Error()
	if e, ok := err.(*Error); ok && e.Code != "ValidationError" {
		code := e.Code
		if strings.Contains(code, "AlreadyExists") {
			code = "AlreadyExists"
		}
		reason = fmt.Sprintf("Resource handler returned message: %q (HandlerErrorCode: %s)", e.Message, code)
	}
	t.stack.log(r, verb+"_FAILED", reason)
	action := map[string]string{"CREATE": "create", "UPDATE": "update"}[verb]
	return fmt.Errorf("The following resource(s) failed to %s: [%s]. ", action, r.logical)
}

func (t *transaction) rollback() error {
	for _, u := range slices.Backward(t.undo) {
		if err := u(); err != nil {
			return err
		}
	}
	return nil
}

// cleanup deletes what the new template has replaced or no longer has. Like CloudFormation it does not undo a deployment
// because of a resource that cannot be deleted.
func (t *transaction) cleanup(old map[string]*resource, order []string) {
	keep := map[string]bool{}
	for _, logical := range t.order {
		keep[logical] = true
	}
	for _, logical := range slices.Backward(order) {
		was, is := old[logical], t.now[logical]
		switch {
		case was == nil:
			continue
		case !keep[logical]:
			delete(t.now, logical)
			if was.retain {
				t.stack.log(was, "DELETE_SKIPPED", "")
				continue
			}
		case is.physical == was.physical || was.retainReplaced:
			continue
		}
		t.remove(was)
	}
}

// remove deletes one resource and logs how it went.
func (t *transaction) remove(r *resource) error {
	t.stack.log(r, "DELETE_IN_PROGRESS", "")
	if h := handlers[r.typ]; h != nil {
		if err := h.delete(t.call(r.logical), r.physical, r.props); err != nil {
			t.stack.log(r, "DELETE_FAILED", err.Error())
			return err
		}
	}
	t.stack.log(r, "DELETE_COMPLETE", "")
	return nil
}

// destroy deletes a stack's resources, dependents first.
func (e *Engine) destroy(ctx context.Context, s *stack) {
	s.log(nil, "DELETE_IN_PROGRESS", "User Initiated")
	if err := e.exportsUnchanged(s, nil); err != nil {
		s.log(nil, "DELETE_FAILED", err.Error())
		return
	}
	t := &transaction{engine: e, ctx: ctx, stack: s}
	var stuck []string
	for _, logical := range slices.Backward(s.order) {
		r := s.resources[logical]
		if r == nil {
			continue
		}
		if r.retain {
			s.log(r, "DELETE_SKIPPED", "")
		} else if err := t.remove(r); err != nil {
			stuck = append(stuck, logical)
			continue
		}
		delete(s.resources, logical)
	}
	if len(stuck) > 0 {
		s.log(nil, "DELETE_FAILED", fmt.Sprintf("The following resource(s) failed to delete: [%s]. ", strings.Join(stuck, ", ")))
		return
	}
	s.outputs, s.imports = nil, nil
	s.log(nil, "DELETE_COMPLETE", "")
}
