package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"cutover/internal/build"
	"cutover/internal/model"
)

// The change of the record that is asked for, which tells the new version from the old one.
const recordBefore, recordAfter = `"mbrandt"`, `"of the new version"`

// recordFile has the record.
var recordFile = filepath.Join("assets", "data", "users.json")

// deployFunctions measures the time from the beginning of a deployment to the first answer of the new version: of a
// service as a task, and as a function. The health checks of the task are those of the forum.
func (b *bench) deployFunctions(out io.Writer) error {
	fmt.Println("Deploying a new version of a task, and of a function (minutes: a task waits for health checks)")
	tool, err := b.compile("./cmd/cutover")
	if err != nil {
		return err
	}
	programs, err := b.versions()
	if err != nil {
		return err
	}
	r := &results{}
	err = turns(b, b.rounds, []string{"task", "function"}, func(round int, as string) error {
		dir := filepath.Join(b.work, "deploy", fmt.Sprint(as, round))
		for i, program := range programs {
			if err := deployable(filepath.Join(dir, fmt.Sprint(i)), as, program, i); err != nil {
				return err
			}
		}
		first, whole, err := b.deploy(tool, dir)
		r.add("Deployment/as="+as, figure{first.Seconds(), "first-new-answer-sec"}, figure{whole.Seconds(), "deployment-sec"})
		return err
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\nA new version, %d rounds. From the beginning of the deployment to the first answer of the new version\nthrough the load balancer, and to the end of the deployment:\n\n", b.rounds)
	return r.compare(b.ctx, out, b.work, "as", "task", "function")
}

// versions are the programs of two versions of the service users.
func (b *bench) versions() (programs [2][]byte, err error) {
	root := filepath.Join(b.work, "new-version")
	if err := os.Mkdir(root, 0o700); err != nil {
		return programs, err
	}
	if err := b.command("cp", "-r", "go.mod", "go.sum", "assets", "services", root); err != nil {
		return programs, err
	}
	file := filepath.Join(root, recordFile)
	before, err := os.ReadFile(file)
	after := bytes.Replace(before, []byte(recordBefore), []byte(recordAfter), 1)
	if err == nil && bytes.Equal(before, after) {
		err = fmt.Errorf("%s does not have %s: name another record in bench/functions_deploy.go", recordFile, recordBefore)
	}
	if err = errors.Join(err, os.WriteFile(file, after, 0o600)); err != nil {
		return programs, err
	}
	for i, root := range []string{".", root} {
		contexts, err := build.Build(b.ctx, build.Options{Root: root, Arch: runtime.GOARCH, Progress: io.Discard, Services: []build.Service{{Name: "users", Dir: "services/users"}}})
		if err == nil {
			programs[i], err = os.ReadFile(filepath.Join(contexts["users"], "users"))
		}
		if err != nil {
			return programs, err
		}
	}
	return programs, nil
}

// deployable writes an assembly of a load balancer and the service users as a task or as a function.
func deployable(dir, as string, program []byte, version int) error {
	type object = map[string]any
	group := object{"TargetType": "ip", "Port": 3000, "Protocol": "HTTP", "VpcId": "vpc-1", "HealthCheckPath": "/", "HealthCheckIntervalSeconds": 6, "HealthyThresholdCount": 2}
	resources := object{
		"Balancer": object{"Type": model.ELBLoadBalancer, "Properties": object{"Type": "application", "Subnets": []any{"subnet-1", "subnet-2"}}},
		"Listener": object{"Type": model.ELBListener, "Properties": object{
			"LoadBalancerArn": object{"Ref": "Balancer"}, "Port": 80, "Protocol": "HTTP", "DefaultActions": []any{object{"Type": "forward", "TargetGroupArn": object{"Ref": "Group"}}},
		}},
		"Group": object{"Type": model.ELBTargetGroup, "Properties": group},
	}
	files, assets := map[string][]byte{}, object{}
	name := fmt.Sprintf("v%d", version)
	if as == "task" {
		files["asset/users"] = program
		files["asset/Dockerfile"] = []byte("FROM scratch\nCOPY users /users\nENTRYPOINT [\"/users\"]\n")
		assets["dockerImages"] = object{name: object{"source": object{"directory": "asset"}, "destinations": object{"here": object{"repositoryName": "users", "imageTag": name}}}}
		resources["Cluster"] = object{"Type": model.ECSCluster}
		resources["Task"] = object{"Type": model.ECSTaskDefinition, "Properties": object{
			"NetworkMode": "awsvpc", "RequiresCompatibilities": []any{"FARGATE"}, "Cpu": "256", "Memory": "512",
			"ContainerDefinitions": []any{object{
				"Name": "users", "Image": object{"Fn::Sub": "${AWS::AccountId}.dkr.ecr.${AWS::Region}.${AWS::URLSuffix}/users:" + name},
				"PortMappings": []any{object{"ContainerPort": 3000}}, "Environment": []any{object{"Name": "PORT", "Value": "3000"}},
			}},
		}}
		resources["Service"] = object{"Type": model.ECSService, "DependsOn": []any{"Listener"}, "Properties": object{
			"Cluster": object{"Ref": "Cluster"}, "TaskDefinition": object{"Ref": "Task"}, "DesiredCount": 1, "LaunchType": "FARGATE",
			"NetworkConfiguration": object{"AwsvpcConfiguration": object{"Subnets": []any{"subnet-1"}}},
			"LoadBalancers":        []any{object{"ContainerName": "users", "ContainerPort": 3000, "TargetGroupArn": object{"Ref": "Group"}}},
		}}
	} else {
		files["asset/bootstrap"] = program
		assets["files"] = object{name: object{"source": object{"path": "asset", "packaging": "zip"}, "destinations": object{"here": object{"bucketName": "assets", "objectKey": name + ".zip"}}}}
		resources["Group"] = object{"Type": model.ELBTargetGroup, "Properties": object{
			"TargetType": "lambda", "Targets": []any{object{"Id": object{"Ref": "Live"}}},
			"TargetGroupAttributes": []any{object{"Key": "lambda.multi_value_headers.enabled", "Value": "true"}},
		}}
		resources["Function"] = object{"Type": model.LambdaFunction, "Properties": object{
			"Runtime": "provided.al2023", "Handler": "bootstrap", "MemorySize": 256, "Timeout": 10, "Role": "arn:aws:iam::000000000000:role/users",
			"Architectures": []any{map[string]string{"amd64": "x86_64", "arm64": "arm64"}[runtime.GOARCH]}, "Code": object{"S3Bucket": "assets", "S3Key": name + ".zip"},
		}}
		resources["Version"+name] = object{"Type": model.LambdaVersion, "Properties": object{"FunctionName": object{"Ref": "Function"}}}
		resources["Live"] = object{"Type": model.LambdaAlias, "Properties": object{
			"Name": "live", "FunctionName": object{"Ref": "Function"}, "FunctionVersion": object{"Fn::GetAtt": []any{"Version" + name, "Version"}},
		}}
		resources["May"] = object{"Type": model.LambdaPermission, "Properties": object{
			"Action": "lambda:InvokeFunction", "Principal": "elasticloadbalancing.amazonaws.com", "FunctionName": object{"Ref": "Live"},
		}}
	}
	for file, content := range map[string]object{
		"manifest.json": {"artifacts": object{
			"app.assets": object{"type": "cdk:asset-manifest", "properties": object{"file": "app.assets.json"}},
			"app": object{
				"type": "aws:cloudformation:stack", "environment": "aws://unknown-account/unknown-region", "dependencies": []any{"app.assets"},
				"properties": object{"templateFile": "app.json"},
			},
		}},
		"app.assets.json": assets,
		"app.json":        {"Resources": resources},
	} {
		text, err := json.Marshal(content)
		if err != nil {
			return err
		}
		files[file] = text
	}
	for file, content := range files {
		file = filepath.Join(dir, filepath.FromSlash(file))
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, content, 0o700)); err != nil {
			return err
		}
	}
	return nil
}

