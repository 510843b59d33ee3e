package cloudformation

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// after makes a resource of a template wait for another one.
func after(template, id, other string) string {
	return strings.Replace(template, `"`+id+`":{`, `"`+id+`":{"DependsOn":"`+other+`",`, 1)
}

// A rollback takes the last change back first.
func TestRollbackGoesBackward(t *testing.T) {
	f := newFixture(t)
	f.store.refuse = "bad"
	f.want("dev-Test", after(after(parameters("/a=1", "/b=1", "/c=bad"), "B", "A"), "C", "B"), "ROLLBACK_COMPLETE")
	if want := []string{"PutParameter /a", "PutParameter /b", "PutParameter /c", "DeleteParameter /b", "DeleteParameter /a"}; !slices.Equal(f.store.calls, want) {
		t.Errorf("calls %q, want %q", f.store.calls, want)
	}
}

// A replaced resource whose policy retains it stays.
func TestReplacedAndRetained(t *testing.T) {
	f := newFixture(t)
	retained := func(template string) string {
		return strings.Replace(template, `"A":{`, `"A":{"UpdateReplacePolicy":"Retain",`, 1)
	}
	f.want("dev-Test", retained(parameters("/a=1")), "CREATE_COMPLETE")
	f.want("dev-Test", retained(strings.Replace(parameters("/renamed=2"), `"RENAMED":`, `"A":`, 1)), "UPDATE_COMPLETE")
	if want := map[string]string{"/a": "1", "/renamed": "2"}; !maps.Equal(f.store.values, want) {
		t.Errorf("after the replacement: %v, want %v", f.store.values, want)
	}
}

// A resource whose policy retains it outlives the rollback of its creation, but not with RetainExceptOnCreate
// (https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-attribute-deletionpolicy.html).
func TestRetainedAtARollback(t *testing.T) {
	f := newFixture(t)
	f.store.refuse = "bad"
	template := after(after(parameters("/a=1", "/b=1", "/c=bad"), "B", "A"), "C", "B")
	template = strings.Replace(template, `"A":{`, `"A":{"DeletionPolicy":"Retain",`, 1)
	template = strings.Replace(template, `"B":{`, `"B":{"DeletionPolicy":"RetainExceptOnCreate",`, 1)
	f.want("dev-Test", template, "ROLLBACK_COMPLETE")
	if want := map[string]string{"/a": "1"}; !maps.Equal(f.store.values, want) {
		t.Errorf("after the rollback: %v, want %v", f.store.values, want)
	}
}

// A value that another stack imports stays as it is.
func TestImportedValueStays(t *testing.T) {
	f := newFixture(t)
	exporting := func(value string) string {
		return `{"Resources": {"A": {"Type": "AWS::SSM::Parameter", "Properties": {"Name": "/a", "Type": "String", "Value": "` + value + `"}}},
			"Outputs": {"Value": {"Value": "` + value + `", "Export": {"Name": "value"}}}}`
	}
	f.want("dev-Base", exporting("1"), "CREATE_COMPLETE")
	f.want("dev-Base", exporting("2"), "UPDATE_COMPLETE")
	f.want("dev-User", `{"Resources": {"B": {"Type": "AWS::SSM::Parameter", "Properties": {"Name": "/b", "Type": "String", "Value": {"Fn::ImportValue": "value"}}}}}`, "CREATE_COMPLETE")
	f.want("dev-Base", exporting("3"), "UPDATE_ROLLBACK_COMPLETE")
	if want := map[string]string{"/a": "2", "/b": "2"}; !maps.Equal(f.store.values, want) {
		t.Errorf("after an update that was refused: %v, want %v", f.store.values, want)
	}
}

// A name exists once, within a stack too. CloudFormation creates before it deletes
// (https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-updating-stacks-update-behaviors.html),
// so a name cannot go from one logical id to another one in one update, and two resources cannot
// have one name. AWS looks for names that exist even before the update begins
// (https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/validate-stack-deployments.html).
func TestNameInUseWithinAStack(t *testing.T) {
	f := newFixture(t)
	f.want("dev-Test", parameters("/a=1"), "CREATE_COMPLETE")
	before := maps.Clone(f.store.values)
	refused := func(what, id, template string) {
		t.Helper()
		status, reason := f.deploy("dev-Test", template)
		if status != "UPDATE_ROLLBACK_COMPLETE" || !strings.HasPrefix(reason, id+": ") || !strings.Contains(reason, "HandlerErrorCode: AlreadyExists") {
			t.Errorf("%s: %s (%s), want %s to be refused because the name exists", what, status, reason, id)
		}
		if !maps.Equal(f.store.values, before) {
			t.Errorf("%s: after the rollback %v, want %v", what, f.store.values, before)
		}
	}
	other := strings.Replace(parameters("/a=1"), `"A":`, `"B":`, 1)
	refused("another logical id takes the name over", "B", other)
	both := strings.Replace(after(parameters("/b=1", "/c=1"), "C", "B"), `"Name":"/c"`, `"Name":"/b"`, 1)
	refused("two logical ids with one name", "C", both)
	// A swap of two names fails at the first of them.
	f.want("dev-Test", parameters("/a=1", "/b=1"), "UPDATE_COMPLETE")
	before = maps.Clone(f.store.values)
	refused("two names are swapped", "B", after(strings.NewReplacer(`"/a"`, `"/b"`, `"/b"`, `"/a"`).Replace(parameters("/a=1", "/b=1")), "A", "B"))
}
