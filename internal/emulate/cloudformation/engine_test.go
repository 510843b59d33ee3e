package cloudformation

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// A parameterStore is the part of SSM that the engine needs. It records the calls.
type parameterStore struct {
	values map[string]string
	calls  []string // "Action name"
	refuse string   // a value that PutParameter refuses
}

func (p *parameterStore) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Name, Value string
		Overwrite   bool
	}
	json.NewDecoder(r.Body).Decode(&in)
	_, action, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	p.calls = append(p.calls, action+" "+in.Name)
	_, exists := p.values[in.Name]
	fail := func(code string) {
		w.WriteHeader(http.StatusBadRequest)
		json.NewEncoder(w).Encode(map[string]string{"__type": code, "message": code})
	}
	switch {
	case action == "PutParameter" && exists && !in.Overwrite:
		fail("ParameterAlreadyExists")
	case action == "PutParameter" && p.refuse != "" && in.Value == p.refuse:
		fail("ValidationException")
	case action == "PutParameter":
		p.values[in.Name] = in.Value
		io.WriteString(w, "{}")
	case !exists:
		fail("ParameterNotFound")
	case action == "DeleteParameter":
		delete(p.values, in.Name)
		io.WriteString(w, "{}")
	default:
		json.NewEncoder(w).Encode(map[string]any{"Parameter": map[string]string{"Value": p.values[in.Name]}})
	}
}

// A fixture is an engine over a parameter store.
type fixture struct {
	t     *testing.T
	store *parameterStore
	e     *Engine
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	store := &parameterStore{values: map[string]string{}}
	s := httptest.NewServer(store)
	t.Cleanup(s.Close)
	return &fixture{t, store, New(Options{Endpoint: s.URL, Account: "123456789012", Region: "us-east-1", Log: log.New(io.Discard, "", 0)})}
}

// call sends one request and returns the answer's document, or the error's code and message.
func (f *fixture) call(action string, params ...string) (*node, string) {
	f.t.Helper()
	form := url.Values{"Action": {action}}
	for i := 0; i < len(params); i += 2 {
		form.Set(params[i], params[i+1])
	}
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	f.e.ServeHTTP(w, r)
	n, err := parse(w.Body.Bytes())
	if err != nil {
		f.t.Fatalf("%s: %v\n%s", action, err, w.Body)
	}
	if w.Code != http.StatusOK {
		return n, n.first("Code") + ": " + n.first("Message")
	}
	return n, ""
}

// deploy deploys a template as the CLI does and returns the stack's status and why it failed.
func (f *fixture) deploy(stack, template string, params ...string) (status, reason string) {
	f.t.Helper()
	typ := "UPDATE"
	if _, failed := f.call("DescribeStacks", "StackName", stack); failed != "" {
		typ = "CREATE"
	}
	given := []string{"ChangeSetType", typ, "TemplateBody", template}
	for i := 0; i < len(params); i += 2 {
		head := fmt.Sprintf("Parameters.member.%d.", i/2+1)
		given = append(given, head+"ParameterKey", params[i])
		if params[i+1] == "(previous)" {
			given = append(given, head+"UsePreviousValue", "true")
		} else {
			given = append(given, head+"ParameterValue", params[i+1])
		}
	}
	if status, reason, executed := f.change(stack, given); !executed {
		return status, reason
	}
	events, _ := f.call("DescribeStackEvents", "StackName", stack)
	for _, e := range events.all("member") {
		if strings.HasSuffix(e.first("ResourceStatus"), "_FAILED") {
			reason = e.first("LogicalResourceId") + ": " + e.first("ResourceStatusReason")
			break
		}
	}
	return f.status(stack), reason
}

