package onaws

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

const (
	definition = `{"taskDefinition": {"containerDefinitions": [{"name": "log"}, {"name": "users", "logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "/ecs/users", "awslogs-stream-prefix": "users"}}}]}}`
	service    = `{"serviceName": %q, "status": %q, "desiredCount": %d, "taskDefinition": "arn:aws:ecs:eu-west-1:1:task-definition/%[1]s:3", "capacityProviderStrategy": [{"capacityProvider": "cp", "weight": 1}], "launchType": "EC2",
		"networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"], "securityGroups": ["sg-1"]}}, "placementConstraints": [{"type": "memberOf", "expression": "attribute:x == true"}]}`
	ran     = `{"tasks": [{"taskArn": "arn:aws:ecs:eu-west-1:1:task/dev/abc123"}]}`
	running = `{"tasks": [{"lastStatus": "RUNNING"}]}`
	stopped = `{"tasks": [{"lastStatus": "STOPPED", "stoppedReason": "Essential container in task exited", "containers": [{"name": "log", "exitCode": 1}, {"name": "users", "exitCode": %d}]}]}`
	noLines = `{"events": [], "nextForwardToken": "f/9"}`
)

func services(all ...string) string { return `{"services": [` + strings.Join(all, ",") + `]}` }

// answers are those for a command that runs to its end.
func answers() map[string][]string {
	return map[string][]string{
		"DescribeServices":       {services(fmt.Sprintf(service, "users", "ACTIVE", 0))},
		"RunTask":                {ran},
		"DescribeTaskDefinition": {definition},
		"DescribeTasks":          {running, running, fmt.Sprintf(stopped, 0)},
		"GetLogEvents": {"!ResourceNotFoundException none", `{"events": [{"message": "one"}, {"message": "two"}], "nextForwardToken": "f/1"}`, noLines, noLines,
			`{"events": [{"message": "late"}], "nextForwardToken": "f/2"}`, noLines},
	}
}

// told is what a command told.
type told struct{ lines, warnings []string }

func (told *told) command() Command {
	return Command{
		Cluster: "dev", Services: []string{"users", "users-fargate"}, Container: "users", Command: []string{"seed", "--all"}, poll: time.Millisecond,
		Started: func(task, definition string) {
			told.lines = append(told.lines, "started "+task+" "+definition)
		},
		Output: func(line string) { told.lines = append(told.lines, line) },
		Warn:   func(err error) { told.warnings = append(told.warnings, err.Error()) },
	}
}

// A command has the capacity, the network and the definition of the service. Its lines are told, the late ones
// too, and its exit code is that of the container.
func TestRun(t *testing.T) {
	aws := &fake{answers: answers()}
	var told told
	exit, err := told.command().Run(t.Context(), aws.serve(t))
	if got := strings.Join(told.lines, "; "); exit != 0 || err != nil || got != "started abc123 users:3; one; two; late" || told.warnings != nil {
		t.Errorf("the exit code is %d, %v, and told is %s, %v", exit, err, got, told.warnings)
	}
	request := aws.requests("RunTask")[0]
	for _, part := range []string{
		`"cluster":"dev"`, `"count":1`, `"startedBy":"cutover run"`, `"taskDefinition":"arn:aws:ecs:eu-west-1:1:task-definition/users:3"`, `"capacityProvider":"cp"`,
		`"subnets":["subnet-1"]`, `"securityGroups":["sg-1"]`, `"expression":"attribute:x == true"`, `"containerOverrides":[{"command":["seed","--all"],"name":"users"}]`,
		`"enableECSManagedTags":true`, `"propagateTags":"TASK_DEFINITION"`,
	} {
		if !strings.Contains(request, part) {
			t.Errorf("the request lacks %s: %s", part, request)
		}
	}
	if strings.Contains(request, "launchType") {
		t.Errorf("the request has a launch type beside capacity providers: %s", request)
	}
	logs := aws.requests("GetLogEvents")
	if !strings.Contains(logs[0], `"logGroupName":"/ecs/users"`) || !strings.Contains(logs[0], `"logStreamName":"users/users/abc123"`) || !strings.Contains(logs[0], `"startFromHead":true`) || !strings.Contains(logs[2], `"nextToken":"f/1"`) {
		t.Errorf("the logs are asked with %s", logs)
	}
	if n := len(aws.requests("StopTask")); n != 0 {
		t.Errorf("a task that has ended is stopped")
	}
}

