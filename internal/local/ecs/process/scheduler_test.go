//go:build unix

package process

import (
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"

	"cutover/internal/assembly"
	"cutover/internal/local/ecs"
	"cutover/internal/local/provider"
	"cutover/internal/model"
)

// prober stands for the load balancer: a target is healthy once it answers.
type prober struct {
	scheduler *ecs.Scheduler
	done      sync.WaitGroup
}

func (p *prober) Register(group, id, address string) error {
	p.done.Go(func() {
		for range 1000 {
			if response, err := http.Get("http://" + address + "/"); err == nil {
				response.Body.Close()
				p.scheduler.TargetHealth(group, id, ecs.TargetHealthy)
				return
			}
			<-time.After(5 * time.Millisecond)
		}
	})
	return nil
}

func (p *prober) Deregister(string, string) <-chan struct{} {
	drained := make(chan struct{})
	close(drained)
	return drained
}

// A service of real processes is brought up, loses a task, and is removed.
func TestScheduledService(t *testing.T) {
	d := newDriver(t, nil)
	p := &prober{}
	events := make(chan provider.Event, 1000)
	lines := make(chan ecs.LogLine, 1000)
	p.scheduler = ecs.New(ecs.Options{Driver: d, Balancer: p, Events: func(e provider.Event) { events <- e }, Logs: func(l ecs.LogLine) { lines <- l }})
	t.Cleanup(p.done.Wait)
	definition := users(t)
	definition.StopTimeout = 10 * time.Second
	stack := &assembly.Stack{Name: "dev-Users"}
	at := func(id string) model.Base {
		return model.Base{Resource: &assembly.Resource{Stack: stack, LogicalID: id}}
	}
	two := 2
	if err := p.scheduler.Apply(t.Context(), &model.Service{
		Base: at("Service"), Name: "users", DesiredCount: &two, MinimumHealthyPercent: 100, MaximumPercent: 200,
		LoadBalancers:  []model.ServiceLoadBalancer{{Container: "users", Port: 3000, TargetGroup: &model.TargetGroup{Base: at("Users")}}},
		TaskDefinition: &model.TaskDefinition{Family: "users", Containers: []model.Container{definition}},
	}); err != nil {
		t.Fatal(err)
	}
	tasks := p.scheduler.Status()[0].Tasks
	if line := <-lines; line.ServiceName != "users" || line.Container != "users" || line.Task == "" || line.Stream != "stdout" {
		t.Errorf("log line is %+v", line)
	}
	if err := p.scheduler.Signal(tasks[0].ID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for e := range events {
		if e.Kind == ecs.TaskEvent && e.Task == tasks[0].ID && e.State == string(ecs.Stopped) {
			break
		}
	}
	for e := range events {
		if e.Kind == ecs.ServiceEvent && e.Message == "(service users) has reached a steady state" {
			break
		}
	}
	now := p.scheduler.Status()[0]
	if now.RunningCount != 2 || now.Tasks[0].ID != tasks[1].ID || now.Tasks[1].ID == tasks[0].ID {
		t.Errorf("tasks were %+v, are %+v", tasks, now.Tasks)
	}
	if err := p.scheduler.Remove(t.Context(), "dev-Users/Service"); err != nil {
		t.Fatal(err)
	}
	if len(d.ports) > 0 {
		t.Errorf("ports %v are still given away", d.ports)
	}
}
