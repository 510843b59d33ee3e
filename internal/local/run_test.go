package local

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"cutover/internal/local/ecs"
)

// adminTool is an assembly of the service users without tasks and without a load balancer.
func adminTool(t *testing.T) string {
	t.Helper()
	contexts, err := contexts()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	writeJSON(t, dir, "app.assets.json", map[string]any{"dockerImages": map[string]any{"users": map[string]any{
		"source": map[string]any{"directory": contexts["users"]}, "destinations": map[string]any{"current": map[string]any{"repositoryName": "users", "imageTag": "1"}},
	}}})
	writeJSON(t, dir, "manifest.json", map[string]any{"artifacts": map[string]any{
		"app.assets": map[string]any{"type": "cdk:asset-manifest", "properties": map[string]any{"file": "app.assets.json"}},
		"app": map[string]any{
			"type": "aws:cloudformation:stack", "environment": "aws://unknown-account/unknown-region", "dependencies": []string{"app.assets"},
			"properties": map[string]any{"templateFile": "app.json"},
		},
	}})
	writeJSON(t, dir, "app.json", map[string]any{"Resources": map[string]any{
		"Cluster": map[string]any{"Type": "AWS::ECS::Cluster"},
		"Task": map[string]any{"Type": "AWS::ECS::TaskDefinition", "Properties": map[string]any{"ContainerDefinitions": []any{map[string]any{
			"Name": "users", "Memory": 64, "Image": map[string]any{"Fn::Sub": "${AWS::AccountId}.dkr.ecr.${AWS::Region}.${AWS::URLSuffix}/users:1"},
			"PortMappings": []any{map[string]any{"ContainerPort": 3000}}, "Environment": []any{map[string]any{"Name": "PORT", "Value": "3000"}},
		}}}},
		"Service": map[string]any{"Type": "AWS::ECS::Service", "Properties": map[string]any{
			"ServiceName": "users", "Cluster": map[string]any{"Ref": "Cluster"}, "TaskDefinition": map[string]any{"Ref": "Task"}, "DesiredCount": 0,
		}},
	}})
	return dir
}

// A command has the image of a service that has no tasks. Its output comes back line by line, with its exit
// code, and an interrupt stops the command.
func TestRunCommand(t *testing.T) {
	if testing.Short() {
		t.Skip("slow: it starts processes")
	}
	t.Parallel()
	dir := stateDir(t)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	r, err := Start(ctx, (&deployment{t: t}).options(dir, nil))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- errors.Join(r.Control(ctx), r.Stop(ctx)) }()
	client := NewClient(dir)
	if err := client.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	if err := client.Deploy(ctx, adminTool(t), nil); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		command []string
		exit    int
		want    string // begin of the output
	}{
		{[]string{"--version"}, 0, "out "},
		{[]string{"no", "such command"}, 2, `err users: cannot understand "no such command"`},
	} {
		var lines []string
		exit, err := client.Run(ctx, "users", test.command, func(line Written) {
			lines = append(lines, map[bool]string{false: "out ", true: "err "}[line.Stderr]+line.Text)
		})
		if err != nil || exit != test.exit || len(lines) == 0 || !strings.HasPrefix(lines[0], test.want) {
			t.Errorf("%v ends with %d, %v: %q", test.command, exit, err, lines)
		}
	}
	if _, err := client.Run(ctx, "other", []string{"seed"}, nil); err == nil || !strings.Contains(err.Error(), `there is no service "other": choose from users`) {
		t.Errorf("an unknown service: %v", err)
	}
	interrupted, interrupt := context.WithCancel(ctx)
	defer interrupt()
	if _, err := client.Run(interrupted, "users", []string{""}, func(Written) { interrupt() }); !errors.Is(err, context.Canceled) {
		t.Errorf("an interrupted server: %v", err)
	}
	var logged []string
	if err := errors.Join(client.Down(ctx), <-ended, Logs(ctx, dir, "users", false, func(line ecs.LogLine) { logged = append(logged, line.Text) })); err != nil {
		t.Error(err)
	}
	if got := fmt.Sprint(logged); !strings.Contains(got, "no such command") {
		t.Errorf("the log has %s", got)
	}
}
