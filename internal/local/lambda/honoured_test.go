//go:build linux

package lambda

import (
	"archive/zip"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cutover/internal/assembly"
	"cutover/internal/local/provider"
	"cutover/internal/model"
)

// What does not run here is refused by its name and place.
func TestRefused(t *testing.T) {
	t.Parallel()
	function := func(properties object) app { return app{properties: properties} }
	for _, c := range []struct {
		name string
		of   app
		want string
	}{
		{"another runtime", function(object{"Runtime": "nodejs24.x"}), `S/F/Properties.Runtime: "nodejs24.x" is not honoured: the runtimes of Lambda are not here`},
		{"an image of a registry", function(object{"PackageType": "Image", "Runtime": nil, "Code": object{"ImageUri": "x"}}), "S/F/Properties.Code: it cannot run as a process of this host: "},
		{"a function elsewhere", elsewhere, "S/G/Properties.Targets[0]: the function orders is not in the assembly: give a command that speaks the Runtime API of Lambda in its place, --run orders=COMMAND"},
		{"code in the template", function(object{"Code": object{"ZipFile": "x"}}), "S/F/Properties.Code.ZipFile: not honoured: code in the template is for a runtime of Lambda"},
		{"an object elsewhere", function(object{"Code": object{"S3Bucket": "b", "S3Key": "k"}}), "S/F/Properties.Code.S3Key: the object is no asset of the assembly"},
		{"layers", function(object{"Layers": []any{"arn"}}), "S/F/Properties.Layers: not honoured: layers are not unpacked here"},
		{"a file system", function(object{"FileSystemConfigs": []any{object{"Arn": "a"}}}), "S/F/Properties.FileSystemConfigs: not honoured: no file system is mounted here"},
		{"a snapshot", function(object{"SnapStart": object{"ApplyOn": "PublishedVersions"}}), `S/F/Properties.SnapStart.ApplyOn: "PublishedVersions" is not honoured: no snapshot is taken here`},
		{"an unknown setting", function(object{"New": 1}), "S/F/Properties.New: not honoured: what it does is not known here"},
		{"too little memory", function(object{"MemorySize": 64}), "S/F/Properties.MemorySize: expected a whole number from 128 to 10240"},
		{"a variable for CloudFormation", function(object{"Environment": object{"Variables": object{"A": "{{resolve:ssm:x}}"}}}), "S/F/Properties.Environment.Variables.A: the value is not known: only CloudFormation resolves"},
		{"secrets that are none", function(object{"Environment": object{"Variables": object{"CUTOVER_SECRETS": "[]"}}}), "S/F/Properties.Environment.Variables.CUTOVER_SECRETS: the value is not known: it is not a JSON object of texts"},
		{"a version by its number", app{alias: object{"FunctionVersion": "7"}}, `S/Live/Properties.FunctionVersion: "7" is not honoured: only $LATEST and versions of the assembly are known here`},
		{"a weight above 1", app{alias: object{"RoutingConfig": object{"AdditionalVersionWeights": []any{object{"FunctionVersion": "$LATEST", "FunctionWeight": 2}}}}}, "S/Live/Properties.RoutingConfig.AdditionalVersionWeights[0].FunctionWeight: expected a number from 0 to 1"},
	} {
		_, err := newDeployment(t).deploy(c.of)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: the error is %v, want %q", c.name, err, c.want)
		}
	}
}