// What a command ends with when something is amiss.
func TestRunAmiss(t *testing.T) {
	const inactive, other = "INACTIVE", "users-fargate"
	for _, test := range []struct{ what, operation, answer, want string }{
		{"an exit code", "DescribeTasks", fmt.Sprintf(stopped, 3), "3 <nil>"},
		{"the pair with tasks", "DescribeServices", services(fmt.Sprintf(service, "users", "ACTIVE", 0), fmt.Sprintf(service, other, "ACTIVE", 2)), "0 <nil> started abc123 users-fargate:3"},
		{"the first pair with tasks", "DescribeServices", services(fmt.Sprintf(service, "users", "ACTIVE", 1), fmt.Sprintf(service, other, "ACTIVE", 2)), "0 <nil> started abc123 users:3"},
		{"an old pair", "DescribeServices", services(fmt.Sprintf(service, "users", inactive, 1), fmt.Sprintf(service, other, "ACTIVE", 0)), "0 <nil> started abc123 users-fargate:3"},
		{"no service", "DescribeServices", services(fmt.Sprintf(service, "users", inactive, 1)), "0 the service users is not deployed in the cluster dev in eu-west-1"},
		{"no cluster", "DescribeServices", "!ClusterNotFoundException Cluster not found.", "0 there is no ECS cluster dev in eu-west-1: deploy the environment first"},
		{"no rights", "DescribeServices", "!AccessDeniedException not you", "0 AWS did not answer for the service users: "},
		{"no room", "RunTask", `{"failures": [{"reason": "RESOURCE:MEMORY"}, {"reason": "RESOURCE:MEMORY"}, {"reason": "AGENT", "detail": "off"}]}`, "0 ECS does not run the task: AGENT (off); no instance of the cluster has enough of memory free"},
		{"nothing", "RunTask", `{}`, "0 ECS does not run the task: it gives no reason"},
		{"refused", "RunTask", "!AccessDeniedException not you", "0 ECS does not run the task: "},
		{"no exit code", "DescribeTasks", `{"tasks": [{"lastStatus": "STOPPED", "stoppedReason": "Task failed to start", "containers": [{"name": "users", "reason": "CannotPullContainerError"}]}]}`,
			"0 task abc123 has no exit code: Task failed to start; container users: CannotPullContainerError"},
		{"a task that is gone", "DescribeTasks", `{"tasks": []}`, "0 ECS does not know the task abc123 any more; the task may still run"},
		{"no rights for logs", "GetLogEvents", "!AccessDeniedException not you", "0 <nil> started abc123 users:3 [AWS did not answer for the logs in /ecs/users: "},
		{"another log driver", "DescribeTaskDefinition", `{"taskDefinition": {"containerDefinitions": [{"name": "users", "logConfiguration": {"logDriver": "awsfirelens"}}]}}`, "0 <nil> started abc123 users:3 [container users does not write to CloudWatch Logs: its output is not shown]"},
		{"no rights for the definition", "DescribeTaskDefinition", "!AccessDeniedException not you", "0 <nil> started abc123 users:3 [AWS did not answer for the task definition, so the logs are not shown: "},
	} {
		aws := &fake{answers: answers()}
		aws.answers[test.operation] = []string{test.answer}
		var told told
		exit, err := told.command().Run(t.Context(), aws.serve(t))
		if got := fmt.Sprintf("%d %v %s %v", exit, err, strings.Join(told.lines, "; "), told.warnings); !strings.HasPrefix(strings.ReplaceAll(got, "; one; two; late", ""), test.want) {
			t.Errorf("%s: %s, want %s", test.what, got, test.want)
		}
		if n := len(aws.requests("StopTask")); n != 0 {
			t.Errorf("%s: the task is stopped", test.what)
		}
	}
}

// An interrupt stops the task.
func TestRunInterrupted(t *testing.T) {
	for answer, want := range map[string]string{"{}": "context canceled", "!AccessDeniedException not you": "context canceled\ntask abc123 may still run: "} {
		aws := &fake{answers: answers()}
		aws.answers["DescribeTasks"], aws.answers["StopTask"] = []string{running}, []string{answer}
		ctx, cancel := context.WithCancel(t.Context())
		var told told
		command := told.command()
		command.Output = func(string) { cancel() }
		_, err := command.Run(ctx, aws.serve(t))
		if !errors.Is(err, context.Canceled) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("the error is %v, want %s", err, want)
		}
		if stops := aws.requests("StopTask"); len(stops) == 0 || !strings.Contains(stops[0], "task/dev/abc123") {
			t.Errorf("the task is stopped with %v", stops)
		}
	}
}

// Without credentials AWS is not asked.
func TestNoCredentials(t *testing.T) {
	t.Setenv("PATH", "")
	for _, run := range []func() error{
		func() error {
			_, err := (&told{}).command().Run(t.Context(), func(string) string { return "" })
			return err
		},
		func() error { return Setup{Stack: "dev-Data"}.Run(t.Context(), func(string) string { return "" }) },
	} {
		if err := run(); err == nil || !strings.HasPrefix(err.Error(), "AWS was not asked: there are no credentials") {
			t.Errorf("without credentials: %v", err)
		}
	}
}
