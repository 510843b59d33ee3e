package ssm

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cutover/internal/assembly"
	"cutover/internal/local/provider"
	"cutover/internal/model"
)

// plan makes the plan of an assembly with the stacks A and B, of the resources of each.
func (p *Parameters) plan(t *testing.T, a, b string) provider.Plan {
	t.Helper()
	dir, artifacts := t.TempDir(), map[string]any{}
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for stack, resources := range map[string]string{"A": a, "B": b} {
		write(stack+".json", `{"Resources": {`+resources+`}}`)
		artifacts[stack] = map[string]any{
			"type": "aws:cloudformation:stack", "environment": "aws://1/eu-west-1", "properties": map[string]any{"templateFile": stack + ".json"},
		}
	}
	manifest, err := json.Marshal(map[string]any{"artifacts": artifacts})
	if err != nil {
		t.Fatal(err)
	}
	write("manifest.json", string(manifest))
	read, err := assembly.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	return p.Plan(model.Read(read), nil)
}

func parameter(id, name string) string {
	return `"` + id + `": {"Type": "AWS::SSM::Parameter", "Properties": {"Name": "` + name + `", "Type": "String", "Value": {"Fn::Join": ["", ["x-", {"Ref": "` + id + `"}]]}}}`
}

// A name has one holder, also while a stack is about to give up the name.
func TestNamesAreUnique(t *testing.T) {
	p := New()
	const stackA, stackB = "A", "B"
	deploy := func(plan provider.Plan, stack string) error {
		if err := plan.Update(t.Context(), stack); err != nil {
			return err
		}
		return plan.Clean(t.Context(), stack)
	}
	refused := func(what string, err error, want string) {
		t.Helper()
		if err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", what, err, want)
		}
	}
	first := p.plan(t, parameter("One", "/x"), "")
	if err := deploy(first, stackA); err != nil {
		t.Fatal(err)
	}
	if err := deploy(first, stackA); err != nil {
		t.Errorf("the same again: %v", err)
	}
	refused("another stack", deploy(p.plan(t, parameter("One", "/x"), parameter("Two", "/x")), stackB), "B/Two: the SSM parameter /x already exists, by A/One")
	refused("the same stack, deleted last", deploy(p.plan(t, parameter("Two", "/x"), ""), stackA), "A/Two: the SSM parameter /x already exists, by A/One")
	refused("twice in a stack", deploy(p.plan(t, "", parameter("Two", "/y")+","+parameter("Three", "/y")), stackB), "B/Two: the SSM parameter /y already exists, by B/Three")

	// Another name for the same resource: both are held until the stack is clean.
	renamed, other := p.plan(t, parameter("One", "/z"), ""), p.plan(t, parameter("One", "/z"), parameter("Two", "/x"))
	if err := renamed.Update(t.Context(), stackA); err != nil {
		t.Fatal(err)
	}
	refused("renamed, not yet clean", deploy(other, stackB), "B/Two: the SSM parameter /x already exists, by A/One")
	if err := errors.Join(renamed.Clean(t.Context(), stackA), deploy(other, stackB)); err != nil {
		t.Errorf("the name is free: %v", err)
	}
	// Back to what was: the name belongs to another stack now.
	refused("back", deploy(first, stackA), "A/One: the SSM parameter /x already exists, by B/Two")
}

func TestAttributes(t *testing.T) {
	next := New().plan(t, parameter("One", "/x"), `"Unnamed": {"Type": "AWS::SSM::Parameter", "Properties": {"Value": "1"}}`)
	if err := next.Check(); err != nil {
		t.Fatal(err)
	}
	one, unnamed := next.(plan).wanted["A/One"].Resource, next.(plan).wanted["B/Unnamed"].Resource
	for _, c := range []struct {
		ref  assembly.Ref
		want any
	}{
		{assembly.Ref{Resource: one}, "/x"},
		{assembly.Ref{Resource: unnamed, Attribute: "Value"}, "1"},
	} {
		if got, err := next.Attribute(c.ref); err != nil || got != c.want {
			t.Errorf("%v is %v, %v, want %v", c.ref, got, err, c.want)
		}
	}
	if got, err := next.Attribute(assembly.Ref{Resource: one, Attribute: "Value"}); err != nil || got.(assembly.Text).String() != "x-${A/One}" {
		t.Errorf("a value that refers to another is %v, %v", got, err)
	}
	for _, ref := range []assembly.Ref{{Resource: one, Attribute: "Policies"}, {Resource: unnamed}} {
		if got, err := next.Attribute(ref); err == nil || !strings.Contains(err.Error(), "on this machine") {
			t.Errorf("%v is %v, %v, want an error", ref, got, err)
		}
	}
}

func TestNameThatCannotBeRead(t *testing.T) {
	plan := New().plan(t, `"One": {"Type": "AWS::SSM::Parameter", "Properties": {"Name": {"Fn::Nothing": 1}}}`, "")
	if err := plan.Check(); err == nil || !strings.Contains(err.Error(), "A/One/Properties.Name") {
		t.Errorf("the error is %v, want the place", err)
	}
}
