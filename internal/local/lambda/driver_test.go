//go:build linux

package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"cutover/internal/local/ecs"
)

// elsewhere is an app whose load balancer invokes a function that the app does not have.
var elsewhere = app{more: object{"G": object{"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Properties": object{
	"TargetType": "lambda", "Targets": []any{object{"Id": "arn:aws:lambda:eu-west-1:1:function:orders:prod"}},
}}}}

// What a driver runs is treated as a program of an asset is: it is frozen between invocations, used again, and ended.
func TestDriver(t *testing.T) {
	t.Parallel()
	command := fmt.Sprintf("exec '%s'", filepath.Join(program(t, "one"), bootstrap))
	given := func(name string) func(*Options) {
		return func(o *Options) {
			o.Driver, o.Replaced = withCommands(t, map[string]string{name: command}), []string{name}
		}
	}
	other := object{"Runtime": "nodejs24.x", "Handler": "index.handler", "Code": object{"ZipFile": "exports.handler = 1"}, "Layers": []any{"arn"}}
	for name, c := range map[string]struct {
		of     app
		target string
		option func(*Options)
		named  string
	}{
		"a command by the name of the function":   {app{properties: other}, live, given("users"), "users"},
		"a command by the name of the service":    {app{properties: other}, live, given("people"), "users"},
		"a command for a function that runs here": {app{}, live, given("users"), "users"},
		"a command for one of another app":        {elsewhere, "arn:aws:lambda:eu-west-1:1:function:orders:prod", given("orders"), "orders"},
		"an image": {app{properties: object{
			"PackageType": "Image", "Runtime": nil, "Handler": nil, "Code": object{"ImageUri": object{"Fn::Sub": "${AWS::AccountId}.dkr.ecr.${AWS::Region}.${AWS::URLSuffix}/users:1"}},
		}}, live, func(*Options) {}, "users"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDeployment(t, c.option)
			d.mustDeploy(c.of)
			invoke := func() (r returned) {
				t.Helper()
				payload, _ := json.Marshal(event{Do: "echo"})
				result, err := d.Invoke(context.Background(), c.target, behind, payload)
				if err == nil {
					err = json.Unmarshal(result, &r)
				}
				if err != nil {
					t.Fatal(err)
				}
				return r
			}
			first := invoke()
			d.until("it is frozen", func() bool { return frozen(first.PID) })
			if second := invoke(); second.PID != first.PID || second.Invocations != 2 {
				t.Errorf("the second invocation is %+v, want the environment of the first", second)
			}
			if got := first.variable("AWS_LAMBDA_FUNCTION_NAME"); got != c.named {
				t.Errorf("the name is %q, want %q", got, c.named)
			}
			if s := d.status(); s.ColdStarts != 1 || s.Invocations != 2 || s.Name != c.named {
				t.Errorf("the status is %+v", s)
			}
			if err := d.Stop(context.Background()); err != nil {
				t.Fatal(err)
			}
			d.until("it has ended", func() bool { return !lives(first.PID) })
		})
	}
}

// A command that ends is a crash, and the log says so.
func TestDriverCrash(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, func(o *Options) {
		o.Driver, o.Replaced = withCommands(t, map[string]string{"users": "exit 3"}), []string{"users"}
	})
	d.mustDeploy(app{})
	d.fails(event{Do: "echo"}, "Runtime.ExitError", "LambdaUnhandled", "Runtime exited with error: exit code 3")
	d.told("the initialization failed, and is tried once more")
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.lines) == 0 {
		t.Error("the log of the function says nothing")
	}
}

// slow is a driver whose starts take until they are let go, and fail then.
type slow struct {
	ecs.Driver
	starts chan struct{}
	goOn   chan struct{}
}

func (s slow) Start(context.Context, ecs.StartRequest) (ecs.Container, error) {
	s.starts <- struct{}{}
	<-s.goOn
	return nil, errors.New("as asked")
}

// Environments that start at once are not more than the machine can start.
func TestStartsAtOnce(t *testing.T) {
	t.Parallel()
	limit := 2 * runtime.NumCPU()
	s := slow{withCommands(t, map[string]string{"users": "exit"}), make(chan struct{}, 100), make(chan struct{})}
	d := newDeployment(t, func(o *Options) { o.Driver, o.Replaced = s, []string{"users"} })
	d.mustDeploy(app{})
	var all sync.WaitGroup
	for range 2 * limit {
		all.Go(func() {
			if _, err := d.invoke(event{Do: "echo"}); err == nil {
				t.Error("an environment that does not start gave a result")
			}
		})
	}
	d.until("all invocations have begun", func() bool { return d.status().Most == 2*limit })
	d.until("as many environments start as may", func() bool { return len(s.starts) == limit })
	close(s.goOn)
	all.Wait()
	// Each is tried once more.
	if n := len(s.starts); n != 4*limit {
		t.Errorf("%d environments were started, want %d", n, 4*limit)
	}
}
