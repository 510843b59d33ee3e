package local

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"cutover/internal/build"
	"cutover/internal/local/alb"
	"cutover/internal/local/ecs"
	"cutover/internal/nightly"
)

// usersOnLambda is an app of one stack: a load balancer before our users, which are a function.
func usersOnLambda(t *testing.T, change func(resources map[string]any)) (dir string) {
	t.Helper()
	all, err := contexts()
	if err != nil {
		t.Fatal(err)
	}
	return onLambda(t, all["users"], change)
}

// onLambda is usersOnLambda with the program of another context.
func onLambda(t *testing.T, context string, change func(resources map[string]any)) (dir string) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("the program of the function is for Linux")
	}
	code, digest, err := build.Bootstrap(context)
	if err != nil {
		t.Fatal(err)
	}
	resource := func(name string, properties map[string]any) map[string]any {
		return map[string]any{"Type": "AWS::" + name, "Properties": properties}
	}
	resources := map[string]any{
		"Balancer": resource("ElasticLoadBalancingV2::LoadBalancer", map[string]any{"Type": "application", "Subnets": []any{"subnet-1", "subnet-2"}}),
		"Listener": resource("ElasticLoadBalancingV2::Listener", map[string]any{
			"LoadBalancerArn": ref("Balancer"), "Port": 80, "Protocol": "HTTP", "DefaultActions": []any{map[string]any{"Type": "forward", "TargetGroupArn": ref("Group")}},
		}),
		"Group": resource("ElasticLoadBalancingV2::TargetGroup", map[string]any{
			"Name": "users", "TargetType": "lambda", "HealthCheckEnabled": false, "Targets": []any{map[string]any{"Id": ref("Live")}},
			"TargetGroupAttributes": []any{map[string]any{"Key": "lambda.multi_value_headers.enabled", "Value": "true"}},
		}),
		"Role": resource("IAM::Role", map[string]any{"AssumeRolePolicyDocument": map[string]any{}}),
		"Function": resource("Lambda::Function", map[string]any{
			"FunctionName": "users", "Runtime": "provided.al2023", "Handler": "bootstrap", "MemorySize": 256, "Timeout": 10, "ReservedConcurrentExecutions": 20,
			"Architectures": []any{map[string]string{"amd64": "x86_64", "arm64": "arm64"}[runtime.GOARCH]},
			"Role":          getAtt("Role", "Arn"), "Code": map[string]any{"S3Bucket": "assets", "S3Key": digest + ".zip"},
			"Tags": []any{map[string]any{"Key": "service", "Value": "users"}},
		}),
		"Version": resource("Lambda::Version", map[string]any{"FunctionName": ref("Function")}),
		"Live":    resource("Lambda::Alias", map[string]any{"Name": "live", "FunctionName": ref("Function"), "FunctionVersion": getAtt("Version", "Version")}),
		"Permission": resource("Lambda::Permission", map[string]any{
			"Action": "lambda:InvokeFunction", "Principal": "elasticloadbalancing.amazonaws.com", "FunctionName": ref("Live"),
			"SourceArn": map[string]any{"Fn::Sub": "arn:${AWS::Partition}:elasticloadbalancing:${AWS::Region}:${AWS::AccountId}:targetgroup/users/*"},
		}),
	}
	if change != nil {
		change(resources)
	}
	dir = t.TempDir()
	writeJSON(t, dir, "S.template.json", map[string]any{"Resources": resources})
	writeJSON(t, dir, "S.assets.json", map[string]any{"files": map[string]any{digest: map[string]any{
		"source": map[string]any{"path": code, "packaging": "zip"}, "destinations": map[string]any{"here": map[string]any{"bucketName": "assets", "objectKey": digest + ".zip"}},
	}}})
	writeJSON(t, dir, "manifest.json", map[string]any{"artifacts": map[string]any{
		"S.assets": map[string]any{"type": "cdk:asset-manifest", "properties": map[string]any{"file": "S.assets.json"}},
		"S": map[string]any{
			"type": "aws:cloudformation:stack", "environment": "aws://unknown-account/unknown-region",
			"dependencies": []string{"S.assets"}, "properties": map[string]any{"templateFile": "S.template.json"},
		},
	}})
	return dir
}

