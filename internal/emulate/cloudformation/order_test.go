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
