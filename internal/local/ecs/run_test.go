package ecs

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cutover/internal/assembly"
	"cutover/internal/model"
)

// A command runs in a task of its own, with what the service has, beside the service's tasks or without them.
func TestRun(t *testing.T) {
	beside := func(name, image string) func(*model.Service) {
		return func(s *model.Service) {
			s.TaskDefinition.Containers = append(s.TaskDefinition.Containers, model.Container{Name: name, Image: model.Image{Reference: image}, StopTimeout: time.Second})
		}
	}
	behind := func(container string) func(*model.Service) {
		return func(s *model.Service) { s.LoadBalancers[0].Container = container }
	}
	tagged := func(s *model.Service) {
		s.TaskDefinition.Resource = &assembly.Resource{Stack: &assembly.Stack{Name: "stack"}, Properties: map[string]any{"Family": "main"}}
	}
	for _, test := range []struct {
		name, service, image, want string
		replaced                   string
		changes                    []func(*model.Service)
	}{
		{"to the end", "users", "done", "exit code 0 of main after 3s", "", nil},
		{"with an error", "users", "crash", "exit code 1 of main after 100ms", "", nil},
		{"not at all", "users", "missing", `has no exit code: container "main" cannot start: no such image`, "", nil},
		{"until it is stopped", "users", "web", "has no exit code: Task was stopped", "", nil},
		{"beside another container", "users", "crash", "exit code 1 of main after 100ms", "", []func(*model.Service){beside("log", "done"), behind("main")}},
		{"in the container of the service's name", "users", "web", "exit code 0 of users after 3s", "", []func(*model.Service){func(s *model.Service) {
			beside("users", "done")(s)
			s.TaskDefinition.Containers[1].Essential = true
		}}},
		{"in the container of the family's name", "users", "crash", "exit code 1 of main after 100ms", "", []func(*model.Service){tagged, beside("log", "web"), behind("log")}},
		{"in no container", "users", "done", "service users has several containers, and none has the service's name or is behind a load balancer", "", []func(*model.Service){beside("log", "web"), noBalancer}},
		{"in place of a container", "users", "done", `container main of service users is replaced by a command of yours: run ["seed" "--all"] yourself`, "main", nil},
		{"of an unknown service", "posts", "done", `there is no service "posts": choose from users`, "", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				p := NewProvider(w.Scheduler, Given{Replaced: []string{test.replaced}})
				s := spec(test.image, 0, test.changes...)
				if s.TaskDefinition.Resource == nil {
					s.TaskDefinition.Base = at("stack/Task")
				}
				if err := w.Apply(t.Context(), s); err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				begin := time.Now()
				exit, err := p.Run(ctx, test.service, []string{"seed", "--all"}, func(string, LogLine) {})
				got := fmt.Sprint(err)
				if err == nil {
					i := slices.IndexFunc(w.started, func(r StartRequest) bool { return slices.Equal(r.Definition.Command, []string{"seed", "--all"}) })
					got = fmt.Sprintf("exit code %d of %s after %v", exit, w.started[i].Definition.Name, time.Since(begin))
				}
				if !strings.Contains(got, test.want) {
					t.Errorf("the result is %s, want %s", got, test.want)
				}
				if status := w.service(); len(status.Tasks) != 0 || s.TaskDefinition.Containers[0].Command != nil {
					t.Errorf("the service has changed: %+v", status)
				}
				if err := w.Remove(t.Context(), s.Key()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// Each line goes to the log and to the command, and lines of the service's tasks only to the log.
func TestOutput(t *testing.T) {
	var logged, written []string
	take := func(all *[]string) func(LogLine) {
		return func(line LogLine) { *all = append(*all, line.ServiceName+" "+line.Container+" "+line.Text) }
	}
	s := New(Options{Logs: take(&logged)})
	of := func(output func(LogLine)) *task {
		return &task{service: &service{name: "users", output: output}}
	}
	s.log(of(take(&written)), "main", "stdout", "seeded")
	s.log(of(nil), "main", "stdout", "served")
	if got := fmt.Sprint(logged, written); got != "[users main seeded users main served] [users main seeded]" {
		t.Errorf("the lines are %s", got)
	}
}
