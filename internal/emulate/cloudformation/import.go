package cloudformation

import (
	"cmp"
	"context"
	"maps"
	"net/url"
	"slices"
	"strings"

	sdk "github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
)

// An import takes resources that exist already into a stack. It creates and changes nothing. As CloudFormation does, it takes
// the template's word for the properties: whether they are right is found out by drift detection, which the engine has not.

// identifier is the name of the property or attribute by which a resource of the type is imported.
func (h *handler) identifier() string { return cmp.Or(h.ref, h.name) }

// toImport reads the resources that a request imports: their physical ids by logical id.
func (e *Engine) toImport(f url.Values, r request) (map[string]string, error) {
	found := map[string]string{}
	var unprotected []string
	for _, m := range members(f, "ResourcesToImport") {
		logical, typ := m.Get("LogicalResourceId"), m.Get("ResourceType")
		d, h := definition(r.template, logical), handlerOf(typ)
		key, id := m.Get("ResourceIdentifier.entry.1.key"), m.Get("ResourceIdentifier.entry.1.value")
		switch {
		case str(d, "Type") != typ:
			return nil, validation("Resources to import [%s] are not in the template as %s", logical, typ)
		case h.find == nil:
			return nil, validation("ResourceTypes [%s] are not supported for Import", typ)
		case key != h.identifier() || id == "" || m.Has("ResourceIdentifier.entry.2.key"):
			return nil, validation("Identifier property validation failed for resource [%s]: it needs %s alone", logical, h.identifier())
		case str(d, "DeletionPolicy") == "":
			unprotected = append(unprotected, logical)
		}
		found[logical] = id
	}
	if len(unprotected) > 0 {
		return nil, validation("The following resources to import [%s] must have DeletionPolicy attribute specified in the template.", strings.Join(unprotected, ", "))
	}
	if len(found) == 0 {
		return nil, validation("ResourcesToImport must be specified for a change set of type IMPORT")
	}
	return found, nil
}

// importsAlone refuses a request that does anything else than to import resources that the stack lacks.
func importsAlone(s *stack, r request, changes []types.Change) error {
	var others []string
	for _, c := range changes {
		if c.ResourceChange.Action != types.ChangeActionImport {
			others = append(others, *c.ResourceChange.LogicalResourceId)
		}
	}
	for logical := range r.imported {
		if s.resources[logical] != nil {
			return validation("Resources [%s] passed in ResourcesToImport are already in a stack and cannot be imported.", logical)
		}
	}
	if len(others) > 0 {
		return validation("You have modified resources [%s] in your template that are not being imported. Update, create or delete operations cannot be executed during import operations.", strings.Join(others, ", "))
	}
	if encode(section(r.template, "Outputs")) != encode(section(s.template, "Outputs")) {
		return validation("As part of the import operation, you cannot modify or add [Outputs]")
	}
	return nil
}

// importOne brings a resource that exists into the stack. A rollback leaves it alone.
func (t *transaction) importOne(next *resource, id string) error {
	next.physical = id
	t.stack.log(next, "IMPORT_IN_PROGRESS", "Resource import started.")
	for _, s := range t.engine.stacks {
		for _, r := range s.resources {
			if !s.deleted() && r.typ == next.typ && r.physical == id {
				return t.failed(next, "IMPORT", validation("%s already exists in stack %s", id, s.id))
			}
		}
	}
	c := t.call(id)
	if handlerOf(next.typ).find(c); c.err != nil {
		return t.failed(next, "IMPORT", &Error{Code: "NotFound", Message: "Resource of type '" + next.typ + "' with identifier '" + id + "' was not found."})
	}
	next.attrs = c.attrs
	t.now[next.logical] = next
	t.undo = append(t.undo, func() error {
		delete(t.now, next.logical)
		return nil
	})
	t.stack.log(next, "IMPORT_COMPLETE", "Resource import completed.")
	return nil
}

// getTemplateSummary says by what the resources of a template are imported.
func (e *Engine) getTemplateSummary(ctx context.Context, f url.Values) (any, error) {
	var old *stack
	if name := f.Get("StackName"); name != "" {
		var err error
		if old, err = e.stack(name); err != nil {
			return nil, err
		}
		f.Set("UsePreviousTemplate", "true")
	}
	body, err := e.body(ctx, f, old)
	if err != nil {
		return nil, err
	}
	template, err := parseTemplate(body)
	if err != nil {
		return nil, err
	}
	ofType := map[string][]string{}
	for _, logical := range slices.Sorted(maps.Keys(section(template, "Resources"))) {
		typ := str(definition(template, logical), "Type")
		ofType[typ] = append(ofType[typ], logical)
	}
	var out sdk.GetTemplateSummaryOutput
	for _, typ := range slices.Sorted(maps.Keys(ofType)) {
		out.ResourceTypes = append(out.ResourceTypes, typ)
		if h := handlerOf(typ); h.find != nil {
			out.ResourceIdentifierSummaries = append(out.ResourceIdentifierSummaries,
				types.ResourceIdentifierSummary{ResourceType: &typ, LogicalResourceIds: ofType[typ], ResourceIdentifiers: []string{h.identifier()}})
		}
	}
	return &out, nil
}
