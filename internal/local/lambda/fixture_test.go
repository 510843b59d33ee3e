//go:build linux

package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"cutover/internal/assembly"
	"cutover/internal/local/backing/access"
	"cutover/internal/local/ecs"
	"cutover/internal/local/ecs/process"
	"cutover/internal/local/provider"
	"cutover/internal/model"
)

type object = map[string]any

// programs has the directories of the function, by what it says its version is. Each is built once, and stays in build/, so that only
// what has changed is linked.
var programs struct {
	sync.Mutex
	dirs map[string]string
}

// program is the directory of an asset with the function.
func program(t testing.TB, version string) string {
	t.Helper()
	programs.Lock()
	defer programs.Unlock()
	if dir := programs.dirs[version]; dir != "" {
		return dir
	}
	dir, err := filepath.Abs(filepath.Join("..", "..", "..", "build", "test", "function", version))
	if err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "build", "-buildvcs=false", "-ldflags", "-X main.version="+version, "-o", filepath.Join(dir, bootstrap), "./testdata/function")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if programs.dirs == nil {
		programs.dirs = map[string]string{}
	}
	programs.dirs[version] = dir
	return dir
}

// image is the directory of the context of an image with the function.
func image(t testing.TB, version string) string {
	t.Helper()
	dir := t.TempDir()
	content, err := os.ReadFile(filepath.Join(program(t, version), bootstrap))
	if err := errors.Join(err, os.WriteFile(filepath.Join(dir, "run"), content, 0o755), os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("FROM scratch\nCOPY run /run\nENTRYPOINT [\"/run\"]\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// app is an app with one function, behind a target group.
type app struct {
	code       string // version of the program
	version    string // logical id of the version; the alias names it
	properties object // of the function
	alias      object // properties of the alias besides its name, function and version
	more       object // resources
	without    string // a resource that is not there
}

// group is the ARN of the target group on this machine.
const group = "arn:aws:elasticloadbalancing:local:000000000000:targetgroup/users/0123456789abcdef"

// resources are those of the app's template.
func (a app) resources() object {
	version := a.version
	if version == "" {
		version = "V1"
	}
	function := object{
		"FunctionName": "users", "Runtime": "provided.al2023", "Handler": "bootstrap", "Timeout": 30, "MemorySize": 512, "Architectures": []any{architecture},
		"Role": object{"Fn::GetAtt": []any{"Role", "Arn"}}, "Tags": []any{object{"Key": "service", "Value": "people"}},
		"Code": object{"S3Bucket": "assets", "S3Key": "abc.zip"},
	}
	maps.Copy(function, a.properties)
	alias := object{"Name": "live", "FunctionName": object{"Ref": "F"}, "FunctionVersion": object{"Fn::GetAtt": []any{version, "Version"}}}
	maps.Copy(alias, a.alias)
	resources := object{
		"Role":  object{"Type": "AWS::IAM::Role", "Properties": object{"RoleName": "people"}},
		"F":     object{"Type": "AWS::Lambda::Function", "Properties": function},
		version: object{"Type": "AWS::Lambda::Version", "Properties": object{"FunctionName": object{"Ref": "F"}}},
		"Live":  object{"Type": "AWS::Lambda::Alias", "Properties": alias},
		"May": object{"Type": "AWS::Lambda::Permission", "Properties": object{
			"Action": "lambda:InvokeFunction", "Principal": "elasticloadbalancing.amazonaws.com", "FunctionName": object{"Ref": "Live"},
			"SourceArn": object{"Fn::Sub": "arn:${AWS::Partition}:elasticloadbalancing:${AWS::Region}:${AWS::AccountId}:targetgroup/users/*"},
		}},
		"G": object{"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Properties": object{"TargetType": "lambda", "Targets": []any{object{"Id": object{"Ref": "Live"}}}}},
	}
	maps.Copy(resources, a.more)
	delete(resources, a.without)
	return resources
}

// architecture is what Lambda calls this machine's.
var architecture = map[string]string{"amd64": "x86_64", "arm64": "arm64"}[runtime.GOARCH]

func (a app) model(t testing.TB) *model.Model {
	t.Helper()
	code := a.code
	if code == "" {
		code = "one"
	}
	files := map[string]any{
		"manifest.json": object{"artifacts": object{
			"S.assets": object{"type": "cdk:asset-manifest", "properties": object{"file": "S.assets.json"}},
			"S":        object{"type": "aws:cloudformation:stack", "environment": "aws://unknown-account/unknown-region", "properties": object{"templateFile": "S.json"}, "dependencies": []any{"S.assets"}},
		}},
		"S.json": object{"Resources": a.resources()},
		"S.assets.json": object{"files": object{code: object{
			"source": object{"path": program(t, code), "packaging": "zip"}, "destinations": object{"here": object{"bucketName": "assets", "objectKey": "abc.zip"}},
		}}, "dockerImages": object{code: object{
			"source": object{"directory": image(t, code)}, "destinations": object{"here": object{"repositoryName": "users", "imageTag": "1"}},
		}}},
	}
	dir := t.TempDir()
	for name, content := range files {
		text, err := json.Marshal(content)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	read, err := assembly.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	read.Locate(provider.Account, provider.Region)
	return model.Read(read)
}

// deployment is a provider with an access, as a runner has them.
type deployment struct {
	*Provider
	access *access.Access
	t      testing.TB

	mu     sync.Mutex
	events []provider.Event
	lines  []ecs.LogLine
}

func newDeployment(t testing.TB, options ...func(*Options)) *deployment {
	d := &deployment{access: access.New(), t: t}
	services := ecs.NewProvider(nil, ecs.Given{Secrets: func() (map[string]string, error) {
		return map[string]string{"KEY": "of KEY", "people.WHOLE": "of WHOLE", "OTHER": "of OTHER"}, nil
	}})
	o := Options{
		Dir: t.TempDir(), Access: d.access, Tasks: services.Tasks,
		Events: func(e provider.Event) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.events = append(d.events, e)
		},
		Logs: func(line ecs.LogLine) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.lines = append(d.lines, line)
		},
	}
	for _, option := range options {
		option(&o)
	}
	if o.Driver == nil {
		o.Driver = withCommands(t, nil)
	}
	d.Provider = New(o)
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = d.Stop(ctx)
	})
	return d
}

