package assembly

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// apart is an assembly of two stacks of which one is for any region.
func apart(t *testing.T) string {
	return write(t, map[string]string{
		"manifest.json": `{"artifacts": {
			"A": {"type": "aws:cloudformation:stack", "environment": "aws://unknown-account/unknown-region", "properties": {"templateFile": "a.json"}},
			"B": {"type": "aws:cloudformation:stack", "environment": "aws://1/eu-west-1", "properties": {"templateFile": "b.json"}}}}`,
		"a.json": `{"Parameters": {"Port": {"Type": "Number"}, "Zones": {"Type": "List<String>"}, "Image": {"Type": "AWS::SSM::Parameter::Value<List<String>>", "Default": "/image"}},
			"Resources": {"R": {"Type": "T", "Properties": {"Port": {"Ref": "Port"}, "Zones": {"Ref": "Zones"}, "Image": {"Ref": "Image"}, "Region": {"Ref": "AWS::Region"}, "Account": {"Ref": "AWS::AccountId"}, "Partition": {"Ref": "AWS::Partition"}, "Id": {"Ref": "AWS::StackId"}}}},
			"Outputs": {"O": {"Value": "x", "Export": {"Name": {"Fn::Sub": "${AWS::Region}-${Port}"}}}}}`,
		"b.json": `{"Parameters": {"Port": {"Type": "String", "Default": "1", "AllowedValues": ["1", 90]}},
			"Resources": {"R": {"Type": "T", "Properties": {"Port": {"Ref": "Port"}, "Import": {"Fn::ImportValue": "eu-west-1-90"}, "Region": {"Ref": "AWS::Region"}}}}}`,
	})
}

func TestParameters(t *testing.T) {
	for _, test := range []struct{ parameters, a, b string }{
		{"Port=90", "Port:90", "Port:90"},
		{"A:Port=90", "Port:90", "Port:1"},
		{"B:Port=90", `Port:S.Ref: parameter "Port" has no default: give a value with --parameters Port=VALUE`, "Port:90"},
		{"A:Port=80 A:Port=90", "Port:90", "Port:1"}, // the later value counts
		{"AWS::StackId=x", "Id:x", "Port:1"},
		{"A:AWS::Partition=x", "Partition:x", "Port:1"},
		{"AWS::StackName=A", `Id:S.Ref: AWS::StackId is only known at deployment: give a value with --parameters AWS::StackId=VALUE`, "Port:1"},
		{"A:Port=1 B:Port=90", `Partition:S.Ref: AWS::Partition is only known at deployment: the stack was synthesized without an account and a region; give a value with --parameters AWS::Partition=VALUE`, "Port:90"},
		{"Zones=a,b=c", "Zones:[a b=c]", "Port:1"},
		{"Image=x,y", "Image:[x y]", "Port:1"},
		{"AWS::Region=eu-west-1", "Region:eu-west-1", "Region:eu-west-1"},
		{"A:AWS::AccountId=2", "Account:2", "Port:1"},
		{"AWS::Region=cn-north-1", "Partition:aws-cn", "Region:eu-west-1"},
		{"AWS::Region=eu-west-1 A:Port=90", "Port:90", "Import:x"},
	} {
		a, err := Read(apart(t), strings.Fields(test.parameters)...)
		if err != nil {
			t.Fatalf("%s: %v", test.parameters, err)
		}
		for stack, want := range map[string]string{"A": test.a, "B": test.b} {
			property, want, _ := strings.Cut(want, ":")
			value, err := a.Stack(stack).Resource("R").Resolve(a, property)
			got := fmt.Sprint(value)
			if err != nil {
				got = strings.Replace(err.Error(), stack+"/R/Properties."+property, "S", 1)
			}
			if got != want {
				t.Errorf("%s: %s of %s is %s, want %s", test.parameters, property, stack, got, want)
			}
		}
	}
	for parameter, want := range map[string]string{
		"Port":                  `parameter "Port" is not [STACK:]NAME=VALUE, as in Port=8080`,
		"=1":                    `parameter "=1" is not [STACK:]NAME=VALUE`,
		"Prot=1":                `parameter "Prot": no stack of the assembly takes it; there are Image, Port, Zones`,
		"C:Port=1":              `parameter "Port": there is no stack "C"`,
		"B:Zones=1":             `parameter "Zones": no stack "B" of the assembly takes it; there are Port`,
		"Port=many":             `parameter "Port" of stack "A": "many" is not a number`,
		"B:Port=2":              `parameter "Port" of stack "B": "2" is none of 1 90`,
		"B:AWS::Region=x":       `parameter "AWS::Region": no stack "B" of the assembly takes it`,
		"AWS::StackName=x":      `parameter "AWS::StackName": no stack of the assembly takes it`,
		"B:AWS::AccountId=1000": `parameter "AWS::AccountId": no stack "B" of the assembly takes it`,
	} {
		if _, err := Read(apart(t), parameter); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", parameter, err, want)
		}
	}
}

