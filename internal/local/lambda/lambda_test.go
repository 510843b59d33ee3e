//go:build linux

package lambda

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cutover/internal/assembly"
	"cutover/internal/local/provider"
	"cutover/internal/nightly"
)

// The first invocation starts an environment, and the next one finds it. Lambda sets its variables.
func TestInvoke(t *testing.T) {
	t.Parallel()
	d := newDeployment(t)
	d.mustDeploy(app{properties: object{"Environment": object{"Variables": object{"OWN": "value"}}}})
	if s := d.status(); s.Idle+s.Busy+s.Invocations != 0 {
		t.Errorf("before the first invocation the status is %+v: something runs", s)
	}
	first := d.mustInvoke(event{Do: "echo"})
	d.until("the environment is idle", func() bool { return d.status().Idle == 1 })
	second := d.mustInvoke(event{Do: "echo"})
	if first.PID != second.PID || second.Invocations != 2 || first.Request == second.Request {
		t.Errorf("invocations %+v and %+v: want one environment with two requests", first, second)
	}
	if first.ARN != "arn:aws:lambda:local:000000000000:function:users:live" {
		t.Errorf("the ARN is %s, want that of the alias", first.ARN)
	}
	for name, want := range map[string]string{
		"OWN": "value", "_HANDLER": "bootstrap", "AWS_LAMBDA_FUNCTION_NAME": "users", "AWS_LAMBDA_FUNCTION_VERSION": "1", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
		"AWS_REGION": "local", "TZ": ":UTC", "LAMBDA_TASK_ROOT": first.Dir, "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand", "AWS_EXECUTION_ENV": "",
	} {
		if got := first.variable(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if first.variable("AWS_ACCESS_KEY_ID") == "" || first.variable("HOME") != "" {
		t.Errorf("the environment is %q, want credentials and nothing of this machine", first.Env)
	}
	d.until("the environment is idle again", func() bool { return d.status().Idle == 1 })
	want := FunctionStatus{Name: "users", Service: "people", Version: "1", Alias: "live", Concurrency: 1000, Idle: 1, Invocations: 2, ColdStarts: 1, Most: 1, MemoryMiB: 512}
	got := d.status()
	if got.PeakMemoryMiB == 0 || got.PeakMemoryMiB > 512 {
		t.Errorf("the peak is %d MiB, want what a small program uses", got.PeakMemoryMiB)
	}
	if got.Cold.P50 <= 0 || got.Cold.P99 < got.Cold.P50 || got.Warm.P50 <= 0 || got.Warm.P99 < got.Warm.P50 {
		t.Errorf("cold invocations took %v, warm ones %v", got.Cold, got.Warm)
	}
	got.Cold, got.Warm = Took{}, Took{}
	if got.PeakMemoryMiB = 0; got != want {
		t.Errorf("the status is %+v, want %+v", got, want)
	}
	d.until("the log has what the function wrote", func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return len(d.lines) > 0 && d.lines[0].Text == "started one" && d.lines[0].ServiceName == "users" && d.lines[0].Stream == "stdout"
	})
}

// Between invocations nothing runs, neither in the background nor in children. It goes on with the next one.
func TestFrozen(t *testing.T) {
	t.Parallel()
	for _, do := range []string{"background", "child"} {
		t.Run(do, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t)
			d.mustDeploy(app{})
			file, answer := filepath.Join(t.TempDir(), "grows"), filepath.Join(t.TempDir(), "answer")
			first := d.mustInvoke(event{Do: do, File: file})
			d.until("it is frozen", func() bool { return frozen(first.PID) })
			before := size(file)
			// Another environment works meanwhile: time has passed.
			d.take(d.version()) // so that the first one is not taken
			for range 20 {
				d.mustInvoke(event{Do: "echo"})
			}
			if after := size(file); after != before || !frozen(first.PID) {
				t.Errorf("the file grew from %d to %d while the function waited", before, after)
			}
			d.putBack(first.PID)
			done := make(chan returned)
			go func() { r, _ := d.invoke(event{Do: "wait", File: answer}); done <- r }()
			d.until("the background goes on", func() bool { return size(file) > before })
			if err := os.WriteFile(answer, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if r := <-done; r.PID != first.PID {
				t.Errorf("process %d answered, want %d, which was used last", r.PID, first.PID)
			}
		})
	}
}

// version is the one that the alias has.
func (d *deployment) version() *version {
	d.Provider.mu.Lock()
	defer d.Provider.mu.Unlock()
	v, _ := d.find(live)
	return v
}