// deploy runs the assembly "0" of a directory, and deploys "1" in its place. It returns the times from the beginning
// of the deployment to the first answer of the new version, and to its end.
func (b *bench) deploy(tool, dir string) (first, whole time.Duration, err error) {
	addresses, err := freeAddresses(1)
	if err != nil {
		return 0, 0, err
	}
	run := func(args ...string) error {
		cmd := exec.CommandContext(b.ctx, tool, append(args, "--state", filepath.Join(dir, "state"))...)
		if output, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("cutover %s: %w\n%s", args[0], err, output)
		}
		return nil
	}
	if err := run("up", "--detach", "--app", filepath.Join(dir, "0"), "--port", "80="+portOf(addresses[0])); err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, run("down")) }()
	ask := func() (string, error) {
		response, err := http.Get("http://" + addresses[0] + route)
		if err != nil {
			return "", err
		}
		text, err := io.ReadAll(response.Body)
		return string(text), errors.Join(err, response.Body.Close())
	}
	if answer, err := ask(); err != nil || !strings.Contains(answer, recordBefore) {
		return 0, 0, fmt.Errorf("GET %s: %q, %w", route, answer, err)
	}
	began := time.Now()
	ended := make(chan error, 1)
	go func() {
		err := run("deploy", "--app", filepath.Join(dir, "1"))
		whole = time.Since(began)
		ended <- err
	}()
	for answered, running := false, true; !answered || running; {
		if !answered {
			answer, err := ask()
			if err != nil {
				return 0, 0, errors.Join(err, <-ended)
			}
			if answered = strings.Contains(answer, recordAfter); answered {
				first = time.Since(began)
			} else if !running {
				return 0, 0, fmt.Errorf("after the deployment, GET %s: %q", route, answer)
			}
			time.Sleep(time.Millisecond)
		}
		select {
		case err := <-ended:
			if err != nil {
				return 0, 0, err
			}
			running = false
		default:
			if answered {
				time.Sleep(time.Millisecond)
			}
		}
	}
	return first, whole, nil
}