// What is for AWS only passes, and is listed if it would be missed.
func TestPassedOver(t *testing.T) {
	t.Parallel()
	a := app{properties: object{
		"VpcConfig": object{"SubnetIds": []any{"a", "b"}, "SecurityGroupIds": []any{"c"}}, "EphemeralStorage": object{"Size": 1024}, "TracingConfig": object{"Mode": "Active"},
		"DeadLetterConfig": object{"TargetArn": "a"}, "Description": "d", "LoggingConfig": object{"LogGroup": "g"}, "SnapStart": object{"ApplyOn": "None"},
	}, alias: object{"ProvisionedConcurrencyConfig": object{"ProvisionedConcurrentExecutions": 2}}}
	next, _ := newDeployment(t).plan(a.model(t))
	if err := next.Check(); err != nil {
		t.Fatal(err)
	}
	var places []string
	for _, one := range next.(provider.Reporter).PassedOver() {
		places = append(places, one.Place)
	}
	want := []string{"S/F/Properties.DeadLetterConfig", "S/F/Properties.EphemeralStorage", "S/F/Properties.TracingConfig", "S/F/Properties.VpcConfig", "S/Live/Properties.ProvisionedConcurrencyConfig"}
	if slices.Sort(places); !slices.Equal(places, want) {
		t.Errorf("listed are %q, want %q", places, want)
	}
}

// The code has a file bootstrap, which this machine can execute.
func TestCode(t *testing.T) {
	t.Parallel()
	dir := func(write func(dir string) error) *assembly.FileAsset {
		dir := t.TempDir()
		if err := write(dir); err != nil {
			t.Fatal(err)
		}
		return &assembly.FileAsset{Path: dir, Packaging: "zip"}
	}
	zipped := &assembly.FileAsset{Path: filepath.Join(t.TempDir(), "a.zip"), Packaging: "file"}
	file, err := os.Create(zipped.Path)
	if err != nil {
		t.Fatal(err)
	}
	w := zip.NewWriter(file)
	if err := w.AddFS(os.DirFS(program(t, "one"))); err == nil {
		err = w.Close()
	}
	if err != nil || file.Close() != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		code *assembly.FileAsset
		want string
	}{
		{"a directory", &assembly.FileAsset{Path: program(t, "one"), Packaging: "zip"}, ""},
		{"a zip file", zipped, ""},
		{"nothing", dir(func(string) error { return nil }), "the asset has no file bootstrap"},
		{"a file that cannot be executed", dir(func(dir string) error { return os.WriteFile(filepath.Join(dir, bootstrap), nil, 0o600) }), "the file bootstrap of the asset is not executable"},
		{"a script", dir(func(dir string) error {
			return os.WriteFile(filepath.Join(dir, bootstrap), []byte("#!/bin/sh\n"), 0o700)
		}), "it cannot run as a process of this host: bootstrap is not a program for Linux"},
		{"a command", &assembly.FileAsset{Executable: []string{"make", "it"}}, `the asset is made by the command "make it", which is not run here`},
	} {
		m := app{}.model(t)
		f := m.Functions[0]
		f.Code = c.code
		err := checkCode(f)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if c.want == "" {
			v, err := newDeployment(t).newVersion(&function{}, f, nil, "", model.Latest)
			if err != nil || checkCode(&model.Function{Base: f.Base, Code: &assembly.FileAsset{Path: v.dir}}) != nil {
				t.Errorf("%s: the copy cannot run: %v", c.name, err)
			}
		}
	}
}

// An assembly of another app: the function is in another stack, and its name is all that the target has.
func TestByARN(t *testing.T) {
	t.Parallel()
	a := app{more: object{"G": object{"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Properties": object{
		"TargetType": "lambda", "Targets": []any{object{"Id": "arn:aws:lambda:eu-west-1:123456789012:function:users:live"}},
	}}}}
	d := newDeployment(t)
	d.mustDeploy(a)
	m := a.model(t)
	result, err := d.Invoke(t.Context(), m.TargetGroups[0].Targets[0].ID, behind, []byte(`{"Do":"echo"}`))
	var r returned
	if err == nil {
		err = json.Unmarshal(result, &r)
	}
	if err != nil || r.variable("AWS_LAMBDA_FUNCTION_VERSION") != "1" {
		t.Errorf("%v, version %q, want 1", err, r.variable("AWS_LAMBDA_FUNCTION_VERSION"))
	}
}
