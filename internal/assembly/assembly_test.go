package assembly

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// write puts files into a new directory and returns it.
func write(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// read reads the assembly made of such files.
func read(t testing.TB, files map[string]string) *Assembly {
	t.Helper()
	a, err := Read(write(t, files))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// shop is an app of three stacks, the manifest listing a consumer before its
// producers, and a stage.
var shop = map[string]string{
	"manifest.json": `{"version": "54.0.0", "artifacts": {
		"Web.assets": {"type": "cdk:asset-manifest", "properties": {"file": "Web.assets.json"},
			"dependencies": ["Net", "Repos"]},
		"Web": {"type": "aws:cloudformation:stack", "environment": "aws://123456789012/eu-west-1",
			"properties": {"templateFile": "Web.template.json", "stackName": "shop-web"},
			"dependencies": ["Net", "Web.assets", "Data"]},
		"Data": {"type": "aws:cloudformation:stack", "environment": "aws://123456789012/eu-west-1",
			"properties": {"templateFile": "Data.template.json"}},
		"Net": {"type": "aws:cloudformation:stack", "environment": "aws://unknown-account/unknown-region",
			"properties": {"templateFile": "Net.template.json"}},
		"Repos": {"type": "aws:cloudformation:stack", "environment": "aws://unknown-account/unknown-region",
			"properties": {"templateFile": "Repos.template.json"}},
		"assembly-Prod": {"type": "cdk:cloud-assembly", "properties": {"directoryName": "assembly-Prod"}},
		"Tree": {"type": "cdk:tree", "properties": {"file": "tree.json"}}}}`,
	"Web.assets.json": `{"version": "54.0.0",
		"files": {"f1": {"source": {"path": "asset.f1", "packaging": "zip"},
			"destinations": {"here": {"bucketName": "assets-${AWS::AccountId}", "objectKey": "f1.zip"}}}},
		"dockerImages": {"i1": {"source": {"directory": "asset.i1", "dockerBuildArgs": {"A": "b"}, "platform": "linux/arm64", "dockerFile": "Image"},
			"destinations": {"here": {"repositoryName": "web", "imageTag": "v1-i1", "region": "eu-west-1"}}}}}`,
	"Web.template.json": `{
		"Mappings": {"Sizes": {"eu-west-1": {"count": 3, "names": ["a", "b"]}}},
		"Resources": {
			"Listener": {"Type": "Test::Listener", "DependsOn": ["Lb"], "DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain",
				"Metadata": {"aws:cdk:path": "Web/Listener/Resource"},
				"Properties": {"Port": 80}},
			"Lb": {"Type": "Test::LoadBalancer", "DependsOn": "Listener2"},
			"Listener2": {"Type": "Test::Listener", "Condition": "Never"}},
		"Conditions": {
			"Never": {"Fn::Equals": [{"Ref": "AWS::Region"}, "us-east-1"]},
			"Always": {"Fn::And": [{"Fn::Not": [{"Condition": "Never"}]}, {"Fn::Or": [{"Condition": "Never"}, {"Fn::Equals": ["1", 1]}]}]},
			"Endless": {"Condition": "Endless"},
			"Later": {"Fn::Equals": [{"Ref": "Lb"}, "x"]}},
		"Parameters": {
			"Size": {"Type": "Number", "Default": 3},
			"Zones": {"Type": "CommaDelimitedList", "Default": "a, b"},
			"Image": {"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/image"},
			"Given": {"Type": "String"}},
		"Rules": {"R": {"Assertions": []}},
		"Outputs": {
			"Url": {"Description": "where it is", "Value": {"Fn::Sub": "http://${Lb.DNSName}/"}},
			"Loop": {"Value": {"Fn::GetStackOutput": {"StackName": "shop-web", "OutputName": "Loop"}}},
			"Hidden": {"Condition": "Never", "Value": "x"},
			"B1": {"Value": {"Fn::Join": ["", [{"Fn::GetStackOutput": {"StackName": "shop-web", "OutputName": "B2"}}, {"Fn::GetStackOutput": {"StackName": "shop-web", "OutputName": "B2"}}]]}},
			"B2": {"Value": {"Fn::Join": [",", [{"Ref": "Big"}, {"Ref": "Big"}, {"Ref": "Big"}]]}}}}`,
	"Data.template.json": `{
		"Resources": {"Table": {"Type": "Test::Table"}},
		"Outputs": {
			"T": {"Value": {"Fn::GetAtt": ["Table", "Arn"]}, "Export": {"Name": {"Fn::Sub": "${AWS::StackName}:T"}}},
			"D": {"Value": "d1", "Export": {"Name": "twice"}},
			"E": {"Value": "d2", "Export": {"Name": "twice"}}}}`,
	"Net.template.json": `{
		"Resources": {"Vpc": {"Type": "Test::Vpc"}, "SubnetA": {"Type": "Test::Subnet"}, "SubnetB": {"Type": "Test::Subnet"}},
		"Outputs": {
			"Vpc": {"Value": {"Ref": "Vpc"}},
			"Subnets": {"Value": {"Fn::Join": ["||", [{"Ref": "SubnetA"}, {"Ref": "SubnetB"}]]}}}}`,
	"Repos.template.json": `{}`,
	"assembly-Prod/manifest.json": `{"artifacts": {"ProdNet": {"type": "aws:cloudformation:stack", "environment": "aws://1/us-gov-west-1",
		"properties": {"templateFile": "t.json", "stackName": "Net-prod"}}}}`,
	"assembly-Prod/t.json": `{"Resources": {"Vpc": {"Type": "Test::Vpc"}}}`,
}

func TestRead(t *testing.T) {
	a := read(t, shop)

	var names []string
	for _, s := range a.Stacks {
		names = append(names, s.Name)
	}
	if want := []string{"Net", "Repos", "Data", "shop-web", "Net-prod"}; !slices.Equal(names, want) {
		t.Errorf("stacks are %v, want %v", names, want)
	}
	web := a.Stack("shop-web")
	// Net is named twice; Repos is what the stack's assets wait for.
	if want := []*Stack{a.Stack("Net"), a.Stack("Repos"), a.Stack("Data")}; !slices.Equal(web.DependsOn, want) {
		t.Errorf("shop-web depends on %v", web.DependsOn)
	}
	if web.Account != "123456789012" || web.Region != "eu-west-1" || a.Stack("Net").Account != "" || a.Stack("Net").Region != "" {
		t.Errorf("environments: web %q %q, net %q %q", web.Account, web.Region, a.Stack("Net").Account, a.Stack("Net").Region)
	}
	if a.Stack("Web") != nil {
		t.Error("a stack is found by its artifact id, want by the name it deploys under")
	}

	listener := web.Resource("Listener")
	want := &Resource{
		Stack: web, LogicalID: "Listener", Type: "Test::Listener", Properties: map[string]any{"Port": 80.0},
		DependsOn: []string{"Lb"}, DeletionPolicy: "Retain", UpdateReplacePolicy: "Retain", Path: "Web/Listener/Resource",
		Metadata: map[string]any{"aws:cdk:path": "Web/Listener/Resource"},
	}
	if !reflect.DeepEqual(listener, want) {
		t.Errorf("Listener is %+v, want %+v", listener, want)
	}
	if lb := web.Resource("Lb"); !slices.Equal(lb.DependsOn, []string{"Listener2"}) || lb.Properties == nil {
		t.Errorf("Lb is %+v", lb)
	}
	if web.Resource("Nothing") != nil {
		t.Error("a resource that is not there is found")
	}
	if got := a.Resources("Test::Vpc"); len(got) != 2 || got[0].String() != "Net/Vpc" || got[1].String() != "Net-prod/Vpc" {
		t.Errorf("VPCs are %v", got)
	}
	if len(web.Parameters) != 4 || !reflect.DeepEqual(web.Parameters["Size"], Parameter{Type: "Number", Default: 3.0}) || len(web.Conditions) != 4 || len(web.Rules) != 1 {
		t.Errorf("parameters %v, conditions %v, rules %v", web.Parameters, web.Conditions, web.Rules)
	}
	if o := web.Outputs["Url"]; o.Description != "where it is" || o.ExportName != nil || o.Stack != web {
		t.Errorf("output Url is %+v", o)
	}
	if _, ok := web.Template["Outputs"].(map[string]any)["Url"]; !ok {
		t.Error("the template itself is missing")
	}

	if want := []ImageAsset{{
		ID: "i1", Directory: filepath.Join(a.Dir, "asset.i1"), Dockerfile: "Image", BuildArgs: map[string]string{"A": "b"}, Platform: "linux/arm64",
		Destinations: []ImageDestination{{Repository: "web", Tag: "v1-i1", Region: "eu-west-1"}},
	}}; !reflect.DeepEqual(web.Images, want) {
		t.Errorf("images are %+v, want %+v", web.Images, want)
	}
	if want := []FileAsset{{
		ID: "f1", Path: filepath.Join(a.Dir, "asset.f1"), Packaging: "zip",
		Destinations: []FileDestination{{Bucket: "assets-${AWS::AccountId}", Key: "f1.zip"}},
	}}; !reflect.DeepEqual(web.Files, want) {
		t.Errorf("files are %+v, want %+v", web.Files, want)
	}
}

// stack returns the files of an app of one stack.
func stack(template string) map[string]string {
	return map[string]string{
		"manifest.json": `{"artifacts": {"S": {"type": "aws:cloudformation:stack", "environment": "aws://unknown-account/unknown-region",
			"properties": {"templateFile": "t.json"}, "dependencies": ["A"]},
			"A": {"type": "cdk:asset-manifest", "properties": {"file": "a.json"}}}}`,
		"t.json": template,
		"a.json": `{}`,
	}
}

func TestReadErrors(t *testing.T) {
	with := func(files map[string]string, name, text string) map[string]string {
		files[name] = text
		return files
	}
	manifest := func(text string) map[string]string { return map[string]string{"manifest.json": text} }
	assets := func(text string) map[string]string { return with(stack(`{}`), "a.json", text) }
	tests := []struct {
		name  string
		files map[string]string
		want  string // in the error
	}{
		{"no assembly", nil, "run `cdk synth` first"},
		{"not JSON", manifest(`{`), "manifest.json: unexpected end of JSON input"},
		{"a list", manifest(`[]`), "expected an object, found a list"},
		{"no artifacts", manifest(`{}`), `no "artifacts" object`},
		{"null artifacts", manifest(`{"artifacts": null}`), `no "artifacts" object`},
		{"null artifact", manifest(`{"artifacts": {"S": null}}`), `artifact "S" is null`},
		{"artifact twice", manifest(`{"artifacts": {"S": {}, "S": {}}}`), "more than once"},
		{"artifacts twice", manifest(`{"artifacts": {"S": {}}, "Artifacts": {"T": {}}}`), "more than once"},
		{"no environment", manifest(`{"artifacts": {"S": {"type": "aws:cloudformation:stack"}}}`), `environment "" is not of the form`},
		{"environment", manifest(`{"artifacts": {"S": {"type": "aws:cloudformation:stack", "environment": "aws:123"}}}`), `environment "aws:123"`},
		{"no template", manifest(`{"artifacts": {"S": {"type": "aws:cloudformation:stack", "environment": "aws://a/b"}}}`), `stack "S": no file is named`},
		{"template outside", manifest(`{"artifacts": {"S": {"type": "aws:cloudformation:stack", "environment": "aws://a/b", "properties": {"templateFile": "../x"}}}}`), `"../x" leads out of the assembly`},
		{"template missing", manifest(`{"artifacts": {"S": {"type": "aws:cloudformation:stack", "environment": "aws://a/b", "properties": {"templateFile": "x"}}}}`), "no such file"},
		{"nested in itself", manifest(`{"artifacts": {"N": {"type": "cdk:cloud-assembly", "properties": {"directoryName": "."}}}}`), "nested more than 8 deep"},
		{"nested outside", manifest(`{"artifacts": {"N": {"type": "cdk:cloud-assembly", "properties": {"directoryName": "/"}}}}`), `"/" leads out`},
		{"unknown dependency", manifest(`{"artifacts": {"S": {"type": "aws:cloudformation:stack", "environment": "aws://a/b", "properties": {"templateFile": "manifest.json"}, "dependencies": ["T"]}}}`), `depends on "T"`},
		{"cycle", manifest(`{"artifacts": {"S": {"type": "aws:cloudformation:stack", "environment": "aws://a/b", "properties": {"templateFile": "manifest.json"}, "dependencies": ["S"]}}}`), `stack "S" depends on itself`},
		{"template not JSON", stack(`{}}`), "t.json: invalid character"},
		{"template a string", stack(`"x"`), "t.json: expected an object, found a string"},
		{"null resource", stack(`{"Resources": {"R": null}}`), `resource "R" has no Type`},
		{"no type", stack(`{"Resources": {"R": {}}}`), `resource "R" has no Type`},
		{"properties", stack(`{"Resources": {"R": {"Type": "T", "Properties": []}}}`), "Properties"},
		{"DependsOn number", stack(`{"Resources": {"R": {"Type": "T", "DependsOn": 1}}}`), `resource "R": DependsOn: expected a string or a list of strings, found the number 1`},
		{"DependsOn list", stack(`{"Resources": {"R": {"Type": "T", "DependsOn": [{}]}}}`), `element 0 is an object`},
		{"DependsOn unknown", stack(`{"Resources": {"R": {"Type": "T", "DependsOn": "Q"}}}`), `depends on "Q"`},
		{"null output", stack(`{"Outputs": {"O": null}}`), `output "O" is null`},
		{"assets not JSON", assets(`nul`), "a.json: "},
		{"image without source", assets(`{"dockerImages": {"i": {}}}`), `image "i" must have`},
		{"null image", assets(`{"dockerImages": {"i": null}}`), `image "i" must have`},
		{"image without tag", assets(`{"dockerImages": {"i": {"source": {"directory": "d"}, "destinations": {"x": {"repositoryName": "r"}}}}}`), `destination "x" has no repository or no tag`},
		{"file without source", assets(`{"files": {"f": {}}}`), `file "f" must have`},
		{"file without key", assets(`{"files": {"f": {"source": {"path": "p"}, "destinations": {"x": {"bucketName": "b"}}}}}`), `destination "x" has no bucket or no key`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := Read(write(t, test.files))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

// show renders a resolved value in one line.
func show(value any) string {
	switch value := value.(type) {
	case []any:
		var elements []string
		for _, element := range value {
			elements = append(elements, show(element))
		}
		return "[" + strings.Join(elements, " ") + "]"
	case map[string]any:
		var members []string
		for _, key := range slices.Sorted(maps.Keys(value)) {
			members = append(members, key+":"+show(value[key]))
		}
		return "{" + strings.Join(members, " ") + "}"
	case Ref:
		return "<" + value.String() + ">"
	case Text:
		return "text " + value.String()
	}
	return fmt.Sprintf("%v", value)
}

func TestResolve(t *testing.T) {
	a := read(t, shop)
	tests := []struct{ value, want string }{
		{`"x"`, `x`},
		{`{"a": [1, true, null, "x"], "b": null}`, `{a:[1 true x]}`},
		{`{"Ref": "Lb"}`, `<shop-web/Lb>`},
		{`{"Fn::GetAtt": ["Lb", "DNSName"]}`, `<shop-web/Lb.DNSName>`},
		{`{"Fn::GetAtt": "Lb.Nested.Name"}`, `<shop-web/Lb.Nested.Name>`},
		{`{"Ref": "Lb", "More": 1}`, `{More:1 Ref:Lb}`},

		{`{"Ref": "Size"}`, `3`},
		{`{"Ref": "Zones"}`, `[a b]`},
		{`{"Ref": "AWS::Region"}`, `eu-west-1`},
		{`{"Ref": "AWS::AccountId"}`, `123456789012`},
		{`{"Ref": "AWS::Partition"}`, `aws`},
		{`{"Ref": "AWS::URLSuffix"}`, `amazonaws.com`},
		{`{"Ref": "AWS::StackName"}`, `shop-web`},
		{`{"Ref": "AWS::NoValue"}`, `<nil>`},
		{`[{"Ref": "AWS::NoValue"}, "x"]`, `[x]`},
		{`{"a": {"Ref": "AWS::NoValue"}}`, `{}`},

		{`{"Fn::GetStackOutput": {"StackName": "Net", "Region": {"Ref": "AWS::Region"}, "OutputName": "Vpc"}}`, `<Net/Vpc>`},
		{`{"Fn::GetStackOutput": {"StackName": "Net", "OutputName": {"Fn::Join": ["", ["V", "pc"]]}}}`, `<Net/Vpc>`},
		{`{"Fn::ImportValue": "Data:T"}`, `<Data/Table.Arn>`},
		{`{"Fn::ImportValue": {"Fn::Sub": ["${Stack}:T", {"Stack": "Data"}]}}`, `<Data/Table.Arn>`},

		{`{"Fn::Join": ["-", ["a", 1, true, {"Ref": "AWS::NoValue"}, "b"]]}`, `a-1-true-b`},
		{`{"Fn::Join": ["", [{"Ref": "Lb"}]]}`, `<shop-web/Lb>`},
		{`{"Fn::Join": ["", []]}`, ``},
		{`{"Fn::Join": ["/", ["a", {"Ref": "Lb"}, "b"]]}`, `text a/${shop-web/Lb}/b`},
		{`{"Fn::Join": [",", {"Fn::Split": ["|", "a|b"]}]}`, `a,b`},
		{`{"Fn::Sub": "${AWS::AccountId}.dkr.ecr.${AWS::Region}.${AWS::URLSuffix}/users:v1"}`, `123456789012.dkr.ecr.eu-west-1.amazonaws.com/users:v1`},
		{`{"Fn::Sub": "${!AWS::Region} ${ Size }${Lb}"}`, `text ${AWS::Region} 3${shop-web/Lb}`},
		{`{"Fn::Sub": ["${Lb.Arn}/${Port}", {"Port": 80}]}`, `text ${shop-web/Lb.Arn}/80`},
		{`{"Fn::Split": ["/", "a/b//c"]}`, `[a b  c]`},
		{`{"Fn::Split": ["||", {"Fn::GetStackOutput": {"StackName": "Net", "OutputName": "Subnets"}}]}`, `[<Net/SubnetA> <Net/SubnetB>]`},
		{`{"Fn::Select": [1, {"Fn::Split": ["||", {"Fn::GetStackOutput": {"StackName": "Net", "OutputName": "Subnets"}}]}]}`, `<Net/SubnetB>`},
		{`{"Fn::Select": ["0", ["a", "b"]]}`, `a`},
		{`{"Fn::If": ["Always", "yes", "no"]}`, `yes`},
		{`{"Fn::If": ["Never", {"Ref": "Nothing"}, "no"]}`, `no`},

		// What cannot be known is an error with its place, whatever it is.
		{`{"Ref": "Nothing"}`, `error shop-web/X/P.Ref: "Nothing" is neither a resource nor a parameter of the template`},
		{`{"a": [0, {"Ref": "Nothing"}]}`, `error shop-web/X/P.a[1].Ref: "Nothing" is neither a resource nor a parameter of the template`},
		{`{"Ref": 1}`, `error shop-web/X/P.Ref: expected a logical id, found the number 1`},
		{`{"Ref": "Image"}`, `error shop-web/X/P.Ref: parameter "Image" is read from the Parameter Store (/image) at deployment: give a value with --parameters Image=VALUE`},
		{`{"Ref": "Given"}`, `error shop-web/X/P.Ref: parameter "Given" has no default: give a value with --parameters Given=VALUE`},
		{`{"Fn::FindInMap": ["Sizes", {"Ref": "AWS::Region"}, "count"]}`, `3`},
		{`{"Fn::FindInMap": ["Sizes", "eu-west-1", "names"]}`, `[a b]`},
		{`{"Fn::FindInMap": ["Sizes", "eu-west-1", "size"]}`, `error shop-web/X/P.Fn::FindInMap: the mappings of the template have nothing for ["Sizes", "eu-west-1", "size"]`},
		{`{"Fn::FindInMap": ["Sizes", "eu-west-2", "count"]}`, `error shop-web/X/P.Fn::FindInMap: the mappings of the template have nothing for ["Sizes", "eu-west-2"]`},
		{`{"Fn::FindInMap": ["Size", {"Ref": "Lb"}, "count"]}`, `error shop-web/X/P.Fn::FindInMap: the mappings of the template have nothing for ["Size"]`},
		{`{"Fn::FindInMap": ["Sizes", {"Ref": "Lb"}, "count"]}`, `error shop-web/X/P.Fn::FindInMap[1]: expected a text that is known before a deployment, found shop-web/Lb`},
		{`{"Fn::FindInMap": ["Sizes", "eu-west-1"]}`, `error shop-web/X/P.Fn::FindInMap: expected [name of a mapping, top-level key, second-level key]`},
		{`{"a": {"Fn::ForEach::Loop": ["x", ["b"], {}], "c": 1}}`, `error shop-web/X/P.a.Fn::ForEach::Loop: the macro AWS::LanguageExtensions changes the template when it is deployed: the loop is not evaluated`},
		{`{"Ref": "AWS::StackId"}`, `error shop-web/X/P.Ref: AWS::StackId is only known at deployment: give a value with --parameters AWS::StackId=VALUE`},
		{`{"Fn::GetAtt": ["Nothing", "Arn"]}`, `error shop-web/X/P.Fn::GetAtt: "Nothing" is not a resource of the template`},
		{`{"Fn::GetAtt": ["Lb", {"Ref": "Size"}]}`, `error shop-web/X/P.Fn::GetAtt: expected [logical id, attribute], both known`},
		{`{"Fn::GetAZs": ""}`, `error shop-web/X/P.Fn::GetAZs: Fn::GetAZs is not a function that can be evaluated before a deployment`},
		{`{"Fn::GetStackOutput": "Net"}`, `error shop-web/X/P.Fn::GetStackOutput: expected an object with StackName and OutputName, found "Net"`},
		{`{"Fn::GetStackOutput": {"StackName": "Net"}}`, `error shop-web/X/P.Fn::GetStackOutput.OutputName: expected a string, found nothing`},
		{`{"Fn::GetStackOutput": {"StackName": "Other", "OutputName": "X"}}`, `error shop-web/X/P.Fn::GetStackOutput: there is no stack "Other" in the assembly`},
		{`{"Fn::GetStackOutput": {"StackName": "Data", "Region": "us-east-1", "OutputName": "T"}}`, `error shop-web/X/P.Fn::GetStackOutput: there is no stack "Data" in the assembly`},
		{`{"Fn::GetStackOutput": {"StackName": "Net", "OutputName": "X"}}`, `error shop-web/X/P.Fn::GetStackOutput: stack "Net" has no output "X"`},
		{`{"Fn::GetStackOutput": {"StackName": "shop-web", "OutputName": "Hidden"}}`, `error shop-web/X/P.Fn::GetStackOutput: output "Hidden" of stack "shop-web" is left out: its condition "Never" does not hold`},
		{`{"Fn::GetStackOutput": {"StackName": "shop-web", "OutputName": "Loop"}}`, `error shop-web/Loop/Value.Fn::GetStackOutput.StackName: references are nested more than 500 deep; does a value refer to itself?`},
		{`{"Fn::ImportValue": "nothing"}`, `error shop-web/X/P.Fn::ImportValue: no stack of the assembly exports "nothing"`},
		{`{"Fn::ImportValue": "twice"}`, `error shop-web/X/P.Fn::ImportValue: the export "twice" exists 2 times in the assembly`},
		{`{"Fn::ImportValue": {"Ref": "Lb"}}`, `error shop-web/X/P.Fn::ImportValue: the value of shop-web/Lb is only known after the deployment`},
		{`{"Fn::Join": ["", {"Ref": "Lb"}]}`, `error shop-web/X/P.Fn::Join[1]: expected a list of known length`},
		{`{"Fn::Join": ["", [["a"]]]}`, `error shop-web/X/P.Fn::Join[1][0]: expected a string, found a list of 1`},
		{`{"Fn::Join": [{"Ref": "Lb"}, []]}`, `error shop-web/X/P.Fn::Join[0]: expected a string as the delimiter, found a call of Ref`},
		{`{"Fn::Sub": "${Nothing}"}`, `error shop-web/X/P.Fn::Sub: "Nothing" is neither a resource nor a parameter of the template`},
		{`{"Fn::Sub": "${Lb"}`, `error shop-web/X/P.Fn::Sub: ${ is not closed in "${Lb"`},
		{`{"Fn::Sub": ["x"]}`, `error shop-web/X/P.Fn::Sub: expected "text" or ["text", {names}]`},
		{`{"Fn::Split": ["/", {"Ref": "Lb"}]}`, `error shop-web/X/P.Fn::Split: cannot be split at "/": the value of shop-web/Lb is only known after the deployment`},
		{`{"Fn::Select": ["1", {"Fn::Split": ["/", {"Ref": "Lb"}]}]}`, `shop-web/Lb["/" 1]`},
		{`{"Fn::Select": [0, {"Fn::GetAtt": ["Lb", "SecurityGroups"]}]}`, `shop-web/Lb.SecurityGroups[0]`},
		{`{"Fn::Join": ["", ["a:", {"Fn::Select": [1, {"Fn::Split": ["//", {"Fn::Select": [0, {"Fn::GetAtt": ["Lb", "SecurityGroups"]}]}]}]}]]}`, `text a:${shop-web/Lb.SecurityGroups[0]["//" 1]}`},
		{`{"Fn::Select": [1, {"Fn::Split": ["/", {"Fn::Sub": "a/${Lb}/c"}]}]}`, `error shop-web/X/P.Fn::Select[1].Fn::Split: cannot be split at "/": the value of shop-web/Lb is only known after the deployment`},
		{`{"Fn::Select": [0, {"Fn::Select": [0, {"Ref": "Lb"}]}]}`, `error shop-web/X/P.Fn::Select[1]: expected a list of known length`},
		{`{"Fn::Select": [-1, {"Ref": "Lb"}]}`, `error shop-web/X/P.Fn::Select[1]: expected a list of known length`},
		{`{"Fn::Select": [1, {"Fn::Split": ["", {"Ref": "Lb"}]}]}`, `error shop-web/X/P.Fn::Select[1].Fn::Split[0]: expected a string as the delimiter, found ""`},
		{`{"Fn::Split": ["", "x"]}`, `error shop-web/X/P.Fn::Split[0]: expected a string as the delimiter, found ""`},
		{`{"Fn::Select": [2, ["a", "b"]]}`, `error shop-web/X/P.Fn::Select: index 2 is out of range: the list has 2 elements`},
		{`{"Fn::Select": [0.5, ["a", "b"]]}`, `error shop-web/X/P.Fn::Select[0]: expected an index, found "0.5"`},
		{`{"Fn::If": ["Unknown", 1, 2]}`, `error shop-web/X/P.Fn::If: the template has no condition "Unknown"`},
		{`{"Fn::If": ["Endless", 1, 2]}`, `error shop-web/Endless/Conditions: references are nested more than 500 deep; does a value refer to itself?`},
		{`{"Fn::If": ["Later", 1, 2]}`, `error shop-web/Later/Conditions.Fn::Equals[0]: the value of shop-web/Lb is only known after the deployment`},
	}
	for _, test := range tests {
		var value any
		if err := json.Unmarshal([]byte(test.value), &value); err != nil {
			t.Fatalf("%s: %v", test.value, err)
		}
		var got string
		if resolved, err := a.Resolve(a.Stack("shop-web"), "X", "P", value); err != nil {
			got = "error " + err.Error()
		} else {
			got = show(resolved)
		}
		if got != test.want {
			t.Errorf("%s\n  is   %s\n  want %s", test.value, got, test.want)
		}
	}
}

func TestResolveWithoutEnvironment(t *testing.T) {
	a := read(t, shop)
	for _, name := range []string{"AWS::AccountId", "AWS::Region", "AWS::Partition", "AWS::URLSuffix"} {
		_, err := a.Resolve(a.Stack("Net"), "X", "P", map[string]any{"Ref": name})
		if err == nil || !strings.Contains(err.Error(), name+" is only known at deployment") {
			t.Errorf("%s: %v", name, err)
		}
	}
	partition, err := a.Resolve(a.Stack("Net-prod"), "X", "P", map[string]any{"Ref": "AWS::Partition"})
	if err != nil || partition != "aws-us-gov" {
		t.Errorf("partition of us-gov-west-1 is %v, %v", partition, err)
	}
}

func TestExportsWithUnknownNames(t *testing.T) {
	a := read(t, stack(`{"Outputs": {"O": {"Value": 1, "Export": {"Name": {"Fn::Sub": "${AWS::Region}-x"}}}}}`))
	_, err := a.Resolve(a.Stack("S"), "X", "P", map[string]any{"Fn::ImportValue": "eu-west-1-x"})
	if want := `no stack of the assembly exports "eu-west-1-x", unless it is S/O, whose name is only known at deployment`; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want one with %q", err, want)
	}
}

func TestSameNameInTwoRegions(t *testing.T) {
	a := read(t, map[string]string{
		"manifest.json": `{"artifacts": {
			"E": {"type": "aws:cloudformation:stack", "environment": "aws://1/eu-west-1", "properties": {"templateFile": "e.json", "stackName": "Net"}},
			"U": {"type": "aws:cloudformation:stack", "environment": "aws://1/us-east-1", "properties": {"templateFile": "u.json", "stackName": "Net"}},
			"C": {"type": "aws:cloudformation:stack", "environment": "aws://1/us-east-1", "properties": {"templateFile": "c.json"}},
			"A": {"type": "aws:cloudformation:stack", "environment": "aws://unknown-account/unknown-region", "properties": {"templateFile": "c.json"}}}}`,
		"e.json": `{"Outputs": {"O": {"Value": "europe", "Export": {"Name": "o"}}}}`,
		"u.json": `{"Outputs": {"O": {"Value": "america", "Export": {"Name": "o"}}}}`,
		"c.json": `{}`,
	})
	if a.Stack("Net") != nil {
		t.Error("an ambiguous name finds a stack")
	}
	for _, value := range []map[string]any{
		{"Fn::GetStackOutput": map[string]any{"StackName": "Net", "OutputName": "O", "Region": map[string]any{"Ref": "AWS::Region"}}},
		{"Fn::ImportValue": "o"},
	} {
		if got, err := a.Resolve(a.Stack("C"), "X", "P", value); got != "america" || err != nil {
			t.Errorf("%v is %v, %v from us-east-1, want america", value, got, err)
		}
		if got, err := a.Resolve(a.Stack("A"), "X", "P", value); err == nil {
			t.Errorf("%v is %v from anywhere, want an error", value, got)
		}
	}
}

func TestResourceResolve(t *testing.T) {
	a := read(t, shop)
	listener := a.Stack("shop-web").Resource("Listener")
	if port, err := listener.Resolve(a, "Port"); port != 80.0 || err != nil {
		t.Errorf("Port is %v, %v", port, err)
	}
	if name, err := listener.Resolve(a, "Name"); name != nil || err != nil {
		t.Errorf("a property that is not there is %v, %v", name, err)
	}
	if exists, err := listener.Exists(a); !exists || err != nil {
		t.Errorf("Listener exists: %t, %v", exists, err)
	}
	if exists, err := a.Stack("shop-web").Resource("Listener2").Exists(a); exists || err != nil {
		t.Errorf("Listener2 exists: %t, %v", exists, err)
	}

	err := listener.Errorf("Properties.Port", "no port %d", 80)
	var place *Error
	if !errors.As(err, &place) || place.Stack != "shop-web" || place.LogicalID != "Listener" || place.Property != "Properties.Port" {
		t.Errorf("place is %+v", place)
	}
	if got, want := err.Error(), "shop-web/Listener/Properties.Port: no port 80"; got != want {
		t.Errorf("error is %q, want %q", got, want)
	}
}

// A few lines of a template must not be able to exhaust the reader.
func TestResolveIsBounded(t *testing.T) {
	output := func(next string) string {
		part := `{"Fn::GetStackOutput": {"StackName": "S", "OutputName": "` + next + `"}}`
		return `{"Value": {"Fn::Join": ["", [` + strings.Repeat(part+",", 9) + part + `]]}}`
	}
	template := `{"Outputs": {`
	for i := range 30 {
		template += fmt.Sprintf(`"O%d": %s, `, i, output(fmt.Sprintf("O%d", i+1)))
	}
	template += `"O30": {"Value": "` + strings.Repeat("x", 100_000) + `"}}}`
	a := read(t, stack(template))
	_, err := a.Resolve(a.Stack("S"), "X", "P", map[string]any{"Fn::GetStackOutput": map[string]any{"StackName": "S", "OutputName": "O0"}})
	if err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("error %v, want one that says the value is too large", err)
	}
}

// FuzzRead reads whatever is given as the three kinds of files, and resolves all
// that it understood. Nothing may panic, and no error may be without a message.
func FuzzRead(f *testing.F) {
	f.Add(shop["manifest.json"], shop["Web.template.json"], shop["Web.assets.json"])
	f.Add(shop["manifest.json"], shop["Net.template.json"], `{"dockerImages": {"i": null}}`)
	for _, file := range stack(`{"Resources": {"R": {"Type": "T", "Properties": {"P": {"Fn::Sub": ["${a}${", {"a": {"Fn::Select": [0, {"Fn::Split": [",", {"Ref": "R"}]}]}}]}}}}}`) {
		f.Add(stack("")["manifest.json"], file, file)
	}
	f.Fuzz(func(t *testing.T, manifest, template, assets string) {
		a, err := Read(write(t, map[string]string{
			"manifest.json": manifest, "t.json": template, "a.json": assets,
			"Web.template.json": template, "Net.template.json": template, "Data.template.json": template, "Web.assets.json": assets,
		}))
		if err != nil {
			if err.Error() == "" || a != nil {
				t.Errorf("assembly %v with error %q", a, err)
			}
			return
		}
		for _, s := range a.Stacks {
			for _, r := range s.Resources {
				_, _ = r.Exists(a)
				for name := range r.Properties {
					if value, err := r.Resolve(a, name); err == nil {
						show(value)
					}
				}
			}
			for id, output := range s.Outputs {
				if value, err := a.Resolve(s, id, "Value", output.Value); err == nil {
					show(value)
				}
			}
		}
	})
}

// What nobody has read of an object of which something was read, is a setting.
func TestSettings(t *testing.T) {
	a := read(t, stack(`{"Resources": {"R": {"Type": "T", "Properties": {
		"Name": "n", "Empty": [], "Off": false, "Left": {"Ref": "R"}, "Whole": {"A": 1},
		"Open": {"Fn::If": ["Yes", {"Read": 1, "Other": 2}, {}]}, "List": [{"Key": "a.b", "Value": "1"}, {"Key": "c", "Value": "2", "More": 3}], "Twice": 1}}},
		"Conditions": {"Yes": {"Fn::Equals": ["a", "a"]}}}`))
	reader := NewReader(a, a.Stacks[0].Resource("R"))
	p := reader.Properties()
	p.Field("Name").Text("")
	p.Field("Open").Field("Read").Int(0, 0, 9)
	p.Field("Twice").Bool(false)
	if got := p.Field("List").Attributes().Field("a.b").Int(0, 0, 9); got != 1 {
		t.Errorf("the attribute is %d, want 1", got)
	}
	p.Field("Whole")
	var got []string
	for _, s := range reader.Settings() {
		got = append(got, fmt.Sprint(s.Property, " ", s.Name, " ", s.Value))
	}
	want := []string{"Properties.Left Left S/R", "Properties.Open.Other Other 2", "Properties.List[1].More More 3", "Properties.List (c) c 2"}
	if !slices.Equal(got, want) {
		t.Errorf("settings are %q, want %q", got, want)
	}
	problems := reader.Problems()
	if len(problems) != 1 || problems[0].Property != "Properties.Twice" {
		t.Errorf("problems are %v", problems)
	}
	if twice := Join(problems[0].Err, errors.Join(nil, problems[0].Err)); twice.Error() != "S/R/Properties.Twice: expected true or false, found the number 1" {
		t.Errorf("the error is %v", twice)
	}
}