// Our users answer as a function behind the load balancer: under load, and while the function is deployed anew.
func TestFunction(t *testing.T) {
	nightly.Test(t, "it deploys a function four times, under load")
	t.Parallel()
	d := start(t, stateDir(t), nil)
	d.deploy(usersOnLambda(t, nil))
	url := d.url(80) + "/api/users/1"
	get := func() (int, string) {
		response, err := http.Get(url)
		if err != nil {
			t.Error(err)
			return 0, ""
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(response.Body)
		return response.StatusCode, string(body)
	}
	code, first := get()
	if code != http.StatusOK || !strings.Contains(first, `"username"`) {
		t.Fatalf("the answer is %d %s, want a user", code, first)
	}
	var clients sync.WaitGroup
	done := make(chan struct{})
	for range 4 {
		clients.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if code, body := get(); code != http.StatusOK || body != first {
					t.Errorf("under load the answer is %d %s, want %s", code, body, first)
					return
				}
			}
		})
	}
	for version := 2; version < 4; version++ {
		d.deploy(usersOnLambda(t, func(resources map[string]any) {
			resources["Function"].(map[string]any)["Properties"].(map[string]any)["Environment"] = map[string]any{"Variables": map[string]any{"N": fmt.Sprint(version)}}
			name := fmt.Sprint("Version", version)
			resources[name] = resources["Version"]
			delete(resources, "Version")
			resources["Live"].(map[string]any)["Properties"].(map[string]any)["FunctionVersion"] = getAtt(name, "Version")
		}))
	}
	close(done)
	clients.Wait()
	status := d.Status()
	if len(status.Functions) != 1 {
		t.Fatalf("the functions are %+v, want one", status.Functions)
	}
	if f := status.Functions[0]; f.Name != "users" || f.Service != "users" || f.Version != "3" || f.Alias != "live" || f.Concurrency != 20 || f.Invocations < 3 || f.ColdStarts < 3 || f.Errors+f.Throttles > 0 {
		t.Errorf("the status is %+v", f)
	}
	if n := status.NotRun["AWS::Lambda::Function"]; n != 0 {
		t.Errorf("%d functions are said not to run here", n)
	}
	d.mu.Lock()
	exchange := d.exchanges[0]
	d.mu.Unlock()
	if exchange.Status != http.StatusOK || exchange.Group != "S/Group" {
		t.Errorf("the first exchange is %+v", exchange)
	}
	if route, err := d.Route(alb.Asked{Request: url}); err != nil || len(route.Targets) != 1 {
		t.Errorf("the route is %+v, %v", route, err)
	}
	lines := 0
	if err := Logs(t.Context(), d.Runner.options.Dir, "users", false, func(ecs.LogLine) { lines++ }); err != nil {
		t.Error(err)
	}

	// Without a permission the load balancer gets no answer, and says so.
	d.deploy(usersOnLambda(t, func(resources map[string]any) { delete(resources, "Permission") }))
	if code, _ := get(); code != http.StatusBadGateway && code != http.StatusInternalServerError {
		t.Errorf("without a permission the answer is %d", code)
	}
	if !strings.Contains(fmt.Sprint(d.told()), "no AWS::Lambda::Permission of the assembly lets") {
		t.Errorf("no event tells of the permission: %v", d.told())
	}
}

// Functions are compared as ECS services are. If their execution environments are killed, the next request starts
// another one.
func TestFunctionAsCanary(t *testing.T) {
	nightly.Test(t, "it starts a function in two shares")
	t.Parallel()
	d := start(t, stateDir(t), nil)
	d.deploy(usersOnLambda(t, func(resources map[string]any) {
		like := func(from, to string, properties map[string]any) {
			all := maps.Clone(resources[from].(map[string]any)["Properties"].(map[string]any))
			maps.Copy(all, properties)
			resources[to] = map[string]any{"Type": resources[from].(map[string]any)["Type"], "Properties": all}
		}
		like("Group", "New", map[string]any{"Name": "users-lambda"})
		like("Permission", "NewPermission", map[string]any{"SourceArn": map[string]any{"Fn::Sub": "arn:${AWS::Partition}:elasticloadbalancing:${AWS::Region}:${AWS::AccountId}:targetgroup/users-lambda/*"}})
		like("Listener", "Listener", map[string]any{"DefaultActions": []any{map[string]any{"Type": "forward", "ForwardConfig": map[string]any{"TargetGroups": []any{
			map[string]any{"TargetGroupArn": ref("Group"), "Weight": 3}, map[string]any{"TargetGroupArn": ref("New"), "Weight": 1},
		}}}}})
	}))
	get := func() int {
		response, err := http.Get(d.url(80) + "/api/users/1")
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		return response.StatusCode
	}
	for range 8 {
		if code := get(); code != http.StatusOK {
			t.Fatalf("the answer is %d", code)
		}
	}
	found, err := d.Canaries(Compared{Monolith: []string{"nobody"}, Old: map[string]string{"users-lambda": "users"}}, time.Second)
	if err != nil || len(found.Canaries) == 0 {
		t.Fatalf("%+v, %v: want the function that has a share", found, err)
	}
	if c := found.Canaries[0]; c.Service != "users-lambda" || c.With != "users" || !c.Compute || c.Percent != 25 {
		t.Errorf("%+v: want users-lambda with 25 %% of the traffic of users", c)
	}
	if _, err := d.Canaries(Compared{Monolith: []string{"users"}}, time.Second); err != nil {
		t.Errorf("a function has no tasks to count, and others are compared with it: %v", err)
	}
	before := d.Status().Functions[0].ColdStarts
	ended, err := d.Fault(t.Context(), "kill", "users")
	if err == nil {
		err = ended(t.Context())
	}
	if f := d.Status().Functions[0]; err != nil || f.Idle+f.Busy != 0 {
		t.Errorf("%v: after the kill the function is %+v", err, f)
	}
	if code := get(); code != http.StatusOK || d.Status().Functions[0].ColdStarts != before+1 {
		t.Errorf("after the kill the answer is %d, with %d cold starts after %d", code, d.Status().Functions[0].ColdStarts, before)
	}
	if _, err := d.Fault(t.Context(), "hang", "users"); err == nil {
		t.Error("a function has no task that could hang")
	}
}