// putBack makes an environment that was taken the one that was used last.
func (d *deployment) putBack(pid int) {
	v := d.version()
	d.Provider.mu.Lock()
	defer d.Provider.mu.Unlock()
	for e := range v.environments {
		if e.pid == pid {
			v.environments[e] = false
			v.idle = append(v.idle, e)
		}
	}
}

// An environment is free at its next `next`, not at its response. Above the concurrency, invocations are throttled.
func TestConcurrency(t *testing.T) {
	t.Parallel()
	d := newDeployment(t)
	d.mustDeploy(app{properties: object{"ReservedConcurrentExecutions": 1}})
	file := filepath.Join(t.TempDir(), "free")
	first := d.mustInvoke(event{Do: "late", File: file})
	d.fails(event{Do: "echo"}, "TooManyRequestsException", "LambdaThrottling", "Rate Exceeded")
	if s := d.status(); s.Busy != 1 || s.Throttles != 1 || s.Errors != 0 || s.Concurrency != 1 {
		t.Errorf("the status is %+v, want it busy, and one throttle", s)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	d.until("it is free", func() bool { return d.status().Idle == 1 })
	if second := d.mustInvoke(event{Do: "echo"}); second.PID != first.PID {
		t.Errorf("process %d answered, want %d", second.PID, first.PID)
	}
	if e := d.told("an invocation was throttled"); e.State != provider.Warning || e.Kind != "function" || e.Subject != "users" {
		t.Errorf("the event is %+v", e)
	}
}

// Many invocations at once have an environment each, up to the limit.
func TestAtOnce(t *testing.T) {
	t.Parallel()
	d := newDeployment(t)
	d.mustDeploy(app{properties: object{"ReservedConcurrentExecutions": 4}})
	file := filepath.Join(t.TempDir(), "go on")
	var mu sync.Mutex
	var pids []int
	var calls sync.WaitGroup
	for range 4 {
		calls.Go(func() {
			r, err := d.invoke(event{Do: "wait", File: file})
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			pids = append(pids, r.PID)
		})
	}
	d.until("four are busy", func() bool { return d.status().Busy == 4 })
	d.fails(event{Do: "echo"}, "TooManyRequestsException", "LambdaThrottling", "Rate Exceeded")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	calls.Wait()
	if slices.Sort(pids); len(slices.Compact(pids)) != 4 {
		t.Errorf("processes %v answered, want four", pids)
	}
}

// What a function does wrong is the error of its invocation, and the next invocation works.
func TestFailures(t *testing.T) {
	t.Parallel()
	d := newDeployment(t)
	d.mustDeploy(app{})
	d.fails(event{Do: "error"}, "Own.Error", "LambdaUnhandled", "as asked")
	d.until("it is idle", func() bool { return d.status().Idle == 1 })
	if r := d.mustInvoke(event{Do: "echo"}); r.Invocations != 2 {
		t.Errorf("after an error it is invocation %d of its environment, want 2", r.Invocations)
	}
	d.until("it is idle", func() bool { return d.status().Idle == 1 })
	d.fails(event{Do: "exit"}, "Runtime.ExitError", "LambdaUnhandled", "Runtime exited with error: exit status 3")
	if r := d.mustInvoke(event{Do: "twice"}); r.Invocations != 1 {
		t.Errorf("after a crash it is invocation %d of its environment, want a new one", r.Invocations)
	}
	d.until("it is idle", func() bool { return d.status().Idle == 1 })
	d.fails(event{Do: "big"}, "Function.ResponseSizeTooLarge", "LambdaResponseTooLarge", "exceeded maximum allowed payload size")
	d.until("it is idle", func() bool { return d.status().Idle == 1 })
	if s := d.status(); s.Errors != 3 || s.ColdStarts != 2 || s.Timeouts != 0 {
		t.Errorf("the status is %+v, want 3 errors and 2 cold starts", s)
	}
	d.told("exit status 3")
	d.until("the log has the rest", func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		has := func(text string) bool {
			return slices.ContainsFunc(d.lines, func(l logLine) bool { return l.Text == text })
		}
		return has("it ends") && has("again: 400")
	})
}

// With its first process, an environment ends as a whole.
func TestChildren(t *testing.T) {
	t.Parallel()
	d := newDeployment(t)
	d.mustDeploy(app{})
	file := filepath.Join(t.TempDir(), "grows")
	d.mustInvoke(event{Do: "child", File: file})
	d.until("it is idle", func() bool { return d.status().Idle == 1 })
	r := d.mustInvoke(event{Do: "echo"})
	d.until("it is idle", func() bool { return d.status().Idle == 1 })
	if r.Child == 0 || !lives(r.Child) {
		t.Fatalf("there is no child %d", r.Child)
	}
	d.fails(event{Do: "exit"}, "Runtime.ExitError", "LambdaUnhandled", "exit status 3")
	d.until("the child is gone", func() bool { return !lives(r.Child) })
}

