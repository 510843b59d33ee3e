package assembly

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A template is read as an assembly with one stack, whatever its format and its forms are.
func TestTemplates(t *testing.T) {
	dir := write(t, map[string]string{
		"shop.yaml": `AWSTemplateFormatVersion: 2010-09-09
Parameters:
  Port: {Type: Number, Default: 80}
Conditions:
  Test: !Equals [!Ref Port, 8080]
Resources:
  Group:
    Type: T
    Condition: Test
    Properties:
      Port: !Ref Port
      Ratio: 0.5
      On: true
      Nothing: ~
      Date: 2012-10-17
      Octal: "010"
      Arn: !GetAtt Other.Nested.Arn
      Long: {Fn::GetAtt: [Other, Arn]}
      Name: !Sub "${AWS::StackName}-shop"
      With: !Sub ["${A}", {A: !Select [0, !Split [",", "a,b"]]}]
      Of: !ImportValue
        Fn::Sub: net-${Port}
      Any: !Or [!Condition Test, !Not [!Condition Test]]
      Text: |
        two
        lines
  Other: {Type: T}
`,
		"net.template.json": `{"Resources": {}, "Outputs": {"O": {"Value": "vpc", "Export": {"Name": "net-80"}}}}`,
	})
	one, err := Read(filepath.Join(dir, "shop.yaml"), "Port=8080")
	if err != nil || len(one.Stacks) != 1 {
		t.Fatalf("%v, %v", one, err)
	}
	shop := one.Stack("shop")
	want := map[string]any{"Port": map[string]any{"Ref": "Port"}, "Ratio": 0.5, "On": true, "Nothing": nil, "Date": "2012-10-17", "Octal": "010",
		"Arn": map[string]any{"Fn::GetAtt": []any{"Other", "Nested.Arn"}}, "Long": map[string]any{"Fn::GetAtt": []any{"Other", "Arn"}},
		"Name": map[string]any{"Fn::Sub": "${AWS::StackName}-shop"},
		"With": map[string]any{"Fn::Sub": []any{"${A}", map[string]any{"A": map[string]any{"Fn::Select": []any{0.0, map[string]any{"Fn::Split": []any{",", "a,b"}}}}}}},
		"Of":   map[string]any{"Fn::ImportValue": map[string]any{"Fn::Sub": "net-${Port}"}},
		"Any":  map[string]any{"Fn::Or": []any{map[string]any{"Condition": "Test"}, map[string]any{"Fn::Not": []any{map[string]any{"Condition": "Test"}}}}},
		"Text": "two\nlines\n",
	}
	if diff := cmp.Diff(want, shop.Resource("Group").Properties); diff != "" || shop.Template["AWSTemplateFormatVersion"] != "2010-09-09" {
		t.Errorf("%v (-want +got):\n%s", shop.Template["AWSTemplateFormatVersion"], diff)
	}
	if exists, err := shop.Resource("Group").Exists(one); err != nil || !exists {
		t.Errorf("the resource exists: %t, %v", exists, err)
	}

	// In a directory the imports make the order.
	both, err := Read(dir)
	if err != nil || len(both.Stacks) != 2 || both.Stacks[0].Name != "net" || len(both.Stack("shop").DependsOn) != 1 {
		t.Fatalf("%v, %v", both, err)
	}
	if value, err := both.Stack("shop").Resource("Group").Resolve(both, "Of"); err != nil || value != "vpc" {
		t.Errorf("imported: %v, %v", value, err)
	}
	if !Exists(dir) || !Exists(filepath.Join(dir, "shop.yaml")) || Exists(t.TempDir()) || Exists(filepath.Join(dir, "none")) {
		t.Error("templates are not found, or found where there are none")
	}
}
