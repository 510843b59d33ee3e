package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cutover/internal/local/ecs"
)

// jobs is an assembly of scheduled tasks alone: Nightly runs job after init, and Broken fails.
func jobs(t *testing.T) string {
	dir := t.TempDir()
	schedule := func(id, resourceType string) map[string]any {
		return map[string]any{"Type": resourceType, "Properties": map[string]any{
			"ScheduleExpression": "cron(0 3 * * ? *)", "FlexibleTimeWindow": map[string]any{"Mode": "OFF"},
			"Target": map[string]any{"Arn": "arn:cluster", "EcsParameters": map[string]any{"TaskDefinitionArn": map[string]any{"Ref": id + "Task"}}},
		}}
	}
	container := func(name string, more map[string]any) map[string]any {
		c := map[string]any{"Name": name, "Image": "x", "Memory": 64}
		for key, value := range more {
			c[key] = value
		}
		return c
	}
	task := func(containers ...any) map[string]any {
		return map[string]any{"Type": "AWS::ECS::TaskDefinition", "Properties": map[string]any{"ContainerDefinitions": containers}}
	}
	writeJSON(t, dir, "manifest.json", map[string]any{"artifacts": map[string]any{"app": map[string]any{
		"type": "aws:cloudformation:stack", "environment": "aws://unknown-account/unknown-region", "properties": map[string]any{"templateFile": "app.json"},
	}}})
	writeJSON(t, dir, "app.json", map[string]any{"Resources": map[string]any{
		"Logs":    map[string]any{"Type": "AWS::Logs::LogGroup", "Properties": map[string]any{"LogGroupName": "job-logs"}},
		"Stored":  map[string]any{"Type": "AWS::SSM::Parameter", "Properties": map[string]any{"Name": "/token", "Type": "String", "Value": "stored-secret"}},
		"Other":   map[string]any{"Type": "AWS::SSM::Parameter", "Properties": map[string]any{"Name": "/other/token", "Type": "String", "Value": "seen"}},
		"Nightly": schedule("Nightly", "AWS::Scheduler::Schedule"),
		"Broken":  schedule("Broken", "AWS::Scheduler::Schedule"),
		"NightlyTask": task(
			container("init", map[string]any{"Essential": false}),
			container("job", map[string]any{
				"DependsOn":   []any{map[string]any{"ContainerName": "init", "Condition": "SUCCESS"}},
				"Environment": []any{map[string]any{"Name": "LOGS", "Value": map[string]any{"Ref": "Logs"}}},
				"Secrets":     []any{map[string]any{"Name": "PW", "ValueFrom": "db"}, map[string]any{"Name": "TOKEN", "ValueFrom": map[string]any{"Ref": "Stored"}}},
			})),
		"BrokenTask": task(container("broken", nil)),
	}})
	return dir
}

// Tasks that no service runs are run by hand, in their order, with their secrets.
func TestScheduledTasks(t *testing.T) {
	if testing.Short() {
		t.Skip("slow: it starts processes")
	}
	t.Parallel()
	dir := stateDir(t)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	d := &deployment{t: t}
	options := d.options(dir, map[string]string{"init": "echo first", "job": `echo "$LOGS $PW $TOKEN"`, "broken": "exit 7"})
	options.Replaced = []string{"init", "job", "broken"}
	given := atomic.Pointer[map[string]string]{}
	given.Store(&map[string]string{})
	options.Secrets = func() (map[string]string, error) { return *given.Load(), nil }
	r, err := Start(ctx, options)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- errors.Join(r.Control(ctx), r.Stop(ctx)) }()
	client, assembly := NewClient(dir), jobs(t)
	if err := client.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	const missing = "container job: the secret PW (db) has no value here: give one with --secret PW=VALUE"
	if err := client.Deploy(ctx, assembly, nil); err == nil || !strings.Contains(err.Error(), missing) {
		t.Errorf("without a secret: %v, want %s", err, missing)
	}
	given.Store(&map[string]string{"PW": "given-secret"})
	if err := client.Deploy(ctx, assembly, nil); err != nil {
		t.Fatal(err)
	}
	var events []string
	if err := client.RunTask(ctx, "Nightly", func(e Event) { events = append(events, e.Message) }); err != nil {
		t.Errorf("the task failed: %v", err)
	}
	if err := client.RunTask(ctx, "Broken", nil); err == nil || !strings.Contains(err.Error(), `failed: Essential container in task exited: "broken", exit code 7`) {
		t.Errorf("a task that fails: %v", err)
	}
	if err := client.RunTask(ctx, "Weekly", nil); err == nil || !strings.Contains(err.Error(), "choose from Broken, Nightly") {
		t.Errorf("an unknown task: %v", err)
	}
	var lines []string
	if err := Logs(ctx, dir, "Nightly", false, func(line ecs.LogLine) { lines = append(lines, line.Container+": "+line.Text) }); err != nil {
		t.Error(err)
	}
	if got := strings.Join(lines, "; "); got != "init: first; job: job-logs given-secret stored-secret" {
		t.Errorf("the log has %q", got)
	}
	status, err := client.Status(ctx)
	if err != nil || len(status.Schedules) != 2 || status.Schedules[1].Name != "Nightly" || status.Schedules[1].Last == nil || !status.Schedules[1].Next.After(time.Now()) {
		t.Errorf("the status is %+v, %v", status.Schedules, err)
	}
	if n := status.NotRun["AWS::Scheduler::Schedule"]; n != 0 {
		t.Errorf("%d schedules are said not to run here", n)
	}
	text, _ := json.Marshal(status)
	for _, value := range []string{"given-secret", "stored-secret"} {
		if strings.Contains(string(text)+fmt.Sprint(events, d.told()), value) {
			t.Errorf("the status or an event shows %s: %s", value, text)
		}
	}
	if !strings.Contains(string(text), `"/other/token":"seen"`) {
		t.Errorf("a parameter that is no secret has no value: %s", text)
	}
	if err := errors.Join(client.Down(ctx), <-ended); err != nil {
		t.Error(err)
	}
}