// change makes a change set and executes it. Otherwise it returns what became of the set, and why.
func (f *fixture) change(stack string, given []string) (status, reason string, executed bool) {
	f.t.Helper()
	set := []string{"StackName", stack, "ChangeSetName", "cdk-deploy-change-set"}
	if _, failed := f.call("CreateChangeSet", append(set, given...)...); failed != "" {
		return "", failed, false
	}
	described, _ := f.call("DescribeChangeSet", set...)
	if described.first("Status") == "FAILED" {
		f.call("DeleteChangeSet", set...)
		return "change set FAILED", described.first("StatusReason"), false
	}
	if _, failed := f.call("ExecuteChangeSet", set...); failed != "" {
		f.t.Fatal(failed)
	}
	return "", "", true
}

func (f *fixture) status(stack string) string {
	f.t.Helper()
	n, failed := f.call("DescribeStacks", "StackName", stack)
	if failed != "" {
		return failed
	}
	return n.first("StackStatus")
}

func (f *fixture) want(stack, template, status string, params ...string) {
	f.t.Helper()
	if got, reason := f.deploy(stack, template, params...); got != status {
		f.t.Fatalf("%s: %s (%s), want %s", stack, got, reason, status)
	}
}

// parameters is a template with one SSM parameter for each NAME=VALUE.
func parameters(pairs ...string) string {
	resources := map[string]any{}
	for _, p := range pairs {
		name, value, _ := strings.Cut(p, "=")
		resources[strings.ToUpper(strings.Trim(name, "/"))] = map[string]any{
			"Type": "AWS::SSM::Parameter", "Properties": map[string]any{"Name": name, "Type": "String", "Value": value}}
	}
	return encode(map[string]any{"Resources": resources})
}