func TestTimeout(t *testing.T) {
	nightly.Test(t, "it waits for functions that take too long")
	t.Parallel()
	d := newDeployment(t)
	d.mustDeploy(app{properties: object{"Timeout": 3}})
	first := d.mustInvoke(event{Do: "echo"})
	d.until("it is idle", func() bool { return d.status().Idle == 1 })
	d.fails(event{Do: "hang"}, "Sandbox.Timedout", "LambdaUnhandled", "Task timed out after 3.00 seconds")
	if lives(first.PID) {
		t.Error("the process lives on after the time-out")
	}
	// The time that the function takes after its response counts, too.
	if _, err := d.invoke(event{Do: "late", File: filepath.Join(t.TempDir(), "never")}); err != nil {
		t.Error(err)
	}
	d.told("did not ask for its next invocation within its time-out of 3s")
	d.until("its environment is gone", func() bool { s := d.status(); return s.Idle+s.Busy == 0 })
	if s := d.status(); s.Timeouts != 1 || s.Errors != 1 {
		t.Errorf("the status is %+v, want one time-out, which is an error", s)
	}
}

func TestMemory(t *testing.T) {
	nightly.Test(t, "it takes all memory of a function")
	t.Parallel()
	d := newDeployment(t)
	d.mustDeploy(app{properties: object{"MemorySize": 128}})
	d.fails(event{Do: "eat", MiB: 200, File: filepath.Join(t.TempDir(), "eaten")}, "Runtime.ExitError", "LambdaUnhandled", "Runtime exited with error: signal: killed")
	d.told("more memory than the 128 MiB")
	if s := d.status(); s.PeakMemoryMiB <= 128 {
		t.Errorf("the peak is %d MiB, want more than 128", s.PeakMemoryMiB)
	}
}

// A failed initialization is tried once more.
func TestInitialization(t *testing.T) {
	t.Parallel()
	with := func(variables object) app {
		return app{properties: object{"Environment": object{"Variables": variables}}}
	}
	d := newDeployment(t)
	d.mustDeploy(with(object{"INIT": "error"}))
	d.fails(event{Do: "echo"}, "Own.Error", "LambdaUnhandled", "no configuration")
	d = newDeployment(t)
	d.mustDeploy(with(object{"INIT": "exit"}))
	d.fails(event{Do: "echo"}, "Runtime.ExitError", "LambdaUnhandled", "exit status 3")
	d.told("the initialization failed")
	if s := d.status(); s.Errors != 1 || s.ColdStarts != 1 || s.Busy != 0 {
		t.Errorf("the status is %+v, want one error and one cold start", s)
	}
	d = newDeployment(t)
	d.mustDeploy(with(object{"INIT": "once", "INIT_FILE": filepath.Join(t.TempDir(), "tried")}))
	if r := d.mustInvoke(event{Do: "echo"}); r.Invocations != 1 {
		t.Errorf("the second try has invocation %d, want 1", r.Invocations)
	}
}

func TestIdle(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, func(o *Options) { o.Idle = time.Nanosecond })
	d.mustDeploy(app{})
	r := d.mustInvoke(event{Do: "echo"})
	d.until("the idle environment is gone", func() bool { return d.status().Idle == 0 && !lives(r.PID) })
}

