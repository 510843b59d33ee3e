package emulate

import (
	"archive/zip"
	"bytes"
	"errors"
	"net/http"
	"strings"
	"testing"

	cfntypes "github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	"cutover/internal/nightly"
)

// A custom resource whose function has a layer, as CDK's BucketDeployment. CAPITALS are replaced.
const customTemplate = `{
	"Resources": {
		"Role": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": []}}},
		"Layer": {"Type": "AWS::Lambda::LayerVersion", "Properties": {"Content": {"S3Bucket": "custom", "S3Key": "layer.zip"}, "Description": "DESCRIPTION"}},
		"Function": {"Type": "AWS::Lambda::Function", "Properties": {"Runtime": "RUNTIME", "Handler": "index.handler", "Role": {"Fn::GetAtt": ["Role", "Arn"]},
			"Code": {"S3Bucket": "custom", "S3Key": "program.zip"}, "Layers": [{"Ref": "Layer"}]}},
		"Custom": {"Type": "Custom::CDKBucketDeployment", "Properties": {"ServiceToken": {"Fn::GetAtt": ["Function", "Arn"]}, "Word": "WORD", "Prune": false, "Keys": ["a", 1]}}
	},
	"Outputs": {"Id": {"Value": {"Ref": "Custom"}}, "Said": {"Value": {"Fn::GetAtt": ["Custom", "Said"]}}}
}`

const customProgram = `
import json, subprocess, urllib.request

def handler(event, context):
    before, now = event.get("OldResourceProperties", {}), event["ResourceProperties"]
    said = subprocess.check_output(["/opt/bin/say", event["RequestType"], before.get("Word", "-"), now["Word"], now["Prune"], now["Keys"][1]], text=True).strip()
    open("/tmp/said", "w").write(said)
    answer = {"Status": "SUCCESS", "PhysicalResourceId": event.get("PhysicalResourceId", "made"), "Data": {"Said": said}}
    if now["Word"] == "bad":
        answer = {"Status": "FAILED", "Reason": "bad word"}
    if now["Word"] == "silent":
        raise Exception("nothing to say")
    urllib.request.urlopen(urllib.request.Request(event["ResponseURL"], method="PUT", data=json.dumps(answer).encode()))
`

// zippedFile is a zip with one file.
func zippedFile(t *testing.T, name, content string) string {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	header := &zip.FileHeader{Name: name}
	header.SetMode(0o755)
	f, err := w.CreateHeader(header)
	if err == nil {
		_, err = f.Write([]byte(content))
	}
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestCustomResource: the function of a BucketDeployment runs with its layer, and its answer decides.
func TestCustomResource(t *testing.T) {
	nightly.Test(t, "it runs the programs of custom resources on an emulated AWS")
	a := services(t)
	cfn, destroy := stacks(t, a)
	for _, one := range [][2]string{{"", ""}, {"/program.zip", zippedFile(t, "index.py", customProgram)}, {"/layer.zip", zippedFile(t, "bin/say", "#!/var/lang/bin/python\nimport sys\nprint(*sys.argv[1:])\n")}} {
		if body, resp := ask(t, a, http.MethodPut, "s3", "/custom"+one[0], one[1]); resp.StatusCode != http.StatusOK {
			t.Fatal(resp.Status, body)
		}
	}
	stack := func(word string, changes ...string) string {
		return strings.NewReplacer(append(changes, "WORD", word, "RUNTIME", "python3.13", "DESCRIPTION", "tools")...).Replace(customTemplate)
	}
	deploy := deploying(t, cfn, "custom")
	for _, refused := range []struct{ body, reason string }{
		{stack("bad"), "bad word"}, {stack("silent"), "nothing to say"}, {stack("x", "RUNTIME", "nodejs24.x"), "runs no function with the runtime"},
	} {
		if status, reason := deploy(cfntypes.ChangeSetTypeCreate, refused.body); status != "ROLLBACK_COMPLETE" || !strings.Contains(reason, refused.reason) {
			t.Errorf("%s: %s, want a rollback because of %q", status, reason, refused.reason)
		}
		if left := destroy("custom"); left != "" {
			t.Fatal(left)
		}
	}
	for _, step := range []struct {
		kind       cfntypes.ChangeSetType
		body, said string
	}{
		{cfntypes.ChangeSetTypeCreate, stack("one"), "Create - one false 1"},
		{cfntypes.ChangeSetTypeUpdate, stack("two"), "Update one two false 1"},
		{cfntypes.ChangeSetTypeUpdate, stack("two", "DESCRIPTION", "other tools"), "Update one two false 1"}, // another version of the layer
	} {
		if status, reason := deploy(step.kind, step.body); status != string(step.kind)+"_COMPLETE" {
			t.Fatal(status, reason)
		}
		if got := outputs(t, cfn, "custom"); got["Id"] != "made" || got["Said"] != step.said {
			t.Errorf("outputs %v, want %q", got, step.said)
		}
	}
	if status, reason := deploy(cfntypes.ChangeSetTypeUpdate, stack("bad")); status != "UPDATE_ROLLBACK_COMPLETE" || !strings.Contains(reason, "bad word") {
		t.Errorf("%s: %s, want a rollback", status, reason)
	}
	if got := outputs(t, cfn, "custom")["Said"]; got != "Update one two false 1" {
		t.Errorf("after the rollback it has said %q", got)
	}
	if left := destroy("custom"); left != "" {
		t.Error(left)
	}
	var layers struct{ Layers []any }
	read(t, a, "lambda", "/2018-10-31/layers", &layers)
	if len(layers.Layers) != 0 {
		t.Errorf("layers are left: %v", layers.Layers)
	}
}