func TestFunctions(t *testing.T) {
	f := newFixture(t)
	f.store.values["/image"] = "ami-1"
	f.want("dev-Base", `{"Resources": {"A": {"Type": "AWS::SSM::Parameter", "Properties": {"Name": "/a", "Type": "String", "Value": "x"}}},
		"Outputs": {"Arn": {"Value": "arn:x"}, "Shared": {"Value": "shared", "Export": {"Name": {"Fn::Sub": "${AWS::StackName}:Shared"}}}}}`, "CREATE_COMPLETE")

	tests := []struct{ name, value, want string }{
		{"ref of a parameter", `{"Ref": "Given"}`, "given"},
		{"ref of a default", `{"Ref": "Default"}`, "7"},
		{"ref of an SSM parameter", `{"Ref": "Image"}`, "ami-1"},
		{"ref of a resource", `{"Ref": "P"}`, "/p"},
		{"attribute", `{"Fn::GetAtt": ["P", "Value"]}`, "v"},
		{"attribute in dot notation", `{"Fn::GetAtt": "P.Type"}`, "String"},
		{"attribute of a custom resource", `{"Fn::GetAtt": ["C", "Thing"]}`, "*.Thing"},
		{"arn of a recorded resource", `{"Fn::GetAtt": ["F", "Arn"]}`, "arn:aws:lambda:us-east-1:123456789012:*"},
		{"pseudo parameters", `{"Fn::Sub": "${AWS::Partition} ${AWS::AccountId} ${AWS::Region} ${AWS::URLSuffix} ${AWS::StackName}"}`,
			"aws 123456789012 us-east-1 amazonaws.com dev-Test"},
		{"sub", `{"Fn::Sub": ["${P} ${P.Value} ${own} ${!kept}", {"own": {"Ref": "Given"}}]}`, "/p v given ${kept}"},
		{"join and split", `{"Fn::Join": ["-", {"Fn::Split": [",", "a,b,c"]}]}`, "a-b-c"},
		{"select of zones", `{"Fn::Select": [1, {"Fn::GetAZs": ""}]}`, "us-east-1b"},
		{"map", `{"Fn::FindInMap": ["M", {"Ref": "AWS::Region"}, "k"]}`, "mapped"},
		{"if", `{"Fn::If": ["Yes", "yes", {"Ref": "AWS::NoValue"}]}`, "yes"},
		{"no value in a list", `{"Fn::Join": ["", ["a", {"Fn::If": ["Yes", {"Ref": "AWS::NoValue"}, "b"]}, "c"]]}`, "ac"},
		{"base 64", `{"Fn::Base64": "hello"}`, "aGVsbG8="},
		{"stack output", `{"Fn::GetStackOutput": {"StackName": "dev-Base", "OutputName": "Arn"}}`, "arn:x"},
		{"stack output in this region", `{"Fn::GetStackOutput": {"StackName": "dev-Base", "OutputName": "Arn", "Region": {"Ref": "AWS::Region"}}}`, "arn:x"},
		{"stack output in a join", `{"Fn::Join": ["", ["<", {"Fn::GetStackOutput": {"StackName": "dev-Base", "OutputName": "Arn"}}, ">"]]}`, "<arn:x>"},
		{"stack output in a sub", `{"Fn::Sub": ["<${o}>", {"o": {"Fn::GetStackOutput": {"StackName": "dev-Base", "OutputName": "Arn"}}}]}`, "<arn:x>"},
		{"stack output in a select", `{"Fn::Select": [1, {"Fn::Split": [":", {"Fn::GetStackOutput": {"StackName": "dev-Base", "OutputName": "Arn"}}]}]}`, "x"},
		{"import", `{"Fn::ImportValue": "dev-Base:Shared"}`, "shared"},
		{"dynamic reference", `"{{resolve:ssm:/image}}!"`, "ami-1!"},
	}
	outputs := map[string]any{}
	for i, test := range tests {
		var v any
		if err := json.Unmarshal([]byte(test.value), &v); err != nil {
			t.Fatal(err)
		}
		outputs[fmt.Sprintf("O%d", i)] = map[string]any{"Value": v}
	}
	template := `{"Parameters": {"Given": {"Type": "String"}, "Default": {"Type": "Number", "Default": 7},
			"Image": {"Type": "AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>", "Default": "/image"}},
		"Mappings": {"M": {"us-east-1": {"k": "mapped"}}},
		"Conditions": {"Yes": {"Fn::And": [{"Fn::Equals": [{"Ref": "Given"}, "given"]}, {"Fn::Not": [{"Condition": "No"}]}]},
			"No": {"Fn::Or": [{"Fn::Equals": ["a", "b"]}, {"Fn::Equals": ["c", "d"]}]}},
		"Resources": {
			"P": {"Type": "AWS::SSM::Parameter", "Properties": {"Name": "/p", "Type": "String", "Value": "v"}},
			"C": {"Type": "Custom::Thing", "Properties": {"ServiceToken": {"Fn::GetAtt": ["F", "Arn"]}}},
			"F": {"Type": "AWS::Lambda::EventInvokeConfig", "Properties": {}},
			"N": {"Type": "AWS::SSM::Parameter", "Condition": "No", "Properties": {"Name": "/n", "Type": "String", "Value": "v"}}},
		"Outputs": ` + encode(outputs) + `}`
	f.want("dev-Test", template, "CREATE_COMPLETE", "Given", "given")
	n, _ := f.call("DescribeStacks", "StackName", "dev-Test")
	got := map[string]string{}
	for _, o := range n.all("Outputs")[0].Children {
		got[o.first("OutputKey")] = o.first("OutputValue")
	}
	for i, test := range tests {
		v := got[fmt.Sprintf("O%d", i)]
		head, end, open := strings.Cut(test.want, "*")
		if v != test.want && !(open && strings.HasPrefix(v, head) && strings.HasSuffix(v, end)) {
			t.Errorf("%s: %s is %q, want %q", test.name, test.value, v, test.want)
		}
	}
	if _, ok := f.store.values["/n"]; ok {
		t.Error("a resource whose condition is false was created")
	}
	if got := f.e.Recorded(); !slices.Equal(got, []string{"AWS::Lambda::EventInvokeConfig", "Custom::Thing"}) {
		t.Errorf("recorded %q", got)
	}
	if _, failed := f.call("DeleteStack", "StackName", "dev-Base"); failed != "" {
		t.Fatal(failed)
	}
	if got := f.status("dev-Base"); got != "DELETE_FAILED" {
		t.Errorf("deleting a stack whose export is imported: %s, want DELETE_FAILED", got)
	}
}