// withCommands is the driver of processes, with commands by the names that they are given for.
func withCommands(t testing.TB, commands map[string]string) ecs.Driver {
	t.Helper()
	driver, err := process.New(process.Options{Dir: t.TempDir(), Volumes: t.TempDir(), Run: commands})
	if err != nil {
		t.Fatal(err)
	}
	return driver
}

func (d *deployment) plan(m *model.Model) (next, grants provider.Plan) {
	var text provider.Text
	text = func(value any) (string, error) {
		switch value := value.(type) {
		case assembly.Text:
			all := ""
			for _, part := range value {
				one, _ := text(part)
				all += one
			}
			return all, nil
		case assembly.Ref:
			if value.Resource.LogicalID == "G" {
				return group, nil
			}
		}
		return fmt.Sprint(value), nil
	}
	return d.Plan(m, text), d.access.Plan(m, text)
}

// deploy deploys an app, and returns the plan and its error.
func (d *deployment) deploy(a app) (provider.Plan, error) {
	d.t.Helper()
	next, grants := d.plan(a.model(d.t))
	if err := next.Check(); err != nil {
		return next, err
	}
	ctx := context.Background()
	return next, errors.Join(next.Update(ctx, "S"), grants.Update(ctx, "S"), next.Clean(ctx, "S"), grants.Clean(ctx, "S"))
}

func (d *deployment) mustDeploy(a app) {
	d.t.Helper()
	if _, err := d.deploy(a); err != nil {
		d.t.Fatal(err)
	}
}

// live is the target of the load balancer, and of the target group.
const live, behind = "S/Live", "S/G"

type event struct {
	Do, File string
	MiB      int
}

type returned struct {
	PID, Invocations, Child              int
	Request, ARN, Deadline, Dir, Version string
	Env                                  []string
}

func (r returned) variable(name string) string {
	for _, v := range r.Env {
		if value, ok := strings.CutPrefix(v, name+"="); ok {
			return value
		}
	}
	return ""
}

func (d *deployment) invoke(e event) (r returned, err error) {
	payload, _ := json.Marshal(e)
	result, err := d.Invoke(context.Background(), live, behind, payload)
	if err == nil {
		err = json.Unmarshal(result, &r)
	}
	return r, err
}

func (d *deployment) mustInvoke(e event) returned {
	d.t.Helper()
	r, err := d.invoke(e)
	if err != nil {
		d.t.Fatal(err)
	}
	return r
}

func (d *deployment) status() FunctionStatus {
	d.t.Helper()
	all, _ := d.Status().([]FunctionStatus)
	if len(all) != 1 {
		d.t.Fatalf("the status is %v, want one function", all)
	}
	return all[0]
}

// fails asks for the error of an invocation.
func (d *deployment) fails(e event, kind, reason, text string) {
	d.t.Helper()
	_, err := d.invoke(e)
	var of *Error
	if !errors.As(err, &of) || of.Type != kind || of.Reason() != reason || !strings.Contains(of.Message, text) {
		d.t.Errorf("%+v: %v, want %s (%s) with %q", e, err, kind, reason, text)
	}
}

// until waits until something holds that nothing tells of.
func (d *deployment) until(what string, holds func() bool) {
	d.t.Helper()
	limit := time.After(time.Minute)
	every := time.NewTicker(2 * time.Millisecond)
	defer every.Stop()
	for !holds() {
		select {
		case <-every.C:
		case <-limit:
			d.t.Fatalf("%s: not in a minute", what)
		}
	}
}

// told waits until an event has a text.
func (d *deployment) told(text string) provider.Event {
	d.t.Helper()
	var found provider.Event
	d.until(fmt.Sprintf("an event with %q", text), func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		for _, e := range d.events {
			if strings.Contains(e.Message, text) {
				found = e
				return true
			}
		}
		return false
	})
	return found
}

// frozen says whether all threads of a process are stopped.
// https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
func frozen(pid int) bool {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil || len(threads) == 0 {
		return false
	}
	for _, thread := range threads {
		text, err := os.ReadFile(thread)
		if err != nil {
			return false
		}
		if _, state, _ := strings.Cut(string(text), ") "); !strings.HasPrefix(state, "T") {
			return false
		}
	}
	return true
}

// lives says whether a process has not ended. One for which nobody waited yet has.
func lives(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, state, _ := strings.Cut(string(text), ") ")
	return err == nil && !strings.HasPrefix(state, "Z")
}

func size(file string) int64 {
	info, err := os.Stat(file)
	if err != nil {
		return 0
	}
	return info.Size()
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

type logLine = ecs.LogLine