// The caller may leave. The function runs to its end.
func TestCallerLeaves(t *testing.T) {
	t.Parallel()
	d := newDeployment(t)
	d.mustDeploy(app{})
	file := filepath.Join(t.TempDir(), "go on")
	ctx, cancel := context.WithCancelCause(context.Background())
	left := errors.New("the client has left")
	done := make(chan error)
	go func() {
		_, err := d.Invoke(ctx, live, behind, []byte(`{"Do":"wait","File":"`+file+`"}`))
		done <- err
	}()
	d.until("it is busy", func() bool { return d.status().Busy == 1 })
	cancel(left)
	if err := <-done; !errors.Is(err, left) {
		t.Errorf("the error is %v, want %v", err, left)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	d.until("it is free", func() bool { s := d.status(); return s.Idle == 1 && s.Errors == 0 })
}

// A new version answers at once. An invocation of the version before finishes.
func TestUpdate(t *testing.T) {
	t.Parallel()
	d := newDeployment(t)
	d.mustDeploy(app{code: "one"})
	idle := d.mustInvoke(event{Do: "echo"})
	d.until("it is idle", func() bool { return d.status().Idle == 1 })
	d.mustDeploy(app{code: "one", properties: object{"ReservedConcurrentExecutions": 5}})
	if same := d.mustInvoke(event{Do: "echo"}); same.PID != idle.PID {
		t.Error("another concurrency replaced the environment")
	}
	d.until("it is idle", func() bool { return d.status().Idle == 1 })

	file := filepath.Join(t.TempDir(), "go on")
	done := make(chan returned)
	go func() { r, _ := d.invoke(event{Do: "wait", File: file}); done <- r }()
	d.until("it is busy", func() bool { return d.status().Busy == 1 })
	next, grants := d.plan(app{code: "two", version: "V2"}.model(t))
	if err := errors.Join(next.Check(), next.Update(t.Context(), "S"), grants.Update(t.Context(), "S")); err != nil {
		t.Fatal(err)
	}
	if r := d.mustInvoke(event{Do: "echo"}); r.Version != "two" || r.variable("AWS_LAMBDA_FUNCTION_VERSION") != "2" {
		t.Errorf("version %s answered, want two", r.Version)
	}
	cleaned := make(chan error)
	go func() { cleaned <- next.Clean(context.Background(), "S") }()
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r := <-done
	if r.Version != "one" || r.PID != idle.PID {
		t.Errorf("the invocation from before has %+v, want version one", r)
	}
	if err := <-cleaned; err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(r.Dir); lives(r.PID) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the version before is still there: its code %v", err)
	}
}

// A deployment that fails goes back to the version before.
func TestRollback(t *testing.T) {
	t.Parallel()
	d := newDeployment(t)
	before, err := d.deploy(app{code: "one"})
	if err != nil {
		t.Fatal(err)
	}
	next, _ := d.plan(app{code: "two", version: "V2"}.model(t))
	ctx := t.Context()
	if err := errors.Join(next.Update(ctx, "S"), before.Update(ctx, "S"), before.Clean(ctx, "S")); err != nil {
		t.Fatal(err)
	}
	if r := d.mustInvoke(event{Do: "echo"}); r.Version != "one" {
		t.Errorf("version %s answers, want one", r.Version)
	}
}

// An alias may give a part of its invocations to another version.
func TestWeights(t *testing.T) {
	t.Parallel()
	d := newDeployment(t)
	d.mustDeploy(app{code: "one"})
	both := app{code: "two", version: "V2", more: object{"V1": object{"Type": "AWS::Lambda::Version", "Properties": object{"FunctionName": object{"Ref": "F"}}}}}
	for weight, want := range map[float64]string{0: "two", 1: "one"} {
		both.alias = object{"RoutingConfig": object{"AdditionalVersionWeights": []any{object{"FunctionVersion": object{"Fn::GetAtt": []any{"V1", "Version"}}, "FunctionWeight": weight}}}}
		d.mustDeploy(both)
		if r := d.mustInvoke(event{Do: "echo"}); r.Version != want {
			t.Errorf("weight %v: version %s answered, want %s", weight, r.Version, want)
		}
	}
}

func TestStop(t *testing.T) {
	t.Parallel()
	d := newDeployment(t)
	d.mustDeploy(app{})
	r := d.mustInvoke(event{Do: "echo"})
	hangs := filepath.Join(t.TempDir(), "hangs")
	done := make(chan error)
	go func() { _, err := d.invoke(event{Do: "hang", File: hangs}); done <- err }()
	d.until("it hangs", func() bool { return exists(hangs) })
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := d.Stop(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("stop cut an invocation off, and says %v", err)
	}
	if err := <-done; err == nil || !strings.Contains(err.Error(), "Runtime.ExitError") {
		t.Errorf("the invocation that was cut off has %v", err)
	}
	if lives(r.PID) {
		t.Error("a process is left")
	}
	if left, _ := os.ReadDir(d.options.Dir); len(left) > 0 {
		t.Errorf("files are left: %v", left)
	}
}

