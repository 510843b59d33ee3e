package cloudformation

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
)

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

// apply brings a stack to the request's state in CloudFormation's order: creations and updates,
// dependencies first, and then the deletions. A failure rolls everything back.
func (e *Engine) apply(ctx context.Context, s *stack, r request) {
	verb, undone := "UPDATE", "UPDATE_ROLLBACK"
	if r.imported != nil {
		verb, undone = "IMPORT", "IMPORT_ROLLBACK"
	} else if s.status == "REVIEW_IN_PROGRESS" {
		verb, undone = "CREATE", "ROLLBACK"
	}
	s.log(nil, verb+"_IN_PROGRESS", "User Initiated")
	t := &transaction{engine: e, ctx: ctx, stack: s, now: maps.Clone(s.resources), imported: r.imported}
	outputs, imports, err := t.run(r)
	if err != nil {
		s.log(nil, undone+"_IN_PROGRESS", err.Error())
		for _, undo := range slices.Backward(t.undo) {
			if err := undo(); err != nil {
				s.log(nil, undone+"_FAILED", err.Error())
				return
			}
		}
		s.log(nil, undone+"_COMPLETE", "")
		return
	}
	old, oldOrder := s.resources, s.order
	s.request, s.resources, s.order, s.outputs, s.imports = r, t.now, t.order, outputs, imports
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
	// imported are the physical ids of the resources to import, by logical id.
	imported map[string]string
}

// call prepares the run of a handler's function for a resource with that physical id, or the name of a new one.
func (t *transaction) call(id string) *call {
	return &call{client: t.engine.client, ctx: t.ctx, account: t.engine.options.Account, id: id, attrs: props{}, properties: t.properties}
}

// properties are those of a resource of this stack, as it stands, or of another one.
func (t *transaction) properties(typ, id string) props {
	all := []map[string]*resource{t.now}
	for _, s := range t.engine.stacks {
		if !s.deleted() {
			all = append(all, s.resources)
		}
	}
	for _, resources := range all {
		for _, r := range resources {
			if r.typ == typ && r.physical == id {
				return r.props
			}
		}
	}
	return nil
}

func (t *transaction) run(r request) (outputs []types.Output, imports []string, err error) {
	sc := t.engine.scope(t.ctx, t.stack, r, t.now)
	if t.order, err = sc.plan(); err != nil {
		return nil, nil, err
	}
	for _, logical := range t.order {
		d := definition(r.template, logical)
		next := &resource{logical: logical, typ: str(d, "Type"), retain: strings.HasPrefix(str(d, "DeletionPolicy"), "Retain"),
			retainReplaced: str(d, "UpdateReplacePolicy") == "Retain", updated: time.Now()}
		next.snapshot = str(d, "DeletionPolicy") == "Snapshot"
		next.exceptOnCreate = str(d, "DeletionPolicy") == "RetainExceptOnCreate"
		next.props = sc.eval(section(d, "Properties")).(props)
		if err := sc.take(); err != nil {
			return nil, nil, t.failed(next, "CREATE", err)
		}
		if err := t.provision(next); err != nil {
			return nil, nil, err
		}
	}
	declared := section(r.template, "Outputs")
	for _, key := range slices.Sorted(maps.Keys(declared)) {
		if d := section(declared, key); sc.includes(d) {
			outputs = append(outputs, types.Output{OutputKey: &key, OutputValue: aws.String(text(sc.eval(d["Value"]))),
				Description: given(str(d, "Description")), ExportName: given(text(sc.eval(section(d, "Export")["Name"])))})
		}
	}
	if err := sc.take(); err != nil {
		return nil, nil, err
	}
	return outputs, sc.imports, t.engine.exportsUnchanged(t.stack, outputs)
}

// exports returns the values of exported outputs by the name of the export.
func exports(outputs []types.Output) map[string]string {
	found := map[string]string{}
	for _, o := range outputs {
		if o.ExportName != nil {
			found[*o.ExportName] = *o.OutputValue
		}
	}
	return found
}

// exportsUnchanged refuses to take away or change an export that another stack imports, or to export a name twice.
func (e *Engine) exportsUnchanged(s *stack, outputs []types.Output) error {
	was, is := exports(s.outputs), exports(outputs)
	for _, other := range e.stacks {
		if other == s || other.deleted() {
			continue
		}
		for name := range exports(other.outputs) {
			if _, ok := is[name]; ok {
				return validation("Export with name %s is already exported by stack %s", name, other.name)
			}
		}
		for _, name := range other.imports {
			old, had := was[name]
			if now, has := is[name]; had && (!has || now != old) {
				return validation("Export %s cannot be updated as it is in use by %s", name, other.name)
			}
		}
	}
	return nil
}