func TestTemplatesRefused(t *testing.T) {
	value := func(v string) string {
		return `{"Resources": {"A": {"Type": "AWS::SSM::Parameter", "Properties": {"Name": "/a", "Type": "String", "Value": ` + v + `}}}}`
	}
	rule := `{"Rules": {"R": {"Assertions": [{"Assert": {"Fn::Not": [{"Fn::Contains": [["1", "2"], {"Ref": "V"}]}]}, "AssertDescription": "too old"}]}},
		"Parameters": {"V": {"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/version"}},
		"Resources": {"A": {"Type": "AWS::SSM::Parameter", "Properties": {"Name": "/a", "Type": "String", "Value": "v"}}}}`
	tests := []struct{ name, template, reason string }{
		{"no resources", `{"Resources": {}}`, "At least one Resources member"},
		{"not JSON", `{"Resources": `, "not well-formed"},
		{"stack that is not there", value(`{"Fn::GetStackOutput": {"StackName": "dev-None", "OutputName": "X"}}`), "stack dev-None does not exist"},
		{"output that is not there", value(`{"Fn::GetStackOutput": {"StackName": "dev-Base", "OutputName": "X"}}`), "stack dev-Base has no output X"},
		{"export that is not there", value(`{"Fn::ImportValue": "nothing"}`), "No export named nothing"},
		{"unknown reference", value(`{"Ref": "Nothing"}`), "Unresolved resource dependencies [Nothing]"},
		{"unknown attribute", `{"Resources": {"A": {"Type": "AWS::SSM::Parameter", "Properties": {"Name": "/a", "Type": "String", "Value": "x"}}},
			"Outputs": {"O": {"Value": {"Fn::GetAtt": ["A", "Size"]}}}}`, "does not support attribute type Size"},
		{"unknown function", value(`{"Fn::Magic": "x"}`), "does not know the function Fn::Magic"},
		{"cycle", `{"Resources": {"A": {"Type": "AWS::SSM::Parameter", "Properties": {"Value": {"Ref": "B"}}},
			"B": {"Type": "AWS::SSM::Parameter", "DependsOn": "A", "Properties": {}}}}`, "Circular dependency"},
		{"rule", rule, "too old"},
		{"parameter without a value", `{"Parameters": {"P": {"Type": "String"}}, "Resources": {"A": {"Type": "Custom::X"}}}`, "Parameters: [P] must have values"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t)
			f.store.values["/version"] = "2"
			f.want("dev-Base", parameters("/base=x"), "CREATE_COMPLETE")
			status, reason := f.deploy("dev-Test", test.template)
			if events, failed := f.call("DescribeStackEvents", "StackName", "dev-Test"); failed == "" {
				for _, e := range events.all("ResourceStatusReason") {
					reason += " " + e.Text
				}
			}
			if strings.Contains(status, "COMPLETE") && status != "ROLLBACK_COMPLETE" || !strings.Contains(reason, test.reason) {
				t.Errorf("%s: %s, want a failure for %q", status, reason, test.reason)
			}
			if _, ok := f.store.values["/a"]; ok {
				t.Error("a resource was left behind")
			}
		})
	}
}

