//go:build linux

package docker

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"cutover/internal/assembly"
	"cutover/internal/local/backing/access"
	"cutover/internal/local/ecs"
	"cutover/internal/local/lambda"
	"cutover/internal/local/provider"
	"cutover/internal/model"
)

// An image of a function speaks the Runtime API from within its container. Its memory is limited, and its first
// process is frozen between invocations.
func TestFunction(t *testing.T) {
	d := newDriver(t)
	dir := t.TempDir()
	write := func(name string, content any) {
		t.Helper()
		text, err := json.Marshal(content)
		if err = errors.Join(err, os.WriteFile(filepath.Join(dir, name), text, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	type object = map[string]any
	write("manifest.json", object{"artifacts": object{
		"S.assets": object{"type": "cdk:asset-manifest", "properties": object{"file": "S.assets.json"}},
		"S":        object{"type": "aws:cloudformation:stack", "environment": "aws://unknown-account/unknown-region", "properties": object{"templateFile": "S.json"}, "dependencies": []any{"S.assets"}},
	}})
	write("S.assets.json", object{"dockerImages": object{"function": object{
		"source": object{"directory": "image"}, "destinations": object{"here": object{"repositoryName": "users", "imageTag": "1"}},
	}}})
	write("S.json", object{"Resources": object{
		"F": object{"Type": "AWS::Lambda::Function", "Properties": object{
			"FunctionName": "users", "PackageType": "Image", "MemorySize": 256, "Timeout": 60, "Role": "arn:aws:iam::000000000000:role/users",
			"Code": object{"ImageUri": object{"Fn::Sub": "${AWS::AccountId}.dkr.ecr.${AWS::Region}.${AWS::URLSuffix}/users:1"}},
		}},
		"May": object{"Type": "AWS::Lambda::Permission", "Properties": object{"Action": "lambda:InvokeFunction", "Principal": "elasticloadbalancing.amazonaws.com", "FunctionName": object{"Ref": "F"}}},
		"G":   object{"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Properties": object{"TargetType": "lambda", "Targets": []any{object{"Id": object{"Fn::GetAtt": []any{"F", "Arn"}}}}}},
	}})
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "image", "run"), "../../lambda/testdata/function")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.WriteFile(filepath.Join(dir, "image", "Dockerfile"), []byte("FROM scratch\nCOPY run /run\nENTRYPOINT [\"/run\"]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := assembly.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	a.Locate(provider.Account, provider.Region)
	functions := lambda.New(lambda.Options{
		Dir: t.TempDir(), Access: access.New(), Driver: d, Tasks: ecs.NewProvider(nil, ecs.Given{}).Tasks,
		Events: func(e provider.Event) { t.Log(e.Subject, e.Message) }, Logs: func(l ecs.LogLine) { t.Log(l.Text) },
	})
	t.Cleanup(func() {
		if err := functions.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	next := functions.Plan(model.Read(a), func(any) (string, error) { return "", nil })
	if err := errors.Join(next.Check(), next.Update(t.Context(), "S")); err != nil {
		t.Fatal(err)
	}
	invoke := func(event string) (result struct{ PID, Invocations int }, err error) {
		text, err := functions.Invoke(t.Context(), "S/F", "S/G", []byte(event))
		if err == nil {
			err = json.Unmarshal(text, &result)
		}
		return result, err
	}
	status := func() lambda.FunctionStatus {
		all := functions.Status().([]lambda.FunctionStatus)
		if len(all) != 1 {
			t.Fatalf("the status is %+v, want one function", all)
		}
		return all[0]
	}
	for n := 1; n <= 2; n++ {
		if result, err := invoke(`{"Do": "echo"}`); err != nil || result.PID != 1 || result.Invocations != n {
			t.Fatalf("invocation %d is %+v, %v, want the first process of one container", n, result, err)
		}
		for status().Idle == 0 { // it is stopped by the engine
			time.Sleep(5 * time.Millisecond)
		}
	}
	// A function that needs more memory than it has ends, and the next invocation gets another environment.
	if _, err := invoke(`{"Do": "eat", "MiB": 1024, "File": "/eaten"}`); err == nil {
		t.Error("a function with too little memory gave a result")
	}
	if _, err := invoke(`{"Do": "echo"}`); err != nil {
		t.Errorf("the invocation after it: %v", err)
	}
	if s := status(); s.ColdStarts != 2 || s.Errors != 1 {
		t.Errorf("the status is %+v", s)
	}
}