// What CloudFormation refuses of a parameter's value. Bounds belong to what they bound.
func TestParameterCheck(t *testing.T) {
	for _, test := range []struct {
		parameter   Parameter
		value, want string
	}{
		{Parameter{Type: "Number", MinValue: 1.0, MaxValue: "3"}, "1", ""},
		{Parameter{Type: "Number", MinValue: 1.0, MaxValue: "3"}, "3", ""},
		{Parameter{Type: "Number", MinValue: 1.0, MaxValue: "3"}, "0.5", `"0.5" is below 1`},
		{Parameter{Type: "Number", MinValue: 1.0, MaxValue: "3"}, "4", `"4" is above 3`},
		{Parameter{Type: "String", MinLength: "2", MaxLength: 3.0}, "äö", ""},
		{Parameter{Type: "String", MinLength: "2", MaxLength: 3.0}, "äöü", ""},
		{Parameter{Type: "String", MinLength: "2", MaxLength: 3.0}, "a", `"a" has fewer characters than 2`},
		{Parameter{Type: "String", MinLength: "2", MaxLength: 3.0}, "aaaa", `"aaaa" has more characters than 3`},
		{Parameter{Type: "String", AllowedPattern: "a|[0-9]{2}"}, "80", ""},
		{Parameter{Type: "String", AllowedPattern: "a|[0-9]{2}"}, "808", `"808" does not match the pattern a|[0-9]{2}`},
		{Parameter{Type: "String", AllowedPattern: "a|[0-9]{2}"}, "ab", `"ab" does not match`},
		{Parameter{Type: "String", AllowedPattern: "(?=of Java)"}, "x", ""},
	} {
		err := test.parameter.check(test.value)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v, %s: %v, want %s", test.parameter, test.value, err, test.want)
		}
	}
}

// Only stacks without a place get one, and exports get their names.
func TestLocate(t *testing.T) {
	a, err := Read(apart(t), "A:Port=90")
	if err != nil {
		t.Fatal(err)
	}
	a.Locate("2", "eu-west-1")
	if s := a.Stack("A"); s.Account != "2" || s.Region != "eu-west-1" {
		t.Errorf("A is in %s, %s", s.Account, s.Region)
	}
	if s := a.Stack("B"); s.Account != "1" {
		t.Errorf("B is in %s, which is another account", s.Account)
	}
	a.Stack("B").Account = "2" // an export is known within an account
	if value, err := a.Stack("B").Resource("R").Resolve(a, "Import"); value != "x" {
		t.Errorf("the export of A is %v, %v", value, err)
	}
}