func TestNameInUse(t *testing.T) {
	f := newFixture(t)
	f.want("dev-Phase", parameters("/gate/retired=block"), "CREATE_COMPLETE")

	status, reason := f.deploy("dev-Gate", parameters("/gate/a=1", "/gate/retired=claim"))
	if status != "ROLLBACK_COMPLETE" || !strings.Contains(reason, "HandlerErrorCode: AlreadyExists") {
		t.Errorf("creating a stack with a name in use: %s (%s), want ROLLBACK_COMPLETE because it already exists", status, reason)
	}
	if want := map[string]string{"/gate/retired": "block"}; !maps.Equal(f.store.values, want) {
		t.Errorf("after the rollback: %v, want %v", f.store.values, want)
	}
	if _, failed := f.call("CreateChangeSet", "StackName", "dev-Gate", "ChangeSetName", "c", "ChangeSetType", "UPDATE", "TemplateBody", parameters("/gate/a=1")); !strings.Contains(failed, "ROLLBACK_COMPLETE") {
		t.Errorf("updating a stack that was never created: %q", failed)
	}
	f.call("DeleteStack", "StackName", "dev-Gate")

	f.want("dev-Gate", parameters("/gate/a=1", "/gate/b=1"), "CREATE_COMPLETE")
	before := maps.Clone(f.store.values)
	status, _ = f.deploy("dev-Gate", parameters("/gate/a=2", "/gate/retired=claim"))
	if status != "UPDATE_ROLLBACK_COMPLETE" {
		t.Errorf("updating a stack with a name in use: %s, want UPDATE_ROLLBACK_COMPLETE", status)
	}
	if !maps.Equal(f.store.values, before) {
		t.Errorf("after the rollback: %v, want %v", f.store.values, before)
	}
	f.want("dev-Gate", parameters("/gate/a=3"), "UPDATE_COMPLETE")
	if want := map[string]string{"/gate/a": "3", "/gate/retired": "block"}; !maps.Equal(f.store.values, want) {
		t.Errorf("after the next update: %v, want %v", f.store.values, want)
	}
}

func TestOrder(t *testing.T) {
	f := newFixture(t)
	f.want("dev-Test", parameters("/gone=1", "/kept=1", "/old=1"), "CREATE_COMPLETE")
	f.store.calls = nil
	template := strings.Replace(parameters("/added=1", "/kept=2", "/new=1"), `"NEW":`, `"OLD":`, 1) // the same logical id: a replacement
	f.want("dev-Test", template, "UPDATE_COMPLETE")
	calls := slices.Clone(f.store.calls)
	first := slices.IndexFunc(calls, func(c string) bool { return strings.HasPrefix(c, "Delete") })
	if first < 0 || slices.ContainsFunc(calls[first:], func(c string) bool { return strings.HasPrefix(c, "Put") }) {
		t.Errorf("calls %q: a deletion comes before a creation or an update", calls)
	}
	slices.Sort(calls)
	if want := []string{"DeleteParameter /gone", "DeleteParameter /old", "PutParameter /added", "PutParameter /kept", "PutParameter /new"}; !slices.Equal(calls, want) {
		t.Errorf("calls %q, want %q", calls, want)
	}
}

func TestRollbackOfAReplacement(t *testing.T) {
	f := newFixture(t)
	f.want("dev-Test", parameters("/a=1", "/b=1"), "CREATE_COMPLETE")
	before := maps.Clone(f.store.values)
	f.store.refuse = "bad"
	template := strings.Replace(parameters("/renamed=1", "/b=bad"), `"RENAMED":`, `"A":`, 1)
	f.want("dev-Test", template, "UPDATE_ROLLBACK_COMPLETE")
	if !maps.Equal(f.store.values, before) {
		t.Errorf("after the rollback: %v, want %v", f.store.values, before)
	}
}

