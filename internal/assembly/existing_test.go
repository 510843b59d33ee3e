package assembly

import (
	"maps"
	"path/filepath"
	"strings"
	"testing"
)

const (
	groupARN   = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/shop/1"
	existingOf = `"Metadata": {"cutover:existing": {"account": "123456789012", "region": "eu-central-1"}}`
)

// A text that is the ARN of what exists already refers to its resource, also as the default of a parameter.
func TestExisting(t *testing.T) {
	files := stack(`{"Parameters": {"P": {"Type": "String", "Default": "` + groupARN + `"}, "L": {"Type": "CommaDelimitedList", "Default": "x,` + groupARN + `"}},
		"Resources": {"R": {"Type": "T", "Properties": {"Arn": "` + groupARN + `", "Parameter": {"Ref": "P"}, "List": {"Ref": "L"}, "Other": "` + groupARN + `2", "Listener": "arn:aws-cn:elasticloadbalancing:a:b:listener/1", "Text": "text"}}}}`)
	plain := read(t, files)
	files[ExistingFile] = `{` + existingOf + `, "Resources": {"Group": {"Type": "G", "Metadata": {"cutover:arn": "` + groupARN + `"}}}}`
	a := read(t, files)
	if len(a.Stacks) != 1 || len(a.Resources("G")) != 0 || a.Stack("existing") != nil {
		t.Errorf("what exists already is deployed: %v", a.Stacks)
	}
	group := a.Described(groupARN)
	if group == nil || group.String() != "existing/Group" || !a.Existing.Existing || a.Existing.Account != "123456789012" || a.Existing.Region != "eu-central-1" {
		t.Fatalf("%v of %+v", group, a.Existing)
	}
	for _, c := range []struct {
		read func(Value) *Resource
		a    *Assembly
		want string // the key, or what is refused
	}{
		{func(p Value) *Resource { return p.Field("Arn").Resource("G") }, a, "existing/Group"},
		{func(p Value) *Resource { return p.Field("Arn").Elsewhere("G", "Arn") }, a, "existing/Group"},
		{func(p Value) *Resource { return p.Field("Parameter").Resource("G") }, a, "existing/Group"},
		{func(p Value) *Resource { return p.Field("List").List()[1].Resource("G") }, a, "existing/Group"},
		{func(p Value) *Resource { return p.Field("Other").Resource("G") }, a, "S/R/Properties.Other: no template has " + groupARN + "2: run `cutover adopt`, which describes what exists already in existing.template.json"},
		{func(p Value) *Resource { return p.Field("Listener").Resource("G") }, a, "no template has arn:aws-cn:elasticloadbalancing:a:b:listener/1: run `cutover adopt`"},
		{func(p Value) *Resource { return p.Field("Arn").Resource("G") }, plain, "S/R/Properties.Arn: no template has " + groupARN + ": run `cutover adopt`"},
		{func(p Value) *Resource { return p.Field("Text").Resource("G") }, a, `expected a resource of the assembly of type G, found "text"`},
		{func(p Value) *Resource { return p.Field("Arn").Resource("H") }, a, "expected a resource of the assembly of type H, found existing/Group"},
	} {
		reader := NewReader(c.a, c.a.Stacks[0].Resource("R"))
		got := ""
		if r := c.read(reader.Properties()); r != nil {
			got = r.String()
		}
		for _, problem := range reader.Problems() {
			got += problem.Err.Error()
		}
		if len(reader.Problems()) > 1 || !strings.Contains(got, c.want) {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
	p := NewReader(a, a.Stacks[0].Resource("R")).Properties()
	if text := p.Field("Arn").Text(""); text != groupARN || p.Field("Arn").Keyed() != "existing/Group" || p.Field("Arn").Identity("") != "existing/Group" {
		t.Errorf("as a text it is %s, and as a key %s", text, p.Field("Arn").Keyed())
	}
}

// Beside templates without an assembly it is none of them.
func TestExistingBesideTemplates(t *testing.T) {
	dir := write(t, map[string]string{
		"shop.json": `{"Resources": {"R": {"Type": "T"}}}`, ExistingFile: `{` + existingOf + `, "Resources": {}}`,
	})
	a, err := Read(dir)
	if err != nil || len(a.Stacks) != 1 || a.Existing == nil {
		t.Fatalf("%+v, %v", a, err)
	}
	if a, err = Read(filepath.Join(dir, "shop.json")); err != nil || a.Existing != nil {
		t.Errorf("a template alone: %+v, %v", a, err)
	}
	if a, err = ReadExisting(dir); err != nil || len(a.Stacks) != 0 || a.Existing == nil {
		t.Errorf("without the templates: %+v, %v", a, err)
	}
	if a, err = ReadExisting(t.TempDir()); err != nil || a != nil {
		t.Errorf("without a file: %+v, %v", a, err)
	}
}

func TestExistingErrors(t *testing.T) {
	resource := func(metadata string) string { return `{"Type": "T", "Metadata": {` + metadata + `}}` }
	for _, c := range []struct{ name, text, want string }{
		{"not JSON", `{`, ExistingFile},
		{"a list", `[]`, "expected an object, found a list"},
		{"no metadata", `{"Resources": {}}`, "its Metadata have no cutover:existing, which says where all this exists: write it anew with `cutover adopt`"},
		{"metadata of somebody else", `{"Metadata": {"cutover:existing": "yes"}}`, "its Metadata have no cutover:existing"},
		{"no ARN", `{` + existingOf + `, "Resources": {"A": ` + resource(`"cutover:arn": 1`) + `}}`, `resource "A" has no cutover:arn in its Metadata: write it anew with`},
		{"an ARN twice", `{` + existingOf + `, "Resources": {"A": ` + resource(`"cutover:arn": "x"`) + `, "B": ` + resource(`"cutover:arn": "x"`) + `}}`, `resources "A" and "B" have one ARN, x: write it anew with`},
		{"its name taken", `{` + existingOf + `}`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := maps.Clone(stack(`{}`))
			if c.want == "" {
				files["manifest.json"] = strings.Replace(files["manifest.json"], `"S": {`, `"existing": {`, 1)
				c.want = `a stack is called "existing", too: give it another name`
			}
			files[ExistingFile] = c.text
			dir := write(t, files)
			if _, err := Read(dir); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), dir) {
				t.Errorf("the error is %v, want it to contain %s", err, c.want)
			}
		})
	}
}