// No error names a type of Go, and each says where the mistake is.
func TestMalformed(t *testing.T) {
	const manifest = `{"artifacts": {"A": {"type": "aws:cloudformation:stack", "environment": "aws://1/r", "properties": {"templateFile": "a.json"}}}}`
	for template, want := range map[string]string{
		`{"Resources": {"Fn::ForEach::Rules": ["N", ["a"], {}]}, "Transform": "AWS::LanguageExtensions"}`:       `a.json: Resources: the macro AWS::LanguageExtensions changes the template when it is deployed: the loop "Fn::ForEach::Rules" is not evaluated`,
		`{"Outputs": {"Fn::ForEach::Out": ["N", ["a"], {}]}}`:                                                   `a.json: Outputs: the macro AWS::LanguageExtensions`,
		`{"Resources": {"R": {"Type": "T", "DeletionPolicy": {"Fn::If": ["C", "Retain", "Delete"]}}}}`:          `a.json: resource "R": DeletionPolicy: expected a string, found an object`,
		`{"Resources": {"R": {"Type": "T", "Properties": ["x"]}}}`:                                              `resource "R": Properties: expected an object, found a list`,
		`{"Resources": {"R": {"Type": 7}}}`:                                                                     `resource "R": Type: expected a string, found a number`,
		`{"Resources": {"R": {"Type": "T", "Condition": true}}}`:                                                `resource "R": Condition: expected a string, found a boolean`,
		`{"Resources": {"R": "T"}}`:                                                                             `resource "R": expected an object, found a string`,
		`{"Resources": []}`:                                                                                     `a.json: Resources: expected an object, found a list`,
		`{"Parameters": {"P": {"AllowedValues": "x"}}}`:                                                         `expected a list, found a string`,
		`{"Resources": {"R": {"Type": "T"}}`:                                                                    `a.json: unexpected end of JSON input`,
		`{"Resources": {"R": {"Type": "T", "Metadata": "of somebody else", "Properties": {"Fn::ForEach": 1}}}}`: "",
	} {
		_, err := Read(write(t, map[string]string{"manifest.json": manifest, "a.json": template}))
		if got := fmt.Sprint(err); want == "" && err != nil || !strings.Contains(got, want) || strings.Contains(got, "Go ") || strings.Contains(got, "struct") {
			t.Errorf("%s: %s, want %s", template, got, want)
		}
	}
	dir := write(t, map[string]string{
		"t.template.json": "{}", "t.yaml": "- a", "2.yaml": "Resources: {}", "alias.yaml": "a: &b 1\nResources: *b", "merged.yaml": "Resources: {<<: {a: 1}}",
		"twice.yaml": "Resources:\n  R: {}\n  R: {}", "empty.yaml": "# nothing", "tab.yaml": "Resources:\n\t- a", "both/s.yaml": "Resources: {}", "both/s.json": `{"Resources": {}}`, "both/s.txt": "",
		"circle/a.yml": "Resources: {}\nOutputs: {O: {Value: !ImportValue b, Export: {Name: a}}}", "circle/b.yml": "Resources: {}\nOutputs: {O: {Value: !ImportValue a, Export: {Name: b}}}",
		"list/manifest.json": `{"artifacts": {"A": ["x"]}}`,
	})
	for name, want := range map[string]string{
		"t.template.json": "t.template.json has no Resources, and so is no template of CloudFormation: name the template, a directory that has nothing but templates, or an assembly",
		"t.yaml":          "t.yaml: expected an object, found a list",
		"2.yaml":          `the stack would be called "2", which CloudFormation refuses`,
		"alias.yaml":      "alias.yaml: yaml: line 2: CloudFormation takes no aliases, such as *b",
		"merged.yaml":     "merged.yaml: yaml: line 1: CloudFormation takes only texts as keys, and merges no maps",
		"twice.yaml":      `twice.yaml: yaml: line 3: "R" is there twice`,
		"empty.yaml":      "empty.yaml: the file is empty",
		"tab.yaml":        "tab.yaml: yaml: line 2: found character that cannot start any token",
		"both":            `there are two templates of the stack "s"`,
		"circle":          `stack "a" depends on itself through its imports`,
		"list":            "expected an object, found a list",
		"none":            "is not a cloud assembly, and has no templates of CloudFormation; run `cdk synth` first",
	} {
		if _, err := Read(filepath.Join(dir, name)); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "struct") {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
}