func TestChangeSets(t *testing.T) {
	f := newFixture(t)
	f.want("dev-A", parameters("/a=1"), "CREATE_COMPLETE")
	status, reason := f.deploy("dev-A", parameters("/a=1"))
	if status != "change set FAILED" || !strings.Contains(reason, "didn't contain changes") {
		t.Errorf("deploying the same template: %s (%s), want a change set without changes", status, reason)
	}

	// The CLI gives the change sets of all stacks one name.
	create := func(stack, template string) {
		t.Helper()
		if _, failed := f.call("CreateChangeSet", "StackName", stack, "ChangeSetName", "same", "ChangeSetType", "UPDATE", "TemplateBody", template); failed != "" {
			t.Fatal(failed)
		}
	}
	f.want("dev-B", parameters("/b=1"), "CREATE_COMPLETE")
	create("dev-A", parameters("/a=2", "/c=1"))
	create("dev-B", strings.Replace(parameters("/bb=2"), `"BB":`, `"B":`, 1))
	set, _ := f.call("DescribeChangeSet", "StackName", "dev-B", "ChangeSetName", "same")
	if got := set.first("LogicalResourceId"); got != "B" {
		t.Errorf("change set of dev-B changes %s, want B", got)
	}
	if got := set.first("Replacement"); got != "True" {
		t.Errorf("renaming a parameter: replacement %s, want True", got)
	}
	set, _ = f.call("DescribeChangeSet", "StackName", "dev-A", "ChangeSetName", "same")
	var got []string
	for _, c := range set.all("ResourceChange") {
		got = append(got, c.first("Action")+" "+c.first("LogicalResourceId")+" "+c.first("Name")+" "+c.first("RequiresRecreation"))
	}
	if want := []string{"Modify A Value Never", "Add C  "}; !slices.Equal(got, want) {
		t.Errorf("changes %q, want %q", got, want)
	}
	f.call("ExecuteChangeSet", "StackName", "dev-A", "ChangeSetName", "same")
	if f.store.values["/a"] != "2" || f.store.values["/b"] != "1" {
		t.Errorf("after executing one of two change sets: %v", f.store.values)
	}
}

func TestParameters(t *testing.T) {
	f := newFixture(t)
	template := func(tail string) string {
		return `{"Parameters": {"Given": {"Type": "String"}, "Default": {"Type": "String", "Default": "d"}},
			"Resources": {"A": {"Type": "AWS::SSM::Parameter", "Properties": {"Name": "/a", "Type": "String",
				"Value": {"Fn::Sub": "${Given} ${Default}` + tail + `"}}}}}`
	}
	f.want("dev-Test", template(""), "CREATE_COMPLETE", "Given", "g")
	// The CLI asks for the previous value even of a parameter that was left at its default.
	f.want("dev-Test", template("!"), "UPDATE_COMPLETE", "Given", "(previous)", "Default", "(previous)")
	if got := f.store.values["/a"]; got != "g d!" {
		t.Errorf("value %q, want %q", got, "g d!")
	}
	f.want("dev-Test", template("!"), "UPDATE_COMPLETE", "Given", "other", "Default", "(previous)")
	if got := f.store.values["/a"]; got != "other d!" {
		t.Errorf("value %q, want %q", got, "other d!")
	}
}

func TestDelete(t *testing.T) {
	f := newFixture(t)
	template := strings.Replace(parameters("/gone=1", "/kept=1"), `"KEPT":{`, `"KEPT":{"DeletionPolicy":"Retain",`, 1)
	f.want("dev-Test", template, "CREATE_COMPLETE")
	f.call("UpdateTerminationProtection", "StackName", "dev-Test", "EnableTerminationProtection", "true")
	if _, failed := f.call("DeleteStack", "StackName", "dev-Test"); !strings.Contains(failed, "TerminationProtection") {
		t.Errorf("deleting a protected stack: %q", failed)
	}
	f.call("UpdateTerminationProtection", "StackName", "dev-Test", "EnableTerminationProtection", "false")
	f.call("DeleteStack", "StackName", "dev-Test")
	if want := map[string]string{"/kept": "1"}; !maps.Equal(f.store.values, want) {
		t.Errorf("after the deletion: %v, want %v", f.store.values, want)
	}
	if got := f.status("dev-Test"); !strings.Contains(got, "does not exist") {
		t.Errorf("status of a deleted stack by its name: %s", got)
	}
	f.store.values = map[string]string{}
	f.want("dev-Test", template, "CREATE_COMPLETE") // the name is free again
}

func TestYAML(t *testing.T) {
	f := newFixture(t)
	f.want("dev-Test", "Resources:\n  A:\n    Type: AWS::SSM::Parameter\n    Properties:\n      Name: /a\n      Type: String\n      Value:\n        Fn::Join:\n          - \"-\"\n          - - 1\n            - 2.5\n            - true\n",
		"CREATE_COMPLETE")
	if got := f.store.values["/a"]; got != "1-2.5-true" {
		t.Errorf("value %q, want 1-2.5-true", got)
	}
}
