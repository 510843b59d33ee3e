package cloudformation

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// importing asks for an import of parameters, NAME each with the logical id that [parameters] gives it, and returns the stack's
// status and why it failed.
func (f *fixture) importing(stack, template string, names ...string) (status, reason string) {
	f.t.Helper()
	given := []string{"ChangeSetType", "IMPORT", "TemplateBody", template}
	for i, name := range names {
		head := fmt.Sprintf("ResourcesToImport.member.%d.", i+1)
		given = append(given, head+"ResourceType", "AWS::SSM::Parameter", head+"LogicalResourceId", strings.ToUpper(strings.Trim(name, "/")),
			head+"ResourceIdentifier.entry.1.key", "Name", head+"ResourceIdentifier.entry.1.value", name)
	}
	if _, reason, executed := f.change(stack, given); !executed {
		return "", reason
	}
	events, _ := f.call("DescribeStackEvents", "StackName", stack)
	for _, e := range events.all("member") {
		if e.first("ResourceStatus") == "IMPORT_FAILED" {
			reason = e.first("ResourceStatusReason")
		}
	}
	return f.status(stack), reason
}

// retained gives all resources of a template a policy that keeps them.
func retained(template string) string {
	return strings.ReplaceAll(template, `"Type":"AWS::SSM::Parameter"`, `"DeletionPolicy":"Retain","Type":"AWS::SSM::Parameter"`)
}

func TestImport(t *testing.T) {
	f := newFixture(t)
	f.store.values = map[string]string{"/a": "by hand", "/b": "by hand", "/c": "by hand"}
	want := maps.Clone(f.store.values)
	steps := []struct {
		name           string
		template       string
		names          []string
		status, reason string
	}{
		{"no policy", parameters("/a=1"), []string{"/a"}, "", "The following resources to import [A] must have DeletionPolicy attribute specified in the template."},
		{"nothing", retained(parameters("/a=1")), nil, "", "ResourcesToImport must be specified"},
		{"not in the template", retained(parameters("/a=1")), []string{"/b"}, "", "Resources to import [B] are not in the template"},
		{"another resource beside", retained(parameters("/a=1", "/new=1")), []string{"/a"}, "", "You have modified resources [NEW] in your template that are not being imported."},
		{"not there", retained(parameters("/none=1")), []string{"/none"}, "IMPORT_ROLLBACK_COMPLETE", "Resource of type 'AWS::SSM::Parameter' with identifier '/none' was not found."},
		{"one of two not there", retained(parameters("/a=by hand", "/none=1")), []string{"/a", "/none"}, "IMPORT_ROLLBACK_COMPLETE", "'/none' was not found"},
		{"a stack of its own", retained(parameters("/a=by hand")), []string{"/a"}, "IMPORT_COMPLETE", ""},
		{"again", retained(parameters("/a=by hand")), []string{"/a"}, "", "already in a stack"},
		{"beside others", retained(parameters("/a=by hand", "/b=by hand")), []string{"/b"}, "IMPORT_COMPLETE", ""},
		{"a change beside", retained(parameters("/a=changed", "/b=by hand", "/c=by hand")), []string{"/c"}, "", "You have modified resources [A]"},
		{"an output beside", strings.Replace(retained(parameters("/a=by hand", "/b=by hand", "/c=by hand")), `{"Resources"`, `{"Outputs":{"O":{"Value":"1"}},"Resources"`, 1),
			[]string{"/c"}, "", "As part of the import operation, you cannot modify or add [Outputs]"},
	}
	for _, step := range steps {
		status, reason := f.importing("dev-Taken", step.template, step.names...)
		if status != step.status || !strings.Contains(reason, step.reason) {
			t.Errorf("%s: %q, %q, want %q, %q", step.name, status, reason, step.status, step.reason)
		}
		if !maps.Equal(f.store.values, want) {
			t.Fatalf("%s: parameters %v, want %v", step.name, f.store.values, want)
		}
	}
	if slices.ContainsFunc(f.store.calls, func(c string) bool { return !strings.HasPrefix(c, "GetParameter") }) {
		t.Errorf("calls %q: an import changes something", f.store.calls)
	}

	// From now on, they are the stack's, and nobody else's.
	if status, reason := f.importing("dev-Other", retained(parameters("/b=by hand")), "/b"); status != "IMPORT_ROLLBACK_COMPLETE" || !strings.Contains(reason, "/b already exists in stack arn:") {
		t.Errorf("a resource of another stack: %s, %s", status, reason)
	}
	f.want("dev-Taken", retained(parameters("/a=changed", "/b=by hand")), "UPDATE_COMPLETE")
	want["/a"] = "changed"
	if !maps.Equal(f.store.values, want) {
		t.Errorf("after an update: %v, want %v", f.store.values, want)
	}
	f.call("DeleteStack", "StackName", "dev-Taken")
	if !maps.Equal(f.store.values, want) {
		t.Errorf("after the deletion of the stack: %v, want %v", f.store.values, want)
	}
}

// TestTemplateSummary: the CDK CLI asks by what it may import a resource.
func TestTemplateSummary(t *testing.T) {
	f := newFixture(t)
	template := `{"Resources": {"A": {"Type": "AWS::SSM::Parameter"}, "B": {"Type": "AWS::SSM::Parameter"}, "C": {"Type": "Custom::Thing"},
		"R": {"Type": "AWS::ElasticLoadBalancingV2::ListenerRule"}}}`
	n, failed := f.call("GetTemplateSummary", "TemplateBody", template)
	if failed != "" {
		t.Fatal(failed)
	}
	var got []string
	for _, summaries := range n.all("ResourceIdentifierSummaries") {
		for _, s := range summaries.Children {
			line := s.first("ResourceType")
			for _, list := range []string{"LogicalResourceIds", "ResourceIdentifiers"} {
				for _, l := range s.all(list) {
					for _, m := range l.Children {
						line += " " + m.Text
					}
				}
			}
			got = append(got, line)
		}
	}
	if want := []string{"AWS::ElasticLoadBalancingV2::ListenerRule R RuleArn", "AWS::SSM::Parameter A B Name"}; !slices.Equal(got, want) {
		t.Errorf("to import: %q, want %q", got, want)
	}
}