// An invocation needs a permission for the target and for the target group.
func TestPermission(t *testing.T) {
	t.Parallel()
	permission := func(properties object) app {
		all := object{"Action": "lambda:InvokeFunction", "Principal": "elasticloadbalancing.amazonaws.com", "FunctionName": object{"Ref": "Live"}}
		for name, value := range properties {
			all[name] = value
		}
		return app{more: object{"May": object{"Type": "AWS::Lambda::Permission", "Properties": all}}}
	}
	d := newDeployment(t)
	for _, c := range []struct {
		name    string
		of      app
		allowed bool
	}{
		{"for any source", permission(nil), true},
		{"for the group", permission(object{"SourceArn": object{"Ref": "G"}}), true},
		{"for the group of another account", permission(object{"SourceArn": "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/users/*"}), true},
		{"for another group", permission(object{"SourceArn": "arn:aws:elasticloadbalancing:local:000000000000:targetgroup/other/*"}), false},
		{"for another principal", permission(object{"Principal": "apigateway.amazonaws.com"}), false},
		{"for the function without alias", permission(object{"FunctionName": object{"Ref": "F"}}), false},
		{"by the name of the alias", permission(object{"FunctionName": "users:live"}), true},
		{"for another action", permission(object{"Action": "lambda:GetFunction"}), false},
		{"without one", app{without: "May"}, false},
	} {
		d.mustDeploy(c.of)
		switch _, err := d.invoke(event{Do: "echo"}); {
		case c.allowed && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case !c.allowed:
			d.fails(event{Do: "echo"}, "AccessDeniedException", "LambdaAccessDenied", "no AWS::Lambda::Permission of the assembly lets elasticloadbalancing.amazonaws.com do lambda:InvokeFunction on S/Live for the target group S/G")
		}
	}
	if _, err := d.Invoke(t.Context(), "S/Gone", behind, nil); err == nil || !strings.Contains(err.Error(), "Function not found: S/Gone") {
		t.Errorf("an unknown target: %v", err)
	}
}

// Only functions that a target group names run here. CDK's own do not.
func TestStands(t *testing.T) {
	t.Parallel()
	d := newDeployment(t)
	m := app{more: object{
		"Own":    object{"Type": "AWS::Lambda::Function", "Properties": object{"Runtime": "nodejs24.x", "Code": object{"ZipFile": "exports.handler"}}},
		"OwnMay": object{"Type": "AWS::Lambda::Permission", "Properties": object{"FunctionName": object{"Fn::GetAtt": []any{"Own", "Arn"}}}},
	}}.model(t)
	next, _ := d.plan(m)
	if err := next.Check(); err != nil {
		t.Error(err)
	}
	var stands []string
	for _, r := range m.Assembly.Stacks[0].Resources {
		if next.(provider.Partial).Stands(r) {
			stands = append(stands, r.LogicalID)
		}
	}
	if got := strings.Join(stands, " "); got != "F Live May V1" {
		t.Errorf("%s run here, want F Live May V1", got)
	}
}

func TestAttributes(t *testing.T) {
	t.Parallel()
	d := newDeployment(t)
	a := app{}
	m := a.model(t)
	next, _ := d.plan(m)
	stack := m.Assembly.Stacks[0]
	if _, err := next.Attribute(assembly.Ref{Resource: stack.Resource("V1"), Attribute: "Version"}); !errors.Is(err, provider.ErrNotYet) {
		t.Errorf("a version that is not deployed has the number %v", err)
	}
	if err := next.Update(t.Context(), "S"); err != nil {
		t.Fatal(err)
	}
	const arn = "arn:aws:lambda:local:000000000000:function:users"
	for name, want := range map[string]string{"F": "users", "F.Arn": arn, "V1": arn + ":1", "V1.Version": "1", "Live": arn + ":live", "F.Other": ""} {
		id, attribute, _ := strings.Cut(name, ".")
		got, err := next.Attribute(assembly.Ref{Resource: stack.Resource(id), Attribute: attribute})
		if want == "" && err == nil || want != "" && got != want {
			t.Errorf("%s is %v, %v, want %q", name, got, err, want)
		}
	}
	for target, want := range map[string]string{arn: "S/F", arn + ":live": "S/Live", "S/F:live": "S/Live", arn + ":other": "", "users": "S/F", "S/Live": "S/Live", "S/V1": "S/V1"} {
		got := ""
		switch found := m.FunctionTarget(target); {
		case found.Alias != nil:
			got = found.Alias.Key()
		case found.Version != nil:
			got = found.Version.Key()
		case found.Function != nil:
			got = found.Function.Key()
		}
		if got != want {
			t.Errorf("%s means %q, want %q", target, got, want)
		}
	}
	if f := m.Functions[0]; f.Code == nil || f.Role == nil || f.Timeout != 30*time.Second || f.Concurrency != -1 || !f.Invoked {
		t.Errorf("the function is %+v", f)
	}
}