// provision creates or updates one resource, or leaves it alone if its properties are as they were.
func (t *transaction) provision(next *resource) error {
	old := t.now[next.logical]
	if id, ok := t.imported[next.logical]; ok {
		return t.importOne(next, id)
	}
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
	h := handlerOf(next.typ)
	for property := range with(maps.Clone(old.props), next.props) {
		if !differ(old.props, next.props, property) || !replaces(next.typ, property) {
			continue
		}
		if name := str(next.props, h.name); name != "" && name == str(old.props, h.name) {
			return t.failed(next, "UPDATE", validation("CloudFormation cannot update a stack when a custom-named resource requires replacing. Rename %s and update the stack again.", name))
		}
		next.physical, next.attrs = "", nil
		return t.create(next, "UPDATE")
	}
	t.stack.log(next, "UPDATE_IN_PROGRESS", "")
	update := func(from, to props) (attrs props, err error) {
		c := t.call(old.physical)
		if h.update != nil {
			h.update(c, from, to)
		}
		if h.configure != nil {
			h.configure(c, from, to)
		}
		return c.attrs, c.err
	}
	// Undo even an update that fails, for it may have done some of its work.
	t.undo = append(t.undo, func() error {
		t.now[next.logical] = old
		attrs, err := update(next.props, old.props)
		old.attrs = with(maps.Clone(old.attrs), attrs) // what is switched on again may be another one
		return err
	})
	attrs, err := update(old.props, next.props)
	if err != nil {
		return t.failed(next, "UPDATE", err)
	}
	next.attrs = with(maps.Clone(old.attrs), attrs)
	t.now[next.logical] = next
	t.stack.log(next, "UPDATE_COMPLETE", "")
	return nil
}

func (t *transaction) create(next *resource, verb string) error {
	old, replaces := t.now[next.logical]
	t.stack.log(next, verb+"_IN_PROGRESS", "")
	h := handlerOf(next.typ)
	if h == recorded {
		t.engine.recorded[next.typ] = true
	}
	c := t.call(h.nameOf(t.stack.name, next))
	if next.physical = h.create(c, next.props); c.err == nil {
		t.undo = append(t.undo, func() error {
			delete(t.now, next.logical)
			if !replaces && !next.exceptOnCreate { // a policy that retains it holds for a rollback, too
				return t.discard(next)
			}
			if replaces {
				t.now[next.logical] = old
			}
			return t.remove(next)
		})
		if h.configure != nil {
			c.id = next.physical
			h.configure(c, nil, next.props)
		}
	}
	if next.attrs = c.attrs; c.err != nil {
		return t.failed(next, verb, c.err)
	}
	t.now[next.logical] = next
	t.stack.log(next, verb+"_COMPLETE", "")
	return nil
}

// failed logs the failure in CloudFormation's words and returns the reason for the rollback.
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
	return fmt.Errorf("The following resource(s) failed to %s: [%s]. ", strings.ToLower(verb), r.logical)
}

// cleanup deletes replaced and removed resources. As with CloudFormation, a failed deletion does
// not undo the deployment.
func (t *transaction) cleanup(old map[string]*resource, order []string) {
	for _, logical := range slices.Backward(order) {
		was, is := old[logical], t.now[logical]
		if !slices.Contains(t.order, logical) {
			delete(t.now, logical)
			t.discard(was)
		} else if is.physical != was.physical && !was.retainReplaced {
			t.remove(was)
		}
	}
}

// discard deletes a resource that the template no longer has, unless its policy retains it.
func (t *transaction) discard(r *resource) error {
	if r.retain {
		t.stack.log(r, "DELETE_SKIPPED", "")
		return nil
	}
	return t.remove(r)
}

// remove deletes one resource and logs how it went.
func (t *transaction) remove(r *resource) error {
	t.stack.log(r, "DELETE_IN_PROGRESS", "")
	c := t.call(r.physical)
	c.snapshot = r.snapshot
	handlerOf(r.typ).delete(c, r.props)
	if err := gone(c.err); err != nil {
		t.stack.log(r, "DELETE_FAILED", err.Error())
		return err
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
	for _, r := range slices.Backward(s.existing()) {
		if err := t.discard(r); err != nil {
			stuck = append(stuck, r.logical)
		} else {
			delete(s.resources, r.logical)
		}
	}
	if len(stuck) > 0 {
		s.log(nil, "DELETE_FAILED", fmt.Sprintf("The following resource(s) failed to delete: [%s]. ", strings.Join(stuck, ", ")))
		return
	}
	s.outputs, s.imports = nil, nil
	s.log(nil, "DELETE_COMPLETE", "")
}
